/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_QUEUE_H
#define SMQTT_BROKER_QUEUE_H
/* The messages that wait for their turn with one session: a ring of small items, of which some may be in the store only
 * (broker/paged.h). Numbers of rows rise from the head on. */
#include "broker/durable.h"

enum { SMQ_QUEUED_BYTES_MAX = (1 << 29) - 1 };

/** Item i behind the head. */
static inline struct smq_queued *smq_queue_at(const struct smq_queue *q, uint32_t i)
{
    return &q->items[(q->head + i) & (q->cap - 1)];
}
/** An item, not paged, with what the accounts want. */
struct smq_queued smq_queued_of(void *delivery, uint8_t qos, size_t bytes);
/** Appends it. False: no memory. */
bool smq_queue_push(struct smq_queue *q, const struct smqtt_mem *mem, struct smq_queued item) SMQ_MUST_USE;
/** Takes the first off; what it refers to is the caller's. */
void smq_queue_pop(struct smq_queue *q, const struct smqtt_mem *mem);
/** The item i is done with, wherever it stands: its row goes, and its message. Counts nothing as dropped. */
void smq_queue_remove(struct smq_worker *w, struct smq_session *s, uint32_t i);

/* ---- for recovery */

/** Appends a message that waits, of which there is a row with number n, higher than those before; body has
 * counted the row (NULL: it holds the message itself).
 * @param bytes    of the message, as the row says
 * @param expires  monotonic; SMQTT_NEVER
 * @retval SMQTT_E_NOMEM */
SMQ_MUST_USE smqtt_err smq_queue_restore(struct smq_worker *w, struct smq_session *s, uint64_t n, struct smq_body *body,
                                         size_t bytes, uint8_t qos, smqtt_ms expires);
/** The delivery of a row with number n, for one that is in flight; body has counted the row (NULL: it holds the message
 * itself). An ownership of `msg` is taken. NULL: no memory, nothing changed. */
void *smq_queue_restore_delivery(struct smq_worker *w, struct smq_session *s, uint64_t n,
                                 const struct smq_row_queue *row, struct smq_body *body,
                                 struct smq_refbuf *msg) SMQ_MUST_USE;
/** The same without a row yet (paged.c): what the row says of it, and the message. */
void *smq_paged_delivery(struct smq_worker *w, struct smq_session *s, const struct smq_row_queue *row,
                         struct smq_refbuf *msg) SMQ_MUST_USE;

#endif
