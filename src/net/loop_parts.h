/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_LOOP_PARTS_H
#define SMQTT_NET_LOOP_PARTS_H
/* What loop.c, listener.c and transport.c share. */
#include "base/bytebuf.h"
#include "base/wheel.h"
#include "net/loop.h"

#define SMQ_PEER_TEXT 64 /* "[IPv6%scope]:port" */

enum smq_transport_state {
    SMQ_TRANSPORT_OPEN,
    SMQ_TRANSPORT_CLOSING,  /* the worker is done: what there is to send leaves, nothing is read */
    SMQ_TRANSPORT_LINGERING /* all was sent and the writing side shut: reads until the peer closes, so that no reset
                               overtakes the last bytes */
};

/* One TCP connection. */
struct smq_transport {
    struct smq_loop *loop;
    struct smq_conn *conn; /* NULL while lingering */
    struct smq_bytebuf unread;
    size_t need; /* bytes of the packet that `unread` begins, 0: not known */
    const struct smq_listener_config *listener;
    struct smq_wheel_node timer; /* end of CLOSING and LINGERING */
    int fd;
    uint32_t slot;
    uint32_t armed; /* events that epoll watches */
    enum smq_transport_state state;
    bool lost; /* told to the worker: no more reading or writing */
};

/* A place in the table that events lead to. Its generation grows with each use, so that an event that was under way
 * for a transport that is gone reaches nobody. */
struct smq_slot {
    struct smq_transport *transport; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

struct smq_listen_socket {
    int fd;
    uint16_t port; /* as bound */
    const struct smq_listener_config *config;
    smqtt_ms closed_until; /* out of descriptors: not watched till then; 0: watched */
};

#define SMQ_LISTEN_SOCKETS 64

struct smq_loop {
    struct smq_loop_env env;
    struct smq_worker *worker;
    const struct smq_broker_config *config;
    struct smqtt_now now;
    int epoll, wake, reserve; /* reserve: a descriptor to give up when there are no others */
    uint8_t *read_buf;
    size_t read_size;
    struct smq_slot *slots;
    uint32_t n_slots, free_slot, n_transports;
    struct smq_wheel wheel;
    struct smq_listen_socket listeners[SMQ_LISTEN_SOCKETS];
    unsigned n_listeners;
    uint64_t refused; /* connections for lack of descriptors since it was said */
    smqtt_ms refused_said;
    bool ending, more; /* more: dirty connections are left for the next turn */
    bool failed;       /* epoll itself */
    smqtt_ms end_at;
};

#define SMQ_EVENT_WAKE     UINT32_MAX
#define SMQ_EVENT_LISTENER 0x80000000u /* or-ed with its number */
#define SMQ_SLOT_NONE      UINT32_MAX

/* ---- listener.c */

/* Takes what waits in the backlog, a batch at most. */
void smq_listener_accept(struct smq_loop *loop, unsigned number);
/* Watches again those that had to wait. */
void smq_listener_tick(struct smq_loop *loop);
/* When smq_listener_tick has something to do, or SMQTT_NEVER. */
smqtt_ms smq_listener_deadline(const struct smq_loop *loop);
void smq_listener_close_all(struct smq_loop *loop);
/* "192.0.2.1:4711", "[::1]:4711" of a connected socket. */
void smq_listener_peer_text(int fd, char text[SMQ_PEER_TEXT]);

/* ---- transport.c */

/* A transport for a connected socket, known to the worker. Closes fd on failure. */
struct smq_transport *smq_transport_new(struct smq_loop *loop, int fd, const struct smq_listener_config *listener,
                                        smq_span peer);
/* Closes and frees, whatever its state. */
void smq_transport_free(struct smq_transport *t);
/* epoll reports `events`. */
void smq_transport_event(struct smq_transport *t, uint32_t events);
/* The worker says it is dirty: sends, then acts on its fate. May free it. */
void smq_transport_service(struct smq_transport *t);
/* The timer of CLOSING or LINGERING has run out. */
void smq_transport_timeout(struct smq_transport *t);
/* Bytes that came with a hand-over. */
void smq_transport_unread(struct smq_transport *t, smq_span bytes);

/* ---- loop.c */

/* A place in the table; false when there is no memory. */
bool smq_loop_take_slot(struct smq_loop *loop, struct smq_transport *t);
void smq_loop_give_slot(struct smq_loop *loop, uint32_t slot);

#endif
