/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_SOURCE_H
#define SMQTT_BROKER_SOURCE_H
/* Who published a message that is retained, in a few bytes that go with it, so that `check_retain_source` can ask again
 * for the right to publish when somebody is to get it. */
#include "broker/auth.h"

struct smq_worker;

/**
 * The bytes for a message that `who` is about to have retained.
 * @param listener_id  of its connection
 * @param[out] bytes   the caller's to free, and where *source points to; NULL: there is nothing to ask
 * @param[out] source  empty: there is nothing to ask
 * @retval SMQTT_E_TOO_LARGE  its names are too long to be kept; SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_source_new(const struct smq_worker *w, const struct smq_auth *auth,
                                      const struct smq_principal *who, uint32_t listener_id, uint8_t **bytes,
                                      smq_span *source);
/** May it still publish on the topic? Yes, if nothing is known of it, or `check_retain_source` is off. */
bool smq_source_may(const struct smq_worker *w, smq_span source, smq_span topic);

#endif
