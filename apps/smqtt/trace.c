/* SPDX-License-Identifier: Apache-2.0 */
#include "trace.h"

#include <stdio.h>

#include "codec/packet.h"

static void set_id(struct trace *t, smq_span id)
{
    snprintf(t->id, sizeof(t->id), "%.*s", id.len != 0 ? (int)id.len : 6,
             id.len != 0 ? (const char *)id.data : "(null)");
}

void trace_connect(struct trace *t, enum smqtt_version version, smq_span client_id)
{
    t->version = version;
    t->seen = 0;
    set_id(t, client_id);
}

static void tell_publish(struct trace *t, const char *verb, const struct smq_publish *p)
{
    printf("Client %s %s PUBLISH (d%d, q%u, r%d, m%u, '%.*s', ... (%zu bytes))\n", t->id, verb, p->dup ? 1 : 0, p->qos,
           p->retain ? 1 : 0, p->id, (int)p->topic.len, (const char *)p->topic.data, p->payload.len);
}

/** The header byte says which step it is (protocol.md 4). */
static void tell_detect(const struct trace *t, const char *verb, const struct smq_detect_pkt *p)
{
    printf("Client %s %s DETECT (0x%02X, ... (%zu bytes))\n", t->id, verb, p->header, p->body.len);
}

static void tell_filters(struct trace *t, const struct smq_packet *pkt)
{
    bool subscribe = pkt->type == SMQ_SUBSCRIBE;
    struct smq_rd it = smq_rd_of(pkt->subscribe.list);
    struct smq_filter f;
    while (smq_filters_next(NULL, &it, subscribe, &f)) {
        printf("Client %s sending %s (Mid: %u, Topic: %.*s", t->id, subscribe ? "SUBSCRIBE" : "UNSUBSCRIBE",
               pkt->subscribe.id, (int)f.filter.len, (const char *)f.filter.data);
        if (subscribe) {
            printf(", QoS: %u, Options: 0x%02x", f.options & 3u, f.options & 0xFCu);
        }
        puts(")");
    }
}

static void tell_sent(struct trace *t, struct smq_packet *pkt)
{
    const char *name = smq_type_name(pkt->type);
    switch (pkt->type) {
    case SMQ_PUBLISH:
        /* a message of QoS 0 has no identifier; it is counted as if it had */
        t->last = pkt->publish.id != 0 ? pkt->publish.id : (uint16_t)(t->last + 1);
        pkt->publish.id = t->last;
        tell_publish(t, "sending", &pkt->publish);
        break;
    case SMQ_PUBACK:
    case SMQ_PUBREC:
        printf("Client %s sending %s (m%u, rc%u)\n", t->id, name, pkt->ack.id, pkt->ack.reason);
        break;
    case SMQ_PUBREL:
    case SMQ_PUBCOMP:
        printf("Client %s sending %s (m%u)\n", t->id, name, pkt->ack.id);
        break;
    case SMQ_SUBSCRIBE:
    case SMQ_UNSUBSCRIBE:
        t->last = pkt->subscribe.id;
        tell_filters(t, pkt);
        break;
    case SMQ_CONNECT:
    case SMQ_PINGREQ:
    case SMQ_DISCONNECT:
    case SMQ_CONNACK:
    case SMQ_SUBACK:
    case SMQ_UNSUBACK:
    case SMQ_PINGRESP:
    case SMQ_AUTH:
        printf("Client %s sending %s\n", t->id, name);
        break;
    case SMQ_DETECT:
        tell_detect(t, "sending", &pkt->detect);
        break;
    }
    fflush(stdout);
}

static void tell_received(struct trace *t, const struct smq_packet *pkt)
{
    const char *name = smq_type_name(pkt->type);
    switch (pkt->type) {
    case SMQ_CONNACK:
        if (smq_props_has(&pkt->connack.props, SMQ_PROP_ASSIGNED_CLIENT_ID)) {
            set_id(t, smq_props_bytes(&pkt->connack.props, SMQ_PROP_ASSIGNED_CLIENT_ID));
        }
        printf("Client %s received CONNACK (%u)\n", t->id, pkt->connack.reason);
        break;
    case SMQ_PUBLISH:
        tell_publish(t, "received", &pkt->publish);
        break;
    case SMQ_PUBACK:
    case SMQ_PUBCOMP:
        printf("Client %s received %s (Mid: %u, RC:%u)\n", t->id, name, pkt->ack.id, pkt->ack.reason);
        break;
    case SMQ_PUBREC:
    case SMQ_PUBREL:
        printf("Client %s received %s (Mid: %u)\n", t->id, name, pkt->ack.id);
        break;
    case SMQ_DISCONNECT:
        printf("Received DISCONNECT (%u)\n", pkt->reasoned.reason);
        break;
    case SMQ_SUBACK:
        t->suback = pkt->suback.id;
        printf("Client %s received SUBACK\n", t->id);
        break;
    case SMQ_CONNECT:
    case SMQ_PINGREQ:
    case SMQ_UNSUBACK:
    case SMQ_PINGRESP:
    case SMQ_SUBSCRIBE:
    case SMQ_UNSUBSCRIBE:
    case SMQ_AUTH:
        printf("Client %s received %s\n", t->id, name);
        break;
    case SMQ_DETECT:
        tell_detect(t, "received", &pkt->detect);
        break;
    }
    fflush(stdout); /* who traces wants to see the last packet before it hung */
}

/** Reads the first whole packet: its size, 0 when there is none. *readable is false when it cannot be understood. */
static size_t read_packet(const struct trace *t, enum smq_role from, smq_span bytes, struct smq_packet *pkt,
                          bool *readable)
{
    struct smq_codec codec = {.version = t->version, .from = from, .text = SMQ_TEXT_STANDARD};
    struct smq_frame frame;
    size_t need = 0;
    if (bytes.len == 0 || smq_frame_read(&codec, bytes, false, &frame, &need) != SMQTT_OK) {
        return 0;
    }
    *readable = smq_packet_read(&codec, &frame, pkt) == SMQTT_OK;
    return frame.size;
}

void trace_output(struct trace *t, smq_span output)
{
    struct smq_packet pkt;
    bool readable = false;
    size_t size = 0;
    while (t->on && (size = read_packet(t, SMQ_FROM_ANY, smq_span_from(output, t->seen), &pkt, &readable)) != 0) {
        t->seen += size;
        if (readable) {
            tell_sent(t, &pkt);
        }
    }
}

void trace_sent(struct trace *t, size_t n)
{
    t->seen -= n < t->seen ? n : t->seen;
}

size_t trace_input(struct trace *t, smq_span bytes)
{
    struct smq_packet pkt;
    bool readable = false;
    size_t size = read_packet(t, SMQ_FROM_SERVER, bytes, &pkt, &readable);
    if (size != 0 && readable) {
        tell_received(t, &pkt);
    }
    return size;
}

void trace_subscribed(const struct trace *t, smq_span codes)
{
    if (!t->on) {
        return;
    }
    printf("Subscribed (mid: %u): ", t->suback);
    for (size_t i = 0; i < codes.len; i++) {
        printf("%s%u", i != 0 ? ", " : "", codes.data[i]);
    }
    putchar('\n');
}
