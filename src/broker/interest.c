/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/interest.h"
#include "base/siphash.h"
#include "codec/topic.h"

enum { FIRST_SLOTS = 64 };

#define HASH_SEED  UINT64_C(0x736D712D696E7472)
#define HASH_PLUS  UINT64_C(0x2B2B2B2B2B2B2B2B)
#define HASH_MULTI UINT64_C(0x2323232323232323)

static uint64_t mix(uint64_t h, uint64_t level)
{
    h = (h ^ level) * UINT64_C(0x9E3779B97F4A7C15);
    return h ^ h >> 29;
}

static bool is_char(smq_span level, char c)
{
    return level.len == 1 && level.data[0] == (uint8_t)c;
}

void smq_interest_init(struct smq_interest *i, const struct smqtt_mem *mem, const uint8_t key[16])
{
    *i = (struct smq_interest){.mem = mem};
    memcpy(i->key, key, sizeof i->key);
}

void smq_interest_deinit(struct smq_interest *i)
{
    smq_mem_free(i->mem, i->slots);
    i->slots = NULL;
    i->n = 0;
}

struct smq_filter_key smq_filter_key(const uint8_t key[16], smq_span filter)
{
    struct smq_filter_key out = {.hash = HASH_SEED};
    smq_span level;
    bool more = true;
    while (smq_topic_next_level(&filter, &more, &level)) {
        if (is_char(level, '#')) {
            out.multi = 1;
            out.hash = mix(out.hash, HASH_MULTI);
            break;
        }
        if (out.levels == SMQ_SHAPE_LEVELS) {
            out.levels++;
            break;
        }
        bool plus = is_char(level, '+');
        out.plus |= (plus ? UINT32_C(1) : 0) << out.levels;
        out.hash = mix(out.hash, plus ? HASH_PLUS : smq_siphash13(key, level));
        out.levels++;
    }
    return out;
}

/* ------------------------------------------------------------ the table */

static struct smq_interest_slot *slot_of(const struct smq_interest *i, uint64_t hash)
{
    size_t at = (size_t)hash & i->mask;
    while (i->slots[at].workers != 0 && i->slots[at].hash != hash) {
        at = (at + 1) & i->mask;
    }
    return &i->slots[at];
}

static bool resize(struct smq_interest *i, size_t n_slots)
{
    struct smq_interest_slot *old = i->slots;
    size_t n_old = old != NULL ? i->mask + 1 : 0;
    struct smq_interest_slot *slots = smq_mem_zalloc(i->mem, n_slots, sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    i->slots = slots;
    i->mask = n_slots - 1;
    for (size_t at = 0; at < n_old; at++) {
        if (old[at].workers != 0) {
            *slot_of(i, old[at].hash) = old[at];
        }
    }
    smq_mem_free(i->mem, old);
    return true;
}

static bool put(struct smq_interest *i, uint64_t hash, uint64_t bit)
{
    bool room = i->slots != NULL && (i->n + 1) * 4 <= (i->mask + 1) * 3;
    if (!room && !resize(i, i->slots != NULL ? (i->mask + 1) * 2 : FIRST_SLOTS)) {
        return false;
    }
    struct smq_interest_slot *slot = slot_of(i, hash);
    i->n += slot->workers == 0;
    slot->hash = hash;
    slot->workers |= bit;
    return true;
}

static void vacate(struct smq_interest *i, struct smq_interest_slot *slot)
{
    size_t hole = (size_t)(slot - i->slots);
    for (size_t at = (hole + 1) & i->mask; i->slots[at].workers != 0; at = (at + 1) & i->mask) {
        size_t home = (size_t)i->slots[at].hash & i->mask;
        if (((at - home) & i->mask) >= ((at - hole) & i->mask)) {
            i->slots[hole] = i->slots[at];
            hole = at;
        }
    }
    i->slots[hole].workers = 0;
    i->n--;
    if (i->n == 0) {
        smq_mem_free(i->mem, i->slots);
        i->slots = NULL;
        i->mask = 0;
    } else if (i->mask >= FIRST_SLOTS && i->n * 8 < i->mask + 1) {
        (void)!resize(i, (i->mask + 1) / 2); /* without memory it just stays large */
    }
}

/* False: it was not there. */
static bool take(struct smq_interest *i, uint64_t hash, uint64_t bit)
{
    struct smq_interest_slot *slot = i->slots != NULL ? slot_of(i, hash) : NULL;
    if (slot == NULL || (slot->workers & bit) == 0) {
        return false;
    }
    slot->workers &= ~bit;
    if (slot->workers == 0) {
        vacate(i, slot);
    }
    return true;
}

/* ------------------------------------------------------------ shapes */

static struct smq_shape *find_shape(struct smq_interest *i, const struct smq_filter_key *f)
{
    for (unsigned at = 0; at < i->n_shapes; at++) {
        struct smq_shape *s = &i->shapes[at];
        if (s->plus == f->plus && s->levels == f->levels && s->multi == f->multi) {
            return s;
        }
    }
    return NULL;
}

/* While anything is beyond the shapes none is added, so that what is removed is looked for where it was put. */
static struct smq_shape *need_shape(struct smq_interest *i, const struct smq_filter_key *f)
{
    struct smq_shape *s = find_shape(i, f);
    bool may_add = i->n_shapes < SMQ_SHAPES_MAX && i->n_beyond == 0 && f->levels <= SMQ_SHAPE_LEVELS;
    if (s == NULL && may_add) {
        s = &i->shapes[i->n_shapes++];
        *s = (struct smq_shape){.plus = f->plus, .levels = f->levels, .multi = f->multi};
    }
    return s;
}

static void drop_shape(struct smq_interest *i, struct smq_shape *s)
{
    if (s->n == 0) {
        *s = i->shapes[--i->n_shapes];
    }
}

void smq_interest_add(struct smq_interest *i, unsigned worker, const struct smq_filter_key *filter)
{
    uint64_t bit = UINT64_C(1) << worker;
    i->last_len = 0;
    struct smq_shape *s = need_shape(i, filter);
    if (s == NULL) {
        i->n_beyond++;
        i->beyond[worker]++;
        i->everything |= bit;
        return;
    }
    if (put(i, filter->hash, bit)) {
        s->n++;
    } else {
        i->lost |= bit;
        drop_shape(i, s);
    }
}

void smq_interest_remove(struct smq_interest *i, unsigned worker, const struct smq_filter_key *filter)
{
    uint64_t bit = UINT64_C(1) << worker;
    i->last_len = 0;
    struct smq_shape *s = find_shape(i, filter);
    if (s != NULL) {
        if (take(i, filter->hash, bit)) {
            s->n--;
        }
        drop_shape(i, s);
    } else if (i->beyond[worker] != 0) {
        i->n_beyond--;
        i->beyond[worker]--;
        i->everything = i->beyond[worker] != 0 ? i->everything : i->everything & ~bit;
    }
}

/* ------------------------------------------------------------ looking up */

static bool fits(const struct smq_shape *s, unsigned n, bool by_name)
{
    bool wild_first = s->levels == 0 || (s->plus & 1) != 0;
    return (s->multi ? n >= s->levels : n == s->levels) && !(by_name && wild_first);
}

static uint64_t look_up(const struct smq_interest *i, const struct smq_shape *s, const uint64_t *levels)
{
    uint64_t h = HASH_SEED;
    for (unsigned at = 0; at < s->levels; at++) {
        h = mix(h, (s->plus >> at & 1) != 0 ? HASH_PLUS : levels[at]);
    }
    return slot_of(i, s->multi ? mix(h, HASH_MULTI) : h)->workers;
}

static uint64_t match(const struct smq_interest *i, smq_span topic, bool by_name)
{
    uint64_t levels[SMQ_SHAPE_LEVELS];
    uint64_t found = 0;
    unsigned n = 0;
    smq_span level;
    bool more = true;
    if (i->n == 0) {
        return found;
    }
    while (smq_topic_next_level(&topic, &more, &level)) {
        if (n < SMQ_SHAPE_LEVELS) {
            levels[n] = smq_siphash13(i->key, level);
        }
        n++;
    }
    for (unsigned at = 0; at < i->n_shapes; at++) {
        if (fits(&i->shapes[at], n, by_name)) {
            found |= look_up(i, &i->shapes[at], levels);
        }
    }
    return found;
}

uint64_t smq_interest_match(struct smq_interest *i, smq_span topic)
{
    if (i->last_len == topic.len && topic.len != 0 && memcmp(i->last_topic, topic.data, topic.len) == 0) {
        return i->last_workers;
    }
    bool dollar = topic.len != 0 && topic.data[0] == '$'; /* [MQTT-4.7.2-1] */
    i->last_len = 0;
    i->last_workers = i->everything | i->lost | match(i, topic, dollar);
    if (topic.len <= sizeof i->last_topic) {
        memcpy(i->last_topic, topic.data, topic.len);
        i->last_len = (uint16_t)topic.len;
    }
    return i->last_workers;
}

uint64_t smq_interest_match_by_name(const struct smq_interest *i, smq_span topic)
{
    return match(i, topic, true);
}
