/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/row.h"

enum { OPTION_QOS = 0x03, OPTION_NO_LOCAL = 0x04, OPTION_RETAIN_HANDLING = 0x30, OPTION_RESERVED = 0xC0 };

static smqtt_err check_options(const struct smq_codec *codec, const struct smq_filter *f)
{
    if (!smq_codec_is_v5(codec)) {
        return f->options <= 2 ? SMQTT_OK : SMQTT_E_MALFORMED; /* [MQTT-3-8.3-4] of 3.1.1 */
    }
    if ((f->options & OPTION_RESERVED) != 0) {
        return SMQTT_E_MALFORMED; /* [MQTT-3.8.3-5] */
    }
    if ((f->options & OPTION_QOS) == 3 || (f->options & OPTION_RETAIN_HANDLING) == OPTION_RETAIN_HANDLING) {
        return SMQTT_E_PROTOCOL;
    }
    smq_span group, rest;
    bool shared = smq_topic_split_share(f->filter, &group, &rest);
    return shared && (f->options & OPTION_NO_LOCAL) != 0 ? SMQTT_E_PROTOCOL : SMQTT_OK; /* [MQTT-3.8.3-4] */
}

static smqtt_err check_one(const struct smq_codec *codec, bool options, const struct smq_filter *f)
{
    SMQ_TRY(smq_codec_check_filter(codec, f->filter));
    return options ? check_options(codec, f) : SMQTT_OK;
}

/* A whole list in wire form; *n = how many filters it has. */
static smqtt_err check_list(const struct smq_codec *codec, bool options, smq_span list, uint32_t *n)
{
    struct smq_rd it = smq_rd_of(list);
    struct smq_filter one;
    uint32_t count = 0;
    while (smq_filters_next(codec, &it, options, &one)) {
        SMQ_TRY(check_one(codec, options, &one));
        count++;
    }
    if (!smq_rd_done(&it)) {
        return SMQTT_E_MALFORMED;
    }
    *n = count;
    return count != 0 ? SMQTT_OK : SMQTT_E_PROTOCOL; /* [MQTT-3.8.3-2] [MQTT-3.10.3-2] */
}

bool smq_filters_next(const struct smq_codec *codec, struct smq_rd *it, bool options, struct smq_filter *out)
{
    (void)codec; /* all versions have the same list */
    if (smq_rd_left(it) == 0) {
        return false;
    }
    out->filter = smq_rd_blob16(it);
    out->options = options ? smq_rd_u8(it) : 0;
    return smq_rd_ok(it);
}

static enum smq_prop_place place_of(enum smq_type type)
{
    return type == SMQ_SUBSCRIBE ? SMQ_IN_SUBSCRIBE : SMQ_IN_UNSUBSCRIBE;
}

smqtt_err smq_subscribe_read(const struct smq_codec *codec, const struct smq_frame *frame, struct smq_packet *pkt)
{
    struct smq_subscribe *s = &pkt->subscribe;
    struct smq_rd rd = smq_rd_of(frame->body);
    s->filters = NULL;
    s->id = smq_rd_u16(&rd);
    if (!smq_rd_ok(&rd)) {
        return SMQTT_E_MALFORMED;
    }
    if (s->id == 0) {
        return SMQTT_E_PROTOCOL; /* [MQTT-2.2.1-3] */
    }
    SMQ_TRY(smq_codec_read_props(codec, &rd, place_of(pkt->type), &s->props));
    s->list = smq_rd_rest(&rd);
    return check_list(codec, pkt->type == SMQ_SUBSCRIBE, s->list, &s->n);
}

smqtt_err smq_subscribe_check(const struct smq_codec *codec, const struct smq_packet *pkt)
{
    const struct smq_subscribe *s = &pkt->subscribe;
    bool options = pkt->type == SMQ_SUBSCRIBE;
    if (s->id == 0) {
        return SMQTT_E_USAGE;
    }
    if (s->filters == NULL) {
        uint32_t n;
        return check_list(codec, options, s->list, &n);
    }
    for (uint32_t i = 0; i < s->n; i++) {
        SMQ_TRY(check_one(codec, options, &s->filters[i]));
    }
    return s->n != 0 ? SMQTT_OK : SMQTT_E_USAGE;
}

smqtt_err smq_subscribe_write(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_wr *wr)
{
    const struct smq_subscribe *s = &pkt->subscribe;
    smq_wr_u16(wr, s->id);
    SMQ_TRY(smq_codec_write_props(codec, wr, place_of(pkt->type), &s->props));
    if (s->filters == NULL) {
        smq_wr_put(wr, s->list);
        return SMQTT_OK;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        smq_wr_blob16(wr, s->filters[i].filter);
        if (pkt->type == SMQ_SUBSCRIBE) {
            smq_wr_u8(wr, s->filters[i].options);
        }
    }
    return SMQTT_OK;
}
