/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_BENCH_FLAGS_H
#define SMQTT_APPS_BENCH_FLAGS_H
/* Flags of `smqtt bench`; the rows are in flags.def. They have a table of their own because emqtt-bench, whose names
 * people know, gives other letters to other things than mosquitto_pub. */
#include "base/defs.h"

/** What was asked for. Text points into argv. Numbers that were not given hold FLAG_ABSENT, until the scenario sets
 * its own. */
struct bench_flags {
    const char *host, *ifaddr, *prefix, *user, *password, *topic, *sealed, *cafile, *json, *svg;
    uint64_t port, version, count, start, interval_ms, concurrency, keep_alive, session_expiry, size, qos, limit,
        window, batch, filters, per_packet, messages, broker_pid;
    double connect_rate, message_ms, rate, duration_s, warmup_s;
    bool short_ids, clean, retain, wait_all, tunnel, insecure, quiet, help;
};

#define FLAG_ABSENT UINT64_MAX

/** Reads the flags from argv[first] on. False after it said one sentence about what is wrong. */
bool flags_read(struct bench_flags *f, int argc, char **argv, int first);
/** Prints all flags. */
void flags_print(void);

#endif
