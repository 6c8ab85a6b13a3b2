/* SPDX-License-Identifier: Apache-2.0 */
/* smqttd: the broker. Reads its configuration, opens what it names, turns the loop until a signal ends it. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "access.h"
#include "load.h"
#include "logging.h"
#include "net/loop.h"
#include "system.h"

#define GRACE_MS  1500
#define EXIT_USE  2
#define CONFS_MAX 1024 /* reloads that keep what connections may still point to */

struct options {
    const char *conf_file;
    long port; /* -1: not given */
    bool verbose, quiet, daemon, test, dump, strict;
};

struct daemon {
    struct options options;
    struct logging logging;
    struct smq_conf *confs[CONFS_MAX];       /* the last one is in use; connections may point into older ones */
    struct access_tables *access[CONFS_MAX]; /* of the same configurations */
    size_t n_confs;
    struct load_parts parts;
    struct smq_hasher *hasher; /* verifies passwords */
    struct smq_loop *loop;
};

/* For signal handlers only. */
static volatile sig_atomic_t end_wanted;
static volatile sig_atomic_t reload_wanted;
static struct smq_loop *woken_loop;

static const char help[] =
    "smqttd " SMQTT_VERSION ": an MQTT 3.1, 3.1.1 and 5.0 broker that relays S-MQTT's DETECT.\n"
    "\n"
    "Usage: smqttd [-c FILE | -p PORT] [-d] [-v | -q]\n"
    "\n"
    "  -c FILE         configuration file, in the syntax of mosquitto.conf: see smqttd.conf(5)\n"
    "  -p PORT         without a file: 127.0.0.1 and ::1, anonymous, in memory; 0: any free port, which is printed\n"
    "  -d              go to the background when everything is open\n"
    "  -v              log everything\n"
    "  -q              log errors only\n"
    "  --test-config   read the configuration and what it names, say what is wrong, end\n"
    "  --dump-config   print the configuration with all defaults, end\n"
    "  --strict        what the configuration names and this version lacks is a mistake, not a warning\n"
    "  -h, --help      this text\n"
    "  --version       the version\n"
    "\n"
    "Signals: SIGTERM and SIGINT end it in order, SIGHUP reads the configuration again.\n"
    "\n"
    "Examples:\n"
    "  smqttd                                        this machine only, port 1883\n"
    "  smqttd -p 1884 -v                             another port, all of the log\n"
    "  smqttd -c /etc/smqttd/smqttd.conf -d          as the file says, in the background\n"
    "  smqttd -c smqttd.conf --test-config           is the file right?\n"
    "  smqttd --dump-config > smqttd.conf            a file to begin with\n";

static void say_fault(const char *sentence)
{
    fprintf(stderr, "smqttd: %s\n", sentence);
}

/* ---------------------------------------------------------------- flags */

enum { OPT_TEST = 256, OPT_DUMP, OPT_STRICT, OPT_VERSION };

static bool read_port(const char *text, long *port)
{
    char *end = NULL;
    errno = 0;
    *port = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == 0 && *port >= 0 && *port <= 65535;
}

/* One flag; false after a sentence. */
static bool take_flag(struct options *o, int flag)
{
    switch (flag) {
    case 'c':
        o->conf_file = optarg;
        return true;
    case 'p':
        if (!read_port(optarg, &o->port)) {
            fprintf(stderr, "smqttd: \"%s\" is not a port: give a number from 0 to 65535.\n", optarg);
            return false;
        }
        return true;
    case 'v':
        o->verbose = true;
        return true;
    case 'q':
        o->quiet = true;
        return true;
    case 'd':
        o->daemon = true;
        return true;
    case OPT_TEST:
        o->test = true;
        return true;
    case OPT_STRICT:
        o->strict = true;
        return true;
    case OPT_DUMP:
        o->dump = true;
        return true;
    case 'h':
        fputs(help, stdout);
        exit(EXIT_SUCCESS);
    case OPT_VERSION:
        puts("smqttd " SMQTT_VERSION);
        exit(EXIT_SUCCESS);
    default:
        return false;
    }
}

static bool read_flags(struct options *o, int argc, char **argv)
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
                                          {"version", no_argument, NULL, OPT_VERSION},
                                          {NULL, 0, NULL, 0}};
    *o = (struct options){.port = -1};
    opterr = 0; /* one sentence, ours */
    for (int flag; (flag = getopt_long(argc, argv, "c:p:vqdh", longs, NULL)) != -1;) {
        if (flag == '?' || flag == ':') {
            fprintf(stderr, "smqttd: %s is no flag or lacks its value: run smqttd --help.\n", argv[optind - 1]);
            return false;
        }
        if (!take_flag(o, flag)) {
            return false;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "smqttd: \"%s\" has no flag in front of it: run smqttd --help.\n", argv[optind]);
        return false;
    }
    if (o->conf_file != NULL && o->port >= 0) {
        say_fault("-p is for running without a file: write \"listener PORT\" into it instead.");
        return false;
    }
    if (o->verbose && o->quiet) {
        say_fault("-v and -q cannot both be wanted.");
        return false;
    }
    return true;
}

/* ---------------------------------------------------------------- signals */

static void on_signal(int number)
{
    if (number == SIGHUP) {
        reload_wanted = 1;
    } else {
        end_wanted = 1;
    }
    if (woken_loop != NULL) {
        smq_loop_wake(woken_loop);
    }
}

/* From here on no signal ends the process at once; those that come before the loop turns are found by its first turn.
 */
static void set_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The identity lives as long as the process: its sessions hang on it. */
static void keep_parts(struct daemon *d, struct smq_conf *conf, const struct smq_conf *old)
{
    conf->broker.identity = d->parts.identity;
    conf->broker.identity_policy = d->parts.policy;
    conf->broker.identity_store = old->broker.identity_store;
    if (!is_same_text(conf->identity_file, old->identity_file) || !is_same_text(conf->state_dir, old->state_dir) ||
        !is_same_text(conf->identity_policy_file, old->identity_policy_file)) {
        smq_log(&d->logging.log, SMQ_LOG_WARN,
                "smqtt_identity, its policy and smqtt_state_dir change with the next start only.");
    }
}

static void reload(struct daemon *d)
{
    struct smq_why why = {""};
    struct smq_conf *conf = NULL;
    const struct smq_conf *old = d->confs[d->n_confs - 1];
    if (d->options.conf_file == NULL || d->n_confs == CONFS_MAX) {
        smq_log(&d->logging.log, SMQ_LOG_WARN, "Nothing was reloaded: %s.",
                d->options.conf_file == NULL ? "there is no configuration file" : "it was done too often");
        return;
    }
    smqtt_err err = load_conf(d->options.conf_file, d->options.strict, &d->logging.log, &conf, &why);
    if (err == SMQTT_OK) {
        err = access_load(&conf->broker, &d->access[d->n_confs], &why);
    }
    if (err == SMQTT_OK) {
        err = logging_set(&d->logging, conf, d->options.verbose, d->options.quiet, &why);
    }
    if (err != SMQTT_OK) {
        access_free(d->access[d->n_confs]);
        d->access[d->n_confs] = NULL;
        smq_log(&d->logging.log, SMQ_LOG_ERR, "The old configuration stays: %s", why.text);
        smq_conf_free(conf);
        return;
    }
    keep_parts(d, conf, old);
    unsigned alone = smq_loop_configure(d->loop, &conf->broker);
    d->confs[d->n_confs++] = conf;
    if (alone != 0) {
        smq_log(&d->logging.log, SMQ_LOG_WARN, "Ports and addresses of listeners change with the next start only.");
    }
    smq_log(&d->logging.log, SMQ_LOG_INFO, "Reloaded %s.", d->options.conf_file);
}

static void woken(void *ctx, struct smq_loop *loop)
{
    struct daemon *d = ctx;
    if (reload_wanted != 0) {
        reload_wanted = 0;
        reload(d);
    }
    if (end_wanted != 0) {
        smq_log(&d->logging.log, SMQ_LOG_INFO, "smqttd version %s terminating", SMQTT_VERSION);
        system_notify("STOPPING=1");
        smq_loop_shutdown(loop, GRACE_MS);
    }
}

/* ---------------------------------------------------------------- run */

/* As many threads as there are cores, but few: each may take the memory of an Argon2 hash. */
static smqtt_err open_hasher(struct daemon *d, struct smq_why *why)
{
    enum { THREADS_MAX = 4, WAITING_MAX = 16384 };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
    smqtt_err err = smq_hasher_new(NULL, threads, WAITING_MAX, 1, &d->hasher);
    return err == SMQTT_OK ? err : smq_why_set(why, err, "Cannot begin: %s.", smqtt_strerror(err));
}

static smqtt_err open_loop(struct daemon *d, struct smq_why *why)
{
    const struct smq_conf *conf = d->confs[0];
    struct smq_loop_env env = {.log = &d->logging.log,
                               .rng = smqtt_system_rng(),
                               .index = 0,
                               .count = 1,
                               .tcp_nodelay = conf->set_tcp_nodelay,
                               .hasher = d->hasher,
                               .woken = woken,
                               .ctx = d};
    if (!env.rng.fill(env.rng.ctx, env.hash_key, sizeof env.hash_key)) {
        return smq_why_set(why, SMQTT_E_RNG, "The random number generator failed.");
    }
    smqtt_err err = smq_loop_new(&env, &conf->broker, &d->loop);
    if (err != SMQTT_OK) {
        return smq_why_set(why, err, "Cannot begin: %s.", smqtt_strerror(err));
    }
    for (const struct smq_listener_config *l = conf->broker.listeners; l != NULL; l = l->next) {
        uint16_t port = 0;
        SMQ_TRY(smq_loop_listen(d->loop, l, &port, why));
        if (l->port == 0) {
            printf("smqttd listens on port %u\n", (unsigned)port);
            fflush(stdout);
        }
    }
    return SMQTT_OK;
}

/* Between everything being open and the first turn. */
static smqtt_err settle(struct daemon *d, struct smq_why *why)
{
    const struct smq_conf *conf = d->confs[0];
    if (d->options.daemon) {
        SMQ_TRY(system_daemonize(why));
        if (conf->pid_file != NULL) {
            SMQ_TRY(system_write_pid(conf->pid_file, why));
        }
    }
    smq_log(&d->logging.log, SMQ_LOG_INFO, "smqttd version %s running", SMQTT_VERSION);
    system_notify("READY=1");
    return SMQTT_OK;
}

static smqtt_err serve(struct daemon *d, struct smq_why *why)
{
    const struct smq_conf *conf = d->confs[0];
    SMQ_TRY(logging_set(&d->logging, conf, d->options.verbose, d->options.quiet, why));
    smq_log(&d->logging.log, SMQ_LOG_INFO, "smqttd version %s starting", SMQTT_VERSION);
    if (conf->implicit_listener) {
        smq_log(&d->logging.log, SMQ_LOG_INFO, "No listener is configured: only programs of this machine can connect.");
    }
    system_raise_files();
    set_signals();
    SMQ_TRY(open_hasher(d, why));
    SMQ_TRY(open_loop(d, why));
    SMQ_TRY(settle(d, why));
    woken_loop = d->loop;
    smq_loop_wake(d->loop);
    smqtt_err err = smq_loop_run(d->loop);
    if (d->options.daemon && conf->pid_file != NULL) {
        unlink(conf->pid_file);
    }
    return err == SMQTT_OK ? err : smq_why_set(why, err, "Waiting for events failed.");
}

static void dump_line(void *ctx, const char *text)
{
    (void)ctx;
    puts(text);
}

static smqtt_err begin(struct daemon *d, struct smq_why *why)
{
    SMQ_TRY(load_conf(d->options.conf_file, d->options.strict, &d->logging.log, &d->confs[0], why));
    d->n_confs = 1;
    if (d->options.port >= 0) {
        d->confs[0]->broker.listeners->port = (uint16_t)d->options.port;
    }
    if (d->options.dump) {
        smq_conf_dump(d->confs[0], dump_line, NULL);
        return SMQTT_OK;
    }
    /* A broker that runs has the state; its next configuration can be tested all the same. */
    SMQ_TRY(load_parts(d->confs[0], !d->options.test, &d->parts, why));
    SMQ_TRY(access_load(&d->confs[0]->broker, &d->access[0], why));
    if (d->options.test) {
        printf("%s: the configuration is right.\n", d->options.conf_file != NULL ? d->options.conf_file : "smqttd");
        return SMQTT_OK;
    }
    return serve(d, why);
}

int main(int argc, char **argv)
{
    static struct daemon d;
    struct smq_why why = {""};
    if (!read_flags(&d.options, argc, argv)) {
        return EXIT_USE;
    }
    logging_init(&d.logging);
    smqtt_err err = begin(&d, &why);
    if (err != SMQTT_OK) {
        say_fault(why.text);
    }
    woken_loop = NULL;
    smq_loop_free(d.loop);
    smq_hasher_free(d.hasher);
    load_parts_close(&d.parts);
    logging_close(&d.logging);
    for (size_t i = 0; i < d.n_confs; i++) {
        access_free(d.access[i]);
        smq_conf_free(d.confs[i]);
    }
    return err == SMQTT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
