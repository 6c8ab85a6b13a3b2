/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_PLACE_H
#define SMQTT_TESTS_PLACE_H
/* Directories of their own for the tests of stores, and short ways to write and read rows. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "../test.h"

/** A new directory, to be removed with place_remove. In memory where there is such a place: the tests sync often. */
static inline char *place_new(void)
{
    bool shm = access("/dev/shm", W_OK | X_OK) == 0;
    char *path = strdup(shm ? "/dev/shm/smqtt-store-XXXXXX" : "/tmp/smqtt-store-XXXXXX");
    assert_non_null(path);
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void place_empty_at(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    DIR *dir = fdopendir(fd);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        struct stat st;
        bool is_dir = fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
        if (is_dir) {
            place_empty_at(fd, entry->d_name);
        }
        (void)unlinkat(fd, entry->d_name, is_dir ? AT_REMOVEDIR : 0);
    }
    (void)closedir(dir);
}

/** Removes a directory with all that is in it, and frees its name. */
static inline void place_remove(char *path)
{
    place_empty_at(AT_FDCWD, path);
    (void)rmdir(path);
    free(path);
}

/** path/name in a buffer of its own; free it. */
static inline char *place_join(const char *path, const char *name)
{
    char *joined = NULL;
    assert_true(asprintf(&joined, "%s/%s", path, name) > 0);
    return joined;
}

static inline struct smq_store *place_open(const struct smq_store_kind *kind, const char *path)
{
    struct smq_store *store = NULL;
    struct smq_store_why why = {""};
    if (kind->open(path, SMQ_STORE_READ_WRITE, NULL, &store, &why) != SMQTT_OK) {
        fail_msg("%s", why.text);
    }
    return store;
}

/** Operations that are written as one. */
static inline struct smq_writes *writes_begin(void)
{
    struct smq_writes *writes = smq_writes_new(NULL, 0, 1);
    assert_non_null(writes);
    return writes;
}
static inline void writes_put(struct smq_writes *writes, const char *key, const char *value)
{
    assert_int_equal(smq_writes_add(writes, SMQ_WRITE_PUT, smq_span_str(key), smq_span_str(value)), SMQTT_OK);
}
static inline void writes_op(struct smq_writes *writes, enum smq_write_op op, const char *key)
{
    assert_int_equal(smq_writes_add(writes, op, smq_span_str(key), smq_span_of(NULL, 0)), SMQTT_OK);
}
/** Writes and frees them. */
static inline smqtt_err writes_commit(struct smq_store *store, struct smq_writes *writes, bool sync)
{
    struct smq_store_why why = {""};
    smqtt_err err = store->kind->write(store, &writes, 1, sync, &why);
    assert_true((err == SMQTT_OK) == (why.text[0] == 0));
    smq_writes_free(writes);
    return err;
}
/** One PUT, synced. */
static inline smqtt_err store_put(struct smq_store *store, const char *key, const char *value)
{
    struct smq_writes *writes = writes_begin();
    writes_put(writes, key, value);
    return writes_commit(store, writes, true);
}

struct store_text {
    bool found;
    size_t len;
    char text[64];
};
static inline void store_keep_text(void *ctx, smq_span value)
{
    struct store_text *text = ctx;
    text->found = true;
    text->len = value.len;
    size_t len = value.len < sizeof text->text ? value.len : sizeof text->text - 1;
    if (len != 0) {
        memcpy(text->text, value.data, len);
    }
    text->text[len] = 0;
}
/** The value of a key as text; NULL: there is none. Valid until the next call. */
static inline const char *store_get(struct smq_store *store, const char *key)
{
    static struct store_text text;
    struct smq_store_why why;
    text.found = false;
    assert_int_equal(store->kind->get(store, smq_span_str(key), store_keep_text, &text, &why), SMQTT_OK);
    return text.found ? text.text : NULL;
}

static inline smqtt_err store_count_one(void *ctx, smq_span key, smq_span value)
{
    (void)key;
    (void)value;
    ++*(size_t *)ctx;
    return SMQTT_OK;
}
/** Rows under a prefix. */
static inline size_t store_count(struct smq_store *store, const char *prefix)
{
    size_t n = 0;
    struct smq_store_why why;
    assert_int_equal(store->kind->each(store, smq_span_str(prefix), store_count_one, &n, &why), SMQTT_OK);
    return n;
}

#endif
