/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_DIAL_H
#define SMQTT_APPS_DIAL_H
/* Sockets to the broker or its proxy. All are non-blocking; what takes time ends at a monotonic time, or when the
 * program is to end. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <smqtt/types.h>

/** Waits until the socket is ready for POLLIN or POLLOUT. False with errno: ETIMEDOUT, EINTR (the program is to end).
 */
bool dial_wait(int fd, short events, smqtt_ms until);
/** A TCP connection to the first address of the host that answers, from `bind` (NULL: any). `what` names the other end:
 * "broker". -1 after a sentence. */
int dial_tcp(const char *host, const char *port, const char *bind, const char *what, smqtt_ms until);
/** A connection to a Unix domain socket. -1 after a sentence. */
int dial_unix(const char *path);

/** Where a service is, by an SRV record. */
struct dial_target {
    char host[256];
    char port[8];
    uint16_t priority, weight;
};
enum { DIAL_TARGETS_MAX = 16 };

/** The targets in a whole answer of the DNS, best first: the lower priority, then the higher weight. 0 when there are
 * none, or when it is no answer. */
size_t dial_srv_read(const uint8_t *answer, size_t len, struct dial_target out[DIAL_TARGETS_MAX]);
/** Asks the DNS for `service`.host ("_mqtt._tcp"): the targets, best first. 0 after a sentence. */
size_t dial_srv(const char *service, const char *host, struct dial_target out[DIAL_TARGETS_MAX]);

#endif
