/* SPDX-License-Identifier: Apache-2.0 */
/* The table as a whole: used first by several threads at once; its randomness. */
#include <pthread.h>

#include "crypto/lib.h"

#include "../test.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

enum { THREADS = 8, ROUNDS = 20 };

static pthread_barrier_t start;

static bool try_all(uint8_t i)
{
    uint8_t sk[SMQ_SK_LEN] = {i, 1};
    uint8_t pk[SMQ_PK_MAX];
    uint8_t out[SMQ_SIG_LEN];
    const smq_span part = smq_span_of(sk, sizeof(sk));
    bool ok = lib->sha256(&part, 1, out) == SMQTT_OK && lib->hmac(part, &part, 1, out) == SMQTT_OK;
    for (int alg = 0; alg < 2; alg++) {
        enum smq_sign sign = alg == 0 ? SMQ_SIGN_ED25519 : SMQ_SIGN_ECDSA_P256;
        enum smq_curve curve = alg == 0 ? SMQ_CURVE_X25519 : SMQ_CURVE_P256;
        ok = ok && lib->sign_public(sign, sk, pk) == SMQTT_OK && lib->sign(sign, sk, NULL, &part, 1, out) == SMQTT_OK &&
             lib->verify(sign, pk, &part, 1, out) == SMQTT_OK && lib->dh_public(curve, sk, pk) == SMQTT_OK &&
             lib->dh(curve, sk, NULL, pk, out) == SMQTT_OK;
        struct smq_aead_key *key = lib->aead_new(alg == 0 ? SMQ_AEAD_CHACHA20_POLY1305 : SMQ_AEAD_AES_128_GCM, sk);
        uint8_t ct[SMQ_SK_LEN + SMQ_TAG_LEN];
        ok = ok && key != NULL && lib->aead_seal(key, out, part, part, ct) == SMQTT_OK &&
             lib->aead_open(key, out, part, smq_span_of(ct, sizeof(ct)), ct) == SMQTT_OK &&
             memcmp(ct, sk, sizeof(sk)) == 0;
        lib->aead_free(key);
    }
    return ok;
}

static void *run(void *arg)
{
    size_t *good = arg;
    pthread_barrier_wait(&start);
    for (uint8_t i = 0; i < ROUNDS; i++) {
        *good += try_all(i);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    size_t good[THREADS] = {0};
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, run, &good[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(good[i], ROUNDS);
    }
    pthread_barrier_destroy(&start);
}

static void test_randomness(void **state)
{
    (void)state;
    uint8_t a[64] = {0};
    uint8_t b[64] = {0};
    assert_true(lib->random(a, 48));
    assert_true(lib->random(b, 48));
    assert_memory_not_equal(a, b, 48);
    assert_memory_equal(a + 48, b + 48, 16);
    assert_true(lib->random(NULL, 0));
    assert_string_equal(lib->name, "openssl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads), /* first: it is about the first use */
        cmocka_unit_test(test_randomness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
