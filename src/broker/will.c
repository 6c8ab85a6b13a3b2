/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "broker/will.h"
#include "broker/durable.h"
#include "broker/mount.h"
#include "broker/route.h"
#include "broker/source.h"

void smq_will_on_timer(struct smq_worker *w, struct smq_timer *timer)
{
    smq_will_fire(w, SMQ_CONTAINER_OF(timer, struct smq_will_due, timer)->session);
}

smqtt_err smq_will_new(struct smq_conn *conn, const struct smq_connect *connect, struct smq_will_due **out)
{
    struct smq_worker *w = conn->worker;
    struct smq_mounted mounted;
    SMQ_TRY(smq_mount_topic(conn, connect->will.topic, &mounted));
    const struct smq_will *will = &connect->will;
    struct smq_wr wr = smq_wr_measure();
    smq_props_copy_raw(&will->props, SMQ_FORWARDED, &wr);
    size_t raw_len = wr.len;
    uint8_t *raw = smq_mem_alloc(w->mem, raw_len + 1);
    struct smq_will_due *due = smq_mem_zalloc(w->mem, 1, sizeof *due);
    struct smq_refbuf *msg = NULL;
    if (raw != NULL && due != NULL) {
        wr = smq_wr_of(raw, raw_len);
        smq_props_copy_raw(&will->props, SMQ_FORWARDED, &wr);
        struct smq_content content = {.topic = mounted.topic,
                                      .props = smq_wr_span(&wr),
                                      .payload = will->payload,
                                      .expires = SMQTT_NEVER,
                                      .qos = will->qos,
                                      .retain = will->retain,
                                      .has_text = smq_props_num(&will->props, SMQ_PROP_PAYLOAD_FORMAT, 0) == 1};
        bool room = smq_worker_has_room(w, smq_msg_size(&content));
        msg = room ? smq_msg_new(w->mem, &content, true, w->account) : NULL;
    }
    smq_mount_free(conn, &mounted);
    smq_mem_free(w->mem, raw);
    if (msg == NULL) {
        smq_mem_free(w->mem, due);
        return SMQTT_E_NOMEM;
    }
    smq_timer_init(&due->timer, SMQ_TIMER_WILL);
    due->msg = msg;
    due->delay_s = smq_props_num(&will->props, SMQ_PROP_WILL_DELAY, 0);
    due->expiry_s = smq_props_num(&will->props, SMQ_PROP_MESSAGE_EXPIRY, UINT32_MAX);
    *out = due;
    return SMQTT_OK;
}

void smq_will_free(struct smq_worker *w, struct smq_will_due *will)
{
    if (will != NULL) {
        smq_wheel_cancel(&w->wheel, &will->timer.node);
        smq_msg_unref(will->msg);
        smq_mem_free(w->mem, will);
    }
}

void smq_will_drop(struct smq_worker *w, struct smq_session *s)
{
    struct smq_will_due *will = s->will;
    if (will != NULL) {
        s->will = NULL;
        smq_durable_will(w, s);
        smq_will_free(w, will);
    }
}

/* It knows who published it, if somebody will ask: then it needs a block of its own. */
static smqtt_err route_allowed(struct smq_worker *w, struct smq_session *s, struct smq_refbuf *msg)
{
    struct smq_content content = smq_msg_content(msg);
    struct smq_principal who = smq_session_principal(s);
    uint8_t *source = NULL;
    struct smq_routing r;
    if (content.retain) {
        SMQ_TRY(smq_source_new(w, s->auth, &who, s->listener_id, &source, &content.source));
    }
    if (source != NULL) {
        smq_routing_init(&r, &content, NULL, true);
    } else {
        smq_routing_init_msg(&r, msg);
    }
    r.from = &s->sub; /* [MQTT-3.8.3-3]: not to itself where it said so */
    smqtt_err err = smq_route(w, &r);
    smq_routing_deinit(&r);
    smq_mem_free(w->mem, source);
    return err;
}

void smq_will_fire(struct smq_worker *w, struct smq_session *s)
{
    struct smq_will_due *will = s->will;
    if (will == NULL) {
        return;
    }
    s->will = NULL;
    smq_durable_will(w, s); /* its row goes in the same commit in which the message comes */
    struct smq_msg *msg = smq_msg_of(will->msg);
    if (will->expiry_s != UINT32_MAX) {
        msg->expires = w->now.mono + (smqtt_ms)will->expiry_s * 1000; /* counts from now on */
    }
    /* Rights may have gone since CONNECT; a will that cannot be kept has nobody to be told. */
    if (SMQ_MUTATE(will_twice)) {
        (void)!route_allowed(w, s, will->msg);
    }
    bool may = smq_session_may(w, s, smq_msg_content(will->msg).topic, SMQ_ACCESS_WRITE);
    if (!may || route_allowed(w, s, will->msg) != SMQTT_OK) {
        w->stats.publish_dropped++;
    }
    smq_will_free(w, will);
}

void smq_will_lost(struct smq_worker *w, struct smq_session *s)
{
    struct smq_will_due *will = s->will;
    if (will == NULL) {
        return;
    }
    if (will->delay_s == 0) {
        smq_will_fire(w, s);
        return;
    }
    /* The session may end before that, and fires it then [MQTT-3.1.3-9]. */
    will->session = s;
    smq_wheel_set(&w->wheel, &will->timer.node, w->now.mono + (smqtt_ms)will->delay_s * 1000);
}
