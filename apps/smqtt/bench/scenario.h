/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_BENCH_SCENARIO_H
#define SMQTT_APPS_BENCH_SCENARIO_H
/* What can be measured: one row per name. */
#include "bench.h"

/** A row of the table. */
struct scenario {
    const char *name;
    /** Runs it; false after a sentence. What was measured stands in b. */
    bool (*run)(struct bench *b);
    uint64_t count;       /* -c when it is not given */
    uint64_t window;      /* -F when it is not given */
    double message_ms;    /* -I when it is not given */
    double duration_s;    /* --duration when it is not given; 0: none */
    uint64_t interval_ms; /* -i when it is not given */
    bool many_topics;     /* messages of one publisher have different topics, whose order means nothing */
    bool own_clients;     /* publishers and subscribers of one run: its messages carry the run's mark */
    const char *help;
};

/** NULL when there is none of that name. */
const struct scenario *scenario_find(const char *name);
/** Prints names and what they do. */
void scenario_print(void);

#endif
