/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_DURABLE_H
#define SMQTT_BROKER_DURABLE_H
/* What the worker writes to the store (docs/store.md). Each function does nothing without a store, or for a session
 * that is not stored. None fails: when there is no memory for a row, the worker is marked as broken towards its store
 * (smq_durable_lost), nothing of it is committed any more, and so nothing that depends on it is acknowledged. */
#include "broker/admit.h"
#include "broker/internal.h"
#include "broker/rows.h"

struct smq_routing;
struct smq_send;

/** A message that rows refer to, or that is on its way to other workers. */
struct smq_body {
    uint64_t mid;
    uint64_t peers;         /* bits of those that it is still on its way to */
    uint32_t rows;          /* QUEUE rows that name it */
    uint32_t size;          /* of the message, as smq_msg_size */
    uint32_t loaded;        /* deliveries in memory that have it: as long as there are some, msg is here */
    struct smq_refbuf *msg; /* the body is an owner of it; NULL: in the store only */
    struct smq_list of_worker;
    bool written; /* its row is */
};

/* ---- the writes of this turn */

/** How many rows were written or deleted so far, or should have been: what differs afterwards has to be waited for. */
static inline uint64_t smq_store_count(const struct smq_worker *w)
{
    return w->n_rows_written;
}
/** Is there a store? */
static inline bool smq_has_store(const struct smq_worker *w)
{
    return w->has_store;
}
/** May it be stored? What the broker tells of itself ($SYS) is not; nobody else publishes to such topics. */
static inline bool smq_content_is_stored(const struct smq_content *c)
{
    return !smq_admit_is_reserved(c->topic);
}
/** A number that w->mark reaches when everything that was written so far is committed; 0: there is nothing. */
uint64_t smq_store_mark(const struct smq_worker *w);
/** Appends an operation to this turn's writes. */
void smq_store_put(struct smq_worker *w, smq_span key, smq_span value);
void smq_store_del(struct smq_worker *w, smq_span key);
void smq_store_del_prefix(struct smq_worker *w, smq_span prefix);
void smq_store_get(struct smq_worker *w, smq_span key);
/** A PUT whose value of `len` bytes the caller fills in at once; NULL: nothing is to be written. */
uint8_t *smq_store_put_room(struct smq_worker *w, smq_span key, size_t len);
/** The same for keys without strings. */
void smq_store_put_key(struct smq_worker *w, struct smq_key key, smq_span value);
void smq_store_del_key(struct smq_worker *w, struct smq_key key);

/** There is no memory for a row, or for what it says. */
void smq_store_lose(struct smq_worker *w);

/* ---- sessions (durable_session.c) */

/** It outlives its connection: gets a sid, unless it has one. SMQTT_E_RNG, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_durable_begin(struct smq_worker *w, struct smq_session *s);
/** Writes its HEAD row as it is now: who, expiry, away or not. */
void smq_durable_head(struct smq_worker *w, const struct smq_session *s);
/** It ends: all its rows go, and it is not stored any more (s->stored is NULL); bodies that its rows named are let go
 * with the deliveries (smq_durable_let_go), whose rows need no DEL of their own then. */
void smq_durable_session_end(struct smq_worker *w, struct smq_session *s);
/** The session of a sid, or NULL. */
struct smq_session *smq_durable_find(const struct smq_worker *w, uint64_t sid);
/** Gives it a sid without writing anything: for recovery. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_durable_name(struct smq_worker *w, struct smq_session *s, uint64_t sid);
/** Takes it away without writing anything: for the end of the worker. */
void smq_durable_unname(struct smq_worker *w, struct smq_session *s);
/** Its will, or that it has none any more. */
void smq_durable_will(struct smq_worker *w, const struct smq_session *s);
void smq_durable_sub(struct smq_worker *w, const struct smq_session *s, smq_span filter, uint8_t options, uint32_t id);
void smq_durable_unsub(struct smq_worker *w, const struct smq_session *s, smq_span filter);
/** A QoS 2 identifier was taken, or released. */
void smq_durable_in(struct smq_worker *w, const struct smq_session *s, uint16_t id, bool taken);
/** A retained message was set. */
void smq_durable_retained(struct smq_worker *w, const struct smq_content *c);
/** One was removed, with this version. With several workers its row stays for some time, without payload: an older
 * message that was still on its way to here at a crash must not come back. */
void smq_durable_unretained(struct smq_worker *w, smq_span topic, uint64_t version);
/** One has expired. */
void smq_durable_retained_expired(struct smq_worker *w, smq_span topic);
/** Rows of removals that are old go. */
void smq_durable_tick(struct smq_worker *w);
/** When that is to be called; SMQTT_NEVER. */
smqtt_ms smq_durable_deadline(const struct smq_worker *w);
/** The end of the worker. */
void smq_durable_deinit(struct smq_worker *w);

/* ---- deliveries (durable_delivery.c). A delivery that has a row knows its number and its body (broker/message.h). */

/** Writes the QUEUE row of a message for a stored session as `send` has it (id 0: it waits), with QoS 1 or 2; it names
 * r->body (smq_body_ref), or holds the content itself. Returns its number. */
uint64_t smq_durable_deliver(struct smq_worker *w, struct smq_session *s, struct smq_routing *r,
                             const struct smq_send *send);
/** Only for smq_durable_let_go. */
void smq_durable_let_go_row(struct smq_worker *w, const struct smq_session *s, void *delivery);
/** The delivery has that row: `delivery` came from smq_delivery_new_stored, and its message is body's (NULL: none). */
void smq_durable_set_row(void *delivery, uint64_t n, struct smq_body *body);
/** One that waited is sent under `packet`: an OUT row. */
void smq_durable_sent(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot);
/** PUBREC came: the message is let go, the identifier stays. */
void smq_durable_received(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot);
/** Only for smq_durable_finished. */
void smq_durable_finished_row(struct smq_worker *w, const struct smq_session *s, const struct smq_out_slot *slot);
/** The slot is free: its OUT row goes, if it has one. */
static inline void smq_durable_finished(struct smq_worker *w, const struct smq_session *s,
                                        const struct smq_out_slot *slot)
{
    if ((slot->sent & SMQ_HAS_OUT) != 0) {
        smq_durable_finished_row(w, s, slot);
    }
}
/** The delivery's row goes, and its body if this was its last. To be called before every smq_delivery_free but at the
 * worker's end, when it does nothing; again: nothing. */
static inline void smq_durable_let_go(struct smq_worker *w, const struct smq_session *s, void *delivery)
{
    if (smq_delivery_has_row(delivery)) {
        smq_durable_let_go_row(w, s, delivery);
    }
}
/** The same for a message of which there is only the row. */
void smq_durable_let_go_paged(struct smq_worker *w, const struct smq_session *s, uint64_t n, struct smq_body *body);
/** One more delivery in memory has the body, whose message is this. */
void smq_body_load(struct smq_body *body, struct smq_refbuf *msg);
/** One less has it; the last lets the body's message go. */
void smq_body_unload(struct smq_body *body);

/* ---- bodies, and messages on their way to other workers (durable_body.c)
 *
 * smq_route decides whether a message needs a body: with more than one QUEUE row here, or with peers that confirm it.
 * Else r->body is NULL, and the content stands in its one row. A body goes, and its row with it, when no row names it
 * and no peer has it still to come. */

/** A body that is to go to `peers` (0: nowhere), of which nothing is written yet. If it does not get there, its peers
 * are set to 0. NULL: no memory. */
struct smq_body *smq_body_new(struct smq_worker *w, const struct smq_content *c, uint64_t peers) SMQ_MUST_USE;
/** Notes with its mid are in the batches of all its peers: its row says so.
 * @param group  $share/group/filter, if it is for a member of that group, or comes back from one; empty else */
void smq_body_leaves(struct smq_worker *w, struct smq_body *body, const struct smq_content *c, smq_span group);
/** A QUEUE row is about to name the body of what is routed: returns it, with its row written. NULL: there is none, the
 * content is to stand in the QUEUE row. */
struct smq_body *smq_body_ref(struct smq_worker *w, struct smq_routing *r);
/** A row that named it is gone. */
void smq_body_unref(struct smq_worker *w, struct smq_body *body);
/** It goes if nothing needs it. NULL allowed. */
void smq_body_settle(struct smq_worker *w, struct smq_body *body);
/**
 * Sends a message on a way of its own: GIVE to a member of a group, or BACK. With `group` (its $share/group/filter) it
 * is written that the peer owes it from now on; empty: nobody does.
 * @retval SMQTT_E_NOMEM, SMQTT_E_QUOTA  it was not sent; if it was to be written, the worker is marked as broken
 */
SMQ_MUST_USE smqtt_err smq_durable_travel(struct smq_worker *w, unsigned to, enum smq_note_type type,
                                          struct smq_routing *r, struct smq_note_msg *fields, smq_span group);
/** One that was found in the store at a start, with `rows` rows that name it. NULL: no memory. */
struct smq_body *smq_body_found(struct smq_worker *w, uint64_t mid, uint32_t size, uint32_t rows) SMQ_MUST_USE;
/** Frees all of them, for the end of the worker. */
void smq_bodies_deinit(struct smq_worker *w);

/** There is a subscription of a stored session here, or one is about to be made: all peers are told, once, and with it
 * counts as an announcement (smq_peers_awaited). To be called before the SUBACK is made ready. */
void smq_durable_announce(struct smq_worker *w);
/** Who has said so: bits of peers. */
uint64_t smq_durable_peers(const struct smq_worker *w);
/** A note of `from` with this mid (0: nothing to confirm) was dealt with: said with this turn's writes. */
void smq_durable_passed(struct smq_worker *w, unsigned from, uint64_t mid);
/** Puts that into the writes of this turn, which are about to be taken. */
void smq_durable_put_passed(struct smq_worker *w);
/** w->mark has risen: peers hear which of their messages are safe here, so that they may delete them. */
void smq_durable_committed(struct smq_worker *w);

#endif
