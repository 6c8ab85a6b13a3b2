/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TEST_NET_PLAYED_WORKER_H
#define SMQTT_TEST_NET_PLAYED_WORKER_H
/* A worker that a test plays: packets are a length byte and as many bytes, each is echoed; batches are numbers. For one
 * file of a program, in place of the broker. */
#include "../test.h"

#include <stdlib.h>

#include "base/bytebuf.h"
#include "broker/writes.h"
#include "net/loop.h"

#define CONNS 64
#define BIG   0xFF /* a packet of three more bytes of length */

struct smq_conn {
    bool used, dirty, paused, lost;
    enum smq_conn_fate fate;
    unsigned owner;
    void *user;
    const struct smq_listener_config *listener;
    struct smq_bytebuf in, out;
    size_t gate; /* so many bytes of `out` must stay */
};

struct smq_worker {
    struct smq_conn conns[CONNS];
    size_t spans; /* bytes of each span that is shown */
    unsigned opened, released;
    smqtt_err lost_err;
    unsigned index;
    unsigned to_say, said, heard, unsettled; /* batches */
    unsigned rounds_wanted, settled;
    bool peer_full;
    bool has_store;
    struct smq_writes *writes;
    uint64_t committed, fetched;
    enum smq_store_state store;
};

struct smq_batch {
    unsigned from, number;
};

static struct smq_worker workers[2];
static bool echo = true;
static size_t batch_size;
static void (*on_batch)(void); /* another worker was heard */

smqtt_err smq_worker_new(const struct smq_worker_env *env, const struct smq_broker_config *config, struct smqtt_now now,
                         struct smq_worker **out)
{
    (void)config;
    (void)now;
    *out = &workers[env->index];
    memset(*out, 0, sizeof **out);
    (*out)->spans = 1000;
    (*out)->index = env->index;
    (*out)->has_store = env->has_store;
    return SMQTT_OK;
}

void smq_worker_free(struct smq_worker *w)
{
    assert_int_equal(w->opened, w->released);
}

smqtt_err smq_worker_open(struct smq_worker *w, const struct smq_listener_config *listener, smq_span peer, void *user,
                          struct smqtt_now now, struct smq_conn **out)
{
    (void)now;
    assert_true(peer.len > 9 && memcmp(peer.data, "127.0.0.1", 9) == 0);
    for (size_t i = 0; i < CONNS; i++) {
        struct smq_conn *conn = &w->conns[i];
        if (!conn->used) {
            *conn = (struct smq_conn){.used = true, .user = user, .listener = listener};
            smq_bytebuf_init(&conn->in, NULL, 1 << 26);
            smq_bytebuf_init(&conn->out, NULL, 1 << 26);
            w->opened++;
            *out = conn;
            return SMQTT_OK;
        }
    }
    return SMQTT_E_FULL;
}

static size_t packet_size(smq_span at)
{
    if (at.len == 0 || (at.data[0] == BIG && at.len < 4)) {
        return 0;
    }
    return at.data[0] != BIG ? 1u + at.data[0] : 4u + ((size_t)at.data[1] << 16 | (size_t)at.data[2] << 8 | at.data[3]);
}

static void take(struct smq_worker *w, struct smq_conn *conn, smq_span packet)
{
    (void)w;
    assert_int_equal(smq_bytebuf_append(&conn->in, packet), SMQTT_OK);
    if (echo) {
        assert_int_equal(smq_bytebuf_append(&conn->out, packet), SMQTT_OK);
    }
    smq_span text = smq_span_from(packet, 1);
    if (smq_span_equal(text, smq_span_str("bye"))) {
        conn->fate = SMQ_FATE_CLOSE_AFTER_OUTPUT;
    } else if (smq_span_equal(text, smq_span_str("now"))) {
        conn->fate = SMQ_FATE_CLOSE_NOW;
    } else if (smq_span_equal(text, smq_span_str("pause"))) {
        conn->paused = true;
    }
    conn->dirty = true;
}

void smq_worker_feed(struct smq_worker *w, struct smq_conn *conn, smq_span bytes, size_t *used, size_t *need,
                     struct smqtt_now now)
{
    (void)now;
    *used = *need = 0;
    while (conn->fate == SMQ_FATE_KEEP && !conn->paused) {
        smq_span rest = smq_span_from(bytes, *used);
        size_t size = packet_size(rest);
        if (size == 0 || size > rest.len) {
            *need = size;
            return;
        }
        if (w->index == 0 && smq_span_equal(smq_span_of(rest.data + 1, size - 1), smq_span_str("move"))) {
            conn->fate = SMQ_FATE_HANDOVER;
            conn->owner = 1;
            conn->dirty = true;
            return;
        }
        take(w, conn, smq_span_of(rest.data, size));
        *used += size;
    }
}

void smq_worker_lost(struct smq_worker *w, struct smq_conn *conn, smqtt_err err, struct smqtt_now now)
{
    (void)now;
    assert_false(conn->lost);
    conn->lost = true;
    conn->fate = SMQ_FATE_CLOSE_NOW;
    conn->dirty = true;
    w->lost_err = err;
}

void smq_worker_login_ready(struct smq_worker *w, uint64_t ticket, smqtt_err answer, struct smqtt_now now)
{
    (void)w;
    (void)ticket;
    (void)answer;
    (void)now;
}

void smq_worker_tick(struct smq_worker *w, struct smqtt_now now)
{
    (void)w;
    (void)now;
}

smqtt_ms smq_worker_deadline(const struct smq_worker *w)
{
    (void)w;
    return SMQTT_NEVER;
}

void smq_worker_configure(struct smq_worker *w, const struct smq_broker_config *config, struct smqtt_now now)
{
    (void)w;
    (void)config;
    (void)now;
}

void smq_conn_set_listener(struct smq_conn *conn, const struct smq_listener_config *listener)
{
    conn->listener = listener;
}

struct smq_batch *smq_worker_take_batch(struct smq_worker *w, unsigned peer)
{
    assert_true(peer < 2 && peer != w->index);
    if (w->to_say == 0) {
        return NULL;
    }
    struct smq_batch *batch = malloc(sizeof *batch);
    assert_non_null(batch);
    *batch = (struct smq_batch){w->index, ++w->said};
    w->to_say--;
    return batch;
}

void smq_worker_feed_batch(struct smq_worker *w, unsigned from, struct smq_batch *batch, struct smqtt_now now)
{
    (void)now;
    assert_int_equal(from, batch->from);
    assert_int_equal(batch->number, w->heard + 1);
    w->heard++;
    w->unsettled++;
    free(batch);
    if (on_batch != NULL) {
        on_batch();
    }
}

bool smq_worker_end_round(struct smq_worker *w)
{
    return w->rounds_wanted != 0 && --w->rounds_wanted != 0;
}

void smq_worker_settle(struct smq_worker *w, struct smqtt_now now)
{
    (void)now;
    w->unsettled = 0;
    w->settled++;
}

void smq_worker_set_peer_full(struct smq_worker *w, unsigned peer, bool full)
{
    assert_true(peer != w->index);
    w->peer_full = full;
}

size_t smq_batch_size(const struct smq_batch *batch)
{
    (void)batch;
    return batch_size;
}

void smq_batch_free(struct smq_batch *batch)
{
    free(batch);
}

void smq_worker_shutdown(struct smq_worker *w, struct smqtt_now now)
{
    (void)now;
    for (size_t i = 0; i < CONNS; i++) {
        if (w->conns[i].used && w->conns[i].fate == SMQ_FATE_KEEP) {
            w->conns[i].fate = SMQ_FATE_CLOSE_AFTER_OUTPUT;
            w->conns[i].dirty = true;
        }
    }
}

struct smq_conn *smq_worker_next_dirty(struct smq_worker *w)
{
    for (size_t i = 0; i < CONNS; i++) {
        if (w->conns[i].used && w->conns[i].dirty) {
            w->conns[i].dirty = false;
            return &w->conns[i];
        }
    }
    return NULL;
}

enum smq_conn_fate smq_conn_fate(const struct smq_conn *conn, unsigned *owner)
{
    *owner = conn->owner;
    return conn->fate;
}

size_t smq_conn_output(const struct smq_conn *conn, struct smqtt_span *spans, size_t max)
{
    smq_span rest = smq_bytebuf_span(&conn->out);
    size_t n = 0;
    rest.len -= conn->gate < rest.len ? conn->gate : rest.len;
    for (; n < max && rest.len != 0; n++) {
        spans[n] = smq_span_of(rest.data, rest.len < workers[0].spans ? rest.len : workers[0].spans);
        rest = smq_span_from(rest, spans[n].len);
    }
    return n;
}

void smq_conn_sent(struct smq_worker *w, struct smq_conn *conn, size_t n, struct smqtt_now now)
{
    (void)w;
    (void)now;
    smq_bytebuf_consume(&conn->out, n);
}

bool smq_conn_is_gated(const struct smq_conn *conn)
{
    return conn->gate != 0;
}

struct smq_writes *smq_worker_take_writes(struct smq_worker *w)
{
    struct smq_writes *writes = w->writes;
    w->writes = NULL;
    return writes;
}

void smq_worker_committed(struct smq_worker *w, uint64_t n, struct smqtt_now now)
{
    (void)now;
    w->committed = n;
}

void smq_worker_fetched(struct smq_worker *w, struct smq_fetched *fetched, struct smqtt_now now)
{
    (void)now;
    assert_true(fetched->number > w->fetched);
    w->fetched = fetched->number;
    smq_fetched_free(fetched);
}

void smq_worker_set_store(struct smq_worker *w, enum smq_store_state state, struct smqtt_now now)
{
    (void)now;
    w->store = state;
}

bool smq_conn_paused(const struct smq_conn *conn)
{
    return conn->paused;
}

void *smq_conn_user(const struct smq_conn *conn)
{
    return conn->user;
}

void smq_conn_release(struct smq_worker *w, struct smq_conn *conn, struct smqtt_now now)
{
    (void)now;
    w->released++;
    smq_bytebuf_deinit(&conn->in);
    smq_bytebuf_deinit(&conn->out);
    conn->used = false;
}

#endif
