/* SPDX-License-Identifier: Apache-2.0 */
/* What `smqtt probe` tries is bad, each where it is tried, and what comes of it is judged as it should be. */
#include "../../../apps/smqtt/probe/rows.h"
#include "../test.h"
#include "base/utf8.h"
#include "codec/topic.h"

static void strings_test(void **state)
{
    (void)state;
    for (size_t i = 0; i < probe_n_strings; i++) {
        const struct probe_string *s = &probe_strings[i];
        smq_span bytes = smq_span_of(s->bytes, s->len);
        assert_true(s->len != 0);
        assert_int_equal(smq_utf8_ok(bytes, SMQ_TEXT_STANDARD), s->cls != PROBE_FORBIDDEN);
        assert_int_equal(smq_utf8_ok(bytes, SMQ_TEXT_STRICT), s->cls == PROBE_WILDCARD);
        assert_int_equal(smq_topic_name_ok(bytes, 0), s->cls != PROBE_WILDCARD);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(s->name, probe_strings[k].name);
        }
    }
}

static size_t count(enum smqtt_version version, bool advised)
{
    size_t n = 0;
    for (size_t i = 0; i < probe_n_fields; i++) {
        for (size_t k = 0; k < probe_n_strings; k++) {
            n += probe_applies(&probe_fields[i], &probe_strings[k], version, advised) ? 1 : 0;
        }
    }
    return n;
}

static void where_they_are_tried_test(void **state)
{
    (void)state;
    assert_int_equal(count(SMQTT_V311, false), 6 * 14 + 2 * 2);
    assert_int_equal(count(SMQTT_V311, false), count(SMQTT_V31, false));
    assert_int_equal(count(SMQTT_V5, false), 18 * 14 + 2 * 13 + 4 * 2);
    assert_int_equal(count(SMQTT_V5, true), count(SMQTT_V5, false) + 18 * 6);
}

static void kinds_test(void **state)
{
    (void)state;
    const struct probe_field *carried = &probe_fields[0];
    const struct probe_field *not_carried = NULL;
    for (size_t i = 0; i < probe_n_fields; i++) {
        not_carried = probe_is_carried(&probe_fields[i]) ? not_carried : &probe_fields[i];
    }
    assert_true(probe_is_carried(carried) && not_carried != NULL);
    struct probe_result r = {.field = carried, .string = &probe_strings[0]};
    assert_int_equal(probe_kind(&r), PROBE_SWALLOWED);
    r.refused = true;
    assert_int_equal(probe_kind(&r), PROBE_REFUSED);
    r.forwarded = PROBE_MENDED; /* whatever it said to the sender */
    assert_int_equal(probe_kind(&r), PROBE_CHANGED);
    r.forwarded = PROBE_STILL_BAD;
    assert_int_equal(probe_kind(&r), PROBE_DELIVERED);
    r.stored = PROBE_UNCHANGED;
    assert_int_equal(probe_kind(&r), PROBE_KEPT);
    r = (struct probe_result){.field = not_carried, .string = &probe_strings[0]};
    assert_int_equal(probe_kind(&r), PROBE_TAKEN);
    assert_string_equal(probe_version_name(SMQTT_V311), "3.1.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_test),
        cmocka_unit_test(where_they_are_tried_test),
        cmocka_unit_test(kinds_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
