/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "broker/conf_row.h"

#define VALUE_MAX    4096
#define LOG_DEFAULT  0x0Fu /* error, warning, notice, information */
#define DISTANCE_MAX 3     /* letters between a mistake and what it was meant to be */
#define NAME_LEN_MAX 40

#define BASE_GLOBAL   struct smq_conf
#define BASE_LISTENER struct smq_listener_config

const struct smq_conf_row smq_conf_rows[] = {
#define DIRECTIVE(name, type, scope, field, min, max, words, deflt, help) \
    {name, SMQ_CONF_##type, SMQ_CONF_##scope, offsetof(BASE_##scope, field), min, max, words, deflt, help},
#include "broker/directive.def"
};
const size_t smq_conf_n_rows = SMQ_ARRAY_LEN(smq_conf_rows);

enum foreign_what { REFUSE, WARN };
static const struct foreign {
    const char *name;
    enum foreign_what what;
    const char *mend;
} foreign_rows[] = {
#define FOREIGN(name, what, mend) {name, what, mend},
#include "broker/directive.def"
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

/* "FILE:LINE: " and the sentence, printable. */
static void say(const struct smq_conf_parser *p, char *out, size_t cap, const char *fmt, va_list args)
{
    char line[640];
    int head = snprintf(line, sizeof line, "%s:%u: ", p->file, p->line);
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

void smq_conf_warn(struct smq_conf_parser *parser, const char *fmt, ...)
{
    char text[640];
    va_list args;
    va_start(args, fmt);
    say(parser, text, sizeof text, fmt, args);
    va_end(args);
    if (parser->hooks.warn != NULL) {
        parser->hooks.warn(parser->hooks.ctx, text);
    }
}

const char *smq_conf_parser_fault(const struct smq_conf_parser *parser)
{
    return parser->fault;
}

/* ---------------------------------------------------------------- unknown names */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance; NAME_LEN_MAX for names that are too long to be meant. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_LEN_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > NAME_LEN_MAX || b_len > NAME_LEN_MAX) {
        return NAME_LEN_MAX;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

static smqtt_err fail_unknown(struct smq_conf_parser *p, const char *name)
{
    size_t best = DISTANCE_MAX + 1;
    const char *near = NULL;
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        size_t d = distance(name, smq_conf_rows[i].name);
        if (d < best && d * 2 < strlen(name)) {
            best = d;
            near = smq_conf_rows[i].name;
        }
    }
    if (near != NULL) {
        return smq_conf_fail(p, "\"%s\" is not a directive: %s is perhaps meant.", name, near);
    }
    return smq_conf_fail(p, "\"%s\" is not a directive: see smqttd.conf(5) for those there are.", name);
}

static bool foreign_matches(const char *row, const char *name)
{
    size_t len = strlen(row);
    return row[len - 1] == '*' ? strncmp(row, name, len - 1) == 0 : strcmp(row, name) == 0;
}

/* A directive of Mosquitto that is not ours, or of nobody. */
static smqtt_err read_foreign(struct smq_conf_parser *p, const char *name)
{
    for (size_t i = 0; i < SMQ_ARRAY_LEN(foreign_rows); i++) {
        if (!foreign_matches(foreign_rows[i].name, name)) {
            continue;
        }
        if (foreign_rows[i].what == REFUSE) {
            return smq_conf_fail(
                p, "%s would protect the broker, but this version cannot do it, so it does not start: %s.", name,
                foreign_rows[i].mend);
        }
        smq_conf_warn(p, "%s is left out: %s.", name, foreign_rows[i].mend);
        return SMQTT_OK;
    }
    return fail_unknown(p, name);
}

/* ---------------------------------------------------------------- lines */

static void warn_of_second(struct smq_conf_parser *p, size_t i)
{
    const struct smq_conf_row *row = &smq_conf_rows[i];
    bool may_repeat = row->type == SMQ_CONF_OWN && strcmp(row->name, "port") != 0 &&
                      strcmp(row->name, "bind_address") != 0 && strcmp(row->name, "max_connections") != 0;
    if (p->seen[i] != 0 && !may_repeat) {
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
    void *base = p->conf;
    if (row->scope == SMQ_CONF_LISTENER) {
        struct smq_conf_listener *l = p->current != NULL ? p->current : p->deflt;
        if (l == NULL) {
            return smq_conf_fail(p, "%s belongs to a listener: put it below a line \"listener PORT\".", row->name);
        }
        base = &l->config;
    }
    char want[160];
    smqtt_err err = smq_conf_value_read(p->conf->mem, row, base, value, want, sizeof want);
    if (err == SMQTT_E_USAGE) {
        return smq_conf_fail(p, "%s is \"%s\", but it must be %s.", row->name, value, want);
    }
    return err;
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
    const char *name = smq_conf_word(&text);
    text += strspn(text, " \t");
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        if (strcmp(name, smq_conf_rows[i].name) == 0) {
            return read_row(p, i, text);
        }
    }
    return read_foreign(p, name);
}

smqtt_err smq_conf_feed(struct smq_conf_parser *parser, const char *file, smq_span text)
{
    char line[VALUE_MAX];
    parser->file = file;
    parser->line = 0;
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

smqtt_err smq_conf_set_defaults(struct smq_conf *conf, enum smq_conf_scope scope, void *base)
{
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        char want[160];
        if (row->scope == scope && row->type != SMQ_CONF_OWN && row->deflt[0] != 0) {
            SMQ_TRY(smq_conf_value_read(conf->mem, row, base, row->deflt, want, sizeof want));
        }
    }
    return SMQTT_OK;
}

static smqtt_err set_defaults(struct smq_conf *conf)
{
    SMQ_TRY(smq_conf_set_defaults(conf, SMQ_CONF_GLOBAL, conf));
    conf->log_dest = SMQ_LOG_TO_STDERR;
    conf->log_types = LOG_DEFAULT;
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

static void free_listener(const struct smqtt_mem *mem, struct smq_listener_config *l)
{
    smq_mem_free(mem, l->address);
    smq_mem_free(mem, l->mount_point);
    smq_mem_free(mem, l->auto_id_prefix);
    smq_conf_require_free(mem, l->require_detect);
    smq_mem_free(mem, l);
}

void smq_conf_free(struct smq_conf *conf)
{
    if (conf == NULL) {
        return;
    }
    const struct smqtt_mem *mem = conf->mem;
    while (conf->broker.listeners != NULL) {
        struct smq_listener_config *next = conf->broker.listeners->next;
        free_listener(mem, conf->broker.listeners);
        conf->broker.listeners = next;
    }
    char *texts[] = {conf->log_file,  conf->log_timestamp_format, conf->pid_file, conf->user, conf->identity_file,
                     conf->state_dir, conf->identity_policy_file};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(texts); i++) {
        smq_mem_free(mem, texts[i]);
    }
    smq_mem_free(mem, conf);
}

/* Listeners for websockets are not opened. */
static void drop_websockets(struct smq_conf *conf)
{
    struct smq_listener_config **at = &conf->broker.listeners;
    while (*at != NULL) {
        struct smq_listener_config *l = *at;
        if (SMQ_CONTAINER_OF(l, struct smq_conf_listener, config)->websockets) {
            *at = l->next;
            conf->n_listeners--;
            free_listener(conf->mem, l);
        } else {
            at = &l->next;
        }
    }
}

/* No listener at all: the programs of this machine only. */
static smqtt_err add_local_listener(struct smq_conf_parser *p)
{
    struct smq_conf_listener *l = smq_mem_zalloc(p->mem, 1, sizeof *l);
    if (l == NULL) {
        return SMQTT_E_NOMEM;
    }
    l->config.port = 1883;
    l->config.local_only = true;
    l->anonymous = p->anonymous == SMQ_CONF_NO ? SMQ_CONF_NO : SMQ_CONF_YES;
    p->conf->broker.listeners = &l->config;
    p->conf->n_listeners = 1;
    p->conf->implicit_listener = true;
    return smq_conf_set_defaults(p->conf, SMQ_CONF_LISTENER, &l->config);
}

static bool may_be_anonymous(const struct smq_conf_parser *p, const struct smq_conf_listener *l)
{
    bool own = p->conf->per_listener_settings || p->conf->implicit_listener;
    enum smq_conf_choice choice = own && l->anonymous != SMQ_CONF_UNSET ? l->anonymous : p->anonymous;
    return choice == SMQ_CONF_YES;
}

smqtt_err smq_conf_parser_end(struct smq_conf_parser *parser, struct smq_conf **out)
{
    struct smq_conf *conf = parser->conf;
    bool had = conf->n_listeners != 0;
    drop_websockets(conf);
    parser->current = parser->deflt = NULL;
    if (had && conf->n_listeners == 0) {
        return smq_conf_fail(parser, "no listener is left without those for websockets: add one of protocol mqtt.");
    }
    if (!had) {
        SMQ_TRY(add_local_listener(parser));
    }
    for (struct smq_listener_config *l = conf->broker.listeners; l != NULL; l = l->next) {
        l->allow_anonymous = may_be_anonymous(parser, SMQ_CONTAINER_OF(l, struct smq_conf_listener, config));
        struct smq_require_detect *all = NULL;
        SMQ_TRY(smq_conf_require_copy(conf->mem, parser->require_all, &all));
        struct smq_require_detect **at = &l->require_detect;
        while (*at != NULL) {
            at = &(*at)->next;
        }
        *at = all;
    }
    parser->conf = NULL;
    *out = conf;
    return SMQTT_OK;
}
