/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_FIGURES_H
#define SMQTT_BROKER_FIGURES_H
/* What the store tells about itself, for $SYS. One thread writes the numbers, any may read them; they order nothing. */
#include <stdatomic.h>
#include <stdint.h>

struct smq_store_figures {
    const char *durability;           /* as in `smqtt_durability`; stays the same */
    atomic_uint_least64_t commits;    /* groups of writes that were written as one */
    atomic_uint_least64_t operations; /* PUT, DEL, DEL_PREFIX in them */
    atomic_uint_least64_t bytes;      /* of these operations */
    atomic_uint_least64_t syncs;      /* how often the disk was waited for */
    atomic_uint_least64_t waiting;    /* bytes of writes that are given and not committed */
    atomic_uint_least64_t size;       /* bytes of the store, as of a moment ago */
    atomic_uint_least64_t last_us;    /* time that the last commit took, microseconds */
    atomic_uint_least64_t longest_us; /* and the longest one */
};

#endif
