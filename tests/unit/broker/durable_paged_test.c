/* SPDX-License-Identifier: Apache-2.0 */
/* Queues that are longer than memory, and what becomes of them. */
#include "stored.h"

/* ------------------------------------------------------------ longer than memory */

static void ten_thousand(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    bed.config.max_queued_messages = 0;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    client_disconnect(sub);
    size_t live = bed.mem.live;
    stored_publish(pub, 0, MANY, 1);
    const struct smq_queue *q = &stored_session("sub")->queue;
    assert_int_equal(q->n, MANY);
    assert_true(q->n - q->n_paged <= SMQ_QUEUE_IN_MEMORY);
    assert_true(bed.mem.live - live < 2 * SMQ_QUEUE_IN_MEMORY + 10);
    stored_check();
    sub = stored_back("sub");
    for (unsigned i = 0; i < MANY; i++) {
        client_take(sub, "t/a", stored_text(i), 1);
        assert_true(q->n - q->n_paged <= 2 * SMQ_QUEUE_ASKED);
        if (i % 1000 == 0) {
            stored_check();
        }
    }
    client_expect_none(sub);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE) + stored_rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

/* What comes while the queue is read from the disk goes behind it. */
static void what_comes_meanwhile(void **state)
{
    (void)state;
    bed.config.max_queued_messages = 0;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 2), *pub = stored_publisher();
    client_disconnect(sub);
    stored_publish(pub, 0, 300, 1);
    sub = stored_back("sub");
    for (unsigned i = 0; i < 600; i++) {
        client_publish(pub, "t/a", stored_text(300 + i), 1, false);
        client_take(sub, "t/a", stored_text(i), 1);
    }
    stored_check();
    for (unsigned i = 600; i < 900; i++) {
        client_take(sub, "t/a", stored_text(i), 1);
    }
    client_expect_none(sub);
    stored_check();
    bed_stop(&bed);
}

/* One that takes its messages, slowly, has them in memory; when it goes away they are let go. */
static void who_goes_away_lets_go(void **state)
{
    (void)state;
    bed.config.max_inflight_messages = 1;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    stored_publish(pub, 0, 500, 1);
    const struct smq_queue *q = &stored_session("sub")->queue;
    assert_int_equal(q->n, 499);
    assert_int_equal(q->n_paged, 0);
    client_break(sub);
    assert_int_equal(q->n_paged, 499 - SMQ_QUEUE_IN_MEMORY);
    stored_check();
    sub = stored_back("sub");
    for (unsigned i = 0; i < 500; i++) {
        client_take(sub, "t/a", stored_text(i), 1);
    }
    stored_check();
    bed_stop(&bed);
}

/* Large messages count by their bytes. */
static void large_messages(void **state)
{
    (void)state;
    enum { LARGE = 200000 };
    char *text = malloc(LARGE + 1);
    memset(text, 'x', LARGE);
    text[LARGE] = '\0';
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    for (char i = 0; i < 40; i++) {
        text[0] = (char)('0' + i);
        client_publish(pub, "t/a", text, 1, false);
    }
    const struct smq_queue *q = &stored_session("sub")->queue;
    assert_int_equal(q->n - q->n_paged, SMQ_QUEUE_BYTES_IN_MEMORY / LARGE);
    stored_check();
    sub = stored_back("sub");
    for (char i = 0; i < 40; i++) {
        text[0] = (char)('0' + i);
        client_take(sub, "t/a", text, 1);
        assert_true(q->n - q->n_paged <= 2 * SMQ_QUEUE_BYTES_IN_MEMORY / LARGE + 2);
    }
    stored_check();
    free(text);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ an answer that comes late */

enum { LONG = 1000 };

/* So many wait in the store only, and the session is back and waits for the answer to its second question. */
static struct client *asks(struct client *pub, unsigned n)
{
    struct client *sub = stored_subscriber("sub", 1);
    client_disconnect(sub);
    stored_publish(pub, 0, n, 1);
    smq_paged_away(bed.w, stored_session("sub"));
    disk.by_hand = true;
    sub = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    client_send(sub, &pkt);
    stored_commit();
    client_expect(sub, SMQ_CONNACK);
    for (unsigned i = 0; stored_session("sub")->stored->asked == 0; i++) {
        client_take(sub, "t/a", stored_text(i), 1);
    }
    assert_int_not_equal(disk.n_waiting, 0);
    return sub;
}

static void the_session_ends_before(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = stored_publisher();
    asks(pub, LONG);
    struct client *sub = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", true);
    client_send(sub, &pkt);
    stored_commit();
    client_expect(sub, SMQ_CONNACK);
    client_expect_none(sub);
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

static void the_client_leaves_before(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = stored_publisher();
    struct client *sub = asks(pub, LONG);
    client_break(sub);
    stored_commit();
    const struct smq_queue *q = &stored_session("sub")->queue;
    assert_true(q->n - q->n_paged <= 2 * SMQ_QUEUE_ASKED);
    disk.by_hand = false;
    sub = stored_back("sub");
    const struct smq_publish *p = &client_expect(sub, SMQ_PUBLISH)->publish;
    unsigned next = (unsigned)strtoul((const char *)p->payload.data, NULL, 10);
    client_send_ack(sub, SMQ_PUBACK, p->id, 0);
    while (++next < LONG) {
        client_take(sub, "t/a", stored_text(next), 1);
    }
    client_expect_none(sub);
    stored_check();
    bed_stop(&bed);
}

/* Nothing else happens on the connection: what comes is sent because it came. */
static void the_client_has_answered_all(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = stored_publisher();
    struct client *sub = asks(pub, LONG);
    const struct smq_packet *pkt;
    while ((pkt = client_next(sub)) != NULL) {
        client_send_ack(sub, SMQ_PUBACK, pkt->publish.id, 0);
    }
    assert_int_equal(stored_session("sub")->out.count, 0);
    assert_true(smq_queue_at(&stored_session("sub")->queue, 0)->is_paged);
    bed_commit(&bed, SIZE_MAX);
    client_expect_publish(sub, "t/a", stored_text(SMQ_QUEUE_IN_MEMORY + SMQ_QUEUE_ASKED));
    bed_stop(&bed);
}

static void another_takes_over_before(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = stored_publisher();
    asks(pub, LONG);
    disk.by_hand = false;
    struct client *sub = stored_back("sub");
    unsigned n = 0;
    const struct smq_packet *pkt;
    while ((pkt = client_next(sub)) != NULL) {
        assert_int_equal(pkt->type, SMQ_PUBLISH);
        client_send_ack(sub, SMQ_PUBACK, pkt->publish.id, 0);
        n++;
    }
    assert_true(n > LONG / 2);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ expiry */

static void expired_while_paged(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    for (unsigned i = 0; i < 400; i++) {
        if (i % 2 == 0) {
            stored_publish_expiring(pub, stored_text(i), i < 200 ? 30 : 200);
        } else {
            client_publish(pub, "t/a", stored_text(i), 1, false);
        }
    }
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 400);
    bed_pass(&bed, 100000);
    stored_check();
    assert_int_equal(stored_session("sub")->queue.n,
                     400 - 100 + SMQ_QUEUE_IN_MEMORY / 2); /* those in memory go at their turn */
    bed_pass(&bed, 200000);
    stored_check();
    assert_int_equal(stored_session("sub")->queue.n, 200 + SMQ_QUEUE_IN_MEMORY / 2);
    sub = stored_back("sub");
    for (unsigned i = 1; i < 400; i += 2) {
        client_take(sub, "t/a", stored_text(i), 1);
    }
    client_expect_none(sub);
    stored_check();
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

/* Much that expires at once does not hold up a turn. */
static void many_expire_at_once(void **state)
{
    (void)state;
    enum { MANY = 11000, STEPS = 10000 };
    bed.config.max_queued_messages = 0;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    for (unsigned i = 0; i < MANY; i++) {
        stored_publish_expiring(pub, "x", i % 100 == 99 ? 1000 : 10);
    }
    const struct smq_queue *q = &stored_session("sub")->queue;
    uint32_t before = q->n, calls = 0;
    while (q->n > MANY / 100 + SMQ_QUEUE_IN_MEMORY) {
        bed_pass(&bed, 50);
        assert_true(before - q->n <= STEPS);
        calls += before != q->n;
        before = q->n;
        assert_true(bed.now.mono < 200000);
    }
    assert_int_equal(calls, 2);
    stored_check();
    bed_stop(&bed);
}

/* At the head before anybody has looked, and while the answer is on its way. */
static void expired_at_the_head(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    for (unsigned i = 0; i < 200; i++) {
        stored_publish_expiring(pub, stored_text(i), i < 150 ? 5 : 50);
    }
    bed_pass(&bed, 6000);
    assert_int_equal(stored_rows(SMQ_ROW_QUEUE), 200);
    sub = stored_back("sub");
    for (unsigned i = 150; i < 200; i++) {
        client_take(sub, "t/a", stored_text(i), 1);
    }
    client_expect_none(sub);
    stored_check();
    client_disconnect(sub);
    for (unsigned i = 0; i < 200; i++) {
        stored_publish_expiring(pub, stored_text(i), i < 150 ? 5 : 50);
    }
    smq_paged_away(bed.w, stored_session("sub"));
    disk.by_hand = true;
    sub = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    client_send(sub, &pkt);
    bed_pass(&bed, 6000);
    stored_commit();
    client_expect(sub, SMQ_CONNACK);
    disk.by_hand = false;
    bed_turn(&bed);
    for (unsigned i = 0; i < 20; i++) { /* they were sent before they expired */
        client_take(sub, "t/a", stored_text(i), 1);
    }
    for (unsigned i = 150; i < 200; i++) {
        client_take(sub, "t/a", stored_text(i), 1);
    }
    client_expect_none(sub);
    stored_check();
    bed_stop(&bed);
}

/* ------------------------------------------------------------ a store that fails */

static void rows_that_are_missing_or_bad(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    stored_publish(pub, 0, 300, 1);
    struct smq_session *s = stored_session("sub");
    struct smq_writes *writes = smq_writes_new(NULL, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct smq_queued *item = smq_queue_at(&s->queue, 100 + i * 50);
        assert_true(item->is_paged);
        struct smq_key key = smq_key_queue(s->stored->sid, item->row);
        enum smq_write_op op = i == 2 ? SMQ_WRITE_PUT : SMQ_WRITE_DEL;
        assert_int_equal(smq_writes_add(writes, op, smq_key_span(&key), smq_span_str("?")), SMQTT_OK);
    }
    disk.first = disk.last = writes;
    disk.n_waiting = 1;
    struct smq_worker_stats before, after;
    bed_commit(&bed, SIZE_MAX);
    bed_stats(&bed, &before);
    sub = stored_back("sub");
    for (unsigned i = 0; i < 300; i++) {
        if (i != 100 && i != 150 && i != 200) {
            client_take(sub, "t/a", stored_text(i), 1);
        }
    }
    client_expect_none(sub);
    stored_check();
    bed_stats(&bed, &after);
    assert_int_equal(after.publish_dropped - before.publish_dropped, 3);
    bed_stop(&bed);
}

/* What cannot be read just now is asked for again. */
static void a_store_that_fails_for_a_while(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = stored_publisher();
    struct client *sub = asks(pub, LONG);
    while (smq_conn_output(sub->conn, &(struct smqtt_span){0}, 1) != 0) {
        bed_turn(&bed);
    }
    client_drain(sub);
    struct smq_session *s = stored_session("sub");
    uint64_t asked = s->stored->asked;
    struct smq_fetched *failed = smq_fetched_new(NULL, 0, 1);
    failed->failed = true;
    for (uint32_t i = 0; i < s->queue.n; i++) {
        const struct smq_queued *item = smq_queue_at(&s->queue, i);
        if (item->is_paged && item->row <= asked) {
            struct smq_key key = smq_key_queue(s->stored->sid, item->row);
            assert_int_equal(smq_fetched_add(failed, smq_key_span(&key), false, (smq_span){NULL, 0}), SMQTT_OK);
        }
    }
    uint32_t n = s->queue.n;
    disk_crash(&disk); /* the question is lost, and what came of it is this */
    smq_worker_fetched(bed.w, failed, bed.now);
    bed_turn(&bed);
    assert_int_equal(s->queue.n, n);
    assert_int_equal(disk.n_waiting, 0); /* not at once */
    bed_pass(&bed, 1500);
    assert_int_not_equal(s->stored->asked, 0);
    assert_int_not_equal(disk.n_waiting, 0);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ recovery */

static void restored(void **state)
{
    (void)state;
    bed.config.max_queued_messages = 0;
    bed_start(&bed);
    struct client *sub = stored_subscriber("sub", 1), *pub = stored_publisher();
    client_disconnect(sub);
    stored_publish(pub, 0, 200, 1);
    struct smq_session *s = stored_session("sub");
    /* The queue as a start finds it: nothing is in memory. */
    uint64_t n_rows = s->stored->n_rows;
    struct smq_queue old = s->queue;
    s->queue = (struct smq_queue){0};
    s->stored->n_rows = 0;
    bed.w->stats.queued_messages -= old.n;
    for (uint32_t i = 0; i < old.n; i++) {
        const struct smq_queued *item = smq_queue_at(&old, i);
        uint64_t n = item->is_paged ? item->row : smq_delivery_row(item->delivery)->n;
        assert_int_equal(smq_queue_restore(bed.w, s, n, NULL, item->bytes, item->qos & 3, SMQTT_NEVER), SMQTT_OK);
        if (!item->is_paged) {
            smq_delivery_free(bed.w->mem, item->delivery);
        }
    }
    smq_mem_free(bed.w->mem, old.items);
    assert_int_equal(s->stored->n_rows, n_rows);
    assert_int_equal(s->queue.n_paged, 200);
    stored_check();
    sub = stored_back("sub");
    for (unsigned i = 0; i < 200; i++) {
        client_take(sub, "t/a", stored_text(i), 1);
    }
    client_expect_none(sub);
    stored_check();
    bed_stop(&bed);
}

/* Identifiers, RETAIN as published, properties: all of it comes back from the disk. */
static void comes_back_whole(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false), *pub = stored_publisher();
    for (uint32_t id = 0; id < 2; id++) {
        struct smq_filter f = {smq_span_str(id == 0 ? "t/#" : "t/a"), 1 | SMQ_SUB_RAP};
        struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
        pkt.subscribe.id = 77;
        pkt.subscribe.n = 1;
        pkt.subscribe.filters = &f;
        smq_props_clear(&pkt.subscribe.props);
        smq_props_set_num(&pkt.subscribe.props, SMQ_PROP_SUBSCRIPTION_ID, id + 40);
        client_send(sub, &pkt);
        client_expect(sub, SMQ_SUBACK);
    }
    client_disconnect(sub);
    for (unsigned i = 0; i < 100; i++) {
        struct smq_packet pkt = {.type = SMQ_PUBLISH};
        pkt.publish.qos = 1;
        pkt.publish.id = 5;
        pkt.publish.retain = i % 2 == 0;
        pkt.publish.topic = smq_span_str("t/a");
        pkt.publish.payload = smq_span_str("p");
        smq_props_clear(&pkt.publish.props);
        smq_props_set_bytes(&pkt.publish.props, SMQ_PROP_CONTENT_TYPE, smq_span_str("text/x"));
        smq_props_set_num(&pkt.publish.props, SMQ_PROP_MESSAGE_EXPIRY, 1000);
        client_send(pub, &pkt);
        client_expect(pub, SMQ_PUBACK);
    }
    stored_check();
    bed_pass(&bed, 10000);
    sub = stored_back("sub");
    for (unsigned i = 0; i < 100; i++) {
        const struct smq_publish *p = client_expect_publish(sub, "t/a", "p");
        assert_int_equal(p->retain, i % 2 == 0);
        assert_true(span_is(smq_props_bytes(&p->props, SMQ_PROP_CONTENT_TYPE), "text/x"));
        assert_in_range(smq_props_num(&p->props, SMQ_PROP_MESSAGE_EXPIRY, 0), 989, 991);
        assert_true(smq_props_has(&p->props, SMQ_PROP_SUBSCRIPTION_ID));
        client_send_ack(sub, SMQ_PUBACK, p->id, 0);
    }
    stored_check();
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, stored_setup, stored_teardown)
        TEST(ten_thousand),
        TEST(what_comes_meanwhile),
        TEST(who_goes_away_lets_go),
        TEST(large_messages),
        TEST(the_session_ends_before),
        TEST(the_client_leaves_before),
        TEST(the_client_has_answered_all),
        TEST(another_takes_over_before),
        TEST(expired_while_paged),
        TEST(many_expire_at_once),
        TEST(expired_at_the_head),
        TEST(rows_that_are_missing_or_bad),
        TEST(a_store_that_fails_for_a_while),
        TEST(restored),
        TEST(comes_back_whole),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
