/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_SAY_H
#define SMQTT_APPS_SAY_H
/* What is said to a person goes to standard error; --quiet silences it. */
#include "base/defs.h"

/** Exit codes, as those of mosquitto_sub where they exist there. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_NOT_CONFIRMED = 2, EXIT_CONNECT = 5, EXIT_TIMEOUT = 27 };

void say_quiet(bool quiet);
/** "smqtt: " and one sentence: cause, place, mend. */
void say(const char *format, ...) SMQ_PRINTF(1, 2);

#endif
