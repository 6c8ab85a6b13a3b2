/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/prop.h"
#include "codec/topic.h"
#include "codec/varint.h"

/* The value behind an identifier. Only what the bytes say: no ranges, no text. False when they end too early. */
static bool take_value(struct smq_rd *rd, enum smq_prop_wire wire, union smq_prop_value *value, smq_span *second)
{
    switch (wire) {
    case SMQ_WIRE_BYTE:
        value->num = smq_rd_u8(rd);
        break;
    case SMQ_WIRE_U16:
        value->num = smq_rd_u16(rd);
        break;
    case SMQ_WIRE_U32:
        value->num = smq_rd_u32(rd);
        break;
    case SMQ_WIRE_VARINT:
        if (smq_varint_read(rd, &value->num) != SMQTT_OK) {
            smq_rd_fail(rd);
        }
        break;
    case SMQ_WIRE_STRING:
    case SMQ_WIRE_BINARY:
        value->bytes = smq_rd_blob16(rd);
        break;
    case SMQ_WIRE_PAIR:
        value->bytes = smq_rd_blob16(rd);
        *second = smq_rd_blob16(rd);
        break;
    }
    return smq_rd_ok(rd);
}

static smqtt_err check_value(enum smq_prop which, enum smq_text_policy text, union smq_prop_value value,
                             smq_span second)
{
    const struct smq_prop_row *row = smq_prop_row(which);
    switch (row->wire) {
    case SMQ_WIRE_BYTE:
    case SMQ_WIRE_U16:
    case SMQ_WIRE_U32:
    case SMQ_WIRE_VARINT:
        if (value.num >= row->min && value.num <= row->max) {
            return SMQTT_OK;
        }
        return which == SMQ_PROP_TOPIC_ALIAS ? SMQTT_E_BAD_ALIAS : SMQTT_E_PROTOCOL;
    case SMQ_WIRE_STRING:
        if (!smq_utf8_ok(value.bytes, text)) {
            return SMQTT_E_BAD_TEXT;
        }
        /* [MQTT-3.3.2-14] no wildcards; it is the name of a later PUBLISH, so it has to be one */
        return which == SMQ_PROP_RESPONSE_TOPIC && text != SMQ_TEXT_ANY && !smq_topic_name_ok(value.bytes, 0)
                   ? SMQTT_E_BAD_TOPIC
                   : SMQTT_OK;
    case SMQ_WIRE_PAIR:
        return smq_utf8_ok(value.bytes, text) && smq_utf8_ok(second, text) ? SMQTT_OK : SMQTT_E_BAD_TEXT;
    case SMQ_WIRE_BINARY:
        return SMQTT_OK;
    }
    return SMQTT_E_BUG;
}

smqtt_err smq_props_read(struct smq_rd *rd, enum smq_prop_place place, enum smq_text_policy text, struct smq_props *out)
{
    uint32_t len;
    if (smq_varint_read(rd, &len) != SMQTT_OK || len > smq_rd_left(rd)) {
        return SMQTT_E_MALFORMED;
    }
    out->present = 0;
    out->parsed = true;
    out->raw = smq_rd_bytes(rd, len);
    struct smq_rd it = smq_rd_of(out->raw);
    while (smq_rd_left(&it) != 0) {
        enum smq_prop which = smq_prop_by_id(smq_rd_u8(&it));
        if (which == SMQ_PROP_COUNT || (smq_prop_row(which)->places & place) == 0) {
            return SMQTT_E_MALFORMED;
        }
        union smq_prop_value value = {0};
        smq_span second = {NULL, 0};
        if (!take_value(&it, smq_prop_row(which)->wire, &value, &second)) {
            return SMQTT_E_MALFORMED;
        }
        SMQ_TRY(check_value(which, text, value, second));
        if (!smq_props_has(out, which)) {
            out->present |= 1u << which;
            out->value[which] = value;
        } else if ((smq_prop_row(which)->repeat & place) == 0) {
            return SMQTT_E_PROTOCOL;
        }
    }
    return SMQTT_OK;
}

bool smq_props_next(struct smq_rd *it, enum smq_prop *which, union smq_prop_value *value, smq_span *second)
{
    if (smq_rd_left(it) == 0) {
        return false;
    }
    *which = smq_prop_by_id(smq_rd_u8(it));
    *second = (smq_span){NULL, 0};
    if (*which == SMQ_PROP_COUNT) {
        smq_rd_fail(it);
        return false;
    }
    return take_value(it, smq_prop_row(*which)->wire, value, second);
}

bool smq_props_next_user(struct smq_rd *it, smq_span *name, smq_span *value)
{
    enum smq_prop which;
    union smq_prop_value first;
    smq_span second;
    while (smq_props_next(it, &which, &first, &second)) {
        if (which == SMQ_PROP_USER_PROPERTY) {
            *name = first.bytes;
            *value = second;
            return true;
        }
    }
    return false;
}

bool smq_props_next_subid(struct smq_rd *it, uint32_t *id)
{
    enum smq_prop which;
    union smq_prop_value first;
    smq_span second;
    while (smq_props_next(it, &which, &first, &second)) {
        if (which == SMQ_PROP_SUBSCRIPTION_ID) {
            *id = first.num;
            return true;
        }
    }
    return false;
}
