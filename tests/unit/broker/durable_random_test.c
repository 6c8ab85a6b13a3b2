/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever happens, in whatever order: in the end the rows are what the sessions hold. Every subscriber takes each
 * message of QoS 2 once, in order, and none of QoS 1 is missing. */
#include <stdlib.h>

#include "rows_check.h"
#include "stored.h"

enum { SUBS = 4, STEPS = 3000, PENDING = 64, ROUNDS = 5 };

struct sub {
    struct client *c; /* NULL: away */
    char id[8];
    uint16_t acks[PENDING]; /* what it has not answered yet */
    uint8_t types[PENDING]; /* with what it is to be answered */
    unsigned n_acks;
    unsigned next[3]; /* by QoS: the next number that may come */
};

static struct sub subs[SUBS];
static struct client *pub;
static unsigned n_published[3]; /* by QoS */
static uint16_t pub_id;
static uint64_t rng;

static size_t below(size_t n)
{
    return test_random_below(&rng, n);
}

static void forget(struct sub *s)
{
    s->c = NULL;
    s->n_acks = 0;
}

static void note(struct sub *s, enum smq_type answer, uint16_t id)
{
    assert_true(s->n_acks < PENDING);
    s->acks[s->n_acks] = id;
    s->types[s->n_acks++] = (uint8_t)answer;
}

static void on_publish(struct sub *s, const struct smq_publish *p)
{
    char text[16] = "";
    memcpy(text, p->payload.data, p->payload.len < sizeof text ? p->payload.len : sizeof text - 1);
    unsigned number = (unsigned)strtoul(text, NULL, 10);
    unsigned qos = p->qos;
    if (p->retain) {
        /* it was there when the client subscribed */
    } else if (number >= s->next[qos]) {
        if (number != s->next[qos]) {
            fail_msg("%s: QoS %u, number %u, and %u was expected", s->id, qos, number, s->next[qos]);
        }
        s->next[qos] = number + 1;
    } else {
        assert_true(p->dup); /* again, because it was not answered */
    }
    note(s, qos == 2 ? SMQ_PUBREC : SMQ_PUBACK, p->id);
}

static void read_all(struct sub *s)
{
    const struct smq_packet *pkt;
    while (s->c != NULL && (pkt = client_next(s->c)) != NULL) {
        if (pkt->type == SMQ_PUBLISH) {
            on_publish(s, &pkt->publish);
        } else if (pkt->type == SMQ_PUBREL) {
            note(s, SMQ_PUBCOMP, pkt->ack.id);
        }
    }
}

static void answer_some(struct sub *s)
{
    unsigned n = s->n_acks != 0 ? (unsigned)below(s->n_acks + 1) : 0;
    for (unsigned i = 0; i < n && s->c->conn != NULL; i++) {
        bool refuses = s->types[i] != SMQ_PUBCOMP && below(40) == 0;
        client_send_ack(s->c, (enum smq_type)s->types[i], s->acks[i], refuses ? 0x80 : 0);
    }
    memmove(s->acks, s->acks + n, (s->n_acks - n) * sizeof s->acks[0]);
    memmove(s->types, s->types + n, s->n_acks - n);
    s->n_acks -= n;
}

/* Nobody reads what others than these still get. */
static void drain_old(void)
{
    for (size_t i = 0; i < BED_CLIENTS; i++) {
        struct client *c = &bed.clients[i];
        bool is_used = c == pub;
        for (int k = 0; k < SUBS; k++) {
            is_used = is_used || c == subs[k].c;
        }
        if (!is_used && c->in.len != 0) {
            client_drain(c);
        }
    }
}

static void connect(struct sub *s, bool clean)
{
    if (s->c != NULL) {
        forget(s); /* it is taken over */
    }
    struct smq_packet pkt = packet_connect(SMQTT_V5, s->id, clean);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 10000);
    drain_old();
    s->c = client_open(&bed, SMQTT_V5);
    client_send(s->c, &pkt);
    if (clean) {
        struct smq_filter f = {smq_span_str("t/#"), 2};
        struct smq_packet subscribe = {.type = SMQ_SUBSCRIBE};
        subscribe.subscribe.id = 77;
        subscribe.subscribe.n = 1;
        subscribe.subscribe.filters = &f;
        smq_props_clear(&subscribe.subscribe.props);
        client_send(s->c, &subscribe);
        for (unsigned qos = 1; qos < 3; qos++) {
            s->next[qos] = n_published[qos];
        }
    }
}

static void publish(void)
{
    uint8_t qos = (uint8_t)(1 + below(2));
    char text[16];
    snprintf(text, sizeof text, "%u", n_published[qos]++);
    client_send_publish(pub, "t/a", text, qos, below(8) == 0, ++pub_id);
    const struct smq_packet *pkt;
    while ((pkt = client_next(pub)) != NULL) {
        if (pkt->type == SMQ_PUBREC) {
            client_send_ack(pub, SMQ_PUBREL, pkt->ack.id, 0);
        }
    }
}

static void step(void)
{
    struct sub *s = &subs[below(SUBS)];
    size_t what = below(100);
    if (what < 45) {
        publish();
    } else if (what < 80 && s->c != NULL) {
        read_all(s);
        answer_some(s);
    } else if (what < 83 && s->c != NULL) {
        client_break(s->c);
        client_drain(s->c);
        forget(s);
    } else if (what < 88) {
        read_all(s);
        connect(s, false);
    } else if (what == 88 && below(6) == 0) {
        connect(s, true);
    } else if (what == 89 && below(4) == 0) {
        bed_pass(&bed, below(70000));
    } else if (what < 98) {
        bed_commit(&bed, 1 + below(4));
    } else {
        stored_commit();
    }
}

static void drain(void)
{
    disk.by_hand = false;
    for (int i = 0; i < SUBS; i++) {
        connect(&subs[i], false);
    }
    bool any = true;
    while (any) {
        any = false;
        for (int i = 0; i < SUBS; i++) {
            read_all(&subs[i]);
            any = any || subs[i].n_acks != 0;
            while (subs[i].n_acks != 0) {
                answer_some(&subs[i]);
            }
        }
    }
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE) + stored_rows(SMQ_ROW_OUT), 0);
    assert_int_equal(disk_count(&disk, SMQ_TABLE_BODY, 0, 0), 0);
    for (int i = 0; i < SUBS; i++) {
        for (unsigned qos = 1; qos < 3; qos++) {
            assert_int_equal(subs[i].next[qos], n_published[qos]);
        }
    }
}

static void play(uint64_t seed)
{
    rng = seed;
    pub_id = 0;
    stored_setup(NULL);
    bed.config.max_queued_messages = 0;
    bed.config.max_inflight_messages = (uint32_t)(1 + below(20));
    bed.config.receive_maximum = 0;
    bed_start(&bed);
    memset(n_published, 0, sizeof n_published);
    memset(subs, 0, sizeof subs);
    pub = stored_publisher();
    for (int i = 0; i < SUBS; i++) {
        snprintf(subs[i].id, sizeof subs[i].id, "sub%d", i);
        connect(&subs[i], true);
    }
    disk.by_hand = true;
    for (int i = 0; i < STEPS; i++) {
        step();
    }
    drain();
    bed_stop(&bed);
    stored_teardown(NULL);
}

static void the_rows_are_what_is_held(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        print_message("seed %u\n", (unsigned)seed);
        play(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_rows_are_what_is_held)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
