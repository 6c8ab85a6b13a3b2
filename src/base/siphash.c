/* SPDX-License-Identifier: Apache-2.0 */
#include "base/siphash.h"

static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return (x << by) | (x >> (64 - by));
}

/* Eight bytes; written out, so that compilers make one load of it. */
static inline uint64_t word(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline void rounds(uint64_t v[4], int n)
{
    for (int i = 0; i < n; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

static inline uint64_t hash(const uint8_t key[16], smq_span s, int per_word, int at_end)
{
    uint64_t k0 = word(key);
    uint64_t k1 = word(key + 8);
    /* The constants spell "somepseudorandomlygeneratedbytes". */
    uint64_t v[4] = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                     k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    size_t i = 0;
    for (; s.len - i >= 8; i += 8) {
        uint64_t m = word(s.data + i);
        v[3] ^= m;
        rounds(v, per_word);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)s.len << 56;
    for (unsigned shift = 0; i < s.len; i++, shift += 8) {
        last |= (uint64_t)s.data[i] << shift;
    }
    v[3] ^= last;
    rounds(v, per_word);
    v[0] ^= last;
    v[2] ^= 0xFF;
    rounds(v, at_end);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t smq_siphash13(const uint8_t key[16], smq_span s)
{
    return hash(key, s, 1, 3);
}

uint64_t smq_siphash24(const uint8_t key[16], smq_span s)
{
    return hash(key, s, 2, 4);
}
