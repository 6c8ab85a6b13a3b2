/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_RUN_H
#define SMQTT_BROKER_RUN_H
/* Small messages of QoS 0 without properties that follow each other on one topic go to another worker as one note,
 * which holds them as packets of version 3.1.1. Who takes it looks once for receivers and gives them all of it at once:
 * what crosses from worker to worker costs little more than its copy. */
#include "broker/peer.h"

struct smq_note_run {
    struct smq_note head;
    uint32_t n, len;              /* packets and their bytes */
    uint32_t payload;             /* bytes of payload in them */
    uint16_t topic_len, topic_at; /* the topic of all, where it stands in the first one */
    uint8_t bytes[];
};

/** May the message travel so? */
bool smq_run_fits(const struct smq_content *c);
/**
 * Puts it into the batches of peers, behind what was put there before.
 * @param to  bits of workers
 * @retval SMQTT_E_NOMEM  nobody got it
 */
SMQ_MUST_USE smqtt_err smq_run_publish(struct smq_worker *w, const struct smq_content *c, uint64_t to);

#endif
