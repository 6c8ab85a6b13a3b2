/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_STORE_IDENTITY_H
#define SMQTT_STORE_IDENTITY_H
/* What the broker's own S-MQTT identity must not lose, in the store of the broker: rows of SMQ_TABLE_IDENTITY. They are
 * kept in memory, too, and wiped there when they go. A sync waits for a commit that is on the disk whatever the policy,
 * because a number that is used twice gives everything away. */
#include <smqtt/secure.h>

#include "store/committer.h"

struct smq_identity_store;

/**
 * Reads what is there. Before the committer's thread runs.
 * @param committer  with a store that does not refuse; outlives this
 * @retval SMQTT_E_IO, SMQTT_E_CORRUPT  `why` has the sentence
 * @retval SMQTT_E_NOMEM, SMQTT_E_RNG
 */
SMQ_MUST_USE smqtt_err smq_identity_store_new(const struct smqtt_mem *mem, const struct smqtt_rng *rng,
                                              struct smq_committer *committer, struct smq_identity_store **out,
                                              struct smq_store_why *why);
/** The table to hand to an endpoint, which one thread uses at a time. put: SMQTT_E_USAGE (key empty or over 65,000
 * bytes, value over 16 MiB), SMQTT_E_NOMEM; del: SMQTT_E_NOMEM, a key that is not there is no error; sync: SMQTT_E_IO
 * (what was put is committed when the store can be written again), SMQTT_E_NOMEM. */
const struct smqtt_store *smq_identity_store_table(struct smq_identity_store *s);
/** Wipes what is in memory; what was put and not synced is dropped. NULL is allowed. */
void smq_identity_store_free(struct smq_identity_store *s);

#endif
