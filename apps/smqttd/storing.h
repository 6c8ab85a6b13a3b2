/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_STORING_H
#define SMQTT_APPS_STORING_H
/* The store of the daemon, from `persistence` in the configuration to workers that have found themselves again. */
#include "conf/conf.h"
#include "net/crew.h"
#include "store/identity.h"

struct storing {
    struct smq_committer *committer;     /* NULL: nothing is stored */
    bool refuses;                        /* what would have to be stored is refused */
    char *path;                          /* of the store; NULL: it has none */
    struct smq_identity_store *identity; /* NULL: the broker has none, or keeps its state elsewhere */
};

/**
 * Opens what the configuration says. Without persistence nothing happens. In a thread that starts no other process any
 * more, as the user that the broker runs as.
 * @param workers  how many there will be
 * @retval SMQTT_E_BUSY   another broker uses the directory
 * @retval SMQTT_E_NOMEM  `why` has the sentence in both cases. All else that can be wrong with a disk is said in the
 *                        log, and the broker begins, with a store that refuses if need be
 */
SMQ_MUST_USE smqtt_err storing_open(struct storing *s, const struct smq_conf *conf, unsigned workers,
                                    const struct smq_log *log, struct smq_why *why);
/** Where the broker's own S-MQTT identity keeps what it must not lose: NULL when nothing can be stored. SMQTT_E_IO,
 * SMQTT_E_CORRUPT, SMQTT_E_NOMEM, SMQTT_E_RNG: `why` has the sentence. */
SMQ_MUST_USE smqtt_err storing_identity(struct storing *s, const struct smqtt_store **out, struct smq_why *why);
/** Gives the workers of the crew what was stored, and lets the store thread run. Before smq_crew_run. SMQTT_E_NOMEM,
 * SMQTT_E_IO: `why` has the sentence. */
SMQ_MUST_USE smqtt_err storing_recover(struct storing *s, struct smq_crew *crew, const struct smq_log *log,
                                       struct smq_why *why);
/** The configuration was read again. */
void storing_configure(struct storing *s, const struct smq_conf *conf);
/** Commits what is left and closes the store; behind smq_crew_run. */
void storing_end(struct storing *s);
/** Behind smq_crew_free. */
void storing_free(struct storing *s);

#endif
