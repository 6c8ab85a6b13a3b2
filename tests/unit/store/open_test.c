/* SPDX-License-Identifier: Apache-2.0 */
/* A broker starts whatever state its store is in. */
#include "store/open.h"

#include "broker/rows.h"
#include "place.h"

static const struct smq_store_kind *const kind = &smq_store_rocksdb;
enum { NOW = 1000 };

struct home {
    char *parent, *path;
};

static int setup(void **state)
{
    static struct home home;
    home.parent = place_new();
    home.path = place_join(home.parent, "store");
    *state = &home;
    return 0;
}

static int teardown(void **state)
{
    struct home *home = *state;
    free(home->path);
    place_remove(home->parent);
    return 0;
}

static struct smq_store_found found;
static struct smq_store_why why;

static smqtt_err open_with(const struct home *home, const struct smq_store_formats *formats)
{
    found = (struct smq_store_found){.store = NULL};
    why.text[0] = 0;
    return smq_store_open(kind, home->path, formats, NOW, NULL, &found, &why);
}

static struct smq_store *open_well(const struct home *home)
{
    assert_int_equal(open_with(home, NULL), SMQTT_OK);
    assert_non_null(found.store);
    assert_false(found.refuses);
    return found.store;
}

static void put_format(struct smq_store *store, uint32_t format)
{
    uint8_t key[32], value[64];
    struct smq_wr k = smq_wr_of(key, sizeof key), v = smq_wr_of(value, sizeof value);
    smq_key_write_named(&k, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
    smq_row_write_workers(&v, &(struct smq_row_workers){.format = format, .count = 3});
    struct smq_writes *writes = writes_begin();
    assert_int_equal(smq_writes_add(writes, SMQ_WRITE_PUT, smq_wr_span(&k), smq_wr_span(&v)), SMQTT_OK);
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
}

/* A store of this format with one more row, closed. */
static void make_store(const struct home *home, uint32_t format)
{
    struct smq_store *store = open_well(home);
    put_format(store, format);
    assert_int_equal(store_put(store, "row", "value"), SMQTT_OK);
    kind->close(store);
}

/* The largest of these files, or NULL. */
static char *find_file(const char *path, const char *part)
{
    char *name = NULL;
    off_t largest = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat st;
        if (strstr(entry->d_name, part) != NULL && fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 &&
            st.st_size >= largest) {
            free(name);
            name = place_join(path, entry->d_name);
            largest = st.st_size;
        }
    }
    (void)closedir(dir);
    return name;
}

static void damage(const struct home *home)
{
    char *list = find_file(home->path, "MANIFEST");
    assert_non_null(list);
    assert_int_equal(truncate(list, 5), 0);
    free(list);
}

static void makes_one_for_its_owner_only(void **state)
{
    const struct home *home = *state;
    struct smq_store *store = open_well(home);
    struct stat st;
    assert_true(found.is_new && !found.set_aside);
    assert_string_equal(found.say.text, "");
    assert_int_equal(stat(home->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    put_format(store, SMQ_STORE_FORMAT);
    kind->close(store);
    store = open_well(home);
    assert_false(found.is_new);
    assert_string_equal(found.say.text, "");
    kind->close(store);
}

static void a_damaged_one_is_set_aside(void **state)
{
    const struct home *home = *state;
    char *aside = place_join(home->parent, "store.corrupt-19700101T000001Z");
    char *second = place_join(home->parent, "store.corrupt-19700101T000001Z-2");
    for (size_t round = 0; round < 2; round++) {
        make_store(home, SMQ_STORE_FORMAT);
        damage(home);
        struct smq_store *store = open_well(home);
        assert_true(found.set_aside && found.is_new);
        assert_non_null(strstr(found.say.text, "DAMAGED"));
        assert_non_null(strstr(found.say.text, round == 0 ? aside : second));
        assert_int_equal(store_count(store, ""), 0);
        kind->close(store);
        char *list = find_file(round == 0 ? aside : second, "MANIFEST");
        assert_non_null(list); /* nothing of it was deleted */
        free(list);
        store = open_well(home);
        assert_false(found.set_aside);
        kind->close(store);
    }
    free(aside);
    free(second);
}

/* Damage that shows only when its rows are read. */
static void damage_inside_is_found_before_anything_relies_on_it(void **state)
{
    const struct home *home = *state;
    make_store(home, SMQ_STORE_FORMAT);
    struct smq_store *store = open_well(home);
    uint64_t seed = 4;
    char key[16], value[2001];
    for (size_t i = 0; i < 100; i++) {
        for (size_t j = 0; j + 1 < sizeof value; j++) {
            value[j] = (char)('!' + test_random_below(&seed, 90));
        }
        value[sizeof value - 1] = 0;
        (void)snprintf(key, sizeof key, "row %03zu", i);
        assert_int_equal(store_put(store, key, value), SMQTT_OK);
    }
    kind->close(store);
    kind->close(open_well(home)); /* the rows are in a table now */
    assert_false(found.set_aside);
    char *table = find_file(home->path, ".sst");
    assert_non_null(table);
    int fd = open(table, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "XXXX", 4, 100000), 4);
    close(fd);
    kind->close(open_well(home));
    assert_true(found.set_aside);
    free(table);
}

static void a_row_of_format_that_cannot_be_read_is_damage(void **state)
{
    const struct home *home = *state;
    uint8_t key[32];
    struct smq_wr k = smq_wr_of(key, sizeof key);
    struct smq_store *store = open_well(home);
    smq_key_write_named(&k, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
    struct smq_writes *writes = writes_begin();
    assert_int_equal(smq_writes_add(writes, SMQ_WRITE_PUT, smq_wr_span(&k), smq_span_str("short")), SMQTT_OK);
    assert_int_equal(writes_commit(store, writes, true), SMQTT_OK);
    kind->close(store);
    kind->close(open_well(home));
    assert_true(found.set_aside);
}

static uint64_t look_of(const char *path)
{
    uint64_t sum = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode)) {
            sum += (uint64_t)st.st_ino * 31 + (uint64_t)st.st_size + (uint64_t)st.st_mtim.tv_nsec;
        }
    }
    (void)closedir(dir);
    return sum;
}

static void a_newer_format_is_not_touched(void **state)
{
    const struct home *home = *state;
    make_store(home, SMQ_STORE_FORMAT + 1);
    uint64_t before = look_of(home->path);
    assert_int_equal(open_with(home, NULL), SMQTT_OK);
    assert_true(found.refuses && !found.set_aside);
    assert_null(found.store);
    assert_non_null(strstr(found.say.text, "format 2"));
    assert_true(look_of(home->path) == before);
}

static void two_brokers_do_not_share_one(void **state)
{
    const struct home *home = *state;
    struct smq_store *store = open_well(home);
    assert_int_equal(open_with(home, NULL), SMQTT_E_BUSY);
    assert_non_null(strstr(why.text, "another broker"));
    assert_null(found.store);
    kind->close(store);
}

static void without_a_place_it_refuses(void **state)
{
    const struct home *home = *state;
    char *inside = place_join(home->path, "no/such");
    struct home nowhere = {home->parent, inside};
    assert_int_equal(open_with(&nowhere, NULL), SMQTT_OK);
    assert_true(found.refuses);
    assert_null(found.store);
    assert_non_null(strstr(found.say.text, inside));
    free(inside);
    int fd = open(home->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* a file where the directory should be */
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(open_with(home, NULL), SMQTT_OK);
    assert_true(found.refuses);
    assert_null(found.store);
    assert_int_equal(unlink(home->path), 0);
}

/* A disk that cannot be written, played by a kind of its own over the real one. */
static smqtt_err open_on_read_only_disk(const char *path, enum smq_store_mode mode, const struct smqtt_mem *mem,
                                        struct smq_store **out, struct smq_store_why *cause)
{
    if (mode == SMQ_STORE_READ_WRITE) {
        (void)snprintf(cause->text, sizeof cause->text, "the disk of %s is read only", path);
        return SMQTT_E_IO;
    }
    return smq_store_rocksdb.open(path, mode, mem, out, cause);
}

static void a_read_only_disk_is_read(void **state)
{
    const struct home *home = *state;
    struct smq_store_kind read_only = smq_store_rocksdb;
    read_only.open = open_on_read_only_disk;
    make_store(home, SMQ_STORE_FORMAT);
    uint64_t before = look_of(home->path);
    assert_int_equal(smq_store_open(&read_only, home->path, NULL, NOW, NULL, &found, &why), SMQTT_OK);
    assert_true(found.refuses && !found.is_new);
    assert_non_null(strstr(found.say.text, "is read only"));
    assert_string_equal(store_get(found.store, "row"), "value");
    assert_int_equal(store_put(found.store, "row", "other"), SMQTT_E_IO);
    kind->close(found.store);
    assert_true(look_of(home->path) == before);
    /* Nothing is set aside on it, too. */
    damage(home);
    assert_int_equal(smq_store_open(&read_only, home->path, NULL, NOW, NULL, &found, &why), SMQTT_OK);
    assert_true(found.refuses && !found.set_aside);
    assert_null(found.store);
}

/* ------------------------------------------------------------ formats */

static size_t steps_run;

static smqtt_err first_step(struct smq_store *store, struct smq_writes *writes, struct smq_store_why *cause)
{
    (void)cause;
    steps_run++;
    assert_string_equal(store_get(store, "row"), "value");
    writes_op(writes, SMQ_WRITE_DEL, "row");
    writes_put(writes, "moved", "value");
    return SMQTT_OK;
}

static smqtt_err second_step(struct smq_store *store, struct smq_writes *writes, struct smq_store_why *cause)
{
    (void)cause;
    steps_run++;
    assert_string_equal(store_get(store, "moved"), "value");
    writes_put(writes, "added", "value");
    return SMQTT_OK;
}

static smqtt_err failing_step(struct smq_store *store, struct smq_writes *writes, struct smq_store_why *cause)
{
    (void)store;
    writes_put(writes, "half", "of it");
    (void)snprintf(cause->text, sizeof cause->text, "this step fails");
    return SMQTT_E_IO;
}

static void an_older_format_is_led_to_the_newest(void **state)
{
    const struct home *home = *state;
    const struct smq_store_step steps[] = {{SMQ_STORE_FORMAT + 1, second_step}, {SMQ_STORE_FORMAT, first_step}};
    const struct smq_store_formats formats = {SMQ_STORE_FORMAT + 2, steps, 2};
    make_store(home, SMQ_STORE_FORMAT);
    steps_run = 0;
    assert_int_equal(open_with(home, &formats), SMQTT_OK);
    assert_int_equal(steps_run, 2);
    assert_int_equal(found.migrated_from, SMQ_STORE_FORMAT);
    assert_non_null(strstr(found.say.text, "older versions"));
    assert_null(store_get(found.store, "row"));
    assert_string_equal(store_get(found.store, "added"), "value");
    kind->close(found.store);
    assert_int_equal(open_with(home, &formats), SMQTT_OK); /* once */
    assert_int_equal(steps_run, 2);
    assert_int_equal(found.migrated_from, 0);
    kind->close(found.store);
    assert_int_equal(open_with(home, NULL), SMQTT_OK); /* the older version keeps its hands off now */
    assert_true(found.refuses);
    assert_null(found.store);
}

static void a_step_that_fails_changes_nothing(void **state)
{
    const struct home *home = *state;
    const struct smq_store_step steps[] = {{SMQ_STORE_FORMAT, failing_step}};
    const struct smq_store_formats formats = {SMQ_STORE_FORMAT + 1, steps, 1};
    make_store(home, SMQ_STORE_FORMAT);
    assert_int_equal(open_with(home, &formats), SMQTT_OK);
    assert_true(found.refuses);
    assert_null(found.store);
    assert_non_null(strstr(found.say.text, "this step fails"));
    struct smq_store *store = open_well(home);
    assert_string_equal(store_get(store, "row"), "value");
    assert_null(store_get(store, "half"));
    kind->close(store);
}

static void a_format_without_a_step_is_not_touched(void **state)
{
    const struct home *home = *state;
    const struct smq_store_formats formats = {SMQ_STORE_FORMAT + 1, NULL, 0};
    make_store(home, SMQ_STORE_FORMAT);
    uint64_t before = look_of(home->path);
    assert_int_equal(open_with(home, &formats), SMQTT_OK);
    assert_true(found.refuses);
    assert_null(found.store);
    assert_true(look_of(home->path) == before);
}

static void the_formats_lead_to_this_one(void **state)
{
    (void)state;
    assert_int_equal(smq_store_formats.newest, SMQ_STORE_FORMAT);
    assert_int_equal(smq_store_formats.n_steps, SMQ_STORE_FORMAT - 1);
    for (size_t i = 0; i < smq_store_formats.n_steps; i++) {
        assert_int_equal(smq_store_formats.steps[i].from, i + 1);
    }
}

static void in_memory_there_is_always_a_new_one(void **state)
{
    (void)state;
    assert_int_equal(smq_store_open(&smq_store_memory, NULL, NULL, NOW, NULL, &found, &why), SMQTT_OK);
    assert_true(found.is_new && !found.refuses);
    smq_store_memory.close(found.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_one_for_its_owner_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_one_is_set_aside, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_inside_is_found_before_anything_relies_on_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_of_format_that_cannot_be_read_is_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_format_is_not_touched, setup, teardown),
        cmocka_unit_test_setup_teardown(two_brokers_do_not_share_one, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_place_it_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_only_disk_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_format_is_led_to_the_newest, setup, teardown),
        cmocka_unit_test_setup_teardown(a_step_that_fails_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_format_without_a_step_is_not_touched, setup, teardown),
        cmocka_unit_test(the_formats_lead_to_this_one),
        cmocka_unit_test(in_memory_there_is_always_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
