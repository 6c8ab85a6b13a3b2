/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_REMOVED_H
#define SMQTT_APPS_REMOVED_H
/* Topics of the retained messages that `smqtt sub --remove-retained` removed. What removes one is an empty message,
 * and who subscribes gets it as well: that is no message that anybody else sent, and it may come between retained ones
 * that the broker still has to find. */
#include "base/map.h"

struct removed {
    struct smq_map topics;
};

/** An empty one; allocates nothing. `hash_key` is copied and must be random. */
void removed_init(struct removed *r, const uint8_t hash_key[16]);
/** Forgets all; it may be used again. */
void removed_deinit(struct removed *r);
/** A message that removes what is retained under the topic was sent; the topic is copied. False when there is no
 * memory: then its echo is taken for a message. */
bool removed_add(struct removed *r, smq_span topic);
/** Is this message the echo of one that was sent? Each that was sent has one. */
bool removed_is_echo(struct removed *r, smq_span topic, smq_span payload);

#endif
