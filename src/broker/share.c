/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "broker/share.h"
#include "broker/durable.h"
#include "broker/held.h"
#include "broker/internal.h"
#include "broker/route.h"

enum { BECAUSE_BUSY = 1u << SMQ_FLAG_MUST_SHIFT };

static smq_span key_of(const struct smq_shared *sh)
{
    return smq_span_of(sh->key, sizeof sh->session + sh->len);
}

/* ------------------------------------------------------------ what a session has */

struct smq_shared *smq_share_find(const struct smq_worker *w, const struct smq_session *s, smq_span filter)
{
    uint8_t local[512];
    size_t len = sizeof s + filter.len;
    if (s->shares == NULL) {
        return NULL;
    }
    if (len <= sizeof local) {
        memcpy(local, &s, sizeof s);
        memcpy(local + sizeof s, filter.data, filter.len);
        return smq_map_get(&w->shareds, smq_span_of(local, len));
    }
    for (struct smq_list *at = s->shares->list.next; at != &s->shares->list; at = at->next) {
        struct smq_shared *sh = SMQ_CONTAINER_OF(at, struct smq_shared, of_session);
        if (smq_span_equal(smq_shared_filter(sh), filter)) {
            return sh;
        }
    }
    return NULL;
}

static smqtt_err need_shares(struct smq_worker *w, struct smq_session *s)
{
    if (s->shares == NULL) {
        s->shares = smq_mem_zalloc(w->mem, 1, sizeof *s->shares);
        if (s->shares == NULL) {
            return SMQTT_E_NOMEM;
        }
        smq_list_init(&s->shares->list);
    }
    return SMQTT_OK;
}

static void drop_if_empty(struct smq_worker *w, struct smq_session *s)
{
    if (s->shares != NULL && s->shares->n == 0) {
        smq_mem_free(w->mem, s->shares);
        s->shares = NULL;
    }
}

static smqtt_err shared_new(struct smq_worker *w, struct smq_session *s, smq_span filter, struct smq_shared **out)
{
    SMQ_TRY(need_shares(w, s));
    struct smq_shared *sh = smq_mem_zalloc(w->mem, 1, sizeof *sh + sizeof s + filter.len);
    smqtt_err err = sh != NULL ? smq_handle_make(&w->handles, sh, &sh->self) : SMQTT_E_NOMEM;
    if (err == SMQTT_OK) {
        sh->session = s;
        sh->owner = smq_worker_owner(w, filter);
        sh->len = (uint32_t)filter.len;
        memcpy(sh->key, &s, sizeof s);
        memcpy(sh->key + sizeof s, filter.data, filter.len);
        err = smq_map_put(&w->shareds, key_of(sh), sh, NULL);
    }
    if (err != SMQTT_OK) {
        if (sh != NULL) {
            smq_handle_end(&w->handles, sh->self);
        }
        smq_mem_free(w->mem, sh);
        drop_if_empty(w, s);
        return err;
    }
    smq_list_push_back(&s->shares->list, &sh->of_session);
    s->shares->n++;
    *out = sh;
    return SMQTT_OK;
}

static void shared_free(struct smq_worker *w, struct smq_shared *sh)
{
    struct smq_session *s = sh->session;
    smq_map_del(&w->shareds, key_of(sh));
    smq_handle_end(&w->handles, sh->self);
    smq_list_remove(&sh->of_session);
    s->shares->n--;
    s->shares->n_busy -= sh->busy;
    smq_mem_free(w->mem, sh);
}

bool smq_share_has(const struct smq_worker *w, const struct smq_session *s, smq_span filter)
{
    return smq_share_find(w, s, filter) != NULL;
}

/* ------------------------------------------------------------ joining and leaving */

static uint32_t state_at_owner(const struct smq_shared *sh, enum smq_member_state state)
{
    return (uint32_t)state | (sh->session->stored != NULL ? SMQ_MEMBER_STORED : 0);
}

static smqtt_err join(struct smq_worker *w, struct smq_shared *sh, struct smq_held *held, uint32_t at)
{
    uint32_t state = state_at_owner(sh, sh->session->conn != NULL ? SMQ_MEMBER_READY : SMQ_MEMBER_AWAY);
    if (sh->owner == w->index) {
        return smq_group_join(w, w->index, sh->self, smq_shared_filter(sh), state, &sh->group);
    }
    if (held != NULL) {
        SMQ_TRY(smq_held_name(w, held));
    }
    struct smq_note_join *note = smq_peer_note(w, sh->owner, SMQ_NOTE_JOIN, sizeof *note + sh->len);
    if (note == NULL) {
        return SMQTT_E_NOMEM;
    }
    note->shared = sh->self;
    note->held = held != NULL ? held->self : (struct smq_handle){0};
    note->state = state;
    note->at = at;
    note->filter_len = sh->len;
    memcpy(note->filter, smq_shared_filter(sh).data, sh->len);
    if (held != NULL) {
        held->n_joins++;
    }
    return SMQTT_OK;
}

smqtt_err smq_share_subscribe(struct smq_worker *w, struct smq_session *s, smq_span filter, uint8_t options,
                              uint32_t id, struct smq_held *held, uint32_t at)
{
    struct smq_shared *sh = smq_share_find(w, s, filter);
    bool is_new = sh == NULL;
    if (is_new) {
        SMQ_TRY(shared_new(w, s, filter, &sh));
    }
    smqtt_err err = join(w, sh, held, at);
    if (err != SMQTT_OK && is_new) {
        shared_free(w, sh);
        drop_if_empty(w, s);
        return err;
    }
    sh->qos = options & SMQ_SUB_QOS;
    sh->rap = (options & SMQ_SUB_RAP) != 0;
    sh->id = id;
    return err;
}

static void leave(struct smq_worker *w, struct smq_shared *sh)
{
    if (sh->owner == w->index) {
        smq_group_leave(w, w->index, sh->self);
    } else {
        smq_peer_tell(w, sh->owner, SMQ_NOTE_LEAVE, sh->self, 0);
    }
}

static void tell_state(struct smq_worker *w, const struct smq_shared *sh, enum smq_member_state state)
{
    if (sh->owner == w->index) {
        smq_group_set_state(w, w->index, sh->self, state_at_owner(sh, state));
    } else {
        smq_peer_tell(w, sh->owner, SMQ_NOTE_MEMBER, sh->self, state_at_owner(sh, state));
    }
}

void smq_share_on_joined(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_joined *note = (const struct smq_note_joined *)head;
    struct smq_held *held = smq_handle_get(&w->handles, note->held);
    struct smq_shared *sh = smq_handle_get(&w->handles, note->shared);
    (void)from;
    if (sh != NULL && note->err == 0) {
        sh->group = note->group;
    } else if (sh != NULL && sh->group.gen == 0) {
        struct smq_session *s = sh->session;
        shared_free(w, sh);
        drop_if_empty(w, s);
    }
    if (held != NULL) {
        if (note->err != 0) {
            bool v5 = held->conn != NULL && smq_conn_is_v5(held->conn);
            held->codes[note->at] = v5 ? smqtt_err_reason((smqtt_err)note->err) : 0x80;
        }
        held->n_joins--;
    }
}

/* ------------------------------------------------------------ delivering */

bool smq_share_takes(const struct smq_worker *w, const struct smq_shared *sh, uint8_t qos, enum smq_member_state must)
{
    const struct smq_session *s = sh->session;
    if (must == SMQ_MEMBER_READY) {
        return smq_session_is_ready(w, s, qos < sh->qos ? qos : sh->qos);
    }
    return must == SMQ_MEMBER_AWAY || s->conn != NULL;
}

void smq_share_is_busy(struct smq_shared *sh)
{
    if (!sh->busy) {
        sh->busy = true;
        sh->session->shares->n_busy++;
    }
}

void smq_share_deliver(struct smq_worker *w, struct smq_shared *sh, struct smq_routing *r)
{
    uint8_t qos = sh->qos < r->content.qos || w->config->upgrade_outgoing_qos ? sh->qos : r->content.qos;
    r->share = sh;
    smq_session_deliver(w, sh->session, r, qos, r->content.retain && sh->rap, &sh->id, sh->id != 0 ? 1 : 0);
    r->share = NULL;
}

/* To the group's owner; `flags`: why; `filter`: the group's, if the message must not get lost, empty else. */
static void give_back(struct smq_worker *w, unsigned owner, struct smq_handle shared, struct smq_handle group,
                      struct smq_routing *r, uint8_t flags, smq_span filter)
{
    if (owner == w->index) {
        struct smq_group *g = smq_handle_get(&w->handles, group);
        if (g != NULL) {
            smq_group_give(w, g, r);
        } else {
            w->stats.publish_dropped++; /* nobody is left */
        }
        return;
    }
    struct smq_note_msg fields = {.to = shared, .group = group, .origin = r->origin, .flags = flags};
    if (smq_durable_travel(w, owner, SMQ_NOTE_BACK, r, &fields, filter) != SMQTT_OK) {
        w->stats.publish_dropped++;
    }
}

void smq_share_on_give(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_note_msg *note = (struct smq_note_msg *)head;
    struct smq_shared *sh = smq_handle_get(&w->handles, note->to);
    struct smq_handle to = note->to, group = note->group;
    enum smq_member_state must = (enum smq_member_state)(note->flags >> SMQ_FLAG_MUST_SHIFT);
    struct smq_routing r;
    smq_peer_open(note, &r);
    if (sh != NULL) {
        sh->group = group;
    }
    if (sh != NULL && smq_share_takes(w, sh, r.content.qos, must)) {
        smq_share_deliver(w, sh, &r);
    } else {
        bool busy = sh != NULL && sh->session->conn != NULL;
        if (busy) {
            smq_share_is_busy(sh);
        }
        give_back(w, from, to, group, &r, busy ? BECAUSE_BUSY : 0, r.group);
    }
    smq_durable_passed(w, from, note->mid);
    smq_routing_deinit(&r);
}

/* ------------------------------------------------------------ what is given back */

static void return_delivery(struct smq_worker *w, void *delivery)
{
    const struct smq_shared *sh = smq_delivery_share(delivery);
    struct smq_routing r;
    smq_routing_init_msg(&r, smq_delivery_msg(delivery));
    bool stored = sh->session->stored != NULL && r.content.qos != 0;
    if (!SMQ_MUTATE(member_takes_all)) {
        give_back(w, sh->owner, sh->self, sh->group, &r, 0, stored ? smq_shared_filter(sh) : (smq_span){NULL, 0});
    }
    smq_routing_deinit(&r);
    smq_durable_let_go(w, sh->session, delivery); /* in the same commit as what became of it */
    smq_delivery_free(w->mem, delivery);
}

/* Takes out of the queue what came by `only`, or by any shared subscription (NULL), and gives it back. Without memory
 * it stays where it is. */
static void return_queue(struct smq_worker *w, struct smq_session *s, const struct smq_shared *only)
{
    void **taken;
    uint32_t n = smq_session_take_shared(w, s, only, &taken);
    for (uint32_t i = 0; i < n; i++) {
        return_delivery(w, taken[i]);
    }
    smq_mem_free(w->mem, taken);
}

static void forget(struct smq_session *s, const struct smq_shared *sh)
{
    struct smq_out_slot *slot = NULL;
    while ((slot = smq_inflight_next(&s->out, slot)) != NULL) {
        if (slot->msg != NULL && smq_delivery_share(slot->msg) == sh) {
            smq_delivery_forget_share(slot->msg);
        }
    }
    smq_session_forget_share(s, sh);
}

bool smq_share_unsubscribe(struct smq_worker *w, struct smq_session *s, smq_span filter)
{
    struct smq_shared *sh = smq_share_find(w, s, filter);
    if (sh == NULL) {
        return false;
    }
    leave(w, sh);
    return_queue(w, s, sh);
    forget(s, sh); /* what is in flight is brought to its end with this client */
    shared_free(w, sh);
    drop_if_empty(w, s);
    return true;
}

static void tell_all(struct smq_worker *w, struct smq_session *s, enum smq_member_state state, bool busy_only)
{
    for (struct smq_list *at = s->shares->list.next; at != &s->shares->list; at = at->next) {
        struct smq_shared *sh = SMQ_CONTAINER_OF(at, struct smq_shared, of_session);
        if (sh->busy || !busy_only) {
            tell_state(w, sh, state);
        }
        sh->busy = false;
    }
    s->shares->n_busy = 0;
}

void smq_share_online(struct smq_worker *w, struct smq_session *s)
{
    tell_all(w, s, SMQ_MEMBER_READY, false);
}

void smq_share_ready(struct smq_worker *w, struct smq_session *s)
{
    if (s->shares->n_busy != 0 && smq_session_is_ready(w, s, 1)) {
        tell_all(w, s, SMQ_MEMBER_READY, true);
    }
}

void smq_share_away(struct smq_worker *w, struct smq_session *s)
{
    tell_all(w, s, SMQ_MEMBER_AWAY, false);
    return_queue(w, s, NULL);
}

/* Sent and not acknowledged: of QoS 1, others get it now; of QoS 2, nobody [MQTT-4.8.2-5]. */
static void return_inflight(struct smq_worker *w, struct smq_session *s)
{
    struct smq_out_slot *slot = NULL;
    while ((slot = smq_inflight_next(&s->out, slot)) != NULL) {
        bool back = slot->msg != NULL && slot->state == SMQ_OUT_WAIT_PUBACK && smq_delivery_share(slot->msg) != NULL;
        if (back) {
            return_delivery(w, slot->msg);
            slot->msg = NULL;
        }
    }
}

void smq_share_end(struct smq_worker *w, struct smq_session *s)
{
    for (struct smq_list *at = s->shares->list.next; at != &s->shares->list; at = at->next) {
        leave(w, SMQ_CONTAINER_OF(at, struct smq_shared, of_session));
    }
    return_inflight(w, s);
    return_queue(w, s, NULL);
    smq_share_free(w, s);
}

void smq_share_free(struct smq_worker *w, struct smq_session *s)
{
    struct smq_list *at;
    while ((at = smq_list_first(&s->shares->list)) != NULL) {
        struct smq_shared *sh = SMQ_CONTAINER_OF(at, struct smq_shared, of_session);
        forget(s, sh);
        shared_free(w, sh);
    }
    drop_if_empty(w, s);
}
