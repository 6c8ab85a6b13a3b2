/* SPDX-License-Identifier: Apache-2.0 */
/* What a client on one of several workers asks in a row is answered in a row, and retained messages of a subscription
 * do not come before its SUBACK. Turns are cut into small steps that mix by chance. */
#include <stdlib.h>

#include "harness.h"

#include "broker/held.h"
#include "broker/internal.h"

static struct bed bed;

enum { SEEDS = 100, CLIENTS = 4, REQUESTS = 60, KEPT = 5 };

static const char *const filters[] = {"k/0", "k/1", "k/2", "k/3", "k/4", "k/+", "#", "$share/g/k/1", "$share/h/#"};
enum { FILTERS = SMQ_ARRAY_LEN(filters), FIRST_SHARED = 7 };

struct asker {
    struct client *c;
    enum smq_type awaited[REQUESTS];
    unsigned asked, answered;
    unsigned filter[REQUESTS]; /* of a SUBSCRIBE */
    bool may_come[KEPT];       /* a SUBACK has come for a filter that matches it */
};

static uint64_t chance(size_t below)
{
    return test_random_below(&bed.rng, below);
}

static void ask(struct asker *a)
{
    unsigned n = a->asked++;
    unsigned which = (unsigned)chance(FILTERS);
    struct smq_filter f = {smq_span_str(filters[which]), 0};
    struct smq_packet pkt = {.type = SMQ_PINGREQ};
    a->awaited[n] = SMQ_PINGRESP;
    if (chance(3) != 0) {
        bool in = chance(3) != 0;
        pkt.type = in ? SMQ_SUBSCRIBE : SMQ_UNSUBSCRIBE;
        pkt.subscribe.id = (uint16_t)(n + 1);
        pkt.subscribe.n = 1;
        pkt.subscribe.filters = &f;
        smq_props_clear(&pkt.subscribe.props);
        a->awaited[n] = in ? SMQ_SUBACK : SMQ_UNSUBACK;
        a->filter[n] = which;
    }
    client_send(a->c, &pkt);
}

static void note_suback(struct asker *a, unsigned which)
{
    for (unsigned i = 0; i < KEPT && which < FIRST_SHARED; i++) {
        a->may_come[i] = a->may_come[i] || which == i || which >= KEPT;
    }
}

static void look(struct asker *a)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(a->c)) != NULL) {
        if (pkt->type == SMQ_PUBLISH) {
            assert_int_equal(pkt->publish.topic.len, 3);
            assert_true(pkt->publish.retain);
            assert_true(a->may_come[pkt->publish.topic.data[2] - '0']);
            continue;
        }
        assert_true(a->answered < a->asked);
        unsigned n = a->answered++;
        assert_int_equal(pkt->type, a->awaited[n]);
        if (pkt->type != SMQ_PINGRESP) {
            assert_int_equal(pkt->suback.id, n + 1);
        }
        if (pkt->type == SMQ_SUBACK) {
            note_suback(a, a->filter[n]);
        }
    }
}

static void answers_in_a_row(unsigned count, uint64_t seed)
{
    static struct asker askers[CLIENTS];
    bed_init(&bed);
    bed.count = count;
    bed.rng = seed * 104729 + count;
    bed_start(&bed);
    memset(askers, 0, sizeof askers);
    char text[16];
    for (unsigned i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "asker%u", i);
        askers[i].c = client_connect(&bed, SMQTT_V5, text, true);
    }
    for (unsigned i = 0; i < KEPT; i++) {
        snprintf(text, sizeof text, "k/%u", i);
        client_publish(askers[0].c, text, "kept", 1, true);
    }
    bed.slowly = true;
    for (unsigned round = 0; round < 400; round++) {
        bed_step(&bed);
        struct asker *a = &askers[chance(CLIENTS)];
        if (a->asked < REQUESTS && chance(2) == 0) {
            ask(a);
        }
        look(a);
    }
    bed_calm(&bed);
    for (unsigned i = 0; i < CLIENTS; i++) {
        look(&askers[i]);
        assert_int_equal(askers[i].answered, askers[i].asked);
    }
    bed_stop(&bed);
}

static void answers_come_in_the_order_of_requests(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            answers_in_a_row(count, seed);
        }
    }
}

/* A client that asks on and on is not read when too much of it waits; all is answered in the end. */
static struct client *ask_too_much(unsigned n)
{
    bed_init(&bed);
    bed.count = 3;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V311, "c", true);
    bed.slowly = true;
    for (unsigned i = 0; i < n; i++) {
        char text[16];
        snprintf(text, sizeof text, "t/%u", i);
        struct smq_filter f = {smq_span_str(text), 0};
        struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
        pkt.subscribe.id = (uint16_t)(i + 1);
        pkt.subscribe.n = 1;
        pkt.subscribe.filters = &f;
        client_send(c, &pkt);
        client_push(c);
    }
    assert_true(smq_conn_paused(c->conn));
    assert_int_equal(c->conn->n_held, SMQ_HELD_MAX);
    assert_true(c->kept != 0);
    return c;
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    enum { MANY = 5 * SMQ_HELD_MAX };
    struct client *c = ask_too_much(MANY);
    bed_calm(&bed);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(client_expect(c, SMQ_SUBACK)->suback.id, i + 1);
    }
    client_break(c);
    bed_stop(&bed);
}

/* One that is not read any more ends: no timer of it is left behind. */
static void one_that_waits_for_too_much_may_end(void **state)
{
    (void)state;
    client_break(ask_too_much(SMQ_HELD_MAX + 1));
    bed_calm(&bed);
    bed_pass(&bed, 100000);
    bed_stop(&bed);
}

/* Subscribe and publish in one go: the acknowledgement, then the message, then its acknowledgement; and who hears of
 * the message can answer at once, from whatever worker. */
static void a_publish_waits_for_the_suback_before_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        bed_init(&bed);
        bed.count = (unsigned)(2 + seed % 3);
        bed.rng = seed;
        bed_start(&bed);
        char name[16];
        snprintf(name, sizeof name, "asker%u", (unsigned)seed);
        struct client *server = client_connect(&bed, SMQTT_V5, "server", true);
        client_subscribe(server, "question", 0);
        struct client *c = client_connect(&bed, SMQTT_V5, name, true);
        struct smq_filter f = {smq_span_str("answer"), 0};
        struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
        pkt.subscribe.id = 7;
        pkt.subscribe.n = 1;
        pkt.subscribe.filters = &f;
        smq_props_clear(&pkt.subscribe.props);
        bed.slowly = true;
        client_send(c, &pkt);
        client_send_publish(c, "answer", "to itself", 0, false, 0);
        client_send_publish(c, "question", "?", 1, false, 8);
        const struct smq_packet *heard;
        while ((heard = client_next(server)) == NULL) {
            bed_step(&bed);
        }
        client_send_publish(server, "answer", "!", 0, false, 0);
        bed_calm(&bed);
        client_expect(c, SMQ_SUBACK);
        client_expect_publish(c, "answer", "to itself");
        const struct smq_packet *next = client_next(c);
        bool acked = next->type == SMQ_PUBACK;
        assert_true(acked || span_is(next->publish.payload, "!"));
        assert_int_equal(client_next(c)->type, acked ? SMQ_PUBLISH : SMQ_PUBACK);
        client_expect_none(c);
        bed_stop(&bed);
    }
}

/* The connection ends while its answers wait, in whatever state they are. */
static void a_connection_may_end_before_its_answers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct asker a = {0};
        bed_init(&bed);
        bed.count = 3;
        bed.rng = seed;
        bed_start(&bed);
        a.c = client_connect(&bed, SMQTT_V5, "c", true);
        client_publish(a.c, "k/1", "kept", 1, true);
        bed.slowly = true;
        for (size_t n = chance(40); n != 0; n--) {
            ask(&a);
            bed_step(&bed);
        }
        client_break(a.c);
        bed_calm(&bed);
        for (unsigned i = 0; i < bed.count; i++) {
            assert_true(smq_list_is_empty(&bed.workers[i]->helds) && smq_list_is_empty(&bed.workers[i]->pulls));
            assert_true(smq_list_is_empty(&bed.workers[i]->questions));
        }
        bed_stop(&bed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_the_order_of_requests),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(one_that_waits_for_too_much_may_end),
        cmocka_unit_test(a_publish_waits_for_the_suback_before_it),
        cmocka_unit_test(a_connection_may_end_before_its_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
