/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/topic.h"
#include "endpoint.h"
#include "say.h"

enum { READ_ROOM = 65536, MESSAGE_MAX = 256 * 1024 * 1024 };

bool payload_check(const struct opts *o)
{
    if (o->topics.n == 0) {
        say("there is no topic: say with -t where to publish.");
        return false;
    }
    for (size_t i = 0; i < o->topics.n; i++) {
        if (!smq_topic_name_ok(smq_span_str(o->topics.item[i]), 0)) {
            say("'%s' is not a topic to publish to: it is empty, too long, or has + or #, which are for filters.",
                o->topics.item[i]);
            return false;
        }
    }
    if (o->n_args != 0) {
        say("'%s' is no flag: quote a message of several words.", o->args[0]);
        return false;
    }
    if (o->messages != 1) {
        say("%s: give exactly one of -m, -f, -l, -s and -n.",
            o->messages == 0 ? "there is no message" : "there are several messages");
        return false;
    }
    return true;
}

static bool read_stdin(struct payload *out)
{
    size_t cap = READ_ROOM;
    char *text = malloc(cap);
    size_t len = 0;
    while (text != NULL) {
        ssize_t n = read(STDIN_FILENO, text + len, cap - len);
        if (n <= 0) {
            *out = (struct payload){text, len};
            return true;
        }
        len += (size_t)n;
        if (len == cap) {
            cap *= 2;
            char *more = cap <= MESSAGE_MAX ? realloc(text, cap) : NULL;
            if (more == NULL) {
                break;
            }
            text = more;
        }
    }
    free(text);
    say("standard input is too long for one message: at most 256 MiB fit.");
    return false;
}

bool payload_read(const struct opts *o, struct payload *out)
{
    *out = (struct payload){NULL, 0};
    if (o->message != NULL) {
        *out = (struct payload){strdup(o->message), strlen(o->message)};
        return out->bytes != NULL;
    }
    if (o->file != NULL) {
        struct smq_file_text file = {NULL, 0};
        if (!endpoint_read_file(o->file, MESSAGE_MAX, false, &file)) {
            return false;
        }
        *out = (struct payload){file.text, file.len};
        return true;
    }
    if (o->stdin_file) {
        if (!read_stdin(out)) {
            return false;
        }
        if (out->len == 0) {
            say("standard input is empty: for an empty message take -n.");
            return false;
        }
    }
    return true;
}

void payload_free(struct payload *payload)
{
    free(payload->bytes);
    *payload = (struct payload){NULL, 0};
}
