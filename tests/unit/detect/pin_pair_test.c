/* SPDX-License-Identifier: Apache-2.0 */
/* The server's descriptor changes while clients are at work, and a hostile broker serves what it likes on the topic
 * `d` (protocol.md 3.1, 9.6). */
#include <stdio.h>

#include "base/hex.h"
#include "pair.h"

enum { GRACE_MS = 3600000 };

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(test_random(ctx) >> 24);
    }
    return true;
}

static struct smqtt_identity *successor(const struct pair *p, const struct smqtt_identity *old, const char *suite,
                                        uint64_t seed)
{
    const struct smqtt_rng rng = {fill, &seed};
    struct smqtt_identity *out = NULL;
    seed += 1000; /* other keys than those of the pair */
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, suite, p->now.wall + GRACE_MS, 0, 0, &out), SMQTT_OK);
    return out;
}

static struct smqtt_identity *renewal(const struct smqtt_identity *old)
{
    struct smqtt_identity *out = NULL;
    assert_int_equal(smqtt_identity_renew(NULL, old, 0, 0, 0, &out), SMQTT_OK);
    return out;
}

static void topic_of(const struct smqtt_identity *id, char out[64])
{
    char hex[17];
    smq_hex_encode(hex, smq_span_of(smqtt_identity_skid(id), SMQTT_SKID_LEN));
    (void)snprintf(out, 64, "smqtt1/%s/d", hex);
}

/** The broker delivers bytes on the `d` of an identity. */
static void deliver(struct pair *p, const struct smqtt_identity *at, smq_span bytes)
{
    char topic[64];
    bool taken = false;
    topic_of(at, topic);
    assert_int_equal(smqtt_sealer_message(p->sealer, smq_span_str(topic), bytes, &taken, p->now), SMQTT_OK);
    assert_true(taken);
    pair_pull(p);
}

static void deliver_id(struct pair *p, const struct smqtt_identity *at, const struct smqtt_identity *id)
{
    deliver(p, at, smqtt_identity_descriptor(id));
}

static void deliver_revocation(struct pair *p, const struct smqtt_identity *at, const struct smqtt_identity *of)
{
    char text[SMQTT_REVOCATION_TEXT_MAX];
    uint8_t bytes[SMQTT_REVOCATION_LEN];
    size_t len = 0;
    assert_int_equal(smqtt_identity_revoke(of, SMQTT_REVOKED_STOLEN, 5, text), SMQTT_OK);
    assert_int_equal(smq_base64url_decode(bytes, sizeof(bytes), smq_span_str(strchr(text, ' ') + 1), &len), SMQTT_OK);
    deliver(p, at, smq_span_of(bytes, len));
}

static size_t told(const struct pair *p, enum smqtt_secure_event_type type)
{
    return told_count(p->of_sealer, p->n_sealer, type);
}

static smqtt_err last_descriptor(const struct pair *p)
{
    const struct told *t = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_DESCRIPTOR);
    assert_non_null(t);
    return t->ev.err;
}

/** Was this topic asked for, or given up, since the last pair_forget? */
static bool asked(const struct pair *p, enum smqtt_secure_event_type type, const struct smqtt_identity *id)
{
    char topic[64];
    topic_of(id, topic);
    for (size_t i = 0; i < p->n_sealer; i++) {
        if (p->of_sealer[i].ev.type == type && smq_span_equal(p->of_sealer[i].ev.topic, smq_span_str(topic))) {
            return true;
        }
    }
    return false;
}

static struct smqtt_secure_counters counters(const struct pair *p)
{
    struct smqtt_secure_counters c;
    smqtt_sealer_counters(p->sealer, &c);
    return c;
}

/** The server goes on with another identity. */
static void server_becomes(struct pair *p, struct smqtt_identity *id)
{
    pair_close_opener(p);
    smqtt_identity_free(p->server);
    p->server = smqtt_identity_ref(id);
    p->suite = id->suite->id;
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
}

/* ---------------------------------------------------------------- what is to work */

static void test_publishing(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    struct smqtt_identity *old = smqtt_identity_ref(p->server);
    struct smqtt_identity *next = successor(p, old, "p256", 1);
    struct smqtt_identity *ids[] = {next, old};
    server_becomes(p, next);
    assert_int_equal(smqtt_opener_connected(p->opener, true, smq_span_str("c"), p->now), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.n, 2); /* on its own topic and on the predecessor's */
    for (size_t i = 0; i < 2; i++) {
        char topic[64];
        const struct packet *packet = &p->to_client.list[i];
        topic_of(ids[i], topic);
        assert_true(smq_span_equal(smq_span_of(packet->topic, packet->topic_len), smq_span_str(topic)));
        assert_true(smq_span_equal(smq_span_of(packet->bytes, packet->len), smqtt_identity_descriptor(next)));
    }
    smqtt_identity_free(old);
    smqtt_identity_free(next);
    pair_free(p);
}

static void check_renewal(uint8_t suite, bool tunnel)
{
    struct pair *p = pair_new(suite);
    p->tunnel = tunnel;
    p->mutual = true;
    pair_open(p);
    struct smqtt_identity *first = smqtt_identity_ref(p->server);
    struct smqtt_identity *second = renewal(first);
    smqtt_sealer_connected(p->sealer, tunnel, p->now);
    pair_pull(p);
    assert_true(asked(p, SMQTT_EV_SUBSCRIBE, first));
    pair_handshake(p);
    pair_forget(p);
    deliver_id(p, first, first); /* nothing new */
    assert_int_equal(p->n_sealer, 0);
    deliver_id(p, first, second);
    assert_int_equal(last_descriptor(p), SMQTT_OK);
    assert_int_equal(told(p, SMQTT_EV_SUBSCRIBE), 0);
    assert_int_equal(told(p, SMQTT_EV_CLOSED), 0);
    assert_true(smqtt_sealer_is_open(p->sealer));
    assert_memory_equal(smqtt_identity_did(smqtt_sealer_server(p->sealer)), second->did, SMQTT_DID_LEN);
    /* the session goes on, receipts and all */
    const struct smqtt_seal_options o = {.receipt = true};
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &o), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told(p, SMQTT_EV_RECEIPT), 1);
    deliver_id(p, first, second);
    assert_int_equal(told(p, SMQTT_EV_DESCRIPTOR), 1);
    server_becomes(p, second);
    pair_handshake(p);
    smqtt_identity_free(first);
    smqtt_identity_free(second);
    pair_free(p);
}

static void test_renewal(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        check_renewal((uint8_t)(1 + i / 2), i % 2 != 0);
    }
}

/** All pairs of suites: the session with the old keys goes on until there is one with the new ones. */
static void check_succession(uint8_t from, uint8_t to, bool tunnel)
{
    static const char *const names[] = {"", "x25519", "p256"};
    struct pair *p = pair_new(from);
    struct cut_store store;
    cut_store_init(&store);
    p->client_store = &store;
    p->tunnel = tunnel;
    pair_open(p);
    struct smqtt_identity *old = smqtt_identity_ref(p->server);
    struct smqtt_identity *next = successor(p, old, names[to], 2);
    pair_handshake(p);
    pair_forget(p);
    deliver_id(p, old, next);
    assert_int_equal(last_descriptor(p), SMQTT_OK);
    assert_true(asked(p, SMQTT_EV_UNSUBSCRIBE, old));
    assert_true(asked(p, SMQTT_EV_SUBSCRIBE, next));
    const struct smqtt_seal_options o = {.receipt = true};
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &o), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told(p, SMQTT_EV_RECEIPT), 1);
    server_becomes(p, next);
    pair_forget(p);
    pair_handshake(p);
    assert_int_equal(told(p, SMQTT_EV_CLOSED), 0);
    assert_int_equal(told(p, SMQTT_EV_UNSUBSCRIBE), 2);
    assert_int_equal(pair_seal(p, "a", smq_span_str("y"), &o), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told(p, SMQTT_EV_RECEIPT), 1);
    /* what is stored is the new session only, and it is taken up again by who kept the new descriptor */
    pair_close_sealer(p);
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    assert_true(smqtt_sealer_is_open(p->sealer));
    smqtt_identity_free(p->server);
    p->server = smqtt_identity_ref(old);
    pair_close_sealer(p);
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    assert_false(smqtt_sealer_is_open(p->sealer));
    smqtt_identity_free(old);
    smqtt_identity_free(next);
    pair_free(p);
    cut_store_deinit(&store);
}

static void test_succession(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        check_succession((uint8_t)(1 + i % 2), (uint8_t)(1 + i / 2 % 2), i / 4 != 0);
    }
}

/** A client that starts again with the new descriptor pinned leaves nothing of the old session in its store. */
static void test_old_session_is_forgotten(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    struct cut_store store;
    cut_store_init(&store);
    p->client_store = &store;
    pair_open(p);
    pair_handshake(p);
    assert_int_equal(store.n_now, 1);
    assert_false(store.now[0].gone);
    struct smqtt_identity *next = successor(p, p->server, NULL, 3);
    smqtt_identity_free(p->server);
    p->server = next;
    pair_close_sealer(p);
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    assert_false(smqtt_sealer_is_open(p->sealer));
    assert_true(store.now[0].gone);
    pair_free(p);
    cut_store_deinit(&store);
}

/** Three generations, each on the topic of the one before it. */
static void test_walk(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    struct smqtt_identity *line[4] = {smqtt_identity_ref(p->server)};
    pair_open(p);
    for (size_t i = 1; i < 4; i++) {
        line[i] = successor(p, line[i - 1], i % 2 != 0 ? "p256" : NULL, 3 + i);
    }
    deliver_id(p, line[0], line[3]); /* a grandson's: nobody here has vouched for it */
    deliver_id(p, line[0], line[2]);
    assert_int_equal(told(p, SMQTT_EV_DESCRIPTOR), 0);
    assert_int_equal(counters(p).noise, 2);
    for (size_t i = 1; i < 4; i++) {
        pair_forget(p);
        deliver_id(p, line[i - 1], line[i]);
        assert_int_equal(last_descriptor(p), SMQTT_OK);
        assert_true(asked(p, SMQTT_EV_SUBSCRIBE, line[i]));
        deliver_id(p, line[i - 1], line[i]); /* a late copy: it belongs to us, and is nothing */
        assert_int_equal(told(p, SMQTT_EV_DESCRIPTOR), 1);
    }
    server_becomes(p, line[3]);
    pair_handshake(p);
    for (size_t i = 0; i < 4; i++) {
        smqtt_identity_free(line[i]);
    }
    pair_free(p);
}

/** A handshake that waits for step 2 starts again: a new cid, new ephemerals, the same message. */
static void check_restart(bool tunnel, bool of_other_keys)
{
    struct pair *p = pair_new(1);
    p->tunnel = tunnel;
    pair_open(p);
    struct smqtt_identity *old = smqtt_identity_ref(p->server);
    struct smqtt_identity *next = of_other_keys ? successor(p, old, "p256", 7) : renewal(old);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    struct packet first = packet_copy(&p->to_server.list[0]);
    uint8_t hm[SMQ_HASH_LEN];
    memcpy(hm, told_last(p->of_sealer, p->n_sealer, SMQTT_EV_STEP)->ev.step.hash, sizeof(hm));
    queue_clear(&p->to_server); /* nobody is there for the old keys */
    deliver_id(p, old, next);
    assert_int_equal(last_descriptor(p), SMQTT_OK);
    assert_int_equal(p->to_server.n, 1);
    const struct packet *again = &p->to_server.list[0];
    assert_int_equal(again->header, 0x01);
    assert_memory_not_equal(again->bytes + 4, first.bytes + 4, SMQ_CID_LEN);
    assert_memory_equal(again->bytes + 12, next->skid, SMQTT_SKID_LEN);
    assert_memory_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_STEP)->ev.step.hash, hm, sizeof(hm));
    server_becomes(p, next);
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    assert_int_equal(counters(p).handshakes_opened, 1);
    packet_free(&first);
    smqtt_identity_free(old);
    smqtt_identity_free(next);
    pair_free(p);
}

static void test_restart(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        check_restart(i % 2 != 0, i / 2 != 0);
    }
}

/** Without randomness at that moment it starts again a second later. */
static void test_restart_later(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    struct smqtt_identity *old = smqtt_identity_ref(p->server);
    struct smqtt_identity *next = successor(p, old, NULL, 8);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    queue_clear(&p->to_server);
    p->rng_left = 0;
    deliver_id(p, old, next);
    p->rng_left = -1;
    assert_int_equal(p->to_server.n, 0);
    server_becomes(p, next);
    pair_tick(p, 1000);
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    smqtt_identity_free(old);
    smqtt_identity_free(next);
    pair_free(p);
}

/** When step 3 has left, the handshake ends with the old keys. */
static void test_wait_ack(void **state)
{
    (void)state;
    for (int tunnel = 0; tunnel <= 1; tunnel++) {
        struct pair *p = pair_new(2);
        p->tunnel = tunnel != 0;
        pair_open(p);
        struct smqtt_identity *old = smqtt_identity_ref(p->server);
        struct smqtt_identity *next = successor(p, old, "x25519", 9);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        pair_give_server(p);
        pair_give_client(p);
        deliver_id(p, old, next);
        assert_int_equal(last_descriptor(p), SMQTT_OK);
        assert_int_equal(p->to_server.n, 1); /* step 3, and no other step 0 */
        pair_run(p);
        assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
        const struct smqtt_seal_options o = {.receipt = true};
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &o), SMQTT_OK);
        pair_run(p);
        assert_int_equal(told(p, SMQTT_EV_RECEIPT), 1);
        /* connected anew: the old session's topics, the new descriptor's */
        pair_forget(p);
        smqtt_sealer_connected(p->sealer, p->tunnel, p->now);
        pair_pull(p);
        assert_true(asked(p, SMQTT_EV_SUBSCRIBE, next));
        assert_false(asked(p, SMQTT_EV_SUBSCRIBE, old));
        assert_int_equal(told(p, SMQTT_EV_SUBSCRIBE), 3);
        /* a notice of the old server about its session still counts */
        pair_close_opener(p);
        assert_int_equal(pair_open_opener(p), SMQTT_OK);
        assert_int_equal(pair_seal(p, "a", smq_span_str("y"), &o), SMQTT_OK);
        pair_run(p);
        assert_int_equal(told(p, SMQTT_EV_LOST), 1);
        smqtt_identity_free(old);
        smqtt_identity_free(next);
        pair_free(p);
    }
}

/* ---------------------------------------------------------------- what is to be refused */

/** Old ones are put back: told once each, counted each time, and nothing else. */
static void test_rollback(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    struct smqtt_identity *line[4] = {smqtt_identity_ref(p->server)};
    pair_open(p);
    line[1] = renewal(line[0]);
    line[2] = renewal(line[1]);
    line[3] = successor(p, line[2], NULL, 10);
    deliver_id(p, line[0], line[2]);
    server_becomes(p, line[2]);
    pair_handshake(p);
    pair_forget(p);
    for (int i = 0; i < 50; i++) {
        deliver_id(p, line[0], line[0]);
        deliver_id(p, line[0], line[1]);
        pair_tick(p, 1000);
    }
    assert_int_equal(told(p, SMQTT_EV_DESCRIPTOR), 2);
    assert_int_equal(last_descriptor(p), SMQTT_E_OLD_IDENTITY);
    assert_int_equal(p->n_sealer, 2);
    assert_int_equal(counters(p).rollbacks, 100);
    assert_true(smqtt_sealer_is_open(p->sealer));
    deliver_id(p, line[0], line[3]);
    assert_int_equal(last_descriptor(p), SMQTT_OK);
    /* the predecessor again, on the successor's own topic */
    pair_forget(p);
    deliver_id(p, line[3], line[2]);
    assert_int_equal(last_descriptor(p), SMQTT_E_OLD_IDENTITY);
    assert_memory_equal(smqtt_identity_did(smqtt_sealer_server(p->sealer)), line[3]->did, SMQTT_DID_LEN);
    for (size_t i = 0; i < 4; i++) {
        smqtt_identity_free(line[i]);
    }
    pair_free(p);
}

/** A broker that makes them itself, without end: eight events, then silence for ten minutes. */
static void test_flood(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    struct smqtt_identity *forger = smqtt_identity_ref(p->client);
    memcpy(forger->skid, p->server->skid, SMQTT_SKID_LEN);
    for (uint64_t i = 0; i < 40; i++) {
        struct smqtt_identity *forged = successor(p, forger, NULL, 100 + i);
        deliver_id(p, p->server, forged);
        deliver_id(p, p->server, forged);
        smqtt_identity_free(forged);
    }
    assert_int_equal(told(p, SMQTT_EV_DESCRIPTOR), 8);
    assert_int_equal(last_descriptor(p), SMQTT_E_BAD_SIGNATURE);
    assert_int_equal(p->n_sealer, 8);
    pair_tick(p, 10 * 60000);
    struct smqtt_identity *forged = successor(p, forger, NULL, 1);
    deliver_id(p, p->server, forged);
    assert_int_equal(told(p, SMQTT_EV_DESCRIPTOR), 9);
    smqtt_identity_free(forged);
    smqtt_identity_free(forger);
    pair_handshake(p);
    pair_free(p);
}

static void test_grace_is_over(void **state)
{
    (void)state;
    for (smqtt_ms over = 0; over <= 1; over++) {
        struct pair *p = pair_new(1);
        pair_open(p);
        struct smqtt_identity *old = smqtt_identity_ref(p->server);
        struct smqtt_identity *next = successor(p, old, NULL, 11);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        p->now.wall += GRACE_MS + over;
        deliver_id(p, old, next);
        assert_int_equal(last_descriptor(p), over != 0 ? SMQTT_E_EXPIRED : SMQTT_OK);
        assert_int_equal(p->to_server.n, over != 0 ? 1 : 2);
        smqtt_identity_free(old);
        smqtt_identity_free(next);
        pair_free(p);
    }
}

/** A client with an identity of the old suite cannot follow. */
static void test_suite(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->mutual = true;
    pair_open(p);
    struct smqtt_identity *old = smqtt_identity_ref(p->server);
    struct smqtt_identity *next = successor(p, old, "p256", 12);
    deliver_id(p, old, next);
    assert_int_equal(last_descriptor(p), SMQTT_E_SUITE);
    assert_memory_equal(smqtt_identity_did(smqtt_sealer_server(p->sealer)), old->did, SMQTT_DID_LEN);
    deliver_id(p, old, next);
    assert_int_equal(told(p, SMQTT_EV_DESCRIPTOR), 1);
    pair_handshake(p);
    smqtt_identity_free(old);
    smqtt_identity_free(next);
    pair_free(p);
}

/** Every bit of a renewal, of a successor, and of a revocation; every prefix; strangers; nothing. */
static void test_noise(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    struct smqtt_identity *old = smqtt_identity_ref(p->server);
    struct smqtt_identity *ids[] = {renewal(old), successor(p, old, "p256", 13)};
    pair_handshake(p);
    pair_forget(p);
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[SMQ_DESCRIPTOR_MAX + 1] = {0};
        size_t len = ids[i]->len;
        memcpy(bytes, ids[i]->descriptor, len);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            deliver(p, old, smq_span_of(bytes, len));
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        for (size_t cut = 0; cut < len; cut++) {
            deliver(p, old, smq_span_of(bytes, cut));
        }
        deliver(p, old, smq_span_of(bytes, len + 1));
    }
    deliver_id(p, old, p->client);
    deliver_revocation(p, old, p->client);
    deliver_revocation(p, old, ids[1]);
    assert_int_equal(p->n_sealer, 0);
    assert_int_equal(p->to_server.n, 0);
    assert_true(smqtt_sealer_is_open(p->sealer));
    assert_true(counters(p).noise > 1000);
    smqtt_identity_free(old);
    smqtt_identity_free(ids[0]);
    smqtt_identity_free(ids[1]);
    pair_free(p);
}

/* ---------------------------------------------------------------- revocation */

static void check_revoked(bool open, bool tunnel, unsigned steps)
{
    struct pair *p = pair_new(1);
    p->tunnel = tunnel;
    pair_open(p);
    if (open) {
        pair_handshake(p);
    }
    if (steps != 0) {
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        for (unsigned i = 1; i < steps; i++) {
            assert_true(i % 2 != 0 ? pair_give_server(p) : pair_give_client(p));
        }
    }
    pair_forget(p);
    deliver_revocation(p, p->server, p->server);
    assert_int_equal(last_descriptor(p), SMQTT_E_REVOKED);
    assert_int_equal(told(p, SMQTT_EV_CLOSED), (size_t)open + (steps != 0));
    for (size_t i = 0; i < p->n_sealer; i++) {
        assert_true(p->of_sealer[i].ev.type != SMQTT_EV_CLOSED || p->of_sealer[i].ev.err == SMQTT_E_REVOKED);
    }
    assert_false(smqtt_sealer_is_open(p->sealer));
    assert_int_equal(pair_start(p), SMQTT_E_REVOKED);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_E_STATE);
    size_t n = p->n_sealer;
    struct smqtt_identity *next = successor(p, p->server, NULL, 14);
    deliver_revocation(p, p->server, p->server);
    deliver_id(p, p->server, next); /* who vouches for it is void */
    queue_clear(&p->to_server);
    pair_run(p);
    pair_tick(p, 60000);
    pair_run(p);
    assert_int_equal(p->n_sealer, n);
    assert_int_equal(p->to_server.n, 0);
    smqtt_identity_free(next);
    pair_free(p);
}

static void test_revoked(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        check_revoked(i % 2 != 0, i / 2 % 2 != 0, i / 4);
    }
}

/** The predecessor's revocation says nothing of a successor that was taken before. */
static void test_revocation_replayed(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    struct smqtt_identity *old = smqtt_identity_ref(p->server);
    struct smqtt_identity *next = successor(p, old, NULL, 15);
    deliver_id(p, old, next);
    pair_forget(p);
    deliver_revocation(p, next, old);
    deliver_revocation(p, old, old);
    assert_int_equal(p->n_sealer, 0);
    server_becomes(p, next);
    pair_handshake(p);
    deliver_revocation(p, next, next);
    assert_int_equal(last_descriptor(p), SMQTT_E_REVOKED);
    smqtt_identity_free(old);
    smqtt_identity_free(next);
    pair_free(p);
}

static struct smqtt_revocations *list_of(const struct smqtt_identity *id)
{
    char text[SMQTT_FINGERPRINT_SIZE];
    struct smqtt_revocations *list = NULL;
    unsigned line = 0;
    smqtt_identity_fingerprint(id, text);
    assert_int_equal(smqtt_revocations_read(NULL, smq_span_str(text), &list, &line), SMQTT_OK);
    return list;
}

static void test_client_list(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->mutual = true;
    struct smqtt_identity *next = successor(p, p->server, NULL, 16);
    struct smqtt_revocations *of_server = list_of(p->server);
    struct smqtt_revocations *of_client = list_of(p->client);
    struct smqtt_revocations *of_next = list_of(next);
    p->client_revoked = of_server;
    assert_int_equal(pair_open_sealer(p), SMQTT_E_REVOKED);
    p->client_revoked = of_client;
    assert_int_equal(pair_open_sealer(p), SMQTT_E_REVOKED);
    p->mutual = false;
    pair_open(p);
    pair_close_sealer(p);
    p->client_revoked = of_next;
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    deliver_id(p, p->server, next);
    deliver_id(p, p->server, next);
    assert_int_equal(last_descriptor(p), SMQTT_E_REVOKED);
    assert_int_equal(told(p, SMQTT_EV_DESCRIPTOR), 1);
    pair_handshake(p); /* the one in force is not meant */
    smqtt_revocations_free(of_server);
    smqtt_revocations_free(of_client);
    smqtt_revocations_free(of_next);
    smqtt_identity_free(next);
    pair_free(p);
}

/** A client on the server's list: an authentic NOT_AUTHORIZED, by descriptor and by look-up. */
static void test_server_list(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct pair *p = pair_new(2);
        struct smqtt_revocations *list = list_of(p->client);
        p->mutual = true;
        p->lookup = i != 0;
        p->server_revoked = list;
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_run(p);
        const struct told *closed = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED);
        assert_int_equal(closed->ev.status, SMQTT_STATUS_NOT_AUTHORIZED);
        assert_null(told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN));
        pair_close_sealer(p);
        p->mutual = false; /* others, and the anonymous, are not meant */
        assert_int_equal(pair_open_sealer(p), SMQTT_OK);
        pair_handshake(p);
        smqtt_revocations_free(list);
        list = list_of(p->server);
        pair_close_opener(p);
        p->server_revoked = list;
        assert_int_equal(pair_open_opener(p), SMQTT_E_REVOKED);
        smqtt_revocations_free(list);
        pair_free(p);
    }
}

/** Revoked while it had a session: with the next start of the server that is over, and gone from the store. */
static void test_stored_session_of_a_revoked_client(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    struct cut_store store;
    cut_store_init(&store);
    p->server_store = &store;
    p->mutual = true;
    pair_open(p);
    pair_handshake(p);
    struct smqtt_revocations *list = list_of(p->client);
    pair_close_opener(p);
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    pair_close_opener(p);
    p->server_revoked = list;
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
    assert_true(store.now[0].gone);
    pair_forget(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("y"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_NO_KEY);
    assert_int_equal(told(p, SMQTT_EV_LOST), 1);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.status, SMQTT_STATUS_NOT_AUTHORIZED);
    smqtt_revocations_free(list);
    pair_free(p);
    cut_store_deinit(&store);
}

/* ---------------------------------------------------------------- in the tunnel */

/** DETECT on the topic of another cid is noise. */
static void test_topic_names_the_cid(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->tunnel = true;
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    pair_give_server(p);
    struct packet *step2 = &p->to_client.list[0];
    step2->topic[step2->topic_len - 1] ^= 1;
    struct packet copy = packet_copy(step2);
    pair_give_client(p);
    assert_int_equal(p->to_server.n, 0);
    assert_int_equal(counters(p).noise, 1);
    copy.topic[copy.topic_len - 1] ^= 1;
    p->to_client.list[p->to_client.n++] = copy;
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_publishing),
                                       cmocka_unit_test(test_renewal),
                                       cmocka_unit_test(test_succession),
                                       cmocka_unit_test(test_old_session_is_forgotten),
                                       cmocka_unit_test(test_walk),
                                       cmocka_unit_test(test_restart),
                                       cmocka_unit_test(test_restart_later),
                                       cmocka_unit_test(test_wait_ack),
                                       cmocka_unit_test(test_rollback),
                                       cmocka_unit_test(test_flood),
                                       cmocka_unit_test(test_grace_is_over),
                                       cmocka_unit_test(test_suite),
                                       cmocka_unit_test(test_noise),
                                       cmocka_unit_test(test_revoked),
                                       cmocka_unit_test(test_revocation_replayed),
                                       cmocka_unit_test(test_client_list),
                                       cmocka_unit_test(test_server_list),
                                       cmocka_unit_test(test_stored_session_of_a_revoked_client),
                                       cmocka_unit_test(test_topic_names_the_cid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
