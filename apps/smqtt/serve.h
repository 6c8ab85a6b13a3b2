/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_SERVE_H
#define SMQTT_APPS_SERVE_H
/* The openers of `smqtt sub --identity`: that of the identity itself, and those of its predecessors in their grace
 * time. */
#include <smqtt/client.h>

#include "opts.h"

/** Makes the openers that --identity, --previous, --clients, --revoked, --policy, --charset and --state ask for, and
 * attaches them. False after a sentence. */
bool serve_attach(const struct opts *o, struct smqtt_client *client);
/** Closes what serve_attach opened; the client was freed before. */
void serve_close(void);

#endif
