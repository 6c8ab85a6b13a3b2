/* SPDX-License-Identifier: Apache-2.0 */
#include "revoked.h"

#include <string.h>

#include "keyring/revoked.h"

/* For smq_broker_config.identity_allow. A client that is refused again and again is told of once. */
static bool allow(void *ctx, const struct smqtt_identity *peer)
{
    struct revoked *revoked = ctx;
    struct smq_why why;
    if (smq_revoked_check(revoked->list, peer, &why) == SMQTT_OK) {
        return true;
    }
    if (memcmp(revoked->told, smqtt_identity_did(peer), sizeof revoked->told) != 0) {
        memcpy(revoked->told, smqtt_identity_did(peer), sizeof revoked->told);
        smq_log(revoked->log, SMQ_LOG_WARN, "Refused as a client of smqtt_identity: %s", why.text);
    }
    return false;
}

smqtt_err revoked_load(struct revoked *revoked, struct smq_conf *conf, const struct smq_log *log, struct smq_why *why)
{
    const char *path = conf->revoked_file;
    *revoked = (struct revoked){.log = log};
    if (path == NULL) {
        return SMQTT_OK;
    }
    SMQ_TRY(smq_revoked_read(&path, 1, &revoked->list, why));
    conf->broker.identity_allow = allow;
    conf->broker.identity_allow_ctx = revoked;
    conf->broker.identity_revoked = revoked->list;
    return SMQTT_OK;
}

void revoked_free(struct revoked *revoked)
{
    smqtt_revocations_free(revoked->list);
    revoked->list = NULL;
}
