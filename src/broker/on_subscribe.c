/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/admit.h"
#include "broker/internal.h"
#include "broker/relay.h"
#include "broker/route.h"
#include "broker/say.h"
#include "codec/topic.h"

enum { CODES_ON_STACK = 64, CODE_FAILURE_V3 = 0x80, CODE_NONE_EXISTED = 0x11, RETAIN_ALWAYS = 0, RETAIN_IF_NEW = 1 };

/* One byte for each filter: its code, and in a second row whether retained messages follow. */
struct codes {
    uint8_t local[2 * CODES_ON_STACK];
    uint8_t *of, *retained;
    uint8_t *heap;
};

static smqtt_err codes_init(struct codes *c, const struct smqtt_mem *mem, uint32_t n)
{
    c->heap = NULL;
    c->of = c->local;
    if (n > CODES_ON_STACK) {
        c->heap = smq_mem_alloc(mem, 2 * (size_t)n);
        if (c->heap == NULL) {
            return SMQTT_E_NOMEM;
        }
        c->of = c->heap;
    }
    c->retained = c->of + n;
    return SMQTT_OK;
}

static smqtt_err write_codes(struct smq_conn *conn, enum smq_type type, uint16_t id, const struct codes *c, uint32_t n)
{
    struct smq_packet pkt = {.type = type};
    pkt.suback.id = id;
    pkt.suback.codes = smq_span_of(c->of, n);
    smq_props_clear(&pkt.suback.props);
    return smq_conn_write(conn, &pkt);
}

/* What may not be subscribed to; SMQTT_OK for what may. */
static smqtt_err check(struct smq_worker *w, struct smq_conn *conn, smq_span inner)
{
    if (smq_span_starts(inner, smq_span_str(SMQ_REGISTER_TOPIC_PREFIX))) {
        return SMQTT_E_NOT_AUTHORIZED; /* the broker keeps these to itself */
    }
    if (!smq_detect_is_satisfied(conn, inner, true)) {
        return SMQTT_E_NOT_AUTHORIZED;
    }
    return smq_session_may(w, conn->session, inner, SMQ_ACCESS_SUBSCRIBE) ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED;
}

static smqtt_err subscribe_one(struct smq_worker *w, struct smq_conn *conn, const struct smq_filter *f, uint32_t id,
                               uint8_t *qos, bool *retained)
{
    struct smq_session *s = conn->session;
    const struct smq_broker_config *config = w->config;
    smq_span group, inner;
    bool shared = smq_topic_split_share(f->filter, &group, &inner);
    SMQ_TRY(check(w, conn, inner));
    *qos = f->options & SMQ_SUB_QOS;
    *qos = smq_admit_qos(conn->listener, *qos) ? *qos : (uint8_t)(conn->listener->first_bad_qos - 1);
    uint8_t options = (uint8_t)((f->options & (SMQ_SUB_NO_LOCAL | SMQ_SUB_RAP)) | *qos);
    bool existed;
    bool full = config->max_subscriptions != 0 && s->sub.n >= config->max_subscriptions;
    if (full && !smq_trie_has(&w->trie, &s->sub, f->filter)) {
        return SMQTT_E_QUOTA;
    }
    SMQ_TRY(smq_trie_subscribe(&w->trie, &s->sub, f->filter, options, id, &existed));
    if (smq_log_is_on(w->log, SMQ_LOG_SUBSCRIBE)) {
        smq_say_subscribed(conn, f->filter, *qos);
    }
    unsigned handling = (f->options >> 4) & 3;
    *retained = !shared && (handling == RETAIN_ALWAYS || (handling == RETAIN_IF_NEW && !existed));
    return SMQTT_OK;
}

/* ------------------------------------------------------------ retained messages for a new subscription */

struct sending {
    struct smq_worker *w;
    struct smq_session *session;
    uint8_t qos;
    uint32_t id;
};

static bool send_retained(void *ctx, struct smq_refbuf *msg)
{
    struct sending *to = ctx;
    struct smq_worker *w = to->w;
    if (smq_msg_of(msg)->expires <= w->now.mono) {
        return true;
    }
    if (!smq_msg_is_sound(msg, w->config->text_policy, w->config->max_topic_levels)) {
        w->stats.refused_text++;
        return true;
    }
    struct smq_routing r;
    smq_routing_init_msg(&r, msg);
    uint8_t qos = to->qos < r.content.qos || w->config->upgrade_outgoing_qos ? to->qos : r.content.qos;
    smq_session_deliver(w, to->session, &r, qos, true, &to->id, to->id != 0 ? 1 : 0);
    smq_routing_deinit(&r);
    return true;
}

static smqtt_err subscribe(struct smq_worker *w, struct smq_conn *conn, const struct smq_subscribe *p,
                           struct codes *codes)
{
    uint32_t id = smq_props_num(&p->props, SMQ_PROP_SUBSCRIPTION_ID, 0);
    struct smq_rd it = smq_rd_of(p->list);
    struct smq_filter f;
    for (uint32_t i = 0; smq_filters_next(&conn->codec, &it, true, &f); i++) {
        bool retained = false;
        uint8_t qos = 0;
        smqtt_err err = subscribe_one(w, conn, &f, id, &qos, &retained);
        if (err == SMQTT_E_NOMEM) {
            return err;
        }
        uint8_t code = smq_conn_is_v5(conn) ? smqtt_err_reason(err) : CODE_FAILURE_V3;
        codes->of[i] = err == SMQTT_OK ? qos : code;
        codes->retained[i] = err == SMQTT_OK && retained;
    }
    SMQ_TRY(write_codes(conn, SMQ_SUBACK, p->id, codes, p->n));
    it = smq_rd_of(p->list);
    for (uint32_t i = 0; smq_filters_next(&conn->codec, &it, true, &f); i++) {
        if (codes->retained[i]) {
            struct sending to = {w, conn->session, codes->of[i], id};
            smq_retain_match(&w->retain, f.filter, send_retained, &to);
        }
    }
    return SMQTT_OK;
}

smqtt_err smq_on_subscribe(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    struct codes codes;
    SMQ_TRY(codes_init(&codes, w->mem, pkt->subscribe.n));
    smqtt_err err = subscribe(w, conn, &pkt->subscribe, &codes);
    smq_mem_free(w->mem, codes.heap);
    return err;
}

smqtt_err smq_on_unsubscribe(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    const struct smq_subscribe *p = &pkt->subscribe;
    struct codes codes;
    SMQ_TRY(codes_init(&codes, w->mem, p->n));
    struct smq_rd it = smq_rd_of(p->list);
    struct smq_filter f;
    for (uint32_t i = 0; smq_filters_next(&conn->codec, &it, false, &f); i++) {
        bool was = smq_trie_unsubscribe(&w->trie, &conn->session->sub, f.filter);
        codes.of[i] = was ? 0 : CODE_NONE_EXISTED;
        if (smq_log_is_on(w->log, SMQ_LOG_UNSUBSCRIBE)) {
            smq_say_unsubscribed(conn, f.filter);
        }
    }
    smqtt_err err = write_codes(conn, SMQ_UNSUBACK, p->id, &codes, p->n);
    smq_mem_free(w->mem, codes.heap);
    return err;
}
