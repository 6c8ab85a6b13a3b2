/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_TEST_H
#define SMQTT_TESTS_TEST_H
/* cmocka with the headers that it wants before it, and a small generator for tests with random input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/** The next number of a splitmix64 sequence. Start it with any constant: tests do the same every time. */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}
/** A number in 0..below-1. */
static inline size_t test_random_below(uint64_t *state, size_t below)
{
    return (size_t)(test_random(state) % below);
}

#endif
