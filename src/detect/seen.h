/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_SEEN_H
#define SMQTT_DETECT_SEEN_H
/* Which cids were seen within the last minute (protocol.md 5.3): three sets of 64-bit words, each for half a minute,
 * of which the oldest is emptied in turn. So a cid is remembered for 60 to 90 s. */
#include "base/span.h"

enum { SMQ_SEEN_SETS = 3, SMQ_SEEN_SPAN_MS = 30000, SMQ_SEEN_MAX = 1 << 18 /* cids a set */ };

struct smq_seen_set {
    uint64_t *slots; /* 0: free */
    size_t cap;      /* a power of two, or 0 */
    size_t n;
};

struct smq_seen {
    const struct smqtt_mem *mem;
    uint8_t hash_key[16];
    struct smq_seen_set sets[SMQ_SEEN_SETS];
    size_t newest;
    smqtt_ms newest_from;
};

/** An empty memory; hash_key must be random. */
void smq_seen_init(struct smq_seen *seen, const struct smqtt_mem *mem, const uint8_t hash_key[16], smqtt_ms mono);
void smq_seen_deinit(struct smq_seen *seen);
/** Was this cid added within the last 60 s? */
bool smq_seen_has(struct smq_seen *seen, const uint8_t cid[8], smqtt_ms mono);
/** Adds it. SMQTT_E_FULL: too many in this half minute; SMQTT_E_NOMEM. */
smqtt_err smq_seen_add(struct smq_seen *seen, const uint8_t cid[8], smqtt_ms mono) SMQ_MUST_USE;

#endif
