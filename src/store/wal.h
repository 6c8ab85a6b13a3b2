/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_STORE_WAL_H
#define SMQTT_STORE_WAL_H
/* Looks at a log of RocksDB: was it damaged, or did the power fail in the middle of its last write? RocksDB itself
 * forgives only that a log ends too early. But a file may also have its length and not yet all of its bytes: zeros
 * stand there, or what was there before. */
#include "base/span.h"

enum smq_wal_state {
    SMQ_WAL_WHOLE,  /* or it ends too early */
    SMQ_WAL_TORN,   /* something is wrong, and behind that no other write begins */
    SMQ_WAL_DAMAGED /* something is wrong before the last write */
};

/** What the bytes of a log look like. */
enum smq_wal_state smq_wal_look(smq_span log);

#endif
