/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/reason.h"
#include "codec/row.h"

static smqtt_err check_content(const struct smq_codec *codec, enum smq_type type, const struct smq_ack *a)
{
    if (a->id == 0) {
        return SMQTT_E_PROTOCOL; /* [MQTT-2.2.1-5] */
    }
    return !smq_codec_is_v5(codec) || smq_reason_ok(type, codec->from, a->reason) ? SMQTT_OK : SMQTT_E_MALFORMED;
}

smqtt_err smq_ack_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    struct smq_ack *a = &pkt->ack;
    struct smq_rd rd = smq_rd_of(frame->body);
    a->id = smq_rd_u16(&rd);
    a->reason = 0;
    smq_props_clear(&a->props);
    /* 5.0 may end after the identifier (reason 0) and after the reason (no properties) */
    if (smq_codec_is_v5(codec) && smq_rd_left(&rd) != 0) {
        a->reason = smq_rd_u8(&rd);
        if (smq_rd_left(&rd) != 0) {
            SMQ_TRY(smq_props_read(&rd, SMQ_IN_ACK, codec->text, &a->props));
        }
    }
    return smq_rd_done(&rd) ? check_content(codec, pkt->type, a) : SMQTT_E_MALFORMED;
}

smqtt_err smq_ack_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    return check_content(codec, pkt->type, &pkt->ack);
}

smqtt_err smq_ack_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    const struct smq_ack *a = &pkt->ack;
    smq_wr_u16(wr, a->id);
    bool has_props = !smq_props_is_empty(&a->props);
    if (smq_codec_is_v5(codec) && (a->reason != 0 || has_props)) {
        smq_wr_u8(wr, a->reason);
        return has_props ? smq_props_write(wr, SMQ_IN_ACK, codec->text, &a->props) : SMQTT_OK;
    }
    return SMQTT_OK;
}
