/* SPDX-License-Identifier: Apache-2.0 */
/* What lines look like is in tests/vectors/codec; here: the capacity, and what must never be shown. */
#include "../test.h"
#include "codec/packet.h"

static void keeps_to_the_capacity(void **state)
{
    (void)state;
    struct smq_packet p = {.type = SMQ_PUBLISH};
    p.publish.topic = smq_span_str("a/b");
    static const char want[] = "PUBLISH q0 \"a/b\" (0 bytes)";
    for (size_t cap = 0; cap < sizeof want + 3; cap++) {
        char out[64];
        memset(out, '~', sizeof out);
        assert_int_equal(smq_packet_dump(&p, out, cap), sizeof want - 1);
        size_t kept = cap == 0 ? 0 : cap - 1 < sizeof want - 1 ? cap - 1 : sizeof want - 1;
        assert_memory_equal(out, want, kept);
        assert_true(cap == 0 ? out[0] == '~' : out[kept] == '\0');
        assert_true(out[cap] == '~');
    }
}

static void shows_no_secret_and_no_control(void **state)
{
    (void)state;
    char out[256];
    struct smq_packet p = {.type = SMQ_CONNECT};
    p.connect = (struct smq_connect){.version = SMQTT_V5, .has_user = true, .has_password = true};
    p.connect.user = smq_span_str("u\x1B[2J\"\\\xC2\x9B\n");
    p.connect.password = smq_span_str("hunter2");
    smq_props_set_bytes(&p.connect.props, SMQ_PROP_AUTH_DATA, smq_span_str("hunter3"));
    assert_true(smq_packet_dump(&p, out, sizeof out) < sizeof out);
    assert_null(strstr(out, "hunter"));
    assert_non_null(strstr(out, "user \"u\\x1B[2J\\\"\\\\\\xC2\\x9B\\x0A\" password"));
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(smq_type_name(0), "DETECT");
    assert_string_equal(smq_type_name(SMQ_PUBLISH), "PUBLISH");
    assert_string_equal(smq_type_name(15), "AUTH");
    assert_string_equal(smq_type_name(16), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_to_the_capacity),
        cmocka_unit_test(shows_no_secret_and_no_control),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
