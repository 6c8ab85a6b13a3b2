/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_DETECT_PIN_KIT_H
#define SMQTT_TESTS_DETECT_PIN_KIT_H
/* For the tests of what comes on the topic `d`: identities that change, and a broker that delivers them. */
#include "pair.h"

enum { PIN_GRACE_MS = 3600000 };

/** New keys that the old ones vouch for, an hour long; suite NULL: the same. Free it. */
struct smqtt_identity *pin_successor(const struct pair *p, const struct smqtt_identity *old, const char *suite,
                                     uint64_t seed);
/** The same keys in a newer descriptor. Free it. */
struct smqtt_identity *pin_renewal(const struct smqtt_identity *old);
/** The topic on which an identity's descriptor is published. */
void pin_topic(const struct smqtt_identity *id, char out[64]);
/** The broker delivers bytes on the `d` of an identity. */
void pin_deliver(struct pair *p, const struct smqtt_identity *at, smq_span bytes);
/** The same with a descriptor. */
void pin_deliver_id(struct pair *p, const struct smqtt_identity *at, const struct smqtt_identity *id);
/** The same with the statement of an identity that it is void. */
void pin_deliver_revocation(struct pair *p, const struct smqtt_identity *at, const struct smqtt_identity *of);
/** How many events of this type the sealer told. */
size_t pin_told(const struct pair *p, enum smqtt_secure_event_type type);
/** What the last event about a descriptor said. */
smqtt_err pin_last(const struct pair *p);
/** Was this topic asked for, or given up, since the last pair_forget? */
bool pin_asked(const struct pair *p, enum smqtt_secure_event_type type, const struct smqtt_identity *id);
/** The sealer's. */
struct smqtt_secure_counters pin_counters(const struct pair *p);
/** The server goes on with another identity. */
void pin_server_becomes(struct pair *p, struct smqtt_identity *id);

#endif
