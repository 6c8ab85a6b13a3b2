/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>

#include <openssl/bn.h>

#include "crypto/openssl_parts.h"

enum { ED25519_PK_LEN = 32, HALF = SMQ_SIG_LEN / 2, DER_MAX = 80, JOIN_MAX = 1024 };

/* Half of P-256's order rounded down: the greatest low s, big-endian. */
static const uint8_t p256_half_order[HALF] = {0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff,
                                              0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b,
                                              0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8};

/* The prime 2^255 - 19 and d of edwards25519 (RFC 8032 section 5.1), little-endian. */
static const uint8_t ed_prime[ED25519_PK_LEN] = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
static const uint8_t ed_d[ED25519_PK_LEN] = {0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41,
                                             0x41, 0x4d, 0x0a, 0x70, 0x00, 0x98, 0xe8, 0x79, 0x77, 0x79, 0x40,
                                             0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52};

/* The y coordinates of the eight points of small order of edwards25519, little-endian: 1, -1 (order 2), 0 (order 4),
 * two of order 8. x and -x share them. */
static const uint8_t ed_small_order_y[][ED25519_PK_LEN] = {
    {1},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
};

/* A context that is ready to sign; each signature is made by a copy of it, so that threads do not meet. Finding the
 * algorithm and importing the key cost libcrypto as much as half an ECDSA signature. */
struct smq_sign_key {
    enum smq_sign alg;
    EVP_MD_CTX *ed25519; /* that of the algorithm, the other is NULL */
    EVP_PKEY_CTX *ecdsa;
};

/* Ed25519 */

/* libcrypto 3.0 takes an Ed25519 message only in one piece. */
struct joined {
    uint8_t buf[JOIN_MAX];
    uint8_t *heap;
    const uint8_t *data;
    size_t len;
};

static smqtt_err join(struct joined *j, const smq_span *parts, size_t n)
{
    uint8_t *at = j->buf;
    j->heap = NULL;
    j->len = 0;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len > INT_MAX - j->len) {
            return SMQTT_E_USAGE;
        }
        j->len += parts[i].len;
    }
    if (j->len > sizeof(j->buf)) {
        at = j->heap = smq_mem_alloc(NULL, j->len);
        if (at == NULL) {
            return SMQTT_E_NOMEM;
        }
    }
    j->data = at;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len != 0) {
            memcpy(at, parts[i].data, parts[i].len);
            at += parts[i].len;
        }
    }
    return SMQTT_OK;
}

static void unjoin(struct joined *j)
{
    if (j->heap != NULL) {
        smq_wipe(j->heap, j->len);
        smq_mem_free(NULL, j->heap);
    } else {
        smq_wipe(j->buf, j->len);
    }
}

/* y < p? Only then has the point this one encoding (RFC 8032 section 5.1.3). The sign is not looked at: with x = 0 it
 * would matter, but those points are of small order. */
static bool ed25519_is_canonical(const uint8_t y[ED25519_PK_LEN])
{
    for (size_t i = ED25519_PK_LEN; i-- > 0;) {
        if (y[i] != ed_prime[i]) {
            return y[i] < ed_prime[i];
        }
    }
    return false;
}

/* Canonical and not of small order; whether it is on the curve remains open. */
static bool ed25519_is_acceptable(const uint8_t *pk)
{
    uint8_t y[ED25519_PK_LEN];
    memcpy(y, pk, sizeof(y));
    y[31] &= 0x7f;
    if (!ed25519_is_canonical(y)) {
        return false;
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ed_small_order_y); i++) {
        if (memcmp(y, ed_small_order_y[i], sizeof(y)) == 0) {
            return false;
        }
    }
    return true;
}

/* x^2 = (y^2 - 1) / (d y^2 + 1) has a solution when the product of both is a square (RFC 8032 section 5.1.3). libcrypto
 * decodes the point only while it verifies and does not say why that failed. */
static bool ed25519_has_x(const uint8_t *pk, BN_CTX *ctx, bool *has_x)
{
    uint8_t bytes[ED25519_PK_LEN];
    memcpy(bytes, pk, sizeof(bytes));
    bytes[31] &= 0x7f;
    BIGNUM *p = BN_CTX_get(ctx);
    BIGNUM *d = BN_CTX_get(ctx);
    BIGNUM *yy = BN_CTX_get(ctx);
    BIGNUM *u = BN_CTX_get(ctx);
    BIGNUM *v = BN_CTX_get(ctx);
    if (v == NULL || BN_lebin2bn(ed_prime, sizeof(ed_prime), p) == NULL || BN_lebin2bn(ed_d, sizeof(ed_d), d) == NULL ||
        BN_lebin2bn(bytes, sizeof(bytes), yy) == NULL || BN_mod_sqr(yy, yy, p, ctx) != 1 ||
        BN_mod_sub(u, yy, BN_value_one(), p, ctx) != 1 || BN_mod_mul(v, d, yy, p, ctx) != 1 ||
        BN_mod_add(v, v, BN_value_one(), p, ctx) != 1 || BN_mod_mul(u, u, v, p, ctx) != 1) {
        return false;
    }
    int symbol = BN_kronecker(u, p, ctx);
    *has_x = symbol == 1; /* 0 is x = 0, of small order */
    return symbol >= -1;
}

static smqtt_err ed25519_check(const uint8_t *pk)
{
    bool has_x = false;
    if (!ed25519_is_acceptable(pk)) {
        return SMQTT_E_BAD_KEY;
    }
    BN_CTX *ctx = BN_CTX_new();
    if (ctx == NULL) {
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    BN_CTX_start(ctx);
    bool ok = ed25519_has_x(pk, ctx, &has_x);
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    if (!ok) {
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    return has_x ? SMQTT_OK : SMQTT_E_BAD_KEY;
}

static smqtt_err ed25519_sign(const struct smq_sign_key *key, const smq_span *parts, size_t n, uint8_t sig[SMQ_SIG_LEN])
{
    struct joined j;
    uint8_t out[SMQ_SIG_LEN];
    size_t len = sizeof(out);
    SMQ_TRY(join(&j, parts, n));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_MD_CTX_copy_ex(ctx, key->ed25519) == 1 &&
              EVP_DigestSign(ctx, out, &len, j.data, j.len) == 1 && len == sizeof(out);
    EVP_MD_CTX_free(ctx);
    unjoin(&j);
    if (!ok) {
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    memcpy(sig, out, sizeof(out));
    return SMQTT_OK;
}

static smqtt_err ed25519_verify(const uint8_t *pk, const smq_span *parts, size_t n, const uint8_t sig[SMQ_SIG_LEN])
{
    struct joined j;
    int verdict = -1; /* libcrypto gave no answer */
    if (!ed25519_is_acceptable(pk)) {
        return SMQTT_E_BAD_KEY;
    }
    SMQ_TRY(join(&j, parts, n));
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, pk, ED25519_PK_LEN);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (key != NULL && ctx != NULL && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) == 1) {
        verdict = EVP_DigestVerify(ctx, sig, SMQ_SIG_LEN, j.data, j.len) == 1;
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    unjoin(&j);
    if (verdict != 1) {
        SMQ_TRY(smq_openssl_fail(ed25519_check(pk))); /* a key off the curve is the reason then */
        return verdict == 0 ? SMQTT_E_BAD_SIGNATURE : SMQTT_E_CRYPTO;
    }
    return SMQTT_OK;
}

/* ECDSA with P-256 and SHA-256 */

static bool is_low(const uint8_t s[HALF])
{
    return memcmp(s, p256_half_order, HALF) <= 0;
}

/* r || s, s made low, of a signature in DER. */
static bool ecdsa_from_der(const uint8_t *der, size_t der_len, const BIGNUM *order, uint8_t sig[SMQ_SIG_LEN])
{
    const unsigned char *at = der;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
    BIGNUM *negated = BN_new();
    bool ok = pair != NULL && negated != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), sig, HALF) == HALF &&
              BN_bn2binpad(ECDSA_SIG_get0_s(pair), sig + HALF, HALF) == HALF;
    if (ok && !is_low(sig + HALF)) {
        ok = BN_sub(negated, order, ECDSA_SIG_get0_s(pair)) == 1 && BN_bn2binpad(negated, sig + HALF, HALF) == HALF;
    }
    ECDSA_SIG_free(pair);
    BN_free(negated);
    return ok;
}

static smqtt_err ecdsa_sign(const struct smq_sign_key *key, const smq_span *parts, size_t n, uint8_t sig[SMQ_SIG_LEN])
{
    uint8_t hash[SMQ_HASH_LEN];
    uint8_t der[DER_MAX];
    uint8_t out[SMQ_SIG_LEN];
    size_t len = sizeof(der);
    const struct smq_openssl *ossl = smq_openssl_get();
    if (ossl == NULL) {
        return SMQTT_E_CRYPTO;
    }
    SMQ_TRY(smq_openssl_hash_sha256(parts, n, hash));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(key->ecdsa);
    bool ok = ctx != NULL && EVP_PKEY_sign(ctx, der, &len, hash, sizeof(hash)) == 1 &&
              ecdsa_from_der(der, len, EC_GROUP_get0_order(ossl->p256), out);
    EVP_PKEY_CTX_free(ctx);
    if (!ok) {
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    memcpy(sig, out, sizeof(out));
    return SMQTT_OK;
}

/* The DER form of r || s; *der is libcrypto's memory. */
static bool ecdsa_to_der(const uint8_t sig[SMQ_SIG_LEN], unsigned char **der, int *der_len)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig, HALF, NULL);
    BIGNUM *s = BN_bin2bn(sig + HALF, HALF, NULL);
    if (pair == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(pair);
        return false;
    }
    *der_len = i2d_ECDSA_SIG(pair, der);
    ECDSA_SIG_free(pair);
    return *der_len > 0;
}

static smqtt_err ecdsa_verify(const uint8_t *pk, const smq_span *parts, size_t n, const uint8_t sig[SMQ_SIG_LEN])
{
    uint8_t hash[SMQ_HASH_LEN];
    unsigned char *der = NULL;
    int der_len = 0;
    int verdict = -1; /* libcrypto gave no answer */
    EVP_PKEY *key = NULL;
    SMQ_TRY(smq_openssl_public(SMQ_CURVE_P256, pk, &key));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (!smq_openssl_p256_is_scalar(sig) || !smq_openssl_p256_is_scalar(sig + HALF) || !is_low(sig + HALF)) {
        verdict = 0;
    } else if (ctx != NULL && smq_openssl_hash_sha256(parts, n, hash) == SMQTT_OK &&
               ecdsa_to_der(sig, &der, &der_len) && EVP_PKEY_verify_init(ctx) == 1) {
        /* Below 0 is a bad signature too: the sum may be the point at infinity. */
        verdict = EVP_PKEY_verify(ctx, der, (size_t)der_len, hash, sizeof(hash)) == 1;
    }
    OPENSSL_free(der);
    EVP_PKEY_CTX_free(ctx);
    smq_openssl_public_end(SMQ_CURVE_P256, key);
    if (verdict != 1) {
        return smq_openssl_fail(verdict == 0 ? SMQTT_E_BAD_SIGNATURE : SMQTT_E_CRYPTO);
    }
    return SMQTT_OK;
}

/* Entries of the table */

smqtt_err smq_openssl_sign_public(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], uint8_t *pk)
{
    switch (alg) {
    case SMQ_SIGN_ED25519:
        return smq_openssl_x_derive_public("ED25519", sk, pk);
    case SMQ_SIGN_ECDSA_P256:
        return smq_openssl_p256_derive_public(sk, pk);
    }
    return SMQTT_E_BAD_KEY;
}

/* Fills in the context of the algorithm. */
static smqtt_err sign_key_fill(struct smq_sign_key *made, const uint8_t *sk, const uint8_t *own_pk)
{
    EVP_PKEY *pkey = NULL;
    bool ok = false;
    if (made->alg == SMQ_SIGN_ED25519) {
        pkey = smq_openssl_x_private("ED25519", sk, own_pk);
        made->ed25519 = EVP_MD_CTX_new();
        ok = pkey != NULL && made->ed25519 != NULL &&
             EVP_DigestSignInit_ex(made->ed25519, NULL, NULL, NULL, NULL, pkey, NULL) == 1;
    } else {
        SMQ_TRY(smq_openssl_p256_private(sk, &pkey)); /* needs no public key */
        made->ecdsa = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
        ok = made->ecdsa != NULL && EVP_PKEY_sign_init(made->ecdsa) == 1;
    }
    EVP_PKEY_free(pkey); /* the context has its own reference */
    return ok ? SMQTT_OK : SMQTT_E_CRYPTO;
}

static smqtt_err sign_key_make(enum smq_sign alg, const uint8_t *sk, const uint8_t *own_pk, struct smq_sign_key **out)
{
    struct smq_sign_key *made = smq_mem_zalloc(NULL, 1, sizeof(*made));
    if (made == NULL) {
        return SMQTT_E_NOMEM;
    }
    made->alg = alg;
    smqtt_err err = sign_key_fill(made, sk, own_pk);
    if (err != SMQTT_OK) {
        smq_openssl_sign_key_free(made);
        return smq_openssl_fail(err);
    }
    *out = made;
    return SMQTT_OK;
}

struct smq_sign_key *smq_openssl_sign_key_new(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk)
{
    struct smq_sign_key *key = NULL;
    return sign_key_make(alg, sk, own_pk, &key) == SMQTT_OK ? key : NULL;
}

void smq_openssl_sign_key_free(struct smq_sign_key *key)
{
    if (key != NULL) {
        EVP_MD_CTX_free(key->ed25519); /* both wipe the private key with their last reference */
        EVP_PKEY_CTX_free(key->ecdsa);
        smq_mem_free(NULL, key);
    }
}

smqtt_err smq_openssl_sign_with(const struct smq_sign_key *key, const smq_span *parts, size_t n,
                                uint8_t sig[SMQ_SIG_LEN])
{
    switch (key->alg) {
    case SMQ_SIGN_ED25519:
        return ed25519_sign(key, parts, n, sig);
    case SMQ_SIGN_ECDSA_P256:
        return ecdsa_sign(key, parts, n, sig);
    }
    return SMQTT_E_BAD_KEY;
}

smqtt_err smq_openssl_sign_make(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk,
                                const smq_span *parts, size_t n, uint8_t sig[SMQ_SIG_LEN])
{
    struct smq_sign_key *key = NULL;
    SMQ_TRY(sign_key_make(alg, sk, own_pk, &key));
    smqtt_err err = smq_openssl_sign_with(key, parts, n, sig);
    smq_openssl_sign_key_free(key);
    return err;
}

smqtt_err smq_openssl_sign_verify(enum smq_sign alg, const uint8_t *pk, const smq_span *parts, size_t n,
                                  const uint8_t sig[SMQ_SIG_LEN])
{
    switch (alg) {
    case SMQ_SIGN_ED25519:
        return ed25519_verify(pk, parts, n, sig);
    case SMQ_SIGN_ECDSA_P256:
        return ecdsa_verify(pk, parts, n, sig);
    }
    return SMQTT_E_BAD_KEY;
}

smqtt_err smq_openssl_sign_check(enum smq_sign alg, const uint8_t *pk)
{
    switch (alg) {
    case SMQ_SIGN_ED25519:
        return ed25519_check(pk);
    case SMQ_SIGN_ECDSA_P256:
        return smq_openssl_p256_check(pk);
    }
    return SMQTT_E_BAD_KEY;
}
