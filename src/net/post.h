/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_POST_H
#define SMQTT_NET_POST_H
/* What loops give each other: a lane (a ring and what found no place in it) from each to each, and for each loop a flag
 * that says whether it has to be woken. Loops are named by their number. A function with `from` is called in that
 * loop's thread, one with `to` in the receiver's. */
#include "net/ring.h"

enum smq_mail_kind {
    SMQ_MAIL_BATCH,  /* struct smq_batch */
    SMQ_MAIL_PARCEL, /* struct smq_parcel: a transport */
    SMQ_MAIL_ORDER   /* struct smq_order */
};

/** Begins every thing but batches that is sent, so that it can wait without memory of its own. */
struct smq_letter {
    struct smq_letter *next;
    unsigned kind;
};

struct smq_post;
struct smq_batch;

/** Lanes between n loops. SMQTT_E_NOMEM, SMQTT_E_IO (no descriptor). */
SMQ_MUST_USE smqtt_err smq_post_new(const struct smqtt_mem *mem, unsigned n, struct smq_post **out);
/** Frees it. `drop` gets what nobody took. NULL is allowed. */
void smq_post_free(struct smq_post *post, void (*drop)(void *ctx, const struct smq_mail *mail), void *ctx);
/** How many loops it joins. */
unsigned smq_post_count(const struct smq_post *post);
/** The descriptor that a loop waits on to be woken. */
int smq_post_wake_fd(const struct smq_post *post, unsigned of);

/** Sends a letter; it waits in the lane when the ring is full. */
void smq_post_send(struct smq_post *post, unsigned from, unsigned to, struct smq_letter *letter);
/** Is there a place for a batch? When not, the batch stays with its worker, which gathers on. */
bool smq_post_has_place(struct smq_post *post, unsigned from, unsigned to);
/** Sends a batch; only after smq_post_has_place. */
void smq_post_send_batch(struct smq_post *post, unsigned from, unsigned to, struct smq_batch *batch, size_t size);
/** Has `to` more waiting than it should? Ends when half of that is taken. *changed: since the last time it was asked.
 */
bool smq_post_is_full(struct smq_post *post, unsigned from, unsigned to, bool *changed);
/** Ends what this turn sends: wakes those who sleep, once each. */
void smq_post_flush(struct smq_post *post, unsigned from);
/** Is something left that a ring had no place for? */
bool smq_post_is_stuck(const struct smq_post *post, unsigned from);

/** The next mail of `from`; false when there is none. */
bool smq_post_take(struct smq_post *post, unsigned to, unsigned from, struct smq_mail *out);
/** How many there are now, at most: for a round that ends. */
bool smq_post_has_mail(struct smq_post *post, unsigned to, unsigned from);
/** After takes of a turn: wakes those who waited for places. */
void smq_post_thank(struct smq_post *post, unsigned to);

/** `of` is going to wait. False: there is something to do, it must not. */
bool smq_post_sleep(struct smq_post *post, unsigned of);
/** It waits no more. */
void smq_post_rise(struct smq_post *post, unsigned of);
/** Wakes a loop if it sleeps; from any thread. */
void smq_post_rouse(struct smq_post *post, unsigned whom);
/** Wakes a loop in any case; from any thread and signal handler. */
void smq_post_wake(const struct smq_post *post, unsigned of);

#endif
