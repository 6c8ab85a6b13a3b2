/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/row.h"

static smqtt_err check_topic(const struct smq_codec *codec, const struct smq_publish *p)
{
    if (p->topic.len == 0 && smq_codec_is_v5(codec)) {
        /* [MQTT-3.3.2-8]: the name may be left out where an alias stands for it */
        return smq_props_has(&p->props, SMQ_PROP_TOPIC_ALIAS) ? SMQTT_OK : SMQTT_E_PROTOCOL;
    }
    return smq_codec_check_topic(codec, p->topic);
}

smqtt_err smq_publish_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    struct smq_publish *p = &pkt->publish;
    struct smq_rd rd = smq_rd_of(frame->body);
    p->dup = (frame->header & 0x08) != 0;
    p->qos = (frame->header >> 1) & 3;
    p->retain = (frame->header & 0x01) != 0;
    p->topic = smq_rd_blob16(&rd);
    p->id = p->qos != 0 ? smq_rd_u16(&rd) : 0;
    if (!smq_rd_ok(&rd)) {
        return SMQTT_E_MALFORMED;
    }
    if (p->qos != 0 && p->id == 0) {
        return SMQTT_E_PROTOCOL; /* [MQTT-2.2.1-3] */
    }
    SMQ_TRY(smq_codec_read_props(codec, &rd, SMQ_IN_PUBLISH, &p->props));
    p->payload = smq_rd_rest(&rd);
    SMQ_TRY(check_topic(codec, p));
    if (!smq_codec_is_v5(codec)) {
        return SMQTT_OK;
    }
    if (codec->from == SMQ_FROM_CLIENT && smq_props_has(&p->props, SMQ_PROP_SUBSCRIPTION_ID)) {
        return SMQTT_E_PROTOCOL; /* [MQTT-3.3.4-6] */
    }
    return smq_codec_check_payload(codec, &p->props, p->payload);
}

smqtt_err smq_publish_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    const struct smq_publish *p = &pkt->publish;
    if (p->qos > 2 || (p->qos == 0 && p->dup) || (p->qos != 0 && p->id == 0)) {
        return SMQTT_E_USAGE; /* [MQTT-3.3.1-4] [MQTT-3.3.1-2] [MQTT-2.2.1-3] */
    }
    SMQ_TRY(check_topic(codec, p));
    return smq_codec_is_v5(codec) ? smq_codec_check_payload(codec, &p->props, p->payload) : SMQTT_OK;
}

smqtt_err smq_publish_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    const struct smq_publish *p = &pkt->publish;
    smq_wr_blob16(wr, p->topic);
    if (p->qos != 0) {
        smq_wr_u16(wr, p->id);
    }
    SMQ_TRY(smq_codec_write_props(codec, wr, SMQ_IN_PUBLISH, &p->props));
    smq_wr_put(wr, p->payload);
    return SMQTT_OK;
}
