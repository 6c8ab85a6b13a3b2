/* SPDX-License-Identifier: Apache-2.0 */
#include "importing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "broker/rows.h"
#include "net/clock.h"
#include "net/file.h"
#include "store/import.h"

#define FILE_MAX ((size_t)1 << 40)

static char *path_of(const struct smq_conf *conf)
{
    const char *dir = conf->persistence_location != NULL ? conf->persistence_location : "";
    const char *file = conf->persistence_file != NULL ? conf->persistence_file : "mosquitto.db";
    size_t len = strlen(dir), size = len + strlen(file) + 2;
    char *path = malloc(size);
    if (path != NULL) {
        (void)snprintf(path, size, "%s%s%s", dir, len != 0 && dir[len - 1] != '/' ? "/" : "", file);
    }
    return path;
}

/* Who wrote it, so that it is not done again after a crash before the workers write that themselves. */
static smqtt_err add_meta(struct smq_writes *writes)
{
    uint8_t key[64], value[64];
    struct smq_wr k = smq_wr_of(key, sizeof key), v = smq_wr_of(value, sizeof value);
    const struct smq_row_workers row = {.format = SMQ_STORE_FORMAT, .count = 1};
    smq_key_write_named(&k, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
    smq_row_write_workers(&v, &row);
    return smq_writes_add(writes, SMQ_WRITE_PUT, smq_wr_span(&k), smq_wr_span(&v));
}

static smqtt_err commit(struct smq_store *store, struct smq_writes *writes, struct smq_store_why *why)
{
    smqtt_err err = add_meta(writes);
    if (err == SMQTT_OK) {
        err = store->kind->write(store, &writes, 1, true, why);
    }
    if (err == SMQTT_E_IO) { /* the disk is full: what is there of it is taken back, or is all of it */
        (void)store->kind->reopen(store, why);
    }
    return err;
}

static smqtt_err import_file(const char *path, smq_span file, struct smq_store *store, const struct smq_log *log)
{
    struct smq_writes *writes = NULL;
    struct smq_import_counts n = {0};
    struct smq_store_why why = {""};
    const struct smqtt_rng rng = smqtt_system_rng();
    smqtt_err err = smq_import_mosquitto(file, &rng, smq_clock_now(), &writes, &n, &why);
    if (err == SMQTT_OK) {
        err = commit(store, writes, &why);
    }
    smq_writes_free(writes);
    if (err != SMQTT_OK) {
        smq_log(log, SMQ_LOG_ERR, "What Mosquitto kept in %s was not taken over: %s.", path, why.text);
        return err == SMQTT_E_NOMEM ? err : SMQTT_OK;
    }
    smq_log(log, SMQ_LOG_NOTICE,
            "What Mosquitto kept in %s was taken over: %" PRIu64 " sessions with %" PRIu64 " subscriptions, %" PRIu64
            " messages for them, %" PRIu64 " more in flight, %" PRIu64 " retained messages; %" PRIu64
            " entries were of no use any more.",
            path, n.sessions, n.subscriptions, n.queued, n.in_flight, n.retained, n.skipped);
    return SMQTT_OK;
}

smqtt_err importing_run(const struct smq_conf *conf, struct smq_store *store, const struct smq_log *log)
{
    struct smq_file_text file = {NULL, 0};
    struct smq_why why = {""};
    smqtt_err err = SMQTT_OK;
    char *path = path_of(conf);
    if (path == NULL) {
        return SMQTT_E_NOMEM;
    }
    if (access(path, F_OK) == 0) {
        err = smq_file_read(path, FILE_MAX, false, &file, &why);
        if (err == SMQTT_OK) {
            err = import_file(path, smq_span_of(file.text, file.len), store, log);
        } else if (err != SMQTT_E_NOMEM) {
            smq_log(log, SMQ_LOG_ERR, "What Mosquitto kept was not taken over: %s", why.text);
            err = SMQTT_OK;
        }
        smq_file_free(&file);
    }
    free(path);
    return err;
}
