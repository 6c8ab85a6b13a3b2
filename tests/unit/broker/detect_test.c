/* SPDX-License-Identifier: Apache-2.0 */
/* Native DETECT through the worker with made-up bytes: what is passed on to whom, and what is refused. */
#include "broker/conn.h"
#include "detect/relay.h"
#include "ends.h"

enum { CID = 4, BODY_LEN = 60 };

static struct bed bed;
static struct client *healthy;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

static void start(void)
{
    bed_start(&bed);
    healthy = client_connect(&bed, SMQTT_V5, "healthy", true);
    client_subscribe(healthy, "#", 1);
}

static void stop(void)
{
    client_drain(healthy);
    client_expect_alive(healthy);
    bed_stop(&bed);
}

static struct smqtt_identity *relay_id;
static struct end relay_server;
static struct client *client;

static void relay_begin(void)
{
    start();
    relay_id = identity_new("relay");
    server_begin(&bed, &relay_server, relay_id, "server", SMQTT_V5);
    assert_true(relay_server.registered);
    client = client_connect(&bed, SMQTT_V5, "client", true);
}

static void relay_end(void)
{
    end_free(&relay_server);
    smqtt_identity_free(relay_id);
    stop();
}

static void detect(struct client *c, uint8_t header, uint8_t cid, uint8_t filler, const uint8_t *skid)
{
    uint8_t body[BODY_LEN];
    memset(body, filler, sizeof body);
    struct smq_wr wr = smq_wr_of(body, sizeof body);
    bool start_or_step2 = header == 1 || header == 2 || header == 4 || header == 0x0C;
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    if (start_or_step2) {
        smq_wr_u8(&wr, 1);
    }
    if (header == 1) {
        smq_wr_u16(&wr, 0x0400);
    }
    uint8_t cids[SMQ_CID_LEN];
    memset(cids, cid, sizeof cids);
    smq_wr_bytes(&wr, cids, sizeof cids);
    if (header == 1 || header == 7 || header == 0x0F) {
        smq_wr_bytes(&wr, skid != NULL ? skid : smqtt_identity_skid(relay_id), SMQTT_SKID_LEN);
    }
    struct smq_packet pkt = {.type = SMQ_DETECT};
    pkt.detect.header = header;
    pkt.detect.body = smq_span_of(body, sizeof body);
    client_send(c, &pkt);
}

static void expect_detect(struct client *c, uint8_t header)
{
    assert_int_equal(client_expect(c, SMQ_DETECT)->detect.header, header);
}

static void expect_retry(struct client *c, uint8_t status)
{
    const struct smq_detect_pkt *p = &client_expect(c, SMQ_DETECT)->detect;
    assert_int_equal(p->header, 2);
    assert_int_equal(p->body.data[2 + SMQ_CID_LEN], status);
}

static void expect_kicked(struct client *c, uint8_t reason)
{
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, reason);
    client_expect_closed(c);
}

static void step(struct client *from, uint8_t header, struct client *to, uint8_t arrives)
{
    detect(from, header, CID, 'x', NULL);
    expect_detect(to, arrives);
}

static void steps_in_order(void **state)
{
    (void)state;
    relay_begin();
    struct client *server = relay_server.c;
    step(client, 0x01, server, 0x03); /* relabelled */
    step(client, 0x01, server, 0x03); /* the same bytes again */
    step(server, 0x0C, client, 0x0C);
    step(server, 0x0C, client, 0x0C);
    step(client, 0x0F, server, 0x0F);
    step(client, 0x0F, server, 0x0F);
    step(server, 0x0E, client, 0x0E);
    step(client, 0x0F, server, 0x0F);
    step(server, 0x0E, client, 0x0E);
    step(server, 0x06, client, 0x06);
    detect(server, 0x06, CID, 'x', NULL); /* its client is gone: nothing happens */
    client_expect_alive(server);
    client_expect_none(client);
    relay_end();
}

/* A client that is not read for a while, because of a message of its own, still gets what is for it. */
static void who_is_not_read_is_written_to(void **state)
{
    (void)state;
    relay_begin();
    struct client *server = relay_server.c;
    step(client, 0x01, server, 0x03);
    step(server, 0x0C, client, 0x0C);
    step(client, 0x0F, server, 0x0F);
    client->conn->stalled = true;
    assert_true(smq_conn_paused(client->conn));
    step(server, 0x0E, client, 0x0E);
    client->conn->stalled = false;
    relay_end();
}

static void steps_out_of_order(void **state)
{
    (void)state;
    /* What was sent before, then what comes: from the client or from the server, who is ended for it. */
    static const struct {
        const char *before; /* s: step 0, a: step 2, v: step 3, k: acknowledgement */
        uint8_t header;
        bool by_server;
        uint8_t filler;
    } wrong[] = {
        {"", 0x0C, false, 'x'},    {"", 0x0E, false, 'x'},     {"s", 0x01, false, 'y'},   {"s", 0x0F, false, 'x'},
        {"s", 0x07, false, 'x'},   {"s", 0x0E, true, 'x'},     {"s", 0x06, true, 'x'},    {"sa", 0x0C, true, 'y'},
        {"sa", 0x04, true, 'x'},   {"sa", 0x02, true, 'x'},    {"sa", 0x0E, true, 'x'},   {"sa", 0x06, true, 'x'},
        {"sa", 0x01, false, 'y'},  {"sav", 0x0F, false, 'y'},  {"sav", 0x07, false, 'x'}, {"sav", 0x0C, true, 'y'},
        {"savk", 0x02, true, 'x'}, {"savk", 0x07, false, 'x'},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(wrong); i++) {
        bed_init(&bed);
        relay_begin();
        struct client *server = relay_server.c;
        for (const char *at = wrong[i].before; *at != '\0'; at++) {
            switch (*at) {
            case 's':
                step(client, 0x01, server, 0x03);
                break;
            case 'a':
                step(server, 0x0C, client, 0x0C);
                break;
            case 'v':
                step(client, 0x0F, server, 0x0F);
                break;
            default:
                step(server, 0x0E, client, 0x0E);
                break;
            }
        }
        struct client *bad = wrong[i].by_server ? server : client, *good = wrong[i].by_server ? client : server;
        detect(bad, wrong[i].header, CID, wrong[i].filler, NULL);
        expect_kicked(bad, 0x81);
        client_expect_alive(good);
        client_drain(bad);
        relay_end();
    }
}

static void text_that_does_not_survive_ends_access(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        bed_init(&bed);
        bed.config.on_mismatch = i == 2 ? SMQ_MISMATCH_REFUSE : SMQ_MISMATCH_DISCONNECT;
        relay_begin();
        struct client *server = relay_server.c;
        step(client, 0x01, server, 0x03);
        step(server, 0x04, client, 0x04);
        if (i == 3) {
            detect(client, 0x0F, CID, 'x', NULL); /* does not believe it */
            expect_kicked(client, 0x81);
        } else if (i == 1) {
            bed_pass(&bed, 5001); /* says nothing */
            expect_kicked(client, 0x99);
        } else {
            detect(client, 0x07, CID, 'x', NULL);
            expect_detect(server, 0x07);
            if (i == 2) {
                client_expect_alive(client);
            } else {
                expect_kicked(client, 0x99);
            }
        }
        client_expect_alive(server);
        relay_end();
    }
}

/* Nobody escapes that by turning to another server. */
static void no_other_handshake_saves_access(void **state)
{
    (void)state;
    static const uint8_t other[SMQTT_SKID_LEN] = {1, 2, 3};
    for (uint8_t header = 0x01; header <= 0x0F; header = (uint8_t)(header + 0x0E)) {
        bed_init(&bed);
        relay_begin();
        step(client, 0x01, relay_server.c, 0x03);
        step(relay_server.c, 0x04, client, 0x04);
        detect(client, header, CID + 1, 'x', other);
        if (header == 0x01) {
            expect_retry(client, SMQTT_STATUS_BUSY);
        } else {
            client_expect_none(client);
        }
        bed_pass(&bed, 5001);
        expect_kicked(client, 0x99);
        relay_end();
    }
}

static void who_may_answer(void **state)
{
    (void)state;
    relay_begin();
    struct client *other = client_connect(&bed, SMQTT_V5, "other", true);
    step(client, 0x01, relay_server.c, 0x03);
    detect(other, 0x01, CID, 'x', NULL); /* the cid is in use */
    expect_retry(other, SMQTT_STATUS_REFUSED);
    client_expect_none(relay_server.c);
    detect(other, 0x0F, CID, 'x', NULL);
    expect_kicked(other, 0x81);
    struct smqtt_identity *id = identity_new("second");
    struct end second;
    server_begin(&bed, &second, id, "second", SMQTT_V5);
    assert_true(second.registered);
    detect(second.c, 0x0C, CID, 'x', NULL); /* a server, but not that one */
    client_expect_none(client);
    step(relay_server.c, 0x0C, client, 0x0C);
    other = client_connect(&bed, SMQTT_V5, "other", true);
    detect(other, 0x0F, CID, 'x', NULL); /* the step that is awaited, but not from here */
    expect_kicked(other, 0x81);
    client_expect_none(relay_server.c);
    step(client, 0x0F, relay_server.c, 0x0F);
    client_break(relay_server.c);
    detect(client, 0x01, CID + 1, 'x', NULL);
    expect_retry(client, SMQTT_STATUS_UNKNOWN_SERVER);
    end_free(&second);
    smqtt_identity_free(id);
    relay_end();
}

static void other_keys_take_the_place(void **state)
{
    (void)state;
    relay_begin();
    struct smqtt_identity *id = identity_new("second");
    struct end second;
    server_begin(&bed, &second, id, "second", SMQTT_V5);
    step(client, 0x01, relay_server.c, 0x03);
    detect(client, 0x01, CID + 1, 'x', smqtt_identity_skid(id)); /* the client has learnt of a successor */
    expect_detect(second.c, 0x03);
    detect(relay_server.c, 0x0C, CID, 'x', NULL); /* too late */
    client_expect_none(client);
    detect(second.c, 0x0C, CID + 1, 'x', NULL);
    expect_detect(client, 0x0C);
    end_free(&second);
    smqtt_identity_free(id);
    relay_end();
}

static void one_at_a_time_and_not_too_many(void **state)
{
    (void)state;
    bed.config.detect_burst = 20;
    relay_begin();
    struct client *server = relay_server.c;
    step(client, 0x01, server, 0x03);
    detect(client, 0x01, CID + 1, 'x', NULL);
    expect_retry(client, SMQTT_STATUS_BUSY);
    bed_pass(&bed, 10001); /* by now the first was given up */
    detect(client, 0x01, CID + 1, 'x', NULL);
    expect_detect(server, 0x03);
    detect(server, 0x0C, CID, 'x', NULL); /* too late */
    client_expect_none(client);
    detect(server, 0x02, CID + 1, 'x', NULL);
    expect_detect(client, 0x02);
    /* A flood: hints, and then the end. */
    size_t hints = 0;
    for (size_t i = 0; i < 1000 && client->conn != NULL; i++) {
        detect(client, 0x01, (uint8_t)i, 'y', NULL);
        detect(server, 0x02, (uint8_t)i, 'y', NULL);
    }
    const struct smq_packet *pkt;
    while ((pkt = client_next(client)) != NULL && pkt->type == SMQ_DETECT) {
        hints += pkt->detect.body.data[2 + SMQ_CID_LEN] == SMQTT_STATUS_BUSY;
    }
    assert_true(hints >= 100 && hints <= 250);
    assert_non_null(pkt);
    assert_int_equal(pkt->reasoned.reason, 0x96);
    size_t reached = 0;
    while ((pkt = client_next(server)) != NULL) {
        reached++;
    }
    assert_true(reached <= 20);
    client = client_connect(&bed, SMQTT_V5, "client", true); /* others are served */
    step(client, 0x01, server, 0x03);
    relay_end();
}

static void entries_do_not_live_for_ever(void **state)
{
    (void)state;
    relay_begin();
    struct client *server = relay_server.c;
    step(client, 0x01, server, 0x03);
    bed_pass(&bed, 30001);
    detect(server, 0x0C, CID, 'x', NULL);
    client_expect_none(client);
    detect(client, 0x01, CID, 'z', NULL); /* the cid is free again */
    expect_detect(server, 0x03);
    step(server, 0x0C, client, 0x0C);
    step(client, 0x0F, server, 0x0F);
    step(server, 0x0E, client, 0x0E);
    bed_pass(&bed, 3600000);
    uint8_t cid = CID + 1; /* an open one stays, until the next with the same server takes its place */
    detect(client, 0x01, cid, 'x', NULL);
    expect_detect(server, 0x03);
    detect(server, 0x0C, cid, 'x', NULL);
    expect_detect(client, 0x0C);
    step(client, 0x0F, server, 0x0F);
    step(server, 0x0E, client, 0x0E);
    detect(client, 0x0F, cid, 'x', NULL);
    expect_detect(server, 0x0F);
    detect(server, 0x0E, cid, 'x', NULL);
    expect_detect(client, 0x0E);
    detect(server, 0x06, CID, 'x', NULL);
    client_expect_none(client);
    detect(server, 0x06, cid, 'x', NULL);
    expect_detect(client, 0x06);
    relay_end();
}

static void a_late_verdict_is_passed_on(void **state)
{
    (void)state;
    relay_begin();
    struct client *server = relay_server.c;
    step(client, 0x01, server, 0x03);
    step(server, 0x0C, client, 0x0C);
    step(client, 0x0F, server, 0x0F);
    client_break(client); /* before the acknowledgement */
    client = client_connect(&bed, SMQTT_V5, "client", true);
    step(client, 0x0F, server, 0x0F);
    step(server, 0x0E, client, 0x0E);
    relay_end();
}

static void handshakes_that_are_required(void **state)
{
    (void)state;
    char filter[] = "secure/#";
    struct smq_require_detect rule = {.filter = filter};
    start();
    bed.listener.require_detect = &rule;
    relay_id = identity_new("relay");
    server_begin(&bed, &relay_server, relay_id, "server", SMQTT_V5); /* registration is exempt */
    assert_true(relay_server.registered);
    client = client_connect(&bed, SMQTT_V5, "client", true);
    struct client *server = relay_server.c, *old = client_connect(&bed, SMQTT_V311, "old", true);
    client_publish(client, "plain", "x", 1, false);
    client_subscribe(client, "smqtt1/0011223344556677/s/+", 1);
    rule.filter = NULL; /* everything but what S-MQTT itself needs */
    client_subscribe(client, "smqtt1/0011223344556677/n/+", 1);
    client_subscribe(old, "smqtt1/0011223344556677/c/+", 1);
    client_subscribe(client, "smqtt1/0011223344556677/d", 1);
    static const char *const others[] = {"smqtt1/chat",
                                         "smqtt1/0011223344556677",
                                         "smqtt1/0011223344556677/x/1",
                                         "smqtt1/0011223344556677/n1",
                                         "smqtt1/001122334455667/n/11",
                                         "smqtt1/001122334455667G/n/1"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(others); i++) {
        client_send_publish(client, others[i], "x", 1, false, 3);
        assert_int_equal(client_expect(client, SMQ_PUBACK)->ack.reason, 0x87);
    }
    client_publish(client, "smqtt1/0011223344556677/c/0011223344556677", "x", 1, false);
    client_expect(old, SMQ_PUBLISH);
    client_send_publish(client, "plain", "x", 1, false, 3);
    assert_int_equal(client_expect(client, SMQ_PUBACK)->ack.reason, 0x87);
    rule.filter = filter;
    client_send_publish(client, "secure/1", "x", 1, false, 3);
    assert_int_equal(client_expect(client, SMQ_PUBACK)->ack.reason, 0x87);
    client_send_publish(old, "secure/1", "x", 1, false, 3);
    client_expect_closed(old);
    struct smq_filter filters[] = {
        {smq_span_str("#"), 0}, {smq_span_str("secure"), 0}, {smq_span_str("+/1"), 0}, {smq_span_str("plain/#"), 0}};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 1;
    pkt.subscribe.n = 4;
    pkt.subscribe.filters = filters;
    smq_props_clear(&pkt.subscribe.props);
    client_send(client, &pkt);
    static const uint8_t codes[] = {0x87, 0x87, 0x87, 0};
    assert_memory_equal(client_expect(client, SMQ_SUBACK)->suback.codes.data, codes, 4);
    step(client, 0x01, server, 0x03);
    step(server, 0x0C, client, 0x0C);
    step(client, 0x0F, server, 0x0F);
    client_send_publish(client, "secure/1", "x", 1, false, 3); /* not yet acknowledged */
    assert_int_equal(client_expect(client, SMQ_PUBACK)->ack.reason, 0x87);
    step(server, 0x0E, client, 0x0E);
    client_publish(client, "secure/1", "x", 1, false);
    /* One that names other servers. */
    uint8_t skids[1][SMQTT_SKID_LEN] = {{1, 2, 3}};
    rule.skids = skids;
    rule.n_skids = 1;
    client_send_publish(client, "secure/1", "x", 1, false, 3);
    assert_int_equal(client_expect(client, SMQ_PUBACK)->ack.reason, 0x87);
    memcpy(skids[0], smqtt_identity_skid(relay_id), SMQTT_SKID_LEN);
    client_publish(client, "secure/1", "x", 1, false);
    client_break(server); /* with the server the session goes */
    client_send_publish(client, "secure/1", "x", 1, false, 3);
    assert_int_equal(client_expect(client, SMQ_PUBACK)->ack.reason, 0x87);
    end_free(&relay_server);
    smqtt_identity_free(relay_id);
    stop();
}

static void detect_may_be_switched_off(void **state)
{
    (void)state;
    bed.config.detect = false;
    start();
    struct smq_packet pkt = packet_connect(SMQTT_V5, "x", true);
    struct client *c = client_open(&bed, SMQTT_V5);
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.props.present & 1u << SMQ_PROP_USER_PROPERTY, 0);
    relay_id = identity_new("relay");
    detect(c, 0x01, CID, 'x', NULL);
    expect_kicked(c, 0x81);
    smqtt_identity_free(relay_id);
    stop();
}

static void every_flipped_bit_of_step0_harms_nobody_else(void **state)
{
    (void)state;
    relay_begin();
    uint8_t good[] = {
        0x01, 28, SMQ_DETECT_VER, 1, 4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
    memcpy(good + 14, smqtt_identity_skid(relay_id), SMQTT_SKID_LEN);
    for (size_t bit = 0; bit < sizeof good * 8; bit++) {
        uint8_t bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct client *c = client_connect(&bed, SMQTT_V5, "flip", true);
        client_feed(c, bad, sizeof bad);
        client_drain(c);
        if (c->conn != NULL) {
            client_break(c);
        }
        client_drain(relay_server.c);
    }
    client_expect_alive(relay_server.c);
    relay_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(steps_in_order, setup),
        cmocka_unit_test_setup(who_is_not_read_is_written_to, setup),
        cmocka_unit_test_setup(steps_out_of_order, setup),
        cmocka_unit_test_setup(text_that_does_not_survive_ends_access, setup),
        cmocka_unit_test(no_other_handshake_saves_access),
        cmocka_unit_test_setup(who_may_answer, setup),
        cmocka_unit_test_setup(other_keys_take_the_place, setup),
        cmocka_unit_test_setup(one_at_a_time_and_not_too_many, setup),
        cmocka_unit_test_setup(entries_do_not_live_for_ever, setup),
        cmocka_unit_test_setup(a_late_verdict_is_passed_on, setup),
        cmocka_unit_test_setup(handshakes_that_are_required, setup),
        cmocka_unit_test_setup(detect_may_be_switched_off, setup),
        cmocka_unit_test_setup(every_flipped_bit_of_step0_harms_nobody_else, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
