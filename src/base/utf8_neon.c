/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 by vectors for AArch64; the idea is told in utf8_x86.c. */
#include "base/utf8_impl.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

INLINE uint8x16_t is16(uint8x16_t v, uint8_t byte)
{
    return vceqq_u8(v, vdupq_n_u8(byte));
}

INLINE uint8x16_t from16(uint8x16_t v, uint8_t byte)
{
    return vcgeq_u8(v, vdupq_n_u8(byte));
}

INLINE uint8x16_t upto16(uint8x16_t v, uint8_t byte)
{
    return vcleq_u8(v, vdupq_n_u8(byte));
}

/* Non-zero where the policy forbids a character of one byte. */
INLINE uint8x16_t forbidden16(uint8x16_t cur, enum smq_text_policy policy)
{
    if (policy == SMQ_TEXT_STRICT) {
        return vorrq_u8(upto16(cur, 0x1F), is16(cur, 0x7F));
    }
    return policy == SMQ_TEXT_STANDARD ? is16(cur, 0) : vdupq_n_u8(0);
}

/* Non-zero where bytes are ill-formed; p1, p2, p3 are the bytes one, two and three places before. */
INLINE uint8x16_t ill16(uint8x16_t cur, uint8x16_t p1, uint8x16_t p2, uint8x16_t p3)
{
    uint8x16_t has = is16(vandq_u8(cur, vdupq_n_u8(0xC0)), 0x80); /* a continuation */
    uint8x16_t due = vorrq_u8(from16(p1, 0xC0), vorrq_u8(from16(p2, 0xE0), from16(p3, 0xF0)));
    uint8x16_t bad = veorq_u8(has, due);
    bad = vorrq_u8(bad, from16(cur, 0xF5));                            /* past U+10FFFF */
    bad = vorrq_u8(bad, is16(vandq_u8(cur, vdupq_n_u8(0xFE)), 0xC0));  /* over-long, 2 bytes */
    bad = vorrq_u8(bad, vandq_u8(is16(p1, 0xE0), upto16(cur, 0x9F)));  /* over-long, 3 bytes */
    bad = vorrq_u8(bad, vandq_u8(is16(p1, 0xF0), upto16(cur, 0x8F)));  /* over-long, 4 bytes */
    bad = vorrq_u8(bad, vandq_u8(is16(p1, 0xED), from16(cur, 0xA0)));  /* surrogate */
    return vorrq_u8(bad, vandq_u8(is16(p1, 0xF4), from16(cur, 0x90))); /* past U+10FFFF */
}

/* Non-zero where well-formed bytes are U+0080..U+009F or a non-character (also at some ill-formed places). */
INLINE uint8x16_t advised16(uint8x16_t cur, uint8x16_t p1, uint8x16_t p2)
{
    uint8x16_t c1 = vandq_u8(is16(p1, 0xC2), upto16(cur, 0x9F));
    uint8x16_t fdd0 =
        vandq_u8(vandq_u8(is16(p2, 0xEF), is16(p1, 0xB7)), vandq_u8(from16(cur, 0x90), upto16(cur, 0xAF)));
    uint8x16_t fffe = vandq_u8(vandq_u8(is16(vorrq_u8(p2, vdupq_n_u8(0xF0)), 0xFF), is16(p1, 0xBF)),
                               is16(vandq_u8(cur, vdupq_n_u8(0xFE)), 0xBE));
    return vorrq_u8(c1, vorrq_u8(fdd0, fffe));
}

INLINE uint8x16_t check16(uint8x16_t cur, uint8x16_t p1, uint8x16_t p2, uint8x16_t p3, enum smq_text_policy policy)
{
    uint8x16_t bad = vorrq_u8(ill16(cur, p1, p2, p3), forbidden16(cur, policy));
    return policy == SMQ_TEXT_STRICT ? vorrq_u8(bad, advised16(cur, p1, p2)) : bad;
}

INLINE uint8x16_t check16_at(const uint8_t *p, enum smq_text_policy policy)
{
    return check16(vld1q_u8(p), vld1q_u8(p - 1), vld1q_u8(p - 2), vld1q_u8(p - 3), policy);
}

INLINE bool ok16(const uint8_t *p, const uint8_t *end, enum smq_text_policy policy)
{
    const uint8x16_t zero = vdupq_n_u8(0);
    uint8x16_t cur = vld1q_u8(p);
    uint8x16_t bad = check16(cur, vextq_u8(zero, cur, 15), vextq_u8(zero, cur, 14), vextq_u8(zero, cur, 13), policy);
    bool open = vmaxvq_u8(cur) >= 0x80; /* the block before is not all ASCII */
    for (p += 16; end - p >= 16; p += 16) {
        cur = vld1q_u8(p);
        bool ascii = vmaxvq_u8(cur) < 0x80;
        bad = vorrq_u8(bad, ascii && !open ? forbidden16(cur, policy) : check16_at(p, policy));
        open = !ascii;
    }
    bad = vorrq_u8(bad, check16_at(end - 16, policy));
    return vmaxvq_u8(bad) == 0 && !smq_utf8_is_open(end);
}

bool smq_utf8_ok_neon(smq_span s, enum smq_text_policy policy)
{
    if (s.len < 16 + 3) {
        return smq_utf8_ok_scalar(s, policy);
    }
    const uint8_t *end = s.data + s.len;
    switch (policy) {
    case SMQ_TEXT_STANDARD:
        return ok16(s.data, end, SMQ_TEXT_STANDARD);
    case SMQ_TEXT_WELLFORMED:
        return ok16(s.data, end, SMQ_TEXT_WELLFORMED);
    case SMQ_TEXT_ANY:
        return true;
    case SMQ_TEXT_STRICT:
        break;
    }
    return ok16(s.data, end, SMQ_TEXT_STRICT);
}
#endif
