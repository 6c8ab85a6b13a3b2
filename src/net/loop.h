/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_LOOP_H
#define SMQTT_NET_LOOP_H
/* The shell of one worker: an epoll loop, its listeners, its connections. One thread runs it; only smq_loop_wake may be
 * called from elsewhere.
 *
 * epoll is used level-triggered: one recv of at most `read_size` bytes per readable connection and turn is then fair
 * without bookkeeping, because whoever has more to say is simply reported again, and no recv is spent on hearing
 * EAGAIN. Writing is tried first and EPOLLOUT armed only after EAGAIN, so epoll_ctl is called once per connection, not
 * per packet. */
#include "broker/worker.h"
#include "net/hasher.h"
#include "net/why.h"

struct smq_loop;

/** A transport on its way from one loop to another. */
struct smq_handover {
    int fd;
    smq_span unread; /* borrowed during the call; CONNECT first */
    const struct smq_listener_config *listener;
    smq_span peer; /* borrowed during the call */
};

/** Everything is borrowed and outlives the loop, but for the struct itself. */
struct smq_loop_env {
    const struct smqtt_mem *mem; /* NULL: malloc */
    const struct smq_log *log;   /* NULL: silent */
    struct smqtt_rng rng;
    unsigned index, count; /* as in struct smq_worker_env; with count > 1 listeners use SO_REUSEPORT */
    uint8_t hash_key[16];  /* the same for all loops */
    size_t read_size;      /* bytes of the shared read buffer; 0: 256 KiB */
    bool tcp_nodelay;
    struct smq_hasher
        *hasher; /* verifies passwords that take long; the loop is its customer `index`. NULL: the loop does */
    /** The loop was woken (smq_loop_wake): the place to look at flags of signal handlers. NULL: nothing. */
    void (*woken)(void *ctx, struct smq_loop *loop);
    /** Gives a transport to loop `owner`, which calls smq_loop_adopt in its own thread. The descriptor is the
     * receiver's even when this fails. NULL: such connections are closed. */
    void (*handover)(void *ctx, unsigned owner, const struct smq_handover *transport);
    void *ctx;
};

/** A loop with its worker. `config` is borrowed. SMQTT_E_NOMEM, SMQTT_E_IO, and what smq_worker_new returns. */
SMQ_MUST_USE smqtt_err smq_loop_new(const struct smq_loop_env *env, const struct smq_broker_config *config,
                                    struct smq_loop **out);
/** Closes everything at once and frees. NULL is allowed. */
void smq_loop_free(struct smq_loop *loop);
/**
 * Opens the sockets of a listener: one per address family, IPV6_V6ONLY, SO_REUSEADDR.
 * @param config    borrowed until the loop is freed or has another configuration
 * @param[out] port the port that was bound: another than config->port when that is 0; may be NULL
 * @retval SMQTT_E_IO  none could be opened; `why` has the sentence
 */
SMQ_MUST_USE smqtt_err smq_loop_listen(struct smq_loop *loop, const struct smq_listener_config *config, uint16_t *port,
                                       struct smq_why *why);
/** Turns until smq_loop_shutdown has ended everything. SMQTT_E_IO: epoll failed. */
SMQ_MUST_USE smqtt_err smq_loop_run(struct smq_loop *loop);
/** One turn that waits at most `wait_ms` (-1: as long as nothing is due). False when the loop has ended. For
 * smq_loop_run and tests. */
bool smq_loop_turn(struct smq_loop *loop, int wait_ms);
/** Wakes the loop; safe in signal handlers and from any thread. */
void smq_loop_wake(struct smq_loop *loop);
/** Begins the orderly end: no more listeners, every client is told, what is unsent after `grace_ms` is dropped. */
void smq_loop_shutdown(struct smq_loop *loop, smqtt_ms grace_ms);
/**
 * Another configuration for the worker and, where address and port are the same, for listeners.
 * @return how many listeners of either configuration have no partner in the other: they stay as they are
 */
unsigned smq_loop_configure(struct smq_loop *loop, const struct smq_broker_config *config);
/** Takes a transport over that another loop gave up; feeds its unread bytes. The descriptor is closed when there is no
 * room for it. */
void smq_loop_adopt(struct smq_loop *loop, const struct smq_handover *transport);
/** Its worker; for numbers. */
struct smq_worker *smq_loop_worker(struct smq_loop *loop);

#endif
