/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/acl.h"
#include "../failing_mem.h"
#include "../test.h"

#include <stdio.h>

#include "codec/topic.h"

static const uint8_t key[16] = "0123456789abcde";
enum { R = SMQ_ACL_READ, W = SMQ_ACL_WRITE, RW = R | W };

static struct smq_acl *read_acl(const char *text)
{
    struct smq_lines lines = smq_lines_of("acl", smq_span_str(text));
    struct smq_acl *acl = NULL;
    assert_int_equal(smq_acl_read(NULL, key, &lines, &acl), SMQTT_OK);
    return acl;
}

/* The accesses that are allowed. */
static unsigned may(const struct smq_acl *acl, const char *user, const char *id, const char *topic)
{
    smq_span u = smq_span_str(user);
    const struct smq_acl_role *role = smq_acl_role(acl, u);
    unsigned got = 0;
    for (unsigned want = R; want <= W; want++) {
        got |= smq_acl_allows(acl, role, smq_span_str(id), u, smq_span_str(topic), want) ? want : 0;
    }
    return got;
}

struct asked {
    const char *text, *user, *id, *topic;
    unsigned want;
};

static void check(const struct asked *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct smq_acl *acl = read_acl(rows[i].text);
        unsigned got = may(acl, rows[i].user, rows[i].id, rows[i].topic);
        if (got != rows[i].want) {
            fail_msg("row %zu: %s on %s may %u, not %u", i, rows[i].user, rows[i].topic, got, rows[i].want);
        }
        smq_acl_free(acl);
    }
}

static void rules_of_users(void **state)
{
    (void)state;
    static const struct asked rows[] = {
        {"", "", "c", "a", 0},
        {"topic a", "", "c", "a", RW},
        {"topic a", "alice", "c", "a", 0},
        {"user alice\ntopic a", "", "c", "a", 0},
        {"user alice\ntopic a", "alice", "c", "a", RW},
        {"user alice\ntopic a", "alic", "c", "a", 0},
        {"user alice\ntopic read a\ntopic write b", "alice", "c", "a", R},
        {"user alice\ntopic read a\ntopic write b", "alice", "c", "b", W},
        {"user alice\ntopic read a\ntopic write a", "alice", "c", "a", RW},
        {"user alice\ntopic a\nuser bob\ntopic b\nuser alice\ntopic c", "alice", "c", "c", RW},
        {"user alice\ntopic a\nuser bob\ntopic b\nuser alice\ntopic c", "alice", "c", "b", 0},
        {"user al ice \r\n topic read a b\r\n", "al ice", "c", "a b", R},
        {"topic read", "", "c", "read", RW},
        {"# topic a\n\n   \ntopic b", "", "c", "a", 0},
        {"user u\ntopic #\ntopic deny a/#", "u", "c", "a", 0},
        {"user u\ntopic deny a/#\ntopic #", "u", "c", "a/b", 0},
        {"user u\ntopic deny a/#\ntopic #", "u", "c", "ab", RW},
        {"topic #", "", "c", "$SYS/x", 0},
        {"topic +/x", "", "c", "$SYS/x", 0},
        {"topic $SYS/#", "", "c", "$SYS/x", RW},
        {"topic a/+/c", "", "c", "a/b/c", RW},
        {"topic a/+/c", "", "c", "a/b/b/c", 0},
        {"topic a/+", "", "c", "a/", RW},
        {"topic a/+", "", "c", "a", 0},
        {"topic a//b", "", "c", "a//b", RW},
        {"topic /", "", "c", "/", RW},
        {"topic /", "", "c", "", 0},
        {"topic a/b/#", "", "c", "a/b", RW},
        {"topic a/b/#", "", "c", "a", 0},
    };
    check(rows, sizeof rows / sizeof rows[0]);
}

static void patterns(void **state)
{
    (void)state;
    static const struct asked rows[] = {
        {"pattern d/%u", "alice", "c", "d/alice", RW},
        {"pattern d/%u", "alice", "c", "d/alicex", 0},
        {"pattern d/%u", "alice", "c", "d/alic", 0},
        {"pattern d/%u", "al/ice", "c", "d/al/ice", RW},
        {"pattern d/%u", "", "c", "d/", 0},
        {"pattern read d/%c/#", "", "c7", "d/c7", R},
        {"pattern read d/%c/#", "", "c7", "d/c7/x/y", R},
        {"pattern read d/%c/#", "", "c7", "d/c77", 0},
        {"pattern x%cy/+/%u", "bob", "c", "xcy//bob", RW},
        {"pattern x%cy/+/%u", "bob", "c", "xcy/1/2/bob", 0},
        {"pattern %c", "", "$SYS", "$SYS", RW},
        {"pattern +/%c", "", "c", "$SYS/c", 0},
        {"pattern #", "", "c", "$SYS/c", 0},
        {"pattern 100%/%d/%", "", "c", "100%/%d/%", RW},
        {"pattern #\npattern deny d/%u", "bob", "c", "d/bob", 0},
        {"pattern deny d/%u\npattern #", "bob", "c", "d/eve", RW},
        {"pattern write #\npattern read a", "bob", "c", "a", RW},
        /* What is a user's goes first. */
        {"pattern deny a\nuser bob\ntopic a", "bob", "c", "a", RW},
        {"pattern a\nuser bob\ntopic deny a", "bob", "c", "a", 0},
        /* Names never become wildcards. */
        {"pattern d/%u", "+", "c", "d/x", 0},
        {"pattern d/%u", "+", "c", "d/+", 0},
        {"pattern d/%c", "", "#", "d/x", 0},
        {"pattern %u", "a+b", "c", "a+b", 0},
        {"pattern a", "x#", "c", "a", 0},
        {"pattern b\nuser x#\ntopic a", "x#", "c", "a", RW},
    };
    check(rows, sizeof rows / sizeof rows[0]);
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {"topic a\nfoo bar", "acl:2: \"foo\" is not user, topic or pattern"},
        {"\n# x\ntopic", "acl:3: there is no topic"},
        {"user\n", "acl:1: there is no user name"},
        {"topic rw a", "acl:1: \"rw\" is not read, write, readwrite or deny"},
        {"topic a#", "acl:1: \"a#\" is not a topic filter"},
        {"pattern a/#/b", "is not a topic filter"},
        {"topic read\ta", "acl:1: the line is not UTF-8 text, or has a tab"},
        {"topic \xff", "acl:1: the line is not UTF-8 text"},
        {"Topic a", "\"Topic\" is not user"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct smq_lines lines = smq_lines_of("acl", smq_span_str(rows[i].text));
        struct smq_acl *acl = NULL;
        assert_int_equal(smq_acl_read(NULL, key, &lines, &acl), SMQTT_E_USAGE);
        assert_null(acl);
        if (strstr(lines.fault, rows[i].sentence) == NULL) {
            fail_msg("row %zu: %s", i, lines.fault);
        }
    }
}

/* Against the plain rule: any filter that matches counts. */
static void many_rules_are_as_one_by_one(void **state)
{
    (void)state;
    enum { RULES = 300, TOPICS = 2000 };
    static const char *const levels[] = {"a", "b", "c", "", "+", "dd"};
    static char filters[RULES][64];
    static char text[RULES * 80];
    uint64_t random = 7;
    size_t at = 0;
    for (size_t i = 0; i < RULES; i++) {
        size_t n = 1 + test_random_below(&random, 5);
        size_t len = 0;
        for (size_t j = 0; j < n; j++) {
            const char *level = levels[test_random_below(&random, 6)];
            len += (size_t)snprintf(filters[i] + len, 64 - len, "%s%s", j != 0 ? "/" : "x/", level);
        }
        if (test_random_below(&random, 4) == 0) {
            snprintf(filters[i] + len, 64 - len, "/#");
        }
        at += (size_t)snprintf(text + at, sizeof text - at, "topic read %s\n", filters[i]);
    }
    struct smq_acl *acl = read_acl(text);
    for (size_t i = 0; i < TOPICS; i++) {
        char topic[64] = "x";
        size_t len = 1;
        for (size_t j = test_random_below(&random, 6); j != 0; j--) {
            const char *level = levels[test_random_below(&random, 6)];
            len += (size_t)snprintf(topic + len, 64 - len, "/%s", level[0] == '+' ? "e" : level);
        }
        bool want = false;
        for (size_t j = 0; j < RULES; j++) {
            want = want || smq_topic_match(smq_span_str(filters[j]), smq_span_str(topic));
        }
        assert_int_equal(may(acl, "", "c", topic), want ? R : 0);
    }
    smq_acl_free(acl);
}

static void memory_runs_out(void **state)
{
    (void)state;
    static const char text[] =
        "topic a\nuser x\ntopic a/b/c\npattern %u\nuser y\ntopic deny a/+/#\ntopic q/w/e/r/t/y/u/i/"
        "o/p/a/s/d/f/g/h/j/k/l\n";
    struct failing_mem mem;
    failing_mem_init(&mem);
    for (unsigned n = 1;; n++) {
        struct smq_lines lines = smq_lines_of("acl", smq_span_str(text));
        struct smq_acl *acl = NULL;
        failing_mem_arm(&mem, n);
        smqtt_err err = smq_acl_read(&mem.mem, key, &lines, &acl);
        if (err == SMQTT_OK) {
            smq_acl_free(acl);
            assert_int_equal(mem.live, 0);
            assert_true(n > 5);
            return;
        }
        assert_int_equal(err, SMQTT_E_NOMEM);
        assert_int_equal(mem.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_of_users),
        cmocka_unit_test(patterns),
        cmocka_unit_test(what_is_wrong_is_said_with_its_line),
        cmocka_unit_test(many_rules_are_as_one_by_one),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
