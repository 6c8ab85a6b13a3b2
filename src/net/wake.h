/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_WAKE_H
#define SMQTT_NET_WAKE_H
/* Wakes a loop from a signal handler or another thread: an eventfd. */
#include "base/defs.h"

/** A descriptor to wait on; close it. SMQTT_E_IO. */
SMQ_MUST_USE smqtt_err smq_wake_open(int *fd);
/** Makes it readable. Safe in signal handlers and from any thread. */
void smq_wake_raise(int fd);
/** Makes it unreadable again; true when it was raised. */
bool smq_wake_take(int fd);

#endif
