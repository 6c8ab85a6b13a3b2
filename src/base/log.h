/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_LOG_H
#define SMQTT_BASE_LOG_H
/* Log lines to whoever wants them. No clock and no stream: the sink adds the time and writes. */
#include <stdatomic.h>

#include "base/span.h"

/** Kinds of lines; the first five are levels, most important first. SUBSCRIBE and UNSUBSCRIBE are Mosquitto's short
 * lines of who listens to what. */
enum smq_log_level {
    SMQ_LOG_ERR = 0,
    SMQ_LOG_WARN,
    SMQ_LOG_NOTICE,
    SMQ_LOG_INFO,
    SMQ_LOG_DEBUG,
    SMQ_LOG_SUBSCRIBE,
    SMQ_LOG_UNSUBSCRIBE
};

/** Bits of `wanted`: a kind and everything more important, and all there are. */
enum { SMQ_LOG_DEFAULT = 0x0F, SMQ_LOG_ALL = 0x7F };
static inline unsigned smq_log_up_to(enum smq_log_level level)
{
    return (2u << (unsigned)level) - 1;
}

/** Longest line in bytes, with its terminating zero; longer ones are cut and end in "...". */
#define SMQ_LOG_LINE 1024

/** What a line is about, for logs that machines read. Views, borrowed during the call; data NULL: has none. */
struct smq_log_about {
    const char *event; /* a word that stays the same while sentences change: "connected"; NULL: none */
    smq_span client_id, user, peer;
};

struct smq_log {
    atomic_uint wanted; /* bits 1 << enum smq_log_level; may change while other threads log */
    /** text: one line without line end, zero-terminated, borrowed during the call. about: NULL when there is nothing
     * more to say than the line. Called from any thread that has the log. */
    void (*sink)(void *ctx, enum smq_log_level level, const struct smq_log_about *about, const char *text, size_t len);
    void *ctx;
};

/** Would a line of this kind be written? To save the work of making its arguments. */
static inline bool smq_log_is_on(const struct smq_log *log, enum smq_log_level level)
{
    return log != NULL && log->sink != NULL &&
           (atomic_load_explicit(&log->wanted, memory_order_relaxed) & 1u << (unsigned)level) != 0;
}
/** Formats one line, as printf does, and gives it to the sink. `log` may be NULL: nothing happens. A line with anything
 * that a terminal could obey (but a tab in front) goes through smq_text_escape as a whole; text from strangers should
 * go through it on its own, before. */
void smq_log(const struct smq_log *log, enum smq_log_level level, const char *fmt, ...) SMQ_PRINTF(3, 4);
/** The same with fields. */
void smq_log_with(const struct smq_log *log, enum smq_log_level level, const struct smq_log_about *about,
                  const char *fmt, ...) SMQ_PRINTF(4, 5);
/** "error", "warning", "notice", "info", "debug", "subscribe", "unsubscribe"; static storage. */
const char *smq_log_level_name(enum smq_log_level level);

/** Has it nothing that smq_text_escape would change, but for backslashes? */
bool smq_text_is_plain(smq_span s);

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
