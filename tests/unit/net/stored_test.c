/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop does for its store: with a worker and a store thread that the test plays. */
#include "../test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "net/loop_parts.h"
#include "played_worker.h"

/* ---------------------------------------------------------------- a store thread that is played */

struct smq_committer {
    struct smq_committer_news news;
    bool is_new;
    uint64_t given;          /* number of the last writes */
    bool batch_was_there[4]; /* when they were given */
    unsigned n_given;
};

static struct smq_committer committers[2];
static struct smq_post *post;

const struct smq_store_figures *smq_committer_figures(const struct smq_committer *c)
{
    (void)c;
    return NULL;
}

void smq_committer_give(struct smq_committer *c, struct smq_writes *writes)
{
    if (writes != NULL) {
        assert_true(c->n_given < 4);
        c->batch_was_there[c->n_given++] = smq_post_has_mail(post, 1, 0);
        c->given = writes->number;
        smq_writes_free(writes);
    }
}

bool smq_committer_has_news(const struct smq_committer *c, unsigned worker)
{
    (void)worker;
    return c->is_new;
}

void smq_committer_take(struct smq_committer *c, unsigned worker, struct smq_committer_news *out)
{
    (void)worker;
    *out = c->news;
    c->news.fetched = NULL;
    c->is_new = false;
}

/* ---------------------------------------------------------------- two loops */

static struct smq_listener_config listener;
static struct smq_broker_config config;
static struct smq_settings *settings;
static struct smq_loop *loops[2];
static int client;

static int begin(void **state)
{
    (void)state;
    listener = (struct smq_listener_config){.local_only = true};
    config = (struct smq_broker_config){.listeners = &listener};
    memset(committers, 0, sizeof committers);
    assert_int_equal(smq_post_new(NULL, 2, &post), SMQTT_OK);
    assert_int_equal(smq_settings_new(NULL, &config, NULL, NULL, NULL, &settings), SMQTT_OK);
    struct smq_loop_env env = {.rng = smqtt_system_rng(), .post = post, .read_size = 8192};
    for (unsigned i = 0; i < 2; i++) {
        env.index = i;
        env.committer = &committers[i];
        assert_int_equal(smq_loop_new(&env, settings, &loops[i]), SMQTT_OK);
    }
    struct smq_sockets_how how = {.loops = 1};
    struct smq_opened opened = {.site = &settings->sites[0]};
    assert_int_equal(smq_sockets_open(opened.site->listener, &how, &opened.sockets, NULL), SMQTT_OK);
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(opened.sockets.at[0].port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    smq_loop_listen(loops[0], &opened);
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(fcntl(client, F_SETFL, O_NONBLOCK), 0);
    for (unsigned i = 0; i < 4; i++) {
        smq_loop_turn(loops[0], 0);
    }
    assert_int_equal(workers[0].opened, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    close(client);
    smq_post_free(post, smq_loop_drop_mail, NULL);
    smq_loop_free(loops[0]);
    smq_loop_free(loops[1]);
    smq_settings_unref(settings);
    return 0;
}

/* ---------------------------------------------------------------- tests */

static void writes_leave_before_batches(void **state)
{
    (void)state;
    assert_true(workers[0].has_store);
    workers[0].writes = smq_writes_new(NULL, 0, 7);
    workers[0].to_say = 1;
    smq_loop_turn(loops[0], 0);
    assert_int_equal(committers[0].given, 7);
    assert_false(committers[0].batch_was_there[0]);
    assert_true(smq_post_has_mail(post, 1, 0));
}

static struct smq_fetched *fetched(uint64_t number, struct smq_fetched *next)
{
    struct smq_fetched *f = smq_fetched_new(NULL, 0, number);
    assert_non_null(f);
    f->next = next;
    return f;
}

static void news_are_told_in_order_and_not_slept_over(void **state)
{
    (void)state;
    committers[0].news =
        (struct smq_committer_news){.committed = 12, .fetched = fetched(3, fetched(4, NULL)), .state = SMQ_STORE_FULL};
    committers[0].is_new = true;
    smq_loop_turn(loops[0], -1); /* it would wait a minute */
    assert_int_equal(workers[0].committed, 12);
    assert_int_equal(workers[0].fetched, 4);
    assert_int_equal(workers[0].store, SMQ_STORE_FULL);
}

static void a_sleeper_is_roused(void **state)
{
    (void)state;
    assert_true(smq_post_sleep(post, 0));
    smq_post_rouse(post, 0);
    smq_post_rouse(post, 0); /* it is awake: nothing is to be done */
    uint64_t n = 0;
    assert_int_equal(read(smq_post_wake_fd(post, 0), &n, sizeof n), sizeof n);
    assert_int_equal(n, 1);
}

static void a_gate_keeps_a_connection_open(void **state)
{
    (void)state;
    struct smq_conn *conn = &workers[0].conns[0];
    const struct smq_transport *t = conn->user;
    uint8_t back[16];
    assert_int_equal(smq_bytebuf_append(&conn->out, smq_span_str("abcdef")), SMQTT_OK);
    conn->gate = 4;
    conn->dirty = true;
    smq_loop_turn(loops[0], 0);
    assert_int_equal(recv(client, back, sizeof back, 0), 2);
    assert_int_equal(t->armed, EPOLLIN); /* there is nothing that it may write */
    conn->fate = SMQ_FATE_CLOSE_AFTER_OUTPUT;
    conn->dirty = true;
    smq_loop_turn(loops[0], 0);
    assert_int_equal(recv(client, back, sizeof back, 0), -1); /* neither bytes nor the end */
    assert_true(conn->used);
    assert_non_null(t->end); /* but not for ever */
    conn->gate = 0;
    conn->dirty = true;
    smq_loop_turn(loops[0], 0);
    assert_int_equal(recv(client, back, sizeof back, 0), 4);
    assert_int_equal(recv(client, back, sizeof back, 0), 0);
    assert_false(conn->used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_leave_before_batches, begin, end),
        cmocka_unit_test_setup_teardown(news_are_told_in_order_and_not_slept_over, begin, end),
        cmocka_unit_test_setup_teardown(a_sleeper_is_roused, begin, end),
        cmocka_unit_test_setup_teardown(a_gate_keeps_a_connection_open, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
