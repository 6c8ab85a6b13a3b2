/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "broker/gate.h"
#include "broker/pull.h"
#include "broker/queue.h"
#include "broker/route.h"
#include "broker/share.h"
#include "broker/say.h"
#include "broker/slow.h"

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
        smq_durable_let_go(w, s, slot->msg);
    }
    smq_delivery_free(w->mem, slot->msg);
    slot->msg = NULL;
}

/* The slot is free again, and nothing is left of what was in it. */
static void end_slot(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot)
{
    smq_durable_finished(w, s, slot);
    smq_session_let_go(w, s, slot);
    smq_inflight_remove(&s->out, w->mem, slot);
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

static inline bool has_row(const struct smq_session *s, const struct smq_routing *r, uint8_t qos)
{
    return s->stored != NULL && qos != 0 && smq_content_is_stored(&r->content);
}

/* There is no memory for it. Its publisher must not hear that a message that was to be stored is. */
static __attribute__((noinline)) void drop_unstored(struct smq_worker *w, bool was_to_be)
{
    drop(w);
    if (was_to_be) {
        smq_store_lose(w);
    }
}

/* What only stored sessions need is kept apart, so that others need not look at it. */
static __attribute__((noinline)) void *new_stored(struct smq_worker *w, struct smq_refbuf *msg,
                                                  const struct smq_routing *r, const struct smq_send *send)
{
    return smq_delivery_new_stored(w->mem, msg, send->retain, send->ids, send->n_ids, r->share);
}

static inline void *new_delivery(struct smq_worker *w, const struct smq_session *s, struct smq_refbuf *msg,
                                 const struct smq_routing *r, const struct smq_send *send)
{
    if (has_row(s, r, send->qos)) {
        return new_stored(w, msg, r, send);
    }
    return smq_delivery_new(w->mem, msg, send->retain, send->ids, send->n_ids, r->share);
}

/* What a stored session is sent with QoS 2 leaves when it is known under which identifier [MQTT-4.3.3-2]: else it came
 * again with another one after a crash, as a message of its own. */
static smqtt_err close_gate(const struct smq_session *s, uint8_t qos)
{
    return s->stored != NULL && qos == 2 && !SMQ_MUTATE(qos2_id_unstored) ? smq_gate_now(s->conn) : SMQTT_OK;
}

static __attribute__((noinline)) smqtt_err send_stored(struct smq_worker *w, struct smq_session *s,
                                                       struct smq_routing *r, const struct smq_send *send,
                                                       void *delivery)
{
    if (smq_delivery_has_row(delivery)) {
        smq_durable_set_row(delivery, smq_durable_deliver(w, s, r, send), r->body);
    }
    SMQ_TRY(close_gate(s, send->qos));
    return send_now(s->conn, r, send);
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
    void *delivery = msg != NULL ? new_delivery(w, s, msg, r, send) : NULL;
    if (delivery == NULL) {
        drop_unstored(w, has_row(s, r, send->qos) && err != SMQTT_E_QUOTA);
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
    err = has_row(s, r, send->qos) ? send_stored(w, s, r, send, delivery) : send_now(s->conn, r, send);
    if (err == SMQTT_E_NOMEM) {
        slot->sent = SMQ_MUST_RESEND; /* when there is memory again */
        s->n_unsent++;
    } else if (err != SMQTT_OK) {
        /* Larger than the client takes [MQTT-3.1.2-25], or outside its mount point: as if delivered. */
        end_slot(w, s, slot);
        drop(w);
    }
    return true;
}

/* One that is to wait in the store needs no delivery. */
static bool enqueue_item(struct smq_worker *w, struct smq_session *s, struct smq_routing *r,
                         const struct smq_send *send, struct smq_refbuf *msg)
{
    struct smq_queued item = smq_queued_of(NULL, send->qos, msg->len);
    bool is_stored = has_row(s, r, send->qos);
    bool is_paged = is_stored && r->share == NULL && smq_paged_takes(s, msg->len);
    item.is_paged = is_paged;
    if (!is_paged) {
        item.delivery = new_delivery(w, s, msg, r, send);
        if (item.delivery == NULL) {
            return false;
        }
        smq_refbuf_ref(msg);
    }
    if (is_stored) {
        item.expires_s = smq_paged_expiry(r->content.expires);
    }
    if (!smq_queue_push(&s->queue, w->mem, item)) {
        smq_delivery_free(w->mem, item.delivery);
        return false;
    }
    if (!is_stored) {
        return true;
    }
    uint64_t n = smq_durable_deliver(w, s, r, send);
    if (is_paged) {
        struct smq_queued *last = smq_queue_at(&s->queue, s->queue.n - 1);
        last->row = n;
        last->body = r->body;
        smq_paged_begin(w, s, item.expires_s);
    } else {
        smq_durable_set_row(item.delivery, n, r->body);
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
    if (!enqueue_item(w, s, r, send, msg)) {
        drop_unstored(w, has_row(s, r, send->qos));
        return;
    }
    w->stats.queued_messages++;
}

/* Its listener has another place since it left: nobody knows yet what it may read. What waits is judged once more
 * before it leaves. */
static bool is_judged_later(const struct smq_session *s)
{
    return s->conn == NULL && smq_auth_is_unknown(s->auth);
}

void smq_session_deliver(struct smq_worker *w, struct smq_session *s, struct smq_routing *r, uint8_t qos, bool retain,
                         const uint32_t *ids, size_t n_ids)
{
    if (!smq_session_may(w, s, r->content.topic, SMQ_ACCESS_READ) && !is_judged_later(s)) {
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
    if (!begun && c.expires <= w->now.mono && !SMQ_MUTATE(expiry_ignored)) {
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

/* Of one that is in the store only; false when it has to come from there first. */
static bool drop_expired(struct smq_worker *w, struct smq_session *s, const struct smq_queued *item)
{
    if (item->expires_s > w->now.mono / 1000) {
        return false;
    }
    smq_queue_remove(w, s, 0);
    drop(w);
    return true;
}

/* A message of QoS 1 or 2 gets its place in the window; false when there is none. */
static bool begin_queued(struct smq_worker *w, struct smq_session *s, const struct smq_queued *item,
                         struct smq_refbuf *msg, struct smq_out_slot **slot)
{
    if (is_window_full(w, s, msg->len)) {
        return false;
    }
    smqtt_err err = smq_inflight_add(&s->out, w->mem, item->qos, item->delivery, window_of(w, s->conn), slot);
    if (err != SMQTT_OK) {
        return false;
    }
    (*slot)->sent = SMQ_WAS_SENT;
    s->inflight_bytes += msg->len;
    smq_durable_sent(w, s, *slot);
    return true;
}

/* The first in the queue; false when it has to stay. */
static bool send_first(struct smq_worker *w, struct smq_session *s)
{
    struct smq_queued item = s->queue.items[s->queue.head];
    struct smq_out_slot *slot = NULL;
    if (item.is_paged) {
        return drop_expired(w, s, &item);
    }
    struct smq_refbuf *msg = smq_delivery_msg(item.delivery);
    bool go = may_still_go(w, s, msg, false);
    if (go && item.qos != 0 && !begin_queued(w, s, &item, msg, &slot)) {
        return false;
    }
    bool sent = go && close_gate(s, (uint8_t)item.qos) == SMQTT_OK &&
                send_delivery(s, item.delivery, (uint8_t)item.qos, slot != NULL ? slot->id : 0, false) == SMQTT_OK;
    smq_queue_pop(&s->queue, w->mem);
    w->stats.queued_messages--;
    if (!sent) {
        drop(w);
        if (slot != NULL) {
            end_slot(w, s, slot);
            return true;
        }
    }
    if (slot == NULL) {
        smq_durable_let_go(w, s, item.delivery);
        smq_delivery_free(w->mem, item.delivery);
    }
    return true;
}

/* Sends one in-flight message again; false when there is no memory to do so. */
static bool resend(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot)
{
    smqtt_err err = SMQTT_OK;
    bool dup = (slot->sent & SMQ_WAS_SENT) != 0; /* [MQTT-3.3.1-1] */
    slot->sent = (slot->sent & SMQ_HAS_OUT) | SMQ_WAS_SENT;
    if (slot->state == SMQ_OUT_WAIT_PUBCOMP) {
        err = close_gate(s, 2);
        err = err == SMQTT_OK ? smq_conn_write_ack(s->conn, SMQ_PUBREL, slot->id, 0) : err;
    } else if (!may_still_go(w, s, smq_delivery_msg(slot->msg), dup)) {
        err = SMQTT_E_EXPIRED;
    } else {
        uint8_t qos = slot->state == SMQ_OUT_WAIT_PUBREC ? 2 : 1;
        err = close_gate(s, qos);
        err = err == SMQTT_OK ? send_delivery(s, slot->msg, qos, slot->id, dup) : err;
    }
    if (err == SMQTT_E_NOMEM) {
        smq_conn_fail(s->conn, err);
        return false;
    }
    if (err != SMQTT_OK) {
        end_slot(w, s, slot);
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
    if (s->queue.n_paged != 0) {
        smq_paged_want(w, s);
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
