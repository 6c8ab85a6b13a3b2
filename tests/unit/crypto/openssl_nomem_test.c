/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of libcrypto fails once within each entry of the table: no crash, no leak (the sanitizer sees it),
 * no false success, no half result. */
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "crypto/hpke.h"

#include "../test.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

/* The allocation, counted from 1, that fails; 0: none. */
static unsigned long fail_at;
static unsigned long made;

static bool is_failing(void)
{
    made++;
    return made == fail_at;
}

static void *counted_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_failing() ? NULL : malloc(size);
}

static void *counted_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_failing() ? NULL : realloc(ptr, size);
}

static void counted_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    free(ptr);
}

/* What the operations work on. */
struct fixture {
    const struct smq_suite *suite;
    uint8_t sk[SMQ_SK_LEN];
    uint8_t pk[SMQ_PK_MAX];
    uint8_t spk[SMQ_PK_MAX];
    uint8_t sig[SMQ_SIG_LEN];
    uint8_t out[SMQ_PK_MAX + SMQ_TAG_LEN];
};

static const smq_span message = {(const uint8_t *)"message", 7};

static smqtt_err op_sha256(struct fixture *f)
{
    return lib->sha256(&message, 1, f->out);
}

static smqtt_err op_hmac(struct fixture *f)
{
    return lib->hmac(message, &message, 1, f->out);
}

static smqtt_err op_mac(struct fixture *f)
{
    struct smq_mac *mac = lib->mac_new();
    if (mac == NULL) {
        return SMQTT_E_NOMEM;
    }
    uint8_t first[SMQ_HASH_LEN];
    smqtt_err err = lib->mac(mac, &message, &message, 1, first);
    if (err == SMQTT_OK) {
        err = lib->mac(mac, NULL, &message, 1, f->out);
    }
    if (err == SMQTT_OK) {
        assert_memory_equal(f->out, first, sizeof(first));
    }
    lib->mac_free(mac);
    return err;
}

static smqtt_err op_dh_public(struct fixture *f)
{
    return lib->dh_public(f->suite->curve, f->sk, f->out);
}

static smqtt_err op_dh(struct fixture *f)
{
    return lib->dh(f->suite->curve, f->sk, NULL, f->pk, f->out);
}

static smqtt_err op_dh_known(struct fixture *f)
{
    return lib->dh(f->suite->curve, f->sk, f->pk, f->pk, f->out);
}

static smqtt_err op_dh_key(struct fixture *f)
{
    struct smq_dh_key *key = lib->dh_key_new(f->suite->curve, f->sk, f->pk);
    if (key == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = lib->dh_with(key, f->pk, f->out);
    lib->dh_key_free(key);
    return err;
}

static smqtt_err op_dh_check(struct fixture *f)
{
    return lib->dh_check(f->suite->curve, f->pk);
}

static smqtt_err op_sign_public(struct fixture *f)
{
    return lib->sign_public(f->suite->sign, f->sk, f->out);
}

static smqtt_err op_sign(struct fixture *f)
{
    return lib->sign(f->suite->sign, f->sk, NULL, &message, 1, f->out);
}

static smqtt_err op_sign_known(struct fixture *f)
{
    return lib->sign(f->suite->sign, f->sk, f->spk, &message, 1, f->out);
}

static smqtt_err op_sign_key(struct fixture *f)
{
    struct smq_sign_key *key = lib->sign_key_new(f->suite->sign, f->sk, f->spk);
    if (key == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = lib->sign_with(key, &message, 1, f->out);
    lib->sign_key_free(key);
    return err;
}

static smqtt_err op_verify(struct fixture *f)
{
    return lib->verify(f->suite->sign, f->spk, &message, 1, f->sig);
}

static smqtt_err op_sign_check(struct fixture *f)
{
    return lib->sign_check(f->suite->sign, f->spk);
}

static smqtt_err op_aead(struct fixture *f)
{
    uint8_t sealed[7 + SMQ_TAG_LEN];
    struct smq_aead_key *key = lib->aead_new(f->suite->aead, f->sk);
    if (key == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = lib->aead_seal(key, f->sk, message, message, sealed);
    if (err == SMQTT_OK) {
        err = lib->aead_open(key, f->sk, message, smq_span_of(sealed, sizeof(sealed)), sealed);
    }
    if (err == SMQTT_OK) {
        memcpy(f->out, sealed, message.len);
    }
    lib->aead_free(key);
    return err;
}

static smqtt_err op_hpke(struct fixture *f)
{
    struct smq_hpke ctx;
    uint8_t sealed[7 + SMQ_TAG_LEN];
    uint8_t enc[SMQ_PK_MAX];
    SMQ_TRY(smq_hpke_setup_s(&ctx, lib, f->suite, f->pk, f->sk, message, NULL, enc));
    smqtt_err err = smq_hpke_seal(&ctx, message, message, sealed);
    if (err == SMQTT_OK) {
        memcpy(f->out, enc, f->suite->npk);
        memcpy(f->out + f->suite->npk - sizeof(sealed), sealed, sizeof(sealed));
    }
    smq_hpke_deinit(&ctx);
    return err;
}

/* `same`: two runs give the same bytes. */
static const struct {
    smqtt_err (*run)(struct fixture *f);
    bool same;
} ops[] = {
    {op_sha256, true},      {op_hmac, true},        {op_dh_public, true}, {op_dh, true},
    {op_dh_check, true},    {op_sign_public, true}, {op_sign, false},     {op_verify, true},
    {op_sign_check, true},  {op_aead, true},        {op_hpke, true},      {op_dh_known, true},
    {op_sign_known, false}, {op_mac, true},         {op_sign_key, false}, {op_dh_key, true},
};

/* Runs the operation until no allocation fails any more; gives the number of failures that came. */
static size_t fail_each(struct fixture *f, size_t op)
{
    static const uint8_t untouched[sizeof(f->out)] = {0};
    uint8_t want[sizeof(f->out)];
    size_t failures = 0;
    memset(f->out, 0, sizeof(f->out));
    assert_int_equal(ops[op].run(f), SMQTT_OK);
    memcpy(want, f->out, sizeof(want));
    for (unsigned long nth = 1;; nth++) {
        memset(f->out, 0, sizeof(f->out));
        made = 0;
        fail_at = nth;
        smqtt_err err = ops[op].run(f);
        fail_at = 0;
        if (made < nth) {
            assert_int_equal(err, SMQTT_OK);
            return failures;
        }
        if (err == SMQTT_OK) { /* it did without */
            assert_true(!ops[op].same || memcmp(f->out, want, sizeof(want)) == 0);
            ERR_clear_error();
        } else {
            assert_memory_equal(f->out, untouched, sizeof(untouched));
            assert_int_equal(ERR_peek_error(), 0);
        }
        failures++;
    }
}

static void test_each_allocation(void **state)
{
    (void)state;
    const struct smq_suite *suite;
    for (size_t i = 0; (suite = smq_suite_at(i)) != NULL; i++) {
        struct fixture f = {.suite = suite, .sk = {1, 2, 3}};
        size_t failures = 0;
        assert_int_equal(lib->dh_public(suite->curve, f.sk, f.pk), SMQTT_OK);
        assert_int_equal(lib->sign_public(suite->sign, f.sk, f.spk), SMQTT_OK);
        assert_int_equal(lib->sign(suite->sign, f.sk, NULL, &message, 1, f.sig), SMQTT_OK);
        for (size_t op = 0; op < SMQ_ARRAY_LEN(ops); op++) {
            failures += fail_each(&f, op);
        }
        assert_true(failures > 50);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation),
    };
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1) {
        return 1; /* libcrypto has begun to allocate already */
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
