/* SPDX-License-Identifier: Apache-2.0 */
/* The output queue against one flat array of bytes. */
#include "../failing_mem.h"
#include "../test.h"
#include "broker/message.h"
#include "broker/outq.h"

enum { MODEL_MAX = 1 << 20, SPANS = 16, LARGE_PIECE = 20000 };

struct world {
    struct failing_mem mem;
    struct smq_chunk_pool pool;
    struct smq_outq q;
    struct smq_account total; /* bytes of messages that live */
    uint64_t random;
    uint8_t model[MODEL_MAX];
    size_t len;
    uint8_t next; /* byte that is written next: they count up, so that a mix-up shows */
};

static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->random = 11;
    failing_mem_init(&w->mem);
    smq_chunk_pool_init(&w->pool, &w->mem.mem);
    smq_outq_init(&w->q);
}

static size_t n_shared(const struct world *w)
{
    return (w->pool.shared[0] != NULL ? 1u : 0u) + (w->pool.shared[1] != NULL ? 1u : 0u);
}

static void end(struct world *w)
{
    smq_outq_clear(&w->q, &w->pool);
    assert_int_equal(w->q.bytes, 0);
    assert_int_equal(w->q.n, 0);
    assert_int_equal(smq_account_used(&w->total), 0);
    /* nothing but what the pool keeps */
    assert_int_equal(w->mem.live, w->pool.n[0] + w->pool.n[1] + n_shared(w));
    smq_chunk_pool_deinit(&w->pool);
    assert_int_equal(w->mem.live, 0);
}

static void fill(struct world *w, uint8_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        at[i] = w->next;
        w->next = (uint8_t)(w->next == 250 ? 0 : w->next + 1);
    }
}

static void model_put(struct world *w, const uint8_t *data, size_t n)
{
    assert_true(w->len + n <= MODEL_MAX);
    memcpy(w->model + w->len, data, n);
    w->len += n;
}

static bool append(struct world *w, size_t n)
{
    size_t before = w->q.bytes;
    uint8_t *at = smq_outq_append(&w->q, &w->pool, n);
    if (at == NULL) {
        assert_int_equal(w->q.bytes, before);
        return false;
    }
    fill(w, at, n);
    model_put(w, at, n);
    return true;
}

static struct smq_refbuf *new_msg(struct world *w, size_t len)
{
    static uint8_t payload[LARGE_PIECE];
    fill(w, payload, len);
    struct smq_content c = {.topic = smq_span_str("t"), .payload = {payload, len}, .expires = SMQTT_NEVER};
    struct smq_refbuf *msg = smq_msg_new(&w->mem.mem, &c, true, &w->total);
    assert_non_null(msg);
    return msg;
}

/* As a PUBLISH goes out: a header of its own, then the payload of the shared block. */
static void append_msg(struct world *w, size_t header, size_t len)
{
    struct smq_refbuf *msg = new_msg(w, len);
    assert_true(smq_outq_reserve_msg(&w->q, &w->pool));
    assert_true(append(w, header));
    smq_span part = smq_msg_content(msg).payload;
    smq_outq_put_msg(&w->q, msg, part);
    model_put(w, part.data, part.len);
    smq_msg_unref(msg);
}

static void consume(struct world *w, size_t n)
{
    smq_outq_consume(&w->q, &w->pool, n);
    w->len -= n;
    memmove(w->model, w->model + n, w->len);
}

/* All spans, and again only the first few, are what the model says. */
static void compare(const struct world *w)
{
    assert_int_equal(w->q.bytes, w->len);
    for (size_t max = 1; max <= SPANS; max *= 4) {
        struct smqtt_span spans[SPANS];
        size_t n = smq_outq_spans(&w->q, spans, max), at = 0;
        assert_true(n <= max);
        assert_int_equal(n != 0, w->len != 0);
        for (size_t i = 0; i < n; i++) {
            assert_true(spans[i].len <= w->len - at);
            assert_memory_equal(spans[i].data, w->model + at, spans[i].len);
            at += spans[i].len;
        }
        assert_true(n == max || at == w->len);
    }
}

static void an_empty_queue_holds_no_memory(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    compare(&w);
    smq_outq_consume(&w.q, &w.pool, 0);
    assert_int_equal(w.mem.live, 0);
    for (size_t i = 0; i < 20; i++) {
        append_msg(&w, 5, 100);
    }
    compare(&w);
    assert_true(w.mem.live > 20);
    consume(&w, w.len);
    compare(&w);
    assert_int_equal(w.q.cap, 0);
    assert_int_equal(smq_account_used(&w.total), 0);
    assert_int_equal(w.mem.live, w.pool.n[0] + w.pool.n[1]);
    end(&w);
}

/* Small things in a row are one piece: one span, one chunk. */
static void small_things_share_a_chunk(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    for (size_t i = 0; i < 100; i++) {
        assert_true(append(&w, 4));
    }
    struct smqtt_span spans[SPANS];
    assert_int_equal(smq_outq_spans(&w.q, spans, SPANS), 1);
    assert_int_equal(spans[0].len, 400);
    assert_int_equal(w.mem.live, 1);
    /* what is sent in part and then continued stays one piece */
    consume(&w, 150);
    assert_true(append(&w, 4));
    assert_int_equal(smq_outq_spans(&w.q, spans, SPANS), 1);
    compare(&w);
    /* headers between messages share it, too */
    append_msg(&w, 6, 50);
    append_msg(&w, 6, 50);
    assert_int_equal(smq_outq_spans(&w.q, spans, SPANS), 4);
    assert_int_equal(w.mem.live, 4); /* the chunk, the list, the messages */
    compare(&w);
    end(&w);
}

static void a_message_lives_until_it_has_left(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    append_msg(&w, 3, 1000);
    uint64_t size = smq_account_used(&w.total);
    assert_true(size > 1000);
    consume(&w, 3 + 999);
    compare(&w);
    assert_int_equal(smq_account_used(&w.total), size);
    consume(&w, 1);
    assert_int_equal(smq_account_used(&w.total), 0);
    append_msg(&w, 3, 1000);
    smq_outq_clear(&w.q, &w.pool);
    assert_int_equal(smq_account_used(&w.total), 0);
    w.len = 0;
    compare(&w);
    end(&w);
}

static void one_message_in_many_queues(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    struct smq_refbuf *msg = new_msg(&w, 500);
    struct smq_outq queues[10];
    for (size_t i = 0; i < SMQ_ARRAY_LEN(queues); i++) {
        smq_outq_init(&queues[i]);
        assert_true(smq_outq_reserve_msg(&queues[i], &w.pool));
        assert_non_null(smq_outq_append(&queues[i], &w.pool, 2));
        smq_outq_put_msg(&queues[i], msg, smq_msg_content(msg).payload);
    }
    uint64_t size = smq_account_used(&w.total);
    smq_msg_unref(msg);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(queues); i++) {
        assert_int_equal(smq_account_used(&w.total), size);
        smq_outq_consume(&queues[i], &w.pool, 502);
    }
    assert_int_equal(smq_account_used(&w.total), 0);
    end(&w);
}

static void the_pool_is_bounded(void **state)
{
    (void)state;
    static struct world w;
    static struct smq_outq queues[1000];
    begin(&w);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(queues); i++) {
        smq_outq_init(&queues[i]);
        assert_non_null(smq_outq_append(&queues[i], &w.pool, i % 2 == 0 ? 10 : 5000));
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(queues); i++) {
        smq_outq_clear(&queues[i], &w.pool);
    }
    assert_true(w.pool.n[0] > 0 && w.pool.n[0] < 500);
    assert_true(w.pool.n[1] > 0 && w.pool.n[1] < 500);
    size_t kept = w.mem.live;
    assert_int_equal(kept, w.pool.n[0] + w.pool.n[1]);
    /* what is kept is used again; what is larger than any of it is not kept */
    assert_true(append(&w, 10));
    assert_int_equal(w.mem.live, kept);
    assert_true(append(&w, LARGE_PIECE));
    compare(&w);
    consume(&w, w.len);
    assert_int_equal(w.mem.live, kept);
    end(&w);
}

static void random_against_an_array(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    for (size_t i = 0; i < 20000; i++) {
        bool growing = (i / 100) % 2 == 0 && w.len < MODEL_MAX / 2;
        size_t what = test_random_below(&w.random, 10);
        if (what < (growing ? 4u : 1u)) {
            size_t n = 1 + test_random_below(&w.random, test_random_below(&w.random, 50) == 0 ? LARGE_PIECE : 60);
            assert_true(append(&w, n));
        } else if (what < (growing ? 7u : 2u)) {
            append_msg(&w, 1 + test_random_below(&w.random, 40), 1 + test_random_below(&w.random, 2000));
        } else {
            size_t n = test_random_below(&w.random, 4000);
            consume(&w, n < w.len ? n : w.len);
        }
        compare(&w);
        assert_true(w.len != 0 || w.q.cap == 0);
    }
    end(&w);
}

/* A sequence in which each allocation fails once: what was there stays, and going on is possible. */
static void without_memory_nothing_changes(void **state)
{
    (void)state;
    static struct world w;
    for (size_t nth = 1;; nth++) {
        begin(&w);
        failing_mem_arm(&w.mem, nth);
        bool failed = false;
        for (size_t i = 0; i < 40; i++) {
            struct smq_refbuf *msg = NULL;
            struct smq_content c = {.topic = smq_span_str("t"), .payload = smq_span_str("hello")};
            msg = smq_msg_new(&w.mem.mem, &c, true, &w.total);
            bool room = msg != NULL && smq_outq_reserve_msg(&w.q, &w.pool);
            if (room && append(&w, i % 4 == 0 ? 900 : 7)) {
                smq_span part = smq_msg_content(msg).payload;
                smq_outq_put_msg(&w.q, msg, part);
                model_put(&w, part.data, part.len);
            } else {
                assert_false(failed); /* only one fails */
                failed = true;
            }
            smq_msg_unref(msg);
            compare(&w);
            failed = append(&w, 3) ? failed : true;
            compare(&w);
        }
        assert_int_equal(failed, failing_mem_has_failed(&w.mem));
        failing_mem_arm(&w.mem, 0);
        consume(&w, w.len);
        compare(&w);
        end(&w);
        if (!failed) {
            assert_true(nth > 45);
            return;
        }
    }
}

/* A second chunk is there, but no list to put it in: it goes back. */
static void a_chunk_without_a_place_goes_back(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    assert_true(append(&w, 900));
    failing_mem_arm(&w.mem, 2);
    assert_false(append(&w, 900));
    assert_true(failing_mem_has_failed(&w.mem));
    failing_mem_arm(&w.mem, 0);
    assert_int_equal(w.mem.live, 1 + w.pool.n[0] + w.pool.n[1]);
    compare(&w);
    assert_true(append(&w, 900));
    compare(&w);
    end(&w);
}

/* ------------------------------------------------------------ the same bytes in many queues */

static const uint8_t *share_one(struct world *w, size_t n)
{
    uint8_t *at = smq_chunk_pool_share(&w->pool, 0, n);
    assert_non_null(at);
    fill(w, at, n);
    return at;
}

static bool share(struct world *w, size_t n)
{
    const uint8_t *at = share_one(w, n);
    bool ok = smq_outq_share(&w->q, &w->pool, 0, at, n);
    if (ok) {
        model_put(w, at, n);
    }
    return ok;
}

static void shared_bytes_behind_each_other_are_one_span(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    for (int i = 0; i < 100; i++) {
        assert_true(share(&w, 80));
    }
    struct smqtt_span spans[SPANS];
    assert_int_equal(smq_outq_spans(&w.q, spans, SPANS), 1);
    assert_int_equal(w.mem.live, 1); /* no list, one chunk */
    compare(&w);
    end(&w);
}

static void forms_do_not_come_between_each_other(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    struct smq_outq other;
    smq_outq_init(&other);
    for (int i = 0; i < 100; i++) {
        assert_true(share(&w, 50));
        uint8_t *at = smq_chunk_pool_share(&w.pool, 1, 60);
        assert_true(at != NULL && smq_outq_share(&other, &w.pool, 1, at, 60));
    }
    struct smqtt_span spans[SPANS];
    assert_int_equal(smq_outq_spans(&w.q, spans, SPANS), 1);
    assert_int_equal(smq_outq_spans(&other, spans, SPANS), 1);
    compare(&w);
    smq_outq_clear(&other, &w.pool);
    end(&w);
}

/* What a queue writes for itself does not run into what others send, in both orders. */
static void own_bytes_keep_out_of_the_shared(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    struct smq_outq other;
    smq_outq_init(&other);
    for (int i = 0; i < 5; i++) {
        const uint8_t *at = share_one(&w, 50);
        assert_true(smq_outq_share(&w.q, &w.pool, 0, at, 50));
        model_put(&w, at, 50);
        assert_true(smq_outq_share(&other, &w.pool, 0, at, 50));
        assert_true(append(&w, 4));
        assert_true(append(&w, 6));
    }
    compare(&w);
    struct smqtt_span one;
    assert_int_equal(smq_outq_spans(&other, &one, 1), 1);
    assert_int_equal(one.len, 250);
    smq_outq_clear(&other, &w.pool);
    end(&w);
}

/* A queue that has waited for long refers to a bounded number of chunks, others go on. */
static void who_waits_keeps_few_chunks(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    unsigned n = 0;
    bool took = true;
    for (; took && n < 1000; n++) {
        (void)share_one(&w, 15000); /* of others, so that nothing is adjacent */
        took = share(&w, 100);
    }
    assert_true(n > 8 && n < 40);
    assert_true(append(&w, 100));
    compare(&w);
    end(&w);
}

/* When all has left, the chunk begins anew, and the round tells those who remember places in it. */
static void a_chunk_begins_anew(void **state)
{
    (void)state;
    static struct world w;
    begin(&w);
    assert_true(share(&w, 100));
    uint64_t round = w.pool.shared_round;
    assert_true(share(&w, 100));
    assert_true(w.pool.shared_round == round);
    smq_outq_clear(&w.q, &w.pool);
    w.len = 0;
    assert_true(share(&w, 100));
    assert_true(w.pool.shared_round != round);
    assert_int_equal(w.pool.shared[0]->fill, 100);
    compare(&w);
    failing_mem_arm(&w.mem, 1);
    assert_null(smq_chunk_pool_share(&w.pool, 0, 15990));
    failing_mem_arm(&w.mem, 0);
    compare(&w);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_queue_holds_no_memory),
        cmocka_unit_test(small_things_share_a_chunk),
        cmocka_unit_test(a_message_lives_until_it_has_left),
        cmocka_unit_test(one_message_in_many_queues),
        cmocka_unit_test(the_pool_is_bounded),
        cmocka_unit_test(random_against_an_array),
        cmocka_unit_test(a_chunk_without_a_place_goes_back),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(shared_bytes_behind_each_other_are_one_span),
        cmocka_unit_test(forms_do_not_come_between_each_other),
        cmocka_unit_test(own_bytes_keep_out_of_the_shared),
        cmocka_unit_test(who_waits_keeps_few_chunks),
        cmocka_unit_test(a_chunk_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
