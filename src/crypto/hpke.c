/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hpke.h"

#include "base/mem.h"

enum { MODE_BASE = 0x00, MODE_PSK = 0x01, PSK_MIN = 32, SUITE_ID_MAX = 10, NK_MAX = 32 };

static const char version[] = "HPKE-v1";

/* Who derives: the run, and the suite_id that goes into every label. */
struct labeler {
    struct smq_hkdf *kdf;
    uint8_t suite_id[SUITE_ID_MAX];
    size_t suite_id_len;
};

static void put_u16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* suite_id = "KEM" || kem_id, RFC 9180 section 4.1 */
static struct labeler kem_labeler(struct smq_hpke *ctx)
{
    struct labeler l = {&ctx->kdf, {'K', 'E', 'M'}, 5};
    put_u16(l.suite_id + 3, ctx->suite->kem_id);
    return l;
}

/* suite_id = "HPKE" || kem_id || kdf_id || aead_id, RFC 9180 section 5.1 */
static struct labeler hpke_labeler(struct smq_hpke *ctx)
{
    struct labeler l = {&ctx->kdf, {'H', 'P', 'K', 'E'}, 10};
    put_u16(l.suite_id + 4, ctx->suite->kem_id);
    put_u16(l.suite_id + 6, SMQ_KDF_ID);
    put_u16(l.suite_id + 8, ctx->suite->aead_id);
    return l;
}

/* LabeledExtract, RFC 9180 section 4; prk as in smq_hkdf_extract */
static smqtt_err labeled_extract(const struct labeler *l, smq_span salt, const char *label, smq_span ikm, uint8_t *prk)
{
    const smq_span parts[] = {smq_span_str(version), smq_span_of(l->suite_id, l->suite_id_len), smq_span_str(label),
                              ikm};
    return smq_hkdf_extract(l->kdf, salt, parts, SMQ_ARRAY_LEN(parts), prk);
}

/* LabeledExpand from the PRK that was extracted or set last, RFC 9180 section 4 */
static smqtt_err labeled_expand(const struct labeler *l, const char *label, smq_span info, uint8_t *out, size_t len)
{
    uint8_t len_bytes[2];
    put_u16(len_bytes, len); /* HKDF refuses what does not fit */
    const smq_span parts[] = {smq_span_of(len_bytes, sizeof(len_bytes)), smq_span_str(version),
                              smq_span_of(l->suite_id, l->suite_id_len), smq_span_str(label), info};
    return smq_hkdf_expand(l->kdf, parts, SMQ_ARRAY_LEN(parts), out, len);
}

/* ExtractAndExpand over kem_context = enc || pkR, RFC 9180 section 4.1 */
static smqtt_err kem_secret(struct smq_hpke *ctx, const uint8_t dh[SMQ_DH_LEN], const uint8_t *enc, const uint8_t *pkR,
                            uint8_t secret[SMQ_HASH_LEN])
{
    struct labeler kem = kem_labeler(ctx);
    uint8_t context[2 * SMQ_PK_MAX];
    size_t npk = ctx->suite->npk;
    memcpy(context, enc, npk);
    memcpy(context + npk, pkR, npk);
    SMQ_TRY(labeled_extract(&kem, (smq_span){NULL, 0}, "eae_prk", smq_span_of(dh, SMQ_DH_LEN), NULL));
    return labeled_expand(&kem, "shared_secret", smq_span_of(context, 2 * npk), secret, SMQ_HASH_LEN);
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
                                  uint8_t out[SMQ_HPKE_CONTEXT_LEN])
{
    out[0] = mode;
    SMQ_TRY(labeled_extract(l, (smq_span){NULL, 0}, "psk_id_hash", psk_id, out + 1));
    return labeled_extract(l, (smq_span){NULL, 0}, "info_hash", info, out + 1 + SMQ_HASH_LEN);
}

/* KeySchedule, RFC 9180 section 5.1, but for key and base nonce. */
static smqtt_err key_schedule(struct smq_hpke *ctx, smq_span shared, smq_span info, const struct smq_hpke_psk *psk)
{
    static const struct smq_hpke_psk no_psk;
    struct labeler l = hpke_labeler(ctx);
    uint8_t mode = MODE_BASE;
    psk = psk != NULL ? psk : &no_psk;
    SMQ_TRY(check_psk(psk, &mode));
    SMQ_TRY(schedule_context(&l, mode, psk->id, info, ctx->context));
    SMQ_TRY(labeled_extract(&l, shared, "secret", psk->psk, ctx->secret));
    return labeled_expand(&l, "exp", smq_span_of(ctx->context, sizeof(ctx->context)), ctx->exporter,
                          sizeof(ctx->exporter));
}

smqtt_err smq_hpke_ready(struct smq_hpke *ctx)
{
    const smq_span context = smq_span_of(ctx->context, sizeof(ctx->context));
    struct labeler l = hpke_labeler(ctx);
    uint8_t key[NK_MAX];
    if (ctx->aead != NULL) {
        return SMQTT_OK;
    }
    smq_hkdf_set(&ctx->kdf, ctx->secret);
    smqtt_err err = labeled_expand(&l, "key", context, key, ctx->suite->nk);
    if (err == SMQTT_OK) {
        err = labeled_expand(&l, "base_nonce", context, ctx->base_nonce, sizeof(ctx->base_nonce));
    }
    if (err == SMQTT_OK) {
        ctx->aead = ctx->lib->aead_new(ctx->suite->aead, key);
        err = ctx->aead != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
    }
    if (err == SMQTT_OK) {
        smq_wipe(ctx->secret, sizeof(ctx->secret));
    }
    smq_wipe(key, sizeof(key));
    return err;
}

/* All behind the agreement; fills ctx in on success only. */
static smqtt_err setup(struct smq_hpke *ctx, const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                       const uint8_t dh[SMQ_DH_LEN], const uint8_t *enc, const uint8_t *pkR, smq_span info,
                       const struct smq_hpke_psk *psk)
{
    struct smq_hpke made = {.lib = lib, .suite = suite};
    uint8_t shared[SMQ_HASH_LEN];
    smqtt_err err = smq_hkdf_begin(&made.kdf, lib);
    if (err == SMQTT_OK) {
        err = kem_secret(&made, dh, enc, pkR, shared);
    }
    if (err == SMQTT_OK) {
        err = key_schedule(&made, smq_span_of(shared, sizeof(shared)), info, psk);
    }
    if (err == SMQTT_OK) {
        *ctx = made;
        smq_wipe(&made, sizeof(made));
    } else {
        smq_hpke_deinit(&made);
    }
    smq_wipe(shared, sizeof(shared));
    return err;
}

smqtt_err smq_hpke_setup_s(struct smq_hpke *ctx, const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                           const uint8_t *pkR, const uint8_t skE[SMQ_SK_LEN], smq_span info,
                           const struct smq_hpke_psk *psk, uint8_t *enc)
{
    uint8_t pkE[SMQ_PK_MAX];
    uint8_t dh[SMQ_DH_LEN];
    uint8_t mode;
    SMQ_TRY(check_psk(psk, &mode)); /* before the costly part */
    smqtt_err err = lib->dh_pair(suite->curve, skE, pkR, pkE, dh);
    if (err == SMQTT_OK) {
        err = setup(ctx, lib, suite, dh, pkE, pkR, info, psk);
    }
    if (err == SMQTT_OK) {
        memcpy(enc, pkE, suite->npk);
    }
    smq_wipe(dh, sizeof(dh));
    return err;
}

smqtt_err smq_hpke_setup_r(struct smq_hpke *ctx, const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                           const uint8_t skR[SMQ_SK_LEN], const uint8_t *pkR, const uint8_t *enc, smq_span info,
                           const struct smq_hpke_psk *psk)
{
    uint8_t made[SMQ_PK_MAX];
    uint8_t dh[SMQ_DH_LEN];
    uint8_t mode;
    SMQ_TRY(check_psk(psk, &mode));
    smqtt_err err =
        pkR != NULL ? lib->dh(suite->curve, skR, pkR, enc, dh) : lib->dh_pair(suite->curve, skR, enc, made, dh);
    if (err == SMQTT_OK) {
        err = setup(ctx, lib, suite, dh, enc, pkR != NULL ? pkR : made, info, psk);
    }
    smq_wipe(dh, sizeof(dh));
    return err;
}

smqtt_err smq_hpke_setup_r_with(struct smq_hpke *ctx, const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                                const struct smq_dh_key *skR, const uint8_t *pkR, const uint8_t *enc, smq_span info,
                                const struct smq_hpke_psk *psk)
{
    uint8_t dh[SMQ_DH_LEN];
    uint8_t mode;
    SMQ_TRY(check_psk(psk, &mode));
    smqtt_err err = lib->dh_with(skR, enc, dh);
    if (err == SMQTT_OK) {
        err = setup(ctx, lib, suite, dh, enc, pkR, info, psk);
    }
    smq_wipe(dh, sizeof(dh));
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
    SMQ_TRY(smq_hpke_ready(ctx));
    SMQ_TRY(compute_nonce(ctx, nonce));
    SMQ_TRY(ctx->lib->aead_seal(ctx->aead, nonce, aad, pt, out));
    ctx->seq++;
    return SMQTT_OK;
}

smqtt_err smq_hpke_open(struct smq_hpke *ctx, smq_span aad, smq_span ct, uint8_t *out)
{
    uint8_t nonce[SMQ_NONCE_LEN];
    SMQ_TRY(smq_hpke_ready(ctx));
    SMQ_TRY(compute_nonce(ctx, nonce));
    SMQ_TRY(ctx->lib->aead_open(ctx->aead, nonce, aad, ct, out));
    ctx->seq++;
    return SMQTT_OK;
}

smqtt_err smq_hpke_export(struct smq_hpke *ctx, smq_span exporter_context, uint8_t *out, size_t len)
{
    struct labeler l = hpke_labeler(ctx);
    smq_hkdf_set(&ctx->kdf, ctx->exporter);
    return labeled_expand(&l, "sec", exporter_context, out, len);
}

void smq_hpke_deinit(struct smq_hpke *ctx)
{
    if (ctx->lib != NULL) {
        ctx->lib->aead_free(ctx->aead);
    }
    smq_hkdf_end(&ctx->kdf);
    smq_wipe(ctx, sizeof(*ctx));
}
