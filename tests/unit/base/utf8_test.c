/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include "base/utf8.h"

#define IMPLS_MAX 8
#define TEXT_MAX  512

static const enum smq_text_policy policies[] = {SMQ_TEXT_STRICT, SMQ_TEXT_STANDARD, SMQ_TEXT_WELLFORMED};
static const struct smq_utf8_impl *impls[IMPLS_MAX];
static size_t n_impls;

static int find_impls(void **state)
{
    (void)state;
    for (size_t i = 0; smq_utf8_impl_at(i) != NULL; i++) {
        if (smq_utf8_impl_at(i)->usable()) {
            impls[n_impls++] = smq_utf8_impl_at(i);
        }
    }
    return n_impls == 0;
}

/* An own decoder, on purpose by another way: the table of well-formed sequences of the Unicode standard (table 3-7),
 * row by row. */
struct well_formed {
    uint8_t first[2];
    uint8_t second[2];
    size_t len;
};

static const struct well_formed table[] = {
    {{0x00, 0x7F}, {0, 0}, 1},       {{0xC2, 0xDF}, {0x80, 0xBF}, 2}, {{0xE0, 0xE0}, {0xA0, 0xBF}, 3},
    {{0xE1, 0xEC}, {0x80, 0xBF}, 3}, {{0xED, 0xED}, {0x80, 0x9F}, 3}, {{0xEE, 0xEF}, {0x80, 0xBF}, 3},
    {{0xF0, 0xF0}, {0x90, 0xBF}, 4}, {{0xF1, 0xF3}, {0x80, 0xBF}, 4}, {{0xF4, 0xF4}, {0x80, 0x8F}, 4},
};

static bool within(uint8_t byte, const uint8_t range[2])
{
    return byte >= range[0] && byte <= range[1];
}

static size_t slow_len(const uint8_t *p, size_t left)
{
    for (size_t row = 0; row < SMQ_ARRAY_LEN(table); row++) {
        const struct well_formed *w = &table[row];
        if (!within(p[0], w->first)) {
            continue;
        }
        if (left < w->len || (w->len > 1 && !within(p[1], w->second))) {
            return 0;
        }
        for (size_t i = 2; i < w->len; i++) {
            if (p[i] < 0x80 || p[i] > 0xBF) {
                return 0;
            }
        }
        return w->len;
    }
    return 0;
}

/* 0: allowed nowhere, 1: only as well-formed, 2: by MQTT, 3: by the strict policy as well. */
static int slow_rank_of_character(uint32_t cp)
{
    if (cp == 0) {
        return 1;
    }
    if (cp < 32 || (cp >= 127 && cp <= 159)) {
        return 2;
    }
    if (cp >= 0xFDD0 && cp < 0xFDD0 + 32) {
        return 2;
    }
    return cp % 0x10000 >= 0xFFFE ? 2 : 3;
}

static int slow_rank(smq_span s)
{
    int rank = 3;
    size_t len = 0;
    for (size_t i = 0; i < s.len; i += len) {
        const uint8_t *p = s.data + i;
        len = slow_len(p, s.len - i);
        if (len == 0) {
            return 0;
        }
        uint32_t cp = p[0];
        if (len == 2) {
            cp = (p[0] - 0xC0U) * 64 + (p[1] - 0x80U);
        } else if (len == 3) {
            cp = ((p[0] - 0xE0U) * 64 + (p[1] - 0x80U)) * 64 + (p[2] - 0x80U);
        } else if (len == 4) {
            cp = (((p[0] - 0xF0U) * 64 + (p[1] - 0x80U)) * 64 + (p[2] - 0x80U)) * 64 + (p[3] - 0x80U);
        }
        int here = slow_rank_of_character(cp);
        rank = here < rank ? here : rank;
    }
    return rank;
}

static bool rank_is_ok(int rank, enum smq_text_policy policy)
{
    return policy == SMQ_TEXT_STRICT ? rank >= 3 : policy == SMQ_TEXT_STANDARD ? rank >= 2 : rank >= 1;
}

static void fail_on(smq_span s, const char *name, enum smq_text_policy policy)
{
    for (size_t i = 0; i < s.len; i++) {
        print_error("%02x ", s.data[i]);
    }
    fail_msg("%s differs, policy %d, %zu bytes", name, (int)policy, s.len);
}

static void check_scalar(smq_span s)
{
    int rank = slow_rank(s);
    for (size_t p = 0; p < SMQ_ARRAY_LEN(policies); p++) {
        if (smq_utf8_ok_scalar(s, policies[p]) != rank_is_ok(rank, policies[p])) {
            fail_on(s, "scalar", policies[p]);
        }
    }
}

/* Every implementation and the dispatcher against the slow decoder. */
static void check_all(smq_span s)
{
    int rank = slow_rank(s);
    for (size_t p = 0; p < SMQ_ARRAY_LEN(policies); p++) {
        bool want = rank_is_ok(rank, policies[p]);
        for (size_t i = 0; i < n_impls; i++) {
            if (impls[i]->ok(s, policies[p]) != want) {
                fail_on(s, impls[i]->name, policies[p]);
            }
        }
        if (smq_utf8_ok(s, policies[p]) != want) {
            fail_on(s, "smq_utf8_ok", policies[p]);
        }
    }
}

/* The sequence inside 80 bytes of other text, so that every vector path is taken. The implementations look at single
 * bytes and the three before, so what they answer depends on the sequence, the text around it and the place in a block
 * only. */
static void check_embedded(const uint8_t *seq, size_t len, size_t at, const char *around)
{
    uint8_t text[80];
    size_t unit = strlen(around);
    size_t size = sizeof text / unit * unit;
    for (size_t i = 0; i < size; i++) {
        text[i] = (uint8_t)around[i % unit];
    }
    at = at / unit * unit;
    memcpy(text + at, seq, len);
    size_t after = (at + len + unit - 1) / unit * unit; /* the text goes on with whole characters */
    memset(text + at + len, 'x', (after < size ? after : size) - at - len);
    check_all(smq_span_of(text, size));
}

static void all_sequences_up_to_3_bytes(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < 0x1000000; v++) {
        uint8_t seq[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        if ((v & 0xFFFF) == 0) {
            check_all(smq_span_of(seq, 1));
        }
        if ((v & 0xFF) == 0) {
            check_all(smq_span_of(seq, 2));
        }
        check_scalar(smq_span_of(seq, 3));
    }
}

/* Bytes at both ends of every range that any rule names, and one from inside. */
static const uint8_t edges[] = {0x00, 0x01, 0x1F, 0x20, 0x41, 0x7E, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0,
                                0xAF, 0xB0, 0xB6, 0xB7, 0xB8, 0xBD, 0xBE, 0xBF, 0xC0, 0xC1, 0xC2, 0xC3, 0xDF,
                                0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF};

/* Edges at every place of texts of every length up to 40: the short ones take ways of their own. */
static void short_texts(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 40; len++) {
        for (size_t i = 0; i < len * SMQ_ARRAY_LEN(edges); i++) {
            uint8_t text[40];
            memset(text, 'a', sizeof text);
            text[i % len] = edges[i / len];
            check_all(smq_span_of(text, len));
        }
    }
}

static void scalar_4_bytes(void **state)
{
    (void)state;
    for (unsigned first = 0xEF; first <= 0xF6; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (unsigned i = 0; i < SMQ_ARRAY_LEN(edges) * SMQ_ARRAY_LEN(edges); i++) {
                uint8_t seq[4] = {(uint8_t)first, (uint8_t)second, edges[i / SMQ_ARRAY_LEN(edges)],
                                  edges[i % SMQ_ARRAY_LEN(edges)]};
                check_scalar(smq_span_of(seq, 4));
            }
        }
    }
}

/* All characters there are, and surrogates as if they were characters. */
static void every_code_point(void **state)
{
    (void)state;
    uint8_t text[48];
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        size_t len = 0;
        memset(text, 'a', sizeof text);
        uint8_t *p = text + 13 + cp % 7; /* over the border between two blocks as well */
        if (cp < 0x80) {
            p[len++] = (uint8_t)cp;
        } else if (cp < 0x800) {
            p[len++] = (uint8_t)(0xC0 | cp >> 6);
        } else if (cp < 0x10000) {
            p[len++] = (uint8_t)(0xE0 | cp >> 12);
            p[len++] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
        } else {
            p[len++] = (uint8_t)(0xF0 | cp >> 18);
            p[len++] = (uint8_t)(0x80 | (cp >> 12 & 0x3F));
            p[len++] = (uint8_t)(0x80 | (cp >> 6 & 0x3F));
        }
        if (cp >= 0x80) {
            p[len++] = (uint8_t)(0x80 | (cp & 0x3F));
        }
        int rank = cp >= 0xD800 && cp <= 0xDFFF ? 0 : slow_rank_of_character(cp);
        for (size_t i = 0; i < n_impls; i++) {
            enum smq_text_policy policy = policies[(cp + i) % 3];
            smq_span whole = smq_span_of(text, sizeof text);
            if (impls[i]->ok(whole, policy) != rank_is_ok(rank, policy)) {
                fail_on(whole, impls[i]->name, policy);
            }
            if (impls[i]->ok(whole, SMQ_TEXT_STRICT) != (rank == 3)) {
                fail_on(whole, impls[i]->name, SMQ_TEXT_STRICT);
            }
        }
    }
}

/* A vector implementation sees pairs of bytes by their nibbles: all pairs, with all edges around them. */
static void vectors_all_pairs(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair < 0x10000; pair++) {
        uint8_t seq[2] = {(uint8_t)(pair >> 8), (uint8_t)pair};
        check_embedded(seq, 2, 5 + pair % 67, "a");
        check_embedded(seq, 2, 31, "a");
        check_embedded(seq, 2, 15, "\xE4\xBD\xA0");
    }
}

static void vectors_edges_of_4(void **state)
{
    (void)state;
    const size_t n = SMQ_ARRAY_LEN(edges);
    for (size_t i = 0; i < n * n * n * n; i++) {
        uint8_t seq[4] = {edges[i / n / n / n], edges[i / n / n % n], edges[i / n % n], edges[i % n]};
        if (seq[0] < 0xC2) {
            continue;
        }
        uint8_t text[36];
        memset(text, 'a', sizeof text);
        memcpy(text + i % 33, seq, 4);
        smq_span s = smq_span_of(text, sizeof text);
        enum smq_text_policy policy = policies[i % 3];
        bool want = rank_is_ok(slow_rank(s), policy);
        for (size_t j = 0; j < n_impls; j++) {
            if (impls[j]->ok(s, policy) != want) {
                fail_on(s, impls[j]->name, policy);
            }
        }
    }
}

/* Bytes that matter, at every offset of text of one, two, three and four bytes a character. */
static void every_offset(void **state)
{
    (void)state;
    static const char *const seqs[] = {"\x01",
                                       "\x7F",
                                       "\x80",
                                       "\xC2\x80",
                                       "\xC2\x9F",
                                       "\xC2\xA0",
                                       "\xC3",
                                       "\xC1\xBF",
                                       "\xE0\x9F\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xED\xA0\x80",
                                       "\xEE\x80\x80",
                                       "\xEF\xB7\x8F",
                                       "\xEF\xB7\x90",
                                       "\xEF\xB7\xAF",
                                       "\xEF\xB7\xB0",
                                       "\xEF\xBF\xBD",
                                       "\xEF\xBF\xBE",
                                       "\xEF\xBF\xBF",
                                       "\xE4\xBD",
                                       "\xE4",
                                       "\xEF\xBB\xBF",
                                       "\xF0\x8F\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF0\x9F\xBF\xBD",
                                       "\xF0\x9F\xBF\xBE",
                                       "\xF1\x8F\xBF\xBF",
                                       "\xF4\x8F\xBF\xBD",
                                       "\xF4\x8F\xBF\xBF",
                                       "\xF4\x90\x80\x80",
                                       "\xF5\x80\x80\x80",
                                       "\xF0\x9F\x98",
                                       "\xF0\x9F",
                                       "\xF0",
                                       "\x9F\xBF\xBE",
                                       "\xFF",
                                       "\xE4\xBD\xA0\x80",
                                       "\xF0\x9F\x98\x80\x80"};
    static const char *const around[] = {"a", "\xC3\xA9", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80", "ab\xE4\xBD\xA0"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(seqs); i++) {
        for (size_t j = 0; j < SMQ_ARRAY_LEN(around); j++) {
            for (size_t at = 0; at < 75; at++) {
                check_embedded((const uint8_t *)seqs[i], strlen(seqs[i]), at, around[j]);
            }
        }
    }
    for (size_t at = 0; at < 79; at++) {
        check_embedded((const uint8_t *)"\0", 1, at, "a");
    }
}

/* A text of every length: plain, with a cut character at its end, and right before a page of bytes that would be
 * faults. */
static void every_length(void **state)
{
    (void)state;
    uint8_t text[200];
    for (size_t len = 0; len < 150; len++) {
        memset(text, 0xFF, sizeof text);
        memset(text, 'a', len);
        check_all(smq_span_of(text, len));
        for (size_t cut = 1; cut <= 3 && cut <= len; cut++) {
            memcpy(text + len - cut, "\xF0\x9F\x98", cut);
            check_all(smq_span_of(text, len));
            memcpy(text + len - cut, "\x98\x98\x98", cut);
            check_all(smq_span_of(text, len));
        }
    }
    assert_true(smq_utf8_ok(smq_span_of(NULL, 0), SMQ_TEXT_STRICT));
}

static size_t put_random_character(uint8_t *out, uint64_t *seed)
{
    static const char *const rare[] = {"\xC2\x85", "\xEF\xBF\xBE", "\xEF\xB7\x90",
                                       "\x7F",     "\xED\xA0\x80", "\xF4\x8F\xBF\xBE"};
    static const char *const good[] = {"a", "/", "\xC3\xA9", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80", "\xEF\xBB\xBF"};
    uint64_t r = test_random(seed);
    const char *c = r % 257 == 0 ? rare[r / 257 % SMQ_ARRAY_LEN(rare)] : good[r / 257 % SMQ_ARRAY_LEN(good)];
    memcpy(out, c, strlen(c));
    return strlen(c);
}

static void random_texts(void **state)
{
    (void)state;
    uint64_t seed = 7;
    uint8_t text[TEXT_MAX];
    for (int round = 0; round < 20000; round++) {
        size_t want = test_random_below(&seed, TEXT_MAX - 8);
        size_t len = 0;
        while (len < want) {
            len += put_random_character(text + len, &seed);
        }
        if (round % 2 == 0 && len > 0) {
            text[test_random_below(&seed, len)] = edges[test_random_below(&seed, SMQ_ARRAY_LEN(edges))];
        }
        size_t from = test_random_below(&seed, 4) == 0 && len > 4 ? 1 : 0;
        check_all(smq_span_of(text + from, len - from));
    }
}

static void cut_keeps_characters_whole(void **state)
{
    (void)state;
    smq_span s = smq_span_str("a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80z");
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
    for (size_t max = 0; max < SMQ_ARRAY_LEN(want); max++) {
        assert_int_equal(smq_utf8_cut(s, max), want[max]);
    }
    assert_int_equal(smq_utf8_cut(smq_span_of(NULL, 0), 5), 0);
}

static void rows_of_the_table(void **state)
{
    (void)state;
    size_t n = 0;
    while (smq_utf8_impl_at(n) != NULL) {
        n++;
    }
    assert_string_equal(smq_utf8_impl_at(n - 1)->name, "scalar");
    assert_true(smq_utf8_impl_at(n - 1)->usable());
    assert_null(smq_utf8_impl_at(n + 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sequences_up_to_3_bytes),
        cmocka_unit_test(scalar_4_bytes),
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(vectors_all_pairs),
        cmocka_unit_test(vectors_edges_of_4),
        cmocka_unit_test(short_texts),
        cmocka_unit_test(every_offset),
        cmocka_unit_test(every_length),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(cut_keeps_characters_whole),
        cmocka_unit_test(rows_of_the_table),
    };
    return cmocka_run_group_tests(tests, find_impls, NULL);
}
