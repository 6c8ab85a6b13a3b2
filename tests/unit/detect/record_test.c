/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/record.h"

#include <stdlib.h>

#include "../failing_mem.h"
#include "kit.h"

enum { BUF = 70000 };

static const struct smq_crypto_lib *const lib = &smq_crypto_openssl;
static uint8_t secret[SMQ_HASH_LEN] = {9, 8, 7};
static uint8_t ctx[SMQ_HASH_LEN] = {1, 2, 3};
static uint8_t record[BUF];
static uint8_t pt[BUF];

static struct smq_gen gen_of(uint8_t suite, const uint8_t *of_secret, enum smq_way way, const uint8_t *of_ctx)
{
    struct smq_gen gen;
    assert_int_equal(smq_gen_init(&gen, smq_suite_by_id(suite), of_secret, way, of_ctx), SMQTT_OK);
    return gen;
}

static smq_span topic_of(const char *text)
{
    return smq_span_str(text);
}

static size_t seal(struct smq_gen *gen, uint64_t seq, const char *topic, const struct smq_sealed *sealed)
{
    size_t len = 0;
    assert_true(smq_record_size(sealed, seq) <= sizeof(record));
    assert_int_equal(smq_record_seal(NULL, gen, seq, topic_of(topic), sealed, record, &len), SMQTT_OK);
    assert_int_equal(len, smq_record_size(sealed, seq));
    return len;
}

/** As a receiver does it: form, kid, AEAD, content. */
static bool opens(struct smq_gen *gen, smq_span bytes, const char *topic, struct smq_sealed *out)
{
    struct smq_record r;
    if (smq_record_read(bytes, &r) != SMQTT_OK || memcmp(r.kid, gen->kid, SMQ_KID_LEN) != 0 ||
        smq_record_open(NULL, gen, &r, topic_of(topic), pt) != SMQTT_OK) {
        return false;
    }
    return smq_sealed_read(smq_span_of(pt, r.box.len - SMQ_TAG_LEN), (r.first & SMQ_RECORD_LOGICAL) != 0, out) ==
           SMQTT_OK;
}

/* ---------------------------------------------------------------- sizes and form */

static void test_sizes(void **state)
{
    (void)state;
    static const uint64_t seqs[] = {0,          255,        256,           65535,         65536, 0xFFFFFF,
                                    0x01000000, 0xFFFFFFFF, 0x0100000000U, 0xFFFFFFFFFFU, 1};
    static const size_t more[] = {23, 23, 24, 24, 25, 25, 26, 26, 27, 27, 23};
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct smq_gen gen = gen_of(suite, secret, SMQ_WAY_C2S, ctx);
        for (size_t i = 0; i < SMQ_ARRAY_LEN(seqs); i++) {
            for (size_t len = 0; len < 70; len += 23) {
                uint8_t payload[70] = {0x55};
                struct smq_sealed in = {.content = SMQ_CONTENT_TEXT, .payload = smq_span_of(payload, len)};
                struct smq_sealed out;
                size_t size = seal(&gen, seqs[i], "t", &in);
                assert_int_equal(size, len + more[i]);
                assert_int_equal(record[0], 0x80 | (more[i] - 23));
                assert_true(opens(&gen, smq_span_of(record, size), "t", &out));
                assert_true(smq_span_equal(out.payload, in.payload));
                assert_int_equal(out.content, SMQ_CONTENT_TEXT);
            }
        }
        struct smq_sealed in = {.payload = smq_span_str("x")};
        assert_int_equal(smq_record_size(&in, UINT64_MAX), 1 + 30);
        smq_gen_deinit(&gen);
    }
}

static void test_first_byte(void **state)
{
    (void)state;
    uint8_t bytes[64];
    for (unsigned first = 0; first <= UINT8_MAX; first++) {
        size_t n = (first & 7) + 1;
        struct smq_record r;
        memset(bytes, 1, sizeof(bytes));
        bytes[0] = (uint8_t)first;
        bool good = (first >= 0x80 && first <= 0x87) || (first >= 0x90 && first <= 0x97);
        size_t least = 5 + n + 1 + 16;
        assert_int_equal(smq_record_is(smq_span_of(bytes, 1)), first >= 0x80 && first <= 0xBF);
        assert_int_equal(smq_record_read(smq_span_of(bytes, least), &r), good ? SMQTT_OK : SMQTT_E_MALFORMED);
        for (size_t len = 0; len < least; len++) {
            assert_int_equal(smq_record_read(smq_span_of(bytes, len), &r), SMQTT_E_MALFORMED);
        }
        bytes[5] = 0; /* a number of one byte may be zero, a longer one has no leading zero */
        assert_int_equal(smq_record_read(smq_span_of(bytes, least), &r), good && n == 1 ? SMQTT_OK : SMQTT_E_MALFORMED);
    }
    assert_false(smq_record_is(smq_span_of(NULL, 0)));
}

/* ---------------------------------------------------------------- additional data, keys */

/* CBOR for this test only: heads by a table of lengths, backwards. */
struct cbor {
    uint8_t bytes[BUF];
    size_t at; /* begins here; grows downwards */
};

static void cbor_front(struct cbor *c, const void *data, size_t len)
{
    c->at -= len;
    memcpy(c->bytes + c->at, data, len);
}

static void cbor_front_head(struct cbor *c, unsigned major, uint64_t v)
{
    size_t n = v < 24 ? 0 : v < 0x100 ? 1 : v < 0x10000 ? 2 : v < 0x100000000 ? 4 : 8;
    for (size_t i = 0; i < n; i++) {
        uint8_t b = (uint8_t)(v >> (8 * i));
        cbor_front(c, &b, 1);
    }
    static const uint8_t info[] = {0, 24, 25, 0, 26, 0, 0, 0, 27};
    uint8_t head = (uint8_t)(major << 5 | (n == 0 ? (unsigned)v : info[n]));
    cbor_front(c, &head, 1);
}

static void cbor_front_string(struct cbor *c, unsigned major, smq_span s)
{
    if (s.len != 0) {
        cbor_front(c, s.data, s.len);
    }
    cbor_front_head(c, major, s.len);
}

/** Enc_structure of protocol.md 6.2. */
static smq_span expected_aad(struct cbor *c, uint8_t suite, const uint8_t *of_ctx, unsigned way, const uint8_t *kid,
                             uint64_t seq, uint8_t first, smq_span topic)
{
    c->at = sizeof(c->bytes);
    cbor_front_string(c, 3, topic);
    cbor_front_head(c, 0, first);
    cbor_front_head(c, 0, seq);
    cbor_front_string(c, 2, smq_span_of(kid, 4));
    cbor_front_head(c, 0, way);
    cbor_front_string(c, 2, smq_span_of(of_ctx, 32));
    cbor_front_string(c, 3, smq_span_str("S-MQTT/1"));
    cbor_front_head(c, 4, 7);
    cbor_front_head(c, 2, sizeof(c->bytes) - c->at);
    size_t end = c->at;
    cbor_front_head(c, 0, suite == 1 ? 24 : 1);
    cbor_front_head(c, 0, 1);
    cbor_front_head(c, 5, 1);
    cbor_front_head(c, 2, end - c->at);
    cbor_front_string(c, 3, smq_span_str("Encrypt0"));
    cbor_front_head(c, 4, 3);
    return smq_span_of(c->bytes + c->at, sizeof(c->bytes) - c->at);
}

static void check_aad(uint8_t suite, enum smq_way way, uint64_t seq, uint8_t first, smq_span topic)
{
    static struct cbor c;
    uint8_t *got = malloc(SMQ_AAD_FIXED + 48 + topic.len);
    assert_non_null(got);
    struct smq_gen gen = gen_of(suite, secret, way, ctx);
    smq_span want = expected_aad(&c, suite, ctx, way == SMQ_WAY_C2S ? 0 : 1, gen.kid, seq, first, topic);
    assert_int_equal(smq_record_aad(&gen, seq, first, topic, got), want.len);
    assert_memory_equal(got, want.data, want.len);
    free(got);
    smq_gen_deinit(&gen);
}

static void test_aad(void **state)
{
    (void)state;
    static const uint64_t seqs[] = {0, 23, 24, 255, 256, 65535, 65536, 0xFFFFFFFF, 0x100000000, UINT64_MAX};
    static const size_t lens[] = {0, 1, 23, 24, 100, 182, 183, 184, 255, 256, 400, 500, 65535};
    static uint8_t topic[65535];
    memset(topic, 'a', sizeof(topic));
    for (uint8_t suite = 1; suite <= 2; suite++) {
        for (size_t i = 0; i < SMQ_ARRAY_LEN(seqs); i++) {
            for (size_t j = 0; j < SMQ_ARRAY_LEN(lens); j++) {
                check_aad(suite, SMQ_WAY_C2S, seqs[i], 0x80, smq_span_of(topic, lens[j]));
                check_aad(suite, SMQ_WAY_S2C, seqs[i], 0x97, smq_span_of(topic, lens[j]));
            }
        }
    }
}

/** A record taken apart with nothing but the formulas. */
static void test_formulas(void **state)
{
    (void)state;
    static struct cbor c;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        uint8_t key[32];
        uint8_t iv[12];
        uint8_t kid[4];
        const smq_span none = {NULL, 0};
        struct smq_gen gen = gen_of(suite, secret, SMQ_WAY_C2S, ctx);
        struct smq_sealed in = {.content = SMQ_CONTENT_RECEIPT, .payload = smq_span_str("payload")};
        size_t len = seal(&gen, 0x123456, "a/b", &in);
        kit_expand(secret, "key", none, key, smq_suite_by_id(suite)->nk);
        kit_expand(secret, "iv", none, iv, 12);
        kit_expand(secret, "kid", none, kid, 4);
        const uint8_t head[] = {0x82, kid[0], kid[1], kid[2], kid[3], 0x12, 0x34, 0x56};
        assert_memory_equal(record, head, sizeof(head));
        iv[9] ^= 0x12;
        iv[10] ^= 0x34;
        iv[11] ^= 0x56;
        struct smq_aead_key *aead = lib->aead_new(smq_suite_by_id(suite)->aead, key);
        smq_span aad = expected_aad(&c, suite, ctx, 0, kid, 0x123456, 0x82, topic_of("a/b"));
        assert_int_equal(lib->aead_open(aead, iv, aad, smq_span_of(record + 8, len - 8), pt), SMQTT_OK);
        assert_memory_equal(pt, "\x04payload", 8);
        lib->aead_free(aead);
        struct smq_gen next;
        uint8_t upd[32];
        assert_int_equal(smq_gen_next(&gen, &next), SMQTT_OK);
        kit_expand(secret, "upd", none, upd, 32);
        struct smq_gen same = gen_of(suite, upd, SMQ_WAY_C2S, ctx);
        assert_memory_equal(next.secret, upd, 32);
        assert_memory_equal(next.kid, same.kid, 4);
        assert_memory_equal(next.aad, same.aad, sizeof(next.aad));
        assert_null(next.aead);
        smq_gen_deinit(&same);
        smq_gen_deinit(&next);
        smq_gen_deinit(&gen);
        smq_gen_deinit(&gen);
    }
}

/* ---------------------------------------------------------------- refusals */

static void test_bit_flips(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct smq_gen gen = gen_of(suite, secret, SMQ_WAY_C2S, ctx);
        for (int logical = 0; logical <= 1; logical++) {
            struct smq_sealed in = {.has_time = true, .time = 5, .payload = smq_span_str("what it says")};
            struct smq_sealed out;
            in.logical_topic = logical != 0 ? smq_span_str("real/topic") : in.logical_topic;
            size_t len = seal(&gen, 300, "a/b", &in);
            assert_true(opens(&gen, smq_span_of(record, len), "a/b", &out));
            for (size_t bit = 0; bit < 8 * len; bit++) {
                record[bit / 8] ^= (uint8_t)(1U << (bit % 8));
                assert_false(opens(&gen, smq_span_of(record, len), "a/b", &out));
                record[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            }
            for (size_t cut = 0; cut < len; cut++) {
                assert_false(opens(&gen, smq_span_of(record, cut), "a/b", &out));
            }
            record[len] = 0;
            assert_false(opens(&gen, smq_span_of(record, len + 1), "a/b", &out));
            assert_true(opens(&gen, smq_span_of(record, len), "a/b", &out));
        }
        smq_gen_deinit(&gen);
    }
}

static void test_other_place(void **state)
{
    (void)state;
    uint8_t ctx_b[SMQ_HASH_LEN] = {1, 2, 4};
    uint8_t secret_b[SMQ_HASH_LEN] = {9, 8, 6};
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct smq_gen gen = gen_of(suite, secret, SMQ_WAY_C2S, ctx);
        struct smq_gen others[] = {
            gen_of(suite, secret, SMQ_WAY_S2C, ctx),   gen_of(suite, secret, SMQ_WAY_C2S, ctx_b),
            gen_of(suite, secret_b, SMQ_WAY_C2S, ctx), gen_of((uint8_t)(3 - suite), secret, SMQ_WAY_C2S, ctx),
            gen_of(suite, secret, SMQ_WAY_C2S, ctx),
        };
        others[4].aad[SMQ_AAD_FIXED - 1] ^= 1; /* another kid for the same keys */
        struct smq_sealed in = {.payload = smq_span_str("p")};
        size_t len = seal(&gen, 7, "a/b", &in);
        struct smq_record r;
        assert_int_equal(smq_record_read(smq_span_of(record, len), &r), SMQTT_OK);
        assert_int_equal(smq_record_open(NULL, &gen, &r, topic_of("a/b"), pt), SMQTT_OK);
        for (size_t i = 0; i < SMQ_ARRAY_LEN(others); i++) {
            assert_int_equal(smq_record_open(NULL, &others[i], &r, topic_of("a/b"), pt), SMQTT_E_BAD_TAG);
            smq_gen_deinit(&others[i]);
        }
        static const char *const topics[] = {"", "a", "a/B", "a/b/", "a/b "};
        for (size_t i = 0; i < SMQ_ARRAY_LEN(topics); i++) {
            assert_int_equal(smq_record_open(NULL, &gen, &r, topic_of(topics[i]), pt), SMQTT_E_BAD_TAG);
        }
        r.seq = 8;
        assert_int_equal(smq_record_open(NULL, &gen, &r, topic_of("a/b"), pt), SMQTT_E_BAD_TAG);
        smq_gen_deinit(&gen);
    }
}

/* ---------------------------------------------------------------- content */

static void test_tlvs(void **state)
{
    (void)state;
    struct smq_gen gen = gen_of(1, secret, SMQ_WAY_C2S, ctx);
    for (unsigned set = 0; set < 128; set++) {
        struct smq_sealed in = {.content = SMQ_CONTENT_TEXT | SMQ_CONTENT_RECEIPT, .payload = smq_span_str("pay")};
        struct smq_sealed out;
        in.has_time = (set & 1) != 0;
        in.has_expiry = (set & 2) != 0;
        in.time = in.has_time ? 0x0102030405060708 : 0;
        in.expiry_s = in.has_expiry ? 77 : 0;
        in.content_type = (set & 4) != 0 ? smq_span_str("text/plain") : in.content_type;
        in.response_topic = (set & 8) != 0 ? smq_span_str("re/ply") : in.response_topic;
        in.correlation_data = (set & 16) != 0 ? smq_span_of("", 0) : in.correlation_data;
        in.logical_topic = (set & 32) != 0 ? smq_span_str("the/topic") : in.logical_topic;
        in.padding = (set & 64) != 0 ? 19 : 0;
        size_t len = seal(&gen, set, "t", &in);
        bool ok = !in.has_expiry || in.has_time; /* an expiry counts from the time of sealing */
        assert_int_equal((record[0] & SMQ_RECORD_LOGICAL) != 0, (set & 32) != 0);
        assert_int_equal(opens(&gen, smq_span_of(record, len), "t", &out), ok);
        if (!ok) {
            continue;
        }
        assert_int_equal(out.content, in.content | (set != 0 ? SMQ_CONTENT_TLVS : 0));
        assert_int_equal(out.has_time, in.has_time);
        assert_int_equal(out.time, in.time);
        assert_int_equal(out.has_expiry, in.has_expiry);
        assert_int_equal(out.expiry_s, in.expiry_s);
        assert_true(smq_span_equal(out.content_type, in.content_type));
        assert_true(smq_span_equal(out.response_topic, in.response_topic));
        assert_int_equal(out.correlation_data.data != NULL, in.correlation_data.data != NULL);
        assert_true(smq_span_equal(out.logical_topic, in.logical_topic));
        assert_int_equal(out.padding, in.padding);
        assert_true(smq_span_equal(out.payload, in.payload));
    }
    smq_gen_deinit(&gen);
}

static void test_logical_needs_no_topic(void **state)
{
    (void)state;
    struct smq_gen gen = gen_of(2, secret, SMQ_WAY_C2S, ctx);
    struct smq_sealed in = {.logical_topic = smq_span_str("real"), .payload = smq_span_str("p")};
    struct smq_sealed out;
    size_t len = seal(&gen, 1, "one/place", &in);
    assert_true(opens(&gen, smq_span_of(record, len), "another/place", &out));
    assert_true(smq_span_equal(out.logical_topic, smq_span_str("real")));
    smq_gen_deinit(&gen);
}

static void test_sealed_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        bool logical, ok;
    } rows[] = {
        {"", 0, false, false},
        {"\x00", 1, false, true},
        {"\x05x", 2, false, true},
        {"\x08x", 2, false, true},
        {"\x09x", 2, false, false}, /* receipts are no text */
        {"\x0Cx", 2, false, false}, /* and want none */
        {"\x10", 1, false, false},
        {"\x20", 1, false, false},
        {"\x40", 1, false, false},
        {"\x80", 1, false, false},
        {"\x02", 1, false, false},
        {"\x02\x00", 2, false, false},
        {"\x02\x00\x00", 3, false, true},
        {"\x02\x00\x01\x05", 4, false, false},
        {"\x02\x00\x03\x05\x00\x01z", 7, false, false},               /* value past the list */
        {"\x02\x00\x04\x05\x00\x01z", 7, false, true},                /* correlation data */
        {"\x02\x00\x08\x05\x00\x01z\x05\x00\x01z", 11, false, false}, /* twice */
        {"\x02\x00\x08\x05\x00\x01z\x04\x00\x01z", 11, false, false}, /* descending */
        {"\x02\x00\x04\x7F\x00\x01z", 7, false, true},                /* unknown, may be skipped */
        {"\x02\x00\x04\x80\x00\x01z", 7, false, false},               /* unknown, critical */
        {"\x02\x00\x04\xFF\x00\x01z", 7, false, false},
        {"\x02\x00\x04\x01\x00\x01z", 7, false, false},     /* a time of one byte */
        {"\x02\x00\x07\x02\x00\x04wxyz", 10, false, false}, /* expiry without time */
        {"\x02\x00\x04\x09\x00\x01z", 7, true, true},
        {"\x02\x00\x04\x09\x00\x01z", 7, false, false}, /* logical topic without L */
        {"\x02\x00\x04\x05\x00\x01z", 7, true, false},  /* L without logical topic */
        {"\x00", 1, true, false},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        struct smq_sealed out;
        uint8_t *copy = malloc(rows[i].len + (rows[i].len == 0));
        assert_non_null(copy);
        memcpy(copy, rows[i].bytes, rows[i].len);
        assert_int_equal(smq_sealed_read(smq_span_of(copy, rows[i].len), rows[i].logical, &out),
                         rows[i].ok ? SMQTT_OK : SMQTT_E_MALFORMED);
        free(copy);
    }
}

static void test_large(void **state)
{
    (void)state;
    static uint8_t big[65535];
    static uint8_t topic[65535];
    struct smq_gen gen = gen_of(1, secret, SMQ_WAY_C2S, ctx);
    struct smq_sealed in = {.content_type = smq_span_of(big, 40000), .response_topic = smq_span_of(big, 25530)};
    size_t len = 0;
    assert_int_equal(smq_record_seal(NULL, &gen, 0, topic_of("t"), &in, record, &len), SMQTT_E_TOO_LARGE);
    in.response_topic.len = 65535 - 6 - 40000;
    assert_int_equal(smq_record_seal(NULL, &gen, 0, topic_of("t"), &in, record, &len), SMQTT_OK);
    memset(topic, 'x', sizeof(topic));
    struct failing_mem fm;
    failing_mem_init(&fm);
    for (size_t nth = 1; nth <= 2; nth++) { /* long topics take the heap */
        failing_mem_arm(&fm, nth);
        in = (struct smq_sealed){.payload = smq_span_str("p")};
        assert_int_equal(smq_record_seal(&fm.mem, &gen, 0, smq_span_of(topic, sizeof(topic)), &in, record, &len),
                         nth == 1 ? SMQTT_E_NOMEM : SMQTT_OK);
        assert_int_equal(fm.live, 0);
    }
    failing_mem_arm(&fm, 0);
    struct smq_record r;
    assert_int_equal(smq_record_read(smq_span_of(record, len), &r), SMQTT_OK);
    assert_int_equal(smq_record_open(&fm.mem, &gen, &r, smq_span_of(topic, sizeof(topic) - 1), pt), SMQTT_E_BAD_TAG);
    assert_int_equal(smq_record_open(&fm.mem, &gen, &r, smq_span_of(topic, sizeof(topic)), pt), SMQTT_OK);
    assert_int_equal(fm.live, 0);
    smq_gen_deinit(&gen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_first_byte),
        cmocka_unit_test(test_aad),       cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_bit_flips), cmocka_unit_test(test_other_place),
        cmocka_unit_test(test_tlvs),      cmocka_unit_test(test_logical_needs_no_topic),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_sealed_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
