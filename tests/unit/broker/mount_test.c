/* SPDX-License-Identifier: Apache-2.0 */
/* Mount points: topics have a prefix that the clients of a listener never see. And topic aliases towards clients. */
#include "broker/internal.h"
#include "harness.h"

static struct bed bed;
static struct smq_listener_config plain; /* the bed's own listener is the mounted one */

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    plain = bed.listener;
    bed.listener.mount_point = (char *)(uintptr_t) "m/p/";
    return 0;
}

/* Clients of the listener without mount point. */
static struct client *outside(enum smqtt_version version, const char *id, bool clean)
{
    struct smq_listener_config mounted = bed.listener;
    bed.listener.mount_point = NULL;
    struct client *c = client_connect(&bed, version, id, clean);
    bed.listener = mounted;
    return c;
}

static void topics_have_a_prefix_outside_only(void **state)
{
    (void)state;
    bed_start(&bed);
    static const enum smqtt_version versions[] = {SMQTT_V311, SMQTT_V5};
    char large[2001];
    memset(large, 'y', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    for (size_t i = 0; i < 2; i++) {
        struct client *in = client_connect(&bed, versions[i], "in", true);
        struct client *pub = client_connect(&bed, versions[i], "inpub", true);
        struct client *out = outside(versions[i], "out", true);
        struct client *outpub = outside(versions[i], "outpub", true);
        client_subscribe(in, "#", 2);
        client_subscribe(out, "#", 2);
        for (uint8_t qos = 0; qos <= 2; qos++) {
            client_publish(pub, "t", "x", qos, false);
            client_take(in, "t", "x", qos);
            client_take(out, "m/p/t", "x", qos);
            client_publish(pub, "t/large", large, qos, false);
            client_take(in, "t/large", large, qos);
            client_take(out, "m/p/t/large", large, qos);
            client_publish(outpub, "m/p/u", "y", qos, false);
            client_take(in, "u", "y", qos);
            client_take(out, "m/p/u", "y", qos);
        }
        client_publish(outpub, "m/other", "z", 1, false);
        client_publish(outpub, "m/p/", "z", 1, false); /* nothing would be left of it inside */
        client_take(out, "m/other", "z", 1);
        client_take(out, "m/p/", "z", 1);
        client_expect_none(in);
        struct client *all[] = {in, pub, out, outpub};
        for (size_t k = 0; k < 4; k++) {
            client_disconnect(all[k]);
        }
    }
    bed_stop(&bed);
}

static void unsubscribe(struct client *c, const char *filter)
{
    struct smq_filter f = {smq_span_str(filter), 0};
    struct smq_packet pkt = {.type = SMQ_UNSUBSCRIBE};
    pkt.subscribe.id = 78;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = &f;
    smq_props_clear(&pkt.subscribe.props);
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_UNSUBACK)->suback.codes.data[0], 0);
}

static void filters_retained_and_shared_ones_too(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *out = outside(SMQTT_V5, "out", true);
    struct client *in = client_connect(&bed, SMQTT_V5, "in", true);
    client_publish(in, "r", "in", 1, true);
    client_publish(out, "r", "out", 1, true);
    client_subscribe(in, "r", 1);
    assert_true(client_expect_publish(in, "r", "in")->retain);
    client_expect_none(in);
    unsubscribe(in, "r");
    client_subscribe(in, "$share/g/t/+", 1);
    client_publish(out, "t/1", "no", 1, false);
    client_publish(out, "m/p/t/1", "yes", 1, false);
    client_take(in, "t/1", "yes", 1);
    client_expect_none(in);
    client_drain(in);
    unsubscribe(in, "$share/g/t/+");
    client_publish(out, "m/p/t/1", "no", 1, false);
    client_expect_none(in);
    bed_stop(&bed);
}

static void wills_too(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *out = outside(SMQTT_V5, "out", true);
    client_subscribe(out, "#", 0);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "in", true);
    pkt.connect.has_will = true;
    pkt.connect.will.topic = smq_span_str("will");
    pkt.connect.will.payload = smq_span_str("gone");
    client_break(client_connect_pkt(&bed, &pkt));
    client_take(out, "m/p/will", "gone", 0);
    bed_stop(&bed);
}

static char asked[4][64];
static unsigned n_asked;

static bool may(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    (void)ctx;
    (void)who;
    (void)kind;
    snprintf(asked[n_asked++ % 4], sizeof asked[0], "%.*s", (int)topic.len, (const char *)topic.data);
    return true;
}

static void rights_are_those_of_the_whole_topic(void **state)
{
    (void)state;
    static const struct smq_auth auth = {.access = may};
    bed.listener.auth = &auth;
    bed_start(&bed);
    n_asked = 0;
    struct smq_packet pkt = packet_connect(SMQTT_V5, "in", true);
    pkt.connect.has_will = true;
    pkt.connect.will.topic = smq_span_str("will");
    struct client *in = client_connect_pkt(&bed, &pkt);
    client_subscribe(in, "$share/g/t/+", 0);
    client_publish(in, "t/1", "x", 0, false);
    assert_int_equal(n_asked, 4);
    assert_string_equal(asked[0], "m/p/will");
    assert_string_equal(asked[1], "m/p/t/+");
    assert_string_equal(asked[2], "m/p/t/1");
    assert_string_equal(asked[3], "m/p/t/1");
    bed_stop(&bed);
}

static void a_topic_that_becomes_too_long_is_refused(void **state)
{
    (void)state;
    bed_start(&bed);
    char *topic = malloc(65536);
    memset(topic, 'x', 65535);
    topic[65535] = '\0';
    struct client *in = client_connect(&bed, SMQTT_V5, "in", true);
    client_send_publish(in, topic, "x", 1, false, 1);
    assert_int_equal(client_expect(in, SMQ_PUBACK)->ack.reason, 0x90);
    topic[65531] = '\0';
    client_subscribe(in, topic, 0);
    client_publish(in, topic, "x", 0, false);
    client_take(in, topic, "x", 0);
    topic[65531] = 'x';
    struct smq_filter f = {smq_span_str(topic), 0};
    struct smq_packet sub = {.type = SMQ_SUBSCRIBE};
    sub.subscribe.id = 77;
    sub.subscribe.n = 1;
    sub.subscribe.filters = &f;
    smq_props_clear(&sub.subscribe.props);
    client_send(in, &sub);
    assert_int_equal(client_expect(in, SMQ_SUBACK)->suback.codes.data[0], 0x8F);
    struct client *old = client_connect(&bed, SMQTT_V311, "old", true);
    client_send_publish(old, topic, "x", 1, false, 1); /* 3.x cannot be told otherwise */
    client_expect_closed(old);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "will", true);
    pkt.connect.has_will = true;
    pkt.connect.will.topic = smq_span_str(topic);
    struct client *c = client_open(&bed, SMQTT_V5);
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x90);
    free(topic);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ aliases */

static struct client *with_aliases(const char *id, uint32_t max)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, true);
    if (max != 0) {
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_TOPIC_ALIAS_MAXIMUM, max);
    }
    return client_connect_pkt(&bed, &pkt);
}

/* What a client makes of it. */
struct known {
    char topic[16][64];
    unsigned n_short, n_new;
};

static void take_aliased(struct client *c, struct known *k, const char *topic, const char *payload, uint32_t max)
{
    const struct smq_publish *p = &client_expect(c, SMQ_PUBLISH)->publish;
    uint32_t alias = smq_props_num(&p->props, SMQ_PROP_TOPIC_ALIAS, 0);
    assert_true(alias <= max);
    if (p->topic.len != 0) {
        assert_true(span_is(p->topic, topic));
        if (alias != 0) {
            snprintf(k->topic[alias], sizeof k->topic[alias], "%s", topic);
            k->n_new++;
        }
    } else {
        assert_string_equal(k->topic[alias], topic);
        k->n_short++;
    }
    assert_true(span_is(p->payload, payload));
}

static void frequent_topics_get_numbers(void **state)
{
    (void)state;
    bed.listener = plain;
    bed.listener.topic_alias_out = 10;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    struct client *plain_sub = with_aliases("plain", 0);
    struct client *sub = with_aliases("sub", 2);
    client_subscribe(plain_sub, "#", 0);
    client_subscribe(sub, "#", 0);
    struct known k = {.n_short = 0};
    char large[1001], topic[64];
    memset(large, 'y', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    static const char *const often[] = {"sensors/one", "sensors/two"};
    for (unsigned i = 0; i < 100; i++) {
        const char *payload = i % 3 == 0 ? large : "x";
        for (unsigned t = 0; t < 3; t++) {
            snprintf(topic, sizeof topic, "rare/topic/%u", i);
            const char *at = t < 2 ? often[t] : topic;
            client_publish(pub, at, payload, 0, false);
            take_aliased(sub, &k, at, payload, 2);
            client_take(plain_sub, at, payload, 0);
        }
    }
    assert_true(k.n_short >= 190);
    client_publish(pub, "abc", "x", 0, false); /* too short to be worth a number */
    client_publish(pub, "abc", "x", 0, false);
    client_take(sub, "abc", "x", 0);
    assert_false(smq_props_has(&client_expect(sub, SMQ_PUBLISH)->publish.props, SMQ_PROP_TOPIC_ALIAS));
    /* Others become frequent, and these rare. */
    k.n_short = 0;
    for (unsigned i = 0; i < 400; i++) {
        client_publish(pub, "actors/one", "x", 0, false);
        take_aliased(sub, &k, "actors/one", "x", 2);
    }
    assert_true(k.n_short > 290);
    bed_stop(&bed);
}

static void what_was_not_sent_is_not_known(void **state)
{
    (void)state;
    bed.listener = plain;
    bed.listener.topic_alias_out = 1;
    bed_start(&bed);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "sub", true);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_TOPIC_ALIAS_MAXIMUM, 5);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_MAXIMUM_PACKET_SIZE, 100);
    struct client *sub = client_connect_pkt(&bed, &pkt);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_subscribe(sub, "#", 0);
    char large[201];
    memset(large, 'y', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    struct known k = {.n_short = 0};
    client_publish(pub, "some/topic", large, 0, false); /* it does not take that */
    client_publish(pub, "some/topic", "x", 0, false);
    take_aliased(sub, &k, "some/topic", "x", 1);
    assert_int_equal(k.n_new, 1);
    client_publish(pub, "some/topic", "x", 0, false);
    take_aliased(sub, &k, "some/topic", "x", 1);
    assert_int_equal(k.n_short, 1);
    bed_stop(&bed);
}

static void unless_the_listener_has_none(void **state)
{
    (void)state;
    bed.listener = plain;
    bed_start(&bed);
    struct client *sub = with_aliases("sub", 10);
    client_subscribe(sub, "#", 0);
    for (unsigned i = 0; i < 3; i++) {
        client_publish(sub, "some/topic", "x", 0, false);
        client_take(sub, "some/topic", "x", 0);
    }
    bed_stop(&bed);
}

static void aliases_and_prefixes_together(void **state)
{
    (void)state;
    bed.listener.topic_alias_out = 10;
    bed_start(&bed);
    struct client *sub = with_aliases("sub", 10);
    struct known k = {.n_short = 0};
    client_subscribe(sub, "#", 1);
    for (unsigned i = 0; i < 3; i++) {
        client_publish(sub, "some/topic", "x", 0, false);
        take_aliased(sub, &k, "some/topic", "x", 10);
    }
    assert_int_equal(k.n_new, 1);
    assert_int_equal(k.n_short, 2);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(topics_have_a_prefix_outside_only, setup),
        cmocka_unit_test_setup(filters_retained_and_shared_ones_too, setup),
        cmocka_unit_test_setup(wills_too, setup),
        cmocka_unit_test_setup(rights_are_those_of_the_whole_topic, setup),
        cmocka_unit_test_setup(a_topic_that_becomes_too_long_is_refused, setup),
        cmocka_unit_test_setup(frequent_topics_get_numbers, setup),
        cmocka_unit_test_setup(what_was_not_sent_is_not_known, setup),
        cmocka_unit_test_setup(unless_the_listener_has_none, setup),
        cmocka_unit_test_setup(aliases_and_prefixes_together, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
