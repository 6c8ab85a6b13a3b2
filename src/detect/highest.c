/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/highest.h"

#include "base/siphash.h"

static uint64_t name_of(const struct smq_highest *h, const uint8_t kid[4], smq_span topic)
{
    /* The kid, random itself, is mixed into the key. */
    uint8_t key[sizeof(h->hash_key)];
    memcpy(key, h->hash_key, sizeof(key));
    for (size_t i = 0; i < 4; i++) {
        key[i] ^= kid[i];
    }
    uint64_t name = smq_siphash13(key, topic);
    return name != 0 ? name : 1;
}

static struct smq_highest_entry *find(struct smq_highest *h, uint64_t name)
{
    struct smq_highest_entry *set = h->entries[name % SMQ_HIGHEST_SETS];
    for (size_t i = 0; i < SMQ_HIGHEST_WAYS; i++) {
        if (set[i].name == name) {
            set[i].used = ++h->clock;
            return &set[i];
        }
    }
    return NULL;
}

void smq_highest_note(struct smq_highest *h, const uint8_t kid[4], smq_span topic, uint64_t seq)
{
    uint64_t name = name_of(h, kid, topic);
    struct smq_highest_entry *entry = find(h, name);
    if (entry != NULL) {
        entry->seq = seq > entry->seq ? seq : entry->seq;
        return;
    }
    struct smq_highest_entry *set = h->entries[name % SMQ_HIGHEST_SETS];
    entry = &set[0];
    for (size_t i = 1; i < SMQ_HIGHEST_WAYS; i++) {
        if (h->clock - set[i].used > h->clock - entry->used) {
            entry = &set[i];
        }
    }
    *entry = (struct smq_highest_entry){name, seq, ++h->clock};
}

bool smq_highest_is(struct smq_highest *h, const uint8_t kid[4], smq_span topic, uint64_t seq)
{
    const struct smq_highest_entry *entry = find(h, name_of(h, kid, topic));
    return entry != NULL && entry->seq == seq;
}
