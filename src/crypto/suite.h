/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CRYPTO_SUITE_H
#define SMQTT_CRYPTO_SUITE_H
/* A cipher suite: which curve, signature and AEAD belong together. Rows in suite.def. No negotiation of single parts.
 */
#include "crypto/lib.h"

struct smq_suite {
    uint8_t id;
    const char *name;
    enum smq_curve curve;
    enum smq_sign sign;
    enum smq_aead aead;
    uint16_t kem_id;
    uint16_t aead_id;
    size_t npk;  /* KEM public key and encapsulation, bytes */
    size_t nspk; /* signature public key, bytes */
    size_t nk;   /* AEAD key, bytes */
};

enum { SMQ_KDF_ID = 0x0001 /* HKDF-SHA256 */ };

/** The row with this wire id, or NULL. */
const struct smq_suite *smq_suite_by_id(uint8_t id);
/** The row with this name, or NULL. */
const struct smq_suite *smq_suite_by_name(const char *name);
/** Row i from 0, or NULL behind the last. */
const struct smq_suite *smq_suite_at(size_t i);

/** A fresh private key for KEM or signature from rng (P-256: drawn again until valid). SMQTT_E_RNG (also when no draw
 * was valid). */
SMQ_MUST_USE smqtt_err smq_suite_keygen(const struct smq_crypto_lib *lib, const struct smq_suite *suite,
                                        const struct smqtt_rng *rng, uint8_t sk[SMQ_SK_LEN]);

#endif
