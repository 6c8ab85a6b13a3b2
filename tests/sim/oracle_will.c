/* SPDX-License-Identifier: Apache-2.0 */
/* Wills fire once if a connection ends without DISCONNECT, and else not. */
#include "sim.h"

enum { SLACK_US = 1500000 };

uint32_t oracle_will(struct sim *s, struct actor *a, unsigned topic, uint8_t qos, uint32_t delay_s)
{
    uint32_t n = oracle_publish(s, a, topic, qos, false, 40, 0);
    struct msg *m = &s->oracle.msgs[n];
    m->owed = 0;
    m->groups = 0;
    m->will = WILL_MAY; /* until CONNACK tells that the broker knows it */
    m->delay_s = delay_s;
    return n;
}

static void must_fire(struct sim *s, uint32_t will)
{
    s->oracle.msgs[will].will = WILL_MUST;
    s->oracle.msgs[will].mark.life = s->life;
    s->counts->wills_fired++;
}

/* It surely does not any more, unless it may have already. */
static void cancel(struct sim *s, uint32_t will, unsigned worker)
{
    struct msg *m = &s->oracle.msgs[will];
    m->mark = sim_disk_mark(s, worker);
    m->will = WILL_CANCELLED;
    m->owed = 0;
    s->counts->wills_cancelled++;
    if (m->got != 0) {
        sim_fail(s, "Will %u of actor %u fired, who left with DISCONNECT or came back in time.", will, m->actor);
    }
}

void oracle_will_ended(struct sim *s, const struct link *l, bool said, bool current)
{
    unsigned actor = l->actor;
    uint32_t will = l->will;
    struct session *se = &s->oracle.sessions[actor];
    struct msg *m = &s->oracle.msgs[will];
    if (m->will != WILL_ARMED) {
        if (said && m->will == WILL_MAY) {
            cancel(s, will, l->worker);
        }
        return;
    }
    if (said) {
        cancel(s, will, l->worker);
        return;
    }
    oracle_owe(s, will, l->ends != 0 ? l->ends : se->asked);
    m->unstored = se->expiry_min_s == 0;
    uint32_t expiry_s = se->expiry_min_s;
    uint32_t wait_s = m->delay_s < expiry_s ? m->delay_s : expiry_s;
    if (m->delay_s == 0 || (current && wait_s == 0)) {
        must_fire(s, will);
    } else if (!current) {
        m->will = WILL_MAY; /* taken over: CONNACK of the new connection tells more than we know */
    } else {
        m->will = WILL_DUE;
        m->will_us = m->late_us = s->now_us + (uint64_t)wait_s * 1000000;
        se->old_will = will;
    }
}

void oracle_will_back(struct sim *s, unsigned actor, bool resumed)
{
    struct session *se = &s->oracle.sessions[actor];
    uint32_t will = se->old_will;
    se->old_will = MSG_NONE;
    if (will == MSG_NONE || s->oracle.msgs[will].will != WILL_DUE) {
        return;
    }
    struct msg *m = &s->oracle.msgs[will];
    if (!resumed || se->asked_us > m->late_us + SLACK_US) {
        must_fire(s, will);
    } else if (s->now_us + SLACK_US < m->will_us) {
        cancel(s, will, 0);
        m->mark = (struct mark){0}; /* CONNACK says that it is committed */
    } else {
        m->will = WILL_MAY;
    }
}

void oracle_will_unsure(struct sim *s, unsigned actor)
{
    struct session *se = &s->oracle.sessions[actor];
    if (se->old_will != MSG_NONE && s->oracle.msgs[se->old_will].will == WILL_DUE) {
        s->oracle.msgs[se->old_will].will = WILL_MAY;
        se->old_will = MSG_NONE;
    }
}

/* That it fires no more may not have been committed: only what the client was told then counts. */
void oracle_wills_crashed(struct sim *s)
{
    for (unsigned i = 0; i < LINKS_MAX; i++) { /* it may have read DISCONNECT, or not */
        const struct link *l = &s->links[i];
        if (l->used && l->conn != NULL && l->said && l->will != MSG_NONE &&
            s->oracle.msgs[l->will].will == WILL_ARMED) {
            s->oracle.msgs[l->will].will = WILL_MAY;
        }
        if (l->used && l->conn != NULL && l->said && l->says_expiry) {
            s->oracle.sessions[l->actor].expiry_min_s = 0;
        }
    }
    for (uint32_t i = 0; i < s->oracle.n; i++) {
        struct msg *m = &s->oracle.msgs[i];
        /* A delayed one that fired waits again, and its client may come back before; one of a session that is not
         * stored is nowhere until it is committed with its receivers. */
        bool waits_again = m->will == WILL_MUST && (m->delay_s != 0 || m->unstored) && m->mark.life == s->life;
        if (waits_again || (m->will == WILL_CANCELLED && sim_disk_lost(s, &m->mark))) {
            m->will = WILL_MAY;
        }
    }
}

/* A client that was connected when the broker was killed is away since it was started. */
void oracle_will_restarted(struct sim *s, unsigned actor)
{
    struct session *se = &s->oracle.sessions[actor];
    struct msg *m = se->will != MSG_NONE ? &s->oracle.msgs[se->will] : NULL;
    if (m == NULL || m->will != WILL_ARMED) {
        return;
    }
    uint32_t wait_s = m->delay_s < se->expiry_min_s ? m->delay_s : se->expiry_min_s;
    oracle_owe(s, se->will, s->oracle.crashed);
    if (se->expiry_min_s == 0) {
        m->will = WILL_MAY; /* nothing of its session was stored */
    } else if (wait_s == 0) {
        must_fire(s, se->will);
    } else {
        m->will = WILL_DUE;
        m->will_us = m->late_us = s->now_us + (uint64_t)wait_s * 1000000;
        se->old_will = se->will;
    }
}

void oracle_wills_tick(struct sim *s)
{
    /* While the broker is down nothing fires; what it had not committed of the end of a connection begins anew. */
    for (unsigned i = 0; s->up && i < s->n_actors; i++) {
        struct session *se = &s->oracle.sessions[i];
        bool comes = s->actors[i].state == ACTOR_ASKED; /* the broker may have read its CONNECT in time */
        if (!comes && se->old_will != MSG_NONE && s->oracle.msgs[se->old_will].will == WILL_DUE &&
            s->now_us > s->oracle.msgs[se->old_will].late_us + SLACK_US) {
            must_fire(s, se->old_will);
            se->old_will = MSG_NONE;
        }
    }
}

/* Does the connection live that this is the will of? The broker learns of its end before we are told that it knows. */
static bool is_alive(const struct sim *s, const struct msg *m, uint32_t msg)
{
    const struct actor *of = &s->actors[m->actor];
    const struct link *l = of->link >= 0 ? &s->links[of->link] : NULL;
    return m->will == WILL_ARMED && l != NULL && l->will == msg && !l->cut && !l->said;
}

void oracle_will_got(struct sim *s, struct actor *a, uint32_t msg)
{
    const struct msg *m = &s->oracle.msgs[msg];
    if (is_alive(s, m, msg) || m->will == WILL_CANCELLED) {
        sim_fail(s, "Actor %u gets will %u of actor %u, %s.", a->index, msg, m->actor,
                 m->will == WILL_ARMED ? "whose connection lives" : "who left with DISCONNECT or came back in time");
    }
    bool coming = s->actors[m->actor].state == ACTOR_ASKED; /* a clean start would end the session */
    if (m->will == WILL_DUE && !coming && s->now_us + SLACK_US < m->will_us) {
        sim_fail(s, "Actor %u gets will %u of actor %u before its delay is over.", a->index, msg, m->actor);
    }
}
