/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_JSON_H
#define SMQTT_APPS_JSON_H
/* As much of JSON (RFC 8259) as printing a message takes, in the form that mosquitto_sub gives it (by cJSON): compact,
 * or over several lines with tabulators. All goes to standard output. */
#include "base/span.h"

/** What is being written. Starts as {.pretty = …}. */
struct json {
    bool pretty;
    bool more; /* a member stands in front */
    unsigned depth;
};

/** Opens and closes an object: the value itself, or that of the member begun last. */
void json_open(struct json *j);
void json_close(struct json *j);
/** The same of an array; each of its values begins with json_item. */
void json_open_list(struct json *j);
void json_close_list(struct json *j);
void json_item(struct json *j);
/** Begins a member of the open object; its value has to follow. */
void json_member(struct json *j, smq_span name);
/** The bytes as a JSON string with its quotes. */
void json_text(smq_span text);
/** Up to 17 significant digits. */
void json_number(double number);
void json_bool(bool value);
void json_null(void);

/** One whole JSON value, nested at most 200 deep? Numbers may have zeros in front, as there; strings are not checked
 * for UTF-8. */
bool json_is_valid(smq_span text);
/** A valid JSON value, written anew: without white space or over several lines, its numbers and escapes in one form. */
void json_value(struct json *j, smq_span value);

#endif
