/* SPDX-License-Identifier: Apache-2.0 */
/* What the disk can do without a broker: the yardstick for durable messages.
 *
 *     store_bench DIRECTORY [SECONDS]
 *
 * disk      pwrite of 128 bytes at the end of a file, fdatasync: one after the other
 * log       a plain file to which the rows of a group are appended with one write and one fdatasync
 * rocksdb   the rows of a group as one WriteBatch with sync
 *
 * A message of QoS 1 to one stored session is a QUEUE row with 64 bytes of payload, and later its removal. The groups
 * are what is committed together: with 256 publishers that wait for their acknowledgements at most 256. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/rows.h"
#include "store/store.h"

enum { PAYLOAD = 64, BEHIND = 1000 /* messages that wait in the session */ };

static const unsigned groups[] = {1, 16, 256};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int open_file(const char *dir, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        die(path);
    }
    (void)unlink(path);
    return fd;
}

static void append(int fd, const void *bytes, size_t len)
{
    if (write(fd, bytes, len) != (ssize_t)len || fdatasync(fd) != 0) {
        die("write");
    }
}

static void measure_disk(const char *dir, double seconds)
{
    uint8_t bytes[128] = {1};
    int fd = open_file(dir, "store_bench.disk");
    double begin = now_s(), end = begin;
    size_t n = 0;
    for (; end - begin < seconds; n++, end = now_s()) {
        append(fd, bytes, sizeof bytes);
    }
    (void)close(fd);
    printf("%-8s %5u %12.0f syncs/s\n", "disk", 1u, (double)n / (end - begin));
}

/* The rows of the nth message: it comes, and the one of BEHIND messages ago goes. */
static void add_message(struct smq_writes *writes, uint64_t n)
{
    static const uint8_t payload[PAYLOAD];
    const struct smqtt_now now = {.mono = 1, .wall = 1};
    struct smq_row_queue row = {
        .size = PAYLOAD + 16, .qos = 1, .expires = SMQTT_NEVER, .content = {.topic = smq_span_str("bench/durable/1")}};
    uint8_t value[512];
    struct smq_wr wr = smq_wr_of(value, sizeof value);
    row.content.payload = smq_span_of(payload, sizeof payload);
    row.content.expires = SMQTT_NEVER;
    smq_row_write_queue(&wr, &row, now);
    struct smq_key key = smq_key_queue(7, n);
    struct smq_key gone = smq_key_queue(7, n - BEHIND);
    if (!smq_wr_ok(&wr) || smq_writes_add(writes, SMQ_WRITE_PUT, smq_key_span(&key), smq_wr_span(&wr)) != SMQTT_OK ||
        smq_writes_add(writes, SMQ_WRITE_DEL, smq_key_span(&gone), smq_span_of(NULL, 0)) != SMQTT_OK) {
        die("row");
    }
}

static struct smq_writes *make_group(unsigned group, uint64_t *n)
{
    struct smq_writes *writes = smq_writes_new(NULL, 0, 1);
    if (writes == NULL) {
        die("memory");
    }
    for (unsigned i = 0; i < group; i++) {
        add_message(writes, BEHIND + (*n)++);
    }
    return writes;
}

static void say(const char *name, unsigned group, uint64_t n, double took)
{
    printf("%-8s %5u %12.0f messages/s %10.0f rows/s %8.0f syncs/s\n", name, group, (double)n / took,
           2 * (double)n / took, (double)n / group / took);
}

static void measure_log(const char *dir, unsigned group, double seconds)
{
    int fd = open_file(dir, "store_bench.log");
    uint64_t n = 0;
    double begin = now_s(), end = begin;
    for (; end - begin < seconds; end = now_s()) {
        struct smq_writes *writes = make_group(group, &n);
        append(fd, writes->bytes, writes->len);
        smq_writes_free(writes);
    }
    (void)close(fd);
    say("log", group, n, end - begin);
}

static void measure_store(const struct smq_store_kind *kind, const char *dir, unsigned group, double seconds)
{
    char path[4096];
    struct smq_store *store = NULL;
    struct smq_store_why why;
    (void)snprintf(path, sizeof path, "%s/store_bench.%s", dir, kind->name);
    (void)mkdir(path, 0700);
    if (kind->open(path, SMQ_STORE_READ_WRITE, NULL, &store, &why) != SMQTT_OK) {
        fprintf(stderr, "store_bench: %s\n", why.text);
        exit(1);
    }
    uint64_t n = 0;
    double begin = now_s(), end = begin;
    for (; end - begin < seconds; end = now_s()) {
        struct smq_writes *writes = make_group(group, &n);
        if (kind->write(store, &writes, 1, true, &why) != SMQTT_OK) {
            fprintf(stderr, "store_bench: %s\n", why.text);
            exit(1);
        }
        smq_writes_free(writes);
    }
    say(kind->name, group, n, end - begin);
    kind->close(store);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr,
                "usage: store_bench DIRECTORY [SECONDS]\n"
                "DIRECTORY is on the disk that is measured; what is left behind there begins with store_bench.\n");
        return 2;
    }
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 3;
    measure_disk(argv[1], seconds);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(groups); i++) {
        measure_log(argv[1], groups[i], seconds);
    }
    for (const struct smq_store_kind *const *kind = smq_store_kinds(); *kind != NULL; kind++) {
        for (size_t i = 0; i < SMQ_ARRAY_LEN(groups); i++) {
            measure_store(*kind, argv[1], groups[i], seconds);
        }
    }
    return 0;
}
