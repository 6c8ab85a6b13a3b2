/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_RECOVER_H
#define SMQTT_BROKER_RECOVER_H
/* How a broker finds itself again in its store (docs/store.md, "Start"): all rows go through here once, in the order of
 * their keys, before the workers run; sessions, queues and what is retained are then with the workers of now, however
 * many there are and were.
 *
 *     smq_recovery_new(workers, n, mem, now, &r);
 *     for each row, in the order of keys: smq_recovery_row(r, key, value);
 *     smq_recovery_finish(r, &counts);
 *     smq_recovery_free(r);
 *     take the writes of all workers and commit them as ONE, then let the workers run
 *
 * What it changes stands in the writes of the workers, as of one turn. They are to be committed together, before
 * anything else: after a crash before that the same rows are there again, and after it there is nothing left to do. The
 * batches of the workers are empty, and no worker has anything to send. */
#include "broker/worker.h"

struct smq_recovery;

/** What was found, for the log. */
struct smq_recovery_counts {
    uint64_t rows;          /* that were given */
    uint64_t sessions;      /* that live on */
    uint64_t ended;         /* sessions whose time ran out, or that cannot outlive a connection */
    uint64_t subscriptions; /* shared ones, too */
    uint64_t queued;        /* messages that wait for a session */
    uint64_t in_flight;     /* that were sent and are not acknowledged */
    uint64_t expired;       /* messages whose time ran out meanwhile */
    uint64_t retained;
    uint64_t owed;    /* messages that were on their way from worker to worker and went on it again */
    uint64_t wills;   /* that fired at once */
    uint64_t dropped; /* rows that could not be read, or belong to nothing; they are deleted */
};

/**
 * Begins. The limits of the configuration do not count until it is finished: what is stored stays.
 * @param workers  all of them, empty and with a store; in the thread of the caller until smq_recovery_free
 * @param n        how many, 1..SMQ_WORKERS_MAX
 * @param mem      for what is needed meanwhile; NULL: malloc
 * @retval SMQTT_E_USAGE  n is not what the workers think; SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_recovery_new(struct smq_worker *const *workers, unsigned n, const struct smqtt_mem *mem,
                                        struct smqtt_now now, struct smq_recovery **out);
/**
 * One row; views, which are not kept. One that cannot be read, or belongs to nothing, is counted and will be deleted.
 * Rows of SMQ_TABLE_IDENTITY are passed over.
 * @retval SMQTT_E_BAD_VERSION  a later version of this broker wrote the store: nothing of it may be touched
 * @retval SMQTT_E_NOMEM        the workers are of no use any more: free them
 */
SMQ_MUST_USE smqtt_err smq_recovery_row(struct smq_recovery *r, smq_span key, smq_span value);
/** That were all: groups form, what was owed to workers of before is routed, wills of sessions that were online fire or
 * wait. SMQTT_E_NOMEM: as above. */
SMQ_MUST_USE smqtt_err smq_recovery_finish(struct smq_recovery *r, struct smq_recovery_counts *counts);
/** Also when it was not finished. NULL allowed. */
void smq_recovery_free(struct smq_recovery *r);

#endif
