/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "broker/batch.h"
#include "broker/worker.h"

enum { KEPT = 64 };

static size_t rounded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static struct smq_batch *block_new(struct smq_batch_pool *pool, size_t cap)
{
    if (cap > UINT32_MAX) {
        return NULL;
    }
    struct smq_batch *block = smq_mem_alloc(pool->mem, sizeof *block + cap);
    if (block != NULL) {
        *block = (struct smq_batch){.mem = pool->mem, .drop = pool->drop, .cap = (uint32_t)cap};
    }
    return block;
}

void smq_batch_pool_init(struct smq_batch_pool *pool, const struct smqtt_mem *mem, void (*drop)(struct smq_note *note))
{
    *pool = (struct smq_batch_pool){.mem = mem, .drop = drop};
}

void smq_batch_pool_deinit(struct smq_batch_pool *pool)
{
    while (pool->free != NULL) {
        struct smq_batch *block = pool->free;
        pool->free = block->next;
        smq_mem_free(pool->mem, block);
    }
    smq_mem_free(pool->mem, pool->reserve);
    pool->reserve = NULL;
    pool->n = 0;
}

smqtt_err smq_batch_pool_refill(struct smq_batch_pool *pool)
{
    if (pool->reserve == NULL) {
        pool->reserve = block_new(pool, SMQ_BATCH_BLOCK);
    }
    return pool->reserve != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

void smq_batch_pool_put(struct smq_batch_pool *pool, struct smq_batch *block)
{
    if (block->cap != SMQ_BATCH_BLOCK || block->mem != pool->mem || pool->n >= KEPT) {
        smq_mem_free(block->mem, block);
        return;
    }
    block->next = pool->free;
    block->fill = 0;
    block->drop = pool->drop;
    pool->free = block;
    pool->n++;
}

static struct smq_batch *block_get(struct smq_batch_pool *pool, size_t size, bool important)
{
    struct smq_batch *block = pool->free;
    if (size > SMQ_BATCH_BLOCK) {
        return block_new(pool, size);
    }
    if (block != NULL) {
        pool->free = block->next;
        pool->n--;
        block->next = NULL;
        return block;
    }
    block = block_new(pool, SMQ_BATCH_BLOCK);
    if (block == NULL && important) {
        block = pool->reserve;
        pool->reserve = NULL;
    }
    return block;
}

bool smq_outbox_reserve(struct smq_outbox *box, struct smq_batch_pool *pool, size_t size, bool important)
{
    size = rounded(size);
    if (box->last != NULL && box->last->cap - box->last->fill >= size) {
        return true;
    }
    struct smq_batch *block = block_get(pool, size, important);
    if (block == NULL) {
        return false;
    }
    if (box->last != NULL) {
        box->last->next = block;
    } else {
        box->first = block;
    }
    box->last = block;
    return true;
}

void smq_outbox_give_back(struct smq_outbox *box, struct smq_batch_pool *pool, struct smq_batch *block)
{
    if (block->fill == 0 || block->cap != SMQ_BATCH_BLOCK) {
        smq_batch_pool_put(pool, block);
        return;
    }
    block->fill = 0;
    block->next = NULL;
    if (box->back_last != NULL) {
        box->back_last->next = block;
    } else {
        box->back = block;
    }
    box->back_last = block;
    box->n_back++;
}

struct smq_note *smq_outbox_add(struct smq_outbox *box, uint32_t type, size_t size)
{
    struct smq_batch *block = box->last;
    struct smq_note *note = (struct smq_note *)(void *)(block->bytes + block->fill);
    *note = (struct smq_note){.size = (uint32_t)rounded(size), .type = type};
    block->fill += note->size;
    return note;
}

struct smq_batch *smq_outbox_take(struct smq_outbox *box)
{
    struct smq_batch *batch = box->first;
    bool empty = batch == NULL || (batch->fill == 0 && batch->next == NULL); /* room may be reserved, and not used */
    if (empty && box->n_back < SMQ_BATCH_BACK) {
        return NULL;
    }
    if (batch == NULL) {
        batch = box->back;
    } else {
        box->last->next = box->back;
    }
    *box = (struct smq_outbox){0};
    return batch;
}

struct smq_note *smq_batch_next(struct smq_batch *block, struct smq_note *after)
{
    uint8_t *at = after != NULL ? (uint8_t *)after + after->size : block->bytes;
    return at < block->bytes + block->fill ? (struct smq_note *)(void *)at : NULL;
}

size_t smq_batch_size(const struct smq_batch *batch)
{
    size_t size = 0;
    for (; batch != NULL; batch = batch->next) {
        size += batch->fill;
    }
    return SMQ_MUTATE(lost_wakeup) && size < 64 ? 0 : size;
}

void smq_batch_free(struct smq_batch *batch)
{
    while (batch != NULL) {
        struct smq_batch *block = batch;
        batch = block->next;
        struct smq_note *note = NULL;
        while ((note = smq_batch_next(block, note)) != NULL) {
            block->drop(note);
        }
        smq_mem_free(block->mem, block);
    }
}
