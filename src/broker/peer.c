/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/peer.h"
#include "broker/internal.h"

static void drop_note(struct smq_note *note)
{
    (void)note;
}

smqtt_err smq_peers_init(struct smq_worker *w)
{
    struct smq_peers *p = &w->peers;
    smq_batch_pool_init(&p->pool, w->mem, drop_note);
    if (w->count > SMQ_WORKERS_MAX) {
        return SMQTT_E_USAGE;
    }
    if (w->count == 1) {
        return SMQTT_OK;
    }
    p->boxes = smq_mem_zalloc(w->mem, w->count, sizeof *p->boxes);
    return p->boxes != NULL ? smq_batch_pool_refill(&p->pool) : SMQTT_E_NOMEM;
}

void smq_peers_deinit(struct smq_worker *w)
{
    struct smq_peers *p = &w->peers;
    for (unsigned i = 0; p->boxes != NULL && i < w->count; i++) {
        smq_batch_free(p->boxes[i].first);
    }
    smq_mem_free(w->mem, p->boxes);
    p->boxes = NULL;
    smq_batch_pool_deinit(&p->pool);
}

struct smq_batch *smq_worker_take_batch(struct smq_worker *w, unsigned peer)
{
    return w->peers.boxes != NULL && peer < w->count ? smq_outbox_take(&w->peers.boxes[peer]) : NULL;
}

void smq_worker_feed_batch(struct smq_worker *w, unsigned from, struct smq_batch *batch, struct smqtt_now now)
{
    (void)from;
    w->now = now;
    while (batch != NULL) {
        struct smq_batch *block = batch;
        batch = block->next;
        smq_batch_pool_put(&w->peers.pool, block);
    }
}

void smq_worker_settle(struct smq_worker *w, struct smqtt_now now)
{
    w->now = now;
}

void smq_worker_set_peer_full(struct smq_worker *w, unsigned peer, bool full)
{
    uint64_t bit = UINT64_C(1) << (peer % SMQ_WORKERS_MAX);
    w->peers.full = full ? w->peers.full | bit : w->peers.full & ~bit;
}
