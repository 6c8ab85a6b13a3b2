/* SPDX-License-Identifier: Apache-2.0 */
#include "../failing_mem.h"
#include "../test.h"
#include "session/inflight.h"

enum { PUBACK = 4, PUBREC = 5, PUBCOMP = 7, ANY_MAX = UINT16_MAX };

static struct smq_out_slot *add(struct smq_inflight *f, const struct smqtt_mem *mem, uint8_t qos, void *msg)
{
    struct smq_out_slot *slot = NULL;
    assert_int_equal(smq_inflight_add(f, mem, qos, msg, ANY_MAX, &slot), SMQTT_OK);
    assert_non_null(slot);
    return slot;
}

static void remove_id(struct smq_inflight *f, const struct smqtt_mem *mem, uint16_t id)
{
    struct smq_out_slot *slot = smq_inflight_find(f, id);
    assert_non_null(slot);
    smq_inflight_remove(f, mem, slot);
}

/* ------------------------------------------------------------ acknowledgements */

enum { GONE = SMQ_OUT_FREE }; /* as a state before: nothing of that identifier is in flight */

/* Every state, every type, a reason of success and one of failure on both sides of the border. */
static const struct {
    uint8_t state, type, reason;
    enum smq_out_action action;
    uint8_t after;
} transitions[] = {
    {GONE, PUBACK, 0x00, SMQ_OUT_UNKNOWN, GONE},
    {GONE, PUBACK, 0x80, SMQ_OUT_UNKNOWN, GONE},
    {GONE, PUBREC, 0x00, SMQ_OUT_UNKNOWN, GONE},
    {GONE, PUBREC, 0x80, SMQ_OUT_UNKNOWN, GONE},
    {GONE, PUBCOMP, 0x00, SMQ_OUT_UNKNOWN, GONE},
    {GONE, PUBCOMP, 0x92, SMQ_OUT_UNKNOWN, GONE},
    {SMQ_OUT_WAIT_PUBACK, PUBACK, 0x00, SMQ_OUT_DONE, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBACK, PUBACK, 0x10, SMQ_OUT_DONE, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBACK, PUBACK, 0x7F, SMQ_OUT_DONE, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBACK, PUBACK, 0x80, SMQ_OUT_FAILED, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBACK, PUBACK, 0xFF, SMQ_OUT_FAILED, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBACK, PUBREC, 0x00, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBACK, PUBREC, 0x80, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBACK, PUBCOMP, 0x00, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBACK, PUBCOMP, 0x92, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBACK},
    {SMQ_OUT_WAIT_PUBREC, PUBACK, 0x00, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBREC},
    {SMQ_OUT_WAIT_PUBREC, PUBACK, 0x80, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBREC},
    {SMQ_OUT_WAIT_PUBREC, PUBREC, 0x00, SMQ_OUT_SEND_PUBREL, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBREC, PUBREC, 0x10, SMQ_OUT_SEND_PUBREL, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBREC, PUBREC, 0x7F, SMQ_OUT_SEND_PUBREL, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBREC, PUBREC, 0x80, SMQ_OUT_FAILED, SMQ_OUT_WAIT_PUBREC},
    {SMQ_OUT_WAIT_PUBREC, PUBREC, 0xFF, SMQ_OUT_FAILED, SMQ_OUT_WAIT_PUBREC},
    {SMQ_OUT_WAIT_PUBREC, PUBCOMP, 0x00, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBREC},
    {SMQ_OUT_WAIT_PUBREC, PUBCOMP, 0x92, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBREC},
    {SMQ_OUT_WAIT_PUBCOMP, PUBACK, 0x00, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBCOMP, PUBACK, 0x80, SMQ_OUT_WRONG, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBCOMP, PUBREC, 0x00, SMQ_OUT_RESEND_PUBREL, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBCOMP, PUBREC, 0x7F, SMQ_OUT_RESEND_PUBREL, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBCOMP, PUBREC, 0x80, SMQ_OUT_FAILED, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBCOMP, PUBCOMP, 0x00, SMQ_OUT_DONE, SMQ_OUT_WAIT_PUBCOMP},
    {SMQ_OUT_WAIT_PUBCOMP, PUBCOMP, 0x92, SMQ_OUT_DONE, SMQ_OUT_WAIT_PUBCOMP},
};

static void test_ack_does_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(transitions); i++) {
        struct failing_mem fm;
        failing_mem_init(&fm);
        struct smq_inflight f;
        smq_inflight_init(&f);
        int msg, other;
        struct smq_out_slot *neighbour = add(&f, &fm.mem, 1, &other), *slot = NULL;
        uint16_t id = 77;
        if (transitions[i].state != GONE) {
            slot = add(&f, &fm.mem, transitions[i].state == SMQ_OUT_WAIT_PUBACK ? 1 : 2, &msg);
            id = slot->id;
        }
        if (transitions[i].state == SMQ_OUT_WAIT_PUBCOMP) {
            assert_int_equal(smq_inflight_ack(&f, PUBREC, id, 0, &slot), SMQ_OUT_SEND_PUBREL);
        }
        struct smq_out_slot *found = neighbour;
        enum smq_out_action action = smq_inflight_ack(&f, transitions[i].type, id, transitions[i].reason, &found);
        assert_int_equal(action, transitions[i].action);
        assert_ptr_equal(found, slot);
        if (slot != NULL) {
            assert_int_equal(slot->state, transitions[i].after);
            assert_int_equal(slot->id, id);
            assert_ptr_equal(slot->msg, &msg);
        }
        assert_int_equal(neighbour->state, SMQ_OUT_WAIT_PUBACK);
        smq_inflight_deinit(&f, &fm.mem);
        assert_int_equal(fm.live, 0);
    }
}

static void test_ack_of_nothing_is_unknown(void **state)
{
    (void)state;
    struct smq_inflight f;
    smq_inflight_init(&f);
    struct smq_out_slot *slot;
    assert_int_equal(smq_inflight_ack(&f, PUBACK, 1, 0, &slot), SMQ_OUT_UNKNOWN);
    assert_null(slot);
    assert_int_equal(smq_inflight_ack(&f, PUBREC, 0, 0, &slot), SMQ_OUT_UNKNOWN);
    add(&f, NULL, 1, NULL);
    assert_int_equal(smq_inflight_ack(&f, PUBACK, 0, 0, &slot), SMQ_OUT_UNKNOWN);
    assert_null(slot);
    /* an identifier of the same place in the table */
    assert_int_equal(smq_inflight_ack(&f, PUBACK, (uint16_t)(1 + f.size), 0, &slot), SMQ_OUT_UNKNOWN);
    assert_null(slot);
    smq_inflight_deinit(&f, NULL);
}

/* ------------------------------------------------------------ identifiers */

static void test_slots_begin_clean(void **state)
{
    (void)state;
    struct smq_inflight f;
    smq_inflight_init(&f);
    assert_null(smq_inflight_next(&f, NULL));
    assert_null(smq_inflight_find(&f, 1));
    int one, two;
    struct smq_out_slot *slot = add(&f, NULL, 1, &one);
    assert_int_equal(slot->id, 1);
    assert_int_equal(slot->state, SMQ_OUT_WAIT_PUBACK);
    assert_int_equal(slot->sent, 0);
    assert_ptr_equal(slot->msg, &one);
    slot = add(&f, NULL, 2, &two);
    assert_int_equal(slot->id, 2);
    assert_int_equal(slot->state, SMQ_OUT_WAIT_PUBREC);
    assert_int_equal(slot->sent, 0);
    assert_ptr_equal(smq_inflight_find(&f, 2), slot);
    assert_null(smq_inflight_find(&f, 0));
    assert_null(smq_inflight_find(&f, 3));
    smq_inflight_deinit(&f, NULL);
}

/* [MQTT-2.2.1-2]: never 0, never one in use, all 65,535 of them. */
static void test_identifiers_wrap_around(void **state)
{
    (void)state;
    struct smq_inflight f;
    smq_inflight_init(&f);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t id = 1; id <= UINT16_MAX; id++) {
            struct smq_out_slot *slot = add(&f, NULL, 1, NULL);
            assert_int_equal(slot->id, id);
            smq_inflight_remove(&f, NULL, slot);
        }
    }
    smq_inflight_deinit(&f, NULL);
}

static void test_order_holds_across_the_wrap(void **state)
{
    (void)state;
    struct smq_inflight f;
    smq_inflight_init(&f);
    f.next_id = UINT16_MAX - 9;
    uint16_t ids[30];
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ids); i++) {
        ids[i] = add(&f, NULL, 1, NULL)->id;
        assert_int_not_equal(ids[i], 0);
    }
    size_t n = 0;
    for (struct smq_out_slot *s = smq_inflight_next(&f, NULL); s != NULL; s = smq_inflight_next(&f, s)) {
        assert_true(n < SMQ_ARRAY_LEN(ids));
        assert_int_equal(s->id, ids[n++]);
    }
    assert_int_equal(n, SMQ_ARRAY_LEN(ids));
    smq_inflight_deinit(&f, NULL);
}

/* One that is never acknowledged, while identifiers go all the way round: nothing may be lost from the walk, and the
 * order stays that of sending. */
static void test_one_that_stays_is_not_overtaken(void **state)
{
    (void)state;
    struct smq_inflight f;
    smq_inflight_init(&f);
    int oldest, others;
    uint16_t first = add(&f, NULL, 2, &oldest)->id;
    uint16_t window[4] = {0};
    size_t sent = 0;
    struct smq_out_slot *slot;
    smqtt_err err = SMQTT_OK;
    while (err == SMQTT_OK && sent < 3 * UINT16_MAX) {
        if (window[sent % 4] != 0) {
            remove_id(&f, NULL, window[sent % 4]);
            window[sent % 4] = 0;
        }
        err = smq_inflight_add(&f, NULL, 1, &others, 5, &slot);
        if (err == SMQTT_OK) {
            window[sent++ % 4] = slot->id;
        }
        uint32_t n = 0;
        slot = smq_inflight_next(&f, NULL);
        assert_int_equal(slot->id, first);
        assert_ptr_equal(slot->msg, &oldest);
        for (; slot != NULL && sent % 1000 < 10; slot = smq_inflight_next(&f, slot)) {
            n++;
        }
        assert_true(n == 0 || n == f.count);
    }
    /* All identifiers behind it are used up: it has to be acknowledged first. */
    assert_int_equal(err, SMQTT_E_BUSY);
    assert_true(sent > UINT16_MAX / 2);
    assert_int_equal(f.count, 4);
    remove_id(&f, NULL, first);
    assert_int_equal(smq_inflight_add(&f, NULL, 1, &others, 5, &slot), SMQTT_OK);
    uint32_t n = 0;
    for (slot = smq_inflight_next(&f, NULL); slot != NULL; slot = smq_inflight_next(&f, slot)) {
        assert_ptr_equal(slot->msg, &others);
        n++;
    }
    assert_int_equal(n, 4);
    smq_inflight_deinit(&f, NULL);
}

/* ------------------------------------------------------------ window */

static void test_window_is_the_peers(void **state)
{
    (void)state;
    struct smq_inflight f;
    smq_inflight_init(&f);
    struct smq_out_slot *slot = NULL;
    assert_int_equal(smq_inflight_add(&f, NULL, 1, NULL, 0, &slot), SMQTT_E_BUSY);
    for (uint16_t i = 0; i < 3; i++) {
        assert_int_equal(smq_inflight_add(&f, NULL, 1, NULL, 3, &slot), SMQTT_OK);
    }
    struct smq_out_slot *before = slot;
    assert_int_equal(smq_inflight_add(&f, NULL, 2, NULL, 3, &slot), SMQTT_E_BUSY);
    assert_ptr_equal(slot, before);
    /* A new connection may have a smaller one than what is in flight already. */
    assert_int_equal(smq_inflight_add(&f, NULL, 2, NULL, 1, &slot), SMQTT_E_BUSY);
    assert_int_equal(f.count, 3);
    remove_id(&f, NULL, 2);
    assert_int_equal(smq_inflight_add(&f, NULL, 2, NULL, 3, &slot), SMQTT_OK);
    assert_int_equal(slot->id, 4);
    smq_inflight_deinit(&f, NULL);
}

static void test_full_window_of_all_identifiers(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_inflight f;
    smq_inflight_init(&f);
    f.next_id = 40000;
    static bool seen[UINT16_MAX + 1];
    for (uint32_t i = 0; i < UINT16_MAX; i++) {
        uint16_t id = add(&f, &fm.mem, (uint8_t)(1 + (i & 1)), NULL)->id;
        assert_false(seen[id]);
        seen[id] = true;
    }
    assert_false(seen[0]);
    struct smq_out_slot *slot;
    assert_int_equal(smq_inflight_add(&f, &fm.mem, 1, NULL, UINT16_MAX, &slot), SMQTT_E_BUSY);
    uint16_t id = 40000;
    uint32_t n = 0;
    for (slot = smq_inflight_next(&f, NULL); slot != NULL; slot = smq_inflight_next(&f, slot)) {
        assert_int_equal(slot->id, id);
        id = id == UINT16_MAX ? 1 : (uint16_t)(id + 1);
        n++;
    }
    assert_int_equal(n, UINT16_MAX);
    for (uint32_t i = 1; i <= UINT16_MAX; i++) {
        remove_id(&f, &fm.mem, (uint16_t)i);
    }
    assert_int_equal(f.count, 0);
    assert_int_equal(fm.live, 0);
}

/* ------------------------------------------------------------ against a model */

struct model {
    struct {
        uint16_t id;
        uint8_t state;
        size_t token;
    } sent[64]; /* in order of sending */
    size_t n, next_token;
};

static char tokens[64]; /* their addresses stand for messages */

static void check(struct smq_inflight *f, const struct model *m)
{
    assert_int_equal(f->count, m->n);
    struct smq_out_slot *s = NULL;
    for (size_t i = 0; i < m->n; i++) {
        s = smq_inflight_next(f, s);
        assert_non_null(s);
        assert_int_equal(s->id, m->sent[i].id);
        assert_int_equal(s->state, m->sent[i].state);
        assert_ptr_equal(s->msg, &tokens[m->sent[i].token]);
        assert_ptr_equal(smq_inflight_find(f, s->id), s);
    }
    assert_null(smq_inflight_next(f, s));
}

static void model_remove(struct model *m, size_t at)
{
    m->n--;
    memmove(&m->sent[at], &m->sent[at + 1], (m->n - at) * sizeof m->sent[0]);
}

static void step_add(struct smq_inflight *f, const struct smqtt_mem *mem, struct model *m, uint64_t *rnd)
{
    uint8_t qos = (uint8_t)(1 + test_random_below(rnd, 2));
    uint16_t max = (uint16_t)(1 + test_random_below(rnd, SMQ_ARRAY_LEN(m->sent)));
    struct smq_out_slot *slot;
    size_t token = m->next_token++ % SMQ_ARRAY_LEN(tokens);
    smqtt_err err = smq_inflight_add(f, mem, qos, &tokens[token], max, &slot);
    if (m->n >= max) {
        assert_int_equal(err, SMQTT_E_BUSY);
        return;
    }
    assert_int_equal(err, SMQTT_OK);
    assert_int_not_equal(slot->id, 0);
    for (size_t i = 0; i < m->n; i++) {
        assert_int_not_equal(m->sent[i].id, slot->id);
    }
    m->sent[m->n].id = slot->id;
    m->sent[m->n].state = qos == 1 ? SMQ_OUT_WAIT_PUBACK : SMQ_OUT_WAIT_PUBREC;
    m->sent[m->n++].token = token;
}

/* Mostly near the oldest, so that the window moves on; sometimes anywhere. */
static void step_ack(struct smq_inflight *f, const struct smqtt_mem *mem, struct model *m, uint64_t *rnd)
{
    size_t reach = m->n < 4 || test_random_below(rnd, 4) == 0 ? m->n : 4;
    size_t at = test_random_below(rnd, reach);
    struct smq_out_slot *slot;
    uint16_t id = m->sent[at].id;
    switch (m->sent[at].state) {
    case SMQ_OUT_WAIT_PUBREC:
        assert_int_equal(smq_inflight_ack(f, PUBREC, id, 0, &slot), SMQ_OUT_SEND_PUBREL);
        m->sent[at].state = SMQ_OUT_WAIT_PUBCOMP;
        return;
    case SMQ_OUT_WAIT_PUBCOMP:
        assert_int_equal(smq_inflight_ack(f, PUBCOMP, id, 0, &slot), SMQ_OUT_DONE);
        break;
    default:
        assert_int_equal(smq_inflight_ack(f, PUBACK, id, 0, &slot), SMQ_OUT_DONE);
        break;
    }
    smq_inflight_remove(f, mem, slot);
    model_remove(m, at);
}

static void test_random_against_a_list(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    uint64_t rnd = 1;
    struct smq_inflight f;
    struct model m = {0};
    smq_inflight_init(&f);
    f.next_id = 60000;
    for (size_t i = 0; i < 40000; i++) {
        bool growing = (i / 200) % 2 == 0;
        if (m.n == 0 || test_random_below(&rnd, 8) < (growing ? 4u : 2u)) {
            step_add(&f, &fm.mem, &m, &rnd);
        } else {
            step_ack(&f, &fm.mem, &m, &rnd);
        }
        check(&f, &m);
        assert_int_equal(fm.live, m.n != 0);
    }
    while (m.n != 0) {
        step_ack(&f, &fm.mem, &m, &rnd);
    }
    check(&f, &m);
    assert_int_equal(fm.live, 0);
}

/* ------------------------------------------------------------ after a new start */

/* Another table is made of what is known, and goes on like the first. */
static void restart(struct smq_inflight *f, const struct smqtt_mem *mem, const struct model *m)
{
    smq_inflight_deinit(f, mem);
    smq_inflight_init(f);
    for (size_t i = 0; i < m->n; i++) {
        struct smq_out_slot *slot;
        enum smq_out_state as = (enum smq_out_state)m->sent[i].state;
        assert_int_equal(smq_inflight_restore(f, mem, m->sent[i].id, as, &tokens[m->sent[i].token], &slot), SMQTT_OK);
        assert_int_equal(slot->id, m->sent[i].id);
        assert_int_equal(slot->sent, 0);
    }
}

static void test_restored_at_any_time(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    uint64_t rnd = 7;
    struct smq_inflight f;
    struct model m = {0};
    smq_inflight_init(&f);
    f.next_id = 65500;
    for (size_t i = 0; i < 20000; i++) {
        if (m.n == 0 || test_random_below(&rnd, 2) != 0) {
            step_add(&f, &fm.mem, &m, &rnd);
        } else {
            step_ack(&f, &fm.mem, &m, &rnd);
        }
        if (test_random_below(&rnd, 8) == 0) {
            uint16_t next = f.next_id;
            restart(&f, &fm.mem, &m);
            check(&f, &m);
            if (m.n == 0 || test_random_below(&rnd, 4) != 0) {
                f.next_id = next; /* so that identifiers come round; else it goes on behind the newest */
            }
        }
        check(&f, &m);
    }
    smq_inflight_deinit(&f, &fm.mem);
    assert_int_equal(fm.live, 0);
}

/* Identifiers far from each other, as damaged rows may name them, need a large table but nothing else. */
static void test_restored_with_any_identifiers(void **state)
{
    (void)state;
    static const uint16_t ids[] = {65535, 1, 8, 32769, 40000, 9, 65534, 2};
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_inflight f;
    struct smq_out_slot *slot;
    smq_inflight_init(&f);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(ids); i++) {
        assert_int_equal(smq_inflight_restore(&f, &fm.mem, ids[i], SMQ_OUT_WAIT_PUBACK, NULL, &slot), SMQTT_OK);
        assert_int_equal(smq_inflight_restore(&f, &fm.mem, ids[i], SMQ_OUT_WAIT_PUBACK, NULL, &slot), SMQTT_E_USAGE);
    }
    assert_int_equal(smq_inflight_restore(&f, &fm.mem, 0, SMQ_OUT_WAIT_PUBACK, NULL, &slot), SMQTT_E_USAGE);
    size_t n = 0;
    for (slot = smq_inflight_next(&f, NULL); slot != NULL; slot = smq_inflight_next(&f, slot)) {
        n++;
    }
    assert_int_equal(n, SMQ_ARRAY_LEN(ids));
    assert_int_equal(smq_inflight_next(&f, NULL)->id, 65535);
    assert_int_equal(smq_inflight_add(&f, &fm.mem, 1, NULL, UINT16_MAX, &slot), SMQTT_E_BUSY); /* it came round */
    remove_id(&f, &fm.mem, 65535);
    assert_int_equal(smq_inflight_next(&f, NULL)->id, 1);
    for (size_t i = 1; i < SMQ_ARRAY_LEN(ids); i++) {
        remove_id(&f, &fm.mem, ids[i]);
    }
    assert_int_equal(fm.live, 0);
    failing_mem_arm(&fm, 1);
    assert_int_equal(smq_inflight_restore(&f, &fm.mem, 5, SMQ_OUT_WAIT_PUBACK, NULL, &slot), SMQTT_E_NOMEM);
    assert_true(f.count == 0 && fm.live == 0);
}

/* ------------------------------------------------------------ memory */

static void test_memory_goes_back(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_inflight f;
    smq_inflight_init(&f);
    for (uint32_t i = 0; i < 1000; i++) {
        add(&f, &fm.mem, 1, NULL);
    }
    assert_int_equal(fm.live, 1);
    for (uint16_t id = 1000; id > 0; id--) {
        remove_id(&f, &fm.mem, id);
    }
    assert_int_equal(fm.live, 0);
    assert_int_equal(add(&f, &fm.mem, 1, NULL)->id, 1001);
    smq_inflight_deinit(&f, &fm.mem);
    assert_int_equal(fm.live, 0);
    smq_inflight_deinit(&f, &fm.mem);
}

static void test_without_memory_nothing_changes(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_inflight f;
    smq_inflight_init(&f);
    struct smq_out_slot *slot = NULL;
    unsigned failures = 0;
    for (uint16_t i = 0; i < 100; i++) {
        failing_mem_arm(&fm, 1);
        smqtt_err err = smq_inflight_add(&f, &fm.mem, 1, NULL, ANY_MAX, &slot);
        bool failed = failing_mem_has_failed(&fm);
        failing_mem_arm(&fm, 0);
        assert_int_equal(err, failed ? SMQTT_E_NOMEM : SMQTT_OK);
        if (failed) {
            failures++;
            assert_int_equal(f.count, i);
            slot = add(&f, &fm.mem, 1, NULL);
        }
        assert_int_equal(slot->id, i + 1);
    }
    assert_true(failures >= 3); /* each time the table grows */
    uint16_t id = 0;
    for (slot = smq_inflight_next(&f, NULL); slot != NULL; slot = smq_inflight_next(&f, slot)) {
        assert_int_equal(slot->id, ++id);
    }
    assert_int_equal(id, 100);
    smq_inflight_deinit(&f, &fm.mem);
    assert_int_equal(fm.live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ack_does_what_the_table_says),
        cmocka_unit_test(test_ack_of_nothing_is_unknown),
        cmocka_unit_test(test_slots_begin_clean),
        cmocka_unit_test(test_identifiers_wrap_around),
        cmocka_unit_test(test_order_holds_across_the_wrap),
        cmocka_unit_test(test_one_that_stays_is_not_overtaken),
        cmocka_unit_test(test_window_is_the_peers),
        cmocka_unit_test(test_full_window_of_all_identifiers),
        cmocka_unit_test(test_random_against_a_list),
        cmocka_unit_test(test_restored_at_any_time),
        cmocka_unit_test(test_restored_with_any_identifiers),
        cmocka_unit_test(test_memory_goes_back),
        cmocka_unit_test(test_without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
