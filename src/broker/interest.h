/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_INTEREST_H
#define SMQTT_BROKER_INTEREST_H
/* Which other workers have a subscriber for a topic. One table for all of them, from the keyed hash of a filter to the
 * set of workers that have it, and the list of shapes in use: where a filter has `+`, how long it is, whether it ends
 * in
 * `#`. A topic is looked up once per shape that fits. Too many shapes, or levels, or no memory, make a worker
 * interested in everything: it gets notes in vain, but never misses one. */
#include "base/mem.h"
#include "broker/ledger.h"

enum { SMQ_SHAPES_MAX = 64, SMQ_SHAPE_LEVELS = 32, SMQ_INTEREST_TOPIC = 128 };

/** A filter, as workers speak of it. */
struct smq_filter_key {
    uint64_t hash;
    uint32_t plus;  /* bit n: level n is `+` */
    uint8_t levels; /* without `#`; more than SMQ_SHAPE_LEVELS: it has no shape */
    uint8_t multi;  /* ends in `#` */
    uint8_t unused[2];
};

struct smq_interest {
    const struct smqtt_mem *mem;
    uint8_t key[16];
    struct smq_interest_slot {
        uint64_t hash, workers; /* workers 0: free */
    } * slots;
    size_t mask, n;
    struct smq_shape {
        uint32_t plus;
        uint8_t levels, multi;
        uint64_t n; /* entries of this shape, those of all workers */
    } shapes[SMQ_SHAPES_MAX];
    unsigned n_shapes;
    uint64_t n_beyond;                /* entries without a place among the shapes ... */
    uint64_t beyond[SMQ_WORKERS_MAX]; /* ... by worker ... */
    uint64_t everything;              /* ... and who has some */
    uint64_t lost;                    /* who had one that no memory was found for */
    uint64_t last_workers;            /* the last answer, which is used again while nothing changed */
    uint16_t last_len;                /* 0: there is none */
    uint8_t last_topic[SMQ_INTEREST_TOPIC];
};

/** Empty; allocates nothing. The key is the same on all workers. */
void smq_interest_init(struct smq_interest *i, const struct smqtt_mem *mem, const uint8_t key[16]);
void smq_interest_deinit(struct smq_interest *i);
/** The key of a filter (without `$share/group/`). */
struct smq_filter_key smq_filter_key(const uint8_t key[16], smq_span filter);
/** The worker has a subscriber of the filter. Each filter at most once per worker. */
void smq_interest_add(struct smq_interest *i, unsigned worker, const struct smq_filter_key *filter);
/** It has none any more. */
void smq_interest_remove(struct smq_interest *i, unsigned worker, const struct smq_filter_key *filter);
/** Who shall get a message on the topic: bits of workers. Maybe some too many, never one too few. */
uint64_t smq_interest_match(struct smq_interest *i, smq_span topic);
/** The same, of those only that are known to have a filter which names the first level of the topic and does not begin
 * with a wildcard. */
uint64_t smq_interest_match_by_name(const struct smq_interest *i, smq_span topic);

#endif
