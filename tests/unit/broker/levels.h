/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_BROKER_LEVELS_H
#define SMQTT_TESTS_BROKER_LEVELS_H
/* Random names and filters for tests that compare with a plain list. */
#include <stdio.h>
#include <string.h>

#include "../test.h"

/** Up to max_levels levels; `wild`: a filter that may hold wildcards. cap: bytes of out. */
static inline void levels_random(uint64_t *random, char *out, size_t cap, size_t max_levels, bool wild)
{
    static const char *const names[] = {"a", "b", "", "cc", "$x", "+", "#"};
    size_t n = 1 + test_random_below(random, max_levels);
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t pick = test_random_below(random, wild ? 7 : 5);
        bool last = i + 1 == n || pick == 6;
        len += (size_t)snprintf(out + len, cap - len, "%s%s", names[pick], last ? "" : "/");
        if (last) {
            break;
        }
    }
    if (out[0] == '\0') {
        snprintf(out, cap, "a"); /* a name has at least one character */
    }
}

#endif
