/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include "base/hex.h"
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

/* What a client learned of its server's owner. */
static void remembered(void **state)
{
    (void)state;
    struct smqtt_identity *ids[] = {kit_identity("one"), kit_identity("two")};
    struct smqtt_revocations *list = NULL;
    char path[512];
    snprintf(path, sizeof path, "%s", temp_dir_file(&kit_dir, "known.revoked"));
    const char *const paths[] = {path};
    struct stat st;
    off_t size = 0;
    for (size_t i = 0; i < 4; i++) {
        char line[SMQTT_REVOCATION_TEXT_MAX];
        uint8_t bytes[SMQTT_REVOCATION_LEN];
        size_t len = 0;
        assert_int_equal(smqtt_identity_revoke(ids[i % 2], SMQTT_REVOKED_UNUSED, 5, line), SMQTT_OK);
        assert_int_equal(smq_base64url_decode(bytes, sizeof bytes, smq_span_str(strchr(line, ' ') + 1), &len),
                         SMQTT_OK);
        smq_span statement = smq_span_of(bytes, len);
        assert_int_equal(smq_revoked_remember(path, smq_span_of(bytes, len - 1), "x", &why), SMQTT_E_MALFORMED);
        assert_int_equal(smq_revoked_remember(path, statement, "its name", &why), SMQTT_OK);
        assert_int_equal(smq_revoked_remember(path, statement, "its name", &why), SMQTT_OK);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        assert_int_equal(smq_revoked_read(paths, 1, &list, &why), SMQTT_OK);
        assert_int_equal(smq_revoked_check(list, ids[i % 2], &why), SMQTT_E_REVOKED);
        assert_int_equal(smq_revoked_check(list, ids[1], &why), i == 0 ? SMQTT_OK : SMQTT_E_REVOKED);
        smqtt_revocations_free(list);
        assert_true(st.st_size > size || i > 1 || size == 0);
        size = st.st_size;
    }
    assert_int_equal(chmod(path, 0666), 0); /* whoever may write there could take lines out */
    uint8_t mark[SMQTT_REVOCATION_LEN] = {0x52};
    assert_int_equal(smq_revoked_remember(path, smq_span_of(mark, sizeof mark), "x", &why), SMQTT_E_USAGE);
    smqtt_identity_free(ids[0]);
    smqtt_identity_free(ids[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reasons),
        cmocka_unit_test_setup_teardown(who_when_and_why, kit_begin, kit_end),
        cmocka_unit_test_setup_teardown(remembered, kit_begin, kit_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
