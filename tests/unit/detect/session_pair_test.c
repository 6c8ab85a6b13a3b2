/* SPDX-License-Identifier: Apache-2.0 */
/* Whole sessions between a sealer and an opener: every kind, restarts, renewal. Losses and repeats:
 * repeats_pair_test.c. */
#include "pair.h"

#include <stdlib.h>

static const struct smqtt_seal_options WITH_RECEIPT = {.text = true, .receipt = true};

/* ---------------------------------------------------------------- every kind */

/** Opens, sends a record, gets it with its class and its receipt. */
static void whole_session(struct pair *p)
{
    pair_open(p);
    pair_handshake(p);
    assert_int_equal(pair_seal(p, "plant/7/temperature", smq_span_str("21.5 \xC2\xB0\x43"), &WITH_RECEIPT), SMQTT_OK);
    pair_run(p);
    const struct told *message = told_last(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE);
    assert_non_null(message);
    assert_int_equal(message->ev.protection, p->mutual ? SMQTT_PEER : SMQTT_PEER_ANON);
    assert_string_equal(message->name, p->mutual ? "client" : "");
    assert_true(message->ev.text);
    assert_true(smq_span_equal(message->ev.bytes, smq_span_str("21.5 \xC2\xB0\x43")));
    assert_true(smq_span_equal(message->ev.topic, smq_span_str("plant/7/temperature")));
    const struct told *receipt = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT);
    assert_non_null(receipt);
    assert_int_equal(receipt->ev.status, SMQTT_STATUS_OK);
    assert_int_equal(receipt->ev.flag, 1);
    assert_int_equal(receipt->ev.seq, 0);
    assert_int_equal(receipt->ev.kid, message->ev.kid);
    assert_int_equal(p->journaled, 2);
    assert_int_equal(p->last_journal.verdict, 1);
}

static void test_every_kind(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        struct pair *p = pair_new((uint8_t)(1 + (bits & 1)));
        p->mutual = (bits & 2) != 0;
        p->psk = (bits & 4) != 0;
        p->text = (bits & 8) != 0;
        p->tunnel = (bits & 16) != 0;
        p->lookup = (bits & 32) != 0;
        whole_session(p);
        pair_free(p);
    }
}

/** Natively C may seal right behind step 3; in the tunnel it waits. */
static void test_sealing_from_wait_ack(void **state)
{
    (void)state;
    for (int tunnel = 0; tunnel <= 1; tunnel++) {
        struct pair *p = pair_new(1);
        p->tunnel = tunnel != 0;
        pair_open(p);
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_E_STATE);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        assert_true(pair_give_server(p));
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_E_STATE);
        assert_true(pair_give_client(p));
        assert_int_equal(smqtt_sealer_is_open(p->sealer), !tunnel);
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), tunnel ? SMQTT_E_STATE : SMQTT_OK);
        assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN), !tunnel);
        pair_run(p);
        assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN), tunnel ? 1 : 2);
        assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), !tunnel);
        pair_free(p);
    }
}

/** protocol.md 4.1: M is shortened where topic and credential leave less room, and never through a character. */
static void test_long_topics(void **state)
{
    (void)state;
    static uint8_t topic[SMQ_BODY_MAX], text[3 * 2100];
    memset(topic, 't', sizeof(topic));
    for (size_t i = 0; i < sizeof(text); i += 3) {
        memcpy(text + i, "\xE2\x82\xAC", 3);
    }
    for (size_t len = 1700; len < 7800; len += 601) {
        struct pair *p = pair_new(len % 2 != 0 ? 1 : 2);
        p->mutual = true;
        p->waiting_max = 1; /* the second one has to bring a cookie */
        pair_open(p);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(
                smqtt_sealer_start(p->sealer, smq_span_of(topic, len), smq_span_of(text, sizeof(text)), true, p->now),
                SMQTT_OK);
            pair_run(p);
            assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
            pair_forget(p);
        }
        pair_free(p);
    }
    struct pair *p = pair_new(1);
    pair_open(p);
    assert_int_equal(smqtt_sealer_start(p->sealer, smq_span_of(topic, sizeof(topic)), smq_span_str("x"), true, p->now),
                     SMQTT_E_TOO_LARGE);
    pair_free(p);
}

/* ---------------------------------------------------------------- renewal */

/** A key seals `rekey` records; losses at the change do not matter; the key before lives for 60 s. */
static void test_renewal(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct pair *p = pair_new(suite);
        p->rekey = 5;
        pair_open(p);
        pair_handshake(p);
        for (int i = 0; i < 6; i++) {
            assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
        }
        struct packet last = packet_copy(&p->to_server.list[3]);
        struct packet last2 = packet_copy(&p->to_server.list[4]);
        packet_free(&p->to_server.list[3]);
        packet_free(&p->to_server.list[4]);
        p->to_server.list[3] = p->to_server.list[5];
        p->to_server.n = 4;
        pair_forget(p);
        pair_run(p);
        assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 4);
        assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 4);
        p->to_server.list[p->to_server.n++] = last;
        pair_tick(p, 59999);
        pair_run(p);
        assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 5);
        p->to_server.list[p->to_server.n++] = last2;
        pair_tick(p, 1);
        pair_run(p);
        assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 5);
        assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_NO_KEY);
        for (int i = 0; i < 40; i++) {
            assert_int_equal(pair_seal(p, "a", smq_span_str("y"), &WITH_RECEIPT), SMQTT_OK);
            pair_run(p);
        }
        assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 45);
        pair_free(p);
    }
}

/* ---------------------------------------------------------------- content */

/** A restart behind the grace time of a key: that is gone, from the table of keys, too. */
static void test_old_keys_do_not_come_back(void **state)
{
    (void)state;
    static struct cut_store store;
    cut_store_init(&store);
    struct pair *p = pair_new(1);
    p->rekey = 2;
    p->server_store = &store;
    pair_open(p);
    pair_handshake(p);
    uint32_t first = smq_kid_u32(p->sealer->session->send.kid);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
        pair_run(p);
        if (i == 2) {
            assert_true(smqtt_opener_knows(p->opener, first));
            pair_tick(p, 60000);
        } else if (i == 3) { /* under the second key still */
            pair_close_opener(p);
            assert_int_equal(pair_open_opener(p), SMQTT_OK);
            assert_false(smqtt_opener_knows(p->opener, first));
            assert_false(smqtt_opener_knows(p->opener, 0));
        }
    }
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 5);
    pair_free(p);
    cut_store_deinit(&store);
}

static void test_expiry(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    pair_handshake(p);
    const struct smqtt_seal_options soon = {.receipt = true, .expiry_s = 3};
    assert_int_equal(pair_seal(p, "a", smq_span_str("in time"), &soon), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("too late"), &soon), SMQTT_OK);
    pair_tick(p, 3000);
    pair_give_server(p);
    pair_tick(p, 1);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_EXPIRED);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT)->ev.status, SMQTT_STATUS_EXPIRED);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT)->ev.flag, 0);
    pair_free(p);
}

static void test_logical_topic(void **state)
{
    (void)state;
    unsigned line = 0;
    for (int allowed = 0; allowed <= 1; allowed++) {
        struct pair *p = pair_new(1);
        const char *text = allowed ? "plant/# require logical\n" : "plant/# require\n";
        assert_int_equal(smqtt_policy_read(NULL, smq_span_str(text), &p->policy, &line), SMQTT_OK);
        pair_open(p);
        pair_handshake(p);
        const struct smqtt_seal_options logical = {.logical_topic = smq_span_str("plant/7/x")};
        assert_int_equal(pair_seal(p, "bridge/out/x", smq_span_str("v"), &logical), SMQTT_OK);
        p->to_server.list[0].topic[0] = 'B'; /* renamed on the way */
        pair_run(p);
        assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), allowed);
        if (allowed) {
            const struct told *m = told_last(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE);
            assert_true(smq_span_equal(m->ev.topic, smq_span_str("plant/7/x")));
        }
        pair_free(p);
    }
}

/** At most half a window waits for receipts. */
static void test_half_a_window(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->window = 64;
    pair_open(p);
    pair_handshake(p);
    for (int i = 0; i < 32; i++) {
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    }
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_E_BUSY);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 32);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    pair_free(p);
}

/** Many records are given before the first event is pulled: their receipts come 64 to a record. */
static void test_receipts_in_batches(void **state)
{
    (void)state;
    struct pair *p = pair_new(2);
    pair_open(p);
    pair_handshake(p);
    for (int i = 0; i < 130; i++) {
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    }
    for (size_t i = 0; i < 130; i++) {
        const struct packet *packet = &p->to_server.list[i];
        assert_int_equal(
            smqtt_opener_message(p->opener, smq_span_str("a"), smq_span_of(packet->bytes, packet->len), false, p->now),
            SMQTT_OK);
    }
    pair_forget(p);
    pair_pull(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 130);
    assert_int_equal(p->to_client.n, 3);
    queue_clear(&p->to_server);
    pair_run(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 130);
    pair_free(p);
}

/* ---------------------------------------------------------------- restarts */

static void test_opener_restarts_with_its_store(void **state)
{
    (void)state;
    static struct cut_store store;
    cut_store_init(&store);
    struct pair *p = pair_new(1);
    p->mutual = true;
    p->server_store = &store;
    pair_open(p);
    pair_handshake(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("before"), &WITH_RECEIPT), SMQTT_OK);
    struct packet replay = packet_copy(&p->to_server.list[0]);
    pair_run(p);
    pair_close_opener(p);
    cut_store_cut(&store);
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("after"), &WITH_RECEIPT), SMQTT_OK);
    p->to_server.list[p->to_server.n++] = replay;
    pair_forget(p);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_string_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE)->name, "client");
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_REPLAY);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT)->ev.seq, 1);
    pair_free(p);
    cut_store_deinit(&store);
}

static void test_opener_loses_its_state(void **state)
{
    (void)state;
    struct pair *p = pair_new(2);
    pair_open(p);
    pair_handshake(p);
    pair_close_opener(p);
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    pair_forget(p);
    pair_run(p);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_NO_KEY);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_LOST), 1);
    assert_false(smqtt_sealer_is_open(p->sealer));
    pair_handshake(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 1);
    pair_free(p);
}

/** A handshake whose step 3 is on its way. */
static void step3_waits(struct pair *p)
{
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    assert_true(pair_give_server(p)); /* step 0 */
    pair_pull(p);
    assert_true(pair_give_client(p)); /* step 2 */
    pair_pull(p);
}

/** The acknowledgement is lost on the way, and the server loses its state before step 3 comes again. */
static void test_opener_forgets_what_it_acknowledged(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    step3_waits(p);
    assert_true(pair_give_server(p)); /* step 3 */
    pair_pull(p);
    queue_clear(&p->to_client);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    pair_close_opener(p);
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_NO_KEY);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_LOST), 1);
    assert_false(smqtt_sealer_is_open(p->sealer));
    assert_int_equal(smqtt_sealer_deadline(p->sealer), SMQTT_NEVER); /* of the handshake nothing is left */
    pair_handshake(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 1);
    pair_free(p);
}

/** A record overtakes step 3: whatever the client is told then, nothing of it may be delivered twice. */
static void test_record_before_step3(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    step3_waits(p);
    struct packet step3 = packet_copy(&p->to_server.list[0]);
    queue_clear(&p->to_server);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    assert_true(pair_give_server(p));
    pair_pull(p);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_NO_KEY);
    assert_int_equal(p->to_client.n, 1); /* the notice */
    queue_clear(&p->to_client);          /* is lost, */
    smq_span body = smq_span_of(step3.bytes, step3.len);
    assert_int_equal(pair_inject_server(p, true, step3.header, "", body, false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_OPEN), 0);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_CLOSED)->ev.status, SMQTT_STATUS_CLOSED);
    assert_int_equal(p->to_client.n, 1); /* and comes again */
    pair_run(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_LOST), 1);
    pair_handshake(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 1);
    packet_free(&step3);
    pair_free(p);
}

static void test_sealer_restarts_with_its_store(void **state)
{
    (void)state;
    static struct cut_store store;
    cut_store_init(&store);
    struct pair *p = pair_new(1);
    p->client_store = &store;
    pair_open(p);
    pair_handshake(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    pair_run(p);
    pair_close_sealer(p);
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    assert_true(smqtt_sealer_is_open(p->sealer));
    pair_forget(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("y"), &WITH_RECEIPT), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT)->ev.seq, 1024);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_SUBSCRIBE), 2);
    pair_free(p);
    cut_store_deinit(&store);
}

/** A new handshake beside an open session: the old one goes on until the new one is acknowledged. */
static void test_new_keys_by_a_new_handshake(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    pair_handshake(p);
    uint32_t old = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.kid;
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    pair_give_server(p);
    pair_give_client(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE)->ev.kid, old);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_not_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE)->ev.kid, old);
    pair_free(p);
}

static void test_close(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    pair_handshake(p);
    const uint8_t *cid = told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN)->ev.cid;
    assert_int_equal(smqtt_opener_close(p->opener, cid, SMQTT_STATUS_REKEY_REQUIRED, p->now), SMQTT_OK);
    assert_int_equal(smqtt_opener_close(p->opener, cid, SMQTT_STATUS_CLOSED, p->now), SMQTT_E_NO_KEY);
    pair_run(p);
    assert_false(smqtt_sealer_is_open(p->sealer));
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.status, SMQTT_STATUS_REKEY_REQUIRED);
    pair_free(p);
}

/** A session without a record for a day ends. */
static void test_idle(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    pair_handshake(p);
    assert_int_equal(smqtt_opener_deadline(p->opener), p->now.mono + 86400000);
    pair_tick(p, 86399999);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    pair_tick(p, 86399999);
    pair_pull(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_CLOSED), 0);
    pair_tick(p, 1);
    pair_pull(p);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_CLOSED)->ev.err, SMQTT_E_EXPIRED);
    assert_int_equal(smqtt_opener_deadline(p->opener), SMQTT_NEVER);
    pair_free(p);
}

/** A broker that announces registration and then says nothing is told of, once; its answer may still come. */
static void test_silent_registration(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    smq_span client_id = smq_span_str("server-client");
    assert_int_equal(smqtt_opener_connected(p->opener, true, client_id, p->now), SMQTT_OK);
    assert_true(smqtt_opener_deadline(p->opener) == SMQTT_NEVER); /* in the tunnel nobody is asked */
    assert_int_equal(smqtt_opener_connected(p->opener, false, client_id, p->now), SMQTT_OK);
    assert_true(smqtt_opener_deadline(p->opener) == p->now.mono + 10000);
    p->now.mono += 9999;
    smqtt_opener_tick(p->opener, p->now);
    pair_pull(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_REGISTERED), 0);
    p->now.mono += 1;
    smqtt_opener_tick(p->opener, p->now);
    smqtt_opener_tick(p->opener, p->now);
    pair_pull(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_REGISTERED), 1);
    uint8_t challenge[SMQ_CHALLENGE_LEN] = {7}, out[SMQ_REGISTER_MAX];
    const uint8_t *skid = smqtt_identity_skid(smqtt_opener_identity(p->opener));
    queue_clear(&p->to_client);
    size_t len = smq_register_challenge_write(skid, challenge, out);
    assert_int_equal(pair_inject_server(p, false, 0, SMQ_CHALLENGE_TOPIC, smq_span_of(out, len), false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.n, 1); /* the proof */
    pair_free(p);
}

/** The four packets of protocol.md 9.2. */
static void test_registration(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    uint8_t challenge[SMQ_CHALLENGE_LEN] = {7}, out[SMQ_REGISTER_MAX];
    smq_span client_id = smq_span_str("server-client");
    assert_int_equal(smqtt_opener_connected(p->opener, false, client_id, p->now), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.n, 2); /* and the descriptor for everybody */
    assert_true(smq_span_equal(smq_span_of(p->to_client.list[1].bytes, p->to_client.list[1].len),
                               smqtt_identity_descriptor(smqtt_opener_identity(p->opener))));
    struct smqtt_identity *id = NULL;
    smq_span sent = smq_span_of(p->to_client.list[0].bytes, p->to_client.list[0].len);
    assert_int_equal(smq_register_read(NULL, sent, p->now.wall, &id), SMQTT_OK);
    queue_clear(&p->to_client);
    size_t len = smq_register_challenge_write(id->skid, challenge, out);
    assert_int_equal(pair_inject_server(p, false, 0, SMQ_CHALLENGE_TOPIC, smq_span_of(out, len), false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.n, 1);
    sent = smq_span_of(p->to_client.list[0].bytes, p->to_client.list[0].len);
    assert_int_equal(smq_register_proof_check(sent, id, challenge, client_id), SMQTT_OK);
    assert_int_equal(smq_register_proof_check(sent, id, challenge, smq_span_str("other")), SMQTT_E_BAD_SIGNATURE);
    assert_int_equal(pair_inject_server(p, false, 0, SMQ_CHALLENGE_TOPIC, smq_span_of(out, len), false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.n, 1); /* one challenge, one proof */
    len = smq_register_result_write(id->skid, 0, out);
    assert_int_equal(pair_inject_server(p, false, 0, SMQ_REGISTERED_TOPIC, smq_span_of(out, len), false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_REGISTERED), 1);
    smqtt_identity_free(id);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_kind),
                                       cmocka_unit_test(test_sealing_from_wait_ack),
                                       cmocka_unit_test(test_long_topics),
                                       cmocka_unit_test(test_renewal),
                                       cmocka_unit_test(test_old_keys_do_not_come_back),
                                       cmocka_unit_test(test_expiry),
                                       cmocka_unit_test(test_logical_topic),
                                       cmocka_unit_test(test_half_a_window),
                                       cmocka_unit_test(test_receipts_in_batches),
                                       cmocka_unit_test(test_opener_restarts_with_its_store),
                                       cmocka_unit_test(test_opener_loses_its_state),
                                       cmocka_unit_test(test_opener_forgets_what_it_acknowledged),
                                       cmocka_unit_test(test_record_before_step3),
                                       cmocka_unit_test(test_sealer_restarts_with_its_store),
                                       cmocka_unit_test(test_new_keys_by_a_new_handshake),
                                       cmocka_unit_test(test_close),
                                       cmocka_unit_test(test_idle),
                                       cmocka_unit_test(test_registration),
                                       cmocka_unit_test(test_silent_registration)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
