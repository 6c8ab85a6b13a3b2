/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of QoS 0 that follow each other on one topic go to another worker in one note. Who gets them sees nothing of
 * it: the same messages, in the same order, with everything that is the receiver's own. */
#include "harness.h"

#include "broker/internal.h"
#include "broker/run.h"

enum { HERE, THERE, WORKERS };
enum { MANY = 6, LONGEST = 300 };

static struct bed bed;
static char ids[8][16];
static unsigned n_ids;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    bed.count = WORKERS;
    n_ids = 0;
    return 0;
}

/* An identifier whose session is on that worker. */
static const char *id_on(unsigned worker)
{
    char *id = ids[n_ids++];
    unsigned i = 0;
    do {
        snprintf(id, sizeof ids[0], "c%u-%u", n_ids, i++);
    } while (smq_worker_owner(bed.w, smq_span_str(id)) != worker);
    return id;
}

static struct client *subscriber(enum smqtt_version version)
{
    struct client *c = client_connect(&bed, version, id_on(THERE), true);
    client_subscribe(c, "t/#", 0);
    return c;
}

static struct client *publisher(void)
{
    return client_connect(&bed, SMQTT_V311, id_on(HERE), true);
}

static size_t put(uint8_t *at, const char *topic, const char *payload)
{
    struct smq_wr wr = smq_wr_of(at, 1000);
    size_t body = 2 + strlen(topic) + strlen(payload);
    smq_wr_u8(&wr, SMQ_PUBLISH << 4);
    if (body > 127) {
        smq_wr_u8(&wr, (uint8_t)(body | 0x80));
        smq_wr_u8(&wr, (uint8_t)(body >> 7));
    } else {
        smq_wr_u8(&wr, (uint8_t)body);
    }
    smq_wr_blob16(&wr, smq_span_str(topic));
    smq_wr_put(&wr, smq_span_str(payload));
    return wr.len;
}

static const char *text_of(unsigned len)
{
    static char text[LONGEST + 1];
    memset(text, 'a' + (int)(len % 26), len);
    text[len] = '\0';
    return text;
}

/* All lengths, so that each way to write one occurs, and those that are not sent so; now and then another topic. */
static const char *topic_of(unsigned len)
{
    return len % 50 == 49 ? "t/other" : "t/x";
}

static void publish_all(struct client *pub)
{
    static uint8_t bytes[(LONGEST + 1) * (LONGEST + 20)];
    size_t n = 0;
    for (unsigned len = 0; len <= LONGEST; len++) {
        n += put(bytes + n, topic_of(len), text_of(len));
    }
    client_feed(pub, bytes, n);
}

static void take_all(struct client *c, uint32_t id)
{
    for (unsigned len = 0; len <= LONGEST; len++) {
        const struct smq_publish *p = client_expect_publish(c, topic_of(len), text_of(len));
        assert_int_equal(p->qos, 0);
        assert_false(p->retain);
        assert_int_equal(smq_props_num(&p->props, SMQ_PROP_SUBSCRIPTION_ID, 0), id);
    }
    client_expect_none(c);
}

static void each_version_gets_them_in_its_form(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *old = subscriber(SMQTT_V31), *usual = subscriber(SMQTT_V311), *newer = subscriber(SMQTT_V5);
    publish_all(publisher());
    take_all(old, 0);
    take_all(usual, 0);
    take_all(newer, 0);
    bed_stop(&bed);
}

static void many_share_them(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *subs[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        subs[i] = subscriber(i % 2 == 0 ? SMQTT_V5 : SMQTT_V311);
    }
    publish_all(publisher());
    for (unsigned i = 0; i < MANY; i++) {
        take_all(subs[i], 0);
    }
    struct smq_worker_stats stats;
    bed_stats(&bed, &stats);
    assert_int_equal(stats.publish_out, MANY * (LONGEST + 1));
    assert_int_equal(stats.payload_out, MANY * (LONGEST * (LONGEST + 1) / 2));
    bed_stop(&bed);
}

static void who_has_identifiers_gets_them(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *plain = subscriber(SMQTT_V5);
    struct client *c = client_connect(&bed, SMQTT_V5, id_on(THERE), true);
    struct smq_filter f = {smq_span_str("t/+"), 0};
    struct smq_packet pkt = {.type = SMQ_SUBSCRIBE, .subscribe = {.id = 9, .n = 1, .filters = &f}};
    smq_props_clear(&pkt.subscribe.props);
    smq_props_set_num(&pkt.subscribe.props, SMQ_PROP_SUBSCRIPTION_ID, 5);
    client_send(c, &pkt);
    client_expect(c, SMQ_SUBACK);
    publish_all(publisher());
    take_all(c, 5);
    take_all(plain, 0);
    bed_stop(&bed);
}

static void who_takes_only_small_ones_gets_those(void **state)
{
    (void)state;
    bed_start(&bed);
    struct smq_packet connect = packet_connect(SMQTT_V5, id_on(THERE), true);
    smq_props_set_num(&connect.connect.props, SMQ_PROP_MAXIMUM_PACKET_SIZE, 60);
    struct client *c = client_connect_pkt(&bed, &connect);
    client_subscribe(c, "t/x", 0);
    publish_all(publisher());
    for (unsigned len = 0; len < 49; len++) {
        client_expect_publish(c, "t/x", text_of(len)); /* 1 + 1 + 2 + 3 + 1 bytes come on top [MQTT-3.1.2-24] */
    }
    client_expect_publish(c, "t/x", text_of(50));
    client_expect_publish(c, "t/x", text_of(51));
    client_expect_publish(c, "t/x", text_of(52));
    client_expect_none(c);
    bed_stop(&bed);
}

/* As many as there may be bytes, whether they come in one note or one by one. */
static void no_more_than_the_output_may_hold(void **state)
{
    (void)state;
    unsigned got[2] = {0, 0};
    for (unsigned worker = HERE; worker < WORKERS; worker++) {
        setup(NULL);
        bed.config.max_output_bytes = 1000;
        bed_start(&bed);
        struct client *c = client_connect(&bed, SMQTT_V311, id_on(THERE), true);
        client_subscribe(c, "t/x", 0);
        struct client *pub = client_connect(&bed, SMQTT_V311, id_on(worker), true);
        c->deaf = true;
        uint8_t bytes[4000];
        size_t n = 0;
        for (unsigned i = 0; i < 40; i++) {
            n += put(bytes + n, "t/x", text_of(60));
        }
        client_feed(pub, bytes, n);
        c->deaf = false;
        client_feed(c, "\xC0\x00", 2); /* PINGREQ, so that somebody looks at it again */
        for (; client_next(c) != NULL; got[worker]++) {
        }
        bed_stop(&bed);
    }
    assert_true(got[HERE] != 0 && got[HERE] < 40);
    assert_int_equal(got[HERE], got[THERE]);
}

static unsigned count_notes(enum smq_note_type type)
{
    unsigned n = 0;
    for (struct smq_batch *b = bed.workers[HERE]->peers.of[THERE].box.first; b != NULL; b = b->next) {
        for (struct smq_note *note = NULL; (note = smq_batch_next(b, note)) != NULL;) {
            n += note->type == (uint32_t)type;
        }
    }
    return n;
}

/* One note as long as the topic stays; what is said between is not overtaken; none goes on when the batch has left. */
static void a_run_ends_with_its_topic_and_its_batch(void **state)
{
    (void)state;
    bed_start(&bed);
    struct client *c = subscriber(SMQTT_V311), *pub = publisher();
    bed.slowly = true;
    uint8_t bytes[4000];
    size_t n = 0;
    for (unsigned i = 0; i < 30; i++) {
        n += put(bytes + n, i < 20 ? "t/x" : "t/y", text_of(i + 1));
    }
    client_feed(pub, bytes, n);
    client_push(pub);
    assert_int_equal(count_notes(SMQ_NOTE_RUN), 2);
    client_send_publish(pub, "t/y", "between", 1, false, 7);
    client_push(pub);
    client_feed(pub, bytes, put(bytes, "t/y", "behind"));
    client_push(pub);
    assert_int_equal(count_notes(SMQ_NOTE_RUN), 3);
    assert_true(bed_send_batches(&bed, HERE, THERE));
    assert_null(bed.workers[HERE]->peers.of[THERE].run); /* its block is the receiver's */
    client_feed(pub, bytes, put(bytes, "t/y", "later"));
    client_push(pub);
    assert_int_equal(count_notes(SMQ_NOTE_RUN), 1);
    bed.slowly = false;
    bed_turn(&bed);
    for (unsigned i = 0; i < 30; i++) {
        client_expect_publish(c, i < 20 ? "t/x" : "t/y", text_of(i + 1));
    }
    client_expect_publish(c, "t/y", "between");
    client_expect_publish(c, "t/y", "behind");
    client_expect_publish(c, "t/y", "later");
    client_expect_none(c);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_version_gets_them_in_its_form, setup),
        cmocka_unit_test_setup(many_share_them, setup),
        cmocka_unit_test_setup(who_has_identifiers_gets_them, setup),
        cmocka_unit_test_setup(who_takes_only_small_ones_gets_those, setup),
        cmocka_unit_test(no_more_than_the_output_may_hold),
        cmocka_unit_test_setup(a_run_ends_with_its_topic_and_its_batch, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
