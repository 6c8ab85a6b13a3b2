/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

static bool silent;

void say_quiet(bool quiet)
{
    silent = quiet;
}

void say(const char *format, ...)
{
    if (silent) {
        return;
    }
    va_list args;
    va_start(args, format);
    fputs("smqtt: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}
