/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/clock.h"
#include "net/loop_parts.h"
#include "net/wake.h"

#define EVENTS      256
#define READ_SIZE   (256 * 1024)
#define READ_MIN    8192
#define SLOTS_FIRST 64
#define WAIT_MAX_MS 60000
#define SERVICES    4 /* per connection and turn, on average: one that is dirty for ever must not stop the others */

/* ---------------------------------------------------------------- slots */

static bool grow_slots(struct smq_loop *loop)
{
    uint32_t n = loop->n_slots != 0 ? loop->n_slots * 2 : SLOTS_FIRST;
    if (n >= SMQ_EVENT_LISTENER) {
        return false;
    }
    struct smq_slot *slots = smq_mem_resize(loop->env.mem, loop->slots, n * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    for (uint32_t i = loop->n_slots; i < n; i++) {
        slots[i] = (struct smq_slot){NULL, 0, i + 1 < n ? i + 1 : loop->free_slot};
    }
    loop->free_slot = loop->n_slots;
    loop->slots = slots;
    loop->n_slots = n;
    return true;
}

bool smq_loop_take_slot(struct smq_loop *loop, struct smq_transport *t)
{
    if (loop->free_slot == SMQ_SLOT_NONE && !grow_slots(loop)) {
        return false;
    }
    struct smq_slot *slot = &loop->slots[loop->free_slot];
    t->slot = loop->free_slot;
    loop->free_slot = slot->next_free;
    slot->transport = t;
    slot->generation++;
    loop->n_transports++;
    return true;
}

void smq_loop_give_slot(struct smq_loop *loop, uint32_t number)
{
    struct smq_slot *slot = &loop->slots[number];
    slot->transport = NULL;
    slot->next_free = loop->free_slot;
    loop->free_slot = number;
    loop->n_transports--;
}

uint64_t smq_loop_name(const struct smq_loop *loop, const struct smq_transport *t)
{
    return (uint64_t)loop->slots[t->slot].generation << 32 | t->slot;
}

struct smq_transport *smq_loop_named(const struct smq_loop *loop, uint64_t name)
{
    const struct smq_slot *slot = &loop->slots[(uint32_t)name];
    return slot->generation == (uint32_t)(name >> 32) ? slot->transport : NULL;
}

bool smq_loop_note(struct smq_loop *loop, struct smq_names *names, const struct smq_transport *t)
{
    if (names->n == names->cap) {
        size_t cap = names->cap != 0 ? names->cap * 2 : EVENTS;
        uint64_t *larger = smq_mem_resize(loop->env.mem, names->names, cap * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        names->names = larger;
        names->cap = cap;
    }
    names->names[names->n++] = smq_loop_name(loop, t);
    return true;
}

/* ---------------------------------------------------------------- begin and end */

static smqtt_err open_descriptors(struct smq_loop *loop)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (loop->epoll < 0 || loop->reserve < 0) {
        return SMQTT_E_IO;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = SMQ_EVENT_WAKE};
    int wake = smq_post_wake_fd(loop->env.post, loop->env.index);
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, wake, &event) == 0 ? SMQTT_OK : SMQTT_E_IO;
}

static void wake_for_logins(void *ctx)
{
    smq_loop_wake(ctx);
}

static smqtt_err defer_login(void *ctx, uint64_t ticket, const char *peer, const struct smq_login_work *work,
                             smq_span password)
{
    struct smq_loop *loop = ctx;
    return smq_hasher_submit(loop->env.hasher, loop->env.index, ticket, peer, work, password);
}

static void take_logins(struct smq_loop *loop)
{
    uint64_t ticket;
    smqtt_err answer;
    while (loop->env.hasher != NULL && smq_hasher_take(loop->env.hasher, loop->env.index, &ticket, &answer)) {
        smq_worker_login_ready(loop->worker, ticket, answer, loop->now);
    }
}

static smqtt_err make_worker(struct smq_loop *loop)
{
    struct smq_worker_env env = {.mem = loop->env.mem,
                                 .rng = loop->env.rng,
                                 .log = loop->env.log,
                                 .index = loop->env.index,
                                 .count = loop->count,
                                 .ledger = loop->env.ledger,
                                 .has_store = loop->env.committer != NULL};
    if (loop->env.committer != NULL) {
        env.store_figures = smq_committer_figures(loop->env.committer);
    }
    memcpy(env.hash_key, loop->env.hash_key, sizeof env.hash_key);
    if (loop->env.hasher != NULL) {
        env.defer = defer_login;
        env.defer_ctx = loop;
        smq_hasher_attach(loop->env.hasher, loop->env.index, wake_for_logins, loop);
    }
    return smq_worker_new(&env, loop->settings->config, loop->now, &loop->worker);
}

smqtt_err smq_loop_new(const struct smq_loop_env *env, struct smq_settings *settings, struct smq_loop **out)
{
    struct smq_loop *loop = smq_mem_zalloc(env->mem, 1, sizeof *loop);
    if (loop == NULL) {
        return SMQTT_E_NOMEM;
    }
    loop->env = *env;
    loop->count = smq_post_count(env->post);
    loop->settings = smq_settings_ref(settings);
    loop->epoll = loop->reserve = -1;
    loop->free_slot = SMQ_SLOT_NONE;
    loop->now = smq_clock_now();
    size_t size = env->read_size != 0 ? env->read_size : READ_SIZE;
    loop->read_size = size > READ_MIN ? size : READ_MIN;
    loop->read_buf = smq_mem_alloc(env->mem, loop->read_size);
    smq_wheel_init(&loop->wheel, loop->now.mono);
    smqtt_err err = loop->read_buf != NULL ? open_descriptors(loop) : SMQTT_E_NOMEM;
    if (err == SMQTT_OK) {
        err = make_worker(loop);
    }
    if (err != SMQTT_OK) {
        smq_loop_free(loop);
        return err;
    }
    *out = loop;
    return SMQTT_OK;
}

static void free_transports(struct smq_loop *loop)
{
    for (uint32_t i = 0; i < loop->n_slots; i++) {
        if (loop->slots[i].transport != NULL) {
            smq_transport_free(loop->slots[i].transport);
        }
    }
}

void smq_loop_free(struct smq_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    const struct smqtt_mem *mem = loop->env.mem;
    if (loop->env.hasher != NULL) {
        smq_hasher_attach(loop->env.hasher, loop->env.index, NULL, NULL);
    }
    free_transports(loop);
    smq_listener_close_all(loop);
    if (loop->worker != NULL) {
        smq_worker_free(loop->worker);
    }
    smq_settings_unref(loop->settings);
    const int fds[] = {loop->epoll, loop->reserve};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    smq_mem_free(mem, loop->slots);
    smq_mem_free(mem, loop->writable.names);
    smq_mem_free(mem, loop->resumed.names);
    smq_mem_free(mem, loop->read_buf);
    smq_mem_free(mem, loop);
}

void smq_loop_wake(struct smq_loop *loop)
{
    smq_post_wake(loop->env.post, loop->env.index);
}

unsigned smq_loop_index(const struct smq_loop *loop)
{
    return loop->env.index;
}

struct smq_worker *smq_loop_worker(struct smq_loop *loop)
{
    return loop->worker;
}

void smq_loop_shutdown(struct smq_loop *loop, smqtt_ms grace_ms)
{
    if (loop->ending) {
        return;
    }
    loop->ending = true;
    loop->end_at = loop->now.mono + grace_ms;
    smq_listener_close_all(loop);
    smq_worker_shutdown(loop->worker, loop->now);
}

/* ---------------------------------------------------------------- configuration */

void smq_loop_configure(struct smq_loop *loop, struct smq_settings *settings)
{
    struct smq_settings *old = loop->settings;
    loop->settings = smq_settings_ref(settings);
    smq_worker_configure(loop->worker, settings->config, loop->now);
    smq_listener_configure(loop, settings);
    for (uint32_t i = 0; i < loop->n_slots; i++) {
        if (loop->slots[i].transport != NULL) {
            smq_transport_configure(loop->slots[i].transport, settings);
        }
    }
    smq_settings_unref(old);
}

/* ---------------------------------------------------------------- turns */

static int wait_time(const struct smq_loop *loop, int wait_ms)
{
    smqtt_ms at = smq_worker_deadline(loop->worker);
    const smqtt_ms others[] = {smq_wheel_next(&loop->wheel), smq_listener_deadline(loop),
                               loop->ending ? loop->end_at : SMQTT_NEVER};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(others); i++) {
        at = others[i] < at ? others[i] : at;
    }
    if ((loop->more && !loop->stuck) || at <= loop->now.mono) {
        return 0;
    }
    smqtt_ms left = at - loop->now.mono;
    left = left < WAIT_MAX_MS ? left : WAIT_MAX_MS;
    return wait_ms >= 0 && (smqtt_ms)wait_ms < left ? wait_ms : (int)left;
}

/* Listeners, and those that can be written to, are only noted. */
static void dispatch(struct smq_loop *loop, const struct epoll_event *event)
{
    uint32_t number = (uint32_t)event->data.u64;
    if (number == SMQ_EVENT_WAKE) {
        bool woken = smq_wake_take(smq_post_wake_fd(loop->env.post, loop->env.index));
        take_logins(loop);
        if (woken && loop->env.woken != NULL) {
            loop->env.woken(loop->env.ctx, loop);
        }
        return;
    }
    if ((number & SMQ_EVENT_LISTENER) != 0) {
        loop->listeners[number & ~SMQ_EVENT_LISTENER].ready = true;
        return;
    }
    struct smq_transport *t = smq_loop_named(loop, event->data.u64);
    if (t != NULL) {
        smq_transport_event(t, event->events);
    }
}

static void fire_timers(struct smq_loop *loop)
{
    struct smq_wheel_node *node;
    if (smq_worker_deadline(loop->worker) <= loop->now.mono) {
        smq_worker_tick(loop->worker, loop->now);
    }
    while ((node = smq_wheel_pop(&loop->wheel, loop->now.mono)) != NULL) {
        smq_transport_timeout(SMQ_CONTAINER_OF(node, struct smq_transport_end, timer)->of);
    }
    smq_listener_tick(loop);
}

/* What a pause kept back, as if it had been read now. */
static void resume(struct smq_loop *loop)
{
    size_t n = loop->resumed.n;
    loop->resumed.n = 0; /* nothing below adds to it: that is done when connections are served */
    for (size_t i = 0; i < n; i++) {
        struct smq_transport *t = smq_loop_named(loop, loop->resumed.names[i]);
        if (t != NULL) {
            smq_transport_resume(t);
        }
    }
}

static void serve(struct smq_loop *loop)
{
    for (size_t i = 0; i < loop->writable.n; i++) {
        struct smq_transport *t = smq_loop_named(loop, loop->writable.names[i]);
        if (t != NULL && t->conn != NULL && !t->lost) {
            smq_transport_service(t);
        }
    }
    loop->writable.n = 0;
    size_t budget = EVENTS + (size_t)loop->n_transports * SERVICES;
    struct smq_conn *conn = NULL;
    while (budget-- != 0 && (conn = smq_worker_next_dirty(loop->worker)) != NULL) {
        smq_transport_service(smq_conn_user(conn));
    }
    loop->more = conn != NULL || loop->resumed.n != 0 || loop->unsettled;
}

static int wait_for_events(struct smq_loop *loop, struct epoll_event *events, int wait_ms)
{
    int wait = wait_time(loop, wait_ms);
    bool asleep = wait != 0 && smq_post_sleep(loop->env.post, loop->env.index);
    /* Asked behind that, as the store looks whether it sleeps behind saying what is new. */
    bool news = asleep && loop->env.committer != NULL && smq_committer_has_news(loop->env.committer, loop->env.index);
    int n = epoll_wait(loop->epoll, events, EVENTS, asleep && !news ? wait : 0);
    int cause = errno;
    if (asleep) {
        smq_post_rise(loop->env.post, loop->env.index);
    }
    loop->now = smq_clock_now();
    if (n < 0 && cause != EINTR) {
        smq_log(loop->env.log, SMQ_LOG_ERR, "Waiting for events failed: %s.", strerror(cause));
        loop->failed = true;
    }
    return n;
}

bool smq_loop_turn(struct smq_loop *loop, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = wait_for_events(loop, events, wait_ms);
    if (loop->failed) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        dispatch(loop, &events[i]);
    }
    smq_exchange_take_stored(loop);
    resume(loop);
    smq_exchange_take(loop);
    fire_timers(loop);
    smq_exchange_give(loop);
    if (!loop->stuck) {
        serve(loop);
    } else {
        loop->more = true; /* connections wait to be served, and it may be stuck no longer when the turn ends */
    }
    /* Last, so that who has left makes room for who comes. */
    bool more = smq_listener_accept_ready(loop);
    loop->more = loop->more || more;
    smq_exchange_give(loop); /* ends of connections have wills, too */
    return !loop->ending || (loop->n_transports != 0 && loop->now.mono < loop->end_at);
}

smqtt_err smq_loop_run(struct smq_loop *loop)
{
    while (smq_loop_turn(loop, -1)) {
    }
    return loop->failed ? SMQTT_E_IO : SMQTT_OK;
}
