/* SPDX-License-Identifier: Apache-2.0 */
#include "net/why.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

smqtt_err smq_why_set(struct smq_why *why, smqtt_err err, const char *fmt, ...)
{
    if (why == NULL) {
        return err;
    }
    char line[sizeof why->text];
    va_list args;
    va_start(args, fmt);
    int made = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    size_t len = made < 0 ? 0 : (size_t)made < sizeof line ? (size_t)made : sizeof line - 1;
    smq_text_escape(why->text, sizeof why->text, smq_span_of(line, len));
    return err;
}
