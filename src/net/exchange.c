/* SPDX-License-Identifier: Apache-2.0 */
/* A loop and its post: batches of the worker, transports, orders. */
#include "base/mem.h"
#include "broker/writes.h"
#include "net/loop_parts.h"

#define ROUNDS_MAX 64   /* of reading mail in one turn; those who wait for sockets shall not wait longer */
#define MAILS_MAX  1024 /* of one peer in one round: as many as a ring holds, so that a round takes all there was */

/* ---------------------------------------------------------------- orders */

static void drop_order(const struct smqtt_mem *mem, struct smq_order *order)
{
    for (size_t i = 0; i < order->n_opened; i++) {
        smq_sockets_close(&order->opened[i].sockets);
    }
    smq_settings_unref(order->settings);
    smq_mem_free(mem, order);
}

static void configure(struct smq_loop *loop, struct smq_order *order)
{
    if (loop->ending) {
        return;
    }
    smq_loop_configure(loop, order->settings);
    for (size_t i = 0; i < order->n_opened; i++) {
        smq_loop_listen(loop, &order->opened[i]);
    }
    order->n_opened = 0;
}

void smq_loop_obey(struct smq_loop *loop, struct smq_order *order)
{
    switch (order->kind) {
    case SMQ_ORDER_CONFIGURE:
        configure(loop, order);
        break;
    case SMQ_ORDER_SHUTDOWN:
        smq_loop_shutdown(loop, order->grace_ms);
        break;
    case SMQ_ORDER_CALL:
        order->call(order->ctx, loop);
        break;
    }
    drop_order(loop->env.mem, order);
}

/* ---------------------------------------------------------------- transports */

static void adopt(struct smq_loop *loop, struct smq_parcel *parcel)
{
    smq_span peer = smq_span_of(parcel->bytes, parcel->peer_len);
    if (loop->ending) {
        smq_exchange_drop_parcel(loop->env.mem, parcel);
        return;
    }
    struct smq_transport *t = smq_transport_new(loop, parcel->fd, parcel->site, peer);
    if (t == NULL) {
        smq_log(loop->env.log, SMQ_LOG_NOTICE,
                "Connection from %.*s refused: the limit of connections or of memory is reached.", (int)peer.len,
                (const char *)peer.data);
    } else {
        smq_transport_configure(t, loop->settings); /* they may have changed on the way */
        smq_transport_unread(t, smq_span_of(parcel->bytes + parcel->peer_len, parcel->len));
    }
    smq_mem_free(loop->env.mem, parcel);
}

/* ---------------------------------------------------------------- mail */

void smq_loop_drop_mail(void *mem, const struct smq_mail *mail)
{
    switch ((enum smq_mail_kind)mail->kind) {
    case SMQ_MAIL_BATCH:
        smq_batch_free(mail->what);
        break;
    case SMQ_MAIL_PARCEL:
        smq_exchange_drop_parcel(mem, mail->what);
        break;
    case SMQ_MAIL_ORDER:
        drop_order(mem, mail->what);
        break;
    }
}

static void open_mail(struct smq_loop *loop, unsigned from, const struct smq_mail *mail)
{
    switch ((enum smq_mail_kind)mail->kind) {
    case SMQ_MAIL_BATCH:
        smq_worker_feed_batch(loop->worker, from, mail->what, loop->now);
        break;
    case SMQ_MAIL_PARCEL:
        adopt(loop, mail->what);
        break;
    case SMQ_MAIL_ORDER:
        smq_loop_obey(loop, mail->what);
        break;
    }
}

/* Looks at all peers once; true when there was something. Who says more meanwhile is heard in the next round. */
static bool take_round(struct smq_loop *loop)
{
    bool found = false;
    struct smq_mail mail;
    for (unsigned from = 0; from < loop->count; from++) {
        for (unsigned i = 0; i < MAILS_MAX && smq_post_take(loop->env.post, loop->env.index, from, &mail); i++) {
            open_mail(loop, from, &mail);
            found = true;
        }
    }
    return found;
}

void smq_exchange_take(struct smq_loop *loop)
{
    if (loop->count == 1) {
        return;
    }
    bool found;
    bool any = loop->unsettled;
    bool waits;
    unsigned rounds = 0;
    do {
        found = take_round(loop);
        waits = smq_worker_end_round(loop->worker);
        any = any || found;
        rounds++;
    } while ((found || waits) && rounds < ROUNDS_MAX);
    loop->unsettled = found || waits;
    if (any) {
        smq_post_thank(loop->env.post, loop->env.index);
    }
    smq_worker_settle(loop->worker, loop->now);
}

/* ---------------------------------------------------------------- the store */

void smq_exchange_take_stored(struct smq_loop *loop)
{
    struct smq_committer_news news;
    if (loop->env.committer == NULL || !smq_committer_has_news(loop->env.committer, loop->env.index)) {
        return;
    }
    smq_committer_take(loop->env.committer, loop->env.index, &news);
    while (news.fetched != NULL) {
        struct smq_fetched *fetched = news.fetched;
        news.fetched = fetched->next;
        smq_worker_fetched(loop->worker, fetched, loop->now);
    }
    smq_worker_committed(loop->worker, news.committed, loop->now);
    smq_worker_set_store(loop->worker, news.state, loop->now);
}

static void give_writes(struct smq_loop *loop)
{
    if (loop->env.committer != NULL) {
        smq_committer_give(loop->env.committer, smq_worker_take_writes(loop->worker));
    }
}

/* ---------------------------------------------------------------- giving */

void smq_exchange_give(struct smq_loop *loop)
{
    struct smq_post *post = loop->env.post;
    unsigned me = loop->env.index;
    give_writes(loop); /* first: what others do because of the batches is committed behind them */
    loop->stuck = false;
    for (unsigned to = 0; to < loop->count; to++) {
        bool changed = false;
        if (to == me) {
            continue;
        }
        struct smq_batch *batch = NULL;
        if (!smq_post_has_place(post, me, to)) {
            loop->stuck = true;
        } else if ((batch = smq_worker_take_batch(loop->worker, to)) != NULL) {
            smq_post_send_batch(post, me, to, batch, smq_batch_size(batch));
        }
        bool full = smq_post_is_full(post, me, to, &changed);
        if (changed) {
            smq_worker_set_peer_full(loop->worker, to, full);
        }
    }
    smq_post_flush(post, me);
}
