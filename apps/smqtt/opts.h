/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_OPTS_H
#define SMQTT_APPS_OPTS_H
/* Flags of the commands; the rows are in opts.def. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "props.h"

enum { OPTS_P = 1, OPTS_S = 2, OPTS_I = 4, OPTS_D = 8, OPTS_R = 16, OPTS_X = 32 };
enum { OPTS_LIST_MAX = 1024, OPTS_ARGS_MAX = 16 };

struct opts_list {
    const char *item[OPTS_LIST_MAX];
    size_t n;
};

/** What was asked for. Text points into argv, or into the file of default flags. */
struct opts {
    const char *host, *unix_path, *bind, *proxy, *client_id, *id_prefix, *user, *password, *version, *message, *file,
        *format, *will_topic, *will_payload, *response_topic, *to, *identity, *clients, *policy, *charset, *state,
        *below, *forget, *output, *suite;
    const char *known, *passphrase_file, *new_passphrase_file, *revocation, *reason, *grace, *qr_svg, *broker_form;
    const char *cafile, *capath, *cert, *key, *keyform, *ciphers, *tls_version, *tls_alpn, *psk, *psk_identity,
        *tls_engine, *tls_engine_kpass, *topic_prefix;
    struct opts_list topics, filter_out, unsubscribe, revoked, previous;
    struct props props[PROPS_PACKETS]; /* of -D, by packet */
    uint32_t session_expiry, repeat, repeat_delay, count, timeout, receipt_timeout, wait, max_skew, max_rtt, rekey,
        days;
    uint32_t random_filter; /* tenths of a percent */
    uint16_t port, keep_alive, max_inflight;
    uint8_t qos, will_qos;
    bool clean, debug, progress, quiet, stdin_line, stdin_file, null_message, retain, verbose, pretty, end_of_line,
        no_retained, retained_only, remove_retained, retain_as_published, exit_subscribed, will_retain, binary, native,
        tunnel, require_clients, trust_first_use, lock, qr, force, strict, advised, json, srv, nodelay, insecure,
        tls_use_os_certs, help, show_version;
    bool qos_given, session_expiry_given, port_given;
    unsigned messages;               /* how many of -m -f -l -s -n were given */
    const char *args[OPTS_ARGS_MAX]; /* what is no flag */
    size_t n_args;
};

/** Reads the flags of one command (OPTS_P …): those of the user's file of default flags, then argv[first] and on, which
 * go before. False after it printed one sentence about what is wrong. What `o` holds lives until the program ends. */
bool opts_read(struct opts *o, int command, int argc, char **argv, int first);
/** Reads more flags over what is there, from a line of several words. False after a sentence. */
bool opts_read_words(struct opts *o, int command, int n, char **words);
/** Prints the flags that a command takes. */
void opts_print(int command);

/** Reads the file of default flags of pub, sub and rr (opts_file.c): $XDG_CONFIG_HOME/mosquitto_pub, else
 * $HOME/.config/mosquitto_pub; one flag per line. No file is no error. False after a sentence. */
bool opts_read_file(struct opts *o, int command);

#endif
