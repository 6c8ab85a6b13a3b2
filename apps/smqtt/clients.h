/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_CLIENTS_H
#define SMQTT_APPS_CLIENTS_H
/* --clients FILE: who may open a session. A line is a public line (its comment is ignored) or, indented below it, a
 * topic filter that this client may publish under; without filters it may publish under all. `#` in the first column
 * starts a comment. */
#include <smqtt/secure.h>

struct clients;

/** Parses the text of the file. False after one sentence with the line number. */
bool clients_read(const char *file, struct smqtt_span text, struct clients **out);
void clients_free(struct clients *clients);
/** For smqtt_opener_config.allow: ctx is the struct clients. Anonymous clients are refused. */
bool clients_allow(void *ctx, const struct smqtt_identity *peer, struct smqtt_span topic);
/** For smqtt_opener_config.lookup. */
const struct smqtt_identity *clients_lookup(void *ctx, const uint8_t short_did[8]);

#endif
