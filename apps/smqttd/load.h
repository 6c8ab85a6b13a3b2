/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_LOAD_H
#define SMQTT_APPS_LOAD_H
/* From files to a configuration that a loop can use. */
#include "broker/conf.h"
#include "net/statefile.h"

/** What the configuration's file names lead to. */
struct load_parts {
    struct smqtt_identity *identity;
    struct smqtt_policy *policy;
    struct smq_statefile *state;
};

/** Reads `path` and what it includes; NULL: the defaults. Warnings go to `log`; `strict`: what would be left out with a
 * warning is a mistake. SMQTT_E_IO, SMQTT_E_FULL, SMQTT_E_USAGE, SMQTT_E_NOMEM; `why` has the sentence. */
SMQ_MUST_USE smqtt_err load_conf(const char *path, bool strict, const struct smq_log *log, struct smq_conf **out,
                                 struct smq_why *why);
/** Loads identity, policy and (`state`) the state, and puts them into conf->broker. Nothing is left open on failure. */
SMQ_MUST_USE smqtt_err load_parts(struct smq_conf *conf, bool state, struct load_parts *parts, struct smq_why *why);
void load_parts_close(struct load_parts *parts);

#endif
