/* SPDX-License-Identifier: Apache-2.0 */
/* Publishers: a window of unacknowledged messages that outlives the connection [MQTT-4.4.0-1]. */
#include <stdlib.h>

#include "soak.h"

enum { NOT_FOUND = 0x92 }; /* packet identifier not found */

static struct slot *slot_at(struct pub *p, uint64_t sequence)
{
    return &p->slots[sequence % p->c.s->f.window];
}

static uint16_t id_of(uint64_t sequence)
{
    return (uint16_t)(1 + sequence % IDS);
}

static void send_slot(struct pub *p, uint64_t sequence, bool dup)
{
    struct slot *slot = slot_at(p, sequence);
    if (slot->state == SLOT_PUBCOMP) {
        wire_ack(&p->c.out, SMQ_PUBREL, id_of(sequence));
        slot->again = true;
    } else if (slot->state != SLOT_DONE) {
        wire_publish(&p->c, p->index, slot->topic, slot->number, (uint8_t)p->c.s->f.qos, id_of(sequence), dup);
    }
}

static void up(struct client *c)
{
    struct pub *p = c->who;
    for (uint64_t i = p->head; i < p->tail; i++) {
        send_slot(p, i, true);
        c->s->n.resent++;
    }
    p->rec = p->head;
}

/* The message that an acknowledgement is for: acknowledgements come in the order of what they answer [MQTT-4.6.0-2]
 * [MQTT-4.6.0-3], so it is the oldest one that waits for this kind. */
static struct slot *answered(struct pub *p, uint16_t id, enum slot_state wanted)
{
    uint64_t *at = wanted == SLOT_PUBREC ? &p->rec : &p->head;
    p->rec = p->rec < p->head ? p->head : p->rec;
    while (*at < p->tail && slot_at(p, *at)->state != wanted && (wanted == SLOT_PUBREC)) {
        ++*at;
    }
    if (*at < p->tail && id_of(*at) == id && slot_at(p, *at)->state == wanted) {
        return slot_at(p, *at);
    }
    p->c.s->n.wrong_ack++;
    say(p->c.s, "%s: acknowledgement of %u, but %u is next (kind %d).", p->c.id, id, id_of(*at), wanted);
    return NULL;
}

static void packet(struct client *c, const struct smq_packet *pkt)
{
    struct pub *p = c->who;
    enum slot_state wanted = pkt->type == SMQ_PUBACK   ? SLOT_PUBACK
                             : pkt->type == SMQ_PUBREC ? SLOT_PUBREC
                                                       : SLOT_PUBCOMP;
    if (pkt->type != SMQ_PUBACK && pkt->type != SMQ_PUBREC && pkt->type != SMQ_PUBCOMP) {
        c->s->n.wrong_ack++;
        say(c->s, "%s: %s, which nobody asked for.", c->id, smq_type_name(pkt->type));
        return;
    }
    struct slot *slot = answered(p, pkt->ack.id, wanted);
    if (slot == NULL) {
        return;
    }
    /* Of PUBREL that was sent again the first PUBCOMP may have got lost. */
    if (pkt->ack.reason >= 0x80 && !(slot->again && wanted == SLOT_PUBCOMP && pkt->ack.reason == NOT_FOUND)) {
        c->s->n.refused++;
        say(c->s, "%s: %s of %u with 0x%02x.", c->id, smq_type_name(pkt->type), pkt->ack.id, pkt->ack.reason);
    }
    c->s->moved_ns = c->s->now_ns;
    if (wanted == SLOT_PUBREC) {
        slot->state = SLOT_PUBCOMP;
        wire_ack(&c->out, SMQ_PUBREL, pkt->ack.id);
        return;
    }
    slot->state = SLOT_DONE;
    p->acked[slot->topic] = slot->number + 1;
    c->s->n.acked++;
    p->head++;
}

void pub_init(struct soak *s, unsigned index)
{
    static const enum smqtt_version versions[] = {SMQTT_V5, SMQTT_V311, SMQTT_V5, SMQTT_V31};
    struct pub *p = &s->pubs[index];
    char id[48];
    snprintf(id, sizeof id, "soak-p%u", index);
    link_init(s, &p->c, id, versions[index % SMQ_ARRAY_LEN(versions)]);
    p->c.up = up;
    p->c.packet = packet;
    p->c.who = p;
    p->index = index;
    p->total = s->f.messages / s->f.pubs + (index < s->f.messages % s->f.pubs ? 1 : 0);
    p->slots = calloc(s->f.window, sizeof *p->slots);
    if (p->slots == NULL) {
        abort();
    }
}

bool pub_is_done(const struct pub *p)
{
    return p->head == p->total;
}

/* How much of QoS 0 may be under way: less than what would be dropped. */
static bool has_room(const struct soak *s)
{
    enum { UNDER_WAY = 20000 };
    return s->f.qos != 0 || s->expected < s->got + UNDER_WAY;
}

/* Deliveries of one message of this topic. */
static unsigned readers_of(const struct soak *s, unsigned pub, unsigned topic)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->f.subs + s->f.groups; i++) {
        n += s->readers[i].tracks[pub][topic].qos != NOT_WANTED ? 1 : 0;
    }
    return n;
}

void pub_pump(struct pub *p)
{
    enum { OUTPUT = 65536, BURST = 64 };
    struct client *c = &p->c;
    struct soak *s = c->s;
    uint64_t window = s->f.window < c->server_max ? s->f.window : c->server_max;
    for (int n = 0; n < BURST && c->state == UP && !c->is_over && c->out.len < OUTPUT; n++) {
        if (p->tail == p->total || (s->f.qos != 0 && p->tail - p->head >= window) || !has_room(s)) {
            return;
        }
        uint64_t rng = s->f.seed * 31 + ((uint64_t)p->index << 32) + p->tail;
        unsigned topic = (unsigned)chance(&rng, TOPICS);
        struct slot *slot = slot_at(p, p->tail);
        *slot = (struct slot){.topic = (uint8_t)topic, .number = p->numbers[topic]++};
        slot->state = s->f.qos == 1 ? SLOT_PUBACK : SLOT_PUBREC;
        s->n.published++;
        s->expected += readers_of(s, p->index, topic);
        if (s->f.qos == 0) {
            wire_publish(c, p->index, topic, slot->number, 0, 0, false);
            p->head++;
        } else {
            send_slot(p, p->tail, false);
        }
        p->tail++;
        if (c->until_cut != 0 && --c->until_cut == 0) {
            c->goes_soon = true;
            return;
        }
    }
}

void pub_free(struct pub *p)
{
    link_free(&p->c);
    free(p->slots);
}
