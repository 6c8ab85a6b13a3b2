/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/packet.h"

/* Text cursor that goes on counting past the capacity, as snprintf does. */
struct text {
    char *out;
    size_t cap, len;
};

static void put_char(struct text *t, char c)
{
    if (t->len + 1 < t->cap) {
        t->out[t->len] = c;
    }
    t->len++;
}

static void put_str(struct text *t, const char *s)
{
    for (; *s != '\0'; s++) {
        put_char(t, *s);
    }
}

static void put_lower(struct text *t, const char *s)
{
    for (; *s != '\0'; s++) {
        put_char(t, (char)(*s >= 'A' && *s <= 'Z' ? *s - 'A' + 'a' : *s));
    }
}

static void put_num(struct text *t, uint64_t n)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    while (at < sizeof digits) {
        put_char(t, digits[at++]);
    }
}

static void put_hex2(struct text *t, uint8_t byte)
{
    static const char hex[] = "0123456789ABCDEF";
    put_char(t, hex[byte >> 4]);
    put_char(t, hex[byte & 15]);
}

static void put_code(struct text *t, uint8_t code)
{
    put_str(t, " 0x");
    put_hex2(t, code);
}

/* In quotes. Beyond ASCII only what is safe on a terminal goes through as it is: text that the strict policy lets pass.
 */
static void put_quoted(struct text *t, smq_span s)
{
    bool safe = smq_utf8_ok(s, SMQ_TEXT_STRICT);
    put_char(t, '"');
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        if (c == '"' || c == '\\') {
            put_char(t, '\\');
            put_char(t, (char)c);
        } else if (c < 0x20 || c == 0x7F || (c >= 0x80 && !safe)) {
            put_str(t, "\\x");
            put_hex2(t, c);
        } else {
            put_char(t, (char)c);
        }
    }
    put_char(t, '"');
}

static void put_size(struct text *t, smq_span s)
{
    put_char(t, '(');
    put_num(t, s.len);
    put_str(t, s.len == 1 ? " byte)" : " bytes)");
}

static void put_prop(struct text *t, enum smq_prop which, const union smq_prop_value *value, smq_span second)
{
    const struct smq_prop_row *row = smq_prop_row(which);
    put_lower(t, row->name);
    put_char(t, '=');
    switch (row->wire) {
    case SMQ_WIRE_BYTE:
    case SMQ_WIRE_U16:
    case SMQ_WIRE_U32:
    case SMQ_WIRE_VARINT:
        put_num(t, value->num);
        break;
    case SMQ_WIRE_STRING:
        put_quoted(t, value->bytes);
        break;
    case SMQ_WIRE_BINARY:
        put_size(t, value->bytes);
        break;
    case SMQ_WIRE_PAIR:
        put_quoted(t, value->bytes);
        put_char(t, ':');
        put_quoted(t, second);
        break;
    }
}

static void put_props(struct text *t, const struct smq_props *p)
{
    if (smq_props_is_empty(p)) {
        return;
    }
    struct smq_rd it = smq_rd_of(p->raw);
    enum smq_prop which;
    union smq_prop_value value;
    smq_span second;
    const char *sep = " {";
    while (smq_props_next(&it, &which, &value, &second)) {
        put_str(t, sep);
        put_prop(t, which, &value, second);
        sep = " ";
    }
    for (unsigned i = 0; !p->parsed && i < SMQ_PROP_COUNT; i++) {
        if (smq_props_has(p, (enum smq_prop)i)) {
            put_str(t, sep);
            put_prop(t, (enum smq_prop)i, &p->value[i], (smq_span){NULL, 0});
            sep = " ";
        }
    }
    put_char(t, '}');
}

static void put_flag(struct text *t, bool set, const char *word)
{
    if (set) {
        put_char(t, ' ');
        put_str(t, word);
    }
}

static void put_id(struct text *t, uint16_t id)
{
    put_str(t, " m");
    put_num(t, id);
}

static void put_message(struct text *t, smq_span topic, smq_span payload)
{
    put_char(t, ' ');
    put_quoted(t, topic);
    put_char(t, ' ');
    put_size(t, payload);
}

static void put_connect(struct text *t, const struct smq_connect *c)
{
    put_str(t, c->version == SMQTT_V5 ? " v5" : c->version == SMQTT_V311 ? " v3.1.1" : " v3.1");
    put_flag(t, c->bridge, "bridge");
    put_flag(t, c->clean_start, "clean");
    put_str(t, " k");
    put_num(t, c->keep_alive);
    put_char(t, ' ');
    put_quoted(t, c->client_id);
    put_props(t, &c->props);
    if (c->has_will) {
        put_str(t, " will q");
        put_num(t, c->will.qos);
        put_flag(t, c->will.retain, "retain");
        put_message(t, c->will.topic, c->will.payload);
        put_props(t, &c->will.props);
    }
    if (c->has_user) {
        put_str(t, " user ");
        put_quoted(t, c->user);
    }
    put_flag(t, c->has_password, "password"); /* never its bytes or length */
}

static void put_publish(struct text *t, const struct smq_publish *p)
{
    put_str(t, " q");
    put_num(t, p->qos);
    if (p->qos != 0) {
        put_id(t, p->id);
    }
    put_flag(t, p->dup, "dup");
    put_flag(t, p->retain, "retain");
    put_message(t, p->topic, p->payload);
    put_props(t, &p->props);
}

static void put_filter(struct text *t, const struct smq_filter *f, bool options)
{
    static const char *const handling[] = {"", "retain-if-new", "retain-never", "retain-reserved"};
    put_char(t, ' ');
    put_quoted(t, f->filter);
    if (!options) {
        return;
    }
    put_str(t, " q");
    put_num(t, f->options & 3u);
    put_flag(t, (f->options & 4) != 0, "no-local");
    put_flag(t, (f->options & 8) != 0, "as-published");
    put_flag(t, (f->options & 0x30) != 0, handling[(f->options >> 4) & 3]);
}

static void put_subscribe(struct text *t, const struct smq_subscribe *s, bool options)
{
    put_id(t, s->id);
    struct smq_rd it = smq_rd_of(s->list);
    struct smq_filter one;
    while (s->filters == NULL && smq_filters_next(NULL, &it, options, &one)) {
        put_filter(t, &one, options);
    }
    for (uint32_t i = 0; s->filters != NULL && i < s->n; i++) {
        put_filter(t, &s->filters[i], options);
    }
    put_props(t, &s->props);
}

static void put_suback(struct text *t, const struct smq_suback *s)
{
    put_id(t, s->id);
    for (size_t i = 0; i < s->codes.len; i++) {
        put_code(t, s->codes.data[i]);
    }
    put_props(t, &s->props);
}

static void put_body(struct text *t, const struct smq_packet *pkt)
{
    switch (pkt->type) {
    case SMQ_DETECT:
        put_code(t, pkt->detect.header);
        put_char(t, ' ');
        put_size(t, pkt->detect.body);
        break;
    case SMQ_CONNECT:
        put_connect(t, &pkt->connect);
        break;
    case SMQ_CONNACK:
        put_flag(t, pkt->connack.session_present, "session-present");
        put_code(t, pkt->connack.reason);
        put_props(t, &pkt->connack.props);
        break;
    case SMQ_PUBLISH:
        put_publish(t, &pkt->publish);
        break;
    case SMQ_PUBACK:
    case SMQ_PUBREC:
    case SMQ_PUBREL:
    case SMQ_PUBCOMP:
        put_id(t, pkt->ack.id);
        put_code(t, pkt->ack.reason);
        put_props(t, &pkt->ack.props);
        break;
    case SMQ_SUBSCRIBE:
    case SMQ_UNSUBSCRIBE:
        put_subscribe(t, &pkt->subscribe, pkt->type == SMQ_SUBSCRIBE);
        break;
    case SMQ_SUBACK:
    case SMQ_UNSUBACK:
        put_suback(t, &pkt->suback);
        break;
    case SMQ_PINGREQ:
    case SMQ_PINGRESP:
        break;
    case SMQ_DISCONNECT:
    case SMQ_AUTH:
        put_code(t, pkt->reasoned.reason);
        put_props(t, &pkt->reasoned.props);
        break;
    }
}

size_t smq_packet_dump(const struct smq_packet *pkt, char *out, size_t cap)
{
    struct text t = {out, cap, 0};
    put_str(&t, smq_type_name((unsigned)pkt->type));
    put_body(&t, pkt);
    if (cap != 0) {
        out[t.len < cap ? t.len : cap - 1] = '\0';
    }
    return t.len;
}
