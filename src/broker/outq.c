/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/outq.h"
#include "base/mem.h"
#include "broker/message.h"

enum { SMALL = 1000, LARGE = 16000, KEPT_SMALL = 256, KEPT_LARGE = 32, FIRST_SEGS = 8, SHARING_SEGS = 16 };

void smq_chunk_pool_init(struct smq_chunk_pool *pool, const struct smqtt_mem *mem)
{
    *pool = (struct smq_chunk_pool){.mem = mem};
}

static void chunk_unref(struct smq_chunk_pool *pool, struct smq_chunk *c);

void smq_chunk_pool_deinit(struct smq_chunk_pool *pool)
{
    for (size_t i = 0; i < SMQ_FORMS; i++) {
        if (pool->shared[i] != NULL) {
            chunk_unref(pool, pool->shared[i]);
            pool->shared[i] = NULL;
        }
    }
    for (size_t i = 0; i < 2; i++) {
        while (pool->free[i] != NULL) {
            struct smq_chunk *c = pool->free[i];
            pool->free[i] = c->next;
            smq_mem_free(pool->mem, c);
        }
        pool->n[i] = 0;
    }
}

static struct smq_chunk *chunk_new(struct smq_chunk_pool *pool, size_t n, bool large)
{
    size_t cap = n > SMALL || large ? LARGE : SMALL;
    cap = n > cap ? n : cap;
    size_t kind = cap == LARGE;
    struct smq_chunk *c = cap <= LARGE ? pool->free[kind] : NULL;
    if (c != NULL) {
        pool->free[kind] = c->next;
        pool->n[kind]--;
    } else {
        c = smq_mem_alloc(pool->mem, sizeof *c + cap);
        if (c == NULL) {
            return NULL;
        }
        c->cap = (uint32_t)cap;
    }
    c->refs = 0;
    c->fill = 0;
    c->is_shared = false;
    return c;
}

static void chunk_unref(struct smq_chunk_pool *pool, struct smq_chunk *c)
{
    if (--c->refs != 0) {
        return;
    }
    size_t kind = c->cap == LARGE;
    if (c->cap <= LARGE && pool->n[kind] < (kind ? KEPT_LARGE : KEPT_SMALL)) {
        c->next = pool->free[kind];
        pool->free[kind] = c;
        pool->n[kind]++;
    } else {
        smq_mem_free(pool->mem, c);
    }
}

void smq_outq_init(struct smq_outq *q)
{
    *q = (struct smq_outq){0};
}

static void seg_done(struct smq_chunk_pool *pool, const struct smq_seg *seg)
{
    if (seg->is_msg) {
        smq_msg_unref(seg->msg);
    } else {
        chunk_unref(pool, seg->chunk);
    }
}

static struct smq_seg *seg_at(const struct smq_outq *q, uint32_t i)
{
    return q->cap == 0 ? (struct smq_seg *)&q->one : &q->segs[q->head + i];
}

/* The chunk that a segment is a piece of; NULL for a message and for one that others write into. */
static struct smq_chunk *own_chunk(const struct smq_seg *seg)
{
    return seg != NULL && !seg->is_msg && !seg->chunk->is_shared ? seg->chunk : NULL;
}

static void release_segs(struct smq_outq *q, const struct smqtt_mem *mem)
{
    if (q->cap != 0) {
        smq_mem_free(mem, q->segs);
    }
    q->segs = NULL;
    q->head = 0;
    q->n = 0;
    q->cap = 0;
}

void smq_outq_clear(struct smq_outq *q, struct smq_chunk_pool *pool)
{
    for (uint32_t i = 0; i < q->n; i++) {
        seg_done(pool, seg_at(q, i));
    }
    release_segs(q, pool->mem);
    q->bytes = 0;
}

/* Room for `more` segments behind the last. */
static bool make_room(struct smq_outq *q, const struct smqtt_mem *mem, uint32_t more)
{
    if (q->cap == 0 ? q->n + more <= 1 : q->head + q->n + more <= q->cap) {
        return true;
    }
    if (q->cap != 0 && q->head >= q->cap / 2) {
        memmove(q->segs, q->segs + q->head, q->n * sizeof *q->segs);
        q->head = 0;
        return true;
    }
    uint32_t cap = q->cap != 0 ? q->cap * 2 : FIRST_SEGS;
    struct smq_seg *segs = smq_mem_alloc(mem, cap * sizeof *segs);
    if (segs == NULL) {
        return false;
    }
    if (q->n != 0) {
        memcpy(segs, seg_at(q, 0), q->n * sizeof *segs);
    }
    if (q->cap != 0) {
        smq_mem_free(mem, q->segs);
    }
    q->segs = segs;
    q->head = 0;
    q->cap = cap;
    return true;
}

uint8_t *smq_outq_append(struct smq_outq *q, struct smq_chunk_pool *pool, size_t n)
{
    struct smq_seg *last = q->n != 0 ? seg_at(q, q->n - 1) : NULL;
    struct smq_chunk *c = own_chunk(last);
    if (c == NULL && q->n > 1) {
        c = own_chunk(seg_at(q, q->n - 2)); /* behind a message: go on in the chunk before it */
        last = NULL;
    }
    if (c == NULL || c->cap - c->fill < n) {
        last = NULL;
        c = chunk_new(pool, n, q->n > 0);
        if (c == NULL) {
            return NULL;
        }
    }
    if (last == NULL) {
        if (!make_room(q, pool->mem, 1)) {
            c->refs++;
            chunk_unref(pool, c);
            return NULL;
        }
        last = seg_at(q, q->n);
        *last = (struct smq_seg){.data = c->data + c->fill, .chunk = c};
        c->refs++;
        q->n++;
    }
    uint8_t *at = c->data + c->fill;
    c->fill += (uint32_t)n;
    last->len += (uint32_t)n;
    q->bytes += n;
    return at;
}

uint8_t *smq_chunk_pool_share(struct smq_chunk_pool *pool, unsigned form, size_t n)
{
    struct smq_chunk *c = pool->shared[form];
    if (c != NULL && c->refs == 1 && c->fill != 0) {
        c->fill = 0; /* all of it has left */
        pool->shared_round++;
    }
    if (c == NULL || c->cap - c->fill < n) {
        struct smq_chunk *fresh = chunk_new(pool, n, true);
        if (fresh == NULL) {
            return NULL;
        }
        fresh->refs = 1;
        fresh->is_shared = true;
        if (c != NULL) {
            chunk_unref(pool, c);
        }
        pool->shared[form] = c = fresh;
        pool->shared_round++;
    }
    uint8_t *at = c->data + c->fill;
    c->fill += (uint32_t)n;
    return at;
}

bool smq_outq_share(struct smq_outq *q, struct smq_chunk_pool *pool, unsigned form, const uint8_t *at, size_t n)
{
    struct smq_chunk *c = pool->shared[form];
    struct smq_seg *last = q->n != 0 ? seg_at(q, q->n - 1) : NULL;
    if (last == NULL || last->is_msg || last->chunk != c || last->data + last->len != at) {
        if (q->n >= SHARING_SEGS || !make_room(q, pool->mem, 1)) {
            return false;
        }
        last = seg_at(q, q->n);
        *last = (struct smq_seg){.data = at, .chunk = c};
        c->refs++;
        q->n++;
    }
    last->len += (uint32_t)n;
    q->bytes += n;
    return true;
}

bool smq_outq_reserve_msg(struct smq_outq *q, struct smq_chunk_pool *pool)
{
    return make_room(q, pool->mem, 2);
}

void smq_outq_put_msg(struct smq_outq *q, struct smq_refbuf *msg, smq_span part)
{
    *seg_at(q, q->n) =
        (struct smq_seg){.data = part.data, .msg = smq_refbuf_ref(msg), .len = (uint32_t)part.len, .is_msg = true};
    q->n++;
    q->bytes += part.len;
}

size_t smq_outq_spans(const struct smq_outq *q, struct smqtt_span *spans, size_t max)
{
    size_t n = q->n < max ? q->n : max;
    for (size_t i = 0; i < n; i++) {
        const struct smq_seg *seg = seg_at(q, (uint32_t)i);
        spans[i] = (struct smqtt_span){seg->data, seg->len};
    }
    return n;
}

void smq_outq_consume(struct smq_outq *q, struct smq_chunk_pool *pool, size_t n)
{
    q->bytes -= n < q->bytes ? n : q->bytes;
    while (q->n != 0) {
        struct smq_seg *seg = seg_at(q, 0);
        if (n < seg->len) {
            seg->data += n;
            seg->len -= (uint32_t)n;
            return;
        }
        n -= seg->len;
        seg_done(pool, seg);
        q->head += q->cap != 0;
        q->n--;
    }
    release_segs(q, pool->mem);
}
