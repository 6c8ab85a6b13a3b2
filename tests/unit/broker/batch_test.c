/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of batches: they come back to who made them, also when all is said in one direction. */
#include "../failing_mem.h"
#include "../test.h"
#include "broker/batch.h"
#include "broker/worker.h"

enum { NOTE = 1000, NOTES = 50, TYPE = 3 };

struct side {
    struct smq_batch_pool pool;
    struct smq_outbox box; /* for the other one */
    unsigned n_read;
};

static unsigned n_dropped;

static void drop(struct smq_note *note)
{
    assert_int_equal(note->type, TYPE);
    n_dropped++;
}

static void begin(struct side *side, const struct smqtt_mem *mem)
{
    *side = (struct side){0};
    smq_batch_pool_init(&side->pool, mem, drop);
    n_dropped = 0;
}

static void end(struct side *side)
{
    smq_batch_free(side->box.first);
    smq_batch_free(side->box.back);
    smq_batch_pool_deinit(&side->pool);
}

static void write_notes(struct side *side, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_true(smq_outbox_reserve(&side->box, &side->pool, NOTE, false));
        smq_outbox_add(&side->box, TYPE, NOTE);
    }
}

/* True: there was a batch, maybe of nothing but blocks. */
static bool carry(struct side *from, struct side *to)
{
    struct smq_batch *batch = smq_outbox_take(&from->box);
    bool any = batch != NULL;
    while (batch != NULL) {
        struct smq_batch *block = batch;
        batch = block->next;
        for (struct smq_note *note = NULL; (note = smq_batch_next(block, note)) != NULL;) {
            assert_int_equal(note->type, TYPE);
            to->n_read++;
        }
        smq_outbox_give_back(&to->box, &to->pool, block);
    }
    return any;
}

static void blocks_come_back_from_who_has_nothing_to_say(void **state)
{
    (void)state;
    struct failing_mem fm;
    struct side a, b;
    failing_mem_init(&fm);
    begin(&a, &fm.mem);
    begin(&b, &fm.mem);
    for (unsigned turn = 0; turn < 200; turn++) {
        if (turn == 100) {
            failing_mem_arm(&fm, 1); /* from here on nothing is to be allocated */
        }
        write_notes(&a, NOTES);
        assert_true(carry(&a, &b));
        if (carry(&b, &a)) {
            assert_int_equal(a.n_read, 0);
        }
    }
    assert_int_equal(b.n_read, 200 * NOTES);
    assert_int_equal(fm.made, 0);
    end(&a);
    end(&b);
    assert_int_equal(fm.live, 0);
}

/* They do not go to and fro for ever. */
static void empty_blocks_stay_where_they_came(void **state)
{
    (void)state;
    struct failing_mem fm;
    struct side a, b;
    failing_mem_init(&fm);
    begin(&a, &fm.mem);
    begin(&b, &fm.mem);
    write_notes(&a, NOTES * 4);
    assert_true(carry(&a, &b));
    assert_true(carry(&b, &a));
    assert_false(carry(&a, &b));
    assert_false(carry(&b, &a));
    assert_true(a.pool.n > 1);
    /* a few wait for something to be said */
    write_notes(&a, 1);
    assert_true(carry(&a, &b));
    assert_false(carry(&b, &a));
    write_notes(&b, 1);
    unsigned before = a.pool.n;
    assert_true(carry(&b, &a));
    assert_int_equal(a.n_read, 1);
    assert_int_equal(a.pool.n, before + 1);
    end(&a);
    end(&b);
    assert_int_equal(fm.live, 0);
}

static void what_nobody_reads_is_dropped(void **state)
{
    (void)state;
    struct failing_mem fm;
    struct side a;
    failing_mem_init(&fm);
    begin(&a, &fm.mem);
    write_notes(&a, NOTES);
    struct smq_batch *batch = smq_outbox_take(&a.box);
    assert_int_equal(smq_batch_size(batch), NOTES * NOTE);
    smq_batch_free(batch);
    assert_int_equal(n_dropped, NOTES);
    end(&a);
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_back_from_who_has_nothing_to_say),
        cmocka_unit_test(empty_blocks_stay_where_they_came),
        cmocka_unit_test(what_nobody_reads_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
