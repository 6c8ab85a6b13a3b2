/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_STATE_H
#define SMQTT_APPS_STATE_H
/* A server's state directory: its sessions and the journal of step 1. One at a time. */
#include <smqtt/secure.h>

/** Opens DIR, or `<identity>.state` when it is NULL. NULL after one sentence. */
const struct smqtt_store *state_open(const char *dir, const char *identity);
/** For smqtt_opener_config.journal. */
void state_journal(void *ctx, const struct smqtt_journal_entry *entry);
void state_close(void);
/** Prints the journal of a state directory, or of the one beside an identity. False after one sentence. */
bool state_show_journal(const char *dir_or_identity);

#endif
