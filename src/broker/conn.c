/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/conn.h"
#include "broker/alias.h"
#include "broker/gate.h"
#include "broker/held.h"
#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/mount.h"
#include "broker/relay.h"
#include "broker/say.h"
#include "broker/slow.h"
#include "codec/reason.h"
#include "codec/varint.h"

void smq_conn_make_dirty(struct smq_conn *conn)
{
    if (!smq_list_is_linked(&conn->dirty)) {
        smq_list_push_back(&conn->worker->dirty, &conn->dirty);
    }
}

/* ------------------------------------------------------------ writing */

static bool is_too_large(const struct smq_conn *conn, size_t size)
{
    return conn->max_packet_out != 0 && size > conn->max_packet_out;
}

smqtt_err smq_conn_write(struct smq_conn *conn, const struct smq_packet *pkt)
{
    struct smq_worker *w = conn->worker;
    struct smq_codec codec = conn->codec;
    codec.max_packet = 0;
    struct smq_wr wr = smq_wr_measure();
    SMQ_TRY(smq_packet_write(&codec, pkt, &wr));
    if (is_too_large(conn, wr.len)) {
        return SMQTT_OK; /* [MQTT-3.1.2-24] */
    }
    uint8_t *at = smq_outq_append(&conn->out, &w->chunks, wr.len);
    if (at == NULL) {
        return SMQTT_E_NOMEM;
    }
    wr = smq_wr_of(at, wr.len);
    SMQ_TRY(smq_packet_write(&codec, pkt, &wr));
    if (smq_say_packets(w->log)) {
        smq_say_sending(conn, pkt);
    }
    w->stats.packets_out++;
    smq_conn_make_dirty(conn);
    return SMQTT_OK;
}

smqtt_err smq_conn_write_ack(struct smq_conn *conn, enum smq_type type, uint16_t id, uint8_t reason)
{
    enum { FIRST_FAILURE = 0x80 }; /* one of version 3 is not told, the log is */
    struct smq_worker *w = conn->worker;
    bool has_reason = reason != 0 && smq_conn_is_v5(conn);
    size_t len = has_reason ? 5 : 4;
    if (is_too_large(conn, len)) {
        return SMQTT_OK;
    }
    uint8_t *at = smq_outq_append(&conn->out, &w->chunks, len);
    if (at == NULL) {
        return SMQTT_E_NOMEM;
    }
    at[0] = (uint8_t)((unsigned)type << 4 | (type == SMQ_PUBREL ? 2u : 0u));
    at[1] = (uint8_t)(len - 2);
    at[2] = (uint8_t)(id >> 8);
    at[3] = (uint8_t)id;
    if (has_reason) {
        at[4] = reason;
    }
    if (smq_say_packets(w->log)) {
        smq_say_sending_ack(conn, type, id, has_reason || reason >= FIRST_FAILURE ? reason : 0);
    }
    w->stats.packets_out++;
    smq_conn_make_dirty(conn);
    return SMQTT_OK;
}

/* Seconds until it expires, at least 1: what has less than that to live is not sent any more. */
static uint32_t seconds_left(smqtt_ms expires, smqtt_ms mono)
{
    smqtt_ms left = expires > mono ? (expires - mono + 999) / 1000 : 1;
    return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

struct layout {
    uint32_t props; /* Property Length */
    uint32_t body;  /* Remaining Length */
    size_t total;
    smq_span topic; /* as this client knows it; empty: by its alias */
    uint16_t alias; /* 0: none */
    bool v5;
};

static struct layout lay_out(const struct smq_send *s, bool v5, smq_span topic, uint16_t alias)
{
    const struct smq_content *c = s->content;
    struct layout l = {.topic = topic, .alias = alias, .v5 = v5};
    size_t body = 2 + topic.len + (s->qos != 0 ? 2 : 0) + c->payload.len;
    if (v5) {
        size_t props = c->props.len + (c->expires != SMQTT_NEVER ? 5 : 0) + (alias != 0 ? 3 : 0);
        for (size_t i = 0; i < s->n_ids; i++) {
            props += 1 + smq_varint_size(s->ids[i]);
        }
        l.props = props <= SMQ_VARINT_MAX ? (uint32_t)props : SMQ_VARINT_MAX;
        body += props + smq_varint_size(l.props);
    }
    l.body = body <= SMQ_VARINT_MAX ? (uint32_t)body : 0;
    l.total = body <= SMQ_VARINT_MAX ? 1 + smq_varint_size(l.body) + body : SIZE_MAX;
    return l;
}

/* Everything before the properties that are shared. */
static size_t write_head(const struct smq_send *s, const struct layout *l, smqtt_ms mono, struct smq_wr *wr)
{
    const struct smq_content *c = s->content;
    smq_wr_u8(wr, (uint8_t)(SMQ_PUBLISH << 4 | (s->dup ? 8 : 0) | s->qos << 1 | (s->retain ? 1 : 0)));
    smq_varint_write(wr, l->body);
    smq_wr_blob16(wr, l->topic);
    size_t id_at = wr->len;
    if (s->qos != 0) {
        smq_wr_u16(wr, s->id);
    }
    if (l->v5) {
        smq_varint_write(wr, l->props);
        if (c->expires != SMQTT_NEVER) {
            smq_wr_u8(wr, smq_prop_row(SMQ_PROP_MESSAGE_EXPIRY)->id);
            smq_wr_u32(wr, seconds_left(c->expires, mono)); /* [MQTT-3.3.2-6] */
        }
        if (l->alias != 0) {
            smq_wr_u8(wr, smq_prop_row(SMQ_PROP_TOPIC_ALIAS)->id);
            smq_wr_u16(wr, l->alias);
        }
        for (size_t i = 0; i < s->n_ids; i++) {
            smq_props_put_subid(wr, s->ids[i]);
        }
    }
    return id_at;
}

size_t smq_send_write(const struct smq_send *send, bool v5, smqtt_ms mono, uint8_t *out, size_t cap, size_t *id_at)
{
    struct layout l = lay_out(send, v5, send->content->topic, 0);
    struct smq_wr wr = smq_wr_of(out, cap);
    *id_at = write_head(send, &l, mono, &wr);
    if (v5) {
        smq_wr_put(&wr, send->content->props);
    }
    smq_wr_put(&wr, send->content->payload);
    return smq_wr_ok(&wr) ? wr.len : 0;
}

/* Head, and behind it properties and payload, copied or referred to. */
static smqtt_err append(struct smq_conn *conn, const struct smq_send *send, const struct layout *l)
{
    struct smq_worker *w = conn->worker;
    const struct smq_content *c = send->content;
    size_t shared = c->payload.len + (l->v5 ? c->props.len : 0);
    bool refer = send->msg != NULL && shared > SMQ_COPY_MAX;
    if (refer && !smq_outq_reserve_msg(&conn->out, &w->chunks)) {
        return SMQTT_E_NOMEM;
    }
    size_t own = refer ? l->total - shared : l->total;
    uint8_t *at = smq_outq_append(&conn->out, &w->chunks, own);
    if (at == NULL) {
        return SMQTT_E_NOMEM;
    }
    struct smq_wr wr = smq_wr_of(at, own);
    write_head(send, l, w->now.mono, &wr);
    if (refer) {
        /* In the block the payload stands behind the properties. */
        smq_span part = {l->v5 ? c->props.data : c->payload.data, shared};
        smq_outq_put_msg(&conn->out, send->msg, part);
        return SMQTT_OK;
    }
    if (l->v5) {
        smq_wr_put(&wr, c->props);
    }
    smq_wr_put(&wr, c->payload);
    return SMQTT_OK;
}

smqtt_err smq_conn_send(struct smq_conn *conn, const struct smq_send *send)
{
    struct smq_worker *w = conn->worker;
    smq_span topic = send->content->topic;
    uint16_t alias = 0;
    bool is_known = false;
    if (conn->own_form) {
        if (smq_is_mounted(conn) && !send->as_it_is && !smq_mount_strip(conn, &topic)) {
            return SMQTT_E_NOT_AUTHORIZED;
        }
        alias = conn->alias != NULL && conn->alias->out != NULL ? smq_alias_pick(conn, topic, &is_known) : 0;
        topic.len = is_known ? 0 : topic.len;
    }
    struct layout l = lay_out(send, smq_conn_is_v5(conn), topic, alias);
    if (l.total == SIZE_MAX || is_too_large(conn, l.total)) {
        return SMQTT_E_TOO_LARGE;
    }
    SMQ_TRY(append(conn, send, &l));
    if (alias != 0 && !is_known) {
        smq_alias_sent(conn, alias);
    }
    if (smq_say_packets(w->log)) {
        smq_say_sending_publish(conn, send);
    }
    w->stats.packets_out++;
    w->stats.publish_out++;
    w->stats.payload_out += send->content->payload.len;
    smq_conn_make_dirty(conn);
    return SMQTT_OK;
}

/* ------------------------------------------------------------ ending */

void smq_conn_end(struct smq_conn *conn, enum smq_conn_fate fate, bool with_will)
{
    struct smq_worker *w = conn->worker;
    if (conn->state == SMQ_CONN_OVER) {
        return;
    }
    conn->state = SMQ_CONN_OVER;
    conn->fate = (uint8_t)fate;
    if (fate == SMQ_FATE_HANDOVER) {
        conn->handed_over = true; /* its place is the other worker's from now on */
        smq_ledger_give(&w->ledger->connections, 1);
    }
    smq_wheel_cancel(&w->wheel, &conn->timer.node);
    smq_detect_drop(conn);
    smq_hold_drop(conn);
    smq_held_drop(w, conn);
    smq_alias_drop(conn);
    smq_auth_drop(conn);
    struct smq_session *s = conn->session;
    conn->session = NULL;
    if (s != NULL) {
        smq_session_detach(w, s, with_will);
    }
    if (fate == SMQ_FATE_CLOSE_NOW) {
        smq_outq_clear(&conn->out, &w->chunks);
        smq_gate_drop(conn);
    }
    smq_conn_make_dirty(conn);
}

void smq_conn_explain(const struct smq_conn *conn, struct smq_props *props, const char *why)
{
    if (conn->max_packet_out == 0 || conn->max_packet_out >= SMQ_ROOM_FOR_WORDS) {
        smq_props_set_bytes(props, SMQ_PROP_REASON_STRING, smq_span_str(why));
    }
}

static void say_goodbye(struct smq_conn *conn, uint8_t reason, const char *why)
{
    bool may = smq_conn_is_open(conn) && smq_conn_is_v5(conn) && smq_reason_ok(SMQ_DISCONNECT, SMQ_FROM_SERVER, reason);
    if (!may) {
        return;
    }
    enum { SHUTTING_DOWN = 0x8B, USE_ANOTHER = 0x9C };
    struct smq_packet pkt = {.type = SMQ_DISCONNECT};
    pkt.reasoned.reason = reason;
    smq_props_clear(&pkt.reasoned.props);
    smq_conn_explain(conn, &pkt.reasoned.props, why);
    const char *elsewhere = conn->worker->config->server_reference;
    if (reason == SHUTTING_DOWN && elsewhere != NULL) {
        pkt.reasoned.reason = USE_ANOTHER; /* MQTT 5.0 section 4.11 */
        smq_props_set_bytes(&pkt.reasoned.props, SMQ_PROP_SERVER_REFERENCE, smq_span_str(elsewhere));
    }
    (void)!smq_conn_write(conn, &pkt); /* without memory it is closed without a word */
}

static void end_with(struct smq_conn *conn, smqtt_err err, uint8_t reason, const char *why)
{
    if (conn->state == SMQ_CONN_OVER) {
        return;
    }
    smq_say_ended(conn, err, reason, why);
    say_goodbye(conn, reason, why);
    smq_conn_end(conn, SMQ_FATE_CLOSE_AFTER_OUTPUT, true);
}

void smq_conn_kick(struct smq_conn *conn, uint8_t reason, const char *why)
{
    end_with(conn, SMQTT_OK, reason, why);
}

void smq_conn_fail(struct smq_conn *conn, smqtt_err err)
{
    end_with(conn, err, smqtt_err_reason(err), smqtt_strerror(err));
}

void smq_conn_doom(struct smq_conn *conn, smqtt_err err)
{
    if (conn->state != SMQ_CONN_OVER) {
        conn->doom = (uint8_t)err;
        smq_conn_arm(conn);
    }
}

/* ------------------------------------------------------------ deadlines */

static smqtt_ms deadline_of(const struct smq_conn *conn)
{
    const struct smq_broker_config *config = conn->worker->config;
    smqtt_ms at = SMQTT_NEVER;
    if (conn->doom != SMQTT_OK) {
        return conn->worker->now.mono;
    }
    if (conn->stalled || conn->n_held >= SMQ_HELD_MAX || smq_hold_pauses(conn)) {
        return at; /* it cannot be heard, which is not its fault */
    }
    if (conn->exchange != NULL && !smq_conn_is_open(conn)) {
        at = smq_auth_deadline(conn);
    } else if (conn->state == SMQ_CONN_AWAITS_CONNECT) {
        at = conn->last_in + (smqtt_ms)config->connect_timeout_s * 1000;
    } else if (conn->keep_alive_ms != 0) {
        at = conn->last_in + conn->keep_alive_ms;
    }
    if (conn->part_in != SMQTT_NEVER && config->packet_timeout_s != 0) {
        smqtt_ms part = conn->part_in + (smqtt_ms)config->packet_timeout_s * 1000;
        at = part < at ? part : at;
    }
    return at;
}

void smq_conn_arm(struct smq_conn *conn)
{
    if (conn->state == SMQ_CONN_OVER) {
        return; /* whoever lets it go on comes too late; its timer must not outlive it */
    }
    smqtt_ms at = deadline_of(conn);
    bool is_set = smq_wheel_is_set(&conn->timer.node);
    /* Later deadlines are not worth a move: when the timer goes off too early it is set anew. */
    if (at != SMQTT_NEVER && (!is_set || at < conn->timer.node.at)) {
        smq_wheel_set(&conn->worker->wheel, &conn->timer.node, at);
    }
}

void smq_conn_on_timer(struct smq_worker *w, struct smq_timer *timer)
{
    struct smq_conn *conn = SMQ_CONTAINER_OF(timer, struct smq_conn, timer);
    if (conn->state == SMQ_CONN_OVER) {
        return;
    }
    if (deadline_of(conn) > w->now.mono) {
        smq_conn_arm(conn);
    } else {
        smq_conn_fail(conn, conn->doom != SMQTT_OK ? (smqtt_err)conn->doom : SMQTT_E_KEEP_ALIVE);
    }
}

/* ------------------------------------------------------------ life */

static struct smq_codec codec_for(const struct smq_broker_config *config)
{
    enum { CONNECT_MAX = 512 * 1024 }; /* five strings of 65,535 bytes, and properties */
    uint32_t max = config->max_packet_size;
    return (struct smq_codec){.version = SMQTT_V311,
                              .from = SMQ_FROM_CLIENT,
                              .text = config->text_policy,
                              .max_packet = max != 0 && max < CONNECT_MAX ? max : CONNECT_MAX,
                              .max_detect = config->max_detect_size,
                              .max_topic_levels = config->max_topic_levels};
}

smqtt_err smq_worker_open(struct smq_worker *w, const struct smq_listener_config *listener, smq_span peer, void *user,
                          struct smqtt_now now, struct smq_conn **out)
{
    w->now = now;
    const struct smq_broker_config *config = w->config;
    if (!smq_ledger_take(&w->ledger->connections, 1, config->max_connections)) {
        return SMQTT_E_FULL;
    }
    size_t size = offsetof(struct smq_conn, peer) + peer.len + 1;
    struct smq_conn *conn = smq_mem_alloc(w->mem, size > sizeof *conn ? size : sizeof *conn);
    if (conn == NULL) {
        smq_ledger_give(&w->ledger->connections, 1);
        return SMQTT_E_NOMEM;
    }
    *conn = (struct smq_conn){.worker = w,
                              .user = user,
                              .listener = listener,
                              .codec = codec_for(config),
                              .last_in = now.mono,
                              .part_in = SMQTT_NEVER,
                              .receive_max = UINT16_MAX};
    if (peer.len != 0) {
        memcpy(conn->peer, peer.data, peer.len);
    }
    conn->peer[peer.len] = '\0';
    conn->mount_len = (uint16_t)(listener->mount_point != NULL ? strlen(listener->mount_point) : 0);
    conn->own_form = conn->mount_len != 0;
    smq_outq_init(&conn->out);
    smq_list_init(&conn->dirty);
    smq_list_init(&conn->of_worker);
    smq_list_push_back(&w->conns, &conn->of_worker);
    smq_timer_init(&conn->timer, SMQ_TIMER_CONN);
    w->stats.connections++;
    w->stats.sockets++;
    smq_conn_arm(conn);
    *out = conn;
    return SMQTT_OK;
}

void smq_conn_set_listener(struct smq_conn *conn, const struct smq_listener_config *listener)
{
    conn->listener = listener;
}

void smq_worker_lost(struct smq_worker *w, struct smq_conn *conn, smqtt_err err, struct smqtt_now now)
{
    w->now = now;
    if (conn->state != SMQ_CONN_OVER) {
        if (err == SMQTT_OK) {
            smq_say_left(conn, false);
        } else {
            smq_say_ended(conn, err, 0, smqtt_strerror(err));
        }
        smq_conn_end(conn, SMQ_FATE_CLOSE_NOW, true);
    }
    conn->fate = SMQ_FATE_CLOSE_NOW;
    smq_outq_clear(&conn->out, &w->chunks);
    smq_gate_drop(conn);
    smq_conn_make_dirty(conn);
}

void smq_conn_release(struct smq_worker *w, struct smq_conn *conn, struct smqtt_now now)
{
    w->now = now;
    smq_conn_end(conn, SMQ_FATE_CLOSE_NOW, true);
    smq_outq_clear(&conn->out, &w->chunks);
    smq_gate_drop(conn);
    smq_wheel_cancel(&w->wheel, &conn->timer.node);
    smq_list_remove(&conn->dirty);
    smq_list_remove(&conn->of_worker);
    w->stats.connections--;
    if (!conn->handed_over) {
        smq_ledger_give(&w->ledger->connections, 1);
    }
    smq_mem_free(w->mem, conn);
}

enum smq_conn_fate smq_conn_fate(const struct smq_conn *conn, unsigned *owner)
{
    if (owner != NULL) {
        *owner = conn->next_owner;
    }
    return (enum smq_conn_fate)conn->fate;
}

/* What stands behind a closed gate is not shown. */
static size_t cut_to_gate(const struct smq_conn *conn, struct smqtt_span *spans, size_t n)
{
    size_t open = smq_gate_open_bytes(conn);
    for (size_t i = 0; i < n; i++) {
        if (spans[i].len >= open) {
            spans[i].len = open;
            return open != 0 ? i + 1 : i;
        }
        open -= spans[i].len;
    }
    return n;
}

size_t smq_conn_output(const struct smq_conn *conn, struct smqtt_span *spans, size_t max)
{
    size_t n = smq_outq_spans(&conn->out, spans, max);
    return conn->gates == NULL ? n : cut_to_gate(conn, spans, n);
}

bool smq_conn_is_full(const struct smq_conn *conn)
{
    uint64_t max = conn->worker->config->max_output_bytes;
    return max != 0 && conn->out.bytes >= max;
}

/* One that does not take what it is sent is not listened to either; what it is owed is bounded so. */
static bool is_paused(const struct smq_conn *conn)
{
    return smq_conn_is_full(conn) || smq_auth_waits(conn);
}

bool smq_conn_paused(const struct smq_conn *conn)
{
    return is_paused(conn) || conn->stalled || conn->n_held >= SMQ_HELD_MAX ||
           (conn->hold != NULL && smq_hold_pauses(conn));
}

void smq_conn_sent(struct smq_worker *w, struct smq_conn *conn, size_t n, struct smqtt_now now)
{
    w->now = now;
    bool was_paused = is_paused(conn);
    w->stats.bytes_out += n;
    smq_outq_consume(&conn->out, &w->chunks, n);
    smq_gate_sent(conn, n);
    if (was_paused && n != 0) {
        conn->last_in = now.mono; /* it cannot be heard now; that it takes bytes is its sign of life */
    }
    if (was_paused && !is_paused(conn)) {
        smq_conn_make_dirty(conn);
    }
    struct smq_session *s = conn->session;
    if (s == NULL) {
        return;
    }
    if (conn->out.bytes != 0) {
        if (s->slow != NULL) {
            smq_slow_took_bytes(w, s);
        }
    } else if (s->queue.n != 0 || s->n_unsent != 0 || s->pulls != NULL || s->shares != NULL) {
        smq_session_pump(w, s);
    }
}

void *smq_conn_user(const struct smq_conn *conn)
{
    return conn->user;
}
