/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/row.h"

enum {
    FLAG_RESERVED = 0x01,
    FLAG_CLEAN = 0x02,
    FLAG_WILL = 0x04,
    FLAG_WILL_RETAIN = 0x20,
    FLAG_PASSWORD = 0x40,
    FLAG_USER = 0x80,
    WILL_BITS = 0x38, /* QoS and retain */
    WILL_QOS_SHIFT = 3,
    LEVEL_BRIDGE = 0x80
};

/* [MQTT-3.1.2-1] [MQTT-3.1.2-2] */
static smqtt_err read_protocol(struct smq_rd *rd, struct smq_connect *c)
{
    smq_span name = smq_rd_blob16(rd);
    uint8_t level = smq_rd_u8(rd);
    if (!smq_rd_ok(rd)) {
        return SMQTT_E_MALFORMED;
    }
    c->bridge = (level & LEVEL_BRIDGE) != 0;
    bool is_old = smq_span_equal(name, smq_span_str("MQIsdp"));
    if (!is_old && !smq_span_equal(name, smq_span_str("MQTT"))) {
        return SMQTT_E_BAD_VERSION;
    }
    switch (level & ~LEVEL_BRIDGE) {
    case 3:
        c->version = SMQTT_V31;
        return is_old ? SMQTT_OK : SMQTT_E_BAD_VERSION;
    case 4:
        c->version = SMQTT_V311;
        return is_old ? SMQTT_E_BAD_VERSION : SMQTT_OK;
    case 5:
        c->version = SMQTT_V5;
        return is_old || c->bridge ? SMQTT_E_BAD_VERSION : SMQTT_OK;
    default:
        return SMQTT_E_BAD_VERSION;
    }
}

/* MQTT 3.1 calls bit 0, and the will's bits without a will, unused; the later versions insist on zeros. */
static smqtt_err read_flags(uint8_t flags, struct smq_connect *c)
{
    bool strict = c->version != SMQTT_V31;
    c->clean_start = (flags & FLAG_CLEAN) != 0;
    c->has_will = (flags & FLAG_WILL) != 0;
    c->has_user = (flags & FLAG_USER) != 0;
    c->has_password = (flags & FLAG_PASSWORD) != 0;
    c->will.qos = c->has_will ? (flags >> WILL_QOS_SHIFT) & 3 : 0;
    c->will.retain = c->has_will && (flags & FLAG_WILL_RETAIN) != 0;
    if (strict && (flags & FLAG_RESERVED) != 0) {
        return SMQTT_E_MALFORMED; /* [MQTT-3.1.2-3] */
    }
    if (strict && !c->has_will && (flags & WILL_BITS) != 0) {
        return SMQTT_E_MALFORMED; /* [MQTT-3.1.2-11] [MQTT-3.1.2-13] */
    }
    if (c->will.qos > 2) {
        return SMQTT_E_MALFORMED; /* [MQTT-3.1.2-12] */
    }
    /* [MQTT-3.1.2-22] of 3.1.1; 5.0 allows a password alone */
    return c->has_password && !c->has_user && c->version != SMQTT_V5 ? SMQTT_E_MALFORMED : SMQTT_OK;
}

static smqtt_err read_will(const struct smq_codec *codec, struct smq_rd *rd, struct smq_will *will)
{
    SMQ_TRY(smq_codec_read_props(codec, rd, SMQ_IN_WILL, &will->props));
    will->topic = smq_rd_blob16(rd);
    will->payload = smq_rd_blob16(rd);
    if (!smq_rd_ok(rd)) {
        return SMQTT_E_MALFORMED;
    }
    SMQ_TRY(smq_codec_check_topic(codec, will->topic));
    return smq_codec_check_payload(codec, &will->props, will->payload);
}

static smqtt_err read_login(const struct smq_codec *codec, struct smq_rd *rd, struct smq_connect *c)
{
    if (c->version == SMQTT_V31) {
        /* MQTT 3.1: the flags may announce a user name and a password that then are missing */
        c->has_user = c->has_user && smq_rd_left(rd) != 0;
    }
    if (c->has_user) {
        c->user = smq_rd_blob16(rd);
    }
    if (c->version == SMQTT_V31) {
        c->has_password = c->has_password && smq_rd_left(rd) != 0;
    }
    if (c->has_password) {
        c->password = smq_rd_blob16(rd);
    }
    return smq_rd_done(rd) ? smq_codec_check_text(codec, c->user) : SMQTT_E_MALFORMED;
}

/* 3.1.1: an empty identifier needs a clean session [MQTT-3.1.3-7]; 3.1 has no empty ones; 5.0 lets the server choose.
 */
static smqtt_err check_client_id(const struct smq_connect *c)
{
    bool allowed = c->client_id.len != 0 || c->version == SMQTT_V5 || (c->version == SMQTT_V311 && c->clean_start);
    return allowed ? SMQTT_OK : SMQTT_E_BAD_CLIENT_ID;
}

static smqtt_err check_auth(const struct smq_props *props)
{
    bool alone = smq_props_has(props, SMQ_PROP_AUTH_DATA) && !smq_props_has(props, SMQ_PROP_AUTH_METHOD);
    return alone ? SMQTT_E_PROTOCOL : SMQTT_OK;
}

smqtt_err smq_connect_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    struct smq_connect *c = &pkt->connect;
    struct smq_rd rd = smq_rd_of(frame->body);
    *c = (struct smq_connect){.version = SMQTT_V311};
    SMQ_TRY(read_protocol(&rd, c));
    struct smq_codec own = *codec;
    own.version = c->version;
    uint8_t flags = smq_rd_u8(&rd);
    c->keep_alive = smq_rd_u16(&rd);
    if (!smq_rd_ok(&rd)) {
        return SMQTT_E_MALFORMED;
    }
    SMQ_TRY(read_flags(flags, c));
    SMQ_TRY(smq_codec_read_props(&own, &rd, SMQ_IN_CONNECT, &c->props));
    SMQ_TRY(check_auth(&c->props));
    c->client_id = smq_rd_blob16(&rd);
    if (!smq_rd_ok(&rd)) {
        return SMQTT_E_MALFORMED;
    }
    SMQ_TRY(smq_codec_check_text(&own, c->client_id));
    if (c->has_will) {
        SMQ_TRY(read_will(&own, &rd, &c->will));
    }
    SMQ_TRY(read_login(&own, &rd, c));
    return check_client_id(c);
}

static smqtt_err check_will(const struct smq_codec *codec, const struct smq_will *will)
{
    enum { PAYLOAD_MAX = 65535 };
    if (will->qos > 2 || will->payload.len > PAYLOAD_MAX) {
        return SMQTT_E_USAGE;
    }
    SMQ_TRY(smq_codec_check_topic(codec, will->topic));
    return smq_codec_is_v5(codec) ? smq_codec_check_payload(codec, &will->props, will->payload) : SMQTT_OK;
}

smqtt_err smq_connect_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    enum { PASSWORD_MAX = 65535 };
    const struct smq_connect *c = &pkt->connect;
    bool v5 = c->version == SMQTT_V5;
    if ((c->version != SMQTT_V31 && c->version != SMQTT_V311 && !v5) || (c->bridge && v5) ||
        (c->has_password && (c->password.len > PASSWORD_MAX || (!c->has_user && !v5)))) {
        return SMQTT_E_USAGE;
    }
    if (v5) {
        SMQ_TRY(check_auth(&c->props));
    }
    SMQ_TRY(smq_codec_check_text(codec, c->client_id));
    SMQ_TRY(check_client_id(c));
    if (c->has_user) {
        SMQ_TRY(smq_codec_check_text(codec, c->user));
    }
    return c->has_will ? check_will(codec, &c->will) : SMQTT_OK;
}

smqtt_err smq_connect_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    const struct smq_connect *c = &pkt->connect;
    unsigned flags =
        (c->clean_start ? FLAG_CLEAN : 0u) | (c->has_user ? FLAG_USER : 0u) | (c->has_password ? FLAG_PASSWORD : 0u);
    if (c->has_will) {
        flags |= FLAG_WILL | (unsigned)c->will.qos << WILL_QOS_SHIFT | (c->will.retain ? FLAG_WILL_RETAIN : 0u);
    }
    smq_wr_blob16(wr, smq_span_str(c->version == SMQTT_V31 ? "MQIsdp" : "MQTT"));
    smq_wr_u8(wr, (uint8_t)((unsigned)c->version | (c->bridge ? LEVEL_BRIDGE : 0u)));
    smq_wr_u8(wr, (uint8_t)flags);
    smq_wr_u16(wr, c->keep_alive);
    SMQ_TRY(smq_codec_write_props(codec, wr, SMQ_IN_CONNECT, &c->props));
    smq_wr_blob16(wr, c->client_id);
    if (c->has_will) {
        SMQ_TRY(smq_codec_write_props(codec, wr, SMQ_IN_WILL, &c->will.props));
        smq_wr_blob16(wr, c->will.topic);
        smq_wr_blob16(wr, c->will.payload);
    }
    if (c->has_user) {
        smq_wr_blob16(wr, c->user);
    }
    if (c->has_password) {
        smq_wr_blob16(wr, c->password);
    }
    return SMQTT_OK;
}
