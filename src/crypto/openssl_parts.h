/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CRYPTO_OPENSSL_PARTS_H
#define SMQTT_CRYPTO_OPENSSL_PARTS_H
/* What the files openssl*.c share; included by nothing else. The functions of the table are documented in crypto/lib.h.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "base/mem.h"
#include "crypto/lib.h"

enum { SMQ_OPENSSL_P256_PK_LEN = 65, SMQ_OPENSSL_X_PK_LEN = 32 };

/** Algorithms, fetched once per process: a fetch by name for each message costs more than the message. Read-only
 * afterwards, so all threads may use them at once. They live until the process ends. */
struct smq_openssl {
    EVP_MD *sha256;
    EVP_MAC_CTX *hmac; /* pattern to copy: HMAC with SHA-256 under some key */
    EVP_CIPHER *chacha20_poly1305;
    EVP_CIPHER *aes_128_gcm;
    EC_GROUP *p256;
};

/** The algorithms, fetched at the first call of any thread; NULL when libcrypto lacks one of them. */
const struct smq_openssl *smq_openssl_get(void);
/** Gives `err` back after it has emptied the thread's queue of libcrypto errors: what is left there would be taken for
 * an error of the next TLS call. */
smqtt_err smq_openssl_fail(smqtt_err err);

/** 1 <= v < order of P-256? v is big-endian; takes the same time whatever v is. */
bool smq_openssl_p256_is_scalar(const uint8_t v[SMQ_SK_LEN]);
/** Private key of P-256 as an object of the caller's, to end with EVP_PKEY_free. SMQTT_E_BAD_KEY (not a scalar),
 * SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_openssl_p256_private(const uint8_t sk[SMQ_SK_LEN], EVP_PKEY **key);
/** Public key of P-256 (65 bytes), which was checked, likewise. SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_openssl_p256_import_public(const uint8_t *pk, EVP_PKEY **key);
/** Public key of a curve as an object on loan, to give back with smq_openssl_public_end, also for ECDSA.
 * SMQTT_E_BAD_KEY (as dh_check), SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_openssl_public(enum smq_curve curve, const uint8_t *pk, EVP_PKEY **key);
/** Gives it back; NULL allowed. */
void smq_openssl_public_end(enum smq_curve curve, EVP_PKEY *key);
/** Writes the 65 bytes of the public key of sk. SMQTT_E_BAD_KEY, SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_openssl_p256_derive_public(const uint8_t sk[SMQ_SK_LEN], uint8_t *pk);
/** Are these 65 bytes an uncompressed point of the curve? SMQTT_OK, SMQTT_E_BAD_KEY, SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_openssl_p256_check(const uint8_t *pk);
/** Private key of X25519 or Ed25519 as an object of the caller's, to end with EVP_PKEY_free; `type` is libcrypto's name
 * of it. own_pk: its public key, or NULL to have it computed, which costs a multiplication. NULL when it failed. */
EVP_PKEY *smq_openssl_x_private(const char *type, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk);
/** Writes the 32 bytes of the public key of an X25519 or Ed25519 key; `type` is libcrypto's name of it. SMQTT_E_CRYPTO.
 */
SMQ_MUST_USE smqtt_err smq_openssl_x_derive_public(const char *type, const uint8_t sk[SMQ_SK_LEN], uint8_t *pk);

/* Entries of the table, see crypto/lib.h. */
smqtt_err smq_openssl_hash_sha256(const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN]);
smqtt_err smq_openssl_hash_hmac(smq_span key, const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN]);
struct smq_mac *smq_openssl_hash_mac_new(void);
void smq_openssl_hash_mac_free(struct smq_mac *mac);
smqtt_err smq_openssl_hash_mac(struct smq_mac *mac, const smq_span *key, const smq_span *parts, size_t n,
                               uint8_t out[SMQ_HASH_LEN]);
smqtt_err smq_openssl_dh_pair(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *pk, uint8_t *own_pk,
                              uint8_t out[SMQ_DH_LEN]);
smqtt_err smq_openssl_dh_public(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], uint8_t *pk);
smqtt_err smq_openssl_dh_agree(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk,
                               const uint8_t *pk, uint8_t out[SMQ_DH_LEN]);
struct smq_dh_key *smq_openssl_dh_key_new(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk);
void smq_openssl_dh_key_free(struct smq_dh_key *key);
smqtt_err smq_openssl_dh_with(const struct smq_dh_key *key, const uint8_t *pk, uint8_t out[SMQ_DH_LEN]);
bool smq_openssl_dh_is_private(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN]);
smqtt_err smq_openssl_dh_check(enum smq_curve curve, const uint8_t *pk);
smqtt_err smq_openssl_sign_public(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], uint8_t *pk);
smqtt_err smq_openssl_sign_make(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk,
                                const smq_span *parts, size_t n, uint8_t sig[SMQ_SIG_LEN]);
struct smq_sign_key *smq_openssl_sign_key_new(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk);
void smq_openssl_sign_key_free(struct smq_sign_key *key);
smqtt_err smq_openssl_sign_with(const struct smq_sign_key *key, const smq_span *parts, size_t n,
                                uint8_t sig[SMQ_SIG_LEN]);
smqtt_err smq_openssl_sign_verify(enum smq_sign alg, const uint8_t *pk, const smq_span *parts, size_t n,
                                  const uint8_t sig[SMQ_SIG_LEN]);
smqtt_err smq_openssl_sign_check(enum smq_sign alg, const uint8_t *pk);
struct smq_aead_key *smq_openssl_aead_new(enum smq_aead alg, const uint8_t *key);
void smq_openssl_aead_free(struct smq_aead_key *key);
smqtt_err smq_openssl_aead_seal(struct smq_aead_key *key, const uint8_t nonce[SMQ_NONCE_LEN], smq_span aad, smq_span pt,
                                uint8_t *out);
smqtt_err smq_openssl_aead_open(struct smq_aead_key *key, const uint8_t nonce[SMQ_NONCE_LEN], smq_span aad, smq_span ct,
                                uint8_t *out);

#endif
