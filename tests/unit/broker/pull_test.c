/* SPDX-License-Identifier: Apache-2.0 */
/* What several workers owe each other in a certain order of events; each test plays the turns itself. */
#include "harness.h"

#include "broker/internal.h"

static struct bed bed;

static void start(unsigned count)
{
    bed_init(&bed);
    bed.count = count;
    bed_start(&bed);
}

/* A name that belongs to the worker. */
static const char *name_of(unsigned worker, const char *prefix)
{
    static char names[8][24];
    static unsigned next;
    char *name = names[next++ % 8];
    for (unsigned i = 0;; i++) {
        snprintf(name, sizeof names[0], "%s%u", prefix, i);
        if (smq_worker_owner(bed.w, smq_span_str(name)) == worker) {
            return name;
        }
    }
}

static struct client *client_on(unsigned worker, const char *prefix)
{
    struct client *c = client_connect(&bed, SMQTT_V5, name_of(worker, prefix), true);
    assert_ptr_equal(c->w, bed.workers[worker]);
    return c;
}

static void send_subscribe(struct client *c, const char *filter, uint8_t options)
{
    struct smq_filter f = {smq_span_str(filter), options};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 77;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = &f;
    smq_props_clear(&pkt.subscribe.props);
    client_send(c, &pkt);
    client_push(c);
}

static bool end_round(unsigned worker)
{
    bool waits = smq_worker_end_round(bed.workers[worker]);
    smq_worker_settle(bed.workers[worker], bed.now);
    return waits;
}

static void settle(unsigned worker)
{
    while (end_round(worker)) {
    }
}

/* The keeper answers only when it has read what the asker knows that it was sent: else a subscriber that came after a
 * live message, which others got, would see the one before. */
static void the_keeper_reads_before_it_answers(void **state)
{
    (void)state;
    start(3);
    struct client *pub = client_on(0, "p"), *first = client_on(2, "first"), *second = client_on(2, "second");
    const char *topic = name_of(1, "topic");
    client_publish(pub, topic, "old", 1, true);
    client_subscribe(first, "#", 0);
    client_take(first, topic, "old", 0);
    bed.slowly = true;
    client_send_publish(pub, topic, "new", 1, true, 5);
    client_push(pub);
    assert_true(bed_send_batches(&bed, 0, 2)); /* that to the keeper is still on its way */
    assert_true(bed_read_batch(&bed, 0, 2));
    bed_serve(&bed, 2);
    client_expect_publish(first, topic, "new");
    send_subscribe(second, "#", 0);
    assert_true(bed_send_batches(&bed, 2, 1));
    assert_true(bed_read_batch(&bed, 2, 1));
    settle(1);
    assert_false(bed_send_batches(&bed, 1, 2)); /* no answer */
    assert_true(bed_send_batches(&bed, 0, 1));
    assert_true(bed_read_batch(&bed, 0, 1));
    settle(1);
    bed_calm(&bed);
    client_expect(second, SMQ_SUBACK);
    client_expect_publish(second, topic, "new");
    client_expect_none(second);
    bed_stop(&bed);
}

/* A question does not overtake what others said before it: what stands in a ring that the round has passed by already
 * is read in the next one, and the answer waits for that, but no longer. */
static void an_answer_waits_for_a_whole_round(void **state)
{
    (void)state;
    start(3);
    struct client *pub = client_on(0, "p"), *first = client_on(2, "first"), *second = client_on(2, "second");
    const char *topic = name_of(1, "topic");
    client_subscribe(first, topic, 0);
    bed.slowly = true;
    client_send_publish(pub, topic, "new", 1, true, 5);
    client_push(pub);
    assert_true(bed_send_batches(&bed, 0, 1));
    assert_true(bed_send_batches(&bed, 0, 2));
    bed_serve(&bed, 0);
    client_expect(pub, SMQ_PUBACK);
    send_subscribe(second, topic, 0);
    bed_serve(&bed, 2);
    client_expect(second, SMQ_SUBACK);
    assert_true(bed_send_batches(&bed, 2, 1));
    assert_true(bed_read_batch(&bed, 2, 1)); /* the ring of 0 was looked at before that */
    assert_true(end_round(1));
    assert_false(bed_send_batches(&bed, 1, 2));
    assert_true(bed_read_batch(&bed, 0, 1));
    assert_false(end_round(1));
    assert_true(bed_send_batches(&bed, 1, 2));
    assert_true(bed_read_batch(&bed, 1, 2));
    bed_serve(&bed, 2);
    assert_true(client_expect_publish(second, topic, "new")->retain);
    bed_stop(&bed);
}

/* A message that was published just before its worker heard of the subscription is on its way to its keeper, and does
 * not come live: the keeper waits for it before it answers. */
static void what_does_not_come_live_is_waited_for(void **state)
{
    (void)state;
    start(3);
    struct client *pub = client_on(0, "p"), *c = client_on(2, "c");
    const char *topic = name_of(1, "topic");
    client_publish(pub, topic, "old", 1, true);
    bed.slowly = true;
    client_send_publish(pub, topic, "new", 1, true, 5);
    client_push(pub);
    send_subscribe(c, topic, 0);
    for (unsigned other = 0; other < 2; other++) {
        assert_true(bed_send_batches(&bed, 2, other));
        assert_true(bed_read_batch(&bed, 2, other));
        assert_true(bed_send_batches(&bed, other, 2)); /* that of 0 to the keeper is still on its way */
        assert_true(bed_read_batch(&bed, other, 2));
    }
    bed_serve(&bed, 2);
    client_expect(c, SMQ_SUBACK);
    assert_true(bed_send_batches(&bed, 2, 1));
    assert_true(bed_read_batch(&bed, 2, 1));
    settle(1);
    assert_false(bed_send_batches(&bed, 1, 2)); /* no answer */
    bed_calm(&bed);
    assert_true(client_expect_publish(c, topic, "new")->retain);
    client_expect_none(c);
    bed_stop(&bed);
}

/* The keeper may know of a live message before the subscriber's worker does: it does not come as a retained one in
 * front of itself, and of those that were published before it. */
static void what_comes_live_is_not_pulled(void **state)
{
    (void)state;
    start(3);
    struct client *pub = client_on(0, "p"), *first = client_on(2, "first"), *second = client_on(2, "second");
    const char *topic = name_of(1, "topic");
    client_publish(pub, topic, "old", 1, true);
    client_subscribe(first, topic, 0);
    bed.slowly = true;
    send_subscribe(second, topic, 0);
    bed_serve(&bed, 2);
    client_expect(second, SMQ_SUBACK);
    assert_true(bed_send_batches(&bed, 2, 1));
    assert_true(bed_read_batch(&bed, 2, 1));
    client_send_publish(pub, topic, "one", 1, true, 5);
    client_send_publish(pub, topic, "two", 1, true, 6);
    client_push(pub);
    assert_true(bed_send_batches(&bed, 0, 1)); /* that to the subscriber is still on its way */
    assert_true(bed_read_batch(&bed, 0, 1));
    settle(1);
    assert_true(bed_send_batches(&bed, 1, 2));
    assert_true(bed_read_batch(&bed, 1, 2));
    bed_serve(&bed, 2);
    client_expect_none(second);
    bed_calm(&bed);
    assert_false(client_expect_publish(second, topic, "one")->retain);
    assert_false(client_expect_publish(second, topic, "two")->retain);
    client_expect_none(second);
    bed_stop(&bed);
}

/* No other worker says anything, and the subscription is not the first of its filter: there is no mail at all. */
static void subscribing_again_asks_again(void **state)
{
    (void)state;
    for (unsigned keeper = 0; keeper < 3; keeper++) {
        start(3);
        struct client *c = client_on(2, "c");
        const char *topic = name_of(keeper, "topic");
        client_publish(c, topic, "kept", 0, true);
        for (unsigned i = 0; i < 3; i++) {
            client_subscribe(c, topic, 0);
            assert_true(client_expect_publish(c, topic, "kept")->retain);
            client_expect_none(c);
        }
        bed_stop(&bed);
    }
}

/* The same where the subscriber's own worker is the keeper, and the filter is known to all already. */
static void own_messages_wait_for_the_rings(void **state)
{
    (void)state;
    start(2);
    struct client *pub = client_on(0, "p"), *first = client_on(1, "first"), *second = client_on(1, "second");
    const char *topic = name_of(1, "topic");
    client_publish(pub, topic, "old", 1, true);
    client_subscribe(first, topic, 0);
    client_take(first, topic, "old", 0);
    bed.slowly = true;
    client_send_publish(pub, topic, "new", 1, true, 5);
    client_push(pub);
    assert_true(bed_send_batches(&bed, 0, 1));
    bed_serve(&bed, 0);
    assert_int_equal(client_expect(pub, SMQ_PUBACK)->ack.id, 5); /* so it is true for everybody from now on */
    send_subscribe(second, topic, 0);
    bed_serve(&bed, 1);
    client_expect(second, SMQ_SUBACK);
    client_expect_none(second);
    bed_calm(&bed);
    const struct smq_publish *p = client_expect_publish(second, topic, "new");
    assert_false(p->retain); /* live: its subscription was there when the note was read; and not once more */
    client_expect_none(second);
    bed_stop(&bed);
}

/* A live message holds up what is older only for subscriptions that were there when it came. */
static void a_later_subscription_gets_the_message_again(void **state)
{
    (void)state;
    start(1);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "c", true);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, 1);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_publish(pub, "a/1", "one", 1, true);
    client_publish(pub, "a/2", "two", 1, true);
    struct client *c = client_connect_pkt(&bed, &pkt);
    client_subscribe(c, "a/#", 1);
    uint16_t id = client_expect(c, SMQ_PUBLISH)->publish.id; /* the window is full: the other one waits */
    client_expect_none(c);
    bool first_is_one = span_is(c->pkt.publish.payload, "one");
    client_publish(pub, first_is_one ? "a/2" : "a/1", "newer", 1, true);
    client_subscribe(c, first_is_one ? "a/2" : "a/1", 1);
    client_send_ack(c, SMQ_PUBACK, id, 0);
    const struct smq_publish *p = client_expect_publish(c, first_is_one ? "a/2" : "a/1", "newer");
    assert_false(p->retain);
    client_send_ack(c, SMQ_PUBACK, p->id, 0);
    p = client_expect_publish(c, first_is_one ? "a/2" : "a/1", "newer");
    assert_true(p->retain);
    client_send_ack(c, SMQ_PUBACK, p->id, 0);
    client_expect_none(c);
    bed_stop(&bed);
}

/* Many retained messages: none is lost for want of room, and no turn looks at more than its share. */
static void a_long_answer_comes_in_slices(void **state)
{
    (void)state;
    enum { MANY = 25000 };
    for (unsigned count = 1; count <= 3; count += 2) {
        start(count);
        bed.config.max_output_bytes = 20000;
        struct client *pub = client_on(0, "p"), *sub = client_on(count - 1, "s");
        char topic[24];
        for (unsigned i = 0; i < MANY; i++) {
            snprintf(topic, sizeof topic, "t/%u", i);
            client_send_publish(pub, topic, "x", (uint8_t)(i % 2), true, (uint16_t)(i % 2 != 0 ? 1 : 0));
        }
        client_subscribe(sub, "t/+", 1);
        for (unsigned i = 0; i < 20; i++) {
            bed_pass(&bed, 10);
        }
        unsigned n = 0;
        const struct smq_packet *pkt;
        while ((pkt = client_next(sub)) != NULL) {
            if (pkt->type == SMQ_PUBLISH) {
                n++;
                if (pkt->publish.qos == 1) {
                    client_send_ack(sub, SMQ_PUBACK, pkt->publish.id, 0);
                }
            }
            bed_pass(&bed, 0);
        }
        assert_int_equal(n, MANY);
        bed_stop(&bed);
    }
}

/* A subscriber that does not keep up makes a publisher of another worker wait. */
static void publishers_of_other_workers_wait(void **state)
{
    (void)state;
    start(2);
    bed.config.max_queued_messages = 10;
    bed.config.max_inflight_messages = 1;
    struct client *pub = client_on(0, "p"), *sub = client_on(1, "s");
    client_subscribe(sub, "t", 1);
    unsigned acks = 0, taken = 0;
    const struct smq_packet *pkt;
    for (unsigned i = 1; i <= 100; i++) {
        client_send_publish(pub, "t", "x", 1, false, (uint16_t)i);
    }
    while ((pkt = client_next(pub)) != NULL) {
        acks += pkt->type == SMQ_PUBACK;
    }
    assert_true(acks >= 5 && acks < 50);
    while ((pkt = client_next(sub)) != NULL) {
        client_send_ack(sub, SMQ_PUBACK, pkt->publish.id, 0);
        taken++;
    }
    while ((pkt = client_next(pub)) != NULL) {
        acks += pkt->type == SMQ_PUBACK;
    }
    assert_int_equal(acks, 100);
    assert_int_equal(taken, 100);
    bed_stop(&bed);
}

/* While a peer has no room no PUBLISH is taken, and everything else is. */
static void a_full_peer_stops_publishers(void **state)
{
    (void)state;
    start(2);
    struct smq_packet pkt = packet_connect(SMQTT_V5, name_of(0, "c"), true);
    pkt.connect.keep_alive = 10;
    struct client *c = client_connect_pkt(&bed, &pkt), *other = client_on(0, "other");
    smq_worker_set_peer_full(bed.workers[0], 1, true);
    client_send_publish(c, "t", "x", 1, false, 1);
    client_expect_none(c);
    assert_true(smq_conn_paused(c->conn));
    client_expect_alive(other);
    for (unsigned i = 0; i < 40; i++) { /* longer than its keep-alive: it cannot be heard, which is not its fault */
        bed_pass(&bed, 1000);
        client_expect_alive(other);
    }
    assert_non_null(c->conn);
    smq_worker_set_peer_full(bed.workers[0], 1, false);
    bed_turn(&bed);
    assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.id, 1);
    client_expect_alive(c);
    bed_stop(&bed);
}

/* Each allocation fails once: nothing is corrupt, and nothing is left. */
/* It ended while it was not read because of a full peer, and what it is to be told has not left: nothing may be set for
 * it any more, because its memory goes with its last byte. */
static void a_connection_that_is_over_is_not_woken(void **state)
{
    (void)state;
    start(2);
    struct smq_packet pkt = packet_connect(SMQTT_V5, name_of(0, "pub"), true);
    pkt.connect.keep_alive = 10;
    struct client *old = client_connect_pkt(&bed, &pkt);
    smq_worker_set_peer_full(bed.workers[0], 1, true);
    client_send_publish(old, "a", "text", 0, false, 0);
    assert_true(old->conn->stalled);
    smq_conn_kick(old->conn, 0x8E, "taken over");
    assert_int_equal(old->conn->state, SMQ_CONN_OVER);
    smq_worker_set_peer_full(bed.workers[0], 1, false);
    assert_false(smq_wheel_is_set(&old->conn->timer.node));
    bed_turn(&bed);
    bed_pass(&bed, 100000);
    bed_stop(&bed);
}

static void without_memory_nothing_breaks(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 400; nth++) {
        start(2);
        struct client *a = client_on(0, "a"), *b = client_on(1, "b");
        failing_mem_arm(&bed.mem, nth);
        for (unsigned i = 0; i < 3; i++) {
            struct client *c = i % 2 ? a : b, *d = i % 2 ? b : a;
            const char *filter = i == 0 ? "x/+" : i == 1 ? "$share/g/x/#" : "#";
            struct smq_filter f = {smq_span_str(filter), 1};
            struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
            pkt.subscribe.id = 7;
            pkt.subscribe.n = 1;
            pkt.subscribe.filters = &f;
            smq_props_clear(&pkt.subscribe.props);
            client_send(c, &pkt);
            client_send_publish(d, "x/1", "text", 1, true, 1);
            client_send_publish(d, "x/2", "text", 0, true, 0);
        }
        bool failed = failing_mem_has_failed(&bed.mem);
        failing_mem_arm(&bed.mem, 0);
        bed_turn(&bed);
        bed_pass(&bed, 100);
        bed_stop(&bed);
        if (!failed) {
            return;
        }
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keeper_reads_before_it_answers),
        cmocka_unit_test(an_answer_waits_for_a_whole_round),
        cmocka_unit_test(what_does_not_come_live_is_waited_for),
        cmocka_unit_test(what_comes_live_is_not_pulled),
        cmocka_unit_test(subscribing_again_asks_again),
        cmocka_unit_test(own_messages_wait_for_the_rings),
        cmocka_unit_test(a_later_subscription_gets_the_message_again),
        cmocka_unit_test(a_long_answer_comes_in_slices),
        cmocka_unit_test(publishers_of_other_workers_wait),
        cmocka_unit_test(a_full_peer_stops_publishers),
        cmocka_unit_test(a_connection_that_is_over_is_not_woken),
        cmocka_unit_test(without_memory_nothing_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
