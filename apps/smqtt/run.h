/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_RUN_H
#define SMQTT_APPS_RUN_H
/* Drives one client over one connection: connects, polls, hands events to the command, connects again. */
#include <poll.h>

#include <smqtt/client.h>

#include "aside.h"
#include "base/bytebuf.h"
#include "trace.h"
#include "transport.h"

struct run;

/** What a command does with what happens. */
struct run_hooks {
    void (*event)(struct run *run, const struct smqtt_client_event *event);
    void (*input)(struct run *run);    /* standard input is readable; NULL: it is not watched */
    void (*deadline)(struct run *run); /* `at` has come */
    void (*hangup)(struct run *run);   /* SIGHUP: read again what was read at the start; NULL: the signal ends us */
};

struct run {
    const struct opts *opts;
    const struct run_hooks *hooks;
    void *ctx; /* the command's */
    struct smqtt_client *client;
    struct transport transport;
    struct trace trace;
    struct aside aside;     /* messages with bad strings */
    struct smq_bytebuf raw; /* with -d: what came and is not a whole packet yet */
    enum smqtt_version version;
    struct smqtt_span client_id;
    int exit_code;
    bool stop;         /* send what is in the output, then end */
    bool leaves;       /* DISCONNECT is to be sent */
    bool ends_session; /* which tells the broker that the session it kept for lost connections is over */
    uint8_t leave_reason;
    bool watch_input; /* may be switched by the command */
    bool reconnect;   /* a lost connection is made again, after pauses that grow */
    bool graceful;    /* SIGINT and SIGTERM end it in good order */
    bool connected;   /* CONNACK came on this connection */
    bool steps_down;  /* a broker that does not know version 5 is spoken to in 3.1.1 */
    bool older;       /* it is such a broker */
    smqtt_ms at;      /* monotonic time of hooks->deadline, or SMQTT_NEVER */
};

/** Connects and turns until stop; returns the exit code. Frees the client. */
int run(struct run *run);
/** Ends with this exit code after an orderly DISCONNECT. */
void run_stop(struct run *run, int exit_code);
/** As run_stop, but the broker shall publish the will (version 5). */
void run_stop_with_will(struct run *run, int exit_code);
/** The broker refused the connection: one sentence, and the exit code is its reason. */
void run_refused(struct run *run, const struct smqtt_client_event *event);
/** One sentence about a reason code, or a return code of 3.x. */
const char *run_reason(enum smqtt_version version, uint8_t reason);
/** From now on SIGINT and SIGTERM do not end the program: run_is_interrupted tells of them. */
void run_catch_signals(void);
/** Did a signal ask the program to end? */
bool run_is_interrupted(void);
/** The same, and forgets it: what is done now to clean up may wait and connect again. */
bool run_take_interrupt(void);
enum { RUN_POLL_MAX = 2 };
/** As poll(2), of at most RUN_POLL_MAX descriptors; a signal that asks the program to end makes it return -1 with EINTR
 * even if it came just before. */
int run_poll(struct pollfd *p, unsigned n, int timeout_ms);

#endif
