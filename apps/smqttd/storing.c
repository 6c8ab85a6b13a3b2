/* SPDX-License-Identifier: Apache-2.0 */
#include "storing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <smqtt/system.h>

#include "base/mem.h"
#include "broker/recover.h"
#include "broker/rows.h"
#include "importing.h"
#include "net/clock.h"
#include "store/open.h"

#define STORE_NAME "smqtt.store"

enum { PROGRESS_MS = 2000, PROGRESS_ROWS = 1024 };

_Static_assert((int)SMQ_DURABILITY_FSYNC == (int)SMQ_COMMIT_FSYNC &&
                   (int)SMQ_DURABILITY_INTERVAL == (int)SMQ_COMMIT_INTERVAL &&
                   (int)SMQ_DURABILITY_OFF == (int)SMQ_COMMIT_OFF,
               "the words of smqtt_durability stand in the order of the policies");

/* ---------------------------------------------------------------- opening */

static char *path_of(const struct smq_conf *conf)
{
    const char *dir = conf->persistence_location != NULL ? conf->persistence_location : ".";
    size_t size = strlen(dir) + sizeof "/" STORE_NAME;
    char *path = malloc(size);
    if (path != NULL) {
        size_t len = strlen(dir);
        bool ends = len != 0 && dir[len - 1] == '/';
        snprintf(path, size, "%s%s" STORE_NAME, dir, ends ? "" : "/");
    }
    return path;
}

/* The store, or NULL when there is none that could be used; the log has said why. `refuses`: it is only read. */
static smqtt_err open_store(const char *path, const struct smq_store_kind *kind, const struct smq_log *log,
                            struct smq_store_found *out, struct smq_why *why)
{
    struct smq_store_why cause = {""};
    smqtt_err err = smq_store_open(kind, path, NULL, smq_clock_now().wall, NULL, out, &cause);
    if (err != SMQTT_OK) {
        return smq_why_set(why, err, "%s", cause.text);
    }
    if (out->say.text[0] != 0) {
        smq_log(log, out->refuses || out->set_aside ? SMQ_LOG_ERR : SMQ_LOG_NOTICE, "The store: %s.", out->say.text);
    }
    return SMQTT_OK;
}

static void tell_policy(const struct storing *s, const struct smq_conf *conf, const struct smq_log *log)
{
    smq_log(
        log, s->path != NULL ? SMQ_LOG_INFO : SMQ_LOG_WARN, "What must survive is stored in %s, with durability %s.",
        s->path != NULL ? s->path : "memory, which does not survive", smq_committer_figures(s->committer)->durability);
    if (conf->autosave_on_changes || conf->autosave_interval != 1800) {
        smq_log(log, SMQ_LOG_NOTICE,
                "autosave_interval and autosave_on_changes have nothing to do: what is acknowledged is stored before.");
    }
}

smqtt_err storing_open(struct storing *s, const struct smq_conf *conf, unsigned workers, const struct smq_log *log,
                       struct smq_why *why)
{
    struct smq_store_found found = {.store = NULL};
    *s = (struct storing){.committer = NULL};
    if (!conf->persistence) {
        return SMQTT_OK;
    }
    const struct smq_store_kind *kind =
        smq_store_kind_named(conf->store == SMQ_CONF_STORE_MEMORY ? "memory" : "rocksdb");
    s->path = kind->on_disk ? path_of(conf) : NULL;
    if (kind->on_disk && s->path == NULL) {
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    SMQ_TRY(open_store(s->path, kind, log, &found, why));
    /* Behind a store that was set aside the file is older than that. */
    bool first = found.is_new && !found.refuses && !found.set_aside;
    if (first && kind->on_disk && importing_run(conf, found.store, log) != SMQTT_OK) {
        kind->close(found.store);
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory for what Mosquitto kept.");
    }
    struct smq_committer_config config = {.log = log,
                                          .refuses = found.refuses,
                                          .policy = (enum smq_committer_policy)conf->durability,
                                          .interval_ms = conf->durability_ms,
                                          .limit_bytes = conf->store_limit,
                                          .n_workers = workers};
    smqtt_err err = smq_committer_new(&config, found.store, &s->committer);
    if (err != SMQTT_OK) {
        if (found.store != NULL) {
            kind->close(found.store);
        }
        return smq_why_set(why, err, "There is no memory.");
    }
    s->refuses = found.refuses;
    if (!s->refuses) {
        tell_policy(s, conf, log);
    }
    return SMQTT_OK;
}

smqtt_err storing_identity(struct storing *s, const struct smqtt_store **out, struct smq_why *why)
{
    struct smq_store_why cause = {""};
    struct smqtt_rng rng = smqtt_system_rng();
    *out = NULL;
    if (s->committer == NULL || s->refuses) {
        return SMQTT_OK;
    }
    smqtt_err err = smq_identity_store_new(NULL, &rng, s->committer, &s->identity, &cause);
    if (err != SMQTT_OK) {
        return smq_why_set(why, err, "%s", cause.text);
    }
    *out = smq_identity_store_table(s->identity);
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- recovery */

/* Reading all rows. */
struct reading {
    struct smq_recovery *recovery;
    const struct smq_log *log;
    uint64_t rows;
    smqtt_ms begun, said; /* monotonic */
};

static smqtt_err read_row(void *ctx, smq_span key, smq_span value)
{
    struct reading *r = ctx;
    r->rows++;
    if (r->rows % PROGRESS_ROWS == 0) {
        smqtt_ms now = smq_clock_now().mono;
        if (now - r->said >= PROGRESS_MS) {
            r->said = now;
            smq_log(r->log, SMQ_LOG_NOTICE, "Reading what was stored: %" PRIu64 " rows so far.", r->rows);
        }
    }
    return smq_recovery_row(r->recovery, key, value);
}

static void tell_counts(const struct reading *r, const struct smq_recovery_counts *c)
{
    smqtt_ms took = smq_clock_now().mono - r->begun;
    if (c->rows == 0) {
        return;
    }
    smq_log(r->log, SMQ_LOG_NOTICE,
            "What was stored is there again after %" PRIu64 ".%03" PRIu64 " s: %" PRIu64 " rows, %" PRIu64
            " sessions, %" PRIu64 " subscriptions, %" PRIu64 " queued messages, %" PRIu64 " in flight, %" PRIu64
            " retained; %" PRIu64 " sessions and %" PRIu64 " messages had expired.",
            took / 1000, took % 1000, c->rows, c->sessions, c->subscriptions, c->queued, c->in_flight, c->retained,
            c->ended, c->expired);
    if (c->dropped != 0) {
        smq_log(r->log, SMQ_LOG_WARN,
                "%" PRIu64 " stored rows could not be read, or belonged to nothing: they are gone.", c->dropped);
    }
}

static smqtt_err read_all(struct reading *r, struct smq_store *store, struct smq_why *why)
{
    struct smq_store_why cause = {""};
    struct smq_recovery_counts counts = {0};
    smqtt_err err = store->kind->each(store, (smq_span){NULL, 0}, read_row, r, &cause);
    if (err == SMQTT_OK) {
        err = smq_recovery_finish(r->recovery, &counts);
    }
    if (err != SMQTT_OK) {
        return smq_why_set(why, err, "Cannot read what was stored: %s",
                           cause.text[0] != 0 ? cause.text : smqtt_strerror(err));
    }
    tell_counts(r, &counts);
    return SMQTT_OK;
}

static smqtt_err read_store(const struct storing *s, struct smq_crew *crew, const struct smq_log *log,
                            struct smq_why *why)
{
    struct smq_worker *workers[SMQ_CREW_MAX];
    struct smqtt_now now = smq_clock_now();
    struct reading r = {.log = log, .begun = now.mono, .said = now.mono};
    for (unsigned i = 0; i < smq_crew_count(crew); i++) {
        workers[i] = smq_crew_worker(crew, i);
    }
    smqtt_err err = smq_recovery_new(workers, smq_crew_count(crew), NULL, now, &r.recovery);
    if (err != SMQTT_OK) {
        return smq_why_set(why, err, "Cannot read what was stored: %s.", smqtt_strerror(err));
    }
    err = read_all(&r, smq_committer_store(s->committer), why);
    smq_recovery_free(r.recovery);
    return err;
}

/* Who writes from now on, committed with the first of it. */
static struct smq_writes *who_writes(const struct smq_crew *crew)
{
    uint8_t key_bytes[64], value_bytes[64];
    struct smq_wr key = smq_wr_of(key_bytes, sizeof key_bytes);
    struct smq_wr value = smq_wr_of(value_bytes, sizeof value_bytes);
    struct smq_row_workers row = {.format = SMQ_STORE_FORMAT, .count = smq_crew_count(crew)};
    memcpy(row.hash_key, smq_crew_hash_key(crew), sizeof row.hash_key);
    smq_key_write_named(&key, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
    smq_row_write_workers(&value, &row);
    struct smq_writes *writes = smq_writes_new(NULL, smq_crew_count(crew), 0);
    if (writes != NULL && smq_writes_add(writes, SMQ_WRITE_PUT, smq_wr_span(&key), smq_wr_span(&value)) != SMQTT_OK) {
        smq_writes_free(writes);
        writes = NULL;
    }
    return writes;
}

static smqtt_err give_first(struct storing *s, struct smq_crew *crew)
{
    struct smq_writes *first[SMQ_CREW_MAX + 1];
    size_t n = 0;
    first[n] = who_writes(crew);
    if (first[n++] == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (unsigned i = 0; i < smq_crew_count(crew); i++) {
        struct smq_writes *writes = smq_worker_take_writes(smq_crew_worker(crew, i));
        if (writes != NULL) {
            first[n++] = writes;
        }
    }
    smq_committer_give_first(s->committer, first, n);
    return SMQTT_OK;
}

smqtt_err storing_recover(struct storing *s, struct smq_crew *crew, const struct smq_log *log, struct smq_why *why)
{
    smqtt_err err = SMQTT_OK;
    if (s->committer == NULL) {
        return SMQTT_OK;
    }
    if (!s->refuses) {
        SMQ_TRY(read_store(s, crew, log, why));
        err = give_first(s, crew);
    }
    if (err == SMQTT_OK) {
        err = smq_committer_start(s->committer);
    }
    return err == SMQTT_OK ? err : smq_why_set(why, err, "Cannot begin with the store: %s.", smqtt_strerror(err));
}

/* ---------------------------------------------------------------- later */

void storing_configure(struct storing *s, const struct smq_conf *conf)
{
    if (s->committer != NULL) {
        smq_committer_set_limit(s->committer, conf->store_limit);
    }
}

void storing_end(struct storing *s)
{
    if (s->committer != NULL) {
        smq_committer_end(s->committer);
    }
}

void storing_free(struct storing *s)
{
    smq_identity_store_free(s->identity);
    smq_committer_free(s->committer);
    free(s->path);
    *s = (struct storing){.committer = NULL};
}
