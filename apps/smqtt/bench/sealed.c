/* SPDX-License-Identifier: Apache-2.0 */
/* S-MQTT sessions for the pairs: each subscriber is a server with an identity made for this run, its publisher a client
 * without identity. Nothing is stored; the handshakes are made before the measuring begins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <smqtt/secure.h>
#include <smqtt/system.h>

#include "../say.h"
#include "bench.h"
#include "codec/varint.h"
#include "net/clock.h"

#define NS_PER_S UINT64_C(1000000000)

enum { OPEN_S = 60, TICK_NS = 10 * 1000 * 1000, TOPIC_MAX = 256, DETECT_ID = 65000 };

struct sealed {
    struct smqtt_opener *opener;
    struct smqtt_sealer *sealer;
    struct smqtt_identity *identity;
    bool is_registered, is_open;
    uint8_t refused; /* status of the registration */
};

static struct smqtt_now now;
static uint64_t ticked_ns;
static uint8_t *record;
static size_t record_cap;

/* ---------------------------------------------------------------- events */

static void send_detect(struct client *c, const struct smqtt_secure_event *event)
{
    struct smq_packet pkt = {.type = SMQ_DETECT, .detect = {event->header, event->bytes}};
    (void)wire_write(c, &pkt);
}

static void send_publish(struct client *c, const struct smqtt_secure_event *event)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    uint8_t qos = event->header != 0 && event->header <= 2 ? event->header : 1;
    pkt.publish = (struct smq_publish){.qos = qos, .id = DETECT_ID, .topic = event->topic, .payload = event->bytes};
    smq_props_clear(&pkt.publish.props);
    (void)wire_write(c, &pkt);
}

static void on_event(struct client *c, const struct smqtt_secure_event *event)
{
    struct sealed *s = c->sealed;
    if (event->type == SMQTT_EV_MESSAGE) {
        wire_count(c, event->bytes.data, event->bytes.len);
    } else if (event->type == SMQTT_EV_DETECT) {
        send_detect(c, event);
    } else if (event->type == SMQTT_EV_PUBLISH) {
        send_publish(c, event);
    } else if (event->type == SMQTT_EV_SUBSCRIBE) {
        wire_subscribe(c, &event->topic, 1, 1);
    } else if (event->type == SMQTT_EV_OPEN) {
        s->is_open = s->is_open || event->confirmed;
    } else if (event->type == SMQTT_EV_REGISTERED) {
        s->is_registered = event->status == SMQTT_STATUS_OK;
        s->refused = event->status;
    } else if (event->type == SMQTT_EV_REFUSED) {
        c->b->n.sealed_refused++;
    } else if (event->type == SMQTT_EV_CLOSED || event->type == SMQTT_EV_LOST) {
        s->is_open = false;
    }
}

static void pump(struct client *c)
{
    struct smqtt_secure_event event;
    struct sealed *s = c->sealed;
    while (s->opener != NULL ? smqtt_opener_next(s->opener, &event) : smqtt_sealer_next(s->sealer, &event)) {
        on_event(c, &event);
    }
}

void sealed_detect(struct client *c, uint8_t header, smq_span body)
{
    struct sealed *s = c->sealed;
    if (s == NULL) {
        c->b->n.bad_packets++;
        return;
    }
    smqtt_err err = s->opener != NULL ? smqtt_opener_detect(s->opener, header, body, now)
                                      : smqtt_sealer_detect(s->sealer, header, body, now);
    c->b->n.sealed_refused += err != SMQTT_OK ? 1 : 0;
    pump(c);
}

void sealed_message(struct client *c, smq_span topic, smq_span payload)
{
    struct sealed *s = c->sealed;
    bool taken = false;
    smqtt_err err = s->opener != NULL ? smqtt_opener_message(s->opener, topic, payload, false, now)
                                      : smqtt_sealer_message(s->sealer, topic, payload, &taken, now);
    c->b->n.sealed_refused += err != SMQTT_OK ? 1 : 0;
    pump(c);
}

void sealed_tick(struct bench *b)
{
    if (b->now_ns < ticked_ns + TICK_NS) {
        return;
    }
    ticked_ns = b->now_ns;
    now = smq_clock_now();
    for (uint32_t i = 0; i < b->n_clients; i++) {
        struct client *c = &b->clients[i];
        const struct sealed *s = c->sealed;
        if (s == NULL || c->state != CLIENT_READY) {
            continue;
        }
        if (s->opener != NULL && smqtt_opener_deadline(s->opener) <= now.mono) {
            smqtt_opener_tick(s->opener, now);
            pump(c);
        } else if (s->sealer != NULL && smqtt_sealer_deadline(s->sealer) <= now.mono) {
            smqtt_sealer_tick(s->sealer, now);
            pump(c);
        }
    }
}

/* ---------------------------------------------------------------- begin and end */

static bool make_opener(struct client *c, const struct smqtt_rng *rng)
{
    char name[SMQTT_NAME_MAX + 1];
    struct sealed *s = c->sealed;
    snprintf(name, sizeof name, "bench-%u", c->number);
    smqtt_err err = smqtt_identity_new(NULL, rng, c->b->flags.sealed, name, 0, 0, 0, &s->identity);
    if (err == SMQTT_OK) {
        struct smqtt_opener_config config = {
            .struct_size = sizeof config, .rng = *rng, .identity = s->identity, .window = 32768};
        err = smqtt_opener_new(&config, now, &s->opener);
    }
    if (err != SMQTT_OK) {
        say("no identity of suite '%s' could be made: %s.", c->b->flags.sealed, smqtt_strerror(err));
    }
    return err == SMQTT_OK;
}

static bool make_sealer(struct client *c, const struct client *receiver, const struct smqtt_rng *rng)
{
    struct smqtt_sealer_config config = {.struct_size = sizeof config,
                                         .rng = *rng,
                                         .server = receiver->sealed->identity,
                                         .client_id = smq_span_str(c->id)};
    smqtt_err err = smqtt_sealer_new(&config, now, &c->sealed->sealer);
    if (err != SMQTT_OK) {
        say("nothing can be sealed: %s.", smqtt_strerror(err));
    }
    return err == SMQTT_OK;
}

bool sealed_prepare(struct bench *b)
{
    struct smqtt_rng rng = smqtt_system_rng();
    now = smq_clock_now();
    record_cap = (size_t)b->flags.size + smqtt_seal_overhead(NULL);
    record = malloc(record_cap);
    for (uint32_t i = 0; i < b->n_clients; i++) {
        b->clients[i].sealed = calloc(1, sizeof(struct sealed));
        if (b->clients[i].sealed == NULL || record == NULL) {
            say("there is not enough memory for %u sessions.", b->n_clients);
            return false;
        }
    }
    for (uint32_t i = 0; i < b->n_subs; i++) {
        if (!make_opener(b->subs[i].client, &rng) || !make_sealer(b->pubs[i].client, b->subs[i].client, &rng)) {
            return false;
        }
    }
    return true;
}

static bool all_registered(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_subs; i++) {
        const struct sealed *s = b->subs[i].client->sealed;
        if (!s->is_registered && s->refused == SMQTT_STATUS_OK) {
            return false;
        }
    }
    return true;
}

static bool all_open(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        if (!b->pubs[i].client->sealed->is_open) {
            return false;
        }
    }
    return true;
}

/* The topic of a prepared packet. */
static smq_span topic_of(const struct bench_pub *p)
{
    size_t at = 1;
    while ((p->packet[at] & 0x80) != 0) {
        at++;
    }
    size_t len = (size_t)p->packet[at + 1] << 8 | p->packet[at + 2];
    return smq_span_of(p->packet + at + 3, len);
}

bool sealed_open_all(struct bench *b)
{
    now = smq_clock_now();
    for (uint32_t i = 0; i < b->n_subs; i++) {
        struct client *c = b->subs[i].client;
        if (smqtt_opener_connected(c->sealed->opener, false, smq_span_str(c->id), now) != SMQTT_OK) {
            return false;
        }
        pump(c);
    }
    if (!bench_run_until(b, all_registered, bench_clock() + OPEN_S * NS_PER_S)) {
        say("the servers could not register: does this broker relay DETECT, as smqttd does?");
        return false;
    }
    phase_begin(b, "handshake", "sessions");
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        struct client *c = b->pubs[i].client;
        smqtt_err err = smqtt_sealer_start(c->sealed->sealer, topic_of(&b->pubs[i]), smq_span_str("bench"), false, now);
        if (err != SMQTT_OK) {
            say("a handshake could not begin: %s.", smqtt_strerror(err));
            return false;
        }
        pump(c);
    }
    bool ok = bench_run_until(b, all_open, bench_clock() + OPEN_S * NS_PER_S);
    phase_end(b, b->n_pubs);
    if (!ok && !bench_interrupted()) {
        say("not all sessions opened within %d s.", OPEN_S);
    }
    return ok;
}

bool sealed_put(struct bench *b, struct bench_pub *p, uint64_t sent_ns)
{
    struct client *c = p->client;
    struct bench_stamp stamp = {BENCH_MAGIC ^ b->run_tag, p->number, p->sent, sent_ns};
    uint8_t *plain = p->packet + p->stamp_at;
    size_t len = 0;
    uint16_t id = (uint16_t)(p->last_id % p->n_ids + 1);
    if (p->id_at != 0 && p->ids[id] != 0) {
        return false;
    }
    memcpy(plain, &stamp, sizeof stamp);
    smq_span topic = topic_of(p);
    if (smqtt_seal(c->sealed->sealer, topic, smq_span_of(plain, (size_t)b->flags.size), NULL, now, record, record_cap,
                   &len, NULL, NULL) != SMQTT_OK) {
        b->n.sealed_refused++;
        return false;
    }
    uint32_t body = (uint32_t)(2 + topic.len + (p->id_at != 0 ? 2 : 0) + 1 + len);
    size_t total = 1 + smq_varint_size(body) + body;
    struct smq_wr wr = smq_wr_of(link_room(c, total), total);
    if (wr.buf == NULL) {
        return false;
    }
    smq_wr_u8(&wr, p->packet[0]);
    smq_varint_write(&wr, body);
    smq_wr_blob16(&wr, topic);
    if (p->id_at != 0) {
        smq_wr_u16(&wr, id);
        p->ids[id] = (uint8_t)b->flags.qos;
        p->last_id = id;
        p->unacked++;
    }
    smq_wr_u8(&wr, 0);
    smq_wr_bytes(&wr, record, len);
    p->sent++;
    b->n.sent++;
    return true;
}

void sealed_free(struct client *c)
{
    struct sealed *s = c->sealed;
    if (s == NULL) {
        return;
    }
    smqtt_opener_free(s->opener);
    smqtt_sealer_free(s->sealer);
    smqtt_identity_free(s->identity);
    free(s);
    c->sealed = NULL;
    free(record);
    record = NULL;
}
