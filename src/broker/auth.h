/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_AUTH_H
#define SMQTT_BROKER_AUTH_H
/* Who may connect, and who may read and write what: a table of functions that a listener has (config.h). Without one
 * everybody may who the listener lets in. Tables are shared by all workers: functions may be called by several threads
 * at once and change nothing that they share. */
#include "base/span.h"
#include "broker/config.h"

/** Who is asked about. */
struct smq_principal {
    smq_span client_id;
    smq_span user;
    bool has_user;
    const struct smq_listener_config *listener; /* the connection's; NULL while it has none */
    const void *role;                           /* what `role` said of it; only for `access` */
};

enum smq_access {
    SMQ_ACCESS_WRITE,    /* publish on a topic; also the will, when it comes and when it fires */
    SMQ_ACCESS_READ,     /* get a message of a topic: asked at each delivery */
    SMQ_ACCESS_SUBSCRIBE /* subscribe to a filter (of a shared one: without its group) */
};

/** What is left to do of a login that takes long. It is all there is to it: it can be copied, and run in any thread,
 * also when the table is gone. */
struct smq_login_work {
    /** SMQTT_OK, SMQTT_E_BAD_LOGIN, SMQTT_E_NOT_AUTHORIZED; SMQTT_E_NOMEM, SMQTT_E_CRYPTO: it cannot be told. */
    smqtt_err (*run)(const struct smq_login_work *work, smq_span password);
    uint64_t room[24]; /* of who made it */
};

/** What a method says to the client. Views; they live until the next call for the same state. */
struct smq_auth_reply {
    smq_span data; /* Authentication Data; empty: none */
    smq_span user; /* with SMQTT_OK: who it is, instead of CONNECT's user name; empty: as CONNECT says */
};

/** A method of the AUTH exchange (MQTT 5.0 section 4.12). */
struct smq_auth_method {
    const char *name; /* Authentication Method */
    /** An exchange begins: in CONNECT, or (`again`) by AUTH 0x19 of a client that is connected. Errors as `step`;
     * *state is untouched then. Views of `who` are borrowed during the call. */
    smqtt_err (*begin)(void *ctx, const struct smq_principal *who, bool again, void **state);
    /** Data of the client (NULL: it sent none).
     * @retval SMQTT_OK       it is who it says; reply->data goes along with CONNACK or AUTH 0x00
     * @retval SMQTT_E_AGAIN  reply->data goes to the client with AUTH 0x18, which has to go on
     * @retval SMQTT_E_NOT_AUTHORIZED, SMQTT_E_BAD_LOGIN, SMQTT_E_NOMEM, SMQTT_E_RNG, …  it is refused */
    smqtt_err (*step)(void *ctx, void *state, const smq_span *data, struct smq_auth_reply *reply);
    /** The exchange is over, however; frees the state. */
    void (*end)(void *ctx, void *state);
};

struct smq_auth {
    /** May it come in? `password` is NULL when there is none; it is borrowed during the call. NULL function: the
     * listener's allow_anonymous decides. Not asked about clients that name a method.
     * @retval SMQTT_OK
     * @retval SMQTT_E_BAD_LOGIN, SMQTT_E_NOT_AUTHORIZED
     * @retval SMQTT_E_AGAIN  only with a password: *work is left to do, and takes too long to do it here */
    smqtt_err (*login)(void *ctx, const struct smq_principal *who, const smq_span *password,
                       struct smq_login_work *work);
    /** A number for what the login of `who` rests on: 0 when it would be refused now whatever the password, another one
     * than before when its password was changed. Clients whose number changes with a new configuration are
     * disconnected. NULL function: 1 or 0 as the listener's allow_anonymous says. */
    uint64_t (*stamp)(void *ctx, const struct smq_principal *who);
    /** What `access` needs to know of a user, found once and kept with the session until the next configuration. NULL
     * function: nothing. */
    const void *(*role)(void *ctx, const struct smq_principal *who);
    /** NULL function: everything is allowed. */
    bool (*access)(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind);
    const struct smq_auth_method *methods; /* of the AUTH exchange */
    size_t n_methods;
    void *ctx; /* for all of these functions */
};

#endif
