/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include "broker/internal.h"
#include "broker/route.h"
#include "disk.h"

enum { WALL = 1700000000, SPANS = 64 };

static bool fill_random(void *ctx, uint8_t *out, size_t len)
{
    struct bed *bed = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)test_random(&bed->rng);
    }
    return true;
}

void bed_init(struct bed *bed)
{
    *bed = (struct bed){.rng = 1};
    smq_broker_config_default(&bed->config);
    bed->config.log_connections = false;
    bed->config.sys_interval_s = 0;
    bed->listener.allow_anonymous = true;
    bed->listener.id = 1;
    bed->listener.id = 1;
    bed->listener.topic_alias_in = 10;
    bed->config.listeners = &bed->listener;
    bed->now = (struct smqtt_now){.wall = (smqtt_ms)WALL * 1000, .mono = 5000};
    failing_mem_init(&bed->mem);
    bed->env = (struct smq_worker_env){.mem = &bed->mem.mem, .rng = {fill_random, bed}, .count = 1};
    memcpy(bed->env.hash_key, "0123456789abcdef", sizeof bed->env.hash_key);
    const char *count = getenv("SMQTT_TEST_WORKERS");
    bed->count = count != NULL ? (unsigned)(count[0] - '0') : 1;
}

/* A test that says in `env` that there are more plays the others itself. */
void bed_start(struct bed *bed)
{
    if (bed->env.count > 1) {
        bed->count = 1;
    } else if (bed->count > 1) {
        bed->env.count = bed->count;
        bed->env.ledger = &bed->ledger;
    }
    bed->env.has_store = bed->disk != NULL;
    for (unsigned i = 0; i < bed->count; i++) {
        bed->env.index = bed->count > 1 ? i : bed->env.index;
        assert_int_equal(smq_worker_new(&bed->env, &bed->config, bed->now, &bed->workers[i]), SMQTT_OK);
    }
    bed->w = bed->workers[0];
}

static void client_forget(struct client *c)
{
    smq_bytebuf_deinit(&c->in);
    free(c->shown);
    free(c->keep);
    *c = (struct client){0};
}

static void close_transport(struct client *c)
{
    smq_conn_release(c->w, c->conn, c->bed->now);
    c->conn = NULL;
    c->kept = 0;
}

/* What the broker has not read yet; a copy of just the right size, so that reading behind the end is seen. */
void client_push(struct client *c)
{
    struct bed *bed = c->bed;
    uint8_t *exact = malloc(c->kept != 0 ? c->kept : 1);
    memcpy(exact, c->keep, c->kept);
    size_t used, need;
    smq_worker_feed(c->w, c->conn, smq_span_of(exact, c->kept), &used, &need, bed->now);
    free(exact);
    assert_true(used <= c->kept);
    memmove(c->keep, c->keep + used, c->kept - used);
    c->kept -= used;
}

/* The transport moves to another worker, with what was not read. */
static void hand_over(struct client *c)
{
    struct bed *bed = c->bed;
    size_t kept = c->kept;
    close_transport(c);
    c->kept = kept;
    c->w = bed->workers[c->owner];
    if (smq_worker_open(c->w, &bed->listener, smq_span_str("test"), c, bed->now, &c->conn) == SMQTT_OK) {
        client_push(c);
    } else {
        c->conn = NULL;
        c->kept = 0;
    }
}

static void serve(struct client *c)
{
    struct bed *bed = c->bed;
    struct smqtt_span spans[SPANS];
    size_t n;
    while (!c->deaf && (n = smq_conn_output(c->conn, spans, SPANS)) != 0) {
        size_t sent = 0;
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(smq_bytebuf_append(&c->in, spans[i]), SMQTT_OK);
            sent += spans[i].len;
        }
        smq_conn_sent(c->w, c->conn, sent, bed->now);
    }
    c->fate = smq_conn_fate(c->conn, &c->owner);
    if (c->fate == SMQ_FATE_HANDOVER && bed->count > 1) {
        hand_over(c);
    } else if (c->fate == SMQ_FATE_CLOSE_AFTER_OUTPUT && smq_conn_is_gated(c->conn)) {
        return; /* when what waits for the store has left */
    } else if (c->fate != SMQ_FATE_KEEP) {
        close_transport(c);
    } else if (c->was_paused && !smq_conn_paused(c->conn)) {
        c->was_paused = false;
        client_push(c);
    }
    c->was_paused = c->conn != NULL && smq_conn_paused(c->conn);
}

/* ------------------------------------------------------------ turns */

static void channel_put(struct channel *ch, struct smq_batch *batch)
{
    if (ch->n == ch->cap) {
        ch->cap = ch->cap != 0 ? ch->cap * 2 : 8;
        ch->items = realloc(ch->items, ch->cap * sizeof(struct smq_batch *));
    }
    ch->items[ch->n++] = batch;
}

static struct smq_batch *channel_take(struct channel *ch)
{
    struct smq_batch *batch = ch->head < ch->n ? ch->items[ch->head++] : NULL;
    if (ch->head == ch->n) {
        ch->head = ch->n = 0;
    }
    return batch;
}

bool bed_send_writes(struct bed *bed, unsigned worker)
{
    return bed->disk != NULL && disk_take(bed->disk, bed->workers[worker]);
}

bool bed_send_batches(struct bed *bed, unsigned from, unsigned to)
{
    struct smq_batch *batch = from != to ? smq_worker_take_batch(bed->workers[from], to) : NULL;
    if (batch != NULL) {
        channel_put(&bed->channels[from][to], batch);
    }
    return batch != NULL;
}

bool bed_read_batch(struct bed *bed, unsigned from, unsigned to)
{
    struct smq_batch *batch = channel_take(&bed->channels[from][to]);
    if (batch != NULL) {
        smq_worker_feed_batch(bed->workers[to], from, batch, bed->now);
    }
    return batch != NULL;
}

bool bed_serve(struct bed *bed, unsigned worker)
{
    struct smq_conn *conn;
    bool any = false;
    while ((conn = smq_worker_next_dirty(bed->workers[worker])) != NULL) {
        struct client *c = smq_conn_user(conn);
        assert_ptr_equal(c->conn, conn);
        serve(c);
        any = true;
    }
    return any;
}

static bool turn_all(struct bed *bed)
{
    bool any = false;
    for (unsigned i = 0; i < bed->count; i++) {
        do {
            for (unsigned from = 0; from < bed->count; from++) {
                while (bed_read_batch(bed, from, i)) {
                    any = true;
                }
            }
        } while (smq_worker_end_round(bed->workers[i]));
        smq_worker_settle(bed->workers[i], bed->now);
    }
    for (unsigned i = 0; i < bed->count; i++) {
        any = bed_send_writes(bed, i) || any;
        for (unsigned to = 0; to < bed->count; to++) {
            any = bed_send_batches(bed, i, to) || any;
        }
        any = bed_serve(bed, i) || any;
    }
    if (bed->disk != NULL && !bed->disk->by_hand) {
        any = disk_commit(bed->disk, bed->workers, SIZE_MAX, bed->now) || any;
    }
    return any;
}

void bed_commit(struct bed *bed, size_t n)
{
    disk_commit(bed->disk, bed->workers, n, bed->now);
    bed_turn(bed);
}

void bed_turn(struct bed *bed)
{
    while (!bed->slowly && turn_all(bed)) {
    }
}

/* A round takes from each peer what is there when its turn comes. */
static void step_rings(struct bed *bed, unsigned w, struct turn *t)
{
    if (t->at == bed->count) {
        bool waits = smq_worker_end_round(bed->workers[w]);
        *t = (struct turn){.phase = TURN_RINGS};
        if (!waits && test_random_below(&bed->rng, 2) == 0) {
            smq_worker_settle(bed->workers[w], bed->now);
            t->phase = TURN_SEND;
        }
        return;
    }
    const struct channel *ch = &bed->channels[t->at][w];
    t->left = t->entered ? t->left : ch->n - ch->head;
    t->entered = t->left > 1;
    if (t->left != 0) {
        t->left--;
        assert_true(bed_read_batch(bed, t->at, w));
    }
    t->at += !t->entered;
}

void bed_step(struct bed *bed)
{
    unsigned w = (unsigned)test_random_below(&bed->rng, bed->count);
    struct turn *t = &bed->turns[w];
    switch (t->phase) {
    case TURN_SOCKETS:
        for (size_t i = 0; i < BED_CLIENTS; i++) {
            struct client *c = &bed->clients[i];
            if (c->conn != NULL && c->w == bed->workers[w] && c->kept != 0 && test_random_below(&bed->rng, 4) != 0) {
                client_push(c);
            }
        }
        *t = (struct turn){.phase = TURN_RINGS};
        break;
    case TURN_RINGS:
        step_rings(bed, w, t);
        break;
    case TURN_SEND:
        if (t->at == 0) {
            smq_worker_tick(bed->workers[w], bed->now);
            bed_send_writes(bed, w);
        }
        bed_send_batches(bed, w, t->at++);
        if (t->at == bed->count) {
            *t = (struct turn){.phase = TURN_BYTES};
        }
        break;
    case TURN_BYTES:
        bed_serve(bed, w);
        if (bed->disk != NULL && test_random_below(&bed->rng, 2) == 0) {
            disk_commit(bed->disk, bed->workers, 1 + test_random_below(&bed->rng, 3), bed->now);
        }
        *t = (struct turn){.phase = TURN_SOCKETS};
        break;
    }
}

void bed_calm(struct bed *bed)
{
    bed->slowly = false;
    for (size_t i = 0; i < BED_CLIENTS; i++) {
        if (bed->clients[i].conn != NULL && bed->clients[i].kept != 0) {
            client_push(&bed->clients[i]);
        }
    }
    bed_turn(bed);
    memset(bed->turns, 0, sizeof bed->turns);
    bed->slowly = true;
}

static smqtt_ms next_deadline(const struct bed *bed)
{
    smqtt_ms at = SMQTT_NEVER;
    for (unsigned i = 0; i < bed->count; i++) {
        smqtt_ms own = smq_worker_deadline(bed->workers[i]);
        at = own < at ? own : at;
    }
    return at;
}

static void tick_all(struct bed *bed)
{
    for (unsigned i = 0; i < bed->count; i++) {
        smq_worker_tick(bed->workers[i], bed->now);
    }
    bed_turn(bed);
}

void bed_pass(struct bed *bed, smqtt_ms ms)
{
    smqtt_ms until = bed->now.mono + ms;
    while (next_deadline(bed) <= until) {
        smqtt_ms at = next_deadline(bed);
        at = at > bed->now.mono ? at : bed->now.mono;
        bed->now.wall += at - bed->now.mono;
        bed->now.mono = at;
        tick_all(bed);
    }
    bed->now.wall += until - bed->now.mono;
    bed->now.mono = until;
    tick_all(bed);
}

void bed_stop(struct bed *bed)
{
    failing_mem_arm(&bed->mem, 0);
    bed->slowly = false;
    for (size_t i = 0; i < BED_CLIENTS; i++) {
        if (bed->clients[i].conn != NULL) {
            client_break(&bed->clients[i]);
        }
        client_forget(&bed->clients[i]);
    }
    for (unsigned i = 0; i < bed->count; i++) {
        for (unsigned to = 0; to < bed->count; to++) {
            struct smq_batch *batch;
            while ((batch = channel_take(&bed->channels[i][to])) != NULL) {
                smq_batch_free(batch);
            }
            free(bed->channels[i][to].items);
        }
    }
    for (unsigned i = 0; i < bed->count; i++) {
        smq_worker_free(bed->workers[i]);
    }
    if (bed->disk != NULL) {
        disk_crash(bed->disk);
    }
    assert_int_equal(bed->mem.live, 0);
}

void bed_leave_stored(struct bed *bed, const char *client_id, const char *topic, const char *payload)
{
    struct smq_content content = {.topic = smq_span_str(topic),
                                  .payload = smq_span_str(payload),
                                  .expires = SMQTT_NEVER,
                                  .qos = 1,
                                  .retain = client_id == NULL};
    smq_span owner = smq_span_str(client_id == NULL ? topic : client_id);
    struct smq_worker *w = bed->workers[bed->count > 1 ? smq_worker_owner(bed->w, owner) : 0];
    struct smq_refbuf *msg = smq_msg_new(&bed->mem.mem, &content, false, w->account);
    assert_non_null(msg);
    if (client_id == NULL) {
        assert_int_equal(smq_retain_set(&w->retain, msg, 0), SMQTT_OK);
    } else {
        struct smq_routing r;
        smq_routing_init_msg(&r, msg);
        smq_session_deliver(w, smq_session_find(w, smq_span_str(client_id)), &r, 1, false, NULL, 0);
        smq_routing_deinit(&r);
    }
    smq_msg_unref(msg);
}

void bed_stats(struct bed *bed, struct smq_worker_stats *out)
{
    smq_worker_ask_stats(bed->w);
    bed_turn(bed);
    smq_worker_stats_all(bed->w, out);
}

void bed_shutdown(struct bed *bed)
{
    for (unsigned i = 0; i < bed->count; i++) {
        smq_worker_shutdown(bed->workers[i], bed->now);
    }
    bed_turn(bed);
}

smqtt_err bed_route_unchecked(struct bed *bed, const char *topic, const char *payload)
{
    struct smq_content content = {
        .topic = smq_span_str(topic), .payload = smq_span_str(payload), .expires = SMQTT_NEVER};
    struct smq_routing r;
    smq_routing_init(&r, &content, NULL, false);
    smqtt_err err = smq_route(bed->w, &r);
    smq_routing_deinit(&r);
    bed_turn(bed);
    return err;
}

/* ------------------------------------------------------------ clients */

struct client *client_open(struct bed *bed, enum smqtt_version version)
{
    struct client *c = bed->clients;
    while (c->bed != NULL && (c->conn != NULL || c->in.len != 0)) {
        c++;
        assert_true(c < bed->clients + BED_CLIENTS);
    }
    client_forget(c);
    c->bed = bed;
    c->codec = (struct smq_codec){.version = version, .from = SMQ_FROM_SERVER, .max_detect = 65535};
    smq_bytebuf_init(&c->in, NULL, SIZE_MAX / 2);
    c->w = bed->workers[bed->opened++ % bed->count];
    smqtt_err err = smq_worker_open(c->w, &bed->listener, smq_span_str("test"), c, bed->now, &c->conn);
    if (err != SMQTT_OK) {
        client_forget(c);
        return NULL;
    }
    return c;
}

void client_feed(struct client *c, const void *data, size_t len)
{
    struct bed *bed = c->bed;
    if (c->conn == NULL) {
        return;
    }
    c->keep = realloc(c->keep, c->kept + len + 1);
    memcpy(c->keep + c->kept, data, len);
    c->kept += len;
    if (!bed->slowly) {
        client_push(c);
        c->was_paused = c->conn != NULL && smq_conn_paused(c->conn);
        bed_turn(bed);
    }
}

void client_send(struct client *c, const struct smq_packet *pkt)
{
    struct smq_codec codec = c->codec;
    codec.from = SMQ_FROM_CLIENT;
    struct smq_wr wr = smq_wr_measure();
    assert_int_equal(smq_packet_write(&codec, pkt, &wr), SMQTT_OK);
    uint8_t *buf = malloc(wr.len);
    wr = smq_wr_of(buf, wr.len);
    assert_int_equal(smq_packet_write(&codec, pkt, &wr), SMQTT_OK);
    assert_true(smq_wr_ok(&wr));
    client_feed(c, buf, wr.len);
    free(buf);
}

void client_break(struct client *c)
{
    if (c->conn != NULL) {
        smq_worker_lost(c->w, c->conn, SMQTT_E_IO, c->bed->now);
        if (c->bed->slowly) {
            close_transport(c);
        }
        bed_turn(c->bed);
    }
    assert_null(c->conn);
}

const struct smq_packet *client_next(struct client *c)
{
    struct smq_frame frame;
    size_t need;
    smqtt_err err = smq_frame_read(&c->codec, smq_bytebuf_span(&c->in), false, &frame, &need);
    if (err == SMQTT_E_AGAIN) {
        assert_int_equal(c->in.len, 0);
        return NULL;
    }
    if (err == SMQTT_E_PROTOCOL) {
        err = smq_frame_read(&c->codec, smq_bytebuf_span(&c->in), true, &frame, &need); /* CONNACK */
    }
    assert_int_equal(err, SMQTT_OK);
    free(c->shown);
    c->shown = malloc(frame.size);
    memcpy(c->shown, smq_bytebuf_span(&c->in).data, frame.size);
    frame.body.data = c->shown + (frame.size - frame.body.len);
    smq_bytebuf_consume(&c->in, frame.size);
    assert_int_equal(smq_packet_read(&c->codec, &frame, &c->pkt), SMQTT_OK);
    return &c->pkt;
}

const struct smq_packet *client_expect(struct client *c, enum smq_type type)
{
    const struct smq_packet *pkt = client_next(c);
    if (pkt == NULL || pkt->type != type) {
        char text[200] = "nothing";
        if (pkt != NULL) {
            smq_packet_dump(pkt, text, sizeof text);
        }
        fail_msg("expected %s, got %s", smq_type_name(type), text);
    }
    return pkt;
}

void client_drain(struct client *c)
{
    smq_bytebuf_consume(&c->in, c->in.len);
}

void client_expect_none(struct client *c)
{
    const struct smq_packet *pkt = client_next(c);
    if (pkt != NULL) {
        char text[200];
        smq_packet_dump(pkt, text, sizeof text);
        fail_msg("expected nothing, got %s", text);
    }
}

void client_expect_closed(struct client *c)
{
    assert_null(c->conn);
}

void client_expect_alive(struct client *c)
{
    struct smq_packet ping = {.type = SMQ_PINGREQ};
    assert_non_null(c->conn);
    client_send(c, &ping);
    client_expect(c, SMQ_PINGRESP);
}

/* ------------------------------------------------------------ packets */

struct smq_packet packet_connect(enum smqtt_version version, const char *id, bool clean)
{
    struct smq_packet pkt = {.type = SMQ_CONNECT};
    pkt.connect.version = version;
    pkt.connect.clean_start = clean;
    pkt.connect.client_id = smq_span_str(id);
    smq_props_clear(&pkt.connect.props);
    smq_props_clear(&pkt.connect.will.props);
    return pkt;
}

struct client *client_connect_pkt(struct bed *bed, const struct smq_packet *connect)
{
    struct client *c = client_open(bed, connect->connect.version);
    assert_non_null(c);
    client_send(c, connect);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0);
    return c;
}

struct client *client_connect(struct bed *bed, enum smqtt_version version, const char *id, bool clean)
{
    struct smq_packet pkt = packet_connect(version, id, clean);
    if (version == SMQTT_V5 && !clean) {
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    }
    return client_connect_pkt(bed, &pkt);
}

void client_subscribe(struct client *c, const char *filter, uint8_t options)
{
    struct smq_filter f = {smq_span_str(filter), options};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 77;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = &f;
    smq_props_clear(&pkt.subscribe.props);
    client_send(c, &pkt);
    const struct smq_packet *ack = client_expect(c, SMQ_SUBACK);
    assert_int_equal(ack->suback.codes.len, 1);
    assert_int_equal(ack->suback.codes.data[0], options & 3);
}

void client_send_publish(struct client *c, const char *topic, const char *payload, uint8_t qos, bool retain,
                         uint16_t id)
{
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.qos = qos;
    pkt.publish.retain = retain;
    pkt.publish.id = id;
    pkt.publish.topic = smq_span_str(topic);
    pkt.publish.payload = smq_span_str(payload);
    smq_props_clear(&pkt.publish.props);
    client_send(c, &pkt);
}

void client_send_ack(struct client *c, enum smq_type type, uint16_t id, uint8_t reason)
{
    struct smq_packet pkt = {.type = type};
    pkt.ack.id = id;
    pkt.ack.reason = reason;
    smq_props_clear(&pkt.ack.props);
    client_send(c, &pkt);
}

void client_publish(struct client *c, const char *topic, const char *payload, uint8_t qos, bool retain)
{
    client_send_publish(c, topic, payload, qos, retain, qos != 0 ? 9 : 0);
    if (qos == 1) {
        assert_true(client_expect(c, SMQ_PUBACK)->ack.reason < 0x80);
    } else if (qos == 2) {
        assert_true(client_expect(c, SMQ_PUBREC)->ack.reason < 0x80);
        client_send_ack(c, SMQ_PUBREL, 9, 0);
        assert_int_equal(client_expect(c, SMQ_PUBCOMP)->ack.reason, 0);
    }
}

const struct smq_publish *client_expect_publish(struct client *c, const char *topic, const char *payload)
{
    const struct smq_publish *p = &client_expect(c, SMQ_PUBLISH)->publish;
    assert_true(span_is(p->topic, topic));
    assert_true(span_is(p->payload, payload));
    return p;
}

void client_take(struct client *c, const char *topic, const char *payload, uint8_t qos)
{
    const struct smq_publish *p = client_expect_publish(c, topic, payload);
    assert_int_equal(p->qos, qos);
    uint16_t id = p->id;
    if (qos == 1) {
        client_send_ack(c, SMQ_PUBACK, id, 0);
    } else if (qos == 2) {
        client_send_ack(c, SMQ_PUBREC, id, 0);
        assert_int_equal(client_expect(c, SMQ_PUBREL)->ack.id, id);
        client_send_ack(c, SMQ_PUBCOMP, id, 0);
    }
}

void client_disconnect(struct client *c)
{
    struct smq_packet pkt = {.type = SMQ_DISCONNECT};
    smq_props_clear(&pkt.reasoned.props);
    client_send(c, &pkt);
    client_expect_closed(c);
}
