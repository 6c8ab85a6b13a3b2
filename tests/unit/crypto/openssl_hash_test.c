/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/lib.h"
#include "vectors.h"

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;

static void run(bool is_mac, smq_span key, const smq_span *parts, size_t n, const uint8_t *want)
{
    uint8_t out[SMQ_HASH_LEN];
    assert_int_equal(is_mac ? lib->hmac(key, parts, n, out) : lib->sha256(parts, n, out), SMQTT_OK);
    assert_memory_equal(out, want, sizeof(out));
}

static void test_vectors(void **state)
{
    (void)state;
    struct vectors v;
    uint8_t key[160];
    uint8_t msg[160];
    uint8_t want[SMQ_HASH_LEN];
    vectors_open(&v, "hash.txt");
    while (vectors_next(&v)) {
        size_t key_len = vectors_hex(&v, "key", key, sizeof(key));
        size_t len = vectors_hex(&v, "msg", msg, sizeof(msg));
        bool is_mac = vectors_is(&v, "alg", "hmac");
        assert_true(is_mac || vectors_is(&v, "alg", "sha256"));
        vectors_bytes(&v, "out", want, sizeof(want));
        for (size_t cut = 0; cut <= len; cut++) { /* however it is cut up */
            const smq_span parts[] = {smq_span_of(msg, cut), {NULL, 0}, smq_span_of(msg + cut, len - cut)};
            run(is_mac, smq_span_of(key, key_len), parts, SMQ_ARRAY_LEN(parts), want);
        }
    }
    vectors_close(&v, 9);
}

/* An empty key after another one: nothing of that may be left. */
static void test_empty_key(void **state)
{
    (void)state;
    uint8_t a[SMQ_HASH_LEN];
    uint8_t b[SMQ_HASH_LEN];
    uint8_t zeros[64] = {0};
    const smq_span msg = smq_span_str("message");
    assert_int_equal(lib->hmac(smq_span_str("another key"), &msg, 1, a), SMQTT_OK);
    assert_int_equal(lib->hmac((smq_span){NULL, 0}, &msg, 1, b), SMQTT_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(lib->hmac(smq_span_of(zeros, sizeof(zeros)), &msg, 1, a), SMQTT_OK);
    assert_memory_equal(a, b, sizeof(a));
}

static void test_no_parts(void **state)
{
    (void)state;
    static const uint8_t empty[] = {0xe3, 0xb0, 0xc4, 0x42};
    uint8_t out[SMQ_HASH_LEN];
    assert_int_equal(lib->sha256(NULL, 0, out), SMQTT_OK);
    assert_memory_equal(out, empty, sizeof(empty));
}

/* Several HMACs on one context: the key stays until there is another, the empty one too. */
static void test_mac_context(void **state)
{
    (void)state;
    const smq_span keys[] = {smq_span_str("key"), {NULL, 0}, smq_span_str("another")};
    const smq_span msgs[] = {smq_span_str("first"), smq_span_str(""), smq_span_str("third")};
    struct smq_mac *mac = lib->mac_new();
    assert_non_null(mac);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(keys); i++) {
        for (size_t k = 0; k < SMQ_ARRAY_LEN(msgs); k++) {
            uint8_t want[SMQ_HASH_LEN];
            uint8_t out[SMQ_HASH_LEN] = {0};
            assert_int_equal(lib->hmac(keys[i], &msgs[k], 1, want), SMQTT_OK);
            assert_int_equal(lib->mac(mac, k == 0 ? &keys[i] : NULL, &msgs[k], 1, out), SMQTT_OK);
            assert_memory_equal(out, want, sizeof(out));
        }
    }
    lib->mac_free(mac);
    lib->mac_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_empty_key),
        cmocka_unit_test(test_no_parts),
        cmocka_unit_test(test_mac_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
