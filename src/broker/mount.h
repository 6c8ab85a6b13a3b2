/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_MOUNT_H
#define SMQTT_BROKER_MOUNT_H
/* `mount_point` of a listener: a prefix that the topics of its clients have inside the broker and that they never see.
 * Everything behind the handlers of packets (rights, sessions, retained messages) knows the whole topic only. */
#include "broker/conn.h"

/** A topic or filter with its prefix. */
struct smq_mounted {
    smq_span topic;
    uint8_t *heap;
    uint8_t local[256];
};

static inline bool smq_is_mounted(const struct smq_conn *conn)
{
    return conn->mount_len != 0;
}
/** Puts the prefix before a topic; end with smq_mount_free. Without mount point it is the topic itself.
 *  SMQTT_E_BAD_TOPIC: longer than a topic can be; SMQTT_E_NOMEM. Nothing is to be freed then. */
SMQ_MUST_USE smqtt_err smq_mount_topic(const struct smq_conn *conn, smq_span topic, struct smq_mounted *out);
/** The same for a filter; of a shared one the group stays in front. SMQTT_E_BAD_FILTER, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_mount_filter(const struct smq_conn *conn, smq_span filter, struct smq_mounted *out);
void smq_mount_free(const struct smq_conn *conn, struct smq_mounted *mounted);
/** Takes the prefix off. False: the topic lies outside, and this client may not see it. */
bool smq_mount_strip(const struct smq_conn *conn, smq_span *topic);

#endif
