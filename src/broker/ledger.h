/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_LEDGER_H
#define SMQTT_BROKER_LEDGER_H
/* What all workers together may not exceed. Counters are atomic and relaxed: they order nothing, they only add up. What
 * changes with every message (bytes) is taken in leases, so that the ledger is touched once per SMQ_LEASE. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SMQ_LEASE = 256 * 1024 };

struct smq_ledger {
    atomic_uint_least64_t connections, retained, sessions;
    atomic_uint_least64_t bytes; /* leased by workers for messages */
};

/** Adds n unless that would exceed max (0: no limit). False: nothing changed. */
static inline bool smq_ledger_take(atomic_uint_least64_t *of, uint64_t n, uint64_t max)
{
    uint64_t before = atomic_fetch_add_explicit(of, n, memory_order_relaxed);
    if (max != 0 && before + n > max) {
        atomic_fetch_sub_explicit(of, n, memory_order_relaxed);
        return false;
    }
    return true;
}
/** Gives n back. */
static inline void smq_ledger_give(atomic_uint_least64_t *of, uint64_t n)
{
    atomic_fetch_sub_explicit(of, n, memory_order_relaxed);
}

#endif
