/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hpke.h"

#include "base/mem.h"
#include "crypto/hkdf.h"

enum {
    MODE_BASE = 0x00,
    MODE_PSK = 0x01,
    PSK_MIN = 32,
    SUITE_ID_MAX = 10,
    NK_MAX = 32,
    SCHEDULE_LEN = 1 + 2 * SMQ_HASH_LEN
};

static const char version[] = "HPKE-v1";

/* Who derives: the library, and the suite_id that goes into every label. */
struct labeler {
    const struct smq_crypto_lib *lib;
    uint8_t suite_id[SUITE_ID_MAX];
    size_t suite_id_len;
};

static void put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* suite_id = "KEM" || kem_id, RFC 9180 section 4.1 */
static struct labeler kem_labeler(const struct smq_crypto_lib *lib, const struct smq_suite *suite)
{
    struct labeler l = {lib, {'K', 'E', 'M'}, 5};
    put_u16(l.suite_id + 3, suite->kem_id);
    return l;
}

/* suite_id = "HPKE" || kem_id || kdf_id || aead_id, RFC 9180 section 5.1 */
static struct labeler hpke_labeler(const struct smq_crypto_lib *lib, const struct smq_suite *suite)
{
    struct labeler l = {lib, {'H', 'P', 'K', 'E'}, 10};
    put_u16(l.suite_id + 4, suite->kem_id);
    put_u16(l.suite_id + 6, SMQ_KDF_ID);
    put_u16(l.suite_id + 8, suite->aead_id);
    return l;
}

/* LabeledExtract, RFC 9180 section 4 */
static smqtt_err labeled_extract(const struct labeler *l, smq_span salt, const char *label, smq_span ikm,
                                 uint8_t prk[SMQ_HASH_LEN])
{
    const smq_span parts[] = {smq_span_str(version), smq_span_of(l->suite_id, l->suite_id_len), smq_span_str(label),
                              ikm};
    return smq_hkdf_extract(l->lib, salt, parts, SMQ_ARRAY_LEN(parts), prk);
}

/* LabeledExpand, RFC 9180 section 4 */
static smqtt_err labeled_expand(const struct labeler *l, const uint8_t prk[SMQ_HASH_LEN], const char *label,
                                smq_span info, uint8_t *out, size_t len)
{
    uint8_t len_bytes[2];
    put_u16(len_bytes, len); /* HKDF refuses what does not fit */
    const smq_span parts[] = {smq_span_of(len_bytes, sizeof(len_bytes)), smq_span_str(version),
                              smq_span_of(l->suite_id, l->suite_id_len), smq_span_str(label), info};
    return smq_hkdf_expand(l->lib, prk, parts, SMQ_ARRAY_LEN(parts), out, len);
}

/* ExtractAndExpand over kem_context = enc || pkR, RFC 9180 section 4.1 */
static smqtt_err kem_secret(const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                            const uint8_t dh[SMQ_DH_LEN], const uint8_t *enc, const uint8_t *pkR,
                            uint8_t secret[SMQ_HASH_LEN])
{
    struct labeler kem = kem_labeler(lib, suite);
    uint8_t context[2 * SMQ_PK_MAX];
    uint8_t prk[SMQ_HASH_LEN];
    memcpy(context, enc, suite->npk);
    memcpy(context + suite->npk, pkR, suite->npk);
    smqtt_err err = labeled_extract(&kem, (smq_span){NULL, 0}, "eae_prk", smq_span_of(dh, SMQ_DH_LEN), prk);
    if (err == SMQTT_OK) {
        err = labeled_expand(&kem, prk, "shared_secret", smq_span_of(context, 2 * suite->npk), secret, SMQ_HASH_LEN);
    }
    smq_wipe(prk, sizeof(prk));
    return err;
}

/* VerifyPSKInputs, RFC 9180 section 5.1; gives the mode. */
static smqtt_err check_psk(const struct smq_hpke_psk *psk, uint8_t *mode)
{
    bool has_psk = psk != NULL && psk->psk.len != 0;
    bool has_id = psk != NULL && psk->id.len != 0;
    if (has_psk != has_id || (has_psk && psk->psk.len < PSK_MIN)) {
        return SMQTT_E_USAGE;
    }
    *mode = has_psk ? MODE_PSK : MODE_BASE;
    return SMQTT_OK;
}

/* key_schedule_context = mode || psk_id_hash || info_hash */
static smqtt_err schedule_context(const struct labeler *l, uint8_t mode, smq_span psk_id, smq_span info,
                                  uint8_t out[SCHEDULE_LEN])
{
    out[0] = mode;
    SMQ_TRY(labeled_extract(l, (smq_span){NULL, 0}, "psk_id_hash", psk_id, out + 1));
    return labeled_extract(l, (smq_span){NULL, 0}, "info_hash", info, out + 1 + SMQ_HASH_LEN);
}

/* Key, base nonce and exporter secret out of the schedule's secret. */
static smqtt_err schedule_keys(struct smq_hpke *ctx, const struct labeler *l, const uint8_t secret[SMQ_HASH_LEN],
                               smq_span context)
{
    uint8_t key[NK_MAX];
    smqtt_err err = labeled_expand(l, secret, "key", context, key, ctx->suite->nk);
    if (err == SMQTT_OK) {
        err = labeled_expand(l, secret, "base_nonce", context, ctx->base_nonce, sizeof(ctx->base_nonce));
    }
    if (err == SMQTT_OK) {
        err = labeled_expand(l, secret, "exp", context, ctx->exporter, sizeof(ctx->exporter));
    }
    if (err == SMQTT_OK) {
        ctx->aead = ctx->lib->aead_new(ctx->suite->aead, key);
        err = ctx->aead != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
    }
    smq_wipe(key, sizeof(key));
    return err;
}

/* KeySchedule, RFC 9180 section 5.1; fills ctx in on success only. */
static smqtt_err key_schedule(struct smq_hpke *ctx, const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                              smq_span shared, smq_span info, const struct smq_hpke_psk *psk)
{
    static const struct smq_hpke_psk no_psk;
    struct labeler l = hpke_labeler(lib, suite);
    struct smq_hpke made = {.lib = lib, .suite = suite};
    uint8_t context[SCHEDULE_LEN];
    uint8_t secret[SMQ_HASH_LEN];
    uint8_t mode = MODE_BASE;
    psk = psk != NULL ? psk : &no_psk;
    SMQ_TRY(check_psk(psk, &mode));
    SMQ_TRY(schedule_context(&l, mode, psk->id, info, context));
    smqtt_err err = labeled_extract(&l, shared, "secret", psk->psk, secret);
    if (err == SMQTT_OK) {
        err = schedule_keys(&made, &l, secret, smq_span_of(context, sizeof(context)));
    }
    if (err == SMQTT_OK) {
        *ctx = made;
    }
    smq_wipe(secret, sizeof(secret));
    smq_wipe(&made, sizeof(made));
    return err;
}

smqtt_err smq_hpke_setup_s(struct smq_hpke *ctx, const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                           const uint8_t *pkR, const uint8_t skE[SMQ_SK_LEN], smq_span info,
                           const struct smq_hpke_psk *psk, uint8_t *enc)
{
    uint8_t pkE[SMQ_PK_MAX];
    uint8_t dh[SMQ_DH_LEN];
    uint8_t shared[SMQ_HASH_LEN];
    uint8_t mode;
    SMQ_TRY(check_psk(psk, &mode)); /* before the costly part */
    smqtt_err err = lib->dh_pair(suite->curve, skE, pkR, pkE, dh);
    if (err == SMQTT_OK) {
        err = kem_secret(lib, suite, dh, pkE, pkR, shared);
    }
    if (err == SMQTT_OK) {
        err = key_schedule(ctx, lib, suite, smq_span_of(shared, sizeof(shared)), info, psk);
    }
    if (err == SMQTT_OK) {
        memcpy(enc, pkE, suite->npk);
    }
    smq_wipe(dh, sizeof(dh));
    smq_wipe(shared, sizeof(shared));
    return err;
}

smqtt_err smq_hpke_setup_r(struct smq_hpke *ctx, const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                           const uint8_t skR[SMQ_SK_LEN], const uint8_t *pkR, const uint8_t *enc, smq_span info,
                           const struct smq_hpke_psk *psk)
{
    uint8_t made[SMQ_PK_MAX];
    uint8_t dh[SMQ_DH_LEN];
    uint8_t shared[SMQ_HASH_LEN];
    uint8_t mode;
    SMQ_TRY(check_psk(psk, &mode));
    smqtt_err err =
        pkR != NULL ? lib->dh(suite->curve, skR, pkR, enc, dh) : lib->dh_pair(suite->curve, skR, enc, made, dh);
    if (err == SMQTT_OK) {
        err = kem_secret(lib, suite, dh, enc, pkR != NULL ? pkR : made, shared);
    }
    if (err == SMQTT_OK) {
        err = key_schedule(ctx, lib, suite, smq_span_of(shared, sizeof(shared)), info, psk);
    }
    smq_wipe(dh, sizeof(dh));
    smq_wipe(shared, sizeof(shared));
    return err;
}

/* ComputeNonce: base_nonce XOR the sequence number, right-aligned (RFC 9180 section 5.2). */
static smqtt_err compute_nonce(const struct smq_hpke *ctx, uint8_t nonce[SMQ_NONCE_LEN])
{
    if (ctx->seq == UINT64_MAX) {
        return SMQTT_E_SEQ_EXHAUSTED;
    }
    memcpy(nonce, ctx->base_nonce, SMQ_NONCE_LEN);
    for (size_t i = 0; i < sizeof(ctx->seq); i++) {
        nonce[SMQ_NONCE_LEN - 1 - i] ^= (uint8_t)(ctx->seq >> (8 * i));
    }
    return SMQTT_OK;
}

smqtt_err smq_hpke_seal(struct smq_hpke *ctx, smq_span aad, smq_span pt, uint8_t *out)
{
    uint8_t nonce[SMQ_NONCE_LEN];
    SMQ_TRY(compute_nonce(ctx, nonce));
    SMQ_TRY(ctx->lib->aead_seal(ctx->aead, nonce, aad, pt, out));
    ctx->seq++;
    return SMQTT_OK;
}

smqtt_err smq_hpke_open(struct smq_hpke *ctx, smq_span aad, smq_span ct, uint8_t *out)
{
    uint8_t nonce[SMQ_NONCE_LEN];
    SMQ_TRY(compute_nonce(ctx, nonce));
    SMQ_TRY(ctx->lib->aead_open(ctx->aead, nonce, aad, ct, out));
    ctx->seq++;
    return SMQTT_OK;
}

smqtt_err smq_hpke_export(const struct smq_hpke *ctx, smq_span exporter_context, uint8_t *out, size_t len)
{
    struct labeler l = hpke_labeler(ctx->lib, ctx->suite);
    return labeled_expand(&l, ctx->exporter, "sec", exporter_context, out, len);
}

void smq_hpke_deinit(struct smq_hpke *ctx)
{
    if (ctx->lib != NULL) {
        ctx->lib->aead_free(ctx->aead);
    }
    smq_wipe(ctx, sizeof(*ctx));
}
