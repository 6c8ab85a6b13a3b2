/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "codec/topic.h"

static const struct {
    const char *filter, *topic;
    bool match;
} matches[] = {
    {"a", "a", true},
    {"a", "b", false},
    {"a", "A", false},
    {"a", "a/", false},
    {"a/", "a", false},
    {"/a", "a", false},
    {"/a", "/a", true},
    {"a/b", "a/b", true},
    {"a//b", "a//b", true},
    {"a//b", "a/b", false},
    {"+", "a", true},
    {"+", "/a", false},
    {"+/+", "/a", true},
    {"/+", "/a", true},
    {"+", "", false},
    {"+/", "a/", true},
    {"+/", "a", false},
    {"+/+", "/", true},
    {"a/+", "a", false},
    {"a/+", "a/", true},
    {"a/+", "a/b", true},
    {"a/+", "a/b/c", false},
    {"a/+/c", "a/b/c", true},
    {"a/+/c", "a//c", true},
    {"a/+/c", "a/b/d", false},
    {"a/+/+", "a/b", false},
    {"#", "a", true},
    {"#", "/", true},
    {"#", "a/b/c", true},
    {"a/#", "a", true},
    {"a/#", "a/", true},
    {"a/#", "a/b/c", true},
    {"a/#", "ab", false},
    {"a/#", "b", false},
    {"+/#", "a", true},
    {"+/#", "/a/b", true},
    {"a/+/#", "a", false},
    {"a/+/#", "a/b", true},
    {"a/b/#", "a", false},
    {"sport/tennis/player1/#", "sport/tennis/player1", true},
    {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
    /* [MQTT-4.7.2-1] */
    {"#", "$SYS/a", false},
    {"#", "$", false},
    {"+/a", "$SYS/a", false},
    {"+/#", "$SYS", false},
    {"+", "$SYS", false},
    {"$SYS/#", "$SYS/a", true},
    {"$SYS/#", "$SYS", true},
    {"$SYS/+", "$SYS/a", true},
    {"$SYS/a/+", "$SYS/a/b", true},
    {"a/#", "a/$SYS", true},
    {"a/+", "a/$SYS", true},
    {"/#", "/$SYS", true},
    {"\xE6\xB8\xA9/+", "\xE6\xB8\xA9/\xE5\xBA\xA6", true},
    {"", "a", false},
    {"a", "", false},
};

static void match_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(matches); i++) {
        if (smq_topic_match(smq_span_str(matches[i].filter), smq_span_str(matches[i].topic)) != matches[i].match) {
            fail_msg("\"%s\" and \"%s\"", matches[i].filter, matches[i].topic);
        }
    }
}

/* Character by character, by definition: '+' is any run without '/', '#' all that is left, or nothing with its '/'. */
static bool naive(const char *f, const char *t)
{
    if (*f == '#' || strcmp(f, "/#") == 0) {
        return *f == '#' || *t == '\0' || *t == '/';
    }
    if (*f == '+') {
        return naive(f + 1, t) || (*t != '\0' && *t != '/' && naive(f, t + 1));
    }
    return *f == '\0' ? *t == '\0' : *f == *t && naive(f + 1, t + 1);
}

static bool naive_match(const char *f, const char *t)
{
    return *f != '\0' && *t != '\0' && !(*t == '$' && (*f == '+' || *f == '#')) && naive(f, t);
}

static void random_word(uint64_t *seed, const char *letters, char *out, size_t cap)
{
    size_t len = 1 + test_random_below(seed, cap - 1);
    for (size_t i = 0; i < len; i++) {
        out[i] = letters[test_random_below(seed, strlen(letters))];
    }
    out[len] = '\0';
}

static void match_as_the_naive_one(void **state)
{
    (void)state;
    uint64_t seed = 7;
    size_t hits = 0, tried = 0;
    while (tried < 100000) {
        char filter[9], topic[9];
        random_word(&seed, "a/+#$/+", filter, sizeof filter);
        random_word(&seed, "ab/$a/", topic, sizeof topic);
        if (!smq_topic_filter_ok(smq_span_str(filter), 0)) {
            continue;
        }
        bool want = naive_match(filter, topic);
        if (smq_topic_match(smq_span_str(filter), smq_span_str(topic)) != want) {
            fail_msg("\"%s\" and \"%s\"", filter, topic);
        }
        hits += want;
        tried++;
    }
    assert_true(hits > 5000);
}

/* All words over an alphabet up to a length, in a list. */
struct words {
    char (*at)[8];
    size_t n;
};

static void all_words(struct words *w, const char *letters, size_t most)
{
    size_t base = strlen(letters), total = 0, power = 1;
    for (size_t len = 1; len <= most; len++) {
        power *= base;
        total += power;
    }
    w->at = calloc(total, sizeof *w->at);
    assert_non_null(w->at);
    w->n = 0;
    power = 1;
    for (size_t len = 1; len <= most; len++) {
        power *= base;
        for (size_t i = 0; i < power; i++) {
            size_t rest = i;
            for (size_t k = 0; k < len; k++, rest /= base) {
                w->at[w->n][k] = letters[rest % base];
            }
            w->n++;
        }
    }
}

enum { SET_WORDS = 86 }; /* 64-bit words for one bit per name */

static void covers_as_brute_force(void **state)
{
    (void)state;
    struct words names, filters;
    all_words(&names, "ab/$", 6);
    all_words(&filters, "a/$+#", 4);
    assert_true(names.n <= (size_t)SET_WORDS * 64);
    size_t n = 0;
    for (size_t i = 0; i < filters.n; i++) {
        if (smq_topic_filter_ok(smq_span_str(filters.at[i]), 0)) {
            memmove(filters.at[n++], filters.at[i], sizeof filters.at[i]);
        }
    }
    uint64_t(*sets)[SET_WORDS] = calloc(n, sizeof *sets);
    assert_non_null(sets);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < names.n; k++) {
            sets[i][k / 64] |= (uint64_t)naive_match(filters.at[i], names.at[k]) << (k % 64);
        }
    }
    size_t hits = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            uint64_t outside = 0;
            for (size_t k = 0; k < SET_WORDS; k++) {
                outside |= sets[j][k] & ~sets[i][k];
            }
            if (smq_topic_covers(smq_span_str(filters.at[i]), smq_span_str(filters.at[j])) != (outside == 0)) {
                fail_msg("does \"%s\" cover \"%s\"?", filters.at[i], filters.at[j]);
            }
            hits += outside == 0;
        }
    }
    assert_true(n > 100 && hits > n);
    free(sets);
    free(names.at);
    free(filters.at);
}

static const struct {
    const char *filter;
    bool ok;
} filters_table[] = {
    {"", false},
    {"a", true},
    {"/", true},
    {"//", true},
    {"+", true},
    {"#", true},
    {"+/+", true},
    {"a/+/b", true},
    {"a/#", true},
    {"/#", true},
    {"a+", false},
    {"+a", false},
    {"a/+b/c", false},
    {"++", false},
    {"#/", false},
    {"#/a", false},
    {"a#", false},
    {"a/#b", false},
    {"##", false},
    {"+#", false},
    {"a/b#", false},
    {" ", true},
    {"$SYS/#", true},
    {"$share", true}, /* no slash: an ordinary filter */
    {"$shared/a", true},
    {"$share/", false},
    {"$share/g", false},
    {"$share/g/", false},
    {"$share//a", false},
    {"$share/+/a", false},
    {"$share/#", false},
    {"$share/g#/a", false},
    {"$share/g+/a", false},
    {"$share/g/a", true},
    {"$share/g/#", true},
    {"$share/g/+/b", true},
    {"$share/g//a", true},
    {"$share/g//", true},
    {"$share/g/a#", false},
    {"$share/g/#/a", false},
};

static void filters_valid(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(filters_table); i++) {
        if (smq_topic_filter_ok(smq_span_str(filters_table[i].filter), 0) != filters_table[i].ok) {
            fail_msg("\"%s\"", filters_table[i].filter);
        }
    }
}

static void names_valid(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "/", "a/b", "$SYS/a", " ", "a//", "$share/g/a"};
    static const char *const bad[] = {"", "+", "#", "a/+", "a#", "a+b", "/#/"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(good); i++) {
        assert_true(smq_topic_name_ok(smq_span_str(good[i]), 0));
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        assert_false(smq_topic_name_ok(smq_span_str(bad[i]), 0));
    }
}

static void levels_and_length(void **state)
{
    (void)state;
    static uint8_t slashes[65536], letters[65536];
    memset(slashes, '/', sizeof slashes);
    memset(letters, 'a', sizeof letters);
    assert_true(smq_topic_name_ok(smq_span_of(letters, 65535), 0));
    assert_false(smq_topic_name_ok(smq_span_of(letters, 65536), 0));
    assert_true(smq_topic_filter_ok(smq_span_of(letters, 65535), 0));
    assert_false(smq_topic_filter_ok(smq_span_of(letters, 65536), 0));
    assert_true(smq_topic_name_ok(smq_span_of(slashes, 199), 0)); /* 200 levels */
    assert_false(smq_topic_name_ok(smq_span_of(slashes, 200), 0));
    assert_false(smq_topic_name_ok(smq_span_of(slashes, 65535), 0));
    assert_true(smq_topic_filter_ok(smq_span_of(slashes, 199), 0));
    assert_false(smq_topic_filter_ok(smq_span_of(slashes, 200), 0));
    assert_true(smq_topic_name_ok(smq_span_of(slashes, 65534), 65535));
    assert_true(smq_topic_name_ok(smq_span_str("a/b/c"), 3));
    assert_false(smq_topic_name_ok(smq_span_str("a/b/c/d"), 3));
    assert_true(smq_topic_filter_ok(smq_span_str("$share/g/a/b/c"), 3)); /* of a shared one the filter counts */
    assert_false(smq_topic_filter_ok(smq_span_str("$share/g/a/b/c/d"), 3));
}

static void splits_share(void **state)
{
    (void)state;
    smq_span group, rest;
    assert_true(smq_topic_split_share(smq_span_str("$share/g1/a/+"), &group, &rest));
    assert_true(smq_span_equal(group, smq_span_str("g1")));
    assert_true(smq_span_equal(rest, smq_span_str("a/+")));
    assert_false(smq_topic_split_share(smq_span_str("$share/g1"), &group, &rest));
    assert_int_equal(group.len, 0);
    assert_true(smq_span_equal(rest, smq_span_str("$share/g1")));
    assert_false(smq_topic_split_share(smq_span_str("a/b"), &group, &rest));
    assert_false(smq_topic_split_share(smq_span_str("$Share/g/b"), &group, &rest));
}

/* Names are looked at in words that overlap. */
static void a_wildcard_is_found_wherever_it_stands(void **state)
{
    (void)state;
    char name[48];
    for (size_t len = 1; len < sizeof name; len++) {
        memset(name, 'a', sizeof name);
        name[len] = '+'; /* behind the end */
        assert_true(smq_topic_name_ok(smq_span_of(name, len), 0));
        for (size_t at = 0; at < len; at++) {
            for (const char *c = "+#*,\"$"; *c != '\0'; c++) {
                name[at] = *c;
                assert_int_equal(smq_topic_name_ok(smq_span_of(name, len), 0), *c != '+' && *c != '#');
            }
            name[at] = 'a';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(match_table),           cmocka_unit_test(match_as_the_naive_one),
        cmocka_unit_test(covers_as_brute_force), cmocka_unit_test(filters_valid),
        cmocka_unit_test(names_valid),           cmocka_unit_test(levels_and_length),
        cmocka_unit_test(splits_share),          cmocka_unit_test(a_wildcard_is_found_wherever_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
