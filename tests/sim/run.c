/* SPDX-License-Identifier: Apache-2.0 */
/* A run: what it is made of is drawn, everybody acts, then everything gets well and quiet, and is looked at. */
#include <stdlib.h>
#include <string.h>

#include "../unit/broker/rows_check.h"
#include "sim.h"

enum { LATE_US = 10000000, CALM_US = 100000000, RUN_US = 1500000000, LIVES_MAX = 8 };

static void draw_plan(struct sim *s)
{
    struct plan *p = &s->plan;
    static const uint32_t delays_us[] = {20, 200, 2000, 20000};
    static const uint32_t crashes_us[] = {300000, 3000000, 20000000};
    static const uint32_t stores_us[] = {20, 300, 3000, 40000};
    static const uint32_t limits[] = {200, 2000, 65536};
    unsigned workers = 1 + (unsigned)sim_below(s, WORKERS_MAX);
    p->is_fixed = p->workers != 0;
    p->workers = p->is_fixed ? p->workers : workers;
    p->steps = p->steps != 0 ? p->steps : 150 + (unsigned)sim_below(s, 250);
    p->actors = 4 + (unsigned)sim_below(s, 6);
    p->groups = (unsigned)sim_below(s, GROUPS + 1);
    p->cut_permille = sim_below(s, 4) == 0 ? 0 : 5 + (uint32_t)sim_below(s, 60);
    p->delay_us = delays_us[sim_below(s, 4)];
    p->stall_permille = sim_below(s, 3) == 0 ? (uint32_t)sim_below(s, 30) : 0;
    p->hot = sim_below(s, 6) == 0;
    p->late_worker = (unsigned)sim_below(s, p->workers);
    p->stall_permille = p->hot ? 0 : p->stall_permille;
    p->ring = sim_below(s, 3) == 0 ? 1 + (uint32_t)sim_below(s, 3) : 64;
    p->down_limit = limits[sim_below(s, 3)];
    p->store = sim_below(s, 3) != 0;
    p->store_us = stores_us[sim_below(s, 4)];
    p->crash_us = p->store && sim_below(s, 3) != 0 ? crashes_us[sim_below(s, 3)] : 0;
    if (p->hot) { /* and the network is quick, so that one publishes what it saw another one publish */
        p->delay_us = p->store_us = 20;
        p->crash_us = 0;
    }
    p->secure = sim_below(s, 6) == 0;
    p->ill = p->store && sim_below(s, 4) == 0;
}

static void draw_config(struct sim *s)
{
    struct smq_broker_config *c = &s->configs[0];
    smq_broker_config_default(c);
    s->listener = (struct smq_listener_config){.allow_anonymous = true, .id = 1, .topic_alias_in = 10};
    c->listeners = &s->listener;
    c->log_connections = false;
    c->sys_interval_s = 0;
    c->max_queued_messages = 0;
    if (sim_below(s, 8) == 0) { /* what has no room is dropped then */
        c->max_queued_messages = 1 + (uint32_t)sim_below(s, 12);
        c->slow_policy = sim_below(s, 2) == 0 ? SMQ_SLOW_DROP_NEWEST : SMQ_SLOW_DROP_OLDEST;
        s->plan.tight = true;
    } else if (sim_below(s, 6) == 0) { /* publishers wait for who is slow; who is away loses what has no room */
        c->max_queued_messages = 4 + (uint32_t)sim_below(s, 30);
        c->slow_timeout_s = 1 + (uint32_t)sim_below(s, 30);
        s->plan.tight = true;
    }
    c->max_inflight_messages = sim_below(s, 2) == 0 ? 1 + (uint32_t)sim_below(s, 20) : 20;
    c->receive_maximum = sim_below(s, 3) == 0 ? (uint16_t)(1 + sim_below(s, 10)) : 1024;
    s->configs[1] = *c;
    s->configs[1].max_inflight_messages = 1 + (uint32_t)sim_below(s, 20);
    for (unsigned i = 0; i < sizeof s->hash_key; i++) {
        s->hash_key[i] = (uint8_t)sim_random(s);
    }
}

static void make_actors(struct sim *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->plan.actors; i++) {
        actor_init(s, n++, i == 0 ? ACTOR_WATCHER : ACTOR_PEER);
    }
    for (unsigned g = 0; g < s->plan.groups; g++) {
        unsigned members = 1 + (unsigned)sim_below(s, 3);
        for (unsigned i = 0; i <= members; i++) {
            s->actors[n].group = 0;
            actor_init(s, n, i == 0 ? ACTOR_ANCHOR : ACTOR_MEMBER);
            s->actors[n++].group = (uint8_t)g;
        }
    }
    if (s->plan.secure) {
        actor_init(s, n++, ACTOR_OPENER);
        actor_init(s, n++, ACTOR_SEALER);
        actor_init(s, n++, ACTOR_SEALER);
    }
    s->n_actors = n;
    for (unsigned i = 0; i < n; i++) {
        s->actors[i].acts = s->plan.steps / s->plan.actors;
        actor_come(s, &s->actors[i], sim_below(s, 50000));
    }
}

static struct link *live_link(struct sim *s, const struct event *ev)
{
    struct link *l = &s->links[ev->who];
    return l->used && l->generation == ev->generation ? l : NULL;
}

static void on_link(struct sim *s, const struct event *ev)
{
    struct link *l = live_link(s, ev);
    if (l == NULL) {
        return;
    }
    if (ev->kind == EV_UP) {
        link_on_up(s, l);
    } else if (ev->kind == EV_DOWN) {
        link_on_down(s, l);
    } else if (ev->kind == EV_LOST) {
        link_on_lost(s, l);
    } else if (ev->kind == EV_HANDOVER) {
        shell_on_handover(s, l);
    } else if (!l->broker_done) {
        l->gone = true;
        l->cut = true;
        shell_wake(s, l->worker);
    }
}

/* Whatever the workers knew is gone; what was committed is there. */
static void crash(struct sim *s)
{
    if (!s->up || s->ending) {
        return;
    }
    sim_trace(s, "the broker is killed, %llu rows are on the disk", s->disk.d.n, 0, 0);
    s->counts->crashes++;
    oracle_crashed(s);
    shell_stop(s);
    sim_disk_crash(s);
    if (s->broker_mem.blocks != 0) {
        sim_fail(s, "%zu blocks with %zu bytes of the broker are left after a crash.", s->broker_mem.blocks,
                 s->broker_mem.live);
    }
    sim_at(s, 1 + sim_below(s, sim_below(s, 4) == 0 ? 5000000 : 20000), EV_RESTART, 0, 0);
}

static void restart(struct sim *s)
{
    s->mono_offset += sim_below(s, 1000000);
    s->now.mono = s->client_now.mono + s->mono_offset;
    if (sim_below(s, 3) == 0 && !s->plan.is_fixed) {
        s->plan.workers = 1 + (unsigned)sim_below(s, WORKERS_MAX);
    }
    sim_trace(s, "the broker starts with %llu workers", s->plan.workers, 0, 0);
    if (shell_start(s) != SMQTT_OK) {
        sim_fail(s, "The broker does not start from its store.");
        return;
    }
    oracle_restarted(s);
    if (s->life < LIVES_MAX) {
        sim_at(s, sim_below(s, s->plan.crash_us), EV_CRASH, 0, 0);
    }
}

static void on_event(struct sim *s, const struct event *ev)
{
    struct actor *a = &s->actors[ev->who % ACTORS_MAX];
    switch ((enum event_kind)ev->kind) {
    case EV_TURN:
        if (s->up && s->shells[ev->who].generation == ev->generation) {
            shell_on_turn(s, ev->who);
        }
        break;
    case EV_UP:
    case EV_DOWN:
    case EV_GONE:
    case EV_LOST:
    case EV_HANDOVER:
        on_link(s, ev);
        break;
    case EV_ACT:
        if (a->generation == ev->generation) {
            actor_on_act(s, a);
        }
        break;
    case EV_CONNECT:
        actor_on_connect(s, a);
        break;
    case EV_TICK:
        actor_on_tick(s, a);
        break;
    case EV_COMMIT:
        if (ev->generation == s->life && s->up) {
            sim_disk_on_commit(s);
        }
        break;
    case EV_TOLD:
        if (ev->generation == s->life && s->up) {
            shell_on_told(s, ev->who);
        }
        break;
    case EV_RELOAD:
        shell_reload(s);
        break;
    case EV_STORE:
        s->disk.ill = s->plan.ill && !s->ending && !s->disk.ill;
        sim_at(s, sim_below(s, s->disk.ill ? 3000000 : 10000000), EV_STORE, 0, 0);
        break;
    case EV_CRASH:
        crash(s);
        break;
    case EV_RESTART:
        restart(s);
        break;
    }
}

/* Lets time pass; false when something is wrong. */
static bool pass(struct sim *s, uint64_t us)
{
    struct event ev;
    uint64_t until = s->now_us + us;
    while (!s->failed && sim_next(s, until, &ev)) {
        on_event(s, &ev);
    }
    oracle_wills_tick(s);
    shell_check_ceilings(s);
    return !s->failed;
}

static bool is_busy(const struct sim *s)
{
    for (unsigned i = 0; i < s->n_actors; i++) {
        if (s->actors[i].acts != 0) {
            return true;
        }
    }
    return false;
}

/* Nothing is slow any more, and nobody does anything but to come back. */
static void get_well(struct sim *s)
{
    s->ending = true;
    s->plan.delay_us = 20;
    s->plan.stall_permille = 0;
    s->plan.down_limit = 65536;
    s->disk.ill = false;
    s->disk.slow_us = 300;
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        s->links[i].limit = 65536;
        s->links[i].stopped_us = 0;
    }
    sim_trace(s, "everything gets well", 0, 0, 0);
}

/* What is on the disk is what the workers hold, when nothing is on its way from the one to the other. */
static void check_rows(struct sim *s)
{
    struct smq_worker *workers[WORKERS_MAX];
    if (!s->plan.store || !s->up || !shell_is_quiet(s) || s->disk.first != NULL) {
        return;
    }
    for (unsigned i = 0; i < s->plan.workers; i++) {
        workers[i] = s->shells[i].w;
    }
    const char *wrong = rows_check(&s->disk.d, workers, s->plan.workers, s->now);
    s->counts->looks_at_rows++;
    if (wrong != NULL) {
        sim_fail(s, "On the disk: %s.", wrong);
    }
}

static void look_late(struct sim *s)
{
    unsigned i = s->n_actors++;
    actor_init(s, i, ACTOR_LATE);
    actor_come(s, &s->actors[i], 1);
    if (pass(s, LATE_US)) {
        oracle_check_retained(s, &s->actors[i]);
    }
}

static void finish(struct sim *s)
{
    if (s->up) {
        shell_stop(s);
    }
    for (unsigned i = 0; i < s->n_actors; i++) {
        actor_free(s, &s->actors[i]);
    }
    for (unsigned i = 0; i < LINKS_MAX; i++) {
        free(s->links[i].up.at);
        free(s->links[i].down.at);
    }
    sim_disk_free(s);
    oracle_free(s);
    secure_free(s);
    free(s->heap);
    free(s->ledger);
    if (s->broker_mem.blocks != 0 || s->client_mem.blocks != 0) {
        sim_fail(s, "%zu blocks with %zu bytes of the broker and %zu blocks of clients are left.", s->broker_mem.blocks,
                 s->broker_mem.live, s->client_mem.blocks);
    }
}

bool sim_run(struct sim *s)
{
    s->counts->runs++;
    counted_init(&s->broker_mem);
    counted_init(&s->client_mem);
    s->ledger = calloc(1, sizeof *s->ledger);
    if (s->ledger == NULL) {
        abort();
    }
    draw_plan(s);
    draw_config(s);
    sim_disk_init(s, s->plan.store_us);
    oracle_init(s);
    s->oracle.lossy = s->plan.tight;
    if (s->plan.secure) {
        secure_init(s);
    }
    if (shell_start(s) != SMQTT_OK) {
        sim_fail(s, "The broker does not start.");
    }
    make_actors(s);
    for (unsigned n = (unsigned)sim_below(s, 3); n != 0; n--) {
        sim_at(s, sim_below(s, 20000000), EV_RELOAD, 0, 0);
    }
    if (s->plan.crash_us != 0) {
        sim_at(s, sim_below(s, s->plan.crash_us), EV_CRASH, 0, 0);
    }
    if (s->plan.ill) {
        sim_at(s, sim_below(s, 2000000), EV_STORE, 0, 0);
    }
    while (is_busy(s) && s->now_us < RUN_US && pass(s, 100000)) {
    }
    get_well(s);
    for (unsigned n = 0; n < CALM_US / 1000000 && pass(s, 1000000); n++) {
        check_rows(s);
    }
    if (!s->failed) {
        oracle_check_end(s);
    }
    if (!s->failed) {
        look_late(s);
    }
    if (s->failed && s->verbose && s->up) {
        shell_show(s);
    }
    finish(s);
    return !s->failed;
}
