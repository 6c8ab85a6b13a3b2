/* SPDX-License-Identifier: Apache-2.0 */
#include "clients.h"

#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "base/utf8.h"
#include "codec/topic.h"
#include "say.h"

enum { CLIENTS_MAX = 65536, FILTERS_MAX = 4096 };

struct client {
    struct smqtt_identity *identity;
    smq_span *filters; /* into clients.text */
    size_t n_filters;
};

struct clients {
    uint8_t *text; /* a copy of the file */
    struct client *list;
    size_t n;
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
    for (size_t i = 0; i < c->n; i++) {
        if (memcmp(smqtt_identity_did(c->list[i].identity), smqtt_identity_did(identity), SMQTT_DID_LEN) == 0) {
            smqtt_identity_free(identity);
            return "a client that was listed before stands here";
        }
    }
    list[c->n++] = (struct client){.identity = identity};
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
        free(clients->list[i].filters);
    }
    free(clients->list);
    free(clients->text);
    free(clients);
}

bool clients_allow(void *ctx, const struct smqtt_identity *peer, struct smqtt_span topic)
{
    const struct clients *c = ctx;
    for (size_t i = 0; peer != NULL && i < c->n; i++) {
        const struct client *client = &c->list[i];
        if (memcmp(smqtt_identity_did(client->identity), smqtt_identity_did(peer), SMQTT_DID_LEN) != 0) {
            continue;
        }
        bool allowed = client->n_filters == 0;
        for (size_t k = 0; !allowed && k < client->n_filters; k++) {
            allowed = smq_topic_match(client->filters[k], topic);
        }
        return allowed;
    }
    return false;
}

const struct smqtt_identity *clients_lookup(void *ctx, const uint8_t short_did[8])
{
    const struct clients *c = ctx;
    const struct smqtt_identity *found = NULL;
    for (size_t i = 0; i < c->n; i++) {
        if (memcmp(smqtt_identity_did(c->list[i].identity), short_did, 8) != 0) {
            continue;
        }
        if (found != NULL) {
            return NULL;
        }
        found = c->list[i].identity;
    }
    return found;
}
