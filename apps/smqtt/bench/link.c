/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../say.h"
#include "bench.h"
#include "link_tls.h"

#define OUT_FIRST 4096
#define OUT_MAX   (64u * 1024 * 1024) /* nothing that is bounded by a window comes near */

struct place {
    char name[256];
    struct sockaddr_storage addr;
    socklen_t len;
};
struct sockaddr_list {
    struct place remote[BENCH_ADDRESSES], local[BENCH_ADDRESSES];
    size_t n_remote, n_local;
};

/* ---------------------------------------------------------------- addresses */

static bool resolve_one(const char *host, uint16_t port, int flags, struct place *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    struct addrinfo *list = NULL;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0) {
        say("the address '%s' was not found: %s.", host, gai_strerror(code));
        return false;
    }
    /* IPv4 first: brokers that listen locally often do so there only. */
    const struct addrinfo *best = list;
    for (const struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next) {
        best = ai->ai_family == AF_INET && best->ai_family != AF_INET ? ai : best;
    }
    snprintf(out->name, sizeof out->name, "%s", host);
    memcpy(&out->addr, best->ai_addr, best->ai_addrlen);
    out->len = best->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

/* "a,b,c" */
static bool resolve_list(const char *names, uint16_t port, int flags, struct place *out, size_t *n)
{
    while (names != NULL && *names != '\0') {
        char name[256];
        size_t len = strcspn(names, ",");
        if (len >= sizeof name || *n == BENCH_ADDRESSES) {
            say("the list of addresses is too long: give at most %d.", BENCH_ADDRESSES);
            return false;
        }
        memcpy(name, names, len);
        name[len] = '\0';
        if (!resolve_one(name, port, flags, &out[*n])) {
            return false;
        }
        ++*n;
        names += len + (names[len] == ',' ? 1 : 0);
    }
    return true;
}

bool link_resolve(struct bench *b)
{
    b->addresses = calloc(1, sizeof *b->addresses);
    struct sockaddr_list *a = b->addresses;
    if (link_tls_is_wanted(b) && !link_tls_prepare(b)) {
        return false;
    }
    return a != NULL && resolve_list(b->flags.host, (uint16_t)b->flags.port, 0, a->remote, &a->n_remote) &&
           resolve_list(b->flags.ifaddr, 0, AI_NUMERICHOST, a->local, &a->n_local) && a->n_remote != 0;
}

void link_free(struct bench *b)
{
    link_tls_end();
    free(b->addresses);
    b->addresses = NULL;
}

/* ---------------------------------------------------------------- begin and end */

static void watch(struct client *c, int op, bool out)
{
    struct epoll_event event = {.events = (uint32_t)EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
    c->waits_for_out = out;
    (void)epoll_ctl(c->b->epoll, op, c->fd, &event);
}

static int make_socket(const struct bench *b, const struct place *to, uint32_t number)
{
    int fd = socket(to->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (b->addresses->n_local != 0) {
        const struct place *from = &b->addresses->local[number % b->addresses->n_local];
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, (const struct sockaddr *)&from->addr, from->len) != 0) {
            close(fd);
            return -1;
        }
    }
    return fd;
}

bool link_open(struct client *c)
{
    struct bench *b = c->b;
    const struct place *to = &b->addresses->remote[c->number % b->addresses->n_remote];
    c->fd = make_socket(b, to, c->number);
    if (c->fd < 0) {
        return false;
    }
    if (connect(c->fd, (const struct sockaddr *)&to->addr, to->len) != 0 && errno != EINPROGRESS) {
        close(c->fd);
        c->fd = -1;
        return false;
    }
    c->state = CLIENT_CONNECTING;
    c->wants_close = false;
    c->out_at = c->out_len = c->rest_len = 0;
    watch(c, EPOLL_CTL_ADD, true);
    return true;
}

void link_close(struct client *c)
{
    link_tls_close(c);
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->state = CLIENT_OVER;
}

/* The broker or the network ended it. */
static void lose(struct client *c)
{
    struct bench *b = c->b;
    bool was_up = c->state == CLIENT_READY;
    bool awaited = c->wants_close;
    link_close(c);
    if (was_up) {
        b->n_up--;
        b->n.lost_connections += awaited ? 0 : 1;
    } else {
        b->n_under_way--;
        b->n.failed++;
    }
}

/* ---------------------------------------------------------------- writing */

static bool grow(struct client *c, size_t n)
{
    if (c->out_at != 0) {
        memmove(c->out, c->out + c->out_at, c->out_len - c->out_at);
        c->out_len -= c->out_at;
        c->out_at = 0;
    }
    size_t cap = c->out_cap != 0 ? c->out_cap : OUT_FIRST;
    while (cap - c->out_len < n && cap < OUT_MAX) {
        cap *= 2;
    }
    if (cap == c->out_cap) {
        return cap - c->out_len >= n;
    }
    uint8_t *out = realloc(c->out, cap);
    if (out == NULL) {
        return false;
    }
    c->out = out;
    c->out_cap = cap;
    return cap - c->out_len >= n;
}

uint8_t *link_room(struct client *c, size_t n)
{
    if (c->fd < 0) {
        return NULL;
    }
    if (c->out_cap - c->out_len < n && !grow(c, n)) {
        lose(c);
        return NULL;
    }
    if (!c->is_dirty) {
        c->is_dirty = true;
        c->b->dirty[c->b->n_dirty++] = c;
    }
    uint8_t *at = c->out + c->out_len;
    c->out_len += n;
    return at;
}

void link_count(struct client *c, uint64_t in, uint64_t out)
{
    struct bench_bytes *bytes = &c->b->bytes[c->pub != NULL ? BENCH_PUBLISHERS : BENCH_OTHERS];
    bytes->in += in;
    bytes->out += out;
}

static ssize_t send_some(struct client *c)
{
    const uint8_t *bytes = c->out + c->out_at;
    size_t len = c->out_len - c->out_at;
    if (c->tls != NULL) {
        return link_tls_send(c, bytes, len);
    }
    ssize_t sent = send(c->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    link_count(c, 0, sent > 0 ? (uint64_t)sent : 0);
    return sent;
}

static void flush(struct client *c)
{
    if (c->fd < 0 || c->state == CLIENT_CONNECTING || c->state == CLIENT_SHAKES_HANDS || c->out_len == c->out_at) {
        return;
    }
    ssize_t sent = send_some(c);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
            lose(c);
            return;
        }
        sent = 0;
    }
    c->out_at += (size_t)sent;
    c->last_out_ns = c->b->now_ns;
    bool all = c->out_at == c->out_len;
    if (all) {
        c->out_at = c->out_len = 0;
    }
    if (all == c->waits_for_out) {
        watch(c, EPOLL_CTL_MOD, !all);
    }
}

void link_flush(struct bench *b)
{
    for (uint32_t i = 0; i < b->n_dirty; i++) {
        b->dirty[i]->is_dirty = false;
        flush(b->dirty[i]);
    }
    b->n_dirty = 0;
}

/* ---------------------------------------------------------------- reading */

static bool keep_rest(struct client *c, const uint8_t *bytes, size_t len)
{
    if (len > c->rest_cap) {
        uint8_t *rest = realloc(c->rest, len);
        if (rest == NULL) {
            return false;
        }
        c->rest = rest;
        c->rest_cap = len;
    }
    if (len != 0) {
        memcpy(c->rest, bytes, len);
    }
    c->rest_len = len;
    return true;
}

static ssize_t recv_some(struct client *c, uint8_t *out, size_t cap)
{
    if (c->tls != NULL) {
        return link_tls_recv(c, out, cap);
    }
    ssize_t got = recv(c->fd, out, cap, MSG_DONTWAIT);
    link_count(c, got > 0 ? (uint64_t)got : 0, 0);
    return got;
}

static void read_some(struct client *c)
{
    struct bench *b = c->b;
    if (c->rest_len != 0) {
        memcpy(b->in, c->rest, c->rest_len);
    }
    ssize_t got = recv_some(c, b->in + c->rest_len, b->in_size - c->rest_len);
    if (got <= 0) {
        bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
        if (!later) {
            lose(c);
        }
        return;
    }
    size_t have = c->rest_len + (size_t)got;
    size_t used = wire_take(c, b->in, have);
    if (c->fd >= 0 && (have - used >= b->in_size || !keep_rest(c, b->in + used, have - used))) {
        lose(c); /* a packet larger than all that was asked for */
    }
}

static void shake_hands(struct client *c)
{
    enum link_tls_hands hands = link_tls_shake(c);
    if (hands == LINK_TLS_FAILED) {
        lose(c);
    } else if (hands != LINK_TLS_DONE) {
        watch(c, EPOLL_CTL_MOD, hands == LINK_TLS_WRITES);
    } else {
        c->state = CLIENT_AWAITS_CONNACK;
        wire_connect(c);
    }
}

static void connected(struct client *c)
{
    int cause = 0;
    socklen_t len = sizeof cause;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &cause, &len) != 0 || cause != 0) {
        lose(c);
        return;
    }
    if (link_tls_is_wanted(c->b)) {
        const struct sockaddr_list *a = c->b->addresses;
        c->state = CLIENT_SHAKES_HANDS;
        if (!link_tls_open(c, a->remote[c->number % a->n_remote].name)) {
            lose(c);
            return;
        }
        shake_hands(c);
        return;
    }
    c->state = CLIENT_AWAITS_CONNACK;
    wire_connect(c);
}

void link_event(struct client *c, uint32_t events)
{
    if (c->fd < 0) {
        return;
    }
    if (c->state == CLIENT_CONNECTING && (events & (uint32_t)(EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
        connected(c);
        return;
    }
    if (c->state == CLIENT_SHAKES_HANDS) {
        shake_hands(c);
        return;
    }
    if ((events & (uint32_t)(EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        do {
            read_some(c);
        } while (c->tls != NULL && c->fd >= 0 && link_tls_has_more(c));
    }
    if ((events & (uint32_t)EPOLLOUT) != 0) {
        flush(c);
    }
}
