/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_KEYRING_IDFILE_H
#define SMQTT_KEYRING_IDFILE_H
/* Files with identities (protocol.md 3): public lines, private files, locked ones. Every failure leaves one sentence in
 * `why`, which may be NULL. */
#include <smqtt/identity.h>

#include "keyring/passphrase.h"

enum { SMQ_IDFILE_MAX = 64 * 1024 }; /* bytes of such a file, with its comments */

/** Who knows the passphrase of a locked file. */
struct smq_idfile_ask {
    /** Fills in the passphrase of the file at `path`. Anything but SMQTT_OK, with a sentence in `why`: there is none.
     */
    smqtt_err (*ask)(void *ctx, const char *path, struct smq_passphrase *out, struct smq_why *why);
    void *ctx;
    unsigned tries; /* how often a wrong one is asked for anew; at least 1 */
};

/** What was read. */
struct smq_idfile {
    struct smqtt_identity *identity;
    bool locked;                      /* the file is */
    struct smq_passphrase passphrase; /* that opened it; empty when not locked, or not opened */
};

/**
 * Reads an identity.
 * @param need_private  the private keys are wanted: the file must be 0600 and hold them. Otherwise any form is taken,
 *                      and of a locked file the public half, without asking
 * @param ask           for a locked file; NULL: it is refused
 * @param[out] out      free with smq_idfile_free
 * @retval SMQTT_E_LOCKED          nobody is there to ask
 * @retval SMQTT_E_BAD_PASSPHRASE  it is another one, or the file was changed
 * @retval SMQTT_E_USAGE           others may read it, or it is only the public half
 * @retval else as smq_file_read, smqtt_identity_read, smqtt_identity_unlock and what `ask` gave
 */
SMQ_MUST_USE smqtt_err smq_idfile_read(const char *path, bool need_private, const struct smq_idfile_ask *ask,
                                       struct smq_idfile *out, struct smq_why *why);
/** Wipes and frees; a zeroed one is allowed. */
void smq_idfile_free(struct smq_idfile *file);

/**
 * Writes a private file, 0600, so that it is either the old one or the new one whatever happens.
 * @param lock     the passphrase to lock it with; NULL or an empty one: it is not locked
 * @param replace  false: an existing file is left alone, SMQTT_E_USAGE
 * @retval else as smqtt_identity_locked_text and smq_file_write
 */
SMQ_MUST_USE smqtt_err smq_idfile_write(const char *path, const struct smqtt_identity *id,
                                        const struct smq_passphrase *lock, bool replace, struct smq_why *why);
/** Writes the public line, 0644 less the umask. Errors as smq_file_write. */
SMQ_MUST_USE smqtt_err smq_idfile_write_public(const char *path, const struct smqtt_identity *id, bool replace,
                                               struct smq_why *why);

#endif
