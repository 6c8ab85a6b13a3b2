/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_ENDPOINT_H
#define SMQTT_APPS_ENDPOINT_H
/* From flags and files to the two endpoints of S-MQTT. Every function says its own sentence when it fails. */
#include <smqtt/client.h>

#include "net/file.h"
#include "opts.h"

enum { FILE_MAX = 16 * 1024 * 1024, SECRET_MAX = 64 * 1024 };

/** A whole file, at most max bytes; free with smq_file_free. `secret`: refused when others than the owner may read it.
 * False after a sentence. */
bool endpoint_read_file(const char *path, size_t max, bool secret, struct smq_file_text *out);
/** The identity of a private file (0600), asking for its passphrase when it is locked. NULL after a sentence. */
struct smqtt_identity *endpoint_private(const struct opts *o, const char *path);
/** --topic-prefix, empty without one. False after a sentence. */
bool endpoint_prefix(const struct opts *o, struct smqtt_span *out);
/** --policy; NULL without one. False after a sentence. */
bool endpoint_read_policy(const char *path, struct smqtt_policy **out);
/** --revoked; NULL without one. False after a sentence. */
bool endpoint_read_revoked(const struct opts *o, struct smqtt_revocations **out);
/** False, after a sentence that says who, when, why and what to do, when the identity is on the list. NULL identities
 * and lists are fine. */
bool endpoint_is_usable(const struct smqtt_revocations *revoked, const struct smqtt_identity *id);
/** The sealer that --to, --identity, --policy and --revoked ask for; `client_id` as in CONNECT. */
struct smqtt_sealer *endpoint_sealer(const struct opts *o, struct smqtt_span client_id);
/** How --native and --tunnel want DETECT to travel. */
enum smqtt_path endpoint_path(const struct opts *o);
/** SMQTT_EV_DESCRIPTOR came: the known peers follow, and a person is told. */
void endpoint_on_descriptor(const struct opts *o, const struct smqtt_secure_event *event);
/** One sentence on why a sealed message or handshake failed, from error and status, and what the broker said
 * (reason, 0: nothing). */
void endpoint_say_failure(smqtt_err err, uint8_t status, uint8_t reason);

#endif
