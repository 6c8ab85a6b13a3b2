/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_PAYLOAD_H
#define SMQTT_APPS_PAYLOAD_H
/* The message of -m, -f, -s or -n. */
#include "opts.h"

struct payload {
    char *bytes;
    size_t len;
};

/** Exactly one way to give the message, and one topic at least that can be published to? False after a sentence. */
bool payload_check(const struct opts *o);
/** Reads the message; of -l and -n nothing is read. False after a sentence. */
bool payload_read(const struct opts *o, struct payload *out);
void payload_free(struct payload *payload);

#endif
