/* SPDX-License-Identifier: Apache-2.0 */
/* Sealer: records go out, receipts and notices come in (protocol.md 6). */
#include "base/mem.h"
#include "base/utf8.h"
#include "codec/topic.h"
#include "detect/sealer.h"

enum { NOTICE_SKEW_MS = 30000, TLV_HEAD = 3, TLV_LIST = 2, UNRECEIPTED_FIRST = 32 };

/* ---------------------------------------------------------------- records that wait for a receipt */

static void unreceipted_expire(struct smqtt_sealer *s, smqtt_ms mono)
{
    size_t n = 0;
    while (n < s->n_unreceipted && s->unreceipted[n].until <= mono) {
        n++;
    }
    if (n != 0) {
        s->n_unreceipted -= n;
        memmove(s->unreceipted, s->unreceipted + n, s->n_unreceipted * sizeof(s->unreceipted[0]));
    }
}

/** protocol.md 6.4: at most half a window waits. */
static smqtt_err unreceipted_room(struct smqtt_sealer *s, const struct smq_channel *session, smqtt_ms mono)
{
    unreceipted_expire(s, mono);
    if (s->n_unreceipted >= session->window_size / 2U) {
        return SMQTT_E_BUSY;
    }
    if (s->n_unreceipted < s->cap_unreceipted) {
        return SMQTT_OK;
    }
    size_t cap = s->cap_unreceipted != 0 ? s->cap_unreceipted * 2 : UNRECEIPTED_FIRST;
    struct smq_unreceipted *list = smq_mem_resize(s->mem, s->unreceipted, cap * sizeof(*list));
    if (list == NULL) {
        return SMQTT_E_NOMEM;
    }
    s->unreceipted = list;
    s->cap_unreceipted = cap;
    return SMQTT_OK;
}

static void unreceipted_add(struct smqtt_sealer *s, const uint8_t *kid, uint64_t seq, smqtt_ms mono)
{
    struct smq_unreceipted *u = &s->unreceipted[s->n_unreceipted++];
    memcpy(u->kid, kid, SMQ_KID_LEN);
    u->seq = seq;
    u->until = mono + SMQ_SEALER_RECEIPT_MS;
}

static void unreceipted_take(struct smqtt_sealer *s, const struct smq_receipt *receipt)
{
    for (size_t i = 0; i < s->n_unreceipted; i++) {
        if (s->unreceipted[i].seq == receipt->seq && memcmp(s->unreceipted[i].kid, receipt->kid, SMQ_KID_LEN) == 0) {
            s->n_unreceipted--;
            memmove(s->unreceipted + i, s->unreceipted + i + 1, (s->n_unreceipted - i) * sizeof(s->unreceipted[0]));
            return;
        }
    }
}

/* ---------------------------------------------------------------- sealing */

static size_t span_tlv(smq_span s)
{
    return s.len != 0 ? TLV_HEAD + s.len : 0;
}

size_t smqtt_seal_overhead(const struct smqtt_seal_options *o)
{
    size_t fixed = SMQ_RECORD_HEAD_MAX + 1 + SMQ_TAG_LEN;
    if (o == NULL) {
        return fixed;
    }
    size_t tlvs = (o->expiry_s != 0 ? (size_t)TLV_HEAD + 8 + TLV_HEAD + 4 : 0) + span_tlv(o->logical_topic) +
                  span_tlv(o->content_type) + span_tlv(o->response_topic) + span_tlv(o->correlation_data) +
                  (o->padding != 0 ? (size_t)TLV_HEAD + o->padding : 0);
    return fixed + (tlvs != 0 ? TLV_LIST + tlvs : 0);
}

static smq_span present(smq_span s)
{
    return s.len != 0 ? s : (smq_span){NULL, 0};
}

static struct smq_sealed sealed_of(smq_span payload, const struct smqtt_seal_options *o, struct smqtt_now now)
{
    struct smq_sealed sealed = {.payload = payload};
    if (o != NULL) {
        sealed.content = (uint8_t)((o->text ? SMQ_CONTENT_TEXT : 0U) | (o->receipt ? SMQ_CONTENT_RECEIPT : 0U));
        sealed.has_time = sealed.has_expiry = o->expiry_s != 0;
        sealed.time = now.wall;
        sealed.expiry_s = o->expiry_s;
        sealed.content_type = present(o->content_type);
        sealed.response_topic = present(o->response_topic);
        sealed.correlation_data = present(o->correlation_data);
        sealed.logical_topic = present(o->logical_topic);
        sealed.padding = o->padding;
    }
    return sealed;
}

static bool topic_ok(smq_span topic)
{
    return smq_utf8_ok(topic, SMQ_TEXT_STANDARD) && smq_topic_name_ok(topic, 0);
}

static smqtt_err seal_check(smq_span topic, smq_span payload, const struct smqtt_seal_options *o)
{
    bool logical = o != NULL && o->logical_topic.len != 0;
    if (!topic_ok(topic) || (logical && !topic_ok(o->logical_topic))) {
        return SMQTT_E_BAD_TOPIC;
    }
    if (o != NULL && o->text && !smq_utf8_ok(payload, SMQ_TEXT_WELLFORMED)) {
        return SMQTT_E_BAD_TEXT;
    }
    return smqtt_seal_overhead(o) > SMQ_RECORD_TLVS_MAX ? SMQTT_E_TOO_LARGE : SMQTT_OK;
}

/** The next number; when the key was renewed, the notices' topic changes with it. */
static smqtt_err number_take(struct smqtt_sealer *s, struct smq_channel *session, uint64_t *seq)
{
    struct smq_saver saver = smq_sealer_saver(s, session);
    bool renewed = false;
    if (session->next < session->rekey) {
        return smq_channel_number(session, &saver, seq, &renewed);
    }
    uint8_t old[SMQ_KID_LEN];
    memcpy(old, session->send.kid, SMQ_KID_LEN);
    SMQ_TRY(smq_sealer_room(s));
    SMQ_TRY(smq_channel_number(session, &saver, seq, &renewed));
    const struct smqtt_identity *servers[] = {smq_sealer_server_of(s, session), s->config.server};
    bool same = memcmp(servers[0]->skid, servers[1]->skid, SMQTT_SKID_LEN) == 0;
    for (size_t i = 0; i < (same ? 1U : 2U); i++) {
        smq_sealer_push_topic(s, SMQTT_EV_SUBSCRIBE, servers[i], 'n', smq_span_of(session->send.kid, SMQ_KID_LEN));
        smq_sealer_push_topic(s, SMQTT_EV_UNSUBSCRIBE, servers[i], 'n', smq_span_of(old, SMQ_KID_LEN));
    }
    return SMQTT_OK;
}

/** Descriptors that end are what stops the use of stolen keys where no revocation comes through (protocol.md 3.1). */
static bool has_ended(const struct smqtt_identity *id, smqtt_ms wall)
{
    smqtt_ms end = smqtt_identity_not_after(id);
    return end != 0 && wall > end;
}

smqtt_err smqtt_seal(struct smqtt_sealer *s, struct smqtt_span topic, struct smqtt_span payload,
                     const struct smqtt_seal_options *options, struct smqtt_now now, uint8_t *out, size_t cap,
                     size_t *len, uint32_t *kid, uint64_t *seq)
{
    struct smq_channel *session = smq_sealer_target(s);
    if (session == NULL) {
        return SMQTT_E_STATE;
    }
    if (has_ended(smq_sealer_server_of(s, session), now.wall) && has_ended(s->config.server, now.wall)) {
        return SMQTT_E_EXPIRED;
    }
    SMQ_TRY(seal_check(topic, payload, options));
    struct smq_sealed sealed = sealed_of(payload, options, now);
    if (smq_record_size(&sealed, session->next) > cap) {
        return SMQTT_E_FULL;
    }
    bool receipt = options != NULL && options->receipt;
    if (receipt) {
        SMQ_TRY(unreceipted_room(s, session, now.mono));
    }
    uint64_t number = 0;
    SMQ_TRY(number_take(s, session, &number));
    SMQ_TRY(smq_record_seal(s->mem, &session->send, number, topic, &sealed, out, len));
    if (receipt) {
        unreceipted_add(s, session->send.kid, number, now.mono);
    }
    if (kid != NULL) {
        *kid = smq_kid_u32(session->send.kid);
    }
    if (seq != NULL) {
        *seq = number;
    }
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- receipts */

static void receipts_push(struct smqtt_sealer *s, const struct smq_channel *session, smq_span payload)
{
    struct smq_rd rd = smq_rd_of(payload);
    while (smq_rd_left(&rd) != 0) {
        struct smq_receipt receipt = {{0}, 0, 0, 0};
        smq_receipt_read(&rd, &receipt);
        unreceipted_take(s, &receipt);
        struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_RECEIPT, session->cid);
        entry->ev.kid = smq_kid_u32(receipt.kid);
        entry->ev.seq = receipt.seq;
        entry->ev.status = receipt.status;
        entry->ev.flag = receipt.flag;
    }
}

/** Opens a record of the server and marks its number; *pt gets what it held, in `scratch`. */
static smqtt_err record_take(struct smqtt_sealer *s, struct smq_channel *session, smq_span topic,
                             const struct smq_record *record, uint8_t *scratch, struct smqtt_now now)
{
    int index = smq_channel_find(session, record->kid, now.mono);
    if (index < 0) {
        s->counters.unknown_key++;
        return SMQTT_E_NO_KEY;
    }
    if (smq_window_judge(&session->windows[index], record->seq) != SMQ_WINDOW_NEW) {
        s->counters.replays++;
        return SMQTT_E_REPLAY;
    }
    smqtt_err err = smq_record_open(s->mem, &session->recv[index], record, topic, scratch);
    s->counters.bad_tag += err == SMQTT_E_BAD_TAG;
    SMQ_TRY(err);
    bool moved = false;
    uint64_t missing = 0;
    SMQ_TRY(smq_channel_commit(session, index, record->seq, now.mono, &moved, &missing));
    s->counters.gaps += missing;
    struct smq_saver saver = smq_sealer_saver(s, session);
    if (saver.save != NULL) {
        err = saver.save(saver.ctx, session);
    }
    if (err != SMQTT_OK) {
        smq_channel_roll_back(session);
    }
    return err;
}

static smqtt_err take_receipts(struct smqtt_sealer *s, struct smq_channel *session, smq_span topic, smq_span payload,
                               struct smqtt_now now)
{
    struct smq_record record;
    if (smq_record_read(payload, &record) != SMQTT_OK || (record.first & SMQ_RECORD_LOGICAL) != 0 ||
        record.box.len > SMQ_BODY_MAX) { /* 64 receipts are 913 bytes; memory is taken before it is known whose it is */
        s->counters.noise++;
        return SMQTT_OK;
    }
    SMQ_TRY(smq_evq_reserve(&s->q, SMQ_RECEIPTS_MAX, 0));
    uint8_t *scratch = smq_mem_alloc(s->mem, record.box.len);
    if (scratch == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = record_take(s, session, topic, &record, scratch, now);
    struct smq_sealed sealed;
    if (err == SMQTT_OK) {
        smq_span pt = smq_span_of(scratch, record.box.len - SMQ_TAG_LEN);
        bool ok = smq_sealed_read(pt, false, &sealed) == SMQTT_OK && (sealed.content & SMQ_CONTENT_RECEIPTS) != 0 &&
                  smq_receipts_ok(sealed.payload);
        s->counters.opened += ok;
        s->counters.noise += !ok;
        if (ok) {
            receipts_push(s, session, sealed.payload);
        }
    }
    smq_mem_free(s->mem, scratch);
    bool ours = err == SMQTT_E_NOMEM || err == SMQTT_E_IO || err == SMQTT_E_CRYPTO;
    return ours ? err : SMQTT_OK;
}

/* ---------------------------------------------------------------- notices */

/** Is this notice genuine, and about the key that we seal with now? *ts: of when it is. */
static smqtt_err read_notice(const struct smqtt_sealer *s, smq_span payload, smqtt_ms *ts)
{
    const struct smq_channel *target = smq_sealer_target(s);
    if (target == NULL) {
        return SMQTT_E_NO_KEY;
    }
    const struct smqtt_identity *server = smq_sealer_server_of(s, target);
    smqtt_err err = smq_notice_read(server, target->send.kid, payload, ts);
    if (err == SMQTT_E_BAD_SIGNATURE && server != s->config.server) {
        /* Who has come after it gets our records now, and has no key for them. */
        err = smq_notice_read(s->config.server, target->send.kid, payload, ts);
    }
    return err;
}

/** protocol.md 6.6: the server does not know the key any more. Natively that may be one whose acknowledgement is still
 * awaited: it was lost on the way, or the server has forgotten the handshake. */
static smqtt_err take_notice(struct smqtt_sealer *s, smq_span payload, struct smqtt_now now)
{
    SMQ_TRY(smq_sealer_room(s));
    smqtt_ms ts = 0;
    smqtt_err err = read_notice(s, payload, &ts);
    smqtt_ms skew = ts > now.wall ? ts - now.wall : now.wall - ts;
    if (err == SMQTT_E_NOMEM || err == SMQTT_E_CRYPTO) {
        return err;
    }
    if (err != SMQTT_OK || (s->config.skew_max_ms != UINT32_MAX && skew > NOTICE_SKEW_MS)) {
        s->counters.noise++;
        return SMQTT_OK;
    }
    const struct smq_channel *lost = smq_sealer_target(s);
    uint32_t kid = smq_kid_u32(lost->send.kid);
    uint8_t cid[SMQ_CID_LEN];
    memcpy(cid, lost->cid, SMQ_CID_LEN);
    if (lost == s->session) {
        smq_sealer_drop_session(s);
    } else {
        smq_sealer_drop_handshake(s);
    }
    smq_sealer_push(s, SMQTT_EV_LOST, cid)->ev.kid = kid;
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- what comes */

/** Is this topic the one on which its server speaks to this session? */
static bool is_of(const struct smqtt_sealer *s, smq_span topic, const struct smq_channel *session)
{
    char own[SMQ_OWN_TOPIC_MAX];
    if (session == NULL) {
        return false;
    }
    const struct smqtt_identity *server = smq_sealer_server_of(s, session);
    size_t len = smq_own_topic(s->config.prefix, server->skid, 's', smq_span_of(session->cid, SMQ_CID_LEN), own);
    return smq_span_equal(topic, smq_span_of(own, len));
}

/** In the tunnel DETECT comes on the topic of the cid that it names. */
static smqtt_err take_tunnelled(struct smqtt_sealer *s, smq_span topic, smq_span payload, struct smqtt_now now)
{
    struct smq_relay_head head;
    char own[SMQ_OWN_TOPIC_MAX];
    const struct smqtt_identity *servers[] = {s->hs_server, s->session_server};
    bool read = payload.len != 0 && smq_relay_head_read(payload.data[0], smq_span_from(payload, 1), &head) == SMQTT_OK;
    for (size_t i = 0; read && i < SMQ_ARRAY_LEN(servers); i++) {
        const smq_span cid = smq_span_of(head.cid, SMQ_CID_LEN);
        size_t len = servers[i] != NULL ? smq_own_topic(s->config.prefix, servers[i]->skid, 's', cid, own) : 0;
        if (len != 0 && smq_span_equal(topic, smq_span_of(own, len))) {
            return smqtt_sealer_detect(s, payload.data[0], smq_span_from(payload, 1), now);
        }
    }
    s->counters.noise++;
    return SMQTT_OK;
}

/** Does one of our servers speak to its clients on this topic? That in force, those before it with which there still is
 * something, and the last one, of which messages may be under way. */
static bool is_servers(const struct smqtt_sealer *s, smq_span topic, char branch)
{
    char own[SMQ_OWN_TOPIC_MAX];
    const struct smqtt_identity *servers[] = {s->config.server, s->hs_server, s->session_server, s->prior};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(servers); i++) {
        size_t len = servers[i] != NULL
                         ? smq_own_topic(s->config.prefix, servers[i]->skid, branch, smq_span_of(NULL, 0), own)
                         : 0;
        if (len != 0 && smq_span_starts(topic, smq_span_of(own, len)) && (branch != 'd' || topic.len == len)) {
            return true;
        }
    }
    return false;
}

/** Is it where the server in force publishes its descriptor? */
static bool is_descriptor(const struct smqtt_sealer *s, smq_span topic)
{
    char own[SMQ_OWN_TOPIC_MAX];
    size_t len = smq_own_topic(s->config.prefix, s->config.server->skid, 'd', smq_span_of(NULL, 0), own);
    return smq_span_equal(topic, smq_span_of(own, len));
}

smqtt_err smqtt_sealer_message(struct smqtt_sealer *s, struct smqtt_span topic, struct smqtt_span payload, bool *taken,
                               struct smqtt_now now)
{
    bool to_client = is_servers(s, topic, 's');
    bool notice = is_servers(s, topic, 'n');
    *taken = to_client || notice || is_servers(s, topic, 'd');
    if (!*taken) {
        return SMQTT_OK;
    }
    if (notice) {
        return take_notice(s, payload, now);
    }
    if (is_descriptor(s, topic)) {
        return smq_sealer_take_descriptor(s, payload, now);
    }
    if (to_client && s->config.tunnel && payload.len != 0 && !smq_record_is(payload)) {
        return take_tunnelled(s, topic, payload, now);
    }
    if (is_of(s, topic, s->session)) {
        return take_receipts(s, s->session, topic, payload, now);
    }
    if (is_of(s, topic, s->pending)) {
        return take_receipts(s, s->pending, topic, payload, now);
    }
    s->counters.noise++;
    return SMQTT_OK;
}
