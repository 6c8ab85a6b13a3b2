/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CODEC_PACKET_H
#define SMQTT_CODEC_PACKET_H
/* All control packets of MQTT 3.1, 3.1.1 and 5.0 and DETECT as plain structs. Spans are views: into the input when
 * read, into the caller's memory when written. The codec keeps nothing and copies nothing. */
#include "base/rd.h"
#include "base/utf8.h"
#include "base/wr.h"
#include "codec/prop.h"

/** Control packet types [MQTT-2.1.2]; 0 is reserved by the standard and is DETECT here. */
enum smq_type {
    SMQ_DETECT = 0,
    SMQ_CONNECT,
    SMQ_CONNACK,
    SMQ_PUBLISH,
    SMQ_PUBACK,
    SMQ_PUBREC,
    SMQ_PUBREL,
    SMQ_PUBCOMP,
    SMQ_SUBSCRIBE,
    SMQ_SUBACK,
    SMQ_UNSUBSCRIBE,
    SMQ_UNSUBACK,
    SMQ_PINGREQ,
    SMQ_PINGRESP,
    SMQ_DISCONNECT,
    SMQ_AUTH
};

/** Whose packets a reader takes: a broker reads what clients send, a client what servers send, ANY both (tests, tools).
 */
enum smq_role { SMQ_FROM_CLIENT, SMQ_FROM_SERVER, SMQ_FROM_ANY };

/** How a packet is to be read or written. Writing ignores `from`: one codec of a connection serves both ways. */
struct smq_codec {
    enum smqtt_version version : 8; /* ignored for CONNECT, which carries its own */
    enum smq_role from : 4;
    enum smq_text_policy text : 4; /* what strings may hold; see base/utf8.h. SMQ_TEXT_ANY: no string, topic, filter or
                                      payload format is checked, only the form of the packet */
    uint16_t max_topic_levels;     /* 0 = 200 */
    uint32_t max_packet;           /* whole packets larger than this are SMQTT_E_TOO_LARGE; 0 = 268,435,460 */
    uint32_t max_detect;           /* Remaining Length ceiling of DETECT; 0 = 8,192 */
};

struct smq_will {
    uint8_t qos;
    bool retain;
    smq_span topic;
    smq_span payload;
    struct smq_props props;
};

struct smq_connect {
    enum smqtt_version version;
    bool bridge;         /* bit 7 of the level byte, as Mosquitto's bridges set it with 3.x */
    bool clean_start;    /* Clean Session in 3.x */
    uint16_t keep_alive; /* seconds, 0 = none */
    bool has_will, has_user, has_password;
    struct smq_will will;
    smq_span client_id, user, password;
    struct smq_props props;
};

struct smq_connack {
    bool session_present;
    uint8_t reason; /* version 5: reason code; 3.x: return code */
    struct smq_props props;
};

struct smq_publish {
    bool dup, retain;
    uint8_t qos;
    uint16_t id; /* only with qos > 0 */
    smq_span topic;
    struct smq_props props;
    smq_span payload;
};

/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
struct smq_ack {
    uint16_t id;
    uint8_t reason; /* 0 in 3.x */
    struct smq_props props;
};

/** One filter of a SUBSCRIBE; options as the byte of version 5 (3.x: the QoS only). */
struct smq_filter {
    smq_span filter;
    uint8_t options; /* bits 1-0 QoS, 2 no local, 3 retain as published, 5-4 retain handling */
};

/** SUBSCRIBE and UNSUBSCRIBE: `list` is the checked payload; walk it with smq_filters_next. To write: n entries in
 * `filters`. */
struct smq_subscribe {
    uint16_t id;
    uint32_t n;
    smq_span list;
    const struct smq_filter *filters; /* for writing only */
    struct smq_props props;
};

/** SUBACK, and UNSUBACK (no codes in 3.x). */
struct smq_suback {
    uint16_t id;
    smq_span codes;
    struct smq_props props;
};

/** DISCONNECT and AUTH. */
struct smq_reasoned {
    uint8_t reason;
    struct smq_props props;
};

/** DETECT (protocol.md 3): header bits and the body that codec does not look into. */
struct smq_detect_pkt {
    uint8_t header; /* the whole first byte, one of the legal values */
    smq_span body;
};

struct smq_packet {
    enum smq_type type;
    union {
        struct smq_connect connect;
        struct smq_connack connack;
        struct smq_publish publish;
        struct smq_ack ack;
        struct smq_subscribe subscribe; /* and UNSUBSCRIBE */
        struct smq_suback suback;       /* and UNSUBACK */
        struct smq_reasoned reasoned;   /* DISCONNECT, AUTH */
        struct smq_detect_pkt detect;
    };
};

/** One whole packet found in a stream. */
struct smq_frame {
    uint8_t header; /* first byte */
    smq_span body;  /* Remaining Length bytes, view into the input */
    size_t size;    /* bytes of the whole packet */
};

/**
 * Looks for one whole packet at the start of `in`. Everything that can be refused early is: a type or flags illegal for
 * the role and version, a Remaining Length that is not minimal, has a fifth byte or exceeds the ceiling.
 * @param first  no packet was read before on this connection: a broker then takes only CONNECT (and later no second
 * one), a client only CONNACK and AUTH; SMQ_FROM_ANY does not look at the order
 * @param[out] frame  set on SMQTT_OK only; its body is a view into `in`
 * @param[out] need  set on SMQTT_E_AGAIN only: total bytes that the packet will have, 0 when not known yet
 * @retval SMQTT_E_AGAIN      not whole yet
 * @retval SMQTT_E_MALFORMED  flags, or a length that is badly written or that this type cannot have
 * @retval SMQTT_E_PROTOCOL   a type that this side does not send in this version, or not now
 * @retval SMQTT_E_TOO_LARGE  over max_packet, or over max_detect
 */
SMQ_MUST_USE smqtt_err smq_frame_read(const struct smq_codec *codec, smq_span in, bool first, struct smq_frame *frame,
                                      size_t *need);

/**
 * Reads a framed packet: all fields, properties, UTF-8, topic names and filters are checked. Linear in the bytes. All
 * spans of *pkt are views into the frame. On failure *pkt is undefined.
 * @retval SMQTT_E_MALFORMED  reserved bits, lengths, bytes left over, values that the standard reserves (QoS 3, reason
 * codes)
 * @retval SMQTT_E_PROTOCOL   well formed, but forbidden: packet identifier 0, no filter, property twice or not from
 * this side …
 * @retval SMQTT_E_BAD_TEXT, SMQTT_E_BAD_TOPIC, SMQTT_E_BAD_FILTER, SMQTT_E_BAD_VERSION, SMQTT_E_BAD_ALIAS (alias 0),
 *         SMQTT_E_BAD_PAYLOAD (not the text that its format indicator promises), SMQTT_E_TOO_LARGE (DETECT)
 * @retval SMQTT_E_BAD_CLIENT_ID  empty, in 3.1, or in 3.1.1 without clean session
 */
SMQ_MUST_USE smqtt_err smq_packet_read(const struct smq_codec *codec, const struct smq_frame *frame,
                                       struct smq_packet *pkt);

/**
 * Writes a packet, in the shortest form that the standard has for it. Strings are checked with the codec's text policy
 * before a byte leaves [MQTT-1.5.4-1]; fields that the version lacks are left out. With a measuring cursor it tells the
 * size. Check smq_wr_ok afterwards; on failure nothing was written.
 * @retval SMQTT_E_TOO_LARGE  over max_packet, or over max_detect
 * @retval SMQTT_E_USAGE      a struct that no packet of this version can express
 * @retval SMQTT_E_BAD_TEXT, SMQTT_E_BAD_TOPIC, SMQTT_E_BAD_FILTER, SMQTT_E_BAD_PAYLOAD, SMQTT_E_BAD_CLIENT_ID
 */
SMQ_MUST_USE smqtt_err smq_packet_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr);

/** Walks the list of a SUBSCRIBE (options = true) or UNSUBSCRIBE. `it` starts as smq_rd_of(list). False at the end. All
 * versions have the same form, so `codec` may be NULL. */
bool smq_filters_next(const struct smq_codec *codec, struct smq_rd *it, bool options, struct smq_filter *out);

/** One line that shows a packet to a person: `PUBLISH q1 m7 "a/b" (12 bytes)`; strings escaped. Returns the length as
 * snprintf does. */
size_t smq_packet_dump(const struct smq_packet *pkt, char *out, size_t cap);
/** "PUBLISH" …; "DETECT" for 0; "?" out of range. */
const char *smq_type_name(unsigned type);

/** MQTT 3.x CONNACK return code for a reason code of 5.0, e.g. 0x87 -> 5; 0: none fits [MQTT-3.2.2-6]. */
uint8_t smq_connack_code_v3(uint8_t reason);

#endif
