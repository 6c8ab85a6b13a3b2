/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_ACCESS_H
#define SMQTT_APPS_ACCESS_H
/* The password and ACL files of a configuration. */
#include "broker/config.h"
#include "net/why.h"

struct access_tables;

/**
 * Reads the files that the listeners name, each once, and sets the listeners' auth.
 * @param[out] out  belongs to the configuration: it is freed when nobody uses that any more
 * @retval SMQTT_E_IO, SMQTT_E_FULL, SMQTT_E_USAGE, SMQTT_E_NOMEM, SMQTT_E_RNG  `why` has the sentence; no listener has
 * changed
 */
SMQ_MUST_USE smqtt_err access_load(struct smq_broker_config *config, struct access_tables **out, struct smq_why *why);
/** NULL is allowed. */
void access_free(struct access_tables *tables);

#endif
