/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/hex.h"
#include "base/utf8.h"

#define DOTS      3
#define PIECE_MAX 4

const char *smq_log_level_name(enum smq_log_level level)
{
    static const char *const names[] = {"error", "warning", "notice", "info", "debug", "subscribe", "unsubscribe"};
    return (unsigned)level < SMQ_ARRAY_LEN(names) ? names[level] : "debug";
}

/* Three-byte characters U+2000..U+206F that end lines or turn the direction, and U+061C, which does so with two. */
static bool is_misleading(const uint8_t *p, size_t len)
{
    if (len == 2) {
        return p[0] == 0xD8 && p[1] == 0x9C;
    }
    if (len != 3 || p[0] != 0xE2) {
        return false;
    }
    bool marks = p[1] == 0x80 && (p[2] == 0x8E || p[2] == 0x8F);    /* U+200E, U+200F */
    bool separators = p[1] == 0x80 && p[2] >= 0xA8 && p[2] <= 0xAE; /* U+2028..U+202E */
    bool isolates = p[1] == 0x81 && p[2] >= 0xA6 && p[2] <= 0xA9;   /* U+2066..U+2069 */
    return marks || separators || isolates;
}

/* Length of the character at p when it may be shown as it is, else 0. */
static size_t shown_len(const uint8_t *p, size_t left)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (left < len || !smq_utf8_ok_scalar(smq_span_of(p, len), SMQ_TEXT_STRICT) || is_misleading(p, len)) {
        return 0;
    }
    return len;
}

/* One piece of the escaped text; returns how many bytes of p it stands for. */
static size_t escape_piece(char piece[PIECE_MAX], size_t *piece_len, const uint8_t *p, size_t left)
{
    size_t len = shown_len(p, left);
    if (len == 1 && p[0] == '\\') {
        memcpy(piece, "\\\\", 2);
        *piece_len = 2;
        return 1;
    }
    if (len != 0) {
        memcpy(piece, p, len);
        *piece_len = len;
        return len;
    }
    char digits[3];
    smq_hex_encode(digits, smq_span_of(p, 1));
    memcpy(piece, (const char[]){'\\', 'x', digits[0], digits[1]}, 4);
    *piece_len = 4;
    return 1;
}

size_t smq_text_escape(char *out, size_t cap, smq_span s)
{
    size_t len = 0;
    size_t cut = 0; /* end of the last piece that leaves room for the dots */
    for (size_t i = 0; i < s.len;) {
        char piece[PIECE_MAX];
        size_t piece_len = 0;
        i += escape_piece(piece, &piece_len, s.data + i, s.len - i);
        if (piece_len >= cap - len) {
            bool dots = cap > DOTS;
            memcpy(out + (dots ? cut : len), "...", dots ? DOTS : 0);
            len = dots ? cut + DOTS : len;
            break;
        }
        memcpy(out + len, piece, piece_len);
        len += piece_len;
        cut = len + DOTS < cap ? len : cut;
    }
    out[len] = 0;
    return len;
}

/* May the line be shown as it is? */
bool smq_text_is_plain(smq_span s)
{
    if (!smq_utf8_ok(s, SMQ_TEXT_STRICT)) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        size_t len = s.data[i] == 0xD8 ? 2 : s.data[i] == 0xE2 ? 3 : 1;
        if (len <= s.len - i && is_misleading(s.data + i, len)) {
            return false;
        }
    }
    return true;
}

static void write_line(const struct smq_log *log, enum smq_log_level level, const struct smq_log_about *about,
                       const char *fmt, va_list args)
{
    char line[SMQ_LOG_LINE];
    int made = vsnprintf(line, sizeof line, fmt, args);
    if (made < 0) {
        return;
    }
    size_t len = (size_t)made;
    if (len >= sizeof line) {
        len = smq_utf8_cut(smq_span_of(line, sizeof line - 1), sizeof line - 1 - DOTS);
        memcpy(line + len, "...", DOTS + 1);
        len += DOTS;
    }
    size_t tab = line[0] == '\t' ? 1 : 0;
    smq_span rest = smq_span_of(line + tab, len - tab);
    if (smq_text_is_plain(rest)) {
        log->sink(log->ctx, level, about, line, len);
        return;
    }
    char safe[SMQ_LOG_LINE] = "\t";
    len = smq_text_escape(safe + tab, sizeof safe - tab, rest) + tab;
    log->sink(log->ctx, level, about, safe, len);
}

void smq_log(const struct smq_log *log, enum smq_log_level level, const char *fmt, ...)
{
    if (smq_log_is_on(log, level)) {
        va_list args;
        va_start(args, fmt);
        write_line(log, level, NULL, fmt, args);
        va_end(args);
    }
}

void smq_log_with(const struct smq_log *log, enum smq_log_level level, const struct smq_log_about *about,
                  const char *fmt, ...)
{
    if (smq_log_is_on(log, level)) {
        va_list args;
        va_start(args, fmt);
        write_line(log, level, about, fmt, args);
        va_end(args);
    }
}
