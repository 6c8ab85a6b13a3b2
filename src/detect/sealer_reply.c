/* SPDX-License-Identifier: Apache-2.0 */
/* Sealer: "Ver. and report": step 2 comes, step 3 goes, acknowledgement or close comes (protocol.md 4.3 to 4.5). */
#include "base/mem.h"
#include "detect/sealer.h"

/** Failures of ours, which are told, as against those of the bytes, which are noise. */
static bool is_ours(smqtt_err err)
{
    return err == SMQTT_E_NOMEM || err == SMQTT_E_CRYPTO || err == SMQTT_E_RNG || err == SMQTT_E_IO ||
           err == SMQTT_E_FULL || err == SMQTT_E_BUG;
}

static smqtt_err noise(struct smqtt_sealer *s, smqtt_err err)
{
    s->counters.noise += !is_ours(err);
    return is_ours(err) ? err : SMQTT_OK;
}

static uint32_t rtt_ms(const struct smqtt_sealer *s, struct smqtt_now now)
{
    smqtt_ms rtt = now.mono > s->sent_at ? now.mono - s->sent_at : 0;
    return rtt < UINT32_MAX ? (uint32_t)rtt : UINT32_MAX;
}

/** protocol.md 4.4: what C has to say to an authentic step 2. */
static smqtt_err judge(const struct smqtt_sealer *s, const struct smq_reply *reply, uint32_t rtt)
{
    if (reply->status != SMQTT_STATUS_OK) {
        return smq_status_err(reply->status);
    }
    if (reply->flag != 1) {
        return SMQTT_E_MOJIBAKE;
    }
    if (!smq_ct_equal(reply->hm, s->hm, SMQ_HASH_LEN)) {
        return SMQTT_E_HASH_MISMATCH;
    }
    smqtt_ms skew = reply->ts2 > s->ts1 ? reply->ts2 - s->ts1 : s->ts1 - reply->ts2;
    bool late = (s->config.skew_max_ms != UINT32_MAX && skew > s->config.skew_max_ms) || rtt > s->config.rtt_max_ms;
    return late ? SMQTT_E_DELAY : SMQTT_OK;
}

/** What is made of a step 2 before anything changes. */
struct answer {
    struct smq_hs hs;
    struct smq_reply reply;
    struct smq_verdict verdict;
    struct smq_master master;
    uint8_t body[SMQ_STEP3_MAX];
    size_t len;
    smqtt_err judgement;
    struct smq_channel *session;
};

static smqtt_err answer_make(struct smqtt_sealer *s, uint8_t header, smq_span body, uint8_t *scratch,
                             struct smqtt_now now, struct answer *a)
{
    a->hs = s->hs;
    SMQ_TRY(smq_step2_read(s->hs_server, header, body, scratch, &a->hs, &a->reply));
    a->verdict.rtt_ms = rtt_ms(s, now);
    a->verdict.ts3 = now.wall;
    a->judgement = judge(s, &a->reply, a->verdict.rtt_ms);
    a->verdict.verdict = a->judgement == SMQTT_OK;
    SMQ_TRY(smq_step3_write(s->config.identity, &a->verdict, &a->hs, body, a->body, &a->len, &a->master));
    if (a->judgement != SMQTT_OK) {
        return SMQTT_OK;
    }
    return smq_channel_new(s->mem, SMQ_SIDE_CLIENT, a->hs.suite, &a->reply, a->hs.cid, &a->master, &a->session);
}

static void steps_push(struct smqtt_sealer *s, uint8_t header2, size_t size2, const struct answer *a)
{
    uint8_t header3 = (uint8_t)(SMQ_HDR_STEP3 | (a->verdict.verdict != 0 ? SMQ_HDR_FLAG : 0));
    struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_STEP, a->hs.cid);
    entry->ev.header = header2;
    entry->ev.status = a->reply.status;
    entry->ev.flag = a->reply.flag;
    entry->ev.step = (struct smqtt_step){.header = header2,
                                         .size = (uint32_t)size2,
                                         .ts1 = s->ts1,
                                         .ts2 = a->reply.ts2,
                                         .rtt_ms = a->verdict.rtt_ms,
                                         .flag = a->reply.flag,
                                         .status = a->reply.status};
    memcpy(entry->ev.step.hash, a->reply.hm, SMQ_HASH_LEN);
    memcpy(entry->ev.session_id, a->reply.session_id, SMQ_SESSION_ID_LEN);
    struct smqtt_step step = entry->ev.step;
    smq_sealer_push_detect(s, header3, a->hs.cid, smq_span_of(a->body, a->len));
    entry = smq_sealer_push(s, SMQTT_EV_STEP, a->hs.cid);
    entry->ev.header = header3;
    entry->ev.step = step;
    entry->ev.step.header = header3;
    entry->ev.step.sent = true;
    entry->ev.step.size = (uint32_t)a->len;
    entry->ev.step.ts3 = a->verdict.ts3;
    entry->ev.step.verdict = a->verdict.verdict;
}

static void open_push(struct smqtt_sealer *s, const struct smq_channel *session, bool confirmed)
{
    struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_OPEN, session->cid);
    entry->ev.confirmed = confirmed;
    entry->ev.kid = smq_kid_u32(session->send.kid);
    memcpy(entry->ev.session_id, session->session_id, SMQ_SESSION_ID_LEN);
}

static void confirm(struct smqtt_sealer *s, const struct answer *a, struct smqtt_now now)
{
    s->hs = a->hs;
    smq_wipe(s->hs.hs, sizeof(s->hs.hs));
    memcpy(s->step3, a->body, a->len);
    s->step3_len = a->len;
    s->pending = a->session;
    s->state = SMQ_SEALER_WAIT_ACK;
    s->hint = 0;
    s->retry_at = SMQTT_NEVER;
    s->resend_at = now.mono + SMQ_SEALER_RESEND_MS;
    s->give_up_at = now.mono + s->config.wait_ms;
    if (s->session == NULL && !s->config.tunnel) {
        open_push(s, s->pending, false);
    }
}

static smqtt_err take_step2(struct smqtt_sealer *s, uint8_t header, smq_span body, struct smqtt_now now)
{
    if (body.len > SMQ_BODY_MAX) { /* before memory is taken: in the tunnel a PUBLISH may have any length */
        return noise(s, SMQTT_E_MALFORMED);
    }
    SMQ_TRY(smq_sealer_room(s));
    uint8_t *scratch = smq_mem_alloc(s->mem, body.len);
    if (scratch == NULL) {
        return SMQTT_E_NOMEM;
    }
    struct answer a;
    memset(&a, 0, sizeof(a));
    smqtt_err err = answer_make(s, header, body, scratch, now, &a);
    smq_wipe(scratch, body.len);
    smq_mem_free(s->mem, scratch);
    if (err == SMQTT_OK) {
        if (a.judgement == SMQTT_OK) {
            smq_sealer_push_topic(s, SMQTT_EV_SUBSCRIBE, s->hs_server, 'n',
                                  smq_span_of(a.session->send.kid, SMQ_KID_LEN));
        }
        steps_push(s, header, body.len, &a);
        if (a.judgement == SMQTT_OK) {
            confirm(s, &a, now);
        } else {
            s->counters.handshakes_refused++;
            smq_sealer_drop_handshake(s);
            smq_sealer_push_closed(s, a.hs.cid, a.judgement, a.reply.status);
        }
    }
    smq_wipe(&a, sizeof(a));
    return noise(s, err);
}

/* ---------------------------------------------------------------- acknowledgement and close */

static void ending_push(struct smqtt_sealer *s, const uint8_t *cid, uint8_t header, size_t size, uint8_t status,
                        smqtt_ms ts)
{
    struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_STEP, cid);
    entry->ev.header = header;
    entry->ev.status = status;
    entry->ev.step =
        (struct smqtt_step){.header = header, .size = (uint32_t)size, .ts1 = s->ts1, .ts2 = ts, .status = status};
}

/** The new session takes the place of the one before. */
static void acknowledged(struct smqtt_sealer *s)
{
    uint8_t old[SMQTT_SKID_LEN];
    memcpy(old, s->hs_server->skid, sizeof(old));
    if (s->session != NULL) {
        memcpy(old, s->session_server->skid, sizeof(old));
        smq_sealer_push_session(s, SMQTT_EV_UNSUBSCRIBE, s->session);
        smq_channel_free(s->session);
        s->n_unreceipted = 0;
    }
    smq_sealer_set_server(&s->session_server, s->hs_server);
    s->session = s->pending;
    s->pending = NULL;
    s->state = SMQ_SEALER_IDLE;
    s->give_up_at = s->resend_at = s->retry_at = SMQTT_NEVER;
    smq_wipe(&s->hs, sizeof(s->hs));
    smq_wipe(&s->session->ack, sizeof(s->session->ack));
    /* From here on numbers are reserved; if the store fails now, the next record fails with it. */
    s->session->limit = s->session->next;
    struct smq_saver saver = smq_sealer_saver(s, s->session);
    if (saver.save != NULL) {
        (void)!saver.save(saver.ctx, s->session);
    }
    smq_sealer_push_watch(s, SMQTT_EV_SUBSCRIBE);
    if (memcmp(old, s->session_server->skid, sizeof(old)) != 0) {
        smq_sealer_forget_stored(s, old);
    }
    s->counters.handshakes_opened++;
    open_push(s, s->session, true);
}

static smqtt_err take_ack(struct smqtt_sealer *s, uint8_t header, smq_span body)
{
    const struct smq_channel *p = s->pending;
    uint8_t status = 0;
    smqtt_ms ts = 0;
    SMQ_TRY(smq_sealer_room(s));
    const struct smq_once *once = header == SMQ_HDR_ACK ? &p->ack : &p->close;
    smqtt_err err = smq_ending_read(p->suite, once, header, p->cid, p->th3, body, &status, &ts);
    if (err != SMQTT_OK) {
        return noise(s, err);
    }
    uint8_t cid[SMQ_CID_LEN];
    memcpy(cid, p->cid, SMQ_CID_LEN);
    ending_push(s, cid, header, body.len, status, ts);
    if (header == SMQ_HDR_ACK && status == SMQTT_STATUS_OK) {
        acknowledged(s);
    } else {
        s->counters.handshakes_refused++;
        smq_sealer_drop_handshake(s);
        smq_sealer_push_closed(s, cid, smq_status_err(status), status);
    }
    return SMQTT_OK;
}

static smqtt_err take_close(struct smqtt_sealer *s, smq_span body)
{
    const struct smq_channel *p = s->session;
    uint8_t status = 0;
    smqtt_ms ts = 0;
    SMQ_TRY(smq_sealer_room(s));
    smqtt_err err = smq_ending_read(p->suite, &p->close, SMQ_HDR_CLOSE, p->cid, p->th3, body, &status, &ts);
    if (err != SMQTT_OK) {
        return noise(s, err);
    }
    uint8_t cid[SMQ_CID_LEN];
    memcpy(cid, p->cid, SMQ_CID_LEN);
    ending_push(s, cid, SMQ_HDR_CLOSE, body.len, status, ts);
    smq_sealer_drop_session(s);
    smq_sealer_push_closed(s, cid, smq_status_err(status), status);
    return SMQTT_OK;
}

/** Is this body, of an acknowledgement or close, about this session? */
static bool is_about(const struct smq_channel *session, smq_span body)
{
    return session != NULL && body.len > SMQ_CID_LEN && memcmp(body.data + 1, session->cid, SMQ_CID_LEN) == 0;
}

smqtt_err smqtt_sealer_detect(struct smqtt_sealer *s, uint8_t header, struct smqtt_span body, struct smqtt_now now)
{
    if (header == SMQ_HDR_RETRY) {
        return smq_sealer_take_retry(s, body, now);
    }
    bool step2 = (header & ~(unsigned)SMQ_HDR_FLAG) == SMQ_HDR_STEP2;
    if (step2 && s->state == SMQ_SEALER_WAIT2) {
        return take_step2(s, header, body, now);
    }
    bool ending = header == SMQ_HDR_ACK || header == SMQ_HDR_CLOSE;
    if (ending && is_about(s->pending, body)) {
        return take_ack(s, header, body);
    }
    if (header == SMQ_HDR_CLOSE && is_about(s->session, body)) {
        return take_close(s, body);
    }
    s->counters.noise++;
    return SMQTT_OK;
}
