/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_PROBE_REPORT_H
#define SMQTT_APPS_PROBE_REPORT_H
/* What came out: a table for people, or JSON; and what it means, in a sentence and an exit code. */
#include "../opts.h"
#include "rows.h"

struct probe_report {
    const struct opts *opts;
    const struct probe_result *results;
    size_t n;
    bool spoken[6]; /* by version: did the broker speak it? */
    bool asked[6];
    bool whole;    /* all that was to be tried was tried */
    unsigned left; /* retained messages that could not be removed */
};

/** Exit codes of the probe; EXIT_FAILED when it could not be made. */
enum { PROBE_EXIT_REFUSES = 0, PROBE_EXIT_TAKES = 3, PROBE_EXIT_DELIVERS = 4 };

/** The exit code. What is only advised against does not count. */
int probe_report_code(const struct probe_report *report);
/** To standard output. */
void probe_report_table(const struct probe_report *report);
void probe_report_json(const struct probe_report *report);

#endif
