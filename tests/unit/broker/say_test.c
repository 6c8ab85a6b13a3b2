/* SPDX-License-Identifier: Apache-2.0 */
/* The log in Mosquitto's words: scripts match on whole lines, so whole lines are compared. */
#include "harness.h"

enum { LINES = 64 };

struct heard {
    struct smq_log log;
    char line[LINES][SMQ_LOG_LINE];
    enum smq_log_level level[LINES];
    const char *event[LINES];
    char client[LINES][64];
    size_t n, at;
};

static void hear(void *ctx, enum smq_log_level level, const struct smq_log_about *about, const char *text, size_t len)
{
    struct heard *h = ctx;
    assert_true(h->n < LINES);
    memcpy(h->line[h->n], text, len + 1);
    h->level[h->n] = level;
    h->event[h->n] = about != NULL ? about->event : NULL;
    smq_span id = about != NULL ? about->client_id : (smq_span){NULL, 0};
    snprintf(h->client[h->n], sizeof h->client[0], "%.*s", (int)id.len, id.len != 0 ? (const char *)id.data : "");
    h->n++;
}

static void begin(struct bed *bed, struct heard *h, unsigned wanted)
{
    *h = (struct heard){.log = {wanted, hear, h}};
    bed_init(bed);
    bed->env.log = &h->log;
    bed->config.log_connections = true;
    bed_start(bed);
}

static void expect(struct heard *h, enum smq_log_level level, const char *line)
{
    assert_true(h->at < h->n);
    assert_string_equal(h->line[h->at], line);
    assert_int_equal(h->level[h->at], level);
    h->at++;
}

static void expect_event(struct heard *h, const char *event, const char *client, const char *line)
{
    expect(h, SMQ_LOG_NOTICE, line);
    assert_string_equal(h->event[h->at - 1], event);
    assert_string_equal(h->client[h->at - 1], client);
}

static void clients_come_and_go(void **state)
{
    (void)state;
    static struct bed bed;
    static struct heard h;
    begin(&bed, &h, SMQ_LOG_DEFAULT);
    struct smq_packet c = packet_connect(SMQTT_V5, "one", true);
    c.connect.has_user = true;
    c.connect.user = smq_span_str("joe");
    c.connect.keep_alive = 60;
    const char *from = "New client connected from ";
    struct client *one = client_connect_pkt(&bed, &c);
    assert_non_null(strstr(h.line[0], " as one (p5, c1, k60, u'joe')."));
    assert_true(strncmp(h.line[0], from, strlen(from)) == 0);
    expect_event(&h, "connected", "one", h.line[0]);
    client_disconnect(one);
    expect_event(&h, "left", "one", "Client one disconnected.");
    client_connect(&bed, SMQTT_V311, "two", true);
    assert_non_null(strstr(h.line[h.at], " as two (p2, c1, k"));
    h.at++;
    struct client *again = client_connect(&bed, SMQTT_V31, "two", true);
    expect_event(&h, "ended", "two", "Client two already connected, closing old connection.");
    assert_non_null(strstr(h.line[h.at], " as two (p1, c1, k"));
    h.at++;
    client_break(again);
    expect_event(&h, "ended", "two", "Client two closed its connection.");
    assert_int_equal(h.at, h.n);
    bed_stop(&bed);
}

/* Whether or not those who come and go are logged. */
static void sessions_expire(void **state)
{
    (void)state;
    static struct bed bed;
    static struct heard h;
    begin(&bed, &h, SMQ_LOG_DEFAULT);
    bed.config.log_connections = false;
    struct smq_packet c = packet_connect(SMQTT_V5, "short", false);
    smq_props_set_num(&c.connect.props, SMQ_PROP_SESSION_EXPIRY, 5);
    client_disconnect(client_connect_pkt(&bed, &c));
    bed_pass(&bed, 4000);
    assert_int_equal(h.n, 0);
    bed_pass(&bed, 2000);
    expect_event(&h, "expired", "short", "Expiring client short due to timeout.");
    client_disconnect(client_connect(&bed, SMQTT_V5, "without", true)); /* ends with its connection */
    bed_pass(&bed, 2000);
    assert_int_equal(h.at, h.n);
    bed_stop(&bed);
}

static void endings(void **state)
{
    (void)state;
    static struct bed bed;
    static struct heard h;
    begin(&bed, &h, 1u << SMQ_LOG_NOTICE);
    static const struct {
        const char *bytes;
        size_t len;
        const char *line;
    } rows[] = {
        {"\x30\x05\x00\x03\x61\xff\xff", 7, "Client x disconnected due to malformed packet."},
        {"\x32\x05\x00\x01\x61\x00\x00", 7, "Client x disconnected due to protocol error."},
        {"\x20\x02\x00\x00", 4, "Client x disconnected due to protocol error."},
    };
    for (size_t i = 0; i < SMQ_ARRAY_LEN(rows); i++) {
        struct client *x = client_connect(&bed, SMQTT_V311, "x", true);
        h.at++;
        client_feed(x, rows[i].bytes, rows[i].len);
        expect_event(&h, "ended", "x", rows[i].line);
    }
    struct smq_packet c = packet_connect(SMQTT_V311, "late", true);
    c.connect.keep_alive = 10;
    client_connect_pkt(&bed, &c);
    h.at++;
    bed_pass(&bed, 16000);
    expect_event(&h, "ended", "late", "Client late has exceeded timeout, disconnecting.");
    bed.listener.allow_anonymous = false;
    struct client *stranger = client_open(&bed, SMQTT_V311);
    c = packet_connect(SMQTT_V311, "stranger", true);
    client_send(stranger, &c);
    expect_event(&h, "refused", "", "Client <unknown> disconnected, not authorised.");
    struct client *odd = client_open(&bed, SMQTT_V311);
    client_feed(odd, "\x30\x03\x00\x01\x61", 5);
    expect_event(&h, "ended", "", "Client <unknown> disconnected due to protocol error.");
    assert_int_equal(h.at, h.n);
    bed.listener.allow_anonymous = true;
    bed_stop(&bed);
}

static void packets(void **state)
{
    (void)state;
    static struct bed bed;
    static struct heard h;
    begin(&bed, &h, 1u << SMQ_LOG_DEBUG | 1u << SMQ_LOG_SUBSCRIBE | 1u << SMQ_LOG_UNSUBSCRIBE);
    struct client *c = client_connect(&bed, SMQTT_V311, "c", true);
    expect(&h, SMQ_LOG_DEBUG, "No will message specified.");
    expect(&h, SMQ_LOG_DEBUG, "Sending CONNACK to c (0, 0)");
    client_subscribe(c, "a/b", 1);
    expect(&h, SMQ_LOG_DEBUG, "Received SUBSCRIBE from c");
    expect(&h, SMQ_LOG_DEBUG, "\ta/b (QoS 1)");
    expect(&h, SMQ_LOG_SUBSCRIBE, "c 1 a/b");
    expect(&h, SMQ_LOG_DEBUG, "Sending SUBACK to c");
    client_send_publish(c, "a/b", "hello", 1, false, 7);
    expect(&h, SMQ_LOG_DEBUG, "Received PUBLISH from c (d0, q1, r0, m7, 'a/b', ... (5 bytes))");
    expect(&h, SMQ_LOG_DEBUG, "Sending PUBLISH to c (d0, q1, r0, m1, 'a/b', ... (5 bytes))");
    expect(&h, SMQ_LOG_DEBUG, "Sending PUBACK to c (m7, rc0)");
    client_send_ack(c, SMQ_PUBACK, 1, 0);
    expect(&h, SMQ_LOG_DEBUG, "Received PUBACK from c (Mid: 1, RC:0)");
    client_send_publish(c, "x", "hello", 2, false, 8);
    expect(&h, SMQ_LOG_DEBUG, "Received PUBLISH from c (d0, q2, r0, m8, 'x', ... (5 bytes))");
    expect(&h, SMQ_LOG_DEBUG, "Sending PUBREC to c (m8, rc0)");
    client_send_ack(c, SMQ_PUBREL, 8, 0);
    expect(&h, SMQ_LOG_DEBUG, "Received PUBREL from c (Mid: 8)");
    expect(&h, SMQ_LOG_DEBUG, "Sending PUBCOMP to c (m8)");
    client_send_publish(c, "$SYS/not/yours", "", 1, false, 10);
    expect(&h, SMQ_LOG_DEBUG, "Denied PUBLISH from c (d0, q1, r0, m10, '$SYS/not/yours', ... (0 bytes))");
    expect(&h, SMQ_LOG_DEBUG, "Sending PUBACK to c (m10, rc144)"); /* which version 3 has no byte for */
    client_send_publish(c, "$SYS/not/yours", "", 0, false, 0);
    expect(&h, SMQ_LOG_DEBUG, "Denied PUBLISH from c (d0, q0, r0, m0, '$SYS/not/yours', ... (0 bytes))");
    assert_int_equal(h.at, h.n);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_come_and_go),
        cmocka_unit_test(sessions_expire),
        cmocka_unit_test(endings),
        cmocka_unit_test(packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
