/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_PAGED_H
#define SMQTT_BROKER_PAGED_H
/* Queues longer than memory (docs/store.md): of what waits for a stored session, only the first messages are kept in
 * memory besides their rows, and what just came for one that keeps up. The others are asked for with GET when their
 * turn comes near. What is not their session's own row stays in memory: QoS 0, and what came by a shared subscription,
 * which may have to be given back at once. */
#include "broker/session.h"

enum {
    SMQ_QUEUE_ASKED = 256,    /* messages that are asked for at once: an answer takes as long as a commit */
    SMQ_QUEUE_IN_MEMORY = 64, /* those of a session that is away that are in memory, */
    SMQ_QUEUE_BYTES_IN_MEMORY = 1024 * 1024 /* and how many bytes of both, though one always is */
};

/** What a worker knows of queues with paged messages. */
struct smq_pager {
    struct smq_timer timer; /* set while there are such queues */
    struct smq_list list;   /* of smq_stored.paging */
    uint32_t round;         /* of looking at all of them, the one that is under way or the next */
    bool said;              /* that something is missing in the store */
};

void smq_pager_init(struct smq_pager *pager);
/** Is one more message, of so many bytes, to wait in the store only? Only with s->stored. */
bool smq_paged_takes(const struct smq_session *s, size_t bytes);
/** The session has no connection any more: what is not among the first messages is let go to the store. */
void smq_paged_away(struct smq_worker *w, struct smq_session *s);
/** Asks for the next messages if their turn comes near. Nothing happens without paged messages or a connection. */
void smq_paged_want(struct smq_worker *w, struct smq_session *s);
/** The queue has paged messages from now on. */
void smq_paged_begin(struct smq_worker *w, struct smq_session *s, uint32_t expires_s);
/** A time for struct smq_queued. */
static inline uint32_t smq_paged_expiry(smqtt_ms mono)
{
    smqtt_ms s = mono / 1000 + (mono % 1000 != 0);
    return s < UINT32_MAX ? (uint32_t)s : UINT32_MAX;
}

#endif
