/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytebuf.h"

#include "base/mem.h"

#define CAP_MIN 256
#define MAX_MAX (1u << 30)

void smq_bytebuf_init(struct smq_bytebuf *buf, const struct smqtt_mem *mem, size_t max_len)
{
    *buf = (struct smq_bytebuf){.mem = mem};
    smq_bytebuf_set_max(buf, max_len);
}

void smq_bytebuf_deinit(struct smq_bytebuf *buf)
{
    smq_mem_free(buf->mem, buf->block);
    buf->block = NULL;
    buf->cap = 0;
    buf->start = 0;
    buf->len = 0;
}

void smq_bytebuf_set_max(struct smq_bytebuf *buf, size_t max_len)
{
    buf->max = max_len < MAX_MAX ? (uint32_t)max_len : MAX_MAX; /* the sizes below stay within 32 bits */
}

static void move_to_front(struct smq_bytebuf *buf)
{
    memmove(buf->block, buf->block + buf->start, buf->len);
    buf->start = 0;
}

/* A block of at least need + need / 4 bytes, or the largest one that the ceiling allows; need <= max. */
static smqtt_err grow(struct smq_bytebuf *buf, size_t need)
{
    size_t cap = need + need / 4;
    cap = cap > 2 * (size_t)buf->cap ? cap : 2 * (size_t)buf->cap;
    cap = cap > CAP_MIN ? cap : CAP_MIN;
    size_t most = (size_t)buf->max + buf->max / 4;
    cap = cap < most ? cap : most;
    uint8_t *block = NULL;
    if (buf->start == 0 && buf->block != NULL) {
        block = smq_mem_resize(buf->mem, buf->block, cap);
    } else {
        block = smq_mem_alloc(buf->mem, cap);
    }
    if (block == NULL) {
        return SMQTT_E_NOMEM;
    }
    if (buf->start != 0) {
        memcpy(block, buf->block + buf->start, buf->len);
        smq_mem_free(buf->mem, buf->block);
    }
    buf->block = block;
    buf->cap = (uint32_t)cap;
    buf->start = 0;
    return SMQTT_OK;
}

smqtt_err smq_bytebuf_reserve(struct smq_bytebuf *buf, size_t len, uint8_t **at)
{
    if (len > smq_bytebuf_room(buf)) {
        return SMQTT_E_FULL;
    }
    if (buf->block == NULL || buf->cap - buf->start - buf->len < len) {
        /* Moving pays when at least a quarter as many bytes were consumed as have to move. A block of the largest size
         * is never too small here: what does not fit behind its bytes fits before them. */
        if (buf->block != NULL && buf->cap - buf->len >= len && buf->start >= buf->len / 4) {
            move_to_front(buf);
        } else {
            SMQ_TRY(grow(buf, buf->len + len));
        }
    }
    *at = buf->block + buf->start + buf->len;
    return SMQTT_OK;
}

void smq_bytebuf_commit(struct smq_bytebuf *buf, size_t len)
{
    buf->len += (uint32_t)len;
    if (buf->len == 0) {
        smq_bytebuf_deinit(buf);
    }
}

smqtt_err smq_bytebuf_append(struct smq_bytebuf *buf, smq_span s)
{
    if (s.len == 0) {
        return SMQTT_OK;
    }
    uint8_t *at = NULL;
    SMQ_TRY(smq_bytebuf_reserve(buf, s.len, &at));
    memcpy(at, s.data, s.len);
    smq_bytebuf_commit(buf, s.len);
    return SMQTT_OK;
}

void smq_bytebuf_consume(struct smq_bytebuf *buf, size_t len)
{
    if (len >= buf->len) {
        smq_bytebuf_deinit(buf);
        return;
    }
    buf->start += (uint32_t)len;
    buf->len -= (uint32_t)len;
}
