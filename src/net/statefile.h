/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_STATEFILE_H
#define SMQTT_NET_STATEFILE_H
/* A `struct smqtt_store` in one file: what an endpoint of S-MQTT must not lose in a power cut.
 *
 * DIR/NAME is a log, 0600 in a directory 0700: a header, then batches. All that was put since the last sync is one
 * batch
 *
 *     "SMQB" | seq u64 | len u32 | crc32c u32 of seq, len, body | body: (op u8 | key len u16 | value len u32 | key |
 * value)*
 *
 * written with one write and made durable with one fdatasync. A batch begins only after the one before it is durable,
 * so whatever a power cut leaves is whole batches and one torn one, which is cut off. A batch that is damaged with a
 * whole one behind it is no torn tail: the file is refused, because going on with an older state would use numbers
 * twice and let replays in. After a failed write or sync nothing is trusted and the next sync writes the file anew.
 * When the log is much larger than what lives in it, it is rewritten beside and renamed. DIR/NAME.lock keeps others
 * out. */
#include <smqtt/secure.h>

#include "net/why.h"

struct smq_statefile;

/** How bytes reach the disk; tests put faults in. */
struct smq_statefile_io {
    /** Writes len bytes at the end of fd; false: errno says why, and any part may have been written. */
    bool (*write)(void *ctx, int fd, const void *bytes, size_t len);
    /** fdatasync or, for a directory, fsync. */
    bool (*sync)(void *ctx, int fd);
    void *ctx;
};

/**
 * Opens or makes the state. Values are kept in memory, too, and wiped there when they go.
 * @param dir   directory; made 0700 when only its last part is missing
 * @param name  file name, without '/'
 * @param io    NULL: the system's; copied
 * @param[out] why  a sentence on failure; may be NULL
 * @retval SMQTT_E_BUSY       another process has it open
 * @retval SMQTT_E_USAGE      others may read directory or file
 * @retval SMQTT_E_MALFORMED  the file is damaged or none of ours
 * @retval SMQTT_E_IO, SMQTT_E_NOMEM, SMQTT_E_RNG
 */
SMQ_MUST_USE smqtt_err smq_statefile_open(const char *dir, const char *name, const struct smq_statefile_io *io,
                                          struct smq_statefile **out, struct smq_why *why);
/** Syncs what is pending, as far as possible, and closes; values are wiped. NULL is allowed. */
void smq_statefile_close(struct smq_statefile *state);
/** The table to hand to an endpoint; valid as long as the state. put: SMQTT_E_USAGE (key over 65,535 bytes or empty,
 * value over 16 MiB), SMQTT_E_NOMEM; del: SMQTT_E_NOMEM, a key that is not there is no error; sync: SMQTT_E_IO,
 * SMQTT_E_NOMEM. */
const struct smqtt_store *smq_statefile_store(struct smq_statefile *state);
/** The last failure of sync as a sentence, "" when there was none. */
const char *smq_statefile_why(const struct smq_statefile *state);
/** Bytes of the file now; for tests. */
size_t smq_statefile_size(const struct smq_statefile *state);

#endif
