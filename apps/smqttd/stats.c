/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <stdlib.h>

/* Filled in by each worker in its own thread. */
struct question {
    const struct smq_log *log;
    atomic_uint open; /* answers that are still to come */
    atomic_uint_least64_t connections, sessions, subscriptions, retained, queued, in, out, dropped;
};

static void close_question(struct question *q, unsigned n)
{
    if (atomic_fetch_sub(&q->open, n) != n) {
        return;
    }
    smq_log(q->log, SMQ_LOG_NOTICE,
            "Numbers of all workers: %llu connections, %llu sessions, %llu subscriptions, %llu retained messages, %llu "
            "queued messages, %llu PUBLISH packets in, %llu out, %llu dropped.",
            (unsigned long long)q->connections, (unsigned long long)q->sessions, (unsigned long long)q->subscriptions,
            (unsigned long long)q->retained, (unsigned long long)q->queued, (unsigned long long)q->in,
            (unsigned long long)q->out, (unsigned long long)q->dropped);
    free(q);
}

static void answer(void *ctx, struct smq_loop *loop)
{
    struct question *q = ctx;
    struct smq_worker_stats s;
    smq_worker_stats(smq_loop_worker(loop), &s);
    smq_log(q->log, SMQ_LOG_NOTICE, "Worker %u: %llu connections, %llu sessions, %llu subscriptions.",
            smq_loop_index(loop), (unsigned long long)s.connections, (unsigned long long)s.sessions,
            (unsigned long long)s.subscriptions);
    atomic_fetch_add(&q->connections, s.connections);
    atomic_fetch_add(&q->sessions, s.sessions);
    atomic_fetch_add(&q->subscriptions, s.subscriptions);
    atomic_fetch_add(&q->retained, s.retained);
    atomic_fetch_add(&q->queued, s.queued_messages);
    atomic_fetch_add(&q->in, s.publish_in);
    atomic_fetch_add(&q->out, s.publish_out);
    atomic_fetch_add(&q->dropped, s.publish_dropped);
    close_question(q, 1);
}

void stats_log(struct smq_crew *crew, const struct smq_log *log)
{
    struct question *q = calloc(1, sizeof *q);
    unsigned asked = 0;
    if (q == NULL) {
        smq_log(log, SMQ_LOG_ERR, "There is no memory for the numbers.");
        return;
    }
    q->log = log;
    atomic_init(&q->open, smq_crew_count(crew) + 1); /* one of our own, so that it lives until all were asked */
    smqtt_err err = smq_crew_call(crew, answer, q, &asked);
    if (err != SMQTT_OK) {
        smq_log(log, SMQ_LOG_ERR, "There is no memory to ask all workers for their numbers.");
    }
    close_question(q, smq_crew_count(crew) - asked + 1);
}
