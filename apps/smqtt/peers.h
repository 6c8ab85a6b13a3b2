/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_PEERS_H
#define SMQTT_APPS_PEERS_H
/* The server that --to names: a file, a public line, a known peer, or, when asked for, what the broker has. */
#include <smqtt/client.h>

#include "net/why.h"
#include "opts.h"

/** Where the known peers are: --known, else smqtt/known_peers in $XDG_CONFIG_HOME or $HOME/.config. False after a
 * sentence. */
bool peers_path(const struct opts *o, char *out, size_t cap);
/** Is this a public line rather than the name of something? */
bool peers_is_line(const char *text);
/** NULL after a sentence. */
struct smqtt_identity *peers_read_line(const char *line);
/** The server that --to names; with --trust-first-use the broker may be asked for it, on a connection of its own. NULL
 * after a sentence. */
struct smqtt_identity *peers_server(const struct opts *o);
/** SMQTT_EV_DESCRIPTOR: the known peers follow, and a person is told. `server` is what is in force now. */
void peers_on_descriptor(const struct opts *o, const struct smqtt_identity *server,
                         const struct smqtt_secure_event *event);

/** Reads the lists of --revoked and what was learned before of servers that revoked themselves, which is kept beside
 * the known peers (FILE.revoked). Errors as smq_revoked_read. */
SMQ_MUST_USE smqtt_err peers_read_revoked(const struct opts *o, struct smqtt_revocations **out, struct smq_why *why);

#endif
