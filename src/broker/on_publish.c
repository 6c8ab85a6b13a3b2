/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "broker/admit.h"
#include "broker/alias.h"
#include "broker/convert.h"
#include "broker/durable.h"
#include "broker/gate.h"
#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/mount.h"
#include "broker/relay.h"
#include "broker/route.h"
#include "broker/source.h"
#include "broker/say.h"

enum { REASON_NO_SUBSCRIBERS = 0x10, REASON_BAD_TOPIC = 0x90, REASON_BAD_RETAIN = 0x9A, PROPS_ON_STACK = 512 };

/* [MQTT-3.3.2-12]: the topic as the alias has it, or the alias as the topic has it. */
static smqtt_err resolve_alias(struct smq_conn *conn, struct smq_publish *p)
{
    if (!smq_props_has(&p->props, SMQ_PROP_TOPIC_ALIAS)) {
        return SMQTT_OK;
    }
    uint32_t alias = smq_props_num(&p->props, SMQ_PROP_TOPIC_ALIAS, 0);
    if (alias > conn->listener->topic_alias_in) {
        return SMQTT_E_BAD_ALIAS;
    }
    if (p->topic.len != 0) {
        return smq_alias_set(conn, alias, p->topic);
    }
    p->topic = smq_alias_get(conn, alias);
    return p->topic.len != 0 ? SMQTT_OK : SMQTT_E_PROTOCOL;
}

/* Positive in every version, or negative in version 5. In 3.x there is no way to say no but to close; rights are
 * refused silently there, as other brokers do, so that clients do not try again for ever. */
static smqtt_err answer(struct smq_conn *conn, const struct smq_publish *p, uint8_t reason)
{
    if (p->qos == 0) {
        return SMQTT_OK;
    }
    enum smq_type type = p->qos == 1 ? SMQ_PUBACK : SMQ_PUBREC;
    if (conn->hold != NULL && smq_hold_waits(conn)) {
        return smq_hold_ack(conn, type, p->id, reason, p->topic.len + p->payload.len);
    }
    return smq_conn_write_ack(conn, type, p->id, reason);
}

/* The same, of something that is true when what was written so far is committed. */
static __attribute__((noinline)) smqtt_err answer_stored(struct smq_conn *conn, const struct smq_publish *p,
                                                         uint8_t reason)
{
    bool early = p->qos == 1 ? SMQ_MUTATE(puback_early) : SMQ_MUTATE(pubrec_early);
    if (!early && (conn->hold == NULL || !smq_hold_waits(conn))) {
        SMQ_TRY(smq_gate_now(conn));
    }
    return answer(conn, p, reason);
}

static smqtt_err refuse(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p, uint8_t reason)
{
    if (smq_say_packets(w->log)) {
        smq_say_denied(conn, p);
    }
    w->stats.publish_dropped++;
    return answer(conn, p, reason);
}

/* Exempt from require_detect: the topics of S-MQTT (protocol.md 9.4); registration never comes here. */
static smqtt_err check_detect(const struct smq_conn *conn, const struct smq_publish *p)
{
    bool may = conn->listener->require_detect == NULL || smq_detect_is_satisfied(conn, p->topic, false);
    return may ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED;
}

/* Who publishes it, for the time when the right to it is asked for again. */
static smqtt_err source_of(struct smq_worker *w, const struct smq_session *s, uint8_t **bytes, smq_span *source)
{
    struct smq_principal who = smq_session_principal(s);
    return smq_source_new(w, s->auth, &who, s->listener_id, bytes, source);
}

/* What the broker itself has to know of the properties. */
static void take_props(const struct smq_worker *w, const struct smq_publish *p, struct smq_content *content)
{
    uint32_t expiry = smq_props_num(&p->props, SMQ_PROP_MESSAGE_EXPIRY, 0);
    if (smq_props_has(&p->props, SMQ_PROP_MESSAGE_EXPIRY)) {
        content->expires = w->now.mono + (smqtt_ms)expiry * 1000;
    }
    content->has_text = smq_props_num(&p->props, SMQ_PROP_PAYLOAD_FORMAT, 0) == 1;
}

/* Was it sealed for the broker's own identity? Then it is routed when it is opened. */
static bool take_own(struct smq_worker *w, struct smq_conn *conn, const struct smq_content *content, smqtt_err *err)
{
    const struct smq_own_from from = {.session = conn->session};
    return smq_own_take(w, &from, content) || smq_far_seal(w, conn, content, err);
}

static smqtt_err route(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p, smq_span props,
                       size_t *n_receivers)
{
    struct smq_routing r;
    r.content = (struct smq_content){.topic = p->topic,
                                     .props = props,
                                     .payload = p->payload,
                                     .expires = SMQTT_NEVER,
                                     .qos = p->qos,
                                     .retain = p->retain};
    if (p->props.present != 0) {
        take_props(w, p, &r.content);
    }
    smqtt_err err = SMQTT_OK;
    if (w->config->identity != NULL && take_own(w, conn, &r.content, &err)) {
        *n_receivers =
            1; /* the broker itself; a repetition is known by the record, whatever becomes of its identifier */
        return err;
    }
    uint8_t *source = NULL;
    if (p->retain) {
        SMQ_TRY(source_of(w, conn->session, &source, &r.content.source));
    }
    smq_routing_init_rest(&r, &conn->session->sub, true);
    r.refusable = true;
    err = smq_route(w, &r);
    *n_receivers = r.n_receivers;
    smq_routing_deinit(&r);
    if (source != NULL) {
        smq_mem_free(w->mem, source);
    }
    if (p->qos == 2 && err == SMQTT_OK) {
        smq_durable_in(w, conn->session, p->id, true);
    }
    return err;
}

/* What travels on of the properties, gathered where it needs gathering. */
static smqtt_err route_with_props(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p,
                                  size_t *n_receivers)
{
    if ((p->props.present & ~SMQ_FORWARDED) == 0) {
        return route(w, conn, p, p->props.raw, n_receivers);
    }
    uint8_t local[PROPS_ON_STACK];
    struct smq_wr wr = smq_wr_of(local, sizeof local);
    uint8_t *heap = NULL;
    smq_props_copy_raw(&p->props, SMQ_FORWARDED, &wr);
    if (!smq_wr_ok(&wr)) {
        heap = smq_mem_alloc(w->mem, wr.len);
        if (heap == NULL) {
            return SMQTT_E_NOMEM;
        }
        wr = smq_wr_of(heap, wr.len);
        smq_props_copy_raw(&p->props, SMQ_FORWARDED, &wr);
    }
    smqtt_err err = route(w, conn, p, smq_wr_span(&wr), n_receivers);
    smq_mem_free(w->mem, heap);
    return err;
}

/* No more than the receive maximum that version 5 was told [MQTT-3.3.4-7]; the older ones know none, and as many are
 * open there as there are identifiers. [MQTT-4.3.3-10]: a message of QoS 2 is taken once, however often it comes before
 * its PUBREL. */
static smqtt_err take_id(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p, bool *fresh)
{
    uint16_t max = w->config->receive_maximum;
    max = max != 0 && smq_conn_is_v5(conn) ? max : UINT16_MAX;
    uint32_t waiting = smq_hold_n_puback(conn);
    *fresh = true;
    if (p->qos == 1) {
        return waiting + conn->session->in.n < max ? SMQTT_OK : SMQTT_E_RECEIVE_MAX;
    }
    max = waiting < max ? (uint16_t)(max - waiting) : 0;
    return smq_qos2_in_add(&conn->session->in, w->mem, p->id, max, fresh);
}

/* In 3.x nobody can be told that a message is not taken: it stays unread until the store has room again. */
static void put_off(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p)
{
    w->stats.publish_in--; /* it is counted when it is read again */
    w->stats.payload_in -= p->payload.len;
    conn->stalled = true;
    smq_conn_make_dirty(conn);
}

/* It was not routed. */
static smqtt_err fail(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p, smqtt_err err)
{
    bool sayable = smq_conn_is_v5(conn) || p->qos == 0;
    if (p->qos == 2) {
        smq_qos2_in_release(&conn->session->in, w->mem, p->id);
    }
    if (err == SMQTT_E_FULL && !sayable) {
        put_off(w, conn, p);
        return SMQTT_OK;
    }
    return (err == SMQTT_E_QUOTA || err == SMQTT_E_FULL) && sayable ? refuse(w, conn, p, smqtt_err_reason(err)) : err;
}

static smqtt_err publish(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p)
{
    bool fresh = true;
    if (smq_say_packets(w->log)) {
        smq_say_received_publish(conn, p);
    }
    if (p->qos != 0) {
        SMQ_TRY(take_id(w, conn, p, &fresh));
    }
    if (!fresh) {
        return answer(conn, p, 0); /* it stands behind the gate of the first one, or of CONNACK */
    }
    if (smq_convert_is_topic(p->topic) && smq_convert_publish(w, conn, p)) {
        return answer(conn, p, 0);
    }
    size_t n_receivers = 0;
    uint64_t before = smq_store_count(w);
    smqtt_err err = route_with_props(w, conn, p, &n_receivers);
    if (err != SMQTT_OK) {
        return fail(w, conn, p, err);
    }
    if (p->qos == 0) {
        return SMQTT_OK;
    }
    uint8_t reason = n_receivers != 0 ? 0 : REASON_NO_SUBSCRIBERS;
    return smq_store_count(w) == before ? answer(conn, p, reason) : answer_stored(conn, p, reason);
}

static smqtt_err publish_allowed(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p)
{
    if (!smq_session_may(w, conn->session, p->topic, SMQ_ACCESS_WRITE)) {
        return refuse(w, conn, p, smqtt_err_reason(SMQTT_E_NOT_AUTHORIZED));
    }
    return publish(w, conn, p);
}

/* Rights are those of the whole topic, as with Mosquitto. */
static smqtt_err publish_mounted(struct smq_worker *w, struct smq_conn *conn, struct smq_publish *p)
{
    struct smq_mounted mounted;
    smqtt_err err = smq_mount_topic(conn, p->topic, &mounted);
    if (err == SMQTT_E_BAD_TOPIC && (smq_conn_is_v5(conn) || p->qos == 0)) {
        return refuse(w, conn, p, smqtt_err_reason(err));
    }
    SMQ_TRY(err);
    p->topic = mounted.topic;
    err = publish_allowed(w, conn, p);
    smq_mount_free(conn, &mounted);
    return err;
}

/* To a topic that is the broker's own: registration of S-MQTT, or nothing. */
static smqtt_err publish_special(struct smq_worker *w, struct smq_conn *conn, const struct smq_publish *p)
{
    if (!smq_span_starts(p->topic, smq_span_str(SMQ_REGISTER_TOPIC_PREFIX))) {
        return refuse(w, conn, p, REASON_BAD_TOPIC);
    }
    if (smq_say_packets(w->log)) {
        smq_say_received_publish(conn, p);
    }
    smqtt_err err = w->config->detect ? smq_register_publish(w, conn, p) : SMQTT_E_NOT_AUTHORIZED;
    return err == SMQTT_OK && smq_conn_is_open(conn) ? answer(conn, p, 0) : err;
}

smqtt_err smq_on_publish(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    struct smq_publish *p = &pkt->publish;
    w->stats.publish_in++;
    w->stats.payload_in += p->payload.len;
    SMQ_TRY(resolve_alias(conn, p));
    if (!smq_admit_qos(conn->listener, p->qos)) {
        return SMQTT_E_BAD_QOS; /* [MQTT-3.2.2-11] */
    }
    if (p->retain && !w->config->retain_available) {
        smq_conn_kick(conn, REASON_BAD_RETAIN, "retained messages are not available"); /* [MQTT-3.2.2-14] */
        return SMQTT_OK;
    }
    if (p->topic.data[0] == '$' && smq_admit_is_reserved(p->topic)) {
        return publish_special(w, conn, p);
    }
    if (w->config->message_size_limit != 0 && p->payload.len > w->config->message_size_limit) {
        return refuse(w, conn, p, smqtt_err_reason(SMQTT_E_QUOTA)); /* a limit of the administrator */
    }
    if (check_detect(conn, p) != SMQTT_OK) {
        bool tell = smq_conn_is_v5(conn) && p->qos != 0;
        return tell ? refuse(w, conn, p, smqtt_err_reason(SMQTT_E_NOT_AUTHORIZED)) : SMQTT_E_NOT_AUTHORIZED;
    }
    return smq_is_mounted(conn) ? publish_mounted(w, conn, p) : publish_allowed(w, conn, p);
}
