/* SPDX-License-Identifier: Apache-2.0 */
/* Strings of the broker that MQTT does not allow: put aside, acknowledged, counted; or the end of the connection. */
#include "rig.h"

/* What MQTT forbids in any string. */
static const struct smqtt_span ill_formed[] = {
    {(const uint8_t *)"a\x80", 2},                     /* a continuation byte alone */
    {(const uint8_t *)"a\xe3\x81", 3},                 /* cut short */
    {(const uint8_t *)"\xc0\xaf", 2},                  /* overlong */
    {(const uint8_t *)"\xe0\x80\xaf", 3},              /* overlong */
    {(const uint8_t *)"\xc0\x80", 2},                  /* overlong U+0000 */
    {(const uint8_t *)"\xf4\x90\x80\x80", 4},          /* above U+10FFFF */
    {(const uint8_t *)"\xed\xa0\x80", 3},              /* surrogate */
    {(const uint8_t *)"\xed\xa0\xbd\xed\xb8\x80", 6},  /* a pair of them */
    {(const uint8_t *)"a\0b", 3},                      /* U+0000 */
    {(const uint8_t *)"a/long/topic/name/\xff/x", 22}, /* no lead byte */
};

static struct rig *start(enum smqtt_version version, enum smqtt_bad_strings what)
{
    struct rig *r = rig_new(version);
    r->config.lax_text = true;
    r->config.bad_strings = what;
    r->codec.text = SMQ_TEXT_ANY; /* this broker looks at nothing */
    rig_start(r);
    return r;
}

static struct smqtt_client_counts counters(const struct rig *r)
{
    struct smqtt_client_counts n;
    smqtt_client_counters(r->c, &n);
    return n;
}

static void assert_same(struct smqtt_span a, struct smqtt_span b)
{
    assert_int_equal(a.len, b.len);
    if (a.len != 0) {
        assert_memory_equal(a.data, b.data, a.len);
    }
}

static void good_one_arrives(struct rig *r)
{
    rig_give(r, rig_publish(0, 0, "good", "morning"));
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_MESSAGE);
    assert_span(event.topic, "good");
    assert_span(event.payload, "morning");
    assert_int_equal(event.field, SMQTT_FIELD_NONE);
    rig_no_event(r);
}

static void topics_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = start(v, SMQTT_BAD_STRINGS_QUARANTINE);
        for (size_t i = 0; i < SMQ_ARRAY_LEN(ill_formed); i++) {
            struct smq_packet pkt = rig_publish(0, 0, "", "poison");
            pkt.publish.topic = ill_formed[i];
            pkt.publish.retain = true;
            rig_give(r, pkt);
            struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_QUARANTINED);
            assert_int_equal(event.err, SMQTT_E_BAD_TEXT);
            assert_int_equal(event.field, SMQTT_FIELD_TOPIC);
            assert_same(event.topic, ill_formed[i]);
            assert_same(event.text, ill_formed[i]);
            assert_span(event.payload, "poison");
            assert_true(event.retain && event.qos == 0);
            good_one_arrives(r);
            assert_int_equal(counters(r).quarantined, i + 1);
        }
        assert_int_equal(counters(r).ignored_strings, 0);
        rig_silent(r);
        rig_end(r);
    }
}

static void names_that_are_filters_test(void **state)
{
    (void)state;
    static const char *const names[] = {"a/+", "#", "a/b#/c"};
    FOR_EACH_VERSION(v)
    {
        struct rig *r = start(v, SMQTT_BAD_STRINGS_QUARANTINE);
        for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
            rig_give(r, rig_publish(0, 0, names[i], "x"));
            struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_QUARANTINED);
            assert_int_equal(event.err, SMQTT_E_BAD_TOPIC);
            assert_int_equal(event.field, SMQTT_FIELD_TOPIC);
            assert_span(event.text, names[i]);
        }
        good_one_arrives(r);
        rig_end(r);
    }
}

/* What MQTT only advises against is as bad as the application says. */
static void advised_against_test(void **state)
{
    (void)state;
    for (int lax = 0; lax < 2; lax++) {
        struct rig *r = rig_new(SMQTT_V5);
        r->config.lax_text = lax != 0;
        rig_start(r);
        rig_give(r, rig_publish(0, 0, "a\x01", "x"));
        rig_event(r, lax != 0 ? SMQTT_CLIENT_MESSAGE : SMQTT_CLIENT_QUARANTINED);
        good_one_arrives(r);
        rig_end(r);
    }
}

static struct smq_packet with_raw(struct smq_packet pkt, const char *raw, size_t len)
{
    pkt.publish.props.raw = smq_span_of(raw, len);
    return pkt;
}

static void properties_test(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        size_t len;
        enum smqtt_field field;
        smqtt_err err;
        const char *text;
    } rows[] = {
        {"\x03\x00\x02x\x80", 5, SMQTT_FIELD_CONTENT_TYPE, SMQTT_E_BAD_TEXT, "x\x80"},
        {"\x08\x00\x02y\x80", 5, SMQTT_FIELD_RESPONSE_TOPIC, SMQTT_E_BAD_TEXT, "y\x80"},
        {"\x08\x00\x02y#", 5, SMQTT_FIELD_RESPONSE_TOPIC, SMQTT_E_BAD_TOPIC, "y#"},
        {"\x08\x00\x00", 3, SMQTT_FIELD_RESPONSE_TOPIC, SMQTT_E_BAD_TOPIC, ""},
        {"\x26\x00\x01\xff\x00\x01v", 7, SMQTT_FIELD_USER_PROPERTY_NAME, SMQTT_E_BAD_TEXT, "\xff"},
        {"\x26\x00\x01n\x00\x01v\x26\x00\x01n\x00\x01\xfe", 14, SMQTT_FIELD_USER_PROPERTY_VALUE, SMQTT_E_BAD_TEXT,
         "\xfe"},
        {"\x26\x00\x01n\x00\x01\xfd\x03\x00\x01\xff", 11, SMQTT_FIELD_USER_PROPERTY_VALUE, SMQTT_E_BAD_TEXT, "\xfd"},
        {"\x01\x01", 2, SMQTT_FIELD_PAYLOAD, SMQTT_E_BAD_PAYLOAD, ""},
    };
    struct rig *r = start(SMQTT_V5, SMQTT_BAD_STRINGS_QUARANTINE);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        rig_give(r, with_raw(rig_publish(1, 7, "t", "p\xff"), rows[i].raw, rows[i].len));
        struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_QUARANTINED);
        assert_int_equal(event.field, rows[i].field);
        assert_int_equal(event.err, rows[i].err);
        assert_span(event.text, rows[i].text);
        assert_span(event.topic, "t");
        assert_same(event.props, smq_span_of(rows[i].raw, rows[i].len));
        assert_int_equal(rig_take(r, SMQ_PUBACK).ack.id, 7);
    }
    good_one_arrives(r);
    assert_int_equal(counters(r).quarantined, SMQ_ARRAY_LEN(rows));
    rig_end(r);
}

/* Acknowledged, or the broker would send it again for ever; QoS 2 told once. */
static void acknowledged_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = start(v, SMQTT_BAD_STRINGS_QUARANTINE);
        rig_give(r, rig_publish(1, 5, "a\x80", "x"));
        struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_QUARANTINED);
        assert_true(event.qos == 1 && event.packet_id == 5);
        assert_int_equal(rig_take(r, SMQ_PUBACK).ack.id, 5);
        rig_give(r, rig_publish(2, 6, "a\x80", "x"));
        rig_event(r, SMQTT_CLIENT_QUARANTINED);
        struct smq_packet again = rig_publish(2, 6, "a\x80", "x");
        again.publish.dup = true;
        rig_give(r, again);
        rig_no_event(r);
        assert_int_equal(rig_take(r, SMQ_PUBREC).ack.id, 6);
        assert_int_equal(rig_take(r, SMQ_PUBREC).ack.id, 6);
        rig_give(r, rig_ack(SMQ_PUBREL, 6, 0));
        rig_no_event(r);
        struct smq_packet done = rig_take(r, SMQ_PUBCOMP);
        assert_true(done.ack.id == 6 && done.ack.reason == 0);
        assert_int_equal(counters(r).quarantined, 2);
        rig_silent(r);
        rig_end(r);
    }
}

static struct smq_packet with_alias(const char *topic, uint16_t alias)
{
    struct smq_packet pkt = rig_publish(0, 0, topic, "x");
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_TOPIC_ALIAS, alias);
    return pkt;
}

/* v5 [MQTT-3.3.2-9]: the alias stands for the bad topic, until it gets another one. */
static void aliases_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    r->config.props = smq_span_of("\x22\x00\x02", 3);
    r->codec.text = SMQ_TEXT_ANY;
    rig_start(r);
    rig_give(r, with_alias("good", 1));
    rig_event(r, SMQTT_CLIENT_MESSAGE);
    rig_give(r, with_alias("bad\x80", 1));
    rig_event(r, SMQTT_CLIENT_QUARANTINED);
    rig_give(r, with_alias("", 1));
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_QUARANTINED);
    assert_int_equal(event.field, SMQTT_FIELD_TOPIC);
    assert_int_equal(event.err, SMQTT_E_BAD_TEXT);
    assert_span(event.topic, "bad\x80");
    struct smq_packet pkt = with_alias("other", 1);
    smq_props_set_bytes(&pkt.publish.props, SMQ_PROP_CONTENT_TYPE, smq_span_str("\xff"));
    rig_give(r, pkt); /* the topic is good, something else is not: the alias means it */
    assert_int_equal(rig_event(r, SMQTT_CLIENT_QUARANTINED).field, SMQTT_FIELD_CONTENT_TYPE);
    rig_give(r, with_alias("", 1));
    assert_span(rig_event(r, SMQTT_CLIENT_MESSAGE).topic, "other");
    rig_end(r);
}

static void other_packets_test(void **state)
{
    (void)state;
    struct rig *r = start(SMQTT_V5, SMQTT_BAD_STRINGS_QUARANTINE);
    uint64_t token = 0;
    struct smqtt_subscription list = {smq_span_str("a"), 0};
    assert_int_equal(smqtt_client_subscribe(r->c, &list, 1, &token, r->now), SMQTT_OK);
    struct smq_packet pkt = rig_suback(SMQ_SUBACK, rig_take(r, SMQ_SUBSCRIBE).subscribe.id, "\0", 1);
    smq_props_set_bytes(&pkt.suback.props, SMQ_PROP_REASON_STRING, smq_span_str("\xff"));
    rig_give(r, pkt);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_SUBSCRIBED).token, token);
    assert_int_equal(counters(r).ignored_strings, 1);
    struct smqtt_publish_options options = {.qos = 1};
    assert_int_equal(smqtt_client_publish(r->c, list.filter, list.filter, &options, &token, r->now), SMQTT_OK);
    pkt = rig_ack(SMQ_PUBACK, rig_take(r, SMQ_PUBLISH).publish.id, 0);
    pkt.ack.props.raw = smq_span_of("\x26\x00\x01\xff\x00\x01v", 7);
    rig_give(r, pkt);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_PUBLISHED).token, token);
    pkt = rig_disconnect(0x8B);
    pkt.reasoned.props.raw = smq_span_of("\x1c\x00\x01\x80", 4);
    rig_give(r, pkt);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).reason, 0x8B);
    assert_int_equal(counters(r).ignored_strings, 3);
    assert_int_equal(counters(r).quarantined, 0);
    rig_end(r);
}

/** CONNACK with one property, after CONNECT. */
static struct rig *connect_with(enum smqtt_bad_strings what, uint8_t reason, enum smq_prop which, const char *text)
{
    struct rig *r = rig_new(SMQTT_V5);
    r->config.bad_strings = what;
    r->codec.text = SMQ_TEXT_ANY;
    rig_make(r);
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
    rig_take(r, SMQ_CONNECT);
    struct smq_packet pkt = rig_connack(reason, false);
    smq_props_set_bytes(&pkt.connack.props, which, smq_span_str(text));
    rig_give(r, pkt);
    return r;
}

static void connack_test(void **state)
{
    (void)state;
    static const enum smq_prop ignored[] = {SMQ_PROP_REASON_STRING, SMQ_PROP_SERVER_REFERENCE, SMQ_PROP_RESPONSE_INFO};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ignored); i++) {
        struct rig *r = connect_with(SMQTT_BAD_STRINGS_QUARANTINE, 0, ignored[i], "\xed\xa0\x80");
        assert_span(rig_event(r, SMQTT_CLIENT_CONNECTED).text, "");
        assert_int_equal(counters(r).ignored_strings, 1);
        rig_end(r);
        r = connect_with(SMQTT_BAD_STRINGS_STRICT, 0, ignored[i], "\xed\xa0\x80");
        assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_BAD_TEXT);
        rig_end(r);
    }
    struct rig *r = connect_with(SMQTT_BAD_STRINGS_QUARANTINE, 0x87, SMQ_PROP_REASON_STRING, "\xff");
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_REFUSED);
    assert_int_equal(event.reason, 0x87);
    assert_span(event.text, "");
    rig_end(r);
    r = connect_with(SMQTT_BAD_STRINGS_QUARANTINE, 0, SMQ_PROP_ASSIGNED_CLIENT_ID, "me\xff");
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_BAD_TEXT); /* who would we be? */
    rig_end(r);
}

static void strict_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        for (size_t i = 0; i < SMQ_ARRAY_LEN(ill_formed); i++) {
            struct rig *r = start(v, SMQTT_BAD_STRINGS_STRICT);
            struct smq_packet pkt = rig_publish(1, 1, "", "x");
            pkt.publish.topic = ill_formed[i];
            rig_give(r, pkt);
            assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_BAD_TEXT);
            if (v == SMQTT_V5) {
                assert_int_equal(rig_take(r, SMQ_DISCONNECT).reasoned.reason, 0x81);
            }
            rig_silent(r);
            assert_int_equal(counters(r).quarantined, 0);
            rig_end(r);
        }
    }
}

/* A bad string is no excuse for anything else that is wrong. */
static void unsound_test(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        size_t len;
        smqtt_err err;
    } rows[] = {
        {"\x03\x00\x01\xff\x03\x00\x01y", 8, SMQTT_E_PROTOCOL},         /* twice */
        {"\x03\x00\x01\xff\x02\x00", 6, SMQTT_E_MALFORMED},             /* cut short */
        {"\x03\x00\x01\xff\x11\x00\x00\x00\x00", 9, SMQTT_E_MALFORMED}, /* does not belong here */
        {"\x03\x00\x01\xff\x23\x00\x00", 7, SMQTT_E_BAD_ALIAS},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        struct rig *r = start(SMQTT_V5, SMQTT_BAD_STRINGS_QUARANTINE);
        uint8_t bytes[64] = {0x30, (uint8_t)(4 + rows[i].len), 0, 1, 't', (uint8_t)rows[i].len};
        memcpy(bytes + 6, rows[i].raw, rows[i].len);
        rig_feed(r, bytes, 6 + rows[i].len);
        assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, rows[i].err);
        rig_end(r);
    }
}

static void names_test(void **state)
{
    (void)state;
    for (int i = SMQTT_FIELD_NONE; i <= SMQTT_FIELD_AUTH_METHOD; i++) {
        assert_non_null(smqtt_field_name((enum smqtt_field)i));
    }
    assert_string_equal(smqtt_field_name(SMQTT_FIELD_TOPIC), "topic name");
    assert_string_equal(smqtt_field_name((enum smqtt_field)(SMQTT_FIELD_AUTH_METHOD + 1)), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_test),          cmocka_unit_test(names_that_are_filters_test),
        cmocka_unit_test(advised_against_test), cmocka_unit_test(properties_test),
        cmocka_unit_test(acknowledged_test),    cmocka_unit_test(aliases_test),
        cmocka_unit_test(other_packets_test),   cmocka_unit_test(connack_test),
        cmocka_unit_test(strict_test),          cmocka_unit_test(unsound_test),
        cmocka_unit_test(names_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
