/* SPDX-License-Identifier: Apache-2.0 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

#include <smqtt/system.h>

#include "base/log.h"
#include "base/span.h"

enum { LINE_MAX_LEN = 8192 };

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

/* Names of strangers stand in many sentences: nothing of them is for the terminal to obey. */
static void put_line(const char *line)
{
    char safe[LINE_MAX_LEN];
    if (!smq_text_is_plain(smq_span_str(line))) {
        smq_text_escape(safe, sizeof safe, smq_span_str(line));
        line = safe;
    }
    fputs(line, stderr);
}

void say(const char *format, ...)
{
    if (silent) {
        return;
    }
    char line[LINE_MAX_LEN];
    va_list args;
    va_start(args, format);
    int made = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (made < 0) {
        return;
    }
    fputs(called_as != NULL ? "Error: " : "smqtt: ", stderr);
    put_line(line);
    fputc('\n', stderr);
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
