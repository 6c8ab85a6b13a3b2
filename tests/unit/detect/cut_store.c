/* SPDX-License-Identifier: Apache-2.0 */
#include "cut_store.h"

#include <stdlib.h>

#include "base/span.h"

static bool store_fails(struct cut_store *s)
{
    if (s->fail_after == 0) {
        return true;
    }
    s->fail_after -= s->fail_after > 0;
    return false;
}

static struct cut_value *store_find(struct cut_store *s, smq_span key)
{
    for (size_t i = 0; i < s->n_now; i++) {
        if (smq_span_equal(key, smq_span_of(s->now[i].key, s->now[i].key_len))) {
            return &s->now[i];
        }
    }
    return NULL;
}

static smqtt_err store_put(void *ctx, struct smqtt_span key, struct smqtt_span value)
{
    struct cut_store *s = ctx;
    s->puts++;
    if (store_fails(s)) {
        return SMQTT_E_IO;
    }
    struct cut_value *v = store_find(s, key);
    if (v == NULL) {
        assert_true(s->n_now < SMQ_ARRAY_LEN(s->now) && key.len <= sizeof(v->key));
        v = &s->now[s->n_now++];
        *v = (struct cut_value){.key_len = key.len};
        memcpy(v->key, key.data, key.len);
    }
    free(v->value);
    v->value = malloc(value.len + 1);
    assert_non_null(v->value);
    memcpy(v->value, value.data, value.len);
    v->value_len = value.len;
    v->gone = false;
    return SMQTT_OK;
}

static smqtt_err store_del(void *ctx, struct smqtt_span key)
{
    struct cut_store *s = ctx;
    struct cut_value *v = store_find(s, key);
    if (store_fails(s)) {
        return SMQTT_E_IO;
    }
    if (v != NULL) {
        v->gone = true;
    }
    return SMQTT_OK;
}

static void values_copy(struct cut_value *to, size_t *n_to, const struct cut_value *from, size_t n_from)
{
    for (size_t i = 0; i < *n_to; i++) {
        free(to[i].value);
    }
    *n_to = n_from;
    for (size_t i = 0; i < n_from; i++) {
        to[i] = from[i];
        to[i].value = malloc(from[i].value_len + 1);
        assert_non_null(to[i].value);
        memcpy(to[i].value, from[i].value, from[i].value_len);
    }
}

static smqtt_err store_sync(void *ctx)
{
    struct cut_store *s = ctx;
    s->syncs++;
    if (store_fails(s)) {
        return SMQTT_E_IO;
    }
    values_copy(s->synced, &s->n_synced, s->now, s->n_now);
    return SMQTT_OK;
}

static smqtt_err store_each(void *ctx, struct smqtt_span prefix,
                            void (*fn)(void *arg, struct smqtt_span key, struct smqtt_span value), void *arg)
{
    struct cut_store *s = ctx;
    for (size_t i = 0; i < s->n_now; i++) {
        const struct cut_value *v = &s->now[i];
        smq_span key = smq_span_of(v->key, v->key_len);
        if (!v->gone && smq_span_starts(key, prefix)) {
            fn(arg, key, smq_span_of(v->value, v->value_len));
        }
    }
    return SMQTT_OK;
}

void cut_store_init(struct cut_store *s)
{
    memset(s, 0, sizeof(*s));
    s->store = (struct smqtt_store){store_put, store_del, store_sync, store_each, s};
    s->fail_after = -1;
}

void cut_store_cut(struct cut_store *s)
{
    values_copy(s->now, &s->n_now, s->synced, s->n_synced);
}

void cut_store_deinit(struct cut_store *s)
{
    values_copy(s->now, &s->n_now, NULL, 0);
    values_copy(s->synced, &s->n_synced, NULL, 0);
}
