/* SPDX-License-Identifier: Apache-2.0 */
/* Private files under a passphrase (protocol.md 3). The KDF here is a hash: what it is given is what counts. */
#include <stdio.h>
#include <stdlib.h>

#include "../failing_mem.h"
#include "base/hex.h"
#include "detect/identity.h"
#include "kit.h"

struct calls {
    size_t n;
    uint32_t passes, kib, lanes;
    bool fails;
};

static bool kdf_hash(void *ctx, struct smqtt_span passphrase, struct smqtt_span salt, uint32_t passes, uint32_t kib,
                     uint32_t lanes, uint8_t *out, size_t out_len)
{
    struct calls *calls = ctx;
    uint8_t hash[SMQ_HASH_LEN];
    const uint8_t numbers[] = {(uint8_t)passes, (uint8_t)(kib >> 8), (uint8_t)kib, (uint8_t)lanes};
    const smq_span parts[] = {passphrase, salt, smq_span_of(numbers, sizeof(numbers))};
    calls->n++;
    calls->passes = passes;
    calls->kib = kib;
    calls->lanes = lanes;
    assert_int_equal(salt.len, 16);
    kit_hash(parts, SMQ_ARRAY_LEN(parts), hash);
    for (size_t i = 0; i < out_len; i++) {
        out[i] = (uint8_t)(hash[i % SMQ_HASH_LEN] + i / SMQ_HASH_LEN);
    }
    return !calls->fails;
}

static bool counter_fill(void *ctx, uint8_t *out, size_t len)
{
    kit_fill(ctx, out, len);
    return true;
}

static bool no_fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 0, len);
    return false;
}

static void lock_ok(const struct smqtt_identity *id, struct calls *calls, uint64_t seed,
                    char text[SMQTT_IDENTITY_TEXT_MAX])
{
    const struct smqtt_kdf kdf = {kdf_hash, calls, 0, 0, 0};
    const struct smqtt_rng rng = {counter_fill, &seed};
    assert_int_equal(
        smqtt_identity_locked_text(id, smq_span_str("correct horse"), &kdf, &rng, text, SMQTT_IDENTITY_TEXT_MAX),
        SMQTT_OK);
}

static smqtt_err unlock(const char *text, const char *passphrase, struct calls *calls, struct smqtt_identity **out)
{
    const struct smqtt_kdf kdf = {kdf_hash, calls, 0, 0, 0};
    size_t len = strlen(text);
    char *copy = malloc(len + (len == 0)); /* so that a sanitizer sees who reads behind it */
    assert_non_null(copy);
    memcpy(copy, text, len);
    smqtt_err err = smqtt_identity_unlock(NULL, smq_span_of(copy, len), smq_span_str(passphrase), &kdf, out);
    free(copy);
    return err;
}

static void test_round(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        char text[SMQTT_IDENTITY_TEXT_MAX];
        char again[SMQTT_IDENTITY_TEXT_MAX];
        char plain[SMQTT_IDENTITY_TEXT_MAX];
        char secret[SMQ_BASE64URL_LEN(SMQ_SK_LEN) + 1];
        struct calls calls = {0};
        struct smqtt_identity *id = kit_identity(smq_suite_by_id(suite), "server", 1);
        struct smqtt_identity *back = NULL;
        lock_ok(id, &calls, 2, text);
        assert_int_equal(calls.n, 1);
        assert_int_equal(calls.passes, 3);
        assert_int_equal(calls.kib, 65536);
        assert_int_equal(calls.lanes, 1);
        assert_non_null(strstr(text, "\nlocked: argon2id 3 65536 1 "));
        assert_null(strstr(text, "kem:"));
        assert_null(strstr(text, "sign:"));
        smq_base64url_encode(secret, smq_span_of(id->sk_kem, SMQ_SK_LEN));
        assert_null(strstr(text, secret));
        lock_ok(id, &calls, 3, again);
        assert_string_not_equal(text, again); /* another salt */
        assert_int_equal(smqtt_identity_read(NULL, smq_span_str(text), &back), SMQTT_E_LOCKED);
        assert_int_equal(calls.n, 2);
        assert_int_equal(unlock(text, "correct horse", &calls, &back), SMQTT_OK);
        assert_memory_equal(back->sk_kem, id->sk_kem, SMQ_SK_LEN);
        assert_memory_equal(back->sk_sig, id->sk_sig, SMQ_SK_LEN);
        smqtt_identity_free(back);
        back = NULL;
        assert_int_equal(unlock(text, "correct hors", &calls, &back), SMQTT_E_BAD_PASSPHRASE);
        assert_int_equal(unlock(text, "", &calls, &back), SMQTT_E_BAD_PASSPHRASE);
        assert_int_equal(calls.n, 4);
        calls.fails = true;
        assert_int_equal(unlock(text, "correct horse", &calls, &back), SMQTT_E_NOMEM);
        assert_int_equal(smqtt_identity_unlock(NULL, smq_span_str(text), smq_span_str("x"), NULL, &back),
                         SMQTT_E_LOCKED);
        /* files that are not locked, and public lines, are read as ever */
        calls = (struct calls){0};
        assert_int_equal(smqtt_identity_private_text(id, plain, sizeof(plain)), SMQTT_OK);
        assert_int_equal(unlock(plain, "", &calls, &back), SMQTT_OK);
        smqtt_identity_free(back);
        assert_int_equal(smqtt_identity_public_text(id, plain, sizeof(plain)), SMQTT_OK);
        assert_int_equal(unlock(plain, "", &calls, &back), SMQTT_OK);
        smqtt_identity_free(back);
        assert_int_equal(calls.n, 0);
        smqtt_identity_free(id);
    }
}

/** The bytes, computed here a second time. */
static void test_bytes(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        char text[SMQTT_IDENTITY_TEXT_MAX];
        struct calls calls = {0};
        struct smqtt_identity *id = kit_identity(smq_suite_by_id(suite), "server", 4);
        lock_ok(id, &calls, 5, text);
        const char *salt_at = strstr(text, "65536 1 ") + 8;
        const char *box_at = strchr(salt_at, ' ') + 1;
        uint8_t salt[16], box[80], derived[44], keys[64], aad[16 + 32];
        size_t len = 0;
        assert_int_equal(smq_base64url_decode(salt, 16, smq_span_of(salt_at, (size_t)(box_at - salt_at) - 1), &len),
                         SMQTT_OK);
        assert_int_equal(smq_base64url_decode(box, 80, smq_span_of(box_at, strlen(box_at) - 1), &len), SMQTT_OK);
        assert_int_equal(len, 80);
        size_t nk = id->suite->nk;
        assert_true(
            kdf_hash(&calls, smq_span_str("correct horse"), smq_span_of(salt, 16), 3, 65536, 1, derived, nk + 12));
        memcpy(aad, "S-MQTT/1 locked", 16);
        memcpy(aad + 16, id->did, 32);
        struct smq_aead_key *key = smq_crypto_openssl.aead_new(id->suite->aead, derived);
        assert_non_null(key);
        assert_int_equal(
            smq_crypto_openssl.aead_open(key, derived + nk, smq_span_of(aad, sizeof(aad)), smq_span_of(box, 80), keys),
            SMQTT_OK);
        smq_crypto_openssl.aead_free(key);
        assert_memory_equal(keys, id->sk_kem, 32);
        assert_memory_equal(keys + 32, id->sk_sig, 32);
        smqtt_identity_free(id);
    }
}

/** Every character changed, and every cut: refused, and mostly before the KDF is asked. */
static void test_damage(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (uint8_t suite = 1; suite <= 2; suite++) {
        char text[SMQTT_IDENTITY_TEXT_MAX];
        struct calls calls = {0};
        struct smqtt_identity *id = kit_identity(smq_suite_by_id(suite), "server", 6);
        struct smqtt_identity *back = NULL;
        lock_ok(id, &calls, 7, text);
        size_t len = strlen(text);
        for (size_t i = 0; i < len; i++) {
            char was = text[i];
            const char *digit = strchr(digits, was);
            const char by[] = {'!', digit != NULL ? digits[(size_t)(digit - digits) ^ 36] : '?'};
            for (size_t j = 0; j < 2; j++) {
                text[i] = by[j];
                assert_int_not_equal(unlock(text, "correct horse", &calls, &back), SMQTT_OK);
            }
            text[i] = 0;
            calls.n = 0;
            if (i + 1 < len) { /* the last line feed may be missing */
                assert_int_not_equal(unlock(text, "correct horse", &calls, &back), SMQTT_OK);
                assert_int_equal(calls.n, 0);
            }
            text[i] = was;
        }
        assert_null(back);
        smqtt_identity_free(id);
    }
}

/** Another identity's lock does not fit, though the passphrase does; nor does one beside keys in plain. */
static void test_mixed(void **state)
{
    (void)state;
    char a[SMQTT_IDENTITY_TEXT_MAX];
    char b[SMQTT_IDENTITY_TEXT_MAX];
    char plain[SMQTT_IDENTITY_TEXT_MAX];
    char mixed[2 * SMQTT_IDENTITY_TEXT_MAX];
    struct calls calls = {0};
    struct smqtt_identity *ids[] = {kit_identity(smq_suite_by_id(1), "a", 8), kit_identity(smq_suite_by_id(1), "b", 9)};
    struct smqtt_identity *back = NULL;
    lock_ok(ids[0], &calls, 10, a);
    lock_ok(ids[1], &calls, 10, b);
    assert_int_equal(smqtt_identity_private_text(ids[0], plain, sizeof(plain)), SMQTT_OK);
    (void)snprintf(mixed, sizeof(mixed), "%.*s%s", (int)(strstr(a, "locked:") - a), a, strstr(b, "locked:"));
    assert_int_equal(unlock(mixed, "correct horse", &calls, &back), SMQTT_E_BAD_PASSPHRASE);
    (void)snprintf(mixed, sizeof(mixed), "%s%s", plain, strstr(a, "locked:"));
    assert_int_equal(unlock(mixed, "correct horse", &calls, &back), SMQTT_E_BAD_IDENTITY);
    (void)snprintf(mixed, sizeof(mixed), "%s%s", a, strstr(a, "locked:"));
    assert_int_equal(unlock(mixed, "correct horse", &calls, &back), SMQTT_E_BAD_IDENTITY);
    (void)snprintf(mixed, sizeof(mixed), "%s%s", a, strstr(plain, "sign:"));
    assert_int_equal(unlock(mixed, "correct horse", &calls, &back), SMQTT_E_BAD_IDENTITY);
    assert_null(back);
    smqtt_identity_free(ids[0]);
    smqtt_identity_free(ids[1]);
}

static void test_parameters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {{"3 65536 1", true},
                {"64 4194304 64", true},
                {"1 8 1", true},
                {"0 65536 1", false},
                {"3 0 1", false},
                {"3 65536 0", false},
                {"65 65536 1", false},
                {"3 4194305 1", false},
                {"3 65536 65", false},
                {"3 15 2", false},
                {"03 65536 1", false},
                {"+3 65536 1", false},
                {"3  65536 1", false},
                {"3 65536", false},
                {"3 65536 1 1", false},
                {"4294967299 8 1", false},
                {"99999999999 65536 1", false},
                {"3x 65536 1", false}};
    char text[SMQTT_IDENTITY_TEXT_MAX];
    char changed[SMQTT_IDENTITY_TEXT_MAX + 64];
    struct calls calls = {0};
    struct smqtt_identity *id = kit_identity(smq_suite_by_id(2), "server", 11);
    struct smqtt_identity *back = NULL;
    lock_ok(id, &calls, 12, text);
    const char *at = strstr(text, "3 65536 1");
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        calls.n = 0;
        (void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text, rows[i].text, at + 9);
        smqtt_err wanted = i == 0 ? SMQTT_OK : rows[i].ok ? SMQTT_E_BAD_PASSPHRASE : SMQTT_E_BAD_IDENTITY;
        assert_int_equal(unlock(changed, "correct horse", &calls, &back), wanted);
        assert_int_equal(calls.n, rows[i].ok);
        assert_int_equal(smqtt_identity_read(NULL, smq_span_str(changed), &back),
                         rows[i].ok ? SMQTT_E_LOCKED : SMQTT_E_BAD_IDENTITY);
    }
    smqtt_identity_free(back);
    smqtt_identity_free(id);
}

static void test_locking_refused(void **state)
{
    (void)state;
    char text[SMQTT_IDENTITY_TEXT_MAX] = "";
    struct calls calls = {0};
    uint64_t seed = 13;
    const struct smqtt_rng rng = {counter_fill, &seed};
    const struct smqtt_rng broken = {no_fill, NULL};
    struct smqtt_kdf kdf = {kdf_hash, &calls, 1, 8, 1};
    struct smqtt_identity *id = kit_identity(smq_suite_by_id(1), "server", 14);
    struct smqtt_identity *half = NULL;
    const smq_span pass = smq_span_str("p");
    assert_int_equal(smqtt_identity_read_descriptor(NULL, smqtt_identity_descriptor(id), &half), SMQTT_OK);
    assert_int_equal(smqtt_identity_locked_text(half, pass, &kdf, &rng, text, sizeof(text)), SMQTT_E_USAGE);
    assert_int_equal(smqtt_identity_locked_text(id, smq_span_str(""), &kdf, &rng, text, sizeof(text)), SMQTT_E_USAGE);
    assert_int_equal(smqtt_identity_locked_text(id, pass, &kdf, &broken, text, sizeof(text)), SMQTT_E_RNG);
    kdf.passes = 65;
    assert_int_equal(smqtt_identity_locked_text(id, pass, &kdf, &rng, text, sizeof(text)), SMQTT_E_USAGE);
    kdf.passes = 1;
    assert_int_equal(calls.n, 0);
    assert_int_equal(smqtt_identity_locked_text(id, pass, &kdf, &rng, text, sizeof(text)), SMQTT_OK);
    assert_int_equal(smqtt_identity_locked_text(id, pass, &kdf, &rng, text, strlen(text)), SMQTT_E_FULL);
    calls.fails = true;
    assert_int_equal(smqtt_identity_locked_text(id, pass, &kdf, &rng, text, sizeof(text)), SMQTT_E_NOMEM);
    smqtt_identity_free(half);
    smqtt_identity_free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round), cmocka_unit_test(test_bytes),      cmocka_unit_test(test_damage),
        cmocka_unit_test(test_mixed), cmocka_unit_test(test_parameters), cmocka_unit_test(test_locking_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
