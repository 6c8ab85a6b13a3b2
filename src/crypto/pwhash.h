/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CRYPTO_PWHASH_H
#define SMQTT_CRYPTO_PWHASH_H
/* Hashes of passwords as Mosquitto's password files have them:
 *   $6$SALT$HASH                        SHA-512 of password and salt; quick to guess, for old files
 *   $7$ITERATIONS$SALT$HASH             PBKDF2-HMAC-SHA-512
 *   $argon2id$v=19$m=KIB,t=N,p=N$SALT$HASH
 * SALT and HASH are base64: with padding in the first two, without in the third. */
#include "base/span.h"

enum smq_pwhash_kind { SMQ_PWHASH_SHA512, SMQ_PWHASH_PBKDF2, SMQ_PWHASH_ARGON2ID };

enum {
    SMQ_PWHASH_SALT_MAX = 64,
    SMQ_PWHASH_HASH_MAX = 64,
    SMQ_PWHASH_TEXT_MAX = 256,            /* of the text, with its zero */
    SMQ_PWHASH_ITERATIONS_MAX = 10000000, /* some ten seconds */
    SMQ_PWHASH_PASSES_MAX = 64,
    SMQ_PWHASH_KIB_MAX = 1024 * 1024,
    SMQ_PWHASH_LANES_MAX = 16
};

struct smq_pwhash {
    uint8_t kind; /* enum smq_pwhash_kind */
    bool never;   /* no password fits; verifying takes as long as ever */
    uint8_t salt_len, hash_len;
    uint32_t iterations; /* PBKDF2: rounds; Argon2id: passes */
    uint32_t kib, lanes; /* Argon2id: memory and parallelism */
    uint8_t salt[SMQ_PWHASH_SALT_MAX];
    uint8_t hash[SMQ_PWHASH_HASH_MAX];
};

/** Reads one of the three forms. SMQTT_E_MALFORMED: it is none of them; SMQTT_E_FULL: it would take more time or memory
 * than the limits above. *out is untouched then. */
SMQ_MUST_USE smqtt_err smq_pwhash_read(smq_span text, struct smq_pwhash *out);
/** Writes the text form and a zero; returns its length. */
size_t smq_pwhash_write(const struct smq_pwhash *hash, char out[SMQ_PWHASH_TEXT_MAX]);
/** Hashes a password with kind, salt and costs of *hash into it, which gets hash_len too. SMQTT_E_NOMEM,
 * SMQTT_E_CRYPTO. */
SMQ_MUST_USE smqtt_err smq_pwhash_make(struct smq_pwhash *hash, smq_span password);
/** Is it this password? SMQTT_OK; SMQTT_E_BAD_LOGIN: it is another; SMQTT_E_NOMEM, SMQTT_E_CRYPTO: it cannot be told.
 * May take seconds, as the costs say. */
SMQ_MUST_USE smqtt_err smq_pwhash_verify(const struct smq_pwhash *hash, smq_span password);
/** Is verifying so quick (some tens of microseconds) that nobody else notices? */
bool smq_pwhash_is_quick(const struct smq_pwhash *hash);

#endif
