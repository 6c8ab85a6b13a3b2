/* SPDX-License-Identifier: Apache-2.0 */
/* What a server refuses of clients that are who they say: plain text, old retained records, unknown keys, the unwanted,
 * floods. */
#include "pair.h"

#include <smqtt/system.h>

#include <stdlib.h>

static struct smqtt_secure_counters counters(const struct pair *p)
{
    struct smqtt_secure_counters c;
    smqtt_opener_counters(p->opener, &c);
    return c;
}

/* ---------------------------------------------------------------- plain text, retained records, notices */

static void test_plain_text(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    unsigned line = 0;
    assert_int_equal(smqtt_policy_read(NULL, smq_span_str("open/# allow-plain\n"), &p->policy, &line), SMQTT_OK);
    pair_open(p);
    assert_int_equal(pair_inject_server(p, false, 0, "closed", smq_span_str("plain"), false), SMQTT_OK);
    assert_int_equal(pair_inject_server(p, false, 0, "closed", smq_span_str(""), false), SMQTT_OK);
    assert_int_equal(pair_inject_server(p, false, 0, "open/1", smq_span_str("plain"), false), SMQTT_OK);
    assert_int_equal(pair_inject_server(p, false, 0, "open/1", smq_span_str("\x80\x81"), false), SMQTT_OK);
    pair_pull(p);
    assert_int_equal(p->n_opener, 4);
    assert_int_equal(p->of_opener[0].ev.err, SMQTT_E_PLAINTEXT);
    assert_int_equal(p->of_opener[1].ev.err, SMQTT_E_PLAINTEXT);
    assert_int_equal(p->of_opener[2].ev.type, SMQTT_EV_MESSAGE);
    assert_int_equal(p->of_opener[2].ev.protection, SMQTT_PLAIN);
    assert_int_equal(p->of_opener[3].ev.type, SMQTT_EV_MESSAGE);
    assert_int_equal(counters(p).plain_dropped, 2);
    assert_int_equal(smqtt_sealer_check_plain(p->sealer, smq_span_str("closed")), SMQTT_E_PLAINTEXT);
    assert_int_equal(smqtt_sealer_check_plain(p->sealer, smq_span_str("open/x")), SMQTT_OK);
    pair_free(p);
}

static void test_retained(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    pair_handshake(p);
    struct packet records[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pair_seal(p, "a", smq_span_of(&i, sizeof(i)), NULL), SMQTT_OK);
        records[i] = packet_copy(&p->to_server.list[i]);
    }
    pair_run(p);
    pair_forget(p);
    for (int i = 0; i < 2; i++) {
        smq_span bytes = smq_span_of(records[i].bytes, records[i].len);
        assert_int_equal(pair_inject_server(p, false, 0, "a", bytes, true), SMQTT_OK);
        packet_free(&records[i]);
    }
    pair_pull(p);
    assert_int_equal(p->of_opener[0].ev.err, SMQTT_E_ROLLBACK);
    assert_int_equal(p->of_opener[1].ev.type, SMQTT_EV_MESSAGE);
    assert_int_equal(p->of_opener[1].ev.protection, SMQTT_RETAINED_REPLAY);
    pair_free(p);
}

static void test_notices(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    pair_open(p);
    pair_handshake(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    struct packet record = packet_copy(&p->to_server.list[0]);
    queue_clear(&p->to_server);
    pair_close_opener(p);
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
    smq_span bytes = smq_span_of(record.bytes, record.len);
    for (int i = 0; i < 3; i++) { /* once in ten seconds for a kid */
        assert_int_equal(pair_inject_server(p, false, 0, "a", bytes, false), SMQTT_OK);
    }
    pair_pull(p);
    assert_int_equal(p->to_client.n, 1);
    struct packet notice = packet_copy(&p->to_client.list[0]);
    char topic[SMQ_OWN_TOPIC_MAX] = "";
    memcpy(topic, notice.topic, notice.topic_len);
    for (size_t bit = 0; bit < notice.len * 8; bit++) { /* forged */
        notice.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(pair_inject_client(p, false, 0, topic, smq_span_of(notice.bytes, notice.len)), SMQTT_OK);
        notice.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    p->now.wall += 30001; /* old */
    assert_int_equal(pair_inject_client(p, false, 0, topic, smq_span_of(notice.bytes, notice.len)), SMQTT_OK);
    p->now.wall -= 30001;
    pair_pull(p);
    assert_true(smqtt_sealer_is_open(p->sealer));
    for (uint8_t i = 1; i < 30; i++) { /* ten in a second */
        record.bytes[1] ^= i;
        assert_int_equal(pair_inject_server(p, false, 0, "a", bytes, false), SMQTT_OK);
    }
    pair_pull(p);
    assert_int_equal(p->to_client.n, 10);
    pair_run(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_LOST), 1);
    pair_handshake(p); /* and the old notice does not end the new session */
    assert_int_equal(pair_inject_client(p, false, 0, topic, smq_span_of(notice.bytes, notice.len)), SMQTT_OK);
    assert_true(smqtt_sealer_is_open(p->sealer));
    packet_free(&record);
    packet_free(&notice);
    pair_free(p);
}

/* ---------------------------------------------------------------- who may */

static void test_not_authorized(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->mutual = true;
    pair_open(p);
    p->deny = true;
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.err, SMQTT_E_NOT_AUTHORIZED);
    /* allowed as claimed, refused when proven */
    p->deny = false;
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    pair_give_server(p);
    pair_give_client(p);
    p->deny = true;
    pair_forget(p);
    pair_run(p);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.err, SMQTT_E_NOT_AUTHORIZED);
    assert_false(smqtt_sealer_is_open(p->sealer));
    assert_null(told_last(p->of_opener, p->n_opener, SMQTT_EV_OPEN));
    /* later, for one record */
    p->deny = false;
    pair_handshake(p);
    p->deny = true;
    assert_int_equal(pair_seal(p, "a", smq_span_str("x"), NULL), SMQTT_OK);
    pair_run(p);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_NOT_AUTHORIZED);
    pair_free(p);
}

/** The identity's flag: no session without credential. */
static void test_credential_wanted(void **state)
{
    (void)state;
    for (int mutual = 0; mutual <= 1; mutual++) {
        struct pair *p = pair_new(2);
        p->mutual = mutual != 0;
        p->server->flags |= SMQ_FLAG_CREDENTIAL;
        pair_open(p);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_run(p);
        assert_int_equal(smqtt_sealer_is_open(p->sealer), mutual);
        if (!mutual) {
            assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_CLOSED)->ev.err, SMQTT_E_NOT_AUTHORIZED);
        }
        pair_free(p);
    }
}

/* ---------------------------------------------------------------- floods */

/** Thousands of handshakes: over half full cookies are wanted, never more than the ceiling wait, memory is bounded. */
static void test_flood(void **state)
{
    (void)state;
    struct failing_mem fm;
    failing_mem_init(&fm);
    struct pair *p = pair_new(1);
    p->waiting_max = 16;
    pair_open(p);
    pair_close_opener(p);
    p->mem = &fm.mem;
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
    p->mem = NULL;
    size_t most = 0, codes[256] = {0}, peak = 0;
    for (int i = 0; i < 400; i++) {
        pair_close_sealer(p);
        assert_int_equal(pair_open_sealer(p), SMQTT_OK);
        assert_int_equal(pair_start(p), SMQTT_OK);
        pair_pull(p);
        pair_give_server(p);
        if (p->to_client.list[0].header == 0x02) {
            codes[p->to_client.list[0].bytes[10]]++;
            if (p->to_client.list[0].bytes[10] == SMQTT_STATUS_COOKIE) { /* once more, with the cookie */
                pair_give_client(p);
                pair_give_server(p);
                codes[p->to_client.list[0].header == 0x02 ? p->to_client.list[0].bytes[10] : 0]++;
            }
        }
        queue_clear(&p->to_client);
        queue_clear(&p->to_server);
        pair_forget(p);
        size_t waiting = smq_map_count(&p->opener->waiting);
        most = waiting > most ? waiting : most;
        peak = i >= 30 && fm.live > peak ? fm.live : peak;
        assert_true(i <= 30 || fm.live <= peak + 3);
    }
    assert_int_equal(most, 16);
    assert_int_equal(codes[0], 7); /* let in by cookie: 17 with the first 9 would be one too many */
    assert_int_equal(codes[SMQTT_STATUS_COOKIE], 391);
    assert_int_equal(codes[SMQTT_STATUS_BUSY], 384);
    pair_tick(p, 30000);
    pair_pull(p);
    assert_int_equal(smq_map_count(&p->opener->waiting), 0);
    pair_forget(p);
    pair_close_sealer(p);
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    pair_handshake(p);
    pair_close_opener(p);
    assert_int_equal(fm.live, 0);
    pair_free(p);
}

/** Full of sessions: the anonymous one that was idle longest gives way; for those without a name named ones do not. */
static void test_sessions_ceiling(void **state)
{
    (void)state;
    struct pair *p = pair_new(1);
    p->sessions_max = 2;
    pair_open(p);
    for (int i = 0; i < 4; i++) {
        pair_close_sealer(p);
        p->mutual = i >= 2;
        assert_int_equal(pair_open_sealer(p), SMQTT_OK);
        pair_handshake(p);
        pair_tick(p, 1000);
    }
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_CLOSED), 2);
    assert_int_equal(smq_map_count(&p->opener->sessions), 2);
    pair_close_sealer(p);
    p->mutual = false;
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    assert_int_equal(pair_start(p), SMQTT_OK);
    pair_pull(p);
    pair_give_server(p);
    assert_int_equal(p->to_client.list[0].bytes[10], SMQTT_STATUS_BUSY);
    pair_free(p);
}

/** A named session of one of three identities; its kid. */
static uint32_t named_session(struct pair *p, struct smqtt_identity *const ids[3], int which)
{
    struct smqtt_identity *own = p->client;
    pair_close_sealer(p);
    p->mutual = true;
    p->client = ids[which];
    assert_int_equal(pair_open_sealer(p), SMQTT_OK);
    pair_handshake(p);
    p->client = own;
    pair_tick(p, 1000);
    return smq_kid_u32(p->sealer->session->send.kid);
}

/** Full of named ones: who has the most gives way with the one longest idle, and nobody is kept out. */
static void test_sessions_are_shared_out(void **state)
{
    (void)state;
    enum { SESSIONS = 8 };
    static const struct {
        int who, ends; /* which of those before; -1: none */
    } rows[SESSIONS] = {{0, -1}, {0, -1}, {0, -1}, {1, -1}, {1, 0}, {2, 1}, {2, 3}, {0, 5}};
    struct smqtt_identity *ids[3];
    uint32_t kids[SESSIONS];
    struct pair *p = pair_new(1);
    const struct smqtt_rng rng = smqtt_system_rng();
    p->sessions_max = 4;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(smqtt_identity_new(NULL, &rng, "x25519", "one of three", 0, 0, 0, &ids[i]), SMQTT_OK);
    }
    pair_open(p);
    for (size_t i = 0; i < SESSIONS; i++) {
        kids[i] = named_session(p, ids, rows[i].who);
        assert_true(smqtt_opener_knows(p->opener, kids[i]));
        for (size_t k = 0; k < i; k++) {
            bool ended = false;
            for (size_t m = 0; m <= i; m++) {
                ended = ended || rows[m].ends == (int)k;
            }
            assert_int_equal(smqtt_opener_knows(p->opener, kids[k]), !ended);
        }
    }
    assert_int_equal(smq_map_count(&p->opener->owners), 3);
    for (size_t i = 0; i < 3; i++) {
        smqtt_identity_free(ids[i]);
    }
    pair_close_sealer(p);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text),        cmocka_unit_test(test_retained),
        cmocka_unit_test(test_notices),           cmocka_unit_test(test_not_authorized),
        cmocka_unit_test(test_credential_wanted), cmocka_unit_test(test_flood),
        cmocka_unit_test(test_sessions_ceiling),  cmocka_unit_test(test_sessions_are_shared_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
