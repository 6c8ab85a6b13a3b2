/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_PROPS_H
#define SMQTT_APPS_PROPS_H
/* -D PACKET NAME VALUE: properties of version 5 for the packets that the tool sends. */
#include "base/span.h"
#include "codec/prop.h"

/** The packets (and the will) that take properties of the command line. */
enum props_packet {
    PROPS_CONNECT,
    PROPS_PUBLISH,
    PROPS_SUBSCRIBE,
    PROPS_UNSUBSCRIBE,
    PROPS_DISCONNECT,
    PROPS_WILL,
    PROPS_PACKETS
};

/** A set in wire form, without its length. */
struct props {
    uint8_t *bytes;
    size_t len;
};

/** The packets and properties, for --help. */
extern const char props_help[];

/** How many words behind -D belong to it: 3, or 4 for user-property; 0 when there are not so many among these n. */
int props_words(int n, char *const *words);
/** Adds the property that these words name to its packet's set. False after a sentence: no such packet or property, not
 * allowed there, given before, a value out of its range or not UTF-8. */
bool props_add(struct props sets[PROPS_PACKETS], char *const *words);
/** Adds one by itself, as props_add. */
bool props_add_text(struct props *set, enum props_packet packet, enum smq_prop which, const char *value);
/** A set as a span. */
static inline smq_span props_span(const struct props *set)
{
    return smq_span_of(set->bytes, set->len);
}
/** Does the set hold this property? */
bool props_has(const struct props *set, enum smq_prop which);
/** "content-type" …: what a property is called on the command line and in JSON. */
const char *props_name(enum smq_prop which);

#endif
