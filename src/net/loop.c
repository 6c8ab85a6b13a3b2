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

_Static_assert(SMQ_LISTEN_SOCKETS <= 64, "one bit of a uint64_t for each");

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

/* ---------------------------------------------------------------- begin and end */

static smqtt_err open_descriptors(struct smq_loop *loop)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (loop->epoll < 0 || loop->reserve < 0) {
        return SMQTT_E_IO;
    }
    SMQ_TRY(smq_wake_open(&loop->wake));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = SMQ_EVENT_WAKE};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) == 0 ? SMQTT_OK : SMQTT_E_IO;
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
                                 .count = loop->env.count};
    memcpy(env.hash_key, loop->env.hash_key, sizeof env.hash_key);
    if (loop->env.hasher != NULL) {
        env.defer = defer_login;
        env.defer_ctx = loop;
        smq_hasher_attach(loop->env.hasher, loop->env.index, wake_for_logins, loop);
    }
    return smq_worker_new(&env, loop->config, loop->now, &loop->worker);
}

smqtt_err smq_loop_new(const struct smq_loop_env *env, const struct smq_broker_config *config, struct smq_loop **out)
{
    struct smq_loop *loop = smq_mem_zalloc(env->mem, 1, sizeof *loop);
    if (loop == NULL) {
        return SMQTT_E_NOMEM;
    }
    loop->env = *env;
    loop->config = config;
    loop->epoll = loop->wake = loop->reserve = -1;
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
    const int fds[] = {loop->epoll, loop->wake, loop->reserve};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    smq_mem_free(mem, loop->slots);
    smq_mem_free(mem, loop->read_buf);
    smq_mem_free(mem, loop);
}

void smq_loop_wake(struct smq_loop *loop)
{
    smq_wake_raise(loop->wake);
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

static bool same_place(const struct smq_listener_config *a, const struct smq_listener_config *b)
{
    bool same_address =
        a->address == NULL || b->address == NULL ? a->address == b->address : strcmp(a->address, b->address) == 0;
    return a->port == b->port && a->local_only == b->local_only && same_address;
}

static const struct smq_listener_config *find_place(const struct smq_broker_config *in,
                                                    const struct smq_listener_config *l)
{
    for (const struct smq_listener_config *at = in->listeners; at != NULL; at = at->next) {
        if (same_place(at, l)) {
            return at;
        }
    }
    return NULL;
}

unsigned smq_loop_configure(struct smq_loop *loop, const struct smq_broker_config *config)
{
    unsigned alone = 0;
    for (const struct smq_listener_config *l = config->listeners; l != NULL; l = l->next) {
        alone += find_place(loop->config, l) == NULL;
    }
    for (const struct smq_listener_config *l = loop->config->listeners; l != NULL; l = l->next) {
        alone += find_place(config, l) == NULL;
    }
    for (unsigned i = 0; i < loop->n_listeners; i++) {
        const struct smq_listener_config *l = find_place(config, loop->listeners[i].config);
        loop->listeners[i].config = l != NULL ? l : loop->listeners[i].config;
    }
    loop->config = config;
    smq_worker_configure(loop->worker, config, loop->now);
    return alone;
}

void smq_loop_adopt(struct smq_loop *loop, const struct smq_handover *transport)
{
    struct smq_transport *t = smq_transport_new(loop, transport->fd, transport->listener, transport->peer);
    if (t != NULL) {
        smq_transport_unread(t, transport->unread);
    }
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
    if (loop->more || at <= loop->now.mono) {
        return 0;
    }
    smqtt_ms left = at - loop->now.mono;
    left = left < WAIT_MAX_MS ? left : WAIT_MAX_MS;
    return wait_ms >= 0 && (smqtt_ms)wait_ms < left ? wait_ms : (int)left;
}

/* Listeners are only noted in *ready. */
static void dispatch(struct smq_loop *loop, const struct epoll_event *event, uint64_t *ready)
{
    uint32_t number = (uint32_t)event->data.u64;
    if (number == SMQ_EVENT_WAKE) {
        bool woken = smq_wake_take(loop->wake);
        take_logins(loop);
        if (woken && loop->env.woken != NULL) {
            loop->env.woken(loop->env.ctx, loop);
        }
        return;
    }
    if ((number & SMQ_EVENT_LISTENER) != 0) {
        *ready |= UINT64_C(1) << (number & ~SMQ_EVENT_LISTENER);
        return;
    }
    const struct smq_slot *slot = &loop->slots[number];
    if (slot->transport != NULL && slot->generation == (uint32_t)(event->data.u64 >> 32)) {
        smq_transport_event(slot->transport, event->events);
    }
}

static void fire_timers(struct smq_loop *loop)
{
    struct smq_wheel_node *node;
    if (smq_worker_deadline(loop->worker) <= loop->now.mono) {
        smq_worker_tick(loop->worker, loop->now);
    }
    while ((node = smq_wheel_pop(&loop->wheel, loop->now.mono)) != NULL) {
        smq_transport_timeout(SMQ_CONTAINER_OF(node, struct smq_transport, timer));
    }
    smq_listener_tick(loop);
}

static void serve_dirty(struct smq_loop *loop)
{
    size_t budget = EVENTS + (size_t)loop->n_transports * SERVICES;
    struct smq_conn *conn = NULL;
    while (budget-- != 0 && (conn = smq_worker_next_dirty(loop->worker)) != NULL) {
        smq_transport_service(smq_conn_user(conn));
    }
    loop->more = conn != NULL;
}

bool smq_loop_turn(struct smq_loop *loop, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(loop->epoll, events, EVENTS, wait_time(loop, wait_ms));
    loop->now = smq_clock_now();
    if (n < 0 && errno != EINTR) {
        smq_log(loop->env.log, SMQ_LOG_ERR, "Waiting for events failed: %s.", strerror(errno));
        loop->failed = true;
        return false;
    }
    uint64_t ready = 0;
    for (int i = 0; i < n; i++) {
        dispatch(loop, &events[i], &ready);
    }
    fire_timers(loop);
    serve_dirty(loop);
    /* Last, so that who has left makes room for who comes. */
    for (unsigned i = 0; i < loop->n_listeners; i++) {
        if ((ready >> i & 1) != 0) {
            smq_listener_accept(loop, i);
        }
    }
    loop->more = loop->more || ready != 0;
    return !loop->ending || (loop->n_transports != 0 && loop->now.mono < loop->end_at);
}

smqtt_err smq_loop_run(struct smq_loop *loop)
{
    while (smq_loop_turn(loop, -1)) {
    }
    return loop->failed ? SMQTT_E_IO : SMQTT_OK;
}
