/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include "keyring/known.h"

static char path[512];
static struct smq_why why;

static int begin(void **state)
{
    kit_begin(state);
    snprintf(path, sizeof path, "%s", temp_dir_file(&kit_dir, "known"));
    return 0;
}

static smqtt_err put(const char *name, const struct smqtt_identity *id, bool force)
{
    return smq_known_put(path, name, id, force, KIT_NOW, &why);
}

static struct smq_known *load(size_t n)
{
    struct smq_known *known = NULL;
    assert_int_equal(smq_known_read(path, &known, &why), SMQTT_OK);
    assert_int_equal(smq_known_count(known), n);
    return known;
}

/* Is this what stands by that name? */
static void assert_known(const char *name, const struct smqtt_identity *id, size_t n)
{
    struct smq_known *known = load(n);
    const struct smq_known_peer *peer = smq_known_by_name(known, name);
    assert_non_null(peer);
    assert_memory_equal(smqtt_identity_did(peer->identity), smqtt_identity_did(id), SMQTT_DID_LEN);
    assert_non_null(smq_known_by_skid(known, smqtt_identity_skid(id)));
    smq_known_free(known);
}

static void names_of_peers(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "sensors-server", "\xE3\x81\x82", "0123456789abcde", "0123456789abcdefg"};
    static const char *const bad[] = {
        "", "a b", "a\tb", "a/b", "#a", "-a", "smqtt-x25519", "0123456789abcdef", "0123456789ABCDEF", "\xFF", "a\nb"};
    char longest[SMQTT_NAME_MAX + 2];
    for (size_t i = 0; i < SMQ_ARRAY_LEN(good); i++) {
        assert_true(smq_known_name_ok(good[i]));
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        assert_false(smq_known_name_ok(bad[i]));
    }
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_false(smq_known_name_ok(longest));
    longest[SMQTT_NAME_MAX] = 0;
    assert_true(smq_known_name_ok(longest));
}

static void skids(void **state)
{
    (void)state;
    static const uint8_t wanted[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF};
    uint8_t out[8];
    assert_true(smq_known_skid("0123456789aBcDeF", out));
    assert_memory_equal(out, wanted, 8);
    assert_false(smq_known_skid("0123456789abcde", out));
    assert_false(smq_known_skid("0123456789abcdef0", out));
    assert_false(smq_known_skid("0123456789abcdeg", out));
}

static void nobody_without_a_file(void **state)
{
    (void)state;
    struct smqtt_identity *id = kit_identity("server");
    size_t n = 7;
    smq_known_free(load(0));
    assert_int_equal(smq_known_follow(path, id, KIT_NOW, &n, &why), SMQTT_OK);
    assert_int_equal(n, 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(smq_known_forget(path, "server", &why), SMQTT_E_UNKNOWN_PEER);
    smqtt_identity_free(id);
}

static void renewed_but_never_back(void **state)
{
    (void)state;
    struct smqtt_identity *one = kit_identity("server");
    struct smqtt_identity *two = kit_renewed(one);
    struct stat st;
    assert_int_equal(put("server", one, false), SMQTT_OK);
    assert_int_equal(put("server", one, false), SMQTT_OK); /* it is known so */
    assert_int_equal(put("server", two, false), SMQTT_OK);
    assert_known("server", two, 1);
    assert_int_equal(put("server", one, false), SMQTT_E_OLD_IDENTITY);
    assert_non_null(strstr(why.text, "version 1 of 'server', but version 2"));
    assert_int_equal(put("other", one, false), SMQTT_E_OLD_IDENTITY); /* by another name neither */
    assert_known("server", two, 1);
    assert_int_equal(put("server", one, true), SMQTT_OK);
    assert_known("server", one, 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    smqtt_identity_free(one);
    smqtt_identity_free(two);
}

static void somebody_else_is_refused(void **state)
{
    (void)state;
    struct smqtt_identity *one = kit_identity("server");
    struct smqtt_identity *two = kit_identity("server");
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    assert_int_equal(put("server", one, false), SMQTT_OK);
    assert_int_equal(put("server", two, false), SMQTT_E_UNKNOWN_PEER);
    smqtt_identity_fingerprint(one, fingerprint);
    assert_non_null(strstr(why.text, fingerprint));
    smqtt_identity_fingerprint(two, fingerprint);
    assert_non_null(strstr(why.text, fingerprint));
    assert_non_null(strstr(why.text, "smqtt id forget server"));
    assert_known("server", one, 1);
    assert_int_equal(smq_known_forget(path, "server", &why), SMQTT_OK);
    assert_int_equal(put("server", two, false), SMQTT_OK);
    assert_known("server", two, 1);
    smqtt_identity_free(one);
    smqtt_identity_free(two);
}

static void successors_in_their_grace_time(void **state)
{
    (void)state;
    struct smqtt_identity *old = kit_identity("server");
    struct smqtt_identity *new = kit_successor(old, KIT_NOW + 1000);
    struct smqtt_identity *other = kit_identity("other");
    size_t n = 0;
    assert_int_equal(put("a", old, false), SMQTT_OK);
    assert_int_equal(put("b", old, false), SMQTT_OK);
    assert_int_equal(put("c", other, false), SMQTT_OK);
    assert_int_equal(smq_known_put(path, "a", new, false, KIT_NOW + 1001, &why), SMQTT_E_EXPIRED);
    assert_non_null(strstr(why.text, "grace time"));
    assert_int_equal(smq_known_follow(path, new, KIT_NOW + 1001, &n, &why), SMQTT_OK);
    assert_int_equal(n, 0);
    assert_int_equal(smq_known_follow(path, new, KIT_NOW + 1000, &n, &why), SMQTT_OK);
    assert_int_equal(n, 2); /* both names of the server */
    assert_known("a", new, 3);
    assert_known("b", new, 3);
    assert_known("c", other, 3);
    assert_int_equal(put("a", old, false), SMQTT_E_OLD_IDENTITY);
    smqtt_identity_free(old);
    smqtt_identity_free(new);
    smqtt_identity_free(other);
}

static void comments_stay(void **state)
{
    (void)state;
    struct smqtt_identity *one = kit_identity("server");
    struct smqtt_identity *two = kit_renewed(one);
    struct smq_file_text file = {NULL, 0};
    kit_write("known", smq_span_str("# mine\n\n"), 0600);
    assert_int_equal(put("server", one, false), SMQTT_OK);
    assert_int_equal(put("server", two, false), SMQTT_OK);
    assert_int_equal(smq_file_read(path, 10000, true, &file, &why), SMQTT_OK);
    assert_memory_equal(file.text, "# mine\n\nserver smqtt-x25519 ", 28);
    smq_file_free(&file);
    smqtt_identity_free(one);
    smqtt_identity_free(two);
}

/* One bad line, and nothing of the file is used or changed. */
static void bad_files_are_refused(void **state)
{
    (void)state;
    struct smqtt_identity *id = kit_identity("server");
    char line[SMQTT_IDENTITY_TEXT_MAX];
    char text[2 * SMQTT_IDENTITY_TEXT_MAX + 64];
    struct smq_known *known = NULL;
    assert_int_equal(smqtt_identity_public_text(id, line, sizeof line), SMQTT_OK);
    static const struct {
        const char *before, *between;
        const char *where;
    } bad[] = {{"a ", "\na ", ", line 2: "},
               {"a\n", "\n", ", line 1: "},
               {"a ", "\na/b ", ", line 2: "},
               {"a ", "\n0123456789abcdef ", ", line 2: "},
               {"a b ", "\nc ", ", line 1: "}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        size_t len = (size_t)snprintf(text, sizeof text, "%s%s%s%s\n", bad[i].before, line, bad[i].between, line);
        kit_write("known", smq_span_of(text, len), 0600);
        assert_int_equal(smq_known_read(path, &known, &why), SMQTT_E_USAGE);
        assert_non_null(strstr(why.text, bad[i].where));
        assert_int_equal(put("new", id, true), SMQTT_E_USAGE);
    }
    size_t len = (size_t)snprintf(text, sizeof text, "a %s with a comment\r\n", line);
    kit_write("known", smq_span_of(text, len), 0600);
    assert_known("a", id, 1);
    kit_write("known", smq_span_of(text, len), 0644);
    assert_int_equal(smq_known_read(path, &known, &why), SMQTT_E_USAGE);
    assert_non_null(strstr(why.text, "chmod 600"));
    smqtt_identity_free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_peers),
        cmocka_unit_test(skids),
        cmocka_unit_test_setup_teardown(nobody_without_a_file, begin, kit_end),
        cmocka_unit_test_setup_teardown(renewed_but_never_back, begin, kit_end),
        cmocka_unit_test_setup_teardown(somebody_else_is_refused, begin, kit_end),
        cmocka_unit_test_setup_teardown(successors_in_their_grace_time, begin, kit_end),
        cmocka_unit_test_setup_teardown(comments_stay, begin, kit_end),
        cmocka_unit_test_setup_teardown(bad_files_are_refused, begin, kit_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
