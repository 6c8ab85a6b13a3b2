/* SPDX-License-Identifier: Apache-2.0 */
/* DISCONNECT and AUTH: a reason code and properties, both of which may be left out. */
#include "codec/reason.h"
#include "codec/row.h"

static enum smq_prop_place place_of(enum smq_type type)
{
    return type == SMQ_DISCONNECT ? SMQ_IN_DISCONNECT : SMQ_IN_AUTH;
}

/* MQTT 5.0 section 3.15.2.2.2 wants the method always, 3.15.2.1 lets a success without properties be empty. */
static smqtt_err check_auth(const struct smq_reasoned *r)
{
    bool empty = r->reason == 0 && smq_props_is_empty(&r->props);
    return empty || smq_props_has(&r->props, SMQ_PROP_AUTH_METHOD) ? SMQTT_OK : SMQTT_E_PROTOCOL;
}

static smqtt_err check_content(const struct smq_codec *codec, enum smq_type type, const struct smq_reasoned *r)
{
    if (!smq_codec_is_v5(codec)) {
        return SMQTT_OK;
    }
    if (!smq_reason_ok(type, codec->from, r->reason)) {
        return SMQTT_E_MALFORMED;
    }
    if (type == SMQ_AUTH) {
        return check_auth(r);
    }
    /* [MQTT-3.14.2-2] */
    bool expiry = codec->from == SMQ_FROM_SERVER && smq_props_has(&r->props, SMQ_PROP_SESSION_EXPIRY);
    return expiry ? SMQTT_E_PROTOCOL : SMQTT_OK;
}

smqtt_err smq_reasoned_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    struct smq_reasoned *r = &pkt->reasoned;
    struct smq_rd rd = smq_rd_of(frame->body);
    r->reason = 0;
    smq_props_clear(&r->props);
    if (smq_codec_is_v5(codec) && smq_rd_left(&rd) != 0) {
        r->reason = smq_rd_u8(&rd);
        /* only DISCONNECT may leave out the length of the properties behind a reason */
        if (smq_rd_left(&rd) != 0 || pkt->type == SMQ_AUTH) {
            SMQ_TRY(smq_props_read(&rd, place_of(pkt->type), codec->text, &r->props));
        }
    }
    return smq_rd_done(&rd) ? check_content(codec, pkt->type, r) : SMQTT_E_MALFORMED;
}

smqtt_err smq_reasoned_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    return check_content(codec, pkt->type, &pkt->reasoned);
}

smqtt_err smq_reasoned_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    const struct smq_reasoned *r = &pkt->reasoned;
    bool has_props = !smq_props_is_empty(&r->props);
    if (!smq_codec_is_v5(codec) || (r->reason == 0 && !has_props)) {
        return SMQTT_OK;
    }
    smq_wr_u8(wr, r->reason);
    if (has_props || pkt->type == SMQ_AUTH) {
        return smq_props_write(wr, place_of(pkt->type), codec->text, &r->props);
    }
    return SMQTT_OK;
}
