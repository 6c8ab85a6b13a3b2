/* SPDX-License-Identifier: Apache-2.0 */
/* Two clients, one with a real sealer and one with a real opener, and between them a broker that does nothing but hand
 * on: what was to be sealed arrives and is confirmed, or nothing of it was published. */
#include "../test.h"

#include <stdio.h>

#include <smqtt/smqtt.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/span.h"
#include "codec/packet.h"

enum { CLIENT, SERVER, ENDS, BUF = 1 << 18, LOG_MAX = 64 };

struct end {
    struct smqtt_client *c;
    uint8_t bytes[BUF]; /* what it sent and the broker has not read */
    size_t len;
    bool first;
    uint16_t next_id;
};

struct world {
    struct end end[ENDS];
    struct smqtt_now now;
    struct smqtt_identity *server;
    struct smqtt_identity *next; /* the successor that the server has, too; NULL: none */
    bool native, forced, bytewise, hold_fails, server_away;
    size_t published; /* by the client, outside its own topics */
    struct smqtt_client_event log[ENDS][LOG_MAX];
    size_t n_log[ENDS];
    char payload[ENDS][LOG_MAX][64];
};

static struct world w;
static const struct smq_codec codec = {
    .version = SMQTT_V5, .from = SMQ_FROM_CLIENT, .text = SMQ_TEXT_STANDARD, .max_detect = 8192};

static void give(int end, struct smq_packet pkt)
{
    static uint8_t room[BUF];
    struct smq_wr wr = smq_wr_of(room, sizeof(room));
    assert_int_equal(smq_packet_write(&codec, &pkt, &wr), SMQTT_OK);
    for (size_t at = 0, step = w.bytewise ? 1 : wr.len; at < wr.len; at += step) {
        smqtt_client_feed(w.end[end].c, smq_span_of(room + at, step), w.now);
    }
}

static struct smq_packet empty(enum smq_type type)
{
    struct smq_packet pkt;
    memset(&pkt, 0, sizeof(pkt));
    pkt.type = type;
    return pkt;
}

static void on_registration(int end, const struct smq_publish *publish)
{
    uint8_t answer[64] = {0xD1, 0x02};
    struct smq_packet pkt = empty(SMQ_PUBLISH);
    if (smq_span_equal(publish->topic, smq_span_str("$SMQTT/register"))) {
        memcpy(answer + 2, smqtt_identity_skid(w.server), SMQTT_SKID_LEN);
        memset(answer + 10, 0x5A, 32);
        pkt.publish.topic = smq_span_str("$SMQTT/challenge");
        pkt.publish.payload = smq_span_of(answer, 42);
    } else {
        answer[1] = 0x04;
        memcpy(answer + 2, publish->payload.data + 2, SMQTT_SKID_LEN);
        pkt.publish.topic = smq_span_str("$SMQTT/registered");
        pkt.publish.payload = smq_span_of(answer, 11);
    }
    give(end, pkt);
}

static void on_publish(int end, const struct smq_publish *publish)
{
    if (publish->qos == 1) {
        struct smq_packet ack = empty(SMQ_PUBACK);
        ack.ack.id = publish->id;
        give(end, ack);
    }
    if (smq_span_starts(publish->topic, smq_span_str("$SMQTT/"))) {
        on_registration(end, publish);
        return;
    }
    w.published += end == CLIENT && !smq_span_starts(publish->topic, smq_span_str("smqtt1/")) ? 1 : 0;
    int other = end == CLIENT ? SERVER : CLIENT;
    if (other == SERVER && w.server_away) {
        return;
    }
    struct smq_packet pkt = empty(SMQ_PUBLISH);
    pkt.publish.topic = publish->topic;
    pkt.publish.payload = publish->payload;
    pkt.publish.qos = publish->qos;
    pkt.publish.id = ++w.end[other].next_id;
    give(other, pkt);
}

static void broker_reads(int end, const struct smq_packet *pkt)
{
    struct smq_packet answer;
    static const char announced[] = "\x26\x00\x0Csmqtt-detect\x00\x01"
                                    "1";
    switch ((int)pkt->type) {
    case SMQ_CONNECT:
        answer = empty(SMQ_CONNACK);
        answer.connack.props.raw = smq_span_of(announced, w.native ? sizeof(announced) - 1 : 0);
        give(end, answer);
        break;
    case SMQ_SUBSCRIBE:
    case SMQ_UNSUBSCRIBE:
        answer = empty(pkt->type == SMQ_SUBSCRIBE ? SMQ_SUBACK : SMQ_UNSUBACK);
        answer.suback.id = pkt->subscribe.id;
        answer.suback.codes = smq_span_of("\0", 1);
        give(end, answer);
        break;
    case SMQ_PUBLISH:
        on_publish(end, &pkt->publish);
        break;
    case SMQ_DETECT:
        answer = *pkt;
        answer.detect.header = pkt->detect.header == 0x01 ? 0x03 : pkt->detect.header;
        if (end != CLIENT || !w.server_away) {
            give(end == CLIENT ? SERVER : CLIENT, answer);
        }
        break;
    default:
        break;
    }
}

static bool broker_turn(int end)
{
    struct end *e = &w.end[end];
    struct smqtt_span out = smqtt_client_output(e->c);
    assert_true(out.len <= BUF - e->len);
    if (out.len != 0) {
        memcpy(e->bytes + e->len, out.data, out.len);
    }
    e->len += out.len;
    smqtt_client_sent(e->c, out.len, w.now);
    struct smq_frame frame;
    size_t need = 0;
    if (e->len == 0 || smq_frame_read(&codec, smq_span_of(e->bytes, e->len), e->first, &frame, &need) != SMQTT_OK) {
        return false;
    }
    e->first = false;
    struct smq_packet pkt;
    assert_int_equal(smq_packet_read(&codec, &frame, &pkt), SMQTT_OK);
    broker_reads(end, &pkt);
    e->len -= frame.size;
    memmove(e->bytes, e->bytes + frame.size, e->len);
    return true;
}

static bool pull(int end)
{
    struct smqtt_client_event event;
    if (!smqtt_client_next(w.end[end].c, &event)) {
        return false;
    }
    size_t at = w.n_log[end]++;
    assert_true(at < LOG_MAX);
    if (event.payload.len != 0) {
        memcpy(w.payload[end][at], event.payload.data, event.payload.len < 63 ? event.payload.len : 63);
    }
    w.log[end][at] = event;
    return true;
}

/** Until nobody has anything to do any more. */
static void settle(void)
{
    for (bool busy = true; busy;) {
        busy = false;
        for (int end = 0; end < ENDS; end++) {
            busy = pull(end) || busy;
            busy = broker_turn(end) || busy;
        }
    }
}

static void wait_ms(smqtt_ms ms)
{
    w.now.mono += ms;
    w.now.wall += ms;
    for (int end = 0; end < ENDS; end++) {
        smqtt_client_tick(w.end[end].c, w.now);
    }
    settle();
}

static bool hold(void *ctx, struct smqtt_span utf8, struct smqtt_span *held, struct smqtt_span *back)
{
    (void)ctx;
    *held = utf8;
    *back = utf8;
    return !w.hold_fails;
}

static void start_end(int end)
{
    struct smqtt_client_config config = {.struct_size = sizeof(config)};
    config.client_id = smq_span_str(end == CLIENT ? "client" : "server");
    config.clean_start = true;
    assert_int_equal(smqtt_client_new(&config, &w.end[end].c), SMQTT_OK);
    w.end[end].first = true;
    w.end[end].len = 0;
    if (end == CLIENT) {
        struct smqtt_sealer_config seal = {.struct_size = sizeof(seal)};
        seal.rng = smqtt_system_rng();
        seal.server = w.server;
        seal.client_id = config.client_id;
        struct smqtt_sealer *sealer = NULL;
        assert_int_equal(smqtt_sealer_new(&seal, w.now, &sealer), SMQTT_OK);
        assert_int_equal(smqtt_client_attach_sealer(w.end[end].c, sealer), SMQTT_OK);
    } else {
        struct smqtt_opener_config open = {.struct_size = sizeof(open)};
        open.rng = smqtt_system_rng();
        open.identity = w.server;
        open.pipeline.hold = hold;
        struct smqtt_opener *opener = NULL;
        assert_int_equal(smqtt_opener_new(&open, w.now, &opener), SMQTT_OK);
        assert_int_equal(smqtt_client_attach_opener(w.end[end].c, opener), SMQTT_OK);
        open.identity = w.next;
        open.hidden = true;
        if (w.next != NULL) {
            assert_int_equal(smqtt_opener_new(&open, w.now, &opener), SMQTT_OK);
            assert_int_equal(smqtt_client_attach_opener(w.end[end].c, opener), SMQTT_OK);
        }
    }
    smqtt_client_set_path(w.end[end].c, w.forced ? SMQTT_PATH_NATIVE : SMQTT_PATH_AUTO);
    assert_int_equal(smqtt_client_connect(w.end[end].c, w.now), SMQTT_OK);
}

static void start_ends(void)
{
    start_end(SERVER);
    start_end(CLIENT);
    settle();
}

static void start(const char *suite, bool native, bool bytewise)
{
    memset(&w, 0, sizeof(w));
    w.now = (struct smqtt_now){1700000000000, 1000};
    w.native = native;
    w.bytewise = bytewise;
    struct smqtt_rng rng = smqtt_system_rng();
    assert_int_equal(smqtt_identity_new(NULL, &rng, suite, "server", 0, 1, 0, &w.server), SMQTT_OK);
    start_ends();
}

static void end(void)
{
    smqtt_client_free(w.end[CLIENT].c);
    smqtt_client_free(w.end[SERVER].c);
    smqtt_identity_free(w.server);
    smqtt_identity_free(w.next);
}

static uint64_t seal(const char *text)
{
    struct smqtt_publish_options options = {.qos = 1, .text = true, .receipt = true};
    uint64_t token = 0;
    assert_int_equal(
        smqtt_client_publish_sealed(w.end[CLIENT].c, smq_span_str("s/1"), smq_span_str(text), &options, &token, w.now),
        SMQTT_OK);
    settle();
    return token;
}

/** Events of S-MQTT of this kind that the client saw about this message. */
static size_t count(enum smqtt_secure_event_type type, uint64_t token)
{
    size_t n = 0;
    for (size_t i = 0; i < w.n_log[CLIENT]; i++) {
        const struct smqtt_client_event *ev = &w.log[CLIENT][i];
        n += ev->type == SMQTT_CLIENT_SECURE && ev->secure.type == type && ev->token == token ? 1 : 0;
    }
    return n;
}

/** How often the server delivered this text, each time as an anonymous client's. */
static size_t delivered(const char *text)
{
    size_t n = 0;
    for (size_t i = 0; i < w.n_log[SERVER]; i++) {
        const struct smqtt_client_event *ev = &w.log[SERVER][i];
        if (ev->type == SMQTT_CLIENT_MESSAGE && strcmp(w.payload[SERVER][i], text) == 0) {
            assert_int_equal(ev->secure.protection, SMQTT_PEER_ANON);
            n++;
        }
    }
    return n;
}

static void delivered_and_confirmed_test(void **state)
{
    (void)state;
    static const char *const suites[] = {"x25519", "p256"};
    for (size_t i = 0; i < 4; i++) {
        start(suites[i % 2], true, i / 2 == 1);
        uint64_t one = seal("あいうえお");
        uint64_t two = seal("second");
        wait_ms(1000); /* receipts may be gathered */
        assert_int_equal(delivered("あいうえお"), 1);
        assert_int_equal(delivered("second"), 1);
        assert_int_equal(count(SMQTT_EV_RECEIPT, one), 1);
        assert_int_equal(count(SMQTT_EV_RECEIPT, two), 1);
        assert_int_equal(w.published, 2);
        assert_int_equal(smqtt_client_unfinished(w.end[CLIENT].c), 0);
        end();
    }
}

/** protocol.md 9.6: the message after a succession goes with the new keys, while the old ones are still served. */
static void followed_test(void **state)
{
    (void)state;
    static const char *const suites[] = {"x25519", "p256"};
    for (size_t i = 0; i < 2; i++) {
        start("x25519", false, false);
        struct smqtt_rng rng = smqtt_system_rng();
        assert_int_equal(smqtt_identity_succeed(NULL, &rng, w.server, suites[i], w.now.wall + 60000, 0, 0, &w.next),
                         SMQTT_OK);
        smqtt_client_free(w.end[CLIENT].c);
        smqtt_client_free(w.end[SERVER].c);
        start_ends();
        uint64_t one = seal("one");
        wait_ms(1000);
        assert_int_equal(count(SMQTT_EV_RECEIPT, one), 1);
        char topic[64];
        char skid[17];
        smq_hex_encode(skid, smq_span_of(smqtt_identity_skid(w.server), SMQTT_SKID_LEN));
        (void)snprintf(topic, sizeof(topic), "smqtt1/%s/d", skid);
        struct smq_packet pkt = empty(SMQ_PUBLISH);
        pkt.publish.topic = smq_span_str(topic);
        pkt.publish.payload = smqtt_identity_descriptor(w.next);
        pkt.publish.retain = true;
        uint64_t two = seal("two"); /* its receipt may still be on its way */
        give(CLIENT, pkt);
        settle();
        uint64_t three = seal("three");
        uint64_t four = seal("four");
        wait_ms(1000);
        assert_int_equal(count(SMQTT_EV_DESCRIPTOR, 0), 1);
        assert_int_equal(count(SMQTT_EV_OPEN, 0), 2);
        wait_ms(120000); /* the grace time ends */
        uint64_t five = seal("five");
        wait_ms(1000);
        const uint64_t tokens[] = {two, three, four, five};
        static const char *const texts[] = {"two", "three", "four", "five"};
        for (size_t k = 0; k < 4; k++) {
            assert_int_equal(count(SMQTT_EV_RECEIPT, tokens[k]), 1);
            assert_int_equal(delivered(texts[k]), 1);
        }
        assert_int_equal(count(SMQTT_EV_CLOSED, 0), 0);
        assert_int_equal(smqtt_client_unfinished(w.end[CLIENT].c), 0);
        end();
    }
}

static void not_native_test(void **state)
{
    (void)state;
    start("x25519", false, false);
    smqtt_client_free(w.end[CLIENT].c);
    smqtt_client_free(w.end[SERVER].c);
    w.forced = true;
    start_ends();
    assert_int_equal(count(SMQTT_EV_CLOSED, 0), 1);
    seal("secret");
    wait_ms(60000);
    assert_int_equal(w.published, 0);
    assert_int_equal(delivered("secret"), 0);
    end();
}

/** protocol.md 9.6: a broker that knows nothing of DETECT carries it as ordinary messages. */
static void tunnel_test(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        start(i == 0 ? "x25519" : "p256", false, false);
        uint64_t one = seal("one");
        assert_int_equal(count(SMQTT_EV_RECEIPT, one), 1);
        assert_int_equal(delivered("one"), 1);
        assert_int_equal(count(SMQTT_EV_CLOSED, 0), 0);
        uint64_t two = seal("two");
        assert_int_equal(count(SMQTT_EV_RECEIPT, two), 1);
        assert_int_equal(smqtt_client_unfinished(w.end[CLIENT].c), 0);
        end();
    }
}

static void mojibake_test(void **state)
{
    (void)state;
    start("x25519", true, false);
    w.hold_fails = true;
    uint64_t bad = seal("あ");
    assert_int_equal(count(SMQTT_EV_CLOSED, bad), 1);
    assert_int_equal(w.published, 0);
    wait_ms(120000);
    assert_int_equal(w.published, 0); /* it is not tried again */
    w.hold_fails = false;
    uint64_t good = seal("a");
    wait_ms(120000);
    assert_int_equal(delivered("a"), 1);
    assert_int_equal(count(SMQTT_EV_RECEIPT, good), 1);
    assert_int_equal(delivered("あ"), 0);
    end();
}

/** The server comes back without its state: what has no receipt is sealed anew, for the same token. */
static void server_forgets_test(void **state)
{
    (void)state;
    start("x25519", true, false);
    seal("before");
    wait_ms(1000);
    w.server_away = true;
    uint64_t token = seal("lost on the way");
    assert_int_equal(delivered("lost on the way"), 0);
    smqtt_client_free(w.end[SERVER].c);
    start_end(SERVER);
    w.server_away = false;
    settle();
    uint64_t after = seal("after");
    for (int i = 0; i < 30; i++) {
        wait_ms(1000);
    }
    assert_int_equal(count(SMQTT_EV_LOST, 0), 1);
    assert_int_equal(delivered("lost on the way"), 1);
    assert_int_equal(delivered("after"), 1);
    assert_int_equal(count(SMQTT_EV_RECEIPT, token), 1);
    assert_int_equal(count(SMQTT_EV_RECEIPT, after), 1);
    end();
}

static void nobody_answers_test(void **state)
{
    (void)state;
    start("x25519", true, false);
    w.server_away = true;
    uint64_t token = seal("x");
    for (int i = 0; i < 12; i++) {
        wait_ms(1000);
    }
    assert_int_equal(count(SMQTT_EV_CLOSED, token), 1);
    assert_int_equal(w.published, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivered_and_confirmed_test),
        cmocka_unit_test(followed_test),
        cmocka_unit_test(not_native_test),
        cmocka_unit_test(tunnel_test),
        cmocka_unit_test(mojibake_test),
        cmocka_unit_test(server_forgets_test),
        cmocka_unit_test(nobody_answers_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
