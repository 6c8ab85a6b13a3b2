/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_POOL_H
#define SMQTT_BASE_POOL_H
/* Objects of one size that are named by 32 bits instead of a pointer: half the memory for links between small things,
 * and no overhead of an allocator on each. They never move. Memory is got in chunks and goes back when the last object
 * does: a pool that was large once stays so while anything is in it. Name 0 is nobody. */
#include "base/span.h"

enum { SMQ_POOL_CHUNK = 512 }; /* objects */

struct smq_pool {
    const struct smqtt_mem *mem;
    uint8_t **chunks;
    uint32_t n_chunks, cap_chunks;
    uint32_t size;        /* of an object, a multiple of 8 */
    uint32_t n;           /* objects in use */
    uint32_t fresh, free; /* the first never used, and the first of those given back (0: none) */
};

/** An empty pool; holds no memory. `size` is rounded up to a multiple of 8. */
void smq_pool_init(struct smq_pool *pool, const struct smqtt_mem *mem, size_t size);
/** Frees all objects. */
void smq_pool_deinit(struct smq_pool *pool);
/** A cleared object's name; 0 when there is no memory, or 2^32 are there. */
uint32_t smq_pool_take(struct smq_pool *pool) SMQ_MUST_USE;
/** Gives one back. When it was the last, all memory goes. */
void smq_pool_give(struct smq_pool *pool, uint32_t name);
/** Forgets every object whose name is above `last`, and gives back what memory that frees; those up to it must be in
 * use. */
void smq_pool_cut(struct smq_pool *pool, uint32_t last);
/** The object of a name that is in use. */
static inline void *smq_pool_at(const struct smq_pool *pool, uint32_t name)
{
    return pool->chunks[name / SMQ_POOL_CHUNK] + (size_t)(name % SMQ_POOL_CHUNK) * pool->size;
}

#endif
