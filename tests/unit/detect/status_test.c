/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/status.h"

#include "../test.h"
#include "base/defs.h"

/* protocol.md 10, written a second time. */
static const struct {
    uint8_t code;
    const char *name;
    bool sealed;
    smqtt_err err;
} ROWS[] = {
    {0x00, "OK", true, SMQTT_E_CLOSED},
    {0x01, "MOJIBAKE", true, SMQTT_E_MOJIBAKE},
    {0x02, "HASH_MISMATCH", true, SMQTT_E_HASH_MISMATCH},
    {0x03, "DELAY", true, SMQTT_E_DELAY},
    {0x04, "NOT_AUTHORIZED", true, SMQTT_E_NOT_AUTHORIZED},
    {0x05, "REKEY_REQUIRED", true, SMQTT_E_CLOSED},
    {0x07, "CLOSED", true, SMQTT_E_CLOSED},
    {0x08, "EXPIRED", true, SMQTT_E_EXPIRED},
    {0x20, "UNKNOWN_SERVER", false, SMQTT_E_UNKNOWN_SERVER},
    {0x21, "COOKIE", false, SMQTT_E_REFUSED},
    {0x22, "SUITE", false, SMQTT_E_SUITE},
    {0x23, "BUSY", false, SMQTT_E_BUSY},
    {0x24, "REFUSED", false, SMQTT_E_REFUSED},
};

static void test_rows(void **state)
{
    (void)state;
    size_t named = 0;
    for (unsigned code = 0; code <= UINT8_MAX; code++) {
        named += strcmp(smqtt_status_name((uint8_t)code), "UNKNOWN") != 0;
        assert_true(strlen(smqtt_status_text((uint8_t)code)) > 10);
        assert_int_not_equal(smq_status_err((uint8_t)code), SMQTT_OK);
    }
    assert_int_equal(named, SMQ_ARRAY_LEN(ROWS));
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ROWS); i++) {
        assert_string_equal(smqtt_status_name(ROWS[i].code), ROWS[i].name);
        assert_int_equal(smq_status_err(ROWS[i].code), ROWS[i].err);
        assert_int_equal(ROWS[i].code < SMQ_STATUS_HINT, ROWS[i].sealed);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(smqtt_status_text(ROWS[i].code), smqtt_status_text(ROWS[j].code));
        }
    }
    assert_int_equal(smq_status_err(0x99), SMQTT_E_CLOSED);
}

static void test_def(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        int authenticated;
        unsigned v5;
    } def[] = {
#define STATUS(name, code, authenticated, v5, text) {code, authenticated, v5},
#include <smqtt/status.def>
#undef STATUS
    };
    assert_int_equal(SMQ_ARRAY_LEN(def), SMQ_ARRAY_LEN(ROWS));
    for (size_t i = 0; i < SMQ_ARRAY_LEN(def); i++) {
        assert_int_equal(def[i].code, ROWS[i].code);
        assert_int_equal(def[i].authenticated != 0, ROWS[i].sealed);
        assert_true(def[i].v5 == 0 || def[i].v5 >= 0x80); /* a reason is a failure's, or there is none */
    }
}

static void test_protection_names(void **state)
{
    (void)state;
    assert_string_equal(smqtt_protection_name(SMQTT_PLAIN), "PLAIN");
    assert_string_equal(smqtt_protection_name(SMQTT_PEER_ANON), "PEER_ANON");
    assert_string_equal(smqtt_protection_name(SMQTT_PEER), "PEER");
    assert_string_equal(smqtt_protection_name(SMQTT_RETAINED_REPLAY), "RETAINED_REPLAY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_def),
        cmocka_unit_test(test_protection_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
