/* SPDX-License-Identifier: Apache-2.0 */
#include "net/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "base/crc32c.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/wr.h"
#include "net/file.h"

#define HEADER      "SMQTT-STATE 1\r\n\n"
#define HEADER_LEN  16
#define BATCH_HEAD  20 /* magic, seq, len, crc */
#define RECORD_HEAD 7  /* op, key len, value len */
#define VALUE_MAX   (16u * 1024 * 1024)
#define BATCH_MAX   (1024u * 1024 * 1024)
#define FILE_MAX    (1024u * 1024 * 1024)
#define REWRITE_MIN (1024u * 1024) /* a smaller file is not worth it */
#define CHUNK       (1024u * 1024) /* batches of a rewrite */
#define BATCH_MAGIC 0x534D5142u    /* "SMQB" */
#define NAME_PART   64

enum { OP_PUT = 1, OP_DEL = 2 };

struct entry {
    uint32_t key_len;
    uint32_t value_len;
    uint8_t bytes[]; /* key, value */
};

/* A batch that is being gathered: head reserved, then records. */
struct batch {
    uint8_t *bytes;
    size_t len; /* 0: nothing gathered */
    size_t cap;
};

struct smq_statefile {
    struct smqtt_store store;
    struct smq_statefile_io io;
    int dir, fd, lock;
    char name[NAME_PART], temp[NAME_PART + 8], lock_name[NAME_PART + 8];
    char *path; /* for sentences */
    struct smq_map map;
    struct batch pending;
    uint64_t seq;      /* of the next batch */
    size_t size;       /* durable bytes of the file */
    size_t live;       /* bytes that a rewrite would have, about */
    size_t rewrite_at; /* size at which the next rewrite is tried */
    bool broken;       /* the file is not to be trusted: write it anew */
    struct smq_why why;
};

static bool io_write(void *ctx, int fd, const void *bytes, size_t len)
{
    (void)ctx;
    return smq_file_write_all(fd, bytes, len) == SMQTT_OK;
}

static bool io_sync(void *ctx, int fd)
{
    (void)ctx;
    return fdatasync(fd) == 0;
}

/* ---------------------------------------------------------------- batches */

static void batch_clear(struct batch *batch)
{
    if (batch->bytes != NULL) {
        smq_wipe(batch->bytes, batch->len);
    }
    batch->len = 0;
}

static void batch_free(struct batch *batch)
{
    batch_clear(batch);
    free(batch->bytes);
    *batch = (struct batch){NULL, 0, 0};
}

static smqtt_err batch_grow(struct batch *batch, size_t more)
{
    size_t len = batch->len != 0 ? batch->len : BATCH_HEAD;
    if (more > BATCH_MAX - len) {
        return SMQTT_E_NOMEM;
    }
    if (len + more > batch->cap) {
        size_t cap = len + more < 2048 ? 4096 : (len + more) * 2;
        uint8_t *larger = malloc(cap);
        if (larger == NULL) {
            return SMQTT_E_NOMEM;
        }
        if (batch->bytes != NULL) {
            memcpy(larger, batch->bytes, batch->len);
            smq_wipe(batch->bytes, batch->len);
            free(batch->bytes);
        }
        batch->bytes = larger;
        batch->cap = cap;
    }
    batch->len = len;
    return SMQTT_OK;
}

static smqtt_err batch_add(struct batch *batch, uint8_t op, smq_span key, smq_span value)
{
    size_t len = RECORD_HEAD + key.len + value.len;
    SMQ_TRY(batch_grow(batch, len));
    struct smq_wr wr = smq_wr_of(batch->bytes + batch->len, len);
    smq_wr_u8(&wr, op);
    smq_wr_u16(&wr, (uint16_t)key.len);
    smq_wr_u32(&wr, (uint32_t)value.len);
    smq_wr_put(&wr, key);
    smq_wr_put(&wr, value);
    batch->len += len;
    return SMQTT_OK;
}

/* The sum covers seq, len and body. */
static uint32_t batch_sum(const uint8_t *head, size_t body_len)
{
    return smq_crc32c(smq_crc32c(0, smq_span_of(head + 4, 12)), smq_span_of(head + BATCH_HEAD, body_len));
}

static void batch_seal(struct batch *batch, uint64_t seq)
{
    struct smq_wr wr = smq_wr_of(batch->bytes, BATCH_HEAD);
    smq_wr_u32(&wr, BATCH_MAGIC);
    smq_wr_u64(&wr, seq);
    smq_wr_u32(&wr, (uint32_t)(batch->len - BATCH_HEAD));
    smq_wr_u32(&wr, batch_sum(batch->bytes, batch->len - BATCH_HEAD));
}

/* ---------------------------------------------------------------- what lives */

static size_t entry_cost(const struct entry *e)
{
    return RECORD_HEAD + (size_t)e->key_len + e->value_len;
}

static void entry_free(struct smq_statefile *state, struct entry *e)
{
    if (e != NULL) {
        state->live -= entry_cost(e);
        smq_wipe(e, sizeof *e + e->key_len + e->value_len);
        free(e);
    }
}

static smqtt_err live_put(struct smq_statefile *state, smq_span key, smq_span value)
{
    struct entry *e = malloc(sizeof *e + key.len + value.len);
    if (e == NULL) {
        return SMQTT_E_NOMEM;
    }
    e->key_len = (uint32_t)key.len;
    e->value_len = (uint32_t)value.len;
    memcpy(e->bytes, key.data, key.len);
    if (value.len != 0) {
        memcpy(e->bytes + key.len, value.data, value.len);
    }
    void *old = NULL;
    if (smq_map_put(&state->map, smq_span_of(e->bytes, key.len), e, &old) != SMQTT_OK) {
        smq_wipe(e, sizeof *e + key.len + value.len);
        free(e);
        return SMQTT_E_NOMEM;
    }
    state->live += entry_cost(e);
    entry_free(state, old);
    return SMQTT_OK;
}

static void live_del(struct smq_statefile *state, smq_span key)
{
    entry_free(state, smq_map_del(&state->map, key));
}

static void live_clear(struct smq_statefile *state)
{
    struct smq_map_iter iter = smq_map_iterate(&state->map);
    for (struct entry *e = smq_map_next(&state->map, &iter); e != NULL; e = smq_map_next(&state->map, &iter)) {
        smq_map_del_at(&state->map, &iter);
        entry_free(state, e);
    }
    smq_map_deinit(&state->map);
}

/* ---------------------------------------------------------------- writing */

static smqtt_err fail(struct smq_statefile *state, const char *what)
{
    state->broken = true;
    return smq_why_set(&state->why, SMQTT_E_IO, "Cannot %s the state file %s: %s.", what, state->path, strerror(errno));
}

static smqtt_err write_batch(struct smq_statefile *state, int fd, struct batch *batch, uint64_t seq)
{
    batch_seal(batch, seq);
    return state->io.write(state->io.ctx, fd, batch->bytes, batch->len) ? SMQTT_OK : SMQTT_E_IO;
}

/* Everything that lives, in batches; *size and *seq as the new file has them. */
static smqtt_err write_live(struct smq_statefile *state, int fd, size_t *size, uint64_t *seq)
{
    struct batch batch = {NULL, 0, 0};
    smqtt_err err = state->io.write(state->io.ctx, fd, HEADER, HEADER_LEN) ? SMQTT_OK : SMQTT_E_IO;
    *size = HEADER_LEN;
    *seq = 1;
    struct smq_map_iter iter = smq_map_iterate(&state->map);
    struct entry *e = smq_map_next(&state->map, &iter);
    while (e != NULL && err == SMQTT_OK) {
        err = batch_add(&batch, OP_PUT, smq_span_of(e->bytes, e->key_len),
                        smq_span_of(e->bytes + e->key_len, e->value_len));
        e = smq_map_next(&state->map, &iter);
        if (err == SMQTT_OK && (e == NULL || batch.len >= CHUNK)) {
            err = write_batch(state, fd, &batch, (*seq)++);
            *size += batch.len;
            batch_clear(&batch);
        }
    }
    batch_free(&batch);
    return err;
}

/* The file anew: beside, durable, then in its place. Until the rename the old one counts. */
static smqtt_err rewrite(struct smq_statefile *state)
{
    unlinkat(state->dir, state->temp, 0);
    int fd = openat(state->dir, state->temp, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return fail(state, "rewrite");
    }
    size_t size = 0;
    uint64_t seq = 0;
    smqtt_err err = write_live(state, fd, &size, &seq);
    if (err == SMQTT_OK && !state->io.sync(state->io.ctx, fd)) {
        err = SMQTT_E_IO;
    }
    if (err == SMQTT_OK && renameat(state->dir, state->temp, state->dir, state->name) != 0) {
        err = SMQTT_E_IO;
    }
    if (err != SMQTT_OK) {
        int cause = errno;
        close(fd);
        unlinkat(state->dir, state->temp, 0);
        errno = err == SMQTT_E_NOMEM ? ENOMEM : cause;
        fail(state, "rewrite");
        return err;
    }
    if (state->fd >= 0) {
        close(state->fd);
    }
    state->fd = fd;
    state->size = size;
    state->seq = seq;
    state->rewrite_at = REWRITE_MIN > size * 4 ? REWRITE_MIN : size * 4;
    if (!state->io.sync(state->io.ctx, state->dir)) {
        return fail(state, "sync the directory of");
    }
    state->broken = false;
    batch_clear(&state->pending);
    return SMQTT_OK;
}

static smqtt_err store_sync(void *ctx)
{
    struct smq_statefile *state = ctx;
    if (state->broken) {
        return rewrite(state);
    }
    struct batch *batch = &state->pending;
    if (batch->len == 0) {
        return SMQTT_OK;
    }
    if (write_batch(state, state->fd, batch, state->seq) != SMQTT_OK) {
        return fail(state, "write");
    }
    if (!state->io.sync(state->io.ctx, state->fd)) {
        return fail(state, "sync");
    }
    state->seq++;
    state->size += batch->len;
    batch_clear(batch);
    if (state->size >= state->rewrite_at && state->size > state->live * 4) {
        state->rewrite_at = state->size * 2;
        /* What was put is durable in the old file, which goes on if it is still in its place. */
        int old = state->fd;
        if (rewrite(state) != SMQTT_OK && state->fd == old) {
            state->broken = false;
        }
    }
    return SMQTT_OK;
}

static smqtt_err store_put(void *ctx, struct smqtt_span key, struct smqtt_span value)
{
    struct smq_statefile *state = ctx;
    if (key.len == 0 || key.len > UINT16_MAX || value.len > VALUE_MAX) {
        return SMQTT_E_USAGE;
    }
    const struct entry *e = smq_map_get(&state->map, key);
    if (e != NULL && smq_span_equal(value, smq_span_of(e->bytes + e->key_len, e->value_len))) {
        return SMQTT_OK;
    }
    size_t before = state->pending.len;
    SMQ_TRY(batch_add(&state->pending, OP_PUT, key, value));
    smqtt_err err = live_put(state, key, value);
    if (err != SMQTT_OK) {
        state->pending.len = before;
    }
    return err;
}

static smqtt_err store_del(void *ctx, struct smqtt_span key)
{
    struct smq_statefile *state = ctx;
    if (smq_map_get(&state->map, key) == NULL) {
        return SMQTT_OK;
    }
    SMQ_TRY(batch_add(&state->pending, OP_DEL, key, (smq_span){NULL, 0}));
    live_del(state, key);
    return SMQTT_OK;
}

static smqtt_err store_each(void *ctx, struct smqtt_span prefix,
                            void (*fn)(void *arg, struct smqtt_span key, struct smqtt_span value), void *arg)
{
    struct smq_statefile *state = ctx;
    struct smq_map_iter iter = smq_map_iterate(&state->map);
    for (struct entry *e = smq_map_next(&state->map, &iter); e != NULL; e = smq_map_next(&state->map, &iter)) {
        smq_span key = smq_span_of(e->bytes, e->key_len);
        if (smq_span_starts(key, prefix)) {
            fn(arg, key, smq_span_of(e->bytes + e->key_len, e->value_len));
        }
    }
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- reading */

/* The body of the whole batch at the front of `at`, or false. */
static bool batch_read(smq_span at, uint64_t *seq, smq_span *body)
{
    struct smq_rd rd = smq_rd_of(at);
    uint32_t magic = smq_rd_u32(&rd);
    uint64_t number = smq_rd_u64(&rd);
    uint32_t len = smq_rd_u32(&rd);
    uint32_t sum = smq_rd_u32(&rd);
    smq_span bytes = smq_rd_bytes(&rd, len);
    if (!smq_rd_ok(&rd) || magic != BATCH_MAGIC || sum != batch_sum(at.data, len)) {
        return false;
    }
    *seq = number;
    *body = bytes;
    return true;
}

/* Does a whole batch of a later number lie behind the damaged one? Then that is no torn tail. */
static bool has_later_batch(smq_span rest, uint64_t seq)
{
    for (size_t i = 1; i + BATCH_HEAD <= rest.len; i++) {
        uint64_t number = 0;
        smq_span body;
        if (rest.data[i] == 'S' && memcmp(rest.data + i, "SMQB", 4) == 0 &&
            batch_read(smq_span_from(rest, i), &number, &body) && number > seq) {
            return true;
        }
    }
    return false;
}

static smqtt_err apply(struct smq_statefile *state, smq_span body)
{
    struct smq_rd rd = smq_rd_of(body);
    while (smq_rd_left(&rd) != 0) {
        uint8_t op = smq_rd_u8(&rd);
        size_t key_len = smq_rd_u16(&rd);
        size_t value_len = smq_rd_u32(&rd);
        smq_span key = smq_rd_bytes(&rd, key_len);
        smq_span value = smq_rd_bytes(&rd, value_len);
        if (!smq_rd_ok(&rd) || key.len == 0 || (op != OP_PUT && op != OP_DEL)) {
            return SMQTT_E_MALFORMED;
        }
        if (op == OP_PUT) {
            SMQ_TRY(live_put(state, key, value));
        } else {
            live_del(state, key);
        }
    }
    return SMQTT_OK;
}

static smqtt_err damaged(const struct smq_statefile *state, struct smq_why *why, const char *what)
{
    return smq_why_set(why, SMQTT_E_MALFORMED,
                       "The state file %s %s: move it away, then all its sessions begin anew with a handshake.",
                       state->path, what);
}

static smqtt_err load_bytes(struct smq_statefile *state, smq_span file, struct smq_why *why)
{
    if (!smq_span_starts(file, smq_span_of(HEADER, HEADER_LEN))) {
        return damaged(state, why, "is not one of this version");
    }
    state->size = HEADER_LEN;
    state->seq = 1;
    while (state->size < file.len) {
        smq_span rest = smq_span_from(file, state->size);
        uint64_t seq = 0;
        smq_span body = {NULL, 0};
        if (!batch_read(rest, &seq, &body)) {
            return has_later_batch(rest, state->seq) ? damaged(state, why, "is damaged in its middle") : SMQTT_OK;
        }
        if (seq != state->seq) {
            return damaged(state, why, "has a gap");
        }
        smqtt_err err = apply(state, body);
        if (err == SMQTT_E_MALFORMED) {
            return damaged(state, why, "has a record that makes no sense");
        }
        if (err != SMQTT_OK) {
            return smq_why_set(why, err, "There is no memory for the state file %s.", state->path);
        }
        state->size += BATCH_HEAD + body.len;
        state->seq++;
    }
    return SMQTT_OK;
}

static bool read_exactly(int fd, uint8_t *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(fd, bytes + got, len - got, (off_t)got);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            errno = n == 0 ? EIO : errno;
            return false;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Reads the open file and cuts a torn tail. */
static smqtt_err load(struct smq_statefile *state, struct smq_why *why)
{
    struct stat st;
    SMQ_TRY(smq_file_check_secret(state->fd, state->path, why));
    if (fstat(state->fd, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size > FILE_MAX) {
        return damaged(state, why, "is too large");
    }
    size_t len = (size_t)st.st_size;
    uint8_t *bytes = malloc(len + 1);
    if (bytes == NULL) {
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory for the state file %s.", state->path);
    }
    smqtt_err err = SMQTT_OK;
    if (!read_exactly(state->fd, bytes, len)) {
        err = smq_why_set(why, SMQTT_E_IO, "Cannot read the state file %s: %s.", state->path, strerror(errno));
    } else {
        err = load_bytes(state, smq_span_of(bytes, len), why);
    }
    smq_wipe(bytes, len);
    free(bytes);
    if (err == SMQTT_OK && state->size < len &&
        (ftruncate(state->fd, (off_t)state->size) != 0 || fsync(state->fd) != 0)) {
        err = smq_why_set(why, SMQTT_E_IO, "Cannot cut the torn end of the state file %s: %s.", state->path,
                          strerror(errno));
    }
    state->rewrite_at = REWRITE_MIN;
    return err;
}

/* ---------------------------------------------------------------- open and close */

static smqtt_err lock(struct smq_statefile *state, struct smq_why *why)
{
    state->lock = openat(state->dir, state->lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state->lock < 0) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot make the lock of the state file %s: %s.", state->path,
                           strerror(errno));
    }
    if (flock(state->lock, LOCK_EX | LOCK_NB) == 0) {
        return SMQTT_OK;
    }
    if (errno == EWOULDBLOCK) {
        return smq_why_set(why, SMQTT_E_BUSY,
                           "Another process uses the state file %s: end it, or give this one its own directory.",
                           state->path);
    }
    return smq_why_set(why, SMQTT_E_IO, "Cannot lock the state file %s: %s.", state->path, strerror(errno));
}

static smqtt_err open_all(struct smq_statefile *state, const char *dir, struct smq_why *why)
{
    SMQ_TRY(smq_file_open_dir(dir, &state->dir, why));
    SMQ_TRY(lock(state, why));
    state->fd = openat(state->dir, state->name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (state->fd >= 0) {
        return load(state, why);
    }
    if (errno != ENOENT) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot open the state file %s: %s.", state->path, strerror(errno));
    }
    smqtt_err err = rewrite(state);
    return err == SMQTT_OK ? err : smq_why_set(why, err, "%s", state->why.text);
}

static void release(struct smq_statefile *state)
{
    live_clear(state);
    batch_free(&state->pending);
    for (size_t i = 0; i < 3; i++) {
        int fd = (const int[]){state->fd, state->lock, state->dir}[i];
        if (fd >= 0) {
            close(fd);
        }
    }
    free(state->path);
    free(state);
}

/* The names of the three files; false when `name` is none. */
static bool set_names(struct smq_statefile *state, const char *dir, const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len >= NAME_PART || strchr(name, '/') != NULL) {
        return false;
    }
    snprintf(state->name, sizeof state->name, "%s", name);
    snprintf(state->temp, sizeof state->temp, "%.63s.new", name);
    snprintf(state->lock_name, sizeof state->lock_name, "%.63s.lock", name);
    size_t size = strlen(dir) + len + 2;
    state->path = malloc(size);
    if (state->path != NULL) {
        snprintf(state->path, size, "%s/%s", dir, name);
    }
    return state->path != NULL;
}

smqtt_err smq_statefile_open(const char *dir, const char *name, const struct smq_statefile_io *io,
                             struct smq_statefile **out, struct smq_why *why)
{
    uint8_t hash_key[16];
    struct smqtt_rng rng = smqtt_system_rng();
    if (!rng.fill(rng.ctx, hash_key, sizeof hash_key)) {
        return smq_why_set(why, SMQTT_E_RNG, "The random number generator failed.");
    }
    struct smq_statefile *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    state->dir = state->fd = state->lock = -1;
    state->store = (struct smqtt_store){store_put, store_del, store_sync, store_each, state};
    state->io = io != NULL ? *io : (struct smq_statefile_io){io_write, io_sync, NULL};
    smq_map_init(&state->map, NULL, hash_key);
    smqtt_err err = SMQTT_OK;
    if (set_names(state, dir, name)) {
        err = open_all(state, dir, why);
    } else {
        err = smq_why_set(why, SMQTT_E_USAGE, "\"%s\" is no name for a state file.", name);
    }
    if (err != SMQTT_OK) {
        release(state);
        return err;
    }
    *out = state;
    return SMQTT_OK;
}

void smq_statefile_close(struct smq_statefile *state)
{
    if (state != NULL) {
        smqtt_err ignored = store_sync(state);
        (void)ignored;
        release(state);
    }
}

const struct smqtt_store *smq_statefile_store(struct smq_statefile *state)
{
    return &state->store;
}

const char *smq_statefile_why(const struct smq_statefile *state)
{
    return state->why.text;
}

size_t smq_statefile_size(const struct smq_statefile *state)
{
    return state->size;
}
