/* SPDX-License-Identifier: Apache-2.0 */
#include "packet_gen.h"

#include "../test.h"
#include "codec/reason.h"
#include "codec/varint.h"

static size_t below(struct packet_gen *g, size_t n)
{
    return test_random_below(&g->seed, n);
}

static bool coin(struct packet_gen *g)
{
    return below(g, 2) != 0;
}

/* Room for the bytes that the packet will view. */
static uint8_t *room(struct packet_gen *g, size_t len)
{
    assert_true(sizeof g->bytes - g->used >= len);
    uint8_t *at = g->bytes + g->used;
    g->used += len;
    return at;
}

static smq_span join(struct packet_gen *g, const char *const *words, size_t n, size_t least)
{
    uint8_t *start = g->bytes + g->used;
    size_t count = least + below(g, 5), len = 0;
    for (size_t i = 0; i < count; i++) {
        const char *word = words[below(g, n)];
        memcpy(room(g, strlen(word)), word, strlen(word));
        len += strlen(word);
    }
    return smq_span_of(start, len);
}

static smq_span make_text(struct packet_gen *g, size_t least)
{
    static const char *const words[] = {"a", "Z9", "\"", "\\", "é", "あい", "\xEF\xBB\xBF", "\xEE\x80\x80", "😀", " "};
    return join(g, words, SMQ_ARRAY_LEN(words), least);
}

static smq_span make_topic(struct packet_gen *g)
{
    static const char *const words[] = {"a", "/", "b/", "$SYS", "温度", "//"};
    return join(g, words, SMQ_ARRAY_LEN(words), 1);
}

static smq_span make_filter(struct packet_gen *g)
{
    static const char *const all[] = {"#", "+", "a/+/b", "+/#", "$share/g/a/#", "/", "a//b", "$SYS/+", "あ/#"};
    return smq_span_str(all[below(g, SMQ_ARRAY_LEN(all))]);
}

static smq_span make_bytes(struct packet_gen *g, size_t most)
{
    size_t len = below(g, most + 1);
    uint8_t *at = room(g, len);
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)below(g, 256);
    }
    return smq_span_of(at, len);
}

static void make_value(struct packet_gen *g, enum smq_prop which, struct smq_props *p)
{
    const struct smq_prop_row *row = smq_prop_row(which);
    uint32_t range = row->max - row->min;
    switch (row->wire) {
    case SMQ_WIRE_BYTE:
    case SMQ_WIRE_U16:
    case SMQ_WIRE_U32:
    case SMQ_WIRE_VARINT:
        smq_props_set_num(p, which,
                          range == UINT32_MAX ? (uint32_t)test_random(&g->seed)
                                              : row->min + (uint32_t)below(g, (size_t)range + 1));
        break;
    case SMQ_WIRE_STRING:
        smq_props_set_bytes(p, which, which == SMQ_PROP_RESPONSE_TOPIC ? make_topic(g) : make_text(g, 0));
        break;
    case SMQ_WIRE_BINARY:
        smq_props_set_bytes(p, which, make_bytes(g, 20));
        break;
    case SMQ_WIRE_PAIR:
        break;
    }
}

void packet_gen_props(struct packet_gen *g, enum smq_prop_place place, struct smq_props *p)
{
    smq_props_clear(p);
    if (coin(g)) {
        return;
    }
    for (unsigned i = 0; i < SMQ_PROP_COUNT; i++) {
        bool repeats = (smq_prop_row((enum smq_prop)i)->repeat & place) != 0;
        if ((smq_prop_row((enum smq_prop)i)->places & place) != 0 && !repeats && coin(g)) {
            make_value(g, (enum smq_prop)i, p);
        }
    }
    if (smq_props_has(p, SMQ_PROP_AUTH_DATA)) {
        smq_props_set_bytes(p, SMQ_PROP_AUTH_METHOD, make_text(g, 1));
    }
    struct smq_wr wr = smq_wr_of(room(g, 400), 400);
    for (size_t n = below(g, 4); n != 0; n--) {
        if (place == SMQ_IN_PUBLISH && coin(g)) {
            smq_props_put_subid(&wr, 1 + (uint32_t)below(g, SMQ_VARINT_MAX));
        } else {
            smq_props_put_user(&wr, make_text(g, 0), make_text(g, 0));
        }
    }
    assert_true(smq_wr_ok(&wr));
    p->raw = smq_wr_span(&wr);
}

static uint8_t make_reason(struct packet_gen *g, enum smq_type type)
{
    uint8_t code;
    do {
        code = (uint8_t)below(g, 256);
    } while (!smq_reason_ok(type, SMQ_FROM_ANY, code));
    return code;
}

static smq_span payload_for(struct packet_gen *g, const struct smq_props *p)
{
    return smq_props_num(p, SMQ_PROP_PAYLOAD_FORMAT, 0) == 1 ? make_text(g, 0) : make_bytes(g, 300);
}

static void make_connect(struct packet_gen *g, enum smqtt_version version, struct smq_connect *c)
{
    bool v5 = version == SMQTT_V5;
    *c = (struct smq_connect){.version = version, .keep_alive = (uint16_t)below(g, 65536)};
    c->clean_start = coin(g);
    c->bridge = !v5 && coin(g);
    c->has_user = coin(g);
    c->has_password = (c->has_user || v5) && coin(g);
    c->has_will = coin(g);
    c->client_id = make_text(g, v5 || (version == SMQTT_V311 && c->clean_start) ? 0 : 1);
    c->user = c->has_user ? make_text(g, 0) : c->user;
    c->password = c->has_password ? make_bytes(g, 30) : c->password;
    if (v5) {
        packet_gen_props(g, SMQ_IN_CONNECT, &c->props);
    }
    if (c->has_will) {
        c->will.qos = (uint8_t)below(g, 3);
        c->will.retain = coin(g);
        c->will.topic = make_topic(g);
        if (v5) {
            packet_gen_props(g, SMQ_IN_WILL, &c->will.props);
        }
        c->will.payload = payload_for(g, &c->will.props);
    }
}

static void make_publish(struct packet_gen *g, bool v5, struct smq_publish *p)
{
    *p = (struct smq_publish){.qos = (uint8_t)below(g, 3), .retain = coin(g)};
    p->dup = p->qos != 0 && coin(g);
    p->id = p->qos != 0 ? (uint16_t)(1 + below(g, 65535)) : 0;
    if (v5) {
        packet_gen_props(g, SMQ_IN_PUBLISH, &p->props);
    }
    bool alias = smq_props_has(&p->props, SMQ_PROP_TOPIC_ALIAS);
    p->topic = alias && coin(g) ? smq_span_str("") : make_topic(g);
    p->payload = payload_for(g, &p->props);
}

static void make_subscribe(struct packet_gen *g, bool v5, enum smq_type type, struct smq_subscribe *s)
{
    *s = (struct smq_subscribe){.id = (uint16_t)(1 + below(g, 65535)), .n = 1 + (uint32_t)below(g, 8)};
    s->filters = g->filters;
    for (uint32_t i = 0; i < s->n; i++) {
        g->filters[i] = (struct smq_filter){make_filter(g), 0};
        bool shared = smq_span_starts(g->filters[i].filter, smq_span_str("$share/"));
        if (type == SMQ_SUBSCRIBE) {
            unsigned more = v5 ? (unsigned)below(g, 3) << 4 | (unsigned)below(g, 4) << 2 : 0u;
            g->filters[i].options = (uint8_t)(below(g, 3) | (shared ? more & ~4u : more));
        }
    }
    if (v5) {
        packet_gen_props(g, type == SMQ_SUBSCRIBE ? SMQ_IN_SUBSCRIBE : SMQ_IN_UNSUBSCRIBE, &s->props);
    }
}

static void make_suback(struct packet_gen *g, bool v5, enum smq_type type, struct smq_suback *s)
{
    static const uint8_t codes_v3[] = {0, 1, 2, 0x80};
    *s = (struct smq_suback){.id = (uint16_t)(1 + below(g, 65535))};
    if (type == SMQ_UNSUBACK && !v5) {
        return;
    }
    size_t n = 1 + below(g, 20);
    uint8_t *at = room(g, n);
    for (size_t i = 0; i < n; i++) {
        at[i] = v5 ? make_reason(g, type) : codes_v3[below(g, 4)];
    }
    s->codes = smq_span_of(at, n);
    if (v5) {
        packet_gen_props(g, SMQ_IN_SUBACK, &s->props);
    }
}

static void make_reasoned(struct packet_gen *g, bool v5, enum smq_type type, struct smq_reasoned *r)
{
    *r = (struct smq_reasoned){0};
    if (!v5) {
        return;
    }
    r->reason = make_reason(g, type);
    packet_gen_props(g, type == SMQ_AUTH ? SMQ_IN_AUTH : SMQ_IN_DISCONNECT, &r->props);
    if (type == SMQ_AUTH) {
        smq_props_set_bytes(&r->props, SMQ_PROP_AUTH_METHOD, make_text(g, 1));
    }
}

static void make_detect(struct packet_gen *g, struct smq_detect_pkt *d)
{
    static const uint8_t headers[] = {0x01, 0x02, 0x03, 0x04, 0x06, 0x07, 0x0C, 0x0E, 0x0F};
    d->header = headers[below(g, sizeof headers)];
    d->body = make_bytes(g, 300);
    if (d->body.len == 0) {
        d->body = smq_span_str("x");
    }
}

void packet_gen_make(struct packet_gen *g, enum smqtt_version version, enum smq_type type, struct smq_packet *pkt)
{
    bool v5 = version == SMQTT_V5;
    g->used = 0;
    memset(pkt, 0, sizeof *pkt);
    pkt->type = type;
    if (type == SMQ_CONNECT) {
        make_connect(g, version, &pkt->connect);
    } else if (type == SMQ_CONNACK) {
        pkt->connack.reason = v5 ? make_reason(g, type) : (uint8_t)below(g, 6);
        pkt->connack.session_present = version != SMQTT_V31 && pkt->connack.reason == 0 && coin(g);
        if (v5) {
            packet_gen_props(g, SMQ_IN_CONNACK, &pkt->connack.props);
        }
    } else if (type == SMQ_PUBLISH) {
        make_publish(g, v5, &pkt->publish);
    } else if (type >= SMQ_PUBACK && type <= SMQ_PUBCOMP) {
        pkt->ack.id = (uint16_t)(1 + below(g, 65535));
        pkt->ack.reason = v5 ? make_reason(g, type) : 0;
        if (v5) {
            packet_gen_props(g, SMQ_IN_ACK, &pkt->ack.props);
        }
    } else if (type == SMQ_SUBSCRIBE || type == SMQ_UNSUBSCRIBE) {
        make_subscribe(g, v5, type, &pkt->subscribe);
    } else if (type == SMQ_SUBACK || type == SMQ_UNSUBACK) {
        make_suback(g, v5, type, &pkt->suback);
    } else if (type == SMQ_DISCONNECT || type == SMQ_AUTH) {
        make_reasoned(g, v5, type, &pkt->reasoned);
    } else if (type == SMQ_DETECT) {
        make_detect(g, &pkt->detect);
    }
}
