/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CLIENT_H
#define SMQTT_CLIENT_H
/**
 * @file client.h
 * An MQTT client (3.1, 3.1.1, 5.0) without I/O: bytes of the broker in, bytes for the broker and events out. With a
 * sealer or an opener attached it speaks S-MQTT by itself: it runs the handshake after CONNACK, seals what is published
 * and opens what comes.
 *
 * One turn: give it what was read (`feed`), call `tick` at its deadline, take events until there are none, send what
 * `output` shows and tell `sent`. Spans in events are valid until the next call. One client is used by one thread at a
 * time.
 */
#include <smqtt/secure.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A client: opaque, made by smqtt_client_new. */
struct smqtt_client;

/** A will; payload and topic are copied. */
struct smqtt_will {
    struct smqtt_span topic, payload; /**< where and what the broker publishes when the connection breaks */
    uint8_t qos;                      /**< 0, 1 or 2 */
    bool retain;                      /**< publish it retained */
    uint32_t delay_s;                 /**< version 5: seconds that the broker waits */
    struct smqtt_span props;          /**< version 5: more properties of the will in wire form; empty: none; copied */
};

/** What is done about a string of the broker that MQTT does not allow (MQTT 5.0 section 1.5.4, topic names: 4.7), in a
 * packet that is sound otherwise. */
enum smqtt_bad_strings {
    /** The default: a PUBLISH that holds one is acknowledged, so that it is not sent again, but no MESSAGE: event
     * QUARANTINED. A topic alias that was given to a bad topic stands for it from then on. In other packets such
     * strings are ignored, except an assigned client identifier: that ends the connection. */
    SMQTT_BAD_STRINGS_QUARANTINE = 0,
    /** It ends the connection, as the standard has it [MQTT-1.5.4-1] [MQTT-1.5.4-2]: whoever may publish one such
     * message keeps every such client away for as long as a broker delivers it. */
    SMQTT_BAD_STRINGS_STRICT
};

/** What smqtt_client_new is given. Zero everything, set `struct_size` and what is wanted. */
struct smqtt_client_config {
    uint32_t struct_size;             /**< sizeof(struct smqtt_client_config) */
    const struct smqtt_mem *mem;      /**< NULL: malloc */
    enum smqtt_version version;       /**< 0 = SMQTT_V5 */
    struct smqtt_span client_id;      /**< may be empty where the version allows; copied, as all spans here */
    bool clean_start;                 /**< the broker shall forget the last session (3.x: clean session) */
    uint16_t keep_alive_s;            /**< seconds; 0: none */
    uint32_t session_expiry_s;        /**< version 5: seconds that the broker keeps the session */
    uint16_t receive_maximum;         /**< 0 = 65,535 */
    uint32_t max_packet;              /**< largest packet taken; 0: no limit of ours */
    const struct smqtt_will *will;    /**< NULL: none */
    bool has_user, has_password;      /**< are there any? An empty one is not the same as none */
    struct smqtt_span user, password; /**< copied; the copy of the password is wiped */
    uint16_t max_inflight;            /**< messages of QoS 1 and 2 under way at once; 0: as many as the broker takes */
    uint32_t max_queued; /**< messages waiting to be sent; 0 = 1,000: then smqtt_client_publish gives SMQTT_E_FULL */
    bool lax_text; /**< take any string that MQTT does not forbid from the broker (default: refuse also what it advises
                      against) */
    struct smqtt_span props; /**< extra CONNECT properties in wire form (version 5); empty: none. With a topic alias
                                maximum among them the broker may send aliases: events show the topic itself */
    enum smqtt_bad_strings bad_strings; /**< what is done about strings of the broker that are not allowed */
    bool clean_first_only; /**< version 5: clean_start is for the first connection; the next ones go on with its
                              session, which the broker keeps for session_expiry_s */
};

/** What happened, and which fields of smqtt_client_event say more. */
enum smqtt_client_event_type {
    SMQTT_CLIENT_NONE = 0,     /**< nothing */
    SMQTT_CLIENT_CONNECTED,    /**< CONNACK with success; `session_present`, `reason`, `text` (assigned client id or
                                  empty), `native_detect` or `tunnel`: the path that DETECT takes */
    SMQTT_CLIENT_REFUSED,      /**< CONNACK with a failure: `reason`; the connection ends */
    SMQTT_CLIENT_CLOSED,       /**< the connection is over: `err`, `reason` (DISCONNECT of the broker, 0 else); queued
                                  messages stay for the next connection */
    SMQTT_CLIENT_MESSAGE,      /**< `topic`, `payload`, `qos`, `retain`, `dup`, `props`; plain or opened: `secure` */
    SMQTT_CLIENT_PUBLISHED,    /**< message `token` was sent (QoS 0) or acknowledged by the broker (`reason`) */
    SMQTT_CLIENT_SUBSCRIBED,   /**< SUBACK of `token`: `codes` */
    SMQTT_CLIENT_UNSUBSCRIBED, /**< UNSUBACK of `token`: `codes` (empty in 3.x) */
    SMQTT_CLIENT_SECURE,       /**< something of S-MQTT that is no message: `secure` (STEP, OPEN, CLOSED, RECEIPT, LOST,
                                 REFUSED, REGISTERED, DESCRIPTOR). REGISTERED comes in the tunnel, too (`tunnel` is set
                                 then): the broker took or refused what clients reach us by. CLOSED: `reason` tells
                                 why the broker refused something of S-MQTT's own on this connection, or 0x10 (nobody
                                 was subscribed to it), 0 else */
    SMQTT_CLIENT_QUARANTINED   /**< a message with a bad string, put aside: `field` and `err` (BAD_TEXT, BAD_TOPIC,
                                  BAD_PAYLOAD) tell which is the first and what it is, `text` is that string (empty: the
                                  payload); the others as of MESSAGE, as they came: none may be taken for text. May be
                                  told ahead of   messages before it that the opener still has */
};

/** One event of smqtt_client_next. Fields that its type does not name are zero. */
struct smqtt_client_event {
    enum smqtt_client_event_type type; /**< what happened */
    smqtt_err err;                     /**< why the connection ended, or a message was not delivered */
    uint8_t reason;                    /**< reason code of the broker's packet */
    uint8_t qos;                       /**< of a message */
    bool retain, dup;                  /**< of a message, as its PUBLISH had them */
    bool session_present;              /**< CONNECTED: the broker still had the session */
    bool native_detect;                /**< CONNECTED: DETECT travels natively */
    bool tunnel;                       /**< CONNECTED, SECURE: it travels by the tunnel */
    uint16_t packet_id;                /**< MESSAGE with qos above 0, except sealed ones */
    uint64_t token;                    /**< of the call that this is the outcome of */
    struct smqtt_span topic, payload;  /**< of a message; opened, if it was sealed */
    struct smqtt_span text;            /**< CONNECTED: the client id that the broker assigned */
    struct smqtt_span codes;           /**< one reason code for each filter */
    struct smqtt_span props;           /**< version 5: properties of a message in wire form, without their length */
    enum smqtt_field field;            /**< QUARANTINED: where the bad string stands */
    struct smqtt_secure_event
        secure; /**< MESSAGE: type SMQTT_EV_MESSAGE if it was sealed, NONE if plain; SECURE: the event */
};

/** Makes a client; nothing is sent before smqtt_client_connect. Free it with smqtt_client_free. SMQTT_E_USAGE,
 * SMQTT_E_BAD_TEXT, SMQTT_E_BAD_TOPIC (will), SMQTT_E_NOMEM. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_new(const struct smqtt_client_config *config,
                                                    struct smqtt_client **out);
/** Frees a client with what is attached to it; nothing is sent. NULL allowed. */
SMQTT_API void smqtt_client_free(struct smqtt_client *c);

/** S-MQTT: seal for this server what smqtt_client_publish_sealed is given. The client owns and frees the sealer. Before
 * the first connection. SMQTT_E_USAGE. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_attach_sealer(struct smqtt_client *c, struct smqtt_sealer *sealer);
/** S-MQTT: be this server: it registers after CONNACK, or subscribes in the tunnel, and everything received goes
 * through it. Owned and freed by the client. Before the first connection. More than one (at most SMQTT_OPENERS_MAX) may
 * be attached, as for keys and their predecessor in its grace time: the first gets what none of them knows.
 * SMQTT_E_USAGE.
 */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_attach_opener(struct smqtt_client *c, struct smqtt_opener *opener);
enum {
    SMQTT_OPENERS_MAX = 4 /**< openers that one client takes */
};
/** How DETECT travels (protocol.md 9.6). No choice makes anything weaker: the bytes are the same. */
enum smqtt_path {
    SMQTT_PATH_AUTO = 0, /**< natively where CONNACK announces it, else by the tunnel */
    SMQTT_PATH_NATIVE,   /**< natively, also where a broker of 3.x cannot announce it; with a broker of version 5 that
                            does not, S-MQTT ends with SMQTT_E_REFUSED */
    SMQTT_PATH_TUNNEL    /**< by the tunnel, whatever the broker announces */
};
/** Chooses the path of DETECT, before the connection. */
SMQTT_API void smqtt_client_set_path(struct smqtt_client *c, enum smqtt_path path);

/** Speaks another version from the next connection on: a broker of 3.x refuses version 5 with reason 0x84. What waits
 * to be sent stays, properties are left out in 3.x. SMQTT_E_STATE when connected, or when events wait to be taken;
 * otherwise what smqtt_client_new gives for a configuration that this version does not allow, and nothing changes. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_set_version(struct smqtt_client *c, enum smqtt_version version);

/** The transport is connected: CONNECT is put into the output; unacknowledged messages follow after CONNACK.
 * SMQTT_E_STATE when already connected, or when events of the last connection wait to be taken. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_connect(struct smqtt_client *c, struct smqtt_now now);
/** Bytes of the broker. Everything is taken (an incomplete packet is kept inside). Errors end the connection: event
 * CLOSED. SMQTT_E_NOMEM likewise. */
SMQTT_API void smqtt_client_feed(struct smqtt_client *c, struct smqtt_span bytes, struct smqtt_now now);
/** The transport is gone. */
SMQTT_API void smqtt_client_lost(struct smqtt_client *c, smqtt_err err, struct smqtt_now now);
/** Time passes: keep-alive, timers of S-MQTT. Call at or after smqtt_client_deadline. */
SMQTT_API void smqtt_client_tick(struct smqtt_client *c, struct smqtt_now now);
/** Monotonic time of the next tick, or SMQTT_NEVER. */
SMQTT_API smqtt_ms smqtt_client_deadline(const struct smqtt_client *c);
/** What to send; may be empty. Valid until the next call. */
SMQTT_API struct smqtt_span smqtt_client_output(const struct smqtt_client *c);
/** n bytes of it left. */
SMQTT_API void smqtt_client_sent(struct smqtt_client *c, size_t n, struct smqtt_now now);
/** True once nothing more will be sent or taken on this connection and, output being empty, the transport may be
 * closed. */
SMQTT_API bool smqtt_client_wants_close(const struct smqtt_client *c);
/** The next event; false when there is none. */
SMQTT_API bool smqtt_client_next(struct smqtt_client *c, struct smqtt_client_event *event);

/** How smqtt_client_publish and smqtt_client_publish_sealed publish. */
struct smqtt_publish_options {
    uint8_t qos;             /**< 0, 1 or 2 */
    bool retain;             /**< plain: the broker keeps it */
    bool text;               /**< sealed: check it as text */
    bool receipt;            /**< sealed: the server shall confirm it */
    struct smqtt_span props; /**< version 5, in wire form; empty: none */
};
/** Publishes in plain. Copied; waits while not connected or while the receive maximum is reached. *token names it in
 * events; may be NULL. SMQTT_E_PLAINTEXT a sealer is attached and its policy requires sealing here; SMQTT_E_BAD_TOPIC,
 * SMQTT_E_BAD_TEXT, SMQTT_E_TOO_LARGE, SMQTT_E_FULL, SMQTT_E_NOMEM, SMQTT_E_USAGE. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_publish(struct smqtt_client *c, struct smqtt_span topic,
                                                        struct smqtt_span payload,
                                                        const struct smqtt_publish_options *options, uint64_t *token,
                                                        struct smqtt_now now);
/** Seals, then publishes; runs the handshake first when there is no session, sealing when it is open. A message whose
 * session was lost before its receipt is sealed anew. Retained messages are refused (SMQTT_E_USAGE). Events: PUBLISHED
 * (the broker has it) and SECURE/RECEIPT, in which `token` is this message's. SMQTT_E_BAD_TOPIC, SMQTT_E_BAD_TEXT,
 * SMQTT_E_TOO_LARGE, SMQTT_E_FULL, SMQTT_E_NOMEM, SMQTT_E_USAGE. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_publish_sealed(struct smqtt_client *c, struct smqtt_span topic,
                                                               struct smqtt_span payload,
                                                               const struct smqtt_publish_options *options,
                                                               uint64_t *token, struct smqtt_now now);

/** One filter with its options byte (bits 1-0 QoS, 2 no local, 3 retain as published, 5-4 retain handling; 3.x: QoS
 * only). */
struct smqtt_subscription {
    struct smqtt_span filter; /**< topic filter */
    uint8_t options;          /**< options byte */
};
/** Subscribes to n filters with one packet; event SUBSCRIBED follows. *token names it there; may be NULL.
 * SMQTT_E_BAD_FILTER, SMQTT_E_BAD_TEXT, SMQTT_E_STATE (not connected), SMQTT_E_FULL, SMQTT_E_NOMEM, SMQTT_E_USAGE
 * (`$share` with an opener). */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_subscribe(struct smqtt_client *c, const struct smqtt_subscription *list,
                                                          size_t n, uint64_t *token, struct smqtt_now now);
/** Ends n subscriptions with one packet; event UNSUBSCRIBED follows. Errors as for smqtt_client_subscribe. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_unsubscribe(struct smqtt_client *c, const struct smqtt_span *filters,
                                                            size_t n, uint64_t *token, struct smqtt_now now);
/** As smqtt_client_subscribe, with properties of the packet in wire form (version 5; ignored in 3.x). Errors as for
 * that, and SMQTT_E_USAGE for properties that do not belong into a SUBSCRIBE. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_subscribe_props(struct smqtt_client *c,
                                                                const struct smqtt_subscription *list, size_t n,
                                                                struct smqtt_span props, uint64_t *token,
                                                                struct smqtt_now now);
/** As smqtt_client_unsubscribe, with properties likewise. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_unsubscribe_props(struct smqtt_client *c,
                                                                  const struct smqtt_span *filters, size_t n,
                                                                  struct smqtt_span props, uint64_t *token,
                                                                  struct smqtt_now now);
/** DISCONNECT with a reason (version 5; 0 = normal, 4 = with will) behind what is in the output. SMQTT_E_STATE when not
 * connected. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_disconnect(struct smqtt_client *c, uint8_t reason,
                                                           struct smqtt_now now);
/** As smqtt_client_disconnect, with properties in wire form (version 5; ignored in 3.x, and left out where the packet
 * would be larger than the broker takes). SMQTT_E_STATE, SMQTT_E_USAGE (properties that do not belong into a
 * DISCONNECT), SMQTT_E_NOMEM. */
SMQTT_API SMQTT_MUST_USE smqtt_err smqtt_client_disconnect_props(struct smqtt_client *c, uint8_t reason,
                                                                 struct smqtt_span props, struct smqtt_now now);
/** What came of bad strings since smqtt_client_new, over all connections. */
struct smqtt_client_counts {
    uint64_t quarantined;     /**< messages put aside; one of QoS 2 once, however often it was repeated */
    uint64_t ignored_strings; /**< packets other than PUBLISH in which a string was ignored */
};
/** Copies the counters of a client. */
SMQTT_API void smqtt_client_counters(const struct smqtt_client *c, struct smqtt_client_counts *out);
/** "topic name", "content type" …: what a field is called; "none" for SMQTT_FIELD_NONE and out of range. Static. */
SMQTT_API const char *smqtt_field_name(enum smqtt_field field);

/** Messages of the application that are not through: plain ones that the broker has not acknowledged, sealed ones
 * that wait to be sealed, or for the broker, or for the server's receipt. Each counts once. */
SMQTT_API size_t smqtt_client_unfinished(const struct smqtt_client *c);

#ifdef __cplusplus
}
#endif
#endif
