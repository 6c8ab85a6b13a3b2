/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the broker whose form is sound and whose strings are not what MQTT allows: one message of somebody who may
 * publish must not keep us from all others. The ordinary path pays nothing: only a packet that the codec has refused is
 * read a second time. */
#include "client/internal.h"

smqtt_err smq_client_read_faulty(struct smqtt_client *c, const struct smq_frame *frame, smqtt_err err,
                                 struct smq_packet *pkt)
{
    if (c->config.bad_strings != SMQTT_BAD_STRINGS_QUARANTINE || !smq_faulty_is(err)) {
        return err;
    }
    struct smq_codec any = c->read_codec;
    any.text = SMQ_TEXT_ANY;
    SMQ_TRY(smq_packet_read(&any, frame, pkt));
    if (!smq_faulty_find(&c->read_codec, pkt, &c->faulty)) {
        return err;
    }
    if (pkt->type != SMQ_PUBLISH) {
        c->counters.ignored_strings++;
    }
    return SMQTT_OK;
}

void smq_client_quarantine(struct smqtt_client *c, const struct smq_publish *publish, struct smqtt_client_event *event)
{
    c->counters.quarantined++;
    smq_client_describe(c, publish, SMQTT_CLIENT_QUARANTINED, event);
    event->err = c->faulty.err;
    event->field = c->faulty.field;
    event->text = c->faulty.bytes;
}

smq_span smq_client_sound(const struct smqtt_client *c, smq_span text)
{
    bool sound = c->faulty.err == SMQTT_OK || smq_utf8_ok(text, c->read_codec.text);
    return sound ? text : (smq_span){NULL, 0};
}

void smqtt_client_counters(const struct smqtt_client *c, struct smqtt_client_counts *out)
{
    *out = c->counters;
}

const char *smqtt_field_name(enum smqtt_field field)
{
    static const char *const names[] = {
        [SMQTT_FIELD_NONE] = "none",
        [SMQTT_FIELD_TOPIC] = "topic name",
        [SMQTT_FIELD_PAYLOAD] = "payload",
        [SMQTT_FIELD_CONTENT_TYPE] = "content type",
        [SMQTT_FIELD_RESPONSE_TOPIC] = "response topic",
        [SMQTT_FIELD_USER_PROPERTY_NAME] = "user property's name",
        [SMQTT_FIELD_USER_PROPERTY_VALUE] = "user property's value",
        [SMQTT_FIELD_REASON_STRING] = "reason string",
        [SMQTT_FIELD_SERVER_REFERENCE] = "server reference",
        [SMQTT_FIELD_RESPONSE_INFORMATION] = "response information",
        [SMQTT_FIELD_ASSIGNED_CLIENT_ID] = "assigned client identifier",
        [SMQTT_FIELD_AUTH_METHOD] = "authentication method",
    };
    return (unsigned)field < SMQ_ARRAY_LEN(names) ? names[field] : names[SMQTT_FIELD_NONE];
}
