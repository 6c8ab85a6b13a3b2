/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_LOGGING_H
#define SMQTT_APPS_LOGGING_H
/* The daemon's log: stdout, stderr, a file, with time, as Mosquitto writes it. */
#include "broker/conf.h"
#include "net/why.h"

struct logging {
    struct smq_log log; /* hand out its address */
    unsigned dest;
    bool timestamp;
    const char *format; /* NULL: seconds */
    int file;           /* -1: none */
};

/** Takes the settings over, which are borrowed, and opens the file anew (so that it can be rotated). `quiet`: errors
 * only; `verbose`: everything. SMQTT_E_IO: the old settings stay. */
SMQ_MUST_USE smqtt_err logging_set(struct logging *logging, const struct smq_conf *conf, bool verbose, bool quiet,
                                   struct smq_why *why);
/** A log to stderr before there is a configuration. */
void logging_init(struct logging *logging);
void logging_close(struct logging *logging);

#endif
