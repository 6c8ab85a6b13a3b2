/* SPDX-License-Identifier: Apache-2.0 */
/* What is JSON and what is not; that nothing is read beyond the end. How it is printed, tests/e2e compares with
 * mosquitto_sub. */
#include "../test.h"

#include <stdlib.h>

#include "../../../apps/smqtt/json.h"

static bool is_valid(const char *text, size_t len)
{
    char *copy = malloc(len + 1); /* so that reading beyond it is seen */
    assert_non_null(copy);
    memcpy(copy, text, len);
    bool valid = json_is_valid(smq_span_of(copy, len));
    free(copy);
    return valid;
}

static void valid_test(void **state)
{
    (void)state;
    static const char *const good[] = {"null",
                                       " true ",
                                       "false",
                                       "0",
                                       "-1.5e+3",
                                       "01",
                                       "\"\"",
                                       "\"\\u00e9\\ud83d\\ude00\\/\\n\"",
                                       "[]",
                                       "[1,[2,{}]]",
                                       "{\"a\":{\"b\":[null]},\"a\":1}",
                                       "\t[ 1 , 2 ]\r\n"};
    static const char *const bad[] = {
        "",        " ",        "nul",        "truex",       "-",           "+1",          ".5",
        "1.2.3",   "\"",       "\"\\x\"",    "\"\\u12g4\"", "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"",
        "[",       "[1",       "[1,",        "[1,]",        "]",           "{",           "{\"a\"",
        "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{a:1}",       "{1:1}",       "1 2"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(good); i++) {
        assert_true(is_valid(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        assert_false(is_valid(bad[i], strlen(bad[i])));
    }
    assert_false(is_valid("1\0", 2));
    assert_false(is_valid("\"a\0b\"", 5));
}

static void depth_test(void **state)
{
    (void)state;
    char text[1000];
    for (size_t depth = 1; depth < 500; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(is_valid(text, 2 * depth), depth <= 201);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_test),
        cmocka_unit_test(depth_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
