/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/mem.h"
#include "base/siphash.h"

#define SLOTS_MIN 8
/* The stored hash has 32 bits, more slots could not be told apart. */
#define SLOTS_MAX                                                                                             \
    (SIZE_MAX / 2 / sizeof(struct smq_map_slot) < UINT32_MAX / 2 ? SIZE_MAX / 2 / sizeof(struct smq_map_slot) \
                                                                 : UINT32_MAX / 2)

void smq_map_init(struct smq_map *map, const struct smqtt_mem *mem, const uint8_t hash_key[16])
{
    *map = (struct smq_map){.mem = mem};
    memcpy(map->hash_key, hash_key, sizeof map->hash_key);
}

void smq_map_deinit(struct smq_map *map)
{
    smq_mem_free(map->mem, map->slots);
    map->slots = NULL;
    map->mask = 0;
    map->n = 0;
}

static size_t slots_of(const struct smq_map *map)
{
    return map->slots != NULL ? map->mask + 1 : 0;
}

/* Entries that so many slots may hold: three quarters, so that a free slot always ends a probe. */
static size_t capacity_of(size_t slots)
{
    return slots / 4 * 3;
}

static uint32_t hash_of(const struct smq_map *map, smq_span key)
{
    return (uint32_t)smq_siphash13(map->hash_key, key);
}

static bool holds(const struct smq_map_slot *slot, smq_span key, uint32_t hash)
{
    return slot->hash == hash && slot->len == key.len && (key.len == 0 || memcmp(slot->key, key.data, key.len) == 0);
}

/* The slot of the key, or the free one where it would go. There are slots, one of them free. */
static size_t find(const struct smq_map *map, smq_span key, uint32_t hash)
{
    size_t i = hash & map->mask;
    while (map->slots[i].value != NULL && !holds(&map->slots[i], key, hash)) {
        i = (i + 1) & map->mask;
    }
    return i;
}

static smqtt_err rebuild(struct smq_map *map, size_t slots)
{
    struct smq_map_slot *fresh = smq_mem_zalloc(map->mem, slots, sizeof *fresh);
    if (fresh == NULL) {
        return SMQTT_E_NOMEM;
    }
    size_t mask = slots - 1;
    for (size_t old = 0; old < slots_of(map); old++) {
        const struct smq_map_slot *slot = &map->slots[old];
        if (slot->value == NULL) {
            continue;
        }
        size_t i = slot->hash & mask;
        while (fresh[i].value != NULL) {
            i = (i + 1) & mask;
        }
        fresh[i] = *slot;
    }
    smq_mem_free(map->mem, map->slots);
    map->slots = fresh;
    map->mask = mask;
    return SMQTT_OK;
}

smqtt_err smq_map_reserve(struct smq_map *map, size_t n)
{
    size_t slots = map->slots != NULL ? map->mask + 1 : SLOTS_MIN;
    while (capacity_of(slots) < n) {
        if (slots > SLOTS_MAX / 2) {
            return SMQTT_E_NOMEM;
        }
        slots *= 2;
    }
    return slots != slots_of(map) ? rebuild(map, slots) : SMQTT_OK;
}

void *smq_map_get(const struct smq_map *map, smq_span key)
{
    if (map->n == 0) {
        return NULL;
    }
    return map->slots[find(map, key, hash_of(map, key))].value;
}

smqtt_err smq_map_put(struct smq_map *map, smq_span key, void *value, void **old)
{
    if (value == NULL || key.len > UINT32_MAX) {
        return SMQTT_E_USAGE;
    }
    uint32_t hash = hash_of(map, key);
    size_t i = map->slots != NULL ? find(map, key, hash) : 0;
    void *before = map->slots != NULL ? map->slots[i].value : NULL;
    if (before == NULL && map->n >= capacity_of(slots_of(map))) {
        SMQ_TRY(smq_map_reserve(map, map->n + 1));
        i = find(map, key, hash);
    }
    map->slots[i] = (struct smq_map_slot){key.data, value, (uint32_t)key.len, hash};
    map->n += before == NULL;
    if (old != NULL) {
        *old = before;
    }
    return SMQTT_OK;
}

/* Frees slot i. Entries behind it that a probe from their home could no longer reach move up, one after the other. */
static void clear_slot(struct smq_map *map, size_t i)
{
    size_t hole = i;
    for (size_t next = (hole + 1) & map->mask; map->slots[next].value != NULL; next = (next + 1) & map->mask) {
        size_t home = map->slots[next].hash & map->mask;
        if (((next - home) & map->mask) >= ((next - hole) & map->mask)) {
            map->slots[hole] = map->slots[next];
            hole = next;
        }
    }
    map->slots[hole] = (struct smq_map_slot){0};
    map->n--;
}

void *smq_map_del(struct smq_map *map, smq_span key)
{
    if (map->n == 0) {
        return NULL;
    }
    size_t i = find(map, key, hash_of(map, key));
    void *value = map->slots[i].value;
    if (value == NULL) {
        return NULL;
    }
    clear_slot(map, i);
    size_t slots = slots_of(map);
    if (slots > SLOTS_MIN && map->n < slots / 8) {
        (void)rebuild(map, slots / 2); /* without memory for the smaller table the large one stays */
    }
    return value;
}

struct smq_map_iter smq_map_iterate(const struct smq_map *map)
{
    /* Begins behind a free slot: then no run of entries is cut in two, and a deletion moves entries up that are still
     * to come only. */
    struct smq_map_iter iter = {0, 0};
    while (map->slots != NULL && map->slots[iter.start].value != NULL) {
        iter.start++;
    }
    return iter;
}

void *smq_map_next(const struct smq_map *map, struct smq_map_iter *iter)
{
    while (iter->done < slots_of(map)) {
        iter->done++;
        void *value = map->slots[(iter->start + iter->done) & map->mask].value;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

void smq_map_del_at(struct smq_map *map, struct smq_map_iter *iter)
{
    clear_slot(map, (iter->start + iter->done) & map->mask);
    iter->done--; /* what moved up into the slot comes next */
}
