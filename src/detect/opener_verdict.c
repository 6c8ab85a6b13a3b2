/* SPDX-License-Identifier: Apache-2.0 */
/* Opener: step 3 comes, acknowledgement or close goes (protocol.md 4.4, 4.5). */
#include "base/mem.h"
#include "detect/opener.h"

/** What is made of a step 3 before anything changes. */
struct outcome {
    struct smq_verdict verdict;
    struct smq_master master;
    struct smq_peer *peer;
    smqtt_ms ts;
};

static smqtt_err step3_hash(uint8_t header, smq_span body, uint8_t out[SMQ_HASH_LEN])
{
    const smq_span parts[] = {smq_span_of(&header, 1), body};
    return smq_schedule_hash(parts, SMQ_ARRAY_LEN(parts), out);
}

/** A session for a step 3 that verified; it is in no table yet. */
static smqtt_err peer_make(struct smqtt_opener *o, const struct smq_waiting *w, uint8_t header, smq_span body,
                           struct smqtt_now now, struct outcome *out)
{
    struct smq_peer *peer = smq_mem_zalloc(o->mem, 1, sizeof(*peer));
    if (peer == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_list_init(&peer->node);
    smq_list_init(&peer->of_owner);
    smq_list_init(&peer->dirty);
    smq_list_init(&peer->waiting);
    peer->identity = smqtt_identity_ref(w->identity);
    peer->last_wall = now.wall;
    peer->idle_at = now.mono + o->config.idle_max_s * (smqtt_ms)1000;
    smqtt_err err =
        smq_channel_new(o->mem, SMQ_SIDE_SERVER, w->hs.suite, &w->reply, w->hs.cid, &out->master, &peer->session);
    if (err == SMQTT_OK) {
        err = step3_hash(header, body, peer->step3_hash);
    }
    if (err == SMQTT_OK) {
        const struct smq_channel *s = peer->session;
        err = smq_ending_write(s->suite, &s->ack, SMQ_HDR_ACK, s->cid, s->th3, SMQTT_STATUS_OK, now.wall, peer->ack);
    }
    if (err != SMQTT_OK) {
        smq_peer_free(o, peer);
        return err;
    }
    smq_wipe(&peer->session->ack, sizeof(peer->session->ack));
    out->peer = peer;
    return SMQTT_OK;
}

/** Pushes an authenticated close of a session, and CLOSED with `why`. */
static smqtt_err close_push_why(struct smqtt_opener *o, const struct smq_channel *s, uint8_t status,
                                struct smqtt_now now, smqtt_err why, struct smq_evq_entry **closed)
{
    uint8_t body[SMQ_ENDING_LEN];
    SMQ_TRY(smq_ending_write(s->suite, &s->close, SMQ_HDR_CLOSE, s->cid, s->th3, status, now.wall, body));
    smq_opener_push_detect(o, SMQ_HDR_CLOSE, s->cid, smq_span_of(body, sizeof(body)));
    const struct smqtt_step step = {
        .header = SMQ_HDR_CLOSE, .sent = true, .size = SMQ_ENDING_LEN, .ts2 = now.wall, .status = status};
    smq_opener_push_step(o, s->cid, &step);
    *closed = smq_opener_push_closed(o, s->cid, why, status);
    return SMQTT_OK;
}

/** The same, where the status says it all. */
static smqtt_err close_push(struct smqtt_opener *o, const struct smq_channel *s, uint8_t status, struct smqtt_now now)
{
    struct smq_evq_entry *closed = NULL;
    return close_push_why(o, s, status, now, smq_status_err(status), &closed);
}

bool smq_opener_end_revoked(struct smqtt_opener *o)
{
    const struct smq_list *first = smq_list_first(&o->revoked);
    struct smq_peer *peer = first != NULL ? SMQ_CONTAINER_OF(first, struct smq_peer, node) : NULL;
    struct smq_evq_entry *closed = NULL;
    if (peer == NULL || smq_opener_room(o) != SMQTT_OK ||
        close_push_why(o, peer->session, SMQTT_STATUS_NOT_AUTHORIZED, o->revoked_at, SMQTT_E_REVOKED, &closed) !=
            SMQTT_OK) {
        return false;
    }
    closed->ev.peer = peer->identity;
    closed->ev.peer_name = peer->identity->name;
    smq_opener_own(closed, peer);
    smq_peer_end(o, peer, true);
    return true;
}

static void step3_push(struct smqtt_opener *o, const struct smq_waiting *w, uint8_t header, size_t size,
                       const struct smq_verdict *verdict)
{
    const struct smqtt_step step = {.header = header,
                                    .size = (uint32_t)size,
                                    .ts1 = w->ts1,
                                    .ts2 = w->reply.ts2,
                                    .ts3 = verdict->ts3,
                                    .rtt_ms = verdict->rtt_ms,
                                    .flag = w->reply.flag,
                                    .verdict = verdict->verdict,
                                    .status = w->reply.status};
    smq_opener_push_step(o, w->hs.cid, &step);
}

/** The client did not confirm, or confirmed what it should not have. */
static void refused(struct smqtt_opener *o, struct smq_waiting *w)
{
    uint8_t status = w->reply.status;
    smq_opener_journal(o, w, smq_span_of(NULL, 0), status, 0);
    smq_opener_push_closed(o, w->hs.cid, status != SMQTT_STATUS_OK ? smq_status_err(status) : SMQTT_E_REFUSED, status);
    o->counters.handshakes_refused++;
    smq_opener_waiting_free(o, w);
}

/** Room for one more session: another one ends. SMQTT_E_BUSY. */
static smqtt_err sessions_room(struct smqtt_opener *o, bool named, struct smqtt_now now)
{
    if (smq_map_count(&o->sessions) < o->config.sessions_max) {
        return SMQTT_OK;
    }
    struct smq_peer *peer = smq_peer_to_end(o, named);
    if (peer == NULL) {
        return SMQTT_E_BUSY;
    }
    SMQ_TRY(close_push(o, peer->session, SMQTT_STATUS_CLOSED, now));
    smq_peer_end(o, peer, true);
    return SMQTT_OK;
}

/** The session becomes durable and known; on failure it is neither. */
static smqtt_err peer_open(struct smqtt_opener *o, struct smq_peer *peer)
{
    SMQ_TRY(smq_peer_enter(o, peer));
    struct smq_peer_ctx ctx = {o, peer};
    const struct smq_saver saver = smq_peer_saver(&ctx);
    return saver.save != NULL ? saver.save(saver.ctx, peer->session) : SMQTT_OK;
}

static void opened_push(struct smqtt_opener *o, struct smq_peer *peer, struct smqtt_now now)
{
    const struct smq_channel *s = peer->session;
    smq_opener_push_detect(o, SMQ_HDR_ACK, s->cid, smq_span_of(peer->ack, SMQ_ENDING_LEN));
    const struct smqtt_step step = {.header = SMQ_HDR_ACK, .sent = true, .size = SMQ_ENDING_LEN, .ts2 = now.wall};
    smq_opener_push_step(o, s->cid, &step);
    struct smq_evq_entry *entry = smq_opener_push(o, SMQTT_EV_OPEN, s->cid);
    entry->ev.confirmed = true;
    entry->ev.kid = smq_kid_u32(s->recv[0].kid);
    entry->ev.protection = peer->identity != NULL ? SMQTT_PEER : SMQTT_PEER_ANON;
    smq_opener_own(entry, peer);
}

/** Records of it came before step 3, and its client was told that there is no such session: it will begin another one
 * and seal again what it sent, so that this one must not take anything. */
static void too_late(struct smqtt_opener *o, struct smq_waiting *w, struct smq_peer *peer, struct smqtt_now now)
{
    smq_opener_notice(o, peer->session->recv[0].kid, now);
    smq_opener_push_closed(o, w->hs.cid, smq_status_err(SMQTT_STATUS_CLOSED), SMQTT_STATUS_CLOSED);
    smq_opener_journal(o, w, smq_span_of(NULL, 0), SMQTT_STATUS_CLOSED, 0xFE);
    o->counters.handshakes_refused++;
    smq_peer_free(o, peer);
    smq_opener_waiting_free(o, w);
}

/** A confirmed handshake becomes a session, or is closed if its client, now proven, may not. */
static smqtt_err confirmed(struct smqtt_opener *o, struct smq_waiting *w, uint8_t header, smq_span body,
                           struct smqtt_now now, struct outcome *out)
{
    SMQ_TRY(peer_make(o, w, header, body, now, out));
    struct smq_peer *peer = out->peer;
    if (smq_opener_has_noticed(o, peer->session->recv[0].kid)) {
        too_late(o, w, peer, now);
        return SMQTT_OK;
    }
    bool allowed = smq_opener_welcomes(o, w->identity, smq_span_of(w->strings + w->client_id_len, w->topic_len));
    uint8_t status = allowed ? SMQTT_STATUS_OK : SMQTT_STATUS_NOT_AUTHORIZED;
    smqtt_err err = allowed ? sessions_room(o, w->identity != NULL, now) : SMQTT_OK;
    if (err == SMQTT_E_BUSY) {
        status = SMQTT_STATUS_CLOSED;
        err = SMQTT_OK;
    }
    if (err == SMQTT_OK && status == SMQTT_STATUS_OK) {
        err = peer_open(o, peer);
        if (err != SMQTT_OK && smq_list_is_linked(&peer->node)) {
            smq_peer_end(o, peer, true);
            return err;
        }
    } else if (err == SMQTT_OK) {
        step3_push(o, w, header, body.len, &out->verdict);
        err = close_push(o, peer->session, status, now);
        o->counters.handshakes_refused++;
        smq_opener_journal(o, w, smq_span_of(NULL, 0), status, out->verdict.verdict);
        smq_peer_free(o, peer);
        smq_opener_waiting_free(o, w);
        return err;
    }
    if (err != SMQTT_OK) {
        smq_peer_free(o, peer);
        return err;
    }
    step3_push(o, w, header, body.len, &out->verdict);
    opened_push(o, peer, now);
    o->counters.handshakes_opened++;
    smq_opener_journal(o, w, smq_span_of(NULL, 0), SMQTT_STATUS_OK, out->verdict.verdict);
    smq_opener_waiting_free(o, w);
    return SMQTT_OK;
}

/** protocol.md 4.5: the same step 3 again gets the stored acknowledgement. */
static smqtt_err repeat(struct smqtt_opener *o, const struct smq_peer *peer, uint8_t header, smq_span body)
{
    uint8_t hash[SMQ_HASH_LEN];
    SMQ_TRY(step3_hash(header, body, hash));
    if (memcmp(hash, peer->step3_hash, SMQ_HASH_LEN) != 0) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    SMQ_TRY(smq_opener_room(o));
    smq_opener_push_detect(o, SMQ_HDR_ACK, peer->session->cid, smq_span_of(peer->ack, SMQ_ENDING_LEN));
    return SMQTT_OK;
}

static smqtt_err take_step3(struct smqtt_opener *o, uint8_t header, smq_span body, struct smqtt_now now)
{
    struct smq_relay_head head;
    if (body.len > SMQ_BODY_MAX || smq_relay_head_read(header, body, &head) != SMQTT_OK) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    const struct smq_peer *peer = smq_map_get(&o->sessions, smq_span_of(head.cid, SMQ_CID_LEN));
    if (peer != NULL) {
        return repeat(o, peer, header, body);
    }
    struct smq_waiting *w = smq_map_get(&o->waiting, smq_span_of(head.cid, SMQ_CID_LEN));
    if (w == NULL) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    SMQ_TRY(smq_opener_room(o));
    struct outcome out;
    memset(&out, 0, sizeof(out));
    smqtt_err err = smq_step3_read(w->identity, header, body, &w->hs, smq_span_of(w->body2, w->body2_len), o->pt,
                                   &out.verdict, &out.master);
    if (err != SMQTT_OK) {
        o->counters.noise += !smq_opener_is_ours(err);
        return smq_opener_is_ours(err) ? err : SMQTT_OK;
    }
    if (out.verdict.verdict != 1 || w->reply.status != SMQTT_STATUS_OK) {
        step3_push(o, w, header, body.len, &out.verdict);
        refused(o, w);
    } else {
        err = confirmed(o, w, header, body, now, &out);
    }
    smq_wipe(&out, sizeof(out));
    return err;
}

smqtt_err smqtt_opener_detect(struct smqtt_opener *o, uint8_t header, struct smqtt_span body, struct smqtt_now now)
{
    smq_opener_release_held(o);
    if (header == (o->config.tunnel ? SMQ_HDR_STEP0 : SMQ_HDR_STEP1)) {
        return smq_opener_take_hello(o, body, now);
    }
    if ((header & ~(unsigned)SMQ_HDR_FLAG) == SMQ_HDR_STEP3) {
        return take_step3(o, header, body, now);
    }
    o->counters.noise++;
    return SMQTT_OK;
}

smqtt_err smqtt_opener_close(struct smqtt_opener *o, const uint8_t cid[8], enum smqtt_status status,
                             struct smqtt_now now)
{
    smq_opener_release_held(o);
    struct smq_peer *peer = smq_map_get(&o->sessions, smq_span_of(cid, SMQ_CID_LEN));
    if (peer == NULL) {
        return SMQTT_E_NO_KEY;
    }
    SMQ_TRY(smq_opener_room(o));
    SMQ_TRY(close_push(o, peer->session, (uint8_t)status, now));
    smq_peer_end(o, peer, true);
    return SMQTT_OK;
}
