/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the broker: a row per type that may come, with its handler. */
#include "client/internal.h"

/** Handlers return SMQTT_OK and fill in *event (type NONE: nothing to tell), or the error that ends the connection. */
typedef smqtt_err (*handler)(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event);

/** Does CONNACK carry the user property `smqtt-detect` = `1` (protocol.md 9.1)? */
static bool announces_detect(const struct smq_props *props)
{
    struct smq_rd it = smq_rd_of(props->raw);
    smq_span name;
    smq_span value;
    while (smq_props_next_user(&it, &name, &value)) {
        if (smq_span_equal(name, smq_span_str("smqtt-detect")) && smq_span_equal(value, smq_span_str("1"))) {
            return true;
        }
    }
    return false;
}

static smqtt_err on_connack(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event)
{
    if (c->state != CLIENT_WAIT_CONNACK) {
        return SMQTT_E_PROTOCOL;
    }
    const struct smq_connack *connack = &pkt->connack;
    event->reason = connack->reason;
    if (connack->reason != 0) {
        event->type = SMQTT_CLIENT_REFUSED;
        event->text = smq_client_sound(c, smq_props_bytes(&connack->props, SMQ_PROP_REASON_STRING));
        c->state = CLIENT_ENDING;
        c->closed_event = true;
        c->close_err = SMQTT_E_REFUSED;
        c->close_reason = connack->reason;
        return SMQTT_OK;
    }
    smq_span assigned = smq_props_bytes(&connack->props, SMQ_PROP_ASSIGNED_CLIENT_ID);
    if (c->faulty.err != SMQTT_OK && smq_client_sound(c, assigned).len != assigned.len) {
        return SMQTT_E_BAD_TEXT; /* who would we be? */
    }
    if (connack->session_present && smq_client_starts_clean(c)) {
        return SMQTT_E_PROTOCOL; /* [MQTT-3.2.2-2]: only what the client remembers can be present */
    }
    c->state = CLIENT_UP;
    c->resumes = c->config.clean_first_only && c->config.version == SMQTT_V5;
    c->send_max = CLIENT_SEND_MAX_V3;
    c->takes.max_qos = 2;
    c->takes.no_retain = false;
    c->takes.max_alias = 0; /* [MQTT-3.2.2-18] */
    bool announced = false;
    if (c->config.version == SMQTT_V5) {
        const struct smq_props *props = &connack->props;
        c->send_max = (uint16_t)smq_props_num(props, SMQ_PROP_RECEIVE_MAXIMUM, UINT16_MAX);
        c->write_codec.max_packet = smq_props_num(props, SMQ_PROP_MAXIMUM_PACKET_SIZE, 0);
        c->keep_alive_s = (uint16_t)smq_props_num(props, SMQ_PROP_SERVER_KEEP_ALIVE, c->config.keep_alive_s);
        c->takes.max_qos = (uint8_t)smq_props_num(props, SMQ_PROP_MAXIMUM_QOS, 2);
        c->takes.no_retain = smq_props_num(props, SMQ_PROP_RETAIN_AVAILABLE, 1) == 0;
        c->takes.max_alias = (uint16_t)smq_props_num(props, SMQ_PROP_TOPIC_ALIAS_MAXIMUM, 0);
        event->text = assigned;
        announced = announces_detect(props);
    }
    if (c->config.max_inflight != 0 && c->config.max_inflight < c->send_max) {
        c->send_max = c->config.max_inflight;
    }
    smq_client_choose_path(c, announced);
    event->type = SMQTT_CLIENT_CONNECTED;
    event->session_present = connack->session_present;
    event->native_detect = c->native;
    event->tunnel = c->tunnel;
    /* CONNACK of 3.1 cannot tell: what was begun goes on, else identifiers would mean one thing here, another there. */
    bool goes_on = connack->session_present || (c->config.version == SMQTT_V31 && !c->config.clean_start);
    SMQ_TRY(smq_client_secure_connected(c, connack->session_present));
    smq_client_resend(c, goes_on);
    return SMQTT_OK;
}

void smq_client_forget_aliases(struct smqtt_client *c)
{
    while (c->aliases != NULL) {
        struct client_alias *next = c->aliases->next;
        smq_mem_free(c->mem, c->aliases);
        c->aliases = next;
    }
}

/** The topic takes the alias, whatever had it before. */
static smqtt_err keep_alias(struct smqtt_client *c, uint16_t alias, smq_span topic)
{
    struct client_alias *kept = smq_mem_alloc(c->mem, sizeof(*kept) + topic.len);
    if (kept == NULL) {
        return SMQTT_E_NOMEM;
    }
    kept->alias = alias;
    kept->err = c->faulty.field == SMQTT_FIELD_TOPIC ? c->faulty.err : SMQTT_OK;
    kept->len = topic.len;
    memcpy(kept->topic, topic.data, topic.len);
    struct client_alias **at = &c->aliases;
    while (*at != NULL && (*at)->alias != alias) {
        at = &(*at)->next;
    }
    struct client_alias *old = *at;
    kept->next = old != NULL ? old->next : NULL;
    *at = kept;
    smq_mem_free(c->mem, old);
    return SMQTT_OK;
}

/** Puts the topic in for its alias [MQTT-3.3.2-9], as far as ours were offered [MQTT-3.1.2-26]. */
static smqtt_err resolve_alias(struct smqtt_client *c, struct smq_publish *publish)
{
    uint32_t alias = smq_props_num(&publish->props, SMQ_PROP_TOPIC_ALIAS, 0);
    if (alias == 0) {
        return publish->topic.len != 0 ? SMQTT_OK : SMQTT_E_BAD_ALIAS;
    }
    if (alias > c->alias_max) {
        return SMQTT_E_BAD_ALIAS;
    }
    if (publish->topic.len != 0) {
        return keep_alias(c, (uint16_t)alias, publish->topic);
    }
    for (const struct client_alias *known = c->aliases; known != NULL; known = known->next) {
        if (known->alias == alias) {
            publish->topic = smq_span_of(known->topic, known->len);
            if (known->err != SMQTT_OK) {
                c->faulty = (struct smq_faulty){known->err, SMQTT_FIELD_TOPIC, publish->topic};
            }
            return SMQTT_OK;
        }
    }
    return SMQTT_E_BAD_ALIAS;
}

/** Acknowledges a PUBLISH of QoS 1 or 2; *deliver is false for a repetition of QoS 2. */
static smqtt_err acknowledge(struct smqtt_client *c, const struct smq_publish *publish, bool *deliver)
{
    *deliver = true;
    if (publish->qos == 0) {
        return SMQTT_OK;
    }
    struct smq_packet answer = {.type = publish->qos == 1 ? SMQ_PUBACK : SMQ_PUBREC};
    answer.ack.id = publish->id;
    smq_props_clear(&answer.ack.props);
    if (publish->qos == 2) {
        uint16_t max = c->config.receive_maximum != 0 ? c->config.receive_maximum : UINT16_MAX;
        SMQ_TRY(smq_qos2_in_add(&c->qos2_in, c->mem, publish->id, max, deliver));
    }
    return smq_client_put(c, &answer);
}

void smq_client_describe(const struct smqtt_client *c, const struct smq_publish *publish,
                         enum smqtt_client_event_type type, struct smqtt_client_event *event)
{
    event->type = type;
    event->topic = publish->topic;
    event->payload = publish->payload;
    event->qos = publish->qos;
    event->retain = publish->retain;
    event->dup = publish->dup;
    event->packet_id = publish->id;
    event->props = c->config.version == SMQTT_V5 ? publish->props.raw : (smq_span){NULL, 0};
}

static smqtt_err on_publish(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event)
{
    struct smq_publish resolved = pkt->publish;
    const struct smq_publish *publish = &resolved;
    SMQ_TRY(resolve_alias(c, &resolved));
    bool deliver = false;
    SMQ_TRY(acknowledge(c, publish, &deliver));
    if (!deliver) {
        return SMQTT_OK;
    }
    if (c->faulty.err != SMQTT_OK) {
        smq_client_quarantine(c, publish, event);
        return SMQTT_OK;
    }
    bool taken = false;
    SMQ_TRY(smq_client_secure_message(c, publish, &taken));
    if (taken) {
        return SMQTT_OK;
    }
    smq_client_describe(c, publish, SMQTT_CLIENT_MESSAGE, event);
    return SMQTT_OK;
}

static smqtt_err send_ack(struct smqtt_client *c, enum smq_type type, uint16_t id, uint8_t reason)
{
    struct smq_packet pkt = {.type = type};
    pkt.ack.id = id;
    pkt.ack.reason = c->config.version == SMQTT_V5 ? reason : 0;
    smq_props_clear(&pkt.ack.props);
    return smq_client_put(c, &pkt);
}

/** PUBACK, PUBREC, PUBCOMP: the sender's QoS machine says what to do. */
static smqtt_err on_ack(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event)
{
    (void)event;
    struct smq_out_slot *slot = NULL;
    enum smq_out_action action =
        smq_inflight_ack(&c->inflight, (uint8_t)pkt->type, pkt->ack.id, pkt->ack.reason, &slot);
    if (slot != NULL && slot->sent == 0) {
        slot->sent = 1; /* acknowledged before it was repeated */
        c->n_unsent--;
    }
    switch (action) {
    case SMQ_OUT_DONE:
    case SMQ_OUT_FAILED: {
        struct client_msg *msg = slot->msg;
        msg->reason = pkt->ack.reason;
        if (msg->token == 0) {
            smq_client_secure_published(c, msg->reason);
        }
        smq_inflight_remove(&c->inflight, c->mem, slot);
        smq_list_push_back(&c->done, &msg->node);
        smq_client_pump(c);
        return SMQTT_OK;
    }
    case SMQ_OUT_SEND_PUBREL:
    case SMQ_OUT_RESEND_PUBREL:
        return send_ack(c, SMQ_PUBREL, pkt->ack.id, 0);
    case SMQ_OUT_UNKNOWN:
        return pkt->type == SMQ_PUBREC ? send_ack(c, SMQ_PUBREL, pkt->ack.id, 0x92) : SMQTT_OK;
    case SMQ_OUT_WRONG:
        return SMQTT_E_PROTOCOL;
    }
    return SMQTT_E_BUG;
}

static smqtt_err on_pubrel(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event)
{
    (void)event;
    bool known = smq_qos2_in_release(&c->qos2_in, c->mem, pkt->ack.id);
    return send_ack(c, SMQ_PUBCOMP, pkt->ack.id, known ? 0 : 0x92);
}

static smqtt_err on_suback(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event)
{
    bool unsubscribe = pkt->type == SMQ_UNSUBACK;
    for (size_t i = 0; i < c->n_requests; i++) {
        struct client_request *request = &c->requests[i];
        if (request->id != pkt->suback.id || request->unsubscribe != unsubscribe) {
            continue;
        }
        bool counted = !unsubscribe || c->config.version == SMQTT_V5;
        if (counted && pkt->suback.codes.len != request->n) {
            return SMQTT_E_PROTOCOL; /* one code for each filter [MQTT-3.9.3-1] */
        }
        if (request->token != 0) {
            event->type = unsubscribe ? SMQTT_CLIENT_UNSUBSCRIBED : SMQTT_CLIENT_SUBSCRIBED;
            event->token = request->token;
            event->codes = pkt->suback.codes;
        }
        bool own = request->token == 0;
        *request = c->requests[--c->n_requests];
        uint8_t code = pkt->suback.codes.len != 0 ? pkt->suback.codes.data[0] : 0;
        return own ? smq_client_topics_answered(c, pkt->suback.id, code, event) : SMQTT_OK;
    }
    return SMQTT_E_PROTOCOL;
}

static smqtt_err on_pingresp(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event)
{
    (void)pkt;
    (void)event;
    c->ping_waits = false;
    return SMQTT_OK;
}

static smqtt_err on_disconnect(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event)
{
    (void)event;
    c->state = CLIENT_ENDING;
    c->closed_event = true;
    c->close_err = SMQTT_E_REFUSED;
    c->close_reason = pkt->reasoned.reason;
    return SMQTT_OK;
}

static smqtt_err on_detect(struct smqtt_client *c, const struct smq_packet *pkt, struct smqtt_client_event *event)
{
    (void)event;
    return smq_client_secure_detect(c, &pkt->detect);
}

/* AUTH is not among them: no method was asked for [MQTT-4.12.0-6]. */
static const handler handlers[16] = {
    [SMQ_DETECT] = on_detect,
    [SMQ_CONNACK] = on_connack,
    [SMQ_PUBLISH] = on_publish,
    [SMQ_PUBACK] = on_ack,
    [SMQ_PUBREC] = on_ack,
    [SMQ_PUBREL] = on_pubrel,
    [SMQ_PUBCOMP] = on_ack,
    [SMQ_SUBACK] = on_suback,
    [SMQ_UNSUBACK] = on_suback,
    [SMQ_PINGRESP] = on_pingresp,
    [SMQ_DISCONNECT] = on_disconnect,
};

static smqtt_err handle(struct smqtt_client *c, const struct smq_frame *frame, struct smqtt_client_event *event)
{
    struct smq_packet pkt;
    c->faulty = (struct smq_faulty){SMQTT_OK, SMQTT_FIELD_NONE, {NULL, 0}};
    smqtt_err err = smq_packet_read(&c->read_codec, frame, &pkt);
    if (err != SMQTT_OK) {
        SMQ_TRY(smq_client_read_faulty(c, frame, err, &pkt));
    }
    if (handlers[pkt.type] == NULL || (c->state == CLIENT_WAIT_CONNACK && pkt.type != SMQ_CONNACK)) {
        return SMQTT_E_PROTOCOL; /* the first packet is CONNACK [MQTT-3.2.0-1] */
    }
    return handlers[pkt.type](c, &pkt, event);
}

/** Stop reading on to hand out what the opener has? It is given a batch of messages, but nothing else overtakes them.
 */
static bool batch_ends(const struct smqtt_client *c)
{
    if (c->pending_n == 0) {
        return false;
    }
    smq_span rest = smq_span_from(smq_bytebuf_span(&c->in), c->in_used);
    return c->pending_n == CLIENT_OPEN_BATCH || rest.len == 0 || rest.data[0] >> 4 != SMQ_PUBLISH;
}

bool smq_client_read(struct smqtt_client *c, struct smqtt_client_event *event)
{
    while ((c->state == CLIENT_UP || c->state == CLIENT_WAIT_CONNACK) && !batch_ends(c)) {
        smq_span rest = smq_span_from(smq_bytebuf_span(&c->in), c->in_used);
        struct smq_frame frame;
        size_t need = 0;
        smqtt_err err = rest.len == 0 ? SMQTT_E_AGAIN : smq_frame_read(&c->read_codec, rest, false, &frame, &need);
        if (err == SMQTT_E_AGAIN) {
            return false;
        }
        if (err == SMQTT_OK) {
            c->in_used += frame.size;
            err = handle(c, &frame, event);
        }
        if (err != SMQTT_OK) {
            memset(event, 0, sizeof(*event));
            smq_client_fail(c, err);
            return false;
        }
        if (event->type != SMQTT_CLIENT_NONE) {
            return true;
        }
        smq_client_secure_pump(c);
        if (!smq_list_is_empty(&c->done)) {
            return false; /* PUBLISHED is told before what came behind it, however the bytes were cut */
        }
    }
    return false;
}
