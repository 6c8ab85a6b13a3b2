/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_TLS_H
#define SMQTT_APPS_TLS_H
/* TLS over a connected socket, by OpenSSL's libssl. Certificates are checked, and that they were made for the host;
 * version 1.2 is the least unless --tls-version allows 1.1. */
#include <sys/types.h>

#include "opts.h"

#include <smqtt/types.h>

struct tls;

/** Do the flags ask for TLS? --cafile, --capath, --tls-use-os-certs, --psk, mqtts://, or port 8883. */
bool tls_is_wanted(const struct opts *o);
/** Reads the files and checks the flags, once for all connections. False after a sentence. */
bool tls_prepare(const struct opts *o);
/** Shakes hands over the non-blocking fd with `host`. NULL after a sentence. */
struct tls *tls_open(const struct opts *o, int fd, const char *host, smqtt_ms until);
/** Says goodbye as far as that goes at once; fd stays open. */
void tls_close(struct tls *tls);

enum { TLS_AGAIN = -1, TLS_FAILED = -2 };
/** Bytes read, 0 at the end, TLS_AGAIN, or TLS_FAILED after a sentence. */
ssize_t tls_read(struct tls *tls, void *out, size_t cap);
/** Bytes written, TLS_AGAIN, or TLS_FAILED after a sentence. */
ssize_t tls_write(struct tls *tls, const void *bytes, size_t len);
/** What the last TLS_AGAIN waits for: POLLIN or POLLOUT; 0 when none does. */
short tls_events(const struct tls *tls);

#endif
