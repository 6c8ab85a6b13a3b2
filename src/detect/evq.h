/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_EVQ_H
#define SMQTT_DETECT_EVQ_H
/* Queue of events with the bytes they speak of. Room is reserved before an endpoint changes its state, so that what it
 * has to say afterwards cannot fail. */
#include <smqtt/secure.h>

#include "base/span.h"

struct smq_evq_entry {
    struct smqtt_secure_event ev;
    size_t topic_at; /* of ev.topic in the queue's bytes, or SMQ_EVQ_BORROWED */
    size_t bytes_at;
    void *owner;   /* the endpoint's own */
    unsigned bits; /* the endpoint's own */
};

#define SMQ_EVQ_BORROWED SIZE_MAX

enum {
    SMQ_EVQ_TOPIC_END = 1 /* the zero behind a topic */
};

struct smq_evq {
    const struct smqtt_mem *mem;
    struct smq_evq_entry *entries;
    size_t head, tail, cap;
    uint8_t *bytes;
    size_t len, bytes_cap;
    size_t max_entries, max_bytes;
};

/** An empty queue with ceilings; allocates nothing. */
void smq_evq_init(struct smq_evq *q, const struct smqtt_mem *mem, size_t max_entries, size_t max_bytes);
/** Wipes and frees. */
void smq_evq_deinit(struct smq_evq *q);
/** Room for n more entries and `bytes` more bytes, which need not count the zeros behind topics and the header bytes
 * before packets. SMQTT_E_NOMEM, SMQTT_E_FULL (a ceiling). */
SMQ_MUST_USE smqtt_err smq_evq_reserve(struct smq_evq *q, size_t n, size_t bytes);
/** A cleared entry at the end; needs room reserved. Topic and bytes are taken as borrowed. */
struct smq_evq_entry *smq_evq_push(struct smq_evq *q, enum smqtt_secure_event_type type);
/** Copies into the queue's bytes, with a zero behind it; needs room reserved. */
void smq_evq_set_topic(struct smq_evq *q, struct smq_evq_entry *entry, smq_span topic);
/** Copies the body of a DETECT packet behind its header byte, which is not counted, and sets the header; needs room
 * reserved. In the tunnel header and body are one payload: smqtt_secure_event_request. */
void smq_evq_set_packet(struct smq_evq *q, struct smq_evq_entry *entry, uint8_t header, smq_span body);
/** Copies into the queue's bytes; needs room reserved. */
void smq_evq_set_bytes(struct smq_evq *q, struct smq_evq_entry *entry, smq_span bytes);
/** Where the next `len` bytes will be (reserved before); they become the entry's with smq_evq_own_bytes. */
uint8_t *smq_evq_tail(const struct smq_evq *q);
/** The entry's bytes are `skip` bytes behind the tail, `len` long; the tail moves by `used`. */
void smq_evq_own_bytes(struct smq_evq *q, struct smq_evq_entry *entry, size_t skip, size_t len, size_t used);
/** The first entry, taken off, with its spans in place; NULL when there is none. Valid until the next push or reserve.
 */
struct smq_evq_entry *smq_evq_pop(struct smq_evq *q);

#endif
