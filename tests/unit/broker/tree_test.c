/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "../failing_mem.h"
#include "../test.h"
#include "broker/tree.h"

/* What a user adds to a node. */
struct leaf {
    struct smq_tree_node tree;
    uint32_t value;
};

static const uint8_t key[16] = {1, 2, 3};

static struct leaf *leaf_of(struct smq_tree_node *node)
{
    return (struct leaf *)(void *)node;
}

static struct smq_tree_node *add(struct smq_tree *t, const char *path)
{
    struct smq_tree_node *node = NULL;
    assert_int_equal(smq_tree_add(t, smq_span_str(path), &node), SMQTT_OK);
    assert_non_null(node);
    return node;
}

static struct smq_tree_node *find(const struct smq_tree *t, const char *path)
{
    return smq_tree_find(t, smq_span_str(path));
}

/* Removes a node and its parents as long as they have no other children and no value. */
static void prune(struct smq_tree *t, struct smq_tree_node *node)
{
    while (node->parent != 0 && node->first_child == 0 && leaf_of(node)->value == 0) {
        struct smq_tree_node *parent = smq_tree_parent(t, node);
        assert_ptr_equal(smq_tree_remove(t, node), parent);
        node = parent;
    }
}

static void test_an_empty_tree(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_tree t;
    assert_int_equal(smq_tree_init(&t, &fm.mem, key, sizeof(struct leaf)), SMQTT_OK);
    assert_null(find(&t, "a"));
    assert_null(find(&t, ""));
    assert_null(find(&t, "/"));
    assert_int_equal(t.n, 0);
    assert_int_equal(t.root->parent, 0);
    assert_int_equal(leaf_of(t.root)->value, 0);
    smq_tree_deinit(&t);
    assert_int_equal(fm.live, 0);
    failing_mem_arm(&fm, 1);
    assert_int_equal(smq_tree_init(&t, &fm.mem, key, sizeof(struct leaf)), SMQTT_E_NOMEM);
    assert_int_equal(fm.live, 0);
}

/* Empty levels are levels. */
static void test_paths_are_told_apart(void **state)
{
    (void)state;
    static const char *const paths[] = {"a",   "a/",   "/a",  "/",   "//",   "a//b", "a/b", "ab",
                                        "b/a", "a/b/", "A/b", "///", "/a/b", "aa/b", "$a",  "a/\xC3\xA4"};
    struct smq_tree t;
    assert_int_equal(smq_tree_init(&t, NULL, key, sizeof(struct leaf)), SMQTT_OK);
    for (uint32_t i = 0; i < SMQ_ARRAY_LEN(paths); i++) {
        struct smq_tree_node *node = add(&t, paths[i]);
        assert_int_equal(leaf_of(node)->value, 0);
        leaf_of(node)->value = i + 1;
    }
    for (uint32_t i = 0; i < SMQ_ARRAY_LEN(paths); i++) {
        assert_int_equal(leaf_of(find(&t, paths[i]))->value, i + 1);
        assert_ptr_equal(add(&t, paths[i]), find(&t, paths[i]));
    }
    assert_null(find(&t, "c"));
    assert_int_equal(leaf_of(find(&t, "b"))->value, 0); /* only a part of "b/a" */
    for (uint32_t i = 0; i < SMQ_ARRAY_LEN(paths); i++) {
        struct smq_tree_node *node = find(&t, paths[i]);
        if (node != NULL) {
            leaf_of(node)->value = 0;
            prune(&t, node);
        }
    }
    assert_int_equal(t.n, 0);
    assert_int_equal(t.root->first_child, 0);
    smq_tree_deinit(&t);
}

static void test_names_hashes_and_siblings(void **state)
{
    (void)state;
    struct smq_tree t;
    assert_int_equal(smq_tree_init(&t, NULL, key, sizeof(struct leaf)), SMQTT_OK);
    struct smq_tree_node *one = add(&t, "top/one"), *two = add(&t, "top/two"), *three = add(&t, "top/three");
    struct smq_tree_node *top = smq_tree_parent(&t, one);
    assert_ptr_equal(smq_tree_parent(&t, top), t.root);
    assert_ptr_equal(smq_tree_child(&t, top, smq_span_str("two"), smq_tree_hash(&t, smq_span_str("two"))), two);
    assert_null(smq_tree_child(&t, t.root, smq_span_str("two"), smq_tree_hash(&t, smq_span_str("two"))));
    assert_true(smq_span_equal(smq_tree_name(three), smq_span_str("three")));
    assert_true(smq_span_equal(smq_tree_name(top), smq_span_str("top")));
    unsigned seen = 0;
    struct smq_tree_node *prev = NULL;
    for (struct smq_tree_node *n = smq_tree_first(&t, top); n != NULL; n = smq_tree_next(&t, n)) {
        assert_ptr_equal(smq_tree_at(&t, n->prev), prev);
        seen |= n == one ? 1u : n == two ? 2u : n == three ? 4u : 8u;
        prev = n;
    }
    assert_int_equal(seen, 7);
    /* the one in the middle, the last, the first */
    smq_tree_remove(&t, two);
    struct smq_tree_node *first = smq_tree_first(&t, top);
    assert_ptr_equal(smq_tree_at(&t, smq_tree_next(&t, first)->prev), first);
    assert_null(smq_tree_next(&t, smq_tree_next(&t, first)));
    assert_null(find(&t, "top/two"));
    smq_tree_remove(&t, one);
    assert_ptr_equal(smq_tree_first(&t, top), three);
    assert_int_equal(three->next, 0);
    assert_int_equal(three->prev, 0);
    assert_ptr_equal(smq_tree_remove(&t, three), top);
    assert_int_equal(top->first_child, 0);
    assert_ptr_equal(smq_tree_remove(&t, top), t.root);
    smq_tree_deinit(&t);
}

static void test_another_key_is_another_hash(void **state)
{
    (void)state;
    static const uint8_t other[16] = {9};
    struct smq_tree a, b;
    assert_int_equal(smq_tree_init(&a, NULL, key, sizeof(struct leaf)), SMQTT_OK);
    assert_int_equal(smq_tree_init(&b, NULL, other, sizeof(struct leaf)), SMQTT_OK);
    assert_true(smq_tree_hash(&a, smq_span_str("x")) == smq_tree_hash(&a, smq_span_str("x")));
    assert_true(smq_tree_hash(&a, smq_span_str("x")) != smq_tree_hash(&b, smq_span_str("x")));
    smq_tree_deinit(&a);
    smq_tree_deinit(&b);
}

/* Paths over a small alphabet, added and removed at random; the whole is checked against an array of what is there. */
static void test_random_against_an_array(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_tree t;
    assert_int_equal(smq_tree_init(&t, &fm.mem, key, sizeof(struct leaf)), SMQTT_OK);
    enum { N = 12 * 12 * 12 };
    static uint32_t there[N];
    uint64_t rnd = 3;
    for (uint32_t i = 1; i <= 60000; i++) {
        size_t at = test_random_below(&rnd, N);
        char path[40];
        snprintf(path, sizeof path, "%zu/%zu/%zu", at % 12, at / 12 % 12, at / 144);
        struct smq_tree_node *node = find(&t, path);
        assert_int_equal(node != NULL ? leaf_of(node)->value : 0, there[at]);
        bool growing = (i / 5000) % 2 == 0;
        if (test_random_below(&rnd, 8) < (growing ? 7u : 1u)) {
            leaf_of(add(&t, path))->value = there[at] = i;
        } else if (node != NULL) {
            leaf_of(node)->value = there[at] = 0;
            prune(&t, node);
            assert_null(find(&t, path));
        }
        /* Chunks of nodes, their table, and the table of edges. */
        assert_int_equal(fm.live, t.nodes.n_chunks + 1 + (t.slots != NULL));
    }
    for (size_t at = 0; at < N; at++) {
        char path[40];
        snprintf(path, sizeof path, "%zu/%zu/%zu", at % 12, at / 12 % 12, at / 144);
        if (there[at] != 0) {
            struct smq_tree_node *node = find(&t, path);
            assert_int_equal(leaf_of(node)->value, there[at]);
            leaf_of(node)->value = 0;
            prune(&t, node);
        }
    }
    assert_int_equal(t.n, 0);
    assert_int_equal(fm.live, 2); /* the root's chunk and the table of chunks */
    smq_tree_deinit(&t);
    assert_int_equal(fm.live, 0);
}

/* The longest topic has 65,535 empty levels and one more. */
static void test_very_deep_paths(void **state)
{
    (void)state;
    static char path[UINT16_MAX + 1];
    memset(path, '/', UINT16_MAX);
    struct smq_tree t;
    assert_int_equal(smq_tree_init(&t, NULL, key, sizeof(struct leaf)), SMQTT_OK);
    struct smq_tree_node *node = add(&t, path);
    assert_int_equal(t.n, UINT16_MAX + 1);
    assert_ptr_equal(find(&t, path), node);
    prune(&t, node);
    assert_int_equal(t.n, 0);
    smq_tree_deinit(&t);
}

static void test_without_memory_the_tree_is_as_before(void **state)
{
    (void)state;
    static const char *const known[] = {NULL, "a", "a/b", "x/y/z"};
    for (size_t k = 0; k < SMQ_ARRAY_LEN(known); k++) {
        struct failing_mem fm;
        failing_mem_init(&fm);
        for (size_t nth = 1;; nth++) {
            struct smq_tree t;
            failing_mem_arm(&fm, 0);
            assert_int_equal(smq_tree_init(&t, &fm.mem, key, sizeof(struct leaf)), SMQTT_OK);
            if (known[k] != NULL) {
                leaf_of(add(&t, known[k]))->value = 7;
            }
            size_t n = t.n;
            failing_mem_arm(&fm, nth);
            /* Long names have memory of their own, so that most nodes can fail. */
            static const char path[] = "a/b/long name number 1/long name number 2/long name number 3/e/"
                                       "long name number 4/long name number 5/long name number 6";
            struct smq_tree_node *node = t.root;
            smqtt_err err = smq_tree_add(&t, smq_span_str(path), &node);
            bool failed = failing_mem_has_failed(&fm);
            failing_mem_arm(&fm, 0);
            assert_int_equal(err, failed ? SMQTT_E_NOMEM : SMQTT_OK);
            if (failed) {
                assert_ptr_equal(node, t.root);
                assert_int_equal(t.n, n);
                assert_null(find(&t, path));
                assert_true(k == 1 || k == 2 || find(&t, "a") == NULL);
                node = add(&t, path);
            }
            prune(&t, node);
            assert_int_equal(t.n, n);
            if (known[k] != NULL) {
                node = find(&t, known[k]);
                assert_int_equal(leaf_of(node)->value, 7);
                leaf_of(node)->value = 0;
                prune(&t, node);
            }
            smq_tree_deinit(&t);
            assert_int_equal(fm.live, 0);
            if (!failed) {
                assert_true(nth > 6);
                break;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_tree),
        cmocka_unit_test(test_paths_are_told_apart),
        cmocka_unit_test(test_names_hashes_and_siblings),
        cmocka_unit_test(test_another_key_is_another_hash),
        cmocka_unit_test(test_random_against_an_array),
        cmocka_unit_test(test_very_deep_paths),
        cmocka_unit_test(test_without_memory_the_tree_is_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
