/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies, and messages on their way to other workers. */
#include "base/mutate.h"
#include "broker/durable.h"
#include "broker/route.h"

enum { FIRST_ITEMS = 16, KEPT_ITEMS = 4096 };

static uint64_t bit_of(unsigned worker)
{
    return UINT64_C(1) << worker;
}

/* ------------------------------------------------------------ what a peer has not confirmed */

static bool reserve(struct smq_worker *w, struct smq_transit *t)
{
    if (t->n < t->cap) {
        return true;
    }
    uint32_t cap = t->cap != 0 ? t->cap * 2 : FIRST_ITEMS;
    struct smq_body **items = smq_mem_alloc(w->mem, cap * sizeof *items);
    if (items == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        items[i] = t->items[(t->head + i) & (t->cap - 1)];
    }
    smq_mem_free(w->mem, t->items);
    *t = (struct smq_transit){.items = items, .n = t->n, .cap = cap};
    return true;
}

static void push(struct smq_transit *t, struct smq_body *body)
{
    t->items[(t->head + t->n) & (t->cap - 1)] = body;
    t->n++;
}

static void pop(struct smq_worker *w, struct smq_transit *t)
{
    t->head = (t->head + 1) & (t->cap - 1);
    t->n--;
    if (t->n == 0 && t->cap > KEPT_ITEMS) { /* so many are a rare thing */
        smq_mem_free(w->mem, t->items);
        *t = (struct smq_transit){0};
    }
}

/* ------------------------------------------------------------ bodies */

static struct smq_body *make(struct smq_worker *w, uint64_t mid, uint32_t size)
{
    struct smq_body *body = smq_mem_alloc(w->mem, sizeof *body);
    if (body != NULL) {
        *body = (struct smq_body){.mid = mid, .size = size};
        smq_list_init(&body->of_worker);
        smq_list_push_back(&w->bodies, &body->of_worker);
    }
    return body;
}

static void body_free(struct smq_worker *w, struct smq_body *body)
{
    smq_list_remove(&body->of_worker);
    smq_msg_unref(body->msg);
    smq_mem_free(w->mem, body);
}

static void write_row(struct smq_worker *w, struct smq_body *body, const struct smq_content *c, smq_span group)
{
    struct smq_row_body row = {.peers = body->peers, .group = group, .content = *c};
    struct smq_key key = smq_key_body(body->mid);
    struct smq_wr wr = smq_wr_measure();
    smq_row_write_body(&wr, &row, w->now);
    uint8_t *at = smq_store_put_room(w, smq_key_span(&key), wr.len);
    if (at != NULL) {
        wr = smq_wr_of(at, wr.len);
        smq_row_write_body(&wr, &row, w->now);
    }
    body->written = true;
}

struct smq_body *smq_body_new(struct smq_worker *w, const struct smq_content *c, uint64_t peers)
{
    for (uint64_t left = peers; left != 0; left &= left - 1) {
        if (!reserve(w, &w->peers.of[__builtin_ctzll(left)].transit)) {
            return NULL;
        }
    }
    uint64_t mid = (uint64_t)w->index << SMQ_MID_SHIFT | (w->n_bodies + 1);
    struct smq_body *body = make(w, mid, (uint32_t)smq_msg_size(c));
    if (body != NULL) {
        body->peers = peers;
        w->n_bodies++;
    }
    return body;
}

struct smq_body *smq_body_found(struct smq_worker *w, uint64_t mid, uint32_t size, uint32_t rows)
{
    struct smq_body *body = make(w, mid, size);
    if (body != NULL) {
        body->rows = rows;
        body->written = true;
    }
    return body;
}

void smq_body_leaves(struct smq_worker *w, struct smq_body *body, const struct smq_content *c, smq_span group)
{
    for (uint64_t left = body->peers; left != 0; left &= left - 1) {
        push(&w->peers.of[__builtin_ctzll(left)].transit, body);
    }
    uint64_t peers = body->peers;
    body->peers = SMQ_MUTATE(passed_early) ? 0 : peers;
    write_row(w, body, c, group);
    body->peers = peers;
}

struct smq_body *smq_body_ref(struct smq_worker *w, struct smq_routing *r)
{
    struct smq_body *body = r->body;
    if (body == NULL) {
        return NULL;
    }
    if (!body->written) {
        write_row(w, body, &r->content, (smq_span){NULL, 0});
    }
    body->rows++;
    return body;
}

void smq_body_settle(struct smq_worker *w, struct smq_body *body)
{
    if (body == NULL || body->rows != 0 || body->peers != 0) {
        return;
    }
    if (body->written) {
        smq_store_del_key(w, smq_key_body(body->mid));
    }
    body_free(w, body);
}

void smq_body_unref(struct smq_worker *w, struct smq_body *body)
{
    body->rows--;
    if (SMQ_MUTATE(body_gone) && body->rows == 1 && body->written) {
        smq_store_del_key(w, smq_key_body(body->mid));
    }
    smq_body_settle(w, body);
}

void smq_bodies_deinit(struct smq_worker *w)
{
    struct smq_list *at;
    while ((at = smq_list_first(&w->bodies)) != NULL) {
        body_free(w, SMQ_CONTAINER_OF(at, struct smq_body, of_worker));
    }
}

static smqtt_err travel(struct smq_worker *w, unsigned to, enum smq_note_type type, struct smq_routing *r,
                        struct smq_note_msg *fields)
{
    struct smq_body *body = smq_body_new(w, &r->content, bit_of(to));
    if (body == NULL) {
        return SMQTT_E_NOMEM;
    }
    fields->mid = body->mid;
    smqtt_err err = smq_peer_send(w, to, type, r, fields);
    if (err == SMQTT_OK) {
        smq_body_leaves(w, body, &r->content, r->group);
    } else {
        body->peers = 0;
        smq_body_settle(w, body);
    }
    return err;
}

smqtt_err smq_durable_travel(struct smq_worker *w, unsigned to, enum smq_note_type type, struct smq_routing *r,
                             struct smq_note_msg *fields, smq_span group)
{
    smq_span before = r->group;
    r->group = group;
    smqtt_err err = group.len != 0 ? travel(w, to, type, r, fields) : smq_peer_send(w, to, type, r, fields);
    r->group = before;
    if (err != SMQTT_OK && group.len != 0) {
        smq_store_lose(w);
    }
    return err;
}

/* ------------------------------------------------------------ who has stored sessions */

uint64_t smq_durable_peers(const struct smq_worker *w)
{
    return w->peers.stored;
}

/* Whoever did not hear of it hears it with the next subscription; all are told again, for announcements are counted. */
void smq_durable_announce(struct smq_worker *w)
{
    struct smq_peers *p = &w->peers;
    if (!smq_has_store(w) || p->of == NULL || p->announced_stored) {
        return;
    }
    p->announced++;
    p->announced_stored = true;
    for (unsigned i = 0; i < w->count; i++) {
        struct smq_note_num *note = i != w->index ? smq_peer_note(w, i, SMQ_NOTE_STORED, sizeof *note) : NULL;
        if (note != NULL) {
            note->number = p->announced;
        }
        p->announced_stored = p->announced_stored && (note != NULL || i == w->index);
    }
}

void smq_durable_on_stored(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    w->peers.stored |= bit_of(from);
    w->peers.of[from].heard = ((const struct smq_note_num *)head)->number;
}

/* ------------------------------------------------------------ what is safe where */

void smq_durable_passed(struct smq_worker *w, unsigned from, uint64_t mid)
{
    if (mid > w->peers.of[from].passed) {
        w->peers.of[from].passed = mid;
    }
}

void smq_durable_put_passed(struct smq_worker *w)
{
    for (unsigned i = 0; w->has_store && w->peers.of != NULL && i < w->count; i++) {
        struct smq_peer *p = &w->peers.of[i];
        if (p->passed == p->last.number) {
            continue;
        }
        uint8_t value[sizeof(uint64_t)];
        struct smq_wr wr = smq_wr_of(value, sizeof value);
        smq_row_write_number(&wr, p->passed);
        smq_store_put_key(w, smq_key_passed(w->index, i), smq_wr_span(&wr));
        p->last = (struct smq_passed_at){smq_store_mark(w), p->passed};
        if (p->first.number == 0) {
            p->first = p->last;
        }
    }
}

/* Of what was written only the oldest and the newest is known: what was between them is told a commit later. */
void smq_durable_committed(struct smq_worker *w)
{
    for (unsigned i = 0; w->peers.of != NULL && i < w->count; i++) {
        struct smq_peer *p = &w->peers.of[i];
        if (p->first.number == 0 || p->first.mark > w->mark) {
            continue;
        }
        bool all = p->last.mark <= w->mark;
        p->safe = all ? p->last.number : p->first.number;
        p->first = all ? (struct smq_passed_at){0} : p->last;
    }
}

void smq_durable_on_passed(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    uint64_t number = ((const struct smq_note_num *)head)->number;
    struct smq_transit *t = &w->peers.of[from].transit;
    while (t->n != 0 && t->items[t->head]->mid <= number) {
        struct smq_body *body = t->items[t->head];
        pop(w, t);
        body->peers &= ~bit_of(from);
        smq_body_settle(w, body);
    }
}
