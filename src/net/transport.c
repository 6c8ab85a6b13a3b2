/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop_parts.h"

#define SPANS        256         /* of one sendmsg */
#define SENDS        4           /* per connection and turn; who has more is reported again */
#define FRONT_MAX    4096        /* a rest of at most this is copied before what is read, to be parsed in one piece */
#define CHUNK_MIN    (64 * 1024) /* least growth of the buffer of a large packet */
#define CLOSING_MS   5000
#define LINGER_MS    1000
#define ENDING_MS    200 /* lingering while the whole loop ends */
#define LINGER_READS 16  /* reads of a lingering transport per event */

/* ---------------------------------------------------------------- epoll */

static bool control(const struct smq_transport *t, int op, uint32_t events)
{
    struct epoll_event event = {.events = events};
    event.data.u64 = smq_loop_name(t->loop, t);
    return epoll_ctl(t->loop->epoll, op, t->fd, &event) == 0;
}

static void arm(struct smq_transport *t, uint32_t events)
{
    if (t->armed != events && control(t, EPOLL_CTL_MOD, events)) {
        t->armed = events;
    }
}

/* Reading as the worker allows, writing as the kernel made necessary. */
static void arm_for(struct smq_transport *t, bool want_out)
{
    bool want_in = t->state == SMQ_TRANSPORT_LINGERING ||
                   (t->state == SMQ_TRANSPORT_OPEN && t->conn != NULL && !smq_conn_paused(t->conn));
    arm(t, (want_in ? (uint32_t)EPOLLIN : 0) | (want_out ? (uint32_t)EPOLLOUT : 0));
}

/* ---------------------------------------------------------------- begin and end */

/* What a transport holds besides its memory. */
static void give_up(int fd, struct smq_site *site)
{
    if (fd >= 0) {
        close(fd); /* leaves epoll, too */
    }
    if (site != NULL) {
        smq_site_leave(site);
        smq_settings_unref(site->settings);
    }
}

void smq_exchange_drop_parcel(const struct smqtt_mem *mem, struct smq_parcel *parcel)
{
    give_up(parcel->fd, parcel->site);
    smq_mem_free(mem, parcel);
}

/* ---------------------------------------------------------------- what was read and not taken */

static smq_span unread(const struct smq_transport *t)
{
    return t->unread != NULL ? smq_bytebuf_span(t->unread) : (smq_span){NULL, 0};
}

static void drop_unread(struct smq_transport *t)
{
    if (t->unread != NULL) {
        smq_bytebuf_deinit(t->unread);
        smq_mem_free(t->loop->env.mem, t->unread);
        t->unread = NULL;
    }
}

/* NULL: no memory. */
static struct smq_bytebuf *buffer(struct smq_transport *t)
{
    if (t->unread == NULL) {
        t->unread = smq_mem_alloc(t->loop->env.mem, sizeof *t->unread);
        if (t->unread != NULL) {
            smq_bytebuf_init(t->unread, t->loop->env.mem, t->loop->read_size + FRONT_MAX);
        }
    }
    return t->unread;
}

static void consume(struct smq_transport *t, size_t n)
{
    if (t->unread != NULL) {
        smq_bytebuf_consume(t->unread, n);
        if (t->unread->len == 0) {
            drop_unread(t);
        }
    }
}

struct smq_transport *smq_transport_new(struct smq_loop *loop, int fd, struct smq_site *site, smq_span peer)
{
    struct smq_transport *t = smq_mem_zalloc(loop->env.mem, 1, sizeof *t);
    if (t == NULL) {
        give_up(fd, site);
        return NULL;
    }
    t->loop = loop;
    t->fd = fd;
    t->site = site;
    t->slot = SMQ_SLOT_NONE;
    t->armed = EPOLLIN;
    if (loop->settings->tcp_nodelay && site->listener->unix_path == NULL) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (!smq_loop_take_slot(loop, t) ||
        smq_worker_open(loop->worker, site->listener, peer, t, loop->now, &t->conn) != SMQTT_OK ||
        !control(t, EPOLL_CTL_ADD, EPOLLIN)) {
        smq_transport_free(t);
        return NULL;
    }
    return t;
}

void smq_transport_configure(struct smq_transport *t, struct smq_settings *settings)
{
    struct smq_site *site = smq_settings_find(settings, t->site->listener);
    if (site == NULL || !smq_settings_can_follow(t->site->listener, site->listener)) {
        return;
    }
    struct smq_settings *old = t->site->settings;
    t->site = site; /* the same place: it is counted there */
    smq_settings_ref(settings);
    if (t->conn != NULL) {
        smq_conn_set_listener(t->conn, site->listener);
    }
    smq_settings_unref(old);
}

/* The worker forgets the connection. */
static void release(struct smq_transport *t)
{
    if (t->conn != NULL) {
        struct smq_conn *conn = t->conn;
        t->conn = NULL;
        smq_conn_release(t->loop->worker, conn, t->loop->now);
    }
}

void smq_transport_free(struct smq_transport *t)
{
    struct smq_loop *loop = t->loop;
    release(t);
    if (t->end != NULL) {
        smq_wheel_cancel(&loop->wheel, &t->end->timer);
        smq_mem_free(loop->env.mem, t->end);
    }
    if (t->slot != SMQ_SLOT_NONE) {
        smq_loop_give_slot(loop, t->slot);
    }
    give_up(t->fd, t->site);
    drop_unread(t);
    smq_mem_free(loop->env.mem, t);
}

/* The peer or the system ended it. The worker makes it dirty, and smq_transport_service frees it in this turn. */
static void lose(struct smq_transport *t, smqtt_err err)
{
    if (!t->lost && t->conn != NULL) {
        t->lost = true;
        smq_worker_lost(t->loop->worker, t->conn, err, t->loop->now);
    }
}

/* When to give up; without memory for that it is given up now. */
static bool set_end(struct smq_transport *t, smqtt_ms wait_ms)
{
    if (t->end == NULL) {
        t->end = smq_mem_zalloc(t->loop->env.mem, 1, sizeof *t->end);
        if (t->end == NULL) {
            smq_transport_free(t);
            return false;
        }
        smq_wheel_node_init(&t->end->timer);
        t->end->of = t;
    }
    smq_wheel_set(&t->loop->wheel, &t->end->timer, t->loop->now.mono + wait_ms);
    return true;
}

/* All was sent: says so to the peer and waits for its own end. */
static void linger(struct smq_transport *t)
{
    release(t);
    drop_unread(t);
    t->state = SMQ_TRANSPORT_LINGERING;
    if (shutdown(t->fd, SHUT_WR) != 0) {
        smq_transport_free(t);
        return;
    }
    if (set_end(t, t->loop->ending ? ENDING_MS : LINGER_MS)) {
        arm_for(t, false);
    }
}

void smq_transport_timeout(struct smq_transport *t)
{
    smq_transport_free(t);
}

/* ---------------------------------------------------------------- reading */

/* Keeps `rest` for later. */
static void keep(struct smq_transport *t, smq_span rest)
{
    size_t max = t->loop->read_size + FRONT_MAX;
    struct smq_bytebuf *buf = buffer(t);
    smqtt_err err = SMQTT_E_NOMEM;
    if (buf != NULL) {
        smq_bytebuf_set_max(buf, t->need > max ? t->need : max);
        err = smq_bytebuf_append(buf, rest);
    }
    if (err != SMQTT_OK) {
        lose(t, err);
    }
}

/* Gives bytes to the worker; returns what it left. */
static smq_span feed(struct smq_transport *t, smq_span bytes)
{
    size_t used = 0;
    t->need = 0;
    smq_worker_feed(t->loop->worker, t->conn, bytes, &used, &t->need, t->loop->now);
    return smq_span_from(bytes, used);
}

/* What was kept, again: reading goes on after a pause. */
static void feed_kept(struct smq_transport *t)
{
    size_t before = unread(t).len;
    smq_span rest = feed(t, unread(t));
    consume(t, before - rest.len);
}

static bool is_wanted(const struct smq_transport *t)
{
    unsigned owner = 0;
    enum smq_conn_fate fate = smq_conn_fate(t->conn, &owner);
    return fate == SMQ_FATE_KEEP || fate == SMQ_FATE_HANDOVER;
}

/* Usual case: read behind the few bytes that were kept, parse in place. Returns what recv did. */
static ssize_t read_in_place(struct smq_transport *t)
{
    struct smq_loop *loop = t->loop;
    smq_span kept = unread(t);
    if (kept.len != 0) {
        memcpy(loop->read_buf, kept.data, kept.len);
    }
    ssize_t got = recv(t->fd, loop->read_buf + kept.len, loop->read_size - kept.len, MSG_DONTWAIT);
    if (got <= 0) {
        return got;
    }
    consume(t, kept.len);
    smq_span rest = feed(t, smq_span_of(loop->read_buf, kept.len + (size_t)got));
    if (rest.len != 0 && is_wanted(t)) {
        keep(t, rest);
    }
    return got;
}

/* A large packet: what it still needs goes to its own buffer, what comes behind it to the shared one. The buffer grows
 * with what has come, not with what was announced. */
static ssize_t read_large(struct smq_transport *t)
{
    struct smq_loop *loop = t->loop;
    size_t have = unread(t).len;
    size_t missing = t->need > have ? t->need - have : 1;
    size_t step = have > CHUNK_MIN ? have : CHUNK_MIN;
    size_t chunk = missing < step ? missing : step;
    size_t max = loop->read_size + FRONT_MAX;
    uint8_t *at = NULL;
    struct smq_bytebuf *buf = t->unread; /* it holds the packet's beginning */
    smq_bytebuf_set_max(buf, have + chunk > max ? have + chunk : max);
    smqtt_err err = smq_bytebuf_reserve(buf, chunk, &at);
    if (err != SMQTT_OK) {
        lose(t, err);
        return 1;
    }
    struct iovec parts[2] = {{at, chunk}, {loop->read_buf, loop->read_size}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = chunk == missing ? 2 : 1};
    ssize_t got = recvmsg(t->fd, &msg, MSG_DONTWAIT);
    size_t own = got <= 0 ? 0 : (size_t)got < chunk ? (size_t)got : chunk;
    smq_bytebuf_commit(buf, own);
    if (got <= 0 || buf->len < t->need) {
        return got;
    }
    feed_kept(t);
    smq_span behind = smq_span_of(loop->read_buf, (size_t)got - own);
    if (behind.len != 0 && is_wanted(t)) {
        smq_span rest = t->unread == NULL && !smq_conn_paused(t->conn) ? feed(t, behind) : behind;
        if (rest.len != 0 && is_wanted(t)) {
            keep(t, rest);
        }
    }
    return got;
}

static void read_some(struct smq_transport *t)
{
    ssize_t got = unread(t).len <= FRONT_MAX ? read_in_place(t) : read_large(t);
    if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))) {
        return;
    }
    lose(t, got == 0 ? SMQTT_OK : SMQTT_E_IO);
}

void smq_transport_unread(struct smq_transport *t, smq_span bytes)
{
    smq_span rest = feed(t, bytes);
    if (rest.len != 0 && is_wanted(t)) {
        keep(t, rest);
    }
}

/* ---------------------------------------------------------------- writing */

enum sent {
    SENT_ALL,  /* nothing is left */
    SENT_MORE, /* the kernel took all that it was given; there may be more */
    SENT_FULL, /* the kernel takes no more now */
    SENT_LOST
};

static enum sent send_once(struct smq_transport *t)
{
    struct smqtt_span spans[SPANS];
    struct iovec parts[SPANS];
    size_t total = 0;
    size_t n = smq_conn_output(t->conn, spans, SPANS);
    if (n == 0) {
        return SENT_ALL;
    }
    for (size_t i = 0; i < n; i++) {
        parts[i] = (struct iovec){(void *)(uintptr_t)spans[i].data, spans[i].len};
        total += spans[i].len;
    }
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = n};
    /* One piece is the usual case, and send() is the cheaper call. */
    ssize_t sent = n == 1 ? send(t->fd, spans[0].data, spans[0].len, MSG_NOSIGNAL | MSG_DONTWAIT)
                          : sendmsg(t->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS;
        return later ? SENT_FULL : SENT_LOST;
    }
    smq_conn_sent(t->loop->worker, t->conn, (size_t)sent, t->loop->now);
    return (size_t)sent < total ? SENT_FULL : SENT_MORE;
}

/* Sends a few times as long as the kernel takes all of it. */
static enum sent send_output(struct smq_transport *t)
{
    enum sent sent = SENT_MORE;
    for (unsigned i = 0; i < SENDS && sent == SENT_MORE; i++) {
        sent = send_once(t);
    }
    struct smqtt_span probe;
    if (sent == SENT_MORE && smq_conn_output(t->conn, &probe, 1) == 0) {
        sent = SENT_ALL;
    }
    if (sent == SENT_LOST) {
        lose(t, SMQTT_E_IO);
    }
    return sent;
}

/* ---------------------------------------------------------------- events */

/* The worker forgets it first, so that it is not counted twice. */
static void hand_over(struct smq_transport *t, unsigned owner)
{
    struct smq_loop *loop = t->loop;
    char peer[SMQ_PEER_TEXT];
    smq_listener_peer_text(t->fd, t->site->listener, peer);
    size_t peer_len = strlen(peer);
    smq_span rest = unread(t);
    struct smq_parcel *parcel = smq_mem_alloc(loop->env.mem, sizeof *parcel + peer_len + rest.len);
    if (parcel == NULL || epoll_ctl(loop->epoll, EPOLL_CTL_DEL, t->fd, NULL) != 0) {
        smq_mem_free(loop->env.mem, parcel);
        smq_transport_free(t);
        return;
    }
    *parcel = (struct smq_parcel){
        .letter.kind = SMQ_MAIL_PARCEL, .fd = t->fd, .site = t->site, .peer_len = peer_len, .len = rest.len};
    memcpy(parcel->bytes, peer, peer_len);
    if (rest.len != 0) {
        memcpy(parcel->bytes + peer_len, rest.data, rest.len);
    }
    t->fd = -1;
    t->site = NULL;
    smq_transport_free(t);
    smq_post_send(loop->env.post, loop->env.index, owner, &parcel->letter);
}

void smq_transport_resume(struct smq_transport *t)
{
    unsigned owner = 0;
    if (t->state == SMQ_TRANSPORT_OPEN && t->conn != NULL && !t->lost && !smq_conn_paused(t->conn) &&
        smq_conn_fate(t->conn, &owner) == SMQ_FATE_KEEP) {
        feed_kept(t);
    }
}

void smq_transport_service(struct smq_transport *t)
{
    unsigned owner = 0;
    enum smq_conn_fate fate = smq_conn_fate(t->conn, &owner);
    if (fate == SMQ_FATE_CLOSE_NOW) {
        smq_transport_free(t);
        return;
    }
    if (fate == SMQ_FATE_HANDOVER) {
        hand_over(t, owner);
        return;
    }
    if (t->lost) {
        return; /* comes again with CLOSE_NOW */
    }
    if (t->state == SMQ_TRANSPORT_OPEN && t->unread != NULL && fate == SMQ_FATE_KEEP && t->need == 0 &&
        !smq_conn_paused(t->conn)) {
        /* A pause may have left whole packets; what they cause must not leave before the mail to other workers. */
        (void)smq_loop_note(t->loop, &t->loop->resumed, t);
    }
    enum sent sent = send_output(t);
    if (sent == SENT_LOST) {
        return;
    }
    if (fate == SMQ_FATE_CLOSE_AFTER_OUTPUT) {
        /* What waits for the store makes it dirty again; the kernel has nothing to say about that. */
        if (sent == SENT_ALL && !smq_conn_is_gated(t->conn)) {
            linger(t);
            return;
        }
        if (t->state == SMQ_TRANSPORT_OPEN) {
            t->state = SMQ_TRANSPORT_CLOSING;
            if (!set_end(t, CLOSING_MS)) {
                return;
            }
        }
    }
    arm_for(t, sent != SENT_ALL);
}

/* Reads and drops until the peer has closed. */
static void drop_input(struct smq_transport *t)
{
    ssize_t got = 1;
    for (unsigned i = 0; i < LINGER_READS && got > 0; i++) {
        got = recv(t->fd, t->loop->read_buf, t->loop->read_size, MSG_DONTWAIT);
    }
    bool open = got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
    if (!open) {
        smq_transport_free(t);
    }
}

void smq_transport_event(struct smq_transport *t, uint32_t events)
{
    if (t->state == SMQ_TRANSPORT_LINGERING) {
        drop_input(t);
        return;
    }
    bool broken = (events & (uint32_t)(EPOLLHUP | EPOLLERR)) != 0;
    if (t->lost) {
        return;
    }
    if ((t->armed & (uint32_t)EPOLLIN) != 0 && (events & (uint32_t)(EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        read_some(t); /* finds the error, too, behind the last bytes */
    } else if (broken) {
        lose(t, SMQTT_E_IO);
    }
    if ((events & (uint32_t)EPOLLOUT) != 0 && !t->lost) {
        (void)smq_loop_note(t->loop, &t->loop->writable, t); /* level-triggered: without memory it comes again */
    }
}
