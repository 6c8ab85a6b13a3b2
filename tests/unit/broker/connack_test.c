/* SPDX-License-Identifier: Apache-2.0 */
/* What the answer to CONNECT says, and how long sessions are kept. */
#include "harness.h"

static struct bed bed;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

static const struct smq_connack *answer_to(const struct smq_packet *connect)
{
    struct client *c = client_open(&bed, connect->connect.version);
    client_send(c, connect);
    return &client_expect(c, SMQ_CONNACK)->connack;
}

static void response_information_is_given_when_asked_for(void **state)
{
    (void)state;
    bed_start(&bed);
    char first[64] = "", text[64];
    static const char *const ids[] = {"one", "one", "two"};
    for (size_t i = 0; i < 3; i++) {
        struct smq_packet pkt = packet_connect(SMQTT_V5, ids[i], true);
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_REQUEST_RESPONSE_INFO, 1);
        const struct smq_connack *ack = answer_to(&pkt);
        smq_span info = smq_props_bytes(&ack->props, SMQ_PROP_RESPONSE_INFO);
        assert_true(smq_span_starts(info, smq_span_str("smqtt/response/")));
        snprintf(text, sizeof text, "%.*s", (int)info.len, (const char *)info.data);
        if (i == 1) {
            assert_string_equal(text, first); /* the client's own, whenever it comes */
        } else {
            assert_string_not_equal(text, first);
        }
        memcpy(first, text, sizeof first);
    }
    struct smq_packet pkt = packet_connect(SMQTT_V5, "x", true);
    assert_false(smq_props_has(&answer_to(&pkt)->props, SMQ_PROP_RESPONSE_INFO));
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_REQUEST_RESPONSE_INFO, 0);
    assert_false(smq_props_has(&answer_to(&pkt)->props, SMQ_PROP_RESPONSE_INFO));
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_REQUEST_RESPONSE_INFO, 1);
    bed.config.response_information = false;
    assert_false(smq_props_has(&answer_to(&pkt)->props, SMQ_PROP_RESPONSE_INFO));
    bed_stop(&bed);
}

static void clients_are_sent_elsewhere(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *old = client_connect(&bed, SMQTT_V311, "old", true);
    struct client *here = client_connect(&bed, SMQTT_V5, "here", true);
    bed.config.server_reference = (char *)(uintptr_t) "other.example:1883";
    struct smq_packet pkt = packet_connect(SMQTT_V5, "x", true);
    const struct smq_connack *ack = answer_to(&pkt);
    assert_int_equal(ack->reason, 0x9C);
    assert_true(span_is(smq_props_bytes(&ack->props, SMQ_PROP_SERVER_REFERENCE), "other.example:1883"));
    pkt = packet_connect(SMQTT_V311, "x", true);
    assert_int_equal(answer_to(&pkt)->reason, 3);
    client_expect_alive(here);
    bed_shutdown(&bed);
    const struct smq_reasoned *bye = &client_expect(here, SMQ_DISCONNECT)->reasoned;
    assert_int_equal(bye->reason, 0x9C);
    assert_true(span_is(smq_props_bytes(&bye->props, SMQ_PROP_SERVER_REFERENCE), "other.example:1883"));
    client_expect_none(old);
    client_expect_closed(old);
    bed_stop(&bed);
}

static bool is_kept(const char *id)
{
    struct smq_packet pkt = packet_connect(SMQTT_V311, id, false);
    return answer_to(&pkt)->session_present;
}

static void sessions_are_kept_no_longer_than_allowed(void **state)
{
    (void)state;
    bed.config.persistent_client_expiration_s = 1000;
    bed_start(&bed);
    static const uint32_t asked[] = {UINT32_MAX, 1001, 1000, 50, 0};
    static const char *const ids[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < 5; i++) {
        struct smq_packet pkt = packet_connect(SMQTT_V5, ids[i], true);
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, asked[i]);
        struct client *c = client_open(&bed, SMQTT_V5);
        client_send(c, &pkt);
        const struct smq_connack *ack = &client_expect(c, SMQ_CONNACK)->connack;
        assert_int_equal(smq_props_has(&ack->props, SMQ_PROP_SESSION_EXPIRY), i < 2);
        assert_int_equal(smq_props_num(&ack->props, SMQ_PROP_SESSION_EXPIRY, 1000), 1000);
        client_break(c);
    }
    client_break(client_connect(&bed, SMQTT_V311, "f", false));
    struct client *late = client_connect(&bed, SMQTT_V5, "g", true);
    struct smq_packet bye = {.type = SMQ_DISCONNECT};
    smq_props_clear(&bye.reasoned.props);
    smq_props_set_num(&bye.reasoned.props, SMQ_PROP_SESSION_EXPIRY, UINT32_MAX);
    client_send(late, &bye); /* more than nothing, after nothing: an error */
    assert_int_equal(client_expect(late, SMQ_DISCONNECT)->reasoned.reason, 0x82);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "h", true);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 10);
    client_send(client_connect_pkt(&bed, &pkt), &bye);
    bed_pass(&bed, 51 * 1000);
    assert_false(is_kept("d"));
    bed_pass(&bed, (999 - 51) * 1000);
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_int_equal(stats.sessions, 6); /* a b c f h, and d from just now */
    bed_pass(&bed, 1000);
    static const char *const gone[] = {"a", "b", "c", "f", "h"};
    for (size_t i = 0; i < 5; i++) {
        assert_false(is_kept(gone[i]));
    }
    bed_stop(&bed);
}

static void keep_alive_has_a_maximum(void **state)
{
    (void)state;
    bed.config.max_keepalive = 60;
    bed_start(&bed);
    static const uint16_t asked[] = {0, 61, 60, 5};
    static const char *const ids[] = {"a", "b", "c", "d"};
    struct smq_worker_stats stats;
    for (size_t i = 0; i < 4; i++) {
        struct smq_packet pkt = packet_connect(SMQTT_V5, ids[i], true);
        pkt.connect.keep_alive = asked[i];
        const struct smq_connack *ack = answer_to(&pkt);
        assert_int_equal(smq_props_num(&ack->props, SMQ_PROP_SERVER_KEEP_ALIVE, 1), i < 2 ? 60 : 1);
    }
    bed_pass(&bed, 90 * 1000); /* one and a half times the maximum, even for who asked for no end */
    bed_stats(&bed, &stats);
    assert_int_equal(stats.connections, 0);
    for (size_t i = 0; i < 4; i++) {
        struct smq_packet pkt = packet_connect(SMQTT_V311, ids[i], true);
        pkt.connect.keep_alive = asked[i];
        assert_int_equal(answer_to(&pkt)->reason, 0);
    }
    bed_pass(&bed, 90 * 1000);
    bed_stats(&bed, &stats);
    assert_int_equal(stats.connections, 2); /* the older versions cannot be told: their own time counts */
    bed_stop(&bed);
}

static void words_only_for_those_with_room(void **state)
{
    (void)state;
    bed_start(&bed);
    for (uint32_t max = 100; max <= 1000; max += 900) {
        struct smq_packet pkt = packet_connect(SMQTT_V5, "x", true);
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_MAXIMUM_PACKET_SIZE, max);
        struct client *c = client_connect_pkt(&bed, &pkt);
        client_send_ack(c, SMQ_PUBREL, 5, 0);
        client_expect(c, SMQ_PUBCOMP);
        struct client *again = client_connect(&bed, SMQTT_V5, "x", true);
        const struct smq_packet *bye = client_next(c);
        assert_true(bye != NULL && bye->type == SMQ_DISCONNECT);
        assert_int_equal(smq_props_has(&bye->reasoned.props, SMQ_PROP_REASON_STRING), max == 1000);
        client_disconnect(again);
    }
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(response_information_is_given_when_asked_for, setup),
        cmocka_unit_test_setup(clients_are_sent_elsewhere, setup),
        cmocka_unit_test_setup(sessions_are_kept_no_longer_than_allowed, setup),
        cmocka_unit_test_setup(keep_alive_has_a_maximum, setup),
        cmocka_unit_test_setup(words_only_for_those_with_room, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
