/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_LIVES_H
#define SMQTT_TESTS_BROKER_LIVES_H
/* A bed that is killed and finds itself again, with any number of workers, in what its disk has. */
#include "broker/durable.h"
#include "broker/recover.h"
#include "disk.h"
#include "harness.h"

extern struct bed bed;
extern struct disk disk;
extern struct smqtt_now now;              /* when the bed was killed, and begins anew */
extern struct smq_recovery_counts counts; /* of the last recovery */
extern uint8_t hash_key;                  /* another one: another key for the next bed */

size_t chance(size_t below);
/** A bed for so many workers, to be changed before bed_start. */
void prepare(unsigned count);
/** All rows of the disk for the bed that was started. What is needed meanwhile comes from `mem`. */
smqtt_err recover_with(const struct smqtt_mem *mem);
/** All that recovery has written is one commit; returns how many operations. */
size_t commit_recovered(void);
/** A bed in what the disk says. */
void revive(unsigned count);
/** The first one, on an empty disk. */
void first(unsigned count);
struct disk copy_disk(const struct disk *from);
/** The power goes: what was committed stays. */
void kill_bed(void);
/** One more start finds nothing to do. */
void expect_stable(unsigned count);
/** The broker is killed, and after ms there is another one, with `counts` of what it found. */
void restart_after(unsigned count, smqtt_ms ms);
void restart(unsigned count);
/** The end, of the disk, too. */
void over(void);
/** Rows of a table. */
size_t rows(enum smq_table table);
/** Connects a session that lives for an hour; is there one already? */
struct client *connect_present(const char *id, bool present);
/** One that subscribes and goes. */
void away(const char *id, const char *filter, uint8_t qos);
/** As client_take, but the next messages may come before PUBREL. */
void take(struct client *c, const char *topic, const char *payload, uint8_t qos);
/** That were all. */
void taken(struct client *c);
/** Nothing is stored of that session. */
void expect_gone(uint64_t sid);
/** CONNECT with a will on the topic `will`. */
struct smq_packet with_will(const char *id, uint32_t expiry_s, uint32_t delay_s);

#endif
