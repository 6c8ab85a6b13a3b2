/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/acl.h"

#include "auth/filters.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/topic.h"

enum { LEVELS_MAX = 200 };

struct smq_acl_role {
    smq_span user; /* empty: those without */
    uint32_t set;
    struct smq_acl_role *next;
};

struct pattern {
    smq_span text;
    uint8_t bits;
    bool has_user; /* %u is in it */
};

struct smq_acl {
    const struct smqtt_mem *mem;
    uint8_t *text; /* copy of the file: names and filters are in it */
    struct smq_map users;
    struct smq_acl_role *roles;
    struct smq_acl_role *anonymous;
    struct smq_filters *filters;
    struct pattern *patterns;
    size_t n_patterns, cap_patterns;
};

/* ------------------------------------------------------------ reading */

static bool is_word(smq_span word, const char *text)
{
    return smq_span_equal(word, smq_span_str(text));
}

static smqtt_err role_of(struct smq_acl *acl, smq_span user, struct smq_acl_role **out)
{
    struct smq_acl_role *role = user.len == 0 ? acl->anonymous : smq_map_get(&acl->users, user);
    if (role != NULL) {
        *out = role;
        return SMQTT_OK;
    }
    role = smq_mem_zalloc(acl->mem, 1, sizeof *role);
    if (role == NULL) {
        return SMQTT_E_NOMEM;
    }
    role->user = user;
    role->next = acl->roles;
    acl->roles = role;
    SMQ_TRY(smq_filters_set(acl->filters, &role->set));
    if (user.len == 0) {
        acl->anonymous = role;
    } else {
        SMQ_TRY(smq_map_put(&acl->users, user, role, NULL));
    }
    *out = role;
    return SMQTT_OK;
}

/* "[ACCESS] FILTER": the first word is an access only when something follows it, as Mosquitto reads it. */
static smqtt_err read_filter(struct smq_lines *lines, smq_span rest, smq_span *filter, uint8_t *bits)
{
    smq_span word;
    *bits = SMQ_ACL_READ | SMQ_ACL_WRITE;
    if (!smq_lines_word(&rest, &word)) {
        return smq_lines_fail(lines, "there is no topic in this line: write it behind.");
    }
    *filter = word;
    if (rest.len != 0) {
        *filter = rest;
        *bits = is_word(word, "read")        ? SMQ_ACL_READ
                : is_word(word, "write")     ? SMQ_ACL_WRITE
                : is_word(word, "readwrite") ? SMQ_ACL_READ | SMQ_ACL_WRITE
                : is_word(word, "deny")      ? SMQ_ACL_DENY
                                             : 0;
        if (*bits == 0) {
            return smq_lines_fail(lines,
                                  "\"%.*s\" is not read, write, readwrite or deny, one of which stands before a topic "
                                  "with spaces.",
                                  (int)(word.len < 128 ? word.len : 128), (const char *)word.data);
        }
    }
    if (!smq_topic_filter_ok(*filter, LEVELS_MAX)) {
        return smq_lines_fail(lines, "\"%.*s\" is not a topic filter: + stands for a whole level, # for the last ones.",
                              (int)(filter->len < 128 ? filter->len : 128), (const char *)filter->data);
    }
    return SMQTT_OK;
}

static bool has_user(smq_span text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] == '%' && text.data[i + 1] == 'u') {
            return true;
        }
    }
    return false;
}

static smqtt_err add_pattern(struct smq_acl *acl, smq_span text, uint8_t bits)
{
    if (acl->n_patterns == acl->cap_patterns) {
        size_t cap = acl->cap_patterns != 0 ? acl->cap_patterns * 2 : 8;
        struct pattern *patterns = smq_mem_resize(acl->mem, acl->patterns, cap * sizeof *patterns);
        if (patterns == NULL) {
            return SMQTT_E_NOMEM;
        }
        acl->patterns = patterns;
        acl->cap_patterns = cap;
    }
    acl->patterns[acl->n_patterns++] = (struct pattern){text, bits, has_user(text)};
    return SMQTT_OK;
}

static smqtt_err read_line(struct smq_acl *acl, struct smq_lines *lines, smq_span line, smq_span *user)
{
    smq_span word, filter;
    uint8_t bits;
    (void)smq_lines_word(&line, &word);
    if (is_word(word, "user")) {
        *user = line;
        struct smq_acl_role *role;
        return line.len != 0 ? role_of(acl, line, &role)
                             : smq_lines_fail(lines, "there is no user name in this line: write it behind.");
    }
    if (is_word(word, "topic")) {
        struct smq_acl_role *role;
        SMQ_TRY(read_filter(lines, line, &filter, &bits));
        SMQ_TRY(role_of(acl, *user, &role));
        return smq_filters_add(acl->filters, role->set, filter, bits);
    }
    if (is_word(word, "pattern")) {
        SMQ_TRY(read_filter(lines, line, &filter, &bits));
        return add_pattern(acl, filter, bits);
    }
    return smq_lines_fail(lines, "\"%.*s\" is not user, topic or pattern, with one of which a line begins.",
                          (int)(word.len < 128 ? word.len : 128), (const char *)word.data);
}

smqtt_err smq_acl_read(const struct smqtt_mem *mem, const uint8_t key[16], struct smq_lines *lines,
                       struct smq_acl **out)
{
    struct smq_acl *acl = smq_mem_zalloc(mem, 1, sizeof *acl);
    if (acl == NULL) {
        return SMQTT_E_NOMEM;
    }
    acl->mem = mem;
    smq_map_init(&acl->users, mem, key);
    acl->text = smq_mem_dup(mem, lines->rest);
    smqtt_err err = acl->text != NULL ? smq_filters_new(mem, key, &acl->filters) : SMQTT_E_NOMEM;
    lines->rest.data = acl->text != NULL ? acl->text : lines->rest.data;
    smq_span user = {NULL, 0};
    smq_span line;
    while (err == SMQTT_OK && smq_lines_next(lines, &line)) {
        err = read_line(acl, lines, line, &user);
    }
    if (err == SMQTT_OK && lines->fault[0] != 0) {
        err = SMQTT_E_USAGE;
    }
    lines->rest = (smq_span){NULL, 0};
    if (err != SMQTT_OK) {
        smq_acl_free(acl);
        return err;
    }
    *out = acl;
    return SMQTT_OK;
}

void smq_acl_free(struct smq_acl *acl)
{
    if (acl == NULL) {
        return;
    }
    while (acl->roles != NULL) {
        struct smq_acl_role *next = acl->roles->next;
        smq_mem_free(acl->mem, acl->roles);
        acl->roles = next;
    }
    smq_map_deinit(&acl->users);
    smq_filters_free(acl->filters);
    smq_mem_free(acl->mem, acl->patterns);
    smq_mem_free(acl->mem, acl->text);
    smq_mem_free(acl->mem, acl);
}

/* ------------------------------------------------------------ asking */

const struct smq_acl_role *smq_acl_role(const struct smq_acl *acl, smq_span user)
{
    return user.len == 0 ? acl->anonymous : smq_map_get(&acl->users, user);
}

static bool has_wildcard(smq_span name)
{
    return name.len != 0 && (memchr(name.data, '+', name.len) != NULL || memchr(name.data, '#', name.len) != NULL);
}

/* Takes `part` off the front of the topic. */
static bool take(smq_span *topic, smq_span part)
{
    bool same = smq_span_starts(*topic, part);
    *topic = smq_span_from(*topic, same ? part.len : 0);
    return same;
}

static void skip_level(smq_span *topic)
{
    const uint8_t *slash = topic->len != 0 ? memchr(topic->data, '/', topic->len) : NULL;
    *topic = smq_span_from(*topic, slash != NULL ? (size_t)(slash - topic->data) : topic->len);
}

/* As smq_topic_match of the pattern with the names put in, without doing so. The names have no wildcards, so those of
 * the pattern are where its text has them. */
static bool pattern_matches(smq_span pattern, smq_span client_id, smq_span user, smq_span topic)
{
    bool dollar = topic.len != 0 && topic.data[0] == '$';
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t c = pattern.data[i];
        uint8_t next = i + 1 < pattern.len ? pattern.data[i + 1] : 0;
        if ((c == '#' || c == '+') && i == 0 && dollar) {
            return false; /* [MQTT-4.7.2-1] */
        }
        if (c == '#') {
            return true;
        }
        if (c == '/' && next == '#' && topic.len == 0) {
            return true; /* `a/#` matches `a`, too */
        }
        if (c == '+') {
            skip_level(&topic);
            continue;
        }
        if (c == '%' && (next == 'c' || next == 'u')) {
            if (!take(&topic, next == 'c' ? client_id : user)) {
                return false;
            }
            i++;
        } else if (topic.len == 0 || topic.data[0] != c) {
            return false;
        } else {
            topic = smq_span_of(topic.data + 1, topic.len - 1);
        }
    }
    return topic.len == 0;
}

static bool patterns_allow(const struct smq_acl *acl, smq_span client_id, smq_span user, smq_span topic, unsigned want)
{
    bool allowed = false;
    if (acl->n_patterns == 0 || has_wildcard(client_id) || has_wildcard(user)) {
        return false;
    }
    for (size_t i = 0; i < acl->n_patterns; i++) {
        const struct pattern *p = &acl->patterns[i];
        bool useful = (p->bits & (want | SMQ_ACL_DENY)) != 0 && (!allowed || p->bits == SMQ_ACL_DENY);
        if (useful && !(p->has_user && user.len == 0) && pattern_matches(p->text, client_id, user, topic)) {
            if (p->bits == SMQ_ACL_DENY) {
                return false;
            }
            allowed = true;
        }
    }
    return allowed;
}

bool smq_acl_allows(const struct smq_acl *acl, const struct smq_acl_role *role, smq_span client_id, smq_span user,
                    smq_span topic, unsigned want)
{
    unsigned bits = role != NULL ? smq_filters_match(acl->filters, role->set, topic) : 0;
    if ((bits & SMQ_ACL_DENY) != 0) {
        return false;
    }
    return (bits & want) != 0 || patterns_allow(acl, client_id, user, topic, want);
}
