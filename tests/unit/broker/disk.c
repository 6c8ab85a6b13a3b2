/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <stdlib.h>

#include "../test.h"

void disk_init(struct disk *d)
{
    *d = (struct disk){0};
}

static smq_span key_of(const struct disk_row *row)
{
    return smq_span_of(row->key, row->key_len);
}

static void row_free(struct disk_row *row)
{
    free(row->key);
    free(row->value);
}

void disk_free(struct disk *d)
{
    disk_crash(d);
    for (size_t i = 0; i < d->n; i++) {
        row_free(&d->rows[i]);
    }
    free(d->rows);
    disk_init(d);
}

void disk_crash(struct disk *d)
{
    while (d->first != NULL) {
        struct smq_writes *next = d->first->next;
        smq_writes_free(d->first);
        d->first = next;
    }
    d->last = NULL;
    d->n_waiting = 0;
}

static int compare(smq_span a, smq_span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int by_bytes = len != 0 ? memcmp(a.data, b.data, len) : 0;
    return by_bytes != 0 ? by_bytes : (a.len > b.len) - (a.len < b.len);
}

/* The first row whose key is not before `key`. */
static size_t place_of(const struct disk *d, smq_span key)
{
    size_t from = 0, to = d->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (compare(key_of(&d->rows[middle]), key) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static uint8_t *copy_of(smq_span s)
{
    uint8_t *copy = malloc(s.len != 0 ? s.len : 1);
    if (s.len != 0) {
        memcpy(copy, s.data, s.len);
    }
    return copy;
}

static void put(struct disk *d, smq_span key, smq_span value)
{
    size_t at = place_of(d, key);
    if (at < d->n && compare(key_of(&d->rows[at]), key) == 0) {
        free(d->rows[at].value);
    } else {
        if (d->n == d->cap) {
            d->cap = d->cap != 0 ? d->cap * 2 : 64;
            d->rows = realloc(d->rows, d->cap * sizeof *d->rows);
        }
        memmove(&d->rows[at + 1], &d->rows[at], (d->n - at) * sizeof *d->rows);
        d->rows[at] = (struct disk_row){.key = copy_of(key), .key_len = key.len};
        d->n++;
    }
    d->rows[at].value = copy_of(value);
    d->rows[at].value_len = value.len;
}

static bool has_prefix(const struct disk_row *row, smq_span prefix)
{
    return row->key_len >= prefix.len && memcmp(row->key, prefix.data, prefix.len) == 0;
}

/* Deletes the key, or all that begin so. */
static void del(struct disk *d, smq_span key, bool prefix)
{
    size_t from = place_of(d, key), to = from;
    while (to < d->n && has_prefix(&d->rows[to], key) && (prefix || d->rows[to].key_len == key.len)) {
        row_free(&d->rows[to]);
        to++;
    }
    memmove(&d->rows[from], &d->rows[to], (d->n - to) * sizeof *d->rows);
    d->n -= to - from;
}

smq_span disk_get(const struct disk *d, smq_span key)
{
    size_t at = place_of(d, key);
    bool found = at < d->n && compare(key_of(&d->rows[at]), key) == 0;
    return found ? smq_span_of(d->rows[at].value, d->rows[at].value_len) : (smq_span){NULL, 0};
}

void disk_row(const struct disk *d, size_t i, smq_span *key, smq_span *value)
{
    *key = key_of(&d->rows[i]);
    *value = smq_span_of(d->rows[i].value, d->rows[i].value_len);
}

bool disk_take(struct disk *d, struct smq_worker *w)
{
    struct smq_writes *writes = smq_worker_take_writes(w);
    if (writes == NULL) {
        return false;
    }
    writes->next = NULL;
    if (d->last != NULL) {
        d->last->next = writes;
    } else {
        d->first = writes;
    }
    d->last = writes;
    d->n_waiting++;
    return true;
}

static void apply(struct disk *d, const struct smq_writes *writes)
{
    size_t at = 0;
    struct smq_write op;
    while (smq_writes_next(writes, &at, &op)) {
        d->n_writes += op.op != SMQ_WRITE_GET;
        if (op.op == SMQ_WRITE_PUT) {
            put(d, op.key, op.value);
        } else if (op.op != SMQ_WRITE_GET) {
            del(d, op.key, op.op == SMQ_WRITE_DEL_PREFIX);
        }
    }
}

static struct smq_fetched *answer(const struct disk *d, const struct smq_writes *writes)
{
    struct smq_fetched *fetched = smq_fetched_new(NULL, writes->worker, writes->number);
    size_t at = 0;
    struct smq_write op;
    while (smq_writes_next(writes, &at, &op)) {
        if (op.op == SMQ_WRITE_GET) {
            smq_span value = disk_get(d, op.key);
            assert_int_equal(smq_fetched_add(fetched, op.key, value.data != NULL, value), SMQTT_OK);
        }
    }
    return fetched;
}

bool disk_commit(struct disk *d, struct smq_worker *const *workers, size_t n, struct smqtt_now now)
{
    bool any = false;
    for (; n != 0 && d->first != NULL; n--) {
        struct smq_writes *writes = d->first;
        d->first = writes->next;
        d->last = d->first != NULL ? d->last : NULL;
        d->n_waiting--;
        apply(d, writes);
        struct smq_worker *w = workers[writes->worker];
        if (writes->n_gets != 0) {
            smq_worker_fetched(w, answer(d, writes), now);
        }
        smq_worker_committed(w, writes->number, now);
        smq_writes_free(writes);
        any = true;
    }
    return any;
}

size_t disk_count(const struct disk *d, enum smq_table table, uint64_t sid, enum smq_session_row kind)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        struct smq_key_parts parts;
        assert_true(smq_key_read(key_of(&d->rows[i]), &parts));
        n += parts.table == table && (sid == 0 || parts.sid == sid) && (kind == 0 || parts.kind == kind);
    }
    return n;
}

uint64_t disk_sid(const struct disk *d, const char *client_id)
{
    for (size_t i = 0; i < d->n; i++) {
        struct smq_key_parts parts;
        struct smq_row_head head;
        assert_true(smq_key_read(key_of(&d->rows[i]), &parts));
        if (parts.table == SMQ_TABLE_SESSION && parts.kind == SMQ_ROW_HEAD) {
            assert_true(smq_row_read_head(smq_span_of(d->rows[i].value, d->rows[i].value_len), &head));
            if (smq_span_equal(head.client_id, smq_span_str(client_id))) {
                return parts.sid;
            }
        }
    }
    return 0;
}
