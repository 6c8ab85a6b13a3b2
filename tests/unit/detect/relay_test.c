/* SPDX-License-Identifier: Apache-2.0 */
/* What the broker sees of DETECT, and the registration of servers (protocol.md 9). */
#include "detect/relay.h"

#include "kit.h"

static void test_heads(void **state)
{
    (void)state;
    uint8_t body[40];
    for (unsigned i = 0; i < sizeof(body); i++) {
        body[i] = (uint8_t)(i + 100);
    }
    body[0] = 0xD1;
    for (unsigned header = 0; header <= UINT8_MAX; header++) {
        bool step0 = header == 0x01 || header == 0x03;
        bool suite = step0 || header == 0x02 || header == 0x04 || header == 0x0C;
        bool skid = step0 || header == 0x07 || header == 0x0F;
        bool known = suite || skid || header == 0x0E || header == 0x06;
        size_t cid_at = step0 ? 4 : suite ? 2 : 1;
        size_t least = cid_at + 8 + (skid ? 8 : 0);
        for (size_t len = 0; len <= sizeof(body); len++) {
            struct smq_relay_head head;
            smqtt_err err = smq_relay_head_read((uint8_t)header, smq_span_of(body, len), &head);
            assert_int_equal(err, known && len >= least ? SMQTT_OK : SMQTT_E_MALFORMED);
            if (err == SMQTT_OK) {
                assert_int_equal(head.suite, suite ? body[1] : 0);
                assert_memory_equal(head.cid, body + cid_at, 8);
                assert_int_equal(head.has_skid, skid);
                assert_true(!skid || memcmp(head.skid, body + cid_at + 8, 8) == 0);
            }
        }
        struct smq_relay_head head;
        body[0] = 0xD0;
        assert_int_equal(smq_relay_head_read((uint8_t)header, smq_span_of(body, 40), &head), SMQTT_E_MALFORMED);
        body[0] = 0xD1;
    }
}

static void test_retry(void **state)
{
    (void)state;
    const struct smq_relay_head head = {2, {1, 2, 3, 4, 5, 6, 7, 8}, true, {0}};
    static const uint8_t want[] = {0xD1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0x20, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    uint8_t out[SMQ_RETRY_MAX];
    assert_int_equal(smq_relay_retry_write(&head, 0x20, 256, out), sizeof(want));
    assert_memory_equal(out, want, sizeof(want));
}

/** Every bit and length of a payload matters to the proof's check. */
static void check_proof(const struct smqtt_identity *id, const uint8_t *challenge)
{
    uint8_t out[SMQ_REGISTER_MAX + 1] = {0};
    uint8_t skid[SMQTT_SKID_LEN];
    uint8_t wrong[SMQ_CHALLENGE_LEN] = {0};
    size_t len = 0;
    const smq_span name = smq_span_str("server-1");
    assert_int_equal(smq_register_proof_write(id, challenge, name, out, &len), SMQTT_OK);
    const smq_span whole = smq_span_of(out, len);
    assert_int_equal(len, 2 + 8 + 64);
    assert_int_equal(smq_register_proof_skid(whole, skid), SMQTT_OK);
    assert_memory_equal(skid, id->skid, SMQTT_SKID_LEN);
    assert_int_equal(smq_register_proof_check(whole, id, challenge, name), SMQTT_OK);
    assert_int_equal(smq_register_proof_check(whole, id, wrong, name), SMQTT_E_BAD_SIGNATURE);
    assert_int_equal(smq_register_proof_check(whole, id, challenge, smq_span_str("server-2")), SMQTT_E_BAD_SIGNATURE);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        out[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_not_equal(smq_register_proof_check(whole, id, challenge, name), SMQTT_OK);
        out[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (size_t cut = 0; cut <= len + 1; cut++) {
        assert_int_equal(smq_register_proof_check(smq_span_of(out, cut), id, challenge, name) == SMQTT_OK, cut == len);
        assert_int_equal(smq_register_proof_skid(smq_span_of(out, cut), skid) == SMQTT_OK, cut == len);
    }
    uint8_t content[32 + 8 + 2 + 8];
    uint8_t text[KIT_TEXT_MAX];
    memcpy(content, challenge, 32);
    memcpy(content + 32, id->skid, 8);
    memcpy(content + 40, "\0\x08server-1", 10);
    const smq_span message = smq_span_of(text, kit_signed("register", smq_span_of(content, sizeof(content)), text));
    assert_int_equal(smq_crypto_openssl.verify(id->suite->sign, id->pk_sig, &message, 1, out + 10), SMQTT_OK);
}

static void test_registration(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct smqtt_identity *id = kit_identity(smq_suite_by_id(suite), "server", 1);
        struct smqtt_identity *back = NULL;
        uint8_t payload[600] = {0xD1, 0x01};
        uint8_t challenge[SMQ_CHALLENGE_LEN];
        uint8_t got[SMQ_CHALLENGE_LEN];
        uint8_t out[SMQ_REGISTER_MAX];
        uint8_t status = 0;
        uint64_t seed = 3;
        kit_fill(&seed, challenge, sizeof(challenge));
        memcpy(payload + 2, id->descriptor, id->len);
        const smq_span whole = smq_span_of(payload, 2 + id->len);
        assert_int_equal(smq_register_read(NULL, whole, 1000, &back), SMQTT_OK);
        assert_memory_equal(back->did, id->did, SMQTT_DID_LEN);
        assert_int_equal(smq_register_proof_write(back, challenge, smq_span_str("c"), out, &(size_t){0}),
                         SMQTT_E_USAGE);
        smqtt_identity_free(back);
        assert_int_equal(smq_register_read(NULL, whole, 999, &back), SMQTT_E_EXPIRED);
        payload[whole.len - 1] ^= 1;
        assert_int_equal(smq_register_read(NULL, whole, 1000, &back), SMQTT_E_BAD_SIGNATURE);
        payload[1] = 2;
        assert_int_equal(smq_register_read(NULL, whole, 1000, &back), SMQTT_E_MALFORMED);
        size_t len = smq_register_challenge_write(id->skid, challenge, out);
        assert_int_equal(len, 42);
        assert_int_equal(smq_register_challenge_read(smq_span_of(out, len), id->skid, got), SMQTT_OK);
        assert_memory_equal(got, challenge, sizeof(got));
        assert_int_equal(smq_register_challenge_read(smq_span_of(out, len - 1), id->skid, got), SMQTT_E_MALFORMED);
        out[2] ^= 1;
        assert_int_equal(smq_register_challenge_read(smq_span_of(out, len), id->skid, got), SMQTT_E_MALFORMED);
        check_proof(id, challenge);
        len = smq_register_result_write(id->skid, 4, out);
        assert_int_equal(len, 11);
        assert_int_equal(smq_register_result_read(smq_span_of(out, len), id->skid, &status), SMQTT_OK);
        assert_int_equal(status, 4);
        assert_int_equal(smq_register_result_read(smq_span_of(out, len + 1), id->skid, &status), SMQTT_E_MALFORMED);
        out[9] ^= 1;
        assert_int_equal(smq_register_result_read(smq_span_of(out, len), id->skid, &status), SMQTT_E_MALFORMED);
        smqtt_identity_free(id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_registration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
