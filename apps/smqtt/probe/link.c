/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <poll.h>

#include "../dial.h"
#include "net/clock.h"

/* FLOOD_MS: what is there is taken although the time is over, as this machine may be slow, but not for ever. */
enum { FLOOD_MS = 20000, CONNECT_MS = 10000, SEND_MS = 10000, IN_MAX = 4 * 1024 * 1024, READ_SIZE = 16384 };

static struct smq_codec codec_of(const struct probe_link *l, enum smq_role from)
{
    return (struct smq_codec){.version = l->version, .from = from, .text = SMQ_TEXT_ANY};
}

bool probe_link_open(struct probe_link *l, const struct opts *o, enum smqtt_version version)
{
    l->version = version;
    l->used = 0;
    smq_bytebuf_init(&l->in, NULL, IN_MAX);
    l->open = transport_open(&l->transport, o, smq_clock_now().mono + CONNECT_MS);
    return l->open;
}

void probe_link_close(struct probe_link *l)
{
    if (l->open) {
        transport_close(&l->transport);
        smq_bytebuf_deinit(&l->in);
        l->open = false;
    }
}

void probe_link_leave(struct probe_link *l)
{
    struct smq_packet bye = {.type = SMQ_DISCONNECT};
    smq_props_clear(&bye.reasoned.props);
    if (l->open) {
        (void)probe_link_send(l, &bye); /* it ends either way */
    }
    probe_link_close(l);
}

static bool send_bytes(struct probe_link *l, smq_span bytes)
{
    smqtt_ms until = smq_clock_now().mono + SEND_MS;
    while (bytes.len != 0) {
        ssize_t n = transport_write(&l->transport, bytes.data, bytes.len);
        if (n == TRANSPORT_AGAIN) {
            if (!dial_wait(l->transport.fd, transport_events(&l->transport, true), until)) {
                return false;
            }
        } else if (n < 0) {
            return false;
        } else {
            bytes = smq_span_from(bytes, (size_t)n);
        }
    }
    return true;
}

bool probe_link_send(struct probe_link *l, const struct smq_packet *pkt)
{
    struct smq_codec codec = codec_of(l, SMQ_FROM_CLIENT);
    struct smq_wr measure = smq_wr_measure();
    struct smq_bytebuf out;
    uint8_t *at = NULL;
    smq_bytebuf_init(&out, NULL, IN_MAX);
    bool ok =
        smq_packet_write(&codec, pkt, &measure) == SMQTT_OK && smq_bytebuf_reserve(&out, measure.len, &at) == SMQTT_OK;
    if (ok) {
        struct smq_wr wr = smq_wr_of(at, measure.len);
        ok = smq_packet_write(&codec, pkt, &wr) == SMQTT_OK;
        smq_bytebuf_commit(&out, wr.len);
    }
    ok = ok && send_bytes(l, smq_bytebuf_span(&out));
    smq_bytebuf_deinit(&out);
    return ok;
}

bool probe_link_ping(struct probe_link *l)
{
    struct smq_packet ping = {.type = SMQ_PINGREQ};
    return probe_link_send(l, &ping);
}

/** More bytes into `in`. */
static enum probe_got fill(struct probe_link *l, smqtt_ms until)
{
    uint8_t bytes[READ_SIZE];
    ssize_t n = transport_read(&l->transport, bytes, sizeof(bytes));
    if (n == TRANSPORT_AGAIN) {
        bool ready = dial_wait(l->transport.fd, transport_events(&l->transport, false), until);
        return ready ? PROBE_PACKET : PROBE_SILENCE;
    }
    if (n <= 0 || smq_bytebuf_append(&l->in, smq_span_of(bytes, (size_t)n)) != SMQTT_OK) {
        return PROBE_ENDED;
    }
    return PROBE_PACKET;
}

enum probe_got probe_link_take(struct probe_link *l, smqtt_ms until, struct smq_packet *pkt)
{
    struct smq_codec codec = codec_of(l, SMQ_FROM_SERVER);
    for (;;) {
        if (!l->open) {
            return PROBE_ENDED;
        }
        smq_bytebuf_consume(&l->in, l->used);
        l->used = 0;
        if (smq_clock_now().mono > until + FLOOD_MS) {
            return PROBE_SILENCE; /* a broker that never ends has not said what was asked for */
        }
        struct smq_frame frame;
        size_t need = 0;
        smq_span bytes = smq_bytebuf_span(&l->in);
        smqtt_err err = bytes.len == 0 ? SMQTT_E_AGAIN : smq_frame_read(&codec, bytes, false, &frame, &need);
        if (err == SMQTT_OK) {
            l->used = frame.size;
            if (smq_packet_read(&codec, &frame, pkt) == SMQTT_OK) {
                return PROBE_PACKET;
            }
            continue; /* whole, and of a form that is none: of no use here */
        }
        enum probe_got got = err == SMQTT_E_AGAIN ? fill(l, until) : PROBE_ENDED;
        if (got != PROBE_PACKET) {
            return got;
        }
    }
}
