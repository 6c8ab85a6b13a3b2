/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "base/mem.h"
#include "base/span.h"
#include "charset.h"
#include "clients.h"
#include "run.h"
#include "say.h"
#include "state.h"

/* ---------------------------------------------------------------- files */

static char *read_all(int fd, const char *path, size_t max, size_t *len)
{
    size_t cap = 4096;
    char *text = malloc(cap + 1);
    size_t n = 0;
    while (text != NULL) {
        ssize_t got = read(fd, text + n, cap - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            if (got < 0) {
                say("'%s' cannot be read (%s).", path, strerror(errno));
                break;
            }
            text[n] = 0;
            *len = n;
            return text;
        }
        n += (size_t)got;
        if (n == cap) {
            if (cap >= max) {
                say("'%s' is longer than the %zu bytes that are read.", path, max);
                break;
            }
            size_t more_cap = cap * 2 < max ? cap * 2 : max;
            char *more = malloc(more_cap + 1);
            if (more != NULL) {
                memcpy(more, text, n);
            }
            endpoint_free_text(text, n);
            text = more;
            cap = more_cap;
        }
    }
    endpoint_free_text(text, n);
    return NULL;
}

char *endpoint_read_file(const char *path, size_t max, bool secret, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        say("'%s' cannot be opened (%s).", path, strerror(errno));
        return NULL;
    }
    struct stat st;
    char *text = NULL;
    if (secret && fstat(fd, &st) == 0 && (st.st_mode & 077) != 0) {
        say("'%s' holds private keys and others may read it: chmod 600 '%s', and make a new identity if somebody did.",
            path, path);
    } else {
        text = read_all(fd, path, max, len);
    }
    close(fd);
    return text;
}

void endpoint_free_text(char *text, size_t len)
{
    if (text != NULL) {
        smq_wipe(text, len);
    }
    free(text);
}

/* ---------------------------------------------------------------- identities */

static struct smqtt_identity *parse_identity(const char *name, struct smqtt_span text)
{
    struct smqtt_identity *id = NULL;
    smqtt_err err = smqtt_identity_read(NULL, text, &id);
    if (err != SMQTT_OK) {
        say("'%s' is not an identity: %s.", name, smqtt_strerror(err));
        return NULL;
    }
    return id;
}

struct smqtt_identity *endpoint_identity(const char *file_or_line, bool need_private)
{
    if (strncmp(file_or_line, "smqtt-", 6) == 0 && strchr(file_or_line, ' ') != NULL && !need_private) {
        return parse_identity("the public line", smq_span_str(file_or_line));
    }
    size_t len = 0;
    char *text = endpoint_read_file(file_or_line, SECRET_MAX, need_private, &len);
    if (text == NULL) {
        return NULL;
    }
    struct smqtt_identity *id = parse_identity(file_or_line, smq_span_of(text, len));
    endpoint_free_text(text, len);
    if (id != NULL && need_private && !smqtt_identity_has_private(id)) {
        say("'%s' is only the public half: give the file that smqtt id new wrote with -o.", file_or_line);
        smqtt_identity_free(id);
        return NULL;
    }
    return id;
}

static bool read_policy(const char *path, struct smqtt_policy **out)
{
    *out = NULL;
    if (path == NULL) {
        return true;
    }
    size_t len = 0;
    char *text = endpoint_read_file(path, FILE_MAX, false, &len);
    if (text == NULL) {
        return false;
    }
    unsigned line = 0;
    smqtt_err err = smqtt_policy_read(NULL, smq_span_of(text, len), out, &line);
    if (err != SMQTT_OK) {
        say("%s, line %u: %s: write FILTER require or FILTER allow-plain [logical].", path, line, smqtt_strerror(err));
    }
    free(text);
    return err == SMQTT_OK;
}

/* ---------------------------------------------------------------- endpoints */

static struct smqtt_policy *policy_in_use; /* borrowed by the endpoint until the program ends */
static struct clients *clients_in_use;
static struct smqtt_text pipeline;

struct smqtt_sealer *endpoint_sealer(const struct opts *o, struct smqtt_span client_id)
{
    struct smqtt_sealer_config config = {
        .struct_size = sizeof(config), .rng = smqtt_system_rng(), .client_id = client_id};
    config.wait_ms = o->receipt_timeout;
    config.server = endpoint_identity(o->to, false);
    if (config.server == NULL || !read_policy(o->policy, &policy_in_use)) {
        smqtt_identity_free(config.server);
        return NULL;
    }
    if (o->identity != NULL && (config.identity = endpoint_identity(o->identity, true)) == NULL) {
        smqtt_identity_free(config.server);
        return NULL;
    }
    config.policy = policy_in_use;
    struct smqtt_sealer *sealer = NULL;
    const char *mine =
        config.identity != NULL ? smqtt_identity_suite(config.identity) : smqtt_identity_suite(config.server);
    smqtt_err err = SMQTT_E_SUITE;
    if (strcmp(mine, smqtt_identity_suite(config.server)) != 0) {
        say("this identity is of suite %s, the server's of %s: make one with smqtt id new --suite %s.", mine,
            smqtt_identity_suite(config.server), smqtt_identity_suite(config.server));
    } else {
        err = smqtt_sealer_new(&config, run_now(), &sealer);
        if (err != SMQTT_OK) {
            say("nothing can be sealed for '%s': %s.", o->to, smqtt_strerror(err));
        }
    }
    smqtt_identity_free(config.server);
    smqtt_identity_free(config.identity);
    return err == SMQTT_OK ? sealer : NULL;
}

static bool read_clients(const char *path)
{
    if (path == NULL) {
        return true;
    }
    size_t len = 0;
    char *text = endpoint_read_file(path, FILE_MAX, false, &len);
    bool ok = text != NULL && clients_read(path, smq_span_of(text, len), &clients_in_use);
    free(text);
    return ok;
}

struct smqtt_opener *endpoint_opener(const struct opts *o)
{
    struct smqtt_opener_config config = {.struct_size = sizeof(config), .rng = smqtt_system_rng()};
    if (!read_policy(o->policy, &policy_in_use) || !read_clients(o->clients) ||
        (o->charset != NULL && !charset_open(o->charset, &pipeline))) {
        return NULL;
    }
    config.identity = endpoint_identity(o->identity, true);
    if (config.identity == NULL) {
        return NULL;
    }
    config.store = state_open(o->state, o->identity);
    struct smqtt_opener *opener = NULL;
    if (config.store != NULL) {
        config.policy = policy_in_use;
        config.pipeline = pipeline;
        config.journal = state_journal;
        if (clients_in_use != NULL) {
            config.allow = clients_allow;
            config.lookup = clients_lookup;
            config.ctx = clients_in_use;
        }
        smqtt_err err = smqtt_opener_new(&config, run_now(), &opener);
        if (err != SMQTT_OK) {
            say("'%s' cannot be this server: %s.", o->identity, smqtt_strerror(err));
        }
    }
    smqtt_identity_free(config.identity);
    return opener;
}

void endpoint_close(void)
{
    state_close();
    if (pipeline.hold != NULL) {
        charset_close(&pipeline);
    }
    clients_free(clients_in_use);
    smqtt_policy_free(policy_in_use);
    clients_in_use = NULL;
    policy_in_use = NULL;
}

void endpoint_say_failure(smqtt_err err, uint8_t status)
{
    if (status != SMQTT_STATUS_OK) {
        say("not confirmed: %s.", smqtt_status_text(status));
    } else if (err == SMQTT_E_REFUSED) {
        say("not confirmed: this broker does not announce DETECT: take smqttd, or with version 3.1.1 add --native if "
            "it is one.");
    } else if (err == SMQTT_E_DELAY) {
        say("not confirmed: no answer came in time, or clocks differ by more than 30 s: is the server running, and is "
            "the clock set?");
    } else {
        say("not confirmed: %s.", smqtt_strerror(err));
    }
}
