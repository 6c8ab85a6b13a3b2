/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribers and members of groups: sessions that know across connections what they got with QoS 2. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "codec/topic.h"
#include "soak.h"

static void up(struct client *c)
{
    struct sub *u = c->who;
    u->acks.len = 0;
    u->n_acks = u->n_open = 0;
    memset(u->fresh, 0, IDS + 1);
    if (!u->is_in) {
        struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
        pkt.subscribe = (struct smq_subscribe){.id = 1, .n = u->n_filters, .filters = u->filters};
        smq_props_clear(&pkt.subscribe.props);
        wire_send(c, &pkt);
    }
}

static void acknowledge(struct sub *u, enum smq_type type, uint16_t id)
{
    wire_ack(&u->acks, type, id);
    u->n_acks++;
    if (type != SMQ_PUBREC) {
        u->n_open -= u->n_open != 0 ? 1 : 0;
        u->fresh[id] = 0;
    }
    if (u->n_acks >= u->late) {
        sub_send_acks(u);
    }
}

void sub_send_acks(struct sub *u)
{
    if (u->acks.len != 0) {
        bytes_add(&u->c.out, u->acks.at, u->acks.len);
        u->acks.len = 0;
        u->n_acks = 0;
    }
}

/* [MQTT-3.3.1-1] [MQTT-3.3.4-9] */
static void check_flags(struct sub *u, const struct smq_publish *p, bool is_open)
{
    struct soak *s = u->c.s;
    /* What was sent with QoS 1 shortly before the broker was killed it does not know of any more. */
    bool must_dup = is_open && !(s->f.mortal && p->qos == 1);
    bool wrong = u->fresh[p->id] != 0 || (must_dup && !p->dup);
    if (wrong) {
        s->n.no_dup++;
        say(s, "%s: identifier %u, QoS %u, DUP %d, %s, %s.", u->c.id, p->id, p->qos, p->dup,
            is_open ? "open" : "not open", u->fresh[p->id] != 0 ? "sent in this connection already" : "first");
    }
    u->fresh[p->id] = 1;
    if (u->c.version == SMQTT_V5 && u->c.receive_max != 0 && ++u->n_open > u->c.receive_max) {
        s->n.too_many++;
        say(s, "%s: %u unacknowledged.", u->c.id, u->n_open);
    }
}

static void on_publish(struct sub *u, const struct smq_publish *p)
{
    struct soak *s = u->c.s;
    uint64_t stamp = 0;
    if (p->qos == 0) {
        account_take(s, u, p, &stamp);
        return;
    }
    bool is_open = p->qos == 2 && u->open[p->id] != 0;
    check_flags(u, p, is_open);
    if (p->qos == 1) {
        account_take(s, u, p, &stamp);
        acknowledge(u, SMQ_PUBACK, p->id);
        return;
    }
    if (!is_open) {
        account_take(s, u, p, &stamp);
        u->open[p->id] = stamp + 1;
        u->n_ids++;
    } else {
        unsigned pub, topic;
        uint32_t number;
        bool same = wire_read_payload(s, p->payload, &pub, &topic, &number) &&
                    u->open[p->id] == ((uint64_t)pub << 40 | (uint64_t)topic << 32 | number) + 1;
        s->n.damaged += same ? 0 : 1;
        s->n.again++;
    }
    acknowledge(u, SMQ_PUBREC, p->id);
}

static void on_suback(struct sub *u, const struct smq_suback *ack)
{
    for (size_t i = 0; i < ack->codes.len; i++) {
        if (ack->codes.data[i] != (u->filters[i].options & 3)) {
            u->c.s->n.refused++;
            say(u->c.s, "%s: SUBACK says 0x%02x for %s.", u->c.id, ack->codes.data[i], u->text[i]);
        }
    }
    u->is_in = true;
}

static void packet(struct client *c, const struct smq_packet *pkt)
{
    struct sub *u = c->who;
    if (pkt->type == SMQ_PUBLISH) {
        on_publish(u, &pkt->publish);
    } else if (pkt->type == SMQ_PUBREL) {
        u->n_ids -= u->open[pkt->ack.id] != 0 ? 1 : 0;
        u->open[pkt->ack.id] = 0;
        acknowledge(u, SMQ_PUBCOMP, pkt->ack.id);
    } else if (pkt->type == SMQ_SUBACK) {
        on_suback(u, &pkt->suback);
    } else {
        c->s->n.wrong_ack++;
        say(c->s, "%s: %s %u, which nobody asked for.", c->id, smq_type_name(pkt->type), pkt->ack.id);
    }
}

void sub_init(struct soak *s, struct sub *u, struct reader *reader, const char *id)
{
    memset(u, 0, sizeof *u);
    link_init(s, &u->c, id, SMQTT_V311);
    u->c.up = up;
    u->c.packet = packet;
    u->c.who = u;
    u->reader = reader;
    u->is_counted = reader != NULL;
    u->late = 1;
    u->open = calloc(IDS + 1, sizeof *u->open);
    u->fresh = calloc(IDS + 1, 1);
    if (u->open == NULL || u->fresh == NULL) {
        abort();
    }
}

/* The same filter once more would take the place of the one before, with its QoS [MQTT-3.8.4-3]. */
void sub_add_filter(struct sub *u, uint8_t qos, const char *format, ...)
{
    char *text = u->text[u->n_filters];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof u->text[0], format, args);
    va_end(args);
    for (uint32_t i = 0; i < u->n_filters; i++) {
        if (strcmp(u->text[i], text) == 0) {
            return;
        }
    }
    u->filters[u->n_filters] = (struct smq_filter){smq_span_str(text), qos};
    u->n_filters++;
}

static uint8_t wanted_qos(const struct soak *s, const struct sub *u, unsigned pub, unsigned topic)
{
    char name[64];
    smq_span span = smq_span_of(name, wire_topic(s, pub, topic, name, sizeof name));
    int most = -1;
    for (uint32_t i = 0; i < u->n_filters; i++) {
        smq_span group, filter;
        int qos = u->filters[i].options & 3;
        (void)smq_topic_split_share(u->filters[i].filter, &group, &filter);
        most = smq_topic_match(filter, span) && qos > most ? qos : most;
    }
    if (most < 0) {
        return NOT_WANTED;
    }
    return (uint8_t)((unsigned)most < s->f.qos ? (unsigned)most : s->f.qos); /* [MQTT-3.8.4-8] */
}

void sub_wants(struct soak *s, struct sub *u)
{
    for (unsigned pub = 0; pub < s->f.pubs; pub++) {
        for (unsigned topic = 0; topic < TOPICS; topic++) {
            u->reader->tracks[pub][topic].qos = wanted_qos(s, u, pub, topic);
        }
    }
}

void sub_free(struct sub *u)
{
    link_free(&u->c);
    free(u->acks.at);
    free(u->open);
    free(u->fresh);
}
