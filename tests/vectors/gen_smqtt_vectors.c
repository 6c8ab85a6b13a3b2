/* SPDX-License-Identifier: Apache-2.0 */
/* Writes tests/vectors/smqtt: whole sessions of protocol.md with every secret and every byte on the wire.
 *
 *     gen_smqtt_vectors FOLDER
 *
 * Randomness is a hash chain from a constant, so that only the ECDSA signatures differ from run to run. Every packet
 * is consumed by the other side before it is written down. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/hpke.h"
#include "detect/channel.h"
#include "gen_smqtt.h"

enum kind { KIND_ANON, KIND_MUTUAL, KIND_PSK };

enum { TS1 = 1, PAYLOAD_MAX = 1024, REKEY = 4096, WINDOW = 128 };

static const smqtt_ms WALL = UINT64_C(1800000000000);

#define MUST(expr) must((expr), #expr, __LINE__)

static void must(smqtt_err err, const char *what, int line)
{
    if (err != SMQTT_OK) {
        fprintf(stderr, "gen_smqtt_vectors: line %d: %s: %s\n", line, what, smqtt_strerror(err));
        exit(1);
    }
}

static void must_be(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "gen_smqtt_vectors: %s\n", what);
        exit(1);
    }
}

/* ---------------------------------------------------------------- randomness and output */

static uint8_t chain[SMQ_HASH_LEN];

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++) {
        if (i % SMQ_HASH_LEN == 0) {
            const smq_span part = smq_span_of(chain, SMQ_HASH_LEN);
            MUST(smq_schedule_hash(&part, 1, chain));
        }
        out[i] = chain[i % SMQ_HASH_LEN];
    }
    return true;
}

static const struct smqtt_rng RNG = {fill, NULL};

static void line(FILE *f, const char *name, smq_span value)
{
    fprintf(f, "%s = ", name);
    for (size_t i = 0; i < value.len; i++) {
        fprintf(f, "%02x", value.data[i]);
    }
    fputc('\n', f);
}

static void line_bytes(FILE *f, const char *name, const void *data, size_t len)
{
    line(f, name, smq_span_of(data, len));
}

static void line_uint(FILE *f, const char *name, uint64_t v, size_t len)
{
    uint8_t buf[8];
    struct smq_wr wr = smq_wr_of(buf, sizeof(buf));
    smq_wr_uint(&wr, v, len);
    line(f, name, smq_wr_span(&wr));
}

static FILE *open_file(const char *folder, const char *name)
{
    char path[512];
    must_be(snprintf(path, sizeof(path), "%s/%s.txt", folder, name) < (int)sizeof(path), "the folder's name is long");
    FILE *f = fopen(path, "w");
    must_be(f != NULL, "a file cannot be written");
    return f;
}

/* ---------------------------------------------------------------- a session */

struct run {
    const struct smq_suite *suite;
    enum kind kind;
    struct smqtt_identity *server, *client;
    uint8_t cid[SMQ_CID_LEN], sk_e1[SMQ_SK_LEN], sk_x[SMQ_SK_LEN], sk_e2[SMQ_SK_LEN];
    uint8_t psk[SMQ_PSK_MIN];
    uint8_t binary[SMQ_M_BINARY];
    smq_span message, m, topic;
    uint8_t packet[SMQ_PACKET_MAX], pt[SMQ_PACKET_MAX];
    size_t packet_len;
    struct smq_hs c, s;
    struct smq_reply reply;
    uint8_t header2, body2[SMQ_STEP2_MAX];
    size_t body2_len;
    struct smq_verdict verdict;
    uint8_t body3[SMQ_STEP3_MAX];
    size_t body3_len;
    struct smq_master master;
    struct smq_channel *client_session, *server_session;
};

static struct smqtt_identity *identity(FILE *f, const struct smq_suite *suite, const char *who, const char *name)
{
    uint8_t kem[SMQ_SK_LEN], sig[SMQ_SK_LEN];
    char label[64], text[SMQTT_IDENTITY_TEXT_MAX], fingerprint[SMQTT_FINGERPRINT_SIZE];
    MUST(smq_suite_keygen(smq_schedule_lib(), suite, &RNG, kem));
    MUST(smq_suite_keygen(smq_schedule_lib(), suite, &RNG, sig));
    const struct smq_identity_plan plan = {suite, name, 0, 7, WALL - 1000, WALL + 31536000000U, kem, sig};
    struct smqtt_identity *id = NULL;
    MUST(smq_identity_make(NULL, &plan, &id));
    const struct {
        const char *name;
        smq_span value;
    } rows[] = {{"kem_sk", smq_span_of(kem, sizeof(kem))},       {"sig_sk", smq_span_of(sig, sizeof(sig))},
                {"kem_pk", smq_span_of(id->pk_kem, suite->npk)}, {"sig_pk", smq_span_of(id->pk_sig, suite->nspk)},
                {"descriptor", smqtt_identity_descriptor(id)},   {"did", smq_span_of(id->did, SMQTT_DID_LEN)},
                {"skid", smq_span_of(id->skid, SMQTT_SKID_LEN)}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        (void)snprintf(label, sizeof(label), "%s_%s", who, rows[i].name);
        line(f, label, rows[i].value);
    }
    MUST(smqtt_identity_public_text(id, text, sizeof(text)));
    (void)snprintf(label, sizeof(label), "%s_public_line", who);
    line(f, label, smq_span_str(text));
    MUST(smqtt_identity_private_text(id, text, sizeof(text)));
    (void)snprintf(label, sizeof(label), "%s_private_file", who);
    line(f, label, smq_span_str(text));
    smqtt_identity_fingerprint(id, fingerprint);
    (void)snprintf(label, sizeof(label), "%s_fingerprint", who);
    line(f, label, smq_span_str(fingerprint));
    return id;
}

static void step0(FILE *f, struct run *r)
{
    static const uint8_t BINARY[] = {0x00, 0xFF, 0x80, 0x7F, 0xC0};
    bool text = r->kind != KIND_MUTUAL;
    r->message = text ? smq_span_str("21.5 \xC2\xB0\x43 \xE6\xB8\xA9") : smq_span_of(BINARY, sizeof(BINARY));
    r->topic = smq_span_str("plant/7/temperature");
    MUST(smq_step_m(r->message, text, r->binary, &r->m));
    must_be(fill(NULL, r->cid, SMQ_CID_LEN) && fill(NULL, r->psk, SMQ_PSK_MIN), "randomness");
    MUST(smq_suite_keygen(smq_schedule_lib(), r->suite, &RNG, r->sk_e1));
    MUST(smq_suite_keygen(smq_schedule_lib(), r->suite, &RNG, r->sk_x));
    struct smq_step0_plan plan = {.server = r->server,
                                  .identity = r->client,
                                  .text = text,
                                  .client_id = smq_span_str("thermometer7"),
                                  .topic = r->topic,
                                  .m = r->m,
                                  .ts1 = WALL + TS1,
                                  .cid = r->cid,
                                  .sk_e1 = r->sk_e1,
                                  .sk_x = r->sk_x};
    if (r->kind == KIND_PSK) {
        plan.psk = smq_span_of(r->psk, SMQ_PSK_MIN);
        plan.psk_id = smq_span_str("batch-1");
        plan.cookie = smq_span_str("a cookie of the server");
        plan.padding = 9;
        line(f, "psk", plan.psk);
        line(f, "psk_id", plan.psk_id);
        line(f, "cookie", plan.cookie);
        line_uint(f, "padding", plan.padding, 2);
    }
    MUST(smq_step0_write(&plan, r->packet, &r->packet_len, &r->c));
    line(f, "client_id", plan.client_id);
    line(f, "topic", r->topic);
    line(f, "message", r->message);
    line_uint(f, "message_is_text", text, 1);
    line(f, "m", r->m);
    line_uint(f, "ts1", plan.ts1, 8);
    line_bytes(f, "cid", r->cid, SMQ_CID_LEN);
    line_bytes(f, "sk_e1", r->sk_e1, SMQ_SK_LEN);
    line_bytes(f, "sk_x", r->sk_x, SMQ_SK_LEN);
    line_uint(f, "step0_header", SMQ_HDR_STEP0, 1);
    line_bytes(f, "step0_body", r->packet + 1, r->packet_len - 1);
}

static void step0_consumed(FILE *f, struct run *r)
{
    struct smq_step0 step;
    struct smq_hello hello;
    uint8_t info[SMQ_INFO_MAX];
    smq_span packet = smq_span_of(r->packet, r->packet_len);
    MUST(smq_step0_read(packet, &step));
    line_bytes(f, "info1", info, smq_schedule_info1(r->suite, r->server->did, info));
    line(f, "step0_aad", step.clear);
    smq_span psk = r->kind == KIND_PSK ? smq_span_of(r->psk, SMQ_PSK_MIN) : smq_span_of(NULL, 0);
    MUST(smq_step0_open(r->server, packet, &step, psk, r->pt, &hello, &r->s));
    must_be(smq_span_equal(hello.m, r->m) && memcmp(r->s.x1, r->c.x1, SMQ_HASH_LEN) == 0 &&
                memcmp(r->s.th1, r->c.th1, SMQ_HASH_LEN) == 0,
            "step 0 is read otherwise than written");
    line_bytes(f, "pt1", r->pt, step.ct1.len - SMQ_TAG_LEN);
    line_bytes(f, "x1", r->s.x1, SMQ_HASH_LEN);
    line_bytes(f, "th1", r->s.th1, SMQ_HASH_LEN);
    if (r->client != NULL) {
        memcpy(r->s.did_c, r->client->did, SMQTT_DID_LEN);
    }
}

/** x2 and the key of step 2, derived a second time from the client's side. */
static void step2_secrets(FILE *f, const struct run *r, const struct smq_hs *before)
{
    uint8_t info[SMQ_INFO_MAX], x2[SMQ_HASH_LEN];
    struct smq_once once;
    struct smq_hpke hpke = {0};
    size_t len = smq_schedule_info2(r->suite, before->th1, info);
    MUST(smq_hpke_setup_r(&hpke, smq_schedule_lib(), r->suite, before->sk_x, NULL, r->body2 + 2 + SMQ_CID_LEN,
                          smq_span_of(info, len), NULL));
    MUST(smq_hpke_export(&hpke, smq_span_str("S-MQTT/1 x2"), x2, sizeof(x2)));
    smq_hpke_deinit(&hpke);
    MUST(smq_schedule_once(r->suite, r->c.hs, SMQ_LABEL_STEP2, r->c.th2, &once));
    line_bytes(f, "info2", info, len);
    line_bytes(f, "x2", x2, sizeof(x2));
    line_bytes(f, "hs", r->c.hs, SMQ_HASH_LEN);
    line_bytes(f, "th2", r->c.th2, SMQ_HASH_LEN);
    line_bytes(f, "k2", once.key, r->suite->nk);
    line_bytes(f, "n2", once.nonce, SMQ_NONCE_LEN);
}

static void step2(FILE *f, struct run *r)
{
    struct smq_reply got;
    struct smq_hs before = r->c;
    r->reply = (struct smq_reply){SMQTT_STATUS_OK, 1, WALL + 25, {0}, WINDOW, REKEY, {0}};
    must_be(fill(NULL, r->reply.session_id, SMQ_SESSION_ID_LEN), "randomness");
    MUST(smq_schedule_hash(&r->m, 1, r->reply.hm));
    MUST(smq_suite_keygen(smq_schedule_lib(), r->suite, &RNG, r->sk_e2));
    MUST(smq_step2_write(r->server, &r->reply, r->sk_e2, &r->s, r->body2, &r->body2_len));
    r->header2 = SMQ_HDR_STEP2 | SMQ_HDR_FLAG;
    MUST(smq_step2_read(r->server, r->header2, smq_span_of(r->body2, r->body2_len), r->pt, &r->c, &got));
    must_be(memcmp(r->c.th2, r->s.th2, SMQ_HASH_LEN) == 0 && got.rekey == REKEY, "step 2 is read otherwise");
    line_uint(f, "ts2", r->reply.ts2, 8);
    line_bytes(f, "session_id", r->reply.session_id, SMQ_SESSION_ID_LEN);
    line_uint(f, "window", WINDOW, 2);
    line_uint(f, "rekey", REKEY, 4);
    line_bytes(f, "hm", r->reply.hm, SMQ_HASH_LEN);
    line_bytes(f, "sk_e2", r->sk_e2, SMQ_SK_LEN);
    line_uint(f, "step2_header", r->header2, 1);
    line_bytes(f, "step2_body", r->body2, r->body2_len);
    line_bytes(f, "pt2", r->pt, r->body2_len - 2 - SMQ_CID_LEN - r->suite->npk - SMQ_TAG_LEN);
    step2_secrets(f, r, &before);
}

static void step3(FILE *f, struct run *r)
{
    struct smq_verdict got;
    struct smq_master other;
    struct smq_once once;
    uint8_t header = SMQ_HDR_STEP3 | SMQ_HDR_FLAG;
    smq_span body2 = smq_span_of(r->body2, r->body2_len);
    r->verdict = (struct smq_verdict){1, WALL + 50, 49};
    MUST(smq_step3_write(r->client, &r->verdict, &r->c, body2, r->body3, &r->body3_len, &r->master));
    MUST(smq_step3_read(r->client, header, smq_span_of(r->body3, r->body3_len), &r->s, body2, r->pt, &got, &other));
    must_be(memcmp(&other, &r->master, sizeof(other)) == 0, "step 3 is read otherwise than written");
    MUST(smq_schedule_once(r->suite, r->c.hs, SMQ_LABEL_STEP3, r->master.th3, &once));
    line_uint(f, "ts3", r->verdict.ts3, 8);
    line_uint(f, "rtt", r->verdict.rtt_ms, 4);
    line_uint(f, "step3_header", header, 1);
    line_bytes(f, "step3_body", r->body3, r->body3_len);
    line_bytes(f, "pt3", r->pt, r->body3_len - 1 - SMQ_CID_LEN - SMQTT_SKID_LEN - SMQ_TAG_LEN);
    line_bytes(f, "th3", r->master.th3, SMQ_HASH_LEN);
    line_bytes(f, "k3", once.key, r->suite->nk);
    line_bytes(f, "n3", once.nonce, SMQ_NONCE_LEN);
    line_bytes(f, "ms", r->master.ms, SMQ_HASH_LEN);
    line_bytes(f, "ctx", r->master.ctx, SMQ_HASH_LEN);
}

static void ending(FILE *f, const struct run *r, const char *name, const struct smq_once *once, uint8_t header,
                   uint8_t status, smqtt_ms ts)
{
    char label[64];
    uint8_t body[SMQ_ENDING_LEN];
    MUST(smq_ending_write(r->suite, once, header, r->cid, r->master.th3, status, ts, body));
    (void)snprintf(label, sizeof(label), "%s_key", name);
    line_bytes(f, label, once->key, r->suite->nk);
    (void)snprintf(label, sizeof(label), "%s_nonce", name);
    line_bytes(f, label, once->nonce, SMQ_NONCE_LEN);
    (void)snprintf(label, sizeof(label), "%s_header", name);
    line_uint(f, label, header, 1);
    (void)snprintf(label, sizeof(label), "%s_status", name);
    line_uint(f, label, status, 1);
    (void)snprintf(label, sizeof(label), "%s_ts", name);
    line_uint(f, label, ts, 8);
    (void)snprintf(label, sizeof(label), "%s_body", name);
    line_bytes(f, label, body, sizeof(body));
}

/* ---------------------------------------------------------------- keys and records */

static void generation(FILE *f, const struct run *r, const char *name, const struct smq_gen *gen)
{
    char label[64];
    uint8_t key[SMQ_NK_MAX];
    struct smq_gen g = *gen;
    g.aead = NULL;
    MUST(smq_gen_ready(&g));
    MUST(smq_schedule_expand(gen->secret, SMQ_LABEL_KEY, smq_span_of(NULL, 0), key, r->suite->nk));
    (void)snprintf(label, sizeof(label), "%s_secret", name);
    line_bytes(f, label, gen->secret, SMQ_HASH_LEN);
    (void)snprintf(label, sizeof(label), "%s_key", name);
    line_bytes(f, label, key, r->suite->nk);
    (void)snprintf(label, sizeof(label), "%s_iv", name);
    line_bytes(f, label, g.iv, SMQ_NONCE_LEN);
    (void)snprintf(label, sizeof(label), "%s_kid", name);
    line_bytes(f, label, g.kid, SMQ_KID_LEN);
    smq_gen_deinit(&g);
}

struct record {
    const char *note;
    enum smq_way way;
    unsigned generation;
    uint64_t seq;
    smq_span topic;
    struct smq_sealed sealed;
};

static size_t record_line(FILE *f, size_t n, const struct record *rec, struct smq_gen *gen, uint8_t *out)
{
    char label[64];
    uint8_t aad[SMQ_AAD_FIXED + 48 + 256], pt[2 * PAYLOAD_MAX];
    size_t len = 0;
    struct smq_record head;
    bool logical = rec->sealed.logical_topic.data != NULL;
    MUST(smq_record_seal(NULL, gen, rec->seq, rec->topic, &rec->sealed, out, &len));
    MUST(smq_record_read(smq_span_of(out, len), &head));
    MUST(smq_record_open(NULL, gen, &head, rec->topic, pt));
    smq_span bound = logical ? smq_span_of(NULL, 0) : rec->topic;
    fprintf(f, "# %s\n", rec->note);
    (void)snprintf(label, sizeof(label), "record_%zu_way", n);
    line_uint(f, label, rec->way, 1);
    (void)snprintf(label, sizeof(label), "record_%zu_generation", n);
    line_uint(f, label, rec->generation, 4);
    (void)snprintf(label, sizeof(label), "record_%zu_seq", n);
    line_uint(f, label, rec->seq, 8);
    (void)snprintf(label, sizeof(label), "record_%zu_topic", n);
    line(f, label, rec->topic);
    (void)snprintf(label, sizeof(label), "record_%zu_payload", n);
    line(f, label, rec->sealed.payload);
    (void)snprintf(label, sizeof(label), "record_%zu_sealed", n);
    line_bytes(f, label, pt, head.box.len - SMQ_TAG_LEN);
    (void)snprintf(label, sizeof(label), "record_%zu_aad", n);
    line_bytes(f, label, aad, smq_record_aad(gen, rec->seq, head.first, bound, aad));
    (void)snprintf(label, sizeof(label), "record_%zu", n);
    line_bytes(f, label, out, len);
    return len;
}

/** A receipt for number 0 of one generation and one for number 5 of the next. */
static void receipts_make(const struct smq_gen *first, const struct smq_gen *next, uint8_t out[2 * SMQ_RECEIPT_LEN])
{
    struct smq_wr wr = smq_wr_of(out, 2 * SMQ_RECEIPT_LEN);
    struct smq_receipt receipt = {{0}, 0, SMQTT_STATUS_OK, 1};
    memcpy(receipt.kid, first->kid, SMQ_KID_LEN);
    smq_receipt_write(&receipt, &wr);
    receipt = (struct smq_receipt){{0}, 5, SMQTT_STATUS_MOJIBAKE, 0};
    memcpy(receipt.kid, next->kid, SMQ_KID_LEN);
    smq_receipt_write(&receipt, &wr);
}

/** Both ways, the first generation and the next, which is made here. */
static void generations(FILE *f, struct run *r, struct smq_gen *c2s_1, struct smq_gen *s2c_1)
{
    MUST(smq_gen_next(&r->client_session->send, c2s_1));
    MUST(smq_gen_next(&r->server_session->send, s2c_1));
    generation(f, r, "c2s_0", &r->client_session->send);
    generation(f, r, "c2s_1", c2s_1);
    generation(f, r, "s2c_0", &r->server_session->send);
    generation(f, r, "s2c_1", s2c_1);
}

static void records(FILE *f, struct run *r)
{
    uint8_t payload[PAYLOAD_MAX], receipts[2 * SMQ_RECEIPT_LEN], out[2 * PAYLOAD_MAX];
    char own[SMQ_OWN_TOPIC_MAX];
    struct smq_gen c2s_1, s2c_1;
    must_be(fill(NULL, payload, sizeof(payload)), "randomness");
    generations(f, r, &c2s_1, &s2c_1);
    const smq_span cid = smq_span_of(r->cid, SMQ_CID_LEN);
    smq_span own_topic = smq_span_of(own, smq_own_topic(smq_span_of(NULL, 0), r->server->skid, 's', cid, own));
    receipts_make(&r->client_session->send, &c2s_1, receipts);
    const struct record list[] = {
        {"text, a receipt is wanted",
         SMQ_WAY_C2S,
         0,
         0,
         r->topic,
         {.content = SMQ_CONTENT_TEXT | SMQ_CONTENT_RECEIPT, .payload = smq_span_str("21.5 \xC2\xB0\x43")}},
        {"nothing", SMQ_WAY_C2S, 0, 1, r->topic, {.payload = {NULL, 0}}},
        {"binary, 64 bytes", SMQ_WAY_C2S, 0, 255, r->topic, {.payload = smq_span_of(payload, 64)}},
        {"binary, 1 KiB", SMQ_WAY_C2S, 0, 256, r->topic, {.payload = smq_span_of(payload, PAYLOAD_MAX)}},
        {"expiry and padding",
         SMQ_WAY_C2S,
         0,
         65536,
         smq_span_str("a"),
         {.has_time = true,
          .has_expiry = true,
          .time = WALL + 100,
          .expiry_s = 60,
          .padding = 7,
          .payload = smq_span_str("soon")}},
        {"logical topic, content type, response topic, correlation data",
         SMQ_WAY_C2S,
         0,
         UINT64_C(1) << 32,
         smq_span_str("bridge/site-1/plant/7/temperature"),
         {.content = SMQ_CONTENT_TEXT,
          .content_type = smq_span_str("text/plain"),
          .response_topic = smq_span_str("answers/7"),
          .correlation_data = smq_span_of(payload, 4),
          .logical_topic = r->topic,
          .payload = smq_span_str("moved")}},
        {"the next generation",
         SMQ_WAY_C2S,
         1,
         0,
         r->topic,
         {.content = SMQ_CONTENT_TEXT, .payload = smq_span_str("new key")}},
        {"receipts for number 0 of generation 0 and number 5 of generation 1",
         SMQ_WAY_S2C,
         0,
         0,
         own_topic,
         {.content = SMQ_CONTENT_RECEIPTS, .payload = smq_span_of(receipts, sizeof(receipts))}},
        {"receipts in the next generation",
         SMQ_WAY_S2C,
         1,
         1,
         own_topic,
         {.content = SMQ_CONTENT_RECEIPTS, .payload = smq_span_of(receipts, SMQ_RECEIPT_LEN)}}};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(list); i++) {
        struct smq_gen *gens[2][2] = {{&r->client_session->send, &c2s_1}, {&r->server_session->send, &s2c_1}};
        (void)record_line(f, i, &list[i], gens[list[i].way][list[i].generation], out);
    }
    smq_gen_deinit(&c2s_1);
    smq_gen_deinit(&s2c_1);
}

static void notice_and_registration(FILE *f, const struct run *r)
{
    uint8_t nonce[SMQ_NOTICE_NONCE_LEN], notice[SMQ_NOTICE_LEN], challenge[SMQ_CHALLENGE_LEN];
    uint8_t out[SMQ_REGISTER_MAX], reg[2 + SMQ_DESCRIPTOR_MAX] = {SMQ_DETECT_VER, 0x01};
    smqtt_ms ts = 0;
    size_t len = 0;
    const smq_span client_id = smq_span_str("sensors-server");
    const uint8_t *kid = r->client_session->send.kid;
    must_be(fill(NULL, nonce, sizeof(nonce)) && fill(NULL, challenge, sizeof(challenge)), "randomness");
    MUST(smq_notice_write(r->server, kid, nonce, WALL + 9000, notice));
    MUST(smq_notice_read(r->server, kid, smq_span_of(notice, sizeof(notice)), &ts));
    line_bytes(f, "notice_kid", kid, SMQ_KID_LEN);
    line_bytes(f, "notice_nonce", nonce, sizeof(nonce));
    line_uint(f, "notice_ts", WALL + 9000, 8);
    line_bytes(f, "notice", notice, sizeof(notice));
    memcpy(reg + 2, r->server->descriptor, r->server->len);
    line_bytes(f, "registration_register", reg, 2 + r->server->len);
    line_bytes(f, "registration_challenge_bytes", challenge, sizeof(challenge));
    line_bytes(f, "registration_challenge", out, smq_register_challenge_write(r->server->skid, challenge, out));
    line(f, "registration_client_id", client_id);
    MUST(smq_register_proof_write(r->server, challenge, client_id, out, &len));
    MUST(smq_register_proof_check(smq_span_of(out, len), r->server, challenge, client_id));
    line_bytes(f, "registration_proof", out, len);
    line_bytes(f, "registration_registered", out, smq_register_result_write(r->server->skid, 0, out));
}

static const char NAMES[] =
    "# SPDX-License-Identifier: Apache-2.0\n"
    "# A whole S-MQTT session. Each line is: name = value in hexadecimal. Integers are big-endian in the size they "
    "have\n"
    "# on the wire. Names are those of docs/protocol.md, in small letters, with these besides:\n"
    "#   server_*, client_*  identities: private keys (kem_sk, sig_sk), public keys (kem_pk, sig_pk), descriptor, "
    "did,\n"
    "#                       skid, and as bytes of their text public_line, private_file, fingerprint\n"
    "#   message             what is about to be published; m: what of it step 0 carries; message_is_text: 01 or 00\n"
    "#   sk_e1, sk_x, sk_e2  ephemeral private keys: of enc1, of X, of enc2\n"
    "#   stepN_header, stepN_body   the packet; step0_aad: additional data of ct1; pt1..pt3 with their signatures\n"
    "#   k2 n2, k3 n3        key and nonce of steps 2 and 3; ack_*, close_* likewise with status, ts and body\n"
    "#   c2s_G_*, s2c_G_*    secret, key, iv, kid of generation G (4 bytes of kid)\n"
    "#   record_N            a record; _way (00 from C), _generation, _seq (u64), _topic of the PUBLISH, _payload,\n"
    "#                       _sealed (plaintext: content, TLVs, payload), _aad\n"
    "#   notice, notice_kid, notice_nonce, notice_ts; registration_*: the four payloads, the challenge, the client id\n"
    "#   psk, psk_id, cookie, padding (its length)   only in *_psk.txt\n"
    "# ECDSA signatures (p256) are verified, not reproduced. Written by tests/vectors/gen_smqtt_vectors.c.\n";

static void session_write(const char *folder, const struct smq_suite *suite, enum kind kind)
{
    static const char *const kinds[] = {"anon", "mutual", "psk"};
    static struct run r;
    char name[64];
    memset(&r, 0, sizeof(r));
    memset(chain, (int)(suite->id * 16 + kind), sizeof(chain));
    r.suite = suite;
    r.kind = kind;
    (void)snprintf(name, sizeof(name), "%s_%s", suite->name, kinds[kind]);
    FILE *f = open_file(folder, name);
    fputs(NAMES, f);
    line_uint(f, "suite", suite->id, 1);
    r.server = identity(f, suite, "server", "sensors-server");
    r.client = kind == KIND_MUTUAL ? identity(f, suite, "client", "thermometer 7 \xC2\xB0") : NULL;
    step0(f, &r);
    step0_consumed(f, &r);
    step2(f, &r);
    step3(f, &r);
    MUST(smq_channel_new(NULL, SMQ_SIDE_CLIENT, suite, &r.reply, r.cid, &r.master, &r.client_session));
    MUST(smq_channel_new(NULL, SMQ_SIDE_SERVER, suite, &r.reply, r.cid, &r.master, &r.server_session));
    ending(f, &r, "ack", &r.server_session->ack, SMQ_HDR_ACK, SMQTT_STATUS_OK, WALL + 75);
    ending(f, &r, "close", &r.server_session->close, SMQ_HDR_CLOSE, SMQTT_STATUS_CLOSED, WALL + 99999);
    uint8_t secret[SMQ_HASH_LEN];
    smq_span th3 = smq_span_of(r.master.th3, SMQ_HASH_LEN);
    MUST(smq_schedule_expand(r.master.ms, SMQ_LABEL_EXPORTER, th3, secret, sizeof(secret)));
    line_bytes(f, "exporter", secret, sizeof(secret));
    MUST(smq_schedule_expand(r.master.ms, SMQ_LABEL_RESUME, th3, secret, sizeof(secret)));
    line_bytes(f, "resumption", secret, sizeof(secret));
    records(f, &r);
    notice_and_registration(f, &r);
    must_be(fclose(f) == 0, "a file cannot be written");
    smq_channel_free(r.client_session);
    smq_channel_free(r.server_session);
    smqtt_identity_free(r.server);
    smqtt_identity_free(r.client);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: gen_smqtt_vectors FOLDER\n");
        return 2;
    }
    for (size_t i = 0; smq_suite_at(i) != NULL; i++) {
        session_write(argv[1], smq_suite_at(i), KIND_ANON);
        session_write(argv[1], smq_suite_at(i), KIND_MUTUAL);
        session_write(argv[1], smq_suite_at(i), KIND_PSK);
    }
    FILE *f = open_file(argv[1], "refused");
    gen_refused_write(f);
    must_be(fclose(f) == 0, "a file cannot be written");
    f = open_file(argv[1], "keys");
    gen_keys_write(f);
    must_be(fclose(f) == 0, "a file cannot be written");
    return 0;
}
