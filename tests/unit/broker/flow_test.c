/* SPDX-License-Identifier: Apache-2.0 */
/* QoS 1 and 2 over lost connections, full windows and full queues. */
#include "harness.h"

static struct bed bed;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

static void publish_many(struct client *pub, const char *topic, uint8_t qos, unsigned from, unsigned to)
{
    char text[16];
    for (unsigned i = from; i < to; i++) {
        snprintf(text, sizeof text, "%u", i);
        client_publish(pub, topic, text, qos, false);
    }
}

static void take_many(struct client *sub, const char *topic, uint8_t qos, unsigned from, unsigned to)
{
    char text[16];
    for (unsigned i = from; i < to; i++) {
        snprintf(text, sizeof text, "%u", i);
        client_take(sub, topic, text, qos);
    }
}

static void qos2_from_the_client_is_taken_once(void **state)
{
    (void)state;
    bed_start(&bed);
    static const enum smqtt_version versions[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5};
    struct client *sub = client_connect(&bed, SMQTT_V311, "sub", true);
    client_subscribe(sub, "t", 0);
    for (size_t i = 0; i < 3; i++) {
        struct client *pub = client_connect(&bed, versions[i], "pub", false);
        client_send_publish(pub, "t", "x", 2, false, 7);
        client_expect(pub, SMQ_PUBREC);
        client_take(sub, "t", "x", 0);
        client_send_publish(pub, "t", "x", 2, false, 7);
        client_expect(pub, SMQ_PUBREC);
        client_break(pub); /* and over a new connection */
        pub = client_connect(&bed, versions[i], "pub", false);
        client_send_publish(pub, "t", "x", 2, false, 7);
        client_expect(pub, SMQ_PUBREC);
        client_expect_none(sub);
        client_send_ack(pub, SMQ_PUBREL, 7, 0);
        assert_int_equal(client_expect(pub, SMQ_PUBCOMP)->ack.reason, 0);
        client_send_ack(pub, SMQ_PUBREL, 7, 0);
        assert_int_equal(client_expect(pub, SMQ_PUBCOMP)->ack.reason, versions[i] == SMQTT_V5 ? 0x92 : 0);
        client_send_publish(pub, "t", "y", 2, false, 7); /* the identifier is free again */
        client_expect(pub, SMQ_PUBREC);
        client_take(sub, "t", "y", 0);
        client_break(pub);
        struct client *end = client_connect(&bed, versions[i], "pub", true);
        client_disconnect(end);
    }
    bed_stop(&bed);
}

static void unanswered_messages_come_again_in_order(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false);
    client_subscribe(sub, "t", 2);
    publish_many(pub, "t", 1, 0, 2);
    publish_many(pub, "t", 2, 2, 4);
    uint16_t ids[4];
    for (unsigned i = 0; i < 4; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        const struct smq_publish *p = client_expect_publish(sub, "t", text);
        assert_false(p->dup);
        ids[i] = p->id;
    }
    client_send_ack(sub, SMQ_PUBREC, ids[2], 0);
    client_expect(sub, SMQ_PUBREL);
    client_break(sub);
    publish_many(pub, "t", 1, 4, 5);
    sub = client_connect(&bed, SMQTT_V5, "sub", false);
    for (unsigned i = 0; i < 2; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        const struct smq_publish *p = client_expect_publish(sub, "t", text);
        assert_true(p->dup);
        assert_int_equal(p->id, ids[i]);
    }
    assert_int_equal(client_expect(sub, SMQ_PUBREL)->ack.id, ids[2]);
    const struct smq_publish *p = client_expect_publish(sub, "t", "3");
    assert_true(p->dup && p->qos == 2 && p->id == ids[3]);
    p = client_expect_publish(sub, "t", "4");
    assert_false(p->dup);
    assert_true(p->id != ids[0] && p->id != ids[3]);
    bed_stop(&bed);
}

static void never_more_in_flight_than_the_client_takes(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, 3);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 100);
    struct client *sub = client_connect_pkt(&bed, &pkt);
    client_subscribe(sub, "t", 2);
    publish_many(pub, "t", 2, 0, 10);
    for (unsigned i = 0; i < 3; i++) {
        client_expect(sub, SMQ_PUBLISH);
    }
    client_expect_none(sub);
    client_break(sub);
    /* It comes back and takes one only. */
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, 1);
    sub = client_connect_pkt(&bed, &pkt);
    for (unsigned i = 0; i < 10; i++) {
        char text[16];
        snprintf(text, sizeof text, "%u", i);
        const struct smq_publish *p = client_expect_publish(sub, "t", text);
        assert_int_equal(p->dup, i < 3);
        uint16_t id = p->id;
        client_expect_none(sub);
        client_send_ack(sub, SMQ_PUBREC, id, 0);
        client_expect(sub, SMQ_PUBREL);
        client_send_ack(sub, SMQ_PUBCOMP, id, 0);
    }
    client_expect_none(sub);
    bed_stop(&bed);
}

static void answers_before_the_second_sending(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false);
    client_subscribe(sub, "t", 2);
    publish_many(pub, "t", 1, 0, 2);
    publish_many(pub, "t", 2, 2, 3);
    uint16_t ids[3];
    for (unsigned i = 0; i < 3; i++) {
        ids[i] = client_expect(sub, SMQ_PUBLISH)->publish.id;
    }
    client_break(sub);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, 1);
    sub = client_connect_pkt(&bed, &pkt);
    client_expect_publish(sub, "t", "0");
    client_send_ack(sub, SMQ_PUBREC, ids[2], 0); /* it has them from before */
    client_expect(sub, SMQ_PUBREL);
    client_send_ack(sub, SMQ_PUBACK, ids[1], 0);
    client_send_ack(sub, SMQ_PUBCOMP, ids[2], 0);
    client_send_ack(sub, SMQ_PUBACK, ids[0], 0);
    client_expect_none(sub);
    publish_many(pub, "t", 1, 7, 8);
    client_take(sub, "t", "7", 1);
    bed_stop(&bed);
}

static void a_refused_message_frees_its_place(void **state)
{
    (void)state;
    bed.config.max_inflight_messages = 1;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    client_subscribe(sub, "t", 2);
    publish_many(pub, "t", 2, 0, 2);
    client_send_ack(sub, SMQ_PUBREC, client_expect_publish(sub, "t", "0")->id, 0x97);
    client_take(sub, "t", "1", 2);
    /* An identifier that nobody knows, and an answer of the wrong kind. */
    client_send_ack(sub, SMQ_PUBREC, 4242, 0);
    assert_int_equal(client_expect(sub, SMQ_PUBREL)->ack.reason, 0x92);
    client_send_ack(sub, SMQ_PUBACK, 4242, 0);
    client_send_ack(sub, SMQ_PUBCOMP, 4242, 0);
    client_expect_none(sub);
    publish_many(pub, "t", 2, 5, 6);
    client_send_ack(sub, SMQ_PUBACK, client_expect_publish(sub, "t", "5")->id, 0);
    assert_int_equal(client_expect(sub, SMQ_DISCONNECT)->reasoned.reason, 0x82);
    bed_stop(&bed);
}

static void a_burst_for_one_who_reads_is_kept_whole(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    struct client *sub = client_connect(&bed, SMQTT_V311, "sub", true);
    client_subscribe(sub, "t", 1);
    publish_many(pub, "t", 1, 0, 2000);
    take_many(sub, "t", 1, 0, 2000);
    client_expect_none(sub);
    bed_stop(&bed);
}

static void a_queue_has_an_end(void **state)
{
    (void)state;
    bed.config.max_queued_messages = 10;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false);
    client_subscribe(sub, "t", 1);
    client_break(sub);
    publish_many(pub, "t", 1, 0, 25);
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_int_equal(stats.publish_dropped, 15);
    assert_int_equal(stats.queued_messages, 10);
    sub = client_connect(&bed, SMQTT_V5, "sub", false);
    take_many(sub, "t", 1, 0, 10); /* the newest were dropped */
    client_expect_none(sub);
    bed_stats(&bed, &stats);
    assert_int_equal(stats.queued_messages, 0);
    assert_int_equal(stats.memory_bytes, 0);
    bed_stop(&bed);
}

static void who_does_not_read_is_bounded(void **state)
{
    (void)state;
    bed.config.max_output_bytes = 10000;
    bed.config.max_queued_messages = 5;
    bed.config.slow_policy = SMQ_SLOW_DROP_NEWEST;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    struct client *well = client_connect(&bed, SMQTT_V5, "well", true);
    client_subscribe(sub, "t", 1);
    client_subscribe(well, "t", 0);
    char *text = malloc(1001);
    memset(text, 'x', 1000);
    text[1000] = '\0';
    sub->deaf = true;
    for (unsigned i = 0; i < 200; i++) {
        client_publish(pub, "t", text, (uint8_t)(i % 2), false);
        client_take(well, "t", text, 0);
    }
    free(text);
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_true(stats.memory_bytes < 60000);
    /* It asks and asks and does not read the answers: it is no longer listened to. */
    struct smq_packet ping = {.type = SMQ_PINGREQ};
    for (unsigned i = 0; i < 20000; i++) {
        client_send(sub, &ping);
    }
    assert_true(smq_conn_paused(sub->conn));
    bed_pass(&bed, 100000); /* what it could not say is not held against it */
    assert_non_null(sub->conn);
    sub->deaf = false;
    client_send(sub, &ping); /* not taken; but the transport is ready now */
    struct smqtt_span spans[8];
    while (smq_conn_output(sub->conn, spans, 8) != 0) {
        smq_conn_sent(sub->w, sub->conn, spans[0].len, bed.now);
    }
    assert_false(smq_conn_paused(sub->conn));
    client_expect_alive(well);
    bed_stop(&bed);
}

static void who_takes_bytes_is_alive(void **state)
{
    (void)state;
    bed.config.max_output_bytes = 1000;
    bed_start(&bed);
    struct smq_packet pkt = packet_connect(SMQTT_V311, "slow", true);
    pkt.connect.keep_alive = 10;
    struct client *slow = client_connect_pkt(&bed, &pkt);
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    client_subscribe(slow, "t", 1);
    slow->deaf = true;
    char text[10000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    client_publish(pub, "t", text, 1, false);
    unsigned rounds = 0;
    for (; smq_conn_paused(slow->conn); rounds++) { /* some bytes in ten seconds, while it cannot be heard */
        bed_pass(&bed, 10000);
        assert_non_null(slow->conn);
        smq_conn_sent(slow->w, slow->conn, 1000, bed.now);
    }
    assert_true(rounds > 5);
    bed_pass(&bed, 15001);
    client_expect_closed(slow);
    bed_stop(&bed);
}

static void memory_has_an_end(void **state)
{
    (void)state;
    bed.count = 1; /* near the limit each worker has a part of it */
    bed.config.memory_limit = 20000;
    bed.config.max_queued_messages = 0;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *old = client_connect(&bed, SMQTT_V311, "old", true);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false);
    client_subscribe(sub, "t", 2);
    client_break(sub);
    unsigned taken = 0;
    for (unsigned i = 1; i <= 1000; i++) {
        client_send_publish(pub, "t", "some text", (uint8_t)(1 + i % 2), false, (uint16_t)i);
        uint8_t reason = client_expect(pub, i % 2 == 0 ? SMQ_PUBACK : SMQ_PUBREC)->ack.reason;
        taken += reason == 0;
        assert_true(reason == 0 || reason == 0x97);
    }
    assert_true(taken > 100 && taken < 500);
    for (unsigned i = 0; i < 2; i++) { /* refused, so that it was not begun */
        client_send_publish(pub, "t", "some text", 2, false, 2002);
        assert_int_equal(client_expect(pub, SMQ_PUBREC)->ack.reason, 0x97);
    }
    client_send_publish(pub, "r", "some text", 1, true, 1);
    assert_int_equal(client_expect(pub, SMQ_PUBACK)->ack.reason, 0x97);
    client_send_publish(old, "t", "some text", 1, false, 1); /* 3.x cannot be told otherwise */
    client_expect_closed(old);
    client_send_publish(pub, "elsewhere", "some text", 1, false, 1);
    assert_int_equal(client_expect(pub, SMQ_PUBACK)->ack.reason, 0x10);
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_true(stats.memory_bytes <= 20000);
    bed_stop(&bed);
}

static void sessions_and_filters_need_memory_too(void **state)
{
    (void)state;
    bed.count = 1; /* near the limit each worker has a part of it */
    bed.config.memory_limit = 20000;
    bed_start(&bed);
    char name[16];
    unsigned n = 0, subscribed = 0;
    for (;; n++) {
        snprintf(name, sizeof name, "s%u", n);
        struct smq_packet pkt = packet_connect(n % 2 == 0 ? SMQTT_V5 : SMQTT_V311, name, true);
        struct client *c = client_open(&bed, pkt.connect.version);
        client_send(c, &pkt);
        uint8_t reason = client_expect(c, SMQ_CONNACK)->connack.reason;
        if (reason != 0) {
            assert_int_equal(reason, n % 2 == 0 ? 0x97 : 3);
            break;
        }
        assert_true(n < 60);
    }
    assert_true(n > 20);
    client_break(&bed.clients[0]);
    struct client *c = &bed.clients[2];
    for (;; subscribed++) {
        snprintf(name, sizeof name, "t%u", subscribed);
        struct smq_filter f = {smq_span_str(name), 0};
        struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
        pkt.subscribe.id = 1;
        pkt.subscribe.n = 1;
        pkt.subscribe.filters = &f;
        smq_props_clear(&pkt.subscribe.props);
        client_send(c, &pkt);
        uint8_t code = client_expect(c, SMQ_SUBACK)->suback.codes.data[0];
        if (code != 0) {
            assert_int_equal(code, 0x97);
            break;
        }
        assert_true(subscribed < 10);
    }
    assert_true(subscribed > 0);
    client_subscribe(c, "t0", 0); /* one that is there needs no more */
    bed_stop(&bed);
}

static void open_qos2_identifiers_are_bounded(void **state)
{
    (void)state;
    bed.config.receive_maximum = 50;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "x", true);
    for (uint16_t id = 1; id <= 50; id++) {
        client_send_publish(c, "t", "x", 2, false, id);
        client_expect(c, SMQ_PUBREC);
    }
    client_send_publish(c, "t", "x", 2, false, 51);
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, 0x93);
    client_expect_closed(c);
    bed_stop(&bed);
}

static void all_identifiers_in_flight(void **state)
{
    (void)state;
    bed.config.max_inflight_messages = 0;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    struct client *sub = client_connect(&bed, SMQTT_V311, "sub", true);
    client_subscribe(sub, "t", 1);
    for (unsigned i = 0; i < 65540; i++) {
        client_publish(pub, "t", "x", 1, false);
    }
    for (unsigned i = 1; i <= 65535; i++) {
        assert_int_equal(client_expect_publish(sub, "t", "x")->id, i);
    }
    client_expect_none(sub);
    for (unsigned i = 1; i <= 5; i++) {
        client_send_ack(sub, SMQ_PUBACK, (uint16_t)i, 0);
        assert_int_equal(client_expect_publish(sub, "t", "x")->id, i);
    }
    bed_stop(&bed);
}

static void qos0_waits_only_when_told(void **state)
{
    (void)state;
    bed.config.queue_qos0_messages = true;
    bed.config.upgrade_outgoing_qos = true;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    struct client *sub = client_connect(&bed, SMQTT_V311, "sub", false);
    client_subscribe(sub, "t0", 0);
    client_subscribe(sub, "t2", 2);
    client_break(sub);
    client_publish(pub, "t0", "a", 0, false);
    client_publish(pub, "t2", "b", 0, false);
    sub = client_connect(&bed, SMQTT_V311, "sub", false);
    client_take(sub, "t0", "a", 0);
    client_take(sub, "t2", "b", 2);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(qos2_from_the_client_is_taken_once, setup),
        cmocka_unit_test_setup(unanswered_messages_come_again_in_order, setup),
        cmocka_unit_test_setup(never_more_in_flight_than_the_client_takes, setup),
        cmocka_unit_test_setup(answers_before_the_second_sending, setup),
        cmocka_unit_test_setup(a_refused_message_frees_its_place, setup),
        cmocka_unit_test_setup(a_burst_for_one_who_reads_is_kept_whole, setup),
        cmocka_unit_test_setup(a_queue_has_an_end, setup),
        cmocka_unit_test_setup(who_does_not_read_is_bounded, setup),
        cmocka_unit_test_setup(who_takes_bytes_is_alive, setup),
        cmocka_unit_test_setup(memory_has_an_end, setup),
        cmocka_unit_test_setup(sessions_and_filters_need_memory_too, setup),
        cmocka_unit_test_setup(open_qos2_identifiers_are_bounded, setup),
        cmocka_unit_test_setup(all_identifiers_in_flight, setup),
        cmocka_unit_test_setup(qos0_waits_only_when_told, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
