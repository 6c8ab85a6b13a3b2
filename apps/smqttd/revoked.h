/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_REVOKED_H
#define SMQTT_APPS_REVOKED_H
/* smqtt_revoked: who may no longer be a client of the broker's own identity. Read anew by a reload. */
#include "base/log.h"
#include "conf/conf.h"
#include "net/why.h"

struct revoked {
    struct smqtt_revocations *list; /* NULL: there is no such file */
    const struct smq_log *log;
    uint8_t told[SMQTT_DID_LEN]; /* the client that was told of last; the worker with the identity uses it */
};

/** Reads the file, if there is one, and puts it into conf->broker. `revoked` and `log` are borrowed by it.
 * SMQTT_E_USAGE and as smq_revoked_read; `why` has the sentence. */
SMQ_MUST_USE smqtt_err revoked_load(struct revoked *revoked, struct smq_conf *conf, const struct smq_log *log,
                                    struct smq_why *why);
/** A zeroed one is allowed. */
void revoked_free(struct revoked *revoked);

#endif
