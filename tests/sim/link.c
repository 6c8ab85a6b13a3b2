/* SPDX-License-Identifier: Apache-2.0 */
/* Transports: bytes that travel, in order, in pieces cut anywhere, until the network breaks them. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static void bytes_add(struct bytes *b, const uint8_t *data, size_t len)
{
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->at = realloc(b->at, b->cap);
        if (b->at == NULL) {
            abort();
        }
    }
    if (len != 0) {
        memcpy(b->at + b->len, data, len);
        b->len += len;
    }
}

static unsigned index_of(const struct sim *s, const struct link *l)
{
    return (unsigned)(l - s->links);
}

int link_open(struct sim *s, unsigned actor)
{
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        struct link *l = &s->links[i];
        if (!l->used) {
            uint32_t generation = l->generation + 1;
            *l = (struct link){.used = true, .generation = generation, .actor = (uint8_t)actor, .will = MSG_NONE};
            l->worker = (uint8_t)sim_below(s, s->plan.workers);
            l->limit = 64 + sim_below(s, s->plan.down_limit);
            return (int)i;
        }
    }
    return -1;
}

void link_settle(struct sim *s, struct link *l)
{
    (void)s;
    if (l->used && l->client_done && l->broker_done && l->conn == NULL && !l->handed) {
        free(l->up.at);
        free(l->down.at);
        uint32_t generation = l->generation;
        *l = (struct link){.generation = generation};
    }
}

/* ------------------------------------------------------------ upwards */

static void expect_up(struct sim *s, struct link *l)
{
    if (!l->up_due) {
        l->up_due = true;
        sim_at(s, sim_delay(s, s->plan.delay_us), EV_UP, index_of(s, l), l->generation);
    }
}

void link_write(struct sim *s, struct link *l, const uint8_t *data, size_t len)
{
    l->written += len;
    if (!l->cut && !l->broker_done) {
        bytes_add(&l->up, data, len);
        expect_up(s, l);
    }
}

void link_end(struct sim *s, struct link *l)
{
    l->up_end = true;
    l->client_done = true;
    if (!l->cut) {
        expect_up(s, l);
    }
    link_settle(s, l);
}

/* Some of what is on its way: half of the time all of it, else it is cut anywhere. */
static size_t part(struct sim *s, size_t n)
{
    return n < 2 || sim_below(s, 2) == 0 ? n : 1 + sim_below(s, n);
}

void link_on_up(struct sim *s, struct link *l)
{
    l->up_due = false;
    if (l->broker_done) {
        return;
    }
    if (!s->up) {
        l->broker_done = true; /* nobody listens */
        link_close(s, l, true);
        return;
    }
    if (l->conn == NULL && !l->handed) {
        l->worker %= (uint8_t)s->plan.workers; /* there may be fewer than when it began */
    }
    l->arrived += part(s, l->up.len - l->arrived);
    l->has_news = true;
    if (l->arrived < l->up.len) {
        expect_up(s, l);
    } else if (l->up_end && !l->cut) {
        l->gone = true;
    }
    shell_wake(s, l->worker);
}

/* ------------------------------------------------------------ downwards */

static void expect_down(struct sim *s, struct link *l)
{
    if (!l->down_due) {
        l->down_due = true;
        uint64_t wait = l->stopped_us > s->now_us ? l->stopped_us - s->now_us : 0;
        sim_at(s, wait + sim_delay(s, s->plan.delay_us), EV_DOWN, index_of(s, l), l->generation);
    }
}

void link_take(struct sim *s, struct link *l)
{
    enum { SPANS = 16 };
    struct smqtt_span spans[SPANS];
    struct smq_worker *w = s->shells[l->worker].w;
    l->blocked = false;
    size_t n = 0;
    while ((n = smq_conn_output(l->conn, spans, SPANS)) != 0) {
        size_t sent = 0;
        for (size_t i = 0; i < n && !l->blocked; i++) {
            size_t len = spans[i].len;
            size_t room = l->cut || l->client_done ? len : l->limit > l->down.len ? l->limit - l->down.len : 0;
            l->blocked = room < len;
            len = room < len ? room : len;
            if (!l->cut && !l->client_done) {
                bytes_add(&l->down, spans[i].data, len);
            }
            sent += len;
        }
        if (sent == 0) {
            break;
        }
        smq_conn_sent(w, l->conn, sent, s->now);
        if (l->blocked) {
            break;
        }
    }
    if (l->down.len != 0) {
        expect_down(s, l);
    }
}

void link_close(struct sim *s, struct link *l, bool broken)
{
    l->broker_done = true;
    l->up.len = l->arrived = 0;
    l->cut = l->cut || broken;
    l->down_end = true;
    if (!l->client_done) {
        expect_down(s, l);
    }
    link_settle(s, l);
}

void link_on_down(struct sim *s, struct link *l)
{
    l->down_due = false;
    if (l->client_done) {
        l->down.len = 0;
        link_settle(s, l);
        return;
    }
    if (l->stopped_us > s->now_us) {
        expect_down(s, l);
        return;
    }
    struct actor *a = &s->actors[l->actor];
    size_t n = part(s, l->down.len);
    if (n != 0) {
        uint8_t *piece = malloc(n);
        if (piece == NULL) {
            abort();
        }
        memcpy(piece, l->down.at, n);
        memmove(l->down.at, l->down.at + n, l->down.len - n);
        l->down.len -= n;
        actor_feed(s, a, piece, n);
        free(piece);
    }
    if (l->client_done) {
        return;
    }
    if (l->down.len != 0) {
        expect_down(s, l);
    } else if (l->down_end) {
        actor_lost(s, a, !l->cut);
        return;
    }
    if (l->blocked && l->conn != NULL) {
        l->has_news = true; /* there is room again */
        shell_wake(s, l->worker);
    }
}

/* ------------------------------------------------------------ cuts */

void link_cut(struct sim *s, struct link *l)
{
    if (l->cut || l->client_done) {
        return;
    }
    s->counts->cuts++;
    sim_trace(s, "link %llu of actor %llu is cut", index_of(s, l), l->actor, 0);
    l->cut = true;
    l->ends = l->ends != 0 ? l->ends : s->oracle.clock;
    size_t left = l->up.len - l->arrived;
    l->up.len = l->arrived + (left != 0 ? sim_below(s, left + 1) : 0);
    l->down.len = l->down.len != 0 ? sim_below(s, l->down.len + 1) : 0;
    /* either end learns of it on its own */
    uint64_t slow = sim_below(s, 4) == 0 ? 3000000 : 20000;
    sim_at(s, 1 + sim_below(s, slow), EV_GONE, index_of(s, l), l->generation);
    sim_at(s, 1 + sim_below(s, slow), EV_LOST, index_of(s, l), l->generation);
}

void link_on_lost(struct sim *s, struct link *l)
{
    if (!l->client_done) {
        actor_lost(s, &s->actors[l->actor], false);
    }
}
