/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_SHARE_H
#define SMQTT_BROKER_SHARE_H
/* Shared subscriptions. A group belongs to one worker, which subscribes to its filter like a session and gives each
 * message to one member. A member's session may live on another worker: then the two speak by notes. */
#include "base/map.h"
#include "broker/handle.h"
#include "broker/session.h"

struct smq_held;
struct smq_routing;
struct smq_note_msg;

/** A session's shared subscription. */
struct smq_shared {
    struct smq_list of_session;
    struct smq_session *session;
    struct smq_handle self;
    struct smq_handle group; /* at its owner */
    unsigned owner;          /* the group's worker */
    uint32_t id;             /* subscription identifier */
    uint8_t qos;
    bool rap, busy; /* busy: the group was told that it has no room */
    uint32_t len;   /* of the filter */
    uint8_t key[];  /* address of the session, then the filter with its $share/group/ */
};

/** Its filter, with $share/group/. */
static inline smq_span smq_shared_filter(const struct smq_shared *sh)
{
    return smq_span_of(sh->key + sizeof sh->session, sh->len);
}

/** What a session has of them; NULL when there are none. */
struct smq_shares {
    struct smq_list list;
    uint32_t n, n_busy;
};

enum smq_member_state { SMQ_MEMBER_READY, SMQ_MEMBER_BUSY, SMQ_MEMBER_AWAY, SMQ_MEMBER_STATES };
enum { SMQ_MEMBER_STORED = 16 }; /* beside the state: its session is stored */

/** One member as the group's owner sees it. */
struct smq_member {
    struct smq_list of_group; /* in the list of its state; the first waits longest */
    struct smq_group *group;
    unsigned worker;
    struct smq_handle shared; /* there */
    uint8_t state;            /* enum smq_member_state */
    bool stored;              /* its session is */
    uint32_t key[3];          /* worker and handle, for the table */
};

struct smq_group {
    struct smq_subscriber sub;
    struct smq_list members[SMQ_MEMBER_STATES];
    struct smq_handle self;
    uint32_t n, n_stored; /* members, and those whose sessions are stored: if there are any, no message gets lost */
    uint32_t len;
    uint8_t key[]; /* with its $share/group/ */
};

/* ---- the member's side (share.c) */

/**
 * A session subscribes, or subscribes again with other options.
 * @param held  its SUBACK: waits until the group's owner has answered; NULL: nobody waits (recovery)
 * @param at    which of its codes
 * @retval SMQTT_E_NOMEM
 */
SMQ_MUST_USE smqtt_err smq_share_subscribe(struct smq_worker *w, struct smq_session *s, smq_span filter,
                                           uint8_t options, uint32_t id, struct smq_held *held, uint32_t at);
/** Its shared subscription with this filter; NULL: it has none. */
struct smq_shared *smq_share_find(const struct smq_worker *w, const struct smq_session *s, smq_span filter);
/** Has the session this shared subscription? */
bool smq_share_has(const struct smq_worker *w, const struct smq_session *s, smq_span filter);
/** False when there was none. */
bool smq_share_unsubscribe(struct smq_worker *w, struct smq_session *s, smq_span filter);
/** The session has a connection, or has none any more: its groups are told; what it was never sent goes back to them.
 * Only with s->shares. */
void smq_share_online(struct smq_worker *w, struct smq_session *s);
void smq_share_away(struct smq_worker *w, struct smq_session *s);
/** The session may have room again. Only with s->shares. */
void smq_share_ready(struct smq_worker *w, struct smq_session *s);
/** The session ends: it leaves all groups, and what it did not acknowledge goes back [MQTT-4.8.2-5]. */
void smq_share_end(struct smq_worker *w, struct smq_session *s);
/** The same for the end of the worker: nothing goes anywhere. */
void smq_share_free(struct smq_worker *w, struct smq_session *s);
/** A message of the group for this member: delivered, whatever the session's state. */
void smq_share_deliver(struct smq_worker *w, struct smq_shared *sh, struct smq_routing *r);
/** How much must a member take: what suits a member of this state. */
bool smq_share_takes(const struct smq_worker *w, const struct smq_shared *sh, uint8_t qos, enum smq_member_state must);
/** It was offered a message and had no room: the group hears when it has. */
void smq_share_is_busy(struct smq_shared *sh);

/* ---- the owner's side (group.c) */

/** A member joins the group of a filter, which is made if need be. SMQTT_E_NOMEM.
 * @param state  enum smq_member_state, and SMQ_MEMBER_STORED */
SMQ_MUST_USE smqtt_err smq_group_join(struct smq_worker *w, unsigned from, struct smq_handle shared, smq_span filter,
                                      uint32_t state, struct smq_handle *group);
void smq_group_leave(struct smq_worker *w, unsigned from, struct smq_handle shared);
void smq_group_set_state(struct smq_worker *w, unsigned from, struct smq_handle shared, uint32_t state);
/** A message comes back, or was on its way at a crash: the group of this filter gives it again. False: there is no such
 * group, nobody is left. */
bool smq_group_give_again(struct smq_worker *w, smq_span filter, struct smq_routing *r);
/** One member gets the message: of those that are ready the one that waited longest, else one that is connected, else
 * one that is away. */
void smq_group_give(struct smq_worker *w, struct smq_group *group, struct smq_routing *r);
/** The group behind a subscriber with is_group. */
static inline struct smq_group *smq_group_of(struct smq_subscriber *sub)
{
    return SMQ_CONTAINER_OF(sub, struct smq_group, sub);
}
/** Frees all groups, for the end of the worker. */
void smq_group_deinit(struct smq_worker *w);

#endif
