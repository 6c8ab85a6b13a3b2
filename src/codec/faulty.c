/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/faulty.h"

#include "codec/row.h"

bool smq_faulty_is(smqtt_err err)
{
    return err == SMQTT_E_BAD_TEXT || err == SMQTT_E_BAD_TOPIC || err == SMQTT_E_BAD_PAYLOAD;
}

static enum smqtt_field field_of(enum smq_prop which)
{
    static const enum smqtt_field fields[SMQ_PROP_COUNT] = {
        [SMQ_PROP_CONTENT_TYPE] = SMQTT_FIELD_CONTENT_TYPE,
        [SMQ_PROP_RESPONSE_TOPIC] = SMQTT_FIELD_RESPONSE_TOPIC,
        [SMQ_PROP_ASSIGNED_CLIENT_ID] = SMQTT_FIELD_ASSIGNED_CLIENT_ID,
        [SMQ_PROP_AUTH_METHOD] = SMQTT_FIELD_AUTH_METHOD,
        [SMQ_PROP_RESPONSE_INFO] = SMQTT_FIELD_RESPONSE_INFORMATION,
        [SMQ_PROP_SERVER_REFERENCE] = SMQTT_FIELD_SERVER_REFERENCE,
        [SMQ_PROP_REASON_STRING] = SMQTT_FIELD_REASON_STRING,
        [SMQ_PROP_USER_PROPERTY] = SMQTT_FIELD_USER_PROPERTY_NAME,
    };
    return fields[which];
}

static bool find_in_props(const struct smq_codec *codec, const struct smq_props *props, struct smq_faulty *out)
{
    struct smq_rd it = smq_rd_of(props->raw);
    enum smq_prop which;
    union smq_prop_value value;
    smq_span second;
    while (smq_props_next(&it, &which, &value, &second)) {
        enum smq_prop_wire wire = smq_prop_row(which)->wire;
        if (wire != SMQ_WIRE_STRING && wire != SMQ_WIRE_PAIR) {
            continue;
        }
        struct smq_faulty found = {SMQTT_E_BAD_TEXT, field_of(which), value.bytes};
        if (smq_utf8_ok(value.bytes, codec->text)) {
            found.err = which == SMQ_PROP_RESPONSE_TOPIC ? smq_codec_check_topic(codec, value.bytes) : SMQTT_OK;
        }
        if (found.err == SMQTT_OK && !smq_utf8_ok(second, codec->text)) {
            found = (struct smq_faulty){SMQTT_E_BAD_TEXT, SMQTT_FIELD_USER_PROPERTY_VALUE, second};
        }
        if (found.err != SMQTT_OK) {
            *out = found;
            return true;
        }
    }
    return false;
}

static bool find_in_publish(const struct smq_codec *codec, const struct smq_publish *p, struct smq_faulty *out)
{
    bool v5 = smq_codec_is_v5(codec);
    bool by_alias = v5 && p->topic.len == 0;
    smqtt_err err = by_alias ? SMQTT_OK : smq_codec_check_topic(codec, p->topic);
    if (err != SMQTT_OK) {
        *out = (struct smq_faulty){err, SMQTT_FIELD_TOPIC, p->topic};
        return true;
    }
    if (v5 && find_in_props(codec, &p->props, out)) {
        return true;
    }
    err = v5 ? smq_codec_check_payload(codec, &p->props, p->payload) : SMQTT_OK;
    if (err != SMQTT_OK) {
        *out = (struct smq_faulty){err, SMQTT_FIELD_PAYLOAD, {NULL, 0}};
    }
    return err != SMQTT_OK;
}

bool smq_faulty_find(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_faulty *out)
{
    switch (pkt->type) {
    case SMQ_PUBLISH:
        return find_in_publish(codec, &pkt->publish, out);
    case SMQ_CONNACK:
        return find_in_props(codec, &pkt->connack.props, out);
    case SMQ_PUBACK:
    case SMQ_PUBREC:
    case SMQ_PUBREL:
    case SMQ_PUBCOMP:
        return find_in_props(codec, &pkt->ack.props, out);
    case SMQ_SUBACK:
    case SMQ_UNSUBACK:
        return find_in_props(codec, &pkt->suback.props, out);
    case SMQ_DISCONNECT:
    case SMQ_AUTH:
        return find_in_props(codec, &pkt->reasoned.props, out);
    case SMQ_DETECT:
    case SMQ_CONNECT:
    case SMQ_SUBSCRIBE:
    case SMQ_UNSUBSCRIBE:
    case SMQ_PINGREQ:
    case SMQ_PINGRESP:
        break; /* no strings, or no packets of a server */
    }
    return false;
}
