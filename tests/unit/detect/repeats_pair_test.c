/* SPDX-License-Identifier: Apache-2.0 */
/* Sealer and opener over a bad line: what is lost is sent again, what comes twice counts once. */
#include "pair.h"

/** The acknowledgement is lost three times: step 3 comes again, byte for byte, and so does its answer. */
static void test_step3_is_sent_again(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    pair_give_server(p);
    pair_give_client(p);
    struct packet step3 = packet_copy(&p->to_server.list[0]);
    struct packet ack = {0};
    for (int i = 0; i < 3; i++) {
        assert_true(pair_give_server(p));
        assert_int_equal(p->to_client.n, 1);
        assert_int_equal(p->to_client.list[0].header, 0x0E);
        if (ack.bytes != NULL) {
            assert_memory_equal(ack.bytes, p->to_client.list[0].bytes, ack.len);
        } else {
            ack = packet_copy(&p->to_client.list[0]);
        }
        queue_clear(&p->to_client);
        assert_int_equal(p->to_server.n, 0);
        pair_tick(p, 2000);
        pair_pull(p);
        assert_int_equal(p->to_server.n, 1);
        assert_int_equal(p->to_server.list[0].len, step3.len);
        assert_memory_equal(p->to_server.list[0].bytes, step3.bytes, step3.len);
    }
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_OPEN), 1);
    packet_free(&step3);
    packet_free(&ack);
    pair_free(p);
}

/** In the tunnel nobody says that the server is not there: step 0 comes again byte for byte, and, when no answer to it
 * could be in time any more, a new one. */
static void test_step0_is_sent_again(void **state)
{
    (void)state;
    enum { AGAIN_MS = 2000, FRESH_AT = 3 }; /* the third time it is older than the 5 s of section 4.4 */
    for (int until = 1; until <= 4; until++) {
        struct pair *p = pair_new(1);
        p->tunnel = true;
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        struct packet step0 = packet_copy(&p->to_server.list[0]);
        for (int i = 1; i <= until; i++) {
            queue_clear(&p->to_server);
            assert_true(smqtt_sealer_deadline(p->sealer) == p->now.mono + AGAIN_MS);
            pair_tick(p, AGAIN_MS);
            pair_pull(p);
            assert_int_equal(p->to_server.n, 1);
            const struct packet *again = &p->to_server.list[0];
            assert_int_equal(again->header, 0x01);
            bool same = again->len == step0.len && memcmp(again->bytes, step0.bytes, step0.len) == 0;
            assert_int_equal(same, i < FRESH_AT);
        }
        pair_run(p);
        assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
        assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_OPEN), 1);
        packet_free(&step0);
        pair_free(p);
    }
}

/** It ends after 10 s all the same; natively the broker speaks, and nothing is sent again. */
static void test_no_answer(void **state)
{
    (void)state;
    for (int tunnel = 0; tunnel <= 1; tunnel++) {
        struct pair *p = pair_new(1);
        p->tunnel = tunnel != 0;
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        for (int i = 0; i < 5; i++) {
            pair_pull(p);
            assert_int_equal(p->to_server.n, tunnel != 0 || i == 0);
            queue_clear(&p->to_server);
            pair_tick(p, 2000);
        }
        pair_pull(p);
        assert_int_equal(p->to_server.n, 0);
        assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.err, SMQTT_E_DELAY);
        assert_int_equal(smqtt_sealer_deadline(p->sealer), SMQTT_NEVER);
        pair_free(p);
    }
}

/** Without acknowledgement the client gives up, closed. */
static void test_no_acknowledgement(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    pair_give_server(p);
    pair_give_client(p);
    assert_true(smqtt_sealer_is_open(p->sealer));
    for (int i = 0; i < 5; i++) {
        assert_true(smqtt_sealer_deadline(p->sealer) <= p->now.mono + 2000);
        pair_tick(p, 2000);
        pair_pull(p);
    }
    assert_false(smqtt_sealer_is_open(p->sealer));
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.err, SMQTT_E_DELAY);
    assert_int_equal(smqtt_sealer_deadline(p->sealer), SMQTT_NEVER);
    pair_free(p);
}

/** Reconnects at each point of the handshake: the same bytes go again, and it completes. */
static void test_reconnects(void **state)
{
    (void)state;
    struct pair *p = pair_new(2);
    p->mutual = true;
    pair_open(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    struct packet step0 = packet_copy(&p->to_server.list[0]);
    queue_clear(&p->to_server);
    smqtt_sealer_connected(p->sealer, p->tunnel, p->now);
    pair_pull(p);
    assert_memory_equal(step0.bytes, p->to_server.list[0].bytes, step0.len);
    pair_give_server(p);
    struct packet step2 = packet_copy(&p->to_client.list[0]);
    queue_clear(&p->to_client);
    smqtt_sealer_connected(p->sealer, p->tunnel, p->now);
    pair_pull(p);
    pair_give_server(p);
    assert_int_equal(p->to_client.n, 1);
    assert_memory_equal(step2.bytes, p->to_client.list[0].bytes, step2.len);
    pair_give_client(p);
    queue_clear(&p->to_server);
    smqtt_sealer_connected(p->sealer, p->tunnel, p->now);
    pair_run(p);
    assert_true(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_OPEN)->ev.confirmed);
    packet_free(&step0);
    packet_free(&step2);
    pair_free(p);
}

/** Each record is taken once, in whatever order, within the window; outside it is told apart. */
static void test_order_and_repeats(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->window = 64;
    pair_open(p);
    pair_handshake(p);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pair_seal(p, "a", smq_span_of(&i, sizeof(i)), NULL), SMQTT_OK);
    }
    struct packet late = packet_copy(&p->to_server.list[3]);
    for (size_t i = 0; i < 50; i++) { /* from both ends */
        struct packet swap = p->to_server.list[i];
        p->to_server.list[i] = p->to_server.list[99 - i];
        p->to_server.list[99 - i] = swap;
    }
    pair_forget(p);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 64);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_REFUSED), 36);
    assert_int_equal(p->of_opener[99].ev.err, SMQTT_E_OUTSIDE_WINDOW);
    struct smqtt_secure_counters c;
    smqtt_opener_counters(p->opener, &c);
    assert_int_equal(c.outside_window, 36);
    packet_free(&late);
    assert_int_equal(pair_seal(p, "a", smq_span_str("once"), NULL), SMQTT_OK);
    struct packet twice = packet_copy(&p->to_server.list[0]);
    pair_forget(p);
    pair_run(p);
    p->to_server.list[p->to_server.n++] = twice;
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_REPLAY);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step3_is_sent_again), cmocka_unit_test(test_step0_is_sent_again),
        cmocka_unit_test(test_no_answer),           cmocka_unit_test(test_no_acknowledgement),
        cmocka_unit_test(test_reconnects),          cmocka_unit_test(test_order_and_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
