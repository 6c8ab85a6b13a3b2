/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, and what each is owed. */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

#include "codec/topic.h"
#include "sim.h"

enum { SLACK_US = 1500000 };

const char *const oracle_topics[TOPICS] = {"t/0", "t/1", "t/2/a", "t/2/b", "u", "s/0", "s/1", "w/0", "w/1", "x/0"};
const char *const oracle_filters[FILTERS] = {"t/0",   "t/1", "t/+", "t/#",          "t/2/+",        "+/+", "u",
                                             "t/+/a", "w/#", "#",   "$share/g/s/0", "$share/h/s/1", "x/#"};

void oracle_init(struct sim *s)
{
    struct oracle *o = &s->oracle;
    memset(o, 0, sizeof *o);
    o->msgs = malloc(MSGS_MAX * sizeof *o->msgs);
    if (o->msgs == NULL) {
        abort();
    }
    o->clock = 1;
    for (unsigned f = 0; f < FILTERS; f++) {
        for (unsigned t = 0; t < TOPICS; t++) {
            smq_span group, filter = smq_span_str(oracle_filters[f]);
            (void)smq_topic_split_share(filter, &group, &filter);
            o->match[f][t] = smq_topic_match(filter, smq_span_str(oracle_topics[t]));
        }
    }
    for (unsigned i = 0; i < SESSIONS; i++) {
        o->sessions[i].will = o->sessions[i].old_will = MSG_NONE;
    }
    for (unsigned t = 0; t < TOPICS; t++) {
        o->late[t] = MSG_NONE;
    }
}

void oracle_free(struct sim *s)
{
    free(s->oracle.msgs);
    s->oracle.msgs = NULL;
}

static uint64_t bit(const struct actor *a)
{
    return UINT64_C(1) << a->index;
}

/* ------------------------------------------------------------ sessions */

/* Nothing of the old session is owed any more, and a new one knows nothing. */
static void forget(struct sim *s, struct actor *a)
{
    struct oracle *o = &s->oracle;
    for (uint32_t i = 0; i < o->n; i++) {
        o->msgs[i].owed &= ~bit(a);
        o->msgs[i].expected &= ~bit(a);
        o->msgs[i].got &= ~bit(a);
        o->msgs[i].got2 &= ~bit(a);
    }
    memset(o->sessions[a->index].subs, 0, sizeof o->sessions[a->index].subs);
    memset(o->sessions[a->index].last, 0, sizeof o->sessions[a->index].last);
}

/* The session may be the old one or a new one. */
static void doubt(struct sim *s, const struct actor *a)
{
    struct oracle *o = &s->oracle;
    for (uint32_t i = 0; i < o->n; i++) {
        o->msgs[i].owed &= ~bit(a);
        o->msgs[i].expected &= ~bit(a);
    }
    for (unsigned f = 0; f < FILTERS; f++) {
        struct sub *sub = &o->sessions[a->index].subs[f];
        sub->there = sub->there == SURELY ? MAYBE : sub->there;
        sub->qos = 0;
    }
}

/* Its client is a new one, which does not know what it got with QoS 2. */
static void forget_got(struct sim *s, const struct actor *a)
{
    for (uint32_t i = 0; i < s->oracle.n; i++) {
        s->oracle.msgs[i].got2 &= ~bit(a);
    }
}

static uint64_t life_us(uint32_t expiry_s)
{
    return expiry_s == UINT32_MAX ? UINT64_MAX / 4 : (uint64_t)expiry_s * 1000000;
}

/* Is there a session that a CONNECT finds that was sent at sent_us and answered by now? */
static enum surely is_there(const struct sim *s, const struct session *se, uint64_t sent_us)
{
    if (se->there == SURELY_NOT) {
        return SURELY_NOT;
    }
    bool may_end = se->online ? se->expiry_min_s == 0 : s->now_us + SLACK_US > se->away_us + life_us(se->expiry_min_s);
    bool must_end =
        se->online ? se->expiry_max_s == 0 : sent_us > se->away_late_us + life_us(se->expiry_max_s) + SLACK_US;
    must_end = must_end && !se->maybe_online;
    if (!se->online && se->expiry_max_s == 0) {
        must_end = true;
    }
    if (must_end) {
        return SURELY_NOT;
    }
    return may_end || se->there == MAYBE ? MAYBE : SURELY;
}

void oracle_connecting(struct sim *s, struct actor *a)
{
    struct session *se = &s->oracle.sessions[a->index];
    s->oracle.clock++;
    se->clean = a->clean;
    se->asks_expiry_s = a->expiry_s;
    se->asked = s->oracle.clock;
    se->asked_us = s->now_us;
    se->connected = false;
    if (a->max_packet != 0 && (se->max_packet == 0 || a->max_packet < se->max_packet)) {
        se->max_packet = a->max_packet;
    }
}

bool oracle_has_session(const struct sim *s, const struct actor *a)
{
    const struct session *se = &s->oracle.sessions[a->index];
    return !se->clean && is_there(s, se, se->asked_us) == SURELY;
}

void oracle_connected(struct sim *s, struct actor *a, bool present)
{
    struct oracle *o = &s->oracle;
    struct session *se = &o->sessions[a->index];
    o->clock++;
    enum surely there = se->clean ? SURELY_NOT : is_there(s, se, se->asked_us);
    sim_trace(s, "actor %llu is connected, session present %llu, expected %llu", a->index, present, there);
    if (a->version == SMQTT_V31) { /* its CONNACK does not tell */
        present = there == SURELY;
        if (there == MAYBE) {
            oracle_will_unsure(s, a->index);
        }
    } else if ((present && there == SURELY_NOT) || (!present && there == SURELY)) {
        sim_fail(s, "Session present of actor %u is %d, but it is%s there%s.", a->index, present, present ? " not" : "",
                 se->clean ? " (clean start)" : "");
    }
    *(present ? &s->counts->sessions_resumed : &s->counts->sessions_new) += 1;
    s->counts->sessions_expired += !present && se->there == SURELY && !se->clean ? 1 : 0;
    oracle_will_back(s, a->index, present);
    if (!present) {
        forget(s, a);
        se->max_packet = a->max_packet;
        for (unsigned f = 0; f < FILTERS && there == MAYBE && a->version == SMQTT_V31; f++) {
            se->subs[f].ever = true;
        }
    } else if (se->may_get_twice) {
        forget_got(s, a);
    }
    se->may_get_twice = false;
    se->there = SURELY;
    /* CONNACK may come late, from a broker that has gone since. */
    bool lives = a->link >= 0 && !s->links[a->link].broker_done;
    if (!lives) {
        se->away_us = se->asked_us;
        se->away_late_us = s->now_us;
    }
    se->connected = true;
    se->online = lives;
    se->maybe_online = !lives && !s->up; /* it is away since the next start */
    se->expiry_min_s = se->expiry_max_s = se->expiry_before_s = se->asks_expiry_s;
    se->up_us = s->now_us;
    se->will = a->will;
    if (a->will != MSG_NONE && o->msgs[a->will].will == WILL_MAY && lives) {
        o->msgs[a->will].will = WILL_ARMED;
        s->counts->wills_armed++;
    }
}

void oracle_ended(struct sim *s, struct actor *a, bool heard, bool lives)
{
    struct session *se = &s->oracle.sessions[a->index];
    s->oracle.clock++;
    for (unsigned f = 0; f < FILTERS; f++) {
        se->subs[f].asking = false;
    }
    if (!se->connected && heard) { /* the broker may have read its CONNECT, or not */
        oracle_will_unsure(s, a->index);
        bool stays = is_there(s, se, se->asked_us) == SURELY && !se->clean;
        se->there = stays ? SURELY : MAYBE;
        if (!stays) {
            doubt(s, a);
        }
        se->expiry_min_s = se->asks_expiry_s < se->expiry_min_s ? se->asks_expiry_s : se->expiry_min_s;
        se->expiry_max_s = se->asks_expiry_s > se->expiry_max_s ? se->asks_expiry_s : se->expiry_max_s;
        se->maybe_online = lives || !s->up; /* until the broker sees its end, if it ever saw its begin */
        se->away_late_us = s->now_us;
        se->there = se->expiry_min_s == 0 ? MAYBE : se->there;
    }
    se->connected = false;
}

void oracle_gone(struct sim *s, const struct link *l, bool current)
{
    struct session *se = &s->oracle.sessions[l->actor];
    bool heard = l->said && l->consumed == l->written;
    s->oracle.clock++;
    if (heard && l->says_expiry && current) {
        se->expiry_min_s = se->expiry_max_s = l->expiry_s;
    }
    se->expiry_before_s = se->asks_expiry_s;
    if (l->will != MSG_NONE) {
        oracle_will_ended(s, l, heard && !l->says_will, current);
    }
    if (current) {
        se->online = se->maybe_online = false;
        se->away_us = se->away_late_us = s->now_us;
        se->gone = sim_disk_mark(s, l->worker);
    }
}

/* ------------------------------------------------------------ subscriptions */

/* Is it owed by another subscription? */
static bool is_covered(const struct oracle *o, const struct session *se, const struct msg *m, unsigned but)
{
    for (unsigned f = 0; f < FILTERS; f++) {
        const struct sub *sub = &se->subs[f];
        if (f != but && sub->there == SURELY && sub->qos != 0 && sub->since <= m->asked && o->match[f][m->topic]) {
            return true;
        }
    }
    return false;
}

static void no_longer_owe(struct sim *s, const struct actor *a, unsigned filter)
{
    struct oracle *o = &s->oracle;
    const struct session *se = &o->sessions[a->index];
    for (uint32_t i = 0; i < o->n; i++) {
        struct msg *m = &o->msgs[i];
        if ((m->expected & bit(a)) != 0 && o->match[filter][m->topic] && !is_covered(o, se, m, filter)) {
            m->owed &= ~bit(a);
            m->expected &= ~bit(a);
        }
    }
}

void oracle_subscribing(struct sim *s, struct actor *a, unsigned filter, uint8_t options)
{
    struct oracle *o = &s->oracle;
    struct sub *sub = &o->sessions[a->index].subs[filter];
    uint8_t qos = options & 3;
    o->clock++;
    sim_trace(s, "actor %llu subscribes to filter %llu with 0x%llx", a->index, filter, options);
    sub->asked = sub->ever ? sub->asked : o->clock;
    sub->asking = true;
    sub->ever = true;
    sub->options = options;
    if (sub->there == SURELY) {
        sub->qos = qos < sub->qos ? qos : sub->qos; /* the lower one until it is answered */
    } else {
        sub->there = MAYBE;
    }
    if (qos == 0) {
        sub->qos = 0;
        no_longer_owe(s, a, filter);
    }
}

void oracle_subscribed(struct sim *s, struct actor *a, unsigned filter, uint8_t code)
{
    struct oracle *o = &s->oracle;
    struct sub *sub = &o->sessions[a->index].subs[filter];
    o->clock++;
    sim_trace(s, "actor %llu is subscribed to filter %llu, 0x%llx", a->index, filter, code);
    if (code > 2 || code != (sub->options & 3)) {
        sim_fail(s, "Actor %u asked for filter %s with QoS %u and got 0x%02x.", a->index, oracle_filters[filter],
                 sub->options & 3, code);
    }
    if (sub->there != SURELY) {
        sub->since = o->clock;
    }
    sub->there = SURELY;
    sub->asking = false;
    sub->qos = code;
}

void oracle_unsubscribing(struct sim *s, struct actor *a, unsigned filter)
{
    struct sub *sub = &s->oracle.sessions[a->index].subs[filter];
    s->oracle.clock++;
    sim_trace(s, "actor %llu unsubscribes from filter %llu", a->index, filter, 0);
    no_longer_owe(s, a, filter);
    sub->there = sub->there == SURELY_NOT ? SURELY_NOT : MAYBE;
    sub->qos = 0;
}

void oracle_unsubscribed(struct sim *s, struct actor *a, unsigned filter)
{
    struct sub *sub = &s->oracle.sessions[a->index].subs[filter];
    s->oracle.clock++;
    sub->there = sub->asking ? MAYBE : SURELY_NOT;
}

/* ------------------------------------------------------------ crashes */

/* What a group gave to a member whose session is not stored ends with that session in a crash. */
static void excuse_groups(struct sim *s)
{
    struct oracle *o = &s->oracle;
    uint8_t groups = 0;
    for (unsigned i = 0; i < s->n_actors; i++) {
        const struct actor *a = &s->actors[i];
        bool may_end = o->sessions[i].there != SURELY_NOT && o->sessions[i].expiry_min_s == 0;
        groups = (uint8_t)(groups | (a->kind == ACTOR_MEMBER && may_end ? 1u << a->group : 0));
    }
    for (uint32_t i = 0; i < o->n; i++) {
        o->msgs[i].groups &= (uint8_t)(o->msgs[i].got_groups | ~groups);
    }
}

void oracle_crashed(struct sim *s)
{
    excuse_groups(s);
    struct oracle *o = &s->oracle;
    o->clock++;
    o->crashed = o->clock;
    o->crashed_us = s->now_us;
    for (unsigned i = 0; i < s->n_actors; i++) {
        o->sessions[i].gone.was_lost = sim_disk_lost(s, &o->sessions[i].gone);
    }
    oracle_wills_crashed(s);
}

void oracle_restarted(struct sim *s)
{
    struct oracle *o = &s->oracle;
    for (unsigned i = 0; i < s->n_actors; i++) {
        struct session *se = &o->sessions[i];
        if (se->online) {
            se->online = false;
            se->away_us = se->away_late_us = s->now_us;
            oracle_will_restarted(s, i);
        }
        if (se->old_will != MSG_NONE) {
            o->msgs[se->old_will].late_us = s->now_us + (uint64_t)o->msgs[se->old_will].delay_s * 1000000;
        }
        if (se->gone.was_lost || se->maybe_online) { /* that it went away, and for how long */
            se->away_late_us = s->now_us;
            se->maybe_online = false;
        }
        if (se->gone.was_lost && se->expiry_before_s > se->expiry_max_s) {
            se->expiry_max_s = se->expiry_before_s;
            se->there = se->there == SURELY ? MAYBE : se->there;
        }
    }
}
