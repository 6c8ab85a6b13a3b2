/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_LOOP_PARTS_H
#define SMQTT_NET_LOOP_PARTS_H
/* What loop.c, listener.c, transport.c and exchange.c share. */
#include "base/bytebuf.h"
#include "base/wheel.h"
#include "net/loop.h"

#define SMQ_PEER_TEXT 128 /* "[IPv6%scope]:port", or the path of a Unix socket */

enum smq_transport_state {
    SMQ_TRANSPORT_OPEN,
    SMQ_TRANSPORT_CLOSING,  /* the worker is done: what there is to send leaves, nothing is read */
    SMQ_TRANSPORT_LINGERING /* all was sent and the writing side shut: reads until the peer closes, so that no reset
                               overtakes the last bytes */
};

/* One connection. Of these there are as many as descriptors, and most are idle: what an idle one does not need is got
 * when it is needed. */
struct smq_transport {
    struct smq_loop *loop;
    struct smq_conn *conn;         /* NULL while lingering */
    struct smq_site *site;         /* with a reference to its settings, and counted at its place; NULL: given away */
    struct smq_bytebuf *unread;    /* NULL: nothing is */
    struct smq_transport_end *end; /* when CLOSING or LINGERING ends; NULL: open */
    size_t need;                   /* bytes of the packet that `unread` begins, 0: not known */
    int fd;
    uint32_t slot;
    uint32_t armed; /* events that epoll watches */
    uint8_t state;  /* enum smq_transport_state */
    bool lost;      /* told to the worker: no more reading or writing */
};

struct smq_transport_end {
    struct smq_wheel_node timer;
    struct smq_transport *of;
};

/* A transport on its way from one loop to another: the receiver gives it a slot, and so a generation, of its own. */
struct smq_parcel {
    struct smq_letter letter; /* of kind SMQ_MAIL_PARCEL */
    int fd;
    struct smq_site *site; /* with the transport's reference and count */
    size_t peer_len, len;
    uint8_t bytes[]; /* the peer's text, then what was read and not taken: CONNECT first */
};

/* A place in the table that events lead to. Its generation grows with each use, so that an event that was under way
 * for a transport that is gone reaches nobody. */
struct smq_slot {
    struct smq_transport *transport; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

/* Names of transports that are to be looked at later, which may be gone by then. */
struct smq_names {
    uint64_t *names; /* generation << 32 | slot */
    size_t n, cap;
};

struct smq_listen_socket {
    int fd;        /* -1: this entry is free */
    uint16_t port; /* as bound */
    bool ready;    /* epoll said so in this turn */
    struct smq_site *site;
    smqtt_ms closed_until; /* out of descriptors: not watched till then; 0: watched */
};

#define SMQ_LISTEN_SOCKETS 256

struct smq_loop {
    struct smq_loop_env env;
    unsigned count; /* loops in all */
    struct smq_worker *worker;
    struct smq_settings *settings;
    struct smqtt_now now;
    int epoll, reserve; /* reserve: a descriptor to give up when there are no others */
    uint8_t *read_buf;
    size_t read_size;
    struct smq_slot *slots;
    uint32_t n_slots, free_slot, n_transports;
    struct smq_names writable; /* epoll said so in this turn: served when the mail has left */
    struct smq_names resumed;  /* have whole packets that a pause kept back: taken at the next turn's begin */
    struct smq_wheel wheel;
    struct smq_listen_socket listeners[SMQ_LISTEN_SOCKETS];
    unsigned n_listeners; /* entries in use, free ones between them included */
    uint64_t refused;     /* connections for lack of descriptors since it was said */
    smqtt_ms refused_said;
    bool ending, more; /* more: dirty connections are left for the next turn */
    bool stuck;        /* a peer has no place for what this turn says: no byte leaves before it has */
    bool unsettled;    /* this turn had no more rounds of reading mail to spare */
    bool failed;       /* epoll itself */
    smqtt_ms end_at;
};

#define SMQ_EVENT_WAKE     UINT32_MAX
#define SMQ_EVENT_LISTENER 0x80000000u /* or-ed with its number */
#define SMQ_SLOT_NONE      UINT32_MAX

/* ---- listener.c */

/* Takes what waits in the backlog of all that are ready, a batch at most of each. True: there may be more. */
bool smq_listener_accept_ready(struct smq_loop *loop);
/* Watches again those that had to wait. */
void smq_listener_tick(struct smq_loop *loop);
/* When smq_listener_tick has something to do, or SMQTT_NEVER. */
smqtt_ms smq_listener_deadline(const struct smq_loop *loop);
/* Other settings: those whose place is gone are closed. */
void smq_listener_configure(struct smq_loop *loop, struct smq_settings *settings);
void smq_listener_close_all(struct smq_loop *loop);
/* "192.0.2.1:4711", "[::1]:4711" of a connected socket, "/run/smqttd.sock:0" as Mosquitto shows a Unix socket. */
void smq_listener_peer_text(int fd, const struct smq_listener_config *config, char text[SMQ_PEER_TEXT]);

/* ---- transport.c */

/* A transport for a connected socket, known to the worker. `site` comes with a reference to its settings and a count
 * of its place. Gives up all that on failure. */
struct smq_transport *smq_transport_new(struct smq_loop *loop, int fd, struct smq_site *site, smq_span peer);
/* Closes and frees, whatever its state. */
void smq_transport_free(struct smq_transport *t);
/* epoll reports `events`. */
void smq_transport_event(struct smq_transport *t, uint32_t events);
/* The worker says it is dirty: sends, then acts on its fate. May free it. */
void smq_transport_service(struct smq_transport *t);
/* Takes what a pause kept back. */
void smq_transport_resume(struct smq_transport *t);
/* The timer of CLOSING or LINGERING has run out. */
void smq_transport_timeout(struct smq_transport *t);
/* Bytes that came with a hand-over. */
void smq_transport_unread(struct smq_transport *t, smq_span bytes);
/* Other settings, if it can follow. */
void smq_transport_configure(struct smq_transport *t, struct smq_settings *settings);

/* ---- exchange.c */

/* Takes the mail of other loops, round after round until one found nothing and the worker waits for none; then, or when
 * there were enough of them, settles. */
void smq_exchange_take(struct smq_loop *loop);
/* Gives what the worker writes to the store, then its batches away. Sets loop->stuck. */
void smq_exchange_give(struct smq_loop *loop);
/* Tells the worker what the store has committed and fetched, and how it is. */
void smq_exchange_take_stored(struct smq_loop *loop);
/* Gives a parcel's content up: closes, counts, frees. */
void smq_exchange_drop_parcel(const struct smqtt_mem *mem, struct smq_parcel *parcel);

/* ---- loop.c */

/* A place in the table; false when there is no memory. */
bool smq_loop_take_slot(struct smq_loop *loop, struct smq_transport *t);
void smq_loop_give_slot(struct smq_loop *loop, uint32_t slot);
/* What epoll and lists know it by. */
uint64_t smq_loop_name(const struct smq_loop *loop, const struct smq_transport *t);
/* NULL: it is gone. */
struct smq_transport *smq_loop_named(const struct smq_loop *loop, uint64_t name);
/* Adds a name; false when there is no memory. */
bool smq_loop_note(struct smq_loop *loop, struct smq_names *names, const struct smq_transport *t);

#endif
