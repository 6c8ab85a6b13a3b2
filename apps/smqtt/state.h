/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_STATE_H
#define SMQTT_APPS_STATE_H
/* A server's state directory: its sessions, the journal of step 1, and the newest descriptor of each client. */
#include <smqtt/secure.h>

struct state;

/** Opens DIR, or `<identity>.state` when it is NULL. NULL after one sentence. */
struct state *state_open(const char *dir, const char *identity);
/** The sessions. Valid as long as the state. */
const struct smqtt_store *state_sessions(const struct state *state);
/** What is remembered of the clients of --clients, in a file of its own that is opened now. NULL after one sentence. */
const struct smqtt_store *state_clients(struct state *state);
/** Adds a line to the journal. */
void state_journal(struct state *state, const struct smqtt_journal_entry *entry);
/** NULL is allowed. */
void state_close(struct state *state);
/** Prints the journal of a state directory, or of the one beside an identity. False after one sentence. */
bool state_show_journal(const char *dir_or_identity);

#endif
