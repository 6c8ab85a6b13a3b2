/* SPDX-License-Identifier: Apache-2.0 */
/* Step 0, "Enc. and send" (protocol.md 4.1). */
#include "base/mem.h"
#include "base/utf8.h"
#include "codec/topic.h"
#include "crypto/hpke.h"
#include "detect/step.h"
#include "detect/tlv.h"

enum { TLV_COOKIE = 1, TLV_PSK_ID = 2, TLV_PADDING = 3 };

smqtt_err smq_step_m(smq_span payload, bool text, uint8_t buf[SMQ_M_BINARY], smq_span *m)
{
    if (text) {
        *m = smq_span_of(payload.data, smq_utf8_cut(payload, SMQ_M_MAX));
        return SMQTT_OK;
    }
    struct smq_wr wr = smq_wr_of(buf + SMQ_HASH_LEN, SMQ_M_BINARY - SMQ_HASH_LEN);
    SMQ_TRY(smq_schedule_hash(&payload, 1, buf));
    smq_wr_u64(&wr, payload.len);
    *m = smq_span_of(buf, SMQ_M_BINARY);
    return SMQTT_OK;
}

static void padding_write(struct smq_wr *wr, uint16_t len)
{
    smq_wr_u8(wr, TLV_PADDING);
    smq_wr_u16(wr, len);
    for (uint16_t i = 0; i < len; i++) {
        smq_wr_u8(wr, 0);
    }
}

static void tlvs_write(struct smq_wr *wr, const struct smq_step0_plan *plan)
{
    size_t len = (plan->cookie.len != 0 ? SMQ_TLV_HEAD + plan->cookie.len : 0) +
                 (plan->psk.len != 0 ? SMQ_TLV_HEAD + plan->psk_id.len : 0) +
                 (plan->padding != 0 ? (size_t)SMQ_TLV_HEAD + plan->padding : 0);
    smq_wr_u16(wr, (uint16_t)len);
    if (plan->cookie.len != 0) {
        smq_tlv_write(wr, TLV_COOKIE, plan->cookie);
    }
    if (plan->psk.len != 0) {
        smq_tlv_write(wr, TLV_PSK_ID, plan->psk_id);
    }
    if (plan->padding != 0) {
        padding_write(wr, plan->padding);
    }
}

static void clear_write(struct smq_wr *wr, const struct smq_step0_plan *plan, uint8_t hflags)
{
    smq_wr_u8(wr, SMQ_HDR_STEP0);
    smq_wr_u8(wr, SMQ_DETECT_VER);
    smq_wr_u8(wr, plan->server->suite->id);
    smq_wr_u8(wr, hflags);
    smq_wr_u8(wr, 0);
    smq_wr_bytes(wr, plan->cid, SMQ_CID_LEN);
    smq_wr_bytes(wr, plan->server->skid, SMQTT_SKID_LEN);
    smq_wr_u64(wr, plan->ts1);
    if ((hflags & SMQ_HF_TLVS) != 0) {
        tlvs_write(wr, plan);
    }
}

static void hello_write(struct smq_wr *wr, const struct smq_step0_plan *plan, const uint8_t *pk_x)
{
    smq_wr_bytes(wr, pk_x, plan->server->suite->npk);
    smq_wr_blob8(wr, plan->client_id);
    smq_wr_blob16(wr, plan->topic);
    if (plan->identity == NULL) {
        smq_wr_u8(wr, SMQ_CRED_NONE);
    } else if (plan->lookup) {
        smq_wr_u8(wr, SMQ_CRED_SHORT);
        smq_wr_bytes(wr, plan->identity->did, SMQ_SHORT_DID_LEN);
    } else {
        smq_wr_u8(wr, SMQ_CRED_DESCRIPTOR);
        smq_wr_blob16(wr, smq_span_of(plan->identity->descriptor, plan->identity->len));
    }
    smq_wr_u16(wr, 0);
    smq_wr_put(wr, plan->m);
}

size_t smq_step0_m_room(const struct smq_step0_plan *plan)
{
    enum { FIXED = 4 + SMQ_CID_LEN + SMQTT_SKID_LEN + 8, LISTS = 2 + 2, LENGTHS = 1 + 2 };
    size_t cred = plan->identity == NULL ? 1 : plan->lookup ? 1 + SMQ_SHORT_DID_LEN : 1 + 2 + plan->identity->len;
    size_t tlvs = SMQ_TLV_HEAD + SMQ_COOKIE_MAX + (plan->psk.len != 0 ? SMQ_TLV_HEAD + plan->psk_id.len : 0) +
                  (plan->padding != 0 ? (size_t)SMQ_TLV_HEAD + plan->padding : 0);
    size_t used = FIXED + LISTS + LENGTHS + cred + tlvs + (size_t)2 * SMQ_PK_MAX + SMQ_TAG_LEN + plan->client_id.len +
                  plan->topic.len;
    return used < SMQ_BODY_MAX ? SMQ_BODY_MAX - used : 0;
}

static uint8_t hflags_of(const struct smq_step0_plan *plan)
{
    unsigned flags = SMQ_HF_ACK;
    flags |= plan->identity != NULL ? SMQ_HF_SIGNED : 0U;
    flags |= plan->psk.len != 0 ? SMQ_HF_PSK : 0U;
    flags |= plan->text ? SMQ_HF_TEXT : 0U;
    flags |= plan->cookie.len != 0 || plan->psk.len != 0 || plan->padding != 0 ? SMQ_HF_TLVS : 0U;
    return (uint8_t)flags;
}

/** Seals pt1, which stands in the packet already, and takes x1. */
static smqtt_err hello_seal(const struct smq_step0_plan *plan, uint8_t *packet, size_t enc_at, size_t pt_len,
                            struct smq_hs *hs)
{
    const struct smq_suite *suite = plan->server->suite;
    const struct smq_hpke_psk psk = {plan->psk, plan->psk_id};
    uint8_t info[SMQ_INFO_MAX];
    size_t info_len = smq_schedule_info1(suite, plan->server->did, info);
    struct smq_hpke hpke = {0};
    smqtt_err err = smq_hpke_setup_s(&hpke, smq_schedule_lib(), suite, plan->server->pk_kem, plan->sk_e1,
                                     smq_span_of(info, info_len), &psk, packet + enc_at);
    if (err == SMQTT_OK) {
        uint8_t *pt = packet + enc_at + suite->npk;
        err = smq_hpke_seal(&hpke, smq_span_of(packet, enc_at + suite->npk), smq_span_of(pt, pt_len), pt);
    }
    if (err == SMQTT_OK) {
        err = smq_hpke_export(&hpke, smq_span_str("S-MQTT/1 x1"), hs->x1, SMQ_HASH_LEN);
    }
    smq_hpke_deinit(&hpke);
    return err;
}

smqtt_err smq_step0_write(const struct smq_step0_plan *plan, uint8_t packet[SMQ_PACKET_MAX], size_t *len,
                          struct smq_hs *hs)
{
    const struct smq_suite *suite = plan->server->suite;
    struct smq_hs next = {.suite = suite, .hflags = hflags_of(plan)};
    uint8_t pk_x[SMQ_PK_MAX];
    if (plan->psk.len != 0 && (plan->psk_id.len == 0 || plan->psk_id.len > SMQ_PSK_ID_MAX)) {
        return SMQTT_E_USAGE;
    }
    if (plan->client_id.len > SMQ_CLIENT_ID_MAX) { /* its length is a u8 */
        return SMQTT_E_TOO_LARGE;
    }
    SMQ_TRY(smq_schedule_lib()->dh_public(suite->curve, plan->sk_x, pk_x));
    struct smq_wr wr = smq_wr_of(packet, SMQ_PACKET_MAX - SMQ_TAG_LEN);
    clear_write(&wr, plan, next.hflags);
    size_t enc_at = wr.len;
    wr.len += suite->npk;
    hello_write(&wr, plan, pk_x);
    if (!smq_wr_ok(&wr)) {
        smq_wipe(packet, SMQ_PACKET_MAX); /* of M as much as there was room for */
        return SMQTT_E_TOO_LARGE;
    }
    memcpy(next.cid, plan->cid, SMQ_CID_LEN);
    memcpy(next.skid, plan->server->skid, SMQTT_SKID_LEN);
    memcpy(next.did_s, plan->server->did, SMQTT_DID_LEN);
    memcpy(next.sk_x, plan->sk_x, SMQ_SK_LEN);
    memcpy(next.pk_x, pk_x, suite->npk);
    if (plan->identity != NULL) {
        memcpy(next.did_c, plan->identity->did, SMQTT_DID_LEN);
    }
    smqtt_err err = hello_seal(plan, packet, enc_at, wr.len - enc_at - suite->npk, &next);
    if (err == SMQTT_OK) {
        err = smq_schedule_th1(smq_span_of(packet, wr.len + SMQ_TAG_LEN), next.th1);
    }
    if (err == SMQTT_OK) {
        *hs = next;
        *len = wr.len + SMQ_TAG_LEN;
    } else {
        smq_wipe(packet, wr.len);
    }
    smq_wipe(&next, sizeof(next));
    return err;
}

/* ---------------------------------------------------------------- reading */

static bool tlvs_read(struct smq_rd *rd, struct smq_step0 *out)
{
    struct smq_tlvs list = smq_tlv_list(rd);
    uint8_t type = 0;
    smq_span value;
    bool has_psk_id = false;
    while (smq_tlv_next(&list, &type, &value)) {
        if (type == TLV_COOKIE && value.len <= SMQ_COOKIE_MAX) {
            out->cookie = value;
        } else if (type == TLV_PSK_ID && value.len >= 1 && value.len <= SMQ_PSK_ID_MAX) {
            out->psk_id = value;
            has_psk_id = true;
        } else if (type != TLV_PADDING) {
            bool known = type == TLV_COOKIE || type == TLV_PSK_ID; /* and of a wrong length */
            smq_tlv_unknown(&list, known ? SMQ_TLV_CRITICAL : type);
        }
    }
    return smq_tlv_done(&list) && has_psk_id == ((out->hflags & SMQ_HF_PSK) != 0);
}

smqtt_err smq_step0_read(smq_span packet, struct smq_step0 *out)
{
    struct smq_step0 s = {0};
    struct smq_rd rd = smq_rd_of(packet);
    uint8_t header = smq_rd_u8(&rd);
    uint8_t ver = smq_rd_u8(&rd);
    s.suite_id = smq_rd_u8(&rd);
    s.hflags = smq_rd_u8(&rd);
    uint8_t reserved = smq_rd_u8(&rd);
    smq_span cid = smq_rd_bytes(&rd, SMQ_CID_LEN);
    smq_span skid = smq_rd_bytes(&rd, SMQTT_SKID_LEN);
    s.ts1 = smq_rd_u64(&rd);
    if (!smq_rd_ok(&rd) || packet.len > SMQ_PACKET_MAX || header != SMQ_HDR_STEP0 || ver != SMQ_DETECT_VER ||
        reserved != 0 || (s.hflags & SMQ_HF_RESERVED) != 0 || (s.hflags & SMQ_HF_ACK) == 0) {
        return SMQTT_E_MALFORMED;
    }
    memcpy(s.cid, cid.data, SMQ_CID_LEN);
    memcpy(s.skid, skid.data, SMQTT_SKID_LEN);
    s.suite = smq_suite_by_id(s.suite_id);
    if (s.suite == NULL) {
        *out = s;
        return SMQTT_OK;
    }
    bool tlvs_ok = (s.hflags & SMQ_HF_TLVS) != 0 ? tlvs_read(&rd, &s) : (s.hflags & SMQ_HF_PSK) == 0;
    s.enc1 = smq_rd_bytes(&rd, s.suite->npk);
    s.clear = smq_span_of(packet.data, packet.len - smq_rd_left(&rd));
    s.ct1 = smq_rd_rest(&rd);
    if (!smq_rd_ok(&rd) || !tlvs_ok || s.ct1.len < SMQ_TAG_LEN) {
        return SMQTT_E_MALFORMED;
    }
    *out = s;
    return SMQTT_OK;
}

/** pt1, which was authentic to whoever has the server's public key: it still is a stranger's. */
static smqtt_err hello_read(const struct smq_step0 *step, smq_span pt, struct smq_hello *out, uint8_t *pk_x)
{
    struct smq_hello h = {0};
    struct smq_rd rd = smq_rd_of(pt);
    smq_span x = smq_rd_bytes(&rd, step->suite->npk);
    h.client_id = smq_rd_blob8(&rd);
    h.topic = smq_rd_blob16(&rd);
    h.cred = smq_rd_u8(&rd);
    if (h.cred == SMQ_CRED_SHORT) {
        h.cred_data = smq_rd_bytes(&rd, SMQ_SHORT_DID_LEN);
    } else if (h.cred == SMQ_CRED_DESCRIPTOR) {
        h.cred_data = smq_rd_blob16(&rd);
    } else if (h.cred != SMQ_CRED_NONE) {
        smq_rd_fail(&rd);
    }
    smq_tlv_skip(&rd);
    h.m = smq_rd_rest(&rd);
    bool text = (step->hflags & SMQ_HF_TEXT) != 0;
    bool is_signed = (step->hflags & SMQ_HF_SIGNED) != 0;
    if (!smq_rd_ok(&rd) || is_signed != (h.cred != SMQ_CRED_NONE) ||
        (text ? h.m.len > SMQ_M_MAX : h.m.len != SMQ_M_BINARY) || !smq_utf8_ok(h.client_id, SMQ_TEXT_STANDARD) ||
        !smq_utf8_ok(h.topic, SMQ_TEXT_STANDARD) || !smq_topic_name_ok(h.topic, 0)) {
        return SMQTT_E_MALFORMED;
    }
    SMQ_TRY(smq_schedule_lib()->dh_check(step->suite->curve, x.data));
    memcpy(pk_x, x.data, x.len);
    *out = h;
    return SMQTT_OK;
}

/** Decrypts ct1 and takes x1. */
static smqtt_err hello_open(const struct smqtt_identity *server, const struct smq_step0 *step, smq_span psk,
                            uint8_t *pt, uint8_t x1[SMQ_HASH_LEN])
{
    const struct smq_hpke_psk with = {psk, step->psk_id};
    uint8_t info[SMQ_INFO_MAX];
    size_t info_len = smq_schedule_info1(step->suite, server->did, info);
    struct smq_hpke hpke = {0};
    smqtt_err err = smq_hpke_setup_r_with(&hpke, smq_schedule_lib(), step->suite, server->kem, server->pk_kem,
                                          step->enc1.data, smq_span_of(info, info_len), &with);
    if (err == SMQTT_OK) {
        err = smq_hpke_open(&hpke, step->clear, step->ct1, pt);
    }
    if (err == SMQTT_OK) {
        err = smq_hpke_export(&hpke, smq_span_str("S-MQTT/1 x1"), x1, SMQ_HASH_LEN);
    }
    smq_hpke_deinit(&hpke);
    return err;
}

smqtt_err smq_step0_open(const struct smqtt_identity *server, smq_span packet, const struct smq_step0 *step,
                         smq_span psk, uint8_t *pt, struct smq_hello *hello, struct smq_hs *hs)
{
    struct smq_hs next = {.suite = step->suite, .hflags = step->hflags};
    if (step->suite != server->suite || !server->has_private) {
        return SMQTT_E_USAGE;
    }
    memcpy(next.cid, step->cid, SMQ_CID_LEN);
    memcpy(next.skid, step->skid, SMQTT_SKID_LEN);
    memcpy(next.did_s, server->did, SMQTT_DID_LEN);
    /* Before pt is written: it may take the place of ct1. */
    smqtt_err err = smq_schedule_th1(packet, next.th1);
    if (err == SMQTT_OK) {
        err = hello_open(server, step, psk, pt, next.x1);
    }
    if (err == SMQTT_OK) {
        err = hello_read(step, smq_span_of(pt, step->ct1.len - SMQ_TAG_LEN), hello, next.pk_x);
    }
    if (err == SMQTT_OK) {
        *hs = next;
    }
    smq_wipe(&next, sizeof(next));
    return err;
}
