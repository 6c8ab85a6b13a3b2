/* SPDX-License-Identifier: Apache-2.0 */
/* The store in memory as a disk that fails and a computer that loses its power. */
#include "store/memory.h"

#include "../failing_mem.h"
#include "place.h"

static smqtt_err put_unsynced(struct smq_store *store, const char *key, const char *value)
{
    struct smq_writes *writes = writes_begin();
    writes_put(writes, key, value);
    return writes_commit(store, writes, false);
}

static smqtt_err del_unsynced(struct smq_store *store, enum smq_write_op op, const char *key)
{
    struct smq_writes *writes = writes_begin();
    writes_op(writes, op, key);
    return writes_commit(store, writes, false);
}

/* Three synced rows, then four writes that are not. */
static struct smq_store *before_the_crash(void)
{
    struct smq_store *store = place_open(&smq_store_memory, NULL);
    smq_memory_track(store);
    assert_int_equal(store_put(store, "p/a", "1"), SMQTT_OK);
    assert_int_equal(store_put(store, "p/b", "1"), SMQTT_OK);
    assert_int_equal(store_put(store, "q", "1"), SMQTT_OK);
    assert_int_equal(smq_memory_count_unsynced(store), 0);
    assert_int_equal(put_unsynced(store, "p/a", "2"), SMQTT_OK);
    assert_int_equal(del_unsynced(store, SMQ_WRITE_DEL_PREFIX, "p/"), SMQTT_OK);
    assert_int_equal(put_unsynced(store, "p/b", "3"), SMQTT_OK);
    assert_int_equal(del_unsynced(store, SMQ_WRITE_DEL, "q"), SMQTT_OK);
    assert_int_equal(smq_memory_count_unsynced(store), 4);
    return store;
}

static void check_value(struct smq_store *store, const char *key, const char *wanted)
{
    const char *value = store_get(store, key);
    if (wanted == NULL) {
        assert_null(value);
    } else {
        assert_non_null(value);
        assert_string_equal(value, wanted);
    }
}

static void a_crash_loses_what_was_not_synced(void **state)
{
    (void)state;
    static const struct {
        size_t keep;
        const char *a, *b, *q;
    } rows[] = {{0, "1", "1", "1"},  {1, "2", "1", "1"},   {2, NULL, NULL, "1"},
                {3, NULL, "3", "1"}, {4, NULL, "3", NULL}, {100, NULL, "3", NULL}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        struct smq_store *store = before_the_crash();
        smq_memory_crash(store, rows[i].keep);
        assert_int_equal(smq_memory_count_unsynced(store), 0);
        check_value(store, "p/a", rows[i].a);
        check_value(store, "p/b", rows[i].b);
        check_value(store, "q", rows[i].q);
        size_t n = (size_t)((rows[i].a != NULL) + (rows[i].b != NULL) + (rows[i].q != NULL));
        assert_int_equal(smq_memory_count_rows(store), n);
        assert_int_equal(store_count(store, ""), n);
        smq_memory_crash(store, 0);
        assert_int_equal(store_count(store, ""), n); /* what was left is on the disk */
        smq_store_memory.close(store);
    }
}

static void what_was_synced_is_never_lost(void **state)
{
    (void)state;
    struct smq_store *store = before_the_crash();
    struct smq_store_why why;
    assert_int_equal(smq_store_memory.sync(store, &why), SMQTT_OK);
    smq_memory_crash(store, 0);
    check_value(store, "p/b", "3");
    assert_int_equal(store_count(store, ""), 1);
    /* A sync covers the writes before it. */
    assert_int_equal(put_unsynced(store, "x", "1"), SMQTT_OK);
    assert_int_equal(store_put(store, "y", "1"), SMQTT_OK);
    smq_memory_crash(store, 0);
    assert_int_equal(store_count(store, ""), 3);
    smq_store_memory.close(store);
}

struct faults {
    enum smq_memory_step step;
    smqtt_err err;
    size_t left; /* times */
};

static smqtt_err fail_at(void *ctx, enum smq_memory_step step)
{
    struct faults *faults = ctx;
    if (step != faults->step || faults->left == 0) {
        return SMQTT_OK;
    }
    faults->left--;
    return faults->err;
}

static void a_full_disk_takes_nothing_until_it_is_opened_anew(void **state)
{
    (void)state;
    struct smq_store *store = place_open(&smq_store_memory, NULL);
    struct smq_store_why why;
    struct faults faults = {SMQ_MEMORY_WRITE, SMQTT_E_IO, 1};
    assert_int_equal(store_put(store, "before", "v"), SMQTT_OK);
    smq_memory_set_faults(store, &(struct smq_memory_faults){fail_at, &faults});
    assert_int_equal(store_put(store, "k", "v"), SMQTT_E_IO);
    assert_int_equal(store_put(store, "k", "v"), SMQTT_E_IO); /* latched */
    assert_int_equal(smq_store_memory.sync(store, &why), SMQTT_E_IO);
    check_value(store, "k", NULL);
    check_value(store, "before", "v"); /* reads go on */
    faults = (struct faults){SMQ_MEMORY_REOPEN, SMQTT_E_IO, 1};
    assert_int_equal(smq_store_memory.reopen(store, &why), SMQTT_E_IO);
    assert_int_equal(store_put(store, "k", "v"), SMQTT_E_IO);
    assert_int_equal(smq_store_memory.reopen(store, &why), SMQTT_OK);
    assert_int_equal(store_put(store, "k", "v"), SMQTT_OK);
    smq_store_memory.close(store);
}

static void a_sync_that_fails_leaves_both_ways_open(void **state)
{
    (void)state;
    for (size_t keep = 0; keep < 2; keep++) {
        struct smq_store *store = place_open(&smq_store_memory, NULL);
        struct faults faults = {SMQ_MEMORY_SYNC, SMQTT_E_IO, 1};
        smq_memory_track(store);
        smq_memory_set_faults(store, &(struct smq_memory_faults){fail_at, &faults});
        assert_int_equal(store_put(store, "k", "v"), SMQTT_E_IO);
        assert_int_equal(smq_memory_count_unsynced(store), 1);
        assert_int_equal(store_put(store, "l", "v"), SMQTT_E_IO);
        smq_memory_crash(store, keep);
        assert_int_equal(store_count(store, ""), keep);
        smq_memory_set_faults(store, NULL);
        assert_int_equal(store_put(store, "l", "v"), SMQTT_OK);
        smq_store_memory.close(store);
    }
}

static void reads_fail_when_told(void **state)
{
    (void)state;
    struct smq_store *store = place_open(&smq_store_memory, NULL);
    struct smq_store_why why = {""};
    struct store_text text;
    struct faults faults = {SMQ_MEMORY_READ, SMQTT_E_CORRUPT, 2};
    size_t n = 0;
    assert_int_equal(store_put(store, "k", "v"), SMQTT_OK);
    smq_memory_set_faults(store, &(struct smq_memory_faults){fail_at, &faults});
    smqtt_err err = smq_store_memory.get(store, smq_span_str("k"), store_keep_text, &text, &why);
    assert_int_equal(err, SMQTT_E_CORRUPT);
    assert_string_not_equal(why.text, "");
    err = smq_store_memory.each(store, smq_span_str(""), store_count_one, &n, &why);
    assert_int_equal(err, SMQTT_E_CORRUPT);
    check_value(store, "k", "v");
    smq_store_memory.close(store);
}

/* A write without memory leaves the rows, and their bytes, as they were. */
static void without_memory_nothing_of_it_is_there(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    for (size_t nth = 1;; nth++) {
        struct smq_store *store = NULL;
        struct smq_store_why why;
        failing_mem_arm(&fm, 0);
        assert_int_equal(smq_store_memory.open(NULL, SMQ_STORE_READ_WRITE, &fm.mem, &store, &why), SMQTT_OK);
        assert_int_equal(store_put(store, "a", "1"), SMQTT_OK);
        assert_int_equal(store_put(store, "b/1", "1"), SMQTT_OK);
        assert_int_equal(store_put(store, "b/2", "1"), SMQTT_OK);
        uint64_t size = smq_store_memory.size(store);
        struct smq_writes *writes = writes_begin();
        writes_put(writes, "a", "22");
        writes_put(writes, "c", "1");
        writes_op(writes, SMQ_WRITE_DEL_PREFIX, "b/");
        writes_put(writes, "b/1", "3");
        writes_op(writes, SMQ_WRITE_DEL, "a");
        failing_mem_arm(&fm, nth);
        smqtt_err err = writes_commit(store, writes, true);
        bool failed = failing_mem_has_failed(&fm);
        failing_mem_arm(&fm, 0);
        assert_int_equal(err, failed ? SMQTT_E_NOMEM : SMQTT_OK);
        if (failed) {
            assert_int_equal(store_count(store, ""), 3);
            check_value(store, "a", "1");
            check_value(store, "b/1", "1");
            assert_int_equal(smq_store_memory.size(store), size);
            assert_int_equal(store_put(store, "a", "goes on"), SMQTT_OK);
        } else {
            assert_int_equal(store_count(store, ""), 2);
        }
        smq_store_memory.close(store);
        assert_int_equal(fm.live, 0);
        if (!failed) {
            assert_true(nth > 4);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_loses_what_was_not_synced),
        cmocka_unit_test(what_was_synced_is_never_lost),
        cmocka_unit_test(a_full_disk_takes_nothing_until_it_is_opened_anew),
        cmocka_unit_test(a_sync_that_fails_leaves_both_ways_open),
        cmocka_unit_test(reads_fail_when_told),
        cmocka_unit_test(without_memory_nothing_of_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
