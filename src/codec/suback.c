/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/reason.h"
#include "codec/row.h"

/* UNSUBACK of 3.x has no codes. */
static bool has_codes(const struct smq_codec *codec, enum smq_type type)
{
    return type == SMQ_SUBACK || smq_codec_is_v5(codec);
}

/* [MQTT-3.9.3-2] and its like */
static smqtt_err check_codes(const struct smq_codec *codec, enum smq_type type, smq_span codes)
{
    enum { FAILURE_V3 = 0x80 };
    for (size_t i = 0; i < codes.len; i++) {
        uint8_t code = codes.data[i];
        bool legal = smq_codec_is_v5(codec) ? smq_reason_ok(type, codec->from, code) : code <= 2 || code == FAILURE_V3;
        if (!legal) {
            return SMQTT_E_MALFORMED;
        }
    }
    return codes.len != 0 ? SMQTT_OK : SMQTT_E_PROTOCOL;
}

static smqtt_err check_content(const struct smq_codec *codec, enum smq_type type, const struct smq_suback *s)
{
    if (s->id == 0) {
        return SMQTT_E_PROTOCOL; /* [MQTT-2.2.1-6] */
    }
    return has_codes(codec, type) ? check_codes(codec, type, s->codes) : SMQTT_OK;
}

smqtt_err smq_suback_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    struct smq_suback *s = &pkt->suback;
    struct smq_rd rd = smq_rd_of(frame->body);
    s->id = smq_rd_u16(&rd);
    s->codes = (smq_span){NULL, 0};
    if (!smq_rd_ok(&rd)) {
        return SMQTT_E_MALFORMED;
    }
    SMQ_TRY(smq_codec_read_props(codec, &rd, SMQ_IN_SUBACK, &s->props));
    if (has_codes(codec, pkt->type)) {
        s->codes = smq_rd_rest(&rd);
    }
    return smq_rd_done(&rd) ? check_content(codec, pkt->type, s) : SMQTT_E_MALFORMED;
}

smqtt_err smq_suback_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    return check_content(codec, pkt->type, &pkt->suback);
}

smqtt_err smq_suback_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    const struct smq_suback *s = &pkt->suback;
    smq_wr_u16(wr, s->id);
    SMQ_TRY(smq_codec_write_props(codec, wr, SMQ_IN_SUBACK, &s->props));
    if (has_codes(codec, pkt->type)) {
        smq_wr_put(wr, s->codes);
    }
    return SMQTT_OK;
}
