/* SPDX-License-Identifier: Apache-2.0 */
#include "../failing_mem.h"
#include "../test.h"
#include "session/inflight.h"

static bool add(struct smq_qos2_in *q, const struct smqtt_mem *mem, uint16_t id)
{
    bool fresh = false;
    assert_int_equal(smq_qos2_in_add(q, mem, id, UINT16_MAX, &fresh), SMQTT_OK);
    return fresh;
}

/* [MQTT-4.3.3-10] */
static void test_only_the_first_is_fresh(void **state)
{
    (void)state;
    struct smq_qos2_in q;
    smq_qos2_in_init(&q);
    assert_false(smq_qos2_in_release(&q, NULL, 5));
    assert_true(add(&q, NULL, 5));
    assert_false(add(&q, NULL, 5));
    assert_true(add(&q, NULL, 4));
    assert_true(add(&q, NULL, 6));
    assert_false(add(&q, NULL, 5));
    assert_false(smq_qos2_in_release(&q, NULL, 3));
    assert_false(smq_qos2_in_release(&q, NULL, 7));
    assert_true(smq_qos2_in_release(&q, NULL, 5));
    assert_false(smq_qos2_in_release(&q, NULL, 5));
    assert_true(add(&q, NULL, 5));
    assert_false(add(&q, NULL, 4));
    assert_false(add(&q, NULL, 6));
    smq_qos2_in_deinit(&q, NULL);
}

static void test_no_more_than_the_receive_maximum(void **state)
{
    (void)state;
    struct smq_qos2_in q;
    smq_qos2_in_init(&q);
    bool fresh = true;
    assert_int_equal(smq_qos2_in_add(&q, NULL, 1, 2, &fresh), SMQTT_OK);
    assert_int_equal(smq_qos2_in_add(&q, NULL, UINT16_MAX, 2, &fresh), SMQTT_OK);
    fresh = false;
    assert_int_equal(smq_qos2_in_add(&q, NULL, 2, 2, &fresh), SMQTT_E_RECEIVE_MAX);
    assert_false(fresh);
    /* A repetition takes no place of its own. */
    fresh = true;
    assert_int_equal(smq_qos2_in_add(&q, NULL, UINT16_MAX, 2, &fresh), SMQTT_OK);
    assert_false(fresh);
    assert_true(smq_qos2_in_release(&q, NULL, 1));
    assert_int_equal(smq_qos2_in_add(&q, NULL, 2, 2, &fresh), SMQTT_OK);
    assert_true(fresh);
    smq_qos2_in_deinit(&q, NULL);
}

static void test_random_against_a_bitmap(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_qos2_in q;
    smq_qos2_in_init(&q);
    enum { N_IDS = 300, MAX = 200 };
    static bool open[N_IDS];
    uint32_t n = 0;
    uint64_t rnd = 2;
    for (size_t i = 0; i < 200000; i++) {
        /* the smallest, the largest and those between */
        size_t at = test_random_below(&rnd, N_IDS);
        uint16_t id = (uint16_t)(at < N_IDS / 2 ? at + 1 : UINT16_MAX - (N_IDS - 1 - at));
        bool growing = (i / 1000) % 2 == 0;
        if (test_random_below(&rnd, 4) < (growing ? 3u : 1u)) {
            bool fresh = open[at];
            smqtt_err err = smq_qos2_in_add(&q, &fm.mem, id, MAX, &fresh);
            assert_int_equal(err, !open[at] && n == MAX ? SMQTT_E_RECEIVE_MAX : SMQTT_OK);
            if (err == SMQTT_OK) {
                assert_int_equal(fresh, !open[at]);
                n += !open[at];
                open[at] = true;
            }
        } else {
            assert_int_equal(smq_qos2_in_release(&q, &fm.mem, id), open[at]);
            n -= open[at];
            open[at] = false;
        }
        assert_int_equal(q.n, n);
        assert_int_equal(fm.live, n != 0);
    }
    smq_qos2_in_deinit(&q, &fm.mem);
    assert_int_equal(fm.live, 0);
}

static void test_all_identifiers_at_once(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_qos2_in q;
    smq_qos2_in_init(&q);
    for (uint32_t id = 1; id <= UINT16_MAX; id++) {
        assert_true(add(&q, &fm.mem, (uint16_t)id));
    }
    for (uint32_t id = 1; id <= UINT16_MAX; id++) {
        assert_false(add(&q, &fm.mem, (uint16_t)id));
    }
    for (uint32_t id = UINT16_MAX; id >= 1; id--) {
        assert_true(smq_qos2_in_release(&q, &fm.mem, (uint16_t)id));
    }
    assert_int_equal(fm.live, 0);
}

static void test_without_memory_nothing_changes(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_qos2_in q;
    smq_qos2_in_init(&q);
    unsigned failures = 0;
    for (uint16_t id = 100; id >= 1; id--) {
        bool fresh = false;
        failing_mem_arm(&fm, 1);
        smqtt_err err = smq_qos2_in_add(&q, &fm.mem, id, UINT16_MAX, &fresh);
        bool failed = failing_mem_has_failed(&fm);
        failing_mem_arm(&fm, 0);
        assert_int_equal(err, failed ? SMQTT_E_NOMEM : SMQTT_OK);
        assert_int_equal(fresh, !failed);
        assert_int_equal(q.n, failed ? 100 - id : 101 - id);
        failures += failed;
        assert_int_equal(add(&q, &fm.mem, id), failed);
    }
    assert_true(failures >= 3);
    for (uint16_t id = 1; id <= 100; id++) {
        assert_true(smq_qos2_in_release(&q, &fm.mem, id));
    }
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_the_first_is_fresh),        cmocka_unit_test(test_no_more_than_the_receive_maximum),
        cmocka_unit_test(test_random_against_a_bitmap),        cmocka_unit_test(test_all_identifiers_at_once),
        cmocka_unit_test(test_without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
