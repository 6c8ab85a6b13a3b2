/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the messages that wait for a stored session, or are in flight to it. */
#include "broker/durable.h"
#include "broker/route.h"
#include "broker/share.h"

uint64_t smq_durable_deliver(struct smq_worker *w, struct smq_session *s, struct smq_routing *r,
                             const struct smq_send *send)
{
    uint64_t n = ++s->stored->n_rows;
    const struct smq_body *body = smq_body_ref(w, r);
    struct smq_row_queue row = {.mid = body != NULL ? body->mid : 0,
                                .size = (uint32_t)smq_msg_size(&r->content),
                                .expires = r->content.expires,
                                .packet = send->id,
                                .qos = send->qos,
                                .retain = send->retain,
                                .n_ids = (uint32_t)send->n_ids,
                                .ids = send->ids,
                                .content = r->content};
    if (r->share != NULL) {
        row.share = smq_shared_filter(r->share);
    }
    struct smq_wr wr = smq_wr_measure();
    smq_row_write_queue(&wr, &row, w->now);
    struct smq_key key = smq_key_queue(s->stored->sid, n);
    uint8_t *at = smq_store_put_room(w, smq_key_span(&key), wr.len);
    if (at != NULL) {
        wr = smq_wr_of(at, wr.len);
        smq_row_write_queue(&wr, &row, w->now);
    }
    return n;
}

void smq_durable_set_row(void *delivery, uint64_t n, struct smq_body *body)
{
    *smq_delivery_row(delivery) = (struct smq_delivery_row){n, body};
    if (body != NULL) {
        smq_body_load(body, smq_delivery_msg(delivery));
    }
}

static void put_out(struct smq_worker *w, const struct smq_session *s, struct smq_out_slot *slot)
{
    const struct smq_row_out row = {smq_delivery_row(slot->msg)->n, slot->state};
    uint8_t value[16];
    struct smq_wr wr = smq_wr_of(value, sizeof value);
    smq_row_write_out(&wr, &row);
    smq_store_put_key(w, smq_key_packet(s->stored->sid, SMQ_ROW_OUT, slot->id), smq_wr_span(&wr));
    slot->sent |= SMQ_HAS_OUT;
}

void smq_durable_sent(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot)
{
    if (s->stored != NULL && smq_delivery_has_row(slot->msg)) {
        put_out(w, s, slot);
    }
}

void smq_durable_received(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot)
{
    smq_durable_sent(w, s, slot); /* with the state of now */
}

void smq_durable_finished_row(struct smq_worker *w, const struct smq_session *s, const struct smq_out_slot *slot)
{
    if (s->stored != NULL) {
        smq_store_del_key(w, smq_key_packet(s->stored->sid, SMQ_ROW_OUT, slot->id));
    }
}

void smq_durable_let_go_paged(struct smq_worker *w, const struct smq_session *s, uint64_t n, struct smq_body *body)
{
    if (w->ending) {
        return;
    }
    if (s->stored != NULL) {
        smq_store_del_key(w, smq_key_queue(s->stored->sid, n));
    }
    if (body != NULL) {
        smq_body_unref(w, body);
    }
}

void smq_durable_let_go_row(struct smq_worker *w, const struct smq_session *s, void *delivery)
{
    struct smq_delivery_row *row = smq_delivery_row(delivery);
    if (row->n == 0 || w->ending) {
        return;
    }
    if (row->body != NULL) {
        smq_body_unload(row->body);
    }
    smq_durable_let_go_paged(w, s, row->n, row->body);
    *row = (struct smq_delivery_row){0};
}

void smq_body_load(struct smq_body *body, struct smq_refbuf *msg)
{
    body->loaded++;
    if (body->msg == NULL) {
        body->msg = smq_refbuf_ref(msg);
    }
}

void smq_body_unload(struct smq_body *body)
{
    body->loaded--;
    if (body->loaded == 0) {
        smq_msg_unref(body->msg);
        body->msg = NULL;
    }
}
