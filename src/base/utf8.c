/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include <stdatomic.h>

#include "base/utf8_impl.h"

/* Up to this length the word loop below beats the call of a vector implementation. */
#define SHORT_LEN 32

/* Length of the well-formed character at p with its code point (RFC 3629 section 4), or 0. */
static size_t decode(const uint8_t *p, size_t left, uint32_t *cp)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = p[0];
    if (lead < 0x80) {
        *cp = lead;
        return 1;
    }
    size_t len = lead < 0xC0 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF8 ? 4 : 0;
    if (len == 0 || left < len) {
        return 0;
    }
    uint32_t v = lead & (0x7FU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
        v = (v << 6) | (p[i] & 0x3FU);
    }
    if (v < least[len] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) {
        return 0; /* longer than needed, past Unicode, or a surrogate [MQTT-1.5.4-1] */
    }
    *cp = v;
    return len;
}

static bool is_allowed(uint32_t cp, enum smq_text_policy policy)
{
    if (policy == SMQ_TEXT_WELLFORMED) {
        return true;
    }
    if (cp == 0) {
        return false; /* [MQTT-1.5.4-2] */
    }
    if (policy == SMQ_TEXT_STANDARD) {
        return true;
    }
    bool control = cp < 0x20 || (cp >= 0x7F && cp < 0xA0);
    bool noncharacter = (cp >= 0xFDD0 && cp <= 0xFDEF) || (cp & 0xFFFE) == 0xFFFE;
    return !control && !noncharacter;
}

bool smq_utf8_ok_scalar(smq_span s, enum smq_text_policy policy)
{
    size_t i = policy == SMQ_TEXT_ANY ? s.len : 0;
    while (i < s.len) {
        if (s.len - i >= 8 && smq_utf8_plain8(s.data + i)) {
            i += 8;
            continue;
        }
        uint32_t cp = 0;
        size_t len = decode(s.data + i, s.len - i, &cp);
        if (len == 0 || !is_allowed(cp, policy)) {
            return false;
        }
        i += len;
    }
    return true;
}

static bool usable_always(void)
{
    return true;
}

static const struct smq_utf8_impl impls[] = {
#if defined(__x86_64__)
    {"avx2", smq_utf8_ok_avx2, smq_utf8_usable_avx2},
    {"sse2", smq_utf8_ok_sse2, usable_always},
#elif defined(__aarch64__)
    {"neon", smq_utf8_ok_neon, usable_always},
#endif
    {"scalar", smq_utf8_ok_scalar, usable_always},
};

const struct smq_utf8_impl *smq_utf8_impl_at(size_t i)
{
    return i < SMQ_ARRAY_LEN(impls) ? &impls[i] : NULL;
}

static bool ok_resolve(smq_span s, enum smq_text_policy policy);

/* The implementation in use; the first call replaces the resolver. Two threads that both do it write the same value. */
static bool (*_Atomic ok_best)(smq_span s, enum smq_text_policy policy) = ok_resolve;

static bool ok_resolve(smq_span s, enum smq_text_policy policy)
{
    size_t i = 0;
    while (!impls[i].usable()) {
        i++; /* ends: the last row is always usable */
    }
    atomic_store_explicit(&ok_best, impls[i].ok, memory_order_relaxed);
    return impls[i].ok(s, policy);
}

/* All bytes in 0x20..0x7E? For 1..SHORT_LEN bytes; the last word overlaps the one before. */
static inline bool is_plain_short(const uint8_t *p, size_t len)
{
    if (len < 8) {
        uint8_t bad = 0;
        for (size_t i = 0; i < len; i++) {
            bad |= (uint8_t)(p[i] - 0x20) >= 0x5F;
        }
        return bad == 0;
    }
    bool plain = smq_utf8_plain8(p + len - 8);
    for (size_t i = 0; i + 8 < len; i += 8) {
        plain &= smq_utf8_plain8(p + i);
    }
    return plain;
}

bool smq_utf8_ok(smq_span s, enum smq_text_policy policy)
{
    if (s.len <= SHORT_LEN && is_plain_short(s.data, s.len)) {
        return true;
    }
    return atomic_load_explicit(&ok_best, memory_order_relaxed)(s, policy);
}

size_t smq_utf8_cut(smq_span s, size_t max)
{
    if (s.len <= max) {
        return s.len;
    }
    size_t n = max;
    while (n > 0 && (s.data[n] & 0xC0) == 0x80) {
        n--;
    }
    return n;
}
