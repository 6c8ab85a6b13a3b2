/* SPDX-License-Identifier: Apache-2.0 */
/* What the directives mean together: which listeners there are, and what counts for all of them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "conf/row.h"

#define VALUE_MAX 4096

static struct smq_conf_listener *read_of(struct smq_listener_config *l)
{
    return SMQ_CONTAINER_OF(l, struct smq_conf_listener, config);
}

/* ---------------------------------------------------------------- one listener */

smqtt_err smq_conf_set_defaults(const struct smqtt_mem *mem, enum smq_conf_scope scope, void *base)
{
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        char want[160];
        bool is_set = row->type != SMQ_CONF_OWN && row->deflt[0] != 0;
        if (row->scope == scope && is_set) {
            SMQ_TRY(smq_conf_value_read(mem, row, base, row->deflt, want, sizeof want));
        }
    }
    return SMQTT_OK;
}

void smq_conf_listener_free(const struct smqtt_mem *mem, struct smq_listener_config *listener)
{
    smq_conf_value_free(mem, SMQ_CONF_EACH, listener);
    smq_conf_value_free(mem, SMQ_CONF_LISTENER, listener);
    smq_conf_value_free(mem, SMQ_CONF_BELOW, listener);
    smq_conf_value_free(mem, SMQ_CONF_SECURITY, listener);
    smq_mem_free(mem, listener->address);
    smq_mem_free(mem, listener->unix_path);
    smq_conf_require_free(mem, listener->require_detect);
    smq_mem_free(mem, read_of(listener));
}

smqtt_err smq_conf_listener_new(const struct smqtt_mem *mem, struct smq_conf_listener **out)
{
    struct smq_conf_listener *l = smq_mem_zalloc(mem, 1, sizeof *l);
    if (l == NULL) {
        return SMQTT_E_NOMEM;
    }
    smqtt_err err = smq_conf_set_defaults(mem, SMQ_CONF_LISTENER, &l->config);
    if (err == SMQTT_OK) {
        err = smq_conf_set_defaults(mem, SMQ_CONF_BELOW, &l->config);
    }
    if (err != SMQTT_OK) {
        smq_conf_listener_free(mem, &l->config);
        return err;
    }
    *out = l;
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- the default listener */

static void unlink_listener(struct smq_conf *conf, struct smq_listener_config *gone)
{
    struct smq_listener_config **at = &conf->broker.listeners;
    while (*at != gone) {
        at = &(*at)->next;
    }
    *at = gone->next;
    conf->n_listeners--;
    smq_conf_listener_free(conf->mem, gone);
}

/* Does it have a value that a listener does not have anyhow? */
static bool is_changed(const struct smq_listener_config *l)
{
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        char value[VALUE_MAX];
        bool is_mine = row->scope == SMQ_CONF_LISTENER && smq_conf_value_write(row, l, value, sizeof value);
        if (is_mine && strcmp(value, row->deflt) != 0) {
            return true;
        }
    }
    return false;
}

/* What a directive above all listeners made is opened beside those that were named, as in Mosquitto, if it is more than
 * a default said aloud. */
static void settle_default(struct smq_conf_parser *p)
{
    struct smq_conf_listener *l = p->deflt;
    if (l == NULL || l->maker == NULL || !p->named) {
        return;
    }
    if (l->closed == NULL && !is_changed(&l->config)) {
        p->deflt = NULL;
        unlink_listener(p->conf, &l->config);
        return;
    }
    if (l->closed == NULL) {
        p->line = 0; /* the whole file is meant */
        smq_conf_warn(p,
                      "%s stands above all listeners, so that it opens one of its own on port %u, as in Mosquitto: put "
                      "it below the line \"listener PORT\" that it is meant for.",
                      l->maker, (unsigned)l->config.port);
    }
}

/* No listener is named: the programs of this machine only. */
static smqtt_err add_local_listener(struct smq_conf_parser *p)
{
    struct smq_conf *conf = p->conf;
    if (p->deflt == NULL) {
        SMQ_TRY(smq_conf_listener_new(conf->mem, &p->deflt));
        conf->broker.listeners = &p->deflt->config;
        conf->n_listeners = 1;
    }
    p->deflt->config.port = p->n_ports != 0 ? p->ports[0] : 1883;
    p->deflt->config.local_only = true;
    conf->implicit_listener = true;
    struct smq_listener_config **at = &p->deflt->config.next;
    for (size_t i = 1; i < p->n_ports; i++) {
        struct smq_conf_listener *l = NULL;
        SMQ_TRY(smq_conf_listener_new(conf->mem, &l));
        l->config.port = p->ports[i];
        l->config.local_only = true;
        *at = &l->config;
        at = &l->config.next;
        conf->n_listeners++;
    }
    return SMQTT_OK;
}

void smq_conf_set_ports(struct smq_conf_parser *parser, const uint16_t *ports, size_t n)
{
    parser->ports = ports;
    parser->n_ports = n;
}

/* ---------------------------------------------------------------- which are opened */

/* Those that would be less protected than the files say are not. */
static smqtt_err drop_closed(struct smq_conf_parser *p)
{
    const char *name = NULL, *mend = NULL;
    char place[160] = "";
    struct smq_listener_config *next;
    for (struct smq_listener_config *l = p->conf->broker.listeners; l != NULL; l = next) {
        const struct smq_conf_listener *read = read_of(l);
        next = l->next;
        if (read->closed != NULL) {
            name = read->closed;
            mend = read->mend;
            smq_conf_name_place(l, place, sizeof place);
            unlink_listener(p->conf, l);
        }
    }
    if (p->conf->n_listeners != 0) {
        return SMQTT_OK;
    }
    p->line = 0;
    return smq_conf_fail(p, "no listener is left, so the broker does not start: %s is not opened because of %s: %s.",
                         place, name, mend);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool is_same_place(const struct smq_listener_config *a, const struct smq_listener_config *b)
{
    if (a->unix_path != NULL || b->unix_path != NULL) {
        return is_same_text(a->unix_path, b->unix_path);
    }
    return a->port != 0 && a->port == b->port && is_same_text(a->address, b->address) &&
           is_same_text(a->bind_device, b->bind_device) && a->family == b->family;
}

/* Sockets of workers share their ports, so that the system would not object and clients would come in by chance. */
static smqtt_err check_places(struct smq_conf_parser *p)
{
    for (const struct smq_listener_config *a = p->conf->broker.listeners; a != NULL; a = a->next) {
        for (const struct smq_listener_config *b = a->next; b != NULL; b = b->next) {
            char place[160];
            if (is_same_place(a, b)) {
                smq_conf_name_place(a, place, sizeof place);
                p->line = 0;
                return smq_conf_fail(p, "%s is there twice: clients would find one of them by chance.", place);
            }
        }
    }
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- what counts for all */

static smqtt_err copy_rows(const struct smqtt_mem *mem, enum smq_conf_scope scope,
                           const struct smq_listener_config *from, struct smq_listener_config *to)
{
    for (size_t i = 0; i < smq_conf_n_rows; i++) {
        const struct smq_conf_row *row = &smq_conf_rows[i];
        char value[VALUE_MAX], own[VALUE_MAX], want[160];
        bool is_set = row->scope == scope && smq_conf_value_write(row, from, value, sizeof value);
        if (!is_set || (smq_conf_value_is_text(row) && smq_conf_value_write(row, to, own, sizeof own))) {
            continue; /* what it has of its own (listener_auto_id_prefix) counts */
        }
        SMQ_TRY(smq_conf_value_read(mem, row, to, value, want, sizeof want));
    }
    return SMQTT_OK;
}

static smqtt_err add_requirements(struct smq_conf_parser *p, struct smq_listener_config *l)
{
    struct smq_require_detect *all = NULL;
    SMQ_TRY(smq_conf_require_copy(p->conf->mem, p->require_all, &all));
    struct smq_require_detect **at = &l->require_detect;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = all;
    return SMQTT_OK;
}

/* A number that stays the same for the same place: FNV-1a over its parts, each with its end. */
static uint32_t id_of(const struct smq_listener_config *l)
{
    char head[32];
    uint32_t hash = 2166136261u;
    snprintf(head, sizeof head, "%u/%d", (unsigned)l->port, (int)l->family);
    const char *const parts[] = {head, l->address, l->unix_path, l->bind_device};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(parts); i++) {
        for (const char *at = parts[i] != NULL ? parts[i] : ""; *at != 0; at++) {
            hash = (hash ^ (uint8_t)*at) * 16777619u;
        }
        hash = (hash ^ 0xFF) * 16777619u;
    }
    return hash != 0 ? hash : 1;
}

static smqtt_err finish_listener(struct smq_conf_parser *p, struct smq_listener_config *l)
{
    struct smq_conf *conf = p->conf;
    enum smq_conf_choice choice = read_of(l)->anonymous;
    SMQ_TRY(copy_rows(conf->mem, SMQ_CONF_EACH, &conf->all_listeners, l));
    if (!conf->per_listener_settings) {
        SMQ_TRY(copy_rows(conf->mem, SMQ_CONF_SECURITY, &conf->all_listeners, l));
    }
    l->allow_anonymous = choice != SMQ_CONF_UNSET ? choice == SMQ_CONF_YES : conf->all_listeners.allow_anonymous;
    l->id = id_of(l);
    return add_requirements(p, l);
}

smqtt_err smq_conf_finish(struct smq_conf_parser *parser)
{
    struct smq_conf *conf = parser->conf;
    settle_default(parser);
    if (!parser->named) {
        SMQ_TRY(add_local_listener(parser));
    }
    SMQ_TRY(drop_closed(parser));
    SMQ_TRY(check_places(parser));
    bool anonymous = parser->anonymous == SMQ_CONF_UNSET ? conf->implicit_listener : parser->anonymous == SMQ_CONF_YES;
    conf->all_listeners.allow_anonymous = anonymous;
    for (struct smq_listener_config *l = conf->broker.listeners; l != NULL; l = l->next) {
        SMQ_TRY(finish_listener(parser, l));
    }
    return SMQTT_OK;
}
