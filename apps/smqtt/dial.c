/* SPDX-License-Identifier: Apache-2.0 */
#include "dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/clock.h"
#include "run.h"
#include "say.h"

bool dial_wait(int fd, short events, smqtt_ms until)
{
    for (;;) {
        smqtt_ms now = smq_clock_now().mono;
        if (now >= until) {
            errno = ETIMEDOUT;
            return false;
        }
        struct pollfd p = {fd, events, 0};
        int n = run_poll(&p, 1, (int)(until - now < 60000 ? until - now : 60000));
        if (n > 0) {
            return true;
        }
        if (n < 0 && (errno != EINTR || run_is_interrupted())) {
            return false;
        }
    }
}

/** Binds the socket to an address of the same family. */
static bool bind_to(int fd, int family, const char *address)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (getaddrinfo(address, NULL, &hints, &list) != 0) {
        errno = EADDRNOTAVAIL;
        return false;
    }
    bool ok = bind(fd, list->ai_addr, list->ai_addrlen) == 0;
    int saved = errno;
    freeaddrinfo(list);
    errno = saved;
    return ok;
}

static int fail(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/** One address: -1 with errno. */
static int connect_one(const struct addrinfo *ai, const char *bind_address, smqtt_ms until)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind_address != NULL && !bind_to(fd, ai->ai_family, bind_address)) {
        return fail(fd);
    }
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
        return fd;
    }
    int error = 0;
    socklen_t len = sizeof(error);
    if (errno != EINPROGRESS || !dial_wait(fd, POLLOUT, until)) {
        return fail(fd);
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0) {
        return fd;
    }
    errno = error;
    return fail(fd);
}

int dial_tcp(const char *host, const char *port, const char *bind_address, const char *what, smqtt_ms until)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    int failed = getaddrinfo(host, port, &hints, &list);
    if (failed != 0) {
        say("the host '%s' of the %s is not found (%s): check its name.", host, what, gai_strerror(failed));
        return -1;
    }
    int fd = -1;
    errno = 0;
    for (const struct addrinfo *ai = list; ai != NULL && fd < 0 && !run_is_interrupted(); ai = ai->ai_next) {
        fd = connect_one(ai, bind_address, until);
    }
    if (fd < 0 && !run_is_interrupted()) {
        say("no connection to %s port %s (%s): is the %s running there?", host, port, strerror(errno), what);
    }
    freeaddrinfo(list);
    return fd;
}

int dial_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) == 0 || strlen(path) >= sizeof(address.sun_path)) {
        say("the path '%s' of --unix is empty or too long for a socket: give another.", path);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        return fd;
    }
    say("no connection to the socket %s (%s): is the broker listening there?", path, strerror(errno));
    return fd >= 0 ? fail(fd) : -1;
}
