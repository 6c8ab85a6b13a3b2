/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_SIM_DISK_H
#define SMQTT_TESTS_SIM_DISK_H
/* A disk: rows in the order of their keys, writes that wait for their commit, and a crash that forgets them. */
#include "broker/writes.h"

struct sim;

struct row {
    uint8_t *key, *value;
    size_t key_len, value_len;
};

struct disk {
    struct row *rows; /* committed, sorted */
    size_t n, cap;
    struct smq_writes *first, *last; /* given, in order, not committed */
    bool busy;                       /* a commit is under way, of all up to `until` */
    struct smq_writes *until;
    bool ill;         /* commits fail */
    uint32_t slow_us; /* mean time of a commit */
    uint64_t bytes;
};

void disk_init(struct sim *s);
void disk_free(struct sim *s);
/** What a turn wrote; owned by the disk from now on. NULL: nothing. */
void disk_give(struct sim *s, struct smq_writes *writes);
void disk_on_commit(struct sim *s);
/** All that was not committed is forgotten. */
void disk_crash(struct sim *s);

#endif
