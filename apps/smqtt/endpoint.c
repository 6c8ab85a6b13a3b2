/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include <string.h>

#include <smqtt/system.h>

#include "ask.h"
#include "base/span.h"
#include "codec/reason.h"
#include "detect/channel.h"
#include "keyring/idfile.h"
#include "keyring/revoked.h"
#include "net/clock.h"
#include "peers.h"
#include "say.h"

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

struct smqtt_identity *endpoint_private(const struct opts *o, const char *path)
{
    struct smq_idfile file;
    struct smq_why why;
    struct smq_idfile_ask ask = ask_of(o->passphrase_file);
    if (smq_idfile_read(path, true, &ask, &file, &why) != SMQTT_OK) {
        say("%s", why.text);
        return NULL;
    }
    struct smqtt_identity *id = smqtt_identity_ref(file.identity);
    smq_idfile_free(&file);
    return id;
}

bool endpoint_read_revoked(const struct opts *o, struct smqtt_revocations **out)
{
    struct smq_why why;
    if (smq_revoked_read(o->revoked.item, o->revoked.n, out, &why) != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    return true;
}

bool endpoint_is_usable(const struct smqtt_revocations *revoked, const struct smqtt_identity *id)
{
    struct smq_why why;
    if (smq_revoked_check(revoked, id, &why) != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    return true;
}

bool endpoint_read_policy(const char *path, struct smqtt_policy **out)
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

bool endpoint_prefix(const struct opts *o, struct smqtt_span *out)
{
    *out = smq_span_str(o->topic_prefix);
    if (!smq_prefix_ok(*out)) {
        say("'%s' cannot be a prefix of topics: take at most 24 bytes and two levels, without + # and $.",
            o->topic_prefix);
    }
    return smq_prefix_ok(*out);
}

/* ---------------------------------------------------------------- endpoints */

/* Borrowed by the sealer until the program ends. */
static struct smqtt_policy *policy_in_use;
static struct smqtt_revocations *revoked_in_use;
static const struct smqtt_sealer *sealer_in_use;

/** Both identities are there: may they be used, and together? */
static bool check_pair(const struct smqtt_identity *server, const struct smqtt_identity *mine)
{
    if (!endpoint_is_usable(revoked_in_use, server) || !endpoint_is_usable(revoked_in_use, mine)) {
        return false;
    }
    if (mine != NULL && strcmp(smqtt_identity_suite(mine), smqtt_identity_suite(server)) != 0) {
        say("this identity is of suite %s, the server's of %s: make one with smqtt id new --suite %s.",
            smqtt_identity_suite(mine), smqtt_identity_suite(server), smqtt_identity_suite(server));
        return false;
    }
    return true;
}

static bool read_revoked(const struct opts *o)
{
    struct smq_why why;
    if (peers_read_revoked(o, &revoked_in_use, &why) != SMQTT_OK) {
        say("%s", why.text);
        return false;
    }
    return true;
}

struct smqtt_sealer *endpoint_sealer(const struct opts *o, struct smqtt_span client_id)
{
    struct smqtt_sealer_config config = {
        .struct_size = sizeof(config), .rng = smqtt_system_rng(), .client_id = client_id};
    struct smqtt_sealer *sealer = NULL;
    if (!endpoint_prefix(o, &config.prefix)) {
        return NULL;
    }
    config.wait_ms = o->receipt_timeout;
    config.skew_max_ms = o->max_skew;
    config.rtt_max_ms = o->max_rtt;
    bool ok = endpoint_read_policy(o->policy, &policy_in_use) && read_revoked(o) &&
              (config.server = peers_server(o)) != NULL &&
              (o->identity == NULL || (config.identity = endpoint_private(o, o->identity)) != NULL) &&
              check_pair(config.server, config.identity);
    if (ok) {
        config.policy = policy_in_use;
        config.revoked = revoked_in_use;
        smqtt_err err = smqtt_sealer_new(&config, smq_clock_now(), &sealer);
        if (err != SMQTT_OK) {
            say("nothing can be sealed for '%s': %s.", o->to, smqtt_strerror(err));
        }
    }
    smqtt_identity_free(config.server);
    smqtt_identity_free(config.identity);
    sealer_in_use = sealer;
    return sealer;
}

void endpoint_on_descriptor(const struct opts *o, const struct smqtt_secure_event *event)
{
    peers_on_descriptor(o, sealer_in_use != NULL ? smqtt_sealer_server(sealer_in_use) : NULL, event);
}

enum smqtt_path endpoint_path(const struct opts *o)
{
    return o->native ? SMQTT_PATH_NATIVE : o->tunnel ? SMQTT_PATH_TUNNEL : SMQTT_PATH_AUTO;
}

void endpoint_say_failure(smqtt_err err, uint8_t status, uint8_t reason)
{
    if (status != SMQTT_STATUS_OK) {
        say("not confirmed: %s.", smqtt_status_text(status));
    } else if (err == SMQTT_E_REVOKED) {
        say("not confirmed: the server's owner has revoked its keys: get the new public line from him.");
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
