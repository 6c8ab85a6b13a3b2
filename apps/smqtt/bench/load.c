/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "codec/varint.h"
#include "bench.h"

enum {
    BACKLOG_MAX = 64 * 1024, /* unsent bytes of a publisher without receivers in this run */
    IDS_PER_WINDOW = 4,
    IDS_MAX = 64999, /* those above are for what the endpoints of S-MQTT publish */
    ID_FREE = 0,
    FORGIVE_MS = 500
};

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  1e9

bool load_prepare(struct bench_pub *p, const char *topic, size_t digits, uint64_t n_topics)
{
    const struct bench_flags *f = &p->client->b->flags;
    bool v5 = f->version == 5;
    size_t topic_len = strlen(topic);
    size_t body = 2 + topic_len + (f->qos != 0 ? 2 : 0) + (v5 ? 1 : 0) + (size_t)f->size;
    size_t cap = 5 + body;
    p->packet = calloc(1, cap);
    p->n_ids = (uint16_t)(p->window * IDS_PER_WINDOW < IDS_MAX ? p->window * IDS_PER_WINDOW : IDS_MAX);
    p->ids = calloc(p->n_ids + 1u, 1);
    if (p->packet == NULL || p->ids == NULL) {
        return false;
    }
    struct smq_wr wr = smq_wr_of(p->packet, cap);
    smq_wr_u8(&wr, (uint8_t)(SMQ_PUBLISH << 4 | f->qos << 1 | (f->retain ? 1 : 0)));
    smq_varint_write(&wr, (uint32_t)body);
    smq_wr_blob16(&wr, smq_span_str(topic));
    p->digits_end = wr.len;
    p->digits_at = digits != 0 ? wr.len - digits : 0;
    p->n_topics = n_topics;
    p->id_at = f->qos != 0 ? wr.len : 0;
    if (f->qos != 0) {
        smq_wr_u16(&wr, 0);
    }
    if (v5) {
        smq_wr_u8(&wr, 0);
    }
    p->stamp_at = f->size >= BENCH_STAMP ? wr.len : 0;
    p->len = wr.len + (size_t)f->size;
    memset(p->packet + wr.len, 'x', (size_t)f->size);
    return true;
}

void load_ready(struct bench *b, struct bench_pub *p)
{
    b->load.last_arrival_ns = b->now_ns;
    if (!p->is_ready) {
        p->is_ready = true;
        b->load.ready[b->load.n_ready++] = p->number;
    }
}

void load_arrived(struct bench *b, struct bench_pub *p)
{
    p->arrived++;
    load_ready(b, p);
}

/* How many may go now: neither unacknowledged nor undelivered messages may be more than the window. */
static uint64_t may_send(const struct bench *b, const struct bench_pub *p)
{
    const struct client *c = p->client;
    if (c->state != CLIENT_READY || b->load.is_over || p->sent >= p->limit) {
        return 0;
    }
    uint64_t n = p->window;
    if (p->fan != 0) {
        uint64_t missing = (p->sent * p->fan - p->arrived + p->fan - 1) / p->fan;
        n = missing < n ? n - missing : 0;
    } else if (b->flags.qos == 0) {
        n = c->out_len - c->out_at < BACKLOG_MAX ? n : 0;
    }
    if (b->flags.qos != 0) {
        uint64_t room = p->unacked < p->window ? p->window - p->unacked : 0;
        n = room < n ? room : n;
    }
    return p->limit - p->sent < n ? p->limit - p->sent : n;
}

static void put_digits(uint8_t *end, uint64_t number)
{
    do {
        *--end = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number != 0);
}

static bool put(struct bench *b, struct bench_pub *p, uint64_t sent_ns)
{
    if (p->client->sealed != NULL) {
        return sealed_put(b, p, sent_ns);
    }
    uint16_t id = (uint16_t)(p->last_id % p->n_ids + 1);
    if (p->id_at != 0 && p->ids[id] != ID_FREE) {
        return false; /* its turn comes with the acknowledgement */
    }
    uint8_t *at = link_room(p->client, p->len);
    if (at == NULL) {
        return false;
    }
    if (p->digits_at != 0) {
        memset(p->packet + p->digits_at, '0', p->digits_end - p->digits_at);
        put_digits(p->packet + p->digits_end, (p->first_topic + p->sent) % p->n_topics);
    }
    memcpy(at, p->packet, p->len);
    if (p->id_at != 0) {
        at[p->id_at] = (uint8_t)(id >> 8);
        at[p->id_at + 1] = (uint8_t)id;
        p->ids[id] = (uint8_t)b->flags.qos; /* awaits PUBACK or PUBREC */
        p->last_id = id;
        p->unacked++;
    }
    if (p->stamp_at != 0) {
        bench_stamp_write(b, &(struct bench_stamp){p->number, p->sent, sent_ns}, at + p->stamp_at);
    }
    p->sent++;
    b->n.sent++;
    return true;
}

/* ---------------------------------------------------------------- as many as the window lets */

static void step_free(struct bench *b)
{
    struct bench_load *l = &b->load;
    uint32_t n = l->n_ready;
    uint32_t stay = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct bench_pub *p = &b->pubs[l->ready[i]];
        uint64_t may = may_send(b, p);
        uint64_t left = p->limit - p->sent;
        bool enough = may >= p->batch || may == left;
        for (uint64_t k = 0; enough && k < may && put(b, p, b->now_ns); k++) {
        }
        bool comes_again = p->fan == 0 && b->flags.qos == 0 && p->sent < p->limit && p->client->state == CLIENT_READY;
        p->is_ready = comes_again;
        if (comes_again) {
            l->ready[stay++] = p->number;
        }
    }
    l->n_ready = stay;
}

/* ---------------------------------------------------------------- at a rate */

/* A message that could not leave in time counts from when it should have. */
static void step_rate(struct bench *b, double rate)
{
    struct bench_load *l = &b->load;
    uint64_t due = (uint64_t)((double)(b->now_ns - l->start_ns) * rate / NS_PER_S) + 1;
    uint32_t tried = 0;
    while (l->rate_sent < due && tried < b->n_pubs) {
        struct bench_pub *p = &b->pubs[l->turn];
        l->turn = l->turn + 1 < b->n_pubs ? l->turn + 1 : 0;
        uint64_t at = l->start_ns + (uint64_t)((double)l->rate_sent * NS_PER_S / rate);
        if (may_send(b, p) != 0 && put(b, p, at)) {
            l->rate_sent++;
            tried = 0;
        } else {
            tried++;
        }
    }
    for (uint32_t i = 0; i < l->n_ready; i++) {
        b->pubs[l->ready[i]].is_ready = false;
    }
    l->n_ready = 0;
}

static double rate_of(const struct bench *b)
{
    const struct bench_flags *f = &b->flags;
    return f->rate > 0 ? f->rate : f->message_ms > 0 ? (double)b->n_pubs * 1000.0 / f->message_ms : 0;
}

int load_step(struct bench *b)
{
    struct bench_load *l = &b->load;
    enum { IDLE_MS = 10 };
    if (!l->is_on || b->n_pubs == 0) {
        return IDLE_MS;
    }
    if (l->start_ns == 0) {
        l->start_ns = l->last_arrival_ns = b->now_ns;
    }
    double rate = rate_of(b);
    if (rate > 0) {
        step_rate(b, rate);
        uint64_t next = l->start_ns + (uint64_t)((double)l->rate_sent * NS_PER_S / rate);
        uint64_t wait = next > b->now_ns ? (next - b->now_ns) / NS_PER_MS : 0;
        return wait < IDLE_MS ? (int)wait : IDLE_MS;
    }
    step_free(b);
    load_forgive(b);
    return l->n_ready != 0 ? 0 : IDLE_MS;
}

void load_forgive(struct bench *b)
{
    if (b->now_ns < b->load.last_arrival_ns + FORGIVE_MS * NS_PER_MS) {
        return;
    }
    bool any = false;
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        struct bench_pub *p = &b->pubs[i];
        if (p->fan != 0 && p->arrived < p->sent * p->fan) {
            any = true;
            p->arrived = p->sent * p->fan;
            load_ready(b, p);
        }
    }
    b->n.stalls += any ? 1 : 0;
    b->load.last_arrival_ns = b->now_ns;
}

bool load_is_drained(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        const struct bench_pub *p = &b->pubs[i];
        bool over = b->load.is_over || p->sent >= p->limit;
        bool up = p->client->state == CLIENT_READY;
        if (up && (!over || p->unacked != 0 || p->arrived < p->sent * p->fan)) {
            return false;
        }
    }
    return true;
}
