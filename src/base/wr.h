/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_WR_H
#define SMQTT_BASE_WR_H
/* Write cursor over the caller's buffer. It never writes past the capacity but goes on counting, as snprintf does: with
 * capacity 0 it measures. Check once at the end with smq_wr_ok. */
#include "base/span.h"

struct smq_wr {
    uint8_t *buf;
    size_t cap;
    size_t len; /* bytes written or, past cap, that would have been written */
};

static inline struct smq_wr smq_wr_of(uint8_t *buf, size_t cap)
{
    return (struct smq_wr){buf, cap, 0};
}
/** A cursor that only measures. */
static inline struct smq_wr smq_wr_measure(void)
{
    return (struct smq_wr){NULL, 0, 0};
}
static inline bool smq_wr_ok(const struct smq_wr *wr)
{
    return wr->len <= wr->cap;
}
/** What was written; only when smq_wr_ok. */
static inline smq_span smq_wr_span(const struct smq_wr *wr)
{
    return (smq_span){wr->buf, smq_wr_ok(wr) ? wr->len : 0};
}
static inline void smq_wr_bytes(struct smq_wr *wr, const void *data, size_t len)
{
    if (len != 0 && wr->len <= wr->cap && wr->cap - wr->len >= len) {
        memcpy(wr->buf + wr->len, data, len);
    }
    wr->len += len;
}
static inline void smq_wr_put(struct smq_wr *wr, smq_span s)
{
    smq_wr_bytes(wr, s.data, s.len);
}
/** Big-endian unsigned integer of 1..8 bytes. */
static inline void smq_wr_uint(struct smq_wr *wr, uint64_t v, size_t len)
{
    uint8_t b[8];
    for (size_t i = 0; i < len; i++) {
        b[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
    }
    smq_wr_bytes(wr, b, len);
}
static inline void smq_wr_u8(struct smq_wr *wr, uint8_t v)
{
    smq_wr_uint(wr, v, 1);
}
static inline void smq_wr_u16(struct smq_wr *wr, uint16_t v)
{
    smq_wr_uint(wr, v, 2);
}
static inline void smq_wr_u32(struct smq_wr *wr, uint32_t v)
{
    smq_wr_uint(wr, v, 4);
}
static inline void smq_wr_u64(struct smq_wr *wr, uint64_t v)
{
    smq_wr_uint(wr, v, 8);
}
/** u16 length, then the bytes; s.len must be at most 65,535. */
static inline void smq_wr_blob16(struct smq_wr *wr, smq_span s)
{
    smq_wr_u16(wr, (uint16_t)s.len);
    smq_wr_put(wr, s);
}
/** u8 length, then the bytes; s.len must be at most 255. */
static inline void smq_wr_blob8(struct smq_wr *wr, smq_span s)
{
    smq_wr_u8(wr, (uint8_t)s.len);
    smq_wr_put(wr, s);
}
/** Leaves len bytes for later and returns where they are, or NULL past the capacity and when only measuring. */
static inline uint8_t *smq_wr_reserve(struct smq_wr *wr, size_t len)
{
    uint8_t *at = wr->buf != NULL && wr->len <= wr->cap && wr->cap - wr->len >= len ? wr->buf + wr->len : NULL;
    wr->len += len;
    return at;
}

#endif
