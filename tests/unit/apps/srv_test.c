/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of the DNS: order of the targets, names that point back, records that say that there is no service. */
#include "../test.h"

#include <stdlib.h>

#include "../../../apps/smqtt/dial.h"
#include "base/wr.h"

enum { ROOM = 4096, CNAME = 5, SRV = 33 };

static uint8_t room[ROOM];
static struct smq_wr wr;

/** The head and the question `_m.x`. */
static void start(uint16_t answers)
{
    wr = smq_wr_of(room, sizeof(room));
    smq_wr_bytes(&wr, "\x00\x01\x81\x80\x00\x01", 6);
    smq_wr_u16(&wr, answers);
    smq_wr_u32(&wr, 0);
    smq_wr_bytes(&wr, "\x02_m\x01x\x00\x00\x21\x00\x01", 10);
}

/** A record of the name asked for. */
static void record(uint16_t type, uint16_t priority, uint16_t weight, uint16_t port, const char *name, size_t name_len)
{
    smq_wr_bytes(&wr, "\xC0\x0C", 2);
    smq_wr_u16(&wr, type);
    smq_wr_bytes(&wr, "\x00\x01\x00\x00\x00\x3C", 6);
    smq_wr_u16(&wr, (uint16_t)(6 + name_len));
    smq_wr_u16(&wr, priority);
    smq_wr_u16(&wr, weight);
    smq_wr_u16(&wr, port);
    smq_wr_bytes(&wr, name, name_len);
}

static void order_test(void **state)
{
    (void)state;
    struct dial_target out[DIAL_TARGETS_MAX];
    start(5);
    record(SRV, 10, 1, 1001,
           "\x01"
           "a\xC0\x0F",
           4); /* a.x, its end as in the question */
    record(SRV, 5, 1, 1002,
           "\x01"
           "b\x00",
           3);
    record(SRV, 5, 9, 1003,
           "\x01"
           "c\x00",
           3);
    record(CNAME, 0, 0, 0,
           "\x01"
           "d\x00",
           3);
    record(SRV, 1, 1, 1004, "\x00", 1); /* not offered here */
    assert_int_equal(dial_srv_read(room, wr.len, out), 3);
    assert_string_equal(out[0].host, "c");
    assert_string_equal(out[0].port, "1003");
    assert_string_equal(out[1].host, "b");
    assert_string_equal(out[2].host, "a.x");
    assert_string_equal(out[2].port, "1001");
}

static void many_test(void **state)
{
    (void)state;
    struct dial_target out[DIAL_TARGETS_MAX];
    start(DIAL_TARGETS_MAX + 4);
    for (uint16_t i = 0; i < DIAL_TARGETS_MAX + 4; i++) {
        record(SRV, i, 0, i,
               "\x01"
               "a\x00",
               3);
    }
    assert_int_equal(dial_srv_read(room, wr.len, out), DIAL_TARGETS_MAX);
}

/** Cut anywhere, it is read without looking beyond. */
static void cut_test(void **state)
{
    (void)state;
    struct dial_target out[DIAL_TARGETS_MAX];
    start(1);
    record(SRV, 5, 1, 1002,
           "\x04"
           "host\x00",
           6);
    for (size_t len = 0; len < wr.len; len++) {
        uint8_t *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy, room, len);
        assert_int_equal(dial_srv_read(copy, len, out), 0);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_test),
        cmocka_unit_test(many_test),
        cmocka_unit_test(cut_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
