/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_TREE_H
#define SMQTT_BROKER_TREE_H
/* A tree of topic levels: what the subscriptions and the retained messages both stand on. A child is found by one keyed
 * hash table over all edges, so that a node has no table of its own; children are linked as siblings, too, for walks.
 * Made for millions of nodes: nodes live in a pool and name each other by 32 bits, short names stand in the node, a
 * place in the table is 8 bytes. Nothing here is recursive. */
#include "base/pool.h"

enum { SMQ_TREE_SHORT = 10 }; /* bytes of a name that stand in the node */

/** A node. Users embed it as the first member of their own. Links are names in the pool, 0: none. */
struct smq_tree_node {
    uint32_t self, parent; /* parent 0: the root */
    uint32_t first_child;
    uint32_t next, prev;          /* siblings; prev of the first is 0 */
    uint16_t len;                 /* bytes of the name */
    uint8_t name[SMQ_TREE_SHORT]; /* the name, or where it is */
};

struct smq_tree_slot {
    uint32_t node; /* 0: free */
    uint32_t tag;  /* of the edge: its hash */
};

struct smq_tree {
    const struct smqtt_mem *mem;
    struct smq_pool nodes;
    struct smq_tree_slot *slots; /* power of two; NULL until the first node */
    size_t mask;
    size_t n; /* nodes besides the root */
    struct smq_tree_node *root;
    uint8_t key[16];
};

/** An empty tree with its root; nodes have `node_size` bytes. `key` is random: names come from strangers.
 * SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_tree_init(struct smq_tree *t, const struct smqtt_mem *mem, const uint8_t key[16],
                                     size_t node_size);
/** Frees the root and the table. All other nodes must be gone. */
void smq_tree_deinit(struct smq_tree *t);
/** The node of a name in the pool; NULL for 0. */
static inline struct smq_tree_node *smq_tree_at(const struct smq_tree *t, uint32_t name)
{
    return name != 0 ? smq_pool_at(&t->nodes, name) : NULL;
}
/** NULL: the root has none. */
static inline struct smq_tree_node *smq_tree_parent(const struct smq_tree *t, const struct smq_tree_node *node)
{
    return smq_tree_at(t, node->parent);
}
/** The first child, or NULL. */
static inline struct smq_tree_node *smq_tree_first(const struct smq_tree *t, const struct smq_tree_node *node)
{
    return smq_tree_at(t, node->first_child);
}
/** The next sibling, or NULL. */
static inline struct smq_tree_node *smq_tree_next(const struct smq_tree *t, const struct smq_tree_node *node)
{
    return smq_tree_at(t, node->next);
}
/** The keyed hash of a level, to be computed once however many parents it is looked up under. */
uint64_t smq_tree_hash(const struct smq_tree *t, smq_span level);
/** The child of that name, or NULL. */
struct smq_tree_node *smq_tree_child(const struct smq_tree *t, const struct smq_tree_node *parent, smq_span level,
                                     uint64_t level_hash);
/** Finds or makes all nodes of a path. The new ones are cleared behind their smq_tree_node. On SMQTT_E_NOMEM the tree
 * is as before. */
SMQ_MUST_USE smqtt_err smq_tree_add(struct smq_tree *t, smq_span path, struct smq_tree_node **out);
/** The node of a path, or NULL. */
struct smq_tree_node *smq_tree_find(const struct smq_tree *t, smq_span path);
/** Removes one node without children (not the root) and returns its parent. */
struct smq_tree_node *smq_tree_remove(struct smq_tree *t, struct smq_tree_node *node);
/** The name of its level. */
smq_span smq_tree_name(const struct smq_tree_node *node);
/** Writes the whole path of a node, at most `cap` bytes, and returns its length. */
size_t smq_tree_path(const struct smq_tree *t, const struct smq_tree_node *node, uint8_t *out, size_t cap);

#endif
