/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_SIM_DISK_H
#define SMQTT_TESTS_SIM_DISK_H
/* A disk: rows in the order of their keys, writes that wait for their commit, and a crash that forgets them. */
#include "../unit/broker/disk.h"

struct sim;
struct mark;

struct sim_disk {
    struct disk d;                   /* what is committed, as the checkers of the unit tests know it */
    struct smq_writes *first, *last; /* given, in order, not committed */
    uint64_t committed[4];           /* number of each worker's last writes */
    bool busy;                       /* a commit is under way, of all up to `until` */
    struct smq_writes *until;
    bool ill;         /* commits fail */
    uint32_t slow_us; /* mean time of a commit */
};

void sim_disk_init(struct sim *s, uint32_t slow_us);
void sim_disk_free(struct sim *s);
/** What a turn wrote; owned by the disk from now on. NULL: nothing. */
void sim_disk_give(struct sim *s, struct smq_writes *writes);
void sim_disk_on_commit(struct sim *s);
/** What this worker has written so far. */
struct mark sim_disk_mark(const struct sim *s, unsigned worker);
/** Would it be lost by a crash now? */
bool sim_disk_lost(const struct sim *s, const struct mark *mark);
/** Commits what was given at once. */
void sim_disk_commit(struct sim *s);
/** All that was not committed is forgotten. */
void sim_disk_crash(struct sim *s);

#endif
