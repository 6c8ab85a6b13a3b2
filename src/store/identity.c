/* SPDX-License-Identifier: Apache-2.0 */
#include "store/identity.h"

#include "base/map.h"
#include "base/wr.h"
#include "broker/rows.h"
#include "store/why.h"

enum { KEY_MAX = 65000, VALUE_MAX = 16 << 20 };

/* A value, with its key in front. */
struct value {
    size_t key_len, len;
    uint8_t bytes[];
};

struct smq_identity_store {
    const struct smqtt_mem *mem;
    struct smq_committer *committer;
    struct smqtt_store table;
    struct smq_map values;
    struct smq_writes *pending; /* since the last sync; NULL: nothing */
    bool unsure;                /* a sync failed: what it had may not be committed yet */
};

/* ------------------------------------------------------------ values */

static void free_value(const struct smq_identity_store *s, struct value *v)
{
    if (v != NULL) {
        smq_wipe(v, sizeof *v + v->key_len + v->len);
        smq_mem_free(s->mem, v);
    }
}

static smqtt_err keep(struct smq_identity_store *s, smq_span key, smq_span value)
{
    void *old = NULL;
    struct value *v = smq_mem_alloc(s->mem, sizeof *v + key.len + value.len);
    if (v == NULL) {
        return SMQTT_E_NOMEM;
    }
    *v = (struct value){.key_len = key.len, .len = value.len};
    memcpy(v->bytes, key.data, key.len);
    if (value.len != 0) {
        memcpy(v->bytes + key.len, value.data, value.len);
    }
    smqtt_err err = smq_map_put(&s->values, smq_span_of(v->bytes, v->key_len), v, &old);
    free_value(s, err == SMQTT_OK ? old : v);
    return err;
}

/* ------------------------------------------------------------ what is to be committed */

static void drop_pending(struct smq_identity_store *s)
{
    if (s->pending != NULL) {
        smq_wipe(s->pending->bytes, s->pending->len);
        smq_writes_free(s->pending);
        s->pending = NULL;
    }
}

/* Room is made before anything changes, so that memory and disk are the same again after the next sync. */
static smqtt_err note(struct smq_identity_store *s, enum smq_write_op op, smq_span key, smq_span value)
{
    uint8_t *row = smq_mem_alloc(s->mem, SMQ_KEY_FIXED + key.len);
    if (s->pending == NULL) {
        s->pending = smq_writes_new(s->mem, 0, 0);
    }
    smqtt_err err = SMQTT_E_NOMEM;
    if (row != NULL && s->pending != NULL) {
        struct smq_wr wr = smq_wr_of(row, SMQ_KEY_FIXED + key.len);
        smq_key_write_named(&wr, SMQ_TABLE_IDENTITY, key);
        err = smq_writes_add(s->pending, op, smq_wr_span(&wr), value);
    }
    smq_mem_free(s->mem, row);
    return err;
}

/* ------------------------------------------------------------ the table */

static smqtt_err put(void *ctx, struct smqtt_span key, struct smqtt_span value)
{
    struct smq_identity_store *s = ctx;
    if (key.len == 0 || key.len > KEY_MAX || value.len > VALUE_MAX) {
        return SMQTT_E_USAGE;
    }
    SMQ_TRY(note(s, SMQ_WRITE_PUT, key, value));
    return keep(s, key, value);
}

static smqtt_err del(void *ctx, struct smqtt_span key)
{
    struct smq_identity_store *s = ctx;
    if (smq_map_get(&s->values, key) == NULL) {
        return SMQTT_OK;
    }
    SMQ_TRY(note(s, SMQ_WRITE_DEL, key, (smq_span){NULL, 0}));
    free_value(s, smq_map_del(&s->values, key));
    return SMQTT_OK;
}

static smqtt_err sync_now(void *ctx)
{
    struct smq_identity_store *s = ctx;
    if (s->pending == NULL && s->unsure) {
        s->pending = smq_writes_new(s->mem, 0, 0); /* an empty one behind what is under way tells when that is there */
        if (s->pending == NULL) {
            return SMQTT_E_NOMEM;
        }
    }
    if (s->pending == NULL) {
        return SMQTT_OK;
    }
    struct smq_writes *writes = s->pending;
    s->pending = NULL;
    smqtt_err err = smq_committer_commit(s->committer, writes);
    s->unsure = err != SMQTT_OK;
    return err;
}

static smqtt_err each(void *ctx, struct smqtt_span prefix,
                      void (*fn)(void *arg, struct smqtt_span key, struct smqtt_span value), void *arg)
{
    struct smq_identity_store *s = ctx;
    struct smq_map_iter iter = smq_map_iterate(&s->values);
    struct value *v;
    while ((v = smq_map_next(&s->values, &iter)) != NULL) {
        smq_span key = smq_span_of(v->bytes, v->key_len);
        if (smq_span_starts(key, prefix)) {
            fn(arg, key, smq_span_of(v->bytes + v->key_len, v->len));
        }
    }
    return SMQTT_OK;
}

/* ------------------------------------------------------------ begin and end */

static smqtt_err load_row(void *ctx, smq_span key, smq_span value)
{
    struct smq_key_parts parts;
    return smq_key_read(key, &parts) && parts.name.len != 0 ? keep(ctx, parts.name, value) : SMQTT_OK;
}

smqtt_err smq_identity_store_new(const struct smqtt_mem *mem, const struct smqtt_rng *rng,
                                 struct smq_committer *committer, struct smq_identity_store **out,
                                 struct smq_store_why *why)
{
    uint8_t hash_key[16];
    if (!rng->fill(rng->ctx, hash_key, sizeof hash_key)) {
        return smq_store_why_set(why, SMQTT_E_RNG, "There is no randomness.");
    }
    struct smq_identity_store *s = smq_mem_zalloc(mem, 1, sizeof *s);
    if (s == NULL) {
        return smq_store_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    s->mem = mem;
    s->committer = committer;
    s->table = (struct smqtt_store){put, del, sync_now, each, s};
    smq_map_init(&s->values, mem, hash_key);
    struct smq_store *store = smq_committer_store(committer);
    uint8_t table = SMQ_TABLE_IDENTITY;
    smqtt_err err = store->kind->each(store, smq_span_of(&table, 1), load_row, s, why);
    if (err != SMQTT_OK) {
        smq_identity_store_free(s);
        return err;
    }
    *out = s;
    return SMQTT_OK;
}

const struct smqtt_store *smq_identity_store_table(struct smq_identity_store *s)
{
    return &s->table;
}

void smq_identity_store_free(struct smq_identity_store *s)
{
    if (s == NULL) {
        return;
    }
    struct smq_map_iter iter = smq_map_iterate(&s->values);
    struct value *v;
    while ((v = smq_map_next(&s->values, &iter)) != NULL) {
        smq_map_del_at(&s->values, &iter);
        free_value(s, v);
    }
    smq_map_deinit(&s->values);
    drop_pending(s);
    smq_mem_free(s->mem, s);
}
