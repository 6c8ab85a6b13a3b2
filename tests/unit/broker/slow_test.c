/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribers that do not keep up: who waits for them, for how long, and what is dropped instead. */
#include "broker/durable.h"
#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/route.h"
#include "broker/slow.h"
#include "disk.h"
#include "harness.h"

enum { TIMEOUT_MS = 30000, PAYLOAD = 1000 };

static struct bed bed;

/* A session may have about nine of these messages waiting, behind the one in flight. */
static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    bed.config.max_inflight_messages = 1;
    bed.config.max_output_bytes = 20000;
    return 0;
}

static const char *text_of(unsigned i)
{
    static char text[PAYLOAD + 1];
    memset(text, 'x', PAYLOAD);
    char number[16];
    snprintf(number, sizeof number, "%u ", i);
    memcpy(text, number, strlen(number));
    return text;
}

static void send_many(struct client *pub, const char *topic, uint8_t qos, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        client_send_publish(pub, topic, text_of(i), qos, false, (uint16_t)(i + 1));
    }
}

static void take_many(struct client *sub, const char *topic, uint8_t qos, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        client_take(sub, topic, text_of(i), qos);
    }
}

/* How many acknowledgements came, which must be in order. */
static unsigned count_acks(struct client *pub, enum smq_type type, unsigned from)
{
    const struct smq_packet *pkt;
    unsigned n = 0;
    while ((pkt = client_next(pub)) != NULL) {
        assert_int_equal(pkt->type, type);
        assert_int_equal(pkt->ack.id, from + n + 1);
        assert_true(pkt->ack.reason < 0x80);
        n++;
    }
    return n;
}

static uint64_t dropped(void)
{
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    return stats.publish_dropped;
}

static void a_publisher_waits_until_there_is_room(void **state)
{
    (void)state;
    bed_start(&bed);
    static const enum smqtt_version versions[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5};
    struct client *sub = client_connect(&bed, SMQTT_V311, "sub", true);
    client_subscribe(sub, "t", 2);
    for (size_t i = 0; i < 6; i++) {
        uint8_t qos = (uint8_t)(1 + i % 2);
        enum smq_type type = qos == 1 ? SMQ_PUBACK : SMQ_PUBREC;
        struct client *pub = client_connect(&bed, versions[i / 2], "pub", true);
        send_many(pub, "t", qos, 0, 100);
        unsigned n = count_acks(pub, type, 0);
        assert_true(n > 5 && n < 15);
        take_many(sub, "t", qos, 0, 93);
        assert_int_equal(count_acks(pub, type, n), 0); /* not yet at the low mark */
        take_many(sub, "t", qos, 93, 99);
        assert_int_equal(count_acks(pub, type, n), 100 - n);
        take_many(sub, "t", qos, 99, 100);
        send_many(pub, "t", 1, 100, 101);
        assert_int_equal(count_acks(pub, SMQ_PUBACK, 100), 1); /* as before all this */
        take_many(sub, "t", 1, 100, 101);
        client_disconnect(pub);
    }
    assert_int_equal(dropped(), 0);
    assert_int_equal(smq_map_count(&bed.w->origins), 0);
    bed_stop(&bed);
}

static void nobody_else_waits(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *slow = client_connect(&bed, SMQTT_V5, "slow", true);
    struct client *well = client_connect(&bed, SMQTT_V5, "well", true);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *other = client_connect(&bed, SMQTT_V5, "other", true);
    client_subscribe(slow, "t/slow", 1);
    client_subscribe(well, "t/#", 0);
    send_many(pub, "t/slow", 1, 0, 50);
    assert_true(count_acks(pub, SMQ_PUBACK, 0) < 15);
    take_many(well, "t/slow", 0, 0, 50);
    for (unsigned i = 0; i < 100; i++) {
        client_publish(other, "t/well", "x", 1, false);
        client_take(well, "t/well", "x", 0);
    }
    client_expect_alive(pub);
    client_send_publish(pub, "t/well", "x", 1, false, 900);
    client_take(well, "t/well", "x", 0); /* delivered at once, acknowledged behind the others */
    client_expect_none(pub);
    bed_stop(&bed);
}

static void after_a_while_without_progress_nobody_waits(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_subscribe(sub, "t", 1);
    send_many(pub, "t", 1, 0, 50);
    unsigned n = count_acks(pub, SMQ_PUBACK, 0);
    bed_pass(&bed, TIMEOUT_MS - 1000);
    take_many(sub, "t", 1, 0, 1); /* a sign of life: it counts from here */
    bed_pass(&bed, TIMEOUT_MS - 1000);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, n), 0);
    bed_pass(&bed, 2000);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, n), 50 - n);
    send_many(pub, "t", 1, 50, 60);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, 50), 10);
    assert_int_equal(dropped(), 10);
    take_many(sub, "t", 1, 1, 30); /* progress, but still more waits than should */
    send_many(pub, "t", 1, 60, 61);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, 60), 1);
    assert_int_equal(dropped(), 11);
    take_many(sub, "t", 1, 30, 42); /* it has room again: publishers wait as at first */
    send_many(pub, "t", 1, 61, 101);
    n = count_acks(pub, SMQ_PUBACK, 61);
    assert_true(n < 10);
    take_many(sub, "t", 1, 42, 50);
    take_many(sub, "t", 1, 61, 101);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, 61 + n), 40 - n);
    assert_int_equal(dropped(), 11);
    bed_stop(&bed);
}

static void who_takes_bytes_makes_progress(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_subscribe(sub, "t", 1);
    sub->deaf = true;
    send_many(pub, "t", 1, 0, 50);
    unsigned n = count_acks(pub, SMQ_PUBACK, 0);
    for (unsigned i = 0; i < 10; i++) {
        smq_conn_sent(sub->w, sub->conn, 50, bed.now);
        bed_pass(&bed, TIMEOUT_MS - 1);
    }
    assert_int_equal(count_acks(pub, SMQ_PUBACK, n), 0);
    bed_pass(&bed, 1);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, n), 50 - n);
    bed_stop(&bed);
}

static void who_leaves_is_not_waited_for(void **state)
{
    (void)state;
    bed.config.max_queued_messages = 20;
    bed_start(&bed);
    for (unsigned i = 0; i < 2; i++) {
        struct client *sub = client_connect(&bed, SMQTT_V5, "sub", i == 0);
        struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
        client_subscribe(sub, "t", 1);
        send_many(pub, "t", 1, 0, 50);
        unsigned n = count_acks(pub, SMQ_PUBACK, 0);
        client_break(sub);
        assert_int_equal(count_acks(pub, SMQ_PUBACK, n), 50 - n);
        assert_int_equal(dropped(), 0);
        client_publish(pub, "t", "late", 1, false);
        assert_int_equal(dropped(), i); /* the queue of one who is away counts */
        client_disconnect(pub);
    }
    bed_stop(&bed);
}

static void a_publisher_that_leaves_is_forgotten(void **state)
{
    (void)state;
    bed.count = 1; /* looks inside, or at what is so at once */
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    client_subscribe(sub, "t", 1);
    struct client *first = client_connect(&bed, SMQTT_V5, "first", true);
    send_many(first, "t", 1, 0, 50);
    client_break(first);
    struct client *second = client_connect(&bed, SMQTT_V5, "second", true);
    send_many(second, "t", 1, 50, 60);
    client_expect_none(second);
    take_many(sub, "t", 1, 0, 60);
    assert_int_equal(count_acks(second, SMQ_PUBACK, 50), 10);
    bed_stop(&bed);
}

static void two_that_publish_to_each_other_go_on(void **state)
{
    (void)state;
    bed.config.receive_maximum = 20;
    bed.config.max_output_bytes = 100000;
    bed_start(&bed);
    struct client *a = client_connect(&bed, SMQTT_V311, "a", true);
    struct client *b = client_connect(&bed, SMQTT_V311, "b", true);
    client_subscribe(a, "to/a", 1);
    client_subscribe(b, "to/b", 1);
    /* Both send all they have before they look at what comes. */
    send_many(a, "to/b", 1, 0, 70);
    send_many(b, "to/a", 1, 0, 70);
    unsigned got[2] = {0, 0}, acked[2] = {0, 0};
    struct client *both[2] = {a, b};
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 2; i++) {
            const struct smq_packet *pkt = client_next(both[i]);
            if (pkt != NULL && pkt->type == SMQ_PUBLISH) {
                assert_true(span_is(pkt->publish.payload, text_of(got[i])));
                got[i]++;
                client_send_ack(both[i], SMQ_PUBACK, pkt->publish.id, 0);
            } else if (pkt != NULL) {
                assert_int_equal(pkt->type, SMQ_PUBACK);
                assert_int_equal(pkt->ack.id, ++acked[i]);
            }
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(got[i], 70);
        assert_int_equal(acked[i], 70);
    }
    bed_stop(&bed);
}

static void reading_pauses_for_the_older_versions(void **state)
{
    (void)state;
    bed.config.receive_maximum = 20;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    client_subscribe(sub, "t", 1);
    struct smq_packet pkt = packet_connect(SMQTT_V311, "pub", true);
    pkt.connect.keep_alive = 5;
    struct client *pub = client_connect_pkt(&bed, &pkt);
    send_many(pub, "t", 1, 0, 60);
    unsigned n = count_acks(pub, SMQ_PUBACK, 0);
    assert_true(smq_conn_paused(pub->conn));
    assert_true(pub->kept > 20 * PAYLOAD); /* with the shell */
    bed_pass(&bed, 20000);                 /* its keep-alive does not count meanwhile */
    for (unsigned i = 0; i < 60; i++) {
        client_take(sub, "t", text_of(i), 1);
        client_feed(pub, "", 0); /* as the shell does for one that is dirty */
    }
    assert_false(smq_conn_paused(pub->conn));
    assert_int_equal(count_acks(pub, SMQ_PUBACK, n), 60 - n);
    bed_pass(&bed, 7000);
    assert_non_null(pub->conn);
    bed_pass(&bed, 1000);
    client_expect_closed(pub);
    bed_stop(&bed);
}

static void the_receive_maximum_is_enforced(void **state)
{
    (void)state;
    bed.config.receive_maximum = 20;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    client_subscribe(sub, "t", 2);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
        for (uint16_t id = 500; id < 505; id++) {
            client_send_publish(pub, "elsewhere", "x", 2, false, id); /* open, too */
            client_expect(pub, SMQ_PUBREC);
        }
        send_many(pub, "t", 1, 0, 12);
        unsigned n = count_acks(pub, SMQ_PUBACK, 0);
        send_many(pub, "t", 1, 12, 15 + n);
        client_send_publish(pub, "elsewhere", "x", 2, false, 500); /* again: not one more */
        client_expect_none(pub);
        client_send_publish(pub, "elsewhere", "x", qos, false, 600);
        assert_int_equal(client_expect(pub, SMQ_DISCONNECT)->reasoned.reason, 0x93);
        take_many(sub, "t", 1, 0, 15 + n);
    }
    bed_stop(&bed);
}

static void oldest_or_newest_are_dropped(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool oldest = i % 2 == 1, away = i / 2 == 1;
        setup(NULL);
        bed.config.slow_policy = oldest ? SMQ_SLOW_DROP_OLDEST : SMQ_SLOW_DROP_NEWEST;
        bed.config.max_queued_messages = 10;
        bed_start(&bed);
        struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false);
        struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
        client_subscribe(sub, "t", 1);
        if (away) {
            client_break(sub);
        }
        send_many(pub, "t", 1, 0, 31);
        assert_int_equal(count_acks(pub, SMQ_PUBACK, 0), 31);
        assert_int_equal(dropped(), away ? 21 : 20);
        if (away) {
            sub = client_connect(&bed, SMQTT_V5, "sub", false);
        } else {
            take_many(sub, "t", 1, 0, 1); /* was in flight */
        }
        unsigned from = oldest ? 21 : away ? 0 : 1;
        take_many(sub, "t", 1, from, from + 10);
        client_expect_none(sub);
        bed_stop(&bed);
    }
}

static void bytes_count_for_the_oldest(void **state)
{
    (void)state;
    bed.config.slow_policy = SMQ_SLOW_DROP_OLDEST;
    bed.config.max_queued_bytes = 3500;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_subscribe(sub, "t", 1);
    send_many(pub, "t", 1, 0, 20);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, 0), 20);
    char *large = malloc(4001);
    memset(large, 'y', 4000);
    large[4000] = '\0';
    client_publish(pub, "t", large, 1, false); /* never fits: it pushes nobody out */
    free(large);
    take_many(sub, "t", 1, 0, 1);
    take_many(sub, "t", 1, 17, 20);
    client_expect_none(sub);
    bed_stop(&bed);
}

static void who_is_slow_may_be_disconnected(void **state)
{
    (void)state;
    bed.config.slow_policy = SMQ_SLOW_DISCONNECT;
    bed.config.max_queued_messages = 10;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_subscribe(sub, "t", 1);
    send_many(pub, "t", 1, 0, 11);
    bed_pass(&bed, 0);
    assert_non_null(sub->conn);
    client_drain(sub);
    send_many(pub, "t", 1, 11, 12);
    bed_pass(&bed, 0);
    assert_int_equal(client_expect(sub, SMQ_DISCONNECT)->reasoned.reason, 0x97);
    client_expect_closed(sub);
    assert_int_equal(dropped(), 1);
    bed_stop(&bed);
}

static bool told_on;
static unsigned told_owner, n_told;
static uint64_t told_origin;

static bool tell(struct smq_worker *w, unsigned owner, uint64_t origin, bool on)
{
    (void)w;
    told_owner = owner;
    told_origin = origin;
    told_on = on;
    n_told++;
    return true;
}

/* A message of another worker's client. */
static void route_foreign(uint64_t origin, unsigned i)
{
    struct smq_content content = {
        .topic = smq_span_str("t"), .payload = smq_span_str(text_of(i)), .expires = SMQTT_NEVER, .qos = 1};
    struct smq_routing r;
    smq_routing_init(&r, &content, NULL, true);
    r.origin = origin;
    assert_int_equal(smq_route(bed.w, &r), SMQTT_OK);
    smq_routing_deinit(&r);
    bed_turn(&bed);
}

static void publishers_of_other_workers_are_told(void **state)
{
    (void)state;
    bed.count = 1; /* looks inside, or at what is so at once */
    bed_start(&bed);
    bed.w->tell_hold = tell;
    n_told = 0;
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
    client_subscribe(sub, "t", 1);
    uint64_t origin = UINT64_C(3) << 48 | 77;
    for (unsigned i = 0; i < 30; i++) {
        route_foreign(origin, i);
    }
    assert_int_equal(n_told, 1); /* once, however many came */
    assert_true(told_on && told_owner == 3 && told_origin == origin);
    take_many(sub, "t", 1, 0, 30);
    assert_int_equal(n_told, 2);
    assert_true(!told_on && told_origin == origin);
    bed_stop(&bed);
}

static void others_hold_our_publishers(void **state)
{
    (void)state;
    bed.count = 1; /* looks inside, or at what is so at once */
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    uint64_t origin = smq_origin_of(pub->conn);
    assert_true(origin != 0 && origin == smq_origin_of(pub->conn));
    client_publish(pub, "t", "x", 1, false); /* to be known costs nothing */
    assert_true(smq_origin_hold(bed.w, origin, true));
    assert_true(smq_origin_hold(bed.w, origin, true));
    send_many(pub, "t", 1, 0, 3);
    client_expect_none(pub);
    assert_true(smq_origin_hold(bed.w, origin, false));
    bed_turn(&bed);
    client_expect_none(pub);
    assert_true(smq_origin_hold(bed.w, origin, false));
    bed_turn(&bed);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, 0), 3);
    assert_true(smq_origin_hold(bed.w, origin, false)); /* one too many does no harm */
    client_publish(pub, "t", "x", 1, false);
    client_break(pub);
    assert_false(smq_origin_hold(bed.w, origin, true));
    assert_false(smq_origin_hold(bed.w, UINT64_C(1) << 48 | 1, true)); /* there is no other worker */
    bed_stop(&bed);
}

static void acknowledgements_that_were_held_wait_for_the_store_too(void **state)
{
    (void)state;
    bed.count = 1; /* looks inside */
    struct disk disk;
    disk_init(&disk);
    disk.by_hand = true;
    bed.disk = &disk;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    uint64_t origin = smq_origin_of(pub->conn);
    assert_true(smq_origin_hold(bed.w, origin, true));
    send_many(pub, "t", 1, 0, 3);
    smq_store_put(bed.w, smq_span_str("key"), smq_span_str("value"));
    assert_true(smq_origin_hold(bed.w, origin, false));
    bed_turn(&bed);
    client_expect_none(pub);
    bed_commit(&bed, SIZE_MAX);
    assert_int_equal(count_acks(pub, SMQ_PUBACK, 0), 3);
    bed_stop(&bed);
    disk_free(&disk);
}

static void bytes_in_flight_have_an_end(void **state)
{
    (void)state;
    bed.count = 1; /* looks inside, or at what is so at once */
    bed.config.max_inflight_messages = 0;
    bed.config.max_inflight_bytes = 3500;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_subscribe(sub, "t", 2);
    send_many(pub, "t", 2, 0, 4);
    send_many(pub, "t", 1, 4, 6);
    uint16_t ids[4];
    for (unsigned i = 0; i < 3; i++) {
        ids[i] = client_expect_publish(sub, "t", text_of(i))->id;
    }
    client_expect_none(sub);
    client_send_ack(sub, SMQ_PUBREC, ids[0], 0); /* the message is the client's now */
    client_expect(sub, SMQ_PUBREL);
    client_send_ack(sub, SMQ_PUBCOMP, ids[0], 0);
    ids[3] = client_expect_publish(sub, "t", text_of(3))->id;
    client_expect_none(sub);
    client_break(sub);
    sub = client_connect(&bed, SMQTT_V5, "sub", false);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(client_expect_publish(sub, "t", text_of(i))->id, ids[i]);
    }
    client_expect_none(sub);
    for (unsigned i = 1; i < 4; i++) {
        client_send_ack(sub, SMQ_PUBREC, ids[i], 0x97);
    }
    take_many(sub, "t", 1, 4, 6);
    bed.config.max_inflight_bytes = 10; /* one goes, however large */
    send_many(pub, "t", 2, 6, 8);
    take_many(sub, "t", 2, 6, 8); /* each alone, so that its answers are not mixed with others */
    assert_int_equal(smq_session_find(bed.w, smq_span_str("sub"))->inflight_bytes, 0);
    bed_stop(&bed);
}

static void without_memory_nothing_breaks(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 60; at++) {
        setup(NULL);
        bed_start(&bed);
        struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true);
        struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
        client_subscribe(sub, "t", 1);
        send_many(pub, "t", 1, 0, 8);
        failing_mem_arm(&bed.mem, at);
        send_many(pub, "t", 1, 8, 30);
        client_send_ack(sub, SMQ_PUBACK, 1, 0);
        failing_mem_arm(&bed.mem, 0);
        bed_pass(&bed, 2 * TIMEOUT_MS);
        client_expect_alive(sub->conn != NULL && sub->in.len == 0 ? sub : client_connect(&bed, SMQTT_V5, "new", true));
        bed_stop(&bed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_publisher_waits_until_there_is_room, setup),
        cmocka_unit_test_setup(nobody_else_waits, setup),
        cmocka_unit_test_setup(after_a_while_without_progress_nobody_waits, setup),
        cmocka_unit_test_setup(who_takes_bytes_makes_progress, setup),
        cmocka_unit_test_setup(who_leaves_is_not_waited_for, setup),
        cmocka_unit_test_setup(a_publisher_that_leaves_is_forgotten, setup),
        cmocka_unit_test_setup(two_that_publish_to_each_other_go_on, setup),
        cmocka_unit_test_setup(reading_pauses_for_the_older_versions, setup),
        cmocka_unit_test_setup(the_receive_maximum_is_enforced, setup),
        cmocka_unit_test_setup(oldest_or_newest_are_dropped, setup),
        cmocka_unit_test_setup(bytes_count_for_the_oldest, setup),
        cmocka_unit_test_setup(who_is_slow_may_be_disconnected, setup),
        cmocka_unit_test_setup(publishers_of_other_workers_are_told, setup),
        cmocka_unit_test_setup(others_hold_our_publishers, setup),
        cmocka_unit_test_setup(acknowledgements_that_were_held_wait_for_the_store_too, setup),
        cmocka_unit_test_setup(bytes_in_flight_have_an_end, setup),
        cmocka_unit_test_setup(without_memory_nothing_breaks, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
