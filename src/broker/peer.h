/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_PEER_H
#define SMQTT_BROKER_PEER_H
/* What workers say to each other (docs/workers.md): the notes in their batches, and what is kept for each peer. */
#include <smqtt/identity.h>

#include "broker/batch.h"
#include "broker/handle.h"
#include "broker/interest.h"
#include "broker/message.h"
#include "broker/worker.h"

struct smq_routing;
struct smq_note_run;

enum smq_note_type {
    SMQ_NOTE_PUBLISH,    /* smq_note_msg: a message for the subscribers there */
    SMQ_NOTE_KEEP,       /* smq_note_msg: a retained message for the owner of its topic, which has no subscriber */
    SMQ_NOTE_GIVE,       /* smq_note_msg: for one member of a group */
    SMQ_NOTE_SEALED,     /* smq_note_msg: a record on a topic of the broker's identity, for worker 0 to open */
    SMQ_NOTE_OPENED,     /* smq_note_msg: what it was, for the worker of its publisher to publish */
    SMQ_NOTE_BACK,       /* smq_note_msg: the member does not take it */
    SMQ_NOTE_INTEREST,   /* smq_note_interest */
    SMQ_NOTE_APPLIED,    /* smq_note_applied: announcements that were applied so far */
    SMQ_NOTE_FETCH,      /* smq_note_fetch: which retained messages are there? */
    SMQ_NOTE_FETCHED,    /* smq_note_fetched: some of them */
    SMQ_NOTE_FETCH_END,  /* smq_note_handle: that were all */
    SMQ_NOTE_FETCH_STOP, /* smq_note_handle: no more are wanted */
    SMQ_NOTE_JOIN,       /* smq_note_join: a new member of a group */
    SMQ_NOTE_JOINED,     /* smq_note_joined: what became of it */
    SMQ_NOTE_LEAVE,      /* smq_note_handle: the member is gone */
    SMQ_NOTE_MEMBER,     /* smq_note_handle: its state */
    SMQ_NOTE_HOLD,       /* smq_note_hold */
    SMQ_NOTE_SERVER,     /* smq_note_server: an S-MQTT server is registered there, or no more */
    SMQ_NOTE_DETECT,     /* smq_note_detect: a packet of a handshake on its way to the server */
    SMQ_NOTE_ANSWER,     /* smq_note_detect: one on its way to the client */
    SMQ_NOTE_DETECTED,   /* smq_note_detect: the handshake is over */
    SMQ_NOTE_ASK_STATS,  /* smq_note: tell me */
    SMQ_NOTE_STATS,      /* smq_note_stats */
    SMQ_NOTE_SMALL,      /* smq_note_small: as PUBLISH */
    SMQ_NOTE_STORED,     /* smq_note_num: an announcement: there are subscriptions of stored sessions */
    SMQ_NOTE_PASSED,     /* smq_note_num: messages with a mid up to this one are safe there */
    SMQ_NOTE_RUN,        /* smq_note_run: several of them (broker/run.h) */
    SMQ_NOTE_TYPES
};

/** A message as most are: small, not retained, without expiry. What is copied between processors is kept short. */
struct smq_note_small {
    struct smq_note head;
    uint64_t origin; /* as in smq_note_msg */
    uint16_t topic_len, props_len, payload_len;
    uint8_t qos, flags;
    uint8_t bytes[]; /* with SMQ_FLAG_MID 8 bytes of mid; topic, properties, payload */
};

struct smq_note_msg {
    struct smq_note head;
    smqtt_ms expires;
    uint64_t version;
    uint64_t kept;   /* how many messages to retain the sender has sent to the owner of the topic, with this one */
    uint64_t origin; /* who published it (broker/hold.h); 0: nobody who can wait */
    uint64_t mid;    /* to be confirmed when it is safe (broker/durable.h); 0: nobody asks */
    struct smq_handle to, group; /* GIVE: the member's subscription and the group; BACK: the group */
    struct smq_refbuf *msg;      /* the message, and the note is an owner of it; NULL: it stands behind the note */
    uint32_t props_len, payload_len;
    uint16_t topic_len, source_len, group_len;
    uint8_t qos, flags; /* SMQ_FLAG_* */
    uint8_t bytes[];    /* topic, properties, payload, source; of what must not get lost the group's filter */
};
enum { SMQ_FLAG_RETAIN = 1, SMQ_FLAG_TEXT = 2, SMQ_FLAG_MUST_SHIFT = 4, SMQ_FLAG_OPENED = 8, SMQ_FLAG_MID = 64 };

struct smq_note_interest {
    struct smq_note head;
    struct smq_filter_key filter;
    uint64_t number; /* of the announcement; 0: it is the end of an interest */
};
struct smq_note_num {
    struct smq_note head;
    uint64_t number;
};
struct smq_note_applied {
    struct smq_note head;
    uint64_t number;
    uint64_t kept[]; /* for each worker: how many messages to retain it was sent by now */
};
struct smq_note_handle {
    struct smq_note head;
    struct smq_handle handle;
    uint32_t state, unused; /* MEMBER: enum smq_member_state, and SMQ_MEMBER_STORED */
};
struct smq_note_fetch {
    struct smq_note head;
    struct smq_handle pull;
    uint32_t filter_len, unused;
    uint64_t kept[]; /* for each worker: what the owner must have got from it before it answers; then the filter */
};
struct smq_note_fetched {
    struct smq_note head;
    struct smq_handle pull;
    uint32_t n, unused;
    struct smq_refbuf *msgs[]; /* the note is an owner of each */
};
struct smq_note_join {
    struct smq_note head;
    struct smq_handle shared, held;
    uint32_t state, at, filter_len, unused; /* state: as in MEMBER */
    uint8_t filter[];                       /* with its $share/group/ */
};
struct smq_note_joined {
    struct smq_note head;
    struct smq_handle shared, held, group;
    uint32_t at, err;
};
struct smq_note_hold {
    struct smq_note head;
    uint64_t origin, on;
};
struct smq_note_stats {
    struct smq_note head;
    struct smq_worker_stats stats;
};

struct smq_note_server {
    struct smq_note head;
    uint8_t skid[SMQTT_SKID_LEN];
    uint64_t begins;
};
struct smq_note_detect {
    struct smq_note head;
    uint8_t skid[SMQTT_SKID_LEN];
    uint8_t cid[SMQTT_SKID_LEN]; /* as long as a skid */
    uint32_t body_len;
    uint8_t header;
    uint8_t body[];
};

/** Bodies on their way to a peer, in the order of their notes. */
struct smq_transit {
    struct smq_body **items; /* a ring; cap is a power of two */
    uint32_t head, n, cap;
};
/** Up to which mid of a peer this worker has dealt with its messages, and which writes say so. */
struct smq_passed_at {
    uint64_t mark, number;
};

/** One peer. */
struct smq_peer {
    struct smq_outbox box;
    struct smq_note_run *run;         /* the last one that was begun in the box; NULL: none since it was emptied */
    uint64_t applied;                 /* how many of our announcements it has applied */
    uint64_t heard, told;             /* its announcements that we applied, and what it was told of that */
    uint64_t kept_out, kept_in;       /* messages to retain that it was sent, and that came from it */
    struct smq_transit transit;       /* what it has not confirmed yet */
    uint64_t passed;                  /* the highest mid of its messages that were dealt with, */
    struct smq_passed_at first, last; /* what is written of that and not committed: the oldest and the newest, */
    uint64_t safe, confirmed;         /* what is committed, and what it was told of that */
    uint64_t *kept_by;                /* for each owner: those that it was sent by this peer, as far as is known here */
    struct smq_worker_stats stats;
};

/** What a worker keeps for its peers. */
struct smq_peers {
    struct smq_batch_pool pool;
    struct smq_peer *of; /* one for each worker; that of its own stays empty. NULL: it is alone */
    struct smq_interest interest;
    uint64_t announced;    /* announcements so far */
    uint64_t everyone;     /* up to here all peers have applied them */
    uint64_t full;         /* bits of peers that have more waiting than they should; the own bit: the store has */
    uint64_t stored;       /* bits of peers that have subscriptions of stored sessions */
    bool announced_stored; /* they know that this worker has some */
};

/** SMQTT_E_NOMEM; SMQTT_E_USAGE when there are more than SMQ_WORKERS_MAX. */
SMQ_MUST_USE smqtt_err smq_peers_init(struct smq_worker *w);
/** Frees everything; after a failed init, too. */
void smq_peers_deinit(struct smq_worker *w);

/** A note of `size` bytes to a peer, its fields after the head cleared up to `size`, but not those bytes behind
 * `cleared`. NULL: no memory, also not from the reserve. */
void *smq_peer_note(struct smq_worker *w, unsigned to, enum smq_note_type type, size_t size);
/** A handle to a peer. */
void smq_peer_tell(struct smq_worker *w, unsigned to, enum smq_note_type type, struct smq_handle handle,
                   uint32_t state);
/**
 * A message to a peer, in the note itself when it is small.
 * @param msg  the note's fields `to`, `group`, `kept`, `mid` and what is to be added to its flags
 * @retval SMQTT_E_NOMEM, SMQTT_E_QUOTA  nothing was written
 */
SMQ_MUST_USE smqtt_err smq_peer_send(struct smq_worker *w, unsigned to, enum smq_note_type type, struct smq_routing *r,
                                     const struct smq_note_msg *msg);

/* ---- of messages (peer_msg.c) */

/** Who else wants a message on the topic: bits of workers. */
uint64_t smq_peers_interested(struct smq_worker *w, smq_span topic);
/** The worker that keeps the retained message of a topic. */
unsigned smq_peers_keeper(const struct smq_worker *w, smq_span topic);
/** Puts a message that was published here into the batches of those interested, and of the keeper of its topic if it is
 * to be retained. SMQTT_E_NOMEM, SMQTT_E_QUOTA: nobody got it. */
SMQ_MUST_USE smqtt_err smq_peers_publish(struct smq_worker *w, struct smq_routing *r, uint64_t interested);

/* ---- of interest */

/** Makes room in all batches for the announcement of a filter. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_peers_reserve(struct smq_worker *w);
/** A smq_trie_fn: tells all peers. */
void smq_peers_announce(void *worker, smq_span filter, bool begins);
/** The number that smq_peers.everyone must reach before what was subscribed by now counts everywhere; 0: it does. */
uint64_t smq_peers_awaited(const struct smq_worker *w);

/* ---- what notes do, by other files; `from` is the peer's index, and `head` stands in its batch */
void smq_pull_on_fetch(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_pull_on_fetched(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_pull_on_end(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_pull_on_stop(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_group_on_join(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_group_on_leave(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_group_on_member(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_group_on_back(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_share_on_joined(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_share_on_give(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_durable_on_stored(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_durable_on_passed(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_far_on_server(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_far_on_detect(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_far_on_answer(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_far_on_detected(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_far_on_sealed(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_far_on_opened(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_peer_on_publish(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_peer_on_small(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_peer_on_run(struct smq_worker *w, unsigned from, struct smq_note *head);
void smq_peer_on_keep(struct smq_worker *w, unsigned from, struct smq_note *head);
/** Begins the routing of a message that came in a note, whose ownership of a block passes over to it. End it with
 * smq_routing_deinit. */
void smq_peer_open(struct smq_note_msg *note, struct smq_routing *r);

#endif
