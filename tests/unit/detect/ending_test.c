/* SPDX-License-Identifier: Apache-2.0 */
/* Acknowledgement, close, RETRY (protocol.md 4.2, 4.5). */
#include "kit.h"

static struct kit kit;

static void check_ending(const struct smq_once *once, const struct smq_once *wrong, uint8_t header)
{
    uint8_t body[SMQ_ENDING_LEN + 1] = {0};
    uint8_t status = 0;
    smqtt_ms ts = 0;
    const uint8_t *th3 = kit.s3.th3;
    const smq_span whole = smq_span_of(body, SMQ_ENDING_LEN);
    assert_int_equal(smq_ending_write(kit.suite, once, header, kit.cid, th3, SMQTT_STATUS_CLOSED, KIT_TS1, body),
                     SMQTT_OK);
    assert_int_equal(smq_ending_read(kit.suite, once, header, kit.cid, th3, whole, &status, &ts), SMQTT_OK);
    assert_int_equal(status, SMQTT_STATUS_CLOSED);
    assert_int_equal(ts, KIT_TS1);
    for (size_t bit = 0; bit < 8 * SMQ_ENDING_LEN; bit++) {
        body[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_not_equal(smq_ending_read(kit.suite, once, header, kit.cid, th3, whole, &status, &ts), SMQTT_OK);
        body[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (size_t len = 0; len <= sizeof(body); len++) {
        smqtt_err err = smq_ending_read(kit.suite, once, header, kit.cid, th3, smq_span_of(body, len), &status, &ts);
        assert_int_equal(err == SMQTT_OK, len == SMQ_ENDING_LEN);
    }
    for (unsigned other = 0; other <= UINT8_MAX; other++) {
        smqtt_err err = smq_ending_read(kit.suite, once, (uint8_t)other, kit.cid, th3, whole, &status, &ts);
        assert_int_equal(err == SMQTT_OK, other == header);
    }
    assert_int_equal(smq_ending_read(kit.suite, wrong, header, kit.cid, th3, whole, &status, &ts), SMQTT_E_BAD_TAG);
    assert_int_equal(smq_ending_read(kit.suite, once, header, kit.cid, kit.s3.ctx, whole, &status, &ts),
                     SMQTT_E_BAD_TAG);
}

static void test_endings(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        kit_run(&kit, suite, KIT_ANON, 1);
        struct smq_channel *s = kit_session(&kit, false, 64, 10);
        check_ending(&s->ack, &s->close, 0x0E);
        check_ending(&s->close, &s->ack, 0x06);
        smq_channel_free(s);
        kit_deinit(&kit);
    }
}

static void test_retry(void **state)
{
    (void)state;
    const struct smq_retry in = {1, {1, 2, 3, 4, 5, 6, 7, 8}, 0x21, 0x0102030405060708, smq_span_str("cookie"), 3};
    static const uint8_t want[] = {0xD1, 1, 1, 2, 3, 4, 5,   6,   7,   8,   0x21, 1,   2, 3,
                                   4,    5, 6, 7, 8, 6, 'c', 'o', 'o', 'k', 'i',  'e', 0, 3};
    uint8_t body[SMQ_RETRY_MAX + 1];
    struct smq_retry out;
    assert_int_equal(smq_retry_write(&in, body), sizeof(want));
    assert_memory_equal(body, want, sizeof(want));
    assert_int_equal(smq_retry_read(smq_span_of(want, sizeof(want)), &out), SMQTT_OK);
    assert_int_equal(out.code, 0x21);
    assert_int_equal(out.ts2, in.ts2);
    assert_int_equal(out.suites, 3);
    assert_true(smq_span_equal(out.cookie, in.cookie));
    for (size_t len = 0; len < sizeof(want); len++) {
        assert_int_equal(smq_retry_read(smq_span_of(want, len), &out), SMQTT_E_MALFORMED);
    }
    assert_int_equal(smq_retry_read(smq_span_of(body, sizeof(want) + 1), &out), SMQTT_E_MALFORMED);
    body[0] = 0xD0;
    assert_int_equal(smq_retry_read(smq_span_of(body, sizeof(want)), &out), SMQTT_E_MALFORMED);
    uint8_t cookie[SMQ_COOKIE_MAX + 1] = {0};
    struct smq_retry longest = in;
    longest.cookie = smq_span_of(cookie, SMQ_COOKIE_MAX);
    assert_int_equal(smq_retry_read(smq_span_of(body, smq_retry_write(&longest, body)), &out), SMQTT_OK);
    longest.cookie.len++;
    assert_int_equal(smq_retry_read(smq_span_of(body, smq_retry_write(&longest, body)), &out), SMQTT_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_retry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
