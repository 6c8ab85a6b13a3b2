/* SPDX-License-Identifier: Apache-2.0 */
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dial.h"
#include "say.h"
#include "socks.h"

enum { PORT_PLAIN = 1883, PORT_TLS = 8883 };

static bool has_proxy;
static struct url_proxy proxy;

bool transport_prepare(const struct opts *o)
{
    static bool done; /* a second connection of the program is to the same broker */
    if (done) {
        return true;
    }
    if (o->proxy != NULL) {
        has_proxy = url_read_proxy(o->proxy, &proxy);
        if (!has_proxy) {
            say("'%s' is no proxy that is understood: write socks5h://[user[:password]@]host[:port].", o->proxy);
            return false;
        }
    }
    if (o->unix_path != NULL && (has_proxy || o->srv)) {
        say("--unix needs no %s: leave one of them out.", has_proxy ? "--proxy" : "-S");
        return false;
    }
    done = tls_prepare(o);
    return done;
}

/** To one host and port, through the proxy if there is one. */
static int dial(const struct opts *o, const char *host, const char *port, smqtt_ms until)
{
    if (!has_proxy) {
        return dial_tcp(host, port, o->bind, "broker", until);
    }
    int fd = dial_tcp(proxy.host, proxy.port, o->bind, "proxy", until);
    if (fd >= 0 && !socks_connect(fd, &proxy, host, (uint16_t)strtoul(port, NULL, 10), until)) {
        close(fd);
        return -1;
    }
    return fd;
}

/** To the first of the hosts that serve the domain and answer; *host is the one. */
static int dial_service(const struct opts *o, const char **host, smqtt_ms until)
{
    static struct dial_target targets[DIAL_TARGETS_MAX];
    size_t n = dial_srv(tls_is_wanted(o) ? "_secure-mqtt._tcp" : "_mqtt._tcp", o->host, targets);
    int fd = -1;
    for (size_t i = 0; i < n && fd < 0; i++) {
        *host = targets[i].host;
        fd = dial(o, targets[i].host, targets[i].port, until);
    }
    return fd;
}

static int dial_any(const struct opts *o, const char **host, smqtt_ms until)
{
    *host = o->host;
    if (o->unix_path != NULL) {
        return dial_unix(o->unix_path);
    }
    if (o->srv) {
        return dial_service(o, host, until);
    }
    char port[8];
    bool tls_port = o->cafile != NULL || o->capath != NULL || o->psk != NULL;
    snprintf(port, sizeof(port), "%u", o->port_given ? o->port : tls_port ? PORT_TLS : PORT_PLAIN);
    return dial(o, o->host, port, until);
}

bool transport_open(struct transport *t, const struct opts *o, smqtt_ms until)
{
    const char *host = NULL;
    *t = (struct transport){-1, NULL};
    t->fd = dial_any(o, &host, until);
    if (t->fd < 0) {
        return false;
    }
    if (tls_is_wanted(o)) {
        t->tls = tls_open(o, t->fd, host, until);
        if (t->tls == NULL) {
            transport_close(t);
            return false;
        }
    }
    return true;
}

void transport_close(struct transport *t)
{
    tls_close(t->tls);
    if (t->fd >= 0) {
        close(t->fd);
    }
    *t = (struct transport){-1, NULL};
}

ssize_t transport_read(struct transport *t, void *out, size_t cap)
{
    if (t->tls != NULL) {
        return tls_read(t->tls, out, cap);
    }
    ssize_t n = recv(t->fd, out, cap, 0);
    return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? TRANSPORT_AGAIN : TRANSPORT_FAILED;
}

ssize_t transport_write(struct transport *t, const void *bytes, size_t len)
{
    if (t->tls != NULL) {
        return tls_write(t->tls, bytes, len);
    }
    ssize_t n = send(t->fd, bytes, len, MSG_NOSIGNAL);
    return n >= 0 ? n : errno == EAGAIN || errno == EINTR ? TRANSPORT_AGAIN : TRANSPORT_FAILED;
}

short transport_events(const struct transport *t, bool has_output)
{
    short events = POLLIN;
    if (t->tls == NULL) {
        return has_output ? POLLIN | POLLOUT : events;
    }
    short wanted = tls_events(t->tls);
    /* with TLS a write may wait for reading, and there is always something to be read */
    return has_output && wanted != POLLIN ? POLLIN | POLLOUT : (short)(events | wanted);
}
