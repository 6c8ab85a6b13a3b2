/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_UTF8_IMPL_H
#define SMQTT_BASE_UTF8_IMPL_H
/* What the implementations of base/utf8.h share. Private to base/utf8*.c. */
#include "base/utf8.h"

/** Are these 8 bytes all in 0x20..0x7E? Such bytes are allowed by every policy, and each is a whole character. */
static inline bool smq_utf8_plain8(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    /* In a word without high bits, w - 0x20.. borrows from a byte below 0x20 and w + 0x01.. raises 0x7F to 0x80. */
    uint64_t low = w - UINT64_C(0x2020202020202020);
    uint64_t del = w + UINT64_C(0x0101010101010101);
    return ((w | low | del) & UINT64_C(0x8080808080808080)) == 0;
}

/** Does text whose every byte was checked against the bytes before it stop inside a character? len >= 3. */
static inline bool smq_utf8_is_open(const uint8_t *end)
{
    return end[-1] >= 0xC0 || end[-2] >= 0xE0 || end[-3] >= 0xF0;
}

/* Rows of the table in utf8.c. Each gives the answer of smq_utf8_ok_scalar and may be called only where its `usable`
 * says yes. Where the processor is of another make the functions do not exist. */
#if defined(__x86_64__)
/** 16 bytes at a time. */
bool smq_utf8_ok_sse2(smq_span s, enum smq_text_policy policy);
/** 32 bytes at a time. */
bool smq_utf8_ok_avx2(smq_span s, enum smq_text_policy policy);
/** Does this processor, and the system on it, have AVX2? */
bool smq_utf8_usable_avx2(void);
#elif defined(__aarch64__)
/** 16 bytes at a time. */
bool smq_utf8_ok_neon(smq_span s, enum smq_text_policy policy);
#endif

#endif
