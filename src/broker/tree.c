/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/tree.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "codec/topic.h"

enum { FIRST_SLOTS = 16 };

_Static_assert(sizeof(struct smq_tree_node) == 32, "a node is as small as it can be");

static uint32_t edge_tag(const struct smq_tree_node *parent, uint64_t level)
{
    uint64_t h = (parent->self ^ level) * UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 32;
    return (uint32_t)((h * UINT64_C(0xD6E8FEB86659FD93)) >> 32);
}

smqtt_err smq_tree_init(struct smq_tree *t, const struct smqtt_mem *mem, const uint8_t key[16], size_t node_size)
{
    *t = (struct smq_tree){.mem = mem};
    memcpy(t->key, key, sizeof t->key);
    smq_pool_init(&t->nodes, mem, node_size);
    uint32_t root = smq_pool_take(&t->nodes);
    if (root == 0) {
        smq_pool_deinit(&t->nodes);
        return SMQTT_E_NOMEM;
    }
    t->root = smq_tree_at(t, root);
    t->root->self = root;
    return SMQTT_OK;
}

void smq_tree_deinit(struct smq_tree *t)
{
    smq_pool_deinit(&t->nodes);
    smq_mem_free(t->mem, t->slots);
    t->root = NULL;
    t->slots = NULL;
    t->mask = 0;
}

uint64_t smq_tree_hash(const struct smq_tree *t, smq_span level)
{
    return smq_siphash13(t->key, level);
}

/* ------------------------------------------------------------ names */

static uint8_t *long_name(const struct smq_tree_node *node)
{
    uint8_t *at;
    memcpy(&at, node->name, sizeof at);
    return at;
}

smq_span smq_tree_name(const struct smq_tree_node *node)
{
    return (smq_span){node->len <= SMQ_TREE_SHORT ? node->name : long_name(node), node->len};
}

static bool set_name(const struct smq_tree *t, struct smq_tree_node *node, smq_span name)
{
    uint8_t *at = node->name;
    if (name.len > SMQ_TREE_SHORT) {
        at = smq_mem_alloc(t->mem, name.len);
        if (at == NULL) {
            return false;
        }
        memcpy(node->name, &at, sizeof at);
    }
    if (name.len != 0) {
        memcpy(at, name.data, name.len);
    }
    node->len = (uint16_t)name.len;
    return true;
}

static void drop_name(const struct smq_tree *t, const struct smq_tree_node *node)
{
    if (node->len > SMQ_TREE_SHORT) {
        smq_mem_free(t->mem, long_name(node));
    }
}

size_t smq_tree_path(const struct smq_tree *t, const struct smq_tree_node *node, uint8_t *out, size_t cap)
{
    size_t len = 0;
    for (const struct smq_tree_node *at = node; at->parent != 0; at = smq_tree_parent(t, at)) {
        len += at->len + (at != node ? 1u : 0u);
    }
    size_t end = len;
    for (const struct smq_tree_node *at = node; at->parent != 0; at = smq_tree_parent(t, at)) {
        smq_span name = smq_tree_name(at);
        if (at != node && --end < cap) {
            out[end] = '/';
        }
        end -= name.len;
        if (end < cap && name.len != 0) {
            memcpy(out + end, name.data, name.len < cap - end ? name.len : cap - end);
        }
    }
    return len;
}

/* ------------------------------------------------------------ the table of edges */

struct smq_tree_node *smq_tree_child(const struct smq_tree *t, const struct smq_tree_node *parent, smq_span level,
                                     uint64_t level_hash)
{
    if (t->slots == NULL) {
        return NULL;
    }
    uint32_t tag = edge_tag(parent, level_hash);
    for (size_t i = tag & t->mask; t->slots[i].node != 0; i = (i + 1) & t->mask) {
        if (t->slots[i].tag == tag) {
            struct smq_tree_node *node = smq_pool_at(&t->nodes, t->slots[i].node);
            if (node->parent == parent->self && smq_span_equal(smq_tree_name(node), level)) {
                return node;
            }
        }
    }
    return NULL;
}

static void put(struct smq_tree_slot *slots, size_t mask, struct smq_tree_slot slot)
{
    size_t i = slot.tag & mask;
    while (slots[i].node != 0) {
        i = (i + 1) & mask;
    }
    slots[i] = slot;
}

/* Tables double when three quarters are taken and halve when less than an eighth is. */
static smqtt_err resize(struct smq_tree *t, size_t n_slots)
{
    struct smq_tree_slot *slots = smq_mem_zalloc(t->mem, n_slots, sizeof *slots);
    if (slots == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (size_t i = 0; t->slots != NULL && i <= t->mask; i++) {
        if (t->slots[i].node != 0) {
            put(slots, n_slots - 1, t->slots[i]);
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
    uint32_t self = smq_pool_take(&t->nodes);
    struct smq_tree_node *node = smq_tree_at(t, self);
    if (node == NULL || !set_name(t, node, level)) {
        if (node != NULL) {
            smq_pool_give(&t->nodes, self);
        }
        return SMQTT_E_NOMEM;
    }
    node->self = self;
    node->parent = parent->self;
    node->next = parent->first_child;
    if (node->next != 0) {
        smq_tree_next(t, node)->prev = self;
    }
    parent->first_child = self;
    put(t->slots, t->mask, (struct smq_tree_slot){self, edge_tag(parent, level_hash)});
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
static void unslot(struct smq_tree *t, const struct smq_tree_node *parent, const struct smq_tree_node *node)
{
    size_t i = edge_tag(parent, smq_tree_hash(t, smq_tree_name(node))) & t->mask;
    while (t->slots[i].node != node->self) {
        i = (i + 1) & t->mask;
    }
    for (size_t j = (i + 1) & t->mask; t->slots[j].node != 0; j = (j + 1) & t->mask) {
        size_t home = t->slots[j].tag & t->mask;
        if (((j - home) & t->mask) >= ((j - i) & t->mask)) {
            t->slots[i] = t->slots[j];
            i = j;
        }
    }
    t->slots[i].node = 0;
}

struct smq_tree_node *smq_tree_remove(struct smq_tree *t, struct smq_tree_node *node)
{
    struct smq_tree_node *parent = smq_tree_parent(t, node);
    unslot(t, parent, node);
    if (node->prev != 0) {
        smq_tree_at(t, node->prev)->next = node->next;
    } else {
        parent->first_child = node->next;
    }
    if (node->next != 0) {
        smq_tree_next(t, node)->prev = node->prev;
    }
    drop_name(t, node);
    smq_pool_give(&t->nodes, node->self);
    t->n--;
    if (t->n == 0) {
        smq_pool_cut(&t->nodes, t->root->self);
        smq_mem_free(t->mem, t->slots);
        t->slots = NULL;
        t->mask = 0;
    } else if (t->mask >= FIRST_SLOTS && t->n * 8 < t->mask + 1) {
        (void)!resize(t, (t->mask + 1) / 2); /* without memory it just stays large */
    }
    return parent;
}
