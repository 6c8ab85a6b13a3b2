/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/row.h"
#include "codec/varint.h"

/* Sets of low halves of the first byte. */
enum {
    F0 = 1 << 0,
    F2 = 1 << 2,
    F2_DUP = F2 | 1 << 10, /* MQTT 3.1 sends SUBSCRIBE, UNSUBSCRIBE and PUBREL again with DUP */
    F_PUBLISH = 0x3C3F,    /* QoS 0..2 and retain; DUP only with QoS 1 and 2 [MQTT-3.3.1-2] [MQTT-3.3.1-4] */
    /* protocol.md 3: clients start (1) and confirm (7, F); servers of the S-MQTT kind answer (2, 4, C, 6, E), and they
     * are MQTT clients too. The broker relabels a start (3) and hands on the others as they are. */
    F_ANSWERS = 1 << 0x2 | 1 << 0x4 | 1 << 0xC | 1 << 0x6 | 1 << 0xE,
    F_TO_BROKER = 1 << 0x1 | 1 << 0x7 | 1 << 0xF | F_ANSWERS,
    F_FROM_BROKER = 1 << 0x3 | 1 << 0x7 | 1 << 0xF | F_ANSWERS
};

/* clang-format off */
#define NEVER {0, 0, 0}
#define EVER(set) {set, set, set}
#define IN_V3 {true, true, false}
#define FUNCTIONS(packet) smq_##packet##_read, smq_##packet##_check, smq_##packet##_write

/* By type. */
const struct smq_row smq_packet_rows[16] = {
    /* name          from clients       from servers         one length  it  functions */
    {"DETECT",      EVER(F_TO_BROKER), EVER(F_FROM_BROKER), NEVER,      0, FUNCTIONS(detect)},
    {"CONNECT",     EVER(F0),          NEVER,               NEVER,      0, FUNCTIONS(connect)},
    {"CONNACK",     NEVER,             EVER(F0),            IN_V3,      2, FUNCTIONS(connack)},
    {"PUBLISH",     EVER(F_PUBLISH),   EVER(F_PUBLISH),     NEVER,      0, FUNCTIONS(publish)},
    {"PUBACK",      EVER(F0),          EVER(F0),            IN_V3,      2, FUNCTIONS(ack)},
    {"PUBREC",      EVER(F0),          EVER(F0),            IN_V3,      2, FUNCTIONS(ack)},
    {"PUBREL",      {F2_DUP, F2, F2},  {F2_DUP, F2, F2},    IN_V3,      2, FUNCTIONS(ack)},
    {"PUBCOMP",     EVER(F0),          EVER(F0),            IN_V3,      2, FUNCTIONS(ack)},
    {"SUBSCRIBE",   {F2_DUP, F2, F2},  NEVER,               NEVER,      0, FUNCTIONS(subscribe)},
    {"SUBACK",      NEVER,             EVER(F0),            NEVER,      0, FUNCTIONS(suback)},
    {"UNSUBSCRIBE", {F2_DUP, F2, F2},  NEVER,               NEVER,      0, FUNCTIONS(subscribe)},
    {"UNSUBACK",    NEVER,             EVER(F0),            IN_V3,      2, FUNCTIONS(suback)},
    {"PINGREQ",     EVER(F0),          NEVER,               EVER(true), 0, FUNCTIONS(ping)},
    {"PINGRESP",    NEVER,             EVER(F0),            EVER(true), 0, FUNCTIONS(ping)},
    {"DISCONNECT",  EVER(F0),          {0, 0, F0},          IN_V3,      0, FUNCTIONS(reasoned)},
    {"AUTH",        {0, 0, F0},        {0, 0, F0},          NEVER,      0, FUNCTIONS(reasoned)},
};
/* clang-format on */

const char *smq_type_name(unsigned type)
{
    return type < SMQ_ARRAY_LEN(smq_packet_rows) ? smq_packet_rows[type].name : "?";
}

smqtt_err smq_codec_check_text(const struct smq_codec *codec, smq_span text)
{
    enum { TEXT_MAX = 65535 };
    if (text.len > TEXT_MAX) {
        return SMQTT_E_USAGE;
    }
    return smq_utf8_ok(text, codec->text) ? SMQTT_OK : SMQTT_E_BAD_TEXT;
}

smqtt_err smq_codec_check_topic(const struct smq_codec *codec, smq_span topic)
{
    if (codec->text == SMQ_TEXT_ANY) {
        return topic.len <= UINT16_MAX ? SMQTT_OK : SMQTT_E_USAGE;
    }
    if (!smq_utf8_ok(topic, codec->text)) {
        return SMQTT_E_BAD_TEXT;
    }
    return smq_topic_name_ok(topic, codec->max_topic_levels) ? SMQTT_OK : SMQTT_E_BAD_TOPIC;
}

smqtt_err smq_codec_check_filter(const struct smq_codec *codec, smq_span filter)
{
    if (codec->text == SMQ_TEXT_ANY) {
        return filter.len <= UINT16_MAX ? SMQTT_OK : SMQTT_E_USAGE;
    }
    if (!smq_utf8_ok(filter, codec->text)) {
        return SMQTT_E_BAD_TEXT;
    }
    return smq_topic_filter_ok(filter, codec->max_topic_levels) ? SMQTT_OK : SMQTT_E_BAD_FILTER;
}

smqtt_err smq_codec_check_payload(const struct smq_codec *codec, const struct smq_props *props, smq_span payload)
{
    bool is_text = codec->text != SMQ_TEXT_ANY && smq_props_num(props, SMQ_PROP_PAYLOAD_FORMAT, 0) == 1;
    return !is_text || smq_utf8_ok(payload, SMQ_TEXT_WELLFORMED) ? SMQTT_OK : SMQTT_E_BAD_PAYLOAD;
}

smqtt_err smq_codec_read_props(const struct smq_codec *codec, struct smq_rd *rd, enum smq_prop_place place,
                               struct smq_props *props)
{
    if (smq_codec_is_v5(codec)) {
        return smq_props_read(rd, place, codec->text, props);
    }
    smq_props_clear(props);
    return SMQTT_OK;
}

smqtt_err smq_codec_write_props(const struct smq_codec *codec, struct smq_wr *wr, enum smq_prop_place place,
                                const struct smq_props *props)
{
    return smq_codec_is_v5(codec) ? smq_props_write(wr, place, codec->text, props) : SMQTT_OK;
}

smqtt_err smq_packet_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    SMQ_TRY(smq_frame_check_header(codec, frame->header));
    pkt->type = (enum smq_type)(frame->header >> 4);
    return smq_packet_rows[pkt->type].read(codec, frame, pkt);
}

static uint8_t header_of(const struct smq_packet *pkt)
{
    unsigned header = (unsigned)pkt->type << 4;
    if (pkt->type == SMQ_DETECT) {
        return pkt->detect.header;
    }
    if (pkt->type == SMQ_PUBLISH) {
        header |= (pkt->publish.dup ? 8u : 0u) | (unsigned)pkt->publish.qos << 1 | (pkt->publish.retain ? 1u : 0u);
    } else if (((smq_packet_rows[pkt->type].client[2] | smq_packet_rows[pkt->type].server[2]) & F2) != 0) {
        header |= 2;
    }
    return (uint8_t)header;
}

/* What would be the peer's fault in a packet read is the caller's in one that is to be written. */
static smqtt_err to_usage(smqtt_err err)
{
    bool ours = err == SMQTT_E_PROTOCOL || err == SMQTT_E_MALFORMED;
    return ours ? SMQTT_E_USAGE : err;
}

smqtt_err smq_packet_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    if ((unsigned)pkt->type >= SMQ_ARRAY_LEN(smq_packet_rows)) {
        return SMQTT_E_USAGE;
    }
    const struct smq_row *row = &smq_packet_rows[pkt->type];
    struct smq_codec own = *codec;
    own.from = SMQ_FROM_ANY;
    if (pkt->type == SMQ_CONNECT) {
        own.version = pkt->connect.version & UINT8_MAX; /* as wide as the field */
    }
    unsigned dialect = smq_codec_dialect(&own);
    if ((row->client[dialect] | row->server[dialect]) == 0) {
        return SMQTT_E_USAGE;
    }
    SMQ_TRY(to_usage(row->check(&own, pkt)));
    struct smq_wr body = smq_wr_measure();
    SMQ_TRY(row->write(&own, pkt, &body));
    if (body.len > SMQ_VARINT_MAX || 1 + smq_varint_size((uint32_t)body.len) + body.len > smq_codec_max_packet(&own)) {
        return SMQTT_E_TOO_LARGE;
    }
    smq_wr_u8(wr, header_of(pkt));
    smq_varint_write(wr, (uint32_t)body.len);
    return row->write(&own, pkt, wr);
}
