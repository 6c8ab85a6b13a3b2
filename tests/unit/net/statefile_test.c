/* SPDX-License-Identifier: Apache-2.0 */
#include "temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/span.h"
#include "net/file.h"
#include "net/statefile.h"

#define NAME "s.state"

static struct temp_dir dir;

static struct smq_statefile *open_ok(void)
{
    struct smq_statefile *s = NULL;
    struct smq_why why = {""};
    smqtt_err err = smq_statefile_open(dir.path, NAME, NULL, &s, &why);
    if (err != SMQTT_OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, SMQTT_OK);
    return s;
}

static void put(struct smq_statefile *s, const char *key, const char *value)
{
    const struct smqtt_store *store = smq_statefile_store(s);
    assert_int_equal(store->put(store->ctx, smq_span_str(key), smq_span_str(value)), SMQTT_OK);
}

static void del(struct smq_statefile *s, const char *key)
{
    const struct smqtt_store *store = smq_statefile_store(s);
    assert_int_equal(store->del(store->ctx, smq_span_str(key)), SMQTT_OK);
}

static smqtt_err sync_all(struct smq_statefile *s)
{
    const struct smqtt_store *store = smq_statefile_store(s);
    return store->sync(store->ctx);
}

struct found {
    unsigned n;
    char value[64];
};

static void on_value(void *arg, struct smqtt_span key, struct smqtt_span value)
{
    struct found *found = arg;
    (void)key;
    found->n++;
    assert_true(value.len < sizeof found->value);
    memcpy(found->value, value.data, value.len);
    found->value[value.len] = 0;
}

static unsigned count(struct smq_statefile *s, const char *prefix, char value[64])
{
    const struct smqtt_store *store = smq_statefile_store(s);
    struct found found = {0, ""};
    assert_int_equal(store->each(store->ctx, smq_span_str(prefix), on_value, &found), SMQTT_OK);
    if (value != NULL) {
        memcpy(value, found.value, 64);
    }
    return found.n;
}

static void values_survive(void **state)
{
    (void)state;
    char value[64];
    struct smq_statefile *s = open_ok();
    put(s, "a/1", "one");
    put(s, "a/2", "two");
    put(s, "b", "three");
    put(s, "a/1", "uno");
    del(s, "a/2");
    del(s, "never");
    assert_int_equal(sync_all(s), SMQTT_OK);
    smq_statefile_close(s);
    s = open_ok();
    assert_int_equal(count(s, "", NULL), 2);
    assert_int_equal(count(s, "a/", value), 1);
    assert_string_equal(value, "uno");
    smq_statefile_close(s);
}

static void a_value_that_is_there_costs_nothing(void **state)
{
    (void)state;
    struct smq_statefile *s = open_ok();
    put(s, "k", "v");
    assert_int_equal(sync_all(s), SMQTT_OK);
    size_t size = smq_statefile_size(s);
    put(s, "k", "v");
    assert_int_equal(sync_all(s), SMQTT_OK);
    assert_int_equal(smq_statefile_size(s), size);
    smq_statefile_close(s);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct smq_statefile *s = open_ok();
    const struct smqtt_store *store = smq_statefile_store(s);
    static uint8_t key[70000];
    assert_int_equal(store->put(store->ctx, smq_span_str(""), smq_span_str("v")), SMQTT_E_USAGE);
    assert_int_equal(store->put(store->ctx, smq_span_of(key, 65536), smq_span_str("v")), SMQTT_E_USAGE);
    smq_statefile_close(s);
    assert_int_equal(smq_statefile_open(dir.path, "a/b", NULL, &s, NULL), SMQTT_E_USAGE);
    assert_int_equal(smq_statefile_open(dir.path, "", NULL, &s, NULL), SMQTT_E_USAGE);
}

static struct smq_file_text read_file(void)
{
    struct smq_file_text file = {NULL, 0};
    assert_int_equal(smq_file_read(temp_dir_file(&dir, NAME), 1 << 24, true, &file, NULL), SMQTT_OK);
    return file;
}

static void write_file(const char *bytes, size_t len)
{
    assert_int_equal(smq_file_write(temp_dir_file(&dir, NAME), smq_span_of(bytes, len), true, true, NULL), SMQTT_OK);
}

/* The file is cut at each byte: what was synced up to there is there, in whole batches, and writing goes on. */
static void a_power_cut_at_each_byte(void **state)
{
    (void)state;
    size_t ends[6];
    struct smq_statefile *s = open_ok();
    ends[0] = smq_statefile_size(s);
    for (unsigned i = 1; i <= 5; i++) {
        char text[16];
        snprintf(text, sizeof text, "v%u", i);
        put(s, "x", text);
        put(s, "y", text);
        assert_int_equal(sync_all(s), SMQTT_OK);
        ends[i] = smq_statefile_size(s);
    }
    smq_statefile_close(s);
    struct smq_file_text file = read_file();
    assert_int_equal(file.len, ends[5]);
    for (size_t cut = ends[0]; cut <= file.len; cut++) {
        unsigned whole = 0;
        while (whole < 5 && ends[whole + 1] <= cut) {
            whole++;
        }
        write_file(file.text, cut);
        s = open_ok();
        char expected[16];
        char value[64];
        snprintf(expected, sizeof expected, "v%u", whole);
        assert_int_equal(count(s, "x", value), whole != 0);
        assert_string_equal(value, whole != 0 ? expected : "");
        assert_int_equal(count(s, "y", value), whole != 0);
        assert_string_equal(value, whole != 0 ? expected : "");
        assert_int_equal(smq_statefile_size(s), ends[whole]);
        put(s, "after", "cut");
        assert_int_equal(sync_all(s), SMQTT_OK);
        smq_statefile_close(s);
        s = open_ok();
        assert_int_equal(count(s, "after", value), 1);
        assert_int_equal(count(s, "x", NULL), whole != 0);
        smq_statefile_close(s);
    }
    for (size_t cut = 0; cut < ends[0]; cut++) {
        write_file(file.text, cut);
        assert_int_equal(smq_statefile_open(dir.path, NAME, NULL, &s, NULL), SMQTT_E_MALFORMED);
    }
    smq_file_free(&file);
}

/* Each bit of all but the last batch turned: refused, because an older state must not come back. */
static void damage_is_not_taken_for_a_torn_end(void **state)
{
    (void)state;
    struct smq_statefile *s = open_ok();
    put(s, "x", "v1");
    assert_int_equal(sync_all(s), SMQTT_OK);
    size_t last = smq_statefile_size(s);
    put(s, "x", "v2");
    assert_int_equal(sync_all(s), SMQTT_OK);
    smq_statefile_close(s);
    struct smq_file_text file = read_file();
    for (size_t bit = 0; bit < last * 8; bit++) {
        struct smq_why why = {""};
        file.text[bit / 8] = (char)(file.text[bit / 8] ^ 1 << bit % 8);
        write_file(file.text, file.len);
        assert_int_equal(smq_statefile_open(dir.path, NAME, NULL, &s, &why), SMQTT_E_MALFORMED);
        assert_non_null(strstr(why.text, "move it away"));
        file.text[bit / 8] = (char)(file.text[bit / 8] ^ 1 << bit % 8);
    }
    smq_file_free(&file);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    struct smq_statefile *s = open_ok();
    struct smq_statefile *second = NULL;
    struct smq_why why = {""};
    assert_int_equal(smq_statefile_open(dir.path, NAME, NULL, &second, &why), SMQTT_E_BUSY);
    assert_non_null(strstr(why.text, "Another process"));
    pid_t child = fork();
    if (child == 0) {
        _exit(smq_statefile_open(dir.path, NAME, NULL, &second, NULL) == SMQTT_E_BUSY ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    smq_statefile_close(s);
    s = open_ok();
    smq_statefile_close(s);
}

static void others_must_not_read_it(void **state)
{
    (void)state;
    struct stat st;
    struct smq_statefile *s = open_ok();
    put(s, "x", "v1");
    assert_int_equal(sync_all(s), SMQTT_OK);
    smq_statefile_close(s);
    assert_int_equal(stat(temp_dir_file(&dir, NAME), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(chmod(dir.text, 0640), 0);
    assert_int_equal(smq_statefile_open(dir.path, NAME, NULL, &s, NULL), SMQTT_E_USAGE);
    assert_int_equal(chmod(dir.text, 0600), 0);
    assert_int_equal(chmod(dir.path, 0755), 0);
    assert_int_equal(smq_statefile_open(dir.path, NAME, NULL, &s, NULL), SMQTT_E_USAGE);
    assert_int_equal(chmod(dir.path, 0700), 0);
    assert_int_equal(unlink(temp_dir_file(&dir, NAME)), 0);
    assert_int_equal(symlink("/etc/passwd", dir.text), 0);
    assert_int_equal(smq_statefile_open(dir.path, NAME, NULL, &s, NULL), SMQTT_E_IO);
}

/* ---------------------------------------------------------------- faults */

struct fault {
    unsigned calls;
    unsigned fail_at; /* call of either function, from 1; 0: none */
    bool half;        /* a failing write leaves half of its bytes */
};

static bool is_faulty(struct fault *fault)
{
    errno = EIO;
    return ++fault->calls == fault->fail_at;
}

static bool fault_write(void *ctx, int fd, const void *bytes, size_t len)
{
    struct fault *fault = ctx;
    if (is_faulty(fault)) {
        if (fault->half) {
            assert_int_equal(write(fd, bytes, len / 2), (ssize_t)(len / 2));
        }
        errno = ENOSPC;
        return false;
    }
    return smq_file_write_all(fd, bytes, len) == SMQTT_OK;
}

static bool fault_sync(void *ctx, int fd)
{
    struct fault *fault = ctx;
    (void)fd;
    return !is_faulty(fault);
}

/* Every write and sync fails once: sync says so, and once it says that all is well, all is there. */
static void a_failed_sync_is_made_up_for(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 12; at++) {
        struct fault fault = {.half = at % 2 == 0};
        struct smq_statefile_io io = {fault_write, fault_sync, &fault};
        struct smq_statefile *s = NULL;
        unlink(temp_dir_file(&dir, NAME));
        assert_int_equal(smq_statefile_open(dir.path, NAME, &io, &s, NULL), SMQTT_OK);
        fault.fail_at = fault.calls + at;
        bool failed = false;
        for (unsigned i = 0; i < 8; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%u", i);
            put(s, key, "v");
            smqtt_err err = sync_all(s);
            failed = failed || err == SMQTT_E_IO;
            assert_true(err == SMQTT_OK || err == SMQTT_E_IO);
            assert_true(err == SMQTT_OK || strstr(smq_statefile_why(s), NAME) != NULL);
        }
        assert_true(failed);
        assert_int_equal(sync_all(s), SMQTT_OK);
        /* As the disk has it now: without what close would still do. */
        struct smq_file_text file = read_file();
        smq_statefile_close(s);
        write_file(file.text, file.len);
        smq_file_free(&file);
        s = open_ok();
        assert_int_equal(count(s, "k", NULL), 8);
        smq_statefile_close(s);
    }
}

/* A new file counts when its header, and its name in the directory, are durable. */
static void a_file_that_cannot_begin_is_refused(void **state)
{
    (void)state;
    for (unsigned at = 1; at <= 3; at++) {
        struct fault fault = {.fail_at = at};
        struct smq_statefile_io io = {fault_write, fault_sync, &fault};
        struct smq_statefile *s = NULL;
        struct smq_why why = {""};
        unlink(temp_dir_file(&dir, NAME));
        assert_int_equal(smq_statefile_open(dir.path, NAME, &io, &s, &why), SMQTT_E_IO);
        assert_non_null(strstr(why.text, NAME));
    }
}

static void a_large_log_is_rewritten(void **state)
{
    (void)state;
    struct smq_statefile *s = open_ok();
    static char value[40001];
    size_t largest = 0;
    put(s, "stays", "here");
    const struct smqtt_store *store = smq_statefile_store(s);
    for (unsigned i = 0; i < 200; i++) {
        memset(value, 'a' + (int)(i % 26), sizeof value - 1);
        assert_int_equal(store->put(store->ctx, smq_span_str("big"), smq_span_of(value, sizeof value - 1)), SMQTT_OK);
        assert_int_equal(sync_all(s), SMQTT_OK);
        largest = smq_statefile_size(s) > largest ? smq_statefile_size(s) : largest;
    }
    assert_true(largest > 1000000 && largest < 1200000);
    del(s, "big");
    assert_int_equal(sync_all(s), SMQTT_OK);
    smq_statefile_close(s);
    s = open_ok();
    char text[64];
    assert_int_equal(count(s, "", text), 1);
    assert_string_equal(text, "here");
    smq_statefile_close(s);
}

static int make(void **state)
{
    (void)state;
    temp_dir_make(&dir);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_survive, make, clean),
        cmocka_unit_test_setup_teardown(a_value_that_is_there_costs_nothing, make, clean),
        cmocka_unit_test_setup_teardown(wrong_arguments_are_refused, make, clean),
        cmocka_unit_test_setup_teardown(a_power_cut_at_each_byte, make, clean),
        cmocka_unit_test_setup_teardown(damage_is_not_taken_for_a_torn_end, make, clean),
        cmocka_unit_test_setup_teardown(one_process_at_a_time, make, clean),
        cmocka_unit_test_setup_teardown(others_must_not_read_it, make, clean),
        cmocka_unit_test_setup_teardown(a_failed_sync_is_made_up_for, make, clean),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_begin_is_refused, make, clean),
        cmocka_unit_test_setup_teardown(a_large_log_is_rewritten, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
