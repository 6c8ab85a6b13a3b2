/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mutate.h"
#include "broker/slow.h"
#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/route.h"

enum { FIRST_HELD = 8, HIGH_MARK = 4 << 20, DEFAULT_MESSAGES = 1000, LOG_EVERY_S = 60 };

/* ------------------------------------------------------------ marks */

static uint64_t less_half(uint64_t mark, uint64_t max)
{
    return max != 0 && max / 2 < mark ? max / 2 : mark;
}

static uint64_t high_bytes(const struct smq_broker_config *config)
{
    return less_half(less_half(HIGH_MARK, config->max_queued_bytes), config->max_output_bytes);
}

/* Messages are counted for those that are here only where the administrator wants another number than the default,
 * which is meant for those that are away. */
static uint64_t high_messages(const struct smq_broker_config *config)
{
    uint32_t max = config->max_queued_messages;
    return max == 0 || max == DEFAULT_MESSAGES ? UINT64_MAX : max;
}

static bool is_over(const struct smq_broker_config *config, const struct smq_session *s, size_t more)
{
    return s->queue.bytes + more > high_bytes(config) || s->queue.n >= high_messages(config);
}

static bool is_low(const struct smq_broker_config *config, const struct smq_session *s)
{
    return s->queue.bytes <= high_bytes(config) / 2 && s->queue.n <= high_messages(config) / 2;
}

/* ------------------------------------------------------------ who waits */

static uint64_t *place_of(const struct smq_slow *slow, uint64_t origin)
{
    uint32_t at = (uint32_t)((origin * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (slow->cap - 1);
    while (slow->held[at] != 0 && slow->held[at] != origin) {
        at = (at + 1) & (slow->cap - 1);
    }
    return &slow->held[at];
}

static bool make_room(struct smq_worker *w, struct smq_slow *slow)
{
    if (slow->n * 2 < slow->cap) {
        return true;
    }
    struct smq_slow bigger = {.cap = slow->cap != 0 ? slow->cap * 2 : FIRST_HELD};
    bigger.held = smq_mem_zalloc(w->mem, bigger.cap, sizeof *bigger.held);
    if (bigger.held == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < slow->cap; i++) {
        if (slow->held[i] != 0) {
            *place_of(&bigger, slow->held[i]) = slow->held[i];
        }
    }
    smq_mem_free(w->mem, slow->held);
    slow->held = bigger.held;
    slow->cap = bigger.cap;
    return true;
}

/* Each publisher is held once by each slow subscriber, however much it sends. */
static void hold(struct smq_worker *w, struct smq_slow *slow, const struct smq_routing *r)
{
    uint64_t origin = smq_origin_of_routing(r);
    if (origin == 0 || !make_room(w, slow)) {
        return;
    }
    uint64_t *place = place_of(slow, origin);
    if (*place == 0 && smq_origin_hold(w, origin, true)) {
        *place = origin;
        slow->n++;
    }
}

static void release_all(struct smq_worker *w, struct smq_slow *slow)
{
    for (uint32_t i = 0; i < slow->cap; i++) {
        if (slow->held[i] != 0) {
            smq_origin_hold(w, slow->held[i], false);
        }
    }
    smq_mem_free(w->mem, slow->held);
    slow->held = NULL;
    slow->cap = 0;
    slow->n = 0;
}

/* ------------------------------------------------------------ its life */

static smqtt_ms timeout_of(const struct smq_worker *w)
{
    return (smqtt_ms)w->config->slow_timeout_s * 1000;
}

void smq_slow_on_timer(struct smq_worker *w, struct smq_timer *timer)
{
    struct smq_slow *slow = SMQ_CONTAINER_OF(timer, struct smq_slow, timer);
    smqtt_ms at = slow->progressed + timeout_of(w);
    if (at > w->now.mono) {
        smq_wheel_set(&w->wheel, &slow->timer.node, at);
        return;
    }
    slow->stalled = true;
    release_all(w, slow);
}

static bool begin(struct smq_worker *w, struct smq_session *s)
{
    struct smq_slow *slow = smq_mem_zalloc(w->mem, 1, sizeof *slow);
    if (slow == NULL) {
        return false;
    }
    slow->session = s;
    slow->progressed = w->now.mono;
    smq_timer_init(&slow->timer, SMQ_TIMER_SLOW);
    smq_wheel_set(&w->wheel, &slow->timer.node, w->now.mono + timeout_of(w));
    s->slow = slow;
    return true;
}

void smq_slow_end(struct smq_worker *w, struct smq_session *s)
{
    struct smq_slow *slow = s->slow;
    if (slow == NULL) {
        return;
    }
    s->slow = NULL;
    smq_wheel_cancel(&w->wheel, &slow->timer.node);
    release_all(w, slow);
    smq_mem_free(w->mem, slow);
}

void smq_slow_took_bytes(struct smq_worker *w, struct smq_session *s)
{
    s->slow->progressed = w->now.mono;
}

void smq_slow_took_messages(struct smq_worker *w, struct smq_session *s)
{
    struct smq_slow *slow = s->slow;
    slow->progressed = w->now.mono;
    if (is_low(w->config, s)) {
        smq_slow_end(w, s);
    } else if (slow->stalled && !is_over(w->config, s, 0)) {
        slow->stalled = false; /* it has room again, so that what it holds up stays bounded */
        smq_wheel_set(&w->wheel, &slow->timer.node, w->now.mono + timeout_of(w));
    }
}

/* ------------------------------------------------------------ what may wait */

static bool is_full(const struct smq_broker_config *config, const struct smq_session *s, size_t bytes)
{
    bool full = config->max_queued_messages != 0 &&
                s->queue.n >= config->max_queued_messages + (SMQ_MUTATE(queue_ceiling) ? 1 : 0);
    return full || (config->max_queued_bytes != 0 && s->queue.bytes + bytes > config->max_queued_bytes);
}

static bool admit_held(struct smq_worker *w, struct smq_session *s, const struct smq_routing *r, size_t bytes)
{
    const struct smq_broker_config *config = w->config;
    if (config->max_queued_bytes != 0 && s->queue.bytes + bytes > config->max_queued_bytes) {
        return false;
    }
    if (!is_over(config, s, bytes)) {
        return true;
    }
    if ((s->slow == NULL && !begin(w, s)) || s->slow->stalled) {
        return false;
    }
    hold(w, s->slow, r);
    return true;
}

bool smq_slow_admit(struct smq_worker *w, struct smq_session *s, const struct smq_routing *r, size_t bytes)
{
    const struct smq_broker_config *config = w->config;
    enum smq_slow_policy policy = config->slow_policy;
    if (s->conn != NULL && policy == SMQ_SLOW_BACKPRESSURE) {
        return admit_held(w, s, r, bytes);
    }
    if (!is_full(config, s, bytes)) {
        return true;
    }
    bool fits = config->max_queued_bytes == 0 || bytes <= config->max_queued_bytes;
    if (policy == SMQ_SLOW_DROP_OLDEST && fits) {
        while (s->queue.n != 0 && is_full(config, s, bytes)) {
            smq_session_drop_first(w, s);
        }
        return true;
    }
    if (policy == SMQ_SLOW_DISCONNECT && s->conn != NULL) {
        smq_conn_doom(s->conn, SMQTT_E_QUOTA);
    }
    return false;
}

void smq_slow_dropped(struct smq_worker *w, struct smq_session *s)
{
    uint32_t now_s = (uint32_t)(w->now.mono / 1000);
    w->stats.publish_dropped++;
    bool said = s->drop_said_s != 0 && now_s - s->drop_said_s < LOG_EVERY_S;
    if (said || !smq_log_is_on(w->log, SMQ_LOG_NOTICE)) {
        return;
    }
    char id[128];
    smq_text_escape(id, sizeof id, smq_session_id(s));
    s->drop_said_s = now_s != 0 ? now_s : 1;
    smq_log(w->log, SMQ_LOG_NOTICE, "Outgoing messages are being dropped for client %s.", id);
}
