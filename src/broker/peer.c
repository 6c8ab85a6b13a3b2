/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/peer.h"
#include "broker/held.h"
#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/pull.h"

static uint64_t bit_of(unsigned worker)
{
    return UINT64_C(1) << worker;
}

/* Lets go what a note refers to that nobody will read. */
static void drop_note(struct smq_note *head)
{
    if (head->type <= SMQ_NOTE_BACK) {
        smq_msg_unref(((struct smq_note_msg *)head)->msg);
    } else if (head->type == SMQ_NOTE_FETCHED) {
        struct smq_note_fetched *note = (struct smq_note_fetched *)head;
        for (uint32_t i = 0; i < note->n; i++) {
            smq_msg_unref(note->msgs[i]);
        }
    }
}

static bool tell_hold(struct smq_worker *w, unsigned owner, uint64_t origin, bool on)
{
    if (owner >= w->count) {
        return false;
    }
    struct smq_note_hold *note = smq_peer_note(w, owner, SMQ_NOTE_HOLD, sizeof *note);
    if (note != NULL) {
        note->origin = origin;
        note->on = on;
    }
    return note != NULL;
}

smqtt_err smq_peers_init(struct smq_worker *w)
{
    struct smq_peers *p = &w->peers;
    smq_batch_pool_init(&p->pool, w->mem, drop_note);
    smq_interest_init(&p->interest, w->mem, w->key);
    if (w->count > SMQ_WORKERS_MAX || w->index >= w->count) {
        return SMQTT_E_USAGE;
    }
    if (w->count == 1) {
        return SMQTT_OK;
    }
    p->of = smq_mem_zalloc(w->mem, w->count, sizeof *p->of);
    for (unsigned i = 0; p->of != NULL && i < w->count; i++) {
        p->of[i].kept_by = smq_mem_zalloc(w->mem, w->count, sizeof *p->of[i].kept_by);
        if (p->of[i].kept_by == NULL) {
            return SMQTT_E_NOMEM;
        }
    }
    w->trie.changed = smq_peers_announce;
    w->trie.ctx = w;
    w->tell_hold = tell_hold;
    return p->of != NULL ? smq_batch_pool_refill(&p->pool) : SMQTT_E_NOMEM;
}

void smq_peers_deinit(struct smq_worker *w)
{
    struct smq_peers *p = &w->peers;
    for (unsigned i = 0; p->of != NULL && i < w->count; i++) {
        smq_batch_free(p->of[i].box.first);
        smq_batch_free(p->of[i].box.back);
        smq_mem_free(w->mem, p->of[i].transit.items);
        smq_mem_free(w->mem, p->of[i].kept_by);
    }
    smq_mem_free(w->mem, p->of);
    p->of = NULL;
    smq_interest_deinit(&p->interest);
    smq_batch_pool_deinit(&p->pool);
}

/* ------------------------------------------------------------ writing */

void *smq_peer_note(struct smq_worker *w, unsigned to, enum smq_note_type type, size_t size)
{
    struct smq_outbox *box = &w->peers.of[to].box;
    if (!smq_outbox_reserve(box, &w->peers.pool, size, true)) {
        smq_log(w->log, SMQ_LOG_ERR, "No memory for what worker %u has to tell worker %u.", w->index, to);
        return NULL;
    }
    struct smq_note *note = smq_outbox_add(box, (uint32_t)type, size);
    memset((uint8_t *)note + sizeof *note, 0, note->size - sizeof *note);
    return note;
}

void smq_peer_tell(struct smq_worker *w, unsigned to, enum smq_note_type type, struct smq_handle handle, uint32_t state)
{
    struct smq_note_handle *note = smq_peer_note(w, to, type, sizeof *note);
    if (note != NULL) {
        note->handle = handle;
        note->state = state;
    }
}

/* ------------------------------------------------------------ interest */

smqtt_err smq_peers_reserve(struct smq_worker *w)
{
    struct smq_peers *p = &w->peers;
    for (unsigned i = 0; p->of != NULL && i < w->count; i++) {
        size_t size = sizeof(struct smq_note_interest) + sizeof(struct smq_note_num); /* STORED */
        if (i != w->index && !smq_outbox_reserve(&p->of[i].box, &p->pool, size, false)) {
            return SMQTT_E_NOMEM;
        }
    }
    return SMQTT_OK;
}

void smq_peers_announce(void *worker, smq_span filter, bool begins)
{
    struct smq_worker *w = worker;
    struct smq_filter_key key = smq_filter_key(w->key, filter);
    w->peers.announced += begins;
    for (unsigned i = 0; i < w->count; i++) {
        struct smq_note_interest *note = i != w->index ? smq_peer_note(w, i, SMQ_NOTE_INTEREST, sizeof *note) : NULL;
        if (note != NULL) {
            note->filter = key;
            note->number = begins ? w->peers.announced : 0;
        }
    }
}

uint64_t smq_peers_awaited(const struct smq_worker *w)
{
    return w->peers.announced > w->peers.everyone ? w->peers.announced : 0;
}

static void on_interest(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_interest *note = (const struct smq_note_interest *)head;
    if (note->number == 0) {
        smq_interest_remove(&w->peers.interest, from, &note->filter);
        return;
    }
    smq_interest_add(&w->peers.interest, from, &note->filter);
    w->peers.of[from].heard = note->number; /* it is told when its batch leaves */
}

static void on_applied(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_peers *p = &w->peers;
    const struct smq_note_applied *note = (const struct smq_note_applied *)head;
    p->of[from].applied = note->number;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < w->count; i++) {
        p->of[from].kept_by[i] = note->kept[i];
        if (i != w->index && p->of[i].applied < least) {
            least = p->of[i].applied;
        }
    }
    p->everyone = least;
}

/* ------------------------------------------------------------ the rest */

static void on_hold(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_hold *note = (const struct smq_note_hold *)head;
    (void)from;
    (void)smq_origin_hold(w, note->origin, note->on != 0); /* who is gone needs not to be held */
}

static void on_ask_stats(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    (void)head;
    struct smq_note_stats *note = smq_peer_note(w, from, SMQ_NOTE_STATS, sizeof *note);
    if (note != NULL) {
        smq_worker_stats(w, &note->stats);
    }
}

static void on_stats(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    w->peers.of[from].stats = ((const struct smq_note_stats *)head)->stats;
    smq_sys_on_stats(w, from);
}

static void (*const readers[SMQ_NOTE_TYPES])(struct smq_worker *w, unsigned from, struct smq_note *head) = {
    [SMQ_NOTE_PUBLISH] = smq_peer_on_publish,  [SMQ_NOTE_SMALL] = smq_peer_on_small,
    [SMQ_NOTE_KEEP] = smq_peer_on_keep,        [SMQ_NOTE_GIVE] = smq_share_on_give,
    [SMQ_NOTE_BACK] = smq_group_on_back,       [SMQ_NOTE_SEALED] = smq_far_on_sealed,
    [SMQ_NOTE_OPENED] = smq_far_on_opened,     [SMQ_NOTE_INTEREST] = on_interest,
    [SMQ_NOTE_APPLIED] = on_applied,           [SMQ_NOTE_FETCH] = smq_pull_on_fetch,
    [SMQ_NOTE_FETCHED] = smq_pull_on_fetched,  [SMQ_NOTE_FETCH_END] = smq_pull_on_end,
    [SMQ_NOTE_FETCH_STOP] = smq_pull_on_stop,  [SMQ_NOTE_JOIN] = smq_group_on_join,
    [SMQ_NOTE_JOINED] = smq_share_on_joined,   [SMQ_NOTE_LEAVE] = smq_group_on_leave,
    [SMQ_NOTE_MEMBER] = smq_group_on_member,   [SMQ_NOTE_HOLD] = on_hold,
    [SMQ_NOTE_SERVER] = smq_far_on_server,     [SMQ_NOTE_DETECT] = smq_far_on_detect,
    [SMQ_NOTE_ANSWER] = smq_far_on_answer,     [SMQ_NOTE_DETECTED] = smq_far_on_detected,
    [SMQ_NOTE_ASK_STATS] = on_ask_stats,       [SMQ_NOTE_STATS] = on_stats,
    [SMQ_NOTE_STORED] = smq_durable_on_stored, [SMQ_NOTE_PASSED] = smq_durable_on_passed,
    [SMQ_NOTE_RUN] = smq_peer_on_run,
};

/* ------------------------------------------------------------ batches */

/* What was published here before and is to be retained did not go to the peer's new subscribers, so its keeper must
 * have it before it answers them: it may be on its way still. */
static void tell_applied(struct smq_worker *w, unsigned peer)
{
    struct smq_peer *p = &w->peers.of[peer];
    struct smq_note_applied *note =
        smq_peer_note(w, peer, SMQ_NOTE_APPLIED, sizeof *note + w->count * sizeof note->kept[0]);
    if (note == NULL) {
        return;
    }
    note->number = p->heard;
    for (unsigned i = 0; i < w->count; i++) {
        note->kept[i] = w->peers.of[i].kept_out;
    }
    p->told = p->heard;
}

struct smq_batch *smq_worker_take_batch(struct smq_worker *w, unsigned peer)
{
    if (w->peers.of == NULL || peer >= w->count || peer == w->index) {
        return NULL;
    }
    struct smq_peer *p = &w->peers.of[peer];
    if (p->told != p->heard) {
        tell_applied(w, peer);
    }
    if (p->confirmed != p->safe) {
        struct smq_note_num *note = smq_peer_note(w, peer, SMQ_NOTE_PASSED, sizeof *note);
        if (note != NULL) {
            note->number = p->safe;
            p->confirmed = p->safe;
        }
    }
    struct smq_batch *batch = smq_outbox_take(&p->box);
    p->run = NULL;
    if (batch == NULL && p->box.first != NULL) {
        smq_batch_pool_put(&w->peers.pool, p->box.first); /* room that was not needed */
        p->box.first = p->box.last = NULL;
    }
    return batch;
}

void smq_worker_feed_batch(struct smq_worker *w, unsigned from, struct smq_batch *batch, struct smqtt_now now)
{
    w->now = now;
    while (batch != NULL) {
        struct smq_batch *block = batch;
        struct smq_note *note = NULL;
        batch = block->next;
        while ((note = smq_batch_next(block, note)) != NULL) {
            readers[note->type](w, from, note);
        }
        smq_outbox_give_back(&w->peers.of[from].box, &w->peers.pool, block);
    }
    smq_held_release(w);
}

bool smq_worker_end_round(struct smq_worker *w)
{
    w->n_rounds++;
    return w->round_awaited > w->n_rounds;
}

void smq_worker_settle(struct smq_worker *w, struct smqtt_now now)
{
    w->now = now;
    (void)!smq_batch_pool_refill(&w->peers.pool); /* or the next time */
    smq_pull_tick(w);
    smq_account_trim(w->ledger, w->account, smq_worker_fixed_bytes(w));
}

void smq_worker_set_peer_full(struct smq_worker *w, unsigned peer, bool full)
{
    uint64_t bit = bit_of(peer % SMQ_WORKERS_MAX);
    w->peers.full = full ? w->peers.full | bit : w->peers.full & ~bit;
    smq_worker_read_again(w);
}

void smq_worker_ask_stats(struct smq_worker *w)
{
    for (unsigned i = 0; w->peers.of != NULL && i < w->count; i++) {
        if (i != w->index) {
            (void)!smq_peer_note(w, i, SMQ_NOTE_ASK_STATS, sizeof(struct smq_note));
        }
    }
}

void smq_worker_stats_all(const struct smq_worker *w, struct smq_worker_stats *out)
{
    smq_worker_stats(w, out);
    for (unsigned i = 0; w->peers.of != NULL && i < w->count; i++) {
        const uint64_t *from = (const uint64_t *)(const void *)&w->peers.of[i].stats;
        uint64_t *to = (uint64_t *)(void *)out;
        for (size_t at = 0; at < sizeof *out / sizeof *to; at++) {
            to[at] += from[at];
        }
    }
}
