/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CRYPTO_PWHASH_LIB_H
#define SMQTT_CRYPTO_PWHASH_LIB_H
/* What crypto/pwhash.c needs of cryptographic libraries. Only the broker and its tools hash passwords, so this is no
 * part of the table of crypto/lib.h. All may be called from several threads at once; errors: SMQTT_E_CRYPTO,
 * SMQTT_E_NOMEM. */
#include "base/span.h"

/** SHA-512 of password and salt, one behind the other: 64 bytes. */
SMQ_MUST_USE smqtt_err smq_pwhash_lib_sha512(smq_span password, smq_span salt, uint8_t *out);
/** PBKDF2-HMAC-SHA-512 (RFC 8018): 64 bytes. */
SMQ_MUST_USE smqtt_err smq_pwhash_lib_pbkdf2(smq_span password, smq_span salt, uint32_t iterations, uint8_t *out);
/** Argon2id, version 19 (RFC 9106). */
SMQ_MUST_USE smqtt_err smq_pwhash_lib_argon2id(smq_span password, smq_span salt, uint32_t passes, uint32_t kib,
                                               uint32_t lanes, uint8_t *out, size_t len);

#endif
