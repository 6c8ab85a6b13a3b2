/* SPDX-License-Identifier: Apache-2.0 */
/* A broker is killed at any commit, on a disk that may be damaged, and with no memory to start again. */
#include <stdlib.h>

#include "lives.h"

static const struct {
    unsigned before, after;
} changes[] = {{1, 1}, {1, 4}, {4, 1}, {2, 3}, {4, 4}, {3, 2}};

/* ------------------------------------------------------------ a kill at any time */

enum { PUBLISHERS = 3, READERS = 5, MEMBERS = 3, SENT_MAX = 200 };

struct point {
    struct disk disk;
    struct smqtt_now now;
    unsigned acked[PUBLISHERS]; /* messages 0..acked-1 of each are acknowledged, */
    unsigned sent[PUBLISHERS];  /* and these were sent */
};

static struct point points[4000];
static size_t n_points;
static struct client *publishers[PUBLISHERS];
static struct point at;
static bool got[READERS + 1][PUBLISHERS][SENT_MAX]; /* the last one is the group */

static const char *reader_name(unsigned i)
{
    static char name[16];
    snprintf(name, sizeof name, "reader%u", i);
    return name;
}

static const char *member_name(unsigned i)
{
    static char name[16];
    snprintf(name, sizeof name, "member%u", i);
    return name;
}

static void hear_publisher(unsigned i)
{
    const struct smq_packet *pkt;
    while (publishers[i] != NULL && (pkt = client_next(publishers[i])) != NULL) {
        if (pkt->type == SMQ_PUBACK || pkt->type == SMQ_PUBREC) {
            assert_int_equal(pkt->ack.id, at.acked[i] + 1);
            at.acked[i]++;
            if (pkt->type == SMQ_PUBREC) {
                client_send_ack(publishers[i], SMQ_PUBREL, (uint16_t)at.acked[i], 0);
            }
        }
    }
}

static void note_point(void)
{
    assert_true(n_points < SMQ_ARRAY_LEN(points));
    points[n_points] = at;
    points[n_points].now = bed.now;
    points[n_points++].disk = copy_disk(&disk);
}

/* Everything that waits is committed, one after the other; before each the power might go. */
static void commit_all(void)
{
    do {
        for (unsigned i = 0; i < PUBLISHERS; i++) {
            hear_publisher(i);
        }
        note_point();
    } while (disk.n_waiting != 0 && (bed_commit(&bed, 1), true));
}

/* Such are published to a topic of their own, and retained. */
static bool is_retained(unsigned n)
{
    return n % 4 == 3;
}

static void publish_some(unsigned i)
{
    char text[32], topic[8] = "t";
    snprintf(text, sizeof text, "%u %u", i, at.sent[i]);
    bool retain = is_retained(at.sent[i]);
    if (retain) {
        snprintf(topic, sizeof topic, "r%u", i);
    }
    uint8_t qos = (uint8_t)(1 + (at.sent[i] + i) % 2);
    at.sent[i]++;
    client_send_publish(publishers[i], topic, text, qos, retain, (uint16_t)at.sent[i]);
}

static void take_one(struct client *c, unsigned reader, bool once)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(c)) != NULL) {
        unsigned pub, n;
        char text[32] = {0};
        uint16_t id = pkt->type == SMQ_PUBLISH ? pkt->publish.id : pkt->ack.id;
        if (pkt->type == SMQ_PUBREL) {
            client_send_ack(c, SMQ_PUBCOMP, id, 0);
            continue;
        }
        assert_int_equal(pkt->type, SMQ_PUBLISH);
        uint8_t qos = pkt->publish.qos;
        memcpy(text, pkt->publish.payload.data, pkt->publish.payload.len);
        assert_int_equal(sscanf(text, "%u %u", &pub, &n), 2);
        assert_false(once && got[reader][pub][n]);
        got[reader][pub][n] = true;
        client_send_ack(c, qos == 1 ? SMQ_PUBACK : SMQ_PUBREC, id, 0);
    }
}

/* One member got each, and no two. */
static void check_group(const struct point *p)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        take_one(connect_present(member_name(i), true), READERS, true);
    }
    for (unsigned pub = 0; pub < PUBLISHERS; pub++) {
        for (unsigned n = 0; n < p->acked[pub]; n++) {
            assert_true(got[READERS][pub][n] != is_retained(n));
        }
    }
}

/* The last one that was acknowledged, or a later one. */
static void check_retained(const struct point *p, unsigned pub)
{
    char topic[8];
    unsigned least = p->acked[pub];
    while (least != 0 && !is_retained(least - 1)) {
        least--;
    }
    struct client *c = client_connect(&bed, SMQTT_V5, "late", true);
    snprintf(topic, sizeof topic, "r%u", pub);
    client_subscribe(c, topic, 0);
    const struct smq_packet *pkt = client_next(c);
    assert_true(pkt != NULL || least == 0);
    if (pkt != NULL) {
        char text[32] = {0};
        unsigned of, n;
        memcpy(text, pkt->publish.payload.data, pkt->publish.payload.len);
        assert_int_equal(sscanf(text, "%u %u", &of, &n), 2);
        assert_true(of == pub && n + 1 >= least && n < p->sent[pub]);
    }
    client_expect_none(c);
}

/* A broker that is started in one of those moments has all that was acknowledged, for everybody, once. */
static void check_point(struct point *p, unsigned count)
{
    disk = p->disk;
    now = p->now;
    now.mono = 77;
    memset(got, 0, sizeof got);
    revive(count);
    assert_int_equal(counts.dropped, 0);
    kill_bed();
    expect_stable(count);
    revive(count);
    for (unsigned i = 0; i < READERS; i++) {
        struct client *c = connect_present(reader_name(i), true);
        take_one(c, i, true);
        for (unsigned pub = 0; pub < PUBLISHERS; pub++) {
            for (unsigned n = 0; n < p->acked[pub]; n++) {
                assert_true(got[i][pub][n] == (i % 2 == 0 || !is_retained(n)));
            }
        }
    }
    check_group(p);
    for (unsigned pub = 0; pub < PUBLISHERS; pub++) {
        check_retained(p, pub);
    }
    over();
}

static void play(unsigned count, unsigned rounds)
{
    first(count);
    memset(&at, 0, sizeof at);
    n_points = 0;
    for (unsigned i = 0; i < READERS; i++) {
        away(reader_name(i), i % 2 ? "t" : "+", 2);
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        away(member_name(i), "$share/g/t", 1);
    }
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "pub%u", i);
        publishers[i] = client_connect(&bed, SMQTT_V5, name, i != 0);
    }
    disk.by_hand = true;
    for (unsigned n = 0; n < rounds; n++) {
        for (size_t k = chance(4); k != 0; k--) {
            publish_some((unsigned)chance(PUBLISHERS));
        }
        commit_all();
    }
    bed_stop(&bed);
    disk_free(&disk);
}

static void killed_at_any_commit(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(changes); i++) {
        play(changes[i].before, 12);
        for (size_t k = 0; k < n_points; k++) {
            hash_key = (uint8_t)(k % 3);
            check_point(&points[k], changes[i].after);
        }
    }
}

/* ------------------------------------------------------------ damage */

static void fill(unsigned count)
{
    first(count);
    away("one", "#", 2);
    away("two", "t/+", 1);
    away("member", "$share/g/t/#", 2);
    struct client *c = client_connect(&bed, SMQTT_V5, "online", false);
    client_subscribe(c, "t/#", 2);
    struct smq_packet pkt = with_will("willing", 1000, 0);
    client_connect_pkt(&bed, &pkt);
    struct client *pub = client_connect(&bed, SMQTT_V5, "pub", false);
    for (unsigned n = 0; n < 12; n++) {
        static const char *const topics[] = {"t/a", "t/b", "x"};
        client_publish(pub, topics[n % 3], "payload", (uint8_t)(n % 3), n % 4 == 0);
    }
    client_send_ack(c, SMQ_PUBREC, 2, 0);
    client_send_publish(pub, "t/a", "open", 2, false, 77);
    kill_bed();
}

static void damage_row(struct disk_row *row)
{
    if (chance(3) == 0 && row->value_len != 0) {
        row->value_len -= 1 + chance(row->value_len);
    } else if (chance(3) == 0) {
        row->key[chance(row->key_len)] ^= (uint8_t)(1 + chance(255));
    } else if (row->value_len != 0) {
        row->value[chance(row->value_len)] ^= (uint8_t)(1 + chance(255));
    }
}

static int by_key(const void *a, const void *b)
{
    const struct disk_row *x = a, *y = b;
    size_t len = x->key_len < y->key_len ? x->key_len : y->key_len;
    int by = memcmp(x->key, y->key, len);
    return by != 0 ? by : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

/* Rows are lost, cut, changed: the broker starts, and starts again without a word. */
static void damage_does_no_harm(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count += 3) {
        fill(count);
        struct disk whole = disk;
        for (unsigned n = 0; n < 1500; n++) {
            disk = copy_disk(&whole);
            size_t lost = chance(3) == 0 ? 0 : chance(disk.n);
            for (size_t k = 1 + chance(3); k != 0; k--) {
                damage_row(&disk.rows[chance(disk.n)]);
            }
            if (lost != 0) {
                free(disk.rows[lost].key);
                free(disk.rows[lost].value);
                disk.rows[lost] = disk.rows[--disk.n];
            }
            qsort(disk.rows, disk.n, sizeof *disk.rows, by_key);
            prepare(1 + (unsigned)chance(4));
            bed_start(&bed);
            smqtt_err err = recover_with(&bed.mem.mem);
            assert_true(err == SMQTT_OK || err == SMQTT_E_BAD_VERSION);
            if (err == SMQTT_OK) {
                commit_recovered();
                struct client *c = client_connect(&bed, SMQTT_V5, "one", false);
                client_drain(c);
                client_break(c);
                bed_pass(&bed, 10);
            }
            unsigned workers = bed.count;
            kill_bed();
            if (err == SMQTT_OK) {
                prepare(workers);
                bed_start(&bed);
                assert_int_equal(recover_with(&bed.mem.mem), SMQTT_OK);
                kill_bed();
            }
            disk_free(&disk);
        }
        disk = whole;
        disk_free(&disk);
    }
}

static void a_later_format_is_left_alone(void **state)
{
    (void)state;
    first(1);
    kill_bed();
    uint8_t value[64];
    struct smq_wr wr = smq_wr_of(value, sizeof value);
    smq_row_write_workers(&wr, &(struct smq_row_workers){.format = SMQ_STORE_FORMAT + 1, .count = 1});
    assert_true(disk.n == 1 && disk.rows[0].value_len == wr.len);
    memcpy(disk.rows[0].value, value, wr.len);
    prepare(1);
    bed_start(&bed);
    assert_int_equal(recover_with(&bed.mem.mem), SMQTT_E_BAD_VERSION);
    assert_false(disk_take(&disk, bed.w));
    over();
}

static void without_memory_it_is_said(void **state)
{
    (void)state;
    fill(2);
    for (unsigned count = 1; count <= 3; count += 2) {
        size_t nth = 1;
        for (bool failed = true; failed; nth++) {
            struct disk kept = copy_disk(&disk);
            prepare(count);
            bed_start(&bed);
            failing_mem_arm(&bed.mem, nth);
            smqtt_err err = recover_with(&bed.mem.mem);
            failed = bed.mem.made >= nth;
            failing_mem_arm(&bed.mem, 0);
            struct smq_worker_stats stats;
            bed_stats(&bed, &stats);
            if (err == SMQTT_OK) {
                assert_int_equal(stats.sessions, 6);
                assert_int_equal(stats.shared_subscriptions, 1);
                assert_int_equal(stats.retained, 3);
            }
            assert_true(err == SMQTT_OK || (failed && err == SMQTT_E_NOMEM));
            bed_stop(&bed);
            disk_free(&disk);
            disk = kept;
        }
        assert_true(nth > 50);
    }
    disk_free(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_any_commit),
        cmocka_unit_test(damage_does_no_harm),
        cmocka_unit_test(a_later_format_is_left_alone),
        cmocka_unit_test(without_memory_it_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
