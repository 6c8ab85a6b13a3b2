/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_HANDLE_H
#define SMQTT_BROKER_HANDLE_H
/* Names for objects of a worker that others, or a later turn, may speak of: slot and generation. A name of something
 * that is gone leads to nothing, also when its slot is used again. */
#include "base/mem.h"

struct smq_handle {
    uint32_t slot, gen; /* gen 0: no name */
};

struct smq_handles {
    const struct smqtt_mem *mem;
    struct smq_handle_slot {
        void *object; /* NULL: free */
        uint32_t gen, next;
    } * slots;
    uint32_t n, cap, free; /* free: 1 + index of the first free slot; 0: none */
};

void smq_handles_init(struct smq_handles *h, const struct smqtt_mem *mem);
void smq_handles_deinit(struct smq_handles *h);
/** A name for `object` (not NULL). SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_handle_make(struct smq_handles *h, void *object, struct smq_handle *out);
/** What it names; NULL when that is gone, or the name is none. */
void *smq_handle_get(const struct smq_handles *h, struct smq_handle handle);
/** The name leads to nothing from now on. One that is none is left alone. */
void smq_handle_end(struct smq_handles *h, struct smq_handle handle);

#endif
