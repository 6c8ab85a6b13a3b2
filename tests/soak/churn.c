/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that subscribe and unsubscribe all the time: from SUBACK on they get everything, without a gap, and of a
 * retained topic nothing that is older than what was acknowledged before they asked. */
#include <string.h>

#include "codec/topic.h"
#include "soak.h"

enum { ENOUGH = 60 }; /* messages until it tries another filter */

static bool is_mine(const struct soak *s, const struct churner *h, unsigned pub, unsigned topic)
{
    char name[64];
    return smq_topic_match(smq_span_str(h->filter), smq_span_of(name, wire_topic(s, pub, topic, name, sizeof name)));
}

/* Filters of one publisher, and next time of another one: what is still on its way for the filter before cannot be
 * taken for what comes for the new one. */
static void choose_filter(struct churner *h)
{
    uint64_t *rng = &h->c.rng;
    unsigned topic = (unsigned)chance(rng, TOPICS);
    h->pub = (h->pub + 1 + (unsigned)chance(rng, h->c.s->f.pubs - 1)) % h->c.s->f.pubs;
    switch (chance(rng, 5)) {
    case 0:
        snprintf(h->filter, sizeof h->filter, "soak/p%u/+", h->pub);
        break;
    case 1:
        snprintf(h->filter, sizeof h->filter, "soak/p%u/#", h->pub);
        break;
    case 2:
        snprintf(h->filter, sizeof h->filter, "+/p%u/t%u/#", h->pub, topic);
        break;
    case 3:
        snprintf(h->filter, sizeof h->filter, "soak/p%u/t%u", h->pub, TOPICS - 1 - topic % RETAINED);
        break;
    default:
        snprintf(h->filter, sizeof h->filter, "soak/p%u/t%u", h->pub, topic);
        break;
    }
}

static void ask(struct churner *h)
{
    struct soak *s = h->c.s;
    choose_filter(h);
    struct smq_filter f = {smq_span_str(h->filter), (uint8_t)s->f.qos};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe = (struct smq_subscribe){.id = 1, .n = 1, .filters = &f};
    smq_props_clear(&pkt.subscribe.props);
    wire_send(&h->c, &pkt);
    memset(h->seen, 0, sizeof h->seen);
    memcpy(h->acked, s->pubs[h->pub].acked, sizeof h->acked);
    h->n = 0;
    h->is_in = false;
    h->is_leaving = false;
}

static void leave(struct churner *h)
{
    struct smq_filter f = {smq_span_str(h->filter), 0};
    struct smq_packet pkt = {.type = SMQ_UNSUBSCRIBE};
    pkt.subscribe = (struct smq_subscribe){.id = 2, .n = 1, .filters = &f};
    smq_props_clear(&pkt.subscribe.props);
    wire_send(&h->c, &pkt);
    h->is_leaving = true;
}

/* Everything that is published after SUBACK comes; and all that is newer than a retained message that came. */
static void on_live(struct churner *h, unsigned topic, uint32_t number)
{
    struct soak *s = h->c.s;
    struct seen *seen = &h->seen[topic];
    /* Before SUBACK some may come and some may not. */
    uint32_t most = seen->next > h->from[topic] ? seen->next : h->from[topic];
    most = seen->next == 0 && seen->kept != 0 && seen->kept < most ? seen->kept : most;
    if (number > most && h->is_in) {
        s->n.lost += number - most;
        say(s, "%s: soak/p%u/t%u number %u came for \"%s\", but %u is next (%s).", h->c.id, h->pub, topic, number,
            h->filter, most,
            seen->next != 0      ? "a gap"
            : seen->kept == most ? "the retained one"
                                 : "as of SUBACK");
    }
    seen->next = number >= seen->next ? number + 1 : seen->next;
}

static void on_retained(struct churner *h, unsigned topic, uint32_t number)
{
    struct soak *s = h->c.s;
    struct seen *seen = &h->seen[topic];
    if (number + 1 < h->acked[topic] || number + 1 < seen->next) {
        s->n.retained++;
        say(s, "%s: retained soak/p%u/t%u is number %u for \"%s\", but %u was acknowledged before, and %u came.",
            h->c.id, h->pub, topic, number, h->filter, h->acked[topic] - 1, seen->next - 1);
    }
    seen->kept = number + 1;
}

/* Whoever asks gets a retained message that was acknowledged before, or, where one was published meanwhile, a newer one
 * in its place (docs/workers.md, "Retained messages"). Not within any time: hundreds of live ones may come first. */
static bool lacks(const struct churner *h, unsigned topic)
{
    return topic >= TOPICS - RETAINED && h->acked[topic] != 0 && h->seen[topic].kept == 0 && h->seen[topic].next == 0 &&
           is_mine(h->c.s, h, h->pub, topic);
}

bool churn_is_served(const struct churner *h)
{
    for (unsigned topic = TOPICS - RETAINED; topic < TOPICS; topic++) {
        if (lacks(h, topic)) {
            return false;
        }
    }
    return h->is_in && !h->is_leaving;
}

void churn_end(struct churner *h)
{
    struct soak *s = h->c.s;
    if (!h->is_in || h->is_leaving) {
        s->n.refused++;
        say(s, "%s: %s for \"%s\" does not come.", h->c.id, h->is_in ? "UNSUBACK" : "SUBACK", h->filter);
    }
    for (unsigned topic = TOPICS - RETAINED; topic < TOPICS; topic++) {
        if (lacks(h, topic)) {
            s->n.retained++;
            say(s, "%s: no retained soak/p%u/t%u came for \"%s\": %u was acknowledged before.", h->c.id, h->pub, topic,
                h->filter, h->acked[topic] - 1);
        }
    }
}

static void on_publish(struct churner *h, const struct smq_publish *p)
{
    unsigned pub, topic;
    uint32_t number;
    struct soak *s = h->c.s;
    if (p->qos != 0) {
        wire_ack(&h->c.out, p->qos == 1 ? SMQ_PUBACK : SMQ_PUBREC, p->id);
    }
    if (p->payload.len == 0 && !s->is_loading) {
        return;
    }
    if (!wire_read_payload(s, p->payload, &pub, &topic, &number)) {
        s->n.damaged++;
        return;
    }
    if (pub != h->pub || !is_mine(s, h, pub, topic) || h->is_leaving) {
        return; /* of the filter before [MQTT-3.10.4-3] */
    }
    if (p->retain) {
        on_retained(h, topic, number);
        return;
    }
    on_live(h, topic, number);
    if (++h->n >= ENOUGH && churn_is_served(h)) {
        leave(h);
    }
}

static void packet(struct client *c, const struct smq_packet *pkt)
{
    struct churner *h = c->who;
    if (pkt->type == SMQ_PUBLISH) {
        on_publish(h, &pkt->publish);
    } else if (pkt->type == SMQ_PUBREL) {
        wire_ack(&c->out, SMQ_PUBCOMP, pkt->ack.id);
    } else if (pkt->type == SMQ_SUBACK) {
        h->is_in = true;
        c->s->n.churned++;
        memcpy(h->from, c->s->pubs[h->pub].numbers, sizeof h->from);
    } else if (pkt->type == SMQ_UNSUBACK && c->s->is_loading) {
        ask(h);
    }
}

static void up(struct client *c)
{
    ask(c->who);
}

void churn_init(struct soak *s, struct churner *h, unsigned index)
{
    char id[48];
    memset(h, 0, sizeof *h);
    snprintf(id, sizeof id, "soak-c%u", index);
    link_init(s, &h->c, id, index % 2 == 0 ? SMQTT_V5 : SMQTT_V311);
    h->c.clean = true;
    h->c.up = up;
    h->c.packet = packet;
    h->c.who = h;
}
