/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "broker/session.h"
#include "broker/durable.h"
#include "broker/pull.h"
#include "broker/say.h"
#include "broker/share.h"
#include "broker/slow.h"
#include "broker/will.h"

struct smq_principal smq_session_principal(const struct smq_session *s)
{
    return (struct smq_principal){.client_id = smq_session_id(s),
                                  .user = smq_span_of(s->user, s->user_len),
                                  .has_user = s->user != NULL,
                                  .listener = s->conn != NULL ? s->conn->listener : NULL,
                                  .role = s->role};
}

bool smq_session_ask(struct smq_worker *w, struct smq_session *s, smq_span topic, enum smq_access kind)
{
    if (s->auth_turn != w->auth_turn) {
        s->role = NULL;
        s->auth = smq_auth_of(w, s->listener_id, s->conn);
        struct smq_principal asked = smq_session_principal(s);
        s->role = s->auth != NULL && s->auth->role != NULL ? s->auth->role(s->auth->ctx, &asked) : NULL;
        s->auth_turn = w->auth_turn;
    }
    if (s->auth == NULL || s->auth->access == NULL) {
        return true;
    }
    struct smq_principal who = smq_session_principal(s);
    return s->auth->access(s->auth->ctx, &who, topic, kind);
}

uint32_t smq_session_expiry(const struct smq_worker *w, uint32_t asked_s)
{
    uint32_t max = w->config->persistent_client_expiration_s;
    return max != 0 && max < asked_s ? max : asked_s;
}

struct smq_session *smq_session_find(const struct smq_worker *w, smq_span client_id)
{
    return smq_map_get(&w->sessions, client_id);
}

void smq_session_on_timer(struct smq_worker *w, struct smq_timer *timer)
{
    if (SMQ_MUTATE(no_expiry)) {
        return;
    }
    struct smq_session *s = SMQ_CONTAINER_OF(timer, struct smq_session_expiry, timer)->session;
    w->stats.expired++;
    smq_say_expired(w, s);
    smq_session_end(w, s);
}

smqtt_err smq_session_new(struct smq_worker *w, smq_span client_id, struct smq_session **out)
{
    if (!smq_worker_has_room(w, SMQ_SESSION_BYTES)) {
        return SMQTT_E_QUOTA;
    }
    struct smq_session *s = smq_mem_zalloc(w->mem, 1, sizeof *s + client_id.len + 1);
    if (s == NULL) {
        return SMQTT_E_NOMEM;
    }
    w->n_made++;
    smq_subscriber_init(&s->sub, w->n_made * UINT64_C(0x9E3779B97F4A7C15));
    smq_inflight_init(&s->out);
    smq_qos2_in_init(&s->in);
    memcpy(s->client_id, client_id.data, client_id.len);
    s->id_len = (uint16_t)client_id.len;
    smqtt_err err = smq_map_put(&w->sessions, smq_session_id(s), s, NULL);
    if (err != SMQTT_OK) {
        smq_mem_free(w->mem, s);
        return err;
    }
    (void)!smq_ledger_take(&w->ledger->sessions, 1, 0); /* whether it may be was asked at CONNECT */
    *out = s;
    return SMQTT_OK;
}

/* Everything but its place in the map. */
void smq_session_free(struct smq_worker *w, struct smq_session *s)
{
    smq_ledger_give(&w->ledger->sessions, 1);
    smq_slow_end(w, s);
    smq_will_drop(w, s);
    smq_pull_end(w, s);
    if (s->shares != NULL) {
        smq_share_free(w, s);
    }
    smq_trie_drop(&w->trie, &s->sub);
    struct smq_out_slot *slot = NULL;
    while ((slot = smq_inflight_next(&s->out, slot)) != NULL) {
        smq_session_let_go(w, s, slot);
    }
    smq_inflight_deinit(&s->out, w->mem);
    smq_qos2_in_deinit(&s->in, w->mem);
    smq_session_clear_queue(w, s);
    smq_session_keep(w, s);
    smq_durable_unname(w, s);
    smq_mem_free(w->mem, s->user);
    smq_mem_free(w->mem, s);
}

void smq_session_end(struct smq_worker *w, struct smq_session *s)
{
    if (s->shares != NULL) {
        smq_share_end(w, s); /* first: its groups do not give it its own will */
    }
    smq_will_fire(w, s);
    smq_durable_session_end(w, s);
    smq_map_del(&w->sessions, smq_session_id(s));
    smq_session_free(w, s);
}

void smq_session_keep(struct smq_worker *w, struct smq_session *s)
{
    if (s->expiry != NULL) {
        smq_wheel_cancel(&w->wheel, &s->expiry->timer.node);
        smq_mem_free(w->mem, s->expiry);
        s->expiry = NULL;
    }
}

smqtt_err smq_session_expire_at(struct smq_worker *w, struct smq_session *s, smqtt_ms at)
{
    s->expiry = smq_mem_zalloc(w->mem, 1, sizeof *s->expiry);
    if (s->expiry == NULL) {
        return SMQTT_E_NOMEM;
    }
    s->expiry->session = s;
    smq_timer_init(&s->expiry->timer, SMQ_TIMER_SESSION);
    smq_wheel_set(&w->wheel, &s->expiry->timer.node, at);
    return SMQTT_OK;
}

/* One that cannot be ended in time is ended now. */
static void expire_later(struct smq_worker *w, struct smq_session *s)
{
    if (smq_session_expire_at(w, s, w->now.mono + (smqtt_ms)s->expiry_s * 1000) != SMQTT_OK) {
        smq_session_end(w, s);
    }
}

void smq_session_detach(struct smq_worker *w, struct smq_session *s, bool with_will)
{
    s->conn = NULL;
    w->stats.online--;
    smq_slow_end(w, s);
    if (!with_will) {
        smq_will_drop(w, s);
    }
    if (s->expiry_s == 0) {
        smq_session_end(w, s);
        return;
    }
    smq_durable_head(w, s);
    if (s->shares != NULL) {
        smq_share_away(w, s);
    }
    if (s->queue.n > 1) {
        smq_paged_away(w, s);
    }
    smq_will_lost(w, s);
    if (s->expiry_s != UINT32_MAX) {
        expire_later(w, s);
    }
}
