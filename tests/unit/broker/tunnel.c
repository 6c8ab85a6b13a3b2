/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel.h"

#include "base/hex.h"
#include "broker/internal.h"

struct bed bed;
struct client *spy;
uint8_t skid[SMQTT_SKID_LEN] = {1, 2, 3, 4, 5, 6, 7, 8};

int tunnel_setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

void start(void)
{
    bed_start(&bed);
    spy = client_connect(&bed, SMQTT_V5, "spy", true);
}

void stop(void)
{
    client_drain(spy);
    client_expect_alive(spy);
    bed_stop(&bed);
}

struct smq_worker_stats stats(void)
{
    struct smq_worker_stats s;
    bed_stats(&bed, &s);
    return s;
}

uint64_t n_listening(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < bed.count; i++) {
        n += bed.workers[i]->n_listening;
    }
    return n;
}

size_t n_relays(void)
{
    size_t n = 0;
    for (unsigned i = 0; i < bed.count; i++) {
        n += smq_map_count(&bed.workers[i]->relays);
    }
    return n;
}

/* How many of what the spy saw stand on this branch, and begin with DETECT. */
size_t spied(char branch)
{
    const struct smq_packet *pkt;
    size_t n = 0;
    while ((pkt = client_next(spy)) != NULL) {
        const struct smq_publish *p = &pkt->publish;
        n += p->topic.len > 25 && p->topic.data[24] == (uint8_t)branch && p->payload.data[0] < 0x10;
    }
    return n;
}

size_t body_write(uint8_t header, uint8_t cid, uint8_t filler, uint8_t body[BODY_LEN])
{
    uint8_t cids[SMQ_CID_LEN];
    memset(body, filler, BODY_LEN);
    memset(cids, cid, sizeof cids);
    struct smq_wr wr = smq_wr_of(body, BODY_LEN);
    smq_wr_u8(&wr, SMQ_DETECT_VER);
    if (header == 1 || header == 2 || header == 4 || header == 0x0C) {
        smq_wr_u8(&wr, 1);
    }
    if (header == 1) {
        smq_wr_u16(&wr, 0x0400);
    }
    smq_wr_bytes(&wr, cids, sizeof cids);
    if (header == 1 || header == 7 || header == 0x0F) {
        smq_wr_bytes(&wr, skid, SMQTT_SKID_LEN);
    }
    return BODY_LEN;
}

void native(struct client *c, uint8_t header, uint8_t cid, uint8_t filler)
{
    uint8_t body[BODY_LEN];
    struct smq_packet pkt = {.type = SMQ_DETECT};
    pkt.detect.header = header;
    pkt.detect.body = smq_span_of(body, body_write(header, cid, filler, body));
    client_send(c, &pkt);
}

const char *topic_of(char branch, uint8_t cid)
{
    static char topic[64];
    uint8_t cids[SMQ_CID_LEN];
    char hex[2][20];
    memset(cids, cid, sizeof cids);
    smq_hex_encode(hex[0], smq_span_of(skid, sizeof skid));
    smq_hex_encode(hex[1], smq_span_of(cids, sizeof cids));
    snprintf(topic, sizeof topic, "smqtt1/%s/%c/%s", hex[0], branch, hex[1]);
    return topic;
}

/* On the topic of cid `on`, about cid `cid`; every way is acknowledged. */
void tunnel_with(struct client *c, char branch, uint8_t on, uint8_t header, uint8_t cid, uint8_t filler, bool retain)
{
    uint8_t payload[1 + BODY_LEN] = {header};
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.topic = smq_span_str(topic_of(branch, on));
    pkt.publish.payload = smq_span_of(payload, 1 + body_write(header, cid, filler, payload + 1));
    pkt.publish.qos = 1;
    pkt.publish.id = 5;
    pkt.publish.retain = retain;
    smq_props_clear(&pkt.publish.props);
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_PUBACK)->ack.reason, 0);
}

void tunnel(struct client *c, char branch, uint8_t header, uint8_t cid)
{
    tunnel_with(c, branch, cid, header, cid, 'x', false);
}

void expect_native(struct client *c, uint8_t header)
{
    assert_int_equal(client_expect(c, SMQ_DETECT)->detect.header, header);
}

void expect_tunnel(struct client *c, char branch, uint8_t header, uint8_t cid)
{
    const struct smq_publish p = client_expect(c, SMQ_PUBLISH)->publish;
    assert_true(span_is(p.topic, topic_of(branch, cid)));
    assert_int_equal(p.payload.data[0], header);
    assert_false(p.retain);
    assert_int_equal(p.qos, 1);
    client_send_ack(c, SMQ_PUBACK, p.id, 0);
}

void expect_retry(struct client *c, uint8_t status)
{
    const struct smq_detect_pkt *p = &client_expect(c, SMQ_DETECT)->detect;
    assert_int_equal(p->header, 2);
    assert_int_equal(p->body.data[2 + SMQ_CID_LEN], status);
}
