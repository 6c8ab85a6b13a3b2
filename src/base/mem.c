/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "base/mem.h"

#include <stdlib.h>

static void *libc_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void *libc_resize(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    return realloc(ptr, size);
}

static void libc_release(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static const struct smqtt_mem libc_mem = {libc_alloc, libc_resize, libc_release, NULL};

const struct smqtt_mem *smq_mem_or_default(const struct smqtt_mem *mem)
{
    return mem != NULL ? mem : &libc_mem;
}

void *smq_mem_alloc(const struct smqtt_mem *mem, size_t size)
{
    mem = smq_mem_or_default(mem);
    return mem->alloc(mem->ctx, size != 0 ? size : 1);
}

void *smq_mem_zalloc(const struct smqtt_mem *mem, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) {
        return NULL;
    }
    void *ptr = smq_mem_alloc(mem, n * size);
    if (ptr != NULL) {
        memset(ptr, 0, n * size);
    }
    return ptr;
}

void *smq_mem_resize(const struct smqtt_mem *mem, void *ptr, size_t size)
{
    mem = smq_mem_or_default(mem);
    return mem->resize(mem->ctx, ptr, size != 0 ? size : 1);
}

void smq_mem_free(const struct smqtt_mem *mem, void *ptr)
{
    mem = smq_mem_or_default(mem);
    mem->release(mem->ctx, ptr);
}

void *smq_mem_dup(const struct smqtt_mem *mem, smq_span s)
{
    uint8_t *copy = smq_mem_alloc(mem, s.len + 1);
    if (copy != NULL) {
        if (s.len != 0) {
            memcpy(copy, s.data, s.len);
        }
        copy[s.len] = 0;
    }
    return copy;
}

void smq_wipe(void *ptr, size_t len)
{
    if (len != 0) {
        explicit_bzero(ptr, len);
    }
}

bool smq_ct_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a;
    const volatile uint8_t *y = b;
    uint8_t diff = 0;
    for (size_t i = 0; i < len; i++) {
        diff = (uint8_t)(diff | (x[i] ^ y[i]));
    }
    return diff == 0;
}
