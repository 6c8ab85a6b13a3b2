/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: published, acknowledged, delivered. */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { SLACK_US = 1500000, MARK = 0x53 };

static uint64_t bit(unsigned actor)
{
    return UINT64_C(1) << actor;
}

/* ------------------------------------------------------------ payloads */

void oracle_payload(const struct sim *s, uint32_t msg, uint8_t *out)
{
    const struct msg *m = &s->oracle.msgs[msg];
    memset(out, (int)(msg & 0xFF), m->size);
    if (m->size >= 8) {
        out[0] = MARK;
        memcpy(out + 1, &msg, sizeof msg);
        out[5] = m->actor;
    }
}

uint32_t oracle_read(const struct sim *s, struct smqtt_span payload)
{
    uint32_t msg = MSG_NONE;
    if (payload.len < 8 || payload.data[0] != MARK) {
        return MSG_NONE;
    }
    memcpy(&msg, payload.data + 1, sizeof msg);
    if (msg >= s->oracle.n || s->oracle.msgs[msg].size != payload.len) {
        return MSG_NONE;
    }
    for (size_t i = 6; i < payload.len; i++) {
        if (payload.data[i] != (uint8_t)msg) {
            return MSG_NONE;
        }
    }
    return msg;
}

/* ------------------------------------------------------------ publishing */

void oracle_owe(struct sim *s, uint32_t msg, uint64_t by)
{
    struct oracle *o = &s->oracle;
    struct msg *m = &o->msgs[msg];
    m->owed = 0;
    m->groups = 0;
    for (unsigned i = 0; i < s->n_actors && m->qos != 0; i++) {
        const struct session *se = &o->sessions[i];
        for (unsigned f = 0; f < FILTERS && se->there == SURELY; f++) {
            const struct sub *sub = &se->subs[f];
            if (sub->there != SURELY || sub->qos == 0 || sub->since > by || !o->match[f][m->topic]) {
                continue;
            }
            bool is_shared = f >= FILTER_SHARED && f < FILTER_SHARED + GROUPS;
            if (!is_shared) {
                m->owed |= bit(i);
            } else if (s->actors[i].kind == ACTOR_ANCHOR) {
                m->groups |= (uint8_t)(1u << (f - FILTER_SHARED));
            }
        }
    }
    m->expected = m->owed;
}

uint32_t oracle_publish(struct sim *s, struct actor *a, unsigned topic, uint8_t qos, bool retain, uint32_t size,
                        uint32_t expiry_s)
{
    struct oracle *o = &s->oracle;
    uint32_t n = o->n++;
    o->msgs[n] = (struct msg){.asked = ++o->clock,
                              .asked_us = s->now_us,
                              .size = size,
                              .expiry_s = expiry_s,
                              .actor = a->index,
                              .topic = (uint8_t)topic,
                              .qos = qos,
                              .retain = retain,
                              .removal = retain && size == 0,
                              .life = s->life};
    if (size != 0) { /* nobody can tell which one came */
        oracle_owe(s, n, UINT64_MAX);
    }
    sim_trace(s, "actor %llu publishes %llu: topic, QoS, retain, expiry 0x%llx", a->index, n,
              topic | (uint64_t)qos << 8 | (uint64_t)retain << 12 | (uint64_t)expiry_s << 16);
    return n;
}

void oracle_unpublish(struct sim *s, uint32_t msg)
{
    s->oracle.msgs[msg].owed = 0;
    s->oracle.msgs[msg].groups = 0;
    s->oracle.msgs[msg].refused = true;
}

void oracle_acknowledged(struct sim *s, struct actor *a, uint32_t msg, uint8_t reason)
{
    struct msg *m = &s->oracle.msgs[msg];
    sim_trace(s, "actor %llu is through with %llu, 0x%llx", a->index, msg, reason);
    if (reason >= 0x80 && reason != 0x92) {
        sim_fail(s, "The broker refuses message %u of actor %u with 0x%02x.", msg, a->index, reason);
    }
    m->acked = ++s->oracle.clock;
    m->acked_us = s->now_us;
    s->counts->acknowledged++;
}

void oracle_resent(struct sim *s, uint32_t msg, bool lost)
{
    struct msg *m = &s->oracle.msgs[msg];
    m->resent = true;
    m->may_double = m->may_double || lost;
}

/* ------------------------------------------------------------ delivery */

static bool has_subscribed(const struct oracle *o, const struct session *se, unsigned topic)
{
    for (unsigned f = 0; f < FILTERS; f++) {
        if (se->subs[f].ever && o->match[f][topic]) {
            return true;
        }
    }
    return false;
}

/* Was it to get the first copy? One that was sent again may come to who has subscribed meanwhile. */
static bool knows_order(const struct msg *m, unsigned actor, uint8_t qos)
{
    return qos == 0 ? !m->resent : (m->expected & bit(actor)) != 0;
}

/* [MQTT-4.6.0-5] */
static void check_order(struct sim *s, const struct actor *a, uint32_t msg, uint8_t qos)
{
    struct oracle *o = &s->oracle;
    struct session *se = &o->sessions[a->index];
    const struct msg *m = &o->msgs[msg];
    uint64_t *last = &se->last[m->actor][m->topic][m->qos][qos];
    /* A copy may have expired, or was too large for a client that takes more today, and the next one not. */
    bool again =
        m->resent && (s->oracle.lossy || m->expiry_s != 0 || (se->max_packet != 0 && m->size + 64 > se->max_packet));
    if (*last > m->asked && knows_order(m, a->index, qos) && !m->may_double && !again) {
        sim_fail(s, "Actor %u gets message %u (topic %s, QoS %u) of actor %u behind a later one.", a->index, msg,
                 oracle_topics[m->topic], m->qos, m->actor);
    }
    *last = *last > m->asked ? *last : m->asked;
}

/* The broker begins to deliver something whose time was over before this connection was there. */
static void check_expiry(struct sim *s, const struct actor *a, const struct msg *m, bool dup)
{
    const struct session *se = &s->oracle.sessions[a->index];
    uint64_t since = m->acked != 0 ? m->acked_us : s->now_us;
    if (m->expiry_s != 0 && !dup && se->asked_us > since + (uint64_t)m->expiry_s * 1000000 + SLACK_US) {
        sim_fail(s, "Actor %u gets message %u, which expired before it came back.", a->index,
                 (unsigned)(m - s->oracle.msgs));
    }
}

static void take_shared(struct sim *s, const struct actor *a, uint32_t msg, uint8_t qos)
{
    struct msg *m = &s->oracle.msgs[msg];
    uint8_t group = (uint8_t)(1u << a->group);
    s->counts->shared_delivered++;
    if (qos == 2 && (m->got_groups2 & group) != 0 && !m->may_double) {
        sim_fail(s, "Message %u of QoS 2 came twice to group %u, now to actor %u.", msg, a->group, a->index);
    }
    m->got_groups |= group;
    m->got_groups2 |= qos == 2 ? group : 0;
}

static void take_live(struct sim *s, const struct actor *a, uint32_t msg, const struct smqtt_client_event *ev)
{
    struct oracle *o = &s->oracle;
    struct msg *m = &o->msgs[msg];
    uint64_t me = bit(a->index);
    if ((m->got & me) == 0) {
        check_order(s, a, msg, ev->qos);
        check_expiry(s, a, m, ev->dup);
        m->got |= me;
    } else {
        bool excused = m->may_double || (ev->qos < 2 && (ev->dup || m->resent || m->life != s->life));
        s->counts->repeated++;
        if ((ev->qos == 2 && (m->got2 & me) != 0 && !m->may_double) || (ev->qos != 2 && !excused)) {
            sim_fail(s, "Message %u of actor %u came twice to actor %u with QoS %u, DUP %d.", msg, m->actor, a->index,
                     ev->qos, ev->dup);
        }
    }
    m->got2 |= ev->qos == 2 ? me : 0;
}

void oracle_message(struct sim *s, struct actor *a, const struct smqtt_client_event *ev)
{
    struct oracle *o = &s->oracle;
    uint32_t msg = oracle_read(s, ev->payload);
    o->clock++;
    s->counts->delivered++;
    if (ev->payload.len == 0) {
        return; /* a removal, live */
    }
    if (smq_span_starts(ev->topic, smq_span_str("x/")) || smq_span_starts(ev->topic, smq_span_str("smqtt"))) {
        return; /* not for its eyes */
    }
    if (msg == MSG_NONE || !smq_span_equal(ev->topic, smq_span_str(oracle_topics[o->msgs[msg].topic]))) {
        sim_fail(s, "Actor %u gets %zu bytes on %.*s that nobody published there.", a->index, ev->payload.len,
                 (int)ev->topic.len, (const char *)ev->topic.data);
        return;
    }
    struct msg *m = &o->msgs[msg];
    sim_trace(s, "actor %llu gets message %llu, QoS and flags 0x%llx", a->index, msg,
              (uint64_t)ev->qos | (uint64_t)ev->dup << 4 | (uint64_t)ev->retain << 8);
    if (!has_subscribed(o, &o->sessions[a->index], m->topic)) {
        sim_fail(s, "Actor %u gets message %u, which it did not subscribe to.", a->index, msg);
    }
    if (ev->qos > m->qos) {
        sim_fail(s, "Actor %u gets message %u with QoS %u, which was published with %u.", a->index, msg, ev->qos,
                 m->qos);
    }
    if (ev->retain) {
        s->counts->retained_seen++;
        oracle_retained_got(s, a, msg);
    } else if (a->kind == ACTOR_MEMBER || a->kind == ACTOR_ANCHOR) {
        take_shared(s, a, msg, ev->qos);
    } else {
        if (m->will != WILL_NONE) {
            oracle_will_got(s, a, msg);
        }
        take_live(s, a, msg, ev);
    }
}

/* ------------------------------------------------------------ the end */

/* May it have been dropped? */
static bool is_excused(const struct sim *s, const struct msg *m, unsigned actor)
{
    const struct session *se = &s->oracle.sessions[actor];
    bool expired = m->expiry_s != 0 && s->now_us + SLACK_US > m->asked_us + (uint64_t)m->expiry_s * 1000000;
    bool large = se->max_packet != 0 && m->size + 64 > se->max_packet;
    return expired || large || se->there != SURELY || s->oracle.lossy;
}

static void check_message(struct sim *s, uint32_t msg)
{
    const struct msg *m = &s->oracle.msgs[msg];
    bool is_due = m->will != WILL_NONE ? m->will == WILL_MUST : m->acked != 0;
    uint64_t missing = m->owed & ~m->got;
    for (unsigned i = 0; is_due && i < s->n_actors; i++) {
        if ((missing & bit(i)) != 0 && !is_excused(s, m, i)) {
            sim_fail(s, "%s %u (topic %s, QoS %u) of actor %u, %s, never came to actor %u.",
                     m->will != WILL_NONE ? "Will" : "Message", msg, oracle_topics[m->topic], m->qos, m->actor,
                     m->will != WILL_NONE ? "whose connection broke" : "which was acknowledged", i);
        }
    }
    uint8_t groups = (uint8_t)(m->groups & ~m->got_groups);
    bool expired = m->expiry_s != 0 && s->now_us + SLACK_US > m->asked_us + (uint64_t)m->expiry_s * 1000000;
    if (is_due && groups != 0 && !expired && !s->oracle.lossy) {
        sim_fail(s, "Message %u of actor %u, which was acknowledged, came to nobody of a shared group.", msg, m->actor);
    }
}

void oracle_check_end(struct sim *s)
{
    for (uint32_t i = 0; i < s->oracle.n && !s->failed; i++) {
        if (!s->oracle.msgs[i].refused) {
            check_message(s, i);
        }
    }
    for (unsigned i = 0; i < s->n_actors; i++) {
        const struct actor *a = &s->actors[i];
        if (a->c != NULL && a->state == ACTOR_UP && a->kind < ACTOR_SEALER && smqtt_client_unfinished(a->c) != 0) {
            sim_fail(s, "Actor %u waits for acknowledgements that never come.", i);
        }
        if (a->c != NULL && a->state != ACTOR_UP) {
            sim_fail(s, "Actor %u does not get its CONNACK.", i);
        }
    }
}
