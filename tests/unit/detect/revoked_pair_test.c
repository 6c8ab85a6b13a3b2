/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that are void: by the word of their owner on the topic `d`, by the lists of client and server (protocol.md 3.1,
 * 9.6). */
#include "pin_kit.h"

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
    pin_deliver_revocation(p, p->server, p->server);
    assert_int_equal(pin_last(p), SMQTT_E_REVOKED);
    const struct told *told = told_last(p->of_sealer, p->n_sealer, SMQTT_EV_DESCRIPTOR);
    assert_int_equal(smqtt_revocation_check(smq_span_of(told->bytes, told->ev.bytes.len), p->server, NULL, NULL),
                     SMQTT_OK);
    assert_int_equal(pin_told(p, SMQTT_EV_CLOSED), (size_t)open + (steps != 0));
    for (size_t i = 0; i < p->n_sealer; i++) {
        assert_true(p->of_sealer[i].ev.type != SMQTT_EV_CLOSED || p->of_sealer[i].ev.err == SMQTT_E_REVOKED);
    }
    assert_false(smqtt_sealer_is_open(p->sealer));
    assert_int_equal(pair_start(p), SMQTT_E_REVOKED);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_E_STATE);
    size_t n = p->n_sealer;
    struct smqtt_identity *next = pin_successor(p, p->server, NULL, 14);
    pin_deliver_revocation(p, p->server, p->server);
    pin_deliver_id(p, p->server, next); /* who vouches for it is void */
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
    struct smqtt_identity *next = pin_successor(p, old, NULL, 15);
    pin_deliver_id(p, old, next);
    pair_forget(p);
    pin_deliver_revocation(p, next, old);
    pin_deliver_revocation(p, old, old);
    assert_int_equal(p->n_sealer, 0);
    pin_server_becomes(p, next);
    pair_handshake(p);
    pin_deliver_revocation(p, next, next);
    assert_int_equal(pin_last(p), SMQTT_E_REVOKED);
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
    struct smqtt_identity *next = pin_successor(p, p->server, NULL, 16);
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
    pin_deliver_id(p, p->server, next);
    pin_deliver_id(p, p->server, next);
    assert_int_equal(pin_last(p), SMQTT_E_REVOKED);
    assert_int_equal(pin_told(p, SMQTT_EV_DESCRIPTOR), 1);
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
    assert_int_equal(pin_told(p, SMQTT_EV_LOST), 1);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.status, SMQTT_STATUS_NOT_AUTHORIZED);
    smqtt_revocations_free(list);
    pair_free(p);
    cut_store_deinit(&store);
}

/** The list comes while sessions are open: those of clients on it end at once, and are told who they were. */
static void test_list_of_an_open_session(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    struct cut_store store;
    cut_store_init(&store);
    p->server_store = &store;
    p->mutual = true;
    pair_open(p);
    pair_handshake(p);
    struct smqtt_revocations *others = list_of(p->server);
    struct smqtt_revocations *list = list_of(p->client);
    assert_int_equal(smqtt_opener_set_revoked(p->opener, others, p->now), SMQTT_E_REVOKED);
    assert_int_equal(smqtt_opener_set_revoked(p->opener, NULL, p->now), SMQTT_OK);
    pair_forget(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    pair_forget(p);
    /* One was opened before, one comes between the list and the first event. */
    assert_int_equal(pair_seal(p, "a", smq_span_str("y"), NULL), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("z"), NULL), SMQTT_OK);
    assert_true(pair_give_server(p));
    assert_int_equal(smqtt_opener_set_revoked(p->opener, list, p->now), SMQTT_OK);
    assert_true(pair_give_server(p));
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_NOT_AUTHORIZED);
    const struct told *closed = told_last(p->of_opener, p->n_opener, SMQTT_EV_CLOSED);
    assert_int_equal(closed->ev.err, SMQTT_E_REVOKED);
    assert_int_equal(closed->ev.status, SMQTT_STATUS_NOT_AUTHORIZED);
    assert_string_equal(closed->name, smqtt_identity_name(p->client));
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_CLOSED), 1);
    assert_int_equal(smq_map_count(&p->opener->sessions), 0);
    assert_int_equal(smq_map_count(&p->opener->kids), 0);
    assert_true(store.now[0].gone);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.status, SMQTT_STATUS_NOT_AUTHORIZED);
    assert_false(smqtt_sealer_is_open(p->sealer));
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.status, SMQTT_STATUS_NOT_AUTHORIZED);
    assert_int_equal(smqtt_opener_set_revoked(p->opener, NULL, p->now), SMQTT_OK); /* it was a mistake */
    pair_handshake(p);
    pair_free(p);
    smqtt_revocations_free(others);
    smqtt_revocations_free(list);
    cut_store_deinit(&store);
}

/** The anonymous and others stay; a handshake under way ends; an opener is freed before anybody pulled. */
static void test_list_spares_others(void **state)
{
    (void)state;
    struct pair *p = pair_new(2);
    pair_open(p);
    pair_handshake(p);
    struct smqtt_revocations *list = list_of(p->client);
    assert_int_equal(smqtt_opener_set_revoked(p->opener, list, p->now), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_int_equal(smqtt_opener_set_revoked(p->opener, NULL, p->now), SMQTT_OK);
    pair_close_sealer(p);
    p->mutual = true;
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    pair_forget(p);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    assert_true(pair_give_server(p)); /* step 2 is on its way */
    assert_int_equal(smqtt_opener_set_revoked(p->opener, list, p->now), SMQTT_OK);
    pair_run(p);
    assert_null(told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN));
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.status, SMQTT_STATUS_NOT_AUTHORIZED);
    assert_int_equal(smqtt_opener_set_revoked(p->opener, NULL, p->now), SMQTT_OK);
    pair_handshake(p);
    assert_int_equal(smqtt_opener_set_revoked(p->opener, list, p->now), SMQTT_OK);
    pair_free(p); /* nothing leaks */
    smqtt_revocations_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_revoked),
                                       cmocka_unit_test(test_revocation_replayed),
                                       cmocka_unit_test(test_client_list),
                                       cmocka_unit_test(test_server_list),
                                       cmocka_unit_test(test_stored_session_of_a_revoked_client),
                                       cmocka_unit_test(test_list_of_an_open_session),
                                       cmocka_unit_test(test_list_spares_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
