/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_MESSAGE_H
#define SMQTT_BROKER_MESSAGE_H
/* A message that outlives the packet it came in: one reference-counted block of topic, properties and payload in the
 * form in which they stand on the wire of every version, so that it is shared by all receivers whatever they speak. */
#include "base/refbuf.h"
#include "base/utf8.h"
#include "broker/ledger.h"
#include "codec/packet.h"

struct smq_shared;
struct smq_body;

/** What stands at the start of the block; behind it topic (with its u16 length), properties, payload, source. The bytes
 * are on the account of the worker that made it, whoever drops the last reference. */
struct smq_msg {
    smqtt_ms expires; /* monotonic; SMQTT_NEVER: does not */
    struct smq_account *account;
    uint64_t version; /* of one that was published to be retained; 0: was not */
    uint32_t props_len, payload_len;
    uint16_t topic_len, source_len;
    uint8_t qos; /* as published */
    bool retain; /* as published */
    bool has_text, checked;
    uint8_t bytes[];
};

/** What a message is made of; views. */
struct smq_content {
    smq_span topic;
    smq_span props; /* wire form of those that are forwarded, without expiry; empty if none */
    smq_span payload;
    smq_span source;  /* who had it retained (broker/source.h); empty: nobody asks */
    smqtt_ms expires; /* monotonic; SMQTT_NEVER */
    uint64_t version; /* of one that was published to be retained: later ones have higher ones; 0: was not */
    uint8_t qos;
    bool retain;
    bool has_text; /* payload format indicator 1 */
};

/** Properties of a PUBLISH or will that travel on with the message. */
#define SMQ_FORWARDED                                                                              \
    (1u << SMQ_PROP_PAYLOAD_FORMAT | 1u << SMQ_PROP_CONTENT_TYPE | 1u << SMQ_PROP_RESPONSE_TOPIC | \
     1u << SMQ_PROP_CORRELATION_DATA | 1u << SMQ_PROP_USER_PROPERTY)

/** Makes a block with one owner and charges the account with it (who has a limit asks smq_account_reserve before).
 * NULL: no memory, or larger than a packet can be.
 * @param checked  all of it went through the codec's checks when it came in; else it is checked before it leaves */
struct smq_refbuf *smq_msg_new(const struct smqtt_mem *mem, const struct smq_content *c, bool checked,
                               struct smq_account *account) SMQ_MUST_USE;
/** Blocks of small messages between two uses, by size, of one worker: they come and go with every message of QoS 1 and
 * 2, and mostly in its thread. Those that another thread had are freed. */
struct smq_msg_spares;
/** Begins to keep them. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_msg_spares_begin(struct smq_account *account, const struct smqtt_mem *mem);
/** Frees those that are kept; none are any more. */
void smq_msg_spares_end(struct smq_account *account, const struct smqtt_mem *mem);

/** Gives up one ownership; the last gives its bytes back to its account. From any thread. NULL allowed. */
void smq_msg_unref(struct smq_refbuf *buf);
/** The fields of the block. */
static inline struct smq_msg *smq_msg_of(struct smq_refbuf *buf)
{
    return (struct smq_msg *)(void *)buf->data;
}
/** Views into the block. */
struct smq_content smq_msg_content(const struct smq_refbuf *buf);
/** Bytes that a block of this content takes. */
size_t smq_msg_size(const struct smq_content *c);
/** Is every string in it what MQTT and the policy allow? A true answer is remembered. */
bool smq_msg_is_sound(struct smq_refbuf *buf, enum smq_text_policy text, uint16_t max_levels);
/** Is the content sound? As above, before there is a block. */
bool smq_content_is_sound(const struct smq_content *c, enum smq_text_policy text, uint16_t max_levels);

/* A delivery: a message as one session shall get it. Most are the bare message; those with RETAIN set or with
 * subscription identifiers, those of a shared subscription, and those that have a row in the store have a small
 * wrapper. Callers see a pointer that they give back here. */

/** Where a delivery stands in the store. */
struct smq_delivery_row {
    uint64_t n;            /* number of its QUEUE row; 0: it is not written yet, or has been let go */
    struct smq_body *body; /* that the row names, counted there; NULL: the row holds the message itself */
};
enum { SMQ_DELIVERY_HAS_ROW = 2 }; /* a bit of the pointer, for smq_delivery_has_row alone */

/** One ownership of `msg` passes over on success. NULL: no memory; then it stays the caller's.
 * @param share  the shared subscription that it came through, borrowed; NULL: none */
void *smq_delivery_new(const struct smqtt_mem *mem, struct smq_refbuf *msg, bool retain, const uint32_t *ids,
                       size_t n_ids, struct smq_shared *share) SMQ_MUST_USE;
/** The same for one that has a row, which smq_delivery_row leads to; {0, NULL} at first. */
void *smq_delivery_new_stored(const struct smqtt_mem *mem, struct smq_refbuf *msg, bool retain, const uint32_t *ids,
                              size_t n_ids, struct smq_shared *share) SMQ_MUST_USE;
/** Is it of that kind? NULL is not. */
static inline bool smq_delivery_has_row(const void *delivery)
{
    return ((uintptr_t)delivery & SMQ_DELIVERY_HAS_ROW) != 0;
}
/** Its row. Only with smq_delivery_has_row. */
struct smq_delivery_row *smq_delivery_row(void *delivery);
/** Frees it and gives up its ownership of the message. NULL allowed. */
void smq_delivery_free(const struct smqtt_mem *mem, void *delivery);
/** Its message; still owned by the delivery. */
struct smq_refbuf *smq_delivery_msg(void *delivery);
/** Shall RETAIN be set? */
bool smq_delivery_retain(void *delivery);
/** The shared subscription that it came through, or NULL. */
struct smq_shared *smq_delivery_share(void *delivery);
/** That shared subscription is gone: this is an ordinary delivery from now on. */
void smq_delivery_forget_share(void *delivery);
/** Its subscription identifiers; returns how many. */
size_t smq_delivery_ids(void *delivery, const uint32_t **ids);

#endif
