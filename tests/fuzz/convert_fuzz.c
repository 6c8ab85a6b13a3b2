/* SPDX-License-Identifier: Apache-2.0 */
/* A whole worker with three clients: one that is native (0), one in the tunnel that hears all of S-MQTT's topics (1),
 * and one that is anybody (2). The input is a list of: who, what, cid, length, bytes. What: 0 the bytes as they are;
 * 1 a DETECT of these bytes behind ver and cid; 2 the same as PUBLISH on the topic of a client, 3 on that of a server;
 * 4 time passes. Whatever they say, the worker stays whole, and the one who said nothing wrong, client 3, is served. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "broker/config.h"
#include "broker/convert.h"
#include "broker/worker.h"

enum { CLIENTS = 4, HEALTHY = 3, PACKET = 600, TEXT = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct smqtt_now now;
static struct smq_worker *w;
static struct smq_conn *conns[CLIENTS];

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 7, len);
    return true;
}

/* What a shell does: everything leaves at once. */
static void turn(void)
{
    struct smq_conn *conn;
    struct smqtt_span spans[16];
    while ((conn = smq_worker_next_dirty(w)) != NULL) {
        size_t n, sum = 0;
        unsigned owner;
        while ((n = smq_conn_output(conn, spans, SMQ_ARRAY_LEN(spans))) != 0) {
            sum = 0;
            for (size_t i = 0; i < n; i++) {
                sum += spans[i].len;
            }
            smq_conn_sent(w, conn, sum, now);
        }
        if (smq_conn_fate(conn, &owner) != SMQ_FATE_KEEP) {
            for (size_t i = 0; i < CLIENTS; i++) {
                conns[i] = conns[i] == conn ? NULL : conns[i];
            }
            smq_conn_release(w, conn, now);
        }
    }
}

static void feed(size_t who, smq_span bytes)
{
    size_t used, need;
    if (conns[who] != NULL) {
        smq_worker_feed(w, conns[who], bytes, &used, &need, now);
        turn();
    }
}

static void send(size_t who, const struct smq_packet *pkt)
{
    static uint8_t out[2 * PACKET];
    struct smq_codec codec = {.version = SMQTT_V311, .from = SMQ_FROM_CLIENT};
    struct smq_wr wr = smq_wr_of(out, sizeof out);
    if (smq_packet_write(&codec, pkt, &wr) == SMQTT_OK && smq_wr_ok(&wr)) {
        feed(who, smq_wr_span(&wr));
    }
}

static void begin(const struct smq_listener_config *listener, size_t who)
{
    static const char *const names[CLIENTS] = {"native", "tunnel", "anybody", "healthy"};
    must(smq_worker_open(w, listener, smq_span_str(names[who]), NULL, now, &conns[who]) == SMQTT_OK);
    struct smq_packet pkt = {.type = SMQ_CONNECT};
    pkt.connect =
        (struct smq_connect){.version = SMQTT_V311, .clean_start = true, .client_id = smq_span_str(names[who])};
    send(who, &pkt);
    struct smq_filter filters[] = {{smq_span_str("smqtt1/#"), 1}};
    pkt = (struct smq_packet){.type = SMQ_SUBSCRIBE};
    pkt.subscribe.id = 1;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = filters;
    if (who == 1) {
        send(who, &pkt);
    }
}

static void say(size_t who, unsigned what, uint8_t cid, smq_span bytes)
{
    static const uint8_t skid[SMQTT_SKID_LEN] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t body[PACKET] = {0};
    uint8_t header = bytes.len != 0 ? bytes.data[0] : 0;
    struct smq_wr wr = smq_wr_of(body, sizeof body);
    smq_wr_u8(&wr, header);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    if (header == SMQ_DETECT_STEP0 || header == SMQ_DETECT_RETRY || (header & 7) == SMQ_DETECT_STEP2_MOJIBAKE) {
        smq_wr_u8(&wr, 1);
    }
    if (header == SMQ_DETECT_STEP0) {
        smq_wr_u16(&wr, 0x0400);
    }
    for (size_t i = 0; i < SMQ_CID_LEN; i++) {
        smq_wr_u8(&wr, cid);
    }
    if ((header & 1) != 0) {
        smq_wr_bytes(&wr, skid, sizeof skid);
    }
    smq_wr_put(&wr, smq_span_from(bytes, bytes.len != 0 ? 1 : 0));
    struct smq_packet pkt = {.type = SMQ_DETECT};
    if (what == 1) {
        pkt.detect.header = header;
        pkt.detect.body = smq_span_from(smq_wr_span(&wr), 1);
        send(who, &pkt);
        return;
    }
    char topic[TEXT], hex[20];
    uint8_t cids[SMQ_CID_LEN];
    memset(cids, cid, sizeof cids);
    smq_hex_encode(hex, smq_span_of(cids, sizeof cids));
    (void)snprintf(topic, sizeof topic, "smqtt1/0102030405060708/%c/%s", what == 2 ? 'c' : 's', hex);
    pkt.type = SMQ_PUBLISH;
    pkt.publish = (struct smq_publish){.topic = smq_span_str(topic), .payload = smq_wr_span(&wr)};
    send(who, &pkt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct smq_broker_config config;
    const struct smq_listener_config listener = {.allow_anonymous = true};
    const struct smq_worker_env env = {.rng = {.fill = fill}, .count = 1};
    smq_broker_config_default(&config);
    config.detect_burst = 1000;
    now = (struct smqtt_now){.wall = 1000000, .mono = 1000};
    must(smq_worker_new(&env, &config, now, &w) == SMQTT_OK);
    for (size_t i = 0; i < CLIENTS; i++) {
        begin(&listener, i);
    }
    struct smq_rd rd = smq_rd_of(smq_span_of(data, len));
    while (smq_rd_ok(&rd) && smq_rd_left(&rd) >= 4) {
        uint8_t who = smq_rd_u8(&rd) % HEALTHY, what = smq_rd_u8(&rd) % 5, cid = smq_rd_u8(&rd);
        size_t n = smq_rd_u8(&rd);
        smq_span bytes = smq_rd_bytes(&rd, n < smq_rd_left(&rd) ? n : smq_rd_left(&rd));
        if (what == 4) {
            now.mono += (smqtt_ms)cid * 200;
            smq_worker_tick(w, now);
            turn();
        } else if (what == 0) {
            feed(who, bytes);
        } else {
            say(who, what, cid, bytes);
        }
    }
    must(conns[HEALTHY] != NULL);
    feed(HEALTHY, smq_span_of("\xC0\x00", 2));
    must(conns[HEALTHY] != NULL);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (conns[i] != NULL) {
            smq_worker_lost(w, conns[i], SMQTT_OK, now);
            turn();
        }
    }
    smq_worker_free(w);
    return 0;
}
