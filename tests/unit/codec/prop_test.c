/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of prop.def in every place, and what sets of properties have to keep to. The facts of table 2-4 of the
 * standard stand here a second time, written down apart from prop.def. */
#include <stdlib.h>
#include <time.h>

#include "../test.h"
#include "codec/prop.h"
#include "codec/varint.h"

enum { N_PLACES = 10 };

/* Table 2-4: id, type (b byte, 2, 4, v varint, s string, d data, p pair), places as bits of enum smq_prop_place. */
static const struct {
    uint8_t id;
    char type;
    unsigned places;
} standard[] = {
    {1, 'b', 0x204},  {2, '4', 0x204},  {3, 's', 0x204},  {8, 's', 0x204},  {9, 'd', 0x204},  {11, 'v', 0x014},
    {17, '4', 0x083}, {18, 's', 0x002}, {19, '2', 0x002}, {21, 's', 0x103}, {22, 'd', 0x103}, {23, 'b', 0x001},
    {24, '4', 0x200}, {25, 'b', 0x001}, {26, 's', 0x002}, {28, 's', 0x082}, {31, 's', 0x1AA}, {33, '2', 0x003},
    {34, '2', 0x003}, {35, '2', 0x004}, {36, 'b', 0x002}, {37, 'b', 0x002}, {38, 'p', 0x3FF}, {39, '4', 0x003},
    {40, 'b', 0x002}, {41, 'b', 0x002}, {42, 'b', 0x002},
};

static void rows_are_the_standard(void **state)
{
    (void)state;
    static const char types[] = {
        [SMQ_WIRE_BYTE] = 'b',   [SMQ_WIRE_U16] = '2',    [SMQ_WIRE_U32] = '4', [SMQ_WIRE_VARINT] = 'v',
        [SMQ_WIRE_STRING] = 's', [SMQ_WIRE_BINARY] = 'd', [SMQ_WIRE_PAIR] = 'p'};
    assert_int_equal(SMQ_ARRAY_LEN(standard), SMQ_PROP_COUNT);
    for (size_t i = 0; i < SMQ_PROP_COUNT; i++) {
        const struct smq_prop_row *row = smq_prop_row((enum smq_prop)i);
        assert_int_equal(row->id, standard[i].id);
        assert_int_equal(types[row->wire], standard[i].type);
        assert_int_equal(row->places, standard[i].places);
        assert_int_equal(smq_prop_by_id(row->id), i);
    }
    size_t known = 0;
    for (unsigned id = 0; id < 256; id++) {
        known += smq_prop_by_id((uint8_t)id) != SMQ_PROP_COUNT;
    }
    assert_int_equal(known, SMQ_PROP_COUNT);
}

/* One property with a legal value, `times` times, into a set with its length. */
static size_t put(uint8_t *buf, size_t cap, const struct smq_prop_row *row, uint32_t num, unsigned times)
{
    uint8_t body[64];
    struct smq_wr b = smq_wr_of(body, sizeof body);
    for (unsigned i = 0; i < times; i++) {
        smq_wr_u8(&b, row->id);
        switch (row->wire) {
        case SMQ_WIRE_BYTE:
            smq_wr_u8(&b, (uint8_t)num);
            break;
        case SMQ_WIRE_U16:
            smq_wr_u16(&b, (uint16_t)num);
            break;
        case SMQ_WIRE_U32:
            smq_wr_u32(&b, num);
            break;
        case SMQ_WIRE_VARINT:
            smq_varint_write(&b, num);
            break;
        case SMQ_WIRE_STRING:
        case SMQ_WIRE_BINARY:
            smq_wr_blob16(&b, smq_span_str("x"));
            break;
        case SMQ_WIRE_PAIR:
            smq_wr_blob16(&b, smq_span_str("x"));
            smq_wr_blob16(&b, smq_span_str("y"));
            break;
        }
    }
    struct smq_wr wr = smq_wr_of(buf, cap);
    smq_varint_write(&wr, (uint32_t)b.len);
    smq_wr_put(&wr, smq_wr_span(&b));
    assert_true(smq_wr_ok(&b) && smq_wr_ok(&wr));
    return wr.len;
}

static smqtt_err read_set(const uint8_t *buf, size_t len, enum smq_prop_place place, struct smq_props *p)
{
    struct smq_rd rd = smq_rd_of(smq_span_of(buf, len));
    smqtt_err err = smq_props_read(&rd, place, SMQ_TEXT_STRICT, p);
    assert_true(err != SMQTT_OK || smq_rd_done(&rd));
    return err;
}

static bool is_number(const struct smq_prop_row *row)
{
    return row->wire == SMQ_WIRE_BYTE || row->wire == SMQ_WIRE_U16 || row->wire == SMQ_WIRE_U32 ||
           row->wire == SMQ_WIRE_VARINT;
}

static void check_bounds(const struct smq_prop_row *row, enum smq_prop which, enum smq_prop_place place)
{
    uint8_t buf[80];
    struct smq_props p;
    uint32_t widest = row->wire == SMQ_WIRE_BYTE ? 0xFF : row->wire == SMQ_WIRE_U16 ? 0xFFFF : UINT32_MAX;
    smqtt_err refusal = which == SMQ_PROP_TOPIC_ALIAS ? SMQTT_E_BAD_ALIAS : SMQTT_E_PROTOCOL;
    assert_int_equal(read_set(buf, put(buf, sizeof buf, row, row->min, 1), place, &p), SMQTT_OK);
    assert_int_equal(smq_props_num(&p, which, 77), row->min);
    assert_int_equal(read_set(buf, put(buf, sizeof buf, row, row->max, 1), place, &p), SMQTT_OK);
    assert_int_equal(smq_props_num(&p, which, 77), row->max);
    if (row->min > 0) {
        assert_int_equal(read_set(buf, put(buf, sizeof buf, row, row->min - 1, 1), place, &p), refusal);
    }
    if (row->max < widest && row->wire != SMQ_WIRE_VARINT) {
        assert_int_equal(read_set(buf, put(buf, sizeof buf, row, row->max + 1, 1), place, &p), refusal);
    }
    struct smq_wr wr = smq_wr_of(buf, sizeof buf);
    for (int more = -1; more <= 1; more += 2) {
        uint32_t out = more < 0 ? row->min - 1 : row->max + 1;
        if (out >= row->min && out <= row->max) {
            continue;
        }
        smq_props_clear(&p);
        smq_props_set_num(&p, which, out);
        assert_true((row->min == 0 && more < 0 && row->max == UINT32_MAX) ||
                    smq_props_write(&wr, place, SMQ_TEXT_STRICT, &p) == SMQTT_E_USAGE);
    }
}

static void check_written(const struct smq_prop_row *row, enum smq_prop which, enum smq_prop_place place)
{
    uint8_t buf[80], want[80];
    struct smq_props p;
    struct smq_wr wr = smq_wr_of(buf, sizeof buf);
    bool allowed = (row->places & place) != 0;
    smq_props_clear(&p);
    if (is_number(row)) {
        smq_props_set_num(&p, which, row->min);
    } else {
        smq_props_set_bytes(&p, which, smq_span_str("x"));
    }
    smqtt_err err = smq_props_write(&wr, place, SMQ_TEXT_STRICT, &p);
    if (row->wire == SMQ_WIRE_PAIR || !allowed) {
        assert_int_equal(err, SMQTT_E_USAGE);
        assert_int_equal(wr.len, 0);
        return;
    }
    assert_int_equal(err, SMQTT_OK);
    assert_int_equal(wr.len, put(want, sizeof want, row, row->min, 1));
    assert_memory_equal(buf, want, wr.len);
}

static void every_row_in_every_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SMQ_PROP_COUNT; i++) {
        enum smq_prop which = (enum smq_prop)i;
        const struct smq_prop_row *row = smq_prop_row(which);
        for (unsigned k = 0; k < N_PLACES; k++) {
            enum smq_prop_place place = (enum smq_prop_place)(1u << k);
            uint8_t buf[80];
            struct smq_props p;
            bool allowed = (standard[i].places & place) != 0;
            bool repeats =
                which == SMQ_PROP_USER_PROPERTY || (which == SMQ_PROP_SUBSCRIPTION_ID && place == SMQ_IN_PUBLISH);
            size_t len = put(buf, sizeof buf, row, row->min, 1);
            assert_int_equal(read_set(buf, len, place, &p), allowed ? SMQTT_OK : SMQTT_E_MALFORMED);
            check_written(row, which, place);
            if (!allowed) {
                continue;
            }
            assert_int_equal(p.present, 1u << which);
            for (size_t cut = 1; cut < len; cut++) {
                buf[0] = (uint8_t)(cut - 1); /* the set is shorter, its last value not whole */
                assert_int_equal(read_set(buf, cut, place, &p), cut == 1 ? SMQTT_OK : SMQTT_E_MALFORMED);
            }
            len = put(buf, sizeof buf, row, row->min, 2);
            assert_int_equal(read_set(buf, len, place, &p), repeats ? SMQTT_OK : SMQTT_E_PROTOCOL);
            if (is_number(row)) {
                check_bounds(row, which, place);
            }
        }
    }
}

static void length_is_checked(void **state)
{
    (void)state;
    struct smq_props p;
    static const uint8_t past[] = {3, 0x01, 0x01};
    static const uint8_t no_length[] = {0x80};
    static const uint8_t long_zero[] = {0x80, 0x00};
    static const uint8_t five[] = {0x80, 0x80, 0x80, 0x80, 0x01};
    static const uint8_t empty[] = {0};
    assert_int_equal(read_set(past, sizeof past, SMQ_IN_PUBLISH, &p), SMQTT_E_MALFORMED);
    assert_int_equal(read_set(no_length, sizeof no_length, SMQ_IN_PUBLISH, &p), SMQTT_E_MALFORMED);
    assert_int_equal(read_set(long_zero, sizeof long_zero, SMQ_IN_PUBLISH, &p), SMQTT_E_MALFORMED);
    assert_int_equal(read_set(five, sizeof five, SMQ_IN_PUBLISH, &p), SMQTT_E_MALFORMED);
    assert_int_equal(read_set(empty, 0, SMQ_IN_PUBLISH, &p), SMQTT_E_MALFORMED);
    assert_int_equal(read_set(empty, 1, SMQ_IN_PUBLISH, &p), SMQTT_OK);
}

static void repeated_ones_are_walked_and_copied(void **state)
{
    (void)state;
    uint8_t raw[128], set[160], copy[160];
    struct smq_wr wr = smq_wr_of(raw, sizeof raw), whole = smq_wr_of(set, sizeof set),
                  out = smq_wr_of(copy, sizeof copy);
    struct smq_props p, q;
    smq_props_clear(&p);
    smq_props_put_user(&wr, smq_span_str("k"), smq_span_str("1"));
    smq_props_put_subid(&wr, 7);
    smq_props_put_user(&wr, smq_span_str("k"), smq_span_str("2"));
    smq_props_put_subid(&wr, 300);
    p.raw = smq_wr_span(&wr);
    smq_props_set_bytes(&p, SMQ_PROP_CONTENT_TYPE, smq_span_str("t"));
    smq_props_set_num(&p, SMQ_PROP_TOPIC_ALIAS, 5);
    assert_int_equal(smq_props_write(&whole, SMQ_IN_PUBLISH, SMQ_TEXT_STRICT, &p), SMQTT_OK);
    assert_int_equal(read_set(set, whole.len, SMQ_IN_PUBLISH, &q), SMQTT_OK);

    smq_span name, value;
    uint32_t id;
    struct smq_rd it = smq_rd_of(q.raw);
    assert_true(smq_props_next_user(&it, &name, &value) && smq_span_equal(value, smq_span_str("1")));
    assert_true(smq_props_next_user(&it, &name, &value) && smq_span_equal(value, smq_span_str("2")));
    assert_true(smq_span_equal(name, smq_span_str("k")));
    assert_false(smq_props_next_user(&it, &name, &value));
    it = smq_rd_of(q.raw);
    assert_true(smq_props_next_subid(&it, &id) && id == 7);
    assert_true(smq_props_next_subid(&it, &id) && id == 300);
    assert_false(smq_props_next_subid(&it, &id));

    /* what a broker forwards: without alias and identifiers, in order */
    smq_props_copy_raw(&q, 1u << SMQ_PROP_USER_PROPERTY | 1u << SMQ_PROP_CONTENT_TYPE, &out);
    static const uint8_t want[] = {0x26, 0, 1, 'k', 0, 1, '1', 0x26, 0, 1, 'k', 0, 1, '2', 0x03, 0, 1, 't'};
    assert_int_equal(out.len, sizeof want);
    assert_memory_equal(copy, want, sizeof want);
}

static smqtt_err write_raw(const void *raw, size_t len, enum smq_prop_place place, bool with_expiry)
{
    struct smq_props p;
    struct smq_wr wr = smq_wr_measure();
    smq_props_clear(&p);
    p.raw = smq_span_of(raw, len);
    if (with_expiry) {
        smq_props_set_num(&p, SMQ_PROP_MESSAGE_EXPIRY, 1);
    }
    return smq_props_write(&wr, place, SMQ_TEXT_STRICT, &p);
}

static void raw_is_checked_before_it_leaves(void **state)
{
    (void)state;
    assert_int_equal(write_raw("\x26\0\1k\0\1v", 7, SMQ_IN_PUBLISH, false), SMQTT_OK);
    assert_int_equal(write_raw("\x26\0\1k\0\2v", 7, SMQ_IN_PUBLISH, false), SMQTT_E_USAGE);
    assert_int_equal(write_raw("\x7F", 1, SMQ_IN_PUBLISH, false), SMQTT_E_USAGE);
    assert_int_equal(write_raw("\x26\0\1\xFF\0\1v", 7, SMQ_IN_PUBLISH, false), SMQTT_E_BAD_TEXT);
    assert_int_equal(write_raw("\x26\0\1k\0\1\x01", 7, SMQ_IN_PUBLISH, false), SMQTT_E_BAD_TEXT);
    assert_int_equal(write_raw("\x02\0\0\0\1", 5, SMQ_IN_PUBLISH, false), SMQTT_OK);
    assert_int_equal(write_raw("\x02\0\0\0\1", 5, SMQ_IN_PUBLISH, true), SMQTT_E_USAGE); /* twice */
    assert_int_equal(write_raw("\x02\0\0\0\1", 5, SMQ_IN_CONNECT, false), SMQTT_E_USAGE);
    assert_int_equal(write_raw("\x0B\0", 2, SMQ_IN_PUBLISH, false), SMQTT_E_USAGE);
    assert_int_equal(write_raw("\x08\0\1+", 4, SMQ_IN_PUBLISH, false), SMQTT_E_BAD_TOPIC);
}

/* A thousand times the properties may cost about a thousand times the time, not a million times. */
static void thousands_cost_linear_time(void **state)
{
    (void)state;
    enum { FEW = 1000, MANY = 400000 };
    size_t cap = (size_t)MANY * 5 + 8;
    uint8_t *raw = malloc(cap), *set = malloc(cap);
    assert_true(raw != NULL && set != NULL);
    double seconds[2];
    for (int big = 0; big < 2; big++) {
        struct smq_wr wr = smq_wr_of(raw, cap), whole = smq_wr_of(set, cap);
        for (int i = 0; i < (big ? MANY : FEW); i++) {
            smq_props_put_user(&wr, smq_span_str(""), smq_span_str(""));
        }
        smq_varint_write(&whole, (uint32_t)wr.len);
        smq_wr_put(&whole, smq_wr_span(&wr));
        struct smq_props p;
        clock_t start = clock();
        for (int i = 0; i < (big ? 1 : MANY / FEW); i++) {
            assert_int_equal(read_set(set, whole.len, SMQ_IN_PUBLISH, &p), SMQTT_OK);
        }
        seconds[big] = (double)(clock() - start) / CLOCKS_PER_SEC;
        size_t n = 0;
        smq_span name, value;
        struct smq_rd it = smq_rd_of(p.raw);
        while (smq_props_next_user(&it, &name, &value)) {
            n++;
        }
        assert_int_equal(n, big ? MANY : FEW);
    }
    assert_true(seconds[1] < 20 * seconds[0] + 0.5);
    free(raw);
    free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_the_standard),
        cmocka_unit_test(every_row_in_every_place),
        cmocka_unit_test(length_is_checked),
        cmocka_unit_test(repeated_ones_are_walked_and_copied),
        cmocka_unit_test(raw_is_checked_before_it_leaves),
        cmocka_unit_test(thousands_cost_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
