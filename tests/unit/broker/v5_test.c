/* SPDX-License-Identifier: Apache-2.0 */
/* What MQTT 5.0 adds to publishing and subscribing, and retained messages in all versions. */
#include "harness.h"

enum { NO_LOCAL = 4, RAP = 8, RETAIN_IF_NEW = 0x10, RETAIN_NEVER = 0x20 };

static struct bed bed;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

static uint8_t subscribe_id(struct client *c, const char *filter, uint8_t options, uint32_t id)
{
    struct smq_filter f = {smq_span_str(filter), options};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 3;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = &f;
    smq_props_clear(&pkt.subscribe.props);
    if (id != 0) {
        smq_props_set_num(&pkt.subscribe.props, SMQ_PROP_SUBSCRIPTION_ID, id);
    }
    client_send(c, &pkt);
    return client_expect(c, SMQ_SUBACK)->suback.codes.data[0];
}

static uint64_t ids_of(const struct smq_publish *p)
{
    struct smq_rd it = smq_rd_of(p->props.raw);
    uint32_t id;
    uint64_t sum = 0;
    while (smq_props_next_subid(&it, &id)) {
        sum = sum * 1000 + id;
    }
    return sum;
}

static void retained_messages(void **state)
{
    (void)state;
    static const enum smqtt_version versions[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5};
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    client_publish(pub, "r/1", "old", 1, true);
    client_publish(pub, "r/1", "new", 1, true);
    client_publish(pub, "r/2", "x", 2, true);
    client_publish(pub, "r/3", "not retained", 1, false);
    for (size_t i = 0; i < 3; i++) {
        struct client *c = client_connect(&bed, versions[i], "c", true);
        client_subscribe(c, "r/1", 2);
        const struct smq_publish *p = client_expect_publish(c, "r/1", "new");
        assert_true(p->retain && p->qos == 1);
        client_subscribe(c, "r/#", 0);
        size_t n = 0;
        const struct smq_packet *pkt;
        while ((pkt = client_next(c)) != NULL) {
            assert_true(pkt->type == SMQ_PUBLISH && pkt->publish.retain && pkt->publish.qos == 0);
            n++;
        }
        assert_int_equal(n, 2);
        client_publish(pub, "r/4", "live", 0, true);
        assert_false(client_expect_publish(c, "r/4", "live")->retain); /* [MQTT-3.3.1-9] */
        client_publish(pub, "r/4", "", 0, true);
        client_expect_publish(c, "r/4", "");
        client_disconnect(c);
    }
    client_publish(pub, "r/1", "", 0, true);
    client_publish(pub, "r/2", "", 1, true);
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_int_equal(stats.retained, 0);
    assert_int_equal(stats.memory_bytes, 0);
    bed_stop(&bed);
}

static void retained_as_asked(void **state)
{
    (void)state;
    bed.config.max_retained = 2;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", true);
    client_publish(pub, "r", "x", 1, true);
    client_subscribe(c, "r", 1 | RETAIN_NEVER);
    client_expect_none(c);
    client_subscribe(c, "r", 1 | RETAIN_IF_NEW); /* it is not new */
    client_expect_none(c);
    client_subscribe(c, "+", 1 | RETAIN_IF_NEW | RAP);
    client_take(c, "r", "x", 1);
    client_subscribe(c, "r", 1);
    client_take(c, "r", "x", 1);
    client_subscribe(c, "$share/g/r", 1); /* never for shared ones */
    client_expect_none(c);
    client_publish(pub, "q", "live", 1, true);
    assert_true(client_expect_publish(c, "q", "live")->retain); /* retain as published */
    client_send_publish(pub, "third", "x", 1, true, 4);
    assert_int_equal(client_expect(pub, SMQ_PUBACK)->ack.reason, 0x97);
    bed_stop(&bed);
}

static void all_identifiers_of_128_filters(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", true);
    for (unsigned i = 0; i < 128; i++) {
        char filter[] = "a/b/c/d/e/f/g";
        for (unsigned level = 0; level < 7; level++) {
            filter[2 * level] = (i >> level & 1) != 0 ? '+' : filter[2 * level];
        }
        subscribe_id(c, filter, 1, i + 1);
    }
    for (uint8_t qos = 0; qos <= 1; qos++) {
        client_publish(client_connect(&bed, SMQTT_V311, "pub", true), "a/b/c/d/e/f/g", "x", qos, false);
        const struct smq_publish *p = client_expect_publish(c, "a/b/c/d/e/f/g", "x");
        struct smq_rd it = smq_rd_of(p->props.raw);
        uint32_t id;
        uint64_t seen[2] = {0, 0};
        while (smq_props_next_subid(&it, &id)) {
            seen[(id - 1) / 64] |= UINT64_C(1) << (id - 1) % 64;
        }
        assert_true(seen[0] == UINT64_MAX && seen[1] == UINT64_MAX);
    }
    bed_stop(&bed);
}

static void one_message_for_overlapping_filters(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", true);
    struct client *old = client_connect(&bed, SMQTT_V311, "old", true);
    subscribe_id(c, "a/b", 0, 7);
    client_subscribe(old, "a/b", 0);
    client_subscribe(old, "#", 2);
    client_publish(pub, "a/b", "x", 2, false);
    assert_int_equal(ids_of(client_expect_publish(c, "a/b", "x")), 7);
    client_take(old, "a/b", "x", 2);
    client_expect_none(old);
    subscribe_id(c, "a/+", 2, 268435455);
    client_publish(pub, "a/b", "y", 2, false);
    const struct smq_publish *p = client_expect_publish(c, "a/b", "y");
    assert_int_equal(p->qos, 2);
    uint64_t both = ids_of(p);
    assert_true(both == 7 * 1000 + 268435455u || both == UINT64_C(268435455) * 1000 + 7);
    client_expect_none(c);
    /* They come along when it has to be sent again, or later. */
    client_break(c);
    bed_stop(&bed);
}

static void identifiers_survive_the_queue(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", false);
    subscribe_id(c, "t", 1, 9);
    client_publish(pub, "t", "1", 1, false);
    client_expect(c, SMQ_PUBLISH);
    client_break(c);
    client_publish(pub, "t", "2", 1, false);
    c = client_connect(&bed, SMQTT_V5, "c", false);
    assert_int_equal(ids_of(client_expect_publish(c, "t", "1")), 9);
    assert_int_equal(ids_of(client_expect_publish(c, "t", "2")), 9);
    client_break(c);
    c = client_connect(&bed, SMQTT_V311, "c", false); /* the version changed: nothing that it cannot read */
    client_take(c, "t", "1", 1);
    client_take(c, "t", "2", 1);
    bed_stop(&bed);
}

static void own_messages_stay_away_when_asked(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", true), *d = client_connect(&bed, SMQTT_V5, "d", true);
    client_subscribe(c, "t", NO_LOCAL);
    client_publish(c, "t", "mine", 0, false);
    client_expect_none(c);
    client_publish(d, "t", "yours", 0, false);
    client_take(c, "t", "yours", 0);
    bed_stop(&bed);
}

static struct smq_packet publish_of(const char *topic, const char *payload, uint8_t qos)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.topic = smq_span_str(topic);
    pkt.publish.payload = smq_span_str(payload);
    pkt.publish.qos = qos;
    pkt.publish.id = qos != 0 ? 5 : 0;
    smq_props_clear(&pkt.publish.props);
    return pkt;
}

static void properties_travel(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", false), *old = client_connect(&bed, SMQTT_V311, "o", true);
    client_subscribe(c, "t", 1);
    client_subscribe(old, "t", 1);
    struct smq_packet pkt = publish_of("t", "text", 1);
    struct smq_props *props = &pkt.publish.props;
    uint8_t raw[64];
    struct smq_wr wr = smq_wr_of(raw, sizeof raw);
    smq_props_put_user(&wr, smq_span_str("b"), smq_span_str("1"));
    smq_props_put_user(&wr, smq_span_str("a"), smq_span_str("2"));
    smq_props_put_user(&wr, smq_span_str("b"), smq_span_str("1"));
    props->raw = smq_wr_span(&wr);
    smq_props_set_num(props, SMQ_PROP_PAYLOAD_FORMAT, 1);
    smq_props_set_num(props, SMQ_PROP_MESSAGE_EXPIRY, 100);
    smq_props_set_num(props, SMQ_PROP_TOPIC_ALIAS, 3);
    smq_props_set_bytes(props, SMQ_PROP_CONTENT_TYPE, smq_span_str("text/plain"));
    smq_props_set_bytes(props, SMQ_PROP_RESPONSE_TOPIC, smq_span_str("answers"));
    smq_props_set_bytes(props, SMQ_PROP_CORRELATION_DATA, smq_span_of("\0\1", 2));
    for (size_t round = 0; round < 2; round++) {
        client_send(pub, &pkt);
        client_expect(pub, SMQ_PUBACK);
        client_take(old, "t", "text", 1);
        if (round == 1) { /* over a lost connection, 30 seconds later */
            client_break(c);
            bed_pass(&bed, 30000);
            c = client_connect(&bed, SMQTT_V5, "c", false);
        }
        const struct smq_publish *p = client_expect_publish(c, "t", "text");
        uint16_t id = p->id;
        assert_int_equal(smq_props_num(&p->props, SMQ_PROP_PAYLOAD_FORMAT, 0), 1);
        assert_int_equal(smq_props_num(&p->props, SMQ_PROP_MESSAGE_EXPIRY, 0), round == 0 ? 100 : 70);
        assert_false(smq_props_has(&p->props, SMQ_PROP_TOPIC_ALIAS));
        assert_true(span_is(smq_props_bytes(&p->props, SMQ_PROP_CONTENT_TYPE), "text/plain"));
        assert_true(span_is(smq_props_bytes(&p->props, SMQ_PROP_RESPONSE_TOPIC), "answers"));
        assert_int_equal(smq_props_bytes(&p->props, SMQ_PROP_CORRELATION_DATA).len, 2);
        struct smq_rd it = smq_rd_of(p->props.raw);
        smq_span name, value;
        const char *order = "bab";
        for (size_t i = 0; i < 3; i++) {
            assert_true(smq_props_next_user(&it, &name, &value));
            assert_int_equal(name.data[0], order[i]); /* [MQTT-3.3.2-18] */
        }
        assert_false(smq_props_next_user(&it, &name, &value));
        client_send_ack(c, SMQ_PUBACK, id, 0);
    }
    bed_stop(&bed);
}

static void messages_expire(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", false);
    client_subscribe(c, "t", 1);
    client_break(c);
    struct smq_packet pkt = publish_of("t", "short", 1);
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_MESSAGE_EXPIRY, 10);
    client_send(pub, &pkt);
    client_expect(pub, SMQ_PUBACK);
    pkt.publish.retain = true;
    pkt.publish.topic = smq_span_str("r");
    client_send(pub, &pkt);
    client_expect(pub, SMQ_PUBACK);
    client_publish(pub, "t", "long", 1, false);
    bed_pass(&bed, 11000);
    c = client_connect(&bed, SMQTT_V5, "c", false);
    client_take(c, "t", "long", 1);
    client_subscribe(c, "r", 1);
    client_expect_none(c);
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_int_equal(stats.retained, 0);
    assert_int_equal(stats.memory_bytes, 0);
    bed_stop(&bed);
}

static void aliases(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", true), *pub = client_connect(&bed, SMQTT_V5, "p", true);
    client_subscribe(c, "#", 0);
    struct smq_packet pkt = publish_of("first", "1", 0);
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_TOPIC_ALIAS, 10);
    client_send(pub, &pkt);
    client_take(c, "first", "1", 0);
    pkt.publish.topic = smq_span_str("");
    client_send(pub, &pkt);
    client_take(c, "first", "1", 0);
    pkt.publish.topic = smq_span_str("second");
    client_send(pub, &pkt);
    client_take(c, "second", "1", 0);
    pkt.publish.topic = smq_span_str("");
    client_send(pub, &pkt);
    client_take(c, "second", "1", 0);
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_TOPIC_ALIAS, 9); /* never set */
    client_send(pub, &pkt);
    assert_int_equal(client_expect(pub, SMQ_DISCONNECT)->reasoned.reason, 0x82);
    pub = client_connect(&bed, SMQTT_V5, "p", true);
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_TOPIC_ALIAS, 10); /* belongs to the connection before */
    client_send(pub, &pkt);
    assert_int_equal(client_expect(pub, SMQ_DISCONNECT)->reasoned.reason, 0x82);
    pub = client_connect(&bed, SMQTT_V5, "p", true);
    pkt.publish.topic = smq_span_str("x");
    smq_props_set_num(&pkt.publish.props, SMQ_PROP_TOPIC_ALIAS, 11);
    client_send(pub, &pkt);
    assert_int_equal(client_expect(pub, SMQ_DISCONNECT)->reasoned.reason, 0x94);
    client_expect_none(c);
    bed_stop(&bed);
}

static void packets_too_large_for_one(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true), *all = client_connect(&bed, SMQTT_V5, "a", true);
    struct smq_packet connect = packet_connect(SMQTT_V5, "c", true);
    smq_props_set_num(&connect.connect.props, SMQ_PROP_MAXIMUM_PACKET_SIZE, 60);
    struct client *c = client_open(&bed, SMQTT_V5);
    client_send(c, &connect);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0); /* with the necessary only */
    client_subscribe(c, "t", 1);
    client_subscribe(all, "t", 1);
    const char *large = "0123456789012345678901234567890123456789012345678901234567890123456789";
    client_publish(pub, "t", large, 1, false);
    client_publish(pub, "t", "small", 1, false);
    client_take(c, "t", "small", 1);
    client_take(all, "t", large, 1);
    client_take(all, "t", "small", 1);
    bed_stop(&bed);
}

static void shared_subscriptions(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *c[3];
    char id[2] = "0";
    for (size_t i = 0; i < 3; i++) {
        id[0] = (char)('0' + i);
        c[i] = client_connect(&bed, i == 0 ? SMQTT_V311 : SMQTT_V5, id, false);
        client_subscribe(c[i], "$share/g/t/#", 1);
    }
    for (size_t i = 0; i < 6; i++) {
        client_publish(pub, "t/x", "x", 1, false);
    }
    for (size_t i = 0; i < 3; i++) {
        client_take(c[i], "t/x", "x", 1);
        client_take(c[i], "t/x", "x", 1);
        client_expect_none(c[i]);
    }
    client_break(c[0]);
    client_break(c[1]);
    for (size_t i = 0; i < 4; i++) {
        client_publish(pub, "t/x", "y", 1, false);
        client_take(c[2], "t/x", "y", 1);
    }
    client_break(c[2]); /* nobody there: it is kept for one of them */
    client_publish(pub, "t/x", "z", 1, false);
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_int_equal(stats.queued_messages, 1);
    bed_stop(&bed);
}

static void reasons(void **state)
{
    (void)state;
    bed.config.max_subscriptions = 3;
    bed_start(&bed);
    struct client *c = client_connect(&bed, SMQTT_V5, "c", true), *old = client_connect(&bed, SMQTT_V311, "o", true);
    client_send_publish(c, "nobody", "x", 1, false, 1);
    assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.reason, 0x10);
    client_send_publish(c, "$SYS/x", "x", 1, false, 1);
    assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.reason, 0x90);
    client_subscribe(old, "$SYS/#", 0);
    client_send_publish(c, "$SYS/x", "x", 0, false, 0);
    client_expect_none(old);
    static const char *const reserved[] = {"$SYS", "$share/g/x", "$CONTROL/x"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(reserved); i++) {
        client_send_publish(c, reserved[i], "x", 1, false, 1);
        assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.reason, 0x90);
    }
    assert_int_equal(subscribe_id(c, "$SMQTT/#", 0, 0), 0x87);
    assert_int_equal(subscribe_id(old, "$SMQTT/register", 0, 0), 0x80);
    assert_int_equal(subscribe_id(c, "a", 0, 0), 0);
    assert_int_equal(subscribe_id(c, "b", 1, 0), 1);
    assert_int_equal(subscribe_id(c, "c", 2, 0), 2);
    assert_int_equal(subscribe_id(c, "d", 0, 0), 0x97);
    assert_int_equal(subscribe_id(c, "c", 1, 0), 1); /* a change is not one more */
    struct smq_filter f[2] = {{smq_span_str("a"), 0}, {smq_span_str("nothing"), 0}};
    struct smq_packet pkt = {.type = SMQ_UNSUBSCRIBE};
    pkt.subscribe.id = 6;
    pkt.subscribe.n = 2;
    pkt.subscribe.filters = f;
    smq_props_clear(&pkt.subscribe.props);
    client_send(c, &pkt);
    const struct smq_suback *ack = &client_expect(c, SMQ_UNSUBACK)->suback;
    assert_int_equal(ack->codes.data[0], 0);
    assert_int_equal(ack->codes.data[1], 0x11);
    struct smq_packet auth = {.type = SMQ_AUTH};
    auth.reasoned.reason = 0x19;
    smq_props_clear(&auth.reasoned.props);
    smq_props_set_bytes(&auth.reasoned.props, SMQ_PROP_AUTH_METHOD, smq_span_str("x"));
    client_send(c, &auth);
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, 0x82);
    bed_stop(&bed);
}

static bool access(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    bool *closed = ctx;
    bool secret = smq_span_starts(topic, smq_span_str("secret"));
    return !secret || (!*closed && span_is(who->client_id, kind == SMQ_ACCESS_WRITE ? "writer" : "reader"));
}

static void rights_are_asked_at_each_step(void **state)
{
    (void)state;
    bool closed = false;
    struct smq_auth auth = {.access = access, .ctx = &closed};
    bed.listener.auth = &auth;
    bed_start(&bed);
    struct client *writer = client_connect(&bed, SMQTT_V5, "writer", true);
    struct client *reader = client_connect(&bed, SMQTT_V5, "reader", false);
    struct client *other = client_connect(&bed, SMQTT_V5, "other", true);
    assert_int_equal(subscribe_id(reader, "secret/#", 1, 0), 1);
    assert_int_equal(subscribe_id(other, "secret/#", 1, 0), 0x87);
    assert_int_equal(subscribe_id(other, "$share/g/secret/#", 1, 0), 0x87);
    assert_int_equal(subscribe_id(other, "#", 1, 0), 1); /* allowed, but shows nothing of it */
    client_publish(writer, "secret/1", "x", 1, false);
    client_take(reader, "secret/1", "x", 1);
    client_expect_none(other);
    client_send_publish(other, "secret/1", "forged", 1, false, 2);
    assert_int_equal(client_expect(other, SMQ_PUBACK)->ack.reason, 0x87);
    client_expect_none(reader);
    /* Rights that go while a message waits. */
    client_break(reader);
    client_publish(writer, "secret/1", "late", 1, true);
    struct smq_packet will = packet_connect(SMQTT_V5, "writer", true);
    will.connect.has_will = true;
    will.connect.will.topic = smq_span_str("secret/will");
    will.connect.will.qos = 1;
    struct client *with_will = client_connect_pkt(&bed, &will);
    closed = true;
    client_break(with_will);
    reader = client_connect(&bed, SMQTT_V5, "reader", false);
    client_expect_none(reader);
    closed = false;
    assert_int_equal(subscribe_id(reader, "secret/will", 1, 0), 1);
    client_expect_none(reader);
    will.connect.client_id = smq_span_str("other");
    struct client *c = client_open(&bed, SMQTT_V5);
    client_send(c, &will);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x87);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(retained_messages, setup),
        cmocka_unit_test_setup(retained_as_asked, setup),
        cmocka_unit_test_setup(all_identifiers_of_128_filters, setup),
        cmocka_unit_test_setup(one_message_for_overlapping_filters, setup),
        cmocka_unit_test_setup(identifiers_survive_the_queue, setup),
        cmocka_unit_test_setup(own_messages_stay_away_when_asked, setup),
        cmocka_unit_test_setup(properties_travel, setup),
        cmocka_unit_test_setup(messages_expire, setup),
        cmocka_unit_test_setup(aliases, setup),
        cmocka_unit_test_setup(packets_too_large_for_one, setup),
        cmocka_unit_test_setup(shared_subscriptions, setup),
        cmocka_unit_test_setup(reasons, setup),
        cmocka_unit_test_setup(rights_are_asked_at_each_step, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
