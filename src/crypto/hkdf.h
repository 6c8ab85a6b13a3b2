/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CRYPTO_HKDF_H
#define SMQTT_CRYPTO_HKDF_H
/* HKDF with SHA-256 (RFC 5869) over a library's HMAC. */
#include "crypto/lib.h"

/** PRK = HMAC(salt, ikm), the ikm in parts. SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hkdf_extract(const struct smq_crypto_lib *lib, smq_span salt, const smq_span *ikm, size_t n,
                                        uint8_t prk[SMQ_HASH_LEN]);
/** len (at most 255 * 32) bytes from prk and the info in parts (at most 12); out is wiped on failure.
 * SMQTT_E_USAGE (more of either), SMQTT_E_CRYPTO, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_hkdf_expand(const struct smq_crypto_lib *lib, const uint8_t prk[SMQ_HASH_LEN],
                                       const smq_span *info, size_t n, uint8_t *out, size_t len);

#endif
