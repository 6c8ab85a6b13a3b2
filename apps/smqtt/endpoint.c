/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include <string.h>

#include <smqtt/system.h>

#include "base/span.h"
#include "charset.h"
#include "clients.h"
#include "codec/reason.h"
#include "detect/channel.h"
#include "net/clock.h"
#include "say.h"
#include "state.h"

bool endpoint_read_file(const char *path, size_t max, bool secret, struct smq_file_text *out)
{
    struct smq_why why;
    smqtt_err err = smq_file_read(path, max, secret, out, &why);
    if (err != SMQTT_OK) {
        say("%s", why.text);
    }
    return err == SMQTT_OK;
}

enum { REASON_NO_SUBSCRIBERS = 0x10, REASON_REFUSED = 0x80 };

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
    struct smq_file_text file;
    if (!endpoint_read_file(file_or_line, SECRET_MAX, need_private, &file)) {
        return NULL;
    }
    struct smqtt_identity *id = parse_identity(file_or_line, smq_span_of(file.text, file.len));
    smq_file_free(&file);
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
    struct smq_file_text file;
    if (!endpoint_read_file(path, FILE_MAX, false, &file)) {
        return false;
    }
    unsigned line = 0;
    smqtt_err err = smqtt_policy_read(NULL, smq_span_of(file.text, file.len), out, &line);
    if (err != SMQTT_OK) {
        say("%s, line %u: %s: write FILTER require or FILTER allow-plain [logical].", path, line, smqtt_strerror(err));
    }
    smq_file_free(&file);
    return err == SMQTT_OK;
}

/** Takes --topic-prefix; false after a sentence. */
static bool take_prefix(const struct opts *o, struct smqtt_span *out)
{
    *out = smq_span_str(o->topic_prefix);
    if (!smq_prefix_ok(*out)) {
        say("'%s' cannot be a prefix of topics: take at most 24 bytes and two levels, without + # and $.",
            o->topic_prefix);
    }
    return smq_prefix_ok(*out);
}

/* ---------------------------------------------------------------- endpoints */

static struct smqtt_policy *policy_in_use; /* borrowed by the endpoint until the program ends */
static struct clients *clients_in_use;
static struct smqtt_text pipeline;

struct smqtt_sealer *endpoint_sealer(const struct opts *o, struct smqtt_span client_id)
{
    struct smqtt_sealer_config config = {
        .struct_size = sizeof(config), .rng = smqtt_system_rng(), .client_id = client_id};
    if (!take_prefix(o, &config.prefix)) {
        return NULL;
    }
    config.wait_ms = o->receipt_timeout;
    config.skew_max_ms = o->max_skew;
    config.rtt_max_ms = o->max_rtt;
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
        err = smqtt_sealer_new(&config, smq_clock_now(), &sealer);
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
    struct smq_file_text file;
    if (!endpoint_read_file(path, FILE_MAX, false, &file)) {
        return false;
    }
    bool ok = clients_read(path, smq_span_of(file.text, file.len), &clients_in_use);
    smq_file_free(&file);
    return ok;
}

struct smqtt_opener *endpoint_opener(const struct opts *o)
{
    struct smqtt_opener_config config = {.struct_size = sizeof(config), .rng = smqtt_system_rng()};
    if (!take_prefix(o, &config.prefix) || !read_policy(o->policy, &policy_in_use) || !read_clients(o->clients) ||
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
        config.skew_max_ms = o->max_skew;
        config.rekey = o->rekey;
        config.journal = state_journal;
        if (clients_in_use != NULL) {
            config.allow = clients_allow;
            config.lookup = clients_lookup;
            config.ctx = clients_in_use;
        }
        smqtt_err err = smqtt_opener_new(&config, smq_clock_now(), &opener);
        if (err != SMQTT_OK) {
            say("'%s' cannot be this server: %s.", o->identity, smqtt_strerror(err));
        }
    }
    smqtt_identity_free(config.identity);
    return opener;
}

enum smqtt_path endpoint_path(const struct opts *o)
{
    return o->native ? SMQTT_PATH_NATIVE : o->tunnel ? SMQTT_PATH_TUNNEL : SMQTT_PATH_AUTO;
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

void endpoint_say_failure(smqtt_err err, uint8_t status, uint8_t reason)
{
    if (status != SMQTT_STATUS_OK) {
        say("not confirmed: %s.", smqtt_status_text(status));
    } else if (err == SMQTT_E_REFUSED) {
        say("not confirmed: this broker does not announce DETECT: leave --native out, then it goes through the "
            "tunnel.");
    } else if (reason >= REASON_REFUSED) {
        say("not confirmed: the broker does not let this client use the topics of S-MQTT (%s): allow it to write "
            "smqtt1/+/c/+ and to read smqtt1/+/s/+, smqtt1/+/n/+ and smqtt1/+/d.",
            smq_reason_text(reason));
    } else if (reason == REASON_NO_SUBSCRIBERS && err == SMQTT_E_DELAY) {
        say("not confirmed: no server with this identity is connected to this broker: start it, or look whether it is "
            "on another broker.");
    } else if (err == SMQTT_E_DELAY) {
        say("not confirmed: no answer came in time, or clocks differ by more than 30 s: is the server running, and is "
            "the clock set?");
    } else {
        say("not confirmed: %s.", smqtt_strerror(err));
    }
}
