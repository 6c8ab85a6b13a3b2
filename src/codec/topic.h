/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CODEC_TOPIC_H
#define SMQTT_CODEC_TOPIC_H
/* Topic names and filters: is it valid, does it match, its levels one by one. The UTF-8 check is base/utf8.h's. */
#include "base/span.h"

/** A name to publish to: 1..65,535 bytes, no '+' or '#' [MQTT-3.3.2-2], at most max_levels levels (0 = 200). */
bool smq_topic_name_ok(smq_span topic, uint16_t max_levels);
/** A filter: '#' only as the last level, '+' only as a whole level [MQTT-4.7.1-1] [MQTT-4.7.1-2]; `$share/group/filter`
 * is checked too [MQTT-4.8.2-1]. */
bool smq_topic_filter_ok(smq_span filter, uint16_t max_levels);
/** Splits `$share/group/rest`. False, with group empty and rest = filter, when it is not a shared one. */
bool smq_topic_split_share(smq_span filter, smq_span *group, smq_span *rest);
/** Does the (not shared) filter match the name? A filter that starts with a wildcard does not match a name that starts
 * with '$' [MQTT-4.7.2-1]. */
bool smq_topic_match(smq_span filter, smq_span topic);
/** Does every name that `narrow` matches also match `wide`? For policies and access rules. */
bool smq_topic_covers(smq_span wide, smq_span narrow);
/** Takes the next level off the front of *rest; false when none is left. Start with *more = true. "a//b" has three
 * levels, "/" has two. */
static inline bool smq_topic_next_level(smq_span *rest, bool *more, smq_span *level)
{
    if (!*more) {
        return false;
    }
    const uint8_t *slash = rest->len != 0 ? (const uint8_t *)memchr(rest->data, '/', rest->len) : NULL;
    if (slash == NULL) {
        *level = *rest;
        *rest = (smq_span){NULL, 0};
        *more = false;
        return true;
    }
    *level = (smq_span){rest->data, (size_t)(slash - rest->data)};
    rest->len -= level->len + 1;
    rest->data = slash + 1;
    return true;
}

#endif
