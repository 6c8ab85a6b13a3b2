/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/log.h"
#include "base/utf8.h"

struct seen {
    int lines;
    enum smq_log_level level;
    size_t len;
    const char *event;
    char text[2 * SMQ_LOG_LINE];
};

static void remember(void *ctx, enum smq_log_level level, const struct smq_log_about *about, const char *text,
                     size_t len)
{
    struct seen *seen = ctx;
    assert_int_equal(strlen(text), len);
    assert_true(len < SMQ_LOG_LINE);
    size_t tab = text[0] == '\t' ? 1 : 0;
    assert_true(smq_utf8_ok(smq_span_of(text + tab, len - tab), SMQ_TEXT_STRICT));
    seen->lines++;
    seen->event = about != NULL ? about->event : NULL;
    seen->level = level;
    seen->len = len;
    memcpy(seen->text, text, len + 1);
}

static void levels(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct smq_log log = {smq_log_up_to(SMQ_LOG_NOTICE), remember, &seen};
    smq_log(&log, SMQ_LOG_ERR, "%s %d", "one", 1);
    assert_string_equal(seen.text, "one 1");
    assert_int_equal(seen.level, SMQ_LOG_ERR);
    smq_log(&log, SMQ_LOG_NOTICE, "two");
    smq_log(&log, SMQ_LOG_INFO, "three");
    smq_log(&log, SMQ_LOG_DEBUG, "four");
    assert_int_equal(seen.lines, 2);
    assert_string_equal(seen.text, "two");
    assert_true(smq_log_is_on(&log, SMQ_LOG_WARN));
    assert_false(smq_log_is_on(&log, SMQ_LOG_INFO));
    smq_log(NULL, SMQ_LOG_ERR, "nobody hears this");
    log.wanted = 1u << SMQ_LOG_SUBSCRIBE | 1u << SMQ_LOG_NOTICE; /* kinds need not be in a row */
    smq_log(&log, SMQ_LOG_WARN, "nor this");
    assert_int_equal(seen.lines, 2);
    const struct smq_log_about about = {.event = "subscribed"};
    smq_log_with(&log, SMQ_LOG_SUBSCRIBE, &about, "\ttab");
    assert_string_equal(seen.text, "\ttab");
    assert_string_equal(seen.event, "subscribed");
    smq_log(&log, SMQ_LOG_NOTICE, "\tta\tb");
    assert_string_equal(seen.text, "\tta\\x09b");
    assert_null(seen.event);
    log.sink = NULL;
    smq_log(&log, SMQ_LOG_ERR, "nor this");
    assert_string_equal(smq_log_level_name(SMQ_LOG_WARN), "warning");
    assert_string_equal(smq_log_level_name((enum smq_log_level)77), "debug");
    assert_string_equal(smq_log_level_name(SMQ_LOG_UNSUBSCRIBE), "unsubscribe");
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct smq_log log = {SMQ_LOG_ALL, remember, &seen};
    char text[3 * SMQ_LOG_LINE];
    for (size_t len = SMQ_LOG_LINE - 8; len < SMQ_LOG_LINE + 8; len++) {
        memset(text, 'a', sizeof text);
        text[len] = 0;
        smq_log(&log, SMQ_LOG_INFO, "%s", text);
        if (len < SMQ_LOG_LINE) {
            assert_int_equal(seen.len, len);
        } else {
            assert_int_equal(seen.len, SMQ_LOG_LINE - 1);
            assert_string_equal(seen.text + seen.len - 4, "a...");
        }
    }
    for (size_t shift = 0; shift < 4; shift++) { /* never inside a character; the sink checks */
        for (size_t i = shift; i + 4 <= sizeof text; i += 4) {
            memcpy(text + i, "\xF0\x9F\x98\x80", 4);
        }
        text[2 * SMQ_LOG_LINE + shift] = 0;
        memset(text, 'a', shift);
        smq_log(&log, SMQ_LOG_INFO, "%s", text);
        assert_true(seen.len >= SMQ_LOG_LINE - 5);
        assert_string_equal(seen.text + seen.len - 3, "...");
        assert_null(strchr(seen.text, '\\'));
    }
}

static void nothing_hostile_reaches_the_sink(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct smq_log log = {SMQ_LOG_ALL, remember, &seen};
    smq_log(&log, SMQ_LOG_INFO, "client %s",
            "\xE2\x80\xAE"
            "desrever \xC3\xA9"); /* U+202E turns the text around */
    assert_string_equal(seen.text, "client \\xe2\\x80\\xaedesrever \xC3\xA9");
    smq_log(&log, SMQ_LOG_INFO, "client %s", "x\x1B[2J\nfake line");
    assert_string_equal(seen.text, "client x\\x1b[2J\\x0afake line");
    smq_log(&log, SMQ_LOG_INFO, "%s",
            "\xC2\x9B"
            "31m \xFF");
    assert_string_equal(seen.text, "\\xc2\\x9b31m \\xff");
}

static void check_escape(smq_span in, const char *want)
{
    char out[256];
    memset(out, '#', sizeof out);
    size_t len = smq_text_escape(out, sizeof out, in);
    assert_string_equal(out, want);
    assert_int_equal(len, strlen(want));
    assert_int_equal(out[len + 1], '#');
}

static void escapes(void **state)
{
    (void)state;
    check_escape(smq_span_of(NULL, 0), "");
    check_escape(smq_span_str("plain/topic \xE4\xBD\xA0 \xF0\x9F\x98\x80 \xC3\xA9"),
                 "plain/topic \xE4\xBD\xA0 \xF0\x9F\x98\x80 \xC3\xA9");
    check_escape(smq_span_of("a\0b\x7F\x01", 5), "a\\x00b\\x7f\\x01");
    check_escape(smq_span_str("C:\\x41"), "C:\\\\x41");
    check_escape(smq_span_str("\xED\xA0\x80"), "\\xed\\xa0\\x80");
    check_escape(smq_span_str("\xE4\xBD"), "\\xe4\\xbd");
    check_escape(smq_span_str("\xE4\xBD"
                              "a"),
                 "\\xe4\\xbd"
                 "a");
    check_escape(smq_span_str("\xC2\x85\xEF\xBF\xBE"), "\\xc2\\x85\\xef\\xbf\\xbe");
    check_escape(smq_span_str("\xE2\x80\xAE"
                              "x\xE2\x81\xA6\xE2\x80\x8F\xD8\x9C"),
                 "\\xe2\\x80\\xae"
                 "x\\xe2\\x81\\xa6\\xe2\\x80\\x8f\\xd8\\x9c");
    check_escape(smq_span_str("\xE2\x80\xA8\xE2\x80\xA9"), "\\xe2\\x80\\xa8\\xe2\\x80\\xa9");
    check_escape(smq_span_str("\xE2\x80\x93\xE2\x82\xAC"), "\xE2\x80\x93\xE2\x82\xAC"); /* a dash and a euro may stay */
}

/* For every capacity: terminated, within it, whole characters, and the dots exactly when something is missing. */
static void escapes_into_any_capacity(void **state)
{
    (void)state;
    static const char text[] = "ab\x01\xE4\xBD\xA0\\c\xF0\x9F\x98\x80\x1B";
    char whole[64];
    size_t whole_len = smq_text_escape(whole, sizeof whole, smq_span_str(text));
    for (size_t cap = 1; cap < sizeof whole; cap++) {
        char out[80];
        memset(out, '#', sizeof out);
        size_t len = smq_text_escape(out, cap, smq_span_str(text));
        assert_true(len < cap);
        assert_int_equal(out[len], 0);
        assert_int_equal(out[cap], '#');
        assert_true(smq_utf8_ok(smq_span_of(out, len), SMQ_TEXT_STRICT));
        if (cap > whole_len) {
            assert_string_equal(out, whole);
        } else if (cap >= 4) {
            assert_memory_equal(out + len - 3, "...", 3);
            assert_memory_equal(out, whole, len - 3);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(nothing_hostile_reaches_the_sink),
        cmocka_unit_test(escapes),
        cmocka_unit_test(escapes_into_any_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
