/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, generations and storage of an open session (protocol.md 6.3, 7). */
#include "detect/channel.h"

#include <stdlib.h>

#include "../failing_mem.h"
#include "kit.h"

enum { DISK = 4096 };

/** A store of one value; `fate` says what the next save does. */
enum fate { SAVES, FAILS, SAVES_BUT_FAILS };
struct disk {
    uint8_t bytes[DISK];
    size_t len;
    enum fate fate;
    size_t saves;
};

static smqtt_err disk_save(void *ctx, struct smq_channel *s)
{
    struct disk *disk = ctx;
    disk->saves++;
    if (disk->fate == FAILS) {
        return SMQTT_E_IO;
    }
    struct smq_wr wr = smq_wr_of(disk->bytes, sizeof(disk->bytes));
    smq_channel_write(s, &wr);
    assert_true(smq_wr_ok(&wr));
    disk->len = wr.len;
    return disk->fate == SAVES ? SMQTT_OK : SMQTT_E_IO;
}

static struct smq_channel *disk_load(const struct disk *disk, enum smq_side side, smqtt_ms mono)
{
    struct smq_channel *s = NULL;
    struct smq_rd rd = smq_rd_of(smq_span_of(disk->bytes, disk->len));
    assert_int_equal(smq_channel_read(NULL, side, &rd, mono, &s), SMQTT_OK);
    assert_true(smq_rd_done(&rd));
    return s;
}

static struct kit kit;

static int setup(void **state)
{
    (void)state;
    kit_run(&kit, 1, KIT_ANON, 5);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_deinit(&kit);
    return 0;
}

static uint64_t number(struct smq_channel *s, const struct smq_saver *saver, bool *renewed)
{
    uint64_t seq = UINT64_MAX;
    *renewed = false;
    assert_int_equal(smq_channel_number(s, saver, &seq, renewed), SMQTT_OK);
    return seq;
}

static void test_blocks(void **state)
{
    (void)state;
    struct disk disk = {.fate = SAVES};
    const struct smq_saver saver = {disk_save, &disk};
    struct smq_channel *s = kit_session(&kit, true, 64, 1U << 20);
    bool renewed;
    for (uint64_t i = 0; i < 3000; i++) {
        assert_int_equal(number(s, &saver, &renewed), i);
        assert_false(renewed);
        assert_int_equal(disk.saves, i / 1024 + 1);
    }
    smq_channel_free(s);
    s = disk_load(&disk, SMQ_SIDE_CLIENT, 0);
    assert_int_equal(number(s, &saver, &renewed), 3072); /* the first that no block held */
    smq_channel_free(s);
}

static void test_failed_save(void **state)
{
    (void)state;
    struct disk disk = {.fate = FAILS};
    const struct smq_saver saver = {disk_save, &disk};
    struct smq_channel *s = kit_session(&kit, true, 64, 2);
    uint64_t seq = 77;
    bool renewed = false;
    assert_int_equal(smq_channel_number(s, &saver, &seq, &renewed), SMQTT_E_IO);
    assert_int_equal(seq, 77);
    disk.fate = SAVES;
    assert_int_equal(number(s, &saver, &renewed), 0);
    assert_int_equal(number(s, &saver, &renewed), 1);
    struct smq_gen before = s->send;
    disk.fate = FAILS;
    assert_int_equal(smq_channel_number(s, &saver, &seq, &renewed), SMQTT_E_IO);
    assert_memory_equal(before.secret, s->send.secret, 32);
    assert_memory_equal(before.kid, s->send.kid, 4);
    assert_int_equal(s->send_generation, 0);
    disk.fate = SAVES;
    assert_int_equal(number(s, &saver, &renewed), 0);
    assert_true(renewed);
    assert_memory_not_equal(before.kid, s->send.kid, 4);
    smq_channel_free(s);
}

static void test_renewal_is_agreed(void **state)
{
    (void)state;
    const struct smq_saver none = {NULL, NULL};
    struct smq_channel *c = kit_session(&kit, true, 64, 3);
    struct smq_channel *s = kit_session(&kit, false, 64, 3);
    for (unsigned i = 0; i < 30; i++) {
        bool renewed;
        bool moved;
        uint64_t missing = 9;
        uint64_t seq = number(c, &none, &renewed);
        assert_int_equal(seq, i % 3);
        assert_int_equal(renewed, i != 0 && i % 3 == 0);
        int index = smq_channel_find(s, c->send.kid, 0);
        assert_true(index >= 0);
        assert_memory_equal(s->recv[index].secret, c->send.secret, 32);
        assert_int_equal(smq_window_judge(&s->windows[index], seq), SMQ_WINDOW_NEW);
        assert_int_equal(smq_channel_commit(s, index, seq, 0, &moved, &missing), SMQTT_OK);
        assert_int_equal(moved, renewed);
        assert_int_equal(missing, 0);
        assert_int_equal(smq_window_judge(&s->windows[index], seq), SMQ_WINDOW_SEEN);
    }
    assert_int_equal(s->recv_generation, 9);
    smq_channel_free(c);
    smq_channel_free(s);
}

static void test_grace(void **state)
{
    (void)state;
    struct smq_channel *s = kit_session(&kit, false, 64, 3);
    uint8_t kids[4][SMQ_KID_LEN];
    bool moved;
    uint64_t missing;
    memcpy(kids[0], s->recv[0].kid, SMQ_KID_LEN);
    assert_int_equal(smq_channel_find(s, (const uint8_t[]){0, 0, 0, 0}, 0), -1);
    for (unsigned g = 0; g < 3; g++) {
        smqtt_ms now = 1000000 * (g + 1);
        int ahead = smq_channel_ahead(s);
        memcpy(kids[g + 1], s->recv[ahead].kid, SMQ_KID_LEN);
        assert_int_equal(smq_channel_find(s, kids[g + 1], now), ahead);
        assert_int_equal(smq_channel_commit(s, ahead, 4, now, &moved, &missing), SMQTT_OK);
        assert_true(moved);
        assert_int_equal(missing, 4);
        assert_int_equal(smq_channel_find(s, kids[g + 1], now), ahead);
        assert_true(smq_channel_find(s, kids[g], now) >= 0);
        assert_true(smq_channel_find(s, kids[g], now + 59999) >= 0);
        assert_int_equal(smq_channel_find(s, kids[g], now + 60000), -1);
        assert_true(g == 0 || smq_channel_find(s, kids[g - 1], now) == -1);
    }
    smq_channel_free(s);
}

/** A session that was stored and read again. */
static struct smq_channel *stored_and_read(struct smq_channel *s, smqtt_ms mono, bool old_form)
{
    struct disk disk = {.fate = SAVES};
    assert_int_equal(disk_save(&disk, s), SMQTT_OK);
    if (old_form) { /* that of before had no mark for it */
        size_t prev = SMQ_HASH_LEN + 1 + 8 + 8 * SMQ_WINDOW_WORDS(64);
        assert_int_equal(disk.bytes[disk.len - prev - 1], 1);
        memmove(disk.bytes + disk.len - prev - 1, disk.bytes + disk.len - prev, prev);
        disk.len--;
        disk.bytes[0] = 1;
    }
    return disk_load(&disk, SMQ_SIDE_SERVER, mono);
}

/** What nothing is taken under any more is neither in memory nor in the store. */
static void test_grace_is_over(void **state)
{
    (void)state;
    static const struct smq_gen none;
    struct smq_channel *s = kit_session(&kit, false, 64, 3);
    uint8_t kid[SMQ_KID_LEN];
    bool moved;
    uint64_t missing;
    memcpy(kid, s->recv[0].kid, SMQ_KID_LEN);
    assert_int_equal(smq_channel_commit(s, 1, 0, 1000, &moved, &missing), SMQTT_OK);
    assert_int_equal(smq_channel_commit(s, 1, 1, 60999, &moved, &missing), SMQTT_OK);
    for (int old_form = 0; old_form <= 1; old_form++) {
        struct smq_channel *back = stored_and_read(s, 60999, old_form != 0);
        assert_int_equal(smq_channel_find(back, kid, 61000), 0);
        smq_channel_free(back);
    }
    assert_int_equal(smq_channel_commit(s, 1, 2, 61000, &moved, &missing), SMQTT_OK);
    assert_memory_equal(&s->recv[0], &none, sizeof(none));
    struct smq_channel *back = stored_and_read(s, 61000, false);
    assert_int_equal(smq_channel_find(back, kid, 61000), -1);
    assert_int_equal(smq_channel_find(back, (const uint8_t[]){0, 0, 0, 0}, 61000), -1);
    assert_memory_equal(&back->recv[0], &none, sizeof(none));
    assert_int_equal(smq_channel_commit(back, 2, 0, 62000, &moved, &missing), SMQTT_OK); /* and it goes on */
    assert_int_equal(back->recv_generation, 2);
    smq_channel_free(back);
    smq_channel_free(s);
}

static void test_roll_back(void **state)
{
    (void)state;
    struct smq_channel *s = kit_session(&kit, false, 64, 3);
    bool moved;
    uint64_t missing;
    assert_int_equal(smq_channel_commit(s, 0, 1, 0, &moved, &missing), SMQTT_OK);
    assert_false(moved);
    smq_channel_mark_saved(s);
    assert_int_equal(smq_channel_commit(s, 0, 2, 0, &moved, &missing), SMQTT_OK);
    smq_channel_roll_back(s);
    assert_int_equal(smq_window_judge(&s->windows[0], 1), SMQ_WINDOW_SEEN);
    assert_int_equal(smq_window_judge(&s->windows[0], 2), SMQ_WINDOW_NEW);
    smq_channel_free(s);
}

static void test_storage(void **state)
{
    (void)state;
    for (int generations = 0; generations < 5; generations++) {
        struct disk disk = {.fate = SAVES};
        const struct smq_saver saver = {disk_save, &disk};
        struct smq_channel *s = kit_session(&kit, false, 100, 3);
        bool moved;
        uint64_t missing;
        bool renewed;
        for (int g = 0; g < generations; g++) {
            assert_int_equal(smq_channel_commit(s, smq_channel_ahead(s), 5, 0, &moved, &missing), SMQTT_OK);
        }
        (void)number(s, &saver, &renewed);
        struct smq_channel *back = disk_load(&disk, SMQ_SIDE_SERVER, 500);
        assert_memory_equal(back->cid, s->cid, SMQ_CID_LEN);
        assert_memory_equal(back->session_id, s->session_id, SMQ_SESSION_ID_LEN);
        assert_memory_equal(back->ctx, s->ctx, SMQ_HASH_LEN);
        assert_memory_equal(back->th3, s->th3, SMQ_HASH_LEN);
        assert_memory_equal(&back->close, &s->close, sizeof(s->close));
        assert_memory_equal(back->send.secret, s->send.secret, SMQ_HASH_LEN);
        assert_int_equal(back->recv_generation, generations);
        assert_int_equal(back->next, 1024);
        for (unsigned i = 0; i < SMQ_GENERATIONS; i++) {
            bool there = generations != 0 || i != 2;
            assert_int_equal(smq_channel_find(back, s->recv[i].kid, 600) >= 0, there);
            for (uint64_t seq = 0; seq < 12 && there; seq++) {
                int at = smq_channel_find(back, s->recv[i].kid, 600);
                assert_int_equal(smq_window_judge(&back->windows[at], seq), smq_window_judge(&s->windows[i], seq));
            }
        }
        smq_channel_free(back);
        for (size_t len = 0; len < disk.len; len++) {
            uint8_t *cut = malloc(len + (len == 0));
            assert_non_null(cut);
            memcpy(cut, disk.bytes, len);
            struct smq_rd rd = smq_rd_of(smq_span_of(cut, len));
            back = NULL;
            assert_int_equal(smq_channel_read(NULL, SMQ_SIDE_SERVER, &rd, 0, &back), SMQTT_E_MALFORMED);
            assert_null(back);
            free(cut);
        }
        struct smq_rd rd = smq_rd_of(smq_span_of(disk.bytes, disk.len));
        assert_int_equal(smq_channel_read(NULL, SMQ_SIDE_CLIENT, &rd, 0, &back), SMQTT_E_MALFORMED);
        smq_channel_free(s);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct smq_channel *s = NULL;
    failing_mem_arm(&fm, 1);
    assert_int_equal(smq_channel_new(&fm.mem, SMQ_SIDE_CLIENT, kit.suite, &kit.got_reply, kit.cid, &kit.c3, &s),
                     SMQTT_E_NOMEM);
    assert_null(s);
    assert_int_equal(fm.live, 0);
    smq_channel_free(NULL);
}

/* ---------------------------------------------------------------- power cuts */

enum { CUTS = 10000, REKEY = 2500, KIDS = 32768 };

static uint32_t kids[KIDS];
static uint64_t last_seq[KIDS];
static size_t n_kids;

/** A number is sealed with: it must be over every one before under this kid, and an old kid must not come back. */
static void use(const struct smq_channel *s, uint64_t seq)
{
    uint32_t kid = smq_kid_u32(s->send.kid);
    if (n_kids != 0 && kids[n_kids - 1] == kid) {
        assert_true(seq > last_seq[n_kids - 1]);
        last_seq[n_kids - 1] = seq;
        return;
    }
    for (size_t i = 0; i < n_kids; i++) {
        assert_int_not_equal(kids[i], kid);
    }
    assert_true(n_kids < KIDS);
    kids[n_kids] = kid;
    last_seq[n_kids++] = seq;
}

static void test_power_cuts(void **state)
{
    (void)state;
    static struct disk disk;
    const struct smq_saver saver = {disk_save, &disk};
    uint64_t seed = 2024;
    struct smq_channel *s = kit_session(&kit, true, 64, REKEY);
    n_kids = 0;
    disk = (struct disk){.fate = SAVES};
    assert_int_equal(disk_save(&disk, s), SMQTT_OK);
    for (size_t cut = 0; cut < CUTS; cut++) {
        size_t ops = test_random_below(&seed, cut % 10 == 0 ? 4000 : 60);
        for (size_t i = 0; i < ops; i++) {
            uint64_t seq;
            bool renewed;
            size_t luck = test_random_below(&seed, 50);
            disk.fate = luck == 0 ? FAILS : luck == 1 ? SAVES_BUT_FAILS : SAVES;
            if (smq_channel_number(s, &saver, &seq, &renewed) == SMQTT_OK) {
                use(s, seq);
            }
        }
        smq_channel_free(s);
        s = disk_load(&disk, SMQ_SIDE_CLIENT, 0);
    }
    assert_true(n_kids > 500);
    smq_channel_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_failed_save),
        cmocka_unit_test(test_renewal_is_agreed),
        cmocka_unit_test(test_grace),
        cmocka_unit_test(test_roll_back),
        cmocka_unit_test(test_storage),
        cmocka_unit_test(test_grace_is_over),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_power_cuts),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
