/* SPDX-License-Identifier: Apache-2.0 */
/* What is written reads back as it was; every prefix asks for more; every truncation is refused. */
#include <stdlib.h>

#include "../test.h"
#include "codec/varint.h"
#include "packet_gen.h"

enum { BUF = 16384, ROUNDS = 400 };

static const enum smqtt_version versions[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5};

/* Bytes in a heap block of their exact size, so that the address sanitizer sees a step too far. */
static uint8_t *exact(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len != 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    return copy;
}

static bool has_type(enum smqtt_version v, enum smq_type type)
{
    return type != SMQ_AUTH || v == SMQTT_V5;
}

static void assert_span(smq_span a, smq_span b)
{
    assert_true(smq_span_equal(a, b));
}

static void assert_same_props(const struct smq_props *a, const struct smq_props *b)
{
    for (unsigned i = 0; i < SMQ_PROP_COUNT; i++) {
        enum smq_prop which = (enum smq_prop)i;
        if (!smq_props_has(a, which)) {
            continue;
        }
        assert_true(smq_props_has(b, which));
        if (smq_prop_row(which)->wire == SMQ_WIRE_PAIR) {
            continue; /* in the dump */
        }
        if (smq_prop_row(which)->wire == SMQ_WIRE_STRING || smq_prop_row(which)->wire == SMQ_WIRE_BINARY) {
            assert_span(a->value[i].bytes, b->value[i].bytes);
        } else {
            assert_int_equal(a->value[i].num, b->value[i].num);
        }
    }
}

/* The dump shows every field but the bytes of payloads, passwords and binary properties. */
static void assert_same(const struct smq_packet *a, const struct smq_packet *b)
{
    static char left[BUF], right[BUF];
    assert_true(smq_packet_dump(a, left, sizeof left) < sizeof left);
    assert_true(smq_packet_dump(b, right, sizeof right) < sizeof right);
    assert_string_equal(left, right);
    if (a->type == SMQ_CONNECT) {
        assert_span(a->connect.password, b->connect.password);
        assert_span(a->connect.will.payload, b->connect.will.payload);
        assert_same_props(&a->connect.props, &b->connect.props);
        assert_same_props(&a->connect.will.props, &b->connect.will.props);
    } else if (a->type == SMQ_PUBLISH) {
        assert_span(a->publish.payload, b->publish.payload);
        assert_same_props(&a->publish.props, &b->publish.props);
    } else if (a->type == SMQ_DETECT) {
        assert_span(a->detect.body, b->detect.body);
    }
}

static size_t write_whole(const struct smq_codec *codec, const struct smq_packet *pkt, uint8_t *buf)
{
    struct smq_wr size = smq_wr_measure(), wr = smq_wr_of(buf, BUF);
    assert_int_equal(smq_packet_write(codec, pkt, &size), SMQTT_OK);
    assert_int_equal(smq_packet_write(codec, pkt, &wr), SMQTT_OK);
    assert_true(smq_wr_ok(&wr));
    assert_int_equal(size.len, wr.len);
    return wr.len;
}

static void check_prefixes(const struct smq_codec *codec, const uint8_t *whole, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        uint8_t *part = exact(whole, n);
        struct smq_frame frame;
        size_t need = 1;
        assert_int_equal(smq_frame_read(codec, smq_span_of(part, n), false, &frame, &need), SMQTT_E_AGAIN);
        assert_true(need == 0 || need == len);
        free(part);
    }
}

/* A body may end early only where the standard lets fields be left out, or inside the payload or list that is its last
 * field. */
static bool may_end(const struct smq_packet *pkt, enum smqtt_version v, size_t len, size_t at)
{
    bool v5 = v == SMQTT_V5;
    switch (pkt->type) {
    case SMQ_PUBLISH:
        return at >= len - pkt->publish.payload.len;
    case SMQ_DETECT:
        return at != 0;
    case SMQ_SUBSCRIBE:
    case SMQ_UNSUBSCRIBE:
        return at > len - pkt->subscribe.list.len;
    case SMQ_SUBACK:
    case SMQ_UNSUBACK:
        return at > len - pkt->suback.codes.len;
    case SMQ_PUBACK:
    case SMQ_PUBREC:
    case SMQ_PUBREL:
    case SMQ_PUBCOMP:
        return v5 && (at == 2 || at == 3);
    case SMQ_DISCONNECT:
        return v5 && at <= 1;
    case SMQ_AUTH:
        return at == 0;
    case SMQ_CONNECT:
        return v == SMQTT_V31 && pkt->connect.has_user; /* the user name may be missing */
    case SMQ_CONNACK:
    case SMQ_PINGREQ:
    case SMQ_PINGRESP:
        break;
    }
    return false;
}

static void check_truncations(const struct smq_codec *codec, const struct smq_packet *pkt,
                              const struct smq_frame *frame)
{
    for (size_t n = 0; n < frame->body.len; n++) {
        uint8_t *part = exact(frame->body.data, n);
        struct smq_frame cut = {frame->header, {part, n}, n + 2};
        struct smq_packet out;
        smqtt_err err = smq_packet_read(codec, &cut, &out);
        assert_true(err != SMQTT_OK || may_end(pkt, codec->version, frame->body.len, n));
        free(part);
    }
}

static void check_one(struct packet_gen *g, const struct smq_codec *codec, enum smq_type type)
{
    static uint8_t first[BUF], second[BUF];
    struct smq_packet pkt, back;
    packet_gen_make(g, codec->version, type, &pkt);
    size_t len = write_whole(codec, &pkt, first);
    uint8_t *whole = exact(first, len);
    struct smq_frame frame;
    size_t need;
    assert_int_equal(smq_frame_read(codec, smq_span_of(whole, len), false, &frame, &need), SMQTT_OK);
    assert_int_equal(frame.size, len);
    assert_int_equal(smq_packet_read(codec, &frame, &back), SMQTT_OK);
    assert_same(&pkt, &back);
    assert_int_equal(write_whole(codec, &back, second), len);
    assert_memory_equal(first, second, len);
    check_prefixes(codec, whole, len);
    check_truncations(codec, &back, &frame);

    /* one byte more than the last field is refused where a last field has an end */
    whole = realloc(whole, len + 1);
    assert_non_null(whole);
    whole[len] = 0;
    struct smq_frame longer = {frame.header, {whole + (len - frame.body.len), frame.body.len + 1}, len + 1};
    bool open_end = type == SMQ_PUBLISH || type == SMQ_DETECT || type == SMQ_SUBACK || type == SMQ_UNSUBACK;
    /* after an omitted field the zero is that field: reason 0, or no properties */
    bool short_form = frame.body.len <= 3 && codec->version == SMQTT_V5;
    if (!short_form && (!open_end || (type == SMQ_UNSUBACK && codec->version != SMQTT_V5))) {
        assert_int_not_equal(smq_packet_read(codec, &longer, &back), SMQTT_OK);
    }
    free(whole);
}

static void round_trips(void **state)
{
    (void)state;
    struct packet_gen *g = malloc(sizeof *g);
    assert_non_null(g);
    g->seed = 1;
    for (size_t v = 0; v < SMQ_ARRAY_LEN(versions); v++) {
        struct smq_codec codec = {.version = versions[v], .from = SMQ_FROM_ANY};
        for (unsigned type = 0; type < 16; type++) {
            for (size_t i = 0; i < ROUNDS && has_type(versions[v], (enum smq_type)type); i++) {
                check_one(g, &codec, (enum smq_type)type);
            }
        }
    }
    free(g);
}

/* Any byte of a packet changed to anything: no crash, and what still reads writes to something that reads the same. */
static void bit_flips(void **state)
{
    (void)state;
    static uint8_t buf[BUF], again[BUF];
    struct packet_gen *g = malloc(sizeof *g);
    assert_non_null(g);
    g->seed = 2;
    for (size_t i = 0; i < 6000; i++) {
        struct smq_codec codec = {.version = versions[i % 3], .from = SMQ_FROM_ANY};
        enum smq_type type = (enum smq_type)test_random_below(&g->seed, 16);
        if (!has_type(codec.version, type)) {
            continue;
        }
        struct smq_packet pkt, back, third;
        packet_gen_make(g, codec.version, type, &pkt);
        size_t len = write_whole(&codec, &pkt, buf), need;
        uint8_t *whole = exact(buf, len);
        whole[test_random_below(&g->seed, len)] ^= (uint8_t)(1u << test_random_below(&g->seed, 8));
        struct smq_frame frame;
        if (smq_frame_read(&codec, smq_span_of(whole, len), false, &frame, &need) == SMQTT_OK &&
            smq_packet_read(&codec, &frame, &back) == SMQTT_OK) {
            size_t size = write_whole(&codec, &back, again);
            assert_int_equal(smq_frame_read(&codec, smq_span_of(again, size), false, &frame, &need), SMQTT_OK);
            assert_int_equal(smq_packet_read(&codec, &frame, &third), SMQTT_OK);
            assert_same(&back, &third);
        }
        free(whole);
    }
    free(g);
}

static smqtt_err try_write(enum smqtt_version version, const struct smq_packet *pkt)
{
    struct smq_codec codec = {.version = version};
    uint8_t buf[128];
    struct smq_wr wr = smq_wr_of(buf, sizeof buf);
    smqtt_err err = smq_packet_write(&codec, pkt, &wr);
    assert_true(err == SMQTT_OK || wr.len == 0);
    return err;
}

/* Structs that no packet can express, and strings that may not leave. */
static void writer_refuses(void **state)
{
    (void)state;
    struct smq_packet p = {.type = SMQ_PUBLISH};
    p.publish.topic = smq_span_str("a");
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_OK);
    p.publish.dup = true;
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_E_USAGE);
    p.publish.qos = 1; /* no packet identifier */
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_E_USAGE);
    p.publish.id = 1;
    p.publish.qos = 3;
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_E_USAGE);
    p.publish.qos = 1;
    p.publish.topic = smq_span_str("a/+");
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_E_BAD_TOPIC);
    p.publish.topic = smq_span_str("\xC0\x80");
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_E_BAD_TEXT);
    p.publish.topic = smq_span_str("");
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_E_BAD_TOPIC);
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_USAGE);
    smq_props_set_num(&p.publish.props, SMQ_PROP_TOPIC_ALIAS, 1);
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_OK);
    smq_props_set_num(&p.publish.props, SMQ_PROP_PAYLOAD_FORMAT, 1);
    p.publish.payload = smq_span_str("\xFF");
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_BAD_PAYLOAD);

    p = (struct smq_packet){.type = SMQ_AUTH};
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_E_USAGE);
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_OK);
    p.reasoned.reason = 0x18; /* wants a method */
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_USAGE);

    p = (struct smq_packet){.type = SMQ_SUBSCRIBE};
    p.subscribe.id = 1;
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_USAGE);
    struct smq_filter f = {smq_span_str("$share/g/a"), 4};
    p.subscribe.filters = &f;
    p.subscribe.n = 1;
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_USAGE);
    f = (struct smq_filter){smq_span_str("a#"), 0};
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_BAD_FILTER);

    p = (struct smq_packet){.type = SMQ_CONNECT};
    p.connect.version = SMQTT_V311;
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_BAD_CLIENT_ID);
    p.connect.clean_start = true;
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_OK);
    p.connect.has_password = true;
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_USAGE);
    p.connect.version = SMQTT_V5;
    assert_int_equal(try_write(SMQTT_V311, &p), SMQTT_OK);

    p = (struct smq_packet){.type = SMQ_DETECT};
    p.detect = (struct smq_detect_pkt){0x05, smq_span_str("x")};
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_USAGE);
    p.detect = (struct smq_detect_pkt){0x11, smq_span_str("x")};
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_USAGE);
    p.detect = (struct smq_detect_pkt){0x01, smq_span_str("")};
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_E_USAGE);
    p.detect = (struct smq_detect_pkt){0x01, smq_span_str("x")};
    assert_int_equal(try_write(SMQTT_V5, &p), SMQTT_OK);
}

static void writer_keeps_to_max_packet(void **state)
{
    (void)state;
    struct smq_packet p = {.type = SMQ_PUBLISH};
    p.publish.topic = smq_span_str("abc");
    p.publish.payload = smq_span_str("12345"); /* 2 + 5 + 5 = 12 bytes */
    struct smq_codec codec = {.version = SMQTT_V311, .max_packet = 12};
    struct smq_wr wr = smq_wr_measure();
    assert_int_equal(smq_packet_write(&codec, &p, &wr), SMQTT_OK);
    assert_int_equal(wr.len, 12);
    codec.max_packet = 11;
    assert_int_equal(smq_packet_write(&codec, &p, &wr), SMQTT_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(bit_flips),
        cmocka_unit_test(writer_refuses),
        cmocka_unit_test(writer_keeps_to_max_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
