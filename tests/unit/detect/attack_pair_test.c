/* SPDX-License-Identifier: Apache-2.0 */
/* What a hostile broker can do: change, replay, splice, reflect, forge, flood. The session survives, or ends closed. */
#include "pair.h"

#include <stdlib.h>

static struct smqtt_secure_counters counters(const struct pair *p, bool server)
{
    struct smqtt_secure_counters c;
    if (server) {
        smqtt_opener_counters(p->opener, &c);
    } else {
        smqtt_sealer_counters(p->sealer, &c);
    }
    return c;
}

/* ---------------------------------------------------------------- every bit of every packet */

/** Is this state still what it was before the first packet of the step was changed? Nothing opened, nothing ended. */
static void assert_unharmed(struct pair *p)
{
    pair_pull(p);
    assert_null(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED));
    assert_null(told_last(p->of_opener, p->n_opener, SMQTT_EV_CLOSED));
    assert_null(told_last(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE));
    p->n_sealer = p->n_opener = 0;
}

/** Gives the first packet of the queue with each of its bits turned, header byte first. */
static void flip_all(struct pair *p, bool to_server)
{
    struct queue *q = to_server ? &p->to_server : &p->to_client;
    struct packet genuine = packet_copy(&q->list[0]);
    for (size_t bit = 0; bit < (genuine.len + 1) * 8; bit++) {
        uint8_t header = to_server && genuine.header == 0x01 ? 0x03 : genuine.header; /* as it arrives */
        uint8_t mask = (uint8_t)(1U << (bit % 8));
        if (bit < 8) {
            header ^= mask;
        } else {
            genuine.bytes[bit / 8 - 1] ^= mask;
        }
        size_t before = to_server ? p->to_client.n : p->to_server.n;
        smq_span bytes = smq_span_of(genuine.bytes, genuine.len);
        smqtt_err err = to_server ? pair_inject_server(p, true, header, "", bytes, false)
                                  : pair_inject_client(p, true, header, "", bytes);
        assert_int_equal(err, SMQTT_OK);
        assert_unharmed(p);
        struct queue *back = to_server ? &p->to_client : &p->to_server;
        for (; back->n > before; back->n--) { /* only hints answer */
            assert_int_equal(back->list[back->n - 1].header, 0x02);
            packet_free(&back->list[back->n - 1]);
        }
        if (bit >= 8) {
            genuine.bytes[bit / 8 - 1] ^= mask;
        }
    }
    packet_free(&genuine);
}

static void test_every_bit_of_a_handshake(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        for (int mutual = 0; mutual <= 1; mutual++) {
            struct pair *p = pair_new(suite);
            p->mutual = mutual != 0;
            pair_open(p);
            assert_int_equal(pair_start(p), SMQTT_OK);
            pair_pull(p);
            p->n_sealer = p->n_opener = 0;
            flip_all(p, true); /* step 0 */
            assert_true(pair_give_server(p));
            flip_all(p, false); /* step 2 */
            assert_true(pair_give_client(p));
            flip_all(p, true); /* step 3 */
            assert_true(pair_give_server(p));
            p->n_opener = 0;
            flip_all(p, false); /* acknowledgement */
            assert_true(pair_give_client(p));
            pair_pull(p);
            const struct told *open = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN);
            assert_non_null(open);
            assert_true(open->ev.confirmed);
            assert_int_equal(counters(p, true).handshakes_opened, 1);
            pair_free(p);
        }
    }
}

/** For a cid at work only the same bytes get the stored answer: others, be it by one bit, get none. */
static void test_only_the_same_bytes_are_repeated(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    for (int step = 0; step <= 3; step += 3) {
        struct packet genuine = packet_copy(&p->to_server.list[0]);
        uint8_t header = step == 0 ? 0x03 : genuine.header;
        pair_give_server(p);
        struct packet answer = packet_copy(&p->to_client.list[0]);
        queue_clear(&p->to_client);
        smq_span bytes = smq_span_of(genuine.bytes, genuine.len);
        genuine.bytes[genuine.len - 1] ^= 1;
        assert_int_equal(pair_inject_server(p, true, header, "", bytes, false), SMQTT_OK);
        pair_pull(p);
        assert_int_equal(p->to_client.n, 0);
        genuine.bytes[genuine.len - 1] ^= 1;
        assert_int_equal(pair_inject_server(p, true, header, "", bytes, false), SMQTT_OK);
        pair_pull(p);
        assert_int_equal(p->to_client.n, 1);
        assert_int_equal(p->to_client.list[0].len, answer.len);
        assert_memory_equal(p->to_client.list[0].bytes, answer.bytes, answer.len);
        pair_give_client(p);
        packet_free(&genuine);
        packet_free(&answer);
    }
    assert_true(smqtt_sealer_is_open(p->sealer));
    pair_free(p);
}

/** A server that says it holds the text, but names another hash, or another time, is not confirmed. */
static void test_server_that_holds_something_else(void **state)
{
    (void)state;
    for (int wrong = 0; wrong <= 1; wrong++) {
        struct pair *p = pair_new(1);
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        uint8_t packet[SMQ_PACKET_MAX] = {0x01}, pt[SMQ_PACKET_MAX], body[SMQ_STEP2_MAX];
        const uint8_t sk_e2[SMQ_SK_LEN] = {8};
        struct smq_step0 step;
        struct smq_hello hello;
        struct smq_hs hs;
        size_t len = p->to_server.list[0].len;
        memcpy(packet + 1, p->to_server.list[0].bytes, len);
        smq_span whole = smq_span_of(packet, len + 1);
        assert_int_equal(smq_step0_read(whole, &step), SMQTT_OK);
        assert_int_equal(smq_step0_open(p->server, whole, &step, smq_span_of(NULL, 0), pt, &hello, &hs), SMQTT_OK);
        struct smq_reply reply = {SMQTT_STATUS_OK, 1, p->now.wall, {1}, 64, 64, {0}};
        if (wrong == 1) {
            assert_int_equal(smq_schedule_hash(&hello.m, 1, reply.hm), SMQTT_OK);
            reply.ts2 += 30001;
        }
        assert_int_equal(smq_step2_write(p->server, &reply, sk_e2, &hs, body, &len), SMQTT_OK);
        queue_clear(&p->to_server);
        assert_int_equal(pair_inject_client(p, true, 0x0C, "", smq_span_of(body, len)), SMQTT_OK);
        pair_pull(p);
        const struct told *closed = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED);
        assert_non_null(closed);
        assert_int_equal(closed->ev.err, wrong == 0 ? SMQTT_E_HASH_MISMATCH : SMQTT_E_DELAY);
        assert_int_equal(p->to_server.list[0].header, 0x07);
        assert_false(smqtt_sealer_is_open(p->sealer));
        pair_free(p);
    }
}

static void test_every_bit_of_a_close(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    pair_handshake(p);
    const uint8_t *cid = told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN)->ev.cid;
    assert_int_equal(smqtt_opener_close(p->opener, cid, SMQTT_STATUS_CLOSED, p->now), SMQTT_OK);
    pair_pull(p);
    p->n_opener = 0;
    flip_all(p, false);
    assert_true(smqtt_sealer_is_open(p->sealer));
    pair_run(p);
    assert_false(smqtt_sealer_is_open(p->sealer));
    pair_free(p);
}

static void test_every_bit_of_a_record(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct pair *p = pair_new(suite);
        pair_open(p);
        pair_handshake(p);
        const struct smqtt_seal_options o = {.text = true, .receipt = true, .expiry_s = 9, .padding = 3};
        assert_int_equal(pair_seal(p, "a/b", smq_span_str("21.5"), &o), SMQTT_OK);
        struct packet genuine = packet_copy(&p->to_server.list[0]);
        for (size_t bit = 0; bit < genuine.len * 8; bit++) {
            genuine.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            smq_span bytes = smq_span_of(genuine.bytes, genuine.len);
            assert_int_equal(pair_inject_server(p, false, 0, "a/b", bytes, bit % 2 != 0), SMQTT_OK);
            assert_unharmed(p);
            genuine.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        }
        for (size_t len = 0; len < genuine.len; len++) { /* cut short */
            assert_int_equal(pair_inject_server(p, false, 0, "a/b", smq_span_of(genuine.bytes, len), false), SMQTT_OK);
            assert_unharmed(p);
        }
        smq_span bytes = smq_span_of(genuine.bytes, genuine.len);
        assert_int_equal(pair_inject_server(p, false, 0, "a/c", bytes, false), SMQTT_OK); /* another topic */
        assert_unharmed(p);
        queue_clear(&p->to_client);
        pair_run(p);
        assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
        packet_free(&genuine);
        pair_free(p);
    }
}

/** Receipts are as well protected; and a record does not open at the side that sealed it. */
static void test_receipts_and_reflection(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    pair_handshake(p);
    const struct smqtt_seal_options o = {.receipt = true};
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &o), SMQTT_OK);
    struct packet record = packet_copy(&p->to_server.list[0]);
    assert_true(pair_give_server(p));
    struct packet receipt = packet_copy(&p->to_client.list[0]);
    char topic[SMQ_OWN_TOPIC_MAX] = "";
    memcpy(topic, receipt.topic, receipt.topic_len);
    p->n_sealer = 0;
    for (size_t bit = 0; bit < receipt.len * 8; bit++) {
        receipt.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        smq_span bytes = smq_span_of(receipt.bytes, receipt.len);
        assert_int_equal(pair_inject_client(p, false, 0, topic, bytes), SMQTT_OK);
        receipt.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    /* its own record back to the client, the receipt back to the server */
    smq_span own = smq_span_of(record.bytes, record.len);
    assert_int_equal(pair_inject_client(p, false, 0, topic, own), SMQTT_OK);
    assert_int_equal(pair_inject_server(p, false, 0, topic, smq_span_of(receipt.bytes, receipt.len), false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 0);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_true(pair_give_client(p));
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 1);
    smq_span again = smq_span_of(receipt.bytes, receipt.len);
    assert_int_equal(pair_inject_client(p, false, 0, topic, again), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 1);
    packet_free(&record);
    packet_free(&receipt);
    pair_free(p);
}

/* ---------------------------------------------------------------- replay and splice */

static void test_replayed_step0(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    struct packet step0 = packet_copy(&p->to_server.list[0]);
    smq_span bytes = smq_span_of(step0.bytes, step0.len);
    pair_run(p);
    assert_int_equal(p->journaled, 2);
    /* while the session is open: silence */
    assert_int_equal(pair_inject_server(p, true, 0x03, "", bytes, false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.n, 0);
    /* the session closed, within the window of ts1: seen */
    const uint8_t *cid = told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN)->ev.cid;
    assert_int_equal(smqtt_opener_close(p->opener, cid, SMQTT_STATUS_CLOSED, p->now), SMQTT_OK);
    pair_pull(p);
    queue_clear(&p->to_client);
    pair_tick(p, 29000);
    assert_int_equal(pair_inject_server(p, true, 0x03, "", bytes, false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.list[0].bytes[10], SMQTT_STATUS_REFUSED);
    /* later: too old */
    queue_clear(&p->to_client);
    pair_tick(p, 2000);
    assert_int_equal(pair_inject_server(p, true, 0x03, "", bytes, false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->to_client.list[0].bytes[10], SMQTT_STATUS_COOKIE);
    assert_int_equal(p->journaled, 2); /* it was never decrypted again */
    packet_free(&step0);
    pair_free(p);
}

/** Another opener of the same identity answers a replay, but without step 3 nothing is released. */
static void test_step0_elsewhere(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    struct pair *other = pair_new(1);
    struct pair *stranger = pair_new(1);
    stranger->seed = 99;
    smqtt_identity_free(stranger->server);
    stranger->server = smqtt_identity_ref(stranger->client);
    pair_open(p);
    pair_open(other);
    pair_open(stranger);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    struct packet step0 = packet_copy(&p->to_server.list[0]);
    smq_span bytes = smq_span_of(step0.bytes, step0.len);
    pair_run(p);
    assert_int_equal(pair_inject_server(other, true, 0x03, "", bytes, false), SMQTT_OK);
    pair_pull(other);
    assert_int_equal(other->to_client.n, 1);
    pair_tick(other, 30000);
    pair_pull(other);
    assert_int_equal(told_count(other->of_opener, other->n_opener, SMQTT_EV_OPEN), 0);
    assert_int_equal(other->last_journal.verdict, 0xFE);
    assert_int_equal(pair_inject_server(stranger, true, 0x03, "", bytes, false), SMQTT_OK);
    pair_pull(stranger);
    assert_int_equal(stranger->to_client.list[0].bytes[10], SMQTT_STATUS_UNKNOWN_SERVER);
    packet_free(&step0);
    pair_free(p);
    pair_free(other);
    pair_free(stranger);
}

/** Step 2 and step 3 of one session in another, with the cid made to fit. */
static void test_splices(void **state)
{
    (void)state;
    struct pair *a = pair_new(2);
    struct pair *b = pair_new(2);
    b->seed = 4711;
    pair_open(a);
    pair_open(b);
    assert_int_equal(pair_start(a), SMQTT_OK);
    assert_int_equal(pair_start(b), SMQTT_OK);
    pair_pull(a);
    pair_pull(b);
    pair_give_server(a);
    pair_give_server(b);
    struct packet step2 = packet_copy(&b->to_client.list[0]);
    memcpy(step2.bytes + 2, a->to_client.list[0].bytes + 2, SMQ_CID_LEN);
    smq_span bytes = smq_span_of(step2.bytes, step2.len);
    assert_int_equal(pair_inject_client(a, true, step2.header, "", bytes), SMQTT_OK);
    pair_pull(a);
    assert_int_equal(a->to_server.n, 0);
    pair_give_client(a);
    pair_give_client(b);
    struct packet step3 = packet_copy(&b->to_server.list[0]);
    memcpy(step3.bytes + 1, a->to_server.list[0].bytes + 1, SMQ_CID_LEN);
    assert_int_equal(pair_inject_server(a, true, step3.header, "", smq_span_of(step3.bytes, step3.len), false),
                     SMQTT_OK);
    pair_pull(a);
    assert_int_equal(told_count(a->of_opener, a->n_opener, SMQTT_EV_OPEN), 0);
    pair_run(a);
    pair_run(b);
    assert_int_equal(counters(a, true).handshakes_opened, 1);
    /* a record of one session under the other's kid */
    assert_int_equal(pair_seal(a, "t", smq_span_str("x"), NULL), SMQTT_OK);
    assert_int_equal(pair_seal(b, "t", smq_span_str("x"), NULL), SMQTT_OK);
    memcpy(a->to_server.list[0].bytes + 1, b->to_server.list[0].bytes + 1, SMQ_KID_LEN);
    a->n_opener = 0;
    assert_int_equal(
        pair_inject_server(b, false, 0, "t", smq_span_of(a->to_server.list[0].bytes, a->to_server.list[0].len), false),
        SMQTT_OK);
    b->n_opener = 0;
    pair_pull(b);
    assert_int_equal(b->of_opener[0].ev.err, SMQTT_E_BAD_TAG);
    packet_free(&step2);
    packet_free(&step3);
    pair_free(a);
    pair_free(b);
}

/** Natively only 0x03 is a step 0, in the tunnel only 0x01. */
static void test_relabelling(void **state)
{
    (void)state;
    for (int tunnel = 0; tunnel <= 1; tunnel++) {
        struct pair *p = pair_new(1);
        p->tunnel = tunnel != 0;
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        smq_span bytes = smq_span_of(p->to_server.list[0].bytes, p->to_server.list[0].len);
        assert_int_equal(pair_inject_server(p, true, tunnel ? 0x03 : 0x01, "", bytes, false), SMQTT_OK);
        pair_pull(p);
        assert_int_equal(p->to_client.n, 0);
        assert_int_equal(counters(p, true).noise, 1);
        pair_free(p);
    }
}

/* ---------------------------------------------------------------- RETRY */

static void retry_give(struct pair *p, uint8_t code, smq_span cookie)
{
    uint8_t body[SMQ_RETRY_MAX];
    struct smq_retry r = {.suite_id = p->suite, .code = code, .ts2 = p->now.wall, .cookie = cookie, .suites = 3};
    memcpy(r.cid, p->sealer->hs.cid, SMQ_CID_LEN);
    assert_int_equal(pair_inject_client(p, true, 0x02, "", smq_span_of(body, smq_retry_write(&r, body))), SMQTT_OK);
    pair_pull(p);
}

/** A broker that answers with RETRY for ever: a new cid each second, then the end, closed. */
static void test_retry_for_ever(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        smqtt_err err;
        size_t attempts;
    } rows[] = {{SMQTT_STATUS_UNKNOWN_SERVER, SMQTT_E_UNKNOWN_SERVER, 10},
                {SMQTT_STATUS_BUSY, SMQTT_E_BUSY, 10},
                {SMQTT_STATUS_COOKIE, SMQTT_E_REFUSED, 3},
                {SMQTT_STATUS_SUITE, SMQTT_E_SUITE, 1},
                {SMQTT_STATUS_REFUSED, SMQTT_E_REFUSED, 1}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        struct pair *p = pair_new(1);
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        for (int tenth = 0; tenth < 100; tenth++) {
            retry_give(p, rows[i].code, smq_span_str("cookie"));
            pair_tick(p, 100);
            pair_pull(p);
        }
        assert_int_equal(p->to_server.n, rows[i].attempts);
        for (size_t k = 1; k < p->to_server.n; k++) {
            assert_memory_not_equal(p->to_server.list[k].bytes + 4, p->to_server.list[k - 1].bytes + 4, SMQ_CID_LEN);
        }
        const struct told *closed = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED);
        assert_non_null(closed);
        assert_int_equal(closed->ev.err, rows[i].err);
        assert_int_equal(closed->ev.status, rows[i].code);
        assert_false(smqtt_sealer_is_open(p->sealer));
        pair_free(p);
    }
}

/** The genuine answer still counts when a forged RETRY came first. */
static void test_forged_retry_does_no_harm(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    retry_give(p, SMQTT_STATUS_REFUSED, smq_span_str(""));
    retry_give(p, SMQTT_STATUS_UNKNOWN_SERVER, smq_span_str(""));
    retry_give(p, SMQTT_STATUS_OK, smq_span_str(""));
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    pair_free(p);
}

/** A device with a wrong clock gets in by a cookie, and finds out that the clocks differ. */
static void test_cookie_and_clock(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    p->now.wall += 31000;
    pair_give_server(p);
    assert_int_equal(p->to_client.list[0].bytes[10], SMQTT_STATUS_COOKIE);
    p->now.wall -= 31000;
    pair_give_client(p);
    assert_int_equal(p->to_server.n, 1);
    p->now.wall += 31000;
    pair_give_server(p);
    assert_int_equal(p->to_client.list[0].header, 0x0C);
    pair_run(p);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.err, SMQTT_E_DELAY);
    assert_int_equal(p->last_journal.verdict, 0);
    pair_free(p);
}

static void test_slow_answer(void **state)
{
    (void)state;
    for (smqtt_ms delay = 5000; delay <= 5001; delay++) {
        struct pair *p = pair_new(1);
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        pair_tick(p, delay);
        pair_run(p);
        assert_int_equal(smqtt_sealer_is_open(p->sealer), delay == 5000);
        pair_free(p);
    }
}

/* ---------------------------------------------------------------- text */

/** A pipeline that holds US-ASCII: what it cannot hold becomes '?'. */
static bool hold_ascii(void *ctx, struct smqtt_span utf8, struct smqtt_span *held, struct smqtt_span *back)
{
    static uint8_t buf[8192];
    (void)ctx;
    size_t n = 0;
    for (size_t i = 0; i < utf8.len; i++) {
        if (utf8.data[i] < 0x80) {
            buf[n++] = utf8.data[i];
        } else if ((utf8.data[i] & 0x40) != 0) {
            buf[n++] = '?';
        }
    }
    *held = *back = smq_span_of(buf, n);
    return true;
}

static bool hold_nothing(void *ctx, struct smqtt_span utf8, struct smqtt_span *held, struct smqtt_span *back)
{
    (void)ctx;
    *held = *back = utf8;
    return false;
}

static void test_mojibake(void **state)
{
    (void)state;
    bool (*pipelines[])(void *, struct smqtt_span, struct smqtt_span *, struct smqtt_span *) = {hold_ascii,
                                                                                                hold_nothing};
    for (size_t i = 0; i < 2; i++) {
        struct pair *p = pair_new(1);
        p->pipeline.hold = pipelines[i];
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        pair_give_server(p);
        assert_int_equal(p->to_client.list[0].header, 0x04);
        pair_give_client(p);
        assert_int_equal(p->to_server.list[0].header, 0x07);
        pair_run(p);
        const struct told *closed = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED);
        assert_int_equal(closed->ev.err, SMQTT_E_MOJIBAKE);
        assert_int_equal(closed->ev.status, SMQTT_STATUS_MOJIBAKE);
        assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_CLOSED)->ev.err, SMQTT_E_MOJIBAKE);
        assert_int_equal(p->last_journal.verdict, 0);
        assert_int_equal(p->last_journal.flag, 0);
        pair_free(p);
    }
}

/** A session that began with text that survives: later text is checked as well. */
static void test_mojibake_in_a_record(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->pipeline.hold = hold_ascii;
    p->text = false;
    pair_open(p);
    pair_handshake(p);
    const struct smqtt_seal_options o = {.text = true, .receipt = true};
    assert_int_equal(pair_seal(p, "a", smq_span_str("\xC2\xB0\x43"), &o), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_MOJIBAKE);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT)->ev.status, SMQTT_STATUS_MOJIBAKE);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT)->ev.flag, 0);
    assert_int_equal(pair_seal(p, "a", smq_span_str("ascii"), &o), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("\xFF"), &o), SMQTT_E_BAD_TEXT);
    pair_run(p);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT)->ev.flag, 1);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_bit_of_a_handshake),
                                       cmocka_unit_test(test_only_the_same_bytes_are_repeated),
                                       cmocka_unit_test(test_server_that_holds_something_else),
                                       cmocka_unit_test(test_every_bit_of_a_close),
                                       cmocka_unit_test(test_every_bit_of_a_record),
                                       cmocka_unit_test(test_receipts_and_reflection),
                                       cmocka_unit_test(test_replayed_step0),
                                       cmocka_unit_test(test_step0_elsewhere),
                                       cmocka_unit_test(test_splices),
                                       cmocka_unit_test(test_relabelling),
                                       cmocka_unit_test(test_retry_for_ever),
                                       cmocka_unit_test(test_forged_retry_does_no_harm),
                                       cmocka_unit_test(test_cookie_and_clock),
                                       cmocka_unit_test(test_slow_answer),
                                       cmocka_unit_test(test_mojibake),
                                       cmocka_unit_test(test_mojibake_in_a_record)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
