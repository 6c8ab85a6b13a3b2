/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_GATE_H
#define SMQTT_BROKER_GATE_H
/* Bytes that must not leave before something is committed (docs/store.md). Everything behind a gate waits, too, so that
 * the order of a connection stays what it is. A connection without gates pays nothing. */
#include "broker/conn.h"

struct smq_gate_at {
    uint64_t mark; /* opens when w->mark is there */
    size_t at;     /* bytes of the queue that stand before it */
};

/** What a connection has of them; NULL when none is closed. */
struct smq_gates {
    struct smq_list of_worker;
    struct smq_conn *conn;
    uint32_t n, cap;
    struct smq_gate_at *items; /* marks and places rise */
};

/**
 * What is written to the connection from now on leaves when w->mark has reached `mark`. Nothing happens when it has.
 * @retval SMQTT_E_NOMEM  there is no gate: the bytes must not be written */
SMQ_MUST_USE smqtt_err smq_gate_close(struct smq_conn *conn, uint64_t mark);
/** The same for everything that was written to the store so far. Without a store, or when all of it is committed,
 * nothing happens. */
SMQ_MUST_USE smqtt_err smq_gate_now(struct smq_conn *conn);
/** How many bytes of its queue may leave. */
size_t smq_gate_open_bytes(const struct smq_conn *conn);
/** n bytes have left. */
void smq_gate_sent(struct smq_conn *conn, size_t n);
/** w->mark has risen: connections whose gates open become dirty. */
void smq_gate_open(struct smq_worker *w);
/** The connection drops what it has to send. */
void smq_gate_drop(struct smq_conn *conn);

#endif
