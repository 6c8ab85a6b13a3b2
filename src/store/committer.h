/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_STORE_COMMITTER_H
#define SMQTT_STORE_COMMITTER_H
/* The store thread (docs/store.md). Loops give it what their workers write and go on. It takes all that is there, in
 * the order in which it was given, writes it as one with one sync, and tells each worker how far it has come. While the
 * disk works the next group gathers; nothing ever waits for company, so that a single message waits for one sync only.
 *
 * A write that fails is kept, and everything behind it: the store is opened anew again and again until it works, and
 * the workers, which wait for their commits, acknowledge nothing meanwhile. */
#include "base/log.h"
#include "broker/figures.h"
#include "broker/worker.h"
#include "store/store.h"

struct smq_committer;

/** What "committed" means. */
enum smq_committer_policy {
    SMQ_COMMIT_FSYNC,    /* it survives a cut of power */
    SMQ_COMMIT_INTERVAL, /* it survives the end of the process; a cut of power takes at most interval_ms */
    SMQ_COMMIT_OFF       /* the same, but when the disk has it is the system's choice */
};

/** Everything is borrowed and outlives the committer, but for the struct itself. */
struct smq_committer_config {
    const struct smqtt_mem *mem; /* NULL: malloc; fit for threads */
    const struct smq_log *log;   /* NULL: silent; fit for threads */
    bool refuses; /* it cannot be written: workers are told SMQ_STORE_REFUSES, which take nothing then that would have
        to survive; what they write all the same is dropped, and told to be committed so that nobody waits for it */
    enum smq_committer_policy policy;
    uint32_t interval_ms;  /* INTERVAL; at least 1 */
    uint32_t retry_ms;     /* first wait before the store is opened anew, doubled up to tenfold; 0: 1,000 */
    uint64_t behind_bytes; /* given and not committed: workers are told SMQ_STORE_BEHIND, until half of it; 0: 64 MiB */
    uint64_t limit_bytes;  /* of the store: SMQ_STORE_FULL, until 95 % of it; 0: none */
    unsigned n_workers;    /* 1..64 */
    /** There is news for this worker: wakes its loop if that sleeps. Called by any thread that uses the committer. */
    void (*wake)(void *ctx, unsigned worker);
    void *ctx;
};

/**
 * A committer; its thread does not run yet.
 * @param store  opened; the committer's when this succeeds. NULL with `refuses` only: there is nothing to read, too
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_committer_new(const struct smq_committer_config *config, struct smq_store *store,
                                         struct smq_committer **out);
/** Who to wake, before the thread runs: when that is known later than the rest. */
void smq_committer_on_news(struct smq_committer *c, void (*wake)(void *ctx, unsigned worker), void *ctx);
/** Begins the thread; signals are for others. SMQTT_E_IO. */
SMQ_MUST_USE smqtt_err smq_committer_start(struct smq_committer *c);
/** Commits everything that was given, whatever the policy with a sync at the end, and closes the store. What a broken
 * disk does not take on one last attempt is dropped and named in the log; nobody was told that it was committed. What
 * is given from now on is dropped. A second time nothing happens. */
void smq_committer_end(struct smq_committer *c);
/** Ends it and frees. NULL is allowed. */
void smq_committer_free(struct smq_committer *c);

/** Before the thread runs: the writes of several workers, and of none (worker n_workers, any number), are committed as
 * one, before all that is given later. */
void smq_committer_give_first(struct smq_committer *c, struct smq_writes *const *writes, size_t n);
/** Takes what a worker wrote; the order of giving is the order of committing. From any thread. NULL: nothing. */
void smq_committer_give(struct smq_committer *c, struct smq_writes *writes);
/**
 * Commits writes of none of the workers, behind everything that was given before, and waits for it: with a sync under
 * every policy. Takes `writes`, whose number it sets. From any thread, also before the own one runs.
 * @retval SMQTT_E_IO  the store cannot be written now. What was given stays in its place and is committed when it can
 */
SMQ_MUST_USE smqtt_err smq_committer_commit(struct smq_committer *c, struct smq_writes *writes);

/** What is new for one worker. */
struct smq_committer_news {
    uint64_t committed;          /* all its writes up to this number */
    struct smq_fetched *fetched; /* rows that it asked for, oldest first; the caller's. What is answered by
                                    `committed` is among them, or was before */
    enum smq_store_state state;
};
/** Is there something that smq_committer_take would bring? A look at three atomics. In the worker's thread. */
bool smq_committer_has_news(const struct smq_committer *c, unsigned worker);
/** Takes it. In the worker's thread. */
void smq_committer_take(struct smq_committer *c, unsigned worker, struct smq_committer_news *out);

/** Another limit of the store's size (reload); 0: none. */
void smq_committer_set_limit(struct smq_committer *c, uint64_t bytes);
/** Numbers for $SYS; they live as long as the committer. */
const struct smq_store_figures *smq_committer_figures(const struct smq_committer *c);
/** The store, before the thread runs: for recovery. NULL: there is none. */
struct smq_store *smq_committer_store(struct smq_committer *c);

#endif
