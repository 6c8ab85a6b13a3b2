/* SPDX-License-Identifier: Apache-2.0 */
/* The file: 15 bytes of name, a checksum that is not used, the version; then chunks, each with its type and length
 * (u32, big-endian), fixed fields (those of 64 bits in the machine's own order, smaller ones big-endian), and strings.
 */
#include "store/import.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "broker/rows.h"
#include "broker/trie.h"
#include "codec/topic.h"
#include "session/inflight.h"
#include "store/why.h"

enum { CHUNK_CONFIG = 1, CHUNK_MESSAGE, CHUNK_CLIENT_MESSAGE, CHUNK_RETAIN, CHUNK_SUB, CHUNK_CLIENT };
enum { VERSION_5 = 5, VERSION_6 = 6, ID_LEN = 8, PAYLOAD_MAX = 268435455, IDS_MAX = 16, MAX_LEVELS = 65535 };
/* Where a message stands. */
enum {
    WAIT_PUBACK = 3,
    WAIT_PUBREC = 5,
    RESEND_PUBREL = 6,
    WAIT_PUBREL = 7,
    RESEND_PUBCOMP = 8,
    WAIT_PUBCOMP = 9,
    SEND_PUBREC = 10,
    QUEUED = 11
};
enum { DIRECTION_IN = 0, DIRECTION_OUT = 1 };

static const char name[15] = "\0\xB5\0mosquitto db";

struct message {
    struct smq_content content;
    uint8_t *props; /* where they had to be gathered */
    uint64_t mid;   /* its body has a row; 0: it has none */
    uint32_t refs;  /* queues that it will stand in */
    bool good;
};

struct client {
    uint64_t sid, n; /* n: rows in its queue */
};

struct sub {
    struct client *client;
    smq_span filter;
    struct smq_row_sub row;
};

struct import {
    struct smqtt_now now;
    const struct smqtt_rng *rng;
    uint32_t version;
    size_t n_chunks[CHUNK_CLIENT + 1];
    struct message *messages;
    struct client *clients;
    struct sub *subs;
    size_t n_messages, n_clients, n_subs;
    struct smq_map by_id, by_name; /* struct message, struct client */
    uint64_t n_bodies;
    struct smq_writes *writes;
    struct smq_import_counts counts;
};

/* ------------------------------------------------------------ fields */

static uint64_t read_own(struct smq_rd *rd)
{
    uint64_t v = 0;
    smq_span bytes = smq_rd_bytes(rd, sizeof v);
    if (smq_rd_ok(rd)) {
        memcpy(&v, bytes.data, sizeof v);
    }
    return v;
}

/* Seconds of the wall clock, 0: never; of a sound clock. */
static bool read_time(struct smq_rd *rd, uint64_t *s)
{
    *s = read_own(rd);
    return *s < UINT64_MAX / 2000;
}

typedef smqtt_err on_chunk(struct import *im, struct smq_rd *rd);

/* Calls the function of each chunk's type, if it has one. SMQTT_E_CORRUPT: with *at. */
static smqtt_err each_chunk(struct import *im, smq_span file, on_chunk *const on[CHUNK_CLIENT + 1], size_t *at)
{
    struct smq_rd rd = smq_rd_of(file);
    while (smq_rd_left(&rd) != 0) {
        *at = file.len - smq_rd_left(&rd);
        uint32_t type = smq_rd_u32(&rd);
        struct smq_rd chunk = smq_rd_of(smq_rd_bytes(&rd, smq_rd_u32(&rd)));
        if (!smq_rd_ok(&rd)) {
            return SMQTT_E_CORRUPT;
        }
        if (type <= CHUNK_CLIENT && on[type] != NULL) {
            SMQ_TRY(on[type](im, &chunk));
        }
    }
    return SMQTT_OK;
}

/* ------------------------------------------------------------ first walk: how many, is it ours */

static smqtt_err count_message(struct import *im, struct smq_rd *rd)
{
    (void)rd;
    im->n_chunks[CHUNK_MESSAGE]++;
    return SMQTT_OK;
}
static smqtt_err count_sub(struct import *im, struct smq_rd *rd)
{
    (void)rd;
    im->n_chunks[CHUNK_SUB]++;
    return SMQTT_OK;
}
static smqtt_err count_client(struct import *im, struct smq_rd *rd)
{
    (void)rd;
    im->n_chunks[CHUNK_CLIENT]++;
    return SMQTT_OK;
}

static smqtt_err check_config(struct import *im, struct smq_rd *rd)
{
    (void)im;
    (void)read_own(rd); /* the last number of a message */
    (void)smq_rd_u8(rd);
    return smq_rd_u8(rd) == ID_LEN && smq_rd_ok(rd) ? SMQTT_OK : SMQTT_E_CORRUPT;
}

/* ------------------------------------------------------------ second walk: messages and clients */

static smqtt_err read_props(struct message *m, smq_span bytes)
{
    struct smq_rd rd = smq_rd_of(bytes);
    struct smq_props props;
    if (bytes.len == 0) {
        return SMQTT_OK;
    }
    if (smq_props_read(&rd, SMQ_IN_PUBLISH, SMQ_TEXT_STANDARD, &props) != SMQTT_OK || smq_rd_left(&rd) != 0) {
        return SMQTT_E_CORRUPT;
    }
    m->content.has_text = smq_props_num(&props, SMQ_PROP_PAYLOAD_FORMAT, 0) == 1;
    m->content.props = props.raw;
    if ((props.present & ~SMQ_FORWARDED) != 0) {
        m->props = smq_mem_alloc(NULL, props.raw.len);
        if (m->props == NULL) {
            return SMQTT_E_NOMEM;
        }
        struct smq_wr wr = smq_wr_of(m->props, props.raw.len);
        smq_props_copy_raw(&props, SMQ_FORWARDED, &wr);
        m->content.props = smq_wr_span(&wr);
    }
    return SMQTT_OK;
}

static smqtt_err on_message(struct import *im, struct smq_rd *rd)
{
    struct message *m = &im->messages[im->n_messages];
    struct smq_content *c = &m->content;
    uint64_t expires_s = 0;
    smq_span id = smq_rd_bytes(rd, ID_LEN);
    bool sound = read_time(rd, &expires_s);
    uint32_t payload_len = smq_rd_u32(rd);
    (void)smq_rd_u16(rd); /* packet identifier of the publisher */
    size_t source_len = smq_rd_u16(rd);
    source_len += smq_rd_u16(rd); /* its name and its user */
    uint16_t topic_len = smq_rd_u16(rd);
    (void)smq_rd_u16(rd); /* port */
    c->qos = smq_rd_u8(rd);
    c->retain = smq_rd_u8(rd) != 0;
    (void)smq_rd_bytes(rd, source_len);
    c->topic = smq_rd_bytes(rd, topic_len);
    c->payload = smq_rd_bytes(rd, payload_len);
    smq_span props = smq_rd_rest(rd);
    if (!smq_rd_ok(rd) || !sound || c->qos > 2 || payload_len > PAYLOAD_MAX) {
        return SMQTT_E_CORRUPT;
    }
    im->n_messages++; /* what it has is freed from here on */
    SMQ_TRY(read_props(m, props));
    c->expires = expires_s == 0 ? SMQTT_NEVER : im->now.mono + (expires_s * 1000 - im->now.wall);
    m->good = smq_topic_name_ok(c->topic, MAX_LEVELS) && (expires_s == 0 || expires_s * 1000 > im->now.wall);
    void *old = NULL;
    SMQ_TRY(smq_map_put(&im->by_id, id, m, &old));
    return old == NULL ? SMQTT_OK : SMQTT_E_CORRUPT;
}

static void write_head(struct smq_wr *wr, const void *row, struct smqtt_now now)
{
    (void)now;
    smq_row_write_head(wr, row);
}
static void write_sub(struct smq_wr *wr, const void *row, struct smqtt_now now)
{
    (void)now;
    smq_row_write_sub(wr, row);
}
static void write_out(struct smq_wr *wr, const void *row, struct smqtt_now now)
{
    (void)now;
    smq_row_write_out(wr, row);
}
static void write_queue(struct smq_wr *wr, const void *row, struct smqtt_now now)
{
    smq_row_write_queue(wr, row, now);
}
static void write_body(struct smq_wr *wr, const void *row, struct smqtt_now now)
{
    smq_row_write_body(wr, row, now);
}
static void write_content(struct smq_wr *wr, const void *row, struct smqtt_now now)
{
    smq_row_write_content(wr, row, now);
}

static smqtt_err put(struct import *im, smq_span key,
                     void (*write)(struct smq_wr *wr, const void *row, struct smqtt_now now), const void *row)
{
    struct smq_wr wr = smq_wr_measure();
    write(&wr, row, im->now);
    uint8_t *at = smq_writes_put_room(im->writes, key, wr.len);
    if (at == NULL) {
        return SMQTT_E_NOMEM;
    }
    wr = smq_wr_of(at, wr.len);
    write(&wr, row, im->now);
    return SMQTT_OK;
}

static smqtt_err put_key(struct import *im, struct smq_key key,
                         void (*write)(struct smq_wr *wr, const void *row, struct smqtt_now now), const void *row)
{
    return put(im, smq_key_span(&key), write, row);
}

/* The name of a session that ended with its connection, or that nobody can have, is no error. */
static smqtt_err on_client(struct import *im, struct smq_rd *rd)
{
    uint64_t expires_s = 0;
    bool sound = read_time(rd, &expires_s);
    struct smq_row_head head = {.expiry_s = smq_rd_u32(rd), .away_since = im->now.wall};
    uint16_t user_len = 0;
    (void)smq_rd_u16(rd); /* last packet identifier */
    uint16_t id_len = smq_rd_u16(rd);
    if (im->version == VERSION_6) {
        (void)smq_rd_u16(rd); /* port */
        user_len = smq_rd_u16(rd);
        (void)smq_rd_u32(rd); /* nothing */
    }
    head.client_id = smq_rd_bytes(rd, id_len);
    head.user = smq_rd_bytes(rd, user_len);
    /* Mosquitto 2.0.11 writes bytes of its memory as the user of a client that has none, behind one that has. */
    head.has_user = user_len != 0 && smq_utf8_ok(head.user, SMQ_TEXT_STANDARD);
    if (!smq_rd_ok(rd) || !sound) {
        return SMQTT_E_CORRUPT;
    }
    if (id_len == 0 || head.expiry_s == 0 || !smq_utf8_ok(head.client_id, SMQ_TEXT_STANDARD)) {
        im->counts.skipped++;
        return SMQTT_OK;
    }
    if (expires_s > head.expiry_s && head.expiry_s != UINT32_MAX) {
        uint64_t since = (expires_s - head.expiry_s) * 1000;
        head.away_since = since < im->now.wall ? since : im->now.wall;
    }
    struct client *client = &im->clients[im->n_clients++];
    void *old = NULL;
    SMQ_TRY(smq_map_put(&im->by_name, head.client_id, client, &old));
    if (old != NULL) {
        return SMQTT_E_CORRUPT;
    }
    if (!im->rng->fill(im->rng->ctx, (uint8_t *)&client->sid, sizeof client->sid)) {
        return SMQTT_E_RNG;
    }
    im->counts.sessions++;
    return put_key(im, smq_key_session_row(client->sid, SMQ_ROW_HEAD), write_head, &head);
}

/* ------------------------------------------------------------ third walk: who gets what, and how often each */

struct client_message {
    struct client *client;
    struct message *message;
    uint16_t packet;
    uint8_t qos, state, direction;
    bool retain;
    uint32_t n_ids, ids[IDS_MAX];
};

/* Its properties: identifiers of subscriptions. */
static smqtt_err read_ids(struct client_message *out, smq_span bytes)
{
    struct smq_rd rd = smq_rd_of(bytes);
    struct smq_props props;
    out->n_ids = 0;
    if (bytes.len == 0) {
        return SMQTT_OK;
    }
    if (smq_props_read(&rd, SMQ_IN_PUBLISH, SMQ_TEXT_STANDARD, &props) != SMQTT_OK || smq_rd_left(&rd) != 0) {
        return SMQTT_E_CORRUPT;
    }
    struct smq_rd it = smq_rd_of(props.raw);
    while (out->n_ids < IDS_MAX && smq_props_next_subid(&it, &out->ids[out->n_ids])) {
        out->n_ids++;
    }
    return SMQTT_OK;
}

/* *skip: it is sound, and of no use. */
static smqtt_err read_client_message(struct import *im, struct smq_rd *rd, struct client_message *out, bool *skip)
{
    smq_span id = smq_rd_bytes(rd, ID_LEN);
    out->packet = smq_rd_u16(rd);
    uint16_t len = smq_rd_u16(rd);
    out->qos = smq_rd_u8(rd);
    out->state = smq_rd_u8(rd);
    out->retain = smq_rd_u8(rd) >> 4 != 0;
    out->direction = smq_rd_u8(rd);
    smq_span client = smq_rd_bytes(rd, len);
    if (!smq_rd_ok(rd) || out->qos > 2 || out->direction > DIRECTION_OUT) {
        return SMQTT_E_CORRUPT;
    }
    SMQ_TRY(read_ids(out, smq_rd_rest(rd)));
    out->client = smq_map_get(&im->by_name, client);
    out->message = smq_map_get(&im->by_id, id);
    *skip = out->client == NULL || out->message == NULL || out->qos == 0;
    return SMQTT_OK;
}

/* Past its message: PUBREL is what comes next. */
static bool is_released(const struct client_message *cm)
{
    return cm->qos == 2 && (cm->state == RESEND_PUBREL || cm->state == WAIT_PUBCOMP);
}

static bool is_unreleased_in(const struct client_message *cm)
{
    return cm->direction == DIRECTION_IN && cm->qos == 2 && cm->packet != 0 &&
           (cm->state == WAIT_PUBREL || cm->state == SEND_PUBREC);
}

/* Calls fn for every subscription that a message on its way in meets. A shared one was nobody's yet. */
static smqtt_err each_match(struct import *im, const struct client *from, struct message *m,
                            smqtt_err (*fn)(struct import *im, struct message *m, const struct sub *sub))
{
    for (size_t i = 0; i < im->n_subs; i++) {
        const struct sub *sub = &im->subs[i];
        bool sends = (sub->row.options & SMQ_SUB_QOS) != 0 && m->content.qos != 0 &&
                     (sub->client != from || (sub->row.options & SMQ_SUB_NO_LOCAL) == 0);
        if (sends && smq_topic_match(sub->filter, m->content.topic)) {
            SMQ_TRY(fn(im, m, sub));
        }
    }
    return SMQTT_OK;
}

static smqtt_err count_match(struct import *im, struct message *m, const struct sub *sub)
{
    (void)im;
    (void)sub;
    m->refs++;
    return SMQTT_OK;
}

static smqtt_err count_client_message(struct import *im, struct smq_rd *rd)
{
    struct client_message cm;
    bool skip = false;
    SMQ_TRY(read_client_message(im, rd, &cm, &skip));
    if (skip || !cm.message->good) {
        return SMQTT_OK;
    }
    if (is_unreleased_in(&cm)) {
        return each_match(im, cm.client, cm.message, count_match);
    }
    cm.message->refs += cm.direction == DIRECTION_OUT && !is_released(&cm);
    return SMQTT_OK;
}

static smqtt_err on_sub(struct import *im, struct smq_rd *rd)
{
    struct sub *sub = &im->subs[im->n_subs];
    sub->row.id = smq_rd_u32(rd);
    uint16_t len = smq_rd_u16(rd), filter_len = smq_rd_u16(rd);
    uint8_t qos = smq_rd_u8(rd);
    sub->row.options = (uint8_t)((smq_rd_u8(rd) & (SMQ_SUB_NO_LOCAL | SMQ_SUB_RAP)) | qos);
    (void)smq_rd_u16(rd); /* nothing */
    smq_span client = smq_rd_bytes(rd, len);
    sub->filter = smq_rd_bytes(rd, filter_len);
    if (!smq_rd_ok(rd) || qos > 2) {
        return SMQTT_E_CORRUPT;
    }
    sub->client = smq_map_get(&im->by_name, client);
    if (sub->client == NULL || sub->row.id > PAYLOAD_MAX || !smq_topic_filter_ok(sub->filter, MAX_LEVELS)) {
        im->counts.skipped++;
        return SMQTT_OK;
    }
    uint8_t key[SMQ_KEY_MAX];
    struct smq_wr wr = smq_wr_of(key, sizeof key);
    smq_key_write_sub(&wr, sub->client->sid, sub->filter);
    if (wr.len > UINT16_MAX) { /* longer than a key can be */
        im->counts.skipped++;
        return SMQTT_OK;
    }
    im->n_subs++;
    im->counts.subscriptions++;
    return put(im, smq_wr_span(&wr), write_sub, &sub->row);
}

/* ------------------------------------------------------------ fourth walk: rows of messages */

static smqtt_err enqueue(struct import *im, struct client *client, struct message *m, struct smq_row_queue row)
{
    if (m->refs > 1 && m->mid == 0) {
        struct smq_row_body body = {.content = m->content};
        m->mid = ++im->n_bodies;
        SMQ_TRY(put_key(im, smq_key_body(m->mid), write_body, &body));
    }
    row.mid = m->mid;
    row.size = (uint32_t)smq_msg_size(&m->content);
    row.expires = m->content.expires;
    row.content = m->content;
    im->counts.queued++;
    return put_key(im, smq_key_queue(client->sid, ++client->n), write_queue, &row);
}

static smqtt_err enqueue_match(struct import *im, struct message *m, const struct sub *sub)
{
    uint8_t qos = sub->row.options & SMQ_SUB_QOS;
    struct smq_row_queue row = {.qos = qos < m->content.qos ? qos : m->content.qos,
                                .retain = m->content.retain && (sub->row.options & SMQ_SUB_RAP) != 0,
                                .n_ids = sub->row.id != 0,
                                .ids = &sub->row.id};
    return enqueue(im, sub->client, m, row);
}

static smqtt_err retain(struct import *im, struct message *m)
{
    uint8_t key[SMQ_KEY_MAX];
    struct smq_wr wr = smq_wr_of(key, sizeof key);
    struct smq_content c = m->content;
    smq_key_write_named(&wr, SMQ_TABLE_RETAINED, c.topic);
    if (wr.len > UINT16_MAX) { /* longer than a key can be */
        im->counts.skipped++;
        return SMQTT_OK;
    }
    if (c.payload.len == 0) {
        return smq_writes_add(im->writes, SMQ_WRITE_DEL, smq_wr_span(&wr), smq_span_of(NULL, 0));
    }
    c.retain = true;
    c.version = 1;
    im->counts.retained++;
    return put(im, smq_wr_span(&wr), write_content, &c);
}

static smqtt_err on_retain(struct import *im, struct smq_rd *rd)
{
    smq_span id = smq_rd_bytes(rd, ID_LEN);
    if (!smq_rd_ok(rd)) {
        return SMQTT_E_CORRUPT;
    }
    struct message *m = smq_map_get(&im->by_id, id);
    if (m == NULL || !m->good) {
        im->counts.skipped++;
        return SMQTT_OK;
    }
    return retain(im, m);
}

static smqtt_err on_out(struct import *im, const struct client_message *cm)
{
    if (is_released(cm) && cm->packet != 0) {
        struct smq_row_out row = {++cm->client->n, SMQ_OUT_WAIT_PUBCOMP};
        im->counts.in_flight++;
        return put_key(im, smq_key_packet(cm->client->sid, SMQ_ROW_OUT, cm->packet), write_out, &row);
    }
    if (!cm->message->good || is_released(cm)) {
        im->counts.skipped++;
        return SMQTT_OK;
    }
    bool sent = (cm->qos == 1 && cm->state == WAIT_PUBACK) || (cm->qos == 2 && cm->state == WAIT_PUBREC);
    struct smq_row_queue row = {
        .packet = sent ? cm->packet : 0, .qos = cm->qos, .retain = cm->retain, .n_ids = cm->n_ids, .ids = cm->ids};
    return enqueue(im, cm->client, cm->message, row);
}

static smqtt_err on_client_message(struct import *im, struct smq_rd *rd)
{
    struct client_message cm;
    bool skip = false;
    SMQ_TRY(read_client_message(im, rd, &cm, &skip));
    if (skip) {
        im->counts.skipped++;
        return SMQTT_OK;
    }
    return cm.direction == DIRECTION_OUT ? on_out(im, &cm) : SMQTT_OK;
}

/* ------------------------------------------------------------ fifth walk: what was on its way in */

static smqtt_err on_unreleased(struct import *im, struct smq_rd *rd)
{
    struct client_message cm;
    bool skip = false;
    SMQ_TRY(read_client_message(im, rd, &cm, &skip));
    if (skip || cm.direction != DIRECTION_IN) {
        return SMQTT_OK;
    }
    bool unreleased = is_unreleased_in(&cm);
    if (!unreleased && (cm.state != RESEND_PUBCOMP || cm.packet == 0)) {
        im->counts.skipped++;
        return SMQTT_OK;
    }
    struct smq_key key = smq_key_packet(cm.client->sid, SMQ_ROW_IN, cm.packet);
    im->counts.in_flight++;
    SMQ_TRY(smq_writes_add(im->writes, SMQ_WRITE_PUT, smq_key_span(&key), smq_span_of(NULL, 0)));
    if (!unreleased || !cm.message->good) {
        return SMQTT_OK;
    }
    SMQ_TRY(each_match(im, cm.client, cm.message, enqueue_match));
    return cm.message->content.retain ? retain(im, cm.message) : SMQTT_OK;
}

/* ------------------------------------------------------------ the whole */

static smqtt_err make_room(struct import *im)
{
    uint8_t key[16];
    if (!im->rng->fill(im->rng->ctx, key, sizeof key)) {
        return SMQTT_E_RNG;
    }
    smq_map_init(&im->by_id, NULL, key);
    smq_map_init(&im->by_name, NULL, key);
    im->messages = smq_mem_zalloc(NULL, im->n_chunks[CHUNK_MESSAGE] + 1, sizeof *im->messages);
    im->clients = smq_mem_zalloc(NULL, im->n_chunks[CHUNK_CLIENT] + 1, sizeof *im->clients);
    im->subs = smq_mem_zalloc(NULL, im->n_chunks[CHUNK_SUB] + 1, sizeof *im->subs);
    im->writes = smq_writes_new(NULL, 0, 0);
    bool room = im->messages != NULL && im->clients != NULL && im->subs != NULL && im->writes != NULL;
    return room ? SMQTT_OK : SMQTT_E_NOMEM;
}

static void free_all(struct import *im)
{
    for (size_t i = 0; i < im->n_messages; i++) {
        smq_mem_free(NULL, im->messages[i].props);
    }
    smq_map_deinit(&im->by_id);
    smq_map_deinit(&im->by_name);
    smq_mem_free(NULL, im->messages);
    smq_mem_free(NULL, im->clients);
    smq_mem_free(NULL, im->subs);
    smq_writes_free(im->writes);
}

static smqtt_err walk(struct import *im, smq_span chunks, size_t *at)
{
    static on_chunk *const walks[][CHUNK_CLIENT + 1] = {
        {[CHUNK_MESSAGE] = on_message, [CHUNK_CLIENT] = on_client},
        {[CHUNK_SUB] = on_sub},
        {[CHUNK_CLIENT_MESSAGE] = count_client_message},
        {[CHUNK_CLIENT_MESSAGE] = on_client_message, [CHUNK_RETAIN] = on_retain},
        {[CHUNK_CLIENT_MESSAGE] = on_unreleased},
    };
    static on_chunk *const count[CHUNK_CLIENT + 1] = {[CHUNK_CONFIG] = check_config,
                                                      [CHUNK_MESSAGE] = count_message,
                                                      [CHUNK_SUB] = count_sub,
                                                      [CHUNK_CLIENT] = count_client};
    SMQ_TRY(each_chunk(im, chunks, count, at));
    SMQ_TRY(make_room(im));
    for (size_t i = 0; i < SMQ_ARRAY_LEN(walks); i++) {
        SMQ_TRY(each_chunk(im, chunks, walks[i], at));
    }
    return SMQTT_OK;
}

smqtt_err smq_import_mosquitto(smq_span file, const struct smqtt_rng *rng, struct smqtt_now now,
                               struct smq_writes **out, struct smq_import_counts *counts, struct smq_store_why *why)
{
    struct import im = {.now = now, .rng = rng};
    struct smq_rd rd = smq_rd_of(file);
    smq_span begin = smq_rd_bytes(&rd, sizeof name);
    (void)smq_rd_u32(&rd); /* checksum, always 0 */
    im.version = smq_rd_u32(&rd);
    if (!smq_rd_ok(&rd) || !smq_span_equal(begin, smq_span_of(name, sizeof name))) {
        return smq_store_why_set(why, SMQTT_E_CORRUPT, "this is no file of Mosquitto's persistence");
    }
    if (im.version != VERSION_5 && im.version != VERSION_6) {
        return smq_store_why_set(why, SMQTT_E_BAD_VERSION,
                                 "it has version %u of Mosquitto's format, and 5 and 6 can be read; let Mosquitto 2.0 "
                                 "read and write it once",
                                 (unsigned)im.version);
    }
    size_t at = 0, head = file.len - smq_rd_left(&rd);
    smqtt_err err = walk(&im, smq_rd_rest(&rd), &at);
    if (err == SMQTT_OK) {
        *out = im.writes;
        *counts = im.counts;
        im.writes = NULL;
    } else if (err == SMQTT_E_CORRUPT) {
        (void)smq_store_why_set(why, err, "it is damaged, or from a machine of another kind, at byte %zu", head + at);
    } else {
        (void)smq_store_why_set(why, err, "it cannot be read: %s", smqtt_strerror(err));
    }
    free_all(&im);
    return err;
}
