/* SPDX-License-Identifier: Apache-2.0 */
/* Real sealers and openers through the worker: handshakes, records, registration, the broker's own identity. */
#include "disk.h"
#include "ends.h"

#include "broker/hold.h"
#include "broker/internal.h"
#include "broker/relay.h"

static struct bed bed;
static struct client *healthy;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

static void start(void)
{
    bed_start(&bed);
    healthy = client_connect(&bed, SMQTT_V5, "healthy", true);
    client_subscribe(healthy, "#", 1);
}

static void stop(void)
{
    client_drain(healthy);
    client_expect_alive(healthy);
    bed_stop(&bed);
}

static void the_whole_story(void **state)
{
    (void)state;
    start();
    struct smqtt_identity *id = identity_new("server");
    for (size_t i = 0; i < 3; i++) {
        static const enum smqtt_version versions[] = {SMQTT_V31, SMQTT_V311, SMQTT_V5};
        struct end server, client;
        struct end *both[] = {&client, &server};
        server_begin(&bed, &server, id, "server", versions[i]);
        assert_true(server.registered);
        client_subscribe(server.c, "sensors/#", 1);
        client_begin(&bed, &client, id, "client");
        assert_int_equal(
            smqtt_sealer_start(client.sealer, smq_span_str("sensors/1"), smq_span_str("21 C"), true, bed.now),
            SMQTT_OK);
        talk(both, 2);
        assert_true(client.open && server.open);
        seal_and_publish(&client, "sensors/1", "21 C");
        talk(both, 2);
        assert_string_equal(server.message, "21 C");
        assert_int_equal(server.protection, SMQTT_PEER_ANON);
        assert_true(client.answered && client.receipt_status == 0);
        uint64_t handshakes = 0;
        for (unsigned k = 0; k < bed.count; k++) {
            struct smq_worker_stats stats;
            smq_worker_stats(bed.workers[k], &stats);
            handshakes += stats.handshakes;
        }
        assert_int_equal(handshakes, i + 1);
        end_free(&client);
        end_free(&server);
        client_break(client.c);
        client_break(server.c);
        client_drain(client.c);
        client_drain(server.c);
    }
    /* Who listens to everything saw sealed bytes only. */
    const struct smq_packet *pkt;
    size_t n = 0;
    while ((pkt = client_next(healthy)) != NULL) {
        smq_span topic = pkt->publish.topic;
        bool descriptor =
            smq_span_starts(topic, smq_span_str("smqtt1/")) && memcmp(topic.data + topic.len - 2, "/d", 2) == 0;
        assert_true(descriptor || (pkt->publish.payload.len > 0 && pkt->publish.payload.data[0] >= 0x80));
        n += !descriptor;
    }
    assert_true(n >= 6);
    smqtt_identity_free(id);
    stop();
}

static void the_broker_as_server(void **state)
{
    (void)state;
    struct smqtt_identity *id = identity_new("broker");
    unsigned line;
    bed.config.identity = id;
    assert_int_equal(smqtt_policy_read(NULL, smq_span_str("raw/# allow-plain\n$SYS/# allow-plain logical\n# require\n"),
                                       &bed.config.identity_policy, &line),
                     SMQTT_OK);
    start();
    /* Its descriptor is retained, for those who do not know it. */
    bed_pass(&bed, 1);
    struct client *late = client_connect(&bed, SMQTT_V311, "late", true);
    client_subscribe(late, "smqtt1/+/d", 0);
    smq_span shown = client_expect(late, SMQ_PUBLISH)->publish.payload;
    assert_true(smq_span_equal(shown, smqtt_identity_descriptor(id)));
    client_expect_none(late);
    struct end client;
    struct end *one[] = {&client};
    client_begin(&bed, &client, id, "client");
    assert_int_equal(smqtt_sealer_start(client.sealer, smq_span_str("t"), smq_span_str("hello"), true, bed.now),
                     SMQTT_OK);
    talk(one, 1);
    assert_true(client.open);
    client_drain(healthy);
    seal_and_publish(&client, "t", "hello");
    talk(one, 1);
    bool plain = false;
    const struct smq_packet *pkt;
    while ((pkt = client_next(healthy)) != NULL) {
        if (span_is(pkt->publish.topic, "t")) {
            assert_true(span_is(pkt->publish.payload, "hello")); /* and never the record */
            plain = true;
        }
    }
    assert_true(plain);
    assert_true(client.answered && client.receipt_status == 0);
    /* Where its policy does not ask for it, the broker leaves a record closed. */
    client_drain(healthy);
    seal_and_publish(&client, "raw/1", "hello");
    talk(one, 1);
    assert_true(client_expect(healthy, SMQ_PUBLISH)->publish.payload.data[0] >= 0x80);
    /* The topic inside is the one that counts, and nobody writes to those of the broker. */
    uint8_t record[256];
    size_t len;
    struct smqtt_seal_options options = {.logical_topic = smq_span_str("$SYS/x")};
    assert_int_equal(smqtt_seal(client.sealer, smq_span_str("t"), smq_span_str("forged"), &options, bed.now, record,
                                sizeof record, &len, NULL, NULL),
                     SMQTT_OK);
    client_subscribe(healthy, "$SYS/#", 1);
    struct smq_packet pkt_logical = {.type = SMQ_PUBLISH};
    pkt_logical.publish.topic = smq_span_str("t");
    pkt_logical.publish.payload = smq_span_of(record, len);
    smq_props_clear(&pkt_logical.publish.props);
    client_drain(healthy);
    client_send(client.c, &pkt_logical);
    client_expect_none(healthy);
    /* Nobody else can register as the broker. */
    struct end thief;
    server_begin(&bed, &thief, id, "thief", SMQTT_V5);
    assert_false(thief.registered);
    end_free(&thief);
    end_free(&client);
    stop();
    smqtt_policy_free(bed.config.identity_policy);
    smqtt_identity_free(id);
}

/* protocol.md 9.5: a client whose session the broker has lost gets to know, on whatever worker it is, and what was for
 * another server goes on. */
static void the_broker_tells_who_it_has_forgotten(void **state)
{
    (void)state;
    struct smqtt_identity *id = identity_new("broker");
    unsigned line;
    bed.config.identity = id;
    assert_int_equal(
        smqtt_policy_read(NULL, smq_span_str("raw/# allow-plain\n# require\n"), &bed.config.identity_policy, &line),
        SMQTT_OK);
    start();
    for (unsigned i = 0; i < 4; i++) {
        char name[2] = {(char)('a' + i), 0};
        struct end client;
        struct end *one[] = {&client};
        client_begin(&bed, &client, id, name);
        assert_int_equal(smqtt_sealer_start(client.sealer, smq_span_str("t"), smq_span_str("x"), true, bed.now),
                         SMQTT_OK);
        talk(one, 1);
        assert_true(client.open);
        smq_own_deinit(bed.workers[0]);
        assert_int_equal(smq_own_init(bed.workers[0]), SMQTT_OK);
        bed_turn(&bed);
        seal_and_publish(&client, "raw/1", "hello"); /* not its business */
        talk(one, 1);
        assert_true(smqtt_sealer_is_open(client.sealer));
        client_drain(healthy);
        seal_and_publish(&client, "t", "hello");
        talk(one, 1);
        assert_false(smqtt_sealer_is_open(client.sealer));
        bool passed = false;
        const struct smq_packet *pkt;
        while ((pkt = client_next(healthy)) != NULL) {
            passed = passed || (span_is(pkt->publish.topic, "t") && pkt->publish.payload.data[0] >= 0x80);
        }
        assert_true(passed);
        end_free(&client);
    }
    stop();
    smqtt_policy_free(bed.config.identity_policy);
    smqtt_identity_free(id);
}

enum { RECORD_MAX = 256 };

/* A PUBLISH of QoS 1 with a record on "t". */
static struct smq_packet record_packet(struct end *client, uint8_t record[RECORD_MAX])
{
    size_t len;
    struct smqtt_seal_options options = {.text = true};
    assert_int_equal(smqtt_seal(client->sealer, smq_span_str("t"), smq_span_str("x"), &options, bed.now, record,
                                RECORD_MAX, &len, NULL, NULL),
                     SMQTT_OK);
    struct smq_packet pkt = {.type = SMQ_PUBLISH};
    pkt.publish.topic = smq_span_str("t");
    pkt.publish.payload = smq_span_of(record, len);
    pkt.publish.qos = 1;
    pkt.publish.id = 9;
    smq_props_clear(&pkt.publish.props);
    return pkt;
}

/* Without a store, too: what another worker has to open first is lost if its publisher goes meanwhile. */
static void what_another_worker_opens_is_acknowledged_afterwards(void **state)
{
    (void)state;
    struct smqtt_identity *id = identity_new("broker");
    unsigned line;
    bed.count = 2;
    bed.config.identity = id;
    assert_int_equal(smqtt_policy_read(NULL, smq_span_str("# require\n"), &bed.config.identity_policy, &line),
                     SMQTT_OK);
    start();
    struct client *watch = client_connect(&bed, SMQTT_V311, "watch", true);
    client_subscribe(watch, "t", 1);
    unsigned far = 0;
    for (unsigned i = 0; i < 8; i++) {
        char name[2] = {(char)('a' + i), 0};
        struct end client;
        struct end *one[] = {&client};
        client_begin(&bed, &client, id, name);
        assert_int_equal(smqtt_sealer_start(client.sealer, smq_span_str("t"), smq_span_str("x"), true, bed.now),
                         SMQTT_OK);
        talk(one, 1);
        assert_true(client.open);
        client_drain(client.c);
        bool is_far = client.c->w != bed.workers[0];
        far += is_far;
        uint8_t record[RECORD_MAX];
        struct smq_packet pkt = record_packet(&client, record);
        bed.slowly = true;
        client_send(client.c, &pkt);
        client_push(client.c);
        bed_serve(&bed, is_far ? 1 : 0);
        if (is_far) {
            client_expect_none(client.c);
        } else {
            client_expect(client.c, SMQ_PUBACK);
        }
        bed.slowly = false;
        bed_turn(&bed);
        if (is_far) {
            client_expect(client.c, SMQ_PUBACK);
        }
        client_take(watch, "t", "x", 1);
        assert_true(client.c->conn->hold == NULL || client.c->conn->hold->holds == 0);
        end_free(&client);
    }
    assert_true(far != 0);
    stop();
    smqtt_policy_free(bed.config.identity_policy);
    smqtt_identity_free(id);
}

/* On whatever worker its publisher is. */
static void what_the_broker_opens_is_stored_before_it_is_acknowledged(void **state)
{
    (void)state;
    struct disk disk;
    disk_init(&disk);
    bed.disk = &disk;
    struct smqtt_identity *id = identity_new("broker");
    unsigned line;
    bed.config.identity = id;
    assert_int_equal(smqtt_policy_read(NULL, smq_span_str("# require\n"), &bed.config.identity_policy, &line),
                     SMQTT_OK);
    start();
    struct client *stays = client_connect(&bed, SMQTT_V311, "stays", false);
    client_subscribe(stays, "t", 1);
    client_disconnect(stays);
    for (unsigned i = 0; i < 4; i++) {
        char name[2] = {(char)('a' + i), 0};
        struct end client;
        struct end *one[] = {&client};
        client_begin(&bed, &client, id, name);
        assert_int_equal(smqtt_sealer_start(client.sealer, smq_span_str("t"), smq_span_str("x"), true, bed.now),
                         SMQTT_OK);
        talk(one, 1);
        assert_true(client.open);
        disk.by_hand = true;
        uint8_t record[RECORD_MAX];
        struct smq_packet pkt = record_packet(&client, record);
        size_t before = disk_count(&disk, SMQ_TABLE_SESSION, disk_sid(&disk, "stays"), SMQ_ROW_QUEUE);
        client_drain(client.c);
        client_send(client.c, &pkt);
        client_expect_none(client.c);
        disk.by_hand = false;
        bed_turn(&bed);
        client_expect(client.c, SMQ_PUBACK);
        assert_int_equal(disk_count(&disk, SMQ_TABLE_SESSION, disk_sid(&disk, "stays"), SMQ_ROW_QUEUE), before + 1);
        assert_true(client.c->conn->hold == NULL || client.c->conn->hold->holds == 0);
        end_free(&client);
    }
    stop();
    disk_free(&disk);
    smqtt_policy_free(bed.config.identity_policy);
    smqtt_identity_free(id);
}

/* Somebody's keys are put on the list of a broker that runs: the session ends at once, and others are not meant. */
static void a_list_ends_sessions_with_the_broker(void **state)
{
    (void)state;
    struct smqtt_identity *id = identity_new("broker");
    struct smqtt_identity *devices[2] = {identity_new("lost"), identity_new("kept")};
    struct end ends[2];
    unsigned line;
    bed.config.identity = id;
    start();
    for (size_t i = 0; i < 2; i++) {
        const struct smqtt_sealer_config config = {.struct_size = sizeof config,
                                                   .rng = smqtt_system_rng(),
                                                   .server = id,
                                                   .identity = devices[i],
                                                   .client_id = smq_span_str(i == 0 ? "lost" : "kept")};
        ends[i] = (struct end){.c = client_connect(&bed, SMQTT_V5, i == 0 ? "lost" : "kept", true)};
        struct end *one[] = {&ends[i]};
        assert_int_equal(smqtt_sealer_new(&config, bed.now, &ends[i].sealer), SMQTT_OK);
        assert_int_equal(smqtt_sealer_start(ends[i].sealer, smq_span_str("t"), smq_span_str("x"), true, bed.now),
                         SMQTT_OK);
        talk(one, 1);
        assert_true(ends[i].open);
    }
    char text[SMQTT_FINGERPRINT_SIZE];
    struct smqtt_revocations *list = NULL;
    smqtt_identity_fingerprint(devices[0], text);
    assert_int_equal(smqtt_revocations_read(NULL, smq_span_str(text), &list, &line), SMQTT_OK);
    struct smq_broker_config config = bed.config;
    config.identity_revoked = list;
    smq_worker_configure(bed.w, &config, bed.now);
    bed_turn(&bed);
    for (size_t i = 0; i < 2; i++) {
        struct end *one[] = {&ends[i]};
        talk(one, 1);
        assert_int_equal(ends[i].closed, i == 0);
        assert_int_equal(smqtt_sealer_is_open(ends[i].sealer), i == 1);
    }
    seal_and_publish(&ends[1], "t", "goes on");
    smq_worker_configure(bed.w, &bed.config, bed.now);
    for (size_t i = 0; i < 2; i++) {
        end_free(&ends[i]);
        smqtt_identity_free(devices[i]);
    }
    smqtt_revocations_free(list);
    stop();
    smqtt_identity_free(id);
}

static void registration(void **state)
{
    (void)state;
    start();
    struct smqtt_identity *id = identity_new("server");
    struct end first, second;
    server_begin(&bed, &first, id, "one", SMQTT_V5);
    assert_true(first.registered);
    server_begin(&bed, &second, id, "two", SMQTT_V5); /* the identity is in use */
    assert_true(second.answered && !second.registered);
    end_free(&second);
    end_free(&first);
    struct client *was = first.c;
    server_begin(&bed, &first, id, "one", SMQTT_V5); /* the same client, connected anew */
    client_expect_closed(was);
    assert_true(first.registered);
    client_break(first.c);
    server_begin(&bed, &second, id, "three", SMQTT_V311);
    assert_true(second.registered);
    end_free(&first);
    end_free(&second);
    /* A proof for another challenge or client is not taken. */
    client_drain(second.c);
    client_break(second.c);
    struct smqtt_opener_config config = {.struct_size = sizeof config, .rng = smqtt_system_rng(), .identity = id};
    struct end liar = {.c = client_connect(&bed, SMQTT_V5, "liar", true)};
    assert_int_equal(smqtt_opener_new(&config, bed.now, &liar.opener), SMQTT_OK);
    assert_int_equal(smqtt_opener_connected(liar.opener, false, smq_span_str("somebody"), bed.now), SMQTT_OK);
    struct end *one[] = {&liar};
    talk(one, 1);
    assert_true(liar.answered && !liar.registered);
    end_free(&liar);
    smqtt_identity_free(id);
    /* Sixteen identities a connection. */
    struct client *many = client_connect(&bed, SMQTT_V5, "many", true);
    for (size_t i = 0; i < 17; i++) {
        id = identity_new("one of many");
        config.identity = id;
        struct end e = {.c = many};
        struct end *alone[] = {&e};
        assert_int_equal(smqtt_opener_new(&config, bed.now, &e.opener), SMQTT_OK);
        assert_int_equal(smqtt_opener_connected(e.opener, false, smq_span_str("many"), bed.now), SMQTT_OK);
        talk(alone, 1);
        assert_int_equal(e.registered, i < 16);
        end_free(&e);
        smqtt_identity_free(id);
    }
    stop();
}

/* What worker 1 hears from `from`. */
static const struct smq_server *hear(unsigned from, bool begins)
{
    struct smq_note_server note = {.skid = {1, 2, 3}, .begins = begins};
    struct smq_worker *w = bed.workers[1];
    smq_far_on_server(w, from, &note.head);
    return smq_map_get(&w->servers, smq_span_of(note.skid, sizeof note.skid));
}

/* What two workers say of a server that moves from one to the other may come in any order. */
static void a_server_that_moved_is_found(void **state)
{
    (void)state;
    bed_init(&bed);
    bed.count = 3;
    bed_start(&bed);
    assert_int_equal(hear(0, true)->worker, 0);
    assert_int_equal(hear(2, true)->worker, 0); /* the end of the first is still on its way */
    assert_int_equal(hear(0, false)->worker, 2);
    assert_null(hear(2, false));
    assert_int_equal(hear(2, true)->worker, 2);
    assert_int_equal(hear(0, true)->worker, 0);
    assert_int_equal(hear(2, false)->worker, 0);
    assert_null(hear(0, false));
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_moved_is_found),
        cmocka_unit_test_setup(the_whole_story, setup),
        cmocka_unit_test_setup(the_broker_as_server, setup),
        cmocka_unit_test_setup(the_broker_tells_who_it_has_forgotten, setup),
        cmocka_unit_test_setup(what_another_worker_opens_is_acknowledged_afterwards, setup),
        cmocka_unit_test_setup(what_the_broker_opens_is_stored_before_it_is_acknowledged, setup),
        cmocka_unit_test_setup(a_list_ends_sessions_with_the_broker, setup),
        cmocka_unit_test_setup(registration, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
