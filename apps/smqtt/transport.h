/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_TRANSPORT_H
#define SMQTT_APPS_TRANSPORT_H
/* One connection to the broker: TCP or a Unix socket, through a proxy or not, with TLS or not. */
#include "tls.h"

struct transport {
    int fd;
    struct tls *tls; /* NULL: bytes go as they are */
};

enum { TRANSPORT_AGAIN = TLS_AGAIN, TRANSPORT_FAILED = TLS_FAILED };

/** Checks the flags that say how to connect, and reads the files that they name; before the first connection. False
 * after a sentence. */
bool transport_prepare(const struct opts *o);
/** Connects, by all layers, until a monotonic time. False after a sentence. */
bool transport_open(struct transport *t, const struct opts *o, smqtt_ms until);
void transport_close(struct transport *t);
/** Bytes read, 0 at the end, TRANSPORT_AGAIN, TRANSPORT_FAILED. With room for a whole record of TLS, 16 KiB, nothing is
 * left inside of which poll does not know. */
ssize_t transport_read(struct transport *t, void *out, size_t cap);
/** Bytes written, TRANSPORT_AGAIN, TRANSPORT_FAILED. */
ssize_t transport_write(struct transport *t, const void *bytes, size_t len);
/** What to wait for with poll before the next call. */
short transport_events(const struct transport *t, bool has_output);

#endif
