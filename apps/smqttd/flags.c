/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include <smqtt/system.h>

#include "net/crew.h"

static const char help[] =
    "smqttd " SMQTT_VERSION ": an MQTT 3.1, 3.1.1 and 5.0 broker that relays S-MQTT's DETECT.\n"
    "\n"
    "Usage: smqttd [-c FILE] [-p PORT]... [-d] [-v | -q]\n"
    "\n"
    "  -c, --config-file FILE  configuration file, in the syntax of mosquitto.conf: see smqttd.conf(5)\n"
    "  -p, --port PORT         listen on this port of 127.0.0.1 and ::1, up to 10 times; 0: any free port, which is\n"
    "                          printed; ignored when the file names a listener\n"
    "  -d, --daemon            go to the background when everything is open\n"
    "  -v, --verbose           log everything, whatever the file says\n"
    "  -q, --quiet             log errors only\n"
    "  --workers N             threads that serve clients; without it smqtt_workers of the file, or the processors\n"
    "  --data-dir DIR          store what must survive in DIR/smqtt.store, before it is acknowledged\n"
    "  --strict                what the configuration names and this version lacks is a mistake, not a warning\n"
    "  --test-config           read the configuration and what it names, say what is wrong, end\n"
    "  --dump-config           print the configuration with all defaults, end\n"
    "  -h, --help              this text\n"
    "  --version               the version\n"
    "\n"
    "Signals: SIGTERM and SIGINT end it in order, SIGHUP reads the configuration again, listeners included,\n"
    "SIGUSR2 writes numbers into the log.\n"
    "\n"
    "Examples:\n"
    "  smqttd                                        this machine only, port 1883\n"
    "  smqttd -p 1884 -v                             another port, all of the log\n"
    "  smqttd -c /etc/smqttd/smqttd.conf -d          as the file says, in the background\n"
    "  smqttd -c smqttd.conf --test-config           is the file right?\n"
    "  smqttd --dump-config > smqttd.conf            a file to begin with\n";

enum { OPT_TEST = 256, OPT_DUMP, OPT_STRICT, OPT_WORKERS, OPT_DATA, OPT_KEYLOG, OPT_VERSION };

static bool read_number(const char *text, long max, long *number)
{
    char *end = NULL;
    errno = 0;
    *number = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == 0 && *number >= 0 && *number <= max;
}

static bool take_port(struct options *o)
{
    long port = 0;
    if (!read_number(optarg, UINT16_MAX, &port)) {
        fprintf(stderr, "smqttd: \"%s\" is not a port: give a number from 0 to 65535.\n", optarg);
        return false;
    }
    if (o->n_ports == FLAGS_PORTS_MAX) {
        fprintf(stderr, "smqttd: -p can be given %d times: name more ports in a configuration file.\n",
                FLAGS_PORTS_MAX);
        return false;
    }
    o->ports[o->n_ports++] = (uint16_t)port;
    return true;
}

static bool take_workers(struct options *o)
{
    long n = 0;
    if (!read_number(optarg, SMQ_CREW_MAX, &n) || n == 0) {
        fprintf(stderr, "smqttd: --workers cannot be \"%s\": give a number from 1 to %d.\n", optarg, SMQ_CREW_MAX);
        return false;
    }
    o->workers = (unsigned)n;
    return true;
}

static enum flags_verdict take_flag(struct options *o, int flag)
{
    switch (flag) {
    case 'c':
        o->conf_file = optarg;
        return FLAGS_GO_ON;
    case 'p':
        return take_port(o) ? FLAGS_GO_ON : FLAGS_WRONG;
    case OPT_WORKERS:
        return take_workers(o) ? FLAGS_GO_ON : FLAGS_WRONG;
    case OPT_DATA:
        o->data_dir = optarg;
        return FLAGS_GO_ON;
    case 'v':
        o->verbose = true;
        return FLAGS_GO_ON;
    case 'q':
        o->quiet = true;
        return FLAGS_GO_ON;
    case 'd':
        o->daemon = true;
        return FLAGS_GO_ON;
    case OPT_TEST:
        o->test = true;
        return FLAGS_GO_ON;
    case OPT_STRICT:
        o->strict = true;
        return FLAGS_GO_ON;
    case OPT_DUMP:
        o->dump = true;
        return FLAGS_GO_ON;
    case OPT_KEYLOG:
        fputs("smqttd: --tls-keylog has nothing to write, because this version has no TLS: leave it out.\n", stderr);
        return FLAGS_WRONG;
    case 'h':
        fputs(help, stdout);
        return FLAGS_DONE;
    case OPT_VERSION:
        puts("smqttd " SMQTT_VERSION);
        return FLAGS_DONE;
    default:
        return FLAGS_WRONG;
    }
}

static bool check(const struct options *o, int argc, char **argv)
{
    if (optind != argc) {
        fprintf(stderr, "smqttd: \"%s\" has no flag in front of it: run smqttd --help.\n", argv[optind]);
        return false;
    }
    if (o->verbose && o->quiet) {
        fputs("smqttd: -v and -q cannot both be wanted.\n", stderr);
        return false;
    }
    return true;
}

enum flags_verdict flags_read(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {{"config-file", required_argument, NULL, 'c'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"daemon", no_argument, NULL, 'd'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"test-config", no_argument, NULL, OPT_TEST},
                                          {"dump-config", no_argument, NULL, OPT_DUMP},
                                          {"strict", no_argument, NULL, OPT_STRICT},
                                          {"workers", required_argument, NULL, OPT_WORKERS},
                                          {"data-dir", required_argument, NULL, OPT_DATA},
                                          {"tls-keylog", required_argument, NULL, OPT_KEYLOG},
                                          {"version", no_argument, NULL, OPT_VERSION},
                                          {NULL, 0, NULL, 0}};
    *o = (struct options){.conf_file = NULL};
    opterr = 0; /* one sentence, ours */
    for (int flag; (flag = getopt_long(argc, argv, "c:p:vqdh", longs, NULL)) != -1;) {
        if (flag == '?' || flag == ':') {
            fprintf(stderr, "smqttd: %s is no flag or lacks its value: run smqttd --help.\n", argv[optind - 1]);
            return FLAGS_WRONG;
        }
        enum flags_verdict verdict = take_flag(o, flag);
        if (verdict != FLAGS_GO_ON) {
            return verdict;
        }
    }
    return check(o, argc, argv) ? FLAGS_GO_ON : FLAGS_WRONG;
}
