/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_SECURE_H
#define SMQTT_SECURE_H
/**
 * @file secure.h
 * S-MQTT 1.0 (docs/protocol.md) for any MQTT client: buffers in, events out. No socket, clock or thread inside.
 *
 * Two endpoints: `smqtt_sealer` is the paper's client (it seals what it publishes for one server), `smqtt_opener` its
 * server. Both work alike:
 *   - give them what MQTT brought (`…_detect` for DETECT packets, `…_message` for PUBLISH) and the time (`…_tick`);
 *   - then pull events with `…_next` until there are none, and do what each says: send, publish, subscribe, deliver.
 * Spans in an event are valid until the next call on the same endpoint. One endpoint is used by one thread at a time.
 */
#include <smqtt/identity.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Both clocks in one argument. */
struct smqtt_now {
    smqtt_ms wall; /**< milliseconds since 1970-01-01 UTC */
    smqtt_ms mono; /**< monotonic milliseconds: judges delays and timers */
};

/** How a delivered message was protected (protocol.md 6.4). There is no delivery without it. */
enum smqtt_protection {
    SMQTT_PLAIN = 0,          /**< not sealed: anyone, the broker included, may have written it */
    SMQTT_PEER_ANON = 1,      /**< sealed by a client without credential */
    SMQTT_PEER = 2,           /**< sealed by a client whose identity was verified */
    SMQTT_RETAINED_REPLAY = 3 /**< sealed and verified as PEER or PEER_ANON, but delivered before: a retained copy */
};
/** The name of a class of protection: "PLAIN", "PEER_ANON", …; never NULL. */
SMQTT_API const char *smqtt_protection_name(enum smqtt_protection cls);

/** Status codes of the protocol (smqtt/status.def), e.g. 0x01 MOJIBAKE. */
enum smqtt_status {
#define STATUS(name, code, authenticated, v5, text) SMQTT_STATUS_##name = code,
#include <smqtt/status.def>
#undef STATUS
};
/** The name of a status code, "MOJIBAKE"; "UNKNOWN" for others. */
SMQTT_API const char *smqtt_status_name(uint8_t status);
/** The sentence of a status code, for people; never NULL. */
SMQTT_API const char *smqtt_status_text(uint8_t status);

/* ---------------------------------------------------------------- policy */

/** Which topics must be sealed: lines `FILTER require [logical]` or `FILTER allow-plain [logical]`, first match wins
 * (protocol.md 8). */
struct smqtt_policy;
/** Parses the text of a policy file. On SMQTT_E_USAGE *line is the number of the bad line. Empty text: everything
 * requires sealing. SMQTT_E_NOMEM. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_policy_read(const struct smqtt_mem *mem, struct smqtt_span text,
                                                     struct smqtt_policy **out, unsigned *line);
/** Frees a policy. NULL allowed. */
SMQTT_API void smqtt_policy_free(struct smqtt_policy *policy);
/** Must messages on this topic be sealed? NULL policy: yes. */
SMQTT_API bool smqtt_policy_requires(const struct smqtt_policy *policy, struct smqtt_span topic);
/** May a record name this as its logical topic? NULL policy: no. */
SMQTT_API bool smqtt_policy_logical(const struct smqtt_policy *policy, struct smqtt_span topic);

/* ---------------------------------------------------------------- what the application provides */

/**
 * Durable storage of small values under short keys: sessions and reserved numbers. Without it (NULL) an endpoint
 * forgets its sessions when it ends. `put` and `del` may gather; after `sync` returned SMQTT_OK all before it survive a
 * power cut. Values hold secrets: keep them 0600.
 */
struct smqtt_store {
    /** Keeps a value, in place of one that is there. */
    smqtt_err (*put)(void *ctx, struct smqtt_span key, struct smqtt_span value);
    smqtt_err (*del)(void *ctx, struct smqtt_span key); /**< forgets a value; one that is not there is no error */
    smqtt_err (*sync)(void *ctx);                       /**< all before it is durable when it returns SMQTT_OK */
    /** Calls fn for every value whose key starts with prefix; fn must not call the store. */
    smqtt_err (*each)(void *ctx, struct smqtt_span prefix,
                      void (*fn)(void *arg, struct smqtt_span key, struct smqtt_span value), void *arg);
    void *ctx; /**< given to each of them */
};

/**
 * The application's text pipeline: what does it really hold when it is given this UTF-8? (protocol.md 4.3)
 * `held` gets the bytes in the application's own character set, which is what is delivered; `back` the same expressed
 * as UTF-8 again, whatever of it could be converted. Both stay valid until the next call. Return false when the
 * conversion failed: that is flag 0, too. A NULL pipeline holds UTF-8 as it is.
 */
struct smqtt_text {
    /** Converts to and fro; NULL: UTF-8 is held as it is. */
    bool (*hold)(void *ctx, struct smqtt_span utf8, struct smqtt_span *held, struct smqtt_span *back);
    void *ctx; /**< given to hold */
};

/* ---------------------------------------------------------------- events */

/** What is to be done, or happened, and which fields of smqtt_secure_event say more. */
enum smqtt_secure_event_type {
    SMQTT_EV_NONE = 0,  /**< nothing */
    SMQTT_EV_DETECT,    /**< send DETECT: `header` (0x01 for step 0, also natively) and `bytes` as body; in the tunnel
                           (`topic` is not empty then) publish header ‖ bytes on `topic` with QoS 1 */
    SMQTT_EV_PUBLISH,   /**< publish `bytes` on `topic` with QoS `header` and `retain` (receipts, notices, descriptors;
                           registration) */
    SMQTT_EV_SUBSCRIBE, /**< subscribe to `topic` with QoS 1, before the DETECT or record that follows */
    SMQTT_EV_UNSUBSCRIBE, /**< unsubscribe from `topic` */
    SMQTT_EV_STEP,        /**< for display: a step was taken; see `step` */
    SMQTT_EV_OPEN,        /**< sealer: records may be sealed now (`confirmed`: the acknowledgement is there). opener: a
                             client's session opened */
    SMQTT_EV_CLOSED,      /**< session or attempt ended: `err` says why, `status` what the other side said. opener, err
                             SMQTT_E_REVOKED: smqtt_opener_set_revoked has ended the session of `peer` */
    SMQTT_EV_LOST,    /**< sealer: the server lost the session (notice): start again, seal anew what has no receipt */
    SMQTT_EV_RECEIPT, /**< sealer: record `kid`/`seq` was judged: `status`, `flag` */
    SMQTT_EV_MESSAGE, /**< opener: deliver `bytes` (in the application's character set if text) that came on `topic` */
    SMQTT_EV_REFUSED, /**< opener: a message was not delivered: `err` says why; counted, never fatal */
    SMQTT_EV_REGISTERED, /**< opener: the broker took (status 0) or refused the registration; err SMQTT_E_DELAY: it has
                            said nothing for 10 s, and may still */
    SMQTT_EV_DESCRIPTOR  /**< sealer: the broker has another descriptor of the server. err SMQTT_OK: `peer` is in force
                            from now on (a renewal or a successor): keep it in place of the old one; an open session
                            goes on with the old one until the next is open. Else `peer` was refused, and is told once:
                            SMQTT_E_OLD_IDENTITY, SMQTT_E_BAD_SIGNATURE, SMQTT_E_EXPIRED (out of force, or the grace
                            time is over), SMQTT_E_SUITE (the own identity does not fit it), SMQTT_E_REVOKED (on the
                            list; or `peer` is the server in force and has revoked itself: CLOSED follows, and
                            smqtt_sealer_start is refused from then on; `bytes` is its statement then, verified: keep
                            it as a line of a list, smqtt_revocation_text, so that the next sealer knows) */
};

/** What the paper's figures show of one step; for tools and logs. */
struct smqtt_step {
    uint8_t header;         /**< the DETECT byte as it travels */
    bool sent;              /**< by this endpoint; else received */
    uint32_t size;          /**< bytes of the body */
    smqtt_ms ts1, ts2, ts3; /**< as far as known, 0 else */
    uint32_t rtt_ms;        /**< milliseconds between step 0 and step 2, where measured */
    uint8_t flag, verdict;  /**< 1: the text survived; 1: the client confirms */
    uint8_t status;         /**< SMQTT_STATUS_… of step 2, an acknowledgement or a close */
    uint8_t hash[32];       /**< hM where known, zeros else */
};

/** One event of smqtt_sealer_next or smqtt_opener_next. Fields that its type does not name say nothing. */
struct smqtt_secure_event {
    enum smqtt_secure_event_type type; /**< what is to be done, or happened */
    uint8_t header;                    /**< DETECT: its header byte; PUBLISH: the QoS */
    uint8_t status;                    /**< SMQTT_STATUS_…: what the other side said */
    uint8_t flag;                      /**< RECEIPT: 1, the server holds exactly what was sealed */
    bool confirmed;                    /**< OPEN: the acknowledgement is there */
    bool text;                         /**< MESSAGE: it was sealed as text */
    bool retain;                       /**< PUBLISH: publish it retained */
    smqtt_err err;                     /**< why; SMQTT_OK where nothing failed */
    enum smqtt_protection protection;  /**< MESSAGE: how it was protected */
    uint8_t cid[8];                    /**< the handshake, and the session that came of it */
    uint8_t session_id[4];             /**< for display: names the session */
    uint32_t kid;                      /**< key of the record */
    uint64_t seq;                      /**< number of the record under that key */
    struct smqtt_span topic;           /**< to publish on, to subscribe to, or of the message */
    struct smqtt_span bytes;           /**< body, payload or message */
    const char *peer_name;             /**< PEER, CLOSED: the verified name; else NULL */
    const struct smqtt_identity *peer; /**< PEER, DESCRIPTOR, CLOSED: the identity, valid until the next call */
    struct smqtt_step step;            /**< STEP: what was taken */
};

/** What an event asks of the MQTT client that carries the endpoint. */
enum smqtt_request_type {
    SMQTT_ASK_PUBLISH = 1, /**< publish `payload` on `topic` */
    SMQTT_ASK_SUBSCRIBE,   /**< subscribe to `topic` */
    SMQTT_ASK_UNSUBSCRIBE  /**< unsubscribe from `topic` */
};

/** One thing that an MQTT client does for an endpoint, in the words of any client's API. */
struct smqtt_request {
    enum smqtt_request_type type; /**< which */
    const char *topic;            /**< zero-terminated; valid as long as the event */
    struct smqtt_span payload;    /**< PUBLISH: whole, the header byte of DETECT included; valid as long as the event */
    uint8_t qos;                  /**< to publish or to subscribe with */
    bool retain;                  /**< PUBLISH: retained */
};

/**
 * Puts an event into the words of any MQTT client, for an endpoint that speaks through the tunnel over a client which
 * is not smqtt_client. Do it at once and in order.
 * @param event  as smqtt_sealer_next or smqtt_opener_next gave it, not a copy with other spans
 * @param[out] out  what is to be done
 * @return false when the event asks for nothing that such a client can do (a message, a receipt, …; DETECT natively):
 * *out is as it was
 */
SMQTT_API bool smqtt_secure_event_request(const struct smqtt_secure_event *event, struct smqtt_request *out);

/* ---------------------------------------------------------------- the client's side */

/** The client's endpoint: opaque, made by smqtt_sealer_new. */
struct smqtt_sealer;

/** What smqtt_sealer_new is given. Zero everything, set `struct_size` and what is wanted. */
struct smqtt_sealer_config {
    uint32_t struct_size;                    /**< sizeof(struct smqtt_sealer_config) */
    const struct smqtt_mem *mem;             /**< NULL: malloc */
    struct smqtt_rng rng;                    /**< required */
    struct smqtt_identity *server;           /**< pinned server, public half; required; a reference is kept */
    struct smqtt_identity *identity;         /**< own identity with private keys, same suite; NULL: anonymous */
    struct smqtt_span client_id;             /**< the MQTT client id, at most 255 bytes; copied */
    const struct smqtt_policy *policy;       /**< NULL: everything requires sealing; borrowed */
    const struct smqtt_store *store;         /**< NULL: nothing survives; borrowed */
    struct smqtt_span psk, psk_id;           /**< HPKE mode psk; empty: base; copied */
    const struct smqtt_revocations *revoked; /**< NULL: none; borrowed */
    struct smqtt_span prefix; /**< of the endpoint's own topics; empty: "smqtt1"; copied (protocol.md 9.6) */
    bool tunnel;              /**< until smqtt_sealer_connected says otherwise */
    bool lookup_credential;   /**< send only the 8-byte look-up of the identity, not its descriptor */
    uint32_t skew_max_ms;     /**< |ts2 - ts1|; 0 = 30,000; UINT32_MAX: not judged */
    uint32_t rtt_max_ms;      /**< 0 = 5,000 */
    uint32_t wait_ms;         /**< for step 2 and for the acknowledgement; 0 = 10,000 */
};

/** Makes a sealer. If the store holds an open session it is resumed: smqtt_sealer_is_open tells. Free it with
 * smqtt_sealer_free. SMQTT_E_USAGE (missing or mismatching parts, a bad prefix), SMQTT_E_REVOKED (server or own
 * identity), SMQTT_E_IO (the store cannot be read), SMQTT_E_NOMEM. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_sealer_new(const struct smqtt_sealer_config *config, struct smqtt_now now,
                                                    struct smqtt_sealer **out);
/** Wipes and frees a sealer; its session stays in the store. NULL allowed. */
SMQTT_API void smqtt_sealer_free(struct smqtt_sealer *s);
/**
 * Starts a handshake (protocol.md 4.1): events SUBSCRIBE (twice where needed) and DETECT follow. A session that is open
 * goes on until the new one is.
 * @param topic    where `message` is about to be published
 * @param message  the payload to be checked (all of it; the endpoint cuts or hashes)
 * @param text     it is text: it must then be UTF-8 (SMQTT_E_BAD_TEXT)
 * @retval SMQTT_E_STATE a handshake is under way; SMQTT_E_REVOKED the server's keys were revoked; SMQTT_E_EXPIRED the
 * server's descriptor is not in force; SMQTT_E_TOO_LARGE the topic does not fit into a step 0; SMQTT_E_RNG,
 * SMQTT_E_CRYPTO, SMQTT_E_BAD_TOPIC, SMQTT_E_NOMEM
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_sealer_start(struct smqtt_sealer *s, struct smqtt_span topic,
                                                      struct smqtt_span message, bool text, struct smqtt_now now);
/** A DETECT packet came. What does not fit is counted and ignored. SMQTT_OK, SMQTT_E_NOMEM, SMQTT_E_RNG,
 * SMQTT_E_CRYPTO. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_sealer_detect(struct smqtt_sealer *s, uint8_t header, struct smqtt_span body,
                                                       struct smqtt_now now);
/** A PUBLISH came. *taken tells whether its topic is one of this endpoint's own (receipts, notices); others are the
 * application's. In the tunnel DETECT is taken here, too. SMQTT_E_NOMEM, SMQTT_E_IO, SMQTT_E_CRYPTO, and SMQTT_E_RNG in
 * the tunnel. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_sealer_message(struct smqtt_sealer *s, struct smqtt_span topic,
                                                        struct smqtt_span payload, bool *taken, struct smqtt_now now);
/** CONNACK came: by the tunnel or natively (protocol.md 9.6)? What the endpoint wants to be subscribed to is asked for,
 * and what waits for an answer is sent again, byte for byte. */
SMQTT_API void smqtt_sealer_connected(struct smqtt_sealer *s, bool tunnel, struct smqtt_now now);
/** The server whose descriptor is in force: as configured, or what came in its place. Borrowed. */
SMQTT_API const struct smqtt_identity *smqtt_sealer_server(const struct smqtt_sealer *s);
/** Time passes; call at or after smqtt_sealer_deadline. */
SMQTT_API void smqtt_sealer_tick(struct smqtt_sealer *s, struct smqtt_now now);
/** Monotonic time of the next tick, or SMQTT_NEVER. */
SMQTT_API smqtt_ms smqtt_sealer_deadline(const struct smqtt_sealer *s);
/** The next event; false (type NONE) when there is none. */
SMQTT_API bool smqtt_sealer_next(struct smqtt_sealer *s, struct smqtt_secure_event *event);
/** Is there a session, so that smqtt_seal works? */
SMQTT_API bool smqtt_sealer_is_open(const struct smqtt_sealer *s);

/** Is the session with keys that others have followed, so that the next handshake is with those? *over: the grace time
 * of the old ones has ended, and nothing is sealed for them that a server would take. Start a handshake then with the
 * next message, when the receipts of the session are there; smqtt_client does. */
SMQTT_API bool smqtt_sealer_is_superseded(const struct smqtt_sealer *s, struct smqtt_now now, bool *over);

/** Options of one record. */
struct smqtt_seal_options {
    bool text;                       /**< the payload is text: SMQTT_E_BAD_TEXT if not UTF-8 */
    bool receipt;                    /**< the server shall confirm it */
    uint32_t expiry_s;               /**< 0: none */
    struct smqtt_span logical_topic; /**< empty: bind the topic of the PUBLISH */
    struct smqtt_span content_type, response_topic, correlation_data; /**< sealed; empty: absent */
    uint16_t padding;                                                 /**< bytes of padding */
};
/** Upper bound of what a record is longer than its payload with these options (NULL: none). */
SMQTT_API size_t smqtt_seal_overhead(const struct smqtt_seal_options *options);
/**
 * Seals a payload for the server.
 * @param options  NULL: none
 * @param out      cap bytes; must not overlap payload
 * @param[out] len bytes of the record; kid and seq may be NULL
 * @retval SMQTT_E_STATE no open session; SMQTT_E_EXPIRED the server's descriptor has ended, and none has come in its
 * place; SMQTT_E_FULL cap too small, or half a window without receipt (SMQTT_E_BUSY);
 * SMQTT_E_SEQ_EXHAUSTED; SMQTT_E_IO the store failed to reserve numbers; SMQTT_E_BAD_TEXT; SMQTT_E_BAD_TOPIC;
 * SMQTT_E_CRYPTO. Nothing usable is in out then.
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_seal(struct smqtt_sealer *s, struct smqtt_span topic,
                                              struct smqtt_span payload, const struct smqtt_seal_options *options,
                                              struct smqtt_now now, uint8_t *out, size_t cap, size_t *len,
                                              uint32_t *kid, uint64_t *seq);
/** May this payload be published in plain on this topic? SMQTT_OK, or SMQTT_E_PLAINTEXT: then it must not be sent. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_sealer_check_plain(const struct smqtt_sealer *s, struct smqtt_span topic);

/* ---------------------------------------------------------------- the server's side */

/** The server's endpoint: opaque, made by smqtt_opener_new. */
struct smqtt_opener;

/** One line of the journal of step 1. */
struct smqtt_journal_entry {
    uint8_t cid[8];                     /**< of the handshake */
    smqtt_ms ts1, ts2;                  /**< as in the packets; ts2 0 when not answered */
    struct smqtt_span client_id, topic; /**< as step 0 says: who, and where it is about to publish */
    const struct smqtt_identity *peer;  /**< claimed at first, verified with verdict 1; NULL: anonymous */
    struct smqtt_span ciphertext;       /**< ct1; empty in the second call */
    uint8_t flag, status;               /**< what step 2 answers: 1, the text survived; SMQTT_STATUS_… */
    uint8_t verdict;                    /**< 0xFF none yet, 0 or 1 the client's, 0xFE none in time */
};

/** What smqtt_opener_new is given. Zero everything, set `struct_size` and what is wanted. */
struct smqtt_opener_config {
    uint32_t struct_size;              /**< sizeof(struct smqtt_opener_config) */
    const struct smqtt_mem *mem;       /**< NULL: malloc */
    struct smqtt_rng rng;              /**< required */
    struct smqtt_identity *identity;   /**< with private keys; required; a reference is kept */
    const struct smqtt_policy *policy; /**< NULL: everything requires sealing; borrowed */
    const struct smqtt_store *store;   /**< NULL: sessions end with this endpoint; borrowed */
    struct smqtt_text pipeline;        /**< zeroed: UTF-8 */
    /** May this verified client publish on this topic? Called at step 0 with the claimed, at step 3 with the proven
     * identity and again for each record (peer NULL: anonymous). NULL: everyone, unless the identity's flag wants
     * credentials. */
    bool (*allow)(void *ctx, const struct smqtt_identity *peer, struct smqtt_span topic);
    /** Finds a client by the first 8 bytes of its did; NULL when unknown or ambiguous. Borrowed until the next call. */
    const struct smqtt_identity *(*lookup)(void *ctx, const uint8_t short_did[8]);
    /** Finds a pre-shared key by its id; false when unknown. */
    bool (*psk)(void *ctx, struct smqtt_span id, struct smqtt_span *psk);
    /** Step 1 saves (protocol.md 4): called once with ct when step 0 was decrypted (verdict 0xFF), and once with the
     * verdict (0, 1, or 0xFE for none in time). */
    void (*journal)(void *ctx, const struct smqtt_journal_entry *entry);
    void *ctx;                               /**< of the four above */
    const struct smqtt_revocations *revoked; /**< clients that are refused, sessions of theirs end; NULL: none;
                                                borrowed; another one: smqtt_opener_set_revoked */
    struct smqtt_span prefix;                /**< of the endpoint's own topics; empty: "smqtt1"; copied */
    bool hidden;           /**< do not publish the descriptor: a predecessor that is served for its grace time */
    bool tunnel;           /**< until smqtt_opener_connected says otherwise: take step 0 as 0x01 (tunnel) instead of
                              0x03 (native) */
    uint16_t window;       /**< 0 = 1,024; at least 64, at most 32,768, a multiple of 64 */
    uint32_t rekey;        /**< records a key seals; 0 = 2^20 */
    uint32_t skew_max_ms;  /**< 0 = 30,000; UINT32_MAX: not judged */
    uint32_t waiting_max;  /**< handshakes awaiting step 3; 0 = 1,024 */
    uint32_t sessions_max; /**< open sessions; 0 = 65,536; when full the longest idle anonymous one ends; without any,
                              for a client with identity the longest idle one of whom has the most, else BUSY */
    uint32_t idle_max_s;   /**< a session without record ends; 0 = 86,400 */
};

/** Makes an opener; sessions in the store live on, but for those of revoked clients. Free it with smqtt_opener_free.
 * SMQTT_E_USAGE, SMQTT_E_REVOKED (the own identity), SMQTT_E_IO (the store cannot be read), SMQTT_E_RNG,
 * SMQTT_E_NOMEM. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_opener_new(const struct smqtt_opener_config *config, struct smqtt_now now,
                                                    struct smqtt_opener **out);
/** Wipes and frees an opener; its sessions stay in the store. NULL allowed. */
SMQTT_API void smqtt_opener_free(struct smqtt_opener *o);
/** CONNACK came for `client_id`. Natively it registers (event PUBLISH, then REGISTERED), in the tunnel it subscribes to
 * what clients send (event SUBSCRIBE); the descriptor is published, retained (protocol.md 9.6). SMQTT_E_NOMEM. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_opener_connected(struct smqtt_opener *o, bool tunnel,
                                                          struct smqtt_span client_id, struct smqtt_now now);
/** Whose server is it? Borrowed. */
SMQTT_API const struct smqtt_identity *smqtt_opener_identity(const struct smqtt_opener *o);
/** A DETECT packet came (0x03 natively, 0x07, 0x0F). Noise is counted and ignored: SMQTT_OK. SMQTT_E_NOMEM,
 * SMQTT_E_RNG, SMQTT_E_CRYPTO, SMQTT_E_IO. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_opener_detect(struct smqtt_opener *o, uint8_t header, struct smqtt_span body,
                                                       struct smqtt_now now);
/** A PUBLISH came, sealed or not: events MESSAGE or REFUSED (and receipts) follow. Several may be given before the
 * events are pulled: their windows are then committed to the store with one sync, before the first is delivered.
 * `payload` must stay valid until the events were pulled. Each gives exactly one MESSAGE or REFUSED, but those
 * that smqtt_opener_owns tells. SMQTT_E_FULL (pull first), SMQTT_E_NOMEM, SMQTT_E_CRYPTO. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_opener_message(struct smqtt_opener *o, struct smqtt_span topic,
                                                        struct smqtt_span payload, bool retained, struct smqtt_now now);
/** Is this record's key one of an open session here (any generation that is still taken)? For whoever gets other
 * messages, too, as a broker does, and gives only its own to smqtt_opener_message. */
SMQTT_API bool smqtt_opener_knows(const struct smqtt_opener *o, uint32_t kid);
/** Is this a topic that S-MQTT keeps to itself (those under the prefix, and registration)? A message on it may be given
 * to smqtt_opener_message like any other, but neither MESSAGE nor REFUSED follows. */
SMQTT_API bool smqtt_opener_owns(const struct smqtt_opener *o, struct smqtt_span topic);
/** Ends the session of a cid with an authenticated close. SMQTT_E_NO_KEY when there is none. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_opener_close(struct smqtt_opener *o, const uint8_t cid[8],
                                                      enum smqtt_status status, struct smqtt_now now);
/**
 * Takes another list of revoked clients in place of the one that it has, which may be freed then. Handshakes and
 * records are judged by it from now on; the sessions of clients that stand on it end with an authenticated close while
 * events are pulled: DETECT and, for each, CLOSED with SMQTT_E_REVOKED and `peer`. What had been opened before is
 * delivered. A session that was marked so ends, even if the next list does not have its client.
 * @param revoked  NULL: none; borrowed
 * @retval SMQTT_E_REVOKED  the own identity is on it: nothing has changed; free the opener
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_opener_set_revoked(struct smqtt_opener *o,
                                                            const struct smqtt_revocations *revoked,
                                                            struct smqtt_now now);
/** Time passes; call at or after smqtt_opener_deadline. */
SMQTT_API void smqtt_opener_tick(struct smqtt_opener *o, struct smqtt_now now);
/** Monotonic time of the next tick, or SMQTT_NEVER. */
SMQTT_API smqtt_ms smqtt_opener_deadline(const struct smqtt_opener *o);
/** The next event; false (type NONE) when there is none. */
SMQTT_API bool smqtt_opener_next(struct smqtt_opener *o, struct smqtt_secure_event *event);

/** How often each thing happened; both endpoints count. */
struct smqtt_secure_counters {
    uint64_t handshakes_opened;  /**< that ended in a session */
    uint64_t handshakes_refused; /**< that an authenticated answer ended */
    uint64_t noise;              /**< packets that did not fit or did not authenticate, ignored */
    uint64_t opened;             /**< records that opened */
    uint64_t plain_dropped;      /**< messages in plain where sealing is required */
    uint64_t replays;            /**< records that had come before */
    uint64_t outside_window;     /**< records too old to be told from replays */
    uint64_t rollbacks;          /**< retained records older than one already seen */
    uint64_t bad_tag;            /**< records that did not open */
    uint64_t unknown_key;        /**< records of no session */
    uint64_t expired;            /**< records that came after their expiry */
    uint64_t mojibake;           /**< texts that did not survive */
    uint64_t gaps;               /**< numbers that have not come when later ones had */
};
/** Copies the counters of an opener. */
SMQTT_API void smqtt_opener_counters(const struct smqtt_opener *o, struct smqtt_secure_counters *out);
/** Copies the counters of a sealer. */
SMQTT_API void smqtt_sealer_counters(const struct smqtt_sealer *s, struct smqtt_secure_counters *out);

#ifdef __cplusplus
}
#endif
#endif
