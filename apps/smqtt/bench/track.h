/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_BENCH_TRACK_H
#define SMQTT_APPS_BENCH_TRACK_H
/* What one subscriber got of one publisher, whose messages are numbered from 0. In order it costs an addition; for what
 * is missing in between there is a list of gaps. */
#include "base/defs.h"

enum { TRACK_GAPS_MAX = 4096 };

struct track_gap {
    uint64_t first, end; /* end is not part of it */
};

/** All zero is a fresh one. */
struct track {
    uint64_t next;          /* one behind the highest number seen */
    uint64_t distinct;      /* different numbers seen */
    uint64_t twice;         /* numbers seen before */
    uint64_t late;          /* numbers that came behind a higher one */
    struct track_gap *gaps; /* ascending; NULL until the first */
    uint32_t n_gaps, cap_gaps;
};

/** A message with this number came. With more than TRACK_GAPS_MAX gaps the oldest is given up: its numbers stay lost,
 * and count as seen twice if they come. */
void track_see(struct track *t, uint64_t number);
/** How many of the numbers 0..sent-1 did not come. */
uint64_t track_lost(const struct track *t, uint64_t sent);
/** Frees the list. */
void track_free(struct track *t);

#endif
