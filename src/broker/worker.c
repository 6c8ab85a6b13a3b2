/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/worker.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "broker/convert.h"
#include "broker/durable.h"
#include "broker/held.h"
#include "broker/internal.h"
#include "broker/pull.h"
#include "broker/relay.h"
#include "broker/say.h"
#include "broker/share.h"
#include "broker/writes.h"

void smq_retain_on_timer(struct smq_worker *w, struct smq_timer *timer)
{
    struct smq_retain_timer *of = SMQ_CONTAINER_OF(timer, struct smq_retain_timer, timer);
    smq_durable_retained_expired(w, smq_msg_content(of->node->msg).topic);
    smq_retain_expire(&w->retain, of);
}

static void init_lists(struct smq_worker *w)
{
    smq_list_init(&w->gated);
    smq_list_init(&w->tomb_rows);
    smq_list_init(&w->bodies);
    smq_list_init(&w->logins);
    smq_list_init(&w->helds);
    smq_list_init(&w->pulls);
    smq_list_init(&w->questions);
    smq_list_init(&w->conns);
    smq_list_init(&w->dirty);
}

smqtt_err smq_worker_new(const struct smq_worker_env *env, const struct smq_broker_config *config, struct smqtt_now now,
                         struct smq_worker **out)
{
    struct smq_worker *w = smq_mem_zalloc(env->mem, 1, sizeof *w);
    if (w == NULL) {
        return SMQTT_E_NOMEM;
    }
    w->mem = env->mem;
    w->ledger = env->ledger != NULL ? env->ledger : &w->own_ledger;
    w->account = &w->ledger->accounts[env->index % SMQ_WORKERS_MAX];
    w->rng = env->rng;
    w->log = env->log;
    w->has_store = env->has_store;
    w->store_figures = env->store_figures;
    init_lists(w);
    smq_pager_init(&w->pager);
    w->defer = env->defer;
    w->defer_ctx = env->defer_ctx;
    w->auth_turn = 1;
    w->config = config;
    w->index = env->index;
    w->count = env->count != 0 ? env->count : 1;
    memcpy(w->key, env->hash_key, sizeof w->key);
    w->now = now;
    smq_wheel_init(&w->wheel, now.mono);
    smq_map_init(&w->sessions, w->mem, w->key);
    smq_map_init(&w->sids, w->mem, w->key);
    smq_map_init(&w->servers, w->mem, w->key);
    smq_map_init(&w->relays, w->mem, w->key);
    smq_map_init(&w->origins, w->mem, w->key);
    smq_map_init(&w->shareds, w->mem, w->key);
    smq_map_init(&w->groups, w->mem, w->key);
    smq_map_init(&w->members, w->mem, w->key);
    smq_handles_init(&w->handles, w->mem);
    smq_tombs_init(&w->tombs, w->mem, w->key);
    smq_chunk_pool_init(&w->chunks, w->mem);
    smqtt_err err = smq_msg_spares_begin(w->account, w->mem);
    if (err == SMQTT_OK) {
        err = smq_convert_init(w);
    }
    if (err == SMQTT_OK) {
        err = smq_trie_init(&w->trie, w->mem, w->key);
    }
    if (err == SMQTT_OK) {
        err = smq_retain_init(&w->retain, w->mem, w->key, &w->wheel);
        w->retain.total = &w->ledger->retained;
    }
    if (err == SMQTT_OK) {
        err = smq_peers_init(w);
    }
    if (err == SMQTT_OK) {
        err = smq_own_init(w);
    }
    if (err == SMQTT_OK) {
        err = smq_sys_init(w);
    }
    if (err != SMQTT_OK) {
        smq_worker_free(w);
        return err;
    }
    *out = w;
    return SMQTT_OK;
}

void smq_worker_free(struct smq_worker *w)
{
    if (w == NULL) {
        return;
    }
    w->ending = true;
    w->trie.changed = NULL;
    smq_own_deinit(w);
    smq_far_deinit(w);
    smq_sys_deinit(w);
    smq_held_deinit(w);
    smq_pull_deinit(w);
    struct smq_map_iter it = smq_map_iterate(&w->sessions);
    struct smq_session *s;
    while ((s = smq_map_next(&w->sessions, &it)) != NULL) {
        smq_map_del_at(&w->sessions, &it);
        smq_session_free(w, s);
    }
    smq_group_deinit(w);
    smq_map_deinit(&w->shareds);
    smq_handles_deinit(&w->handles);
    smq_tombs_deinit(&w->tombs);
    smq_durable_deinit(w);
    smq_map_deinit(&w->sessions);
    smq_map_deinit(&w->servers);
    smq_map_deinit(&w->relays);
    smq_map_deinit(&w->origins);
    if (w->trie.tree.root != NULL) {
        if (w->listener != NULL) {
            smq_trie_drop(&w->trie, &w->listener->sub); /* what smq_convert_end had no memory to give up */
        }
        smq_trie_deinit(&w->trie);
    }
    if (w->retain.tree.root != NULL) {
        smq_retain_deinit(&w->retain);
    }
    smq_peers_deinit(w);
    smq_bodies_deinit(w);
    smq_writes_free(w->writes);
    smq_chunk_pool_deinit(&w->chunks);
    smq_msg_spares_end(w->account, w->mem);
    smq_mem_free(w->mem, w->listener);
    smq_mem_free(w->mem, w);
}

unsigned smq_worker_owner(const struct smq_worker *w, smq_span client_id)
{
    return (unsigned)(smq_siphash13(w->key, client_id) % w->count);
}

/* ------------------------------------------------------------ packets */

/* The handler of each packet type once the client is connected. Types that clients never send do not get past the
 * codec. */
static const smq_handler handlers[16] = {
    [SMQ_DETECT] = smq_on_detect,       [SMQ_PUBLISH] = smq_on_publish,
    [SMQ_PUBACK] = smq_on_ack,          [SMQ_PUBREC] = smq_on_ack,
    [SMQ_PUBREL] = smq_on_pubrel,       [SMQ_PUBCOMP] = smq_on_ack,
    [SMQ_SUBSCRIBE] = smq_on_subscribe, [SMQ_UNSUBSCRIBE] = smq_on_unsubscribe,
    [SMQ_PINGREQ] = smq_on_pingreq,     [SMQ_DISCONNECT] = smq_on_disconnect,
    [SMQ_AUTH] = smq_on_auth,
};

static void take_packet(struct smq_worker *w, struct smq_conn *conn, const struct smq_frame *frame)
{
    struct smq_packet pkt;
    bool first = conn->state == SMQ_CONN_AWAITS_CONNECT;
    smqtt_err err = smq_packet_read(&conn->codec, frame, &pkt);
    if (err != SMQTT_OK && first) {
        smq_connect_refuse_unread(conn, frame, err);
        return;
    }
    if (err == SMQTT_OK) {
        if (smq_say_packets(w->log)) {
            smq_say_received(conn, &pkt);
        }
        bool in_auth = conn->state == SMQ_CONN_AWAITS_AUTH;
        smq_handler handler = first ? smq_on_connect : in_auth ? smq_auth_continue : handlers[pkt.type];
        err = handler != NULL ? handler(w, conn, &pkt) : SMQTT_E_PROTOCOL;
    } else if (err == SMQTT_E_BAD_TEXT || err == SMQTT_E_BAD_PAYLOAD) {
        w->stats.refused_text++;
    }
    if (err != SMQTT_OK) {
        smq_conn_fail(conn, err);
    }
}

/* An acknowledgement of the shortest form means the same in every version, and they come in long runs: taken without
 * making a struct of it. 0: it is something else; its length: it was taken. */
static size_t take_short_ack(struct smq_worker *w, struct smq_conn *conn, const uint8_t *at, size_t len)
{
    enum { LEN = 4, PUBREL_FLAGS = 2 };
    if (len < LEN || at[1] != LEN - 2 || (at[2] | at[3]) == 0 || conn->state != SMQ_CONN_AWAITS_PACKETS ||
        smq_say_packets(w->log)) {
        return 0;
    }
    struct smq_packet pkt; /* its properties are not looked at */
    unsigned type = at[0] >> 4, flags = at[0] & 0x0F;
    pkt.type = (enum smq_type)type;
    pkt.ack.id = (uint16_t)(at[2] << 8 | at[3]);
    pkt.ack.reason = 0;
    smqtt_err err;
    if ((type == SMQ_PUBACK || type == SMQ_PUBREC || type == SMQ_PUBCOMP) && flags == 0) {
        err = smq_on_ack(w, conn, &pkt);
    } else if (type == SMQ_PUBREL && flags == PUBREL_FLAGS) {
        err = smq_on_pubrel(w, conn, &pkt);
    } else {
        return 0;
    }
    if (err != SMQTT_OK) {
        smq_conn_fail(conn, err);
    }
    return LEN;
}

static inline void count_packet(struct smq_worker *w, struct smq_conn *conn, size_t *used, size_t size)
{
    conn->last_in = w->now.mono;
    conn->part_in = SMQTT_NEVER;
    w->stats.packets_in++;
    w->stats.bytes_in += size;
    *used += size;
}

/* smq_conn_paused without a call where there is nothing special about a connection. */
static inline bool is_paused(const struct smq_worker *w, const struct smq_conn *conn)
{
    uint64_t max = w->config->max_output_bytes;
    bool special = conn->stalled || conn->n_held != 0 || conn->hold != NULL || conn->exchange != NULL;
    return special ? smq_conn_paused(conn) : max != 0 && conn->out.bytes >= max;
}

/* A PUBLISH waits for place at other workers and in the store, and for the acknowledgements of the subscriptions before
 * it: who subscribes and publishes in one go, a question and the topic of its answer for example, counts on that order.
 */
static bool must_wait(const struct smq_worker *w, const struct smq_conn *conn, const struct smq_frame *frame)
{
    return (!smq_worker_takes_publish(w) || conn->n_held != 0) && conn->state != SMQ_CONN_AWAITS_CONNECT &&
           frame->header >> 4 == SMQ_PUBLISH;
}

void smq_worker_feed(struct smq_worker *w, struct smq_conn *conn, smq_span bytes, size_t *used, size_t *need,
                     struct smqtt_now now)
{
    w->now = now;
    *used = 0;
    *need = 0;
    while (conn->state != SMQ_CONN_OVER && !is_paused(w, conn)) {
        size_t short_ack = take_short_ack(w, conn, bytes.data + *used, bytes.len - *used);
        if (short_ack != 0) {
            count_packet(w, conn, used, short_ack);
            continue;
        }
        struct smq_frame frame;
        bool first = conn->state == SMQ_CONN_AWAITS_CONNECT;
        smqtt_err err = smq_frame_read(&conn->codec, smq_span_from(bytes, *used), first, &frame, need);
        if (err == SMQTT_E_AGAIN) {
            break;
        }
        if (err != SMQTT_OK) {
            smq_conn_fail(conn, err);
            return;
        }
        *need = 0;
        if (must_wait(w, conn, &frame)) {
            conn->stalled = true;
            smq_conn_make_dirty(conn);
            break;
        }
        w->frame = &frame;
        take_packet(w, conn, &frame);
        w->frame = NULL;
        if (conn->fate == SMQ_FATE_HANDOVER) {
            return; /* CONNECT goes along */
        }
        if ((conn->exchange != NULL && smq_auth_waits(conn)) || conn->stalled) {
            break; /* and is read again */
        }
        count_packet(w, conn, used, frame.size);
    }
    if (conn->state == SMQ_CONN_OVER) {
        return;
    }
    if (*used == bytes.len || is_paused(w, conn)) {
        conn->part_in = SMQTT_NEVER; /* what waits because of us is not the client's fault */
    } else if (conn->part_in == SMQTT_NEVER) {
        conn->part_in = now.mono;
    }
    smq_conn_arm(conn);
}

smqtt_err smq_on_pingreq(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    struct smq_packet answer = {.type = SMQ_PINGRESP};
    (void)pkt;
    if (conn->n_held != 0) {
        return smq_held_ping(w, conn);
    }
    return smq_conn_write(conn, &answer);
}

/* ------------------------------------------------------------ time and the shell */

static void (*const fires[SMQ_TIMER_KINDS])(struct smq_worker *w, struct smq_timer *timer) = {
#define FIRE(kind, fn) [SMQ_TIMER_##kind] = fn,
    SMQ_TIMERS(FIRE)
#undef FIRE
};

void smq_worker_tick(struct smq_worker *w, struct smqtt_now now)
{
    w->now = now;
    struct smq_wheel_node *node;
    while ((node = smq_wheel_pop(&w->wheel, now.mono)) != NULL) {
        struct smq_timer *timer = SMQ_CONTAINER_OF(node, struct smq_timer, node);
        fires[timer->node.owner](w, timer);
    }
    smq_own_tick(w);
    if (w->has_more) {
        smq_pull_tick(w);
    }
    smq_tombs_tick(&w->tombs, now.mono);
    smq_durable_tick(w);
    smq_account_trim(w->ledger, w->account, smq_worker_fixed_bytes(w));
}

smqtt_ms smq_worker_deadline(const struct smq_worker *w)
{
    smqtt_ms wheel = smq_wheel_next(&w->wheel);
    smqtt_ms own = smq_own_deadline(w);
    smqtt_ms other = w->has_more ? w->now.mono : smq_tombs_deadline(&w->tombs);
    smqtt_ms rows = smq_durable_deadline(w);
    own = other < own ? other : own;
    own = rows < own ? rows : own;
    return own < wheel ? own : wheel;
}

void smq_worker_configure(struct smq_worker *w, const struct smq_broker_config *config, struct smqtt_now now)
{
    bool other_identity = config->identity != w->config->identity;
    w->now = now;
    w->config = config;
    w->auth_turn++;
    smq_auth_review(w);
    smq_sys_configure(w);
    if (other_identity) {
        smq_own_deinit(w);
        smqtt_err err = smq_own_init(w);
        if (err != SMQTT_OK) {
            smq_log(w->log, SMQ_LOG_ERR, "the broker's own identity is not in use: %s", smqtt_strerror(err));
        }
    } else {
        smq_own_configure(w);
    }
}

void smq_worker_set_store(struct smq_worker *w, enum smq_store_state state, struct smqtt_now now)
{
    w->now = now;
    w->store_state = (uint8_t)state;
    smq_worker_set_peer_full(w, w->index, state == SMQ_STORE_BEHIND);
}

void smq_worker_read_again(struct smq_worker *w)
{
    for (struct smq_list *at = w->conns.next; smq_worker_takes_publish(w) && at != &w->conns; at = at->next) {
        struct smq_conn *conn = SMQ_CONTAINER_OF(at, struct smq_conn, of_worker);
        if (conn->stalled) {
            conn->stalled = false;
            conn->last_in = w->now.mono; /* it could not be heard meanwhile */
            smq_conn_arm(conn);
            smq_conn_make_dirty(conn);
        }
    }
}

void smq_worker_shutdown(struct smq_worker *w, struct smqtt_now now)
{
    enum { SHUTTING_DOWN = 0x8B };
    w->now = now;
    for (struct smq_list *at = w->conns.next; at != &w->conns; at = at->next) {
        struct smq_conn *conn = SMQ_CONTAINER_OF(at, struct smq_conn, of_worker);
        smq_conn_kick(conn, SHUTTING_DOWN, "the server is shutting down");
    }
}

struct smq_conn *smq_worker_next_dirty(struct smq_worker *w)
{
    struct smq_list *at = smq_list_pop_front(&w->dirty);
    return at != NULL ? SMQ_CONTAINER_OF(at, struct smq_conn, dirty) : NULL;
}

void smq_worker_stats(const struct smq_worker *w, struct smq_worker_stats *out)
{
    *out = w->stats;
    out->sessions = smq_map_count(&w->sessions);
    out->subscriptions = w->trie.n - smq_map_count(&w->groups);
    out->shared_subscriptions = smq_map_count(&w->shareds);
    out->retained = w->retain.n;
    out->memory_bytes = smq_account_used(w->account);
    out->fixed_bytes = smq_worker_fixed_bytes(w);
}
