/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_MAP_H
#define SMQTT_BASE_MAP_H
/* Hash map from byte strings to pointers. Open addressing with linear probing; deletion moves entries back, so no
 * tombstones.
 *
 * Lifetimes: the map stores views. The bytes of a key, usually a field of the value's struct, must stay in place and
 * unchanged until the entry is deleted or the map is deinited. Values are never touched or freed. Keys come from
 * strangers, hence the hash key. */
#include "base/span.h"

struct smq_map_slot {
    const uint8_t *key;
    void *value; /* NULL: the slot is free */
    uint32_t len;
    uint32_t hash;
};

struct smq_map {
    const struct smqtt_mem *mem;
    struct smq_map_slot *slots; /* NULL until the first put */
    size_t mask;                /* slots - 1, slots being a power of two */
    size_t n;
    uint8_t hash_key[16];
};

/** Place of an iteration; see smq_map_next. */
struct smq_map_iter {
    size_t start;
    size_t done; /* slots looked at */
};

/** An empty map; allocates nothing. `mem` (NULL: the C library's) is borrowed until deinit, `hash_key` is copied and
 * must be random. */
void smq_map_init(struct smq_map *map, const struct smqtt_mem *mem, const uint8_t hash_key[16]);
/** Frees the table, not the values; the map is empty and may be used again. */
void smq_map_deinit(struct smq_map *map);
/** The value of the key, or NULL. */
void *smq_map_get(const struct smq_map *map, smq_span key);
/**
 * Sets the value of the key. An entry that exists gets the new value and the new view of the key (so that the old
 * value's struct, which may hold the old bytes, can be freed).
 *
 * @param key    at most 2^32-1 bytes; for the lifetime see the top
 * @param value  not NULL
 * @param[out] old  the value before, or NULL when the entry is new; may be NULL
 * @retval SMQTT_E_NOMEM  the table could not grow; the map is unchanged. Never for a key that exists
 * @retval SMQTT_E_USAGE  value is NULL or the key too long
 */
smqtt_err smq_map_put(struct smq_map *map, smq_span key, void *value, void **old) SMQ_MUST_USE;
/** Makes room for n entries in all, so that puts up to there cannot fail. SMQTT_E_NOMEM: no memory, the map is
 * unchanged. */
smqtt_err smq_map_reserve(struct smq_map *map, size_t n) SMQ_MUST_USE;
/** Deletes the key and returns its value, or NULL when there is none. The table shrinks when it is mostly empty, but
 * never during an iteration that deletes: see smq_map_del_at. */
void *smq_map_del(struct smq_map *map, smq_span key);
/** Number of entries. */
static inline size_t smq_map_count(const struct smq_map *map)
{
    return map->n;
}

/** Starts a walk over all entries. */
struct smq_map_iter smq_map_iterate(const struct smq_map *map);
/** The value of the next entry, or NULL at the end; each entry comes once, in no order. Between two calls the caller
 * may delete the entry just returned with smq_map_del_at, and may change nothing else. */
void *smq_map_next(const struct smq_map *map, struct smq_map_iter *iter);
/** Deletes the entry that smq_map_next returned last. At most once per smq_map_next. */
void smq_map_del_at(struct smq_map *map, struct smq_map_iter *iter);

#endif
