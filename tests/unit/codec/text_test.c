/* SPDX-License-Identifier: Apache-2.0 */
/* Every string field of every packet with every kind of bad text, under both policies, coming in and going out. A field
 * is found by a mark: a packet is written with the mark in one place, then the mark's bytes are exchanged for the text
 * under test. */
#include "../test.h"
#include "codec/packet.h"

#define MARK "@@@@@@" /* as long as every text below */

static const struct {
    const char *name;
    char text[sizeof MARK]; /* padded with 'a' */
    bool strict, standard;  /* allowed? */
} texts[] = {
    {"plain", "abcdef", true, true},
    {"continuation alone",
     "\x80"
     "aaaaa",
     false, false},
    {"overlong slash",
     "\xC0\xAF"
     "aaaa",
     false, false},
    {"overlong of three",
     "\xE0\x80\xAF"
     "aaa",
     false, false},
    {"cut", "aaaaa\xC3", false, false},
    {"cut of three", "aaaa\xE3\x81", false, false},
    {"surrogate",
     "\xED\xA0\x80"
     "aaa",
     false, false},
    {"surrogate pair", "\xED\xA0\x80\xED\xB0\x80", false, false},
    {"beyond the last",
     "\xF4\x90\x80\x80"
     "aa",
     false, false},
    {"byte FF",
     "aaa\xFF"
     "aa",
     false, false},
    {"latin-1",
     "caf\xE9"
     "aa",
     false, false},
    {"U+0000", "aaa\0aa", false, false},
    {"U+0001",
     "\x01"
     "aaaaa",
     false, true},
    {"U+001F", "aaaaa\x1F", false, true},
    {"U+007F",
     "aa\x7F"
     "aaa",
     false, true},
    {"U+0085",
     "aa\xC2\x85"
     "aa",
     false, true},
    {"U+009F",
     "aa\xC2\x9F"
     "aa",
     false, true},
    {"U+00A0",
     "aa\xC2\xA0"
     "aa",
     true, true},
    {"U+FDD0",
     "\xEF\xB7\x90"
     "aaa",
     false, true},
    {"U+FFFE",
     "\xEF\xBF\xBE"
     "aaa",
     false, true},
    {"U+1FFFF",
     "\xF0\x9F\xBF\xBF"
     "aa",
     false, true},
    {"U+10FFFF",
     "\xF4\x8F\xBF\xBF"
     "aa",
     false, true},
    {"byte-order mark",
     "\xEF\xBB\xBF"
     "aaa",
     true, true},
    {"private use",
     "\xEE\x80\x80"
     "aaa",
     true, true},
    {"emoji",
     "\xF0\x9F\x98\x80"
     "aa",
     true, true},
};

/* Puts the mark as property `which` (of a pair: as name or value). */
static void set_prop(struct smq_props *p, enum smq_prop which, bool second, struct smq_wr *raw)
{
    if (which == SMQ_PROP_USER_PROPERTY) {
        smq_props_put_user(raw, smq_span_str(second ? "k" : MARK), smq_span_str(second ? MARK : "v"));
        p->raw = smq_wr_span(raw);
    } else {
        smq_props_set_bytes(p, which, smq_span_str(MARK));
    }
}

static struct smq_props *props_of(struct smq_packet *pkt)
{
    switch (pkt->type) {
    case SMQ_CONNECT:
        return &pkt->connect.props;
    case SMQ_CONNACK:
        return &pkt->connack.props;
    case SMQ_PUBLISH:
        return &pkt->publish.props;
    case SMQ_PUBACK:
    case SMQ_PUBREC:
    case SMQ_PUBREL:
    case SMQ_PUBCOMP:
        return &pkt->ack.props;
    case SMQ_SUBSCRIBE:
    case SMQ_UNSUBSCRIBE:
        return &pkt->subscribe.props;
    case SMQ_SUBACK:
    case SMQ_UNSUBACK:
        return &pkt->suback.props;
    case SMQ_DISCONNECT:
    case SMQ_AUTH:
        return &pkt->reasoned.props;
    case SMQ_DETECT:
    case SMQ_PINGREQ:
    case SMQ_PINGRESP:
        break;
    }
    return NULL;
}

static struct smq_filter filter;

/* A packet that has nothing but what its type needs. */
static void make_plain(enum smqtt_version v, enum smq_type type, struct smq_packet *pkt)
{
    memset(pkt, 0, sizeof *pkt);
    pkt->type = type;
    filter = (struct smq_filter){smq_span_str("f"), 0};
    if (type == SMQ_CONNECT) {
        pkt->connect =
            (struct smq_connect){.version = v, .client_id = smq_span_str("c"), .has_will = true, .has_user = true};
        pkt->connect.will.topic = smq_span_str("w");
    } else if (type == SMQ_PUBLISH) {
        pkt->publish.topic = smq_span_str("t");
    } else if (type >= SMQ_PUBACK && type <= SMQ_PUBCOMP) {
        pkt->ack.id = 1;
    } else if (type == SMQ_SUBSCRIBE || type == SMQ_UNSUBSCRIBE) {
        pkt->subscribe = (struct smq_subscribe){.id = 1, .n = 1, .filters = &filter};
    } else if (type == SMQ_SUBACK || type == SMQ_UNSUBACK) {
        pkt->suback = (struct smq_suback){.id = 1, .codes = smq_span_of("\0", 1)};
    } else if (type == SMQ_AUTH) {
        pkt->reasoned.reason = 0x18;
        smq_props_set_bytes(&pkt->reasoned.props, SMQ_PROP_AUTH_METHOD, smq_span_str("m"));
    }
}

static size_t tried;

/* Exchanges the mark for each text and reads; also, where the text is refused, writes what a laxer reader had let in.
 */
static void try_texts(enum smqtt_version v, const struct smq_packet *pkt, const char *field)
{
    uint8_t buf[256], out[256];
    struct smq_codec codec = {.version = v, .from = SMQ_FROM_ANY};
    struct smq_wr wr = smq_wr_of(buf, sizeof buf);
    assert_int_equal(smq_packet_write(&codec, pkt, &wr), SMQTT_OK);
    uint8_t *at = NULL;
    for (size_t i = 0; i + strlen(MARK) <= wr.len; i++) {
        at = memcmp(buf + i, MARK, strlen(MARK)) == 0 ? buf + i : at;
    }
    assert_non_null(at);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(texts); i++) {
        memcpy(at, texts[i].text, strlen(MARK));
        for (int standard = 0; standard < 2; standard++) {
            codec.text = standard ? SMQ_TEXT_STANDARD : SMQ_TEXT_STRICT;
            bool allowed = standard ? texts[i].standard : texts[i].strict;
            struct smq_frame frame;
            struct smq_packet back;
            size_t need;
            assert_int_equal(smq_frame_read(&codec, smq_wr_span(&wr), false, &frame, &need), SMQTT_OK);
            smqtt_err err = smq_packet_read(&codec, &frame, &back);
            if (err != (allowed ? SMQTT_OK : SMQTT_E_BAD_TEXT)) {
                fail_msg("%s, %s, %s, policy %d: %s", smq_type_name(pkt->type), field, texts[i].name, standard,
                         smqtt_err_name(err));
            }
            tried++;
            if (err ==
                SMQTT_OK) { /* untouched; and what only the standard allows does not leave under the strict policy */
                struct smq_wr again = smq_wr_of(out, sizeof out);
                assert_int_equal(smq_packet_write(&codec, &back, &again), SMQTT_OK);
                assert_int_equal(again.len, wr.len);
                assert_memory_equal(out, buf, wr.len);
                codec.text = SMQ_TEXT_STRICT;
                struct smq_wr none = smq_wr_of(out, sizeof out);
                err = smq_packet_write(&codec, &back, &none);
                assert_int_equal(err, texts[i].strict ? SMQTT_OK : SMQTT_E_BAD_TEXT);
            }
        }
    }
}

static void fixed_fields(void **state)
{
    (void)state;
    for (unsigned v = SMQTT_V31; v <= SMQTT_V5; v++) {
        struct smq_packet pkt;
        enum smqtt_version version = (enum smqtt_version)v;
        make_plain(version, SMQ_CONNECT, &pkt);
        pkt.connect.client_id = smq_span_str(MARK);
        try_texts(version, &pkt, "client id");
        make_plain(version, SMQ_CONNECT, &pkt);
        pkt.connect.user = smq_span_str(MARK);
        try_texts(version, &pkt, "user");
        make_plain(version, SMQ_CONNECT, &pkt);
        pkt.connect.will.topic = smq_span_str(MARK);
        try_texts(version, &pkt, "will topic");
        make_plain(version, SMQ_PUBLISH, &pkt);
        pkt.publish.topic = smq_span_str(MARK);
        try_texts(version, &pkt, "topic");
        make_plain(version, SMQ_SUBSCRIBE, &pkt);
        filter.filter = smq_span_str(MARK);
        try_texts(version, &pkt, "filter");
        make_plain(version, SMQ_UNSUBSCRIBE, &pkt);
        filter.filter = smq_span_str(MARK);
        try_texts(version, &pkt, "filter");
    }
}

static enum smq_prop_place place_of(enum smq_type type)
{
    static const enum smq_prop_place places[16] = {
        [SMQ_CONNECT] = SMQ_IN_CONNECT, [SMQ_CONNACK] = SMQ_IN_CONNACK,
        [SMQ_PUBLISH] = SMQ_IN_PUBLISH, [SMQ_PUBACK] = SMQ_IN_ACK,
        [SMQ_PUBREC] = SMQ_IN_ACK,      [SMQ_PUBREL] = SMQ_IN_ACK,
        [SMQ_PUBCOMP] = SMQ_IN_ACK,     [SMQ_SUBSCRIBE] = SMQ_IN_SUBSCRIBE,
        [SMQ_SUBACK] = SMQ_IN_SUBACK,   [SMQ_UNSUBSCRIBE] = SMQ_IN_UNSUBSCRIBE,
        [SMQ_UNSUBACK] = SMQ_IN_SUBACK, [SMQ_DISCONNECT] = SMQ_IN_DISCONNECT,
        [SMQ_AUTH] = SMQ_IN_AUTH};
    return places[type];
}

static void properties(void **state)
{
    (void)state;
    size_t seats = 0;
    for (unsigned type = SMQ_CONNECT; type <= SMQ_AUTH + 1; type++) {
        bool will = type > SMQ_AUTH; /* one more round for the will's properties */
        enum smq_type t = will ? SMQ_CONNECT : (enum smq_type)type;
        enum smq_prop_place place = will ? SMQ_IN_WILL : place_of(t);
        for (unsigned i = 0; i < SMQ_PROP_COUNT; i++) {
            const struct smq_prop_row *row = smq_prop_row((enum smq_prop)i);
            bool pair = row->wire == SMQ_WIRE_PAIR;
            for (int second = 0; (row->places & place) != 0 && second < (pair ? 2 : row->wire == SMQ_WIRE_STRING);
                 second++) {
                struct smq_packet pkt;
                uint8_t raw[64];
                struct smq_wr wr = smq_wr_of(raw, sizeof raw);
                make_plain(SMQTT_V5, t, &pkt);
                set_prop(will ? &pkt.connect.will.props : props_of(&pkt), (enum smq_prop)i, second != 0, &wr);
                try_texts(SMQTT_V5, &pkt, row->name);
                seats++;
            }
        }
    }
    assert_int_equal(seats, 2 * 14 + 20); /* user properties, then strings: table 2-4 counted by hand */
    assert_true(tried > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fixed_fields), cmocka_unit_test(properties)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
