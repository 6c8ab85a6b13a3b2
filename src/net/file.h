/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_FILE_H
#define SMQTT_NET_FILE_H
/* Whole files and directories with secrets in them. Every failure leaves one sentence in `why`, which may be NULL. */
#include "base/span.h"
#include "net/why.h"

/** What smq_file_read makes of a file. */
struct smq_file_text {
    char *text; /* heap, zero behind it */
    size_t len; /* bytes without that zero */
};

/**
 * Reads a whole file.
 * @param path    "-" is no special name
 * @param max     most bytes that it may have
 * @param secret  it holds secrets: refused unless it is a regular file of this user (or root) that nobody else may
 * read or write
 * @param[out] out  free with smq_file_free
 * @retval SMQTT_E_IO         it cannot be opened or read
 * @retval SMQTT_E_FULL       more than max bytes
 * @retval SMQTT_E_USAGE      secret, and others may read it or own it
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_file_read(const char *path, size_t max, bool secret, struct smq_file_text *out,
                                     struct smq_why *why);
/** Wipes and frees; zeroed ones are allowed. */
void smq_file_free(struct smq_file_text *file);
/**
 * Writes a whole file so that it is, whatever happens, either the old or the new one: temporary file, fsync, rename,
 * fsync of the directory. Mode 0600 when `secret`, else 0644 less the umask.
 * @param replace  false: an existing file is left alone, SMQTT_E_USAGE
 * @retval SMQTT_E_IO  the system failed; the old file is as it was
 */
SMQ_MUST_USE smqtt_err smq_file_write(const char *path, smq_span bytes, bool secret, bool replace, struct smq_why *why);
/**
 * The same for a file that people have in their care: an existing one keeps its mode and, as far as this user may say
 * so, its owner, and a symbolic link to it goes on to be one. A new one has mode 0600.
 */
SMQ_MUST_USE smqtt_err smq_file_rewrite(const char *path, smq_span bytes, struct smq_why *why);
/** May the open file `fd`, shown as `path`, hold secrets? SMQTT_E_USAGE when others can read or write it or own it, or
 * when it is not a regular file; SMQTT_E_IO. */
SMQ_MUST_USE smqtt_err smq_file_check_secret(int fd, const char *path, struct smq_why *why);
/**
 * Opens a directory for secrets and makes it, 0700, when only its last part is missing.
 * @param[out] fd  close it
 * @retval SMQTT_E_USAGE  others may enter or own it
 * @retval SMQTT_E_IO
 */
SMQ_MUST_USE smqtt_err smq_file_open_dir(const char *path, int *fd, struct smq_why *why);
/** Writes all bytes, again after a signal. SMQTT_E_IO: errno says why, some may have been written. */
SMQ_MUST_USE smqtt_err smq_file_write_all(int fd, const void *bytes, size_t len);

#endif
