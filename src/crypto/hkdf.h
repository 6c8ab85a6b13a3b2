/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CRYPTO_HKDF_H
#define SMQTT_CRYPTO_HKDF_H
/* HKDF with SHA-256 (RFC 5869) over a library's HMAC. */
#include "crypto/lib.h"

/** A run of derivations on one HMAC context. It holds secrets: end with smq_hkdf_end. */
struct smq_hkdf {
    const struct smq_crypto_lib *lib; /* NULL: not begun */
    struct smq_mac *mac;
    uint8_t prk[SMQ_HASH_LEN];
    bool has_prk;
    bool is_keyed; /* the context has prk as its key */
};

/** Begins a run; lib outlives it. SMQTT_E_NOMEM; then there is nothing to end, but ending is harmless. */
SMQ_MUST_USE smqtt_err smq_hkdf_begin(struct smq_hkdf *kdf, const struct smq_crypto_lib *lib);
/** Frees and wipes; harmless on a zeroed run. */
void smq_hkdf_end(struct smq_hkdf *kdf);
/** PRK = HMAC(salt, ikm), the ikm in parts; the expansions that follow are from it. prk: where it goes besides, or
 * NULL. SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hkdf_extract(struct smq_hkdf *kdf, smq_span salt, const smq_span *ikm, size_t n,
                                        uint8_t *prk);
/** The expansions that follow are from this PRK. */
void smq_hkdf_set(struct smq_hkdf *kdf, const uint8_t prk[SMQ_HASH_LEN]);
/** len (at most 255 * 32) bytes from the PRK and the info in parts (at most 12); out is wiped on failure. The second
 * expansion from the same PRK, and the second block, cost half of the first. SMQTT_E_USAGE (more of either, or no PRK),
 * SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hkdf_expand(struct smq_hkdf *kdf, const smq_span *info, size_t n, uint8_t *out, size_t len);

#endif
