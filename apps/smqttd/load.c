/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "keyring/idfile.h"
#include "keyring/revoked.h"
#include "net/file.h"

#define CONF_MAX (1024 * 1024)

struct loader {
    const struct smq_log *log;
    struct smq_why why;
};

static smqtt_err feed_file(struct loader *loader, struct smq_conf_parser *parser, const char *path)
{
    struct smq_file_text file = {NULL, 0};
    SMQ_TRY(smq_file_read(path, CONF_MAX, false, &file, &loader->why));
    smqtt_err err = smq_conf_feed(parser, path, smq_span_of(file.text, file.len));
    smq_file_free(&file);
    return err;
}

static int is_conf(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

/* Mosquitto's order: without regard to case, and by it where nothing else is different. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    const char *x = (*a)->d_name;
    const char *y = (*b)->d_name;
    for (; *x != 0 && *y != 0; x++, y++) {
        int difference = toupper((unsigned char)*x) - toupper((unsigned char)*y);
        difference = difference != 0 ? difference : *x - *y;
        if (difference != 0) {
            return difference;
        }
    }
    return *x - *y;
}

static smqtt_err feed_entry(struct loader *loader, struct smq_conf_parser *parser, const char *dir, const char *name)
{
    char path[4096];
    int made = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (made < 0 || (size_t)made >= sizeof path) {
        return smq_conf_fail(parser, "the name of a file in %s is too long.", dir);
    }
    smqtt_err err = feed_file(loader, parser, path);
    if (err != SMQTT_OK && smq_conf_parser_fault(parser)[0] == 0) {
        return smq_conf_fail(parser, "%s", loader->why.text);
    }
    return err;
}

static smqtt_err include(void *ctx, struct smq_conf_parser *parser, const char *dir)
{
    struct loader *loader = ctx;
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_conf, by_name);
    if (n < 0) {
        return smq_conf_fail(parser, "include_dir cannot read %s: %s.", dir, strerror(errno));
    }
    smqtt_err err = SMQTT_OK;
    for (int i = 0; i < n; i++) {
        if (err == SMQTT_OK) {
            err = feed_entry(loader, parser, dir, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    return err;
}

static void warn(void *ctx, const char *sentence)
{
    struct loader *loader = ctx;
    smq_log(loader->log, SMQ_LOG_WARN, "%s", sentence);
}

static smqtt_err load_conf(const struct options *o, const struct smq_log *log, struct smq_conf **out,
                           struct smq_why *why)
{
    const char *path = o->conf_file;
    struct loader loader = {.log = log};
    struct smq_conf_hooks hooks = {include, warn, &loader, o->strict};
    struct smq_conf_parser *parser = NULL;
    smqtt_err err = smq_conf_parser_new(NULL, &hooks, &parser);
    if (err != SMQTT_OK) {
        return smq_why_set(why, err, "There is no memory.");
    }
    smq_conf_set_ports(parser, o->ports, o->n_ports);
    if (path != NULL) {
        err = feed_file(&loader, parser, path);
    }
    if (err == SMQTT_OK) {
        err = smq_conf_parser_end(parser, out);
    }
    if (err != SMQTT_OK) {
        const char *fault = smq_conf_parser_fault(parser);
        const char *text = fault[0] != 0 ? fault : loader.why.text[0] != 0 ? loader.why.text : smqtt_strerror(err);
        smq_why_set(why, err, "%s", text);
    }
    smq_conf_parser_free(parser);
    return err;
}

/* For smq_idfile_read: ctx is the configuration. */
static smqtt_err find_passphrase(void *ctx, const char *path, struct smq_passphrase *out, struct smq_why *why)
{
    const struct smq_conf *conf = ctx;
    if (conf->identity_passphrase_file == NULL) {
        return smq_why_set(
            why, SMQTT_E_LOCKED,
            "%s is locked with a passphrase, and nobody is there to be asked: name the file that holds it "
            "with smqtt_identity_passphrase_file, or run smqtt id unlock.",
            path);
    }
    return smq_passphrase_read(conf->identity_passphrase_file, out, why);
}

static smqtt_err load_identity(struct smq_conf *conf, const struct smqtt_revocations *revoked,
                               struct smqtt_identity **out, struct smq_why *why)
{
    struct smq_idfile_ask ask = {find_passphrase, conf, 1};
    struct smq_idfile file;
    struct smq_why reason;
    SMQ_TRY(smq_idfile_read(conf->identity_file, true, &ask, &file, why));
    smqtt_err err = smq_revoked_check(revoked, file.identity, &reason);
    if (err != SMQTT_OK) {
        smq_why_set(why, err, "smqtt_identity %s cannot be used: %s", conf->identity_file, reason.text);
    } else {
        *out = smqtt_identity_ref(file.identity);
    }
    smq_idfile_free(&file);
    return err;
}

static smqtt_err load_policy(const char *path, struct smqtt_policy **out, struct smq_why *why)
{
    struct smq_file_text file = {NULL, 0};
    unsigned line = 0;
    SMQ_TRY(smq_file_read(path, CONF_MAX, false, &file, why));
    smqtt_err err = smqtt_policy_read(NULL, smq_span_of(file.text, file.len), out, &line);
    smq_file_free(&file);
    if (err == SMQTT_E_USAGE) {
        return smq_why_set(why, err, "%s:%u: a line is FILTER require, or FILTER allow-plain [logical].", path, line);
    }
    return err == SMQTT_OK ? err : smq_why_set(why, err, "Cannot read %s: %s.", path, smqtt_strerror(err));
}

/* The command line counts before the file. */
static smqtt_err set_data_dir(struct smq_conf *conf, const char *dir, struct smq_why *why)
{
    if (dir == NULL) {
        return SMQTT_OK;
    }
    char *copy = smq_mem_dup(conf->mem, smq_span_str(dir));
    if (copy == NULL) {
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    smq_mem_free(conf->mem, conf->persistence_location);
    conf->persistence_location = copy;
    conf->persistence = true;
    return SMQTT_OK;
}

smqtt_err load_setup(const struct options *o, const struct smq_log *log, struct load_setup **out, struct smq_why *why)
{
    struct load_setup *setup = calloc(1, sizeof *setup);
    if (setup == NULL) {
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    smqtt_err err = load_conf(o, log, &setup->conf, why);
    if (err == SMQTT_OK) {
        err = set_data_dir(setup->conf, o->data_dir, why);
    }
    if (err == SMQTT_OK && !o->dump) {
        err = access_load(&setup->conf->broker, &setup->access, why);
    }
    if (err == SMQTT_OK && !o->dump) {
        err = revoked_load(&setup->revoked, setup->conf, log, why);
    }
    if (err != SMQTT_OK) {
        load_setup_free(setup);
        return err;
    }
    *out = setup;
    return SMQTT_OK;
}

void load_setup_free(void *setup)
{
    struct load_setup *s = setup;
    if (s != NULL) {
        revoked_free(&s->revoked);
        access_free(s->access);
        smq_conf_free(s->conf);
        free(s);
    }
}

/* What belongs to an identity that is not there. */
static smqtt_err check_without_identity(const struct smq_conf *conf, struct smq_why *why)
{
    const char *name = conf->identity_policy_file != NULL       ? "smqtt_identity_policy"
                       : conf->identity_passphrase_file != NULL ? "smqtt_identity_passphrase_file"
                       : conf->revoked_file != NULL             ? "smqtt_revoked"
                                                                : NULL;
    if (name == NULL) {
        return SMQTT_OK;
    }
    return smq_why_set(why, SMQTT_E_USAGE, "%s has no meaning without smqtt_identity: name the identity, too.", name);
}

smqtt_err load_parts(struct load_setup *setup, bool state, struct load_parts *parts, struct smq_why *why)
{
    struct smq_conf *conf = setup->conf;
    *parts = (struct load_parts){NULL, NULL, NULL};
    if (conf->identity_file == NULL) {
        return check_without_identity(conf, why);
    }
    smqtt_err err = load_identity(conf, setup->revoked.list, &parts->identity, why);
    if (err == SMQTT_OK && conf->identity_policy_file != NULL) {
        err = load_policy(conf->identity_policy_file, &parts->policy, why);
    }
    if (err == SMQTT_OK && state && conf->state_dir != NULL) {
        err = smq_statefile_open(conf->state_dir, "broker.state", NULL, &parts->state, why);
    }
    if (err != SMQTT_OK) {
        load_parts_close(parts);
        return err;
    }
    conf->broker.identity = parts->identity;
    conf->broker.identity_policy = parts->policy;
    conf->broker.identity_store = parts->state != NULL ? smq_statefile_store(parts->state) : NULL;
    return SMQTT_OK;
}

void load_parts_close(struct load_parts *parts)
{
    smq_statefile_close(parts->state);
    smqtt_policy_free(parts->policy);
    smqtt_identity_free(parts->identity);
    *parts = (struct load_parts){NULL, NULL, NULL};
}
