/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include "keyring/idfile.h"

static char path[512];
static struct smq_why why;
static struct smqtt_identity *id;
static struct smq_idfile file;

static int begin(void **state)
{
    kit_begin(state);
    snprintf(path, sizeof path, "%s", temp_dir_file(&kit_dir, "server.id"));
    id = kit_identity("server");
    return 0;
}

static int end(void **state)
{
    smqtt_identity_free(id);
    return kit_end(state);
}

static struct smq_passphrase passphrase(const char *text)
{
    struct smq_passphrase p = {.len = strlen(text)};
    memcpy(p.bytes, text, p.len);
    return p;
}

/* Answers, one after the other; ends with NULL. */
static smqtt_err answer(void *ctx, const char *of, struct smq_passphrase *out, struct smq_why *reason)
{
    const char ***next = ctx;
    assert_string_equal(of, path);
    if (**next == NULL) {
        return smq_why_set(reason, SMQTT_E_LOCKED, "Nobody answers.");
    }
    *out = passphrase(*(*next)++);
    return SMQTT_OK;
}

static smqtt_err read_with(unsigned tries, const char **answers)
{
    struct smq_idfile_ask ask = {answer, &answers, tries};
    return smq_idfile_read(path, true, &ask, &file, &why);
}

static void a_locked_file(void **state)
{
    (void)state;
    struct smq_passphrase lock = passphrase("open sesame");
    struct stat st;
    assert_int_equal(smq_idfile_write(path, id, &lock, false, &why), SMQTT_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(smq_idfile_read(path, true, NULL, &file, &why), SMQTT_E_LOCKED);
    /* The public half needs no passphrase. */
    assert_int_equal(smq_idfile_read(path, false, NULL, &file, &why), SMQTT_OK);
    assert_true(file.locked);
    assert_false(smqtt_identity_has_private(file.identity));
    smq_idfile_free(&file);
    assert_int_equal(read_with(1, (const char *[]){"no", "open sesame", NULL}), SMQTT_E_BAD_PASSPHRASE);
    assert_non_null(strstr(why.text, "does not open with this passphrase"));
    assert_int_equal(read_with(3, (const char *[]){NULL}), SMQTT_E_LOCKED);
    assert_string_equal(why.text, "Nobody answers.");
    assert_int_equal(read_with(2, (const char *[]){"no", "open sesame", NULL}), SMQTT_OK);
    assert_true(smqtt_identity_has_private(file.identity));
    assert_int_equal(file.passphrase.len, 11);
    smq_idfile_free(&file);
    assert_int_equal(file.passphrase.len, 0);
}

static void a_plain_file(void **state)
{
    (void)state;
    assert_int_equal(smq_idfile_write(path, id, NULL, false, &why), SMQTT_OK);
    assert_int_equal(smq_idfile_write(path, id, NULL, false, &why), SMQTT_E_USAGE);
    assert_int_equal(smq_idfile_write(path, id, NULL, true, &why), SMQTT_OK);
    assert_int_equal(smq_idfile_read(path, true, NULL, &file, &why), SMQTT_OK);
    assert_false(file.locked);
    smq_idfile_free(&file);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(smq_idfile_read(path, true, NULL, &file, &why), SMQTT_E_USAGE);
    assert_non_null(strstr(why.text, "chmod 600"));
    /* It says that it is secret, so it is treated so, whatever is wanted of it. */
    assert_int_equal(smq_idfile_read(path, false, NULL, &file, &why), SMQTT_E_USAGE);
}

static void a_public_file(void **state)
{
    (void)state;
    assert_int_equal(smq_idfile_write_public(path, id, false, &why), SMQTT_OK);
    assert_int_equal(smq_idfile_read(path, false, NULL, &file, &why), SMQTT_OK);
    assert_memory_equal(smqtt_identity_did(file.identity), smqtt_identity_did(id), SMQTT_DID_LEN);
    smq_idfile_free(&file);
    assert_int_equal(smq_idfile_read(path, true, NULL, &file, &why), SMQTT_E_USAGE);
    assert_non_null(strstr(why.text, "only the public half"));
    kit_write("server.id", smq_span_str("nonsense\n"), 0600);
    assert_int_equal(smq_idfile_read(path, false, NULL, &file, &why), SMQTT_E_BAD_IDENTITY);
    assert_non_null(strstr(why.text, "is not an identity"));
}

static smqtt_err read_passphrase(const char *text, size_t len, mode_t mode, struct smq_passphrase *out)
{
    kit_write("pass", smq_span_of(text, len), mode);
    return smq_passphrase_read(temp_dir_file(&kit_dir, "pass"), out, &why);
}

static void files_of_passphrases(void **state)
{
    (void)state;
    struct smq_passphrase got;
    char large[SMQ_PASSPHRASE_MAX + 2];
    static const char *const same[] = {"a b", "a b\n", "a b\r\n"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(same); i++) {
        assert_int_equal(read_passphrase(same[i], strlen(same[i]), 0600, &got), SMQTT_OK);
        assert_int_equal(got.len, 3);
        assert_memory_equal(got.bytes, "a b", 3);
    }
    assert_int_equal(read_passphrase("a\n", 2, 0640, &got), SMQTT_E_USAGE);
    assert_int_equal(read_passphrase("", 0, 0600, &got), SMQTT_E_USAGE);
    assert_int_equal(read_passphrase("\n", 1, 0600, &got), SMQTT_E_USAGE);
    assert_int_equal(read_passphrase("a\nb\n", 4, 0600, &got), SMQTT_E_USAGE);
    memset(large, 'x', sizeof large);
    large[SMQ_PASSPHRASE_MAX] = '\n';
    assert_int_equal(read_passphrase(large, SMQ_PASSPHRASE_MAX + 1, 0600, &got), SMQTT_OK);
    assert_int_equal(got.len, SMQ_PASSPHRASE_MAX);
    large[SMQ_PASSPHRASE_MAX] = 'x';
    assert_int_equal(read_passphrase(large, SMQ_PASSPHRASE_MAX + 1, 0600, &got), SMQTT_E_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_locked_file, begin, end),
        cmocka_unit_test_setup_teardown(a_plain_file, begin, end),
        cmocka_unit_test_setup_teardown(a_public_file, begin, end),
        cmocka_unit_test_setup_teardown(files_of_passphrases, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
