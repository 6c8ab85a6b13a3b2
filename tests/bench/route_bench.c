/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries per second of CPU time through the pure worker: no socket, the clients are bytes. Run by hand:
 *
 *     route_bench [seconds for each row]
 *     route_bench -n windows row       so many windows of each publisher in one row (from 0), for tools that count
 *
 * Bytes come in as a shell reads them (a window of packets at a time), what goes out is thrown away, acknowledgements
 * are played. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/worker.h"
#include "codec/packet.h"

enum { WINDOW = 64, CLIENTS_MAX = 520, SPANS = 64, BUF = 1 << 20, FILTERS = 1000000 };

struct peer {
    struct smq_conn *conn;
    uint8_t acks[4 * 4096];
    size_t n_acks;
    unsigned subscriber;
};

static struct smq_worker *worker;
static struct peer peers[CLIENTS_MAX];
static const struct smq_listener_config listener = {.allow_anonymous = true};
static struct smqtt_now now = {1700000000000, 1000};
static uint64_t deliveries;
static const struct smqtt_mem *bench_mem; /* NULL: the C library's */

static void die(const char *what)
{
    fprintf(stderr, "route_bench: %s\n", what);
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

static void feed(struct peer *p, const uint8_t *bytes, size_t len)
{
    size_t used, need;
    smq_worker_feed(worker, p->conn, smq_span_of(bytes, len), &used, &need, now);
    if (used != len) {
        die("not everything was taken");
    }
}

/* Looks at the headers of what a subscriber gets, and prepares its answers. */
static void read_output(struct peer *p, const uint8_t *at, size_t len)
{
    while (len != 0) {
        size_t body = at[1] & 0x7F, head = 2;
        for (unsigned shift = 7; (at[head - 1] & 0x80) != 0; shift += 7) {
            body |= (size_t)(at[head] & 0x7F) << shift;
            head++;
        }
        unsigned type = at[0] >> 4, qos = at[0] >> 1 & 3;
        uint8_t *ack = p->acks + p->n_acks;
        if (type == SMQ_PUBLISH) {
            deliveries++;
            if (qos != 0) {
                const uint8_t *id = at + head + 2 + (size_t)(at[head] << 8 | at[head + 1]);
                ack[0] = (uint8_t)(qos == 1 ? SMQ_PUBACK << 4 : SMQ_PUBREC << 4);
                ack[1] = 2;
                memcpy(ack + 2, id, 2);
                p->n_acks += 4;
            }
        } else if (type == SMQ_PUBREL || type == SMQ_PUBREC) {
            ack[0] = (uint8_t)(type == SMQ_PUBREL ? SMQ_PUBCOMP << 4 : SMQ_PUBREL << 4 | 2);
            ack[1] = 2;
            memcpy(ack + 2, at + head, 2);
            p->n_acks += 4;
        }
        at += head + body;
        len -= head + body;
    }
}

static uint8_t gathered[BUF];

static void turn(void)
{
    struct smq_conn *conn;
    while ((conn = smq_worker_next_dirty(worker)) != NULL) {
        struct peer *p = smq_conn_user(conn);
        struct smqtt_span spans[SPANS];
        size_t n, len = 0;
        while ((n = smq_conn_output(conn, spans, SPANS)) != 0) {
            len = 0;
            for (size_t i = 0; i < n; i++) {
                memcpy(gathered + len, spans[i].data, spans[i].len);
                len += spans[i].len;
            }
            smq_conn_sent(worker, conn, len, now);
            read_output(p, gathered, len);
        }
        if (p->n_acks != 0) {
            size_t acks = p->n_acks;
            uint8_t copy[sizeof p->acks];
            memcpy(copy, p->acks, acks);
            p->n_acks = 0;
            feed(p, copy, acks);
        }
    }
}

static void send_packet(struct peer *p, const struct smq_packet *pkt)
{
    static uint8_t buf[BUF];
    struct smq_codec codec = {.version = SMQTT_V311, .from = SMQ_FROM_CLIENT};
    struct smq_wr wr = smq_wr_of(buf, sizeof buf);
    if (smq_packet_write(&codec, pkt, &wr) != SMQTT_OK) {
        die("a packet cannot be written");
    }
    feed(p, buf, wr.len);
    turn();
}

static void connect_peer(struct peer *p, unsigned i)
{
    char id[16];
    snprintf(id, sizeof id, "c%u", i);
    *p = (struct peer){0};
    if (smq_worker_open(worker, &listener, smq_span_str("bench"), p, now, &p->conn) != SMQTT_OK) {
        die("no connection");
    }
    struct smq_packet pkt = {.type = SMQ_CONNECT};
    pkt.connect.version = SMQTT_V311;
    pkt.connect.clean_start = true;
    pkt.connect.client_id = smq_span_str(id);
    smq_props_clear(&pkt.connect.props);
    send_packet(p, &pkt);
}

static void subscribe(struct peer *p, const char *filter, uint8_t qos)
{
    struct smq_filter f = {smq_span_str(filter), qos};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 1;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = &f;
    smq_props_clear(&pkt.subscribe.props);
    send_packet(p, &pkt);
}

static size_t window_of(uint8_t *out, const char *topic, size_t payload, uint8_t qos)
{
    struct smq_codec codec = {.version = SMQTT_V311, .from = SMQ_FROM_CLIENT};
    struct smq_wr wr = smq_wr_of(out, BUF);
    static uint8_t text[65536];
    memset(text, 'x', sizeof text);
    for (uint16_t i = 1; i <= WINDOW; i++) {
        struct smq_packet pkt = {.type = SMQ_PUBLISH};
        pkt.publish.qos = qos;
        pkt.publish.id = qos != 0 ? i : 0;
        pkt.publish.topic = smq_span_str(topic);
        pkt.publish.payload = smq_span_of(text, payload);
        smq_props_clear(&pkt.publish.props);
        if (smq_packet_write(&codec, &pkt, &wr) != SMQTT_OK) {
            die("a packet cannot be written");
        }
    }
    return wr.len;
}

struct row {
    const char *name;
    unsigned publishers, subscribers; /* as many of both: pairs; subscribers 1 or publishers 1: everyone */
    size_t payload;
    uint8_t qos;
};

static void worker_begin(struct smq_broker_config *config)
{
    smq_broker_config_default(config);
    config->sys_interval_s = 0;
    config->log_connections = false;
    config->max_inflight_messages = 100;
    static struct smq_worker_env env = {.rng = {fill, NULL}, .count = 1};
    env.mem = bench_mem;
    memcpy(env.hash_key, "0123456789abcdef", 16);
    if (smq_worker_new(&env, config, now, &worker) != SMQTT_OK) {
        die("no worker");
    }
}

static void worker_end(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        smq_worker_lost(worker, peers[i].conn, SMQTT_OK, now);
        smq_conn_release(worker, peers[i].conn, now);
    }
    smq_worker_free(worker);
}

static void topic_of(const struct row *row, unsigned i, char out[64])
{
    if (row->publishers == row->subscribers) {
        snprintf(out, 64, "bench/pair/%u", i);
    } else {
        snprintf(out, 64, "bench/all");
    }
}

static size_t n_allocs; /* so far, of what `windows` counts */

static void *note_alloc(void *ctx, size_t size)
{
    (void)ctx;
    n_allocs++;
    return malloc(size);
}

static void *note_resize(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    n_allocs++;
    return realloc(ptr, size);
}

static void note_release(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

/* For so many CPU seconds, or, with n_windows != 0, that often. */
static void run(const struct row *row, double seconds, unsigned n_windows)
{
    static const struct smqtt_mem noting = {note_alloc, note_resize, note_release, NULL};
    struct smq_broker_config config;
    static uint8_t *windows[CLIENTS_MAX], scratch[BUF];
    static size_t lens[CLIENTS_MAX];
    char topic[64];
    bench_mem = n_windows != 0 ? &noting : NULL;
    worker_begin(&config);
    unsigned n = row->publishers + row->subscribers;
    for (unsigned i = 0; i < n; i++) {
        connect_peer(&peers[i], i);
    }
    for (unsigned i = 0; i < row->subscribers; i++) {
        topic_of(row, i, topic);
        subscribe(&peers[row->publishers + i], topic, row->qos);
    }
    for (unsigned i = 0; i < row->publishers; i++) {
        topic_of(row, i, topic);
        lens[i] = window_of(scratch, topic, row->payload, row->qos);
        windows[i] = malloc(lens[i]);
        memcpy(windows[i], scratch, lens[i]);
    }
    deliveries = 0;
    n_allocs = 0;
    double began = cpu_seconds(), spent = 0;
    for (unsigned done = 0; n_windows != 0 ? done < n_windows : spent < seconds; done++) {
        for (unsigned i = 0; i < row->publishers; i++) {
            feed(&peers[i], windows[i], lens[i]);
            turn();
        }
        spent = cpu_seconds() - began;
    }
    if (n_windows != 0) {
        printf("%s: %llu deliveries, %zu allocations\n", row->name, (unsigned long long)deliveries, n_allocs);
    } else {
        printf("%-34s %10.0f deliveries per CPU second\n", row->name, (double)deliveries / spent);
    }
    for (unsigned i = 0; i < row->publishers; i++) {
        free(windows[i]);
    }
    worker_end(n);
}

static size_t held; /* bytes that the worker has */

static void *count_alloc(void *ctx, size_t size)
{
    (void)ctx;
    size_t *p = malloc(size + 16);
    p[0] = size;
    held += size + 16; /* about what an allocator needs besides */
    return p + 2;
}

static void count_release(void *ctx, void *ptr)
{
    (void)ctx;
    if (ptr != NULL) {
        size_t *p = (size_t *)ptr - 2;
        held -= p[0] + 16;
        free(p);
    }
}

static void *count_resize(void *ctx, void *ptr, size_t size)
{
    void *bigger = count_alloc(ctx, size);
    if (ptr != NULL) {
        size_t old = ((size_t *)ptr - 2)[0];
        memcpy(bigger, ptr, old < size ? old : size);
        count_release(ctx, ptr);
    }
    return bigger;
}

/* Memory and time of one client with a million filters, and of clients that only sit there. */
static void run_filters(void)
{
    static const struct smqtt_mem mem = {count_alloc, count_resize, count_release, NULL};
    struct smq_broker_config config;
    char filter[64];
    bench_mem = &mem;
    worker_begin(&config);
    size_t before = held;
    enum { IDLE = 500 };
    for (unsigned i = 0; i < IDLE; i++) {
        connect_peer(&peers[i], i);
    }
    printf("%-34s %10zu bytes\n", "idle connection with its session", (held - before) / IDLE);
    before = held;
    double began = cpu_seconds();
    for (unsigned i = 0; i < FILTERS; i++) {
        snprintf(filter, sizeof filter, "dev/%u/state/+", i);
        subscribe(&peers[0], filter, 1);
    }
    printf("%-34s %10.2f s, %zu bytes each\n", "a million filters of one client", cpu_seconds() - began,
           (held - before) / FILTERS);
    static uint8_t window[BUF];
    size_t len = window_of(window, "dev/77777/state/x", 64, 0);
    deliveries = 0;
    began = cpu_seconds();
    double spent;
    do {
        feed(&peers[1], window, len);
        turn();
        spent = cpu_seconds() - began;
    } while (spent < 0.5);
    printf("%-34s %10.0f deliveries per CPU second\n", "with these, 1 -> 1 QoS 0", (double)deliveries / spent);
    worker_end(IDLE);
    if (held != 0) {
        die("memory was left behind");
    }
}

int main(int argc, char **argv)
{
    static const struct row rows[] = {
        {"fan-in 50 -> 1, QoS 0", 50, 1, 64, 0},    {"fan-in 50 -> 1, QoS 1", 50, 1, 64, 1},
        {"fan-in 50 -> 1, QoS 2", 50, 1, 64, 2},    {"fan-out 1 -> 500, QoS 0", 1, 500, 64, 0},
        {"fan-out 1 -> 500, QoS 1", 1, 500, 64, 1}, {"fan-out 1 -> 500, QoS 0, 1 KiB", 1, 500, 1024, 0},
        {"100 pairs, QoS 0", 100, 100, 64, 0},      {"100 pairs, QoS 1", 100, 100, 64, 1},
        {"100 pairs, QoS 2", 100, 100, 64, 2},      {"100 pairs, QoS 1, 1 KiB", 100, 100, 1024, 1},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    if (argc == 4 && strcmp(argv[1], "-n") == 0) {
        unsigned long windows = strtoul(argv[2], NULL, 10), row = strtoul(argv[3], NULL, 10);
        if (windows == 0 || windows > 1000000 || row >= ROWS) {
            die("-n takes a number of windows and a row from 0 to 9");
        }
        run(&rows[row], 0, (unsigned)windows);
        return 0;
    }
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
    for (size_t i = 0; i < ROWS; i++) {
        run(&rows[i], seconds, 0);
    }
    bench_mem = NULL;
    run_filters();
    return 0;
}
