/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_IMPORTING_H
#define SMQTT_APPS_IMPORTING_H
/* The first start where Mosquitto was before. */
#include "base/log.h"
#include "conf/conf.h"
#include "store/store.h"

/** Fills an empty store with what Mosquitto left in persistence_file, if it left anything. The file stays as it is. One
 * that cannot be read is named in the log, and the store stays empty. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err importing_run(const struct smq_conf *conf, struct smq_store *store, const struct smq_log *log);

#endif
