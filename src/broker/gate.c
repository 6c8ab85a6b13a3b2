/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/gate.h"
#include "broker/durable.h"
#include "broker/hold.h"

enum { FIRST = 4 };

static smqtt_err make(struct smq_conn *conn)
{
    struct smq_worker *w = conn->worker;
    if (conn->gates == NULL) {
        conn->gates = smq_mem_zalloc(w->mem, 1, sizeof *conn->gates);
        if (conn->gates == NULL) {
            return SMQTT_E_NOMEM;
        }
        conn->gates->conn = conn;
        smq_list_init(&conn->gates->of_worker);
        smq_list_push_back(&w->gated, &conn->gates->of_worker);
    }
    struct smq_gates *g = conn->gates;
    if (g->n == g->cap) {
        uint32_t cap = g->cap != 0 ? g->cap * 2 : FIRST;
        struct smq_gate_at *items = smq_mem_resize(w->mem, g->items, cap * sizeof *items);
        if (items == NULL) {
            return SMQTT_E_NOMEM;
        }
        g->items = items;
        g->cap = cap;
    }
    return SMQTT_OK;
}

void smq_gate_drop(struct smq_conn *conn)
{
    struct smq_gates *g = conn->gates;
    if (g != NULL) {
        smq_list_remove(&g->of_worker);
        smq_mem_free(conn->worker->mem, g->items);
        smq_mem_free(conn->worker->mem, g);
        conn->gates = NULL;
    }
}

smqtt_err smq_gate_close(struct smq_conn *conn, uint64_t mark)
{
    struct smq_gates *g = conn->gates;
    if (mark <= conn->worker->mark || (g != NULL && g->n != 0 && g->items[g->n - 1].mark >= mark)) {
        return SMQTT_OK; /* one that is closed already does it */
    }
    smqtt_err err = make(conn);
    g = conn->gates;
    if (err == SMQTT_OK) {
        g->items[g->n++] = (struct smq_gate_at){mark, conn->out.bytes};
    } else if (g != NULL && g->n == 0) {
        smq_gate_drop(conn);
    }
    return err;
}

smqtt_err smq_gate_now(struct smq_conn *conn)
{
    return smq_gate_close(conn, smq_store_mark(conn->worker));
}

size_t smq_gate_open_bytes(const struct smq_conn *conn)
{
    return conn->gates != NULL && conn->gates->n != 0 ? conn->gates->items[0].at : conn->out.bytes;
}

void smq_gate_sent(struct smq_conn *conn, size_t n)
{
    struct smq_gates *g = conn->gates;
    for (uint32_t i = 0; g != NULL && i < g->n; i++) {
        g->items[i].at -= n < g->items[i].at ? n : g->items[i].at;
    }
}

/* Drops the gates that are open. There are as many as commits under way, which is a few. */
static void open(struct smq_conn *conn)
{
    struct smq_gates *g = conn->gates;
    uint32_t n = 0;
    while (n < g->n && g->items[n].mark <= conn->worker->mark) {
        n++;
    }
    if (n == 0) {
        return;
    }
    g->n -= n;
    memmove(g->items, g->items + n, g->n * sizeof *g->items);
    if (g->n == 0) {
        smq_gate_drop(conn);
    }
    smq_conn_make_dirty(conn);
}

void smq_gate_open(struct smq_worker *w)
{
    struct smq_list *next;
    for (struct smq_list *at = w->gated.next; at != &w->gated; at = next) {
        next = at->next;
        open(SMQ_CONTAINER_OF(at, struct smq_gates, of_worker)->conn);
    }
}

bool smq_conn_is_gated(const struct smq_conn *conn)
{
    return smq_gate_open_bytes(conn) < conn->out.bytes;
}
