/* SPDX-License-Identifier: Apache-2.0 */
/* The store on the disk: RocksDB through its C interface, which nothing else in the project knows. */
#include <dirent.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/wal.h"
#include "store/why.h"

enum {
    MIB = 1024 * 1024,
    WRITE_BUFFER = 32 * MIB, /* rows that are in the log and not yet in a table; the log of a start is that long */
    WAL_MAX = 2 * WRITE_BUFFER,
    TABLE_FILE = 16 * MIB, /* small, so that what was deleted leaves the disk soon */
    BLOCK_CACHE = 32 * MIB,
    BLOCK = 16 * 1024,
    MANIFEST_MAX = 4 * MIB,
    OPEN_FILES = 256,
    BACKGROUND_JOBS = 2,
    BLOOM_BITS = 10,
    READAHEAD = 2 * MIB,
    BATCH_KEPT = 4 * MIB, /* a larger batch does not stay in memory */
    /* A table in which so many of so many rows in a row are deletions is compacted: queues come and go. */
    DELETIONS_WINDOW = 4096,
    DELETIONS_TRIGGER = 2048,
    NO_DIARY = 6,   /* above the highest level of its info log */
    KEY_TOP = 65536 /* bytes of 0xFF: behind every key, because none is that long */
};

struct rocks {
    struct smq_store base;
    const struct smqtt_mem *mem;
    enum smq_store_mode mode;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_block_based_table_options_t *tables;
    rocksdb_writeoptions_t *synced, *unsynced;
    rocksdb_readoptions_t *reading;
    rocksdb_writebatch_t *batch;
    rocksdb_t *db; /* NULL: it failed and could not be opened anew */
    rocksdb_flushoptions_t *flush;
    enum { SHRINK_IDLE, SHRINK_FLUSH, SHRINK_COMPACT } shrinking; /* what is next */
    bool failed;  /* a write failed: what the log ends with is not known */
    uint8_t *top; /* end of a range that has no other */
    char path[];
};

static struct rocks *of(const struct smq_store *store)
{
    return SMQ_CONTAINER_OF(store, struct rocks, base);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* What a message of RocksDB means. Its C interface gives nothing but text, which begins with the name of its status. */
static smqtt_err meaning(const char *text)
{
    /* A file that is named in its lists and not there is damage, not a failing disk. */
    if (strncmp(text, "Corruption", 10) == 0 || (has(text, "No such file") && !has(text, "CURRENT"))) {
        return SMQTT_E_CORRUPT;
    }
    return has(text, "lock hold by") || has(text, "While lock file") ? SMQTT_E_BUSY : SMQTT_E_IO;
}

static const char *mend(smqtt_err err)
{
    switch ((int)err) {
    case SMQTT_E_BUSY:
        return "another broker has this store open; end it, or give this one another directory";
    case SMQTT_E_CORRUPT:
        return "what it holds is damaged; put a copy in its place or move it away";
    default:
        return "make room, or let this user write there";
    }
}

/* Frees the text. */
static smqtt_err refused(const struct rocks *r, const char *did, char *text, struct smq_store_why *why)
{
    smqtt_err err = meaning(text);
    (void)smq_store_why_set(why, err, "the store in %s could not be %s: %s; %s", r->path, did, text, mend(err));
    rocksdb_free(text);
    return err;
}

static void set_tables(struct rocks *r)
{
    r->cache = rocksdb_cache_create_lru(BLOCK_CACHE);
    r->tables = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(r->tables, r->cache);
    rocksdb_block_based_options_set_block_size(r->tables, BLOCK);
    rocksdb_block_based_options_set_filter_policy(r->tables, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    /* Not in the cache: with some million rows they push each other out, and each row that is asked for reads and
     * checks megabytes of them again. In memory they are one to two bytes a row. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(r->tables, 0);
    rocksdb_options_set_block_based_table_factory(r->options, r->tables);
}

static void set_options(struct rocks *r)
{
    rocksdb_options_t *o = r->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    /* What a cut of power leaves of the last write is cut off; any other damage of the log is an error. */
    rocksdb_options_set_wal_recovery_mode(o, rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_write_buffer_size(o, WRITE_BUFFER);
    rocksdb_options_set_max_total_wal_size(o, WAL_MAX);
    rocksdb_options_set_target_file_size_base(o, TABLE_FILE);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    /* Two, so that the marks of what was deleted meet it, also where all there is stands in level 0. */
    rocksdb_options_set_level0_file_num_compaction_trigger(o, 2);
    rocksdb_options_add_compact_on_deletion_collector_factory(o, DELETIONS_WINDOW, DELETIONS_TRIGGER);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    rocksdb_options_set_max_open_files(o, OPEN_FILES);
    rocksdb_options_set_max_background_jobs(o, BACKGROUND_JOBS);
    rocksdb_options_set_max_manifest_file_size(o, MANIFEST_MAX);
    rocksdb_options_set_manifest_preallocation_size(o, BLOCK);
    rocksdb_options_set_bytes_per_sync(o, MIB);
    /* Its diary stays empty: when the disk is full, Debian's RocksDB, which is built with assertions, ends the process
     * over the second line that it cannot write. What matters it says in its errors. */
    rocksdb_options_set_info_log_level(o, NO_DIARY);
    rocksdb_options_set_keep_log_file_num(o, 1);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    set_tables(r);
    r->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->synced, 1);
    r->unsynced = rocksdb_writeoptions_create();
    r->flush = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(r->flush, 0);
    r->reading = rocksdb_readoptions_create();
    r->batch = rocksdb_writebatch_create();
}

/* Calls fn for the files of the store with their lengths; false: the directory cannot be read. */
static bool each_file(const char *path, void (*fn)(void *ctx, const char *name, uint64_t len), void *ctx)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return false;
    }
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            fn(ctx, entry->d_name, (uint64_t)st.st_size);
        }
    }
    (void)closedir(dir);
    return true;
}

struct look {
    bool has_list, has_rows;
};

static void look_at(void *ctx, const char *name, uint64_t len)
{
    struct look *look = ctx;
    const char *dot = strrchr(name, '.');
    look->has_list = look->has_list || strcmp(name, "CURRENT") == 0;
    look->has_rows =
        look->has_rows || (dot != NULL && len != 0 && (strcmp(dot, ".sst") == 0 || strcmp(dot, ".log") == 0));
}

/* RocksDB takes a directory without CURRENT for one without a store, and would delete what it finds there. */
static smqtt_err check_whole(const struct rocks *r, struct smq_store_why *why)
{
    struct look look = {false, false};
    if (each_file(r->path, look_at, &look) && !look.has_list && look.has_rows) {
        return smq_store_why_set(why, SMQTT_E_CORRUPT, "the store in %s has lost its file CURRENT; %s", r->path,
                                 mend(SMQTT_E_CORRUPT));
    }
    return SMQTT_OK;
}

static rocksdb_t *open_as(const struct rocks *r, char **text)
{
    if (r->mode == SMQ_STORE_READ_ONLY) {
        return rocksdb_open_for_read_only(r->options, r->path, 0, text);
    }
    return rocksdb_open(r->options, r->path, text);
}

struct logs {
    const char *path;
    uint64_t newest; /* its number */
    enum smq_wal_state state, older;
};

static enum smq_wal_state look_at_log(const char *dir, const char *name, uint64_t len)
{
    enum smq_wal_state state = SMQ_WAL_DAMAGED;
    int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(parent, name, O_RDONLY | O_CLOEXEC);
    void *bytes = fd >= 0 && len != 0 ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (bytes != MAP_FAILED) {
        state = smq_wal_look(smq_span_of(bytes, len));
        (void)munmap(bytes, len);
    }
    (void)close(fd);
    (void)close(parent);
    return len == 0 ? SMQ_WAL_WHOLE : state;
}

static void look_at_logs(void *ctx, const char *name, uint64_t len)
{
    struct logs *logs = ctx;
    char *end = NULL;
    unsigned long long number = strtoull(name, &end, 10);
    if (end == name || strcmp(end, ".log") != 0) {
        return;
    }
    enum smq_wal_state state = look_at_log(logs->path, name, len);
    enum smq_wal_state older = number > logs->newest ? logs->state : state;
    logs->older = older > logs->older ? older : logs->older;
    if (number > logs->newest) {
        logs->newest = number;
        logs->state = state;
    }
}

/* Is all that is wrong the last write of the newest log? Then it is cut off there. */
static rocksdb_t *open_torn(const struct rocks *r, char **text)
{
    struct logs logs = {.path = r->path, .state = SMQ_WAL_WHOLE, .older = SMQ_WAL_WHOLE};
    if (!each_file(r->path, look_at_logs, &logs) || logs.state != SMQ_WAL_TORN || logs.older != SMQ_WAL_WHOLE) {
        return NULL;
    }
    rocksdb_free(*text);
    *text = NULL;
    rocksdb_options_set_wal_recovery_mode(r->options, rocksdb_point_in_time_recovery);
    rocksdb_t *db = open_as(r, text);
    rocksdb_options_set_wal_recovery_mode(r->options, rocksdb_tolerate_corrupted_tail_records_recovery);
    return db;
}

/* RocksDB cannot write down the level NO_DIARY in its file of options, and leaves what it has begun of it at each try;
 * nothing reads it. */
static void remove_rest(void *ctx, const char *name, uint64_t len)
{
    const struct rocks *r = ctx;
    const char *dot = strrchr(name, '.');
    (void)len;
    if (strncmp(name, "OPTIONS-", 8) == 0 && dot != NULL && strcmp(dot, ".dbtmp") == 0) {
        int dir = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)unlinkat(dir, name, 0);
        (void)close(dir);
    }
}

static smqtt_err open_db(struct rocks *r, struct smq_store_why *why)
{
    char *text = NULL;
    SMQ_TRY(check_whole(r, why));
    r->db = open_as(r, &text);
    if (text != NULL && has(text, "LZ4 is not linked")) {
        rocksdb_free(text);
        text = NULL;
        rocksdb_options_set_compression(r->options, rocksdb_no_compression);
        r->db = open_as(r, &text);
    }
    if (text != NULL && meaning(text) == SMQTT_E_CORRUPT) {
        r->db = open_torn(r, &text);
    }
    if (r->mode == SMQ_STORE_READ_WRITE) {
        (void)each_file(r->path, remove_rest, r);
    }
    r->failed = r->db == NULL;
    return r->db != NULL ? SMQTT_OK : refused(r, "opened", text, why);
}

static void close_db(struct rocks *r)
{
    if (r->db != NULL) {
        rocksdb_cancel_all_background_work(r->db, 1);
        rocksdb_close(r->db);
        r->db = NULL;
    }
}

static void free_all(struct rocks *r)
{
    rocksdb_writebatch_destroy(r->batch);
    rocksdb_flushoptions_destroy(r->flush);
    rocksdb_readoptions_destroy(r->reading);
    rocksdb_writeoptions_destroy(r->synced);
    rocksdb_writeoptions_destroy(r->unsynced);
    rocksdb_options_destroy(r->options);
    rocksdb_block_based_options_destroy(r->tables);
    rocksdb_cache_destroy(r->cache);
    smq_mem_free(r->mem, r->top);
    smq_mem_free(r->mem, r);
}

static smqtt_err rocks_open(const char *path, enum smq_store_mode mode, const struct smqtt_mem *mem,
                            struct smq_store **out, struct smq_store_why *why)
{
    size_t len = strlen(path) + 1;
    struct rocks *r = smq_mem_alloc(mem, sizeof *r + len);
    uint8_t *top = smq_mem_alloc(mem, KEY_TOP);
    if (r == NULL || top == NULL) {
        smq_mem_free(mem, r);
        smq_mem_free(mem, top);
        return smq_store_why_set(why, SMQTT_E_NOMEM, "there is no memory for the store in %s", path);
    }
    memset(top, 0xFF, KEY_TOP);
    *r = (struct rocks){.base = {&smq_store_rocksdb}, .mem = mem, .mode = mode, .top = top};
    memcpy(r->path, path, len);
    set_options(r);
    smqtt_err err = open_db(r, why);
    if (err != SMQTT_OK) {
        free_all(r);
        return err;
    }
    *out = &r->base;
    return SMQTT_OK;
}

static void rocks_close(struct smq_store *store)
{
    struct rocks *r = of(store);
    if (r->db != NULL && r->mode == SMQ_STORE_READ_WRITE) {
        char *text = NULL;
        rocksdb_flush_wal(r->db, 1, &text);
        rocksdb_free(text);
    }
    close_db(r);
    free_all(r);
}

static smqtt_err rocks_reopen(struct smq_store *store, struct smq_store_why *why)
{
    struct rocks *r = of(store);
    close_db(r);
    return open_db(r, why);
}

/* The first key behind all that begin with `prefix`; `room` has its length. */
static smq_span end_of_prefix(const struct rocks *r, smq_span prefix, uint8_t *room)
{
    size_t len = prefix.len;
    while (len != 0 && prefix.data[len - 1] == 0xFF) {
        len--;
    }
    if (len == 0) {
        return smq_span_of(r->top, KEY_TOP);
    }
    memcpy(room, prefix.data, len);
    room[len - 1]++;
    return smq_span_of(room, len);
}

static smqtt_err add_prefix(struct rocks *r, smq_span prefix)
{
    uint8_t *room = smq_mem_alloc(r->mem, prefix.len);
    if (room == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_span end = end_of_prefix(r, prefix, room);
    rocksdb_writebatch_delete_range(r->batch, (const char *)prefix.data, prefix.len, (const char *)end.data, end.len);
    smq_mem_free(r->mem, room);
    return SMQTT_OK;
}

static smqtt_err add(struct rocks *r, const struct smq_write *w)
{
    const char *key = (const char *)w->key.data;
    switch (w->op) {
    case SMQ_WRITE_PUT:
        rocksdb_writebatch_put(r->batch, key, w->key.len, (const char *)w->value.data, w->value.len);
        return SMQTT_OK;
    case SMQ_WRITE_DEL:
        rocksdb_writebatch_delete(r->batch, key, w->key.len);
        r->shrinking = SHRINK_FLUSH;
        return SMQTT_OK;
    case SMQ_WRITE_DEL_PREFIX:
        r->shrinking = SHRINK_FLUSH;
        return add_prefix(r, w->key);
    case SMQ_WRITE_GET:
        break;
    }
    return SMQTT_OK;
}

static smqtt_err add_all(struct rocks *r, struct smq_writes *const *writes, size_t n)
{
    struct smq_write w;
    for (size_t i = 0; i < n; i++) {
        for (size_t at = 0; smq_writes_next(writes[i], &at, &w);) {
            SMQ_TRY(add(r, &w));
        }
    }
    return SMQTT_OK;
}

static void empty_batch(struct rocks *r)
{
    size_t len = 0;
    (void)rocksdb_writebatch_data(r->batch, &len);
    if (len > BATCH_KEPT) {
        rocksdb_writebatch_destroy(r->batch);
        r->batch = rocksdb_writebatch_create();
    } else {
        rocksdb_writebatch_clear(r->batch);
    }
}

/* After a failure the log may end with a part of what was to be written. What came behind that would be lost with the
 * next start, so nothing may. */
static smqtt_err check_writable(const struct rocks *r, struct smq_store_why *why)
{
    if (r->mode == SMQ_STORE_READ_ONLY) {
        return smq_store_why_set(why, SMQTT_E_IO,
                                 "the store in %s was opened to read only; start with a disk that can be "
                                 "written",
                                 r->path);
    }
    if (r->failed) {
        return smq_store_why_set(why, SMQTT_E_IO, "the store in %s failed before and is not open again; %s", r->path,
                                 mend(SMQTT_E_IO));
    }
    return SMQTT_OK;
}

static smqtt_err rocks_write(struct smq_store *store, struct smq_writes *const *writes, size_t n, bool sync,
                             struct smq_store_why *why)
{
    struct rocks *r = of(store);
    char *text = NULL;
    SMQ_TRY(check_writable(r, why));
    smqtt_err err = add_all(r, writes, n);
    if (err == SMQTT_OK) {
        rocksdb_write(r->db, sync ? r->synced : r->unsynced, r->batch, &text);
    } else {
        (void)smq_store_why_set(why, err, "there is no memory to write to the store in %s", r->path);
    }
    empty_batch(r);
    if (text == NULL) {
        return err;
    }
    r->failed = true;
    (void)refused(r, "written", text, why);
    return SMQTT_E_IO;
}

static smqtt_err rocks_sync(struct smq_store *store, struct smq_store_why *why)
{
    struct rocks *r = of(store);
    char *text = NULL;
    SMQ_TRY(check_writable(r, why));
    rocksdb_flush_wal(r->db, 1, &text);
    if (text == NULL) {
        return SMQTT_OK;
    }
    r->failed = true;
    (void)refused(r, "synced", text, why);
    return SMQTT_E_IO;
}

static smqtt_err check_readable(const struct rocks *r, struct smq_store_why *why)
{
    return r->db != NULL
               ? SMQTT_OK
               : smq_store_why_set(why, SMQTT_E_IO, "the store in %s is not open again; %s", r->path, mend(SMQTT_E_IO));
}

static smqtt_err rocks_get(struct smq_store *store, smq_span key, void (*fn)(void *ctx, smq_span value), void *ctx,
                           struct smq_store_why *why)
{
    struct rocks *r = of(store);
    char *text = NULL;
    SMQ_TRY(check_readable(r, why));
    rocksdb_pinnableslice_t *found = rocksdb_get_pinned(r->db, r->reading, (const char *)key.data, key.len, &text);
    if (text != NULL) {
        return refused(r, "read", text, why);
    }
    if (found != NULL) {
        size_t len = 0;
        const char *value = rocksdb_pinnableslice_value(found, &len);
        fn(ctx, smq_span_of(value, len));
        rocksdb_pinnableslice_destroy(found);
    }
    return SMQTT_OK;
}

static smqtt_err run(rocksdb_iterator_t *it, smq_span prefix, smqtt_err (*fn)(void *ctx, smq_span key, smq_span value),
                     void *ctx)
{
    rocksdb_iter_seek(it, (const char *)prefix.data, prefix.len);
    for (; rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_len = 0, value_len = 0;
        const char *key = rocksdb_iter_key(it, &key_len);
        const char *value = rocksdb_iter_value(it, &value_len);
        SMQ_TRY(fn(ctx, smq_span_of(key, key_len), smq_span_of(value, value_len)));
    }
    return SMQTT_OK;
}

static smqtt_err rocks_each(struct smq_store *store, smq_span prefix,
                            smqtt_err (*fn)(void *ctx, smq_span key, smq_span value), void *ctx,
                            struct smq_store_why *why)
{
    struct rocks *r = of(store);
    SMQ_TRY(check_readable(r, why));
    uint8_t *room = smq_mem_alloc(r->mem, prefix.len);
    if (room == NULL) {
        return smq_store_why_set(why, SMQTT_E_NOMEM, "there is no memory to read the store in %s", r->path);
    }
    smq_span end = end_of_prefix(r, prefix, room);
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)end.data, end.len);
    rocksdb_readoptions_set_total_order_seek(options, 1);
    rocksdb_readoptions_set_fill_cache(options, 0);
    if (prefix.len <= 1) { /* a whole table, or all */
        rocksdb_readoptions_set_readahead_size(options, READAHEAD);
    }
    rocksdb_iterator_t *it = rocksdb_create_iterator(r->db, options);
    smqtt_err err = run(it, prefix, fn, ctx);
    char *text = NULL;
    rocksdb_iter_get_error(it, &text);
    if (err == SMQTT_OK && text != NULL) {
        err = refused(r, "read", text, why);
    } else {
        rocksdb_free(text);
    }
    rocksdb_iter_destroy(it);
    rocksdb_readoptions_destroy(options);
    smq_mem_free(r->mem, room);
    return err;
}

/* What is deleted is only marked, in memory at first. So the marks are written out, and then the tables that they
 * concern are compacted: all that a step needs is asked for, and the next call looks whether it was done. */
static void rocks_shrink(struct smq_store *store)
{
    struct rocks *r = of(store);
    char *text = NULL;
    uint64_t busy = 0;
    if (r->shrinking == SHRINK_IDLE || r->failed || r->mode == SMQ_STORE_READ_ONLY) {
        return;
    }
    if (r->shrinking == SHRINK_FLUSH) {
        rocksdb_flush(r->db, r->flush, &text);
        r->shrinking = SHRINK_COMPACT;
    } else if (rocksdb_property_int(r->db, "rocksdb.num-running-flushes", &busy) == 0 && busy == 0) {
        rocksdb_suggest_compact_range(r->db, NULL, 0, NULL, 0, &text);
        r->shrinking = SHRINK_IDLE;
    }
    rocksdb_free(text); /* a disk that fails shows when it is written */
}

static void add_len(void *ctx, const char *name, uint64_t len)
{
    uint64_t *sum = ctx;
    (void)name;
    *sum += len;
}

static uint64_t rocks_size(struct smq_store *store)
{
    uint64_t sum = 0;
    (void)each_file(of(store)->path, add_len, &sum);
    return sum;
}

const struct smq_store_kind smq_store_rocksdb = {
    .name = "rocksdb",
    .on_disk = true,
    .open = rocks_open,
    .close = rocks_close,
    .reopen = rocks_reopen,
    .write = rocks_write,
    .sync = rocks_sync,
    .get = rocks_get,
    .each = rocks_each,
    .shrink = rocks_shrink,
    .size = rocks_size,
};
