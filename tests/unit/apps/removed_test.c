/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back to one that removes retained messages. */
#include "../test.h"

#include <stdio.h>

#include "../../../apps/smqtt/removed.h"

static const uint8_t key[16] = "sixteen octets.";
static const smq_span nothing = {NULL, 0};

static void once_test(void **state)
{
    (void)state;
    struct removed r;
    removed_init(&r, key);
    assert_false(removed_is_echo(&r, smq_span_str("a"), nothing));
    assert_true(removed_add(&r, smq_span_str("a")));
    assert_false(removed_is_echo(&r, smq_span_str("b"), nothing));
    assert_false(removed_is_echo(&r, smq_span_str("a"), smq_span_str("text")));
    assert_true(removed_is_echo(&r, smq_span_str("a"), nothing));
    assert_false(removed_is_echo(&r, smq_span_str("a"), nothing)); /* somebody else's */
    removed_deinit(&r);
}

static void many_test(void **state)
{
    (void)state;
    enum { N = 1000 };
    struct removed r;
    char topic[16];
    removed_init(&r, key);
    for (unsigned i = 0; i < N; i++) {
        snprintf(topic, sizeof topic, "t/%u", i % (N / 2)); /* two of each; the text is not kept */
        assert_true(removed_add(&r, smq_span_str(topic)));
    }
    for (unsigned i = 0; i < N; i++) {
        snprintf(topic, sizeof topic, "t/%u", i / 2);
        assert_true(removed_is_echo(&r, smq_span_str(topic), nothing));
    }
    assert_false(removed_is_echo(&r, smq_span_str("t/0"), nothing));
    assert_true(removed_add(&r, smq_span_str("left"))); /* freed at the end */
    removed_deinit(&r);
    assert_false(removed_is_echo(&r, smq_span_str("left"), nothing));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_test),
        cmocka_unit_test(many_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
