/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/retain.h"
#include "base/mem.h"
#include "broker/message.h"
#include "codec/topic.h"

static struct smq_retain_node *node_of(struct smq_tree_node *n)
{
    return (struct smq_retain_node *)(void *)n;
}

smqtt_err smq_retain_init(struct smq_retain *r, const struct smqtt_mem *mem, const uint8_t key[16],
                          struct smq_wheel *wheel, smq_timer_fn fire)
{
    *r = (struct smq_retain){.wheel = wheel, .fire = fire};
    return smq_tree_init(&r->tree, mem, key, sizeof(struct smq_retain_node));
}

static void drop_timer(struct smq_retain *r, struct smq_retain_node *node)
{
    if (node->expiry != NULL) {
        smq_wheel_cancel(r->wheel, &node->expiry->timer.node);
        smq_mem_free(r->tree.mem, node->expiry);
        node->expiry = NULL;
    }
}

static void prune(struct smq_retain *r, struct smq_tree_node *node)
{
    while (node->parent != 0 && node->first_child == 0 && node_of(node)->msg == NULL) {
        node = smq_tree_remove(&r->tree, node);
    }
}

static void clear(struct smq_retain *r, struct smq_retain_node *node)
{
    drop_timer(r, node);
    if (node->msg != NULL) {
        smq_msg_unref(node->msg);
        node->msg = NULL;
        r->n--;
    }
    prune(r, &node->tree);
}

void smq_retain_deinit(struct smq_retain *r)
{
    struct smq_tree_node *node = r->tree.root;
    while (node != NULL && (node->parent != 0 || node->first_child != 0)) {
        while (node->first_child != 0) {
            node = smq_tree_first(&r->tree, node);
        }
        drop_timer(r, node_of(node));
        smq_msg_unref(node_of(node)->msg);
        node = smq_tree_remove(&r->tree, node);
    }
    smq_tree_deinit(&r->tree);
    r->n = 0;
}

smqtt_err smq_retain_set(struct smq_retain *r, struct smq_refbuf *msg, uint32_t max)
{
    struct smq_content c = smq_msg_content(msg);
    struct smq_tree_node *at = smq_tree_find(&r->tree, c.topic);
    if (max != 0 && r->n >= max && (at == NULL || node_of(at)->msg == NULL)) {
        return SMQTT_E_QUOTA;
    }
    struct smq_retain_timer *timer = NULL;
    if (c.expires != SMQTT_NEVER) {
        timer = smq_mem_zalloc(r->tree.mem, 1, sizeof *timer);
        if (timer == NULL) {
            return SMQTT_E_NOMEM;
        }
    }
    smqtt_err err = smq_tree_add(&r->tree, c.topic, &at);
    if (err != SMQTT_OK) {
        smq_mem_free(r->tree.mem, timer);
        return err;
    }
    struct smq_retain_node *node = node_of(at);
    drop_timer(r, node);
    r->n += node->msg == NULL;
    smq_msg_unref(node->msg);
    node->msg = smq_refbuf_ref(msg);
    node->expiry = timer;
    if (timer != NULL) {
        timer->node = node;
        smq_timer_init(&timer->timer, r->fire);
        smq_wheel_set(r->wheel, &timer->timer.node, c.expires);
    }
    return SMQTT_OK;
}

void smq_retain_remove(struct smq_retain *r, smq_span topic)
{
    struct smq_tree_node *at = smq_tree_find(&r->tree, topic);
    if (at != NULL && at->parent != 0) {
        clear(r, node_of(at));
    }
}

void smq_retain_expire(struct smq_retain *r, struct smq_retain_timer *timer)
{
    clear(r, timer->node);
}

/* ------------------------------------------------------------ walking */

static bool is_dollar(const struct smq_tree_node *node)
{
    smq_span name = smq_tree_name(node);
    return name.len != 0 && name.data[0] == '$';
}

/* The next sibling that a wildcard at this place may match [MQTT-4.7.2-1]. */
static struct smq_tree_node *allowed(const struct smq_retain *r, struct smq_tree_node *node)
{
    while (node != NULL && node->parent == r->tree.root->self && is_dollar(node)) {
        node = smq_tree_next(&r->tree, node);
    }
    return node;
}

struct walk {
    const struct smq_retain *r;
    bool (*fn)(void *ctx, struct smq_refbuf *msg);
    void *ctx;
};

static bool show(const struct walk *w, struct smq_tree_node *node)
{
    struct smq_refbuf *msg = node_of(node)->msg;
    return msg == NULL || w->fn(w->ctx, msg);
}

/* `#`: the node and everything below it. */
static bool show_all(const struct walk *w, struct smq_tree_node *top)
{
    struct smq_tree_node *node = top;
    for (;;) {
        if (!show(w, node)) {
            return false;
        }
        struct smq_tree_node *next = allowed(w->r, smq_tree_first(&w->r->tree, node));
        while (next == NULL && node != top) {
            next = allowed(w->r, smq_tree_next(&w->r->tree, node));
            node = smq_tree_parent(&w->r->tree, node);
        }
        if (next == NULL) {
            return true;
        }
        node = next;
    }
}

/* One level of the filter; where in it the level begins and ends is all that going back takes. */
static smq_span level_at(smq_span filter, size_t from)
{
    const uint8_t *start = filter.data + from;
    const uint8_t *slash = from < filter.len ? memchr(start, '/', filter.len - from) : NULL;
    return (smq_span){start, slash != NULL ? (size_t)(slash - start) : filter.len - from};
}

static size_t level_before(smq_span filter, size_t from)
{
    size_t at = from - 1; /* the slash */
    while (at > 0 && filter.data[at - 1] != '/') {
        at--;
    }
    return at;
}

static bool is_level(smq_span level, char c)
{
    return level.len == 1 && level.data[0] == (uint8_t)c;
}

/* The way down from `node` by one level; NULL where it ends. */
static struct smq_tree_node *down(const struct smq_retain *r, struct smq_tree_node *node, smq_span level)
{
    if (is_level(level, '+')) {
        return allowed(r, smq_tree_first(&r->tree, node));
    }
    return smq_tree_child(&r->tree, node, level, smq_tree_hash(&r->tree, level));
}

/** The filter ends here: shows this one and, for `+`, all of its siblings. False: no more is wanted. */
static bool show_ends(const struct walk *w, struct smq_tree_node *node, bool siblings)
{
    for (; node != NULL; node = siblings ? allowed(w->r, smq_tree_next(&w->r->tree, node)) : NULL) {
        if (!show(w, node)) {
            return false;
        }
    }
    return true;
}

void smq_retain_match(struct smq_retain *r, smq_span filter, bool (*fn)(void *ctx, struct smq_refbuf *msg), void *ctx)
{
    struct walk w = {r, fn, ctx};
    struct smq_tree_node *node = r->tree.root;
    size_t from = 0;
    for (;;) {
        smq_span level = level_at(filter, from);
        bool last = from + level.len == filter.len;
        struct smq_tree_node *next = NULL;
        if (is_level(level, '#')) {
            if (!show_all(&w, node)) {
                return;
            }
        } else {
            next = down(r, node, level);
            if (last) {
                if (!show_ends(&w, next, is_level(level, '+'))) {
                    return;
                }
                next = NULL;
            }
        }
        if (next != NULL) {
            node = next;
            from += level.len + 1;
            continue;
        }
        /* Back to the nearest `+` whose next sibling was not looked at yet. */
        struct smq_tree_node *other = NULL;
        while (other == NULL && node->parent != 0) {
            from = level_before(filter, from);
            other = is_level(level_at(filter, from), '+') ? allowed(r, smq_tree_next(&r->tree, node)) : NULL;
            node = smq_tree_parent(&r->tree, node);
        }
        if (other == NULL) {
            return;
        }
        from += level_at(filter, from).len + 1;
        node = other;
    }
}
