/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tree.h"
#include "base/siphash.h"
#include "codec/topic.h"

enum { FIRST_SLOTS = 16 };

static uint64_t path_hash(uint64_t parent, uint64_t level)
{
    uint64_t h = (parent ^ level) * UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 32;
    return h * UINT64_C(0xD6E8FEB86659FD93) + level;
}

smqtt_err smq_tree_init(struct smq_tree *t, const struct smqtt_mem *mem, const uint8_t key[16], size_t node_size)
{
    *t = (struct smq_tree){.mem = mem, .node_size = node_size};
    memcpy(t->key, key, sizeof t->key);
    t->root = smq_mem_zalloc(mem, 1, node_size);
    return t->root != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

void smq_tree_deinit(struct smq_tree *t)
{
    smq_mem_free(t->mem, t->root);
    smq_mem_free(t->mem, t->slots);
    t->root = NULL;
    t->slots = NULL;
    t->mask = 0;
}

uint64_t smq_tree_hash(const struct smq_tree *t, smq_span level)
{
    return smq_siphash13(t->key, level);
}

smq_span smq_tree_name(const struct smq_tree *t, const struct smq_tree_node *node)
{
    return (smq_span){(const uint8_t *)node + t->node_size, node->len};
}

struct smq_tree_node *smq_tree_child(const struct smq_tree *t, const struct smq_tree_node *parent, smq_span level,
                                     uint64_t level_hash)
{
    if (t->slots == NULL) {
        return NULL;
    }
    uint64_t hash = path_hash(parent->hash, level_hash);
    for (size_t i = (size_t)hash & t->mask; t->slots[i].node != NULL; i = (i + 1) & t->mask) {
        struct smq_tree_node *node = t->slots[i].node;
        if (t->slots[i].hash == hash && node->parent == parent && smq_span_equal(smq_tree_name(t, node), level)) {
            return node;
        }
    }
    return NULL;
}

static void put(struct smq_tree_slot *slots, size_t mask, struct smq_tree_node *node)
{
    size_t i = (size_t)node->hash & mask;
    while (slots[i].node != NULL) {
        i = (i + 1) & mask;
    }
    slots[i] = (struct smq_tree_slot){node, node->hash};
}

/* Tables double when three quarters are taken and halve when less than an eighth is. */
static smqtt_err resize(struct smq_tree *t, size_t n_slots)
{
    struct smq_tree_slot *slots = smq_mem_zalloc(t->mem, n_slots, sizeof *slots);
    if (slots == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (size_t i = 0; t->slots != NULL && i <= t->mask; i++) {
        if (t->slots[i].node != NULL) {
            put(slots, n_slots - 1, t->slots[i].node);
        }
    }
    smq_mem_free(t->mem, t->slots);
    t->slots = slots;
    t->mask = n_slots - 1;
    return SMQTT_OK;
}

static smqtt_err make_room(struct smq_tree *t)
{
    if (t->slots == NULL) {
        return resize(t, FIRST_SLOTS);
    }
    return (t->n + 1) * 4 > (t->mask + 1) * 3 ? resize(t, (t->mask + 1) * 2) : SMQTT_OK;
}

static smqtt_err add_child(struct smq_tree *t, struct smq_tree_node *parent, smq_span level, uint64_t level_hash,
                           struct smq_tree_node **out)
{
    SMQ_TRY(make_room(t));
    struct smq_tree_node *node = smq_mem_alloc(t->mem, t->node_size + level.len);
    if (node == NULL) {
        return SMQTT_E_NOMEM;
    }
    memset(node, 0, t->node_size);
    if (level.len != 0) {
        memcpy((uint8_t *)node + t->node_size, level.data, level.len);
    }
    node->len = (uint32_t)level.len;
    node->hash = path_hash(parent->hash, level_hash);
    node->parent = parent;
    node->next = parent->first_child;
    if (node->next != NULL) {
        node->next->prev = node;
    }
    parent->first_child = node;
    put(t->slots, t->mask, node);
    t->n++;
    *out = node;
    return SMQTT_OK;
}

smqtt_err smq_tree_add(struct smq_tree *t, smq_span path, struct smq_tree_node **out)
{
    struct smq_tree_node *node = t->root, *known = NULL; /* known: what the first new one hangs on */
    smq_span level;
    bool more = true;
    while (smq_topic_next_level(&path, &more, &level)) {
        uint64_t hash = smq_tree_hash(t, level);
        struct smq_tree_node *child = smq_tree_child(t, node, level, hash);
        if (child == NULL) {
            smqtt_err err = add_child(t, node, level, hash, &child);
            if (err != SMQTT_OK) {
                while (known != NULL && node != known) {
                    node = smq_tree_remove(t, node);
                }
                return err;
            }
            known = known != NULL ? known : node;
        }
        node = child;
    }
    *out = node;
    return SMQTT_OK;
}

struct smq_tree_node *smq_tree_find(const struct smq_tree *t, smq_span path)
{
    struct smq_tree_node *node = t->root;
    smq_span level;
    bool more = true;
    while (node != NULL && smq_topic_next_level(&path, &more, &level)) {
        node = smq_tree_child(t, node, level, smq_tree_hash(t, level));
    }
    return node;
}

/* Moves the entries behind a freed slot back to where they are found again. */
static void unslot(struct smq_tree *t, const struct smq_tree_node *node)
{
    size_t i = (size_t)node->hash & t->mask;
    while (t->slots[i].node != node) {
        i = (i + 1) & t->mask;
    }
    for (size_t j = (i + 1) & t->mask; t->slots[j].node != NULL; j = (j + 1) & t->mask) {
        size_t home = (size_t)t->slots[j].hash & t->mask;
        if (((j - home) & t->mask) >= ((j - i) & t->mask)) {
            t->slots[i] = t->slots[j];
            i = j;
        }
    }
    t->slots[i].node = NULL;
}

struct smq_tree_node *smq_tree_remove(struct smq_tree *t, struct smq_tree_node *node)
{
    struct smq_tree_node *parent = node->parent;
    unslot(t, node);
    if (node->prev != NULL) {
        node->prev->next = node->next;
    } else {
        parent->first_child = node->next;
    }
    if (node->next != NULL) {
        node->next->prev = node->prev;
    }
    smq_mem_free(t->mem, node);
    t->n--;
    if (t->n == 0) {
        smq_mem_free(t->mem, t->slots);
        t->slots = NULL;
        t->mask = 0;
    } else if (t->mask >= FIRST_SLOTS && t->n * 8 < t->mask + 1) {
        (void)!resize(t, (t->mask + 1) / 2); /* without memory it just stays large */
    }
    return parent;
}
