/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/wheel.h"

#define TIMERS 300

static struct smq_wheel wheel;
static struct smq_wheel_node timers[TIMERS];
static bool is_set[TIMERS];  /* the model: a timer is set, to timers[i].at */
static bool is_late[TIMERS]; /* was it set to a time that was over? Then it comes behind those that were due */
static smqtt_ms model_at[TIMERS];

static size_t index_of(const struct smq_wheel_node *node)
{
    return (size_t)(node - timers);
}

static smqtt_ms first_of_model(void)
{
    smqtt_ms first = SMQTT_NEVER;
    for (size_t i = 0; i < TIMERS; i++) {
        first = is_set[i] && model_at[i] < first ? model_at[i] : first;
    }
    return first;
}

static void check_questions(smqtt_ms now)
{
    size_t n = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        n += is_set[i];
        assert_int_equal(smq_wheel_is_set(&timers[i]), is_set[i]);
    }
    assert_int_equal(smq_wheel_count(&wheel), n);
    smqtt_ms first = first_of_model();
    smqtt_ms next = smq_wheel_next(&wheel);
    if (first == SMQTT_NEVER) {
        assert_true(next == SMQTT_NEVER);
    } else if (first <= now) {
        assert_true(next == now);
    } else {
        assert_true(next <= first);
        assert_true(next > now);                              /* no busy loop */
        assert_true(first / 64 != now / 64 || next == first); /* near ones are exact */
    }
}

/* Pops everything up to now: exactly those that the model says, in order. */
static void check_pops(smqtt_ms now)
{
    smqtt_ms last = 0;
    for (struct smq_wheel_node *node = smq_wheel_pop(&wheel, now); node != NULL; node = smq_wheel_pop(&wheel, now)) {
        size_t i = index_of(node);
        assert_true(is_set[i]);
        assert_true(model_at[i] == node->at);
        assert_true(node->at <= now);
        assert_true(is_late[i] || node->at >= last);
        assert_false(smq_wheel_is_set(node));
        last = is_late[i] ? last : node->at;
        is_set[i] = false;
    }
    assert_true(first_of_model() > now);
}

static smqtt_ms random_time(uint64_t *seed, smqtt_ms now)
{
    unsigned bits = (unsigned)test_random_below(seed, 4) == 0 ? (unsigned)test_random_below(seed, 64)
                                                              : (unsigned)test_random_below(seed, 18);
    smqtt_ms delta = test_random(seed) & ((UINT64_C(1) << bits) - 1);
    if (test_random_below(seed, 10) == 0) {
        return delta < now ? now - delta : 0;
    }
    return delta < SMQTT_NEVER - now ? now + delta : SMQTT_NEVER - 1;
}

static void run_random(uint64_t seed, smqtt_ms start, unsigned step_bits)
{
    smqtt_ms now = start;
    smq_wheel_init(&wheel, now);
    memset(timers, 0, sizeof timers);
    memset(is_set, 0, sizeof is_set);
    for (int step = 0; step < 4000; step++) {
        size_t i = test_random_below(&seed, TIMERS);
        switch (test_random_below(&seed, 8)) {
        case 0:
            smq_wheel_cancel(&wheel, &timers[i]);
            is_set[i] = false;
            break;
        case 1:
            smq_wheel_set(&wheel, &timers[i], SMQTT_NEVER);
            is_set[i] = false;
            break;
        case 2: {
            smqtt_ms delta = test_random(&seed) & ((UINT64_C(1) << test_random_below(&seed, step_bits)) - 1);
            now = delta < SMQTT_NEVER - now ? now + delta : SMQTT_NEVER - 1;
            check_pops(now);
            break;
        }
        case 3: { /* as a loop does: sleep until `next` */
            smqtt_ms next = smq_wheel_next(&wheel);
            now = next != SMQTT_NEVER && next > now ? next : now;
            check_pops(now);
            break;
        }
        default:
            model_at[i] = random_time(&seed, now);
            is_late[i] = model_at[i] <= now;
            smq_wheel_set(&wheel, &timers[i], model_at[i]);
            is_set[i] = true;
            break;
        }
        if (is_set[i] || step % 16 == 0) {
            check_questions(now);
        }
    }
    check_pops(SMQTT_NEVER - 1);
    assert_int_equal(smq_wheel_count(&wheel), 0);
    assert_true(smq_wheel_next(&wheel) == SMQTT_NEVER);
}

static void random_against_model(void **state)
{
    (void)state;
    run_random(1, 0, 8);
    run_random(2, 1, 14);
    run_random(3, UINT64_C(1800000000000), 20);
    run_random(4, (UINT64_C(1) << 36) - 100, 10);
    run_random(5, UINT64_C(0x7FFFFFFFFFFFFF00), 12);
    run_random(6, 77, 63);
    run_random(7, SMQTT_NEVER - 100000, 6);
}

/* Every deadline within the first three levels, exactly. */
static void every_deadline_is_exact(void **state)
{
    (void)state;
    struct smq_wheel_node node = {.slot = 0};
    for (smqtt_ms start = 0; start < 200; start += 37) {
        for (smqtt_ms delta = 1; delta < 9000; delta += 1 + delta / 300) {
            smq_wheel_init(&wheel, start);
            smq_wheel_set(&wheel, &node, start + delta);
            assert_null(smq_wheel_pop(&wheel, start + delta - 1));
            assert_ptr_equal(smq_wheel_pop(&wheel, start + delta), &node);
        }
    }
}

static void few_wake_ups(void **state)
{
    (void)state;
    struct smq_wheel_node node = {.slot = 0};
    smqtt_ms now = 12345;
    smq_wheel_init(&wheel, now);
    smq_wheel_set(&wheel, &node, now + 86400000);
    int wakes = 0;
    while (smq_wheel_pop(&wheel, now) == NULL) {
        now = smq_wheel_next(&wheel);
        wakes++;
    }
    assert_true(now == 12345 + 86400000);
    assert_true(wakes <= 6); /* a day has five digits */
}

static void time_never_goes_back(void **state)
{
    (void)state;
    struct smq_wheel_node node = {.slot = 0};
    smq_wheel_init(&wheel, 1000);
    assert_null(smq_wheel_pop(&wheel, 2000));
    smq_wheel_set(&wheel, &node, 1500);
    assert_true(smq_wheel_next(&wheel) == 2000);
    assert_ptr_equal(smq_wheel_pop(&wheel, 0), &node);
    smq_wheel_set(&wheel, &node, 1800);
    assert_true(smq_wheel_next(&wheel) == 2000);
    assert_ptr_equal(smq_wheel_pop(&wheel, 1000), &node);
}

static void set_while_popping(void **state)
{
    (void)state;
    struct smq_wheel_node a = {.slot = 0};
    struct smq_wheel_node b = {.slot = 0};
    smq_wheel_init(&wheel, 0);
    smq_wheel_set(&wheel, &a, 10);
    smq_wheel_set(&wheel, &b, 20);
    assert_ptr_equal(smq_wheel_pop(&wheel, 30), &a);
    smq_wheel_set(&wheel, &a, 15);
    assert_ptr_equal(smq_wheel_pop(&wheel, 30), &b);
    assert_ptr_equal(smq_wheel_pop(&wheel, 30), &a);
    smq_wheel_set(&wheel, &a, 31);
    assert_null(smq_wheel_pop(&wheel, 30));
    smq_wheel_set(&wheel, &b, 31);
    assert_ptr_equal(smq_wheel_pop(&wheel, 31), &a);
    smq_wheel_cancel(&wheel, &b); /* due already, not popped yet */
    assert_null(smq_wheel_pop(&wheel, 40));
    assert_int_equal(smq_wheel_count(&wheel), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_against_model), cmocka_unit_test(every_deadline_is_exact),
        cmocka_unit_test(few_wake_ups),         cmocka_unit_test(time_never_goes_back),
        cmocka_unit_test(set_while_popping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
