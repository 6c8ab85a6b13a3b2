/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_RETAIN_H
#define SMQTT_BROKER_RETAIN_H
/* Retained messages, one a topic, in a tree of levels: a filter finds those that it matches without looking at others.
 */
#include "base/list.h"
#include "base/refbuf.h"
#include "broker/ledger.h"
#include "broker/timer.h"
#include "broker/tree.h"

struct smq_retain_node {
    struct smq_tree_node tree;
    struct smq_refbuf *msg;          /* NULL: only a part of longer topics */
    struct smq_retain_timer *expiry; /* NULL: never */
};

struct smq_retain_timer {
    struct smq_timer timer;
    struct smq_retain_node *node;
};

struct smq_retain {
    struct smq_tree tree;
    struct smq_wheel *wheel;
    size_t n;                     /* messages */
    atomic_uint_least64_t *total; /* those of all workers together; NULL: this is all */
    struct smq_list cursors;
};

/** A walk over what a filter matches that may pause, and be dropped at any time. */
struct smq_retain_cursor {
    struct smq_list of_retain;
    smq_span filter;
    struct smq_tree_node *node, *top; /* node NULL: at its end */
    size_t from;
    bool fresh; /* the node was not looked at yet */
};

/** SMQTT_E_NOMEM. `key` random; `wheel` is borrowed; smq_retain_on_timer calls smq_retain_expire. */
SMQ_MUST_USE smqtt_err smq_retain_init(struct smq_retain *r, const struct smqtt_mem *mem, const uint8_t key[16],
                                       struct smq_wheel *wheel);
/** Frees all messages. */
void smq_retain_deinit(struct smq_retain *r);
/**
 * Keeps `msg` (an ownership of its own is taken) as the one of its topic, instead of the one before [MQTT-3.3.1-5].
 * One with a higher version stays, as if it had come later.
 * @param max  messages at most, of all workers together; 0: no limit
 * @retval SMQTT_E_QUOTA  it would be one too many; SMQTT_E_NOMEM. Nothing changed.
 */
SMQ_MUST_USE smqtt_err smq_retain_set(struct smq_retain *r, struct smq_refbuf *msg, uint32_t max);
/** Removes the one of the topic, if there is any [MQTT-3.3.1-6] that does not have a higher version. Was there one? */
bool smq_retain_remove(struct smq_retain *r, smq_span topic, uint64_t version);
/** The one of the topic, or NULL. */
struct smq_refbuf *smq_retain_get(const struct smq_retain *r, smq_span topic);
/** The timer of a message went off: it is removed. */
void smq_retain_expire(struct smq_retain *r, struct smq_retain_timer *timer);
/** Calls fn for each message that the (not shared) filter matches, until it returns false. fn changes nothing here. */
void smq_retain_match(struct smq_retain *r, smq_span filter, bool (*fn)(void *ctx, struct smq_refbuf *msg), void *ctx);

/** Starts a walk. `filter` (not a shared one) is borrowed until its end, `r` too. Messages that come or go meanwhile
 * are found or not; all others are found once. */
void smq_retain_open(struct smq_retain *r, struct smq_retain_cursor *c, smq_span filter);
/** The next one; borrowed. NULL: at the end (smq_retain_is_open tells), or *budget is used up. *budget counts down with
 * each place that is looked at. */
struct smq_refbuf *smq_retain_next(struct smq_retain *r, struct smq_retain_cursor *c, unsigned *budget);
/** Is there more to look at? */
static inline bool smq_retain_is_open(const struct smq_retain_cursor *c)
{
    return c->node != NULL;
}
/** Drops the walk; also one that is at its end, or all zero. */
void smq_retain_close(struct smq_retain_cursor *c);

#endif
