/* SPDX-License-Identifier: Apache-2.0 */
/* Steps 0, 2 and 3: both suites, every kind of client; each bit of what travels counts. */
#include "detect/step.h"

#include <stdlib.h>

#include "kit.h"

typedef void (*for_kit)(struct kit *kit);

static struct kit kit;
static struct kit other;
static uint8_t work[SMQ_PACKET_MAX];
static uint8_t pt[SMQ_PACKET_MAX];

static void for_all(for_kit fn)
{
    for (uint8_t suite = 1; suite <= 2; suite++) {
        for (int kind = 0; kind < KIT_KINDS; kind++) {
            kit_run(&kit, suite, (enum kit_kind)kind, 41);
            kit_run(&other, suite, (enum kit_kind)kind, 42);
            fn(&kit);
            kit_deinit(&kit);
            kit_deinit(&other);
        }
    }
}

/** Does the server take this step 0? */
static bool takes_step0(const struct kit *k, smq_span packet)
{
    struct smq_step0 step;
    struct smq_hello hello;
    struct smq_hs hs = {0};
    const struct smq_hs untouched = {0};
    if (smq_step0_read(packet, &step) != SMQTT_OK) {
        return false;
    }
    if (smq_step0_open(k->server, packet, &step, k->plan.psk, pt, &hello, &hs) == SMQTT_OK) {
        return true;
    }
    assert_memory_equal(&hs, &untouched, sizeof(hs));
    return false;
}

static bool takes_step2(const struct kit *k, uint8_t header, smq_span body)
{
    struct smq_hs hs = k->c0;
    struct smq_reply reply;
    if (smq_step2_read(k->server, header, body, pt, &hs, &reply) == SMQTT_OK) {
        return true;
    }
    assert_memory_equal(&hs, &k->c0, sizeof(hs));
    return false;
}

static bool takes_step3(const struct kit *k, uint8_t header, smq_span body)
{
    struct smq_verdict verdict;
    struct smq_master master;
    return smq_step3_read(k->client, header, body, &k->s2, smq_span_of(k->body2, k->body2_len), pt, &verdict,
                          &master) == SMQTT_OK;
}

/* ---------------------------------------------------------------- the way it should be */

static void check_agreement(struct kit *k)
{
    assert_memory_equal(&k->c3, &k->s3, sizeof(k->c3));
    assert_memory_equal(k->c2.hs, k->s2.hs, SMQ_HASH_LEN);
    assert_true(smq_span_equal(k->hello.client_id, k->plan.client_id));
    assert_true(smq_span_equal(k->hello.topic, k->plan.topic));
    assert_true(smq_span_equal(k->hello.m, k->plan.m));
    assert_true(smq_span_equal(k->step0.cookie, k->plan.cookie));
    assert_true(smq_span_equal(k->step0.psk_id, k->plan.psk_id));
    assert_int_equal(k->step0.ts1, KIT_TS1);
    assert_int_equal(k->got_reply.window, KIT_WINDOW);
    assert_int_equal(k->got_reply.rekey, KIT_REKEY);
    assert_int_equal(k->got_reply.ts2, k->reply.ts2);
    assert_memory_equal(k->got_reply.hm, k->reply.hm, SMQ_HASH_LEN);
    assert_memory_equal(k->got_reply.session_id, k->reply.session_id, SMQ_SESSION_ID_LEN);
    assert_int_equal(k->got_verdict.ts3, k->verdict.ts3);
    assert_int_equal(k->got_verdict.rtt_ms, 17);
    assert_int_equal(k->packet[0], 0x01);
    assert_int_equal(k->packet[1], 0xD1);
    static const uint8_t creds[] = {SMQ_CRED_NONE, SMQ_CRED_DESCRIPTOR, SMQ_CRED_SHORT, SMQ_CRED_NONE};
    assert_int_equal(k->hello.cred, creds[k->kind]);
    if (k->kind == KIT_MUTUAL) {
        assert_true(smq_span_equal(k->hello.cred_data, smqtt_identity_descriptor(k->client)));
    } else if (k->kind == KIT_LOOKUP) {
        assert_memory_equal(k->hello.cred_data.data, k->client->did, SMQ_SHORT_DID_LEN);
    }
    const uint8_t none[SMQ_SK_LEN] = {0};
    assert_memory_equal(k->c2.x1, none, SMQ_HASH_LEN); /* wiped when they are used */
    assert_memory_equal(k->c2.sk_x, none, SMQ_SK_LEN);
    assert_memory_equal(k->s2.x1, none, SMQ_HASH_LEN);
    assert_memory_not_equal(k->c3.ms, other.c3.ms, SMQ_HASH_LEN);
}

static void test_agreement(void **state)
{
    (void)state;
    for_all(check_agreement);
}

static void test_refusing_flags(void **state)
{
    (void)state;
    for (uint8_t suite = 1; suite <= 2; suite++) {
        kit_init(&kit, suite, KIT_MUTUAL, 9);
        kit.reply.flag = 0;
        kit.reply.status = SMQTT_STATUS_MOJIBAKE;
        kit.verdict.verdict = 0;
        kit_step0(&kit);
        kit_step2(&kit);
        kit_step3(&kit);
        assert_int_equal(kit.got_reply.status, SMQTT_STATUS_MOJIBAKE);
        assert_int_equal(kit.got_reply.flag, 0);
        assert_int_equal(kit.got_verdict.verdict, 0);
        assert_false(takes_step2(&kit, 0x0C, smq_span_of(kit.body2, kit.body2_len)));
        assert_false(takes_step3(&kit, 0x0F, smq_span_of(kit.body3, kit.body3_len)));
        kit_deinit(&kit);
    }
}

/* ---------------------------------------------------------------- bits and lengths */

static void check_step0_bits(struct kit *k)
{
    memcpy(work, k->packet, k->packet_len);
    for (size_t bit = 0; bit < 8 * k->packet_len; bit++) {
        work[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_false(takes_step0(k, smq_span_of(work, k->packet_len)));
        work[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (size_t len = 0; len < k->packet_len; len++) {
        uint8_t *cut = malloc(len + (len == 0));
        assert_non_null(cut);
        memcpy(cut, work, len);
        assert_false(takes_step0(k, smq_span_of(cut, len)));
        free(cut);
    }
    assert_false(takes_step0(k, smq_span_of(work, k->packet_len + 1)));
    assert_true(takes_step0(k, smq_span_of(work, k->packet_len)));
}

static void test_step0_bits(void **state)
{
    (void)state;
    for_all(check_step0_bits);
}

static void check_step2_bits(struct kit *k)
{
    memcpy(work, k->body2, k->body2_len);
    for (size_t bit = 0; bit < 8 * k->body2_len; bit++) {
        work[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_false(takes_step2(k, k->header2, smq_span_of(work, k->body2_len)));
        work[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (unsigned header = 0; header <= UINT8_MAX; header++) {
        assert_int_equal(takes_step2(k, (uint8_t)header, smq_span_of(work, k->body2_len)), header == k->header2);
    }
    for (size_t len = 0; len < k->body2_len; len++) {
        assert_false(takes_step2(k, k->header2, smq_span_of(work, len)));
    }
    work[k->body2_len] = 0;
    assert_false(takes_step2(k, k->header2, smq_span_of(work, k->body2_len + 1)));
}

static void test_step2_bits(void **state)
{
    (void)state;
    for_all(check_step2_bits);
}

static void check_step3_bits(struct kit *k)
{
    memcpy(work, k->body3, k->body3_len);
    for (size_t bit = 0; bit < 8 * k->body3_len; bit++) {
        work[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_false(takes_step3(k, k->header3, smq_span_of(work, k->body3_len)));
        work[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (unsigned header = 0; header <= UINT8_MAX; header++) {
        assert_int_equal(takes_step3(k, (uint8_t)header, smq_span_of(work, k->body3_len)), header == k->header3);
    }
    for (size_t len = 0; len < k->body3_len; len++) {
        assert_false(takes_step3(k, k->header3, smq_span_of(work, len)));
    }
    work[k->body3_len] = 0;
    assert_false(takes_step3(k, k->header3, smq_span_of(work, k->body3_len + 1)));
}

static void test_step3_bits(void **state)
{
    (void)state;
    for_all(check_step3_bits);
}

/* ---------------------------------------------------------------- parts of another handshake */

static void check_splices(struct kit *k)
{
    size_t npk = k->suite->npk;
    size_t ct1 = (size_t)(k->step0.ct1.data - k->packet);
    memcpy(work, k->packet, k->packet_len);
    memcpy(work + ct1, other.packet + ct1, k->packet_len - ct1);
    assert_false(takes_step0(k, smq_span_of(work, k->packet_len)));
    memcpy(work, k->packet, k->packet_len);
    memcpy(work + ct1 - npk, other.packet + ct1 - npk, npk);
    assert_false(takes_step0(k, smq_span_of(work, k->packet_len)));
    memcpy(work, other.body2, other.body2_len);
    assert_false(takes_step2(k, k->header2, smq_span_of(work, other.body2_len)));
    memcpy(work + 2, k->cid, SMQ_CID_LEN);
    assert_false(takes_step2(k, k->header2, smq_span_of(work, other.body2_len)));
    memcpy(work, k->body2, k->body2_len);
    memcpy(work + 10, other.body2 + 10, npk);
    assert_false(takes_step2(k, k->header2, smq_span_of(work, k->body2_len)));
    memcpy(work, other.body3, other.body3_len);
    assert_false(takes_step3(k, k->header3, smq_span_of(work, other.body3_len)));
    memcpy(work + 1, k->cid, SMQ_CID_LEN);
    assert_false(takes_step3(k, k->header3, smq_span_of(work, other.body3_len)));
}

static void test_splices(void **state)
{
    (void)state;
    for_all(check_splices);
}

static void check_wrong_identities(struct kit *k)
{
    struct smqtt_identity *wrong = kit_identity(k->suite, "server", 99);
    struct smq_hs hs = k->c0;
    struct smq_reply reply;
    struct smq_hello hello;
    struct smq_hs hs_s = {0};
    const smq_span packet = smq_span_of(k->packet, k->packet_len);
    assert_int_not_equal(smq_step0_open(wrong, packet, &k->step0, k->plan.psk, pt, &hello, &hs_s), SMQTT_OK);
    assert_int_equal(smq_step2_read(wrong, k->header2, smq_span_of(k->body2, k->body2_len), pt, &hs, &reply),
                     SMQTT_E_BAD_SIGNATURE);
    hs.did_c[0] ^= 1; /* bound to the client's identity, too */
    assert_int_equal(smq_step2_read(k->server, k->header2, smq_span_of(k->body2, k->body2_len), pt, &hs, &reply),
                     SMQTT_E_BAD_SIGNATURE);
    struct smq_verdict verdict;
    struct smq_master master;
    const smq_span body2 = smq_span_of(k->body2, k->body2_len);
    const smq_span body3 = smq_span_of(k->body3, k->body3_len);
    const struct smqtt_identity *peer = k->client != NULL ? NULL : k->server;
    assert_int_equal(smq_step3_read(peer, k->header3, body3, &k->s2, body2, pt, &verdict, &master), SMQTT_E_MALFORMED);
    if (k->client != NULL) {
        assert_int_equal(smq_step3_read(wrong, k->header3, body3, &k->s2, body2, pt, &verdict, &master),
                         SMQTT_E_BAD_SIGNATURE);
    }
    if (k->kind == KIT_PSK) {
        uint8_t psk[SMQ_PSK_MIN] = {0};
        assert_int_equal(smq_step0_open(k->server, packet, &k->step0, smq_span_of(psk, sizeof(psk)), pt, &hello, &hs_s),
                         SMQTT_E_BAD_TAG);
    }
    smqtt_identity_free(wrong);
}

static void test_wrong_identities(void **state)
{
    (void)state;
    for_all(check_wrong_identities);
}

/* ---------------------------------------------------------------- limits */

static void test_limits(void **state)
{
    (void)state;
    static uint8_t text[SMQ_BODY_MAX + 1];
    struct smq_hs hs;
    size_t len = 0;
    memset(text, 'x', sizeof(text));
    kit_init(&kit, 1, KIT_ANON, 3);
    struct smq_step0_plan plan = kit.plan;
    plan.client_id = smq_span_of(text, 255);
    assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_OK);
    assert_true(takes_step0(&kit, smq_span_of(work, len)));
    plan.client_id = smq_span_of(text, 256);
    assert_int_not_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_OK);
    plan = kit.plan;
    plan.m = smq_span_of(text, SMQ_M_MAX);
    assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_OK);
    size_t room = SMQ_PACKET_MAX - len;
    plan.topic = smq_span_of(text, plan.topic.len + room);
    assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_OK);
    assert_int_equal(len, SMQ_PACKET_MAX);
    assert_true(takes_step0(&kit, smq_span_of(work, len)));
    plan.topic.len++;
    assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_E_TOO_LARGE);
    plan = kit.plan;
    plan.m = smq_span_of(text, SMQ_M_MAX + 1);
    assert_true(smq_step0_write(&plan, work, &len, &hs) != SMQTT_OK || !takes_step0(&kit, smq_span_of(work, len)));
    plan = kit.plan;
    plan.topic = smq_span_str("a/+");
    assert_true(smq_step0_write(&plan, work, &len, &hs) != SMQTT_OK || !takes_step0(&kit, smq_span_of(work, len)));
    plan = kit.plan;
    plan.psk = smq_span_of(text, 31);
    plan.psk_id = smq_span_str("k");
    assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_E_USAGE);
    plan.psk = smq_span_of(text, 32);
    plan.psk_id = smq_span_of(text, 65);
    assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_E_USAGE);
    plan.psk_id = smq_span_of(text, 0);
    assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_E_USAGE);
    kit_deinit(&kit);
}

/** Of the clear list: what is unknown is skipped, what is known has its length. */
static void test_clear_list(void **state)
{
    (void)state;
    enum { TYPE = 1 + 4 + SMQ_CID_LEN + SMQTT_SKID_LEN + 8 + 2 };
    static const struct {
        uint8_t type;
        bool ok;
    } rows[] = {{0, true}, {1, true}, {2, false}, {3, true}, {4, true}, {0x7F, true}, {0x80, false}, {0xFF, false}};
    size_t len = 0;
    struct smq_hs hs;
    struct smq_step0 read;
    kit_init(&kit, 1, KIT_ANON, 3);
    struct smq_step0_plan plan = kit.plan;
    plan.cookie = smq_span_str("cookie");
    assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_OK);
    assert_int_equal(work[TYPE], 1);
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        work[TYPE] = rows[i].type;
        assert_int_equal(smq_step0_read(smq_span_of(work, len), &read), rows[i].ok ? SMQTT_OK : SMQTT_E_MALFORMED);
        assert_true(!rows[i].ok || (read.cookie.len != 0) == (rows[i].type == 1));
    }
    kit_deinit(&kit);
}

/** M that is cut to the room that is there fits with every credential, and cannot be much longer. */
static void test_room_for_m(void **state)
{
    (void)state;
    static uint8_t text[SMQ_BODY_MAX];
    static const uint8_t cookie[SMQ_COOKIE_MAX];
    size_t len = 0;
    struct smq_hs hs;
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < 2U * KIT_KINDS; i++) {
        kit_init(&kit, (uint8_t)(1 + i % 2), (enum kit_kind)(i / 2), 3);
        struct smq_step0_plan plan = kit.plan;
        plan.topic = smq_span_of(text, 3000);
        plan.cookie = smq_span_of(cookie, sizeof(cookie));
        plan.m = smq_span_of(text, smq_step0_m_room(&plan));
        assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_OK);
        assert_true(len > SMQ_PACKET_MAX - 80);
        plan.m.len += SMQ_PACKET_MAX - len + 1;
        memset(work, 0, sizeof(work));
        assert_int_equal(smq_step0_write(&plan, work, &len, &hs), SMQTT_E_TOO_LARGE);
        for (size_t at = 0; at < SMQ_PACKET_MAX; at++) {
            assert_int_equal(work[at], 0); /* nothing of it is left behind */
        }
        plan.topic = smq_span_of(text, SMQ_BODY_MAX - 100);
        assert_int_equal(smq_step0_m_room(&plan), 0);
        kit_deinit(&kit);
    }
}

/** Terms that a server may not set, sealed and signed well. */
static void test_terms(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        size_t len = 0;
        struct smq_reply got;
        kit_init(&kit, 1, KIT_ANON, 8);
        kit_step0(&kit);
        kit.reply.window = i == 0 ? SMQ_WINDOW_MIN - 1 : SMQ_WINDOW_MIN;
        kit.reply.rekey = i == 1 ? 0 : 1;
        kit.reply.status = i == 2 ? SMQTT_STATUS_REFUSED : SMQTT_STATUS_OK;
        kit.reply.flag = i == 3 ? 2 : 1;
        assert_int_equal(smq_step2_write(kit.server, &kit.reply, kit.sk_e2, &kit.s0, work, &len), SMQTT_OK);
        assert_int_equal(smq_step2_read(kit.server, 0x0C, smq_span_of(work, len), pt, &kit.c0, &got),
                         i < 4 ? SMQTT_E_MALFORMED : SMQTT_OK);
        kit_deinit(&kit);
    }
}

static void test_m(void **state)
{
    (void)state;
    static uint8_t text[7000];
    uint8_t buf[SMQ_M_BINARY];
    uint8_t hash[SMQ_HASH_LEN];
    smq_span m;
    memset(text, 'x', sizeof(text));
    memcpy(text + 6143, "\xE2\x82\xAC", 3);
    assert_int_equal(smq_step_m(smq_span_of(text, 6143), true, buf, &m), SMQTT_OK);
    assert_int_equal(m.len, 6143);
    assert_int_equal(smq_step_m(smq_span_of(text, sizeof(text)), true, buf, &m), SMQTT_OK);
    assert_int_equal(m.len, 6143); /* not through a character */
    text[6143] = text[6144] = text[6145] = 'x';
    assert_int_equal(smq_step_m(smq_span_of(text, sizeof(text)), true, buf, &m), SMQTT_OK);
    assert_int_equal(m.len, 6144);
    const smq_span payload = smq_span_of(text, sizeof(text));
    assert_int_equal(smq_step_m(payload, false, buf, &m), SMQTT_OK);
    kit_hash(&payload, 1, hash);
    assert_int_equal(m.len, 40);
    assert_memory_equal(m.data, hash, 32);
    assert_memory_equal(m.data + 32, "\0\0\0\0\0\0\x1B\x58", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agreement),  cmocka_unit_test(test_refusing_flags),   cmocka_unit_test(test_step0_bits),
        cmocka_unit_test(test_step2_bits), cmocka_unit_test(test_step3_bits),       cmocka_unit_test(test_splices),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_wrong_identities), cmocka_unit_test(test_m),
        cmocka_unit_test(test_terms),      cmocka_unit_test(test_clear_list),       cmocka_unit_test(test_room_for_m),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
