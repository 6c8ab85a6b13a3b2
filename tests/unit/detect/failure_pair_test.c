/* SPDX-License-Identifier: Apache-2.0 */
/* What may fail below: power, the store, randomness, memory. No number is used twice, nothing is delivered twice,
 * nothing goes out unprotected, and it works again afterwards. */
#include "pair.h"

#include <stdlib.h>

static const struct smqtt_seal_options WITH_RECEIPT = {.receipt = true};

/* ---------------------------------------------------------------- power cuts */

enum { NONCES_MAX = 1 << 18, CUTS = 10000 };

/** All (kid, seq) that were ever sealed with, and all that were delivered. */
struct pairs {
    uint64_t kid_seq[NONCES_MAX];
    size_t n;
};

static struct pairs sealed_pairs, delivered_pairs;

/** False when it was there already. Open addressing over the whole table. */
static bool pairs_add(struct pairs *pairs, uint32_t kid, uint64_t seq)
{
    uint64_t name = ((uint64_t)kid << 32 | (seq & UINT32_MAX)) + 1;
    uint64_t mixed = name;
    size_t at = (size_t)(test_random(&mixed) % NONCES_MAX);
    while (pairs->kid_seq[at] != 0) {
        if (pairs->kid_seq[at] == name) {
            return false;
        }
        at = (at + 1) % NONCES_MAX;
    }
    pairs->kid_seq[at] = name;
    assert_true(++pairs->n < NONCES_MAX / 2);
    return true;
}

/** Everything in a queue to be published: its (kid, seq) is new, or the very same bytes. */
static void note_records(struct queue *q, size_t from)
{
    struct smq_record record;
    for (size_t i = from; i < q->n; i++) {
        const struct packet *packet = &q->list[i];
        if (!packet->detect && smq_record_is(smq_span_of(packet->bytes, packet->len))) {
            assert_int_equal(smq_record_read(smq_span_of(packet->bytes, packet->len), &record), SMQTT_OK);
            assert_true(pairs_add(&sealed_pairs, smq_kid_u32(record.kid), record.seq));
        }
    }
}

static void note_deliveries(struct pair *p)
{
    for (size_t i = 0; i < p->n_opener; i++) {
        const struct smqtt_secure_event *ev = &p->of_opener[i].ev;
        if (ev->type == SMQTT_EV_MESSAGE) {
            assert_true(pairs_add(&delivered_pairs, ev->kid, ev->seq));
        }
    }
    pair_forget(p);
}

/** One action; what appears in the queues is noted before anything can be lost. */
static void act(struct pair *p, uint64_t *seed)
{
    size_t to_server = p->to_server.n, to_client = p->to_client.n;
    switch (test_random_below(seed, 8)) {
    case 0:
    case 1:
    case 2:
        if (p->to_server.n < PACKETS_MAX / 2) {
            smqtt_err err = pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT);
            assert_true(err == SMQTT_OK || err == SMQTT_E_BUSY || err == SMQTT_E_STATE);
        }
        break;
    case 3:
        if (p->to_server.n > 0 && p->to_server.n < PACKETS_MAX / 2 && !p->to_server.list[0].detect) {
            struct packet twice = packet_copy(&p->to_server.list[0]); /* the broker repeats */
            pair_give_server(p);
            p->to_server.list[p->to_server.n++] = twice;
            note_records(&p->to_client, to_client);
            return;
        }
        break;
    case 4:
    case 5:
        if (pair_give_server(p)) {
            to_server = p->to_server.n;
        }
        break;
    default:
        if (pair_give_client(p)) {
            to_client = p->to_client.n;
        }
        break;
    }
    note_records(&p->to_server, to_server);
    note_records(&p->to_client, to_client);
}

static void test_power_cuts(void **state)
{
    (void)state;
    static struct cut_store client_store, server_store;
    cut_store_init(&client_store);
    cut_store_init(&server_store);
    memset(&sealed_pairs, 0, sizeof(sealed_pairs));
    memset(&delivered_pairs, 0, sizeof(delivered_pairs));
    struct pair *p = pair_new(1);
    uint64_t seed = 2026;
    p->window = 64;
    p->rekey = 3000;
    p->client_store = &client_store;
    p->server_store = &server_store;
    pair_open(p);
    for (int cut = 0; cut < CUTS; cut++) {
        if (!smqtt_sealer_is_open(p->sealer) && p->sealer->state == SMQ_SEALER_IDLE) {
            assert_int_equal(pair_start(p), SMQTT_OK);
            pair_pull(p);
        }
        for (size_t n = test_random_below(&seed, 12); n > 0; n--) {
            act(p, &seed);
        }
        note_deliveries(p);
        if (p->to_client.n > PACKETS_MAX / 2) {
            queue_clear(&p->to_client);
        }
        pair_tick(p, 100);
        pair_pull(p);
        if (test_random_below(&seed, 2) == 0) {
            pair_close_sealer(p);
            cut_store_cut(&client_store);
            assert_int_equal(pair_open_sealer(p), SMQTT_OK);
        } else {
            pair_close_opener(p);
            cut_store_cut(&server_store);
            assert_int_equal(pair_open_opener(p), SMQTT_OK);
        }
    }
    assert_true(sealed_pairs.n > 10000);
    assert_true(delivered_pairs.n > 1000);
    pair_free(p);
    cut_store_deinit(&client_store);
    cut_store_deinit(&server_store);
}

/* ---------------------------------------------------------------- the store fails */

static void test_store_fails(void **state)
{
    (void)state;
    static struct cut_store client_store, server_store;
    cut_store_init(&client_store);
    cut_store_init(&server_store);
    struct pair *p = pair_new(1);
    p->client_store = &client_store;
    p->server_store = &server_store;
    pair_open(p);
    pair_handshake(p);
    client_store.fail_after = 0; /* no numbers: nothing leaves */
    assert_int_equal(pair_seal(p, "a", smq_span_str("1"), &WITH_RECEIPT), SMQTT_E_IO);
    client_store.fail_after = -1;
    assert_int_equal(pair_seal(p, "a", smq_span_str("1"), &WITH_RECEIPT), SMQTT_OK);
    struct packet record = packet_copy(&p->to_server.list[0]);
    for (long good = 0; good < 2; good++) { /* put fails, sync fails: nothing is delivered */
        server_store.fail_after = good;
        pair_forget(p);
        assert_int_equal(pair_inject_server(p, false, 0, "a", smq_span_of(record.bytes, record.len), false), SMQTT_OK);
        pair_pull(p);
        assert_int_equal(p->n_opener, 1);
        assert_int_equal(p->of_opener[0].ev.err, SMQTT_E_IO);
        assert_int_equal(p->of_opener[0].ev.bytes.len, 0);
    }
    assert_int_equal(p->to_client.n, 0);
    server_store.fail_after = -1; /* the store is well again: so is the record */
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 1);
    packet_free(&record);
    pair_free(p);
    cut_store_deinit(&client_store);
    cut_store_deinit(&server_store);
}

/** No session opens that is not stored; the client asks again and gets in when the store is well. */
static void test_store_fails_at_step3(void **state)
{
    (void)state;
    static struct cut_store store;
    cut_store_init(&store);
    struct pair *p = pair_new(2);
    p->server_store = &store;
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    pair_give_server(p);
    pair_give_client(p);
    store.fail_after = 1; /* put goes well, sync does not */
    const struct packet *step3 = &p->to_server.list[0];
    smq_span bytes = smq_span_of(step3->bytes, step3->len);
    assert_int_equal(pair_inject_server(p, true, step3->header, "", bytes, false), SMQTT_E_IO);
    pair_pull(p);
    assert_int_equal(p->to_client.n, 0);
    assert_null(told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN));
    store.fail_after = -1;
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    pair_free(p);
    cut_store_deinit(&store);
}

/** One sync for all windows of a batch. */
static void test_one_sync_a_batch(void **state)
{
    (void)state;
    static struct cut_store store;
    cut_store_init(&store);
    struct pair *p = pair_new(1);
    p->server_store = &store;
    pair_open(p);
    pair_handshake(p);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    }
    unsigned long before = store.syncs;
    for (size_t i = 0; i < 20; i++) {
        smq_span bytes = smq_span_of(p->to_server.list[i].bytes, p->to_server.list[i].len);
        assert_int_equal(pair_inject_server(p, false, 0, "a", bytes, false), SMQTT_OK);
    }
    assert_int_equal(store.syncs, before);
    struct smqtt_secure_event ev;
    assert_true(smqtt_opener_next(p->opener, &ev));
    assert_int_equal(store.syncs, before + 1);
    pair_pull(p);
    assert_int_equal(store.syncs, before + 1);
    pair_free(p);
    cut_store_deinit(&store);
}

/** A session that ends before its window is stored takes its queued records along. */
static void test_closed_before_the_commit(void **state)
{
    (void)state;
    static struct cut_store store;
    cut_store_init(&store);
    struct pair *p = pair_new(1);
    p->server_store = &store;
    pair_open(p);
    pair_handshake(p);
    uint8_t cid[SMQ_CID_LEN];
    memcpy(cid, told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN)->ev.cid, SMQ_CID_LEN);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT), SMQTT_OK);
    smq_span bytes = smq_span_of(p->to_server.list[0].bytes, p->to_server.list[0].len);
    assert_int_equal(pair_inject_server(p, false, 0, "a", bytes, false), SMQTT_OK);
    assert_int_equal(smqtt_opener_close(p->opener, cid, SMQTT_STATUS_CLOSED, p->now), SMQTT_OK);
    pair_pull(p);
    assert_null(told_last(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE));
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_CLOSED);
    pair_free(p);
    cut_store_deinit(&store);
}

/* ---------------------------------------------------------------- randomness and memory */

/** Without randomness nothing is sent, at whichever draw it fails; the next attempt works. */
static void test_randomness_fails(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        struct pair *p = pair_new(suite);
        for (long draws = 0; draws < 2; draws++) {
            p->rng_left = draws;
            assert_int_equal(pair_open_opener(p), SMQTT_E_RNG);
        }
        p->rng_left = -1;
        pair_open(p);
        for (long draws = 0; draws < 3; draws++) {
            p->rng_left = draws;
            assert_int_equal(pair_start(p), SMQTT_E_RNG);
            pair_pull(p);
            assert_int_equal(p->to_server.n, 0);
        }
        p->rng_left = -1;
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        smq_span bytes = smq_span_of(p->to_server.list[0].bytes, p->to_server.list[0].len);
        for (long draws = 0; draws < 2; draws++) {
            p->rng_left = draws;
            assert_int_equal(pair_inject_server(p, true, 0x03, "", bytes, false), SMQTT_E_RNG);
            pair_pull(p);
            assert_int_equal(p->to_client.n, 0);
        }
        p->rng_left = -1;
        pair_run(p);
        assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
        pair_free(p);
    }
}

static bool may_fail(smqtt_err err)
{
    return err == SMQTT_OK || err == SMQTT_E_NOMEM || err == SMQTT_E_IO;
}

static void taken(struct queue *pipe)
{
    packet_free(&pipe->list[0]);
    pipe->n--;
    memmove(pipe->list, pipe->list + 1, pipe->n * sizeof(pipe->list[0]));
}

/** Gives the server its next packet, which stays when memory fails. */
static void give_server(struct pair *p)
{
    if (p->to_server.n == 0) {
        return;
    }
    const struct packet *q = &p->to_server.list[0];
    char topic[128] = "";
    memcpy(topic, q->topic, q->topic_len);
    uint8_t header = q->header == 0x01 ? 0x03 : q->header;
    smqtt_err err = pair_inject_server(p, q->detect, header, topic, smq_span_of(q->bytes, q->len), false);
    assert_true(may_fail(err));
    pair_pull(p); /* the payload is borrowed until here */
    if (err == SMQTT_OK) {
        taken(&p->to_server);
    }
}

static void give_client(struct pair *p)
{
    if (p->to_client.n == 0) {
        return;
    }
    const struct packet *q = &p->to_client.list[0];
    char topic[128] = "";
    memcpy(topic, q->topic, q->topic_len);
    smqtt_err err = pair_inject_client(p, q->detect, q->header, topic, smq_span_of(q->bytes, q->len));
    assert_true(may_fail(err));
    if (err == SMQTT_OK) {
        taken(&p->to_client);
    }
}

/** A whole life with stores; every step that lacks memory says so and is done again. Returns false when it never did.
 */
static bool life(struct failing_mem *fm, size_t nth)
{
    static struct cut_store client_store, server_store;
    cut_store_init(&client_store);
    cut_store_init(&server_store);
    struct pair *p = pair_new(1);
    smqtt_err err = SMQTT_OK;
    p->mutual = true;
    p->rekey = 2;
    p->client_store = &client_store;
    p->server_store = &server_store;
    p->mem = &fm->mem;
    failing_mem_arm(fm, nth);
    for (int i = 0; i < 2 && (err = pair_open_sealer(p)) == SMQTT_E_NOMEM; i++) {
    }
    assert_int_equal(err, SMQTT_OK);
    for (int i = 0; i < 2 && (err = pair_open_opener(p)) == SMQTT_E_NOMEM; i++) {
    }
    assert_int_equal(err, SMQTT_OK);
    for (int i = 0; i < 2 && (err = pair_start(p)) == SMQTT_E_NOMEM; i++) {
    }
    assert_int_equal(err, SMQTT_OK);
    for (int turn = 0; turn < 40; turn++) {
        pair_pull(p);
        give_server(p);
        give_client(p);
        if (turn > 8 && turn % 4 == 0) {
            err = pair_seal(p, "a", smq_span_str("x"), &WITH_RECEIPT);
            assert_true(may_fail(err));
        }
        pair_tick(p, 400);
    }
    assert_true(smqtt_sealer_is_open(p->sealer));
    assert_true(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE) >= 5);
    for (int i = 0; i < 2; i++) { /* and a restart of both */
        pair_close_sealer(p);
        pair_close_opener(p);
        err = pair_open_sealer(p);
        assert_true(err == SMQTT_OK || err == SMQTT_E_NOMEM);
        err = pair_open_opener(p);
        assert_true(err == SMQTT_OK || err == SMQTT_E_NOMEM);
    }
    bool failed = failing_mem_has_failed(fm);
    pair_free(p);
    assert_int_equal(fm->live, 0);
    cut_store_deinit(&client_store);
    cut_store_deinit(&server_store);
    return failed;
}

static void test_memory_fails(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    size_t nth = 1;
    while (life(&fm, nth)) {
        nth++;
    }
    assert_true(nth > 60);
}

/** What is too long for DETECT costs no memory: in the tunnel a PUBLISH may have any length. */
static void test_no_memory_for_what_is_too_long(void **state)
{
    (void)state;
    static uint8_t long_one[1 + SMQ_BODY_MAX + 1];
    char topic[SMQ_OWN_TOPIC_MAX];
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct pair *p = pair_new(1);
    p->mem = &fm.mem;
    p->tunnel = true;
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    const smq_span cid = smq_span_of(p->sealer->hs.cid, SMQ_CID_LEN);
    topic[smq_own_topic((smq_span){NULL, 0}, p->server->skid, 's', cid, topic)] = 0;
    memcpy(long_one, (const uint8_t[]){0x0C, SMQ_DETECT_VER, 1}, 3);
    memcpy(long_one + 3, cid.data, SMQ_CID_LEN);
    failing_mem_arm(&fm, 1);
    assert_int_equal(pair_inject_client(p, false, 0, topic, smq_span_of(long_one, sizeof(long_one))), SMQTT_OK);
    assert_false(failing_mem_has_failed(&fm));
    failing_mem_arm(&fm, 0);
    pair_run(p);
    assert_true(smqtt_sealer_is_open(p->sealer));
    pair_free(p);
    assert_int_equal(fm.live, 0);
}

/** Nor is a record of receipts longer than any packet of DETECT. */
static void test_no_memory_for_long_receipts(void **state)
{
    (void)state;
    static uint8_t record[SMQ_BODY_MAX + 64] = {0x80, 1, 2, 3, 4, 5};
    char topic[SMQ_OWN_TOPIC_MAX];
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct pair *p = pair_new(1);
    p->mem = &fm.mem;
    pair_open(p);
    pair_handshake(p);
    const smq_span cid = smq_span_of(p->sealer->session->cid, SMQ_CID_LEN);
    topic[smq_own_topic((smq_span){NULL, 0}, p->server->skid, 's', cid, topic)] = 0;
    struct smqtt_secure_counters before, after;
    smqtt_sealer_counters(p->sealer, &before);
    failing_mem_arm(&fm, 1);
    assert_int_equal(pair_inject_client(p, false, 0, topic, smq_span_of(record, sizeof(record))), SMQTT_OK);
    assert_false(failing_mem_has_failed(&fm));
    failing_mem_arm(&fm, 0);
    smqtt_sealer_counters(p->sealer, &after);
    assert_int_equal(after.noise, before.noise + 1);
    pair_free(p);
    assert_int_equal(fm.live, 0);
}

/** A record of an unknown key costs no more than its topic, however long it is. */
static void test_no_memory_for_unknown_keys(void **state)
{
    (void)state;
    static uint8_t record[1 << 20] = {0x80, 1, 2, 3, 4, 5};
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct pair *p = pair_new(1);
    p->mem = &fm.mem;
    pair_open(p);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pair_inject_server(p, false, 0, "a", smq_span_of(record, sizeof(record)), false), SMQTT_OK);
        assert_int_equal(p->opener->q.bytes_cap <= 4096, true);
        pair_pull(p);
        assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_NO_KEY);
    }
    assert_int_equal(p->to_client.n, 1); /* the notice */
    pair_free(p);
}

/** What the sealer wants to be subscribed to is asked for when there is memory again. */
static void test_connected_without_memory(void **state)
{
    (void)state;
    for (int open = 0; open <= 1; open++) {
        struct failing_mem fm;
        failing_mem_init(&fm);
        struct pair *p = pair_new(1);
        p->mem = &fm.mem;
        pair_open(p);
        if (open != 0) {
            pair_handshake(p);
        } else {
            assert_int_equal(pair_start(p), SMQTT_OK);
            pair_pull(p);
        }
        smq_evq_deinit(&p->sealer->q);
        failing_mem_arm(&fm, 1);
        smqtt_sealer_connected(p->sealer, false, p->now);
        assert_true(failing_mem_has_failed(&fm));
        failing_mem_arm(&fm, 0);
        struct smqtt_secure_event ev;
        assert_false(smqtt_sealer_next(p->sealer, &ev));
        assert_true(smqtt_sealer_deadline(p->sealer) <= p->now.mono);
        smqtt_sealer_tick(p->sealer, p->now);
        size_t topics = 0, packets = 0;
        while (smqtt_sealer_next(p->sealer, &ev)) {
            topics += ev.type == SMQTT_EV_SUBSCRIBE;
            packets += ev.type == SMQTT_EV_DETECT;
        }
        assert_int_equal(topics, open != 0 ? 3 : 2); /* d, s, n */
        assert_int_equal(packets, open != 0 ? 0 : 1);
        assert_true(smqtt_sealer_deadline(p->sealer) > p->now.mono);
        pair_free(p);
        assert_int_equal(fm.live, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_power_cuts),
                                       cmocka_unit_test(test_store_fails),
                                       cmocka_unit_test(test_store_fails_at_step3),
                                       cmocka_unit_test(test_one_sync_a_batch),
                                       cmocka_unit_test(test_closed_before_the_commit),
                                       cmocka_unit_test(test_randomness_fails),
                                       cmocka_unit_test(test_memory_fails),
                                       cmocka_unit_test(test_no_memory_for_what_is_too_long),
                                       cmocka_unit_test(test_no_memory_for_long_receipts),
                                       cmocka_unit_test(test_no_memory_for_unknown_keys),
                                       cmocka_unit_test(test_connected_without_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
