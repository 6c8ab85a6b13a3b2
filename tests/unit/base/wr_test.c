/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/wr.h"

static void put_everything(struct smq_wr *wr)
{
    smq_wr_u8(wr, 0x01);
    smq_wr_u16(wr, 0x0203);
    smq_wr_u32(wr, 0x04050607);
    smq_wr_u64(wr, UINT64_C(0x08090a0b0c0d0e0f));
    smq_wr_blob16(wr, smq_span_str("ab"));
    smq_wr_blob8(wr, smq_span_str("c"));
    smq_wr_put(wr, smq_span_of(NULL, 0));
    smq_wr_uint(wr, 0x101112, 3);
}

static const uint8_t everything[] = {1,  2,  3,  4, 5, 6,   7,   8, 9,   10, 11, 12,
                                     13, 14, 15, 0, 2, 'a', 'b', 1, 'c', 16, 17, 18};

/* Into every capacity: never a byte past it, and the length that would have been needed. */
static void every_capacity(void **state)
{
    (void)state;
    for (size_t cap = 0; cap <= sizeof everything + 2; cap++) {
        uint8_t buf[sizeof everything + 4];
        memset(buf, 0xEE, sizeof buf);
        struct smq_wr wr = smq_wr_of(buf, cap);
        put_everything(&wr);
        assert_int_equal(wr.len, sizeof everything);
        assert_int_equal(smq_wr_ok(&wr), cap >= sizeof everything);
        for (size_t i = cap; i < sizeof buf; i++) {
            assert_int_equal(buf[i], 0xEE);
        }
        if (smq_wr_ok(&wr)) {
            assert_true(smq_span_equal(smq_wr_span(&wr), smq_span_of(everything, sizeof everything)));
        } else {
            assert_int_equal(smq_wr_span(&wr).len, 0);
        }
    }
}

static void measures(void **state)
{
    (void)state;
    struct smq_wr wr = smq_wr_measure();
    assert_true(smq_wr_ok(&wr));
    assert_null(smq_wr_reserve(&wr, 0));
    put_everything(&wr);
    assert_int_equal(wr.len, sizeof everything);
    assert_false(smq_wr_ok(&wr));
    assert_null(smq_wr_reserve(&wr, 3));
    assert_int_equal(wr.len, sizeof everything + 3);
}

static void after_overflow_nothing_is_written(void **state)
{
    (void)state;
    uint8_t buf[4] = {0};
    struct smq_wr wr = smq_wr_of(buf, 4);
    smq_wr_u8(&wr, 1);
    smq_wr_u32(&wr, 0x02020202);
    smq_wr_u8(&wr, 3); /* would fit where the cursor stood */
    assert_memory_equal(buf, "\1\0\0\0", 4);
    assert_false(smq_wr_ok(&wr));
    assert_null(smq_wr_reserve(&wr, 0));
}

static void reserves(void **state)
{
    (void)state;
    uint8_t buf[4] = {9, 9, 9, 9};
    struct smq_wr wr = smq_wr_of(buf, 4);
    smq_wr_u8(&wr, 1);
    uint8_t *at = smq_wr_reserve(&wr, 2);
    assert_ptr_equal(at, buf + 1);
    smq_wr_u8(&wr, 4);
    at[0] = 2;
    at[1] = 3;
    assert_true(smq_wr_ok(&wr));
    assert_memory_equal(smq_wr_span(&wr).data, "\1\2\3\4", 4);
    assert_null(smq_wr_reserve(&wr, 1));
    assert_false(smq_wr_ok(&wr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_capacity),
        cmocka_unit_test(measures),
        cmocka_unit_test(after_overflow_nothing_is_written),
        cmocka_unit_test(reserves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
