/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a client: CONNECT, refusals, keep-alive, ends, and that cutting the stream anywhere changes nothing. */
#include "rig.h"

#include <stdio.h>

static void config_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    r->config.struct_size = 4;
    assert_int_equal(smqtt_client_new(&r->config, &r->c), SMQTT_E_USAGE);
    r = rig_new(SMQTT_V5);
    r->config.client_id = smq_span_str("bad\xFF");
    assert_int_equal(smqtt_client_new(&r->config, &r->c), SMQTT_E_BAD_TEXT);
    r = rig_new(SMQTT_V5);
    struct smqtt_will will = {.topic = smq_span_str("a/#"), .payload = smq_span_str("gone")};
    r->config.will = &will;
    assert_int_equal(smqtt_client_new(&r->config, &r->c), SMQTT_E_BAD_TOPIC);
    will.topic = smq_span_str("a");
    will.qos = 3;
    assert_int_equal(smqtt_client_new(&r->config, &r->c), SMQTT_E_USAGE);
    assert_int_equal(r->fm.live, 0);
}

static void connect_says_all_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        struct smqtt_will will = {smq_span_str("w/t"), smq_span_str("gone"), 1, true, 7, {NULL, 0}};
        r->config.will = &will;
        r->config.has_user = r->config.has_password = true;
        r->config.user = smq_span_str("u");
        r->config.password = smq_span_str("p");
        r->config.clean_start = true;
        r->config.keep_alive_s = 33;
        r->config.session_expiry_s = 44;
        r->config.receive_maximum = 55;
        rig_make(r);
        assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
        assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_E_STATE);
        struct smq_packet pkt = rig_take(r, SMQ_CONNECT);
        assert_int_equal(pkt.connect.version, v);
        assert_true(pkt.connect.clean_start && pkt.connect.has_will && pkt.connect.will.retain);
        assert_int_equal(pkt.connect.will.qos, 1);
        assert_int_equal(pkt.connect.keep_alive, 33);
        assert_span(pkt.connect.client_id, "rig");
        assert_span(pkt.connect.will.topic, "w/t");
        assert_span(pkt.connect.will.payload, "gone");
        assert_span(pkt.connect.user, "u");
        assert_span(pkt.connect.password, "p");
        if (v == SMQTT_V5) {
            assert_int_equal(smq_props_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 0), 44);
            assert_int_equal(smq_props_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, 0), 55);
            assert_int_equal(smq_props_num(&pkt.connect.will.props, SMQ_PROP_WILL_DELAY, 0), 7);
        }
        rig_end(r);
    }
}

static void refused_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        rig_make(r);
        assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
        rig_take(r, SMQ_CONNECT);
        uint8_t reason = v == SMQTT_V5 ? 0x87 : 5;
        rig_give(r, rig_connack(reason, false));
        assert_int_equal(rig_event(r, SMQTT_CLIENT_REFUSED).reason, reason);
        assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_REFUSED);
        rig_no_event(r);
        rig_silent(r);
        assert_true(smqtt_client_wants_close(r->c));
        smqtt_client_lost(r->c, SMQTT_OK, r->now);
        rig_no_event(r); /* told once */
        rig_connect(r, false);
        rig_end(r);
    }
}

/* A broker of 3.x says so in its own words; the same client then speaks 3.1.1, and what waited is sent. */
static void older_broker_test(void **state)
{
    (void)state;
    static const uint8_t reasons[] = {0x84, 0x85, 0x88, 0x86, 0x87};
    for (uint8_t code = 1; code <= 5; code++) {
        struct rig *r = rig_new(SMQTT_V5);
        rig_make(r);
        struct smqtt_publish_options options = {.qos = 1, .props = smq_span_of("\x01\x01", 2)};
        assert_int_equal(smqtt_client_publish(r->c, smq_span_str("t"), smq_span_str("p"), &options, NULL, r->now),
                         SMQTT_OK);
        assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
        rig_take(r, SMQ_CONNECT);
        assert_int_equal(smqtt_client_set_version(r->c, SMQTT_V311), SMQTT_E_STATE);
        uint8_t connack[4] = {0x20, 2, 0, code};
        rig_feed(r, connack, sizeof(connack));
        assert_int_equal(rig_event(r, SMQTT_CLIENT_REFUSED).reason, reasons[code - 1]);
        rig_event(r, SMQTT_CLIENT_CLOSED);
        smqtt_client_lost(r->c, SMQTT_OK, r->now);
        assert_int_equal(smqtt_client_set_version(r->c, SMQTT_V311), SMQTT_OK);
        r->codec.version = SMQTT_V311;
        rig_connect(r, false);
        struct smq_packet pkt = rig_take(r, SMQ_PUBLISH);
        assert_span(pkt.publish.payload, "p");
        rig_end(r);
    }
}

static void connack_first_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_make(r);
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
    rig_take(r, SMQ_CONNECT);
    rig_give(r, rig_publish(0, 0, "a", "early"));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_PROTOCOL);
    rig_silent(r); /* no DISCONNECT before CONNACK */
    assert_true(smqtt_client_wants_close(r->c));
    rig_end(r);
    r = rig_new(SMQTT_V5);
    rig_start(r);
    rig_give(r, rig_connack(0, false)); /* a second one */
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_PROTOCOL);
    assert_int_equal(rig_take(r, SMQ_DISCONNECT).reasoned.reason, 0x82);
    rig_end(r);
}

/* v5 [MQTT-3.2.2-4] */
static void session_not_ours_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V311);
    r->config.clean_start = true;
    rig_make(r);
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
    rig_take(r, SMQ_CONNECT);
    rig_give(r, rig_connack(0, true));
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_PROTOCOL);
    rig_end(r);
}

static void connack_never_comes_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_make(r);
    assert_true(smqtt_client_deadline(r->c) == SMQTT_NEVER);
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
    rig_take(r, SMQ_CONNECT);
    rig_wait(r, smqtt_client_deadline(r->c) - r->now.mono);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_KEEP_ALIVE);
    assert_true(smqtt_client_wants_close(r->c));
    rig_end(r);
}

/* v5 [MQTT-3.1.2-20] v3.1.1 [MQTT-3.1.2-23] */
static void keep_alive_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    r->config.keep_alive_s = 60;
    rig_start(r);
    rig_wait(r, 30000);
    rig_silent(r);
    assert_int_equal(smqtt_client_publish(r->c, smq_span_str("a"), smq_span_str("b"), NULL, NULL, r->now), SMQTT_OK);
    rig_take(r, SMQ_PUBLISH);
    rig_wait(r, 59999);
    rig_silent(r); /* counted from what was sent last */
    rig_wait(r, 1);
    rig_take(r, SMQ_PINGREQ);
    rig_wait(r, 1000);
    rig_silent(r);
    rig_give(r, (struct smq_packet){.type = SMQ_PINGRESP});
    rig_event(r, SMQTT_CLIENT_PUBLISHED);
    rig_no_event(r);
    rig_wait(r, 59000);
    rig_take(r, SMQ_PINGREQ);
    rig_wait(r, smqtt_client_deadline(r->c) - r->now.mono); /* this one is not answered */
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_KEEP_ALIVE);
    assert_int_equal(rig_take(r, SMQ_DISCONNECT).reasoned.reason, 0x80); /* 0x8D is the server's */
    rig_end(r);
}

/* v5 [MQTT-3.1.2-21] [MQTT-3.2.2-21] */
static void broker_sets_keep_alive_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    r->config.keep_alive_s = 60;
    rig_make(r);
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
    rig_take(r, SMQ_CONNECT);
    struct smq_packet connack = rig_connack(0, false);
    smq_props_set_num(&connack.connack.props, SMQ_PROP_SERVER_KEEP_ALIVE, 10);
    smq_props_set_bytes(&connack.connack.props, SMQ_PROP_ASSIGNED_CLIENT_ID, smq_span_str("given"));
    rig_give(r, connack);
    assert_span(rig_event(r, SMQTT_CLIENT_CONNECTED).text, "given");
    rig_wait(r, 10000);
    rig_take(r, SMQ_PINGREQ);
    rig_end(r);
}

/* v5 [MQTT-3.14.4-1] [MQTT-3.14.4-2] v3.1.1 [MQTT-3.14.4-1] [MQTT-3.14.4-2] */
static void own_disconnect_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        struct rig *r = rig_new(v);
        rig_start(r);
        assert_int_equal(smqtt_client_disconnect(r->c, v == SMQTT_V5 ? 4 : 0, r->now), SMQTT_OK);
        assert_int_equal(smqtt_client_disconnect(r->c, 0, r->now), SMQTT_E_STATE);
        assert_false(smqtt_client_wants_close(r->c)); /* it has to leave first */
        assert_int_equal(rig_take(r, SMQ_DISCONNECT).reasoned.reason, v == SMQTT_V5 ? 4 : 0);
        assert_true(smqtt_client_wants_close(r->c));
        rig_give(r, rig_publish(0, 0, "a", "late"));
        assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_OK);
        rig_no_event(r);
        smqtt_client_lost(r->c, SMQTT_E_IO, r->now);
        rig_no_event(r);
        assert_int_equal(smqtt_client_disconnect(r->c, 0, r->now), SMQTT_E_STATE);
        rig_end(r);
    }
}

static void broker_disconnects_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    rig_start(r);
    rig_give(r, rig_disconnect(0x8E));
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_CLOSED);
    assert_int_equal(event.reason, 0x8E);
    assert_int_equal(event.err, SMQTT_E_REFUSED);
    rig_silent(r);
    assert_true(smqtt_client_wants_close(r->c));
    rig_end(r);
}

/* v5 [MQTT-3.3.1-4] [MQTT-3.3.2-10] [MQTT-1.5.4-1] v3.1.1 [MQTT-3.3.1-4] [MQTT-4.8.0-1] */
static void malformed_test(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        uint8_t reason;
    } rows[] = {
        {"\x36\x03\x00\x01"
         "a",
         5, 0x81}, /* QoS 3 */
        {"\x30\xFF\xFF\xFF\xFF\x7F", 6, 0x81},
        {"\x30\x05\x00\x02"
         "\xC3\x28\x00",
         7, 0x81}, /* topic no UTF-8 */
        {"\x30\x04\x00\x01"
         "#\x00",
         6, 0x90},
        {"\x40\x02\x00\x00", 4, 0x82},         /* identifier 0 */
        {"\xF0\x00", 2, 0x82},                 /* AUTH without a method */
        {"\x90\x04\x00\x63\x00\x00", 6, 0x82}, /* nobody subscribed */
        {"\x10\x00", 2, 0x82},                 /* what only clients send */
        {"\x30\x07\x00\x01"
         "a\x03\x23\x00\x01",
         9, 0x94}, /* an alias that was not offered */
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        struct rig *r = rig_new(SMQTT_V5);
        r->config.bad_strings = SMQTT_BAD_STRINGS_STRICT;
        rig_start(r);
        rig_feed(r, rows[i].bytes, rows[i].len);
        struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_CLOSED);
        assert_int_equal(smqtt_err_reason(event.err), rows[i].reason);
        assert_int_equal(rig_take(r, SMQ_DISCONNECT).reasoned.reason, rows[i].reason);
        rig_no_event(r);
        assert_true(smqtt_client_wants_close(r->c));
        rig_end(r);
    }
    struct rig *r = rig_new(SMQTT_V311);
    rig_start(r);
    rig_feed(r, rows[0].bytes, rows[0].len);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_MALFORMED);
    rig_silent(r); /* 3.1.1 has no reasons to give */
    rig_end(r);
}

static void too_large_test(void **state)
{
    (void)state;
    struct rig *r = rig_new(SMQTT_V5);
    r->config.max_packet = 100;
    rig_start(r);
    rig_feed(r, "\x30\x64", 2); /* 102 bytes in all: refused before they come */
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CLOSED).err, SMQTT_E_TOO_LARGE);
    assert_int_equal(rig_take(r, SMQ_DISCONNECT).reasoned.reason, 0x95);
    rig_end(r);
}

/** What a client makes of a stream, as one number. */
static uint64_t digest_event(uint64_t digest, const struct smqtt_client_event *event)
{
    uint64_t state = digest ^ ((uint64_t)event->type << 32 | (uint64_t)event->reason << 8 | event->qos);
    for (size_t i = 0; i < event->topic.len; i++) {
        state ^= test_random(&state) + event->topic.data[i];
    }
    for (size_t i = 0; i < event->payload.len; i++) {
        state ^= test_random(&state) + event->payload.data[i];
    }
    state ^= event->codes.len + event->token * 3;
    return test_random(&state);
}

static uint64_t pull(struct rig *r, uint64_t digest)
{
    struct smqtt_client_event event;
    while (smqtt_client_next(r->c, &event)) {
        digest = digest_event(digest, &event);
    }
    return digest;
}

/** A conversation whose broker's half was recorded, cut into pieces at `cuts`. */
static uint64_t replay(enum smqtt_version v, size_t first, size_t step, size_t *total)
{
    struct rig *r = rig_new(v);
    rig_make(r);
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
    rig_take(r, SMQ_CONNECT);
    rig_give(r, rig_connack(0, false));
    uint64_t digest = pull(r, 1);
    static const struct smqtt_publish_options q1 = {.qos = 1};
    static const struct smqtt_publish_options q2 = {.qos = 2};
    struct smqtt_subscription sub = {smq_span_str("#"), 2};
    assert_int_equal(smqtt_client_publish(r->c, smq_span_str("a"), smq_span_str("1"), &q1, NULL, r->now), SMQTT_OK);
    assert_int_equal(smqtt_client_publish(r->c, smq_span_str("a"), smq_span_str("2"), &q2, NULL, r->now), SMQTT_OK);
    assert_int_equal(smqtt_client_subscribe(r->c, &sub, 1, NULL, r->now), SMQTT_OK);
    uint16_t one = rig_take(r, SMQ_PUBLISH).publish.id;
    uint16_t two = rig_take(r, SMQ_PUBLISH).publish.id;
    uint16_t three = rig_take(r, SMQ_SUBSCRIBE).subscribe.id;
    r->held = true;
    rig_give(r, rig_ack(SMQ_PUBACK, one, 0));
    rig_give(r, rig_publish(2, 9, "some/topic", "exactly once"));
    rig_give(r, rig_ack(SMQ_PUBREC, two, 0));
    rig_give(r, rig_suback(SMQ_SUBACK, three, "\x02", 1));
    rig_give(r, rig_publish(0, 0, "t", ""));
    rig_give(r, rig_ack(SMQ_PUBREL, 9, 0));
    rig_give(r, rig_ack(SMQ_PUBCOMP, two, 0));
    rig_give(r, rig_publish(1, 4, "t/u", "last"));
    r->held = false;
    *total = r->n_held;
    for (size_t at = 0, len = first; at < r->n_held; at += len, len = step) {
        len = len < r->n_held - at ? len : r->n_held - at;
        rig_feed(r, r->held_bytes + at, len);
        digest = pull(r, digest);
    }
    rig_take(r, SMQ_PUBREC);
    rig_take(r, SMQ_PUBREL);
    rig_take(r, SMQ_PUBCOMP);
    rig_take(r, SMQ_PUBACK);
    rig_silent(r);
    assert_int_equal(smqtt_client_unfinished(r->c), 0);
    rig_end(r);
    return digest;
}

static void every_cut_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        size_t total = 0;
        uint64_t by_byte = replay(v, 1, 1, &total);
        for (size_t cut = 1; cut < total; cut++) {
            assert_true(replay(v, cut, total - cut, &total) == by_byte);
        }
    }
}

static void messages_survive_cuts_test(void **state)
{
    (void)state;
    FOR_EACH_VERSION(v)
    {
        for (size_t step = 1; step < 64; step++) {
            struct rig *r = rig_new(v);
            rig_start(r);
            r->held = true;
            for (unsigned i = 0; i < 20; i++) {
                char text[32];
                snprintf(text, sizeof(text), "%0*u", (int)i + 1, i);
                rig_give(r, rig_publish((uint8_t)(i % 2), (uint16_t)(i + 1), "t", text));
            }
            r->held = false;
            unsigned seen = 0;
            struct smqtt_client_event event;
            for (size_t at = 0; at < r->n_held; at += step) {
                size_t len = step < r->n_held - at ? step : r->n_held - at;
                rig_feed(r, r->held_bytes + at, len);
                if (at % 3 == 0) {
                    continue; /* not every feed is followed by pulling */
                }
                while (smqtt_client_next(r->c, &event)) {
                    assert_int_equal(event.payload.len, seen + 1);
                    rig_feed(r, NULL, 0); /* feeding between events moves nothing away */
                    assert_int_equal(event.payload.data[seen], '0' + seen % 10);
                    seen++;
                }
            }
            while (smqtt_client_next(r->c, &event)) {
                assert_int_equal(event.payload.len, seen + 1);
                seen++;
            }
            assert_int_equal(seen, 20);
            rig_end(r);
        }
    }
}

static void nomem_test(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 200; nth++) {
        struct rig *r = rig_new(SMQTT_V5);
        failing_mem_arm(&r->fm, nth);
        smqtt_err err = smqtt_client_new(&r->config, &r->c);
        if (err != SMQTT_OK) {
            assert_int_equal(err, SMQTT_E_NOMEM);
            assert_int_equal(r->fm.live, 0);
            continue;
        }
        err = smqtt_client_connect(r->c, r->now);
        if (err == SMQTT_OK) {
            rig_take(r, SMQ_CONNECT);
            rig_give(r, rig_connack(0, false));
            pull(r, 0);
            rig_give(r, rig_publish(2, 1, "a", "b"));
            pull(r, 0);
            rig_give(r, rig_ack(SMQ_PUBREL, 1, 0));
            pull(r, 0);
        } else {
            assert_int_equal(err, SMQTT_E_NOMEM);
            assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK); /* nothing has changed */
        }
        bool failed = failing_mem_has_failed(&r->fm);
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
        cmocka_unit_test(config_test),
        cmocka_unit_test(connect_says_all_test),
        cmocka_unit_test(refused_test),
        cmocka_unit_test(older_broker_test),
        cmocka_unit_test(connack_first_test),
        cmocka_unit_test(session_not_ours_test),
        cmocka_unit_test(connack_never_comes_test),
        cmocka_unit_test(keep_alive_test),
        cmocka_unit_test(broker_sets_keep_alive_test),
        cmocka_unit_test(own_disconnect_test),
        cmocka_unit_test(broker_disconnects_test),
        cmocka_unit_test(malformed_test),
        cmocka_unit_test(too_large_test),
        cmocka_unit_test(every_cut_test),
        cmocka_unit_test(messages_survive_cuts_test),
        cmocka_unit_test(nomem_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
