/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_SLOW_H
#define SMQTT_BROKER_SLOW_H
/* Subscribers that do not take their messages as fast as they come (docs/workers.md, "Back-pressure"): what is kept for
 * them, what is dropped, and who has to wait for them. */
#include "broker/session.h"

/** A session that has more waiting than its high mark, until it is down to the low mark. */
struct smq_slow {
    struct smq_session *session;
    struct smq_timer timer;
    smqtt_ms progressed; /* when it last took something */
    bool stalled;        /* took nothing for too long: nobody waits for it, and what comes is dropped */
    uint64_t *held;      /* origins of the publishers that wait: a table with open addressing, 0: free */
    uint32_t n, cap;
};

/** May a message of this size wait in the session's queue? Makes room, makes the publisher wait, or dooms the
 * subscriber's connection, as the policy says. False: it is to be dropped. */
bool smq_slow_admit(struct smq_worker *w, struct smq_session *s, const struct smq_routing *r, size_t bytes);
/** One message was dropped: counted, and said once in a while. */
void smq_slow_dropped(struct smq_worker *w, struct smq_session *s);
/** The subscriber took bytes, and has more to take. Only with s->slow. */
void smq_slow_took_bytes(struct smq_worker *w, struct smq_session *s);
/** The subscriber took messages off its queue. Only with s->slow. */
void smq_slow_took_messages(struct smq_worker *w, struct smq_session *s);
/** Its connection or the session ends: nobody waits for it any more. */
void smq_slow_end(struct smq_worker *w, struct smq_session *s);

#endif
