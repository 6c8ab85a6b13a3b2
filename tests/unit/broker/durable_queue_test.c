/* SPDX-License-Identifier: Apache-2.0 */
/* What of the messages for a stored session is in the store, and when. */
#include "stored.h"

/* The first row of this kind. */
static smq_span first_row(enum smq_session_row kind, struct smq_key_parts *parts)
{
    for (size_t i = 0; i < disk.n; i++) {
        smq_span key, value;
        disk_row(&disk, i, &key, &value);
        assert_true(smq_key_read(key, parts));
        if (parts->table == SMQ_TABLE_SESSION && parts->kind == kind) {
            return value;
        }
    }
    fail_msg("there is no row of kind %u", (unsigned)kind);
    return (smq_span){NULL, 0};
}

static struct smq_row_queue first_queued(void)
{
    struct smq_key_parts parts;
    struct smq_row_queue row;
    assert_true(smq_row_read_queue(first_row(SMQ_ROW_QUEUE, &parts), bed.now, &row));
    return row;
}

static struct smq_row_out first_out(uint16_t *id)
{
    struct smq_key_parts parts;
    struct smq_row_out row;
    assert_true(smq_row_read_out(first_row(SMQ_ROW_OUT, &parts), &row));
    *id = parts.id;
    return row;
}

/* ------------------------------------------------------------ at once */

static void qos1_at_once(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    disk.by_hand = true;
    client_send_publish(pub, "t/a", "x", 1, false, 3);
    const struct smq_publish *p = client_expect_publish(sub, "t/a", "x"); /* it waits for nothing */
    uint16_t id = p->id;
    stored_commit();
    struct smq_row_queue row = first_queued();
    assert_int_equal(row.packet, id);
    assert_int_equal(row.qos, 1);
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 0);
    client_send_ack(sub, SMQ_PUBACK, id, 0);
    stored_commit();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

static void qos2_at_once(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    disk.by_hand = true;
    client_send_publish(pub, "t/a", "x", 2, false, 3);
    client_expect_none(sub); /* its identifier first */
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    stored_commit();
    uint16_t id = client_expect_publish(sub, "t/a", "x")->id;
    assert_int_equal(first_queued().packet, id);
    client_send_ack(sub, SMQ_PUBREC, id, 0);
    client_expect_none(sub);
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 1);
    stored_commit();
    assert_int_equal(client_expect(sub, SMQ_PUBREL)->ack.id, id);
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    uint16_t out_id;
    assert_int_equal(first_out(&out_id).state, SMQ_OUT_WAIT_PUBCOMP);
    assert_int_equal(out_id, id);
    client_send_ack(sub, SMQ_PUBREC, id, 0); /* again, before anything new is written: it is safe already */
    assert_int_equal(client_expect(sub, SMQ_PUBREL)->ack.id, id);
    client_send_ack(sub, SMQ_PUBCOMP, id, 0);
    stored_commit();
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

/* Who does not outlive its connection has no rows, and waits for nothing. */
static void not_for_clean_sessions(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true), *pub = stored_publisher();
    client_subscribe(sub, "t/#", 2);
    disk.by_hand = true;
    client_send_publish(pub, "t/a", "x", 2, false, 3);
    uint16_t id = client_expect_publish(sub, "t/a", "x")->id;
    client_send_ack(sub, SMQ_PUBREC, id, 0);
    client_expect(sub, SMQ_PUBREL);
    bed_commit(&bed, SIZE_MAX);
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

static void refused(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    client_publish(pub, "t/a", "x", 1, false);
    client_publish(pub, "t/a", "y", 2, false);
    stored_check();
    uint16_t x = client_expect_publish(sub, "t/a", "x")->id;
    uint16_t y = client_expect_publish(sub, "t/a", "y")->id;
    client_send_ack(sub, SMQ_PUBACK, x, 0x97);
    client_send_ack(sub, SMQ_PUBREC, y, 0x80);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

static void too_large(void **state)
{
    (void)state;
    char large[300];
    memset(large, 'l', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    bed_start(&bed);
    struct client *sub = stored_connect_small("sub", 200), *pub = stored_publisher();
    client_subscribe(sub, "t/#", 2);
    client_publish(pub, "t/a", large, 1, false); /* at once */
    client_publish(pub, "t/a", large, 2, false);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    client_disconnect(sub);
    client_publish(pub, "t/a", large, 2, false); /* from the queue */
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 1);
    sub = stored_connect_small("sub", 200);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 0);
    client_disconnect(sub);
    sub = stored_back("sub");
    client_publish(pub, "t/a", large, 2, false); /* in flight, to one that takes less when it is back */
    client_break(sub);
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 1);
    stored_connect_small("sub", 200);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ queued, sent later, sent again */

static void queued_and_sent_later(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    client_disconnect(sub);
    client_publish(pub, "t/a", "one", 1, false);
    client_publish(pub, "t/a", "two", 2, false);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 2);
    assert_int_equal(first_queued().packet, 0);
    disk.by_hand = true;
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    client_send(c, &pkt);
    stored_commit();
    client_expect(c, SMQ_CONNACK);
    uint16_t one = client_expect_publish(c, "t/a", "one")->id;
    uint16_t two = client_expect_publish(c, "t/a", "two")->id;
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 2);
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 2);
    client_send_ack(c, SMQ_PUBACK, one, 0);
    client_send_ack(c, SMQ_PUBREC, two, 0);
    client_expect_none(c);
    stored_commit();
    client_expect(c, SMQ_PUBREL);
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 1);
    client_send_ack(c, SMQ_PUBCOMP, two, 0);
    stored_commit();
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

/* The gate of QoS 2 holds what comes from the queue of one that is connected, too. */
static void qos2_from_the_queue_waits(void **state)
{
    (void)state;
    bed.config.max_inflight_messages = 1;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    client_publish(pub, "t/a", "one", 1, false);
    client_publish(pub, "t/a", "two", 2, false);
    stored_check();
    disk.by_hand = true;
    uint16_t one = client_expect_publish(sub, "t/a", "one")->id;
    client_send_ack(sub, SMQ_PUBACK, one, 0);
    client_expect_none(sub);
    stored_commit();
    client_expect_publish(sub, "t/a", "two");
    bed_stop(&bed);
}

static void resent_with_the_same_rows(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    client_publish(pub, "t/a", "one", 1, false);
    client_publish(pub, "t/a", "two", 2, false);
    client_publish(pub, "t/a", "three", 2, false);
    client_expect_publish(sub, "t/a", "one");
    uint16_t two = client_expect_publish(sub, "t/a", "two")->id;
    uint16_t three = client_expect_publish(sub, "t/a", "three")->id;
    client_send_ack(sub, SMQ_PUBREC, three, 0);
    client_expect(sub, SMQ_PUBREL);
    size_t n = disk.n;
    struct client *again = stored_back("sub"); /* takes over */
    stored_check();
    assert_int_equal(disk.n, n);
    assert_true(client_expect_publish(again, "t/a", "one")->dup);
    assert_int_equal(client_expect_publish(again, "t/a", "two")->id, two);
    assert_int_equal(client_expect(again, SMQ_PUBREL)->ack.id, three);
    client_break(again);
    stored_check();
    again = stored_back("sub");
    client_take(again, "t/a", "one", 1);
    client_expect_publish(again, "t/a", "two");
    assert_int_equal(client_expect(again, SMQ_PUBREL)->ack.id, three);
    client_send_ack(again, SMQ_PUBCOMP, three, 0);
    client_send_ack(again, SMQ_PUBREC, two, 0);
    assert_int_equal(client_expect(again, SMQ_PUBREL)->ack.id, two);
    client_send_ack(again, SMQ_PUBCOMP, two, 0);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE) + stored_rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

static struct client *back_with_window(const char *id, uint16_t receive_max)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, receive_max);
    return client_connect_pkt(&bed, &pkt);
}

/* A client may answer what it has from before, and was not sent again yet. */
static void answered_before_it_is_sent_again(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    stored_publish(pub, 0, 2, 1);
    sub = stored_back("sub");
    uint16_t one = client_expect_publish(sub, "t/a", "0")->id;
    uint16_t two = client_expect_publish(sub, "t/a", "1")->id;
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 2);
    client_break(sub);
    sub = back_with_window("sub", 1);
    client_expect_publish(sub, "t/a", "0");
    client_expect_none(sub);
    client_send_ack(sub, SMQ_PUBACK, two, 0);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 1);
    client_send_ack(sub, SMQ_PUBACK, one, 0);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

static void dropped_oldest_and_newest(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        stored_setup(NULL);
        bed.config.slow_policy = i == 0 ? SMQ_SLOW_DROP_OLDEST : SMQ_SLOW_DROP_NEWEST;
        bed.config.max_queued_messages = 100;
        bed_start(&bed);
        struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
        client_disconnect(sub);
        stored_publish(pub, 0, 130, 1);
        stored_check();
        assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 100);
        sub = stored_back("sub");
        for (unsigned k = i == 0 ? 30 : 0, n = 0; n < 100; n++) {
            client_take(sub, "t/a", stored_text(k + n), 1);
        }
        client_expect_none(sub);
        stored_check();
        assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
        bed_stop(&bed);
        disk_free(&disk);
    }
}

static void bytes_of_what_is_paged_count(void **state)
{
    (void)state;
    bed.config.max_queued_messages = 0;
    bed.config.max_queued_bytes = 20000;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    stored_publish(pub, 0, 1000, 1);
    stored_check();
    assert_true(stored_session("sub")->queue.bytes <= 20000);
    assert_true(stored_session("sub")->queue.bytes > 19000);
    assert_true(stored_session("sub")->queue.n_paged > 100);
    bed_stop(&bed);
}

static void the_end_of_a_session(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    client_publish(pub, "t/a", "in flight", 2, false);
    client_break(sub);
    stored_publish(pub, 0, 200, 1);
    stored_check();
    assert_true(stored_session("sub")->queue.n_paged != 0);
    client_connect(&bed, SMQTT_V5, "sub", true);
    stored_check();
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

static void shared_subscriptions(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *one = client_connect(&bed, SMQTT_V5, "one", false);
    struct client *two = client_connect(&bed, SMQTT_V5, "two", false), *pub = stored_publisher();
    client_subscribe(one, "$share/g/t/#", 1);
    client_disconnect(one);
    stored_publish(pub, 0, 100, 1); /* for the only member, which is away */
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 100);
    assert_true(span_is(first_queued().share, "$share/g/t/#"));
    assert_int_equal(stored_session("one")->queue.n_paged, 0);
    client_subscribe(two, "$share/g/t/#", 1);
    one = client_connect(&bed, SMQTT_V5, "one", true); /* it ends */
    stored_check();
    for (unsigned i = 0; i < 100; i++) {
        client_take(two, "t/a", stored_text(i), 1);
    }
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

/* What a member was never sent goes to the others with its row, in one commit. */
static void given_back(void **state)
{
    (void)state;
    bed.config.max_inflight_messages = 1;
    bed_start(&bed);
    struct client *one = client_connect(&bed, SMQTT_V5, "one", false);
    struct client *two = client_connect(&bed, SMQTT_V5, "two", false), *pub = stored_publisher();
    client_subscribe(one, "$share/g/t/#", 1);
    client_subscribe(two, "$share/g/t/#", 1);
    stored_publish(pub, 0, 10, 1);
    stored_check();
    assert_true(stored_session("one")->queue.n != 0);
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 10);
    client_disconnect(one);
    stored_check();
    assert_int_equal(stored_session("one")->queue.n, 0);
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 10);
    unsigned n = 0;
    const struct smq_packet *pkt;
    while ((pkt = client_next(two)) != NULL) {
        client_send_ack(two, SMQ_PUBACK, pkt->publish.id, 0);
        n++;
    }
    stored_check();
    assert_int_equal(n, 9); /* one was sent to the other, which may have it */
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 1);
    bed_stop(&bed);
}

/* Messages of QoS 0 have no rows; they stay in memory, and in their place. */
static void qos0_in_between(void **state)
{
    (void)state;
    bed.config.queue_qos0_messages = true;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    for (unsigned i = 0; i < 500; i++) {
        client_publish(pub, "t/a", stored_text(i), i % 3 == 0 ? 0 : 1, false);
    }
    stored_check();
    sub = stored_back("sub");
    for (unsigned i = 0; i < 500; i++) {
        client_take(sub, "t/a", stored_text(i), i % 3 == 0 ? 0 : 1);
    }
    client_expect_none(sub);
    stored_check();
    bed_stop(&bed);
}

/* ------------------------------------------------------------ bodies */

static struct smq_body *only_body(void)
{
    assert_int_equal(disk_count(&disk, SMQ_TABLE_BODY, 0, 0), 1);
    struct smq_list *at = smq_list_first(&bed.w->bodies);
    assert_non_null(at);
    return SMQ_CONTAINER_OF(at, struct smq_body, of_worker);
}

static void one_body_for_many(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *one = stored_subscriber("one", 1), *two = stored_subscriber("two", 2), *pub = stored_publisher();
    client_disconnect(two);
    client_publish(pub, "t/a", "x", 2, false);
    stored_check();
    struct smq_body *body = only_body();
    assert_int_equal(body->rows, 2);
    assert_int_equal(first_queued().mid, body->mid);
    client_take(one, "t/a", "x", 1);
    stored_check();
    assert_int_equal(body->rows, 1);
    assert_non_null(body->msg);
    two = stored_back("two");
    client_take(two, "t/a", "x", 2);
    stored_check();
    assert_int_equal(disk_count(&disk, SMQ_TABLE_BODY, 0, 0), 0);
    bed_stop(&bed);
}

/* A message whose first receiver cannot take it is there for the next, whichever comes first. */
static void a_body_outlives_its_first_row(void **state)
{
    (void)state;
    char large[300];
    memset(large, 'l', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    for (int i = 0; i < 2; i++) {
        stored_setup(NULL);
        bed_start(&bed);
        struct client *subs[2];
        for (int k = 0; k < 2; k++) {
            const char *id = k == 0 ? "one" : "two";
            subs[k] = k == i ? stored_connect_small(id, 200) : stored_back(id);
            client_subscribe(subs[k], "t/#", 1);
        }
        struct client *pub = stored_publisher();
        client_publish(pub, "t/a", large, 1, false);
        stored_check();
        assert_int_equal(only_body()->rows, 1);
        client_take(subs[1 - i], "t/a", large, 1);
        stored_check();
        bed_stop(&bed);
        disk_free(&disk);
    }
}

/* The same messages wait for several, of whom one is fast, and the others come back one after the other. */
static void paged_bodies(void **state)
{
    (void)state;
    enum { MANY = 400 };
    static const char *const ids[] = {"a", "b", "c"};
    bed_start(&bed);
    struct client *fast = stored_subscriber("fast", 1), *pub = stored_publisher();
    for (size_t k = 0; k < SMQ_ARRAY_LEN(ids); k++) {
        client_disconnect(stored_subscriber(ids[k], 2));
    }
    for (unsigned i = 0; i < MANY; i++) {
        client_publish(pub, "t/a", stored_text(i), 1, false);
        client_take(fast, "t/a", stored_text(i), 1);
    }
    stored_check();
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_true(stats.memory_bytes < SMQ_QUEUE_IN_MEMORY * 128); /* one copy of the first ones */
    struct client *subs[SMQ_ARRAY_LEN(ids)];
    for (size_t k = 0; k < SMQ_ARRAY_LEN(ids); k++) {
        subs[k] = stored_back(ids[k]);
    }
    for (unsigned i = 0; i < MANY; i++) {
        for (size_t k = 0; k < SMQ_ARRAY_LEN(ids); k++) {
            unsigned at = k == 0 ? i : i / 2; /* one goes ahead of the others */
            if (k == 0 || i % 2 == 0) {
                client_take(subs[k], "t/a", stored_text(at), 1);
            }
        }
    }
    stored_check();
    client_connect(&bed, SMQTT_V5, ids[1], true); /* one of them ends */
    stored_check();
    for (unsigned i = MANY / 2; i < MANY; i++) {
        client_take(subs[2], "t/a", stored_text(i), 1);
    }
    stored_check();
    assert_int_equal(disk_count(&disk, SMQ_TABLE_BODY, 0, 0), 0);
    bed_stop(&bed);
}

/* What the broker tells of itself has no rows. */
static void messages_of_the_broker(void **state)
{
    (void)state;
    bed.config.sys_interval_s = 10;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false);
    client_subscribe(sub, "$SYS/broker/uptime", 2);
    client_disconnect(sub);
    bed_pass(&bed, 25000);
    assert_true(stored_session("sub")->queue.n != 0);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    sub = stored_back("sub");
    stored_check();
    const struct smq_packet *pkt = client_expect(sub, SMQ_PUBLISH);
    uint8_t qos = pkt->publish.qos;
    client_send_ack(sub, qos == 2 ? SMQ_PUBREC : SMQ_PUBACK, pkt->publish.id, 0);
    stored_check();
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, stored_setup, stored_teardown)
        TEST(qos1_at_once),
        TEST(qos2_at_once),
        TEST(not_for_clean_sessions),
        TEST(refused),
        TEST(too_large),
        TEST(queued_and_sent_later),
        TEST(qos2_from_the_queue_waits),
        TEST(resent_with_the_same_rows),
        TEST(answered_before_it_is_sent_again),
        TEST(given_back),
        TEST(dropped_oldest_and_newest),
        TEST(bytes_of_what_is_paged_count),
        TEST(the_end_of_a_session),
        TEST(shared_subscriptions),
        TEST(qos0_in_between),
        TEST(one_body_for_many),
        TEST(a_body_outlives_its_first_row),
        TEST(paged_bodies),
        TEST(messages_of_the_broker),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
