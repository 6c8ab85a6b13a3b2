/* SPDX-License-Identifier: Apache-2.0 */
/* What is retained survives, by version; and limits that are lower than before. */
#include <stdlib.h>

#include "lives.h"

static const struct {
    unsigned before, after;
} changes[] = {{1, 1}, {1, 4}, {4, 1}, {2, 3}, {4, 4}, {3, 2}};

static void retained_messages_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        first(changes[i].before);
        char topic[16], text[16];
        struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
        for (unsigned n = 0; n < 60; n++) {
            snprintf(topic, sizeof topic, "r/%u", n % 20);
            snprintf(text, sizeof text, "v%u", n);
            client_publish(pub, topic, n % 20 == 7 && n > 40 ? "" : text, (uint8_t)(n % 3), true);
        }
        restart(changes[i].after);
        assert_int_equal(counts.retained, 19);
        pub = client_connect(&bed, SMQTT_V5, "pub", true);
        client_publish(pub, "r/3", "newest", 1, true);
        client_publish(pub, "r/4", "", 1, true);
        restart(changes[i].before);
        assert_int_equal(counts.retained, 18);
        struct client *c = client_connect(&bed, SMQTT_V5, "new", true);
        for (unsigned n = 0; n < 20; n++) {
            snprintf(topic, sizeof topic, "r/%u", n);
            snprintf(text, sizeof text, "v%u", n + 40);
            client_subscribe(c, topic, 0);
            if (n != 7 && n != 4) {
                client_expect_publish(c, topic, n == 3 ? "newest" : text);
            }
            client_expect_none(c);
        }
        over();
    }
}

/* A clock that was set back does not make what comes older than what is there. */
static void versions_go_on_above_all(void **state)
{
    (void)state;
    first(2);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_publish(pub, "r", "old", 1, true);
    kill_bed();
    now.wall -= 1000000;
    revive(2);
    pub = client_connect(&bed, SMQTT_V5, "pub", true);
    client_publish(pub, "r", "new", 1, true);
    restart(4);
    struct client *c = client_connect(&bed, SMQTT_V5, "sub", true);
    client_subscribe(c, "r", 0);
    client_expect_publish(c, "r", "new");
    over();
}

static void limits_do_not_take_what_is_there(void **state)
{
    (void)state;
    first(2);
    char topic[16];
    away("sub", "#", 1);
    away("nobody", "x", 1);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", true);
    for (unsigned n = 0; n < 50; n++) {
        snprintf(topic, sizeof topic, "r/%u", n);
        client_publish(pub, topic, "x", 1, true);
    }
    kill_bed();
    prepare(1);
    bed.config.max_retained = 5;
    bed.config.max_queued_messages = 5;
    bed.config.memory_limit = 1000;
    bed.config.max_clients = 1;
    bed_start(&bed);
    assert_int_equal(recover_with(&bed.mem.mem), SMQTT_OK);
    commit_recovered();
    assert_int_equal(counts.retained, 50);
    assert_int_equal(counts.queued, 50);
    assert_ptr_equal(bed.w->config, &bed.config);
    kill_bed();
    revive(3);
    assert_int_equal(counts.retained, 50);
    assert_int_equal(counts.queued, 50);
    over();
}

/* ------------------------------------------------------------ what was on its way to its keeper */

static void put_row(smq_span key, smq_span value)
{
    smq_store_put(bed.w, key, value);
}

static struct smq_content of_topic(const char *payload, uint64_t version)
{
    return (struct smq_content){.topic = smq_span_str("topic"),
                                .payload = smq_span_str(payload),
                                .expires = SMQTT_NEVER,
                                .version = version,
                                .qos = 1,
                                .retain = true};
}

/* Worker `from` has sent it to `peers`. */
static void put_body(unsigned from, uint64_t n, uint64_t peers, const char *payload, uint64_t version)
{
    uint8_t value[256];
    struct smq_wr wr = smq_wr_of(value, sizeof value);
    struct smq_row_body row = {.peers = peers, .content = of_topic(payload, version)};
    smq_row_write_body(&wr, &row, bed.now);
    struct smq_key key = smq_key_body((uint64_t)from << SMQ_MID_SHIFT | n);
    put_row(smq_key_span(&key), smq_wr_span(&wr));
}

static void put_retained(const char *payload, uint64_t version)
{
    uint8_t key[64], value[256];
    struct smq_wr k = smq_wr_of(key, sizeof key), v = smq_wr_of(value, sizeof value);
    struct smq_content c = of_topic(payload, version);
    smq_key_write_named(&k, SMQ_TABLE_RETAINED, c.topic);
    smq_row_write_content(&v, &c, bed.now);
    put_row(smq_wr_span(&k), smq_wr_span(&v));
}

enum { BEFORE = 3 };
static unsigned keeper;

static void first_of_three(void)
{
    first(BEFORE);
    keeper = smq_worker_owner(bed.w, smq_span_str("topic"));
}

static void expect_kept(unsigned count, const char *payload)
{
    bed_turn(&bed);
    restart(count);
    struct client *c = client_connect(&bed, SMQTT_V5, "late", true);
    client_subscribe(c, "topic", 0);
    if (payload != NULL) {
        client_expect_publish(c, "topic", payload);
    }
    client_expect_none(c);
    assert_int_equal(rows(SMQ_TABLE_RETAINED), payload != NULL);
    assert_int_equal(rows(SMQ_TABLE_BODY), 0);
    over();
}

static void what_was_on_its_way_to_its_keeper_is_kept(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        first_of_three();
        put_body((keeper + 1) % BEFORE, 5, UINT64_C(1) << keeper, "new", 10);
        expect_kept(count, "new");
        first_of_three();
        put_retained("older", 8);
        put_body((keeper + 1) % BEFORE, 5, UINT64_C(1) << keeper, "new", 10);
        expect_kept(count, "new");
        first_of_three();
        put_retained("newer", 12);
        put_body((keeper + 1) % BEFORE, 5, UINT64_C(1) << keeper, "new", 10);
        expect_kept(count, "newer");
    }
}

static void what_was_removed_stays_removed(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        first_of_three(); /* the keeper had the removal, and not what came before it */
        put_retained("", 20);
        put_body((keeper + 1) % BEFORE, 5, UINT64_C(1) << keeper, "old", 10);
        expect_kept(count, NULL);
        first_of_three(); /* it had neither, */
        put_body((keeper + 1) % BEFORE, 5, UINT64_C(1) << keeper, "old", 10);
        put_body((keeper + 2) % BEFORE, 5, UINT64_C(1) << keeper, "", 20);
        expect_kept(count, NULL);
        first_of_three(); /* in whatever order they are read */
        put_body((keeper + 2) % BEFORE, 5, UINT64_C(1) << keeper, "old", 10);
        put_body((keeper + 1) % BEFORE, 5, UINT64_C(1) << keeper, "", 20);
        expect_kept(count, NULL);
        first_of_three(); /* it had both; only a subscriber elsewhere had not */
        put_body((keeper + 1) % BEFORE, 5, UINT64_C(1) << (keeper + 2) % BEFORE, "old", 10);
        expect_kept(count, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retained_messages_come_back),      cmocka_unit_test(versions_go_on_above_all),
        cmocka_unit_test(limits_do_not_take_what_is_there), cmocka_unit_test(what_was_on_its_way_to_its_keeper_is_kept),
        cmocka_unit_test(what_was_removed_stays_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
