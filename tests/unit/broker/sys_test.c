/* SPDX-License-Identifier: Apache-2.0 */
/* $SYS: what the broker tells of itself. */
#include "harness.h"

#include "broker/figures.h"
#include "broker/sys.h"

static void begin(struct bed *bed, uint32_t interval_s)
{
    bed_init(bed);
    bed->config.sys_interval_s = interval_s;
    bed_start(bed);
    bed_pass(bed, 1);
}

/* The value of a topic below $SYS/broker/ as a client that subscribes now gets it; "" when there is none. */
static const char *value_of(struct client *c, const char *name)
{
    static char value[64];
    char topic[100];
    snprintf(topic, sizeof topic, "$SYS/broker/%s", name);
    value[0] = '\0';
    client_subscribe(c, topic, 0);
    const struct smq_packet *pkt = client_next(c);
    if (pkt != NULL && pkt->type == SMQ_PUBLISH) {
        assert_true(span_is(pkt->publish.topic, topic));
        assert_true(pkt->publish.retain);
        snprintf(value, sizeof value, "%.*s", (int)pkt->publish.payload.len, (const char *)pkt->publish.payload.data);
    }
    client_drain(c);
    return value;
}

static void it_tells_of_clients_and_messages(void **state)
{
    (void)state;
    static struct bed bed;
    begin(&bed, 10);
    struct client *c = client_connect(&bed, SMQTT_V311, "watcher", true);
    assert_non_null(strstr(value_of(c, "version"), "version"));
    assert_string_equal(value_of(c, "clients/connected"), "0"); /* as it was at the start */
    assert_string_equal(value_of(c, "load/messages/received/15min"), "0.00");
    struct client *away = client_connect(&bed, SMQTT_V311, "away", false);
    client_disconnect(away);
    client_publish(c, "some/topic", "hello", 1, false);
    bed_pass(&bed, 10000);
    client_drain(c);
    assert_string_equal(value_of(c, "uptime"), "10 seconds");
    assert_string_equal(value_of(c, "clients/total"), "2");
    assert_string_equal(value_of(c, "clients/connected"), "1");
    assert_string_equal(value_of(c, "clients/disconnected"), "1");
    assert_string_equal(value_of(c, "publish/messages/received"), "1");
    assert_string_equal(value_of(c, "publish/bytes/received"), "5");
    /* Two connections in ten seconds are twelve a minute, of which the average has learnt 1 - e^(-1/6). */
    assert_string_equal(value_of(c, "load/connections/1min"), "1.84");
    assert_string_equal(value_of(c, "load/connections/5min"), "0.39");
    assert_string_equal(value_of(c, "load/connections/15min"), "0.13");
    unsigned long heap = strtoul(value_of(c, "heap/current"), NULL, 10);
    unsigned long messages = strtoul(value_of(c, "store/messages/bytes"), NULL, 10);
    assert_true(messages > 0 && heap > messages + 2 * 100); /* two sessions */
    assert_int_equal(strtoul(value_of(c, "heap/maximum"), NULL, 10), heap);
    bed_stop(&bed);
}

static void only_what_changes_is_told_again(void **state)
{
    (void)state;
    static struct bed bed;
    begin(&bed, 5);
    struct client *c = client_connect(&bed, SMQTT_V311, "watcher", true);
    client_subscribe(c, "$SYS/broker/clients/#", 0);
    client_drain(c);
    bed_pass(&bed, 5000);
    client_expect_publish(c, "$SYS/broker/clients/total", "1");
    client_expect_publish(c, "$SYS/broker/clients/active", "1");
    client_expect_publish(c, "$SYS/broker/clients/connected", "1");
    client_expect_publish(c, "$SYS/broker/clients/maximum", "1");
    client_expect_none(c);
    bed_pass(&bed, 5000);
    client_expect_none(c);
    bed.config.sys_interval_s = 0;
    smq_worker_configure(bed.w, &bed.config, bed.now);
    struct client *other = client_connect(&bed, SMQTT_V311, "other", true);
    bed_pass(&bed, 60000);
    client_expect_none(c);
    client_expect_alive(other);
    bed_stop(&bed);
}

static void it_tells_of_the_store(void **state)
{
    (void)state;
    static struct bed bed;
    static struct smq_store_figures figures = {.durability = "interval 20", .commits = 7, .size = 1000};
    bed_init(&bed);
    bed.config.sys_interval_s = 10;
    bed.env.store_figures = &figures;
    bed_start(&bed);
    bed_pass(&bed, 1);
    struct client *c = client_connect(&bed, SMQTT_V311, "watcher", true);
    assert_string_equal(value_of(c, "store/smqtt/durability"), "interval 20");
    assert_string_equal(value_of(c, "store/smqtt/commits"), "7");
    assert_string_equal(value_of(c, "store/smqtt/bytes"), "1000");
    atomic_store(&figures.commits, 8);
    bed_pass(&bed, 10000);
    client_drain(c);
    assert_string_equal(value_of(c, "store/smqtt/commits"), "8");
    bed_stop(&bed);
    bed_init(&bed); /* and of none when there is none */
    bed.config.sys_interval_s = 10;
    bed_start(&bed);
    bed_pass(&bed, 1);
    c = client_connect(&bed, SMQTT_V311, "watcher", true);
    assert_string_equal(value_of(c, "store/smqtt/commits"), "");
    bed_stop(&bed);
}

static void it_can_be_switched_off(void **state)
{
    (void)state;
    static struct bed bed;
    begin(&bed, 0);
    struct client *c = client_connect(&bed, SMQTT_V311, "watcher", true);
    assert_string_equal(value_of(c, "uptime"), "");
    bed_stop(&bed);
}

/* The shell sets the configuration once more when it has opened its listeners. */
static void a_configuration_does_not_put_off_the_first_time(void **state)
{
    (void)state;
    static struct bed bed;
    bed_init(&bed);
    bed.config.sys_interval_s = 10;
    bed_start(&bed);
    smq_worker_configure(bed.w, &bed.config, bed.now);
    bed_pass(&bed, 1);
    struct client *c = client_connect(&bed, SMQTT_V311, "watcher", true);
    assert_string_equal(value_of(c, "uptime"), "0 seconds");
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_tells_of_clients_and_messages),
        cmocka_unit_test(only_what_changes_is_told_again),
        cmocka_unit_test(it_tells_of_the_store),
        cmocka_unit_test(it_can_be_switched_off),
        cmocka_unit_test(a_configuration_does_not_put_off_the_first_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
