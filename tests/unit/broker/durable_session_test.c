/* SPDX-License-Identifier: Apache-2.0 */
/* What of a session is in the store, and what is not said before it is there. */
#include "broker/durable.h"
#include "disk.h"
#include "harness.h"

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

static size_t rows(const char *client_id, enum smq_session_row kind)
{
    return disk_count(&disk, SMQ_TABLE_SESSION, disk_sid(&disk, client_id), kind);
}

static struct smq_row_head head_of(const char *client_id)
{
    struct smq_key key = smq_key_session_row(disk_sid(&disk, client_id), SMQ_ROW_HEAD);
    struct smq_row_head head;
    assert_true(smq_row_read_head(disk_get(&disk, smq_key_span(&key)), &head));
    return head;
}

static void a_clean_session_is_not_stored(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V311, "clean", true);
    client_subscribe(c, "a/#", 2);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "five", true);
    struct client *five = client_connect_pkt(&bed, &pkt);
    client_subscribe(five, "a/#", 2);
    client_publish(c, "a/b", "x", 0, false);
    client_disconnect(c);
    client_disconnect(five);
    assert_int_equal(disk.n_writes, 0);
    bed_stop(&bed);
}

static void connack_waits_for_the_session(void **state)
{
    (void)state;
    disk.by_hand = true;
    bed_start(&bed);
    struct client *c = client_open(&bed, SMQTT_V311);
    struct smq_packet pkt = packet_connect(SMQTT_V311, "stays", false);
    client_send(c, &pkt);
    client_expect_none(c);
    bed_commit(&bed, SIZE_MAX);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0);
    assert_int_equal(head_of("stays").away_since, 0);
    assert_int_equal(head_of("stays").expiry_s, UINT32_MAX);

    client_send(c, &(struct smq_packet){.type = SMQ_PINGREQ});
    client_expect(c, SMQ_PINGRESP);
    client_disconnect(c);
    bed_commit(&bed, SIZE_MAX);
    assert_int_equal(head_of("stays").away_since, bed.now.wall);
    bed_stop(&bed);
}

static void suback_and_unsuback_wait(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V311, "stays", false);
    disk.by_hand = true;
    const uint8_t subscribe[] = "\x82\x08\x00\x01\x00\x03"
                                "a/b\x01";
    client_feed(c, subscribe, sizeof subscribe - 1);
    client_expect_none(c);
    assert_int_equal(rows("stays", SMQ_ROW_SUB), 0);
    bed_commit(&bed, SIZE_MAX);
    client_expect(c, SMQ_SUBACK);
    assert_int_equal(rows("stays", SMQ_ROW_SUB), 1);
    const uint8_t unsubscribe[] = "\xA2\x07\x00\x02\x00\x03"
                                  "a/b";
    client_feed(c, unsubscribe, sizeof unsubscribe - 1);
    client_expect_none(c);
    bed_commit(&bed, SIZE_MAX);
    client_expect(c, SMQ_UNSUBACK);
    assert_int_equal(rows("stays", SMQ_ROW_SUB), 0);
    bed_stop(&bed);
}

static void shared_subscriptions_too(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "stays", false);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "stays", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 100);
    c = client_connect_pkt(&bed, &pkt);
    client_subscribe(c, "$share/g/a/+", 1);
    client_subscribe(c, "b", 2);
    assert_int_equal(rows("stays", SMQ_ROW_SUB), 2);
    assert_int_equal(head_of("stays").expiry_s, 100);
    bed_stop(&bed);
}

static void the_end_leaves_nothing(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V311, "stays", false);
    client_subscribe(c, "a", 1);
    client_subscribe(c, "b", 1);
    client_disconnect(c);
    assert_int_equal(disk_count(&disk, SMQ_TABLE_SESSION, 0, 0), 3);
    disk.by_hand = true;
    c = client_open(&bed, SMQTT_V311);
    struct smq_packet pkt = packet_connect(SMQTT_V311, "stays", true);
    client_send(c, &pkt);
    client_expect_none(c); /* or the old session would be there again after a crash */
    bed_commit(&bed, SIZE_MAX);
    assert_false(client_expect(c, SMQ_CONNACK)->connack.session_present);
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

/* The session ended with DISCONNECT, and that is not committed when its client is back. */
static void an_end_that_is_not_committed_is_waited_for(void **state)
{
    (void)state;
    bed_start(&bed);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "stays", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 100);
    struct client *c = client_connect_pkt(&bed, &pkt);
    disk.by_hand = true;
    struct smq_packet bye = {.type = SMQ_DISCONNECT};
    smq_props_clear(&bye.reasoned.props);
    smq_props_set_num(&bye.reasoned.props, SMQ_PROP_SESSION_EXPIRY, 0);
    client_send(c, &bye);
    c = client_open(&bed, SMQTT_V311);
    pkt = packet_connect(SMQTT_V311, "stays", true);
    client_send(c, &pkt);
    client_expect_none(c);
    bed_commit(&bed, SIZE_MAX);
    assert_false(client_expect(c, SMQ_CONNACK)->connack.session_present);
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

static void an_expired_session_leaves_nothing(void **state)
{
    (void)state;
    bed_start(&bed);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "short", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 10);
    struct client *c = client_connect_pkt(&bed, &pkt);
    client_subscribe(c, "a", 1);
    client_disconnect(c);
    bed_pass(&bed, 9000);
    assert_int_equal(disk.n, 2);
    bed_pass(&bed, 1100);
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

static struct smq_packet with_will(const char *id, uint32_t delay_s)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 1000);
    pkt.connect.has_will = true;
    pkt.connect.will.topic = smq_span_str("will");
    pkt.connect.will.payload = smq_span_str("gone");
    pkt.connect.will.qos = 1;
    smq_props_set_num(&pkt.connect.will.props, SMQ_PROP_WILL_DELAY, delay_s);
    return pkt;
}

static void wills(void **state)
{
    (void)state;
    bed_start(&bed);
    struct smq_packet pkt = with_will("w", 5);
    struct client *c = client_connect_pkt(&bed, &pkt);
    assert_int_equal(rows("w", SMQ_ROW_WILL), 1);
    struct smq_key key = smq_key_session_row(disk_sid(&disk, "w"), SMQ_ROW_WILL);
    struct smq_row_will will;
    assert_true(smq_row_read_will(disk_get(&disk, smq_key_span(&key)), bed.now, &will));
    assert_int_equal(will.delay_s, 5);
    assert_true(span_is(will.content.payload, "gone"));
    client_disconnect(c);
    assert_int_equal(rows("w", SMQ_ROW_WILL), 0);

    c = client_connect_pkt(&bed, &pkt);
    client_break(c);
    assert_int_equal(rows("w", SMQ_ROW_WILL), 1); /* it is delayed */
    bed_pass(&bed, 5100);
    assert_int_equal(rows("w", SMQ_ROW_WILL), 0);

    c = client_connect_pkt(&bed, &pkt);
    client_break(c);
    struct smq_packet without = packet_connect(SMQTT_V5, "w", false);
    smq_props_set_num(&without.connect.props, SMQ_PROP_SESSION_EXPIRY, 1000);
    client_connect_pkt(&bed, &without);
    assert_int_equal(rows("w", SMQ_ROW_WILL), 0);
    bed_stop(&bed);
}

static void qos2_identifiers(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V311, "stays", false);
    disk.by_hand = true;
    client_send_publish(c, "a", "x", 2, false, 7);
    client_expect_none(c);
    bed_commit(&bed, SIZE_MAX);
    client_expect(c, SMQ_PUBREC);
    assert_int_equal(rows("stays", SMQ_ROW_IN), 1);
    client_send_ack(c, SMQ_PUBREL, 7, 0);
    client_expect_none(c);
    client_send_ack(c, SMQ_PUBREL, 7, 0); /* again, before the first is committed */
    client_expect_none(c);
    bed_commit(&bed, SIZE_MAX);
    client_expect(c, SMQ_PUBCOMP);
    client_expect(c, SMQ_PUBCOMP);
    assert_int_equal(rows("stays", SMQ_ROW_IN), 0);
    bed_stop(&bed);
}

static void what_is_retained(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "r", true);
    client_publish(c, "kept", "one", 0, true);
    client_publish(c, "kept", "two", 0, true);
    client_publish(c, "other", "x", 0, true);
    assert_int_equal(disk_count(&disk, SMQ_TABLE_RETAINED, 0, 0), 2);
    uint8_t key[32];
    struct smq_wr wr = smq_wr_of(key, sizeof key);
    smq_key_write_named(&wr, SMQ_TABLE_RETAINED, smq_span_str("kept"));
    struct smq_rd rd = smq_rd_of(disk_get(&disk, smq_wr_span(&wr)));
    struct smq_content content;
    assert_true(smq_row_read_content(&rd, bed.now, &content));
    assert_true(span_is(content.payload, "two"));
    assert_int_not_equal(content.version, 0);
    client_publish(c, "kept", "", 0, true);
    bed_pass(&bed, 25000);
    assert_int_equal(disk_count(&disk, SMQ_TABLE_RETAINED, 0, 0), 1);
    bed_stop(&bed);
}

static void retained_that_expire(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "r", true);
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.topic = smq_span_str("short");
    pkt.publish.payload = smq_span_str("x");
    pkt.publish.retain = true;
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_MESSAGE_EXPIRY, 3);
    client_send(c, &pkt);
    assert_int_equal(disk_count(&disk, SMQ_TABLE_RETAINED, 0, 0), 1);
    bed_pass(&bed, 3100);
    assert_int_equal(disk.n, 0);
    bed_stop(&bed);
}

static void retained_is_not_stored_when_told_so(void **state)
{
    (void)state;
    bed.config.retained_persistence = false;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "r", true);
    client_publish(c, "kept", "one", 0, true);
    assert_int_equal(disk.n_writes, 0);
    bed_stop(&bed);
}

static void what_the_broker_tells_of_itself_is_not_stored(void **state)
{
    (void)state;
    bed.config.sys_interval_s = 5;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "r", true);
    bed_pass(&bed, 20000);
    client_subscribe(c, "$SYS/broker/uptime", 0);
    client_expect_publish(c, "$SYS/broker/uptime", "20 seconds");
    assert_int_equal(disk.n_writes, 0);
    bed_stop(&bed);
}

static void a_store_that_refuses(void **state)
{
    (void)state;
    bed_start(&bed);
    for (unsigned i = 0; i < bed.count; i++) {
        smq_worker_set_store(bed.workers[i], SMQ_STORE_REFUSES, bed.now);
    }
    struct smq_packet pkt = packet_connect(SMQTT_V5, "stays", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 100);
    struct client *c = client_open(&bed, SMQTT_V5);
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x88);
    client_expect_closed(c);
    c = client_connect(&bed, SMQTT_V5, "clean", true);
    client_expect_alive(c);
    assert_int_equal(disk.n_writes, 0);
    bed_stop(&bed);
}

/* What is gated leaves in order, also when several commits are under way. */
static void gates_open_in_order(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V311, "stays", false);
    disk.by_hand = true;
    for (uint16_t id = 1; id <= 9; id++) {
        client_send_publish(c, "a", "x", 2, false, id);
    }
    assert_int_equal(disk.n_waiting, 9);
    for (uint16_t id = 1; id <= 9; id++) {
        client_expect_none(c);
        bed_commit(&bed, 1);
        assert_int_equal(client_expect(c, SMQ_PUBREC)->ack.id, id);
    }
    client_expect_none(c);
    bed_stop(&bed);
}

/* DISCONNECT of the broker comes behind what waits, and the transport is not closed before. */
static void an_end_waits_for_its_gates(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "x", true);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "stays", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 100);
    disk.by_hand = true;
    c = client_open(&bed, SMQTT_V5);
    client_send(c, &pkt);
    bed_shutdown(&bed);
    bed_turn(&bed);
    assert_non_null(c->conn);
    client_expect_none(c);
    bed_commit(&bed, SIZE_MAX);
    client_expect(c, SMQ_CONNACK);
    client_expect(c, SMQ_DISCONNECT);
    client_expect_closed(c);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
        TEST(a_clean_session_is_not_stored),
        TEST(connack_waits_for_the_session),
        TEST(suback_and_unsuback_wait),
        TEST(shared_subscriptions_too),
        TEST(the_end_leaves_nothing),
        TEST(an_end_that_is_not_committed_is_waited_for),
        TEST(an_expired_session_leaves_nothing),
        TEST(wills),
        TEST(qos2_identifiers),
        TEST(what_is_retained),
        TEST(retained_that_expire),
        TEST(retained_is_not_stored_when_told_so),
        TEST(what_the_broker_tells_of_itself_is_not_stored),
        TEST(a_store_that_refuses),
        TEST(gates_open_in_order),
        TEST(an_end_waits_for_its_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
