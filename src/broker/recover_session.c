/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: their rows come in the order of enum smq_session_row, so that what is in flight is known before the queue.
 */
#include "broker/queue.h"
#include "broker/recovery.h"
#include "broker/share.h"
#include "broker/will.h"
#include "codec/topic.h"

#include <stdlib.h>

enum { SPEAK_EVERY = 4096, LEAST_LEVELS = 200 };

/* ------------------------------------------------------------ HEAD */

static void drop_session(struct smq_worker *w, uint64_t sid)
{
    struct smq_key prefix = smq_key_session(sid);
    smq_store_del_prefix(w, smq_key_span(&prefix));
}

/* Who is away for longer than the session was to live is gone. A clock that was set back is no reason to wait longer.
 */
static bool is_over(const struct smq_recovery *r, const struct smq_row_head *head, uint64_t away_since)
{
    uint64_t left = (uint64_t)head->expiry_s * 1000;
    return head->expiry_s != UINT32_MAX && r->now.wall - away_since >= left;
}

static smqtt_err add_due(struct smq_recovery *r, bool ends)
{
    SMQ_TRY(smq_recovery_grow(r, (void **)&r->due, r->n_due, &r->cap_due, sizeof *r->due));
    r->due[r->n_due++] = (struct smq_due){r->cur.w, r->cur.s, ends};
    return SMQTT_OK;
}

static smqtt_err make(struct smq_recovery *r, const struct smq_row_head *head)
{
    struct smq_found_session *cur = &r->cur;
    struct smq_worker *w = cur->w;
    SMQ_TRY(smq_session_new(w, head->client_id, &cur->s));
    struct smq_session *s = cur->s;
    s->expiry_s = head->expiry_s;
    s->listener_id = head->listener_id;
    if (head->has_user) {
        s->user = smq_mem_dup(w->mem, head->user);
        s->user_len = (uint32_t)head->user.len;
        if (s->user == NULL) {
            return SMQTT_E_NOMEM;
        }
    }
    if (cur->ends) {
        drop_session(w, cur->sid);
        r->counts.ended++;
        w->stats.expired += head->expiry_s != 0;
        return add_due(r, true);
    }
    r->counts.sessions++;
    SMQ_TRY(smq_durable_name(w, s, cur->sid));
    if (cur->was_online) {
        smq_durable_head(w, s); /* it is away since now */
    }
    return s->expiry_s != UINT32_MAX
               ? smq_session_expire_at(w, s,
                                       w->now.mono + (smqtt_ms)s->expiry_s * 1000 - (r->now.wall - cur->away_since))
               : SMQTT_OK;
}

static smqtt_err on_head(struct smq_recovery *r, smq_span value)
{
    struct smq_row_head head;
    struct smq_found_session *cur = &r->cur;
    cur->w = r->workers[0];
    if (!smq_row_read_head(value, &head)) {
        drop_session(cur->w, cur->sid);
        r->counts.dropped++;
        return SMQTT_OK;
    }
    cur->w = smq_recovery_owner(r, head.client_id);
    if (smq_session_find(cur->w, head.client_id) != NULL) {
        drop_session(cur->w, cur->sid); /* two of one name: no broker writes that */
        r->counts.dropped++;
        return SMQTT_OK;
    }
    cur->was_online = head.away_since == 0;
    bool known = !cur->was_online && head.away_since <= r->now.wall;
    cur->away_since = known ? head.away_since : r->now.wall;
    cur->ends = is_over(r, &head, cur->away_since);
    return make(r, &head);
}

/* ------------------------------------------------------------ the small rows */

static void drop_row(struct smq_recovery *r, smq_span key)
{
    if (r->cur.ends) {
        r->counts.dropped++; /* it goes with all the others */
    } else {
        smq_recovery_drop(r, r->cur.w, key);
    }
}

/* As after a connection that was lost: at this start, or when the session has been away before. */
static smqtt_err arm_will(struct smq_recovery *r)
{
    struct smq_worker *w = r->cur.w;
    struct smq_session *s = r->cur.s;
    uint64_t away_ms = r->now.wall - r->cur.away_since, delay_ms = (uint64_t)s->will->delay_s * 1000;
    if (r->cur.ends) {
        return SMQTT_OK; /* fires with its end [MQTT-3.1.3-9] */
    }
    if (delay_ms <= away_ms) {
        return add_due(r, false);
    }
    s->will->session = s;
    smq_wheel_set(&w->wheel, &s->will->timer.node, w->now.mono + (delay_ms - away_ms));
    return SMQTT_OK;
}

static smqtt_err on_will(struct smq_recovery *r, smq_span key, smq_span value)
{
    struct smq_worker *w = r->cur.w;
    struct smq_row_will row;
    const struct smq_broker_config *config = w->config;
    if (!smq_row_read_will(value, r->now, &row) ||
        !smq_content_is_sound(&row.content, config->text_policy, config->max_topic_levels)) {
        drop_row(r, key);
        return SMQTT_OK;
    }
    struct smq_will_due *will = smq_mem_zalloc(w->mem, 1, sizeof *will);
    struct smq_refbuf *msg = will != NULL ? smq_msg_new(w->mem, &row.content, true, w->account) : NULL;
    if (msg == NULL) {
        smq_mem_free(w->mem, will);
        return SMQTT_E_NOMEM;
    }
    smq_timer_init(&will->timer, SMQ_TIMER_WILL);
    will->msg = msg;
    will->delay_s = row.delay_s;
    will->expiry_s = row.expiry_s;
    r->cur.s->will = will;
    return arm_will(r);
}

static smqtt_err subscribe(struct smq_recovery *r, smq_span filter, const struct smq_row_sub *row)
{
    struct smq_worker *w = r->cur.w;
    struct smq_session *s = r->cur.s;
    smq_span group, inner;
    bool existed;
    if (smq_topic_split_share(filter, &group, &inner)) {
        SMQ_TRY(smq_share_subscribe(w, s, filter, row->options, row->id, NULL, 0));
        r->n_shared++;
    } else {
        SMQ_TRY(smq_peers_reserve(w));
        SMQ_TRY(smq_trie_subscribe(&w->trie, &s->sub, filter, row->options, row->id, &existed));
    }
    smq_durable_announce(w);
    r->counts.subscriptions++;
    r->n_told++;
    if (r->n_told % SPEAK_EVERY == 0) {
        smq_recovery_exchange(r);
    }
    return SMQTT_OK;
}

static smqtt_err on_sub(struct smq_recovery *r, smq_span filter, smq_span key, smq_span value)
{
    struct smq_row_sub row;
    uint16_t levels = r->cur.w->config->max_topic_levels;
    levels = levels > LEAST_LEVELS ? levels : LEAST_LEVELS;
    bool ok = smq_row_read_sub(value, &row) && (row.options & SMQ_SUB_QOS) != 3 &&
              (row.options & ~(SMQ_SUB_QOS | SMQ_SUB_NO_LOCAL | SMQ_SUB_RAP)) == 0 &&
              smq_topic_filter_ok(filter, levels);
    if (!ok) {
        drop_row(r, key);
        return SMQTT_OK;
    }
    return r->cur.ends ? SMQTT_OK : subscribe(r, filter, &row);
}

static smqtt_err on_in(struct smq_recovery *r, uint16_t id)
{
    bool fresh;
    return r->cur.ends ? SMQTT_OK : smq_qos2_in_add(&r->cur.s->in, r->cur.w->mem, id, UINT16_MAX, &fresh);
}

static smqtt_err on_out(struct smq_recovery *r, uint16_t id, smq_span key, smq_span value)
{
    struct smq_found_session *cur = &r->cur;
    struct smq_row_out row;
    if (!smq_row_read_out(value, &row) || row.state == SMQ_OUT_FREE || row.state > SMQ_OUT_WAIT_PUBCOMP) {
        drop_row(r, key);
        return SMQTT_OK;
    }
    SMQ_TRY(smq_recovery_grow(r, (void **)&cur->outs, cur->n_outs, &cur->cap_outs, sizeof *cur->outs));
    cur->outs[cur->n_outs++] = (struct smq_found_out){row.n, id, row.state};
    return SMQTT_OK;
}

/* ------------------------------------------------------------ what is in flight */

static int compare(const void *a, const void *b)
{
    const struct smq_found_out *x = a, *y = b;
    return (x->n > y->n) - (x->n < y->n);
}

/* OUT rows of messages before n, whose own rows are gone: of QoS 2 after PUBREC nothing else is left. */
static smqtt_err outs_before(struct smq_recovery *r, uint64_t n)
{
    struct smq_found_session *cur = &r->cur;
    if (!cur->outs_sorted && cur->n_outs != 0) {
        qsort(cur->outs, cur->n_outs, sizeof *cur->outs, compare);
        cur->outs_sorted = true;
    }
    while (cur->next_out < cur->n_outs && cur->outs[cur->next_out].n < n) {
        const struct smq_found_out *out = &cur->outs[cur->next_out++];
        struct smq_out_slot *slot;
        smqtt_err err = SMQTT_E_USAGE;
        if (cur->ends) {
            continue;
        }
        if (out->state == SMQ_OUT_WAIT_PUBCOMP) {
            err = smq_inflight_restore(&cur->s->out, cur->w->mem, out->id, SMQ_OUT_WAIT_PUBCOMP, NULL, &slot);
        }
        if (err == SMQTT_E_NOMEM) {
            return err;
        }
        if (err == SMQTT_OK) {
            slot->sent = SMQ_WAS_SENT | SMQ_HAS_OUT;
            r->counts.in_flight++;
            cur->s->stored->n_rows = out->n > cur->s->stored->n_rows ? out->n : cur->s->stored->n_rows;
        } else {
            struct smq_key key = smq_key_packet(cur->sid, SMQ_ROW_OUT, out->id);
            drop_row(r, smq_key_span(&key));
        }
    }
    return SMQTT_OK;
}

static smqtt_err fill_slot(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot, uint64_t n,
                           const struct smq_row_queue *row, struct smq_body *body, struct smq_refbuf *msg)
{
    slot->msg = msg != NULL ? smq_queue_restore_delivery(w, s, n, row, body, msg) : NULL;
    s->inflight_bytes += slot->msg != NULL ? msg->len : 0;
    smq_msg_unref(msg);
    return slot->msg != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

/* ------------------------------------------------------------ the queue */

/* Its body; the row is written anew where that has another name. With a body of no name the row is dropped: *ok. */
static smqtt_err find_body(struct smq_recovery *r, const struct smq_row_queue *row, smq_span key, smq_span value,
                           struct smq_body **body, bool *ok)
{
    struct smq_worker *w = r->cur.w;
    *body = NULL;
    *ok = true;
    if (row->mid == 0) {
        return SMQTT_OK;
    }
    SMQ_TRY(smq_recovery_body(r, w, row->mid, row->size, body));
    *ok = *body != NULL;
    if (!*ok) {
        drop_row(r, key);
    } else if ((*body)->mid != row->mid) {
        uint8_t *at = smq_store_put_room(w, key, value.len);
        if (at != NULL) {
            memcpy(at, value.data, value.len);
            smq_row_set_queue_mid(at, (*body)->mid);
        }
    }
    return SMQTT_OK;
}

static smqtt_err wait_for(struct smq_recovery *r, const struct smq_wait *fields, uint64_t mid, smq_span value)
{
    struct smq_wait *wait = NULL;
    SMQ_TRY(smq_recovery_wait(r, mid, value, &wait));
    wait->kind = fields->kind;
    wait->w = r->cur.w;
    wait->s = r->cur.s;
    wait->body = fields->body;
    wait->n = fields->n;
    wait->at = fields->at;
    return SMQTT_OK;
}

static smqtt_err into_flight(struct smq_recovery *r, uint64_t n, struct smq_out_slot *slot,
                             const struct smq_row_queue *row, struct smq_body *body, smq_span value)
{
    struct smq_worker *w = r->cur.w;
    r->counts.in_flight++;
    if (body != NULL) {
        struct smq_wait fields = {.kind = SMQ_WAIT_FLIGHT, .body = body, .n = n, .at = slot->id};
        return wait_for(r, &fields, row->mid, value);
    }
    return fill_slot(w, r->cur.s, slot, n, row, NULL, smq_msg_new(w->mem, &row->content, false, w->account));
}

/* What came by a shared subscription is in memory: it may have to be given back (broker/paged.h). */
static smqtt_err into_queue(struct smq_recovery *r, uint64_t n, const struct smq_row_queue *row, struct smq_body *body,
                            smq_span value)
{
    struct smq_worker *w = r->cur.w;
    struct smq_session *s = r->cur.s;
    bool shared = row->share.len != 0 && smq_share_find(w, s, row->share) != NULL;
    r->counts.queued++;
    if (shared && body == NULL) {
        struct smq_refbuf *msg = smq_msg_new(w->mem, &row->content, false, w->account);
        void *delivery = msg != NULL ? smq_queue_restore_delivery(w, s, n, row, NULL, msg) : NULL;
        bool ok = delivery != NULL && smq_queue_push(&s->queue, w->mem, smq_queued_of(delivery, row->qos, msg->len));
        smq_msg_unref(msg);
        if (!ok) {
            smq_delivery_free(w->mem, delivery);
            return SMQTT_E_NOMEM;
        }
        w->stats.queued_messages++;
        return SMQTT_OK;
    }
    SMQ_TRY(smq_queue_restore(w, s, n, body, row->size, row->qos, row->expires));
    struct smq_wait fields = {.kind = SMQ_WAIT_QUEUED, .body = body, .n = n, .at = s->queue.n - 1};
    return shared ? wait_for(r, &fields, row->mid, value) : SMQTT_OK;
}

/* Of a session that ends: what others of a shared subscription may have. What it was sent of QoS 2 ends with it
 * [MQTT-4.8.2-5]. */
static smqtt_err give_away(struct smq_recovery *r, uint64_t n, const struct smq_row_queue *row, bool sent,
                           smq_span value)
{
    if (row->share.len == 0 || (sent && row->qos == 2)) {
        return SMQTT_OK;
    }
    if (row->mid == 0) {
        return smq_recovery_owe(r, 0, row->share, &row->content);
    }
    struct smq_wait fields = {.kind = SMQ_WAIT_GIVE, .n = n};
    return wait_for(r, &fields, row->mid, value);
}

static smqtt_err live_on(struct smq_recovery *r, uint64_t n, const struct smq_row_queue *row, smq_span key,
                         smq_span value, const struct smq_found_out *out)
{
    struct smq_session *s = r->cur.s;
    struct smq_out_slot *slot = NULL;
    struct smq_body *body;
    uint16_t id = out != NULL ? out->id : row->packet;
    bool ok;
    if (id == 0 && row->expires <= r->now.mono) { /* [MQTT-3.3.2-5]; what was begun does not expire */
        smq_store_del(r->cur.w, key);
        r->counts.expired++;
        return SMQTT_OK;
    }
    SMQ_TRY(find_body(r, row, key, value, &body, &ok));
    if (!ok) {
        return SMQTT_OK;
    }
    if (id != 0) {
        enum smq_out_state state = row->qos == 2 ? SMQ_OUT_WAIT_PUBREC : SMQ_OUT_WAIT_PUBACK;
        smqtt_err err = smq_inflight_restore(&s->out, r->cur.w->mem, id, state, NULL, &slot);
        if (err == SMQTT_OK) {
            slot->sent = (uint8_t)(SMQ_WAS_SENT | (out != NULL ? SMQ_HAS_OUT : 0));
            return into_flight(r, n, slot, row, body, value);
        }
        if (err != SMQTT_E_USAGE) {
            return err;
        }
    }
    return into_queue(r, n, row, body, value); /* an identifier that two have is that of the first */
}

static smqtt_err on_queue(struct smq_recovery *r, uint64_t n, smq_span key, smq_span value)
{
    struct smq_found_session *cur = &r->cur;
    struct smq_row_queue row;
    const struct smq_found_out *out = NULL;
    SMQ_TRY(outs_before(r, n));
    if (!smq_row_read_queue(value, r->now, &row) || row.qos == 0) {
        drop_row(r, key);
        return SMQTT_OK;
    }
    if (cur->next_out < cur->n_outs && cur->outs[cur->next_out].n == n) {
        out = &cur->outs[cur->next_out];
        if (out->state == SMQ_OUT_WAIT_PUBCOMP) {
            drop_row(r, key); /* it was taken over already; its OUT row stays */
            return SMQTT_OK;
        }
        cur->next_out++;
    }
    if (cur->ends) {
        return give_away(r, n, &row, out != NULL || row.packet != 0, value);
    }
    return live_on(r, n, &row, key, value, out);
}

/* ------------------------------------------------------------ contents that come later */

smqtt_err smq_recovery_content_came(struct smq_recovery *r, struct smq_wait *wait, const struct smq_content *c)
{
    struct smq_worker *w = wait->w;
    struct smq_session *s = wait->s;
    struct smq_row_queue row;
    if (!smq_row_read_queue(smq_span_of(wait->value, wait->len), r->now, &row)) {
        return SMQTT_OK;
    }
    if (wait->kind == SMQ_WAIT_GIVE) {
        return smq_recovery_owe(r, 0, row.share, c);
    }
    struct smq_refbuf *msg =
        wait->body->msg != NULL ? smq_refbuf_ref(wait->body->msg) : smq_msg_new(w->mem, c, false, w->account);
    if (wait->kind == SMQ_WAIT_FLIGHT) {
        return fill_slot(w, s, smq_inflight_find(&s->out, (uint16_t)wait->at), wait->n, &row, wait->body, msg);
    }
    void *delivery = msg != NULL ? smq_queue_restore_delivery(w, s, wait->n, &row, wait->body, msg) : NULL;
    smq_msg_unref(msg);
    if (delivery == NULL) {
        return SMQTT_E_NOMEM;
    }
    struct smq_queued *item = smq_queue_at(&s->queue, wait->at);
    s->queue.n_paged--;
    item->delivery = delivery;
    item->body = NULL;
    item->is_paged = 0;
    return SMQTT_OK;
}

void smq_recovery_content_missing(struct smq_recovery *r, struct smq_wait *wait)
{
    struct smq_worker *w = wait->w;
    struct smq_session *s = wait->s;
    if (wait->kind != SMQ_WAIT_FLIGHT) {
        r->counts.dropped += wait->kind == SMQ_WAIT_GIVE;
        return; /* in a queue it is missed when its turn comes */
    }
    struct smq_out_slot *slot = smq_inflight_find(&s->out, (uint16_t)wait->at);
    smq_durable_finished(w, s, slot);
    smq_inflight_remove(&s->out, w->mem, slot);
    struct smq_key key = smq_key_queue(s->stored->sid, wait->n);
    smq_recovery_drop(r, w, smq_key_span(&key));
    smq_body_unref(w, wait->body);
    r->counts.in_flight--;
}

/* ------------------------------------------------------------ all of them */

smqtt_err smq_recovery_session_over(struct smq_recovery *r)
{
    smqtt_err err = r->cur.s != NULL ? outs_before(r, UINT64_MAX) : SMQTT_OK;
    struct smq_found_out *outs = r->cur.outs;
    size_t cap = r->cur.cap_outs;
    r->cur = (struct smq_found_session){.outs = outs, .cap_outs = cap};
    return err;
}

smqtt_err smq_recovery_session_row(struct smq_recovery *r, const struct smq_key_parts *parts, smq_span key,
                                   smq_span value)
{
    struct smq_found_session *cur = &r->cur;
    if (cur->w == NULL || cur->sid != parts->sid) {
        SMQ_TRY(smq_recovery_session_over(r));
        cur->sid = parts->sid;
        cur->w = r->workers[0];
        if (parts->kind == SMQ_ROW_HEAD) {
            return on_head(r, value);
        }
        drop_session(cur->w, cur->sid); /* rows of no session */
    }
    if (cur->s == NULL) {
        r->counts.dropped++;
        return SMQTT_OK;
    }
    switch (parts->kind) {
    case SMQ_ROW_HEAD:
        return SMQTT_OK;
    case SMQ_ROW_WILL:
        return on_will(r, key, value);
    case SMQ_ROW_SUB:
        return on_sub(r, parts->name, key, value);
    case SMQ_ROW_OUT:
        return on_out(r, parts->id, key, value);
    case SMQ_ROW_IN:
        return on_in(r, parts->id);
    case SMQ_ROW_QUEUE:
        return on_queue(r, parts->n, key, value);
    }
    return SMQTT_OK;
}

void smq_recovery_fire(struct smq_recovery *r)
{
    for (size_t i = 0; i < r->n_due; i++) {
        struct smq_due *due = &r->due[i];
        r->counts.wills += due->s->will != NULL;
        if (due->ends) {
            smq_session_end(due->w, due->s);
        } else {
            smq_will_fire(due->w, due->s);
        }
    }
    r->n_due = 0;
    smq_recovery_exchange(r);
}
