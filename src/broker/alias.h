/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_ALIAS_H
#define SMQTT_BROKER_ALIAS_H
/* Topic aliases of MQTT 5.0, both ways: the numbers that a client gave to topics, and those that we give towards it. */
#include "broker/conn.h"

/** The client sets number `alias` (1..topic_alias_in of its listener) to the topic. SMQTT_E_BAD_ALIAS, SMQTT_E_NOMEM.
 */
SMQ_MUST_USE smqtt_err smq_alias_set(struct smq_conn *conn, uint32_t alias, smq_span topic);
/** The topic of a number of the client's; empty span when there is none. */
smq_span smq_alias_get(const struct smq_conn *conn, uint32_t alias);

enum { SMQ_ALIASES_OUT_MAX = 64 };

struct smq_aliases;
struct smq_out_aliases;
/** What a connection has of them. */
struct smq_alias_side {
    struct smq_aliases *in;      /* numbers that the client gave; NULL until the first */
    struct smq_out_aliases *out; /* numbers that we gave; NULL: the client takes none */
};

/** CONNECT said how many numbers the client takes. We use no more than the listener allows, than SMQ_ALIASES_OUT_MAX,
 * and than there is memory for; with none, this does nothing. */
void smq_alias_begin_out(struct smq_conn *conn, uint32_t client_max);
/**
 * The number to send a message of this topic with; 0: none, the topic is written as it is. Frequent topics have
 * numbers; a new one gets the number of the one that was needed least, once that is rarer than itself.
 * @param[out] known  the client knows it: the topic is left out. Else topic and number are both sent, and
 * smq_alias_sent is called once they are written
 */
uint16_t smq_alias_pick(struct smq_conn *conn, smq_span topic, bool *known);
/** Topic and this number were written to the connection. */
void smq_alias_sent(struct smq_conn *conn, uint16_t alias);
/** Forgets all numbers, both ways. */
void smq_alias_drop(struct smq_conn *conn);

#endif
