/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_KEYRING_PASSPHRASE_H
#define SMQTT_KEYRING_PASSPHRASE_H
/* The passphrase of a locked identity. */
#include "base/span.h"
#include "net/why.h"

enum { SMQ_PASSPHRASE_MAX = 1024 };

/** Wipe it with smq_passphrase_wipe. */
struct smq_passphrase {
    size_t len; /* bytes, at least 1 once it was read */
    uint8_t bytes[SMQ_PASSPHRASE_MAX];
};

/**
 * Reads it from a file, whose first line it is, without the line end (LF or CR LF).
 * @retval SMQTT_E_USAGE      others may read the file, the passphrase is empty, or there is text behind its line
 * @retval SMQTT_E_FULL       it is longer than SMQ_PASSPHRASE_MAX
 * @retval SMQTT_E_IO, SMQTT_E_NOMEM
 * @param[out] why  one sentence on failure; may be NULL
 */
SMQ_MUST_USE smqtt_err smq_passphrase_read(const char *path, struct smq_passphrase *out, struct smq_why *why);
smq_span smq_passphrase_span(const struct smq_passphrase *passphrase);
/** NULL is allowed. */
void smq_passphrase_wipe(struct smq_passphrase *passphrase);

#endif
