/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>

#include "crypto/lib.h"
#include "vectors.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

enum { HALF = SMQ_SIG_LEN / 2 };

static const char p256_order[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
static const char p256_half[] = "7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8";
static const char ed_order[] = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"; /* little-endian */

static void hex(const char *text, uint8_t *out, size_t cap)
{
    size_t len;
    assert_int_equal(smq_hex_decode(out, cap, smq_span_str(text), &len), SMQTT_OK);
    assert_int_equal(len, cap);
}

static void fill(uint64_t *seed, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)test_random(seed);
    }
}

static smqtt_err verify(enum smq_sign alg, const uint8_t *pk, const uint8_t *msg, size_t len, const uint8_t *sig)
{
    const smq_span part = smq_span_of(msg, len);
    smqtt_err err = lib->verify(alg, pk, &part, 1, sig);
    assert_int_equal(ERR_peek_error(), 0);
    return err;
}

/* s becomes order - s, both big-endian. */
static void mirror_s(uint8_t *sig)
{
    uint8_t order[HALF];
    int borrow = 0;
    hex(p256_order, order, sizeof(order));
    for (size_t i = HALF; i-- > 0;) {
        int digit = order[i] - sig[HALF + i] - borrow;
        borrow = digit < 0;
        sig[HALF + i] = (uint8_t)digit;
    }
}

static bool is_low(const uint8_t *sig)
{
    uint8_t half[HALF];
    hex(p256_half, half, sizeof(half));
    return memcmp(sig + HALF, half, HALF) <= 0;
}

static void test_ed25519_rfc8032(void **state)
{
    (void)state;
    struct vectors v;
    vectors_open(&v, "ed25519_rfc8032.txt");
    while (vectors_next(&v)) {
        uint8_t sk[SMQ_SK_LEN];
        uint8_t pk[32];
        uint8_t msg[64];
        uint8_t want[SMQ_SIG_LEN];
        uint8_t out[SMQ_SIG_LEN];
        vectors_bytes(&v, "sk", sk, sizeof(sk));
        vectors_bytes(&v, "pk", pk, sizeof(pk));
        vectors_bytes(&v, "sig", want, sizeof(want));
        size_t len = vectors_hex(&v, "msg", msg, sizeof(msg));
        assert_int_equal(lib->sign_public(SMQ_SIGN_ED25519, sk, out), SMQTT_OK);
        assert_memory_equal(out, pk, sizeof(pk));
        for (size_t cut = 0; cut <= len; cut++) {
            const smq_span parts[] = {smq_span_of(msg, cut), smq_span_of(msg + cut, len - cut)};
            assert_int_equal(lib->sign(SMQ_SIGN_ED25519, sk, NULL, parts, 2, out), SMQTT_OK);
            assert_memory_equal(out, want, sizeof(want));
            memset(out, 0, sizeof(out));
            assert_int_equal(lib->sign(SMQ_SIGN_ED25519, sk, pk, parts, 2, out), SMQTT_OK);
            assert_memory_equal(out, want, sizeof(want));
            assert_int_equal(lib->verify(SMQ_SIGN_ED25519, pk, parts, 2, out), SMQTT_OK);
        }
        assert_int_equal(lib->sign_check(SMQ_SIGN_ED25519, pk), SMQTT_OK);
    }
    vectors_close(&v, 4);
}

static void run_verify_vectors(enum smq_sign alg, const char *file, size_t records, size_t refused)
{
    struct vectors v;
    size_t bad = 0;
    vectors_open(&v, file);
    while (vectors_next(&v)) {
        uint8_t pk[SMQ_PK_MAX];
        uint8_t sig[SMQ_SIG_LEN];
        uint8_t msg[2048];
        assert_true(vectors_hex(&v, "pk", pk, sizeof(pk)) >= 32);
        vectors_bytes(&v, "sig", sig, sizeof(sig));
        size_t len = vectors_hex(&v, "msg", msg, sizeof(msg));
        smqtt_err err = verify(alg, pk, msg, len, sig);
        assert_int_equal(lib->sign_check(alg, pk), SMQTT_OK);
        if (vectors_is(&v, "result", "ok")) {
            assert_int_equal(err, SMQTT_OK);
            continue;
        }
        assert_int_equal(err, SMQTT_E_BAD_SIGNATURE);
        bad++;
        if (vectors_is(&v, "result", "high_s")) { /* and it was only that */
            mirror_s(sig);
            assert_int_equal(verify(alg, pk, msg, len, sig), SMQTT_OK);
        } else {
            assert_true(vectors_is(&v, "result", "bad_signature"));
        }
    }
    assert_int_equal(bad, refused);
    vectors_close(&v, records);
}

static void test_verify_vectors(void **state)
{
    (void)state;
    run_verify_vectors(SMQ_SIGN_ECDSA_P256, "ecdsa_rfc6979.txt", 2, 1);
    run_verify_vectors(SMQ_SIGN_ECDSA_P256, "wycheproof_ecdsa_p256.txt", 241, 138);
    run_verify_vectors(SMQ_SIGN_ED25519, "wycheproof_ed25519.txt", 139, 51);
}

static void test_ecdsa_public_key(void **state)
{
    (void)state;
    struct vectors v;
    vectors_open(&v, "ecdsa_rfc6979.txt");
    while (vectors_next(&v)) {
        uint8_t sk[SMQ_SK_LEN];
        uint8_t pk[SMQ_PK_MAX];
        uint8_t want[SMQ_PK_MAX];
        vectors_bytes(&v, "sk", sk, sizeof(sk));
        vectors_bytes(&v, "pk", want, sizeof(want));
        assert_int_equal(lib->sign_public(SMQ_SIGN_ECDSA_P256, sk, pk), SMQTT_OK);
        assert_memory_equal(pk, want, sizeof(pk));
    }
    vectors_close(&v, 2);
}

static void test_ecdsa_signs_low(void **state)
{
    (void)state;
    uint64_t seed = 3;
    uint8_t sk[SMQ_SK_LEN];
    uint8_t pk[SMQ_PK_MAX];
    fill(&seed, sk, sizeof(sk));
    assert_int_equal(lib->sign_public(SMQ_SIGN_ECDSA_P256, sk, pk), SMQTT_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t sig[SMQ_SIG_LEN];
        const smq_span part = smq_span_of(&i, sizeof(i));
        assert_int_equal(lib->sign(SMQ_SIGN_ECDSA_P256, sk, NULL, &part, 1, sig), SMQTT_OK);
        assert_true(is_low(sig));
        if (i % 10 == 0) {
            assert_int_equal(verify(SMQ_SIGN_ECDSA_P256, pk, part.data, part.len, sig), SMQTT_OK);
            mirror_s(sig);
            assert_int_equal(verify(SMQ_SIGN_ECDSA_P256, pk, part.data, part.len, sig), SMQTT_E_BAD_SIGNATURE);
        }
    }
}

static void test_ecdsa_ranges(void **state)
{
    (void)state;
    uint8_t sk[SMQ_SK_LEN] = {1};
    uint8_t pk[SMQ_PK_MAX];
    uint8_t good[SMQ_SIG_LEN];
    uint8_t sig[SMQ_SIG_LEN];
    const smq_span part = smq_span_str("message");
    assert_int_equal(lib->sign_public(SMQ_SIGN_ECDSA_P256, sk, pk), SMQTT_OK);
    assert_int_equal(lib->sign(SMQ_SIGN_ECDSA_P256, sk, NULL, &part, 1, good), SMQTT_OK);
    for (size_t half = 0; half < 2; half++) {
        memcpy(sig, good, sizeof(sig));
        memset(sig + half * HALF, 0, HALF);
        assert_int_equal(lib->verify(SMQ_SIGN_ECDSA_P256, pk, &part, 1, sig), SMQTT_E_BAD_SIGNATURE);
        hex(p256_order, sig + half * HALF, HALF);
        assert_int_equal(lib->verify(SMQ_SIGN_ECDSA_P256, pk, &part, 1, sig), SMQTT_E_BAD_SIGNATURE);
        memset(sig + half * HALF, 0xff, HALF);
        assert_int_equal(lib->verify(SMQ_SIGN_ECDSA_P256, pk, &part, 1, sig), SMQTT_E_BAD_SIGNATURE);
    }
    memset(sk, 0, sizeof(sk));
    memset(sig, 0x5a, sizeof(sig));
    memset(good, 0x5a, sizeof(good));
    assert_int_equal(lib->sign(SMQ_SIGN_ECDSA_P256, sk, NULL, &part, 1, sig), SMQTT_E_BAD_KEY);
    assert_int_equal(lib->sign_public(SMQ_SIGN_ECDSA_P256, sk, pk), SMQTT_E_BAD_KEY);
    assert_memory_equal(sig, good, sizeof(sig));
    pk[64] ^= 1;
    assert_int_equal(lib->sign_check(SMQ_SIGN_ECDSA_P256, pk), SMQTT_E_BAD_KEY);
    assert_int_equal(lib->verify(SMQ_SIGN_ECDSA_P256, pk, &part, 1, sig), SMQTT_E_BAD_KEY);
}

/* Every bit of message, signature and key counts; both algorithms. */
static void test_bit_flips(void **state)
{
    (void)state;
    static const enum smq_sign algs[] = {SMQ_SIGN_ED25519, SMQ_SIGN_ECDSA_P256};
    for (size_t a = 0; a < SMQ_ARRAY_LEN(algs); a++) {
        uint8_t sk[SMQ_SK_LEN] = {9};
        uint8_t msg[4] = {1, 2, 3, 4};
        uint8_t sig[SMQ_SIG_LEN];
        uint8_t pk[SMQ_PK_MAX] = {0};
        const smq_span part = smq_span_of(msg, sizeof(msg));
        size_t npk = algs[a] == SMQ_SIGN_ED25519 ? 32 : 65;
        const struct {
            uint8_t *data;
            size_t len;
        } flipped[] = {{msg, sizeof(msg)}, {sig, sizeof(sig)}, {pk, npk}};
        assert_int_equal(lib->sign_public(algs[a], sk, pk), SMQTT_OK);
        assert_int_equal(lib->sign(algs[a], sk, NULL, &part, 1, sig), SMQTT_OK);
        for (size_t what = 0; what < SMQ_ARRAY_LEN(flipped); what++) {
            for (size_t bit = 0; bit < flipped[what].len * 8; bit++) {
                flipped[what].data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
                assert_int_not_equal(verify(algs[a], pk, msg, sizeof(msg), sig), SMQTT_OK);
                flipped[what].data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            }
        }
        assert_int_equal(verify(algs[a], pk, msg, sizeof(msg), sig), SMQTT_OK);
    }
}

static void test_ed25519_high_s(void **state)
{
    (void)state;
    uint8_t order[HALF];
    uint8_t sk[SMQ_SK_LEN] = {1};
    uint8_t pk[32];
    uint8_t sig[SMQ_SIG_LEN];
    const smq_span part = smq_span_str("message");
    unsigned carry = 0;
    assert_int_equal(lib->sign_public(SMQ_SIGN_ED25519, sk, pk), SMQTT_OK);
    assert_int_equal(lib->sign(SMQ_SIGN_ED25519, sk, NULL, &part, 1, sig), SMQTT_OK);
    assert_int_equal(lib->verify(SMQ_SIGN_ED25519, pk, &part, 1, sig), SMQTT_OK);
    hex(ed_order, order, sizeof(order));
    for (size_t i = 0; i < HALF; i++) { /* S + L: the same number to the group */
        carry += (unsigned)sig[HALF + i] + order[i];
        sig[HALF + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_int_equal(lib->verify(SMQ_SIGN_ED25519, pk, &part, 1, sig), SMQTT_E_BAD_SIGNATURE);
}

/* With a key of small order one signature, R of small order and S = 0, verifies for one message in eight or for all. */
static void test_ed25519_small_order(void **state)
{
    (void)state;
    struct vectors v;
    size_t n = 0;
    vectors_open(&v, "small_order.txt");
    while (vectors_next(&v)) {
        uint8_t pk[32];
        uint8_t sig[SMQ_SIG_LEN] = {1};
        if (!vectors_is(&v, "curve", "ed25519")) {
            continue;
        }
        vectors_bytes(&v, "pk", pk, sizeof(pk));
        assert_int_equal(lib->sign_check(SMQ_SIGN_ED25519, pk), SMQTT_E_BAD_KEY);
        for (uint8_t i = 0; i < 16; i++) {
            assert_int_equal(verify(SMQ_SIGN_ED25519, pk, &i, 1, sig), SMQTT_E_BAD_KEY);
        }
        n++;
    }
    assert_int_equal(n, 14);
    vectors_close(&v, 28);
}

static void test_ed25519_encodings(void **state)
{
    (void)state;
    /* Bit y: (y^2 - 1) (d y^2 + 1) is a square modulo 2^255 - 19 (Euler's criterion, computed elsewhere). */
    static const uint64_t has_x = UINT64_C(0xf7d91dab7fadc678);
    uint8_t pk[32];
    uint8_t sig[SMQ_SIG_LEN] = {1};
    memset(pk, 0xff, sizeof(pk));
    for (unsigned low = 0xed; low <= 0xff; low++) { /* y of p to p + 18, either sign */
        pk[0] = (uint8_t)low;
        for (unsigned sign = 0; sign < 2; sign++) {
            pk[31] = (uint8_t)(0x7f | sign << 7);
            assert_int_equal(lib->sign_check(SMQ_SIGN_ED25519, pk), SMQTT_E_BAD_KEY);
            assert_int_equal(verify(SMQ_SIGN_ED25519, pk, pk, 1, sig), SMQTT_E_BAD_KEY);
        }
    }
    memset(pk, 0, sizeof(pk));
    for (unsigned y = 2; y < 64; y++) {
        pk[0] = (uint8_t)y;
        smqtt_err err = (has_x >> y & 1) != 0 ? SMQTT_OK : SMQTT_E_BAD_KEY;
        assert_int_equal(lib->sign_check(SMQ_SIGN_ED25519, pk), err);
        assert_int_equal(verify(SMQ_SIGN_ED25519, pk, pk, 1, sig), err == SMQTT_OK ? SMQTT_E_BAD_SIGNATURE : err);
    }
}

/* Longer than what is joined on the stack. */
static void test_long_messages(void **state)
{
    (void)state;
    static const enum smq_sign algs[] = {SMQ_SIGN_ED25519, SMQ_SIGN_ECDSA_P256};
    static uint8_t msg[5000];
    static const size_t lens[] = {1023, 1024, 1025, 5000};
    uint64_t seed = 4;
    fill(&seed, msg, sizeof(msg));
    for (size_t i = 0; i < SMQ_ARRAY_LEN(algs) * SMQ_ARRAY_LEN(lens); i++) {
        enum smq_sign alg = algs[i % 2];
        size_t len = lens[i / 2];
        uint8_t sk[SMQ_SK_LEN] = {3};
        uint8_t pk[SMQ_PK_MAX];
        uint8_t sig[SMQ_SIG_LEN];
        const smq_span parts[] = {smq_span_of(msg, 1000), {NULL, 0}, smq_span_of(msg + 1000, len - 1000)};
        assert_int_equal(lib->sign_public(alg, sk, pk), SMQTT_OK);
        assert_int_equal(lib->sign(alg, sk, NULL, parts, SMQ_ARRAY_LEN(parts), sig), SMQTT_OK);
        assert_int_equal(verify(alg, pk, msg, len, sig), SMQTT_OK);
        msg[len - 1] ^= 1;
        assert_int_equal(lib->verify(alg, pk, parts, SMQ_ARRAY_LEN(parts), sig), SMQTT_E_BAD_SIGNATURE);
        msg[len - 1] ^= 1;
    }
}

static void test_too_long(void **state)
{
    (void)state;
    uint8_t sk[SMQ_SK_LEN] = {3};
    uint8_t pk[32];
    uint8_t sig[SMQ_SIG_LEN] = {0};
    const smq_span parts[] = {smq_span_of(sk, INT32_MAX), smq_span_of(sk, 1)};
    assert_int_equal(lib->sign_public(SMQ_SIGN_ED25519, sk, pk), SMQTT_OK);
    assert_int_equal(lib->sign(SMQ_SIGN_ED25519, sk, NULL, parts, 2, sig), SMQTT_E_USAGE);
    assert_int_equal(lib->verify(SMQ_SIGN_ED25519, pk, parts, 2, sig), SMQTT_E_USAGE);
}

/* A key made ready signs as often as one likes, as `sign` does. */
static void test_ready_key(void **state)
{
    (void)state;
    const smq_span messages[] = {smq_span_str("one"), smq_span_str(""), smq_span_str("three")};
    const uint8_t sk[SMQ_SK_LEN] = {1, 2, 3};
    const uint8_t zero[SMQ_SK_LEN] = {0};
    for (enum smq_sign alg = SMQ_SIGN_ED25519; alg <= SMQ_SIGN_ECDSA_P256; alg++) {
        uint8_t pk[SMQ_PK_MAX];
        uint8_t sig[SMQ_SIG_LEN];
        uint8_t want[SMQ_SIG_LEN];
        assert_int_equal(lib->sign_public(alg, sk, pk), SMQTT_OK);
        struct smq_sign_key *key = lib->sign_key_new(alg, sk, pk);
        assert_non_null(key);
        for (size_t i = 0; i < SMQ_ARRAY_LEN(messages); i++) {
            assert_int_equal(lib->sign_with(key, &messages[i], 1, sig), SMQTT_OK);
            assert_int_equal(lib->verify(alg, pk, &messages[i], 1, sig), SMQTT_OK);
            assert_int_equal(lib->sign(alg, sk, NULL, &messages[i], 1, want), SMQTT_OK);
            assert_true(alg == SMQ_SIGN_ECDSA_P256 || memcmp(sig, want, sizeof(sig)) == 0);
        }
        lib->sign_key_free(key);
    }
    assert_null(lib->sign_key_new(SMQ_SIGN_ECDSA_P256, zero, NULL));
    lib->sign_key_free(NULL);
}

/* A key that is none leaves nothing behind for the next one: objects for public keys are used again. */
static void test_ecdsa_bad_public_key(void **state)
{
    (void)state;
    const smq_span message = smq_span_str("message");
    const uint8_t sk[SMQ_SK_LEN] = {1, 2, 3};
    uint8_t pk[SMQ_PK_MAX];
    uint8_t bad[SMQ_PK_MAX];
    uint8_t sig[SMQ_SIG_LEN];
    assert_int_equal(lib->sign_public(SMQ_SIGN_ECDSA_P256, sk, pk), SMQTT_OK);
    assert_int_equal(lib->sign(SMQ_SIGN_ECDSA_P256, sk, NULL, &message, 1, sig), SMQTT_OK);
    for (unsigned i = 0; i < 4; i++) { /* the hybrid form, another, off the curve, above the prime */
        assert_int_equal(lib->verify(SMQ_SIGN_ECDSA_P256, pk, &message, 1, sig), SMQTT_OK);
        memcpy(bad, pk, sizeof(bad));
        bad[0] = i == 0 ? (uint8_t)(0x06 | (pk[64] & 1)) : i == 1 ? 0x02 : 0x04;
        bad[64] = (uint8_t)(bad[64] ^ (i == 2));
        memset(bad + 1, 0xff, i == 3 ? 32 : 0);
        assert_int_equal(lib->verify(SMQ_SIGN_ECDSA_P256, bad, &message, 1, sig), SMQTT_E_BAD_KEY);
        assert_int_equal(ERR_peek_error(), 0);
    }
    assert_int_equal(lib->verify(SMQ_SIGN_ECDSA_P256, pk, &message, 1, sig), SMQTT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ed25519_rfc8032),
        cmocka_unit_test(test_verify_vectors),
        cmocka_unit_test(test_ecdsa_public_key),
        cmocka_unit_test(test_ecdsa_signs_low),
        cmocka_unit_test(test_ecdsa_ranges),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_ed25519_high_s),
        cmocka_unit_test(test_ed25519_small_order),
        cmocka_unit_test(test_ed25519_encodings),
        cmocka_unit_test(test_long_messages),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_ready_key),
        cmocka_unit_test(test_ecdsa_bad_public_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
