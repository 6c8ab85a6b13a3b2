/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../say.h"

#define NS_PER_S UINT64_C(1000000000)

enum { SETUP_S = 120, QUIET_S = 5, TOPIC_MAX = 256, DIGITS = 8, AHEAD = 4, FILTERS_AHEAD = 1000 };

/* ---------------------------------------------------------------- clients */

static bool make_clients(struct bench *b, uint64_t n_pubs, uint64_t n_subs, uint64_t n_idle)
{
    uint64_t n = n_pubs + n_subs + n_idle;
    b->clients = calloc(n, sizeof *b->clients);
    b->pubs = calloc(n_pubs + 1, sizeof *b->pubs);
    b->subs = calloc(n_subs + 1, sizeof *b->subs);
    b->load.ready = calloc(n_pubs + 1, sizeof *b->load.ready);
    b->dirty = calloc(n, sizeof(struct client *));
    if (b->clients == NULL || b->pubs == NULL || b->subs == NULL || b->load.ready == NULL || b->dirty == NULL) {
        say("there is not enough memory for %llu clients.", (unsigned long long)n);
        return false;
    }
    b->n_clients = (uint32_t)n;
    b->n_pubs = (uint32_t)n_pubs;
    b->n_subs = (uint32_t)n_subs;
    for (uint32_t i = 0; i < b->n_clients; i++) {
        struct client *c = &b->clients[i];
        *c = (struct client){.b = b, .number = i, .fd = -1};
        unsigned long long number = b->flags.start + i;
        const char *prefix = b->flags.prefix != NULL ? b->flags.prefix : "";
        if (b->flags.short_ids || b->flags.prefix != NULL) {
            snprintf(c->id, sizeof c->id, "%.60s%s%llu", prefix, b->flags.short_ids ? "" : "_", number);
        } else {
            snprintf(c->id, sizeof c->id, "sb%08x-%012llu", (unsigned)(b->begin_ns >> 10 ^ b->begin_ns) & 0xFFFFFFFFu,
                     number);
        }
    }
    return true;
}

static uint64_t share_of(uint64_t all, uint64_t n, uint64_t i)
{
    return all == 0 ? FLAG_ABSENT : all / n + (i < all % n ? 1 : 0);
}

/* Subscribers come first among the clients, so that they are up when the publishers are. */
static void make_ends(struct bench *b, uint64_t fan)
{
    for (uint32_t i = 0; i < b->n_subs; i++) {
        b->subs[i].client = &b->clients[i];
        b->clients[i].sub = &b->subs[i];
    }
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        struct bench_pub *p = &b->pubs[i];
        p->client = &b->clients[b->n_subs + i];
        p->client->pub = p;
        p->number = i;
        p->window = (uint32_t)b->flags.window;
        p->batch = b->flags.batch != 0 ? (uint32_t)b->flags.batch : (p->window + 1) / 2;
        p->batch = p->batch < p->window ? p->batch : p->window;
        p->fan = fan;
        p->limit = share_of(b->flags.limit, b->n_pubs, i);
    }
}

/* Subscriber i awaits the messages of publishers first..first+n-1. */
static bool make_tracks(struct bench *b, uint32_t n, bool apart)
{
    if ((uint64_t)n * b->n_subs > BENCH_MAX_TRACKS) {
        say("publishers times subscribers are more than %d: take fewer.", BENCH_MAX_TRACKS);
        return false;
    }
    for (uint32_t i = 0; i < b->n_subs; i++) {
        b->subs[i].first = apart ? i : 0;
        b->subs[i].n = n;
        b->subs[i].tracks = calloc(n + 1u, sizeof(struct track));
        if (b->subs[i].tracks == NULL) {
            say("there is not enough memory to count the messages.");
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- parts of a run */

static bool all_connected(struct bench *b)
{
    return b->n_opened == b->n_clients && b->n_under_way == 0;
}

static bool connect_all(struct bench *b)
{
    phase_begin(b, "connect", "connections");
    b->connect_start_ns = b->now_ns; /* the phase and -R have the same clock */
    uint64_t wait_s = SETUP_S + b->n_clients * b->flags.interval_ms / 1000;
    wait_s += b->flags.connect_rate > 0 ? (uint64_t)(b->n_clients / b->flags.connect_rate) : 0;
    bool ok = bench_run_until(b, all_connected, b->connect_start_ns + wait_s * NS_PER_S);
    phase_end(b, b->n.connected);
    if (!ok && bench_interrupted()) {
        return false;
    }
    if (b->n.connected == 0 && !b->has_explained) {
        say("no client could connect to %s, port %u: is a broker running there, and does it let these clients in?",
            b->flags.host, (unsigned)b->flags.port);
    }
    if (b->n.connected == 0) {
        return false;
    }
    return true;
}

static bool all_subscribed(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_subs; i++) {
        const struct client *c = b->subs[i].client;
        if (c->state == CLIENT_READY && c->filters_made < c->filters_asked) {
            return false;
        }
    }
    return true;
}

/* Every subscriber to one filter, made of the pattern. */
static bool subscribe_all(struct bench *b, const char *pattern)
{
    phase_begin(b, "subscribe", "filters");
    for (uint32_t i = 0; i < b->n_subs; i++) {
        char filter[TOPIC_MAX];
        size_t len = wire_topic(b->subs[i].client, pattern, filter, sizeof filter);
        smq_span span = smq_span_of(filter, len);
        if (len == 0) {
            say("the topic '%s' becomes longer than %d bytes.", pattern, TOPIC_MAX - 1);
            return false;
        }
        if (b->subs[i].client->state == CLIENT_READY) {
            wire_subscribe(b->subs[i].client, &span, 1, (uint8_t)b->flags.qos);
        }
    }
    bool ok = bench_run_until(b, all_subscribed, bench_clock() + SETUP_S * NS_PER_S);
    phase_end(b, b->n_subs);
    if (!ok && !bench_interrupted()) {
        say("not all subscriptions were confirmed within %d s.", SETUP_S);
    }
    return ok;
}

static bool never(struct bench *b)
{
    (void)b;
    return false;
}

/* With -L the run ends by itself when all arrived, or when nothing comes any more. */
static bool limit_is_reached(struct bench *b)
{
    return b->flags.limit != 0 && load_is_drained(b);
}

static void start_measuring(struct bench *b)
{
    b->is_measuring = true;
    b->slot_ns = bench_clock();
    b->slot_delivered = b->n.delivered;
    hist_clear(&b->slot);
}

static void settle(struct bench *b)
{
    b->load.is_over = true;
    uint64_t seen;
    do {
        seen = b->n.delivered + b->n.acked;
    } while (!bench_run_until(b, load_is_drained, bench_clock() + QUIET_S * NS_PER_S) &&
             seen != b->n.delivered + b->n.acked);
}

/* Publishes for the time or the number that was asked for. What is counted are deliveries, or what was sent when nobody
 * of this run receives. */
static void publish(struct bench *b)
{
    const struct bench_flags *f = &b->flags;
    b->load.is_on = true;
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        if (b->pubs[i].client->state == CLIENT_READY) {
            load_ready(b, &b->pubs[i]);
        }
    }
    if (f->warmup_s > 0) {
        (void)bench_run_until(b, never, bench_clock() + (uint64_t)(f->warmup_s * 1e9));
    }
    bool delivers = b->n_subs != 0;
    uint64_t before = delivers ? b->n.delivered : b->n.sent;
    phase_begin(b, "publish", delivers ? "deliveries" : "messages");
    start_measuring(b);
    uint64_t until = f->duration_s > 0 ? bench_clock() + (uint64_t)(f->duration_s * 1e9) : 0;
    (void)bench_run_until(b, limit_is_reached, until);
    b->slot_ns = 0;
    hist_merge(&b->hist, &b->slot);
    b->is_measuring = false;
    phase_end(b, (delivers ? b->n.delivered : b->n.sent) - before);
    settle(b);
}

/* ---------------------------------------------------------------- messages between clients */

static bool prepare_pubs(struct bench *b, const char *pattern, bool own_numbers)
{
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        char topic[TOPIC_MAX];
        struct client named = *b->pubs[i].client;
        named.number = own_numbers ? i : 0;
        size_t len = wire_topic(&named, pattern, topic, sizeof topic - 1);
        topic[len] = '\0';
        if (len == 0 || !load_prepare(&b->pubs[i], topic, 0, 0)) {
            say("the topic '%s' becomes too long, or memory is short.", pattern);
            return false;
        }
    }
    return true;
}

static bool run_flow(struct bench *b, uint64_t n_pubs, uint64_t n_subs, bool apart)
{
    const char *pattern = b->flags.topic != NULL ? b->flags.topic : apart ? "bench/pair/%i" : "bench/flow";
    if (!make_clients(b, n_pubs, n_subs, 0)) {
        return false;
    }
    make_ends(b, apart ? 1 : n_subs);
    if (!make_tracks(b, apart ? 1 : (uint32_t)n_pubs, apart) || !prepare_pubs(b, pattern, apart)) {
        return false;
    }
    if (b->flags.sealed != NULL && !sealed_prepare(b)) {
        return false;
    }
    if (!connect_all(b) || !subscribe_all(b, pattern)) {
        return false;
    }
    if (b->flags.sealed != NULL && !sealed_open_all(b)) {
        return false;
    }
    publish(b);
    return true;
}

static bool run_fan_in(struct bench *b)
{
    return run_flow(b, b->flags.count, 1, false);
}

static bool run_fan_out(struct bench *b)
{
    return run_flow(b, 1, b->flags.count, false);
}

static bool run_pairs(struct bench *b)
{
    return run_flow(b, b->flags.count, b->flags.count, true);
}

/* ---------------------------------------------------------------- as emqtt-bench */

static bool run_conn(struct bench *b)
{
    if (!make_clients(b, 0, 0, b->flags.count) || !connect_all(b)) {
        return false;
    }
    phase_begin(b, "idle", "connections");
    uint64_t until = b->flags.duration_s > 0 ? bench_clock() + (uint64_t)(b->flags.duration_s * 1e9) : 0;
    (void)bench_run_until(b, never, until);
    phase_end(b, b->n_up);
    return true;
}

static bool run_pub(struct bench *b)
{
    if (b->flags.topic == NULL) {
        say("smqtt bench pub needs a topic: -t TOPIC.");
        return false;
    }
    if (!make_clients(b, b->flags.count, 0, 0)) {
        return false;
    }
    make_ends(b, 0);
    if (!prepare_pubs(b, b->flags.topic, true)) {
        return false;
    }
    b->load.is_on = !b->flags.wait_all;
    if (!connect_all(b)) {
        return false;
    }
    publish(b);
    return true;
}

static bool enough_received(struct bench *b)
{
    return b->flags.limit != 0 && b->n.delivered >= b->flags.limit;
}

static bool run_sub(struct bench *b)
{
    enum { PUBLISHERS = 4096 };
    if (b->flags.topic == NULL) {
        say("smqtt bench sub needs a filter: -t FILTER.");
        return false;
    }
    uint64_t room = BENCH_MAX_TRACKS / (b->flags.count != 0 ? b->flags.count : 1);
    if (!make_clients(b, 0, b->flags.count, 0)) {
        return false;
    }
    make_ends(b, 0);
    if (!make_tracks(b, (uint32_t)(room < PUBLISHERS ? room : PUBLISHERS), false) || !connect_all(b) ||
        !subscribe_all(b, b->flags.topic)) {
        return false;
    }
    phase_begin(b, "receive", "deliveries");
    start_measuring(b);
    uint64_t until = b->flags.duration_s > 0 ? bench_clock() + (uint64_t)(b->flags.duration_s * 1e9) : 0;
    (void)bench_run_until(b, enough_received, until);
    hist_merge(&b->hist, &b->slot);
    b->is_measuring = false;
    phase_end(b, b->n.delivered);
    return true;
}

/* ---------------------------------------------------------------- connect storm */

static bool time_is_up(struct bench *b)
{
    /* Who is done comes again, under the next number. */
    for (uint32_t i = 0; i < b->n_clients; i++) {
        struct client *c = &b->clients[i];
        if (c->state == CLIENT_OVER && b->now_ns >= b->connect_start_ns) {
            (void)(link_open(c) ? b->n_under_way++ : b->n.failed++);
        }
    }
    return b->flags.limit != 0 && b->n.connected >= b->flags.limit;
}

static bool run_storm(struct bench *b)
{
    b->storm = true;
    if (!make_clients(b, 0, 0, b->flags.count)) {
        return false;
    }
    phase_begin(b, "connect", "connections");
    b->connect_start_ns = b->now_ns; /* the phase and -R have the same clock */
    uint64_t until = b->flags.duration_s > 0 ? bench_clock() + (uint64_t)(b->flags.duration_s * 1e9) : 0;
    (void)bench_run_until(b, time_is_up, until);
    phase_end(b, b->n.connected);
    if (b->n.connected == 0 && !b->has_explained) {
        say("no client could connect to %s, port %u.", b->flags.host, (unsigned)b->flags.port);
    }
    return b->n.connected != 0;
}

/* ---------------------------------------------------------------- many subscriptions */

static void ask_filters(struct bench *b, uint32_t n)
{
    static char text[1000][32];
    smq_span filters[1000];
    for (uint32_t i = 0; i < n; i++) {
        int len = snprintf(text[i], sizeof text[i], "bench/f/%0*llu", DIGITS, (unsigned long long)b->filters_next++);
        filters[i] = smq_span_of(text[i], (size_t)len);
    }
    wire_subscribe(b->subs[0].client, filters, n, (uint8_t)b->flags.qos);
}

static bool filters_are_made(struct bench *b)
{
    struct client *c = b->subs[0].client;
    uint64_t ahead = (uint64_t)b->flags.per_packet * AHEAD;
    ahead = ahead > FILTERS_AHEAD ? ahead : FILTERS_AHEAD;
    while (b->filters_next < b->flags.filters && c->filters_asked - c->filters_made < ahead && c->fd >= 0) {
        uint64_t left = b->flags.filters - b->filters_next;
        ask_filters(b, (uint32_t)(left < b->flags.per_packet ? left : b->flags.per_packet));
    }
    return c->fd < 0 || c->filters_made == b->flags.filters;
}

static bool run_subscriptions(struct bench *b)
{
    char first[32];
    snprintf(first, sizeof first, "bench/f/%0*d", DIGITS, 0);
    if (!make_clients(b, b->flags.count, 1, 0)) {
        return false;
    }
    make_ends(b, 1);
    if (!make_tracks(b, b->n_pubs, false)) {
        return false;
    }
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        b->pubs[i].first_topic = b->flags.filters / b->n_pubs * i;
        if (!load_prepare(&b->pubs[i], first, DIGITS, b->flags.filters)) {
            say("there is not enough memory.");
            return false;
        }
    }
    if (!connect_all(b)) {
        return false;
    }
    phase_begin(b, "subscribe", "filters");
    bool ok = bench_run_until(b, filters_are_made, bench_clock() + 5 * SETUP_S * NS_PER_S);
    phase_end(b, b->subs[0].client->filters_made);
    if (!ok || b->subs[0].client->fd < 0) {
        say("only %llu of %llu filters were confirmed.", (unsigned long long)b->subs[0].client->filters_made,
            (unsigned long long)b->flags.filters);
        return false;
    }
    publish(b);
    return true;
}

/* ---------------------------------------------------------------- retained messages */

static bool all_fetched(struct bench *b)
{
    return b->n.delivered >= b->flags.messages;
}

static bool all_stored(struct bench *b)
{
    return load_is_drained(b);
}

static bool run_retained(struct bench *b)
{
    char first[32];
    snprintf(first, sizeof first, "bench/r/%0*d", DIGITS, 0);
    b->flags.limit = b->flags.messages;
    b->flags.retain = true;
    if (!make_clients(b, 1, 1, 0)) {
        return false;
    }
    make_ends(b, 0);
    if (!make_tracks(b, 1, false) || !load_prepare(&b->pubs[0], first, DIGITS, b->flags.messages) || !connect_all(b)) {
        return false;
    }
    b->load.is_on = true;
    load_ready(b, &b->pubs[0]);
    phase_begin(b, "store", "retained messages");
    bool ok = bench_run_until(b, all_stored, bench_clock() + SETUP_S * NS_PER_S);
    phase_end(b, b->n.sent);
    b->n_pubs = 0; /* what comes now is no news of its publisher */
    smq_span all = smq_span_str("bench/r/#");
    phase_begin(b, "fetch", "retained messages");
    wire_subscribe(b->subs[0].client, &all, 1, (uint8_t)b->flags.qos);
    ok = ok && bench_run_until(b, all_fetched, bench_clock() + SETUP_S * NS_PER_S);
    phase_end(b, b->n.delivered);
    b->n_pubs = 1;
    return ok || bench_interrupted();
}

/* ---------------------------------------------------------------- the table */

static const struct scenario scenarios[] = {
    {.name = "conn",
     .run = run_conn,
     .count = 200,
     .window = 1,
     .interval_ms = 10,
     .help = "clients that connect and stay (-c, -i, -R); ends with Ctrl-C or --duration"},
    {.name = "pub",
     .run = run_pub,
     .count = 200,
     .window = 1,
     .message_ms = 1000,
     .interval_ms = 10,
     .help = "clients that publish every -I ms (-t)"},
    {.name = "sub",
     .run = run_sub,
     .count = 200,
     .window = 1,
     .interval_ms = 10,
     .help = "clients that subscribe and count what comes (-t)"},
    {.name = "fan-in",
     .run = run_fan_in,
     .count = 50,
     .window = 100,
     .duration_s = 5,
     .own_clients = true,
     .help = "-c publishers, one subscriber"},
    {.name = "fan-out",
     .run = run_fan_out,
     .count = 500,
     .window = 100,
     .duration_s = 5,
     .own_clients = true,
     .help = "one publisher, -c subscribers"},
    {.name = "pairs",
     .run = run_pairs,
     .count = 100,
     .window = 100,
     .duration_s = 5,
     .own_clients = true,
     .help = "-c publishers, each with a subscriber and a topic of its own"},
    {.name = "latency",
     .run = run_pairs,
     .count = 1,
     .window = 1,
     .duration_s = 5,
     .own_clients = true,
     .help = "pairs with one message under way at a time (-F 1)"},
    {.name = "retained",
     .run = run_retained,
     .count = 1,
     .window = 1000,
     .own_clients = true,
     .many_topics = true,
     .help = "stores --messages retained messages, then one subscriber fetches them"},
    {.name = "subscriptions",
     .run = run_subscriptions,
     .count = 1,
     .window = 1000,
     .duration_s = 5,
     .own_clients = true,
     .many_topics = true,
     .help = "one client makes --filters subscriptions, then -c publishers publish to them in turn"},
    {.name = "connects",
     .run = run_storm,
     .count = 64,
     .window = 1,
     .duration_s = 5,
     .own_clients = true,
     .help = "-c clients at a time connect, disconnect and come again"},
};

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(scenarios); i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

void scenario_print(void)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(scenarios); i++) {
        printf("  %-14s %s\n", scenarios[i].name, scenarios[i].help);
    }
}
