/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BASE_UTF8_H
#define SMQTT_BASE_UTF8_H
/* Is this the UTF-8 that MQTT allows? Well-formed by RFC 3629, and by policy free of the code points that MQTT speaks
 * about. */
#include "base/span.h"

enum smq_text_policy {
    SMQ_TEXT_STRICT = 0, /* refuses also what MQTT 1.5.4 only advises against: U+0001..U+001F, U+007F..U+009F and the 66
                            non-characters (U+FDD0..U+FDEF, U+xxFFFE, U+xxFFFF) */
    SMQ_TEXT_STANDARD, /* refuses what MQTT forbids: ill-formed UTF-8, surrogates [MQTT-1.5.4-1], U+0000 [MQTT-1.5.4-2]
                        */
    SMQ_TEXT_WELLFORMED, /* RFC 3629 only: payloads marked as text may hold any character, U+0000 included */
    SMQ_TEXT_ANY         /* any bytes: for taking apart, or making, packets whose strings are bad */
};

/** True when `s` is allowed. Byte-order mark, private use and unassigned characters are; the empty string is. Runs the
 * fastest implementation that the processor has. */
bool smq_utf8_ok(smq_span s, enum smq_text_policy policy);

/** The same answer, character by character in plain C: the yardstick of the tests, and what remains where there are no
 * vectors. */
bool smq_utf8_ok_scalar(smq_span s, enum smq_text_policy policy);

/** An implementation by name ("scalar", "sse2", "avx2", "neon"), for tests and benchmarks. */
struct smq_utf8_impl {
    const char *name;
    bool (*ok)(smq_span s, enum smq_text_policy policy);
    bool (*usable)(void); /* does this processor have it? */
};
/** Row i from 0, fastest first, or NULL behind the last. */
const struct smq_utf8_impl *smq_utf8_impl_at(size_t i);

/** Largest n <= max such that the first n bytes of well-formed text do not end inside a character. */
size_t smq_utf8_cut(smq_span s, size_t max);

#endif
