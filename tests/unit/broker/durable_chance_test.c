/* SPDX-License-Identifier: Apache-2.0 */
/* Turns of several workers, commits and clients mix by chance: what was acknowledged is owed by the rows that are
 * there, at every moment and once. */
#include "broker/internal.h"
#include "transit.h"

enum { SEEDS = 40, MESSAGES = 60, SUBS = 4 };

static unsigned number_of(smq_span payload)
{
    char text[8] = {0};
    memcpy(text, payload.data, payload.len < 7 ? payload.len : 7);
    return (unsigned)strtoul(text, NULL, 10);
}

/* The message of a QUEUE row; never a row without its body. */
static unsigned number_of_row(smq_span value)
{
    struct smq_row_queue row;
    struct smq_row_body body;
    assert_true(smq_row_read_queue(value, bed.now, &row));
    if (row.mid == 0) {
        return number_of(row.content.payload);
    }
    struct smq_key key = smq_key_body(row.mid);
    assert_true(smq_row_read_body(disk_get(&disk, smq_key_span(&key)), bed.now, &body));
    return number_of(body.content.payload);
}

/* Which messages the rows on the disk owe to the session of this sid, on worker `to`. 0: to anybody, on any. */
static void count_owed(uint64_t sid, unsigned to, unsigned owed[MESSAGES])
{
    for (size_t i = 0; i < disk.n; i++) {
        smq_span key, value;
        struct smq_key_parts parts;
        struct smq_row_body row;
        disk_row(&disk, i, &key, &value);
        assert_true(smq_key_read(key, &parts));
        if (parts.table == SMQ_TABLE_BODY) {
            assert_true(smq_row_read_body(value, bed.now, &row));
            for (unsigned peer = sid != 0 ? to : 0; peer < (sid != 0 ? to + 1 : bed.count); peer++) {
                bool owes =
                    (row.peers >> peer & 1) != 0 && parts.n > passed(peer, (unsigned)(parts.n >> SMQ_MID_SHIFT));
                owed[number_of(row.content.payload)] += owes;
            }
        } else if (parts.table == SMQ_TABLE_SESSION && parts.kind == SMQ_ROW_QUEUE && (sid == 0 || parts.sid == sid)) {
            owed[number_of_row(value)]++;
        }
    }
}

static void expect_owed_once(const bool acked[MESSAGES], const unsigned owed[MESSAGES])
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        assert_true(owed[i] <= 1);
        assert_true(!acked[i] || owed[i] == 1);
    }
}

/* What was acknowledged is owed to each session that is away, by rows that are there, and once. */
static void expect_acknowledged_is_owed(const bool acked[MESSAGES], const char *const *ids)
{
    for (unsigned s = 0; s < SUBS; s++) {
        unsigned owed[MESSAGES] = {0};
        count_owed(disk_sid(&disk, ids[s]), smq_worker_owner(bed.w, smq_span_str(ids[s])), owed);
        expect_owed_once(acked, owed);
    }
}

static void look_for_acks(struct client *pub, bool acked[MESSAGES], unsigned *n)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(pub)) != NULL) {
        assert_true(pkt->type == SMQ_PUBACK || pkt->type == SMQ_PUBREC);
        assert_true(pkt->ack.reason < 0x80);
        acked[pkt->ack.id - 1] = true;
        ++*n;
    }
}

static void take_all_in_order(struct client *c)
{
    const struct smq_packet *pkt;
    unsigned n = 0;
    while ((pkt = client_next(c)) != NULL) {
        char text[8];
        snprintf(text, sizeof text, "%u", n);
        if (pkt->type == SMQ_PUBLISH) {
            assert_true(span_is(pkt->publish.payload, text));
            n++;
            client_send_ack(c, pkt->publish.qos == 1 ? SMQ_PUBACK : SMQ_PUBREC, pkt->publish.id, 0);
        } else {
            assert_int_equal(pkt->type, SMQ_PUBREL);
            client_send_ack(c, SMQ_PUBCOMP, pkt->ack.id, 0);
        }
    }
    assert_int_equal(n, MESSAGES);
}

static void what_is_acknowledged_is_owed_at_every_moment(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        transit_begin(1 + seed % BED_WORKERS);
        bed.rng = seed + 1;
        disk.by_hand = true;
        const char *ids[SUBS];
        struct client *subs[SUBS] = {0};
        disk.by_hand = false;
        for (unsigned i = 0; i < SUBS; i++) {
            char prefix[8];
            snprintf(prefix, sizeof prefix, "s%u-", i);
            ids[i] = name_of((unsigned)test_random_below(&bed.rng, bed.count), prefix);
            struct smq_packet pkt = packet_connect(SMQTT_V311, ids[i], false);
            subs[i] = client_connect_pkt(&bed, &pkt);
            client_subscribe(subs[i], "t", 2);
            client_disconnect(subs[i]);
        }
        struct client *pub = client_on(0, "p", false);
        bool acked[MESSAGES] = {0};
        unsigned n_acked = 0;
        disk.by_hand = true;
        bed.slowly = true;
        for (unsigned i = 0; i < MESSAGES; i++) {
            char text[8];
            snprintf(text, sizeof text, "%u", i);
            client_send_publish(pub, "t", text, (uint8_t)(1 + i % 2), false, (uint16_t)(i + 1));
            for (uint64_t k = test_random_below(&bed.rng, 30); k != 0; k--) {
                bed_step(&bed);
                look_for_acks(pub, acked, &n_acked);
                expect_acknowledged_is_owed(acked, ids);
            }
        }
        for (unsigned k = 0; n_acked < MESSAGES; k++) {
            assert_true(k < 100000);
            bed_step(&bed);
            look_for_acks(pub, acked, &n_acked);
        }
        disk.by_hand = false;
        bed_calm(&bed);
        bed.slowly = false;
        bed_turn(&bed);
        expect_acknowledged_is_owed(acked, ids);
        assert_int_equal(in_transit(), 0);
        for (unsigned i = 0; i < SUBS; i++) {
            struct smq_packet pkt = packet_connect(SMQTT_V311, ids[i], false);
            struct client *c = client_open(&bed, SMQTT_V311);
            client_send(c, &pkt);
            client_expect(c, SMQ_CONNACK);
            take_all_in_order(c);
        }
        bed_turn(&bed);
        expect_nothing_left();
        transit_end();
    }
}

static struct client *send_connect(const char *id, uint16_t window)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, window);
    struct client *c = client_open(&bed, SMQTT_V5);
    client_send(c, &pkt);
    return c;
}

/* Its members come and go and acknowledge nothing, so that messages wander among them. */
static void what_a_group_was_given_is_owed_once_at_every_moment(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        transit_begin(1 + seed % BED_WORKERS);
        bed.rng = seed + 1;
        char names[SUBS][8];
        struct client *members[SUBS];
        for (unsigned i = 0; i < SUBS; i++) {
            snprintf(names[i], sizeof names[i], "m%u", i);
            members[i] = send_connect(names[i], 3);
            client_expect(members[i], SMQ_CONNACK);
            client_subscribe(members[i], "$share/g/t", 1);
        }
        struct client *pub = client_on(0, "p", false);
        bool acked[MESSAGES] = {0};
        unsigned n_acked = 0;
        disk.by_hand = true;
        bed.slowly = true;
        for (unsigned i = 0; i < MESSAGES; i++) {
            char text[8];
            snprintf(text, sizeof text, "%u", i);
            client_send_publish(pub, "t", text, 1, false, (uint16_t)(i + 1));
            unsigned m = (unsigned)test_random_below(&bed.rng, SUBS);
            if (members[m]->conn != NULL) {
                while (bed.turns[members[m]->w->index].phase == TURN_SEND) { /* transports break before that */
                    bed_step(&bed);
                }
                client_break(members[m]);
            } else {
                client_drain(members[m]);
                members[m] = send_connect(names[m], 3);
            }
            for (uint64_t k = test_random_below(&bed.rng, 60); k != 0; k--) {
                unsigned owed[MESSAGES] = {0};
                bed_step(&bed);
                look_for_acks(pub, acked, &n_acked);
                count_owed(0, 0, owed);
                expect_owed_once(acked, owed);
            }
        }
        disk.by_hand = false;
        bed_calm(&bed);
        look_for_acks(pub, acked, &n_acked);
        assert_int_equal(n_acked, MESSAGES);
        assert_int_equal(in_transit(), 0);
        assert_int_equal(queued(), MESSAGES);
        transit_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_acknowledged_is_owed_at_every_moment),
        cmocka_unit_test(what_a_group_was_given_is_owed_once_at_every_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
