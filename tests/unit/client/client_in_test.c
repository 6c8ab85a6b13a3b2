/* SPDX-License-Identifier: Apache-2.0 */
/* What comes in: QoS 0, 1, 2, repetitions, properties, our receive maximum, text that MQTT advises against. */
#include "rig.h"

static void give_alias(struct rig *r, uint16_t alias, const char *topic)
{
    struct smq_packet pkt = rig_publish(0, 0, topic, "x");
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_TOPIC_ALIAS, alias);
    rig_give(r, pkt);
}

/* v5 [MQTT-3.3.2-7] [MQTT-3.3.2-10] */
static void aliases_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    r->config.props = smq_span_of("\x22\x00\x02", 3); /* at most 2 */
    rig_start(r);
    give_alias(r, 1, "one");
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).topic, "one");
    give_alias(r, 2, "two");
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).topic, "two");
    give_alias(r, 1, "");
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).topic, "one");
    give_alias(r, 1, "other");
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).topic, "other");
    give_alias(r, 1, "");
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).topic, "other");
    give_alias(r, 2, "");
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).topic, "two");
    rig_break(r);
    rig_connect(r, false);
    give_alias(r, 1, ""); /* they ended with the connection */
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_BAD_ALIAS);
    rig_end(r);

    r = rig_new(SMQTT_V5);
    r->config.props = smq_span_of("\x22\x00\x02", 3);
    rig_start(r);
    give_alias(r, 3, "three");
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_BAD_ALIAS);
    rig_end(r);
}

static void three_qos_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        rig_start(r);
        struct smq_packet pkt = rig_publish(0, 0, "a/b", "zero");
        pkt.publish.retain = true;
        rig_give(r, pkt);
        struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_MESSAGE);
        assert_span(event.topic, "a/b");
        assert_span(event.payload, "zero");
        assert_true(event.retain && !event.dup && event.packet_id == 0 && event.secure.type == SMQTT_EV_NONE);
        rig_silent(r);
        pkt = rig_publish(1, 5, "a", "one");
        pkt.publish.dup = true;
        rig_give(r, pkt);
        event = rig_event(r, SMQTT_CLIENT_MESSAGE);
        assert_true(event.qos == 1 && event.dup && event.packet_id == 5);
        assert_int_equal(rig_take(r, SMQ_PUBACK).ack.id, 5);
        rig_give(r, rig_publish(2, 6, "a", "two"));
        rig_give(r, rig_publish(2, 6, "a", "two")); /* not released yet: the same one */
        assert_int_equal(rig_event(r, SMQTT_CLIENT_MESSAGE).qos, 2);
        rig_no_event(r);
        assert_int_equal(rig_take(r, SMQ_PUBREC).ack.id, 6);
        assert_int_equal(rig_take(r, SMQ_PUBREC).ack.id, 6);
        rig_give(r, rig_ack(SMQ_PUBREL, 6, 0));
        rig_no_event(r);
        assert_int_equal(rig_take(r, SMQ_PUBCOMP).ack.id, 6);
        rig_give(r, rig_publish(2, 6, "a", "new"));
        assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).payload, "new");
        rig_end(r);
    }
}

/* v5 [MQTT-4.3.3-10] [MQTT-3.2.2-5] */
static void exactly_once_over_reconnect_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    rig_give(r, rig_publish(2, 6, "a", "two"));
    rig_event(r, SMQTT_CLIENT_MESSAGE);
    rig_break(r);
    rig_connect(r, true);
    struct smq_packet again = rig_publish(2, 6, "a", "two");
    again.publish.dup = true;
    rig_give(r, again);
    rig_no_event(r); /* had it */
    rig_take(r, SMQ_PUBREC);
    rig_break(r);
    rig_connect(r, false); /* now 6 is another one */
    rig_give(r, rig_publish(2, 6, "a", "other"));
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).payload, "other");
    rig_take(r, SMQ_PUBREC);
    rig_give(r, rig_ack(SMQ_PUBREL, 99, 0));
    rig_no_event(r);
    assert_int_equal(rig_take(r, SMQ_PUBCOMP).ack.reason, 0x92);
    rig_end(r);
}

static void our_receive_maximum_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    r->config.receive_maximum = 2;
    rig_start(r);
    for (uint16_t id = 1; id <= 3; id++) {
        rig_give(r, rig_publish(2, id, "a", "x"));
    }
    rig_event(r, SMQTT_CLIENT_MESSAGE);
    rig_event(r, SMQTT_CLIENT_MESSAGE);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_RECEIVE_MAX);
    rig_take(r, SMQ_PUBREC);
    rig_take(r, SMQ_PUBREC);
    assert_int_equal(rig_take(r, SMQ_DISCONNECT).reasoned.reason, 0x93);
    rig_end(r);
}

static void properties_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    struct smq_packet pkt = rig_publish(0, 0, "a", "x");
    smq_props_set_bytes(&pkt.publish.props, SMQ_PROP_CONTENT_TYPE, smq_span_str("text/plain"));
    rig_give(r, pkt);
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_MESSAGE);
    assert_int_equal(event.props.len, 3 + strlen("text/plain"));
    assert_int_equal(event.props.data[0], 0x03);
    rig_end(r);
}

static void text_policy_test(void **state)
{
    (void)state;
    for (int lax = 0; lax < 2; lax++) {
        struct rig *r = rig_new(SMQTT_V5);
        r->config.lax_text = lax != 0;
        r->config.bad_strings = SMQTT_BAD_STRINGS_STRICT;
        rig_start(r);
        rig_give(r, rig_publish(0, 0, "a\x01", "x"));
        if (lax) {
            rig_event(r, SMQTT_CLIENT_MESSAGE);
        } else {
            assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_BAD_TEXT);
        }
        rig_end(r);
    }
}

static void large_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    static char big[300001];
    memset(big, 'x', sizeof(big) - 1);
    rig_give(r, rig_publish(1, 1, "a", big));
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).payload, big);
    rig_end(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_qos_test),
        cmocka_unit_test(exactly_once_over_reconnect_test),
        cmocka_unit_test(our_receive_maximum_test),
        cmocka_unit_test(properties_test),
        cmocka_unit_test(text_policy_test),
        cmocka_unit_test(large_test),
        cmocka_unit_test(aliases_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
