/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgement, close and RETRY (protocol.md 4.2, 4.5). */
#include "base/mem.h"
#include "base/rd.h"
#include "detect/step.h"

enum { CLEAR_LEN = 1 + SMQ_CID_LEN, ENDING_PT = 1 + 8, AAD_LEN = 1 + CLEAR_LEN + SMQ_HASH_LEN };

/** Header byte, ver, cid, TH3. */
static smq_span aad_write(uint8_t header, const uint8_t cid[SMQ_CID_LEN], const uint8_t th3[SMQ_HASH_LEN],
                          uint8_t out[AAD_LEN])
{
    struct smq_wr wr = smq_wr_of(out, AAD_LEN);
    smq_wr_u8(&wr, header);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    smq_wr_bytes(&wr, cid, SMQ_CID_LEN);
    smq_wr_bytes(&wr, th3, SMQ_HASH_LEN);
    return smq_wr_span(&wr);
}

smqtt_err smq_ending_write(const struct smq_suite *suite, const struct smq_once *once, uint8_t header,
                           const uint8_t cid[SMQ_CID_LEN], const uint8_t th3[SMQ_HASH_LEN], uint8_t status, smqtt_ms ts,
                           uint8_t body[SMQ_ENDING_LEN])
{
    uint8_t aad[AAD_LEN];
    uint8_t pt[ENDING_PT];
    struct smq_wr pt_wr = smq_wr_of(pt, sizeof(pt));
    smq_wr_u8(&pt_wr, status);
    smq_wr_u64(&pt_wr, ts);
    struct smq_wr wr = smq_wr_of(body, SMQ_ENDING_LEN);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    smq_wr_bytes(&wr, cid, SMQ_CID_LEN);
    return smq_schedule_seal_once(suite, once, aad_write(header, cid, th3, aad), smq_wr_span(&pt_wr), body + wr.len);
}

smqtt_err smq_ending_read(const struct smq_suite *suite, const struct smq_once *once, uint8_t header,
                          const uint8_t cid[SMQ_CID_LEN], const uint8_t th3[SMQ_HASH_LEN], smq_span body,
                          uint8_t *status, smqtt_ms *ts)
{
    uint8_t aad[AAD_LEN];
    uint8_t pt[ENDING_PT];
    if (body.len != SMQ_ENDING_LEN || body.data[0] != SMQ_DETECT_VER || memcmp(body.data + 1, cid, SMQ_CID_LEN) != 0) {
        return SMQTT_E_MALFORMED;
    }
    SMQ_TRY(smq_schedule_open_once(suite, once, aad_write(header, cid, th3, aad), smq_span_from(body, CLEAR_LEN), pt));
    struct smq_rd rd = smq_rd_of(smq_span_of(pt, sizeof(pt)));
    *status = smq_rd_u8(&rd);
    *ts = smq_rd_u64(&rd);
    return SMQTT_OK;
}

size_t smq_retry_write(const struct smq_retry *retry, uint8_t body[SMQ_RETRY_MAX])
{
    struct smq_wr wr = smq_wr_of(body, SMQ_RETRY_MAX);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    smq_wr_u8(&wr, retry->suite_id);
    smq_wr_bytes(&wr, retry->cid, SMQ_CID_LEN);
    smq_wr_u8(&wr, retry->code);
    smq_wr_u64(&wr, retry->ts2);
    smq_wr_blob8(&wr, retry->cookie);
    smq_wr_u16(&wr, retry->suites);
    return wr.len;
}

smqtt_err smq_retry_read(smq_span body, struct smq_retry *out)
{
    struct smq_retry r;
    struct smq_rd rd = smq_rd_of(body);
    uint8_t ver = smq_rd_u8(&rd);
    r.suite_id = smq_rd_u8(&rd);
    smq_span cid = smq_rd_bytes(&rd, SMQ_CID_LEN);
    r.code = smq_rd_u8(&rd);
    r.ts2 = smq_rd_u64(&rd);
    r.cookie = smq_rd_blob8(&rd);
    r.suites = smq_rd_u16(&rd);
    if (!smq_rd_done(&rd) || ver != SMQ_DETECT_VER || r.cookie.len > SMQ_COOKIE_MAX) {
        return SMQTT_E_MALFORMED;
    }
    memcpy(r.cid, cid.data, SMQ_CID_LEN);
    *out = r;
    return SMQTT_OK;
}
