/* SPDX-License-Identifier: Apache-2.0 */
#include "lives.h"

#include <stdlib.h>

struct bed bed;
struct disk disk;
struct smqtt_now now;
struct smq_recovery_counts counts;
uint8_t hash_key;
static uint64_t chances = 3;

size_t chance(size_t below)
{
    return test_random_below(&chances, below);
}

/* ------------------------------------------------------------ beds that come and go */

void prepare(unsigned count)
{
    bed_init(&bed);
    bed.count = count;
    bed.disk = &disk;
    bed.now = now;
    bed.env.hash_key[3] ^= hash_key;
    bed.rng = test_random(&chances); /* no sid twice */
}

static smqtt_err read_rows(struct smq_recovery *r)
{
    smqtt_err err = SMQTT_OK;
    for (size_t i = 0; i < disk.n && err == SMQTT_OK; i++) {
        smq_span key, value;
        disk_row(&disk, i, &key, &value);
        err = smq_recovery_row(r, key, value);
    }
    return err;
}

smqtt_err recover_with(const struct smqtt_mem *mem)
{
    struct smq_recovery *r;
    smqtt_err err = smq_recovery_new(bed.workers, bed.count, mem, bed.now, &r);
    if (err == SMQTT_OK) {
        err = read_rows(r);
        err = err == SMQTT_OK ? smq_recovery_finish(r, &counts) : err;
        smq_recovery_free(r);
    }
    return err;
}

/* All that recovery has written is one commit. */
size_t commit_recovered(void)
{
    for (unsigned i = 0; i < bed.count; i++) {
        for (unsigned to = 0; to < bed.count; to++) {
            assert_null(smq_worker_take_batch(bed.workers[i], to));
        }
        disk_take(&disk, bed.workers[i]);
    }
    size_t before = disk.n_writes;
    disk_commit(&disk, bed.workers, SIZE_MAX, bed.now);
    size_t n = disk.n_writes - before;
    bed_turn(&bed);
    return n;
}

/* A bed in what the disk says. */
void revive(unsigned count)
{
    prepare(count);
    bed_start(&bed);
    assert_int_equal(recover_with(&bed.mem.mem), SMQTT_OK);
    commit_recovered();
}

void first(unsigned count)
{
    now = (struct smqtt_now){.wall = UINT64_C(1700000000000), .mono = 5000};
    hash_key = 0;
    disk_init(&disk);
    revive(count);
}

static uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len != 0 ? len : 1);
    if (len != 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

struct disk copy_disk(const struct disk *from)
{
    struct disk to;
    disk_init(&to);
    to.rows = calloc(from->n != 0 ? from->n : 1, sizeof *to.rows);
    to.n = to.cap = from->n;
    for (size_t i = 0; i < from->n; i++) {
        to.rows[i] = from->rows[i];
        to.rows[i].key = copy_of(from->rows[i].key, from->rows[i].key_len);
        to.rows[i].value = copy_of(from->rows[i].value, from->rows[i].value_len);
    }
    return to;
}

/* The power goes: what was committed stays. Nothing of what the bed does at its end counts. */
void kill_bed(void)
{
    struct disk kept = copy_disk(&disk);
    now = bed.now;
    bed_stop(&bed);
    disk_free(&disk);
    disk = kept;
}

/* One more start finds nothing to do. */
void expect_stable(unsigned count)
{
    prepare(count);
    bed_start(&bed);
    assert_int_equal(recover_with(&bed.mem.mem), SMQTT_OK);
    assert_int_equal(commit_recovered(), 0);
    assert_int_equal(counts.owed + counts.dropped + counts.ended + counts.wills, 0);
    kill_bed();
}

/* The broker is killed, and after ms there is another one. */
void restart_after(unsigned count, smqtt_ms ms)
{
    kill_bed();
    now.wall += ms;
    now.mono = 100 + chance(1000); /* a machine that was started anew */
    revive(count);
    struct smq_recovery_counts found = counts;
    kill_bed();
    expect_stable(count);
    revive(count);
    counts = found;
}

void restart(unsigned count)
{
    restart_after(count, 10);
}

void over(void)
{
    bed_stop(&bed);
    disk_free(&disk);
}

size_t rows(enum smq_table table)
{
    return disk_count(&disk, table, 0, 0);
}

struct client *connect_present(const char *id, bool present)
{
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    client_send(c, &pkt);
    const struct smq_packet *ack = client_expect(c, SMQ_CONNACK);
    assert_int_equal(ack->connack.reason, 0);
    assert_int_equal(ack->connack.session_present, present);
    return c;
}

void away(const char *id, const char *filter, uint8_t qos)
{
    struct client *c = client_connect(&bed, SMQTT_V5, id, false);
    client_subscribe(c, filter, qos);
    client_disconnect(c);
}

/* As client_take, but the next messages may come before PUBREL, and what is acknowledged may still be on its way. */
void take(struct client *c, const char *topic, const char *payload, uint8_t qos)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(c)) != NULL && pkt->type == SMQ_PUBREL) {
        client_send_ack(c, SMQ_PUBCOMP, pkt->ack.id, 0);
    }
    assert_true(pkt != NULL && pkt->type == SMQ_PUBLISH);
    assert_true(span_is(pkt->publish.topic, topic) && span_is(pkt->publish.payload, payload));
    assert_int_equal(pkt->publish.qos, qos);
    client_send_ack(c, qos == 1 ? SMQ_PUBACK : SMQ_PUBREC, pkt->publish.id, 0);
}

/* That were all. */
void taken(struct client *c)
{
    const struct smq_packet *pkt;
    while ((pkt = client_next(c)) != NULL) {
        assert_int_equal(pkt->type, SMQ_PUBREL);
        client_send_ack(c, SMQ_PUBCOMP, pkt->ack.id, 0);
    }
}

void expect_gone(uint64_t sid)
{
    assert_int_equal(sid != 0 ? disk_count(&disk, SMQ_TABLE_SESSION, sid, 0) : 0, 0);
}

struct smq_packet with_will(const char *id, uint32_t expiry_s, uint32_t delay_s)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, expiry_s);
    pkt.connect.has_will = true;
    pkt.connect.will.topic = smq_span_str("will");
    pkt.connect.will.payload = smq_span_str(id);
    pkt.connect.will.qos = 1;
    if (delay_s != 0) {
        smq_props_set_num(&pkt.connect.will.props, SMQ_PROP_WILL_DELAY, delay_s);
    }
    return pkt;
}
