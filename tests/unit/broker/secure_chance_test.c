/* SPDX-License-Identifier: Apache-2.0 */
/* Whole clients with real endpoints on several workers, whose turns, and the bytes on every line, are cut into small
 * pieces that mix by chance. On lines that hold nothing ever has to be waited for: all is delivered and confirmed while
 * the clock stands. On lines that break, and with servers that are killed, all is confirmed in the end. */
#include "../detect/cut_store.h"
#include "disk.h"
#include "harness.h"

#include <smqtt/client.h>

#include "broker/internal.h"

enum { SEEDS = 60, PUBLISHERS = 3, NODES = 1 + PUBLISHERS, MESSAGES = 4, STEPS = 40000, PATIENCE_MS = 300000 };

/** A client with its line and its disk. */
struct node {
    char id[16];
    bool tunnel;
    struct smqtt_client *mqtt;
    struct client *line; /* NULL: there is no transport */
    struct cut_store store;
    bool connected, registered, open;
    unsigned sent;
    uint64_t tokens[MESSAGES];
    bool confirmed[MESSAGES];
    unsigned delivered[MESSAGES]; /* of this publisher, at the server */
};

static struct bed bed;
static struct disk disk;
static struct node nodes[NODES], *const server = nodes, *const publishers = nodes + 1;
static struct smqtt_identity *identity;
static bool lines_break;
static unsigned aways, forgets; /* how often the server's line broke, or it was killed; and lost its state */
static unsigned world_count;
static uint64_t world_seed; /* 0: no world is there */

static size_t chance(size_t below)
{
    return test_random_below(&bed.rng, below);
}

static bool random_fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    while (len-- != 0) {
        *out++ = (uint8_t)chance(256);
    }
    return true;
}

/* ------------------------------------------------------------ nodes */

static void attach_endpoint(struct node *n)
{
    const struct smqtt_rng rng = {.fill = random_fill};
    if (n == server) {
        struct smqtt_opener_config config = {
            .struct_size = sizeof config, .rng = rng, .identity = identity, .store = &n->store.store};
        struct smqtt_opener *opener;
        assert_int_equal(smqtt_opener_new(&config, bed.now, &opener), SMQTT_OK);
        assert_int_equal(smqtt_client_attach_opener(n->mqtt, opener), SMQTT_OK);
        return;
    }
    struct smqtt_sealer_config config = {.struct_size = sizeof config,
                                         .rng = rng,
                                         .server = identity,
                                         .client_id = smq_span_str(n->id),
                                         .store = &n->store.store};
    struct smqtt_sealer *sealer;
    assert_int_equal(smqtt_sealer_new(&config, bed.now, &sealer), SMQTT_OK);
    assert_int_equal(smqtt_client_attach_sealer(n->mqtt, sealer), SMQTT_OK);
}

static void node_start(struct node *n)
{
    struct smqtt_client_config config = {.struct_size = sizeof config};
    config.client_id = smq_span_str(n->id);
    config.session_expiry_s = 3600;
    assert_int_equal(smqtt_client_new(&config, &n->mqtt), SMQTT_OK);
    attach_endpoint(n);
    smqtt_client_set_path(n->mqtt, n->tunnel ? SMQTT_PATH_TUNNEL : SMQTT_PATH_AUTO);
}

static void line_drop(struct node *n)
{
    if (n->line != NULL) {
        client_break(n->line);
        client_drain(n->line);
        n->line = NULL;
        n->connected = n->registered = false;
    }
}

/** Who is at its end finds out later. */
static void line_break(const struct node *n)
{
    if (n->line != NULL) {
        aways += n == server;
        client_break(n->line);
    }
}

static void line_open(struct node *n)
{
    bed.opened = (unsigned)chance(bed.count);
    assert_int_equal(smqtt_client_connect(n->mqtt, bed.now), SMQTT_OK);
    n->line = client_open(&bed, SMQTT_V5);
    assert_non_null(n->line);
}

static void node_kill(struct node *n)
{
    line_drop(n);
    smqtt_client_free(n->mqtt);
    n->mqtt = NULL;
}

/* ------------------------------------------------------------ what happens to them */

static void publish(struct node *n, unsigned i)
{
    char text[16];
    const struct smqtt_publish_options options = {.qos = 1, .text = true, .receipt = true};
    int len = snprintf(text, sizeof text, "%u %u", (unsigned)(n - publishers), i);
    assert_int_equal(smqtt_client_publish_sealed(n->mqtt, smq_span_str("s/1"), smq_span_of(text, (size_t)len), &options,
                                                 &n->tokens[i], bed.now),
                     SMQTT_OK);
}

static void on_outcome(struct node *n, unsigned i, const struct smqtt_secure_event *ev)
{
    if (ev->type == SMQTT_EV_RECEIPT) {
        assert_false(n->confirmed[i]);
        assert_int_equal(ev->status, SMQTT_STATUS_OK);
        n->confirmed[i] = true;
    } else if (ev->type == SMQTT_EV_CLOSED) {
        if (!lines_break) {
            fail_msg("%s gave up message %u: %s", n->id, i, smqtt_strerror(ev->err));
        }
        publish(n, i); /* no handshake came to its end in time: nothing of it was published */
    }
}

static void on_secure(struct node *n, const struct smqtt_client_event *event)
{
    if (event->secure.type == SMQTT_EV_REGISTERED) {
        assert_int_equal(event->secure.err, SMQTT_OK);
        n->registered = true;
    }
    if (event->secure.type == SMQTT_EV_LOST || (event->secure.type == SMQTT_EV_REFUSED && n == server)) {
        bool repeated = event->secure.err == SMQTT_E_REPLAY;  /* on a line that broke */
        assert_true(aways != 0 || (repeated && lines_break)); /* DETECT that is on its way to it is lost then */
    }
    n->open = n->open || (event->secure.type == SMQTT_EV_OPEN && event->secure.confirmed);
    for (unsigned i = 0; i < n->sent && event->token != 0; i++) {
        if (n->tokens[i] == event->token) {
            on_outcome(n, i, &event->secure);
            break;
        }
    }
}

static void on_message(const struct smqtt_client_event *event)
{
    unsigned from, i;
    char text[16] = {0};
    assert_int_equal(event->secure.type, SMQTT_EV_MESSAGE);
    assert_true(event->payload.len < sizeof text);
    memcpy(text, event->payload.data, event->payload.len);
    assert_int_equal(sscanf(text, "%u %u", &from, &i), 2);
    publishers[from].delivered[i]++;
}

static void on_event(struct node *n, const struct smqtt_client_event *event)
{
    const struct smqtt_subscription all = {smq_span_str("s/#"), 1};
    switch (event->type) {
    case SMQTT_CLIENT_CONNECTED:
        n->connected = true;
        if (n == server) {
            assert_int_equal(smqtt_client_subscribe(n->mqtt, &all, 1, NULL, bed.now), SMQTT_OK);
        }
        break;
    case SMQTT_CLIENT_MESSAGE:
        assert_ptr_equal(n, server);
        on_message(event);
        break;
    case SMQTT_CLIENT_SECURE:
        on_secure(n, event);
        break;
    case SMQTT_CLIENT_CLOSED:
        n->connected = n->registered = false;
        if (!lines_break) {
            fail_msg("%s: closed: %s, reason %u", n->id, smqtt_strerror(event->err), event->reason);
        }
        break;
    case SMQTT_CLIENT_NONE:
    case SMQTT_CLIENT_REFUSED:
    case SMQTT_CLIENT_PUBLISHED:
    case SMQTT_CLIENT_SUBSCRIBED:
    case SMQTT_CLIENT_UNSUBSCRIBED:
    case SMQTT_CLIENT_QUARANTINED:
        break;
    }
}

static void pull(struct node *n)
{
    struct smqtt_client_event event;
    while (smqtt_client_next(n->mqtt, &event)) {
        on_event(n, &event);
    }
}

/* ------------------------------------------------------------ steps */

/** Some bytes one way or the other, as a transport cuts them. */
static void move_bytes(struct node *n)
{
    smq_span out = smqtt_client_output(n->mqtt);
    if (out.len != 0 && n->line->conn != NULL && chance(2) == 0) {
        size_t part = 1 + chance(out.len);
        client_feed(n->line, out.data, part);
        smqtt_client_sent(n->mqtt, part, bed.now);
    }
    smq_span in = smq_bytebuf_span(&n->line->in);
    if (in.len != 0 && chance(2) == 0) {
        size_t part = 1 + chance(in.len);
        uint8_t *copy = malloc(part);
        memcpy(copy, in.data, part);
        smqtt_client_feed(n->mqtt, smq_span_of(copy, part), bed.now);
        pull(n);
        free(copy);
        smq_bytebuf_consume(&n->line->in, part);
    }
}

/** It finds out that its line has ended, or ends it. */
static void look_after_line(struct node *n)
{
    if (n->line != NULL && (smqtt_client_wants_close(n->mqtt) || (n->line->conn == NULL && n->line->in.len == 0))) {
        line_drop(n);
        smqtt_client_lost(n->mqtt, SMQTT_E_IO, bed.now);
        pull(n);
    }
}

static void node_step(struct node *n)
{
    if (n->mqtt == NULL) {
        return;
    }
    if (smqtt_client_deadline(n->mqtt) <= bed.now.mono) {
        smqtt_client_tick(n->mqtt, bed.now);
    }
    pull(n);
    if (n->line == NULL) {
        for (size_t i = 0; i < NODES; i++) {
            look_after_line(&nodes[i]); /* the bed gives lines that have ended to others */
        }
        line_open(n);
    }
    move_bytes(n);
    pull(n);
    look_after_line(n);
}

static bool all_confirmed(void)
{
    for (size_t i = 0; i < PUBLISHERS; i++) {
        for (size_t k = 0; k < MESSAGES; k++) {
            if (!publishers[i].confirmed[k]) {
                return false;
            }
        }
    }
    return true;
}

static void step(void)
{
    bed_step(&bed);
    node_step(&nodes[chance(NODES)]);
    struct node *n = &publishers[chance(PUBLISHERS)];
    if (n->mqtt != NULL && n->sent < MESSAGES && chance(60) == 0) {
        publish(n, n->sent++);
    }
}

static bool all_done(void)
{
    bool done = all_confirmed();
    for (size_t i = 0; i < PUBLISHERS; i++) {
        done = done && publishers[i].open; /* the acknowledgement came, too */
    }
    return done;
}

/** The server as a whole has nothing in its hands: what it would lose if it were killed. */
static bool server_is_idle(void)
{
    return server->registered && server->line->conn != NULL && server->line->kept == 0 &&
           smqtt_client_output(server->mqtt).len == 0;
}

/** It is killed between two messages, and comes back at once, maybe on another machine, without its state. */
static void server_restart(void)
{
    bool forget = chance(2) == 0;
    node_kill(server);
    aways++;
    if (forget) {
        cut_store_deinit(&server->store);
        cut_store_init(&server->store);
        forgets++;
    } else {
        cut_store_cut(&server->store);
    }
    node_start(server);
}

/* ------------------------------------------------------------ worlds */

static void world_start(unsigned count, uint64_t seed)
{
    bed_init(&bed);
    bed.count = count;
    bed.rng = seed * 104729 + count;
    if (seed % 3 == 0) { /* the broker acknowledges what it has stored */
        disk_init(&disk);
        bed.disk = &disk;
    }
    bed_start(&bed);
    bed.slowly = true;
    const struct smqtt_rng rng = {.fill = random_fill};
    assert_int_equal(smqtt_identity_new(NULL, &rng, seed % 2 == 0 ? "x25519" : "p256", "server", 0, 0, 0, &identity),
                     SMQTT_OK);
    memset(nodes, 0, sizeof nodes);
    world_count = count;
    world_seed = seed;
    aways = forgets = 0;
    for (unsigned i = 0; i < NODES; i++) {
        snprintf(nodes[i].id, sizeof nodes[i].id, "node%u", i);
        nodes[i].tunnel = chance(3) == 0;
        cut_store_init(&nodes[i].store);
        node_start(&nodes[i]);
    }
}

static void world_stop(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        node_kill(&nodes[i]);
        cut_store_deinit(&nodes[i].store);
    }
    smqtt_identity_free(identity);
    bed_stop(&bed);
    if (world_seed % 3 == 0) {
        disk_free(&disk);
    }
    world_seed = 0;
}

/** After a failure: which world was it, and what is not confirmed there? */
static int tell_where(void **state)
{
    (void)state;
    if (world_seed == 0) {
        return 0;
    }
    print_message("%u workers, seed %u, server %s:", world_count, (unsigned)world_seed,
                  server->tunnel ? "in the tunnel" : "native");
    for (size_t i = 0; i < PUBLISHERS; i++) {
        const struct node *n = &publishers[i];
        print_message(" %s%s%s", n->id, n->tunnel ? ", in the tunnel" : "", n->open ? ", open" : "");
        for (unsigned k = 0; k < n->sent; k++) {
            print_message(" %u:%u%s", k, n->delivered[k], n->confirmed[k] ? "" : "!");
        }
    }
    print_message("\n");
    return 0;
}

static void nothing_is_waited_for(unsigned count, uint64_t seed)
{
    world_start(count, seed);
    lines_break = false;
    for (size_t i = 0; i < STEPS && !server->registered; i++) {
        bed_step(&bed);
        node_step(server);
    }
    assert_true(server->registered);
    for (size_t i = 0; i < STEPS && !all_done(); i++) {
        step();
    }
    assert_true(all_done());
    for (size_t i = 0; i < PUBLISHERS; i++) {
        for (size_t k = 0; k < MESSAGES; k++) {
            assert_int_equal(publishers[i].delivered[k], 1);
        }
    }
    world_stop();
}

static void healthy_lines(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= BED_WORKERS; count++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            nothing_is_waited_for(count, seed);
        }
    }
}

static void all_is_confirmed_in_the_end(unsigned count, uint64_t seed)
{
    world_start(count, seed);
    lines_break = true;
    smqtt_ms end = bed.now.mono + PATIENCE_MS;
    unsigned evils = 8;
    while (!all_confirmed() && bed.now.mono < end) {
        step();
        if (chance(20) == 0) {
            bed_pass(&bed, 1 + chance(100));
        }
        if (evils != 0 && chance(300) == 0) {
            line_break(&nodes[chance(NODES)]);
            evils--;
        } else if (evils != 0 && chance(300) == 0 && server_is_idle()) {
            server_restart();
            evils--;
        }
    }
    assert_true(all_confirmed());
    for (size_t i = 0; i < PUBLISHERS; i++) {
        for (size_t k = 0; k < MESSAGES; k++) {
            assert_true(publishers[i].delivered[k] >= 1 && publishers[i].delivered[k] <= 1 + forgets);
        }
    }
    world_stop();
}

static void lines_that_break(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= BED_WORKERS; count++) {
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            all_is_confirmed_in_the_end(count, seed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(healthy_lines, tell_where),
                                       cmocka_unit_test_teardown(lines_that_break, tell_where)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
