/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "../../../apps/smqtt/bench/track.h"

static void see_all(struct track *t, const uint64_t *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        track_see(t, numbers[i]);
    }
}

static void assert_counts(const struct track *t, uint64_t sent, uint64_t lost, uint64_t twice, uint64_t late)
{
    assert_true(track_lost(t, sent) == lost);
    assert_true(t->twice == twice);
    assert_true(t->late == late);
}

static void in_order_nothing_is_wrong(void **state)
{
    (void)state;
    struct track t = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        track_see(&t, i);
    }
    assert_counts(&t, 1000, 0, 0, 0);
    assert_null(t.gaps);
    track_free(&t);
}

static void what_is_missing_is_lost(void **state)
{
    (void)state;
    struct track t = {0};
    static const uint64_t came[] = {1, 2, 5, 9};
    see_all(&t, came, SMQ_ARRAY_LEN(came));
    assert_counts(&t, 12, 8, 0, 0); /* 0 3 4 6 7 8, and 10 11 at the end */
    track_free(&t);
}

static void what_comes_again_is_counted(void **state)
{
    (void)state;
    struct track t = {0};
    static const uint64_t came[] = {0, 0, 1, 4, 1, 4, 2, 2};
    see_all(&t, came, SMQ_ARRAY_LEN(came));
    assert_counts(&t, 5, 1, 4, 1); /* 3 is lost; 0 1 4 2 came twice; 2 came late */
    track_free(&t);
}

static void what_comes_late_is_no_loss(void **state)
{
    (void)state;
    struct track t = {0};
    static const uint64_t came[] = {5, 2, 0, 4, 1, 3, 6};
    see_all(&t, came, SMQ_ARRAY_LEN(came));
    assert_counts(&t, 7, 0, 0, 5);
    assert_int_equal(t.n_gaps, 0);
    track_free(&t);
}

static void the_oldest_gaps_are_given_up(void **state)
{
    (void)state;
    struct track t = {0};
    for (uint64_t i = 1; i < 2 * (TRACK_GAPS_MAX + 100); i += 2) {
        track_see(&t, i);
    }
    assert_int_equal(t.n_gaps, TRACK_GAPS_MAX);
    track_see(&t, 0);
    assert_true(t.twice == 1 && t.late == 0);
    track_see(&t, 2 * (TRACK_GAPS_MAX + 99));
    assert_true(t.twice == 1 && t.late == 1);
    track_free(&t);
}

/* Against a plain table, in a random order with repetitions. */
static void as_a_table_would_count(void **state)
{
    (void)state;
    enum { N = 500, DRAWS = 1500 };
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct track t = {0};
        bool seen[N] = {false};
        uint64_t distinct = 0, twice = 0, late = 0, top = 0;
        uint32_t random = seed;
        for (int i = 0; i < DRAWS; i++) {
            random = random * 1664525 + 1013904223;
            uint64_t number = (uint64_t)(random >> 8) % N;
            track_see(&t, number);
            twice += seen[number] ? 1 : 0;
            late += !seen[number] && number < top ? 1 : 0;
            distinct += seen[number] ? 0 : 1;
            seen[number] = true;
            top = number > top ? number : top;
        }
        assert_true(t.distinct == distinct && t.twice == twice && t.late == late);
        track_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_nothing_is_wrong),    cmocka_unit_test(what_is_missing_is_lost),
        cmocka_unit_test(what_comes_again_is_counted),  cmocka_unit_test(what_comes_late_is_no_loss),
        cmocka_unit_test(the_oldest_gaps_are_given_up), cmocka_unit_test(as_a_table_would_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
