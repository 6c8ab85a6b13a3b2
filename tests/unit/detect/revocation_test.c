/* SPDX-License-Identifier: Apache-2.0 */
/* Statements of keys that they are void, and lists of those (protocol.md 3.1). */
#include <stdio.h>
#include <stdlib.h>

#include "../failing_mem.h"
#include "base/hex.h"
#include "kit.h"

enum { AT = 1234567 };

static void statement_make(const struct smqtt_identity *id, uint8_t out[SMQTT_REVOCATION_LEN])
{
    char text[SMQTT_REVOCATION_TEXT_MAX];
    size_t len = 0;
    assert_int_equal(smqtt_identity_revoke(id, SMQTT_REVOKED_STOLEN, AT, text), SMQTT_OK);
    assert_memory_equal(text, "smqtt-revocation ", 17);
    assert_int_equal(smq_base64url_decode(out, SMQTT_REVOCATION_LEN, smq_span_str(text + 17), &len), SMQTT_OK);
    assert_int_equal(len, SMQTT_REVOCATION_LEN);
}

static void test_statement(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct smqtt_identity *id = kit_identity(smq_suite_by_id(suite), "a", 1);
        struct smqtt_identity *other = kit_identity(smq_suite_by_id(suite), "a", 2);
        uint8_t bytes[SMQTT_REVOCATION_LEN + 1] = {0};
        statement_make(id, bytes);
        const uint8_t head[] = {0x52, suite, 1, 0, 0, 0, 0, 0, 0, 0x12, 0xD6, 0x87};
        assert_memory_equal(bytes, head, sizeof(head));
        assert_memory_equal(bytes + 12, smqtt_identity_skid(id), SMQTT_SKID_LEN);
        enum smqtt_revocation_reason reason = SMQTT_REVOKED_UNSPECIFIED;
        smqtt_ms at = 0;
        const smq_span statement = smq_span_of(bytes, SMQTT_REVOCATION_LEN);
        assert_int_equal(smqtt_revocation_check(statement, id, &reason, &at), SMQTT_OK);
        assert_int_equal(reason, SMQTT_REVOKED_STOLEN);
        assert_int_equal(at, AT);
        assert_int_equal(smqtt_revocation_check(statement, id, NULL, NULL), SMQTT_OK);
        assert_int_equal(smqtt_revocation_check(statement, other, NULL, NULL), SMQTT_E_UNKNOWN_PEER);
        memcpy(other->skid, id->skid, SMQTT_SKID_LEN); /* the same skid by chance */
        assert_int_equal(smqtt_revocation_check(statement, other, NULL, NULL), SMQTT_E_BAD_SIGNATURE);
        /* every descriptor of these keys */
        struct smqtt_identity *renewed = NULL;
        assert_int_equal(smqtt_identity_renew(NULL, id, 0, 5, 0, &renewed), SMQTT_OK);
        assert_int_equal(smqtt_revocation_check(statement, renewed, NULL, NULL), SMQTT_OK);
        for (size_t bit = 0; bit < 8 * (size_t)SMQTT_REVOCATION_LEN; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            assert_int_not_equal(smqtt_revocation_check(statement, id, NULL, NULL), SMQTT_OK);
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        for (size_t len = 0; len <= sizeof(bytes); len++) {
            smqtt_err err = smqtt_revocation_check(smq_span_of(bytes, len), id, NULL, NULL);
            assert_int_equal(err, len == SMQTT_REVOCATION_LEN ? SMQTT_OK : SMQTT_E_MALFORMED);
        }
        smqtt_identity_free(renewed);
        smqtt_identity_free(id);
        smqtt_identity_free(other);
    }
}

static void test_refused(void **state)
{
    (void)state;
    char text[SMQTT_REVOCATION_TEXT_MAX];
    struct smqtt_identity *id = kit_identity(smq_suite_by_id(1), "a", 3);
    struct smqtt_identity *half = NULL;
    assert_int_equal(smqtt_identity_read_descriptor(NULL, smqtt_identity_descriptor(id), &half), SMQTT_OK);
    assert_int_equal(smqtt_identity_revoke(half, SMQTT_REVOKED_STOLEN, AT, text), SMQTT_E_USAGE);
    assert_int_equal(smqtt_identity_revoke(id, (enum smqtt_revocation_reason)4, AT, text), SMQTT_E_USAGE);
    smqtt_identity_free(half);
    smqtt_identity_free(id);
}

/** A reason that a later version knows revokes as well. */
static void test_later_reason(void **state)
{
    (void)state;
    struct smqtt_identity *id = kit_identity(smq_suite_by_id(1), "a", 4);
    uint8_t bytes[SMQTT_REVOCATION_LEN];
    uint8_t text[KIT_TEXT_MAX];
    enum smqtt_revocation_reason reason = SMQTT_REVOKED_STOLEN;
    statement_make(id, bytes);
    bytes[2] = 9;
    const smq_span whole = smq_span_of(text, kit_signed("revocation", smq_span_of(bytes, 20), text));
    assert_int_equal(smq_crypto_openssl.sign(id->suite->sign, id->sk_sig, NULL, &whole, 1, bytes + 20), SMQTT_OK);
    assert_int_equal(smqtt_revocation_check(smq_span_of(bytes, sizeof(bytes)), id, &reason, NULL), SMQTT_OK);
    assert_int_equal(reason, SMQTT_REVOKED_UNSPECIFIED);
    smqtt_identity_free(id);
}

/* ---------------------------------------------------------------- lists */

static smqtt_err list_read(const char *text, struct smqtt_revocations **out, unsigned *line)
{
    size_t len = strlen(text);
    char *copy = malloc(len + (len == 0)); /* so that a sanitizer sees who reads behind it */
    assert_non_null(copy);
    memcpy(copy, text, len);
    smqtt_err err = smqtt_revocations_read(NULL, smq_span_of(copy, len), out, line);
    free(copy);
    return err;
}

static void test_list(void **state)
{
    (void)state;
    enum { N = 40 };
    struct smqtt_identity *ids[N];
    char text[N * 200] = "# keys that were lost\n\n";
    char one[SMQTT_REVOCATION_TEXT_MAX];
    unsigned line = 0;
    for (size_t i = 0; i < N; i++) {
        ids[i] = kit_identity(smq_suite_by_id((uint8_t)(1 + i % 2)), "n", 100 + i);
        if (i % 4 == 0) {
            assert_int_equal(smqtt_identity_revoke(ids[i], SMQTT_REVOKED_UNUSED, AT + i, one), SMQTT_OK);
        } else if (i % 4 == 1) {
            smqtt_identity_fingerprint(ids[i], one);
        } else {
            continue;
        }
        size_t at = strlen(text);
        (void)snprintf(text + at, sizeof(text) - at, "%s%s\n", one, i % 8 < 4 ? "" : " the pump\r");
    }
    struct smqtt_revocations *list = NULL;
    assert_int_equal(list_read(text, &list, &line), SMQTT_OK);
    for (size_t i = 0; i < N; i++) {
        enum smqtt_revocation_reason reason = SMQTT_REVOKED_STOLEN;
        smqtt_ms at = 1;
        assert_int_equal(smqtt_revocations_have(list, ids[i], &reason, &at), i % 4 < 2);
        assert_int_equal(smqtt_revocations_have(list, ids[i], NULL, NULL), i % 4 < 2);
        if (i % 4 < 2) {
            assert_int_equal(reason, i % 4 == 0 ? SMQTT_REVOKED_UNUSED : SMQTT_REVOKED_UNSPECIFIED);
            assert_int_equal(at, i % 4 == 0 ? AT + i : 0);
        }
    }
    /* a statement is about all descriptors of the keys, a fingerprint about one */
    struct smqtt_identity *renewed[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(smqtt_identity_renew(NULL, ids[i], 0, 5, 0, &renewed[i]), SMQTT_OK);
        assert_int_equal(smqtt_revocations_have(list, renewed[i], NULL, NULL), i == 0);
        smqtt_identity_free(renewed[i]);
    }
    assert_false(smqtt_revocations_have(NULL, ids[0], NULL, NULL));
    smqtt_revocations_free(list);
    smqtt_revocations_free(NULL);
    for (size_t i = 0; i < N; i++) {
        smqtt_identity_free(ids[i]);
    }
}

/** One that somebody else has signed revokes nothing, wherever it stands beside the true one. */
static void test_forged(void **state)
{
    (void)state;
    struct smqtt_identity *id = kit_identity(smq_suite_by_id(1), "a", 5);
    struct smqtt_identity *forger = kit_identity(smq_suite_by_id(1), "a", 6);
    char forged[SMQTT_REVOCATION_TEXT_MAX];
    char real[SMQTT_REVOCATION_TEXT_MAX];
    char text[512];
    struct smqtt_revocations *list = NULL;
    unsigned line = 0;
    memcpy(forger->skid, id->skid, SMQTT_SKID_LEN);
    assert_int_equal(smqtt_identity_revoke(id, SMQTT_REVOKED_STOLEN, AT, real), SMQTT_OK);
    for (smqtt_ms at = AT - 1; at <= AT + 1; at += 2) {
        assert_int_equal(smqtt_identity_revoke(forger, SMQTT_REVOKED_STOLEN, at, forged), SMQTT_OK);
        assert_int_equal(list_read(forged, &list, &line), SMQTT_OK);
        assert_false(smqtt_revocations_have(list, id, NULL, NULL));
        smqtt_revocations_free(list);
        (void)snprintf(text, sizeof(text), "%s\n%s\n", forged, real);
        assert_int_equal(list_read(text, &list, &line), SMQTT_OK);
        assert_true(smqtt_revocations_have(list, id, NULL, NULL));
        smqtt_revocations_free(list);
    }
    smqtt_identity_free(id);
    smqtt_identity_free(forger);
}

static void test_bad_lines(void **state)
{
    (void)state;
    struct smqtt_identity *id = kit_identity(smq_suite_by_id(1), "a", 7);
    char print[SMQTT_FINGERPRINT_SIZE];
    char good[SMQTT_REVOCATION_TEXT_MAX];
    char bad[8][256];
    char text[4096];
    smqtt_identity_fingerprint(id, print);
    assert_int_equal(smqtt_identity_revoke(id, SMQTT_REVOKED_STOLEN, AT, good), SMQTT_OK);
    (void)snprintf(bad[0], sizeof(bad[0]), "%.*s", (int)strlen(print) - 1, print);
    (void)snprintf(bad[1], sizeof(bad[1]), "%sA", print);
    (void)snprintf(bad[2], sizeof(bad[2]), "%.4s %s", print, print + 5);
    (void)snprintf(bad[3], sizeof(bad[3]), "1%s", print + 1);
    (void)snprintf(bad[4], sizeof(bad[4]), "%.*s", (int)strlen(good) - 1, good);
    (void)snprintf(bad[5], sizeof(bad[5]), "smqtt-revocation T%s", good + 18); /* 0x4E is a notice */
    (void)snprintf(bad[6], sizeof(bad[6]), " %s", print);
    (void)snprintf(bad[7], sizeof(bad[7]), "smqtt-revocation");
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        struct smqtt_revocations *list = NULL;
        unsigned line = 0;
        (void)snprintf(text, sizeof(text), "# list\n\n%s\n%s\n%s\n", print, bad[i], good);
        assert_int_equal(list_read(text, &list, &line), SMQTT_E_USAGE);
        assert_int_equal(line, 4);
        assert_null(list);
    }
    struct smqtt_revocations *list = NULL;
    unsigned line = 0;
    for (size_t i = 0; i < strlen(print); i++) {
        print[i] = (char)(print[i] >= 'A' ? print[i] + 32 : print[i]); /* as people write it */
    }
    assert_int_equal(list_read(print, &list, &line), SMQTT_OK);
    assert_true(smqtt_revocations_have(list, id, NULL, NULL));
    smqtt_revocations_free(list);
    assert_int_equal(list_read("", &list, &line), SMQTT_OK);
    assert_false(smqtt_revocations_have(list, id, NULL, NULL));
    smqtt_revocations_free(list);
    smqtt_identity_free(id);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct smqtt_identity *id = kit_identity(smq_suite_by_id(1), "a", 8);
    char text[SMQTT_FINGERPRINT_SIZE + SMQTT_REVOCATION_TEXT_MAX];
    struct failing_mem fm;
    smqtt_identity_fingerprint(id, text);
    text[39] = '\n';
    assert_int_equal(smqtt_identity_revoke(id, SMQTT_REVOKED_STOLEN, AT, text + 40), SMQTT_OK);
    failing_mem_init(&fm);
    for (size_t nth = 1;; nth++) {
        struct smqtt_revocations *list = NULL;
        unsigned line = 0;
        failing_mem_arm(&fm, nth);
        smqtt_err err = smqtt_revocations_read(&fm.mem, smq_span_str(text), &list, &line);
        assert_int_equal(err, failing_mem_has_failed(&fm) ? SMQTT_E_NOMEM : SMQTT_OK);
        smqtt_revocations_free(list);
        assert_int_equal(fm.live, 0);
        if (!failing_mem_has_failed(&fm)) {
            break;
        }
    }
    smqtt_identity_free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statement), cmocka_unit_test(test_refused), cmocka_unit_test(test_later_reason),
        cmocka_unit_test(test_list),      cmocka_unit_test(test_forged),  cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
