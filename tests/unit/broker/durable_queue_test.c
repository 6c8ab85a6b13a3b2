/* SPDX-License-Identifier: Apache-2.0 */
/* What of the messages for a stored session is in the store, and when; and what of them is not in memory. */
#include "broker/queue.h"
#include "broker/route.h"
#include "disk.h"
#include "harness.h"
#include "rows_check.h"

static struct bed bed;
static struct disk disk;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    disk_init(&disk);
    bed.disk = &disk;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    disk_free(&disk);
    return 0;
}

/* Everything that was written is on the disk, and nothing else. */
static void check(void)
{
    const char *what = rows_check(&disk, bed.workers, bed.count, bed.now);
    if (what != NULL) {
        fail_msg("%s", what);
    }
}

static void commit(void)
{
    bed_commit(&bed, SIZE_MAX);
    while (disk.n_waiting != 0) {
        bed_commit(&bed, SIZE_MAX);
    }
    check();
}

static size_t rows(enum smq_session_row kind)
{
    return disk_count(&disk, SMQ_TABLE_SESSION, 0, kind);
}

static struct smq_session *session(const char *id)
{
    return smq_session_find(bed.w, smq_span_str(id));
}

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

static struct client *subscriber(const char *id, uint8_t qos)
{
    struct client *c = client_connect(&bed, SMQTT_V5, id, false);
    client_subscribe(c, "t/#", qos);
    return c;
}

static struct client *back(const char *id)
{
    return client_connect(&bed, SMQTT_V5, id, false);
}

static struct client *publisher(void)
{
    return client_connect(&bed, SMQTT_V5, "pub", true);
}

static const char *text_of(unsigned i)
{
    static char text[16];
    snprintf(text, sizeof text, "%u", i);
    return text;
}

static void publish_many(struct client *pub, unsigned from, unsigned to, uint8_t qos)
{
    for (unsigned i = from; i < to; i++) {
        client_publish(pub, "t/a", text_of(i), qos, false);
    }
}

/* QoS 0 travels around all of this. */
static void publish_expiring(struct client *pub, const char *payload, uint32_t expiry_s)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.qos = 1;
    pkt.publish.id = 5;
    pkt.publish.topic = smq_span_str("t/a");
    pkt.publish.payload = smq_span_str(payload);
    smq_props_clear(&pkt.publish.props);
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_MESSAGE_EXPIRY, expiry_s);
    client_send(pub, &pkt);
    client_expect(pub, SMQ_PUBACK);
}

/* ------------------------------------------------------------ at once */

static void qos1_at_once(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    disk.by_hand = true;
    client_send_publish(pub, "t/a", "x", 1, false, 3);
    const struct smq_publish *p = client_expect_publish(sub, "t/a", "x"); /* it waits for nothing */
    uint16_t id = p->id;
    commit();
    struct smq_row_queue row = first_queued();
    assert_int_equal(row.packet, id);
    assert_int_equal(row.qos, 1);
    assert_int_equal(rows(SMQ_ROW_OUT), 0);
    client_send_ack(sub, SMQ_PUBACK, id, 0);
    commit();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

static void qos2_at_once(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 2), *pub = publisher();
    disk.by_hand = true;
    client_send_publish(pub, "t/a", "x", 2, false, 3);
    client_expect_none(sub); /* its identifier first */
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    commit();
    uint16_t id = client_expect_publish(sub, "t/a", "x")->id;
    assert_int_equal(first_queued().packet, id);
    client_send_ack(sub, SMQ_PUBREC, id, 0);
    client_expect_none(sub);
    assert_int_equal(rows(SMQ_ROW_QUEUE), 1);
    commit();
    assert_int_equal(client_expect(sub, SMQ_PUBREL)->ack.id, id);
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    uint16_t out_id;
    assert_int_equal(first_out(&out_id).state, SMQ_OUT_WAIT_PUBCOMP);
    assert_int_equal(out_id, id);
    client_send_ack(sub, SMQ_PUBREC, id, 0); /* again, before anything new is written: it is safe already */
    assert_int_equal(client_expect(sub, SMQ_PUBREL)->ack.id, id);
    client_send_ack(sub, SMQ_PUBCOMP, id, 0);
    commit();
    assert_int_equal(rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

/* Who does not outlive its connection has no rows, and waits for nothing. */
static void not_for_clean_sessions(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", true), *pub = publisher();
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
    struct client *sub = subscriber("sub", 2), *pub = publisher();
    client_publish(pub, "t/a", "x", 1, false);
    client_publish(pub, "t/a", "y", 2, false);
    check();
    uint16_t x = client_expect_publish(sub, "t/a", "x")->id;
    uint16_t y = client_expect_publish(sub, "t/a", "y")->id;
    client_send_ack(sub, SMQ_PUBACK, x, 0x97);
    client_send_ack(sub, SMQ_PUBREC, y, 0x80);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

static struct client *connect_small(const char *id, uint32_t max_packet)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_MAXIMUM_PACKET_SIZE, max_packet);
    return client_connect_pkt(&bed, &pkt);
}

static void too_large(void **state)
{
    (void)state;
    char large[300];
    memset(large, 'l', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    bed_start(&bed);
    struct client *sub = connect_small("sub", 200), *pub = publisher();
    client_subscribe(sub, "t/#", 2);
    client_publish(pub, "t/a", large, 1, false); /* at once */
    client_publish(pub, "t/a", large, 2, false);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    client_disconnect(sub);
    client_publish(pub, "t/a", large, 2, false); /* from the queue */
    assert_int_equal(rows(SMQ_ROW_QUEUE), 1);
    sub = connect_small("sub", 200);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    assert_int_equal(rows(SMQ_ROW_OUT), 0);
    client_disconnect(sub);
    sub = back("sub");
    client_publish(pub, "t/a", large, 2, false); /* in flight, to one that takes less when it is back */
    client_break(sub);
    assert_int_equal(rows(SMQ_ROW_QUEUE), 1);
    connect_small("sub", 200);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ queued, sent later, sent again */

static void queued_and_sent_later(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 2), *pub = publisher();
    client_disconnect(sub);
    client_publish(pub, "t/a", "one", 1, false);
    client_publish(pub, "t/a", "two", 2, false);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 2);
    assert_int_equal(first_queued().packet, 0);
    disk.by_hand = true;
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    client_send(c, &pkt);
    commit();
    client_expect(c, SMQ_CONNACK);
    uint16_t one = client_expect_publish(c, "t/a", "one")->id;
    uint16_t two = client_expect_publish(c, "t/a", "two")->id;
    assert_int_equal(rows(SMQ_ROW_QUEUE), 2);
    assert_int_equal(rows(SMQ_ROW_OUT), 2);
    client_send_ack(c, SMQ_PUBACK, one, 0);
    client_send_ack(c, SMQ_PUBREC, two, 0);
    client_expect_none(c);
    commit();
    client_expect(c, SMQ_PUBREL);
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    assert_int_equal(rows(SMQ_ROW_OUT), 1);
    client_send_ack(c, SMQ_PUBCOMP, two, 0);
    commit();
    assert_int_equal(rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

/* The gate of QoS 2 holds what comes from the queue of one that is connected, too. */
static void qos2_from_the_queue_waits(void **state)
{
    (void)state;
    bed.config.max_inflight_messages = 1;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 2), *pub = publisher();
    client_publish(pub, "t/a", "one", 1, false);
    client_publish(pub, "t/a", "two", 2, false);
    check();
    disk.by_hand = true;
    uint16_t one = client_expect_publish(sub, "t/a", "one")->id;
    client_send_ack(sub, SMQ_PUBACK, one, 0);
    client_expect_none(sub);
    commit();
    client_expect_publish(sub, "t/a", "two");
    bed_stop(&bed);
}

static void resent_with_the_same_rows(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 2), *pub = publisher();
    client_publish(pub, "t/a", "one", 1, false);
    client_publish(pub, "t/a", "two", 2, false);
    client_publish(pub, "t/a", "three", 2, false);
    client_expect_publish(sub, "t/a", "one");
    uint16_t two = client_expect_publish(sub, "t/a", "two")->id;
    uint16_t three = client_expect_publish(sub, "t/a", "three")->id;
    client_send_ack(sub, SMQ_PUBREC, three, 0);
    client_expect(sub, SMQ_PUBREL);
    size_t n = disk.n;
    struct client *again = back("sub"); /* takes over */
    check();
    assert_int_equal(disk.n, n);
    assert_true(client_expect_publish(again, "t/a", "one")->dup);
    assert_int_equal(client_expect_publish(again, "t/a", "two")->id, two);
    assert_int_equal(client_expect(again, SMQ_PUBREL)->ack.id, three);
    client_break(again);
    check();
    again = back("sub");
    client_take(again, "t/a", "one", 1);
    client_expect_publish(again, "t/a", "two");
    assert_int_equal(client_expect(again, SMQ_PUBREL)->ack.id, three);
    client_send_ack(again, SMQ_PUBCOMP, three, 0);
    client_send_ack(again, SMQ_PUBREC, two, 0);
    assert_int_equal(client_expect(again, SMQ_PUBREL)->ack.id, two);
    client_send_ack(again, SMQ_PUBCOMP, two, 0);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE) + rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

static void dropped_oldest_and_newest(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        setup(NULL);
        bed.config.slow_policy = i == 0 ? SMQ_SLOW_DROP_OLDEST : SMQ_SLOW_DROP_NEWEST;
        bed.config.max_queued_messages = 100;
        bed_start(&bed);
        struct client *sub = subscriber("sub", 1), *pub = publisher();
        client_disconnect(sub);
        publish_many(pub, 0, 130, 1);
        check();
        assert_int_equal(rows(SMQ_ROW_QUEUE), 100);
        sub = back("sub");
        for (unsigned k = i == 0 ? 30 : 0, n = 0; n < 100; n++) {
            client_take(sub, "t/a", text_of(k + n), 1);
        }
        client_expect_none(sub);
        check();
        assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
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
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    client_disconnect(sub);
    publish_many(pub, 0, 1000, 1);
    check();
    assert_true(session("sub")->queue.bytes <= 20000);
    assert_true(session("sub")->queue.bytes > 19000);
    assert_true(session("sub")->queue.n_paged > 100);
    bed_stop(&bed);
}

static void the_end_of_a_session(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 2), *pub = publisher();
    client_publish(pub, "t/a", "in flight", 2, false);
    client_break(sub);
    publish_many(pub, 0, 200, 1);
    check();
    assert_true(session("sub")->queue.n_paged != 0);
    client_connect(&bed, SMQTT_V5, "sub", true);
    check();
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

static void shared_subscriptions(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *one = client_connect(&bed, SMQTT_V5, "one", false);
    struct client *two = client_connect(&bed, SMQTT_V5, "two", false), *pub = publisher();
    client_subscribe(one, "$share/g/t/#", 1);
    client_disconnect(one);
    publish_many(pub, 0, 100, 1); /* for the only member, which is away */
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 100);
    assert_true(span_is(first_queued().share, "$share/g/t/#"));
    assert_int_equal(session("one")->queue.n_paged, 0);
    client_subscribe(two, "$share/g/t/#", 1);
    one = client_connect(&bed, SMQTT_V5, "one", true); /* it ends */
    check();
    for (unsigned i = 0; i < 100; i++) {
        client_take(two, "t/a", text_of(i), 1);
    }
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

/* Messages of QoS 0 have no rows; they stay in memory, and in their place. */
static void qos0_in_between(void **state)
{
    (void)state;
    bed.config.queue_qos0_messages = true;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    client_disconnect(sub);
    for (unsigned i = 0; i < 500; i++) {
        client_publish(pub, "t/a", text_of(i), i % 3 == 0 ? 0 : 1, false);
    }
    check();
    sub = back("sub");
    for (unsigned i = 0; i < 500; i++) {
        client_take(sub, "t/a", text_of(i), i % 3 == 0 ? 0 : 1);
    }
    client_expect_none(sub);
    check();
    bed_stop(&bed);
}

/* ------------------------------------------------------------ longer than memory */

static void ten_thousand(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    bed.config.max_queued_messages = 0;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 2), *pub = publisher();
    client_disconnect(sub);
    size_t live = bed.mem.live;
    publish_many(pub, 0, MANY, 1);
    const struct smq_queue *q = &session("sub")->queue;
    assert_int_equal(q->n, MANY);
    assert_true(q->n - q->n_paged <= SMQ_QUEUE_IN_MEMORY);
    assert_true(bed.mem.live - live < 2 * SMQ_QUEUE_IN_MEMORY + 10);
    check();
    sub = back("sub");
    for (unsigned i = 0; i < MANY; i++) {
        client_take(sub, "t/a", text_of(i), 1);
        assert_true(q->n - q->n_paged <= 2 * SMQ_QUEUE_IN_MEMORY);
        if (i % 1000 == 0) {
            check();
        }
    }
    client_expect_none(sub);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE) + rows(SMQ_ROW_OUT), 0);
    bed_stop(&bed);
}

/* What comes while the queue is read from the disk goes behind it. */
static void what_comes_meanwhile(void **state)
{
    (void)state;
    bed.config.max_queued_messages = 0;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 2), *pub = publisher();
    client_disconnect(sub);
    publish_many(pub, 0, 300, 1);
    sub = back("sub");
    for (unsigned i = 0; i < 600; i++) {
        client_publish(pub, "t/a", text_of(300 + i), 1, false);
        client_take(sub, "t/a", text_of(i), 1);
    }
    check();
    for (unsigned i = 600; i < 900; i++) {
        client_take(sub, "t/a", text_of(i), 1);
    }
    client_expect_none(sub);
    check();
    bed_stop(&bed);
}

/* One that takes its messages, slowly, has them in memory; when it goes away they are let go. */
static void who_goes_away_lets_go(void **state)
{
    (void)state;
    bed.config.max_inflight_messages = 1;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    publish_many(pub, 0, 500, 1);
    const struct smq_queue *q = &session("sub")->queue;
    assert_int_equal(q->n, 499);
    assert_int_equal(q->n_paged, 0);
    client_break(sub);
    assert_int_equal(q->n_paged, 499 - SMQ_QUEUE_IN_MEMORY);
    check();
    sub = back("sub");
    for (unsigned i = 0; i < 500; i++) {
        client_take(sub, "t/a", text_of(i), 1);
    }
    check();
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
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    client_disconnect(sub);
    for (char i = 0; i < 40; i++) {
        text[0] = (char)('0' + i);
        client_publish(pub, "t/a", text, 1, false);
    }
    const struct smq_queue *q = &session("sub")->queue;
    assert_int_equal(q->n - q->n_paged, SMQ_QUEUE_BYTES_IN_MEMORY / LARGE);
    check();
    sub = back("sub");
    for (char i = 0; i < 40; i++) {
        text[0] = (char)('0' + i);
        client_take(sub, "t/a", text, 1);
        assert_true(q->n - q->n_paged <= 2 * SMQ_QUEUE_BYTES_IN_MEMORY / LARGE + 2);
    }
    check();
    free(text);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ an answer that comes late */

/* So many wait in the store only, and the session is back and waits for the answer to its first question. */
static struct client *asks(struct client *pub, unsigned n)
{
    struct client *sub = subscriber("sub", 1);
    client_disconnect(sub);
    publish_many(pub, 0, n, 1);
    smq_paged_away(bed.w, session("sub"));
    disk.by_hand = true;
    sub = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    client_send(sub, &pkt);
    commit();
    client_expect(sub, SMQ_CONNACK);
    for (unsigned i = 0; session("sub")->stored->asked == 0; i++) {
        client_take(sub, "t/a", text_of(i), 1);
    }
    assert_int_not_equal(disk.n_waiting, 0);
    return sub;
}

static void the_session_ends_before(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = publisher();
    asks(pub, 300);
    struct client *sub = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", true);
    client_send(sub, &pkt);
    commit();
    client_expect(sub, SMQ_CONNACK);
    client_expect_none(sub);
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

static void the_client_leaves_before(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = publisher();
    struct client *sub = asks(pub, 300);
    client_break(sub);
    commit();
    const struct smq_queue *q = &session("sub")->queue;
    assert_true(q->n - q->n_paged <= 2 * SMQ_QUEUE_IN_MEMORY);
    disk.by_hand = false;
    sub = back("sub");
    const struct smq_publish *p = &client_expect(sub, SMQ_PUBLISH)->publish;
    unsigned next = (unsigned)strtoul((const char *)p->payload.data, NULL, 10);
    client_send_ack(sub, SMQ_PUBACK, p->id, 0);
    while (++next < 300) {
        client_take(sub, "t/a", text_of(next), 1);
    }
    client_expect_none(sub);
    check();
    bed_stop(&bed);
}

static void another_takes_over_before(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = publisher();
    asks(pub, 300);
    disk.by_hand = false;
    struct client *sub = back("sub");
    unsigned n = 0;
    const struct smq_packet *pkt;
    while ((pkt = client_next(sub)) != NULL) {
        assert_int_equal(pkt->type, SMQ_PUBLISH);
        client_send_ack(sub, SMQ_PUBACK, pkt->publish.id, 0);
        n++;
    }
    assert_true(n > 200);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ expiry */

static void expired_while_paged(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    client_disconnect(sub);
    for (unsigned i = 0; i < 400; i++) {
        if (i % 2 == 0) {
            publish_expiring(pub, text_of(i), i < 200 ? 30 : 200);
        } else {
            client_publish(pub, "t/a", text_of(i), 1, false);
        }
    }
    assert_int_equal(rows(SMQ_ROW_QUEUE), 400);
    bed_pass(&bed, 100000);
    check();
    assert_int_equal(session("sub")->queue.n,
                     400 - 100 + SMQ_QUEUE_IN_MEMORY / 2); /* those in memory go at their turn */
    bed_pass(&bed, 200000);
    check();
    assert_int_equal(session("sub")->queue.n, 200 + SMQ_QUEUE_IN_MEMORY / 2);
    sub = back("sub");
    for (unsigned i = 1; i < 400; i += 2) {
        client_take(sub, "t/a", text_of(i), 1);
    }
    client_expect_none(sub);
    check();
    assert_int_equal(rows(SMQ_ROW_QUEUE), 0);
    bed_stop(&bed);
}

/* At the head before anybody has looked, and while the answer is on its way. */
static void expired_at_the_head(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    client_disconnect(sub);
    for (unsigned i = 0; i < 200; i++) {
        publish_expiring(pub, text_of(i), i < 150 ? 5 : 50);
    }
    bed_pass(&bed, 6000);
    assert_int_equal(rows(SMQ_ROW_QUEUE), 200);
    sub = back("sub");
    for (unsigned i = 150; i < 200; i++) {
        client_take(sub, "t/a", text_of(i), 1);
    }
    client_expect_none(sub);
    check();
    client_disconnect(sub);
    for (unsigned i = 0; i < 200; i++) {
        publish_expiring(pub, text_of(i), i < 150 ? 5 : 50);
    }
    smq_paged_away(bed.w, session("sub"));
    disk.by_hand = true;
    sub = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    client_send(sub, &pkt);
    bed_pass(&bed, 6000);
    commit();
    client_expect(sub, SMQ_CONNACK);
    disk.by_hand = false;
    bed_turn(&bed);
    for (unsigned i = 0; i < 20; i++) { /* they were sent before they expired */
        client_take(sub, "t/a", text_of(i), 1);
    }
    for (unsigned i = 150; i < 200; i++) {
        client_take(sub, "t/a", text_of(i), 1);
    }
    client_expect_none(sub);
    check();
    bed_stop(&bed);
}

/* ------------------------------------------------------------ a store that fails */

static void rows_that_are_missing_or_bad(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    client_disconnect(sub);
    publish_many(pub, 0, 300, 1);
    struct smq_session *s = session("sub");
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
    sub = back("sub");
    for (unsigned i = 0; i < 300; i++) {
        if (i != 100 && i != 150 && i != 200) {
            client_take(sub, "t/a", text_of(i), 1);
        }
    }
    client_expect_none(sub);
    check();
    bed_stats(&bed, &after);
    assert_int_equal(after.publish_dropped - before.publish_dropped, 3);
    bed_stop(&bed);
}

/* What cannot be read just now is asked for again. */
static void a_store_that_fails_for_a_while(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = publisher();
    struct client *sub = asks(pub, 300);
    while (smq_conn_output(sub->conn, &(struct smqtt_span){0}, 1) != 0) {
        bed_turn(&bed);
    }
    client_drain(sub);
    struct smq_session *s = session("sub");
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
    struct client *sub = subscriber("sub", 1), *pub = publisher();
    client_disconnect(sub);
    publish_many(pub, 0, 200, 1);
    struct smq_session *s = session("sub");
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
    check();
    sub = back("sub");
    for (unsigned i = 0; i < 200; i++) {
        client_take(sub, "t/a", text_of(i), 1);
    }
    client_expect_none(sub);
    check();
    bed_stop(&bed);
}

/* Identifiers, RETAIN as published, properties: all of it comes back from the disk. */
static void comes_back_whole(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *sub = client_connect(&bed, SMQTT_V5, "sub", false), *pub = publisher();
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
    check();
    bed_pass(&bed, 10000);
    sub = back("sub");
    for (unsigned i = 0; i < 100; i++) {
        const struct smq_publish *p = client_expect_publish(sub, "t/a", "p");
        assert_int_equal(p->retain, i % 2 == 0);
        assert_true(span_is(smq_props_bytes(&p->props, SMQ_PROP_CONTENT_TYPE), "text/x"));
        assert_in_range(smq_props_num(&p->props, SMQ_PROP_MESSAGE_EXPIRY, 0), 989, 991);
        assert_true(smq_props_has(&p->props, SMQ_PROP_SUBSCRIPTION_ID));
        client_send_ack(sub, SMQ_PUBACK, p->id, 0);
    }
    check();
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(qos1_at_once),
        TEST(qos2_at_once),
        TEST(not_for_clean_sessions),
        TEST(refused),
        TEST(too_large),
        TEST(queued_and_sent_later),
        TEST(qos2_from_the_queue_waits),
        TEST(resent_with_the_same_rows),
        TEST(dropped_oldest_and_newest),
        TEST(bytes_of_what_is_paged_count),
        TEST(the_end_of_a_session),
        TEST(shared_subscriptions),
        TEST(qos0_in_between),
        TEST(ten_thousand),
        TEST(what_comes_meanwhile),
        TEST(who_goes_away_lets_go),
        TEST(large_messages),
        TEST(the_session_ends_before),
        TEST(the_client_leaves_before),
        TEST(another_takes_over_before),
        TEST(expired_while_paged),
        TEST(expired_at_the_head),
        TEST(rows_that_are_missing_or_bad),
        TEST(a_store_that_fails_for_a_while),
        TEST(restored),
        TEST(comes_back_whole),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
