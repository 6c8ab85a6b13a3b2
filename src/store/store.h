/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_STORE_STORE_H
#define SMQTT_STORE_STORE_H
/* Where what must survive is kept: keys and values in the order of their bytes. One thread uses a store at a time. What
 * the rows mean is known to broker/rows.h alone. A store is a row in the table of smq_store_kinds and a file. */
#include "broker/writes.h"

/** Why something failed, for people: one sentence with cause, place and mend. */
struct smq_store_why {
    char text[512];
};

struct smq_store;

enum smq_store_mode {
    SMQ_STORE_READ_WRITE,
    SMQ_STORE_READ_ONLY /* nothing on the disk is touched */
};

/** A kind of store. Every function but open and close may be called only with an open one. */
struct smq_store_kind {
    const char *name; /* as in `smqtt_store` */
    bool on_disk;     /* needs a directory */
    /**
     * Opens the store in the directory `path` (NULL for those that have none), which exists, and makes it if there is
     * none.
     * @retval SMQTT_E_CORRUPT  there is one, and it is damaged beyond what a cut in the middle of a write explains
     * @retval SMQTT_E_BUSY     another process (or this one) has it open
     * @retval SMQTT_E_IO       the disk says no (full, read-only, no right); READ_ONLY: or there is none
     * @retval SMQTT_E_NOMEM
     */
    smqtt_err (*open)(const char *path, enum smq_store_mode mode, const struct smqtt_mem *mem, struct smq_store **out,
                      struct smq_store_why *why);
    /** Waits for what the store does in the background and frees it. What was written without sync is written out. */
    void (*close)(struct smq_store *store);
    /** Opens it anew in its place after SMQTT_E_IO of write or sync. On failure (the disk is still full, …) every call
     * but close and reopen gives SMQTT_E_IO, and it may be tried again. Errors as open. */
    smqtt_err (*reopen)(struct smq_store *store, struct smq_store_why *why);
    /**
     * Writes all operations of all `n` writes, in this order, as one: after a crash all of them are there or none. GETs
     * are skipped.
     * @param sync  they survive a cut of power when this returns SMQTT_OK; else the end of the process only
     * @retval SMQTT_E_IO     nothing more will be taken before reopen. All of it is there behind that, or nothing: to
     *                        write the same once more is right in both cases
     * @retval SMQTT_E_NOMEM  nothing of it is there; the store goes on
     */
    smqtt_err (*write)(struct smq_store *store, struct smq_writes *const *writes, size_t n, bool sync,
                       struct smq_store_why *why);
    /** What was written before survives a cut of power when this returns SMQTT_OK. SMQTT_E_IO. */
    smqtt_err (*sync)(struct smq_store *store, struct smq_store_why *why);
    /** The value of a key, handed to `fn` during the call; not called when there is none. SMQTT_E_IO, SMQTT_E_CORRUPT.
     */
    smqtt_err (*get)(struct smq_store *store, smq_span key, void (*fn)(void *ctx, smq_span value), void *ctx,
                     struct smq_store_why *why);
    /** All rows whose keys begin with `prefix` (may be empty), in the order of their keys, until fn returns other than
     * SMQTT_OK, which is then returned. fn must not call the store. SMQTT_E_IO, SMQTT_E_CORRUPT. */
    smqtt_err (*each)(struct smq_store *store, smq_span prefix,
                      smqtt_err (*fn)(void *ctx, smq_span key, smq_span value), void *ctx, struct smq_store_why *why);
    /** Gives back, in the background, what removed rows still take on the disk. For a while after many were removed it
     * is to be called once a second or so; when there is nothing to do it is cheap. */
    void (*shrink)(struct smq_store *store);
    /** Bytes on the disk, or in memory for one that has no disk; as good as it is known without much work. */
    uint64_t (*size)(struct smq_store *store);
};

/** What every store begins with. */
struct smq_store {
    const struct smq_store_kind *kind;
};

extern const struct smq_store_kind smq_store_memory, smq_store_rocksdb;
/** All kinds, the default first, with a NULL behind them. */
const struct smq_store_kind *const *smq_store_kinds(void);
/** The kind of that name, or NULL. */
const struct smq_store_kind *smq_store_kind_named(const char *name);

#endif
