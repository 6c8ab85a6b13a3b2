/* SPDX-License-Identifier: Apache-2.0 */
#include <smqtt/secure.h>

#include "../failing_mem.h"
#include "../test.h"
#include "base/span.h"

static struct smqtt_policy *read_ok(const char *text)
{
    struct smqtt_policy *policy = NULL;
    unsigned line = 99;
    assert_int_equal(smqtt_policy_read(NULL, smq_span_str(text), &policy, &line), SMQTT_OK);
    assert_non_null(policy);
    return policy;
}

static bool requires(const struct smqtt_policy *policy, const char *topic)
{
    return smqtt_policy_requires(policy, smq_span_str(topic));
}

static bool logical(const struct smqtt_policy *policy, const char *topic)
{
    return smqtt_policy_logical(policy, smq_span_str(topic));
}

static void test_first_match(void **state)
{
    (void)state;
    struct smqtt_policy *policy = read_ok("# open weather\n"
                                          "weather/secret/# require\n"
                                          "weather/# allow-plain\n"
                                          "\n"
                                          "   bridge/+/up\t allow-plain   logical \r\n"
                                          "weather/late require\n"
                                          "two words/# allow-plain");
    assert_true(requires(policy, "weather/secret/1"));
    assert_false(requires(policy, "weather/1"));
    assert_false(requires(policy, "weather/late"));
    assert_false(requires(policy, "bridge/x/up"));
    assert_true(requires(policy, "bridge/x/down"));
    assert_false(requires(policy, "two words/x"));
    assert_true(requires(policy, "elsewhere"));
    assert_true(requires(policy, ""));
    assert_true(logical(policy, "bridge/x/up"));
    assert_false(logical(policy, "weather/1"));
    assert_false(logical(policy, "elsewhere"));
    smqtt_policy_free(policy);
}

static void test_nothing_requires(void **state)
{
    (void)state;
    struct smqtt_policy *policy = read_ok("");
    assert_true(requires(policy, "a"));
    assert_false(logical(policy, "a"));
    smqtt_policy_free(policy);
    unsigned line = 99;
    assert_int_equal(smqtt_policy_read(NULL, smq_span_of(NULL, 0), &policy, &line), SMQTT_OK);
    smqtt_policy_free(policy);
    policy = read_ok("# only\n#comments\n\n");
    assert_true(requires(policy, "a"));
    smqtt_policy_free(policy);
    assert_true(requires(NULL, "a"));
    assert_false(logical(NULL, "a"));
    smqtt_policy_free(NULL);
}

static void test_system_topics(void **state)
{
    (void)state;
    struct smqtt_policy *policy = read_ok("+/# allow-plain\n");
    assert_false(requires(policy, "a/b"));
    assert_true(requires(policy, "$SYS/x")); /* wildcards at the front leave $ topics out */
    smqtt_policy_free(policy);
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"a", 1},
        {"a require\nb\n", 2},
        {"a require\n# c\n\nb permit\n", 4},
        {"a/#/b require", 1},
        {"a+ require", 1},
        {"require", 1},
        {"a Require", 1},
        {"a allow-plain logical logical", 1},
        {"a logical", 1},
        {"logical", 1},
        {"a\xFF require", 1},
        {"a require b", 1},
        {"a allow-plain\nb requires", 2},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        struct smqtt_policy *policy = NULL;
        unsigned line = 0;
        assert_int_equal(smqtt_policy_read(NULL, smq_span_str(bad[i].text), &policy, &line), SMQTT_E_USAGE);
        assert_null(policy);
        assert_int_equal(line, bad[i].line);
    }
}

static void test_ceiling(void **state)
{
    (void)state;
    static char text[70000];
    struct smqtt_policy *policy = NULL;
    unsigned line = 0;
    memset(text, '\n', sizeof(text));
    assert_int_equal(smqtt_policy_read(NULL, smq_span_of(text, sizeof(text)), &policy, &line), SMQTT_E_USAGE);
    assert_int_equal(smqtt_policy_read(NULL, smq_span_of(text, 65535), &policy, &line), SMQTT_OK);
    smqtt_policy_free(policy);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    for (size_t nth = 1;; nth++) {
        struct smqtt_policy *policy = NULL;
        unsigned line = 0;
        failing_mem_arm(&fm, nth);
        smqtt_err err = smqtt_policy_read(&fm.mem, smq_span_str("a require"), &policy, &line);
        if (!failing_mem_has_failed(&fm)) {
            assert_int_equal(err, SMQTT_OK);
            smqtt_policy_free(policy);
            assert_int_equal(fm.live, 0);
            break;
        }
        assert_int_equal(err, SMQTT_E_NOMEM);
        assert_int_equal(fm.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_match),   cmocka_unit_test(test_nothing_requires),
        cmocka_unit_test(test_system_topics), cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_ceiling),       cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
