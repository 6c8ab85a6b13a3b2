/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <stdlib.h>

/* ---------------------------------------------------------------- what endpoints are given */

static bool rng_fill(void *ctx, uint8_t *out, size_t len)
{
    struct pair *p = ctx;
    if (p->rng_left == 0) {
        return false;
    }
    p->rng_left -= p->rng_left > 0;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(test_random(&p->seed) >> 24);
    }
    return true;
}

static bool allow(void *ctx, const struct smqtt_identity *peer, struct smqtt_span topic)
{
    (void)peer;
    (void)topic;
    return !((struct pair *)ctx)->deny;
}

static const struct smqtt_identity *lookup(void *ctx, const uint8_t short_did[8])
{
    struct pair *p = ctx;
    return p->client != NULL && memcmp(p->client->did, short_did, 8) == 0 ? p->client : NULL;
}

static const uint8_t PSK[32] = "thirty-two bytes shared secretly";

static bool psk(void *ctx, struct smqtt_span id, struct smqtt_span *out)
{
    (void)ctx;
    *out = smq_span_of(PSK, sizeof(PSK));
    return smq_span_equal(id, smq_span_str("batch"));
}

static void journal(void *ctx, const struct smqtt_journal_entry *entry)
{
    struct pair *p = ctx;
    p->journaled++;
    p->last_journal = *entry;
}

void pair_init(struct pair *p, uint8_t suite)
{
    static const char *const names[] = {"", "x25519", "p256"};
    memset(p, 0, sizeof(*p));
    p->suite = suite;
    p->text = true;
    p->seed = suite;
    p->rng_left = -1;
    p->now = (struct smqtt_now){UINT64_C(1800000000000), 1000000};
    const struct smqtt_rng rng = {rng_fill, p};
    assert_int_equal(smqtt_identity_new(NULL, &rng, names[suite], "server", 0, 0, 0, &p->server), SMQTT_OK);
    assert_int_equal(smqtt_identity_new(NULL, &rng, names[suite], "client", 0, 0, 0, &p->client), SMQTT_OK);
}

smqtt_err pair_open_sealer(struct pair *p)
{
    struct smqtt_sealer_config c = {.struct_size = sizeof(c),
                                    .mem = p->mem,
                                    .rng = {rng_fill, p},
                                    .server = p->server,
                                    .identity = p->mutual ? p->client : NULL,
                                    .client_id = smq_span_str("thermometer7"),
                                    .policy = p->policy,
                                    .store = p->client_store != NULL ? &p->client_store->store : NULL,
                                    .revoked = p->client_revoked,
                                    .tunnel = p->tunnel,
                                    .lookup_credential = p->lookup};
    if (p->psk) {
        c.psk = smq_span_of(PSK, sizeof(PSK));
        c.psk_id = smq_span_str("batch");
    }
    return smqtt_sealer_new(&c, p->now, &p->sealer);
}

smqtt_err pair_open_opener(struct pair *p)
{
    const struct smqtt_opener_config c = {.struct_size = sizeof(c),
                                          .mem = p->mem,
                                          .rng = {rng_fill, p},
                                          .identity = p->server,
                                          .policy = p->policy,
                                          .store = p->server_store != NULL ? &p->server_store->store : NULL,
                                          .pipeline = p->pipeline,
                                          .allow = allow,
                                          .lookup = lookup,
                                          .psk = psk,
                                          .journal = journal,
                                          .ctx = p,
                                          .revoked = p->server_revoked,
                                          .tunnel = p->tunnel,
                                          .window = p->window,
                                          .rekey = p->rekey,
                                          .waiting_max = p->waiting_max,
                                          .sessions_max = p->sessions_max};
    return smqtt_opener_new(&c, p->now, &p->opener);
}

void pair_open(struct pair *p)
{
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
}

void pair_close_sealer(struct pair *p)
{
    smqtt_sealer_free(p->sealer);
    p->sealer = NULL;
}

void pair_close_opener(struct pair *p)
{
    smqtt_opener_free(p->opener);
    p->opener = NULL;
}

void pair_deinit(struct pair *p)
{
    pair_close_sealer(p);
    pair_close_opener(p);
    queue_clear(&p->to_server);
    queue_clear(&p->to_client);
    smqtt_identity_free(p->server);
    smqtt_identity_free(p->client);
    smqtt_policy_free(p->policy);
}

/* ---------------------------------------------------------------- queues */

struct packet packet_copy(const struct packet *packet)
{
    struct packet copy = *packet;
    copy.bytes = malloc(packet->len + 1);
    assert_non_null(copy.bytes);
    memcpy(copy.bytes, packet->bytes, packet->len);
    return copy;
}

void packet_free(struct packet *packet)
{
    free(packet->bytes);
    packet->bytes = NULL;
}

void queue_clear(struct queue *q)
{
    for (size_t i = 0; i < q->n; i++) {
        packet_free(&q->list[i]);
    }
    q->n = 0;
}

static void queue_put(struct queue *q, bool detect, uint8_t header, smq_span topic, smq_span bytes)
{
    assert_true(q->n < PACKETS_MAX && topic.len <= sizeof(q->list[0].topic));
    struct packet *packet = &q->list[q->n++];
    *packet = (struct packet){.detect = detect, .header = header, .topic_len = topic.len, .len = bytes.len};
    if (topic.len != 0) {
        memcpy(packet->topic, topic.data, topic.len);
    }
    packet->bytes = malloc(bytes.len + 1);
    assert_non_null(packet->bytes);
    if (bytes.len != 0) {
        memcpy(packet->bytes, bytes.data, bytes.len);
    }
}

static struct packet queue_take(struct queue *q)
{
    struct packet first = q->list[0];
    q->n--;
    memmove(q->list, q->list + 1, q->n * sizeof(q->list[0]));
    return first;
}

/* ---------------------------------------------------------------- events */

static void tell(struct told *list, size_t *n, const struct smqtt_secure_event *ev)
{
    assert_true(*n < EVENTS_MAX);
    struct told *t = &list[(*n)++];
    t->ev = *ev;
    if (ev->topic.len != 0 && ev->topic.len <= sizeof(t->topic)) {
        memcpy(t->topic, ev->topic.data, ev->topic.len);
        t->ev.topic.data = t->topic;
    }
    if (ev->bytes.len != 0 && ev->bytes.len <= sizeof(t->bytes)) {
        memcpy(t->bytes, ev->bytes.data, ev->bytes.len);
        t->ev.bytes.data = t->bytes;
    }
    t->name[0] = 0;
    if (ev->peer_name != NULL) {
        memcpy(t->name, ev->peer_name, strlen(ev->peer_name) + 1);
    }
}

static bool is_sent(const struct smqtt_secure_event *ev)
{
    return ev->type == SMQTT_EV_DETECT || ev->type == SMQTT_EV_PUBLISH;
}

void pair_pull(struct pair *p)
{
    struct smqtt_secure_event ev;
    while (p->sealer != NULL && smqtt_sealer_next(p->sealer, &ev)) {
        if (is_sent(&ev)) {
            assert_int_equal(ev.type, SMQTT_EV_DETECT);
            queue_put(&p->to_server, true, ev.header, ev.topic, ev.bytes);
        } else {
            tell(p->of_sealer, &p->n_sealer, &ev);
        }
    }
    while (p->opener != NULL && smqtt_opener_next(p->opener, &ev)) {
        if (is_sent(&ev)) {
            queue_put(&p->to_client, ev.type == SMQTT_EV_DETECT, ev.header, ev.topic, ev.bytes);
        } else {
            tell(p->of_opener, &p->n_opener, &ev);
        }
    }
}

/** The broker's part: 0x01 becomes 0x03. */
static uint8_t relabel(const struct pair *p, uint8_t header)
{
    return header == 0x01 && !p->tunnel ? 0x03 : header;
}

/** header ‖ body, as it travels in the tunnel. */
static smq_span tunnelled(const struct packet *packet, uint8_t buf[PACKET_BYTES])
{
    buf[0] = packet->header;
    memcpy(buf + 1, packet->bytes, packet->len);
    return smq_span_of(buf, packet->len + 1);
}

bool pair_give_server(struct pair *p)
{
    uint8_t buf[PACKET_BYTES];
    if (p->to_server.n == 0) {
        return false;
    }
    struct packet packet = queue_take(&p->to_server);
    smq_span topic = smq_span_of(packet.topic, packet.topic_len);
    smq_span bytes = smq_span_of(packet.bytes, packet.len);
    if (!packet.detect) {
        assert_int_equal(smqtt_opener_message(p->opener, topic, bytes, packet.retain, p->now), SMQTT_OK);
    } else if (p->tunnel) {
        assert_int_equal(smqtt_opener_message(p->opener, topic, tunnelled(&packet, buf), false, p->now), SMQTT_OK);
    } else {
        assert_int_equal(smqtt_opener_detect(p->opener, relabel(p, packet.header), bytes, p->now), SMQTT_OK);
    }
    pair_pull(p);
    packet_free(&packet);
    return true;
}

bool pair_give_client(struct pair *p)
{
    uint8_t buf[PACKET_BYTES];
    bool taken = true;
    if (p->to_client.n == 0) {
        return false;
    }
    struct packet packet = queue_take(&p->to_client);
    smq_span topic = smq_span_of(packet.topic, packet.topic_len);
    smq_span bytes = smq_span_of(packet.bytes, packet.len);
    if (!packet.detect) {
        assert_int_equal(smqtt_sealer_message(p->sealer, topic, bytes, &taken, p->now), SMQTT_OK);
    } else if (p->tunnel) {
        assert_int_equal(smqtt_sealer_message(p->sealer, topic, tunnelled(&packet, buf), &taken, p->now), SMQTT_OK);
    } else {
        assert_int_equal(smqtt_sealer_detect(p->sealer, packet.header, bytes, p->now), SMQTT_OK);
    }
    pair_pull(p);
    packet_free(&packet);
    return true;
}

void pair_run(struct pair *p)
{
    pair_pull(p);
    while (pair_give_server(p) || pair_give_client(p)) {
    }
}

void pair_tick(struct pair *p, smqtt_ms ms)
{
    p->now.wall += ms;
    p->now.mono += ms;
    if (p->sealer != NULL) {
        smqtt_sealer_tick(p->sealer, p->now);
    }
    if (p->opener != NULL) {
        smqtt_opener_tick(p->opener, p->now);
    }
}

/* ---------------------------------------------------------------- shorthands */

smqtt_err pair_start(struct pair *p)
{
    static const uint8_t binary[] = {0x00, 0xFF, 0x80};
    smq_span message = p->text ? smq_span_str("21.5 \xC2\xB0\x43") : smq_span_of(binary, sizeof(binary));
    return smqtt_sealer_start(p->sealer, smq_span_str("plant/7/temperature"), message, p->text, p->now);
}

void pair_handshake(struct pair *p)
{
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_run(p);
    assert_true(smqtt_sealer_is_open(p->sealer));
    const struct told *open = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN);
    assert_non_null(open);
    assert_true(open->ev.confirmed);
    assert_non_null(told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN));
}

smqtt_err pair_seal(struct pair *p, const char *topic, smq_span payload, const struct smqtt_seal_options *options)
{
    uint8_t out[PACKET_BYTES];
    size_t len = 0;
    smqtt_err err =
        smqtt_seal(p->sealer, smq_span_str(topic), payload, options, p->now, out, sizeof(out), &len, NULL, NULL);
    if (err == SMQTT_OK) {
        queue_put(&p->to_server, false, 0, smq_span_str(topic), smq_span_of(out, len));
    }
    return err;
}

smqtt_err pair_inject_server(struct pair *p, bool detect, uint8_t header, const char *topic, smq_span bytes,
                             bool retain)
{
    return detect ? smqtt_opener_detect(p->opener, header, bytes, p->now)
                  : smqtt_opener_message(p->opener, smq_span_str(topic), bytes, retain, p->now);
}

smqtt_err pair_inject_client(struct pair *p, bool detect, uint8_t header, const char *topic, smq_span bytes)
{
    bool taken = false;
    return detect ? smqtt_sealer_detect(p->sealer, header, bytes, p->now)
                  : smqtt_sealer_message(p->sealer, smq_span_str(topic), bytes, &taken, p->now);
}

size_t told_count(const struct told *list, size_t n, enum smqtt_secure_event_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += list[i].ev.type == type;
    }
    return count;
}

const struct told *told_last(const struct told *list, size_t n, enum smqtt_secure_event_type type)
{
    for (size_t i = n; i > 0; i--) {
        if (list[i - 1].ev.type == type) {
            return &list[i - 1];
        }
    }
    return NULL;
}

void pair_forget(struct pair *p)
{
    p->n_sealer = p->n_opener = 0;
}

struct pair *pair_new(uint8_t suite)
{
    struct pair *p = malloc(sizeof(*p));
    assert_non_null(p);
    pair_init(p, suite);
    return p;
}

void pair_free(struct pair *p)
{
    pair_deinit(p);
    free(p);
}
