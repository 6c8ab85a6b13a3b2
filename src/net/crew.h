/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_CREW_H
#define SMQTT_NET_CREW_H
/* All loops of a broker: a thread each (loop 0 runs in the caller's), the post between them, the ledger that they
 * share, and the settings that they use. Functions are called in the caller's thread unless they say more. */
#include "net/loop.h"

struct smq_crew;

/** Everything is borrowed and outlives the crew, but for the struct itself. */
struct smq_crew_env {
    const struct smqtt_mem *mem; /* NULL: malloc; fit for threads */
    const struct smq_log *log;   /* NULL: silent; fit for threads */
    struct smqtt_rng rng;        /* fit for threads */
    unsigned n;                  /* loops: 1..SMQ_CREW_MAX */
    struct smq_hasher *hasher;   /* as in struct smq_loop_env; with a customer for each loop */
    /** Loop 0 was woken (smq_crew_wake): the place to look at flags of signal handlers. NULL: nothing. */
    void (*woken)(void *ctx, struct smq_crew *crew);
    /** A listener was opened on this port, by smq_crew_new or smq_crew_configure. NULL: nothing. */
    void (*opened)(void *ctx, const struct smq_listener_config *listener, uint16_t port);
    /** As in struct smq_sockets_how. NULL: nothing. */
    void (*privilege)(void *ctx, bool on);
    /** The listeners of smq_crew_new are open, and nothing else is yet: the place to give up rights, to go to the
     * background, and to open what the workers need, which may fail with a sentence. *committer: as in struct
     * smq_loop_env; NULL, as it comes: nothing is stored. It must wake nobody any more when the crew is freed. NULL:
     * nothing. */
    smqtt_err (*bound)(void *ctx, struct smq_committer **committer, struct smq_why *why);
    void *ctx;
};

enum { SMQ_CREW_MAX = 64 };

/**
 * Loops with their workers, and all listeners open; no thread yet, so that `bound` may still fork.
 * @param settings  the crew takes references of its own
 * @retval SMQTT_E_NOMEM, SMQTT_E_IO, SMQTT_E_RNG, and what smq_worker_new and `bound` return; `why` has the sentence
 */
SMQ_MUST_USE smqtt_err smq_crew_new(const struct smq_crew_env *env, struct smq_settings *settings,
                                    struct smq_crew **out, struct smq_why *why);
/** Frees everything; no thread may be running. Files of Unix sockets are removed. NULL is allowed. */
void smq_crew_free(struct smq_crew *crew);
/** Runs until smq_crew_shutdown has ended all loops. SMQTT_E_IO: a thread could not begin, or epoll failed; `why` has
 * the sentence. */
SMQ_MUST_USE smqtt_err smq_crew_run(struct smq_crew *crew, struct smq_why *why);
/**
 * Other settings for all loops: listeners that are new are opened, those that are gone closed, connections stay. In
 * `woken` only, or before smq_crew_run.
 * @retval SMQTT_E_NOMEM, SMQTT_E_IO, SMQTT_E_FULL  everything is as it was; `why` has the sentence
 */
SMQ_MUST_USE smqtt_err smq_crew_configure(struct smq_crew *crew, struct smq_settings *settings, struct smq_why *why);
/** Begins the orderly end of all loops. In `woken` only, or before smq_crew_run. */
void smq_crew_shutdown(struct smq_crew *crew, smqtt_ms grace_ms);
/** Calls `call` once in the thread of each loop, loop 0 first; in `woken` only. SMQTT_E_NOMEM: some are not called, and
 * *n says how many are. */
SMQ_MUST_USE smqtt_err smq_crew_call(struct smq_crew *crew, void (*call)(void *ctx, struct smq_loop *loop), void *ctx,
                                     unsigned *n);
/** Wakes loop 0; safe in signal handlers and from any thread. */
void smq_crew_wake(struct smq_crew *crew);
/** The settings in use: for the next ones to continue. */
struct smq_settings *smq_crew_settings(struct smq_crew *crew);
/** The worker of a loop. That of loop 0 for `woken`, all of them before smq_crew_run. */
struct smq_worker *smq_crew_worker(struct smq_crew *crew, unsigned i);
/** What the workers find owners by: 16 random bytes, the same as before where a store tells. */
const uint8_t *smq_crew_hash_key(const struct smq_crew *crew);
/** How many loops. */
unsigned smq_crew_count(const struct smq_crew *crew);

#endif
