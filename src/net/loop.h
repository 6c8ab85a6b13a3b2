/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_NET_LOOP_H
#define SMQTT_NET_LOOP_H
/* The shell of one worker: an epoll loop, its listening sockets, its connections. One thread runs it; other loops reach
 * it through the post (net/post.h), signal handlers through smq_loop_wake.
 *
 * epoll is used level-triggered: one recv of at most `read_size` bytes per readable connection and turn is then fair
 * without bookkeeping, because whoever has more to say is simply reported again, and no recv is spent on hearing
 * EAGAIN. Writing is tried first and EPOLLOUT armed only after EAGAIN, so epoll_ctl is called once per connection, not
 * per packet.
 *
 * The order of a turn is that of docs/workers.md: what a turn has to tell other workers leaves before any byte leaves
 * to a client. */
#include "broker/worker.h"
#include "net/hasher.h"
#include "net/post.h"
#include "net/settings.h"
#include "net/sockets.h"
#include "store/committer.h"

struct smq_loop;

/** Everything is borrowed and outlives the loop, but for the struct itself. */
struct smq_loop_env {
    const struct smqtt_mem *mem; /* NULL: malloc; with several loops it must be fit for threads */
    const struct smq_log *log;   /* NULL: silent; the same */
    struct smqtt_rng rng;
    unsigned index;            /* its number in the post; as in struct smq_worker_env */
    uint8_t hash_key[16];      /* the same for all loops */
    size_t read_size;          /* bytes of the shared read buffer; 0: 256 KiB */
    struct smq_post *post;     /* joins all loops; their number is that of the workers */
    struct smq_ledger *ledger; /* of all workers; NULL: each counts for itself */
    struct smq_hasher
        *hasher; /* verifies passwords that take long; the loop is its customer `index`. NULL: the loop does */
    struct smq_committer *committer; /* of all loops; it wakes them by smq_post_rouse. NULL: nothing is stored */
    /** The loop was woken: the place to look at flags of signal handlers. NULL: nothing. */
    void (*woken)(void *ctx, struct smq_loop *loop);
    void *ctx;
};

/** Sockets for a site, on their way to a loop. */
struct smq_opened {
    struct smq_site *site;
    struct smq_sockets sockets;
};

enum smq_order_kind {
    SMQ_ORDER_CONFIGURE, /* other settings */
    SMQ_ORDER_SHUTDOWN,
    SMQ_ORDER_CALL
};

/** What one thread wants another's loop to do. On the heap of the loop's `mem`; the loop frees it. */
struct smq_order {
    struct smq_letter letter; /* of kind SMQ_MAIL_ORDER */
    enum smq_order_kind kind;
    smqtt_ms grace_ms;                              /* SHUTDOWN */
    void (*call)(void *ctx, struct smq_loop *loop); /* CALL */
    void *ctx;
    struct smq_settings *settings; /* CONFIGURE: a reference */
    size_t n_opened;
    struct smq_opened opened[]; /* CONFIGURE: sockets of its new places */
};

/** A loop with its worker and a reference to `settings`; it listens nowhere yet. SMQTT_E_NOMEM, SMQTT_E_IO, and what
 * smq_worker_new returns. */
SMQ_MUST_USE smqtt_err smq_loop_new(const struct smq_loop_env *env, struct smq_settings *settings,
                                    struct smq_loop **out);
/** Closes everything at once and frees. Its thread must have ended. NULL is allowed. */
void smq_loop_free(struct smq_loop *loop);
/** Takes connections from these sockets from now on, which belong to the loop, as a reference to the site's settings
 * does not: the loop must have been given those. */
void smq_loop_listen(struct smq_loop *loop, const struct smq_opened *opened);
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
 * Other settings for the worker, for listening sockets and, where smq_settings_can_follow, for connections. Sockets of
 * places that are gone are closed; their connections stay.
 * @param settings  the loop takes a reference of its own
 */
void smq_loop_configure(struct smq_loop *loop, struct smq_settings *settings);
/** Does what the order says and frees it. */
void smq_loop_obey(struct smq_loop *loop, struct smq_order *order);
/** Gives up mail that nobody will take: for smq_post_free. */
void smq_loop_drop_mail(void *mem, const struct smq_mail *mail);
/** Its worker; for numbers. */
struct smq_worker *smq_loop_worker(struct smq_loop *loop);
/** Its number. */
unsigned smq_loop_index(const struct smq_loop *loop);

#endif
