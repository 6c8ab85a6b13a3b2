/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_CLIENTS_H
#define SMQTT_APPS_CLIENTS_H
/* --clients FILE: who may open a session. A line is a public line (its comment is ignored) or, indented below it, a
 * topic filter that this client may publish under; without filters it may publish under all. `#` in the first column
 * starts a comment.
 *
 * A client that has renewed its descriptor, or has new keys that its listed ones vouch for, is taken for the listed one
 * (protocol.md 3.1). Once it has proven the newer one, that is remembered, and an older one is refused. */
#include <smqtt/secure.h>

struct clients;

/** Parses the text of the file. False after one sentence with the line number: also for keys that stand there twice, as
 * those of copied devices do. */
bool clients_read(const char *file, struct smqtt_span text, struct clients **out);
/** Takes over what `store` remembers, and remembers there from now on; it is borrowed. False after a sentence. */
bool clients_remember(struct clients *clients, const struct smqtt_store *store);
void clients_free(struct clients *clients);
/** May this client, claimed or proven, publish on the topic? Anonymous ones may not. What is refused for its age is
 * said once for each client. */
bool clients_allow(struct clients *clients, const struct smqtt_identity *peer, struct smqtt_span topic, smqtt_ms wall);
/** The client has proven that it is this one: from now on nothing older is taken. */
void clients_proven(struct clients *clients, const struct smqtt_identity *peer, smqtt_ms wall);
/** The newest descriptor that begins so; NULL when none does, or several do. */
const struct smqtt_identity *clients_lookup(const struct clients *clients, const uint8_t short_did[8]);

#endif
