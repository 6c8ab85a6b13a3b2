/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_SYSTEM_H
#define SMQTT_APPS_SYSTEM_H
/* What a daemon asks of the system. */
#include <sys/types.h>

#include "base/log.h"
#include "net/why.h"

/** Whom the broker runs as when root started it. */
struct system_user {
    bool wanted; /* false: it stays who it is */
    uid_t uid;
    gid_t gid;
    char name[64];
};

/**
 * Finds out whom to run as. Who is not root stays; `name` NULL is "mosquitto", and when that user does not exist it is
 * "nobody"; "root" stays root, with a warning.
 * @retval SMQTT_E_USAGE  the user does not exist
 */
SMQ_MUST_USE smqtt_err system_find_user(const char *name, const struct smq_log *log, struct system_user *out,
                                        struct smq_why *why);
/** Is that user (files are made as that user), or root again, until system_stay. Before there are threads. */
void system_become(const struct system_user *user, bool root);
/** Becomes that user for good. SMQTT_E_IO. */
SMQ_MUST_USE smqtt_err system_stay(const struct system_user *user, struct smq_why *why);

/** As many open files as this process may have. */
void system_raise_files(void);
/**
 * Goes to the background; only the child returns, and the process that was called ends when the child says
 * system_is_ready: well then, else badly as soon as the child has ended. What the child says to its terminal until
 * then is seen there.
 * @param[out] ready  for system_is_ready
 * @retval SMQTT_E_IO
 */
SMQ_MUST_USE smqtt_err system_daemonize(int *ready, struct smq_why *why);
/** The child is ready and has no terminal any more. */
void system_is_ready(int ready);
/** Writes this process' id. SMQTT_E_IO. */
SMQ_MUST_USE smqtt_err system_write_pid(const char *path, struct smq_why *why);
/** Tells systemd, when it asked for it (NOTIFY_SOCKET): "READY=1", "STOPPING=1". */
void system_notify(const char *state);
/** The same for the begin of a reload, which "READY=1" ends. */
void system_notify_reloading(void);

#endif
