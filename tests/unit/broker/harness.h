/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_HARNESS_H
#define SMQTT_TESTS_BROKER_HARNESS_H
/* A worker and a few clients in memory: no socket, no clock. Clients are bytes in and packets out; what a shell would
 * do (send what is there, release what is closed) happens in bed_turn. */
#include <stdio.h>

#include "../failing_mem.h"
#include "../test.h"

#include "base/bytebuf.h"
#include "base/mem.h"
#include "broker/ledger.h"
#include "broker/worker.h"
#include "codec/packet.h"

enum { BED_CLIENTS = 64, BED_WORKERS = 4 };

struct client {
    struct bed *bed;
    struct smq_worker *w;   /* where its connection is */
    struct smq_conn *conn;  /* NULL: the transport is closed */
    struct smq_codec codec; /* to read what the broker sends */
    struct smq_bytebuf in;  /* what the broker sent and nobody has read */
    struct smq_packet pkt;  /* the last one read; views into `shown` */
    uint8_t *shown;
    enum smq_conn_fate fate;
    unsigned owner;
    size_t kept; /* unread by the broker, as the shell keeps it */
    uint8_t *keep;
    bool deaf; /* its transport takes nothing */
    bool was_paused;
};

struct disk;

/** Batches on their way from one worker to another. */
struct channel {
    struct smq_batch **items;
    size_t head, n, cap;
};

/** Where a worker is in its turn (docs/workers.md, "Order of a turn"). */
struct turn {
    enum { TURN_SOCKETS, TURN_RINGS, TURN_SEND, TURN_BYTES } phase;
    unsigned at;  /* the peer whose ring is next */
    bool entered; /* some of it was read already, */
    size_t left;  /* and so many are left for this round */
};

struct bed {
    struct smq_broker_config config;
    struct smq_listener_config listener;
    struct smq_worker_env env;
    struct smq_worker *w; /* the only one, or the first */
    struct smq_worker *workers[BED_WORKERS];
    struct channel channels[BED_WORKERS][BED_WORKERS]; /* from, to */
    struct turn turns[BED_WORKERS];
    unsigned count, opened;
    bool slowly;       /* nothing happens but by bed_step */
    struct disk *disk; /* the store, to be set before bed_start (disk.h); NULL: there is none */
    struct smq_ledger ledger;
    struct smqtt_now now;
    struct client clients[BED_CLIENTS];
    struct failing_mem mem; /* arm it once the bed is made */
    uint64_t rng;
};

/** A bed with defaults; change config before bed_start. There are as many workers as the environment variable
 * SMQTT_TEST_WORKERS says (1): clients connect to them in turn. */
void bed_init(struct bed *bed);
void bed_start(struct bed *bed);
/** Releases everything and asserts that nothing is left. */
void bed_stop(struct bed *bed);
/** What all workers count together. */
void bed_stats(struct bed *bed, struct smq_worker_stats *out);
/** All workers shut down. */
void bed_shutdown(struct bed *bed);
/** Lets ms pass. */
void bed_pass(struct bed *bed, smqtt_ms ms);
/** What a shell does in a turn: output to the clients, closed ones released, batches to other workers, until nothing is
 * left to do. Nothing if the bed is to go slowly. */
void bed_turn(struct bed *bed);
/** One small step of one worker, drawn by chance: for beds that go slowly. */
void bed_step(struct bed *bed);
/** Steps until nothing is on its way. */
void bed_calm(struct bed *bed);
/* Single steps, for tests that play the turns themselves. False: there was nothing. */
bool bed_send_writes(struct bed *bed, unsigned worker);
bool bed_send_batches(struct bed *bed, unsigned from, unsigned to);
/** Commits the first n writes that wait (SIZE_MAX: all), then turns. */
void bed_commit(struct bed *bed, size_t n);
bool bed_read_batch(struct bed *bed, unsigned from, unsigned to);
bool bed_serve(struct bed *bed, unsigned worker);
/** What the client has sent reaches its worker. */
void client_push(struct client *c);

/** What an older program may have left in a store: a message that was never checked, retained or (client_id) in the
 * queue of a session that is away. */
void bed_leave_stored(struct bed *bed, const char *client_id, const char *topic, const char *payload);

/** Routes a message that did not come through the codec. */
smqtt_err bed_route_unchecked(struct bed *bed, const char *topic, const char *payload);

/** A new transport; NULL when the broker does not want it. */
struct client *client_open(struct bed *bed, enum smqtt_version version);
/** Bytes to the broker; then a turn. */
void client_feed(struct client *c, const void *data, size_t len);
/** Writes and feeds a packet. */
void client_send(struct client *c, const struct smq_packet *pkt);
/** The transport breaks. */
void client_break(struct client *c);
/** The next packet that the broker sent, or NULL. */
const struct smq_packet *client_next(struct client *c);
/** The next packet, which must be of this type. */
const struct smq_packet *client_expect(struct client *c, enum smq_type type);
/** Forgets what came. */
void client_drain(struct client *c);
/** Nothing came. */
void client_expect_none(struct client *c);
/** The broker closed it. */
void client_expect_closed(struct client *c);
/** It is connected and gets an answer to PINGREQ. */
void client_expect_alive(struct client *c);

/** CONNECT with defaults for the caller to change. */
struct smq_packet packet_connect(enum smqtt_version version, const char *id, bool clean);
/** Opens, connects, and expects CONNACK 0. */
struct client *client_connect(struct bed *bed, enum smqtt_version version, const char *id, bool clean);
struct client *client_connect_pkt(struct bed *bed, const struct smq_packet *connect);
void client_subscribe(struct client *c, const char *filter, uint8_t options);
/** Sends a PUBLISH and, for QoS 1 and 2, plays the acknowledgements. */
void client_publish(struct client *c, const char *topic, const char *payload, uint8_t qos, bool retain);
void client_send_publish(struct client *c, const char *topic, const char *payload, uint8_t qos, bool retain,
                         uint16_t id);
void client_send_ack(struct client *c, enum smq_type type, uint16_t id, uint8_t reason);
/** Expects a PUBLISH with this topic and payload, does not answer it. */
const struct smq_publish *client_expect_publish(struct client *c, const char *topic, const char *payload);
/** The same, and plays the acknowledgements. */
void client_take(struct client *c, const char *topic, const char *payload, uint8_t qos);
void client_disconnect(struct client *c);

static inline bool span_is(smq_span s, const char *text)
{
    return smq_span_equal(s, smq_span_str(text));
}

#endif
