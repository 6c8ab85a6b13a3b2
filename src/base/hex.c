/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hex.h"

/* All three are numbers of 4, 5 or 6 bits in a row. An alphabet is arithmetic, not a table: what a table is asked for
 * can be seen in the cache. */

typedef unsigned (*to_char)(unsigned value);
/* The value of a character, or NO_VALUE. */
typedef unsigned (*to_value)(unsigned c);

#define NO_VALUE 0x80U

/* All ones when v >= k, else 0; both below 2^31, k > 0. */
static inline unsigned from_mask(unsigned v, unsigned k)
{
    return 0U - ((k - 1 - v) >> 31);
}

/* c - first + base when first <= c <= last, else 0. */
static inline unsigned in_range(unsigned c, unsigned first, unsigned last, unsigned base)
{
    return from_mask(c, first) & ~from_mask(c, last + 1) & (c - first + base);
}

static inline unsigned hex_char(unsigned v)
{
    return v + '0' + (from_mask(v, 10) & ('a' - '0' - 10));
}

static inline unsigned base64url_char(unsigned v)
{
    unsigned c = v + 'A';
    c += from_mask(v, 26) & ('a' - 'A' - 26U);
    c += from_mask(v, 52) & (0U + '0' - 52 - ('a' - 26));
    c += from_mask(v, 62) & (0U + '-' - 62 - ('0' - 52U));
    c += from_mask(v, 63) & (0U + '_' - 63 - ('-' - 62U));
    return c;
}

static inline unsigned base32_upper_char(unsigned v)
{
    return v + 'A' + (from_mask(v, 26) & (0U + '2' - 'A' - 26));
}

static inline unsigned base32_lower_char(unsigned v)
{
    return v + 'a' + (from_mask(v, 26) & (0U + '2' - 'a' - 26));
}

/* in_range gives the value plus one, so that 0 is left for "none"; 0 - 1 has NO_VALUE's bit. */
static inline unsigned hex_value(unsigned c)
{
    return (in_range(c, '0', '9', 1) | in_range(c, 'a', 'f', 11) | in_range(c, 'A', 'F', 11)) - 1;
}

static inline unsigned base64url_value(unsigned c)
{
    return (in_range(c, 'A', 'Z', 1) | in_range(c, 'a', 'z', 27) | in_range(c, '0', '9', 53) |
            in_range(c, '-', '-', 63) | in_range(c, '_', '_', 64)) -
           1;
}

static inline unsigned base32_value(unsigned c)
{
    return (in_range(c, 'A', 'Z', 1) | in_range(c, 'a', 'z', 1) | in_range(c, '2', '7', 27)) - 1;
}

static inline void encode(char *out, smq_span in, unsigned bits, to_char to)
{
    uint32_t acc = 0;
    unsigned held = 0;
    for (size_t i = 0; i < in.len; i++) {
        acc = (acc << 8 | in.data[i]) & 0xFFFFU;
        held += 8;
        for (; held >= bits; held -= bits) {
            *out++ = (char)to(acc >> (held - bits) & ((1U << bits) - 1));
        }
    }
    if (held != 0) {
        *out++ = (char)to(acc << (bits - held) & ((1U << bits) - 1));
    }
    *out = 0;
}

static inline bool is_valid(smq_span text, unsigned bits, to_value to)
{
    unsigned bad = 0;
    unsigned last = 0;
    for (size_t i = 0; i < text.len; i++) {
        last = to(text.data[i]);
        bad |= last;
    }
    unsigned spare = (unsigned)(text.len % 8 * bits % 8); /* bits that make no byte */
    if (spare >= bits) {
        return false; /* the last character is one too many */
    }
    return (bad & NO_VALUE) == 0 && (last & ((1U << spare) - 1)) == 0;
}

static inline smqtt_err decode(uint8_t *out, size_t cap, smq_span text, size_t *len, unsigned bits, to_value to)
{
    size_t total = text.len / 8 * bits + text.len % 8 * bits / 8;
    if (!is_valid(text, bits, to)) {
        return SMQTT_E_MALFORMED;
    }
    if (total > cap) {
        return SMQTT_E_FULL;
    }
    uint32_t acc = 0;
    unsigned held = 0;
    for (size_t i = 0; i < text.len; i++) {
        acc = (acc << bits | to(text.data[i])) & 0xFFFFU;
        held += bits;
        if (held >= 8) {
            held -= 8;
            *out++ = (uint8_t)(acc >> held);
        }
    }
    *len = total;
    return SMQTT_OK;
}

void smq_hex_encode(char *out, smq_span in)
{
    encode(out, in, 4, hex_char);
}

void smq_base64url_encode(char *out, smq_span in)
{
    encode(out, in, 6, base64url_char);
}

void smq_base32_encode(char *out, smq_span in, bool lower)
{
    if (lower) {
        encode(out, in, 5, base32_lower_char);
    } else {
        encode(out, in, 5, base32_upper_char);
    }
}

smqtt_err smq_hex_decode(uint8_t *out, size_t cap, smq_span text, size_t *len)
{
    return decode(out, cap, text, len, 4, hex_value);
}

smqtt_err smq_base64url_decode(uint8_t *out, size_t cap, smq_span text, size_t *len)
{
    return decode(out, cap, text, len, 6, base64url_value);
}

smqtt_err smq_base32_decode(uint8_t *out, size_t cap, smq_span text, size_t *len)
{
    return decode(out, cap, text, len, 5, base32_value);
}
