/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_WILL_H
#define SMQTT_BROKER_WILL_H
/* Wills: kept from CONNECT on, fired when the connection ends without a farewell, maybe some time later. */
#include "broker/session.h"

struct smq_conn;
struct smq_connect;

struct smq_will_due {
    struct smq_timer timer; /* set while it is delayed */
    struct smq_session *session;
    struct smq_refbuf *msg;
    uint32_t delay_s;
    uint32_t expiry_s; /* of the message; UINT32_MAX: none */
};

/** The will of a CONNECT, on its whole topic. SMQTT_E_NOMEM, SMQTT_E_BAD_TOPIC (its mount point makes it too long). */
SMQ_MUST_USE smqtt_err smq_will_new(struct smq_conn *conn, const struct smq_connect *connect,
                                    struct smq_will_due **out);
/** NULL allowed. */
void smq_will_free(struct smq_worker *w, struct smq_will_due *will);
/** Forgets the session's will. */
void smq_will_drop(struct smq_worker *w, struct smq_session *s);
/** Publishes the session's will now, if it has one, and forgets it. */
void smq_will_fire(struct smq_worker *w, struct smq_session *s);
/** The connection is lost: fires now, or after its delay if the session lives so long. */
void smq_will_lost(struct smq_worker *w, struct smq_session *s);

#endif
