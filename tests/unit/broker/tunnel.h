/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_TUNNEL_H
#define SMQTT_TESTS_BROKER_TUNNEL_H
/* DETECT natively and through the tunnel, with made-up bytes. */
#include "broker/convert.h"
#include "ends.h"

enum { CID = 4, BODY_LEN = 60 };

extern struct bed bed;
extern struct client *spy; /* sees what is said in the tunnel */
/** Of the server that the made-up bytes are for. */
extern uint8_t skid[SMQTT_SKID_LEN];

/** For cmocka: a bed to be started. */
int tunnel_setup(void **state);
/** Starts the bed, and connects the spy. */
void start(void);
void stop(void);
/** What all workers count together. */
struct smq_worker_stats stats(void);
/** Subscriptions of the workers themselves, for what servers in the tunnel answer. */
uint64_t n_listening(void);
/** Handshakes and sessions, and entries of other workers for them. */
size_t n_relays(void);
/** How many of what the spy saw stand on this branch, and begin with DETECT. */
size_t spied(char branch);

/** A made-up body, all of whose bytes in cid are the same. Returns BODY_LEN. */
size_t body_write(uint8_t header, uint8_t cid, uint8_t filler, uint8_t body[BODY_LEN]);
/** Sends it natively. */
void native(struct client *c, uint8_t header, uint8_t cid, uint8_t filler);
/** The topic of a branch; valid until the next call. */
const char *topic_of(char branch, uint8_t cid);
/** Publishes it on the topic of cid `on`, about cid `cid`, and expects PUBACK. */
void tunnel_with(struct client *c, char branch, uint8_t on, uint8_t header, uint8_t cid, uint8_t filler, bool retain);
void tunnel(struct client *c, char branch, uint8_t header, uint8_t cid);
void expect_native(struct client *c, uint8_t header);
/** The same as PUBLISH of QoS 1, which is acknowledged. */
void expect_tunnel(struct client *c, char branch, uint8_t header, uint8_t cid);
void expect_retry(struct client *c, uint8_t status);

#endif
