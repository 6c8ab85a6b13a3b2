/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused before a packet is whole: first bytes, order, lengths, ceilings. */
#include "../test.h"
#include "codec/packet.h"
#include "codec/varint.h"

static smqtt_err frame(struct smq_codec codec, const void *data, size_t len, bool first, size_t *need)
{
    struct smq_frame f;
    return smq_frame_read(&codec, smq_span_of(data, len), first, &f, need);
}

static smqtt_err first_byte(enum smqtt_version v, enum smq_role from, unsigned byte, bool first)
{
    uint8_t b = (uint8_t)byte;
    size_t need = 9;
    return frame((struct smq_codec){.version = v, .from = from}, &b, 1, first, &need);
}

/* All 256 first bytes for each version and role, against sets written down here apart from the code's table. */
static void first_bytes(void **state)
{
    (void)state;
    static const uint8_t client[] = {0x01, 0x07, 0x0F, 0x02, 0x04, 0x0C, 0x06, 0x0E, 0x30, 0x31, 0x32, 0x33, 0x34,
                                     0x35, 0x3A, 0x3B, 0x3C, 0x3D, 0x40, 0x50, 0x62, 0x70, 0x82, 0xA2, 0xC0, 0xE0};
    static const uint8_t server[] = {0x03, 0x07, 0x0F, 0x02, 0x04, 0x0C, 0x06, 0x0E, 0x20, 0x30, 0x31, 0x32, 0x33,
                                     0x34, 0x35, 0x3A, 0x3B, 0x3C, 0x3D, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0};
    for (unsigned v = SMQTT_V31; v <= SMQTT_V5; v++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            bool v5 = v == SMQTT_V5, old = v == SMQTT_V31;
            bool c = memchr(client, (int)byte, sizeof client) != NULL || (v5 && byte == 0xF0) ||
                     (old && (byte == 0x6A || byte == 0x8A || byte == 0xAA));
            bool s = memchr(server, (int)byte, sizeof server) != NULL || (v5 && (byte == 0xF0 || byte == 0xE0)) ||
                     (old && byte == 0x6A);
            enum smqtt_version version = (enum smqtt_version)v;
            assert_int_equal(first_byte(version, SMQ_FROM_CLIENT, byte, false) == SMQTT_E_AGAIN, c);
            assert_int_equal(first_byte(version, SMQ_FROM_SERVER, byte, false) == SMQTT_E_AGAIN, s);
            bool any = c || s || byte == 0x10;
            assert_int_equal(first_byte(version, SMQ_FROM_ANY, byte, false) == SMQTT_E_AGAIN, any);
            assert_int_equal(first_byte(version, SMQ_FROM_CLIENT, byte, true) == SMQTT_E_AGAIN, byte == 0x10);
            bool opens = byte == 0x20 || (v5 && byte == 0xF0);
            assert_int_equal(first_byte(version, SMQ_FROM_SERVER, byte, true) == SMQTT_E_AGAIN,
                             opens || (v5 && byte == 0xF0));
        }
    }
}

static void order_is_a_protocol_error(void **state)
{
    (void)state;
    assert_int_equal(first_byte(SMQTT_V5, SMQ_FROM_CLIENT, 0x01, true), SMQTT_E_PROTOCOL); /* DETECT before CONNECT */
    assert_int_equal(first_byte(SMQTT_V5, SMQ_FROM_CLIENT, 0x30, true), SMQTT_E_PROTOCOL);
    assert_int_equal(first_byte(SMQTT_V5, SMQ_FROM_CLIENT, 0x10, false), SMQTT_E_PROTOCOL); /* [MQTT-3.1.0-2] */
    assert_int_equal(first_byte(SMQTT_V5, SMQ_FROM_CLIENT, 0x00, true), SMQTT_E_MALFORMED);
    assert_int_equal(first_byte(SMQTT_V5, SMQ_FROM_CLIENT, 0x00, false), SMQTT_E_MALFORMED);
}

static void tells_what_it_needs(void **state)
{
    (void)state;
    struct smq_codec codec = {.version = SMQTT_V311};
    size_t need = 99;
    assert_int_equal(frame(codec, "", 0, false, &need), SMQTT_E_AGAIN);
    assert_int_equal(need, 0);
    assert_int_equal(frame(codec, "\x30\x80", 2, false, &need), SMQTT_E_AGAIN);
    assert_int_equal(need, 0);
    assert_int_equal(frame(codec, "\x30\x80\x01", 3, false, &need), SMQTT_E_AGAIN);
    assert_int_equal(need, 131);
}

static void two_packets_in_a_row(void **state)
{
    (void)state;
    struct smq_codec codec = {.version = SMQTT_V311};
    static const uint8_t in[] = {0x40, 2, 0, 1, 0xC0, 0};
    struct smq_frame f;
    size_t need;
    assert_int_equal(smq_frame_read(&codec, smq_span_of(in, sizeof in), false, &f, &need), SMQTT_OK);
    assert_int_equal(f.size, 4);
    assert_ptr_equal(f.body.data, in + 2);
    assert_int_equal(smq_frame_read(&codec, smq_span_of(in + 4, 2), false, &f, &need), SMQTT_OK);
    assert_int_equal(f.header, 0xC0);
    assert_int_equal(f.size, 2);
}

static void ceilings(void **state)
{
    (void)state;
    size_t need;
    struct smq_codec codec = {.version = SMQTT_V311, .max_packet = 100};
    assert_int_equal(frame(codec, "\x30\x62", 2, false, &need), SMQTT_E_AGAIN); /* 98 + 2 */
    assert_int_equal(frame(codec, "\x30\x63", 2, false, &need), SMQTT_E_TOO_LARGE);
    codec.max_packet = 0;
    assert_int_equal(frame(codec, "\x30\xFF\xFF\xFF\x7F", 5, false, &need), SMQTT_E_AGAIN);
    assert_int_equal(need, 268435460);
    assert_int_equal(frame(codec, "\x01\x80\x40", 3, false, &need), SMQTT_E_AGAIN); /* DETECT of 8,192 */
    assert_int_equal(frame(codec, "\x01\x81\x40", 3, false, &need), SMQTT_E_TOO_LARGE);
    codec.max_detect = 10;
    assert_int_equal(frame(codec, "\x01\x0A", 2, false, &need), SMQTT_E_AGAIN);
    assert_int_equal(frame(codec, "\x01\x0B", 2, false, &need), SMQTT_E_TOO_LARGE);
    codec.max_packet = 8;
    assert_int_equal(frame(codec, "\x01\x0A", 2, false, &need), SMQTT_E_TOO_LARGE);
}

/* Where a type has only one length, and where a body is needed, nobody waits for the rest. */
static void lengths_that_cannot_be(void **state)
{
    (void)state;
    size_t need;
    struct smq_codec codec = {.version = SMQTT_V311};
    assert_int_equal(frame(codec, "\x01\x00", 2, false, &need), SMQTT_E_MALFORMED); /* DETECT without a body */
    assert_int_equal(frame(codec, "\xC0\x05", 2, false, &need), SMQTT_E_MALFORMED);
    assert_int_equal(frame(codec, "\x40\x03", 2, false, &need), SMQTT_E_MALFORMED);
    assert_int_equal(frame(codec, "\xE0\x01", 2, false, &need), SMQTT_E_MALFORMED);
    codec.version = SMQTT_V5;
    assert_int_equal(frame(codec, "\x40\x03", 2, false, &need), SMQTT_E_AGAIN);
    assert_int_equal(frame(codec, "\xE0\x01", 2, false, &need), SMQTT_E_AGAIN);
    assert_int_equal(frame(codec, "\xC0\x05", 2, false, &need), SMQTT_E_MALFORMED);
}

static void varints(void **state)
{
    (void)state;
    static const uint32_t edges[] = {0, 1, 127, 128, 16383, 16384, 2097151, 2097152, SMQ_VARINT_MAX};
    static const size_t sizes[] = {1, 1, 1, 2, 2, 3, 3, 4, 4};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(edges); i++) {
        uint8_t buf[8];
        struct smq_wr wr = smq_wr_of(buf, sizeof buf);
        smq_varint_write(&wr, edges[i]);
        assert_int_equal(wr.len, sizes[i]);
        assert_int_equal(smq_varint_size(edges[i]), sizes[i]);
        uint32_t back = 0;
        for (size_t n = 0; n < wr.len; n++) {
            struct smq_rd part = smq_rd_of(smq_span_of(buf, n));
            assert_int_equal(smq_varint_read(&part, &back), SMQTT_E_AGAIN);
        }
        struct smq_rd rd = smq_rd_of(smq_wr_span(&wr));
        assert_int_equal(smq_varint_read(&rd, &back), SMQTT_OK);
        assert_int_equal(back, edges[i]);
        assert_true(smq_rd_done(&rd));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_bytes),
        cmocka_unit_test(order_is_a_protocol_error),
        cmocka_unit_test(tells_what_it_needs),
        cmocka_unit_test(two_packets_in_a_row),
        cmocka_unit_test(ceilings),
        cmocka_unit_test(lengths_that_cannot_be),
        cmocka_unit_test(varints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
