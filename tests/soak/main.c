/* SPDX-License-Identifier: Apache-2.0 */
/* The soak: a load with connections that are cut all the time, and nothing may get lost, doubled or out of order. */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t chance(uint64_t *rng, uint64_t below)
{
    *rng += 0x9E3779B97F4A7C15u;
    uint64_t z = *rng;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return below != 0 ? z % below : 0;
}

void say(struct soak *s, const char *format, ...)
{
    enum { SENTENCES = 12 };
    va_list args;
    if (s->said++ >= SENTENCES) {
        return;
    }
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
}

/* ---------------------------------------------------------------- the loop */

static void care(struct soak *s, struct client *c)
{
    if (c->fd < 0 && c->back_ns != 0 && s->now_ns >= c->back_ns) {
        link_begin(c);
    }
    if (c->fd >= 0 && c->goes_soon && !c->is_over) {
        link_cut(c);
    }
    if (c->out.len != 0 && c->fd >= 0) {
        link_flush(c);
    }
}

void soak_turn(struct soak *s, int ms)
{
    struct epoll_event events[64];
    int n = epoll_wait(s->epoll, events, (int)SMQ_ARRAY_LEN(events), ms);
    s->now_ns = clock_ns();
    for (int i = 0; i < n; i++) {
        struct client *c = events[i].data.ptr;
        if (c->fd >= 0) {
            link_event(c, events[i].events);
        }
    }
    for (unsigned i = 0; i < s->f.pubs && s->is_loading; i++) {
        pub_pump(&s->pubs[i]);
    }
    for (unsigned i = 0; i < s->n_subs; i++) {
        if (n == 0 || chance(&s->subs[i].c.rng, 16) == 0) {
            sub_send_acks(&s->subs[i]);
        }
    }
    for (size_t i = 0; i < s->n_clients; i++) {
        care(s, s->clients[i]);
    }
}

/* Turns until `is_true`; false when nothing has moved for too long. */
static bool turn_until(struct soak *s, bool (*is_true)(struct soak *s))
{
    s->moved_ns = clock_ns();
    while (!is_true(s)) {
        soak_turn(s, 2);
        if (s->now_ns > s->moved_ns + 1000000000u * (uint64_t)s->f.patience) {
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- who takes part */

static void make_filters(struct soak *s, struct sub *u, unsigned index)
{
    uint64_t *rng = &u->c.rng;
    unsigned n = 1 + (unsigned)chance(rng, FILTERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        uint8_t qos = (uint8_t)(s->f.qos == 0 ? chance(rng, 3) : 1 + chance(rng, 2));
        unsigned pub = (unsigned)chance(rng, s->f.pubs);
        unsigned topic = (unsigned)chance(rng, TOPICS);
        switch (index == 0 && i == 0 ? 0 : chance(rng, 8)) {
        case 0:
            sub_add_filter(u, index == 0 ? 2 : qos, "soak/#");
            break;
        case 1:
            sub_add_filter(u, qos, "soak/+/+");
            break;
        case 2:
            sub_add_filter(u, qos, "soak/p%u/#", pub);
            break;
        case 3:
            sub_add_filter(u, qos, "soak/p%u/+", pub);
            break;
        case 4:
            sub_add_filter(u, qos, "soak/+/t%u", topic);
            break;
        case 5:
            sub_add_filter(u, qos, "+/p%u/t%u", pub, topic);
            break;
        case 6:
            sub_add_filter(u, qos, "+/+/t%u/#", topic);
            break;
        default:
            sub_add_filter(u, qos, "soak/p%u/t%u", pub, topic);
            break;
        }
    }
}

static enum smqtt_version any_version(struct client *c)
{
    static const enum smqtt_version versions[] = {SMQTT_V5, SMQTT_V311, SMQTT_V5, SMQTT_V311, SMQTT_V31};
    return versions[chance(&c->rng, SMQ_ARRAY_LEN(versions))];
}

static void make_sub(struct soak *s, struct sub *u, struct reader *reader, const char *id)
{
    static const uint16_t maxima[] = {0, 10, 30, 100, 1000};
    sub_init(s, u, reader, id);
    u->c.version = any_version(&u->c);
    u->c.receive_max = maxima[chance(&u->c.rng, SMQ_ARRAY_LEN(maxima))];
    u->late = chance(&u->c.rng, 2) == 0 ? 1 : 1 + (uint32_t)chance(&u->c.rng, 8);
}

static void make_clients(struct soak *s)
{
    char id[48];
    unsigned n = 0;
    for (unsigned i = 0; i < s->f.pubs; i++) {
        pub_init(s, i);
    }
    for (unsigned i = 0; i < s->f.subs; i++) {
        struct sub *u = &s->subs[n++];
        snprintf(id, sizeof id, "soak-s%u", i);
        make_sub(s, u, &s->readers[i], id);
        make_filters(s, u, i);
        sub_wants(s, u);
    }
    for (unsigned g = 0; g < s->f.groups; g++) {
        for (unsigned i = 0; i < s->f.members; i++) {
            struct sub *u = &s->subs[n++];
            snprintf(id, sizeof id, "soak-g%u-%u", g, i);
            make_sub(s, u, &s->readers[s->f.subs + g], id);
            u->reader->is_group = true;
            sub_add_filter(u, 2, g % 2 == 0 ? "$share/g%u/soak/#" : "$share/g%u/soak/+/t1", g);
            sub_wants(s, u);
        }
    }
    for (unsigned i = 0; i < s->f.asleep; i++) {
        struct sub *u = &s->subs[n++];
        snprintf(id, sizeof id, "soak-z%u", i);
        make_sub(s, u, NULL, id);
        sub_add_filter(u, 1, "soak/#");
    }
    s->n_subs = n;
    for (unsigned i = 0; i < s->f.churn; i++) {
        churn_init(s, &s->churners[i], i);
    }
}

static bool are_in(struct soak *s)
{
    for (unsigned i = 0; i < s->n_subs; i++) {
        if (!s->subs[i].is_in) {
            return false;
        }
    }
    return true;
}

static bool is_published(struct soak *s)
{
    for (unsigned i = 0; i < s->f.pubs; i++) {
        if (!pub_is_done(&s->pubs[i])) {
            return false;
        }
    }
    return true;
}

static bool is_delivered(struct soak *s)
{
    for (unsigned i = 0; i < s->n_subs; i++) {
        if (s->subs[i].n_ids != 0 && s->subs[i].is_counted) {
            return false;
        }
    }
    return s->got == s->expected;
}

static bool are_served(struct soak *s)
{
    for (unsigned i = 0; i < s->f.churn; i++) {
        if (!churn_is_served(&s->churners[i])) {
            return false;
        }
    }
    return true;
}

static bool are_away(struct soak *s)
{
    for (size_t i = 0; i < s->n_clients; i++) {
        if ((struct client *)s->monitor != s->clients[i] && s->clients[i]->fd >= 0) {
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- the course of it */

/* The load itself; SIGHUP is sent to the broker now and then. */
static void load(struct soak *s)
{
    unsigned hups = 0;
    uint64_t messages = 0;
    s->is_loading = true;
    s->moved_ns = clock_ns();
    while (!is_published(s)) {
        soak_turn(s, 2);
        if (s->now_ns > s->moved_ns + 1000000000u * (uint64_t)s->f.patience) {
            say(s, "Nothing has moved for %u s: the publishers wait for %llu acknowledgements.", s->f.patience,
                (unsigned long long)(s->n.published - s->n.acked));
            s->n.lost++;
            return;
        }
        messages = s->n.published * (s->f.hups + 1u);
        if (hups < s->f.hups && s->f.pid != 0 && messages >= (uint64_t)s->f.messages * (hups + 1)) {
            kill((pid_t)s->f.pid, SIGHUP);
            hups++;
        }
    }
}

/* Who kills the broker hears that all is through, and says when the last one that it started is up. */
static void await_peace(struct soak *s)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    puts("calm");
    fflush(stdout);
    while (poll(&in, 1, 0) == 0) {
        soak_turn(s, 5);
    }
}

static void drain(struct soak *s)
{
    if (!turn_until(s, is_delivered)) {
        say(s, "Nothing has moved for %u s: %llu of %llu deliveries have come.", s->f.patience,
            (unsigned long long)s->got, (unsigned long long)s->expected);
        s->n.lost += s->got == s->expected ? 1 : 0; /* PUBREL is missing */
    }
    if (s->f.mortal) {
        await_peace(s);
    }
    if (!turn_until(s, are_served)) {
        for (unsigned i = 0; i < s->f.churn; i++) {
            churn_end(&s->churners[i]);
        }
    }
    s->is_loading = false;
    for (uint64_t end = clock_ns() + 200000000u; clock_ns() < end;) {
        soak_turn(s, 5);
    }
    account_end(s);
}

static void end_all(struct soak *s)
{
    for (size_t i = 0; i < s->n_clients; i++) {
        if (s->clients[i] != (struct client *)s->monitor) {
            link_end(s->clients[i]);
        }
    }
    if (!turn_until(s, are_away)) {
        s->n.closed++;
        say(s, "Connections that ended are still open.");
    }
}

static bool tell(const struct soak *s, double seconds)
{
    const struct counts *n = &s->n;
    bool right = true;
    printf("qos %u seed %llu: %llu published, %llu deliveries in %.2f s: %.0f and %.0f a second; again %llu, resent "
           "%llu, SUBACK %llu\n",
           s->f.qos, (unsigned long long)s->f.seed, (unsigned long long)n->published, (unsigned long long)s->got,
           seconds, (double)n->published / seconds, (double)s->got / seconds, (unsigned long long)n->again,
           (unsigned long long)n->resent, (unsigned long long)n->churned);
    printf("cuts: %llu DISCONNECT, %llu closed, %llu reset, %llu half a packet, %llu half and reset, %llu taken over; "
           "%llu displaced by an older one\n",
           (unsigned long long)n->cuts[0], (unsigned long long)n->cuts[1], (unsigned long long)n->cuts[2],
           (unsigned long long)n->cuts[3], (unsigned long long)n->cuts[4], (unsigned long long)n->cuts[5],
           (unsigned long long)n->displaced);
#define X(name, text)                                                             \
    if (n->name != 0) {                                                           \
        right = false;                                                            \
        printf("FAULT %s: %llu: %s\n", #name, (unsigned long long)n->name, text); \
    }
    FAULTS(X)
#undef X
    puts(right ? "right" : "WRONG");
    return right;
}

static void soak_free(struct soak *s)
{
    account_free(s);
    for (unsigned i = 0; i < s->f.pubs; i++) {
        pub_free(&s->pubs[i]);
    }
    for (unsigned i = 0; i < s->n_subs; i++) {
        sub_free(&s->subs[i]);
    }
    link_free((struct client *)s->monitor);
    free(s->pubs);
    free(s->subs);
    for (unsigned i = 0; i < s->f.churn; i++) {
        link_free(&s->churners[i].c);
    }
    free(s->churners);
    free(s->readers);
    close(s->epoll);
}

static unsigned number(const char *text)
{
    return (unsigned)strtoul(text, NULL, 10);
}

static bool read_flags(struct flags *f, int argc, char **argv)
{
    static const struct option longs[] = {
        {"port", required_argument, NULL, 'p'},     {"seed", required_argument, NULL, 's'},
        {"qos", required_argument, NULL, 'q'},      {"messages", required_argument, NULL, 'n'},
        {"pubs", required_argument, NULL, 'P'},     {"subs", required_argument, NULL, 'S'},
        {"groups", required_argument, NULL, 'g'},   {"members", required_argument, NULL, 'm'},
        {"window", required_argument, NULL, 'w'},   {"cut", required_argument, NULL, 'c'},
        {"asleep", required_argument, NULL, 'z'},   {"churn", required_argument, NULL, 'h'},
        {"hups", required_argument, NULL, 'u'},     {"pid", required_argument, NULL, 'b'},
        {"patience", required_argument, NULL, 't'}, {"memory", no_argument, NULL, 'M'},
        {"mortal", no_argument, NULL, 'K'},         {NULL, 0, NULL, 0}};
    unsigned *const into[256] = {
        ['p'] = &f->port,   ['q'] = &f->qos,     ['n'] = &f->messages, ['P'] = &f->pubs, ['S'] = &f->subs,
        ['g'] = &f->groups, ['m'] = &f->members, ['w'] = &f->window,   ['c'] = &f->cut,  ['z'] = &f->asleep,
        ['h'] = &f->churn,  ['u'] = &f->hups,    ['t'] = &f->patience};
    for (int flag; (flag = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (flag == 's') {
            f->seed = strtoull(optarg, NULL, 10);
        } else if (flag == 'b') {
            f->pid = strtol(optarg, NULL, 10);
        } else if (flag == 'M') {
            f->checks_memory = true;
        } else if (flag == 'K') {
            f->mortal = true;
        } else if (flag != '?' && into[flag] != NULL) {
            *into[flag] = number(optarg);
        } else {
            return false;
        }
    }
    f->cut = f->qos == 0 ? 0 : f->cut;
    return optind == argc && f->port != 0 && f->qos <= 2 && f->pubs >= 1 && f->pubs <= PUBS_MAX && f->subs >= 1 &&
           f->subs <= SUBS_MAX && f->groups <= GROUPS_MAX && f->window >= 1 && f->window < IDS &&
           f->pubs + f->subs + f->groups * f->members + f->asleep + f->churn + 4 <= CLIENTS_MAX;
}

int main(int argc, char **argv)
{
    static struct soak s;
    s.f = (struct flags){.host = "127.0.0.1",
                         .seed = clock_ns() % 1000000,
                         .qos = 1,
                         .messages = 100000,
                         .pubs = 8,
                         .subs = 8,
                         .groups = 2,
                         .members = 3,
                         .window = 100,
                         .cut = 2000,
                         .patience = 10};
    if (!read_flags(&s.f, argc, argv)) {
        fputs("soak: run it through tests/soak/soak.py, which knows the flags.\n", stderr);
        return 2;
    }
    printf("seed %llu\n", (unsigned long long)s.f.seed);
    s.tag = (uint32_t)chance(&(uint64_t){s.f.seed}, UINT32_MAX);
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    s.pubs = calloc(s.f.pubs, sizeof *s.pubs);
    s.subs = calloc(s.f.subs + s.f.groups * s.f.members + s.f.asleep, sizeof *s.subs);
    s.readers = calloc(s.f.subs + s.f.groups, sizeof *s.readers);
    s.churners = calloc(s.f.churn + 1, sizeof *s.churners);
    if (s.churners == NULL || s.pubs == NULL || s.subs == NULL || s.readers == NULL) {
        abort();
    }
    s.now_ns = clock_ns();
    make_clients(&s);
    watch_begin(&s);
    for (size_t i = 0; i < s.n_clients; i++) {
        if (s.clients[i]->fd < 0) {
            link_begin(s.clients[i]);
        }
    }
    if (!turn_until(&s, are_in)) {
        s.n.refused++;
        say(&s, "SUBACK does not come.");
    }
    for (unsigned i = s.n_subs - s.f.asleep; i < s.n_subs; i++) {
        link_sleep(&s.subs[i].c);
    }
    for (size_t i = 0; i < s.n_clients; i++) {
        s.clients[i]->until_cut = s.f.cut != 0 && !s.clients[i]->clean && !s.clients[i]->asleep
                                      ? 1 + (uint32_t)chance(&s.clients[i]->rng, s.f.cut)
                                      : 0;
    }
    uint64_t begin = clock_ns();
    load(&s);
    drain(&s);
    double seconds = (double)(clock_ns() - begin) / 1e9 - 0.2;
    watch_retained(&s);
    end_all(&s);
    watch_end(&s);
    bool right = tell(&s, seconds);
    soak_free(&s);
    return right ? 0 : 1;
}
