/* SPDX-License-Identifier: Apache-2.0 */
/* What only a store on a disk can meet: a process that is killed, torn and damaged files, a disk that is full or read
 * only. Disks of a few MiB and disks that are read only are mounted in a namespace of a child's own; where that is not
 * allowed, those tests are skipped. */
#include "place.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const struct smq_store_kind *const kind = &smq_store_rocksdb;

static int setup(void **state)
{
    *state = place_new();
    return 0;
}

static int teardown(void **state)
{
    place_remove(*state);
    return 0;
}

static const char *myself; /* this program */

/* Begins a process of its own that does the act of this name (see `acts`) and ends without closing anything. It runs
 * this program anew, because the threads of RocksDB do not come along in a fork. */
static pid_t start(const char *act, const char *path, const char *more)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)execl(myself, myself, act, path, more, (char *)NULL);
        _exit(2);
    }
    return child;
}

static int end_of(pid_t child)
{
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void in_child(const char *act, const char *path)
{
    int end = end_of(start(act, path, NULL));
    if (end == 77) {
        skip();
    }
    assert_int_equal(end, 0);
}

/* In a child: cmocka's asserts would go on in the parent's tests. */
#define CHECK(true_thing)                                                \
    do {                                                                 \
        if (!(true_thing)) {                                             \
            print_error("%s:%d: %s\n", __FILE__, __LINE__, #true_thing); \
            _exit(1);                                                    \
        }                                                                \
    } while (0)

static smqtt_err try_open(const char *path, enum smq_store_mode mode, struct smq_store **store,
                          struct smq_store_why *why)
{
    why->text[0] = 0;
    return kind->open(path, mode, NULL, store, why);
}

static void fails_to_open(const char *path, smqtt_err wanted, const char *part)
{
    struct smq_store *store = NULL;
    struct smq_store_why why;
    smqtt_err err = try_open(path, SMQ_STORE_READ_WRITE, &store, &why);
    assert_int_equal(err, wanted);
    assert_null(store);
    if (strstr(why.text, part) == NULL || strstr(why.text, path) == NULL) {
        fail_msg("%s", why.text);
    }
}

static smqtt_err read_all(struct smq_store *store)
{
    struct smq_store_why why;
    size_t n = 0;
    return kind->each(store, smq_span_of(NULL, 0), store_count_one, &n, &why);
}

/* ------------------------------------------------------------ killed */

enum { ROWS_EACH = 5 };

static struct smq_writes *numbered(size_t i)
{
    struct smq_writes *writes = writes_begin();
    char key[32], value[300];
    memset(value, 'v', sizeof value);
    value[i % sizeof value] = 0;
    for (size_t row = 0; row < ROWS_EACH; row++) {
        (void)snprintf(key, sizeof key, "%08zu/%zu", i, row);
        writes_put(writes, key, value);
    }
    return writes;
}

struct whole {
    size_t rows;
};

static smqtt_err next_row(void *ctx, smq_span key, smq_span value)
{
    struct whole *whole = ctx;
    char wanted[32];
    (void)snprintf(wanted, sizeof wanted, "%08zu/%zu", whole->rows / ROWS_EACH, whole->rows % ROWS_EACH);
    assert_true(smq_span_equal(key, smq_span_str(wanted)));
    assert_int_equal(value.len, whole->rows / ROWS_EACH % 300);
    whole->rows++;
    return SMQTT_OK;
}

/* Writes that are there; they are the first ones, and each is whole. */
static size_t count_numbered(struct smq_store *store)
{
    struct smq_store_why why;
    struct whole whole = {0};
    assert_int_equal(kind->each(store, smq_span_of(NULL, 0), next_row, &whole, &why), SMQTT_OK);
    assert_int_equal(whole.rows % ROWS_EACH, 0);
    return whole.rows / ROWS_EACH;
}

/* Each write that was acknowledged goes through the pipe as one byte. */
static void write_on(const char *path, const char *fd)
{
    struct smq_store *store = NULL;
    struct smq_store_why why;
    CHECK(try_open(path, SMQ_STORE_READ_WRITE, &store, &why) == SMQTT_OK);
    for (size_t i = count_numbered(store);; i++) {
        CHECK(writes_commit(store, numbered(i), true) == SMQTT_OK);
        CHECK(write((int)strtol(fd, NULL, 10), "+", 1) == 1);
    }
}

static void killed_it_has_all_that_was_acknowledged(void **state)
{
    uint64_t seed = 3;
    size_t n = 0;
    for (size_t round = 0; round < 8; round++) {
        int ack[2];
        char bytes[4096];
        assert_int_equal(pipe(ack), 0);
        char fd[16];
        (void)snprintf(fd, sizeof fd, "%d", ack[1]);
        pid_t child = start("write_on", *state, fd);
        close(ack[1]);
        size_t acknowledged = n, wanted = n + 1 + test_random_below(&seed, 200);
        while (acknowledged < wanted) {
            ssize_t got = read(ack[0], bytes, sizeof bytes);
            assert_true(got > 0);
            acknowledged += (size_t)got;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        for (ssize_t got; (got = read(ack[0], bytes, sizeof bytes)) > 0;) {
            acknowledged += (size_t)got;
        }
        close(ack[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        struct smq_store *store = place_open(kind, *state);
        n = count_numbered(store);
        assert_true(n == acknowledged || n == acknowledged + 1);
        kind->close(store);
    }
}

/* ------------------------------------------------------------ room */

/* Without anything more to be written, the room that removed rows took comes back. */
static void shrinks_when_rows_go(void **state)
{
    enum { ROWS = 1000, VALUE = 12000 }; /* fewer than are compacted without being asked for */
    struct smq_store *store = place_open(kind, *state);
    uint64_t seed = 5;
    char value[VALUE + 1], key[32];
    for (size_t half = 0; half < 2; half++) {
        for (size_t i = 0; i < ROWS; i++) {
            struct smq_writes *writes = writes_begin();
            for (size_t j = 0; j < VALUE; j++) {
                value[j] = (char)('!' + test_random_below(&seed, 90));
            }
            value[VALUE] = 0;
            (void)snprintf(key, sizeof key, "%zu/%08zu", half, i);
            writes_put(writes, key, value);
            assert_int_equal(writes_commit(store, writes, false), SMQTT_OK);
        }
    }
    struct smq_store_why why;
    assert_int_equal(kind->reopen(store, &why), SMQTT_OK); /* now they are in tables */
    uint64_t full = kind->size(store);
    assert_true(full > (uint64_t)2 * ROWS * VALUE);
    struct smq_writes *writes = writes_begin();
    for (size_t i = 0; i < ROWS; i++) { /* one way … */
        (void)snprintf(key, sizeof key, "0/%08zu", i);
        writes_op(writes, SMQ_WRITE_DEL, key);
    }
    writes_op(writes, SMQ_WRITE_DEL_PREFIX, "1/"); /* … and the other */
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    for (size_t i = 0; i < 10000 && kind->size(store) > full / 20; i++) {
        kind->shrink(store);
        (void)usleep(1000); /* RocksDB does it in threads of its own and tells nobody */
    }
    assert_true(kind->size(store) <= full / 20);
    assert_int_equal(store_count(store, ""), 0);
    kind->close(store);
}

/* ------------------------------------------------------------ torn and damaged files */

static const char *const list_of_files[] = {".log", ".sst", "MANIFEST"};
enum file { LOG, TABLE, MANIFEST };

/* The newest file of a sort, or NULL. */
static char *newest(const char *path, enum file sort)
{
    char best[256] = "";
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strstr(entry->d_name, list_of_files[sort]) != NULL && strcmp(entry->d_name, best) > 0) {
            (void)snprintf(best, sizeof best, "%s", entry->d_name);
        }
    }
    (void)closedir(dir);
    return best[0] != 0 ? place_join(path, best) : NULL;
}

static off_t length_of(const char *file)
{
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    return st.st_size;
}

static void flip_at(const char *file, off_t at, size_t n)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = 0;
        assert_int_equal(pread(fd, &byte, 1, at + (off_t)i), 1);
        byte ^= 0x55;
        assert_int_equal(pwrite(fd, &byte, 1, at + (off_t)i), 1);
    }
    close(fd);
}

static void zero_at(const char *file, off_t at, size_t n)
{
    int fd = open(file, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pwrite(fd, "", 1, at + (off_t)i), 1);
    }
    close(fd);
}

enum { IN_LOG = 40 };

static void write_some(const char *path, const char *more)
{
    (void)more;
    struct smq_store *store = NULL;
    struct smq_store_why why;
    CHECK(try_open(path, SMQ_STORE_READ_WRITE, &store, &why) == SMQTT_OK);
    for (size_t i = 0; i < IN_LOG; i++) {
        CHECK(writes_commit(store, numbered(i), true) == SMQTT_OK);
    }
}

/* A store whose log was cut: the writes before the cut are there, the torn one is not, and it goes on. */
static void a_torn_log_loses_its_torn_write_only(void **state)
{
    size_t before = IN_LOG;
    for (off_t cut = 1; cut == 1 || before != 0; cut += 1 + cut / 2) {
        char *path = place_new();
        in_child("write_some", path);
        char *log = newest(path, LOG);
        off_t len = length_of(log);
        assert_int_equal(truncate(log, cut < len ? len - cut : 0), 0);
        struct smq_store *store = place_open(kind, path);
        size_t n = count_numbered(store);
        assert_true(n <= before && n < IN_LOG && (cut > 10 || n == IN_LOG - 1));
        before = n;
        assert_int_equal(writes_commit(store, numbered(n), true), SMQTT_OK);
        kind->close(store);
        store = place_open(kind, path);
        assert_int_equal(count_numbered(store), n + 1);
        kind->close(store);
        free(log);
        place_remove(path);
    }
    (void)state;
}

/* A log that has its length already, and not yet the last of its bytes. */
static void a_log_that_ends_in_other_bytes_is_torn_too(void **state)
{
    static const size_t lens[] = {1, 7, 50, 100, 200, 250}; /* of the last write, which has 279 */
    (void)state;
    for (size_t i = 0; i < 4 * SMQ_ARRAY_LEN(lens); i++) {
        size_t n = lens[i / 4];
        char *path = place_new();
        in_child("write_some", path);
        char *log = newest(path, LOG);
        off_t len = length_of(log);
        if (i % 2 == 0) {
            zero_at(log, len - (off_t)n, n);
        } else {
            flip_at(log, len - (off_t)n, n);
        }
        assert_int_equal(truncate(log, len + (i % 4 < 2 ? 0 : 40000)), 0); /* zeros behind it */
        struct smq_store *store = place_open(kind, path);
        assert_int_equal(count_numbered(store), IN_LOG - 1);
        assert_int_equal(writes_commit(store, numbered(IN_LOG - 1), true), SMQTT_OK);
        kind->close(store);
        store = place_open(kind, path);
        assert_int_equal(count_numbered(store), IN_LOG);
        kind->close(store);
        free(log);
        place_remove(path);
    }
}

static void a_log_that_is_damaged_in_the_middle_is_corrupt(void **state)
{
    in_child("write_some", *state);
    char *log = newest(*state, LOG);
    flip_at(log, length_of(log) / 2, 1);
    fails_to_open(*state, SMQTT_E_CORRUPT, "Corruption");
    free(log);
}

/* A store with its rows in tables. */
static void fill_tables(const char *path)
{
    struct smq_store *store = place_open(kind, path);
    for (size_t i = 0; i < 4000; i++) {
        assert_int_equal(writes_commit(store, numbered(i), false), SMQTT_OK);
    }
    kind->close(store);
    store = place_open(kind, path); /* what the log had goes into a table now */
    assert_int_equal(count_numbered(store), 4000);
    kind->close(store);
}

static void a_flipped_byte_in_a_table_is_corrupt(void **state)
{
    fill_tables(*state);
    char *table = newest(*state, TABLE);
    assert_non_null(table);
    flip_at(table, length_of(table) / 2, 1);
    struct smq_store *store = place_open(kind, *state);
    assert_int_equal(read_all(store), SMQTT_E_CORRUPT);
    kind->close(store);
    flip_at(table, length_of(table) - 60, 60);
    struct smq_store_why why;
    store = NULL;
    smqtt_err err = try_open(*state, SMQ_STORE_READ_WRITE, &store, &why);
    assert_int_equal(err != SMQTT_OK ? err : read_all(store), SMQTT_E_CORRUPT);
    if (err == SMQTT_OK) {
        kind->close(store);
    }
    free(table);
}

static void a_lost_table_is_corrupt(void **state)
{
    fill_tables(*state);
    char *table = newest(*state, TABLE);
    assert_int_equal(unlink(table), 0);
    fails_to_open(*state, SMQTT_E_CORRUPT, "No such file");
    free(table);
}

static void a_short_table_is_corrupt(void **state)
{
    fill_tables(*state);
    char *table = newest(*state, TABLE);
    assert_int_equal(truncate(table, length_of(table) / 2), 0);
    fails_to_open(*state, SMQTT_E_CORRUPT, "");
    free(table);
}

static void a_damaged_or_lost_list_of_tables_is_corrupt(void **state)
{
    fill_tables(*state);
    char *list = newest(*state, MANIFEST);
    flip_at(list, 20, 10);
    fails_to_open(*state, SMQTT_E_CORRUPT, "Corruption");
    assert_int_equal(unlink(list), 0);
    fails_to_open(*state, SMQTT_E_CORRUPT, "MANIFEST");
    free(list);
}

/* RocksDB alone would begin a new store and delete the tables of the old one. */
static void without_its_beginning_it_is_corrupt(void **state)
{
    fill_tables(*state);
    char *current = place_join(*state, "CURRENT");
    assert_int_equal(unlink(current), 0);
    fails_to_open(*state, SMQTT_E_CORRUPT, "CURRENT");
    char *table = newest(*state, TABLE);
    assert_non_null(table);
    free(table);
    int fd = open(current, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    fails_to_open(*state, SMQTT_E_CORRUPT, "CURRENT");
    free(current);
}

/* ------------------------------------------------------------ others, full, read only */

static void second_is_refused(const char *path, const char *more)
{
    (void)more;
    struct smq_store *store = NULL;
    struct smq_store_why why;
    CHECK(try_open(path, SMQ_STORE_READ_WRITE, &store, &why) == SMQTT_E_BUSY);
    CHECK(strstr(why.text, "another broker") != NULL);
}

static void one_process_at_a_time(void **state)
{
    struct smq_store *store = place_open(kind, *state);
    fails_to_open(*state, SMQTT_E_BUSY, "another broker");
    in_child("second_is_refused", *state);
    kind->close(store);
    store = place_open(kind, *state);
    kind->close(store);
}

/* Writes until the disk is full; number of writes that were taken. */
static size_t write_until_full(struct smq_store *store, size_t from)
{
    size_t i = from;
    for (; i < 100000; i++) {
        smqtt_err err = writes_commit(store, numbered(i), true);
        if (err != SMQTT_OK) {
            CHECK(err == SMQTT_E_IO);
            return i;
        }
    }
    CHECK(i < 100000);
    return 0;
}

static size_t rows_of(struct smq_store *store)
{
    struct smq_store_why why;
    size_t n = 0;
    CHECK(kind->each(store, smq_span_of(NULL, 0), store_count_one, &n, &why) == SMQTT_OK);
    return n;
}

/* The last write may be there although it failed; nothing else may. */
static void check_rows(struct smq_store *store, size_t taken)
{
    size_t rows = rows_of(store);
    CHECK(rows == taken * ROWS_EACH || rows == (taken + 1) * ROWS_EACH);
}

static void files_may_not_grow(const char *path, const char *more)
{
    (void)more;
    struct smq_store *store = NULL;
    struct smq_store_why why;
    CHECK(try_open(path, SMQ_STORE_READ_WRITE, &store, &why) == SMQTT_OK);
    struct rlimit limit;
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &limit) == 0);
    rlim_t all = limit.rlim_cur;
    limit.rlim_cur = 100000;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    size_t taken = write_until_full(store, 0);
    CHECK(taken > 10);
    CHECK(writes_commit(store, numbered(taken), true) == SMQTT_E_IO);
    CHECK(kind->sync(store, &why) == SMQTT_E_IO);
    CHECK(store_get(store, "00000000/0") != NULL);
    limit.rlim_cur = all;
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK(writes_commit(store, numbered(taken), true) == SMQTT_E_IO); /* not before it is opened anew */
    CHECK(kind->reopen(store, &why) == SMQTT_OK);
    check_rows(store, taken);
    for (size_t i = taken; i < taken + 100; i++) {
        CHECK(writes_commit(store, numbered(i), true) == SMQTT_OK);
    }
    CHECK(kind->reopen(store, &why) == SMQTT_OK);
    CHECK(rows_of(store) == (taken + 100) * ROWS_EACH);
}

static void goes_on_after_a_failed_write(void **state)
{
    in_child("files_may_not_grow", *state);
    struct smq_store *store = place_open(kind, *state);
    assert_true(count_numbered(store) > 100);
    kind->close(store);
}

/* A disk of its own at path, of so many bytes; ends the child when that is not allowed. */
static void mount_disk(const char *path, const char *options)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", path, "tmpfs", 0, options) != 0) {
        _exit(77);
    }
}

static void fill_the_disk(const char *path, const char *more)
{
    (void)more;
    struct smq_store *store = NULL;
    struct smq_store_why why;
    mount_disk(path, "size=3m");
    char *ballast = place_join(path, "ballast");
    int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && posix_fallocate(fd, 0, 2 * 1024 * 1024) == 0 && close(fd) == 0);
    CHECK(try_open(path, SMQ_STORE_READ_WRITE, &store, &why) == SMQTT_OK);
    size_t taken = write_until_full(store, 0);
    CHECK(taken > 10);
    CHECK(kind->reopen(store, &why) == SMQTT_E_IO); /* still full */
    CHECK(strstr(why.text, "No space left") != NULL && strstr(why.text, "make room") != NULL);
    CHECK(writes_commit(store, numbered(taken), true) == SMQTT_E_IO);
    CHECK(kind->reopen(store, &why) == SMQTT_E_IO);
    CHECK(unlink(ballast) == 0);
    CHECK(kind->reopen(store, &why) == SMQTT_OK);
    check_rows(store, taken);
    for (size_t i = taken; i < taken + 100; i++) {
        CHECK(writes_commit(store, numbered(i), true) == SMQTT_OK);
    }
    kind->close(store);
    CHECK(try_open(path, SMQ_STORE_READ_WRITE, &store, &why) == SMQTT_OK);
    CHECK(rows_of(store) == (taken + 100) * ROWS_EACH);
}

static void a_full_disk_is_no_end(void **state)
{
    in_child("fill_the_disk", *state);
}

static void read_from_read_only_disk(const char *path, const char *more)
{
    (void)more;
    struct smq_store *store = NULL;
    struct smq_store_why why;
    mount_disk(path, "size=3m");
    CHECK(end_of(start("write_some", path, NULL)) == 0); /* leaves a log behind */
    CHECK(mount("none", path, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) == 0);
    CHECK(try_open(path, SMQ_STORE_READ_WRITE, &store, &why) == SMQTT_E_IO);
    CHECK(try_open(path, SMQ_STORE_READ_ONLY, &store, &why) == SMQTT_OK);
    CHECK(rows_of(store) == IN_LOG * ROWS_EACH);
    CHECK(writes_commit(store, numbered(0), true) == SMQTT_E_IO);
    kind->close(store);
}

static void a_read_only_disk_is_read(void **state)
{
    in_child("read_from_read_only_disk", *state);
}

static void add_change(void *ctx, const struct stat *st)
{
    uint64_t *sum = ctx;
    *sum = *sum * 31 + (uint64_t)st->st_size + (uint64_t)st->st_mtim.tv_nsec + st->st_ino;
}

/* Differs when anything in the directory was touched. */
static uint64_t look_of(const char *path)
{
    uint64_t sum = 0;
    struct stat st;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
            add_change(&sum, &st);
        }
    }
    assert_int_equal(fstat(dirfd(dir), &st), 0);
    add_change(&sum, &st);
    (void)closedir(dir);
    return sum;
}

static void read_only_touches_nothing(void **state)
{
    in_child("write_some", *state);
    uint64_t before = look_of(*state);
    struct smq_store *store = NULL;
    struct smq_store_why why;
    assert_int_equal(try_open(*state, SMQ_STORE_READ_ONLY, &store, &why), SMQTT_OK);
    assert_int_equal(count_numbered(store), IN_LOG);
    kind->close(store);
    assert_int_equal(look_of(*state), before);
}

static void read_only_needs_a_store(void **state)
{
    struct smq_store *store = NULL;
    struct smq_store_why why;
    assert_int_equal(try_open(*state, SMQ_STORE_READ_ONLY, &store, &why), SMQTT_E_IO);
    assert_null(newest(*state, LOG));
}

static const struct {
    const char *name;
    void (*act)(const char *path, const char *more);
} acts[] = {
    {"write_on", write_on},
    {"write_some", write_some},
    {"second_is_refused", second_is_refused},
    {"files_may_not_grow", files_may_not_grow},
    {"fill_the_disk", fill_the_disk},
    {"read_from_read_only_disk", read_from_read_only_disk},
};

static int child(const char *name, const char *path, const char *more)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(acts); i++) {
        if (strcmp(acts[i].name, name) == 0) {
            acts[i].act(path, more);
            _exit(0);
        }
    }
    return 2;
}

int main(int argc, char **argv)
{
    myself = argv[0];
    if (argc > 2) {
        return child(argv[1], argv[2], argc > 3 ? argv[3] : "");
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_it_has_all_that_was_acknowledged, setup, teardown),
        cmocka_unit_test_setup_teardown(shrinks_when_rows_go, setup, teardown),
        cmocka_unit_test(a_torn_log_loses_its_torn_write_only),
        cmocka_unit_test(a_log_that_ends_in_other_bytes_is_torn_too),
        cmocka_unit_test_setup_teardown(a_log_that_is_damaged_in_the_middle_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_byte_in_a_table_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_table_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_table_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_or_lost_list_of_tables_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(without_its_beginning_it_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(one_process_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_after_a_failed_write, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_no_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_only_disk_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(read_only_touches_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(read_only_needs_a_store, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
