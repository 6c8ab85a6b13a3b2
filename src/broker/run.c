/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/run.h"
#include "broker/convert.h"
#include "broker/internal.h"
#include "broker/route.h"
#include "broker/say.h"
#include "codec/varint.h"

enum {
    BYTES_MAX = 512, /* of topic and payload, so that a block holds several */
    HEAD_MAX = 1 + 2 + 2,
    SHARED_BY = 4 /* receivers from which on the bytes stand in memory once for all of them */
};

bool smq_run_fits(const struct smq_content *c)
{
    return c->qos == 0 && !c->retain && c->version == 0 && c->props.len == 0 && !c->has_text &&
           c->expires == SMQTT_NEVER && c->source.len == 0 && c->payload.len <= SMQ_COPY_MAX &&
           c->topic.len + c->payload.len <= BYTES_MAX;
}

/* ------------------------------------------------------------ writing */

/* The last note for this peer, if the message can stand in it. */
static struct smq_note_run *open_run(const struct smq_peer *p, smq_span topic)
{
    struct smq_note_run *run = p->run;
    bool last = run != NULL && smq_outbox_is_last(&p->box, &run->head);
    bool same = last && run->topic_len == topic.len && memcmp(run->bytes + run->topic_at, topic.data, topic.len) == 0;
    return same ? run : NULL;
}

static struct smq_note_run *begin_run(struct smq_peer *p, size_t topic_len, size_t topic_at)
{
    struct smq_note_run *run = (void *)smq_outbox_add(&p->box, SMQ_NOTE_RUN, sizeof *run);
    run->n = run->len = run->payload = 0;
    run->topic_len = (uint16_t)topic_len;
    run->topic_at = (uint16_t)topic_at;
    p->run = run;
    return run;
}

/* Room was reserved for a note with this message alone, which is more than it takes behind others. */
static void add(struct smq_peer *p, const struct smq_content *c)
{
    uint32_t body = (uint32_t)(2 + c->topic.len + c->payload.len);
    size_t size = 1 + smq_varint_size(body) + body;
    struct smq_note_run *run = open_run(p, c->topic);
    if (run == NULL) {
        run = begin_run(p, c->topic.len, size - body + 2);
    }
    struct smq_wr wr = smq_wr_of(run->bytes + run->len, size);
    smq_wr_u8(&wr, SMQ_PUBLISH << 4);
    smq_varint_write(&wr, body);
    smq_wr_u16(&wr, (uint16_t)c->topic.len);
    if (c->topic.data + c->topic.len == c->payload.data) {
        smq_wr_put(&wr, smq_span_of(c->topic.data, c->topic.len + c->payload.len)); /* as a client of 3.x sent it */
    } else {
        smq_wr_put(&wr, c->topic);
        smq_wr_put(&wr, c->payload);
    }
    run->n++;
    run->len += (uint32_t)size;
    run->payload += (uint32_t)c->payload.len;
    smq_outbox_grow(&p->box, &run->head, sizeof *run + run->len);
}

smqtt_err smq_run_publish(struct smq_worker *w, const struct smq_content *c, uint64_t to)
{
    size_t size = sizeof(struct smq_note_run) + HEAD_MAX + c->topic.len + c->payload.len;
    for (uint64_t left = to; left != 0; left &= left - 1) {
        struct smq_peer *p = &w->peers.of[__builtin_ctzll(left)];
        if (!smq_outbox_reserve(&p->box, &w->peers.pool, size, false)) {
            return SMQTT_E_NOMEM;
        }
    }
    for (; to != 0; to &= to - 1) {
        add(&w->peers.of[__builtin_ctzll(to)], c);
    }
    return SMQTT_OK;
}

/* ------------------------------------------------------------ reading */

/* The next packet of a run: what stands behind its fixed header. */
static smq_span next_body(struct smq_rd *rd)
{
    uint32_t len = 0;
    (void)smq_rd_u8(rd);
    (void)!smq_varint_read(rd, &len); /* we wrote it */
    return smq_rd_bytes(rd, len);
}

/* A run as the clients of one version get it. */
struct form {
    size_t len;
    const uint8_t *shared; /* where it stands for several receivers; NULL: nowhere yet */
};

static size_t length_in(const struct smq_note_run *run, bool v5)
{
    size_t len = 0;
    if (!v5) {
        return run->len;
    }
    struct smq_rd rd = smq_rd_of(smq_span_of(run->bytes, run->len));
    for (uint32_t i = 0; i < run->n; i++) {
        uint32_t body = (uint32_t)next_body(&rd).len + 1;
        len += 1 + smq_varint_size(body) + body;
    }
    return len;
}

/* In version 5 an empty list of properties stands behind the topic. */
static void write_in(const struct smq_note_run *run, bool v5, uint8_t *at, size_t len)
{
    struct smq_wr wr = smq_wr_of(at, len);
    if (!v5) {
        smq_wr_put(&wr, smq_span_of(run->bytes, run->len));
        return;
    }
    size_t head = 2 + (size_t)run->topic_len;
    struct smq_rd rd = smq_rd_of(smq_span_of(run->bytes, run->len));
    for (uint32_t i = 0; i < run->n; i++) {
        smq_span body = next_body(&rd);
        smq_wr_u8(&wr, SMQ_PUBLISH << 4);
        smq_varint_write(&wr, (uint32_t)body.len + 1);
        smq_wr_put(&wr, smq_span_of(body.data, head));
        smq_wr_u8(&wr, 0);
        smq_wr_put(&wr, smq_span_from(body, head));
    }
}

static bool put(struct smq_conn *conn, const struct smq_note_run *run, struct form *form, bool shared)
{
    struct smq_chunk_pool *pool = &conn->worker->chunks;
    bool v5 = smq_conn_is_v5(conn);
    if (form->len == 0) {
        form->len = length_in(run, v5);
    }
    if (shared && form->shared == NULL) {
        uint8_t *once = smq_chunk_pool_share(pool, v5, form->len);
        if (once != NULL) {
            write_in(run, v5, once, form->len);
            form->shared = once;
        }
    }
    if (form->shared != NULL && smq_outq_share(&conn->out, pool, v5, form->shared, form->len)) {
        return true;
    }
    uint8_t *at = smq_outq_append(&conn->out, pool, form->len);
    if (at != NULL) {
        write_in(run, v5, at, form->len);
    }
    return at != NULL;
}

/* Gets this receiver every message of the run in the common form of its version, and none too many? */
static bool takes_whole(const struct smq_worker *w, const struct smq_note_run *run, const struct smq_receiver *to)
{
    if (to->who->is_group) {
        return false;
    }
    const struct smq_conn *conn = SMQ_CONTAINER_OF(to->who, struct smq_session, sub)->conn;
    if (conn == NULL) {
        return true;
    }
    uint64_t max = w->config->max_output_bytes;
    size_t most = run->len + (size_t)run->n * 2;
    return !conn->own_form && conn->max_packet_out == 0 && (to->id == 0 || !smq_conn_is_v5(conn)) &&
           (max == 0 || conn->out.bytes + most <= max);
}

static bool take_whole(const struct smq_worker *w, const struct smq_note_run *run, const struct smq_match *m)
{
    if (smq_say_packets(w->log) || w->config->queue_qos0_messages || w->config->upgrade_outgoing_qos) {
        return false;
    }
    for (size_t i = 0; i < m->n; i++) {
        if (!takes_whole(w, run, &m->receivers[i])) {
            return false;
        }
    }
    return true;
}

static void deliver_whole(struct smq_worker *w, const struct smq_note_run *run, const struct smq_match *m,
                          smq_span topic)
{
    struct form forms[SMQ_FORMS] = {{0, NULL}, {0, NULL}};
    for (size_t i = 0; i < m->n; i++) {
        struct smq_session *s = SMQ_CONTAINER_OF(m->receivers[i].who, struct smq_session, sub);
        if (!smq_session_may(w, s, topic, SMQ_ACCESS_READ) || s->conn == NULL) {
            continue;
        }
        if (!put(s->conn, run, &forms[smq_conn_is_v5(s->conn)], m->n >= SHARED_BY)) {
            w->stats.publish_dropped += run->n;
            continue;
        }
        w->stats.packets_out += run->n;
        w->stats.publish_out += run->n;
        w->stats.payload_out += run->payload;
        smq_conn_make_dirty(s->conn);
    }
}

static void deliver_each(struct smq_worker *w, const struct smq_note_run *run)
{
    size_t head = 2 + (size_t)run->topic_len;
    struct smq_rd rd = smq_rd_of(smq_span_of(run->bytes, run->len));
    for (uint32_t i = 0; i < run->n; i++) {
        smq_span body = next_body(&rd);
        struct smq_routing r;
        r.content = (struct smq_content){
            .topic = {body.data + 2, run->topic_len}, .payload = smq_span_from(body, head), .expires = SMQTT_NEVER};
        smq_routing_init_rest(&r, NULL, true);
        r.from_peer = true;
        if (smq_route(w, &r) != SMQTT_OK) {
            w->stats.publish_dropped++;
        }
        smq_routing_deinit(&r);
    }
}

void smq_peer_on_run(struct smq_worker *w, unsigned from, struct smq_note *head)
{
    const struct smq_note_run *run = (const struct smq_note_run *)head;
    smq_span topic = {run->bytes + run->topic_at, run->topic_len};
    const struct smq_match *m;
    bool converted = w->n_listening != 0 && smq_convert_is_topic(topic);
    (void)from;
    if (!converted && smq_trie_match(&w->trie, topic, NULL, &m) == SMQTT_OK && take_whole(w, run, m)) {
        deliver_whole(w, run, m, topic);
    } else {
        deliver_each(w, run);
    }
}
