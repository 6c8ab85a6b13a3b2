/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "../../../apps/smqtt/bench/hist.h"

static void cells_follow_each_other(void **state)
{
    (void)state;
    size_t last = 0;
    for (uint64_t v = 1; v < 1000000; v++) {
        size_t cell = hist_cell(v);
        assert_true(cell == last || cell == last + 1);
        assert_true(hist_cell_top(cell) >= v);
        assert_true(cell == 0 || hist_cell_top(cell - 1) < v);
        last = cell;
    }
}

static void a_cell_is_narrow(void **state)
{
    (void)state;
    for (uint64_t v = 1; v < UINT64_C(1) << 41; v = v * 3 + 1) {
        uint64_t top = hist_cell_top(hist_cell(v));
        assert_true(top - v <= v / HIST_STEPS);
    }
}

static void what_is_too_large_goes_to_the_last(void **state)
{
    (void)state;
    assert_int_equal(hist_cell(UINT64_MAX), HIST_CELLS - 1);
    static struct hist h;
    hist_clear(&h);
    hist_add(&h, UINT64_MAX);
    assert_true(hist_at(&h, 0.5) == UINT64_MAX);
}

static void shares_of_a_known_set(void **state)
{
    (void)state;
    static struct hist h;
    hist_clear(&h);
    assert_true(hist_at(&h, 0.5) == 0 && hist_mean(&h) == 0);
    for (uint64_t v = 1; v <= 100; v++) {
        hist_add(&h, v);
    }
    assert_true(hist_at(&h, 0) == 1);
    assert_true(hist_at(&h, 0.5) == 50);
    assert_true(hist_at(&h, 0.99) == 99);
    assert_true(hist_at(&h, 0.991) == 100);
    assert_true(hist_at(&h, 1) == 100);
    assert_true(h.min == 1 && h.max == 100 && hist_mean(&h) == 50);
}

static void no_share_is_above_the_largest(void **state)
{
    (void)state;
    static struct hist h;
    hist_clear(&h);
    hist_add(&h, 1000001);
    assert_true(hist_at(&h, 0.999) == 1000001);
}

static void merging_is_adding(void **state)
{
    (void)state;
    static struct hist a, b, all;
    hist_clear(&a);
    hist_clear(&b);
    hist_clear(&all);
    for (uint64_t v = 10; v < 100000; v = v * 7 / 5) {
        hist_add(v % 2 == 0 ? &a : &b, v);
        hist_add(&all, v);
    }
    hist_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof a);
    hist_clear(&b);
    hist_merge(&a, &b); /* nothing */
    assert_memory_equal(&a, &all, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_follow_each_other),
        cmocka_unit_test(a_cell_is_narrow),
        cmocka_unit_test(what_is_too_large_goes_to_the_last),
        cmocka_unit_test(shares_of_a_known_set),
        cmocka_unit_test(no_share_is_above_the_largest),
        cmocka_unit_test(merging_is_adding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
