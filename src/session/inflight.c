/* SPDX-License-Identifier: Apache-2.0 */
#include "session/inflight.h"

enum { FIRST_SIZE = 8, LAST_SIZE = 65536, TYPE_PUBACK = 4, TYPE_PUBREC = 5, TYPE_PUBCOMP = 7 };

static uint16_t id_after(uint16_t id)
{
    return id == UINT16_MAX ? 1 : (uint16_t)(id + 1);
}

static struct smq_out_slot *slot_of(const struct smq_inflight *f, uint16_t id)
{
    return &f->slots[id & (f->size - 1)];
}

void smq_inflight_init(struct smq_inflight *f)
{
    *f = (struct smq_inflight){.next_id = 1};
}

void smq_inflight_deinit(struct smq_inflight *f, const struct smqtt_mem *mem)
{
    smq_mem_free(mem, f->slots);
    f->slots = NULL;
    f->size = 0;
    f->count = 0;
}

/* Identifiers that differ modulo the size differ modulo a multiple of it, too: each finds a place of its own. Four
 * times the size, for a window fills quickly or hardly at all. */
static smqtt_err grow(struct smq_inflight *f, const struct smqtt_mem *mem)
{
    uint32_t size = f->size != 0 ? f->size * 4 : FIRST_SIZE;
    size = size < LAST_SIZE ? size : LAST_SIZE;
    struct smq_out_slot *slots = smq_mem_zalloc(mem, size, sizeof *slots);
    if (slots == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (uint32_t i = 0; i < f->size; i++) {
        if (f->slots[i].id != 0) {
            slots[f->slots[i].id & (size - 1)] = f->slots[i];
        }
    }
    smq_mem_free(mem, f->slots);
    f->slots = slots;
    f->size = size;
    return SMQTT_OK;
}

smqtt_err smq_inflight_add(struct smq_inflight *f, const struct smqtt_mem *mem, uint8_t qos, void *msg, uint16_t max,
                           struct smq_out_slot **slot)
{
    if (f->count >= max) {
        return SMQTT_E_BUSY;
    }
    /* One for the new one, and one for identifier 0: so that those in a row never collide when they wrap around. */
    if (f->count + 2 > f->size && f->size < LAST_SIZE) {
        SMQ_TRY(grow(f, mem));
    }
    /* At least one slot is free; who waits long is stepped over once a round of the table, but never overtaken. */
    uint16_t id = f->next_id;
    while (slot_of(f, id)->id != 0) {
        if (id == f->oldest) {
            return SMQTT_E_BUSY;
        }
        id = id_after(id);
    }
    struct smq_out_slot *s = slot_of(f, id);
    *s = (struct smq_out_slot){.msg = msg, .id = id, .state = qos == 2 ? SMQ_OUT_WAIT_PUBREC : SMQ_OUT_WAIT_PUBACK};
    if (f->count == 0) {
        f->oldest = id;
    }
    f->count++;
    f->next_id = id_after(id);
    *slot = s;
    return SMQTT_OK;
}

/* How far the identifier is from the oldest one, in the order in which they are taken. */
static uint16_t distance(const struct smq_inflight *f, uint16_t id)
{
    return id >= f->oldest ? (uint16_t)(id - f->oldest) : (uint16_t)(UINT16_MAX - f->oldest + id);
}

smqtt_err smq_inflight_restore(struct smq_inflight *f, const struct smqtt_mem *mem, uint16_t id,
                               enum smq_out_state state, void *msg, struct smq_out_slot **slot)
{
    if (id == 0 || smq_inflight_find(f, id) != NULL) {
        return SMQTT_E_USAGE;
    }
    while (f->size == 0 || slot_of(f, id)->id != 0) {
        SMQ_TRY(grow(f, mem)); /* at its last size each identifier has a place of its own */
    }
    struct smq_out_slot *s = slot_of(f, id);
    *s = (struct smq_out_slot){.msg = msg, .id = id, .state = (uint8_t)state};
    if (f->count == 0) {
        f->oldest = id;
        f->next_id = id_after(id);
    } else if (f->next_id != f->oldest && distance(f, id) >= distance(f, f->next_id)) {
        f->next_id = id_after(id);
    }
    f->count++;
    *slot = s;
    return SMQTT_OK;
}

struct smq_out_slot *smq_inflight_find(struct smq_inflight *f, uint16_t id)
{
    if (f->count == 0 || id == 0) {
        return NULL;
    }
    struct smq_out_slot *s = slot_of(f, id);
    return s->id == id ? s : NULL;
}

void smq_inflight_remove(struct smq_inflight *f, const struct smqtt_mem *mem, struct smq_out_slot *slot)
{
    uint16_t id = slot->id;
    *slot = (struct smq_out_slot){0};
    f->count--;
    if (f->count == 0) {
        smq_inflight_deinit(f, mem);
        return;
    }
    if (id == f->oldest) {
        while (slot_of(f, f->oldest)->id != f->oldest) {
            f->oldest = id_after(f->oldest);
        }
    }
}

struct smq_out_slot *smq_inflight_next(struct smq_inflight *f, struct smq_out_slot *after)
{
    if (f->count == 0) {
        return NULL;
    }
    uint16_t id = after != NULL ? id_after(after->id) : f->oldest;
    bool first = after == NULL;
    while (first || id != f->next_id) {
        first = false;
        struct smq_out_slot *s = slot_of(f, id);
        if (s->id == id) {
            return s;
        }
        id = id_after(id);
    }
    return NULL;
}

static enum smq_out_action on_pubrec(struct smq_out_slot *s, uint8_t reason)
{
    bool refused = reason >= 0x80;
    if (s->state == SMQ_OUT_WAIT_PUBREC) {
        if (refused) {
            return SMQ_OUT_FAILED;
        }
        s->state = SMQ_OUT_WAIT_PUBCOMP;
        return SMQ_OUT_SEND_PUBREL;
    }
    if (s->state == SMQ_OUT_WAIT_PUBCOMP) {
        return refused ? SMQ_OUT_FAILED : SMQ_OUT_RESEND_PUBREL;
    }
    return SMQ_OUT_WRONG;
}

enum smq_out_action smq_inflight_ack(struct smq_inflight *f, uint8_t type, uint16_t id, uint8_t reason,
                                     struct smq_out_slot **slot)
{
    struct smq_out_slot *s = smq_inflight_find(f, id);
    *slot = s;
    if (s == NULL) {
        return SMQ_OUT_UNKNOWN;
    }
    switch (type) {
    case TYPE_PUBACK:
        if (s->state != SMQ_OUT_WAIT_PUBACK) {
            return SMQ_OUT_WRONG;
        }
        return reason >= 0x80 ? SMQ_OUT_FAILED : SMQ_OUT_DONE;
    case TYPE_PUBREC:
        return on_pubrec(s, reason);
    case TYPE_PUBCOMP:
        return s->state == SMQ_OUT_WAIT_PUBCOMP ? SMQ_OUT_DONE : SMQ_OUT_WRONG;
    default:
        return SMQ_OUT_WRONG;
    }
}
