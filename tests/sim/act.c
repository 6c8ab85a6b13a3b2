/* SPDX-License-Identifier: Apache-2.0 */
/* What an application does, drawn by chance. */
#include <string.h>

#include "sim.h"

enum { SIZE_MOST = 20000, EXPIRY = 2, SESSION_EXPIRY = 17 };

/* One question about a filter at a time. */
static bool is_asking(const struct actor *a, unsigned filter)
{
    for (uint32_t i = 0; i < a->n_asks; i++) {
        if (a->asks[i].filter == filter) {
            return true;
        }
    }
    return a->n_asks == 32;
}

void actor_subscribe(struct sim *s, struct actor *a, unsigned filter, uint8_t options)
{
    struct smqtt_subscription sub = {smq_span_str(oracle_filters[filter]), options};
    uint64_t token = 0;
    if (is_asking(a, filter) || smqtt_client_subscribe(a->c, &sub, 1, &token, s->client_now) != SMQTT_OK) {
        return;
    }
    s->counts->subscribes++;
    a->asks[a->n_asks].token = token;
    a->asks[a->n_asks].filter = (uint8_t)filter;
    a->asks[a->n_asks++].unsubscribe = false;
    oracle_subscribing(s, a, filter, options);
    actor_pump(s, a);
}

static void unsubscribe(struct sim *s, struct actor *a)
{
    unsigned filter = (unsigned)sim_below(s, FILTER_SHARED);
    struct smqtt_span span = smq_span_str(oracle_filters[filter]);
    uint64_t token = 0;
    if (a->kind != ACTOR_PEER || is_asking(a, filter) ||
        smqtt_client_unsubscribe(a->c, &span, 1, &token, s->client_now) != SMQTT_OK) {
        return;
    }
    s->counts->unsubscribes++;
    a->asks[a->n_asks].token = token;
    a->asks[a->n_asks].filter = (uint8_t)filter;
    a->asks[a->n_asks++].unsubscribe = true;
    oracle_unsubscribing(s, a, filter);
    actor_pump(s, a);
}

static void subscribe(struct sim *s, struct actor *a)
{
    if (a->kind == ACTOR_PEER) {
        uint8_t options = (uint8_t)sim_below(s, 3);
        if (a->version == SMQTT_V5) {
            options |= (uint8_t)(sim_below(s, 8) == 0 ? 1 << 4 : 0);
        }
        actor_subscribe(s, a, (unsigned)sim_below(s, FILTER_SHARED), options);
    }
}

static uint32_t draw_size(struct sim *s)
{
    if (sim_below(s, 24) == 0) {
        s->counts->large++;
        return (uint32_t)(1000 + sim_below(s, SIZE_MOST - 1000));
    }
    return (uint32_t)(16 + sim_below(s, 200));
}

static void publish(struct sim *s, struct actor *a)
{
    static uint8_t payload[SIZE_MOST];
    if (a->n_tokens == 256 || s->oracle.n + 8 > MSGS_MAX) {
        return;
    }
    unsigned topic = s->plan.hot && sim_below(s, 3) != 0 ? 0 : (unsigned)sim_below(s, TOPIC_WILLS);
    struct smqtt_publish_options options = {.qos = (uint8_t)sim_below(s, 3)};
    options.qos = a->has_will && options.qos == 2 ? 1 : options.qos;
    options.retain = topic < TOPIC_SHARED && sim_below(s, s->plan.hot ? 2 : 6) == 0;
    uint32_t expiry_s = 0;
    uint8_t props[5] = {EXPIRY};
    if (a->version == SMQTT_V5 && sim_below(s, 8) == 0) {
        static const uint16_t times[] = {1, 4, 3600};
        expiry_s = times[sim_below(s, 3)];
        props[3] = (uint8_t)(expiry_s >> 8);
        props[4] = (uint8_t)expiry_s;
        options.props = smq_span_of(props, 5);
    }
    uint32_t size = options.retain && sim_below(s, 5) == 0 ? 0 : draw_size(s);
    uint32_t msg = oracle_publish(s, a, topic, options.qos, options.retain, size, expiry_s);
    oracle_payload(s, msg, payload);
    uint64_t token = 0;
    if (smqtt_client_publish(a->c, smq_span_str(oracle_topics[topic]), smq_span_of(payload, size), &options, &token,
                             s->client_now) != SMQTT_OK) {
        oracle_unpublish(s, msg);
        return;
    }
    s->counts->published++;
    a->tokens[a->n_tokens].token = token;
    a->tokens[a->n_tokens++].msg = msg;
    actor_pump(s, a);
}

static void leave(struct sim *s, struct actor *a)
{
    struct link *l = a->link >= 0 ? &s->links[a->link] : NULL;
    if (l == NULL || a->state != ACTOR_UP) {
        return;
    }
    uint8_t props[5] = {SESSION_EXPIRY};
    bool says = a->version == SMQTT_V5 && a->kind == ACTOR_PEER && a->expiry_s != 0 && sim_below(s, 4) == 0;
    uint32_t expiry_s = sim_below(s, 2) == 0 ? 0 : 2;
    props[4] = (uint8_t)expiry_s;
    uint8_t reason = a->version == SMQTT_V5 && sim_below(s, 3) == 0 ? 4 : 0;
    if (smqtt_client_disconnect_props(a->c, reason, smq_span_of(props, says ? 5 : 0), s->client_now) != SMQTT_OK) {
        return;
    }
    s->counts->disconnects++;
    sim_trace(s, "actor %llu says DISCONNECT 0x%llx", a->index, reason, 0);
    a->leaving = l->said = true;
    l->ends = s->oracle.clock;
    l->says_will = reason == 4;
    l->says_expiry = says;
    l->expiry_s = expiry_s;
    actor_pump(s, a);
}

static void stop_reading(struct sim *s, struct actor *a)
{
    static const uint64_t times_us[] = {10000, 300000, 3000000};
    if (a->link >= 0) {
        s->counts->slow_readers++;
        s->links[a->link].stopped_us = s->now_us + sim_below(s, times_us[sim_below(s, 3)]);
    }
}

void actor_on_act(struct sim *s, struct actor *a)
{
    if (a->state != ACTOR_UP || a->leaving || a->dies || s->ending || a->acts == 0) {
        return; /* it goes on when it is connected */
    }
    a->acts--;
    uint64_t which = sim_below(s, 100);
    if (sim_permille(s, s->plan.cut_permille) && a->link >= 0) {
        link_cut(s, &s->links[a->link]);
    } else if (a->kind == ACTOR_SEALER) {
        secure_publish(s, a);
    } else if (a->kind == ACTOR_OPENER) {
        if (which < 5) {
            stop_reading(s, a);
        }
    } else if (s->secure != NULL && which < 8 && a->kind == ACTOR_PEER) {
        secure_replay(s, a);
    } else if (which < 60) {
        publish(s, a);
    } else if (which < 78) {
        subscribe(s, a);
    } else if (which < 84) {
        unsubscribe(s, a);
    } else if (which < 90) {
        leave(s, a);
    } else if (which < 94) {
        stop_reading(s, a);
    } else {
        for (unsigned n = 0; n < 6; n++) {
            publish(s, a); /* a burst */
        }
    }
    if (a->state == ACTOR_UP && a->acts != 0 && !a->dies) {
        sim_at(s, 1 + sim_delay(s, a->pause_us), EV_ACT, a->index, a->generation);
    }
}
