/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "../failing_mem.h"
#include "base/bytebuf.h"

#define MAX 5000

static void append_and_consume(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_bytebuf buf;
    smq_bytebuf_init(&buf, &fm.mem, 10);
    assert_int_equal(smq_bytebuf_span(&buf).len, 0);
    assert_int_equal(smq_bytebuf_append(&buf, smq_span_str("")), SMQTT_OK);
    assert_int_equal(fm.live, 0);
    assert_int_equal(smq_bytebuf_append(&buf, smq_span_str("hello ")), SMQTT_OK);
    assert_int_equal(smq_bytebuf_append(&buf, smq_span_str("world")), SMQTT_E_FULL);
    assert_int_equal(smq_bytebuf_append(&buf, smq_span_str("you!")), SMQTT_OK);
    assert_int_equal(smq_bytebuf_room(&buf), 0);
    assert_true(smq_span_equal(smq_bytebuf_span(&buf), smq_span_str("hello you!")));
    smq_bytebuf_consume(&buf, 6);
    assert_true(smq_span_equal(smq_bytebuf_span(&buf), smq_span_str("you!")));
    assert_int_equal(fm.live, 1);
    smq_bytebuf_consume(&buf, 4);
    assert_int_equal(fm.live, 0); /* an empty one holds nothing */
    smq_bytebuf_deinit(&buf);
}

static void reserve_and_commit(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_bytebuf buf;
    smq_bytebuf_init(&buf, &fm.mem, 100);
    uint8_t *at = NULL;
    assert_int_equal(smq_bytebuf_reserve(&buf, 101, &at), SMQTT_E_FULL);
    assert_null(at);
    assert_int_equal(smq_bytebuf_reserve(&buf, 100, &at), SMQTT_OK);
    memset(at, 'x', 100);
    smq_bytebuf_commit(&buf, 3);
    assert_true(smq_span_equal(smq_bytebuf_span(&buf), smq_span_str("xxx")));
    smq_bytebuf_consume(&buf, 99);
    assert_int_equal(smq_bytebuf_reserve(&buf, 5, &at), SMQTT_OK);
    smq_bytebuf_commit(&buf, 0);
    assert_int_equal(fm.live, 0);
    smq_bytebuf_set_max(&buf, 4);
    assert_int_equal(smq_bytebuf_reserve(&buf, 5, &at), SMQTT_E_FULL);
}

static void no_memory_changes_nothing(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_bytebuf buf;
    smq_bytebuf_init(&buf, &fm.mem, SIZE_MAX);
    failing_mem_arm(&fm, 1);
    assert_int_equal(smq_bytebuf_append(&buf, smq_span_str("abc")), SMQTT_E_NOMEM);
    assert_int_equal(smq_bytebuf_span(&buf).len, 0);
    assert_int_equal(smq_bytebuf_append(&buf, smq_span_str("abc")), SMQTT_OK);
    static const uint8_t lots[9000];
    for (size_t start = 0; start < 2; start++) { /* by resize, then by a new block */
        smq_bytebuf_consume(&buf, start);
        failing_mem_arm(&fm, 1);
        assert_int_equal(smq_bytebuf_append(&buf, smq_span_of(lots, sizeof lots)), SMQTT_E_NOMEM);
        assert_true(smq_span_equal(smq_bytebuf_span(&buf), smq_span_str(start == 0 ? "abc" : "bc")));
    }
    uint8_t *at = NULL;
    assert_int_equal(smq_bytebuf_reserve(&buf, SIZE_MAX - 1, &at), SMQTT_E_FULL);
    smq_bytebuf_deinit(&buf);
    assert_int_equal(fm.live, 0);
}

/* The model is the whole stream: byte i of it is a function of i. */
static uint8_t stream(size_t i)
{
    return (uint8_t)(i * 131 + (i >> 8) * 17 + (i >> 16));
}

static void random_against_stream(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_bytebuf buf;
    smq_bytebuf_init(&buf, &fm.mem, MAX);
    uint64_t seed = 5;
    size_t in = 0;
    size_t out = 0;
    for (int step = 0; step < 30000; step++) {
        size_t amount = test_random_below(&seed, test_random_below(&seed, 5) == 0 ? 2 * MAX : 300);
        bool filling = step / 500 % 2 == 0;
        if (test_random_below(&seed, 4) < (filling ? 3U : 1U)) {
            uint8_t *at = NULL;
            smqtt_err err = smq_bytebuf_reserve(&buf, amount, &at);
            assert_int_equal(err, amount <= MAX - (in - out) ? SMQTT_OK : SMQTT_E_FULL);
            for (size_t i = 0; err == SMQTT_OK && i < amount; i++) {
                at[i] = stream(in++);
            }
            if (err == SMQTT_OK) {
                smq_bytebuf_commit(&buf, amount);
            }
        } else {
            smq_bytebuf_consume(&buf, amount);
            out += amount < in - out ? amount : in - out;
        }
        smq_span s = smq_bytebuf_span(&buf);
        assert_int_equal(s.len, in - out);
        assert_true(buf.cap <= MAX + MAX / 4);
        for (size_t i = 0; i < s.len; i += i < 3 || i + 3 > s.len ? 1 : 61) {
            assert_int_equal(s.data[i], stream(out + i));
        }
        assert_int_equal(fm.live, s.len != 0);
    }
    smq_bytebuf_deinit(&buf);
    assert_int_equal(fm.live, 0);
}

/* A full queue that takes a byte for each that it gives does not move everything each time. */
static void check_moves(size_t max, size_t more)
{
    struct smq_bytebuf buf;
    smq_bytebuf_init(&buf, NULL, max);
    uint8_t bytes[1000] = {0};
    assert_int_equal(smq_bytebuf_append(&buf, smq_span_of(bytes, 1000)), SMQTT_OK);
    assert_int_equal(smq_bytebuf_append(&buf, smq_span_of(bytes, more)), SMQTT_OK);
    size_t moves = 0;
    for (int i = 0; i < 10000; i++) {
        smq_bytebuf_consume(&buf, 1);
        size_t start = buf.start;
        assert_int_equal(smq_bytebuf_append(&buf, smq_span_of(bytes, 1)), SMQTT_OK);
        moves += buf.start < start;
    }
    assert_true(moves <= 10000 / 250 + 2);
    smq_bytebuf_deinit(&buf);
}

static void full_queue_moves_seldom(void **state)
{
    (void)state;
    check_moves(1000, 0);     /* at its ceiling */
    check_moves(100000, 240); /* block nearly full */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_and_consume),      cmocka_unit_test(reserve_and_commit),
        cmocka_unit_test(random_against_stream),   cmocka_unit_test(no_memory_changes_nothing),
        cmocka_unit_test(full_queue_moves_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
