/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/span.h"
#include "endpoint.h"
#include "net/clock.h"
#include "run.h"
#include "say.h"
#include "settings.h"

/* QUIET_MS: what is retained comes right behind SUBACK; nothing for so long, and there is no more. END_MS: a broker
 * that never is quiet is not listened to for ever. */
enum { WAIT_MS = 10000, QUIET_MS = 1500, END_MS = 30000, REVOCATION_MARK = 0x52 };

static const char *prefix_of(const struct opts *o)
{
    return o->topic_prefix != NULL ? o->topic_prefix : "smqtt1";
}

/* Keeps the newest of the same keys. Takes over `id`. */
static void keep(struct fetch *f, struct smqtt_identity *id)
{
    for (size_t i = 0; i < f->n; i++) {
        if (memcmp(smqtt_identity_skid(f->found[i]), smqtt_identity_skid(id), SMQTT_SKID_LEN) == 0) {
            bool newer = smqtt_identity_version(id) > smqtt_identity_version(f->found[i]);
            smqtt_identity_free(newer ? f->found[i] : id);
            f->found[i] = newer ? id : f->found[i];
            return;
        }
    }
    if (f->n == FETCH_MAX) {
        f->more = true;
        smqtt_identity_free(id);
        return;
    }
    f->found[f->n++] = id;
}

/* A descriptor stands under its own skid, or under that of its predecessor. */
static bool belongs(const struct smqtt_identity *id, smq_span topic, size_t prefix_len)
{
    uint8_t old[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    char text[2 * SMQTT_SKID_LEN + 1];
    smq_span of_topic = smq_span_from(topic, prefix_len + 1);
    smq_hex_encode(text, smq_span_of(smqtt_identity_skid(id), SMQTT_SKID_LEN));
    if (smq_span_starts(of_topic, smq_span_str(text))) {
        return true;
    }
    if (!smqtt_identity_predecessor(id, old, &until)) {
        return false;
    }
    smq_hex_encode(text, smq_span_of(old, sizeof old));
    return smq_span_starts(of_topic, smq_span_str(text));
}

static smqtt_ms quiet_at(const struct fetch *f)
{
    smqtt_ms at = smq_clock_now().mono + QUIET_MS;
    return at < f->end_at ? at : f->end_at;
}

static void on_message(struct run *run, const struct smqtt_client_event *event)
{
    struct fetch *f = run->ctx;
    struct smqtt_identity *id = NULL;
    run->at = quiet_at(f);
    if (f->skid != NULL && event->payload.len == SMQTT_REVOCATION_LEN && event->payload.data[0] == REVOCATION_MARK) {
        f->revoked = true;
        return;
    }
    if (smqtt_identity_read_descriptor(NULL, event->payload, &id) != SMQTT_OK) {
        return; /* anybody may publish anything there */
    }
    bool wanted = belongs(id, event->topic, strlen(prefix_of(run->opts))) &&
                  (f->name == NULL || strcmp(f->name, smqtt_identity_name(id)) == 0);
    if (wanted) {
        keep(f, id);
    } else {
        smqtt_identity_free(id);
    }
    if (f->skid != NULL) {
        run_stop(run, EXIT_OK);
    }
}

static void subscribe(struct run *run)
{
    const struct fetch *f = run->ctx;
    char topic[64];
    char skid[2 * SMQTT_SKID_LEN + 1] = "+";
    if (f->skid != NULL) {
        smq_hex_encode(skid, smq_span_of(f->skid, SMQTT_SKID_LEN));
    }
    snprintf(topic, sizeof topic, "%s/%s/d", prefix_of(run->opts), skid);
    struct smqtt_subscription one = {smq_span_str(topic), 1};
    smqtt_err err = smqtt_client_subscribe(run->client, &one, 1, NULL, smq_clock_now());
    if (err != SMQTT_OK) {
        say("the broker cannot be asked for descriptors: %s.", smqtt_strerror(err));
        run_stop(run, EXIT_FAILED);
    }
}

static void on_event(struct run *run, const struct smqtt_client_event *event)
{
    if (event->type == SMQTT_CLIENT_CONNECTED) {
        subscribe(run);
    } else if (event->type == SMQTT_CLIENT_REFUSED) {
        run_refused(run, event);
    } else if (event->type == SMQTT_CLIENT_MESSAGE) {
        on_message(run, event);
    } else if (event->type == SMQTT_CLIENT_SUBSCRIBED) {
        run->at = quiet_at(run->ctx);
        if (event->codes.len != 0 && event->codes.data[0] >= 0x80) {
            say("the broker does not let us see descriptors (%s/+/d): get the public line by another way, or have the "
                "subscription allowed.",
                prefix_of(run->opts));
            run_stop(run, EXIT_FAILED);
        } else {
            run->exit_code = EXIT_OK;
        }
    } else if (event->type == SMQTT_CLIENT_CLOSED && !run->stop) {
        say("the broker ended the connection before it showed its descriptors%s%s.", event->reason != 0 ? ": " : "",
            event->reason != 0 ? run_reason(run->version, event->reason) : "");
        run->exit_code = EXIT_FAILED;
        run->stop = true;
    }
}

static void on_deadline(struct run *run)
{
    if (run->exit_code != EXIT_OK) {
        say("the broker did not answer within %d s.", WAIT_MS / 1000);
    }
    run_stop(run, run->exit_code);
}

bool fetch_descriptors(const struct opts *o, struct fetch *f)
{
    static const struct run_hooks hooks = {.event = on_event, .deadline = on_deadline};
    static struct opts plain; /* the same broker, but none of what belongs to the message */
    static char id[64];
    struct run r = {.hooks = &hooks, .ctx = f, .at = smq_clock_now().mono + WAIT_MS};
    struct smqtt_span prefix;
    f->end_at = smq_clock_now().mono + END_MS;
    if (!endpoint_prefix(o, &prefix)) {
        return false;
    }
    plain = *o;
    snprintf(id, sizeof id, "smqtt-fetch-%ld-%llx", (long)getpid(),
             (unsigned long long)(smq_clock_now().wall & 0xFFFFF));
    plain.client_id = id;
    plain.id_prefix = plain.will_topic = plain.will_payload = NULL;
    plain.will_retain = plain.session_expiry_given = false;
    plain.clean = true;
    plain.count = 0;
    memset(plain.props, 0, sizeof plain.props);
    return settings_client(&r, &plain, false, SMQTT_V311) && run(&r) == EXIT_OK;
}

void fetch_free(struct fetch *f)
{
    for (size_t i = 0; i < f->n; i++) {
        smqtt_identity_free(f->found[i]);
    }
    f->n = 0;
}
