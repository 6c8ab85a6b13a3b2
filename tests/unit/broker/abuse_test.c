/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile and broken clients: each costs its own connection and nothing else. */
#include "harness.h"

static struct bed bed;
static struct client *healthy;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

static void start(void)
{
    bed_start(&bed);
    healthy = client_connect(&bed, SMQTT_V5, "healthy", true);
    client_subscribe(healthy, "#", 0);
}

static void stop(void)
{
    client_expect_alive(healthy);
    bed_stop(&bed);
}

/* A case: what comes when, and which reason the client of version 5 is told (0: it is closed without a word, KEPT: it
 * stays). */
enum { FIRST, THEN, KEPT = -1 };
struct row {
    const char *what;
    int when; /* FIRST: instead of CONNECT; THEN: connected */
    int reason;
    size_t len;
    const char *bytes;
};
#define BYTES(s) sizeof(s) - 1, s

static const struct row rows[] = {
    /* framing */
    {"5-byte length", THEN, 0x81, BYTES("\x30\x80\x80\x80\x80\x01")},
    {"length not minimal", THEN, 0x81, BYTES("\x30\x80\x00")},
    {"length not minimal, first", FIRST, 0, BYTES("\x10\x80\x00")},
    {"huge length before CONNECT", FIRST, 0, BYTES("\x10\xFF\xFF\xFF\x7F")},
    {"5-byte length before CONNECT", FIRST, 0, BYTES("\x10\xFF\xFF\xFF\xFF\x7F")},
    {"not CONNECT first", FIRST, 0, BYTES("\xC0\x00")},
    {"PUBLISH first", FIRST, 0, BYTES("\x30\x03\x00\x01t")},
    {"DETECT first", FIRST, 0, BYTES("\x01\x10")},
    {"a second CONNECT", THEN, 0x82, BYTES("\x10\x0E\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01x")},
    {"type 0, bit pattern 0x00", THEN, 0x81, BYTES("\x00\x00")},
    {"type 0, bit pattern 0x05", THEN, 0x81, BYTES("\x05\x01\xD1")},
    {"type 0, bit pattern 0x0D", THEN, 0x81, BYTES("\x0D\x01\xD1")},
    {"type 0, wrong side 0x03", THEN, 0x81, BYTES("\x03\x01\xD1")},
    {"DETECT too short", THEN, 0x81, BYTES("\x01\x02\xD1\x01")},
    {"DETECT of the paper", THEN, 0x81,
     BYTES("\x01\x14\xD0\x01\x04\x00"
           "cccccccc"
           "ssssssss")},
    {"DETECT too long", THEN, 0x95, BYTES("\x01\x81\x40")},
    {"a server's answer without registration", THEN, 0x81,
     BYTES("\x06\x30\xD1"
           "cccccccc"
           "0123456789012345678901234567890123456789")},
    {"CONNACK from a client", THEN, 0x82, BYTES("\x20\x03\x00\x00\x00")},
    {"SUBACK from a client", THEN, 0x82, BYTES("\x90\x04\x00\x01\x00\x00")},
    {"PINGRESP from a client", THEN, 0x82, BYTES("\xD0\x00")},
    {"AUTH out of the blue", THEN, 0x82, BYTES("\xF0\x02\x18\x00")},
    {"AUTH without reason", THEN, 0x81, BYTES("\xF0\x00")},
    {"flags of SUBSCRIBE", THEN, 0x81, BYTES("\x80\x07\x00\x01\x00\x00\x01t\x00")},
    {"flags of PUBREL", THEN, 0x81, BYTES("\x60\x02\x00\x01")},
    {"QoS 3", THEN, 0x81, BYTES("\x36\x06\x00\x01t\x00\x01\x00")},
    {"TLS", FIRST, 0, BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03")},
    {"HTTP", FIRST, 0, BYTES("GET / HTTP/1.1\r\n\r\n")},
    /* strings */
    {"overlong slash in a topic", THEN, 0x81, BYTES("\x30\x05\x00\x02\xC0\xAF\x00")},
    {"lone continuation", THEN, 0x81, BYTES("\x30\x04\x00\x01\x80\x00")},
    {"0xFF", THEN, 0x81, BYTES("\x30\x04\x00\x01\xFF\x00")},
    {"truncated character", THEN, 0x81, BYTES("\x30\x05\x00\x02\xE3\x81\x00")},
    {"surrogate", THEN, 0x81, BYTES("\x30\x06\x00\x03\xED\xA0\x80\x00")},
    {"above U+10FFFF", THEN, 0x81, BYTES("\x30\x07\x00\x04\xF4\x90\x80\x80\x00")},
    {"U+0000", THEN, 0x81, BYTES("\x30\x04\x00\x01\x00\x00")},
    {"control character", THEN, 0x81, BYTES("\x30\x04\x00\x01\x07\x00")},
    {"U+FFFE", THEN, 0x81, BYTES("\x30\x06\x00\x03\xEF\xBF\xBE\x00")},
    {"ill-formed filter", THEN, 0x81, BYTES("\x82\x07\x00\x01\x00\x00\x01\xFF\x00")},
    {"ill-formed filter of UNSUBSCRIBE", THEN, 0x81, BYTES("\xA2\x06\x00\x01\x00\x00\x01\xFF")},
    {"ill-formed user property", THEN, 0x81, BYTES("\x30\x0A\x00\x01t\x06\x26\x00\x01\xFF\x00\x00")},
    {"ill-formed content type", THEN, 0x81, BYTES("\x30\x08\x00\x01t\x04\x03\x00\x01\xFF")},
    {"ill-formed response topic", THEN, 0x81, BYTES("\x30\x08\x00\x01t\x04\x08\x00\x01\xFF")},
    {"ill-formed reason string", THEN, 0x81, BYTES("\x40\x08\x00\x01\x00\x04\x1F\x00\x01\xFF")},
    {"text that is none", THEN, 0x99, BYTES("\x30\x07\x00\x01t\x02\x01\x01\xFF")},
    {"byte-order mark stays", THEN, KEPT, BYTES("\x30\x06\x00\x03\xEF\xBB\xBF\x00")},
    {"topic of length 0", THEN, 0x82, BYTES("\x30\x03\x00\x00\x00")},
    {"wildcard in a topic", THEN, 0x90,
     BYTES("\x30\x06\x00\x03"
           "a/#\x00")},
    {"wildcard in a response topic", THEN, 0x90, BYTES("\x30\x08\x00\x01t\x04\x08\x00\x01#")},
    {"bad filter", THEN, 0x8F,
     BYTES("\x82\x09\x00\x01\x00\x00\x03"
           "a#b\x00")},
    {"bad shared filter", THEN, 0x8F, BYTES("\x82\x0E\x00\x01\x00\x00\x08$share/g\x00")},
    {"no local on a shared one", THEN, 0x82, BYTES("\x82\x10\x00\x01\x00\x00\x0A$share/g/t\x04")},
    {"$SMQTT from strangers", THEN, 0x99, BYTES("\x30\x13\x00\x0F$SMQTT/register\x00x")},
    {"the broker's own $SMQTT topics", THEN, 0x87, BYTES("\x30\x14\x00\x10$SMQTT/challenge\x00x")},
    /* properties and identifiers */
    {"alias 0", THEN, 0x94, BYTES("\x30\x07\x00\x01t\x03\x23\x00\x00")},
    {"alias above the maximum", THEN, 0x94, BYTES("\x30\x07\x00\x01t\x03\x23\x00\x0B")},
    {"alias before its topic", THEN, 0x82, BYTES("\x30\x06\x00\x00\x03\x23\x00\x01")},
    {"subscription identifier 0", THEN, 0x82, BYTES("\x82\x09\x00\x01\x02\x0B\x00\x00\x01t\x00")},
    {"subscription identifier from a client", THEN, 0x82, BYTES("\x30\x06\x00\x01t\x02\x0B\x01")},
    {"property twice", THEN, 0x82, BYTES("\x30\x08\x00\x01t\x04\x01\x00\x01\x00")},
    {"unknown property", THEN, 0x81, BYTES("\x30\x06\x00\x01t\x02\x7F\x00")},
    {"property of another packet", THEN, 0x81, BYTES("\x30\x07\x00\x01t\x03\x21\x00\x01")},
    {"property length past the end", THEN, 0x81, BYTES("\x30\x05\x00\x01t\x09\x01")},
    {"5-byte property length", THEN, 0x81, BYTES("\x30\x08\x00\x01t\x80\x80\x80\x80\x01")},
    {"topic length past the end", THEN, 0x81, BYTES("\x30\x03\x00\x09t")},
    {"packet identifier 0", THEN, 0x82, BYTES("\x32\x06\x00\x01t\x00\x00\x00")},
    {"packet identifier missing", THEN, 0x81, BYTES("\x32\x03\x00\x01t")},
    {"SUBSCRIBE without filter", THEN, 0x82, BYTES("\x82\x03\x00\x01\x00")},
    {"PUBREL of an unknown identifier", THEN, KEPT, BYTES("\x62\x02\x12\x34")},
    {"PUBCOMP of an unknown identifier", THEN, KEPT, BYTES("\x70\x02\x12\x34")},
    {"PUBACK 0", THEN, 0x82, BYTES("\x40\x02\x00\x00")},
};

static void each_costs_only_its_sender(void **state)
{
    (void)state;
    start();
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct client *c =
            row->when == THEN ? client_connect(&bed, SMQTT_V5, "bad", true) : client_open(&bed, SMQTT_V5);
        client_feed(c, row->bytes, row->len);
        const struct smq_packet *pkt = client_next(c);
        if (row->reason == KEPT) {
            client_drain(c);
            client_expect_alive(c);
            client_disconnect(c);
        } else if (c->conn != NULL) {
            fail_msg("%s: is still connected", row->what);
        } else if (row->reason == 0) {
            assert_null(pkt);
        } else if (pkt == NULL || pkt->type != SMQ_DISCONNECT || pkt->reasoned.reason != row->reason) {
            fail_msg("%s: reason 0x%02X instead of 0x%02X", row->what,
                     pkt != NULL && pkt->type == SMQ_DISCONNECT ? pkt->reasoned.reason : 0, (unsigned)row->reason);
        }
        client_drain(c);
        client_drain(healthy);
        client_expect_alive(healthy);
    }
    stop();
}

static void ill_formed_connects(void **state)
{
    (void)state;
    start();
    static const struct {
        size_t len;
        const char *bytes;
    } bad[] = {
        {BYTES("\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01\xFF")},                      /* client id */
        {BYTES("\x10\x10\x00\x04MQTT\x04\x82\x00\x3C\x00\x01x\x00\x01\xFF")},             /* user name */
        {BYTES("\x10\x13\x00\x04MQTT\x04\x06\x00\x3C\x00\x01x\x00\x01\xFF\x00\x01m")},    /* will topic */
        {BYTES("\x10\x13\x00\x04MQTT\x04\x06\x00\x3C\x00\x01x\x00\x01#\x00\x01m")},       /* wildcard */
        {BYTES("\x10\x0D\x00\x04MQTT\x04\x03\x00\x3C\x00\x01x")},                         /* reserved bit */
        {BYTES("\x10\x0D\x00\x04MQTT\x04\x1E\x00\x3C\x00\x01x")},                         /* will QoS 3 */
        {BYTES("\x10\x0D\x00\x04MQTT\x04\x42\x00\x3C\x00\x01x")},                         /* password only */
        {BYTES("\x10\x0D\x00\x04MQTQ\x04\x02\x00\x3C\x00\x01x")},                         /* name */
        {BYTES("\x10\x10\x00\x04MQTT\x05\x02\x00\x3C\x02\x21\x00\x00\x01x")},             /* cut property */
        {BYTES("\x10\x11\x00\x04MQTT\x05\x02\x00\x3C\x03\x21\x00\x00\x00\x01x")},         /* maximum 0 */
        {BYTES("\x10\x13\x00\x04MQTT\x05\x02\x00\x3C\x05\x15\x00\x02\xFF\xFF\x00\x01x")}, /* auth method */
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        struct client *c = client_open(&bed, bad[i].bytes[8] == 5 ? SMQTT_V5 : SMQTT_V311);
        client_feed(c, bad[i].bytes, bad[i].len);
        if (c->conn != NULL) {
            fail_msg("CONNECT %zu was taken", i);
        }
        const struct smq_packet *pkt = client_next(c);
        assert_true(pkt == NULL || (pkt->type == SMQ_CONNACK && pkt->connack.reason >= 1));
        client_drain(c);
    }
    stop();
}

static void zeros_without_end(void **state)
{
    (void)state;
    start();
    struct client *c = client_connect(&bed, SMQTT_V311, "zero", true);
    uint8_t zeros[4096] = {0};
    client_feed(c, zeros, sizeof zeros);
    client_expect_closed(c);
    c = client_open(&bed, SMQTT_V311);
    client_feed(c, zeros, sizeof zeros);
    client_expect_closed(c);
    stop();
}

static size_t whole_session(uint8_t *out, size_t cap)
{
    static const char bytes[] = "\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01s"
                                "\x82\x06\x00\x01\x00\x01t\x02"
                                "\x30\x04\x00\x01tA"
                                "\x32\x06\x00\x01t\x00\x05"
                                "B"
                                "\x34\x06\x00\x01t\x00\x06"
                                "C"
                                "\x62\x02\x00\x06"
                                "\xA2\x05\x00\x02\x00\x01t"
                                "\xC0\x00\xE0\x00";
    assert_true(sizeof bytes - 1 <= cap);
    memcpy(out, bytes, sizeof bytes - 1);
    return sizeof bytes - 1;
}

static size_t play(const uint8_t *bytes, size_t len, size_t first, size_t step, uint8_t *answer)
{
    struct client *c = client_open(&bed, SMQTT_V311);
    client_feed(c, bytes, first);
    for (size_t at = first; at < len; at += step) {
        client_feed(c, bytes + at, at + step <= len ? step : len - at);
    }
    client_expect_closed(c);
    size_t n = c->in.len;
    memcpy(answer, smq_bytebuf_span(&c->in).data, n);
    client_drain(c);
    client_drain(healthy);
    return n;
}

static void splitting_changes_nothing(void **state)
{
    (void)state;
    start();
    uint8_t bytes[256], whole[512], answer[512];
    size_t len = whole_session(bytes, sizeof bytes);
    size_t n = play(bytes, len, len, 1, whole);
    assert_true(n > 40);
    for (size_t first = 0; first < len; first++) {
        assert_int_equal(play(bytes, len, first, len, answer), n);
        assert_memory_equal(answer, whole, n);
    }
    assert_int_equal(play(bytes, len, 0, 1, answer), n);
    assert_memory_equal(answer, whole, n);
    stop();
}

static void ten_thousand_packets_at_once(void **state)
{
    (void)state;
    start();
    enum { MANY = 10000, LEN = 8 };
    struct client *c = client_connect(&bed, SMQTT_V311, "many", true);
    uint8_t *bytes = malloc(MANY * LEN);
    for (size_t i = 0; i < MANY; i++) {
        memcpy(bytes + i * LEN, "\x32\x06\x00\x01t\x00\x00x", LEN);
        bytes[i * LEN + 5] = (uint8_t)((i + 1) >> 8);
        bytes[i * LEN + 6] = (uint8_t)(i + 1);
    }
    client_feed(c, bytes, MANY * LEN);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.id, i + 1);
        client_expect(healthy, SMQ_PUBLISH);
    }
    free(bytes);
    stop();
}

static void many_filters_and_deep_topics(void **state)
{
    (void)state;
    start();
    enum { MANY = 10000 };
    struct client *c = client_connect(&bed, SMQTT_V5, "deep", true);
    struct smq_filter *f = calloc(MANY, sizeof *f);
    char(*text)[24] = calloc(MANY, sizeof *text);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "+/+/%zu/+/#", i);
        f[i].filter = smq_span_str(text[i]);
    }
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 1;
    pkt.subscribe.n = MANY;
    pkt.subscribe.filters = f;
    smq_props_clear(&pkt.subscribe.props);
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_SUBACK)->suback.codes.len, MANY);
    client_publish(healthy, "a/b/77/c/d", "x", 0, false);
    client_expect(c, SMQ_PUBLISH);
    client_expect_none(c);
    client_drain(healthy);
    free(f);
    free(text);
    uint8_t *slashes = malloc(65535 + 16);
    memcpy(slashes, "\x30\x82\x80\x04\xFF\xFF", 6); /* a topic of 65,535 slashes has too many levels */
    memset(slashes + 6, '/', 65535);
    slashes[6 + 65535] = 0;
    client_feed(c, slashes, 6 + 65536);
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, 0x90);
    free(slashes);
    stop();
}

static void thousands_of_user_properties(void **state)
{
    (void)state;
    start();
    enum { MANY = 20000 };
    uint8_t *raw = malloc(MANY * 7);
    struct smq_wr wr = smq_wr_of(raw, MANY * 7);
    for (size_t i = 0; i < MANY; i++) {
        smq_props_put_user(&wr, smq_span_str("a"), smq_span_str("b"));
    }
    struct client *c = client_connect(&bed, SMQTT_V5, "props", true);
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.topic = smq_span_str("t");
    smq_props_clear(&pkt.publish.props);
    pkt.publish.props.raw = smq_wr_span(&wr);
    client_send(c, &pkt);
    assert_int_equal(client_expect(healthy, SMQ_PUBLISH)->publish.props.raw.len, wr.len);
    client_expect_alive(c);
    free(raw);
    stop();
}

static void memory_comes_back(void **state)
{
    (void)state;
    start();
    size_t before = 0;
    for (size_t round = 0; round < 3; round++) {
        struct client *c[20];
        for (size_t i = 0; i < 20; i++) {
            char id[8];
            snprintf(id, sizeof id, "m%zu", i);
            c[i] = client_connect(&bed, i % 2 == 0 ? SMQTT_V5 : SMQTT_V311, id, true);
            client_subscribe(c[i], "m/+", 2);
            client_send_publish(c[i], "m/x", "hello", (uint8_t)(i % 3), false, i % 3 != 0 ? 9 : 0);
        }
        for (size_t i = 0; i < 20; i++) {
            client_break(c[i]);
            client_drain(c[i]);
        }
        client_drain(healthy);
        assert_true(round == 0 || bed.mem.live == before);
        before = bed.mem.live;
    }
    stop();
}

static void an_ill_formed_stored_string_does_not_go_out(void **state)
{
    (void)state;
    bed.config.text_policy = SMQ_TEXT_STANDARD;
    start();
    struct client *c = client_connect(&bed, SMQTT_V5, "c", false);
    client_subscribe(c, "keep/#", 1);
    client_break(c);
    /* Stands for what an older version, or another program, may have left. */
    bed_leave_stored(&bed, "c", "keep/\xFF", "x");
    bed_leave_stored(&bed, "c", "keep/ok", "y");
    bed_leave_stored(&bed, NULL, "stored/\xFF", "x");
    assert_int_equal(bed_route_unchecked(&bed, "keep/\xFF", "x"), SMQTT_E_BAD_TEXT);
    assert_int_equal(bed_route_unchecked(&bed, "keep/#", "x"), SMQTT_E_BAD_TEXT);
    assert_int_equal(bed_route_unchecked(&bed, "fine", "x"), SMQTT_OK);
    client_take(healthy, "fine", "x", 0);
    c = client_connect(&bed, SMQTT_V5, "c", false);
    client_take(c, "keep/ok", "y", 1);
    client_subscribe(c, "stored/#", 1);
    client_expect_alive(c);
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_int_equal(stats.refused_text, 4);
    client_drain(healthy);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_costs_only_its_sender, setup),
        cmocka_unit_test_setup(ill_formed_connects, setup),
        cmocka_unit_test_setup(zeros_without_end, setup),
        cmocka_unit_test_setup(splitting_changes_nothing, setup),
        cmocka_unit_test_setup(ten_thousand_packets_at_once, setup),
        cmocka_unit_test_setup(many_filters_and_deep_topics, setup),
        cmocka_unit_test_setup(thousands_of_user_properties, setup),
        cmocka_unit_test_setup(memory_comes_back, setup),
        cmocka_unit_test_setup(an_ill_formed_stored_string_does_not_go_out, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
