/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/durable.h"
#include "broker/gate.h"

enum { REASON_ID_NOT_FOUND = 0x92 };

/* One that was to be sent again needs not to be, now that it is answered. */
static void settle_resend(struct smq_session *s, struct smq_out_slot *slot)
{
    if ((slot->sent & SMQ_MUST_RESEND) != 0) {
        slot->sent = (slot->sent & SMQ_HAS_OUT) | SMQ_WAS_SENT;
        s->n_unsent--;
    }
}

/* Behind the commit of what it says: a client that has it forgets the message. */
static smqtt_err send_pubrel(const struct smq_session *s, uint16_t id)
{
    if (s->stored != NULL) {
        SMQ_TRY(smq_gate_now(s->conn));
    }
    return smq_conn_write_ack(s->conn, SMQ_PUBREL, id, 0);
}

static void finish(struct smq_worker *w, struct smq_session *s, struct smq_out_slot *slot)
{
    if (slot->sent != SMQ_WAS_SENT) {
        settle_resend(s, slot);
        smq_durable_finished(w, s, slot);
    }
    smq_session_let_go(w, s, slot);
    smq_inflight_remove(&s->out, w->mem, slot);
    if (s->conn->hold != NULL) {
        smq_conn_make_dirty(s->conn); /* what it owed may be what it was read on for */
    }
    if (s->queue.n != 0 || s->n_unsent != 0 || s->pulls != NULL || s->shares != NULL) {
        smq_session_pump(w, s);
    }
}

smqtt_err smq_on_ack(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    struct smq_session *s = conn->session;
    const struct smq_ack *ack = &pkt->ack;
    struct smq_out_slot *slot;
    switch (smq_inflight_ack(&s->out, (uint8_t)pkt->type, ack->id, ack->reason, &slot)) {
    case SMQ_OUT_FAILED:
        w->stats.publish_dropped++;
        finish(w, s, slot);
        return SMQTT_OK;
    case SMQ_OUT_DONE:
        finish(w, s, slot);
        return SMQTT_OK;
    case SMQ_OUT_SEND_PUBREL:
        settle_resend(s, slot);
        smq_durable_received(w, s, slot);
        smq_session_let_go(w, s, slot);
        return send_pubrel(s, ack->id);
    case SMQ_OUT_RESEND_PUBREL:
        return send_pubrel(s, ack->id);
    case SMQ_OUT_UNKNOWN:
        /* In 3.x, too, the client must get out of its state: it waits for PUBREL. */
        return pkt->type == SMQ_PUBREC ? smq_conn_write_ack(conn, SMQ_PUBREL, ack->id, REASON_ID_NOT_FOUND) : SMQTT_OK;
    case SMQ_OUT_WRONG:
        return SMQTT_E_PROTOCOL;
    }
    return SMQTT_E_BUG;
}

smqtt_err smq_on_pubrel(struct smq_worker *w, struct smq_conn *conn, struct smq_packet *pkt)
{
    struct smq_session *s = conn->session;
    bool was_open = smq_qos2_in_release(&s->in, w->mem, pkt->ack.id);
    if (s->stored != NULL) {
        if (was_open) {
            smq_durable_in(w, s, pkt->ack.id, false);
        }
        SMQ_TRY(smq_gate_now(conn)); /* it may use the identifier again after PUBCOMP, also when we have crashed */
    }
    return smq_conn_write_ack(conn, SMQ_PUBCOMP, pkt->ack.id, was_open ? 0 : REASON_ID_NOT_FOUND);
}
