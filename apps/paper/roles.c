/* SPDX-License-Identifier: Apache-2.0 */
#include "roles.h"

#include <string.h>

void paper_put_time(uint8_t out[8], uint64_t time)
{
    for (unsigned i = 0; i < 8; i++) {
        out[i] = (uint8_t)(time >> (56 - 8 * i));
    }
}

uint64_t paper_get_time(const uint8_t in[8])
{
    uint64_t time = 0;
    for (unsigned i = 0; i < 8; i++) {
        time = time << 8 | in[i];
    }
    return time;
}

/** Bytes of the well-formed character at `at`, or 0. Table 3-7 of the Unicode standard. */
static size_t character(const uint8_t *at, size_t len)
{
    uint8_t a = at[0];
    uint8_t low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
    uint8_t high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    size_t n = a < 0x80 ? 1 : a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;
    if (a == 0 || (a >= 0x80 && a < 0xC2) || a > 0xF4 || n > len || (n > 1 && (at[1] < low || at[1] > high))) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return n;
}

bool paper_is_utf8(const struct paper_bytes *m)
{
    size_t at = 0;
    while (at < m->len) {
        size_t n = character(m->at + at, m->len - at);
        if (n == 0) {
            return false;
        }
        at += n;
    }
    return true;
}

void paper_hold(enum paper_text text, const struct paper_bytes *in, struct paper_bytes *out)
{
    *out = *in;
    for (size_t i = 0; text == PAPER_ASCII && i < in->len; i++) {
        out->at[i] = in->at[i] < 0x80 ? in->at[i] : '?';
    }
    if (text == PAPER_UTF8 && !paper_is_utf8(in)) {
        out->len = 0;
    }
}

void paper_server_init(struct paper_server *s, struct paper_curve *curve, enum paper_text text)
{
    *s = (struct paper_server){.curve = curve, .text = text, .sk = paper_curve_random()};
    s->pk = paper_curve_mul(curve, s->sk, curve->g);
}

bool paper_client_start(struct paper_client *c, const struct paper_bytes *m, uint64_t now, struct paper_packet *out)
{
    struct paper_points points;
    struct paper_points cipher;
    if (c->text == PAPER_UTF8 && !paper_is_utf8(m)) {
        return false;
    }
    c->m = *m;
    c->ts1 = now;
    paper_hash(m, c->hash);
    paper_encode(c->curve, m, &points);
    paper_encrypt(c->curve, c->pk, &points, &cipher);
    out->header = 0x01;
    out->body[0] = PAPER_VER;
    paper_put_time(out->body + 1, now);
    memcpy(out->body + 9, c->hash, PAPER_HASH_LEN);
    out->len = 29 + paper_write(&cipher, (char *)out->body + 29);
    return true;
}

bool paper_server_answer(struct paper_server *s, const struct paper_packet *in, uint64_t now, struct paper_packet *out)
{
    struct paper_points cipher;
    struct paper_points points;
    struct paper_bytes m;
    if (in->len < 29 || in->body[0] != PAPER_VER ||
        !paper_read(s->curve, (const char *)in->body + 29, in->len - 29, &cipher) ||
        !paper_decrypt(s->curve, s->sk, &cipher, &points) || !paper_decode(s->curve, &points, &m)) {
        return false;
    }
    paper_hold(s->text, &m, &s->held);
    paper_hash(&s->held, s->hash);
    s->ts1 = paper_get_time(in->body + 1);
    s->ts2 = now;
    s->saved++;
    bool intact = memcmp(s->hash, in->body + 9, PAPER_HASH_LEN) == 0;
    char sig[PAPER_SIG_MAX];
    paper_sign(s->curve, s->sk, s->hash, sig);
    s->signatures++;
    out->header = intact ? 0x0C : 0x04;
    out->body[0] = PAPER_VER;
    paper_put_time(out->body + 1, now);
    out->len = 9 + strlen(sig);
    memcpy(out->body + 9, sig, strlen(sig));
    return true;
}

bool paper_client_answer(struct paper_client *c, const struct paper_packet *in, uint64_t now, struct paper_packet *out)
{
    (void)now; /* the paper compares the two timestamps, not the time that passed */
    c->verified = in->len > 9 && in->body[0] == PAPER_VER && in->header == 0x0C &&
                  paper_verify(c->curve, c->pk, c->hash, (const char *)in->body + 9, in->len - 9);
    c->ts2 = in->len >= 9 ? paper_get_time(in->body + 1) : 0;
    uint64_t apart = c->ts2 > c->ts1 ? c->ts2 - c->ts1 : c->ts1 - c->ts2;
    c->in_time = apart <= PAPER_LIMIT_US;
    bool good = c->verified && c->in_time;
    out->header = good ? 0x0F : 0x07;
    out->body[0] = PAPER_VER;
    out->body[1] = good ? 1 : 0;
    out->len = 2;
    return good;
}

bool paper_server_end(struct paper_server *s, const struct paper_packet *in)
{
    s->verdict = in->len == 2 && in->body[0] == PAPER_VER && in->header == 0x0F;
    s->confirmed += s->verdict ? 1 : 0;
    return s->verdict;
}
