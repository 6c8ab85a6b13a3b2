/* SPDX-License-Identifier: Apache-2.0 */
/* The writes of a turn. */
#include "broker/durable.h"
#include "broker/gate.h"
#include "broker/held.h"
#include "broker/writes.h"

uint64_t smq_store_mark(const struct smq_worker *w)
{
    return w->n_written;
}

/* Without memory for a row nothing of this turn may be committed, nor anything after it: it could be acknowledged
 * without being there. Only a new start mends that; what is on the disk is whole. */
void smq_store_lose(struct smq_worker *w)
{
    w->n_rows_written++;
    if (!w->store_lost) {
        w->n_written += w->writes == NULL; /* a mark that is never reached */
        smq_log(w->log, SMQ_LOG_ERR,
                "No memory for what worker %u has to store: nothing is acknowledged any more; start the broker anew.",
                w->index);
    }
    w->store_lost = true;
}

static bool is_kept(const struct smq_worker *w)
{
    return w->has_store && !w->ending && !w->store_lost;
}

/* False: nothing is to be written, or nothing can be. */
static bool begin(struct smq_worker *w)
{
    if (!is_kept(w)) {
        return false;
    }
    if (w->writes == NULL) {
        w->n_written++;
        w->writes = smq_writes_new(w->mem, w->index, w->n_written);
    }
    return w->writes != NULL;
}

static void add(struct smq_worker *w, enum smq_write_op op, smq_span key, smq_span value)
{
    w->n_rows_written += op != SMQ_WRITE_GET;
    bool added = begin(w) && smq_writes_add(w->writes, op, key, value) == SMQTT_OK;
    if (!added && is_kept(w)) {
        smq_store_lose(w);
    }
}

void smq_store_put(struct smq_worker *w, smq_span key, smq_span value)
{
    add(w, SMQ_WRITE_PUT, key, value);
}

void smq_store_del(struct smq_worker *w, smq_span key)
{
    add(w, SMQ_WRITE_DEL, key, (smq_span){NULL, 0});
}

void smq_store_del_prefix(struct smq_worker *w, smq_span prefix)
{
    add(w, SMQ_WRITE_DEL_PREFIX, prefix, (smq_span){NULL, 0});
}

void smq_store_get(struct smq_worker *w, smq_span key)
{
    add(w, SMQ_WRITE_GET, key, (smq_span){NULL, 0});
}

void smq_store_put_key(struct smq_worker *w, struct smq_key key, smq_span value)
{
    smq_store_put(w, smq_key_span(&key), value);
}

void smq_store_del_key(struct smq_worker *w, struct smq_key key)
{
    smq_store_del(w, smq_key_span(&key));
}

uint8_t *smq_store_put_room(struct smq_worker *w, smq_span key, size_t len)
{
    w->n_rows_written++;
    uint8_t *at = begin(w) ? smq_writes_put_room(w->writes, key, len) : NULL;
    if (at == NULL && is_kept(w)) {
        smq_store_lose(w);
    }
    return at;
}

/* ------------------------------------------------------------ the shell's side */

struct smq_writes *smq_worker_take_writes(struct smq_worker *w)
{
    smq_durable_put_passed(w);
    struct smq_writes *writes = w->writes;
    w->writes = NULL;
    if (w->store_lost) {
        smq_writes_free(writes);
        return NULL;
    }
    return writes;
}

void smq_worker_committed(struct smq_worker *w, uint64_t n, struct smqtt_now now)
{
    w->now = now;
    if (n > w->mark) {
        w->mark = n;
        smq_durable_committed(w);
        smq_held_release(w);
        smq_gate_open(w);
    }
}
