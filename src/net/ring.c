/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ring.h"

#include "base/mem.h"

smqtt_err smq_ring_init(struct smq_ring *ring, const struct smqtt_mem *mem, uint32_t n)
{
    ring->mem = mem;
    ring->mask = n - 1;
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    ring->head_seen = ring->tail_seen = 0;
    ring->mails = smq_mem_zalloc(mem, n, sizeof *ring->mails);
    return ring->mails != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

void smq_ring_deinit(struct smq_ring *ring)
{
    smq_mem_free(ring->mem, ring->mails);
    ring->mails = NULL;
}

bool smq_ring_has_place(struct smq_ring *ring)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen <= ring->mask) {
        return true;
    }
    ring->head_seen = atomic_load(&ring->head);
    return tail - ring->head_seen <= ring->mask;
}

bool smq_ring_give(struct smq_ring *ring, const struct smq_mail *mail)
{
    if (!smq_ring_has_place(ring)) {
        return false;
    }
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    ring->mails[tail & ring->mask] = *mail;
    atomic_store(&ring->tail, tail + 1);
    return true;
}

bool smq_ring_has_mail(struct smq_ring *ring)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    if (head != ring->tail_seen) {
        return true;
    }
    ring->tail_seen = atomic_load(&ring->tail);
    return head != ring->tail_seen;
}

bool smq_ring_take(struct smq_ring *ring, struct smq_mail *out)
{
    if (!smq_ring_has_mail(ring)) {
        return false;
    }
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    *out = ring->mails[head & ring->mask];
    atomic_store(&ring->head, head + 1);
    return true;
}
