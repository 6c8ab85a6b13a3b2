/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/seen.h"

#include "base/mem.h"
#include "base/siphash.h"

enum { SLOTS_FIRST = 64, CID_LEN = 8 };

void smq_seen_init(struct smq_seen *seen, const struct smqtt_mem *mem, const uint8_t hash_key[16], smqtt_ms mono)
{
    *seen = (struct smq_seen){.mem = smq_mem_or_default(mem), .newest_from = mono};
    memcpy(seen->hash_key, hash_key, sizeof(seen->hash_key));
}

static void set_clear(const struct smqtt_mem *mem, struct smq_seen_set *set)
{
    smq_mem_free(mem, set->slots);
    *set = (struct smq_seen_set){NULL, 0, 0};
}

void smq_seen_deinit(struct smq_seen *seen)
{
    for (size_t i = 0; i < SMQ_SEEN_SETS; i++) {
        set_clear(seen->mem, &seen->sets[i]);
    }
}

/** Empties the sets whose time is over. */
static void turn(struct smq_seen *seen, smqtt_ms mono)
{
    for (size_t i = 0; i < SMQ_SEEN_SETS && mono - seen->newest_from >= SMQ_SEEN_SPAN_MS; i++) {
        seen->newest = (seen->newest + 1) % SMQ_SEEN_SETS;
        set_clear(seen->mem, &seen->sets[seen->newest]);
        seen->newest_from += SMQ_SEEN_SPAN_MS;
    }
    if (mono - seen->newest_from >= SMQ_SEEN_SPAN_MS) {
        seen->newest_from = mono; /* nothing happened for so long that all are empty */
    }
}

/** A cid as a word that is not 0, by a keyed hash: two cids share one with probability 2^-64. */
static uint64_t word_of(const struct smq_seen *seen, const uint8_t cid[CID_LEN])
{
    uint64_t word = smq_siphash13(seen->hash_key, smq_span_of(cid, CID_LEN));
    return word != 0 ? word : 1;
}

static size_t slot_of(const struct smq_seen_set *set, uint64_t word)
{
    size_t at = (size_t)word & (set->cap - 1);
    while (set->slots[at] != 0 && set->slots[at] != word) {
        at = (at + 1) & (set->cap - 1);
    }
    return at;
}

bool smq_seen_has(struct smq_seen *seen, const uint8_t cid[8], smqtt_ms mono)
{
    turn(seen, mono);
    uint64_t word = word_of(seen, cid);
    for (size_t i = 0; i < SMQ_SEEN_SETS; i++) {
        const struct smq_seen_set *set = &seen->sets[i];
        if (set->cap != 0 && set->slots[slot_of(set, word)] == word) {
            return true;
        }
    }
    return false;
}

static smqtt_err set_grow(const struct smqtt_mem *mem, struct smq_seen_set *set)
{
    struct smq_seen_set next = {NULL, set->cap != 0 ? set->cap * 2 : SLOTS_FIRST, set->n};
    next.slots = smq_mem_zalloc(mem, next.cap, sizeof(next.slots[0]));
    if (next.slots == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (size_t i = 0; i < set->cap; i++) {
        if (set->slots[i] != 0) {
            next.slots[slot_of(&next, set->slots[i])] = set->slots[i];
        }
    }
    smq_mem_free(mem, set->slots);
    *set = next;
    return SMQTT_OK;
}

smqtt_err smq_seen_add(struct smq_seen *seen, const uint8_t cid[8], smqtt_ms mono)
{
    turn(seen, mono);
    struct smq_seen_set *set = &seen->sets[seen->newest];
    if (set->n >= SMQ_SEEN_MAX) {
        return SMQTT_E_FULL;
    }
    if (set->n * 2 >= set->cap) {
        SMQ_TRY(set_grow(seen->mem, set));
    }
    uint64_t word = word_of(seen, cid);
    size_t at = slot_of(set, word);
    set->n += set->slots[at] == 0;
    set->slots[at] = word;
    return SMQTT_OK;
}
