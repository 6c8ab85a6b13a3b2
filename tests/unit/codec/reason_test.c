/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "codec/reason.h"

/* From the tables of each packet in MQTT 5.0, written down apart from reason.def; ends with 0xFF. */
static const struct {
    enum smq_type type;
    enum smq_role from;
    uint8_t codes[32];
} standard[] = {
    {SMQ_CONNACK, SMQ_FROM_SERVER, {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A,
                                    0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F, 0xFF}},
    {SMQ_CONNACK, SMQ_FROM_CLIENT, {0xFF}},
    {SMQ_PUBACK, SMQ_FROM_SERVER, {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99, 0xFF}},
    {SMQ_PUBREC, SMQ_FROM_SERVER, {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99, 0xFF}},
    {SMQ_PUBACK, SMQ_FROM_CLIENT, {0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99, 0xFF}},
    {SMQ_PUBREL, SMQ_FROM_CLIENT, {0x00, 0x92, 0xFF}},
    {SMQ_PUBCOMP, SMQ_FROM_SERVER, {0x00, 0x92, 0xFF}},
    {SMQ_SUBACK, SMQ_FROM_SERVER, {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2, 0xFF}},
    {SMQ_UNSUBACK, SMQ_FROM_SERVER, {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91, 0xFF}},
    {SMQ_DISCONNECT,
     SMQ_FROM_CLIENT,
     {0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0xFF}},
    {SMQ_DISCONNECT, SMQ_FROM_SERVER, {0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E,
                                       0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A,
                                       0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2, 0xFF}},
    {SMQ_AUTH, SMQ_FROM_CLIENT, {0x18, 0x19, 0xFF}},
    {SMQ_AUTH, SMQ_FROM_SERVER, {0x00, 0x18, 0xFF}},
    {SMQ_PUBLISH, SMQ_FROM_ANY, {0xFF}},
    {SMQ_PINGREQ, SMQ_FROM_ANY, {0xFF}},
};

/* v5 [MQTT-3.15.2-1] [MQTT-3.14.2-1] [MQTT-3.2.2-8] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
 * [MQTT-3.9.3-2] [MQTT-3.11.3-2] */
static void codes_are_the_standard(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(standard); i++) {
        const uint8_t *next = standard[i].codes;
        for (unsigned code = 0; code < 255; code++) {
            bool want = code == *next;
            next += want;
            if (smq_reason_ok(standard[i].type, standard[i].from, (uint8_t)code) != want) {
                fail_msg("%s, side %d, 0x%02X", smq_type_name(standard[i].type), (int)standard[i].from, code);
            }
            assert_true(!want || strcmp(smq_reason_text((uint8_t)code), "unknown reason") != 0);
        }
    }
    assert_string_equal(smq_reason_text(0x87), "not authorized");
    assert_string_equal(smq_reason_text(0x03), "unknown reason");
}

static void return_codes_of_v3(void **state)
{
    (void)state;
    assert_int_equal(smq_connack_code_v3(0x00), 0);
    assert_int_equal(smq_connack_code_v3(0x84), 1);
    assert_int_equal(smq_connack_code_v3(0x85), 2);
    assert_int_equal(smq_connack_code_v3(0x88), 3);
    assert_int_equal(smq_connack_code_v3(0x97), 3);
    assert_int_equal(smq_connack_code_v3(0x86), 4);
    assert_int_equal(smq_connack_code_v3(0x87), 5);
    for (unsigned code = 0x80; code < 256; code++) {
        uint8_t v3 = smq_connack_code_v3((uint8_t)code);
        bool none = code == 0x90 || code == 0x95 || code == 0x99 || code == 0x9A || code == 0x9B;
        assert_true(none ? v3 == 0 : v3 >= 1 && v3 <= 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(codes_are_the_standard), cmocka_unit_test(return_codes_of_v3)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
