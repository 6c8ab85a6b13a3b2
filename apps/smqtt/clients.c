/* SPDX-License-Identifier: Apache-2.0 */
#include "clients.h"

#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "base/utf8.h"
#include "codec/topic.h"
#include "detect/identity.h"
#include "say.h"

enum { CLIENTS_MAX = 65536, FILTERS_MAX = 4096 };

struct client {
    struct smqtt_identity *identity; /* as listed */
    struct smqtt_identity *newest;   /* a renewal or successor of it that was proven, or itself */
    bool said;                       /* that it is too old */
    smq_span *filters;               /* into clients.text */
    size_t n_filters;
};

struct clients {
    uint8_t *text; /* a copy of the file */
    struct client *list;
    size_t n;
    const struct smqtt_store *store; /* NULL: nothing is remembered */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static smq_span trim(smq_span s)
{
    while (s.len != 0 && is_blank(s.data[0])) {
        s = smq_span_from(s, 1);
    }
    while (s.len != 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

/** Room for one more of n elements, which grow in powers of two. */
static void *one_more(void *list, size_t n, size_t size)
{
    if (n != 0 && (n & (n - 1)) != 0) {
        return list;
    }
    return realloc(list, (n != 0 ? 2 * n : 1) * size);
}

/** Do they share a key? Then one was copied: a stolen device, or an image that was made after its keys. */
static bool share_keys(const struct smqtt_identity *a, const struct smqtt_identity *b)
{
    return a->suite == b->suite &&
           (memcmp(a->pk_kem, b->pk_kem, a->suite->npk) == 0 || memcmp(a->pk_sig, b->pk_sig, a->suite->nspk) == 0);
}

/** NULL, or what is wrong with listing it behind the others. */
static const char *compare(const struct clients *c, const struct smqtt_identity *identity)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct smqtt_identity *other = c->list[i].identity;
        if (memcmp(smqtt_identity_did(other), smqtt_identity_did(identity), SMQTT_DID_LEN) == 0) {
            return "a client that was listed before stands here";
        }
        if (share_keys(other, identity)) {
            return strcmp(smqtt_identity_name(other), smqtt_identity_name(identity)) == 0
                       ? "another descriptor of a client that was listed before stands here: leave the newest one"
                       : "the keys of a client that was listed before stand here under another name, as if one device "
                         "were a copy of the other: give each keys of its own";
        }
    }
    return NULL;
}

static const char *add_client(struct clients *c, smq_span line)
{
    if (c->n >= CLIENTS_MAX) {
        return "more clients than one file may list stand here";
    }
    struct client *list = one_more(c->list, c->n, sizeof(*list));
    if (list == NULL) {
        return "there is no memory for what stands here";
    }
    c->list = list;
    struct smqtt_identity *identity = NULL;
    if (smqtt_identity_read(NULL, line, &identity) != SMQTT_OK) {
        return "no valid public line of a client stands here";
    }
    if (smqtt_identity_has_private(identity)) {
        smqtt_identity_free(identity);
        return "a private identity stands here, whose public line belongs here";
    }
    const char *wrong = compare(c, identity);
    if (wrong != NULL) {
        smqtt_identity_free(identity);
        return wrong;
    }
    list[c->n++] = (struct client){.identity = identity, .newest = smqtt_identity_ref(identity)};
    return NULL;
}

static const char *add_filter(struct clients *c, smq_span filter)
{
    if (c->n == 0) {
        return "a topic filter stands here, but no client above it";
    }
    struct client *client = &c->list[c->n - 1];
    smq_span group;
    smq_span rest;
    if (!smq_utf8_ok(filter, SMQ_TEXT_STRICT) || !smq_topic_filter_ok(filter, 0) ||
        smq_topic_split_share(filter, &group, &rest)) {
        return "no valid topic filter stands here";
    }
    if (client->n_filters >= FILTERS_MAX) {
        return "more topic filters than one client may have stand here";
    }
    smq_span *filters = one_more(client->filters, client->n_filters, sizeof(*filters));
    if (filters == NULL) {
        return "there is no memory for what stands here";
    }
    client->filters = filters;
    filters[client->n_filters++] = filter;
    return NULL;
}

/** NULL, or what is wrong with the line. */
static const char *read_line(struct clients *c, smq_span line)
{
    bool indented = line.len != 0 && is_blank(line.data[0]);
    smq_span s = trim(line);
    if (s.len == 0 || (!indented && s.data[0] == '#')) {
        return NULL;
    }
    return indented ? add_filter(c, s) : add_client(c, s);
}

bool clients_read(const char *file, struct smqtt_span text, struct clients **out)
{
    struct clients *c = calloc(1, sizeof(*c));
    if (c != NULL) {
        c->text = malloc(text.len != 0 ? text.len : 1);
    }
    if (c == NULL || c->text == NULL) {
        say("there is no memory for the clients of %s.", file);
        free(c);
        return false;
    }
    if (text.len != 0) {
        memcpy(c->text, text.data, text.len);
    }
    smq_span rest = {c->text, text.len};
    for (unsigned number = 1; rest.len != 0; number++) {
        const uint8_t *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
        const char *wrong = read_line(c, smq_span_of(rest.data, len));
        if (wrong != NULL) {
            say("%s, line %u: %s; a line is what `smqtt id export` prints or, indented below it, a topic filter.", file,
                number, wrong);
            clients_free(c);
            return false;
        }
        rest = smq_span_from(rest, len + 1);
    }
    *out = c;
    return true;
}

void clients_free(struct clients *clients)
{
    if (clients == NULL) {
        return;
    }
    for (size_t i = 0; i < clients->n; i++) {
        smqtt_identity_free(clients->list[i].identity);
        smqtt_identity_free(clients->list[i].newest);
        free(clients->list[i].filters);
    }
    free(clients->list);
    free(clients->text);
    free(clients);
}

/* ---------------------------------------------------------------- what is remembered */

/* The row of a client: its listed keys name it, so that the listed line may be renewed. */
static smq_span row_of(const struct client *client)
{
    return smq_span_of(smqtt_identity_skid(client->identity), SMQTT_SKID_LEN);
}

/** Takes a remembered descriptor if it is newer than the listed line, or vouched for by it. It was judged when it was
 * proven: that its grace time is over now changes nothing. */
static void take_row(void *arg, struct smqtt_span key, struct smqtt_span value)
{
    struct clients *c = arg;
    struct smqtt_identity *id = NULL;
    if (smqtt_identity_read_descriptor(NULL, value, &id) != SMQTT_OK) {
        return;
    }
    for (size_t i = 0; i < c->n; i++) {
        struct client *client = &c->list[i];
        uint8_t old[SMQTT_SKID_LEN];
        smqtt_ms until = 0;
        bool same = memcmp(smqtt_identity_skid(id), smqtt_identity_skid(client->identity), SMQTT_SKID_LEN) == 0;
        bool next = smqtt_identity_predecessor(id, old, &until);
        if (smq_span_equal(key, row_of(client)) && (same || next) &&
            smqtt_identity_version(id) > smqtt_identity_version(client->identity)) {
            smqtt_identity_free(client->newest);
            client->newest = smqtt_identity_ref(id);
        }
    }
    smqtt_identity_free(id);
}

bool clients_remember(struct clients *clients, const struct smqtt_store *store)
{
    struct smqtt_span all = {NULL, 0};
    smqtt_err err = store->each(store->ctx, all, take_row, clients);
    if (err != SMQTT_OK) {
        say("what is remembered of the clients cannot be read: %s.", smqtt_strerror(err));
        return false;
    }
    clients->store = store;
    return true;
}

static void remember(struct clients *c, const struct client *client)
{
    if (c->store == NULL) {
        return;
    }
    smqtt_err err = c->store->put(c->store->ctx, row_of(client), smqtt_identity_descriptor(client->newest));
    if (err == SMQTT_OK) {
        err = c->store->sync(c->store->ctx);
    }
    if (err != SMQTT_OK) {
        say("that '%s' has a newer descriptor could not be remembered: is the disk full?",
            smqtt_identity_name(client->newest));
    }
}

/* ---------------------------------------------------------------- who may */

static bool is_same(const struct smqtt_identity *a, const struct smqtt_identity *b)
{
    return memcmp(smqtt_identity_did(a), smqtt_identity_did(b), SMQTT_DID_LEN) == 0;
}

static void say_too_old(struct client *client, const struct smqtt_identity *peer, smqtt_err err)
{
    if (client->said || (err != SMQTT_E_OLD_IDENTITY && err != SMQTT_E_EXPIRED)) {
        return;
    }
    client->said = true;
    if (err == SMQTT_E_OLD_IDENTITY) {
        say("refused: '%s' came with version %u of its descriptor, but version %u is known: an old copy of the device "
            "or of its file is at work; if it is the right one, list its newest public line.",
            smqtt_identity_name(peer), (unsigned)smqtt_identity_version(peer),
            (unsigned)smqtt_identity_version(client->newest));
    } else {
        say("refused: '%s' came with version %u of its descriptor (version %u is known), which is not in force, or its "
            "grace time is over: list its new public line.",
            smqtt_identity_name(peer), (unsigned)smqtt_identity_version(peer),
            (unsigned)smqtt_identity_version(client->newest));
    }
}

/** Whom this is a descriptor of; NULL: nobody who is listed. */
static struct client *find_client(struct clients *c, const struct smqtt_identity *peer, smqtt_ms wall)
{
    for (size_t i = 0; i < c->n; i++) {
        struct client *client = &c->list[i];
        if (is_same(client->newest, peer)) {
            return client;
        }
        smqtt_err err = smqtt_identity_supersedes(client->newest, peer, wall);
        if (err == SMQTT_OK) {
            return client;
        }
        say_too_old(client, peer, err);
    }
    return NULL;
}

bool clients_allow(struct clients *clients, const struct smqtt_identity *peer, struct smqtt_span topic, smqtt_ms wall)
{
    const struct client *client = peer != NULL ? find_client(clients, peer, wall) : NULL;
    bool allowed = client != NULL && client->n_filters == 0;
    for (size_t k = 0; client != NULL && !allowed && k < client->n_filters; k++) {
        allowed = smq_topic_match(client->filters[k], topic);
    }
    return allowed;
}

void clients_proven(struct clients *clients, const struct smqtt_identity *peer, smqtt_ms wall)
{
    struct client *client = peer != NULL ? find_client(clients, peer, wall) : NULL;
    struct smqtt_identity *id = NULL;
    if (client == NULL || is_same(client->newest, peer) ||
        smqtt_identity_read_descriptor(NULL, smqtt_identity_descriptor(peer), &id) != SMQTT_OK) {
        return;
    }
    smqtt_identity_free(client->newest);
    client->newest = id;
    client->said = false;
    remember(clients, client);
}

const struct smqtt_identity *clients_lookup(const struct clients *c, const uint8_t short_did[8])
{
    const struct smqtt_identity *found = NULL;
    for (size_t i = 0; i < c->n; i++) {
        if (memcmp(smqtt_identity_did(c->list[i].newest), short_did, 8) != 0) {
            continue;
        }
        if (found != NULL) {
            return NULL;
        }
        found = c->list[i].newest;
    }
    return found;
}
