/* SPDX-License-Identifier: Apache-2.0 */
/* What the application wants sent: messages, subscriptions. */
#include "client/internal.h"

#include "codec/topic.h"

struct client_msg *smq_client_msg_new(struct smqtt_client *c, smq_span topic, smq_span payload,
                                      const struct smqtt_publish_options *options)
{
    smq_span props = options != NULL ? options->props : (smq_span){NULL, 0};
    if (topic.len > UINT16_MAX || payload.len > UINT32_MAX / 2 || props.len > UINT32_MAX / 4) {
        return NULL;
    }
    struct client_msg *msg = smq_mem_alloc(c->mem, sizeof(*msg) + topic.len + payload.len + props.len);
    if (msg == NULL) {
        return NULL;
    }
    memset(msg, 0, sizeof(*msg));
    smq_list_init(&msg->node);
    uint8_t *at = (uint8_t *)(msg + 1);
    struct smq_wr wr = smq_wr_of(at, topic.len + payload.len + props.len);
    smq_wr_put(&wr, topic);
    smq_wr_put(&wr, payload);
    smq_wr_put(&wr, props);
    msg->topic = smq_span_of(at, topic.len);
    msg->payload = smq_span_of(at + topic.len, payload.len);
    msg->props = smq_span_of(at + topic.len + payload.len, props.len);
    if (options != NULL) {
        msg->qos = options->qos;
        msg->retain = options->retain;
        msg->text = options->text;
        msg->receipt = options->receipt;
    }
    return msg;
}

void smq_client_msg_free(struct smqtt_client *c, struct client_msg *msg)
{
    smq_mem_free(c->mem, msg);
}

static struct smq_packet publish_packet(const struct smqtt_client *c, const struct client_msg *msg, uint16_t id,
                                        bool dup)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.qos = msg->qos;
    pkt.publish.retain = msg->retain;
    pkt.publish.dup = dup;
    pkt.publish.id = id;
    pkt.publish.topic = msg->topic;
    pkt.publish.payload = msg->payload;
    smq_props_clear(&pkt.publish.props);
    pkt.publish.props.raw = c->config.version == SMQTT_V5 ? msg->props : (smq_span){NULL, 0};
    return pkt;
}

static bool is_request_id(const struct smqtt_client *c, uint16_t id)
{
    for (size_t i = 0; i < c->n_requests; i++) {
        if (c->requests[i].id == id) {
            return true;
        }
    }
    return false;
}

/** A slot whose identifier no SUBSCRIBE or UNSUBSCRIBE under way has either [MQTT-2.2.1-3]. */
static smqtt_err take_slot(struct smqtt_client *c, struct client_msg *msg, struct smq_out_slot **slot)
{
    for (;;) {
        SMQ_TRY(smq_inflight_add(&c->inflight, c->mem, msg->qos, msg, c->send_max, slot));
        if (!is_request_id(c, (*slot)->id)) {
            (*slot)->sent = 1;
            return SMQTT_OK;
        }
        smq_inflight_remove(&c->inflight, c->mem, *slot);
    }
}

/** 0, or the reason why this broker would not take it. */
static uint8_t check_taken(const struct smqtt_client *c, const struct client_msg *msg)
{
    enum { REASON_BAD_ALIAS = 0x94, REASON_BAD_RETAIN = 0x9A, REASON_BAD_QOS = 0x9B };
    if (msg->qos > c->takes.max_qos) {
        return REASON_BAD_QOS; /* [MQTT-3.2.2-11] */
    }
    if (msg->retain && c->takes.no_retain) {
        return REASON_BAD_RETAIN; /* [MQTT-3.2.2-14] */
    }
    struct smq_rd it = smq_rd_of(msg->props);
    enum smq_prop which;
    union smq_prop_value value;
    smq_span second;
    while (smq_props_next(&it, &which, &value, &second)) {
        if (which == SMQ_PROP_TOPIC_ALIAS && value.num > c->takes.max_alias) {
            return REASON_BAD_ALIAS; /* [MQTT-3.2.2-17] [MQTT-3.2.2-18] */
        }
    }
    return 0;
}

/** Sends one queued message. SMQTT_E_BUSY: the window is full. */
static smqtt_err send_msg(struct smqtt_client *c, struct client_msg *msg)
{
    uint16_t id = 0;
    struct smq_out_slot *slot = NULL;
    if (msg->qos > 0) {
        SMQ_TRY(take_slot(c, msg, &slot));
        id = slot->id;
    }
    struct smq_packet pkt = publish_packet(c, msg, id, false);
    smqtt_err err = smq_client_put(c, &pkt);
    if (err != SMQTT_OK && slot != NULL) {
        smq_inflight_remove(&c->inflight, c->mem, slot);
    }
    return err;
}

/** Session present: the same identifiers again, in the order of sending [MQTT-4.4.0-1], but no more PUBLISH at a time
 * than this broker takes [MQTT-3.3.4-7]. */
static smqtt_err repeat_inflight(struct smqtt_client *c)
{
    struct smq_out_slot *slot = NULL;
    while (c->n_unsent != 0 && (slot = smq_inflight_next(&c->inflight, slot)) != NULL) {
        bool released = slot->state == SMQ_OUT_WAIT_PUBCOMP;
        if (slot->sent != 0 || (!released && c->inflight.count - c->n_unsent >= c->send_max)) {
            continue;
        }
        struct smq_packet pkt = {.type = SMQ_PUBREL};
        if (released) {
            pkt.ack.id = slot->id;
            smq_props_clear(&pkt.ack.props);
        } else {
            pkt = publish_packet(c, slot->msg, slot->id, true);
        }
        SMQ_TRY(smq_client_put(c, &pkt));
        slot->sent = 1;
        c->n_unsent--;
    }
    return SMQTT_OK;
}

void smq_client_pump(struct smqtt_client *c)
{
    if (c->sealer_first) {
        return;
    }
    if (c->state == CLIENT_UP && c->n_unsent != 0) {
        smqtt_err err = repeat_inflight(c);
        if (err != SMQTT_OK) {
            smq_client_fail(c, err);
        }
        if (c->n_unsent != 0) {
            return; /* nothing overtakes what is repeated */
        }
    }
    while (c->state == CLIENT_UP && !smq_list_is_empty(&c->queue)) {
        struct client_msg *msg = SMQ_CONTAINER_OF(smq_list_first(&c->queue), struct client_msg, node);
        uint8_t reason = check_taken(c, msg);
        smqtt_err err = reason == 0 ? send_msg(c, msg) : SMQTT_E_REFUSED;
        if (err == SMQTT_E_BUSY) {
            return;
        }
        if (err == SMQTT_E_NOMEM || err == SMQTT_E_FULL) {
            smq_client_fail(c, err);
            return;
        }
        smq_list_remove(&msg->node);
        c->n_queued--;
        if (err != SMQTT_OK) {
            reason = reason != 0 ? reason : smqtt_err_reason(err);
            msg->reason = reason >= 0x80 ? reason : 0x80; /* larger than this broker takes */
            smq_list_push_back(&c->done, &msg->node);
        } else if (msg->qos == 0) {
            smq_list_push_back(&c->done, &msg->node);
        }
    }
}

/** No session: what the broker never acknowledged is sent as new, before what waits; what it has (PUBREC) is done. */
static void renew_inflight(struct smqtt_client *c)
{
    struct smq_list again;
    smq_list_init(&again);
    struct smq_out_slot *slot = NULL;
    while ((slot = smq_inflight_next(&c->inflight, NULL)) != NULL) {
        struct client_msg *msg = slot->msg;
        bool received = slot->state == SMQ_OUT_WAIT_PUBCOMP;
        smq_inflight_remove(&c->inflight, c->mem, slot);
        smq_list_push_back(received ? &c->done : &again, &msg->node);
        c->n_queued += received ? 0 : 1;
    }
    smq_list_splice_back(&again, &c->queue);
    smq_list_splice_back(&c->queue, &again);
    smq_qos2_in_deinit(&c->qos2_in, c->mem);
    smq_qos2_in_init(&c->qos2_in);
}

void smq_client_resend(struct smqtt_client *c, bool session_present)
{
    c->n_unsent = 0;
    if (!session_present) {
        renew_inflight(c);
    }
    for (struct smq_out_slot *slot = NULL; (slot = smq_inflight_next(&c->inflight, slot)) != NULL;) {
        slot->sent = 0;
        c->n_unsent++;
    }
    smq_client_pump(c);
}

/** Is it something that PUBLISH can carry? The codec knows. */
static smqtt_err check_publish(const struct smqtt_client *c, smq_span topic, smq_span payload,
                               const struct smqtt_publish_options *options)
{
    if (options->qos > 2) {
        return SMQTT_E_BAD_QOS;
    }
    struct client_msg msg = {
        .topic = topic, .payload = payload, .props = options->props, .qos = options->qos, .retain = options->retain};
    struct smq_packet pkt = publish_packet(c, &msg, options->qos > 0 ? 1 : 0, false);
    struct smq_wr measure = smq_wr_measure();
    return smq_packet_write(&c->write_codec, &pkt, &measure);
}

static const struct smqtt_publish_options no_options;

smqtt_err smqtt_client_publish(struct smqtt_client *c, struct smqtt_span topic, struct smqtt_span payload,
                               const struct smqtt_publish_options *options, uint64_t *token, struct smqtt_now now)
{
    c->now = now;
    options = options != NULL ? options : &no_options;
    if (c->sealer != NULL) {
        SMQ_TRY(smqtt_sealer_check_plain(c->sealer, topic));
    }
    SMQ_TRY(check_publish(c, topic, payload, options));
    if (c->n_queued >= c->config.max_queued) {
        return SMQTT_E_FULL;
    }
    struct client_msg *msg = smq_client_msg_new(c, topic, payload, options);
    if (msg == NULL) {
        return SMQTT_E_NOMEM;
    }
    msg->token = ++c->next_token;
    if (token != NULL) {
        *token = msg->token;
    }
    smq_list_push_back(&c->queue, &msg->node);
    c->n_queued++;
    smq_client_pump(c);
    return SMQTT_OK;
}

/** An identifier that no request under way has. While nothing is in flight all are of one row, so that they rise in the
 * order of sending, which is what people read in traces. */
static uint16_t free_request_id(struct smqtt_client *c)
{
    bool in_row = c->inflight.count == 0;
    if (in_row) {
        c->next_request_id = (uint16_t)(c->inflight.next_id - 1);
    }
    for (;;) {
        c->next_request_id = (uint16_t)(c->next_request_id + 1);
        bool used = c->next_request_id == 0 || smq_inflight_find(&c->inflight, c->next_request_id) != NULL;
        if (!used && !is_request_id(c, c->next_request_id)) {
            break;
        }
    }
    if (in_row) {
        c->inflight.next_id = c->next_request_id == UINT16_MAX ? 1 : (uint16_t)(c->next_request_id + 1);
    }
    return c->next_request_id;
}

smqtt_err smq_client_request(struct smqtt_client *c, bool unsubscribe, const struct smq_filter *filters, uint32_t n,
                             smq_span props, uint64_t token)
{
    if (c->state != CLIENT_UP) {
        return SMQTT_E_STATE;
    }
    /* with every identifier in flight there would be none for the request */
    if (c->n_requests == CLIENT_REQUESTS_MAX || c->inflight.count + CLIENT_REQUESTS_MAX >= UINT16_MAX) {
        return SMQTT_E_FULL;
    }
    struct smq_packet pkt = {.type = unsubscribe ? SMQ_UNSUBSCRIBE : SMQ_SUBSCRIBE};
    pkt.subscribe.id = free_request_id(c);
    pkt.subscribe.n = n;
    pkt.subscribe.filters = filters;
    smq_props_clear(&pkt.subscribe.props);
    pkt.subscribe.props.raw = c->config.version == SMQTT_V5 ? props : (smq_span){NULL, 0};
    SMQ_TRY(smq_client_put(c, &pkt));
    c->requests[c->n_requests++] =
        (struct client_request){.token = token, .n = n, .id = pkt.subscribe.id, .unsubscribe = unsubscribe};
    return SMQTT_OK;
}

static smqtt_err request(struct smqtt_client *c, bool unsubscribe, const struct smq_filter *filters, size_t n,
                         smq_span props, uint64_t *token)
{
    uint64_t number = c->next_token + 1;
    SMQ_TRY(smq_client_request(c, unsubscribe, filters, (uint32_t)n, props, number));
    c->next_token = number;
    if (token != NULL) {
        *token = number;
    }
    return SMQTT_OK;
}

smqtt_err smqtt_client_subscribe(struct smqtt_client *c, const struct smqtt_subscription *list, size_t n,
                                 uint64_t *token, struct smqtt_now now)
{
    return smqtt_client_subscribe_props(c, list, n, (struct smqtt_span){NULL, 0}, token, now);
}

smqtt_err smqtt_client_subscribe_props(struct smqtt_client *c, const struct smqtt_subscription *list, size_t n,
                                       struct smqtt_span props, uint64_t *token, struct smqtt_now now)
{
    c->now = now;
    if (n == 0 || n > UINT16_MAX) {
        return SMQTT_E_USAGE;
    }
    struct smq_filter *filters = smq_mem_zalloc(c->mem, n, sizeof(*filters));
    if (filters == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = SMQTT_OK;
    for (size_t i = 0; i < n; i++) {
        smq_span group;
        smq_span rest;
        if (c->n_openers != 0 && smq_topic_split_share(list[i].filter, &group, &rest)) {
            err = SMQTT_E_USAGE; /* a record has one recipient, with one replay window */
        }
        filters[i] = (struct smq_filter){list[i].filter, list[i].options};
    }
    if (err == SMQTT_OK) {
        err = request(c, false, filters, n, props, token);
    }
    smq_mem_free(c->mem, filters);
    return err;
}

smqtt_err smqtt_client_unsubscribe(struct smqtt_client *c, const struct smqtt_span *list, size_t n, uint64_t *token,
                                   struct smqtt_now now)
{
    return smqtt_client_unsubscribe_props(c, list, n, (struct smqtt_span){NULL, 0}, token, now);
}

smqtt_err smqtt_client_unsubscribe_props(struct smqtt_client *c, const struct smqtt_span *list, size_t n,
                                         struct smqtt_span props, uint64_t *token, struct smqtt_now now)
{
    c->now = now;
    if (n == 0 || n > UINT16_MAX) {
        return SMQTT_E_USAGE;
    }
    struct smq_filter *filters = smq_mem_zalloc(c->mem, n, sizeof(*filters));
    if (filters == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        filters[i].filter = list[i];
    }
    smqtt_err err = request(c, true, filters, n, props, token);
    smq_mem_free(c->mem, filters);
    return err;
}
