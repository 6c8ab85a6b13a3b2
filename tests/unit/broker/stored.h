/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_STORED_H
#define SMQTT_TESTS_BROKER_STORED_H
/* A bed with a disk, and clients whose sessions are stored. */
#include "broker/queue.h"
#include "broker/route.h"
#include "disk.h"
#include "harness.h"

extern struct bed bed;
extern struct disk disk;

int stored_setup(void **state);
int stored_teardown(void **state);
/** Everything that was written is on the disk, and nothing else (rows_check.h). */
void stored_check(void);
/** Commits until nothing waits, and checks. */
void stored_commit(void);
/** Rows of all sessions of this kind. */
size_t stored_rows(enum smq_session_row kind);
/** The session of the first worker with this client identifier. */
struct smq_session *stored_session(const char *id);
/** A client of version 5 whose session stays, and that subscribed to t/#. */
struct client *stored_subscriber(const char *id, uint8_t qos);
/** It connects again. */
struct client *stored_back(const char *id);
/** The same, and takes no larger packets. */
struct client *stored_connect_small(const char *id, uint32_t max_packet);
/** One that is not stored. */
struct client *stored_publisher(void);
/** A number as text, until the next call. */
const char *stored_text(unsigned i);
/** Publishes the numbers from..to-1 to t/a. */
void stored_publish(struct client *pub, unsigned from, unsigned to, uint8_t qos);
/** Publishes to t/a with QoS 1 and an expiry. */
void stored_publish_expiring(struct client *pub, const char *payload, uint32_t expiry_s);

#endif
