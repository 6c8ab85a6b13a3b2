/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

static struct bed bed;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

/* The client and the reason that CONNACK gives. */
static uint8_t answer(const struct smq_packet *connect, struct client **out)
{
    struct client *c = client_open(&bed, connect->connect.version);
    assert_non_null(c);
    client_send(c, connect);
    *out = c;
    return client_expect(c, SMQ_CONNACK)->connack.reason;
}

static uint8_t reason_of(enum smqtt_version version, const char *id, const char *user)
{
    struct client *c;
    struct smq_packet pkt = packet_connect(version, id, true);
    pkt.connect.has_user = user != NULL;
    pkt.connect.user = smq_span_str(user != NULL ? user : "");
    uint8_t reason = answer(&pkt, &c);
    if (reason != 0) {
        client_expect_closed(c);
    } else {
        client_disconnect(c);
    }
    return reason;
}

static void versions_are_those_of_the_listener(void **state)
{
    (void)state;
    static const enum smqtt_version all[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5};
    bed_start(&bed);
    for (unsigned set = 0; set < 8; set++) {
        bed.listener.versions = (uint8_t)(set << SMQTT_V31);
        for (unsigned i = 0; i < 3; i++) {
            bool taken = set == 0 || (set & 1u << i) != 0;
            uint8_t refused = all[i] == SMQTT_V5 ? 0x84 : 1;
            assert_int_equal(reason_of(all[i], "x", NULL), taken ? 0 : refused);
        }
    }
    bed_stop(&bed);
}

static void identifiers_begin_as_the_listener_says(void **state)
{
    (void)state;
    char prefix[] = "plant-";
    bed.listener.clientid_prefixes = prefix;
    bed_start(&bed);
    assert_int_equal(reason_of(SMQTT_V5, "plant-1", NULL), 0);
    assert_int_equal(reason_of(SMQTT_V5, "plant-", NULL), 0);
    assert_int_equal(reason_of(SMQTT_V5, "plant", NULL), 0x87);
    assert_int_equal(reason_of(SMQTT_V311, "xplant-1", NULL), 5);
    /* One that the broker gives begins with its own prefix. */
    assert_int_equal(reason_of(SMQTT_V5, "", NULL), 0x87);
    char own[] = "plant-auto-";
    bed.listener.auto_id_prefix = own;
    assert_int_equal(reason_of(SMQTT_V5, "", NULL), 0);
    bed_stop(&bed);
}

static void the_user_name_is_the_identifier(void **state)
{
    (void)state;
    bed.listener.use_username_as_clientid = true;
    bed_start(&bed);
    assert_int_equal(reason_of(SMQTT_V5, "x", NULL), 0x87);
    assert_int_equal(reason_of(SMQTT_V311, "x", NULL), 5);
    assert_int_equal(reason_of(SMQTT_V5, "x", ""), 0x87);
    struct client *first, *second;
    struct smq_packet pkt = packet_connect(SMQTT_V5, "one", true);
    pkt.connect.has_user = true;
    pkt.connect.user = smq_span_str("alice");
    assert_int_equal(answer(&pkt, &first), 0);
    pkt.connect.client_id = smq_span_str("two");
    assert_int_equal(answer(&pkt, &second), 0);
    /* Both are "alice": the second took over. */
    assert_int_equal(client_expect(first, SMQ_DISCONNECT)->reasoned.reason, 0x8E);
    client_expect_closed(first);
    /* Who named none is told which it has. */
    pkt.connect.client_id = smq_span_str("");
    struct client *third = client_open(&bed, SMQTT_V5);
    client_send(third, &pkt);
    const struct smq_packet *ack = client_expect(third, SMQ_CONNACK);
    assert_true(span_is(smq_props_bytes(&ack->connack.props, SMQ_PROP_ASSIGNED_CLIENT_ID), "alice"));
    bed_stop(&bed);
}

static void long_prefixes_are_kept(void **state)
{
    (void)state;
    char prefix[] = "12345678901234567890123456789012345678901234567890"; /* as long as the file may say */
    bed.listener.auto_id_prefix = prefix;
    bed_start(&bed);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "", true);
    struct client *c = client_open(&bed, SMQTT_V5);
    client_send(c, &pkt);
    smq_span id = smq_props_bytes(&client_expect(c, SMQ_CONNACK)->connack.props, SMQ_PROP_ASSIGNED_CLIENT_ID);
    assert_true(smq_span_starts(id, smq_span_str(prefix)));
    assert_true(id.len > strlen(prefix) + 20);
    bed_stop(&bed);
}

static void sessions_are_limited(void **state)
{
    (void)state;
    bed.config.max_clients = 2;
    bed_start(&bed);
    struct client *a = client_connect(&bed, SMQTT_V5, "a", false);
    client_connect(&bed, SMQTT_V5, "b", true);
    assert_int_equal(reason_of(SMQTT_V5, "c", NULL), 0x89);
    assert_int_equal(reason_of(SMQTT_V311, "c", NULL), 3);
    client_disconnect(a); /* its session stays and counts */
    assert_int_equal(reason_of(SMQTT_V5, "c", NULL), 0x89);
    assert_int_equal(reason_of(SMQTT_V5, "a", NULL), 0); /* ends it */
    assert_int_equal(reason_of(SMQTT_V5, "c", NULL), 0);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(versions_are_those_of_the_listener, setup),
        cmocka_unit_test_setup(identifiers_begin_as_the_listener_says, setup),
        cmocka_unit_test_setup(the_user_name_is_the_identifier, setup),
        cmocka_unit_test_setup(long_prefixes_are_kept, setup),
        cmocka_unit_test_setup(sessions_are_limited, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
