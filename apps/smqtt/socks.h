/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_SOCKS_H
#define SMQTT_APPS_SOCKS_H
/* SOCKS5 (RFC 1928) with user name and password (RFC 1929); names are resolved by the proxy. */
#include "dial.h"
#include "url.h"

/** Asks the proxy at the other end of fd for a connection to host and port. False after a sentence. */
bool socks_connect(int fd, const struct url_proxy *proxy, const char *host, uint16_t port, smqtt_ms until);

#endif
