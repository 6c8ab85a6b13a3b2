/* SPDX-License-Identifier: Apache-2.0 */
#include "store/memory.h"

#include <stdlib.h>

#include "base/mem.h"
#include "store/why.h"

enum { LEVELS = 20, FIRST_UNDOS = 64 };

struct row {
    uint8_t *value;
    size_t value_len;
    uint32_t height;
    uint32_t key_len;
    struct row *next[]; /* height; behind them the key */
};

/* What brings back what was there before an operation. */
struct undo {
    enum { ADDED, REPLACED, REMOVED } did;
    struct row *row; /* REMOVED: kept for this */
    uint8_t *value;  /* REPLACED: the one before */
    size_t value_len;
};

struct memory {
    struct smq_store base;
    const struct smqtt_mem *mem;
    struct row *first[LEVELS];
    size_t n_rows;
    uint64_t size, random;
    struct undo *undos; /* since the last sync */
    size_t n_undos, undos_cap;
    size_t *ends; /* of each write since the last sync, in undos */
    size_t n_ends, ends_cap;
    struct smq_memory_faults faults;
    bool read_only, failed, tracked;
};

static struct memory *of(const struct smq_store *store)
{
    return SMQ_CONTAINER_OF(store, struct memory, base);
}

static smq_span key_of(const struct row *row)
{
    return smq_span_of((const uint8_t *)(row->next + row->height), row->key_len);
}

static int compare(smq_span a, smq_span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len != 0 ? memcmp(a.data, b.data, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static uint64_t size_of(const struct row *row)
{
    return sizeof *row + row->height * sizeof row->next[0] + row->key_len + row->value_len;
}

/* The first row whose key is not below `key`; `links`: what points to it, or to where it were, on each level. */
static struct row *seek(struct memory *m, smq_span key, struct row **links[LEVELS])
{
    struct row **next = m->first;
    for (size_t level = LEVELS; level-- > 0;) {
        while (next[level] != NULL && compare(key_of(next[level]), key) < 0) {
            next = next[level]->next;
        }
        links[level] = &next[level];
    }
    return next[0];
}

/* One more level with a chance of a quarter each. */
static uint32_t random_height(struct memory *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    uint32_t height = 1;
    for (uint64_t bits = m->random >> 16; height < LEVELS && (bits & 3) == 0; bits >>= 2) {
        height++;
    }
    return height;
}

static void row_link(struct memory *m, struct row *row, struct row **links[LEVELS])
{
    for (uint32_t level = 0; level < row->height; level++) {
        row->next[level] = *links[level];
        *links[level] = row;
    }
    m->n_rows++;
    m->size += size_of(row);
}

static void row_unlink(struct memory *m, struct row *row, struct row **links[LEVELS])
{
    for (uint32_t level = 0; level < row->height; level++) {
        *links[level] = row->next[level];
    }
    m->n_rows--;
    m->size -= size_of(row);
}

static struct row *row_new(struct memory *m, smq_span key)
{
    uint32_t height = random_height(m);
    struct row *row = smq_mem_alloc(m->mem, sizeof *row + height * sizeof row->next[0] + key.len);
    if (row == NULL) {
        return NULL;
    }
    *row = (struct row){.height = height, .key_len = (uint32_t)key.len};
    memcpy(row->next + height, key.data, key.len);
    return row;
}

static void row_free(struct memory *m, struct row *row)
{
    smq_mem_free(m->mem, row->value);
    smq_mem_free(m->mem, row);
}

/* Room for one more element of an array. */
static bool make_room(struct memory *m, void **array, size_t *cap, size_t n, size_t size)
{
    if (n < *cap) {
        return true;
    }
    size_t wanted = *cap != 0 ? *cap * 2 : FIRST_UNDOS;
    void *larger = smq_mem_resize(m->mem, *array, wanted * size);
    if (larger == NULL) {
        return false;
    }
    *array = larger;
    *cap = wanted;
    return true;
}

/* Before each change, so that what was changed can be noted. */
static bool may_note(struct memory *m)
{
    void *array = m->undos;
    bool room = make_room(m, &array, &m->undos_cap, m->n_undos, sizeof m->undos[0]);
    m->undos = array;
    return room;
}

static smqtt_err put(struct memory *m, smq_span key, smq_span value)
{
    struct row **links[LEVELS];
    struct row *row = seek(m, key, links);
    bool is_new = row == NULL || !smq_span_equal(key_of(row), key);
    uint8_t *bytes = smq_mem_alloc(m->mem, value.len);
    if (bytes == NULL || !may_note(m) || (is_new && (row = row_new(m, key)) == NULL)) {
        smq_mem_free(m->mem, bytes);
        return SMQTT_E_NOMEM;
    }
    if (value.len != 0) {
        memcpy(bytes, value.data, value.len);
    }
    if (is_new) {
        m->undos[m->n_undos++] = (struct undo){.did = ADDED, .row = row};
        row->value = bytes;
        row->value_len = value.len;
        row_link(m, row, links);
        return SMQTT_OK;
    }
    m->undos[m->n_undos++] = (struct undo){REPLACED, row, row->value, row->value_len};
    m->size += (uint64_t)value.len - row->value_len;
    row->value = bytes;
    row->value_len = value.len;
    return SMQTT_OK;
}

/* Removes the key, or all keys that begin so. */
static smqtt_err del(struct memory *m, smq_span key, bool is_prefix)
{
    struct row **links[LEVELS];
    for (struct row *row = seek(m, key, links); row != NULL; row = *links[0]) {
        if (is_prefix ? !smq_span_starts(key_of(row), key) : !smq_span_equal(key_of(row), key)) {
            break;
        }
        if (!may_note(m)) {
            return SMQTT_E_NOMEM;
        }
        row_unlink(m, row, links);
        m->undos[m->n_undos++] = (struct undo){.did = REMOVED, .row = row};
    }
    return SMQTT_OK;
}

/* Takes back what was done, down to the first `n` undos. */
static void roll_back(struct memory *m, size_t n)
{
    struct row **links[LEVELS];
    while (m->n_undos > n) {
        const struct undo *undo = &m->undos[--m->n_undos];
        struct row *row = undo->row;
        switch (undo->did) {
        case ADDED:
            (void)seek(m, key_of(row), links);
            row_unlink(m, row, links);
            row_free(m, row);
            break;
        case REPLACED:
            smq_mem_free(m->mem, row->value);
            m->size += (uint64_t)undo->value_len - row->value_len;
            row->value = undo->value;
            row->value_len = undo->value_len;
            break;
        case REMOVED:
            (void)seek(m, key_of(row), links);
            row_link(m, row, links);
            break;
        }
    }
}

/* Nothing is to be brought back any more. */
static void settle(struct memory *m)
{
    for (size_t i = 0; i < m->n_undos; i++) {
        if (m->undos[i].did == REMOVED) {
            row_free(m, m->undos[i].row);
        } else if (m->undos[i].did == REPLACED) {
            smq_mem_free(m->mem, m->undos[i].value);
        }
    }
    m->n_undos = 0;
    m->n_ends = 0;
}

static smqtt_err step(struct memory *m, enum smq_memory_step which, struct smq_store_why *why)
{
    smqtt_err err = m->faults.fails != NULL ? m->faults.fails(m->faults.ctx, which) : SMQTT_OK;
    return err == SMQTT_OK ? err : smq_store_why_set(why, err, "the store in memory was told to fail; tell it not to");
}

static smqtt_err memory_open(const char *path, enum smq_store_mode mode, const struct smqtt_mem *mem,
                             struct smq_store **out, struct smq_store_why *why)
{
    (void)path;
    struct memory *m = smq_mem_zalloc(mem, 1, sizeof *m);
    if (m == NULL) {
        return smq_store_why_set(why, SMQTT_E_NOMEM, "there is no memory for a store");
    }
    m->base.kind = &smq_store_memory;
    m->mem = mem;
    m->random = UINT64_C(0x9E3779B97F4A7C15);
    m->read_only = mode == SMQ_STORE_READ_ONLY;
    *out = &m->base;
    return SMQTT_OK;
}

static void memory_close(struct smq_store *store)
{
    struct memory *m = of(store);
    settle(m);
    for (struct row *row = m->first[0], *next; row != NULL; row = next) {
        next = row->next[0];
        row_free(m, row);
    }
    smq_mem_free(m->mem, m->undos);
    smq_mem_free(m->mem, m->ends);
    smq_mem_free(m->mem, m);
}

static smqtt_err memory_reopen(struct smq_store *store, struct smq_store_why *why)
{
    struct memory *m = of(store);
    SMQ_TRY(step(m, SMQ_MEMORY_REOPEN, why));
    settle(m);
    m->failed = false;
    return SMQTT_OK;
}

static smqtt_err apply(struct memory *m, const struct smq_writes *writes)
{
    struct smq_write w;
    for (size_t at = 0; smq_writes_next(writes, &at, &w);) {
        switch (w.op) {
        case SMQ_WRITE_PUT:
            SMQ_TRY(put(m, w.key, w.value));
            break;
        case SMQ_WRITE_DEL:
            SMQ_TRY(del(m, w.key, false));
            break;
        case SMQ_WRITE_DEL_PREFIX:
            SMQ_TRY(del(m, w.key, true));
            break;
        case SMQ_WRITE_GET:
            break;
        }
    }
    return SMQTT_OK;
}

static smqtt_err apply_all(struct memory *m, struct smq_writes *const *writes, size_t n)
{
    void *array = m->ends;
    bool room = make_room(m, &array, &m->ends_cap, m->n_ends, sizeof m->ends[0]);
    m->ends = array;
    if (!room) {
        return SMQTT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        SMQ_TRY(apply(m, writes[i]));
    }
    m->ends[m->n_ends++] = m->n_undos;
    return SMQTT_OK;
}

static smqtt_err memory_sync(struct smq_store *store, struct smq_store_why *why)
{
    struct memory *m = of(store);
    if (m->failed) {
        return smq_store_why_set(why, SMQTT_E_IO, "the store in memory failed before; open it anew");
    }
    smqtt_err err = step(m, SMQ_MEMORY_SYNC, why);
    m->failed = err != SMQTT_OK;
    if (!m->failed) {
        settle(m);
    }
    return err;
}

static smqtt_err memory_write(struct smq_store *store, struct smq_writes *const *writes, size_t n, bool sync,
                              struct smq_store_why *why)
{
    struct memory *m = of(store);
    if (m->failed || m->read_only) {
        return smq_store_why_set(why, SMQTT_E_IO, "the store in memory %s",
                                 m->failed ? "failed before; open it anew"
                                           : "was opened to read only; open it to write");
    }
    smqtt_err err = step(m, SMQ_MEMORY_WRITE, why);
    m->failed = err != SMQTT_OK;
    if (m->failed) {
        return err;
    }
    size_t before = m->n_undos;
    if (apply_all(m, writes, n) != SMQTT_OK) {
        roll_back(m, before);
        return smq_store_why_set(why, SMQTT_E_NOMEM, "there is no memory for more rows of the store in memory");
    }
    if (sync) {
        return memory_sync(store, why);
    }
    if (!m->tracked) {
        settle(m);
    }
    return SMQTT_OK;
}

static smqtt_err memory_get(struct smq_store *store, smq_span key, void (*fn)(void *ctx, smq_span value), void *ctx,
                            struct smq_store_why *why)
{
    struct memory *m = of(store);
    struct row **links[LEVELS];
    SMQ_TRY(step(m, SMQ_MEMORY_READ, why));
    const struct row *row = seek(m, key, links);
    if (row != NULL && smq_span_equal(key_of(row), key)) {
        fn(ctx, smq_span_of(row->value, row->value_len));
    }
    return SMQTT_OK;
}

static smqtt_err memory_each(struct smq_store *store, smq_span prefix,
                             smqtt_err (*fn)(void *ctx, smq_span key, smq_span value), void *ctx,
                             struct smq_store_why *why)
{
    struct memory *m = of(store);
    struct row **links[LEVELS];
    SMQ_TRY(step(m, SMQ_MEMORY_READ, why));
    for (const struct row *row = seek(m, prefix, links); row != NULL; row = row->next[0]) {
        if (!smq_span_starts(key_of(row), prefix)) {
            break;
        }
        SMQ_TRY(fn(ctx, key_of(row), smq_span_of(row->value, row->value_len)));
    }
    return SMQTT_OK;
}

static void memory_shrink(struct smq_store *store)
{
    (void)store; /* nothing is left of what was removed */
}

static uint64_t memory_size(struct smq_store *store)
{
    return of(store)->size;
}

const struct smq_store_kind smq_store_memory = {
    .name = "memory",
    .on_disk = false,
    .open = memory_open,
    .close = memory_close,
    .reopen = memory_reopen,
    .write = memory_write,
    .sync = memory_sync,
    .get = memory_get,
    .each = memory_each,
    .shrink = memory_shrink,
    .size = memory_size,
};

void smq_memory_set_faults(struct smq_store *store, const struct smq_memory_faults *faults)
{
    of(store)->faults = faults != NULL ? *faults : (struct smq_memory_faults){NULL, NULL};
}

void smq_memory_track(struct smq_store *store)
{
    of(store)->tracked = true;
}

size_t smq_memory_count_unsynced(const struct smq_store *store)
{
    return of(store)->n_ends;
}

void smq_memory_crash(struct smq_store *store, size_t keep)
{
    struct memory *m = of(store);
    if (keep < m->n_ends) {
        roll_back(m, keep != 0 ? m->ends[keep - 1] : 0);
    }
    settle(m);
    m->failed = false;
}

size_t smq_memory_count_rows(const struct smq_store *store)
{
    return of(store)->n_rows;
}
