/* SPDX-License-Identifier: Apache-2.0 */
/* Opener: "Dec. and save" and "Sig.": step 0 comes, step 2 or RETRY goes (protocol.md 4.1 to 4.3, 5). */
#include "base/mem.h"
#include "detect/opener.h"

enum { COOKIE_TIME = 8, COOKIE_NONCE = 8, COOKIE_MAC = 16 };

/* ---------------------------------------------------------------- cookies */

static smqtt_err cookie_mac(const struct smqtt_opener *o, const uint8_t *cookie, uint8_t mac[SMQ_HASH_LEN])
{
    const smq_span part = smq_span_of(cookie, COOKIE_TIME + COOKIE_NONCE);
    return smq_schedule_lib()->hmac(smq_span_of(o->cookie_key, SMQ_HASH_LEN), &part, 1, mac);
}

/** Monotonic time, a nonce, and a MAC over both. */
static smqtt_err cookie_make(const struct smqtt_opener *o, smqtt_ms mono, uint8_t cookie[SMQ_COOKIE_MAX])
{
    uint8_t mac[SMQ_HASH_LEN];
    struct smq_wr wr = smq_wr_of(cookie, SMQ_COOKIE_MAX);
    smq_wr_u64(&wr, mono);
    if (!o->config.rng.fill(o->config.rng.ctx, cookie + COOKIE_TIME, COOKIE_NONCE)) {
        return SMQTT_E_RNG;
    }
    SMQ_TRY(cookie_mac(o, cookie, mac));
    memcpy(cookie + COOKIE_TIME + COOKIE_NONCE, mac, COOKIE_MAC);
    return SMQTT_OK;
}

static bool cookie_ok(const struct smqtt_opener *o, smq_span cookie, smqtt_ms mono)
{
    uint8_t mac[SMQ_HASH_LEN];
    struct smq_rd rd = smq_rd_of(cookie);
    smqtt_ms at = smq_rd_u64(&rd);
    return cookie.len == SMQ_COOKIE_MAX && cookie_mac(o, cookie.data, mac) == SMQTT_OK &&
           smq_ct_equal(mac, cookie.data + COOKIE_TIME + COOKIE_NONCE, COOKIE_MAC) && mono >= at &&
           mono - at <= SMQ_OPENER_COOKIE_MS;
}

/* ---------------------------------------------------------------- RETRY */

static smqtt_err retry(struct smqtt_opener *o, const struct smq_step0 *step, uint8_t code, struct smqtt_now now)
{
    uint8_t cookie[SMQ_COOKIE_MAX];
    uint8_t body[SMQ_RETRY_MAX];
    struct smq_retry r = {.suite_id = step->suite_id, .code = code, .ts2 = now.wall};
    r.suites = (uint16_t)(1U << (o->config.identity->suite->id - 1));
    memcpy(r.cid, step->cid, SMQ_CID_LEN);
    SMQ_TRY(smq_opener_room(o));
    if (code == SMQTT_STATUS_COOKIE) {
        SMQ_TRY(cookie_make(o, now.mono, cookie));
        r.cookie = smq_span_of(cookie, sizeof(cookie));
    }
    size_t len = smq_retry_write(&r, body);
    o->counters.handshakes_refused += code != SMQTT_STATUS_COOKIE;
    smq_opener_push_detect(o, SMQ_HDR_RETRY, step->cid, smq_span_of(body, len));
    const struct smqtt_step shown = {.header = SMQ_HDR_RETRY,
                                     .sent = true,
                                     .size = (uint32_t)len,
                                     .ts1 = step->ts1,
                                     .ts2 = now.wall,
                                     .status = code};
    smq_opener_push_step(o, step->cid, &shown);
    return SMQTT_OK;
}

/** protocol.md 5.3: what is cheap is checked first. Returns the RETRY code, or OK. */
static uint8_t check_cheap(struct smqtt_opener *o, const struct smq_step0 *step, struct smqtt_now now)
{
    const struct smqtt_opener_config *c = &o->config;
    if (step->suite != c->identity->suite) {
        return SMQTT_STATUS_SUITE;
    }
    if (memcmp(step->skid, c->identity->skid, SMQTT_SKID_LEN) != 0) {
        return SMQTT_STATUS_UNKNOWN_SERVER;
    }
    smqtt_ms skew = step->ts1 > now.wall ? step->ts1 - now.wall : now.wall - step->ts1;
    bool fresh = c->skew_max_ms == UINT32_MAX || skew <= c->skew_max_ms;
    size_t waiting = smq_map_count(&o->waiting);
    if ((!fresh || waiting > c->waiting_max / 2) && !cookie_ok(o, step->cookie, now.mono)) {
        return SMQTT_STATUS_COOKIE;
    }
    if (smq_seen_has(&o->seen, step->cid, now.mono)) {
        return SMQTT_STATUS_REFUSED;
    }
    bool anonymous = (step->hflags & SMQ_HF_SIGNED) == 0;
    bool full = anonymous && smq_map_count(&o->sessions) >= c->sessions_max && smq_list_is_empty(&o->anonymous);
    return waiting >= c->waiting_max || full ? SMQTT_STATUS_BUSY : SMQTT_STATUS_OK;
}

/* ---------------------------------------------------------------- the credential */

/** A descriptor, verified once: those that came before are remembered by their hash. */
static smqtt_err descriptor_take(struct smqtt_opener *o, smq_span descriptor, struct smqtt_identity **out)
{
    struct smqtt_identity *id = NULL;
    if (descriptor.len <= SMQ_SIG_LEN) {
        return SMQTT_E_BAD_IDENTITY;
    }
    const smq_span core = smq_span_of(descriptor.data, descriptor.len - SMQ_SIG_LEN);
    uint8_t did[SMQ_HASH_LEN];
    SMQ_TRY(smq_schedule_hash(&core, 1, did));
    struct smqtt_identity **slot = &o->known[did[0] % SMQ_OPENER_KNOWN];
    if (*slot != NULL && smq_span_equal(descriptor, smq_span_of((*slot)->descriptor, (*slot)->len))) {
        *out = smqtt_identity_ref(*slot);
        return SMQTT_OK;
    }
    SMQ_TRY(smq_identity_parse(o->mem, descriptor, true, &id));
    smqtt_identity_free(*slot);
    *slot = smqtt_identity_ref(id);
    *out = id;
    return SMQTT_OK;
}

/** The identity that the client claims, a reference; NULL without credential. */
static smqtt_err credential_take(struct smqtt_opener *o, const struct smq_hello *hello, struct smqtt_now now,
                                 struct smqtt_identity **out)
{
    struct smqtt_identity *id = NULL;
    *out = NULL;
    if (hello->cred == SMQ_CRED_NONE) {
        return SMQTT_OK;
    }
    if (hello->cred == SMQ_CRED_SHORT) {
        const struct smqtt_identity *found =
            o->config.lookup != NULL ? o->config.lookup(o->config.ctx, hello->cred_data.data) : NULL;
        if (found == NULL || memcmp(found->did, hello->cred_data.data, SMQ_SHORT_DID_LEN) != 0) {
            return SMQTT_E_UNKNOWN_PEER;
        }
        /* Identities are immutable but for their count of references. */
        id = smqtt_identity_ref((struct smqtt_identity *)(uintptr_t)found);
    } else {
        SMQ_TRY(descriptor_take(o, hello->cred_data, &id));
    }
    if (id->suite != o->config.identity->suite || !smqtt_identity_valid_at(id, now.wall)) {
        smqtt_identity_free(id);
        return SMQTT_E_UNKNOWN_PEER;
    }
    *out = id;
    return SMQTT_OK;
}

bool smq_opener_welcomes(const struct smqtt_opener *o, const struct smqtt_identity *peer, smq_span topic)
{
    bool allowed = smq_opener_allows(o, peer, topic); /* asked in any case: whoever answers may tell of the others */
    return allowed && (peer == NULL || !smqtt_revocations_have(o->config.revoked, peer, NULL, NULL));
}

bool smq_opener_allows(const struct smqtt_opener *o, const struct smqtt_identity *peer, smq_span topic)
{
    if (peer == NULL && (o->config.identity->flags & SMQ_FLAG_CREDENTIAL) != 0) {
        return false;
    }
    return o->config.allow == NULL || o->config.allow(o->config.ctx, peer, topic);
}

/* ---------------------------------------------------------------- the table of those that wait */

void smq_opener_waiting_free(struct smqtt_opener *o, struct smq_waiting *w)
{
    if (smq_list_is_linked(&w->node)) {
        (void)smq_map_del(&o->waiting, smq_span_of(w->hs.cid, SMQ_CID_LEN));
        smq_list_remove(&w->node);
    }
    smqtt_identity_free(w->identity);
    smq_wipe(w, sizeof(*w));
    smq_mem_free(o->mem, w);
}

void smq_opener_journal(const struct smqtt_opener *o, const struct smq_waiting *w, smq_span ciphertext, uint8_t status,
                        uint8_t verdict)
{
    if (o->config.journal == NULL) {
        return;
    }
    struct smqtt_journal_entry entry = {.ts1 = w->ts1,
                                        .ts2 = w->reply.ts2,
                                        .client_id = smq_span_of(w->strings, w->client_id_len),
                                        .topic = smq_span_of(w->strings + w->client_id_len, w->topic_len),
                                        .peer = w->identity,
                                        .ciphertext = ciphertext,
                                        .flag = w->reply.flag,
                                        .status = status,
                                        .verdict = verdict};
    memcpy(entry.cid, w->hs.cid, SMQ_CID_LEN);
    o->config.journal(o->config.ctx, &entry);
}

/* ---------------------------------------------------------------- step 0 becomes step 2 */

/** What S has to say: hM, flag and status. */
static smqtt_err judge(struct smqtt_opener *o, const struct smq_hello *hello, struct smq_waiting *w,
                       struct smqtt_now now)
{
    const struct smqtt_opener_config *c = &o->config;
    struct smq_reply *r = &w->reply;
    smq_span held;
    smq_span back = hello->m;
    r->ts2 = now.wall;
    r->window = c->window;
    r->rekey = c->rekey;
    r->flag = (w->hs.hflags & SMQ_HF_TEXT) == 0 || smq_opener_text_survives(o, hello->m, &held, &back);
    SMQ_TRY(smq_schedule_hash(&back, 1, r->hm));
    r->status = r->flag != 0 ? SMQTT_STATUS_OK : SMQTT_STATUS_MOJIBAKE;
    if (!smq_opener_welcomes(o, w->identity, hello->topic)) {
        r->status = SMQTT_STATUS_NOT_AUTHORIZED;
    }
    return c->rng.fill(c->rng.ctx, r->session_id, SMQ_SESSION_ID_LEN) ? SMQTT_OK : SMQTT_E_RNG;
}

static smqtt_err reply_make(struct smqtt_opener *o, struct smq_waiting *w)
{
    uint8_t sk_e2[SMQ_SK_LEN] = {0};
    smqtt_err err = smq_suite_keygen(smq_schedule_lib(), w->hs.suite, &o->config.rng, sk_e2);
    if (err == SMQTT_OK) {
        err = smq_step2_write(o->config.identity, &w->reply, sk_e2, &w->hs, w->body2, &w->body2_len);
    }
    smq_wipe(sk_e2, sizeof(sk_e2));
    return err;
}

static uint8_t header2(const struct smq_waiting *w)
{
    return (uint8_t)(SMQ_HDR_STEP2 | (w->reply.flag != 0 ? SMQ_HDR_FLAG : 0));
}

static void steps_push(struct smqtt_opener *o, const struct smq_waiting *w, size_t size0)
{
    struct smqtt_step step = {
        .header = o->config.tunnel ? SMQ_HDR_STEP0 : SMQ_HDR_STEP1, .size = (uint32_t)size0, .ts1 = w->ts1};
    smq_opener_push_step(o, w->hs.cid, &step);
    smq_opener_push_detect(o, header2(w), w->hs.cid, smq_span_of(w->body2, w->body2_len));
    step.header = header2(w);
    step.sent = true;
    step.size = (uint32_t)w->body2_len;
    step.ts2 = w->reply.ts2;
    step.flag = w->reply.flag;
    step.status = w->reply.status;
    memcpy(step.hash, w->reply.hm, SMQ_HASH_LEN);
    smq_opener_push_step(o, w->hs.cid, &step);
}

/** Enters the tables; in none after a failure. */
static smqtt_err waiting_enter(struct smqtt_opener *o, struct smq_waiting *w, struct smqtt_now now)
{
    SMQ_TRY(smq_map_reserve(&o->waiting, smq_map_count(&o->waiting) + 1));
    SMQ_TRY(smq_seen_add(&o->seen, w->hs.cid, now.mono));
    SMQ_TRY(smq_map_put(&o->waiting, smq_span_of(w->hs.cid, SMQ_CID_LEN), w, NULL));
    w->until = now.mono + SMQ_OPENER_WAIT_MS;
    smq_list_push_back(&o->waiting_list, &w->node);
    return SMQTT_OK;
}

static smqtt_err waiting_new(struct smqtt_opener *o, const struct smq_step0 *step, const struct smq_hello *hello,
                             const struct smq_hs *hs, struct smq_waiting **out)
{
    struct smq_waiting *w = smq_mem_zalloc(o->mem, 1, sizeof(*w) + hello->client_id.len + hello->topic.len);
    if (w == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_list_init(&w->node);
    w->hs = *hs;
    w->ts1 = step->ts1;
    w->client_id_len = hello->client_id.len;
    w->topic_len = hello->topic.len;
    struct smq_wr wr = smq_wr_of(w->strings, w->client_id_len + w->topic_len);
    smq_wr_put(&wr, hello->client_id);
    smq_wr_put(&wr, hello->topic);
    *out = w;
    return SMQTT_OK;
}

static smqtt_err psk_find(const struct smqtt_opener *o, const struct smq_step0 *step, smq_span *psk)
{
    *psk = smq_span_of(NULL, 0);
    if ((step->hflags & SMQ_HF_PSK) == 0) {
        return SMQTT_OK;
    }
    bool known = o->config.psk != NULL && o->config.psk(o->config.ctx, step->psk_id, psk);
    return known && psk->len >= SMQ_PSK_MIN ? SMQTT_OK : SMQTT_E_UNKNOWN_PEER;
}

/** Everything that costs: decrypts, judges, answers. Nothing has changed after a failure. */
static smqtt_err hello_take(struct smqtt_opener *o, smq_span packet, const struct smq_step0 *step, struct smqtt_now now)
{
    struct smq_hello hello;
    struct smq_hs hs = {0};
    struct smq_waiting *w = NULL;
    smq_span psk;
    SMQ_TRY(psk_find(o, step, &psk));
    smqtt_err err = smq_step0_open(o->config.identity, packet, step, psk, o->pt, &hello, &hs);
    if (err == SMQTT_OK) {
        err = waiting_new(o, step, &hello, &hs, &w);
    }
    smq_wipe(&hs, sizeof(hs));
    if (err != SMQTT_OK) {
        return err;
    }
    err = credential_take(o, &hello, now, &w->identity);
    if (err == SMQTT_OK && w->identity != NULL) {
        memcpy(w->hs.did_c, w->identity->did, SMQTT_DID_LEN);
    }
    if (err == SMQTT_OK) {
        err = judge(o, &hello, w, now);
    }
    if (err == SMQTT_OK) {
        err = reply_make(o, w);
    }
    if (err == SMQTT_OK) {
        err = waiting_enter(o, w, now);
    }
    if (err != SMQTT_OK) {
        smq_opener_waiting_free(o, w);
        return err;
    }
    o->counters.mojibake += w->reply.flag == 0;
    steps_push(o, w, packet.len - 1);
    smq_opener_journal(o, w, step->ct1, w->reply.status, SMQ_VERDICT_OPEN);
    return SMQTT_OK;
}

/** A cid that is at work: the same bytes get the same answer, others none. */
static smqtt_err repeat(struct smqtt_opener *o, const struct smq_waiting *w, smq_span packet)
{
    uint8_t th1[SMQ_HASH_LEN];
    SMQ_TRY(smq_opener_room(o));
    SMQ_TRY(smq_schedule_th1(packet, th1));
    if (memcmp(th1, w->hs.th1, SMQ_HASH_LEN) != 0) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    smq_opener_push_detect(o, header2(w), w->hs.cid, smq_span_of(w->body2, w->body2_len));
    return SMQTT_OK;
}

smqtt_err smq_opener_take_hello(struct smqtt_opener *o, smq_span body, struct smqtt_now now)
{
    struct smq_step0 step;
    if (body.len > SMQ_BODY_MAX) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    o->packet[0] = SMQ_HDR_STEP0;
    memcpy(o->packet + 1, body.data, body.len);
    smq_span packet = smq_span_of(o->packet, body.len + 1);
    if (smq_step0_read(packet, &step) != SMQTT_OK) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    smq_span cid = smq_span_of(step.cid, SMQ_CID_LEN);
    const struct smq_waiting *w = smq_map_get(&o->waiting, cid);
    if (w != NULL) {
        return repeat(o, w, packet);
    }
    if (smq_map_get(&o->sessions, cid) != NULL) {
        o->counters.noise++;
        return SMQTT_OK;
    }
    uint8_t code = check_cheap(o, &step, now);
    if (code != SMQTT_STATUS_OK) {
        return retry(o, &step, code, now);
    }
    SMQ_TRY(smq_opener_room(o));
    smqtt_err err = hello_take(o, packet, &step, now);
    smq_wipe(o->pt, packet.len); /* what was sealed is shorter than its packet */
    if (err == SMQTT_E_FULL) {
        return retry(o, &step, SMQTT_STATUS_BUSY, now);
    }
    return err == SMQTT_OK || smq_opener_is_ours(err) ? err : retry(o, &step, SMQTT_STATUS_REFUSED, now);
}
