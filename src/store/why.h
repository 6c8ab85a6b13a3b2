/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_STORE_WHY_H
#define SMQTT_STORE_WHY_H
/* The one sentence that a person gets when a store refused something: cause, place, mend. */
#include "store/store.h"

/** Writes the sentence, as printf does; what does not fit is cut. `why` may be NULL. Returns `err`. */
smqtt_err smq_store_why_set(struct smq_store_why *why, smqtt_err err, const char *fmt, ...) SMQ_PRINTF(3, 4);

#endif
