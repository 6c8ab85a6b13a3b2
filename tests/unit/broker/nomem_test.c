/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation fails once: it costs at most the connection that needed it, and nothing leaks. */
#include "harness.h"

static struct bed bed;

static void send_quietly(struct client *c, const struct smq_packet *pkt)
{
    client_send(c, pkt);
    client_drain(c);
}

static void scenario_connect(void)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, "x", false);
    pkt.connect.has_will = pkt.connect.has_user = true;
    pkt.connect.will.topic = smq_span_str("w");
    pkt.connect.will.payload = smq_span_str("gone");
    pkt.connect.user = smq_span_str("user");
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 10);
    smq_props_set_num(&pkt.connect.will.props, SMQ_PROP_WILL_DELAY, 5);
    smq_props_set_bytes(&pkt.connect.will.props, SMQ_PROP_CONTENT_TYPE, smq_span_str("x"));
    for (size_t i = 0; i < 3; i++) {
        struct client *c = client_open(&bed, SMQTT_V5);
        if (c != NULL) {
            send_quietly(c, &pkt);
        }
        if (c != NULL && i == 0) {
            client_break(c);
        }
    }
    bed_pass(&bed, 20000);
}

static void scenario_publish(void)
{
    static char large[2000];
    memset(large, 'x', sizeof large - 1);
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "pub", true);
    if (c == NULL) {
        return;
    }
    send_quietly(c, &pkt);
    for (uint8_t i = 0; i < 12; i++) {
        pkt = (struct smq_packet){.type = SMQ_PUBLISH};
        pkt.publish.topic = smq_span_str(i < 8 ? "t/1" : "kept");
        pkt.publish.payload = smq_span_str(i % 2 == 0 ? "small" : large);
        pkt.publish.qos = i % 3;
        pkt.publish.id = i % 3 != 0 ? i : 0;
        pkt.publish.retain = i % 4 == 0;
        smq_props_clear(&pkt.publish.props);
        smq_props_set_num(&pkt.publish.props, SMQ_PROP_MESSAGE_EXPIRY, 100);
        smq_props_set_num(&pkt.publish.props, SMQ_PROP_TOPIC_ALIAS, 1 + i % 2);
        send_quietly(c, &pkt);
    }
}

static void scenario_subscribe(void)
{
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", false);
    if (c == NULL) {
        return;
    }
    send_quietly(c, &pkt);
    struct smq_filter f[] = {{smq_span_str("a/+/b"), 1},
                             {smq_span_str("$share/g/a/#"), 2},
                             {smq_span_str("kept/#"), 1},
                             {smq_span_str("a/+/b"), 2}};
    pkt = (struct smq_packet){.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 1;
    pkt.subscribe.n = SMQ_ARRAY_LEN(f);
    pkt.subscribe.filters = f;
    smq_props_clear(&pkt.subscribe.props);
    smq_props_set_num(&pkt.subscribe.props, SMQ_PROP_SUBSCRIPTION_ID, 5);
    send_quietly(c, &pkt);
    pkt.type = SMQ_UNSUBSCRIBE;
    smq_props_clear(&pkt.subscribe.props);
    send_quietly(c, &pkt);
}

static void scenario_detect(void)
{
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "det", false);
    if (c == NULL) {
        return;
    }
    send_quietly(c, &pkt);
    uint8_t body[64] = {0xD1, 1, 4};
    pkt = (struct smq_packet){.type = SMQ_DETECT};
    pkt.detect.header = 1;
    pkt.detect.body = smq_span_of(body, sizeof body);
    send_quietly(c, &pkt);
}

static void scenario_convert(void)
{
    static const char own[] = "smqtt1/0001020304050607/s/0000000000000000";
    static const uint8_t headers[] = {0x01, 0x0C, 0x0F, 0x0E, 0x0F, 0x06, 0x01};
    struct client *c = client_open(&bed, SMQTT_V5), *far = client_open(&bed, SMQTT_V311);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "det", false);
    if (c == NULL || far == NULL) {
        return;
    }
    send_quietly(c, &pkt);
    pkt = packet_connect(SMQTT_V311, "far", true);
    send_quietly(far, &pkt);
    struct smq_filter f[] = {{smq_span_str("smqtt1/+/c/+"), 1}};
    pkt = (struct smq_packet){.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 1;
    pkt.subscribe.n = SMQ_ARRAY_LEN(f);
    pkt.subscribe.filters = f;
    smq_props_clear(&pkt.subscribe.props);
    send_quietly(far, &pkt);
    for (size_t i = 0; i < sizeof headers; i++) {
        bool of_client = (headers[i] & 1) != 0;
        uint8_t bytes[64] = {headers[i], 0xD1};
        uint8_t *skid = bytes + (headers[i] == 1 ? 13 : 10);
        bytes[2] = headers[i] == 1 || headers[i] == 0x0C;
        for (uint8_t k = 0; of_client && k < 8; k++) {
            skid[k] = k;
        }
        pkt = (struct smq_packet){.type = of_client ? SMQ_DETECT : SMQ_PUBLISH};
        if (of_client) {
            pkt.detect.header = headers[i];
            pkt.detect.body = smq_span_of(bytes + 1, sizeof bytes - 1);
        } else {
            pkt.publish.topic = smq_span_str(own);
            pkt.publish.payload = smq_span_of(bytes, sizeof bytes);
            smq_props_clear(&pkt.publish.props);
        }
        send_quietly(of_client ? c : far, &pkt);
    }
}

/* What could not be sent for lack of memory may come first. */
static void expect_served(struct client *healthy)
{
    const struct smq_packet *pkt;
    bool served = false;
    assert_non_null(healthy->conn);
    client_send_publish(healthy, "t/2", "after", 0, false, 0);
    while ((pkt = client_next(healthy)) != NULL) {
        served = served || (pkt->type == SMQ_PUBLISH && span_is(pkt->publish.payload, "after"));
    }
    assert_true(served);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    static void (*const scenarios[])(void) = {scenario_connect, scenario_publish, scenario_subscribe, scenario_detect,
                                              scenario_convert};
    for (size_t s = 0; s < SMQ_ARRAY_LEN(scenarios); s++) {
        for (size_t nth = 1;; nth++) {
            bed_init(&bed);
            bed_start(&bed);
            struct client *healthy = client_connect(&bed, SMQTT_V5, "healthy", true);
            client_subscribe(healthy, "t/#", 2);
            client_subscribe(healthy, "t/1", 1);
            struct client *away = client_connect(&bed, SMQTT_V5, "away", false);
            client_subscribe(away, "t/1", 2);
            client_break(away);
            client_publish(healthy, "kept/1", "retained", 1, true);
            failing_mem_arm(&bed.mem, nth);
            scenarios[s]();
            bool failed = failing_mem_has_failed(&bed.mem);
            failing_mem_arm(&bed.mem, 0);
            client_drain(healthy);
            expect_served(healthy);
            bed_stop(&bed); /* asserts that nothing is left */
            if (!failed) {
                assert_true(nth > 3);
                break;
            }
        }
    }
}

/* True when an allocation failed on the way of this message. */
static bool publish_without(size_t nth, enum smqtt_version version)
{
    static char large[2000];
    memset(large, 'x', sizeof large - 1);
    bed_init(&bed);
    bed_start(&bed);
    struct client *sub = client_connect(&bed, version, "sub", true);
    struct client *pub = client_connect(&bed, version, "pub", true);
    client_subscribe(sub, "t", 1);
    failing_mem_arm(&bed.mem, nth);
    client_send_publish(pub, "t", large, 1, false, 1);
    bool failed = failing_mem_has_failed(&bed.mem);
    failing_mem_arm(&bed.mem, 0);
    const struct smq_packet *pkt = client_next(pub);
    bool accepted = pkt != NULL && pkt->type == SMQ_PUBACK && pkt->ack.reason < 0x80;
    bool came = false;
    if (!accepted && version == SMQTT_V311) {
        client_expect_closed(pub); /* there is no other way to say it */
    }
    struct smq_packet ping = {.type = SMQ_PINGREQ};
    client_send(sub, &ping); /* any traffic brings what is late */
    while ((pkt = client_next(sub)) != NULL) {
        came = came || (pkt->type == SMQ_PUBLISH && !pkt->publish.dup);
    }
    assert_true(came || !accepted);
    assert_true(accepted || failed);
    bed_stop(&bed);
    return failed;
}

/* v3.1.1 [MQTT-4.8.0-2] */
static void what_was_accepted_arrives(void **state)
{
    (void)state;
    static const enum smqtt_version versions[] = {SMQTT_V311, SMQTT_V5};
    for (size_t v = 0; v < SMQ_ARRAY_LEN(versions); v++) {
        size_t nth = 1;
        while (publish_without(nth, versions[v])) {
            nth++;
        }
        assert_true(nth > 1);
    }
}

static void no_worker_without_memory(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 20; nth++) {
        bed_init(&bed);
        failing_mem_arm(&bed.mem, nth);
        smqtt_err err = smq_worker_new(&bed.env, &bed.config, bed.now, &bed.w);
        if (err == SMQTT_OK) {
            assert_true(nth > 2);
            bed.workers[0] = bed.w;
            bed.count = 1;
            bed_stop(&bed);
            return;
        }
        assert_int_equal(err, SMQTT_E_NOMEM);
        assert_int_equal(bed.mem.live, 0);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(what_was_accepted_arrives),
        cmocka_unit_test(no_worker_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
