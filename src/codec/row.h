/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CODEC_ROW_H
#define SMQTT_CODEC_ROW_H
/* Inside of the codec: the row of each packet type and what the files of single packets share.
 *
 * Each packet has three functions with one signature each:
 *   read   takes the body apart and refuses what the standard refuses; SMQTT_E_… as smq_packet_read documents
 *   check  refuses a struct that no packet can express, before writing; errors as smq_packet_write, where PROTOCOL and
 * MALFORMED come out as USAGE write  writes the body of a checked struct; fails only where its properties do */
#include "codec/packet.h"
#include "codec/topic.h"

struct smq_row {
    const char *name;
    /* Which low halves of the first byte are legal, as a set of bits; by dialect (3.1, 3.1.1, 5.0). 0 = that side never
     * sends it. */
    uint16_t client[3], server[3];
    bool fixed[3];     /* by dialect: Remaining Length has just one legal value */
    uint8_t fixed_len; /* which one */
    smqtt_err (*read)(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt);
    smqtt_err (*check)(const struct smq_codec *codec, const struct smq_packet *pkt);
    smqtt_err (*write)(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr);
};

/** By packet type. */
extern const struct smq_row smq_packet_rows[16];
/** The row of a packet type (0..15). */
/*@ requires type < 16;
    assigns \nothing;
    ensures \result == &smq_packet_rows[type]; */
static inline const struct smq_row *smq_packet_row(unsigned type)
{
    return &smq_packet_rows[type];
}

/** Index into the arrays by dialect; levels below 3.1 count as 3.1, above 5.0 as 5.0. */
/*@ requires \valid_read(codec);
    assigns \nothing;
    ensures \result <= 2; */
static inline unsigned smq_codec_dialect(const struct smq_codec *codec)
{
    return codec->version <= SMQTT_V31 ? 0 : codec->version == SMQTT_V311 ? 1 : 2;
}
static inline bool smq_codec_is_v5(const struct smq_codec *codec)
{
    return codec->version == SMQTT_V5;
}
/*@ requires \valid_read(codec);
    assigns \nothing; */
static inline uint32_t smq_codec_max_detect(const struct smq_codec *codec)
{
    enum { DETECT_DEFAULT = 8192 };
    return codec->max_detect != 0 ? codec->max_detect : DETECT_DEFAULT;
}
/** The largest whole packet, fixed header included. */
/*@ requires \valid_read(codec);
    assigns \nothing; */
static inline uint32_t smq_codec_max_packet(const struct smq_codec *codec)
{
    enum { PACKET_MAX = 268435460 };
    return codec->max_packet != 0 && codec->max_packet < PACKET_MAX ? codec->max_packet : PACKET_MAX;
}

/** Is the first byte of a packet legal for role and version? SMQTT_E_PROTOCOL: this side never sends that type;
 * SMQTT_E_MALFORMED: flags. */
/*@ requires \valid_read(codec);
    assigns \nothing; */
SMQ_MUST_USE static inline smqtt_err smq_frame_check_header(const struct smq_codec *codec, uint8_t header)
{
    const struct smq_row *row = smq_packet_row(header >> 4);
    unsigned dialect = smq_codec_dialect(codec);
    unsigned legal = (codec->from != SMQ_FROM_SERVER ? row->client[dialect] : 0u) |
                     (codec->from != SMQ_FROM_CLIENT ? row->server[dialect] : 0u);
    if (legal == 0) {
        return SMQTT_E_PROTOCOL;
    }
    return (legal >> (header & 0x0F)) & 1 ? SMQTT_OK : SMQTT_E_MALFORMED;
}

/** SMQTT_E_BAD_TEXT when it is not what the policy allows, SMQTT_E_USAGE when longer than 65,535 bytes. */
SMQ_MUST_USE smqtt_err smq_codec_check_text(const struct smq_codec *codec, smq_span text);
/** Text, and a topic name: SMQTT_E_BAD_TEXT, SMQTT_E_BAD_TOPIC. */
SMQ_MUST_USE smqtt_err smq_codec_check_topic(const struct smq_codec *codec, smq_span topic);
/** Text, and a topic filter: SMQTT_E_BAD_TEXT, SMQTT_E_BAD_FILTER. */
SMQ_MUST_USE smqtt_err smq_codec_check_filter(const struct smq_codec *codec, smq_span filter);
/** SMQTT_E_BAD_PAYLOAD when the properties say text and the payload is not well-formed UTF-8. */
SMQ_MUST_USE smqtt_err smq_codec_check_payload(const struct smq_codec *codec, const struct smq_props *props,
                                               smq_span payload);
/** Properties where the version has them, else the empty set. Errors of smq_props_read. */
SMQ_MUST_USE smqtt_err smq_codec_read_props(const struct smq_codec *codec, struct smq_rd *rd, enum smq_prop_place place,
                                            struct smq_props *props);
/** Properties where the version has them, else nothing. Errors of smq_props_write. */
SMQ_MUST_USE smqtt_err smq_codec_write_props(const struct smq_codec *codec, struct smq_wr *wr,
                                             enum smq_prop_place place, const struct smq_props *props);

#define SMQ_ROW_FUNCTIONS(packet)                                                                \
    smqtt_err smq_##packet##_read(const struct smq_codec *codec, const struct smq_frame *frame,  \
                                  struct smq_packet *pkt);                                       \
    smqtt_err smq_##packet##_check(const struct smq_codec *codec, const struct smq_packet *pkt); \
    smqtt_err smq_##packet##_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)

SMQ_ROW_FUNCTIONS(connect);
SMQ_ROW_FUNCTIONS(connack);
SMQ_ROW_FUNCTIONS(publish);
SMQ_ROW_FUNCTIONS(ack);       /* PUBACK PUBREC PUBREL PUBCOMP */
SMQ_ROW_FUNCTIONS(subscribe); /* and UNSUBSCRIBE */
SMQ_ROW_FUNCTIONS(suback);    /* and UNSUBACK */
SMQ_ROW_FUNCTIONS(ping);      /* both */
SMQ_ROW_FUNCTIONS(reasoned);  /* DISCONNECT AUTH */
SMQ_ROW_FUNCTIONS(detect);

#endif
