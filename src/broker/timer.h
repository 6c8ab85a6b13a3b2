/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_TIMER_H
#define SMQTT_BROKER_TIMER_H
/* A timer of the worker's wheel that knows what to do when its time has come. */
#include "base/wheel.h"

struct smq_worker;
struct smq_timer;
typedef void (*smq_timer_fn)(struct smq_worker *w, struct smq_timer *timer);

struct smq_timer {
    struct smq_wheel_node node;
    smq_timer_fn fire; /* the timer is not set any more then */
};

static inline void smq_timer_init(struct smq_timer *timer, smq_timer_fn fire)
{
    smq_wheel_node_init(&timer->node);
    timer->fire = fire;
}

#endif
