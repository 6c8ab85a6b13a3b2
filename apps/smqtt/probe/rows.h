/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_PROBE_ROWS_H
#define SMQTT_APPS_PROBE_ROWS_H
/* What is tried: strings.def in each place of fields.def. And what came of each. */
#include <smqtt/types.h>

#include "base/span.h"

enum probe_class { PROBE_FORBIDDEN, PROBE_WILDCARD, PROBE_ADVISED };

struct probe_string {
    const char *name;
    enum probe_class cls;
    const char *bytes;
    size_t len;
};

enum probe_way {
    PROBE_BY_PUBLISH,
    PROBE_BY_WILL,
    PROBE_BY_CONNECT,
    PROBE_BY_SUBSCRIBE,
    PROBE_BY_UNSUBSCRIBE,
    PROBE_BY_PUBREL
};

enum probe_place {
    PROBE_IN_TOPIC,
    PROBE_IN_TEXT,
    PROBE_IN_CONTENT_TYPE,
    PROBE_IN_RESPONSE_TOPIC,
    PROBE_IN_PROPERTY_NAME,
    PROBE_IN_PROPERTY_VALUE,
    PROBE_IN_CLIENT_ID,
    PROBE_IN_USER,
    PROBE_IN_REASON
};

struct probe_field {
    const char *name;
    bool v311;
    enum probe_way way;
    enum probe_place place;
};

extern const struct probe_string probe_strings[];
extern const size_t probe_n_strings;
extern const struct probe_field probe_fields[];
extern const size_t probe_n_fields;

/** Is this string forbidden (or, with `advised`, advised against) in this field of this version? */
bool probe_applies(const struct probe_field *field, const struct probe_string *string, enum smqtt_version version,
                   bool advised);
/** Can what is in this field reach other clients? */
bool probe_is_carried(const struct probe_field *field);

/** What a message that came back held where the string had been put. */
enum probe_seen {
    PROBE_NOTHING,   /* no message came */
    PROBE_UNCHANGED, /* the very same bytes */
    PROBE_STILL_BAD, /* others, which MQTT does not allow either */
    PROBE_MENDED     /* others, which it allows; or the field was left out */
};

struct probe_result {
    const struct probe_field *field;
    const struct probe_string *string;
    enum smqtt_version version;
    bool refused;              /* the connection ended, or a reason code said no */
    uint8_t reason;            /* which one; 0: it ended without a word */
    bool cut;                  /* a subscriber's connection ended in the meantime */
    enum probe_seen forwarded; /* to a subscriber that was there */
    enum probe_seen stored;    /* to one that came later: retained */
};

/** What a result comes to; in this order in reports. */
enum probe_kind {
    PROBE_REFUSED,
    PROBE_SWALLOWED, /* taken, and nobody gets it */
    PROBE_TAKEN,     /* taken, in a field that nobody else gets */
    PROBE_CHANGED,   /* delivered as other, allowed, bytes */
    PROBE_DELIVERED, /* delivered, and not allowed */
    PROBE_KEPT,      /* the same, and retained for all who come later */
    PROBE_N_KINDS
};
enum probe_kind probe_kind(const struct probe_result *r);
/** "3.1", "3.1.1", "5.0". */
const char *probe_version_name(enum smqtt_version version);

#endif
