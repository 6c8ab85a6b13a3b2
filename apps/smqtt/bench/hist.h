/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_BENCH_HIST_H
#define SMQTT_APPS_BENCH_HIST_H
/* A histogram of nanoseconds: 64 equal steps for each power of two, so that a percentile is at most 1/64 too high,
 * in a table of fixed size. */
#include "base/defs.h"

enum { HIST_STEPS = 64, HIST_POWERS = 36, HIST_CELLS = HIST_STEPS * HIST_POWERS };

/** All zero is empty. */
struct hist {
    uint64_t n, sum, max;
    uint64_t min; /* only with n != 0 */
    uint64_t cells[HIST_CELLS];
};

/** The cell of a value; what is too large (from 2.2e12 on) goes to the last. */
size_t hist_cell(uint64_t value);
/** The largest value that a cell stands for. */
uint64_t hist_cell_top(size_t cell);
/** Counts one value. */
void hist_add(struct hist *h, uint64_t value);
/** Adds all of `from` to `to`. */
void hist_merge(struct hist *to, const struct hist *from);
/** Empties it. */
void hist_clear(struct hist *h);
/** The value that `share` (0..1) of all values do not exceed, as the top of its cell, never above the largest; 0 when
 * empty. */
uint64_t hist_at(const struct hist *h, double share);
/** The mean; 0 when empty. */
uint64_t hist_mean(const struct hist *h);

#endif
