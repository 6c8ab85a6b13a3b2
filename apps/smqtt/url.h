/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_APPS_URL_H
#define SMQTT_APPS_URL_H
/* The URLs of the command line: -L and --proxy. */
#include <stdbool.h>

struct opts;

/** -L mqtt(s)://[user[:password]@]host[:port]/topic: sets host, port, user, password, adds the topic; mqtts:// also
 * trusts the system's authorities. False when it is no such URL. */
bool url_read(struct opts *o, const char *url);

/** A proxy. Text lives until the program ends. */
struct url_proxy {
    const char *host, *port, *user, *password; /* user NULL: no authentication */
};

/** --proxy socks5h://[user[:password]@]host[:port] (1080); %25, %3A and %40 stand for %, : and @ in user and password.
 * False when it is no such URL. */
bool url_read_proxy(const char *url, struct url_proxy *out);

#endif
