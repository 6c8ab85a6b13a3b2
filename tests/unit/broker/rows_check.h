/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_ROWS_CHECK_H
#define SMQTT_TESTS_BROKER_ROWS_CHECK_H
/* Is what is on the disk what the workers hold? To be asked when everything that was written is committed. */
#include "disk.h"

/** Compares the rows of sessions and bodies with the sessions and bodies of all workers, both ways, and looks whether
 * what workers count adds up. NULL: all is well; else what is wrong, until the next call. */
const char *rows_check(const struct disk *disk, struct smq_worker *const *workers, unsigned count,
                       struct smqtt_now now);

#endif
