/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_BENCH_PROC_H
#define SMQTT_APPS_BENCH_PROC_H
/* What another process has used, read from /proc. */
#include "base/defs.h"

struct proc_use {
    double cpu_s; /* of all its threads, those that have ended included where the kernel tells */
    uint64_t rss; /* resident bytes */
    bool known;   /* false: there is no such process, or no /proc */
};

/** Reads it now. pid 0: unknown. */
struct proc_use proc_read(long pid);

#endif
