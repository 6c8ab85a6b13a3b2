/* SPDX-License-Identifier: Apache-2.0 */
/* Opener: registration, records, notices (protocol.md 6.4 to 6.6, 9.2). */
#include "base/mem.h"
#include "base/utf8.h"
#include "codec/topic.h"
#include "detect/opener.h"

enum { RECEIPTS_FIRST = 8 };

/* ---------------------------------------------------------------- registration */

static void register_push(struct smqtt_opener *o, const char *topic, smq_span payload)
{
    struct smq_evq_entry *entry = smq_evq_push(&o->q, SMQTT_EV_PUBLISH);
    smq_evq_set_topic(&o->q, entry, smq_span_str(topic));
    smq_evq_set_bytes(&o->q, entry, payload);
}

/** What clients of the tunnel send. */
static void subscribe_push(struct smqtt_opener *o)
{
    char topic[SMQ_OWN_TOPIC_MAX];
    size_t len = smq_own_topic(o->config.prefix, o->config.identity->skid, 'c', smq_span_of(NULL, 0), topic);
    topic[len++] = '+';
    smq_evq_set_topic(&o->q, smq_evq_push(&o->q, SMQTT_EV_SUBSCRIBE), smq_span_of(topic, len));
}

static void register_begin(struct smqtt_opener *o, struct smqtt_now now)
{
    const struct smqtt_identity *id = o->config.identity;
    uint8_t payload[2 + SMQ_DESCRIPTOR_MAX] = {SMQ_DETECT_VER, 0x01};
    memcpy(payload + 2, id->descriptor, id->len);
    register_push(o, SMQ_REGISTER_TOPIC, smq_span_of(payload, 2 + id->len));
    o->registering = SMQ_REGISTER_WAIT_CHALLENGE;
    o->register_until = now.mono + SMQ_OPENER_REGISTER_MS;
}

/** Says on the topic `d` of a skid who we are. */
static void descriptor_push(struct smqtt_opener *o, const uint8_t skid[SMQTT_SKID_LEN])
{
    const struct smqtt_identity *id = o->config.identity;
    char topic[SMQ_OWN_TOPIC_MAX];
    size_t len = smq_own_topic(o->config.prefix, skid, 'd', smq_span_of(NULL, 0), topic);
    struct smq_evq_entry *entry = smq_evq_push(&o->q, SMQTT_EV_PUBLISH);
    entry->ev.header = 1;
    entry->ev.retain = true;
    smq_evq_set_topic(&o->q, entry, smq_span_of(topic, len));
    smq_evq_set_bytes(&o->q, entry, smq_span_of(id->descriptor, id->len));
}

/** Who still knows the predecessor looks on its topic. */
static void descriptors_push(struct smqtt_opener *o)
{
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    descriptor_push(o, o->config.identity->skid);
    if (smqtt_identity_predecessor(o->config.identity, skid, &until)) {
        descriptor_push(o, skid);
    }
}

smqtt_err smqtt_opener_connected(struct smqtt_opener *o, bool tunnel, struct smqtt_span client_id, struct smqtt_now now)
{
    smq_opener_release_held(o);
    SMQ_TRY(smq_evq_reserve(&o->q, 4, (size_t)4 * (2 + SMQ_DESCRIPTOR_MAX + SMQ_OWN_TOPIC_MAX)));
    uint8_t *copy = smq_mem_dup(o->mem, client_id);
    if (copy == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_mem_free(o->mem, o->client_id);
    o->client_id = copy;
    o->client_id_len = client_id.len;
    o->config.tunnel = tunnel;
    o->register_until = SMQTT_NEVER;
    if (tunnel) {
        subscribe_push(o);
    } else {
        register_begin(o, now);
    }
    if (!o->config.hidden) {
        descriptors_push(o);
    }
    return SMQTT_OK;
}

static smqtt_err take_challenge(struct smqtt_opener *o, smq_span payload)
{
    const struct smqtt_identity *id = o->config.identity;
    uint8_t challenge[SMQ_CHALLENGE_LEN];
    uint8_t proof[SMQ_REGISTER_MAX];
    size_t len = 0;
    if (smq_register_challenge_read(payload, id->skid, challenge) != SMQTT_OK) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    SMQ_TRY(smq_evq_reserve(&o->q, 1, SMQ_REGISTER_MAX + SMQ_OWN_TOPIC_MAX));
    SMQ_TRY(smq_register_proof_write(id, challenge, smq_span_of(o->client_id, o->client_id_len), proof, &len));
    register_push(o, SMQ_PROOF_TOPIC, smq_span_of(proof, len));
    o->registering = SMQ_REGISTER_WAIT_RESULT;
    return SMQTT_OK;
}

smqtt_err smq_opener_take_registration(struct smqtt_opener *o, smq_span topic, smq_span payload)
{
    uint8_t status = 0;
    bool challenge = smq_span_equal(topic, smq_span_str(SMQ_CHALLENGE_TOPIC));
    if (challenge && o->registering == SMQ_REGISTER_WAIT_CHALLENGE) {
        return take_challenge(o, payload);
    }
    if (!smq_span_equal(topic, smq_span_str(SMQ_REGISTERED_TOPIC)) || o->registering == SMQ_REGISTER_IDLE ||
        smq_register_result_read(payload, o->config.identity->skid, &status) != SMQTT_OK) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    SMQ_TRY(smq_evq_reserve(&o->q, 1, 0));
    struct smq_evq_entry *entry = smq_evq_push(&o->q, SMQTT_EV_REGISTERED);
    entry->ev.status = status;
    entry->ev.err = status == SMQTT_STATUS_OK ? SMQTT_OK : SMQTT_E_REFUSED;
    o->registering = SMQ_REGISTER_IDLE;
    o->register_until = SMQTT_NEVER;
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- refusals, notices, plain messages */

static struct smq_evq_entry *refuse(struct smqtt_opener *o, smq_span topic, smqtt_err err)
{
    struct smq_evq_entry *entry = smq_evq_push(&o->q, SMQTT_EV_REFUSED);
    entry->ev.err = err;
    smq_evq_set_topic(&o->q, entry, topic);
    return entry;
}

static bool is_reserved(const struct smqtt_opener *o, smq_span topic)
{
    return smqtt_opener_owns(o, topic) || smq_span_starts(topic, smq_span_str(SMQ_PREFIX "/")) ||
           smq_span_starts(topic, smq_span_str("$"));
}

/** protocol.md 6.6: once in 10 s for a kid, 10 a second in all. */
static bool notice_due(const struct smqtt_opener *o, const uint8_t kid[SMQ_KID_LEN], smqtt_ms mono)
{
    size_t lately = 0;
    for (size_t i = 0; i < SMQ_OPENER_NOTICES; i++) {
        if (!o->notices[i].used) {
            continue;
        }
        smqtt_ms age = mono - o->notices[i].at;
        lately += age < SMQ_NOTICE_SECOND_MS;
        if (age < SMQ_NOTICE_KID_MS && memcmp(o->notices[i].kid, kid, SMQ_KID_LEN) == 0) {
            return false;
        }
    }
    return lately < SMQ_NOTICES_A_SECOND;
}

bool smq_opener_has_noticed(const struct smqtt_opener *o, const uint8_t kid[SMQ_KID_LEN])
{
    bool found = false;
    for (size_t i = 0; i < SMQ_OPENER_NOTICES && !found; i++) {
        found = o->notices[i].used && memcmp(o->notices[i].kid, kid, SMQ_KID_LEN) == 0;
    }
    return found;
}

void smq_opener_notice(struct smqtt_opener *o, const uint8_t kid[SMQ_KID_LEN], struct smqtt_now now)
{
    uint8_t nonce[SMQ_NOTICE_NONCE_LEN];
    uint8_t notice[SMQ_NOTICE_LEN];
    const struct smqtt_rng *rng = &o->config.rng;
    if (!rng->fill(rng->ctx, nonce, sizeof(nonce)) ||
        smq_notice_write(o->config.identity, kid, nonce, now.wall, notice) != SMQTT_OK) {
        return;
    }
    memcpy(o->notices[o->notice_next].kid, kid, SMQ_KID_LEN);
    o->notices[o->notice_next].at = now.mono;
    o->notices[o->notice_next].used = true;
    o->notice_next = (o->notice_next + 1) % SMQ_OPENER_NOTICES;
    smq_opener_push_publish(o, 'n', smq_span_of(kid, SMQ_KID_LEN), smq_span_of(notice, sizeof(notice)));
}

static void notice(struct smqtt_opener *o, const uint8_t kid[SMQ_KID_LEN], struct smqtt_now now)
{
    if (notice_due(o, kid, now.mono)) {
        smq_opener_notice(o, kid, now);
    }
}

/** protocol.md 6.6: one on which the policy requires sealing, and that is not S-MQTT's own. */
static bool is_served(const struct smqtt_opener *o, smq_span topic)
{
    return !is_reserved(o, topic) && smqtt_policy_requires(o->config.policy, topic);
}

void smq_opener_tell_unknown(struct smqtt_opener *o, smq_span topic, uint32_t kid, struct smqtt_now now)
{
    uint8_t bytes[SMQ_KID_LEN];
    struct smq_wr wr = smq_wr_of(bytes, sizeof(bytes));
    smq_wr_u32(&wr, kid);
    smq_opener_release_held(o);
    if (is_served(o, topic) && smq_evq_reserve(&o->q, 1, SMQ_NOTICE_LEN + SMQ_OWN_TOPIC_MAX) == SMQTT_OK) {
        o->counters.unknown_key++;
        notice(o, bytes, now);
    }
}

static smqtt_err take_plain(struct smqtt_opener *o, smq_span topic, smq_span payload)
{
    SMQ_TRY(smq_evq_reserve(&o->q, 1, topic.len));
    if (smqtt_policy_requires(o->config.policy, topic)) {
        o->counters.plain_dropped++;
        (void)refuse(o, topic, SMQTT_E_PLAINTEXT);
        return SMQTT_OK;
    }
    struct smq_evq_entry *entry = smq_evq_push(&o->q, SMQTT_EV_MESSAGE);
    entry->ev.protection = SMQTT_PLAIN;
    entry->ev.bytes = payload;
    smq_evq_set_topic(&o->q, entry, topic);
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- records */

/** A record at work. */
struct work {
    smq_span topic;
    bool retained;
    struct smqtt_now now;
    struct smq_record record;
    struct smq_peer *peer; /* whose key opened it */
    int index;             /* generation */
    bool is_new;           /* its number was not seen before */
    uint8_t *pt;           /* in the queue's bytes, behind the topic */
    struct smq_sealed sealed;
    smq_span subject; /* the topic that counts: logical or outer */
    smqtt_err err;    /* verdict on an authentic record */
};

/** Tries one session's key. SMQTT_E_NO_KEY, SMQTT_E_REPLAY, SMQTT_E_OUTSIDE_WINDOW, SMQTT_E_BAD_TAG. */
static smqtt_err try_key(struct smqtt_opener *o, struct work *w, struct smq_peer *peer)
{
    int index = smq_channel_find(peer->session, w->record.kid, w->now.mono);
    if (index < 0) {
        return SMQTT_E_NO_KEY;
    }
    enum smq_window_verdict verdict = smq_window_judge(&peer->session->windows[index], w->record.seq);
    if (verdict != SMQ_WINDOW_NEW && !w->retained) {
        return verdict == SMQ_WINDOW_SEEN ? SMQTT_E_REPLAY : SMQTT_E_OUTSIDE_WINDOW;
    }
    SMQ_TRY(smq_record_open(o->mem, &peer->session->recv[index], &w->record, w->topic, w->pt));
    w->peer = peer;
    w->index = index;
    w->is_new = verdict == SMQ_WINDOW_NEW;
    return SMQTT_OK;
}

/** Finds the session that has the kid and opens the record. */
static smqtt_err open_record(struct smqtt_opener *o, struct work *w)
{
    smqtt_err err = SMQTT_E_NO_KEY;
    const struct smq_kid_slot *slot = smq_map_get(&o->kids, smq_span_of(w->record.kid, SMQ_KID_LEN));
    for (; slot != NULL && w->peer == NULL; slot = slot->same) {
        smqtt_err tried = try_key(o, w, slot->owner);
        err = tried != SMQTT_E_NO_KEY ? tried : err;
    }
    return w->peer != NULL ? SMQTT_OK : err;
}

/** Room for one more receipt of a session. */
static smqtt_err receipt_room(const struct smqtt_opener *o, struct smq_peer *peer)
{
    size_t n = peer->n_receipts + peer->expected + 1;
    if (n <= peer->cap_receipts) {
        return SMQTT_OK;
    }
    size_t cap = peer->cap_receipts != 0 ? peer->cap_receipts * 2 : RECEIPTS_FIRST;
    struct smq_receipt *list = smq_mem_resize(o->mem, peer->receipts, cap * sizeof(*list));
    if (list == NULL) {
        return SMQTT_E_NOMEM;
    }
    peer->receipts = list;
    peer->cap_receipts = cap;
    return SMQTT_OK;
}

/** The number counts as received from here on. Nothing has changed after a failure. */
static smqtt_err number_commit(struct smqtt_opener *o, const struct work *w)
{
    struct smq_peer *peer = w->peer;
    bool moved = false;
    uint64_t missing = 0;
    SMQ_TRY(smq_map_reserve(&o->kids, smq_map_count(&o->kids) + 1));
    SMQ_TRY(receipt_room(o, peer));
    SMQ_TRY(smq_channel_commit(peer->session, w->index, w->record.seq, w->now.mono, &moved, &missing));
    if (moved) {
        smq_peer_moved(o, peer);
    }
    o->counters.gaps += missing;
    smq_peer_touch(o, peer, w->now);
    if (o->config.store != NULL && !smq_list_is_linked(&peer->dirty)) {
        smq_list_push_back(&o->dirty, &peer->dirty);
    }
    return SMQTT_OK;
}

static bool topic_ok(smq_span topic)
{
    return smq_utf8_ok(topic, SMQ_TEXT_STANDARD) && smq_topic_name_ok(topic, 0);
}

/** What is to be said about an authentic record, apart from its text. */
static smqtt_err judge(struct smqtt_opener *o, struct work *w)
{
    const struct smq_sealed *s = &w->sealed;
    if ((s->content & SMQ_CONTENT_RECEIPTS) != 0) {
        return SMQTT_E_MALFORMED; /* receipts go the other way only */
    }
    if (w->peer->revoked) {
        return SMQTT_E_NOT_AUTHORIZED;
    }
    bool logical = (w->record.first & SMQ_RECORD_LOGICAL) != 0;
    w->subject = logical ? s->logical_topic : w->topic;
    if (logical && (!topic_ok(w->subject) || !smqtt_policy_logical(o->config.policy, w->subject))) {
        return SMQTT_E_BAD_TOPIC;
    }
    if (!w->is_new && !smq_highest_is(&o->highest, w->record.kid, w->subject, w->record.seq)) {
        return SMQTT_E_ROLLBACK;
    }
    smqtt_ms age = w->now.wall > s->time ? w->now.wall - s->time : 0;
    if (s->has_expiry && age > s->expiry_s * (smqtt_ms)1000) {
        return SMQTT_E_EXPIRED;
    }
    return smq_opener_allows(o, w->peer->identity, w->subject) ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED;
}

static uint8_t status_of(smqtt_err err)
{
    switch ((int)err) {
    case SMQTT_OK:
        return SMQTT_STATUS_OK;
    case SMQTT_E_EXPIRED:
        return SMQTT_STATUS_EXPIRED;
    default:
        return SMQTT_STATUS_NOT_AUTHORIZED;
    }
}

static void count(struct smqtt_secure_counters *c, smqtt_err err)
{
    c->replays += err == SMQTT_E_REPLAY;
    c->outside_window += err == SMQTT_E_OUTSIDE_WINDOW;
    c->bad_tag += err == SMQTT_E_BAD_TAG;
    c->unknown_key += err == SMQTT_E_NO_KEY;
    c->rollbacks += err == SMQTT_E_ROLLBACK;
    c->expired += err == SMQTT_E_EXPIRED;
}

/** The record becomes an event; the bytes stand behind the queue's tail already. */
static void result_push(struct smqtt_opener *o, const struct work *w)
{
    struct smq_evq_entry *entry = smq_evq_push(&o->q, w->err == SMQTT_OK ? SMQTT_EV_MESSAGE : SMQTT_EV_REFUSED);
    struct smqtt_secure_event *ev = &entry->ev;
    size_t pt_at = o->q.len + w->topic.len + SMQ_EVQ_TOPIC_END;
    smq_evq_set_topic(&o->q, entry, w->topic);
    if (w->subject.data != w->topic.data && w->subject.data != NULL) {
        entry->topic_at = pt_at + (size_t)(w->subject.data - w->pt);
        ev->topic.len = w->subject.len;
    }
    if (w->err == SMQTT_OK) {
        size_t skip = (size_t)(w->sealed.payload.data - w->pt);
        smq_evq_own_bytes(&o->q, entry, skip, w->sealed.payload.len, w->record.box.len - SMQ_TAG_LEN);
        ev->text = (w->sealed.content & SMQ_CONTENT_TEXT) != 0;
    } else {
        o->q.len += w->record.box.len - SMQ_TAG_LEN;
    }
    ev->err = w->err;
    ev->status = status_of(w->err);
    ev->kid = smq_kid_u32(w->record.kid);
    ev->seq = w->record.seq;
    ev->protection = w->peer->identity != NULL ? SMQTT_PEER : SMQTT_PEER_ANON;
    if (!w->is_new) {
        ev->protection = SMQTT_RETAINED_REPLAY;
    }
    smq_opener_own(entry, w->peer);
    if (w->is_new) {
        entry->bits = o->config.store != NULL ? SMQ_ENTRY_UNCOMMITTED : 0;
        bool receipt = (w->sealed.content & SMQ_CONTENT_RECEIPT) != 0;
        entry->bits |= receipt ? SMQ_ENTRY_RECEIPT : 0U;
        w->peer->expected += receipt;
    }
}

/** A record that did not open. Room is there. */
static void record_refuse(struct smqtt_opener *o, const struct work *w, smqtt_err err)
{
    count(&o->counters, err);
    struct smq_evq_entry *entry = refuse(o, w->topic, err);
    entry->ev.kid = smq_kid_u32(w->record.kid);
    entry->ev.seq = w->record.seq;
    if (err == SMQTT_E_NO_KEY && is_served(o, w->topic)) {
        notice(o, w->record.kid, w->now);
    }
}

static smqtt_err take_record(struct smqtt_opener *o, struct work *w)
{
    bool known = smq_map_get(&o->kids, smq_span_of(w->record.kid, SMQ_KID_LEN)) != NULL;
    size_t box = known ? w->record.box.len : 0; /* who has no session makes us take no memory for his record */
    SMQ_TRY(smq_evq_reserve(&o->q, 2, w->topic.len + box + SMQ_NOTICE_LEN + SMQ_OWN_TOPIC_MAX));
    w->pt = smq_evq_tail(&o->q) + w->topic.len + SMQ_EVQ_TOPIC_END;
    smqtt_err err = known ? open_record(o, w) : SMQTT_E_NO_KEY;
    if (err == SMQTT_E_NOMEM || err == SMQTT_E_CRYPTO) {
        return err;
    }
    if (err != SMQTT_OK) {
        record_refuse(o, w, err);
        return SMQTT_OK;
    }
    if (w->is_new) {
        SMQ_TRY(number_commit(o, w));
    }
    bool logical = (w->record.first & SMQ_RECORD_LOGICAL) != 0;
    w->err = smq_sealed_read(smq_span_of(w->pt, box - SMQ_TAG_LEN), logical, &w->sealed);
    if (w->err == SMQTT_OK) {
        w->err = judge(o, w);
    } else {
        w->sealed.content = 0;
    }
    if (w->err == SMQTT_OK && w->is_new) {
        smq_highest_note(&o->highest, w->record.kid, w->subject, w->record.seq);
    }
    count(&o->counters, w->err);
    result_push(o, w);
    return SMQTT_OK;
}

bool smqtt_opener_owns(const struct smqtt_opener *o, struct smqtt_span topic)
{
    smq_span prefix = o->config.prefix.len != 0 ? o->config.prefix : smq_span_str(SMQ_PREFIX);
    bool under = topic.len > prefix.len && topic.data[prefix.len] == '/' && smq_span_starts(topic, prefix);
    return under || smq_span_starts(topic, smq_span_str(SMQ_REGISTER_TOPIC_PREFIX));
}

/** In the tunnel DETECT comes as PUBLISH on our branch 'c', which names the cid as the body does. What else stands
 * under the prefix is said between others. */
static smqtt_err take_tunnelled(struct smqtt_opener *o, smq_span topic, smq_span payload, bool retained,
                                struct smqtt_now now)
{
    struct smq_relay_head head;
    char own[SMQ_OWN_TOPIC_MAX];
    smq_span none = smq_span_of(NULL, 0);
    size_t len = smq_own_topic(o->config.prefix, o->config.identity->skid, 'c', none, own);
    if (!smq_span_starts(topic, smq_span_of(own, len))) {
        return SMQTT_OK;
    }
    bool read = o->config.tunnel && !retained && payload.len != 0 &&
                smq_relay_head_read(payload.data[0], smq_span_from(payload, 1), &head) == SMQTT_OK;
    len = read ? smq_own_topic(o->config.prefix, o->config.identity->skid, 'c', smq_span_of(head.cid, SMQ_CID_LEN), own)
               : 0;
    if (!read || !smq_span_equal(topic, smq_span_of(own, len))) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    return smqtt_opener_detect(o, payload.data[0], smq_span_from(payload, 1), now);
}

smqtt_err smqtt_opener_message(struct smqtt_opener *o, struct smqtt_span topic, struct smqtt_span payload,
                               bool retained, struct smqtt_now now)
{
    smq_opener_release_held(o);
    if (smq_span_starts(topic, smq_span_str(SMQ_REGISTER_TOPIC_PREFIX))) {
        return smq_opener_take_registration(o, topic, payload);
    }
    if (smqtt_opener_owns(o, topic)) {
        return take_tunnelled(o, topic, payload, retained, now);
    }
    struct work w = {.topic = topic, .retained = retained, .now = now, .index = -1};
    if (!smq_record_is(payload) || smq_record_read(payload, &w.record) != SMQTT_OK) {
        return take_plain(o, topic, payload);
    }
    return take_record(o, &w);
}
