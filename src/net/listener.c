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

#define BACKLOG    4096 /* the kernel lowers it to its own limit */
#define BATCH      64   /* accepted per turn: those who are in shall not wait */
#define PORT_TRIES 16   /* of a free port that both families have */
#define RETRY_MS   1000
#define SAY_MS     10000

void smq_listener_peer_text(int fd, char text[SMQ_PEER_TEXT])
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getpeername(fd, (struct sockaddr *)&addr, &len) != 0 ||
        getnameinfo((struct sockaddr *)&addr, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(text, SMQ_PEER_TEXT, "unknown");
        return;
    }
    bool six = addr.ss_family == AF_INET6;
    snprintf(text, SMQ_PEER_TEXT, "%s%.45s%s:%.5s", six ? "[" : "", host, six ? "]" : "", port);
}

/* ---------------------------------------------------------------- open */

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        return 0;
    }
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&addr;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)&addr;
    return ntohs(addr.ss_family == AF_INET6 ? six->sin6_port : four->sin_port);
}

/* A socket that listens on one address; -1 with errno. */
static int open_one(const struct smq_loop *loop, const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (loop->env.count > 1) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (ai->ai_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

static bool watch(struct smq_loop *loop, unsigned number, int op)
{
    struct epoll_event event = {.events = EPOLLIN};
    event.data.u64 = SMQ_EVENT_LISTENER | number;
    return epoll_ctl(loop->epoll, op, loop->listeners[number].fd, &event) == 0;
}

static bool add_socket(struct smq_loop *loop, int fd, const struct smq_listener_config *config)
{
    unsigned number = loop->n_listeners;
    if (number == SMQ_LISTEN_SOCKETS) {
        errno = EMFILE;
        return false;
    }
    loop->listeners[number] = (struct smq_listen_socket){.fd = fd, .port = bound_port(fd), .config = config};
    if (!watch(loop, number, EPOLL_CTL_ADD)) {
        return false;
    }
    loop->n_listeners++;
    return true;
}

/* Names of addresses to bind to; NULL with a sentence. */
static struct addrinfo *resolve(const char *host, uint16_t port, struct smq_why *why)
{
    char service[8];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0) {
        smq_why_set(why, SMQTT_E_IO, "Cannot find the address \"%s\" to listen on: %s.", host != NULL ? host : "*",
                    code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
        return NULL;
    }
    return list;
}

/* Opens all sockets of one host; *fds gets them. A family that this machine does not have is left out. */
static int open_host(struct smq_loop *loop, const char *host, uint16_t port, int *fds, int n, int max,
                     struct smq_why *why)
{
    struct addrinfo *list = resolve(host, port, why);
    if (list == NULL) {
        return -1;
    }
    for (const struct addrinfo *ai = list; ai != NULL && n >= 0 && n < max; ai = ai->ai_next) {
        if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6) {
            continue;
        }
        int fd = open_one(loop, ai);
        if (fd >= 0) {
            fds[n++] = fd;
            continue;
        }
        bool absent = errno == EAFNOSUPPORT || (errno == EADDRNOTAVAIL && ai->ai_family == AF_INET6 && n != 0);
        if (!absent) {
            smq_why_set(why, SMQTT_E_IO, "Cannot listen on %s%sport %u: %s%s.", host != NULL ? host : "",
                        host != NULL ? ", " : "", (unsigned)port, strerror(errno),
                        errno == EADDRINUSE ? "; another program uses it, choose another port or end that program"
                                            : "");
            while (n > 0) {
                close(fds[--n]);
            }
            n = -1;
        }
    }
    freeaddrinfo(list);
    return n;
}

#define HOST_SOCKETS 8

/* All sockets of a listener on this port; their number, or -1 with a sentence. */
static int open_port(struct smq_loop *loop, const struct smq_listener_config *config, uint16_t port, int *fds,
                     struct smq_why *why)
{
    if (!config->local_only) {
        return open_host(loop, config->address, port, fds, 0, HOST_SOCKETS, why);
    }
    int n = open_host(loop, "127.0.0.1", port, fds, 0, HOST_SOCKETS, why);
    return n < 0 ? n : open_host(loop, "::1", port, fds, n, HOST_SOCKETS, why);
}

/* Port 0: the system chooses one for the first socket, and the others try the same. */
static int open_free_port(struct smq_loop *loop, const struct smq_listener_config *config, int *fds,
                          struct smq_why *why)
{
    int n = -1;
    for (int i = 0; i < PORT_TRIES && n < 0; i++) {
        struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct addrinfo ai = {.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&any, .ai_addrlen = sizeof any};
        int probe = open_one(loop, &ai);
        if (probe < 0) {
            smq_why_set(why, SMQTT_E_IO, "Cannot find a free port: %s.", strerror(errno));
            return -1;
        }
        uint16_t port = bound_port(probe);
        close(probe);
        n = open_port(loop, config, port, fds, why);
    }
    return n;
}

smqtt_err smq_loop_listen(struct smq_loop *loop, const struct smq_listener_config *config, uint16_t *port,
                          struct smq_why *why)
{
    int fds[HOST_SOCKETS];
    int n =
        config->port != 0 ? open_port(loop, config, config->port, fds, why) : open_free_port(loop, config, fds, why);
    if (n < 0) {
        return SMQTT_E_IO;
    }
    bool ok = n > 0;
    for (int i = 0; i < n; i++) {
        ok = ok && add_socket(loop, fds[i], config);
        if (!ok) {
            close(fds[i]);
        }
    }
    if (!ok) {
        return smq_why_set(why, SMQTT_E_IO, "Cannot listen on port %u: no address of this machine fits.",
                           (unsigned)config->port);
    }
    for (unsigned i = loop->n_listeners - (unsigned)n; i < loop->n_listeners; i++) {
        struct sockaddr_storage addr;
        socklen_t len = sizeof addr;
        bool six =
            getsockname(loop->listeners[i].fd, (struct sockaddr *)&addr, &len) == 0 && addr.ss_family == AF_INET6;
        smq_log(loop->env.log, SMQ_LOG_INFO, "Opening %s listen socket on port %u.", six ? "ipv6" : "ipv4",
                (unsigned)loop->listeners[i].port);
    }
    if (port != NULL) {
        *port = loop->listeners[loop->n_listeners - 1].port;
    }
    return SMQTT_OK;
}

void smq_listener_close_all(struct smq_loop *loop)
{
    for (unsigned i = 0; i < loop->n_listeners; i++) {
        close(loop->listeners[i].fd);
    }
    loop->n_listeners = 0;
}

/* ---------------------------------------------------------------- accept */

static void take(struct smq_loop *loop, const struct smq_listen_socket *l, int fd)
{
    char peer[SMQ_PEER_TEXT];
    smq_listener_peer_text(fd, peer);
    if (loop->config->log_connections) {
        smq_log(loop->env.log, SMQ_LOG_NOTICE, "New connection from %s on port %u.", peer, (unsigned)l->port);
    }
    struct smq_transport *t = smq_transport_new(loop, fd, l->config, smq_span_str(peer));
    if (t == NULL) {
        smq_log(loop->env.log, SMQ_LOG_NOTICE,
                "Connection from %s on port %u refused: the limit of connections or of memory is reached.", peer,
                (unsigned)l->port);
        return;
    }
    /* CONNECT is often there already, or the end of one who only looked whether the port is open. */
    smq_transport_event(t, EPOLLIN);
    if (t->lost) {
        smq_transport_service(t);
    }
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

void smq_listener_accept(struct smq_loop *loop, unsigned number)
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
