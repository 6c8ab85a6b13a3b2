/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/crc32c.h"

/* RFC 3720 appendix B.4. */
static void knows_the_answers_of_the_rfc(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    assert_int_equal(smq_crc32c(0, smq_span_of(bytes, 32)), 0x8A9136AA);
    memset(bytes, 0xFF, 32);
    assert_int_equal(smq_crc32c(0, smq_span_of(bytes, 32)), 0x62A8AB43);
    for (uint8_t i = 0; i < 32; i++) {
        bytes[i] = i;
    }
    assert_int_equal(smq_crc32c(0, smq_span_of(bytes, 32)), 0x46DD794E);
    assert_int_equal(smq_crc32c(0, smq_span_str("123456789")), 0xE3069283);
}

static void goes_on_where_it_ended(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 9; cut++) {
        uint32_t crc = smq_crc32c(0, smq_span_of("123456789", cut));
        assert_int_equal(smq_crc32c(crc, smq_span_str(&"123456789"[cut])), 0xE3069283);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_answers_of_the_rfc),
        cmocka_unit_test(goes_on_where_it_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
