/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 200, NUMBER_MAX = 63 };

/* ---------------------------------------------------------------- writing */

static void put_tabs(const struct json *j, unsigned n)
{
    for (unsigned i = 0; j->pretty && i < n; i++) {
        putchar('\t');
    }
}

void json_open(struct json *j)
{
    fputs(j->pretty ? "{\n" : "{", stdout);
    j->depth++;
    j->more = false;
}

void json_close(struct json *j)
{
    if (j->pretty && j->more) {
        putchar('\n');
    }
    j->depth--;
    put_tabs(j, j->depth);
    putchar('}');
    j->more = true;
}

void json_open_list(struct json *j)
{
    fputs(j->pretty ? "[\n" : "[", stdout);
    j->depth++;
    j->more = false;
}

void json_close_list(struct json *j)
{
    if (j->pretty && j->more) {
        putchar('\n');
    }
    j->depth--;
    put_tabs(j, j->depth);
    putchar(']');
    j->more = true;
}

void json_item(struct json *j)
{
    if (j->more) {
        fputs(j->pretty ? ",\n" : ",", stdout);
    }
    put_tabs(j, j->depth);
    j->more = true;
}

void json_member(struct json *j, smq_span name)
{
    if (j->more) {
        fputs(j->pretty ? ",\n" : ",", stdout);
    }
    put_tabs(j, j->depth);
    json_text(name);
    fputs(j->pretty ? ":\t" : ":", stdout);
    j->more = true;
}

static void put_byte(uint8_t byte)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    const char *at = byte != 0 ? strchr(from, byte) : NULL;
    if (at != NULL) {
        putchar('\\');
        putchar(to[at - from]);
    } else if (byte < 0x20) {
        printf("\\u%04x", byte);
    } else {
        putchar(byte);
    }
}

void json_text(smq_span s)
{
    putchar('"');
    for (size_t i = 0; i < s.len; i++) {
        put_byte(s.data[i]);
    }
    putchar('"');
}

void json_number(double number)
{
    char text[32];
    if (isnan(number) || isinf(number)) {
        json_null();
        return;
    }
    snprintf(text, sizeof(text), "%1.15g", number);
    double back = strtod(text, NULL);
    double larger = fabs(number) > fabs(back) ? fabs(number) : fabs(back);
    if (fabs(number - back) > larger * DBL_EPSILON) {
        snprintf(text, sizeof(text), "%1.17g", number);
    }
    fputs(text, stdout);
}

void json_bool(bool value)
{
    fputs(value ? "true" : "false", stdout);
}

void json_null(void)
{
    fputs("null", stdout);
}

/* ---------------------------------------------------------------- reading, and writing what was read */

/** Where the reader is. `out` NULL: it only checks. */
struct reader {
    const char *p, *end;
    struct json *out;
};

static bool has(const struct reader *r, char c)
{
    return r->p < r->end && *r->p == c;
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (unsigned char)*r->p <= ' ' && *r->p != 0) {
        r->p++;
    }
}

static bool read_hex(struct reader *r, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, r->p++) {
        const char *digits = "0123456789abcdef";
        const char *at = r->p < r->end && *r->p != 0 ? strchr(digits, *r->p | 0x20) : NULL;
        if (at == NULL || *r->p < '0') {
            return false;
        }
        *out = *out << 4 | (uint32_t)(at - digits);
    }
    return true;
}

static void put_utf8(const struct reader *r, uint32_t c)
{
    if (r->out == NULL) {
        return;
    }
    if (c < 0x80) {
        put_byte((uint8_t)c);
        return;
    }
    int tail = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t heads[] = {0, 0xC0, 0xE0, 0xF0};
    putchar((int)(heads[tail] | c >> (6 * tail)));
    while (tail-- > 0) {
        putchar((int)(0x80 | (c >> (6 * tail) & 0x3F)));
    }
}

/** Behind \u: one character, of two halves where it is beyond 16 bits. */
static bool read_unicode(struct reader *r)
{
    uint32_t c = 0;
    uint32_t low = 0;
    if (!read_hex(r, &c) || (c >= 0xDC00 && c <= 0xDFFF)) {
        return false;
    }
    if (c >= 0xD800 && c <= 0xDBFF) {
        if (r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u') {
            return false;
        }
        r->p += 2;
        if (!read_hex(r, &low) || low < 0xDC00 || low > 0xDFFF) {
            return false;
        }
        c = 0x10000 + ((c & 0x3FF) << 10 | (low & 0x3FF));
    }
    put_utf8(r, c);
    return true;
}

static bool read_escape(struct reader *r)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (r->p >= r->end || *r->p == 0) {
        return false;
    }
    char c = *r->p++;
    const char *at = strchr(from, c);
    if (at != NULL) {
        put_utf8(r, (uint8_t)to[at - from]);
        return true;
    }
    return c == 'u' && read_unicode(r);
}

static bool read_string(struct reader *r)
{
    if (!has(r, '"')) {
        return false;
    }
    r->p++;
    if (r->out != NULL) {
        putchar('"');
    }
    while (r->p < r->end && *r->p != '"') {
        char c = *r->p++;
        if (c == '\\' ? !read_escape(r) : c == 0) {
            return false;
        }
        if (c != '\\' && r->out != NULL) {
            put_byte((uint8_t)c);
        }
    }
    if (r->out != NULL) {
        putchar('"');
    }
    return r->p < r->end && *r->p++ == '"';
}

static bool read_number(struct reader *r)
{
    char text[NUMBER_MAX + 1];
    size_t n = 0;
    while (n < NUMBER_MAX && r->p + n < r->end && r->p[n] != 0 && strchr("0123456789+-eE.", r->p[n]) != NULL) {
        text[n] = r->p[n];
        n++;
    }
    text[n] = 0;
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text) {
        return false;
    }
    r->p += end - text;
    if (r->out != NULL) {
        json_number(number);
    }
    return true;
}

static bool read_word(struct reader *r, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0) {
        return false;
    }
    r->p += len;
    if (r->out != NULL) {
        fputs(word, stdout);
    }
    return true;
}

static bool read_value(struct reader *r, int depth);

/** A name and the colon behind it. */
static bool read_name(struct reader *r)
{
    skip_space(r);
    if (r->out != NULL) {
        put_tabs(r->out, r->out->depth);
    }
    if (!read_string(r)) {
        return false;
    }
    skip_space(r);
    if (!has(r, ':')) {
        return false;
    }
    r->p++;
    if (r->out != NULL) {
        fputs(r->out->pretty ? ":\t" : ":", stdout);
    }
    return true;
}

static void put(const struct reader *r, const char *compact, const char *pretty)
{
    if (r->out != NULL) {
        fputs(r->out->pretty ? pretty : compact, stdout);
    }
}

/** The end of an object or array of so many members. */
static void put_end(const struct reader *r, bool object, bool empty)
{
    if (r->out == NULL) {
        return;
    }
    r->out->depth--;
    if (object) {
        put(r, "", empty ? "" : "\n");
        put_tabs(r->out, r->out->depth);
    }
    putchar(object ? '}' : ']');
}

/** The members of an object or the elements of an array, and the brackets. */
static bool read_list(struct reader *r, bool object, int depth)
{
    char close = object ? '}' : ']';
    r->p++;
    put(r, object ? "{" : "[", object ? "{\n" : "[");
    if (r->out != NULL) {
        r->out->depth++;
    }
    skip_space(r);
    bool empty = has(r, close);
    if (empty) {
        r->p++;
        put_end(r, object, true);
        return true;
    }
    while (r->p < r->end) {
        if ((object && !read_name(r)) || !read_value(r, depth + 1) || r->p >= r->end) {
            return false;
        }
        char c = *r->p++;
        if (c != ',') {
            put_end(r, object, false);
            return c == close;
        }
        put(r, ",", object ? ",\n" : ", ");
    }
    return false;
}

static bool read_value(struct reader *r, int depth)
{
    skip_space(r);
    if (r->p >= r->end || depth > DEPTH_MAX) {
        return false;
    }
    bool ok = false;
    if (*r->p == '{' || *r->p == '[') {
        ok = read_list(r, *r->p == '{', depth);
    } else if (*r->p == '"') {
        ok = read_string(r);
    } else if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9')) {
        ok = read_number(r);
    } else {
        ok = read_word(r, "true") || read_word(r, "false") || read_word(r, "null");
    }
    skip_space(r);
    return ok;
}

bool json_is_valid(smq_span s)
{
    struct reader r = {(const char *)s.data, (const char *)s.data + s.len, NULL};
    return read_value(&r, 0) && r.p == r.end;
}

void json_value(struct json *j, smq_span s)
{
    struct reader r = {(const char *)s.data, (const char *)s.data + s.len, j};
    (void)read_value(&r, 0);
}
