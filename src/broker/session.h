/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_SESSION_H
#define SMQTT_BROKER_SESSION_H
/* What lives under a client identifier, with or without a connection. */
#include "broker/auth.h"
#include "broker/message.h"
#include "broker/timer.h"
#include "broker/trie.h"
#include "session/inflight.h"

struct smq_conn;
struct smq_worker;
struct smq_will_due;
struct smq_slow;
struct smq_pulls;
struct smq_shares;
struct smq_stored;
struct smq_shared;
struct smq_body;

/** A message that waits for its turn (broker/queue.h). */
struct smq_queued {
    union {
        void *delivery;
        uint64_t row; /* is_paged: the number of its QUEUE row */
    };
    struct smq_body *body; /* is_paged: as struct smq_delivery_row has it */
    uint32_t bytes : 29;   /* of the message, for the accounts */
    uint32_t qos : 2;
    uint32_t is_paged : 1; /* the message is in the store only */
    uint32_t expires_s;    /* of one that has a row: when it surely has expired, monotonic; UINT32_MAX: never */
};

/** First in, first out. Holds no memory when empty. */
struct smq_queue {
    struct smq_queued *items;
    uint32_t head, n, cap;
    uint32_t n_paged; /* of n */
    uint64_t bytes;   /* of the messages */
};

struct smq_session {
    const struct smq_auth *auth; /* of its listener under this configuration, see smq_session_may; NULL: none */
    const void *role;            /* what it said of the user */
    uint32_t auth_turn;          /* worker's auth_turn when both were found; 0: not yet */
    uint32_t listener_id;        /* of the connection, or of the last one */
    struct smq_subscriber sub;
    struct smq_conn *conn; /* NULL: away */
    struct smq_inflight out;
    struct smq_qos2_in in;
    struct smq_queue queue;
    struct smq_will_due *will;
    struct smq_slow *slow;             /* NULL: takes its messages fast enough */
    struct smq_pulls *pulls;           /* retained messages that it is to get; NULL: none */
    struct smq_shares *shares;         /* its shared subscriptions; NULL: none */
    uint64_t inflight_bytes;           /* of the messages in `out` */
    struct smq_stored *stored;         /* what it has in the store; NULL: it is not stored */
    struct smq_session_expiry *expiry; /* while it is away and not for ever; NULL */
    char *user;                        /* who logged in; NULL: nobody in particular */
    uint32_t user_len;
    uint32_t drop_said_s; /* second of the last word about dropped messages; 0: none */
    uint32_t expiry_s;    /* 0: ends with the connection; UINT32_MAX: never */
    uint16_t n_unsent;    /* in flight, but not yet sent again on this connection */
    uint16_t id_len;
    char client_id[];
};

/** Its place in the store (broker/durable.h). */
struct smq_stored {
    uint64_t sid;
    uint64_t n_rows;         /* numbers given to its QUEUE rows so far */
    struct smq_list paging;  /* in the worker's pager, if something of its queue is in the store only */
    uint64_t asked;          /* the last row of the queue that is on its way to here; 0: none is */
    smqtt_ms asked_at;       /* since when; in the future: nothing is to be asked for before */
    uint32_t first_expiry_s; /* no paged message of its queue expires before that */
    uint32_t swept;          /* the pager's round that last looked at it */
    bool retry;              /* some of what was asked for could not be read */
};

/** When a session that is away ends. */
struct smq_session_expiry {
    struct smq_timer timer;
    struct smq_session *session;
};

/* slot->sent of the in-flight table */
enum { SMQ_WAS_SENT = 1, SMQ_MUST_RESEND = 2, SMQ_HAS_OUT = 4 /* an OUT row */ };

static inline smq_span smq_session_id(const struct smq_session *s)
{
    return smq_span_of(s->client_id, s->id_len);
}
struct smq_principal smq_session_principal(const struct smq_session *s);
/** May it? Asks the table that its listener has under the configuration in force, also while it is away; a listener
 * that is gone allows nothing, but what comes meanwhile waits for it. smq_session_may of broker/internal.h is the same,
 * quick where there is no table. */
bool smq_session_ask(struct smq_worker *w, struct smq_session *s, smq_span topic, enum smq_access kind);

/** How long the session of a client that asks for `asked_s` seconds is kept without connection:
 * `persistent_client_expiration` is the most. UINT32_MAX: for ever. */
uint32_t smq_session_expiry(const struct smq_worker *w, uint32_t asked_s);

/** The session of a client identifier, or NULL. */
struct smq_session *smq_session_find(const struct smq_worker *w, smq_span client_id);
/** SMQTT_E_NOMEM; SMQTT_E_QUOTA (memory_limit). */
SMQ_MUST_USE smqtt_err smq_session_new(struct smq_worker *w, smq_span client_id, struct smq_session **out);
/** Ends it: subscriptions, messages and everything else. A will that is still due fires first [MQTT-3.1.3-9]. */
void smq_session_end(struct smq_worker *w, struct smq_session *s);
/** The same without will; for the end of the worker. */
void smq_session_free(struct smq_worker *w, struct smq_session *s);
/** Its client is back: it does not expire. */
void smq_session_keep(struct smq_worker *w, struct smq_session *s);
/** It is away, and ends at this time (monotonic) unless smq_session_keep comes first. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_session_expire_at(struct smq_worker *w, struct smq_session *s, smqtt_ms at);
/** The connection is gone: the session ends, or lives on for its time. */
void smq_session_detach(struct smq_worker *w, struct smq_session *s, bool with_will);

/** Gives a message to a session: now, or when there is room, or when it is back.
 *  Counts what it has to drop. */
struct smq_routing;
void smq_session_deliver(struct smq_worker *w, struct smq_session *s, struct smq_routing *r, uint8_t qos, bool retain,
                         const uint32_t *ids, size_t n_ids);
/** Sends what may be sent: first what must be sent again, then what waits. */
void smq_session_pump(struct smq_worker *w, struct smq_session *s);
/** A new connection of this session: what is in flight is to be sent again [MQTT-4.4.0-1]. */
void smq_session_resume(struct smq_worker *w, struct smq_session *s);

/** Can it send one more message of this QoS now? */
bool smq_session_is_ready(const struct smq_worker *w, const struct smq_session *s, uint8_t qos);
/** Takes out of the queue what came through the shared subscription `only`, or through any (NULL). *taken is an array
 * of as many deliveries as are returned, the caller's to free; on 0 it is NULL. Without memory nothing is taken. */
uint32_t smq_session_take_shared(struct smq_worker *w, struct smq_session *s, const struct smq_shared *only,
                                 void ***taken);
/** What is left in the queue of that shared subscription is ordinary from now on. */
void smq_session_forget_share(struct smq_session *s, const struct smq_shared *sh);

/** A slot is done with: its delivery is let go. */
void smq_session_let_go(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot);
/** Drops the first that waits. */
void smq_session_drop_first(struct smq_worker *w, struct smq_session *s);
/** Drops everything that waits. */
void smq_session_clear_queue(struct smq_worker *w, struct smq_session *s);

#endif
