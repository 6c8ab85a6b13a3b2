/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/topic.h"

enum { LEVELS_DEFAULT = 200, LENGTH_MAX = 65535 };

static bool levels_ok(smq_span s, uint16_t max_levels)
{
    size_t max = max_levels != 0 ? max_levels : LEVELS_DEFAULT;
    if (s.len < max) {
        return true; /* n levels need n - 1 slashes */
    }
    size_t slashes = 0;
    for (size_t i = 0; i < s.len; i++) {
        slashes += s.data[i] == '/';
    }
    return slashes < max;
}

/* Not 0 where one of eight bytes is `+` or `#`. */
static uint64_t wild_in(const uint8_t *bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    uint64_t plus = word ^ (ones * '+'), hash = word ^ (ones * '#');
    return (((plus - ones) & ~plus) | ((hash - ones) & ~hash)) & tops;
}

bool smq_topic_name_ok(smq_span topic, uint16_t max_levels)
{
    if (topic.len == 0 || topic.len > LENGTH_MAX) {
        return false;
    }
    if (topic.len < 8) {
        for (size_t i = 0; i < topic.len; i++) {
            if (topic.data[i] == '+' || topic.data[i] == '#') {
                return false;
            }
        }
        return levels_ok(topic, max_levels);
    }
    uint64_t wild = wild_in(topic.data + topic.len - 8); /* overlaps the last of these */
    for (size_t i = 0; i + 8 < topic.len; i += 8) {
        wild |= wild_in(topic.data + i);
    }
    return wild == 0 && levels_ok(topic, max_levels);
}

static bool is_level(smq_span level, char c)
{
    return level.len == 1 && level.data[0] == (uint8_t)c;
}

static bool has_wildcard(smq_span s)
{
    return s.len != 0 && (memchr(s.data, '+', s.len) != NULL || memchr(s.data, '#', s.len) != NULL);
}

static bool plain_filter_ok(smq_span filter, uint16_t max_levels)
{
    if (filter.len == 0 || !levels_ok(filter, max_levels)) {
        return false;
    }
    smq_span rest = filter, level;
    bool more = true;
    while (smq_topic_next_level(&rest, &more, &level)) {
        if (is_level(level, '#')) {
            return !more;
        }
        if (!is_level(level, '+') && has_wildcard(level)) {
            return false;
        }
    }
    return true;
}

bool smq_topic_filter_ok(smq_span filter, uint16_t max_levels)
{
    if (filter.len > LENGTH_MAX) {
        return false;
    }
    if (!smq_span_starts(filter, smq_span_str("$share/"))) {
        return plain_filter_ok(filter, max_levels);
    }
    smq_span group, rest;
    return smq_topic_split_share(filter, &group, &rest) && plain_filter_ok(rest, max_levels);
}

/* [MQTT-4.8.2-1] [MQTT-4.8.2-2]: the group has a character at least and no wildcard; a '/' and a filter follow it. */
bool smq_topic_split_share(smq_span filter, smq_span *group, smq_span *rest)
{
    *group = (smq_span){NULL, 0};
    *rest = filter;
    smq_span prefix = smq_span_str("$share/");
    if (!smq_span_starts(filter, prefix)) {
        return false;
    }
    smq_span tail = smq_span_from(filter, prefix.len), name;
    bool more = true;
    (void)smq_topic_next_level(&tail, &more, &name);
    if (!more || name.len == 0 || tail.len == 0 || has_wildcard(name)) {
        return false;
    }
    *group = name;
    *rest = tail;
    return true;
}

bool smq_topic_match(smq_span filter, smq_span topic)
{
    if (filter.len == 0 || topic.len == 0) {
        return false;
    }
    /* [MQTT-4.7.2-1] */
    if (topic.data[0] == '$' && (filter.data[0] == '+' || filter.data[0] == '#')) {
        return false;
    }
    bool more_filter = true, more_topic = true;
    smq_span want, have;
    while (smq_topic_next_level(&filter, &more_filter, &want)) {
        if (is_level(want, '#')) {
            return true; /* its parent level too: the topic may have ended just before */
        }
        if (!smq_topic_next_level(&topic, &more_topic, &have)) {
            return false;
        }
        if (!is_level(want, '+') && !smq_span_equal(want, have)) {
            return false;
        }
    }
    return !more_topic;
}

/* Level by level: '#' in `wide` takes all that follows, '+' takes any one level but not '#', a word takes only itself.
 * A '#' in `narrow` also stands for the name that ends before it, except where that name would be empty, as no name is:
 * so "+/#" covers
 * "#", and "/+/#" covers "/#". */
bool smq_topic_covers(smq_span wide, smq_span narrow)
{
    if (wide.len == 0 || narrow.len == 0) {
        return false;
    }
    if (narrow.data[0] == '$' && (wide.data[0] == '+' || wide.data[0] == '#')) {
        return false;
    }
    bool more_wide = true, more_narrow = true, none_before = true;
    smq_span outer, inner;
    for (size_t i = 0; smq_topic_next_level(&wide, &more_wide, &outer); i++) {
        if (is_level(outer, '#')) {
            return true;
        }
        if (!smq_topic_next_level(&narrow, &more_narrow, &inner)) {
            return false;
        }
        if (is_level(inner, '#')) {
            return none_before && is_level(outer, '+') && is_level(wide, '#');
        }
        if (!is_level(outer, '+') && !smq_span_equal(outer, inner)) {
            return false;
        }
        none_before = i == 0 && inner.len == 0;
    }
    return !more_narrow;
}
