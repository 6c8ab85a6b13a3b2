/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/prop.h"
#include "codec/topic.h"
#include "codec/varint.h"

static bool value_fits(enum smq_prop which, const struct smq_props *p)
{
    const struct smq_prop_row *row = smq_prop_row(which);
    switch (row->wire) {
    case SMQ_WIRE_BYTE:
    case SMQ_WIRE_U16:
    case SMQ_WIRE_U32:
    case SMQ_WIRE_VARINT:
        return p->value[which].num >= row->min && p->value[which].num <= row->max;
    case SMQ_WIRE_STRING:
    case SMQ_WIRE_BINARY:
        return p->value[which].bytes.len >= row->min && p->value[which].bytes.len <= row->max;
    case SMQ_WIRE_PAIR:
        return false; /* pairs stand in `raw` */
    }
    return false;
}

static smqtt_err check_values(enum smq_prop_place place, enum smq_text_policy text, const struct smq_props *p)
{
    for (unsigned i = 0; i < SMQ_PROP_COUNT; i++) {
        enum smq_prop which = (enum smq_prop)i;
        if (!smq_props_has(p, which)) {
            continue;
        }
        if ((smq_prop_row(which)->places & place) == 0 || !value_fits(which, p)) {
            return SMQTT_E_USAGE;
        }
        if (smq_prop_row(which)->wire == SMQ_WIRE_STRING && !smq_utf8_ok(p->value[which].bytes, text)) {
            return SMQTT_E_BAD_TEXT;
        }
        if (which == SMQ_PROP_RESPONSE_TOPIC && text != SMQ_TEXT_ANY && !smq_topic_name_ok(p->value[which].bytes, 0)) {
            return SMQTT_E_BAD_TOPIC;
        }
    }
    return SMQTT_OK;
}

/* `raw` has no length in front; a reader wants one, so it is walked with the reader's own checks one property at a
 * time. */
static smqtt_err check_raw(enum smq_prop_place place, enum smq_text_policy text, const struct smq_props *p)
{
    struct smq_rd it = smq_rd_of(p->raw);
    enum smq_prop which;
    union smq_prop_value value;
    smq_span second;
    uint32_t seen = p->parsed ? 0 : p->present;
    while (smq_props_next(&it, &which, &value, &second)) {
        const struct smq_prop_row *row = smq_prop_row(which);
        bool twice = ((seen >> which) & 1) != 0 && (row->repeat & place) == 0;
        bool is_text = row->wire == SMQ_WIRE_STRING || row->wire == SMQ_WIRE_PAIR;
        bool is_num = !is_text && row->wire != SMQ_WIRE_BINARY;
        if ((row->places & place) == 0 || twice || (is_num && (value.num < row->min || value.num > row->max))) {
            return SMQTT_E_USAGE;
        }
        if (is_text && (!smq_utf8_ok(value.bytes, text) || !smq_utf8_ok(second, text))) {
            return SMQTT_E_BAD_TEXT;
        }
        if (which == SMQ_PROP_RESPONSE_TOPIC && text != SMQ_TEXT_ANY && !smq_topic_name_ok(value.bytes, 0)) {
            return SMQTT_E_BAD_TOPIC;
        }
        seen |= 1u << which;
    }
    return smq_rd_done(&it) ? SMQTT_OK : SMQTT_E_USAGE;
}

static void put_value(struct smq_wr *wr, enum smq_prop which, const struct smq_props *p)
{
    const struct smq_prop_row *row = smq_prop_row(which);
    smq_wr_u8(wr, row->id);
    switch (row->wire) {
    case SMQ_WIRE_BYTE:
        smq_wr_u8(wr, (uint8_t)p->value[which].num);
        break;
    case SMQ_WIRE_U16:
        smq_wr_u16(wr, (uint16_t)p->value[which].num);
        break;
    case SMQ_WIRE_U32:
        smq_wr_u32(wr, p->value[which].num);
        break;
    case SMQ_WIRE_VARINT:
        smq_varint_write(wr, p->value[which].num);
        break;
    case SMQ_WIRE_STRING:
    case SMQ_WIRE_BINARY:
        smq_wr_blob16(wr, p->value[which].bytes);
        break;
    case SMQ_WIRE_PAIR:
        break; /* refused by check_values */
    }
}

static void put_all(struct smq_wr *wr, const struct smq_props *p)
{
    smq_wr_put(wr, p->raw);
    uint32_t left = p->parsed ? 0 : p->present;
    for (unsigned i = 0; left != 0; i++, left >>= 1) {
        if ((left & 1) != 0) {
            put_value(wr, (enum smq_prop)i, p);
        }
    }
}

smqtt_err smq_props_write(struct smq_wr *wr, enum smq_prop_place place, enum smq_text_policy text,
                          const struct smq_props *p)
{
    if (smq_props_is_empty(p)) {
        smq_wr_u8(wr, 0);
        return SMQTT_OK;
    }
    if (p->present >> SMQ_PROP_COUNT != 0) {
        return SMQTT_E_USAGE;
    }
    if (!p->parsed) {
        SMQ_TRY(check_values(place, text, p));
    }
    SMQ_TRY(check_raw(place, text, p));
    struct smq_wr size = smq_wr_measure();
    put_all(&size, p);
    if (size.len > SMQ_VARINT_MAX) {
        return SMQTT_E_TOO_LARGE;
    }
    smq_varint_write(wr, (uint32_t)size.len);
    put_all(wr, p);
    return SMQTT_OK;
}

void smq_props_put_user(struct smq_wr *wr, smq_span name, smq_span value)
{
    smq_wr_u8(wr, smq_prop_row(SMQ_PROP_USER_PROPERTY)->id);
    smq_wr_blob16(wr, name);
    smq_wr_blob16(wr, value);
}

void smq_props_put_subid(struct smq_wr *wr, uint32_t id)
{
    smq_wr_u8(wr, smq_prop_row(SMQ_PROP_SUBSCRIPTION_ID)->id);
    smq_varint_write(wr, id);
}

void smq_props_copy_raw(const struct smq_props *p, uint32_t keep, struct smq_wr *wr)
{
    struct smq_rd it = smq_rd_of(p->raw);
    const uint8_t *from = it.pos;
    enum smq_prop which;
    union smq_prop_value value;
    smq_span second;
    while (smq_props_next(&it, &which, &value, &second)) {
        if (((keep >> which) & 1) != 0) {
            smq_wr_bytes(wr, from, (size_t)(it.pos - from));
        }
        from = it.pos;
    }
}
