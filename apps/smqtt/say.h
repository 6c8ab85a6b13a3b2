/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_SAY_H
#define SMQTT_APPS_SAY_H
/* What is said to a person goes to standard error; --quiet silences it. */
#include "base/defs.h"

/** Exit codes, as those of Mosquitto's clients where they exist there. A refused connection ends with the reason code
 * of CONNACK. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1,        /* flags, files, no connection, the work itself */
    EXIT_NOT_CONFIRMED = 2, /* sealed: no receipt */
    EXIT_LOST = 7,          /* the connection ended too early */
    EXIT_TIMEOUT = 27
};

void say_quiet(bool quiet);
/** "smqtt: " and one sentence: cause, place, mend. */
void say(const char *format, ...) SMQ_PRINTF(1, 2);
/** From now on it is called so: "mosquitto_pub" … `program` lives on. */
void say_alias(const char *program);
/** The name of Mosquitto's program that it was called by; NULL when it is smqtt. */
const char *say_called_as(void);
/** Prints name and version for --version. The exit code. */
int say_version(void);
/** The exit code of --help: 0; Mosquitto's programs end with 1. */
int say_help_code(void);

#endif
