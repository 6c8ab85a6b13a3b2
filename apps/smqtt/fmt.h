/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_FMT_H
#define SMQTT_APPS_FMT_H
/* Prints one message as mosquitto_sub does: payload, -v topic and payload, or by -F. */
#include <time.h>

#include <smqtt/client.h>

#include "opts.h"

/** Is the -F format well-formed? False after one sentence. */
bool fmt_check(const char *format);
/** Prints one message (event type MESSAGE) to standard output, with a line feed unless -N; flushes. */
void fmt_print(const struct opts *o, const struct smqtt_client_event *event);
/** %j and %J (fmt_json.c): the message as JSON; one whose payload should be JSON and is not is told in a sentence
 * instead. */
void fmt_json(const struct smqtt_client_event *event, const struct timespec *time, const struct tm *tm,
              bool payload_is_json, bool pretty);
/** The letters of -F, for --help. */
extern const char fmt_help[];

#endif
