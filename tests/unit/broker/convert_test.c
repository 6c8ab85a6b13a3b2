/* SPDX-License-Identifier: Apache-2.0 */
/* DETECT that is native on one side of the broker and in the tunnel on the other: real endpoints, and made-up bytes for
 * registered servers. */
#include "tunnel.h"

#include "base/hex.h"
#include "broker/internal.h"

/* ------------------------------------------------------------ real endpoints */

static void seal_and_confirm(struct end *client, struct end *server)
{
    struct end *both[] = {client, server};
    talk(both, 2);
    assert_true(client->open && server->open);
    seal_and_publish(client, "sensors/1", "21 C");
    talk(both, 2);
    assert_string_equal(server->message, "21 C");
    assert_true(client->answered && client->receipt_status == 0);
}

static void ask(struct end *client)
{
    assert_int_equal(smqtt_sealer_start(client->sealer, smq_span_str("sensors/1"), smq_span_str("21 C"), true, bed.now),
                     SMQTT_OK);
}

static void a_client_in_the_tunnel_reaches_a_registered_server(void **state)
{
    (void)state;
    start();
    client_subscribe(spy, "smqtt1/#", 0);
    struct smqtt_identity *id = identity_new("server");
    struct end server, client;
    server_begin(&bed, &server, id, "server", SMQTT_V5);
    client_subscribe(server.c, "sensors/#", 1);
    tunnel_client_begin(&bed, &client, id, "client");
    ask(&client);
    seal_and_confirm(&client, &server);
    assert_int_equal(server.detect_as_publish, 0);
    assert_int_equal(client.detect_as_publish, 2); /* step 2 and acknowledgement */
    assert_int_equal(stats().handshakes, 1);
    assert_int_equal(stats().tunnel_converted, 4);
    assert_int_equal(spied('c'), 0);
    uint8_t cid[SMQ_CID_LEN];
    memcpy(cid, client.cid, sizeof cid);
    assert_int_equal(smqtt_opener_close(server.opener, cid, SMQTT_STATUS_CLOSED, bed.now), SMQTT_OK);
    struct end *both[] = {&client, &server};
    talk(both, 2);
    assert_true(client.closed);
    assert_int_equal(n_relays(), 0);
    end_free(&client);
    end_free(&server);
    smqtt_identity_free(id);
    stop();
}

static void a_native_client_reaches_a_server_in_the_tunnel(void **state)
{
    (void)state;
    start();
    client_subscribe(spy, "smqtt1/#", 0);
    struct smqtt_identity *id = identity_new("server");
    struct end server, client;
    tunnel_server_begin(&bed, &server, id, "server");
    client_subscribe(server.c, "sensors/#", 1);
    client_begin(&bed, &client, id, "client");
    ask(&client);
    seal_and_confirm(&client, &server);
    assert_int_equal(client.detect_as_publish, 0);
    assert_int_equal(server.detect_as_publish, 2);
    assert_int_equal(client.c->conn->session->out.count, 0);
    assert_int_equal(n_listening(), 1);
    assert_int_equal(spied('s'), 2); /* others get it as ever */
    assert_int_equal(smqtt_opener_close(server.opener, client.cid, SMQTT_STATUS_CLOSED, bed.now), SMQTT_OK);
    struct end *both[] = {&client, &server};
    talk(both, 2);
    assert_true(client.closed);
    assert_int_equal(client.detect_as_publish, 0);
    uint64_t subscriptions = stats().subscriptions;
    client_break(client.c); /* with its three, and ours */
    assert_int_equal(n_listening(), 0);
    assert_int_equal(n_relays(), 0);
    assert_true(stats().subscriptions < subscriptions - 1);
    end_free(&client);
    end_free(&server);
    smqtt_identity_free(id);
    stop();
}

static void clients_in_the_tunnel_reach_the_broker_itself(void **state)
{
    (void)state;
    struct smqtt_identity *id = identity_new("broker");
    unsigned line;
    bed.config.identity = id;
    assert_int_equal(smqtt_policy_read(NULL, smq_span_str("# require\n"), &bed.config.identity_policy, &line),
                     SMQTT_OK);
    start();
    client_subscribe(spy, "t", 0);
    for (unsigned i = 0; i < 4; i++) {
        char name[2] = {(char)('a' + i), 0};
        struct end client;
        struct end *one[] = {&client};
        tunnel_client_begin(&bed, &client, id, name);
        assert_int_equal(smqtt_sealer_start(client.sealer, smq_span_str("t"), smq_span_str("hello"), true, bed.now),
                         SMQTT_OK);
        talk(one, 1);
        assert_true(client.open);
        seal_and_publish(&client, "t", "hello");
        talk(one, 1);
        assert_true(client.answered && client.receipt_status == 0);
        client_expect_publish(spy, "t", "hello");
        end_free(&client);
    }
    stop();
    smqtt_policy_free(bed.config.identity_policy);
    smqtt_identity_free(id);
}

static void behind_a_mount_point_it_is_the_same(void **state)
{
    (void)state;
    char mount[] = "site/1/";
    for (int tunnelled = 0; tunnelled <= 1; tunnelled++) {
        bed_init(&bed);
        bed.listener.mount_point = mount;
        start();
        struct smqtt_identity *id = identity_new("server");
        struct end server, client;
        if (tunnelled != 0) {
            server_begin(&bed, &server, id, "server", SMQTT_V5);
            tunnel_client_begin(&bed, &client, id, "client");
        } else {
            tunnel_server_begin(&bed, &server, id, "server");
            client_begin(&bed, &client, id, "client");
        }
        client_subscribe(server.c, "sensors/#", 1);
        ask(&client);
        seal_and_confirm(&client, &server);
        assert_int_equal(client.detect_as_publish, tunnelled != 0 ? 2 : 0);
        end_free(&client);
        end_free(&server);
        smqtt_identity_free(id);
        stop();
    }
}

/* Its name behind a long mount point takes memory when the handshake ends. Without it the subscription for the answers
 * stays, and whoever publishes there then reaches nobody by it. */
static void nothing_comes_to_a_handshake_that_could_not_end(void **state)
{
    (void)state;
    char mount[250];
    memset(mount, 'm', sizeof mount);
    mount[sizeof mount - 2] = '/';
    mount[sizeof mount - 1] = 0;
    for (size_t nth = 1, failed = 1; failed != 0; nth++) {
        bed_init(&bed);
        bed.listener.mount_point = mount;
        start();
        struct client *far = client_connect(&bed, SMQTT_V5, "far", true);
        client_subscribe(far, "smqtt1/+/c/+", 0);
        struct client *c = client_connect(&bed, SMQTT_V5, "c", true);
        native(c, 0x01, CID, 'x');
        client_expect(far, SMQ_PUBLISH);
        assert_int_equal(n_listening(), 1);
        failing_mem_arm(&bed.mem, nth);
        client_break(c);
        failed = failing_mem_has_failed(&bed.mem);
        failing_mem_arm(&bed.mem, 0);
        client_publish(far, topic_of('s', CID), "\x0C\xD1\x01\4\4\4\4\4\4\4\4", 1, false);
        client_expect_alive(far);
        assert_int_equal(n_relays(), 0);
        for (unsigned i = 0; i < bed.count; i++) {
            assert_int_equal(bed.workers[i]->listener->out.count, 0);
        }
        stop();
    }
}

/* ------------------------------------------------------------ made-up bytes */

static struct smqtt_identity *server_id;
static struct end server;

/* A registered server with made-up answers. */
static void begin_registered(void)
{
    start();
    server_id = identity_new("server");
    memcpy(skid, smqtt_identity_skid(server_id), sizeof skid);
    server_begin(&bed, &server, server_id, "server", SMQTT_V5);
    assert_true(server.registered);
    client_drain(server.c);
}

static void end_registered(void)
{
    end_free(&server);
    smqtt_identity_free(server_id);
    stop();
}

static void a_bridge_carries_many(void **state)
{
    (void)state;
    bed.config.detect_burst = 100;
    begin_registered();
    struct client *bridge = client_connect(&bed, SMQTT_V311, "bridge", true);
    struct client *far = client_connect(&bed, SMQTT_V311, "far", true);
    client_subscribe(far, "smqtt1/+/s/+", 1);
    for (uint8_t cid = 1; cid <= 40; cid++) {
        tunnel(bridge, 'c', 0x01, cid);
        expect_native(server.c, 0x03);
    }
    native(bridge, 0x01, 50, 'x'); /* one of its own does not wait for those */
    expect_native(server.c, 0x03);
    for (uint8_t cid = 40; cid >= 1; cid--) {
        native(server.c, 0x0C, cid, 'x');
        expect_tunnel(far, 's', 0x0C, cid);
        tunnel(bridge, 'c', 0x0F, cid);
        expect_native(server.c, 0x0F);
        native(server.c, 0x0E, cid, 'x');
        expect_tunnel(far, 's', 0x0E, cid);
    }
    native(server.c, 0x0C, 50, 'x');
    expect_native(bridge, 0x0C);
    native(bridge, 0x0F, 50, 'x');
    expect_native(server.c, 0x0F);
    native(server.c, 0x0E, 50, 'x'); /* takes the place of none of the others */
    expect_native(bridge, 0x0E);
    assert_int_equal(stats().handshakes, 41);
    assert_int_equal(n_relays(), 41 * (server.c->w == bridge->w ? 1 : 2));
    tunnel(bridge, 'c', 0x0F, 7); /* again, long after */
    expect_native(server.c, 0x0F);
    native(server.c, 0x06, 7, 'x');
    expect_tunnel(far, 's', 0x06, 7);
    native(server.c, 0x06, 7, 'x'); /* and that was its end */
    client_expect_none(far);
    client_expect_alive(server.c);
    client_expect_alive(bridge);
    client_break(bridge);
    assert_int_equal(n_relays(), 0);
    native(server.c, 0x06, 8, 'x');
    client_expect_none(far);
    end_registered();
}

static void noise_from_the_tunnel_is_acknowledged_and_dropped(void **state)
{
    (void)state;
    bed.config.detect_burst = 100;
    begin_registered();
    struct client *bridge = client_connect(&bed, SMQTT_V5, "bridge", true);
    client_subscribe(spy, "smqtt1/#", 0);
    static const uint8_t headers[] = {0x00, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0C, 0x0E, 0x80, 0xFF};
    uint64_t before = stats().tunnel_dropped;
    for (size_t i = 0; i < sizeof headers; i++) {
        tunnel(bridge, 'c', headers[i], CID);
    }
    tunnel_with(bridge, 'c', CID + 1, 0x01, CID, 'x', false); /* about another one */
    tunnel_with(bridge, 'c', CID, 0x01, CID, 'x', true);      /* retained */
    client_publish(bridge, topic_of('c', CID), "\x01\xD1", 1, false);
    client_publish(bridge, topic_of('c', CID), "", 2, false);
    client_publish(bridge, topic_of('c', CID), "\x01", 2, false);
    client_expect_none(server.c);
    client_expect_none(spy);
    assert_int_equal(stats().retained, 0);
    assert_int_equal(stats().tunnel_dropped - before, sizeof headers + 5);
    assert_int_equal(n_relays(), 0);
    /* Copies and forgeries reach the server, who can tell; what a server says to that is no fault of its. */
    tunnel_with(bridge, 'c', CID, 0x01, CID, 'x', false);
    expect_native(server.c, 0x03);
    tunnel_with(bridge, 'c', CID, 0x01, CID, 'y', false);
    expect_native(server.c, 0x03);
    native(server.c, 0x0C, CID, 'x');
    native(server.c, 0x02, CID, 'x');
    native(server.c, 0x0C, CID, 'x');
    tunnel_with(bridge, 'c', CID, 0x07, CID, 'z', false);
    expect_native(server.c, 0x07);
    tunnel_with(bridge, 'c', CID, 0x0F, CID, 'x', false);
    expect_native(server.c, 0x0F);
    native(server.c, 0x0E, CID, 'x');
    client_expect_alive(server.c);
    client_expect_alive(bridge);
    assert_int_equal(spied('s'), 4);
    /* What no server says is one. */
    native(server.c, 0x03, CID, 'x');
    assert_int_equal(client_expect(server.c, SMQ_DISCONNECT)->reasoned.reason, 0x81);
    end_registered();
}

static void too_much_from_the_tunnel_gets_a_hint_and_then_nothing(void **state)
{
    (void)state;
    begin_registered();
    struct client *bridge = client_connect(&bed, SMQTT_V5, "bridge", true);
    client_subscribe(spy, "smqtt1/+/s/+", 0);
    for (unsigned i = 0; i < 300; i++) {
        tunnel(bridge, 'c', 0x01, (uint8_t)(i < 200 ? i : 0)); /* at last the first again */
    }
    size_t reached = 0, hints = 0;
    while (client_next(server.c) != NULL) {
        reached++;
    }
    const struct smq_packet *pkt;
    while ((pkt = client_next(spy)) != NULL) {
        hints +=
            pkt->publish.payload.data[0] == 0x02 && pkt->publish.payload.data[1 + 2 + SMQ_CID_LEN] == SMQTT_STATUS_BUSY;
    }
    assert_int_equal(reached, 8);
    assert_int_equal(hints, 80);
    client_expect_alive(bridge);
    client_drain(spy);
    end_registered();
}

/* Another connection's handshake is not to be had. */
static void a_cid_belongs_to_one_connection(void **state)
{
    (void)state;
    begin_registered();
    struct client *bridge = client_connect(&bed, SMQTT_V5, "bridge", true);
    struct client *other = client_connect(&bed, SMQTT_V5, "other", true);
    tunnel(bridge, 'c', 0x01, CID);
    expect_native(server.c, 0x03);
    tunnel(other, 'c', 0x01, CID);
    client_expect_alive(other);
    if (bed.count == 1) {
        native(other, 0x0F, CID, 'x'); /* it may have come over from the tunnel */
        client_expect_alive(other);
        client_expect_none(server.c);
        native(other, 0x01, CID, 'y');
        expect_retry(other, SMQTT_STATUS_REFUSED);
    }
    client_drain(server.c);
    client_drain(other);
    /* Nor is one that its server forgot: it is a matter of time only. */
    bed_pass(&bed, 31000);
    assert_int_equal(n_relays(), 0);
    end_registered();
}

static void sessions_have_a_ceiling(void **state)
{
    (void)state;
    bed.config.detect_per_minute = 0;
    begin_registered();
    struct client *bridge = client_connect(&bed, SMQTT_V5, "bridge", true);
    client_subscribe(spy, "smqtt1/+/s/+", 1);
    tunnel(bridge, 'c', 0x01, CID);
    native(server.c, 0x0C, CID, 'x');
    tunnel(bridge, 'c', 0x0F, CID);
    native(server.c, 0x0E, CID, 'x');
    client_drain(spy);
    client_drain(server.c);
    uint8_t cids[SMQ_CID_LEN] = {0};
    const size_t more = 10;
    for (unsigned i = 0; i < SMQ_CONVERT_MAX + more; i++) {
        char topic[64], hex[2][20];
        uint8_t payload[1 + BODY_LEN] = {0x01};
        (void)body_write(0x01, 0, 'x', payload + 1);
        cids[0] = (uint8_t)i;
        cids[1] = (uint8_t)(i >> 8);
        memcpy(payload + 5, cids, sizeof cids);
        smq_hex_encode(hex[0], smq_span_of(skid, sizeof skid));
        smq_hex_encode(hex[1], smq_span_of(cids, sizeof cids));
        snprintf(topic, sizeof topic, "smqtt1/%s/c/%s", hex[0], hex[1]);
        struct smq_packet pkt = {.type = SMQ_PUBLISH};
        pkt.publish.topic = smq_span_str(topic);
        pkt.publish.payload = smq_span_of(payload, sizeof payload);
        smq_props_clear(&pkt.publish.props);
        client_send(bridge, &pkt);
        client_drain(server.c);
    }
    size_t both = server.c->w == bridge->w ? 1 : 2; /* entries of one handshake */
    assert_int_equal(n_relays(), SMQ_CONVERT_MAX * both);
    cids[0] = SMQ_CONVERT_MAX - 1; /* the session that was open made room for this one */
    cids[1] = 0;
    assert_non_null(smq_relay_find(bridge->w, skid, cids));
    memset(cids, CID, sizeof cids);
    assert_null(smq_relay_find(bridge->w, skid, cids));
    client_drain(spy);
    bed_pass(&bed, 31000);
    assert_int_equal(n_relays(), 0);
    client_break(server.c);
    end_registered();
}

/* A registered server vouches for itself; of one in the tunnel nobody knows who answered. */
static void what_counts_for_require_detect(void **state)
{
    (void)state;
    struct smq_require_detect rule = {.filter = NULL};
    begin_registered();
    struct client *c = client_connect(&bed, SMQTT_V5, "c", true);
    bed.listener.require_detect = &rule;
    tunnel(c, 'c', 0x01, CID);
    expect_native(server.c, 0x03);
    native(server.c, 0x0C, CID, 'x');
    tunnel(c, 'c', 0x0F, CID);
    expect_native(server.c, 0x0F);
    client_send_publish(c, "t", "x", 1, false, 3);
    assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.reason, 0x87);
    native(server.c, 0x0E, CID, 'x');
    client_publish(c, "t", "x", 1, false);
    client_break(server.c);
    client_send_publish(c, "t", "x", 1, false, 3);
    assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.reason, 0x87);
    struct client *far = client_connect(&bed, SMQTT_V5, "far", true);
    client_subscribe(far, topic_of('c', CID), 1);
    native(c, 0x01, CID, 'x');
    client_send_publish(c, topic_of('s', CID), "\x0C\xD1\x01\4\4\4\4\4\4\4\4", 0, false, 0); /* it answers itself */
    expect_native(c, 0x0C);
    native(c, 0x0F, CID, 'x');
    client_send_publish(c, topic_of('s', CID), "\x0E\xD1\4\4\4\4\4\4\4\4", 0, false, 0);
    expect_native(c, 0x0E);
    client_send_publish(c, "t", "x", 1, false, 3);
    assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.reason, 0x87);
    end_registered();
}

static void without_detect_nothing_is_converted(void **state)
{
    (void)state;
    begin_registered();
    bed.config.detect = false;
    struct client *bridge = client_connect(&bed, SMQTT_V311, "bridge", true);
    client_subscribe(spy, "smqtt1/#", 0);
    tunnel(bridge, 'c', 0x01, CID);
    client_expect_none(server.c);
    assert_int_equal(spied('c'), 1);
    end_registered();
}

/* Nothing of another shape is looked at, and capital digits are another topic. */
static void other_topics_go_where_they_went(void **state)
{
    (void)state;
    begin_registered();
    client_subscribe(spy, "smqtt1/#", 0);
    client_subscribe(spy, "a/#", 0);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", true);
    char topics[6][80];
    for (size_t i = 0; i < 6; i++) {
        snprintf(topics[i], sizeof topics[i], "%s%s", i == 5 ? "a/" : "", topic_of(i == 0 ? 's' : 'c', 0xAB));
    }
    topics[1][7] = (char)(topics[1][7] == '0' ? '1' : '0');
    topics[2][26] = 'A';
    topics[3][41] = 'g';
    topics[4][23] = 'x';
    for (size_t i = 0; i < 6; i++) {
        client_send_publish(c, topics[i], "\x01", 0, false, 0);
        client_expect_publish(spy, topics[i], "\x01");
    }
    client_expect_none(server.c);
    assert_int_equal(stats().tunnel_dropped, 0);
    end_registered();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_client_in_the_tunnel_reaches_a_registered_server, tunnel_setup),
        cmocka_unit_test_setup(a_native_client_reaches_a_server_in_the_tunnel, tunnel_setup),
        cmocka_unit_test_setup(clients_in_the_tunnel_reach_the_broker_itself, tunnel_setup),
        cmocka_unit_test_setup(behind_a_mount_point_it_is_the_same, tunnel_setup),
        cmocka_unit_test(nothing_comes_to_a_handshake_that_could_not_end),
        cmocka_unit_test_setup(a_bridge_carries_many, tunnel_setup),
        cmocka_unit_test_setup(noise_from_the_tunnel_is_acknowledged_and_dropped, tunnel_setup),
        cmocka_unit_test_setup(too_much_from_the_tunnel_gets_a_hint_and_then_nothing, tunnel_setup),
        cmocka_unit_test_setup(a_cid_belongs_to_one_connection, tunnel_setup),
        cmocka_unit_test_setup(sessions_have_a_ceiling, tunnel_setup),
        cmocka_unit_test_setup(what_counts_for_require_detect, tunnel_setup),
        cmocka_unit_test_setup(without_detect_nothing_is_converted, tunnel_setup),
        cmocka_unit_test_setup(other_topics_go_where_they_went, tunnel_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
