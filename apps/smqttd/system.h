/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_SYSTEM_H
#define SMQTT_APPS_SYSTEM_H
/* What a daemon asks of the system. */
#include "net/why.h"

/** As many open files as this process may have. */
void system_raise_files(void);
/** Goes to the background; only the child returns. SMQTT_E_IO. */
SMQ_MUST_USE smqtt_err system_daemonize(struct smq_why *why);
/** Writes this process' id. SMQTT_E_IO. */
SMQ_MUST_USE smqtt_err system_write_pid(const char *path, struct smq_why *why);
/** Tells systemd, when it asked for it (NOTIFY_SOCKET): "READY=1", "STOPPING=1". */
void system_notify(const char *state);

#endif
