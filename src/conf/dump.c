/* SPDX-License-Identifier: Apache-2.0 */
/* Back from values to text. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "conf/row.h"

#define LINE_SIZE 4352

struct dump {
    void (*line)(void *ctx, const char *text);
    void *ctx;
    char text[LINE_SIZE];
};

static void put(struct dump *d, const char *fmt, ...) SMQ_PRINTF(2, 3);
static void put(struct dump *d, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(d->text, sizeof d->text, fmt, args);
    va_end(args);
    d->line(d->ctx, d->text);
}

static void dump_rows(struct dump *d, enum smq_conf_scope scope, const void *base)
{
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        char value[4096];
        if (row->scope == scope && smq_conf_value_write(row, base, value, sizeof value)) {
            put(d, "%s %s", row->name, value);
        }
    }
}

/* Above all listeners: only what is not the default, as naming a default would make a listener. */
static void dump_changed(struct dump *d, const struct smq_listener_config *l)
{
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        char value[4096];
        bool is_mine = row->scope == SMQ_CONF_LISTENER && smq_conf_value_write(row, l, value, sizeof value);
        if (is_mine && strcmp(value, row->deflt) != 0) {
            put(d, "%s %s", row->name, value);
        }
    }
}

static void dump_log(struct dump *d, const struct smq_conf *conf)
{
    static const struct {
        unsigned dest;
        const char *word;
    } dests[] = {{SMQ_LOG_TO_STDOUT, "stdout"},
                 {SMQ_LOG_TO_STDERR, "stderr"},
                 {SMQ_LOG_TO_SYSLOG, "syslog"},
                 {SMQ_LOG_TO_TOPIC, "topic"}};
    if (conf->log_dest == 0) {
        put(d, "log_dest none");
    }
    for (size_t i = 0; i < SMQ_ARRAY_LEN(dests); i++) {
        if ((conf->log_dest & dests[i].dest) != 0) {
            put(d, "log_dest %s", dests[i].word);
        }
    }
    if ((conf->log_dest & SMQ_LOG_TO_FILE) != 0) {
        put(d, "log_dest file %s", conf->log_file);
    }
    if (conf->log_types == 0) {
        put(d, "log_type none");
    }
    for (size_t i = 0; smq_conf_log_types[i].word != NULL; i++) {
        if ((conf->log_types & smq_conf_log_types[i].type) != 0) {
            put(d, "log_type %s", smq_conf_log_types[i].word);
        }
    }
}

static void dump_durability(struct dump *d, const struct smq_conf *conf)
{
    if (conf->durability == SMQ_DURABILITY_INTERVAL) {
        put(d, "smqtt_durability interval %lu", (unsigned long)conf->durability_ms);
    } else {
        put(d, "smqtt_durability %s", conf->durability == SMQ_DURABILITY_OFF ? "off" : "fsync");
    }
}

static void dump_require(struct dump *d, const struct smq_require_detect *r)
{
    char line[LINE_SIZE];
    int made = snprintf(line, sizeof line, "smqtt_require_detect%s%s", r->filter != NULL ? " " : "",
                        r->filter != NULL ? r->filter : "");
    size_t len = (size_t)made;
    for (size_t i = 0; i < r->n_skids && len + 18 < sizeof line; i++) {
        line[len++] = ' ';
        smq_hex_encode(line + len, smq_span_of(r->skids[i], SMQTT_SKID_LEN));
        len += SMQ_HEX_LEN(SMQTT_SKID_LEN);
    }
    put(d, "%s", line);
}

static const char *said(bool yes)
{
    return yes ? "true" : "false";
}

static void dump_place(struct dump *d, const struct smq_listener_config *l)
{
    const char *address = l->unix_path != NULL ? l->unix_path : l->address;
    put(d, "listener %u%s%s", (unsigned)l->port, address != NULL ? " " : "", address != NULL ? address : "");
}

static void dump_listener(struct dump *d, const struct smq_conf *conf, const struct smq_listener_config *l)
{
    if (conf->implicit_listener) {
        put(d, "# no listener: 127.0.0.1 and ::1, port %u", (unsigned)l->port);
        dump_changed(d, l);
    } else {
        dump_place(d, l);
        put(d, "listener_allow_anonymous %s", said(l->allow_anonymous));
        dump_rows(d, SMQ_CONF_LISTENER, l);
        dump_rows(d, SMQ_CONF_BELOW, l);
    }
    if (conf->per_listener_settings && !conf->implicit_listener) {
        dump_rows(d, SMQ_CONF_SECURITY, l);
    }
    for (const struct smq_require_detect *r = l->require_detect; r != NULL; r = r->next) {
        dump_require(d, r);
    }
}

void smq_conf_dump(const struct smq_conf *conf, void (*line)(void *ctx, const char *text), void *ctx)
{
    struct dump d = {line, ctx, ""};
    put(&d, "per_listener_settings %s", said(conf->per_listener_settings));
    if (!conf->per_listener_settings) {
        put(&d, "allow_anonymous %s", said(conf->all_listeners.allow_anonymous));
        dump_rows(&d, SMQ_CONF_SECURITY, &conf->all_listeners);
    }
    dump_rows(&d, SMQ_CONF_EACH, &conf->all_listeners);
    dump_rows(&d, SMQ_CONF_GLOBAL, conf);
    dump_durability(&d, conf);
    dump_log(&d, conf);
    for (const struct smq_listener_config *l = conf->broker.listeners; l != NULL; l = l->next) {
        dump_listener(&d, conf, l);
    }
}
