/* SPDX-License-Identifier: Apache-2.0 */
/* What a person is told of a string that is none: which bytes, and what is wrong with them. */
#include "../../../apps/smqtt/aside.h"
#include "../test.h"

static void faults_test(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *word;
    } rows[] = {
        {"a\x80", 2, "continuation"},
        {"a\xff", 2, "a byte that UTF-8 does not have"},
        {"\xf8\x88\x80\x80\x80", 5, "a byte that UTF-8 does not have"},
        {"\xe3\x81", 2, "cut short"},
        {"\xc3", 1, "cut short"},
        {"\xc3(", 2, "cut short"},
        {"\xc0\xaf", 2, "more bytes than it needs"},
        {"\xe0\x80\xaf", 3, "more bytes than it needs"},
        {"\xf0\x80\x80\xaf", 4, "more bytes than it needs"},
        {"\xf4\x90\x80\x80", 4, "above U+10FFFF"},
        {"\xf5\x80\x80\x80", 4, "above U+10FFFF"},
        {"\xc3\xa4\xed\xa0\x80", 5, "surrogate"},
        {"a\0b", 3, "U+0000"},
        {"", 0, "empty"},
        {"\xe3\x81\x82\xf0\x9f\x98\x80\x01", 8, "not allowed"},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        assert_non_null(strstr(aside_fault(smq_span_of(rows[i].bytes, rows[i].len)), rows[i].word));
    }
}

static void shown_test(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(aside_show(smq_span_str("a/b c"), out, sizeof(out)), "a/b c");
    assert_string_equal(aside_show(smq_span_str("\xe3\x81\x82"), out, sizeof(out)), "\xe3\x81\x82");
    assert_string_equal(aside_show(smq_span_str("\xe3\x81\x82\x80"), out, sizeof(out)), "\\xe3\\x81\\x82\\x80");
    assert_string_equal(aside_show(smq_span_str("'\\\x1b"), out, sizeof(out)), "\\x27\\x5c\\x1b");
    assert_string_equal(aside_show(smq_span_of("a\0b", 3), out, sizeof(out)), "a\\x00b");
    char full[64];
    memset(full, 'x', sizeof(full));
    aside_show(smq_span_of(full, sizeof(full)), out, sizeof(out));
    assert_true(strlen(out) < sizeof(out) && strcmp(out + strlen(out) - 3, "...") == 0);
}

static void reasons_test(void **state)
{
    (void)state;
    assert_true(aside_is_reason(SMQTT_E_BAD_TEXT) && aside_is_reason(SMQTT_E_BAD_TOPIC));
    assert_true(aside_is_reason(SMQTT_E_BAD_PAYLOAD) && !aside_is_reason(SMQTT_E_MALFORMED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_test),
        cmocka_unit_test(shown_test),
        cmocka_unit_test(reasons_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
