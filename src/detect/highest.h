/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_HIGHEST_H
#define SMQTT_DETECT_HIGHEST_H
/* The highest number accepted for each (kid, topic), against roll-back of retained records (protocol.md 6.4). 1,024
 * entries in sets of four; the one longest unused gives way. */
#include "base/span.h"

enum { SMQ_HIGHEST_SETS = 256, SMQ_HIGHEST_WAYS = 4 };

struct smq_highest {
    uint8_t hash_key[16]; /* random */
    uint32_t clock;
    struct smq_highest_entry {
        uint64_t name; /* keyed hash of kid and topic; 0: free */
        uint64_t seq;
        uint32_t used;
    } entries[SMQ_HIGHEST_SETS][SMQ_HIGHEST_WAYS];
};

/** Notes an accepted number. */
void smq_highest_note(struct smq_highest *h, const uint8_t kid[4], smq_span topic, uint64_t seq);
/** Is this the highest accepted number of kid and topic? False when nothing is known. */
bool smq_highest_is(struct smq_highest *h, const uint8_t kid[4], smq_span topic, uint64_t seq);

#endif
