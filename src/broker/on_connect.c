/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/mutate.h"
#include "base/hex.h"
#include "base/siphash.h"
#include "broker/admit.h"
#include "broker/alias.h"
#include "broker/durable.h"
#include "broker/gate.h"
#include "broker/internal.h"
#include "broker/mount.h"
#include "broker/relay.h"
#include "broker/say.h"
#include "broker/will.h"

enum {
    REASON_TAKEN_OVER = 0x8E,
    REASON_BAD_TOPIC = 0x90,
    REASON_BAD_RETAIN = 0x9A,
    REASON_BAD_QOS = 0x9B,
    RETURN_BAD_VERSION = 1,
    RETURN_BAD_ID = 2,
    REASON_UNAVAILABLE = 0x88,
    REASON_BUSY = 0x89,
    ASSIGNED_RANDOM = 15,
    REASON_ELSEWHERE = 0x9C,
    RESPONSE_LEN = 32, /* with its zero */
    ASSIGNED_MAX = 96  /* with the longest auto_id_prefix */
};

/* ------------------------------------------------------------ refusing */

static void write_connack(struct smq_conn *conn, uint8_t reason, uint8_t code_v3, const char *why)
{
    struct smq_packet pkt = {.type = SMQ_CONNACK};
    pkt.connack.session_present = false;
    pkt.connack.reason = smq_conn_is_v5(conn) ? reason : code_v3;
    smq_props_clear(&pkt.connack.props);
    if (smq_conn_is_v5(conn)) {
        smq_conn_explain(conn, &pkt.connack.props, why);
        if (reason == REASON_BAD_QOS) {
            smq_props_set_num(&pkt.connack.props, SMQ_PROP_MAXIMUM_QOS, conn->listener->first_bad_qos - 1u);
        }
        if (reason == REASON_ELSEWHERE) {
            smq_props_set_bytes(&pkt.connack.props, SMQ_PROP_SERVER_REFERENCE,
                                smq_span_str(conn->worker->config->server_reference));
        }
    }
    (void)!smq_conn_write(conn, &pkt); /* without memory it is closed without a word */
}

static void refuse(struct smq_conn *conn, uint8_t reason, const char *why)
{
    uint8_t code_v3 = smq_connack_code_v3(reason);
    if (smq_conn_is_v5(conn) || code_v3 != 0) {
        write_connack(conn, reason, code_v3, why); /* [MQTT-3.2.2-6] of 3.1.1: 0, no code fits */
    }
    smq_say_refused(conn, reason, why);
    smq_conn_end(conn, SMQ_FATE_CLOSE_AFTER_OUTPUT, false);
}

/* The version stands behind the protocol's name, whatever else is wrong. 0: not there, or none that we speak. */
static uint8_t version_of(const struct smq_frame *frame)
{
    enum { BRIDGE = 0x80 };
    struct smq_rd rd = smq_rd_of(frame->body);
    smq_rd_blob16(&rd);
    uint8_t version = smq_rd_u8(&rd) & (uint8_t)~BRIDGE;
    return smq_rd_ok(&rd) && version >= SMQTT_V31 && version <= SMQTT_V5 ? version : 0;
}

void smq_connect_refuse_unread(struct smq_conn *conn, const struct smq_frame *frame, smqtt_err err)
{
    uint8_t version = version_of(frame);
    struct smq_worker *w = conn->worker;
    if (err == SMQTT_E_BAD_TEXT || err == SMQTT_E_BAD_PAYLOAD) {
        w->stats.refused_text++;
    }
    if (err == SMQTT_E_BAD_VERSION) {
        conn->codec.version = SMQTT_V311;
        write_connack(conn, 0, RETURN_BAD_VERSION, "");
    } else if (version == SMQTT_V5) {
        conn->codec.version = SMQTT_V5;
        write_connack(conn, smqtt_err_reason(err), 0, smqtt_strerror(err));
    } else if (version != 0 && err == SMQTT_E_BAD_CLIENT_ID) {
        conn->codec.version = (enum smqtt_version)version;
        write_connack(conn, 0, RETURN_BAD_ID, "");
    }
    smq_say_ended(conn, err, 0, smqtt_strerror(err));
    smq_conn_end(conn, SMQ_FATE_CLOSE_AFTER_OUTPUT, false);
}

/* ------------------------------------------------------------ what is checked before there is a session */

/* The right is asked for the whole topic. */
static bool may_write(const struct smq_conn *conn, const struct smq_auth *auth, const struct smq_principal *who,
                      smq_span topic)
{
    struct smq_mounted mounted;
    if (smq_mount_topic(conn, topic, &mounted) != SMQTT_OK) {
        return false;
    }
    bool may = auth->access(auth->ctx, who, mounted.topic, SMQ_ACCESS_WRITE);
    smq_mount_free(conn, &mounted);
    return may;
}

static bool may_have_will(struct smq_worker *w, struct smq_conn *conn, const struct smq_connect *c, uint8_t *reason)
{
    const struct smq_will *will = &c->will;
    const struct smq_auth *auth = smq_auth_of(w, conn->listener->id, conn);
    struct smq_principal who = {
        .client_id = c->client_id, .user = c->user, .has_user = c->has_user, .listener = conn->listener};
    who.role = auth != NULL && auth->role != NULL ? auth->role(auth->ctx, &who) : NULL;
    if (!smq_admit_qos(conn->listener, will->qos)) {
        *reason = REASON_BAD_QOS; /* [MQTT-3.2.2-12] */
    } else if (will->retain && !w->config->retain_available) {
        *reason = REASON_BAD_RETAIN; /* [MQTT-3.2.2-13] */
    } else if (smq_admit_is_reserved(will->topic)) {
        *reason = REASON_BAD_TOPIC;
    } else if (auth != NULL && auth->access != NULL && !may_write(conn, auth, &who, will->topic)) {
        *reason = smqtt_err_reason(SMQTT_E_NOT_AUTHORIZED);
    } else if (w->config->message_size_limit != 0 && will->payload.len > w->config->message_size_limit) {
        *reason = smqtt_err_reason(SMQTT_E_TOO_LARGE);
    } else if (!smq_detect_is_satisfied(conn, will->topic, false)) {
        *reason = smqtt_err_reason(SMQTT_E_NOT_AUTHORIZED);
    } else {
        return true;
    }
    return false;
}

/* Keep-alive 0, "never", is allowed unless a maximum was configured. In version 5 the server's word holds; the older
 * ones cannot be told one, and theirs does, as with Mosquitto. Returns what version 5 is to be told, 0: nothing. */
static uint16_t set_keep_alive(const struct smq_worker *w, struct smq_conn *conn, const struct smq_connect *c)
{
    uint16_t max = w->config->max_keepalive;
    bool has_max = max != 0 && max != UINT16_MAX && c->version == SMQTT_V5;
    bool too_long = has_max && (c->keep_alive == 0 || c->keep_alive > max);
    conn->keep_alive_ms = (uint32_t)(too_long ? max : c->keep_alive) * 1500;
    return too_long ? max : 0;
}

/* ------------------------------------------------------------ the session */

/* A random identifier that belongs to this worker. */
static smqtt_err assign_id(struct smq_worker *w, const struct smq_listener_config *listener, char *out, size_t cap,
                           smq_span *id)
{
    const char *prefix = smq_admit_id_prefix(listener);
    size_t len = strlen(prefix);
    if (len + SMQ_BASE32_LEN(ASSIGNED_RANDOM) + 1 > cap) {
        len = 0;
    }
    memcpy(out, prefix, len);
    do {
        uint8_t random[ASSIGNED_RANDOM];
        if (!w->rng.fill(w->rng.ctx, random, sizeof random)) {
            return SMQTT_E_RNG;
        }
        smq_base32_encode(out + len, smq_span_of(random, sizeof random), true);
        *id = smq_span_str(out);
    } while (smq_worker_owner(w, *id) != w->index || smq_session_find(w, *id) != NULL);
    return SMQTT_OK;
}

static bool is_same_user(const struct smq_session *s, const struct smq_connect *c)
{
    return s->user == NULL || !c->has_user || smq_span_equal(smq_span_of(s->user, s->user_len), c->user);
}

static uint32_t expiry_of(const struct smq_worker *w, const struct smq_connect *c)
{
    uint32_t asked = smq_props_num(&c->props, SMQ_PROP_SESSION_EXPIRY, 0);
    if (c->version != SMQTT_V5) {
        asked = c->clean_start ? 0 : UINT32_MAX;
    }
    return smq_session_expiry(w, asked);
}

static void take_over(struct smq_session *s)
{
    if (s->conn != NULL) {
        if (SMQ_MUTATE(will_lost)) {
            smq_will_drop(s->conn->worker, s);
        }
        smq_conn_kick(s->conn, REASON_TAKEN_OVER, "another connection took over the session"); /* [MQTT-3.1.4-3] */
    }
}

/* Is there room for one more (`global_max_clients`)? Sessions of clients that are away count, too. */
static bool is_full(const struct smq_worker *w)
{
    return w->config->max_clients != 0 &&
           atomic_load_explicit(&w->ledger->sessions, memory_order_relaxed) >= w->config->max_clients;
}

static smqtt_err new_session(struct smq_worker *w, smq_span id, uint32_t expiry_s, struct smq_session **out)
{
    struct smq_session *s;
    SMQ_TRY(smq_session_new(w, id, &s));
    smqtt_err err = expiry_s != 0 ? smq_durable_begin(w, s) : SMQTT_OK;
    if (err != SMQTT_OK) {
        smq_session_end(w, s);
        return err;
    }
    *out = s;
    return SMQTT_OK;
}

/* Finds or makes the session; what it needs is got before the old one is touched. */
static smqtt_err enter(struct smq_worker *w, struct smq_conn *conn, const struct smq_connect *c, smq_span id,
                       bool *present)
{
    char *user = NULL;
    if (c->has_user) {
        user = smq_mem_dup(w->mem, c->user);
        if (user == NULL) {
            return SMQTT_E_NOMEM;
        }
    }
    struct smq_will_due *will = NULL;
    smqtt_err err = c->has_will ? smq_will_new(conn, c, &will) : SMQTT_OK;
    struct smq_session *s = smq_session_find(w, id);
    if (err == SMQTT_OK && s != NULL) {
        take_over(s);
        s = smq_session_find(w, id); /* it may have ended with its connection */
        if (s != NULL && c->clean_start) {
            smq_session_end(w, s); /* [MQTT-3.1.2-4] */
            s = NULL;
        }
    }
    *present = s != NULL;
    if (err == SMQTT_OK && s == NULL) {
        err = new_session(w, id, expiry_of(w, c), &s);
    }
    if (err != SMQTT_OK) {
        smq_mem_free(w->mem, user);
        smq_will_free(w, will);
        return err;
    }
    smq_session_keep(w, s);
    smq_will_drop(w, s); /* a delayed one: its client is back [MQTT-3.1.3-9] */
    smq_mem_free(w->mem, s->user);
    s->user = user;
    s->user_len = user != NULL ? (uint32_t)c->user.len : 0;
    s->will = will;
    s->expiry_s = expiry_of(w, c);
    s->conn = conn;
    s->listener_id = conn->listener->id;
    s->auth_turn = 0; /* another user, maybe another listener */
    smq_durable_head(w, s);
    if (will != NULL) {
        smq_durable_will(w, s);
    }
    w->stats.online++;
    w->stats.connects++;
    conn->session = s;
    return SMQTT_OK;
}

/* ------------------------------------------------------------ the answer */

/* What the server allows. */
static void put_limits(const struct smq_conn *conn, struct smq_props *props)
{
    const struct smq_broker_config *config = conn->worker->config;
    if (config->receive_maximum != 0 && config->receive_maximum != UINT16_MAX) {
        smq_props_set_num(props, SMQ_PROP_RECEIVE_MAXIMUM, config->receive_maximum);
    }
    if (!smq_admit_qos(conn->listener, 2)) {
        smq_props_set_num(props, SMQ_PROP_MAXIMUM_QOS, conn->listener->first_bad_qos - 1u);
    }
    if (!config->retain_available) {
        smq_props_set_num(props, SMQ_PROP_RETAIN_AVAILABLE, 0);
    }
    if (config->max_packet_size != 0) {
        smq_props_set_num(props, SMQ_PROP_MAXIMUM_PACKET_SIZE, config->max_packet_size);
    }
    if (conn->listener->topic_alias_in != 0) {
        smq_props_set_num(props, SMQ_PROP_TOPIC_ALIAS_MAXIMUM, conn->listener->topic_alias_in);
    }
}

/* A part of the topic tree for the answers to one client (MQTT 5.0 section 3.2.2.3.15). The same for a client
 * identifier on every server and after each restart, so that a session that lives on keeps its own. */
static void put_response_information(const struct smq_conn *conn, struct smq_props *props, char text[RESPONSE_LEN])
{
    static const uint8_t key[16] = "smqtt/response/";
    uint64_t hash = smq_siphash13(key, smq_session_id(conn->session));
    snprintf(text, RESPONSE_LEN, "smqtt/response/%016" PRIx64, hash);
    smq_props_set_bytes(props, SMQ_PROP_RESPONSE_INFO, smq_span_str(text));
}

static smqtt_err accept(struct smq_conn *conn, const struct smq_connect *c, bool present, smq_span assigned,
                        uint16_t server_keep_alive)
{
    const struct smq_broker_config *config = conn->worker->config;
    struct smq_packet pkt = {.type = SMQ_CONNACK};
    pkt.connack.session_present = present;
    struct smq_props *props = &pkt.connack.props;
    smq_props_clear(props);
    if (!smq_conn_is_v5(conn)) {
        return smq_conn_write(conn, &pkt);
    }
    uint8_t raw[64];
    char response[RESPONSE_LEN];
    struct smq_wr wr = smq_wr_of(raw, sizeof raw);
    bool room = conn->max_packet_out == 0 || conn->max_packet_out >= SMQ_ROOM_FOR_WORDS;
    if (config->detect && room) {                                                 /* [MQTT-3.2.2-20] */
        smq_props_put_user(&wr, smq_span_str("smqtt-detect"), smq_span_str("1")); /* protocol.md 9.1 */
    }
    props->raw = smq_wr_span(&wr);
    put_limits(conn, props);
    if (conn->session->expiry_s != smq_props_num(&c->props, SMQ_PROP_SESSION_EXPIRY, 0)) {
        smq_props_set_num(props, SMQ_PROP_SESSION_EXPIRY, conn->session->expiry_s);
    }
    if (assigned.len != 0) {
        smq_props_set_bytes(props, SMQ_PROP_ASSIGNED_CLIENT_ID, assigned); /* [MQTT-3.1.3-7] */
    }
    smq_auth_put_props(conn, props);
    if (server_keep_alive != 0) {
        smq_props_set_num(props, SMQ_PROP_SERVER_KEEP_ALIVE, server_keep_alive); /* [MQTT-3.2.2-21] */
    }
    if (config->response_information && smq_props_num(&c->props, SMQ_PROP_REQUEST_RESPONSE_INFO, 0) == 1) {
        put_response_information(conn, props, response); /* [MQTT-3.1.2-28] */
    }
    uint64_t before = conn->worker->stats.packets_out;
    SMQ_TRY(smq_conn_write(conn, &pkt));
    return conn->worker->stats.packets_out != before ? SMQTT_OK : SMQTT_E_TOO_LARGE;
}

/* What the codec is to read and write from now on. */
static void settle(const struct smq_worker *w, struct smq_conn *conn, const struct smq_connect *c)
{
    conn->codec.max_packet = w->config->max_packet_size;
    conn->max_packet_out = smq_props_num(&c->props, SMQ_PROP_MAXIMUM_PACKET_SIZE, 0);
    smq_alias_begin_out(conn, smq_props_num(&c->props, SMQ_PROP_TOPIC_ALIAS_MAXIMUM, 0));
    conn->receive_max = (uint16_t)smq_props_num(&c->props, SMQ_PROP_RECEIVE_MAXIMUM, UINT16_MAX);
    conn->is_bridge = c->bridge;
}

/* Every error has a reason here: one that could be mistaken for success would let in who was refused. */
static uint8_t reason_of(smqtt_err err)
{
    uint8_t reason = smqtt_err_reason(err);
    return err != SMQTT_OK && reason == 0 ? smqtt_err_reason(SMQTT_E_IO) : reason;
}

/* 0, or the reason why it is refused. */
static uint8_t check(struct smq_worker *w, struct smq_conn *conn, const struct smq_connect *c, smqtt_err err,
                     const char **why)
{
    uint8_t reason = 0;
    if (err == SMQTT_OK && c->has_will && !may_have_will(w, conn, c, &reason)) {
        *why = "its will is not allowed";
        return reason;
    }
    const struct smq_session *old = smq_session_find(w, c->client_id);
    bool stored = w->has_store && (expiry_of(w, c) != 0 || (old != NULL && old->stored != NULL));
    if (err == SMQTT_OK && stored && w->store_state == SMQ_STORE_REFUSES) {
        *why = "sessions cannot be stored at present";
        return REASON_UNAVAILABLE;
    }
    if (err == SMQTT_OK && old == NULL && is_full(w)) {
        *why = "there are as many clients as there may be";
        return REASON_BUSY;
    }
    if (err == SMQTT_OK && old != NULL && !is_same_user(old, c)) {
        err = SMQTT_E_NOT_AUTHORIZED;
    }
    *why = smqtt_strerror(err);
    return reason_of(err);
}

smqtt_err smq_connect_finish(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt, bool nameless,
                             smqtt_err err)
{
    struct smq_connect *c = &pkt->connect;
    if (err == SMQTT_OK) {
        smq_auth_enter(w, conn, c);
    }
    const char *why;
    uint8_t reason = check(w, conn, c, err, &why);
    if (reason != 0) {
        refuse(conn, reason, why);
        return SMQTT_OK;
    }
    char assigned[ASSIGNED_MAX];
    uint64_t mark = w->writes == NULL ? smq_store_mark(w) : 0;
    smq_span id = c->client_id;
    bool present = false;
    err = id.len == 0 ? assign_id(w, conn->listener, assigned, sizeof assigned, &id) : SMQTT_OK;
    if (err == SMQTT_OK) {
        err = enter(w, conn, c, id, &present);
    }
    if (err != SMQTT_OK) {
        refuse(conn, reason_of(err), smqtt_strerror(err));
        return SMQTT_OK;
    }
    conn->state = SMQ_CONN_AWAITS_PACKETS;
    smq_say_connected(conn, c);
    /* What it says must still be true after a crash: that an older session ended, too. */
    if (conn->session->stored != NULL || smq_store_mark(w) != mark || w->n_ended > w->mark) {
        SMQ_TRY(smq_gate_now(conn));
    }
    err = accept(conn, c, present, nameless ? id : (smq_span){NULL, 0}, set_keep_alive(w, conn, c));
    if (err == SMQTT_E_TOO_LARGE) {
        /* It takes no CONNACK and would wait for ever; nor may anything else be said before one [MQTT-3.2.0-1]. */
        smq_conn_end(conn, SMQ_FATE_CLOSE_NOW, false);
        return SMQTT_OK;
    }
    SMQ_TRY(err);
    smq_auth_settled(conn);
    smq_session_resume(w, conn->session);
    return SMQTT_OK;
}

smqtt_err smq_on_connect(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    struct smq_connect *c = &pkt->connect;
    conn->codec.version = c->version;
    settle(w, conn, c);
    if (w->config->server_reference != NULL) {
        refuse(conn, REASON_ELSEWHERE, "clients are sent to another server");
        return SMQTT_OK;
    }
    bool nameless = c->client_id.len == 0;
    const char *why = "";
    uint8_t reason = smq_admit(conn->listener, c, &why);
    if (reason != 0) {
        refuse(conn, reason, why);
        return SMQTT_OK;
    }
    unsigned owner = c->client_id.len != 0 ? smq_worker_owner(w, c->client_id) : w->index;
    if (owner != w->index) {
        conn->next_owner = (uint16_t)owner;
        w->stats.sockets--; /* its owner counts it */
        smq_conn_end(conn, SMQ_FATE_HANDOVER, false);
        return SMQTT_OK;
    }
    smqtt_err err = smq_auth_login(w, conn, c);
    return err == SMQTT_E_AGAIN ? SMQTT_OK : smq_connect_finish(w, conn, pkt, nameless, err);
}
