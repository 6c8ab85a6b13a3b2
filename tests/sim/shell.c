/* SPDX-License-Identifier: Apache-2.0 */
/* What net/ does for real: turns of the workers, in the order of docs/workers.md, whose phases mix by chance; rings
 * with an end; wakes only for what a shell is woken for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutate.h"
#include "broker/internal.h"
#include "broker/recover.h"
#include "sim.h"

enum { ROUNDS_MOST = 64, CLOSING_US = 5000000 };

static void next_phase(struct sim *s, unsigned i, enum phase phase)
{
    struct shell *sh = &s->shells[i];
    uint64_t wait = 1 + sim_below(s, 30);
    bool late = s->plan.hot && !s->ending && i == s->plan.late_worker;
    if (sim_permille(s, late ? 400 : s->plan.stall_permille)) {
        wait += sim_below(s, 50000);
        s->counts->stalls++;
    }
    sh->phase = phase;
    sim_at(s, wait, EV_TURN, i, ++sh->generation);
}

void shell_wake(struct sim *s, unsigned worker)
{
    struct shell *sh = &s->shells[worker];
    if (!s->up) {
        return;
    }
    if (sh->phase == PHASE_SLEEP) {
        next_phase(s, worker, PHASE_SOCKETS);
    } else {
        sh->again = true;
    }
}

static void sleep_until_deadline(struct sim *s, unsigned i)
{
    struct shell *sh = &s->shells[i];
    smqtt_ms at = smq_worker_deadline(sh->w);
    sh->phase = PHASE_SLEEP;
    sh->generation++;
    if (at != SMQTT_NEVER) {
        uint64_t wait = at > s->now.mono ? (at - s->now.mono) * 1000 : 1;
        sim_at(s, wait, EV_TURN, i, sh->generation);
    }
}

/* ------------------------------------------------------------ sockets */

static void open_link(struct sim *s, struct link *l)
{
    struct smq_worker *w = s->shells[l->worker].w;
    struct smq_conn *conn = NULL;
    if (smq_worker_open(w, &s->listener, smq_span_str("sim"), l, s->now, &conn) != SMQTT_OK) {
        link_close(s, l, true);
        return;
    }
    l->conn = conn;
    l->was_paused = false;
}

static void feed(struct sim *s, struct link *l)
{
    unsigned owner = 0;
    if (l->conn == NULL || l->arrived == 0 || smq_conn_paused(l->conn) ||
        smq_conn_fate(l->conn, &owner) != SMQ_FATE_KEEP) {
        return;
    }
    size_t used = 0, need = 0;
    smq_worker_feed(s->shells[l->worker].w, l->conn, smq_span_of(l->up.at, l->arrived), &used, &need, s->now);
    memmove(l->up.at, l->up.at + used, l->up.len - used);
    l->up.len -= used;
    l->arrived -= used;
    l->consumed += used;
    l->need = need;
}

static void read_link(struct sim *s, struct link *l)
{
    l->has_news = false;
    if (l->conn == NULL && !l->broker_done) {
        open_link(s, l);
    }
    feed(s, l);
    /* who waits for the broker to read on is not seen to have left */
    bool waits = l->conn != NULL && !l->cut && smq_conn_paused(l->conn) && l->arrived != 0;
    if (l->gone && l->conn != NULL && !waits) {
        l->gone = false;
        smq_worker_lost(s->shells[l->worker].w, l->conn, l->cut ? SMQTT_E_IO : SMQTT_OK, s->now);
    }
}

static void read_sockets(struct sim *s, unsigned i)
{
    for (unsigned n = 0; n < LINKS_MAX; n++) {
        struct link *l = &s->links[n];
        if (l->used && !l->handed && l->worker == i && (l->has_news || l->gone)) {
            read_link(s, l);
        }
    }
}

/* ------------------------------------------------------------ rings */

static void lane_put(struct lane *lane, struct smq_batch *batch)
{
    if (lane->n == lane->cap) {
        lane->cap = lane->cap != 0 ? lane->cap * 2 : 8;
        lane->items = realloc(lane->items, lane->cap * sizeof(struct smq_batch *));
        if (lane->items == NULL) {
            abort();
        }
    }
    lane->items[lane->n++] = batch;
}

static struct smq_batch *lane_take(struct lane *lane)
{
    struct smq_batch *batch = lane->head < lane->n ? lane->items[lane->head++] : NULL;
    if (lane->head == lane->n) {
        lane->head = lane->n = 0;
    }
    return batch;
}

static size_t lane_waits(const struct lane *lane)
{
    return lane->n - lane->head;
}

/* One look at all peers; who says more meanwhile is heard in the next one. */
static void read_round(struct sim *s, unsigned i)
{
    struct shell *sh = &s->shells[i];
    bool found = false;
    for (unsigned from = 0; from < s->plan.workers; from++) {
        struct lane *lane = &s->lanes[from][i];
        bool had = lane_waits(lane) != 0;
        for (size_t n = lane_waits(lane); n != 0; n--) {
            smq_worker_feed_batch(sh->w, from, lane_take(lane), s->now);
            found = true;
        }
        if (had && (lane->told_full || s->shells[from].stuck)) {
            shell_wake(s, from);
        }
    }
    bool waits = smq_worker_end_round(sh->w);
    sh->rounds++;
    if ((found || waits) && sh->rounds < ROUNDS_MOST) {
        next_phase(s, i, PHASE_RINGS);
        return;
    }
    sh->unsettled = found || waits;
    smq_worker_settle(sh->w, s->now);
    next_phase(s, i, PHASE_SEND);
}

/* Before the batches; but for a mutation, which keeps them back for a while. */
static void give_writes(struct sim *s, struct shell *sh)
{
    struct smq_writes *writes = smq_worker_take_writes(sh->w);
    if (!SMQ_MUTATE(notes_first)) {
        sim_disk_give(s, writes);
        return;
    }
    struct smq_writes **at = &sh->late;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = writes;
    bool now = sim_below(s, 8) == 0;
    while (now && sh->late != NULL) {
        struct smq_writes *next = sh->late->next;
        sim_disk_give(s, sh->late);
        sh->late = next;
    }
    sh->again = sh->again || sh->late != NULL;
}

static void give(struct sim *s, unsigned i)
{
    struct shell *sh = &s->shells[i];
    give_writes(s, sh);
    sh->stuck = false;
    for (unsigned to = 0; to < s->plan.workers; to++) {
        struct lane *lane = &s->lanes[i][to];
        if (to == i) {
            continue;
        }
        struct smq_batch *batch = NULL;
        if (lane_waits(lane) >= s->plan.ring) {
            sh->stuck = true;
            s->counts->rings_full++;
        } else if ((batch = smq_worker_take_batch(sh->w, to)) != NULL) {
            size_t size = smq_batch_size(batch);
            lane_put(lane, batch);
            sim_trace(s, "worker %llu gives %llu bytes to %llu", i, size, to);
            if (size != 0) {
                shell_wake(s, to);
            }
        }
        bool full = lane_waits(lane) >= s->plan.ring;
        if (full != lane->told_full) {
            lane->told_full = full;
            smq_worker_set_peer_full(sh->w, to, full);
        }
    }
}

/* ------------------------------------------------------------ bytes */

/* Is it the last connection of its client that the broker has begun with? */
static bool is_current(const struct sim *s, const struct link *l)
{
    for (unsigned n = 0; n < LINKS_MAX; n++) {
        const struct link *other = &s->links[n];
        if (other != l && other->used && other->actor == l->actor && other->conn != NULL && other->consumed != 0) {
            return false;
        }
    }
    return true;
}

static void release(struct sim *s, struct link *l, bool broken)
{
    sim_trace(s, "link %llu of actor %llu is closed by worker %llu", (uint64_t)(l - s->links), l->actor, l->worker);
    smq_conn_release(s->shells[l->worker].w, l->conn, s->now);
    l->conn = NULL;
    if (l->consumed != 0) {
        oracle_gone(s, l, is_current(s, l));
    }
    link_close(s, l, broken);
}

static void hand_over(struct sim *s, struct link *l, unsigned owner)
{
    smq_conn_release(s->shells[l->worker].w, l->conn, s->now);
    l->conn = NULL;
    l->worker = (uint8_t)owner;
    l->handed = true;
    s->counts->handovers++;
    sim_at(s, 1 + sim_delay(s, 100), EV_HANDOVER, (unsigned)(l - s->links), l->generation);
}

void shell_on_handover(struct sim *s, struct link *l)
{
    l->handed = false;
    l->has_news = true;
    if (s->up) {
        shell_wake(s, l->worker);
    } else {
        link_close(s, l, true);
    }
}

static void serve_link(struct sim *s, struct link *l)
{
    unsigned owner = 0;
    enum smq_conn_fate fate = smq_conn_fate(l->conn, &owner);
    if (fate == SMQ_FATE_HANDOVER) {
        hand_over(s, l, owner);
        return;
    }
    if (fate == SMQ_FATE_CLOSE_NOW) {
        release(s, l, l->cut);
        return;
    }
    link_take(s, l);
    if (fate == SMQ_FATE_CLOSE_AFTER_OUTPUT) {
        struct smqtt_span probe;
        if (smq_conn_output(l->conn, &probe, 1) == 0 && !smq_conn_is_gated(l->conn)) {
            release(s, l, false);
        } else if (!l->closing) {
            l->closing = true;
            sim_at(s, CLOSING_US, EV_GONE, (unsigned)(l - s->links), l->generation);
        }
        return;
    }
    bool paused = smq_conn_paused(l->conn);
    if (!paused && (l->was_paused || (l->arrived != 0 && l->need == 0))) {
        l->has_news = true; /* a pause may have left whole packets */
        s->shells[l->worker].again = true;
    }
    s->counts->paused += paused && !l->was_paused ? 1 : 0;
    l->was_paused = paused;
}

static void serve(struct sim *s, unsigned i)
{
    struct smq_conn *conn;
    for (unsigned n = 0; n < LINKS_MAX; n++) {
        struct link *l = &s->links[n];
        if (l->used && l->conn != NULL && l->worker == i && l->blocked && l->down.len < l->limit) {
            serve_link(s, l);
        }
    }
    while ((conn = smq_worker_next_dirty(s->shells[i].w)) != NULL) {
        serve_link(s, smq_conn_user(conn));
    }
}

/* ------------------------------------------------------------ a turn */

static void end_turn(struct sim *s, unsigned i)
{
    struct shell *sh = &s->shells[i];
    bool more = sh->stuck; /* then connections wait to be served */
    if (!sh->stuck) {
        serve(s, i);
    }
    give(s, i);
    more = ((more || sh->unsettled) && !sh->stuck) || sh->again;
    if (more || smq_worker_deadline(sh->w) <= s->now.mono) {
        next_phase(s, i, PHASE_SOCKETS);
    } else {
        sleep_until_deadline(s, i);
    }
}

void shell_on_turn(struct sim *s, unsigned worker)
{
    struct shell *sh = &s->shells[worker];
    switch (sh->phase) {
    case PHASE_SLEEP: /* its deadline has come */
    case PHASE_SOCKETS:
        sh->again = false;
        sh->rounds = 0;
        read_sockets(s, worker);
        next_phase(s, worker, PHASE_RINGS);
        break;
    case PHASE_RINGS:
        read_round(s, worker);
        break;
    case PHASE_SEND:
        if (smq_worker_deadline(sh->w) <= s->now.mono) {
            smq_worker_tick(sh->w, s->now);
        }
        give(s, worker);
        next_phase(s, worker, PHASE_BYTES);
        break;
    case PHASE_BYTES:
        end_turn(s, worker);
        break;
    }
}

void shell_on_told(struct sim *s, unsigned worker)
{
    struct shell *sh = &s->shells[worker];
    smq_worker_committed(sh->w, sh->told, s->now);
    shell_wake(s, worker);
}

/* ------------------------------------------------------------ life */

static bool fill_random(void *ctx, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)sim_random(ctx);
    }
    return true;
}

/* From the rows to sessions, queues and all the rest. */
static smqtt_err recover(struct sim *s)
{
    struct smq_worker *workers[WORKERS_MAX];
    struct smq_recovery *r = NULL;
    struct smq_recovery_counts found;
    for (unsigned i = 0; i < s->plan.workers; i++) {
        workers[i] = s->shells[i].w;
    }
    SMQ_TRY(smq_recovery_new(workers, s->plan.workers, &s->broker_mem.mem, s->now, &r));
    smqtt_err err = SMQTT_OK;
    for (size_t i = 0; i < s->disk.d.n && err == SMQTT_OK; i++) {
        const struct disk_row *row = &s->disk.d.rows[i];
        err = smq_recovery_row(r, smq_span_of(row->key, row->key_len), smq_span_of(row->value, row->value_len));
    }
    if (err == SMQTT_OK) {
        err = smq_recovery_finish(r, &found);
        sim_trace(s, "recovered %llu sessions, %llu messages, %llu rows dropped", found.sessions,
                  found.queued + found.in_flight, found.dropped);
    }
    smq_recovery_free(r);
    for (unsigned i = 0; i < s->plan.workers; i++) {
        sim_disk_give(s, smq_worker_take_writes(s->shells[i].w));
    }
    return err;
}

static smqtt_err make_workers(struct sim *s)
{
    struct smq_worker_env env = {.mem = &s->broker_mem.mem,
                                 .rng = {fill_random, s},
                                 .count = s->plan.workers,
                                 .ledger = s->plan.workers > 1 ? s->ledger : NULL,
                                 .has_store = s->plan.store};
    memset(s->ledger, 0, sizeof *s->ledger);
    memcpy(env.hash_key, s->hash_key, sizeof env.hash_key);
    for (unsigned i = 0; i < s->plan.workers; i++) {
        env.index = i;
        s->shells[i] = (struct shell){.phase = PHASE_SLEEP, .generation = s->shells[i].generation + 1};
        SMQ_TRY(smq_worker_new(&env, &s->configs[s->config], s->now, &s->shells[i].w));
    }
    return SMQTT_OK;
}

smqtt_err shell_start(struct sim *s)
{
    s->life++;
    SMQ_TRY(make_workers(s));
    if (s->plan.store) {
        SMQ_TRY(recover(s));
        if (sim_below(s, 8) == 0) { /* it is killed before that is committed, and begins again */
            shell_stop(s);
            sim_disk_crash(s);
            s->life++;
            SMQ_TRY(make_workers(s));
            SMQ_TRY(recover(s));
        }
        sim_disk_commit(s);
    }
    s->up = true;
    for (unsigned i = 0; i < s->plan.workers; i++) {
        next_phase(s, i, PHASE_SOCKETS);
    }
    return SMQTT_OK;
}

static void drop_lanes(struct sim *s)
{
    for (unsigned from = 0; from < WORKERS_MAX; from++) {
        for (unsigned to = 0; to < WORKERS_MAX; to++) {
            struct lane *lane = &s->lanes[from][to];
            struct smq_batch *batch;
            while ((batch = lane_take(lane)) != NULL) {
                smq_batch_free(batch);
            }
            free(lane->items);
            *lane = (struct lane){0};
        }
    }
}

void shell_stop(struct sim *s)
{
    s->up = false;
    for (unsigned n = 0; n < LINKS_MAX; n++) {
        struct link *l = &s->links[n];
        if (l->used && l->conn != NULL) {
            smq_conn_release(s->shells[l->worker].w, l->conn, s->now);
            l->conn = NULL;
        }
        if (l->used && !l->broker_done) {
            l->down.len = l->down.len != 0 ? sim_below(s, l->down.len + 1) : 0;
            l->handed = false;
            link_close(s, l, true);
        }
    }
    for (unsigned i = 0; i < s->plan.workers; i++) {
        while (s->shells[i].late != NULL) {
            struct smq_writes *next = s->shells[i].late->next;
            smq_writes_free(s->shells[i].late);
            s->shells[i].late = next;
        }
        smq_worker_free(s->shells[i].w);
        s->shells[i].w = NULL;
        s->shells[i].generation++;
    }
    drop_lanes(s);
}

void shell_reload(struct sim *s)
{
    unsigned next = 1 - s->config;
    s->config = next;
    s->counts->reloads++;
    for (unsigned i = 0; s->up && i < s->plan.workers; i++) {
        smq_worker_configure(s->shells[i].w, &s->configs[next], s->now);
        shell_wake(s, i);
    }
}

/* What one session may have waiting, and in flight. */
static void check_session(struct sim *s, const struct smq_session *se)
{
    const struct smq_broker_config *c = &s->configs[s->config];
    uint32_t most = s->configs[0].max_inflight_messages > s->configs[1].max_inflight_messages
                        ? s->configs[0].max_inflight_messages
                        : s->configs[1].max_inflight_messages;
    /* What comes from the store waits, whatever the limit. */
    if (s->life == 1 && c->slow_policy != SMQ_SLOW_BACKPRESSURE && c->max_queued_messages != 0 &&
        se->queue.n > c->max_queued_messages) {
        sim_fail(s, "%u messages wait for %s, of at most %u.", se->queue.n, se->client_id, c->max_queued_messages);
    }
    uint32_t sent = se->out.count - (se->conn != NULL ? se->n_unsent : 0);
    if (se->conn != NULL && (sent > most || sent > se->conn->receive_max)) {
        sim_fail(s, "%u messages are in flight to %s, of at most %u and %u.", sent, se->client_id, most,
                 se->conn->receive_max);
    }
}

void shell_check_ceilings(struct sim *s)
{
    for (unsigned i = 0; s->up && i < s->plan.workers; i++) {
        const struct smq_map *map = &s->shells[i].w->sessions;
        struct smq_map_iter it = smq_map_iterate(map);
        const struct smq_session *se;
        while ((se = smq_map_next(map, &it)) != NULL) {
            check_session(s, se);
        }
    }
}

bool shell_is_quiet(const struct sim *s)
{
    for (unsigned i = 0; i < s->plan.workers; i++) {
        const struct shell *sh = &s->shells[i];
        bool busy = sh->phase != PHASE_SLEEP || sh->w->writes != NULL || sh->w->mark != sh->w->n_written;
        for (unsigned to = 0; to < s->plan.workers && !busy; to++) {
            busy = lane_waits(&s->lanes[i][to]) != 0;
        }
        if (busy) {
            return false;
        }
    }
    return true;
}

void shell_show(const struct sim *s)
{
    for (unsigned i = 0; i < s->plan.workers; i++) {
        const struct shell *sh = &s->shells[i];
        printf("worker %u: phase %d%s%s%s, to others", i, (int)sh->phase, sh->again ? ", again" : "",
               sh->stuck ? ", stuck" : "", sh->unsettled ? ", unsettled" : "");
        for (unsigned to = 0; to < s->plan.workers; to++) {
            printf(" %zu%s", lane_waits(&s->lanes[i][to]), s->lanes[i][to].told_full ? "!" : "");
        }
        printf(" of %u, written %llu, committed %llu\n", s->plan.ring, (unsigned long long)sh->w->n_written,
               (unsigned long long)sh->w->mark);
    }
    for (unsigned n = 0; n < LINKS_MAX; n++) {
        const struct link *l = &s->links[n];
        if (l->used) {
            printf("link %u: actor %u, worker %u, up %zu of %zu, down %zu of %zu%s%s%s%s%s%s\n", n, l->actor, l->worker,
                   l->arrived, l->up.len, l->down.len, l->limit, l->conn == NULL ? ", no conn" : "",
                   l->conn != NULL && smq_conn_paused(l->conn) ? ", paused" : "", l->blocked ? ", blocked" : "",
                   l->cut ? ", cut" : "", l->broker_done ? ", broker done" : "", l->has_news ? ", news" : "");
        }
    }
}
