/* SPDX-License-Identifier: Apache-2.0 */
/* A message that must survive is owed by exactly one worker at every commit, is acknowledged when that is so, and
 * leaves nothing behind. */
#include "broker/durable.h"
#include "broker/share.h"
#include "transit.h"

/* The first writes that wait; NULL: there are none. */
static const struct smq_writes *waiting(unsigned n)
{
    const struct smq_writes *writes = disk.first;
    while (writes != NULL && n-- != 0) {
        writes = writes->next;
    }
    return writes;
}

/* Operations of this kind in it, of rows that belong to the table (and kind, 0: any). */
static unsigned ops_of(const struct smq_writes *writes, enum smq_write_op op, enum smq_table table,
                       enum smq_session_row kind)
{
    unsigned n = 0;
    size_t at = 0;
    struct smq_write write;
    while (smq_writes_next(writes, &at, &write)) {
        struct smq_key_parts parts;
        n += write.op == op && smq_key_read(write.key, &parts) && parts.table == table &&
             (kind == 0 || parts.kind == kind);
    }
    return n;
}

static void expect_reason(struct client *c, enum smq_type type, uint8_t reason)
{
    assert_int_equal(client_expect(c, type)->ack.reason, reason);
}

/* ------------------------------------------------------------ what is not written */

static void clean_sessions_and_qos_0_write_nothing(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= BED_WORKERS; count++) {
        transit_begin(count);
        disk.by_hand = true;
        struct client *pub = client_on(0, "p", false), *sub = client_on(count - 1, "s", false);
        struct client *third = client_on(count / 2, "t", false);
        client_subscribe(sub, "t/#", 2);
        client_subscribe(third, "$share/g/t/#", 2);
        for (uint8_t qos = 0; qos <= 2; qos++) {
            client_publish(pub, "t/1", "x", qos, false); /* with its acknowledgements, though nothing is committed */
            client_take(sub, "t/1", "x", qos);
            client_take(third, "t/1", "x", qos);
        }
        assert_int_equal(disk.n_waiting, 0);
        disk.by_hand = false;
        struct client *stays = client_on(count - 1, "stays", true);
        client_subscribe(stays, "t/#", 2);
        size_t before = disk.n_writes;
        client_publish(pub, "t/1", "x", 0, false);
        client_take(stays, "t/1", "x", 0);
        client_drain(sub);
        client_drain(third);
        assert_int_equal(disk.n_writes, before);
        transit_end();
    }
}

/* A stored session that only publishes gives nobody cause to write. */
static void who_only_publishes_costs_nothing(void **state)
{
    (void)state;
    transit_begin(2);
    struct client *pub = client_on(0, "p", true), *sub = client_on(1, "s", false);
    struct client *other = client_on(1, "q", true);
    client_subscribe(sub, "t", 1);
    size_t before = disk.n_writes;
    client_publish(pub, "t", "x", 1, false);
    client_publish(other, "t", "x", 1, false);
    client_drain(sub);
    assert_int_equal(disk.n_writes, before);
    transit_end();
}

/* ------------------------------------------------------------ on one worker */

static void one_receiver_needs_no_body(void **state)
{
    (void)state;
    transit_begin(1);
    struct client *pub = client_on(0, "p", false), *sub = client_on(0, "s", true);
    client_subscribe(sub, "t", 1);
    disk.by_hand = true;
    client_send_publish(pub, "t", "x", 1, false, 7);
    client_expect_none(pub);
    client_expect_publish(sub, "t", "x"); /* QoS 1 waits for nothing */
    assert_int_equal(ops_of(waiting(0), SMQ_WRITE_PUT, SMQ_TABLE_SESSION, SMQ_ROW_QUEUE), 1);
    assert_int_equal(ops_of(waiting(0), SMQ_WRITE_PUT, SMQ_TABLE_BODY, 0), 0);
    bed_commit(&bed, SIZE_MAX);
    client_expect(pub, SMQ_PUBACK);
    client_send_ack(sub, SMQ_PUBACK, sub->pkt.publish.id, 0);
    bed_commit(&bed, SIZE_MAX);
    expect_nothing_left();
    transit_end();
}

static void several_receivers_share_a_body(void **state)
{
    (void)state;
    transit_begin(1);
    struct client *pub = client_on(0, "p", false), *subs[3];
    for (unsigned i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%u-", i);
        subs[i] = client_on(0, name, true);
        client_subscribe(subs[i], "t", 1);
    }
    disk.by_hand = true;
    client_send_publish(pub, "t", "x", 1, false, 7);
    client_expect_none(pub);
    bed_commit(&bed, SIZE_MAX);
    client_expect(pub, SMQ_PUBACK);
    assert_int_equal(bodies(), 1);
    assert_int_equal(queued(), 3);
    for (unsigned i = 0; i < 3; i++) {
        client_expect_publish(subs[i], "t", "x");
        client_send_ack(subs[i], SMQ_PUBACK, subs[i]->pkt.publish.id, 0);
        assert_int_equal(ops_of(waiting(0), SMQ_WRITE_DEL, SMQ_TABLE_BODY, 0), i == 2 ? 1 : 0);
        bed_commit(&bed, SIZE_MAX);
    }
    expect_nothing_left();
    transit_end();
}

/* Nobody may read it: a body that no row names is not even written. */
static void a_body_that_nobody_needs_is_not_written(void **state)
{
    (void)state;
    transit_begin(1);
    struct smq_content content = {.topic = smq_span_str("t"), .expires = SMQTT_NEVER, .qos = 1};
    struct smq_body *body = smq_body_new(bed.w, &content, 0);
    assert_non_null(body);
    smq_body_settle(bed.w, body);
    assert_null(smq_worker_take_writes(bed.w));
    expect_nothing_left();
    transit_end();
}

static void a_repetition_of_qos_2_waits_for_the_first(void **state)
{
    (void)state;
    transit_begin(1);
    struct client *pub = client_on(0, "p", true), *sub = client_on(0, "s", true);
    client_subscribe(sub, "t", 2);
    disk.by_hand = true;
    client_send_publish(pub, "t", "x", 2, false, 7);
    client_expect_none(pub);
    assert_int_equal(ops_of(waiting(0), SMQ_WRITE_PUT, SMQ_TABLE_SESSION, SMQ_ROW_IN), 1);
    client_send_publish(pub, "t", "x", 2, false, 7);
    client_expect_none(pub);
    client_expect_none(sub); /* nor is it sent before its identifier is known */
    bed_commit(&bed, SIZE_MAX);
    client_expect(pub, SMQ_PUBREC);
    client_expect(pub, SMQ_PUBREC);
    client_expect_publish(sub, "t", "x");
    client_expect_none(sub);
    assert_int_equal(queued(), 1);
    transit_end();
}

/* ------------------------------------------------------------ across workers */

static void puback_waits_for_the_own_commit_alone(void **state)
{
    (void)state;
    transit_begin(2);
    struct client *pub = client_on(0, "p", false), *sub = client_on(1, "s", true);
    client_subscribe(sub, "t", 1);
    disk.by_hand = true;
    client_send_publish(pub, "t", "x", 1, false, 7);
    client_expect_none(pub);
    assert_int_equal(disk.n_waiting, 2);
    assert_int_equal(waiting(0)->worker, 0);
    assert_int_equal(ops_of(waiting(0), SMQ_WRITE_PUT, SMQ_TABLE_BODY, 0), 1);
    assert_int_equal(waiting(1)->worker, 1); /* its rows, and that it has it, in the same commit */
    assert_int_equal(ops_of(waiting(1), SMQ_WRITE_PUT, SMQ_TABLE_SESSION, SMQ_ROW_QUEUE), 1);
    assert_int_equal(ops_of(waiting(1), SMQ_WRITE_PUT, SMQ_TABLE_PASSED, 0), 1);

    bed_commit(&bed, 1);
    client_expect(pub, SMQ_PUBACK);
    assert_int_equal(in_transit() + queued(), 1);
    assert_int_equal(disk.n_waiting, 1); /* it is not deleted before the other one has it */
    bed_commit(&bed, 1);
    assert_int_equal(in_transit(), 0);
    assert_int_equal(queued(), 1);
    assert_int_equal(bodies(), 1);
    assert_int_equal(ops_of(waiting(0), SMQ_WRITE_DEL, SMQ_TABLE_BODY, 0), 1);
    bed_commit(&bed, 1);
    assert_int_equal(bodies(), 0);
    assert_int_equal(disk.n_waiting, 0);
    client_expect_publish(sub, "t", "x");
    client_send_ack(sub, SMQ_PUBACK, sub->pkt.publish.id, 0);
    bed_commit(&bed, SIZE_MAX);
    expect_nothing_left();
    transit_end();
}

/* Large ones, and those with properties, go another way than small ones. */
static void only_who_stores_it_is_asked(void **state)
{
    (void)state;
    static char large[3000];
    memset(large, 'x', sizeof large - 1);
    for (unsigned big = 0; big < 2; big++) {
        const char *payload = big != 0 ? large : "x";
        transit_begin(4);
        struct client *pub = client_on(0, "p", false), *clean = client_on(1, "c", false);
        struct client *own = client_on(0, "o", true), *first = client_on(2, "f", true),
                      *second = client_on(3, "s", true);
        client_subscribe(clean, "t", 1);
        client_subscribe(own, "t", 1);
        client_subscribe(first, "t", 1);
        client_subscribe(second, "t", 1);
        disk.by_hand = true;
        client_send_publish(pub, "t", payload, 1, false, 7);
        client_expect_publish(clean, "t", payload);
        assert_int_equal(disk.n_waiting, 3); /* none of the clean session's worker */
        bed_commit(&bed, 1);
        client_expect(pub, SMQ_PUBACK);
        assert_int_equal(bodies(), 1);
        assert_int_equal(in_transit(), 2);
        bed_commit(&bed, SIZE_MAX);
        assert_int_equal(in_transit(), 0);
        assert_int_equal(queued(), 3);
        assert_int_equal(bodies(), 1); /* the row of its own worker names it still */
        struct client *subs[] = {own, first, second};
        for (unsigned i = 0; i < 3; i++) {
            client_expect_publish(subs[i], "t", payload);
            client_send_ack(subs[i], SMQ_PUBACK, subs[i]->pkt.publish.id, 0);
        }
        disk.by_hand = false;
        bed_turn(&bed);
        expect_nothing_left();
        transit_end();
    }
}

/* Three commits of the other worker are under way: none of them is told of before it is there. */
static void what_is_safe_is_told_when_it_is(void **state)
{
    (void)state;
    transit_begin(2);
    struct client *pub = client_on(0, "p", false), *sub = client_on(1, "s", true);
    client_subscribe(sub, "t", 1);
    client_drain(sub);
    disk.by_hand = true;
    for (uint16_t id = 1; id <= 4; id++) {
        client_send_publish(pub, "t", "x", 1, false, id);
    }
    assert_int_equal(disk.n_waiting, 8); /* by turns of one and the other */
    for (unsigned done = 0; done < 4; done++) {
        assert_int_equal(bed.w->peers.of[1].transit.n >= 4 - done, true);
        bed_commit(&bed, 2);
        for (size_t i = 0; i < disk.n_waiting; i++) {
            const struct smq_writes *writes = waiting((unsigned)i);
            assert_true(writes->worker != 0 || ops_of(writes, SMQ_WRITE_DEL, SMQ_TABLE_BODY, 0) <= done + 1);
        }
        assert_int_equal(in_transit(), 0);
        assert_true(bodies() >= 1); /* each only after it was told */
    }
    bed_commit(&bed, SIZE_MAX);
    bed_commit(&bed, SIZE_MAX);
    assert_int_equal(bodies(), 0);
    assert_int_equal(queued(), 4);
    assert_int_equal(bed.w->peers.of[1].transit.n, 0);
    transit_end();
}

static void what_is_retained_elsewhere_is_confirmed(void **state)
{
    (void)state;
    transit_begin(2);
    struct client *pub = client_on(0, "p", false);
    char topic[16] = "r";
    for (unsigned i = 0; smq_worker_owner(bed.w, smq_span_str(topic)) != 1; i++) {
        snprintf(topic, sizeof topic, "r%u", i);
    }
    disk.by_hand = true;
    client_send_publish(pub, topic, "x", 1, true, 7);
    client_expect_none(pub);
    assert_int_equal(ops_of(waiting(1), SMQ_WRITE_PUT, SMQ_TABLE_RETAINED, 0), 1);
    assert_int_equal(ops_of(waiting(1), SMQ_WRITE_PUT, SMQ_TABLE_PASSED, 0), 1);
    bed_commit(&bed, 1);
    client_expect(pub, SMQ_PUBACK);
    assert_int_equal(in_transit(), 1);
    bed_commit(&bed, SIZE_MAX);
    bed_commit(&bed, SIZE_MAX);
    assert_int_equal(disk_count(&disk, SMQ_TABLE_RETAINED, 0, 0), 1);
    expect_nothing_left();

    client_send_publish(pub, topic, "y", 0, true, 0); /* nobody was promised anything */
    assert_int_equal(disk.n_waiting, 1);
    assert_int_equal(ops_of(waiting(0), SMQ_WRITE_PUT, SMQ_TABLE_RETAINED, 0), 1);
    transit_end();
}

/* ------------------------------------------------------------ groups */

enum { PUB, OWNER, MEMBER };

/* A group that belongs to worker OWNER. */
static const char *group_filter(void)
{
    static char filter[32];
    for (unsigned i = 0;; i++) {
        snprintf(filter, sizeof filter, "$share/g%u/t", i);
        if (smq_worker_owner(bed.w, smq_span_str(filter)) == OWNER) {
            return filter;
        }
    }
}

/* Commits one after the other; after the first of them somebody owes the message, and never two. */
static void commit_all_owed_once(void)
{
    while (disk.n_waiting != 0) {
        bed_commit(&bed, 1);
        assert_int_equal(in_transit() + queued(), 1);
    }
}

static void a_message_of_a_group_is_owed_once(void **state)
{
    (void)state;
    transit_begin(3);
    const char *filter = group_filter();
    struct client *pub = client_on(PUB, "p", false), *sub = client_on(MEMBER, "m", true);
    client_subscribe(sub, filter, 1);
    disk.by_hand = true;
    client_send_publish(pub, "t", "x", 1, false, 7);
    client_expect_none(pub);
    assert_int_equal(waiting(0)->worker, PUB);
    assert_int_equal(waiting(1)->worker, OWNER); /* ends its duty and begins that of the member */
    assert_int_equal(ops_of(waiting(1), SMQ_WRITE_PUT, SMQ_TABLE_BODY, 0), 1);
    assert_int_equal(ops_of(waiting(1), SMQ_WRITE_PUT, SMQ_TABLE_PASSED, 0), 1);
    bed_commit(&bed, 1);
    client_expect(pub, SMQ_PUBACK);
    assert_int_equal(in_transit(), 1);
    commit_all_owed_once();
    client_expect_publish(sub, "t", "x");
    client_send_ack(sub, SMQ_PUBACK, sub->pkt.publish.id, 0);
    disk.by_hand = false;
    bed_turn(&bed);
    bed_turn(&bed);
    expect_nothing_left();
    transit_end();
}

/* The member was sent nothing yet, and goes: the other one gets it, on whatever worker. */
static void what_comes_back_is_owed_once(void **state)
{
    (void)state;
    for (unsigned other_on = 0; other_on < 3; other_on++) {
        transit_begin(3);
        const char *filter = group_filter();
        struct client *pub = client_on(PUB, "p", false), *sub = client_on(MEMBER, "m", true);
        struct client *other = client_on(other_on, "other", true);
        client_subscribe(sub, filter, 1);
        disk.by_hand = true;
        sub->deaf = true; /* and takes no bytes */
        client_send_publish(pub, "t", "x", 1, false, 7);
        bed_commit(&bed, 1);
        client_expect(pub, SMQ_PUBACK);
        commit_all_owed_once();
        disk.by_hand = false;
        client_subscribe(other, filter, 1);
        disk.by_hand = true;
        assert_int_equal(queued(), 1);
        /* Its session ends: what was in flight goes back to the group, and on to the other one. */
        struct smq_packet pkt = packet_connect(SMQTT_V5, name_of(MEMBER, "m"), true);
        struct client *again = client_open(&bed, SMQTT_V5);
        client_send(again, &pkt);
        commit_all_owed_once();
        client_expect(again, SMQ_CONNACK);
        client_expect_publish(other, "t", "x");
        client_send_ack(other, SMQ_PUBACK, other->pkt.publish.id, 0);
        disk.by_hand = false;
        bed_turn(&bed);
        bed_turn(&bed);
        expect_nothing_left();
        transit_end();
    }
}

/* Given to one that has just gone, it travels twice before anybody has it. */
static void a_member_that_is_gone_gives_it_back(void **state)
{
    (void)state;
    transit_begin(3);
    const char *filter = group_filter();
    struct client *pub = client_on(OWNER, "p", false), *sub = client_on(MEMBER, "m", false);
    struct client *away = client_on(PUB, "away", true);
    client_subscribe(away, filter, 1);
    client_disconnect(away);
    client_subscribe(sub, filter, 1);
    disk.by_hand = true;
    bed.slowly = true;
    client_send_publish(pub, "t", "x", 1, false, 7);
    client_push(pub);
    client_break(sub); /* at the same time */
    bed.slowly = false;
    bed_turn(&bed);
    client_expect_none(pub);
    bed_commit(&bed, 1);
    client_expect(pub, SMQ_PUBACK);
    assert_int_equal(in_transit(), 1);
    commit_all_owed_once();
    assert_int_equal(queued(), 1);
    disk.by_hand = false;
    bed_turn(&bed);
    assert_int_equal(bodies(), 0);
    transit_end();
}

/* ------------------------------------------------------------ a store that is not well */

static void set_store(enum smq_store_state state)
{
    for (unsigned i = 0; i < bed.count; i++) {
        smq_worker_set_store(bed.workers[i], state, bed.now);
    }
    bed_turn(&bed);
}

static void a_store_that_is_behind_stalls_publishers(void **state)
{
    (void)state;
    transit_begin(1);
    struct client *pub = client_on(0, "p", false), *sub = client_on(0, "s", false);
    client_subscribe(sub, "t", 0);
    set_store(SMQ_STORE_BEHIND);
    client_send_publish(pub, "t", "x", 0, false, 0);
    client_expect_none(sub);
    client_expect_alive(sub);
    set_store(SMQ_STORE_WELL);
    client_expect_publish(sub, "t", "x");
    transit_end();
}

static void a_full_store_refuses_what_it_would_have_to_keep(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 2; count++) {
        transit_begin(count);
        struct client *pub = client_on(0, "p", false), *sub = client_on(count - 1, "s", true);
        struct client *old = client_connect(&bed, SMQTT_V311, name_of(0, "old"), true);
        struct client *clean = client_on(0, "c", false);
        client_subscribe(sub, "t", 1);
        client_subscribe(clean, "free", 1);
        set_store(SMQ_STORE_FULL);
        client_send_publish(pub, "t", "x", 1, false, 7);
        expect_reason(pub, SMQ_PUBACK, 0x97);
        client_send_publish(pub, "t", "x", 2, false, 8);
        expect_reason(pub, SMQ_PUBREC, 0x97);
        client_send_publish(pub, "kept", "x", 1, true, 9);
        expect_reason(pub, SMQ_PUBACK, 0x97);
        client_expect_none(sub);
        client_publish(pub, "free", "x", 1, false); /* nothing of it is stored */
        client_expect_publish(clean, "free", "x");

        client_send_publish(old, "t", "late", 2, false, 5);
        client_send(old, &(struct smq_packet){.type = SMQ_PINGREQ});
        client_expect_none(old);
        assert_true(smq_conn_paused(old->conn));
        set_store(SMQ_STORE_WELL);
        client_expect(old, SMQ_PUBREC);
        client_expect(old, SMQ_PINGRESP);
        client_expect_publish(sub, "t", "late");
        struct smq_worker_stats stats;
        bed_stats(&bed, &stats);
        assert_int_equal(stats.publish_in, 5);
        transit_end();
    }
}

/* Without memory for a row nothing is acknowledged any more. */
static void what_could_not_be_written_is_not_acknowledged(void **state)
{
    (void)state;
    transit_begin(1);
    struct client *pub = client_on(0, "p", false), *sub = client_on(0, "s", true);
    client_subscribe(sub, "t", 1);
    smq_store_lose(bed.w);
    client_send_publish(pub, "t", "x", 1, false, 7);
    bed_turn(&bed);
    client_expect_none(pub);
    client_drain(sub);
    transit_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_sessions_and_qos_0_write_nothing),
        cmocka_unit_test(who_only_publishes_costs_nothing),
        cmocka_unit_test(one_receiver_needs_no_body),
        cmocka_unit_test(several_receivers_share_a_body),
        cmocka_unit_test(a_body_that_nobody_needs_is_not_written),
        cmocka_unit_test(a_repetition_of_qos_2_waits_for_the_first),
        cmocka_unit_test(puback_waits_for_the_own_commit_alone),
        cmocka_unit_test(only_who_stores_it_is_asked),
        cmocka_unit_test(what_is_safe_is_told_when_it_is),
        cmocka_unit_test(what_is_retained_elsewhere_is_confirmed),
        cmocka_unit_test(a_message_of_a_group_is_owed_once),
        cmocka_unit_test(what_comes_back_is_owed_once),
        cmocka_unit_test(a_member_that_is_gone_gives_it_back),
        cmocka_unit_test(a_store_that_is_behind_stalls_publishers),
        cmocka_unit_test(a_full_store_refuses_what_it_would_have_to_keep),
        cmocka_unit_test(what_could_not_be_written_is_not_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
