/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_PROBE_LINK_H
#define SMQTT_APPS_PROBE_LINK_H
/* One connection of the probe: packets out and in, one at a time, with strings of any bytes. Everything waits at most
 * so long as it is told to. */
#include "base/bytebuf.h"
#include "codec/packet.h"
#include "../transport.h"

struct probe_link {
    struct transport transport;
    enum smqtt_version version;
    struct smq_bytebuf in;
    size_t used; /* of `in`: the packet that was taken last */
    bool open;
};

enum probe_got {
    PROBE_PACKET,
    PROBE_ENDED,  /* the connection is over */
    PROBE_SILENCE /* nothing came in time */
};

/** Connects the transport. False after a sentence. */
bool probe_link_open(struct probe_link *l, const struct opts *o, enum smqtt_version version);
/** Ends it without a word of MQTT. */
void probe_link_close(struct probe_link *l);
/** Says DISCONNECT and ends it. */
void probe_link_leave(struct probe_link *l);
/** Sends a packet whose strings nobody checks. False when the connection is over. */
bool probe_link_send(struct probe_link *l, const struct smq_packet *pkt);
/** Sends a PINGREQ likewise. */
bool probe_link_ping(struct probe_link *l);
/** The next packet that can be understood, until a monotonic time. Its spans are valid until the next call. */
enum probe_got probe_link_take(struct probe_link *l, smqtt_ms until, struct smq_packet *pkt);

#endif
