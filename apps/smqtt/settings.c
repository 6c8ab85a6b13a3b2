/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "base/span.h"
#include "codec/topic.h"
#include "net/clock.h"
#include "say.h"

enum { RECEIVE_MAX = 20, ID_ROOM = 256, KEPT_S = 120 };

bool settings_version(const char *text, enum smqtt_version *out)
{
    static const struct {
        const char *text;
        enum smqtt_version version;
    } known[] = {{"31", SMQTT_V31},        {"mqttv31", SMQTT_V31}, {"311", SMQTT_V311},
                 {"mqttv311", SMQTT_V311}, {"5", SMQTT_V5},        {"mqttv5", SMQTT_V5}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(known); i++) {
        if (strcmp(text, known[i].text) == 0) {
            *out = known[i].version;
            return true;
        }
    }
    say("'%s' is not a protocol version: take 31, 311 or 5.", text);
    return false;
}

/** For 3.1, which wants one, random as Mosquitto's clients have it. */
static void make_random_id(char *out, size_t len)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    struct smqtt_rng rng = smqtt_system_rng();
    memcpy(out, "mosq-", 5);
    for (size_t i = 5; i < len; i++) {
        uint8_t byte = 0;
        bool filled = rng.fill(rng.ctx, &byte, 1);
        out[i] = letters[filled ? byte % (sizeof(letters) - 1) : 0];
    }
    out[len] = 0;
}

/** As given, or made of a prefix; made up where it must not be empty: a sealed session names it. */
static const char *client_id(const struct opts *o, bool secure, enum smqtt_version version)
{
    static char made[ID_ROOM];
    if (o->client_id != NULL) {
        return o->client_id;
    }
    if (secure) {
        snprintf(made, sizeof(made), "%s%ld-%llx", o->id_prefix != NULL ? o->id_prefix : "smqtt-", (long)getpid(),
                 (unsigned long long)(smq_clock_now().wall & 0xFFFFF));
    } else if (o->id_prefix != NULL) {
        snprintf(made, sizeof(made), "%s%ld", o->id_prefix, (long)getpid());
    } else if (version == SMQTT_V31) {
        make_random_id(made, 23);
    }
    return made;
}

static bool check_flags(const struct opts *o, enum smqtt_version version)
{
    bool v5 = version == SMQTT_V5;
    bool for_ever = !o->clean && !(v5 && o->session_expiry_given);
    for_ever = for_ever || (v5 && o->session_expiry_given && o->session_expiry == UINT32_MAX);
    if (o->client_id != NULL && o->id_prefix != NULL) {
        say("-i is the client id and -I the beginning of one: leave one of them out.");
    } else if (for_ever && o->client_id == NULL) {
        say("-c keeps the session on the broker, which finds it again by the client id: give one with -i.");
    } else if ((o->will_payload != NULL || o->will_retain) && o->will_topic == NULL) {
        say("%s needs --will-topic: say where the will is published.",
            o->will_payload != NULL ? "--will-payload" : "--will-retain");
    } else if (o->will_topic != NULL && !smq_topic_name_ok(smq_span_str(o->will_topic), 0)) {
        say("'%s' is not a topic to publish the will to: + and # are for filters.", o->will_topic);
    } else if (o->password != NULL && o->user == NULL && !v5) {
        say("-P is the password of a user: say which one with -u.");
    } else {
        return true;
    }
    return false;
}

/** Who seals line after line wants the receipts that come while a lost connection is made again. */
static bool keeps_session(const struct run *run, const struct opts *o, bool secure)
{
    const struct props *connect = &o->props[PROPS_CONNECT];
    return secure && run->version == SMQTT_V5 && o->stdin_line && o->clean && !o->session_expiry_given &&
           !props_has(connect, SMQ_PROP_SESSION_EXPIRY);
}

static void set_session(const struct opts *o, struct smqtt_client_config *config)
{
    const struct props *connect = &o->props[PROPS_CONNECT];
    config->clean_start = o->clean;
    if (!props_has(connect, SMQ_PROP_SESSION_EXPIRY)) {
        config->session_expiry_s = o->session_expiry_given ? o->session_expiry : o->clean ? 0 : UINT32_MAX;
    }
    if (!props_has(connect, SMQ_PROP_RECEIVE_MAXIMUM)) {
        /* no more than will be printed */
        config->receive_maximum = o->count > 0 && o->count < RECEIVE_MAX ? (uint16_t)o->count : RECEIVE_MAX;
    }
}

static smqtt_err make(struct run *run, const struct opts *o, bool secure)
{
    struct smqtt_client_config config = {.struct_size = sizeof(config), .version = run->version};
    struct smqtt_will will;
    run->client_id = smq_span_str(client_id(o, secure, run->version));
    config.client_id = run->client_id;
    config.keep_alive_s = o->keep_alive;
    config.lax_text = true; /* what a foreign broker lets through is printed, not a reason to part */
    config.bad_strings = o->strict ? SMQTT_BAD_STRINGS_STRICT : SMQTT_BAD_STRINGS_QUARANTINE;
    config.has_user = o->user != NULL;
    config.has_password = o->password != NULL;
    config.user = smq_span_str(o->user);
    config.password = smq_span_str(o->password);
    config.max_queued = UINT32_MAX;
    config.max_inflight = o->max_inflight;
    config.props = props_span(&o->props[PROPS_CONNECT]);
    set_session(o, &config);
    run->ends_session = config.clean_first_only = keeps_session(run, o, secure);
    if (run->ends_session) {
        config.session_expiry_s = KEPT_S;
    }
    if (o->will_topic != NULL) {
        memset(&will, 0, sizeof(will));
        will.topic = smq_span_str(o->will_topic);
        will.payload = smq_span_str(o->will_payload);
        will.qos = o->will_qos;
        will.retain = o->will_retain;
        will.props = props_span(&o->props[PROPS_WILL]);
        config.will = &will;
    }
    return smqtt_client_new(&config, &run->client);
}

bool settings_client(struct run *run, const struct opts *o, bool secure, enum smqtt_version version)
{
    run->opts = o;
    run->version = version;
    run->steps_down = secure && o->version == NULL && version == SMQTT_V5;
    if ((o->version != NULL && !settings_version(o->version, &run->version)) || !check_flags(o, run->version) ||
        !transport_prepare(o)) {
        return false;
    }
    smqtt_err err = make(run, o, secure);
    if (err != SMQTT_OK) {
        say("the client cannot be set up: %s.", smqtt_strerror(err));
    }
    return err == SMQTT_OK;
}
