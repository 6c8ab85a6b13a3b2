/* SPDX-License-Identifier: Apache-2.0 */
#include "opts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, OFF, STR, LIST, U8, U16, U32, SECS };

struct row {
    char letter;
    const char *name;
    int commands;
    enum kind kind;
    size_t offset;
    const char *arg;
    const char *help;
};

enum { P = OPTS_P, S = OPTS_S, I = OPTS_I, D = OPTS_D };

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
    o->receipt_timeout = 10000;
    o->suite = "x25519";
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

static bool set_value(struct opts *o, const struct row *row, const char *value)
{
    char *field = (char *)o + row->offset;
    unsigned long v = 0;
    switch (row->kind) {
    case FLAG:
    case OFF:
        *(bool *)field = row->kind == FLAG;
        return true;
    case STR:
        *(const char **)(void *)field = value;
        return true;
    case LIST: {
        struct opts_list *list = (struct opts_list *)(void *)field;
        if (list->n == OPTS_LIST_MAX) {
            return false;
        }
        list->item[list->n++] = value;
        return true;
    }
    case U8:
        if (!read_number(value, 2, &v)) {
            return false;
        }
        *(uint8_t *)field = (uint8_t)v;
        return true;
    case U16:
        if (!read_number(value, UINT16_MAX, &v)) {
            return false;
        }
        *(uint16_t *)(void *)field = (uint16_t)v;
        return true;
    case U32:
        if (!read_number(value, UINT32_MAX, &v)) {
            return false;
        }
        *(uint32_t *)(void *)field = (uint32_t)v;
        return true;
    case SECS:
        return read_seconds(value, (uint32_t *)(void *)field);
    }
    return false;
}

static void note_given(struct opts *o, const struct row *row)
{
    o->qos_given = o->qos_given || row->offset == offsetof(struct opts, qos);
    o->session_expiry_given = o->session_expiry_given || row->offset == offsetof(struct opts, session_expiry);
    o->port_given = o->port_given || row->offset == offsetof(struct opts, port);
}

/** One flag with its value; *i moves on. */
static bool read_flag(struct opts *o, int command, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    const char *value = NULL;
    const struct row *row = find(command, word, &value);
    if (row == NULL) {
        fprintf(stderr, "smqtt: the flag %s is not known here: --help shows those that are.\n", word);
        return false;
    }
    bool wants = row->kind != FLAG && row->kind != OFF;
    if (!wants && value != NULL) {
        fprintf(stderr, "smqtt: -%c takes no value, but %s was given: write each flag by itself.\n", row->letter, word);
        return false;
    }
    if (wants && value == NULL) {
        if (*i + 1 >= argc) {
            fprintf(stderr, "smqtt: %s needs a value: %s.\n", word, row->arg);
            return false;
        }
        value = argv[++*i];
    }
    if (!set_value(o, row, value)) {
        fprintf(stderr, "smqtt: '%s' is not a value that %s takes (%s): %s.\n", value, word, row->arg, row->help);
        return false;
    }
    note_given(o, row);
    return true;
}

bool opts_read(struct opts *o, int command, int argc, char **argv, int first)
{
    defaults(o);
    for (int i = first; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != 0) {
            if (!read_flag(o, command, argc, argv, &i)) {
                return false;
            }
        } else if (o->n_args < OPTS_ARGS_MAX) {
            o->args[o->n_args++] = argv[i];
        } else {
            fprintf(stderr, "smqtt: too many words on the command line, from '%s' on: --help shows the form.\n",
                    argv[i]);
            return false;
        }
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
