/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/recover.h"
#include "base/siphash.h"
#include "broker/recovery.h"

#include <inttypes.h>

enum { FIRST_ITEMS = 16 };

/* ------------------------------------------------------------ small things */

smqtt_err smq_recovery_grow(struct smq_recovery *r, void **items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return SMQTT_OK;
    }
    size_t wanted = *cap != 0 ? *cap * 2 : FIRST_ITEMS;
    void *larger = smq_mem_resize(r->mem, *items, wanted * size);
    if (larger == NULL) {
        return SMQTT_E_NOMEM;
    }
    *items = larger;
    *cap = wanted;
    return SMQTT_OK;
}

struct smq_worker *smq_recovery_owner(const struct smq_recovery *r, smq_span name)
{
    return r->workers[smq_worker_owner(r->workers[0], name)];
}

void smq_recovery_drop(struct smq_recovery *r, struct smq_worker *w, smq_span key)
{
    smq_store_del(w, key);
    r->counts.dropped++;
}

static bool speak(struct smq_recovery *r)
{
    bool any = false;
    for (unsigned from = 0; from < r->n; from++) {
        for (unsigned to = 0; to < r->n; to++) {
            struct smq_batch *batch = smq_worker_take_batch(r->workers[from], to);
            if (batch != NULL) {
                smq_worker_feed_batch(r->workers[to], from, batch, r->now);
                any = true;
            }
        }
    }
    for (unsigned i = 0; i < r->n; i++) {
        while (smq_worker_end_round(r->workers[i])) {
        }
        smq_worker_settle(r->workers[i], r->now);
    }
    return any;
}

void smq_recovery_exchange(struct smq_recovery *r)
{
    while (speak(r)) {
    }
}

/* ------------------------------------------------------------ beginning and end */

/* What is stored was admitted once; limits are for what comes. */
static void lift_limits(struct smq_broker_config *config)
{
    config->memory_limit = 0;
    config->max_retained = 0;
    config->max_queued_messages = 0;
    config->max_queued_bytes = 0;
    config->max_subscriptions = 0;
}

smqtt_err smq_recovery_new(struct smq_worker *const *workers, unsigned n, const struct smqtt_mem *mem,
                           struct smqtt_now now, struct smq_recovery **out)
{
    if (n == 0 || n > SMQ_WORKERS_MAX || n != workers[0]->count) {
        return SMQTT_E_USAGE;
    }
    struct smq_recovery *r = smq_mem_zalloc(mem, 1, sizeof *r);
    if (r == NULL) {
        return SMQTT_E_NOMEM;
    }
    r->mem = mem;
    r->now = now;
    r->n = n;
    r->limitless = *workers[0]->config;
    lift_limits(&r->limitless);
    r->former.count = n;
    memcpy(r->former.key, workers[0]->key, sizeof r->former.key);
    for (unsigned i = 0; i < n; i++) {
        r->workers[i] = workers[i];
        r->configs[i] = workers[i]->config;
        workers[i]->config = &r->limitless;
        workers[i]->now = now;
    }
    *out = r;
    return SMQTT_OK;
}

static void give_config_back(struct smq_recovery *r)
{
    for (unsigned i = 0; i < r->n && r->configs[i] != NULL; i++) {
        r->workers[i]->config = r->configs[i];
        r->configs[i] = NULL;
    }
}

void smq_recovery_free(struct smq_recovery *r)
{
    if (r != NULL) {
        give_config_back(r);
        smq_recovery_bodies_free(r);
        smq_recovery_owed_free(r);
        smq_mem_free(r->mem, r->cur.outs);
        smq_mem_free(r->mem, r->due);
        smq_mem_free(r->mem, r);
    }
}

/* ------------------------------------------------------------ rows */

static smqtt_err on_meta(struct smq_recovery *r, smq_span name, smq_span value)
{
    struct smq_row_workers row;
    if (!smq_span_equal(name, smq_span_str(SMQ_META_WORKERS))) {
        return SMQTT_OK;
    }
    if (!smq_row_read_workers(value, &row) || row.count == 0 || row.count > SMQ_WORKERS_MAX) {
        smq_log(r->workers[0]->log, SMQ_LOG_WARN,
                "The store does not say how many workers wrote it: what was on its way between them may go astray.");
        return SMQTT_OK;
    }
    if (row.format > SMQ_STORE_FORMAT) {
        return SMQTT_E_BAD_VERSION;
    }
    r->has_meta = row.format == SMQ_STORE_FORMAT && row.count == r->n &&
                  memcmp(row.hash_key, r->former.key, sizeof row.hash_key) == 0;
    r->former.count = row.count;
    memcpy(r->former.key, row.hash_key, sizeof r->former.key);
    return SMQTT_OK;
}

static void on_passed(struct smq_recovery *r, const struct smq_key_parts *parts, smq_span key, smq_span value)
{
    uint64_t n;
    bool ok = parts->to < SMQ_WORKERS_MAX && parts->from < SMQ_WORKERS_MAX && smq_row_read_number(value, &n) &&
              n >> SMQ_MID_SHIFT == parts->from;
    if (ok) {
        r->passed[parts->to][parts->from] = n;
    } else {
        smq_recovery_drop(r, r->workers[parts->to % r->n], key);
    }
}

/* A removal is remembered until what was on its way was routed again; then nothing older can come. */
static smqtt_err bury(struct smq_recovery *r, struct smq_worker *w, const struct smq_content *c, smq_span key)
{
    smq_store_del(w, key);
    return smq_tombs_add(&w->tombs, c->topic, c->version, r->now.mono);
}

static smqtt_err on_retained(struct smq_recovery *r, smq_span topic, smq_span key, smq_span value)
{
    struct smq_rd rd = smq_rd_of(value);
    struct smq_content c;
    struct smq_worker *w = smq_recovery_owner(r, topic);
    if (!smq_row_read_content(&rd, r->now, &c) || !smq_span_equal(c.topic, topic)) {
        smq_recovery_drop(r, w, key);
        return SMQTT_OK;
    }
    r->version = c.version > r->version ? c.version : r->version;
    if (c.payload.len == 0) {
        return bury(r, w, &c, key);
    }
    if (c.expires <= r->now.mono) {
        smq_store_del(w, key);
        r->counts.expired++;
        return SMQTT_OK;
    }
    if (!w->config->retained_persistence) {
        smq_store_del(w, key); /* it is kept for as long as this broker runs */
    }
    struct smq_refbuf *msg = smq_msg_new(w->mem, &c, false, w->account);
    if (msg == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = smq_retain_set(&w->retain, msg, 0);
    smq_msg_unref(msg);
    r->counts.retained += err == SMQTT_OK;
    return err;
}

smqtt_err smq_recovery_row(struct smq_recovery *r, smq_span key, smq_span value)
{
    struct smq_key_parts parts;
    r->counts.rows++;
    if (!smq_key_read(key, &parts)) {
        smq_recovery_drop(r, r->workers[0], key);
        return SMQTT_OK;
    }
    if (parts.table != SMQ_TABLE_SESSION && r->cur.w != NULL) {
        SMQ_TRY(smq_recovery_session_over(r));
    }
    switch (parts.table) {
    case SMQ_TABLE_META:
        return on_meta(r, parts.name, value);
    case SMQ_TABLE_PASSED:
        on_passed(r, &parts, key, value);
        return SMQTT_OK;
    case SMQ_TABLE_SESSION:
        return smq_recovery_session_row(r, &parts, key, value);
    case SMQ_TABLE_BODY:
        return smq_recovery_body_row(r, parts.n, key, value);
    case SMQ_TABLE_RETAINED:
        return on_retained(r, parts.name, key, value);
    case SMQ_TABLE_IDENTITY:
        return SMQTT_OK;
    }
    return SMQTT_OK;
}

/* ------------------------------------------------------------ the end */

/* The next start has to know whose messages were on their way to whom. */
static void write_meta(struct smq_recovery *r)
{
    struct smq_worker *w = r->workers[0];
    uint8_t key[SMQ_KEY_FIXED], value[64];
    struct smq_row_workers row = {.format = SMQ_STORE_FORMAT, .count = r->n};
    memcpy(row.hash_key, w->key, sizeof row.hash_key);
    if (!r->has_meta) {
        struct smq_wr k = smq_wr_of(key, sizeof key), v = smq_wr_of(value, sizeof value);
        smq_key_write_named(&k, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
        smq_row_write_workers(&v, &row);
        smq_store_put(w, smq_wr_span(&k), smq_wr_span(&v));
    }
}

/* Nothing is lost because a limit is lower than before, but whoever set it should know. */
static void warn_limit(const struct smq_recovery *r, uint64_t found, uint64_t max, const char *what, const char *name)
{
    if (max != 0 && found > max) {
        smq_log(r->workers[0]->log, SMQ_LOG_WARN,
                "The store has %" PRIu64 " %s, more than %s allows (%" PRIu64 "): they stay, and no more are taken.",
                found, what, name, max);
    }
}

static void warn(const struct smq_recovery *r)
{
    const struct smq_broker_config *config = r->workers[0]->config;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < r->n; i++) {
        bytes += smq_account_used(r->workers[i]->account) + smq_worker_fixed_bytes(r->workers[i]);
    }
    warn_limit(r, r->counts.sessions, config->max_clients, "sessions", "global_max_clients");
    warn_limit(r, r->counts.retained, config->max_retained, "retained messages", "max_retained");
    warn_limit(r, bytes, config->memory_limit, "bytes of messages and sessions in memory", "memory_limit");
    if (r->counts.dropped != 0) {
        smq_log(r->workers[0]->log, SMQ_LOG_WARN,
                "The store has %" PRIu64 " rows that cannot be read or belong to nothing: they are deleted.",
                r->counts.dropped);
    }
}

/* A group's owner that had no memory for a member has said so by now, and the subscription is gone. */
static bool has_lost_any(const struct smq_recovery *r)
{
    size_t n = 0;
    bool lost = false;
    for (unsigned i = 0; i < r->n; i++) {
        n += smq_map_count(&r->workers[i]->shareds);
        lost = lost || r->workers[i]->store_lost;
    }
    return lost || n != r->n_shared;
}

smqtt_err smq_recovery_finish(struct smq_recovery *r, struct smq_recovery_counts *counts)
{
    SMQ_TRY(smq_recovery_session_over(r));
    smq_recovery_bodies_over(r);
    if (r->version != 0) {
        (void)smq_ledger_version(r->workers[0]->ledger, r->version);
    }
    smq_recovery_write_passed(r);
    write_meta(r);
    smq_recovery_exchange(r);
    if (has_lost_any(r)) {
        return SMQTT_E_NOMEM;
    }
    SMQ_TRY(smq_recovery_route(r));
    smq_recovery_fire(r);
    give_config_back(r);
    warn(r);
    for (unsigned i = 0; i < r->n; i++) {
        if (r->workers[i]->store_lost) {
            return SMQTT_E_NOMEM;
        }
    }
    *counts = r->counts;
    return SMQTT_OK;
}
