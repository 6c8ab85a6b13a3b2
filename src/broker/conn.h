/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_CONN_H
#define SMQTT_BROKER_CONN_H
/* One network connection: its limits, its clock, what it has to send. A connection that is idle holds no buffers. */
#include "broker/message.h"
#include "broker/outq.h"
#include "broker/timer.h"
#include "broker/worker.h"
#include "codec/packet.h"

struct smq_session;
struct smq_alias_side;
struct smq_detect_side;
struct smq_hold;
struct smq_gates;
struct smq_exchange;

enum smq_conn_state {
    SMQ_CONN_AWAITS_CONNECT,
    SMQ_CONN_AWAITS_AUTH, /* CONNECT named a method, and its exchange is under way */
    SMQ_CONN_AWAITS_PACKETS,
    SMQ_CONN_OVER /* nothing more is read; the fate tells what the shell shall do */
};

struct smq_conn {
    struct smq_worker *worker;
    void *user;
    const struct smq_listener_config *listener; /* borrowed */
    struct smq_session *session;                /* from CONNECT to the end */
    struct smq_alias_side *alias;               /* numbers of topics, both ways; NULL until the first */
    struct smq_detect_side *detect;             /* NULL until the first DETECT or registration */
    struct smq_hold *hold;                      /* acknowledgements that wait (broker/hold.h); NULL until the first */
    struct smq_gates *gates;                    /* bytes that wait for the store (broker/gate.h); NULL: none */
    struct smq_exchange *exchange; /* a login that is under way, or that may be repeated (on_auth.c); NULL: none */
    uint64_t stamp;                /* what its login rests on: see struct smq_auth */
    struct smq_list of_worker, dirty;
    struct smq_timer timer; /* the nearest of the deadlines; reckoned anew when it fires */
    struct smq_outq out;
    struct smq_codec codec;
    smqtt_ms last_in;        /* when the last whole packet came, or the connection itself */
    smqtt_ms part_in;        /* since when a part of a packet waits for its rest; SMQTT_NEVER */
    uint32_t keep_alive_ms;  /* one and a half times [MQTT-3.1.2-22]; 0: none */
    uint32_t max_packet_out; /* what the client takes [MQTT-3.1.2-24]; 0: everything */
    uint16_t receive_max;    /* messages of QoS 1 and 2 that the client takes at a time */
    uint16_t mount_len;      /* bytes of the listener's mount_point; 0: none */
    bool own_form;           /* topics are written in a way of its own: packets cannot be shared */
    uint16_t next_owner;     /* with SMQ_FATE_HANDOVER */
    uint8_t doom;            /* smqtt_err that it is to be ended for when nothing else is under way */
    uint8_t state;           /* enum smq_conn_state */
    uint8_t fate;            /* enum smq_conn_fate */
    uint8_t n_held;          /* SUBACKs and UNSUBACKs that wait (broker/held.h) */
    bool handed_over;
    bool is_bridge; /* it said so, as Mosquitto's bridges of 3.x do */
    bool stalled;   /* the next packet is a PUBLISH, and waits for other workers or the store */
    char peer[];
};

/** A connection of version 5? It gets reasons and properties. */
static inline bool smq_conn_is_v5(const struct smq_conn *conn)
{
    return conn->codec.version == SMQTT_V5;
}
static inline bool smq_conn_is_open(const struct smq_conn *conn)
{
    return conn->state == SMQ_CONN_AWAITS_PACKETS;
}

enum { SMQ_ROOM_FOR_WORDS = 512 }; /* clients that take smaller packets get the necessary only */

/** Does it not take what it is sent, so that what may be lost is not written to it any more? */
bool smq_conn_is_full(const struct smq_conn *conn);
/** Puts it into the list of those that the shell looks at. */
void smq_conn_make_dirty(struct smq_conn *conn);
/** Writes any packet. What is larger than the client takes is left out (SMQTT_OK), as the standard wants.
 *  SMQTT_E_NOMEM; SMQTT_E_BAD_… when a string in it is ill-formed: nothing was written then. */
SMQ_MUST_USE smqtt_err smq_conn_write(struct smq_conn *conn, const struct smq_packet *pkt);
/** Adds a Reason String, unless the client takes small packets only [MQTT-3.2.2-19] [MQTT-3.14.2-3]. */
void smq_conn_explain(const struct smq_conn *conn, struct smq_props *props, const char *why);
/** Writes PUBACK, PUBREC, PUBREL or PUBCOMP. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_conn_write_ack(struct smq_conn *conn, enum smq_type type, uint16_t id, uint8_t reason);

/** How a PUBLISH is to be written for one receiver. */
struct smq_send {
    const struct smq_content *content;
    struct smq_refbuf *msg; /* its block, to be referred to; NULL: everything is copied */
    const uint32_t *ids;    /* subscription identifiers */
    size_t n_ids;
    uint16_t id; /* packet identifier with QoS 1 and 2 */
    uint8_t qos;
    bool dup, retain;
    bool as_it_is; /* the topic is not one of the broker's tree: no mount point belongs to it */
};
enum { SMQ_COPY_MAX = 256 }; /* messages up to here are copied rather than referred to */

/** Writes a PUBLISH without looking at its strings again. SMQTT_E_NOMEM; SMQTT_E_TOO_LARGE for this client: nothing was
 * written. */
SMQ_MUST_USE smqtt_err smq_conn_send(struct smq_conn *conn, const struct smq_send *send);
/** The same into plain memory; for small content. Returns the length. id_at: where the packet identifier stands. */
size_t smq_send_write(const struct smq_send *send, bool v5, smqtt_ms mono, uint8_t *out, size_t cap, size_t *id_at);

/**
 * Ends the connection for something the client did or what happened to it: tells the reason where the version and the
 * moment allow, deals with session and will, and sets the fate. Nothing happens when it is over already.
 */
void smq_conn_fail(struct smq_conn *conn, smqtt_err err);
/** The same, but not before the next tick: for those who are in the middle of something that a lost session would
 * upset. */
void smq_conn_doom(struct smq_conn *conn, smqtt_err err);
/** The same with a reason code of MQTT 5.0, 0 = say nothing; `why` is for the log. */
void smq_conn_kick(struct smq_conn *conn, uint8_t reason, const char *why);
/** The connection ends, whoever wanted it. with_will: its will is due. No DISCONNECT is sent. */
void smq_conn_end(struct smq_conn *conn, enum smq_conn_fate fate, bool with_will);
/** Sets the timer to the nearest deadline. */
void smq_conn_arm(struct smq_conn *conn);

#endif
