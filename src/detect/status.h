/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_DETECT_STATUS_H
#define SMQTT_DETECT_STATUS_H
/* Status codes of protocol.md 10; names and texts are public (smqtt/secure.h). */
#include <smqtt/secure.h>

enum { SMQ_STATUS_HINT = 0x20 /* codes from here on are hints: they never come sealed */ };

/** The error that tells a program of this status; never SMQTT_OK. */
smqtt_err smq_status_err(uint8_t status);

#endif
