/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { EVENTS = 1024, SLOT_MS = 100, SHOW_MS = 1000, FIRST_POINTS = 128, POINTS_MAX = 20000 };

#define NS_PER_MS UINT64_C(1000000)

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = interrupted < 2 ? interrupted + 1 : 2;
}

bool bench_interrupted(void)
{
    static bool is_set;
    if (!is_set) {
        is_set = true;
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
    }
    return interrupted != 0;
}

uint64_t bench_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---------------------------------------------------------------- connections */

static uint64_t allowed_by_now(const struct bench *b)
{
    const struct bench_flags *f = &b->flags;
    uint64_t passed = b->now_ns - b->connect_start_ns;
    if (f->connect_rate > 0) {
        return (uint64_t)((double)passed * f->connect_rate / 1e9) + 1;
    }
    return f->interval_ms != 0 ? passed / (f->interval_ms * NS_PER_MS) + 1 : UINT64_MAX;
}

/* Starts those connections whose time has come. */
static int connect_step(struct bench *b)
{
    if (b->connect_start_ns == 0 || b->n_opened == b->n_clients) {
        return 1000;
    }
    uint64_t allowed = allowed_by_now(b);
    while (b->n_opened < b->n_clients && b->n_opened < allowed && b->n_under_way < b->flags.concurrency) {
        struct client *c = &b->clients[b->n_opened++];
        if (link_open(c)) {
            b->n_under_way++;
        } else {
            c->state = CLIENT_OVER;
            b->n.failed++;
        }
    }
    return 1;
}

/* PINGREQ for those that said nothing for half of their keep-alive; a look at some each turn. */
static void keep_alive_step(struct bench *b)
{
    static uint32_t turn;
    enum { LOOKS = 64 };
    uint64_t quiet = b->flags.keep_alive * 500 * NS_PER_MS;
    for (uint32_t i = 0; i < LOOKS && i < b->n_clients && quiet != 0; i++) {
        turn = turn + 1 < b->n_clients ? turn + 1 : 0;
        struct client *c = &b->clients[turn];
        if (c->state == CLIENT_READY && b->now_ns > c->last_out_ns + quiet) {
            uint8_t *at = link_room(c, 2);
            if (at != NULL) {
                at[0] = SMQ_PINGREQ << 4;
                at[1] = 0;
            }
        }
    }
}

/* ---------------------------------------------------------------- the loop */

static void turn(struct bench *b, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(b->epoll, events, EVENTS, wait_ms);
    b->now_ns = bench_clock();
    for (int i = 0; i < n; i++) {
        link_event(events[i].data.ptr, events[i].events);
    }
}

bool bench_run_until(struct bench *b, bool (*done)(struct bench *b), uint64_t until_ns)
{
    b->now_ns = bench_clock();
    while (interrupted <= (b->load.is_over ? 1 : 0)) {
        int connect_ms = connect_step(b);
        int wait_ms = load_step(b);
        keep_alive_step(b);
        phase_progress(b);
        if (done(b)) {
            link_flush(b);
            return true;
        }
        if (until_ns != 0 && b->now_ns >= until_ns) {
            return false;
        }
        link_flush(b);
        turn(b, connect_ms < wait_ms ? connect_ms : wait_ms);
        if (b->flags.sealed != NULL) {
            sealed_tick(b);
        }
    }
    return false;
}

/* ---------------------------------------------------------------- what is measured */

static double own_cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void phase_begin(struct bench *b, const char *name, const char *unit)
{
    if (b->n_phases == BENCH_PHASES) {
        return;
    }
    struct bench_phase *p = &b->phases[b->n_phases++];
    *p = (struct bench_phase){.name = name, .unit = unit};
    p->before = proc_read((long)b->flags.broker_pid);
    memcpy(p->bytes, b->bytes, sizeof p->bytes);
    p->sent = b->n.sent;
    p->own_cpu_s = own_cpu_s();
    b->now_ns = bench_clock();
    p->seconds = (double)b->now_ns / 1e9;
}

void phase_end(struct bench *b, uint64_t n)
{
    struct bench_phase *p = &b->phases[b->n_phases - 1];
    b->now_ns = bench_clock();
    p->seconds = (double)b->now_ns / 1e9 - p->seconds;
    p->own_cpu_s = own_cpu_s() - p->own_cpu_s;
    p->sent = b->n.sent - p->sent;
    for (size_t i = 0; i < BENCH_SIDES; i++) {
        p->bytes[i].in = b->bytes[i].in - p->bytes[i].in;
        p->bytes[i].out = b->bytes[i].out - p->bytes[i].out;
    }
    p->after = proc_read((long)b->flags.broker_pid);
    p->n = n;
}

static void add_point(struct bench *b, double seconds)
{
    if (b->n_points == b->cap_points) {
        size_t cap = b->cap_points != 0 ? b->cap_points * 2 : FIRST_POINTS;
        struct bench_point *points = cap <= POINTS_MAX ? realloc(b->points, cap * sizeof *points) : NULL;
        if (points == NULL) {
            return;
        }
        b->points = points;
        b->cap_points = cap;
    }
    b->points[b->n_points++] = (struct bench_point){.at_s = (double)(b->now_ns - b->begin_ns) / 1e9,
                                                    .rate = (double)(b->n.delivered - b->slot_delivered) / seconds,
                                                    .p50_ns = hist_at(&b->slot, 0.5),
                                                    .p99_ns = hist_at(&b->slot, 0.99)};
}

static void show(const struct bench *b)
{
    static uint64_t shown_ns, sent, delivered;
    if (b->flags.quiet || !isatty(STDERR_FILENO) || b->now_ns < shown_ns + SHOW_MS * NS_PER_MS) {
        return;
    }
    double seconds = shown_ns != 0 ? (double)(b->now_ns - shown_ns) / 1e9 : 1;
    fprintf(stderr, "\r%6.1f s  %u of %u connected  %.0f/s sent  %.0f/s received  p99 %.3f ms   \r",
            (double)(b->now_ns - b->begin_ns) / 1e9, b->n_up, b->n_clients, (double)(b->n.sent - sent) / seconds,
            (double)(b->n.delivered - delivered) / seconds, (double)hist_at(&b->hist, 0.99) / 1e6);
    shown_ns = b->now_ns;
    sent = b->n.sent;
    delivered = b->n.delivered;
}

void phase_progress(struct bench *b)
{
    if (b->now_ns < b->slot_ns + SLOT_MS * NS_PER_MS) {
        return;
    }
    if (b->slot_ns != 0 && b->is_measuring) {
        add_point(b, (double)(b->now_ns - b->slot_ns) / 1e9);
        hist_merge(&b->hist, &b->slot);
    }
    hist_clear(&b->slot);
    b->slot_ns = b->now_ns;
    b->slot_delivered = b->n.delivered;
    show(b);
}
