/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/handle.h"

enum { FIRST = 16 };

void smq_handles_init(struct smq_handles *h, const struct smqtt_mem *mem)
{
    *h = (struct smq_handles){.mem = mem};
}

void smq_handles_deinit(struct smq_handles *h)
{
    smq_mem_free(h->mem, h->slots);
    *h = (struct smq_handles){.mem = h->mem};
}

smqtt_err smq_handle_make(struct smq_handles *h, void *object, struct smq_handle *out)
{
    if (h->free == 0 && h->n == h->cap) {
        uint32_t cap = h->cap != 0 ? h->cap * 2 : FIRST;
        void *slots = smq_mem_resize(h->mem, h->slots, cap * sizeof *h->slots);
        if (slots == NULL) {
            return SMQTT_E_NOMEM;
        }
        h->slots = slots;
        h->cap = cap;
    }
    uint32_t at = h->free != 0 ? h->free - 1 : h->n;
    struct smq_handle_slot *slot = &h->slots[at];
    if (h->free != 0) {
        h->free = slot->next;
    } else {
        h->n++;
        slot->gen = 1;
    }
    slot->object = object;
    *out = (struct smq_handle){at, slot->gen};
    return SMQTT_OK;
}

void *smq_handle_get(const struct smq_handles *h, struct smq_handle handle)
{
    bool known = handle.slot < h->n && h->slots[handle.slot].gen == handle.gen;
    return known ? h->slots[handle.slot].object : NULL;
}

void smq_handle_end(struct smq_handles *h, struct smq_handle handle)
{
    if (smq_handle_get(h, handle) == NULL) {
        return;
    }
    struct smq_handle_slot *slot = &h->slots[handle.slot];
    slot->object = NULL;
    slot->gen = slot->gen + 1 != 0 ? slot->gen + 1 : 1;
    slot->next = h->free;
    h->free = handle.slot + 1;
}
