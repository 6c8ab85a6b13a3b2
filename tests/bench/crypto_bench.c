/* SPDX-License-Identifier: Apache-2.0 */
/* What the cryptographic operations of each suite cost, in operations per second of one thread.
 *
 *     crypto_bench [milliseconds per operation, 300 without]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/hpke.h"

enum { TEXT_MAX = 1024, BATCH = 16 };

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

/* All that the operations work on, ready before the clock starts. */
struct bench {
    const struct smq_suite *suite;
    uint8_t sk[SMQ_SK_LEN];
    uint8_t skE[SMQ_SK_LEN];
    uint8_t pk[SMQ_PK_MAX];
    uint8_t spk[SMQ_PK_MAX];
    uint8_t enc[SMQ_PK_MAX];
    uint8_t sig[SMQ_SIG_LEN];
    uint8_t nonce[SMQ_NONCE_LEN];
    uint8_t aad[64];
    uint8_t text[TEXT_MAX];
    uint8_t sealed[TEXT_MAX + SMQ_TAG_LEN]; /* of the first 64 bytes of text, or of all */
    uint8_t out[TEXT_MAX + SMQ_TAG_LEN];
    struct smq_aead_key *key;
    size_t len; /* of text */
};

static smqtt_err op_setup_s(struct bench *b)
{
    struct smq_hpke ctx;
    SMQ_TRY(smq_hpke_setup_s(&ctx, lib, b->suite, b->pk, b->skE, smq_span_of(b->aad, sizeof(b->aad)), NULL, b->enc));
    smq_hpke_deinit(&ctx);
    return SMQTT_OK;
}

static smqtt_err op_setup_r(struct bench *b)
{
    struct smq_hpke ctx;
    SMQ_TRY(smq_hpke_setup_r(&ctx, lib, b->suite, b->sk, b->pk, b->enc, smq_span_of(b->aad, sizeof(b->aad)), NULL));
    smq_hpke_deinit(&ctx);
    return SMQTT_OK;
}

static smqtt_err op_public(struct bench *b)
{
    return lib->dh_public(b->suite->curve, b->sk, b->out);
}

static smqtt_err op_dh(struct bench *b)
{
    return lib->dh(b->suite->curve, b->sk, NULL, b->pk, b->out);
}

static smqtt_err op_sign(struct bench *b)
{
    const smq_span part = smq_span_of(b->text, 128);
    return lib->sign(b->suite->sign, b->sk, b->spk, &part, 1, b->sig);
}

static smqtt_err op_verify(struct bench *b)
{
    const smq_span part = smq_span_of(b->text, 128);
    return lib->verify(b->suite->sign, b->spk, &part, 1, b->sig);
}

static smqtt_err op_sign_check(struct bench *b)
{
    return lib->sign_check(b->suite->sign, b->spk);
}

static smqtt_err op_seal(struct bench *b)
{
    return lib->aead_seal(b->key, b->nonce, smq_span_of(b->aad, 32), smq_span_of(b->text, b->len), b->out);
}

static smqtt_err op_open(struct bench *b)
{
    return lib->aead_open(b->key, b->nonce, smq_span_of(b->aad, 32), smq_span_of(b->sealed, b->len + SMQ_TAG_LEN),
                          b->out);
}

static smqtt_err op_key(struct bench *b)
{
    struct smq_aead_key *key = lib->aead_new(b->suite->aead, b->sk);
    lib->aead_free(key);
    return key != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

static smqtt_err op_hmac(struct bench *b)
{
    const smq_span part = smq_span_of(b->text, 64);
    return lib->hmac(smq_span_of(b->sk, sizeof(b->sk)), &part, 1, b->out);
}

static const struct {
    const char *name;
    smqtt_err (*run)(struct bench *b);
    size_t len; /* of text */
} ops[] = {
    {"HPKE setup, sender", op_setup_s, 0},
    {"HPKE setup, receiver", op_setup_r, 0},
    {"public key of a private one", op_public, 0},
    {"key agreement", op_dh, 0},
    {"sign 128 bytes", op_sign, 0},
    {"verify 128 bytes", op_verify, 0},
    {"check a signature key", op_sign_check, 0},
    {"HMAC of 64 bytes", op_hmac, 0},
    {"AEAD key, new and free", op_key, 0},
    {"seal 64 bytes", op_seal, 64},
    {"open 64 bytes", op_open, 64},
    {"seal 1 KiB", op_seal, 1024},
    {"open 1 KiB", op_open, 1024},
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static smqtt_err prepare(struct bench *b, const struct smq_suite *suite)
{
    *b = (struct bench){.suite = suite, .sk = {1, 2, 3}, .skE = {4, 5, 6}};
    b->key = lib->aead_new(suite->aead, b->sk);
    if (b->key == NULL) {
        return SMQTT_E_NOMEM;
    }
    SMQ_TRY(lib->dh_public(suite->curve, b->sk, b->pk));
    SMQ_TRY(lib->sign_public(suite->sign, b->sk, b->spk));
    SMQ_TRY(op_setup_s(b));
    return op_sign(b);
}

static smqtt_err measure(struct bench *b, size_t op, double seconds)
{
    unsigned long n = 0;
    b->len = ops[op].len;
    if (b->len != 0) {
        SMQ_TRY(op_seal(b));
        memcpy(b->sealed, b->out, b->len + SMQ_TAG_LEN);
    }
    SMQ_TRY(ops[op].run(b));
    double start = now();
    double took = 0;
    while (took < seconds) {
        for (int i = 0; i < BATCH; i++) {
            SMQ_TRY(ops[op].run(b));
        }
        n += BATCH;
        took = now() - start;
    }
    printf("%-8s %-28s %12.0f ops/s %10.2f us\n", b->suite->name, ops[op].name, (double)n / took,
           took * 1e6 / (double)n);
    return SMQTT_OK;
}

int main(int argc, char **argv)
{
    double seconds = (argc > 1 ? strtod(argv[1], NULL) : 300) / 1000;
    const struct smq_suite *suite;
    for (size_t i = 0; (suite = smq_suite_at(i)) != NULL; i++) {
        struct bench b;
        smqtt_err err = prepare(&b, suite);
        for (size_t op = 0; err == SMQTT_OK && op < SMQ_ARRAY_LEN(ops); op++) {
            err = measure(&b, op, seconds);
        }
        lib->aead_free(b.key);
        if (err != SMQTT_OK) {
            fprintf(stderr, "%s: %s\n", suite->name, smqtt_strerror(err));
            return 1;
        }
    }
    return 0;
}
