/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_RECOVERY_H
#define SMQTT_BROKER_RECOVERY_H
/* What the files of the recovery share (broker/recover.h). */
#include "broker/durable.h"
#include "broker/recover.h"
#include "broker/route.h"

/** An OUT row of the session that is being read. */
struct smq_found_out {
    uint64_t n;
    uint16_t id;
    uint8_t state;
};

/** The session whose rows are being read. */
struct smq_found_session {
    uint64_t sid;
    struct smq_worker *w;
    struct smq_session *s; /* NULL: none, or one without a HEAD row: its rows go */
    bool ends;             /* it does not live on: only its will, and what others may have, is looked at */
    bool was_online;
    uint64_t away_since; /* wall */
    struct smq_found_out *outs;
    size_t n_outs, cap_outs, next_out;
    bool outs_sorted;
};

/** What needs the content of a body whose row is still to come. */
struct smq_wait {
    struct smq_wait *next;
    enum smq_wait_kind {
        SMQ_WAIT_NAME,   /* no wait: another worker's body with the same content */
        SMQ_WAIT_FLIGHT, /* a message in flight */
        SMQ_WAIT_QUEUED, /* one that came by a shared subscription, and waits */
        SMQ_WAIT_GIVE    /* one for a group, whose member is gone */
    } kind;
    bool invented; /* NAME: it has no row yet */
    struct smq_worker *w;
    struct smq_body *body;
    struct smq_session *s;
    uint64_t n;  /* of its QUEUE row */
    uint32_t at; /* QUEUED: place in the queue; FLIGHT: packet identifier */
    uint32_t len;
    uint8_t value[]; /* of its QUEUE row */
};

/** A content that rows refer to, and by which name. */
struct smq_known {
    uint64_t content; /* 0: a free place; see content_of in recover_body.c */
    struct smq_body *body;
    struct smq_wait *waits; /* NAMEs first */
};

/** A message that is to be routed again. */
struct smq_owed {
    size_t len;
    uint8_t value[]; /* as of a BODY row; its peers are the workers of before that have not had it */
};

/** A session whose will, or end, comes when everything stands. */
struct smq_due {
    struct smq_worker *w;
    struct smq_session *s;
    bool ends;
};

struct smq_recovery {
    const struct smqtt_mem *mem;
    struct smqtt_now now;
    unsigned n;
    struct smq_worker *workers[SMQ_WORKERS_MAX];
    const struct smq_broker_config *configs[SMQ_WORKERS_MAX]; /* theirs; NULL: given back */
    struct smq_broker_config limitless;                       /* what they have meanwhile */
    struct smq_former former;                                 /* who wrote the store */
    bool has_meta;
    uint64_t passed[SMQ_WORKERS_MAX][SMQ_WORKERS_MAX]; /* to, from: as the rows say, */
    uint64_t raised[SMQ_WORKERS_MAX][SMQ_WORKERS_MAX]; /* and what they are to say */
    uint64_t n_bodies[SMQ_WORKERS_MAX];
    uint64_t version; /* the highest of all */
    size_t n_shared;  /* shared subscriptions that were made */
    uint32_t n_told;  /* subscriptions since workers last spoke to each other */
    struct smq_found_session cur;
    struct smq_known *known;
    size_t known_mask, n_known;
    struct smq_owed **owed;
    size_t n_owed, cap_owed;
    struct smq_due *due;
    size_t n_due, cap_due;
    struct smq_recovery_counts counts;
};

/** Makes room for one more of *n items of `size` bytes. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_grow(struct smq_recovery *r, void **items, size_t n, size_t *cap, size_t size);
/** The worker of now that a name belongs to. */
struct smq_worker *smq_recovery_owner(const struct smq_recovery *r, smq_span name);
/** A row that is of no use: it will be deleted. */
void smq_recovery_drop(struct smq_recovery *r, struct smq_worker *w, smq_span key);
/** Workers speak to each other until they have nothing more to say. */
void smq_recovery_exchange(struct smq_recovery *r);

/* ---- sessions (recover_session.c) */

/** A row of SMQ_TABLE_SESSION. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_session_row(struct smq_recovery *r, const struct smq_key_parts *parts, smq_span key,
                                                smq_span value);
/** No more rows of the session that was read last. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_session_over(struct smq_recovery *r);
/** The content of a body that something of a session has waited for. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_content_came(struct smq_recovery *r, struct smq_wait *wait,
                                                 const struct smq_content *c);
/** It does not come. */
void smq_recovery_content_missing(struct smq_recovery *r, struct smq_wait *wait);
/** Sessions end, and wills of those that were online fire. */
void smq_recovery_fire(struct smq_recovery *r);

/* ---- bodies (recover_body.c) */

/** The body of worker w for the content that a QUEUE row names with this mid; counted there. *body stays NULL when the
 * mid is none. If (*body)->mid differs, the row is to be written anew with that. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_body(struct smq_recovery *r, struct smq_worker *w, uint64_t mid, uint32_t size,
                                         struct smq_body **body);
/** Waits for the content of a mid that smq_recovery_body knows, or (GIVE) nobody else does. *wait: filled in by the
 * caller. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_wait(struct smq_recovery *r, uint64_t mid, smq_span value, struct smq_wait **wait);
/** A BODY row. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_body_row(struct smq_recovery *r, uint64_t mid, smq_span key, smq_span value);
/** All rows were there: what waits in vain is given up, and numbers go on above the highest. */
void smq_recovery_bodies_over(struct smq_recovery *r);
/** Writes how far workers are with what was sent before, now that it was routed. */
void smq_recovery_write_passed(struct smq_recovery *r);
void smq_recovery_bodies_free(struct smq_recovery *r);

/* ---- what was on its way (recover_owed.c) */

/** A message that is to be routed again when everything stands. group: only to that; `to` is not looked at then.
 * SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_owe(struct smq_recovery *r, uint64_t to, smq_span group,
                                        const struct smq_content *c);
/** Routes all of it. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_recovery_route(struct smq_recovery *r);
void smq_recovery_owed_free(struct smq_recovery *r);

#endif
