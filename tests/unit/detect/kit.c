/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

void kit_fill(uint64_t *seed, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)test_random(seed);
    }
}

struct smqtt_identity *kit_identity(const struct smq_suite *suite, const char *name, uint64_t seed)
{
    uint8_t sk_kem[SMQ_SK_LEN];
    uint8_t sk_sig[SMQ_SK_LEN];
    struct smqtt_identity *id = NULL;
    kit_fill(&seed, sk_kem, sizeof(sk_kem));
    kit_fill(&seed, sk_sig, sizeof(sk_sig));
    const struct smq_identity_plan plan = {suite, name, 0, 1, 1000, 0, sk_kem, sk_sig};
    assert_int_equal(smq_identity_make(NULL, &plan, &id), SMQTT_OK);
    return id;
}

void kit_init(struct kit *kit, uint8_t suite_id, enum kit_kind kind, uint64_t seed)
{
    memset(kit, 0, sizeof(*kit));
    kit->suite = smq_suite_by_id(suite_id);
    assert_non_null(kit->suite);
    kit->kind = kind;
    kit->server = kit_identity(kit->suite, "server", 11);
    bool has_client = kind == KIT_MUTUAL || kind == KIT_LOOKUP;
    kit->client = has_client ? kit_identity(kit->suite, "client", 12) : NULL;
    kit_fill(&seed, kit->cid, sizeof(kit->cid));
    kit_fill(&seed, kit->sk_e1, sizeof(kit->sk_e1));
    kit_fill(&seed, kit->sk_x, sizeof(kit->sk_x));
    kit_fill(&seed, kit->sk_e2, sizeof(kit->sk_e2));
    memset(kit->psk, 0x42, sizeof(kit->psk));
    kit->plan = (struct smq_step0_plan){
        .server = kit->server,
        .identity = kit->client,
        .lookup = kind == KIT_LOOKUP,
        .text = true,
        .client_id = smq_span_str("meter-7"),
        .topic = smq_span_str("plant/7/temp"),
        .m = smq_span_str("21.5 \xC2\xB0"
                          "C"),
        .ts1 = KIT_TS1,
        .cid = kit->cid,
        .sk_e1 = kit->sk_e1,
        .sk_x = kit->sk_x,
    };
    if (kind == KIT_PSK) {
        kit->plan.psk = smq_span_of(kit->psk, sizeof(kit->psk));
        kit->plan.psk_id = smq_span_str("key-1");
        kit->plan.cookie = smq_span_str("cookie");
        kit->plan.padding = 5;
    }
    kit->reply = (struct smq_reply){SMQTT_STATUS_OK, 1, KIT_TS1 + 5, {1, 2, 3, 4}, KIT_WINDOW, KIT_REKEY, {0}};
    kit->verdict = (struct smq_verdict){1, KIT_TS1 + 9, 17};
}

void kit_step0(struct kit *kit)
{
    assert_int_equal(smq_step0_write(&kit->plan, kit->packet, &kit->packet_len, &kit->c0), SMQTT_OK);
    const smq_span packet = smq_span_of(kit->packet, kit->packet_len);
    assert_int_equal(smq_step0_read(packet, &kit->step0), SMQTT_OK);
    assert_int_equal(smq_step0_open(kit->server, packet, &kit->step0, kit->plan.psk, kit->pt, &kit->hello, &kit->s0),
                     SMQTT_OK);
    if (kit->client != NULL) {
        memcpy(kit->s0.did_c, kit->client->did, SMQTT_DID_LEN);
    }
}

void kit_step2(struct kit *kit)
{
    uint8_t pt[SMQ_STEP2_MAX];
    kit_hash(&kit->hello.m, 1, kit->reply.hm);
    kit->header2 = kit->reply.flag != 0 ? 0x0C : 0x04;
    kit->s2 = kit->s0;
    kit->c2 = kit->c0;
    assert_int_equal(smq_step2_write(kit->server, &kit->reply, kit->sk_e2, &kit->s2, kit->body2, &kit->body2_len),
                     SMQTT_OK);
    assert_int_equal(smq_step2_read(kit->server, kit->header2, smq_span_of(kit->body2, kit->body2_len), pt, &kit->c2,
                                    &kit->got_reply),
                     SMQTT_OK);
}

void kit_step3(struct kit *kit)
{
    uint8_t pt[SMQ_STEP3_MAX];
    const smq_span body2 = smq_span_of(kit->body2, kit->body2_len);
    kit->header3 = kit->verdict.verdict != 0 ? 0x0F : 0x07;
    assert_int_equal(
        smq_step3_write(kit->client, &kit->verdict, &kit->c2, body2, kit->body3, &kit->body3_len, &kit->c3), SMQTT_OK);
    assert_int_equal(smq_step3_read(kit->client, kit->header3, smq_span_of(kit->body3, kit->body3_len), &kit->s2, body2,
                                    pt, &kit->got_verdict, &kit->s3),
                     SMQTT_OK);
}

void kit_run(struct kit *kit, uint8_t suite_id, enum kit_kind kind, uint64_t seed)
{
    kit_init(kit, suite_id, kind, seed);
    kit_step0(kit);
    kit_step2(kit);
    kit_step3(kit);
}

struct smq_channel *kit_session(const struct kit *kit, bool of_client, uint16_t window, uint32_t rekey)
{
    struct smq_reply terms = kit->got_reply;
    struct smq_channel *s = NULL;
    terms.window = window;
    terms.rekey = rekey;
    assert_int_equal(smq_channel_new(NULL, of_client ? SMQ_SIDE_CLIENT : SMQ_SIDE_SERVER, kit->suite, &terms, kit->cid,
                                     of_client ? &kit->c3 : &kit->s3, &s),
                     SMQTT_OK);
    return s;
}

void kit_deinit(struct kit *kit)
{
    smqtt_identity_free(kit->server);
    smqtt_identity_free(kit->client);
}

void kit_hash(const smq_span *parts, size_t n, uint8_t out[SMQ_HASH_LEN])
{
    assert_int_equal(smq_crypto_openssl.sha256(parts, n, out), SMQTT_OK);
}

void kit_expand(const uint8_t *secret, const char *label, smq_span context, uint8_t *out, size_t len)
{
    uint8_t info[KIT_TEXT_MAX];
    struct smq_wr wr = smq_wr_of(info, sizeof(info));
    smq_wr_put(&wr, smq_span_str("S-MQTT/1 "));
    smq_wr_put(&wr, smq_span_str(label));
    smq_wr_u8(&wr, 0);
    smq_wr_put(&wr, context);
    const smq_span whole = smq_wr_span(&wr);
    struct smq_hkdf kdf;
    assert_int_equal(smq_hkdf_begin(&kdf, &smq_crypto_openssl), SMQTT_OK);
    smq_hkdf_set(&kdf, secret);
    assert_int_equal(smq_hkdf_expand(&kdf, &whole, 1, out, len), SMQTT_OK);
    smq_hkdf_end(&kdf);
}

size_t kit_signed(const char *label, smq_span content, uint8_t out[KIT_TEXT_MAX])
{
    struct smq_wr wr = smq_wr_of(out, KIT_TEXT_MAX);
    for (size_t i = 0; i < 64; i++) {
        smq_wr_u8(&wr, 0x20);
    }
    smq_wr_put(&wr, smq_span_str("S-MQTT/1 "));
    smq_wr_put(&wr, smq_span_str(label));
    smq_wr_u8(&wr, 0);
    smq_wr_put(&wr, content);
    assert_true(smq_wr_ok(&wr));
    return wr.len;
}
