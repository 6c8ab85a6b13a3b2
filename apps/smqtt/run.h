/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_RUN_H
#define SMQTT_APPS_RUN_H
/* Drives one client over one TCP connection: resolves, connects, polls, hands events to the command. */
#include <smqtt/client.h>

#include "opts.h"

struct run;

/** What a command does with what happens. */
struct run_hooks {
    void (*event)(struct run *run, const struct smqtt_client_event *event);
    void (*input)(struct run *run);    /* standard input is readable; NULL: it is not watched */
    void (*deadline)(struct run *run); /* `at` has come */
};

struct run {
    const struct opts *opts;
    const struct run_hooks *hooks;
    void *ctx; /* the command's */
    struct smqtt_client *client;
    int fd;
    int exit_code;
    bool stop;        /* send what is in the output, then end */
    bool watch_input; /* may be switched by the command */
    bool reconnect;   /* a lost connection is made again after a second */
    smqtt_ms at;      /* monotonic time of hooks->deadline, or SMQTT_NEVER */
};

/** The configuration of a client as the flags ask; `secure`: version 5 unless told otherwise. False after a sentence.
 */
bool run_config(const struct opts *o, bool secure, struct smqtt_client_config *config, struct smqtt_will *will);
/** Splits --url into host, port, user, password and topic. False after a sentence. */
bool run_url(struct opts *o);
/** Connects and turns until stop; returns the exit code. Frees the client. */
int run(struct run *run);
/** Ends with this exit code after an orderly DISCONNECT. */
void run_stop(struct run *run, int exit_code);
/** One sentence about why the broker did not let us in. */
const char *run_reason(enum smqtt_version version, uint8_t reason);

#endif
