/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 200 };

static void skip_space(const char **p, const char *end)
{
    while (*p < end && strchr(" \t\r\n", **p) != NULL && **p != 0) {
        (*p)++;
    }
}

static bool skip_string(const char **p, const char *end)
{
    for ((*p)++; *p < end && **p != '"'; (*p)++) {
        if ((unsigned char)**p < 0x20) {
            return false;
        }
        if (**p != '\\') {
            continue;
        }
        (*p)++;
        if (*p >= end || **p == 0 || strchr("\"\\/bfnrtu", **p) == NULL) {
            return false;
        }
        for (int i = 0; **p == 'u' && i < 4; i++) {
            if (*p + 1 + i >= end || strchr("0123456789abcdefABCDEF", (*p)[1 + i]) == NULL || (*p)[1 + i] == 0) {
                return false;
            }
        }
    }
    return *p < end && *(*p)++ == '"';
}

static size_t skip_digits(const char **p, const char *end)
{
    const char *from = *p;
    while (*p < end && **p >= '0' && **p <= '9') {
        (*p)++;
    }
    return (size_t)(*p - from);
}

static bool skip_number(const char **p, const char *end)
{
    *p += **p == '-' ? 1 : 0;
    bool zero = *p < end && **p == '0';
    size_t digits = skip_digits(p, end);
    if (digits == 0 || (zero && digits > 1)) {
        return false;
    }
    if (*p < end && **p == '.') {
        (*p)++;
        if (skip_digits(p, end) == 0) {
            return false;
        }
    }
    if (*p < end && (**p == 'e' || **p == 'E')) {
        (*p)++;
        *p += *p < end && (**p == '+' || **p == '-') ? 1 : 0;
        return skip_digits(p, end) != 0;
    }
    return true;
}

static bool skip_value(const char **p, const char *end, int depth);

/** The members of an object or the elements of an array, up to and with the closing bracket. */
static bool skip_list(const char **p, const char *end, bool object, int depth)
{
    char close = object ? '}' : ']';
    (*p)++;
    skip_space(p, end);
    if (*p < end && **p == close) {
        (*p)++;
        return true;
    }
    while (*p < end) {
        if (object) {
            skip_space(p, end);
            if (*p >= end || **p != '"' || !skip_string(p, end)) {
                return false;
            }
            skip_space(p, end);
            if (*p >= end || *(*p)++ != ':') {
                return false;
            }
        }
        if (!skip_value(p, end, depth + 1) || *p >= end) {
            return false;
        }
        char c = *(*p)++;
        if (c != ',') {
            return c == close;
        }
    }
    return false;
}

static bool skip_word(const char **p, const char *end, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(end - *p) < len || memcmp(*p, word, len) != 0) {
        return false;
    }
    *p += len;
    return true;
}

static bool skip_value(const char **p, const char *end, int depth)
{
    skip_space(p, end);
    if (*p >= end || depth > DEPTH_MAX) {
        return false;
    }
    bool ok = false;
    if (**p == '{' || **p == '[') {
        ok = skip_list(p, end, **p == '{', depth);
    } else if (**p == '"') {
        ok = skip_string(p, end);
    } else if (**p == '-' || (**p >= '0' && **p <= '9')) {
        ok = skip_number(p, end);
    } else {
        ok = skip_word(p, end, "true") || skip_word(p, end, "false") || skip_word(p, end, "null");
    }
    skip_space(p, end);
    return ok;
}

bool json_is_valid(smq_span s)
{
    const char *p = (const char *)s.data;
    const char *end = p + s.len;
    return skip_value(&p, end, 0) && p == end;
}

void json_print_compact(smq_span s)
{
    bool in_string = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = (char)s.data[i];
        if (!in_string && (c == ' ' || c == '\t' || c == '\r' || c == '\n')) {
            continue;
        }
        putchar(c);
        if (in_string && c == '\\' && i + 1 < s.len) {
            putchar(s.data[++i]);
        } else if (c == '"') {
            in_string = !in_string;
        }
    }
}

void json_print_text(smq_span s)
{
    static const char from[] = "\"\\\b\f\n\r\t";
    static const char to[] = "\"\\bfnrt";
    putchar('"');
    for (size_t i = 0; i < s.len; i++) {
        const char *at = s.data[i] != 0 ? strchr(from, s.data[i]) : NULL;
        if (at != NULL) {
            putchar('\\');
            putchar(to[at - from]);
        } else if (s.data[i] < 0x20) {
            printf("\\u%04x", s.data[i]);
        } else {
            putchar(s.data[i]);
        }
    }
    putchar('"');
}
