/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_DETECT_PAIR_H
#define SMQTT_TESTS_DETECT_PAIR_H
/* A sealer and an opener with a broker of a few lines between them, for whole sessions in memory. Packets wait in two
 * queues, so that a test can look at them, change, drop, repeat and reorder them. */
#include "../test.h"
#include "../failing_mem.h"
#include "cut_store.h"
#include "detect/opener.h"
#include "detect/sealer.h"

enum { PACKETS_MAX = 512, EVENTS_MAX = 512, PACKET_BYTES = 9000, PEOPLE = 4 };

/** A packet on its way. */
struct packet {
    bool detect; /* else PUBLISH */
    uint8_t header;
    bool retain;
    uint8_t topic[128];
    size_t topic_len;
    uint8_t *bytes;
    size_t len;
};

struct queue {
    struct packet list[PACKETS_MAX];
    size_t n;
};

/** An event that only tells, with its bytes copied. */
struct told {
    struct smqtt_secure_event ev;
    uint8_t topic[128];
    uint8_t bytes[2048];
    char name[64];
};

struct pair {
    uint8_t suite;
    bool mutual, lookup, psk, text, tunnel, logical;
    uint32_t rekey;
    uint16_t window;
    struct smqtt_identity *server, *client;
    struct smqtt_policy *policy;
    const struct smqtt_revocations *client_revoked, *server_revoked; /* the lists of both */
    struct smqtt_now now;
    uint64_t seed;
    long rng_left; /* draws that go well; negative: all */
    struct smqtt_text pipeline;
    struct cut_store *client_store, *server_store;
    const struct smqtt_mem *mem;
    uint32_t waiting_max, sessions_max;
    bool require_credential, deny;
    struct smqtt_sealer *sealer;
    struct smqtt_opener *opener;
    struct queue to_server, to_client;
    struct told of_sealer[EVENTS_MAX], of_opener[EVENTS_MAX];
    size_t n_sealer, n_opener;
    size_t journaled;
    struct smqtt_journal_entry last_journal;
};

/** Identities and clock; suite 1 or 2. Set the other fields then, before pair_open. */
void pair_init(struct pair *p, uint8_t suite);
/** Makes both endpoints. */
void pair_open(struct pair *p);
smqtt_err pair_open_sealer(struct pair *p);
smqtt_err pair_open_opener(struct pair *p);
void pair_close_sealer(struct pair *p);
void pair_close_opener(struct pair *p);
void pair_deinit(struct pair *p);
/** The same on the heap. */
struct pair *pair_new(uint8_t suite);
void pair_free(struct pair *p);
/** Starts a handshake for the usual message. */
smqtt_err pair_start(struct pair *p);
/** Pulls all events: what is to be sent goes into the queues, what tells into the lists. */
void pair_pull(struct pair *p);
/** Takes the first packet off a queue and gives it to the endpoint. False when there is none. */
bool pair_give_server(struct pair *p);
bool pair_give_client(struct pair *p);
/** Pulls and gives until nothing moves. */
void pair_run(struct pair *p);
/** Time passes for both. */
void pair_tick(struct pair *p, smqtt_ms ms);
/** A whole handshake; asserts that both sides are open. */
void pair_handshake(struct pair *p);
/** Seals and puts into the queue to the server. */
smqtt_err pair_seal(struct pair *p, const char *topic, smq_span payload, const struct smqtt_seal_options *options);
/** Gives bytes to the server or client, bypassing the queues. */
smqtt_err pair_inject_server(struct pair *p, bool detect, uint8_t header, const char *topic, smq_span bytes,
                             bool retain);
smqtt_err pair_inject_client(struct pair *p, bool detect, uint8_t header, const char *topic, smq_span bytes);
/** Copy of the first packet of a queue; free its bytes with packet_free. */
struct packet packet_copy(const struct packet *packet);
void packet_free(struct packet *packet);
void queue_clear(struct queue *q);
/** How many events of this type were told; last: the newest of them or NULL. */
size_t told_count(const struct told *list, size_t n, enum smqtt_secure_event_type type);
const struct told *told_last(const struct told *list, size_t n, enum smqtt_secure_event_type type);
/** Forgets what was told. */
void pair_forget(struct pair *p);

#endif
