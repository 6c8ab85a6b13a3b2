/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/internal.h"
#include "broker/pull.h"
#include "broker/route.h"
#include "broker/share.h"
#include "broker/say.h"
#include "broker/slow.h"

/* ------------------------------------------------------------ the queue */

enum { FIRST_ITEMS = 8 };

static bool queue_push(struct smq_queue *q, const struct smqtt_mem *mem, struct smq_queued item, size_t bytes)
{
    if (q->n == q->cap) {
        uint32_t cap = q->cap != 0 ? q->cap * 2 : FIRST_ITEMS;
        struct smq_queued *items = smq_mem_alloc(mem, cap * sizeof *items);
        if (items == NULL) {
            return false;
        }
        for (uint32_t i = 0; i < q->n; i++) {
            items[i] = q->items[(q->head + i) & (q->cap - 1)];
        }
        smq_mem_free(mem, q->items);
        q->items = items;
        q->cap = cap;
        q->head = 0;
    }
    q->items[(q->head + q->n) & (q->cap - 1)] = item;
    q->n++;
    q->bytes += bytes;
    return true;
}

static void queue_release(struct smq_queue *q, const struct smqtt_mem *mem)
{
    smq_mem_free(mem, q->items);
    *q = (struct smq_queue){0};
}

static void queue_pop(struct smq_queue *q, const struct smqtt_mem *mem)
{
    q->bytes -= smq_delivery_msg(q->items[q->head].delivery)->len;
    q->head = (q->head + 1) & (q->cap - 1);
    q->n--;
    if (q->n == 0) {
        queue_release(q, mem);
    }
}

void smq_session_clear_queue(struct smq_worker *w, struct smq_session *s)
{
    struct smq_queue *q = &s->queue;
    for (uint32_t i = 0; i < q->n; i++) {
        smq_delivery_free(w->mem, q->items[(q->head + i) & (q->cap - 1)].delivery);
    }
    w->stats.queued_messages -= q->n;
    queue_release(q, w->mem);
}

static bool came_by(void *delivery, const struct smq_shared *only)
{
    const struct smq_shared *sh = smq_delivery_share(delivery);
    return only != NULL ? sh == only : sh != NULL;
}

uint32_t smq_session_take_shared(struct smq_worker *w, struct smq_session *s, const struct smq_shared *only,
                                 void ***taken)
{
    struct smq_queue *q = &s->queue;
    uint32_t n = 0, kept = 0, mask = q->cap - 1;
    for (uint32_t i = 0; i < q->n; i++) {
        n += came_by(q->items[(q->head + i) & mask].delivery, only);
    }
    *taken = n != 0 ? smq_mem_zalloc(w->mem, n, sizeof **taken) : NULL;
    if (*taken == NULL) {
        return 0;
    }
    n = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        struct smq_queued item = q->items[(q->head + i) & mask];
        if (came_by(item.delivery, only)) {
            q->bytes -= smq_delivery_msg(item.delivery)->len;
            (*taken)[n++] = item.delivery;
        } else {
            q->items[(q->head + kept++) & mask] = item;
        }
    }
    q->n = kept;
    w->stats.queued_messages -= n;
    if (kept == 0) {
        queue_release(q, w->mem);
    }
    return n;
}

void smq_session_forget_share(struct smq_session *s, const struct smq_shared *sh)
{
    for (uint32_t i = 0; i < s->queue.n; i++) {
        void *delivery = s->queue.items[(s->queue.head + i) & (s->queue.cap - 1)].delivery;
        if (smq_delivery_share(delivery) == sh) {
            smq_delivery_forget_share(delivery);
        }
    }
}

void smq_session_drop_first(struct smq_worker *w, struct smq_session *s)
{
    void *delivery = s->queue.items[s->queue.head].delivery;
    queue_pop(&s->queue, w->mem);
    smq_delivery_free(w->mem, delivery);
    w->stats.queued_messages--;
    smq_slow_dropped(w, s);
}

/* ------------------------------------------------------------ sending */

static uint16_t window_of(const struct smq_worker *w, const struct smq_conn *conn)
{
    uint32_t max = w->config->max_inflight_messages;
    return max != 0 && max < conn->receive_max ? (uint16_t)max : conn->receive_max;
}

enum { SHARED_BY = 4 }; /* receivers from which on a packet of QoS 0 stands in memory once for all of them */

/* Without an identifier in it a packet is the same for all. */
static bool share_template(struct smq_conn *conn, const struct smq_routing *r, struct smq_template *t)
{
    struct smq_chunk_pool *pool = &conn->worker->chunks;
    unsigned form = smq_conn_is_v5(conn) ? 1 : 0;
    if (r->n_receivers < SHARED_BY) {
        return false;
    }
    if (t->shared == NULL || t->shared_round != pool->shared_round) {
        uint8_t *at = smq_chunk_pool_share(pool, form, t->len);
        if (at == NULL) {
            return false;
        }
        memcpy(at, t->bytes, t->len);
        t->shared = at;
        t->shared_round = pool->shared_round;
    }
    return smq_outq_share(&conn->out, pool, form, t->shared, t->len);
}

static bool copy_template(struct smq_conn *conn, const struct smq_template *t, const struct smq_send *send)
{
    uint8_t *at = smq_outq_append(&conn->out, &conn->worker->chunks, t->len);
    if (at == NULL) {
        return false;
    }
    memcpy(at, t->bytes, t->len);
    at[0] = (uint8_t)(SMQ_PUBLISH << 4 | send->qos << 1 | (send->retain ? 1 : 0));
    if (send->qos != 0) {
        at[t->id_at] = (uint8_t)(send->id >> 8);
        at[t->id_at + 1] = (uint8_t)send->id;
    }
    return true;
}

/* A packet that others of its kind have been made from before is copied and gets its identifier. */
static bool send_template(struct smq_conn *conn, struct smq_routing *r, const struct smq_send *send)
{
    struct smq_worker *w = conn->worker;
    bool v5 = smq_conn_is_v5(conn);
    struct smq_template *t = &r->templates[(v5 ? 2 : 0) + (send->qos != 0 ? 1 : 0)];
    if (t->len == 0) {
        struct smq_send plain = *send;
        plain.retain = false;
        size_t id_at;
        t->len = (uint16_t)smq_send_write(&plain, v5, w->now.mono, t->bytes, sizeof t->bytes, &id_at);
        t->id_at = (uint16_t)id_at;
        t->shared = NULL;
        if (t->len == 0) {
            return false;
        }
    }
    if (conn->max_packet_out != 0 && t->len > conn->max_packet_out) {
        return false;
    }
    bool shared = send->qos == 0 && !send->retain && share_template(conn, r, t);
    if (!shared && !copy_template(conn, t, send)) {
        return false;
    }
    if (smq_say_packets(w->log)) {
        smq_say_sending_publish(conn, send);
    }
    w->stats.packets_out++;
    w->stats.publish_out++;
    w->stats.payload_out += r->content.payload.len;
    smq_conn_make_dirty(conn);
    return true;
}

/* One message is always let through, however large [mosquitto.conf: max_inflight_bytes]. */
static bool is_window_full(const struct smq_worker *w, const struct smq_session *s, size_t bytes)
{
    uint64_t max = w->config->max_inflight_bytes;
    return max != 0 && s->inflight_bytes != 0 && s->inflight_bytes + bytes > max;
}

static bool is_output_full(const struct smq_worker *w, const struct smq_conn *conn)
{
    uint64_t max = w->config->max_output_bytes;
    return max != 0 && conn->out.bytes >= max;
}

bool smq_session_is_ready(const struct smq_worker *w, const struct smq_session *s, uint8_t qos)
{
    if (s->conn == NULL || s->queue.n != 0 || s->n_unsent != 0 || is_output_full(w, s->conn)) {
        return false;
    }
    return qos == 0 || (s->out.count < window_of(w, s->conn) && !is_window_full(w, s, 1));
}

static smqtt_err send_now(struct smq_conn *conn, struct smq_routing *r, const struct smq_send *send)
{
    size_t size = r->content.topic.len + r->content.props.len + r->content.payload.len;
    bool many = r->n_receivers > 1; /* for one it is written where it goes */
    bool small = many && size <= SMQ_COPY_MAX && !conn->own_form && (send->n_ids == 0 || !smq_conn_is_v5(conn));
    if (small && send_template(conn, r, send)) {
        return SMQTT_OK;
    }
    return smq_conn_send(conn, send);
}

void smq_session_let_go(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot)
{
    if (slot->msg != NULL) {
        s->inflight_bytes -= smq_delivery_msg(slot->msg)->len;
    }
    smq_delivery_free(w->mem, slot->msg);
    slot->msg = NULL;
}

static void drop(struct smq_worker *w)
{
    w->stats.publish_dropped++;
}

/* One more message of QoS 0 than there may be bytes towards a connection is dropped. */
static void deliver_qos0(struct smq_worker *w, struct smq_session *s, struct smq_routing *r,
                         const struct smq_send *send)
{
    uint64_t max = w->config->max_output_bytes;
    size_t size = r->content.topic.len + r->content.payload.len;
    bool full = max != 0 && s->conn->out.bytes + size > max;
    if (full || send_now(s->conn, r, send) != SMQTT_OK) {
        drop(w);
    }
}

/* True when it went out, or was dropped because it never can; false when it has to wait. */
static bool deliver_at_once(struct smq_worker *w, struct smq_session *s, struct smq_routing *r, struct smq_send *send)
{
    smqtt_err err = SMQTT_OK;
    if (s->conn == NULL || s->queue.n != 0 || s->n_unsent != 0 || is_output_full(w, s->conn)) {
        return false;
    }
    struct smq_refbuf *msg = smq_routing_msg(w, r, &err);
    if (msg != NULL && is_window_full(w, s, msg->len)) {
        return false;
    }
    void *delivery = msg != NULL ? smq_delivery_new(w->mem, msg, send->retain, send->ids, send->n_ids, r->share) : NULL;
    if (delivery == NULL) {
        drop(w);
        return true;
    }
    smq_refbuf_ref(msg);
    struct smq_out_slot *slot;
    err = smq_inflight_add(&s->out, w->mem, send->qos, delivery, window_of(w, s->conn), &slot);
    if (err != SMQTT_OK) {
        smq_delivery_free(w->mem, delivery);
        return false;
    }
    send->content = &r->content;
    send->msg = msg;
    send->id = slot->id;
    slot->sent = SMQ_WAS_SENT;
    s->inflight_bytes += msg->len;
    err = send_now(s->conn, r, send);
    if (err == SMQTT_E_NOMEM) {
        slot->sent = SMQ_MUST_RESEND; /* when there is memory again */
        s->n_unsent++;
    } else if (err != SMQTT_OK) {
        /* Larger than the client takes [MQTT-3.1.2-25], or outside its mount point: as if delivered. */
        smq_session_let_go(w, s, slot);
        smq_inflight_remove(&s->out, w->mem, slot);
        drop(w);
    }
    return true;
}

static void enqueue(struct smq_worker *w, struct smq_session *s, struct smq_routing *r, const struct smq_send *send)
{
    smqtt_err err = SMQTT_OK;
    struct smq_refbuf *msg = smq_routing_msg(w, r, &err);
    if (msg == NULL || !smq_slow_admit(w, s, r, msg->len)) {
        smq_slow_dropped(w, s);
        return;
    }
    void *delivery = smq_delivery_new(w->mem, msg, send->retain, send->ids, send->n_ids, r->share);
    if (delivery == NULL) {
        drop(w);
        return;
    }
    smq_refbuf_ref(msg);
    if (!queue_push(&s->queue, w->mem, (struct smq_queued){delivery, send->qos}, msg->len)) {
        smq_delivery_free(w->mem, delivery);
        drop(w);
        return;
    }
    w->stats.queued_messages++;
}

void smq_session_deliver(struct smq_worker *w, struct smq_session *s, struct smq_routing *r, uint8_t qos, bool retain,
                         const uint32_t *ids, size_t n_ids)
{
    if (!smq_session_may(w, s, r->content.topic, SMQ_ACCESS_READ)) {
        return;
    }
    if (s->pulls != NULL && r->content.version != 0) {
        smq_pull_overtake(w, s, &r->content);
    }
    struct smq_send send = {
        .content = &r->content, .msg = r->msg, .ids = ids, .n_ids = n_ids, .qos = qos, .retain = retain};
    if (qos == 0) {
        if (s->conn != NULL) {
            deliver_qos0(w, s, r, &send);
        } else if (w->config->queue_qos0_messages) {
            enqueue(w, s, r, &send);
        }
        return;
    }
    if (!deliver_at_once(w, s, r, &send)) {
        enqueue(w, s, r, &send);
    }
}

/* ------------------------------------------------------------ from the queue, and again */

/* Who lost the right to read it, and what is too old or ill-formed, is left out. What was begun does not expire. */
static bool may_still_go(struct smq_worker *w, struct smq_session *s, struct smq_refbuf *msg, bool begun)
{
    struct smq_content c = smq_msg_content(msg);
    if (!begun && c.expires <= w->now.mono) {
        return false; /* [MQTT-3.3.2-5] [MQTT-4.3.3-7] */
    }
    if (!smq_msg_is_sound(msg, w->config->text_policy, w->config->max_topic_levels)) {
        w->stats.refused_text++;
        return false;
    }
    return smq_session_may(w, s, c.topic, SMQ_ACCESS_READ);
}

static smqtt_err send_delivery(struct smq_session *s, void *delivery, uint8_t qos, uint16_t id, bool dup)
{
    struct smq_refbuf *msg = smq_delivery_msg(delivery);
    struct smq_content content = smq_msg_content(msg);
    struct smq_send send = {
        .content = &content, .msg = msg, .qos = qos, .id = id, .dup = dup, .retain = smq_delivery_retain(delivery)};
    send.n_ids = smq_delivery_ids(delivery, &send.ids);
    return smq_conn_send(s->conn, &send);
}

/* The first in the queue; false when it has to stay. */
static bool send_first(struct smq_worker *w, struct smq_session *s)
{
    struct smq_queued item = s->queue.items[s->queue.head];
    struct smq_out_slot *slot = NULL;
    struct smq_refbuf *msg = smq_delivery_msg(item.delivery);
    bool go = may_still_go(w, s, msg, false);
    if (go && item.qos != 0 && is_window_full(w, s, msg->len)) {
        return false;
    }
    if (go && item.qos != 0) {
        smqtt_err err = smq_inflight_add(&s->out, w->mem, item.qos, item.delivery, window_of(w, s->conn), &slot);
        if (err != SMQTT_OK) {
            return false;
        }
        slot->sent = SMQ_WAS_SENT;
        s->inflight_bytes += msg->len;
    }
    bool sent = go && send_delivery(s, item.delivery, item.qos, slot != NULL ? slot->id : 0, false) == SMQTT_OK;
    queue_pop(&s->queue, w->mem);
    w->stats.queued_messages--;
    if (!sent) {
        drop(w);
        if (slot != NULL) {
            smq_session_let_go(w, s, slot);
            smq_inflight_remove(&s->out, w->mem, slot);
            return true;
        }
    }
    if (slot == NULL) {
        smq_delivery_free(w->mem, item.delivery);
    }
    return true;
}

/* Sends one in-flight message again; false when there is no memory to do so. */
static bool resend(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot)
{
    smqtt_err err = SMQTT_OK;
    bool dup = (slot->sent & SMQ_WAS_SENT) != 0; /* [MQTT-3.3.1-1] */
    slot->sent = SMQ_WAS_SENT;
    if (slot->state == SMQ_OUT_WAIT_PUBCOMP) {
        err = smq_conn_write_ack(s->conn, SMQ_PUBREL, slot->id, 0);
    } else if (!may_still_go(w, s, smq_delivery_msg(slot->msg), dup)) {
        err = SMQTT_E_EXPIRED;
    } else {
        err = send_delivery(s, slot->msg, slot->state == SMQ_OUT_WAIT_PUBREC ? 2 : 1, slot->id, dup);
    }
    if (err == SMQTT_E_NOMEM) {
        smq_conn_fail(s->conn, err);
        return false;
    }
    if (err != SMQTT_OK) {
        smq_session_let_go(w, s, slot);
        smq_inflight_remove(&s->out, w->mem, slot);
        drop(w);
    }
    return true;
}

/* In the order in which they were first sent [MQTT-4.6.0-1]; never more at a time than the client takes. */
static bool resend_waiting(struct smq_worker *w, struct smq_session *s)
{
    uint16_t window = window_of(w, s->conn);
    struct smq_out_slot *slot = smq_inflight_next(&s->out, NULL);
    while (slot != NULL && s->n_unsent != 0 && s->out.count - s->n_unsent < window) {
        if ((slot->sent & SMQ_MUST_RESEND) == 0) {
            slot = smq_inflight_next(&s->out, slot);
            continue;
        }
        struct smq_out_slot here = *slot;
        s->n_unsent--;
        if (!resend(w, s, slot)) {
            return false;
        }
        /* The slot may be free now; the walk goes on from its identifier. */
        slot = s->out.count != 0 ? smq_inflight_next(&s->out, &here) : NULL;
    }
    return s->n_unsent == 0;
}

void smq_session_pump(struct smq_worker *w, struct smq_session *s)
{
    if (s->conn == NULL || (s->n_unsent != 0 && !resend_waiting(w, s))) {
        return;
    }
    uint32_t before = s->queue.n;
    while (s->queue.n != 0 && !is_output_full(w, s->conn) && send_first(w, s)) {
    }
    if (s->slow != NULL && s->queue.n != before) {
        smq_slow_took_messages(w, s);
    }
    if (s->pulls != NULL) {
        smq_pull_pump(w, s);
    }
    if (s->shares != NULL) {
        smq_share_ready(w, s);
    }
}

void smq_session_resume(struct smq_worker *w, struct smq_session *s)
{
    s->n_unsent = 0;
    struct smq_out_slot *slot = NULL;
    while ((slot = smq_inflight_next(&s->out, slot)) != NULL) {
        slot->sent |= SMQ_MUST_RESEND;
        s->n_unsent++;
    }
    if (s->shares != NULL) {
        smq_share_online(w, s);
    }
    smq_session_pump(w, s);
}
