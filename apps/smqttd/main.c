/* SPDX-License-Identifier: Apache-2.0 */
/* smqttd: the broker. Reads its configuration, opens what it names, turns its loops until a signal ends it. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "flags.h"
#include "keyring/revoked.h"
#include "load.h"
#include "logging.h"
#include "net/crew.h"
#include "stats.h"
#include "storing.h"
#include "system.h"

#define GRACE_MS 1500
#define EXIT_USE 2

struct daemon {
    struct options options;
    struct logging logging;
    struct load_setup *setup; /* in use: `settings` keep it */
    struct smq_settings *settings;
    struct load_parts parts;
    struct system_user user;
    struct smq_hasher *hasher;
    struct storing storing;
    struct smq_crew *crew;
    char *pid_file; /* written; NULL: none */
    int ready;      /* of system_daemonize; -1: this is the process that was called */
};

/* For signal handlers only. */
static volatile sig_atomic_t end_wanted;
static volatile sig_atomic_t reload_wanted;
static volatile sig_atomic_t persist_wanted;
static volatile sig_atomic_t stats_wanted;
static struct smq_crew *volatile woken_crew;

/* ---------------------------------------------------------------- signals */

static void on_signal(int number)
{
    switch (number) {
    case SIGHUP:
        reload_wanted = 1;
        break;
    case SIGUSR1:
        persist_wanted = 1;
        break;
    case SIGUSR2:
        stats_wanted = 1;
        break;
    default:
        end_wanted = 1;
        break;
    }
    if (woken_crew != NULL) {
        smq_crew_wake(woken_crew);
    }
}

/* From here on no signal ends the process at once; those that come before the loops turn are found by the first turn.
 */
static void set_signals(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(numbers); i++) {
        sigaction(numbers[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* ---------------------------------------------------------------- reload */

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The identity lives as long as the process: its sessions hang on it. So do the threads. */
static void keep_parts(struct daemon *d, struct smq_conf *conf)
{
    const struct smq_conf *old = d->setup->conf;
    conf->broker.identity = d->parts.identity;
    conf->broker.identity_policy = d->parts.policy;
    conf->broker.identity_store = old->broker.identity_store;
    if (!is_same_text(conf->identity_file, old->identity_file) || !is_same_text(conf->state_dir, old->state_dir) ||
        !is_same_text(conf->identity_policy_file, old->identity_policy_file) ||
        !is_same_text(conf->identity_passphrase_file, old->identity_passphrase_file)) {
        smq_log(&d->logging.log, SMQ_LOG_WARN,
                "smqtt_identity, its policy and passphrase, and smqtt_state_dir change with the next start only.");
    }
    if (conf->persistence != old->persistence || conf->store != old->store || conf->durability != old->durability ||
        conf->durability_ms != old->durability_ms ||
        !is_same_text(conf->persistence_location, old->persistence_location)) {
        smq_log(&d->logging.log, SMQ_LOG_WARN,
                "persistence, persistence_location, smqtt_store and smqtt_durability change with the next start only.");
    }
    if (conf->workers != old->workers || !is_same_text(conf->user, old->user) ||
        !is_same_text(conf->pid_file, old->pid_file)) {
        smq_log(&d->logging.log, SMQ_LOG_WARN, "smqtt_workers, user and pid_file change with the next start only.");
    }
}

static smqtt_err new_settings(struct load_setup *setup, const struct smq_settings *before, struct smq_settings **out,
                              struct smq_why *why)
{
    smqtt_err err = smq_settings_new(NULL, &setup->conf->broker, before, load_setup_free, setup, out);
    if (err != SMQTT_OK) {
        load_setup_free(setup);
        return smq_why_set(why, err, "There is no memory.");
    }
    (*out)->tcp_nodelay = setup->conf->set_tcp_nodelay;
    return SMQTT_OK;
}

/* Is the identity in use still good, by the list that was read anew? */
static smqtt_err check_own(const struct daemon *d, const struct load_setup *setup, struct smq_why *why)
{
    struct smq_why reason;
    smqtt_err err = smq_revoked_check(setup->revoked.list, d->parts.identity, &reason);
    return err == SMQTT_OK ? err
                           : smq_why_set(why, err, "smqtt_identity %s stands on smqtt_revoked: %s",
                                         d->setup->conf->identity_file, reason.text);
}

/* Everything that can fail comes first: then the old state is as it was. */
static smqtt_err try_reload(struct daemon *d, struct smq_why *why)
{
    struct load_setup *setup = NULL;
    struct smq_settings *settings = NULL;
    const struct options *o = &d->options;
    SMQ_TRY(load_setup(o, &d->logging.log, &setup, why));
    smqtt_err usable = check_own(d, setup, why);
    if (usable != SMQTT_OK) {
        load_setup_free(setup);
        return usable;
    }
    keep_parts(d, setup->conf);
    SMQ_TRY(new_settings(setup, d->settings, &settings, why));
    smqtt_err err = logging_set(&d->logging, setup->conf, o->verbose, o->quiet, why);
    if (err == SMQTT_OK) {
        err = smq_crew_configure(d->crew, settings, why);
        if (err != SMQTT_OK) {
            /* Opening the old file again can fail, too; the new one is then where the sentence goes. */
            smqtt_err back = logging_set(&d->logging, d->setup->conf, o->verbose, o->quiet, NULL);
            (void)back;
        }
    }
    if (err != SMQTT_OK) {
        smq_settings_unref(settings);
        return err;
    }
    smq_settings_unref(d->settings);
    d->settings = settings;
    d->setup = setup;
    storing_configure(&d->storing, setup->conf);
    return SMQTT_OK;
}

static void reload(struct daemon *d)
{
    struct smq_why why = {""};
    const char *file = d->options.conf_file;
    if (file == NULL) {
        smq_log(&d->logging.log, SMQ_LOG_WARN, "Nothing was reloaded: there is no configuration file.");
        return;
    }
    system_notify_reloading();
    smq_log(&d->logging.log, SMQ_LOG_INFO, "Reloading config.");
    if (try_reload(d, &why) == SMQTT_OK) {
        smq_log(&d->logging.log, SMQ_LOG_INFO, "Reloaded %s.", file);
    } else {
        smq_log(&d->logging.log, SMQ_LOG_ERR, "The old configuration stays: %s", why.text);
    }
    system_notify("READY=1");
}

static bool take_flag(volatile sig_atomic_t *flag)
{
    bool was = *flag != 0;
    *flag = 0;
    return was;
}

static void woken(void *ctx, struct smq_crew *crew)
{
    struct daemon *d = ctx;
    logging_publish(&d->logging, smq_crew_worker(crew, 0));
    if (take_flag(&reload_wanted)) {
        reload(d);
    }
    if (take_flag(&persist_wanted)) {
        smq_log(&d->logging.log, SMQ_LOG_NOTICE, "There is nothing to write: %s.",
                d->storing.committer != NULL ? "what is acknowledged is stored before"
                                             : "sessions and retained messages live in memory");
    }
    if (take_flag(&stats_wanted)) {
        stats_log(crew, &d->logging.log);
    }
    if (take_flag(&end_wanted)) {
        smq_log(&d->logging.log, SMQ_LOG_INFO, "smqttd version %s terminating", SMQTT_VERSION);
        system_notify("STOPPING=1");
        smq_crew_shutdown(crew, GRACE_MS);
    }
}

/* ---------------------------------------------------------------- run */

static void opened(void *ctx, const struct smq_listener_config *listener, uint16_t port)
{
    (void)ctx;
    if (listener->port == 0) {
        printf("smqttd listens on port %u\n", (unsigned)port);
        fflush(stdout);
    }
}

static void privilege(void *ctx, bool on)
{
    const struct daemon *d = ctx;
    system_become(&d->user, on);
}

/* The log has lines for topics. */
static void wake(void *crew)
{
    smq_crew_wake(crew);
}

static unsigned count_workers(const struct daemon *d)
{
    cpu_set_t set;
    unsigned n = d->options.workers != 0 ? d->options.workers : d->setup->conf->workers;
    if (n == 0 && sched_getaffinity(0, sizeof set, &set) == 0) {
        n = (unsigned)CPU_COUNT(&set);
    }
    n = n != 0 ? n : 1;
    return n < SMQ_CREW_MAX ? n : SMQ_CREW_MAX;
}

/* As many threads as there are workers, but few: each may take the memory of an Argon2 hash. */
static smqtt_err open_hasher(struct daemon *d, unsigned workers, struct smq_why *why)
{
    enum { THREADS_MAX = 4, WAITING_MAX = 16384 };
    unsigned threads = workers < THREADS_MAX ? workers : THREADS_MAX;
    smqtt_err err = smq_hasher_new(NULL, threads, WAITING_MAX, workers, &d->hasher);
    return err == SMQTT_OK ? err : smq_why_set(why, err, "Cannot begin: %s.", smqtt_strerror(err));
}

/* The listeners are open: what comes now needs no rights and has threads, which no fork would take along. */
static smqtt_err bound(void *ctx, struct smq_committer **committer, struct smq_why *why)
{
    struct daemon *d = ctx;
    if (d->options.daemon) {
        SMQ_TRY(system_daemonize(&d->ready, why));
    }
    SMQ_TRY(system_stay(&d->user, why));
    SMQ_TRY(storing_open(&d->storing, d->setup->conf, count_workers(d), &d->logging.log, why));
    *committer = d->storing.committer;
    struct smq_broker_config *config = &d->setup->conf->broker;
    if (config->identity != NULL && config->identity_store == NULL) {
        return storing_identity(&d->storing, &config->identity_store, why);
    }
    return SMQTT_OK;
}

static smqtt_err open_crew(struct daemon *d, struct smq_why *why)
{
    struct smq_crew_env env = {.log = &d->logging.log,
                               .rng = smqtt_system_rng(),
                               .n = count_workers(d),
                               .woken = woken,
                               .opened = opened,
                               .privilege = privilege,
                               .bound = bound,
                               .ctx = d};
    SMQ_TRY(open_hasher(d, env.n, why));
    env.hasher = d->hasher;
    SMQ_TRY(smq_crew_new(&env, d->settings, &d->crew, why));
    smq_log(&d->logging.log, SMQ_LOG_DEBUG, "%u workers.", env.n);
    return storing_recover(&d->storing, d->crew, &d->logging.log, why);
}

/* As Mosquitto does, also in the foreground. */
static smqtt_err write_pid(struct daemon *d, struct smq_why *why)
{
    const char *path = d->setup->conf->pid_file;
    if (path == NULL) {
        return SMQTT_OK;
    }
    SMQ_TRY(system_write_pid(path, why));
    d->pid_file = strdup(path); /* a reload may free the configuration */
    return SMQTT_OK;
}

/* Between everything being open and the first turn. */
static smqtt_err settle(struct daemon *d, struct smq_why *why)
{
    SMQ_TRY(write_pid(d, why));
    smq_log(&d->logging.log, SMQ_LOG_INFO, "smqttd version %s running", SMQTT_VERSION);
    system_notify("READY=1");
    if (d->ready >= 0) {
        system_is_ready(d->ready);
        d->ready = -1;
    }
    return SMQTT_OK;
}

static smqtt_err serve(struct daemon *d, struct smq_why *why)
{
    const struct smq_conf *conf = d->setup->conf;
    SMQ_TRY(system_find_user(conf->user, &d->logging.log, &d->user, why));
    system_raise_files();
    system_become(&d->user, false);
    SMQ_TRY(logging_set(&d->logging, conf, d->options.verbose, d->options.quiet, why));
    smq_log(&d->logging.log, SMQ_LOG_INFO, "smqttd version %s starting", SMQTT_VERSION);
    if (conf->implicit_listener) {
        smq_log(&d->logging.log, SMQ_LOG_INFO, "No listener is configured: only programs of this machine can connect.");
    }
    if (d->options.n_ports != 0 && !conf->implicit_listener) {
        smq_log(&d->logging.log, SMQ_LOG_WARN, "-p is ignored, because the configuration file names listeners.");
    }
    SMQ_TRY(load_parts(d->setup, true, &d->parts, why));
    set_signals();
    SMQ_TRY(open_crew(d, why));
    SMQ_TRY(settle(d, why));
    woken_crew = d->crew;
    logging_on_topics(&d->logging, wake, d->crew);
    smq_crew_wake(d->crew);
    return smq_crew_run(d->crew, why);
}

static void dump_line(void *ctx, const char *text)
{
    (void)ctx;
    puts(text);
}

static smqtt_err begin(struct daemon *d, struct smq_why *why)
{
    SMQ_TRY(load_setup(&d->options, &d->logging.log, &d->setup, why));
    SMQ_TRY(new_settings(d->setup, NULL, &d->settings, why));
    if (d->options.dump) {
        smq_conf_dump(d->setup->conf, dump_line, NULL);
        return SMQTT_OK;
    }
    if (d->options.test) {
        /* A broker that runs has the state; its next configuration can be tested all the same. */
        SMQ_TRY(load_parts(d->setup, false, &d->parts, why));
        printf("%s: the configuration is right.\n", d->options.conf_file != NULL ? d->options.conf_file : "smqttd");
        return SMQTT_OK;
    }
    return serve(d, why);
}

int main(int argc, char **argv)
{
    static struct daemon d = {.ready = -1};
    struct smq_why why = {""};
    enum flags_verdict verdict = flags_read(&d.options, argc, argv);
    if (verdict != FLAGS_GO_ON) {
        return verdict == FLAGS_DONE ? EXIT_SUCCESS : EXIT_USE;
    }
    logging_init(&d.logging);
    smqtt_err err = begin(&d, &why);
    if (err != SMQTT_OK) {
        fprintf(stderr, "smqttd: %s\n", why.text);
    }
    woken_crew = NULL;
    logging_on_topics(&d.logging, NULL, NULL);
    if (d.pid_file != NULL) {
        unlink(d.pid_file);
        free(d.pid_file);
    }
    storing_end(&d.storing);
    smq_crew_free(d.crew);
    storing_free(&d.storing);
    smq_hasher_free(d.hasher);
    smq_settings_unref(d.settings);
    load_parts_close(&d.parts);
    logging_close(&d.logging);
    return err == SMQTT_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
