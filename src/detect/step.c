/* SPDX-License-Identifier: Apache-2.0 */
/* Steps 2 and 3: "Sig." and "Ver. and report" (protocol.md 4.3, 4.4). */
#include "detect/step.h"

#include "base/mem.h"
#include "crypto/hpke.h"
#include "detect/tlv.h"

enum { REPLY_MAX = 1 + 1 + 8 + 4 + 2 + 4 + SMQ_HASH_LEN + 2 + SMQ_SIG_LEN, VERDICT_MAX = 1 + 8 + 4 + 2 + SMQ_SIG_LEN };

/** Length of what stands before ct2 in body2. */
static size_t clear2_len(const struct smq_suite *suite)
{
    return 1 + 1 + SMQ_CID_LEN + suite->npk;
}

smq_span smq_step2_ct(const struct smq_suite *suite, smq_span body2)
{
    return smq_span_from(body2, clear2_len(suite));
}

/** From x1 and x2: HS, TH2, and the key of step 2. */
static smqtt_err keys_of_step2(struct smq_hs *hs, const uint8_t x2[SMQ_HASH_LEN], uint8_t header, smq_span clear,
                               struct smq_once *once)
{
    struct smq_hkdf kdf;
    smqtt_err err = smq_schedule_hs(&kdf, hs->x1, x2, hs->hs);
    if (err == SMQTT_OK) {
        err = smq_schedule_th2(hs->th1, header, clear, hs->th2);
    }
    if (err == SMQTT_OK) {
        err = smq_schedule_run_once(&kdf, hs->suite, SMQ_LABEL_STEP2, hs->th2, once);
    }
    smq_hkdf_end(&kdf);
    return err;
}

/** The content of sig2: TH2, H(pt2 without sig2), did of C, did of S. */
static smqtt_err sig2_content(const struct smq_hs *hs, smq_span unsigned_pt, uint8_t hash[SMQ_HASH_LEN],
                              smq_span out[4])
{
    SMQ_TRY(smq_schedule_hash(&unsigned_pt, 1, hash));
    out[0] = smq_span_of(hs->th2, SMQ_HASH_LEN);
    out[1] = smq_span_of(hash, SMQ_HASH_LEN);
    out[2] = smq_span_of(hs->did_c, SMQTT_DID_LEN);
    out[3] = smq_span_of(hs->did_s, SMQTT_DID_LEN);
    return SMQTT_OK;
}

/** pt2 with its signature. */
static smqtt_err reply_write(const struct smqtt_identity *server, const struct smq_reply *reply,
                             const struct smq_hs *hs, struct smq_wr *wr)
{
    smq_wr_u8(wr, reply->status);
    smq_wr_u8(wr, reply->flag);
    smq_wr_u64(wr, reply->ts2);
    smq_wr_bytes(wr, reply->session_id, SMQ_SESSION_ID_LEN);
    smq_wr_u16(wr, reply->window);
    smq_wr_u32(wr, reply->rekey);
    smq_wr_bytes(wr, reply->hm, SMQ_HASH_LEN);
    smq_wr_u16(wr, 0);
    uint8_t hash[SMQ_HASH_LEN];
    uint8_t sig[SMQ_SIG_LEN];
    smq_span content[4];
    SMQ_TRY(sig2_content(hs, smq_wr_span(wr), hash, content));
    SMQ_TRY(smq_schedule_sign_with(server->signer, SMQ_SIGN_STEP2, content, 4, sig));
    smq_wr_bytes(wr, sig, SMQ_SIG_LEN);
    return smq_wr_ok(wr) ? SMQTT_OK : SMQTT_E_BUG;
}

/** Encapsulates to X: enc2 and x2. */
static smqtt_err reply_encapsulate(const struct smq_hs *hs, const uint8_t sk_e2[SMQ_SK_LEN], uint8_t *enc2,
                                   uint8_t x2[SMQ_HASH_LEN])
{
    uint8_t info[SMQ_INFO_MAX];
    size_t info_len = smq_schedule_info2(hs->suite, hs->th1, info);
    struct smq_hpke hpke = {0};
    smqtt_err err = smq_hpke_setup_s(&hpke, smq_schedule_lib(), hs->suite, hs->pk_x, sk_e2, smq_span_of(info, info_len),
                                     NULL, enc2);
    if (err == SMQTT_OK) {
        err = smq_hpke_export(&hpke, smq_span_str("S-MQTT/1 x2"), x2, SMQ_HASH_LEN);
    }
    smq_hpke_deinit(&hpke);
    return err;
}

smqtt_err smq_step2_write(const struct smqtt_identity *server, const struct smq_reply *reply,
                          const uint8_t sk_e2[SMQ_SK_LEN], struct smq_hs *hs, uint8_t body[SMQ_STEP2_MAX], size_t *len)
{
    struct smq_hs next = *hs;
    struct smq_once once = {{0}, {0}};
    uint8_t x2[SMQ_HASH_LEN] = {0};
    uint8_t pt[REPLY_MAX];
    struct smq_wr pt_wr = smq_wr_of(pt, sizeof(pt));
    struct smq_wr wr = smq_wr_of(body, SMQ_STEP2_MAX);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    smq_wr_u8(&wr, hs->suite->id);
    smq_wr_bytes(&wr, hs->cid, SMQ_CID_LEN);
    smqtt_err err = reply_encapsulate(hs, sk_e2, body + wr.len, x2);
    wr.len = clear2_len(hs->suite);
    uint8_t header = (uint8_t)(SMQ_HDR_STEP2 | (reply->flag != 0 ? SMQ_HDR_FLAG : 0));
    if (err == SMQTT_OK) {
        err = keys_of_step2(&next, x2, header, smq_wr_span(&wr), &once);
    }
    if (err == SMQTT_OK) {
        err = reply_write(server, reply, &next, &pt_wr);
    }
    if (err == SMQTT_OK) {
        err = smq_schedule_seal_once(hs->suite, &once, smq_span_of(next.th2, SMQ_HASH_LEN), smq_wr_span(&pt_wr),
                                     body + wr.len);
    }
    if (err == SMQTT_OK) {
        smq_wipe(next.x1, sizeof(next.x1));
        *hs = next;
        *len = wr.len + pt_wr.len + SMQ_TAG_LEN;
    }
    smq_wipe(&next, sizeof(next));
    smq_wipe(&once, sizeof(once));
    smq_wipe(x2, sizeof(x2));
    return err;
}

/** Decapsulates enc2 with the ephemeral X: x2. */
static smqtt_err reply_decapsulate(const struct smq_hs *hs, const uint8_t *enc2, uint8_t x2[SMQ_HASH_LEN])
{
    uint8_t info[SMQ_INFO_MAX];
    size_t info_len = smq_schedule_info2(hs->suite, hs->th1, info);
    struct smq_hpke hpke = {0};
    smqtt_err err = smq_hpke_setup_r(&hpke, smq_schedule_lib(), hs->suite, hs->sk_x, hs->pk_x, enc2,
                                     smq_span_of(info, info_len), NULL);
    if (err == SMQTT_OK) {
        err = smq_hpke_export(&hpke, smq_span_str("S-MQTT/1 x2"), x2, SMQ_HASH_LEN);
    }
    smq_hpke_deinit(&hpke);
    return err;
}

/** Reads and verifies pt2. */
static smqtt_err reply_read(const struct smqtt_identity *server, const struct smq_hs *hs, uint8_t header, smq_span pt,
                            struct smq_reply *out)
{
    struct smq_reply r;
    struct smq_rd rd = smq_rd_of(pt);
    r.status = smq_rd_u8(&rd);
    r.flag = smq_rd_u8(&rd);
    r.ts2 = smq_rd_u64(&rd);
    smq_span session_id = smq_rd_bytes(&rd, SMQ_SESSION_ID_LEN);
    r.window = smq_rd_u16(&rd);
    r.rekey = smq_rd_u32(&rd);
    smq_span hm = smq_rd_bytes(&rd, SMQ_HASH_LEN);
    smq_tlv_skip(&rd);
    smq_span unsigned_pt = smq_span_of(pt.data, pt.len - smq_rd_left(&rd));
    smq_span sig = smq_rd_bytes(&rd, SMQ_SIG_LEN);
    bool header_flag = (header & SMQ_HDR_FLAG) != 0;
    if (!smq_rd_done(&rd) || r.flag > 1 || (r.flag == 1) != header_flag || r.window < SMQ_WINDOW_MIN || r.rekey == 0 ||
        r.status >= SMQ_STATUS_HINT) {
        return SMQTT_E_MALFORMED;
    }
    uint8_t hash[SMQ_HASH_LEN];
    smq_span content[4];
    SMQ_TRY(sig2_content(hs, unsigned_pt, hash, content));
    SMQ_TRY(smq_schedule_verify(hs->suite, server->pk_sig, SMQ_SIGN_STEP2, content, 4, sig.data));
    memcpy(r.session_id, session_id.data, SMQ_SESSION_ID_LEN);
    memcpy(r.hm, hm.data, SMQ_HASH_LEN);
    *out = r;
    return SMQTT_OK;
}

smqtt_err smq_step2_read(const struct smqtt_identity *server, uint8_t header, smq_span body, uint8_t *pt,
                         struct smq_hs *hs, struct smq_reply *reply)
{
    struct smq_rd rd = smq_rd_of(body);
    uint8_t ver = smq_rd_u8(&rd);
    uint8_t suite_id = smq_rd_u8(&rd);
    smq_span cid = smq_rd_bytes(&rd, SMQ_CID_LEN);
    smq_span enc2 = smq_rd_bytes(&rd, hs->suite->npk);
    smq_span ct2 = smq_rd_rest(&rd);
    if (!smq_rd_ok(&rd) || body.len > SMQ_BODY_MAX || ct2.len < SMQ_TAG_LEN || ver != SMQ_DETECT_VER ||
        suite_id != hs->suite->id || memcmp(cid.data, hs->cid, SMQ_CID_LEN) != 0 ||
        (header & ~(unsigned)SMQ_HDR_FLAG) != SMQ_HDR_STEP2) {
        return SMQTT_E_MALFORMED;
    }
    struct smq_hs next = *hs;
    struct smq_once once = {{0}, {0}};
    uint8_t x2[SMQ_HASH_LEN] = {0};
    smqtt_err err = reply_decapsulate(hs, enc2.data, x2);
    if (err == SMQTT_OK) {
        err = keys_of_step2(&next, x2, header, smq_span_of(body.data, body.len - ct2.len), &once);
    }
    if (err == SMQTT_OK) {
        err = smq_schedule_open_once(hs->suite, &once, smq_span_of(next.th2, SMQ_HASH_LEN), ct2, pt);
    }
    if (err == SMQTT_OK) {
        err = reply_read(server, &next, header, smq_span_of(pt, ct2.len - SMQ_TAG_LEN), reply);
    }
    if (err == SMQTT_OK) {
        smq_wipe(next.x1, sizeof(next.x1));
        smq_wipe(next.sk_x, sizeof(next.sk_x));
        *hs = next;
    }
    smq_wipe(&next, sizeof(next));
    smq_wipe(&once, sizeof(once));
    smq_wipe(x2, sizeof(x2));
    return err;
}

/* ---------------------------------------------------------------- step 3 */

enum { CLEAR3_LEN = 1 + SMQ_CID_LEN + SMQTT_SKID_LEN, AAD3_LEN = SMQ_HASH_LEN + CLEAR3_LEN };

/** TH3, the key of step 3, and its additional data (TH3, ver, cid, skid). Begins the run of HS, which is to be ended
 * after a failure too. */
static smqtt_err keys_of_step3(struct smq_hkdf *kdf, const struct smq_hs *hs, smq_span body2, uint8_t header,
                               uint8_t th3[SMQ_HASH_LEN], struct smq_once *once, uint8_t aad[AAD3_LEN])
{
    SMQ_TRY(smq_schedule_run(kdf, hs->hs));
    SMQ_TRY(smq_schedule_th3(hs->th2, smq_step2_ct(hs->suite, body2), header, th3));
    SMQ_TRY(smq_schedule_run_once(kdf, hs->suite, SMQ_LABEL_STEP3, th3, once));
    struct smq_wr wr = smq_wr_of(aad, AAD3_LEN);
    smq_wr_bytes(&wr, th3, SMQ_HASH_LEN);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    smq_wr_bytes(&wr, hs->cid, SMQ_CID_LEN);
    smq_wr_bytes(&wr, hs->skid, SMQTT_SKID_LEN);
    return SMQTT_OK;
}

/** MS and ctx. */
static smqtt_err master_derive(struct smq_hkdf *kdf, const uint8_t th3[SMQ_HASH_LEN], smq_span ct3,
                               struct smq_master *out)
{
    memcpy(out->th3, th3, SMQ_HASH_LEN);
    SMQ_TRY(smq_schedule_ctx(th3, ct3, out->ctx));
    return smq_schedule_ms(kdf, th3, ct3, out->ms);
}

/** The content of sig3: TH3, H(pt3 without sig3), did of S, did of C. */
static smqtt_err sig3_content(const struct smq_hs *hs, const uint8_t th3[SMQ_HASH_LEN], smq_span unsigned_pt,
                              uint8_t hash[SMQ_HASH_LEN], smq_span out[4])
{
    SMQ_TRY(smq_schedule_hash(&unsigned_pt, 1, hash));
    out[0] = smq_span_of(th3, SMQ_HASH_LEN);
    out[1] = smq_span_of(hash, SMQ_HASH_LEN);
    out[2] = smq_span_of(hs->did_s, SMQTT_DID_LEN);
    out[3] = smq_span_of(hs->did_c, SMQTT_DID_LEN);
    return SMQTT_OK;
}

static smqtt_err verdict_write(const struct smqtt_identity *identity, const struct smq_verdict *verdict,
                               const struct smq_hs *hs, const uint8_t th3[SMQ_HASH_LEN], struct smq_wr *wr)
{
    smq_wr_u8(wr, verdict->verdict);
    smq_wr_u64(wr, verdict->ts3);
    smq_wr_u32(wr, verdict->rtt_ms);
    smq_wr_u16(wr, 0);
    if ((hs->hflags & SMQ_HF_SIGNED) != 0) {
        uint8_t hash[SMQ_HASH_LEN];
        uint8_t sig[SMQ_SIG_LEN];
        smq_span content[4];
        SMQ_TRY(sig3_content(hs, th3, smq_wr_span(wr), hash, content));
        SMQ_TRY(smq_schedule_sign_with(identity->signer, SMQ_SIGN_STEP3, content, 4, sig));
        smq_wr_bytes(wr, sig, SMQ_SIG_LEN);
    }
    return smq_wr_ok(wr) ? SMQTT_OK : SMQTT_E_BUG;
}

smqtt_err smq_step3_write(const struct smqtt_identity *identity, const struct smq_verdict *verdict,
                          const struct smq_hs *hs, smq_span body2, uint8_t body[SMQ_STEP3_MAX], size_t *len,
                          struct smq_master *master)
{
    uint8_t th3[SMQ_HASH_LEN];
    uint8_t aad[AAD3_LEN];
    uint8_t pt[VERDICT_MAX];
    struct smq_hkdf kdf;
    struct smq_once once = {{0}, {0}};
    struct smq_wr pt_wr = smq_wr_of(pt, sizeof(pt));
    struct smq_wr wr = smq_wr_of(body, SMQ_STEP3_MAX);
    uint8_t header = (uint8_t)(SMQ_HDR_STEP3 | (verdict->verdict != 0 ? SMQ_HDR_FLAG : 0));
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    smq_wr_bytes(&wr, hs->cid, SMQ_CID_LEN);
    smq_wr_bytes(&wr, hs->skid, SMQTT_SKID_LEN);
    smqtt_err err = keys_of_step3(&kdf, hs, body2, header, th3, &once, aad);
    if (err == SMQTT_OK) {
        err = verdict_write(identity, verdict, hs, th3, &pt_wr);
    }
    if (err == SMQTT_OK) {
        err = smq_schedule_seal_once(hs->suite, &once, smq_span_of(aad, AAD3_LEN), smq_wr_span(&pt_wr), body + wr.len);
    }
    size_t ct3_len = pt_wr.len + SMQ_TAG_LEN;
    if (err == SMQTT_OK) {
        err = master_derive(&kdf, th3, smq_span_of(body + wr.len, ct3_len), master);
    }
    if (err == SMQTT_OK) {
        *len = wr.len + ct3_len;
    }
    smq_hkdf_end(&kdf);
    smq_wipe(&once, sizeof(once));
    return err;
}

/** Reads and verifies pt3. */
static smqtt_err verdict_read(const struct smqtt_identity *peer, const struct smq_hs *hs, const uint8_t *th3,
                              uint8_t header, smq_span pt, struct smq_verdict *out)
{
    struct smq_verdict v;
    struct smq_rd rd = smq_rd_of(pt);
    v.verdict = smq_rd_u8(&rd);
    v.ts3 = smq_rd_u64(&rd);
    v.rtt_ms = smq_rd_u32(&rd);
    smq_tlv_skip(&rd);
    smq_span unsigned_pt = smq_span_of(pt.data, pt.len - smq_rd_left(&rd));
    bool is_signed = (hs->hflags & SMQ_HF_SIGNED) != 0;
    smq_span sig = smq_rd_bytes(&rd, is_signed ? SMQ_SIG_LEN : 0);
    bool header_flag = (header & SMQ_HDR_FLAG) != 0;
    if (!smq_rd_done(&rd) || v.verdict > 1 || (v.verdict == 1) != header_flag || is_signed != (peer != NULL)) {
        return SMQTT_E_MALFORMED;
    }
    if (is_signed) {
        uint8_t hash[SMQ_HASH_LEN];
        smq_span content[4];
        SMQ_TRY(sig3_content(hs, th3, unsigned_pt, hash, content));
        SMQ_TRY(smq_schedule_verify(hs->suite, peer->pk_sig, SMQ_SIGN_STEP3, content, 4, sig.data));
    }
    *out = v;
    return SMQTT_OK;
}

smqtt_err smq_step3_read(const struct smqtt_identity *peer, uint8_t header, smq_span body, const struct smq_hs *hs,
                         smq_span body2, uint8_t *pt, struct smq_verdict *verdict, struct smq_master *master)
{
    struct smq_rd rd = smq_rd_of(body);
    uint8_t ver = smq_rd_u8(&rd);
    smq_span cid = smq_rd_bytes(&rd, SMQ_CID_LEN);
    smq_span skid = smq_rd_bytes(&rd, SMQTT_SKID_LEN);
    smq_span ct3 = smq_rd_rest(&rd);
    if (!smq_rd_ok(&rd) || body.len > SMQ_BODY_MAX || ct3.len < SMQ_TAG_LEN || ver != SMQ_DETECT_VER ||
        memcmp(cid.data, hs->cid, SMQ_CID_LEN) != 0 || memcmp(skid.data, hs->skid, SMQTT_SKID_LEN) != 0 ||
        (header & ~(unsigned)SMQ_HDR_FLAG) != SMQ_HDR_STEP3) {
        return SMQTT_E_MALFORMED;
    }
    uint8_t th3[SMQ_HASH_LEN];
    uint8_t aad[AAD3_LEN];
    struct smq_hkdf kdf;
    struct smq_once once = {{0}, {0}};
    struct smq_verdict v = {0, 0, 0};
    smqtt_err err = keys_of_step3(&kdf, hs, body2, header, th3, &once, aad);
    if (err == SMQTT_OK) {
        err = smq_schedule_open_once(hs->suite, &once, smq_span_of(aad, AAD3_LEN), ct3, pt);
    }
    if (err == SMQTT_OK) {
        err = verdict_read(peer, hs, th3, header, smq_span_of(pt, ct3.len - SMQ_TAG_LEN), &v);
    }
    if (err == SMQTT_OK) {
        err = master_derive(&kdf, th3, ct3, master);
    }
    if (err == SMQTT_OK) {
        *verdict = v;
    }
    smq_hkdf_end(&kdf);
    smq_wipe(&once, sizeof(once));
    return err;
}
