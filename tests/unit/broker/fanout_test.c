/* SPDX-License-Identifier: Apache-2.0 */
/* One message for many: packets of QoS 0 stand in memory once for all receivers, and each gets its own stream whole and
 * in order all the same. */
#include "harness.h"

enum { CLIENTS = 9, MESSAGES = 3000, BURST = 20, OPTION_RAP = 8, DEAF_FROM = 400, DEAF_TO = 1400 };

static struct bed bed;
static struct client *subs[CLIENTS];

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

static void text_of(unsigned i, char *text, size_t cap)
{
    static const char fill[] = "----------------------------------------------------------------";
    snprintf(text, cap, "%u%.*s", i, (int)(i % 61), fill);
}

static bool is_retained(unsigned i)
{
    return i % 7 == 3;
}

/* Several packets in one piece, so that they are routed in one turn. */
static void publish_burst(struct client *pub, unsigned from)
{
    uint8_t bytes[BURST * 100];
    size_t len = 0;
    for (unsigned i = from; i < from + BURST; i++) {
        char text[80];
        text_of(i, text, sizeof text);
        size_t n = strlen(text);
        bytes[len++] = (uint8_t)(SMQ_PUBLISH << 4 | (is_retained(i) ? 1 : 0));
        bytes[len++] = (uint8_t)(3 + n);
        bytes[len++] = 0;
        bytes[len++] = 1;
        bytes[len++] = 't';
        memcpy(bytes + len, text, n);
        len += n;
    }
    client_feed(pub, bytes, len);
}

static void take_all(struct client *sub, unsigned from, unsigned to, bool rap)
{
    for (unsigned i = from; i < to; i++) {
        char text[80];
        text_of(i, text, sizeof text);
        const struct smq_publish *p = client_expect_publish(sub, "t", text);
        assert_int_equal(p->retain, rap && is_retained(i));
        assert_int_equal(p->qos, 0);
    }
}

/* Of both versions, some with Retain As Published; number 2 publishes itself in between, so that acknowledgements stand
 * among its messages; number 5 takes nothing for a while. */
static void each_receiver_gets_its_own_stream(void **state)
{
    (void)state;
    bed_start(&bed);
    for (unsigned k = 0; k < CLIENTS; k++) {
        char id[8];
        snprintf(id, sizeof id, "s%u", k);
        subs[k] = client_connect(&bed, k % 2 == 0 ? SMQTT_V5 : SMQTT_V311, id, true);
        client_subscribe(subs[k], "t", k == 4 || k == 6 ? OPTION_RAP : 0);
    }
    struct client *pub = client_connect(&bed, SMQTT_V311, "pub", true);
    for (unsigned i = 0; i < MESSAGES; i += BURST) {
        subs[5]->deaf = i >= DEAF_FROM && i < DEAF_TO;
        publish_burst(pub, i);
        for (unsigned k = 0; k < CLIENTS; k++) {
            if (k != 5) {
                take_all(subs[k], i, i + BURST, k == 4 || k == 6);
            }
        }
        client_send_publish(subs[2], "other", "x", 1, false, 1);
        client_expect(subs[2], SMQ_PUBACK);
    }
    bed_turn(&bed);
    take_all(subs[5], 0, MESSAGES, false);
    for (unsigned k = 0; k < CLIENTS; k++) {
        client_expect_none(subs[k]);
    }
    bed_stop(&bed);
}

/* Its acknowledgement stands between two messages of the same turn. */
static void own_packets_stand_between_shared_ones(void **state)
{
    (void)state;
    bed_start(&bed);
    for (unsigned k = 0; k < CLIENTS; k++) {
        char id[8];
        snprintf(id, sizeof id, "s%u", k);
        subs[k] = client_connect(&bed, SMQTT_V311, id, true);
        client_subscribe(subs[k], "t", 0);
    }
    /* QoS 0, QoS 1 on another topic, PINGREQ, QoS 0, PINGREQ, QoS 0: all in one piece. */
    static const uint8_t bytes[] =
        "\x30\x04\x00\x01t1\x32\x06\x00\x01oQQx\xC0\x00\x30\x04\x00\x01t2\xC0\x00\x30\x04\x00\x01t3";
    for (unsigned round = 0; round < 300; round++) {
        client_feed(subs[0], bytes, sizeof bytes - 1);
        client_expect_publish(subs[0], "t", "1");
        client_expect(subs[0], SMQ_PUBACK);
        client_expect(subs[0], SMQ_PINGRESP);
        client_expect_publish(subs[0], "t", "2");
        client_expect(subs[0], SMQ_PINGRESP);
        client_expect_publish(subs[0], "t", "3");
        for (unsigned k = 1; k < CLIENTS; k++) {
            client_expect_publish(subs[k], "t", "1");
            client_expect_publish(subs[k], "t", "2");
            client_expect_publish(subs[k], "t", "3");
        }
    }
    bed_stop(&bed);
}

/* With QoS 1 each has an identifier of its own: one that is not what the broker awaits would fill the window. */
static void identifiers_are_each_receivers_own(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    for (unsigned k = 0; k < CLIENTS; k++) {
        char id[8];
        snprintf(id, sizeof id, "s%u", k);
        subs[k] = client_connect(&bed, SMQTT_V311, id, true);
        client_subscribe(subs[k], "t", 1);
        for (unsigned i = 0; i < k; i++) {
            client_publish(pub, "t", "x", 1, false);
            for (unsigned all = 0; all <= k; all++) {
                client_take(subs[all], "t", "x", 1);
            }
        }
    }
    for (unsigned i = 0; i < 200; i++) {
        client_publish(pub, "t", "y", 1, false);
        for (unsigned k = 0; k < CLIENTS; k++) {
            client_take(subs[k], "t", "y", 1);
        }
    }
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_receiver_gets_its_own_stream, setup),
        cmocka_unit_test_setup(own_packets_stand_between_shared_ones, setup),
        cmocka_unit_test_setup(identifiers_are_each_receivers_own, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
