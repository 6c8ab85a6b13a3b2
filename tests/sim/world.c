/* SPDX-License-Identifier: Apache-2.0 */
/* Time, chance, memory and the trace. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* ------------------------------------------------------------ chance */

/* xoshiro256**, Blackman and Vigna. */
static uint64_t rotated(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t sim_random(struct sim *s)
{
    uint64_t *r = s->rng;
    uint64_t result = rotated(r[1] * 5, 7) * 9, t = r[1] << 17;
    r[2] ^= r[0];
    r[3] ^= r[1];
    r[1] ^= r[2];
    r[0] ^= r[3];
    r[2] ^= t;
    r[3] = rotated(r[3], 45);
    return result;
}

void sim_seed(struct sim *s, uint64_t seed)
{
    s->seed = seed;
    for (int i = 0; i < 4; i++) { /* splitmix64, as its authors advise */
        uint64_t z = seed += UINT64_C(0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
        s->rng[i] = z ^ (z >> 31);
    }
}

uint64_t sim_delay(struct sim *s, uint64_t mean_us)
{
    uint64_t at = sim_below(s, mean_us + 1);
    return sim_below(s, 16) == 0 ? at * 20 : at;
}

/* ------------------------------------------------------------ events */

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_at(struct sim *s, uint64_t delay_us, enum event_kind kind, unsigned who, uint32_t generation)
{
    if (s->n_heap == s->cap_heap) {
        s->cap_heap = s->cap_heap != 0 ? s->cap_heap * 2 : 256;
        s->heap = realloc(s->heap, s->cap_heap * sizeof *s->heap);
        if (s->heap == NULL) {
            abort();
        }
    }
    struct event ev = {.at_us = s->now_us + delay_us,
                       .order = s->n_events++,
                       .who = (uint16_t)who,
                       .kind = (uint8_t)kind,
                       .generation = generation};
    size_t i = s->n_heap++;
    while (i != 0 && is_before(&ev, &s->heap[(i - 1) / 2])) {
        s->heap[i] = s->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    s->heap[i] = ev;
}

static void set_time(struct sim *s, uint64_t at_us)
{
    s->now_us = at_us;
    s->client_now.mono = 5000 + at_us / 1000;
    s->client_now.wall = s->now.wall = UINT64_C(1700000000000) + at_us / 1000;
    s->now.mono = s->client_now.mono + s->mono_offset;
}

bool sim_next(struct sim *s, uint64_t until_us, struct event *out)
{
    if (s->n_heap == 0 || s->heap[0].at_us > until_us) {
        set_time(s, until_us);
        return false;
    }
    *out = s->heap[0];
    struct event last = s->heap[--s->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < s->n_heap; child = 2 * i + 1) {
        child += child + 1 < s->n_heap && is_before(&s->heap[child + 1], &s->heap[child]) ? 1 : 0;
        if (!is_before(&s->heap[child], &last)) {
            break;
        }
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    set_time(s, out->at_us);
    s->counts->events++;
    return true;
}

/* ------------------------------------------------------------ the trace */

static void show(const struct line *l)
{
    char text[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, l->what, (unsigned long long)l->a, (unsigned long long)l->b, (unsigned long long)l->c);
#pragma GCC diagnostic pop
    printf("%10.3f ms  %s\n", (double)l->at_us / 1000, text);
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h ^= x;
    h *= UINT64_C(0xFF51AFD7ED558CCD);
    return h ^ (h >> 32);
}

void sim_trace(struct sim *s, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    struct line *l = &s->lines[s->n_lines++ % TRACE_KEPT];
    *l = (struct line){s->now_us, what, a, b, c};
    s->hash = mix(mix(mix(mix(s->hash, s->now_us + (uint8_t)what[0]), a), b), c);
    if (s->verbose) {
        show(l);
    }
}

void sim_show_trace(const struct sim *s)
{
    uint64_t from = s->n_lines > TRACE_KEPT ? s->n_lines - TRACE_KEPT : 0;
    for (uint64_t i = from; i < s->n_lines; i++) {
        show(&s->lines[i % TRACE_KEPT]);
    }
}

void sim_fail(struct sim *s, const char *format, ...)
{
    if (s->failed) {
        return;
    }
    s->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(s->why, sizeof s->why, format, args);
    va_end(args);
}

/* ------------------------------------------------------------ memory */

enum { HEAD = 16 };

static void *counted_alloc(void *ctx, size_t size)
{
    struct counted *m = ctx;
    size_t *block = malloc(size + HEAD);
    if (block == NULL) {
        return NULL;
    }
    *block = size;
    m->live += size;
    m->blocks++;
    m->most = m->live > m->most ? m->live : m->most;
    return (uint8_t *)block + HEAD;
}

static void counted_release(void *ctx, void *ptr)
{
    struct counted *m = ctx;
    if (ptr != NULL) {
        size_t *block = (size_t *)(void *)((uint8_t *)ptr - HEAD);
        m->live -= *block;
        m->blocks--;
        free(block);
    }
}

static void *counted_resize(void *ctx, void *ptr, size_t size)
{
    struct counted *m = ctx;
    if (ptr == NULL) {
        return counted_alloc(ctx, size);
    }
    size_t *old = (size_t *)(void *)((uint8_t *)ptr - HEAD);
    size_t before = *old;
    size_t *block = realloc(old, size + HEAD);
    if (block == NULL) {
        return NULL;
    }
    *block = size;
    m->live += size - before;
    m->most = m->live > m->most ? m->live : m->most;
    return (uint8_t *)block + HEAD;
}

void counted_init(struct counted *m)
{
    *m = (struct counted){.mem = {counted_alloc, counted_resize, counted_release, m}};
}
