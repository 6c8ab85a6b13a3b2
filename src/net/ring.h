/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_RING_H
#define SMQTT_NET_RING_H
/* A ring with one thread that gives and one that takes. Each side keeps its index in a cache line of its own, and a
 * copy of the other's, so that lines travel only when the copy says "full" or "empty". All orders are sequentially
 * consistent: beside each ring stands a flag "I am asleep" (net/post.h), and store-then-look on both sides needs it. */
#include <stdatomic.h>

#include "base/defs.h"

/** One thing that is passed on. */
struct smq_mail {
    void *what;
    size_t size;   /* bytes, for accounts */
    unsigned kind; /* the users' own */
};

enum { SMQ_CACHE_LINE = 64 };

struct smq_ring {
    struct smq_mail *mails;
    const struct smqtt_mem *mem;
    uint32_t mask;
    char apart1[SMQ_CACHE_LINE];
    atomic_uint_least32_t tail; /* written by the giver */
    uint32_t head_seen;
    char apart2[SMQ_CACHE_LINE];
    atomic_uint_least32_t head; /* written by the taker */
    uint32_t tail_seen;
    char apart3[SMQ_CACHE_LINE];
};

/** An empty ring for `n` mails, a power of two. `mem` is borrowed until deinit. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_ring_init(struct smq_ring *ring, const struct smqtt_mem *mem, uint32_t n);
/** Frees the ring; what is in it is the caller's to take before. Zeroed ones are allowed. */
void smq_ring_deinit(struct smq_ring *ring);
/** The giver's: false when it is full. */
bool smq_ring_give(struct smq_ring *ring, const struct smq_mail *mail);
/** The taker's: false when it is empty. */
bool smq_ring_take(struct smq_ring *ring, struct smq_mail *out);
/** The giver's: is there a place now? */
bool smq_ring_has_place(struct smq_ring *ring);
/** The taker's: is there something now? */
bool smq_ring_has_mail(struct smq_ring *ring);

#endif
