/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/paged.h"
#include "broker/queue.h"
#include "broker/share.h"
#include "broker/writes.h"

enum {
    EVERY_MS = 60000,    /* all queues with paged messages are looked at */
    GOES_ON_MS = 100,    /* when one call had too much to do */
    RETRY_MS = 1000,     /* after the store could not be read */
    PATIENCE_MS = 30000, /* an answer that is not there by then does not come */
    STEPS = 10000,       /* of one call: sessions, and messages that are dropped; */
    LOOKS = 32           /* so many messages that are only looked at are one step */
};

void smq_pager_init(struct smq_pager *pager)
{
    smq_timer_init(&pager->timer, SMQ_TIMER_PAGED);
    smq_list_init(&pager->list);
}

static void look_within(struct smq_worker *w, smqtt_ms ms)
{
    struct smq_wheel_node *node = &w->pager.timer.node;
    if (!smq_wheel_is_set(node) || node->at > w->now.mono + ms) {
        smq_wheel_set(&w->wheel, node, w->now.mono + ms);
    }
}

/* ------------------------------------------------------------ out of memory */

void smq_paged_begin(struct smq_worker *w, struct smq_session *s, uint32_t expires_s)
{
    struct smq_stored *stored = s->stored;
    if (!smq_list_is_linked(&stored->paging)) {
        smq_list_push_back(&w->pager.list, &stored->paging);
        stored->swept = w->pager.round - 1;
        stored->first_expiry_s = UINT32_MAX;
        look_within(w, EVERY_MS);
    }
    if (expires_s < stored->first_expiry_s) {
        stored->first_expiry_s = expires_s;
    }
}

static void put_away(struct smq_worker *w, struct smq_session *s, struct smq_queued *item)
{
    void *delivery = item->delivery;
    if (item->is_paged || !smq_delivery_has_row(delivery) || smq_delivery_share(delivery) != NULL || w->store_lost) {
        return;
    }
    struct smq_delivery_row row = *smq_delivery_row(delivery);
    if (row.body != NULL) {
        smq_body_unload(row.body);
    }
    smq_delivery_free(w->mem, delivery);
    item->row = row.n;
    item->body = row.body;
    item->is_paged = 1;
    s->queue.n_paged++;
    smq_paged_begin(w, s, item->expires_s);
}

bool smq_paged_takes(const struct smq_session *s, size_t bytes)
{
    const struct smq_queue *q = &s->queue;
    bool keeps_up = s->conn != NULL && s->slow == NULL;
    bool few = q->n == 0 || (q->n < SMQ_QUEUE_IN_MEMORY && q->bytes + bytes <= SMQ_QUEUE_BYTES_IN_MEMORY);
    return q->n_paged != 0 || !(keeps_up || few);
}

void smq_paged_away(struct smq_worker *w, struct smq_session *s)
{
    struct smq_queue *q = &s->queue;
    uint64_t bytes = 0;
    for (uint32_t i = 0; s->stored != NULL && i < q->n; i++) {
        struct smq_queued *item = smq_queue_at(q, i);
        bytes += item->bytes;
        if (i >= SMQ_QUEUE_IN_MEMORY || (i != 0 && bytes > SMQ_QUEUE_BYTES_IN_MEMORY)) {
            put_away(w, s, item);
        }
    }
}

/* ------------------------------------------------------------ wanted */

static bool is_expired(const struct smq_worker *w, const struct smq_queued *item)
{
    return item->expires_s <= w->now.mono / 1000;
}

static void ask(struct smq_worker *w, struct smq_session *s)
{
    struct smq_queue *q = &s->queue;
    uint64_t bytes = 0;
    unsigned n = 0;
    for (uint32_t i = 0; i < q->n && n < SMQ_QUEUE_ASKED; i++) {
        const struct smq_queued *item = smq_queue_at(q, i);
        if (!item->is_paged || is_expired(w, item)) {
            continue;
        }
        bytes += item->bytes;
        if (n != 0 && bytes > SMQ_QUEUE_BYTES_IN_MEMORY) {
            break;
        }
        if (item->body != NULL && item->body->msg == NULL) {
            struct smq_key body = smq_key_body(item->body->mid);
            smq_store_get(w, smq_key_span(&body));
        }
        struct smq_key key = smq_key_queue(s->stored->sid, item->row);
        smq_store_get(w, smq_key_span(&key));
        s->stored->asked = item->row;
        s->stored->asked_at = w->now.mono;
        n++;
    }
}

/* Is less than half of what is asked for at once in front of the first that is not in memory? */
static bool is_near(const struct smq_queue *q)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < q->n && i < SMQ_QUEUE_ASKED / 2 && bytes < SMQ_QUEUE_BYTES_IN_MEMORY / 2; i++) {
        if (smq_queue_at(q, i)->is_paged) {
            return true;
        }
        bytes += smq_queue_at(q, i)->bytes;
    }
    return false;
}

void smq_paged_want(struct smq_worker *w, struct smq_session *s)
{
    const struct smq_queue *q = &s->queue;
    if (s->conn == NULL || q->n_paged == 0) {
        return;
    }
    smqtt_ms patience = s->stored->asked != 0 ? PATIENCE_MS : 0;
    if (w->now.mono >= s->stored->asked_at + patience && is_near(q)) {
        ask(w, s);
    }
}

/* ------------------------------------------------------------ into memory */

void *smq_paged_delivery(struct smq_worker *w, struct smq_session *s, const struct smq_row_queue *row,
                         struct smq_refbuf *msg)
{
    uint32_t *ids = NULL;
    if (row->n_ids != 0) {
        ids = smq_mem_alloc(w->mem, row->n_ids * sizeof *ids);
        if (ids == NULL) {
            return NULL;
        }
        for (uint32_t i = 0; i < row->n_ids; i++) {
            ids[i] = smq_row_id(row, i);
        }
    }
    struct smq_shared *share = row->share.len != 0 ? smq_share_find(w, s, row->share) : NULL;
    void *delivery = smq_delivery_new_stored(w->mem, msg, row->retain, ids, row->n_ids, share);
    if (delivery != NULL) {
        smq_refbuf_ref(msg);
    }
    smq_mem_free(w->mem, ids);
    return delivery;
}

/* What has come so far of the rows that were asked for. */
struct arrival {
    struct smq_worker *w;
    bool failed;             /* what is missing may be there */
    uint64_t mid;            /* the last body that came, */
    bool body_is_bad;        /* missing, or unreadable; else */
    struct smq_refbuf *body; /* its message; NULL: no memory, or it could not be read */
    uint64_t sid;            /* the last session, */
    uint32_t at;             /* and how far its queue was looked through */
};

static void take_body(struct arrival *a, uint64_t mid, const struct smq_fetched_row *got)
{
    struct smq_worker *w = a->w;
    struct smq_row_body row;
    smq_msg_unref(a->body);
    a->body = NULL;
    a->mid = mid;
    a->body_is_bad = got->found ? !smq_row_read_body(got->value, w->now, &row) : !a->failed;
    if (got->found && !a->body_is_bad) {
        a->body = smq_msg_new(w->mem, &row.content, false, w->account);
    }
}

enum arrived {
    ARRIVED,
    AGAIN, /* its body was in memory when it was asked for, and is not any more */
    LATER, /* it could not be read just now */
    BAD
};

/* The message of a row; an ownership for the caller. */
static enum arrived message_of(const struct arrival *a, const struct smq_row_queue *row, const struct smq_body *body,
                               struct smq_refbuf **msg)
{
    if ((row->mid == 0) != (body == NULL) || (body != NULL && body->mid != row->mid)) {
        return BAD;
    }
    if (body == NULL) {
        *msg = smq_msg_new(a->w->mem, &row->content, false, a->w->account);
        return *msg != NULL ? ARRIVED : LATER;
    }
    bool came = a->mid == row->mid;
    struct smq_refbuf *from = body->msg == NULL && came ? a->body : body->msg;
    if (from != NULL) {
        *msg = smq_refbuf_ref(from);
        return ARRIVED;
    }
    if (!came) {
        return AGAIN;
    }
    return a->body_is_bad ? BAD : LATER;
}

static enum arrived fill(struct arrival *a, struct smq_session *s, struct smq_queued *item,
                         const struct smq_fetched_row *got)
{
    struct smq_worker *w = a->w;
    struct smq_row_queue row;
    if (!got->found) {
        return a->failed ? LATER : BAD;
    }
    struct smq_refbuf *msg;
    enum arrived state = smq_row_read_queue(got->value, w->now, &row) ? message_of(a, &row, item->body, &msg) : BAD;
    if (state != ARRIVED) {
        return state;
    }
    void *delivery = smq_paged_delivery(w, s, &row, msg);
    smq_msg_unref(msg);
    if (delivery == NULL) {
        return LATER;
    }
    smq_durable_set_row(delivery, item->row, item->body);
    item->delivery = delivery;
    item->body = NULL;
    item->is_paged = 0;
    s->queue.n_paged--;
    return ARRIVED;
}

/* The item of a row, which may be gone; q->n then. Rows come in the order of their numbers. */
static uint32_t find(struct arrival *a, const struct smq_session *s, uint64_t n)
{
    const struct smq_queue *q = &s->queue;
    a->at = a->sid == s->stored->sid ? a->at : 0;
    a->sid = s->stored->sid;
    for (; a->at < q->n; a->at++) {
        const struct smq_queued *item = smq_queue_at(q, a->at);
        if (item->is_paged && item->row >= n) {
            return item->row == n ? a->at : q->n;
        }
    }
    a->at = 0;
    return q->n;
}

static void say_bad(struct smq_worker *w, const struct smq_session *s)
{
    w->stats.publish_dropped++;
    if (w->pager.said) {
        return;
    }
    w->pager.said = true;
    char id[128];
    smq_text_escape(id, sizeof id, smq_session_id(s));
    smq_log(w->log, SMQ_LOG_ERR,
            "A message for client %s is missing in the store or cannot be read: it is dropped, as others like it will "
            "be; check the disk.",
            id);
}

static void take_row(struct arrival *a, const struct smq_key_parts *key, const struct smq_fetched_row *got)
{
    struct smq_worker *w = a->w;
    struct smq_session *s = smq_durable_find(w, key->sid);
    if (s == NULL) {
        return; /* it ended meanwhile */
    }
    uint32_t i = find(a, s, key->n);
    enum arrived state = i < s->queue.n ? fill(a, s, smq_queue_at(&s->queue, i), got) : ARRIVED;
    if (state == BAD) {
        smq_queue_remove(w, s, i);
        say_bad(w, s);
    }
    s->stored->retry = s->stored->retry || state == LATER;
    if (key->n != s->stored->asked) {
        return;
    }
    a->sid = 0;
    s->stored->asked = 0;
    if (s->stored->retry) {
        s->stored->retry = false;
        s->stored->asked_at = w->now.mono + RETRY_MS;
        w->pager.round++;
        look_within(w, RETRY_MS);
    }
    if (s->conn != NULL) {
        smq_session_pump(w, s);
    }
}

void smq_worker_fetched(struct smq_worker *w, struct smq_fetched *fetched, struct smqtt_now now)
{
    w->now = now;
    struct arrival a = {.w = w, .failed = fetched->failed};
    struct smq_fetched_row got;
    struct smq_key_parts key;
    for (size_t at = 0; smq_fetched_next(fetched, &at, &got);) {
        if (!smq_key_read(got.key, &key)) {
            continue;
        }
        if (key.table == SMQ_TABLE_BODY) {
            take_body(&a, key.n, &got);
        } else if (key.table == SMQ_TABLE_SESSION && key.kind == SMQ_ROW_QUEUE) {
            take_row(&a, &key, &got);
        }
    }
    smq_msg_unref(a.body);
    smq_fetched_free(fetched);
}

/* ------------------------------------------------------------ what expires there */

/* Drops what has expired, wherever it stands, so that the disk shrinks. One pass; what is too much for one call stays
 * for the next. */
static void sweep(struct smq_worker *w, struct smq_session *s, uint32_t *steps)
{
    struct smq_queue *q = &s->queue;
    uint32_t kept = 0, first = UINT32_MAX, n = q->n;
    for (uint32_t i = 0; i < n; i++) {
        struct smq_queued item = *smq_queue_at(q, i);
        if (item.is_paged && is_expired(w, &item) && *steps != 0) {
            smq_durable_let_go_paged(w, s, item.row, item.body);
            q->bytes -= item.bytes;
            q->n_paged--;
            --*steps;
        } else {
            first = item.is_paged && item.expires_s < first ? item.expires_s : first;
            *smq_queue_at(q, kept++) = item;
        }
    }
    w->stats.queued_messages -= n - kept;
    w->stats.publish_dropped += n - kept;
    q->n = kept;
    s->stored->first_expiry_s = first;
    *steps -= n / LOOKS < *steps ? n / LOOKS : *steps;
    if (kept == 0) {
        smq_session_clear_queue(w, s);
    }
}

/* A session that was looked at goes to the end of the list; one that has nothing paged any more leaves it. */
static bool look_at(struct smq_worker *w, struct smq_stored *stored, uint32_t *steps)
{
    struct smq_session *s = smq_durable_find(w, stored->sid);
    --*steps;
    if (s->queue.n_paged != 0 && stored->first_expiry_s <= w->now.mono / 1000) {
        sweep(w, s, steps);
    }
    if (*steps == 0 && stored->first_expiry_s <= w->now.mono / 1000) {
        return false;
    }
    smq_list_remove(&stored->paging);
    if (s->queue.n_paged != 0) {
        smq_list_push_back(&w->pager.list, &stored->paging);
        stored->swept = w->pager.round;
        smq_paged_want(w, s);
    }
    return true;
}

void smq_paged_on_timer(struct smq_worker *w, struct smq_timer *timer)
{
    uint32_t steps = STEPS;
    struct smq_pager *pager = SMQ_CONTAINER_OF(timer, struct smq_pager, timer);
    struct smq_list *at;
    bool done = false;
    while ((at = smq_list_first(&pager->list)) != NULL && steps != 0 && !done) {
        struct smq_stored *stored = SMQ_CONTAINER_OF(at, struct smq_stored, paging);
        done = stored->swept == pager->round || !look_at(w, stored, &steps);
    }
    if (at != NULL) {
        smqtt_ms ms = EVERY_MS;
        if (steps == 0) {
            ms = GOES_ON_MS;
        } else {
            pager->round++;
        }
        look_within(w, ms);
    }
}
