/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include "../failing_mem.h"
#include "../test.h"

struct thing {
    uint32_t a, b, c;
};

static void test_objects_stay_where_they_are(void **state)
{
    (void)state;
    enum { N = 5 * SMQ_POOL_CHUNK };
    static struct thing *at[N + 1];
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_pool pool;
    smq_pool_init(&pool, &fm.mem, sizeof(struct thing));
    assert_int_equal(pool.size, 16);
    assert_int_equal(fm.live, 0);
    for (uint32_t i = 1; i <= N; i++) {
        assert_int_equal(smq_pool_take(&pool), i);
        at[i] = smq_pool_at(&pool, i);
        assert_int_equal(at[i]->a | at[i]->b | at[i]->c, 0);
        *at[i] = (struct thing){i, i + 1, i + 2};
    }
    for (uint32_t i = 1; i <= N; i++) {
        assert_ptr_equal(smq_pool_at(&pool, i), at[i]);
        assert_int_equal(at[i]->a + 2, at[i]->c);
    }
    smq_pool_give(&pool, 7);
    smq_pool_give(&pool, N);
    assert_int_equal(smq_pool_take(&pool), N); /* the last given back, cleared */
    assert_int_equal(at[N]->a | at[N]->b | at[N]->c, 0);
    assert_int_equal(smq_pool_take(&pool), 7);
    assert_int_equal(pool.n, N);
    smq_pool_cut(&pool, 3);
    assert_int_equal(pool.n, 3);
    assert_int_equal(fm.live, 2); /* one chunk, and the table of chunks */
    assert_int_equal(smq_pool_take(&pool), 4);
    for (uint32_t i = 1; i <= 4; i++) {
        smq_pool_give(&pool, i);
    }
    assert_int_equal(fm.live, 0);
    assert_int_equal(smq_pool_take(&pool), 1);
    smq_pool_deinit(&pool);
    assert_int_equal(fm.live, 0);
}

static void test_without_memory(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_pool pool;
    smq_pool_init(&pool, &fm.mem, sizeof(struct thing));
    for (size_t nth = 1; nth <= 2; nth++) {
        failing_mem_arm(&fm, nth);
        assert_int_equal(smq_pool_take(&pool), 0);
        assert_int_equal(pool.n, 0);
    }
    failing_mem_arm(&fm, 0);
    assert_int_equal(smq_pool_take(&pool), 1);
    smq_pool_give(&pool, 1);
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_stay_where_they_are),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
