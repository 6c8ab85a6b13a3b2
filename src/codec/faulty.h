/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CODEC_FAULTY_H
#define SMQTT_CODEC_FAULTY_H
/* Which string of a packet is it that MQTT does not allow? For packets of a server that were read with SMQ_TEXT_ANY:
 * their form is sound, their strings nobody has looked at. */
#include "codec/packet.h"

struct smq_faulty {
    smqtt_err err;          /* SMQTT_E_BAD_TEXT, SMQTT_E_BAD_TOPIC, SMQTT_E_BAD_PAYLOAD; SMQTT_OK: none */
    enum smqtt_field field; /* where it stands */
    smq_span bytes;         /* the string itself, view into the packet; empty for the payload */
};

/** Is it an error that smq_packet_read gives because of a string alone? */
bool smq_faulty_is(smqtt_err err);
/** The first string of the packet, its topic before its properties and those before its payload, that the codec's text
 * policy or the rules of topic names refuse. False, with *out untouched: there is none. */
bool smq_faulty_find(const struct smq_codec *codec, const struct smq_packet *pkt, struct smq_faulty *out);

#endif
