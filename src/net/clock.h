/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_CLOCK_H
#define SMQTT_NET_CLOCK_H
/* The only clock of the project. */
#include <smqtt/secure.h>

/** Both clocks of the system, in milliseconds. */
struct smqtt_now smq_clock_now(void);

#endif
