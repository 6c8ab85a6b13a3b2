/* SPDX-License-Identifier: Apache-2.0 */
/* Retained: the last one that was acknowledged, or one that was under way at the same time. */
#include <string.h>

#include "sim.h"

/* Was another one of this topic published after `m` was acknowledged, and acknowledged before clock `by`? */
static bool is_superseded(const struct oracle *o, const struct msg *m, uint64_t by)
{
    uint64_t end = m->acked != 0 && m->qos != 0 && !m->may_double ? m->acked : UINT64_MAX;
    for (uint32_t i = 0; i < o->n && end != UINT64_MAX; i++) {
        const struct msg *other = &o->msgs[i];
        if (other->retain && other->topic == m->topic && other->qos != 0 && other->acked != 0 && other->acked < by &&
            other->asked > end) {
            return true;
        }
    }
    return false;
}

/* When did it begin to ask for messages of this topic? */
static uint64_t first_asked(const struct oracle *o, const struct session *se, unsigned topic)
{
    uint64_t first = UINT64_MAX;
    for (unsigned f = 0; f < FILTERS; f++) {
        const struct sub *sub = &se->subs[f];
        first = sub->ever && o->match[f][topic] && sub->asked < first ? sub->asked : first;
    }
    return first;
}

void oracle_retained_got(struct sim *s, struct actor *a, uint32_t msg)
{
    const struct msg *m = &s->oracle.msgs[msg];
    const struct session *se = &s->oracle.sessions[a->index];
    if (!m->retain) {
        sim_fail(s, "Actor %u gets message %u as retained, which was not.", a->index, msg);
    }
    if (is_superseded(&s->oracle, m, first_asked(&s->oracle, se, m->topic))) {
        sim_fail(s,
                 "Actor %u subscribes and gets retained message %u of topic %s, though a later one was acknowledged.",
                 a->index, msg, oracle_topics[m->topic]);
    }
    if (a->kind == ACTOR_LATE) {
        s->oracle.late[m->topic] = msg;
    }
}

/* May the topic have no retained message? */
static bool may_be_empty(const struct sim *s, unsigned topic)
{
    const struct oracle *o = &s->oracle;
    bool any = false;
    for (uint32_t i = 0; i < o->n; i++) {
        const struct msg *m = &o->msgs[i];
        if (!m->retain || m->topic != topic || m->refused) {
            continue;
        }
        bool gone = m->removal || (m->expiry_s != 0 && m->expiry_s < 3600);
        if (gone && !is_superseded(o, m, UINT64_MAX)) {
            return true;
        }
        any = any || (m->acked != 0 && m->qos != 0);
    }
    return !any;
}

void oracle_check_retained(struct sim *s, const struct actor *late)
{
    (void)late;
    for (unsigned t = 0; t < TOPIC_WILLS; t++) {
        if (s->oracle.late[t] == MSG_NONE && !may_be_empty(s, t)) {
            sim_fail(s, "Topic %s has no retained message, though one was acknowledged and not removed.",
                     oracle_topics[t]);
        }
    }
}
