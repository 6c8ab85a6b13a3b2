/* SPDX-License-Identifier: Apache-2.0 */
#include "base/refbuf.h"

#include "base/mem.h"

struct smq_refbuf *smq_refbuf_new(const struct smqtt_mem *mem, size_t len)
{
    if (len > UINT32_MAX || len > SIZE_MAX - sizeof(struct smq_refbuf)) {
        return NULL;
    }
    struct smq_refbuf *buf = smq_mem_alloc(mem, sizeof *buf + len);
    if (buf != NULL) {
        atomic_init(&buf->refs, 1);
        buf->len = (uint32_t)len;
        buf->mem = mem;
    }
    return buf;
}

struct smq_refbuf *smq_refbuf_new_copy(const struct smqtt_mem *mem, smq_span s)
{
    struct smq_refbuf *buf = smq_refbuf_new(mem, s.len);
    if (buf != NULL && s.len != 0) {
        memcpy(buf->data, s.data, s.len);
    }
    return buf;
}

void smq_refbuf_free(struct smq_refbuf *buf)
{
    smq_mem_free(buf->mem, buf);
}

void smq_refbuf_unref(struct smq_refbuf *buf)
{
    if (buf != NULL && smq_refbuf_release(buf)) {
        smq_refbuf_free(buf);
    }
}

bool smq_refbuf_is_sole(const struct smq_refbuf *buf)
{
    return (atomic_load_explicit(&buf->refs, memory_order_acquire) & ~SMQ_REFS_CROSSED) == 1;
}
