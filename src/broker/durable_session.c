/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of sessions, but for their messages; and of what is retained. */
#include "broker/durable.h"
#include "broker/will.h"
#include "broker/writes.h"

static smq_span key_of(const uint64_t *sid)
{
    return smq_span_of(sid, sizeof *sid);
}

struct smq_session *smq_durable_find(const struct smq_worker *w, uint64_t sid)
{
    return smq_map_get(&w->sids, key_of(&sid));
}

smqtt_err smq_durable_name(struct smq_worker *w, struct smq_session *s, uint64_t sid)
{
    struct smq_stored *stored = smq_mem_zalloc(w->mem, 1, sizeof *stored);
    if (stored == NULL) {
        return SMQTT_E_NOMEM;
    }
    stored->sid = sid;
    smq_list_init(&stored->paging);
    smqtt_err err = smq_map_put(&w->sids, key_of(&stored->sid), s, NULL);
    if (err != SMQTT_OK) {
        smq_mem_free(w->mem, stored);
        return err;
    }
    s->stored = stored;
    return SMQTT_OK;
}

void smq_durable_unname(struct smq_worker *w, struct smq_session *s)
{
    if (s->stored != NULL) {
        smq_map_del(&w->sids, key_of(&s->stored->sid));
        smq_list_remove(&s->stored->paging);
        smq_mem_free(w->mem, s->stored);
        s->stored = NULL;
    }
}

static smqtt_err name_anew(struct smq_worker *w, struct smq_session *s)
{
    uint64_t sid;
    do {
        if (!w->rng.fill(w->rng.ctx, (uint8_t *)&sid, sizeof sid)) {
            return SMQTT_E_RNG;
        }
    } while (sid == 0 || smq_durable_find(w, sid) != NULL);
    return smq_durable_name(w, s, sid);
}

smqtt_err smq_durable_begin(struct smq_worker *w, struct smq_session *s)
{
    return w->has_store && s->stored == NULL ? name_anew(w, s) : SMQTT_OK;
}

void smq_durable_head(struct smq_worker *w, const struct smq_session *s)
{
    if (s->stored == NULL) {
        return;
    }
    struct smq_row_head row = {.client_id = smq_session_id(s),
                               .user = smq_span_of(s->user, s->user_len),
                               .has_user = s->user != NULL,
                               .expiry_s = s->expiry_s,
                               .listener_id = s->listener_id,
                               .away_since = s->conn != NULL ? 0 : w->now.wall};
    struct smq_wr wr = smq_wr_measure();
    smq_row_write_head(&wr, &row);
    struct smq_key key = smq_key_session_row(s->stored->sid, SMQ_ROW_HEAD);
    uint8_t *at = smq_store_put_room(w, smq_key_span(&key), wr.len);
    if (at != NULL) {
        wr = smq_wr_of(at, wr.len);
        smq_row_write_head(&wr, &row);
    }
}

void smq_durable_session_end(struct smq_worker *w, struct smq_session *s)
{
    if (s->stored != NULL) {
        struct smq_key prefix = smq_key_session(s->stored->sid);
        smq_store_del_prefix(w, smq_key_span(&prefix));
        w->n_ended = w->n_written;
        smq_durable_unname(w, s);
    }
}

void smq_durable_will(struct smq_worker *w, const struct smq_session *s)
{
    if (s->stored == NULL) {
        return;
    }
    struct smq_key key = smq_key_session_row(s->stored->sid, SMQ_ROW_WILL);
    if (s->will == NULL) {
        smq_store_del_key(w, key);
        return;
    }
    struct smq_row_will row = {
        .delay_s = s->will->delay_s, .expiry_s = s->will->expiry_s, .content = smq_msg_content(s->will->msg)};
    struct smq_wr wr = smq_wr_measure();
    smq_row_write_will(&wr, &row, w->now);
    uint8_t *at = smq_store_put_room(w, smq_key_span(&key), wr.len);
    if (at != NULL) {
        wr = smq_wr_of(at, wr.len);
        smq_row_write_will(&wr, &row, w->now);
    }
}

/* Calls fn with the key of a row that has a string in it. */
static void with_key(struct smq_worker *w, size_t len, void (*write)(struct smq_wr *wr, const void *ctx),
                     const void *ctx, enum smq_write_op op, smq_span value)
{
    uint8_t local[256];
    uint8_t *key = len <= sizeof local ? local : smq_mem_alloc(w->mem, len);
    if (key == NULL) {
        smq_store_lose(w);
        return;
    }
    struct smq_wr wr = smq_wr_of(key, len);
    write(&wr, ctx);
    if (op == SMQ_WRITE_PUT) {
        smq_store_put(w, smq_wr_span(&wr), value);
    } else {
        smq_store_del(w, smq_wr_span(&wr));
    }
    if (key != local) {
        smq_mem_free(w->mem, key);
    }
}

struct sub_key {
    uint64_t sid;
    smq_span filter;
};

static void write_sub_key(struct smq_wr *wr, const void *ctx)
{
    const struct sub_key *key = ctx;
    smq_key_write_sub(wr, key->sid, key->filter);
}

static void sub_row(struct smq_worker *w, const struct smq_session *s, smq_span filter, enum smq_write_op op,
                    smq_span value)
{
    if (s->stored != NULL) {
        struct sub_key key = {s->stored->sid, filter};
        with_key(w, SMQ_KEY_FIXED + filter.len, write_sub_key, &key, op, value);
    }
}

void smq_durable_sub(struct smq_worker *w, const struct smq_session *s, smq_span filter, uint8_t options, uint32_t id)
{
    uint8_t value[16];
    struct smq_wr wr = smq_wr_of(value, sizeof value);
    smq_row_write_sub(&wr, &(struct smq_row_sub){.options = options, .id = id});
    sub_row(w, s, filter, SMQ_WRITE_PUT, smq_wr_span(&wr));
}

void smq_durable_unsub(struct smq_worker *w, const struct smq_session *s, smq_span filter)
{
    sub_row(w, s, filter, SMQ_WRITE_DEL, (smq_span){NULL, 0});
}

void smq_durable_in(struct smq_worker *w, const struct smq_session *s, uint16_t id, bool taken)
{
    if (s->stored == NULL) {
        return;
    }
    struct smq_key key = smq_key_packet(s->stored->sid, SMQ_ROW_IN, id);
    if (taken) {
        smq_store_put_key(w, key, (smq_span){NULL, 0});
    } else {
        smq_store_del_key(w, key);
    }
}

/* ------------------------------------------------------------ what is retained */

static void write_retained_key(struct smq_wr *wr, const void *ctx)
{
    smq_key_write_named(wr, SMQ_TABLE_RETAINED, *(const smq_span *)ctx);
}

static void put_retained(struct smq_worker *w, const struct smq_content *c)
{
    struct smq_wr wr = smq_wr_measure();
    smq_row_write_content(&wr, c, w->now);
    uint8_t *value = smq_mem_alloc(w->mem, wr.len);
    if (value == NULL) {
        smq_store_lose(w);
        return;
    }
    wr = smq_wr_of(value, wr.len);
    smq_row_write_content(&wr, c, w->now);
    with_key(w, SMQ_KEY_FIXED + c->topic.len, write_retained_key, &c->topic, SMQ_WRITE_PUT, smq_wr_span(&wr));
    smq_mem_free(w->mem, value);
}

static void del_retained(struct smq_worker *w, smq_span topic)
{
    with_key(w, SMQ_KEY_FIXED + topic.len, write_retained_key, &topic, SMQ_WRITE_DEL, (smq_span){NULL, 0});
}

/* What the broker tells of itself is told anew by each that begins. */
static bool keeps_retained(const struct smq_worker *w, smq_span topic)
{
    return w->has_store && w->config->retained_persistence && !w->ending &&
           !smq_span_starts(topic, smq_span_str("$SYS/"));
}

void smq_durable_retained(struct smq_worker *w, const struct smq_content *c)
{
    if (keeps_retained(w, c->topic)) {
        put_retained(w, c);
    }
}

/* The row of a removal, for as long as an older message may still come. */
struct tomb_row {
    struct smq_list of_worker;
    smqtt_ms until;
    size_t len;
    uint8_t topic[];
};

void smq_durable_unretained(struct smq_worker *w, smq_span topic, uint64_t version)
{
    if (!keeps_retained(w, topic)) {
        return;
    }
    struct tomb_row *tomb = w->count > 1 ? smq_mem_alloc(w->mem, sizeof *tomb + topic.len) : NULL;
    if (tomb == NULL) {
        del_retained(w, topic);
        return;
    }
    *tomb = (struct tomb_row){.until = w->now.mono + 2 * SMQ_TOMBS_MS, .len = topic.len};
    memcpy(tomb->topic, topic.data, topic.len);
    smq_list_init(&tomb->of_worker);
    smq_list_push_back(&w->tomb_rows, &tomb->of_worker);
    put_retained(w, &(struct smq_content){.topic = topic, .version = version, .expires = SMQTT_NEVER, .retain = true});
}

void smq_durable_retained_expired(struct smq_worker *w, smq_span topic)
{
    if (keeps_retained(w, topic)) {
        del_retained(w, topic);
    }
}

static struct tomb_row *first_tomb(const struct smq_worker *w)
{
    struct smq_list *at = smq_list_first(&w->tomb_rows);
    return at != NULL ? SMQ_CONTAINER_OF(at, struct tomb_row, of_worker) : NULL;
}

smqtt_ms smq_durable_deadline(const struct smq_worker *w)
{
    const struct tomb_row *tomb = first_tomb(w);
    return tomb != NULL ? tomb->until : SMQTT_NEVER;
}

void smq_durable_tick(struct smq_worker *w)
{
    struct tomb_row *tomb;
    while ((tomb = first_tomb(w)) != NULL && tomb->until <= w->now.mono) {
        smq_span topic = smq_span_of(tomb->topic, tomb->len);
        if (smq_retain_get(&w->retain, topic) == NULL && smq_tombs_get(&w->tombs, topic) == 0) {
            del_retained(w, topic);
        }
        smq_list_remove(&tomb->of_worker);
        smq_mem_free(w->mem, tomb);
    }
}

void smq_durable_deinit(struct smq_worker *w)
{
    struct tomb_row *tomb;
    while ((tomb = first_tomb(w)) != NULL) {
        smq_list_remove(&tomb->of_worker);
        smq_mem_free(w->mem, tomb);
    }
    smq_map_deinit(&w->sids);
}
