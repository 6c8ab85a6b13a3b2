/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/siphash.h"

/* Key 00 01 .. 0f, message 00 01 .. of the row's number of bytes; the published vectors, as numbers. */
static uint64_t of_len(uint64_t (*hash)(const uint8_t key[16], smq_span s), size_t len)
{
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    return hash(bytes, smq_span_of(bytes, len));
}

static void published_vectors_2_4(void **state)
{
    (void)state;
    static const uint64_t want[] = {
        UINT64_C(0x726fdb47dd0e0e31), UINT64_C(0x74f839c593dc67fd), UINT64_C(0x0d6c8009d9a94f5a),
        UINT64_C(0x85676696d7fb7e2d), UINT64_C(0xcf2794e0277187b7), UINT64_C(0x18765564cd99a68d),
        UINT64_C(0xcbc9466e58fee3ce), UINT64_C(0xab0200f58b01d137), UINT64_C(0x93f5f5799a932462),
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(want); i++) {
        assert_true(of_len(smq_siphash24, i) == want[i]);
    }
    assert_true(of_len(smq_siphash24, 15) == UINT64_C(0xa129ca6149be45e5)); /* appendix A of the paper */
    assert_true(of_len(smq_siphash24, 63) == UINT64_C(0x958a324ceb064572));
}

static void published_vectors_1_3(void **state)
{
    (void)state;
    static const uint64_t want[] = {
        UINT64_C(0xabac0158050fc4dc), UINT64_C(0xc9f49bf37d57ca93), UINT64_C(0x82cb9b024dc7d44d),
        UINT64_C(0x8bf80ab8e7ddf7fb), UINT64_C(0xcf75576088d38328), UINT64_C(0xdef9d52f49533b67),
        UINT64_C(0xc50d2b50c59f22a7), UINT64_C(0xd3927d989bb11140), UINT64_C(0x369095118d299a8e),
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(want); i++) {
        assert_true(of_len(smq_siphash13, i) == want[i]);
    }
}

static void key_matters(void **state)
{
    (void)state;
    uint8_t key[16] = {0};
    uint64_t before = smq_siphash13(key, smq_span_str("sensors/room1"));
    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = 1;
        assert_true(smq_siphash13(key, smq_span_str("sensors/room1")) != before);
        key[i] = 0;
    }
    assert_true(smq_siphash13(key, smq_span_of(NULL, 0)) != before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_2_4),
        cmocka_unit_test(published_vectors_1_3),
        cmocka_unit_test(key_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
