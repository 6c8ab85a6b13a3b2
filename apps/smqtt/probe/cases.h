/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_PROBE_CASES_H
#define SMQTT_APPS_PROBE_CASES_H
/* Playing one case: a string in a field, sent by a connection of its own, with a subscriber that is there and one that
 * comes later. */
#include "link.h"
#include "rows.h"

enum { PROBE_TOPIC_MAX = 512, PROBE_GRACE_MS = 150 };

struct probe {
    const struct opts *opts;
    enum smqtt_version version;
    char root[PROBE_TOPIC_MAX]; /* random: all our topics begin with it */
    smqtt_ms wait_ms;           /* for an answer */
    struct probe_link sub;      /* subscribed to all below the root */
    struct probe_link control;  /* publishes what is sound */
    unsigned n;                 /* number of the case: the level behind the root */
    unsigned left;              /* retained messages of ours that could not be removed */
};

enum probe_start { PROBE_READY, PROBE_NO_VERSION, PROBE_NO_BROKER };

/** Connects the two connections that stay, for this version. NO_VERSION: the broker does not speak it; NO_BROKER: it
 * refused us or is not there, after a sentence. */
enum probe_start probe_start(struct probe *p, enum smqtt_version version);
/** Plays one case. False, after a sentence, when the broker is not there any more. */
bool probe_play(struct probe *p, struct probe_result *r);
/** Removes what the broker has retained below our root (unless it is gone), and ends the connections; p->left counts
 * what stays. */
void probe_finish(struct probe *p, bool is_there);
/** Lets the broker forget the retained message on these bytes. False after a sentence. */
bool probe_forget(struct probe *p, smq_span topic);

#endif
