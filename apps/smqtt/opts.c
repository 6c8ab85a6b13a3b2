/* SPDX-License-Identifier: Apache-2.0 */
#include "opts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "say.h"
#include "url.h"

enum kind { FLAG, OFF, STR, LIST, U8, U16, U32, COUNT, MAX16, KEEP, SECS, EXPIRY, CHANCE, URL, PROP };

struct row {
    char letter;
    const char *name;
    int commands;
    enum kind kind;
    size_t offset;
    const char *arg;
    const char *help;
};

enum { P = OPTS_P, S = OPTS_S, I = OPTS_I, D = OPTS_D, R = OPTS_R, X = OPTS_X };

static const struct row rows[] = {
#define OPT(letter, name, commands, kind, field, arg, help) \
    {letter, name, commands, kind, offsetof(struct opts, field), arg, help},
#include "opts.def"
#undef OPT
};
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static void defaults(struct opts *o)
{
    memset(o, 0, sizeof(*o));
    o->host = "localhost";
    o->port = 1883;
    o->keep_alive = 60;
    o->clean = true;
    o->end_of_line = true;
    o->repeat = 1;
    o->random_filter = 1000;
    o->max_inflight = 20;
    o->receipt_timeout = 10000;
    o->wait = 2000;
}

/** The row of `--name`, `-l` or `-lVALUE`; *inline_value is the VALUE, or NULL. */
static const struct row *find(int command, const char *word, const char **inline_value)
{
    *inline_value = NULL;
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];
        if ((row->commands & command) == 0) {
            continue;
        }
        if (word[1] == '-' && row->name != NULL && strcmp(word + 2, row->name) == 0) {
            return row;
        }
        if (word[1] != '-' && row->letter != 0 && word[1] == row->letter) {
            *inline_value = word[2] != 0 ? word + 2 : NULL;
            return row;
        }
    }
    return NULL;
}

static bool read_number(const char *text, unsigned long max, unsigned long *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || v > max || text[0] == '-') {
        return false;
    }
    *out = v;
    return true;
}

static bool read_seconds(const char *text, uint32_t *out_ms)
{
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end != 0 || !(v >= 0) || v > 4000000) {
        return false;
    }
    *out_ms = (uint32_t)(v * 1000);
    return true;
}

/** -1 and the sign for infinity mean for ever; a number may be hexadecimal, as there. */
static bool read_expiry(const char *text, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long v = strtoul(text, &end, 0);
    if (strcmp(text, "-1") == 0 || strcmp(text, "\xE2\x88\x9E") == 0) {
        v = UINT32_MAX;
    } else if (errno != 0 || end == text || *end != 0 || v > UINT32_MAX || text[0] == '-') {
        return false;
    }
    *out = (uint32_t)v;
    return true;
}

static bool read_chance(const char *text, uint32_t *out)
{
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end != 0 || !(v >= 0.1 && v <= 100)) {
        return false;
    }
    *out = (uint32_t)(v * 10 + 0.5);
    return true;
}

/** The numbers that lie in a range; `size` bytes wide at `field`. */
static bool set_number(void *field, size_t size, const char *value, unsigned long min, unsigned long max)
{
    unsigned long v = 0;
    if (!read_number(value, max, &v) || v < min) {
        return false;
    }
    if (size == 1) {
        *(uint8_t *)field = (uint8_t)v;
    } else if (size == 2) {
        *(uint16_t *)field = (uint16_t)v;
    } else {
        *(uint32_t *)field = (uint32_t)v;
    }
    return true;
}

static bool add_to_list(struct opts_list *list, const char *value)
{
    if (list->n == OPTS_LIST_MAX) {
        return false;
    }
    list->item[list->n++] = value;
    return true;
}

static bool set_value(struct opts *o, const struct row *row, const char *value)
{
    void *field = (char *)o + row->offset;
    switch (row->kind) {
    case FLAG:
    case OFF:
        *(bool *)field = row->kind == FLAG;
        return true;
    case STR:
        *(const char **)field = value;
        return true;
    case LIST:
        return add_to_list(field, value);
    case U8:
        return set_number(field, 1, value, 0, 2);
    case U16:
        return set_number(field, 2, value, 0, UINT16_MAX);
    case MAX16:
        return set_number(field, 2, value, 1, UINT16_MAX);
    case KEEP:
        return set_number(field, 2, value, 5, UINT16_MAX);
    case U32:
        return set_number(field, 4, value, 0, UINT32_MAX);
    case COUNT:
        return set_number(field, 4, value, 1, UINT32_MAX);
    case SECS:
        return read_seconds(value, field);
    case EXPIRY:
        return read_expiry(value, field);
    case CHANCE:
        return read_chance(value, field);
    case URL:
        return url_read(o, value);
    case PROP:
        return false; /* it has several words: take_property */
    }
    return false;
}

static void note_given(struct opts *o, const struct row *row)
{
    static const size_t messages[] = {offsetof(struct opts, message), offsetof(struct opts, file),
                                      offsetof(struct opts, stdin_line), offsetof(struct opts, stdin_file),
                                      offsetof(struct opts, null_message)};
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        o->messages += row->offset == messages[i] ? 1 : 0;
    }
    o->qos_given = o->qos_given || row->offset == offsetof(struct opts, qos);
    o->session_expiry_given = o->session_expiry_given || row->offset == offsetof(struct opts, session_expiry);
    o->port_given = o->port_given || row->offset == offsetof(struct opts, port);
}

/** -D and its words; *i moves on. Properties are of version 5, so that is what is spoken. */
static bool take_property(struct opts *o, int n, char **words, int *i)
{
    int taken = props_words(n - *i - 1, words + *i + 1);
    if (taken == 0) {
        say("%s needs a packet, the name of a property and its value: -D publish content-type text/plain.", words[*i]);
        return false;
    }
    o->version = "5";
    bool ok = props_add(o->props, words + *i + 1);
    *i += taken;
    return ok;
}

/** One flag with its value; *i moves on. */
static bool read_flag(struct opts *o, int command, int n, char **words, int *i)
{
    const char *word = words[*i];
    const char *value = NULL;
    const struct row *row = find(command, word, &value);
    if (row == NULL) {
        say("the flag %s is not known here: --help shows those that are.", word);
        return false;
    }
    bool wants = row->kind != FLAG && row->kind != OFF;
    if (value != NULL && (!wants || row->kind == PROP)) {
        say("-%c takes no value behind it, but %s was given: write each flag by itself.", row->letter, word);
        return false;
    }
    if (row->kind == PROP) {
        return take_property(o, n, words, i);
    }
    if (wants && value == NULL) {
        if (*i + 1 >= n) {
            say("%s needs a value: %s.", word, row->arg);
            return false;
        }
        value = words[++*i];
    }
    if (!set_value(o, row, value)) {
        say("'%s' is not a value that %s takes (%s): %s.", value, word, row->arg, row->help);
        return false;
    }
    note_given(o, row);
    return true;
}

bool opts_read_words(struct opts *o, int command, int n, char **words)
{
    for (int i = 0; i < n; i++) {
        if (words[i][0] == '-' && words[i][1] != 0) {
            if (!read_flag(o, command, n, words, &i)) {
                return false;
            }
        } else if (o->n_args < OPTS_ARGS_MAX) {
            o->args[o->n_args++] = words[i];
        } else {
            say("too many words on the command line, from '%s' on: --help shows the form.", words[i]);
            return false;
        }
    }
    return true;
}

/** Where there is one topic to publish to, that of the command line stands instead of the file's. */
static void drop_first(struct opts_list *list, size_t n)
{
    memmove(list->item, list->item + n, (list->n - n) * sizeof(list->item[0]));
    list->n -= n;
}

bool opts_read(struct opts *o, int command, int argc, char **argv, int first)
{
    defaults(o);
    if ((command & (OPTS_P | OPTS_S | OPTS_R)) != 0 && !opts_read_file(o, command)) {
        return false;
    }
    size_t of_file = o->topics.n;
    if (!opts_read_words(o, command, argc - first, argv + first)) {
        return false;
    }
    if ((command & (OPTS_P | OPTS_R)) != 0 && o->topics.n > of_file) {
        drop_first(&o->topics, of_file);
    }
    return true;
}

void opts_print(int command)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];
        if ((row->commands & command) == 0) {
            continue;
        }
        char flag[64];
        int n = row->letter != 0 ? snprintf(flag, sizeof(flag), "-%c%s", row->letter, row->name != NULL ? ", " : "")
                                 : snprintf(flag, sizeof(flag), "    ");
        snprintf(flag + n, sizeof(flag) - (size_t)n, "%s%s %s", row->name != NULL ? "--" : "",
                 row->name != NULL ? row->name : "", row->arg != NULL ? row->arg : "");
        printf("  %-34s %s\n", flag, row->help);
    }
}
