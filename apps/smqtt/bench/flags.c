/* SPDX-License-Identifier: Apache-2.0 */
#include "flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../say.h"

enum kind { NUM, REAL, STR, BOOL };

struct row {
    char letter;
    const char *name;
    enum kind kind;
    size_t offset;
    double max;
    const char *arg;
    const char *help;
};

static const struct row rows[] = {
#define FLAG(letter, name, kind, field, max, arg, help) \
    {letter, name, kind, offsetof(struct bench_flags, field), max, arg, help},
#include "flags.def"
#undef FLAG
};

static void defaults(struct bench_flags *f)
{
    *f = (struct bench_flags){.host = "localhost",
                              .port = 1883,
                              .version = 5,
                              .count = FLAG_ABSENT,
                              .interval_ms = FLAG_ABSENT,
                              .concurrency = 256,
                              .keep_alive = 300,
                              .size = 64,
                              .window = FLAG_ABSENT,
                              .filters = 100000,
                              .per_packet = 100,
                              .messages = 100000,
                              .message_ms = -1,
                              .duration_s = -1,
                              .clean = true};
}

/* The row of `--name`, `--name=VALUE`, `-l` or `-lVALUE`; *value is the VALUE, or NULL. */
static const struct row *find(const char *word, const char **value)
{
    *value = NULL;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        size_t len = strlen(row->name);
        if (word[1] == '-' && strncmp(word + 2, row->name, len) == 0 && (word[2 + len] == 0 || word[2 + len] == '=')) {
            *value = word[2 + len] == '=' ? word + 3 + len : NULL;
            return row;
        }
        if (word[1] != '-' && row->letter != 0 && word[1] == row->letter) {
            *value = word[2] != 0 ? word + 2 : NULL;
            return row;
        }
    }
    return NULL;
}

static bool read_whole(const char *text, double max, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    bool ok = errno == 0 && end != text && *end == 0 && text[0] != '-' && (double)v <= max;
    *out = ok ? v : *out;
    return ok;
}

static bool read_real(const char *text, double max, double *out)
{
    char *end = NULL;
    double v = strtod(text, &end);
    bool ok = end != text && *end == 0 && v >= 0 && v <= max;
    *out = ok ? v : *out;
    return ok;
}

static bool is_bool(const char *text, bool *out)
{
    if (text == NULL || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)) {
        return false;
    }
    *out = text[0] == 't';
    return true;
}

static bool set(struct bench_flags *f, const struct row *row, const char *value)
{
    void *field = (char *)f + row->offset;
    switch (row->kind) {
    case NUM:
        return read_whole(value, row->max, field);
    case REAL:
        return read_real(value, row->max, field);
    case STR:
        *(const char **)field = value;
        return true;
    case BOOL:
        return is_bool(value, field);
    }
    return false;
}

static bool read_one(struct bench_flags *f, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    const char *value = NULL;
    const struct row *row = word[0] == '-' && word[1] != 0 ? find(word, &value) : NULL;
    bool unused;
    if (row == NULL) {
        say("smqtt bench does not know '%s': smqtt bench --help shows what it takes.", word);
        return false;
    }
    if (row->kind == BOOL && value == NULL) {
        value = *i + 1 < argc && is_bool(argv[*i + 1], &unused) ? argv[++*i] : "true";
    }
    if (value == NULL && *i + 1 >= argc) {
        say("%s needs a value: %s.", word, row->arg);
        return false;
    }
    value = value == NULL ? argv[++*i] : value;
    if (!set(f, row, value)) {
        say("'%s' is not a value that %s takes: %s.", value, word, row->help);
        return false;
    }
    return true;
}

bool flags_read(struct bench_flags *f, int argc, char **argv, int first)
{
    defaults(f);
    for (int i = first; i < argc; i++) {
        if (!read_one(f, argc, argv, &i)) {
            return false;
        }
    }
    if (f->version < 3) {
        say("-V takes 3, 4 or 5.");
        return false;
    }
    return true;
}

void flags_print(void)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        char flag[64];
        const char *arg = rows[i].arg != NULL ? rows[i].arg : "";
        if (rows[i].letter != 0) {
            snprintf(flag, sizeof flag, "-%c, --%s %s", rows[i].letter, rows[i].name, arg);
        } else {
            snprintf(flag, sizeof flag, "    --%s %s", rows[i].name, arg);
        }
        printf("  %-34s %s\n", flag, rows[i].help);
    }
}
