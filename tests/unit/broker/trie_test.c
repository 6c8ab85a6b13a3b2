/* SPDX-License-Identifier: Apache-2.0 */
/* The trie against a list of filters that is searched one by one. */
#include <stdio.h>

#include "../failing_mem.h"
#include "../test.h"
#include "broker/trie.h"
#include "codec/topic.h"
#include "levels.h"

enum { SESSIONS = 12, ROUNDS = 4000, FILTER_MAX = 64, LISTED = 600 };

static const uint8_t key[16] = "fixed for tests";

struct entry {
    size_t who;
    char filter[FILTER_MAX];
    uint8_t options;
    uint32_t id;
};

struct world {
    struct failing_mem mem;
    struct smq_trie trie;
    struct smq_subscriber who[SESSIONS];
    struct entry list[LISTED];
    size_t n;
    uint64_t random;
    char begun[LISTED][FILTER_MAX]; /* filters that began and did not end, as the trie tells */
    size_t n_begun;
};

static size_t find_begun(const struct world *w, smq_span filter)
{
    size_t i = 0;
    while (i < w->n_begun && !smq_span_equal(smq_span_str(w->begun[i]), filter)) {
        i++;
    }
    return i;
}

static void on_changed(void *ctx, smq_span filter, bool begins)
{
    struct world *w = ctx;
    size_t at = find_begun(w, filter);
    assert_int_equal(begins, at == w->n_begun); /* begins once, ends once */
    if (begins) {
        snprintf(w->begun[w->n_begun++], FILTER_MAX, "%.*s", (int)filter.len, (const char *)filter.data);
    } else {
        memmove(w->begun[at], w->begun[--w->n_begun], FILTER_MAX);
    }
}

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->random = 7;
    failing_mem_init(&w->mem);
    assert_int_equal(smq_trie_init(&w->trie, &w->mem.mem, key), SMQTT_OK);
    w->trie.changed = on_changed;
    w->trie.ctx = w;
    for (size_t i = 0; i < SESSIONS; i++) {
        smq_subscriber_init(&w->who[i], test_random(&w->random));
    }
}

static void end(struct world *w)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        smq_trie_drop(&w->trie, &w->who[i]);
        assert_int_equal(w->who[i].n, 0);
    }
    assert_int_equal(w->trie.n, 0);
    assert_int_equal(w->n_begun, 0);
    assert_int_equal(w->trie.tree.n, 0); /* no node is left behind */
    smq_trie_deinit(&w->trie);
    assert_int_equal(w->mem.live, 0);
}

static size_t find(const struct world *w, size_t who, const char *filter)
{
    size_t i = 0;
    while (i < w->n && !(w->list[i].who == who && strcmp(w->list[i].filter, filter) == 0)) {
        i++;
    }
    return i;
}

/* What the trie told is what the list has. */
static void check_begun(const struct world *w, const char *filter)
{
    size_t i = 0;
    while (i < w->n && strcmp(w->list[i].filter, filter) != 0) {
        i++;
    }
    assert_int_equal(i < w->n, find_begun(w, smq_span_str(filter)) < w->n_begun);
}

static void subscribe(struct world *w, size_t who, const char *filter, uint8_t options, uint32_t id)
{
    bool existed;
    size_t at = find(w, who, filter);
    assert_int_equal(smq_trie_subscribe(&w->trie, &w->who[who], smq_span_str(filter), options, id, &existed), SMQTT_OK);
    assert_int_equal(existed, at < w->n);
    assert_true(smq_trie_has(&w->trie, &w->who[who], smq_span_str(filter)));
    w->n += at == w->n;
    w->list[at].who = who;
    snprintf(w->list[at].filter, FILTER_MAX, "%s", filter);
    w->list[at].options = options;
    w->list[at].id = id;
    check_begun(w, filter);
}

static void unsubscribe(struct world *w, size_t who, const char *filter)
{
    size_t at = find(w, who, filter);
    assert_int_equal(smq_trie_unsubscribe(&w->trie, &w->who[who], smq_span_str(filter)), at < w->n);
    assert_false(smq_trie_has(&w->trie, &w->who[who], smq_span_str(filter)));
    if (at < w->n) {
        w->list[at] = w->list[--w->n];
    }
    check_begun(w, filter);
}

static const struct smq_receiver *receiver_of(const struct smq_match *m, const struct smq_subscriber *who)
{
    const struct smq_receiver *found = NULL;
    for (size_t i = 0; i < m->n; i++) {
        if (m->receivers[i].who == who) {
            assert_null(found); /* one receiver, however many of its filters match */
            found = &m->receivers[i];
        }
    }
    return found;
}

static uint64_t ids_of(const struct smq_match *m, const struct smq_receiver *r)
{
    uint64_t sum = 0;
    uint32_t more = r->more;
    for (uint32_t id = r->id; id != 0; id = smq_match_next_id(m, &more)) {
        sum += (uint64_t)id * id;
    }
    return sum;
}

static void compare(struct world *w, const char *topic, size_t from)
{
    const struct smq_match *m;
    assert_int_equal(smq_trie_match(&w->trie, smq_span_str(topic), &w->who[from], &m), SMQTT_OK);
    for (size_t who = 0; who < SESSIONS; who++) {
        bool matches = false, rap = false;
        uint8_t qos = 0;
        uint64_t ids = 0;
        for (size_t i = 0; i < w->n; i++) {
            const struct entry *e = &w->list[i];
            bool local = who == from && (e->options & SMQ_SUB_NO_LOCAL) != 0;
            if (e->who != who || local || !smq_topic_match(smq_span_str(e->filter), smq_span_str(topic))) {
                continue;
            }
            matches = true;
            qos = (e->options & 3) > qos ? e->options & 3 : qos;
            rap = rap || (e->options & SMQ_SUB_RAP) != 0;
            ids += (uint64_t)e->id * e->id;
        }
        const struct smq_receiver *r = receiver_of(m, &w->who[who]);
        assert_int_equal(r != NULL, matches);
        if (r != NULL) {
            assert_int_equal(r->qos, qos);
            assert_int_equal(r->rap, rap);
            assert_int_equal(ids_of(m, r), ids);
        }
    }
}

static void agrees_with_a_list(void **state)
{
    (void)state;
    static struct world w;
    static const uint32_t ids[] = {0, 1, 77, 268435455};
    char before[FILTER_MAX] = "a";
    begin(&w);
    for (size_t round = 0; round < ROUNDS; round++) {
        char text[FILTER_MAX];
        size_t who = test_random_below(&w.random, SESSIONS);
        levels_random(&w.random, text, sizeof(text), 4, true);
        if (w.n < LISTED - 1 && test_random_below(&w.random, 5) < 3) {
            subscribe(&w, who, text, (uint8_t)(test_random_below(&w.random, 16) % 3 | (test_random(&w.random) & 0xC)),
                      ids[test_random_below(&w.random, SMQ_ARRAY_LEN(ids))]);
        } else if (w.n != 0) {
            size_t at = test_random_below(&w.random, w.n);
            if (test_random_below(&w.random, 3) != 0) {
                snprintf(text, sizeof text, "%s", w.list[at].filter);
            }
            unsubscribe(&w, w.list[at].who, text);
        }
        compare(&w, before, who); /* the topic of the round before, as when messages come in a row */
        compare(&w, before, test_random_below(&w.random, SESSIONS));
        levels_random(&w.random, before, sizeof(before), 4, false);
        compare(&w, before, who);
    }
    end(&w);
}

static void deep_filters_take_no_stack(void **state)
{
    (void)state;
    static struct world w;
    enum { LEN = 60000 };
    begin(&w);
    w.trie.changed = NULL; /* longer filters than the list has room for */
    char *slashes = malloc(LEN + 1), *pluses = malloc(2 * LEN + 1);
    bool existed;
    const struct smq_match *m;
    memset(slashes, '/', LEN);
    slashes[LEN] = '\0';
    for (size_t i = 0; i < LEN; i++) {
        memcpy(pluses + 2 * i, "+/", 2);
    }
    pluses[2 * LEN] = '\0';
    assert_int_equal(smq_trie_subscribe(&w.trie, &w.who[0], smq_span_str(slashes), 0, 0, &existed), SMQTT_OK);
    assert_int_equal(smq_trie_subscribe(&w.trie, &w.who[1], smq_span_of(pluses, 2 * LEN), 0, 0, &existed), SMQTT_OK);
    assert_int_equal(smq_trie_match(&w.trie, smq_span_str(slashes), NULL, &m), SMQTT_OK);
    assert_int_equal(m->n, 2);
    free(slashes);
    free(pluses);
    end(&w);
}

/* A match that fails for want of memory leaves everything in place: the next one is whole. */
static void a_match_without_memory_does_no_harm(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    static const char *const filters[] = {"#", "+/b", "a/#", "a/+", "a/b", "+/+"};
    for (uint32_t i = 0; i < SESSIONS * SMQ_ARRAY_LEN(filters); i++) {
        subscribe(&w, i % SESSIONS, filters[i / SESSIONS], (uint8_t)(i % 3), i + 1);
    }
    for (size_t nth = 1;; nth++) {
        const struct smq_match *m;
        failing_mem_arm(&w.mem, nth);
        smqtt_err err = smq_trie_match(&w.trie, smq_span_str("a/b"), NULL, &m);
        bool failed = failing_mem_has_failed(&w.mem);
        failing_mem_arm(&w.mem, 0);
        assert_int_equal(err, failed ? SMQTT_E_NOMEM : SMQTT_OK);
        if (!failed) {
            break;
        }
    }
    compare(&w, "a/b", 0);
    end(&w);
}

static void without_memory_nothing_changes(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    bool existed;
    assert_int_equal(smq_trie_subscribe(&w.trie, &w.who[0], smq_span_str("a/b"), 0, 0, &existed), SMQTT_OK);
    for (size_t nth = 1;; nth++) {
        size_t nodes = w.trie.tree.n, subs = w.trie.n;
        failing_mem_arm(&w.mem, nth);
        smqtt_err err = smq_trie_subscribe(&w.trie, &w.who[1], smq_span_str("a/b/c/+/d/#"), 0, 0, &existed);
        bool failed = failing_mem_has_failed(&w.mem);
        failing_mem_arm(&w.mem, 0);
        if (!failed) {
            assert_int_equal(err, SMQTT_OK);
            break;
        }
        if (err == SMQTT_OK) { /* only a table that could not grow smaller */
            assert_true(smq_trie_unsubscribe(&w.trie, &w.who[1], smq_span_str("a/b/c/+/d/#")));
        }
        assert_int_equal(w.trie.tree.n, nodes);
        assert_int_equal(w.trie.n, subs);
        const struct smq_match *m;
        assert_int_equal(smq_trie_match(&w.trie, smq_span_str("a/b"), NULL, &m), SMQTT_OK);
        assert_int_equal(m->n, 1);
    }
    end(&w);
}

static void tables_grow_and_shrink(void **state)
{
    (void)state;
    static struct world w;
    enum { MANY = 100000 };
    begin(&w);
    w.trie.changed = NULL; /* more filters than the list has room for */
    bool existed;
    char filter[32];
    const struct smq_match *m;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(filter, sizeof filter, "dev/%zu/state", i);
        assert_int_equal(smq_trie_subscribe(&w.trie, &w.who[i % SESSIONS], smq_span_str(filter), 1, 0, &existed),
                         SMQTT_OK);
        assert_false(existed);
    }
    for (size_t i = 0; i < MANY; i++) {
        snprintf(filter, sizeof filter, "dev/%zu/state", i);
        assert_int_equal(smq_trie_match(&w.trie, smq_span_str(filter), NULL, &m), SMQTT_OK);
        assert_int_equal(m->n, 1);
        assert_ptr_equal(m->receivers[0].who, &w.who[i % SESSIONS]);
        if (i % 2 == 0) {
            assert_true(smq_trie_unsubscribe(&w.trie, &w.who[i % SESSIONS], smq_span_str(filter)));
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        snprintf(filter, sizeof filter, "dev/%zu/state", i);
        assert_int_equal(smq_trie_match(&w.trie, smq_span_str(filter), NULL, &m), SMQTT_OK);
        assert_int_equal(m->n, i % 2);
    }
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(deep_filters_take_no_stack),
        cmocka_unit_test(a_match_without_memory_does_no_harm),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(tables_grow_and_shrink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
