/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/filters.h"

#include "base/mem.h"
#include "base/siphash.h"
#include "codec/topic.h"

enum { NODES_MAX = INT32_MAX, FIRST = 16 };

struct node {
    smq_span name;
    uint64_t hash; /* of parent and name */
    uint32_t parent;
    uint32_t plus;    /* child `+`; 0: none */
    uint32_t n_named; /* children with names */
    uint32_t named;   /* the last of them */
    uint8_t bits;     /* of the filter that ends here */
    uint8_t all_bits; /* of the filter that ends in `#` below */
};

struct smq_filters {
    const struct smqtt_mem *mem;
    uint8_t key[16];
    struct node *nodes; /* 0 is nobody's */
    uint32_t n, cap;
    uint32_t *slots; /* (parent, name) -> node; 0: free */
    uint32_t mask;
};

smqtt_err smq_filters_new(const struct smqtt_mem *mem, const uint8_t key[16], struct smq_filters **out)
{
    struct smq_filters *f = smq_mem_zalloc(mem, 1, sizeof *f);
    if (f == NULL) {
        return SMQTT_E_NOMEM;
    }
    f->mem = mem;
    memcpy(f->key, key, sizeof f->key);
    f->nodes = smq_mem_zalloc(mem, FIRST, sizeof *f->nodes);
    f->slots = smq_mem_zalloc(mem, 2 * FIRST, sizeof *f->slots);
    f->cap = FIRST;
    f->n = 1;
    f->mask = 2 * FIRST - 1;
    if (f->nodes == NULL || f->slots == NULL) {
        smq_filters_free(f);
        return SMQTT_E_NOMEM;
    }
    *out = f;
    return SMQTT_OK;
}

void smq_filters_free(struct smq_filters *f)
{
    if (f != NULL) {
        smq_mem_free(f->mem, f->nodes);
        smq_mem_free(f->mem, f->slots);
        smq_mem_free(f->mem, f);
    }
}

static uint64_t hash_of(const struct smq_filters *f, uint32_t parent, smq_span name)
{
    return smq_siphash13(f->key, name) ^ parent * UINT64_C(0x9E3779B97F4A7C15);
}

static void place(struct smq_filters *f, uint32_t at)
{
    uint64_t i = f->nodes[at].hash;
    while (f->slots[i & f->mask] != 0) {
        i++;
    }
    f->slots[i & f->mask] = at;
}

/* Twice the room; slots are twice the nodes. */
static smqtt_err grow(struct smq_filters *f)
{
    if (f->cap > NODES_MAX / 2) {
        return SMQTT_E_FULL;
    }
    uint32_t cap = f->cap * 2;
    uint32_t *slots = smq_mem_zalloc(f->mem, 2 * (size_t)cap, sizeof *slots);
    struct node *nodes = slots != NULL ? smq_mem_resize(f->mem, f->nodes, cap * sizeof(*nodes)) : NULL;
    if (nodes == NULL) {
        smq_mem_free(f->mem, slots);
        return SMQTT_E_NOMEM;
    }
    smq_mem_free(f->mem, f->slots);
    f->nodes = nodes;
    f->slots = slots;
    f->cap = cap;
    f->mask = 2 * cap - 1;
    for (uint32_t i = 1; i < f->n; i++) {
        if (nodes[i].name.data != NULL) {
            place(f, i);
        }
    }
    return SMQTT_OK;
}

static smqtt_err new_node(struct smq_filters *f, uint32_t parent, smq_span name, uint32_t *out)
{
    if (f->n == f->cap) {
        SMQ_TRY(grow(f));
    }
    *out = f->n++;
    f->nodes[*out] = (struct node){.name = name, .parent = parent};
    return SMQTT_OK;
}

smqtt_err smq_filters_set(struct smq_filters *f, uint32_t *set)
{
    return new_node(f, 0, (smq_span){NULL, 0}, set);
}

static uint32_t find(const struct smq_filters *f, uint32_t parent, smq_span name, uint64_t hash)
{
    for (uint64_t i = hash;; i++) {
        uint32_t at = f->slots[i & f->mask];
        const struct node *node = &f->nodes[at];
        if (at == 0 || (node->hash == hash && node->parent == parent && smq_span_equal(node->name, name))) {
            return at;
        }
    }
}

static bool is_char(smq_span level, char c)
{
    return level.len == 1 && level.data[0] == (uint8_t)c;
}

/* The child of this name, made if need be. */
static smqtt_err child_of(struct smq_filters *f, uint32_t parent, smq_span name, uint32_t *out)
{
    bool plus = is_char(name, '+');
    uint64_t hash = hash_of(f, parent, name);
    uint32_t at = plus ? f->nodes[parent].plus : find(f, parent, name, hash);
    if (at == 0) {
        SMQ_TRY(new_node(f, parent, plus ? (smq_span){NULL, 0} : name, &at));
        f->nodes[at].hash = hash;
        if (plus) {
            f->nodes[parent].plus = at;
        } else {
            place(f, at);
            f->nodes[parent].n_named++;
            f->nodes[parent].named = at;
        }
    }
    *out = at;
    return SMQTT_OK;
}

smqtt_err smq_filters_add(struct smq_filters *f, uint32_t set, smq_span filter, uint8_t bits)
{
    uint32_t at = set;
    bool more = true;
    smq_span level;
    while (smq_topic_next_level(&filter, &more, &level)) {
        if (is_char(level, '#')) {
            f->nodes[at].all_bits |= bits;
            return SMQTT_OK;
        }
        /* An empty level has a place, too, by which it is told from a node without name. */
        smq_span name = level.data != NULL ? level : smq_span_of("", 0);
        SMQ_TRY(child_of(f, at, name, &at));
    }
    f->nodes[at].bits |= bits;
    return SMQTT_OK;
}

/* Most have one child, which needs no hash. */
static uint32_t named_child(const struct smq_filters *f, uint32_t at, smq_span name)
{
    const struct node *node = &f->nodes[at];
    if (node->n_named > 1) {
        return find(f, at, name, hash_of(f, at, name));
    }
    return node->n_named == 1 && smq_span_equal(f->nodes[node->named].name, name) ? node->named : 0;
}

/* Goes no deeper than the filters do, which have at most 200 levels. */
static unsigned match(const struct smq_filters *f, uint32_t at, smq_span rest, bool more, bool wild)
{
    const struct node *node = &f->nodes[at];
    unsigned bits = wild ? node->all_bits : 0;
    smq_span level;
    if (!smq_topic_next_level(&rest, &more, &level)) {
        return bits | node->bits;
    }
    if (wild && node->plus != 0) {
        bits |= match(f, node->plus, rest, more, true);
    }
    uint32_t child = named_child(f, at, level);
    return child != 0 ? bits | match(f, child, rest, more, true) : bits;
}

unsigned smq_filters_match(const struct smq_filters *f, uint32_t set, smq_span topic)
{
    bool dollar = topic.len != 0 && topic.data[0] == '$';
    return match(f, set, topic, true, !dollar);
}
