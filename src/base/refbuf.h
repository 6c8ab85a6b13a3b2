/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_REFBUF_H
#define SMQTT_BASE_REFBUF_H
/* Block of bytes with a count of its owners: one encoded PUBLISH, sent to many receivers. It is written while it has
 * one owner and read only from the first smq_refbuf_ref on. Owners sit in the thread that made it until smq_refbuf_hand
 * gave it one in another; from then on they are counted by atomic operations, and the allocator must allow a release
 * from any of their threads. */
#include <stdatomic.h>

#include "base/span.h"

#define SMQ_REFS_CROSSED (UINT32_C(1) << 31) /* owners sit in several threads */

struct smq_refbuf {
    atomic_uint_least32_t refs;  /* and SMQ_REFS_CROSSED */
    uint32_t len;                /* bytes of data in use; the first owner may lower it, e.g. to what was written */
    const struct smqtt_mem *mem; /* borrowed; outlives the block */
    uint8_t data[];
};

/** A block of `len` bytes, not cleared, with one owner: the caller, who gives it up with smq_refbuf_unref. `mem` (NULL:
 * the C library's) must outlive the block. NULL when there is no memory or len is over 2^32-1. */
struct smq_refbuf *smq_refbuf_new(const struct smqtt_mem *mem, size_t len) SMQ_MUST_USE;
/** The same with a copy of `s`. */
struct smq_refbuf *smq_refbuf_new_copy(const struct smqtt_mem *mem, smq_span s) SMQ_MUST_USE;
/** One owner more; returns the same block. Only an owner may call it. */
static inline struct smq_refbuf *smq_refbuf_ref(struct smq_refbuf *buf)
{
    uint32_t refs = atomic_load_explicit(&buf->refs, memory_order_relaxed);
    if ((refs & SMQ_REFS_CROSSED) == 0) {
        atomic_store_explicit(&buf->refs, refs + 1, memory_order_relaxed); /* nobody else can reach it */
    } else {
        /* Relaxed: who calls is an owner already, and hands the block on by means that order memory. */
        atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);
    }
    return buf;
}
/** The same for an owner in another thread: to be called before that can see the block. */
static inline struct smq_refbuf *smq_refbuf_hand(struct smq_refbuf *buf)
{
    uint32_t refs = atomic_load_explicit(&buf->refs, memory_order_relaxed);
    if ((refs & SMQ_REFS_CROSSED) == 0) {
        atomic_store_explicit(&buf->refs, refs | SMQ_REFS_CROSSED, memory_order_relaxed);
    }
    return smq_refbuf_ref(buf);
}
/** One owner less; the last one frees the block. NULL is allowed. */
void smq_refbuf_unref(struct smq_refbuf *buf);
/** One owner less. True: it was the last, and the block is the caller's to free with smq_refbuf_free. */
static inline bool smq_refbuf_release(struct smq_refbuf *buf)
{
    uint32_t refs = atomic_load_explicit(&buf->refs, memory_order_acquire);
    if ((refs & ~SMQ_REFS_CROSSED) == 1) {
        return true; /* who is the only owner stays it: nobody else could make another */
    }
    if ((refs & SMQ_REFS_CROSSED) == 0) {
        atomic_store_explicit(&buf->refs, refs - 1, memory_order_relaxed);
        return false;
    }
    /* Release, so that this owner's reads come before the free; acquire, so that the last one sees all of them done. */
    refs = atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel);
    return (refs & ~SMQ_REFS_CROSSED) == 1;
}
/** Did smq_refbuf_hand ever give one owner's part to another thread? */
static inline bool smq_refbuf_has_crossed(const struct smq_refbuf *buf)
{
    return (atomic_load_explicit(&buf->refs, memory_order_relaxed) & SMQ_REFS_CROSSED) != 0;
}
/** Frees a block that has no owner any more. */
void smq_refbuf_free(struct smq_refbuf *buf);
/** Is there no other owner, so that writing is allowed? */
bool smq_refbuf_is_sole(const struct smq_refbuf *buf);
/** The bytes; a view as long as the caller is an owner. NULL gives the empty span. */
static inline smq_span smq_refbuf_span(const struct smq_refbuf *buf)
{
    return buf != NULL ? (smq_span){buf->data, buf->len} : (smq_span){NULL, 0};
}

#endif
