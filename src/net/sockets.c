/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG    4096 /* the kernel lowers it to its own limit */
#define PORT_TRIES 16   /* of a free port that all addresses have */
#define PRIVILEGED 1024

struct opener {
    const struct smq_listener_config *config;
    const struct smq_sockets_how *how;
    struct smq_sockets *sets;
    struct smq_why *why;
};

union address {
    struct sockaddr any;
    struct sockaddr_storage room;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_un local;
};

void smq_sockets_close(struct smq_sockets *set)
{
    for (unsigned i = 0; i < set->n; i++) {
        close(set->at[i].fd);
    }
    set->n = 0;
}

static void close_all(const struct opener *o)
{
    for (unsigned i = 0; i < o->how->loops; i++) {
        smq_sockets_close(&o->sets[i]);
    }
}

static uint16_t bound_port(int fd)
{
    union address addr = {.any.sa_family = AF_UNSPEC};
    socklen_t len = sizeof addr;
    if (getsockname(fd, &addr.any, &len) != 0) {
        return 0;
    }
    return addr.any.sa_family == AF_INET6 ? ntohs(addr.six.sin6_port) : ntohs(addr.four.sin_port);
}

/* ---------------------------------------------------------------- one address */

static void set_on(int fd, int level, int option)
{
    int on = 1;
    setsockopt(fd, level, option, &on, sizeof on);
}

static int bind_address(const struct opener *o, int fd, const union address *addr, socklen_t len, uint16_t port)
{
    bool raise = port != 0 && port < PRIVILEGED && o->how->privilege != NULL;
    if (raise) {
        o->how->privilege(o->how->ctx, true);
    }
    int bound = bind(fd, &addr->any, len);
    int cause = errno;
    if (raise) {
        o->how->privilege(o->how->ctx, false);
    }
    errno = cause;
    return bound;
}

/* A socket that listens on one address; -1 with errno. The first one of a port is bound without SO_REUSEPORT, so that
 * the kernel refuses it when another program has the port; those of the other loops then join it. */
static int open_one(const struct opener *o, const union address *addr, socklen_t len, bool join)
{
    uint16_t port = addr->any.sa_family == AF_INET6 ? ntohs(addr->six.sin6_port) : ntohs(addr->four.sin_port);
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    set_on(fd, SOL_SOCKET, SO_REUSEADDR);
    if (join) {
        set_on(fd, SOL_SOCKET, SO_REUSEPORT);
    }
    if (addr->any.sa_family == AF_INET6) {
        set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    }
    if (bind_address(o, fd, addr, len, port) == 0) {
        set_on(fd, SOL_SOCKET, SO_REUSEPORT);
        if (listen(fd, BACKLOG) == 0) {
            return fd;
        }
    }
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

static bool add(struct smq_sockets *set, int fd, uint16_t port, bool is_v6)
{
    if (set->n == SMQ_HOST_SOCKETS) {
        close(fd);
        errno = EMFILE;
        return false;
    }
    set->at[set->n++] = (struct smq_socket){fd, port, is_v6};
    return true;
}

/* One address in every set; false with errno. */
static bool open_address(const struct opener *o, const union address *addr, socklen_t len)
{
    for (unsigned i = 0; i < o->how->loops; i++) {
        int fd = open_one(o, addr, len, i != 0);
        if (fd < 0 && i == 0 && errno == EADDRINUSE && o->how->shared) {
            fd = open_one(o, addr, len, true); /* a wider address of our own that is to be closed has the port */
        }
        if (fd < 0 || !add(&o->sets[i], fd, bound_port(fd), addr->any.sa_family == AF_INET6)) {
            return false;
        }
    }
    return true;
}

static void set_port(union address *addr, uint16_t port)
{
    if (addr->any.sa_family == AF_INET6) {
        addr->six.sin6_port = htons(port);
    } else {
        addr->four.sin_port = htons(port);
    }
}

static bool has_family(const struct opener *o, int family)
{
    enum smq_ip_family want = o->config->family;
    return (family == AF_INET && want != SMQ_IP_V6) || (family == AF_INET6 && want != SMQ_IP_V4);
}

static smqtt_err fail_port(const struct opener *o, const char *host, uint16_t port)
{
    const char *mend = "";
    if (errno == EADDRINUSE) {
        mend = "; another program uses it, choose another port or end that program";
    } else if (errno == EACCES) {
        mend = "; ports below 1024 need the capability cap_net_bind_service";
    }
    return smq_why_set(o->why, SMQTT_E_IO, "Cannot listen on %s%sport %u: %s%s.", host != NULL ? host : "",
                       host != NULL ? ", " : "", (unsigned)port, strerror(errno), mend);
}

/* ---------------------------------------------------------------- hosts and interfaces */

/* A family that this machine does not have is left out. */
static smqtt_err open_list(const struct opener *o, const char *host, const struct addrinfo *list, uint16_t port)
{
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        union address addr = {.any.sa_family = AF_UNSPEC};
        if (!has_family(o, ai->ai_family) || ai->ai_addrlen > sizeof addr) {
            continue;
        }
        memcpy(&addr, ai->ai_addr, ai->ai_addrlen);
        set_port(&addr, port);
        if (open_address(o, &addr, ai->ai_addrlen)) {
            continue;
        }
        bool absent =
            errno == EAFNOSUPPORT || (errno == EADDRNOTAVAIL && ai->ai_family == AF_INET6 && o->sets[0].n != 0);
        if (!absent) {
            return fail_port(o, host, port);
        }
    }
    return SMQTT_OK;
}

static smqtt_err open_host(const struct opener *o, const char *host, uint16_t port)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int code = getaddrinfo(host, host == NULL ? "0" : NULL, &hints, &list);
    if (code != 0) {
        return smq_why_set(o->why, SMQTT_E_IO, "Cannot find the address \"%s\" to listen on: %s.",
                           host != NULL ? host : "*", code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code));
    }
    smqtt_err err = open_list(o, host, list, port);
    freeaddrinfo(list);
    return err;
}

/* All addresses that the interface has now. */
static smqtt_err open_device(const struct opener *o, uint16_t port)
{
    const char *device = o->config->bind_device;
    struct ifaddrs *all = NULL;
    smqtt_err err = SMQTT_OK;
    if (getifaddrs(&all) != 0) {
        return smq_why_set(o->why, SMQTT_E_IO, "Cannot see the interfaces: %s.", strerror(errno));
    }
    for (const struct ifaddrs *at = all; at != NULL && err == SMQTT_OK; at = at->ifa_next) {
        if (at->ifa_addr == NULL || strcmp(at->ifa_name, device) != 0 || !has_family(o, at->ifa_addr->sa_family)) {
            continue;
        }
        union address addr = {.any.sa_family = AF_UNSPEC};
        bool six = at->ifa_addr->sa_family == AF_INET6;
        socklen_t len = six ? sizeof addr.six : sizeof addr.four;
        memcpy(&addr, at->ifa_addr, len);
        set_port(&addr, port);
        if (!open_address(o, &addr, len)) {
            err = fail_port(o, device, port);
        }
    }
    freeifaddrs(all);
    if (err == SMQTT_OK && o->sets[0].n == 0) {
        return smq_why_set(o->why, SMQTT_E_IO,
                           "Cannot listen on the interface \"%s\": there is none, or it has no fitting address.",
                           device);
    }
    return err;
}

/* All sockets of the listener on this port. */
static smqtt_err open_port(const struct opener *o, uint16_t port)
{
    smqtt_err err = SMQTT_OK;
    if (o->config->local_only) {
        if (has_family(o, AF_INET)) {
            err = open_host(o, "127.0.0.1", port);
        }
        if (err == SMQTT_OK && has_family(o, AF_INET6)) {
            err = open_host(o, "::1", port);
        }
    } else if (o->config->bind_device != NULL) {
        err = open_device(o, port);
    } else {
        err = open_host(o, o->config->address, port);
    }
    if (err == SMQTT_OK && o->sets[0].n == 0) {
        err = smq_why_set(o->why, SMQTT_E_IO, "Cannot listen on port %u: no address of this machine fits.",
                          (unsigned)port);
    }
    if (err != SMQTT_OK) {
        close_all(o);
    }
    return err;
}

/* Port 0: the system chooses one, and all addresses try it. */
static smqtt_err open_free_port(const struct opener *o)
{
    smqtt_err err = SMQTT_E_IO;
    for (int i = 0; i < PORT_TRIES && err != SMQTT_OK; i++) {
        union address any = {.four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
        int probe = open_one(o, &any, sizeof any.four, false);
        if (probe < 0) {
            return smq_why_set(o->why, SMQTT_E_IO, "Cannot find a free port: %s.", strerror(errno));
        }
        uint16_t port = bound_port(probe);
        close(probe);
        err = open_port(o, port);
    }
    return err;
}

/* ---------------------------------------------------------------- Unix sockets */

static smqtt_err fail_path(const struct opener *o, const char *mend)
{
    return smq_why_set(o->why, SMQTT_E_IO, "Cannot listen on the Unix socket %s: %s%s.", o->config->unix_path,
                       strerror(errno), mend);
}

/* Removes the file of a program that has died; false with errno when there is anything else. */
static bool clear_path(const union address *addr, socklen_t len)
{
    struct stat st;
    if (lstat(addr->local.sun_path, &st) != 0) {
        return errno == ENOENT;
    }
    if (!S_ISSOCK(st.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool dead = connect(fd, &addr->any, len) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!dead) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(addr->local.sun_path) == 0;
}

static int bind_path(const union address *addr, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    /* Nobody can connect before listen, so the mode is right from the first connection on. */
    if (bind(fd, &addr->any, len) == 0 && chmod(addr->local.sun_path, 0660) == 0 && listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int cause = errno;
    close(fd);
    errno = cause;
    return -1;
}

static smqtt_err open_path(const struct opener *o)
{
    const char *path = o->config->unix_path;
    union address addr = {.local.sun_family = AF_UNIX};
    size_t size = strlen(path) + 1;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    if (size > sizeof addr.local.sun_path) {
        return smq_why_set(o->why, SMQTT_E_IO, "The path %s is too long for a Unix socket: it may have %zu bytes.",
                           path, sizeof addr.local.sun_path - 1);
    }
    memcpy(addr.local.sun_path, path, size);
    if (!clear_path(&addr, len)) {
        return fail_path(o, errno == EADDRINUSE ? "; another program uses it, choose another path or end that program"
                                                : "");
    }
    int fd = bind_path(&addr, len);
    if (fd < 0) {
        return fail_path(o, "");
    }
    for (unsigned i = 0; i < o->how->loops; i++) {
        int own = i == 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (own < 0 || !add(&o->sets[i], own, 0, false)) {
            close_all(o);
            unlink(path);
            return fail_path(o, "");
        }
    }
    return SMQTT_OK;
}

smqtt_err smq_sockets_open(const struct smq_listener_config *config, const struct smq_sockets_how *how,
                           struct smq_sockets *sets, struct smq_why *why)
{
    struct opener o = {config, how, sets, why};
    for (unsigned i = 0; i < how->loops; i++) {
        sets[i].n = 0;
    }
    if (config->unix_path != NULL) {
        return open_path(&o);
    }
    return config->port != 0 ? open_port(&o, config->port) : open_free_port(&o);
}
