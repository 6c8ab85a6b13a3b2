/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_OUTQ_H
#define SMQTT_BROKER_OUTQ_H
/* What a connection has to send: small things are written into chunks of its own, large messages are referred to. An
 * empty queue holds no memory. */
#include "base/refbuf.h"

enum { SMQ_FORMS = 2 }; /* version 3.x, version 5 */

struct smq_chunk {
    struct smq_chunk *next; /* in the pool */
    uint32_t refs, cap, fill;
    bool is_shared; /* belongs to several queues: none of them writes into it */
    uint8_t data[];
};

/** Chunks between two uses; one pool a worker. Keeps a bounded number. */
struct smq_chunk_pool {
    const struct smqtt_mem *mem;
    struct smq_chunk *free[2]; /* small, large */
    unsigned n[2];
    /* Being filled for many queues, one for each form in which they get a message, so that each queue's stand behind
     * each other; NULL until the first. */
    struct smq_chunk *shared[SMQ_FORMS];
    uint64_t shared_round; /* grows when something that stood there before is not to be referred to any more */
};

/* Every idle connection has one place for a segment, so it is kept small. */
struct smq_seg {
    const uint8_t *data;
    union {
        struct smq_refbuf *msg;  /* a message, or */
        struct smq_chunk *chunk; /* a piece of a chunk */
    };
    uint32_t len;
    bool is_msg;
};

struct smq_outq {
    union {
        struct smq_seg one;   /* cap 0: there is one at most */
        struct smq_seg *segs; /* else */
    };
    uint32_t head, n, cap;
    size_t bytes;
};

void smq_chunk_pool_init(struct smq_chunk_pool *pool, const struct smqtt_mem *mem);
/** Frees what is kept. */
void smq_chunk_pool_deinit(struct smq_chunk_pool *pool);

void smq_outq_init(struct smq_outq *q);
/** Drops everything. */
void smq_outq_clear(struct smq_outq *q, struct smq_chunk_pool *pool);
/** Makes room so that one smq_outq_append and then one smq_outq_put_msg find a place in the list. False: no memory. */
bool smq_outq_reserve_msg(struct smq_outq *q, struct smq_chunk_pool *pool);
/** Appends n bytes, in one piece, for the caller to fill in at once. NULL without memory: nothing changed. */
uint8_t *smq_outq_append(struct smq_outq *q, struct smq_chunk_pool *pool, size_t n);
/** Room for n bytes that many queues shall send in this form (0..SMQ_FORMS-1), to be filled at once, then given to each
 * by smq_outq_share as long as pool->shared_round stays what it is now. NULL without memory. */
uint8_t *smq_chunk_pool_share(struct smq_chunk_pool *pool, unsigned form, size_t n);
/** Appends such bytes without copying them. Behind each other they stay one span. False when the queue has waited for
 * so long that it would keep too many chunks alive, or without memory: then nothing changed and the bytes are to be
 * appended. */
bool smq_outq_share(struct smq_outq *q, struct smq_chunk_pool *pool, unsigned form, const uint8_t *at, size_t n);
/** Appends a part of a message, of which it becomes an owner. Only behind smq_outq_reserve_msg and smq_outq_append. */
void smq_outq_put_msg(struct smq_outq *q, struct smq_refbuf *msg, smq_span part);
/** The first bytes as up to max spans; returns how many. */
size_t smq_outq_spans(const struct smq_outq *q, struct smqtt_span *spans, size_t max);
/** n bytes have left. */
void smq_outq_consume(struct smq_outq *q, struct smq_chunk_pool *pool, size_t n);

#endif
