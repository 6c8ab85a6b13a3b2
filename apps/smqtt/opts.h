/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_OPTS_H
#define SMQTT_APPS_OPTS_H
/* Flags of the commands; the rows are in opts.def. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTS_P = 1, OPTS_S = 2, OPTS_I = 4, OPTS_D = 8 };
enum { OPTS_LIST_MAX = 1024, OPTS_ARGS_MAX = 16 };

struct opts_list {
    const char *item[OPTS_LIST_MAX];
    size_t n;
};

/** What was asked for. Text points into argv. */
struct opts {
    const char *host, *url, *client_id, *id_prefix, *user, *password, *version, *message, *file, *format, *will_topic,
        *will_payload, *to, *identity, *clients, *policy, *charset, *state, *output, *suite;
    struct opts_list topics, filter_out, unsubscribe;
    uint32_t session_expiry, repeat, repeat_delay, count, timeout, receipt_timeout, days;
    uint16_t port, keep_alive;
    uint8_t qos, will_qos;
    bool clean, debug, quiet, stdin_line, stdin_file, null_message, retain, verbose, end_of_line, no_retained,
        retained_only, remove_retained, retain_as_published, exit_subscribed, will_retain, binary, native,
        require_clients, help;
    bool qos_given, session_expiry_given, port_given;
    const char *args[OPTS_ARGS_MAX]; /* what is no flag */
    size_t n_args;
};

/** Reads the flags of one command (OPTS_P …) from argv[first] on. False after it printed one sentence about what is
 * wrong. */
bool opts_read(struct opts *o, int command, int argc, char **argv, int first);
/** Prints the flags that a command takes. */
void opts_print(int command);

#endif
