/* SPDX-License-Identifier: Apache-2.0 */
/* Several workers, whose turns are cut into small steps that mix by chance: what they promise holds all the same. */
#include <stdlib.h>

#include "harness.h"

#include "broker/internal.h"
#include "codec/topic.h"

static struct bed bed;

enum { SEEDS = 60, PUBS = 3, SUBS = 6, ROUNDS = 1500 };

static void start(unsigned count, uint64_t seed)
{
    bed_init(&bed);
    bed.count = count;
    bed.rng = seed * 7919 + count;
    bed_start(&bed);
}

static uint64_t chance(size_t below)
{
    return test_random_below(&bed.rng, below);
}

static void steps(size_t n)
{
    while (n-- != 0) {
        bed_step(&bed);
    }
}

/* Nobody subscribed any more: nothing is left of it anywhere. */
static void expect_no_interest(void)
{
    for (unsigned i = 0; i < bed.count; i++) {
        const struct smq_worker *w = bed.workers[i];
        const struct smq_interest *in = &w->peers.interest;
        assert_int_equal(in->n, 0);
        assert_int_equal(in->n_shapes, 0);
        assert_int_equal(in->n_beyond, 0);
        assert_true(in->everything == 0 && in->lost == 0);
        assert_int_equal(w->trie.n, 0);
        assert_int_equal(smq_map_count(&w->groups), 0);
        assert_int_equal(smq_map_count(&w->members), 0);
        assert_int_equal(smq_map_count(&w->shareds), 0);
        assert_true(smq_list_is_empty(&w->helds) && smq_list_is_empty(&w->questions));
    }
}

static void send_subscribe(struct client *c, enum smq_type type, const char *filter, uint8_t options)
{
    struct smq_filter f = {smq_span_str(filter), options};
    struct smq_packet pkt = {.type = type};
    pkt.subscribe.id = 77;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = &f;
    smq_props_clear(&pkt.subscribe.props);
    client_send(c, &pkt);
}

/* ------------------------------------------------------------ no message is lost, and their order is kept */

static const char *const topics[] = {"a/b", "a/b/c", "x", "a"};
static const char *const filters[] = {"a/b", "a/+", "#", "+", "a/b/#", "+/b/c"};

struct reader {
    struct client *c;
    const char *filter;
    uint8_t qos;
    enum { IDLE, ASKED, IN } state;
    unsigned from[PUBS];       /* the first number that must come */
    unsigned last[PUBS][4][3]; /* the last one that came, by publisher, topic, QoS of publication */
    unsigned got[PUBS];        /* how many since it is in */
    bool seen[PUBS][ROUNDS];
};

struct writer {
    struct client *c;
    unsigned n;
    uint8_t topic[ROUNDS];
};

static struct reader readers[SUBS];
static struct writer writers[PUBS];

static bool span_number(smq_span s, unsigned *pub, unsigned *n)
{
    char text[32] = {0};
    memcpy(text, s.data, s.len < 31 ? s.len : 31);
    return sscanf(text, "%u %u", pub, n) == 2;
}

static unsigned topic_index(smq_span topic)
{
    unsigned i = 0;
    while (!span_is(topic, topics[i])) {
        i++;
    }
    return i;
}

static void take_publish(struct reader *r, const struct smq_publish *p, uint8_t of_qos)
{
    unsigned pub, n;
    assert_true(span_number(p->payload, &pub, &n));
    assert_false(p->dup);
    assert_false(r->seen[pub][n]); /* the transport never breaks: nothing comes twice */
    r->seen[pub][n] = true;
    unsigned *last = &r->last[pub][topic_index(p->topic)][of_qos];
    assert_true(*last <= n); /* [MQTT-4.6.0-5] */
    *last = n + 1;
    uint16_t id = p->id;
    if (p->qos != 0) {
        client_send_ack(r->c, p->qos == 1 ? SMQ_PUBACK : SMQ_PUBREC, id, 0);
    }
}

static void look(struct reader *r)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(r->c)) != NULL) {
        if (pkt->type == SMQ_SUBACK) {
            assert_true(r->state == ASKED);
            r->state = IN;
            for (unsigned i = 0; i < PUBS; i++) {
                r->from[i] = writers[i].n;
            }
        } else if (pkt->type == SMQ_PUBREL) {
            client_send_ack(r->c, SMQ_PUBCOMP, pkt->ack.id, 0);
        } else if (pkt->type == SMQ_PUBLISH) {
            unsigned pub, n;
            assert_true(span_number(pkt->publish.payload, &pub, &n));
            take_publish(r, &pkt->publish, (uint8_t)(n % 3));
        } else {
            assert_int_equal(pkt->type, SMQ_UNSUBACK);
        }
    }
}

static void answer_writer(struct writer *wr)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(wr->c)) != NULL) {
        if (pkt->type == SMQ_PUBREC) {
            client_send_ack(wr->c, SMQ_PUBREL, pkt->ack.id, 0);
        }
    }
}

static void write_one(unsigned i)
{
    struct writer *wr = &writers[i];
    char text[700];
    size_t len = (size_t)snprintf(text, sizeof text, "%u %u ", i, wr->n);
    size_t size = chance(8) == 0 ? 650 : len; /* large ones go as references */
    memset(text + len, 'x', size - len);
    text[size] = 0;
    wr->topic[wr->n] = (uint8_t)chance(4);
    uint8_t qos = (uint8_t)(wr->n % 3);
    client_send_publish(wr->c, topics[wr->topic[wr->n]], text, qos, false, (uint16_t)(qos != 0 ? wr->n + 1 : 0));
    wr->n++;
}

static void check_reader(const struct reader *r)
{
    for (unsigned pub = 0; r->state == IN && pub < PUBS; pub++) {
        for (unsigned n = r->from[pub]; n < writers[pub].n; n++) {
            bool wanted = smq_topic_match(smq_span_str(r->filter), smq_span_str(topics[writers[pub].topic[n]]));
            assert_true(r->seen[pub][n] == wanted);
        }
    }
}

static void loss_and_order(unsigned count, uint64_t seed)
{
    start(count, seed);
    memset(readers, 0, sizeof readers);
    memset(writers, 0, sizeof writers);
    char id[16];
    for (unsigned i = 0; i < SUBS; i++) {
        snprintf(id, sizeof id, "sub%u", i);
        readers[i].c = client_connect(&bed, i % 2 ? SMQTT_V5 : SMQTT_V311, id, true);
        readers[i].filter = filters[i];
        readers[i].qos = (uint8_t)chance(3);
    }
    for (unsigned i = 0; i < PUBS; i++) {
        snprintf(id, sizeof id, "pub%u", i);
        writers[i].c = client_connect(&bed, SMQTT_V5, id, true);
    }
    bed.slowly = true;
    for (unsigned round = 0; round < 300; round++) {
        steps(chance(6));
        struct reader *r = &readers[chance(SUBS)];
        if (r->state == IDLE && chance(8) == 0) {
            send_subscribe(r->c, SMQ_SUBSCRIBE, r->filter, r->qos);
            r->state = ASKED;
        }
        if (chance(2) == 0) {
            write_one((unsigned)chance(PUBS));
        }
        for (unsigned i = 0; i < SUBS; i++) {
            look(&readers[i]);
        }
        for (unsigned i = 0; i < PUBS; i++) {
            answer_writer(&writers[i]);
        }
    }
    for (unsigned n = 0; n < 60; n++) { /* the windows empty */
        bed_calm(&bed);
        for (unsigned i = 0; i < SUBS; i++) {
            look(&readers[i]);
        }
        for (unsigned i = 0; i < PUBS; i++) {
            answer_writer(&writers[i]);
        }
    }
    for (unsigned i = 0; i < SUBS; i++) {
        check_reader(&readers[i]);
        send_subscribe(readers[i].c, SMQ_UNSUBSCRIBE, readers[i].filter, 0);
    }
    bed_calm(&bed);
    expect_no_interest();
    bed_stop(&bed);
}

static void no_loss_after_suback_and_order_is_kept(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            loss_and_order(count, seed);
        }
    }
}

/* ------------------------------------------------------------ retained messages */

enum { VALUES = 400 };

struct watcher {
    struct client *c;
    unsigned last[4]; /* 1 + the last value that came, 0 for none */
    unsigned least[4];
    bool asked, wants[4], live[4][VALUES];
};

static unsigned acked[4], sent[4]; /* values of each topic: 1 + number */
static bool waits[4];

static void look_retained(struct watcher *w)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(w->c)) != NULL) {
        if (pkt->type == SMQ_PUBLISH) {
            unsigned topic = topic_index(pkt->publish.topic), pub, n = 0;
            if (pkt->publish.payload.len != 0) {
                assert_true(span_number(pkt->publish.payload, &pub, &n));
                /* Live ones of different publishers may pass each other; what was kept is newer than all that came. */
                assert_true(!pkt->publish.retain || n + 1 > w->last[topic]);
                assert_true(pkt->publish.retain || !w->live[topic][n]);
                w->live[topic][n] = w->live[topic][n] || !pkt->publish.retain;
                w->last[topic] = n + 1 > w->last[topic] ? n + 1 : w->last[topic];
            }
            if (pkt->publish.qos == 1) {
                client_send_ack(w->c, SMQ_PUBACK, pkt->publish.id, 0);
            }
        }
    }
}

/* Each topic has one value after the other, each published by any client as soon as the one before is acknowledged. */
static void publish_value(struct client *const *pubs, unsigned topic)
{
    static char text[32];
    bool removal = sent[topic] % 5 == 4;
    if (removal) {
        text[0] = 0;
    } else {
        snprintf(text, sizeof text, "%u %u", topic, sent[topic]);
    }
    client_send_publish(pubs[chance(PUBS)], topics[topic], text, 1, true, (uint16_t)(topic + 1));
    sent[topic]++;
    waits[topic] = true;
}

static void hear_acks(struct client *const *pubs)
{
    for (unsigned i = 0; i < PUBS; i++) {
        const struct smq_packet *pkt;
        while ((pkt = client_next(pubs[i])) != NULL) {
            if (pkt->type == SMQ_PUBACK) {
                unsigned topic = pkt->ack.id - 1u;
                waits[topic] = false;
                acked[topic] = sent[topic];
            }
        }
    }
}

static void ask_retained(struct watcher *w, unsigned at)
{
    static const char *const wanted[] = {"#", "a/b", "+", "a/#", "x"};
    send_subscribe(w->c, SMQ_SUBSCRIBE, wanted[at % 5], (uint8_t)(chance(2)));
    w->asked = true;
    for (unsigned t = 0; t < 4; t++) {
        bool match = smq_topic_match(smq_span_str(wanted[at % 5]), smq_span_str(topics[t]));
        /* what was acknowledged before must be seen: that value or a later one */
        w->least[t] = match ? acked[t] : 0;
        w->wants[t] = match;
    }
}

/* A late one gets just the last value of each, or none. */
static void expect_last_values(void)
{
    struct client *late = client_open(&bed, SMQTT_V5);
    struct smq_packet connect = packet_connect(SMQTT_V5, "late", true);
    client_send(late, &connect);
    bed_calm(&bed);
    client_expect(late, SMQ_CONNACK);
    send_subscribe(late, SMQ_SUBSCRIBE, "#", 0);
    bed_calm(&bed);
    client_expect(late, SMQ_SUBACK);
    unsigned found[4] = {0};
    const struct smq_packet *pkt;
    while ((pkt = client_next(late)) != NULL) {
        unsigned pub = 0, n = 0;
        assert_true(pkt->type == SMQ_PUBLISH && span_number(pkt->publish.payload, &pub, &n));
        found[topic_index(pkt->publish.topic)] = n + 1;
    }
    for (unsigned t = 0; t < 4; t++) {
        bool removed = sent[t] == 0 || (sent[t] - 1) % 5 == 4;
        assert_int_equal(found[t], removed ? 0 : sent[t]);
    }
}

static void retained_values(unsigned count, uint64_t seed)
{
    static struct watcher watchers[12];
    struct client *pubs[PUBS];
    char id[16];
    start(count, seed);
    memset(watchers, 0, sizeof watchers);
    memset(acked, 0, sizeof acked);
    memset(sent, 0, sizeof sent);
    memset(waits, 0, sizeof waits);
    for (unsigned i = 0; i < 12; i++) {
        snprintf(id, sizeof id, "w%u", i);
        watchers[i].c = client_connect(&bed, SMQTT_V5, id, true);
    }
    for (unsigned i = 0; i < PUBS; i++) {
        snprintf(id, sizeof id, "p%u", i);
        pubs[i] = client_connect(&bed, SMQTT_V5, id, true);
    }
    bed.slowly = true;
    for (unsigned round = 0; round < 400; round++) {
        steps(chance(8));
        hear_acks(pubs);
        unsigned topic = (unsigned)chance(4);
        if (!waits[topic] && chance(3) == 0) {
            publish_value(pubs, topic);
        }
        unsigned at = (unsigned)chance(12);
        if (!watchers[at].asked && chance(6) == 0) {
            ask_retained(&watchers[at], at);
        }
        for (unsigned i = 0; i < 12; i++) {
            look_retained(&watchers[i]);
        }
    }
    for (unsigned n = 0; n < 30; n++) {
        bed_calm(&bed);
        for (unsigned i = 0; i < 12; i++) {
            look_retained(&watchers[i]);
        }
        hear_acks(pubs);
    }
    for (unsigned i = 0; i < 12; i++) {
        for (unsigned t = 0; watchers[i].asked && t < 4; t++) {
            /* What was acknowledged when it asked, or a later one; unless that was removed meanwhile. */
            unsigned least = watchers[i].least[t];
            bool removed = least != 0 && (least - 1) / 5 != sent[t] / 5;
            assert_true(removed || least % 5 == 0 || watchers[i].last[t] >= least);
            assert_true(!watchers[i].wants[t] || sent[t] % 5 == 0 || watchers[i].last[t] == sent[t]);
        }
    }
    expect_last_values();
    bed_stop(&bed);
}

static void the_newest_retained_message_wins(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            retained_values(count, seed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_loss_after_suback_and_order_is_kept),
        cmocka_unit_test(the_newest_retained_message_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
