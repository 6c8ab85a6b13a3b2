/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <stdlib.h>
#include <string.h>

#include "broker/internal.h"
#include "sim.h"

void sim_disk_init(struct sim *s, uint32_t slow_us)
{
    s->disk = (struct sim_disk){.slow_us = slow_us};
}

static void drop_row(struct disk_row *r)
{
    free(r->key);
    free(r->value);
}

static void drop_given(struct sim_disk *d)
{
    while (d->first != NULL) {
        struct smq_writes *next = d->first->next;
        smq_writes_free(d->first);
        d->first = next;
    }
    d->last = d->until = NULL;
}

void sim_disk_free(struct sim *s)
{
    struct sim_disk *d = &s->disk;
    drop_given(d);
    for (size_t i = 0; i < d->d.n; i++) {
        drop_row(&d->d.rows[i]);
    }
    free(d->d.rows);
    *d = (struct sim_disk){0};
}

/* ------------------------------------------------------------ rows */

static int compare(const struct disk_row *r, smq_span key)
{
    size_t n = r->key_len < key.len ? r->key_len : key.len;
    int c = memcmp(r->key, key.data, n);
    return c != 0 ? c : r->key_len < key.len ? -1 : r->key_len > key.len;
}

/* The first row that is not before `key`. */
static size_t find(const struct disk *d, smq_span key)
{
    size_t from = 0, to = d->n;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (compare(&d->rows[mid], key) < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from;
}

static uint8_t *copy(smq_span v)
{
    uint8_t *at = malloc(v.len + 1);
    if (at == NULL) {
        abort();
    }
    if (v.len != 0) {
        memcpy(at, v.data, v.len);
    }
    return at;
}

static void put(struct disk *d, smq_span key, smq_span value)
{
    size_t i = find(d, key);
    if (i < d->n && compare(&d->rows[i], key) == 0) {
        free(d->rows[i].value);
    } else {
        if (d->n == d->cap) {
            d->cap = d->cap != 0 ? d->cap * 2 : 64;
            d->rows = realloc(d->rows, d->cap * sizeof *d->rows);
            if (d->rows == NULL) {
                abort();
            }
        }
        memmove(&d->rows[i + 1], &d->rows[i], (d->n - i) * sizeof *d->rows);
        d->n++;
        d->rows[i] = (struct disk_row){.key = copy(key), .key_len = key.len};
    }
    d->rows[i].value = copy(value);
    d->rows[i].value_len = value.len;
}

static void del(struct disk *d, smq_span key, bool prefix)
{
    size_t i = find(d, key), n = 0;
    while (i + n < d->n) {
        const struct disk_row *r = &d->rows[i + n];
        bool same = r->key_len >= key.len && memcmp(r->key, key.data, key.len) == 0;
        if (!same || (!prefix && r->key_len != key.len)) {
            break;
        }
        drop_row(&d->rows[i + n]);
        n++;
        if (!prefix) {
            break;
        }
    }
    memmove(&d->rows[i], &d->rows[i + n], (d->n - i - n) * sizeof *d->rows);
    d->n -= n;
}

/* ------------------------------------------------------------ commits */

static void begin(struct sim *s)
{
    struct sim_disk *d = &s->disk;
    if (!d->busy && d->last != NULL) {
        d->busy = true;
        d->until = d->last; /* all that is there goes with this one */
        sim_at(s, 1 + sim_delay(s, d->slow_us), EV_COMMIT, 0, s->life);
    }
}

void sim_disk_give(struct sim *s, struct smq_writes *writes)
{
    struct sim_disk *d = &s->disk;
    if (writes == NULL) {
        return;
    }
    writes->next = NULL;
    if (d->last != NULL) {
        d->last->next = writes;
    } else {
        d->first = writes;
    }
    d->last = writes;
    sim_trace(s, "worker %llu writes number %llu, %llu operations", writes->worker, writes->number, writes->n_writes);
    begin(s);
}

static struct smq_fetched *fetched_of(struct sim *s, const struct smq_writes *writes)
{
    struct smq_fetched *f = smq_fetched_new(&s->broker_mem.mem, writes->worker, writes->number);
    if (f == NULL) {
        abort();
    }
    return f;
}

static void get(struct sim *s, const struct smq_writes *writes, struct smq_fetched **f, smq_span key)
{
    const struct disk *d = &s->disk.d;
    size_t i = find(d, key);
    bool found = i < d->n && compare(&d->rows[i], key) == 0;
    *f = *f != NULL ? *f : fetched_of(s, writes);
    smq_span value = found ? smq_span_of(d->rows[i].value, d->rows[i].value_len) : (smq_span){NULL, 0};
    if (smq_fetched_add(*f, key, found, value) != SMQTT_OK) {
        abort();
    }
}

static void apply(struct sim *s, const struct smq_writes *writes)
{
    struct disk *d = &s->disk.d;
    struct smq_write op;
    struct smq_fetched *f = NULL;
    for (size_t at = 0; smq_writes_next(writes, &at, &op);) {
        switch (op.op) {
        case SMQ_WRITE_PUT:
            put(d, op.key, op.value);
            break;
        case SMQ_WRITE_DEL:
            del(d, op.key, false);
            break;
        case SMQ_WRITE_DEL_PREFIX:
            del(d, op.key, true);
            break;
        case SMQ_WRITE_GET:
            get(s, writes, &f, op.key);
            break;
        }
    }
    struct shell *sh = &s->shells[writes->worker];
    if (f != NULL) {
        smq_worker_fetched(sh->w, f, s->now);
        shell_wake(s, writes->worker);
    }
    sh->told = s->disk.committed[writes->worker] = writes->number;
    sim_at(s, 1 + sim_below(s, 50), EV_TOLD, writes->worker, s->life);
}

void sim_disk_on_commit(struct sim *s)
{
    struct sim_disk *d = &s->disk;
    d->busy = false;
    if (d->ill) { /* nothing of it is there; it is tried again */
        s->counts->failed_commits++;
        d->busy = true;
        sim_at(s, 1000 + sim_delay(s, d->slow_us), EV_COMMIT, 0, s->life);
        return;
    }
    s->counts->commits++;
    for (bool more = d->until != NULL; more;) {
        struct smq_writes *writes = d->first;
        more = writes != d->until;
        d->first = writes->next;
        d->last = d->first != NULL ? d->last : NULL;
        apply(s, writes);
        smq_writes_free(writes);
    }
    d->until = NULL;
    begin(s);
}

struct mark sim_disk_mark(const struct sim *s, unsigned worker)
{
    if (s->shells[worker].w == NULL) { /* whoever it was is gone already */
        return (struct mark){0};
    }
    return (struct mark){
        .number = s->shells[worker].w->n_written, .life = s->life, .worker = (uint8_t)worker, .was_lost = false};
}

bool sim_disk_lost(const struct sim *s, const struct mark *mark)
{
    return mark->life == s->life && s->disk.committed[mark->worker] < mark->number;
}

void sim_disk_commit(struct sim *s)
{
    bool ill = s->disk.ill;
    s->disk.ill = false;
    s->disk.until = s->disk.last;
    sim_disk_on_commit(s);
    s->disk.ill = ill;
}

void sim_disk_crash(struct sim *s)
{
    drop_given(&s->disk);
    s->disk.busy = false;
    memset(s->disk.committed, 0, sizeof s->disk.committed);
}
