/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "conf/row.h"

#define VALUE_MAX 4096

#define BASE_GLOBAL   struct smq_conf
#define BASE_EACH     struct smq_listener_config
#define BASE_LISTENER struct smq_listener_config
#define BASE_BELOW    struct smq_listener_config
#define BASE_SECURITY struct smq_listener_config

const struct smq_conf_row smq_conf_rows[] = {
#define DIRECTIVE(name, type, scope, field, min, max, words, deflt, help) \
    {name, SMQ_CONF_##type, SMQ_CONF_##scope, offsetof(BASE_##scope, field), min, max, words, deflt, help},
#include "conf/directive.def"
};
const size_t smq_conf_n_rows = SMQ_ARRAY_LEN(smq_conf_rows);

static const struct {
    const char *alias, *name;
} aliases[] = {
#define ALIAS(alias, name) {alias, name},
#include "conf/directive.def"
};

bool smq_conf_directive(size_t i, const char **name, const char **help)
{
    if (i >= smq_conf_n_rows) {
        return false;
    }
    *name = smq_conf_rows[i].name;
    *help = smq_conf_rows[i].help;
    return true;
}

/* ---------------------------------------------------------------- sentences */

/* "FILE:LINE: " and the sentence, printable; without the line where the whole file is meant. */
static void say(const struct smq_conf_parser *p, char *out, size_t cap, const char *fmt, va_list args)
{
    char line[640];
    int head = p->line != 0 ? snprintf(line, sizeof line, "%s:%u: ", p->file, p->line)
                            : snprintf(line, sizeof line, "%s: ", p->file != NULL ? p->file : "configuration");
    size_t at = head < 0 ? 0 : (size_t)head < sizeof line ? (size_t)head : sizeof line - 1;
    vsnprintf(line + at, sizeof line - at, fmt, args);
    smq_text_escape(out, cap, smq_span_str(line));
}

smqtt_err smq_conf_fail(struct smq_conf_parser *parser, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(parser, parser->fault, sizeof parser->fault, fmt, args);
    va_end(args);
    return SMQTT_E_USAGE;
}

static void warn(const struct smq_conf_parser *p, const char *text)
{
    if (p->hooks.warn != NULL) {
        p->hooks.warn(p->hooks.ctx, text);
    }
}

void smq_conf_warn(struct smq_conf_parser *parser, const char *fmt, ...)
{
    char text[640];
    va_list args;
    va_start(args, fmt);
    say(parser, text, sizeof text, fmt, args);
    va_end(args);
    warn(parser, text);
}

smqtt_err smq_conf_leave_out(struct smq_conf_parser *parser, const char *fmt, ...)
{
    char text[640];
    va_list args;
    va_start(args, fmt);
    say(parser, text, sizeof text, fmt, args);
    va_end(args);
    if (!parser->hooks.strict) {
        warn(parser, text);
        return SMQTT_OK;
    }
    snprintf(parser->fault, sizeof parser->fault, "%.600s (A strict reading.)", text);
    return SMQTT_E_USAGE;
}

const char *smq_conf_parser_fault(const struct smq_conf_parser *parser)
{
    return parser->fault;
}

/* ---------------------------------------------------------------- lines */

/* What may stand in the file more than once. */
static bool may_repeat(const struct smq_conf_row *row)
{
    static const char *const names[] = {"listener",    "per_listener_settings", "log_dest", "log_type",
                                        "include_dir", "smqtt_require_detect",  "protocol"};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
        if (strcmp(row->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void warn_of_second(struct smq_conf_parser *p, size_t i)
{
    const struct smq_conf_row *row = &smq_conf_rows[i];
    if (p->seen[i] != 0 && !may_repeat(row)) {
        smq_conf_warn(p, "%s was given before, in line %u: this one counts.", row->name, p->seen[i]);
    }
    p->seen[i] = p->line;
}

static smqtt_err read_row(struct smq_conf_parser *p, size_t i, char *value)
{
    const struct smq_conf_row *row = &smq_conf_rows[i];
    warn_of_second(p, i);
    if (row->type == SMQ_CONF_OWN) {
        return smq_conf_own_read(p, row->name, value);
    }
    if (!smq_conf_value_is_text(row)) {
        smq_conf_cut_comment(value);
    }
    void *base = p->conf;
    if (row->scope == SMQ_CONF_EACH) {
        base = &p->conf->all_listeners;
    } else if (row->scope != SMQ_CONF_GLOBAL) {
        struct smq_listener_config *listener = NULL;
        SMQ_TRY(smq_conf_own_base(p, row->name, row->scope, &listener));
        base = listener;
    }
    char want[160];
    smqtt_err err = smq_conf_value_read(p->conf->mem, row, base, value, want, sizeof want);
    if (err == SMQTT_E_USAGE) {
        return smq_conf_fail(p, "%s is \"%s\", but it must be %s.", row->name, value, want);
    }
    return err;
}

static const char *name_of_alias(const char *name)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(aliases); i++) {
        if (strcmp(name, aliases[i].alias) == 0) {
            return aliases[i].name;
        }
    }
    return name;
}

/* One line, cut to its words: `text` is zero-terminated and may be written to. */
static smqtt_err read_line(struct smq_conf_parser *p, char *text)
{
    size_t len = strlen(text);
    while (len != 0 && strchr(" \t\r", text[len - 1]) != NULL) {
        text[--len] = 0;
    }
    text += strspn(text, " \t");
    if (*text == 0 || *text == '#') {
        return SMQTT_OK;
    }
    const char *name = name_of_alias(smq_conf_word(&text));
    text += strspn(text, " \t");
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        if (strcmp(name, smq_conf_rows[i].name) == 0) {
            return read_row(p, i, text);
        }
    }
    return smq_conf_name_read(p, name, text);
}

smqtt_err smq_conf_feed(struct smq_conf_parser *parser, const char *file, smq_span text)
{
    char line[VALUE_MAX];
    parser->file = file;
    parser->line = 0;
    parser->current = NULL; /* a file that is included begins above all listeners, as in Mosquitto */
    if (smq_span_starts(text, smq_span_str("\xEF\xBB\xBF"))) {
        text = smq_span_from(text, 3);
    }
    while (text.len != 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        smq_span bytes = {text.data, end != NULL ? (size_t)(end - text.data) : text.len};
        parser->line++;
        if (bytes.len >= sizeof line) {
            return smq_conf_fail(parser, "the line is longer than %d bytes.", VALUE_MAX - 1);
        }
        memcpy(line, bytes.data, bytes.len);
        line[bytes.len] = 0;
        bool comment = line[strspn(line, " \t")] == '#';
        if (!comment && (memchr(line, 0, bytes.len) != NULL || !smq_utf8_ok(bytes, SMQ_TEXT_WELLFORMED))) {
            return smq_conf_fail(parser, "the line is not UTF-8 text.");
        }
        SMQ_TRY(read_line(parser, line));
        text = smq_span_from(text, bytes.len + 1);
    }
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- begin and end */

static smqtt_err set_defaults(struct smq_conf *conf)
{
    SMQ_TRY(smq_conf_set_defaults(conf->mem, SMQ_CONF_GLOBAL, conf));
    SMQ_TRY(smq_conf_set_defaults(conf->mem, SMQ_CONF_SECURITY, &conf->all_listeners));
    conf->log_dest = SMQ_LOG_TO_STDERR;
    conf->log_types = SMQ_LOG_DEFAULT;
    conf->broker.retained_persistence = true; /* no directive: in Mosquitto the word means persistence */
    return SMQTT_OK;
}

smqtt_err smq_conf_parser_new(const struct smqtt_mem *mem, const struct smq_conf_hooks *hooks,
                              struct smq_conf_parser **out)
{
    struct smq_conf_parser *p = smq_mem_zalloc(mem, 1, sizeof *p);
    if (p == NULL) {
        return SMQTT_E_NOMEM;
    }
    p->mem = mem;
    p->hooks = *hooks;
    p->seen = smq_mem_zalloc(mem, smq_conf_n_rows, sizeof *p->seen);
    p->conf = smq_mem_zalloc(mem, 1, sizeof *p->conf);
    if (p->conf != NULL) {
        p->conf->mem = mem;
    }
    smqtt_err err = p->seen != NULL && p->conf != NULL ? set_defaults(p->conf) : SMQTT_E_NOMEM;
    if (err != SMQTT_OK) {
        smq_conf_parser_free(p);
        return err;
    }
    *out = p;
    return SMQTT_OK;
}

void smq_conf_parser_free(struct smq_conf_parser *parser)
{
    if (parser == NULL) {
        return;
    }
    const struct smqtt_mem *mem = parser->mem;
    smq_conf_require_free(mem, parser->require_all);
    smq_conf_free(parser->conf);
    smq_mem_free(mem, parser->seen);
    smq_mem_free(mem, parser);
}

void smq_conf_free(struct smq_conf *conf)
{
    if (conf == NULL) {
        return;
    }
    const struct smqtt_mem *mem = conf->mem;
    while (conf->broker.listeners != NULL) {
        struct smq_listener_config *next = conf->broker.listeners->next;
        smq_conf_listener_free(mem, conf->broker.listeners);
        conf->broker.listeners = next;
    }
    smq_conf_value_free(mem, SMQ_CONF_EACH, &conf->all_listeners);
    smq_conf_value_free(mem, SMQ_CONF_SECURITY, &conf->all_listeners);
    smq_conf_value_free(mem, SMQ_CONF_GLOBAL, conf);
    smq_mem_free(mem, conf->log_file);
    smq_mem_free(mem, conf);
}

smqtt_err smq_conf_parser_end(struct smq_conf_parser *parser, struct smq_conf **out)
{
    SMQ_TRY(smq_conf_finish(parser));
    *out = parser->conf;
    parser->conf = NULL;
    parser->current = parser->deflt = NULL;
    return SMQTT_OK;
}
