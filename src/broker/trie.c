/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/trie.h"
#include "codec/topic.h"

enum { FIRST_SLOTS = 16, FIRST_RECEIVERS = 16 };

struct smq_trie_level {
    smq_span name;
    uint64_t hash;
    const struct smq_trie_node *pending; /* stack of the match: a branch still to be looked at ... */
    size_t at;                           /* ... and which level comes there */
};

/** A shared group on its filter. */
struct smq_share {
    struct smq_share *next;
    struct smq_sub *subs, *turn; /* turn: whose it is; NULL: the first's */
    uint64_t hash;
    uint32_t len;
    uint8_t name[];
};

static struct smq_trie_node *node_of(struct smq_tree_node *n)
{
    return (struct smq_trie_node *)(void *)n;
}

smqtt_err smq_trie_init(struct smq_trie *t, const struct smqtt_mem *mem, const uint8_t key[16])
{
    *t = (struct smq_trie){0};
    return smq_tree_init(&t->tree, mem, key, sizeof(struct smq_trie_node));
}

void smq_trie_deinit(struct smq_trie *t)
{
    const struct smqtt_mem *mem = t->tree.mem;
    smq_tree_deinit(&t->tree);
    smq_mem_free(mem, t->slots);
    smq_mem_free(mem, t->match.receivers);
    smq_mem_free(mem, t->match.more);
    smq_mem_free(mem, t->levels);
    *t = (struct smq_trie){0};
}

void smq_subscriber_init(struct smq_subscriber *s, uint64_t hash)
{
    *s = (struct smq_subscriber){.hash = hash};
    smq_list_init(&s->subs);
}

/* ------------------------------------------------------------ table of subscriptions */

static uint64_t key_hash(const struct smq_subscriber *who, const struct smq_trie_node *node,
                         const struct smq_share *share)
{
    uint64_t h = (who->hash ^ node->tree.hash) * UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 29;
    return (h + (share != NULL ? share->hash : 0)) * UINT64_C(0xD6E8FEB86659FD93);
}

static size_t home_of(const struct smq_trie *t, uint64_t hash)
{
    return (size_t)(hash >> 20) & t->mask;
}

static struct smq_sub *find_sub(const struct smq_trie *t, const struct smq_subscriber *who,
                                const struct smq_trie_node *node, const struct smq_share *share)
{
    if (t->slots == NULL) {
        return NULL;
    }
    uint64_t hash = key_hash(who, node, share);
    for (size_t i = home_of(t, hash); t->slots[i].sub != NULL; i = (i + 1) & t->mask) {
        struct smq_sub *sub = t->slots[i].sub;
        if (t->slots[i].hash == hash && sub->who == who && sub->node == node && sub->share == share) {
            return sub;
        }
    }
    return NULL;
}

static void put_slot(struct smq_trie *t, struct smq_sub *sub, uint64_t hash)
{
    size_t i = home_of(t, hash);
    while (t->slots[i].sub != NULL) {
        i = (i + 1) & t->mask;
    }
    t->slots[i] = (struct smq_sub_slot){sub, hash};
}

static smqtt_err resize(struct smq_trie *t, size_t n_slots)
{
    struct smq_sub_slot *old = t->slots;
    size_t n_old = old != NULL ? t->mask + 1 : 0;
    struct smq_sub_slot *slots = smq_mem_zalloc(t->tree.mem, n_slots, sizeof *slots);
    if (slots == NULL) {
        return SMQTT_E_NOMEM;
    }
    t->slots = slots;
    t->mask = n_slots - 1;
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].sub != NULL) {
            put_slot(t, old[i].sub, old[i].hash);
        }
    }
    smq_mem_free(t->tree.mem, old);
    return SMQTT_OK;
}

static void unslot(struct smq_trie *t, const struct smq_sub *sub)
{
    size_t i = home_of(t, key_hash(sub->who, sub->node, sub->share));
    while (t->slots[i].sub != sub) {
        i = (i + 1) & t->mask;
    }
    for (size_t j = (i + 1) & t->mask; t->slots[j].sub != NULL; j = (j + 1) & t->mask) {
        if (((j - home_of(t, t->slots[j].hash)) & t->mask) >= ((j - i) & t->mask)) {
            t->slots[i] = t->slots[j];
            i = j;
        }
    }
    t->slots[i].sub = NULL;
    t->n--;
    if (t->n == 0) {
        smq_mem_free(t->tree.mem, t->slots);
        t->slots = NULL;
        t->mask = 0;
    } else if (t->mask >= FIRST_SLOTS && t->n * 8 < t->mask + 1) {
        (void)!resize(t, (t->mask + 1) / 2); /* without memory it just stays large */
    }
}

/* ------------------------------------------------------------ nodes and groups */

/* Removes a node that nobody needs, and its parents that were there for it only. */
static void prune(struct smq_trie *t, struct smq_trie_node *node)
{
    while (node->tree.parent != NULL && node->tree.first_child == NULL && node->subs == NULL && node->shares == NULL) {
        struct smq_trie_node *parent = node_of(node->tree.parent);
        parent->plus = parent->plus == node ? NULL : parent->plus;
        parent->hash = parent->hash == node ? NULL : parent->hash;
        smq_tree_remove(&t->tree, &node->tree);
        node = parent;
    }
}

/* The tree finds children by hash; those of the names `+` and `#` are known to their parents, too. */
static void learn_wildcards(const struct smq_trie *t, struct smq_trie_node *node)
{
    while (node->tree.parent != NULL) {
        struct smq_trie_node *parent = node_of(node->tree.parent);
        smq_span name = smq_tree_name(&t->tree, &node->tree);
        if (name.len == 1 && name.data[0] == '+') {
            parent->plus = node;
        } else if (name.len == 1 && name.data[0] == '#') {
            parent->hash = node;
        }
        node = parent;
    }
}

static struct smq_share *find_share(const struct smq_trie_node *node, smq_span group)
{
    struct smq_share *s = node->shares;
    while (s != NULL && !smq_span_equal(smq_span_of(s->name, s->len), group)) {
        s = s->next;
    }
    return s;
}

static struct smq_share *add_share(struct smq_trie *t, struct smq_trie_node *node, smq_span group)
{
    struct smq_share *s = find_share(node, group);
    if (s != NULL) {
        return s;
    }
    s = smq_mem_alloc(t->tree.mem, sizeof *s + group.len);
    if (s != NULL) {
        *s = (struct smq_share){
            .next = node->shares, .hash = smq_tree_hash(&t->tree, group) | 1, .len = (uint32_t)group.len};
        memcpy(s->name, group.data, group.len);
        node->shares = s;
    }
    return s;
}

static void prune_share(struct smq_trie *t, struct smq_trie_node *node, struct smq_share *share)
{
    if (share == NULL || share->subs != NULL) {
        return;
    }
    struct smq_share **at = &node->shares;
    while (*at != share) {
        at = &(*at)->next;
    }
    *at = share->next;
    smq_mem_free(t->tree.mem, share);
}

/* ------------------------------------------------------------ subscribing */

static smqtt_err make_room(struct smq_trie *t)
{
    if (t->slots == NULL) {
        return resize(t, FIRST_SLOTS);
    }
    return (t->n + 1) * 4 > (t->mask + 1) * 3 ? resize(t, (t->mask + 1) * 2) : SMQTT_OK;
}

static smqtt_err add_sub(struct smq_trie *t, struct smq_subscriber *who, struct smq_trie_node *node,
                         struct smq_share *share, struct smq_sub **out)
{
    SMQ_TRY(make_room(t));
    struct smq_sub *sub = smq_mem_zalloc(t->tree.mem, 1, sizeof *sub);
    if (sub == NULL) {
        return SMQTT_E_NOMEM;
    }
    struct smq_sub **head = share != NULL ? &share->subs : &node->subs;
    sub->who = who;
    sub->node = node;
    sub->share = share;
    sub->next = *head;
    sub->place = head;
    if (sub->next != NULL) {
        sub->next->place = &sub->next;
    }
    *head = sub;
    smq_list_push_back(&who->subs, &sub->of_who);
    who->n++;
    put_slot(t, sub, key_hash(who, node, share));
    t->n++;
    *out = sub;
    return SMQTT_OK;
}

smqtt_err smq_trie_subscribe(struct smq_trie *t, struct smq_subscriber *who, smq_span filter, uint8_t options,
                             uint32_t id, bool *existed)
{
    smq_span group, rest;
    bool shared = smq_topic_split_share(filter, &group, &rest);
    struct smq_tree_node *at;
    t->last_len = 0;
    SMQ_TRY(smq_tree_add(&t->tree, rest, &at));
    struct smq_trie_node *node = node_of(at);
    learn_wildcards(t, node);
    struct smq_share *share = shared ? add_share(t, node, group) : NULL;
    smqtt_err err = shared && share == NULL ? SMQTT_E_NOMEM : SMQTT_OK;
    struct smq_sub *sub = err == SMQTT_OK ? find_sub(t, who, node, share) : NULL;
    *existed = sub != NULL;
    if (err == SMQTT_OK && sub == NULL) {
        err = add_sub(t, who, node, share, &sub);
    }
    if (err != SMQTT_OK) {
        prune_share(t, node, share);
        prune(t, node);
        return err;
    }
    sub->options = options;
    sub->id = id;
    return SMQTT_OK;
}

static void remove_sub(struct smq_trie *t, struct smq_sub *sub)
{
    t->last_len = 0;
    struct smq_trie_node *node = sub->node;
    struct smq_share *share = sub->share;
    unslot(t, sub);
    *sub->place = sub->next;
    if (sub->next != NULL) {
        sub->next->place = sub->place;
    }
    if (share != NULL && share->turn == sub) {
        share->turn = sub->next;
    }
    smq_list_remove(&sub->of_who);
    sub->who->n--;
    smq_mem_free(t->tree.mem, sub);
    prune_share(t, node, share);
    prune(t, node);
}

static struct smq_sub *look_up(const struct smq_trie *t, const struct smq_subscriber *who, smq_span filter)
{
    smq_span group, rest;
    bool shared = smq_topic_split_share(filter, &group, &rest);
    struct smq_tree_node *at = smq_tree_find(&t->tree, rest);
    if (at == NULL) {
        return NULL;
    }
    struct smq_share *share = shared ? find_share(node_of(at), group) : NULL;
    return shared && share == NULL ? NULL : find_sub(t, who, node_of(at), share);
}

bool smq_trie_has(const struct smq_trie *t, const struct smq_subscriber *who, smq_span filter)
{
    return look_up(t, who, filter) != NULL;
}

bool smq_trie_unsubscribe(struct smq_trie *t, struct smq_subscriber *who, smq_span filter)
{
    struct smq_sub *sub = look_up(t, who, filter);
    if (sub != NULL) {
        remove_sub(t, sub);
    }
    return sub != NULL;
}

void smq_trie_drop(struct smq_trie *t, struct smq_subscriber *who)
{
    struct smq_list *at;
    while ((at = smq_list_first(&who->subs)) != NULL) {
        remove_sub(t, SMQ_CONTAINER_OF(at, struct smq_sub, of_who));
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

static smqtt_err merge(struct smq_trie *t, struct smq_receiver *r, const struct smq_sub *sub)
{
    struct smq_match *m = &t->match;
    uint8_t qos = sub->options & SMQ_SUB_QOS;
    if (sub->id != 0 && r->id != 0) {
        if (m->n_more == m->cap_more) {
            void *more = m->more;
            SMQ_TRY(grow(t->tree.mem, &more, &m->cap_more, sizeof *m->more));
            m->more = more;
        }
        m->more[m->n_more++] = (struct smq_more_id){sub->id, r->more};
        r->more = (uint32_t)m->n_more;
    } else if (sub->id != 0) {
        r->id = sub->id;
    }
    r->qos = qos > r->qos ? qos : r->qos;
    r->rap = r->rap || (sub->options & SMQ_SUB_RAP) != 0;
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
        .who = sub->who, .id = sub->id, .qos = sub->options & SMQ_SUB_QOS, .rap = (sub->options & SMQ_SUB_RAP) != 0};
    return SMQTT_OK;
}

static smqtt_err take_subs(struct smq_trie *t, const struct smq_sub *sub, const struct smq_subscriber *from)
{
    struct smq_match *m = &t->match;
    for (; sub != NULL; sub = sub->next) {
        struct smq_subscriber *who = sub->who;
        if ((sub->options & SMQ_SUB_NO_LOCAL) != 0) {
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

/* One member of each group, in turn; one that is connected if there is any. */
static smqtt_err take_shares(struct smq_trie *t, struct smq_share *share)
{
    t->last_took_turns = true;
    for (; share != NULL; share = share->next) {
        struct smq_sub *first = share->turn != NULL ? share->turn : share->subs;
        struct smq_sub *sub = first;
        while (!sub->who->online) {
            sub = sub->next != NULL ? sub->next : share->subs;
            if (sub == first) {
                break;
            }
        }
        share->turn = sub->next;
        SMQ_TRY(add_receiver(t, sub));
    }
    return SMQTT_OK;
}

static smqtt_err take_node(struct smq_trie *t, const struct smq_trie_node *node, const struct smq_subscriber *from)
{
    SMQ_TRY(take_subs(t, node->subs, from));
    return node->shares != NULL ? take_shares(t, node->shares) : SMQTT_OK;
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
        if (wild && node->hash != NULL) {
            SMQ_TRY(take_node(t, node->hash, from));
        }
        const struct smq_tree_node *child = NULL;
        if (at == n) {
            SMQ_TRY(take_node(t, node, from));
        } else {
            if (wild && node->plus != NULL) {
                t->levels[waiting].pending = node->plus;
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
    if (!t->last_took_turns && topic.len <= sizeof t->last_topic) {
        memcpy(t->last_topic, topic.data, topic.len);
        t->last_len = (uint16_t)topic.len;
        t->last_from = from;
    }
}

smqtt_err smq_trie_match(struct smq_trie *t, smq_span topic, const struct smq_subscriber *from,
                         const struct smq_match **out)
{
    *out = &t->match;
    if (is_last(t, topic, from)) {
        return SMQTT_OK;
    }
    t->match.n = 0;
    t->match.n_more = 0;
    t->last_len = 0;
    if (t->n == 0) {
        return SMQTT_OK;
    }
    t->last_cares_from = false;
    t->last_took_turns = false;
    size_t n;
    SMQ_TRY(split(t, topic, &n));
    t->mark++;
    SMQ_TRY(walk(t, n, topic.len != 0 && topic.data[0] == '$', from));
    remember(t, topic, from);
    return SMQTT_OK;
}
