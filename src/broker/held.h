/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_HELD_H
#define SMQTT_BROKER_HELD_H
/* What must not be said before all workers know of a subscription: SUBACK and UNSUBACK to clients, and to other workers
 * that their member has joined a group. What one connection waits for leaves in the order of its requests, and a
 * PINGRESP behind it: clients take that as the sign that the requests before it were answered. */
#include "broker/conn.h"
#include "broker/peer.h"

struct smq_held {
    struct smq_list of_worker;
    struct smq_conn *conn;   /* whose acknowledgement it is; NULL: its connection is gone, or it is for a worker */
    struct smq_held *before; /* of the same connection, which leaves first; NULL: none */
    struct smq_held *behind; /* the next one of it */
    struct smq_list pulls;   /* retained messages that are to follow it */
    struct smq_handle self;  /* for the answers to JOIN; none until the first is asked for */
    uint64_t awaited;        /* smq_peers.everyone must be there */
    struct smq_note_joined joined; /* to be said to a worker ... */
    unsigned to;                   /* ... this one */
    bool is_note;
    uint8_t type;     /* SMQ_SUBACK, SMQ_UNSUBACK, SMQ_PINGRESP */
    uint16_t id;      /* packet identifier */
    uint32_t n_joins; /* answers that it waits for */
    uint32_t n;
    uint8_t codes[]; /* one for each filter */
};

enum { SMQ_HELD_MAX = 200 }; /* of one connection; then it is not read any more */

/** An acknowledgement with n codes, to be filled in. SMQTT_E_NOMEM. It is given to smq_held_finish or smq_held_free. */
SMQ_MUST_USE smqtt_err smq_held_new(struct smq_worker *w, struct smq_conn *conn, enum smq_type type, uint16_t id,
                                    uint32_t n, struct smq_held **out);
/** A name for it, for notes. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_held_name(struct smq_worker *w, struct smq_held *held);
/** Sends it, now or when all workers know what was subscribed until now. SMQTT_E_NOMEM: it could not be sent, and is
 * freed. */
SMQ_MUST_USE smqtt_err smq_held_finish(struct smq_worker *w, struct smq_held *held);
/** A PINGRESP behind what the connection waits for. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_held_ping(struct smq_worker *w, struct smq_conn *conn);
void smq_held_free(struct smq_worker *w, struct smq_held *held);
/** What was said to JOIN goes to its worker now, or when all know. */
void smq_held_answer(struct smq_worker *w, unsigned to, const struct smq_note_joined *joined);
/** Sends what need not wait any more. */
void smq_held_release(struct smq_worker *w);
/** The connection ends: nobody waits for its acknowledgements. */
void smq_held_drop(struct smq_worker *w, struct smq_conn *conn);
/** Frees all. */
void smq_held_deinit(struct smq_worker *w);

#endif
