/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_ASIDE_H
#define SMQTT_APPS_ASIDE_H
/* Messages that were put aside, as a string in them is none that MQTT allows: a sentence for each topic and field once,
 * and how many there were. */
#include <smqtt/client.h>

#include "base/span.h"
#include "opts.h"

enum { ASIDE_TOLD_MAX = 64 };

struct aside {
    uint64_t told[ASIDE_TOLD_MAX]; /* hashes of topic and field */
    size_t n;
    bool has_key;
    uint8_t key[16];
};

/** An event QUARANTINED: one sentence, unless it was said of this topic and field; after ASIDE_TOLD_MAX of them they
 * are only counted. */
void aside_note(struct aside *a, const struct opts *o, const struct smqtt_client_event *event);
/** At the end: how many there were, if any. */
void aside_sum(const struct smqtt_client *client);
/** Is it a string that this error complains about? */
bool aside_is_reason(smqtt_err err);

/** What is wrong with bytes that are no text that MQTT allows: "is cut short" …; "is not allowed" where the bytes are
 * well-formed. Static. */
const char *aside_fault(smq_span text);
/** Bytes for a person and for a shell's single quotes: what is printable as it is, the rest, ' and \ as \xNN; cut, with
 * "...", where `cap` bytes are not enough. Returns out. */
const char *aside_show(smq_span bytes, char *out, size_t cap);

#endif
