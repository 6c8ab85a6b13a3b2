/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_SEALER_H
#define SMQTT_DETECT_SEALER_H
/* Inside of a sealer: the client of protocol.md, in five files. A handshake (`state`) runs beside an open session; the
 * new session takes its place when it is acknowledged. When the server's descriptor is replaced, both may still be with
 * the one before. */
#include <smqtt/secure.h>

#include "detect/evq.h"
#include "detect/channel.h"
#include "detect/step.h"

enum smq_sealer_state { SMQ_SEALER_IDLE, SMQ_SEALER_WAIT2, SMQ_SEALER_WAIT_ACK };

enum {
    SMQ_SEALER_EVENTS_MAX = 65536,
    SMQ_SEALER_BYTES_MAX = 1 << 24,
    SMQ_SEALER_RESEND_MS = 2000,
    SMQ_SEALER_RETRY_MS = 1000,
    SMQ_SEALER_COOKIES_MAX = 2,
    SMQ_SEALER_RECEIPT_MS = 60000, /* a receipt that has not come by then is not waited for */
    SMQ_SEALER_KEY_LEN = 2 + 2 * SMQTT_SKID_LEN,
    SMQ_SEALER_TOLD = 8,            /* descriptors that were refused and told */
    SMQ_SEALER_TOLD_MS = 10 * 60000 /* no more of them in this time */
};

/** A record that waits for its receipt. */
struct smq_unreceipted {
    uint8_t kid[SMQ_KID_LEN];
    uint64_t seq;
    smqtt_ms until;
};

struct smqtt_sealer {
    struct smqtt_sealer_config config; /* spans point to copies */
    const struct smqtt_mem *mem;
    uint8_t store_id[SMQTT_SKID_LEN]; /* who we are, in the key of a stored session */
    struct smq_evq q;
    struct smqtt_secure_counters counters;

    /* config.server is in force for what begins; these are references, NULL at first. */
    struct smqtt_identity *hs_server;      /* of the handshake under way, or the last one */
    struct smqtt_identity *session_server; /* of the session, or the last one */
    struct smqtt_identity *prior;          /* whose place config.server has taken */
    struct smqtt_identity *held;           /* of the event that was pulled last */
    bool revoked;                          /* the server; for good */
    struct {
        uint8_t did[SMQTT_DID_LEN];
        smqtt_ms at;
        bool used;
    } told[SMQ_SEALER_TOLD];
    size_t told_next;

    struct smq_channel *session; /* confirmed; NULL: none */
    struct smq_unreceipted *unreceipted;
    size_t n_unreceipted, cap_unreceipted;

    enum smq_sealer_state state;
    smqtt_ms give_up_at, resend_at, retry_at; /* monotonic, SMQTT_NEVER: not now */
    smqtt_ms subscribe_at;                    /* as those: there was no memory when CONNACK came */
    smqtt_ms sent_at;                         /* step 0, monotonic */
    smqtt_ms ts1;
    uint8_t hint; /* of a RETRY; 0: none */
    unsigned cookies;
    uint8_t cookie[SMQ_COOKIE_MAX];
    size_t cookie_len;
    uint8_t *topic;
    size_t topic_len;
    uint8_t *m;
    size_t m_len;
    bool text;
    uint8_t hm[SMQ_HASH_LEN];
    struct smq_hs hs;
    uint8_t *packet; /* step 0 as it was sent, with its header byte */
    size_t packet_len;
    uint8_t step3[SMQ_STEP3_MAX];
    size_t step3_len;
    struct smq_channel *pending; /* of a handshake in WAIT_ACK */
};

/** The session that may seal now, or NULL. */
struct smq_channel *smq_sealer_target(const struct smqtt_sealer *s);
/** Room for the events of one step. SMQTT_E_NOMEM, SMQTT_E_FULL. */
SMQ_MUST_USE smqtt_err smq_sealer_room(struct smqtt_sealer *s);
/** Pushes SUBSCRIBE or UNSUBSCRIBE for a topic of ours at a server. */
void smq_sealer_push_topic(struct smqtt_sealer *s, enum smqtt_secure_event_type type,
                           const struct smqtt_identity *server, char branch, smq_span id);
/** The same for the two topics of a session: those that come to its cid, and the notices about its key. */
void smq_sealer_push_session(struct smqtt_sealer *s, enum smqtt_secure_event_type type,
                             const struct smq_channel *session);
/** Where the server in force would say that it does not know the key of our session, if that is with the one before it;
 * else nothing is pushed. */
void smq_sealer_push_watch(struct smqtt_sealer *s, enum smqtt_secure_event_type type);
/** The server with which this session, or the pending one, is. */
const struct smqtt_identity *smq_sealer_server_of(const struct smqtt_sealer *s, const struct smq_channel *session);
/** Puts another reference in place of one. */
void smq_sealer_set_server(struct smqtt_identity **slot, struct smqtt_identity *id);
/** Deletes what is stored of a session with the keys of this skid. */
void smq_sealer_forget_stored(struct smqtt_sealer *s, const uint8_t skid[SMQTT_SKID_LEN]);
/** Pushes a DETECT packet. */
void smq_sealer_push_detect(struct smqtt_sealer *s, uint8_t header, const uint8_t cid[SMQ_CID_LEN], smq_span body);
/** Pushes an event about a cid; NULL: none. */
struct smq_evq_entry *smq_sealer_push(struct smqtt_sealer *s, enum smqtt_secure_event_type type, const uint8_t *cid);
/** Forgets what the handshake under way has; its topics are unsubscribed. */
void smq_sealer_drop_handshake(struct smqtt_sealer *s);
/** Ends the confirmed session: topics, storage. */
void smq_sealer_drop_session(struct smqtt_sealer *s);
/** Ends with CLOSED what `cid` names. */
void smq_sealer_push_closed(struct smqtt_sealer *s, const uint8_t *cid, smqtt_err err, uint8_t status);
/** Starts an attempt with a new cid, new ephemerals and the server in force; the one before it, if any, is forgotten.
 * Nothing has changed after a failure. SMQTT_E_NOMEM, SMQTT_E_RNG, SMQTT_E_CRYPTO, SMQTT_E_TOO_LARGE. */
SMQ_MUST_USE smqtt_err smq_sealer_attempt(struct smqtt_sealer *s, smq_span cookie, struct smqtt_now now);
/** sealer_pin.c: what came on the topic `d` of the server in force. SMQTT_E_NOMEM, SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_sealer_take_descriptor(struct smqtt_sealer *s, smq_span payload, struct smqtt_now now);
/** A RETRY came. Errors as smqtt_sealer_detect. */
SMQ_MUST_USE smqtt_err smq_sealer_take_retry(struct smqtt_sealer *s, smq_span body, struct smqtt_now now);
/** The saver of a session: none for one that is not acknowledged yet. */
struct smq_saver smq_sealer_saver(struct smqtt_sealer *s, const struct smq_channel *session);
/** Takes an open session from the store. SMQTT_E_IO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_sealer_load(struct smqtt_sealer *s, struct smqtt_now now);

#endif
