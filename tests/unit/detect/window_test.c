/* SPDX-License-Identifier: Apache-2.0 */
/* The replay window against a naive set of numbers. */
#include <stdlib.h>

#include "../test.h"
#include "detect/window.h"

enum { SPAN = 300000, WORDS = 65536 / 64 + 1 };

static uint64_t words[WORDS];
static uint64_t words_b[WORDS];
static bool seen[SPAN];

static enum smq_window_verdict naive(bool any, uint64_t top, uint32_t size, uint64_t base, uint64_t seq)
{
    if (any && seq <= top && top - seq >= size) {
        return SMQ_WINDOW_OUTSIDE;
    }
    return seen[seq - base] ? SMQ_WINDOW_SEEN : SMQ_WINDOW_NEW;
}

/** Random numbers around a top that wanders up: each is judged by both. */
static void walk(uint32_t size, uint64_t base, uint64_t seed)
{
    struct smq_window w;
    uint64_t top = base;
    bool any = false;
    memset(seen, 0, sizeof(seen));
    smq_window_init(&w, words, size);
    for (size_t i = 0; i < 20000; i++) {
        uint64_t reach = test_random_below(&seed, 10) == 0 ? 3 * (uint64_t)size : 40;
        uint64_t low = top - base > reach ? top - reach : base;
        uint64_t seq = low + test_random_below(&seed, (size_t)(top - low + (reach > 40 ? 200 : 8)));
        if (seq - base >= SPAN) {
            break;
        }
        enum smq_window_verdict want = naive(any, top, size, base, seq);
        assert_int_equal(smq_window_judge(&w, seq), want);
        if (want == SMQ_WINDOW_NEW) {
            uint64_t missing = !any ? seq : seq > top ? seq - top - 1 : 0;
            assert_int_equal(smq_window_commit(&w, seq), missing);
            seen[seq - base] = true;
            top = !any || seq > top ? seq : top;
            any = true;
        }
    }
    for (uint64_t at = 0; at<SPAN; at += base + at> top || top - base - at > 2 * (uint64_t)size ? 98U : 1U) {
        assert_int_equal(smq_window_judge(&w, base + at), naive(any, top, size, base, base + at));
    }
}

static void test_naive(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {64, 65, 100, 127, 128, 129, 1000, 1024, 4095, 32767, 32768};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(sizes); i++) {
        walk(sizes[i], 0, i);
        walk(sizes[i], UINT64_C(1) << 40, i + 100);
        walk(sizes[i], UINT64_MAX - SPAN, i + 200);
    }
}

static void test_edges(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {64, 65, 127, 128, 1024, 32768};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(sizes); i++) {
        uint32_t size = sizes[i];
        for (uint64_t top = size; top < size + 130; top++) {
            struct smq_window w;
            smq_window_init(&w, words, size);
            assert_int_equal(smq_window_judge(&w, 0), SMQ_WINDOW_NEW);
            assert_int_equal(smq_window_commit(&w, top), top);
            assert_int_equal(smq_window_judge(&w, top), SMQ_WINDOW_SEEN);
            assert_int_equal(smq_window_judge(&w, top + 1), SMQ_WINDOW_NEW);
            assert_int_equal(smq_window_judge(&w, top - size + 1), SMQ_WINDOW_NEW);
            assert_int_equal(smq_window_judge(&w, top - size), SMQ_WINDOW_OUTSIDE);
            assert_int_equal(smq_window_commit(&w, top - size + 1), 0);
            assert_int_equal(smq_window_judge(&w, top - size + 1), SMQ_WINDOW_SEEN);
            assert_int_equal(smq_window_commit(&w, top + 1), 0);
            assert_int_equal(smq_window_judge(&w, top - size + 1), SMQ_WINDOW_OUTSIDE);
            assert_int_equal(smq_window_judge(&w, top), SMQ_WINDOW_SEEN);
        }
    }
}

static void test_far_jump(void **state)
{
    (void)state;
    struct smq_window w;
    smq_window_init(&w, words, 1024);
    for (uint64_t seq = 0; seq < 2048; seq++) {
        assert_int_equal(smq_window_commit(&w, seq), 0);
    }
    assert_int_equal(smq_window_commit(&w, UINT64_MAX), UINT64_MAX - 2048);
    assert_int_equal(smq_window_judge(&w, UINT64_MAX), SMQ_WINDOW_SEEN);
    for (uint64_t back = 1; back < 1024; back++) {
        assert_int_equal(smq_window_judge(&w, UINT64_MAX - back), SMQ_WINDOW_NEW);
    }
    assert_int_equal(smq_window_judge(&w, UINT64_MAX - 1024), SMQ_WINDOW_OUTSIDE);
}

static void test_storage(void **state)
{
    (void)state;
    struct smq_window w;
    struct smq_window back;
    uint64_t seed = 5;
    uint8_t bytes[1024];
    smq_window_init(&w, words, 1000);
    for (size_t i = 0; i < 600; i++) {
        uint64_t seq = test_random_below(&seed, 3000);
        if (smq_window_judge(&w, seq) == SMQ_WINDOW_NEW) {
            (void)smq_window_commit(&w, seq);
        }
    }
    struct smq_wr wr = smq_wr_of(bytes, sizeof(bytes));
    smq_window_write(&w, &wr);
    assert_true(smq_wr_ok(&wr));
    smq_window_init(&back, words_b, 1000);
    struct smq_rd rd = smq_rd_of(smq_wr_span(&wr));
    smq_window_read(&back, &rd);
    assert_true(smq_rd_done(&rd));
    for (uint64_t seq = 0; seq < 4000; seq++) {
        assert_int_equal(smq_window_judge(&back, seq), smq_window_judge(&w, seq));
    }
    for (size_t len = 0; len < wr.len; len++) {
        smq_window_init(&back, words_b, 1000);
        rd = smq_rd_of(smq_span_of(bytes, len));
        smq_window_read(&back, &rd);
        assert_false(smq_rd_ok(&rd));
    }
    bytes[0] = 2;
    rd = smq_rd_of(smq_wr_span(&wr));
    smq_window_read(&back, &rd);
    assert_false(smq_rd_ok(&rd));
    smq_window_init(&back, words_b, 1000);
    smq_window_copy(&back, &w);
    (void)smq_window_commit(&back, 5000);
    assert_int_equal(smq_window_judge(&w, 5000), SMQ_WINDOW_NEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_naive),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_far_jump),
        cmocka_unit_test(test_storage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
