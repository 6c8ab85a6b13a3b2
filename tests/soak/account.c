/* SPDX-License-Identifier: Apache-2.0 */
/* The account of what came. */
#include <stdlib.h>
#include <string.h>

#include "soak.h"

static bool take_bit(struct track *t, uint32_t number)
{
    uint32_t at = number / 8;
    if (at >= t->cap) {
        uint32_t cap = (at + 64) * 2;
        uint8_t *bits = realloc(t->bits, cap);
        if (bits == NULL) {
            abort();
        }
        memset(bits + t->cap, 0, cap - t->cap);
        t->bits = bits;
        t->cap = cap;
    }
    bool fresh = (t->bits[at] >> (number % 8) & 1) == 0;
    t->bits[at] |= (uint8_t)(1u << (number % 8));
    return fresh;
}

static void take_again(struct soak *s, const struct sub *u, const struct track *t, const char *what, uint32_t number)
{
    s->n.again++;
    if (t->qos != 1 || s->f.cut == 0) {
        s->n.doubled++;
        say(s, "%s: %s number %u came again (QoS %u).", u->c.id, what, number, t->qos);
    }
}

void account_take(struct soak *s, struct sub *u, const struct smq_publish *p, uint64_t *stamp)
{
    unsigned pub, topic;
    uint32_t number;
    char name[64];
    s->n.delivered++;
    if (p->payload.len == 0 && !s->is_loading) {
        return; /* a retained message was removed when the load was over */
    }
    if (!wire_read_payload(s, p->payload, &pub, &topic, &number)) {
        s->n.damaged++;
        return;
    }
    *stamp = (uint64_t)pub << 40 | (uint64_t)topic << 32 | number;
    if (!u->is_counted) {
        return;
    }
    struct track *t = &u->reader->tracks[pub][topic];
    smq_span right = smq_span_of(name, wire_topic(s, pub, topic, name, sizeof name));
    if (number >= s->pubs[pub].numbers[topic] || t->qos == NOT_WANTED || !smq_span_equal(p->topic, right)) {
        s->n.foreign++;
        say(s, "%s: \"%.*s\" number %u was not published, or not subscribed.", u->c.id, (int)p->topic.len,
            (const char *)p->topic.data, number);
        return;
    }
    s->n.wrong_qos += p->qos != t->qos || p->retain ? 1 : 0;
    if (!take_bit(t, number)) {
        take_again(s, u, t, name, number);
        return;
    }
    t->n++;
    s->got++;
    s->moved_ns = s->now_ns;
    if (number < t->next && !u->reader->is_group) {
        s->n.disordered++; /* [MQTT-4.6.0-5] */
        say(s, "%s: %s number %u came behind %u.", u->c.id, name, number, t->next - 1);
    }
    t->next = number >= t->next ? number + 1 : t->next;
}

static void look(struct soak *s, unsigned reader, unsigned pub, unsigned topic)
{
    struct track *t = &s->readers[reader].tracks[pub][topic];
    uint32_t sent = s->pubs[pub].numbers[topic];
    if (t->qos == NOT_WANTED || t->n >= sent) {
        return;
    }
    uint32_t first = 0;
    while (first / 8 < t->cap && (t->bits[first / 8] >> (first % 8) & 1) != 0) {
        first++;
    }
    s->n.lost += sent - t->n;
    say(s, "%s %u: of soak/p%u/t%u %u of %u are missing, the first is %u, the highest that came %d.",
        s->readers[reader].is_group ? "group" : "subscriber", s->readers[reader].is_group ? reader - s->f.subs : reader,
        pub, topic, sent - t->n, sent, first, (int)t->next - 1);
}

void account_end(struct soak *s)
{
    for (unsigned i = 0; i < s->f.subs + s->f.groups; i++) {
        for (unsigned pub = 0; pub < s->f.pubs; pub++) {
            for (unsigned topic = 0; topic < TOPICS; topic++) {
                look(s, i, pub, topic);
            }
        }
    }
}

void account_free(struct soak *s)
{
    for (unsigned i = 0; i < s->f.subs + s->f.groups; i++) {
        for (unsigned pub = 0; pub < s->f.pubs; pub++) {
            for (unsigned topic = 0; topic < TOPICS; topic++) {
                free(s->readers[i].tracks[pub][topic].bits);
            }
        }
    }
}
