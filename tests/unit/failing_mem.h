/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_FAILING_MEM_H
#define SMQTT_TESTS_FAILING_MEM_H
/* Allocator for tests: fails the Nth allocation, counts what lives.
 *
 *     struct failing_mem fm;
 *     failing_mem_init(&fm);
 *     for (size_t nth = 1;; nth++) {           every allocation fails once
 *         failing_mem_arm(&fm, nth);
 *         err = the_call(&fm.mem);
 *         ... clean up; assert_int_equal(fm.live, 0) ...
 *         if (!failing_mem_has_failed(&fm)) break;
 *     }
 */
#include <stdlib.h>

#include "base/defs.h"

struct failing_mem {
    struct smqtt_mem mem; /* hand this out */
    size_t fail_at;       /* the allocation, from 1, that fails; 0: none */
    size_t made;          /* allocations and resizes since armed, the failed one included */
    size_t live;          /* blocks not released yet */
};

static inline bool failing_mem_fails(struct failing_mem *fm)
{
    fm->made++;
    return fm->made == fm->fail_at;
}

static inline void *failing_mem_alloc(void *ctx, size_t size)
{
    struct failing_mem *fm = (struct failing_mem *)ctx;
    void *ptr = failing_mem_fails(fm) ? NULL : malloc(size);
    fm->live += ptr != NULL;
    return ptr;
}

static inline void *failing_mem_resize(void *ctx, void *ptr, size_t size)
{
    struct failing_mem *fm = (struct failing_mem *)ctx;
    if (failing_mem_fails(fm)) {
        return NULL;
    }
    void *moved = realloc(ptr, size);
    fm->live += ptr == NULL && moved != NULL;
    return moved;
}

static inline void failing_mem_release(void *ctx, void *ptr)
{
    struct failing_mem *fm = (struct failing_mem *)ctx;
    fm->live -= ptr != NULL;
    free(ptr);
}

/** An allocator that does not fail; nothing lives. */
static inline void failing_mem_init(struct failing_mem *fm)
{
    *fm = (struct failing_mem){{failing_mem_alloc, failing_mem_resize, failing_mem_release, fm}, 0, 0, 0};
}
/** The nth allocation from here on, counted from 1, fails; 0: none. */
static inline void failing_mem_arm(struct failing_mem *fm, size_t nth)
{
    fm->fail_at = nth;
    fm->made = 0;
}
/** Did the allocation that was to fail come? */
static inline bool failing_mem_has_failed(const struct failing_mem *fm)
{
    return fm->fail_at != 0 && fm->made >= fm->fail_at;
}

#endif
