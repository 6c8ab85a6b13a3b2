/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"

#include <pthread.h>

#include "../failing_mem.h"
#include "base/refbuf.h"

#define THREADS 4
#define TURNS   20000

static void owners_share_and_the_last_frees(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_refbuf *buf = smq_refbuf_new_copy(&fm.mem, smq_span_str("hello"));
    assert_non_null(buf);
    assert_true(smq_span_equal(smq_refbuf_span(buf), smq_span_str("hello")));
    assert_true(smq_refbuf_is_sole(buf));
    assert_ptr_equal(smq_refbuf_ref(buf), buf);
    assert_false(smq_refbuf_is_sole(buf));
    smq_refbuf_unref(buf);
    assert_int_equal(fm.live, 1);
    assert_true(smq_refbuf_is_sole(buf));
    smq_refbuf_unref(buf);
    assert_int_equal(fm.live, 0);
    smq_refbuf_unref(NULL);
    assert_int_equal(smq_refbuf_span(NULL).len, 0);
}

static void sizes_and_no_memory(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_refbuf *empty = smq_refbuf_new_copy(&fm.mem, smq_span_of(NULL, 0));
    assert_non_null(empty);
    assert_int_equal(empty->len, 0);
    smq_refbuf_unref(empty);
    assert_null(smq_refbuf_new(&fm.mem, SIZE_MAX));
    assert_null(smq_refbuf_new(&fm.mem, (size_t)UINT32_MAX + 1));
    failing_mem_arm(&fm, 1);
    assert_null(smq_refbuf_new(&fm.mem, 10));
    assert_int_equal(fm.live, 0);
    struct smq_refbuf *buf = smq_refbuf_new(NULL, 3);
    assert_non_null(buf);
    memset(buf->data, 'x', 3);
    buf->len = 2;
    assert_true(smq_span_equal(smq_refbuf_span(buf), smq_span_str("xx")));
    smq_refbuf_unref(buf);
}

static void *ref_and_unref(void *arg)
{
    struct smq_refbuf *buf = arg;
    for (int i = 0; i < TURNS; i++) {
        smq_refbuf_unref(smq_refbuf_ref(buf));
    }
    smq_refbuf_unref(buf); /* the share of this thread */
    return NULL;
}

static void counts_right_between_threads(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_refbuf *buf = smq_refbuf_new_copy(&fm.mem, smq_span_str("shared"));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, smq_refbuf_hand(buf)), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(fm.live, 1);
    assert_true(smq_refbuf_is_sole(buf));
    smq_refbuf_unref(buf);
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_share_and_the_last_frees),
        cmocka_unit_test(sizes_and_no_memory),
        cmocka_unit_test(counts_right_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
