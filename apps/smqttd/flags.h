/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_FLAGS_H
#define SMQTT_APPS_FLAGS_H
/* The command line of smqttd: Mosquitto's flags, and a few of its own. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLAGS_PORTS_MAX = 10 };

struct options {
    const char *conf_file; /* NULL: none */
    uint16_t ports[FLAGS_PORTS_MAX];
    size_t n_ports;
    unsigned workers;     /* 0: not given */
    const char *data_dir; /* NULL: not given */
    bool verbose, quiet, daemon, test, dump, strict;
};

enum flags_verdict { FLAGS_GO_ON, FLAGS_DONE, FLAGS_WRONG };

/** Reads the flags. DONE: --help and --version were answered; WRONG: the sentence was written. */
enum flags_verdict flags_read(struct options *o, int argc, char **argv);

#endif
