/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CRYPTO_LIB_H
#define SMQTT_CRYPTO_LIB_H
/* What S-MQTT needs of a cryptographic library: one table of functions. crypto/openssl.c fills it in with libcrypto;
 * another library takes its place by another file with another table. Nothing above this floor names a library. */
#include "base/span.h"

enum {
    SMQ_HASH_LEN = 32,
    SMQ_TAG_LEN = 16,
    SMQ_NONCE_LEN = 12,
    SMQ_SIG_LEN = 64,
    SMQ_PK_MAX = 65,
    SMQ_SK_LEN = 32,
    SMQ_DH_LEN = 32
};

enum smq_curve { SMQ_CURVE_X25519, SMQ_CURVE_P256 };
enum smq_sign { SMQ_SIGN_ED25519, SMQ_SIGN_ECDSA_P256 };
enum smq_aead { SMQ_AEAD_CHACHA20_POLY1305, SMQ_AEAD_AES_128_GCM };

/** One key of an AEAD, ready for many messages; made by aead_new of the table. One thread at a time uses it. */
struct smq_aead_key;

/** A private key for agreements; made by dh_key_new of the table. */
struct smq_dh_key;
/** A private key for signatures; made by sign_key_new of the table. */
struct smq_sign_key;
/** A context of HMAC; made by mac_new of the table. */
struct smq_mac;

/* All entries may be called from several threads at once. Results are untouched on failure unless said otherwise. A
 * library leaves no error of its own behind for others (libcrypto has a queue of them per thread). */
struct smq_crypto_lib {
    const char *name;

    /** SHA-256 over the parts one after the other. SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
    smqtt_err (*sha256)(const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN]);
    /** HMAC-SHA-256 with a key of any length (an empty one included) over the parts. SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
    smqtt_err (*hmac)(smq_span key, const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN]);

    /** A context for HMAC-SHA-256, to be made once for several of them. One thread at a time uses it. NULL when there
     * is no memory. */
    struct smq_mac *(*mac_new)(void);
    /** Wipes and frees; NULL allowed. */
    void (*mac_free)(struct smq_mac *mac);
    /** HMAC-SHA-256 over the parts. key as above, or NULL for the one of the call before on this context, which spares
     * half of the work; the first call on a context, and one after a failure, has a key. SMQTT_E_CRYPTO. */
    smqtt_err (*mac)(struct smq_mac *mac, const smq_span *key, const smq_span *parts, size_t n,
                     uint8_t out[SMQ_HASH_LEN]);

    /** Public key of a private one; pk gets 32 (X25519) or 65 bytes (P-256, uncompressed).
     *  SMQTT_E_BAD_KEY when sk is not a valid private key (P-256: zero or not below the order). */
    smqtt_err (*dh_public)(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], uint8_t *pk);
    /** Shared secret: X25519's output, or the x coordinate for P-256. pk is the peer's, of the curve's length.
     *  own_pk: the public key of sk where the caller has it, which spares computing it; NULL: it has not.
     *  SMQTT_E_BAD_KEY for points that are not on the curve, of small order, or that give all zeros. */
    smqtt_err (*dh)(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk, const uint8_t *pk,
                    uint8_t out[SMQ_DH_LEN]);
    /** As dh without own_pk, which gets the public key of sk: importing it gives that for nothing with X25519. Errors
     * as dh. */
    smqtt_err (*dh_pair)(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *pk, uint8_t *own_pk,
                         uint8_t out[SMQ_DH_LEN]);
    /** A private key made ready for many agreements; sk and own_pk as with dh. NULL: no memory, or sk is no private
     * key.
     */
    struct smq_dh_key *(*dh_key_new)(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk);
    /** Wipes and frees; NULL allowed. */
    void (*dh_key_free)(struct smq_dh_key *key);
    /** As dh with that key. Several threads may use one key at once. */
    smqtt_err (*dh_with)(const struct smq_dh_key *key, const uint8_t *pk, uint8_t out[SMQ_DH_LEN]);
    /** May these bytes be a private key? X25519: any; P-256: not zero and below the order. Takes the same time whatever
     * they are. */
    bool (*dh_is_private)(enum smq_curve curve, const uint8_t sk[SMQ_SK_LEN]);
    /** Is this the encoding of a point that may be used as a public key? X25519: any but those of small order; as RFC
     * 7748 has it the top bit does not count and values not below the prime are reduced. SMQTT_OK, SMQTT_E_BAD_KEY. */
    smqtt_err (*dh_check)(enum smq_curve curve, const uint8_t *pk);

    /** Public key of a signature key: 32 bytes (Ed25519; sk is the RFC 8032 seed) or 65 (P-256, uncompressed).
     * SMQTT_E_BAD_KEY. */
    smqtt_err (*sign_public)(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], uint8_t *pk);
    /** Signs the parts one after the other; ECDSA gives r || s with the low s. own_pk: the public key of sk where the
     * caller has derived it or compared it with one that was, which spares computing it; NULL: it has not. Never one
     * that somebody else only says to be it: two Ed25519 signatures with different ones betray sk. SMQTT_E_BAD_KEY,
     * SMQTT_E_CRYPTO, and with Ed25519, which takes the message in one piece, SMQTT_E_NOMEM (only over 1024 bytes) and
     * SMQTT_E_USAGE (over INT_MAX bytes). */
    smqtt_err (*sign)(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk, const smq_span *parts,
                      size_t n, uint8_t sig[SMQ_SIG_LEN]);
    /** A signature key made ready for many signatures: sk and own_pk as above. NULL: no memory, or sk is no private
     * key. */
    struct smq_sign_key *(*sign_key_new)(enum smq_sign alg, const uint8_t sk[SMQ_SK_LEN], const uint8_t *own_pk);
    /** Wipes and frees; NULL allowed. */
    void (*sign_key_free)(struct smq_sign_key *key);
    /** Signs the parts as sign does. Several threads may use one key at once. */
    smqtt_err (*sign_with)(const struct smq_sign_key *key, const smq_span *parts, size_t n, uint8_t sig[SMQ_SIG_LEN]);
    /** Verifies; refuses high s, non-canonical Ed25519 S and keys of small order. SMQTT_OK, SMQTT_E_BAD_SIGNATURE,
     * SMQTT_E_BAD_KEY, and as with sign SMQTT_E_CRYPTO, SMQTT_E_NOMEM, SMQTT_E_USAGE. */
    smqtt_err (*verify)(enum smq_sign alg, const uint8_t *pk, const smq_span *parts, size_t n,
                        const uint8_t sig[SMQ_SIG_LEN]);
    /** May this be enrolled as a signature key (on the curve, not of small order, canonical)? SMQTT_OK or
     * SMQTT_E_BAD_KEY. */
    smqtt_err (*sign_check)(enum smq_sign alg, const uint8_t *pk);

    /** A key for many messages in both directions (key: 32 bytes for ChaCha20-Poly1305, 16 for AES-128-GCM). NULL when
     * there is no memory. */
    struct smq_aead_key *(*aead_new)(enum smq_aead alg, const uint8_t *key);
    /** Wipes and frees; NULL allowed. */
    void (*aead_free)(struct smq_aead_key *key);
    /** out gets pt.len + 16 bytes; out may be pt.data itself, but not overlap it otherwise. A nonce is
     * never used twice. On failure out holds nothing of use. SMQTT_E_CRYPTO (also for more than INT_MAX bytes). */
    smqtt_err (*aead_seal)(struct smq_aead_key *key, const uint8_t nonce[SMQ_NONCE_LEN], smq_span aad, smq_span pt,
                           uint8_t *out);
    /** ct ends with the tag; out gets ct.len - 16 bytes, is wiped on failure, may be ct.data. SMQTT_E_BAD_TAG (also
     * when ct is under 16 or over INT_MAX bytes; then out is untouched). */
    smqtt_err (*aead_open)(struct smq_aead_key *key, const uint8_t nonce[SMQ_NONCE_LEN], smq_span aad, smq_span ct,
                           uint8_t *out);

    /** Randomness of the library's own generator, for apps that have no other; false when it failed. */
    bool (*random)(uint8_t *out, size_t len);
};

/** OpenSSL 3 libcrypto. */
extern const struct smq_crypto_lib smq_crypto_openssl;

#endif
