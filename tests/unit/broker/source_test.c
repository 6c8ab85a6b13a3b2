/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/source.h"
#include "broker/internal.h"
#include "harness.h"

static struct bed bed;
static bool alice_may, anybody_may;

static bool may(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    (void)ctx;
    (void)topic;
    bool is_alice = span_is(who->client_id, "pub") && who->has_user && span_is(who->user, "alice");
    return kind != SMQ_ACCESS_WRITE || (is_alice ? alice_may : anybody_may);
}

static const struct smq_auth auth = {.access = may};

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    alice_may = anybody_may = true;
    bed.listener.id = 7;
    bed.listener.auth = &auth;
    return 0;
}

static struct client *publisher(const char *user, bool will)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, "pub", true);
    pkt.connect.has_user = user != NULL;
    pkt.connect.user = smq_span_str(user != NULL ? user : "");
    pkt.connect.has_will = will;
    pkt.connect.will =
        (struct smq_will){.qos = 1, .retain = true, .topic = smq_span_str("w"), .payload = smq_span_str("gone")};
    smq_props_clear(&pkt.connect.will.props);
    return client_connect_pkt(&bed, &pkt);
}

static void retain(struct client *pub)
{
    client_publish(pub, "r", "kept", 1, true);
}

/* A new subscriber, and whether it gets what is retained. */
static void expect(const char *topic, const char *payload)
{
    struct client *c = client_connect(&bed, SMQTT_V5, "sub", true);
    client_subscribe(c, topic, 0);
    if (payload != NULL) {
        client_take(c, topic, payload, 0);
    }
    client_expect_none(c);
    client_disconnect(c);
}

static void who_lost_the_right_is_not_heard_any_more(void **state)
{
    (void)state;
    bed_start(&bed);
    retain(publisher("alice", false));
    expect("r", "kept");
    alice_may = false;
    expect("r", NULL);
    alice_may = true; /* it was not removed */
    anybody_may = false;
    expect("r", "kept");
    bed.config.check_retain_source = false;
    alice_may = false;
    expect("r", "kept");
    bed_stop(&bed);
}

static void a_name_that_is_missing_is_no_name(void **state)
{
    (void)state;
    bed_start(&bed);
    retain(publisher(NULL, false));
    alice_may = false;
    expect("r", "kept");
    anybody_may = false;
    expect("r", NULL);
    bed_stop(&bed);
}

static void wills_are_asked_about_too(void **state)
{
    (void)state;
    bed_start(&bed);
    client_break(publisher("alice", true));
    expect("w", "gone");
    alice_may = false;
    expect("w", NULL);
    bed_stop(&bed);
}

/* Without anybody to ask nothing is kept: messages are as small as before. */
static void without_rights_nothing_is_kept(void **state)
{
    (void)state;
    bed.listener.auth = NULL;
    bed_start(&bed);
    retain(publisher("alice", false));
    struct smq_worker_stats without, with;
    smq_worker_stats(bed.w, &without);
    expect("r", "kept");
    bed_stop(&bed);
    setup(NULL);
    bed_start(&bed);
    retain(publisher("alice", false));
    smq_worker_stats(bed.w, &with);
    assert_int_equal(with.memory_bytes, without.memory_bytes + 4 + 2 + strlen("pub") + 1 + 2 + strlen("alice"));
    bed.listener.auth = NULL; /* and then nobody asks */
    alice_may = false;
    expect("r", "kept");
    bed_stop(&bed);
}

/* A listener that is gone lets nobody in any more, so that nobody of it may publish. */
static void of_a_listener_that_is_gone(void **state)
{
    (void)state;
    bed_start(&bed);
    retain(publisher("alice", false));
    bed.listener.id = 8;
    expect("r", NULL);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_lost_the_right_is_not_heard_any_more, setup),
        cmocka_unit_test_setup(a_name_that_is_missing_is_no_name, setup),
        cmocka_unit_test_setup(wills_are_asked_about_too, setup),
        cmocka_unit_test_setup(without_rights_nothing_is_kept, setup),
        cmocka_unit_test_setup(of_a_listener_that_is_gone, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
