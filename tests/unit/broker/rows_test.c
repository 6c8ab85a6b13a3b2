/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the store: what is written is read again, keys sort as docs/store.md says, and no damage harms. */
#include <stdlib.h>

#include "../test.h"

#include "broker/rows.h"

enum { ROUNDS = 3000, ROOM = 4096, DOWN_MS = 5000 };

static const struct smqtt_now before = {.wall = UINT64_C(1700000000000), .mono = 77000};
static uint64_t rnd = 5;
static uint8_t room[ROOM];

static size_t chance(size_t below)
{
    return test_random_below(&rnd, below);
}

/* Of `strings` that a row is made of; they live until the next row. */
static uint8_t strings[8][300];

static smq_span some(size_t at, size_t least, size_t most)
{
    size_t len = least + chance(most - least + 1);
    for (size_t i = 0; i < len; i++) {
        strings[at][i] = (uint8_t)test_random(&rnd);
    }
    return len != 0 ? smq_span_of(strings[at], len) : (smq_span){NULL, 0};
}

/* In a block of its own, so that what is read behind its end is seen. */
static smq_span exactly(smq_span s, size_t len)
{
    uint8_t *at = malloc(len != 0 ? len : 1);
    assert_non_null(at);
    memcpy(at, s.data, len);
    return smq_span_of(at, len);
}

/* ------------------------------------------------------------ keys */

static smq_span key_of(const struct smq_key_parts *p, uint8_t *buf, size_t cap)
{
    struct smq_wr wr = smq_wr_of(buf, cap);
    struct smq_key key;
    switch (p->table) {
    case SMQ_TABLE_PASSED:
        key = smq_key_passed(p->to, p->from);
        break;
    case SMQ_TABLE_BODY:
        key = smq_key_body(p->n);
        break;
    case SMQ_TABLE_SESSION:
        if (p->kind == SMQ_ROW_SUB) {
            smq_key_write_sub(&wr, p->sid, p->name);
            return smq_wr_span(&wr);
        }
        key = p->kind == SMQ_ROW_QUEUE                          ? smq_key_queue(p->sid, p->n)
              : p->kind == SMQ_ROW_OUT || p->kind == SMQ_ROW_IN ? smq_key_packet(p->sid, p->kind, p->id)
                                                                : smq_key_session_row(p->sid, p->kind);
        break;
    case SMQ_TABLE_META:
    case SMQ_TABLE_RETAINED:
    case SMQ_TABLE_IDENTITY:
        smq_key_write_named(&wr, p->table, p->name);
        return smq_wr_span(&wr);
    }
    memcpy(buf, key.bytes, key.len);
    return smq_span_of(buf, key.len);
}

/* Numbers on both sides of every byte's border. */
static uint64_t number(void)
{
    return test_random(&rnd) >> (8 * chance(8));
}

static struct smq_key_parts some_parts(size_t at)
{
    struct smq_key_parts p = {.table = (enum smq_table)(SMQ_TABLE_META + chance(SMQ_TABLE_IDENTITY))};
    if (p.table == SMQ_TABLE_PASSED) {
        p.to = (unsigned)chance(64);
        p.from = (unsigned)chance(64);
    } else if (p.table == SMQ_TABLE_BODY) {
        p.n = number();
    } else if (p.table == SMQ_TABLE_SESSION) {
        p.sid = number();
        p.kind = (enum smq_session_row)(SMQ_ROW_HEAD + chance(SMQ_ROW_QUEUE));
        p.n = p.kind == SMQ_ROW_QUEUE ? number() : 0;
        p.id = (uint16_t)(p.kind == SMQ_ROW_OUT || p.kind == SMQ_ROW_IN ? 1 + chance(65535) : 0);
        p.name = p.kind == SMQ_ROW_SUB ? some(at, 1, 40) : p.name;
    } else {
        p.name = some(at, 1, 40);
    }
    return p;
}

static void same_parts(const struct smq_key_parts *a, const struct smq_key_parts *b)
{
    assert_int_equal(a->table, b->table);
    assert_int_equal(a->kind, b->kind);
    assert_true(a->sid == b->sid && a->n == b->n && a->id == b->id && a->to == b->to && a->from == b->from);
    assert_true(smq_span_equal(a->name, b->name));
}

static void keys_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct smq_key_parts p = some_parts(0), read;
        smq_span key = key_of(&p, room, sizeof room);
        assert_true(key.len != 0 && key.len <= SMQ_KEY_MAX);
        assert_true(smq_key_read(key, &read));
        same_parts(&p, &read);
        bool fixed = p.name.len == 0;
        assert_true(!fixed || key.len <= SMQ_KEY_FIXED);
        for (size_t len = 0; len < key.len; len++) {
            smq_span cut = exactly(key, len);
            assert_true(!smq_key_read(cut, &read) || !fixed); /* one with a string has a shorter string */
            free((void *)(uintptr_t)cut.data);
        }
        room[key.len] = 0;
        assert_true(!fixed || !smq_key_read(smq_span_of(room, key.len + 1), &read));
    }
}

static void keys_of_nothing_are_refused(void **state)
{
    (void)state;
    static const uint8_t bad[][12] = {
        {0},
        {SMQ_TABLE_IDENTITY + 1, 1},
        {SMQ_TABLE_SESSION, 0, 0, 0, 0, 0, 0, 0, 1, 0},
        {SMQ_TABLE_SESSION, 0, 0, 0, 0, 0, 0, 0, 1, SMQ_ROW_QUEUE + 1},
        {SMQ_TABLE_SESSION, 0, 0, 0, 0, 0, 0, 0, 1, SMQ_ROW_OUT, 0, 0}, /* identifier 0 */
    };
    static const size_t lens[] = {1, 2, 10, 10, 12};
    struct smq_key_parts read;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(bad); i++) {
        assert_false(smq_key_read(smq_span_of(bad[i], lens[i]), &read));
    }
}

static int order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int order_of_names(smq_span a, smq_span b)
{
    int by = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return by != 0 ? by : order(a.len, b.len);
}

/* As docs/store.md says: by table; within a session by kind, then by number or name. */
static int order_of_parts(const struct smq_key_parts *a, const struct smq_key_parts *b)
{
    const uint64_t fields[][2] = {{a->table, b->table}, {a->sid, b->sid}, {a->kind, b->kind}, {a->n, b->n},
                                  {a->id, b->id},       {a->to, b->to},   {a->from, b->from}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(fields); i++) {
        int by = order(fields[i][0], fields[i][1]);
        if (by != 0) {
            return by;
        }
    }
    return a->name.len != 0 && b->name.len != 0 ? order_of_names(a->name, b->name) : 0;
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void keys_sort(void **state)
{
    (void)state;
    uint8_t one[400], other[400];
    for (size_t i = 0; i < ROUNDS * 4; i++) {
        struct smq_key_parts a = some_parts(0), b = some_parts(1);
        if (chance(2) != 0 && a.table == SMQ_TABLE_SESSION && b.table == SMQ_TABLE_SESSION) {
            b.sid = a.sid;
        }
        smq_span x = key_of(&a, one, sizeof one), y = key_of(&b, other, sizeof other);
        assert_int_equal(sign(order_of_names(x, y)), sign(order_of_parts(&a, &b)));
    }
}

static void a_session_is_one_prefix(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct smq_key_parts p = some_parts(0);
        struct smq_key prefix = smq_key_session(p.sid), next = smq_key_session(p.sid + 1);
        smq_span key = key_of(&p, room, sizeof room);
        bool is = p.table == SMQ_TABLE_SESSION;
        assert_int_equal(smq_span_starts(key, smq_key_span(&prefix)), is);
        assert_false(smq_span_starts(key, smq_key_span(&next)));
    }
}

/* ------------------------------------------------------------ values */

static struct smq_content some_content(size_t at)
{
    return (struct smq_content){.topic = some(at, 1, 60),
                                .props = some(at + 1, 0, 30),
                                .source = some(at + 2, 0, 30),
                                .payload = some(at + 3, 0, 300),
                                .expires = chance(2) != 0 ? SMQTT_NEVER : before.mono + chance(100000),
                                .version = number(),
                                .qos = (uint8_t)chance(3),
                                .retain = chance(2) != 0,
                                .has_text = chance(2) != 0};
}

/* What is left of it after the broker was down: counted on, but never before now. */
static smqtt_ms counted_on(smqtt_ms expires, struct smqtt_now now)
{
    smqtt_ms down = now.wall - before.wall;
    if (expires == SMQTT_NEVER) {
        return SMQTT_NEVER;
    }
    return expires - before.mono > down ? now.mono + (expires - before.mono - down) : now.mono;
}

static struct smqtt_now later(void)
{
    return (struct smqtt_now){.wall = before.wall + chance(DOWN_MS), .mono = chance(1000)};
}

static void same_content(const struct smq_content *a, const struct smq_content *b, struct smqtt_now now)
{
    assert_true(smq_span_equal(a->topic, b->topic) && smq_span_equal(a->props, b->props));
    assert_true(smq_span_equal(a->source, b->source) && smq_span_equal(a->payload, b->payload));
    assert_true(a->version == b->version && a->qos == b->qos && a->retain == b->retain && a->has_text == b->has_text);
    assert_true(b->expires == counted_on(a->expires, now));
}

/* The row as it is written, measured before. */
#define WRITTEN(write, ...)                   \
    ({                                        \
        struct smq_wr wr_ = smq_wr_measure(); \
        write(&wr_, __VA_ARGS__);             \
        size_t len_ = wr_.len;                \
        assert_true(len_ <= sizeof room);     \
        wr_ = smq_wr_of(room, len_);          \
        write(&wr_, __VA_ARGS__);             \
        assert_true(smq_wr_ok(&wr_));         \
        exactly(smq_wr_span(&wr_), len_);     \
    })

static void let_go(smq_span s)
{
    free((void *)(uintptr_t)s.data);
}

/* What a reader answers to every beginning of a row, and to damage, is its own; it must not read elsewhere. */
typedef bool (*reader)(smq_span value);

static void is_sound_when_damaged(smq_span value, reader read, bool last_is_open)
{
    for (size_t len = 0; len < value.len; len++) {
        smq_span cut = exactly(value, len);
        bool ok = read(cut);
        assert_true(!ok || last_is_open);
        let_go(cut);
    }
    for (size_t i = 0; i < 20; i++) {
        smq_span bad = exactly(value, value.len);
        ((uint8_t *)(uintptr_t)bad.data)[chance(value.len)] ^= (uint8_t)(1u << chance(8));
        (void)read(bad);
        let_go(bad);
    }
}

/* Every byte that a reader shows must stand in what it was given. */
static volatile unsigned touched;
static bool touch(smq_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        touched += s.data[i];
    }
    return true;
}

static void touch_content(const struct smq_content *c)
{
    (void)(touch(c->topic) && touch(c->props) && touch(c->source) && touch(c->payload));
    assert_true(c->topic.len != 0 && c->qos <= 2);
}

static bool read_head(smq_span v)
{
    struct smq_row_head row;
    return smq_row_read_head(v, &row) && touch(row.client_id) && touch(row.user);
}

static bool read_will(smq_span v)
{
    struct smq_row_will row;
    bool ok = smq_row_read_will(v, before, &row);
    if (ok) {
        touch_content(&row.content);
    }
    return ok;
}

static bool read_sub(smq_span v)
{
    struct smq_row_sub row;
    return smq_row_read_sub(v, &row);
}

static bool read_queue(smq_span v)
{
    struct smq_row_queue row;
    bool ok = smq_row_read_queue(v, before, &row);
    for (uint32_t i = 0; ok && i < row.n_ids; i++) {
        (void)smq_row_id(&row, i);
    }
    if (ok && row.mid == 0) {
        touch_content(&row.content);
    }
    return ok && touch(row.share);
}

static bool read_out(smq_span v)
{
    struct smq_row_out row;
    return smq_row_read_out(v, &row);
}

static bool read_body(smq_span v)
{
    struct smq_row_body row;
    bool ok = smq_row_read_body(v, before, &row);
    if (ok) {
        touch_content(&row.content);
    }
    return ok && touch(row.group);
}

static bool read_workers(smq_span v)
{
    struct smq_row_workers row;
    return smq_row_read_workers(v, &row);
}

static bool read_number(smq_span v)
{
    uint64_t n;
    return smq_row_read_number(v, &n);
}

static void heads_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDS / 10; i++) {
        struct smq_row_head row = {.client_id = some(0, 1, 40),
                                   .has_user = chance(2) != 0,
                                   .expiry_s = (uint32_t)number(),
                                   .listener_id = (uint32_t)number(),
                                   .away_since = number()};
        row.user = row.has_user ? some(1, 0, 40) : row.user;
        struct smq_row_head read;
        smq_span value = WRITTEN(smq_row_write_head, &row);
        assert_true(smq_row_read_head(value, &read));
        assert_true(smq_span_equal(row.client_id, read.client_id) && smq_span_equal(row.user, read.user));
        assert_true(row.has_user == read.has_user && row.expiry_s == read.expiry_s);
        assert_true(row.listener_id == read.listener_id && row.away_since == read.away_since);
        is_sound_when_damaged(value, read_head, false);
        let_go(value);
    }
}

static void wills_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDS / 10; i++) {
        struct smq_row_will row = {(uint32_t)number(), (uint32_t)number(), some_content(0)}, read;
        struct smqtt_now now = later();
        smq_span value = WRITTEN(smq_row_write_will, &row, before);
        assert_true(smq_row_read_will(value, now, &read));
        assert_true(row.delay_s == read.delay_s && row.expiry_s == read.expiry_s);
        same_content(&row.content, &read.content, now);
        is_sound_when_damaged(value, read_will, true);
        let_go(value);
    }
}

static void queue_rows_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDS / 10; i++) {
        uint32_t ids[9];
        struct smq_row_queue row = {.mid = chance(2) != 0 ? 1 + number() : 0,
                                    .size = (uint32_t)number(),
                                    .expires = chance(2) != 0 ? SMQTT_NEVER : before.mono + chance(10000),
                                    .packet = (uint16_t)number(),
                                    .qos = (uint8_t)chance(3),
                                    .retain = chance(2) != 0,
                                    .share = some(6, 0, 30),
                                    .n_ids = (uint32_t)chance(SMQ_ARRAY_LEN(ids)),
                                    .ids = ids,
                                    .content = some_content(0)};
        for (size_t k = 0; k < SMQ_ARRAY_LEN(ids); k++) {
            ids[k] = (uint32_t)number();
        }
        struct smq_row_queue read;
        struct smqtt_now now = later();
        smq_span value = WRITTEN(smq_row_write_queue, &row, before);
        assert_true(smq_row_read_queue(value, now, &read));
        assert_true(row.mid == read.mid && row.size == read.size && row.packet == read.packet && row.qos == read.qos);
        assert_true(row.retain == read.retain && smq_span_equal(row.share, read.share) && row.n_ids == read.n_ids);
        assert_true(read.expires == counted_on(row.expires, now));
        for (uint32_t k = 0; k < row.n_ids; k++) {
            assert_int_equal(smq_row_id(&read, k), ids[k]);
        }
        if (row.mid == 0) {
            same_content(&row.content, &read.content, now);
        }
        is_sound_when_damaged(value, read_queue, row.mid == 0);
        let_go(value);
    }
}

static void bodies_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDS / 10; i++) {
        struct smq_row_body row = {number(), some(6, 0, 40), some_content(0)}, read;
        struct smqtt_now now = later();
        smq_span value = WRITTEN(smq_row_write_body, &row, before);
        assert_true(smq_row_read_body(value, now, &read));
        assert_true(row.peers == read.peers && smq_span_equal(row.group, read.group));
        same_content(&row.content, &read.content, now);
        is_sound_when_damaged(value, read_body, true);
        let_go(value);
    }
}

static void small_rows_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDS / 10; i++) {
        struct smq_row_sub sub = {(uint8_t)number(), (uint32_t)number()}, sub2;
        smq_span value = WRITTEN(smq_row_write_sub, &sub);
        assert_true(smq_row_read_sub(value, &sub2) && sub.options == sub2.options && sub.id == sub2.id);
        is_sound_when_damaged(value, read_sub, false);
        let_go(value);
        struct smq_row_out out = {number(), (uint8_t)number()}, out2;
        value = WRITTEN(smq_row_write_out, &out);
        assert_true(smq_row_read_out(value, &out2) && out.n == out2.n && out.state == out2.state);
        is_sound_when_damaged(value, read_out, false);
        let_go(value);
        uint64_t n = number(), n2;
        value = WRITTEN(smq_row_write_number, n);
        assert_true(smq_row_read_number(value, &n2) && n == n2);
        is_sound_when_damaged(value, read_number, false);
        let_go(value);
        struct smq_row_workers workers = {(uint32_t)number(), (uint32_t)number(), {0}}, workers2;
        memcpy(workers.hash_key, some(0, 16, 16).data, 16);
        value = WRITTEN(smq_row_write_workers, &workers);
        assert_true(smq_row_read_workers(value, &workers2));
        assert_true(workers.format == workers2.format && workers.count == workers2.count);
        assert_memory_equal(workers.hash_key, workers2.hash_key, 16);
        is_sound_when_damaged(value, read_workers, false);
        let_go(value);
    }
}

/* ------------------------------------------------------------ time */

static smqtt_ms through_a_row(smqtt_ms expires, struct smqtt_now then, struct smqtt_now now)
{
    struct smq_content c = {.topic = smq_span_str("t"), .expires = expires}, read;
    smq_span value = WRITTEN(smq_row_write_content, &c, then);
    struct smq_rd rd = smq_rd_of(value);
    assert_true(smq_row_read_content(&rd, now, &read));
    let_go(value);
    return read.expires;
}

static void time_counts_while_the_broker_is_down(void **state)
{
    (void)state;
    struct smqtt_now now = {.wall = before.wall + 2000, .mono = 10};
    assert_true(through_a_row(before.mono + 5000, before, now) == 10 + 3000);
    assert_true(through_a_row(before.mono + 2001, before, now) == 10 + 1);
    assert_true(through_a_row(before.mono + 2000, before, now) == 10); /* over */
    assert_true(through_a_row(before.mono + 1, before, now) == 10);
    assert_true(through_a_row(before.mono - 1000, before, now) == 10); /* it was over when it was written */
    assert_true(through_a_row(SMQTT_NEVER, before, now) == SMQTT_NEVER);
    struct smqtt_now back = {.wall = before.wall - 1000, .mono = 10}; /* the clock was set back */
    assert_true(through_a_row(before.mono + 5000, before, back) == 10 + 6000);
    struct smqtt_now young = {.wall = 5, .mono = 100}; /* a machine without a clock */
    assert_true(through_a_row(50, young, now) == 10);
    assert_true(through_a_row(95, young, now) == 10);
    struct smqtt_now first = {.wall = 0, .mono = 0};
    assert_true(through_a_row(UINT64_MAX - 1, first, (struct smqtt_now){.wall = 0, .mono = 5}) == SMQTT_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_back),
        cmocka_unit_test(keys_of_nothing_are_refused),
        cmocka_unit_test(keys_sort),
        cmocka_unit_test(a_session_is_one_prefix),
        cmocka_unit_test(heads_come_back),
        cmocka_unit_test(wills_come_back),
        cmocka_unit_test(queue_rows_come_back),
        cmocka_unit_test(bodies_come_back),
        cmocka_unit_test(small_rows_come_back),
        cmocka_unit_test(time_counts_while_the_broker_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
