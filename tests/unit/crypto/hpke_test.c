/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hpke.h"
#include "vectors.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

/* Both ends of a context that the vectors describe. */
struct ends {
    struct smq_hpke s;
    struct smq_hpke r;
};

static void set_up_from_vector(const struct vectors *v, struct ends *ends)
{
    uint8_t info[64];
    uint8_t skE[SMQ_SK_LEN];
    uint8_t skR[SMQ_SK_LEN];
    uint8_t pkR[SMQ_PK_MAX];
    uint8_t enc[SMQ_PK_MAX];
    uint8_t want[SMQ_PK_MAX];
    uint8_t psk_bytes[64];
    uint8_t psk_id[64];
    const struct smq_suite *suite = smq_suite_by_id((uint8_t)strtoul(vectors_text(v, "suite"), NULL, 10));
    assert_non_null(suite);
    const smq_span in = smq_span_of(info, vectors_hex(v, "info", info, sizeof(info)));
    const struct smq_hpke_psk psk = {smq_span_of(psk_bytes, vectors_hex(v, "psk", psk_bytes, sizeof(psk_bytes))),
                                     smq_span_of(psk_id, vectors_hex(v, "psk_id", psk_id, sizeof(psk_id)))};
    assert_int_equal(psk.psk.len != 0, vectors_is(v, "mode", "1"));
    vectors_bytes(v, "skEm", skE, sizeof(skE));
    vectors_bytes(v, "skRm", skR, sizeof(skR));
    vectors_bytes(v, "pkRm", pkR, suite->npk);
    assert_int_equal(smq_hpke_setup_s(&ends->s, lib, suite, pkR, skE, in, &psk, enc), SMQTT_OK);
    vectors_bytes(v, "enc", want, suite->npk);
    assert_memory_equal(enc, want, suite->npk);
    assert_int_equal(smq_hpke_setup_r(&ends->r, lib, suite, skR, NULL, enc, in, &psk), SMQTT_OK);
    for (int side = 0; side < 2; side++) {
        struct smq_hpke *ctx = side == 0 ? &ends->s : &ends->r;
        vectors_bytes(v, "base_nonce", want, SMQ_NONCE_LEN);
        assert_int_equal(smq_hpke_ready(ctx), SMQTT_OK);
        assert_memory_equal(ctx->base_nonce, want, SMQ_NONCE_LEN);
        vectors_bytes(v, "exporter_secret", want, SMQ_HASH_LEN);
        assert_memory_equal(ctx->exporter, want, SMQ_HASH_LEN);
        assert_int_equal(ctx->seq, 0);
    }
}

static void check_message(const struct vectors *v, struct ends *ends)
{
    uint8_t pt[64];
    uint8_t aad[32];
    uint8_t ct[96];
    uint8_t out[96];
    uint64_t seq = strtoull(vectors_text(v, "seq"), NULL, 10);
    const smq_span p = smq_span_of(pt, vectors_hex(v, "pt", pt, sizeof(pt)));
    const smq_span a = smq_span_of(aad, vectors_hex(v, "aad", aad, sizeof(aad)));
    const smq_span c = smq_span_of(ct, vectors_hex(v, "ct", ct, sizeof(ct)));
    assert_true(p.len > 0 && c.len == p.len + SMQ_TAG_LEN);
    while (ends->s.seq < seq) { /* the numbers between are passed as in life: by messages */
        assert_int_equal(smq_hpke_seal(&ends->s, a, p, out), SMQTT_OK);
        assert_int_equal(smq_hpke_open(&ends->r, a, smq_span_of(out, c.len), out), SMQTT_OK);
    }
    assert_int_equal(smq_hpke_seal(&ends->s, a, p, out), SMQTT_OK);
    assert_memory_equal(out, ct, c.len);
    assert_int_equal(smq_hpke_open(&ends->r, a, c, out), SMQTT_OK);
    assert_memory_equal(out, pt, p.len);
    assert_int_equal(ends->s.seq, seq + 1);
    assert_int_equal(ends->r.seq, seq + 1);
}

static void check_export(const struct vectors *v, struct ends *ends)
{
    uint8_t context[32];
    uint8_t want[64];
    uint8_t out[64];
    const smq_span c = smq_span_of(context, vectors_hex(v, "exporter_context", context, sizeof(context)));
    size_t len = vectors_hex(v, "exported_value", want, sizeof(want));
    assert_int_equal(len, strtoul(vectors_text(v, "L"), NULL, 10));
    assert_int_equal(smq_hpke_export(&ends->s, c, out, len), SMQTT_OK);
    assert_memory_equal(out, want, len);
    assert_int_equal(smq_hpke_export(&ends->r, c, out, len), SMQTT_OK);
    assert_memory_equal(out, want, len);
}

static void test_rfc9180(void **state)
{
    (void)state;
    struct vectors v;
    struct ends ends = {0};
    size_t setups = 0;
    size_t messages = 0;
    vectors_open(&v, "hpke_rfc9180.txt");
    while (vectors_next(&v)) {
        if (vectors_is(&v, "type", "setup")) {
            smq_hpke_deinit(&ends.s);
            smq_hpke_deinit(&ends.r);
            set_up_from_vector(&v, &ends);
            setups++;
        } else if (vectors_is(&v, "type", "seal")) {
            check_message(&v, &ends);
            messages++;
        } else {
            assert_true(vectors_is(&v, "type", "export"));
            check_export(&v, &ends);
        }
    }
    assert_int_equal(setups, 4);
    assert_int_equal(messages, 24);
    smq_hpke_deinit(&ends.s);
    smq_hpke_deinit(&ends.r);
    vectors_close(&v, 40);
}

/* A pair of our own for the tests below. */
struct pair {
    const struct smq_suite *suite;
    uint8_t skE[SMQ_SK_LEN];
    uint8_t skR[SMQ_SK_LEN];
    uint8_t pkR[SMQ_PK_MAX];
    uint8_t enc[SMQ_PK_MAX];
    uint8_t ct[4 + SMQ_TAG_LEN];
    struct smq_hpke_psk psk;
};

static const uint8_t secret[40] = {1, 2, 3};

static void make_pair(struct pair *p, const struct smq_suite *suite)
{
    struct smq_hpke s;
    *p = (struct pair){.suite = suite, .skE = {5}, .skR = {6}};
    p->psk = (struct smq_hpke_psk){smq_span_of(secret, 32), smq_span_str("id")};
    assert_int_equal(lib->dh_public(suite->curve, p->skR, p->pkR), SMQTT_OK);
    assert_int_equal(smq_hpke_setup_s(&s, lib, suite, p->pkR, p->skE, smq_span_str("info"), &p->psk, p->enc), SMQTT_OK);
    assert_int_equal(smq_hpke_seal(&s, smq_span_str("aad"), smq_span_str("text"), p->ct), SMQTT_OK);
    smq_hpke_deinit(&s);
}

/* What a receiver with these values gets out of p->ct. */
static smqtt_err receive(const struct pair *p, const char *info, const struct smq_hpke_psk *psk, const char *aad)
{
    struct smq_hpke r;
    uint8_t out[4];
    smqtt_err err = smq_hpke_setup_r(&r, lib, p->suite, p->skR, NULL, p->enc, smq_span_str(info), psk);
    struct smq_hpke known;
    uint8_t pkR[SMQ_PK_MAX];
    assert_int_equal(lib->dh_public(p->suite->curve, p->skR, pkR), SMQTT_OK);
    assert_int_equal(smq_hpke_setup_r(&known, lib, p->suite, p->skR, pkR, p->enc, smq_span_str(info), psk), err);
    struct smq_hpke with;
    struct smq_dh_key *key = lib->dh_key_new(p->suite->curve, p->skR, pkR);
    assert_int_equal(smq_hpke_setup_r_with(&with, lib, p->suite, key, pkR, p->enc, smq_span_str(info), psk), err);
    lib->dh_key_free(key);
    if (err != SMQTT_OK) {
        return err;
    }
    assert_memory_equal(with.exporter, r.exporter, sizeof(r.exporter));
    smq_hpke_deinit(&with);
    assert_memory_equal(known.exporter, r.exporter, sizeof(r.exporter));
    assert_int_equal(smq_hpke_ready(&known), SMQTT_OK);
    assert_int_equal(smq_hpke_ready(&r), SMQTT_OK);
    assert_memory_equal(known.base_nonce, r.base_nonce, sizeof(r.base_nonce));
    smq_hpke_deinit(&known);
    err = smq_hpke_open(&r, smq_span_str(aad), smq_span_of(p->ct, sizeof(p->ct)), out);
    assert_int_equal(r.seq, err == SMQTT_OK ? 1 : 0);
    assert_true(err != SMQTT_OK || memcmp(out, "text", 4) == 0);
    smq_hpke_deinit(&r);
    return err;
}

static void test_wrong_inputs(void **state)
{
    (void)state;
    const struct smq_suite *suite;
    for (size_t i = 0; (suite = smq_suite_at(i)) != NULL; i++) {
        struct pair p;
        make_pair(&p, suite);
        const struct smq_hpke_psk other_psk = {smq_span_of(secret + 1, 32), p.psk.id};
        const struct smq_hpke_psk longer_psk = {smq_span_of(secret, 33), p.psk.id};
        const struct smq_hpke_psk other_id = {p.psk.psk, smq_span_str("iD")};
        assert_int_equal(receive(&p, "info", &p.psk, "aad"), SMQTT_OK);
        assert_int_equal(receive(&p, "infO", &p.psk, "aad"), SMQTT_E_BAD_TAG);
        assert_int_equal(receive(&p, "", &p.psk, "aad"), SMQTT_E_BAD_TAG);
        assert_int_equal(receive(&p, "info", &other_psk, "aad"), SMQTT_E_BAD_TAG);
        assert_int_equal(receive(&p, "info", &longer_psk, "aad"), SMQTT_E_BAD_TAG);
        assert_int_equal(receive(&p, "info", &other_id, "aad"), SMQTT_E_BAD_TAG);
        assert_int_equal(receive(&p, "info", NULL, "aad"), SMQTT_E_BAD_TAG);
        assert_int_equal(receive(&p, "info", &p.psk, "aaD"), SMQTT_E_BAD_TAG);
        p.skR[0] ^= 8;
        assert_int_equal(receive(&p, "info", &p.psk, "aad"), SMQTT_E_BAD_TAG);
        p.skR[0] ^= 8;
        p.skE[0] ^= 8;
        assert_int_equal(lib->dh_public(suite->curve, p.skE, p.enc), SMQTT_OK); /* a valid enc, but not this one */
        assert_int_equal(receive(&p, "info", &p.psk, "aad"), SMQTT_E_BAD_TAG);
        for (size_t at = 0; at < suite->npk; at++) {
            make_pair(&p, suite);
            p.enc[at] ^= 1;
            smqtt_err err = receive(&p, "info", &p.psk, "aad");
            assert_int_equal(err, suite->curve == SMQ_CURVE_P256 ? SMQTT_E_BAD_KEY : SMQTT_E_BAD_TAG);
        }
        memset(p.enc, 0, sizeof(p.enc));
        assert_int_equal(receive(&p, "info", &p.psk, "aad"), SMQTT_E_BAD_KEY);
    }
}

/* Failures of the set-up write nothing. */
static void test_bad_setups(void **state)
{
    (void)state;
    const struct smq_suite *suite;
    const struct {
        struct smq_hpke_psk psk;
        smqtt_err err;
    } rows[] = {
        {{smq_span_of(secret, 32), {NULL, 0}}, SMQTT_E_USAGE},
        {{{NULL, 0}, smq_span_str("id")}, SMQTT_E_USAGE},
        {{smq_span_of(secret, 31), smq_span_str("id")}, SMQTT_E_USAGE},
        {{smq_span_of(secret, 32), smq_span_str("i")}, SMQTT_OK},
        {{{NULL, 0}, {NULL, 0}}, SMQTT_OK},
    };
    for (size_t i = 0; (suite = smq_suite_at(i)) != NULL; i++) {
        struct pair p;
        struct smq_hpke ctx;
        struct smq_hpke before;
        uint8_t enc[SMQ_PK_MAX] = {0};
        uint8_t bad[SMQ_PK_MAX] = {0};
        make_pair(&p, suite);
        memset(&ctx, 0x11, sizeof(ctx));
        memset(&before, 0x11, sizeof(before));
        for (size_t row = 0; row < SMQ_ARRAY_LEN(rows); row++) {
            const struct smq_hpke_psk *psk = &rows[row].psk;
            smqtt_err err = smq_hpke_setup_s(&ctx, lib, suite, p.pkR, p.skE, smq_span_str(""), psk, enc);
            assert_int_equal(err, rows[row].err);
            if (err == SMQTT_OK) {
                smq_hpke_deinit(&ctx);
            }
            memset(&ctx, 0x11, sizeof(ctx));
            err = smq_hpke_setup_r(&ctx, lib, suite, p.skR, NULL, p.enc, smq_span_str(""), psk);
            assert_int_equal(err, rows[row].err);
            if (err == SMQTT_OK) {
                smq_hpke_deinit(&ctx);
                memset(&ctx, 0x11, sizeof(ctx));
            }
        }
        memset(enc, 0x22, sizeof(enc));
        assert_int_equal(smq_hpke_setup_s(&ctx, lib, suite, bad, p.skE, smq_span_str(""), NULL, enc), SMQTT_E_BAD_KEY);
        assert_int_equal(smq_hpke_setup_r(&ctx, lib, suite, p.skR, NULL, bad, smq_span_str(""), NULL), SMQTT_E_BAD_KEY);
        assert_memory_equal(&ctx, &before, sizeof(ctx));
        assert_int_equal(enc[0] & enc[31], 0x22);
    }
}

static void test_sequence(void **state)
{
    (void)state;
    struct pair p;
    struct smq_hpke s;
    struct smq_hpke r;
    uint8_t a[4 + SMQ_TAG_LEN];
    uint8_t b[4 + SMQ_TAG_LEN];
    const smq_span none = {NULL, 0};
    make_pair(&p, smq_suite_at(0));
    assert_int_equal(smq_hpke_setup_s(&s, lib, p.suite, p.pkR, p.skE, none, NULL, p.enc), SMQTT_OK);
    assert_int_equal(smq_hpke_setup_r(&r, lib, p.suite, p.skR, NULL, p.enc, none, NULL), SMQTT_OK);
    assert_int_equal(smq_hpke_seal(&s, none, smq_span_str("text"), a), SMQTT_OK);
    assert_int_equal(smq_hpke_seal(&s, none, smq_span_str("text"), b), SMQTT_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(smq_hpke_open(&r, none, smq_span_of(b, sizeof(b)), b),
                     SMQTT_E_BAD_TAG);                                                 /* out of turn; b is gone */
    assert_int_equal(smq_hpke_open(&r, none, smq_span_of(a, sizeof(a)), b), SMQTT_OK); /* its turn came back */
    assert_int_equal(smq_hpke_open(&r, none, smq_span_of(a, sizeof(a)), b), SMQTT_E_BAD_TAG); /* replayed */
    s.seq = r.seq = UINT64_MAX - 1;
    assert_int_equal(smq_hpke_seal(&s, none, smq_span_str("text"), a), SMQTT_OK);
    assert_int_equal(smq_hpke_open(&r, none, smq_span_of(a, sizeof(a)), a), SMQTT_OK);
    assert_int_equal(smq_hpke_seal(&s, none, smq_span_str("text"), a), SMQTT_E_SEQ_EXHAUSTED);
    assert_int_equal(smq_hpke_open(&r, none, smq_span_of(a, sizeof(a)), a), SMQTT_E_SEQ_EXHAUSTED);
    smq_hpke_deinit(&s);
    smq_hpke_deinit(&r);
}

static void test_export_and_deinit(void **state)
{
    (void)state;
    static uint8_t out[255 * SMQ_HASH_LEN + 1];
    static const struct smq_hpke zeroed;
    struct pair p;
    struct smq_hpke s;
    make_pair(&p, smq_suite_at(1));
    assert_int_equal(smq_hpke_setup_s(&s, lib, p.suite, p.pkR, p.skE, smq_span_str(""), NULL, p.enc), SMQTT_OK);
    assert_int_equal(smq_hpke_export(&s, smq_span_str("c"), out, sizeof(out)), SMQTT_E_USAGE);
    assert_int_equal(smq_hpke_export(&s, smq_span_str("c"), out, 65536 + 1), SMQTT_E_USAGE);
    assert_int_equal(smq_hpke_export(&s, smq_span_str("c"), out, sizeof(out) - 1), SMQTT_OK);
    smq_hpke_deinit(&s);
    assert_memory_equal(&s, &zeroed, sizeof(s));
    smq_hpke_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc9180),  cmocka_unit_test(test_wrong_inputs),      cmocka_unit_test(test_bad_setups),
        cmocka_unit_test(test_sequence), cmocka_unit_test(test_export_and_deinit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
