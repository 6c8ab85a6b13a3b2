/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of DETECT into every reader that takes them before anything is authentic, and texts of people. The first byte
 * is the header of DETECT; 0x10 an identity's text, 0x20 a descriptor, 0x30 a policy, 0x40 a registration, 0x50 a
 * list of revocations, 0x60 what comes on the topic of the server's descriptor. */
#include <stdlib.h>

#include "detect/step.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void identity_done(struct smqtt_identity *id)
{
    char text[SMQTT_IDENTITY_TEXT_MAX];
    struct smqtt_identity *back = NULL;
    must(smqtt_identity_public_text(id, text, sizeof(text)) == SMQTT_OK);
    must(smqtt_identity_read(NULL, smq_span_str(text), &back) == SMQTT_OK);
    must(memcmp(back->did, id->did, SMQTT_DID_LEN) == 0);
    smqtt_identity_free(back);
    smqtt_identity_free(id);
}

static void policy(smq_span text)
{
    struct smqtt_policy *policy = NULL;
    unsigned line = 0;
    if (smqtt_policy_read(NULL, text, &policy, &line) == SMQTT_OK) {
        (void)smqtt_policy_requires(policy, smq_span_str("a/b"));
        (void)smqtt_policy_logical(policy, smq_span_str("$SYS/x"));
        smqtt_policy_free(policy);
    }
}

static const struct smqtt_identity *server_get(void)
{
    static struct smqtt_identity *server;
    if (server == NULL) {
        const uint8_t sk[SMQ_SK_LEN] = {1, 2, 3};
        const struct smq_identity_plan plan = {smq_suite_by_id(1), "server", 0, 1, 0, 0, sk, sk};
        must(smq_identity_make(NULL, &plan, &server) == SMQTT_OK);
    }
    return server;
}

static bool kdf(void *ctx, struct smqtt_span passphrase, struct smqtt_span salt, uint32_t passes, uint32_t kib,
                uint32_t lanes, uint8_t *out, size_t out_len)
{
    (void)ctx;
    (void)passphrase;
    must(salt.len == 16 && passes >= 1 && passes <= 64 && kib <= 4 << 20 && lanes >= 1 && lanes <= 64);
    memset(out, 7, out_len);
    return true;
}

static void identity_text(smq_span text)
{
    const struct smqtt_kdf table = {kdf, NULL, 0, 0, 0};
    struct smqtt_identity *id = NULL;
    smqtt_err err = smqtt_identity_read(NULL, text, &id);
    if (err == SMQTT_OK) {
        identity_done(id);
    } else if (err == SMQTT_E_LOCKED) {
        err = smqtt_identity_unlock(NULL, text, smq_span_str("p"), &table, &id);
        must(err == SMQTT_OK || err == SMQTT_E_BAD_PASSPHRASE || err == SMQTT_E_BAD_IDENTITY || err == SMQTT_E_BAD_KEY);
        smqtt_identity_free(id);
    }
}

static void revocations(smq_span text)
{
    struct smqtt_revocations *list = NULL;
    unsigned line = 0;
    smqtt_err err = smqtt_revocations_read(NULL, text, &list, &line);
    must((err == SMQTT_OK) == (line == 0));
    must(!smqtt_revocations_have(list, server_get(), NULL, NULL));
    smqtt_revocations_free(list);
}

/** Unsigned, so that something gets past the signature of the descriptor itself. */
static void descriptor_of_server(smq_span bytes)
{
    const struct smqtt_identity *server = server_get();
    struct smqtt_identity *id = NULL;
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    must(smqtt_revocation_check(bytes, server, NULL, NULL) != SMQTT_OK);
    if (smq_identity_parse(NULL, bytes, false, &id) == SMQTT_OK) {
        bool same = smq_identity_same_keys(server, id);
        must(smqtt_identity_supersedes(server, id, 1000) != SMQTT_OK || same);
        must(!smqtt_identity_predecessor(id, skid, &until) || until != 0);
        smqtt_identity_free(id);
    }
}

static void step0(smq_span packet)
{
    const struct smqtt_identity *server = server_get();
    static uint8_t pt[SMQ_PACKET_MAX];
    struct smq_step0 step;
    struct smq_hello hello;
    struct smq_hs hs;
    if (smq_step0_read(packet, &step) == SMQTT_OK && step.suite == server->suite) {
        must(step.clear.len + step.ct1.len == packet.len);
        (void)!smq_step0_open(server, packet, &step, smq_span_of(NULL, 0), pt, &hello, &hs);
    }
}

static void steps(uint8_t header, smq_span whole, smq_span body)
{
    static uint8_t pt[UINT16_MAX];
    static const struct smqtt_identity peer;
    struct smq_hs hs = {.suite = smq_suite_by_id(1), .sk_x = {9}};
    struct smq_relay_head head;
    struct smq_retry retry;
    struct smq_reply reply;
    struct smq_verdict verdict;
    struct smq_master master;
    smqtt_err relayed = smq_relay_head_read(header, body, &head);
    if (relayed == SMQTT_OK) {
        memcpy(hs.cid, head.cid, SMQ_CID_LEN);
        memcpy(hs.skid, head.skid, SMQTT_SKID_LEN);
    }
    if (smq_retry_read(body, &retry) == SMQTT_OK) {
        uint8_t out[SMQ_RETRY_MAX];
        must(smq_retry_write(&retry, out) == body.len && memcmp(out, body.data, body.len) == 0);
    }
    if (body.len <= sizeof(pt)) {
        must(smq_step2_read(&peer, header, body, pt, &hs, &reply) != SMQTT_OK);
        must(smq_step3_read(NULL, header, body, &hs, smq_span_of(pt, 100), pt, &verdict, &master) != SMQTT_OK);
    }
    if (header == SMQ_HDR_STEP0) {
        step0(whole);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct smqtt_identity *id = NULL;
    if (len == 0) {
        return 0;
    }
    const smq_span rest = smq_span_of(data + 1, len - 1);
    if (data[0] == 0x10) {
        identity_text(rest);
    } else if (data[0] == 0x20 || data[0] == 0x40) {
        smqtt_err err = data[0] == 0x20 ? smqtt_identity_read_descriptor(NULL, rest, &id)
                                        : smq_register_read(NULL, rest, 1000, &id);
        if (err == SMQTT_OK) {
            identity_done(id);
        }
    } else if (data[0] == 0x30) {
        policy(rest);
    } else if (data[0] == 0x50) {
        revocations(rest);
    } else if (data[0] == 0x60) {
        descriptor_of_server(rest);
    } else {
        steps(data[0], smq_span_of(data, len), rest);
    }
    return 0;
}
