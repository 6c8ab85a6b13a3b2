/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/lines.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/utf8.h"

struct smq_lines smq_lines_of(const char *file, smq_span text)
{
    return (struct smq_lines){.file = file, .rest = text};
}

smqtt_err smq_lines_fail(struct smq_lines *lines, const char *fmt, ...)
{
    char text[SMQ_LINES_FAULT_MAX];
    int head = snprintf(text, sizeof text, "%s:%u: ", lines->file, lines->line);
    size_t at = head < 0 ? 0 : (size_t)head < sizeof text ? (size_t)head : sizeof text - 1;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + at, sizeof text - at, fmt, args);
    va_end(args);
    smq_text_escape(lines->fault, sizeof lines->fault, smq_span_str(text));
    return SMQTT_E_USAGE;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static smq_span trim(smq_span s)
{
    while (s.len != 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    while (s.len != 0 && s.data[0] == ' ') {
        s = smq_span_from(s, 1);
    }
    return s;
}

bool smq_lines_next(struct smq_lines *lines, smq_span *line)
{
    while (lines->rest.len != 0) {
        const uint8_t *end = memchr(lines->rest.data, '\n', lines->rest.len);
        smq_span s = {lines->rest.data, end != NULL ? (size_t)(end - lines->rest.data) : lines->rest.len};
        lines->rest = smq_span_from(lines->rest, s.len + 1);
        lines->line++;
        s = trim(s);
        if (s.len == 0 || s.data[0] == '#') {
            continue;
        }
        if (!smq_utf8_ok(s, SMQ_TEXT_STRICT)) {
            smq_lines_fail(lines, "the line is not UTF-8 text, or has a tab or another control character: write it "
                                  "again, with spaces between words.");
            return false;
        }
        *line = s;
        return true;
    }
    return false;
}

bool smq_lines_word(smq_span *rest, smq_span *word)
{
    const uint8_t *space = rest->len != 0 ? memchr(rest->data, ' ', rest->len) : NULL;
    *word = smq_span_of(rest->data, space != NULL ? (size_t)(space - rest->data) : rest->len);
    *rest = smq_span_from(*rest, word->len);
    while (rest->len != 0 && rest->data[0] == ' ') {
        *rest = smq_span_from(*rest, 1);
    }
    return word->len != 0;
}
