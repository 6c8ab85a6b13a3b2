/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <smqtt/system.h>

#include "base/span.h"
#include "charset.h"
#include "clients.h"
#include "endpoint.h"
#include "keyring/revoked.h"
#include "net/clock.h"
#include "say.h"
#include "state.h"

/* One server: the identity, or a predecessor. What its opener is given as context. */
struct served {
    const char *file;
    struct state *state;
    struct smqtt_identity *identity;
    struct smqtt_opener *opener; /* the client's */
    smqtt_ms until;              /* end of the grace time; 0: none */
    bool over;                   /* that was said */
    bool revoked;                /* a predecessor that is on a later list: nobody is its client any more */
};

static struct {
    struct served list[SMQTT_OPENERS_MAX];
    size_t n;
    struct clients *clients; /* NULL: everybody */
    struct smqtt_policy *policy;
    struct smqtt_revocations *revoked;
    struct smqtt_text pipeline;
    uint8_t refused[SMQTT_DID_LEN]; /* the revoked client that was told of last */
} all;

/* ---------------------------------------------------------------- what the openers ask */

static void time_text(smqtt_ms ms, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        snprintf(out, 32, "long ago");
    }
}

static bool is_over(struct served *s, smqtt_ms now)
{
    if (s->until == 0 || now <= s->until) {
        return false;
    }
    if (!s->over) {
        char when[32];
        time_text(s->until, when);
        say("the grace time of '%s' ended %s: its clients are refused from now on; enrol those that have not followed "
            "anew, and leave --previous out.",
            s->file, when);
        s->over = true;
    }
    return true;
}

/* Says it once for each client in a row: strangers must not fill a disk. */
static bool is_revoked(const struct smqtt_identity *peer)
{
    struct smq_why why;
    if (smq_revoked_check(all.revoked, peer, &why) == SMQTT_OK) {
        return false;
    }
    if (memcmp(all.refused, smqtt_identity_did(peer), SMQTT_DID_LEN) != 0) {
        say("refused: %s", why.text);
        memcpy(all.refused, smqtt_identity_did(peer), SMQTT_DID_LEN);
    }
    return true;
}

static bool allow(void *ctx, const struct smqtt_identity *peer, struct smqtt_span topic)
{
    smqtt_ms now = smq_clock_now().wall;
    const struct served *s = ctx;
    return !s->revoked && !is_over(ctx, now) && !(peer != NULL && is_revoked(peer)) &&
           (all.clients == NULL || clients_allow(all.clients, peer, topic, now));
}

static const struct smqtt_identity *lookup(void *ctx, const uint8_t short_did[8])
{
    (void)ctx;
    return clients_lookup(all.clients, short_did);
}

static void journal(void *ctx, const struct smqtt_journal_entry *entry)
{
    struct served *s = ctx;
    state_journal(s->state, entry);
    if (entry->peer != NULL && is_revoked(entry->peer)) {
        return; /* it proves nothing any more */
    }
    if (entry->verdict == 1 && entry->status == SMQTT_STATUS_OK && entry->peer != NULL && all.clients != NULL) {
        clients_proven(all.clients, entry->peer, smq_clock_now().wall);
    }
}

/* ---------------------------------------------------------------- predecessors */

/* Is it the predecessor of one that is served? SMQTT_E_EXPIRED: no longer. */
static smqtt_err find_successor(struct served *old, smqtt_ms now)
{
    for (size_t i = 0; i < all.n; i++) {
        const struct smqtt_identity *new = all.list[i].identity;
        uint8_t skid[SMQTT_SKID_LEN];
        smqtt_ms until = 0;
        if (!smqtt_identity_predecessor(new, skid, &until) ||
            memcmp(skid, smqtt_identity_skid(old->identity), SMQTT_SKID_LEN) != 0) {
            continue;
        }
        old->until = until;
        /* Whether the old keys have signed it is asked as of a moment at which it had to be in force. */
        smqtt_err err = smqtt_identity_supersedes(old->identity, new, now <= until ? now : until);
        return err == SMQTT_OK && now > until ? SMQTT_E_EXPIRED : err;
    }
    return SMQTT_E_UNKNOWN_PEER;
}

/* False after a sentence; *skip: it was said that it is not served any more. */
static bool check_previous(struct served *old, bool *skip)
{
    smqtt_ms now = smq_clock_now().wall;
    smqtt_err err = find_successor(old, now);
    if (err == SMQTT_E_EXPIRED && now > old->until) {
        *skip = is_over(old, now);
        return true;
    }
    if (err == SMQTT_E_UNKNOWN_PEER) {
        say("'%s' is not the predecessor of '%s': give --previous the file that smqtt id rotate was given.", old->file,
            all.list[0].file);
    } else if (err != SMQTT_OK) {
        say("'%s' is named as predecessor, but cannot be served as one: %s; make the successor anew with smqtt id "
            "rotate.",
            old->file, smqtt_strerror(err));
    }
    return err == SMQTT_OK;
}

/* ---------------------------------------------------------------- making them */

static struct smqtt_opener *make_opener(const struct opts *o, struct served *s)
{
    struct smqtt_opener_config config = {.struct_size = sizeof(config), .rng = smqtt_system_rng()};
    struct smqtt_opener *opener = NULL;
    if (!endpoint_prefix(o, &config.prefix)) {
        return NULL;
    }
    config.identity = s->identity;
    config.store = state_sessions(s->state);
    config.policy = all.policy;
    config.pipeline = all.pipeline;
    config.revoked = all.revoked;
    config.skew_max_ms = o->max_skew;
    config.rekey = o->rekey;
    config.journal = journal;
    config.hidden = s->until != 0;
    config.ctx = s;
    if (all.clients != NULL || all.revoked != NULL || s->until != 0) {
        config.allow = allow;
    }
    if (all.clients != NULL) {
        config.lookup = lookup;
    }
    smqtt_err err = smqtt_opener_new(&config, smq_clock_now(), &opener);
    if (err != SMQTT_OK) {
        say("'%s' cannot be this server: %s.", s->file, smqtt_strerror(err));
    }
    return opener;
}

static bool read_clients(const char *path)
{
    struct smq_file_text file;
    if (path == NULL) {
        return true;
    }
    if (!endpoint_read_file(path, FILE_MAX, false, &file)) {
        return false;
    }
    bool ok = clients_read(path, smq_span_of(file.text, file.len), &all.clients);
    smq_file_free(&file);
    if (!ok) {
        return false;
    }
    const struct smqtt_store *store = state_clients(all.list[0].state);
    return store != NULL && clients_remember(all.clients, store);
}

/* Reads one identity and opens its state; the clients are those of all. */
static bool add_served(const struct opts *o, const char *file, const char *state_dir)
{
    struct served *s = &all.list[all.n];
    bool skip = false;
    *s = (struct served){.file = file, .identity = endpoint_private(o, file)};
    if (s->identity == NULL) {
        return false;
    }
    if ((all.n != 0 && !check_previous(s, &skip)) || skip) {
        smqtt_identity_free(s->identity);
        return skip;
    }
    if (!endpoint_is_usable(all.revoked, s->identity) || (s->state = state_open(state_dir, file)) == NULL) {
        smqtt_identity_free(s->identity);
        return false;
    }
    all.n++;
    return true;
}

static bool read_all(const struct opts *o)
{
    if (o->previous.n >= SMQTT_OPENERS_MAX) {
        say("--previous was given %zu times, and at most %d are served: leave the oldest out.", o->previous.n,
            SMQTT_OPENERS_MAX - 1);
        return false;
    }
    if (!endpoint_read_policy(o->policy, &all.policy) || !endpoint_read_revoked(o, &all.revoked) ||
        (o->charset != NULL && !charset_open(o->charset, &all.pipeline)) || !add_served(o, o->identity, o->state) ||
        !read_clients(o->clients)) {
        return false;
    }
    for (size_t i = 0; i < o->previous.n; i++) {
        if (!add_served(o, o->previous.item[i], NULL)) {
            return false;
        }
    }
    return true;
}

bool serve_attach(const struct opts *o, struct smqtt_client *client)
{
    if (!read_all(o)) {
        return false;
    }
    for (size_t i = 0; i < all.n; i++) {
        struct smqtt_opener *opener = make_opener(o, &all.list[i]);
        if (opener == NULL) {
            return false;
        }
        smqtt_err err = smqtt_client_attach_opener(client, opener);
        if (err != SMQTT_OK) {
            say("'%s' cannot be served: %s.", all.list[i].file, smqtt_strerror(err));
            smqtt_opener_free(opener);
            return false;
        }
        all.list[i].opener = opener;
    }
    return true;
}

/* ---------------------------------------------------------------- while it runs */

/* The list is good: all are judged by it. */
static void take_revoked(struct smqtt_revocations *list)
{
    struct smqtt_now now = smq_clock_now();
    for (size_t i = 0; i < all.n; i++) {
        struct served *s = &all.list[i];
        s->revoked = i != 0 && !endpoint_is_usable(list, s->identity);
        if (smqtt_opener_set_revoked(s->opener, s->revoked ? NULL : list, now) != SMQTT_OK) {
            s->revoked = true; /* does not happen: it was asked */
        }
    }
    smqtt_revocations_free(all.revoked);
    all.revoked = list;
    memset(all.refused, 0, sizeof all.refused);
}

bool serve_read_revoked_again(const struct opts *o)
{
    struct smq_why why;
    struct smqtt_revocations *list = NULL;
    if (smq_revoked_read(o->revoked.item, o->revoked.n, &list, &why) != SMQTT_OK) {
        say("the revocation lists stay as they were: %s", why.text);
        return true;
    }
    if (!endpoint_is_usable(list, all.list[0].identity)) {
        smqtt_revocations_free(list);
        return false;
    }
    take_revoked(list);
    say("the revocation lists were read again.");
    return true;
}

void serve_say_closed(const struct smqtt_secure_event *event)
{
    struct smq_why why;
    if (event->err == SMQTT_E_REVOKED && smq_revoked_check(all.revoked, event->peer, &why) != SMQTT_OK) {
        say("the session of '%s' was closed: %s", event->peer_name, why.text);
    }
}

void serve_close(void)
{
    for (size_t i = 0; i < all.n; i++) {
        state_close(all.list[i].state);
        smqtt_identity_free(all.list[i].identity);
    }
    if (all.pipeline.hold != NULL) {
        charset_close(&all.pipeline);
    }
    clients_free(all.clients);
    smqtt_revocations_free(all.revoked);
    smqtt_policy_free(all.policy);
    memset(&all, 0, sizeof(all));
}
