/* SPDX-License-Identifier: Apache-2.0 */
/* Times are numbers of eleven digits of six bits. A timer lies on the level of the highest digit in which its deadline
 * and `now` differ, in the slot of the deadline's digit there. All digits above are the same, so the digit is larger
 * than that of `now`; and everything on a level is later than all that is on the levels below. Hence the first
 * non-empty slot of the lowest non-empty level holds the next deadline, and moving `now` to any time before the start
 * of that slot leaves every timer in its place. */
#include "base/wheel.h"

#define BITS            6
#define DIGIT(t, level) ((unsigned)((t) >> (BITS * (level))) & (SMQ_WHEEL_SLOTS - 1))

void smq_wheel_init(struct smq_wheel *wheel, smqtt_ms now)
{
    *wheel = (struct smq_wheel){.now = now};
    smq_list_init(&wheel->due);
    for (size_t level = 0; level < SMQ_WHEEL_LEVELS; level++) {
        for (size_t slot = 0; slot < SMQ_WHEEL_SLOTS; slot++) {
            smq_list_init(&wheel->slots[level][slot]);
        }
    }
}

static void link_node(struct smq_wheel *wheel, struct smq_wheel_node *node)
{
    if (node->at <= wheel->now) {
        node->slot = SMQ_WHEEL_DUE;
        smq_list_push_back(&wheel->due, &node->link);
        return;
    }
    unsigned level = (63U - (unsigned)__builtin_clzll(node->at ^ wheel->now)) / BITS;
    unsigned slot = DIGIT(node->at, level);
    node->slot = (uint16_t)(1 + level * SMQ_WHEEL_SLOTS + slot);
    smq_list_push_back(&wheel->slots[level][slot], &node->link);
    wheel->used[level] |= UINT64_C(1) << slot;
}

void smq_wheel_cancel(struct smq_wheel *wheel, struct smq_wheel_node *node)
{
    if (node->slot == 0) {
        return;
    }
    smq_list_remove(&node->link);
    if (node->slot != SMQ_WHEEL_DUE) {
        unsigned level = (node->slot - 1U) / SMQ_WHEEL_SLOTS;
        unsigned slot = (node->slot - 1U) % SMQ_WHEEL_SLOTS;
        if (smq_list_is_empty(&wheel->slots[level][slot])) {
            wheel->used[level] &= ~(UINT64_C(1) << slot);
        }
    }
    node->slot = 0;
    wheel->n--;
}

void smq_wheel_set(struct smq_wheel *wheel, struct smq_wheel_node *node, smqtt_ms at)
{
    smq_wheel_cancel(wheel, node);
    node->at = at;
    if (at == SMQTT_NEVER) {
        return;
    }
    link_node(wheel, node);
    wheel->n++;
}

/* The first non-empty slot and the time at which it starts; false when there is none. */
static bool first_slot(const struct smq_wheel *wheel, unsigned *level, unsigned *slot, smqtt_ms *start)
{
    for (unsigned l = 0; l < SMQ_WHEEL_LEVELS; l++) {
        if (wheel->used[l] == 0) {
            continue;
        }
        *level = l;
        *slot = (unsigned)__builtin_ctzll(wheel->used[l]);
        smqtt_ms above = l + 1 < SMQ_WHEEL_LEVELS ? wheel->now >> (BITS * (l + 1)) << (BITS * (l + 1)) : 0;
        *start = above | ((smqtt_ms)*slot << (BITS * l));
        return true;
    }
    return false;
}

smqtt_ms smq_wheel_next(const struct smq_wheel *wheel)
{
    unsigned level = 0;
    unsigned slot = 0;
    smqtt_ms start = SMQTT_NEVER;
    if (!smq_list_is_empty(&wheel->due)) {
        return wheel->now;
    }
    return first_slot(wheel, &level, &slot, &start) ? start : SMQTT_NEVER;
}

/* Goes to the start of each slot on the way and spreads its timers over the levels below; those of that very
 * millisecond are due. */
static void advance(struct smq_wheel *wheel, smqtt_ms now)
{
    unsigned level = 0;
    unsigned slot = 0;
    smqtt_ms start = 0;
    while (first_slot(wheel, &level, &slot, &start) && start <= now) {
        struct smq_list moving;
        smq_list_init(&moving);
        smq_list_splice_back(&moving, &wheel->slots[level][slot]);
        wheel->used[level] &= ~(UINT64_C(1) << slot);
        wheel->now = start;
        for (struct smq_list *link = smq_list_pop_front(&moving); link != NULL; link = smq_list_pop_front(&moving)) {
            link_node(wheel, SMQ_CONTAINER_OF(link, struct smq_wheel_node, link));
        }
    }
    wheel->now = now;
}

struct smq_wheel_node *smq_wheel_pop(struct smq_wheel *wheel, smqtt_ms now)
{
    if (now > wheel->now) {
        advance(wheel, now);
    }
    struct smq_list *link = smq_list_pop_front(&wheel->due);
    if (link == NULL) {
        return NULL;
    }
    struct smq_wheel_node *node = SMQ_CONTAINER_OF(link, struct smq_wheel_node, link);
    node->slot = 0;
    wheel->n--;
    return node;
}
