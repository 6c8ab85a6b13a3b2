/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_SOCKETS_H
#define SMQTT_NET_SOCKETS_H
/* Opens the listening sockets of a listener, for several loops at once: the kernel shares new connections out. */
#include "broker/config.h"
#include "net/why.h"

enum { SMQ_HOST_SOCKETS = 16 }; /* addresses of one listener */

/** One that listens. */
struct smq_socket {
    int fd;
    uint16_t port; /* 0: a Unix socket */
    bool is_v6;
};

/** Those of one listener for one loop. */
struct smq_sockets {
    unsigned n;
    struct smq_socket at[SMQ_HOST_SOCKETS];
};

/** How to open them. */
struct smq_sockets_how {
    unsigned loops; /* how many sets */
    bool shared;    /* this process may already listen on the port, with other addresses: that is no hindrance */
    /** Called with true before, and false after, a port below 1024 is bound. NULL: nothing. */
    void (*privilege)(void *ctx, bool on);
    void *ctx;
};

/**
 * One set of sockets for each loop. With addresses: IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT; a port that another
 * program listens on is refused all the same. A Unix socket is one socket with a descriptor for each loop, mode 0660;
 * the file of a program that has died is replaced.
 * @param[out] sets  how->loops of them; all of the same addresses and port
 * @retval SMQTT_E_IO  nothing is open; `why` has the sentence
 */
SMQ_MUST_USE smqtt_err smq_sockets_open(const struct smq_listener_config *config, const struct smq_sockets_how *how,
                                        struct smq_sockets *sets, struct smq_why *why);
/** Closes what is open in one set. */
void smq_sockets_close(struct smq_sockets *set);

#endif
