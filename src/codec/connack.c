/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/reason.h"
#include "codec/row.h"

enum { RETURN_CODE_MAX_V3 = 5 };

static smqtt_err check_content(const struct smq_codec *codec, const struct smq_connack *c)
{
    bool legal =
        smq_codec_is_v5(codec) ? smq_reason_ok(SMQ_CONNACK, codec->from, c->reason) : c->reason <= RETURN_CODE_MAX_V3;
    if (!legal) {
        return SMQTT_E_MALFORMED;
    }
    if (c->session_present && c->reason != 0) {
        return SMQTT_E_PROTOCOL; /* [MQTT-3.2.2-6]; [MQTT-3.2.2-4] of 3.1.1 */
    }
    bool alone = smq_codec_is_v5(codec) && smq_props_has(&c->props, SMQ_PROP_AUTH_DATA) &&
                 !smq_props_has(&c->props, SMQ_PROP_AUTH_METHOD);
    return alone ? SMQTT_E_PROTOCOL : SMQTT_OK;
}

/** A server of 3.x answers a client of 5.0 in its own words: two bytes, the second one a refusal of 3.x, which no
 * CONNACK of 5.0 bears [MQTT-3.2.2-8]. 0: it is not that. */
static uint8_t refusal_of_v3(const struct smq_codec *codec, smq_span body)
{
    static const uint8_t reasons[] = {0, 0x84, 0x85, 0x88, 0x86, 0x87};
    bool is_short = smq_codec_is_v5(codec) && body.len == 2 && body.data[0] == 0;
    return is_short && body.data[1] <= RETURN_CODE_MAX_V3 ? reasons[body.data[1]] : 0;
}

smqtt_err smq_connack_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    struct smq_connack *c = &pkt->connack;
    c->reason = refusal_of_v3(codec, frame->body);
    if (c->reason != 0) {
        return SMQTT_OK;
    }
    struct smq_rd rd = smq_rd_of(frame->body);
    uint8_t flags = smq_rd_u8(&rd);
    c->reason = smq_rd_u8(&rd);
    if (!smq_rd_ok(&rd)) {
        return SMQTT_E_MALFORMED;
    }
    /* [MQTT-3.2.2-1]; the byte has no meaning in 3.1 */
    bool has_flags = codec->version != SMQTT_V31;
    if (has_flags && flags > 1) {
        return SMQTT_E_MALFORMED;
    }
    c->session_present = has_flags && flags == 1;
    SMQ_TRY(smq_codec_read_props(codec, &rd, SMQ_IN_CONNACK, &c->props));
    return smq_rd_done(&rd) ? check_content(codec, c) : SMQTT_E_MALFORMED;
}

smqtt_err smq_connack_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    return check_content(codec, &pkt->connack);
}

smqtt_err smq_connack_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    const struct smq_connack *c = &pkt->connack;
    smq_wr_u8(wr, c->session_present && codec->version != SMQTT_V31 ? 1 : 0);
    smq_wr_u8(wr, c->reason);
    return smq_codec_write_props(codec, wr, SMQ_IN_CONNACK, &c->props);
}
