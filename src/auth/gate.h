/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_AUTH_GATE_H
#define SMQTT_AUTH_GATE_H
/* What a listener asks (broker/auth.h), answered from a password file and an ACL file. */
#include "auth/acl.h"
#include "auth/passwords.h"
#include "broker/auth.h"

struct smq_gate {
    struct smq_auth auth;                  /* for struct smq_listener_config */
    const struct smq_passwords *passwords; /* borrowed; NULL: none, and allow_anonymous decides about everybody */
    const struct smq_acl *acl;             /* borrowed; NULL: who is in may do everything */
};

/** Fills it in. It must stay in place while it is used; tables may be shared by many. As Mosquitto: a client without
 * user name, or with an empty one, comes in as allow_anonymous of its listener says, one with a user name only with its
 * password; SUBSCRIBE is always allowed, and what may not be read is not delivered. */
void smq_gate_init(struct smq_gate *gate, const struct smq_passwords *passwords, const struct smq_acl *acl);

#endif
