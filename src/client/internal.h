/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CLIENT_INTERNAL_H
#define SMQTT_CLIENT_INTERNAL_H
/* The client's inside, shared by its files: client.c (life, time, output), client_in.c (packets that came),
 * client_faulty.c (those with strings that MQTT does not allow), client_out.c (what is to be sent), client_secure.c
 * (sealer and opener). */
#include <smqtt/client.h>

#include "base/bytebuf.h"
#include "base/list.h"
#include "codec/faulty.h"
#include "codec/packet.h"
#include "session/inflight.h"

enum client_state {
    CLIENT_DOWN,         /* no transport */
    CLIENT_WAIT_CONNACK, /* CONNECT is in the output */
    CLIENT_UP,
    CLIENT_ENDING /* nothing more is taken; the rest of the output may leave, then the transport is closed */
};

enum {
    CLIENT_OPEN_BATCH = 32,         /* messages given to the opener before its events are pulled: one commit for all */
    CLIENT_CONNACK_WAIT_MS = 30000, /* for CONNACK, and for PINGRESP */
    CLIENT_SEND_MAX_V3 = 20,        /* in flight where the broker cannot say how many it takes: more QoS 2 messages than
                                       this are held back by Mosquitto 2.0.11 */
    CLIENT_REFUSED = 0x80,          /* reason codes from here on are refusals */
    CLIENT_RETRY_MS = 1000,         /* first pause after a failed handshake; doubles */
    CLIENT_RETRY_MAX_MS = 60000,
    CLIENT_FOLLOW_MS = 10000, /* receipts of a session are awaited before a successor's takes its place */
    CLIENT_REQUESTS_MAX = 256 /* SUBSCRIBE and UNSUBSCRIBE under way */
};

/** A message on its way out; topic, payload and properties lie behind it. */
struct client_msg {
    struct smq_list node;
    uint64_t token;
    smq_span topic, payload, props;
    uint8_t qos, reason;
    bool retain, text, receipt;
    bool carrier;     /* a sealed record; its message, if `receipt`, waits in `sealed` for that */
    bool sealed_sent; /* in `sealed`: a record of it is on its way, named by kid and seq */
    uint32_t kid;
    uint64_t seq;
};

/** A SUBSCRIBE or UNSUBSCRIBE that waits for its answer. */
struct client_request {
    uint64_t token; /* 0: the client's own */
    uint32_t n;
    uint16_t id;
    bool unsubscribe;
};

/** What is kept of a PUBLISH while the opener has its payload. */
struct client_pending {
    uint8_t qos;
    bool retain, dup;
    smq_span props;
};

/** A server that this client is, with what it was given and has not answered yet. */
struct client_opener {
    struct smqtt_opener *opener;
    struct client_pending pending[CLIENT_OPEN_BATCH];
    size_t from, n;
};

/** A topic that the broker gave an alias. */
struct client_alias {
    struct client_alias *next;
    uint16_t alias;
    smqtt_err err; /* what is wrong with the topic, SMQTT_OK for a good one */
    size_t len;
    uint8_t topic[];
};

/** A topic to which sealer or opener want to be subscribed, or not any more. */
struct client_topic {
    struct smq_list node;
    smq_span topic;
    uint16_t request; /* under way on this connection; 0: none */
    bool wanted;      /* else it is forgotten when the broker has forgotten it */
    bool asked;       /* what the request wants */
    bool settled;     /* the broker has answered to what is wanted */
    bool of_server;   /* clients send there: a client in the tunnel */
};

struct smqtt_client {
    const struct smqtt_mem *mem;
    struct smqtt_client_config config; /* spans point into `owned` */
    struct smqtt_will will;
    uint8_t *owned;
    enum client_state state;
    struct smqtt_now now;
    struct smq_codec read_codec, write_codec;

    struct smq_bytebuf in, late, out; /* late: bytes that came while the opener still looks into `in` */
    size_t in_used;                   /* bytes of `in` that are done with once the next call comes */

    struct smq_list queue;    /* client_msg: not yet sent */
    struct smq_list done;     /* client_msg: PUBLISHED is to be told */
    struct client_msg *shown; /* whose event was handed out last */
    size_t n_queued;
    struct smq_inflight inflight;
    struct smq_qos2_in qos2_in;
    struct client_request requests[CLIENT_REQUESTS_MAX];
    size_t n_requests;
    uint16_t next_request_id;
    uint64_t next_token;
    uint16_t send_max; /* the broker's receive maximum, or max_inflight where that is less */
    struct {
        uint8_t max_qos;
        bool no_retain;
        uint16_t max_alias;
    } takes;           /* what the broker announced for PUBLISH */
    uint32_t n_unsent; /* in flight since an earlier connection, and not yet repeated on this one */

    bool closed_event;
    bool close_reason_known;
    smqtt_err close_err;
    uint8_t close_reason;

    uint16_t keep_alive_s; /* in force */
    smqtt_ms last_sent, ping_sent, connect_sent;
    bool ping_waits;

    struct smqtt_sealer *sealer;
    struct client_opener openers[SMQTT_OPENERS_MAX];
    size_t n_openers;
    enum smqtt_path path;
    bool native, tunnel; /* how DETECT travels on this connection; neither: not at all */
    bool no_native_event, handshake;
    bool resumes;           /* there was a connection, and the next one goes on with its session */
    uint8_t own_reason;     /* what the broker said to S-MQTT's own packets; a refusal stays */
    bool sealer_speaks;     /* it may have events that come before anything is sealed */
    bool follows;           /* `handshake` is with a successor, beside a session */
    smqtt_ms follow_at;     /* monotonic: then receipts of that are not awaited any more; 0: nothing is */
    bool sealer_first;      /* on a new connection: step 3 may have to leave before records of its session */
    struct smq_list sealed; /* client_msg: to be sealed, or waiting for a receipt */
    uint64_t handshake_token;
    smqtt_ms retry_at;
    uint32_t retry_ms;
    struct smq_list topics;       /* client_topic */
    struct client_alias *aliases; /* what the broker's aliases stand for, on this connection */
    uint16_t alias_max;           /* as our CONNECT offers */
    size_t pending_n;             /* of all openers */
    struct smq_faulty faulty; /* the first bad string of the packet that is handled; err is SMQTT_OK: there is none */
    struct smqtt_client_counts counters;
};

/* client.c */
/** Ends the connection: DISCONNECT with the error's reason where version 5 allows, then event CLOSED. */
void smq_client_fail(struct smqtt_client *c, smqtt_err err);
/** Puts a packet into the output; failures end the connection. */
smqtt_err smq_client_put(struct smqtt_client *c, const struct smq_packet *pkt);

/* client_in.c */
/** An event that shows a PUBLISH as it came. */
void smq_client_describe(const struct smqtt_client *c, const struct smq_publish *publish,
                         enum smqtt_client_event_type type, struct smqtt_client_event *event);
/** Forgets the broker's topic aliases: they end with the connection. */
void smq_client_forget_aliases(struct smqtt_client *c);
/** Reads the next packets from `in`: true when *event was filled in. */
bool smq_client_read(struct smqtt_client *c, struct smqtt_client_event *event);

/* client_faulty.c */
/** A packet was refused with `err`. When it is because of a string, and such packets are to be taken, it is read
 * without looking at strings, and c->faulty says which one was meant. Else, and for what is wrong with it besides, the
 * error. */
smqtt_err smq_client_read_faulty(struct smqtt_client *c, const struct smq_frame *frame, smqtt_err err,
                                 struct smq_packet *pkt);
/** Tells of a PUBLISH whose faulty string is c->faulty. */
void smq_client_quarantine(struct smqtt_client *c, const struct smq_publish *publish, struct smqtt_client_event *event);
/** A string of a packet that was read with a faulty one: itself, or the empty one where it is bad. */
smq_span smq_client_sound(const struct smqtt_client *c, smq_span text);

/** Does this connection start without what the broker may have kept? */
static inline bool smq_client_starts_clean(const struct smqtt_client *c)
{
    return c->config.clean_start && !c->resumes;
}

/* client_out.c */
/** A message with its own copies; NULL when there is no memory. */
struct client_msg *smq_client_msg_new(struct smqtt_client *c, smq_span topic, smq_span payload,
                                      const struct smqtt_publish_options *options);
void smq_client_msg_free(struct smqtt_client *c, struct client_msg *msg);
/** Sends what the queue holds and the broker's receive maximum allows. */
void smq_client_pump(struct smqtt_client *c);
/** After CONNACK: sends again what is in flight (session present), or makes it new. */
void smq_client_resend(struct smqtt_client *c, bool session_present);
/** SUBSCRIBE or UNSUBSCRIBE with one of the client's own identifiers and these properties; token 0 for its own. */
smqtt_err smq_client_request(struct smqtt_client *c, bool unsubscribe, const struct smq_filter *filters, uint32_t n,
                             smq_span props, uint64_t token);

/* client_secure.c */
/** CONNACK has come: how does DETECT travel? */
void smq_client_choose_path(struct smqtt_client *c, bool announced);
/** After CONNACK. SMQTT_E_NOMEM. */
smqtt_err smq_client_secure_connected(struct smqtt_client *c, bool session_present);
/** The next event of sealer or opener that the application has to see; does what the others ask for. */
bool smq_client_secure_next(struct smqtt_client *c, struct smqtt_client_event *event);
/** A DETECT packet came. */
smqtt_err smq_client_secure_detect(struct smqtt_client *c, const struct smq_detect_pkt *pkt);
/** The broker acknowledged a PUBLISH of S-MQTT's own with this reason. */
void smq_client_secure_published(struct smqtt_client *c, uint8_t reason);
/** A PUBLISH came; *taken: it is the sealer's or the opener's. */
smqtt_err smq_client_secure_message(struct smqtt_client *c, const struct smq_publish *publish, bool *taken);
/** Seals what waits and may be sealed; starts a handshake where one is needed. */
void smq_client_secure_pump(struct smqtt_client *c);
void smq_client_secure_tick(struct smqtt_client *c);
smqtt_ms smq_client_secure_deadline(const struct smqtt_client *c);
void smq_client_secure_deinit(struct smqtt_client *c);

/* client_topics.c */
/** Sealer or opener want this topic from now on, or do not want it any more. SMQTT_E_NOMEM. */
smqtt_err smq_client_topic_add(struct smqtt_client *c, smq_span name, bool of_server);
smqtt_err smq_client_topic_drop(struct smqtt_client *c, smq_span name);
/** After CONNACK: asks for all that the broker does not have. SMQTT_E_NOMEM. */
smqtt_err smq_client_topics_connected(struct smqtt_client *c, bool session_present);
/** The broker answered a SUBSCRIBE (`code`) or UNSUBSCRIBE of S-MQTT's own. SMQTT_E_NOMEM. */
smqtt_err smq_client_topics_answered(struct smqtt_client *c, uint16_t request, uint8_t code,
                                     struct smqtt_client_event *event);
void smq_client_topics_deinit(struct smqtt_client *c);

#endif
