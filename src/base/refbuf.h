/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_REFBUF_H
#define SMQTT_BASE_REFBUF_H
/* Block of bytes with a count of its owners: one encoded PUBLISH, sent to many receivers. It is written while it has
 * one owner and read only from the first smq_refbuf_ref on. The count is atomic, so owners may sit in different
 * threads; then the allocator, too, must allow a release from any of them. */
#include <stdatomic.h>

#include "base/span.h"

struct smq_refbuf {
    atomic_uint_least32_t refs;
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
struct smq_refbuf *smq_refbuf_ref(struct smq_refbuf *buf);
/** One owner less; the last one frees the block. NULL is allowed. */
void smq_refbuf_unref(struct smq_refbuf *buf);
/** One owner less. True: it was the last, and the block is the caller's to free with smq_refbuf_free. */
bool smq_refbuf_release(struct smq_refbuf *buf) SMQ_MUST_USE;
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
