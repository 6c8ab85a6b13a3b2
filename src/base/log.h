/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_LOG_H
#define SMQTT_BASE_LOG_H
/* Log lines to whoever wants them. No clock and no stream: the sink adds the time and writes. */
#include "base/span.h"

enum smq_log_level { SMQ_LOG_ERR = 0, SMQ_LOG_WARN, SMQ_LOG_NOTICE, SMQ_LOG_INFO, SMQ_LOG_DEBUG };

/** Longest line in bytes, with its terminating zero; longer ones are cut and end in "...". */
#define SMQ_LOG_LINE 1024

struct smq_log {
    enum smq_log_level min; /* least important level that is still wanted */
    void (*sink)(void *ctx, enum smq_log_level level, const char *text,
                 size_t len); /* text: borrowed during the call, one line
                                 without line end, zero-terminated */
    void *ctx;
};

/** Would a line of this level be written? To save the work of making its arguments. */
static inline bool smq_log_is_on(const struct smq_log *log, enum smq_log_level level)
{
    return log != NULL && log->sink != NULL && level <= log->min;
}
/** Formats one line, as printf does, and gives it to the sink. `log` may be NULL: nothing happens. A line with anything
 * that a terminal could obey goes through smq_text_escape as a whole; text from strangers should go through it on its
 * own, before. */
void smq_log(const struct smq_log *log, enum smq_log_level level, const char *fmt, ...) SMQ_PRINTF(3, 4);
/** "error", "warning", "notice", "info", "debug"; static storage. */
const char *smq_log_level_name(enum smq_log_level level);

/**
 * Makes bytes printable: controls, ill-formed UTF-8, non-characters, line separators and marks that turn the direction
 * of text become \xNN for each of their bytes, a backslash is doubled, the rest is copied. So the result has no escape
 * sequence and is one line.
 *
 * @param out  receives text and a terminating zero; not inside `s`
 * @param cap  bytes of out; at least 1. What does not fit is cut off between two characters, and "..." shows it when
 * cap is 4 or more
 * @return  length of the text
 */
size_t smq_text_escape(char *out, size_t cap, smq_span s);

#endif
