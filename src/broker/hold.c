/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/hold.h"
#include "broker/gate.h"
#include "broker/internal.h"
#include "broker/route.h"

enum { FIRST_ITEMS = 16, WORKER_SHIFT = 48 };

static smq_span key_of(const uint64_t *origin)
{
    return smq_span_of(origin, sizeof *origin);
}

static smqtt_err make(struct smq_conn *conn)
{
    if (conn->hold == NULL) {
        conn->hold = smq_mem_zalloc(conn->worker->mem, 1, sizeof *conn->hold);
    }
    return conn->hold != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

static smqtt_err grow(struct smq_hold *h, const struct smqtt_mem *mem)
{
    uint32_t cap = h->cap != 0 ? h->cap * 2 : FIRST_ITEMS;
    struct smq_waiting_ack *items = smq_mem_alloc(mem, cap * sizeof *items);
    if (items == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        items[i] = h->items[(h->head + i) & (h->cap - 1)];
    }
    smq_mem_free(mem, h->items);
    h->items = items;
    h->head = 0;
    h->cap = cap;
    return SMQTT_OK;
}

/* Memory is only kept for what waits, and for who is known by its origin elsewhere. */
static void shrink(struct smq_conn *conn)
{
    struct smq_hold *h = conn->hold;
    const struct smqtt_mem *mem = conn->worker->mem;
    if (h->n != 0) {
        return;
    }
    smq_mem_free(mem, h->items);
    h->items = NULL;
    h->head = 0;
    h->cap = 0;
    if (h->holds == 0 && h->origin == 0) {
        smq_mem_free(mem, h);
        conn->hold = NULL;
    }
}

smqtt_err smq_hold_ack(struct smq_conn *conn, enum smq_type type, uint16_t id, uint8_t reason, size_t bytes)
{
    struct smq_hold *h = conn->hold;
    uint32_t counted = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
    const struct smq_waiting_ack ack = {counted, id, (uint8_t)type, reason};
    if (h->n == h->cap) {
        SMQ_TRY(grow(h, conn->worker->mem));
    }
    h->items[(h->head + h->n) & (h->cap - 1)] = ack;
    h->n++;
    h->n_puback += ack.type == SMQ_PUBACK;
    h->bytes += ack.bytes;
    if (smq_hold_pauses(conn)) {
        smq_conn_make_dirty(conn);
    }
    return SMQTT_OK;
}

bool smq_hold_pauses(const struct smq_conn *conn)
{
    const struct smq_hold *h = conn->hold;
    if (h == NULL || h->n == 0 || smq_conn_is_v5(conn)) {
        return false;
    }
    const struct smq_broker_config *config = conn->worker->config;
    uint32_t max = config->receive_maximum != 0 ? config->receive_maximum : UINT16_MAX;
    bool owes = conn->session != NULL && conn->session->out.count != 0 &&
                (config->max_output_bytes == 0 || h->bytes < config->max_output_bytes);
    return h->n >= max && !owes;
}

smqtt_err smq_hold_begin(struct smq_conn *conn)
{
    SMQ_TRY(make(conn));
    conn->hold->holds++;
    return SMQTT_OK;
}

/* What their messages wrote may have been written a moment ago. */
static void flush(struct smq_conn *conn)
{
    struct smq_hold *h = conn->hold;
    bool paused = smq_hold_pauses(conn);
    while (h->n != 0) {
        struct smq_waiting_ack ack = h->items[h->head];
        if (smq_gate_now(conn) != SMQTT_OK ||
            smq_conn_write_ack(conn, (enum smq_type)ack.type, ack.id, ack.reason) != SMQTT_OK) {
            smq_conn_doom(conn, SMQTT_E_NOMEM); /* not from here: who calls may be in the middle of something */
            return;
        }
        h->head = (h->head + 1) & (h->cap - 1);
        h->n--;
        h->n_puback -= ack.type == SMQ_PUBACK;
        h->bytes -= ack.bytes;
    }
    if (paused && !smq_hold_pauses(conn)) {
        conn->last_in = conn->worker->now.mono; /* it could not be heard meanwhile */
        smq_conn_arm(conn);
        smq_conn_make_dirty(conn);
    }
    shrink(conn);
}

void smq_hold_end(struct smq_conn *conn)
{
    struct smq_hold *h = conn->hold;
    if (h == NULL || h->holds == 0) {
        return;
    }
    h->holds--;
    if (h->holds == 0) {
        flush(conn);
    }
}

void smq_hold_drop(struct smq_conn *conn)
{
    struct smq_hold *h = conn->hold;
    if (h == NULL) {
        return;
    }
    if (h->origin != 0) {
        smq_map_del(&conn->worker->origins, key_of(&h->origin));
    }
    smq_mem_free(conn->worker->mem, h->items);
    smq_mem_free(conn->worker->mem, h);
    conn->hold = NULL;
}

/* ------------------------------------------------------------ origins */

uint64_t smq_origin_of(struct smq_conn *conn)
{
    struct smq_worker *w = conn->worker;
    if (make(conn) != SMQTT_OK) {
        return 0;
    }
    struct smq_hold *h = conn->hold;
    if (h->origin == 0) {
        h->origin = (uint64_t)w->index << WORKER_SHIFT | ++w->n_origins;
        if (smq_map_put(&w->origins, key_of(&h->origin), conn, NULL) != SMQTT_OK) {
            h->origin = 0;
            shrink(conn);
            return 0;
        }
    }
    return h->origin;
}

uint64_t smq_origin_of_routing(const struct smq_routing *r)
{
    if (r->origin != 0 || r->from == NULL) {
        return r->origin;
    }
    const struct smq_session *s = SMQ_CONTAINER_OF(r->from, const struct smq_session, sub);
    return s->conn != NULL ? smq_origin_of(s->conn) : 0;
}

bool smq_origin_hold(struct smq_worker *w, uint64_t origin, bool on)
{
    unsigned owner = (unsigned)(origin >> WORKER_SHIFT);
    if (owner != w->index) {
        return w->tell_hold != NULL && w->tell_hold(w, owner, origin, on);
    }
    struct smq_conn *conn = smq_map_get(&w->origins, key_of(&origin));
    if (conn == NULL) {
        return false;
    }
    if (on) {
        return smq_hold_begin(conn) == SMQTT_OK;
    }
    smq_hold_end(conn);
    return true;
}
