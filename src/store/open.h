/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_STORE_OPEN_H
#define SMQTT_STORE_OPEN_H
/* Opens a store at the start of the broker, whatever state the disk is in. A broker starts with what it gets here: a
 * store that is whole, an empty one because the old one was damaged and set aside, or one that refuses. It never gets
 * half of one. */
#include "store/store.h"

/** How rows of one format become those of the next. */
struct smq_store_step {
    uint32_t from; /* format before; behind it the store has from + 1 */
    /** Appends to `writes` what is to change. All of it is committed as one, together with the number of the new
     * format. Errors of the store and SMQTT_E_NOMEM. */
    smqtt_err (*run)(struct smq_store *store, struct smq_writes *writes, struct smq_store_why *why);
};

/** What formats can be read. */
struct smq_store_formats {
    uint32_t newest;
    const struct smq_store_step *steps; /* one row per older format that can be read */
    size_t n_steps;
};
/** Those of this version: SMQ_STORE_FORMAT and what leads there. */
extern const struct smq_store_formats smq_store_formats;

struct smq_store_found {
    struct smq_store *store;  /* close it with its kind; NULL: there is none, and `refuses` */
    bool refuses;             /* it cannot be written, and on the disk nothing was touched */
    bool set_aside;           /* the old one was damaged: this one is empty, and what relied on the old one is void */
    bool is_new;              /* there is nothing in it yet */
    uint32_t migrated_from;   /* the format that it had; 0: it was of the newest one, or is new */
    struct smq_store_why say; /* a sentence for the log, loud with `refuses` and `set_aside`; "": nothing */
};

/**
 * Opens the store of this kind in the directory `path`, which is made (0700) when only its last part is missing. All
 * rows are read once, so that damage is found before anything relies on them.
 *
 * Damaged: the directory is renamed to `path`.corrupt-<UTC time>, and an empty store takes its place. Read-only disk,
 * missing rights, full disk, a store of a newer format: `refuses`, with what can be read if it can be understood.
 *
 * @param path     NULL for kinds that have no directory
 * @param formats  NULL: smq_store_formats
 * @param now      wall clock, for the name
 * @param mem      for the store; NULL: malloc
 * @param[out] out  filled in when SMQTT_OK is returned
 * @retval SMQTT_E_BUSY   another process has it open: two brokers must not share one
 * @retval SMQTT_E_NOMEM  `why` has the sentence in both cases
 */
SMQ_MUST_USE smqtt_err smq_store_open(const struct smq_store_kind *kind, const char *path,
                                      const struct smq_store_formats *formats, smqtt_ms now,
                                      const struct smqtt_mem *mem, struct smq_store_found *out,
                                      struct smq_store_why *why);

#endif
