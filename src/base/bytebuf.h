/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_BYTEBUF_H
#define SMQTT_BASE_BYTEBUF_H
/* Queue of bytes: appended at the end, consumed from the front, always in one piece. An empty one holds no memory. */
#include "base/span.h"

/* Sizes have 32 bits: every idle connection has one of these. */
struct smq_bytebuf {
    const struct smqtt_mem *mem;
    uint8_t *block; /* NULL while empty */
    uint32_t cap;
    uint32_t start; /* of the bytes in block */
    uint32_t len;
    uint32_t max;
};

/** An empty queue of at most `max_len` bytes (1 GiB when that is more); allocates nothing. `mem` (NULL: the C
 * library's) is borrowed until deinit. The block may become a quarter larger than max_len, which is what keeps the cost
 * of moving bytes to its front constant per byte. */
void smq_bytebuf_init(struct smq_bytebuf *buf, const struct smqtt_mem *mem, size_t max_len);
/** Frees the block; the queue is empty and may be used again. */
void smq_bytebuf_deinit(struct smq_bytebuf *buf);
/** Other ceiling for what is appended from now on; bytes that are in stay. */
void smq_bytebuf_set_max(struct smq_bytebuf *buf, size_t max_len);
/** The bytes in the queue: a view until the next call that is not a question. */
static inline smq_span smq_bytebuf_span(const struct smq_bytebuf *buf)
{
    return (smq_span){buf->block != NULL ? buf->block + buf->start : NULL, buf->len};
}
/** How many bytes may still be appended. */
static inline size_t smq_bytebuf_room(const struct smq_bytebuf *buf)
{
    return buf->max > buf->len ? buf->max - buf->len : 0;
}
/**
 * Appends a copy of `s`, which must not lie in this queue: all of it or nothing.
 * @retval SMQTT_E_FULL   it would be over the ceiling; the queue is unchanged
 * @retval SMQTT_E_NOMEM  no memory; the queue is unchanged
 */
smqtt_err smq_bytebuf_append(struct smq_bytebuf *buf, smq_span s) SMQ_MUST_USE;
/**
 * Room for `len` bytes behind the end, to be filled by the caller (recv) and then added with smq_bytebuf_commit.
 * @param[out] at  where; valid until the next call that is neither a question nor commit
 * @retval SMQTT_E_FULL, SMQTT_E_NOMEM  as smq_bytebuf_append
 */
smqtt_err smq_bytebuf_reserve(struct smq_bytebuf *buf, size_t len, uint8_t **at) SMQ_MUST_USE;
/** Adds the first `len` bytes of what was reserved, at most that many. 0 with an empty queue frees the block. */
void smq_bytebuf_commit(struct smq_bytebuf *buf, size_t len);
/** Drops `len` bytes from the front, at most those that are in. The block is freed when none is left. */
void smq_bytebuf_consume(struct smq_bytebuf *buf, size_t len);

#endif
