/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker has left when everything is over: retained messages, and what $SYS and /proc tell. */
#include <stdlib.h>
#include <string.h>

#include "soak.h"

static const char *const topics[] = {"clients/total",           "subscriptions/count",  "shared_subscriptions/count",
                                     "retained messages/count", "store/messages/count", "publish/messages/dropped"};
enum { N_TOPICS = SMQ_ARRAY_LEN(topics), PREFIX_LEN = 12, OWN_MAX = 256 };

struct monitor {
    struct client c;
    uint64_t values[N_TOPICS];
    unsigned n;
    uint64_t own[OWN_MAX]; /* hashes of the topics below $SYS, which are retained themselves */
    unsigned n_own;
};

static void monitor_up(struct client *c)
{
    struct smq_filter all = {smq_span_str("$SYS/#"), 0};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe = (struct smq_subscribe){.id = 1, .n = 1, .filters = &all};
    smq_props_clear(&pkt.subscribe.props);
    wire_send(c, &pkt);
}

static void note_own(struct monitor *m, smq_span topic)
{
    uint64_t hash = 0;
    unsigned i = 0;
    for (size_t at = 0; at < topic.len; at++) {
        hash += topic.data[at];
        (void)chance(&hash, 0);
        hash ^= hash >> 29;
        hash *= 0xBF58476D1CE4E5B9u;
    }
    while (i < m->n_own && m->own[i] != hash) {
        i++;
    }
    if (i == m->n_own && i < OWN_MAX) {
        m->own[m->n_own++] = hash;
    }
}

static void monitor_packet(struct client *c, const struct smq_packet *pkt)
{
    struct monitor *m = c->who;
    if (pkt->type != SMQ_PUBLISH || pkt->publish.topic.len < PREFIX_LEN) {
        return;
    }
    note_own(m, pkt->publish.topic);
    char text[24] = {0};
    smq_span payload = pkt->publish.payload;
    memcpy(text, payload.data, payload.len < sizeof text ? payload.len : sizeof text - 1);
    for (unsigned i = 0; i < N_TOPICS; i++) {
        if (smq_span_equal(smq_span_from(pkt->publish.topic, PREFIX_LEN), smq_span_str(topics[i]))) {
            m->values[i] = strtoull(text, NULL, 10);
            m->n++;
        }
    }
}

static uint64_t rss_kib(const struct soak *s)
{
    char path[64];
    char line[128];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", s->f.pid);
    FILE *f = s->f.pid != 0 ? fopen(path, "r") : NULL;
    while (f != NULL && fgets(line, sizeof line, f) != NULL && sscanf(line, "VmRSS: %llu", &kib) != 1) {
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

void watch_begin(struct soak *s)
{
    static struct monitor m;
    s->monitor = &m;
    link_init(s, &m.c, "soak-monitor", SMQTT_V311);
    m.c.clean = true;
    m.c.up = monitor_up;
    m.c.packet = monitor_packet;
    m.c.who = &m;
    link_begin(&m.c);
    for (uint64_t end = clock_ns() + 1000000000u * (uint64_t)s->f.patience; m.n < N_TOPICS && clock_ns() < end;) {
        soak_turn(s, 5);
    }
    s->rss_kib = rss_kib(s);
}

static bool is_empty(const struct monitor *m)
{
    return m->values[0] <= 1 && m->values[1] <= 1 && m->values[2] == 0 && m->values[3] <= m->n_own &&
           m->values[4] <= m->n_own;
}

void watch_end(struct soak *s)
{
    enum { SPARE_KIB = 131072 };
    struct monitor *m = s->monitor;
    unsigned had = m->n;
    uint64_t end = clock_ns() + 1000000000u * (uint64_t)s->f.patience;
    while ((m->n < had + 2 || !is_empty(m)) && clock_ns() < end) {
        soak_turn(s, 5);
    }
    uint64_t rss = rss_kib(s); /* what the C library keeps of freed memory is among it */
    printf("left: %llu clients, %llu subscriptions, %llu shared, %llu retained, %llu stored, %llu dropped; "
           "memory %llu KiB, %llu at the start\n",
           (unsigned long long)m->values[0], (unsigned long long)m->values[1], (unsigned long long)m->values[2],
           (unsigned long long)m->values[3], (unsigned long long)m->values[4], (unsigned long long)m->values[5],
           (unsigned long long)rss, (unsigned long long)s->rss_kib);
    s->n.left += is_empty(m) ? 0 : 1;
    s->n.left += m->values[5] != 0 && s->f.asleep == 0 ? 1 : 0;
    s->n.left += s->f.checks_memory && rss > s->rss_kib + SPARE_KIB ? 1 : 0;
    link_end(&m->c);
}

/* ---------------------------------------------------------------- retained messages */

struct newcomer {
    struct client c;
    bool exact, is_in;
    uint32_t seen[PUBS_MAX][RETAINED]; /* number + 1 */
    unsigned n;
};

static void newcomer_up(struct client *c)
{
    struct newcomer *w = c->who;
    static char text[PUBS_MAX * RETAINED][64];
    static struct smq_filter filters[PUBS_MAX * RETAINED];
    uint32_t n = 0;
    for (unsigned topic = TOPICS - RETAINED; topic < TOPICS; topic++) {
        for (unsigned pub = 0; pub < (w->exact ? c->s->f.pubs : 1); pub++) {
            if (w->exact) {
                wire_topic(c->s, pub, topic, text[n], sizeof text[n]);
            } else {
                snprintf(text[n], sizeof text[n], "soak/+/t%u", topic);
            }
            filters[n] = (struct smq_filter){smq_span_str(text[n]), 1};
            n++;
        }
    }
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe = (struct smq_subscribe){.id = 1, .n = n, .filters = filters};
    smq_props_clear(&pkt.subscribe.props);
    wire_send(c, &pkt);
}

static void newcomer_packet(struct client *c, const struct smq_packet *pkt)
{
    struct newcomer *w = c->who;
    w->is_in = w->is_in || pkt->type == SMQ_SUBACK;
    if (pkt->type != SMQ_PUBLISH) {
        return;
    }
    const struct smq_publish *p = &pkt->publish;
    unsigned pub, topic;
    uint32_t number;
    if (p->qos == 1) {
        wire_ack(&c->out, SMQ_PUBACK, p->id);
    }
    if (!wire_read_payload(c->s, p->payload, &pub, &topic, &number) || topic < TOPICS - RETAINED || !p->retain) {
        c->s->n.retained++;
        return;
    }
    uint32_t *seen = &w->seen[pub][topic - (TOPICS - RETAINED)];
    if (*seen != 0 || number + 1 != c->s->pubs[pub].numbers[topic]) {
        c->s->n.retained++;
        say(c->s, "%s: retained of soak/p%u/t%u is number %u, not %u.", c->id, pub, topic, number,
            c->s->pubs[pub].numbers[topic] - 1);
    }
    *seen = number + 1;
    w->n++;
}

static void look_at_retained(struct soak *s, const char *id, enum smqtt_version version, bool exact, unsigned awaited)
{
    static struct newcomer w;
    memset(&w, 0, sizeof w);
    link_init(s, &w.c, id, version);
    w.c.clean = true;
    w.c.up = newcomer_up;
    w.c.packet = newcomer_packet;
    w.c.who = &w;
    w.exact = exact;
    link_begin(&w.c);
    uint64_t end = clock_ns() + 1000000000u * (uint64_t)s->f.patience;
    uint64_t quiet = clock_ns() + 200000000u;
    while (clock_ns() < end && (!w.is_in || w.n < awaited || clock_ns() < quiet)) {
        soak_turn(s, 5);
    }
    if (w.n != awaited) {
        s->n.retained++;
        say(s, "%s: %u retained messages came, not %u.", id, w.n, awaited);
    }
    link_end(&w.c);
    while (w.c.fd >= 0 && clock_ns() < end) {
        soak_turn(s, 5);
    }
    link_free(&w.c);
    s->n_clients--;
}

struct janitor {
    struct client c;
    unsigned n;
};

static void janitor_up(struct client *c)
{
    uint16_t id = 0;
    char name[64];
    for (unsigned pub = 0; pub < c->s->f.pubs; pub++) {
        for (unsigned topic = TOPICS - RETAINED; topic < TOPICS; topic++) {
            struct smq_packet pkt = {.type = SMQ_PUBLISH};
            pkt.publish = (struct smq_publish){.qos = 1, .id = ++id, .retain = true};
            pkt.publish.topic = smq_span_of(name, wire_topic(c->s, pub, topic, name, sizeof name));
            smq_props_clear(&pkt.publish.props);
            wire_send(c, &pkt);
        }
    }
}

static void janitor_packet(struct client *c, const struct smq_packet *pkt)
{
    struct janitor *j = c->who;
    j->n += pkt->type == SMQ_PUBACK ? 1 : 0;
}

static void clear_retained(struct soak *s)
{
    static struct janitor j;
    memset(&j, 0, sizeof j);
    link_init(s, &j.c, "soak-janitor", SMQTT_V311);
    j.c.clean = true;
    j.c.up = janitor_up;
    j.c.packet = janitor_packet;
    j.c.who = &j;
    link_begin(&j.c);
    uint64_t end = clock_ns() + 1000000000u * (uint64_t)s->f.patience;
    while (j.n < s->f.pubs * RETAINED && clock_ns() < end) {
        soak_turn(s, 5);
    }
    link_end(&j.c);
    while (j.c.fd >= 0 && clock_ns() < end) {
        soak_turn(s, 5);
    }
    link_free(&j.c);
    s->n_clients--;
}

void watch_retained(struct soak *s)
{
    unsigned n = 0;
    for (unsigned pub = 0; pub < s->f.pubs; pub++) {
        for (unsigned topic = TOPICS - RETAINED; topic < TOPICS; topic++) {
            n += s->pubs[pub].numbers[topic] != 0 ? 1 : 0;
        }
    }
    look_at_retained(s, "soak-new-1", SMQTT_V311, false, n);
    look_at_retained(s, "soak-new-2", SMQTT_V5, true, n);
    clear_retained(s);
    look_at_retained(s, "soak-new-3", SMQTT_V5, false, 0);
}
