/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of shared subscriptions whose members live on several workers. */
#include <stdlib.h>

#include "harness.h"

#include "broker/internal.h"

static struct bed bed;

enum { SEEDS = 40, MEMBERS = 6, MESSAGES = 150 };

struct member {
    struct client *c;
    char id[12];
    uint16_t window;
    bool deaf; /* acknowledges nothing */
    bool in, once;
    unsigned n; /* messages that came */
    struct {
        uint16_t id;
        uint8_t qos;
    } owed[4]; /* those that it did not acknowledge first */
};

static struct member members[MEMBERS];
static unsigned times[MESSAGES]; /* how often each came */
static struct client *pub;

static uint64_t chance(size_t below)
{
    return test_random_below(&bed.rng, below);
}

static void steps(size_t n)
{
    while (n-- != 0) {
        bed_step(&bed);
    }
}

static void send_connect(struct member *m, bool persistent)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, m->id, !persistent);
    if (persistent) {
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_SESSION_EXPIRY, 3600);
    }
    if (m->window != 0) {
        smq_props_set_num(&pkt.connect.props, SMQ_PROP_RECEIVE_MAXIMUM, m->window);
    }
    m->c = client_open(&bed, SMQTT_V5);
    client_send(m->c, &pkt);
}

static void send_subscribe(struct client *c, enum smq_type type, uint8_t qos)
{
    struct smq_filter f = {smq_span_str("$share/g/t/+"), qos};
    struct smq_packet pkt = {.type = type};
    pkt.subscribe.id = 77;
    pkt.subscribe.n = 1;
    pkt.subscribe.filters = &f;
    smq_props_clear(&pkt.subscribe.props);
    client_send(c, &pkt);
}

static void begin(unsigned count, uint64_t seed, bool persistent, uint16_t window)
{
    bed_init(&bed);
    bed.count = count;
    bed.rng = seed * 104729 + count;
    bed_start(&bed);
    memset(members, 0, sizeof members);
    memset(times, 0, sizeof times);
    for (unsigned i = 0; i < MEMBERS; i++) {
        snprintf(members[i].id, sizeof members[i].id, "m%u", i);
        members[i].window = window;
        send_connect(&members[i], persistent);
        client_expect(members[i].c, SMQ_CONNACK);
        send_subscribe(members[i].c, SMQ_SUBSCRIBE, 2);
        assert_int_equal(client_expect(members[i].c, SMQ_SUBACK)->suback.codes.data[0], 2);
    }
    pub = client_connect(&bed, SMQTT_V5, "pub", true);
}

static void look(struct member *m)
{
    const struct smq_packet *pkt;
    while (m->c != NULL && (pkt = client_next(m->c)) != NULL) {
        if (pkt->type == SMQ_PUBREL && !m->deaf) {
            client_send_ack(m->c, SMQ_PUBCOMP, pkt->ack.id, 0);
        } else if (pkt->type == SMQ_PUBLISH) {
            char text[8] = {0};
            memcpy(text, pkt->publish.payload.data, pkt->publish.payload.len);
            times[strtoul(text, NULL, 10)]++;
            if (m->deaf && m->n < 4) {
                m->owed[m->n].id = pkt->publish.id;
                m->owed[m->n].qos = pkt->publish.qos;
            }
            m->n++;
            if (pkt->publish.qos != 0 && !m->deaf) {
                client_send_ack(m->c, pkt->publish.qos == 1 ? SMQ_PUBACK : SMQ_PUBREC, pkt->publish.id, 0);
            }
        } else if (pkt->type == SMQ_SUBACK) {
            m->in = true;
        }
    }
}

static void look_all(void)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        look(&members[i]);
    }
    const struct smq_packet *pkt;
    while ((pkt = client_next(pub)) != NULL) {
        if (pkt->type == SMQ_PUBREC) {
            client_send_ack(pub, SMQ_PUBREL, pkt->ack.id, 0);
        }
    }
}

static void publish(unsigned n, uint8_t qos)
{
    char text[8], topic[8];
    snprintf(text, sizeof text, "%u", n);
    snprintf(topic, sizeof topic, "t/%u", n % 3);
    client_send_publish(pub, topic, text, qos, false, (uint16_t)(qos != 0 ? n + 1 : 0));
}

static void calm(void)
{
    for (unsigned i = 0; i < 40; i++) {
        bed_calm(&bed);
        look_all();
    }
}

/* Everybody leaves, and nothing is left of the group. */
static void end(void)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (members[i].c != NULL) {
            send_subscribe(members[i].c, SMQ_UNSUBSCRIBE, 0);
        }
    }
    calm();
    for (unsigned i = 0; i < bed.count; i++) {
        const struct smq_worker *w = bed.workers[i];
        assert_int_equal(smq_map_count(&w->groups), 0);
        assert_int_equal(smq_map_count(&w->members), 0);
        assert_int_equal(smq_map_count(&w->shareds), 0);
        assert_int_equal(w->peers.interest.n, 0);
        assert_int_equal(w->trie.n, 0);
    }
    bed_stop(&bed);
}

static void exactly_one_member(unsigned count, uint64_t seed)
{
    begin(count, seed, false, (uint16_t)(seed % 3 == 0 ? 2 : 0));
    bed.slowly = true;
    for (unsigned n = 0; n < MESSAGES; n++) {
        publish(n, (uint8_t)chance(3));
        steps(chance(20));
        look_all();
    }
    calm();
    for (unsigned n = 0; n < MESSAGES; n++) {
        assert_int_equal(times[n], 1);
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        unsigned fair = MESSAGES / MEMBERS;
        assert_true(seed % 3 == 0 || (members[i].n + 1 >= fair && members[i].n <= fair + 1));
    }
    end();
}

static void each_message_goes_to_one_member(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            exactly_one_member(count, seed);
        }
    }
}

/* Who does not acknowledge has its window full, and the others get what comes then. */
static void a_full_window_is_left_out(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        begin(count, 1, false, 3);
        members[0].deaf = members[1].deaf = true;
        for (unsigned n = 0; n < MESSAGES; n++) {
            publish(n, (uint8_t)(1 + n % 2));
            look_all();
        }
        bed.slowly = true;
        calm();
        assert_int_equal(members[0].n, 3);
        assert_int_equal(members[1].n, 3);
        for (unsigned i = 0; i < 2; i++) {
            members[i].deaf = false;
            for (unsigned at = 0; at < 3; at++) {
                enum smq_type type = members[i].owed[at].qos == 1 ? SMQ_PUBACK : SMQ_PUBREC;
                client_send_ack(members[i].c, type, members[i].owed[at].id, 0);
            }
        }
        calm();
        for (unsigned n = MESSAGES - 60; n < MESSAGES; n++) {
            times[n]--;
            publish(n, 1);
            steps(200);
            look_all();
        }
        calm();
        assert_int_equal(members[0].n, 3 + 10); /* their turn comes again */
        assert_int_equal(members[1].n, 3 + 10);
        for (unsigned n = 0; n < MESSAGES; n++) {
            assert_int_equal(times[n], 1);
        }
        end();
    }
}

/* The session ends: what it did not acknowledge of QoS 1 goes to others, what of QoS 2 was sent does not
 * [MQTT-4.8.2-5]. */
static void what_was_not_acknowledged_goes_to_others(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        begin(count, 2, false, 0);
        for (unsigned i = 1; i < MEMBERS; i++) {
            members[i].deaf = true;
        }
        unsigned qos2 = 0, before[MEMBERS];
        for (unsigned n = 0; n < 60; n++) {
            publish(n, (uint8_t)(1 + n / 30));
            look_all();
        }
        for (unsigned i = 0; i < MEMBERS; i++) {
            before[i] = members[i].n;
        }
        assert_int_equal(before[1], 10);
        for (unsigned i = 1; i < MEMBERS; i++) {
            client_break(members[i].c);
            members[i].c = NULL;
        }
        bed.slowly = true;
        calm();
        for (unsigned n = 0; n < 60; n++) {
            qos2 += n >= 30 && times[n] != 1;
            assert_true(times[n] >= 1 && (n < 30 || times[n] == 1));
        }
        assert_int_equal(qos2, 0);
        assert_int_equal(members[0].n, before[0] + 25); /* five members had five each */
        end();
    }
}

/* A member whose session stays is away: what it was never sent goes to those that are there; when nobody is, it waits.
 */
static void a_message_waits_when_all_are_away(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        begin(count, 3, true, 1);
        members[0].deaf = true;
        for (unsigned i = 1; i < MEMBERS; i++) {
            client_break(members[i].c);
            members[i].c = NULL;
        }
        for (unsigned n = 0; n < 10; n++) {
            publish(n, 1); /* one is sent, the others wait for the only one that is there */
        }
        look_all();
        assert_int_equal(members[0].n, 1);
        send_connect(&members[1], true);
        look_all();
        assert_int_equal(members[1].n, 0);
        client_break(members[0].c);
        members[0].c = NULL;
        bed.slowly = true;
        calm();
        assert_int_equal(members[1].n, 9);
        client_break(members[1].c);
        members[1].c = NULL;
        for (unsigned n = 10; n < 20; n++) {
            publish(n, 1);
        }
        calm();
        for (unsigned i = 0; i < MEMBERS; i++) {
            members[i].deaf = false;
            send_connect(&members[i], true);
        }
        calm();
        for (unsigned n = 1; n < 20; n++) {
            assert_int_equal(times[n], 1);
        }
        assert_true(times[0] == 2); /* again, after the session was resumed [MQTT-4.4.0-1] */
        end();
    }
}

/* Members come and go; one stays. Nothing of QoS 1 is lost. */
static void coming_and_going(unsigned count, uint64_t seed)
{
    begin(count, seed, seed % 2 == 0, 4);
    bed.slowly = true;
    for (unsigned n = 0; n < MESSAGES; n++) {
        publish(n, 1);
        steps(chance(12));
        look_all();
        struct member *m = &members[1 + chance(MEMBERS - 1)];
        m->deaf = chance(3) == 0;
        if (m->c == NULL) {
            send_connect(m, seed % 2 == 0);
            send_subscribe(m->c, SMQ_SUBSCRIBE, 1);
        } else if (chance(4) == 0 && m->c->conn != NULL) {
            client_drain(m->c); /* what it has not looked at is lost with the connection */
            client_break(m->c);
            m->c = NULL;
        } else if (chance(6) == 0) {
            /* Who leaves the group keeps what it was sent, and loses it with its session. */
            bool leave = seed % 2 == 0 && chance(2) == 0;
            send_subscribe(m->c, leave ? SMQ_UNSUBSCRIBE : SMQ_SUBSCRIBE, 1);
        }
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        members[i].deaf = false;
        if (members[i].c == NULL) {
            send_connect(&members[i], seed % 2 == 0);
            send_subscribe(members[i].c, SMQ_SUBSCRIBE, 1);
        }
    }
    calm();
    for (unsigned i = 0; i < MEMBERS; i++) { /* what it left unacknowledged is acknowledged by a new connection */
        client_break(members[i].c);
        send_connect(&members[i], seed % 2 == 0);
        send_subscribe(members[i].c, SMQ_SUBSCRIBE, 1);
        calm();
    }
    for (unsigned n = 0; n < MESSAGES; n++) {
        if (times[n] == 0) {
            fail_msg("%u workers, seed %u: message %u is lost", count, (unsigned)seed, n);
        }
    }
    end();
}

static void nothing_is_lost_when_members_come_and_go(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 4; count++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            coming_and_going(count, seed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_goes_to_one_member),          cmocka_unit_test(a_full_window_is_left_out),
        cmocka_unit_test(what_was_not_acknowledged_goes_to_others), cmocka_unit_test(a_message_waits_when_all_are_away),
        cmocka_unit_test(nothing_is_lost_when_members_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
