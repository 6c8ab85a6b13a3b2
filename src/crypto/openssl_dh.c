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

smqtt_err smq_openssl_p256_public(const uint8_t *pk, EVP_PKEY **key)
{
    SMQ_TRY(smq_openssl_p256_check(pk));
    uint8_t copy[SMQ_OPENSSL_P256_PK_LEN];
    memcpy(copy, pk, sizeof(copy));
    OSSL_PARAM params[3] = {OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof(copy))};
    return p256_import(EVP_PKEY_PUBLIC_KEY, params, key);
}

smqtt_err smq_openssl_p256_check(const uint8_t *pk)
{
    const struct smq_openssl *ossl = smq_openssl_get();
    if (ossl == NULL) {
        return SMQTT_E_CRYPTO;
    }
    if (pk[0] != POINT_CONVERSION_UNCOMPRESSED) {
        return SMQTT_E_BAD_KEY;
    }
    EC_POINT *point = EC_POINT_new(ossl->p256);
    if (point == NULL) {
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    /* Fails for coordinates not below the prime and for points off the curve. The cofactor is 1: no point of small
     * order is left, and infinity has no uncompressed form. */
    bool ok = EC_POINT_oct2point(ossl->p256, point, pk, SMQ_OPENSSL_P256_PK_LEN, NULL) == 1;
    EC_POINT_free(point);
    return ok ? SMQTT_OK : smq_openssl_fail(SMQTT_E_BAD_KEY);
}

smqtt_err smq_openssl_p256_derive_public(const uint8_t sk[SMQ_SK_LEN], uint8_t *pk)
{
    const struct smq_openssl *ossl = smq_openssl_get();
    if (ossl == NULL) {
        return SMQTT_E_CRYPTO;
    }
    if (!smq_openssl_p256_is_scalar(sk)) {
        return SMQTT_E_BAD_KEY;
    }
    BIGNUM *scalar = BN_bin2bn(sk, SMQ_SK_LEN, NULL);
    EC_POINT *point = EC_POINT_new(ossl->p256);
    uint8_t out[SMQ_OPENSSL_P256_PK_LEN];
    bool ok = false;
    if (scalar != NULL && point != NULL) {
        BN_set_flags(scalar, BN_FLG_CONSTTIME);
        ok =
            EC_POINT_mul(ossl->p256, point, scalar, NULL, NULL, NULL) == 1 &&
            EC_POINT_point2oct(ossl->p256, point, POINT_CONVERSION_UNCOMPRESSED, out, sizeof(out), NULL) == sizeof(out);
    }
    EC_POINT_free(point);
    BN_clear_free(scalar);
    if (!ok) {
        return smq_openssl_fail(SMQTT_E_CRYPTO);
    }
    memcpy(pk, out, sizeof(out));
    return SMQTT_OK;
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

/* Both keys as objects, or none. */
static smqtt_err import_pair(enum smq_curve curve, const uint8_t *sk, const uint8_t *own_pk, const uint8_t *pk,
                             EVP_PKEY **own, EVP_PKEY **peer)
{
    EVP_PKEY *mine = NULL;
    EVP_PKEY *theirs = NULL;
    smqtt_err err;
    SMQ_TRY(smq_openssl_dh_check(curve, pk));
    if (curve == SMQ_CURVE_P256) {
        err = smq_openssl_p256_private(sk, &mine);
        err = err == SMQTT_OK ? smq_openssl_p256_public(pk, &theirs) : err;
    } else {
        mine = smq_openssl_x_private("X25519", sk, own_pk);
        theirs = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, pk, SMQ_OPENSSL_X_PK_LEN);
        err = mine != NULL && theirs != NULL ? SMQTT_OK : SMQTT_E_CRYPTO;
    }
    if (err != SMQTT_OK) {
        EVP_PKEY_free(mine);
        EVP_PKEY_free(theirs);
        return smq_openssl_fail(err);
    }
    *own = mine;
    *peer = theirs;
    return SMQTT_OK;
}

/* The public key of an imported private one. X25519 has it ready; P-256 computes it. */
static smqtt_err own_public(enum smq_curve curve, EVP_PKEY *own, const uint8_t *sk, uint8_t *pk)
{
    size_t len = SMQ_OPENSSL_X_PK_LEN;
    if (curve == SMQ_CURVE_P256) {
        return smq_openssl_p256_derive_public(sk, pk);
    }
    return EVP_PKEY_get_raw_public_key(own, pk, &len) == 1 ? SMQTT_OK : SMQTT_E_CRYPTO;
}

/* made_pk: NULL, or where the public key of sk goes. */
static smqtt_err agree(enum smq_curve curve, const uint8_t *sk, const uint8_t *own_pk, const uint8_t *pk,
                       uint8_t *made_pk, uint8_t out[SMQ_DH_LEN])
{
    uint8_t own_copy[SMQ_PK_MAX];
    static const uint8_t zeros[SMQ_DH_LEN] = {0};
    EVP_PKEY *own = NULL;
    EVP_PKEY *peer = NULL;
    SMQ_TRY(import_pair(curve, sk, own_pk, pk, &own, &peer));

    uint8_t shared[SMQ_DH_LEN];
    size_t len = sizeof(shared);
    smqtt_err err = SMQTT_E_CRYPTO;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    /* The peer's key needs no second check: it costs a multiplication by the order, and the import has seen that it is
     * on the curve. */
    if (ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1) {
        bool ok = EVP_PKEY_derive(ctx, shared, &len) == 1 && len == sizeof(shared);
        err = ok && !smq_ct_equal(shared, zeros, sizeof(shared)) ? SMQTT_OK : SMQTT_E_BAD_KEY;
    }
    if (err == SMQTT_OK && made_pk != NULL) {
        err = own_public(curve, own, sk, own_copy);
    }
    if (err == SMQTT_OK) {
        memcpy(out, shared, sizeof(shared));
        if (made_pk != NULL) {
            memcpy(made_pk, own_copy, curve == SMQ_CURVE_P256 ? SMQ_OPENSSL_P256_PK_LEN : SMQ_OPENSSL_X_PK_LEN);
        }
    }
    smq_wipe(shared, sizeof(shared));
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    return err == SMQTT_OK ? SMQTT_OK : smq_openssl_fail(err);
}

smqtt_err smq_openssl_dh_agree(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk,
                               const uint8_t *pk, uint8_t out[SMQ_DH_LEN])
{
    return agree(curve, sk, own_pk, pk, NULL, out);
}

smqtt_err smq_openssl_dh_pair(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *pk, uint8_t *own_pk,
                              uint8_t out[SMQ_DH_LEN])
{
    return agree(curve, sk, NULL, pk, own_pk, out);
}
