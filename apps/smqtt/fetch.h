/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_FETCH_H
#define SMQTT_APPS_FETCH_H
/* Descriptors that a broker keeps (protocol.md 9.6). What comes is as trustworthy as the broker: whoever uses it has
 * asked for that. */
#include <smqtt/identity.h>

#include "opts.h"

enum { FETCH_MAX = 64 };

struct fetch {
    const uint8_t *skid;                     /* wanted keys; NULL: all that are retained */
    const char *name;                        /* wanted name; NULL: any */
    struct smqtt_identity *found[FETCH_MAX]; /* the newest descriptor of each keys */
    size_t n;
    bool more;       /* than fit */
    smqtt_ms end_at; /* monotonic: set by fetch_descriptors */
    bool revoked;    /* there is a statement of revocation for `skid` */
};

/** Asks the broker on a connection of its own. False after a sentence: it could not be asked. Free with fetch_free. */
bool fetch_descriptors(const struct opts *o, struct fetch *f);
void fetch_free(struct fetch *f);

#endif
