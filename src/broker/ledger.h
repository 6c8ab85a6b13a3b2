/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_LEDGER_H
#define SMQTT_BROKER_LEDGER_H
/* What all workers together may not exceed. Counters are atomic and relaxed: they order nothing, they only add up. What
 * changes with every message (bytes) is taken in leases, so that the ledger is touched once per SMQ_LEASE. All zero is
 * an empty ledger; it outlives all workers and all messages. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { SMQ_LEASE = 256 * 1024, SMQ_WORKERS_MAX = 64 };

/** The bytes of the messages that one worker made. It alone changes `made`; who drops the last reference to a message
 * that other threads had, in whatever thread, adds to `freed`. */
struct smq_account {
    uint64_t made, leased;
    struct smq_msg_spares *spares; /* blocks between two messages (broker/message.h); NULL: none are kept */
    uint8_t apart[40];             /* `freed` in a cache line of its own */
    atomic_uint_least64_t freed;
    uint8_t apart_too[56];
};

struct smq_ledger {
    atomic_uint_least64_t connections, retained, sessions;
    atomic_uint_least64_t bytes;   /* leased by workers for messages */
    atomic_uint_least64_t version; /* of the retained message that was published last */
    struct smq_account accounts[SMQ_WORKERS_MAX];
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
/** A version for a retained message: higher than that of each whose publication came before, on whatever worker. At
 * least `least`, so that a new start of the broker goes on above what an old one stored; who restores a message besides
 * tells its version as `least`, for the clock may have been set back: a subscriber gets none above the newest. */
static inline uint64_t smq_ledger_version(struct smq_ledger *ledger, uint64_t least)
{
    uint64_t old = atomic_load_explicit(&ledger->version, memory_order_relaxed);
    uint64_t next;
    do {
        next = old + 1 > least ? old + 1 : least;
    } while (!atomic_compare_exchange_weak_explicit(&ledger->version, &old, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return next;
}

/** Bytes of messages that are still there. */
static inline uint64_t smq_account_used(const struct smq_account *a)
{
    return a->made - atomic_load_explicit(&a->freed, memory_order_relaxed);
}
/** May there be n bytes more? Leases them from the ledger if need be; who makes the message adds to `made`. False: all
 * workers together would have more than max (0: no limit). */
bool smq_account_reserve(struct smq_ledger *ledger, struct smq_account *a, uint64_t n, uint64_t max);
/** Gives leases back that are not needed. kept: bytes besides the messages that are in use. */
void smq_account_trim(struct smq_ledger *ledger, struct smq_account *a, uint64_t kept);
/** n bytes less; from any thread. */
static inline void smq_account_give(struct smq_account *a, uint64_t n)
{
    atomic_fetch_add_explicit(&a->freed, n, memory_order_relaxed);
}

#endif
