/* SPDX-License-Identifier: Apache-2.0 */
#include "transit.h"
#include "broker/internal.h"

struct bed bed;
struct disk disk;

void transit_begin(unsigned count)
{
    bed_init(&bed);
    disk_init(&disk);
    bed.disk = &disk;
    bed.count = count;
    bed_start(&bed);
}

void transit_end(void)
{
    bed_stop(&bed);
    disk_free(&disk);
}

const char *name_of(unsigned worker, const char *prefix)
{
    static char names[16][24];
    static unsigned next;
    char *name = names[next++ % 16];
    for (unsigned i = 0;; i++) {
        snprintf(name, sizeof names[0], "%s%u", prefix, i);
        if (smq_worker_owner(bed.w, smq_span_str(name)) == worker) {
            return name;
        }
    }
}

/* A client whose session is stored, or not, on that worker. */
struct client *client_on(unsigned worker, const char *prefix, bool stored)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, name_of(worker, prefix), !stored);
    if (stored) {
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    }
    struct client *c = client_connect_pkt(&bed, &pkt);
    assert_ptr_equal(c->w, bed.workers[worker]);
    return c;
}

size_t bodies(void)
{
    return disk_count(&disk, SMQ_TABLE_BODY, 0, 0);
}

size_t queued(void)
{
    size_t n = 0;
    for (size_t i = 0; i < disk.n; i++) {
        smq_span key, value;
        struct smq_key_parts parts;
        disk_row(&disk, i, &key, &value);
        n += smq_key_read(key, &parts) && parts.table == SMQ_TABLE_SESSION && parts.kind == SMQ_ROW_QUEUE;
    }
    return n;
}

uint64_t passed(unsigned to, unsigned from)
{
    struct smq_key key = smq_key_passed(to, from);
    uint64_t n = 0;
    smq_span value = disk_get(&disk, smq_key_span(&key));
    assert_true(value.data == NULL || smq_row_read_number(value, &n));
    return n;
}

/* Messages that are on their way from worker to worker, as a recovery would see it. */
size_t in_transit(void)
{
    size_t n = 0;
    for (size_t i = 0; i < disk.n; i++) {
        smq_span key, value;
        struct smq_key_parts parts;
        struct smq_row_body row;
        disk_row(&disk, i, &key, &value);
        if (!smq_key_read(key, &parts) || parts.table != SMQ_TABLE_BODY) {
            continue;
        }
        assert_true(smq_row_read_body(value, bed.now, &row));
        for (unsigned to = 0; to < bed.count; to++) {
            n += (row.peers >> to & 1) != 0 && parts.n > passed(to, (unsigned)(parts.n >> SMQ_MID_SHIFT));
        }
    }
    return n;
}

void expect_nothing_left(void)
{
    assert_int_equal(bodies(), 0);
    assert_int_equal(queued(), 0);
    for (unsigned i = 0; i < bed.count; i++) {
        assert_true(smq_list_is_empty(&bed.workers[i]->bodies));
        for (unsigned peer = 0; bed.count > 1 && peer < bed.count; peer++) {
            assert_int_equal(bed.workers[i]->peers.of[peer].transit.n, 0);
        }
    }
}
