/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/defs.h"

static void every_row(void **state)
{
    (void)state;
    for (int i = 1; i < SMQTT_ERR_COUNT; i++) {
        smqtt_err err = (smqtt_err)i;
        const char *text = smqtt_strerror(err);
        assert_true(strlen(text) >= 10);
        assert_int_not_equal(text[strlen(text) - 1], '.');
        assert_true(text[0] >= 'a' && text[0] <= 'z');
        assert_true(strlen(smqtt_err_name(err)) > 0);
        assert_int_not_equal(smqtt_err_class(err), SMQTT_CLASS_OK);
        uint8_t reason = smqtt_err_reason(err);
        assert_true(reason == 0 || reason >= 0x80);
        if (smqtt_err_class(err) == SMQTT_CLASS_PEER) {
            assert_int_not_equal(reason, 0);
        }
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(text, smqtt_strerror((smqtt_err)j));
            assert_string_not_equal(smqtt_err_name(err), smqtt_err_name((smqtt_err)j));
        }
    }
}

static void known_rows_and_values_out_of_range(void **state)
{
    (void)state;
    assert_string_equal(smqtt_err_name(SMQTT_OK), "OK");
    assert_int_equal(smqtt_err_class(SMQTT_OK), SMQTT_CLASS_OK);
    assert_string_equal(smqtt_err_name(SMQTT_E_BAD_TOPIC), "BAD_TOPIC");
    assert_int_equal(smqtt_err_reason(SMQTT_E_BAD_TOPIC), 0x90);
    assert_int_equal(smqtt_err_class(SMQTT_E_AGAIN), SMQTT_CLASS_AGAIN);
    assert_string_equal(smqtt_err_name((smqtt_err)SMQTT_ERR_COUNT), "BUG");
    assert_int_equal(smqtt_err_class((smqtt_err)9999), SMQTT_CLASS_BUG);
    assert_non_null(smqtt_strerror((smqtt_err)9999));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(known_rows_and_values_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
