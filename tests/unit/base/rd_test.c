/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/rd.h"

static void integers_are_big_endian(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct smq_rd rd = smq_rd_of(smq_span_of(bytes, sizeof bytes));
    assert_int_equal(smq_rd_u8(&rd), 0x01);
    assert_int_equal(smq_rd_u16(&rd), 0x0203);
    assert_int_equal(smq_rd_u32(&rd), 0x04050607);
    assert_true(smq_rd_u64(&rd) == UINT64_C(0x08090a0b0c0d0e0f));
    assert_true(smq_rd_done(&rd));
}

static void the_first_fault_sticks(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3};
    struct smq_rd rd = smq_rd_of(smq_span_of(bytes, 3));
    assert_int_equal(smq_rd_u8(&rd), 1);
    assert_false(smq_rd_done(&rd));
    assert_int_equal(smq_rd_u32(&rd), 0);
    assert_false(smq_rd_ok(&rd));
    assert_int_equal(smq_rd_left(&rd), 0);
    assert_int_equal(smq_rd_u8(&rd), 0); /* though a byte was left before */
    assert_false(smq_rd_done(&rd));
    assert_int_equal(smq_rd_bytes(&rd, 0).len, 0);
    assert_false(smq_rd_ok(&rd));
}

static void blobs(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 2, 'a', 'b', 1, 'c', 0, 0, 'd', 'e'};
    struct smq_rd rd = smq_rd_of(smq_span_of(bytes, sizeof bytes));
    smq_span s = smq_rd_blob16(&rd);
    assert_ptr_equal(s.data, bytes + 2);
    assert_int_equal(s.len, 2);
    assert_true(smq_span_equal(smq_rd_blob8(&rd), smq_span_str("c")));
    assert_int_equal(smq_rd_blob16(&rd).len, 0);
    assert_true(smq_span_equal(smq_rd_rest(&rd), smq_span_str("de")));
    assert_true(smq_rd_done(&rd));
    static const uint8_t cut[] = {0, 3, 'a', 'b'};
    rd = smq_rd_of(smq_span_of(cut, sizeof cut));
    assert_int_equal(smq_rd_blob16(&rd).len, 0);
    assert_false(smq_rd_ok(&rd));
}

/* Reads of every length at every place of every input: within bounds they give the bytes, beyond them they fail. */
static void all_small_reads(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {10, 11, 12, 13, 14, 15, 16, 17, 18};
    for (size_t have = 0; have <= sizeof bytes; have++) {
        for (size_t first = 0; first <= sizeof bytes + 1; first++) {
            for (size_t second = 0; second <= sizeof bytes + 1; second++) {
                struct smq_rd rd = smq_rd_of(smq_span_of(bytes, have));
                smq_span a = smq_rd_bytes(&rd, first);
                smq_span b = smq_rd_bytes(&rd, second);
                assert_int_equal(a.len, first <= have ? first : 0);
                bool ok = first + second <= have;
                assert_int_equal(smq_rd_ok(&rd), ok);
                assert_int_equal(smq_rd_done(&rd), first + second == have);
                assert_int_equal(smq_rd_left(&rd), ok ? have - first - second : 0);
                assert_true(!ok || b.data == bytes + first);
            }
        }
    }
}

static void nothing_to_read(void **state)
{
    (void)state;
    struct smq_rd rd = smq_rd_of(smq_span_of(NULL, 0));
    assert_true(smq_rd_done(&rd));
    assert_int_equal(smq_rd_rest(&rd).len, 0);
    assert_true(smq_rd_done(&rd));
    assert_int_equal(smq_rd_bytes(&rd, SIZE_MAX).len, 0);
    assert_false(smq_rd_ok(&rd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian), cmocka_unit_test(the_first_fault_sticks), cmocka_unit_test(blobs),
        cmocka_unit_test(all_small_reads),         cmocka_unit_test(nothing_to_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
