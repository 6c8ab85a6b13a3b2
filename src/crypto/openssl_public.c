/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys of others as libcrypto's objects. To make one costs libcrypto 3 us (X25519) to 17 us (P-256, which builds
 * the curve anew), to put another key into it 0.1 to 1 us, so those that were used wait for the next key. Nothing in
 * them is secret. */
#include <stdatomic.h>

#include "crypto/openssl_parts.h"

enum { SPARES = 4 /* of a curve: that many threads find one */, CURVES = SMQ_CURVE_P256 + 1 };

static _Atomic(EVP_PKEY *) spares[CURVES][SPARES];

static EVP_PKEY *take(enum smq_curve curve)
{
    EVP_PKEY *key = NULL;
    for (size_t i = 0; i < SPARES && key == NULL; i++) {
        key = atomic_exchange(&spares[curve][i], NULL);
    }
    return key;
}

void smq_openssl_public_end(enum smq_curve curve, EVP_PKEY *key)
{
    for (size_t i = 0; i < SPARES && key != NULL; i++) {
        EVP_PKEY *empty = NULL;
        if (atomic_compare_exchange_strong(&spares[curve][i], &empty, key)) {
            return;
        }
    }
    EVP_PKEY_free(key);
}

/* What the object is not known to look at: small order with X25519; P-256 has other forms of the same length. */
static bool is_acceptable(enum smq_curve curve, const uint8_t *pk)
{
    return curve == SMQ_CURVE_P256 ? pk[0] == POINT_CONVERSION_UNCOMPRESSED
                                   : smq_openssl_dh_check(curve, pk) == SMQTT_OK;
}

static smqtt_err make(enum smq_curve curve, const uint8_t *pk, EVP_PKEY **key)
{
    if (curve == SMQ_CURVE_P256) {
        SMQ_TRY(smq_openssl_p256_check(pk));
        return smq_openssl_p256_import_public(pk, key);
    }
    *key = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, pk, SMQ_OPENSSL_X_PK_LEN);
    return *key != NULL ? SMQTT_OK : SMQTT_E_CRYPTO;
}

smqtt_err smq_openssl_public(enum smq_curve curve, const uint8_t *pk, EVP_PKEY **out)
{
    size_t len = curve == SMQ_CURVE_P256 ? SMQ_OPENSSL_P256_PK_LEN : SMQ_OPENSSL_X_PK_LEN;
    if (!is_acceptable(curve, pk)) {
        return SMQTT_E_BAD_KEY;
    }
    EVP_PKEY *key = take(curve);
    if (key != NULL && EVP_PKEY_set1_encoded_public_key(key, pk, len) == 1) { /* off the curve it fails */
        *out = key;
        return SMQTT_OK;
    }
    EVP_PKEY_free(key); /* nobody knows what is in it now */
    key = NULL;
    smqtt_err err = make(curve, pk, &key);
    if (err != SMQTT_OK) {
        return smq_openssl_fail(err);
    }
    *out = key;
    return SMQTT_OK;
}
