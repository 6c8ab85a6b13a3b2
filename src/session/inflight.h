/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_SESSION_INFLIGHT_H
#define SMQTT_SESSION_INFLIGHT_H
/* Outgoing QoS 1 and 2 messages between PUBLISH and their last acknowledgement; the same for broker and client. Found
 * by packet identifier in O(1), walked in the order in which they were first sent. Memory grows with what is in flight
 * and shrinks back to nothing. */
#include "base/mem.h"

enum smq_out_state { SMQ_OUT_FREE = 0, SMQ_OUT_WAIT_PUBACK, SMQ_OUT_WAIT_PUBREC, SMQ_OUT_WAIT_PUBCOMP };

struct smq_out_slot {
    void *msg;     /* the caller's; NULL once PUBREC came and it was let go [MQTT-4.3.3-7] */
    uint16_t id;   /* 0 = free */
    uint8_t state; /* enum smq_out_state */
    uint8_t sent;  /* sent on this connection already: the next time it is a DUP */
};

/** The table is a ring of slots indexed by id modulo its size; identifiers are taken in rising order, so that the walk
 * from oldest to newest is the order of sending. */
struct smq_inflight {
    struct smq_out_slot *slots;
    uint32_t size;    /* power of two, 0 = none yet */
    uint32_t count;   /* slots in use */
    uint16_t next_id; /* where the next search starts */
    uint16_t oldest;  /* not newer than the oldest in use; meaningful with count > 0 */
};

void smq_inflight_init(struct smq_inflight *f);
/** Frees the table; the messages are the caller's (walk them first). */
void smq_inflight_deinit(struct smq_inflight *f, const struct smqtt_mem *mem);
/** Takes a free identifier (never 0) [MQTT-2.2.1-2] for a message of QoS 1 or 2. `max` is the peer's receive maximum.
 *  SMQTT_E_BUSY when max are in flight, or when the identifiers have come round to the oldest one, which must be
 *  acknowledged first; SMQTT_E_NOMEM. *slot stays valid until the next add or remove. */
SMQ_MUST_USE smqtt_err smq_inflight_add(struct smq_inflight *f, const struct smqtt_mem *mem, uint8_t qos, void *msg,
                                        uint16_t max, struct smq_out_slot **slot);
/**
 * Puts back one that was in flight before a new start, with its identifier. To be called in the order in which they
 * were first sent, the oldest first, before anything is added: the walk keeps that order [MQTT-4.6.0-1], whatever
 * identifiers are missing between them and wherever they wrap around.
 * @param state  not SMQ_OUT_FREE
 * @param msg    the caller's; NULL as long as it is to come, and with SMQ_OUT_WAIT_PUBCOMP
 * @retval SMQTT_E_USAGE  identifier 0, or one that is in flight already; SMQTT_E_NOMEM. Nothing changed.
 */
SMQ_MUST_USE smqtt_err smq_inflight_restore(struct smq_inflight *f, const struct smqtt_mem *mem, uint16_t id,
                                            enum smq_out_state state, void *msg, struct smq_out_slot **slot);
/** The slot of an identifier, or NULL. */
struct smq_out_slot *smq_inflight_find(struct smq_inflight *f, uint16_t id);
/** Frees the slot; the last one frees the table. */
void smq_inflight_remove(struct smq_inflight *f, const struct smqtt_mem *mem, struct smq_out_slot *slot);
/** Walks from oldest to newest: start with NULL. NULL at the end. Nothing may be added or removed meanwhile. */
struct smq_out_slot *smq_inflight_next(struct smq_inflight *f, struct smq_out_slot *after);

/** What an acknowledgement does to a slot: the QoS machine of the sender [MQTT-4.3.2] [MQTT-4.3.3]. */
enum smq_out_action {
    SMQ_OUT_DONE,          /* delivered: let the message go, remove the slot */
    SMQ_OUT_SEND_PUBREL,   /* PUBREC: let the message go, send PUBREL */
    SMQ_OUT_RESEND_PUBREL, /* PUBREC again for one that waits for PUBCOMP: send PUBREL */
    SMQ_OUT_FAILED,        /* the peer refused with a reason >= 0x80: let go, remove */
    SMQ_OUT_UNKNOWN, /* no such identifier in flight: PUBREC is answered by PUBREL 0x92 in version 5, others ignored */
    SMQ_OUT_WRONG    /* an acknowledgement of the other QoS: protocol error */
};
/** type: 4 PUBACK, 5 PUBREC, 7 PUBCOMP. Advances the slot's state; the caller does what is returned. *slot may be NULL
 * on UNKNOWN. */
enum smq_out_action smq_inflight_ack(struct smq_inflight *f, uint8_t type, uint16_t id, uint8_t reason,
                                     struct smq_out_slot **slot);

/* Identifiers of received QoS 2 messages between PUBREC and PUBREL: the receiver's half of exactly once
 * [MQTT-4.3.3-10]. A sorted array, bounded by the receive maximum that was announced. */
struct smq_qos2_in {
    uint16_t *ids;
    uint32_t n, cap;
};
void smq_qos2_in_init(struct smq_qos2_in *q);
void smq_qos2_in_deinit(struct smq_qos2_in *q, const struct smqtt_mem *mem);
/** *fresh tells whether it is new (deliver) or a repetition (only PUBREC again). SMQTT_E_RECEIVE_MAX when max are open,
 * SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_qos2_in_add(struct smq_qos2_in *q, const struct smqtt_mem *mem, uint16_t id, uint16_t max,
                                       bool *fresh);
/** PUBREL: was it open? (PUBCOMP 0x92 if not.) */
bool smq_qos2_in_release(struct smq_qos2_in *q, const struct smqtt_mem *mem, uint16_t id);

#endif
