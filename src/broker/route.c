/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/route.h"
#include "base/siphash.h"
#include "broker/convert.h"
#include "broker/durable.h"
#include "broker/internal.h"
#include "broker/share.h"

enum { MANY_IDS = 64 };

void smq_routing_init(struct smq_routing *r, const struct smq_content *content, const struct smq_subscriber *from,
                      bool checked)
{
    r->content = *content;
    smq_routing_init_rest(r, from, checked);
}

void smq_routing_init_msg(struct smq_routing *r, struct smq_refbuf *msg)
{
    struct smq_content content = smq_msg_content(msg);
    smq_routing_init(r, &content, NULL, smq_msg_of(msg)->checked);
    r->msg = smq_refbuf_ref(msg);
}

/* Somebody was told that it is safe: it is too late for a limit. */
static bool is_owed(const struct smq_worker *w, const struct smq_routing *r)
{
    return w->has_store && r->from_peer && r->content.qos != 0;
}

struct smq_refbuf *smq_routing_msg(struct smq_worker *w, struct smq_routing *r, smqtt_err *err)
{
    if (r->msg != NULL) {
        return r->msg;
    }
    if (!smq_worker_has_room(w, smq_msg_size(&r->content)) && !is_owed(w, r)) {
        *err = SMQTT_E_QUOTA;
        return NULL;
    }
    r->msg = smq_msg_new(w->mem, &r->content, r->checked, w->account);
    if (r->msg == NULL) {
        *err = SMQTT_E_NOMEM;
        return NULL;
    }
    if (r->content.payload.len + r->content.props.len > SMQ_COPY_MAX) {
        r->content = smq_msg_content(r->msg); /* connections refer to what stands there */
    }
    return r->msg;
}

/* Will anybody need the block? Then it is made before the first receiver is served, so that the lack of memory refuses
 * the message as a whole. */
static bool needs_msg(const struct smq_worker *w, const struct smq_routing *r, const struct smq_match *m)
{
    if (r->content.payload.len + r->content.props.len > SMQ_COPY_MAX && m->n != 0) {
        return true;
    }
    if (r->content.qos == 0 && !w->config->queue_qos0_messages && !w->config->upgrade_outgoing_qos) {
        return false;
    }
    return m->n != 0;
}

/* Did a client identifier, group or topic belong to those workers of before? */
static bool belonged(const struct smq_former *only, smq_span name)
{
    return (only->workers >> smq_siphash13(only->key, name) % only->count & 1) != 0;
}

static bool is_for(const struct smq_former *only, const struct smq_receiver *to)
{
    if (to->who->is_group) {
        const struct smq_group *g = smq_group_of(to->who);
        return belonged(only, smq_span_of(g->key, g->len));
    }
    return belonged(only, smq_session_id(SMQ_CONTAINER_OF(to->who, struct smq_session, sub)));
}

/* What was removed is remembered for a while, so that an older message that another worker is still to tell of does not
 * come back; after a recovery none is. */
static smqtt_err remove_retained(struct smq_worker *w, const struct smq_routing *r, bool remembered)
{
    const struct smq_content *c = &r->content;
    bool was = smq_retain_remove(&w->retain, c->topic, c->version);
    if (r->only != NULL && was) {
        smq_durable_retained_expired(w, c->topic);
    } else if (r->only == NULL && (was || w->count > 1) && smq_content_is_stored(c)) {
        smq_durable_unretained(w, c->topic, c->version);
    }
    return remembered ? smq_tombs_add(&w->tombs, c->topic, c->version, w->now.mono) : SMQTT_OK;
}

smqtt_err smq_route_retain(struct smq_worker *w, struct smq_routing *r)
{
    const struct smq_content *c = &r->content;
    bool remembered = w->count > 1 || r->only != NULL;
    if (smq_peers_keeper(w, c->topic) != w->index || (r->only != NULL && !belonged(r->only, c->topic))) {
        return SMQTT_OK;
    }
    if (c->payload.len == 0) {
        return remove_retained(w, r, remembered);
    }
    if (remembered && smq_tombs_get(&w->tombs, c->topic) > c->version) {
        return SMQTT_OK;
    }
    smqtt_err err = SMQTT_OK;
    struct smq_refbuf *msg = smq_routing_msg(w, r, &err);
    if (msg == NULL) {
        return err;
    }
    SMQ_TRY(smq_retain_set(&w->retain, msg, w->config->max_retained));
    if (w->has_store && smq_content_is_stored(c) && smq_retain_get(&w->retain, c->topic) == msg) {
        smq_durable_retained(w, &r->content);
    }
    return SMQTT_OK;
}

/* It gets its place among all that are published to be retained, on whatever worker. */
static void set_version(struct smq_worker *w, struct smq_routing *r)
{
    if (r->content.version == 0) {
        r->content.version = smq_ledger_version(w->ledger, (uint64_t)w->now.wall * 1000000);
        if (r->msg != NULL) {
            smq_msg_of(r->msg)->version = r->content.version; /* nobody else has it yet */
        }
    }
}

/* The identifiers of one receiver that has more of them than usual. Who misses one gets nothing [MQTT-3.3.4-3]. */
static void deliver_many_ids(struct smq_worker *w, struct smq_routing *r, const struct smq_match *m,
                             const struct smq_receiver *to, uint8_t qos)
{
    struct smq_session *s = SMQ_CONTAINER_OF(to->who, struct smq_session, sub);
    size_t n = 1;
    for (uint32_t more = to->more; smq_match_next_id(m, &more) != 0;) {
        n++;
    }
    uint32_t *ids = smq_mem_alloc(w->mem, n * sizeof *ids);
    if (ids == NULL) {
        w->stats.publish_dropped++;
        return;
    }
    uint32_t more = to->more;
    ids[0] = to->id;
    for (size_t i = 1; i < n; i++) {
        ids[i] = smq_match_next_id(m, &more);
    }
    smq_session_deliver(w, s, r, qos, r->content.retain && to->rap, ids, n);
    smq_mem_free(w->mem, ids);
}

/* Kept apart so that who has no identifiers needs no room for them. */
static __attribute__((noinline)) void deliver_ids(struct smq_worker *w, struct smq_routing *r,
                                                  const struct smq_match *m, const struct smq_receiver *to, uint8_t qos)
{
    struct smq_session *s = SMQ_CONTAINER_OF(to->who, struct smq_session, sub);
    uint32_t ids[MANY_IDS];
    size_t n = 0;
    uint32_t more = to->more;
    for (uint32_t id = to->id; id != 0; id = smq_match_next_id(m, &more)) {
        if (n == MANY_IDS) {
            deliver_many_ids(w, r, m, to, qos);
            return;
        }
        ids[n++] = id;
    }
    smq_session_deliver(w, s, r, qos, r->content.retain && to->rap, ids, n);
}

static uint8_t qos_for(const struct smq_worker *w, const struct smq_routing *r, const struct smq_receiver *to)
{
    return to->qos < r->content.qos || w->config->upgrade_outgoing_qos ? to->qos : r->content.qos;
}

static inline __attribute__((always_inline)) void deliver(struct smq_worker *w, struct smq_routing *r,
                                                          const struct smq_match *m, const struct smq_receiver *to)
{
    if (to->who->is_group) {
        smq_group_give(w, smq_group_of(to->who), r);
        return;
    }
    struct smq_session *s = SMQ_CONTAINER_OF(to->who, struct smq_session, sub);
    uint8_t qos = qos_for(w, r, to);
    if (to->id == 0) {
        smq_session_deliver(w, s, r, qos, r->content.retain && to->rap, NULL, 0);
    } else {
        deliver_ids(w, r, m, to, qos);
    }
}

/* ------------------------------------------------------------ what must survive */

/* How many QUEUE rows it may have here. */
static size_t rows_of(const struct smq_worker *w, const struct smq_routing *r, const struct smq_match *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct smq_receiver *to = &m->receivers[i];
        if (to->who->is_group) {
            n += smq_group_of(to->who)->n_stored != 0 && r->content.qos != 0;
        } else {
            n += SMQ_CONTAINER_OF(to->who, struct smq_session, sub)->stored != NULL && qos_for(w, r, to) != 0;
        }
    }
    return n;
}

/* Those among the others that have sessions that are stored, and who keeps it. A publisher of QoS 0 waits for nothing.
 */
static uint64_t who_confirms(struct smq_worker *w, const struct smq_routing *r, uint64_t others)
{
    uint64_t to = others & smq_durable_peers(w);
    unsigned keeper = r->content.retain && !r->from_peer ? smq_peers_keeper(w, r->content.topic) : w->index;
    if (keeper != w->index && w->config->retained_persistence) {
        to |= UINT64_C(1) << keeper;
    }
    return r->content.qos != 0 ? to : 0;
}

static smqtt_err make_durable(struct smq_worker *w, struct smq_routing *r, const struct smq_match *m, uint64_t others)
{
    const struct smq_content *c = &r->content;
    if (!smq_content_is_stored(c)) {
        return SMQTT_OK;
    }
    size_t rows = rows_of(w, r, m);
    bool kept = c->retain && c->payload.len != 0 && w->config->retained_persistence;
    uint64_t confirm = who_confirms(w, r, others);
    if (r->refusable && w->store_state >= SMQ_STORE_FULL && (rows != 0 || (confirm & others) != 0 || kept)) {
        return SMQTT_E_FULL;
    }
    if (rows > 1 || confirm != 0) {
        r->body = smq_body_new(w, c, confirm);
        if (r->body == NULL) {
            return SMQTT_E_NOMEM;
        }
        r->body->rows = 1; /* this routing: what one receiver cannot take must not end it for the next */
    }
    return SMQTT_OK;
}

/* ------------------------------------------------------------ all of it */

/* The keeper of its topic, and the other workers. What comes from one of those cannot be refused any more. */
static smqtt_err tell_others(struct smq_worker *w, struct smq_routing *r, uint64_t others)
{
    if (r->content.retain) {
        smqtt_err err = smq_route_retain(w, r);
        if (err == SMQTT_E_QUOTA && r->from_peer) {
            w->stats.publish_dropped++;
            err = SMQTT_OK;
        }
        SMQ_TRY(err);
    }
    if (w->count > 1 && !r->from_peer) {
        SMQ_TRY(smq_peers_publish(w, r, others));
        if (r->body != NULL && r->body->peers != 0) {
            smq_body_leaves(w, r->body, &r->content, r->group);
        }
    }
    return SMQTT_OK;
}

/* What there is to do besides delivering it here. */
static __attribute__((noinline)) smqtt_err prepare(struct smq_worker *w, struct smq_routing *r,
                                                   const struct smq_match *m)
{
    uint64_t others = w->count > 1 && !r->from_peer ? smq_peers_interested(w, r->content.topic) : 0;
    if (w->has_store) {
        SMQ_TRY(make_durable(w, r, m, others));
    }
    for (uint64_t left = others; left != 0; left &= left - 1) {
        r->n_receivers++;
    }
    smqtt_err err = tell_others(w, r, others);
    if (err != SMQTT_OK && r->body != NULL) {
        r->body->peers = 0;
        smq_body_unref(w, r->body);
        r->body = NULL;
    }
    return err;
}

/* At a start, to those who belonged to the workers that it was owed to. */
static __attribute__((noinline)) void deliver_former(struct smq_worker *w, struct smq_routing *r,
                                                     const struct smq_match *m)
{
    for (size_t i = 0; i < m->n; i++) {
        if (is_for(r->only, &m->receivers[i])) {
            deliver(w, r, m, &m->receivers[i]);
        }
    }
}

/* What may be an answer to a handshake here: its client gets that as DETECT, and all others as ever. */
static __attribute__((noinline)) void deliver_converted(struct smq_worker *w, struct smq_routing *r,
                                                        const struct smq_match *m)
{
    const struct smq_subscriber *client = smq_convert_deliver(w, &r->content);
    for (size_t i = 0; i < m->n; i++) {
        const struct smq_subscriber *who = m->receivers[i].who;
        if (who != client && who != &w->listener->sub) {
            deliver(w, r, m, &m->receivers[i]);
        }
    }
}

smqtt_err smq_route(struct smq_worker *w, struct smq_routing *r)
{
    const struct smq_broker_config *config = w->config;
    if (!r->checked) {
        if (!smq_content_is_sound(&r->content, config->text_policy, config->max_topic_levels)) {
            w->stats.refused_text++;
            return SMQTT_E_BAD_TEXT;
        }
        r->checked = true;
    }
    const struct smq_match *m;
    SMQ_TRY(smq_trie_match(&w->trie, r->content.topic, r->from, &m));
    smqtt_err err = SMQTT_OK;
    if (r->content.retain) {
        set_version(w, r);
    }
    if (needs_msg(w, r, m) && smq_routing_msg(w, r, &err) == NULL) {
        return err;
    }
    r->n_receivers = m->n;
    if (w->count > 1 || w->has_store || r->content.retain) {
        SMQ_TRY(prepare(w, r, m));
    }
    if (r->only != NULL) {
        deliver_former(w, r, m);
    } else if (w->n_listening != 0 && smq_convert_is_topic(r->content.topic)) {
        deliver_converted(w, r, m);
    } else {
        for (size_t i = 0; i < m->n; i++) {
            deliver(w, r, m, &m->receivers[i]);
        }
    }
    if (r->body != NULL) {
        smq_body_unref(w, r->body);
        r->body = NULL;
    }
    return SMQTT_OK;
}
