/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_LIST_H
#define SMQTT_BASE_LIST_H
/* Doubly linked ring of nodes that sit inside the caller's structs (SMQ_CONTAINER_OF leads back). The head is a node of
 * its own. Nothing is allocated, nothing fails; every operation takes constant time. A node belongs to one list at
 * most. Head and linked nodes must not move in memory. To walk:
 *
 *     for (struct smq_list *node = head.next; node != &head; node = node->next)
 *
 * and whoever removes the node on the way takes node->next before. */
#include "base/defs.h"

struct smq_list {
    struct smq_list *next;
    struct smq_list *prev;
};

/** Makes an empty list of a head, or an unlinked node of a node. */
static inline void smq_list_init(struct smq_list *list)
{
    list->next = list;
    list->prev = list;
}
/** Has this head no nodes? */
static inline bool smq_list_is_empty(const struct smq_list *head)
{
    return head->next == head;
}
/** Is this node in a list? Needs smq_list_init before. */
static inline bool smq_list_is_linked(const struct smq_list *node)
{
    return node->next != node;
}
/** Links an unlinked node behind `at`, which is a node or a head: then it becomes the first. */
static inline void smq_list_insert_after(struct smq_list *at, struct smq_list *node)
{
    node->prev = at;
    node->next = at->next;
    at->next->prev = node;
    at->next = node;
}
/** Links an unlinked node as the first. */
static inline void smq_list_push_front(struct smq_list *head, struct smq_list *node)
{
    smq_list_insert_after(head, node);
}
/** Links an unlinked node as the last. */
static inline void smq_list_push_back(struct smq_list *head, struct smq_list *node)
{
    smq_list_insert_after(head->prev, node);
}
/** Unlinks a node; it is then as after smq_list_init, so that removing it again does no harm. */
static inline void smq_list_remove(struct smq_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    smq_list_init(node);
}
/** The first node, still linked, or NULL when the list is empty. */
static inline struct smq_list *smq_list_first(const struct smq_list *head)
{
    return head->next != head ? head->next : NULL;
}
/** The last node, still linked, or NULL when the list is empty. */
static inline struct smq_list *smq_list_last(const struct smq_list *head)
{
    return head->prev != head ? head->prev : NULL;
}
/** Unlinks and returns the first node, or NULL when the list is empty. */
static inline struct smq_list *smq_list_pop_front(struct smq_list *head)
{
    struct smq_list *node = smq_list_first(head);
    if (node != NULL) {
        smq_list_remove(node);
    }
    return node;
}
/** Moves all nodes of `from`, in order, behind those of `to`; `from` is empty then. */
static inline void smq_list_splice_back(struct smq_list *to, struct smq_list *from)
{
    if (smq_list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    from->prev->next = to;
    to->prev->next = from->next;
    to->prev = from->prev;
    smq_list_init(from);
}

#endif
