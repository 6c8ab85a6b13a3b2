/* SPDX-License-Identifier: Apache-2.0 */
/* Logins that are checked elsewhere, the AUTH exchange, and what a new configuration changes. */
#include "harness.h"
#include "broker/auth.h"

static struct bed bed;

static int setup(void **state)
{
    (void)state;
    bed_init(&bed);
    return 0;
}

/* ------------------------------------------------------------ a check elsewhere */

static struct {
    unsigned n;
    uint64_t ticket;
    char peer[64], password[16];
    smqtt_err err;
} deferred;

static smqtt_err run(const struct smq_login_work *work, smq_span password)
{
    return span_is(password, "right") && work->room[0] == 7 ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED;
}

static smqtt_err slow_login(void *ctx, const struct smq_principal *who, const smq_span *password,
                            struct smq_login_work *work)
{
    unsigned *asked = ctx;
    ++*asked;
    if (password == NULL) {
        return who->has_user ? SMQTT_E_NOT_AUTHORIZED : SMQTT_OK;
    }
    work->run = run;
    work->room[0] = 7;
    return SMQTT_E_AGAIN;
}

static smqtt_err defer(void *ctx, uint64_t ticket, const char *peer, const struct smq_login_work *work,
                       smq_span password)
{
    assert_ptr_equal(ctx, &deferred);
    if (deferred.err != SMQTT_OK) {
        return deferred.err;
    }
    deferred.n++;
    deferred.ticket = ticket;
    snprintf(deferred.peer, sizeof deferred.peer, "%s", peer);
    snprintf(deferred.password, sizeof deferred.password, "%.*s", (int)password.len, (const char *)password.data);
    assert_int_equal(work->room[0], 7);
    return SMQTT_OK;
}

static unsigned asked;
static const struct smq_auth slow = {.login = slow_login, .ctx = &asked};

static void start_slow(bool elsewhere)
{
    asked = 0;
    memset(&deferred, 0, sizeof deferred);
    bed.listener.auth = &slow;
    if (elsewhere) {
        bed.env.defer = defer;
        bed.env.defer_ctx = &deferred;
    }
    bed_start(&bed);
}

static struct smq_packet login_packet(const char *id, const char *password)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, id, true);
    pkt.connect.has_user = pkt.connect.has_password = true;
    pkt.connect.user = smq_span_str("u");
    pkt.connect.password = smq_span_str(password);
    return pkt;
}

/* As the shell: what was kept is fed again. */
static void answer(struct client *c, uint64_t ticket, smqtt_err err)
{
    smq_worker_login_ready(bed.w, ticket, err, bed.now);
    assert_false(smq_conn_paused(c->conn));
    client_feed(c, "", 0);
}

static void connect_stays_unread_until_the_answer(void **state)
{
    (void)state;
    start_slow(true);
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = login_packet("x", "right");
    client_send(c, &pkt);
    client_expect_none(c);
    assert_true(smq_conn_paused(c->conn));
    assert_true(c->kept > 10);
    assert_string_equal(deferred.password, "right");
    assert_string_equal(deferred.peer, "test");
    client_feed(c, "\xc0\x00", 2); /* what comes meanwhile waits */
    client_expect_none(c);
    /* The wait is ours: no time runs out. Others go on. */
    bed_pass(&bed, 600000);
    assert_non_null(c->conn);
    struct client *other = client_connect(&bed, SMQTT_V5, "other", true);
    client_expect_alive(other);
    smq_worker_login_ready(bed.w, deferred.ticket + 1000, SMQTT_OK, bed.now); /* of nobody here */
    client_feed(c, "", 0);
    client_expect_none(c);
    bed_stop(&bed);
}

static void the_answer_counts(void **state)
{
    (void)state;
    start_slow(true);
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = login_packet("x", "right");
    client_send(c, &pkt);
    client_feed(c, "\xc0\x00", 2);
    answer(c, deferred.ticket, SMQTT_OK);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0);
    client_expect(c, SMQ_PINGRESP);
    assert_int_equal(asked, 1);
    assert_int_equal(deferred.n, 1);
    struct client *d = client_open(&bed, SMQTT_V5);
    client_send(d, &pkt);
    answer(d, deferred.ticket, SMQTT_E_NOT_AUTHORIZED);
    assert_int_equal(client_expect(d, SMQ_CONNACK)->connack.reason, 0x87);
    client_expect_closed(d);
    client_expect_alive(c); /* the one who is refused takes nothing over */
    bed_stop(&bed);
}

static void too_many_are_refused(void **state)
{
    (void)state;
    start_slow(true);
    deferred.err = SMQTT_E_BUSY;
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = login_packet("x", "right");
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x97);
    client_expect_closed(c);
    bed_stop(&bed);
}

static void who_leaves_is_forgotten(void **state)
{
    (void)state;
    start_slow(true);
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = login_packet("x", "right");
    client_send(c, &pkt);
    client_break(c);
    smq_worker_login_ready(bed.w, deferred.ticket, SMQTT_OK, bed.now);
    client_connect(&bed, SMQTT_V5, "other", true);
    bed_stop(&bed);
}

static void without_a_place_elsewhere_it_is_done_here(void **state)
{
    (void)state;
    start_slow(false);
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = login_packet("x", "right");
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0);
    c = client_open(&bed, SMQTT_V5);
    pkt = login_packet("y", "wrong");
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x87);
    bed_stop(&bed);
}

static void an_answer_of_an_old_table_does_not_count(void **state)
{
    (void)state;
    start_slow(true);
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = login_packet("x", "right");
    client_send(c, &pkt);
    uint64_t old = deferred.ticket;
    smq_worker_configure(bed.w, &bed.config, bed.now);
    answer(c, old, SMQTT_OK);
    client_expect_none(c);
    assert_int_equal(deferred.n, 2);
    answer(c, deferred.ticket, SMQTT_E_NOT_AUTHORIZED);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x87);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ the exchange */

/* Counts: the client must send "1", "2", … up to as many rounds as its first data say; then it is "user-of-method". */
struct counting {
    unsigned round, rounds;
    char text[16];
};

static unsigned n_states, n_again;
static const char *client_id;
static const char *method_user;

static smqtt_err count_begin(void *ctx, const struct smq_principal *who, bool again, void **state)
{
    assert_null(ctx);
    assert_true(who->client_id.len != 0);
    n_again += again;
    n_states++;
    *state = calloc(1, sizeof(struct counting));
    return SMQTT_OK;
}

static smqtt_err count_step(void *ctx, void *state, const smq_span *data, struct smq_auth_reply *reply)
{
    struct counting *c = state;
    (void)ctx;
    if (data == NULL || data->len != 1) {
        return SMQTT_E_NOT_AUTHORIZED;
    }
    unsigned said = (unsigned)(data->data[0] - '0');
    if (c->round == 0) {
        c->rounds = said;
    } else if (said != c->round) {
        return SMQTT_E_BAD_LOGIN;
    }
    snprintf(c->text, sizeof c->text, "r%u", c->round);
    reply->data = smq_span_str(c->text);
    if (c->round++ < c->rounds) {
        return SMQTT_E_AGAIN;
    }
    reply->user = smq_span_str(method_user);
    return SMQTT_OK;
}

static void count_end(void *ctx, void *state)
{
    (void)ctx;
    n_states--;
    free(state);
}

static char seen_user[32];

static bool see_user(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    (void)ctx;
    (void)topic;
    (void)kind;
    snprintf(seen_user, sizeof seen_user, "%.*s", (int)who->user.len, (const char *)who->user.data);
    return true;
}

static const struct smq_auth_method methods[] = {{"OTHER", count_begin, count_step, count_end},
                                                 {"COUNT", count_begin, count_step, count_end}};
static const struct smq_auth by_method = {.methods = methods, .n_methods = 2, .access = see_user};

static void start_method(void)
{
    n_states = n_again = 0;
    method_user = "user-of-method";
    client_id = "x";
    bed.listener.auth = &by_method;
    bed_start(&bed);
}

static struct smq_packet method_packet(const char *method, const char *data)
{
    struct smq_packet pkt = packet_connect(SMQTT_V5, client_id, true);
    smq_props_set_bytes(&pkt.connect.props, SMQ_PROP_AUTH_METHOD, smq_span_str(method));
    if (data != NULL) {
        smq_props_set_bytes(&pkt.connect.props, SMQ_PROP_AUTH_DATA, smq_span_str(data));
    }
    return pkt;
}

static void send_auth(struct client *c, uint8_t reason, const char *method, const char *data)
{
    struct smq_packet pkt = {.type = SMQ_AUTH};
    pkt.reasoned.reason = reason;
    smq_props_clear(&pkt.reasoned.props);
    smq_props_set_bytes(&pkt.reasoned.props, SMQ_PROP_AUTH_METHOD, smq_span_str(method));
    if (data != NULL) {
        smq_props_set_bytes(&pkt.reasoned.props, SMQ_PROP_AUTH_DATA, smq_span_str(data));
    }
    client_send(c, &pkt);
}

static void expect_auth(struct client *c, uint8_t reason, const char *data)
{
    const struct smq_reasoned *r = &client_expect(c, SMQ_AUTH)->reasoned;
    assert_int_equal(r->reason, reason);
    assert_true(span_is(smq_props_bytes(&r->props, SMQ_PROP_AUTH_METHOD), "COUNT"));
    assert_true(span_is(smq_props_bytes(&r->props, SMQ_PROP_AUTH_DATA), data));
    /* What would have to give way to the client's Maximum Packet Size is never there. */
    assert_false(smq_props_has(&r->props, SMQ_PROP_REASON_STRING));
    assert_false(smq_props_has(&r->props, SMQ_PROP_USER_PROPERTY));
}

static struct client *begin(const char *data)
{
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = method_packet("COUNT", data);
    client_send(c, &pkt);
    return c;
}

/* [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] */
static struct client *connected(void)
{
    struct client *c = begin("2");
    expect_auth(c, 0x18, "r0");
    send_auth(c, 0x18, "COUNT", "1");
    expect_auth(c, 0x18, "r1");
    send_auth(c, 0x18, "COUNT", "2");
    const struct smq_connack *ack = &client_expect(c, SMQ_CONNACK)->connack;
    assert_int_equal(ack->reason, 0);
    assert_true(span_is(smq_props_bytes(&ack->props, SMQ_PROP_AUTH_METHOD), "COUNT"));
    assert_true(span_is(smq_props_bytes(&ack->props, SMQ_PROP_AUTH_DATA), "r2"));
    assert_int_equal(n_states, 0);
    return c;
}

/* v5 [MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-3.15.2-2] [MQTT-3.15.2-3] */
static void rounds_in_connect(void **state)
{
    (void)state;
    start_method();
    struct client *c = connected();
    client_subscribe(c, "a", 0);
    assert_string_equal(seen_user, "user-of-method");
    client_expect_alive(c);
    /* Without a round. */
    c = begin("0");
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0);
    bed_stop(&bed);
}

/* v5 [MQTT-4.12.0-1] */
static void methods_that_are_not_there(void **state)
{
    (void)state;
    start_method();
    struct client *c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = method_packet("count", "0");
    client_send(c, &pkt);
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x8C); /* [MQTT-4.12.0-1] */
    client_expect_closed(c);
    bed.listener.auth = NULL;
    c = begin("0");
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x8C);
    bed_stop(&bed);
}

/* v5 [MQTT-4.12.0-4] [MQTT-3.2.2-7] */
static void who_fails_is_refused(void **state)
{
    (void)state;
    start_method();
    struct client *c = begin(NULL); /* at once [MQTT-4.12.0-4] */
    const struct smq_connack *ack = &client_expect(c, SMQ_CONNACK)->connack;
    assert_int_equal(ack->reason, 0x87);
    client_expect_closed(c);
    c = begin("2");
    expect_auth(c, 0x18, "r0");
    send_auth(c, 0x18, "COUNT", "7");
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x86);
    client_expect_closed(c);
    assert_int_equal(n_states, 0);
    bed_stop(&bed);
}

/* v5 [MQTT-3.14.0-1] */
static void nothing_else_comes_before_connack(void **state)
{
    (void)state;
    start_method();
    struct client *c = begin("1");
    expect_auth(c, 0x18, "r0");
    client_feed(c, "\xc0\x00", 2); /* [MQTT-3.1.2-30] */
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x82);
    client_expect_closed(c);
    c = begin("1");
    expect_auth(c, 0x18, "r0");
    send_auth(c, 0x18, "OTHER", "1"); /* [MQTT-4.12.0-5] */
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x82);
    client_expect_closed(c);
    c = begin("1");
    expect_auth(c, 0x18, "r0");
    send_auth(c, 0x19, "COUNT", "1"); /* [MQTT-4.12.0-3] */
    assert_int_equal(client_expect(c, SMQ_CONNACK)->connack.reason, 0x82);
    client_expect_closed(c);
    c = begin("1");
    expect_auth(c, 0x18, "r0");
    client_feed(c, "\xe0\x00", 2);
    client_expect_none(c);
    client_expect_closed(c);
    c = begin("1");
    expect_auth(c, 0x18, "r0");
    client_break(c);
    c = begin("9"); /* and who comes to no end runs out of time, however much it says */
    for (unsigned i = 1; i <= 2; i++) {
        client_expect(c, SMQ_AUTH);
        bed_pass(&bed, 4000);
        send_auth(c, 0x18, "COUNT", i == 1 ? "1" : "2");
    }
    client_drain(c);
    bed_pass(&bed, 3000);
    client_expect_closed(c);
    assert_int_equal(n_states, 0);
    bed_stop(&bed);
}

/* v5 [MQTT-4.12.0-6] */
static void auth_needs_a_method_in_connect(void **state)
{
    (void)state;
    start_method();
    struct client *c = client_connect(&bed, SMQTT_V5, "plain", true);
    send_auth(c, 0x19, "COUNT", "0"); /* [MQTT-4.12.0-7] */
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, 0x82);
    client_expect_closed(c);
    /* [MQTT-4.12.0-6] */
    c = client_open(&bed, SMQTT_V5);
    struct smq_packet pkt = packet_connect(SMQTT_V5, "plain", true);
    client_send(c, &pkt);
    assert_false(smq_props_has(&client_expect(c, SMQ_CONNACK)->connack.props, SMQ_PROP_AUTH_METHOD));
    bed_stop(&bed);
}

static void a_login_is_repeated(void **state)
{
    (void)state;
    start_method();
    struct client *c = connected();
    client_subscribe(c, "a", 0);
    send_auth(c, 0x19, "COUNT", "1");
    expect_auth(c, 0x18, "r0");
    client_publish(c, "a", "meanwhile", 0, false); /* other packets go on */
    client_expect_publish(c, "a", "meanwhile");
    send_auth(c, 0x18, "COUNT", "1");
    expect_auth(c, 0x00, "r1");
    send_auth(c, 0x19, "COUNT", "0");
    expect_auth(c, 0x00, "r0");
    assert_int_equal(n_again, 2);
    assert_int_equal(n_states, 0);
    client_expect_alive(c);
    bed_stop(&bed);
}

/* v5 [MQTT-4.12.1-2] */
static void a_repeated_login_fails(void **state)
{
    (void)state;
    start_method();
    static const struct {
        uint8_t reason;
        const char *method, *data, *user;
        uint8_t want;
    } rows[] = {
        {0x19, "COUNT", NULL, "user-of-method", 0x87}, /* [MQTT-4.12.1-2] */
        {0x19, "OTHER", "0", "user-of-method", 0x82},  /* [MQTT-4.12.1-1] */
        {0x18, "COUNT", "0", "user-of-method", 0x82},  /* nothing is under way */
        {0x19, "COUNT", "0", "somebody else", 0x87},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client *c = connected();
        method_user = rows[i].user;
        send_auth(c, rows[i].reason, rows[i].method, rows[i].data);
        assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, rows[i].want);
        client_expect_closed(c);
        assert_int_equal(n_states, 0);
        method_user = "user-of-method";
    }
    struct client *c = connected();
    send_auth(c, 0x19, "COUNT", "2");
    expect_auth(c, 0x18, "r0");
    send_auth(c, 0x19, "COUNT", "2"); /* one at a time */
    assert_int_equal(client_expect(c, SMQ_DISCONNECT)->reasoned.reason, 0x82);
    bed_stop(&bed);
}

/* ------------------------------------------------------------ a new configuration */

static uint64_t stamps[2];

static uint64_t stamp(void *ctx, const struct smq_principal *who)
{
    (void)ctx;
    return stamps[who->has_user];
}

static bool closed;

static bool may(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    (void)ctx;
    (void)topic;
    return !(closed && kind == SMQ_ACCESS_READ) && who->role == stamps;
}

static const void *role(void *ctx, const struct smq_principal *who)
{
    (void)ctx;
    (void)who;
    return stamps;
}

static smqtt_err anybody(void *ctx, const struct smq_principal *who, const smq_span *password,
                         struct smq_login_work *work)
{
    (void)ctx;
    (void)who;
    (void)password;
    (void)work;
    return SMQTT_OK;
}

static void who_would_not_be_let_in_goes(void **state)
{
    (void)state;
    static const struct smq_auth auth = {.login = anybody, .stamp = stamp};
    bed.listener.auth = &auth;
    stamps[0] = 1;
    stamps[1] = 5;
    bed_start(&bed);
    struct client *nobody = client_connect(&bed, SMQTT_V5, "nobody", true);
    struct smq_packet pkt = login_packet("user", "x");
    struct client *user = client_connect_pkt(&bed, &pkt);
    smq_worker_configure(bed.w, &bed.config, bed.now);
    bed_turn(&bed);
    client_expect_alive(nobody);
    client_expect_alive(user);
    stamps[1] = 6; /* its password is another one */
    smq_worker_configure(bed.w, &bed.config, bed.now);
    bed_turn(&bed);
    assert_int_equal(client_expect(user, SMQ_DISCONNECT)->reasoned.reason, 0x87);
    client_expect_closed(user);
    client_expect_alive(nobody);
    bed.listener.auth = NULL; /* without a table the listener decides */
    bed.listener.allow_anonymous = false;
    smq_worker_configure(bed.w, &bed.config, bed.now);
    bed_turn(&bed);
    assert_int_equal(client_expect(nobody, SMQ_DISCONNECT)->reasoned.reason, 0x87);
    bed_stop(&bed);
}

static void sessions_are_judged_by_the_listener_they_came_through(void **state)
{
    (void)state;
    static const struct smq_auth auth = {.access = may, .role = role};
    bed.listener.auth = &auth;
    closed = false;
    bed_start(&bed);
    struct client *away = client_connect(&bed, SMQTT_V311, "away", false);
    client_subscribe(away, "#", 1);
    client_break(away);
    struct client *c = client_connect(&bed, SMQTT_V311, "c", true);
    client_publish(c, "a", "1", 1, false);
    /* This one's own is gone. */
    struct smq_listener_config other = {.id = 2, .allow_anonymous = true};
    struct smq_broker_config config = bed.config;
    config.listeners = &other;
    smq_worker_configure(bed.w, &config, bed.now);
    bed_turn(&bed);
    client_publish(c, "a", "judged later", 1, false); /* and it is back: */
    smq_worker_configure(bed.w, &bed.config, bed.now);
    bed_turn(&bed);
    client_publish(c, "a", "2", 1, false);
    closed = true;
    client_publish(c, "a", "not to be read", 1, false);
    closed = false;
    away = client_connect(&bed, SMQTT_V311, "away", false);
    client_take(away, "a", "1", 1);
    client_take(away, "a", "judged later", 1);
    client_take(away, "a", "2", 1);
    client_expect_none(away);
    bed_stop(&bed);
}

/* The old table may be gone soon: nothing may point into it. */
static void exchanges_follow_the_configuration(void **state)
{
    (void)state;
    start_method();
    struct client *done = connected();
    client_id = "again";
    struct client *again = connected();
    client_id = "begun";
    send_auth(again, 0x19, "COUNT", "1");
    expect_auth(again, 0x18, "r0");
    struct client *begun = begin("1");
    expect_auth(begun, 0x18, "r0");
    struct smq_auth_method moved = methods[1];
    struct smq_auth table = {.methods = &moved, .n_methods = 1};
    bed.listener.auth = &table;
    smq_worker_configure(bed.w, &bed.config, bed.now);
    bed_turn(&bed);
    assert_int_equal(client_expect(again, SMQ_DISCONNECT)->reasoned.reason, 0x87);
    client_expect_closed(again);
    client_expect_closed(begun);
    assert_int_equal(n_states, 0);
    send_auth(done, 0x19, "COUNT", "0");
    expect_auth(done, 0x00, "r0");
    table.n_methods = 0;
    struct smq_auth without = {.methods = NULL};
    bed.listener.auth = &without;
    smq_worker_configure(bed.w, &bed.config, bed.now);
    bed_turn(&bed);
    assert_int_equal(client_expect(done, SMQ_DISCONNECT)->reasoned.reason, 0x87);
    bed.listener.auth = NULL;
    bed_stop(&bed);
}

static char no_writer[16];

static bool may_write(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    (void)ctx;
    (void)topic;
    bool who_matters = kind == SMQ_ACCESS_WRITE;
    return !who_matters || (!span_is(who->client_id, no_writer) && !(who->has_user && span_is(who->user, no_writer)));
}

/* check_retain_source: what may no longer be written is no longer given to new subscribers. */
static void retained_messages_need_their_source(void **state)
{
    (void)state;
    static const struct smq_auth auth = {.access = may_write};
    bed.listener.auth = &auth;
    no_writer[0] = 0;
    bed_start(&bed);
    struct client *one = client_connect(&bed, SMQTT_V311, "one", true);
    client_publish(one, "r/1", "1", 1, true);
    struct smq_packet pkt = login_packet("two", "x");
    struct client *two = client_connect_pkt(&bed, &pkt);
    client_publish(two, "r/2", "2", 1, true);
    pkt = packet_connect(SMQTT_V5, "three", true);
    pkt.connect.has_will = true;
    pkt.connect.will.topic = smq_span_str("r/3");
    pkt.connect.will.payload = smq_span_str("3");
    pkt.connect.will.retain = true;
    client_break(client_connect_pkt(&bed, &pkt));
    struct client *c = client_connect(&bed, SMQTT_V311, "reader", true);
    static const struct {
        const char *no_writer;
        bool check;
        const char *left;
    } rows[] = {{"", true, "123"},       {"one", true, "23"},   {"u", true, "13"},   {"three", true, "12"},
                {"three", false, "123"}, {"one", false, "123"}, {"two", true, "13"}, {"reader", true, "123"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(no_writer, sizeof no_writer, "%s", rows[i].no_writer);
        bed.config.check_retain_source = rows[i].check;
        client_subscribe(c, "r/#", 0);
        char got[4] = "";
        const struct smq_packet *p;
        while ((p = client_next(c)) != NULL) {
            got[p->publish.payload.data[0] - '1'] = '!';
        }
        for (size_t j = 0; j < 3; j++) {
            bool want = strchr(rows[i].left, (int)('1' + j)) != NULL;
            assert_int_equal(got[j] == '!', want);
        }
    }
    /* Its listener is gone: nobody can tell what it may. */
    struct smq_listener_config other = {.id = 2, .allow_anonymous = true};
    struct smq_broker_config config = bed.config;
    config.listeners = &other;
    smq_worker_configure(bed.w, &config, bed.now);
    bed_turn(&bed);
    client_subscribe(c, "r/#", 0);
    client_expect_none(c);
    bed_stop(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(connect_stays_unread_until_the_answer, setup),
        cmocka_unit_test_setup(the_answer_counts, setup),
        cmocka_unit_test_setup(too_many_are_refused, setup),
        cmocka_unit_test_setup(who_leaves_is_forgotten, setup),
        cmocka_unit_test_setup(without_a_place_elsewhere_it_is_done_here, setup),
        cmocka_unit_test_setup(an_answer_of_an_old_table_does_not_count, setup),
        cmocka_unit_test_setup(rounds_in_connect, setup),
        cmocka_unit_test_setup(methods_that_are_not_there, setup),
        cmocka_unit_test_setup(who_fails_is_refused, setup),
        cmocka_unit_test_setup(nothing_else_comes_before_connack, setup),
        cmocka_unit_test_setup(auth_needs_a_method_in_connect, setup),
        cmocka_unit_test_setup(a_login_is_repeated, setup),
        cmocka_unit_test_setup(a_repeated_login_fails, setup),
        cmocka_unit_test_setup(who_would_not_be_let_in_goes, setup),
        cmocka_unit_test_setup(exchanges_follow_the_configuration, setup),
        cmocka_unit_test_setup(sessions_are_judged_by_the_listener_they_came_through, setup),
        cmocka_unit_test_setup(retained_messages_need_their_source, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
