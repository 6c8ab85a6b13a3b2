/* SPDX-License-Identifier: Apache-2.0 */
/* Many lives of a broker, each with another number of workers, and clients that live through all of them: they come and
 * go, send again what they must, and know what they had. Nothing is lost, QoS 2 is exactly once, order is kept. */
#include <stdlib.h>

#include "lives.h"

enum { PUBLISHERS = 3, READERS = 3, MEMBERS = 2, PEERS = PUBLISHERS + READERS + MEMBERS };
enum { SENT_MAX = 400, WINDOW = 6, LIVES = 8, STEPS = 60, SEEDS = 40 };

struct peer {
    struct client *c; /* NULL: away */
    char name[16];
    bool up;                 /* CONNACK came */
    unsigned sent;           /* publisher: messages so far, their numbers are packet identifiers less one, */
    unsigned done;           /* those before this one are acknowledged to the end */
    bool received[SENT_MAX]; /* PUBREC came */
    bool complete[SENT_MAX];
    uint8_t times[PUBLISHERS][SENT_MAX]; /* reader: how often it came */
    unsigned next[PUBLISHERS][3];        /* by QoS: the first that may come as new */
    bool open[UINT16_MAX + 1];           /* identifiers of QoS 2 between PUBREC and PUBREL */
};

static struct peer peers[PEERS];

static bool is_publisher(const struct peer *p)
{
    return p < peers + PUBLISHERS;
}

static bool is_member(const struct peer *p)
{
    return p >= peers + PUBLISHERS + READERS;
}

static uint8_t qos_of(unsigned n)
{
    return (uint8_t)(1 + n % 2);
}

/* ------------------------------------------------------------ publishers */

static void send_message(struct peer *p, unsigned n)
{
    char text[32];
    snprintf(text, sizeof text, "%u %u", (unsigned)(p - peers), n);
    client_send_publish(p->c, "t", text, qos_of(n), false, (uint16_t)(n + 1));
}

static void publish(struct peer *p)
{
    if (p->up && p->sent < SENT_MAX && p->sent - p->done < WINDOW) {
        send_message(p, p->sent++);
    }
}

/* [MQTT-4.4.0-1] */
static void send_again(struct peer *p)
{
    for (unsigned n = p->done; n < p->sent && p->c->conn != NULL; n++) {
        if (p->received[n] && !p->complete[n]) {
            client_send_ack(p->c, SMQ_PUBREL, (uint16_t)(n + 1), 0);
        } else if (!p->complete[n]) {
            send_message(p, n);
        }
    }
}

static void hear_ack(struct peer *p, const struct smq_packet *pkt)
{
    unsigned n = pkt->ack.id - 1u;
    enum smq_type type = pkt->type;
    assert_true(n < p->sent && (pkt->ack.reason < 0x80 || type == SMQ_PUBCOMP)); /* it may be released already */
    if (type == SMQ_PUBREC) {
        p->received[n] = true;
        client_send_ack(p->c, SMQ_PUBREL, (uint16_t)(n + 1), 0);
    } else {
        assert_int_equal(type, qos_of(n) == 1 ? SMQ_PUBACK : SMQ_PUBCOMP);
        p->complete[n] = true;
    }
    while (p->done < p->sent && p->complete[p->done]) {
        p->done++;
    }
}

/* ------------------------------------------------------------ readers */

static void note_message(struct peer *p, const struct smq_publish *m)
{
    char text[32] = {0};
    unsigned pub, n;
    memcpy(text, m->payload.data, m->payload.len);
    assert_int_equal(sscanf(text, "%u %u", &pub, &n), 2);
    assert_int_equal(m->qos, qos_of(n));
    p->times[pub][n]++;
    assert_true(m->qos == 1 || p->times[pub][n] == 1); /* [MQTT-4.3.3-1] */
    if (p->times[pub][n] == 1) {
        assert_true(is_member(p) || p->next[pub][m->qos] <= n); /* [MQTT-4.6.0-5] */
        p->next[pub][m->qos] = n + 1;
    }
}

static void hear_publish(struct peer *p, const struct smq_publish *m)
{
    uint16_t id = m->id;
    uint8_t qos = m->qos;
    if (qos == 1 || !p->open[id]) {
        note_message(p, m);
    }
    p->open[id] = p->open[id] || qos == 2;
    client_send_ack(p->c, qos == 1 ? SMQ_PUBACK : SMQ_PUBREC, id, 0);
}

/* ------------------------------------------------------------ all of them */

static void come(struct peer *p)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, p->name, false);
    smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, UINT32_MAX);
    p->c = client_open(&bed, SMQTT_V5);
    p->up = false;
    client_send(p->c, &pkt);
}

static void go(struct peer *p)
{
    client_break(p->c);
    client_drain(p->c);
    p->c = NULL;
    p->up = false;
}

/* At most `most` of the packets that came. */
static void hear(struct peer *p, size_t most)
{
    const struct smq_packet *pkt;
    while (p->c != NULL && most-- != 0 && (pkt = client_next(p->c)) != NULL) {
        uint16_t id = pkt->type == SMQ_PUBREL ? pkt->ack.id : 0;
        if (pkt->type == SMQ_CONNACK) {
            assert_true(pkt->connack.reason == 0 && pkt->connack.session_present);
            p->up = true;
            if (is_publisher(p)) {
                send_again(p);
            }
        } else if (pkt->type == SMQ_PUBLISH) {
            hear_publish(p, &pkt->publish);
        } else if (pkt->type == SMQ_PUBREL) {
            p->open[id] = false;
            client_send_ack(p->c, SMQ_PUBCOMP, id, 0);
        } else {
            hear_ack(p, pkt);
        }
    }
}

static void begin(void)
{
    first(1 + (unsigned)chance(4));
    memset(peers, 0, sizeof peers);
    for (struct peer *p = peers; p < peers + PEERS; p++) {
        snprintf(p->name, sizeof p->name, "peer%u", (unsigned)(p - peers));
        struct smq_packet pkt = packet_connect(SMQTT_V5, p->name, false);
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, UINT32_MAX);
        struct client *c = client_connect_pkt(&bed, &pkt);
        if (!is_publisher(p)) {
            client_subscribe(c, is_member(p) ? "$share/g/t" : "t", 2);
        }
        client_break(c);
    }
}

static void live(void)
{
    disk.by_hand = true;
    for (unsigned step = 0; step < STEPS; step++) {
        struct peer *p = &peers[chance(PEERS)];
        if (p->c == NULL) {
            come(p);
        } else if (chance(12) == 0) {
            go(p);
        }
        publish(&peers[chance(PUBLISHERS)]);
        publish(&peers[chance(PUBLISHERS)]);
        bed_commit(&bed, chance(4));
        hear(&peers[chance(PEERS)], 1 + chance(8));
        hear(&peers[chance(PEERS)], 1 + chance(8));
    }
}

static void killed(void)
{
    kill_bed();
    for (struct peer *p = peers; p < peers + PEERS; p++) {
        p->c = NULL;
        p->up = false;
    }
    now.wall += 5;
    now.mono = 10 + chance(100);
    hash_key = (uint8_t)chance(3);
    revive(1 + (unsigned)chance(4));
    assert_int_equal(counts.dropped, 0);
}

/* All come back, and everything comes to its end. */
static void settle(void)
{
    bed_commit(&bed, SIZE_MAX);
    disk.by_hand = false;
    bed_turn(&bed);
    for (struct peer *p = peers; p < peers + PEERS; p++) {
        if (p->c == NULL) {
            come(p);
        }
    }
    for (unsigned round = 0; round < 100; round++) {
        for (struct peer *p = peers; p < peers + PEERS; p++) {
            hear(p, SIZE_MAX);
        }
    }
}

static void check(void)
{
    for (unsigned pub = 0; pub < PUBLISHERS; pub++) {
        assert_int_equal(peers[pub].done, peers[pub].sent);
        for (unsigned n = 0; n < peers[pub].sent; n++) {
            unsigned by_members = 0;
            for (const struct peer *p = peers + PUBLISHERS; p < peers + PEERS; p++) {
                assert_true(is_member(p) || p->times[pub][n] != 0);
                by_members += is_member(p) ? p->times[pub][n] : 0;
            }
            assert_true(by_members == 1 || (by_members > 1 && qos_of(n) == 1));
        }
    }
    for (const struct peer *p = peers; p < peers + PEERS; p++) {
        uint64_t sid = disk_sid(&disk, p->name);
        assert_int_equal(disk_count(&disk, SMQ_TABLE_SESSION, sid, SMQ_ROW_QUEUE), 0);
        assert_int_equal(disk_count(&disk, SMQ_TABLE_SESSION, sid, SMQ_ROW_OUT), 0);
        assert_int_equal(disk_count(&disk, SMQ_TABLE_SESSION, sid, SMQ_ROW_IN), 0);
    }
    assert_int_equal(rows(SMQ_TABLE_BODY), 0);
}

static void clients_live_through_all_of_it(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        begin();
        for (unsigned n = 0; n < LIVES; n++) {
            killed();
            live();
        }
        killed();
        settle();
        check();
        over();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_live_through_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
