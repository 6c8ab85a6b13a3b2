/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_WORKER_H
#define SMQTT_BROKER_WORKER_H
/* The pure worker: a whole single-threaded broker without I/O. Bytes, connections and time come in; bytes, closings,
 * hand-overs and the next deadline go out. The shell around it (net/, or a simulator) moves them.
 *
 * One turn of a shell: feed what was read and the batches of other workers, tick if the deadline has come, then give
 * the writes to the store, the batches for others away, then take every dirty connection once: send what
 * smq_conn_output shows, tell smq_conn_sent, act on smq_conn_fate. Batches leave before bytes do, so that who has an
 * acknowledgement finds it true everywhere. */
#include <smqtt/secure.h>

#include "base/log.h"
#include "base/span.h"
#include "broker/auth.h"
#include "broker/config.h"

struct smq_worker;
struct smq_conn;
struct smq_batch;
struct smq_writes;
struct smq_fetched;
struct smq_store_figures;

/** What stays the same for the life of a worker. Everything is borrowed and must outlive it, except that a new config
 * can be set. */
struct smq_worker_env {
    const struct smqtt_mem *mem; /* NULL: malloc */
    struct smqtt_rng rng;
    const struct smq_log *log; /* NULL: silent */
    unsigned index;            /* which worker this is, from 0 */
    unsigned count;            /* how many there are; a client id's owner is its keyed hash modulo this */
    uint8_t hash_key[16];      /* random; the same for all workers */
    struct smq_ledger *ledger; /* what all workers count together (broker/ledger.h); NULL: this one is alone */
    bool has_store;            /* what must survive is written: smq_worker_take_writes */
    const struct smq_store_figures *store_figures; /* numbers of it, for $SYS (broker/figures.h); NULL: none */
    /** Has a password checked elsewhere (work->run), because it takes long; everything is copied. The answer comes
     * with smq_worker_login_ready of this worker, in its thread. Logins of one `peer` may not take the place of those
     * of others. SMQTT_E_BUSY: too many wait. NULL: such passwords are checked at once. */
    smqtt_err (*defer)(void *ctx, uint64_t ticket, const char *peer, const struct smq_login_work *work,
                       smq_span password);
    void *defer_ctx;
};

/** SMQTT_E_NOMEM, SMQTT_E_RNG, SMQTT_E_BAD_IDENTITY… */
SMQ_MUST_USE smqtt_err smq_worker_new(const struct smq_worker_env *env, const struct smq_broker_config *config,
                                      struct smqtt_now now, struct smq_worker **out);
/** Frees everything; connections must have been released. */
void smq_worker_free(struct smq_worker *w);

/** A transport was accepted; the shell has seen to the listener's own max_connections, which counts over all workers.
 * `listener` is borrowed until smq_conn_release or smq_conn_set_listener, also over a new configuration. `user` is
 * the shell's own and comes back through smq_conn_user. `peer` (e.g. "192.0.2.1:4711") is copied. SMQTT_E_FULL when
 * max_connections are there, SMQTT_E_NOMEM: close the transport then. */
SMQ_MUST_USE smqtt_err smq_worker_open(struct smq_worker *w, const struct smq_listener_config *listener, smq_span peer,
                                       void *user, struct smqtt_now now, struct smq_conn **out);
/**
 * Bytes of the peer. Whole packets are taken; the rest (less than one packet) stays with the shell, which gives it
 * again with more behind it.
 * @param[out] used  bytes taken; after a fate other than KEEP the rest is not wanted (HANDOVER: goes along with the
 * transport)
 * @param[out] need  bytes that the next packet will have in all, 0 if not known: a bound for the shell's buffer,
 * already checked against the limits
 */
void smq_worker_feed(struct smq_worker *w, struct smq_conn *conn, smq_span bytes, size_t *used, size_t *need,
                     struct smqtt_now now);
/** The transport is gone (`err`: SMQTT_OK for an orderly end, SMQTT_E_IO else): will and session are dealt with. The
 * connection's fate becomes CLOSE_NOW. */
void smq_worker_lost(struct smq_worker *w, struct smq_conn *conn, smqtt_err err, struct smqtt_now now);
/** The answer to `defer` of env: what work->run returned. Tickets whose connection is gone are ignored. */
void smq_worker_login_ready(struct smq_worker *w, uint64_t ticket, smqtt_err answer, struct smqtt_now now);
/** Timers: keep-alive, wills, expiry, handshakes. */
void smq_worker_tick(struct smq_worker *w, struct smqtt_now now);
/** Monotonic time of the next tick, or SMQTT_NEVER. */
smqtt_ms smq_worker_deadline(const struct smq_worker *w);
/** A new configuration (reload): used for what comes from now on. Borrowed. */
void smq_worker_configure(struct smq_worker *w, const struct smq_broker_config *config, struct smqtt_now now);
/** Orderly end: every client gets DISCONNECT 0x8B (5.0), wills fire as after a lost connection unless config says
 * otherwise; all fates become CLOSE_AFTER_OUTPUT. */
void smq_worker_shutdown(struct smq_worker *w, struct smqtt_now now);

/* ---- other workers (docs/workers.md). A batch holds what one turn of one worker has to say to another: notes, one
 * after the other, in one block of memory. Batches between two workers arrive whole, in order, and each once; the shell
 * never drops one while both live. */

/** What has gathered for `peer`; the shell's until it gives it to that worker or frees it. NULL: nothing. A batch of
 * size 0 only brings memory back to the peer, which need not be woken for it. */
struct smq_batch *smq_worker_take_batch(struct smq_worker *w, unsigned peer);
/** A batch of worker `from`, which belongs to `w` from now on. May be called from the thread of `w` only, as all else.
 */
void smq_worker_feed_batch(struct smq_worker *w, unsigned from, struct smq_batch *batch, struct smqtt_now now);
/** Ends a round, in which all batches were fed that were there for this worker when it began. What is asked is answered
 * from what had been said before, so it waits for the end of the next whole round. True: something waits for that. */
bool smq_worker_end_round(struct smq_worker *w);
/** Once a turn, after its rounds, also when they brought nothing: answers what waits for no round any more. */
void smq_worker_settle(struct smq_worker *w, struct smqtt_now now);
/** `peer` has more waiting than it should: while that is so for any, no PUBLISH is taken from clients here. */
void smq_worker_set_peer_full(struct smq_worker *w, unsigned peer, bool full);
/** Bytes of a batch, for the shell's accounts. */
size_t smq_batch_size(const struct smq_batch *batch);
/** Gives up a batch that nobody will read; the messages in it are let go. NULL allowed. */
void smq_batch_free(struct smq_batch *batch);

/* ---- the store (docs/store.md) */

/** What this turn has for the store; the caller's from now on. To be given to the store before this turn's batches are
 * given to other workers. NULL: nothing. */
struct smq_writes *smq_worker_take_writes(struct smq_worker *w);
/** All writes up to number n are committed: what waited for them leaves. */
void smq_worker_committed(struct smq_worker *w, uint64_t n, struct smqtt_now now);
/** Rows that were asked for with GET; the worker's from now on. */
void smq_worker_fetched(struct smq_worker *w, struct smq_fetched *fetched, struct smqtt_now now);
enum smq_store_state {
    SMQ_STORE_WELL,
    SMQ_STORE_BEHIND, /* it has much to do: no PUBLISH is taken from clients meanwhile */
    SMQ_STORE_FULL,   /* its limit of bytes is reached: what would be stored is refused (0x97), or waits */
    SMQ_STORE_REFUSES /* it can be read, at best: no session is stored, what would have to be is refused */
};
void smq_worker_set_store(struct smq_worker *w, enum smq_store_state state, struct smqtt_now now);

/** The next connection that has something to send or whose fate has changed; NULL when there is none. Each is returned
 * once until it becomes dirty again. */
struct smq_conn *smq_worker_next_dirty(struct smq_worker *w);

enum smq_conn_fate {
    SMQ_FATE_KEEP,
    SMQ_FATE_CLOSE_AFTER_OUTPUT, /* send what there is, then close and release */
    SMQ_FATE_CLOSE_NOW,          /* close and release */
    SMQ_FATE_HANDOVER /* give the transport and all unread bytes (CONNECT first) to worker `owner`, then release */
};
enum smq_conn_fate smq_conn_fate(const struct smq_conn *conn, unsigned *owner);
/** What to send, in order: fills up to max spans, returns how many. Valid until smq_conn_sent or the next feed/tick. */
size_t smq_conn_output(const struct smq_conn *conn, struct smqtt_span *spans, size_t max);
/** Has it more to send that waits for the store? Then CLOSE_AFTER_OUTPUT is not over yet. It becomes dirty again. */
bool smq_conn_is_gated(const struct smq_conn *conn);
/** n bytes of it left. */
void smq_conn_sent(struct smq_worker *w, struct smq_conn *conn, size_t n, struct smqtt_now now);
/** Shall the shell stop reading from it (back-pressure)? May change with every call into the worker; the connection is
 * dirty when it does. */
bool smq_conn_paused(const struct smq_conn *conn);
void *smq_conn_user(const struct smq_conn *conn);
/** After a reload: the same place with other settings, whose mount_point and topic_alias_out are those of before. The
 * old ones may be freed then. */
void smq_conn_set_listener(struct smq_conn *conn, const struct smq_listener_config *listener);
/** The shell has closed the transport and forgets the connection; its last call for it. */
void smq_conn_release(struct smq_worker *w, struct smq_conn *conn, struct smqtt_now now);

/** Numbers for logs, tests and $SYS. Nothing but uint64_t that add up over workers. */
struct smq_worker_stats {
    uint64_t connections, sessions, subscriptions, retained, packets_in, packets_out, publish_in, publish_out,
        publish_dropped, refused_text, detect_in, detect_out, handshakes, memory_bytes, queued_messages;
    uint64_t online;               /* sessions with a connection */
    uint64_t expired;              /* sessions whose time ran out */
    uint64_t shared_subscriptions; /* not among `subscriptions` */
    uint64_t sockets, connects;    /* transports accepted, clients let in */
    uint64_t bytes_in, bytes_out;  /* of all packets */
    uint64_t payload_in, payload_out;
    uint64_t tunnel_converted, tunnel_dropped; /* DETECT that came or left as PUBLISH; of it, noise and too much */
    uint64_t fixed_bytes; /* reckoned for sessions and subscriptions; memory_bytes are those of messages */
};
void smq_worker_stats(const struct smq_worker *w, struct smq_worker_stats *out);
/** Asks all other workers for theirs, which come with their batches. */
void smq_worker_ask_stats(struct smq_worker *w);
/** Of all workers together: its own as they are, and those of the others as they last came. */
void smq_worker_stats_all(const struct smq_worker *w, struct smq_worker_stats *out);

#endif
