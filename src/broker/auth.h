/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_AUTH_H
#define SMQTT_BROKER_AUTH_H
/* Who may connect, and who may read and write what: a table of functions. Without one everybody may who the listener
 * lets in. */
#include "base/span.h"
#include "broker/config.h"

/** Who is asked about. */
struct smq_principal {
    smq_span client_id;
    smq_span user;
    bool has_user;
    const struct smq_listener_config *listener; /* the connection's; NULL while it has none */
};

enum smq_access {
    SMQ_ACCESS_WRITE,    /* publish on a topic; also the will, when it comes and when it fires */
    SMQ_ACCESS_READ,     /* get a message of a topic: asked at each delivery */
    SMQ_ACCESS_SUBSCRIBE /* subscribe to a filter (of a shared one: without its group) */
};

struct smq_auth {
    /** SMQTT_OK, SMQTT_E_BAD_LOGIN or SMQTT_E_NOT_AUTHORIZED. `password` is NULL when there is none; it is borrowed
     * during the call. NULL function: the listener's allow_anonymous decides. */
    smqtt_err (*login)(void *ctx, const struct smq_principal *who, const smq_span *password);
    /** NULL function: everything is allowed. */
    bool (*access)(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind);
    void *ctx;
};

#endif
