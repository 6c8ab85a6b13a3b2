/* SPDX-License-Identifier: Apache-2.0 */
#include "scheme.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

struct paper_bytes paper_bytes_of(const char *text)
{
    struct paper_bytes out = {.len = strlen(text)};
    if (out.len > PAPER_M_MAX) {
        out.len = PAPER_M_MAX;
    }
    memcpy(out.at, text, out.len);
    return out;
}

bool paper_bytes_equal(const struct paper_bytes *a, const struct paper_bytes *b)
{
    return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

void paper_encode(const struct paper_curve *c, const struct paper_bytes *m, struct paper_points *out)
{
    out->n = m->len;
    for (size_t i = 0; i < m->len; i++) {
        out->at[i] = c->table[m->at[i]];
    }
}

bool paper_decode(const struct paper_curve *c, const struct paper_points *points, struct paper_bytes *out)
{
    if (points->n > PAPER_M_MAX) {
        return false;
    }
    out->len = points->n;
    for (size_t i = 0; i < points->n; i++) {
        size_t b = 0;
        while (b < 256 && c->table[b] != points->at[i]) {
            b++;
        }
        if (b == 256) {
            return false;
        }
        out->at[i] = (uint8_t)b;
    }
    return true;
}

void paper_encrypt(struct paper_curve *c, uint32_t pk, const struct paper_points *m, struct paper_points *out)
{
    out->n = 2 * m->n;
    for (size_t i = 0; i < m->n; i++) {
        uint32_t k = paper_curve_random();
        out->at[2 * i] = paper_curve_mul(c, k, c->g);
        out->at[2 * i + 1] = paper_curve_add(c, m->at[i], paper_curve_mul(c, k, pk));
    }
}

void paper_encrypt_one_k(struct paper_curve *c, uint32_t pk, const struct paper_points *m, struct paper_points *out)
{
    uint32_t k = paper_curve_random();
    uint32_t shared = paper_curve_mul(c, k, pk);
    out->n = m->n + 1;
    out->at[0] = paper_curve_mul(c, k, c->g);
    for (size_t i = 0; i < m->n; i++) {
        out->at[i + 1] = paper_curve_add(c, m->at[i], shared);
    }
}

bool paper_decrypt(struct paper_curve *c, uint32_t sk, const struct paper_points *in, struct paper_points *out)
{
    if (in->n % 2 != 0) {
        return false;
    }
    out->n = in->n / 2;
    for (size_t i = 0; i < out->n; i++) {
        uint32_t shared = paper_curve_mul(c, sk, in->at[2 * i]);
        out->at[i] = paper_curve_add(c, in->at[2 * i + 1], paper_curve_negate(c, shared));
    }
    return true;
}

size_t paper_write(const struct paper_points *points, char out[PAPER_TEXT_MAX])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < points->n; i++) {
        len += (size_t)snprintf(out + len, PAPER_TEXT_MAX - len, "{%u}", points->at[i]);
    }
    return len;
}

/** One number in braces at *at, which is moved behind it. */
static bool read_number(const char *text, size_t len, size_t *at, uint32_t *out)
{
    size_t i = *at;
    uint32_t n = 0;
    if (i >= len || text[i++] != '{') {
        return false;
    }
    size_t from = i;
    for (; i < len && i < from + 5 && text[i] >= '0' && text[i] <= '9'; i++) {
        n = 10 * n + (uint32_t)(text[i] - '0');
    }
    if (i == from || i >= len || text[i] != '}') {
        return false;
    }
    *at = i + 1;
    *out = n;
    return true;
}

bool paper_read(const struct paper_curve *c, const char *text, size_t len, struct paper_points *out)
{
    size_t at = 0;
    out->n = 0;
    while (at < len) {
        uint32_t number = 0;
        if (out->n == PAPER_POINTS_MAX || !read_number(text, len, &at, &number) || !paper_curve_has(c, number)) {
            return false;
        }
        out->at[out->n++] = number;
    }
    return true;
}

void paper_hash(const struct paper_bytes *m, uint8_t out[PAPER_HASH_LEN])
{
    if (EVP_Digest(m->at, m->len, out, NULL, EVP_sha1(), NULL) != 1) {
        paper_die("SHA-1");
    }
}

/** What of the hash such a small order can sign. */
static uint32_t reduced(const uint8_t hash[PAPER_HASH_LEN])
{
    uint32_t h = 0;
    for (size_t i = 0; i < PAPER_HASH_LEN; i++) {
        h = (h * 256 + hash[i]) % PAPER_N;
    }
    return h;
}

void paper_sign(struct paper_curve *c, uint32_t sk, const uint8_t hash[PAPER_HASH_LEN], char out[PAPER_SIG_MAX])
{
    uint32_t r = 0;
    uint32_t s = 0;
    while (s == 0) {
        uint32_t k = paper_curve_random();
        r = paper_curve_mul(c, k, c->g) / 2;
        s = r == 0 ? 0 : paper_curve_mul_mod(paper_curve_invert(k), reduced(hash) + paper_curve_mul_mod(r, sk));
    }
    snprintf(out, PAPER_SIG_MAX, "{%u}{%u}", r, s);
}

bool paper_verify(struct paper_curve *c, uint32_t pk, const uint8_t hash[PAPER_HASH_LEN], const char *sig, size_t len)
{
    size_t at = 0;
    uint32_t r = 0;
    uint32_t s = 0;
    if (!read_number(sig, len, &at, &r) || !read_number(sig, len, &at, &s) || at != len || r == 0 || r >= PAPER_N ||
        s == 0 || s >= PAPER_N) {
        return false;
    }
    uint32_t w = paper_curve_invert(s);
    uint32_t u = paper_curve_mul(c, paper_curve_mul_mod(reduced(hash), w), c->g);
    uint32_t v = paper_curve_mul(c, paper_curve_mul_mod(r, w), pk);
    uint32_t sum = paper_curve_add(c, u, v);
    return sum != PAPER_INFINITY && sum / 2 == r;
}
