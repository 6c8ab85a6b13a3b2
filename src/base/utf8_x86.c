/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 by vectors for x86-64. Whether byte i is in place depends on the bytes i-3..i only. So a block of bytes is
 * compared with the same bytes loaded from one, two and three places before, blocks need no memory of each other, and
 * the last block may overlap the one before it. What remains is a character that the end cuts off (smq_utf8_is_open).
 */
#include "base/utf8_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define AVX2   __attribute__((target("avx2")))

/* ---- SSE2: comparisons ---- */

INLINE __m128i all16(int byte)
{
    return _mm_set1_epi8((char)byte);
}

/* 0xFF where v >= byte, unsigned. */
INLINE __m128i from16(__m128i v, int byte)
{
    return _mm_cmpeq_epi8(_mm_max_epu8(v, all16(byte)), v);
}

/* 0xFF where v <= byte, unsigned. */
INLINE __m128i upto16(__m128i v, int byte)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(v, all16(byte)), v);
}

INLINE __m128i is16(__m128i v, int byte)
{
    return _mm_cmpeq_epi8(v, all16(byte));
}

/* Non-zero where the policy forbids a character of one byte. */
INLINE __m128i forbidden16(__m128i cur, enum smq_text_policy policy)
{
    if (policy == SMQ_TEXT_STRICT) {
        return _mm_or_si128(upto16(cur, 0x1F), is16(cur, 0x7F));
    }
    return policy == SMQ_TEXT_STANDARD ? is16(cur, 0) : _mm_setzero_si128();
}

/* Non-zero where bytes are ill-formed; p1, p2, p3 are the bytes one, two and three places before. */
INLINE __m128i ill16(__m128i cur, __m128i p1, __m128i p2, __m128i p3)
{
    __m128i has = _mm_cmplt_epi8(cur, all16(0xC0)); /* signed: 0x80..0xBF, a continuation */
    __m128i due = _mm_or_si128(from16(p1, 0xC0), _mm_or_si128(from16(p2, 0xE0), from16(p3, 0xF0)));
    __m128i bad = _mm_xor_si128(has, due);
    bad = _mm_or_si128(bad, from16(cur, 0xF5));                                 /* past U+10FFFF */
    bad = _mm_or_si128(bad, is16(_mm_and_si128(cur, all16(0xFE)), 0xC0));       /* over-long, 2 bytes */
    bad = _mm_or_si128(bad, _mm_and_si128(is16(p1, 0xE0), upto16(cur, 0x9F)));  /* over-long, 3 bytes */
    bad = _mm_or_si128(bad, _mm_and_si128(is16(p1, 0xF0), upto16(cur, 0x8F)));  /* over-long, 4 bytes */
    bad = _mm_or_si128(bad, _mm_and_si128(is16(p1, 0xED), from16(cur, 0xA0)));  /* surrogate */
    return _mm_or_si128(bad, _mm_and_si128(is16(p1, 0xF4), from16(cur, 0x90))); /* past U+10FFFF */
}

/* Non-zero where well-formed bytes are U+0080..U+009F or a non-character (also at some ill-formed places). */
INLINE __m128i advised16(__m128i cur, __m128i p1, __m128i p2)
{
    __m128i c1 = _mm_and_si128(is16(p1, 0xC2), upto16(cur, 0x9F));
    __m128i fdd0 = _mm_and_si128(_mm_and_si128(is16(p2, 0xEF), is16(p1, 0xB7)),
                                 _mm_and_si128(from16(cur, 0x90), upto16(cur, 0xAF)));
    __m128i fffe = _mm_and_si128(_mm_and_si128(is16(_mm_or_si128(p2, all16(0xF0)), 0xFF), is16(p1, 0xBF)),
                                 is16(_mm_and_si128(cur, all16(0xFE)), 0xBE));
    return _mm_or_si128(c1, _mm_or_si128(fdd0, fffe));
}

INLINE __m128i check16(__m128i cur, __m128i p1, __m128i p2, __m128i p3, enum smq_text_policy policy)
{
    __m128i bad = _mm_or_si128(ill16(cur, p1, p2, p3), forbidden16(cur, policy));
    return policy == SMQ_TEXT_STRICT ? _mm_or_si128(bad, advised16(cur, p1, p2)) : bad;
}

INLINE __m128i load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE __m128i check16_at(const uint8_t *p, enum smq_text_policy policy)
{
    return check16(load16(p), load16(p - 1), load16(p - 2), load16(p - 3), policy);
}

INLINE bool ok16(const uint8_t *p, const uint8_t *end, enum smq_text_policy policy)
{
    __m128i cur = load16(p);
    __m128i bad = check16(cur, _mm_slli_si128(cur, 1), _mm_slli_si128(cur, 2), _mm_slli_si128(cur, 3), policy);
    bool open = _mm_movemask_epi8(cur) != 0; /* the block before is not all ASCII */
    for (p += 16; end - p >= 16; p += 16) {
        cur = load16(p);
        bool ascii = _mm_movemask_epi8(cur) == 0;
        bad = _mm_or_si128(bad, ascii && !open ? forbidden16(cur, policy) : check16_at(p, policy));
        open = !ascii;
    }
    bad = _mm_or_si128(bad, check16_at(end - 16, policy));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(bad, _mm_setzero_si128())) == 0xFFFF && !smq_utf8_is_open(end);
}

bool smq_utf8_ok_sse2(smq_span s, enum smq_text_policy policy)
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

/* ---- AVX2: the two bytes at i-1 and i by three look-ups of a nibble each, after J. Keiser and D. Lemire, "Validating
 * UTF-8 in less than one instruction per byte" (2021). A bit stands for a kind of fault; it survives the AND of the
 * three rows when all three nibbles allow it. ---- */

#define SHORT_2 0x01 /* lead, then no continuation */
#define STRAY   0x02 /* ASCII, then a continuation */
#define LONG_2  0x04 /* C0 C1: longer than needed */
#define LONG_3  0x08 /* E0 80..9F */
#define SURR    0x10 /* ED A0..BF */
#define PAST_90 0x20 /* F4 90..BF, F5..FF 90..BF */
#define PAST_80 0x40 /* F5..FF 80..8F, and F0 80..8F: longer than needed */
#define CONTS   0x80 /* two continuations: a fault unless the second is the third or fourth byte of a character */
#define ANY_LOW (SHORT_2 | STRAY | CONTS)
#define PAST    (PAST_90 | PAST_80)

#define ROW32(...) _mm256_setr_epi8(__VA_ARGS__, __VA_ARGS__)
#define B(x)       ((char)(x))

AVX2 INLINE __m256i all32(int byte)
{
    return _mm256_set1_epi8((char)byte);
}

AVX2 INLINE __m256i from32(__m256i v, int byte)
{
    return _mm256_cmpeq_epi8(_mm256_max_epu8(v, all32(byte)), v);
}

AVX2 INLINE __m256i upto32(__m256i v, int byte)
{
    return _mm256_cmpeq_epi8(_mm256_min_epu8(v, all32(byte)), v);
}

AVX2 INLINE __m256i is32(__m256i v, int byte)
{
    return _mm256_cmpeq_epi8(v, all32(byte));
}

AVX2 INLINE __m256i high_nibble32(__m256i v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), all32(0x0F));
}

AVX2 INLINE __m256i forbidden32(__m256i cur, enum smq_text_policy policy)
{
    if (policy == SMQ_TEXT_STRICT) {
        return _mm256_or_si256(upto32(cur, 0x1F), is32(cur, 0x7F));
    }
    return policy == SMQ_TEXT_STANDARD ? is32(cur, 0) : _mm256_setzero_si256();
}

AVX2 INLINE __m256i pairs32(__m256i cur, __m256i p1)
{
    const __m256i first_high =
        ROW32(STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, B(CONTS), B(CONTS), B(CONTS), B(CONTS),
              SHORT_2 | LONG_2, SHORT_2, SHORT_2 | LONG_3 | SURR, SHORT_2 | PAST);
    const __m256i first_low = ROW32(B(ANY_LOW | LONG_2 | LONG_3 | PAST_80), B(ANY_LOW | LONG_2), B(ANY_LOW), B(ANY_LOW),
                                    B(ANY_LOW | PAST_90), B(ANY_LOW | PAST), B(ANY_LOW | PAST), B(ANY_LOW | PAST),
                                    B(ANY_LOW | PAST), B(ANY_LOW | PAST), B(ANY_LOW | PAST), B(ANY_LOW | PAST),
                                    B(ANY_LOW | PAST), B(ANY_LOW | PAST | SURR), B(ANY_LOW | PAST), B(ANY_LOW | PAST));
    const __m256i second_high =
        ROW32(SHORT_2, SHORT_2, SHORT_2, SHORT_2, SHORT_2, SHORT_2, SHORT_2, SHORT_2,
              B(STRAY | CONTS | LONG_2 | LONG_3 | PAST_80), B(STRAY | CONTS | LONG_2 | LONG_3 | PAST_90),
              B(STRAY | CONTS | LONG_2 | SURR | PAST_90), B(STRAY | CONTS | LONG_2 | SURR | PAST_90), SHORT_2, SHORT_2,
              SHORT_2, SHORT_2);
    __m256i a = _mm256_shuffle_epi8(first_high, high_nibble32(p1));
    __m256i b = _mm256_shuffle_epi8(first_low, _mm256_and_si256(p1, all32(0x0F)));
    __m256i c = _mm256_shuffle_epi8(second_high, high_nibble32(cur));
    return _mm256_and_si256(a, _mm256_and_si256(b, c));
}

AVX2 INLINE __m256i advised32(__m256i cur, __m256i p1, __m256i p2)
{
    __m256i c1 = _mm256_and_si256(is32(p1, 0xC2), upto32(cur, 0x9F));
    __m256i fdd0 = _mm256_and_si256(_mm256_and_si256(is32(p2, 0xEF), is32(p1, 0xB7)),
                                    _mm256_and_si256(from32(cur, 0x90), upto32(cur, 0xAF)));
    __m256i fffe = _mm256_and_si256(_mm256_and_si256(is32(_mm256_or_si256(p2, all32(0xF0)), 0xFF), is32(p1, 0xBF)),
                                    is32(_mm256_and_si256(cur, all32(0xFE)), 0xBE));
    return _mm256_or_si256(c1, _mm256_or_si256(fdd0, fffe));
}

AVX2 INLINE __m256i check32(__m256i cur, __m256i p1, __m256i p2, __m256i p3, enum smq_text_policy policy)
{
    /* Bit 7 where a third or fourth byte is due, to meet CONTS: 0xE0 - 0x60 and 0xF0 - 0x70 are 0x80. */
    __m256i due = _mm256_or_si256(_mm256_subs_epu8(p2, all32(0x60)), _mm256_subs_epu8(p3, all32(0x70)));
    __m256i bad = _mm256_xor_si256(pairs32(cur, p1), _mm256_and_si256(due, all32(0x80)));
    bad = _mm256_or_si256(bad, forbidden32(cur, policy));
    return policy == SMQ_TEXT_STRICT ? _mm256_or_si256(bad, advised32(cur, p1, p2)) : bad;
}

AVX2 INLINE __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AVX2 INLINE __m256i check32_at(const uint8_t *p, enum smq_text_policy policy)
{
    return check32(load32(p), load32(p - 1), load32(p - 2), load32(p - 3), policy);
}

/* The first block: zeros come before it. */
AVX2 INLINE __m256i check32_first(__m256i cur, enum smq_text_policy policy)
{
    __m256i low = _mm256_permute2x128_si256(cur, cur, 0x08);
    return check32(cur, _mm256_alignr_epi8(cur, low, 15), _mm256_alignr_epi8(cur, low, 14),
                   _mm256_alignr_epi8(cur, low, 13), policy);
}

AVX2 INLINE bool ok32(const uint8_t *p, const uint8_t *end, enum smq_text_policy policy)
{
    __m256i cur = load32(p);
    bool open = _mm256_movemask_epi8(cur) != 0; /* the block before is not all ASCII */
    __m256i bad = open ? check32_first(cur, policy) : forbidden32(cur, policy);
    for (p += 32; end - p >= 32; p += 32) {
        cur = load32(p);
        bool ascii = _mm256_movemask_epi8(cur) == 0;
        bad = _mm256_or_si256(bad, ascii && !open ? forbidden32(cur, policy) : check32_at(p, policy));
        open = !ascii;
    }
    /* The last block has a byte of the one before at least: nothing can be open before it that was not seen there. */
    cur = load32(end - 32);
    bool ascii = _mm256_movemask_epi8(cur) == 0;
    bad = _mm256_or_si256(bad, ascii ? forbidden32(cur, policy) : check32_at(end - 32, policy));
    return _mm256_testz_si256(bad, bad) != 0 && !smq_utf8_is_open(end);
}

AVX2 bool smq_utf8_ok_avx2(smq_span s, enum smq_text_policy policy)
{
    if (s.len < 32 + 3) {
        return smq_utf8_ok_sse2(s, policy);
    }
    const uint8_t *end = s.data + s.len;
    switch (policy) {
    case SMQ_TEXT_STANDARD:
        return ok32(s.data, end, SMQ_TEXT_STANDARD);
    case SMQ_TEXT_WELLFORMED:
        return ok32(s.data, end, SMQ_TEXT_WELLFORMED);
    case SMQ_TEXT_ANY:
        return true;
    case SMQ_TEXT_STRICT:
        break;
    }
    return ok32(s.data, end, SMQ_TEXT_STRICT);
}

bool smq_utf8_usable_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}
#endif
