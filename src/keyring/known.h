/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_KEYRING_KNOWN_H
#define SMQTT_KEYRING_KNOWN_H
/* Known peers: a file, 0600, of lines `NAME public-line`, a comment behind the line ignored, `#` starting a line of
 * comment. Every change is made under FILE.lock by writing the file anew and renaming it; comments stay. Nothing in it
 * is ever replaced by something older, or by somebody else's keys, unless that is asked for. Every failure leaves one
 * sentence in `why`, which may be NULL. */
#include <smqtt/identity.h>

#include "base/span.h"
#include "net/why.h"

enum { SMQ_KNOWN_MAX = 65536 }; /* peers in a file */

struct smq_known;

struct smq_known_peer {
    char name[SMQTT_NAME_MAX + 1];
    struct smqtt_identity *identity; /* the known's */
};

/** May a peer be known by this name? 1 to 63 bytes of text without blanks and '/', beginning with neither '#', '-' nor
 * "smqtt-", and not 16 hexadecimal digits, which would be a skid. */
bool smq_known_name_ok(const char *name);
/** Reads 16 hexadecimal digits; false when it is something else. */
bool smq_known_skid(const char *text, uint8_t out[SMQTT_SKID_LEN]);

/** Parses the text of such a file; `path` is for sentences. SMQTT_E_USAGE (a bad line), SMQTT_E_FULL, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_known_parse(const char *path, smq_span text, struct smq_known **out, struct smq_why *why);
/** Reads the file; when there is none nobody is known. Errors as smq_known_parse and smq_file_read. */
SMQ_MUST_USE smqtt_err smq_known_read(const char *path, struct smq_known **out, struct smq_why *why);
/** NULL is allowed. */
void smq_known_free(struct smq_known *known);
size_t smq_known_count(const struct smq_known *known);
/** i below the count. Valid as long as the known, as all of these. */
const struct smq_known_peer *smq_known_at(const struct smq_known *known, size_t i);
/** NULL: nobody. */
const struct smq_known_peer *smq_known_by_name(const struct smq_known *known, const char *name);
/** By the first keys: NULL when nobody has them. */
const struct smq_known_peer *smq_known_by_skid(const struct smq_known *known, const uint8_t skid[SMQTT_SKID_LEN]);
/**
 * Is this identity older than what is known of the same keys, or of their successor?
 * @retval SMQTT_OK               no: it is not known, or known so, or newer than what is known
 * @retval SMQTT_E_OLD_IDENTITY   yes; the sentence names both versions
 * @retval SMQTT_E_BAD_SIGNATURE  it claims to succeed a known peer, who has not signed that
 */
SMQ_MUST_USE smqtt_err smq_known_check(const struct smq_known *known, const struct smqtt_identity *id, smqtt_ms wall,
                                       struct smq_why *why);

/**
 * Adds a peer, or puts a newer descriptor of the same peer in its place.
 * @param force  whoever was known by that name, and however new
 * @retval SMQTT_E_BAD_IDENTITY   no name for a peer
 * @retval SMQTT_E_UNKNOWN_PEER   the name belongs to other keys; the sentence has both fingerprints
 * @retval SMQTT_E_OLD_IDENTITY, SMQTT_E_BAD_SIGNATURE  as smq_known_check; SMQTT_E_EXPIRED not in force now
 * @retval else as smq_known_read and smq_file_write
 */
SMQ_MUST_USE smqtt_err smq_known_put(const char *path, const char *name, const struct smqtt_identity *id, bool force,
                                     smqtt_ms wall, struct smq_why *why);
/** Puts a renewal or successor in the place of every peer that it supersedes; *n of them. Errors as above. */
SMQ_MUST_USE smqtt_err smq_known_follow(const char *path, const struct smqtt_identity *id, smqtt_ms wall, size_t *n,
                                        struct smq_why *why);
/** Takes a peer out. SMQTT_E_UNKNOWN_PEER: there is none; else as above. */
SMQ_MUST_USE smqtt_err smq_known_forget(const char *path, const char *name, struct smq_why *why);

/** Nobody else changes the file until *fd is closed; the folders above it are made. Files beside it are changed so,
 * too. SMQTT_E_IO. */
SMQ_MUST_USE smqtt_err smq_known_lock(const char *path, int *fd, struct smq_why *why);

#endif
