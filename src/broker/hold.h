/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_HOLD_H
#define SMQTT_BROKER_HOLD_H
/* Acknowledgements that wait for subscribers that have more waiting than they should (holds). They leave in the order
 * of their messages [MQTT-4.6.0-2] [MQTT-4.6.0-3]. A connection whose acknowledgements never waited has none of this.
 * What must be stored first is another matter (broker/gate.h). */
#include "broker/conn.h"

struct smq_waiting_ack {
    uint32_t bytes; /* of its message, as it came */
    uint16_t id;
    uint8_t type, reason;
};

/** What a connection has of it; freed when it is needed no more. */
struct smq_hold {
    uint64_t origin; /* 0: nobody asked for it yet */
    struct smq_waiting_ack *items;
    uint32_t head, n, cap; /* a ring; cap is a power of two */
    uint32_t holds;        /* who holds it at present */
    uint32_t n_puback;     /* among the items */
    uint64_t bytes;        /* of the messages of all items */
};

/** Do acknowledgements of this connection wait? Only with conn->hold. */
static inline bool smq_hold_waits(const struct smq_conn *conn)
{
    return conn->hold->holds != 0 || conn->hold->n != 0;
}
/** Acknowledges a PUBLISH of `bytes` bytes with PUBACK or PUBREC when those leave that wait. SMQTT_E_NOMEM. Only with
 * smq_hold_waits. */
SMQ_MUST_USE smqtt_err smq_hold_ack(struct smq_conn *conn, enum smq_type type, uint16_t id, uint8_t reason,
                                    size_t bytes);
/** One more that holds back the acknowledgements of this connection. SMQTT_E_NOMEM: it is not held. */
SMQ_MUST_USE smqtt_err smq_hold_begin(struct smq_conn *conn);
/** One less; with the last one what waited leaves. */
void smq_hold_end(struct smq_conn *conn);
/** The connection ends: nothing is acknowledged any more. */
void smq_hold_drop(struct smq_conn *conn);
/** Messages of QoS 1 whose PUBACK waits: with the open ones of QoS 2 they use up the receive maximum. */
static inline uint32_t smq_hold_n_puback(const struct smq_conn *conn)
{
    return conn->hold != NULL ? conn->hold->n_puback : 0;
}
/** Must reading of this connection pause? So it is for a client of version 3, to whom no receive maximum can be
 * announced, when that many acknowledgements wait; but not while it owes acknowledgements itself, which come behind its
 * messages: else two that publish to each other would wait for each other. */
bool smq_hold_pauses(const struct smq_conn *conn);

/* A publisher as others name it: its worker in the upper 16 bits, and a number that is never used again. */

/** The origin of what this connection publishes, for notes to other workers; 0: no memory. Ends with the connection. */
uint64_t smq_origin_of(struct smq_conn *conn);
/** Who is behind a routing: the local publisher, or the origin that came with the message; 0: nobody. */
struct smq_routing;
uint64_t smq_origin_of_routing(const struct smq_routing *r);
/** Holds (`on`) or lets go the publisher, here or, through w->tell_hold, on its own worker. Of one that is gone nothing
 * is heard. False: it could not be held. */
bool smq_origin_hold(struct smq_worker *w, uint64_t origin, bool on);

#endif
