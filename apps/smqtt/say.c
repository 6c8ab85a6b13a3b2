/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

#include <smqtt/system.h>

static bool silent;
static const char *called_as;

void say_quiet(bool quiet)
{
    silent = quiet;
}

void say_alias(const char *program)
{
    called_as = program;
}

const char *say_called_as(void)
{
    return called_as;
}

void say(const char *format, ...)
{
    if (silent) {
        return;
    }
    va_list args;
    va_start(args, format);
    fputs(called_as != NULL ? "Error: " : "smqtt: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int say_version(void)
{
    if (called_as != NULL) { /* the version whose contract it keeps, where scripts look for it */
        printf("%s version 2.0.11 running on smqtt %s.\n", called_as, smqtt_version_text());
        return EXIT_FAILED;
    }
    printf("smqtt %s\n", smqtt_version_text());
    return EXIT_OK;
}

int say_help_code(void)
{
    return called_as != NULL ? EXIT_FAILED : EXIT_OK;
}
