/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TEST_STORE_PLAYED_STORE_H
#define SMQTT_TEST_STORE_PLAYED_STORE_H
/* A store that waits, fails and writes down what it is asked to do. For one file of a program. */
#include "../test.h"

#include <pthread.h>
#include <stdio.h>

#include "store/store.h"

enum { WORKERS = 3, SEEN_MAX = 4096, ROWS = 64 };

static struct {
    struct smq_store store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool held;            /* writes wait */
    unsigned in_write;    /* writes that wait now */
    unsigned fail_writes; /* so many fail */
    unsigned fail_opens, fail_gets, fail_syncs;
    unsigned writes, synced_writes, syncs, opens, closes;
    uint64_t written[WORKERS + 1]; /* number of the last one of each worker */
    bool disorder;
    uint32_t seen[SEEN_MAX]; /* values of keys "seen" in the order of writing */
    size_t n_seen;
    struct {
        char key[16], value[16];
    } rows[ROWS];
    uint64_t size;
    bool shrinks; /* a full one gives back what was removed when it is asked to */
} played;

static bool ignore_rows;

static smqtt_err play_reopen(struct smq_store *store, struct smq_store_why *why)
{
    (void)store;
    pthread_mutex_lock(&played.lock);
    played.opens++;
    bool fails = played.fail_opens != 0;
    played.fail_opens -= fails;
    pthread_cond_broadcast(&played.changed);
    pthread_mutex_unlock(&played.lock);
    snprintf(why->text, sizeof why->text, "%s", fails ? "It is broken." : "");
    return fails ? SMQTT_E_IO : SMQTT_OK;
}

static void play_close(struct smq_store *store)
{
    (void)store;
    pthread_mutex_lock(&played.lock);
    played.closes++;
    pthread_mutex_unlock(&played.lock);
}

static void play_put(smq_span key, smq_span value)
{
    if (key.len == 4 && memcmp(key.data, "seen", 4) == 0) {
        assert_true(played.n_seen < SEEN_MAX);
        memcpy(&played.seen[played.n_seen++], value.data, sizeof played.seen[0]);
        return;
    }
    for (size_t i = 0; i < ROWS; i++) {
        size_t len = strlen(played.rows[i].key);
        if (len == 0 || (len == key.len && memcmp(played.rows[i].key, key.data, len) == 0)) {
            memcpy(played.rows[i].key, key.data, key.len);
            memcpy(played.rows[i].value, value.data, value.len);
            played.rows[i].value[value.len] = 0;
            return;
        }
    }
}

static smqtt_err play_write(struct smq_store *store, struct smq_writes *const *writes, size_t n, bool sync,
                            struct smq_store_why *why)
{
    (void)store;
    pthread_mutex_lock(&played.lock);
    played.in_write++;
    pthread_cond_broadcast(&played.changed);
    while (played.held) {
        pthread_cond_wait(&played.changed, &played.lock);
    }
    played.in_write--;
    bool fails = played.fail_writes != 0;
    played.fail_writes -= fails;
    for (size_t i = 0; !fails && i < n; i++) {
        struct smq_write op;
        played.disorder = played.disorder || writes[i]->number != played.written[writes[i]->worker] + 1;
        played.written[writes[i]->worker] = writes[i]->number;
        for (size_t at = 0; smq_writes_next(writes[i], &at, &op);) {
            if (op.op == SMQ_WRITE_PUT && !ignore_rows) {
                play_put(op.key, op.value);
            }
        }
    }
    played.writes += !fails;
    played.synced_writes += !fails && sync;
    pthread_mutex_unlock(&played.lock);
    snprintf(why->text, sizeof why->text, "%s", fails ? "The disk is full." : "");
    return fails ? SMQTT_E_IO : SMQTT_OK;
}

static smqtt_err play_sync(struct smq_store *store, struct smq_store_why *why)
{
    (void)store;
    pthread_mutex_lock(&played.lock);
    bool fails = played.fail_syncs != 0;
    played.fail_syncs -= fails;
    played.syncs += !fails;
    pthread_cond_broadcast(&played.changed);
    pthread_mutex_unlock(&played.lock);
    snprintf(why->text, sizeof why->text, "%s", fails ? "The disk is gone." : "");
    return fails ? SMQTT_E_IO : SMQTT_OK;
}

static smqtt_err play_get(struct smq_store *store, smq_span key, void (*fn)(void *ctx, smq_span value), void *ctx,
                          struct smq_store_why *why)
{
    (void)store;
    (void)why;
    pthread_mutex_lock(&played.lock);
    bool fails = played.fail_gets != 0;
    played.fail_gets -= fails;
    for (size_t i = 0; !fails && i < ROWS; i++) {
        size_t len = strlen(played.rows[i].key);
        if (len == key.len && memcmp(played.rows[i].key, key.data, len) == 0) {
            fn(ctx, smq_span_of(played.rows[i].value, strlen(played.rows[i].value)));
        }
    }
    pthread_mutex_unlock(&played.lock);
    return fails ? SMQTT_E_IO : SMQTT_OK;
}

static void play_shrink(struct smq_store *store)
{
    (void)store;
    pthread_mutex_lock(&played.lock);
    played.size = played.shrinks ? 0 : played.size;
    pthread_mutex_unlock(&played.lock);
}

static uint64_t play_size(struct smq_store *store)
{
    (void)store;
    pthread_mutex_lock(&played.lock);
    uint64_t size = played.size;
    pthread_mutex_unlock(&played.lock);
    return size;
}

static const struct smq_store_kind play = {.name = "play",
                                           .reopen = play_reopen,
                                           .close = play_close,
                                           .write = play_write,
                                           .sync = play_sync,
                                           .get = play_get,
                                           .shrink = play_shrink,
                                           .size = play_size};

#endif
