/* SPDX-License-Identifier: Apache-2.0 */
/* What goes out: QoS 0, 1, 2, the broker's receive maximum, reconnecting with and without a session, subscriptions. */
#include "rig.h"

static const struct smqtt_publish_options with_qos[] = {{.qos = 0}, {.qos = 1}, {.qos = 2}};

static uint64_t publish(struct rig *r, uint8_t qos, const char *payload)
{
    uint64_t token = 0;
    assert_int_equal(
        smqtt_client_publish(r->c, smq_span_str("t"), smq_span_str(payload), &with_qos[qos], &token, r->now), SMQTT_OK);
    assert_true(token != 0);
    return token;
}

static uint16_t take_publish(struct rig *r, uint8_t qos, const char *payload, bool dup)
{
    struct smq_packet pkt = rig_take(r, SMQ_PUBLISH);
    assert_span(pkt.publish.topic, "t");
    assert_span(pkt.publish.payload, payload);
    assert_int_equal(pkt.publish.qos, qos);
    assert_int_equal(pkt.publish.dup, dup);
    return pkt.publish.id;
}

static void published(struct rig *r, uint64_t token, uint8_t reason)
{
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_PUBLISHED);
    assert_int_equal(event.token, token);
    assert_int_equal(event.reason, reason);
}

/** Nothing but CONNECT before CONNACK, with an authentication method or without. v5 [MQTT-3.1.2-30] */
static void nothing_before_connack_test(void **state)
{
    (void)state;
    for (size_t method = 0; method < 2; method++) {
        struct rig *r = rig_new(SMQTT_V5);
        r->config.props = smq_span_of("\x15\x00\x01m", method * 4);
        rig_make(r);
        assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
        struct smq_packet connect = rig_take(r, SMQ_CONNECT);
        assert_int_equal(smq_props_has(&connect.connect.props, SMQ_PROP_AUTH_METHOD), method != 0);
        for (uint8_t qos = 0; qos < 3; qos++) {
            publish(r, qos, "early");
        }
        struct smqtt_subscription sub = {smq_span_str("a"), 0};
        assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_E_STATE);
        rig_wait(r, 1);
        rig_silent(r);
        rig_give(r, rig_connack(0, false));
        rig_event(r, SMQTT_CLIENT_CONNECTED);
        take_publish(r, 0, "early", false);
        rig_end(r);
    }
}

/** Our own limit holds where it is less than the broker's. */
static void max_inflight_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        r->config.max_inflight = 1;
        rig_start(r);
        publish(r, 1, "a");
        publish(r, 2, "b");
        uint16_t id = take_publish(r, 1, "a", false);
        rig_silent(r);
        rig_give(r, rig_ack(SMQ_PUBACK, id, 0));
        rig_event(r, SMQTT_CLIENT_PUBLISHED);
        take_publish(r, 2, "b", false);
        rig_end(r);
    }
}

#define USER_PROPERTY smq_span_of("\x26\x00\x01k\x00\x01v", 7)

/** Properties of SUBSCRIBE, UNSUBSCRIBE, DISCONNECT and the will; version 3 leaves them out. */
static void properties_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        struct smqtt_will will = {.topic = smq_span_str("w"), .delay_s = 3, .props = USER_PROPERTY};
        r->config.will = &will;
        rig_make(r);
        assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
        size_t len = v == SMQTT_V5 ? 7 : 0;
        struct smq_packet pkt = rig_take(r, SMQ_CONNECT);
        assert_int_equal(pkt.connect.will.props.raw.len, v == SMQTT_V5 ? 12 : 0);
        rig_give(r, rig_connack(0, false));
        rig_event(r, SMQTT_CLIENT_CONNECTED);
        struct smqtt_subscription list = {smq_span_str("t"), 0};
        assert_int_equal(smqtt_client_subscribe_props(r->c, &list, 1, USER_PROPERTY, NULL, r->now), SMQTT_OK);
        assert_int_equal(rig_take(r, SMQ_SUBSCRIBE).subscribe.props.raw.len, len);
        assert_int_equal(smqtt_client_unsubscribe_props(r->c, &list.filter, 1, USER_PROPERTY, NULL, r->now), SMQTT_OK);
        assert_int_equal(rig_take(r, SMQ_UNSUBSCRIBE).subscribe.props.raw.len, len);
        smq_span alien = smq_span_of("\x01\x01", 2); /* a payload format indicator */
        assert_int_equal(smqtt_client_disconnect_props(r->c, 0, alien, r->now),
                         v == SMQTT_V5 ? SMQTT_E_USAGE : SMQTT_OK);
        if (v == SMQTT_V5) {
            assert_int_equal(smqtt_client_disconnect_props(r->c, 4, USER_PROPERTY, r->now), SMQTT_OK);
            pkt = rig_take(r, SMQ_DISCONNECT);
            assert_int_equal(pkt.reasoned.props.raw.len, len);
            assert_int_equal(pkt.reasoned.reason, 4);
        }
        rig_end(r);
    }
}

static void three_qos_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        rig_start(r);
        uint64_t zero = publish(r, 0, "zero");
        take_publish(r, 0, "zero", false);
        published(r, zero, 0);
        uint64_t one = publish(r, 1, "one");
        uint16_t id = take_publish(r, 1, "one", false);
        rig_no_event(r);
        assert_int_equal(smqtt_client_unfinished(r->c), 1);
        rig_give(r, rig_ack(SMQ_PUBACK, id, 0));
        published(r, one, 0);
        uint64_t two = publish(r, 2, "two");
        id = take_publish(r, 2, "two", false);
        rig_give(r, rig_ack(SMQ_PUBREC, id, 0));
        rig_no_event(r);
        assert_int_equal(rig_take(r, SMQ_PUBREL).ack.id, id);
        rig_give(r, rig_ack(SMQ_PUBREC, id, 0)); /* again */
        rig_no_event(r);
        assert_int_equal(rig_take(r, SMQ_PUBREL).ack.id, id);
        rig_give(r, rig_ack(SMQ_PUBCOMP, id, 0));
        published(r, two, 0);
        assert_int_equal(smqtt_client_unfinished(r->c), 0);
        rig_give(r, rig_ack(SMQ_PUBACK, id, 0)); /* nobody waits for it: ignored */
        rig_no_event(r);
        rig_silent(r);
        rig_end(r);
    }
}

/* v5 [MQTT-4.4.0-2] */
static void refused_by_broker_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    uint64_t one = publish(r, 1, "one");
    rig_give(r, rig_ack(SMQ_PUBACK, take_publish(r, 1, "one", false), 0x97));
    published(r, one, 0x97);
    uint64_t two = publish(r, 2, "two");
    rig_give(r, rig_ack(SMQ_PUBREC, take_publish(r, 2, "two", false), 0x87));
    published(r, two, 0x87);
    rig_silent(r); /* no PUBREL for what was refused */
    rig_give(r, rig_ack(SMQ_PUBREC, 77, 0));
    rig_no_event(r);
    assert_int_equal(rig_take(r, SMQ_PUBREL).ack.reason, 0x92);
    publish(r, 1, "three");
    uint16_t id = take_publish(r, 1, "three", false);
    rig_give(r, rig_ack(SMQ_PUBCOMP, id, 0)); /* not this QoS */
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_PROTOCOL);
    rig_end(r);
}

static void bad_arguments_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    r->config.max_queued = 2;
    rig_make(r);
    smq_span t = smq_span_str("t");
    struct smqtt_publish_options options = {.qos = 3};
    assert_int_not_equal(smqtt_client_publish(r->c, t, t, &options, NULL, r->now), SMQTT_OK);
    assert_int_equal(smqtt_client_publish(r->c, smq_span_str("a/+"), t, NULL, NULL, r->now), SMQTT_E_BAD_TOPIC);
    assert_int_equal(smqtt_client_publish(r->c, smq_span_str("\xC3("), t, NULL, NULL, r->now), SMQTT_E_BAD_TEXT);
    struct smqtt_subscription sub = {smq_span_str("a"), 0};
    assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_E_STATE);
    assert_int_equal(smqtt_client_publish(r->c, t, t, NULL, NULL, r->now), SMQTT_OK);
    assert_int_equal(smqtt_client_publish(r->c, t, t, NULL, NULL, r->now), SMQTT_OK);
    assert_int_equal(smqtt_client_publish(r->c, t, t, NULL, NULL, r->now), SMQTT_E_FULL);
    rig_connect(r, false);
    sub.filter = smq_span_str("a/#/b");
    assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_E_BAD_FILTER);
    assert_int_equal(smqtt_client_subscribe(r->c, &sub, 0, NULL, r->now), SMQTT_E_USAGE);
    assert_int_equal(smqtt_client_publish_sealed(r->c, t, t, NULL, NULL, r->now), SMQTT_E_USAGE);
    rig_end(r);
}

/** What the broker said it does not take is not sent. v5 [MQTT-3.2.2-11] [MQTT-3.2.2-14] [MQTT-3.2.2-17]
 * [MQTT-3.2.2-18] [MQTT-3.3.2-9] */
static void broker_does_not_take_test(void **state)
{
    (void)state;
    static const struct smqtt_publish_options rows[] = {
        {.qos = 2}, {.retain = true}, {.props = {(const uint8_t *)"\x23\x00\x03", 3}}};
    static const uint8_t reasons[] = {0x9B, 0x9A, 0x94};
    struct smqtt_span t = smq_span_str("t");
    for (size_t limited = 0; limited < 2; limited++) {
        struct rig *r = rig_new(SMQTT_V5);
        rig_make(r);
        assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
        rig_take(r, SMQ_CONNECT);
        struct smq_packet connack = rig_connack(0, false);
        smq_props_set_num(&connack.connack.props, SMQ_PROP_TOPIC_ALIAS_MAXIMUM, limited ? 2 : 3);
        if (limited) {
            smq_props_set_num(&connack.connack.props, SMQ_PROP_MAXIMUM_QOS, 1);
            smq_props_set_num(&connack.connack.props, SMQ_PROP_RETAIN_AVAILABLE, 0);
        }
        rig_give(r, connack);
        rig_event(r, SMQTT_CLIENT_CONNECTED);
        for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
            uint64_t token;
            assert_int_equal(smqtt_client_publish(r->c, t, t, &rows[i], &token, r->now), SMQTT_OK);
            if (limited) {
                published(r, token, reasons[i]);
                rig_silent(r);
            } else {
                assert_int_equal(rig_take(r, SMQ_PUBLISH).publish.qos, rows[i].qos);
            }
        }
        rig_end(r);
    }
}

/** Paho calls it clean start on the first connection only. Versions 3 have no session that ends by itself. */
static void clean_at_first_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        r->config.clean_start = r->config.clean_first_only = true;
        r->config.session_expiry_s = 9;
        rig_make(r);
        for (int i = 0; i < 3; i++) {
            r->from = r->to = 0;
            assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
            assert_int_equal(rig_take(r, SMQ_CONNECT).connect.clean_start, i == 0 || v != SMQTT_V5);
            rig_give(r, rig_connack(0, i == 1 && v == SMQTT_V5));
            rig_event(r, SMQTT_CLIENT_CONNECTED);
            rig_break(r);
        }
        r->from = r->to = 0;
        assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
        rig_take(r, SMQ_CONNECT);
        rig_end(r);
    }
}

/** CONNACK with these limits. */
static void connect_limited(struct rig *r, uint16_t receive_maximum, uint32_t max_packet, bool session_present)
{
    r->from = r->to = 0;
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
    rig_take(r, SMQ_CONNECT);
    struct smq_packet connack = rig_connack(0, session_present);
    smq_props_set_num(&connack.connack.props, SMQ_PROP_RECEIVE_MAXIMUM, receive_maximum);
    smq_props_set_num(&connack.connack.props, SMQ_PROP_MAXIMUM_PACKET_SIZE, max_packet);
    rig_give(r, connack);
    rig_event(r, SMQTT_CLIENT_CONNECTED);
}

/* v5 [MQTT-3.3.4-7] [MQTT-4.9.0-1] [MQTT-4.9.0-2] */
static void receive_maximum_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_make(r);
    connect_limited(r, 2, 1000, false);
    uint64_t a = publish(r, 1, "a");
    uint64_t b = publish(r, 2, "b");
    uint64_t c = publish(r, 1, "c");
    uint64_t d = publish(r, 0, "d"); /* waits too: nothing overtakes */
    uint16_t id_a = take_publish(r, 1, "a", false);
    uint16_t id_b = take_publish(r, 2, "b", false);
    rig_silent(r);
    rig_give(r, rig_ack(SMQ_PUBREC, id_b, 0));
    rig_no_event(r);
    rig_take(r, SMQ_PUBREL);
    rig_silent(r); /* only PUBCOMP makes room [MQTT-4.9.0-2] */
    rig_give(r, rig_ack(SMQ_PUBACK, id_a, 0));
    published(r, a, 0);
    uint16_t id_c = take_publish(r, 1, "c", false);
    take_publish(r, 0, "d", false);
    rig_give(r, rig_ack(SMQ_PUBCOMP, id_b, 0));
    published(r, d, 0);
    published(r, b, 0);
    rig_give(r, rig_ack(SMQ_PUBACK, id_c, 0));
    published(r, c, 0);
    rig_end(r);
}

/* v5 [MQTT-3.2.2-15] */
static void larger_than_broker_takes_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_make(r);
    static char big[600];
    memset(big, 'x', sizeof(big) - 1);
    uint64_t token = publish(r, 1, big);
    connect_limited(r, 10, 100, false);
    published(r, token, 0x95);
    rig_silent(r);
    assert_int_equal(smqtt_client_publish(r->c, smq_span_str("t"), smq_span_str(big), NULL, NULL, r->now),
                     SMQTT_E_TOO_LARGE);
    assert_int_equal(smqtt_client_unfinished(r->c), 0);
    rig_end(r);
}

/* v5 [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-3.3.1-1] [MQTT-4.3.3-6] [MQTT-3.1.2-23] v3.1.1 [MQTT-4.4.0-1]
 * [MQTT-4.6.0-1] [MQTT-3.3.1-1] [MQTT-2.3.1-3] [MQTT-2.3.1-2] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-3.1.2-4] */
static void reconnect_with_session_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        rig_start(r);
        uint64_t a = publish(r, 1, "a");
        uint64_t b = publish(r, 2, "b");
        uint64_t c = publish(r, 2, "c");
        uint16_t id_a = take_publish(r, 1, "a", false);
        uint16_t id_b = take_publish(r, 2, "b", false);
        uint16_t id_c = take_publish(r, 2, "c", false);
        rig_give(r, rig_ack(SMQ_PUBREC, id_b, 0));
        rig_no_event(r);
        rig_break(r);
        uint64_t d = publish(r, 1, "d"); /* while down */
        rig_connect(r, v != SMQTT_V31);  /* whose CONNACK cannot tell: what was begun goes on */
        assert_int_equal(take_publish(r, 1, "a", true), id_a);
        assert_int_equal(rig_take(r, SMQ_PUBREL).ack.id, id_b);
        assert_int_equal(take_publish(r, 2, "c", true), id_c);
        uint16_t id_d = take_publish(r, 1, "d", false);
        assert_true(id_d != id_a && id_d != id_b && id_d != id_c);
        rig_give(r, rig_ack(SMQ_PUBCOMP, id_b, 0));
        published(r, b, 0);
        rig_give(r, rig_ack(SMQ_PUBACK, id_a, 0));
        published(r, a, 0);
        rig_give(r, rig_ack(SMQ_PUBREC, id_c, 0));
        rig_give(r, rig_ack(SMQ_PUBCOMP, id_c, 0));
        published(r, c, 0);
        rig_give(r, rig_ack(SMQ_PUBACK, id_d, 0));
        published(r, d, 0);
        rig_end(r);
    }
}

/* v5 [MQTT-3.2.2-5] [MQTT-3.1.2-4] v3.1.1 [MQTT-3.1.2-6] */
static void reconnect_without_session_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        r->config.clean_start = v == SMQTT_V31;
        rig_start(r);
        uint64_t a = publish(r, 1, "a");
        uint64_t b = publish(r, 2, "b");
        take_publish(r, 1, "a", false);
        uint16_t id_b = take_publish(r, 2, "b", false);
        rig_give(r, rig_ack(SMQ_PUBREC, id_b, 0));
        rig_no_event(r);
        rig_break(r);
        uint64_t c = publish(r, 1, "c");
        assert_int_equal(smqtt_client_unfinished(r->c), 3);
        rig_connect(r, false);
        uint16_t id_a = take_publish(r, 1, "a", false); /* as new, and before what came later */
        uint16_t id_c = take_publish(r, 1, "c", false);
        rig_silent(r);
        published(r, b, 0); /* the broker had it */
        rig_give(r, rig_ack(SMQ_PUBACK, id_a, 0));
        published(r, a, 0);
        rig_give(r, rig_ack(SMQ_PUBACK, id_c, 0));
        published(r, c, 0);
        assert_int_equal(smqtt_client_unfinished(r->c), 0);
        rig_end(r);
    }
}

/** A session taken up again at a broker that takes fewer at a time than before [MQTT-3.3.4-7]. */
static void smaller_receive_maximum_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    uint64_t token[4];
    uint16_t id[4];
    static const char *const text[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < 4; i++) {
        token[i] = publish(r, 1, text[i]);
        id[i] = take_publish(r, 1, text[i], false);
    }
    rig_break(r);
    connect_limited(r, 2, 1000, true);
    for (size_t i = 0; i < 4; i += 2) {
        assert_int_equal(take_publish(r, 1, text[i], true), id[i]);
        assert_int_equal(take_publish(r, 1, text[i + 1], true), id[i + 1]);
        rig_silent(r);
        rig_give(r, rig_ack(SMQ_PUBACK, id[i], 0));
        rig_give(r, rig_ack(SMQ_PUBACK, id[i + 1], 0));
        published(r, token[i], 0);
        published(r, token[i + 1], 0);
    }
    rig_end(r);
}

static void subscribe_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        rig_start(r);
        struct smqtt_subscription list[] = {{smq_span_str("a/#"), 1}, {smq_span_str("+"), 2}};
        struct smqtt_span away[] = {smq_span_str("a/#"), smq_span_str("+")};
        uint64_t sub = 0;
        uint64_t unsub = 0;
        assert_int_equal(smqtt_client_subscribe(r->c, list, 2, &sub, r->now), SMQTT_OK);
        struct smq_packet pkt = rig_take(r, SMQ_SUBSCRIBE);
        struct smq_rd it = smq_rd_of(pkt.subscribe.list);
        struct smq_filter filter;
        assert_true(smq_filters_next(&r->codec, &it, true, &filter));
        assert_span(filter.filter, "a/#");
        assert_int_equal(filter.options, 1);
        uint16_t sub_id = pkt.subscribe.id;
        assert_int_equal(smqtt_client_unsubscribe(r->c, away, 2, &unsub, r->now), SMQTT_OK);
        uint16_t unsub_id = rig_take(r, SMQ_UNSUBSCRIBE).subscribe.id;
        assert_int_not_equal(sub_id, unsub_id);
        rig_give(r, rig_suback(SMQ_UNSUBACK, unsub_id, "\0\x11", v == SMQTT_V5 ? 2 : 0));
        assert_int_equal(rig_event(r, SMQTT_CLIENT_UNSUBSCRIBED).token, unsub);
        rig_give(r, rig_suback(SMQ_SUBACK, sub_id, "\x01\x80", 2));
        struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_SUBSCRIBED);
        assert_int_equal(event.token, sub);
        assert_span(event.codes, "\x01\x80");
        rig_give(r, rig_suback(SMQ_SUBACK, sub_id, "\x01", 1)); /* a second answer */
        assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_PROTOCOL);
        rig_end(r);
    }
}

static void wrong_suback_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    struct smqtt_subscription sub = {smq_span_str("a"), 0};
    assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_OK);
    rig_give(r, rig_suback(SMQ_SUBACK, rig_take(r, SMQ_SUBSCRIBE).subscribe.id, "\0\0", 2));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_PROTOCOL);
    rig_end(r);
}

static void all_requests_in_use_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    struct smqtt_subscription sub = {smq_span_str("a"), 0};
    for (unsigned i = 0; i < CLIENT_REQUESTS_MAX; i++) {
        assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_OK);
    }
    assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_E_FULL);
    rig_break(r);
    rig_connect(r, false); /* a new connection has none under way */
    assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_OK);
    rig_end(r);
}

/** Message and subscription identifiers never meet [MQTT-2.2.1-5]. */
/* v5 [MQTT-2.2.1-3] [MQTT-4.3.2-1] v3.1.1 [MQTT-2.3.1-2] */
static void identifiers_differ_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    struct smqtt_subscription sub = {smq_span_str("a"), 0};
    bool used[1024] = {false};
    for (unsigned i = 0; i < 100; i++) {
        publish(r, 1, "x");
        assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_OK);
        uint16_t id[2] = {take_publish(r, 1, "x", false), rig_take(r, SMQ_SUBSCRIBE).subscribe.id};
        for (size_t k = 0; k < 2; k++) {
            assert_true(id[k] != 0 && id[k] < 1024 && !used[id[k]]);
            used[id[k]] = true;
        }
    }
    rig_end(r);
}

static void nomem_test(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 200; nth++) {
        struct rig *r = rig_new(SMQTT_V5);
        rig_start(r);
        failing_mem_arm(&r->fm, nth);
        struct smqtt_client_event event;
        for (uint8_t qos = 0; qos < 3; qos++) {
            smqtt_err err =
                smqtt_client_publish(r->c, smq_span_str("t"), smq_span_str("x"), &with_qos[qos], NULL, r->now);
            assert_true(err == SMQTT_OK || err == SMQTT_E_NOMEM);
        }
        struct smqtt_subscription sub = {smq_span_str("a"), 0};
        smqtt_err err = smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now);
        assert_true(err == SMQTT_OK || err == SMQTT_E_NOMEM || err == SMQTT_E_STATE);
        bool closed = false;
        while (smqtt_client_next(r->c, &event)) {
            closed = closed || event.type == SMQTT_CLIENT_CLOSED;
        }
        bool failed = failing_mem_has_failed(&r->fm);
        failing_mem_arm(&r->fm, 0);
        if (closed) { /* nothing is lost: it goes out on the next connection */
            smqtt_client_lost(r->c, SMQTT_OK, r->now);
            rig_connect(r, false);
            assert_true(smqtt_client_unfinished(r->c) <= 3);
        }
        rig_end(r);
        if (!failed) {
            return;
        }
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_qos_test),
        cmocka_unit_test(refused_by_broker_test),
        cmocka_unit_test(broker_does_not_take_test),
        cmocka_unit_test(nothing_before_connack_test),
        cmocka_unit_test(bad_arguments_test),
        cmocka_unit_test(clean_at_first_test),
        cmocka_unit_test(receive_maximum_test),
        cmocka_unit_test(max_inflight_test),
        cmocka_unit_test(properties_test),
        cmocka_unit_test(larger_than_broker_takes_test),
        cmocka_unit_test(reconnect_with_session_test),
        cmocka_unit_test(reconnect_without_session_test),
        cmocka_unit_test(smaller_receive_maximum_test),
        cmocka_unit_test(subscribe_test),
        cmocka_unit_test(wrong_suback_test),
        cmocka_unit_test(all_requests_in_use_test),
        cmocka_unit_test(identifiers_differ_test),
        cmocka_unit_test(nomem_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
