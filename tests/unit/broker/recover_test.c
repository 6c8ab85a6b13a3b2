/* SPDX-License-Identifier: Apache-2.0 */
/* A broker is killed, and another one with any number of workers finds itself in what was committed. */
#include <stdlib.h>

#include "lives.h"

static const struct {
    unsigned before, after;
} changes[] = {{1, 1}, {1, 4}, {4, 1}, {2, 3}, {4, 4}, {3, 2}};

/* ------------------------------------------------------------ sessions and what waits for them */

static void queues_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        static const char *const ids[] = {"one", "two", "three", "four", "five"};
        for (size_t k = 0; k < SMQ_ARRAY_LEN(ids); k++) {
            away(ids[k], "a/+", 2);
        }
        struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
        char text[16];
        for (unsigned n = 0; n < 30; n++) {
            snprintf(text, sizeof text, "m%u", n);
            client_publish(pub, "a/b", text, (uint8_t)(1 + n % 2), false);
        }
        restart(changes[i].after);
        assert_int_equal(counts.sessions, 5);
        assert_int_equal(counts.subscriptions, 5);
        assert_int_equal(counts.queued, 150);
        assert_int_equal(counts.dropped, 0);
        for (size_t k = 0; k < SMQ_ARRAY_LEN(ids); k++) {
            struct client *c = connect_present(ids[k], true);
            for (unsigned n = 0; n < 30; n++) {
                snprintf(text, sizeof text, "m%u", n);
                take(c, "a/b", text, (uint8_t)(1 + n % 2));
            }
            taken(c);
        }
        assert_int_equal(rows(SMQ_TABLE_BODY), 0);
        pub = client_connect(&bed, SMQTT_V311, "pub", true);
        client_publish(pub, "a/b", "live", 1, false);
        over();
    }
}

/* Bodies are shared by sessions of one worker; other workers need their own. */
static void workers_change_again_and_again(void **state)
{
    (void)state;
    static const unsigned numbers[] = {4, 1, 3, 2, 4, 4, 1, 2};
    char id[16], text[16];
    first(1);
    for (unsigned k = 0; k < 12; k++) {
        snprintf(id, sizeof id, "s%u", k);
        away(id, "t", 1);
    }
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    for (unsigned n = 0; n < 5; n++) {
        snprintf(text, sizeof text, "m%u", n);
        client_publish(pub, "t", text, 1, false);
    }
    for (unsigned i = 0; i < SMQ_ARRAY_LEN(numbers); i++) {
        hash_key = (uint8_t)i;
        restart(numbers[i]);
        assert_int_equal(counts.queued, (12 - i) * 5);
        assert_true(rows(SMQ_TABLE_BODY) <= 5 * (size_t)numbers[i]);
        snprintf(id, sizeof id, "s%u", i);
        struct client *c = connect_present(id, true);
        for (unsigned n = 0; n < 5; n++) {
            snprintf(text, sizeof text, "m%u", n);
            take(c, "t", text, 1);
        }
        taken(c);
        struct smq_packet bye = {.type = SMQ_DISCONNECT};
        smq_props_clear(&bye.reasoned.props);
        smq_props_set_num(&bye.reasoned.props, SMQ_PROP_SESSION_EXPIRY, 0);
        client_send(c, &bye);
    }
    for (unsigned k = SMQ_ARRAY_LEN(numbers); k < 12; k++) {
        snprintf(id, sizeof id, "s%u", k);
        struct client *c = connect_present(id, true);
        for (unsigned n = 0; n < 5; n++) {
            snprintf(text, sizeof text, "m%u", n);
            take(c, "t", text, 1);
        }
    }
    assert_int_equal(rows(SMQ_TABLE_BODY), 0);
    over();
}

static void what_was_sent_keeps_its_identifier(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        away("other", "#", 2); /* so that there are bodies */
        struct client *c = client_connect(&bed, SMQTT_V5, "sub", false);
        client_subscribe(c, "#", 2);
        struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
        uint16_t ids[4];
        for (unsigned n = 0; n < 4; n++) {
            static const char *const topics[] = {"q1", "q2", "released", "q2/later"};
            client_publish(pub, topics[n], "x", n == 0 ? 1 : 2, false);
            ids[n] = client_expect_publish(c, topics[n], "x")->id;
        }
        client_send_ack(c, SMQ_PUBREC, ids[2], 0);
        assert_int_equal(client_expect(c, SMQ_PUBREL)->ack.id, ids[2]);
        restart(changes[i].after);
        assert_int_equal(counts.in_flight, 4);
        c = connect_present("sub", true);
        const struct smq_publish *p = client_expect_publish(c, "q1", "x");
        assert_true(p->dup && p->qos == 1 && p->id == ids[0]); /* [MQTT-4.4.0-1] */
        p = client_expect_publish(c, "q2", "x");
        assert_true(p->dup && p->qos == 2 && p->id == ids[1]);
        assert_int_equal(client_expect(c, SMQ_PUBREL)->ack.id, ids[2]);
        p = client_expect_publish(c, "q2/later", "x");
        assert_true(p->dup && p->qos == 2 && p->id == ids[3]);
        client_send_ack(c, SMQ_PUBACK, ids[0], 0);
        client_send_ack(c, SMQ_PUBCOMP, ids[2], 0);
        client_send_ack(c, SMQ_PUBREC, ids[1], 0);
        client_expect(c, SMQ_PUBREL);
        client_send_ack(c, SMQ_PUBCOMP, ids[1], 0);
        restart(changes[i].before);
        assert_int_equal(counts.in_flight, 1);
        c = connect_present("sub", true);
        assert_int_equal(client_expect_publish(c, "q2/later", "x")->id, ids[3]);
        client_expect_none(c);
        over();
    }
}

/* More than the window: some wait, are sent after a first start, and again after the next. */
static void what_waited_and_was_sent(void **state)
{
    (void)state;
    char text[16];
    first(2);
    away("sub", "t", 2);
    away("other", "t", 2);
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    for (unsigned n = 0; n < 40; n++) {
        snprintf(text, sizeof text, "m%u", n);
        client_publish(pub, "t", text, 2, false);
    }
    struct client *c = connect_present("sub", true);
    uint16_t ids[20];
    for (unsigned n = 0; n < 20; n++) {
        snprintf(text, sizeof text, "m%u", n);
        ids[n] = client_expect_publish(c, "t", text)->id;
    }
    restart(3);
    assert_int_equal(counts.in_flight, 20);
    assert_int_equal(counts.queued, 60);
    c = connect_present("sub", true);
    for (unsigned n = 0; n < 20; n++) {
        snprintf(text, sizeof text, "m%u", n);
        const struct smq_publish *p = client_expect_publish(c, "t", text);
        assert_true(p->dup && p->id == ids[n]);
    }
    for (unsigned n = 0; n < 20; n++) {
        client_send_ack(c, SMQ_PUBREC, ids[n], 0);
    }
    restart(1);
    assert_int_equal(counts.in_flight, 20);
    c = connect_present("sub", true);
    for (unsigned n = 0; n < 20; n++) {
        assert_int_equal(client_expect(c, SMQ_PUBREL)->ack.id, ids[n]);
        client_send_ack(c, SMQ_PUBCOMP, ids[n], 0);
    }
    for (unsigned n = 20; n < 40; n++) {
        snprintf(text, sizeof text, "m%u", n);
        take(c, "t", text, 2);
    }
    taken(c);
    over();
}

static size_t out_rows(const char *id)
{
    return disk_count(&disk, SMQ_TABLE_SESSION, disk_sid(&disk, id), SMQ_ROW_OUT);
}

/* What a row of its own says of one that waited goes with its acknowledgement, also after a new start. */
static void no_row_of_what_is_acknowledged_stays(void **state)
{
    (void)state;
    first(1);
    away("sub", "t", 2);
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    client_publish(pub, "t", "one", 1, false);
    client_publish(pub, "t", "two", 2, false);
    struct client *c = connect_present("sub", true);
    client_expect_publish(c, "t", "one");
    client_expect_publish(c, "t", "two");
    assert_int_equal(out_rows("sub"), 2);
    restart(2);
    c = connect_present("sub", true);
    take(c, "t", "one", 1);
    take(c, "t", "two", 2);
    taken(c);
    assert_int_equal(out_rows("sub"), 0);
    over();
}

/* Of a message after PUBREC only its number is left: no later message gets that. */
static void numbers_of_messages_go_on(void **state)
{
    (void)state;
    first(1);
    struct client *c = client_connect(&bed, SMQTT_V5, "sub", false);
    client_subscribe(c, "t", 2);
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    client_publish(pub, "t", "released", 2, false);
    client_send_ack(c, SMQ_PUBREC, client_expect_publish(c, "t", "released")->id, 0);
    restart(1);
    pub = client_connect(&bed, SMQTT_V311, "pub", true);
    client_publish(pub, "t", "next", 2, false);
    restart(1);
    assert_int_equal(counts.dropped, 0);
    c = connect_present("sub", true);
    client_send_ack(c, SMQ_PUBCOMP, client_expect(c, SMQ_PUBREL)->ack.id, 0);
    take(c, "t", "next", 2);
    taken(c);
    over();
}

static void a_message_of_qos_2_is_taken_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        away("sub", "t", 2);
        struct client *pub = client_connect(&bed, SMQTT_V5, "pub", false);
        client_send_publish(pub, "t", "once", 2, false, 7);
        client_expect(pub, SMQ_PUBREC);
        client_send_publish(pub, "t", "done", 2, false, 8);
        client_expect(pub, SMQ_PUBREC);
        client_send_ack(pub, SMQ_PUBREL, 8, 0);
        client_expect(pub, SMQ_PUBCOMP);
        restart(changes[i].after);
        pub = connect_present("pub", true);
        client_send_publish(pub, "t", "once", 2, false, 7);
        client_expect(pub, SMQ_PUBREC);
        client_send_ack(pub, SMQ_PUBREL, 7, 0);
        assert_int_equal(client_expect(pub, SMQ_PUBCOMP)->ack.reason, 0);
        client_send_publish(pub, "t", "new", 2, false, 8);
        client_expect(pub, SMQ_PUBREC);
        struct client *c = connect_present("sub", true);
        take(c, "t", "once", 2);
        take(c, "t", "done", 2);
        take(c, "t", "new", 2);
        taken(c);
        over();
    }
}

/* ------------------------------------------------------------ time */

static void wills_fire_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        away("watch", "will", 1);
        struct smq_packet pkt = with_will("now", 1000, 0);
        client_connect_pkt(&bed, &pkt);
        pkt = with_will("late", 1000, 60);
        client_connect_pkt(&bed, &pkt);
        pkt = with_will("left", 1000, 0);
        client_disconnect(client_connect_pkt(&bed, &pkt));
        pkt = with_will("was", 1000, 30); /* its connection is lost already */
        client_break(client_connect_pkt(&bed, &pkt));
        bed_pass(&bed, 20000);
        restart(changes[i].after);
        assert_int_equal(counts.wills, 1);
        struct client *c = connect_present("watch", true);
        take(c, "will", "now", 1);
        taken(c);
        bed_pass(&bed, 9980);
        client_expect_none(c);
        bed_pass(&bed, 100);
        take(c, "will", "was", 1);
        bed_pass(&bed, 49800);
        client_expect_none(c);
        bed_pass(&bed, 200);
        take(c, "will", "late", 1);
        bed_pass(&bed, 2000000);
        client_expect_none(c);
        over();
    }
}

static void a_will_waits_over_two_starts(void **state)
{
    (void)state;
    first(2);
    away("watch", "will", 1);
    struct smq_packet pkt = with_will("late", 1000, 60);
    client_connect_pkt(&bed, &pkt);
    restart_after(1, 1000); /* from here on it is away */
    bed_pass(&bed, 20000);
    restart_after(3, 39000);
    struct client *c = connect_present("watch", true);
    bed_pass(&bed, 900);
    client_expect_none(c);
    bed_pass(&bed, 200);
    take(c, "will", "late", 1);
    restart(3);
    c = connect_present("watch", true);
    client_expect_none(c);
    over();
}

static void a_will_whose_time_came_meanwhile(void **state)
{
    (void)state;
    first(2);
    away("watch", "will", 1);
    struct smq_packet pkt = with_will("passed", 1000, 30);
    client_break(client_connect_pkt(&bed, &pkt));
    restart_after(3, 60000);
    assert_int_equal(counts.wills, 1);
    struct client *c = connect_present("watch", true);
    take(c, "will", "passed", 1);
    taken(c);
    over();
}

static void who_is_back_in_time_has_no_will(void **state)
{
    (void)state;
    first(1);
    away("watch", "will", 1);
    struct smq_packet pkt = with_will("late", 1000, 60);
    client_connect_pkt(&bed, &pkt);
    restart(2);
    connect_present("late", true);
    restart(2);
    bed_pass(&bed, 100000);
    struct client *c = connect_present("watch", true);
    client_expect_none(c);
    over();
}

static void sessions_expire_meanwhile(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        away("watch", "will", 1);
        struct smq_packet pkt = with_will("short", 100, 1000);
        client_break(client_connect_pkt(&bed, &pkt)); /* its will is to come with its end [MQTT-3.1.3-9] */
        pkt = with_will("online", 100, 1000);
        client_connect_pkt(&bed, &pkt);
        uint64_t sid = disk_sid(&disk, "short");
        bed_pass(&bed, 50000);
        restart_after(changes[i].after, 60000);
        assert_int_equal(counts.ended, 1);
        expect_gone(sid);
        struct client *c = connect_present("watch", true);
        take(c, "will", "short", 1);
        client_disconnect(connect_present("short", false));
        bed_pass(&bed, 99000); /* who was online is away since the start */
        client_expect_none(c);
        bed_pass(&bed, 1200);
        take(c, "will", "online", 1);
        connect_present("online", false);
        over();
    }
}

static void time_goes_on_from_where_it_was(void **state)
{
    (void)state;
    first(1);
    struct smq_packet pkt = with_will("c", 100, 0);
    client_disconnect(client_connect_pkt(&bed, &pkt));
    for (unsigned n = 0; n < 4; n++) {
        restart_after(1 + n % 3, 20000);
        assert_int_equal(counts.sessions, 1);
    }
    bed_pass(&bed, 19000);
    assert_int_not_equal(disk_sid(&disk, "c"), 0);
    bed_pass(&bed, 1000);
    assert_int_equal(disk_sid(&disk, "c"), 0);
    over();
}

static void publish_expiring(struct client *c, const char *topic, const char *text, uint32_t s, bool retain)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.qos = 1;
    pkt.publish.id = 9;
    pkt.publish.retain = retain;
    pkt.publish.topic = smq_span_str(topic);
    pkt.publish.payload = smq_span_str(text);
    smq_props_clear(&pkt.publish.props);
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_MESSAGE_EXPIRY, s);
    client_send(c, &pkt);
    assert_true(client_expect(c, SMQ_PUBACK)->ack.reason < 0x80);
}

static void messages_expire_meanwhile(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        away("sub", "t/#", 1);
        away("sub2", "t/#", 1);
        struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
        publish_expiring(pub, "t/a", "short", 10, false);
        publish_expiring(pub, "t/b", "long", 100, false);
        publish_expiring(pub, "r/a", "short", 10, true);
        publish_expiring(pub, "r/b", "long", 100, true);
        restart_after(changes[i].after, 30000);
        assert_int_equal(counts.expired, 3);
        assert_int_equal(counts.queued, 2);
        assert_int_equal(counts.retained, 1);
        struct client *c = connect_present("sub", true);
        const struct smq_publish *p = client_expect_publish(c, "t/b", "long");
        uint32_t left = smq_props_num(&p->props, SMQ_PROP_MESSAGE_EXPIRY, 0);
        assert_true(left >= 69 && left <= 70); /* [MQTT-3.3.2-6] */
        client_expect_none(c);
        c = client_connect(&bed, SMQTT_V5, "new", true);
        client_subscribe(c, "r/#", 1);
        take(c, "r/b", "long", 1);
        taken(c);
        over();
    }
}

/* ------------------------------------------------------------ shared subscriptions */

static void groups_form_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        char id[16], text[16];
        for (unsigned k = 0; k < 4; k++) {
            snprintf(id, sizeof id, "m%u", k);
            away(id, "$share/g/t", 1);
        }
        struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
        for (unsigned n = 0; n < 8; n++) {
            snprintf(text, sizeof text, "%u", n);
            client_publish(pub, "t", text, 1, false);
        }
        restart(changes[i].after);
        assert_int_equal(counts.subscriptions, 4);
        assert_int_equal(counts.queued, 8);
        pub = client_connect(&bed, SMQTT_V311, "pub", true);
        for (unsigned n = 8; n < 16; n++) {
            snprintf(text, sizeof text, "%u", n);
            client_publish(pub, "t", text, 1, false);
        }
        bool seen[16] = {false};
        unsigned n_seen = 0;
        for (unsigned k = 0; k < 4; k++) {
            snprintf(id, sizeof id, "m%u", k);
            struct client *c = connect_present(id, true);
            const struct smq_packet *pkt;
            while ((pkt = client_next(c)) != NULL) {
                assert_int_equal(pkt->type, SMQ_PUBLISH);
                unsigned n = (unsigned)strtoul((const char *)pkt->publish.payload.data, NULL, 10);
                assert_false(seen[n]);
                seen[n] = true;
                n_seen++;
                client_send_ack(c, SMQ_PUBACK, pkt->publish.id, 0);
            }
        }
        assert_int_equal(n_seen, 16);
        over();
    }
}

/* The member does not live on: what it was to get, others get [MQTT-4.8.2-5]. */
static void messages_of_a_member_that_is_gone(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        struct smq_packet pkt = packet_connect(SMQTT_V5, "short", false);
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 10);
        struct client *c = client_connect_pkt(&bed, &pkt);
        client_subscribe(c, "$share/g/t", 2);
        away("both", "t", 2);
        away("both too", "t", 2);
        struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
        client_publish(pub, "t", "sent 1", 1, false);
        client_publish(pub, "t", "sent 2", 2, false);
        client_expect_publish(c, "t", "sent 1");
        client_expect_publish(c, "t", "sent 2");
        client_break(c);
        client_publish(pub, "t", "waits 2", 2, false);
        away("long", "$share/g/t", 2);
        restart_after(changes[i].after, 20000);
        assert_int_equal(counts.ended, 1);
        c = connect_present("long", true);
        bool one = false, two = false;
        const struct smq_packet *got;
        while ((got = client_next(c)) != NULL) {
            assert_int_equal(got->type, SMQ_PUBLISH);
            one = one || span_is(got->publish.payload, "sent 1");
            two = two || span_is(got->publish.payload, "waits 2");
            assert_false(span_is(got->publish.payload, "sent 2")); /* [MQTT-4.8.2-4] */
        }
        assert_true(one && two);
        over();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_come_back),
        cmocka_unit_test(workers_change_again_and_again),
        cmocka_unit_test(what_was_sent_keeps_its_identifier),
        cmocka_unit_test(what_waited_and_was_sent),
        cmocka_unit_test(no_row_of_what_is_acknowledged_stays),
        cmocka_unit_test(numbers_of_messages_go_on),
        cmocka_unit_test(a_message_of_qos_2_is_taken_once),
        cmocka_unit_test(wills_fire_once),
        cmocka_unit_test(a_will_waits_over_two_starts),
        cmocka_unit_test(a_will_whose_time_came_meanwhile),
        cmocka_unit_test(who_is_back_in_time_has_no_will),
        cmocka_unit_test(sessions_expire_meanwhile),
        cmocka_unit_test(time_goes_on_from_where_it_was),
        cmocka_unit_test(messages_expire_meanwhile),
        cmocka_unit_test(groups_form_again),
        cmocka_unit_test(messages_of_a_member_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
