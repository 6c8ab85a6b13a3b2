/* SPDX-License-Identifier: Apache-2.0 */
/* Directives that do more than set a value. */
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "broker/conf_row.h"
#include "codec/topic.h"

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

static smqtt_err read_port(struct smq_conf_parser *p, const char *word, uint16_t *port)
{
    uint64_t number = 0;
    if (word == NULL || !smq_conf_number(word, UINT16_MAX, &number)) {
        return smq_conf_fail(p, "\"%s\" is not a port: give a number from 0 to 65535.", word != NULL ? word : "");
    }
    *port = (uint16_t)number;
    return SMQTT_OK;
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

static smqtt_err new_listener(struct smq_conf_parser *p, struct smq_conf_listener **out)
{
    struct smq_conf_listener *l = smq_mem_zalloc(p->conf->mem, 1, sizeof *l);
    if (l == NULL) {
        return SMQTT_E_NOMEM;
    }
    struct smq_listener_config **at = &p->conf->broker.listeners;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = &l->config;
    p->conf->n_listeners++;
    *out = l;
    return smq_conf_set_defaults(p->conf, SMQ_CONF_LISTENER, &l->config);
}

static smqtt_err own_listener(struct smq_conf_parser *p, char *value)
{
    uint16_t port = 0;
    SMQ_TRY(read_port(p, smq_conf_word(&value), &port));
    const char *address = smq_conf_word(&value);
    if (smq_conf_word(&value) != NULL) {
        return smq_conf_fail(p, "listener has too much behind it: it wants PORT [ADDRESS].");
    }
    if (address != NULL && address[0] == '/') {
        return smq_conf_fail(p, "listener names the Unix socket %s, which this version cannot open: name a port.",
                             address);
    }
    struct smq_conf_listener *l = NULL;
    SMQ_TRY(new_listener(p, &l));
    l->config.port = port;
    p->current = l;
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        p->seen[i] = smq_conf_rows[i].scope == SMQ_CONF_LISTENER ? 0 : p->seen[i];
    }
    return address != NULL ? set_text(p, &l->config.address, address) : SMQTT_OK;
}

static smqtt_err default_listener(struct smq_conf_parser *p, struct smq_conf_listener **out)
{
    if (p->deflt == NULL) {
        SMQ_TRY(new_listener(p, &p->deflt));
        p->deflt->config.port = 1883;
    }
    *out = p->deflt;
    return SMQTT_OK;
}

static smqtt_err own_port(struct smq_conf_parser *p, char *value)
{
    struct smq_conf_listener *l = NULL;
    SMQ_TRY(default_listener(p, &l));
    return read_port(p, value, &l->config.port);
}

static smqtt_err own_bind_address(struct smq_conf_parser *p, char *value)
{
    struct smq_conf_listener *l = NULL;
    const char *address = smq_conf_word(&value);
    if (address[0] == '/') {
        return smq_conf_fail(p, "bind_address names the path %s: name an address.", address);
    }
    if (smq_conf_word(&value) != NULL) {
        return smq_conf_fail(p, "bind_address has too much behind it: it wants one address.");
    }
    SMQ_TRY(default_listener(p, &l));
    return set_text(p, &l->config.address, address);
}

static smqtt_err own_allow_anonymous(struct smq_conf_parser *p, char *value)
{
    bool yes = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (!yes && strcmp(value, "false") != 0 && strcmp(value, "0") != 0) {
        return smq_conf_fail(p, "allow_anonymous is \"%s\", but it must be true or false.", value);
    }
    enum smq_conf_choice choice = yes ? SMQ_CONF_YES : SMQ_CONF_NO;
    /* Which of the two counts is known at the end: per_listener_settings may come later. */
    if (p->current != NULL) {
        p->current->anonymous = choice;
    }
    if (p->current == NULL || !p->conf->per_listener_settings) {
        p->anonymous = choice;
    }
    return SMQTT_OK;
}

static smqtt_err own_max_connections(struct smq_conf_parser *p, char *value)
{
    uint64_t number = 0;
    if (strcmp(value, "-1") != 0 && (!smq_conf_number(value, 1000000000, &number) || number == 0)) {
        return smq_conf_fail(
            p, "max_connections is \"%s\", but it must be a number from 1 to 1000000000, or -1 for no limit.", value);
    }
    uint32_t *field = p->current != NULL ? &p->current->config.max_connections : &p->conf->broker.max_connections;
    *field = (uint32_t)number;
    return SMQTT_OK;
}

static smqtt_err own_protocol(struct smq_conf_parser *p, char *value)
{
    if (strcmp(value, "mqtt") == 0) {
        return SMQTT_OK;
    }
    if (strcmp(value, "websockets") != 0) {
        return smq_conf_fail(p, "protocol is \"%s\", but it must be mqtt.", value);
    }
    if (p->current == NULL) {
        return smq_conf_fail(p, "protocol websockets stands above all listeners, but this version has no websockets: "
                                "remove it and connect over TCP.");
    }
    p->current->websockets = true;
    smq_conf_warn(p, "this version has no websockets: the listener of port %u is not opened.",
                  (unsigned)p->current->config.port);
    return SMQTT_OK;
}

static smqtt_err own_log_dest(struct smq_conf_parser *p, char *value)
{
    if (!p->log_dest_said) {
        p->conf->log_dest = 0;
        p->log_dest_said = true;
    }
    const char *word = smq_conf_word(&value);
    value += strspn(value, " \t");
    if (word != NULL && strcmp(word, "file") == 0 && *value != 0) {
        p->conf->log_dest |= SMQ_LOG_TO_FILE;
        return set_text(p, &p->conf->log_file, value);
    }
    static const struct {
        const char *word;
        unsigned dest;
    } dests[] = {{"stdout", SMQ_LOG_TO_STDOUT}, {"stderr", SMQ_LOG_TO_STDERR}, {"none", 0}};
    for (size_t i = 0; word != NULL && i < SMQ_ARRAY_LEN(dests); i++) {
        if (strcmp(word, dests[i].word) == 0 && *value == 0) {
            p->conf->log_dest = dests[i].dest == 0 ? 0 : p->conf->log_dest | dests[i].dest;
            return SMQTT_OK;
        }
    }
    static const char *const foreign[] = {"syslog", "topic", "dlt", "android"};
    for (size_t i = 0; word != NULL && i < SMQ_ARRAY_LEN(foreign); i++) {
        if (strcmp(word, foreign[i]) == 0) {
            p->conf->log_dest |= SMQ_LOG_TO_STDERR;
            smq_conf_warn(p, "this version cannot log to %s: the log goes to stderr.", word);
            return SMQTT_OK;
        }
    }
    return smq_conf_fail(p, "log_dest must be stdout, stderr, none, or file with a path behind it.");
}

static smqtt_err own_log_type(struct smq_conf_parser *p, char *value)
{
    static const struct {
        const char *word;
        unsigned types;
    } words[] = {
        {"error", 1u << SMQ_LOG_ERR},
        {"warning", 1u << SMQ_LOG_WARN},
        {"notice", 1u << SMQ_LOG_NOTICE},
        {"information", 1u << SMQ_LOG_INFO},
        {"debug", 1u << SMQ_LOG_DEBUG},
        {"all", 0x1F},
        {"none", 0},
        {"subscribe", 0},
        {"unsubscribe", 0},
        {"websockets", 0},
        {"internal", 0},
    };
    if (!p->log_type_said) {
        p->conf->log_types = 0;
        p->log_type_said = true;
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(words); i++) {
        if (strcmp(value, words[i].word) == 0) {
            p->conf->log_types = strcmp(value, "none") == 0 ? 0 : p->conf->log_types | words[i].types;
            return SMQTT_OK;
        }
    }
    return smq_conf_fail(
        p, "log_type is \"%s\", but it must be error, warning, notice, information, debug, all or none.", value);
}

static smqtt_err own_include_dir(struct smq_conf_parser *p, char *value)
{
    if (p->hooks.include == NULL || p->depth >= INCLUDE_DEPTH) {
        return smq_conf_fail(p, "include_dir cannot stand here: only the first file may include others.");
    }
    const char *file = p->file;
    unsigned line = p->line;
    p->depth++;
    smqtt_err err = p->hooks.include(p->hooks.ctx, p, value);
    p->depth--;
    p->file = file;
    p->line = line;
    return err;
}

/* ---------------------------------------------------------------- smqtt_require_detect */

void smq_conf_require_free(const struct smqtt_mem *mem, struct smq_require_detect *list)
{
    while (list != NULL) {
        struct smq_require_detect *next = list->next;
        smq_mem_free(mem, list->filter);
        smq_mem_free(mem, list->skids);
        smq_mem_free(mem, list);
        list = next;
    }
}

static smqtt_err copy_one(const struct smqtt_mem *mem, const struct smq_require_detect *from,
                          struct smq_require_detect **out)
{
    struct smq_require_detect *r = smq_mem_zalloc(mem, 1, sizeof *r);
    if (r == NULL) {
        return SMQTT_E_NOMEM;
    }
    *out = r; /* what fails below is freed with the list */
    if (from->filter != NULL && (r->filter = smq_mem_dup(mem, smq_span_str(from->filter))) == NULL) {
        return SMQTT_E_NOMEM;
    }
    if (from->n_skids != 0) {
        r->skids = smq_mem_zalloc(mem, from->n_skids, sizeof r->skids[0]);
        if (r->skids == NULL) {
            return SMQTT_E_NOMEM;
        }
        memcpy(r->skids, from->skids, from->n_skids * sizeof r->skids[0]);
        r->n_skids = from->n_skids;
    }
    return SMQTT_OK;
}

smqtt_err smq_conf_require_copy(const struct smqtt_mem *mem, const struct smq_require_detect *list,
                                struct smq_require_detect **out)
{
    struct smq_require_detect *first = NULL;
    struct smq_require_detect **at = &first;
    for (; list != NULL; list = list->next) {
        smqtt_err err = copy_one(mem, list, at);
        if (err != SMQTT_OK) {
            smq_conf_require_free(mem, first);
            return err;
        }
        at = &(*at)->next;
    }
    *out = first;
    return SMQTT_OK;
}

static bool read_skid(const char *word, uint8_t skid[SMQTT_SKID_LEN])
{
    size_t len = 0;
    return strlen(word) == SMQ_HEX_LEN(SMQTT_SKID_LEN) &&
           smq_hex_decode(skid, SMQTT_SKID_LEN, smq_span_str(word), &len) == SMQTT_OK;
}

static smqtt_err add_skid(struct smq_conf_parser *p, struct smq_require_detect *r, const uint8_t skid[SMQTT_SKID_LEN])
{
    void *larger = smq_mem_resize(p->conf->mem, r->skids, (r->n_skids + 1) * sizeof r->skids[0]);
    if (larger == NULL) {
        return SMQTT_E_NOMEM;
    }
    r->skids = larger;
    memcpy(r->skids[r->n_skids++], skid, SMQTT_SKID_LEN);
    return SMQTT_OK;
}

/* The filter, if the first word is none of hex, and skids. A filter that looks like a skid is written behind "filter".
 */
static smqtt_err fill_require(struct smq_conf_parser *p, struct smq_require_detect *r, char *value)
{
    uint8_t skid[SMQTT_SKID_LEN];
    const char *word = smq_conf_word(&value);
    if (word != NULL && !read_skid(word, skid)) {
        if (!smq_utf8_ok(smq_span_str(word), SMQ_TEXT_STRICT) || !smq_topic_filter_ok(smq_span_str(word), 0)) {
            return smq_conf_fail(p,
                                 "smqtt_require_detect names \"%s\", which is neither a topic filter nor a skid of 16 "
                                 "hex digits.",
                                 word);
        }
        SMQ_TRY(set_text(p, &r->filter, word));
        word = smq_conf_word(&value);
    }
    for (; word != NULL; word = smq_conf_word(&value)) {
        if (!read_skid(word, skid)) {
            return smq_conf_fail(p, "smqtt_require_detect names \"%s\", which is not a skid of 16 hex digits.", word);
        }
        SMQ_TRY(add_skid(p, r, skid));
    }
    return SMQTT_OK;
}

static smqtt_err own_require_detect(struct smq_conf_parser *p, char *value)
{
    struct smq_require_detect **at = p->current != NULL ? &p->current->config.require_detect : &p->require_all;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = smq_mem_zalloc(p->conf->mem, 1, sizeof **at);
    return *at != NULL ? fill_require(p, *at, value) : SMQTT_E_NOMEM;
}

smqtt_err smq_conf_own_read(struct smq_conf_parser *parser, const char *name, char *value)
{
    static const struct {
        const char *name;
        smqtt_err (*read)(struct smq_conf_parser *p, char *value);
        bool may_be_empty;
    } own[] = {
        {"listener", own_listener, false},
        {"port", own_port, false},
        {"bind_address", own_bind_address, false},
        {"allow_anonymous", own_allow_anonymous, false},
        {"max_connections", own_max_connections, false},
        {"protocol", own_protocol, false},
        {"log_dest", own_log_dest, false},
        {"log_type", own_log_type, false},
        {"include_dir", own_include_dir, false},
        {"smqtt_require_detect", own_require_detect, true},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(own); i++) {
        if (strcmp(name, own[i].name) == 0) {
            if (*value == 0 && !own[i].may_be_empty) {
                return smq_conf_fail(parser, "%s has no value.", name);
            }
            return own[i].read(parser, value);
        }
    }
    return SMQTT_E_BUG;
}
