/* SPDX-License-Identifier: Apache-2.0 */
/* %j and %J: a message as one JSON object, as mosquitto_sub 2.0.11 writes it. */
#include <stdio.h>

#include "base/rd.h"
#include "codec/prop.h"
#include "fmt.h"
#include "json.h"
#include "props.h"
#include "say.h"

static void member(struct json *j, const char *name)
{
    json_member(j, smq_span_str(name));
}

static void put_user_props(struct json *j, smq_span props)
{
    struct smq_rd it = smq_rd_of(props);
    smq_span name;
    smq_span value;
    member(j, "user-properties");
    json_open(j);
    while (smq_props_next_user(&it, &name, &value)) {
        json_member(j, name);
        json_text(value);
    }
    json_close(j);
}

static void put_props(struct json *j, smq_span props)
{
    struct smq_rd it = smq_rd_of(props);
    enum smq_prop which;
    union smq_prop_value value;
    smq_span second;
    bool users = false;
    member(j, "properties");
    json_open(j);
    while (smq_props_next(&it, &which, &value, &second)) {
        enum smq_prop_wire wire = smq_prop_row(which)->wire;
        if (wire == SMQ_WIRE_PAIR && !users) {
            put_user_props(j, props); /* all of them where the first stands */
            users = true;
        } else if (wire != SMQ_WIRE_PAIR && props_name(which) != NULL) {
            member(j, props_name(which));
            if (wire == SMQ_WIRE_STRING || wire == SMQ_WIRE_BINARY) {
                json_text(value.bytes);
            } else {
                json_number(value.num);
            }
        }
    }
    json_close(j);
}

static void put_payload(struct json *j, smq_span payload, bool is_json)
{
    member(j, "payload");
    if (payload.len == 0) {
        json_null();
    } else if (is_json) {
        json_value(j, payload);
    } else {
        json_text(payload);
    }
}

void fmt_json(const struct smqtt_client_event *ev, const struct timespec *time, const struct tm *tm,
              bool payload_is_json, bool pretty)
{
    if (payload_is_json && ev->payload.len != 0 && !json_is_valid(ev->payload)) {
        say("Message payload is not valid JSON on topic %.*s.", (int)ev->topic.len, (const char *)ev->topic.data);
        return;
    }
    char date[32];
    char zone[16];
    char stamp[64];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", tm);
    strftime(zone, sizeof(zone), "%z", tm);
    snprintf(stamp, sizeof(stamp), "%s.%06ldZ%.8s", date, time->tv_nsec / 1000 % 1000000, zone);
    struct json j = {.pretty = pretty};
    json_open(&j);
    member(&j, "tst");
    json_text(smq_span_str(stamp));
    member(&j, "topic");
    json_text(ev->topic);
    member(&j, "qos");
    json_number(ev->qos);
    member(&j, "retain");
    json_number(ev->retain ? 1 : 0);
    member(&j, "payloadlen");
    json_number((double)ev->payload.len);
    if (ev->packet_id != 0) {
        member(&j, "mid");
        json_number(ev->packet_id);
    }
    if (ev->props.len != 0) {
        put_props(&j, ev->props);
    }
    put_payload(&j, ev->payload, payload_is_json);
    json_close(&j);
}
