/* SPDX-License-Identifier: Apache-2.0 */
#include "props.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "say.h"

const char props_help[] =
    "\nProperties (-D PACKET NAME VALUE):\n"
    "  connect      authentication-data, authentication-method, maximum-packet-size, receive-maximum,\n"
    "               request-problem-information, request-response-information, session-expiry-interval,\n"
    "               topic-alias-maximum, user-property NAME VALUE\n"
    "  publish      content-type, correlation-data, message-expiry-interval, payload-format-indicator,\n"
    "               response-topic, topic-alias, user-property NAME VALUE\n"
    "  subscribe    subscription-identifier, user-property NAME VALUE\n"
    "  unsubscribe  user-property NAME VALUE\n"
    "  disconnect   session-expiry-interval, user-property NAME VALUE\n"
    "  will         content-type, correlation-data, message-expiry-interval, payload-format-indicator,\n"
    "               response-topic, will-delay-interval, user-property NAME VALUE";

static const struct {
    const char *name; /* on the command line */
    enum smq_prop_place place;
} packets[PROPS_PACKETS] = {
    [PROPS_CONNECT] = {"connect", SMQ_IN_CONNECT},          [PROPS_PUBLISH] = {"publish", SMQ_IN_PUBLISH},
    [PROPS_SUBSCRIBE] = {"subscribe", SMQ_IN_SUBSCRIBE},    [PROPS_UNSUBSCRIBE] = {"unsubscribe", SMQ_IN_UNSUBSCRIBE},
    [PROPS_DISCONNECT] = {"disconnect", SMQ_IN_DISCONNECT}, [PROPS_WILL] = {"will", SMQ_IN_WILL},
};

/* What clients may say; the others come from brokers only. */
static const struct {
    const char *name;
    enum smq_prop which;
} names[] = {
    {"payload-format-indicator", SMQ_PROP_PAYLOAD_FORMAT},
    {"message-expiry-interval", SMQ_PROP_MESSAGE_EXPIRY},
    {"content-type", SMQ_PROP_CONTENT_TYPE},
    {"response-topic", SMQ_PROP_RESPONSE_TOPIC},
    {"correlation-data", SMQ_PROP_CORRELATION_DATA},
    {"subscription-identifier", SMQ_PROP_SUBSCRIPTION_ID},
    {"session-expiry-interval", SMQ_PROP_SESSION_EXPIRY},
    {"authentication-method", SMQ_PROP_AUTH_METHOD},
    {"authentication-data", SMQ_PROP_AUTH_DATA},
    {"request-problem-information", SMQ_PROP_REQUEST_PROBLEM_INFO},
    {"will-delay-interval", SMQ_PROP_WILL_DELAY},
    {"request-response-information", SMQ_PROP_REQUEST_RESPONSE_INFO},
    {"receive-maximum", SMQ_PROP_RECEIVE_MAXIMUM},
    {"topic-alias-maximum", SMQ_PROP_TOPIC_ALIAS_MAXIMUM},
    {"topic-alias", SMQ_PROP_TOPIC_ALIAS},
    {"user-property", SMQ_PROP_USER_PROPERTY},
    {"maximum-packet-size", SMQ_PROP_MAXIMUM_PACKET_SIZE},
};

const char *props_name(enum smq_prop which)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
        if (names[i].which == which) {
            return names[i].name;
        }
    }
    return NULL;
}

static enum smq_prop by_name(const char *name)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
        if (strcasecmp(names[i].name, name) == 0) {
            return names[i].which;
        }
    }
    return SMQ_PROP_COUNT;
}

int props_words(int n, char *const *words)
{
    int wanted = n >= 2 && by_name(words[1]) == SMQ_PROP_USER_PROPERTY ? 4 : 3;
    return n >= wanted ? wanted : 0;
}

bool props_has(const struct props *set, enum smq_prop which)
{
    struct smq_rd it = smq_rd_of(props_span(set));
    enum smq_prop found;
    union smq_prop_value value;
    smq_span second;
    while (smq_props_next(&it, &found, &value, &second)) {
        if (found == which) {
            return true;
        }
    }
    return false;
}

static bool read_number(const char *text, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || text[0] == '-' || v > UINT32_MAX) {
        return false;
    }
    *out = (uint32_t)v;
    return true;
}

/** Sets the value in *out by the kind that the property has on the wire. False: no value of that kind. */
static bool set_value(struct smq_props *out, enum smq_prop which, const char *value)
{
    enum smq_prop_wire wire = smq_prop_row(which)->wire;
    if (wire == SMQ_WIRE_STRING || wire == SMQ_WIRE_BINARY) {
        smq_props_set_bytes(out, which, smq_span_str(value));
        return true;
    }
    uint32_t number = 0;
    if (!read_number(value, &number)) {
        return false;
    }
    smq_props_set_num(out, which, number);
    return true;
}

/** Writes `more` behind what the set has, all of it checked by the codec. */
static bool append(struct props *set, enum smq_prop_place place, const struct smq_props *more)
{
    struct smq_wr measure = smq_wr_measure();
    if (smq_props_write(&measure, place, SMQ_TEXT_STANDARD, more) != SMQTT_OK) {
        return false;
    }
    uint8_t *bytes = malloc(measure.len);
    struct smq_wr wr = smq_wr_of(bytes, measure.len);
    if (bytes == NULL || smq_props_write(&wr, place, SMQ_TEXT_STANDARD, more) != SMQTT_OK) {
        free(bytes);
        return false;
    }
    size_t head = 1; /* the length in front of it */
    while ((bytes[head - 1] & 0x80) != 0) {
        head++;
    }
    memmove(bytes, bytes + head, wr.len - head);
    free(set->bytes);
    *set = (struct props){bytes, wr.len - head};
    return true;
}

bool props_add_text(struct props *set, enum props_packet packet, enum smq_prop which, const char *value)
{
    struct smq_props more;
    smq_props_clear(&more);
    more.raw = props_span(set);
    return set_value(&more, which, value) && append(set, packets[packet].place, &more);
}

static bool add_user(struct props *set, enum props_packet packet, const char *name, const char *value)
{
    size_t cap = set->len + 5 + strlen(name) + strlen(value);
    uint8_t *room = strlen(name) <= UINT16_MAX && strlen(value) <= UINT16_MAX ? malloc(cap) : NULL;
    if (room == NULL) {
        return false;
    }
    struct smq_wr wr = smq_wr_of(room, cap);
    smq_wr_put(&wr, props_span(set));
    smq_props_put_user(&wr, smq_span_str(name), smq_span_str(value));
    struct smq_props more;
    smq_props_clear(&more);
    more.raw = smq_wr_span(&wr);
    bool ok = append(set, packets[packet].place, &more);
    free(room);
    return ok;
}

bool props_add(struct props sets[PROPS_PACKETS], char *const *words)
{
    int packet = 0;
    while (packet < PROPS_PACKETS && strcasecmp(packets[packet].name, words[0]) != 0) {
        packet++;
    }
    if (packet == PROPS_PACKETS) {
        say("-D: '%s' is no packet that takes properties here: take connect, publish, subscribe, unsubscribe, "
            "disconnect or will.",
            words[0]);
        return false;
    }
    enum smq_prop which = by_name(words[1]);
    if (which == SMQ_PROP_COUNT) {
        say("-D: '%s' is no property that a client can give: --help names them.", words[1]);
        return false;
    }
    bool allowed = (smq_prop_row(which)->places & packets[packet].place) != 0;
    if (!allowed || (packet == PROPS_PUBLISH && which == SMQ_PROP_SUBSCRIPTION_ID)) { /* [MQTT-3.3.4-6] */
        say("-D: the property %s does not belong to %s.", words[1], packets[packet].name);
        return false;
    }
    bool ok = which == SMQ_PROP_USER_PROPERTY
                  ? add_user(&sets[packet], (enum props_packet)packet, words[2], words[3])
                  : props_add_text(&sets[packet], (enum props_packet)packet, which, words[2]);
    if (!ok) {
        say("-D: '%s' is not a value for %s of %s, or it was given before.", words[2], words[1], packets[packet].name);
    }
    return ok;
}
