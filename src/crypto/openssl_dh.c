/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/bn.h>
#include <openssl/core_names.h>

#include "crypto/openssl_parts.h"

/* Order of P-256 (SEC 2 section 2.4.2), big-endian. */
static const uint8_t p256_order[SMQ_SK_LEN] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                               0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                               0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

/* The u coordinates of order 1, 2, 4 and 8 of Curve25519 and of its twist, little-endian, each in all the encodings
 * that 255 bits allow (RFC 7748 section 6.1: these give all zeros). */
static const uint8_t small_order_u[][SMQ_OPENSSL_X_PK_LEN] = {
    {0},
    {1},
    {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
     0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
     0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, /* p - 1 */
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, /* p is 0 */
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, /* p + 1 is 1 */
};

bool smq_openssl_p256_is_scalar(const uint8_t v[SMQ_SK_LEN])
{
    unsigned borrow = 0;
    unsigned any = 0;
    for (size_t i = SMQ_SK_LEN; i-- > 0;) {
        borrow = (((unsigned)v[i] - p256_order[i] - borrow) >> 8) & 1U; /* v - order is negative */
        any |= v[i];
    }
    return (borrow & (any != 0)) == 1;
}

static smqtt_err p256_import(int selection, OSSL_PARAM params[3], EVP_PKEY **key)
{
    char group[] = "P-256";
    params[1] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
    params[2] = OSSL_PARAM_construct_end();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *made = NULL;
    bool ok = ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &made, selection, params) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (!ok) {
        EVP_PKEY_free(made);
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    *key = made;
    return SMQTT_OK;
}

smqtt_err smq_openssl_p256_private(const uint8_t sk[SMQ_SK_LEN], EVP_PKEY **key)
{
    if (!smq_openssl_p256_is_scalar(sk)) {
        return SMQTT_E_BAD_KEY;
    }
    smqtt_err err = SMQTT_E_CRYPTO;
    uint8_t native[SMQ_SK_LEN] = {0}; /* parameters hold integers in the processor's byte order */
    BIGNUM *scalar = BN_bin2bn(sk, SMQ_SK_LEN, NULL);
    if (scalar != NULL && BN_bn2nativepad(scalar, native, sizeof(native)) == (int)sizeof(native)) {
        OSSL_PARAM params[3] = {OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, sizeof(native))};
        err = p256_import(EVP_PKEY_KEYPAIR, params, key);
    }
    BN_clear_free(scalar);
    smq_wipe(native, sizeof(native));
    return err == SMQTT_OK ? SMQTT_OK : smq_openssl_fail(err);
}

smqtt_err smq_openssl_p256_import_public(const uint8_t *pk, EVP_PKEY **key)
{
    uint8_t copy[SMQ_OPENSSL_P256_PK_LEN];
    memcpy(copy, pk, sizeof(copy));
    OSSL_PARAM params[3] = {OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof(copy))};
    return p256_import(EVP_PKEY_PUBLIC_KEY, params, key);
}

/* What a multiplication on P-256 needs. libcrypto's own group and point functions, on the group that the process has:
 * an imported EVP_PKEY would build the curve anew for every key, which costs as much as a quarter of a multiplication,
 * and its agreement does the same steps. They take the same time whatever the scalar is. */
struct p256_work {
    const EC_GROUP *group;
    BN_CTX *ctx;
    BIGNUM *scalar;
    BIGNUM *x;
    EC_POINT *peer;
    EC_POINT *point; /* result */
};

static void p256_end(struct p256_work *w)
{
    EC_POINT_free(w->peer);
    EC_POINT_clear_free(w->point);
    BN_clear_free(w->scalar);
    BN_clear_free(w->x);
    BN_CTX_free(w->ctx); /* clears what it has lent */
}

/* To be ended after a failure too. */
static smqtt_err p256_begin(struct p256_work *w, const uint8_t sk[SMQ_SK_LEN])
{
    const struct smq_openssl *ossl = smq_openssl_get();
    *w = (struct p256_work){.group = ossl != NULL ? ossl->p256 : NULL};
    if (ossl == NULL) {
        return SMQTT_E_CRYPTO;
    }
    if (!smq_openssl_p256_is_scalar(sk)) {
        return SMQTT_E_BAD_KEY;
    }
    w->ctx = BN_CTX_new();
    w->scalar = BN_bin2bn(sk, SMQ_SK_LEN, NULL);
    w->x = BN_new();
    w->peer = EC_POINT_new(w->group);
    w->point = EC_POINT_new(w->group);
    if (w->ctx == NULL || w->scalar == NULL || w->x == NULL || w->peer == NULL || w->point == NULL) {
        return SMQTT_E_CRYPTO;
    }
    BN_set_flags(w->scalar, BN_FLG_CONSTTIME);
    return SMQTT_OK;
}

/* The 65 bytes of the scalar's public key. */
static smqtt_err p256_multiply_base(struct p256_work *w, uint8_t out[SMQ_OPENSSL_P256_PK_LEN])
{
    bool ok = EC_POINT_mul(w->group, w->point, w->scalar, NULL, NULL, w->ctx) == 1 &&
              EC_POINT_point2oct(w->group, w->point, POINT_CONVERSION_UNCOMPRESSED, out, SMQ_OPENSSL_P256_PK_LEN,
                                 w->ctx) == SMQ_OPENSSL_P256_PK_LEN;
    return ok ? SMQTT_OK : SMQTT_E_CRYPTO;
}

/* Reads a public key. Fails for coordinates not below the prime and for points off the curve. The
 * cofactor is 1: no point of small order is left, and infinity has no uncompressed form. */
static bool p256_read_point(const EC_GROUP *group, EC_POINT *point, const uint8_t *pk, BN_CTX *ctx)
{
    return pk[0] == POINT_CONVERSION_UNCOMPRESSED &&
           EC_POINT_oct2point(group, point, pk, SMQ_OPENSSL_P256_PK_LEN, ctx) == 1;
}

/* x of the scalar times pk. */
static smqtt_err p256_multiply(struct p256_work *w, const uint8_t *pk, uint8_t out[SMQ_DH_LEN])
{
    if (!p256_read_point(w->group, w->peer, pk, w->ctx)) {
        return SMQTT_E_BAD_KEY;
    }
    bool ok = EC_POINT_mul(w->group, w->point, NULL, w->peer, w->scalar, w->ctx) == 1 &&
              EC_POINT_get_affine_coordinates(w->group, w->point, w->x, NULL, w->ctx) == 1 &&
              BN_bn2binpad(w->x, out, SMQ_DH_LEN) == SMQ_DH_LEN;
    return ok ? SMQTT_OK : SMQTT_E_CRYPTO;
}

smqtt_err smq_openssl_p256_check(const uint8_t *pk)
{
    const struct smq_openssl *ossl = smq_openssl_get();
    if (ossl == NULL) {
        return SMQTT_E_CRYPTO;
    }
    EC_POINT *point = EC_POINT_new(ossl->p256);
    if (point == NULL) {
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    bool ok = p256_read_point(ossl->p256, point, pk, NULL);
    EC_POINT_free(point);
    return ok ? SMQTT_OK : smq_openssl_fail(SMQTT_E_BAD_KEY);
}

smqtt_err smq_openssl_p256_derive_public(const uint8_t sk[SMQ_SK_LEN], uint8_t *pk)
{
    struct p256_work w;
    uint8_t out[SMQ_OPENSSL_P256_PK_LEN];
    smqtt_err err = p256_begin(&w, sk);
    err = err == SMQTT_OK ? p256_multiply_base(&w, out) : err;
    p256_end(&w);
    if (err != SMQTT_OK) {
        return smq_openssl_fail(err);
    }
    memcpy(pk, out, sizeof(out));
    return SMQTT_OK;
}

/* made_pk: NULL, or where the public key of sk goes. */
static smqtt_err p256_agree(const uint8_t *sk, const uint8_t *pk, uint8_t *made_pk, uint8_t out[SMQ_DH_LEN])
{
    struct p256_work w;
    uint8_t shared[SMQ_DH_LEN];
    uint8_t made[SMQ_OPENSSL_P256_PK_LEN];
    smqtt_err err = p256_begin(&w, sk);
    err = err == SMQTT_OK ? p256_multiply(&w, pk, shared) : err;
    if (err == SMQTT_OK && made_pk != NULL) {
        err = p256_multiply_base(&w, made);
    }
    p256_end(&w);
    if (err == SMQTT_OK) {
        memcpy(out, shared, sizeof(shared));
        if (made_pk != NULL) {
            memcpy(made_pk, made, sizeof(made));
        }
    }
    smq_wipe(shared, sizeof(shared));
    return err == SMQTT_OK ? SMQTT_OK : smq_openssl_fail(err);
}

EVP_PKEY *smq_openssl_x_private(const char *type, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk)
{
    if (own_pk == NULL) {
        return EVP_PKEY_new_raw_private_key_ex(NULL, type, NULL, sk, SMQ_SK_LEN);
    }
    uint8_t secret[SMQ_SK_LEN]; /* parameters are not const */
    uint8_t open[SMQ_OPENSSL_X_PK_LEN];
    memcpy(secret, sk, sizeof(secret));
    memcpy(open, own_pk, sizeof(open));
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, secret, sizeof(secret)),
                           OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, open, sizeof(open)),
                           OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *key = NULL;
    if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    smq_wipe(secret, sizeof(secret));
    return key;
}

smqtt_err smq_openssl_x_derive_public(const char *type, const uint8_t sk[SMQ_SK_LEN], uint8_t *pk)
{
    uint8_t out[SMQ_OPENSSL_X_PK_LEN];
    size_t len = sizeof(out);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, type, NULL, sk, SMQ_SK_LEN);
    bool ok = key != NULL && EVP_PKEY_get_raw_public_key(key, out, &len) == 1 && len == sizeof(out);
    EVP_PKEY_free(key);
    if (!ok) {
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    memcpy(pk, out, sizeof(out));
    return SMQTT_OK;
}

smqtt_err smq_openssl_dh_public(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], uint8_t *pk)
{
    switch (curve) {
    case SMQ_CURVE_X25519:
        return smq_openssl_x_derive_public("X25519", sk, pk);
    case SMQ_CURVE_P256:
        return smq_openssl_p256_derive_public(sk, pk);
    }
    return SMQTT_E_BAD_KEY;
}

static smqtt_err x25519_check(const uint8_t *pk)
{
    uint8_t u[SMQ_OPENSSL_X_PK_LEN];
    memcpy(u, pk, sizeof(u));
    u[31] &= 0x7f; /* the top bit is not part of u, RFC 7748 section 5 */
    for (size_t i = 0; i < SMQ_ARRAY_LEN(small_order_u); i++) {
        if (memcmp(u, small_order_u[i], sizeof(u)) == 0) {
            return SMQTT_E_BAD_KEY;
        }
    }
    return SMQTT_OK;
}

smqtt_err smq_openssl_dh_check(enum smq_curve curve, const uint8_t *pk)
{
    switch (curve) {
    case SMQ_CURVE_X25519:
        return x25519_check(pk);
    case SMQ_CURVE_P256:
        return smq_openssl_p256_check(pk);
    }
    return SMQTT_E_BAD_KEY;
}

/* With a context that is ready to derive. */
static smqtt_err x25519_derive(EVP_PKEY_CTX *ctx, const uint8_t *pk, uint8_t out[SMQ_DH_LEN])
{
    static const uint8_t zeros[SMQ_DH_LEN] = {0};
    uint8_t shared[SMQ_DH_LEN];
    size_t len = sizeof(shared);
    smqtt_err err = SMQTT_E_CRYPTO;
    EVP_PKEY *peer = NULL;
    SMQ_TRY(smq_openssl_public(SMQ_CURVE_X25519, pk, &peer));
    if (EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1) {
        bool ok = EVP_PKEY_derive(ctx, shared, &len) == 1 && len == sizeof(shared);
        err = ok && !smq_ct_equal(shared, zeros, sizeof(shared)) ? SMQTT_OK : SMQTT_E_BAD_KEY;
    }
    if (err == SMQTT_OK) {
        memcpy(out, shared, sizeof(shared));
    }
    smq_wipe(shared, sizeof(shared));
    smq_openssl_public_end(SMQ_CURVE_X25519, peer);
    return err;
}

/* A context of this private key that is ready to derive, or NULL. */
static EVP_PKEY_CTX *x25519_ready(EVP_PKEY *own)
{
    EVP_PKEY_CTX *ctx = own != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL) : NULL;
    if (ctx != NULL && EVP_PKEY_derive_init(ctx) != 1) {
        EVP_PKEY_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* made_pk: NULL, or where the public key of sk goes, which importing sk has given. */
static smqtt_err x25519_agree(const uint8_t *sk, const uint8_t *own_pk, const uint8_t *pk, uint8_t *made_pk,
                              uint8_t out[SMQ_DH_LEN])
{
    uint8_t made[SMQ_OPENSSL_X_PK_LEN];
    uint8_t shared[SMQ_DH_LEN];
    size_t len = sizeof(made);
    EVP_PKEY *own = smq_openssl_x_private("X25519", sk, own_pk);
    EVP_PKEY_CTX *ctx = x25519_ready(own);
    smqtt_err err = ctx != NULL ? x25519_derive(ctx, pk, shared) : SMQTT_E_CRYPTO;
    if (err == SMQTT_OK && made_pk != NULL) {
        err = EVP_PKEY_get_raw_public_key(own, made, &len) == 1 ? SMQTT_OK : SMQTT_E_CRYPTO;
    }
    if (err == SMQTT_OK) {
        memcpy(out, shared, sizeof(shared));
        if (made_pk != NULL) {
            memcpy(made_pk, made, sizeof(made));
        }
    }
    smq_wipe(shared, sizeof(shared));
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(own);
    return err == SMQTT_OK ? SMQTT_OK : smq_openssl_fail(err);
}

/* X25519: a context that is ready to derive; each agreement is made by a copy of it, so that threads do not meet. P-256
 * needs no more than the scalar. */
struct smq_dh_key {
    enum smq_curve curve;
    EVP_PKEY_CTX *x25519;
    uint8_t sk[SMQ_SK_LEN];
};

struct smq_dh_key *smq_openssl_dh_key_new(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk)
{
    struct smq_dh_key *made = smq_openssl_dh_is_private(curve, sk) ? smq_mem_zalloc(NULL, 1, sizeof(*made)) : NULL;
    if (made == NULL) {
        return NULL;
    }
    made->curve = curve;
    if (curve == SMQ_CURVE_P256) {
        memcpy(made->sk, sk, SMQ_SK_LEN);
        return made;
    }
    EVP_PKEY *own = smq_openssl_x_private("X25519", sk, own_pk);
    made->x25519 = x25519_ready(own);
    EVP_PKEY_free(own); /* the context has its own reference */
    if (made->x25519 == NULL) {
        smq_openssl_dh_key_free(made);
        (void)smq_openssl_fail(SMQTT_E_CRYPTO);
        return NULL;
    }
    return made;
}

void smq_openssl_dh_key_free(struct smq_dh_key *key)
{
    if (key != NULL) {
        EVP_PKEY_CTX_free(key->x25519); /* wipes the private key with its last reference */
        smq_wipe(key, sizeof(*key));
        smq_mem_free(NULL, key);
    }
}

smqtt_err smq_openssl_dh_with(const struct smq_dh_key *key, const uint8_t *pk, uint8_t out[SMQ_DH_LEN])
{
    if (key->curve == SMQ_CURVE_P256) {
        return p256_agree(key->sk, pk, NULL, out);
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(key->x25519);
    smqtt_err err = ctx != NULL ? x25519_derive(ctx, pk, out) : SMQTT_E_CRYPTO;
    EVP_PKEY_CTX_free(ctx);
    return err == SMQTT_OK ? SMQTT_OK : smq_openssl_fail(err);
}

smqtt_err smq_openssl_dh_agree(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk,
                               const uint8_t *pk, uint8_t out[SMQ_DH_LEN])
{
    switch (curve) {
    case SMQ_CURVE_X25519:
        return x25519_agree(sk, own_pk, pk, NULL, out);
    case SMQ_CURVE_P256:
        return p256_agree(sk, pk, NULL, out);
    }
    return SMQTT_E_BAD_KEY;
}

smqtt_err smq_openssl_dh_pair(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *pk, uint8_t *own_pk,
                              uint8_t out[SMQ_DH_LEN])
{
    switch (curve) {
    case SMQ_CURVE_X25519:
        return x25519_agree(sk, NULL, pk, own_pk, out);
    case SMQ_CURVE_P256:
        return p256_agree(sk, pk, own_pk, out);
    }
    return SMQTT_E_BAD_KEY;
}

bool smq_openssl_dh_is_private(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN])
{
    switch (curve) {
    case SMQ_CURVE_X25519:
        return true; /* any 32 bytes are (RFC 7748 section 5) */
    case SMQ_CURVE_P256:
        return smq_openssl_p256_is_scalar(sk);
    }
    return false;
}
