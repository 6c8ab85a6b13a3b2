/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CRYPTO_HPKE_H
#define SMQTT_CRYPTO_HPKE_H
/* Hybrid Public Key Encryption (RFC 9180), modes base and psk, for the suites of suite.def. */
#include "crypto/hkdf.h"
#include "crypto/suite.h"

enum { SMQ_HPKE_CONTEXT_LEN = 1 + 2 * SMQ_HASH_LEN };

/** A context after set-up; holds secrets: end with smq_hpke_deinit. */
struct smq_hpke {
    const struct smq_crypto_lib *lib;
    const struct smq_suite *suite;
    struct smq_hkdf kdf;
    uint8_t secret[SMQ_HASH_LEN]; /* of the key schedule, until key and base nonce are derived */
    uint8_t context[SMQ_HPKE_CONTEXT_LEN];
    struct smq_aead_key *aead; /* NULL until first used */
    uint8_t base_nonce[SMQ_NONCE_LEN];
    uint8_t exporter[SMQ_HASH_LEN];
    uint64_t seq;
};

/** Pre-shared key for mode psk: at least 32 bytes of secret and a non-empty id. Both empty: mode base. */
struct smq_hpke_psk {
    smq_span psk;
    smq_span id;
};

/** SetupBaseS / SetupPSKS. pkR: npk bytes. skE: the ephemeral private key (from smq_suite_keygen; vectors pass theirs),
 * used once. enc gets npk bytes. psk may be NULL. On failure ctx and enc are untouched. lib and suite outlive the
 * context, the rest is not kept. SMQTT_E_BAD_KEY, SMQTT_E_USAGE (half a psk, or one under 32 bytes), SMQTT_E_CRYPTO,
 * SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hpke_setup_s(struct smq_hpke *ctx, const struct smq_crypto_lib *lib,
                                        const struct smq_suite *suite, const uint8_t *pkR,
                                        const uint8_t skE[SMQ_SK_LEN], smq_span info, const struct smq_hpke_psk *psk,
                                        uint8_t *enc);
/** SetupBaseR / SetupPSKR. pkR: the public key of skR where the caller has it, which spares computing it; NULL: it has
 * not. Errors as above. */
SMQ_MUST_USE smqtt_err smq_hpke_setup_r(struct smq_hpke *ctx, const struct smq_crypto_lib *lib,
                                        const struct smq_suite *suite, const uint8_t skR[SMQ_SK_LEN],
                                        const uint8_t *pkR, const uint8_t *enc, smq_span info,
                                        const struct smq_hpke_psk *psk);
/** The same with a private key that was made ready, and its public key. */
SMQ_MUST_USE smqtt_err smq_hpke_setup_r_with(struct smq_hpke *ctx, const struct smq_crypto_lib *lib,
                                             const struct smq_suite *suite, const struct smq_dh_key *skR,
                                             const uint8_t *pkR, const uint8_t *enc, smq_span info,
                                             const struct smq_hpke_psk *psk);
/** Derives key and base nonce, which sealing and opening do by themselves; whoever only exports does without.
 * SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hpke_ready(struct smq_hpke *ctx);
/** Seals the next message: out gets pt.len + 16 bytes and may be pt.data. A failure does not advance the sequence.
 * SMQTT_E_SEQ_EXHAUSTED, SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hpke_seal(struct smq_hpke *ctx, smq_span aad, smq_span pt, uint8_t *out);
/** Opens the next message: out gets ct.len - 16 bytes, may be ct.data, and is wiped on failure. A failure does not
 * advance the sequence. SMQTT_E_BAD_TAG, SMQTT_E_SEQ_EXHAUSTED, SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hpke_open(struct smq_hpke *ctx, smq_span aad, smq_span ct, uint8_t *out);
/** Exported secret of len (at most 255 * 32) bytes (RFC 9180 section 5.3); out is wiped on failure. SMQTT_E_USAGE
 * (longer), SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hpke_export(struct smq_hpke *ctx, smq_span exporter_context, uint8_t *out, size_t len);
/** Frees and wipes; harmless on a zeroed context. */
void smq_hpke_deinit(struct smq_hpke *ctx);

#endif
