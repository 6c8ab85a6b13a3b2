/* SPDX-License-Identifier: Apache-2.0 */
/* A whole handshake derived again from protocol.md 2, 4 and 6.2, with the private keys in hand. */
#include "crypto/hpke.h"
#include "kit.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

static smq_span all(const uint8_t hash[SMQ_HASH_LEN])
{
    return smq_span_of(hash, SMQ_HASH_LEN);
}

/** label 00 suite hash */
static smq_span info_of(const char *label, uint8_t suite, const uint8_t *hash, uint8_t out[SMQ_INFO_MAX])
{
    struct smq_wr wr = smq_wr_of(out, SMQ_INFO_MAX);
    smq_wr_put(&wr, smq_span_str(label));
    smq_wr_u8(&wr, 0);
    smq_wr_u8(&wr, suite);
    smq_wr_bytes(&wr, hash, SMQ_HASH_LEN);
    return smq_wr_span(&wr);
}

/** expand(secret, label, th, nk + 12) opens the box. */
static void open_box(const struct smq_suite *suite, const uint8_t *secret, const char *label, const uint8_t *th,
                     smq_span aad, smq_span ct, uint8_t *pt)
{
    uint8_t both[32 + 12];
    kit_expand(secret, label, all(th), both, suite->nk + 12);
    struct smq_aead_key *key = lib->aead_new(suite->aead, both);
    assert_non_null(key);
    assert_int_equal(lib->aead_open(key, both + suite->nk, aad, ct, pt), SMQTT_OK);
    lib->aead_free(key);
}

/** sig over label and a ‖ H(pt) ‖ b ‖ c. */
static void check_sig(const struct smqtt_identity *id, const char *label, const uint8_t *th, smq_span pt,
                      const uint8_t *did_a, const uint8_t *did_b, const uint8_t *sig)
{
    uint8_t hash[32];
    uint8_t content[128];
    uint8_t text[KIT_TEXT_MAX];
    kit_hash(&pt, 1, hash);
    memcpy(content, th, 32);
    memcpy(content + 32, hash, 32);
    memcpy(content + 64, did_a, 32);
    memcpy(content + 96, did_b, 32);
    const smq_span whole = smq_span_of(text, kit_signed(label, smq_span_of(content, sizeof(content)), text));
    assert_int_equal(lib->verify(id->suite->sign, id->pk_sig, &whole, 1, sig), SMQTT_OK);
}

struct derived {
    uint8_t x1[32], th1[32], x2[32], hs[32], th2[32], th3[32], ms[32], ctx[32];
};

static void derive_step0(const struct kit *kit, struct derived *d, uint8_t *pt, size_t *pt_len)
{
    const struct smq_suite *suite = kit->suite;
    size_t clear_len = 1 + 28 + (kit->kind == KIT_PSK ? 2U + 3 + 6 + 3 + 5 + 3 + 5 : 0U) + suite->npk;
    const uint8_t *enc1 = kit->packet + clear_len - suite->npk;
    uint8_t info[SMQ_INFO_MAX];
    struct smq_hpke hpke = {0};
    const struct smq_hpke_psk psk = {kit->plan.psk, kit->plan.psk_id};
    assert_int_equal(smq_hpke_setup_r(&hpke, lib, suite, kit->server->sk_kem, NULL, enc1,
                                      info_of("S-MQTT/1 detect", suite->id, kit->server->did, info),
                                      kit->kind == KIT_PSK ? &psk : NULL),
                     SMQTT_OK);
    *pt_len = kit->packet_len - clear_len - 16;
    assert_int_equal(smq_hpke_open(&hpke, smq_span_of(kit->packet, clear_len),
                                   smq_span_of(kit->packet + clear_len, *pt_len + 16), pt),
                     SMQTT_OK);
    assert_int_equal(smq_hpke_export(&hpke, smq_span_str("S-MQTT/1 x1"), d->x1, 32), SMQTT_OK);
    smq_hpke_deinit(&hpke);
    const smq_span th1[] = {smq_span_str("S-MQTT/1 th1"), smq_span_str("\x01"),
                            smq_span_of(kit->packet + 1, kit->packet_len - 1)};
    kit_hash(th1, 3, d->th1);
}

static void derive_step2(const struct kit *kit, struct derived *d)
{
    const struct smq_suite *suite = kit->suite;
    uint8_t info[SMQ_INFO_MAX];
    struct smq_hpke hpke = {0};
    assert_int_equal(smq_hpke_setup_r(&hpke, lib, suite, kit->sk_x, NULL, kit->body2 + 10,
                                      info_of("S-MQTT/1 reply", suite->id, d->th1, info), NULL),
                     SMQTT_OK);
    assert_int_equal(smq_hpke_export(&hpke, smq_span_str("S-MQTT/1 x2"), d->x2, 32), SMQTT_OK);
    smq_hpke_deinit(&hpke);
    const smq_span x2 = all(d->x2);
    struct smq_hkdf kdf;
    assert_int_equal(smq_hkdf_begin(&kdf, lib), SMQTT_OK);
    assert_int_equal(smq_hkdf_extract(&kdf, all(d->x1), &x2, 1, d->hs), SMQTT_OK);
    smq_hkdf_end(&kdf);
    const smq_span th2[] = {smq_span_str("S-MQTT/1 th2"), all(d->th1), smq_span_of(&kit->header2, 1),
                            smq_span_of(kit->body2, 10 + suite->npk)};
    kit_hash(th2, 4, d->th2);
    uint8_t pt[SMQ_STEP2_MAX];
    const smq_span ct2 = smq_span_from(smq_span_of(kit->body2, kit->body2_len), 10 + suite->npk);
    open_box(suite, d->hs, "s hs", d->th2, all(d->th2), ct2, pt);
    size_t len = 1 + 1 + 8 + 4 + 2 + 4 + 32 + 2;
    assert_int_equal(ct2.len, len + 64 + 16);
    assert_int_equal(pt[0], 0);
    assert_int_equal(pt[1], 1);
    assert_memory_equal(pt + 20, kit->reply.hm, 32);
    check_sig(kit->server, "step 2", d->th2, smq_span_of(pt, len), kit->c0.did_c, kit->server->did, pt + len);
    const smq_span th3[] = {smq_span_str("S-MQTT/1 th3"), all(d->th2), ct2, smq_span_of(&kit->header3, 1)};
    kit_hash(th3, 4, d->th3);
}

static void derive_step3(const struct kit *kit, struct derived *d)
{
    uint8_t aad[32 + 17];
    uint8_t pt[SMQ_STEP3_MAX];
    const smq_span ct3 = smq_span_of(kit->body3 + 17, kit->body3_len - 17);
    memcpy(aad, d->th3, 32);
    memcpy(aad + 32, kit->body3, 17);
    open_box(kit->suite, d->hs, "c hs", d->th3, smq_span_of(aad, sizeof(aad)), ct3, pt);
    assert_int_equal(pt[0], 1);
    assert_int_equal(ct3.len, 15 + (kit->client != NULL ? 64 : 0) + 16);
    if (kit->client != NULL) {
        check_sig(kit->client, "step 3", d->th3, smq_span_of(pt, 15), kit->server->did, kit->client->did, pt + 15);
    }
    uint8_t hash[32];
    const smq_span both[] = {all(d->th3), ct3};
    kit_hash(both, 2, hash);
    kit_expand(d->hs, "ms", all(hash), d->ms, 32);
    kit_hash(&ct3, 1, hash);
    const smq_span ctx[] = {smq_span_str("S-MQTT/1 ctx"), all(d->th3), all(hash)};
    kit_hash(ctx, 3, d->ctx);
}

static void check_session(const struct kit *kit, const struct derived *d)
{
    uint8_t secret[32];
    uint8_t once[44];
    uint8_t kid[4];
    uint8_t next[32];
    struct smq_channel *c = kit_session(kit, true, 64, 10);
    struct smq_channel *s = kit_session(kit, false, 64, 10);
    const smq_span none = {NULL, 0};
    kit_expand(d->ms, "c2s", all(d->th3), secret, 32);
    assert_memory_equal(c->send.secret, secret, 32);
    assert_memory_equal(s->recv[0].secret, secret, 32);
    kit_expand(secret, "kid", none, kid, 4);
    assert_memory_equal(c->send.kid, kid, 4);
    kit_expand(secret, "upd", none, next, 32);
    assert_memory_equal(s->recv[1].secret, next, 32);
    kit_expand(next, "kid", none, kid, 4);
    assert_memory_equal(s->recv[1].kid, kid, 4);
    kit_expand(d->ms, "s2c", all(d->th3), secret, 32);
    assert_memory_equal(s->send.secret, secret, 32);
    assert_memory_equal(c->recv[0].secret, secret, 32);
    size_t nk = kit->suite->nk;
    kit_expand(d->ms, "ack", all(d->th3), once, nk + 12);
    assert_memory_equal(s->ack.key, once, nk);
    assert_memory_equal(c->ack.nonce, once + nk, 12);
    kit_expand(d->ms, "close", all(d->th3), once, nk + 12);
    assert_memory_equal(s->close.key, once, nk);
    assert_memory_equal(c->close.nonce, once + nk, 12);
    assert_memory_equal(c->ctx, d->ctx, 32);
    smq_channel_free(c);
    smq_channel_free(s);
}

static void test_whole(void **state)
{
    (void)state;
    static struct kit kit;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        for (int kind = 0; kind < KIT_KINDS; kind++) {
            struct derived d;
            uint8_t pt[SMQ_PACKET_MAX];
            size_t len = 0;
            kit_run(&kit, suite, (enum kit_kind)kind, 77);
            derive_step0(&kit, &d, pt, &len);
            assert_memory_equal(kit.c0.x1, d.x1, 32);
            assert_memory_equal(kit.c0.th1, d.th1, 32);
            assert_memory_equal(pt, kit.s0.pk_x, kit.suite->npk);
            assert_memory_equal(pt + len - kit.plan.m.len, kit.plan.m.data, kit.plan.m.len);
            derive_step2(&kit, &d);
            assert_memory_equal(kit.c2.hs, d.hs, 32);
            assert_memory_equal(kit.s2.th2, d.th2, 32);
            derive_step3(&kit, &d);
            assert_memory_equal(kit.c3.ms, d.ms, 32);
            assert_memory_equal(kit.s3.th3, d.th3, 32);
            assert_memory_equal(kit.s3.ctx, d.ctx, 32);
            check_session(&kit, &d);
            kit_deinit(&kit);
        }
    }
}

static void test_functions(void **state)
{
    (void)state;
    static const char *const labels[] = {SMQ_LABEL_STEP2,  SMQ_LABEL_STEP3, SMQ_LABEL_MASTER, SMQ_LABEL_ACK,
                                         SMQ_LABEL_CLOSE,  SMQ_LABEL_C2S,   SMQ_LABEL_S2C,    SMQ_LABEL_EXPORTER,
                                         SMQ_LABEL_RESUME, SMQ_LABEL_KEY,   SMQ_LABEL_IV,     SMQ_LABEL_KID,
                                         SMQ_LABEL_UPDATE};
    static const char *const texts[] = {"s hs",     "c hs",       "ms",  "ack", "close", "c2s", "s2c",
                                        "exporter", "resumption", "key", "iv",  "kid",   "upd"};
    uint8_t secret[32];
    uint64_t seed = 1;
    kit_fill(&seed, secret, 32);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(labels); i++) {
        uint8_t got[44];
        uint8_t want[44];
        const smq_span context = smq_span_of(secret, i);
        assert_string_equal(labels[i], texts[i]);
        assert_int_equal(smq_schedule_expand(secret, labels[i], context, got, sizeof(got)), SMQTT_OK);
        kit_expand(secret, texts[i], context, want, sizeof(want));
        assert_memory_equal(got, want, sizeof(got));
    }
    assert_ptr_equal(smq_schedule_lib(), lib);
}

static void test_sign(void **state)
{
    (void)state;
    static const char *const labels[] = {SMQ_SIGN_DESCRIPTOR, SMQ_SIGN_STEP2, SMQ_SIGN_STEP3, SMQ_SIGN_NOTICE,
                                         SMQ_SIGN_REGISTER};
    static const char *const texts[] = {"descriptor", "step 2", "step 3", "notice", "register"};
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct smqtt_identity *id = kit_identity(smq_suite_by_id(suite), "signer", 3);
        for (size_t i = 0; i < SMQ_ARRAY_LEN(labels); i++) {
            uint8_t sig[64];
            uint8_t text[KIT_TEXT_MAX];
            const smq_span parts[] = {smq_span_str("ab"), smq_span_str(""), smq_span_str("c"), smq_span_str("d")};
            assert_int_equal(smq_schedule_sign(id->suite, id->sk_sig, id->pk_sig, labels[i], parts, 4, sig), SMQTT_OK);
            const smq_span whole = smq_span_of(text, kit_signed(texts[i], smq_span_str("abcd"), text));
            assert_int_equal(lib->verify(id->suite->sign, id->pk_sig, &whole, 1, sig), SMQTT_OK);
            for (size_t j = 0; j < SMQ_ARRAY_LEN(labels); j++) {
                assert_int_equal(smq_schedule_verify(id->suite, id->pk_sig, labels[j], parts, 4, sig),
                                 i == j ? SMQTT_OK : SMQTT_E_BAD_SIGNATURE);
            }
            assert_int_equal(smq_schedule_verify(id->suite, id->pk_sig, labels[i], parts, 3, sig),
                             SMQTT_E_BAD_SIGNATURE);
        }
        smqtt_identity_free(id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
