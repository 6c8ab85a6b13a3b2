/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "../failing_mem.h"
#include "base/map.h"

#define KEYS 600

static const uint8_t hash_key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

struct thing {
    uint8_t key[40];
    size_t key_len;
    bool in;
    unsigned seen;
};

static struct thing things[KEYS];

static smq_span key_of(const struct thing *t)
{
    return smq_span_of(t->key, t->key_len);
}

/* Keys of many lengths, the empty one and ones with zeros included, all different. */
static void make_things(void)
{
    memset(things, 0, sizeof things);
    for (size_t i = 1; i < KEYS; i++) {
        things[i].key[0] = (uint8_t)i;
        things[i].key[1] = (uint8_t)(i >> 8);
        things[i].key_len = 2 + i % 38;
    }
}

static void check_model(const struct smq_map *map, size_t n)
{
    assert_int_equal(smq_map_count(map), n);
    for (size_t i = 0; i < KEYS; i++) {
        assert_ptr_equal(smq_map_get(map, key_of(&things[i])), things[i].in ? &things[i] : NULL);
    }
}

static void put_get_del(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_map map;
    smq_map_init(&map, &fm.mem, hash_key);
    assert_null(smq_map_get(&map, smq_span_str("a")));
    assert_null(smq_map_del(&map, smq_span_str("a")));
    int one = 1;
    int two = 2;
    void *old = &one;
    assert_int_equal(smq_map_put(&map, smq_span_str("a"), &one, &old), SMQTT_OK);
    assert_null(old);
    static const char other_a[] = "ab";
    assert_int_equal(smq_map_put(&map, smq_span_of(other_a, 1), &two, &old), SMQTT_OK);
    assert_ptr_equal(old, &one);
    assert_int_equal(smq_map_count(&map), 1);
    assert_ptr_equal(smq_map_get(&map, smq_span_str("a")), &two);
    struct smq_map_iter iter = smq_map_iterate(&map);
    assert_ptr_equal(smq_map_next(&map, &iter), &two);
    assert_ptr_equal(map.slots[(iter.start + iter.done) & map.mask].key, other_a); /* the new view of the key */
    assert_null(smq_map_get(&map, smq_span_str("ab")));
    assert_int_equal(smq_map_put(&map, smq_span_str("b"), NULL, NULL), SMQTT_E_USAGE);
    assert_ptr_equal(smq_map_del(&map, smq_span_str("a")), &two);
    assert_int_equal(smq_map_count(&map), 0);
    smq_map_deinit(&map);
    assert_int_equal(fm.live, 0);
}

static void random_against_model(void **state)
{
    (void)state;
    make_things();
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_map map;
    smq_map_init(&map, &fm.mem, hash_key);
    uint64_t seed = 3;
    size_t n = 0;
    for (int step = 0; step < 60000; step++) {
        /* mostly puts, then mostly deletions, and again */
        size_t put_of_8 = step / 3000 % 2 == 0 ? 6 : 1;
        struct thing *t = &things[test_random_below(&seed, KEYS)];
        if (test_random_below(&seed, 8) < put_of_8) {
            void *old = NULL;
            assert_int_equal(smq_map_put(&map, key_of(t), t, &old), SMQTT_OK);
            assert_ptr_equal(old, t->in ? t : NULL);
            n += !t->in;
            t->in = true;
        } else {
            assert_ptr_equal(smq_map_del(&map, key_of(t)), t->in ? t : NULL);
            n -= t->in;
            t->in = false;
        }
        if (step % 101 == 0) {
            check_model(&map, n);
        }
    }
    check_model(&map, n);
    smq_map_deinit(&map);
    assert_int_equal(smq_map_count(&map), 0);
    assert_int_equal(fm.live, 0);
}

static void walk_with_deletion(void **state)
{
    (void)state;
    uint64_t seed = 11;
    for (int round = 0; round < 400; round++) {
        make_things();
        struct smq_map map;
        smq_map_init(&map, NULL, hash_key);
        map.hash_key[0] = (uint8_t)round; /* another order */
        size_t want = 1 + test_random_below(&seed, round % 4 == 0 ? KEYS : 24);
        for (size_t i = 0; i < want; i++) {
            assert_int_equal(smq_map_put(&map, key_of(&things[i]), &things[i], NULL), SMQTT_OK);
            things[i].in = true;
        }
        size_t n = want;
        struct smq_map_iter iter = smq_map_iterate(&map);
        for (struct thing *t = smq_map_next(&map, &iter); t != NULL; t = smq_map_next(&map, &iter)) {
            t->seen++;
            if (test_random_below(&seed, 3) != 0) {
                smq_map_del_at(&map, &iter);
                t->in = false;
                n--;
            }
        }
        for (size_t i = 0; i < KEYS; i++) {
            assert_int_equal(things[i].seen, i < want);
        }
        check_model(&map, n);
        smq_map_deinit(&map);
    }
}

static void walk_of_nothing(void **state)
{
    (void)state;
    struct smq_map map;
    smq_map_init(&map, NULL, hash_key);
    struct smq_map_iter iter = smq_map_iterate(&map);
    assert_null(smq_map_next(&map, &iter));
    smq_map_deinit(&map);
}

static void no_memory_changes_nothing(void **state)
{
    (void)state;
    make_things();
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_map map;
    smq_map_init(&map, &fm.mem, hash_key);
    size_t n = 0;
    size_t failures = 0;
    for (size_t i = 0; i < KEYS; i++) {
        failing_mem_arm(&fm, 1);
        smqtt_err err = smq_map_put(&map, key_of(&things[i]), &things[i], NULL);
        if (err != SMQTT_OK) {
            assert_int_equal(err, SMQTT_E_NOMEM);
            failures++;
            check_model(&map, n);
            failing_mem_arm(&fm, 1);
            if (n > 0) {
                assert_int_equal(smq_map_put(&map, key_of(&things[0]), &things[0], NULL),
                                 SMQTT_OK); /* exists: never fails */
            }
            failing_mem_arm(&fm, 0);
            assert_int_equal(smq_map_put(&map, key_of(&things[i]), &things[i], NULL), SMQTT_OK);
        }
        things[i].in = true;
        n++;
    }
    assert_true(failures >= 4);
    check_model(&map, n);
    for (size_t i = 0; i < KEYS; i++) { /* deletion never fails: it shrinks only if it can */
        failing_mem_arm(&fm, 1);
        assert_ptr_equal(smq_map_del(&map, key_of(&things[i])), &things[i]);
        things[i].in = false;
        n--;
    }
    check_model(&map, 0);
    smq_map_deinit(&map);
    assert_int_equal(fm.live, 0);
}

static void reserve_makes_puts_safe(void **state)
{
    (void)state;
    make_things();
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_map map;
    smq_map_init(&map, &fm.mem, hash_key);
    assert_int_equal(smq_map_reserve(&map, KEYS), SMQTT_OK);
    failing_mem_arm(&fm, 1);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(smq_map_put(&map, key_of(&things[i]), &things[i], NULL), SMQTT_OK);
        things[i].in = true;
    }
    assert_int_equal(smq_map_reserve(&map, SIZE_MAX), SMQTT_E_NOMEM);
    assert_int_equal(fm.made, 0);
    check_model(&map, KEYS);
    smq_map_deinit(&map);
    assert_int_equal(fm.live, 0);
}

static void gives_memory_back(void **state)
{
    (void)state;
    make_things();
    struct smq_map map;
    smq_map_init(&map, NULL, hash_key);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(smq_map_put(&map, key_of(&things[i]), &things[i], NULL), SMQTT_OK);
    }
    size_t mask = map.mask;
    for (size_t i = 1; i < KEYS; i++) {
        assert_ptr_equal(smq_map_del(&map, key_of(&things[i])), &things[i]);
    }
    assert_true(map.mask < mask / 16);
    assert_ptr_equal(smq_map_get(&map, key_of(&things[0])), &things[0]);
    smq_map_deinit(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_get_del),
        cmocka_unit_test(random_against_model),
        cmocka_unit_test(walk_with_deletion),
        cmocka_unit_test(walk_of_nothing),
        cmocka_unit_test(gives_memory_back),
        cmocka_unit_test(no_memory_changes_nothing),
        cmocka_unit_test(reserve_makes_puts_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
