/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_SIPHASH_H
#define SMQTT_BASE_SIPHASH_H
/* SipHash (Aumasson and Bernstein, 2012): a keyed hash, so that who does not know the key cannot choose names that all
 * fall into one bucket. Not a MAC of ours: for tables only. */
#include "base/span.h"

/** SipHash-1-3: one round per word, three at the end; what tables use. */
uint64_t smq_siphash13(const uint8_t key[16], smq_span s);
/** SipHash-2-4, the published parameters. */
uint64_t smq_siphash24(const uint8_t key[16], smq_span s);

#endif
