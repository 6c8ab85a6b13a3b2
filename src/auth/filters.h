/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_AUTH_FILTERS_H
#define SMQTT_AUTH_FILTERS_H
/* Many sets of topic filters with bits on them, as trees of levels in one table: which bits have the filters of a set
 * that match a topic? The answer costs the levels of the topic, not the filters. */
#include "base/span.h"

struct smq_filters;

/** SMQTT_E_NOMEM. `mem` (NULL: the C library's) outlives it; `key` is random. */
SMQ_MUST_USE smqtt_err smq_filters_new(const struct smqtt_mem *mem, const uint8_t key[16], struct smq_filters **out);
/** NULL is allowed. */
void smq_filters_free(struct smq_filters *f);
/** A new, empty set. SMQTT_E_NOMEM, SMQTT_E_FULL: more than 2^31 levels in all. */
SMQ_MUST_USE smqtt_err smq_filters_set(struct smq_filters *f, uint32_t *set);
/** Adds bits to a filter of a set. `filter` is valid (at most 200 levels) and outlives the table. SMQTT_E_NOMEM,
 * SMQTT_E_FULL. */
SMQ_MUST_USE smqtt_err smq_filters_add(struct smq_filters *f, uint32_t set, smq_span filter, uint8_t bits);
/** The bits of all filters of the set that match the topic [MQTT-4.7.2-1]. */
unsigned smq_filters_match(const struct smq_filters *f, uint32_t set, smq_span topic);

#endif
