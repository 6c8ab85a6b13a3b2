/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/trie.h"
#include "base/mem.h"
#include "codec/topic.h"

enum {
    FIRST_SLOTS = 16,
    FIRST_RECEIVERS = 16,
    OPTION_BITS = 4,
    OPTIONS = SMQ_SUB_QOS | SMQ_SUB_NO_LOCAL | SMQ_SUB_RAP,
};

struct smq_trie_level {
    smq_span name;
    uint64_t hash;
    const struct smq_trie_node *pending; /* stack of the match: a branch still to be looked at ... */
    size_t at;                           /* ... and which level comes there */
};

_Static_assert(sizeof(struct smq_trie_node) == 44 && sizeof(struct smq_sub) == 32, "as small as they can be");

static struct smq_trie_node *node_of(struct smq_tree_node *n)
{
    return (struct smq_trie_node *)(void *)n;
}

static struct smq_trie_node *node_at(const struct smq_trie *t, uint32_t name)
{
    return node_of(smq_tree_at(&t->tree, name));
}

static struct smq_sub *sub_at(const struct smq_trie *t, uint32_t name)
{
    return name != 0 ? smq_pool_at(&t->subs, name) : NULL;
}

smqtt_err smq_trie_init(struct smq_trie *t, const struct smqtt_mem *mem, const uint8_t key[16])
{
    *t = (struct smq_trie){0};
    smq_pool_init(&t->subs, mem, sizeof(struct smq_sub));
    return smq_tree_init(&t->tree, mem, key, sizeof(struct smq_trie_node));
}

void smq_trie_deinit(struct smq_trie *t)
{
    const struct smqtt_mem *mem = t->tree.mem;
    smq_tree_deinit(&t->tree);
    smq_pool_deinit(&t->subs);
    smq_mem_free(mem, t->slots);
    smq_mem_free(mem, t->match.receivers);
    smq_mem_free(mem, t->match.more);
    smq_mem_free(mem, t->levels);
    *t = (struct smq_trie){0};
}

void smq_subscriber_init(struct smq_subscriber *s, uint64_t hash)
{
    *s = (struct smq_subscriber){.hash = hash};
}

/* ------------------------------------------------------------ table of subscriptions */

static uint32_t key_tag(const struct smq_subscriber *who, uint32_t node)
{
    uint64_t h = (who->hash ^ node) * UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 29;
    return (uint32_t)((h * UINT64_C(0xD6E8FEB86659FD93)) >> 32);
}

static uint32_t find_sub(const struct smq_trie *t, const struct smq_subscriber *who, uint32_t node)
{
    if (t->slots == NULL) {
        return 0;
    }
    uint32_t tag = key_tag(who, node);
    for (size_t i = tag & t->mask; t->slots[i].sub != 0; i = (i + 1) & t->mask) {
        const struct smq_sub *sub = t->slots[i].tag == tag ? sub_at(t, t->slots[i].sub) : NULL;
        if (sub != NULL && sub->who == who && sub->node == node) {
            return t->slots[i].sub;
        }
    }
    return 0;
}

static void put_slot(struct smq_sub_slot *slots, size_t mask, struct smq_sub_slot slot)
{
    size_t i = slot.tag & mask;
    while (slots[i].sub != 0) {
        i = (i + 1) & mask;
    }
    slots[i] = slot;
}

static smqtt_err resize(struct smq_trie *t, size_t n_slots)
{
    struct smq_sub_slot *slots = smq_mem_zalloc(t->tree.mem, n_slots, sizeof *slots);
    if (slots == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (size_t i = 0; t->slots != NULL && i <= t->mask; i++) {
        if (t->slots[i].sub != 0) {
            put_slot(slots, n_slots - 1, t->slots[i]);
        }
    }
    smq_mem_free(t->tree.mem, t->slots);
    t->slots = slots;
    t->mask = n_slots - 1;
    return SMQTT_OK;
}

static void unslot(struct smq_trie *t, uint32_t name, uint32_t tag)
{
    size_t i = tag & t->mask;
    while (t->slots[i].sub != name) {
        i = (i + 1) & t->mask;
    }
    for (size_t j = (i + 1) & t->mask; t->slots[j].sub != 0; j = (j + 1) & t->mask) {
        if (((j - (t->slots[j].tag & t->mask)) & t->mask) >= ((j - i) & t->mask)) {
            t->slots[i] = t->slots[j];
            i = j;
        }
    }
    t->slots[i].sub = 0;
    t->n--;
    if (t->n == 0) {
        smq_mem_free(t->tree.mem, t->slots);
        t->slots = NULL;
        t->mask = 0;
    } else if (t->mask >= FIRST_SLOTS && t->n * 8 < t->mask + 1) {
        (void)!resize(t, (t->mask + 1) / 2); /* without memory it just stays large */
    }
}

/* ------------------------------------------------------------ nodes */

/* Removes a node that nobody needs, and its parents that were there for it only. */
static void prune(struct smq_trie *t, struct smq_trie_node *node)
{
    while (node->tree.parent != 0 && node->tree.first_child == 0 && node->subs == 0) {
        struct smq_trie_node *parent = node_at(t, node->tree.parent);
        parent->plus = parent->plus == node->tree.self ? 0 : parent->plus;
        parent->hash = parent->hash == node->tree.self ? 0 : parent->hash;
        smq_tree_remove(&t->tree, &node->tree);
        node = parent;
    }
}

/* The tree finds children by hash; those of the names `+` and `#` are known to their parents, too. */
static void learn_wildcards(const struct smq_trie *t, struct smq_trie_node *node)
{
    while (node->tree.parent != 0) {
        struct smq_trie_node *parent = node_at(t, node->tree.parent);
        smq_span name = smq_tree_name(&node->tree);
        if (name.len == 1 && name.data[0] == '+') {
            parent->plus = node->tree.self;
        } else if (name.len == 1 && name.data[0] == '#') {
            parent->hash = node->tree.self;
        }
        node = parent;
    }
}

/* ------------------------------------------------------------ subscribing */

static smqtt_err make_room(struct smq_trie *t)
{
    if (t->slots == NULL) {
        return resize(t, FIRST_SLOTS);
    }
    return (t->n + 1) * 4 > (t->mask + 1) * 3 ? resize(t, (t->mask + 1) * 2) : SMQTT_OK;
}

static smqtt_err add_sub(struct smq_trie *t, struct smq_subscriber *who, uint32_t node, uint32_t *out)
{
    SMQ_TRY(make_room(t));
    uint32_t name = smq_pool_take(&t->subs);
    if (name == 0) {
        return SMQTT_E_NOMEM;
    }
    struct smq_sub *sub = sub_at(t, name);
    uint32_t *head = &node_at(t, node)->subs;
    *sub = (struct smq_sub){.who = who, .node = node, .next = *head, .who_next = who->first};
    if (sub->next != 0) {
        sub_at(t, sub->next)->prev = name;
    }
    *head = name;
    if (who->first != 0) {
        sub_at(t, who->first)->who_prev = name;
    }
    who->first = name;
    who->n++;
    put_slot(t->slots, t->mask, (struct smq_sub_slot){name, key_tag(who, node)});
    t->n++;
    *out = name;
    return SMQTT_OK;
}

/* The only one on its node? */
static bool is_alone(const struct smq_sub *sub)
{
    return sub->next == 0 && sub->prev == 0;
}

static smqtt_err subscribe(struct smq_trie *t, struct smq_subscriber *who, smq_span filter, uint32_t *name,
                           bool *existed)
{
    struct smq_tree_node *at;
    SMQ_TRY(smq_tree_add(&t->tree, filter, &at));
    struct smq_trie_node *node = node_of(at);
    learn_wildcards(t, node);
    *name = find_sub(t, who, at->self);
    *existed = *name != 0;
    if (*existed) {
        return SMQTT_OK;
    }
    smqtt_err err = add_sub(t, who, at->self, name);
    if (err != SMQTT_OK) {
        prune(t, node);
    }
    return err;
}

smqtt_err smq_trie_subscribe(struct smq_trie *t, struct smq_subscriber *who, smq_span filter, uint8_t options,
                             uint32_t id, bool *existed)
{
    uint32_t name;
    bool was;
    t->last_len = 0;
    SMQ_TRY(subscribe(t, who, filter, &name, &was));
    struct smq_sub *sub = sub_at(t, name);
    sub->terms = id << OPTION_BITS | (options & OPTIONS);
    *existed = was;
    if (!was && t->changed != NULL && is_alone(sub)) {
        t->changed(t->ctx, filter, true);
    }
    return SMQTT_OK;
}

/* The filter of a subscription, from the names of its levels. */
static void tell_end(const struct smq_trie *t, const struct smq_sub *sub)
{
    uint8_t text[UINT16_MAX + 1];
    size_t len = smq_tree_path(&t->tree, &node_at(t, sub->node)->tree, text, sizeof text);
    t->changed(t->ctx, smq_span_of(text, len), false);
}

static void remove_sub(struct smq_trie *t, uint32_t name)
{
    struct smq_sub *sub = sub_at(t, name);
    struct smq_trie_node *node = node_at(t, sub->node);
    struct smq_subscriber *who = sub->who;
    t->last_len = 0;
    if (t->changed != NULL && is_alone(sub)) {
        tell_end(t, sub);
    }
    unslot(t, name, key_tag(who, sub->node));
    if (sub->prev != 0) {
        sub_at(t, sub->prev)->next = sub->next;
    } else {
        node->subs = sub->next;
    }
    if (sub->next != 0) {
        sub_at(t, sub->next)->prev = sub->prev;
    }
    if (sub->who_prev != 0) {
        sub_at(t, sub->who_prev)->who_next = sub->who_next;
    } else {
        who->first = sub->who_next;
    }
    if (sub->who_next != 0) {
        sub_at(t, sub->who_next)->who_prev = sub->who_prev;
    }
    who->n--;
    smq_pool_give(&t->subs, name);
    prune(t, node);
}

static uint32_t look_up(const struct smq_trie *t, const struct smq_subscriber *who, smq_span filter)
{
    const struct smq_tree_node *at = smq_tree_find(&t->tree, filter);
    return at != NULL ? find_sub(t, who, at->self) : 0;
}

bool smq_trie_has(const struct smq_trie *t, const struct smq_subscriber *who, smq_span filter)
{
    return look_up(t, who, filter) != 0;
}

bool smq_trie_unsubscribe(struct smq_trie *t, struct smq_subscriber *who, smq_span filter)
{
    uint32_t name = look_up(t, who, filter);
    if (name != 0) {
        remove_sub(t, name);
    }
    return name != 0;
}

void smq_trie_drop(struct smq_trie *t, struct smq_subscriber *who)
{
    while (who->first != 0) {
        remove_sub(t, who->first);
    }
}

/* ------------------------------------------------------------ matching */

static smqtt_err grow(const struct smqtt_mem *mem, void **array, size_t *cap, size_t size)
{
    size_t wanted = *cap != 0 ? *cap * 2 : FIRST_RECEIVERS;
    void *bigger = smq_mem_resize(mem, *array, wanted * size);
    if (bigger == NULL) {
        return SMQTT_E_NOMEM;
    }
    *array = bigger;
    *cap = wanted;
    return SMQTT_OK;
}

static uint32_t id_of(const struct smq_sub *sub)
{
    return sub->terms >> OPTION_BITS;
}

static smqtt_err merge(struct smq_trie *t, struct smq_receiver *r, const struct smq_sub *sub)
{
    struct smq_match *m = &t->match;
    uint32_t id = id_of(sub);
    uint8_t qos = sub->terms & SMQ_SUB_QOS;
    if (id != 0 && r->id != 0) {
        if (m->n_more == m->cap_more) {
            void *more = m->more;
            SMQ_TRY(grow(t->tree.mem, &more, &m->cap_more, sizeof *m->more));
            m->more = more;
        }
        m->more[m->n_more++] = (struct smq_more_id){id, r->more};
        r->more = (uint32_t)m->n_more;
    } else if (id != 0) {
        r->id = id;
    }
    r->qos = qos > r->qos ? qos : r->qos;
    r->rap = r->rap || (sub->terms & SMQ_SUB_RAP) != 0;
    return SMQTT_OK;
}

static smqtt_err add_receiver(struct smq_trie *t, const struct smq_sub *sub)
{
    struct smq_match *m = &t->match;
    if (m->n == m->cap) {
        void *receivers = m->receivers;
        SMQ_TRY(grow(t->tree.mem, &receivers, &m->cap, sizeof *m->receivers));
        m->receivers = receivers;
    }
    m->receivers[m->n++] = (struct smq_receiver){
        .who = sub->who, .id = id_of(sub), .qos = sub->terms & SMQ_SUB_QOS, .rap = (sub->terms & SMQ_SUB_RAP) != 0};
    return SMQTT_OK;
}

static smqtt_err take_subs(struct smq_trie *t, uint32_t name, const struct smq_subscriber *from)
{
    struct smq_match *m = &t->match;
    for (const struct smq_sub *sub = sub_at(t, name); sub != NULL; sub = sub_at(t, sub->next)) {
        struct smq_subscriber *who = sub->who;
        if ((sub->terms & SMQ_SUB_NO_LOCAL) != 0) {
            t->last_cares_from = true;
            if (who == from) {
                continue; /* [MQTT-3.8.3-3] */
            }
        }
        if (who->mark == t->mark && who->index < m->n && m->receivers[who->index].who == who) {
            SMQ_TRY(merge(t, &m->receivers[who->index], sub));
            continue;
        }
        who->mark = t->mark;
        who->index = (uint32_t)m->n;
        SMQ_TRY(add_receiver(t, sub));
    }
    return SMQTT_OK;
}

static smqtt_err split(struct smq_trie *t, smq_span topic, size_t *n)
{
    smq_span name;
    bool more = true;
    *n = 0;
    while (smq_topic_next_level(&topic, &more, &name)) {
        if (*n == t->n_levels) {
            void *levels = t->levels;
            SMQ_TRY(grow(t->tree.mem, &levels, &t->n_levels, sizeof *t->levels));
            t->levels = levels;
        }
        t->levels[*n].name = name;
        t->levels[(*n)++].hash = smq_tree_hash(&t->tree, name);
    }
    return SMQTT_OK;
}

/* Follows the literal branch and leaves each `+` branch for later: at most one of a level waits. */
static smqtt_err walk(struct smq_trie *t, size_t n, bool dollar, const struct smq_subscriber *from)
{
    const struct smq_trie_node *node = node_of(t->tree.root);
    size_t at = 0, waiting = 0;
    for (;;) {
        bool wild = !(dollar && at == 0); /* [MQTT-4.7.2-1] */
        if (wild && node->hash != 0) {
            SMQ_TRY(take_subs(t, node_at(t, node->hash)->subs, from));
        }
        const struct smq_tree_node *child = NULL;
        if (at == n) {
            SMQ_TRY(take_subs(t, node->subs, from));
        } else {
            if (wild && node->plus != 0) {
                t->levels[waiting].pending = node_at(t, node->plus);
                t->levels[waiting++].at = at + 1;
            }
            child = smq_tree_child(&t->tree, &node->tree, t->levels[at].name, t->levels[at].hash);
        }
        if (child != NULL) {
            node = (const struct smq_trie_node *)(const void *)child;
            at++;
        } else if (waiting != 0) {
            waiting--;
            node = t->levels[waiting].pending;
            at = t->levels[waiting].at;
        } else {
            return SMQTT_OK;
        }
    }
}

static bool is_last(const struct smq_trie *t, smq_span topic, const struct smq_subscriber *from)
{
    return t->last_len != 0 && t->last_len == topic.len && memcmp(t->last_topic, topic.data, topic.len) == 0 &&
           (!t->last_cares_from || t->last_from == from);
}

static void remember(struct smq_trie *t, smq_span topic, const struct smq_subscriber *from)
{
    if (topic.len <= sizeof t->last_topic) {
        memcpy(t->last_topic, topic.data, topic.len);
        t->last_len = (uint16_t)topic.len;
        t->last_from = from;
    }
}

static smqtt_err match(struct smq_trie *t, smq_span topic, const struct smq_subscriber *from, bool by_name)
{
    t->match.n = 0;
    t->match.n_more = 0;
    t->last_len = 0;
    if (t->n == 0) {
        return SMQTT_OK;
    }
    t->last_cares_from = false;
    size_t n;
    SMQ_TRY(split(t, topic, &n));
    t->mark++;
    return walk(t, n, by_name || (topic.len != 0 && topic.data[0] == '$'), from);
}

smqtt_err smq_trie_match(struct smq_trie *t, smq_span topic, const struct smq_subscriber *from,
                         const struct smq_match **out)
{
    *out = &t->match;
    if (is_last(t, topic, from)) {
        return SMQTT_OK;
    }
    SMQ_TRY(match(t, topic, from, false));
    if (t->n != 0) {
        remember(t, topic, from);
    }
    return SMQTT_OK;
}

smqtt_err smq_trie_match_by_name(struct smq_trie *t, smq_span topic, const struct smq_match **out)
{
    *out = &t->match;
    return match(t, topic, NULL, true);
}
