/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/held.h"
#include "broker/gate.h"
#include "broker/internal.h"
#include "broker/pull.h"

smqtt_err smq_held_new(struct smq_worker *w, struct smq_conn *conn, enum smq_type type, uint16_t id, uint32_t n,
                       struct smq_held **out)
{
    struct smq_held *held = smq_mem_zalloc(w->mem, 1, sizeof *held + n);
    if (held == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_list_init(&held->of_worker);
    smq_list_init(&held->pulls);
    held->conn = conn;
    held->type = (uint8_t)type;
    held->id = id;
    held->n = n;
    *out = held;
    return SMQTT_OK;
}

smqtt_err smq_held_name(struct smq_worker *w, struct smq_held *held)
{
    return held->self.gen != 0 ? SMQTT_OK : smq_handle_make(&w->handles, held, &held->self);
}

/* How many wait decides whether the connection is read. */
static void count(struct smq_held *held, int change)
{
    struct smq_conn *conn = held->conn;
    if (conn == NULL) {
        return;
    }
    conn->n_held = (uint8_t)(conn->n_held + change);
    bool goes_on = change < 0 && conn->n_held == SMQ_HELD_MAX - 1;
    if (conn->n_held == 0 && conn->stalled && smq_worker_takes_publish(conn->worker)) {
        conn->stalled = false;
        goes_on = true;
    }
    if (conn->state != SMQ_CONN_OVER && (goes_on || conn->n_held == SMQ_HELD_MAX)) {
        conn->last_in = conn->worker->now.mono; /* what is not read is not its fault */
        smq_conn_arm(conn);
        smq_conn_make_dirty(conn);
    }
}

/* The one of the connection that was held last. It stands near the end: what is held leaves after a round trip. */
static struct smq_held *last_of(const struct smq_worker *w, const struct smq_conn *conn)
{
    if (conn == NULL || conn->n_held == 0) {
        return NULL;
    }
    const struct smq_list *at = w->helds.prev;
    while (SMQ_CONTAINER_OF(at, struct smq_held, of_worker)->conn != conn) {
        at = at->prev;
    }
    return SMQ_CONTAINER_OF(at, struct smq_held, of_worker);
}

static void unchain(struct smq_held *held)
{
    if (held->before != NULL) {
        held->before->behind = held->behind;
    }
    if (held->behind != NULL) {
        held->behind->before = held->before;
    }
}

void smq_held_free(struct smq_worker *w, struct smq_held *held)
{
    unchain(held);
    if (smq_list_is_linked(&held->of_worker)) {
        smq_list_remove(&held->of_worker);
        count(held, -1);
    }
    smq_pull_forget(w, held);
    smq_handle_end(&w->handles, held->self);
    smq_mem_free(w->mem, held);
}

static bool may_leave(const struct smq_worker *w, const struct smq_held *held)
{
    return held->awaited <= w->peers.everyone && held->n_joins == 0 && held->before == NULL;
}

static smqtt_err send(struct smq_worker *w, struct smq_held *held)
{
    if (held->is_note) {
        struct smq_note_joined *note = smq_peer_note(w, held->to, SMQ_NOTE_JOINED, sizeof *note);
        if (note != NULL) {
            struct smq_note head = note->head;
            *note = held->joined;
            note->head = head;
        }
        return SMQTT_OK;
    }
    if (held->conn == NULL) {
        return SMQTT_OK;
    }
    struct smq_packet pkt = {.type = (enum smq_type)held->type};
    if (pkt.type != SMQ_PINGRESP) {
        pkt.suback.id = held->id;
        pkt.suback.codes = smq_span_of(held->codes, held->n);
        smq_props_clear(&pkt.suback.props);
    }
    if (held->conn->session != NULL && held->conn->session->stored != NULL) {
        SMQ_TRY(smq_gate_now(held->conn));
    }
    SMQ_TRY(smq_conn_write(held->conn, &pkt));
    smq_pull_begin(w, held);
    return SMQTT_OK;
}

smqtt_err smq_held_finish(struct smq_worker *w, struct smq_held *held)
{
    held->awaited = smq_peers_awaited(w);
    held->before = last_of(w, held->conn);
    if (held->before != NULL) {
        held->before->behind = held;
    }
    if (!may_leave(w, held)) {
        smq_list_push_back(&w->helds, &held->of_worker);
        count(held, 1);
        return SMQTT_OK;
    }
    smqtt_err err = send(w, held);
    smq_held_free(w, held);
    return err;
}

smqtt_err smq_held_ping(struct smq_worker *w, struct smq_conn *conn)
{
    struct smq_held *held;
    SMQ_TRY(smq_held_new(w, conn, SMQ_PINGRESP, 0, 0, &held));
    return smq_held_finish(w, held);
}

void smq_held_answer(struct smq_worker *w, unsigned to, const struct smq_note_joined *joined)
{
    struct smq_held *held;
    if (smq_held_new(w, NULL, SMQ_SUBACK, 0, 0, &held) != SMQTT_OK) {
        smq_log(w->log, SMQ_LOG_ERR, "No memory to tell worker %u that its client has joined a group.", to);
        return;
    }
    held->is_note = true;
    held->to = to;
    held->joined = *joined;
    (void)!smq_held_finish(w, held); /* notes do not fail */
}

void smq_held_release(struct smq_worker *w)
{
    struct smq_list *next;
    for (struct smq_list *at = w->helds.next; at != &w->helds; at = next) {
        struct smq_held *held = SMQ_CONTAINER_OF(at, struct smq_held, of_worker);
        next = at->next;
        if (held->awaited > w->peers.everyone) {
            return; /* the others came later */
        }
        if (may_leave(w, held)) {
            if (send(w, held) != SMQTT_OK) {
                smq_conn_doom(held->conn, SMQTT_E_NOMEM);
            }
            smq_held_free(w, held);
        }
    }
}

void smq_held_drop(struct smq_worker *w, struct smq_conn *conn)
{
    struct smq_list *next;
    for (struct smq_list *at = w->helds.next; conn->n_held != 0 && at != &w->helds; at = next) {
        struct smq_held *held = SMQ_CONTAINER_OF(at, struct smq_held, of_worker);
        next = at->next;
        if (held->conn == conn) {
            smq_held_free(w, held);
        }
    }
}

void smq_held_deinit(struct smq_worker *w)
{
    struct smq_list *at;
    while ((at = smq_list_first(&w->helds)) != NULL) {
        struct smq_held *held = SMQ_CONTAINER_OF(at, struct smq_held, of_worker);
        held->conn = NULL;
        smq_held_free(w, held);
    }
}
