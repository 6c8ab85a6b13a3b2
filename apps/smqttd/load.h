/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_LOAD_H
#define SMQTT_APPS_LOAD_H
/* From files to a configuration that a loop can use. */
#include "access.h"
#include "conf/conf.h"
#include "flags.h"
#include "revoked.h"
#include "net/statefile.h"

/** What the configuration's file names lead to. */
struct load_parts {
    struct smqtt_identity *identity;
    struct smqtt_policy *policy;
    struct smq_statefile *state;
};

/** One reading of the configuration: what is loaded anew by a reload, and freed when nobody uses it any more. */
struct load_setup {
    struct smq_conf *conf;
    struct access_tables *access; /* its password and ACL files */
    struct revoked revoked;       /* clients of the own identity */
};

/** Reads the configuration that the flags name, what it includes, and its password and ACL files; those not for a dump.
 * Warnings go to `log`. SMQTT_E_IO, SMQTT_E_FULL, SMQTT_E_USAGE, SMQTT_E_NOMEM; `why` has the sentence. */
SMQ_MUST_USE smqtt_err load_setup(const struct options *o, const struct smq_log *log, struct load_setup **out,
                                  struct smq_why *why);
/** Frees it, from any thread; of type void * for smq_settings_new. NULL is allowed. */
void load_setup_free(void *setup);
/** Loads identity, policy and (`state`) the state, and puts them into the setup's configuration. Nothing is left open
 * on failure. */
SMQ_MUST_USE smqtt_err load_parts(struct load_setup *setup, bool state, struct load_parts *parts, struct smq_why *why);
void load_parts_close(struct load_parts *parts);

#endif
