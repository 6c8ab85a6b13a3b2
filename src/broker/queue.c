/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/queue.h"
#include "broker/share.h"
#include "broker/slow.h"

enum { FIRST_ITEMS = 8 };

struct smq_queued smq_queued_of(void *delivery, uint8_t qos, size_t bytes)
{
    struct smq_queued item = {.delivery = delivery, .qos = qos & 3u, .expires_s = UINT32_MAX};
    item.bytes = bytes < SMQ_QUEUED_BYTES_MAX ? (uint32_t)bytes & SMQ_QUEUED_BYTES_MAX : SMQ_QUEUED_BYTES_MAX;
    return item;
}

bool smq_queue_push(struct smq_queue *q, const struct smqtt_mem *mem, struct smq_queued item)
{
    if (q->n == q->cap) {
        uint32_t cap = q->cap != 0 ? q->cap * 2 : FIRST_ITEMS;
        struct smq_queued *items = smq_mem_alloc(mem, cap * sizeof *items);
        if (items == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < q->n; i++) {
            items[i] = *smq_queue_at(q, i);
        }
        smq_mem_free(mem, q->items);
        q->items = items;
        q->cap = cap;
        q->head = 0;
    }
    q->items[(q->head + q->n) & (q->cap - 1)] = item;
    q->n++;
    q->n_paged += item.is_paged;
    q->bytes += item.bytes;
    return true;
}

static void release(struct smq_queue *q, const struct smqtt_mem *mem)
{
    smq_mem_free(mem, q->items);
    *q = (struct smq_queue){0};
}

void smq_queue_pop(struct smq_queue *q, const struct smqtt_mem *mem)
{
    const struct smq_queued *item = &q->items[q->head];
    q->bytes -= item->bytes;
    q->n_paged -= item->is_paged;
    q->head = (q->head + 1) & (q->cap - 1);
    q->n--;
    if (q->n == 0) {
        release(q, mem);
    }
}

static void let_go(struct smq_worker *w, const struct smq_session *s, const struct smq_queued *item)
{
    if (item->is_paged) {
        smq_durable_let_go_paged(w, s, item->row, item->body);
    } else {
        smq_durable_let_go(w, s, item->delivery);
        smq_delivery_free(w->mem, item->delivery);
    }
}

void smq_queue_remove(struct smq_worker *w, struct smq_session *s, uint32_t i)
{
    struct smq_queue *q = &s->queue;
    struct smq_queued item = *smq_queue_at(q, i);
    for (; i != 0; i--) { /* it stands near the head */
        *smq_queue_at(q, i) = *smq_queue_at(q, i - 1);
    }
    *smq_queue_at(q, 0) = item;
    smq_queue_pop(q, w->mem);
    w->stats.queued_messages--;
    let_go(w, s, &item);
}

/* ------------------------------------------------------------ of a session */

void smq_session_clear_queue(struct smq_worker *w, struct smq_session *s)
{
    struct smq_queue *q = &s->queue;
    for (uint32_t i = 0; i < q->n; i++) {
        let_go(w, s, smq_queue_at(q, i));
    }
    w->stats.queued_messages -= q->n;
    release(q, w->mem);
}

/* What is paged came by none: it would be in memory. */
static bool came_by(const struct smq_queued *item, const struct smq_shared *only)
{
    const struct smq_shared *sh = item->is_paged ? NULL : smq_delivery_share(item->delivery);
    return only != NULL ? sh == only : sh != NULL;
}

uint32_t smq_session_take_shared(struct smq_worker *w, struct smq_session *s, const struct smq_shared *only,
                                 void ***taken)
{
    struct smq_queue *q = &s->queue;
    uint32_t n = 0, kept = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        n += came_by(smq_queue_at(q, i), only);
    }
    *taken = n != 0 ? smq_mem_zalloc(w->mem, n, sizeof **taken) : NULL;
    if (*taken == NULL) {
        return 0;
    }
    n = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        const struct smq_queued *item = smq_queue_at(q, i);
        if (came_by(item, only)) {
            q->bytes -= item->bytes;
            (*taken)[n++] = item->delivery;
        } else {
            *smq_queue_at(q, kept++) = *item;
        }
    }
    q->n = kept;
    w->stats.queued_messages -= n;
    if (kept == 0) {
        release(q, w->mem);
    }
    return n;
}

void smq_session_forget_share(struct smq_session *s, const struct smq_shared *sh)
{
    for (uint32_t i = 0; i < s->queue.n; i++) {
        const struct smq_queued *item = smq_queue_at(&s->queue, i);
        if (came_by(item, sh)) {
            smq_delivery_forget_share(item->delivery);
        }
    }
}

void smq_session_drop_first(struct smq_worker *w, struct smq_session *s)
{
    smq_queue_remove(w, s, 0);
    smq_slow_dropped(w, s);
}

/* ------------------------------------------------------------ recovery */

static void has_row(struct smq_session *s, uint64_t n)
{
    if (s->stored->n_rows < n) {
        s->stored->n_rows = n;
    }
}

smqtt_err smq_queue_restore(struct smq_worker *w, struct smq_session *s, uint64_t n, struct smq_body *body,
                            size_t bytes, uint8_t qos, smqtt_ms expires)
{
    struct smq_queued item = smq_queued_of(NULL, qos, bytes);
    item.row = n;
    item.body = body;
    item.is_paged = 1;
    item.expires_s = smq_paged_expiry(expires);
    if (!smq_queue_push(&s->queue, w->mem, item)) {
        return SMQTT_E_NOMEM;
    }
    w->stats.queued_messages++;
    has_row(s, n);
    smq_paged_begin(w, s, item.expires_s);
    return SMQTT_OK;
}

void *smq_queue_restore_delivery(struct smq_worker *w, struct smq_session *s, uint64_t n,
                                 const struct smq_row_queue *row, struct smq_body *body, struct smq_refbuf *msg)
{
    void *delivery = smq_paged_delivery(w, s, row, msg);
    if (delivery != NULL) {
        has_row(s, n);
        smq_durable_set_row(delivery, n, body);
    }
    return delivery;
}
