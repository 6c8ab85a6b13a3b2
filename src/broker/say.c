/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/say.h"
#include "broker/internal.h"

#define TEXT(span) (int)(span).len, (const char *)(span).data

static smq_span id_of(const struct smq_conn *conn)
{
    return conn->session != NULL ? smq_session_id(conn->session) : smq_span_str("<unknown>");
}

static struct smq_log_about about(const struct smq_conn *conn, const char *event)
{
    struct smq_log_about a = {.event = event, .peer = smq_span_str(conn->peer)};
    if (conn->session != NULL) {
        a.client_id = smq_session_id(conn->session);
        a.user = smq_span_of(conn->session->user, conn->session->user_len);
    }
    return a;
}

static bool says_clients(const struct smq_conn *conn)
{
    return conn->worker->config->log_connections && smq_log_is_on(conn->worker->log, SMQ_LOG_NOTICE);
}

/* ------------------------------------------------------------ clients that come and go */

/* The number that Mosquitto has for a version. */
static unsigned version_number(enum smqtt_version version)
{
    return version == SMQTT_V5 ? 5 : version == SMQTT_V311 ? 2 : 1;
}

static void say_will(const struct smq_conn *conn, const struct smq_connect *c)
{
    const struct smq_log *log = conn->worker->log;
    if (!c->has_will) {
        smq_log(log, SMQ_LOG_DEBUG, "No will message specified.");
        return;
    }
    smq_log(log, SMQ_LOG_DEBUG, "Will message specified (%zu bytes) (r%d, q%d).", c->will.payload.len, c->will.retain,
            c->will.qos);
    smq_log(log, SMQ_LOG_DEBUG, "\t%.*s", TEXT(c->will.topic));
}

void smq_say_connected(const struct smq_conn *conn, const struct smq_connect *c)
{
    const struct smq_log *log = conn->worker->log;
    if (says_clients(conn)) {
        smq_span id = id_of(conn);
        struct smq_log_about a = about(conn, "connected");
        unsigned version = version_number(c->version);
        if (c->has_user) {
            smq_log_with(log, SMQ_LOG_NOTICE, &a, "New client connected from %s as %.*s (p%u, c%d, k%u, u'%.*s').",
                         conn->peer, TEXT(id), version, c->clean_start, c->keep_alive, TEXT(c->user));
        } else {
            smq_log_with(log, SMQ_LOG_NOTICE, &a, "New client connected from %s as %.*s (p%u, c%d, k%u).", conn->peer,
                         TEXT(id), version, c->clean_start, c->keep_alive);
        }
    }
    if (smq_log_is_on(log, SMQ_LOG_DEBUG)) {
        say_will(conn, c);
    }
}

static bool is_denial(uint8_t reason)
{
    return reason == smqtt_err_reason(SMQTT_E_NOT_AUTHORIZED) || reason == smqtt_err_reason(SMQTT_E_BAD_LOGIN);
}

void smq_say_refused(const struct smq_conn *conn, uint8_t reason, const char *why)
{
    if (!says_clients(conn)) {
        return;
    }
    smq_span id = id_of(conn);
    struct smq_log_about a = about(conn, "refused");
    if (is_denial(reason)) {
        smq_log_with(conn->worker->log, SMQ_LOG_NOTICE, &a, "Client %.*s disconnected, not authorised.", TEXT(id));
    } else {
        smq_log_with(conn->worker->log, SMQ_LOG_NOTICE, &a, "Client %.*s [%s] disconnected: %s.", TEXT(id), conn->peer,
                     why);
    }
}

/* The end of the sentence that begins with "Client ID"; NULL: there is no word of Mosquitto's for it. */
static const char *ending_of(smqtt_err err)
{
    static const struct {
        smqtt_err err;
        const char *words;
    } endings[] = {
        {SMQTT_E_KEEP_ALIVE, "has exceeded timeout, disconnecting."},
        {SMQTT_E_MALFORMED, "disconnected due to malformed packet."},
        {SMQTT_E_BAD_TEXT, "disconnected due to malformed packet."},
        {SMQTT_E_BAD_TOPIC, "disconnected due to malformed packet."},
        {SMQTT_E_BAD_FILTER, "disconnected due to malformed packet."},
        {SMQTT_E_PROTOCOL, "disconnected due to protocol error."},
        {SMQTT_E_TOO_LARGE, "disconnected due to oversize packet."},
        {SMQTT_E_NOT_AUTHORIZED, "disconnected, not authorised."},
        {SMQTT_E_NOMEM, "disconnected due to out of memory."},
        {SMQTT_E_IO, "closed its connection."},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(endings); i++) {
        if (endings[i].err == err) {
            return endings[i].words;
        }
    }
    return NULL;
}

/* Before a CONNECT was taken, everything is a protocol error to Mosquitto. */
static bool is_bad_connect(const struct smq_conn *conn, smqtt_err err)
{
    static const smqtt_err all[] = {SMQTT_E_MALFORMED,   SMQTT_E_BAD_TEXT,      SMQTT_E_BAD_TOPIC,
                                    SMQTT_E_BAD_VERSION, SMQTT_E_BAD_CLIENT_ID, SMQTT_E_PROTOCOL};
    size_t i = 0;
    while (i < SMQ_ARRAY_LEN(all) && all[i] != err) {
        i++;
    }
    return conn->session == NULL && i < SMQ_ARRAY_LEN(all);
}

void smq_say_ended(const struct smq_conn *conn, smqtt_err err, uint8_t reason, const char *why)
{
    enum { SHUTTING_DOWN = 0x8B, TAKEN_OVER = 0x8E };
    if (!says_clients(conn) || reason == SHUTTING_DOWN) {
        return;
    }
    smq_span id = id_of(conn);
    struct smq_log_about a = about(conn, "ended");
    if (is_bad_connect(conn, err)) {
        smq_log(conn->worker->log, SMQ_LOG_INFO, "Bad CONNECT from %s: %s.", conn->peer, why);
        err = SMQTT_E_PROTOCOL;
    }
    const char *words = reason == TAKEN_OVER ? "already connected, closing old connection." : ending_of(err);
    if (words != NULL) {
        smq_log_with(conn->worker->log, SMQ_LOG_NOTICE, &a, "Client %.*s %s", TEXT(id), words);
    } else {
        smq_log_with(conn->worker->log, SMQ_LOG_NOTICE, &a, "Client %.*s disconnected: %s.", TEXT(id), why);
    }
}

void smq_say_left(const struct smq_conn *conn, bool farewell)
{
    if (!says_clients(conn)) {
        return;
    }
    smq_span id = id_of(conn);
    struct smq_log_about a = about(conn, "left");
    smq_log_with(conn->worker->log, SMQ_LOG_NOTICE, &a, "Client %.*s %s", TEXT(id),
                 farewell ? "disconnected." : "closed its connection.");
}

void smq_say_expired(const struct smq_worker *w, const struct smq_session *s)
{
    smq_span id = smq_session_id(s);
    struct smq_log_about a = {.event = "expired", .client_id = id, .user = smq_span_of(s->user, s->user_len)};
    smq_log_with(w->log, SMQ_LOG_NOTICE, &a, "Expiring client %.*s due to timeout.", TEXT(id));
}

/* ------------------------------------------------------------ packets */

static void say_publish(const struct smq_conn *conn, const char *verb, const struct smq_publish *p)
{
    smq_span id = id_of(conn);
    smq_log(conn->worker->log, SMQ_LOG_DEBUG, "%s %.*s (d%d, q%d, r%d, m%u, '%.*s', ... (%zu bytes))", verb, TEXT(id),
            p->dup, p->qos, p->retain, p->qos != 0 ? (unsigned)p->id : 0u, TEXT(p->topic), p->payload.len);
}

static void say_filters(const struct smq_conn *conn, const struct smq_subscribe *p, bool options)
{
    struct smq_rd it = smq_rd_of(p->list);
    struct smq_filter f;
    while (smq_filters_next(&conn->codec, &it, options, &f)) {
        if (options) {
            smq_log(conn->worker->log, SMQ_LOG_DEBUG, "\t%.*s (QoS %d)", TEXT(f.filter), f.options & SMQ_SUB_QOS);
        } else {
            smq_log(conn->worker->log, SMQ_LOG_DEBUG, "\t%.*s", TEXT(f.filter));
        }
    }
}

void smq_say_received(const struct smq_conn *conn, const struct smq_packet *pkt)
{
    const struct smq_log *log = conn->worker->log;
    smq_span id = id_of(conn);
    const char *name = smq_type_name(pkt->type);
    switch (pkt->type) {
    case SMQ_CONNECT:
        break; /* said when it is taken or refused */
    case SMQ_PUBLISH:
        break; /* said when it is taken: what is denied is only "Denied PUBLISH" */
    case SMQ_PUBACK:
    case SMQ_PUBCOMP:
        smq_log(log, SMQ_LOG_DEBUG, "Received %s from %.*s (Mid: %u, RC:%u)", name, TEXT(id), pkt->ack.id,
                pkt->ack.reason);
        break;
    case SMQ_PUBREC:
    case SMQ_PUBREL:
        smq_log(log, SMQ_LOG_DEBUG, "Received %s from %.*s (Mid: %u)", name, TEXT(id), pkt->ack.id);
        break;
    case SMQ_SUBSCRIBE:
    case SMQ_UNSUBSCRIBE:
        smq_log(log, SMQ_LOG_DEBUG, "Received %s from %.*s", name, TEXT(id));
        say_filters(conn, &pkt->subscribe, pkt->type == SMQ_SUBSCRIBE);
        break;
    case SMQ_DETECT:
    case SMQ_CONNACK:
    case SMQ_SUBACK:
    case SMQ_UNSUBACK:
    case SMQ_PINGREQ:
    case SMQ_PINGRESP:
    case SMQ_DISCONNECT:
    case SMQ_AUTH:
        smq_log(log, SMQ_LOG_DEBUG, "Received %s from %.*s", name, TEXT(id));
        break;
    }
}

void smq_say_received_publish(const struct smq_conn *conn, const struct smq_publish *p)
{
    say_publish(conn, "Received PUBLISH from", p);
}

/* Without the port: all that is known of who is refused. */
static smq_span address_of(const struct smq_conn *conn)
{
    const char *colon = strrchr(conn->peer, ':');
    return smq_span_of(conn->peer, colon != NULL ? (size_t)(colon - conn->peer) : strlen(conn->peer));
}

void smq_say_sending(const struct smq_conn *conn, const struct smq_packet *pkt)
{
    const struct smq_log *log = conn->worker->log;
    smq_span id = conn->session != NULL ? smq_session_id(conn->session) : address_of(conn);
    if (pkt->type == SMQ_CONNACK) {
        smq_log(log, SMQ_LOG_DEBUG, "Sending CONNACK to %.*s (%d, %u)", TEXT(id), pkt->connack.session_present,
                pkt->connack.reason);
    } else {
        smq_log(log, SMQ_LOG_DEBUG, "Sending %s to %.*s", smq_type_name(pkt->type), TEXT(id));
    }
}

void smq_say_sending_publish(const struct smq_conn *conn, const struct smq_send *send)
{
    const struct smq_publish p = {.dup = send->dup,
                                  .retain = send->retain,
                                  .qos = send->qos,
                                  .id = send->id,
                                  .topic = send->content->topic,
                                  .payload = send->content->payload};
    say_publish(conn, "Sending PUBLISH to", &p);
}

void smq_say_sending_ack(const struct smq_conn *conn, enum smq_type type, uint16_t id, uint8_t reason)
{
    smq_span client = id_of(conn);
    if (type == SMQ_PUBACK || type == SMQ_PUBREC) {
        smq_log(conn->worker->log, SMQ_LOG_DEBUG, "Sending %s to %.*s (m%u, rc%u)", smq_type_name(type), TEXT(client),
                id, reason);
    } else {
        smq_log(conn->worker->log, SMQ_LOG_DEBUG, "Sending %s to %.*s (m%u)", smq_type_name(type), TEXT(client), id);
    }
}

void smq_say_denied(const struct smq_conn *conn, const struct smq_publish *p)
{
    say_publish(conn, "Denied PUBLISH from", p);
}

void smq_say_subscribed(const struct smq_conn *conn, smq_span filter, uint8_t qos)
{
    smq_span id = id_of(conn);
    struct smq_log_about a = about(conn, "subscribed");
    smq_log_with(conn->worker->log, SMQ_LOG_SUBSCRIBE, &a, "%.*s %u %.*s", TEXT(id), qos, TEXT(filter));
}

void smq_say_unsubscribed(const struct smq_conn *conn, smq_span filter)
{
    smq_span id = id_of(conn);
    struct smq_log_about a = about(conn, "unsubscribed");
    smq_log_with(conn->worker->log, SMQ_LOG_UNSUBSCRIBE, &a, "%.*s %.*s", TEXT(id), TEXT(filter));
}
