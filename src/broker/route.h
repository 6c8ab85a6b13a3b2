/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_ROUTE_H
#define SMQTT_BROKER_ROUTE_H
/* One message on its way to its receivers. The block that holds it is made when the first one needs it: messages of
 * QoS 0 that are small never do. */
#include "broker/conn.h"
#include "broker/session.h"

/** A small packet, written once for all receivers of one kind. */
struct smq_template {
    uint16_t len; /* 0: not made yet */
    uint16_t id_at;
    const uint8_t *shared; /* QoS 0 for many: where it stands in the pool's shared chunk; NULL: nowhere */
    uint64_t shared_round; /* these two are set with len; as long as the pool's is this */
    uint8_t bytes[SMQ_COPY_MAX + 32];
};

/** After a new start: those that belonged to some of the workers of before. */
struct smq_former {
    uint64_t workers; /* bits of them */
    unsigned count;   /* how many there were */
    uint8_t key[16];  /* their hash key */
};

struct smq_routing {
    struct smq_content content;
    struct smq_refbuf *msg;            /* NULL until somebody needs it */
    const struct smq_subscriber *from; /* publisher, for No Local; NULL: nobody */
    uint64_t origin;                   /* of a message of another worker (broker/hold.h); 0: `from` is here */
    struct smq_shared *share;          /* while it is given to one member of a group: through which subscription */
    struct smq_body *body; /* what QUEUE rows of this message name (smq_body_ref); NULL: it stands in its one row */
    smq_span group; /* of one on its way to a member of that group, or back, that must not get lost; empty else */
    const struct smq_former *only;    /* recovery: nobody else gets it, or keeps it; NULL: all */
    bool from_peer;                   /* another worker has it from its publisher: it is not told to others */
    bool checked;                     /* all of it came through the codec */
    bool refusable;                   /* its publisher can be told that nothing more is stored */
    size_t n_receivers;               /* out: how many matched */
    struct smq_template templates[4]; /* by version (3.x, 5) and by having a packet identifier */
};

/** Sets everything but r->content, which the caller has filled with views. Of the templates only what is looked at. */
static inline void smq_routing_init_rest(struct smq_routing *r, const struct smq_subscriber *from, bool checked)
{
    r->msg = NULL;
    r->from = from;
    r->origin = 0;
    r->share = NULL;
    r->body = NULL;
    r->group.len = 0;
    r->only = NULL;
    r->from_peer = false;
    r->checked = checked;
    r->refusable = false;
    r->n_receivers = 0;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(r->templates); i++) {
        r->templates[i].len = 0;
    }
}
/** Prepares a message that is made of views. */
void smq_routing_init(struct smq_routing *r, const struct smq_content *content, const struct smq_subscriber *from,
                      bool checked);
/** The same for one that has a block already; an ownership is taken. */
void smq_routing_init_msg(struct smq_routing *r, struct smq_refbuf *msg);
/** Lets the block go. */
static inline void smq_routing_deinit(struct smq_routing *r)
{
    if (r->msg != NULL) {
        smq_msg_unref(r->msg);
        r->msg = NULL;
    }
}
/** The block, made if need be; NULL with *err SMQTT_E_NOMEM or SMQTT_E_QUOTA (memory_limit). */
struct smq_refbuf *smq_routing_msg(struct smq_worker *w, struct smq_routing *r, smqtt_err *err);
/**
 * Retains the message where it says so, and delivers it to all who subscribed. What must survive of it is written.
 * @retval SMQTT_E_BAD_TEXT  it was not checked before and is ill-formed: counted, nobody got it
 * @retval SMQTT_E_FULL      r->refusable, and the store takes no more: nobody got it
 * @retval SMQTT_E_QUOTA, SMQTT_E_NOMEM  nobody got it
 */
SMQ_MUST_USE smqtt_err smq_route(struct smq_worker *w, struct smq_routing *r);

/** Only the first part of that: retains it, if this worker keeps its topic. SMQTT_E_QUOTA, SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_route_retain(struct smq_worker *w, struct smq_routing *r);

#endif
