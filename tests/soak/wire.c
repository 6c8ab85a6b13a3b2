/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the soak's clients, through the project's codec. */
#include <stdlib.h>
#include <string.h>

#include "soak.h"

enum { STAMP = 16, PAYLOAD_MAX = 40000, PACKET_MAX = PAYLOAD_MAX + 256, FOR_EVER = 3600 };

static struct smq_codec codec_of(const struct client *c)
{
    return (struct smq_codec){.version = c->version, .from = SMQ_FROM_SERVER, .text = SMQ_TEXT_STANDARD};
}

void wire_send(struct client *c, const struct smq_packet *pkt)
{
    static uint8_t block[PACKET_MAX];
    struct smq_codec codec = codec_of(c);
    struct smq_wr wr = smq_wr_of(block, sizeof block);
    if (smq_packet_write(&codec, pkt, &wr) != SMQTT_OK || !smq_wr_ok(&wr)) {
        abort();
    }
    bytes_add(&c->out, block, wr.len);
}

void wire_ack(struct bytes *out, enum smq_type type, uint16_t id)
{
    uint8_t packet[4] = {(uint8_t)((unsigned)type << 4 | (type == SMQ_PUBREL ? 2 : 0)), 2, (uint8_t)(id >> 8),
                         (uint8_t)id};
    bytes_add(out, packet, sizeof packet);
}

void wire_connect(struct client *c, bool clean)
{
    struct smq_packet pkt = {.type = SMQ_CONNECT};
    pkt.connect = (struct smq_connect){
        .version = c->version, .clean_start = clean, .keep_alive = 600, .client_id = smq_span_str(c->id)};
    smq_props_clear(&pkt.connect.props);
    if (c->version == SMQTT_V5 && !clean) {
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, FOR_EVER);
    }
    if (c->version == SMQTT_V5 && c->receive_max != 0) {
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, c->receive_max);
    }
    wire_send(c, &pkt);
}

void wire_disconnect(struct client *c, bool ends_session)
{
    struct smq_packet pkt = {.type = SMQ_DISCONNECT};
    smq_props_clear(&pkt.reasoned.props);
    if (ends_session && c->version == SMQTT_V5 && !c->clean) {
        smq_props_set_num(&pkt.reasoned.props, SMQ_PROP_SESSION_EXPIRY, 0);
    }
    wire_send(c, &pkt);
}

size_t wire_topic(const struct soak *s, unsigned pub, unsigned topic, char *out, size_t cap)
{
    (void)s;
    return (size_t)snprintf(out, cap, "soak/p%u/t%u", pub, topic);
}

/* Most messages are small, some are larger than what stands in a batch between workers. */
static size_t size_of(const struct soak *s, unsigned pub, unsigned topic, uint32_t number)
{
    uint64_t rng = s->f.seed + ((uint64_t)pub << 40) + ((uint64_t)topic << 32) + number;
    switch (chance(&rng, 500)) {
    case 0:
        return STAMP + chance(&rng, PAYLOAD_MAX - STAMP);
    case 1:
    case 2:
    case 3:
        return STAMP + chance(&rng, 4000);
    default:
        return STAMP + chance(&rng, 100);
    }
}

size_t wire_payload(const struct soak *s, unsigned pub, unsigned topic, uint32_t number, uint8_t *out)
{
    size_t len = size_of(s, pub, topic, number);
    struct smq_wr wr = smq_wr_of(out, len);
    smq_wr_u32(&wr, s->tag);
    smq_wr_u16(&wr, (uint16_t)pub);
    smq_wr_u16(&wr, (uint16_t)topic);
    smq_wr_u32(&wr, number);
    smq_wr_u32(&wr, (uint32_t)len);
    memset(out + STAMP, (int)(number & 0xFF), len - STAMP);
    return len;
}

bool wire_read_payload(const struct soak *s, smq_span payload, unsigned *pub, unsigned *topic, uint32_t *number)
{
    struct smq_rd rd = smq_rd_of(payload);
    uint32_t tag = smq_rd_u32(&rd);
    *pub = smq_rd_u16(&rd);
    *topic = smq_rd_u16(&rd);
    *number = smq_rd_u32(&rd);
    uint32_t len = smq_rd_u32(&rd);
    if (!smq_rd_ok(&rd) || tag != s->tag || len != payload.len || *pub >= s->f.pubs || *topic >= TOPICS) {
        return false;
    }
    for (size_t i = STAMP; i < payload.len; i++) {
        if (payload.data[i] != (uint8_t)*number) {
            return false;
        }
    }
    return true;
}

void wire_publish(struct client *c, unsigned pub, unsigned topic, uint32_t number, uint8_t qos, uint16_t id, bool dup)
{
    static uint8_t payload[PAYLOAD_MAX];
    char name[64];
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish = (struct smq_publish){.dup = dup, .qos = qos, .id = id, .retain = topic >= TOPICS - RETAINED};
    pkt.publish.topic = smq_span_of(name, wire_topic(c->s, pub, topic, name, sizeof name));
    pkt.publish.payload = smq_span_of(payload, wire_payload(c->s, pub, topic, number, payload));
    smq_props_clear(&pkt.publish.props);
    wire_send(c, &pkt);
}

static void on_connack(struct client *c, const struct smq_connack *ack)
{
    if (ack->reason != 0) {
        c->s->n.refused++;
        say(c->s, "%s: CONNACK with 0x%02x.", c->id, ack->reason);
        return;
    }
    /* [MQTT-3.1.2-4] [MQTT-3.2.2-2]; version 3.1 does not say it */
    bool wrong = c->clean ? ack->session_present : c->known && !ack->session_present;
    if (wrong && c->version != SMQTT_V31) {
        c->s->n.no_session++;
        say(c->s, "%s: session present is %d.", c->id, ack->session_present);
    }
    c->known = !c->clean;
    c->state = UP;
    c->reason = 0;
    c->server_max = (uint16_t)smq_props_num(&ack->props, SMQ_PROP_RECEIVE_MAXIMUM, IDS);
    if (c->is_over) {
        wire_disconnect(c, true);
        c->is_awaited = true;
    } else if (c->up != NULL) {
        c->up(c);
    }
}

static void take_packet(struct client *c, const struct smq_packet *pkt)
{
    if (pkt->type == SMQ_CONNACK) {
        on_connack(c, &pkt->connack);
    } else if (pkt->type == SMQ_DISCONNECT) {
        c->reason = pkt->reasoned.reason; /* told when the connection is found closed */
    } else if (!c->is_awaited && c->packet != NULL) {
        c->packet(c, pkt);
    }
    if (c->until_cut != 0 && --c->until_cut == 0) {
        c->goes_soon = true;
    }
}

void wire_take(struct client *c)
{
    struct smq_codec codec = codec_of(c);
    size_t at = 0;
    while (c->fd >= 0 && !c->goes_soon) {
        struct smq_frame frame;
        struct smq_packet pkt;
        size_t need;
        smqtt_err err =
            smq_frame_read(&codec, smq_span_of(c->in.at + at, c->in.len - at), c->state == ASKED, &frame, &need);
        if (err == SMQTT_E_AGAIN) {
            break;
        }
        if (err == SMQTT_OK) {
            err = smq_packet_read(&codec, &frame, &pkt);
        }
        if (err != SMQTT_OK) {
            c->s->n.malformed++;
            say(c->s, "%s: a packet of type %u is wrong: %s.", c->id, c->in.at[at] >> 4, smqtt_strerror(err));
            c->goes_soon = true;
            break;
        }
        at += frame.size;
        take_packet(c, &pkt);
    }
    if (c->in.len != 0) {
        bytes_drop(&c->in, at);
    }
}
