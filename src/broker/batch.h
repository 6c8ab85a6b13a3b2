/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_BATCH_H
#define SMQTT_BROKER_BATCH_H
/* What one turn of one worker has to say to another: notes, one behind the other, written and read in place. A batch is
 * a chain of blocks; blocks that were read go back, empty, with what is said the other way, for messages may run one
 * way only. What a note means is peer.h's. */
#include <stdalign.h>

#include "base/mem.h"

/** Head of a note; its fields, and maybe bytes, stand behind it. */
struct smq_note {
    uint32_t size; /* bytes of the whole note, a multiple of 8 */
    uint32_t type; /* enum smq_note_type of peer.h */
};

struct smq_batch {
    struct smq_batch *next;              /* further blocks of the same batch; NULL at the end */
    const struct smqtt_mem *mem;         /* where the block is from */
    void (*drop)(struct smq_note *note); /* lets go what a note refers to, for smq_batch_free */
    uint32_t fill, cap;                  /* of bytes */
    alignas(8) uint8_t bytes[];
};

/** Blocks between two uses, one pool a worker. One is kept back for notes that must not fail for want of memory. */
struct smq_batch_pool {
    const struct smqtt_mem *mem;
    void (*drop)(struct smq_note *note);
    struct smq_batch *free, *reserve;
    unsigned n;
};

/** What gathers for one peer, and the blocks that came from it and were read. */
struct smq_outbox {
    struct smq_batch *first, *last;
    struct smq_batch *back, *back_last;
    unsigned n_back;
};

enum { SMQ_BATCH_BLOCK = 8 * 1024, SMQ_BATCH_BACK = 16 }; /* so many blocks go back even if there is nothing to say */

void smq_batch_pool_init(struct smq_batch_pool *pool, const struct smqtt_mem *mem, void (*drop)(struct smq_note *note));
void smq_batch_pool_deinit(struct smq_batch_pool *pool);
/** Gets the reserve, if it is not there. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_batch_pool_refill(struct smq_batch_pool *pool);
/** A block that was read is kept for another use, or freed when there are enough. */
void smq_batch_pool_put(struct smq_batch_pool *pool, struct smq_batch *block);

/** A block that came from this peer was read: it goes back, or into the pool if it came empty. */
void smq_outbox_give_back(struct smq_outbox *box, struct smq_batch_pool *pool, struct smq_batch *block);

/** Is there room for a note of `size` bytes, so that the next smq_outbox_add of it cannot fail? `important`: the
 * reserve may be taken for it. */
SMQ_MUST_USE bool smq_outbox_reserve(struct smq_outbox *box, struct smq_batch_pool *pool, size_t size, bool important);
/** A note of `size` bytes with its head, not cleared but for its head; room was reserved. */
struct smq_note *smq_outbox_add(struct smq_outbox *box, uint32_t type, size_t size);
/** Was this the last one added? Only with a note that was added since the last smq_outbox_take. */
static inline bool smq_outbox_is_last(const struct smq_outbox *box, const struct smq_note *note)
{
    return (const uint8_t *)note + note->size == box->last->bytes + box->last->fill;
}
/** The last note gets a size of `size` bytes; room was reserved for what is more. */
static inline void smq_outbox_grow(struct smq_outbox *box, struct smq_note *note, size_t size)
{
    uint32_t now = (uint32_t)((size + 7) & ~(size_t)7);
    box->last->fill += now - note->size;
    note->size = now;
}
/** The whole batch, with empty blocks at its end that go back; NULL when there is none. */
struct smq_batch *smq_outbox_take(struct smq_outbox *box);

/** The notes of one block in order: start with NULL. NULL at the end. */
struct smq_note *smq_batch_next(struct smq_batch *block, struct smq_note *after);

#endif
