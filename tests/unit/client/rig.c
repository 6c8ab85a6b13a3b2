/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

static struct rig the_rig;

struct rig *rig_new(enum smqtt_version version)
{
    struct rig *r = &the_rig;
    memset(r, 0, sizeof(*r));
    failing_mem_init(&r->fm);
    r->config.struct_size = sizeof(r->config);
    r->config.mem = &r->fm.mem;
    r->config.version = version;
    r->config.client_id = smq_span_str("rig");
    r->now = (struct smqtt_now){1700000000000, 5000};
    r->codec = (struct smq_codec){.version = version, .from = SMQ_FROM_CLIENT, .text = SMQ_TEXT_STANDARD};
    return r;
}

void rig_make(struct rig *r)
{
    assert_int_equal(smqtt_client_new(&r->config, &r->c), SMQTT_OK);
}

void rig_connect(struct rig *r, bool session_present)
{
    r->from = r->to = 0;
    assert_int_equal(smqtt_client_connect(r->c, r->now), SMQTT_OK);
    rig_take(r, SMQ_CONNECT);
    static const char announced[] = "\x26\x00\x0Csmqtt-detect\x00\x01"
                                    "1";
    struct smq_packet connack = rig_connack(0, session_present);
    connack.connack.props.raw = smq_span_of(announced, r->announces ? sizeof(announced) - 1 : 0);
    rig_give(r, connack);
    assert_int_equal(rig_event(r, SMQTT_CLIENT_CONNECTED).session_present, session_present);
}

void rig_start(struct rig *r)
{
    rig_make(r);
    rig_connect(r, false);
}

void rig_end(struct rig *r)
{
    smqtt_client_free(r->c);
    r->c = NULL;
    assert_int_equal(r->fm.live, 0);
}

/** Moves what the client wants sent into the rig. */
static void collect(struct rig *r)
{
    struct smqtt_span out = smqtt_client_output(r->c);
    assert_true(out.len <= RIG_BYTES - r->to);
    if (out.len != 0) {
        memcpy(r->bytes + r->to, out.data, out.len);
        r->to += out.len;
        smqtt_client_sent(r->c, out.len, r->now);
    }
}

struct smq_packet rig_take(struct rig *r, enum smq_type type)
{
    collect(r);
    struct smq_frame frame;
    size_t need = 0;
    struct smq_packet pkt = {.type = SMQ_AUTH};
    smq_span rest = {r->bytes + r->from, r->to - r->from};
    assert_int_equal(smq_frame_read(&r->codec, rest, type == SMQ_CONNECT, &frame, &need), SMQTT_OK);
    assert_int_equal(smq_packet_read(&r->codec, &frame, &pkt), SMQTT_OK);
    assert_string_equal(smq_type_name(pkt.type), smq_type_name(type));
    r->from += frame.size;
    return pkt;
}

void rig_silent(struct rig *r)
{
    collect(r);
    assert_int_equal(r->to - r->from, 0);
}

void rig_feed(struct rig *r, const void *bytes, size_t len)
{
    smqtt_client_feed(r->c, smq_span_of(bytes, len), r->now);
}

void rig_give(struct rig *r, struct smq_packet pkt)
{
    static uint8_t room[RIG_BYTES];
    struct smq_wr wr = smq_wr_of(room, sizeof(room));
    assert_int_equal(smq_packet_write(&r->codec, &pkt, &wr), SMQTT_OK);
    if (r->held) {
        assert_true(wr.len <= RIG_BYTES - r->n_held);
        memcpy(r->held_bytes + r->n_held, room, wr.len);
        r->n_held += wr.len;
    } else {
        rig_feed(r, room, wr.len);
    }
}

struct smqtt_client_event rig_event(struct rig *r, enum smqtt_client_event_type type)
{
    struct smqtt_client_event event;
    smqtt_client_next(r->c, &event);
    assert_int_equal(event.type, type);
    return event;
}

void rig_no_event(struct rig *r)
{
    rig_event(r, SMQTT_CLIENT_NONE);
}

void rig_break(struct rig *r)
{
    smqtt_client_lost(r->c, SMQTT_E_IO, r->now);
    struct smqtt_client_event event = rig_event(r, SMQTT_CLIENT_CLOSED);
    assert_int_equal(event.err, SMQTT_E_IO);
}

void rig_wait(struct rig *r, smqtt_ms ms)
{
    r->now.wall += ms;
    r->now.mono += ms;
    smqtt_client_tick(r->c, r->now);
}

struct smq_packet rig_connack(uint8_t reason, bool session_present)
{
    struct smq_packet pkt = {.type = SMQ_CONNACK};
    pkt.connack.reason = reason;
    pkt.connack.session_present = session_present;
    smq_props_clear(&pkt.connack.props);
    return pkt;
}

struct smq_packet rig_ack(enum smq_type type, uint16_t id, uint8_t reason)
{
    struct smq_packet pkt = {.type = type};
    pkt.ack.id = id;
    pkt.ack.reason = reason;
    smq_props_clear(&pkt.ack.props);
    return pkt;
}

struct smq_packet rig_publish(uint8_t qos, uint16_t id, const char *topic, const char *payload)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.qos = qos;
    pkt.publish.id = id;
    pkt.publish.topic = smq_span_str(topic);
    pkt.publish.payload = smq_span_str(payload);
    smq_props_clear(&pkt.publish.props);
    return pkt;
}

struct smq_packet rig_suback(enum smq_type type, uint16_t id, const char *codes, size_t n)
{
    struct smq_packet pkt = {.type = type};
    pkt.suback.id = id;
    pkt.suback.codes = smq_span_of(codes, n);
    smq_props_clear(&pkt.suback.props);
    return pkt;
}

struct smq_packet rig_disconnect(uint8_t reason)
{
    struct smq_packet pkt = {.type = SMQ_DISCONNECT};
    pkt.reasoned.reason = reason;
    smq_props_clear(&pkt.reasoned.props);
    return pkt;
}

struct smq_packet rig_detect(uint8_t header, const char *body)
{
    struct smq_packet pkt = {.type = SMQ_DETECT};
    pkt.detect.header = header;
    pkt.detect.body = smq_span_str(body);
    return pkt;
}
