/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SMQTT_BROKER_WRITES_H
#define SMQTT_BROKER_WRITES_H
/* What one turn of one worker has for the store: operations, one after the other, in one block of memory. The worker
 * only appends; who commits it reads. All operations of one struct smq_writes are committed together or not at all, and
 * those of one worker in the order of their numbers. */
#include "base/mem.h"
#include "base/span.h"

enum smq_write_op {
    SMQ_WRITE_PUT = 1,
    SMQ_WRITE_DEL,
    SMQ_WRITE_DEL_PREFIX, /* every key that begins so */
    SMQ_WRITE_GET         /* nothing is written: the row is wanted, as it is behind the operations before this one */
};

struct smq_writes {
    struct smq_writes *next; /* whoever has it may chain it */
    const struct smqtt_mem *mem;
    uint64_t number;           /* of this worker's writes, from 1, without gaps */
    unsigned worker;           /* whose it is */
    uint32_t n_writes, n_gets; /* operations */
    size_t len, cap;           /* of bytes */
    uint8_t *bytes;
};

/** One operation, a view. */
struct smq_write {
    enum smq_write_op op;
    smq_span key, value; /* value: PUT only */
};

/** An empty one. NULL: no memory. `mem` (NULL: malloc) must be fit for the thread that frees it. */
struct smq_writes *smq_writes_new(const struct smqtt_mem *mem, unsigned worker, uint64_t number) SMQ_MUST_USE;
/** NULL allowed. From any thread. */
void smq_writes_free(struct smq_writes *writes);
/** Room for operations of `n` keys and values with `bytes` bytes together, so that smq_writes_add cannot fail for that
 * much. SMQTT_E_NOMEM: nothing changed. */
SMQ_MUST_USE smqtt_err smq_writes_reserve(struct smq_writes *writes, size_t n, size_t bytes);
/** Appends an operation; `value` is looked at with PUT only. Keys have 1..65,535 bytes. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_writes_add(struct smq_writes *writes, enum smq_write_op op, smq_span key, smq_span value);
/** A PUT whose value of `len` bytes is to be filled in at once by the caller; NULL without memory. */
uint8_t *smq_writes_put_room(struct smq_writes *writes, smq_span key, size_t len) SMQ_MUST_USE;
/** The next operation behind *at (begin with 0); false at the end. */
bool smq_writes_next(const struct smq_writes *writes, size_t *at, struct smq_write *out);

/** Rows that were wanted with GET, in one block. */
struct smq_fetched {
    struct smq_fetched *next; /* whoever has it may chain it */
    const struct smqtt_mem *mem;
    uint64_t number; /* of the writes that asked */
    unsigned worker;
    bool failed; /* the store could not be read: what is missing may be there */
    size_t len, cap;
    uint8_t *bytes;
};
/** One of them, a view. */
struct smq_fetched_row {
    smq_span key, value;
    bool found;
};
/** NULL: no memory. */
struct smq_fetched *smq_fetched_new(const struct smqtt_mem *mem, unsigned worker, uint64_t number) SMQ_MUST_USE;
void smq_fetched_free(struct smq_fetched *fetched);
/** Appends a row; found false: there is none of this key. SMQTT_E_NOMEM. */
SMQ_MUST_USE smqtt_err smq_fetched_add(struct smq_fetched *fetched, smq_span key, bool found, smq_span value);
/** The next row behind *at (begin with 0); false at the end. */
bool smq_fetched_next(const struct smq_fetched *fetched, size_t *at, struct smq_fetched_row *out);

#endif
