/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/loop_parts.h"

#define BATCH    64 /* accepted per turn: those who are in shall not wait */
#define RETRY_MS 1000
#define SAY_MS   10000

void smq_listener_peer_text(int fd, const struct smq_listener_config *config, char text[SMQ_PEER_TEXT])
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (config->unix_path != NULL) {
        snprintf(text, SMQ_PEER_TEXT, "%.*s:0", SMQ_PEER_TEXT - 3, config->unix_path);
        return;
    }
    if (getpeername(fd, (struct sockaddr *)&addr, &len) != 0 ||
        getnameinfo((struct sockaddr *)&addr, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(text, SMQ_PEER_TEXT, "unknown");
        return;
    }
    bool six = addr.ss_family == AF_INET6;
    snprintf(text, SMQ_PEER_TEXT, "%s%.45s%s:%.5s", six ? "[" : "", host, six ? "]" : "", port);
}

/* ---------------------------------------------------------------- open and close */

/* Several loops wait on the same Unix socket: one of them is enough. */
static bool watch(struct smq_loop *loop, unsigned number, int op)
{
    const struct smq_listen_socket *l = &loop->listeners[number];
    bool exclusive = l->site->listener->unix_path != NULL;
    struct epoll_event event = {.events = (uint32_t)EPOLLIN | (exclusive ? (uint32_t)EPOLLEXCLUSIVE : 0)};
    event.data.u64 = SMQ_EVENT_LISTENER | number;
    return epoll_ctl(loop->epoll, op, l->fd, &event) == 0;
}

static void add_socket(struct smq_loop *loop, const struct smq_socket *s, struct smq_site *site)
{
    unsigned number = 0;
    while (number < loop->n_listeners && loop->listeners[number].fd >= 0) {
        number++;
    }
    if (number < SMQ_LISTEN_SOCKETS) {
        loop->listeners[number] = (struct smq_listen_socket){.fd = s->fd, .port = s->port, .site = site};
        if (watch(loop, number, EPOLL_CTL_ADD)) {
            loop->n_listeners = number == loop->n_listeners ? number + 1 : loop->n_listeners;
            return;
        }
        loop->listeners[number].fd = -1;
    }
    smq_log(loop->env.log, SMQ_LOG_ERR, "A socket of port %u is not served: there is no room for it.",
            (unsigned)s->port);
    close(s->fd);
}

void smq_loop_listen(struct smq_loop *loop, const struct smq_opened *opened)
{
    for (unsigned i = 0; i < opened->sockets.n; i++) {
        add_socket(loop, &opened->sockets.at[i], opened->site);
    }
}

static void close_socket(struct smq_listen_socket *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    *l = (struct smq_listen_socket){.fd = -1};
}

void smq_listener_close_all(struct smq_loop *loop)
{
    for (unsigned i = 0; i < loop->n_listeners; i++) {
        close_socket(&loop->listeners[i]);
    }
    loop->n_listeners = 0;
}

void smq_listener_configure(struct smq_loop *loop, struct smq_settings *settings)
{
    for (unsigned i = 0; i < loop->n_listeners; i++) {
        struct smq_listen_socket *l = &loop->listeners[i];
        struct smq_site *site = l->fd >= 0 ? smq_settings_find(settings, l->site->listener) : NULL;
        if (site != NULL) {
            l->site = site;
        } else {
            close_socket(l);
        }
    }
}

/* ---------------------------------------------------------------- accept */

static void take(struct smq_loop *loop, const struct smq_listen_socket *l, int fd)
{
    char peer[SMQ_PEER_TEXT];
    smq_listener_peer_text(fd, l->site->listener, peer);
    if (loop->settings->config->log_connections) {
        smq_log(loop->env.log, SMQ_LOG_NOTICE, "New connection from %s on port %u.", peer, (unsigned)l->port);
    }
    struct smq_transport *t = NULL;
    if (smq_site_enter(l->site)) {
        smq_settings_ref(l->site->settings);
        t = smq_transport_new(loop, fd, l->site, smq_span_str(peer));
    } else {
        close(fd);
    }
    if (t == NULL) {
        smq_log(loop->env.log, SMQ_LOG_NOTICE,
                "Connection from %s on port %u refused: the limit of connections or of memory is reached.", peer,
                (unsigned)l->port);
        return;
    }
    /* CONNECT is often there already, but it is not read here: that of a connection which was accepted before may have
     * come meanwhile, of the same client. epoll tells of both in the order in which they came. */
}

/* Says once in a while, not for each, that connections were refused. */
static void say_refused(struct smq_loop *loop, int cause)
{
    loop->refused++;
    if (loop->refused_said != 0 && loop->now.mono < loop->refused_said + SAY_MS) {
        return;
    }
    smq_log(loop->env.log, SMQ_LOG_WARN, "Refused %llu connections: %s; raise the limit of open files (ulimit -n).",
            (unsigned long long)loop->refused, strerror(cause));
    loop->refused = 0;
    loop->refused_said = loop->now.mono;
}

/* No descriptor is left. Gives up the reserve to take the connection and close it, so that the backlog does not keep
 * the loop awake; when that fails the listener rests for a while. */
static bool refuse_one(struct smq_loop *loop, unsigned number, int cause)
{
    struct smq_listen_socket *l = &loop->listeners[number];
    say_refused(loop, cause);
    if (loop->reserve >= 0) {
        close(loop->reserve);
        loop->reserve = -1;
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            close(fd);
        }
        loop->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            return true;
        }
    } else {
        loop->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (epoll_ctl(loop->epoll, EPOLL_CTL_DEL, l->fd, NULL) == 0) {
        l->closed_until = loop->now.mono + RETRY_MS;
    }
    return false;
}

static void accept_some(struct smq_loop *loop, unsigned number)
{
    struct smq_listen_socket *l = &loop->listeners[number];
    for (unsigned i = 0; i < BATCH; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            take(loop, l, fd);
            continue;
        }
        int cause = errno;
        if (cause == EAGAIN || cause == EWOULDBLOCK) {
            return;
        }
        bool starved = cause == EMFILE || cause == ENFILE || cause == ENOMEM || cause == ENOBUFS;
        if (starved && !refuse_one(loop, number, cause)) {
            return;
        }
        /* Others (ECONNABORTED, EINTR, network errors of that one connection) concern the next no more. */
    }
}

bool smq_listener_accept_ready(struct smq_loop *loop)
{
    bool any = false;
    for (unsigned i = 0; i < loop->n_listeners; i++) {
        if (loop->listeners[i].ready && loop->listeners[i].fd >= 0) {
            loop->listeners[i].ready = false;
            accept_some(loop, i);
            any = true;
        }
    }
    return any;
}

void smq_listener_tick(struct smq_loop *loop)
{
    for (unsigned i = 0; i < loop->n_listeners; i++) {
        struct smq_listen_socket *l = &loop->listeners[i];
        if (l->closed_until != 0 && l->closed_until <= loop->now.mono) {
            l->closed_until = watch(loop, i, EPOLL_CTL_ADD) ? 0 : loop->now.mono + RETRY_MS;
        }
    }
}

smqtt_ms smq_listener_deadline(const struct smq_loop *loop)
{
    smqtt_ms at = SMQTT_NEVER;
    for (unsigned i = 0; i < loop->n_listeners; i++) {
        smqtt_ms until = loop->listeners[i].closed_until;
        at = until != 0 && until < at ? until : at;
    }
    return at;
}
