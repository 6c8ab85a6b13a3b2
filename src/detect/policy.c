/* SPDX-License-Identifier: Apache-2.0 */
/* Which topics must be sealed (protocol.md 8). */
#include <smqtt/secure.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "codec/topic.h"

enum { RULES_MAX = 65536 };

struct rule {
    smq_span filter;
    bool require;
    bool logical;
};

struct smqtt_policy {
    const struct smqtt_mem *mem;
    uint8_t *text;
    size_t n;
    struct rule rules[];
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

/** Takes the last word off; a filter may hold blanks, the words behind it may not. */
static smq_span last_word_take(smq_span *s)
{
    size_t at = s->len;
    while (at != 0 && !is_blank(s->data[at - 1])) {
        at--;
    }
    smq_span word = smq_span_from(*s, at);
    s->len = at;
    *s = trim(*s);
    return word;
}

static bool rule_read(smq_span line, struct rule *out)
{
    struct rule r = {{NULL, 0}, false, false};
    smq_span word = last_word_take(&line);
    if (smq_span_equal(word, smq_span_str("logical"))) {
        r.logical = true;
        word = last_word_take(&line);
    }
    r.require = smq_span_equal(word, smq_span_str("require"));
    r.filter = line;
    *out = r;
    return (r.require || smq_span_equal(word, smq_span_str("allow-plain"))) && smq_utf8_ok(line, SMQ_TEXT_STANDARD) &&
           smq_topic_filter_ok(line, 0);
}

static smq_span line_take(smq_span *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->len);
    smq_span line = smq_span_of(text->data, end != NULL ? (size_t)(end - text->data) : text->len);
    *text = smq_span_from(*text, line.len + 1);
    return trim(line);
}

static size_t lines_count(smq_span text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++) {
        n += text.data[i] == '\n';
    }
    return n;
}

smqtt_err smqtt_policy_read(const struct smqtt_mem *mem, struct smqtt_span text, struct smqtt_policy **out,
                            unsigned *line)
{
    mem = smq_mem_or_default(mem);
    size_t n = lines_count(text);
    *line = 0;
    if (n > RULES_MAX) {
        return SMQTT_E_USAGE;
    }
    struct smqtt_policy *policy = smq_mem_zalloc(mem, 1, sizeof(*policy) + n * sizeof(policy->rules[0]));
    uint8_t *copy = smq_mem_dup(mem, text);
    if (policy == NULL || copy == NULL) {
        smq_mem_free(mem, policy);
        smq_mem_free(mem, copy);
        return SMQTT_E_NOMEM;
    }
    policy->mem = mem;
    policy->text = copy;
    smq_span rest = smq_span_of(copy, text.len);
    while (rest.len != 0) {
        smq_span words = line_take(&rest);
        ++*line;
        if (words.len == 0 || words.data[0] == '#') {
            continue;
        }
        if (!rule_read(words, &policy->rules[policy->n])) {
            smqtt_policy_free(policy);
            return SMQTT_E_USAGE;
        }
        policy->n++;
    }
    *out = policy;
    return SMQTT_OK;
}

void smqtt_policy_free(struct smqtt_policy *policy)
{
    if (policy != NULL) {
        smq_mem_free(policy->mem, policy->text);
        smq_mem_free(policy->mem, policy);
    }
}

static const struct rule *find(const struct smqtt_policy *policy, smq_span topic)
{
    for (size_t i = 0; policy != NULL && i < policy->n; i++) {
        if (smq_topic_match(policy->rules[i].filter, topic)) {
            return &policy->rules[i];
        }
    }
    return NULL;
}

bool smqtt_policy_requires(const struct smqtt_policy *policy, struct smqtt_span topic)
{
    const struct rule *rule = find(policy, topic);
    return rule == NULL || rule->require;
}

bool smqtt_policy_logical(const struct smqtt_policy *policy, struct smqtt_span topic)
{
    const struct rule *rule = find(policy, topic);
    return rule != NULL && rule->logical;
}
