/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_KEYRING_REVOKED_H
#define SMQTT_KEYRING_REVOKED_H
/* Revocation lists in files, and what is said of who stands on one. */
#include <smqtt/identity.h>

#include "net/why.h"

/**
 * Reads one list made of several files.
 * @param paths    n of them; none: *out is NULL
 * @param[out] out free with smqtt_revocations_free
 * @param[out] why one sentence on failure, with file and line; may be NULL
 * @retval SMQTT_E_USAGE (a bad line), SMQTT_E_FULL, SMQTT_E_IO, SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_revoked_read(const char *const *paths, size_t n, struct smqtt_revocations **out,
                                        struct smq_why *why);
/** Is it on the list? Then SMQTT_E_REVOKED and the sentence: who, since when, why, and the mend. A NULL list and a NULL
 * identity: SMQTT_OK. */
SMQ_MUST_USE smqtt_err smq_revoked_check(const struct smqtt_revocations *list, const struct smqtt_identity *id,
                                         struct smq_why *why);
/** The reason in words, as in "the key was lost or stolen". */
const char *smq_revoked_reason(enum smqtt_revocation_reason reason);
/** Reads "lost", "stolen", "superseded", "unused" or "unspecified"; false for others. */
bool smq_revoked_reason_read(const char *word, enum smqtt_revocation_reason *out);

/**
 * Adds what an owner has said of his keys to a list, 0600, which is made when it is not there. A line that stands there
 * already is left as it is.
 * @param statement  binary and verified: SMQTT_EV_DESCRIPTOR with SMQTT_E_REVOKED has it
 * @param name       of whose keys they are: a comment behind the line
 * @retval SMQTT_E_MALFORMED, SMQTT_E_FULL, SMQTT_E_IO, SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_revoked_remember(const char *path, struct smqtt_span statement, const char *name,
                                            struct smq_why *why);

#endif
