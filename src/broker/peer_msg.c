/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between workers. A small one stands in the note itself: no allocation, nothing shared. */
#include "broker/durable.h"
#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/route.h"
#include "broker/run.h"

enum { INLINE_MAX = 512 };

static uint64_t bit_of(unsigned worker)
{
    return UINT64_C(1) << worker;
}

uint64_t smq_peers_interested(struct smq_worker *w, smq_span topic)
{
    return w->count > 1 ? smq_interest_match(&w->peers.interest, topic) : 0;
}

unsigned smq_peers_keeper(const struct smq_worker *w, smq_span topic)
{
    return w->count > 1 ? smq_worker_owner(w, topic) : w->index;
}

/* ------------------------------------------------------------ writing */

static void put_content(uint8_t *at, const struct smq_content *c)
{
    memcpy(at, c->topic.data, c->topic.len);
    if (c->props.len != 0) {
        memcpy(at + c->topic.len, c->props.data, c->props.len);
    }
    if (c->payload.len != 0) {
        memcpy(at + c->topic.len + c->props.len, c->payload.data, c->payload.len);
    }
    if (c->source.len != 0) {
        memcpy(at + c->topic.len + c->props.len + c->payload.len, c->source.data, c->source.len);
    }
}

/* Bytes of the note, and the block when the message is to be referred to. */
static smqtt_err prepare(struct smq_worker *w, struct smq_routing *r, size_t *size)
{
    const struct smq_content *c = &r->content;
    size_t bytes = c->topic.len + c->props.len + c->payload.len + c->source.len;
    bool small = bytes <= INLINE_MAX;
    smqtt_err err = SMQTT_OK;
    if (!small && smq_routing_msg(w, r, &err) == NULL) {
        return err;
    }
    *size = sizeof(struct smq_note_msg) + (small ? bytes : 0) + r->group.len;
    return SMQTT_OK;
}

static uint64_t who_confirms(const struct smq_routing *r)
{
    return r->body != NULL ? r->body->peers : 0;
}

static bool is_small(const struct smq_content *c)
{
    return c->expires == SMQTT_NEVER && !c->retain && c->version == 0 && c->source.len == 0 &&
           c->topic.len + c->props.len + c->payload.len <= INLINE_MAX;
}

static smqtt_err publish_small(struct smq_worker *w, const struct smq_routing *r, uint64_t to, uint64_t origin)
{
    const struct smq_content *c = &r->content;
    uint64_t confirm = who_confirms(r);
    uint64_t mid = confirm != 0 ? r->body->mid : 0;
    size_t size = sizeof(struct smq_note_small) + c->topic.len + c->props.len + c->payload.len;
    size += mid != 0 ? sizeof mid : 0;
    for (uint64_t left = to; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (!smq_outbox_reserve(&w->peers.of[i].box, &w->peers.pool, size, false)) {
            return SMQTT_E_NOMEM;
        }
    }
    for (; to != 0; to &= to - 1) {
        unsigned i = (unsigned)__builtin_ctzll(to);
        struct smq_note_small *note = (void *)smq_outbox_add(&w->peers.of[i].box, SMQ_NOTE_SMALL, size);
        note->origin = origin;
        note->topic_len = (uint16_t)c->topic.len;
        note->props_len = (uint16_t)c->props.len;
        note->payload_len = (uint16_t)c->payload.len;
        note->qos = c->qos;
        note->flags = c->has_text ? SMQ_FLAG_TEXT : 0;
        uint8_t *at = note->bytes;
        if (mid != 0) {
            uint64_t asked = (confirm & bit_of(i)) != 0 ? mid : 0;
            note->flags |= SMQ_FLAG_MID;
            memcpy(at, &asked, sizeof asked);
            at += sizeof asked;
        }
        put_content(at, c);
    }
    return SMQTT_OK;
}

/* Room was reserved. A large message is referred to. */
static void put(struct smq_worker *w, unsigned to, enum smq_note_type type, struct smq_routing *r, size_t size,
                const struct smq_note_msg *fields)
{
    const struct smq_content *c = &r->content;
    struct smq_note_msg *note = (void *)smq_outbox_add(&w->peers.of[to].box, (uint32_t)type, size);
    struct smq_note head = note->head;
    *note = *fields;
    note->head = head;
    note->expires = c->expires;
    note->version = c->version;
    note->qos = c->qos;
    note->flags = (uint8_t)(fields->flags | (c->retain ? SMQ_FLAG_RETAIN : 0) | (c->has_text ? SMQ_FLAG_TEXT : 0));
    note->group_len = (uint16_t)r->group.len;
    if (r->group.len != 0) {
        memcpy((uint8_t *)note + size - r->group.len, r->group.data, r->group.len);
    }
    if (size - r->group.len == sizeof *note) {
        note->msg = smq_refbuf_hand(r->msg);
    } else {
        note->topic_len = (uint16_t)c->topic.len;
        note->source_len = (uint16_t)c->source.len;
        note->props_len = (uint32_t)c->props.len;
        note->payload_len = (uint32_t)c->payload.len;
        put_content(note->bytes, c);
    }
}

smqtt_err smq_peer_send(struct smq_worker *w, unsigned to, enum smq_note_type type, struct smq_routing *r,
                        const struct smq_note_msg *msg)
{
    size_t size = 0;
    SMQ_TRY(prepare(w, r, &size));
    if (!smq_outbox_reserve(&w->peers.of[to].box, &w->peers.pool, size, false)) {
        return SMQTT_E_NOMEM;
    }
    put(w, to, type, r, size, msg);
    return SMQTT_OK;
}

smqtt_err smq_peers_publish(struct smq_worker *w, struct smq_routing *r, uint64_t interested)
{
    uint64_t origin = 0;
    if (r->content.qos != 0 && interested != 0 && w->config->slow_policy == SMQ_SLOW_BACKPRESSURE) {
        origin = smq_origin_of_routing(r);
    }
    if (smq_run_fits(&r->content)) {
        return smq_run_publish(w, &r->content, interested);
    }
    if (is_small(&r->content)) {
        return publish_small(w, r, interested, origin);
    }
    struct smq_note_msg fields = {.origin = origin};
    unsigned keeper = r->content.version != 0 ? smq_peers_keeper(w, r->content.topic) : w->index;
    uint64_t to = keeper != w->index ? interested | bit_of(keeper) : interested;
    size_t size = 0;
    if (to == 0) {
        return SMQTT_OK;
    }
    SMQ_TRY(prepare(w, r, &size));
    for (uint64_t left = to; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (!smq_outbox_reserve(&w->peers.of[i].box, &w->peers.pool, size, false)) {
            return SMQTT_E_NOMEM;
        }
    }
    if (keeper != w->index) {
        fields.kept = ++w->peers.of[keeper].kept_out;
    }
    for (uint64_t left = to; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        fields.mid = (who_confirms(r) & bit_of(i)) != 0 ? r->body->mid : 0;
        put(w, i, (interested & bit_of(i)) != 0 ? SMQ_NOTE_PUBLISH : SMQ_NOTE_KEEP, r, size, &fields);
    }
    return SMQTT_OK;
}

/* ------------------------------------------------------------ reading */

void smq_peer_open(struct smq_note_msg *note, struct smq_routing *r)
{
    size_t len = 0;
    if (note->msg != NULL) {
        smq_routing_init_msg(r, note->msg);
        smq_msg_unref(note->msg);
    } else {
        const uint8_t *at = note->bytes;
        struct smq_content c = {
            .topic = {at, note->topic_len},
            .props = {at + note->topic_len, note->props_len},
            .payload = {at + note->topic_len + note->props_len, note->payload_len},
            .source = {at + note->topic_len + note->props_len + note->payload_len, note->source_len},
            .expires = note->expires,
            .version = note->version,
            .qos = note->qos,
            .retain = (note->flags & SMQ_FLAG_RETAIN) != 0,
            .has_text = (note->flags & SMQ_FLAG_TEXT) != 0};
        smq_routing_init(r, &c, NULL, true);
        len = c.topic.len + c.props.len + c.payload.len + c.source.len;
    }
    r->group = (smq_span){note->bytes + len, note->group_len};
    r->origin = note->origin;
    r->from_peer = true;
}

/* What is known of who has to keep what, for questions asked later. */
static void learn_kept(struct smq_worker *w, unsigned from, const struct smq_note_msg *note, smq_span topic)
{
    if (note->version == 0 || note->kept == 0) {
        return;
    }
    unsigned keeper = smq_peers_keeper(w, topic);
    if (keeper == w->index) {
        w->peers.of[from].kept_in = note->kept;
    } else {
        w->peers.of[from].kept_by[keeper] = note->kept;
    }
}

/* Without memory for what somebody was told to be safe nothing more is said to be. */
static void settle(struct smq_worker *w, unsigned from, uint64_t mid, smqtt_err err)
{
    if (err != SMQTT_OK) {
        w->stats.publish_dropped++;
    }
    if (mid != 0) {
        if (err == SMQTT_E_NOMEM) {
            smq_store_lose(w);
        }
        smq_durable_passed(w, from, mid);
    }
}

void smq_peer_on_publish(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_note_msg *note = (struct smq_note_msg *)head;
    struct smq_routing r;
    smq_peer_open(note, &r);
    learn_kept(w, from, note, r.content.topic);
    settle(w, from, note->mid, smq_route(w, &r));
    smq_routing_deinit(&r);
}

void smq_peer_on_small(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_small *note = (const struct smq_note_small *)head;
    const uint8_t *at = note->bytes;
    uint64_t mid = 0;
    if ((note->flags & SMQ_FLAG_MID) != 0) {
        memcpy(&mid, at, sizeof mid);
        at += sizeof mid;
    }
    struct smq_routing r;
    r.content = (struct smq_content){.topic = {at, note->topic_len},
                                     .props = {at + note->topic_len, note->props_len},
                                     .payload = {at + note->topic_len + note->props_len, note->payload_len},
                                     .expires = SMQTT_NEVER,
                                     .qos = note->qos,
                                     .has_text = (note->flags & SMQ_FLAG_TEXT) != 0};
    smq_routing_init_rest(&r, NULL, true);
    r.origin = note->origin;
    r.from_peer = true;
    settle(w, from, mid, smq_route(w, &r));
    smq_routing_deinit(&r);
}

void smq_peer_on_keep(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_note_msg *note = (struct smq_note_msg *)head;
    struct smq_routing r;
    smq_peer_open(note, &r);
    learn_kept(w, from, note, r.content.topic);
    settle(w, from, note->mid, smq_route_retain(w, &r));
    smq_routing_deinit(&r);
}
