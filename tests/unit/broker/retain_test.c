/* SPDX-License-Identifier: Apache-2.0 */
/* The store of retained messages against a list that is searched one by one. */
#include <stdio.h>

#include "../failing_mem.h"
#include "../test.h"
#include "broker/message.h"
#include "broker/retain.h"
#include "codec/topic.h"
#include "levels.h"

enum { TOPICS = 200, TOPIC_MAX = 64, ROUNDS = 3000 };

static const uint8_t key[16] = "fixed for tests";

struct world {
    struct failing_mem mem;
    struct smq_wheel wheel;
    struct smq_retain retain;
    struct smq_account total;
    uint64_t random;
    char topics[TOPICS][TOPIC_MAX];
    bool seen[TOPICS];
    size_t n;
};

static void fire(struct smq_worker *w, struct smq_timer *timer)
{
    struct world *world = (struct world *)(void *)w;
    smq_retain_expire(&world->retain, SMQ_CONTAINER_OF(timer, struct smq_retain_timer, timer));
}

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->random = 3;
    failing_mem_init(&w->mem);
    smq_wheel_init(&w->wheel, 0);
    assert_int_equal(smq_retain_init(&w->retain, &w->mem.mem, key, &w->wheel), SMQTT_OK);
}

static void end(struct world *w)
{
    smq_retain_deinit(&w->retain);
    assert_int_equal(w->mem.live, 0);
    assert_int_equal(smq_account_used(&w->total), 0);
    assert_int_equal(smq_wheel_count(&w->wheel), 0);
}

static smqtt_err set(struct world *w, const char *topic, const char *payload, smqtt_ms expires, uint32_t max)
{
    struct smq_content c = {
        .topic = smq_span_str(topic), .payload = smq_span_str(payload), .expires = expires, .retain = true};
    struct smq_refbuf *msg = smq_msg_new(&w->mem.mem, &c, true, &w->total);
    if (msg == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = smq_retain_set(&w->retain, msg, max);
    smq_msg_unref(msg);
    return err;
}

static size_t find(const struct world *w, smq_span topic)
{
    size_t i = 0;
    while (i < w->n && !smq_span_equal(smq_span_str(w->topics[i]), topic)) {
        i++;
    }
    return i;
}

static bool tick_off(void *ctx, struct smq_refbuf *msg)
{
    struct world *w = ctx;
    size_t at = find(w, smq_msg_content(msg).topic);
    assert_true(at < w->n);
    assert_false(w->seen[at]); /* once */
    w->seen[at] = true;
    return true;
}

static void agrees_with_a_list(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    for (size_t round = 0; round < ROUNDS; round++) {
        char text[TOPIC_MAX];
        levels_random(&w.random, text, sizeof(text), 5, false);
        size_t at = find(&w, smq_span_str(text));
        if (test_random_below(&w.random, 3) != 0 && w.n < TOPICS) {
            assert_int_equal(set(&w, text, "x", SMQTT_NEVER, 0), SMQTT_OK);
            snprintf(w.topics[at], TOPIC_MAX, "%s", text);
            w.n += at == w.n;
        } else {
            smq_retain_remove(&w.retain, smq_span_str(text), UINT64_MAX);
            if (at < w.n) {
                memmove(w.topics[at], w.topics[--w.n], TOPIC_MAX);
            }
        }
        assert_int_equal(w.retain.n, w.n);
        levels_random(&w.random, text, sizeof(text), 5, true);
        memset(w.seen, 0, sizeof w.seen);
        smq_retain_match(&w.retain, smq_span_str(text), tick_off, &w);
        for (size_t i = 0; i < w.n; i++) {
            assert_int_equal(w.seen[i], smq_topic_match(smq_span_str(text), smq_span_str(w.topics[i])));
        }
    }
    end(&w);
}

static void limits_and_expiry(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    assert_int_equal(set(&w, "a", "1", 1000, 2), SMQTT_OK);
    assert_int_equal(set(&w, "a/b", "1", SMQTT_NEVER, 2), SMQTT_OK);
    assert_int_equal(set(&w, "c", "1", SMQTT_NEVER, 2), SMQTT_E_QUOTA);
    assert_int_equal(set(&w, "a/b", "2", 500, 2), SMQTT_OK); /* one that is there may change */
    assert_int_equal(set(&w, "a/b", "3", 2000, 2), SMQTT_OK);
    assert_int_equal(smq_wheel_count(&w.wheel), 2);
    struct smq_wheel_node *node;
    while ((node = smq_wheel_pop(&w.wheel, 1500)) != NULL) {
        struct smq_timer *timer = SMQ_CONTAINER_OF(node, struct smq_timer, node);
        fire((struct smq_worker *)(void *)&w, timer);
    }
    assert_int_equal(w.retain.n, 1);
    assert_int_equal(set(&w, "c", "1", SMQTT_NEVER, 2), SMQTT_OK);
    end(&w);
}

static bool take_first(void *ctx, struct smq_refbuf *msg)
{
    smq_span *payload = ctx;
    assert_null(payload->data); /* false ends the walk */
    *payload = smq_msg_content(msg).payload;
    return false;
}

/* [MQTT-3.3.1-5] */
static void the_newest_takes_the_place(void **state)
{
    (void)state;
    static struct world w;
    static const char *const filters[] = {"a/b", "a/+", "+/b", "+/+", "a/#", "#", "+/#"};
    begin(&w);
    assert_int_equal(set(&w, "a/b", "old", 1000, 0), SMQTT_OK);
    uint64_t total = smq_account_used(&w.total);
    assert_int_equal(set(&w, "a/b", "new", SMQTT_NEVER, 0), SMQTT_OK);
    assert_int_equal(smq_account_used(&w.total), total);
    assert_int_equal(smq_wheel_count(&w.wheel), 0); /* nor does the old one's end concern it */
    assert_int_equal(set(&w, "a/c", "new", SMQTT_NEVER, 0), SMQTT_OK);
    assert_int_equal(set(&w, "d/b", "new", SMQTT_NEVER, 0), SMQTT_OK);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(filters); i++) {
        smq_span payload = {NULL, 0};
        smq_retain_match(&w.retain, smq_span_str(filters[i]), take_first, &payload);
        assert_true(smq_span_equal(payload, smq_span_str("new")));
    }
    end(&w);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    assert_int_equal(set(&w, "a", "1", SMQTT_NEVER, 0), SMQTT_OK);
    for (size_t nth = 1;; nth++) {
        failing_mem_arm(&w.mem, nth);
        smqtt_err err = set(&w, "x/y/z", "1", 1000, 0);
        bool failed = failing_mem_has_failed(&w.mem);
        failing_mem_arm(&w.mem, 0);
        assert_int_equal(err, failed ? SMQTT_E_NOMEM : SMQTT_OK);
        assert_int_equal(w.retain.n, failed ? 1 : 2);
        assert_int_equal(w.retain.tree.n, failed ? 1 : 4);
        if (!failed) {
            break;
        }
    }
    end(&w);
}

static bool count(void *ctx, struct smq_refbuf *msg)
{
    (void)msg;
    ++*(size_t *)ctx;
    return true;
}

static void filters_look_only_where_they_match(void **state)
{
    (void)state;
    static struct world w;
    enum { MANY = 20000 };
    begin(&w);
    char topic[TOPIC_MAX];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(topic, sizeof topic, "dev/%zu/%s", i, i % 2 == 0 ? "state" : "log");
        assert_int_equal(set(&w, topic, "1", SMQTT_NEVER, 0), SMQTT_OK);
    }
    size_t n = 0;
    smq_retain_match(&w.retain, smq_span_str("dev/+/state"), count, &n);
    assert_int_equal(n, MANY / 2);
    for (size_t i = 0; i < MANY; i++) { /* a scan of all for each would take minutes */
        snprintf(topic, sizeof topic, "dev/%zu/#", i);
        n = 0;
        smq_retain_match(&w.retain, smq_span_str(topic), count, &n);
        assert_int_equal(n, 1);
    }
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(limits_and_expiry),
        cmocka_unit_test(the_newest_takes_the_place),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(filters_look_only_where_they_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
