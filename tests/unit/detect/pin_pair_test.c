/* SPDX-License-Identifier: Apache-2.0 */
/* The server's descriptor changes while clients are at work, and a hostile broker serves what it likes on the topic
 * `d` (protocol.md 3.1, 9.6). */
#include <stdio.h>

#include "base/hex.h"
#include "pin_kit.h"

/* ---------------------------------------------------------------- what is to work */

static void test_publishing(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    struct smqtt_identity *old = smqtt_identity_ref(p->server);
    struct smqtt_identity *next = pin_successor(p, old, "p256", 1);
    struct smqtt_identity *ids[] = {next, old};
    pin_server_becomes(p, next);
    assert_int_equal(smqtt_opener_connected(p->opener, true, smq_span_str("c"), p->now), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.n, 2); /* on its own topic and on the predecessor's */
    for (size_t i = 0; i < 2; i++) {
        char topic[64];
        const struct packet *packet = &p->to_client.list[i];
        pin_topic(ids[i], topic);
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
    struct smqtt_identity *second = pin_renewal(first);
    smqtt_sealer_connected(p->sealer, tunnel, p->now);
    pair_pull(p);
    assert_true(pin_asked(p, SMQTT_EV_SUBSCRIBE, first));
    pair_handshake(p);
    pair_forget(p);
    pin_deliver_id(p, first, first); /* nothing new */
    assert_int_equal(p->n_sealer, 0);
    pin_deliver_id(p, first, second);
    assert_int_equal(pin_last(p), SMQTT_OK);
    assert_int_equal(pin_told(p, SMQTT_EV_SUBSCRIBE), 0);
    assert_int_equal(pin_told(p, SMQTT_EV_CLOSED), 0);
    assert_true(smqtt_sealer_is_open(p->sealer));
    assert_memory_equal(smqtt_identity_did(smqtt_sealer_server(p->sealer)), second->did, SMQTT_DID_LEN);
    /* the session goes on, receipts and all */
    const struct smqtt_seal_options o = {.receipt = true};
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &o), SMQTT_OK);
    pair_run(p);
    assert_int_equal(pin_told(p, SMQTT_EV_RECEIPT), 1);
    pin_deliver_id(p, first, second);
    assert_int_equal(pin_told(p, SMQTT_EV_DESCRIPTOR), 1);
    pin_server_becomes(p, second);
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
    struct smqtt_identity *next = pin_successor(p, old, names[to], 2);
    pair_handshake(p);
    pair_forget(p);
    pin_deliver_id(p, old, next);
    assert_int_equal(pin_last(p), SMQTT_OK);
    assert_true(pin_asked(p, SMQTT_EV_UNSUBSCRIBE, old));
    assert_true(pin_asked(p, SMQTT_EV_SUBSCRIBE, next));
    const struct smqtt_seal_options o = {.receipt = true};
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &o), SMQTT_OK);
    pair_run(p);
    assert_int_equal(pin_told(p, SMQTT_EV_RECEIPT), 1);
    pin_server_becomes(p, next);
    pair_forget(p);
    pair_handshake(p);
    assert_int_equal(pin_told(p, SMQTT_EV_CLOSED), 0);
    assert_int_equal(pin_told(p, SMQTT_EV_UNSUBSCRIBE), 3); /* cid, and notices of both */
    assert_int_equal(pair_seal(p, "a", smq_span_str("y"), &o), SMQTT_OK);
    pair_run(p);
    assert_int_equal(pin_told(p, SMQTT_EV_RECEIPT), 1);
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
    struct smqtt_identity *next = pin_successor(p, p->server, NULL, 3);
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
        line[i] = pin_successor(p, line[i - 1], i % 2 != 0 ? "p256" : NULL, 3 + i);
    }
    pin_deliver_id(p, line[0], line[3]); /* a grandson's: nobody here has vouched for it */
    pin_deliver_id(p, line[0], line[2]);
    assert_int_equal(pin_told(p, SMQTT_EV_DESCRIPTOR), 0);
    assert_int_equal(pin_counters(p).noise, 2);
    for (size_t i = 1; i < 4; i++) {
        pair_forget(p);
        pin_deliver_id(p, line[i - 1], line[i]);
        assert_int_equal(pin_last(p), SMQTT_OK);
        assert_true(pin_asked(p, SMQTT_EV_SUBSCRIBE, line[i]));
        pin_deliver_id(p, line[i - 1], line[i]); /* a late copy: it belongs to us, and is nothing */
        assert_int_equal(pin_told(p, SMQTT_EV_DESCRIPTOR), 1);
    }
    pin_server_becomes(p, line[3]);
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
    struct smqtt_identity *next = of_other_keys ? pin_successor(p, old, "p256", 7) : pin_renewal(old);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    struct packet first = packet_copy(&p->to_server.list[0]);
    uint8_t hm[SMQ_HASH_LEN];
    memcpy(hm, told_last(p->of_sealer, p->n_sealer, SMQTT_EV_STEP)->ev.step.hash, sizeof(hm));
    queue_clear(&p->to_server); /* nobody is there for the old keys */
    pin_deliver_id(p, old, next);
    assert_int_equal(pin_last(p), SMQTT_OK);
    assert_int_equal(p->to_server.n, 1);
    const struct packet *again = &p->to_server.list[0];
    assert_int_equal(again->header, 0x01);
    assert_memory_not_equal(again->bytes + 4, first.bytes + 4, SMQ_CID_LEN);
    assert_memory_equal(again->bytes + 12, next->skid, SMQTT_SKID_LEN);
    assert_memory_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_STEP)->ev.step.hash, hm, sizeof(hm));
    pin_server_becomes(p, next);
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    assert_int_equal(pin_counters(p).handshakes_opened, 1);
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
    struct smqtt_identity *next = pin_successor(p, old, NULL, 8);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    queue_clear(&p->to_server);
    p->rng_left = 0;
    pin_deliver_id(p, old, next);
    p->rng_left = -1;
    assert_int_equal(p->to_server.n, 0);
    pin_server_becomes(p, next);
    pair_tick(p, 1000);
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    smqtt_identity_free(old);
    smqtt_identity_free(next);
    pair_free(p);
}

/** Until then the answer of the old server still counts, which is judged under its own keys. */
static void test_answer_before_restart(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    struct smqtt_identity *next = pin_successor(p, p->server, "p256", 8);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    p->rng_left = 0;
    pin_deliver_id(p, p->server, next);
    p->rng_left = -1;
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    pin_server_becomes(p, next);
    pair_handshake(p);
    smqtt_identity_free(next);
    pair_free(p);
}

/** The old keys are not served any more: their successor says that it does not know the session. */
static void test_successor_says_lost(void **state)
{
    (void)state;
    for (int step3_left = 0; step3_left <= 1; step3_left++) {
        struct pair *p = pair_new(1);
        pair_open(p);
        struct smqtt_identity *old = smqtt_identity_ref(p->server);
        struct smqtt_identity *next = pin_successor(p, old, "p256", 32);
        char kid[9], topic[64];
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        pair_give_server(p);
        pair_give_client(p);
        if (step3_left == 0) {
            pair_run(p);
        }
        pin_deliver_id(p, old, next);
        pair_run(p);
        smq_hex_encode(kid, smq_span_of(p->sealer->session->send.kid, SMQ_KID_LEN));
        pin_topic(next, topic);
        (void)snprintf(topic + strlen(topic) - 1, 16, "n/%s", kid);
        size_t asked = 0;
        for (size_t i = 0; i < p->n_sealer; i++) {
            const struct smqtt_secure_event *ev = &p->of_sealer[i].ev;
            asked += ev->type == SMQTT_EV_SUBSCRIBE && smq_span_equal(ev->topic, smq_span_str(topic));
        }
        assert_int_equal(asked, 1);
        pin_server_becomes(p, next);
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
        pair_run(p);
        assert_int_equal(pin_told(p, SMQTT_EV_LOST), 1);
        assert_false(smqtt_sealer_is_open(p->sealer));
        pair_handshake(p);
        smqtt_identity_free(old);
        smqtt_identity_free(next);
        pair_free(p);
    }
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
        struct smqtt_identity *next = pin_successor(p, old, "x25519", 9);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        pair_give_server(p);
        pair_give_client(p);
        pin_deliver_id(p, old, next);
        assert_int_equal(pin_last(p), SMQTT_OK);
        assert_int_equal(p->to_server.n, 1); /* step 3, and no other step 0 */
        pair_run(p);
        assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
        const struct smqtt_seal_options o = {.receipt = true};
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &o), SMQTT_OK);
        pair_run(p);
        assert_int_equal(pin_told(p, SMQTT_EV_RECEIPT), 1);
        /* connected anew: the old session's topics, the new descriptor's */
        pair_forget(p);
        smqtt_sealer_connected(p->sealer, p->tunnel, p->now);
        pair_pull(p);
        assert_true(pin_asked(p, SMQTT_EV_SUBSCRIBE, next));
        assert_false(pin_asked(p, SMQTT_EV_SUBSCRIBE, old));
        assert_int_equal(pin_told(p, SMQTT_EV_SUBSCRIBE), 4);
        /* a notice of the old server about its session still counts */
        pair_close_opener(p);
        assert_int_equal(pair_open_opener(p), SMQTT_OK);
        assert_int_equal(pair_seal(p, "a", smq_span_str("y"), &o), SMQTT_OK);
        pair_run(p);
        assert_int_equal(pin_told(p, SMQTT_EV_LOST), 1);
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
    line[1] = pin_renewal(line[0]);
    line[2] = pin_renewal(line[1]);
    line[3] = pin_successor(p, line[2], NULL, 10);
    pin_deliver_id(p, line[0], line[2]);
    pin_server_becomes(p, line[2]);
    pair_handshake(p);
    pair_forget(p);
    for (int i = 0; i < 50; i++) {
        pin_deliver_id(p, line[0], line[0]);
        pin_deliver_id(p, line[0], line[1]);
        pair_tick(p, 1000);
    }
    assert_int_equal(pin_told(p, SMQTT_EV_DESCRIPTOR), 2);
    assert_int_equal(pin_last(p), SMQTT_E_OLD_IDENTITY);
    assert_int_equal(p->n_sealer, 2);
    assert_int_equal(pin_counters(p).rollbacks, 100);
    assert_true(smqtt_sealer_is_open(p->sealer));
    pin_deliver_id(p, line[0], line[3]);
    assert_int_equal(pin_last(p), SMQTT_OK);
    /* the predecessor again, on the successor's own topic */
    pair_forget(p);
    pin_deliver_id(p, line[3], line[2]);
    assert_int_equal(pin_last(p), SMQTT_E_OLD_IDENTITY);
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
        struct smqtt_identity *forged = pin_successor(p, forger, NULL, 100 + i);
        pin_deliver_id(p, p->server, forged);
        pin_deliver_id(p, p->server, forged);
        smqtt_identity_free(forged);
    }
    assert_int_equal(pin_told(p, SMQTT_EV_DESCRIPTOR), 8);
    assert_int_equal(pin_last(p), SMQTT_E_BAD_SIGNATURE);
    assert_int_equal(p->n_sealer, 8);
    pair_tick(p, 10 * 60000);
    struct smqtt_identity *forged = pin_successor(p, forger, NULL, 1);
    pin_deliver_id(p, p->server, forged);
    assert_int_equal(pin_told(p, SMQTT_EV_DESCRIPTOR), 9);
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
        struct smqtt_identity *next = pin_successor(p, old, NULL, 11);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        p->now.wall += PIN_GRACE_MS + over;
        pin_deliver_id(p, old, next);
        assert_int_equal(pin_last(p), over != 0 ? SMQTT_E_EXPIRED : SMQTT_OK);
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
    struct smqtt_identity *next = pin_successor(p, old, "p256", 12);
    pin_deliver_id(p, old, next);
    assert_int_equal(pin_last(p), SMQTT_E_SUITE);
    assert_memory_equal(smqtt_identity_did(smqtt_sealer_server(p->sealer)), old->did, SMQTT_DID_LEN);
    pin_deliver_id(p, old, next);
    assert_int_equal(pin_told(p, SMQTT_EV_DESCRIPTOR), 1);
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
    struct smqtt_identity *ids[] = {pin_renewal(old), pin_successor(p, old, "p256", 13)};
    pair_handshake(p);
    pair_forget(p);
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[SMQ_DESCRIPTOR_MAX + 1] = {0};
        size_t len = ids[i]->len;
        memcpy(bytes, ids[i]->descriptor, len);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            pin_deliver(p, old, smq_span_of(bytes, len));
            bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        for (size_t cut = 0; cut < len; cut++) {
            pin_deliver(p, old, smq_span_of(bytes, cut));
        }
        pin_deliver(p, old, smq_span_of(bytes, len + 1));
    }
    pin_deliver_id(p, old, p->client);
    pin_deliver_revocation(p, old, p->client);
    pin_deliver_revocation(p, old, ids[1]);
    assert_int_equal(p->n_sealer, 0);
    assert_int_equal(p->to_server.n, 0);
    assert_true(smqtt_sealer_is_open(p->sealer));
    assert_true(pin_counters(p).noise > 1000);
    smqtt_identity_free(old);
    smqtt_identity_free(ids[0]);
    smqtt_identity_free(ids[1]);
    pair_free(p);
}

enum { POOL = 12, DELIVERIES = 400 };

/** Two of the owner's lines, and what an attacker makes of his own keys and of the owner's names. */
static void pool_make(const struct pair *p, struct smqtt_identity *pool[POOL])
{
    struct smqtt_identity *forger = p->client;
    pool[0] = smqtt_identity_ref(p->server);
    pool[1] = pin_renewal(pool[0]);
    pool[2] = pin_renewal(pool[1]);
    pool[3] = pin_successor(p, pool[1], "p256", 21);
    pool[4] = pin_successor(p, pool[2], "x25519", 22);
    pool[5] = pin_renewal(pool[4]);
    pool[6] = pin_successor(p, pool[5], "p256", 23);
    pool[7] = smqtt_identity_ref(forger);
    for (size_t i = 8; i < POOL; i++) {
        const uint8_t *skid = pool[i - 6]->skid;
        memcpy(forger->skid, skid, SMQTT_SKID_LEN);
        pool[i] = pin_successor(p, forger, i % 2 != 0 ? "p256" : NULL, 20 + i);
    }
}

static size_t pool_find(struct smqtt_identity *const pool[POOL], const struct smqtt_identity *id)
{
    size_t i = 0;
    while (i < POOL && memcmp(pool[i]->did, id->did, SMQTT_DID_LEN) != 0) {
        i++;
    }
    return i;
}

/** Anything at any time in any order, handshakes begun in between: what is in force is the owner's, and only ever goes
 * forward. */
static void test_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct pair *p = pair_new(1);
        struct smqtt_identity *pool[POOL];
        uint64_t random = seed;
        pair_open(p);
        pool_make(p, pool);
        for (size_t i = 0; i < DELIVERIES; i++) {
            const struct smqtt_identity *before = pool[pool_find(pool, smqtt_sealer_server(p->sealer))];
            const struct smqtt_identity *at = (test_random(&random) & 1) != 0 ? before : pool[test_random(&random) % 7];
            struct smqtt_identity *id = pool[test_random(&random) % POOL];
            bool followed = memcmp(at->skid, before->skid, SMQTT_SKID_LEN) == 0;
            if (followed) {
                pin_deliver_id(p, at, id);
            }
            const struct smqtt_identity *now = smqtt_sealer_server(p->sealer);
            assert_true(pool_find(pool, now) < 7);
            assert_true(now->version >= before->version);
            assert_int_equal(smqtt_identity_supersedes(before, now, p->now.wall), SMQTT_OK);
            if (test_random(&random) % 16 == 0) {
                (void)!pair_start(p);
            }
            pair_tick(p, 500);
            pair_pull(p);
            queue_clear(&p->to_server);
            pair_forget(p);
        }
        assert_true(pool_find(pool, smqtt_sealer_server(p->sealer)) >= 3);
        for (size_t i = 0; i < POOL; i++) {
            smqtt_identity_free(pool[i]);
        }
        pair_free(p);
    }
}

/** Without memory a descriptor is not taken, or taken whole; it comes again. */
static void test_no_memory(void **state)
{
    (void)state;
    for (size_t nth = 1;; nth++) {
        struct pair *p = pair_new(1);
        struct failing_mem fm;
        char topic[64];
        bool taken = false;
        failing_mem_init(&fm);
        p->mem = &fm.mem;
        pair_open(p);
        struct smqtt_identity *next = pin_successor(p, p->server, "p256", 31);
        pin_topic(p->server, topic);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        queue_clear(&p->to_server);
        failing_mem_arm(&fm, nth);
        smqtt_err err =
            smqtt_sealer_message(p->sealer, smq_span_str(topic), smqtt_identity_descriptor(next), &taken, p->now);
        bool failed = failing_mem_has_failed(&fm);
        assert_true(err == SMQTT_OK || (failed && err == SMQTT_E_NOMEM));
        const struct smqtt_identity *now = smqtt_sealer_server(p->sealer);
        assert_int_equal(memcmp(now->did, next->did, SMQTT_DID_LEN) == 0, err == SMQTT_OK);
        failing_mem_arm(&fm, 0);
        pin_deliver_id(p, p->server, next);
        pin_server_becomes(p, next);
        pair_tick(p, 1000);
        pair_run(p);
        assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
        smqtt_identity_free(next);
        pair_free(p);
        assert_int_equal(fm.live, 0);
        if (!failed) {
            break;
        }
    }
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
    assert_int_equal(pin_counters(p).noise, 1);
    copy.topic[copy.topic_len - 1] ^= 1;
    p->to_client.list[p->to_client.n++] = copy;
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    pair_free(p);
}

/** Nothing is sealed for keys whose descriptor has ended, unless another one has come for them. */
static void test_descriptor_ends(void **state)
{
    (void)state;
    enum { HOUR_MS = 3600000 };
    struct pair *p = pair_new(1);
    struct smqtt_identity *eternal = p->server;
    struct smqtt_identity *next = NULL;
    char topic[SMQ_OWN_TOPIC_MAX];
    topic[smq_own_topic((smq_span){NULL, 0}, eternal->skid, 'd', (smq_span){NULL, 0}, topic)] = 0;
    assert_int_equal(smqtt_identity_renew(NULL, eternal, 0, 0, p->now.wall + HOUR_MS, &p->server), SMQTT_OK);
    pair_open(p);
    pair_handshake(p);
    pair_tick(p, HOUR_MS);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_tick(p, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_E_EXPIRED);
    }
    assert_int_equal(p->sealer->session->next, 1); /* no number was taken */
    assert_int_equal(smqtt_identity_renew(NULL, p->server, 0, 0, 0, &next), SMQTT_OK);
    assert_int_equal(pair_inject_client(p, false, 0, topic, smqtt_identity_descriptor(next)), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 2);
    smqtt_identity_free(eternal);
    smqtt_identity_free(next);
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
                                       cmocka_unit_test(test_descriptor_ends),
                                       cmocka_unit_test(test_restart_later),
                                       cmocka_unit_test(test_answer_before_restart),
                                       cmocka_unit_test(test_wait_ack),
                                       cmocka_unit_test(test_successor_says_lost),
                                       cmocka_unit_test(test_rollback),
                                       cmocka_unit_test(test_flood),
                                       cmocka_unit_test(test_grace_is_over),
                                       cmocka_unit_test(test_suite),
                                       cmocka_unit_test(test_noise),
                                       cmocka_unit_test(test_any_order),
                                       cmocka_unit_test(test_no_memory),
                                       cmocka_unit_test(test_topic_names_the_cid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
