/* SPDX-License-Identifier: Apache-2.0 */
/* How long a start takes, without a disk: rows of a million retained and a million queued messages are made and given
 * to the recovery. Run by hand:
 *
 *     recover_bench [messages of each kind]
 *
 * A line tells the seconds of CPU time, the bytes that the workers hold afterwards, and the most that was held at any
 * time, writes for the store included. "same" are as many workers as before, "moved" is a store of one worker. Messages
 * stand in the row of their one receiver ("own"), or have two, whose rows name a body ("shared"). */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/siphash.h"
#include "broker/ledger.h"
#include "broker/recover.h"
#include "broker/rows.h"
#include "broker/worker.h"
#include "broker/writes.h"

enum { WORKERS = 4, SESSIONS = 1000, PAYLOAD = 64, ROOM = 512, ID = 24 };

static const struct smqtt_now now = {1700000000000, 1000};
static struct smq_recovery *recovery;
static struct smq_worker *workers[WORKERS];
static struct smq_ledger ledger;
static size_t held, most;
static uint8_t value_room[ROOM];

struct session {
    char id[ID];
    unsigned owner; /* worker that wrote its bodies */
};
static struct session sessions[SESSIONS];

/* ------------------------------------------------------------ memory that counts */

static void *count(void *ptr)
{
    held += ptr != NULL ? malloc_usable_size(ptr) : 0;
    most = held > most ? held : most;
    return ptr;
}

static void *counting_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return count(malloc(size));
}

static void *counting_resize(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    size_t before = ptr != NULL ? malloc_usable_size(ptr) : 0;
    void *larger = realloc(ptr, size);
    held -= larger != NULL ? before : 0;
    return count(larger);
}

static void counting_release(void *ctx, void *ptr)
{
    (void)ctx;
    held -= ptr != NULL ? malloc_usable_size(ptr) : 0;
    free(ptr);
}

static const struct smqtt_mem mem = {counting_alloc, counting_resize, counting_release, NULL};

/* ------------------------------------------------------------ rows */

static void die(const char *what)
{
    fprintf(stderr, "recover_bench: %s\n", what);
    exit(1);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 7, len);
    return true;
}

static void give(smq_span key, const struct smq_wr *value)
{
    if (!smq_wr_ok(value) || smq_recovery_row(recovery, key, smq_wr_span(value)) != SMQTT_OK) {
        die("a row was refused");
    }
}

static void give_fixed(struct smq_key key, const struct smq_wr *value)
{
    give(smq_key_span(&key), value);
}

static struct smq_content content(const char *topic, bool retain)
{
    static const uint8_t payload[PAYLOAD] = {'x'};
    return (struct smq_content){.topic = smq_span_str(topic),
                                .payload = smq_span_of(payload, sizeof payload),
                                .expires = SMQTT_NEVER,
                                .version = retain ? 1 : 0,
                                .qos = 1,
                                .retain = retain};
}

static void give_meta(unsigned before, const uint8_t key[16])
{
    struct smq_row_workers row = {.format = SMQ_STORE_FORMAT, .count = before};
    memcpy(row.hash_key, key, sizeof row.hash_key);
    uint8_t key_room[SMQ_KEY_FIXED];
    struct smq_wr k = smq_wr_of(key_room, sizeof key_room), v = smq_wr_of(value_room, ROOM);
    smq_key_write_named(&k, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
    smq_row_write_workers(&v, &row);
    give(smq_wr_span(&k), &v);
}

static uint64_t mid_of(unsigned pair, uint32_t n, uint32_t each)
{
    return (uint64_t)sessions[pair * 2].owner << SMQ_MID_SHIFT | ((uint64_t)pair * each + n);
}

/* A session with `each` messages; those of a pair name the same bodies. */
static void give_session(unsigned i, uint32_t each, bool shared)
{
    struct smq_wr v = smq_wr_of(value_room, ROOM);
    struct smq_row_head head = {
        .client_id = smq_span_str(sessions[i].id), .expiry_s = UINT32_MAX, .listener_id = 1, .away_since = now.wall};
    smq_row_write_head(&v, &head);
    give_fixed(smq_key_session_row(i + 1, SMQ_ROW_HEAD), &v);
    struct smq_content c = content("plant/line/queued", false);
    for (uint32_t n = 1; n <= each; n++) {
        struct smq_row_queue row = {.mid = shared ? mid_of(i / 2, n, each) : 0,
                                    .size = (uint32_t)smq_msg_size(&c),
                                    .expires = SMQTT_NEVER,
                                    .qos = 1,
                                    .content = c};
        v = smq_wr_of(value_room, ROOM);
        smq_row_write_queue(&v, &row, now);
        give_fixed(smq_key_queue(i + 1, n), &v);
    }
}

static void give_bodies(uint32_t each)
{
    struct smq_content c = content("plant/line/queued", false);
    struct smq_row_body row = {.content = c};
    for (unsigned owner = 0; owner < WORKERS; owner++) {
        for (unsigned pair = 0; pair < SESSIONS / 2; pair++) {
            for (uint32_t n = 1; sessions[pair * 2].owner == owner && n <= each; n++) {
                struct smq_wr v = smq_wr_of(value_room, ROOM);
                smq_row_write_body(&v, &row, now);
                give_fixed(smq_key_body(mid_of(pair, n, each)), &v);
            }
        }
    }
}

static void give_retained(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char topic[40];
        uint8_t key_room[64];
        snprintf(topic, sizeof topic, "plant/%04u/device%07u/state", i / 1000, i);
        struct smq_content c = content(topic, true);
        struct smq_wr k = smq_wr_of(key_room, sizeof key_room), v = smq_wr_of(value_room, ROOM);
        smq_key_write_named(&k, SMQ_TABLE_RETAINED, c.topic);
        smq_row_write_content(&v, &c, now);
        give(smq_wr_span(&k), &v);
    }
}

/* ------------------------------------------------------------ one start */

static unsigned owner_of(const struct smq_worker_env *env, unsigned count_before, const char *id)
{
    return (unsigned)(smq_siphash13(env->hash_key, smq_span_str(id)) % count_before);
}

/* Both of a pair were with one worker, the one that it says. */
static void name_sessions(const struct smq_worker_env *env, unsigned before)
{
    unsigned next = 0;
    for (unsigned i = 0; i < SESSIONS; i++) {
        unsigned want = sessions[i & ~1u].owner;
        do {
            snprintf(sessions[i].id, ID, "client%u", next++);
        } while ((i & 1) != 0 && owner_of(env, before, sessions[i].id) != want);
        sessions[i].owner = owner_of(env, before, sessions[i].id);
    }
}

static void start(const char *name, unsigned before, unsigned n, uint32_t messages, bool shared)
{
    struct smq_worker_env env = {.mem = &mem, .rng = {fill, NULL}, .count = n, .ledger = &ledger, .has_store = true};
    struct smq_broker_config config;
    struct smq_recovery_counts counts;
    smq_broker_config_default(&config);
    config.sys_interval_s = 0;
    memcpy(env.hash_key, "0123456789abcdef", sizeof env.hash_key);
    memset(&ledger, 0, sizeof ledger);
    name_sessions(&env, before);
    for (env.index = 0; env.index < n; env.index++) {
        if (smq_worker_new(&env, &config, now, &workers[env.index]) != SMQTT_OK) {
            die("no worker");
        }
    }
    most = held;
    double began = cpu_seconds();
    if (smq_recovery_new(workers, n, &mem, now, &recovery) != SMQTT_OK) {
        die("no recovery");
    }
    give_meta(before, env.hash_key);
    for (unsigned i = 0; i < SESSIONS; i++) {
        give_session(i, messages / SESSIONS, shared);
    }
    if (shared) {
        give_bodies(messages / SESSIONS);
    }
    give_retained(messages);
    if (smq_recovery_finish(recovery, &counts) != SMQTT_OK) {
        die("not finished");
    }
    smq_recovery_free(recovery);
    size_t writes = 0;
    for (unsigned i = 0; i < n; i++) {
        struct smq_writes *w = smq_worker_take_writes(workers[i]);
        writes += w != NULL ? w->n_writes : 0;
        smq_writes_free(w);
    }
    printf("%-13s %u worker%s  %5.2f s  %6.1f MB held  %6.1f MB at most  %8zu writes  (%llu queued, %llu retained)\n",
           name, n, n == 1 ? " " : "s", cpu_seconds() - began, (double)held / 1e6, (double)most / 1e6, writes,
           (unsigned long long)counts.queued, (unsigned long long)counts.retained);
    for (unsigned i = 0; i < n; i++) {
        smq_worker_free(workers[i]);
    }
}

int main(int argc, char **argv)
{
    uint32_t messages = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    start("own", 1, 1, messages, false);
    start("own", WORKERS, WORKERS, messages, false);
    start("shared", 1, 1, messages, true);
    start("shared", WORKERS, WORKERS, messages, true);
    start("own, moved", 1, WORKERS, messages, false);
    start("shared, moved", 1, WORKERS, messages, true);
    return 0;
}
