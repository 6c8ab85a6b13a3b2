/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "base/span.h"
#include "fetch.h"
#include "keyring/idfile.h"
#include "keyring/known.h"
#include "keyring/revoked.h"
#include "net/clock.h"
#include "say.h"

enum { PATH_ROOM = 4096 };

static bool find_path(const struct opts *o, char *out, size_t cap)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int n = o->known != NULL                   ? snprintf(out, cap, "%s", o->known)
            : config != NULL && config[0] != 0 ? snprintf(out, cap, "%s/smqtt/known_peers", config)
            : home != NULL && home[0] != 0     ? snprintf(out, cap, "%s/.config/smqtt/known_peers", home)
                                               : -1;
    return n > 0 && (size_t)n < cap;
}

bool peers_path(const struct opts *o, char *out, size_t cap)
{
    if (!find_path(o, out, cap)) {
        say("there is no place for known peers: set HOME, or name the file with --known.");
        return false;
    }
    return true;
}

/* Where it is kept that servers have revoked themselves. */
static bool find_revoked(const struct opts *o, char *out, size_t cap)
{
    static const char end[] = ".revoked";
    size_t len = find_path(o, out, cap) ? strlen(out) : 0;
    if (len == 0 || len + sizeof end > cap) {
        return false;
    }
    memcpy(out + len, end, sizeof end);
    return true;
}

smqtt_err peers_read_revoked(const struct opts *o, struct smqtt_revocations **out, struct smq_why *why)
{
    char learned[PATH_ROOM];
    size_t n = o->revoked.n;
    const char **paths = calloc(n + 1, sizeof *paths);
    if (paths == NULL) {
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory for the revocation lists.");
    }
    for (size_t i = 0; i < n; i++) {
        paths[i] = o->revoked.item[i];
    }
    if (find_revoked(o, learned, sizeof learned) && (access(learned, F_OK) == 0 || errno != ENOENT)) {
        paths[n++] = learned;
    }
    smqtt_err err = smq_revoked_read(paths, n, out, why);
    free(paths);
    return err;
}

bool peers_is_line(const char *text)
{
    return strncmp(text, "smqtt-", 6) == 0 && strchr(text, ' ') != NULL;
}

struct smqtt_identity *peers_read_line(const char *line)
{
    struct smqtt_identity *id = NULL;
    smqtt_err err = smqtt_identity_read(NULL, smq_span_str(line), &id);
    if (err != SMQTT_OK) {
        say("'the public line' is not an identity: %s.", smqtt_strerror(err));
        return NULL;
    }
    return id;
}

/* ---------------------------------------------------------------- what is known */

struct search {
    const struct opts *o;
    char path[PATH_ROOM]; /* of the known peers; empty: there is no such place */
    struct smq_known *known;
    smqtt_ms now;
};

/* A file, or a line: whoever wrote it on the command line trusts it, but it is not older than what is known. */
static struct smqtt_identity *checked(const struct search *s, struct smqtt_identity *id)
{
    struct smq_why why;
    if (id != NULL && s->known != NULL && smq_known_check(s->known, id, s->now, &why) != SMQTT_OK) {
        say("%s", why.text);
        smqtt_identity_free(id);
        return NULL;
    }
    return id;
}

static struct smqtt_identity *from_file(const struct search *s)
{
    struct smq_idfile file;
    struct smq_why why;
    if (smq_idfile_read(s->o->to, false, NULL, &file, &why) != SMQTT_OK) {
        say("%s", why.text);
        return NULL;
    }
    return checked(s, file.identity);
}

/* ---------------------------------------------------------------- trust on first use */

static void fingerprint_of(const struct smqtt_identity *id, char out[SMQTT_FINGERPRINT_SIZE])
{
    smqtt_identity_fingerprint(id, out);
}

/* The one descriptor that may be meant; NULL after a sentence. */
static struct smqtt_identity *pick(const struct search *s, const struct fetch *f)
{
    const char *to = s->o->to;
    if (f->revoked) {
        say("the broker holds a statement that the keys of %s are revoked: ask the owner for the new public line.", to);
    } else if (f->n == 0) {
        say("the broker has no descriptor of '%s': is its server running, and is the %s right?", to,
            f->skid != NULL ? "skid" : "name");
    } else if (f->n > 1 || f->more) {
        char one[SMQTT_FINGERPRINT_SIZE];
        char two[SMQTT_FINGERPRINT_SIZE];
        fingerprint_of(f->found[0], one);
        fingerprint_of(f->found[1], two);
        say("'%s' is ambiguous: the broker has %zu identities of that name, with the fingerprints %s and %s%s; get the "
            "public line from the owner, or name the skid.",
            to, f->n, one, two, f->n > 2 ? " and more" : "");
    } else if (f->skid != NULL && memcmp(smqtt_identity_skid(f->found[0]), f->skid, SMQTT_SKID_LEN) != 0) {
        char skid[2 * SMQTT_SKID_LEN + 1];
        smq_hex_encode(skid, smq_span_of(smqtt_identity_skid(f->found[0]), SMQTT_SKID_LEN));
        say("the keys of %s were replaced by those of %s: ask the owner, and use that skid.", to, skid);
    } else if (!smqtt_identity_valid_at(f->found[0], s->now)) {
        say("the descriptor of '%s' that the broker has is not in force now: its owner has to renew it.", to);
    } else {
        return smqtt_identity_ref(f->found[0]);
    }
    return NULL;
}

/* The name that it is going to be known by; NULL after a sentence. */
static const char *name_for(const struct search *s, const struct smqtt_identity *id)
{
    uint8_t skid[SMQTT_SKID_LEN];
    const char *name = smq_known_skid(s->o->to, skid) ? smqtt_identity_name(id) : s->o->to;
    if (!smq_known_name_ok(name)) {
        say("'%s' cannot be the name of a known peer: get its public line, and say smqtt id trust FILE NAME.", name);
        return NULL;
    }
    return name;
}

/* First use: the broker's word is taken, once. */
static struct smqtt_identity *trust_first(struct search *s, const uint8_t *skid)
{
    struct fetch f = {.skid = skid, .name = skid == NULL ? s->o->to : NULL};
    if (s->path[0] == 0 || !fetch_descriptors(s->o, &f)) {
        if (s->path[0] == 0) {
            say("there is no place for known peers, so nobody can be remembered: set HOME, or give --known FILE.");
        }
        return NULL;
    }
    struct smqtt_identity *id = pick(s, &f);
    fetch_free(&f);
    const char *name = id != NULL ? name_for(s, id) : NULL;
    struct smq_why why;
    if (name == NULL || smq_known_put(s->path, name, id, false, s->now, &why) != SMQTT_OK) {
        if (name != NULL) {
            say("%s", why.text);
        }
        smqtt_identity_free(id);
        return NULL;
    }
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    fingerprint_of(id, fingerprint);
    say("'%s' is trusted from now on with the fingerprint %s, on the broker's word alone: compare it with its owner's.",
        name, fingerprint);
    return id;
}

/* Known, and the flag stands in a script that says it always: has somebody else taken the name? What the broker does
 * not show proves nothing, so the known one is used then. */
static struct smqtt_identity *compare(struct search *s, const struct smq_known_peer *peer)
{
    struct fetch f = {.name = smqtt_identity_name(peer->identity)};
    struct smq_why why;
    struct smqtt_identity *stranger = NULL;
    struct smqtt_identity *use = smqtt_identity_ref(peer->identity);
    if (!fetch_descriptors(s->o, &f)) {
        smqtt_identity_free(use);
        return NULL;
    }
    for (size_t i = 0; i < f.n; i++) {
        smqtt_err err = smqtt_identity_supersedes(peer->identity, f.found[i], s->now);
        if (err != SMQTT_E_UNKNOWN_PEER && err != SMQTT_E_BAD_SIGNATURE) {
            stranger = NULL; /* its own keys are there: what else has its name does not matter */
            break;
        }
        stranger = f.found[i];
    }
    if (stranger != NULL) {
        smqtt_err err = smq_known_put(s->path, peer->name, stranger, false, s->now, &why);
        say("%s", err != SMQTT_OK ? why.text : "the known peer has changed meanwhile: try again.");
        smqtt_identity_free(use);
        use = NULL;
    }
    fetch_free(&f);
    return use;
}

/* ---------------------------------------------------------------- --to */

static struct smqtt_identity *use_known(struct search *s, const struct smq_known_peer *peer)
{
    return s->o->trust_first_use ? compare(s, peer) : smqtt_identity_ref(peer->identity);
}

static struct smqtt_identity *find_server(struct search *s)
{
    const char *to = s->o->to;
    uint8_t skid[SMQTT_SKID_LEN];
    const struct smq_known_peer *peer = s->known != NULL ? smq_known_by_name(s->known, to) : NULL;
    if (peer != NULL) {
        return use_known(s, peer);
    }
    if (peers_is_line(to)) {
        return checked(s, peers_read_line(to));
    }
    if (strchr(to, '/') != NULL || access(to, F_OK) == 0) {
        return from_file(s);
    }
    bool is_skid = smq_known_skid(to, skid);
    peer = is_skid && s->known != NULL ? smq_known_by_skid(s->known, skid) : NULL;
    if (peer != NULL) {
        return use_known(s, peer);
    }
    if (s->o->trust_first_use) {
        return trust_first(s, is_skid ? skid : NULL);
    }
    say("'%s' is neither a file nor a known peer: get its public line and say smqtt id trust FILE%s%s, or take the "
        "broker's word for it once with --trust-first-use.",
        to, is_skid ? "" : " ", is_skid ? "" : to);
    return NULL;
}

struct smqtt_identity *peers_server(const struct opts *o)
{
    static struct search s;
    struct smq_why why;
    s = (struct search){.o = o, .now = smq_clock_now().wall};
    if (!find_path(o, s.path, sizeof s.path)) {
        s.path[0] = 0;
    } else if (smq_known_read(s.path, &s.known, &why) != SMQTT_OK) {
        say("%s", why.text);
        return NULL;
    }
    struct smqtt_identity *id = find_server(&s);
    smq_known_free(s.known);
    return id;
}

/* ---------------------------------------------------------------- SMQTT_EV_DESCRIPTOR */

static void follow(const struct opts *o, const struct smqtt_identity *id)
{
    char path[PATH_ROOM];
    char fingerprint[SMQTT_FINGERPRINT_SIZE];
    uint8_t old[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    struct smq_why why;
    size_t n = 0;
    fingerprint_of(id, fingerprint);
    if (find_path(o, path, sizeof path) && smq_known_follow(path, id, smq_clock_now().wall, &n, &why) != SMQTT_OK) {
        say("the known peers could not follow: %s", why.text);
        return;
    }
    const char *how = smqtt_identity_predecessor(id, old, &until) ? "has new keys, for which its old ones vouch"
                                                                  : "has renewed its descriptor";
    say("'%s' %s: version %u, fingerprint %s; %s.", smqtt_identity_name(id), how, (unsigned)smqtt_identity_version(id),
        fingerprint, n != 0 ? "the known peers have it now" : "what --to names is older, get the new public line");
}

/* The owner's own word: a broker that keeps it back tomorrow changes nothing. */
static void remember_revoked(const struct opts *o, const struct smqtt_secure_event *event)
{
    char path[PATH_ROOM];
    struct smq_why why;
    if (find_revoked(o, path, sizeof path) &&
        smq_revoked_remember(path, event->bytes, event->peer_name, &why) != SMQTT_OK) {
        say("that '%s' is revoked could not be remembered: %s", event->peer_name, why.text);
    }
}

/** Why the other descriptor is not taken. */
static void say_refused(smqtt_err err, const char *version, const char *name, unsigned known)
{
    if (err == SMQTT_E_OLD_IDENTITY) {
        say("the broker has %s of the descriptor of '%s', but version %u is known: an old one was put back and is not "
            "taken; if the server itself was started with an old file, give it the new one.",
            version, name, known);
    } else if (err == SMQTT_E_BAD_SIGNATURE) {
        say("the broker has a descriptor (%s) that claims to succeed '%s' (version %u), whose keys have not signed "
            "that: it is not taken; somebody may be forging.",
            version, name, known);
    } else if (err == SMQTT_E_EXPIRED) {
        say("the broker has %s of the descriptor of '%s' (version %u is known), which is not in force, or its grace "
            "time is over: get the new public line from the owner.",
            version, name, known);
    } else if (err == SMQTT_E_REVOKED) {
        say("the owner of '%s' (version %u is known) has revoked its keys, and nothing is sealed for them any more: "
            "get the new public line by a way that the broker does not control.",
            name, known);
    } else {
        say("the broker has %s of the descriptor of '%s' that is not taken: %s.", version, name, smqtt_strerror(err));
    }
}

void peers_on_descriptor(const struct opts *o, const struct smqtt_identity *server,
                         const struct smqtt_secure_event *event)
{
    char version[48] = "another version";
    if (event->peer != NULL) {
        snprintf(version, sizeof version, "version %u", (unsigned)smqtt_identity_version(event->peer));
    }
    if (event->err == SMQTT_E_REVOKED && event->bytes.len != 0) {
        remember_revoked(o, event);
    }
    bool listed = event->err == SMQTT_E_REVOKED && event->peer != NULL && server != NULL &&
                  memcmp(smqtt_identity_did(event->peer), smqtt_identity_did(server), SMQTT_DID_LEN) != 0;
    if (listed) {
        say("the broker has %s of the descriptor of '%s', which stands on our revocation list: it is not taken; ask "
            "the owner which one is right.",
            version, smqtt_identity_name(server));
    } else if (event->err != SMQTT_OK) {
        say_refused(event->err, version, server != NULL ? smqtt_identity_name(server) : "the server",
                    server != NULL ? (unsigned)smqtt_identity_version(server) : 0);
    } else if (event->peer != NULL) {
        follow(o, event->peer);
    }
}
