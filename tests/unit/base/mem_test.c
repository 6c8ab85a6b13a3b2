/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "../failing_mem.h"
#include "base/mem.h"

static void table_is_used(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    uint8_t *p = smq_mem_alloc(&fm.mem, 0);
    assert_non_null(p);
    p[0] = 1; /* size 0 is one byte */
    p = smq_mem_resize(&fm.mem, p, 100);
    assert_int_equal(p[0], 1);
    assert_int_equal(fm.live, 1);
    smq_mem_free(&fm.mem, p);
    smq_mem_free(&fm.mem, NULL);
    assert_int_equal(fm.live, 0);
    failing_mem_arm(&fm, 2);
    p = smq_mem_alloc(&fm.mem, 1);
    assert_non_null(p);
    assert_false(failing_mem_has_failed(&fm));
    assert_null(smq_mem_alloc(&fm.mem, 1));
    assert_true(failing_mem_has_failed(&fm));
    smq_mem_free(&fm.mem, p);
    assert_int_equal(fm.live, 0);
}

static void default_table(void **state)
{
    (void)state;
    assert_non_null(smq_mem_or_default(NULL));
    void *p = smq_mem_alloc(NULL, 10);
    assert_non_null(p);
    p = smq_mem_resize(NULL, p, 1000);
    assert_non_null(p);
    smq_mem_free(NULL, p);
}

static void zalloc_clears_and_checks(void **state)
{
    (void)state;
    uint8_t *p = smq_mem_zalloc(NULL, 100, 7);
    assert_non_null(p);
    for (size_t i = 0; i < 700; i++) {
        assert_int_equal(p[i], 0);
    }
    smq_mem_free(NULL, p);
    assert_null(smq_mem_zalloc(NULL, SIZE_MAX / 2 + 1, 2));
    p = smq_mem_zalloc(NULL, 5, 0);
    assert_non_null(p);
    smq_mem_free(NULL, p);
}

static void dup_ends_with_zero(void **state)
{
    (void)state;
    char *p = smq_mem_dup(NULL, smq_span_of("a\0bc", 3));
    assert_memory_equal(p, "a\0b\0", 4);
    smq_mem_free(NULL, p);
    p = smq_mem_dup(NULL, smq_span_of(NULL, 0));
    assert_string_equal(p, "");
    smq_mem_free(NULL, p);
}

static void secrets(void **state)
{
    (void)state;
    uint8_t a[] = {1, 2, 3, 4};
    uint8_t b[] = {1, 2, 3, 4};
    assert_true(smq_ct_equal(a, b, 4));
    assert_true(smq_ct_equal(NULL, NULL, 0));
    for (size_t i = 0; i < 4; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b[i] = (uint8_t)(b[i] ^ (1U << bit));
            assert_false(smq_ct_equal(a, b, 4));
            b[i] = a[i];
        }
    }
    smq_wipe(a, 3);
    assert_memory_equal(a, "\0\0\0\4", 4);
    smq_wipe(NULL, 0);
}

static void spans(void **state)
{
    (void)state;
    smq_span s = smq_span_str("abcdef");
    assert_true(smq_span_equal(smq_span_from(s, 4), smq_span_str("ef")));
    assert_int_equal(smq_span_from(s, 99).len, 0);
    assert_int_equal(smq_span_from(smq_span_str(NULL), 3).len, 0);
    assert_true(smq_span_starts(s, smq_span_str("abc")));
    assert_true(smq_span_starts(s, smq_span_str("")));
    assert_false(smq_span_starts(s, smq_span_str("abd")));
    assert_false(smq_span_starts(smq_span_str("ab"), s));
    assert_false(smq_span_equal(s, smq_span_str("abcdeX")));
    assert_true(smq_span_equal(smq_span_str(NULL), smq_span_str("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_used),
        cmocka_unit_test(default_table),
        cmocka_unit_test(zalloc_clears_and_checks),
        cmocka_unit_test(dup_ends_with_zero),
        cmocka_unit_test(secrets),
        cmocka_unit_test(spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
