/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "broker/retain.h"
#include "base/mem.h"
#include "broker/message.h"
#include "codec/topic.h"

#include <limits.h>

static struct smq_retain_node *node_of(struct smq_tree_node *n)
{
    return (struct smq_retain_node *)(void *)n;
}

smqtt_err smq_retain_init(struct smq_retain *r, const struct smqtt_mem *mem, const uint8_t key[16],
                          struct smq_wheel *wheel)
{
    *r = (struct smq_retain){.wheel = wheel};
    smq_list_init(&r->cursors);
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

static void move_cursors(struct smq_retain *r, const struct smq_tree_node *node);

static void prune(struct smq_retain *r, struct smq_tree_node *node)
{
    while (node->parent != 0 && node->first_child == 0 && node_of(node)->msg == NULL) {
        move_cursors(r, node);
        node = smq_tree_remove(&r->tree, node);
    }
}

static void uncount(struct smq_retain *r, size_t n)
{
    r->n -= n;
    if (r->total != NULL) {
        smq_ledger_give(r->total, n);
    }
}

static bool count(struct smq_retain *r, uint32_t max)
{
    bool room = r->total != NULL ? smq_ledger_take(r->total, 1, max) : max == 0 || r->n < max;
    r->n += room;
    return room;
}

static void clear(struct smq_retain *r, struct smq_retain_node *node)
{
    drop_timer(r, node);
    if (node->msg != NULL) {
        smq_msg_unref(node->msg);
        node->msg = NULL;
        uncount(r, 1);
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
    uncount(r, r->n);
}

static smqtt_err put(struct smq_retain *r, struct smq_refbuf *msg, smq_span topic, smqtt_ms expires)
{
    struct smq_retain_timer *timer = NULL;
    if (expires != SMQTT_NEVER) {
        timer = smq_mem_zalloc(r->tree.mem, 1, sizeof *timer);
        if (timer == NULL) {
            return SMQTT_E_NOMEM;
        }
    }
    struct smq_tree_node *at;
    smqtt_err err = smq_tree_add(&r->tree, topic, &at);
    if (err != SMQTT_OK) {
        smq_mem_free(r->tree.mem, timer);
        return err;
    }
    struct smq_retain_node *node = node_of(at);
    drop_timer(r, node);
    smq_msg_unref(node->msg);
    node->msg = smq_refbuf_ref(msg);
    node->expiry = timer;
    if (timer != NULL) {
        timer->node = node;
        smq_timer_init(&timer->timer, SMQ_TIMER_RETAINED);
        smq_wheel_set(r->wheel, &timer->timer.node, expires);
    }
    return SMQTT_OK;
}

smqtt_err smq_retain_set(struct smq_retain *r, struct smq_refbuf *msg, uint32_t max)
{
    struct smq_content c = smq_msg_content(msg);
    struct smq_refbuf *old = smq_retain_get(r, c.topic);
    if (old != NULL && smq_msg_of(old)->version > c.version && !SMQ_MUTATE(retained_older)) {
        return SMQTT_OK;
    }
    if (old == NULL && !count(r, max)) {
        return SMQTT_E_QUOTA;
    }
    smqtt_err err = put(r, msg, c.topic, c.expires);
    if (err != SMQTT_OK && old == NULL) {
        uncount(r, 1);
    }
    return err;
}

struct smq_refbuf *smq_retain_get(const struct smq_retain *r, smq_span topic)
{
    struct smq_tree_node *at = smq_tree_find(&r->tree, topic);
    return at != NULL ? node_of(at)->msg : NULL;
}

bool smq_retain_remove(struct smq_retain *r, smq_span topic, uint64_t version)
{
    struct smq_tree_node *at = smq_tree_find(&r->tree, topic);
    const struct smq_refbuf *msg = at != NULL ? node_of(at)->msg : NULL;
    if (msg == NULL || smq_msg_of(node_of(at)->msg)->version > version) {
        return false;
    }
    clear(r, node_of(at));
    return true;
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

/* ------------------------------------------------------------ cursors */

/* A cursor stands on a node, and knows which level of its filter comes below that. Inside of `#` it stays at that
 * level, and `top` is where the `#` began. */

static bool descend(const struct smq_retain *r, struct smq_retain_cursor *c)
{
    if (c->from > c->filter.len) {
        return false; /* the filter ends here */
    }
    smq_span level = level_at(c->filter, c->from);
    bool multi = is_level(level, '#');
    struct smq_tree_node *child = multi ? allowed(r, smq_tree_first(&r->tree, c->node)) : down(r, c->node, level);
    if (child == NULL) {
        return false;
    }
    if (!multi) {
        c->from += level.len + 1;
    } else if (c->top == NULL) {
        c->top = c->node;
    }
    c->node = child;
    return true;
}

/* To the next sibling, of it or of the nearest one above that has one where the filter has a wildcard. */
static bool go_on(const struct smq_retain *r, struct smq_retain_cursor *c)
{
    while (c->node->parent != 0) {
        c->top = c->top == c->node ? NULL : c->top;
        size_t before = c->top == NULL ? level_before(c->filter, c->from) : c->from;
        bool wild = c->top != NULL || is_level(level_at(c->filter, before), '+');
        struct smq_tree_node *sibling = wild ? allowed(r, smq_tree_next(&r->tree, c->node)) : NULL;
        if (sibling != NULL) {
            c->node = sibling;
            return true;
        }
        c->from = before;
        c->node = smq_tree_parent(&r->tree, c->node);
    }
    return false;
}

void smq_retain_open(struct smq_retain *r, struct smq_retain_cursor *c, smq_span filter)
{
    *c = (struct smq_retain_cursor){.filter = filter, .node = r->tree.root, .fresh = true};
    smq_list_push_back(&r->cursors, &c->of_retain);
}

void smq_retain_close(struct smq_retain_cursor *c)
{
    if (c->node != NULL) {
        smq_list_remove(&c->of_retain);
        c->node = NULL;
    }
}

struct smq_refbuf *smq_retain_next(struct smq_retain *r, struct smq_retain_cursor *c, unsigned *budget)
{
    while (c->node != NULL && *budget != 0) {
        if (!c->fresh && !descend(r, c) && !go_on(r, c)) {
            smq_retain_close(c);
            return NULL;
        }
        --*budget;
        c->fresh = false;
        struct smq_refbuf *msg = node_of(c->node)->msg;
        if (msg != NULL && (c->from > c->filter.len || is_level(level_at(c->filter, c->from), '#'))) {
            return msg;
        }
    }
    return NULL;
}

/* The node goes: cursors that stand on it go on before. It has no children. */
static void move_cursors(struct smq_retain *r, const struct smq_tree_node *node)
{
    struct smq_list *next;
    for (struct smq_list *at = r->cursors.next; at != &r->cursors; at = next) {
        struct smq_retain_cursor *c = SMQ_CONTAINER_OF(at, struct smq_retain_cursor, of_retain);
        next = at->next;
        if (c->node != node) {
            continue;
        }
        if (go_on(r, c)) {
            c->fresh = true; /* nobody has looked at that one */
        } else {
            smq_retain_close(c);
        }
    }
}

void smq_retain_match(struct smq_retain *r, smq_span filter, bool (*fn)(void *ctx, struct smq_refbuf *msg), void *ctx)
{
    struct smq_retain_cursor c;
    struct smq_refbuf *msg;
    unsigned budget = UINT_MAX;
    smq_retain_open(r, &c, filter);
    while ((msg = smq_retain_next(r, &c, &budget)) != NULL && fn(ctx, msg)) {
        budget = UINT_MAX;
    }
    smq_retain_close(&c);
}
