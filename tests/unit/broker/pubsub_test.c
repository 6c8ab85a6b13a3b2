/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing and subscribing through a whole worker, in all versions and at all levels of QoS. */
#include "harness.h"

static const enum smqtt_version versions[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5};

static void from_each_version_to_each_at_each_qos(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3 * 3 * 3 * 3; i++) {
        enum smqtt_version from = versions[i % 3], to = versions[i / 3 % 3];
        uint8_t sent = (uint8_t)(i / 9 % 3), wanted = (uint8_t)(i / 27);
        struct bed bed;
        bed_init(&bed);
        bed_start(&bed);
        struct client *sub = client_connect(&bed, to, "sub", true);
        struct client *pub = client_connect(&bed, from, "pub", true);
        client_subscribe(sub, "a/+/c", wanted);
        client_publish(pub, "a/b/c", "hello", sent, false);
        client_take(sub, "a/b/c", "hello", sent < wanted ? sent : wanted);
        client_publish(pub, "a/b", "not for you", sent, false);
        client_publish(pub, "a/\xE3\x81\x82/c", "", sent, false);
        client_take(sub, "a/\xE3\x81\x82/c", "", sent < wanted ? sent : wanted);
        client_expect_none(sub);
        client_disconnect(pub);
        client_disconnect(sub);
        bed_stop(&bed);
    }
}

static void large_messages_arrive_whole(void **state)
{
    (void)state;
    struct bed bed;
    bed_init(&bed);
    bed_start(&bed);
    struct client *sub[3], *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    char *text = malloc(100001);
    for (size_t i = 0; i < 3; i++) {
        char id[2] = {(char)('0' + i), 0};
        sub[i] = client_connect(&bed, versions[i], id, true);
        client_subscribe(sub[i], "#", 1);
    }
    static const size_t sizes[] = {250, 251, 255, 256, 257, 999, 1000, 1001, 15999, 16001, 65536, 100000};
    for (size_t k = 0; k < SMQ_ARRAY_LEN(sizes); k++) {
        memset(text, 'a' + (int)k, sizes[k]);
        text[sizes[k]] = '\0';
        client_publish(pub, "big", text, (uint8_t)(k % 2), false);
        for (size_t i = 0; i < 3; i++) {
            client_take(sub[i], "big", text, (uint8_t)(k % 2));
        }
    }
    free(text);
    bed_stop(&bed);
}

/* As Mosquitto's say that they are ones with 3.x: what they publish does not come back, and keeps its RETAIN. */
static void a_bridge_does_not_hear_itself(void **state)
{
    (void)state;
    struct bed bed;
    bed_init(&bed);
    bed_start(&bed);
    for (int old = 0; old <= 1; old++) {
        struct smq_packet connect = packet_connect(old != 0 ? SMQTT_V31 : SMQTT_V311, "bridge", true);
        connect.connect.bridge = true;
        struct client *bridge = client_connect_pkt(&bed, &connect);
        struct client *other = client_connect(&bed, SMQTT_V311, "other", true);
        client_subscribe(bridge, "a/#", 1);
        client_subscribe(other, "a/#", 0);
        client_publish(bridge, "a/b", "x", 1, false);
        client_expect_none(bridge);
        client_expect_publish(other, "a/b", "x");
        client_publish(other, "a/b", "y", 0, true);
        assert_true(client_expect_publish(bridge, "a/b", "y")->retain);
        assert_false(client_expect_publish(other, "a/b", "y")->retain);
        client_publish(other, "a/b", "", 0, true);
        client_drain(bridge);
        client_drain(other);
        client_break(bridge);
        client_break(other);
    }
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_each_version_to_each_at_each_qos),
        cmocka_unit_test(a_bridge_does_not_hear_itself),
        cmocka_unit_test(large_messages_arrive_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
