/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts, notices and the topics they travel on (protocol.md 6.5, 6.6). */
#include "base/hex.h"
#include "base/utf8.h"
#include "codec/topic.h"
#include "detect/channel.h"

enum { NOTICE_MARK = 0x4E };

void smq_receipt_write(const struct smq_receipt *receipt, struct smq_wr *wr)
{
    smq_wr_bytes(wr, receipt->kid, SMQ_KID_LEN);
    smq_wr_u64(wr, receipt->seq);
    smq_wr_u8(wr, receipt->status);
    smq_wr_u8(wr, receipt->flag);
}

bool smq_receipts_ok(smq_span payload)
{
    return payload.len != 0 && payload.len % SMQ_RECEIPT_LEN == 0 &&
           payload.len <= (size_t)SMQ_RECEIPTS_MAX * SMQ_RECEIPT_LEN;
}

void smq_receipt_read(struct smq_rd *rd, struct smq_receipt *out)
{
    smq_span kid = smq_rd_bytes(rd, SMQ_KID_LEN);
    out->seq = smq_rd_u64(rd);
    out->status = smq_rd_u8(rd);
    out->flag = smq_rd_u8(rd);
    if (smq_rd_ok(rd)) {
        memcpy(out->kid, kid.data, SMQ_KID_LEN);
    }
}

/** skid, and of the notice kid, nonce, ts. */
static void notice_content(const struct smqtt_identity *server, const uint8_t *notice, smq_span out[2])
{
    out[0] = smq_span_of(server->skid, SMQTT_SKID_LEN);
    out[1] = smq_span_of(notice + 2, SMQ_KID_LEN + SMQ_NOTICE_NONCE_LEN + 8);
}

smqtt_err smq_notice_write(const struct smqtt_identity *server, const uint8_t kid[SMQ_KID_LEN],
                           const uint8_t nonce[SMQ_NOTICE_NONCE_LEN], smqtt_ms ts, uint8_t out[SMQ_NOTICE_LEN])
{
    struct smq_wr wr = smq_wr_of(out, SMQ_NOTICE_LEN);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    smq_wr_u8(&wr, NOTICE_MARK);
    smq_wr_bytes(&wr, kid, SMQ_KID_LEN);
    smq_wr_bytes(&wr, nonce, SMQ_NOTICE_NONCE_LEN);
    smq_wr_u64(&wr, ts);
    smq_span content[2];
    notice_content(server, out, content);
    return smq_schedule_sign_with(server->signer, SMQ_SIGN_NOTICE, content, 2, out + wr.len);
}

smqtt_err smq_notice_read(const struct smqtt_identity *server, const uint8_t kid[SMQ_KID_LEN], smq_span payload,
                          smqtt_ms *ts)
{
    if (payload.len != SMQ_NOTICE_LEN || payload.data[0] != SMQ_DETECT_VER || payload.data[1] != NOTICE_MARK ||
        memcmp(payload.data + 2, kid, SMQ_KID_LEN) != 0) {
        return SMQTT_E_MALFORMED;
    }
    smq_span content[2];
    notice_content(server, payload.data, content);
    SMQ_TRY(smq_schedule_verify(server->suite, server->pk_sig, SMQ_SIGN_NOTICE, content, 2,
                                payload.data + SMQ_NOTICE_LEN - SMQ_SIG_LEN));
    struct smq_rd rd = smq_rd_of(smq_span_from(payload, 2 + SMQ_KID_LEN + SMQ_NOTICE_NONCE_LEN));
    *ts = smq_rd_u64(&rd);
    return SMQTT_OK;
}

bool smq_prefix_ok(smq_span prefix)
{
    size_t levels = 1;
    for (size_t i = 0; i < prefix.len; i++) {
        levels += prefix.data[i] == '/';
    }
    return prefix.len == 0 ||
           (prefix.len <= SMQ_PREFIX_MAX && levels <= 2 && prefix.data[0] != '$' && prefix.data[0] != '/' &&
            prefix.data[prefix.len - 1] != '/' && smq_utf8_ok(prefix, SMQ_TEXT_STRICT) && smq_topic_name_ok(prefix, 0));
}

size_t smq_own_topic(smq_span prefix, const uint8_t skid[SMQTT_SKID_LEN], char branch, smq_span id,
                     char out[SMQ_OWN_TOPIC_MAX])
{
    const smq_span used = prefix.len != 0 ? prefix : smq_span_str(SMQ_PREFIX);
    size_t at = used.len;
    memcpy(out, used.data, at);
    out[at++] = '/';
    smq_hex_encode(out + at, smq_span_of(skid, SMQTT_SKID_LEN));
    at += SMQ_HEX_LEN((size_t)SMQTT_SKID_LEN);
    out[at++] = '/';
    out[at++] = branch;
    if (branch == 'd') {
        return at;
    }
    out[at++] = '/';
    smq_hex_encode(out + at, id);
    return at + SMQ_HEX_LEN(id.len);
}
