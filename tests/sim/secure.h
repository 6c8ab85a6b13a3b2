/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_SIM_SECURE_H
#define SMQTT_TESTS_SIM_SECURE_H
/* S-MQTT endpoints: a server (opener) and clients (sealers) whose programs are killed, too, and keep what they synced.
 */
#include <smqtt/client.h>

struct sim;
struct actor;

enum { VALUES = 48, RECORDS_MAX = 4096, CAUGHT = 16 };

/** What an endpoint keeps: the value as it was put last, and as it is on its disk. */
struct value {
    uint8_t key[80], *now, *kept;
    size_t key_len, now_len, kept_len;
};
struct keep {
    struct value values[VALUES];
    unsigned n;
    struct smqtt_store store;
};

/** A record that was seen, by its key and number. */
struct seen_record {
    uint8_t kid[4];
    bool accepted; /* the server has delivered it */
    uint64_t seq;
    uint64_t hash; /* of all of it: the same number twice is the same bytes */
};

struct secure {
    struct keep keeps[24]; /* of actors */
    struct seen_record *records;
    uint32_t n_records;
    struct {
        uint8_t bytes[512];
        size_t len;
    } caught[CAUGHT]; /* what somebody in the middle has seen, to play it again */
    uint32_t n_caught;
};

void secure_init(struct sim *s);
void secure_free(struct sim *s);
/** Gives the actor's new client its endpoint. */
void secure_attach(struct sim *s, struct actor *a);
/** Looks at what a sealer sends: no number is used twice. `out` begins with a packet. */
void secure_look(struct sim *s, const struct actor *a, struct smqtt_span out);
/** Publishes something sealed. */
void secure_publish(struct sim *s, struct actor *a);
/** What the opener delivered, or a receipt. */
void secure_event(struct sim *s, struct actor *a, const struct smqtt_client_event *ev);
/** Its program is killed: what was not synced is forgotten. */
void secure_crash(struct sim *s, const struct actor *a);
/** Plays a record again that was seen before, somewhere. */
void secure_replay(struct sim *s, struct actor *a);

#endif
