/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_TOMBS_H
#define SMQTT_BROKER_TOMBS_H
/* Retained messages that were removed: their versions are remembered for a while, so that an older message that another
 * worker took, and whose note comes later, does not come back. */
#include "base/mem.h"

enum { SMQ_TOMBS_MS = 10000 }; /* at least so long, at most twice */

struct smq_tombs {
    const struct smqtt_mem *mem;
    uint8_t key[16];
    struct smq_tomb_table {
        struct smq_tomb {
            uint64_t topic, version; /* version 0: free */
        } * slots;
        size_t mask, n;
    } now, before;  /* those of this time, and of the one before */
    smqtt_ms turns; /* when `now` becomes `before`; SMQTT_NEVER: both are empty */
};

void smq_tombs_init(struct smq_tombs *t, const struct smqtt_mem *mem, const uint8_t key[16]);
void smq_tombs_deinit(struct smq_tombs *t);
/** SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_tombs_add(struct smq_tombs *t, smq_span topic, uint64_t version, smqtt_ms mono);
/** The version with which the topic's message was removed; 0: not known. */
uint64_t smq_tombs_get(const struct smq_tombs *t, smq_span topic);
/** Forgets what is old. */
void smq_tombs_tick(struct smq_tombs *t, smqtt_ms mono);
/** When that is to be called. */
static inline smqtt_ms smq_tombs_deadline(const struct smq_tombs *t)
{
    return t->turns;
}

#endif
