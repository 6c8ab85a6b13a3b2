/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded, it gives a program a wall clock that is wrong by SMQTT_CLOCK_SHIFT seconds. The monotonic one is right. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now)
{
    static const char *shift;
    long result = syscall(SYS_clock_gettime, id, now);
    if (shift == NULL) {
        shift = getenv("SMQTT_CLOCK_SHIFT");
        shift = shift != NULL ? shift : "0";
    }
    if (result == 0 && id == CLOCK_REALTIME) {
        now->tv_sec += strtol(shift, NULL, 10);
    }
    return (int)result;
}
