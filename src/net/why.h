/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_WHY_H
#define SMQTT_NET_WHY_H
/* The one sentence that a person gets when the system refused something: cause, place, mend. */
#include "base/defs.h"

struct smq_why {
    char text[640]; /* zero-terminated, no line end; what strangers named in it is escaped */
};

/** Writes the sentence, as printf does; what does not fit is cut. `why` may be NULL. Returns `err`. */
smqtt_err smq_why_set(struct smq_why *why, smqtt_err err, const char *fmt, ...) SMQ_PRINTF(3, 4);

#endif
