/* SPDX-License-Identifier: Apache-2.0 */
/* CONNECT to the end of a session: who gets in, what is kept, when wills fire. */
#include "harness.h"

static const enum smqtt_version versions[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5};

static struct bed bed;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

static struct smq_packet with_will(enum smqtt_version version, const char *id, const char *topic, uint8_t qos)
{
    struct smq_packet pkt = packet_connect(version, id, true);
    pkt.connect.has_will = true;
    pkt.connect.will.topic = smq_span_str(topic);
    pkt.connect.will.payload = smq_span_str("gone");
    pkt.connect.will.qos = qos;
    return pkt;
}

static const struct smq_connack *connack_of(const struct smq_packet *connect, struct client **out)
{
    *out = client_open(&bed, connect->connect.version);
    client_send(*out, connect);
    return &client_expect(*out, SMQ_CONNACK)->connack;
}

static void who_is_let_in(void **state)
{
    (void)state;
    bed.listener.allow_anonymous = false;
    bed_start(&bed);
    for (size_t i = 0; i < 3; i++) {
        struct smq_packet pkt = packet_connect(versions[i], "x", true);
        struct client *c;
        assert_int_equal(connack_of(&pkt, &c)->reason, versions[i] == SMQTT_V5 ? 0x87 : 5);
        client_expect_closed(c);
        bed.listener.allow_anonymous = true; /* then a name and a password do no harm */
        pkt.connect.has_user = pkt.connect.has_password = true;
        pkt.connect.user = smq_span_str("u");
        pkt.connect.password = smq_span_str("p");
        assert_int_equal(connack_of(&pkt, &c)->reason, 0);
        bed.listener.allow_anonymous = false;
        client_disconnect(c);
    }
    bed_stop(&bed);
}

static smqtt_err login(void *ctx, const struct smq_principal *who, const smq_span *password,
                       struct smq_login_work *work)
{
    (void)ctx;
    (void)work;
    if (!who->has_user) {
        return SMQTT_E_NOT_AUTHORIZED;
    }
    return password != NULL && span_is(*password, "secret") ? SMQTT_OK : SMQTT_E_BAD_LOGIN;
}

static void logins_are_asked_of_the_table(void **state)
{
    (void)state;
    static const struct smq_auth auth = {.login = login};
    bed.listener.auth = &auth;
    bed_start(&bed);
    struct client *c;
    struct smq_packet pkt = packet_connect(SMQTT_V5, "x", true);
    assert_int_equal(connack_of(&pkt, &c)->reason, 0x87);
    pkt.connect.has_user = pkt.connect.has_password = true;
    pkt.connect.user = smq_span_str("u");
    pkt.connect.password = smq_span_str("wrong");
    assert_int_equal(connack_of(&pkt, &c)->reason, 0x86);
    pkt.connect.version = SMQTT_V311;
    assert_int_equal(connack_of(&pkt, &c)->reason, 4);
    pkt.connect.password = smq_span_str("secret");
    assert_int_equal(connack_of(&pkt, &c)->reason, 0);
    bed_stop(&bed);
}

static void what_version_5_is_told(void **state)
{
    (void)state;
    bed.config.max_packet_size = 1000;
    bed.listener.first_bad_qos = 2;
    bed.config.retain_available = false;
    bed.config.max_keepalive = 100;
    bed_start(&bed);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "", true);
    struct client *c;
    const struct smq_connack *ack = connack_of(&pkt, &c);
    assert_int_equal(ack->reason, 0);
    assert_int_equal(smq_props_num(&ack->props, SMQ_PROP_MAXIMUM_PACKET_SIZE, 0), 1000);
    assert_int_equal(smq_props_num(&ack->props, SMQ_PROP_MAXIMUM_QOS, 2), 1);
    assert_int_equal(smq_props_num(&ack->props, SMQ_PROP_RETAIN_AVAILABLE, 1), 0);
    assert_int_equal(smq_props_num(&ack->props, SMQ_PROP_SERVER_KEEP_ALIVE, 0), 100);
    assert_int_equal(smq_props_num(&ack->props, SMQ_PROP_RECEIVE_MAXIMUM, 0), 1024);
    assert_int_equal(smq_props_num(&ack->props, SMQ_PROP_TOPIC_ALIAS_MAXIMUM, 0), 10);
    assert_true(smq_props_bytes(&ack->props, SMQ_PROP_ASSIGNED_CLIENT_ID).len > 8);
    struct smq_rd it = smq_rd_of(ack->props.raw);
    smq_span name, value;
    assert_true(smq_props_next_user(&it, &name, &value));
    assert_true(span_is(name, "smqtt-detect") && span_is(value, "1"));
    bed_stop(&bed);
}

static void refused_connects(void **state)
{
    (void)state;
    bed.listener.demand_client_id = true;
    bed_start(&bed);
    struct client *c;
    struct smq_packet pkt = packet_connect(SMQTT_V5, "", true);
    assert_int_equal(connack_of(&pkt, &c)->reason, 0x85);
    pkt = packet_connect(SMQTT_V311, "", true);
    assert_int_equal(connack_of(&pkt, &c)->reason, 2);
    pkt = packet_connect(SMQTT_V5, "x", true);
    smq_props_set_bytes(&pkt.connect.props, SMQ_PROP_AUTH_METHOD, smq_span_str("SCRAM"));
    assert_int_equal(connack_of(&pkt, &c)->reason, 0x8C);
    pkt = with_will(SMQTT_V5, "x", "$SYS/x", 0);
    assert_int_equal(connack_of(&pkt, &c)->reason, 0x90);
    /* An unknown version is answered in the form that all understand. */
    static const uint8_t version9[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 9, 2, 0, 60, 0, 1, 'x'};
    c = client_open(&bed, SMQTT_V311);
    client_feed(c, version9, sizeof version9);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 1);
    client_expect_closed(c);
    bed_stop(&bed);
}

static void a_session_stays_or_ends(void **state)
{
    (void)state;
    bed_start(&bed);
    for (size_t i = 0; i < 3; i++) {
        struct client *c = client_connect(&bed, versions[i], "keeper", false);
        client_subscribe(c, "t", 1);
        client_break(c);
        struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
        client_publish(pub, "t", "1", 1, false);
        client_publish(pub, "t", "2", 1, false);
        client_publish(pub, "t", "0", 0, false); /* not kept */
        struct smq_packet pkt = packet_connect(versions[i], "keeper", false);
        bool present = versions[i] != SMQTT_V31; /* which has no such flag */
        assert_int_equal(connack_of(&pkt, &c)->session_present, present);
        client_take(c, "t", "1", 1);
        client_take(c, "t", "2", 1);
        client_expect_none(c);
        client_disconnect(c);
        pkt = packet_connect(versions[i], "keeper", true);
        assert_false(connack_of(&pkt, &c)->session_present);
        client_publish(pub, "t", "3", 1, false);
        client_expect_none(c);
        client_disconnect(c);
        client_disconnect(pub);
    }
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.subscriptions, 0);
    assert_int_equal(stats.memory_bytes, 0);
    bed_stop(&bed);
}

static void a_session_of_version_5_expires(void **state)
{
    (void)state;
    bed_start(&bed);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "x", false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 10);
    struct client *c = client_connect_pkt(&bed, &pkt);
    client_break(c);
    bed_pass(&bed, 9000);
    assert_true(connack_of(&pkt, &c)->session_present);
    client_break(c);
    bed_pass(&bed, 10001);
    assert_false(connack_of(&pkt, &c)->session_present);
    /* DISCONNECT may change it, but not from nothing. */
    struct smq_packet bye = {.type = SMQ_DISCONNECT};
    smq_props_clear(&bye.reasoned.props);
    smq_props_set_num(&bye.reasoned.props, SMQ_PROP_SESSION_EXPIRY, 0);
    client_send(c, &bye);
    assert_false(connack_of(&pkt, &c)->session_present);
    client_disconnect(c);
    pkt = packet_connect(SMQTT_V5, "y", false);
    c = client_connect_pkt(&bed, &pkt);
    smq_props_set_num(&bye.reasoned.props, SMQ_PROP_SESSION_EXPIRY, 5);
    client_send(c, &bye);
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, 0x82);
    bed_stop(&bed);
}

static void sessions_of_3x_expire_when_told(void **state)
{
    (void)state;
    bed.config.persistent_client_expiration_s = 60;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V311, "x", false);
    client_break(c);
    bed_pass(&bed, 61000);
    struct smq_packet pkt = packet_connect(SMQTT_V311, "x", false);
    assert_false(connack_of(&pkt, &c)->session_present);
    bed_stop(&bed);
}

static void takeover(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *watch = client_connect(&bed, SMQTT_V5, "watch", true);
    client_subscribe(watch, "wills/#", 0);
    struct smq_packet pkt = with_will(SMQTT_V5, "x", "wills/x", 0);
    struct client *first = client_connect_pkt(&bed, &pkt), *second;
    connack_of(&pkt, &second);
    assert_int_equal(client_expect(first, SMQ_DISCONNECT)->reasoned.reason, 0x8E);
    client_expect_closed(first);
    client_take(watch, "wills/x", "gone", 0);
    client_expect_alive(second);
    /* A storm of them, with subscriptions and messages in between. */
    for (size_t i = 0; i < 300; i++) {
        struct client *c = client_open(&bed, versions[i % 3]);
        struct smq_packet storm = packet_connect(versions[i % 3], "storm", i % 2 == 0);
        client_send(c, &storm);
        client_drain(c);
        if (i % 3 != 0) {
            client_subscribe(c, "s/#", 2);
        }
        client_send_publish(c, "s/1", "x", (uint8_t)(i % 3), i % 5 == 0, i % 3 != 0 ? 5 : 0);
        for (size_t k = 0; k < BED_CLIENTS; k++) {
            client_drain(&bed.clients[k]);
        }
    }
    client_expect_alive(watch);
    client_expect_alive(second);
    bed_stop(&bed);
}

static void a_session_is_not_taken_by_another_user(void **state)
{
    (void)state;
    bed_start(&bed);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "x", true);
    pkt.connect.has_user = true;
    pkt.connect.user = smq_span_str("alice");
    struct client *alice = client_connect_pkt(&bed, &pkt), *other;
    pkt.connect.user = smq_span_str("mallory");
    assert_int_equal(connack_of(&pkt, &other)->reason, 0x87);
    client_expect_alive(alice);
    pkt.connect.user = smq_span_str("alice");
    assert_int_equal(connack_of(&pkt, &other)->reason, 0);
    client_expect_closed(alice);
    pkt.connect.has_user = false; /* nobody in particular */
    assert_int_equal(connack_of(&pkt, &alice)->reason, 0);
    bed_stop(&bed);
}

static void wills_fire_when_they_should(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *watch = client_connect(&bed, SMQTT_V5, "watch", true);
    client_subscribe(watch, "w", 1);
    for (size_t i = 0; i < 3; i++) {
        struct smq_packet pkt = with_will(versions[i], "x", "w", 1);
        struct client *c = client_connect_pkt(&bed, &pkt);
        client_disconnect(c);
        client_expect_none(watch); /* [MQTT-3.14.4-3] */
        c = client_connect_pkt(&bed, &pkt);
        client_break(c);
        client_take(watch, "w", "gone", 1);
        c = client_connect_pkt(&bed, &pkt);
        client_feed(c, "\xF0\x00\x00", 3); /* a broken packet is no farewell */
        client_take(watch, "w", "gone", 1);
    }
    struct smq_packet pkt = with_will(SMQTT_V5, "x", "w", 1);
    struct client *c = client_connect_pkt(&bed, &pkt);
    struct smq_packet bye = {.type = SMQ_DISCONNECT};
    bye.reasoned.reason = 0x04;
    smq_props_clear(&bye.reasoned.props);
    client_send(c, &bye);
    client_take(watch, "w", "gone", 1);
    bed_stop(&bed);
}

static struct client *connect_delayed(uint32_t delay_s, uint32_t expiry_s)
{
    struct smq_packet pkt = with_will(SMQTT_V5, "x", "w", 1);
    pkt.connect.clean_start = false;
    smq_props_set_num(&pkt.connect.will.props, SMQ_PROP_WILL_DELAY, delay_s);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, expiry_s);
    return client_connect_pkt(&bed, &pkt);
}

static void wills_wait_for_their_delay(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *watch = client_connect(&bed, SMQTT_V5, "watch", true);
    client_subscribe(watch, "w", 1);
    client_break(connect_delayed(10, 100));
    bed_pass(&bed, 9000);
    client_expect_none(watch);
    struct client *c = connect_delayed(10, 100); /* back in time */
    bed_pass(&bed, 30000);
    client_expect_none(watch);
    client_break(c);
    bed_pass(&bed, 10001);
    client_take(watch, "w", "gone", 1);
    bed_pass(&bed, 200000);
    client_expect_none(watch);
    /* The session ends first, or at once, or in the same moment. */
    client_break(connect_delayed(50, 5));
    bed_pass(&bed, 5001);
    client_take(watch, "w", "gone", 1);
    client_break(connect_delayed(7, 7));
    bed_pass(&bed, 7001);
    client_take(watch, "w", "gone", 1);
    client_break(connect_delayed(7, 0));
    client_take(watch, "w", "gone", 1);
    /* Someone starts anew under the name: the old session ends. */
    client_break(connect_delayed(50, 100));
    client_connect(&bed, SMQTT_V5, "x", true);
    client_take(watch, "w", "gone", 1);
    bed_pass(&bed, 200000);
    client_expect_none(watch);
    bed_stop(&bed);
}

static void silence_ends_a_connection(void **state)
{
    (void)state;
    bed.config.packet_timeout_s = 20;
    bed_start(&bed);
    struct client *c = client_open(&bed, SMQTT_V311); /* no CONNECT */
    client_feed(c, "\x10", 1);
    bed_pass(&bed, 9999);
    assert_non_null(c->conn);
    bed_pass(&bed, 2);
    client_expect_closed(c);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "x", true);
    pkt.connect.keep_alive = 10;
    c = client_connect_pkt(&bed, &pkt);
    bed_pass(&bed, 14000);
    client_expect_alive(c);
    bed_pass(&bed, 14999);
    assert_non_null(c->conn);
    bed_pass(&bed, 2);
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, 0x8D);
    client_expect_closed(c);
    /* A packet that does not end: one byte now and then does not help. */
    pkt.connect.keep_alive = 0;
    c = client_connect_pkt(&bed, &pkt);
    client_feed(c, "\x30\x7F\x00\x01t", 5);
    for (size_t i = 0; i < 4 && c->conn != NULL; i++) {
        bed_pass(&bed, 6000);
        client_feed(c, "x", 1);
    }
    client_expect_closed(c);
    bed_stop(&bed);
}

static void a_client_belongs_to_one_worker(void **state)
{
    (void)state;
    bed.env.count = 4;
    bed.env.index = 1;
    bed_start(&bed);
    size_t here = 0, elsewhere = 0;
    for (size_t i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof id, "client-%zu", i);
        struct smq_packet pkt = packet_connect(SMQTT_V5, id, true);
        struct client *c = client_open(&bed, SMQTT_V5);
        client_send(c, &pkt);
        if (c->conn == NULL) {
            assert_int_equal(c->fate, SMQ_FATE_HANDOVER);
            assert_true(c->owner < 4 && c->owner != 1);
            client_expect_none(c);
            elsewhere++;
        } else {
            here++;
        }
    }
    assert_true(here > 0 && elsewhere > here);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "", true);
    for (size_t i = 0; i < 5; i++) { /* assigned ones belong to who assigned them */
        struct client *c, *again;
        smq_span id = smq_props_bytes(&connack_of(&pkt, &c)->props, SMQ_PROP_ASSIGNED_CLIENT_ID);
        struct smq_packet named = packet_connect(SMQTT_V5, "", true);
        named.connect.client_id = id;
        assert_int_equal(connack_of(&named, &again)->reason, 0);
    }
    bed_stop(&bed);
}

static void handover_takes_nothing(void **state)
{
    (void)state;
    bed.env.count = 2;
    bed_start(&bed);
    static const uint8_t bytes[] = {0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 1, 'a', 0xC0, 0};
    for (uint8_t i = 'a'; i <= 'z'; i++) {
        uint8_t copy[sizeof bytes];
        memcpy(copy, bytes, sizeof bytes);
        copy[14] = i;
        struct smq_conn *conn;
        size_t used, need;
        struct client *c = client_open(&bed, SMQTT_V311);
        conn = c->conn;
        smq_worker_feed(bed.w, conn, smq_span_of(copy, sizeof copy), &used, &need, bed.now);
        bool handed_over = smq_conn_fate(conn, NULL) == SMQ_FATE_HANDOVER;
        assert_int_equal(used, handed_over ? 0 : sizeof bytes);
        bed_turn(&bed);
    }
    bed_stop(&bed);
}

static void shutdown_says_so(void **state)
{
    (void)state;
    bed_start(&bed);
    struct smq_packet pkt = with_will(SMQTT_V5, "x", "w", 1);
    struct client *watch = client_connect(&bed, SMQTT_V5, "watch", true);
    client_subscribe(watch, "w", 0);
    struct client *c = client_connect_pkt(&bed, &pkt), *old = client_connect(&bed, SMQTT_V311, "old", true);
    bed_shutdown(&bed);
    bed_turn(&bed);
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, 0x8B);
    client_expect_none(old);
    client_expect_closed(c);
    client_expect_closed(old);
    bed_stop(&bed);
}

static void connections_are_limited(void **state)
{
    (void)state;
    bed.config.max_connections = 2;
    bed.listener.max_connections = 1; /* is the shell's to see to */
    bed_start(&bed);
    struct client *a = client_connect(&bed, SMQTT_V5, "a", true);
    client_connect(&bed, SMQTT_V5, "b", true);
    assert_null(client_open(&bed, SMQTT_V5));
    client_break(a);
    assert_non_null(client_open(&bed, SMQTT_V5));
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_is_let_in, setup),
        cmocka_unit_test_setup(logins_are_asked_of_the_table, setup),
        cmocka_unit_test_setup(what_version_5_is_told, setup),
        cmocka_unit_test_setup(refused_connects, setup),
        cmocka_unit_test_setup(a_session_stays_or_ends, setup),
        cmocka_unit_test_setup(a_session_of_version_5_expires, setup),
        cmocka_unit_test_setup(sessions_of_3x_expire_when_told, setup),
        cmocka_unit_test_setup(takeover, setup),
        cmocka_unit_test_setup(a_session_is_not_taken_by_another_user, setup),
        cmocka_unit_test_setup(wills_fire_when_they_should, setup),
        cmocka_unit_test_setup(wills_wait_for_their_delay, setup),
        cmocka_unit_test_setup(silence_ends_a_connection, setup),
        cmocka_unit_test_setup(a_client_belongs_to_one_worker, setup),
        cmocka_unit_test_setup(handover_takes_nothing, setup),
        cmocka_unit_test_setup(shutdown_says_so, setup),
        cmocka_unit_test_setup(connections_are_limited, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
