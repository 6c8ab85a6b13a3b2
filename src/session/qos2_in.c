/* SPDX-License-Identifier: Apache-2.0 */
#include "session/inflight.h"

enum { FIRST_CAP = 8 };

void smq_qos2_in_init(struct smq_qos2_in *q)
{
    *q = (struct smq_qos2_in){0};
}

void smq_qos2_in_deinit(struct smq_qos2_in *q, const struct smqtt_mem *mem)
{
    smq_mem_free(mem, q->ids);
    *q = (struct smq_qos2_in){0};
}

/* Index of the first identifier that is not below id. Most come in rising order: the end is tried first. */
static uint32_t place_of(const struct smq_qos2_in *q, uint16_t id)
{
    if (q->n == 0 || q->ids[q->n - 1] < id) {
        return q->n;
    }
    uint32_t low = 0, high = q->n - 1;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (q->ids[mid] < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

smqtt_err smq_qos2_in_add(struct smq_qos2_in *q, const struct smqtt_mem *mem, uint16_t id, uint16_t max, bool *fresh)
{
    uint32_t at = place_of(q, id);
    if (at < q->n && q->ids[at] == id) {
        *fresh = false;
        return SMQTT_OK;
    }
    if (q->n >= max) {
        return SMQTT_E_RECEIVE_MAX;
    }
    if (q->n == q->cap) {
        uint32_t cap = q->cap != 0 ? q->cap * 2 : FIRST_CAP;
        uint16_t *ids = smq_mem_resize(mem, q->ids, cap * sizeof *ids);
        if (ids == NULL) {
            return SMQTT_E_NOMEM;
        }
        q->ids = ids;
        q->cap = cap;
    }
    memmove(q->ids + at + 1, q->ids + at, (q->n - at) * sizeof *q->ids);
    q->ids[at] = id;
    q->n++;
    *fresh = true;
    return SMQTT_OK;
}

bool smq_qos2_in_release(struct smq_qos2_in *q, const struct smqtt_mem *mem, uint16_t id)
{
    uint32_t at = place_of(q, id);
    if (at >= q->n || q->ids[at] != id) {
        return false;
    }
    q->n--;
    memmove(q->ids + at, q->ids + at + 1, (q->n - at) * sizeof *q->ids);
    if (q->n == 0) {
        smq_qos2_in_deinit(q, mem);
    }
    return true;
}
