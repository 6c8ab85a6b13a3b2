/* SPDX-License-Identifier: Apache-2.0 */
#include "net/crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/ledger.h"
#include "broker/rows.h"
#include "net/loop_parts.h"
#include "store/committer.h"

struct hand {
    struct smq_crew *crew;
    struct smq_loop *loop;
    pthread_t thread;
    bool runs; /* the thread was begun */
};

struct smq_crew {
    struct smq_crew_env env;
    struct smq_post *post;
    struct smq_settings *settings;
    struct smq_ledger ledger;
    uint8_t hash_key[16];
    atomic_bool failed; /* a loop did */
    bool ending;
    struct hand hands[SMQ_CREW_MAX];
};

/* ---------------------------------------------------------------- loops, and the end */

static void woken(void *ctx, struct smq_loop *loop)
{
    struct smq_crew *crew = ctx;
    if (smq_loop_index(loop) != 0) {
        return;
    }
    if (atomic_load(&crew->failed)) {
        smq_crew_shutdown(crew, 0);
    }
    if (crew->env.woken != NULL) {
        crew->env.woken(crew->env.ctx, crew);
    }
}

static void rouse(void *post, unsigned worker)
{
    smq_post_rouse(post, worker);
}

static void read_workers(void *ctx, smq_span value)
{
    struct smq_row_workers *row = ctx;
    if (!smq_row_read_workers(value, row)) {
        row->format = 0;
    }
}

/* The key of those who wrote the store, so that as many workers as before find everything where it was; a random one
 * when there are none. */
static smqtt_err choose_key(struct smq_loop_env *env)
{
    struct smq_store *store = env->committer != NULL ? smq_committer_store(env->committer) : NULL;
    struct smq_row_workers row = {.format = 0};
    struct smq_store_why why;
    uint8_t key[SMQ_KEY_FIXED];
    struct smq_wr wr = smq_wr_of(key, sizeof key);
    smq_key_write_named(&wr, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
    if (store != NULL && store->kind->get(store, smq_wr_span(&wr), read_workers, &row, &why) == SMQTT_OK &&
        row.format == SMQ_STORE_FORMAT) {
        memcpy(env->hash_key, row.hash_key, sizeof env->hash_key);
        return SMQTT_OK;
    }
    return env->rng.fill(env->rng.ctx, env->hash_key, sizeof env->hash_key) ? SMQTT_OK : SMQTT_E_RNG;
}

static smqtt_err make_loops(struct smq_crew *crew, struct smq_settings *settings, struct smq_committer *committer)
{
    struct smq_loop_env env = {.mem = crew->env.mem,
                               .log = crew->env.log,
                               .rng = crew->env.rng,
                               .post = crew->post,
                               .ledger = &crew->ledger,
                               .hasher = crew->env.hasher,
                               .committer = committer,
                               .woken = woken,
                               .ctx = crew};
    SMQ_TRY(choose_key(&env));
    memcpy(crew->hash_key, env.hash_key, sizeof crew->hash_key);
    if (committer != NULL) {
        smq_committer_on_news(committer, rouse, crew->post);
    }
    for (unsigned i = 0; i < crew->env.n; i++) {
        env.index = i;
        crew->hands[i].crew = crew;
        SMQ_TRY(smq_loop_new(&env, settings, &crew->hands[i].loop));
    }
    return SMQTT_OK;
}

static void drop(void *ctx, const struct smq_mail *mail)
{
    const struct smq_crew *crew = ctx;
    smq_loop_drop_mail((void *)(uintptr_t)crew->env.mem, mail);
}

/* Files of Unix sockets that `settings` have and `kept` (NULL: none) have not. */
static void unlink_paths(const struct smq_settings *settings, struct smq_settings *kept)
{
    for (size_t i = 0; settings != NULL && i < settings->n_sites; i++) {
        const struct smq_listener_config *l = settings->sites[i].listener;
        if (l->unix_path != NULL && (kept == NULL || smq_settings_find(kept, l) == NULL)) {
            unlink(l->unix_path);
        }
    }
}

void smq_crew_free(struct smq_crew *crew)
{
    if (crew == NULL) {
        return;
    }
    /* Mail first: parcels hold settings, and batches hold messages of workers. */
    smq_post_free(crew->post, drop, crew);
    for (unsigned i = 0; i < crew->env.n; i++) {
        smq_loop_free(crew->hands[i].loop);
    }
    unlink_paths(crew->settings, NULL);
    smq_settings_unref(crew->settings);
    smq_mem_free(crew->env.mem, crew);
}

/* ---------------------------------------------------------------- threads */

static void *run_hand(void *arg)
{
    struct hand *hand = arg;
    if (smq_loop_run(hand->loop) != SMQTT_OK) {
        atomic_store(&hand->crew->failed, true);
        smq_crew_wake(hand->crew);
    }
    return NULL;
}

/* Signals are for the thread of loop 0. */
static int begin_threads(struct smq_crew *crew)
{
    sigset_t all, before;
    int cause = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 1; i < crew->env.n && cause == 0; i++) {
        cause = pthread_create(&crew->hands[i].thread, NULL, run_hand, &crew->hands[i]);
        crew->hands[i].runs = cause == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return cause;
}

smqtt_err smq_crew_run(struct smq_crew *crew, struct smq_why *why)
{
    smqtt_err err = SMQTT_OK;
    int cause = begin_threads(crew);
    if (cause != 0) {
        err = smq_why_set(why, SMQTT_E_IO, "Cannot begin a thread: %s; try fewer workers.", strerror(cause));
        smq_crew_shutdown(crew, 0);
    }
    if (smq_loop_run(crew->hands[0].loop) != SMQTT_OK) {
        atomic_store(&crew->failed, true);
        smq_crew_shutdown(crew, 0);
        smq_exchange_give(crew->hands[0].loop);
    }
    for (unsigned i = 1; i < crew->env.n; i++) {
        if (crew->hands[i].runs) {
            pthread_join(crew->hands[i].thread, NULL);
            crew->hands[i].runs = false;
        }
    }
    return err == SMQTT_OK && atomic_load(&crew->failed) ? smq_why_set(why, SMQTT_E_IO, "Waiting for events failed.")
                                                         : err;
}

void smq_crew_wake(struct smq_crew *crew)
{
    smq_post_wake(crew->post, 0);
}

/* ---------------------------------------------------------------- orders */

static struct smq_order *new_order(const struct smq_crew *crew, enum smq_order_kind kind, size_t n_opened)
{
    struct smq_order *order = smq_mem_zalloc(crew->env.mem, 1, sizeof *order + n_opened * sizeof order->opened[0]);
    if (order != NULL) {
        order->letter.kind = SMQ_MAIL_ORDER;
        order->kind = kind;
    }
    return order;
}

/* Orders for one loop come in the order they were given; loop 0 obeys at once. */
static void give_order(struct smq_crew *crew, unsigned to, struct smq_order *order)
{
    if (to == 0) {
        smq_loop_obey(crew->hands[0].loop, order);
    } else {
        smq_post_send(crew->post, 0, to, &order->letter);
    }
}

void smq_crew_shutdown(struct smq_crew *crew, smqtt_ms grace_ms)
{
    if (crew->ending) {
        return;
    }
    crew->ending = true;
    for (unsigned i = 0; i < crew->env.n; i++) {
        struct smq_order *order = new_order(crew, SMQ_ORDER_SHUTDOWN, 0);
        if (order == NULL) {
            smq_log(crew->env.log, SMQ_LOG_ERR, "There is no memory to end in order.");
            _exit(1);
        }
        order->grace_ms = grace_ms;
        give_order(crew, i, order);
    }
}

smqtt_err smq_crew_call(struct smq_crew *crew, void (*call)(void *ctx, struct smq_loop *loop), void *ctx, unsigned *n)
{
    *n = 0;
    for (; *n < crew->env.n; ++*n) {
        struct smq_order *order = new_order(crew, SMQ_ORDER_CALL, 0);
        if (order == NULL) {
            return SMQTT_E_NOMEM;
        }
        order->call = call;
        order->ctx = ctx;
        give_order(crew, *n, order);
    }
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- settings */

static void drop_orders(const struct smq_crew *crew, struct smq_order **orders)
{
    for (unsigned i = 0; i < crew->env.n; i++) {
        if (orders[i] != NULL) {
            struct smq_mail mail = {orders[i], 0, SMQ_MAIL_ORDER};
            smq_loop_drop_mail((void *)(uintptr_t)crew->env.mem, &mail);
        }
    }
}

/* What was opened for nothing is closed. */
static void give_up(const struct smq_crew *crew, struct smq_order **orders)
{
    for (size_t i = 0; orders[0] != NULL && i < orders[0]->n_opened; i++) {
        const char *path = orders[0]->opened[i].site->listener->unix_path;
        if (path != NULL) {
            unlink(path);
        }
    }
    drop_orders(crew, orders);
}

static bool holds_port(const struct smq_crew *crew, const struct smq_listener_config *listener)
{
    for (size_t i = 0; i < crew->settings->n_sites; i++) {
        const struct smq_listener_config *l = crew->settings->sites[i].listener;
        if (l->unix_path == NULL && l->port == listener->port) {
            return true;
        }
    }
    return false;
}

static void tell_opened(const struct smq_crew *crew, const struct smq_site *site, const struct smq_sockets *set)
{
    const struct smq_listener_config *l = site->listener;
    if (l->unix_path != NULL) {
        smq_log(crew->env.log, SMQ_LOG_INFO, "Opening unix listen socket on path %s.", l->unix_path);
        return;
    }
    for (unsigned i = 0; i < set->n; i++) {
        smq_log(crew->env.log, SMQ_LOG_INFO, "Opening %s listen socket on port %u.", set->at[i].is_v6 ? "ipv6" : "ipv4",
                (unsigned)set->at[i].port);
    }
    if (crew->env.opened != NULL) {
        crew->env.opened(crew->env.ctx, l, set->at[0].port);
    }
}

/* Opens the sockets of one new place for all loops. */
static smqtt_err open_site(struct smq_crew *crew, struct smq_site *site, struct smq_order **orders, struct smq_why *why)
{
    struct smq_sockets sets[SMQ_CREW_MAX];
    struct smq_sockets_how how = {crew->env.n, holds_port(crew, site->listener), crew->env.privilege, crew->env.ctx};
    SMQ_TRY(smq_sockets_open(site->listener, &how, sets, why));
    for (unsigned i = 0; i < crew->env.n; i++) {
        orders[i]->opened[orders[i]->n_opened++] = (struct smq_opened){site, sets[i]};
    }
    tell_opened(crew, site, &sets[0]);
    return SMQTT_OK;
}

static smqtt_err open_new(struct smq_crew *crew, struct smq_settings *settings, struct smq_order **orders,
                          struct smq_why *why)
{
    for (unsigned i = 0; i < crew->env.n; i++) {
        orders[i] = new_order(crew, SMQ_ORDER_CONFIGURE, settings->n_sites);
        if (orders[i] == NULL) {
            return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
        }
        orders[i]->settings = smq_settings_ref(settings);
    }
    for (size_t i = 0; i < settings->n_sites; i++) {
        struct smq_site *site = &settings->sites[i];
        /* Those of this file that were looked at before count, too: the second of two that are the same fails. */
        if (smq_settings_find(crew->settings, site->listener) == NULL) {
            SMQ_TRY(open_site(crew, site, orders, why));
        }
    }
    return SMQTT_OK;
}

/* Opens what `settings` have and those of now have not. On failure nothing has changed. */
static smqtt_err prepare(struct smq_crew *crew, struct smq_settings *settings, struct smq_order **orders,
                         struct smq_why *why)
{
    if (settings->n_sites * 2 > SMQ_LISTEN_SOCKETS) {
        return smq_why_set(why, SMQTT_E_FULL, "There are %zu listeners, but at most %d can be open.", settings->n_sites,
                           SMQ_LISTEN_SOCKETS / 2);
    }
    smqtt_err err = open_new(crew, settings, orders, why);
    if (err != SMQTT_OK) {
        give_up(crew, orders);
    }
    return err;
}

/* Has the loops use what was prepared. */
static void apply(struct smq_crew *crew, struct smq_settings *settings, struct smq_order **orders)
{
    struct smq_settings *old = crew->settings;
    crew->settings = smq_settings_ref(settings);
    for (unsigned i = 0; i < crew->env.n; i++) {
        give_order(crew, i, orders[i]);
    }
    unlink_paths(old, settings);
    smq_settings_unref(old);
}

smqtt_err smq_crew_configure(struct smq_crew *crew, struct smq_settings *settings, struct smq_why *why)
{
    struct smq_order *orders[SMQ_CREW_MAX] = {NULL};
    SMQ_TRY(prepare(crew, settings, orders, why));
    apply(crew, settings, orders);
    return SMQTT_OK;
}

/* ---------------------------------------------------------------- the begin */

/* The crew begins with settings that have no listeners, so that opening them is the same as in a reload. */
static smqtt_err begin(struct smq_crew *crew, struct smq_why *why)
{
    static const struct smq_broker_config none = {.listeners = NULL};
    smqtt_err err = smq_post_new(crew->env.mem, crew->env.n, &crew->post);
    if (err == SMQTT_OK) {
        err = smq_settings_new(crew->env.mem, &none, NULL, NULL, NULL, &crew->settings);
    }
    return err == SMQTT_OK ? err : smq_why_set(why, err, "Cannot begin: %s.", smqtt_strerror(err));
}

/* Behind the listeners. */
static smqtt_err begin_loops(struct smq_crew *crew, struct smq_settings *settings, struct smq_why *why)
{
    struct smq_committer *committer = NULL;
    if (crew->env.bound != NULL) {
        SMQ_TRY(crew->env.bound(crew->env.ctx, &committer, why));
    }
    smqtt_err err = make_loops(crew, settings, committer);
    return err == SMQTT_OK ? err : smq_why_set(why, err, "Cannot begin: %s.", smqtt_strerror(err));
}

smqtt_err smq_crew_new(const struct smq_crew_env *env, struct smq_settings *settings, struct smq_crew **out,
                       struct smq_why *why)
{
    struct smq_order *orders[SMQ_CREW_MAX] = {NULL};
    struct smq_crew *crew = smq_mem_zalloc(env->mem, 1, sizeof *crew);
    if (crew == NULL) {
        return smq_why_set(why, SMQTT_E_NOMEM, "There is no memory.");
    }
    crew->env = *env;
    smqtt_err err = begin(crew, why);
    if (err == SMQTT_OK) {
        err = prepare(crew, settings, orders, why);
    }
    if (err == SMQTT_OK) {
        err = begin_loops(crew, settings, why);
        if (err != SMQTT_OK) {
            give_up(crew, orders);
        }
    }
    if (err != SMQTT_OK) {
        smq_crew_free(crew);
        return err;
    }
    apply(crew, settings, orders);
    *out = crew;
    return SMQTT_OK;
}

struct smq_settings *smq_crew_settings(struct smq_crew *crew)
{
    return crew->settings;
}

struct smq_worker *smq_crew_worker(struct smq_crew *crew, unsigned i)
{
    return smq_loop_worker(crew->hands[i].loop);
}

const uint8_t *smq_crew_hash_key(const struct smq_crew *crew)
{
    return crew->hash_key;
}

unsigned smq_crew_count(const struct smq_crew *crew)
{
    return crew->env.n;
}
