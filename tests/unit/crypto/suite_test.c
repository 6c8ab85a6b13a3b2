/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/suite.h"

#include "../test.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

/* Gives `byte` everywhere for `bad` draws, then a counter; fails at the draw `fail_at`. */
struct script_rng {
    unsigned draws;
    unsigned bad;
    unsigned fail_at;
    uint8_t byte;
};

static bool script_fill(void *ctx, uint8_t *out, size_t len)
{
    struct script_rng *rng = ctx;
    rng->draws++;
    memset(out, rng->draws <= rng->bad ? rng->byte : (uint8_t)rng->draws, len);
    return rng->draws != rng->fail_at;
}

static void test_rows(void **state)
{
    (void)state;
    const struct smq_suite *x = smq_suite_by_id(0x01);
    const struct smq_suite *p = smq_suite_by_id(0x02);
    assert_ptr_equal(smq_suite_at(0), x);
    assert_ptr_equal(smq_suite_at(1), p);
    assert_null(smq_suite_at(2));
    assert_ptr_equal(smq_suite_by_name("x25519"), x);
    assert_ptr_equal(smq_suite_by_name("p256"), p);
    for (const char *const *name = (const char *const[]){"", "P256", "p25", "p2566", NULL}; *name != NULL; name++) {
        assert_null(smq_suite_by_name(*name));
    }
    assert_null(smq_suite_by_name(NULL));
    for (unsigned id = 0; id < 256; id++) {
        assert_int_equal(smq_suite_by_id((uint8_t)id) != NULL, id == 1 || id == 2);
    }
    assert_int_equal(x->curve, SMQ_CURVE_X25519);
    assert_int_equal(x->sign, SMQ_SIGN_ED25519);
    assert_int_equal(x->aead, SMQ_AEAD_CHACHA20_POLY1305);
    assert_int_equal(x->kem_id << 16 | x->aead_id, 0x00200003);
    assert_int_equal(p->curve, SMQ_CURVE_P256);
    assert_int_equal(p->sign, SMQ_SIGN_ECDSA_P256);
    assert_int_equal(p->aead, SMQ_AEAD_AES_128_GCM);
    assert_int_equal(p->kem_id << 16 | p->aead_id, 0x00100001);
    assert_int_equal(x->npk, 32);
    assert_int_equal(x->nspk, 32);
    assert_int_equal(x->nk, 32);
    assert_int_equal(p->npk, 65);
    assert_int_equal(p->nspk, 65);
    assert_int_equal(p->nk, 16);
}

static void test_keygen(void **state)
{
    (void)state;
    const struct smq_suite *suite;
    for (size_t i = 0; (suite = smq_suite_at(i)) != NULL; i++) {
        struct script_rng script = {0};
        const struct smqtt_rng rng = {script_fill, &script};
        uint8_t sk[SMQ_SK_LEN];
        uint8_t pk[SMQ_PK_MAX];
        assert_int_equal(smq_suite_keygen(lib, suite, &rng, sk), SMQTT_OK);
        assert_int_equal(script.draws, 1);
        assert_int_equal(sk[0] + sk[31], 2);
        assert_int_equal(lib->dh_public(suite->curve, sk, pk), SMQTT_OK);
        assert_int_equal(lib->sign_public(suite->sign, sk, pk), SMQTT_OK);
        assert_true(lib->dh_is_private(suite->curve, sk));
    }
}

/* P-256 takes neither 0 nor 2^256 - 1. */
static void test_keygen_draws_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct script_rng script = {.bad = 3, .byte = i == 0 ? 0x00 : 0xff};
        const struct smqtt_rng rng = {script_fill, &script};
        uint8_t sk[SMQ_SK_LEN];
        assert_int_equal(smq_suite_keygen(lib, smq_suite_by_id(2), &rng, sk), SMQTT_OK);
        assert_int_equal(script.draws, 4);
        assert_int_equal(sk[5], 4);
    }
}

static void test_keygen_rng_fails(void **state)
{
    (void)state;
    const struct smq_suite *suite;
    uint8_t before[SMQ_SK_LEN];
    uint8_t sk[SMQ_SK_LEN];
    memset(before, 0x42, sizeof(before));
    memset(sk, 0x42, sizeof(sk));
    for (size_t i = 0; (suite = smq_suite_at(i)) != NULL; i++) {
        struct script_rng script = {.fail_at = 1};
        const struct smqtt_rng rng = {script_fill, &script};
        assert_int_equal(smq_suite_keygen(lib, suite, &rng, sk), SMQTT_E_RNG);
        assert_int_equal(script.draws, 1);
    }
    struct script_rng script = {.bad = 2, .fail_at = 2};
    const struct smqtt_rng rng = {script_fill, &script};
    assert_int_equal(smq_suite_keygen(lib, smq_suite_by_id(2), &rng, sk), SMQTT_E_RNG);
    assert_int_equal(script.draws, 2);
    script = (struct script_rng){.bad = UINT32_MAX}; /* says all is well and gives zeros for ever */
    assert_int_equal(smq_suite_keygen(lib, smq_suite_by_id(2), &rng, sk), SMQTT_E_RNG);
    assert_memory_equal(sk, before, sizeof(sk));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_keygen),
        cmocka_unit_test(test_keygen_draws_again),
        cmocka_unit_test(test_keygen_rng_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
