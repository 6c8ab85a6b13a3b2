/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_SPAN_H
#define SMQTT_BASE_SPAN_H
/* Helpers around struct smqtt_span, a borrowed view of bytes. */
#include <string.h>

#include "base/defs.h"

typedef struct smqtt_span smq_span;

static inline smq_span smq_span_of(const void *data, size_t len)
{
    return (smq_span){(const uint8_t *)data, len};
}
/** View of a C string without its terminating zero; NULL gives the empty span. */
static inline smq_span smq_span_str(const char *text)
{
    return (smq_span){(const uint8_t *)text, text != NULL ? strlen(text) : 0};
}
/** Equal bytes? Not for secrets: see smq_ct_equal. */
static inline bool smq_span_equal(smq_span a, smq_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
static inline bool smq_span_starts(smq_span whole, smq_span prefix)
{
    return whole.len >= prefix.len && (prefix.len == 0 || memcmp(whole.data, prefix.data, prefix.len) == 0);
}
/** The part from `from` (clamped to the length) to the end. */
static inline smq_span smq_span_from(smq_span s, size_t from)
{
    size_t at = from < s.len ? from : s.len;
    return (smq_span){s.data != NULL ? s.data + at : NULL, s.len - at};
}

#endif
