/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_TRANSIT_H
#define SMQTT_TESTS_BROKER_TRANSIT_H
/* For tests of messages that must survive: a bed with a disk, and what its rows owe to whom. */
#include "disk.h"
#include "harness.h"

extern struct bed bed;
extern struct disk disk;

/** Starts a bed with so many workers and an empty disk. */
void transit_begin(unsigned count);
void transit_end(void);
/** A client identifier that belongs to that worker; good until sixteen more were asked for. */
const char *name_of(unsigned worker, const char *prefix);
/** A client of version 5 on that worker, whose session is stored, or ends with its connection. */
struct client *client_on(unsigned worker, const char *prefix, bool stored);
/** BODY rows. */
size_t bodies(void);
/** QUEUE rows of all sessions. */
size_t queued(void);
/** What PASSED(to, from) says; 0: there is none. */
uint64_t passed(unsigned to, unsigned from);
/** Messages that are on their way from worker to worker, as a recovery would see it. */
size_t in_transit(void);
/** No message is owed to anybody, neither on the disk nor in memory. */
void expect_nothing_left(void);

#endif
