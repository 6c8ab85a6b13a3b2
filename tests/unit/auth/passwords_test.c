/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/passwords.h"
#include "../failing_mem.h"
#include "../test.h"

/* Made by mosquitto_passwd of Mosquitto 2.0.11 (the second with -H sha512), and by the argon2 command line tool's
 * library. */
#define ALICE                                                                                                  \
    "alice:$7$101$AeKSRYLVW0aBleWK$rSUPsWR4+z8qaKsqjY0cqe/0ZcD7j8HJdJoJH2LvgW3OnBWVVNlyXEZbyiKeY7NXZDsEhcbSCW" \
    "gGJlR46YfJvA==\n"
#define CARL                                                                                                    \
    "carl:$6$mFrMY//aQYN1F9fG$75n8rTil8o7TqzM2/1QcdPRGoA+QdFxzmprEkk7B0qr2IMVFlHmCzCgDIiCt9RJg0rGcy3418Yboi7tW" \
    "ZqFWXA==\n"
#define BOB "bob:$argon2id$v=19$m=19456,t=2,p=1$EDgJ9VOqPAocwcVVfG/jGA$F2yorjoEhyp3H9VptGq93O1krG1FEZi9qIY16XcoAy4\n"

static const uint8_t key[16] = "0123456789abcde";

static struct smq_passwords *read_file(const char *text)
{
    struct smq_lines lines = smq_lines_of("pw", smq_span_str(text));
    struct smq_passwords *p = NULL;
    smqtt_err err = smq_passwords_read(NULL, key, &lines, &p);
    if (err != SMQTT_OK) {
        fail_msg("%s", lines.fault);
    }
    return p;
}

static smqtt_err verify(const struct smq_passwords *p, const char *user, const char *password)
{
    struct smq_pwhash hash;
    assert_true(smq_passwords_find(p, smq_span_str(user), &hash));
    return smq_pwhash_verify(&hash, smq_span_str(password));
}

static void passwords_of_all_kinds(void **state)
{
    (void)state;
    struct smq_passwords *p = read_file("# users\n\n" ALICE "  " CARL BOB);
    assert_int_equal(smq_passwords_count(p), 3);
    assert_int_equal(verify(p, "alice", "a"), SMQTT_OK);
    assert_int_equal(verify(p, "alice", "b"), SMQTT_E_BAD_LOGIN);
    assert_int_equal(verify(p, "alice", ""), SMQTT_E_BAD_LOGIN);
    assert_int_equal(verify(p, "carl", "c"), SMQTT_OK);
    assert_int_equal(verify(p, "carl", "a"), SMQTT_E_BAD_LOGIN);
    assert_int_equal(verify(p, "bob", "b"), SMQTT_OK);
    assert_int_equal(verify(p, "bob", "B"), SMQTT_E_BAD_LOGIN);
    smq_passwords_free(p);
}

static void who_is_not_there_costs_as_much(void **state)
{
    (void)state;
    struct smq_passwords *p = read_file(ALICE CARL BOB);
    bool kinds[3] = {false, false, false};
    static const char *const strangers[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        struct smq_pwhash hash, again;
        assert_true(smq_passwords_find(p, smq_span_str(strangers[i]), &hash));
        assert_true(smq_passwords_find(p, smq_span_str(strangers[i]), &again));
        assert_memory_equal(&hash, &again, sizeof hash);
        assert_true(hash.never);
        kinds[hash.kind] = true;
        /* The password of whom it stands in for does not fit either. */
        const char *password = hash.kind == SMQ_PWHASH_PBKDF2 ? "a" : hash.kind == SMQ_PWHASH_SHA512 ? "c" : "b";
        if (hash.kind != SMQ_PWHASH_ARGON2ID || i < 5) {
            assert_int_equal(smq_pwhash_verify(&hash, smq_span_str(password)), SMQTT_E_BAD_LOGIN);
        }
    }
    assert_true(kinds[0] && kinds[1] && kinds[2]);
    smq_passwords_free(p);
    p = read_file("# nobody\n");
    struct smq_pwhash hash;
    assert_false(smq_passwords_find(p, smq_span_str("alice"), &hash));
    smq_passwords_free(p);
}

static void stamps_follow_the_line(void **state)
{
    (void)state;
    struct smq_passwords *p = read_file(ALICE CARL);
    struct smq_passwords *q = read_file(CARL "alice:$7$102$AeKSRYLVW0aBleWK$rSUPsWR4+z8qaKsqjY0cqe/0ZcD7j8HJdJoJH2LvgW3"
                                             "OnBWVVNlyXEZbyiKeY7NXZDsEhcbSCWgGJlR46YfJvA==");
    assert_int_equal(smq_passwords_stamp(p, smq_span_str("carl")), smq_passwords_stamp(q, smq_span_str("carl")));
    assert_int_not_equal(smq_passwords_stamp(p, smq_span_str("alice")), smq_passwords_stamp(q, smq_span_str("alice")));
    assert_true(smq_passwords_stamp(p, smq_span_str("alice")) > 1);
    assert_int_equal(smq_passwords_stamp(p, smq_span_str("bob")), 0);
    smq_passwords_free(p);
    smq_passwords_free(q);
}

static void what_is_wrong_fails_the_file(void **state)
{
    (void)state;
#define HASH64 "rSUPsWR4+z8qaKsqjY0cqe/0ZcD7j8HJdJoJH2LvgW3OnBWVVNlyXEZbyiKeY7NXZDsEhcbSCWgGJlR46YfJvA=="
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {ALICE CARL ALICE, "pw:3: the user alice has a line already"},
        {ALICE "nobody\n", "pw:2: the line is not USER:HASH"},
        {":$6$a$b", "pw:1: the line is not USER:HASH"},
        {"a:plain", "stands no hash"},
        {"a:", "stands no hash"},
        {"a:$5$AAAA$" HASH64, "stands no hash"},
        {"a:$7$0$AAAA$" HASH64, "stands no hash"},
        {"a:$7$-1$AAAA$" HASH64, "stands no hash"},
        {"a:$7$101$AAAA", "stands no hash"},
        {"a:$7$101$$" HASH64, "stands no hash"},
        {"a:$7$101$AA-A$" HASH64, "stands no hash"},
        {"a:$7$101$AAA$" HASH64, "stands no hash"},
        {"a:$7$101$AAAA$AAAA", "stands no hash"},
        {"a:$7$101$AAAA$" HASH64 ":x", "stands no hash"},
        {"a:$7$99999999$AAAA$" HASH64, "too much time or memory"},
        {"a:$7$99999999999999999999$AAAA$" HASH64, "stands no hash"},
        {"a:$argon2id$v=19$m=4294967295,t=2,p=1$EDgJ9VOqPAocwcVVfG/jGA$F2yorjoEhyp3H9VptGq93A", "too much time or"},
        {"a:$argon2id$v=19$m=64,t=1,p=16$EDgJ9VOqPAocwcVVfG/jGA$F2yorjoEhyp3H9VptGq93A", "stands no hash"},
        {"a:$argon2id$v=16$m=64,t=1,p=1$EDgJ9VOqPAocwcVVfG/jGA$F2yorjoEhyp3H9VptGq93A", "stands no hash"},
        {"a:$argon2id$v=19$m=64,t=1,p=1$EDgJ$F2yorjoEhyp3H9VptGq93A", "stands no hash"},
        {"a\tb:$6$AAAA$" HASH64, "tab or another control character"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct smq_lines lines = smq_lines_of("pw", smq_span_str(rows[i].text));
        struct smq_passwords *p = NULL;
        assert_int_equal(smq_passwords_read(NULL, key, &lines, &p), SMQTT_E_USAGE);
        assert_null(p);
        if (strstr(lines.fault, rows[i].sentence) == NULL) {
            fail_msg("row %zu: %s", i, lines.fault);
        }
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (unsigned kind = SMQ_PWHASH_SHA512; kind <= SMQ_PWHASH_ARGON2ID; kind++) {
        for (uint8_t salt_len = 8; salt_len <= 16; salt_len++) {
            struct smq_pwhash h = {.kind = (uint8_t)kind, .salt_len = salt_len, .iterations = 3, .kib = 64, .lanes = 2};
            memset(h.salt, salt_len * 17, salt_len);
            assert_int_equal(smq_pwhash_make(&h, smq_span_str("secret")), SMQTT_OK);
            char text[SMQ_PWHASH_TEXT_MAX];
            size_t len = smq_pwhash_write(&h, text);
            struct smq_pwhash got;
            assert_int_equal(len, strlen(text));
            assert_int_equal(smq_pwhash_read(smq_span_of(text, len), &got), SMQTT_OK);
            assert_int_equal(smq_pwhash_verify(&got, smq_span_str("secret")), SMQTT_OK);
            assert_int_equal(smq_pwhash_verify(&got, smq_span_str("secreT")), SMQTT_E_BAD_LOGIN);
            assert_int_equal(smq_pwhash_is_quick(&got), kind != SMQ_PWHASH_ARGON2ID);
        }
    }
    struct smq_pwhash usual = {.kind = SMQ_PWHASH_PBKDF2, .iterations = 101};
    assert_false(smq_pwhash_is_quick(&usual));
}

static void memory_runs_out(void **state)
{
    (void)state;
    struct failing_mem mem;
    failing_mem_init(&mem);
    for (unsigned n = 1;; n++) {
        struct smq_lines lines = smq_lines_of("pw", smq_span_str(ALICE CARL BOB));
        struct smq_passwords *p = NULL;
        failing_mem_arm(&mem, n);
        smqtt_err err = smq_passwords_read(&mem.mem, key, &lines, &p);
        if (err == SMQTT_OK) {
            smq_passwords_free(p);
            assert_int_equal(mem.live, 0);
            return;
        }
        assert_int_equal(err, SMQTT_E_NOMEM);
        assert_int_equal(mem.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_of_all_kinds),  cmocka_unit_test(who_is_not_there_costs_as_much),
        cmocka_unit_test(stamps_follow_the_line),  cmocka_unit_test(what_is_wrong_fails_the_file),
        cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
