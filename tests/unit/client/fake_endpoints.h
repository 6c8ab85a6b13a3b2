/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_FAKE_ENDPOINTS_H
#define SMQTT_TESTS_FAKE_ENDPOINTS_H
/* Sealer and opener without cryptography: a test puts the events in that they shall give, and looks at what they were
 * told. Stands in for the detect floor when linked before it. */
#include <smqtt/secure.h>

enum { FAKE_EVENTS = 256 };

struct fake_queue {
    struct smqtt_secure_event list[FAKE_EVENTS];
    size_t from, to;
};

struct smqtt_sealer {
    struct fake_queue events;
    bool open, tunnel, superseded, over;
    unsigned started, connected, freed, detects;
    smqtt_err seal_err, plain_err;
    uint64_t seq;
    smqtt_ms deadline;
};
struct smqtt_opener {
    struct fake_queue events;
    unsigned connected, messages, detects;
    bool tunnel;
    uint32_t kid; /* of its session */
    const struct smqtt_identity *identity;
    smqtt_ms deadline;
};

void fake_push(struct fake_queue *q, struct smqtt_secure_event ev);

#endif
