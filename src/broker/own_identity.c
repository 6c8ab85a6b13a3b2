/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/internal.h"
#include "broker/relay.h"
#include "broker/route.h"
#include "detect/channel.h"

enum { KID_LEN = 4, RECORD_MARK = 0x80, RECORD_MASK = 0xC0 };

/* Asks the configuration of this moment: a reload may have brought another list. */
static bool allow(void *ctx, const struct smqtt_identity *peer, struct smqtt_span topic)
{
    const struct smq_worker *w = ctx;
    const struct smq_broker_config *config = w->config;
    (void)topic;
    return peer == NULL || config->identity_allow == NULL || config->identity_allow(config->identity_allow_ctx, peer);
}

smqtt_err smq_own_init(struct smq_worker *w)
{
    const struct smq_broker_config *config = w->config;
    if (config->identity == NULL || w->index != 0) {
        return SMQTT_OK; /* one worker has it; the others hear of it */
    }
    struct smqtt_opener_config wanted = {.struct_size = sizeof wanted,
                                         .mem = w->mem,
                                         .rng = w->rng,
                                         .identity = config->identity,
                                         .policy = config->identity_policy,
                                         .store = config->identity_store,
                                         .revoked = config->identity_revoked,
                                         .allow = allow,
                                         .ctx = w};
    struct smqtt_opener *opener;
    SMQ_TRY(smqtt_opener_new(&wanted, w->now, &opener));
    struct smq_server *s = smq_mem_zalloc(w->mem, 1, sizeof *s);
    smqtt_err err = s != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
    if (err == SMQTT_OK) {
        memcpy(s->skid, smqtt_identity_skid(config->identity), sizeof s->skid);
        s->proven = true;
        smq_list_init(&s->of_conn);
        smq_list_init(&s->relays);
        void *old = NULL;
        err = smq_map_put(&w->servers, smq_span_of(s->skid, sizeof s->skid), s, &old);
        if (old != NULL) {
            smq_server_free(w, old); /* somebody registered it before it was ours */
        }
    }
    if (err != SMQTT_OK) {
        smq_mem_free(w->mem, s);
        smqtt_opener_free(opener);
        return err;
    }
    s->id = smqtt_identity_ref(config->identity);
    w->opener = opener;
    w->own = s;
    w->own_shown = false;
    smq_far_announce(w, s, true);
    return SMQTT_OK;
}

void smq_own_deinit(struct smq_worker *w)
{
    if (w->own != NULL) {
        smq_server_free(w, w->own);
        w->own = NULL;
    }
    smqtt_opener_free(w->opener);
    w->opener = NULL;
}

static void on_detect_event(struct smq_worker *w, const struct smqtt_secure_event *ev)
{
    struct smq_relay_head head;
    if (smq_relay_head_read(ev->header, ev->bytes, &head) != SMQTT_OK) {
        return;
    }
    uint8_t key[SMQTT_SKID_LEN + SMQ_CID_LEN];
    memcpy(key, w->own->skid, SMQTT_SKID_LEN);
    memcpy(key + SMQTT_SKID_LEN, head.cid, SMQ_CID_LEN);
    struct smq_relay *r = smq_map_get(&w->relays, smq_span_of(key, sizeof key));
    if (r != NULL) {
        (void)!smq_relay_answer(w, r, ev->header, ev->bytes); /* what no longer fits is too late */
    }
}

static void publish(struct smq_worker *w, const struct smq_content *content)
{
    struct smq_routing r;
    smq_routing_init(&r, content, NULL, false);
    if (smq_route(w, &r) != SMQTT_OK) {
        w->stats.publish_dropped++;
    }
    smq_routing_deinit(&r);
}

void smq_own_publish(struct smq_worker *w, struct smq_session *from, const struct smq_content *inner)
{
    bool reserved = inner->topic.len != 0 && inner->topic.data[0] == '$';
    bool may = from == NULL || smq_session_may(w, from, inner->topic, SMQ_ACCESS_WRITE);
    if (reserved || !may) {
        w->stats.publish_dropped++;
        return;
    }
    publish(w, inner);
}

/* What was opened goes on as the plain message that it is, with what its sealed form was published with. The topic that
 * counts is the one inside. It is published where its publisher is, who must have the right to. */
static void on_message_event(struct smq_worker *w, const struct smqtt_secure_event *ev, const struct smq_own_from *from,
                             const struct smq_content *outer)
{
    struct smq_content inner = {.expires = SMQTT_NEVER, .qos = 1};
    if (outer != NULL) {
        inner = *outer;
    }
    inner.topic = ev->topic;
    inner.payload = ev->bytes;
    if (from != NULL && from->session == NULL) {
        smq_far_opened(w, from, &inner, true);
    } else {
        smq_own_publish(w, from != NULL ? from->session : NULL, &inner);
    }
}

static void on_closed_event(struct smq_worker *w, const struct smqtt_secure_event *ev)
{
    if (ev->err == SMQTT_E_REVOKED && ev->peer != NULL) {
        char print[SMQTT_FINGERPRINT_SIZE];
        smqtt_identity_fingerprint(ev->peer, print);
        smq_log(w->log, SMQ_LOG_NOTICE, "The session of '%s' (%s) with smqtt_identity was closed: it is revoked.",
                ev->peer_name, print);
    }
}

static void pull(struct smq_worker *w, const struct smq_own_from *from, const struct smq_content *outer)
{
    struct smqtt_secure_event ev;
    while (smqtt_opener_next(w->opener, &ev)) {
        switch (ev.type) {
        case SMQTT_EV_DETECT:
            on_detect_event(w, &ev);
            break;
        case SMQTT_EV_PUBLISH: {
            struct smq_content content = {.topic = ev.topic, .payload = ev.bytes, .expires = SMQTT_NEVER, .qos = 1};
            publish(w, &content);
            break;
        }
        case SMQTT_EV_MESSAGE:
            on_message_event(w, &ev, from, outer);
            break;
        case SMQTT_EV_REFUSED:
            w->stats.publish_dropped++;
            break;
        case SMQTT_EV_CLOSED:
            on_closed_event(w, &ev);
            break;
        case SMQTT_EV_NONE:
        case SMQTT_EV_SUBSCRIBE: /* the broker sees everything without */
        case SMQTT_EV_UNSUBSCRIBE:
        case SMQTT_EV_STEP:
        case SMQTT_EV_OPEN:
        case SMQTT_EV_LOST:
        case SMQTT_EV_RECEIPT:
        case SMQTT_EV_REGISTERED:
        case SMQTT_EV_DESCRIPTOR:
            break;
        }
    }
}

void smq_own_detect(struct smq_worker *w, uint8_t header, smq_span body)
{
    if (smqtt_opener_detect(w->opener, header, body, w->now) != SMQTT_OK) {
        smq_log(w->log, SMQ_LOG_WARN, "a handshake with the broker's own identity could not be taken");
    }
    pull(w, NULL, NULL);
}

bool smq_own_may_take(const struct smq_worker *w, const struct smq_content *content)
{
    smq_span p = content->payload;
    return w->config->identity != NULL && p.len > 1 + KID_LEN && (p.data[0] & RECORD_MASK) == RECORD_MARK &&
           smqtt_policy_requires(w->config->identity_policy, content->topic);
}

bool smq_own_take(struct smq_worker *w, const struct smq_own_from *from, const struct smq_content *content)
{
    if (w->opener == NULL || !smq_own_may_take(w, content)) {
        return false;
    }
    struct smq_rd rd = smq_rd_of(smq_span_from(content->payload, 1));
    uint32_t kid = smq_rd_u32(&rd);
    if (!smqtt_opener_knows(w->opener, kid)) {
        /* For another server, or of a session that was lost: who has one with us listens for the notice. */
        smq_opener_tell_unknown(w->opener, content->topic, kid, w->now);
        pull(w, NULL, NULL);
        return false;
    }
    if (smqtt_opener_message(w->opener, content->topic, content->payload, false, w->now) != SMQTT_OK) {
        w->stats.publish_dropped++;
    }
    pull(w, from, content);
    return true;
}

void smq_own_configure(struct smq_worker *w)
{
    if (w->opener == NULL) {
        return;
    }
    smqtt_err err = smqtt_opener_set_revoked(w->opener, w->config->identity_revoked, w->now);
    if (err != SMQTT_OK) {
        smq_log(w->log, SMQ_LOG_ERR, "the broker's own identity is not in use any more: %s", smqtt_strerror(err));
        smq_own_deinit(w);
        return;
    }
    pull(w, NULL, NULL);
}

static void show_on(struct smq_worker *w, const uint8_t *skid)
{
    char topic[SMQ_OWN_TOPIC_MAX];
    size_t len = smq_own_topic(smq_span_str(SMQ_PREFIX), skid, 'd', smq_span_of(NULL, 0), topic);
    const struct smq_content content = {.topic = smq_span_of(topic, len),
                                        .payload = smqtt_identity_descriptor(w->own->id),
                                        .expires = SMQTT_NEVER,
                                        .qos = 1,
                                        .retain = true};
    publish(w, &content);
}

/* The broker's descriptor, as any server does it (protocol.md 9.6), so that clients learn of it and of its successor.
 */
static void show_descriptor(struct smq_worker *w)
{
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until;
    w->own_shown = true;
    if (!w->config->detect || !w->config->retain_available) {
        return;
    }
    show_on(w, w->own->skid);
    if (smqtt_identity_predecessor(w->own->id, skid, &until)) {
        show_on(w, skid);
    }
}

void smq_own_tick(struct smq_worker *w)
{
    if (w->own != NULL && !w->own_shown) {
        show_descriptor(w); /* not before what was retained is recovered, and other workers are there */
    }
    if (w->opener != NULL && smqtt_opener_deadline(w->opener) <= w->now.mono) {
        smqtt_opener_tick(w->opener, w->now);
        pull(w, NULL, NULL);
    }
}

smqtt_ms smq_own_deadline(const struct smq_worker *w)
{
    if (w->own != NULL && !w->own_shown) {
        return w->now.mono;
    }
    return w->opener != NULL ? smqtt_opener_deadline(w->opener) : SMQTT_NEVER;
}
