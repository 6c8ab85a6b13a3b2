/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_PEER_H
#define SMQTT_BROKER_PEER_H
/* What workers say to each other (docs/workers.md): the notes in their batches, and what is kept for each peer. */
#include "broker/batch.h"
#include "broker/worker.h"

enum { SMQ_WORKERS_MAX = 64 };

enum smq_note_type {
    SMQ_NOTE_NONE /* says nothing */
};

/** What a worker keeps for its peers. */
struct smq_peers {
    struct smq_batch_pool pool;
    struct smq_outbox *boxes; /* one for each worker; that of its own stays empty. NULL: it is alone */
    uint64_t full;            /* bits of peers that have more waiting than they should */
};

/** SMQTT_E_NOMEM; SMQTT_E_USAGE when there are more than SMQ_WORKERS_MAX. */
SMQ_MUST_USE smqtt_err smq_peers_init(struct smq_worker *w);
/** Frees everything; after a failed init, too. */
void smq_peers_deinit(struct smq_worker *w);

#endif
