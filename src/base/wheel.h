/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_WHEEL_H
#define SMQTT_BASE_WHEEL_H
/* Timers: a hierarchical wheel of 64-slot levels over the 64 bits of milliseconds. Setting and cancelling take constant
 * time and allocate nothing; a timer moves down at most once per level. Deadlines are exact to the millisecond. */
#include "base/list.h"

#define SMQ_WHEEL_SLOTS  64
#define SMQ_WHEEL_LEVELS 11 /* 11 x 6 bits hold 64 */
#define SMQ_WHEEL_DUE    (1 + SMQ_WHEEL_LEVELS * SMQ_WHEEL_SLOTS)

/** A timer, inside the caller's struct. Zeroed or after smq_wheel_node_init it is not set. Must not move while it is
 * set. */
struct smq_wheel_node {
    struct smq_list link;
    smqtt_ms at;    /* deadline; read only */
    uint16_t slot;  /* 1 + level * 64 + slot; 0: not set; SMQ_WHEEL_DUE: in the list `due` */
    uint16_t owner; /* the user's */
};

struct smq_wheel {
    smqtt_ms now;                    /* latest time that was told */
    size_t n;                        /* timers that are set */
    struct smq_list due;             /* deadline <= now */
    uint64_t used[SMQ_WHEEL_LEVELS]; /* bit per slot that is not empty */
    struct smq_list slots[SMQ_WHEEL_LEVELS][SMQ_WHEEL_SLOTS];
};

/** An empty wheel that begins at `now`. About 11 KiB; must not move. */
void smq_wheel_init(struct smq_wheel *wheel, smqtt_ms now);
/** A timer that is not set. */
static inline void smq_wheel_node_init(struct smq_wheel_node *node)
{
    node->slot = 0;
    node->at = SMQTT_NEVER;
}
/** Sets the timer to `at`, or moves it there when it is set. A past `at` is due at once. SMQTT_NEVER cancels it. */
void smq_wheel_set(struct smq_wheel *wheel, struct smq_wheel_node *node, smqtt_ms at);
/** Stops the timer; nothing happens when it is not set. Needed before its struct is freed. */
void smq_wheel_cancel(struct smq_wheel *wheel, struct smq_wheel_node *node);
/** Is it set and not yet popped? */
static inline bool smq_wheel_is_set(const struct smq_wheel_node *node)
{
    return node->slot != 0;
}
/** Number of timers that are set. */
static inline size_t smq_wheel_count(const struct smq_wheel *wheel)
{
    return wheel->n;
}
/** A time by which smq_wheel_pop need not be called earlier: never after the first deadline, maybe before it, and exact
 * when that is less than 64 ms off. SMQTT_NEVER when no timer is set. To wake up at it and to pop nothing is normal and
 * brings it nearer. */
smqtt_ms smq_wheel_next(const struct smq_wheel *wheel);
/**
 * Takes one timer whose deadline is `now` or earlier, or returns NULL when there is none. It is not set any more and
 * may be set again or freed. Call it until NULL. Timers come in the order of their deadlines; those of the same
 * millisecond in any order. One that was set to a time already told comes in the same round, behind those that were due
 * before it.
 *
 * @param now  time; one before the latest that was told counts as that
 */
struct smq_wheel_node *smq_wheel_pop(struct smq_wheel *wheel, smqtt_ms now);

#endif
