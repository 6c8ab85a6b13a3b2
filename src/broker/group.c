/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/durable.h"
#include "broker/held.h"
#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/route.h"
#include "broker/share.h"
#include "codec/topic.h"

static smq_span key_of(const struct smq_group *g)
{
    return smq_span_of(g->key, g->len);
}

static void group_free(struct smq_worker *w, struct smq_group *g)
{
    smq_trie_drop(&w->trie, &g->sub);
    smq_handle_end(&w->handles, g->self);
    smq_map_del(&w->groups, key_of(g));
    smq_mem_free(w->mem, g);
}

static smqtt_err group_new(struct smq_worker *w, smq_span filter, struct smq_group **out)
{
    struct smq_group *g = smq_mem_zalloc(w->mem, 1, sizeof *g + filter.len);
    if (g == NULL) {
        return SMQTT_E_NOMEM;
    }
    w->n_made++;
    smq_subscriber_init(&g->sub, w->n_made * UINT64_C(0x9E3779B97F4A7C15));
    g->sub.is_group = true;
    g->len = (uint32_t)filter.len;
    memcpy(g->key, filter.data, filter.len);
    for (size_t i = 0; i < SMQ_MEMBER_STATES; i++) {
        smq_list_init(&g->members[i]);
    }
    smq_span name, inner;
    bool existed;
    smq_topic_split_share(filter, &name, &inner);
    smqtt_err err = smq_map_put(&w->groups, key_of(g), g, NULL);
    if (err != SMQTT_OK) {
        smq_mem_free(w->mem, g);
        return err;
    }
    err = smq_handle_make(&w->handles, g, &g->self);
    if (err == SMQTT_OK) {
        err = smq_peers_reserve(w);
    }
    if (err == SMQTT_OK) {
        err = smq_trie_subscribe(&w->trie, &g->sub, inner, 2 | SMQ_SUB_RAP, 0, &existed);
    }
    if (err != SMQTT_OK) {
        group_free(w, g);
        return err;
    }
    *out = g;
    return SMQTT_OK;
}

/* ------------------------------------------------------------ members */

static void set_key(uint32_t key[3], unsigned worker, struct smq_handle shared)
{
    key[0] = worker;
    key[1] = shared.slot;
    key[2] = shared.gen;
}

static struct smq_member *find(const struct smq_worker *w, unsigned worker, struct smq_handle shared)
{
    uint32_t key[3];
    set_key(key, worker, shared);
    return smq_map_get(&w->members, smq_span_of(key, sizeof key));
}

static void set_stored(struct smq_worker *w, struct smq_member *m, bool stored)
{
    struct smq_group *g = m->group;
    g->n_stored += (uint32_t)stored;
    g->n_stored -= (uint32_t)m->stored;
    m->stored = stored;
    if (g->n_stored != 0) {
        smq_durable_announce(w); /* what is published elsewhere for this group is to be confirmed */
    }
}

static enum smq_member_state state_of(uint32_t state)
{
    return (enum smq_member_state)(state & ~(uint32_t)SMQ_MEMBER_STORED);
}

static void set_state(struct smq_member *m, enum smq_member_state state)
{
    if (m->state != (uint8_t)state) {
        smq_list_remove(&m->of_group);
        smq_list_push_back(&m->group->members[state], &m->of_group);
        m->state = (uint8_t)state;
    }
}

smqtt_err smq_group_join(struct smq_worker *w, unsigned from, struct smq_handle shared, smq_span filter, uint32_t state,
                         struct smq_handle *group)
{
    bool stored = (state & SMQ_MEMBER_STORED) != 0;
    struct smq_member *m = find(w, from, shared);
    if (m != NULL) {
        set_stored(w, m, stored);
        *group = m->group->self;
        return SMQTT_OK;
    }
    m = smq_mem_zalloc(w->mem, 1, sizeof *m);
    struct smq_group *g = smq_map_get(&w->groups, filter);
    smqtt_err err = m == NULL ? SMQTT_E_NOMEM : SMQTT_OK;
    if (err == SMQTT_OK && g == NULL) {
        err = group_new(w, filter, &g);
    }
    if (err == SMQTT_OK) {
        *m = (struct smq_member){.group = g, .worker = from, .shared = shared, .state = (uint8_t)state_of(state)};
        set_key(m->key, from, shared);
        err = smq_map_put(&w->members, smq_span_of(m->key, sizeof m->key), m, NULL);
    }
    if (err != SMQTT_OK) {
        smq_mem_free(w->mem, m);
        if (g != NULL && g->n == 0) {
            group_free(w, g);
        }
        return err;
    }
    g->n++;
    smq_list_init(&m->of_group);
    smq_list_push_back(&g->members[m->state], &m->of_group);
    set_stored(w, m, stored);
    *group = g->self;
    return SMQTT_OK;
}

static void member_free(struct smq_worker *w, struct smq_member *m)
{
    struct smq_group *g = m->group;
    smq_list_remove(&m->of_group);
    smq_map_del(&w->members, smq_span_of(m->key, sizeof m->key));
    g->n_stored -= (uint32_t)m->stored;
    smq_mem_free(w->mem, m);
    g->n--;
    if (g->n == 0) {
        group_free(w, g);
    }
}

void smq_group_leave(struct smq_worker *w, unsigned from, struct smq_handle shared)
{
    struct smq_member *m = find(w, from, shared);
    if (m != NULL) {
        member_free(w, m);
    }
}

void smq_group_set_state(struct smq_worker *w, unsigned from, struct smq_handle shared, uint32_t state)
{
    struct smq_member *m = find(w, from, shared);
    if (m != NULL) {
        set_stored(w, m, (state & SMQ_MEMBER_STORED) != 0);
        set_state(m, state_of(state));
    }
}

void smq_group_deinit(struct smq_worker *w)
{
    struct smq_map_iter it = smq_map_iterate(&w->members);
    struct smq_member *m;
    while ((m = smq_map_next(&w->members, &it)) != NULL) {
        smq_map_del_at(&w->members, &it);
        smq_mem_free(w->mem, m);
    }
    it = smq_map_iterate(&w->groups);
    struct smq_group *g;
    while ((g = smq_map_next(&w->groups, &it)) != NULL) {
        smq_map_del_at(&w->groups, &it);
        smq_trie_drop(&w->trie, &g->sub);
        smq_mem_free(w->mem, g);
    }
    smq_map_deinit(&w->members);
    smq_map_deinit(&w->groups);
}

/* ------------------------------------------------------------ giving */

/* It is owed to somebody as long as there is a member that is stored, whoever gets it now: it may come back. */
static void send(struct smq_worker *w, const struct smq_member *m, struct smq_routing *r, enum smq_member_state must)
{
    struct smq_note_msg fields = {.to = m->shared,
                                  .group = m->group->self,
                                  .origin = smq_origin_of_routing(r),
                                  .flags = (uint8_t)(must << SMQ_FLAG_MUST_SHIFT)};
    bool owed = w->has_store && m->group->n_stored != 0 && r->content.qos != 0 && smq_content_is_stored(&r->content);
    if (smq_durable_travel(w, m->worker, SMQ_NOTE_GIVE, r, &fields, owed ? key_of(m->group) : (smq_span){NULL, 0}) !=
        SMQTT_OK) {
        w->stats.publish_dropped++;
    }
}

/* False: it does not take it. A member of this worker is asked; one of another gives it back if it must. */
static bool offer(struct smq_worker *w, struct smq_member *m, struct smq_routing *r, enum smq_member_state must)
{
    if (m->worker != w->index) {
        send(w, m, r, must);
        return true;
    }
    struct smq_shared *sh = smq_handle_get(&w->handles, m->shared);
    if (!smq_share_takes(w, sh, r->content.qos, must)) {
        smq_share_is_busy(sh);
        return false;
    }
    smq_share_deliver(w, sh, r);
    return true;
}

void smq_group_give(struct smq_worker *w, struct smq_group *group, struct smq_routing *r)
{
    struct smq_list *at;
    for (unsigned state = 0; state < SMQ_MEMBER_STATES; state++) {
        while ((at = smq_list_first(&group->members[state])) != NULL) {
            struct smq_member *m = SMQ_CONTAINER_OF(at, struct smq_member, of_group);
            smq_list_remove(at); /* to the end of those that wait */
            smq_list_push_back(&group->members[state], at);
            if (offer(w, m, r, (enum smq_member_state)state)) {
                return;
            }
            set_state(m, (enum smq_member_state)(state + 1)); /* those that are away take it in any case */
        }
    }
    w->stats.publish_dropped++;
}

bool smq_group_give_again(struct smq_worker *w, smq_span filter, struct smq_routing *r)
{
    struct smq_group *group = filter.len != 0 ? smq_map_get(&w->groups, filter) : NULL;
    if (group != NULL) {
        smq_group_give(w, group, r);
    }
    return group != NULL;
}

/* ------------------------------------------------------------ notes of members */

void smq_group_on_join(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_join *note = (const struct smq_note_join *)head;
    struct smq_note_joined joined = {.shared = note->shared, .held = note->held, .at = note->at};
    joined.err = (uint32_t)smq_group_join(w, from, note->shared, smq_span_of(note->filter, note->filter_len),
                                          note->state, &joined.group);
    smq_held_answer(w, from, &joined);
}

void smq_group_on_leave(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    smq_group_leave(w, from, ((const struct smq_note_handle *)head)->handle);
}

void smq_group_on_member(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_handle *note = (const struct smq_note_handle *)head;
    smq_group_set_state(w, from, note->handle, note->state);
}

void smq_group_on_back(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_note_msg *note = (struct smq_note_msg *)head;
    struct smq_member *m = find(w, from, note->to);
    if (m != NULL && m->state == SMQ_MEMBER_READY && (note->flags & 1u << SMQ_FLAG_MUST_SHIFT) != 0) {
        set_state(m, SMQ_MEMBER_BUSY);
    }
    struct smq_group *group = smq_handle_get(&w->handles, note->group);
    struct smq_routing r;
    smq_peer_open(note, &r);
    if (group != NULL) {
        smq_group_give(w, group, &r);
    } else if (!smq_group_give_again(w, r.group, &r)) {
        w->stats.publish_dropped++;
    }
    smq_durable_passed(w, from, note->mid);
    smq_routing_deinit(&r);
}
