/* SPDX-License-Identifier: Apache-2.0 */
/* Replays tests/vectors/smqtt: everything is made again from the private inputs and compared byte by byte; packets with
 * ECDSA signatures, which are never the same, are consumed instead. */
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "base/hex.h"
#include "detect/channel.h"

enum { LINES_MAX = 256, BYTES_MAX = 4096, LINE_MAX = 2 * BYTES_MAX + 64 };

/** A file of vectors. */
struct vectors {
    struct {
        char name[48];
        uint8_t bytes[BYTES_MAX];
        size_t len;
        bool used;
    } lines[LINES_MAX];
    size_t n;
};

static struct vectors v;

static void load(const char *name)
{
    static char line[LINE_MAX];
    char path[512];
    v.n = 0;
    assert_true(snprintf(path, sizeof(path), "%s/smqtt/%s.txt", SMQ_TEST_DATA, name) < (int)sizeof(path));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        const char *equals = strchr(line, '=');
        if (line[0] == '#' || equals == NULL) {
            continue;
        }
        assert_true(v.n < LINES_MAX && equals - line - 1 < (long)sizeof(v.lines[0].name));
        size_t name_len = (size_t)(equals - line) - 1;
        memset(&v.lines[v.n], 0, sizeof(v.lines[0]));
        memcpy(v.lines[v.n].name, line, name_len);
        smq_span hex = smq_span_str(equals + 1 + (equals[1] == ' '));
        hex.len -= hex.len > 0 && hex.data[hex.len - 1] == '\n';
        assert_int_equal(smq_hex_decode(v.lines[v.n].bytes, BYTES_MAX, hex, &v.lines[v.n].len), SMQTT_OK);
        v.n++;
    }
    (void)fclose(f);
    assert_true(v.n > 0);
}

static bool has(const char *name)
{
    for (size_t i = 0; i < v.n; i++) {
        if (strcmp(v.lines[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static smq_span get(const char *name)
{
    for (size_t i = 0; i < v.n; i++) {
        if (strcmp(v.lines[i].name, name) == 0) {
            v.lines[i].used = true;
            return smq_span_of(v.lines[i].bytes, v.lines[i].len);
        }
    }
    fail_msg("no line %s", name);
    return smq_span_of(NULL, 0);
}

static uint64_t get_uint(const char *name)
{
    smq_span s = get(name);
    struct smq_rd rd = smq_rd_of(s);
    return smq_rd_uint(&rd, s.len);
}

static void same(const char *name, const void *data, size_t len)
{
    smq_span want = get(name);
    assert_int_equal(want.len, len);
    assert_memory_equal(want.data, data, len);
}

/** name_rest */
static const char *join(const char *name, const char *rest)
{
    static char out[4][96];
    static size_t turn;
    turn = (turn + 1) % 4;
    (void)snprintf(out[turn], sizeof(out[0]), "%s_%s", name, rest);
    return out[turn];
}

/* ---------------------------------------------------------------- a session */

struct run {
    const struct smq_suite *suite;
    bool reproducible; /* signatures */
    struct smqtt_identity *server, *client;
    struct smq_hs c, s;
    struct smq_reply reply;
    struct smq_master master;
    uint8_t packet[SMQ_PACKET_MAX], pt[SMQ_PACKET_MAX];
};

static struct smqtt_identity *identity(const char *who)
{
    struct smqtt_identity *id = NULL, *read = NULL;
    char text[SMQTT_IDENTITY_TEXT_MAX];
    assert_int_equal(smqtt_identity_read(NULL, get(join(who, "private_file")), &id), SMQTT_OK);
    same(join(who, "descriptor"), id->descriptor, id->len);
    same(join(who, "did"), id->did, SMQTT_DID_LEN);
    same(join(who, "skid"), id->skid, SMQTT_SKID_LEN);
    same(join(who, "kem_sk"), id->sk_kem, SMQ_SK_LEN);
    same(join(who, "sig_sk"), id->sk_sig, SMQ_SK_LEN);
    same(join(who, "kem_pk"), id->pk_kem, id->suite->npk);
    same(join(who, "sig_pk"), id->pk_sig, id->suite->nspk);
    assert_int_equal(smqtt_identity_public_text(id, text, sizeof(text)), SMQTT_OK);
    same(join(who, "public_line"), text, strlen(text));
    assert_int_equal(smqtt_identity_private_text(id, text, sizeof(text)), SMQTT_OK);
    same(join(who, "private_file"), text, strlen(text));
    smqtt_identity_fingerprint(id, text);
    same(join(who, "fingerprint"), text, strlen(text));
    assert_int_equal(smqtt_identity_read(NULL, get(join(who, "public_line")), &read), SMQTT_OK);
    assert_false(smqtt_identity_has_private(read));
    smqtt_identity_free(read);
    return id;
}

static void step0(struct run *r)
{
    uint8_t binary[SMQ_M_BINARY], info[SMQ_INFO_MAX];
    bool text = get_uint("message_is_text") == 1;
    struct smq_step0_plan plan = {.server = r->server,
                                  .identity = r->client,
                                  .text = text,
                                  .client_id = get("client_id"),
                                  .topic = get("topic"),
                                  .ts1 = get_uint("ts1"),
                                  .cid = get("cid").data,
                                  .sk_e1 = get("sk_e1").data,
                                  .sk_x = get("sk_x").data};
    if (has("psk")) {
        plan.psk = get("psk");
        plan.psk_id = get("psk_id");
        plan.cookie = get("cookie");
        plan.padding = (uint16_t)get_uint("padding");
    }
    assert_int_equal(smq_step_m(get("message"), text, binary, &plan.m), SMQTT_OK);
    same("m", plan.m.data, plan.m.len);
    size_t len = 0;
    assert_int_equal(smq_step0_write(&plan, r->packet, &len, &r->c), SMQTT_OK);
    same("step0_body", r->packet + 1, len - 1);
    struct smq_step0 step;
    struct smq_hello hello;
    smq_span packet = smq_span_of(r->packet, len);
    assert_int_equal(smq_step0_read(packet, &step), SMQTT_OK);
    same("step0_aad", step.clear.data, step.clear.len);
    assert_int_equal(smq_step0_open(r->server, packet, &step, plan.psk, r->pt, &hello, &r->s), SMQTT_OK);
    same("info1", info, smq_schedule_info1(r->suite, r->server->did, info));
    same("pt1", r->pt, step.ct1.len - SMQ_TAG_LEN);
    same("x1", r->s.x1, SMQ_HASH_LEN);
    same("th1", r->s.th1, SMQ_HASH_LEN);
    if (r->client != NULL) {
        memcpy(r->s.did_c, r->client->did, SMQTT_DID_LEN);
    }
}

static void step2(struct run *r)
{
    uint8_t body[SMQ_STEP2_MAX];
    size_t len = 0;
    struct smq_reply reply = {
        SMQTT_STATUS_OK, 1, get_uint("ts2"), {0}, (uint16_t)get_uint("window"), (uint32_t)get_uint("rekey"), {0}};
    memcpy(reply.session_id, get("session_id").data, SMQ_SESSION_ID_LEN);
    memcpy(reply.hm, get("hm").data, SMQ_HASH_LEN);
    assert_int_equal(smq_step2_write(r->server, &reply, get("sk_e2").data, &r->s, body, &len), SMQTT_OK);
    smq_span given = get("step2_body");
    assert_int_equal(len, given.len);
    if (r->reproducible) {
        same("step2_body", body, len);
    }
    uint8_t header = (uint8_t)get_uint("step2_header");
    assert_int_equal(smq_step2_read(r->server, header, given, r->pt, &r->c, &r->reply), SMQTT_OK);
    same("pt2", r->pt, given.len - 2 - SMQ_CID_LEN - r->suite->npk - SMQ_TAG_LEN);
    same("th2", r->c.th2, SMQ_HASH_LEN);
    same("th2", r->s.th2, SMQ_HASH_LEN);
    same("hs", r->c.hs, SMQ_HASH_LEN);
    same("hs", r->s.hs, SMQ_HASH_LEN);
    assert_memory_equal(&reply.hm, &r->reply.hm, SMQ_HASH_LEN);
}

static void step3(struct run *r)
{
    uint8_t body[SMQ_STEP3_MAX];
    size_t len = 0;
    const struct smq_verdict verdict = {1, get_uint("ts3"), (uint32_t)get_uint("rtt")};
    struct smq_verdict got;
    smq_span body2 = get("step2_body"), given = get("step3_body");
    assert_int_equal(smq_step3_write(r->client, &verdict, &r->c, body2, body, &len, &r->master), SMQTT_OK);
    if (r->reproducible || r->client == NULL) {
        same("step3_body", body, len);
    }
    uint8_t header = (uint8_t)get_uint("step3_header");
    assert_int_equal(smq_step3_read(r->client, header, given, &r->s, body2, r->pt, &got, &r->master), SMQTT_OK);
    same("pt3", r->pt, given.len - 1 - SMQ_CID_LEN - SMQTT_SKID_LEN - SMQ_TAG_LEN);
    same("th3", r->master.th3, SMQ_HASH_LEN);
    same("ms", r->master.ms, SMQ_HASH_LEN);
    same("ctx", r->master.ctx, SMQ_HASH_LEN);
    assert_int_equal(got.rtt_ms, verdict.rtt_ms);
}

/* ---------------------------------------------------------------- keys, records, the rest */

static void ending(const struct run *r, const char *name, const struct smq_once *once)
{
    uint8_t body[SMQ_ENDING_LEN];
    uint8_t header = (uint8_t)get_uint(join(name, "header"));
    same(join(name, "key"), once->key, r->suite->nk);
    same(join(name, "nonce"), once->nonce, SMQ_NONCE_LEN);
    assert_int_equal(smq_ending_write(r->suite, once, header, get("cid").data, r->master.th3,
                                      (uint8_t)get_uint(join(name, "status")), get_uint(join(name, "ts")), body),
                     SMQTT_OK);
    same(join(name, "body"), body, sizeof(body));
}

static void generation(const char *name, struct smq_gen *gen)
{
    assert_int_equal(smq_gen_ready(gen), SMQTT_OK);
    same(join(name, "secret"), gen->secret, SMQ_HASH_LEN);
    same(join(name, "iv"), gen->iv, SMQ_NONCE_LEN);
    same(join(name, "kid"), gen->kid, SMQ_KID_LEN);
}

static void record(size_t n, struct smq_gen gens[2][2])
{
    char name[24];
    static uint8_t pt[BYTES_MAX], aad[BYTES_MAX], again[BYTES_MAX];
    struct smq_record head;
    struct smq_sealed sealed;
    size_t len = 0;
    (void)snprintf(name, sizeof(name), "record_%zu", n);
    struct smq_gen *gen = &gens[get_uint(join(name, "way"))][get_uint(join(name, "generation"))];
    smq_span bytes = get(name), topic = get(join(name, "topic"));
    assert_int_equal(smq_record_read(bytes, &head), SMQTT_OK);
    assert_int_equal(head.seq, get_uint(join(name, "seq")));
    assert_memory_equal(head.kid, gen->kid, SMQ_KID_LEN);
    assert_int_equal(smq_record_open(NULL, gen, &head, topic, pt), SMQTT_OK);
    same(join(name, "sealed"), pt, head.box.len - SMQ_TAG_LEN);
    bool logical = (head.first & SMQ_RECORD_LOGICAL) != 0;
    assert_int_equal(smq_sealed_read(smq_span_of(pt, head.box.len - SMQ_TAG_LEN), logical, &sealed), SMQTT_OK);
    same(join(name, "payload"), sealed.payload.data, sealed.payload.len);
    smq_span bound = logical ? smq_span_of(NULL, 0) : topic;
    same(join(name, "aad"), aad, smq_record_aad(gen, head.seq, head.first, bound, aad));
    sealed.content &= (uint8_t)~SMQ_CONTENT_TLVS;
    assert_int_equal(smq_record_seal(NULL, gen, head.seq, topic, &sealed, again, &len), SMQTT_OK);
    same(name, again, len);
}

static void records(struct smq_channel *client, struct smq_channel *server)
{
    struct smq_gen gens[2][2] = {{client->send, {0}}, {server->send, {0}}};
    gens[0][0].aead = gens[1][0].aead = NULL;
    assert_int_equal(smq_gen_next(&gens[0][0], &gens[0][1]), SMQTT_OK);
    assert_int_equal(smq_gen_next(&gens[1][0], &gens[1][1]), SMQTT_OK);
    generation("c2s_0", &gens[0][0]);
    generation("c2s_1", &gens[0][1]);
    generation("s2c_0", &gens[1][0]);
    generation("s2c_1", &gens[1][1]);
    same("c2s_0_kid", server->recv[0].kid, SMQ_KID_LEN);
    same("c2s_1_kid", server->recv[1].kid, SMQ_KID_LEN);
    same("s2c_0_kid", client->recv[0].kid, SMQ_KID_LEN);
    size_t n = 0;
    char name[24] = "record_0";
    for (; has(name); (void)snprintf(name, sizeof(name), "record_%zu", n)) {
        record(n++, gens);
    }
    assert_true(n >= 9);
    for (size_t i = 0; i < 4; i++) {
        smq_gen_deinit(&gens[i / 2][i % 2]);
    }
}

static void notice_and_registration(const struct run *r)
{
    smqtt_ms ts = 0;
    uint8_t challenge[SMQ_CHALLENGE_LEN], out[SMQ_REGISTER_MAX], skid[SMQTT_SKID_LEN], status = 9;
    struct smqtt_identity *id = NULL;
    assert_int_equal(smq_notice_read(r->server, get("notice_kid").data, get("notice"), &ts), SMQTT_OK);
    assert_int_equal(ts, get_uint("notice_ts"));
    assert_int_equal(smq_register_read(NULL, get("registration_register"), get_uint("ts1"), &id), SMQTT_OK);
    assert_memory_equal(id->did, r->server->did, SMQTT_DID_LEN);
    assert_int_equal(smq_register_challenge_read(get("registration_challenge"), id->skid, challenge), SMQTT_OK);
    same("registration_challenge_bytes", challenge, sizeof(challenge));
    same("registration_challenge", out, smq_register_challenge_write(id->skid, challenge, out));
    smq_span proof = get("registration_proof");
    assert_int_equal(smq_register_proof_skid(proof, skid), SMQTT_OK);
    assert_memory_equal(skid, id->skid, SMQTT_SKID_LEN);
    assert_int_equal(smq_register_proof_check(proof, id, challenge, get("registration_client_id")), SMQTT_OK);
    assert_int_equal(smq_register_result_read(get("registration_registered"), id->skid, &status), SMQTT_OK);
    assert_int_equal(status, 0);
    smqtt_identity_free(id);
}

static void session(const char *name)
{
    static struct run r;
    struct smq_channel *client = NULL, *server = NULL;
    uint8_t secret[SMQ_HASH_LEN];
    memset(&r, 0, sizeof(r));
    load(name);
    r.suite = smq_suite_by_id((uint8_t)get_uint("suite"));
    assert_non_null(r.suite);
    r.reproducible = r.suite->sign == SMQ_SIGN_ED25519;
    r.server = identity("server");
    r.client = has("client_descriptor") ? identity("client") : NULL;
    step0(&r);
    step2(&r);
    step3(&r);
    const uint8_t *cid = get("cid").data;
    assert_int_equal(smq_channel_new(NULL, SMQ_SIDE_CLIENT, r.suite, &r.reply, cid, &r.master, &client), SMQTT_OK);
    assert_int_equal(smq_channel_new(NULL, SMQ_SIDE_SERVER, r.suite, &r.reply, cid, &r.master, &server), SMQTT_OK);
    ending(&r, "ack", &server->ack);
    ending(&r, "close", &client->close);
    smq_span th3 = smq_span_of(r.master.th3, SMQ_HASH_LEN);
    assert_int_equal(smq_schedule_expand(r.master.ms, SMQ_LABEL_EXPORTER, th3, secret, sizeof(secret)), SMQTT_OK);
    same("exporter", secret, sizeof(secret));
    assert_int_equal(smq_schedule_expand(r.master.ms, SMQ_LABEL_RESUME, th3, secret, sizeof(secret)), SMQTT_OK);
    same("resumption", secret, sizeof(secret));
    records(client, server);
    notice_and_registration(&r);
    smq_channel_free(client);
    smq_channel_free(server);
    smqtt_identity_free(r.server);
    smqtt_identity_free(r.client);
}

static void test_sessions(void **state)
{
    static const char *const names[] = {"x25519_anon", "x25519_mutual", "x25519_psk",
                                        "p256_anon",   "p256_mutual",   "p256_psk"};
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(names); i++) {
        session(names[i]);
    }
}

/** Does anything of ours take this for good? */
static bool accepted(const char *name, smq_span bytes, const struct smqtt_identity *server)
{
    uint8_t packet[BYTES_MAX + 1] = {SMQ_HDR_STEP0}, skid[SMQTT_SKID_LEN], challenge[SMQ_CHALLENGE_LEN];
    struct smqtt_identity *id = NULL;
    struct smq_step0 step = {0};
    struct smq_retry retry;
    struct smq_record head;
    smqtt_ms ts = 0;
    memcpy(packet + 1, bytes.data, bytes.len);
    if (strncmp(name, "descriptor_", 11) == 0) {
        return smqtt_identity_read_descriptor(NULL, bytes, &id) == SMQTT_OK;
    }
    if (strncmp(name, "body0_", 6) == 0) {
        return smq_step0_read(smq_span_of(packet, bytes.len + 1), &step) == SMQTT_OK && step.suite != NULL;
    }
    if (strncmp(name, "retry_", 6) == 0) {
        return smq_retry_read(bytes, &retry) == SMQTT_OK;
    }
    if (strncmp(name, "record_", 7) == 0) {
        return smq_record_read(bytes, &head) == SMQTT_OK;
    }
    if (strncmp(name, "notice_", 7) == 0) {
        return smq_notice_read(server, bytes.data + 2, bytes, &ts) == SMQTT_OK;
    }
    if (strncmp(name, "registration_", 13) == 0) {
        return smq_register_proof_skid(bytes, skid) == SMQTT_OK ||
               smq_register_challenge_read(bytes, server->skid, challenge) == SMQTT_OK;
    }
    if (strncmp(name, "revocation_", 11) == 0) {
        return smqtt_revocation_check(bytes, server, NULL, NULL) == SMQTT_OK;
    }
    assert_int_equal(strncmp(name, "receipts_", 9), 0);
    return smq_receipts_ok(bytes);
}

static void test_refused(void **state)
{
    struct smqtt_identity *server = NULL;
    (void)state;
    load("refused");
    assert_int_equal(smqtt_identity_read_descriptor(NULL, get("server_descriptor"), &server), SMQTT_OK);
    for (size_t i = 1; i < v.n; i++) {
        smq_span bytes = smq_span_of(v.lines[i].bytes, v.lines[i].len);
        if (accepted(v.lines[i].name, bytes, server)) {
            fail_msg("%s is accepted", v.lines[i].name);
        }
    }
    assert_true(v.n > 40);
    smqtt_identity_free(server);
}

/* ---------------------------------------------------------------- keys that change */

/** A KDF that knows one answer. */
static bool kdf_of_file(void *ctx, struct smqtt_span passphrase, struct smqtt_span salt, uint32_t passes, uint32_t kib,
                        uint32_t lanes, uint8_t *out, size_t out_len)
{
    const char *prefix = ctx;
    same(join(prefix, "passphrase"), passphrase.data, passphrase.len);
    same(join(prefix, "salt"), salt.data, salt.len);
    assert_int_equal(passes, get_uint(join(prefix, "passes")));
    assert_int_equal(kib, get_uint(join(prefix, "kib")));
    assert_int_equal(lanes, get_uint(join(prefix, "lanes")));
    smq_span kdf = get(join(prefix, "kdf"));
    assert_int_equal(kdf.len, out_len);
    memcpy(out, kdf.data, out_len);
    return true;
}

static bool salt_of_file(void *ctx, uint8_t *out, size_t len)
{
    smq_span salt = get(join(ctx, "salt"));
    assert_int_equal(salt.len, len);
    memcpy(out, salt.data, len);
    return true;
}

static void locked_file(char *prefix, const struct smqtt_identity *old)
{
    char text[SMQTT_IDENTITY_TEXT_MAX];
    struct smqtt_identity *id = NULL;
    smq_span file = get(join(prefix, "locked_file"));
    smq_span passphrase = get(join(prefix, "passphrase"));
    const struct smqtt_kdf kdf = {kdf_of_file, prefix, (uint32_t)get_uint(join(prefix, "passes")),
                                  (uint32_t)get_uint(join(prefix, "kib")), (uint32_t)get_uint(join(prefix, "lanes"))};
    const struct smqtt_rng rng = {salt_of_file, prefix};
    assert_int_equal(smqtt_identity_read(NULL, file, &id), SMQTT_E_LOCKED);
    assert_int_equal(smqtt_identity_unlock(NULL, file, passphrase, &kdf, &id), SMQTT_OK);
    assert_memory_equal(id->did, old->did, SMQTT_DID_LEN);
    same(join(prefix, "old_kem_sk"), id->sk_kem, SMQ_SK_LEN);
    same(join(prefix, "old_sig_sk"), id->sk_sig, SMQ_SK_LEN);
    assert_int_equal(smqtt_identity_locked_text(id, passphrase, &kdf, &rng, text, sizeof(text)), SMQTT_OK);
    same(join(prefix, "locked_file"), text, strlen(text));
    smqtt_identity_free(id);
}

static struct smqtt_identity *read_line(const char *prefix, const char *name)
{
    struct smqtt_identity *id = NULL;
    assert_int_equal(smqtt_identity_read_descriptor(NULL, get(join(prefix, name)), &id), SMQTT_OK);
    return id;
}

static void life(char *prefix)
{
    struct smqtt_identity *old = read_line(prefix, "old_descriptor");
    struct smqtt_identity *renewal = read_line(prefix, "renewal");
    struct smqtt_identity *next = read_line(prefix, "successor");
    struct smqtt_identity *foreign = read_line(prefix, "foreign");
    const smqtt_ms wall = get_uint(join(prefix, "wall"));
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until = 0, at = 0;
    assert_int_equal(smqtt_identity_supersedes(old, renewal, wall), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(renewal, old, wall), SMQTT_E_OLD_IDENTITY);
    assert_true(smqtt_identity_predecessor(next, skid, &until));
    assert_memory_equal(skid, old->skid, SMQTT_SKID_LEN);
    assert_int_equal(until, get_uint(join(prefix, "until")));
    assert_int_equal(smqtt_identity_supersedes(old, next, wall), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(old, next, until), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(old, next, until + 1), SMQTT_E_EXPIRED);
    assert_int_equal(smqtt_identity_supersedes(old, foreign, wall), SMQTT_E_BAD_SIGNATURE);
    assert_int_equal(
        smq_identity_set_private(next, get(join(prefix, "new_kem_sk")).data, get(join(prefix, "new_sig_sk")).data),
        SMQTT_OK);
    enum smqtt_revocation_reason reason = SMQTT_REVOKED_UNSPECIFIED;
    assert_int_equal(smqtt_revocation_check(get(join(prefix, "revocation")), old, &reason, &at), SMQTT_OK);
    assert_int_equal(reason, get_uint(join(prefix, "revocation_reason")));
    assert_int_equal(at, get_uint(join(prefix, "revocation_at")));
    struct smqtt_revocations *list = NULL;
    unsigned line = 0;
    assert_int_equal(smqtt_revocations_read(NULL, get(join(prefix, "revocation_line")), &list, &line), SMQTT_OK);
    assert_true(smqtt_revocations_have(list, renewal, NULL, NULL));
    assert_false(smqtt_revocations_have(list, next, NULL, NULL));
    locked_file(prefix, old);
    smqtt_revocations_free(list);
    smqtt_identity_free(old);
    smqtt_identity_free(renewal);
    smqtt_identity_free(next);
    smqtt_identity_free(foreign);
}

static void test_keys(void **state)
{
    static char prefixes[][16] = {"x25519_x25519", "x25519_p256", "p256_x25519", "p256_p256"};
    (void)state;
    load("keys");
    for (size_t i = 0; i < SMQ_ARRAY_LEN(prefixes); i++) {
        life(prefixes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sessions), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
