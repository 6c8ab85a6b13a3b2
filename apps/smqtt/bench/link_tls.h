/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_BENCH_LINK_TLS_H
#define SMQTT_APPS_BENCH_LINK_TLS_H
/* TLS 1.3 between a client and the broker, over the client's socket; link.c alone calls this. */
#include <sys/types.h>

#include "bench.h"

/** How far a handshake is. */
enum link_tls_hands {
    LINK_TLS_DONE,   /**< packets may go */
    LINK_TLS_READS,  /**< goes on when the socket can be read */
    LINK_TLS_WRITES, /**< goes on when the socket takes more */
    LINK_TLS_FAILED  /**< the connection is of no use; the first time a sentence was said */
};

/** Do the flags ask for TLS? */
bool link_tls_is_wanted(const struct bench *b);
/** Reads whom to trust (--cafile); once, before any connection. False after a sentence. */
bool link_tls_prepare(const struct bench *b);
/** Frees what link_tls_prepare made, when no connection is left. Does nothing without it. */
void link_tls_end(void);
/** Puts TLS over a socket that is connected; `host` is the name that the broker's certificate must bear, unless
 * --insecure says that any will do. False without memory, or when the name cannot be one. */
bool link_tls_open(struct client *c, const char *host);
/** Goes on with the handshake. */
enum link_tls_hands link_tls_shake(struct client *c);
/** Reads what has come, up to cap bytes: their number, 0 at the end of the connection, -1 with errno EAGAIN when there
 * is nothing yet, or with another when it failed. */
ssize_t link_tls_recv(struct client *c, uint8_t *out, size_t cap);
/** Did link_tls_recv leave something that the socket will not announce again? */
bool link_tls_has_more(const struct client *c);
/** Sends: the number of bytes that went, or -1 with errno EAGAIN when none can go now, or with another when it failed.
 * What did not go has to be given again, with or without more behind it. */
ssize_t link_tls_send(struct client *c, const uint8_t *bytes, size_t len);
/** Says farewell where that is possible, and frees. A client without TLS is left as it is. */
void link_tls_close(struct client *c);

#endif
