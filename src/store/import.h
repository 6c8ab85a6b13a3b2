/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_STORE_IMPORT_H
#define SMQTT_STORE_IMPORT_H
/* What Mosquitto 2.0 kept in its mosquitto.db, as rows of a new store: sessions with their subscriptions, what waits
 * for them and is in flight, and what is retained. Pure: a file's bytes in, writes out. */
#include <smqtt/secure.h>

#include "store/store.h"

/** What was found, for the log. */
struct smq_import_counts {
    uint64_t sessions, subscriptions;
    uint64_t queued;    /* messages that wait for a session or are in flight to it */
    uint64_t in_flight; /* of QoS 2, past their message: in both directions */
    uint64_t retained;
    uint64_t skipped; /* what expired, belongs to nothing, or is no longer valid */
};

/**
 * Reads a mosquitto.db of version 5 or 6, as Mosquitto 2.0 writes it on a machine of this byte order.
 *
 * A message of QoS 2 that a client had sent and not released was not routed yet by Mosquitto. Here it is, as messages
 * are routed when they come; its release is answered all the same.
 *
 * @param file  all of it; any bytes
 * @param rng   for the numbers of sessions
 * @param now   for expiry
 * @param[out] out     what is to be committed to the empty store, as one; free with smq_writes_free
 * @param[out] counts  with SMQTT_OK
 * @retval SMQTT_E_BAD_VERSION  it is of another version of Mosquitto
 * @retval SMQTT_E_CORRUPT      it is damaged, or no such file: nothing of it should be used
 * @retval SMQTT_E_NOMEM, SMQTT_E_RNG
 */
SMQ_MUST_USE smqtt_err smq_import_mosquitto(smq_span file, const struct smqtt_rng *rng, struct smqtt_now now,
                                            struct smq_writes **out, struct smq_import_counts *counts,
                                            struct smq_store_why *why);

#endif
