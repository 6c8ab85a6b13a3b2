/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tombs.h"
#include "base/siphash.h"

enum { FIRST_SLOTS = 64 };

void smq_tombs_init(struct smq_tombs *t, const struct smqtt_mem *mem, const uint8_t key[16])
{
    *t = (struct smq_tombs){.mem = mem, .turns = SMQTT_NEVER};
    memcpy(t->key, key, sizeof t->key);
}

static void table_free(struct smq_tombs *t, struct smq_tomb_table *table)
{
    smq_mem_free(t->mem, table->slots);
    *table = (struct smq_tomb_table){0};
}

void smq_tombs_deinit(struct smq_tombs *t)
{
    table_free(t, &t->now);
    table_free(t, &t->before);
}

static struct smq_tomb *place_of(const struct smq_tomb_table *table, uint64_t topic)
{
    size_t at = (size_t)topic & table->mask;
    while (table->slots[at].version != 0 && table->slots[at].topic != topic) {
        at = (at + 1) & table->mask;
    }
    return &table->slots[at];
}

static bool make_room(struct smq_tombs *t)
{
    struct smq_tomb_table *old = &t->now;
    if (old->slots != NULL && old->n * 2 <= old->mask) {
        return true;
    }
    struct smq_tomb_table bigger = {.mask = old->slots != NULL ? old->mask * 2 + 1 : FIRST_SLOTS - 1, .n = old->n};
    bigger.slots = smq_mem_zalloc(t->mem, bigger.mask + 1, sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; old->slots != NULL && i <= old->mask; i++) {
        if (old->slots[i].version != 0) {
            *place_of(&bigger, old->slots[i].topic) = old->slots[i];
        }
    }
    smq_mem_free(t->mem, old->slots);
    *old = bigger;
    return true;
}

smqtt_err smq_tombs_add(struct smq_tombs *t, smq_span topic, uint64_t version, smqtt_ms mono)
{
    smq_tombs_tick(t, mono);
    if (!make_room(t)) {
        return SMQTT_E_NOMEM;
    }
    uint64_t hash = smq_siphash13(t->key, topic);
    struct smq_tomb *tomb = place_of(&t->now, hash);
    t->now.n += tomb->version == 0;
    tomb->topic = hash;
    tomb->version = version > tomb->version ? version : tomb->version;
    if (t->turns == SMQTT_NEVER) {
        t->turns = mono + SMQ_TOMBS_MS;
    }
    return SMQTT_OK;
}

uint64_t smq_tombs_get(const struct smq_tombs *t, smq_span topic)
{
    if (t->turns == SMQTT_NEVER) {
        return 0;
    }
    uint64_t hash = smq_siphash13(t->key, topic);
    uint64_t a = t->now.slots != NULL ? place_of(&t->now, hash)->version : 0;
    uint64_t b = t->before.slots != NULL ? place_of(&t->before, hash)->version : 0;
    return a > b ? a : b;
}

void smq_tombs_tick(struct smq_tombs *t, smqtt_ms mono)
{
    while (t->turns != SMQTT_NEVER && mono >= t->turns) {
        table_free(t, &t->before);
        t->before = t->now;
        t->now = (struct smq_tomb_table){0};
        t->turns = t->before.slots != NULL ? t->turns + SMQ_TOMBS_MS : SMQTT_NEVER;
    }
}
