/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/identity.h"

#include <stdio.h>
#include <stdlib.h>

#include "../failing_mem.h"
#include "base/hex.h"
#include "kit.h"

static const char *const SUITES[] = {"x25519", "p256"};

static bool counter_fill(void *ctx, uint8_t *out, size_t len)
{
    kit_fill(ctx, out, len);
    return true;
}

static bool no_fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 0, len);
    return false;
}

static struct smqtt_identity *new_ok(const char *suite, const char *name, uint64_t seed)
{
    const struct smqtt_rng rng = {counter_fill, &seed};
    struct smqtt_identity *id = NULL;
    assert_int_equal(smqtt_identity_new(NULL, &rng, suite, name, 0, 1000, 5000, &id), SMQTT_OK);
    return id;
}

static smqtt_err read_text(const char *text, size_t len, struct smqtt_identity **out)
{
    char *copy = malloc(len + (len == 0)); /* so that a sanitizer sees who reads behind it */
    assert_non_null(copy);
    memcpy(copy, text, len);
    smqtt_err err = smqtt_identity_read(NULL, smq_span_of(copy, len), out);
    free(copy);
    return err;
}

static void test_new_and_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(SUITES); i++) {
        char line[SMQTT_IDENTITY_TEXT_MAX];
        char file[SMQTT_IDENTITY_TEXT_MAX];
        char print[2][SMQTT_FINGERPRINT_SIZE];
        struct smqtt_identity *id = new_ok(SUITES[i], "sensors-server", 1);
        struct smqtt_identity *back = NULL;
        assert_true(smqtt_identity_has_private(id));
        assert_string_equal(smqtt_identity_suite(id), SUITES[i]);
        assert_int_equal(smqtt_identity_public_text(id, line, sizeof(line)), SMQTT_OK);
        assert_int_equal(smqtt_identity_private_text(id, file, sizeof(file)), SMQTT_OK);
        assert_int_equal(read_text(line, strlen(line), &back), SMQTT_OK);
        assert_false(smqtt_identity_has_private(back));
        assert_string_equal(smqtt_identity_name(back), "sensors-server");
        assert_memory_equal(smqtt_identity_did(back), smqtt_identity_did(id), SMQTT_DID_LEN);
        assert_memory_equal(smqtt_identity_skid(back), smqtt_identity_skid(id), SMQTT_SKID_LEN);
        assert_int_equal(smqtt_identity_private_text(back, file + 1, sizeof(file) - 1), SMQTT_E_USAGE);
        smqtt_identity_fingerprint(id, print[0]);
        smqtt_identity_fingerprint(back, print[1]);
        assert_string_equal(print[0], print[1]);
        assert_int_equal(strlen(print[0]), 39);
        smqtt_identity_free(back);
        assert_int_equal(smqtt_identity_private_text(id, file, sizeof(file)), SMQTT_OK);
        assert_int_equal(read_text(file, strlen(file), &back), SMQTT_OK);
        assert_memory_equal(back->sk_kem, id->sk_kem, SMQ_SK_LEN);
        assert_memory_equal(back->sk_sig, id->sk_sig, SMQ_SK_LEN);
        smqtt_identity_free(back);
        assert_int_equal(smqtt_identity_public_text(id, line, strlen(line)), SMQTT_E_FULL);
        assert_int_equal(smqtt_identity_private_text(id, file, strlen(file)), SMQTT_E_FULL);
        assert_ptr_equal(smqtt_identity_ref(id), id);
        smqtt_identity_free(id);
        smqtt_identity_free(id);
    }
    assert_null(smqtt_identity_ref(NULL));
    smqtt_identity_free(NULL);
}

/** skid, did and fingerprint by protocol.md 3. */
static void test_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(SUITES); i++) {
        struct smqtt_identity *id = new_ok(SUITES[i], "n", 2);
        smq_span d = smqtt_identity_descriptor(id);
        size_t npk = id->suite->npk;
        assert_int_equal(d.len, 24 + 1 + 1 + 2 * npk + 2 + 64);
        const uint8_t head[] = {1, id->suite->id, 0, 0, 0, 0, 0, 1, 0,    0,    0, 0,  0, 0,
                                3, 0xE8,          0, 0, 0, 0, 0, 0, 0x13, 0x88, 1, 'n'};
        assert_memory_equal(d.data, head, sizeof(head));
        uint8_t hash[32];
        const smq_span core = smq_span_of(d.data, d.len - 64);
        kit_hash(&core, 1, hash);
        assert_memory_equal(smqtt_identity_did(id), hash, 32);
        char base32[SMQ_BASE32_LEN(20) + 1];
        char print[SMQTT_FINGERPRINT_SIZE];
        smq_base32_encode(base32, smq_span_of(hash, 20), false);
        smqtt_identity_fingerprint(id, print);
        for (size_t j = 0; j < 39; j++) {
            assert_int_equal(print[j], j % 5 == 4 ? '-' : base32[j - j / 5]);
        }
        const smq_span skid[] = {smq_span_str("smqtt1 skid"), smq_span_of(&id->suite->id, 1),
                                 smq_span_of(d.data + 26, 2 * npk)};
        kit_hash(skid, 3, hash);
        assert_memory_equal(smqtt_identity_skid(id), hash, 8);
        smqtt_identity_free(id);
    }
}

static void test_new_refused(void **state)
{
    (void)state;
    uint64_t seed = 3;
    const struct smqtt_rng rng = {counter_fill, &seed};
    const struct smqtt_rng broken = {no_fill, NULL};
    struct smqtt_identity *id = NULL;
    char name[65];
    memset(name, 'x', 64);
    name[64] = 0;
    assert_int_equal(smqtt_identity_new(NULL, &rng, "rsa", "n", 0, 0, 0, &id), SMQTT_E_SUITE);
    assert_int_equal(smqtt_identity_new(NULL, &rng, "p256", name, 0, 0, 0, &id), SMQTT_E_BAD_IDENTITY);
    assert_int_equal(smqtt_identity_new(NULL, &rng, "p256", "", 0, 0, 0, &id), SMQTT_E_BAD_IDENTITY);
    assert_int_equal(smqtt_identity_new(NULL, &rng, "p256", "a\xFF", 0, 0, 0, &id), SMQTT_E_BAD_IDENTITY);
    assert_int_equal(smqtt_identity_new(NULL, &rng, "p256", "a\x01", 0, 0, 0, &id), SMQTT_E_BAD_IDENTITY);
    assert_int_equal(smqtt_identity_new(NULL, &rng, "p256", "n", 2, 0, 0, &id), SMQTT_E_BAD_IDENTITY);
    assert_int_equal(smqtt_identity_new(NULL, &rng, "p256", "n", 0, 9, 9, &id), SMQTT_E_BAD_IDENTITY);
    assert_int_equal(smqtt_identity_new(NULL, &broken, "p256", "n", 0, 0, 0, &id), SMQTT_E_RNG);
    assert_null(id);
    name[63] = 0;
    assert_int_equal(smqtt_identity_new(NULL, &rng, "p256", name, 1, 0, 0, &id), SMQTT_OK);
    assert_int_equal(smqtt_identity_flags(id), 1);
    smqtt_identity_free(id);
}

static void test_validity(void **state)
{
    (void)state;
    struct smqtt_identity *id = new_ok("x25519", "n", 4);
    assert_false(smqtt_identity_valid_at(id, 999));
    assert_true(smqtt_identity_valid_at(id, 1000));
    assert_true(smqtt_identity_valid_at(id, 5000));
    assert_false(smqtt_identity_valid_at(id, 5001));
    smqtt_identity_free(id);
    id = kit_identity(smq_suite_by_id(1), "forever", 4);
    assert_true(smqtt_identity_valid_at(id, UINT64_MAX));
    smqtt_identity_free(id);
}

/** Every character of a text is replaced: by one that is none of base64url, and by one that differs in two bits. (One
 * would not do: X25519 does not look at some.) */
static void check_damage(char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        char was = text[i];
        const char *digit = strchr(digits, was);
        const char by[] = {'!', digit != NULL ? digits[(size_t)(digit - digits) ^ 36] : '?'};
        for (size_t j = 0; j < 2; j++) {
            struct smqtt_identity *id = NULL;
            text[i] = by[j];
            assert_int_not_equal(read_text(text, len, &id), SMQTT_OK);
            assert_null(id);
        }
        text[i] = was;
        struct smqtt_identity *id = NULL;
        if (i + 1 < len) { /* the file's last line feed may be missing */
            assert_int_not_equal(read_text(text, i, &id), SMQTT_OK);
        }
    }
}

static void test_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(SUITES); i++) {
        char text[SMQTT_IDENTITY_TEXT_MAX];
        struct smqtt_identity *id = new_ok(SUITES[i], "server", 5);
        assert_int_equal(smqtt_identity_public_text(id, text, sizeof(text)), SMQTT_OK);
        check_damage(text);
        assert_int_equal(smqtt_identity_private_text(id, text, sizeof(text)), SMQTT_OK);
        check_damage(text);
        smqtt_identity_free(id);
    }
}

static void test_descriptor_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(SUITES); i++) {
        struct smqtt_identity *id = new_ok(SUITES[i], "server", 6);
        uint8_t bytes[SMQ_DESCRIPTOR_MAX + 1] = {0};
        size_t len = id->len;
        struct smqtt_identity *back = NULL;
        memcpy(bytes, id->descriptor, len);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            assert_int_not_equal(smqtt_identity_read_descriptor(NULL, smq_span_of(bytes, len), &back), SMQTT_OK);
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
            smqtt_err err = smqtt_identity_read_descriptor(NULL, smq_span_of(bytes, cut), &back);
            assert_int_equal(err == SMQTT_OK, cut == len);
        }
        smqtt_identity_free(back);
        smqtt_identity_free(id);
    }
}

/** A descriptor whose TLV list is `tlvs`, signed well. */
static smqtt_err read_with_tlvs(const struct smqtt_identity *id, const char *tlvs, size_t tlvs_len)
{
    uint8_t bytes[1024];
    uint8_t did[32];
    uint8_t text[KIT_TEXT_MAX];
    struct smq_wr wr = smq_wr_of(bytes, sizeof(bytes));
    smq_wr_bytes(&wr, id->descriptor, id->len - 64 - 2);
    smq_wr_bytes(&wr, tlvs, tlvs_len);
    const smq_span core = smq_wr_span(&wr);
    kit_hash(&core, 1, did);
    const smq_span whole = smq_span_of(text, kit_signed("descriptor", smq_span_of(did, 32), text));
    uint8_t sig[64];
    assert_int_equal(smq_crypto_openssl.sign(id->suite->sign, id->sk_sig, NULL, &whole, 1, sig), SMQTT_OK);
    smq_wr_bytes(&wr, sig, 64);
    struct smqtt_identity *back = NULL;
    smqtt_err err = smqtt_identity_read_descriptor(NULL, smq_wr_span(&wr), &back);
    if (err == SMQTT_OK) {
        assert_memory_equal(back->did, did, 32);
    }
    smqtt_identity_free(back);
    return err;
}

static void test_tlvs(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(SUITES); i++) {
        struct smqtt_identity *id = new_ok(SUITES[i], "server", 7);
        assert_int_equal(read_with_tlvs(id, "\0\0", 2), SMQTT_OK);
        assert_int_equal(read_with_tlvs(id, "\0\4\x05\0\1z", 6), SMQTT_OK);
        assert_int_equal(read_with_tlvs(id, "\0\7\x05\0\1z\x7F\0\0", 9), SMQTT_OK);
        assert_int_equal(read_with_tlvs(id, "\0\4\x80\0\1z", 6), SMQTT_E_BAD_IDENTITY);
        assert_int_equal(read_with_tlvs(id, "\0\6\x05\0\0\x05\0\0", 8), SMQTT_E_BAD_IDENTITY);
        assert_int_equal(read_with_tlvs(id, "\0\6\x06\0\0\x05\0\0", 8), SMQTT_E_BAD_IDENTITY);
        assert_int_equal(read_with_tlvs(id, "\0\3\x05\0\1z", 6), SMQTT_E_BAD_IDENTITY);
        assert_int_equal(read_with_tlvs(id, "\0\0z", 3), SMQTT_E_BAD_IDENTITY);
        smqtt_identity_free(id);
    }
}

static void test_mismatch(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(SUITES); i++) {
        char a[SMQTT_IDENTITY_TEXT_MAX];
        char b[SMQTT_IDENTITY_TEXT_MAX];
        char mixed[2 * SMQTT_IDENTITY_TEXT_MAX];
        struct smqtt_identity *ids[] = {new_ok(SUITES[i], "a", 8), new_ok(SUITES[i], "b", 9)};
        struct smqtt_identity *back = NULL;
        assert_int_equal(smqtt_identity_private_text(ids[0], a, sizeof(a)), SMQTT_OK);
        assert_int_equal(smqtt_identity_private_text(ids[1], b, sizeof(b)), SMQTT_OK);
        char *kem_a = strstr(a, "kem:");
        char *kem_b = strstr(b, "kem:");
        (void)snprintf(mixed, sizeof(mixed), "%.*s%s", (int)(kem_a - a), a, kem_b);
        assert_int_equal(read_text(mixed, strlen(mixed), &back), SMQTT_E_BAD_IDENTITY);
        (void)snprintf(mixed, sizeof(mixed), "%.*s%s", (int)(strstr(a, "sign:") - a), a, strstr(b, "sign:"));
        assert_int_equal(read_text(mixed, strlen(mixed), &back), SMQTT_E_BAD_IDENTITY);
        (void)snprintf(mixed, sizeof(mixed), "# mine\n%s\n# end", a);
        assert_int_equal(read_text(mixed, strlen(mixed), &back), SMQTT_OK);
        smqtt_identity_free(back);
        back = NULL;
        (void)snprintf(mixed, sizeof(mixed), "%skem: AAAA\n", a); /* a line twice */
        assert_int_equal(read_text(mixed, strlen(mixed), &back), SMQTT_E_BAD_IDENTITY);
        assert_int_equal(smqtt_identity_public_text(ids[0], a, sizeof(a)), SMQTT_OK);
        (void)snprintf(mixed, sizeof(mixed), "smqtt-%s%s", SUITES[1 - i], strchr(a, ' '));
        assert_int_equal(read_text(mixed, strlen(mixed), &back), SMQTT_E_BAD_IDENTITY);
        (void)snprintf(mixed, sizeof(mixed), "%s the server of hall 3\n", a);
        assert_int_equal(read_text(mixed, strlen(mixed), &back), SMQTT_OK);
        smqtt_identity_free(back);
        smqtt_identity_free(ids[0]);
        smqtt_identity_free(ids[1]);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct failing_mem fm;
    uint64_t seed = 10;
    const struct smqtt_rng rng = {counter_fill, &seed};
    failing_mem_init(&fm);
    for (size_t nth = 1;; nth++) {
        struct smqtt_identity *id = NULL;
        failing_mem_arm(&fm, nth);
        smqtt_err err = smqtt_identity_new(&fm.mem, &rng, "x25519", "n", 0, 0, 0, &id);
        assert_int_equal(err, failing_mem_has_failed(&fm) ? SMQTT_E_NOMEM : SMQTT_OK);
        smqtt_identity_free(id);
        assert_int_equal(fm.live, 0);
        if (!failing_mem_has_failed(&fm)) {
            break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_and_read), cmocka_unit_test(test_ids),      cmocka_unit_test(test_new_refused),
        cmocka_unit_test(test_validity),     cmocka_unit_test(test_damage),   cmocka_unit_test(test_descriptor_bits),
        cmocka_unit_test(test_tlvs),         cmocka_unit_test(test_mismatch), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
