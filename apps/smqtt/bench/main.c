/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../commands.h"
#include "../say.h"
#include "scenario.h"

enum { IN_SIZE = 512 * 1024 };

static void print_help(void)
{
    puts("Usage: smqtt bench SCENARIO [flags]\n\nLoads a broker (MQTT 3.1, 3.1.1 or 5.0) and measures it.\n");
    scenario_print();
    puts("");
    flags_print();
    puts("\nThe generator is one thread: give the broker another processor, for example with taskset.\n"
         "  smqtt bench pairs -c 100 -q 1 --broker-pid \"$(pidof smqttd)\"\n"
         "  smqtt bench fan-out -c 500 --duration 10 --json - --svg fan-out.svg");
}

static bool is_usable(const struct bench *b)
{
    const struct bench_flags *f = &b->flags;
    if (f->count == 0 || f->window == 0 || f->concurrency == 0 || f->per_packet == 0) {
        say("a count of 0 measures nothing: give -c, -F, --concurrency and --filters-per-packet at least 1.");
        return false;
    }
    if (b->scenario->own_clients && f->size < BENCH_STAMP) {
        say("a payload of %u bytes has no room for number and time: give -s at least %d.", (unsigned)f->size,
            BENCH_STAMP);
        return false;
    }
    bool seals = strcmp(b->scenario->name, "pairs") == 0 || strcmp(b->scenario->name, "latency") == 0;
    if (f->sealed != NULL && !seals) {
        say("--sealed goes with the scenarios pairs and latency only: take one of them.");
        return false;
    }
    if ((f->tunnel && f->sealed == NULL) || (f->insecure && f->cafile == NULL)) {
        say("%s says how %s is done: give that, too.", f->tunnel ? "--tunnel" : "--insecure",
            f->tunnel ? "--sealed" : "--cafile");
        return false;
    }
    return true;
}

/* What was not given comes from the scenario's row. */
static void complete(struct bench *b)
{
    struct bench_flags *f = &b->flags;
    const struct scenario *s = b->scenario;
    f->count = f->count == FLAG_ABSENT ? s->count : f->count;
    f->window = f->window == FLAG_ABSENT ? s->window : f->window;
    f->interval_ms = f->interval_ms == FLAG_ABSENT ? s->interval_ms : f->interval_ms;
    f->message_ms = f->message_ms < 0 ? s->message_ms : f->message_ms;
    f->duration_s = f->duration_s < 0 ? (f->limit != 0 ? 0 : s->duration_s) : f->duration_s;
}

static bool begin(struct bench *b)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    b->begin_ns = b->now_ns = bench_clock();
    b->run_tag = b->scenario->own_clients ? (uint32_t)(b->begin_ns >> 8) : 0;
    b->in_size = IN_SIZE + 2 * (size_t)b->flags.size;
    b->in = malloc(b->in_size);
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (b->in == NULL || b->epoll < 0) {
        say("the generator could not start: memory or descriptors are short.");
        return false;
    }
    return link_resolve(b);
}

/* Lost, twice and late of all pairs of publisher and subscriber. */
static void reckon(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_subs; i++) {
        const struct bench_sub *s = &b->subs[i];
        for (uint32_t k = 0; s->tracks != NULL && k < s->n; k++) {
            const struct track *t = &s->tracks[k];
            uint64_t sent = s->first + k < b->n_pubs ? b->pubs[s->first + k].sent : t->next;
            b->n.lost += track_lost(t, sent);
            b->n.twice += t->twice;
            b->n.late += b->scenario->many_topics ? 0 : t->late;
        }
    }
}

static void end(struct bench *b)
{
    sealed_clear(b);
    for (uint32_t i = 0; i < b->n_clients; i++) {
        struct client *c = &b->clients[i];
        if (c->state == CLIENT_READY) {
            wire_disconnect(c);
        }
    }
    link_flush(b);
    for (uint32_t i = 0; i < b->n_clients; i++) {
        sealed_free(&b->clients[i]);
        link_close(&b->clients[i]);
        free(b->clients[i].out);
        free(b->clients[i].rest);
    }
    for (uint32_t i = 0; b->pubs != NULL && i < b->n_pubs; i++) {
        free(b->pubs[i].packet);
        free(b->pubs[i].ids);
    }
    for (uint32_t i = 0; i < b->n_subs; i++) {
        for (uint32_t k = 0; b->subs[i].tracks != NULL && k < b->subs[i].n; k++) {
            track_free(&b->subs[i].tracks[k]);
        }
        free(b->subs[i].tracks);
    }
    void *const all[] = {b->clients, b->pubs, b->subs, b->load.ready, b->dirty, b->in, b->points};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(all); i++) {
        free(all[i]);
    }
    link_free(b);
    if (b->epoll >= 0) {
        close(b->epoll);
    }
}

static bool report(struct bench *b)
{
    bool to_stdout = b->flags.json != NULL && strcmp(b->flags.json, "-") == 0;
    reckon(b);
    if (!b->flags.quiet && isatty(STDERR_FILENO)) {
        fputs("\r\033[K", stderr);
    }
    if (!to_stdout) {
        report_text(b);
    }
    bool ok = b->flags.json == NULL || report_json(b, b->flags.json);
    return (b->flags.svg == NULL || report_svg(b, b->flags.svg)) && ok;
}

int command_bench(int argc, char **argv)
{
    static struct bench b; /* the histograms are large for a stack */
    const char *name = argc > 2 ? argv[2] : "--help";
    if (strcmp(name, "--help") == 0) {
        print_help();
        return EXIT_OK;
    }
    b.epoll = -1;
    b.scenario = scenario_find(name);
    if (b.scenario == NULL) {
        say("there is no scenario '%s': smqtt bench --help lists them.", name);
        return EXIT_FAILED;
    }
    if (!flags_read(&b.flags, argc, argv, 3)) {
        return EXIT_FAILED;
    }
    if (b.flags.help) {
        print_help();
        return EXIT_OK;
    }
    complete(&b);
    if (!is_usable(&b)) {
        return EXIT_FAILED;
    }
    (void)bench_interrupted(); /* from here on Ctrl-C ends the run, and what there is is printed */
    bool ok = begin(&b) && b.scenario->run(&b);
    bool printed = b.n_phases != 0 && (ok || bench_interrupted()) ? report(&b) : ok;
    end(&b);
    return ok && printed ? EXIT_OK : EXIT_FAILED;
}
