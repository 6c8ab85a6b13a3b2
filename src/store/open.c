/* SPDX-License-Identifier: Apache-2.0 */
#include "store/open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/rows.h"
#include "store/why.h"

enum { NAMES = 100 /* of stores that were set aside in the same second */ };

const struct smq_store_formats smq_store_formats = {.newest = SMQ_STORE_FORMAT, .steps = NULL, .n_steps = 0};

/* What all functions here work on. */
struct opening {
    const struct smq_store_kind *kind;
    const char *path;
    const struct smq_store_formats *formats;
    smqtt_ms now;
    const struct smqtt_mem *mem;
    struct smq_store_found *out;
    struct smq_store_why *why;
};

static smqtt_err open_as(struct opening *o, enum smq_store_mode mode, struct smq_store_why *why)
{
    o->out->store = NULL;
    return o->kind->open(o->path, mode, o->mem, &o->out->store, why);
}

static void close_it(struct opening *o)
{
    if (o->out->store != NULL) {
        o->kind->close(o->out->store);
        o->out->store = NULL;
    }
}

/* What the broker does without a store that can be written. */
static smqtt_err refuse(struct opening *o, const char *cause)
{
    o->out->refuses = true;
    (void)smq_store_why_set(&o->out->say, SMQTT_OK,
                            "nothing can be stored, and what would have to be is refused: %.400s", cause);
    return SMQTT_OK;
}

/* ------------------------------------------------------------ format */

struct meta {
    bool found, readable;
    struct smq_row_workers row;
};

static void keep_meta(void *ctx, smq_span value)
{
    struct meta *meta = ctx;
    meta->found = true;
    meta->readable = smq_row_read_workers(value, &meta->row);
}

static smq_span meta_key(uint8_t *room, size_t cap)
{
    struct smq_wr wr = smq_wr_of(room, cap);
    smq_key_write_named(&wr, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
    return smq_wr_span(&wr);
}

static smqtt_err read_meta(struct opening *o, struct meta *meta, struct smq_store_why *why)
{
    uint8_t room[32];
    *meta = (struct meta){.found = false};
    SMQ_TRY(o->kind->get(o->out->store, meta_key(room, sizeof room), keep_meta, meta, why));
    if (meta->found && !meta->readable) {
        return smq_store_why_set(why, SMQTT_E_CORRUPT, "the row that says who wrote the store in %s cannot be read",
                                 o->path);
    }
    return SMQTT_OK;
}

static const struct smq_store_step *step_from(const struct smq_store_formats *formats, uint32_t format)
{
    for (size_t i = 0; i < formats->n_steps; i++) {
        if (formats->steps[i].from == format) {
            return &formats->steps[i];
        }
    }
    return NULL;
}

/* The format is one that this version knows, or can be led to. */
static bool is_known(const struct smq_store_formats *formats, uint32_t format)
{
    while (format < formats->newest && step_from(formats, format) != NULL) {
        format++;
    }
    return format == formats->newest;
}

/* Looks without touching anything. True: the store is of a format that is not known, and this was said. */
static bool is_foreign(struct opening *o)
{
    struct meta meta;
    struct smq_store_why ignored;
    if (!o->kind->on_disk || open_as(o, SMQ_STORE_READ_ONLY, &ignored) != SMQTT_OK) {
        return false; /* what is wrong with it shows when it is opened to be written */
    }
    bool foreign = read_meta(o, &meta, &ignored) == SMQTT_OK && meta.found && !is_known(o->formats, meta.row.format);
    close_it(o);
    if (foreign) {
        struct smq_store_why cause;
        (void)smq_store_why_set(&cause, SMQTT_OK,
                                "the store in %s has format %u, and this version reads formats up to %u; start the "
                                "version that wrote it, or give this one another directory",
                                o->path, (unsigned)meta.row.format, (unsigned)o->formats->newest);
        (void)refuse(o, cause.text);
    }
    return foreign;
}

static smqtt_err run_step(struct opening *o, const struct smq_store_step *step, struct smq_row_workers row)
{
    uint8_t room[32], value[64];
    struct smq_wr wr = smq_wr_of(value, sizeof value);
    row.format = step->from + 1;
    smq_row_write_workers(&wr, &row);
    struct smq_writes *writes = smq_writes_new(o->mem, 0, 1);
    if (writes == NULL) {
        return smq_store_why_set(o->why, SMQTT_E_NOMEM, "there is no memory to bring the store in %s to a newer format",
                                 o->path);
    }
    smqtt_err err = step->run(o->out->store, writes, o->why);
    if (err == SMQTT_OK) {
        err = smq_writes_add(writes, SMQ_WRITE_PUT, meta_key(room, sizeof room), smq_wr_span(&wr));
    }
    if (err == SMQTT_OK) {
        err = o->kind->write(o->out->store, &writes, 1, true, o->why);
    }
    smq_writes_free(writes);
    return err;
}

static smqtt_err migrate(struct opening *o)
{
    struct meta meta;
    SMQ_TRY(read_meta(o, &meta, o->why));
    o->out->is_new = !meta.found;
    if (!meta.found || meta.row.format == o->formats->newest) {
        return SMQTT_OK;
    }
    o->out->migrated_from = meta.row.format;
    for (; meta.row.format < o->formats->newest; meta.row.format++) {
        SMQ_TRY(run_step(o, step_from(o->formats, meta.row.format), meta.row));
    }
    (void)smq_store_why_set(&o->out->say, SMQTT_OK,
                            "the store in %s had format %u and has %u now; older versions cannot "
                            "read it any more",
                            o->path, (unsigned)o->out->migrated_from, (unsigned)o->formats->newest);
    return SMQTT_OK;
}

/* ------------------------------------------------------------ damage */

static smqtt_err pass(void *ctx, smq_span key, smq_span value)
{
    (void)ctx;
    (void)key;
    (void)value;
    return SMQTT_OK;
}

/* Opens it to be written and reads all of it. */
static smqtt_err open_whole(struct opening *o)
{
    smqtt_err err = open_as(o, SMQ_STORE_READ_WRITE, o->why);
    if (err == SMQTT_OK && o->kind->on_disk) {
        err = o->kind->each(o->out->store, smq_span_of(NULL, 0), pass, NULL, o->why);
    }
    if (err == SMQTT_OK) {
        err = migrate(o);
    }
    if (err != SMQTT_OK) {
        close_it(o);
    }
    return err;
}

/* A name is as durable as its directory. */
static void sync_parent(const char *path)
{
    char parent[PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s/..", path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* Gives the directory another name. False: errno says why. */
static bool rename_away(const struct opening *o, char *name, size_t cap)
{
    char when[32] = "";
    time_t now = (time_t)(o->now / 1000);
    struct tm tm;
    if (gmtime_r(&now, &tm) != NULL) {
        (void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    }
    for (unsigned i = 1; i <= NAMES; i++) {
        int len = i == 1 ? snprintf(name, cap, "%s.corrupt-%s", o->path, when)
                         : snprintf(name, cap, "%s.corrupt-%s-%u", o->path, when, i);
        struct stat st;
        if (len < 0 || (size_t)len >= cap) {
            errno = ENAMETOOLONG;
            return false;
        }
        if (lstat(name, &st) != 0) {
            return errno == ENOENT && rename(o->path, name) == 0;
        }
    }
    errno = EEXIST;
    return false;
}

static smqtt_err set_aside(struct opening *o)
{
    char name[PATH_MAX];
    struct smq_store_why cause = *o->why;
    if (!rename_away(o, name, sizeof name)) {
        (void)smq_store_why_set(&cause, SMQTT_OK,
                                "the store in %s is damaged and cannot be renamed to set it aside: %s; "
                                "move it away",
                                o->path, strerror(errno));
        return refuse(o, cause.text);
    }
    smqtt_err err = mkdir(o->path, 0700) == 0 ? open_whole(o) : SMQTT_E_IO;
    sync_parent(o->path);
    if (err == SMQTT_E_NOMEM) {
        return err;
    }
    o->out->set_aside = true;
    if (err != SMQTT_OK) {
        (void)smq_store_why_set(&cause, SMQTT_OK,
                                "the store was damaged and is in %s now, and no new one could be made "
                                "in its place; make room there",
                                name);
        return refuse(o, cause.text);
    }
    (void)smq_store_why_set(&o->out->say, SMQTT_OK,
                            "THE STORE WAS DAMAGED and is set aside: the broker begins with an empty one, and what was "
                            "stored is in %.150s only (%.250s)",
                            name, cause.text);
    return SMQTT_OK;
}

/* ------------------------------------------------------------ open */

/* The disk does not let it be written: what can be read is read. */
static smqtt_err open_to_read(struct opening *o)
{
    struct meta meta;
    struct smq_store_why cause = *o->why, ignored;
    smqtt_err err = open_as(o, SMQ_STORE_READ_ONLY, &ignored);
    if (err == SMQTT_OK) {
        err = o->kind->each(o->out->store, smq_span_of(NULL, 0), pass, NULL, &ignored);
    }
    if (err == SMQTT_OK) {
        err = read_meta(o, &meta, &ignored);
    }
    /* Older rows cannot be brought to what this version reads. */
    if (err != SMQTT_OK || (meta.found && meta.row.format != o->formats->newest)) {
        close_it(o);
    } else {
        o->out->is_new = !meta.found;
    }
    return err == SMQTT_E_NOMEM ? err : refuse(o, cause.text);
}

static smqtt_err open_here(struct opening *o)
{
    if (o->kind->on_disk && mkdir(o->path, 0700) != 0 && errno != EEXIST) {
        struct smq_store_why cause;
        (void)smq_store_why_set(&cause, SMQTT_OK, "the directory %s cannot be made: %s; make it, or name another one",
                                o->path, strerror(errno));
        return refuse(o, cause.text);
    }
    if (is_foreign(o)) {
        return SMQTT_OK;
    }
    smqtt_err err = open_whole(o);
    switch ((int)err) {
    case SMQTT_OK:
    case SMQTT_E_BUSY:
    case SMQTT_E_NOMEM:
        return err;
    case SMQTT_E_CORRUPT:
        return o->kind->on_disk ? set_aside(o) : err;
    default:
        return open_to_read(o);
    }
}

smqtt_err smq_store_open(const struct smq_store_kind *kind, const char *path, const struct smq_store_formats *formats,
                         smqtt_ms now, const struct smqtt_mem *mem, struct smq_store_found *out,
                         struct smq_store_why *why)
{
    struct smq_store_found found = {.store = NULL};
    struct smq_store_why cause = {""};
    struct opening o = {kind, path, formats != NULL ? formats : &smq_store_formats, now, mem, &found, &cause};
    smqtt_err err = open_here(&o);
    if (err != SMQTT_OK) {
        close_it(&o);
        return smq_store_why_set(why, err, "%s", cause.text);
    }
    *out = found;
    return SMQTT_OK;
}
