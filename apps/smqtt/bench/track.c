/* SPDX-License-Identifier: Apache-2.0 */
#include "track.h"

#include <stdlib.h>
#include <string.h>

static void remove_gap(struct track *t, uint32_t at)
{
    memmove(&t->gaps[at], &t->gaps[at + 1], (t->n_gaps - at - 1) * sizeof t->gaps[0]);
    t->n_gaps--;
}

static void insert_gap(struct track *t, uint32_t at, uint64_t first, uint64_t end)
{
    if (t->n_gaps == TRACK_GAPS_MAX) {
        remove_gap(t, 0);
        at = at != 0 ? at - 1 : 0;
    }
    if (t->n_gaps == t->cap_gaps) {
        uint32_t cap = t->cap_gaps != 0 ? t->cap_gaps * 2 : 8;
        struct track_gap *gaps = realloc(t->gaps, cap * sizeof *gaps);
        if (gaps == NULL) {
            return; /* as if it had been given up */
        }
        t->gaps = gaps;
        t->cap_gaps = cap;
    }
    memmove(&t->gaps[at + 1], &t->gaps[at], (t->n_gaps - at) * sizeof t->gaps[0]);
    t->gaps[at] = (struct track_gap){first, end};
    t->n_gaps++;
}

/* A number below the highest: one that was missing, or one that was here. */
static void see_old(struct track *t, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = t->n_gaps;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->gaps[middle].end <= number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == t->n_gaps || number < t->gaps[low].first) {
        t->twice++;
        return;
    }
    struct track_gap gap = t->gaps[low];
    t->late++;
    t->distinct++;
    if (number == gap.first && number + 1 == gap.end) {
        remove_gap(t, low);
    } else if (number == gap.first) {
        t->gaps[low].first++;
    } else if (number + 1 == gap.end) {
        t->gaps[low].end--;
    } else {
        t->gaps[low].end = number;
        insert_gap(t, low + 1, number + 1, gap.end);
    }
}

void track_see(struct track *t, uint64_t number)
{
    if (number < t->next) {
        see_old(t, number);
        return;
    }
    if (number > t->next) {
        insert_gap(t, t->n_gaps, t->next, number);
    }
    t->next = number + 1;
    t->distinct++;
}

uint64_t track_lost(const struct track *t, uint64_t sent)
{
    return sent > t->distinct ? sent - t->distinct : 0;
}

void track_free(struct track *t)
{
    free(t->gaps);
    t->gaps = NULL;
    t->n_gaps = t->cap_gaps = 0;
}
