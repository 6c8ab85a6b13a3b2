/* SPDX-License-Identifier: Apache-2.0 */
/* Native clients of servers in the tunnel, with made-up bytes. */
#include "tunnel.h"

#include "base/hex.h"
#include "broker/internal.h"

static struct client *device, *far;

static void begin_far(void)
{
    start();
    device = client_connect(&bed, SMQTT_V5, "device", true);
    far = client_connect(&bed, SMQTT_V311, "far", true);
    client_subscribe(far, "smqtt1/+/c/+", 1);
}

static void who_listens_is_who_is_asked(void **state)
{
    (void)state;
    start();
    device = client_connect(&bed, SMQTT_V5, "device", true);
    native(device, 0x01, CID, 'x');
    expect_retry(device, SMQTT_STATUS_UNKNOWN_SERVER);
    client_subscribe(device, "smqtt1/#", 0); /* its own ear does not count */
    native(device, 0x01, CID, 'x');
    expect_retry(device, SMQTT_STATUS_UNKNOWN_SERVER);
    assert_int_equal(n_relays(), 0);
    client_subscribe(spy, "#", 1); /* it watches, or is a bridge: who knows? */
    native(device, 0x01, CID, 'x');
    expect_tunnel(spy, 'c', 0x01, CID);
    assert_int_equal(client_expect(device, SMQ_PUBLISH)->publish.payload.data[0], 0x01); /* to its own subscription */
    expect_retry(device, SMQTT_STATUS_UNKNOWN_SERVER);
    native(device, 0x01, CID + 1, 'x'); /* after the hint it starts again */
    expect_tunnel(spy, 'c', 0x01, CID + 1);
    client_drain(device);
    assert_int_equal(n_relays(), 1);
    client_send_publish(spy, topic_of('s', CID + 1), "\x0C\xD1\x01\5\5\5\5\5\5\5\5", 0, false, 0);
    expect_native(device, 0x0C);
    client_drain(spy);
    client_subscribe(spy, "smqtt1/+/c/+", 1);
    native(device, 0x01, CID + 2, 'x');
    client_drain(spy);
    assert_int_equal(client_expect(device, SMQ_PUBLISH)->publish.payload.data[0], 0x01);
    client_expect_none(device); /* it will answer */
    native(device, 0x01, CID + 3, 'x');
    expect_retry(device, SMQTT_STATUS_BUSY);
    client_expect_none(spy);
    stop();
}

static bool only_data(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    (void)ctx;
    bool far_one = span_is(who->client_id, "far");
    return far_one || kind != SMQ_ACCESS_WRITE || !smq_span_starts(topic, smq_span_str("smqtt1/"));
}

/* It is published in the name of the client. */
static void who_may_not_publish_there_finds_nobody(void **state)
{
    (void)state;
    static const struct smq_auth auth = {.access = only_data};
    bed.listener.auth = &auth;
    begin_far();
    native(device, 0x01, CID, 'x');
    expect_retry(device, SMQTT_STATUS_UNKNOWN_SERVER);
    native(device, 0x0F, CID, 'x');
    client_expect_none(far);
    client_expect_alive(device);
    assert_int_equal(n_relays(), 0);
    stop();
}

/* Without a subscription of its own it gets DETECT all the same, and receipts with one only. */
static void answers_come_without_a_subscription(void **state)
{
    (void)state;
    begin_far();
    native(device, 0x01, CID, 'x');
    expect_tunnel(far, 'c', 0x01, CID);
    native(device, 0x01, CID, 'x'); /* again */
    expect_tunnel(far, 'c', 0x01, CID);
    tunnel(far, 's', 0x0C, CID);
    expect_native(device, 0x0C);
    native(device, 0x0F, CID, 'x');
    expect_tunnel(far, 'c', 0x0F, CID);
    tunnel(far, 's', 0x0E, CID);
    expect_native(device, 0x0E);
    client_send_publish(far, topic_of('s', CID), "\x80 receipt", 0, false, 0);
    client_expect_none(device);
    client_subscribe(device, topic_of('s', CID), 1);
    client_publish(far, topic_of('s', CID), "\x80 receipt", 1, false);
    client_take(device, topic_of('s', CID), "\x80 receipt", 1);
    tunnel(far, 's', 0x0E, CID);
    expect_native(device, 0x0E);
    tunnel(far, 's', 0x06, CID);
    expect_native(device, 0x06);
    client_expect_none(device);
    assert_int_equal(device->conn->session->out.count, 0);
    /* The next session takes its place. */
    bed_pass(&bed, 60000);
    native(device, 0x01, CID + 1, 'x');
    expect_tunnel(far, 'c', 0x01, CID + 1);
    tunnel(far, 's', 0x0C, CID + 1);
    expect_native(device, 0x0C);
    assert_int_equal(n_listening(), 2);
    native(device, 0x0F, CID + 1, 'x');
    assert_int_equal(n_listening(), 1);
    client_drain(far);
    stop();
}

static void what_is_forged_for_a_device_disturbs_nobody(void **state)
{
    (void)state;
    begin_far();
    struct client *forger = client_connect(&bed, SMQTT_V5, "forger", true);
    native(device, 0x01, CID, 'x');
    expect_tunnel(far, 'c', 0x01, CID);
    static const uint8_t forged[] = {0x0E, 0x06, 0x02, 0x04, 0x0C, 0x0E, 0x06, 0x04};
    for (size_t i = 0; i < sizeof forged; i++) {
        tunnel_with(forger, 's', CID, forged[i], CID, 'f', false);
        expect_native(device, forged[i]);
    }
    tunnel_with(forger, 's', CID, 0x0C, CID + 1, 'f', false); /* not about this one: nobody gets it */
    client_send_publish(forger, topic_of('s', CID), "\x0C", 0, false, 0);
    client_expect_none(device);
    tunnel(far, 's', 0x0C, CID);
    expect_native(device, 0x0C);
    native(device, 0x0F, CID, 'x');
    expect_tunnel(far, 'c', 0x0F, CID);
    tunnel_with(forger, 's', CID, 0x06, CID, 'f', false);
    expect_native(device, 0x06);
    native(device, 0x0F, CID, 'x');
    expect_tunnel(far, 'c', 0x0F, CID);
    tunnel(far, 's', 0x0E, CID);
    expect_native(device, 0x0E);
    bed_pass(&bed, 60000);
    client_expect_alive(device);
    client_expect_alive(forger);
    /* After a RETRY it starts again at once, with another cid. */
    native(device, 0x01, CID + 1, 'x');
    expect_tunnel(far, 'c', 0x01, CID + 1);
    native(device, 0x01, CID + 2, 'x');
    expect_retry(device, SMQTT_STATUS_BUSY);
    tunnel(far, 's', 0x02, CID + 1);
    expect_native(device, 0x02);
    native(device, 0x01, CID + 2, 'x');
    expect_tunnel(far, 'c', 0x01, CID + 2);
    stop();
}

static void text_that_does_not_survive_ends_access(void **state)
{
    (void)state;
    begin_far();
    native(device, 0x01, CID, 'x');
    expect_tunnel(far, 'c', 0x01, CID);
    tunnel(far, 's', 0x04, CID);
    expect_native(device, 0x04);
    bed_pass(&bed, 31000); /* anybody may have said that: it is forgotten, and no more */
    client_expect_alive(device);
    assert_int_equal(n_relays(), 0);
    native(device, 0x01, CID, 'x');
    expect_tunnel(far, 'c', 0x01, CID);
    tunnel(far, 's', 0x04, CID);
    expect_native(device, 0x04);
    bed_pass(&bed, 29000);
    client_expect_alive(device);
    native(device, 0x07, CID, 'x'); /* but this is its own word */
    expect_tunnel(far, 'c', 0x07, CID);
    assert_int_equal(client_expect(device, SMQ_DISCONNECT)->reasoned.reason, 0x99);
    assert_int_equal(n_listening(), 0);
    stop();
}

static void a_late_verdict_is_published(void **state)
{
    (void)state;
    begin_far();
    native(device, 0x0F, CID, 'x');
    expect_tunnel(far, 'c', 0x0F, CID);
    tunnel(far, 's', 0x0E, CID);
    expect_native(device, 0x0E);
    client_break(far);
    native(device, 0x0F, CID + 1, 'x'); /* to nobody */
    client_expect_alive(device);
    stop();
}

static void records_stay_behind_step_3(void **state)
{
    (void)state;
    begin_far();
    client_subscribe(far, "data", 1);
    native(device, 0x01, CID, 'x');
    expect_tunnel(far, 'c', 0x01, CID);
    tunnel(far, 's', 0x0C, CID);
    expect_native(device, 0x0C);
    native(device, 0x0F, CID, 'x');
    client_publish(device, "data", "1", 1, false);
    client_publish(device, "data", "2", 0, false);
    expect_tunnel(far, 'c', 0x0F, CID);
    client_take(far, "data", "1", 1);
    client_expect_publish(far, "data", "2");
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_listens_is_who_is_asked, tunnel_setup),
        cmocka_unit_test_setup(answers_come_without_a_subscription, tunnel_setup),
        cmocka_unit_test_setup(what_is_forged_for_a_device_disturbs_nobody, tunnel_setup),
        cmocka_unit_test_setup(text_that_does_not_survive_ends_access, tunnel_setup),
        cmocka_unit_test_setup(who_may_not_publish_there_finds_nobody, tunnel_setup),
        cmocka_unit_test_setup(a_late_verdict_is_published, tunnel_setup),
        cmocka_unit_test_setup(records_stay_behind_step_3, tunnel_setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
