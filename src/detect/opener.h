/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_OPENER_H
#define SMQTT_DETECT_OPENER_H
/* Inside of an opener: the server of protocol.md, in several files. Per cid there is a handshake that waits for step 3
 * (struct smq_waiting) or an open session (struct smq_peer). */
#include <smqtt/secure.h>

#include "base/list.h"
#include "base/map.h"
#include "detect/evq.h"
#include "detect/highest.h"
#include "detect/seen.h"
#include "detect/channel.h"
#include "detect/step.h"

enum {
    SMQ_OPENER_EVENTS_MAX = 65536,
    SMQ_OPENER_BYTES_MAX = 320 << 20,
    SMQ_OPENER_WAIT_MS = 30000,
    SMQ_OPENER_COOKIE_MS = 30000,
    SMQ_OPENER_REGISTER_MS = 10000,
    SMQ_OPENER_SKEW_MS = 30000,
    SMQ_OPENER_NOTICES = 128, /* more than can be sent within SMQ_NOTICE_KID_MS */
    SMQ_NOTICE_KID_MS = 10000,
    SMQ_NOTICE_SECOND_MS = 1000,
    SMQ_NOTICES_A_SECOND = 10,
    SMQ_OPENER_KNOWN = 256, /* descriptors remembered as verified */
    SMQ_OPENER_SAME_KID = 8,
    SMQ_OPENER_KEY_LEN = 2 + SMQTT_SKID_LEN + SMQ_CID_LEN,
    SMQ_VERDICT_OPEN = 0xFF, /* for the journal */
    SMQ_VERDICT_NONE = 0xFE
};

struct smq_peer;

/** A kid of a session in the table of kids; those that are the same by chance are chained. */
struct smq_kid_slot {
    uint8_t kid[SMQ_KID_LEN];
    struct smq_peer *owner;
    struct smq_kid_slot *same;
    bool listed;
};

/** An identity, whichever of its descriptors, that has sessions. */
struct smq_owner {
    uint8_t skid[SMQTT_SKID_LEN];
    struct smq_list peers; /* longest idle first */
    size_t n;
};

/** An open session with its client. */
struct smq_peer {
    struct smq_list node;     /* in `named` or `anonymous`, longest idle first */
    struct smq_list of_owner; /* in its `peers` */
    struct smq_owner *owner;  /* NULL: anonymous, or in no table */
    struct smq_list dirty;    /* its window is not in the store */
    struct smq_list waiting;  /* it has receipts to be sent */
    struct smq_channel *session;
    struct smqtt_identity *identity; /* NULL: anonymous */
    smqtt_ms idle_at;                /* monotonic */
    smqtt_ms last_wall;
    uint8_t step3_hash[SMQ_HASH_LEN];
    uint8_t ack[SMQ_ENDING_LEN];
    struct smq_kid_slot kids[SMQ_GENERATIONS];
    struct smq_receipt *receipts;
    size_t n_receipts, cap_receipts;
    size_t expected; /* receipts of records that are still queued */
    unsigned refs;   /* of queued events */
    bool revoked;    /* it ends as soon as there is room to say so */
    bool dead;
};

/** A handshake that waits for step 3. */
struct smq_waiting {
    struct smq_list node; /* oldest first */
    struct smq_hs hs;
    struct smqtt_identity *identity; /* as claimed; NULL: anonymous */
    struct smq_reply reply;
    smqtt_ms ts1;
    smqtt_ms until;
    uint8_t body2[SMQ_STEP2_MAX];
    size_t body2_len;
    size_t client_id_len, topic_len;
    uint8_t strings[]; /* client id, topic */
};

enum smq_entry_bits {
    SMQ_ENTRY_UNCOMMITTED = 0x01,
    SMQ_ENTRY_RECEIPT = 0x02 /* the sender waits for a receipt */
};

enum smq_registering { SMQ_REGISTER_IDLE, SMQ_REGISTER_WAIT_CHALLENGE, SMQ_REGISTER_WAIT_RESULT };

struct smqtt_opener {
    struct smqtt_opener_config config;
    const struct smqtt_mem *mem;
    struct smq_evq q;
    struct smqtt_secure_counters counters;
    uint8_t cookie_key[SMQ_HASH_LEN];
    struct smq_map waiting;  /* cid -> smq_waiting */
    struct smq_map sessions; /* cid -> smq_peer */
    struct smq_map kids;     /* kid -> smq_kid_slot */
    struct smq_map owners;   /* skid -> smq_owner */
    struct smq_list waiting_list, named, anonymous, revoked, dirty, receipts;
    struct smqtt_now revoked_at; /* when a list ended those of `revoked` */
    struct smq_seen seen;
    struct smq_highest highest;
    struct {
        uint8_t kid[SMQ_KID_LEN];
        smqtt_ms at;
        bool used;
    } notices[SMQ_OPENER_NOTICES];
    size_t notice_next;
    struct smqtt_identity *known[SMQ_OPENER_KNOWN];
    enum smq_registering registering;
    smqtt_ms register_until; /* monotonic: then the broker's silence is told; SMQTT_NEVER: not awaited, or told */
    uint8_t *client_id;
    uint8_t *prefix;
    size_t client_id_len;
    uint8_t *packet;       /* SMQ_PACKET_MAX bytes */
    uint8_t *pt;           /* SMQ_PACKET_MAX bytes */
    struct smq_peer *held; /* of the event that was pulled last */
};

/* ---------------------------------------------------------------- opener.c */

/** Room for the events of one step. */
SMQ_MUST_USE smqtt_err smq_opener_room(struct smqtt_opener *o);
/** Pushes an event about a cid. */
struct smq_evq_entry *smq_opener_push(struct smqtt_opener *o, enum smqtt_secure_event_type type,
                                      const uint8_t cid[SMQ_CID_LEN]);
/** Pushes a DETECT packet to a client. */
void smq_opener_push_detect(struct smqtt_opener *o, uint8_t header, const uint8_t cid[SMQ_CID_LEN], smq_span body);
/** Pushes STEP. */
void smq_opener_push_step(struct smqtt_opener *o, const uint8_t cid[SMQ_CID_LEN], const struct smqtt_step *step);
/** Pushes a PUBLISH with QoS 1 on a topic of ours. */
void smq_opener_push_publish(struct smqtt_opener *o, char branch, smq_span id, smq_span payload);
/** Tells the client of a kid that there is no session of it. Room is there; without randomness none is sent. */
void smq_opener_notice(struct smqtt_opener *o, const uint8_t kid[SMQ_KID_LEN], struct smqtt_now now);
/** Was it told so lately? */
bool smq_opener_has_noticed(const struct smqtt_opener *o, const uint8_t kid[SMQ_KID_LEN]);
/** Pushes CLOSED. */
struct smq_evq_entry *smq_opener_push_closed(struct smqtt_opener *o, const uint8_t cid[SMQ_CID_LEN], smqtt_err err,
                                             uint8_t status);
/** The event belongs to a session, which stays in memory until it was pulled. */
void smq_opener_own(struct smq_evq_entry *entry, struct smq_peer *peer);
/** Frees the session of the event that was pulled last, if it ended meanwhile. */
void smq_opener_release_held(struct smqtt_opener *o);
/** Failures of ours, as against those of the bytes. */
bool smq_opener_is_ours(smqtt_err err);

/* ---------------------------------------------------------------- opener_hello.c, opener_verdict.c */

/** Step 0 as it came (0x03 natively, 0x01 in the tunnel). */
SMQ_MUST_USE smqtt_err smq_opener_take_hello(struct smqtt_opener *o, smq_span body, struct smqtt_now now);
/** May this client (NULL: anonymous) publish on this topic? */
bool smq_opener_allows(const struct smqtt_opener *o, const struct smqtt_identity *peer, smq_span topic);
/** As above, and is it not revoked? For handshakes: a session of one that is revoked is never opened or loaded, and a
 * new list marks those that are open, so that records need not ask again. */
bool smq_opener_welcomes(const struct smqtt_opener *o, const struct smqtt_identity *peer, smq_span topic);
/** Takes a handshake out of the table and frees it. */
void smq_opener_waiting_free(struct smqtt_opener *o, struct smq_waiting *w);
/** Tells the journal, if there is one. */
void smq_opener_journal(const struct smqtt_opener *o, const struct smq_waiting *w, smq_span ciphertext, uint8_t status,
                        uint8_t verdict);
/** Does this text survive the application's pipeline? *held gets what it holds, *back that as UTF-8. */
bool smq_opener_text_survives(const struct smqtt_opener *o, smq_span text, smq_span *held, smq_span *back);

/** Ends the session of a client that stands on the list, with CLOSED that names it. False when there is none, or when
 * it has to wait for memory. */
bool smq_opener_end_revoked(struct smqtt_opener *o);

/* ---------------------------------------------------------------- opener_peer.c */

/** A session enters the tables; on failure (SMQTT_E_NOMEM, SMQTT_E_FULL) it is in none. */
SMQ_MUST_USE smqtt_err smq_peer_enter(struct smqtt_opener *o, struct smq_peer *peer);
/** Takes it out of all tables, deletes it from the store if asked for, and frees it as soon as no event needs it. */
void smq_peer_end(struct smqtt_opener *o, struct smq_peer *peer, bool delete);
/** Which session is to make room for one more? An anonymous one, the longest idle of them. Without any an anonymous
 * client finds no room (NULL), and a named one that of the identity with the most sessions that is longest idle: who
 * has many pays for it himself, and who makes identities as he likes gets no session that nobody can end. */
struct smq_peer *smq_peer_to_end(const struct smqtt_opener *o, bool named);
/** Frees one that is in no table. */
void smq_peer_free(struct smqtt_opener *o, struct smq_peer *peer);
/** A record came: it is not idle. */
void smq_peer_touch(struct smqtt_opener *o, struct smq_peer *peer, struct smqtt_now now);
/** The session has moved to its next generation: the table of kids follows. Room was reserved (smq_map_reserve). */
void smq_peer_moved(struct smqtt_opener *o, struct smq_peer *peer);
/** Puts the session's value; the caller syncs. SMQTT_E_IO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_peer_put(struct smqtt_opener *o, struct smq_peer *peer);
/** The saver of its session. `ctx` is storage of the caller. */
struct smq_peer_ctx {
    struct smqtt_opener *o;
    struct smq_peer *peer;
};
struct smq_saver smq_peer_saver(struct smq_peer_ctx *ctx);
/** Takes sessions from the store. SMQTT_E_IO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_peers_load(struct smqtt_opener *o, struct smqtt_now now);

/** The list has changed: whoever stands on it now is marked. */
void smq_peers_judge(struct smqtt_opener *o);

/* ---------------------------------------------------------------- opener_record.c */

/** Registration: a message on `$SMQTT/…`. */
SMQ_MUST_USE smqtt_err smq_opener_take_registration(struct smqtt_opener *o, smq_span topic, smq_span payload);

#endif
