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
/** An identity from a file, or from the public line itself. `need_private`: the file must hold private keys (and be
 * 0600). */
struct smqtt_identity *endpoint_identity(const char *file_or_line, bool need_private);
/** The sealer that --to, --identity and --policy ask for; `client_id` as in CONNECT. */
struct smqtt_sealer *endpoint_sealer(const struct opts *o, struct smqtt_span client_id);
/** The opener that --identity, --clients, --policy, --charset and --state ask for. Lives until the program ends. */
struct smqtt_opener *endpoint_opener(const struct opts *o);
/** How --native and --tunnel want DETECT to travel. */
enum smqtt_path endpoint_path(const struct opts *o);
/** Ends what endpoint_opener opened (state, charset). */
void endpoint_close(void);
/** One sentence on why a sealed message or handshake failed, from error and status, and what the broker said
 * (reason, 0: nothing). */
void endpoint_say_failure(smqtt_err err, uint8_t status, uint8_t reason);

#endif
