/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of the soak's clients: bytes in and out, cuts of all kinds, and coming back. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "soak.h"

enum { TAKEN_OVER = 0x8E };

enum cut { CUT_DISCONNECT, CUT_CLOSE, CUT_RESET, CUT_HALF, CUT_HALF_RESET, CUT_TAKEOVER, CUT_KINDS };

void bytes_add(struct bytes *b, const void *data, size_t len)
{
    if (b->cap - b->len < len) {
        size_t cap = (b->len + len) * 2;
        uint8_t *at = realloc(b->at, cap);
        if (at == NULL) {
            abort();
        }
        b->at = at;
        b->cap = cap;
    }
    memcpy(b->at + b->len, data, len);
    b->len += len;
}

void bytes_drop(struct bytes *b, size_t len)
{
    b->len -= len;
    memmove(b->at, b->at + len, b->len);
}

void link_init(struct soak *s, struct client *c, const char *id, enum smqtt_version version)
{
    *c = (struct client){.s = s, .version = version, .fd = -1, .old_fd = -1, .server_max = IDS};
    snprintf(c->id, sizeof c->id, "%s", id);
    c->rng = s->f.seed ^ s->tag;
    for (const char *at = id; *at != '\0'; at++) {
        c->rng = (c->rng + (uint8_t)*at) * 0x9E3779B97F4A7C15u;
    }
    if (s->n_clients == CLIENTS_MAX) {
        abort();
    }
    s->clients[s->n_clients++] = c;
}

static int dial(const struct soak *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->f.port)};
    inet_pton(AF_INET, s->f.host, &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && s->f.mortal && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    if (fd < 0 || (!s->f.mortal && connect(fd, (struct sockaddr *)&to, sizeof to) != 0)) {
        perror("soak: connect");
        exit(2);
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void close_hard(int fd)
{
    struct linger none = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(fd);
}

/* The first bytes of a connection, and no more of it. */
static void half_connect(struct client *c)
{
    wire_connect(c, false);
    int fd = dial(c->s);
    if (fd < 0) {
        c->out.len = 0;
        return;
    }
    size_t len = 1 + chance(&c->rng, c->out.len - 1);
    if (send(fd, c->out.at, len, MSG_NOSIGNAL) < 0) {
        c->s->n.closed++;
    }
    chance(&c->rng, 2) != 0 ? close_hard(fd) : (void)close(fd);
    c->out.len = 0;
}

static uint32_t next_cut(struct client *c)
{
    if (!c->s->is_loading || c->s->f.cut == 0 || c->asleep || c->clean) {
        return 0;
    }
    if (chance(&c->rng, 8) == 0) {
        return 1; /* behind CONNECT, or behind CONNACK */
    }
    return 1 + (uint32_t)chance(&c->rng, 2u * c->s->f.cut);
}

void link_begin(struct client *c)
{
    if (c->until_cut != 0 && chance(&c->rng, 8) == 0) {
        half_connect(c);
    }
    c->back_ns = 0;
    c->in.len = c->out.len = 0;
    c->fd = dial(c->s);
    if (c->fd < 0) {
        c->back_ns = c->s->now_ns + 10000000;
        return;
    }
    c->state = ASKED;
    c->until_cut = next_cut(c);
    c->polls_out = false;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(c->s->epoll, EPOLL_CTL_ADD, c->fd, &e);
    wire_connect(c, c->clean);
    if (c->until_cut == 1 && chance(&c->rng, 2) == 0) {
        c->goes_soon = true;
    }
}

void link_close(struct client *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    if (c->old_fd >= 0) {
        close(c->old_fd);
    }
    c->fd = c->old_fd = -1;
    c->state = AWAY;
    c->goes_soon = false;
    c->in.len = c->out.len = 0;
}

static void send_some(struct client *c, size_t len)
{
    while (len != 0) {
        ssize_t n = send(c->fd, c->out.at, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        bytes_drop(&c->out, (size_t)n);
        len -= (size_t)n;
    }
}

/* A packet of which only a part leaves: one of those that wait, else a message that is never sent whole. */
static void send_half(struct client *c)
{
    if (c->out.len != 0 && chance(&c->rng, 2) == 0) {
        send_some(c, chance(&c->rng, c->out.len));
        return;
    }
    send_some(c, c->out.len);
    if (c->out.len == 0) {
        wire_publish(c, 0, 0, HALF_NUMBER, 1, IDS, false);
        send_some(c, chance(&c->rng, c->out.len));
    }
}

void link_cut(struct client *c)
{
    enum cut kind = (enum cut)chance(&c->rng, CUT_KINDS);
    kind = c->state != UP && kind == CUT_DISCONNECT ? CUT_CLOSE : kind;
    c->s->n.cuts[kind]++;
    c->n_late += c->state == ASKED ? 1 : 0;
    c->goes_soon = false;
    switch (kind) {
    case CUT_DISCONNECT:
        wire_disconnect(c, false);
        send_some(c, c->out.len);
        break;
    case CUT_HALF:
    case CUT_HALF_RESET:
        send_half(c);
        break;
    case CUT_CLOSE:
    case CUT_RESET:
    case CUT_TAKEOVER:
        if (chance(&c->rng, 2) != 0) {
            send_some(c, c->out.len);
        }
        break;
    case CUT_KINDS:
        break;
    }
    int fd = c->fd;
    epoll_ctl(c->s->epoll, EPOLL_CTL_DEL, fd, NULL);
    c->fd = -1;
    if (c->old_fd >= 0) {
        close(c->old_fd);
        c->old_fd = -1;
    }
    if (kind == CUT_TAKEOVER) {
        c->old_fd = fd;
    } else if (kind == CUT_RESET || kind == CUT_HALF_RESET) {
        close_hard(fd);
    } else {
        close(fd);
    }
    c->state = AWAY;
    c->in.len = c->out.len = 0;
    uint64_t pause = chance(&c->rng, 4) == 0 ? 0 : chance(&c->rng, chance(&c->rng, 16) == 0 ? 300 : 15);
    c->back_ns = c->s->now_ns + pause * 1000000 + 1;
}

void link_end(struct client *c)
{
    if (c->is_over) {
        return;
    }
    c->is_over = true;
    c->back_ns = 0;
    if (c->version != SMQTT_V5 && !c->clean) {
        /* In version 3 a session ends when the client comes once more and says so [MQTT-3.1.2-6]. */
        link_close(c);
        c->asleep = false;
        c->clean = true;
        link_begin(c);
        return;
    }
    if (c->asleep) {
        link_close(c);
        c->asleep = false;
    }
    if (c->state == AWAY) {
        link_begin(c);
    }
    if (c->state == ASKED) {
        return; /* it ends when CONNACK has come */
    }
    wire_disconnect(c, true);
    c->is_awaited = true;
    link_flush(c);
}

void link_flush(struct client *c)
{
    while (c->out.len != 0 && c->fd >= 0) {
        ssize_t n = send(c->fd, c->out.at, c->out.len, MSG_NOSIGNAL);
        if (n <= 0) {
            break; /* what is wrong with it is found when it is read */
        }
        bytes_drop(&c->out, (size_t)n);
    }
    bool wants = c->out.len != 0;
    if (c->fd >= 0 && wants != c->polls_out) {
        struct epoll_event e = {.events = EPOLLIN | (wants ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
        e.events = c->asleep && c->state == UP ? e.events & ~(uint32_t)EPOLLIN : e.events;
        epoll_ctl(c->s->epoll, EPOLL_CTL_MOD, c->fd, &e);
        c->polls_out = wants;
    }
}

static void lost(struct client *c)
{
    if (c->s->f.mortal && !c->is_awaited) {
        c->back_ns = c->s->now_ns + 1000000 * (1 + chance(&c->rng, 30));
    } else if (c->n_late != 0 && c->state == UP && (c->version != SMQTT_V5 || c->reason == TAKEN_OVER)) {
        /* The CONNECT of a connection before was still on its way from one worker to another. */
        c->s->n.displaced++;
        c->n_late--;
        c->back_ns = c->is_over ? 0 : c->s->now_ns + 1;
    } else if (!c->is_awaited) {
        c->s->n.closed++;
        say(c->s, "%s: the broker closed the connection (%s, reason 0x%02x).", c->id,
            c->state == UP ? "up" : "CONNECT sent", c->reason);
        c->back_ns = c->is_over ? 0 : c->s->now_ns + 50000000;
    }
    link_close(c);
}

void link_event(struct client *c, uint32_t events)
{
    uint8_t block[65536];
    int fd = c->fd;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        return;
    }
    for (int turn = 0; turn < 4 && c->fd == fd && !c->goes_soon; turn++) {
        ssize_t n = recv(fd, block, sizeof block, 0);
        if (n <= 0) {
            if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                lost(c);
            }
            return;
        }
        bytes_add(&c->in, block, (size_t)n);
        wire_take(c);
        if (c->fd != fd || (size_t)n < sizeof block) {
            return;
        }
    }
}

void link_sleep(struct client *c)
{
    struct epoll_event none = {.events = 0, .data.ptr = c};
    c->asleep = true;
    epoll_ctl(c->s->epoll, EPOLL_CTL_MOD, c->fd, &none);
}

void link_free(struct client *c)
{
    link_close(c);
    free(c->in.at);
    free(c->out.at);
}
