/* SPDX-License-Identifier: Apache-2.0 */
/* Directives that do more than set a value, and whose listener a directive is. */
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "conf/row.h"

#define INCLUDE_DEPTH 1 /* files of an include_dir include no more */

char *smq_conf_word(char **text)
{
    char *word = *text + strspn(*text, " \t");
    if (*word == 0) {
        return NULL;
    }
    size_t len = strcspn(word, " \t");
    *text = word + len;
    if (**text != 0) {
        **text = 0;
        (*text)++;
    }
    return word;
}

void smq_conf_cut_comment(char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '#' && (i == 0 || strchr(" \t", text[i - 1]) != NULL)) {
            len = i;
        }
    }
    while (len != 0 && strchr(" \t", text[len - 1]) != NULL) {
        len--;
    }
    text[len] = 0;
}

static smqtt_err set_text(struct smq_conf_parser *p, char **field, const char *value)
{
    if (!smq_utf8_ok(smq_span_str(value), SMQ_TEXT_STRICT)) {
        return smq_conf_fail(p, "\"%s\" has a control character.", value);
    }
    char *copy = smq_mem_dup(p->conf->mem, smq_span_str(value));
    if (copy == NULL) {
        return SMQTT_E_NOMEM;
    }
    smq_mem_free(p->conf->mem, *field);
    *field = copy;
    return SMQTT_OK;
}

static bool read_bool(const char *value, enum smq_conf_choice *choice)
{
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    *choice = yes ? SMQ_CONF_YES : SMQ_CONF_NO;
    return yes || strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
}

static smqtt_err fail_bool(struct smq_conf_parser *p, const char *name, const char *value)
{
    return smq_conf_fail(p, "%s is \"%s\", but it must be true or false.", name, value);
}

/* ---------------------------------------------------------------- whose a directive is */

static smqtt_err new_listener(struct smq_conf_parser *p, struct smq_conf_listener **out)
{
    SMQ_TRY(smq_conf_listener_new(p->conf->mem, out));
    struct smq_listener_config **at = &p->conf->broker.listeners;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = &(*out)->config;
    p->conf->n_listeners++;
    return SMQTT_OK;
}

static smqtt_err default_listener(struct smq_conf_parser *p, const char *maker)
{
    if (p->deflt == NULL) {
        SMQ_TRY(new_listener(p, &p->deflt));
        p->deflt->config.port = 1883;
        p->deflt->maker = maker;
    }
    return SMQTT_OK;
}

smqtt_err smq_conf_own_base(struct smq_conf_parser *parser, const char *name, enum smq_conf_scope scope,
                            struct smq_listener_config **out)
{
    bool of_all = scope == SMQ_CONF_SECURITY && !parser->conf->per_listener_settings;
    parser->security_said = parser->security_said || scope == SMQ_CONF_SECURITY;
    if (of_all) {
        *out = &parser->conf->all_listeners;
        return SMQTT_OK;
    }
    if (parser->whose) {
        return smq_conf_fail(parser,
                             "%s stands below both listener and port, and versions of Mosquitto differ in which of the "
                             "two it belongs to: write \"listener PORT\" for both.",
                             name);
    }
    if (parser->current == NULL && scope == SMQ_CONF_LISTENER) {
        SMQ_TRY(default_listener(parser, name));
        *out = &parser->deflt->config;
        return SMQTT_OK;
    }
    if (parser->current == NULL) {
        return smq_conf_fail(parser, "%s belongs to a listener: put it below a line \"listener PORT\".", name);
    }
    *out = &parser->current->config;
    return SMQTT_OK;
}

struct smq_conf_listener *smq_conf_own_listener(struct smq_conf_parser *parser, struct smq_listener_config *base)
{
    return base == &parser->conf->all_listeners ? NULL : SMQ_CONTAINER_OF(base, struct smq_conf_listener, config);
}

/* A new place in the file: what is said of a listener from here on is said for the first time. */
static void enter(struct smq_conf_parser *p, struct smq_conf_listener *listener)
{
    p->current = listener;
    p->named = true;
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        enum smq_conf_scope scope = smq_conf_rows[i].scope;
        bool again = scope == SMQ_CONF_LISTENER || scope == SMQ_CONF_BELOW ||
                     (scope == SMQ_CONF_SECURITY && p->conf->per_listener_settings);
        p->seen[i] = again ? 0 : p->seen[i];
    }
}

/* ---------------------------------------------------------------- listeners */

static smqtt_err read_port(struct smq_conf_parser *p, const char *word, uint16_t *port)
{
    uint64_t number = 0;
    if (word == NULL || !smq_conf_number(word, UINT16_MAX, &number)) {
        return smq_conf_fail(p, "\"%s\" is not a port: give a number from 0 to 65535.", word != NULL ? word : "");
    }
    *port = (uint16_t)number;
    return SMQTT_OK;
}

static smqtt_err own_listener(struct smq_conf_parser *p, char *value)
{
    uint16_t port = 0;
    SMQ_TRY(read_port(p, smq_conf_word(&value), &port));
    const char *address = smq_conf_word(&value);
    if (smq_conf_word(&value) != NULL) {
        return smq_conf_fail(p, "listener has too much behind it: it wants PORT [ADDRESS], or 0 PATH.");
    }
    bool is_path = address != NULL && strchr(address, '/') != NULL;
    if (is_path && port != 0) {
        return smq_conf_fail(p, "listener names the path %s with a port: a Unix socket is \"listener 0 %s\".", address,
                             address);
    }
    struct smq_conf_listener *l = NULL;
    SMQ_TRY(new_listener(p, &l));
    l->config.port = port;
    p->whose = false;
    enter(p, l);
    return address != NULL ? set_text(p, is_path ? &l->config.unix_path : &l->config.address, address) : SMQTT_OK;
}

/* port or bind_address: from here on the default listener is meant. */
static smqtt_err enter_default(struct smq_conf_parser *p)
{
    SMQ_TRY(default_listener(p, NULL));
    p->deflt->maker = NULL;
    p->whose = p->whose || (p->current != NULL && p->current != p->deflt);
    if (p->current != p->deflt) {
        enter(p, p->deflt);
    }
    return SMQTT_OK;
}

static smqtt_err own_port(struct smq_conf_parser *p, char *value)
{
    SMQ_TRY(enter_default(p));
    return read_port(p, value, &p->deflt->config.port);
}

static smqtt_err own_bind_address(struct smq_conf_parser *p, char *value)
{
    const char *address = smq_conf_word(&value);
    if (strchr(address, '/') != NULL) {
        return smq_conf_fail(p, "bind_address names the path %s: name an address.", address);
    }
    if (smq_conf_word(&value) != NULL) {
        return smq_conf_fail(p, "bind_address has too much behind it: it wants one address.");
    }
    SMQ_TRY(enter_default(p));
    return set_text(p, &p->deflt->config.address, address);
}

static smqtt_err own_protocol(struct smq_conf_parser *p, char *value)
{
    static const char mend[] = "this version speaks MQTT over TCP and Unix sockets only";
    struct smq_listener_config *base = NULL;
    if (strcmp(value, "mqtt") == 0) {
        return SMQTT_OK;
    }
    bool websockets = strcmp(value, "websockets") == 0;
    if (!websockets && strcmp(value, "http_api") != 0) {
        return smq_conf_fail(p, "protocol is \"%s\", but it must be mqtt.", value);
    }
    SMQ_TRY(smq_conf_own_base(p, "protocol", SMQ_CONF_LISTENER, &base));
    return smq_conf_name_close(p, smq_conf_own_listener(p, base),
                               websockets ? "protocol websockets" : "protocol http_api", mend);
}

/* ---------------------------------------------------------------- who may be anonymous */

static smqtt_err own_per_listener(struct smq_conf_parser *p, char *value)
{
    enum smq_conf_choice choice;
    if (!read_bool(value, &choice)) {
        return fail_bool(p, "per_listener_settings", value);
    }
    bool yes = choice == SMQ_CONF_YES;
    if (yes && !p->conf->per_listener_settings && p->security_said) {
        return smq_conf_fail(p, "per_listener_settings stands below what it is about: put it on top of the file.");
    }
    if (!yes && p->conf->per_listener_settings) {
        smq_conf_warn(p, "per_listener_settings stays true: it cannot be taken back.");
        return SMQTT_OK;
    }
    p->conf->per_listener_settings = yes;
    return SMQTT_OK;
}

static smqtt_err own_allow_anonymous(struct smq_conf_parser *p, char *value)
{
    struct smq_listener_config *base = NULL;
    enum smq_conf_choice choice;
    if (!read_bool(value, &choice)) {
        return fail_bool(p, "allow_anonymous", value);
    }
    SMQ_TRY(smq_conf_own_base(p, "allow_anonymous", SMQ_CONF_SECURITY, &base));
    struct smq_conf_listener *listener = smq_conf_own_listener(p, base);
    *(listener != NULL ? &listener->anonymous : &p->anonymous) = choice;
    return SMQTT_OK;
}

static smqtt_err own_listener_allow_anonymous(struct smq_conf_parser *p, char *value)
{
    struct smq_listener_config *base = NULL;
    enum smq_conf_choice choice;
    if (!read_bool(value, &choice)) {
        return fail_bool(p, "listener_allow_anonymous", value);
    }
    SMQ_TRY(smq_conf_own_base(p, "listener_allow_anonymous", SMQ_CONF_BELOW, &base));
    smq_conf_own_listener(p, base)->anonymous = choice;
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- the log */

const struct smq_conf_log_type smq_conf_log_types[] = {{"error", 1u << SMQ_LOG_ERR},
                                                       {"warning", 1u << SMQ_LOG_WARN},
                                                       {"notice", 1u << SMQ_LOG_NOTICE},
                                                       {"information", 1u << SMQ_LOG_INFO},
                                                       {"debug", 1u << SMQ_LOG_DEBUG},
                                                       {"subscribe", 1u << SMQ_LOG_SUBSCRIBE},
                                                       {"unsubscribe", 1u << SMQ_LOG_UNSUBSCRIBE},
                                                       {"websockets", SMQ_LOG_TYPE_WEBSOCKETS},
                                                       {"internal", SMQ_LOG_TYPE_INTERNAL},
                                                       {NULL, 0}};

static smqtt_err own_log_dest(struct smq_conf_parser *p, char *value)
{
    static const struct {
        const char *word;
        unsigned dest;
    } dests[] = {{"stdout", SMQ_LOG_TO_STDOUT},
                 {"stderr", SMQ_LOG_TO_STDERR},
                 {"syslog", SMQ_LOG_TO_SYSLOG},
                 {"topic", SMQ_LOG_TO_TOPIC},
                 {"none", 0}};
    unsigned *dest = &p->conf->log_dest;
    const char *word = smq_conf_word(&value);
    value += strspn(value, " \t");
    if (strcmp(word, "dlt") == 0 || strcmp(word, "android") == 0) {
        return smq_conf_leave_out(p, "log_dest %s is left out: this version cannot log to it.", word);
    }
    if (!p->log_dest_said) {
        *dest = 0;
        p->log_dest_said = true;
    }
    if (strcmp(word, "file") == 0 && *value != 0) {
        *dest |= SMQ_LOG_TO_FILE;
        return set_text(p, &p->conf->log_file, value);
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(dests); i++) {
        if (strcmp(word, dests[i].word) == 0 && (*value == 0 || *value == '#')) {
            *dest = dests[i].dest == 0 ? 0 : *dest | dests[i].dest;
            return SMQTT_OK;
        }
    }
    return smq_conf_fail(p, "log_dest must be stdout, stderr, syslog, topic, none, or file with a path behind it.");
}

static smqtt_err own_log_type(struct smq_conf_parser *p, char *value)
{
    if (!p->log_type_said) {
        p->conf->log_types = 0;
        p->log_type_said = true;
    }
    if (strcmp(value, "none") == 0) {
        p->conf->log_types = 0;
        return SMQTT_OK;
    }
    if (strcmp(value, "all") == 0) {
        p->conf->log_types = SMQ_LOG_TYPE_ALL;
        return SMQTT_OK;
    }
    for (size_t i = 0; smq_conf_log_types[i].word != NULL; i++) {
        if (strcmp(value, smq_conf_log_types[i].word) == 0) {
            p->conf->log_types |= smq_conf_log_types[i].type;
            return SMQTT_OK;
        }
    }
    return smq_conf_fail(p,
                         "log_type is \"%s\", but it must be error, warning, notice, information, subscribe, "
                         "unsubscribe, debug, websockets, internal, all or none.",
                         value);
}

/* ---------------------------------------------------------------- the store */

static smqtt_err own_durability(struct smq_conf_parser *p, char *value)
{
    enum { MS_MAX = 3600 * 1000 };
    uint64_t ms = 0;
    const char *word = smq_conf_word(&value);
    const char *number = smq_conf_word(&value);
    bool interval = strcmp(word, "interval") == 0;
    bool right = interval ? number != NULL && smq_conf_number(number, MS_MAX, &ms) && ms != 0 : number == NULL;
    if (!right || smq_conf_word(&value) != NULL ||
        (!interval && strcmp(word, "fsync") != 0 && strcmp(word, "off") != 0)) {
        return smq_conf_fail(p, "smqtt_durability must be fsync, off, or interval with 1 to %d milliseconds behind it.",
                             MS_MAX);
    }
    p->conf->durability = interval                   ? SMQ_DURABILITY_INTERVAL
                          : strcmp(word, "off") == 0 ? SMQ_DURABILITY_OFF
                                                     : SMQ_DURABILITY_FSYNC;
    p->conf->durability_ms = (uint32_t)ms;
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- all of them */

static smqtt_err own_include_dir(struct smq_conf_parser *p, char *value)
{
    if (p->hooks.include == NULL || p->depth >= INCLUDE_DEPTH) {
        return smq_conf_fail(p, "include_dir cannot stand here: only the first file may include others.");
    }
    const char *file = p->file;
    unsigned line = p->line;
    struct smq_conf_listener *current = p->current;
    bool whose = p->whose;
    p->depth++;
    p->whose = false;
    smqtt_err err = p->hooks.include(p->hooks.ctx, p, value);
    p->depth--;
    p->whose = whose;
    p->current = current;
    p->file = file;
    p->line = line;
    return err;
}

smqtt_err smq_conf_own_read(struct smq_conf_parser *parser, const char *name, char *value)
{
    static const struct {
        const char *name;
        smqtt_err (*read)(struct smq_conf_parser *p, char *value);
        bool whole; /* the rest of the line, which may be empty or have a '#' */
    } own[] = {
        {"listener", own_listener, false},
        {"port", own_port, false},
        {"bind_address", own_bind_address, false},
        {"per_listener_settings", own_per_listener, false},
        {"allow_anonymous", own_allow_anonymous, false},
        {"listener_allow_anonymous", own_listener_allow_anonymous, false},
        {"protocol", own_protocol, false},
        {"log_dest", own_log_dest, true},
        {"log_type", own_log_type, false},
        {"include_dir", own_include_dir, true},
        {"smqtt_durability", own_durability, false},
        {"smqtt_require_detect", smq_conf_require_read, true},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(own); i++) {
        if (strcmp(name, own[i].name) != 0) {
            continue;
        }
        if (!own[i].whole) {
            smq_conf_cut_comment(value);
        }
        if (*value == 0 && own[i].read != smq_conf_require_read) {
            return smq_conf_fail(parser, "%s has no value.", name);
        }
        return own[i].read(parser, value);
    }
    return SMQTT_E_BUG;
}
