/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

static struct smq_codec codec_of(const struct client *c)
{
    return (struct smq_codec){
        .version = (enum smqtt_version)c->b->flags.version, .from = SMQ_FROM_SERVER, .text = SMQ_TEXT_STANDARD};
}

bool wire_write(struct client *c, const struct smq_packet *pkt)
{
    struct smq_codec codec = codec_of(c);
    struct smq_wr wr = smq_wr_measure();
    if (smq_packet_write(&codec, pkt, &wr) != SMQTT_OK) {
        return false;
    }
    size_t len = wr.len;
    uint8_t *at = link_room(c, len);
    wr = smq_wr_of(at, len);
    return at != NULL && smq_packet_write(&codec, pkt, &wr) == SMQTT_OK;
}

void wire_connect(struct client *c)
{
    const struct bench_flags *f = &c->b->flags;
    struct smq_packet pkt = {.type = SMQ_CONNECT};
    pkt.connect = (struct smq_connect){.version = (enum smqtt_version)f->version,
                                       .clean_start = f->clean,
                                       .keep_alive = (uint16_t)f->keep_alive,
                                       .has_user = f->user != NULL,
                                       .has_password = f->password != NULL,
                                       .client_id = smq_span_str(c->id),
                                       .user = smq_span_str(f->user),
                                       .password = smq_span_str(f->password)};
    smq_props_clear(&pkt.connect.props);
    if (f->session_expiry != 0) {
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, (uint32_t)f->session_expiry);
    }
    if (!wire_write(c, &pkt)) {
        c->b->n.bad_packets++;
        link_close(c);
    }
}

void wire_subscribe(struct client *c, const smq_span *filters, uint32_t n, uint8_t qos)
{
    struct smq_filter list[1000];
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    for (uint32_t i = 0; i < n && i < SMQ_ARRAY_LEN(list); i++) {
        list[i] = (struct smq_filter){filters[i], qos};
    }
    pkt.subscribe = (struct smq_subscribe){.id = (uint16_t)(1 + c->filters_asked % 65000), .n = n, .filters = list};
    smq_props_clear(&pkt.subscribe.props);
    c->filters_asked += n;
    if (!wire_write(c, &pkt)) {
        c->b->n.bad_packets++;
    }
}

void wire_disconnect(struct client *c)
{
    struct smq_packet pkt = {.type = SMQ_DISCONNECT};
    smq_props_clear(&pkt.reasoned.props);
    c->wants_close = true;
    (void)wire_write(c, &pkt);
}

size_t wire_topic(const struct client *c, const char *pattern, char *out, size_t cap)
{
    size_t len = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        int n = 0;
        if (at[0] == '%' && at[1] == 'i') {
            n = snprintf(out + len, cap - len, "%llu", (unsigned long long)(c->b->flags.start + c->number));
            at++;
        } else if (at[0] == '%' && (at[1] == 'c' || at[1] == 'u')) {
            const char *user = c->b->flags.user != NULL ? c->b->flags.user : "";
            n = snprintf(out + len, cap - len, "%s", at[1] == 'c' ? c->id : user);
            at++;
        } else {
            n = snprintf(out + len, cap - len, "%c", *at);
        }
        len += (size_t)n;
        if (len >= cap) {
            return 0;
        }
    }
    return len;
}

/* ---------------------------------------------------------------- messages */

/* Publishers of another process may be more than were expected. */
static struct track *track_of(struct bench_sub *s, uint32_t publisher)
{
    return publisher - s->first < s->n ? &s->tracks[publisher - s->first] : NULL;
}

enum { PUBLISHER_BITS = 24, SENT_BITS = 48 };
#define NUMBER_MASK ((UINT64_C(1) << (64 - PUBLISHER_BITS)) - 1)
#define SENT_MASK   ((UINT64_C(1) << SENT_BITS) - 1)

static uint64_t mark_of(const struct bench *b)
{
    return (uint64_t)(BENCH_MAGIC ^ b->run_tag) << SENT_BITS;
}

void bench_stamp_write(const struct bench *b, const struct bench_stamp *stamp, uint8_t *payload)
{
    const uint64_t words[2] = {(uint64_t)stamp->publisher << (64 - PUBLISHER_BITS) | (stamp->number & NUMBER_MASK),
                               mark_of(b) | (stamp->sent_ns & SENT_MASK)};
    memcpy(payload, words, sizeof words);
}

/* False: not of this run. The time of sending becomes a whole one again. */
static bool read_stamp(const struct bench *b, const uint8_t *payload, struct bench_stamp *out)
{
    uint64_t words[2];
    memcpy(words, payload, sizeof words);
    if ((words[1] & ~SENT_MASK) != mark_of(b)) {
        return false;
    }
    out->publisher = (uint32_t)(words[0] >> (64 - PUBLISHER_BITS));
    out->number = words[0] & NUMBER_MASK;
    out->sent_ns = b->now_ns - ((b->now_ns - words[1]) & SENT_MASK);
    return true;
}

void wire_count(struct client *c, const uint8_t *payload, size_t len)
{
    struct bench *b = c->b;
    struct bench_sub *s = c->sub;
    struct bench_stamp stamp;
    b->n.delivered++;
    if (s == NULL) {
        b->n.unknown++;
        return;
    }
    s->received++;
    if (len < BENCH_STAMP) {
        b->n.unknown++;
        if (b->n_pubs == 1) {
            load_arrived(b, &b->pubs[0]);
        }
        return;
    }
    struct track *t = read_stamp(b, payload, &stamp) ? track_of(s, stamp.publisher) : NULL;
    if (t == NULL) {
        b->n.unknown++;
        return;
    }
    track_see(t, stamp.number);
    if (b->is_measuring &&
        b->now_ns - stamp.sent_ns <= SENT_MASK / 2) { /* else sent after the last look at the clock */
        hist_add(&b->slot, b->now_ns - stamp.sent_ns);
    }
    if (stamp.publisher < b->n_pubs) {
        load_arrived(b, &b->pubs[stamp.publisher]);
    }
}

static void acknowledge(struct client *c, uint8_t first, const uint8_t *id)
{
    uint8_t *at = link_room(c, 4);
    if (at != NULL) {
        at[0] = first;
        at[1] = 2;
        at[2] = id[0];
        at[3] = id[1];
    }
}

/* Properties are stepped over. */
static size_t skip_props(const uint8_t *body, size_t at, size_t len)
{
    size_t props = 0;
    for (unsigned shift = 0; at < len; shift += 7) {
        uint8_t byte = body[at++];
        props |= (size_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            return at + props;
        }
    }
    return len + 1;
}

static void on_publish(struct client *c, uint8_t first, const uint8_t *body, size_t len)
{
    unsigned qos = first >> 1 & 3;
    size_t topic_len = len >= 2 ? (size_t)body[0] << 8 | body[1] : 0;
    size_t id_at = 2 + topic_len;
    size_t at = id_at + (qos != 0 ? 2 : 0);
    if (c->b->flags.version == 5) {
        at = skip_props(body, at, len);
    }
    if (len < 2 || at > len) {
        c->b->n.bad_packets++;
        return;
    }
    if (qos != 0) {
        acknowledge(c, qos == 1 ? SMQ_PUBACK << 4 : SMQ_PUBREC << 4, body + id_at);
    }
    if (c->sealed != NULL) {
        sealed_message(c, smq_span_of(body + 2, topic_len), smq_span_of(body + at, len - at), (first & 1) != 0);
    } else {
        wire_count(c, body + at, len - at);
    }
}

enum id_state { ID_FREE, ID_AWAITS_PUBACK, ID_AWAITS_PUBREC, ID_AWAITS_PUBCOMP };

/* PUBACK, PUBREC, PUBCOMP for a publisher, PUBREL for a subscriber. */
static void on_ack(struct client *c, unsigned type, const uint8_t *body, size_t len)
{
    struct bench_pub *p = c->pub;
    if (len < 2) {
        c->b->n.bad_packets++;
        return;
    }
    if (type == SMQ_PUBREL) {
        acknowledge(c, SMQ_PUBCOMP << 4, body);
        return;
    }
    unsigned id = (unsigned)body[0] << 8 | body[1];
    if (c->sealed != NULL && (p == NULL || id > p->n_ids)) {
        if (type == SMQ_PUBREC) { /* of what its endpoint sent */
            acknowledge(c, SMQ_PUBREL << 4 | 2, body);
        }
        sealed_acked(c, (uint16_t)id);
        return;
    }
    uint8_t wanted = type == SMQ_PUBACK ? ID_AWAITS_PUBACK : type == SMQ_PUBREC ? ID_AWAITS_PUBREC : ID_AWAITS_PUBCOMP;
    if (p == NULL || id == 0 || id > p->n_ids || p->ids[id] != wanted) {
        c->b->n.bad_packets++;
        return;
    }
    bool refused = len > 2 && body[2] >= 0x80;
    if (type == SMQ_PUBREC && !refused) {
        p->ids[id] = ID_AWAITS_PUBCOMP;
        acknowledge(c, SMQ_PUBREL << 4 | 2, body);
        return;
    }
    p->ids[id] = ID_FREE;
    p->unacked--;
    c->b->n.refused += refused ? 1 : 0;
    c->b->n.acked++;
    load_ready(c->b, p);
}

/* ---------------------------------------------------------------- once per connection */

/* protocol.md 9.1 */
static bool announces_detect(const struct smq_props *props)
{
    struct smq_rd it = smq_rd_of(props->raw);
    smq_span name;
    smq_span value;
    while (smq_props_next_user(&it, &name, &value)) {
        if (smq_span_equal(name, smq_span_str("smqtt-detect")) && smq_span_equal(value, smq_span_str("1"))) {
            return true;
        }
    }
    return false;
}

static void on_connack(struct client *c, const struct smq_connack *ack)
{
    struct bench *b = c->b;
    b->n_under_way--;
    if (ack->reason != 0) {
        b->n.failed++;
        link_close(c);
        return;
    }
    c->state = CLIENT_READY;
    c->detects = announces_detect(&ack->props);
    b->n_up++;
    b->n.connected++;
    uint32_t max = smq_props_num(&ack->props, SMQ_PROP_RECEIVE_MAXIMUM, 65535);
    if (c->pub != NULL && max < c->pub->window) {
        c->pub->window = max;
        c->pub->batch = c->pub->batch < max ? c->pub->batch : (max + 1) / 2;
    }
    if (b->storm) {
        wire_disconnect(c);
    } else if (c->pub != NULL && c->sealed == NULL) {
        load_ready(b, c->pub);
    }
}

static void on_other(struct client *c, const struct smq_packet *pkt)
{
    if (pkt->type == SMQ_CONNACK) {
        on_connack(c, &pkt->connack);
    } else if (pkt->type == SMQ_SUBACK) {
        for (size_t i = 0; i < pkt->suback.codes.len; i++) {
            c->b->n.refused += pkt->suback.codes.data[i] >= 0x80 ? 1 : 0;
        }
        c->filters_made += pkt->suback.codes.len;
    } else if (pkt->type == SMQ_DETECT) {
        sealed_detect(c, pkt->detect.header, pkt->detect.body);
    } else if (pkt->type == SMQ_DISCONNECT) {
        c->b->n.refused++;
    } /* PINGRESP, UNSUBACK, AUTH need no answer */
}

static void take_packet(struct client *c, const uint8_t *bytes, size_t head, size_t body)
{
    unsigned type = bytes[0] >> 4;
    switch (type) {
    case SMQ_PUBLISH:
        on_publish(c, bytes[0], bytes + head, body);
        return;
    case SMQ_PUBACK:
    case SMQ_PUBREC:
    case SMQ_PUBREL:
    case SMQ_PUBCOMP:
        on_ack(c, type, bytes + head, body);
        return;
    default:
        break;
    }
    struct smq_codec codec = codec_of(c);
    struct smq_frame frame = {bytes[0], smq_span_of(bytes + head, body), head + body};
    struct smq_packet pkt;
    if (smq_packet_read(&codec, &frame, &pkt) != SMQTT_OK) {
        c->b->n.bad_packets++;
        return;
    }
    on_other(c, &pkt);
}

size_t wire_take(struct client *c, const uint8_t *bytes, size_t len)
{
    size_t at = 0;
    while (len - at >= 2) {
        size_t head = 2;
        size_t body = bytes[at + 1] & 0x7F;
        while (head < 5 && at + head < len && (bytes[at + head - 1] & 0x80) != 0) {
            body |= (size_t)(bytes[at + head] & 0x7F) << (7 * (head - 1));
            head++;
        }
        if ((bytes[at + head - 1] & 0x80) != 0 || len - at - head < body) {
            break;
        }
        take_packet(c, bytes + at, head, body);
        at += head + body;
        if (c->fd < 0) {
            return len;
        }
    }
    return at;
}
