/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_CODEC_REASON_H
#define SMQTT_CODEC_REASON_H
/* Reason codes of MQTT 5.0 and return codes of 3.x: rows in reason.def. */
#include "codec/packet.h"

/** May this reason code stand in this packet of MQTT 5.0 when it comes from this side? PUBLISH and others without one:
 * false. */
bool smq_reason_ok(enum smq_type type, enum smq_role from, uint8_t code);
/** "not authorized" …; "unknown reason" for codes that the standard does not know. Static storage. */
const char *smq_reason_text(uint8_t code);

#endif
