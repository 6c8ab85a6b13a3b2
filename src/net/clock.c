/* SPDX-License-Identifier: Apache-2.0 */
#include "net/clock.h"

#include <time.h>

static smqtt_ms read_clock(clockid_t which)
{
    struct timespec t;
    if (clock_gettime(which, &t) != 0 || t.tv_sec < 0) {
        return 0;
    }
    return (smqtt_ms)t.tv_sec * 1000u + (smqtt_ms)t.tv_nsec / 1000000u;
}

struct smqtt_now smq_clock_now(void)
{
    return (struct smqtt_now){.wall = read_clock(CLOCK_REALTIME), .mono = read_clock(CLOCK_MONOTONIC)};
}
