/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"
#include "base/mem.h"

enum { FIRST_CHUNKS = 4 };

void smq_pool_init(struct smq_pool *pool, const struct smqtt_mem *mem, size_t size)
{
    *pool = (struct smq_pool){.mem = mem, .size = (uint32_t)((size + 7) & ~(size_t)7), .fresh = 1};
}

void smq_pool_deinit(struct smq_pool *pool)
{
    for (uint32_t i = 0; i < pool->n_chunks; i++) {
        smq_mem_free(pool->mem, pool->chunks[i]);
    }
    smq_mem_free(pool->mem, pool->chunks);
    smq_pool_init(pool, pool->mem, pool->size);
}

static bool add_chunk(struct smq_pool *pool)
{
    if (pool->n_chunks == pool->cap_chunks) {
        uint32_t cap = pool->cap_chunks != 0 ? pool->cap_chunks * 2 : FIRST_CHUNKS;
        uint8_t **chunks = smq_mem_resize(pool->mem, pool->chunks, cap * sizeof *chunks);
        if (chunks == NULL) {
            return false;
        }
        pool->chunks = chunks;
        pool->cap_chunks = cap;
    }
    uint8_t *chunk = smq_mem_alloc(pool->mem, (size_t)SMQ_POOL_CHUNK * pool->size);
    if (chunk == NULL) {
        return false;
    }
    pool->chunks[pool->n_chunks++] = chunk;
    return true;
}

uint32_t smq_pool_take(struct smq_pool *pool)
{
    uint32_t name = pool->free;
    if (name != 0) {
        memcpy(&pool->free, smq_pool_at(pool, name), sizeof pool->free); /* a free one names the next */
    } else {
        if (pool->fresh == UINT32_MAX || (pool->fresh / SMQ_POOL_CHUNK == pool->n_chunks && !add_chunk(pool))) {
            return 0;
        }
        name = pool->fresh++;
    }
    memset(smq_pool_at(pool, name), 0, pool->size);
    pool->n++;
    return name;
}

void smq_pool_give(struct smq_pool *pool, uint32_t name)
{
    memcpy(smq_pool_at(pool, name), &pool->free, sizeof pool->free);
    pool->free = name;
    pool->n--;
    if (pool->n == 0) {
        smq_pool_deinit(pool);
    }
}

void smq_pool_cut(struct smq_pool *pool, uint32_t last)
{
    uint32_t keep = last / SMQ_POOL_CHUNK + 1;
    while (pool->n_chunks > keep) {
        smq_mem_free(pool->mem, pool->chunks[--pool->n_chunks]);
    }
    pool->fresh = last + 1;
    pool->free = 0;
    pool->n = last;
}
