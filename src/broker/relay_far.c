/* SPDX-License-Identifier: Apache-2.0 */
/* DETECT between clients and servers of different workers. Every worker knows the servers of all. A handshake is judged
 * by the worker of its client, exactly as when the server were there; the worker of the server passes packets on, and
 * keeps an entry that says where answers go. Records for the broker's own identity travel to worker 0 and come back
 * opened, so that what they were is published where its publisher is. */
#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/relay.h"
#include "broker/route.h"

enum { IS_WRONG = 0xFF /* in place of a header: the server's last answer was none */ };

bool smq_server_is_far(const struct smq_worker *w, const struct smq_server *s)
{
    return s->worker != w->index;
}

/* ------------------------------------------------------------ servers */

void smq_far_announce(struct smq_worker *w, const struct smq_server *s, bool begins)
{
    for (unsigned i = 0; w->peers.of != NULL && i < w->count; i++) {
        struct smq_note_server *note = i != w->index ? smq_peer_note(w, i, SMQ_NOTE_SERVER, sizeof *note) : NULL;
        if (note != NULL) {
            memcpy(note->skid, s->skid, sizeof note->skid);
            note->begins = begins;
        }
    }
}

static void add(struct smq_worker *w, unsigned from, const uint8_t *skid, uint64_t others)
{
    struct smq_server *s = smq_mem_zalloc(w->mem, 1, sizeof *s);
    if (s == NULL) {
        return; /* its clients here are told that it is unknown */
    }
    s->worker = from;
    s->others = others;
    s->proven = true;
    memcpy(s->skid, skid, sizeof s->skid);
    smq_list_init(&s->of_conn);
    smq_list_init(&s->relays);
    if (smq_map_put(&w->servers, smq_span_of(s->skid, sizeof s->skid), s, NULL) != SMQTT_OK) {
        smq_mem_free(w->mem, s);
    }
}

void smq_far_promote(struct smq_worker *w, const uint8_t *skid, uint64_t others)
{
    if (others != 0) {
        add(w, (unsigned)__builtin_ctzll(others), skid, others & (others - 1));
    }
}

static void begins(struct smq_worker *w, unsigned from, const uint8_t *skid, struct smq_server *s)
{
    uint64_t others = 0;
    if (s != NULL && s->worker < from) {
        s->others |= UINT64_C(1) << from;
        return;
    }
    if (s != NULL) {
        others = s->others | (s->worker != w->index ? UINT64_C(1) << s->worker : 0);
        s->others = 0;
        if (s->worker == w->index) {
            smq_server_refuse(w, s);
        } else {
            smq_server_free(w, s);
        }
    }
    add(w, from, skid, others & ~(UINT64_C(1) << from));
}

/* Of two that registered at the same moment on two workers the lower worker's stays, everywhere. One that moved from a
 * lower to a higher worker may be told of there before its end is told of here. */
void smq_far_on_server(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_server *note = (const struct smq_note_server *)head;
    struct smq_server *s = smq_map_get(&w->servers, smq_span_of(note->skid, sizeof note->skid));
    if (note->begins != 0) {
        begins(w, from, note->skid, s);
    } else if (s != NULL && s->worker == from) {
        smq_server_free(w, s); /* the next one takes its place */
    } else if (s != NULL) {
        s->others &= ~(UINT64_C(1) << from);
    }
}

void smq_far_deinit(struct smq_worker *w)
{
    struct smq_map_iter it = smq_map_iterate(&w->servers);
    struct smq_server *s;
    while ((s = smq_map_next(&w->servers, &it)) != NULL) {
        smq_map_del_at(&w->servers, &it);
        s->proven = false; /* it has no place in the map any more */
        s->others = 0;
        smq_server_free(w, s);
    }
}

/* ------------------------------------------------------------ handshakes */

static smqtt_err send(struct smq_worker *w, unsigned to, enum smq_note_type type, const uint8_t *key, uint8_t header,
                      smq_span body)
{
    struct smq_note_detect *note = smq_peer_note(w, to, type, sizeof *note + body.len);
    if (note == NULL) {
        return SMQTT_E_NOMEM;
    }
    memcpy(note->skid, key, SMQTT_SKID_LEN);
    memcpy(note->cid, key + SMQTT_SKID_LEN, SMQ_CID_LEN);
    note->header = header;
    note->body_len = (uint32_t)body.len;
    if (body.len != 0) {
        memcpy(note->body, body.data, body.len);
    }
    return SMQTT_OK;
}

smqtt_err smq_far_detect(struct smq_worker *w, const struct smq_relay *r, uint8_t header, smq_span body)
{
    return send(w, r->server->worker, SMQ_NOTE_DETECT, r->key, header, body);
}

void smq_far_answer(struct smq_worker *w, const struct smq_relay *r, uint8_t header, smq_span body)
{
    (void)!send(w, r->worker, SMQ_NOTE_ANSWER, r->key, header, body); /* lost, as on any bad line */
}

void smq_far_over(struct smq_worker *w, const struct smq_relay *r)
{
    if (r->client != NULL && r->server != NULL && smq_server_is_far(w, r->server)) {
        (void)!send(w, r->server->worker, SMQ_NOTE_DETECTED, r->key, 0, (smq_span){NULL, 0});
    }
}

/* A start that this worker, the server's, cannot take: its client gets a hint. */
static void refuse(struct smq_worker *w, unsigned from, const struct smq_note_detect *note, uint8_t status)
{
    struct smq_relay_head head;
    uint8_t key[SMQTT_SKID_LEN + SMQ_CID_LEN], body[SMQ_RETRY_MAX];
    smq_span bytes = {note->body, note->body_len};
    if (note->header != SMQ_DETECT_STEP1 || smq_relay_head_read(note->header, bytes, &head) != SMQTT_OK) {
        return;
    }
    memcpy(key, note->skid, SMQTT_SKID_LEN);
    memcpy(key + SMQTT_SKID_LEN, note->cid, SMQ_CID_LEN);
    size_t len = smq_relay_retry_write(&head, status, w->now.wall, body);
    (void)!send(w, from, SMQ_NOTE_ANSWER, key, SMQ_DETECT_RETRY, smq_span_of(body, len));
}

void smq_far_on_detect(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_detect *note = (const struct smq_note_detect *)head;
    smq_span body = {note->body, note->body_len};
    struct smq_server *s = smq_map_get(&w->servers, smq_span_of(note->skid, sizeof note->skid));
    struct smq_relay *r = smq_relay_find(w, note->skid, note->cid);
    if (s == NULL || smq_server_is_far(w, s)) {
        refuse(w, from, note, SMQTT_STATUS_UNKNOWN_SERVER); /* it has just gone */
        return;
    }
    if (r != NULL && (r->client != NULL || r->worker != from)) {
        refuse(w, from, note, SMQTT_STATUS_REFUSED); /* a live cid of another connection */
        return;
    }
    if (r == NULL && smq_relay_new(w, NULL, from, s, note->skid, note->cid, &r) != SMQTT_OK) {
        refuse(w, from, note, SMQTT_STATUS_BUSY);
        return;
    }
    if (s->conn == NULL) {
        smq_own_detect(w, note->header, body);
    } else if (smq_relay_write(s->conn, note->header, body) != SMQTT_OK) {
        smq_conn_fail(s->conn, SMQTT_E_NOMEM);
    }
}

void smq_far_on_answer(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_detect *note = (const struct smq_note_detect *)head;
    struct smq_relay *r = smq_relay_find(w, note->skid, note->cid);
    smq_span body = {note->body, note->body_len};
    if (r == NULL || r->client == NULL || r->server == NULL || r->server->worker != from) {
        return;
    }
    uint8_t key[SMQTT_SKID_LEN + SMQ_CID_LEN];
    memcpy(key, r->key, sizeof key);
    if (smq_relay_answer(w, r, note->header, body) != SMQTT_OK) {
        (void)!send(w, from, SMQ_NOTE_DETECTED, key, IS_WRONG, (smq_span){NULL, 0});
    }
}

void smq_far_on_detected(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_detect *note = (const struct smq_note_detect *)head;
    struct smq_relay *r = smq_relay_find(w, note->skid, note->cid);
    if (r == NULL || r->client != NULL || r->worker != from) {
        return;
    }
    struct smq_conn *server = r->server->conn;
    if (note->header != IS_WRONG) {
        smq_relay_free(w, r);
    } else if (server != NULL) {
        smq_conn_fail(server, SMQTT_E_MALFORMED);
    }
}

/* ------------------------------------------------------------ records for the broker itself */

/* What a record holds is routed, and stored, when it comes back, if its publisher is still there to have the right to.
 * So that nothing is lost that was acknowledged, the publisher waits until then; its acknowledgement is held as for a
 * slow subscriber (broker/hold.h). */
static smqtt_err hold(struct smq_conn *conn, const struct smq_content *content, uint64_t *origin)
{
    *origin = 0;
    if (content->qos == 0) {
        return SMQTT_OK;
    }
    *origin = smq_origin_of(conn);
    return *origin != 0 ? smq_hold_begin(conn) : SMQTT_E_NOMEM;
}

bool smq_far_seal(struct smq_worker *w, struct smq_conn *conn, const struct smq_content *content, smqtt_err *err)
{
    if (w->index == 0 || !smq_own_may_take(w, content)) {
        return false;
    }
    struct smq_detect_side *side = smq_detect_side(conn);
    *err = side != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
    if (*err == SMQTT_OK && side->self.gen == 0) {
        *err = smq_handle_make(&w->handles, conn, &side->self);
    }
    if (*err != SMQTT_OK) {
        return true;
    }
    struct smq_note_msg fields = {.to = side->self};
    struct smq_routing r;
    *err = hold(conn, content, &fields.origin);
    if (*err != SMQTT_OK) {
        return true;
    }
    smq_routing_init(&r, content, &conn->session->sub, true);
    *err = smq_peer_send(w, 0, SMQ_NOTE_SEALED, &r, &fields);
    smq_routing_deinit(&r);
    if (*err != SMQTT_OK && fields.origin != 0) {
        smq_hold_end(conn);
    }
    return true;
}

void smq_far_on_sealed(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_note_msg *note = (struct smq_note_msg *)head;
    const struct smq_own_from who = {.worker = from, .conn = note->to};
    struct smq_routing r;
    smq_peer_open(note, &r);
    if (!smq_own_take(w, &who, &r.content)) {
        smq_far_opened(w, &who, &r.content, false);
    }
    if (note->origin != 0) {
        (void)smq_origin_hold(w, note->origin, false); /* it is told of this behind what was opened */
    }
    smq_routing_deinit(&r);
}

void smq_far_opened(struct smq_worker *w, const struct smq_own_from *from, const struct smq_content *inner, bool opened)
{
    struct smq_note_msg fields = {.to = from->conn, .flags = opened ? SMQ_FLAG_OPENED : 0};
    struct smq_routing r;
    smq_routing_init(&r, inner, NULL, !opened);
    if (smq_peer_send(w, from->worker, SMQ_NOTE_OPENED, &r, &fields) != SMQTT_OK) {
        w->stats.publish_dropped++;
    }
    smq_routing_deinit(&r);
}

/* A record that was for somebody else goes on as it came. */
static void publish_record(struct smq_worker *w, struct smq_session *s, struct smq_routing *r)
{
    r->from_peer = false;
    r->from = &s->sub;
    if (smq_route(w, r) != SMQTT_OK) {
        w->stats.publish_dropped++;
    }
}

void smq_far_on_opened(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    struct smq_note_msg *note = (struct smq_note_msg *)head;
    const struct smq_conn *conn = smq_handle_get(&w->handles, note->to);
    struct smq_routing r;
    (void)from;
    smq_peer_open(note, &r);
    if (conn == NULL || conn->session == NULL) {
        w->stats.publish_dropped++; /* who published it has gone, and with it the right to */
    } else if ((note->flags & SMQ_FLAG_OPENED) != 0) {
        smq_own_publish(w, conn->session, &r.content);
    } else {
        publish_record(w, conn->session, &r);
    }
    smq_routing_deinit(&r);
}
