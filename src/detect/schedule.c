/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/schedule.h"

#include "base/mem.h"

#define PROTOCOL "S-MQTT/1 "

enum { SIGN_SPACES = 64, CONTENT_PARTS_MAX = 4, SIGN_PARTS = 4, HPKE_X_LEN = 32 };

static const uint8_t ZERO[1] = {0};
static const uint8_t SPACES[SIGN_SPACES + 1] = "                                                                ";

const struct smq_crypto_lib *smq_schedule_lib(void)
{
    return &smq_crypto_openssl;
}

smqtt_err smq_schedule_hash(const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN])
{
    return smq_schedule_lib()->sha256(parts, n, out);
}

smqtt_err smq_schedule_run(struct smq_hkdf *kdf, const uint8_t secret[SMQ_HASH_LEN])
{
    SMQ_TRY(smq_hkdf_begin(kdf, smq_schedule_lib()));
    smq_hkdf_set(kdf, secret);
    return SMQTT_OK;
}

smqtt_err smq_schedule_run_expand(struct smq_hkdf *kdf, const char *label, smq_span context, uint8_t *out, size_t len)
{
    const smq_span info[] = {smq_span_str(PROTOCOL), smq_span_str(label), smq_span_of(ZERO, 1), context};
    return smq_hkdf_expand(kdf, info, SMQ_ARRAY_LEN(info), out, len);
}

smqtt_err smq_schedule_expand(const uint8_t secret[SMQ_HASH_LEN], const char *label, smq_span context, uint8_t *out,
                              size_t len)
{
    struct smq_hkdf kdf;
    smqtt_err err = smq_schedule_run(&kdf, secret);
    if (err == SMQTT_OK) {
        err = smq_schedule_run_expand(&kdf, label, context, out, len);
    }
    smq_hkdf_end(&kdf);
    return err;
}

smqtt_err smq_schedule_run_once(struct smq_hkdf *kdf, const struct smq_suite *suite, const char *label,
                                const uint8_t context[SMQ_HASH_LEN], struct smq_once *out)
{
    uint8_t both[SMQ_NK_MAX + SMQ_NONCE_LEN];
    smqtt_err err =
        smq_schedule_run_expand(kdf, label, smq_span_of(context, SMQ_HASH_LEN), both, suite->nk + SMQ_NONCE_LEN);
    if (err == SMQTT_OK) {
        memcpy(out->key, both, suite->nk);
        memcpy(out->nonce, both + suite->nk, SMQ_NONCE_LEN);
    }
    smq_wipe(both, sizeof(both));
    return err;
}

smqtt_err smq_schedule_once(const struct smq_suite *suite, const uint8_t secret[SMQ_HASH_LEN], const char *label,
                            const uint8_t context[SMQ_HASH_LEN], struct smq_once *out)
{
    struct smq_hkdf kdf;
    smqtt_err err = smq_schedule_run(&kdf, secret);
    if (err == SMQTT_OK) {
        err = smq_schedule_run_once(&kdf, suite, label, context, out);
    }
    smq_hkdf_end(&kdf);
    return err;
}

/** The parts of what is signed; returns their number, 0 when there are too many. */
static size_t sign_parts(const char *label, const smq_span *content, size_t n,
                         smq_span out[SIGN_PARTS + CONTENT_PARTS_MAX])
{
    if (n > CONTENT_PARTS_MAX) {
        return 0;
    }
    out[0] = smq_span_of(SPACES, SIGN_SPACES);
    out[1] = smq_span_str(PROTOCOL);
    out[2] = smq_span_str(label);
    out[3] = smq_span_of(ZERO, 1);
    memcpy(out + SIGN_PARTS, content, n * sizeof(*content));
    return SIGN_PARTS + n;
}

smqtt_err smq_schedule_sign(const struct smq_suite *suite, const uint8_t sk[SMQ_SK_LEN], const uint8_t *pk,
                            const char *label, const smq_span *content, size_t n, uint8_t sig[SMQ_SIG_LEN])
{
    smq_span parts[SIGN_PARTS + CONTENT_PARTS_MAX];
    size_t n_parts = sign_parts(label, content, n, parts);
    return n_parts != 0 ? smq_schedule_lib()->sign(suite->sign, sk, pk, parts, n_parts, sig) : SMQTT_E_BUG;
}

smqtt_err smq_schedule_sign_with(const struct smq_sign_key *key, const char *label, const smq_span *content, size_t n,
                                 uint8_t sig[SMQ_SIG_LEN])
{
    smq_span parts[SIGN_PARTS + CONTENT_PARTS_MAX];
    size_t n_parts = sign_parts(label, content, n, parts);
    return n_parts != 0 ? smq_schedule_lib()->sign_with(key, parts, n_parts, sig) : SMQTT_E_BUG;
}

smqtt_err smq_schedule_verify(const struct smq_suite *suite, const uint8_t *pk, const char *label,
                              const smq_span *content, size_t n, const uint8_t sig[SMQ_SIG_LEN])
{
    smq_span parts[SIGN_PARTS + CONTENT_PARTS_MAX];
    size_t n_parts = sign_parts(label, content, n, parts);
    return n_parts != 0 ? smq_schedule_lib()->verify(suite->sign, pk, parts, n_parts, sig) : SMQTT_E_BUG;
}

smqtt_err smq_schedule_seal_once(const struct smq_suite *suite, const struct smq_once *once, smq_span aad, smq_span pt,
                                 uint8_t *out)
{
    const struct smq_crypto_lib *lib = smq_schedule_lib();
    struct smq_aead_key *key = lib->aead_new(suite->aead, once->key);
    if (key == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = lib->aead_seal(key, once->nonce, aad, pt, out);
    lib->aead_free(key);
    return err;
}

smqtt_err smq_schedule_open_once(const struct smq_suite *suite, const struct smq_once *once, smq_span aad, smq_span ct,
                                 uint8_t *out)
{
    const struct smq_crypto_lib *lib = smq_schedule_lib();
    struct smq_aead_key *key = lib->aead_new(suite->aead, once->key);
    if (key == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = lib->aead_open(key, once->nonce, aad, ct, out);
    lib->aead_free(key);
    return err;
}

static size_t info_write(const char *label, const struct smq_suite *suite, const uint8_t hash[SMQ_HASH_LEN],
                         uint8_t out[SMQ_INFO_MAX])
{
    size_t len = strlen(label);
    memcpy(out, label, len);
    out[len] = 0;
    out[len + 1] = suite->id;
    memcpy(out + len + 2, hash, SMQ_HASH_LEN);
    return len + 2 + SMQ_HASH_LEN;
}

size_t smq_schedule_info1(const struct smq_suite *suite, const uint8_t did[SMQ_HASH_LEN], uint8_t out[SMQ_INFO_MAX])
{
    return info_write(PROTOCOL "detect", suite, did, out);
}

size_t smq_schedule_info2(const struct smq_suite *suite, const uint8_t th1[SMQ_HASH_LEN], uint8_t out[SMQ_INFO_MAX])
{
    return info_write(PROTOCOL "reply", suite, th1, out);
}

smqtt_err smq_schedule_th1(smq_span packet, uint8_t out[SMQ_HASH_LEN])
{
    const smq_span parts[] = {smq_span_str(PROTOCOL "th1"), packet};
    return smq_schedule_hash(parts, SMQ_ARRAY_LEN(parts), out);
}

smqtt_err smq_schedule_th2(const uint8_t th1[SMQ_HASH_LEN], uint8_t header, smq_span clear, uint8_t out[SMQ_HASH_LEN])
{
    const smq_span parts[] = {smq_span_str(PROTOCOL "th2"), smq_span_of(th1, SMQ_HASH_LEN), smq_span_of(&header, 1),
                              clear};
    return smq_schedule_hash(parts, SMQ_ARRAY_LEN(parts), out);
}

smqtt_err smq_schedule_th3(const uint8_t th2[SMQ_HASH_LEN], smq_span ct2, uint8_t header, uint8_t out[SMQ_HASH_LEN])
{
    const smq_span parts[] = {smq_span_str(PROTOCOL "th3"), smq_span_of(th2, SMQ_HASH_LEN), ct2,
                              smq_span_of(&header, 1)};
    return smq_schedule_hash(parts, SMQ_ARRAY_LEN(parts), out);
}

smqtt_err smq_schedule_hs(struct smq_hkdf *kdf, const uint8_t x1[SMQ_HASH_LEN], const uint8_t x2[SMQ_HASH_LEN],
                          uint8_t out[SMQ_HASH_LEN])
{
    const smq_span ikm = smq_span_of(x2, HPKE_X_LEN);
    SMQ_TRY(smq_hkdf_begin(kdf, smq_schedule_lib()));
    return smq_hkdf_extract(kdf, smq_span_of(x1, HPKE_X_LEN), &ikm, 1, out);
}

smqtt_err smq_schedule_ms(struct smq_hkdf *kdf, const uint8_t th3[SMQ_HASH_LEN], smq_span ct3,
                          uint8_t out[SMQ_HASH_LEN])
{
    const smq_span parts[] = {smq_span_of(th3, SMQ_HASH_LEN), ct3};
    uint8_t context[SMQ_HASH_LEN];
    SMQ_TRY(smq_schedule_hash(parts, SMQ_ARRAY_LEN(parts), context));
    return smq_schedule_run_expand(kdf, SMQ_LABEL_MASTER, smq_span_of(context, SMQ_HASH_LEN), out, SMQ_HASH_LEN);
}

smqtt_err smq_schedule_ctx(const uint8_t th3[SMQ_HASH_LEN], smq_span ct3, uint8_t out[SMQ_HASH_LEN])
{
    uint8_t inner[SMQ_HASH_LEN];
    SMQ_TRY(smq_schedule_hash(&ct3, 1, inner));
    const smq_span parts[] = {smq_span_str(PROTOCOL "ctx"), smq_span_of(th3, SMQ_HASH_LEN),
                              smq_span_of(inner, SMQ_HASH_LEN)};
    return smq_schedule_hash(parts, SMQ_ARRAY_LEN(parts), out);
}
