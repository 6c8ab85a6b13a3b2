/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_TIMER_H
#define SMQTT_BROKER_TIMER_H
/* A timer of the worker's wheel that knows what to do when its time has come. There is one in every connection and
 * session, so what to do is a number and not a pointer. */
#include "base/wheel.h"

struct smq_worker;

/* Kind of timer, and the function that is called when it goes off; the timer is not set any more then. */
#define SMQ_TIMERS(ROW)                \
    ROW(CONN, smq_conn_on_timer)       \
    ROW(SESSION, smq_session_on_timer) \
    ROW(WILL, smq_will_on_timer)       \
    ROW(RETAINED, smq_retain_on_timer) \
    ROW(RELAY, smq_relay_on_timer)     \
    ROW(SLOW, smq_slow_on_timer)       \
    ROW(PAGED, smq_paged_on_timer)     \
    ROW(SYS, smq_sys_on_timer)

enum smq_timer_kind {
#define SMQ_TIMER_KIND(kind, fn) SMQ_TIMER_##kind,
    SMQ_TIMERS(SMQ_TIMER_KIND)
#undef SMQ_TIMER_KIND
        SMQ_TIMER_KINDS
};

struct smq_timer {
    struct smq_wheel_node node; /* its `owner` is the kind */
};

#define SMQ_TIMER_FN(kind, fn) void fn(struct smq_worker *w, struct smq_timer *timer);
SMQ_TIMERS(SMQ_TIMER_FN)
#undef SMQ_TIMER_FN

static inline void smq_timer_init(struct smq_timer *timer, enum smq_timer_kind kind)
{
    smq_wheel_node_init(&timer->node);
    timer->node.owner = (uint16_t)kind;
}

#endif
