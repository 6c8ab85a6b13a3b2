/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_TESTS_PACKET_GEN_H
#define SMQTT_TESTS_PACKET_GEN_H
/* Random valid packets. Their bytes live in the generator until the next packet is made. */
#include "codec/packet.h"

struct packet_gen {
    uint64_t seed;
    uint8_t bytes[8192];
    size_t used;
    struct smq_filter filters[8];
};

/** A packet of this type that this version has; no reason code that the direction forbids to both sides. */
void packet_gen_make(struct packet_gen *g, enum smqtt_version version, enum smq_type type, struct smq_packet *pkt);
/** Properties that may stand in this place, each with a valid value. */
void packet_gen_props(struct packet_gen *g, enum smq_prop_place place, struct smq_props *p);

#endif
