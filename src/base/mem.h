/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_MEM_H
#define SMQTT_BASE_MEM_H
/* The allocator table in use, and the secrets' two tools. */
#include "base/span.h"

/** `mem`, or the C library's table when it is NULL. */
const struct smqtt_mem *smq_mem_or_default(const struct smqtt_mem *mem);
/** `size` bytes, not cleared; NULL when there are none. size 0 gives a valid pointer of one byte. */
void *smq_mem_alloc(const struct smqtt_mem *mem, size_t size);
/** n objects of `size` bytes, cleared; NULL when there are none or the product overflows. */
void *smq_mem_zalloc(const struct smqtt_mem *mem, size_t n, size_t size);
/** As realloc. */
void *smq_mem_resize(const struct smqtt_mem *mem, void *ptr, size_t size);
/** As free. */
void smq_mem_free(const struct smqtt_mem *mem, void *ptr);
/** Copy of the bytes with a zero behind them; NULL when there is no memory. */
void *smq_mem_dup(const struct smqtt_mem *mem, smq_span s);

/** Overwrites a secret; the compiler cannot drop it. */
void smq_wipe(void *ptr, size_t len);
/** Equal bytes? Takes the same time whatever they are. */
bool smq_ct_equal(const void *a, const void *b, size_t len) SMQ_MUST_USE;

#endif
