/* SPDX-License-Identifier: Apache-2.0 */
/* S-MQTT sessions for the pairs: each subscriber is a server with an identity made for this run, its publisher a client
 * without identity. Natively where the broker announces DETECT, else, or with --tunnel, as ordinary messages. Nothing
 * is stored; the handshakes are made before the measuring begins, and what they left retained is taken back at the end.
 */
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

/* Packet identifiers of endpoints lie above those of publishers (load.c). */
enum { OPEN_S = 60, CLEAR_S = 2, TICK_NS = 10 * 1000 * 1000, TOPIC_MAX = 64, FIRST_ID = 65000, N_IDS = 500 };

struct sealed {
    struct smqtt_opener *opener;
    struct smqtt_sealer *sealer;
    struct smqtt_identity *identity;
    bool is_registered, is_open;
    uint8_t refused;            /* status of the registration */
    uint16_t last_id, clear_id; /* the latter until the empty message is acknowledged */
    size_t retained_len;
    char retained[TOPIC_MAX]; /* where its descriptor lies */
};

static struct smqtt_now now;
static uint64_t ticked_ns;
static uint8_t *record;
static size_t record_cap;

/* ---------------------------------------------------------------- events */

static uint16_t publish(struct client *c, smq_span topic, smq_span payload, uint8_t qos, bool retain)
{
    struct sealed *s = c->sealed;
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    s->last_id = (uint16_t)((s->last_id + 1) % N_IDS);
    uint16_t id = qos != 0 ? (uint16_t)(FIRST_ID + s->last_id) : 0;
    pkt.publish = (struct smq_publish){.qos = qos, .retain = retain, .id = id, .topic = topic, .payload = payload};
    smq_props_clear(&pkt.publish.props);
    (void)wire_write(c, &pkt);
    return id;
}

static void send_detect(struct client *c, const struct smqtt_secure_event *event)
{
    if (event->topic.len == 0) {
        struct smq_packet pkt = {.type = SMQ_DETECT, .detect = {event->header, event->bytes}};
        (void)wire_write(c, &pkt);
        return;
    }
    uint8_t *bytes = malloc(1 + event->bytes.len); /* the tunnel; once per step of a handshake */
    if (bytes == NULL) {
        link_close(c);
        return;
    }
    bytes[0] = event->header;
    memcpy(bytes + 1, event->bytes.data, event->bytes.len);
    (void)publish(c, event->topic, smq_span_of(bytes, 1 + event->bytes.len), 1, false);
    free(bytes);
}

static void send_publish(struct client *c, const struct smqtt_secure_event *event)
{
    struct sealed *s = c->sealed;
    if (event->retain && event->topic.len <= sizeof s->retained) {
        memcpy(s->retained, event->topic.data, event->topic.len);
        s->retained_len = event->topic.len;
    }
    (void)publish(c, event->topic, event->bytes, event->header, event->retain);
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

void sealed_message(struct client *c, smq_span topic, smq_span payload, bool retained)
{
    struct sealed *s = c->sealed;
    bool taken = false;
    smqtt_err err = s->opener != NULL ? smqtt_opener_message(s->opener, topic, payload, retained, now)
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

static bool is_tunnel(const struct client *c)
{
    return c->b->flags.tunnel || !c->detects;
}

/* Servers are there for their clients: registered, or in the tunnel subscribed. */
static bool all_serve(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_subs; i++) {
        const struct client *c = b->subs[i].client;
        if (c->state == CLIENT_READY &&
            (is_tunnel(c) ? c->filters_made < c->filters_asked
                          : !c->sealed->is_registered && c->sealed->refused == SMQTT_STATUS_OK)) {
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
        if (smqtt_opener_connected(c->sealed->opener, is_tunnel(c), smq_span_str(c->id), now) != SMQTT_OK) {
            return false;
        }
        pump(c);
    }
    if (!bench_run_until(b, all_serve, bench_clock() + OPEN_S * NS_PER_S)) {
        say("the servers could not %s within %d s.",
            is_tunnel(b->subs[0].client) ? "subscribe to what clients send" : "register", OPEN_S);
        return false;
    }
    phase_begin(b, "handshake", "sessions");
    for (uint32_t i = 0; i < b->n_pubs; i++) {
        struct client *c = b->pubs[i].client;
        smqtt_sealer_connected(c->sealed->sealer, is_tunnel(c), now);
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
    uint8_t *plain = p->packet + p->stamp_at;
    size_t len = 0;
    uint16_t id = (uint16_t)(p->last_id % p->n_ids + 1);
    if (p->id_at != 0 && p->ids[id] != 0) {
        return false;
    }
    bench_stamp_write(b, &(struct bench_stamp){p->number, p->sent, sent_ns}, plain);
    smq_span topic = topic_of(p);
    if (smqtt_seal(c->sealed->sealer, topic, smq_span_of(plain, (size_t)b->flags.size), NULL, now, record, record_cap,
                   &len, NULL, NULL) != SMQTT_OK) {
        b->n.sealed_refused++;
        return false;
    }
    bool v5 = b->flags.version == 5;
    uint32_t body = (uint32_t)(2 + topic.len + (p->id_at != 0 ? 2 : 0) + (v5 ? 1 : 0) + len);
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
    if (v5) {
        smq_wr_u8(&wr, 0);
    }
    smq_wr_bytes(&wr, record, len);
    p->sent++;
    b->n.sent++;
    return true;
}

/* ---------------------------------------------------------------- the end */

void sealed_acked(struct client *c, uint16_t id)
{
    struct sealed *s = c->sealed;
    s->clear_id = s->clear_id == id ? 0 : s->clear_id;
}

static bool all_cleared(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_subs; i++) {
        const struct client *c = b->subs[i].client;
        if (c->state == CLIENT_READY && c->sealed->clear_id != 0) {
            return false;
        }
    }
    return true;
}

void sealed_clear(struct bench *b)
{
    for (uint32_t i = 0; b->subs != NULL && i < b->n_subs; i++) {
        struct client *c = b->subs[i].client;
        struct sealed *s = c != NULL ? c->sealed : NULL;
        if (s == NULL) {
            return; /* not sealed, or not prepared to be */
        }
        if (c->state == CLIENT_READY && s->retained_len != 0) {
            smq_span topic = smq_span_of(s->retained, s->retained_len);
            s->clear_id = publish(c, topic, smq_span_of(NULL, 0), 1, true);
        }
    }
    if (b->n_subs != 0) {
        (void)bench_run_until(b, all_cleared, bench_clock() + CLEAR_S * NS_PER_S);
    }
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
