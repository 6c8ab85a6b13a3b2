/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admit.h"
#include "broker/durable.h"
#include "broker/held.h"
#include "broker/internal.h"
#include "broker/mount.h"
#include "broker/pull.h"
#include "broker/relay.h"
#include "broker/say.h"
#include "broker/share.h"
#include "codec/topic.h"

enum { CODE_FAILURE_V3 = 0x80, CODE_NONE_EXISTED = 0x11, RETAIN_ALWAYS = 0, RETAIN_IF_NEW = 1 };

/* What may not be subscribed to; SMQTT_OK for what may. Rights are those of the whole filter, behind its group. */
static smqtt_err check(struct smq_worker *w, struct smq_conn *conn, smq_span filter, smq_span whole)
{
    smq_span group, inner, right;
    smq_topic_split_share(filter, &group, &inner);
    smq_topic_split_share(whole, &group, &right);
    if (smq_span_starts(inner, smq_span_str(SMQ_REGISTER_TOPIC_PREFIX))) {
        return SMQTT_E_NOT_AUTHORIZED; /* the broker keeps these to itself */
    }
    if (!smq_detect_is_satisfied(conn, inner, true)) {
        return SMQTT_E_NOT_AUTHORIZED;
    }
    return smq_session_may(w, conn->session, right, SMQ_ACCESS_SUBSCRIBE) ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED;
}

static bool is_full(struct smq_worker *w, const struct smq_session *s, smq_span filter, bool shared)
{
    uint32_t max = w->config->max_subscriptions;
    uint32_t n = s->sub.n + (s->shares != NULL ? s->shares->n : 0);
    if ((max == 0 || n < max) && smq_worker_has_room(w, SMQ_SUBSCRIPTION_BYTES)) {
        return false;
    }
    return shared ? !smq_share_has(w, s, filter) : !smq_trie_has(&w->trie, &s->sub, filter);
}

static smqtt_err add(struct smq_worker *w, struct smq_session *s, smq_span filter, uint8_t options, uint32_t id,
                     bool *existed)
{
    SMQ_TRY(smq_peers_reserve(w));
    return smq_trie_subscribe(&w->trie, &s->sub, filter, options, id, existed);
}

/* One filter, with its mount point; its code is number `at` of the acknowledgement. */
static smqtt_err subscribe_one(struct smq_worker *w, struct smq_held *held, uint32_t at, const struct smq_filter *f,
                               uint32_t id)
{
    struct smq_conn *conn = held->conn;
    struct smq_session *s = conn->session;
    smq_span group, inner;
    bool shared = smq_topic_split_share(f->filter, &group, &inner);
    uint8_t qos = f->options & SMQ_SUB_QOS;
    qos = smq_admit_qos(conn->listener, qos) ? qos : (uint8_t)(conn->listener->first_bad_qos - 1);
    uint8_t options = (uint8_t)((f->options & (SMQ_SUB_NO_LOCAL | SMQ_SUB_RAP)) | qos);
    bool existed = true;
    if (conn->is_bridge && !shared) {
        /* It passes on what it gets: its own would go round between two of them for ever. What version 5 has options
         * for, Mosquitto gives bridges of 3.x by themselves. */
        options |= SMQ_SUB_NO_LOCAL | SMQ_SUB_RAP;
    }
    if (is_full(w, s, f->filter, shared)) {
        return SMQTT_E_QUOTA;
    }
    SMQ_TRY(shared ? smq_share_subscribe(w, s, f->filter, options, id, held, at)
                   : add(w, s, f->filter, options, id, &existed));
    if (smq_log_is_on(w->log, SMQ_LOG_SUBSCRIBE)) {
        smq_say_subscribed(conn, f->filter, qos);
    }
    smq_durable_sub(w, s, f->filter, options, id);
    if (s->stored != NULL && !shared) {
        smq_durable_announce(w);
    }
    held->codes[at] = qos;
    unsigned handling = (f->options >> 4) & 3;
    bool retained = !shared && (handling == RETAIN_ALWAYS || (handling == RETAIN_IF_NEW && !existed));
    return retained ? smq_pull_new(w, s, held, f->filter, qos, id) : SMQTT_OK;
}

static smqtt_err subscribe(struct smq_worker *w, struct smq_held *held, const struct smq_subscribe *p)
{
    const struct smq_conn *conn = held->conn;
    uint32_t id = smq_props_num(&p->props, SMQ_PROP_SUBSCRIPTION_ID, 0);
    struct smq_rd it = smq_rd_of(p->list);
    struct smq_filter f;
    for (uint32_t i = 0; smq_filters_next(&conn->codec, &it, true, &f); i++) {
        struct smq_mounted mounted;
        smqtt_err err = smq_mount_filter(conn, f.filter, &mounted);
        if (err == SMQTT_OK) {
            err = check(w, held->conn, f.filter, mounted.topic);
            f.filter = mounted.topic;
            err = err == SMQTT_OK ? subscribe_one(w, held, i, &f, id) : err;
            smq_mount_free(conn, &mounted);
        }
        if (err == SMQTT_E_NOMEM) {
            return err;
        }
        if (err != SMQTT_OK) {
            held->codes[i] = smq_conn_is_v5(conn) ? smqtt_err_reason(err) : CODE_FAILURE_V3;
        }
    }
    return SMQTT_OK;
}

smqtt_err smq_on_subscribe(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    struct smq_held *held;
    SMQ_TRY(smq_held_new(w, conn, SMQ_SUBACK, pkt->subscribe.id, pkt->subscribe.n, &held));
    smqtt_err err = subscribe(w, held, &pkt->subscribe);
    if (err != SMQTT_OK) {
        smq_held_free(w, held);
        return err;
    }
    return smq_held_finish(w, held);
}

static bool unsubscribe_one(struct smq_worker *w, struct smq_conn *conn, smq_span filter)
{
    struct smq_mounted mounted;
    if (smq_mount_filter(conn, filter, &mounted) != SMQTT_OK) {
        return false;
    }
    smq_span group, inner;
    bool was = smq_topic_split_share(mounted.topic, &group, &inner)
                   ? smq_share_unsubscribe(w, conn->session, mounted.topic)
                   : smq_trie_unsubscribe(&w->trie, &conn->session->sub, mounted.topic);
    if (was) {
        smq_durable_unsub(w, conn->session, mounted.topic);
    }
    smq_mount_free(conn, &mounted);
    return was;
}

smqtt_err smq_on_unsubscribe(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    const struct smq_subscribe *p = &pkt->subscribe;
    struct smq_held *held;
    SMQ_TRY(smq_held_new(w, conn, SMQ_UNSUBACK, p->id, p->n, &held));
    struct smq_rd it = smq_rd_of(p->list);
    struct smq_filter f;
    for (uint32_t i = 0; smq_filters_next(&conn->codec, &it, false, &f); i++) {
        bool was = unsubscribe_one(w, conn, f.filter);
        held->codes[i] = was ? 0 : CODE_NONE_EXISTED;
        if (smq_log_is_on(w->log, SMQ_LOG_UNSUBSCRIBE)) {
            smq_say_unsubscribed(conn, f.filter);
        }
    }
    return smq_held_finish(w, held);
}
