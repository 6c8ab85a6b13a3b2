/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts, notices, and the topics they travel on (protocol.md 6.5, 6.6). */
#include "kit.h"

static void test_receipts(void **state)
{
    (void)state;
    uint8_t bytes[65 * SMQ_RECEIPT_LEN] = {0};
    struct smq_wr wr = smq_wr_of(bytes, sizeof(bytes));
    const struct smq_receipt in = {{1, 2, 3, 4}, 0x0506070809, SMQTT_STATUS_MOJIBAKE, 1};
    static const uint8_t want[] = {1, 2, 3, 4, 0, 0, 0, 5, 6, 7, 8, 9, 1, 1};
    smq_receipt_write(&in, &wr);
    assert_int_equal(wr.len, sizeof(want));
    assert_memory_equal(bytes, want, sizeof(want));
    struct smq_receipt out;
    struct smq_rd rd = smq_rd_of(smq_wr_span(&wr));
    smq_receipt_read(&rd, &out);
    assert_true(smq_rd_done(&rd));
    assert_memory_equal(out.kid, in.kid, SMQ_KID_LEN);
    assert_int_equal(out.seq, in.seq);
    assert_int_equal(out.status, in.status);
    assert_int_equal(out.flag, 1);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        assert_int_equal(smq_receipts_ok(smq_span_of(bytes, len)), len != 0 && len % 14 == 0 && len <= 64 * 14);
    }
}

static void test_notice(void **state)
{
    (void)state;
    static const uint8_t kid[] = {0xA, 0xB, 0xC, 0xD};
    static const uint8_t other[] = {0xA, 0xB, 0xC, 0xE};
    const uint8_t nonce[SMQ_NOTICE_NONCE_LEN] = {7};
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct smqtt_identity *id = kit_identity(smq_suite_by_id(suite), "server", 1);
        struct smqtt_identity *stranger = kit_identity(smq_suite_by_id(suite), "server", 2);
        uint8_t notice[SMQ_NOTICE_LEN + 1] = {0};
        uint8_t content[SMQTT_SKID_LEN + 28];
        uint8_t text[KIT_TEXT_MAX];
        smqtt_ms ts = 0;
        const smq_span whole = smq_span_of(notice, SMQ_NOTICE_LEN);
        assert_int_equal(smq_notice_write(id, kid, nonce, KIT_TS1, notice), SMQTT_OK);
        assert_int_equal(smq_notice_read(id, kid, whole, &ts), SMQTT_OK);
        assert_int_equal(ts, KIT_TS1);
        memcpy(content, id->skid, SMQTT_SKID_LEN);
        memcpy(content + SMQTT_SKID_LEN, notice + 2, 28);
        const smq_span message = smq_span_of(text, kit_signed("notice", smq_span_of(content, sizeof(content)), text));
        assert_int_equal(smq_crypto_openssl.verify(id->suite->sign, id->pk_sig, &message, 1, notice + 30), SMQTT_OK);
        assert_int_equal(smq_notice_read(stranger, kid, whole, &ts), SMQTT_E_BAD_SIGNATURE);
        assert_int_equal(smq_notice_read(id, other, whole, &ts), SMQTT_E_MALFORMED);
        for (size_t bit = 0; bit < 8 * SMQ_NOTICE_LEN; bit++) {
            notice[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            assert_int_not_equal(smq_notice_read(id, kid, whole, &ts), SMQTT_OK);
            notice[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        for (size_t len = 0; len <= sizeof(notice); len++) {
            assert_int_equal(smq_notice_read(id, kid, smq_span_of(notice, len), &ts) == SMQTT_OK,
                             len == SMQ_NOTICE_LEN);
        }
        smqtt_identity_free(id);
        smqtt_identity_free(stranger);
    }
}

static void test_topics(void **state)
{
    (void)state;
    static const uint8_t skid[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF};
    char out[SMQ_OWN_TOPIC_MAX];
    size_t len = smq_own_topic(smq_span_of(NULL, 0), skid, 's', smq_span_of(skid, 8), out);
    assert_int_equal(len, 42);
    assert_memory_equal(out, "smqtt1/0123456789abcdef/s/0123456789abcdef", len);
    len = smq_own_topic(smq_span_of(NULL, 0), skid, 'n', smq_span_of(skid, 4), out);
    assert_int_equal(len, 34);
    assert_memory_equal(out, "smqtt1/0123456789abcdef/n/01234567", len);
    len = smq_own_topic(smq_span_str("plant/s1"), skid, 'd', smq_span_of(NULL, 0), out);
    assert_int_equal(len, 27);
    assert_memory_equal(out, "plant/s1/0123456789abcdef/d", len);
    assert_int_equal(smq_kid_u32(skid), 0x01234567);
}

/** protocol.md 9.6: at most 24 bytes and two levels, no wildcards, no `$`. */
static void test_prefixes(void **state)
{
    (void)state;
    static const char *const good[] = {"", "s", "plant/s1", "123456789012345678901234"};
    static const char *const bad[] = {"1234567890123456789012345", "a/b/c", "$SYS", "/a", "a/", "a/+", "#", "a\xff"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(good); i++) {
        assert_true(smq_prefix_ok(smq_span_str(good[i])));
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        assert_false(smq_prefix_ok(smq_span_str(bad[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipts),
        cmocka_unit_test(test_notice),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
