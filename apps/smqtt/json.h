/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_JSON_H
#define SMQTT_APPS_JSON_H
/* As much of JSON (RFC 8259) as printing a message takes; all goes to standard output. */
#include "base/span.h"

/** One whole JSON value, nested at most 200 deep? Strings are not checked for UTF-8. */
bool json_is_valid(smq_span text);
/** The bytes as a JSON string with its quotes. */
void json_print_text(smq_span text);
/** A valid JSON value without the white space around its tokens. */
void json_print_compact(smq_span value);

#endif
