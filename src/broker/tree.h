/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_TREE_H
#define SMQTT_BROKER_TREE_H
/* A tree of topic levels: what the subscriptions and the retained messages both stand on. A child is found by one keyed
 * hash table over all edges, so that a node has no table of its own; children are linked as siblings, too, for walks.
 * Nothing here is recursive. */
#include "base/mem.h"

/** A node. Users embed it as the first member of a struct of `node_size` bytes; the level's name stands behind that. */
struct smq_tree_node {
    struct smq_tree_node *parent; /* NULL: the root */
    struct smq_tree_node *first_child;
    struct smq_tree_node *next, *prev; /* siblings; prev of the first is NULL */
    uint64_t hash;                     /* of the path down to here */
    uint32_t len;                      /* bytes of the name */
};

struct smq_tree_slot {
    struct smq_tree_node *node; /* NULL: free */
    uint64_t hash;
};

struct smq_tree {
    const struct smqtt_mem *mem;
    struct smq_tree_slot *slots; /* power of two; NULL until the first node */
    size_t mask;
    size_t n; /* nodes besides the root */
    size_t node_size;
    struct smq_tree_node *root; /* node_size bytes */
    uint8_t key[16];
};

/** An empty tree with its root. `key` is random: names come from strangers. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_tree_init(struct smq_tree *t, const struct smqtt_mem *mem, const uint8_t key[16],
                                     size_t node_size);
/** Frees the root and the table. All other nodes must be gone. */
void smq_tree_deinit(struct smq_tree *t);
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
smq_span smq_tree_name(const struct smq_tree *t, const struct smq_tree_node *node);

#endif
