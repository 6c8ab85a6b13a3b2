/* SPDX-License-Identifier: Apache-2.0 */
#include "../failing_mem.h"
#include "../test.h"
#include "broker/message.h"

static const uint16_t LEVELS = 200;

static struct smq_content content_of(const char *topic, smq_span props, const char *payload)
{
    return (struct smq_content){
        .topic = smq_span_str(topic), .props = props, .payload = smq_span_str(payload), .expires = SMQTT_NEVER};
}

static void a_block_holds_all_of_it(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_account total = {.made = 100};
    char topic[] = "a/b", payload[] = "payload";
    uint8_t props[] = {0x01, 0x01};
    struct smq_content in = content_of(topic, smq_span_of(props, sizeof props), payload);
    in.expires = 4711;
    in.qos = 2;
    in.retain = true;
    in.has_text = true;
    struct smq_refbuf *msg = smq_msg_new(&fm.mem, &in, true, &total);
    assert_non_null(msg);
    assert_int_equal(smq_account_used(&total), 100 + smq_msg_size(&in));
    /* it is a copy */
    memset(topic, 'x', 3);
    memset(payload, 'x', 7);
    memset(props, 0, sizeof props);
    struct smq_content out = smq_msg_content(msg);
    assert_true(smq_span_equal(out.topic, smq_span_str("a/b")));
    assert_true(smq_span_equal(out.props, smq_span_str("\x01\x01")));
    assert_true(smq_span_equal(out.payload, smq_span_str("payload")));
    assert_int_equal(out.expires, 4711);
    assert_int_equal(out.qos, 2);
    assert_true(out.retain);
    assert_true(out.has_text);
    /* on the wire the topic has its length in front, and all of it stands in a row */
    assert_memory_equal(smq_msg_of(msg)->bytes, "\0\3a/b\1\1payload", 14);
    smq_refbuf_ref(msg);
    smq_msg_unref(msg);
    assert_int_equal(smq_account_used(&total), 100 + smq_msg_size(&in));
    smq_msg_unref(msg);
    assert_int_equal(smq_account_used(&total), 100);
    assert_int_equal(fm.live, 0);
    smq_msg_unref(NULL);
}

static void empty_parts(void **state)
{
    (void)state;
    struct smq_account total = {.made = 0};
    struct smq_content in = content_of("", (smq_span){NULL, 0}, NULL);
    struct smq_refbuf *msg = smq_msg_new(NULL, &in, false, &total);
    assert_non_null(msg);
    struct smq_content out = smq_msg_content(msg);
    assert_int_equal(out.topic.len, 0);
    assert_int_equal(out.props.len, 0);
    assert_int_equal(out.payload.len, 0);
    assert_true(out.expires == SMQTT_NEVER);
    assert_false(out.retain);
    assert_false(out.has_text);
    smq_msg_unref(msg);
    assert_int_equal(smq_account_used(&total), 0);
}

static void what_fits_in_no_packet_is_refused(void **state)
{
    (void)state;
    static uint8_t bytes[UINT16_MAX + 1];
    struct smq_account total = {.made = 0};
    struct smq_content c = content_of("a", (smq_span){NULL, 0}, "x");
    c.topic = smq_span_of(bytes, UINT16_MAX + 1);
    assert_null(smq_msg_new(NULL, &c, true, &total));
    c.topic.len = UINT16_MAX;
    struct smq_refbuf *msg = smq_msg_new(NULL, &c, true, &total);
    assert_non_null(msg);
    smq_msg_unref(msg);
    c.topic.len = 1;
    c.payload = (smq_span){bytes, 268435456}; /* refused before it is read */
    assert_null(smq_msg_new(NULL, &c, true, &total));
    c.payload.len = 1;
    c.props = (smq_span){bytes, 268435456};
    assert_null(smq_msg_new(NULL, &c, true, &total));
    assert_int_equal(smq_account_used(&total), 0);
    struct failing_mem fm;
    failing_mem_init(&fm);
    failing_mem_arm(&fm, 1);
    c.props.len = 0;
    assert_null(smq_msg_new(&fm.mem, &c, true, &total));
    assert_int_equal(smq_account_used(&total), 0);
}

#define PROPS(text)                               \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

static const struct {
    const char *topic;
    smq_span props;
    const char *payload;
    bool strict, standard;
} samples[] = {
    {"a/b", {NULL, 0}, "x", true, true},
    {"a/b", {NULL, 0}, "\xFF\xFE", true, true}, /* any bytes, as it does not say to be text */
    {"", {NULL, 0}, "x", false, false},
    {"a/+", {NULL, 0}, "x", false, false},
    {"#", {NULL, 0}, "x", false, false},
    {"a\xC3", {NULL, 0}, "x", false, false},
    {"a\xED\xA0\x80", {NULL, 0}, "x", false, false}, /* surrogate */
    {"a\x01", {NULL, 0}, "x", false, true},
    {"a\xEF\xBF\xBF", {NULL, 0}, "x", false, true}, /* U+FFFF */
    /* payload format */
    {"a", PROPS("\x01\x00"), "\xFF", true, true},
    {"a", PROPS("\x01\x01"), "text \xC3\xA4", true, true},
    {"a", PROPS("\x01\x01"), "\xFF", false, false},
    {"a", PROPS("\x01\x01"), "\x01", true, true}, /* the policy is for strings, not for payloads */
    {"a", PROPS("\x01\x02"), "x", false, false},
    {"a", PROPS("\x01\x01\x01\x01"), "x", false, false},
    {"a", PROPS("\x26\0\1k\0\1v\x01\x01"), "\xFF", false, false}, /* it need not be the first */
    /* content type, response topic, correlation data, user property */
    {"a", PROPS("\x03\0\2t1"), "x", true, true},
    {"a", PROPS("\x03\0\2\xC3t"), "x", false, false},
    {"a", PROPS("\x08\0\3r/s"), "x", true, true},
    {"a", PROPS("\x08\0\3r/+"), "x", false, false},
    {"a", PROPS("\x09\0\2\xFF\0"), "x", true, true},
    {"a", PROPS("\x26\0\1k\0\1v\x26\0\1k\0\1w"), "x", true, true},
    {"a", PROPS("\x26\0\1k\0\1\xFF"), "x", false, false},
    {"a", PROPS("\x26\0\1k\0\1\x02"), "x", false, true},
    {"a", PROPS("\x26\0\1\x02\0\1v"), "x", false, true},
    {"a", PROPS("\x26\0\1k\0\2v"), "x", false, false}, /* cut short */
    {"a", PROPS("\x7F"), "x", false, false},
    {"a", PROPS("\x11\0\0\0\1"), "x", false, false}, /* session expiry does not stand in a PUBLISH */
};

static void soundness_of_every_string(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(samples); i++) {
        struct smq_account total = {.made = 0};
        struct smq_content c = content_of(samples[i].topic, samples[i].props, samples[i].payload);
        assert_int_equal(smq_content_is_sound(&c, SMQ_TEXT_STRICT, LEVELS), samples[i].strict);
        assert_int_equal(smq_content_is_sound(&c, SMQ_TEXT_STANDARD, LEVELS), samples[i].standard);
        struct smq_refbuf *msg = smq_msg_new(NULL, &c, false, &total);
        assert_non_null(msg);
        assert_int_equal(smq_msg_is_sound(msg, SMQ_TEXT_STRICT, LEVELS), samples[i].strict);
        assert_int_equal(smq_msg_is_sound(msg, SMQ_TEXT_STANDARD, LEVELS), samples[i].standard);
        /* A true answer is remembered, and so it holds for the other policy, too. */
        assert_int_equal(smq_msg_is_sound(msg, SMQ_TEXT_STRICT, LEVELS), samples[i].standard);
        smq_msg_unref(msg);
        msg = smq_msg_new(NULL, &c, true, &total);
        assert_non_null(msg);
        assert_true(smq_msg_is_sound(msg, SMQ_TEXT_STRICT, LEVELS)); /* the codec looked at it already */
        smq_msg_unref(msg);
        assert_int_equal(smq_account_used(&total), 0);
    }
}

static void levels_are_counted(void **state)
{
    (void)state;
    struct smq_content c = content_of("a/b/c", (smq_span){NULL, 0}, "x");
    assert_true(smq_content_is_sound(&c, SMQ_TEXT_STRICT, 3));
    assert_false(smq_content_is_sound(&c, SMQ_TEXT_STRICT, 2));
}

static void deliveries(void **state)
{
    (void)state;
    static const uint32_t ids[] = {1, 268435455, 7};
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_account total = {.made = 0};
    struct smq_content c = content_of("a", (smq_span){NULL, 0}, "x");
    struct smq_refbuf *msg = smq_msg_new(&fm.mem, &c, true, &total);
    assert_non_null(msg);
    for (size_t n = 0; n <= SMQ_ARRAY_LEN(ids); n++) {
        for (int retain = 0; retain < 2; retain++) {
            smq_refbuf_ref(msg);
            void *d = smq_delivery_new(&fm.mem, msg, retain != 0, n != 0 ? ids : NULL, n, NULL);
            assert_non_null(d);
            const uint32_t *got = ids;
            assert_ptr_equal(smq_delivery_msg(d), msg);
            assert_int_equal(smq_delivery_retain(d), retain);
            assert_int_equal(smq_delivery_ids(d, &got), n);
            assert_true(n == 0 || memcmp(got, ids, n * sizeof *ids) == 0);
            assert_int_equal(fm.live, n == 0 && retain == 0 ? 1 : 2); /* the common case costs nothing */
            assert_false(smq_refbuf_is_sole(msg));
            smq_delivery_free(&fm.mem, d);
            assert_true(smq_refbuf_is_sole(msg));
            assert_int_equal(fm.live, 1);
        }
    }
    /* Without memory the ownership stays with the caller. */
    failing_mem_arm(&fm, 1);
    assert_null(smq_delivery_new(&fm.mem, msg, true, NULL, 0, NULL));
    assert_true(smq_refbuf_is_sole(msg));
    failing_mem_arm(&fm, 0);
    /* One with a row leads to it, and is the same otherwise. */
    smq_refbuf_ref(msg);
    void *d = smq_delivery_new_stored(&fm.mem, msg, false, ids, 2, NULL);
    assert_non_null(d);
    const uint32_t *got;
    assert_true(smq_delivery_has_row(d));
    assert_int_equal(smq_delivery_row(d)->n, 0);
    smq_delivery_row(d)->n = 7;
    assert_ptr_equal(smq_delivery_msg(d), msg);
    assert_false(smq_delivery_retain(d));
    assert_int_equal(smq_delivery_ids(d, &got), 2);
    assert_memory_equal(got, ids, 2 * sizeof *ids);
    smq_delivery_free(&fm.mem, d);
    assert_int_equal(fm.live, 1);
    assert_false(smq_delivery_has_row(msg));
    assert_false(smq_delivery_has_row(NULL));
    failing_mem_arm(&fm, 1);
    assert_null(smq_delivery_new_stored(&fm.mem, msg, false, NULL, 0, NULL));
    failing_mem_arm(&fm, 0);
    /* The last owner frees all. */
    d = smq_delivery_new(&fm.mem, msg, true, ids, 1, NULL);
    assert_non_null(d);
    smq_delivery_free(&fm.mem, d);
    assert_int_equal(smq_account_used(&total), 0);
    assert_int_equal(fm.live, 0);
    smq_delivery_free(&fm.mem, NULL);
}

/* Blocks of small messages are used again, those that another thread had are not. */
static void blocks_are_used_again(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_account total = {.made = 0};
    struct smq_content in = content_of("topic", (smq_span){NULL, 0}, "payload");
    assert_int_equal(smq_msg_spares_begin(&total, &fm.mem), SMQTT_OK);
    struct smq_refbuf *first = smq_msg_new(&fm.mem, &in, true, &total);
    smq_msg_unref(smq_refbuf_ref(first));
    smq_msg_unref(first);
    assert_int_equal(smq_account_used(&total), 0);
    failing_mem_arm(&fm, 0);
    struct smq_refbuf *again = smq_msg_new(&fm.mem, &in, true, &total);
    assert_ptr_equal(again, first);
    assert_int_equal(fm.made, 0);
    struct smq_content out = smq_msg_content(again);
    assert_true(smq_span_equal(out.payload, in.payload));
    /* as if another worker had it meanwhile */
    size_t live = fm.live;
    smq_msg_unref(smq_refbuf_hand(again));
    smq_msg_unref(again);
    assert_int_equal(fm.live, live - 1);
    assert_int_equal(smq_account_used(&total), 0);
    struct smq_refbuf *many[200];
    for (size_t i = 0; i < SMQ_ARRAY_LEN(many); i++) {
        many[i] = smq_msg_new(&fm.mem, &in, true, &total);
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(many); i++) {
        smq_msg_unref(many[i]);
    }
    assert_true(fm.live < SMQ_ARRAY_LEN(many)); /* not all are kept */
    smq_msg_spares_end(&total, &fm.mem);
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_holds_all_of_it),
        cmocka_unit_test(empty_parts),
        cmocka_unit_test(what_fits_in_no_packet_is_refused),
        cmocka_unit_test(soundness_of_every_string),
        cmocka_unit_test(levels_are_counted),
        cmocka_unit_test(deliveries),
        cmocka_unit_test(blocks_are_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
