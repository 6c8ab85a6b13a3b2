/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_PULL_H
#define SMQTT_BROKER_PULL_H
/* Retained messages for a new subscription. They are pulled: the session takes the next one when its window and its
 * connection have room for it, so that none is dropped for want of room and a million of them need no memory here.
 * Those of other workers come as references. */
#include "broker/handle.h"
#include "broker/retain.h"
#include "broker/session.h"

struct smq_held;

/** One subscription that waits for its retained messages. */
struct smq_pull {
    struct smq_list of_session;
    struct smq_list of_held; /* while its SUBACK has not left */
    struct smq_session *session;
    struct smq_handle self; /* for answers of other workers; none: nobody was asked */
    uint64_t since;         /* stamp of its begin */
    uint64_t newest;        /* versions above it came to be when the subscription was there: they come live */
    uint64_t waiting;       /* bits of workers whose answer is not complete */
    uint64_t round;         /* its own worker's are looked at when this many rounds have ended */
    struct smq_retain_cursor cursor;
    struct smq_refbuf **msgs; /* from others; owned */
    uint32_t head, n, cap;
    uint32_t id; /* subscription identifier */
    uint16_t filter_len;
    uint8_t qos;
    uint8_t filter[];
};

/** A live message that a session got while it pulls: an older one must not follow it. */
struct smq_overtaken {
    uint64_t topic, version, stamp; /* version 0: free */
};

/** What a session has of it; NULL when there is nothing to pull. */
struct smq_pulls {
    struct smq_list list;  /* of smq_pull */
    struct smq_list ready; /* in smq_worker.pulls while it could go on but for the turn's share of work */
    struct smq_session *session;
    struct smq_overtaken *live;
    uint32_t n_live, mask;
    uint64_t floor; /* no memory to remember one of this version: nothing up to it follows */
};

/** A question of another worker. */
struct smq_question {
    struct smq_list of_worker;
    unsigned from;
    struct smq_handle pull;
    uint64_t round; /* it is answered when this many have ended */
    struct smq_retain_cursor cursor;
    const uint64_t *kept; /* for each worker: what must have come from it */
    uint64_t space[];     /* those, then the filter */
};

/** Retained messages shall follow the SUBACK `held`. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_pull_new(struct smq_worker *w, struct smq_session *s, struct smq_held *held, smq_span filter,
                                    uint8_t qos, uint32_t id);
/** The SUBACK has left: what was to follow it begins. */
void smq_pull_begin(struct smq_worker *w, struct smq_held *held);
/** The SUBACK will not leave: what was to follow it does not begin. */
void smq_pull_forget(struct smq_worker *w, struct smq_held *held);
/** The session may have room. Only with s->pulls. */
void smq_pull_pump(struct smq_worker *w, struct smq_session *s);
/** A live message that was published to be retained reaches the session. Only with s->pulls. */
void smq_pull_overtake(struct smq_worker *w, struct smq_session *s, const struct smq_content *content);
/** The session ends. */
void smq_pull_end(struct smq_worker *w, struct smq_session *s);
/** The round that must have ended before something that is asked now is answered: the next whole one. */
uint64_t smq_pull_round(struct smq_worker *w);
/** Answers questions, as far as the budget of steps goes. */
void smq_question_serve(struct smq_worker *w, unsigned *budget);
/** A share of the work that is left. */
void smq_pull_tick(struct smq_worker *w);
/** Forgets the questions of others. */
void smq_pull_deinit(struct smq_worker *w);

#endif
