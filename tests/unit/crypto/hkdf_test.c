/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>

#include "crypto/hkdf.h"
#include "vectors.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

static void test_rfc5869(void **state)
{
    (void)state;
    struct vectors v;
    struct smq_hkdf kdf; /* one run for all vectors: a PRK takes the place of the one before */
    assert_int_equal(smq_hkdf_begin(&kdf, lib), SMQTT_OK);
    vectors_open(&v, "hkdf_rfc5869.txt");
    while (vectors_next(&v)) {
        uint8_t ikm[80];
        uint8_t salt[80];
        uint8_t info[80];
        uint8_t prk[SMQ_HASH_LEN];
        uint8_t want[82];
        uint8_t out[82];
        size_t ikm_len = vectors_hex(&v, "ikm", ikm, sizeof(ikm));
        size_t salt_len = vectors_hex(&v, "salt", salt, sizeof(salt));
        size_t info_len = vectors_hex(&v, "info", info, sizeof(info));
        size_t len = vectors_hex(&v, "okm", want, sizeof(want));
        const smq_span ikm_parts[] = {smq_span_of(ikm, 3), smq_span_of(ikm + 3, ikm_len - 3)};
        assert_int_equal(smq_hkdf_extract(&kdf, smq_span_of(salt, salt_len), ikm_parts, 2, prk), SMQTT_OK);
        assert_memory_equal(prk, (vectors_bytes(&v, "prk", out, sizeof(prk)), out), sizeof(prk));
        for (size_t cut = 0; cut <= info_len; cut++) {
            if (cut == info_len / 2) { /* set by the caller in place of extracted, and the context's key anew */
                smq_hkdf_set(&kdf, prk);
            }
            const smq_span parts[] = {smq_span_of(info, cut), smq_span_of(info + cut, info_len - cut)};
            assert_int_equal(smq_hkdf_expand(&kdf, parts, 2, out, len), SMQTT_OK);
            assert_memory_equal(out, want, len);
        }
        for (size_t less = 0; less < len; less++) { /* a shorter output is a prefix, and no more is written */
            const smq_span part = smq_span_of(info, info_len);
            out[less] = 0x3c;
            assert_int_equal(smq_hkdf_expand(&kdf, &part, 1, out, less), SMQTT_OK);
            assert_memory_equal(out, want, less);
            assert_int_equal(out[less], 0x3c);
        }
    }
    vectors_close(&v, 3);
    smq_hkdf_end(&kdf);
    assert_null(kdf.mac);
    smq_hkdf_end(&kdf); /* harmless */
}

static void test_limits(void **state)
{
    (void)state;
    static uint8_t out[255 * SMQ_HASH_LEN + 1];
    static uint8_t again[sizeof(out)];
    uint8_t prk[SMQ_HASH_LEN] = {1};
    smq_span info[13];
    struct smq_hkdf kdf;
    assert_int_equal(smq_hkdf_begin(&kdf, lib), SMQTT_OK);
    assert_int_equal(smq_hkdf_expand(&kdf, NULL, 0, out, 5), SMQTT_E_USAGE); /* from what? */
    smq_hkdf_set(&kdf, prk);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(info); i++) {
        info[i] = smq_span_str(&"abcdefghijklm"[i]);
    }
    assert_int_equal(smq_hkdf_expand(&kdf, info, 12, out, sizeof(out)), SMQTT_E_USAGE);
    assert_int_equal(smq_hkdf_expand(&kdf, info, 13, out, 1), SMQTT_E_USAGE);
    assert_memory_equal(out, again, sizeof(out));
    assert_int_equal(smq_hkdf_expand(&kdf, info, 12, out, sizeof(out) - 1), SMQTT_OK);
    assert_int_equal(out[sizeof(out) - 1], 0);
    const smq_span whole =
        smq_span_str("abcdefghijklmbcdefghijklmcdefghijklmdefghijklmefghijklmfghijklmghijklmhijklmijklmjklmklmlm");
    assert_int_equal(smq_hkdf_expand(&kdf, &whole, 1, again, sizeof(again) - 1), SMQTT_OK);
    assert_memory_equal(out, again, sizeof(out));
    assert_int_equal(smq_hkdf_expand(&kdf, NULL, 0, out, 5), SMQTT_OK);
    smq_hkdf_end(&kdf);
}

/* A library whose HMAC fails at a given call. */
static unsigned fail_at;
static smqtt_err failing_mac(struct smq_mac *mac, const smq_span *key, const smq_span *parts, size_t n,
                             uint8_t out[SMQ_HASH_LEN])
{
    return fail_at-- == 0 ? SMQTT_E_NOMEM : lib->mac(mac, key, parts, n, out);
}

static struct smq_mac *no_mac(void)
{
    return NULL;
}

static void test_failure_is_reported(void **state)
{
    (void)state;
    static const uint8_t zeros[100] = {0};
    struct smq_crypto_lib broken = *lib;
    uint8_t prk[SMQ_HASH_LEN] = {1};
    uint8_t whole[sizeof(zeros)];
    uint8_t out[sizeof(zeros)] = {0};
    struct smq_hkdf kdf;
    broken.mac = failing_mac;
    assert_int_equal(smq_hkdf_begin(&kdf, &broken), SMQTT_OK);
    smq_hkdf_set(&kdf, prk);
    fail_at = UINT_MAX;
    assert_int_equal(smq_hkdf_expand(&kdf, NULL, 0, whole, sizeof(whole)), SMQTT_OK);
    for (unsigned at = 0; at < 4; at++) {
        fail_at = at;
        assert_int_equal(smq_hkdf_expand(&kdf, NULL, 0, out, sizeof(out)), SMQTT_E_NOMEM);
        assert_memory_equal(out, zeros, sizeof(out));
        fail_at = UINT_MAX; /* the run goes on with the key that it had */
        assert_int_equal(smq_hkdf_expand(&kdf, NULL, 0, out, sizeof(out)), SMQTT_OK);
        assert_memory_equal(out, whole, sizeof(out));
        memset(out, 0, sizeof(out));
    }
    fail_at = 0;
    assert_int_equal(smq_hkdf_extract(&kdf, smq_span_str("s"), NULL, 0, prk), SMQTT_E_NOMEM);
    assert_int_equal(smq_hkdf_expand(&kdf, NULL, 0, out, 5), SMQTT_E_USAGE); /* and not from the secret before */
    smq_hkdf_end(&kdf);
    broken.mac_new = no_mac;
    assert_int_equal(smq_hkdf_begin(&kdf, &broken), SMQTT_E_NOMEM);
    smq_hkdf_end(&kdf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc5869),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_failure_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
