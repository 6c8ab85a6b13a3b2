/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/sys.h"

#include <math.h>
#include <smqtt/smqtt.h>
#include <stdio.h>

#include "broker/figures.h"
#include "broker/internal.h"
#include "broker/route.h"

#define PREFIX "$SYS/broker/"

enum {
    QOS = 2, /* at most; subscribers take it down */
    TOPIC_MAX = 80,
    VALUE_MAX = 48,
    N_SPANS = 3,
#define COUNT(topic, value) +1
    N_COUNTS = 0
#include "broker/sys.def"
    ,
#define OWN(topic, value) +1
    N_OWN = 0
#include "broker/sys.def"
    ,
#define STORE(topic, field) +1
    N_STORES = 0
#include "broker/sys.def"
    ,
#define LOAD(topic, value) +1
    N_LOADS = 0
#include "broker/sys.def"
};

static const char *const count_topics[N_COUNTS] = {
#define COUNT(topic, value) topic,
#include "broker/sys.def"
};
static const char *const own_topics[N_OWN] = {
#define OWN(topic, value) topic,
#include "broker/sys.def"
};
static const char *const store_topics[N_STORES] = {
#define STORE(topic, field) "store/smqtt/" topic,
#include "broker/sys.def"
};
static const char *const load_topics[N_LOADS] = {
#define LOAD(topic, value) topic,
#include "broker/sys.def"
};
static const struct {
    const char *name;
    double minutes;
} averages[N_SPANS] = {{"1min", 1}, {"5min", 5}, {"15min", 15}};

struct smq_sys {
    struct smq_timer timer;
    struct smq_worker_stats highest;
    smqtt_ms begun, last;
    bool asked;       /* it has begun */
    uint64_t awaited; /* bits of workers whose numbers are to come before anything is told */
    bool told;        /* everything was told once; from now on what changes */
    uint64_t counts[N_COUNTS], own[N_OWN], stores[N_STORES], events[N_LOADS];
    double loads[N_LOADS][N_SPANS];
};

/* ------------------------------------------------------------ telling */

static void tell(struct smq_worker *w, const char *topic, smq_span payload, bool retain)
{
    struct smq_content content = {
        .topic = smq_span_str(topic), .payload = payload, .expires = SMQTT_NEVER, .qos = QOS, .retain = retain};
    struct smq_routing r;
    smq_routing_init(&r, &content, NULL, false);
    smqtt_err err = smq_route(w, &r);
    smq_routing_deinit(&r);
    if (err == SMQTT_E_QUOTA && retain) {
        tell(w, topic, payload, false); /* no place among the retained ones; who listens now hears it all the same */
    }
}

static void tell_text(struct smq_worker *w, const char *name, const char *value)
{
    char topic[sizeof PREFIX + TOPIC_MAX];
    snprintf(topic, sizeof topic, PREFIX "%s", name);
    tell(w, topic, smq_span_str(value), true);
}

/* One of the numbers that are told when they have changed. */
static void tell_number(struct smq_worker *w, const struct smq_sys *sys, const char *name, uint64_t value,
                        uint64_t *before)
{
    char text[VALUE_MAX];
    if (!sys->told || value != *before) {
        *before = value;
        snprintf(text, sizeof text, "%llu", (unsigned long long)value);
        tell_text(w, name, text);
    }
}

static void tell_counts(struct smq_worker *w, struct smq_sys *sys, const struct smq_worker_stats *s)
{
    const struct smq_worker_stats *h = &sys->highest;
    const uint64_t values[N_COUNTS] = {
#define COUNT(topic, value) value,
#include "broker/sys.def"
    };
    for (size_t i = 0; i < N_COUNTS; i++) {
        tell_number(w, sys, count_topics[i], values[i], &sys->counts[i]);
    }
}

/* Who does not use them has the tree of Mosquitto, to the last figure. */
static void tell_own(struct smq_worker *w, struct smq_sys *sys, const struct smq_worker_stats *s)
{
    const uint64_t values[N_OWN] = {
#define OWN(topic, value) value,
#include "broker/sys.def"
    };
    for (size_t i = 0; i < N_OWN; i++) {
        if (values[i] != 0) {
            tell_number(w, sys, own_topics[i], values[i], &sys->own[i]);
        }
    }
}

static void tell_store(struct smq_worker *w, struct smq_sys *sys)
{
    const struct smq_store_figures *f = w->store_figures;
    if (f == NULL) {
        return;
    }
    const uint64_t values[N_STORES] = {
#define STORE(topic, field) atomic_load_explicit(&f->field, memory_order_relaxed),
#include "broker/sys.def"
    };
    if (!sys->told) {
        tell_text(w, "store/smqtt/durability", f->durability);
    }
    for (size_t i = 0; i < N_STORES; i++) {
        tell_number(w, sys, store_topics[i], values[i], &sys->stores[i]);
    }
}

static void tell_load(struct smq_worker *w, struct smq_sys *sys, size_t i, size_t span, double load)
{
    char name[TOPIC_MAX], text[VALUE_MAX];
    double before = sys->loads[i][span];
    sys->loads[i][span] = load;
    if (!sys->told || load > before + 0.01 || load < before - 0.01) {
        snprintf(name, sizeof name, "load/%s/%s", load_topics[i], averages[span].name);
        snprintf(text, sizeof text, "%.2f", load);
        tell_text(w, name, text);
    }
}

/* A moving average that forgets with e^(-t/T), of what came per minute since the last time. */
static void tell_loads(struct smq_worker *w, struct smq_sys *sys, const struct smq_worker_stats *s)
{
    const uint64_t values[N_LOADS] = {
#define LOAD(topic, value) value,
#include "broker/sys.def"
    };
    double minutes = (double)(w->now.mono - sys->last) / 60000.0;
    for (size_t i = 0; i < N_LOADS; i++) {
        double rate = minutes > 0 ? (double)(values[i] - sys->events[i]) / minutes : 0;
        sys->events[i] = values[i];
        for (size_t span = 0; span < N_SPANS; span++) {
            double keep = exp(-minutes / averages[span].minutes);
            tell_load(w, sys, i, span, rate + keep * (sys->loads[i][span] - rate));
        }
    }
}

static void tell_all(struct smq_worker *w, struct smq_sys *sys)
{
    struct smq_worker_stats s;
    char text[VALUE_MAX];
    smq_worker_stats_all(w, &s);
    sys->highest.sessions = s.sessions > sys->highest.sessions ? s.sessions : sys->highest.sessions;
    uint64_t heap = s.memory_bytes + s.fixed_bytes;
    sys->highest.memory_bytes = heap > sys->highest.memory_bytes ? heap : sys->highest.memory_bytes;
    if (!sys->told) {
        tell_text(w, "version", "smqttd version " SMQTT_VERSION);
    }
    snprintf(text, sizeof text, "%llu seconds", (unsigned long long)((w->now.mono - sys->begun) / 1000));
    tell_text(w, "uptime", text);
    tell_counts(w, sys, &s);
    tell_own(w, sys, &s);
    tell_store(w, sys);
    tell_loads(w, sys, &s);
    sys->told = true;
    sys->last = w->now.mono;
}

/* ------------------------------------------------------------ when */

static void arm(struct smq_worker *w, struct smq_sys *sys)
{
    if (w->config->sys_interval_s == 0) {
        smq_wheel_cancel(&w->wheel, &sys->timer.node);
        return;
    }
    /* The first time at once; then at round times, so that what different brokers say can be laid beside each other. */
    smqtt_ms interval = (smqtt_ms)w->config->sys_interval_s * 1000;
    smqtt_ms round = sys->begun + ((w->now.mono - sys->begun) / interval + 1) * interval;
    smq_wheel_set(&w->wheel, &sys->timer.node, sys->asked ? round : w->now.mono);
}

void smq_sys_on_timer(struct smq_worker *w, struct smq_timer *timer)
{
    struct smq_sys *sys = SMQ_CONTAINER_OF(timer, struct smq_sys, timer);
    if (w->count == 1 || sys->awaited != 0) {
        tell_all(w, sys); /* who has not answered for so long had no memory for it */
    } else {
        sys->awaited = (w->count < 64 ? (UINT64_C(1) << w->count) - 1 : UINT64_MAX) & ~UINT64_C(1);
        smq_worker_ask_stats(w);
    }
    sys->asked = true;
    arm(w, sys);
}

void smq_sys_on_stats(struct smq_worker *w, unsigned from)
{
    struct smq_sys *sys = w->sys;
    if (sys == NULL || (sys->awaited & UINT64_C(1) << from) == 0) {
        return;
    }
    sys->awaited &= ~(UINT64_C(1) << from);
    if (sys->awaited == 0) {
        tell_all(w, sys);
    }
}

smqtt_err smq_sys_init(struct smq_worker *w)
{
    if (w->index != 0) {
        return SMQTT_OK;
    }
    w->sys = smq_mem_zalloc(w->mem, 1, sizeof *w->sys);
    if (w->sys == NULL) {
        return SMQTT_E_NOMEM;
    }
    w->sys->begun = w->sys->last = w->now.mono;
    smq_timer_init(&w->sys->timer, SMQ_TIMER_SYS);
    arm(w, w->sys);
    return SMQTT_OK;
}

void smq_sys_deinit(struct smq_worker *w)
{
    if (w->sys != NULL) {
        smq_wheel_cancel(&w->wheel, &w->sys->timer.node);
        smq_mem_free(w->mem, w->sys);
        w->sys = NULL;
    }
}

void smq_sys_configure(struct smq_worker *w)
{
    if (w->sys != NULL) {
        arm(w, w->sys);
    }
}

void smq_sys_log(struct smq_worker *w, unsigned level, smq_span line)
{
    static const char *const topics[] = {
        [SMQ_LOG_ERR] = PREFIX "log/E",
        [SMQ_LOG_WARN] = PREFIX "log/W",
        [SMQ_LOG_NOTICE] = PREFIX "log/N",
        [SMQ_LOG_INFO] = PREFIX "log/I",
        [SMQ_LOG_SUBSCRIBE] = PREFIX "log/M/subscribe",
        [SMQ_LOG_UNSUBSCRIBE] = PREFIX "log/M/unsubscribe",
    };
    if (level < SMQ_ARRAY_LEN(topics) && topics[level] != NULL) {
        tell(w, topics[level], line, false);
    }
}
