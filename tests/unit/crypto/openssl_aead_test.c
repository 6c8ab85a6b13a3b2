/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>

#include <openssl/err.h>

#include "crypto/lib.h"
#include "vectors.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

enum { ROOM = 300 };

static const enum smq_aead algs[] = {SMQ_AEAD_CHACHA20_POLY1305, SMQ_AEAD_AES_128_GCM};

static const uint8_t key_bytes[32] = {1, 2, 3};
static const uint8_t nonce[SMQ_NONCE_LEN] = {4, 5, 6};

static struct smq_aead_key *new_key(enum smq_aead alg)
{
    struct smq_aead_key *key = lib->aead_new(alg, key_bytes);
    assert_non_null(key);
    return key;
}

static void test_vectors(void **state)
{
    (void)state;
    struct vectors v;
    vectors_open(&v, "aead.txt");
    while (vectors_next(&v)) {
        uint8_t key[32];
        uint8_t iv[SMQ_NONCE_LEN];
        uint8_t aad[64];
        uint8_t pt[ROOM];
        uint8_t ct[ROOM];
        uint8_t out[ROOM];
        bool is_gcm = vectors_is(&v, "alg", "aes_128_gcm");
        assert_true(is_gcm || vectors_is(&v, "alg", "chacha20_poly1305"));
        vectors_bytes(&v, "key", key, is_gcm ? 16 : 32);
        vectors_bytes(&v, "nonce", iv, sizeof(iv));
        const smq_span a = smq_span_of(aad, vectors_hex(&v, "aad", aad, sizeof(aad)));
        const smq_span p = smq_span_of(pt, vectors_hex(&v, "pt", pt, sizeof(pt)));
        const smq_span c = smq_span_of(ct, vectors_hex(&v, "ct", ct, sizeof(ct)));
        struct smq_aead_key *k = lib->aead_new(is_gcm ? SMQ_AEAD_AES_128_GCM : SMQ_AEAD_CHACHA20_POLY1305, key);
        assert_non_null(k);
        for (int again = 0; again < 2; again++) { /* one key serves many messages in both directions */
            assert_int_equal(c.len, p.len + SMQ_TAG_LEN);
            assert_int_equal(lib->aead_seal(k, iv, a, p, out), SMQTT_OK);
            assert_memory_equal(out, ct, c.len);
            memset(out, 0, sizeof(out));
            assert_int_equal(lib->aead_open(k, iv, a, c, out), SMQTT_OK);
            assert_memory_equal(out, pt, p.len);
        }
        lib->aead_free(k);
    }
    vectors_close(&v, 5);
}

/* All lengths around the block sizes, in place, directions mixed. */
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t a = 0; a < SMQ_ARRAY_LEN(algs); a++) {
        struct smq_aead_key *key = new_key(algs[a]);
        for (size_t len = 0; len + SMQ_TAG_LEN <= ROOM; len++) {
            uint8_t pt[ROOM];
            uint8_t apart[ROOM];
            uint8_t place[ROOM];
            const smq_span aad = smq_span_of(key_bytes, len % 20);
            for (size_t i = 0; i < len; i++) {
                place[i] = pt[i] = (uint8_t)(i * 7 + len);
            }
            assert_int_equal(lib->aead_seal(key, nonce, aad, smq_span_of(pt, len), apart), SMQTT_OK);
            assert_int_equal(lib->aead_seal(key, nonce, aad, smq_span_of(place, len), place), SMQTT_OK);
            assert_memory_equal(apart, place, len + SMQ_TAG_LEN);
            assert_true(len < 8 || memcmp(place, pt, len) != 0);
            assert_int_equal(lib->aead_open(key, nonce, aad, smq_span_of(place, len + SMQ_TAG_LEN), place), SMQTT_OK);
            assert_memory_equal(place, pt, len);
            assert_int_equal(lib->aead_open(key, nonce, aad, smq_span_of(apart, len + SMQ_TAG_LEN), place), SMQTT_OK);
            assert_memory_equal(place, pt, len);
        }
        lib->aead_free(key);
    }
}

/* Refused, all of the output wiped, nothing behind it touched, no error left over, and the key goes on working. */
static void assert_refused(struct smq_aead_key *key, const uint8_t *iv, smq_span aad, smq_span ct)
{
    static const uint8_t zeros[ROOM] = {0};
    uint8_t out[ROOM];
    size_t len = ct.len - SMQ_TAG_LEN;
    memset(out, 0x77, sizeof(out));
    assert_int_equal(lib->aead_open(key, iv, aad, ct, out), SMQTT_E_BAD_TAG);
    assert_memory_equal(out, zeros, len);
    assert_int_equal(out[len], 0x77);
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_bit_flips(void **state)
{
    (void)state;
    for (size_t a = 0; a < SMQ_ARRAY_LEN(algs); a++) {
        struct smq_aead_key *key = new_key(algs[a]);
        uint8_t pt[40] = {1, 2, 3};
        uint8_t ct[sizeof(pt) + SMQ_TAG_LEN];
        uint8_t aad[20] = {7, 8, 9};
        uint8_t iv[SMQ_NONCE_LEN];
        uint8_t out[sizeof(pt)];
        const struct {
            uint8_t *data;
            size_t len;
        } flipped[] = {{ct, sizeof(ct)}, {aad, sizeof(aad)}, {iv, sizeof(iv)}};
        const smq_span ad = smq_span_of(aad, sizeof(aad));
        memcpy(iv, nonce, sizeof(iv));
        assert_int_equal(lib->aead_seal(key, iv, ad, smq_span_of(pt, sizeof(pt)), ct), SMQTT_OK);
        for (size_t what = 0; what < SMQ_ARRAY_LEN(flipped); what++) {
            for (size_t bit = 0; bit < flipped[what].len * 8; bit++) {
                flipped[what].data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
                assert_refused(key, iv, ad, smq_span_of(ct, sizeof(ct)));
                flipped[what].data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            }
        }
        for (size_t len = SMQ_TAG_LEN; len < sizeof(ct); len++) {
            assert_refused(key, iv, ad, smq_span_of(ct, len));
        }
        assert_refused(key, iv, smq_span_of(aad, sizeof(aad) - 1), smq_span_of(ct, sizeof(ct)));
        assert_int_equal(lib->aead_open(key, iv, ad, smq_span_of(ct, sizeof(ct)), out), SMQTT_OK);
        assert_memory_equal(out, pt, sizeof(pt));
        ct[0] ^= 1; /* in place */
        assert_int_equal(lib->aead_open(key, iv, ad, smq_span_of(ct, sizeof(ct)), ct), SMQTT_E_BAD_TAG);
        assert_int_equal(ct[0] | ct[sizeof(pt) - 1], 0);
        lib->aead_free(key);
    }
}

static void test_lengths_refused(void **state)
{
    (void)state;
    const size_t over = (size_t)INT_MAX + 1;
    uint8_t buf[64] = {0};
    uint8_t before[64] = {0};
    for (size_t a = 0; a < SMQ_ARRAY_LEN(algs); a++) {
        struct smq_aead_key *key = new_key(algs[a]);
        const smq_span none = {NULL, 0};
        assert_int_equal(lib->aead_seal(key, nonce, none, smq_span_of(buf, over), buf), SMQTT_E_CRYPTO);
        assert_int_equal(lib->aead_seal(key, nonce, smq_span_of(buf, over), none, buf), SMQTT_E_CRYPTO);
        assert_int_equal(lib->aead_open(key, nonce, none, smq_span_of(buf, over), buf), SMQTT_E_BAD_TAG);
        assert_int_equal(lib->aead_open(key, nonce, smq_span_of(buf, over), smq_span_of(buf, 32), buf),
                         SMQTT_E_BAD_TAG);
        for (size_t len = 0; len < SMQ_TAG_LEN; len++) {
            assert_int_equal(lib->aead_open(key, nonce, none, smq_span_of(buf, len), buf), SMQTT_E_BAD_TAG);
        }
        assert_memory_equal(buf, before, sizeof(buf));
        lib->aead_free(key);
    }
    lib->aead_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_lengths_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
