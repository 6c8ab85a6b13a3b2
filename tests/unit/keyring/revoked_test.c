/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include "keyring/revoked.h"

static struct smq_why why;

static void reasons(void **state)
{
    (void)state;
    enum smqtt_revocation_reason reason = SMQTT_REVOKED_UNUSED;
    assert_true(smq_revoked_reason_read("lost", &reason));
    assert_int_equal(reason, SMQTT_REVOKED_STOLEN);
    assert_true(smq_revoked_reason_read("superseded", &reason));
    assert_int_equal(reason, SMQTT_REVOKED_SUPERSEDED);
    assert_false(smq_revoked_reason_read("tired", &reason));
    assert_string_equal(smq_revoked_reason((enum smqtt_revocation_reason)77), "without a reason");
}

static void who_when_and_why(void **state)
{
    (void)state;
    struct smqtt_identity *lost = kit_identity("lost-one");
    struct smqtt_identity *listed = kit_identity("listed-one");
    struct smqtt_identity *good = kit_identity("good-one");
    struct smqtt_revocations *list = NULL;
    char statement[SMQTT_REVOCATION_TEXT_MAX];
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    char one[512];
    char two[512];
    assert_int_equal(smqtt_identity_revoke(lost, SMQTT_REVOKED_STOLEN, 86400000, statement), SMQTT_OK);
    smqtt_identity_fingerprint(listed, fingerprint);
    kit_write("one", smq_span_str(statement), 0644); /* without a line end */
    kit_write("two", smq_span_str(fingerprint), 0644);
    snprintf(one, sizeof one, "%s", temp_dir_file(&kit_dir, "one"));
    snprintf(two, sizeof two, "%s", temp_dir_file(&kit_dir, "two"));
    const char *const paths[] = {one, two};
    assert_int_equal(smq_revoked_read(paths, 2, &list, &why), SMQTT_OK);
    assert_int_equal(smq_revoked_check(list, lost, &why), SMQTT_E_REVOKED);
    assert_non_null(strstr(why.text, "'lost-one'"));
    assert_non_null(strstr(why.text, "on 1970-01-02 00:00 UTC, its keys were lost or stolen"));
    assert_int_equal(smq_revoked_check(list, listed, &why), SMQTT_E_REVOKED);
    assert_non_null(strstr(why.text, fingerprint));
    assert_int_equal(smq_revoked_check(list, good, &why), SMQTT_OK);
    assert_int_equal(smq_revoked_check(list, NULL, &why), SMQTT_OK);
    assert_int_equal(smq_revoked_check(NULL, lost, &why), SMQTT_OK);
    smqtt_revocations_free(list);
    list = NULL;
    assert_int_equal(smq_revoked_read(NULL, 0, &list, &why), SMQTT_OK);
    assert_null(list);
    kit_write("two", smq_span_str("# good\nbad\n"), 0644);
    assert_int_equal(smq_revoked_read(paths, 2, &list, &why), SMQTT_E_USAGE);
    assert_non_null(strstr(why.text, "two, line 2 "));
    smqtt_identity_free(lost);
    smqtt_identity_free(listed);
    smqtt_identity_free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons),
        cmocka_unit_test_setup_teardown(who_when_and_why, kit_begin, kit_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
