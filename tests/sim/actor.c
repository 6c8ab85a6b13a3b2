/* SPDX-License-Identifier: Apache-2.0 */
/* Clients: the real library, and what an application does with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static struct link *link_of(struct sim *s, const struct actor *a)
{
    return a->link >= 0 ? &s->links[a->link] : NULL;
}

void actor_init(struct sim *s, unsigned index, enum actor_kind kind)
{
    struct actor *a = &s->actors[index];
    *a = (struct actor){.kind = kind, .index = (uint8_t)index, .link = -1, .will = MSG_NONE, .renew = true};
    snprintf(a->id, sizeof a->id, "actor%u", index);
    a->pause_us = s->plan.hot ? 1000 + sim_below(s, 4000) : 2000 + sim_below(s, 60000);
}

void actor_free(struct sim *s, struct actor *a)
{
    (void)s;
    smqtt_client_free(a->c);
    a->c = NULL;
}

void actor_come(struct sim *s, struct actor *a, uint64_t delay_us)
{
    if (!a->connect_due) {
        a->connect_due = true;
        sim_at(s, delay_us, EV_CONNECT, a->index, 0);
    }
}

/* ------------------------------------------------------------ a new life of the application */

static bool has_open_qos2(const struct sim *s, const struct actor *a)
{
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        if (s->oracle.msgs[a->tokens[i].msg].qos == 2) {
            return true;
        }
    }
    return false;
}

static void draw_session(struct sim *s, struct actor *a)
{
    static const enum smqtt_version versions[] = {SMQTT_V5, SMQTT_V5, SMQTT_V5, SMQTT_V311, SMQTT_V311, SMQTT_V31};
    static const uint32_t expiries[] = {0, 1, 3, 20, 3600, 3600, UINT32_MAX};
    a->version = versions[sim_below(s, 6)];
    a->clean = sim_below(s, 4) == 0;
    a->expiry_s = expiries[sim_below(s, 7)];
    a->receive_max = (uint16_t)(sim_below(s, 3) == 0 ? 1 + sim_below(s, 8) : 0);
    a->max_packet = sim_below(s, 8) == 0 ? (uint32_t)(300 + sim_below(s, 4000)) : 0;
    a->has_will = a->kind == ACTOR_PEER && sim_below(s, 3) == 0;
    if (a->kind == ACTOR_MEMBER) {
        a->max_packet = 0; /* what is too large for one member is lost to the group */
    }
    if (a->kind == ACTOR_WATCHER || a->kind == ACTOR_ANCHOR) {
        a->clean = false;
        a->expiry_s = UINT32_MAX;
        a->max_packet = 0;
    } else if (a->kind >= ACTOR_SEALER) {
        a->version = SMQTT_V5;
        a->clean = a->kind == ACTOR_SEALER;
        a->expiry_s = a->clean ? 0 : UINT32_MAX;
        a->receive_max = 0;
        a->max_packet = 0;
    } else if (a->kind == ACTOR_LATE) {
        a->version = SMQTT_V5;
        a->clean = true;
        a->expiry_s = a->max_packet = 0;
    } else if (a->owes_ids) {
        a->clean = true; /* what its client has forgotten must not be taken for a repetition */
    }
    if (a->version != SMQTT_V5) {
        a->expiry_s = a->clean ? 0 : UINT32_MAX;
        a->receive_max = 0;
        a->max_packet = 0;
    }
}

static void renew(struct sim *s, struct actor *a)
{
    a->owes_ids = a->owes_ids || has_open_qos2(s, a);
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        s->oracle.msgs[a->tokens[i].msg].may_double = true;
    }
    s->oracle.sessions[a->index].may_get_twice |= a->kind >= ACTOR_SEALER;
    if (a->c != NULL) {
        s->counts->restarts_of_apps++;
        s->oracle.sessions[a->index].may_get_twice = true;
    }
    actor_free(s, a);
    a->n_tokens = a->n_asks = 0;
    draw_session(s, a);
    uint8_t payload[256];
    struct smqtt_will will = {.qos = (uint8_t)sim_below(s, 3)};
    struct smqtt_client_config config = {.struct_size = sizeof config, .mem = &s->client_mem.mem};
    config.version = a->version;
    config.client_id = smq_span_str(a->id);
    config.clean_start = a->clean;
    config.session_expiry_s = a->version == SMQTT_V5 ? a->expiry_s : 0;
    config.receive_maximum = a->receive_max;
    config.max_packet = a->max_packet;
    a->will = MSG_NONE;
    if (a->has_will) {
        static const uint8_t delays[] = {0, 0, 1, 5, 30};
        will.delay_s = a->version == SMQTT_V5 ? delays[sim_below(s, 5)] : 0;
        unsigned topic = TOPIC_WILLS + (unsigned)sim_below(s, 2);
        a->will = oracle_will(s, a, topic, will.qos, will.delay_s);
        oracle_payload(s, a->will, payload);
        will.topic = smq_span_str(oracle_topics[topic]);
        will.payload = smq_span_of(payload, s->oracle.msgs[a->will].size);
        config.will = &will;
    }
    if (smqtt_client_new(&config, &a->c) != SMQTT_OK) {
        sim_fail(s, "The client of actor %u could not be made.", a->index);
    }
    if (a->kind >= ACTOR_SEALER) {
        secure_attach(s, a);
    }
    a->renew = false;
    a->n_untold = 0;
    sim_trace(s, "actor %llu begins anew with version %llu, clean and expiry %llx", a->index, a->version,
              (uint64_t)a->clean << 32 | a->expiry_s);
}

/* ------------------------------------------------------------ connections */

void actor_on_connect(struct sim *s, struct actor *a)
{
    a->connect_due = false;
    if (a->state != ACTOR_DOWN) {
        return;
    }
    if (a->renew || a->has_will || a->c == NULL) { /* each connection has a will of its own */
        renew(s, a);
    }
    a->link = link_open(s, a->index);
    if (a->link < 0) {
        actor_come(s, a, 100000);
        return;
    }
    struct smqtt_client_event ev;
    while (smqtt_client_next(a->c, &ev)) { /* of the connection before */
    }
    a->leaving = false;
    a->n_asks = 0;
    a->generation++;
    a->state = ACTOR_ASKED;
    s->counts->connects++;
    link_of(s, a)->will = a->will;
    sim_trace(s, "actor %llu connects over link %llu, clean %llu", a->index, (uint64_t)a->link, a->clean);
    oracle_connecting(s, a);
    if (smqtt_client_connect(a->c, s->client_now) != SMQTT_OK) {
        sim_fail(s, "The client of actor %u did not connect.", a->index);
        return;
    }
    actor_pump(s, a);
}

static void draw_return(struct sim *s, struct actor *a)
{
    static const uint64_t pauses_us[] = {1000, 20000, 200000, 1500000, 5000000, 30000000};
    uint64_t pause = sim_below(s, pauses_us[sim_below(s, s->ending ? 2 : 6)]) + 1;
    a->renew = a->renew || (!s->ending && sim_below(s, 12) == 0 && a->kind == ACTOR_PEER) || a->has_will;
    a->renew = a->renew || (!s->ending && sim_below(s, 6) == 0 && a->kind == ACTOR_MEMBER);
    if (!s->ending || a->kind != ACTOR_LATE) {
        actor_come(s, a, pause);
    }
}

void actor_lost(struct sim *s, struct actor *a, bool orderly)
{
    struct link *l = link_of(s, a);
    if (l == NULL || a->dies) {
        return;
    }
    sim_trace(s, "actor %llu sees its connection end, orderly %llu", a->index, orderly, 0);
    bool heard = l->consumed != 0 || !l->broker_done; /* the broker may know of this connection */
    bool lives = !l->broker_done;
    smqtt_client_lost(a->c, orderly ? SMQTT_OK : SMQTT_E_IO, s->client_now);
    actor_pump(s, a);
    a->link = -1;
    a->state = ACTOR_DOWN;
    l->client_done = true;
    if (!l->cut && !l->broker_done) {
        link_end(s, l);
    }
    l->client_done = true;
    link_settle(s, l);
    oracle_ended(s, a, heard, lives);
    draw_return(s, a);
}

void actor_feed(struct sim *s, struct actor *a, const uint8_t *data, size_t len)
{
    if (a->dies) {
        return;
    }
    smqtt_client_feed(a->c, smq_span_of(data, len), s->client_now);
    actor_pump(s, a);
}

/* ------------------------------------------------------------ events of the library */

static void on_connected(struct sim *s, struct actor *a, const struct smqtt_client_event *ev)
{
    a->state = ACTOR_UP;
    a->owes_ids = a->owes_ids && !a->clean && (ev->session_present || a->version == SMQTT_V31);
    bool unknown = a->version == SMQTT_V31 && !a->clean, sure = oracle_has_session(s, a);
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        oracle_resent(s, a->tokens[i].msg, (!ev->session_present && !unknown) || !sure);
    }
    oracle_connected(s, a, ev->session_present);
    if (a->kind == ACTOR_MEMBER || a->kind == ACTOR_ANCHOR) {
        uint8_t qos = (uint8_t)(a->kind == ACTOR_ANCHOR ? 1 + sim_below(s, 2) : 1);
        if (s->oracle.sessions[a->index].subs[FILTER_SHARED + a->group].there != SURELY) {
            actor_subscribe(s, a, FILTER_SHARED + a->group, qos);
        }
    } else if (a->kind == ACTOR_WATCHER && s->oracle.sessions[a->index].subs[FILTER_ALL].there != SURELY) {
        actor_subscribe(s, a, FILTER_ALL, (uint8_t)(1 + a->index % 2));
    } else if (a->kind == ACTOR_OPENER && s->oracle.sessions[a->index].subs[FILTER_SEALED].there != SURELY) {
        actor_subscribe(s, a, FILTER_SEALED, 2);
    } else if (a->kind == ACTOR_LATE) {
        actor_subscribe(s, a, FILTER_ALL, 2);
    }
    if (a->acts != 0) {
        sim_at(s, sim_delay(s, a->pause_us), EV_ACT, a->index, a->generation);
    }
}

static void on_published(struct sim *s, struct actor *a, const struct smqtt_client_event *ev)
{
    for (uint32_t i = 0; i < a->n_tokens; i++) {
        if (a->tokens[i].token == ev->token) {
            uint32_t msg = a->tokens[i].msg;
            a->n_tokens--;
            memmove(&a->tokens[i], &a->tokens[i + 1], (a->n_tokens - i) * sizeof a->tokens[0]);
            oracle_acknowledged(s, a, msg, ev->reason);
            return;
        }
    }
    if (a->n_untold == 0 && a->kind < ACTOR_SEALER) {
        sim_fail(s, "Actor %u was told of a message that it did not publish.", a->index);
    }
    a->n_untold -= a->n_untold != 0 ? 1 : 0;
}

static void on_answer(struct sim *s, struct actor *a, const struct smqtt_client_event *ev)
{
    for (uint32_t i = 0; i < a->n_asks; i++) {
        if (a->asks[i].token == ev->token) {
            unsigned filter = a->asks[i].filter;
            bool unsubscribe = a->asks[i].unsubscribe;
            a->asks[i] = a->asks[--a->n_asks];
            if (unsubscribe) {
                oracle_unsubscribed(s, a, filter);
            } else {
                oracle_subscribed(s, a, filter, ev->codes.data[0]);
            }
            return;
        }
    }
    sim_fail(s, "Actor %u got an answer to nothing.", a->index);
}

static void on_event(struct sim *s, struct actor *a, const struct smqtt_client_event *ev)
{
    switch (ev->type) {
    case SMQTT_CLIENT_CONNECTED:
        on_connected(s, a, ev);
        break;
    case SMQTT_CLIENT_REFUSED:
        s->counts->refused++;
        sim_fail(s, "The broker refuses actor %u with 0x%02x.", a->index, ev->reason);
        break;
    case SMQTT_CLIENT_CLOSED:
        if (ev->err != SMQTT_OK && ev->err != SMQTT_E_IO && ev->reason != 0x8E) {
            sim_fail(s, "The connection of actor %u ends for %s, reason 0x%02x.", a->index, smqtt_strerror(ev->err),
                     ev->reason);
        }
        break;
    case SMQTT_CLIENT_MESSAGE:
        if (a->kind >= ACTOR_SEALER) {
            secure_event(s, a, ev);
        } else {
            oracle_message(s, a, ev);
        }
        break;
    case SMQTT_CLIENT_PUBLISHED:
        on_published(s, a, ev);
        break;
    case SMQTT_CLIENT_SUBSCRIBED:
    case SMQTT_CLIENT_UNSUBSCRIBED:
        on_answer(s, a, ev);
        break;
    case SMQTT_CLIENT_SECURE:
        secure_event(s, a, ev);
        break;
    case SMQTT_CLIENT_QUARANTINED:
    case SMQTT_CLIENT_NONE:
        break;
    }
}

static void send_output(struct sim *s, struct actor *a)
{
    struct link *l = link_of(s, a);
    struct smqtt_span out = smqtt_client_output(a->c);
    if (l != NULL && out.len != 0) {
        if (a->kind == ACTOR_SEALER) {
            secure_look(s, a, out);
        }
        link_write(s, l, out.data, out.len);
        smqtt_client_sent(a->c, out.len, s->client_now);
    }
}

static void set_timer(struct sim *s, struct actor *a)
{
    smqtt_ms at = smqtt_client_deadline(a->c);
    uint64_t at_us = at > s->client_now.mono ? s->now_us + (at - s->client_now.mono) * 1000 : s->now_us + 1;
    if (at != SMQTT_NEVER && (a->timer_us == 0 || at_us < a->timer_us)) {
        a->timer_us = at_us;
        sim_at(s, at_us - s->now_us, EV_TICK, a->index, 0);
    }
}

void actor_pump(struct sim *s, struct actor *a)
{
    struct smqtt_client_event ev;
    while (!s->failed && !a->dies && smqtt_client_next(a->c, &ev)) {
        on_event(s, a, &ev);
        if (!a->dies) {
            send_output(s, a);
        }
    }
    if (a->dies) {
        return;
    }
    send_output(s, a);
    struct link *l = link_of(s, a);
    if (l != NULL && smqtt_client_wants_close(a->c) && !l->up_end) {
        /* it waits for the broker to close, as one does who wants to know that all has arrived */
        l->up_end = true;
        if (!l->cut) {
            link_write(s, l, NULL, 0);
        }
    }
    set_timer(s, a);
}

void actor_kill(struct sim *s, struct actor *a)
{
    if (!a->dies) {
        a->dies = true;
        s->counts->kills++;
        sim_trace(s, "actor %llu is killed", a->index, 0, 0);
        sim_at(s, 0, EV_TICK, a->index, 0);
    }
}

/* Its connection breaks, and it comes back with what it had synced. */
static void die(struct sim *s, struct actor *a)
{
    struct link *l = link_of(s, a);
    actor_free(s, a);
    secure_crash(s, a);
    a->dies = false;
    a->renew = true;
    a->link = -1;
    a->state = ACTOR_DOWN;
    if (l != NULL) {
        bool heard = l->consumed != 0 || !l->broker_done, lives = !l->broker_done;
        link_cut(s, l);
        l->client_done = true;
        link_settle(s, l);
        oracle_ended(s, a, heard, lives);
    }
    actor_come(s, a, 1 + sim_below(s, 1000000));
}

void actor_on_tick(struct sim *s, struct actor *a)
{
    a->timer_us = 0;
    if (a->dies) {
        die(s, a);
        return;
    }
    if (a->c != NULL) {
        smqtt_client_tick(a->c, s->client_now);
        actor_pump(s, a);
    }
}
