/* SPDX-License-Identifier: Apache-2.0 */
/* Sealer: step 0, RETRY, timers (protocol.md 4.1, 4.2, 5). */
#include "base/mem.h"
#include "base/utf8.h"
#include "codec/topic.h"
#include "detect/sealer.h"

/* ---------------------------------------------------------------- an attempt */

static void step_event(struct smqtt_sealer *s)
{
    struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_STEP, s->hs.cid);
    entry->ev.header = SMQ_HDR_STEP0;
    entry->ev.step = (struct smqtt_step){
        .header = SMQ_HDR_STEP0, .sent = true, .size = (uint32_t)(s->packet_len - 1), .ts1 = s->ts1};
    memcpy(entry->ev.step.hash, s->hm, SMQ_HASH_LEN);
}

/** Fresh secrets of an attempt; false when there is no randomness. */
struct fresh {
    uint8_t cid[SMQ_CID_LEN];
    uint8_t sk_e1[SMQ_SK_LEN];
    uint8_t sk_x[SMQ_SK_LEN];
};

static smqtt_err fresh_draw(struct smqtt_sealer *s, struct fresh *out)
{
    const struct smqtt_rng *rng = &s->config.rng;
    const struct smq_suite *suite = s->config.server->suite;
    if (!rng->fill(rng->ctx, out->cid, SMQ_CID_LEN)) {
        return SMQTT_E_RNG;
    }
    SMQ_TRY(smq_suite_keygen(smq_schedule_lib(), suite, rng, out->sk_e1));
    return smq_suite_keygen(smq_schedule_lib(), suite, rng, out->sk_x);
}

/** Writes step 0 into `packet`; hs gets its keys. */
static smqtt_err step0_make(struct smqtt_sealer *s, smq_span cookie, smqtt_ms ts1, uint8_t *packet, size_t *len,
                            struct smq_hs *hs)
{
    struct fresh fresh = {{0}, {0}, {0}};
    smqtt_err err = fresh_draw(s, &fresh);
    if (err == SMQTT_OK) {
        const struct smq_step0_plan plan = {.server = s->config.server,
                                            .identity = s->config.identity,
                                            .lookup = s->config.lookup_credential,
                                            .text = s->text,
                                            .client_id = s->config.client_id,
                                            .topic = smq_span_of(s->topic, s->topic_len),
                                            .m = smq_span_of(s->m, s->m_len),
                                            .cookie = cookie,
                                            .psk = s->config.psk,
                                            .psk_id = s->config.psk_id,
                                            .ts1 = ts1,
                                            .cid = fresh.cid,
                                            .sk_e1 = fresh.sk_e1,
                                            .sk_x = fresh.sk_x};
        err = smq_step0_write(&plan, packet, len, hs);
    }
    smq_wipe(&fresh, sizeof(fresh));
    return err;
}

smqtt_err smq_sealer_attempt(struct smqtt_sealer *s, smq_span cookie, struct smqtt_now now)
{
    SMQ_TRY(smq_sealer_room(s));
    uint8_t *packet = smq_mem_alloc(s->mem, SMQ_PACKET_MAX);
    if (packet == NULL) {
        return SMQTT_E_NOMEM;
    }
    size_t len = 0;
    struct smq_hs hs = {0};
    smqtt_err err = step0_make(s, cookie, now.wall, packet, &len, &hs);
    if (err != SMQTT_OK) {
        smq_mem_free(s->mem, packet);
        return err;
    }
    if (s->state != SMQ_SEALER_IDLE) {
        smq_sealer_push_topic(s, SMQTT_EV_UNSUBSCRIBE, s->hs_server, 's', smq_span_of(s->hs.cid, SMQ_CID_LEN));
    }
    smq_mem_free(s->mem, s->packet);
    s->packet = packet;
    s->packet_len = len;
    s->hs = hs;
    smq_wipe(&hs, sizeof(hs));
    smq_sealer_set_server(&s->hs_server, s->config.server);
    s->ts1 = now.wall;
    s->sent_at = now.mono;
    s->retry_at = SMQTT_NEVER;
    s->resend_at = s->config.tunnel ? now.mono + SMQ_SEALER_RESEND_MS : SMQTT_NEVER;
    s->state = SMQ_SEALER_WAIT2;
    smq_sealer_push_topic(s, SMQTT_EV_SUBSCRIBE, s->hs_server, 's', smq_span_of(s->hs.cid, SMQ_CID_LEN));
    smq_sealer_push_detect(s, SMQ_HDR_STEP0, s->hs.cid, smq_span_of(s->packet + 1, s->packet_len - 1));
    step_event(s);
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- start */

/** Of text as much as there is room for beside this topic and our credential (protocol.md 4.1). */
static smq_span m_shorten(const struct smqtt_sealer *s, smq_span topic, smq_span m)
{
    const struct smq_step0_plan plan = {.identity = s->config.identity,
                                        .lookup = s->config.lookup_credential,
                                        .client_id = s->config.client_id,
                                        .topic = topic,
                                        .psk = s->config.psk,
                                        .psk_id = s->config.psk_id};
    return smq_span_of(m.data, smq_utf8_cut(m, smq_step0_m_room(&plan)));
}

/** Keeps topic and M for this attempt and those after it. */
static smqtt_err subject_keep(struct smqtt_sealer *s, smq_span topic, smq_span message, bool text)
{
    uint8_t binary[SMQ_M_BINARY];
    smq_span m;
    uint8_t hm[SMQ_HASH_LEN];
    SMQ_TRY(smq_step_m(message, text, binary, &m));
    m = text ? m_shorten(s, topic, m) : m;
    SMQ_TRY(smq_schedule_hash(&m, 1, hm));
    uint8_t *topic_copy = smq_mem_dup(s->mem, topic);
    uint8_t *m_copy = smq_mem_dup(s->mem, m);
    if (topic_copy == NULL || m_copy == NULL) {
        smq_mem_free(s->mem, topic_copy);
        smq_mem_free(s->mem, m_copy);
        return SMQTT_E_NOMEM;
    }
    if (s->m != NULL) {
        smq_wipe(s->m, s->m_len);
    }
    smq_mem_free(s->mem, s->m);
    smq_mem_free(s->mem, s->topic);
    s->topic = topic_copy;
    s->topic_len = topic.len;
    s->m = m_copy;
    s->m_len = m.len;
    s->text = text;
    memcpy(s->hm, hm, SMQ_HASH_LEN);
    return SMQTT_OK;
}

smqtt_err smqtt_sealer_start(struct smqtt_sealer *s, struct smqtt_span topic, struct smqtt_span message, bool text,
                             struct smqtt_now now)
{
    if (s->state != SMQ_SEALER_IDLE) {
        return SMQTT_E_STATE;
    }
    if (!smq_utf8_ok(topic, SMQ_TEXT_STANDARD) || !smq_topic_name_ok(topic, 0)) {
        return SMQTT_E_BAD_TOPIC;
    }
    if (text && !smq_utf8_ok(message, SMQ_TEXT_WELLFORMED)) {
        return SMQTT_E_BAD_TEXT;
    }
    if (s->revoked) {
        return SMQTT_E_REVOKED;
    }
    if (!smqtt_identity_valid_at(s->config.server, now.wall)) {
        return SMQTT_E_EXPIRED;
    }
    SMQ_TRY(subject_keep(s, topic, message, text));
    SMQ_TRY(smq_sealer_attempt(s, smq_span_of(NULL, 0), now));
    s->hint = 0;
    s->cookies = 0;
    s->give_up_at = now.mono + s->config.wait_ms;
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- RETRY */

smqtt_err smq_sealer_take_retry(struct smqtt_sealer *s, smq_span body, struct smqtt_now now)
{
    struct smq_retry retry;
    if (smq_retry_read(body, &retry) != SMQTT_OK || s->state == SMQ_SEALER_IDLE || retry.code < SMQ_STATUS_HINT ||
        retry.suite_id != s->hs.suite->id || memcmp(retry.cid, s->hs.cid, SMQ_CID_LEN) != 0) {
        s->counters.noise++;
        return SMQTT_OK;
    }
    if (retry.code == SMQTT_STATUS_COOKIE && s->state == SMQ_SEALER_WAIT2 && s->cookies < SMQ_SEALER_COOKIES_MAX) {
        uint8_t cookie[SMQ_COOKIE_MAX];
        memcpy(cookie, retry.cookie.data, retry.cookie.len);
        SMQ_TRY(smq_sealer_attempt(s, smq_span_of(cookie, retry.cookie.len), now));
        memcpy(s->cookie, cookie, retry.cookie.len);
        s->cookie_len = retry.cookie.len;
        s->cookies++;
        s->hint = retry.code;
        return SMQTT_OK;
    }
    SMQ_TRY(smq_sealer_room(s));
    s->hint = retry.code;
    bool again = retry.code == SMQTT_STATUS_UNKNOWN_SERVER || retry.code == SMQTT_STATUS_BUSY;
    if (again && s->state == SMQ_SEALER_WAIT2 && s->retry_at == SMQTT_NEVER) {
        s->retry_at = now.mono + SMQ_SEALER_RETRY_MS;
    }
    struct smq_evq_entry *entry = smq_sealer_push(s, SMQTT_EV_STEP, s->hs.cid);
    entry->ev.header = SMQ_HDR_RETRY;
    entry->ev.status = retry.code;
    entry->ev.step = (struct smqtt_step){
        .header = SMQ_HDR_RETRY, .size = (uint32_t)body.len, .ts1 = s->ts1, .ts2 = retry.ts2, .status = retry.code};
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- time */

/** Natively the broker says when the server is not there; in the tunnel nobody does (protocol.md 9.6). */
static void resend(struct smqtt_sealer *s, struct smqtt_now now)
{
    if (s->state == SMQ_SEALER_WAIT_ACK) {
        uint8_t header = (uint8_t)(SMQ_HDR_STEP3 | SMQ_HDR_FLAG);
        smq_sealer_push_detect(s, header, s->hs.cid, smq_span_of(s->step3, s->step3_len));
        s->resend_at = now.mono + SMQ_SEALER_RESEND_MS;
    } else {
        smq_sealer_push_detect(s, SMQ_HDR_STEP0, s->hs.cid, smq_span_of(s->packet + 1, s->packet_len - 1));
        s->resend_at = s->config.tunnel ? now.mono + SMQ_SEALER_RESEND_MS : SMQTT_NEVER;
    }
}

/** Is it too late for any answer to this step 0 (protocol.md 4.4)? */
static bool is_stale(const struct smqtt_sealer *s, struct smqtt_now now)
{
    return s->state == SMQ_SEALER_WAIT2 && s->config.tunnel && now.mono - s->sent_at > s->config.rtt_max_ms;
}

static smqtt_err attempt_again(struct smqtt_sealer *s, struct smqtt_now now)
{
    return smq_sealer_attempt(s, smq_span_of(s->cookie, s->cookies != 0 ? s->cookie_len : 0), now);
}

void smqtt_sealer_connected(struct smqtt_sealer *s, bool tunnel, struct smqtt_now now)
{
    s->config.tunnel = tunnel;
    s->subscribe_at = SMQTT_NEVER;
    if (smq_sealer_room(s) != SMQTT_OK) {
        s->subscribe_at = now.mono; /* without these topics nothing would be heard, not even that the session is lost */
        return;
    }
    smq_sealer_push_topic(s, SMQTT_EV_SUBSCRIBE, s->config.server, 'd', smq_span_of(NULL, 0));
    if (s->session != NULL) {
        smq_sealer_push_session(s, SMQTT_EV_SUBSCRIBE, s->session);
    }
    if (s->state != SMQ_SEALER_IDLE) {
        smq_sealer_push_topic(s, SMQTT_EV_SUBSCRIBE, s->hs_server, 's', smq_span_of(s->hs.cid, SMQ_CID_LEN));
        if (s->pending != NULL) {
            smq_sealer_push_topic(s, SMQTT_EV_SUBSCRIBE, s->hs_server, 'n',
                                  smq_span_of(s->pending->send.kid, SMQ_KID_LEN));
        }
        resend(s, now);
    }
}

void smqtt_sealer_tick(struct smqtt_sealer *s, struct smqtt_now now)
{
    if (now.mono < smqtt_sealer_deadline(s) || smq_sealer_room(s) != SMQTT_OK) {
        return; /* without memory: again at the next tick, nothing is lost */
    }
    if (now.mono >= s->subscribe_at) {
        smqtt_sealer_connected(s, s->config.tunnel, now);
        return; /* what else is due is so at the next tick */
    }
    if (now.mono >= s->give_up_at) {
        uint8_t cid[SMQ_CID_LEN];
        memcpy(cid, s->hs.cid, SMQ_CID_LEN);
        smq_sealer_drop_handshake(s);
        s->counters.handshakes_refused++;
        smq_sealer_push_closed(s, cid, s->hint != 0 ? smq_status_err(s->hint) : SMQTT_E_DELAY, s->hint);
        return;
    }
    bool stale = now.mono >= s->resend_at && is_stale(s, now);
    if ((stale || now.mono >= s->retry_at) && attempt_again(s, now) != SMQTT_OK) {
        s->retry_at = now.mono + SMQ_SEALER_RETRY_MS;
    }
    if (now.mono >= s->resend_at) {
        resend(s, now);
    }
}
