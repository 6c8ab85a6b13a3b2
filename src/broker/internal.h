/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_INTERNAL_H
#define SMQTT_BROKER_INTERNAL_H
/* The worker itself, and the handlers of packets. */
#include "base/map.h"
#include "broker/conn.h"
#include "broker/paged.h"
#include "broker/peer.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/tombs.h"
#include "broker/sys.h"
#include "broker/trie.h"

struct smq_worker {
    const struct smqtt_mem *mem;
    struct smqtt_rng rng;
    const struct smq_log *log;
    const struct smq_broker_config *config;
    const struct smq_frame *frame; /* the packet that is being taken */
    smqtt_err (*defer)(void *ctx, uint64_t ticket, const char *peer, const struct smq_login_work *work,
                       smq_span password);
    void *defer_ctx;
    struct smq_list logins; /* exchanges whose password is checked elsewhere */
    uint64_t n_tickets;     /* given out so far */
    uint32_t auth_turn;     /* counts configurations, from 1: what sessions remember of older ones is found anew */
    unsigned index, count;
    uint8_t key[16];
    struct smqtt_now now; /* of the call that is under way */
    struct smq_wheel wheel;
    struct smq_map sessions; /* client identifier -> struct smq_session */
    struct smq_trie trie;
    struct smq_retain retain;
    struct smq_peers peers;
    struct smq_tombs tombs;
    struct smq_handles handles;
    struct smq_list helds;     /* of smq_held: what waits until all workers know of a subscription */
    struct smq_list pulls;     /* of smq_pulls that go on in the next turn */
    struct smq_list questions; /* of smq_question: other workers want retained messages */
    struct smq_map shareds;    /* session and filter -> struct smq_shared */
    struct smq_map groups;     /* $share/group/filter -> struct smq_group, of those that belong here */
    struct smq_map members;    /* worker and handle -> struct smq_member of them */
    uint64_t n_pulls;
    uint64_t n_rounds, round_awaited; /* rounds that ended, and the last one that something waits for */
    bool has_more;                    /* work was left because a turn has an end */
    bool ending;                      /* everything is freed, and nobody is told */
    struct smq_list conns, dirty;
    struct smq_chunk_pool chunks;
    struct smq_map servers;       /* skid -> struct smq_server */
    struct smq_map relays;        /* skid and cid -> struct smq_relay */
    struct smq_session *listener; /* nobody's: subscribes to what servers in the tunnel answer (broker/convert.h) */
    uint64_t n_listening;         /* its subscriptions */
    struct smqtt_opener *opener;  /* the broker's own identity; NULL: none */
    struct smq_server *own;       /* and its entry in `servers` */
    bool own_shown;               /* its descriptor was published */
    uint64_t n_made;              /* sessions so far: makes their hashes differ */
    struct smq_ledger *ledger;    /* of all workers, or */
    struct smq_ledger own_ledger;
    struct smq_account *account; /* the bytes of the messages that were made here */
    uint64_t mark;               /* committed up to here; acknowledgements with a higher one wait (broker/gate.h) */
    const struct smq_store_figures *store_figures; /* NULL: none */
    bool has_store, store_lost;                    /* lost: a row could not be written for want of memory */
    uint8_t store_state;                           /* enum smq_store_state */
    struct smq_writes *writes;                     /* of this turn; NULL: nothing yet */
    uint64_t n_ended;                              /* number of the last ones that end a session */
    uint64_t n_written;                            /* number of the last writes that were begun */
    uint64_t n_rows_written;   /* rows put or deleted so far; counted also when there is no memory for them */
    struct smq_list bodies;    /* of smq_body: all there are */
    uint64_t n_bodies;         /* numbers given to bodies so far: the lower bits of the last mid */
    struct smq_map sids;       /* sid -> struct smq_session, of those that are stored */
    struct smq_pager pager;    /* of what waits in the store only */
    struct smq_list tomb_rows; /* rows of removals, until no older message can come (durable_session.c) */
    struct smq_list gated;     /* of smq_gates, those that were closed first before */
    uint64_t n_origins;        /* numbers given to publishers so far */
    struct smq_map origins;    /* origin -> struct smq_conn, of those that somebody asked for */
    /* Asks worker `owner` to hold (`on`) or to let go a publisher; false: it cannot be told. NULL: there are no others
     */
    bool (*tell_hold)(struct smq_worker *w, unsigned owner, uint64_t origin, bool on);
    struct smq_sys *sys; /* NULL: another worker tells */
    struct smq_worker_stats stats;
};

/** What a handler is given: an open connection and a packet that the codec has read. */
typedef smqtt_err (*smq_handler)(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);

/* Each returns SMQTT_OK, or what the connection is to be ended for. They may end it themselves. */
SMQ_MUST_USE smqtt_err smq_on_connect(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_publish(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_ack(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_pubrel(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_subscribe(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_unsubscribe(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_pingreq(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_disconnect(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_auth(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
SMQ_MUST_USE smqtt_err smq_on_detect(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);

/* on_auth.c */

/** Does the client of this CONNECT come in? SMQTT_E_AGAIN: not known yet. Then either smq_auth_waits, or the state is
 * SMQ_CONN_AWAITS_AUTH; smq_connect_finish is called later. Other errors: it does not. */
SMQ_MUST_USE smqtt_err smq_auth_login(struct smq_worker *w, struct smq_conn *conn, const struct smq_connect *c);
/** Is its password being checked elsewhere? Then CONNECT stays unread and is read again. */
bool smq_auth_waits(const struct smq_conn *conn);
/** It comes in: sets the user that the method found, if any, and notes what the login rests on. */
void smq_auth_enter(struct smq_worker *w, struct smq_conn *conn, struct smq_connect *c);
/** Method and data for CONNACK [MQTT-4.12.0-5]. */
void smq_auth_put_props(const struct smq_conn *conn, struct smq_props *props);
/** CONNACK was written: what only the login needed is let go. */
void smq_auth_settled(struct smq_conn *conn);
/** The connection ends. */
void smq_auth_drop(struct smq_conn *conn);
/** When its exchange must be over; SMQTT_NEVER while it is we who take long. Only for states before the session. */
smqtt_ms smq_auth_deadline(const struct smq_conn *conn);
/** A packet in state SMQ_CONN_AWAITS_AUTH. Errors: what CONNACK shall say. */
SMQ_MUST_USE smqtt_err smq_auth_continue(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt);
/** The table in force for a listener: that of the configuration's listener of this id; with none of it that of `conn`
 * (NULL: nobody may do anything, unless no listener has a table and id is 0). NULL: everything is allowed. */
const struct smq_auth *smq_auth_of(const struct smq_worker *w, uint32_t listener_id, const struct smq_conn *conn);
/** Is it the table of a place that is gone? What waits for a session of such a place is judged when it comes back. */
bool smq_auth_is_unknown(const struct smq_auth *auth);
/** After a new configuration: disconnects clients that would not be let in as they were. */
void smq_auth_review(struct smq_worker *w);
/** The second half of CONNECT: session and CONNACK, or a refusal for `err`. nameless: it named no client identifier. */
SMQ_MUST_USE smqtt_err smq_connect_finish(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt,
                                          bool nameless, smqtt_err err);
/** A CONNECT that could not be read: says so in the client's dialect as far as it can be told, and ends. */
void smq_connect_refuse_unread(struct smq_conn *conn, const struct smq_frame *frame, smqtt_err err);
/* What `memory_limit` reckons for a session with its connection, and for a subscription with its filter. Queues refer
 * to messages, which count once. */
enum { SMQ_SESSION_BYTES = 640, SMQ_SUBSCRIPTION_BYTES = 256 };
/** Bytes that are in use here besides messages. */
static inline uint64_t smq_worker_fixed_bytes(const struct smq_worker *w)
{
    uint64_t subscriptions = (uint64_t)w->trie.n * SMQ_SUBSCRIPTION_BYTES;
    return (uint64_t)smq_map_count(&w->sessions) * SMQ_SESSION_BYTES + subscriptions;
}
/** May there be n bytes more, as `memory_limit` says? */
static inline bool smq_worker_has_room(struct smq_worker *w, uint64_t n)
{
    return smq_account_reserve(w->ledger, w->account, n + smq_worker_fixed_bytes(w), w->config->memory_limit);
}
/** Is a PUBLISH taken from clients? Other workers and the store must have place for what comes of it. */
static inline bool smq_worker_takes_publish(const struct smq_worker *w)
{
    return w->peers.full == 0;
}
/** That may have changed: who waited with a PUBLISH is read again. */
void smq_worker_read_again(struct smq_worker *w);
/** May a session do that? See smq_session_ask. */
static inline bool smq_session_may(struct smq_worker *w, struct smq_session *s, smq_span topic, enum smq_access kind)
{
    return (s->auth == NULL && s->auth_turn == w->auth_turn) || smq_session_ask(w, s, topic, kind);
}
/** The worker that owns a client identifier. */
unsigned smq_worker_owner(const struct smq_worker *w, smq_span client_id);

#endif
