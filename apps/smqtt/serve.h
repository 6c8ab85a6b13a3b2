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
/**
 * Reads the revocation lists again. The sessions of clients that stand on them now end while events are pulled; what is
 * wrong with a file is said in a sentence, and the lists stay as they were. False after a sentence: the identity itself
 * was revoked and must not be served any more. A revoked predecessor is only not served any more.
 */
bool serve_read_revoked_again(const struct opts *o);
/** Says why the session of a client was closed, if it was for a revocation (SMQTT_EV_CLOSED). */
void serve_say_closed(const struct smqtt_secure_event *event);
/** Closes what serve_attach opened; the client was freed before. */
void serve_close(void);

#endif
