/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_STORE_MEMORY_H
#define SMQTT_STORE_MEMORY_H
/* The store that has no disk (smq_store_memory): a skip list. It is gone when it is closed. What stands here is for
 * tests and simulations, which use it as a disk that fails and as a computer that loses its power: it stays open while
 * the broker above it ends and begins anew. */
#include "store/store.h"

/** Where a disk can fail. */
enum smq_memory_step {
    SMQ_MEMORY_WRITE, /* before anything of it is there: as with a full disk */
    SMQ_MEMORY_SYNC,  /* what was written is there, and may be lost with the power */
    SMQ_MEMORY_READ,  /* get and each */
    SMQ_MEMORY_REOPEN /* the disk is still full */
};

/** Makes steps fail. */
struct smq_memory_faults {
    /** SMQTT_OK, or what the step is to fail with: SMQTT_E_IO, for READ also SMQTT_E_CORRUPT. */
    smqtt_err (*fails)(void *ctx, enum smq_memory_step step);
    void *ctx;
};

/** From now on every step of this store asks `faults` first (copied); NULL: none fails. */
void smq_memory_set_faults(struct smq_store *store, const struct smq_memory_faults *faults);
/** From now on what is written without sync can be lost by smq_memory_crash; it costs memory until the next sync. */
void smq_memory_track(struct smq_store *store);
/** How many calls of `write` are not synced yet: the most that a crash can lose. Needs smq_memory_track. */
size_t smq_memory_count_unsynced(const struct smq_store *store);
/** The power fails and comes back: of the calls of `write` that were not synced only the first `keep` are left, and
 * they are on the disk now. The store is usable again if a step had failed. */
void smq_memory_crash(struct smq_store *store, size_t keep);
/** Number of rows. */
size_t smq_memory_count_rows(const struct smq_store *store);

#endif
