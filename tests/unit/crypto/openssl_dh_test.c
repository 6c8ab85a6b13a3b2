/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>

#include "crypto/lib.h"
#include "vectors.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

static const char p256_order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

static void fill(uint64_t *seed, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)test_random(seed);
    }
}

/* Refused with BAD_KEY, nothing written, nothing left in libcrypto's queue. */
static void assert_dh_refused(enum smq_curve curve, const uint8_t *sk, const uint8_t *pk)
{
    uint8_t out[SMQ_DH_LEN];
    uint8_t before[SMQ_DH_LEN];
    memset(out, 0xa5, sizeof(out));
    memset(before, 0xa5, sizeof(before));
    assert_int_equal(lib->dh(curve, sk, NULL, pk, out), SMQTT_E_BAD_KEY);
    struct smq_dh_key *key = lib->dh_key_new(curve, sk, NULL);
    assert_true((key != NULL) == lib->dh_is_private(curve, sk));
    assert_int_equal(key != NULL ? lib->dh_with(key, pk, out) : SMQTT_E_BAD_KEY, SMQTT_E_BAD_KEY);
    lib->dh_key_free(key);
    assert_memory_equal(out, before, sizeof(out));
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_x25519_rfc7748(void **state)
{
    (void)state;
    struct vectors v;
    uint8_t sk[SMQ_SK_LEN];
    uint8_t pk[32];
    uint8_t out[32];
    uint8_t want[32];
    vectors_open(&v, "x25519_rfc7748.txt");
    while (vectors_next(&v)) {
        if (vectors_is(&v, "type", "iterated")) {
            uint8_t k[32] = {9};
            uint8_t u[32] = {9};
            for (long n = strtol(vectors_text(&v, "n"), NULL, 10); n > 0; n--) {
                assert_int_equal(lib->dh(SMQ_CURVE_X25519, k, NULL, u, out), SMQTT_OK);
                memcpy(u, k, sizeof(u));
                memcpy(k, out, sizeof(k));
            }
            vectors_bytes(&v, "out", want, sizeof(want));
            assert_memory_equal(k, want, sizeof(k));
            continue;
        }
        bool is_pair = vectors_is(&v, "type", "pair");
        vectors_bytes(&v, "sk", sk, sizeof(sk));
        vectors_bytes(&v, is_pair ? "peer" : "pk", pk, sizeof(pk));
        vectors_bytes(&v, "shared", want, sizeof(want));
        assert_int_equal(lib->dh(SMQ_CURVE_X25519, sk, NULL, pk, out), SMQTT_OK);
        assert_memory_equal(out, want, sizeof(out));
        if (is_pair) {
            vectors_bytes(&v, "pk", want, sizeof(want));
            assert_int_equal(lib->dh_public(SMQ_CURVE_X25519, sk, out), SMQTT_OK);
            assert_memory_equal(out, want, sizeof(out));
        }
    }
    vectors_close(&v, 6);
}

static void run_wycheproof(enum smq_curve curve, const char *file, size_t records)
{
    struct vectors v;
    size_t bad = 0;
    vectors_open(&v, file);
    while (vectors_next(&v)) {
        uint8_t sk[SMQ_SK_LEN];
        uint8_t pk[80] = {0};
        uint8_t out[SMQ_DH_LEN];
        uint8_t want[SMQ_DH_LEN];
        vectors_bytes(&v, "sk", sk, sizeof(sk));
        (void)vectors_hex(&v, "pk", pk, sizeof(pk));
        if (vectors_is(&v, "result", "ok")) {
            vectors_bytes(&v, "shared", want, sizeof(want));
            assert_int_equal(lib->dh_check(curve, pk), SMQTT_OK);
            assert_int_equal(lib->dh(curve, sk, NULL, pk, out), SMQTT_OK);
            assert_memory_equal(out, want, sizeof(out));
        } else {
            assert_true(vectors_is(&v, "result", "bad_key"));
            assert_int_equal(lib->dh_check(curve, pk), SMQTT_E_BAD_KEY);
            assert_dh_refused(curve, sk, pk);
            bad++;
        }
    }
    assert_true(bad >= 20);
    vectors_close(&v, records);
}

static void test_wycheproof(void **state)
{
    (void)state;
    run_wycheproof(SMQ_CURVE_X25519, "wycheproof_x25519.txt", 172);
    run_wycheproof(SMQ_CURVE_P256, "wycheproof_ecdh_p256.txt", 105);
}

static void test_small_order(void **state)
{
    (void)state;
    struct vectors v;
    uint64_t seed = 1;
    size_t n = 0;
    vectors_open(&v, "small_order.txt");
    while (vectors_next(&v)) {
        uint8_t sk[SMQ_SK_LEN];
        uint8_t pk[32];
        if (vectors_is(&v, "curve", "x25519")) {
            vectors_bytes(&v, "pk", pk, sizeof(pk));
            fill(&seed, sk, sizeof(sk));
            assert_int_equal(lib->dh_check(SMQ_CURVE_X25519, pk), SMQTT_E_BAD_KEY);
            assert_dh_refused(SMQ_CURVE_X25519, sk, pk);
            n++;
        }
    }
    assert_int_equal(n, 14);
    vectors_close(&v, 28);
}

static void test_agreement(void **state)
{
    (void)state;
    static const enum smq_curve curves[] = {SMQ_CURVE_X25519, SMQ_CURVE_P256};
    uint64_t seed = 2;
    for (size_t i = 0; i < 2 * 50; i++) {
        enum smq_curve curve = curves[i % 2];
        uint8_t sk[2][SMQ_SK_LEN];
        uint8_t pk[2][SMQ_PK_MAX];
        uint8_t out[2][SMQ_DH_LEN];
        for (size_t side = 0; side < 2; side++) {
            fill(&seed, sk[side], sizeof(sk[side]));
            assert_int_equal(lib->dh_public(curve, sk[side], pk[side]), SMQTT_OK);
            assert_int_equal(lib->dh_check(curve, pk[side]), SMQTT_OK);
        }
        assert_int_equal(lib->dh(curve, sk[0], NULL, pk[1], out[0]), SMQTT_OK);
        assert_int_equal(lib->dh(curve, sk[1], NULL, pk[0], out[1]), SMQTT_OK);
        assert_memory_equal(out[0], out[1], SMQ_DH_LEN);
        memset(out[1], 0, sizeof(out[1]));
        assert_int_equal(lib->dh(curve, sk[1], pk[1], pk[0], out[1]), SMQTT_OK); /* its own public key is known */
        assert_memory_equal(out[0], out[1], SMQ_DH_LEN);
        struct smq_dh_key *key = lib->dh_key_new(curve, sk[1], i < 50 ? pk[1] : NULL);
        assert_non_null(key);
        for (unsigned times = 0; times < 2; times++) {
            memset(out[1], 0, sizeof(out[1]));
            assert_int_equal(lib->dh_with(key, pk[0], out[1]), SMQTT_OK);
            assert_memory_equal(out[0], out[1], SMQ_DH_LEN);
            assert_int_equal(lib->dh_with(key, pk[1], out[1]), SMQTT_OK);
            assert_memory_not_equal(out[0], out[1], SMQ_DH_LEN);
        }
        lib->dh_key_free(key);
        assert_int_equal(lib->dh(curve, sk[0], NULL, pk[0], out[1]), SMQTT_OK);
        assert_memory_not_equal(out[0], out[1], SMQ_DH_LEN);
    }
}

static void test_p256_private_keys(void **state)
{
    (void)state;
    uint8_t order[SMQ_SK_LEN];
    uint8_t sk[SMQ_SK_LEN] = {0};
    uint8_t pk[SMQ_PK_MAX];
    uint8_t one[SMQ_PK_MAX];
    size_t len;
    assert_int_equal(smq_hex_decode(order, sizeof(order), smq_span_str(p256_order), &len), SMQTT_OK);
    sk[31] = 1;
    assert_int_equal(lib->dh_public(SMQ_CURVE_P256, sk, one), SMQTT_OK);
    sk[31] = 0;
    for (int i = 0; i < 5; i++) { /* 0, n, n + 1, n + 256, 2^256 - 1 */
        assert_int_equal(lib->dh_public(SMQ_CURVE_P256, sk, pk), SMQTT_E_BAD_KEY);
        assert_dh_refused(SMQ_CURVE_P256, sk, one);
        assert_false(lib->dh_is_private(SMQ_CURVE_P256, sk));
        assert_true(lib->dh_is_private(SMQ_CURVE_X25519, sk));
        memcpy(sk, order, sizeof(sk));
        sk[31] = (uint8_t)(sk[31] + (i == 1));
        sk[30] = (uint8_t)(sk[30] + (i == 2));
        memset(sk, 0xff, i == 3 ? sizeof(sk) : 0);
    }
    memcpy(sk, order, sizeof(sk));
    sk[31]--; /* n - 1: the base point mirrored */
    assert_int_equal(lib->dh_public(SMQ_CURVE_P256, sk, pk), SMQTT_OK);
    assert_memory_equal(pk, one, 33);
    assert_memory_not_equal(pk, one, 65);
    memcpy(sk, order, sizeof(sk)); /* below the order by a higher byte, above it by a lower one */
    sk[20]--;
    sk[31] = 0xff;
    assert_int_equal(lib->dh_public(SMQ_CURVE_P256, sk, pk), SMQTT_OK);
    assert_true(lib->dh_is_private(SMQ_CURVE_P256, sk));
}

static void test_p256_points(void **state)
{
    (void)state;
    static const char prime[] = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    uint8_t sk[SMQ_SK_LEN] = {7};
    uint8_t good[SMQ_PK_MAX];
    uint8_t pk[SMQ_PK_MAX];
    size_t len;
    assert_int_equal(lib->dh_public(SMQ_CURVE_P256, sk, good), SMQTT_OK);
    for (size_t form = 0; form < 256; form++) { /* compressed, hybrid, infinity: only 4 goes */
        memcpy(pk, good, sizeof(pk));
        pk[0] = (uint8_t)form;
        assert_int_equal(lib->dh_check(SMQ_CURVE_P256, pk), form == 4 ? SMQTT_OK : SMQTT_E_BAD_KEY);
    }
    for (size_t bit = 8; bit < sizeof(pk) * 8; bit++) { /* beside the curve */
        memcpy(pk, good, sizeof(pk));
        pk[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(lib->dh_check(SMQ_CURVE_P256, pk), SMQTT_E_BAD_KEY);
        assert_dh_refused(SMQ_CURVE_P256, sk, pk);
    }
    memset(pk + 1, 0, sizeof(pk) - 1);
    pk[0] = 4;
    assert_dh_refused(SMQ_CURVE_P256, sk, pk); /* (0, 0) */
    assert_int_equal(smq_hex_decode(pk + 1, 32, smq_span_str(prime), &len), SMQTT_OK);
    memcpy(pk + 33, good + 33, 32);
    assert_dh_refused(SMQ_CURVE_P256, sk, pk); /* x is the prime */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519_rfc7748), cmocka_unit_test(test_wycheproof),
        cmocka_unit_test(test_small_order),    cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_p256_points),    cmocka_unit_test(test_p256_private_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
