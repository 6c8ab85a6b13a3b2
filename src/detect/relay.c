/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's view of DETECT and the registration of servers (protocol.md 9). */
#include "detect/relay.h"

#include "base/rd.h"
#include "base/wr.h"
#include "detect/step.h"

enum register_kind { KIND_REGISTER = 0x01, KIND_CHALLENGE = 0x02, KIND_PROOF = 0x03, KIND_REGISTERED = 0x04 };

static bool needs_suite(uint8_t header)
{
    return header == SMQ_HDR_STEP0 || header == SMQ_HDR_STEP1 || header == SMQ_HDR_RETRY || header == SMQ_HDR_STEP2 ||
           header == (SMQ_HDR_STEP2 | SMQ_HDR_FLAG);
}

static bool needs_skid(uint8_t header)
{
    return header == SMQ_HDR_STEP0 || header == SMQ_HDR_STEP1 || header == SMQ_HDR_STEP3 ||
           header == (SMQ_HDR_STEP3 | SMQ_HDR_FLAG);
}

static bool is_known(uint8_t header)
{
    return needs_suite(header) || needs_skid(header) || header == SMQ_HDR_ACK || header == SMQ_HDR_CLOSE;
}

smqtt_err smq_relay_head_read(uint8_t header, smq_span body, struct smq_relay_head *out)
{
    struct smq_relay_head h = {0};
    struct smq_rd rd = smq_rd_of(body);
    uint8_t ver = smq_rd_u8(&rd);
    if (needs_suite(header)) {
        h.suite = smq_rd_u8(&rd);
    }
    if (header == SMQ_HDR_STEP0 || header == SMQ_HDR_STEP1) {
        (void)smq_rd_u16(&rd); /* hflags and the byte behind it are between the endpoints */
    }
    smq_span cid = smq_rd_bytes(&rd, SMQ_CID_LEN);
    smq_span skid = smq_rd_bytes(&rd, needs_skid(header) ? SMQTT_SKID_LEN : 0);
    if (!smq_rd_ok(&rd) || ver != SMQ_DETECT_VER || !is_known(header)) {
        return SMQTT_E_MALFORMED;
    }
    memcpy(h.cid, cid.data, SMQ_CID_LEN);
    h.has_skid = needs_skid(header);
    if (h.has_skid) {
        memcpy(h.skid, skid.data, SMQTT_SKID_LEN);
    }
    *out = h;
    return SMQTT_OK;
}

size_t smq_relay_retry_write(const struct smq_relay_head *head, uint8_t status, smqtt_ms wall,
                             uint8_t out[SMQ_RETRY_MAX])
{
    struct smq_retry retry = {head->suite, {0}, status, wall, {NULL, 0}, 0};
    memcpy(retry.cid, head->cid, SMQ_CID_LEN);
    return smq_retry_write(&retry, out);
}

/* ---------------------------------------------------------------- registration */

static struct smq_wr kind_write(enum register_kind kind, uint8_t out[SMQ_REGISTER_MAX])
{
    struct smq_wr wr = smq_wr_of(out, SMQ_REGISTER_MAX);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    smq_wr_u8(&wr, (uint8_t)kind);
    return wr;
}

/** A reader behind ver and kind; bad when they are not as expected. */
static struct smq_rd kind_read(enum register_kind kind, smq_span payload)
{
    struct smq_rd rd = smq_rd_of(payload);
    uint8_t ver = smq_rd_u8(&rd);
    uint8_t got = smq_rd_u8(&rd);
    if (ver != SMQ_DETECT_VER || got != (uint8_t)kind) {
        smq_rd_fail(&rd);
    }
    return rd;
}

smqtt_err smq_register_read(const struct smqtt_mem *mem, smq_span payload, smqtt_ms wall, struct smqtt_identity **out)
{
    struct smq_rd rd = kind_read(KIND_REGISTER, payload);
    if (!smq_rd_ok(&rd)) {
        return SMQTT_E_MALFORMED;
    }
    struct smqtt_identity *id = NULL;
    SMQ_TRY(smqtt_identity_read_descriptor(mem, smq_rd_rest(&rd), &id));
    if (!smqtt_identity_valid_at(id, wall)) {
        smqtt_identity_free(id);
        return SMQTT_E_EXPIRED;
    }
    *out = id;
    return SMQTT_OK;
}

size_t smq_register_challenge_write(const uint8_t skid[SMQTT_SKID_LEN], const uint8_t challenge[SMQ_CHALLENGE_LEN],
                                    uint8_t out[SMQ_REGISTER_MAX])
{
    struct smq_wr wr = kind_write(KIND_CHALLENGE, out);
    smq_wr_bytes(&wr, skid, SMQTT_SKID_LEN);
    smq_wr_bytes(&wr, challenge, SMQ_CHALLENGE_LEN);
    return wr.len;
}

smqtt_err smq_register_challenge_read(smq_span payload, const uint8_t skid[SMQTT_SKID_LEN],
                                      uint8_t challenge[SMQ_CHALLENGE_LEN])
{
    struct smq_rd rd = kind_read(KIND_CHALLENGE, payload);
    smq_span about = smq_rd_bytes(&rd, SMQTT_SKID_LEN);
    smq_span bytes = smq_rd_bytes(&rd, SMQ_CHALLENGE_LEN);
    if (!smq_rd_done(&rd) || memcmp(about.data, skid, SMQTT_SKID_LEN) != 0) {
        return SMQTT_E_MALFORMED;
    }
    memcpy(challenge, bytes.data, SMQ_CHALLENGE_LEN);
    return SMQTT_OK;
}

/** challenge, skid, blob16 MQTT client id: in four parts, of which `length` is the storage of one. */
static void proof_content(const uint8_t *challenge, const uint8_t *skid, smq_span client_id, uint8_t length[2],
                          smq_span out[4])
{
    struct smq_wr wr = smq_wr_of(length, 2);
    smq_wr_u16(&wr, (uint16_t)client_id.len);
    out[0] = smq_span_of(challenge, SMQ_CHALLENGE_LEN);
    out[1] = smq_span_of(skid, SMQTT_SKID_LEN);
    out[2] = smq_span_of(length, 2);
    out[3] = client_id;
}

smqtt_err smq_register_proof_write(const struct smqtt_identity *id, const uint8_t challenge[SMQ_CHALLENGE_LEN],
                                   smq_span client_id, uint8_t out[SMQ_REGISTER_MAX], size_t *len)
{
    uint8_t length[2];
    uint8_t sig[SMQ_SIG_LEN];
    smq_span content[4];
    if (client_id.len > UINT16_MAX || !id->has_private) {
        return SMQTT_E_USAGE;
    }
    proof_content(challenge, id->skid, client_id, length, content);
    SMQ_TRY(smq_schedule_sign_with(id->signer, SMQ_SIGN_REGISTER, content, 4, sig));
    struct smq_wr wr = kind_write(KIND_PROOF, out);
    smq_wr_bytes(&wr, id->skid, SMQTT_SKID_LEN);
    smq_wr_bytes(&wr, sig, SMQ_SIG_LEN);
    *len = wr.len;
    return SMQTT_OK;
}

/** Reads a proof: skid and signature lie in the payload. */
static smqtt_err proof_read(smq_span payload, smq_span *skid, smq_span *sig)
{
    struct smq_rd rd = kind_read(KIND_PROOF, payload);
    *skid = smq_rd_bytes(&rd, SMQTT_SKID_LEN);
    *sig = smq_rd_bytes(&rd, SMQ_SIG_LEN);
    return smq_rd_done(&rd) ? SMQTT_OK : SMQTT_E_MALFORMED;
}

smqtt_err smq_register_proof_check(smq_span payload, const struct smqtt_identity *id,
                                   const uint8_t challenge[SMQ_CHALLENGE_LEN], smq_span client_id)
{
    smq_span skid;
    smq_span sig;
    SMQ_TRY(proof_read(payload, &skid, &sig));
    if (memcmp(skid.data, id->skid, SMQTT_SKID_LEN) != 0 || client_id.len > UINT16_MAX) {
        return SMQTT_E_MALFORMED;
    }
    uint8_t length[2];
    smq_span content[4];
    proof_content(challenge, id->skid, client_id, length, content);
    return smq_schedule_verify(id->suite, id->pk_sig, SMQ_SIGN_REGISTER, content, 4, sig.data);
}

smqtt_err smq_register_proof_skid(smq_span payload, uint8_t skid[SMQTT_SKID_LEN])
{
    smq_span about;
    smq_span sig;
    SMQ_TRY(proof_read(payload, &about, &sig));
    memcpy(skid, about.data, SMQTT_SKID_LEN);
    return SMQTT_OK;
}

size_t smq_register_result_write(const uint8_t skid[SMQTT_SKID_LEN], uint8_t status, uint8_t out[SMQ_REGISTER_MAX])
{
    struct smq_wr wr = kind_write(KIND_REGISTERED, out);
    smq_wr_bytes(&wr, skid, SMQTT_SKID_LEN);
    smq_wr_u8(&wr, status);
    return wr.len;
}

smqtt_err smq_register_result_read(smq_span payload, const uint8_t skid[SMQTT_SKID_LEN], uint8_t *status)
{
    struct smq_rd rd = kind_read(KIND_REGISTERED, payload);
    smq_span about = smq_rd_bytes(&rd, SMQTT_SKID_LEN);
    uint8_t got = smq_rd_u8(&rd);
    if (!smq_rd_done(&rd) || memcmp(about.data, skid, SMQTT_SKID_LEN) != 0) {
        return SMQTT_E_MALFORMED;
    }
    *status = got;
    return SMQTT_OK;
}
