/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_DISK_H
#define SMQTT_TESTS_BROKER_DISK_H
/* A store for tests: what workers gave waits in the order in which they gave it until the test commits it; the rows
 * that are there are those of what was committed. */
#include "broker/rows.h"
#include "broker/worker.h"
#include "broker/writes.h"

struct disk_row {
    uint8_t *key, *value;
    size_t key_len, value_len;
};

struct disk {
    struct disk_row *rows; /* in the order of their keys */
    size_t n, cap;
    struct smq_writes *first, *last; /* given, not committed */
    size_t n_waiting;
    bool by_hand;    /* a bed commits only when it is told to; else at the end of each turn */
    size_t n_writes; /* operations that were committed */
};

void disk_init(struct disk *d);
/** Drops everything. */
void disk_free(struct disk *d);
/** Takes what the worker has written in this turn. True: there was something. */
bool disk_take(struct disk *d, struct smq_worker *w);
/** Commits the first n that wait (all: SIZE_MAX), and tells the workers, answers to GET included. True: there were
 * some. */
bool disk_commit(struct disk *d, struct smq_worker *const *workers, size_t n, struct smqtt_now now);
/** What waits is lost. */
void disk_crash(struct disk *d);
/** The value of a key; NULL data: there is none. */
smq_span disk_get(const struct disk *d, smq_span key);
/** Rows of a table; of a session (sid not 0) only those of that kind (0: all). */
size_t disk_count(const struct disk *d, enum smq_table table, uint64_t sid, enum smq_session_row kind);
/** The sid under which a client identifier is stored; 0: it is not. */
uint64_t disk_sid(const struct disk *d, const char *client_id);
/** Row i, views. */
void disk_row(const struct disk *d, size_t i, smq_span *key, smq_span *value);

#endif
