/* SPDX-License-Identifier: Apache-2.0 */
/* The loop with a worker that the test plays itself: packets are a length byte and as many bytes, each is echoed. What
 * the shell owes a worker is seen here: nothing lost, nothing twice, pauses kept, fates obeyed. */
#include "../test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "base/bytebuf.h"
#include "net/loop_parts.h"
#include "played_worker.h"

/* ---------------------------------------------------------------- the test's side */

static struct smq_listener_config listener;
static struct smq_broker_config config;
static struct smq_settings *settings;
static struct smq_post *post;
static struct smq_loop *loops[2];
static uint16_t port;

static void listen_at(struct smq_loop *loop, struct smq_site *site)
{
    struct smq_sockets_how how = {.loops = 1};
    struct smq_opened opened = {.site = site};
    assert_int_equal(smq_sockets_open(site->listener, &how, &opened.sockets, NULL), SMQTT_OK);
    port = opened.sockets.at[0].port;
    smq_loop_listen(loop, &opened);
}

static int begin(void **state)
{
    (void)state;
    listener = (struct smq_listener_config){.local_only = true};
    config = (struct smq_broker_config){.listeners = &listener};
    assert_int_equal(smq_post_new(NULL, 2, &post), SMQTT_OK);
    assert_int_equal(smq_settings_new(NULL, &config, NULL, NULL, NULL, &settings), SMQTT_OK);
    settings->tcp_nodelay = true;
    struct smq_loop_env env = {.rng = smqtt_system_rng(), .post = post, .read_size = 8192};
    for (unsigned i = 0; i < 2; i++) {
        env.index = i;
        assert_int_equal(smq_loop_new(&env, settings, &loops[i]), SMQTT_OK);
    }
    listen_at(loops[0], &settings->sites[0]);
    echo = true;
    batch_size = 100;
    on_batch = NULL;
    return 0;
}

static int end(void **state)
{
    (void)state;
    smq_post_free(post, smq_loop_drop_mail, NULL);
    smq_loop_free(loops[0]);
    smq_loop_free(loops[1]);
    assert_int_equal(settings->sites[0].place->connections, 0);
    assert_int_equal(settings->refs, 1);
    smq_settings_unref(settings);
    return 0;
}

static int dial(int receive_buffer)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (receive_buffer != 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void turn(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        smq_loop_turn(loops[0], 0);
        smq_loop_turn(loops[1], 0);
    }
}

/* Sends all of `bytes` and reads as much back, turning the loops; false when the other side closed first. */
static bool exchange(int fd, const uint8_t *bytes, size_t len, size_t step, uint8_t *back)
{
    size_t sent = 0;
    size_t got = 0;
    for (unsigned idle = 0; got < len && idle < 20000;) {
        ssize_t n = sent < len ? send(fd, bytes + sent, len - sent < step ? len - sent : step, MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        turn(1);
        ssize_t r = recv(fd, back + got, len - got, 0);
        if (r == 0) {
            return false;
        }
        got += r > 0 ? (size_t)r : 0;
        idle = n > 0 || r > 0 ? 0 : idle + 1;
    }
    return got == len;
}

/* Packets of all sizes around the edges of the buffers, cut at `step`, come back as they were. */
static void whatever_the_cuts_nothing_is_lost(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,    1,     254,   4000,  4096,   4097, 8191,  8192,
                                   8193, 12287, 12289, 70000, 200000, 3,    600000};
    static const size_t steps[] = {1000000, 9000, 8192, 4097, 4096, 777};
    static uint8_t bytes[1200000];
    static uint8_t back[sizeof bytes];
    size_t len = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        bytes[len++] = n < BIG ? (uint8_t)n : BIG;
        if (n >= BIG) {
            bytes[len++] = (uint8_t)(n >> 16);
            bytes[len++] = (uint8_t)(n >> 8);
            bytes[len++] = (uint8_t)n;
        }
        for (size_t k = 0; k < n; k++) {
            bytes[len++] = (uint8_t)(k * 7 + n);
        }
    }
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int fd = dial(0);
        memset(back, 0, sizeof back);
        assert_true(exchange(fd, bytes, len, steps[i], back));
        assert_memory_equal(back, bytes, len);
        close(fd);
        turn(3);
        assert_int_equal(workers[0].opened, workers[0].released);
        assert_int_equal(workers[0].lost_err, SMQTT_OK);
    }
}

static void single_bytes_and_small_spans(void **state)
{
    (void)state;
    static const uint8_t bytes[] = "\x03"
                                   "abc\x00\x05"
                                   "hello\xFF\x00\x00\x02xy\x01z";
    uint8_t back[sizeof bytes - 1];
    workers[0].spans = 1;
    int fd = dial(0);
    assert_true(exchange(fd, bytes, sizeof back, 1, back));
    assert_memory_equal(back, bytes, sizeof back);
    close(fd);
}

/* One who does not read keeps what is for it; nothing is lost and the loop does not wait for it. */
static void output_waits_for_a_slow_reader(void **state)
{
    (void)state;
    int slow = dial(4096);
    turn(3);
    assert_int_equal(workers[0].opened, 1);
    static uint8_t large[3000000];
    for (size_t i = 0; i < sizeof large; i++) {
        large[i] = (uint8_t)(i * 31 >> 3);
    }
    struct smq_conn *conn = &workers[0].conns[0];
    assert_int_equal(smq_bytebuf_append(&conn->out, smq_span_of(large, sizeof large)), SMQTT_OK);
    conn->dirty = true;
    turn(5);
    assert_true(conn->out.len > 0 && conn->out.len < sizeof large);
    size_t got = 0;
    static uint8_t back[sizeof large];
    for (unsigned i = 0; i < 100000 && got < sizeof large; i++) {
        ssize_t r = recv(slow, back + got, sizeof back - got, 0);
        got += r > 0 ? (size_t)r : 0;
        turn(1);
    }
    assert_int_equal(got, sizeof large);
    assert_memory_equal(back, large, sizeof large);
    close(slow);
}

static void a_pause_stops_reading_and_loses_nothing(void **state)
{
    (void)state;
    int fd = dial(0);
    uint8_t back[64];
    assert_int_equal(send(fd,
                          "\x05pause\x01"
                          "a\x01"
                          "b",
                          10, 0),
                     10);
    turn(4);
    struct smq_conn *conn = &workers[0].conns[0];
    assert_int_equal(conn->in.len, 6);
    static uint8_t more[1000000];
    while (send(fd, more, sizeof more, MSG_NOSIGNAL) > 0) {
    }
    turn(20);
    assert_int_equal(conn->in.len, 6);
    assert_int_equal(recv(fd, back, sizeof back, 0), 6);
    conn->paused = false;
    conn->dirty = true;
    echo = false;
    turn(3);
    assert_true(conn->in.len > 10);
    assert_memory_equal(smq_bytebuf_span(&conn->in).data + 6,
                        "\x01"
                        "a\x01"
                        "b",
                        4);
    close(fd);
}

static void what_was_kept_in_a_pause_is_taken_after_it(void **state)
{
    (void)state;
    int fd = dial(0);
    assert_int_equal(send(fd,
                          "\x05pause\x01"
                          "a",
                          8, 0),
                     8);
    turn(4);
    struct smq_conn *conn = &workers[0].conns[0];
    assert_int_equal(conn->in.len, 6);
    conn->paused = false;
    conn->dirty = true;
    turn(2);
    assert_int_equal(conn->in.len, 8);
    close(fd);
}

static void fates_are_obeyed(void **state)
{
    (void)state;
    uint8_t back[16];
    int fd = dial(0);
    assert_int_equal(send(fd,
                          "\x03"
                          "bye\x04more",
                          9, 0),
                     9);
    turn(4);
    assert_int_equal(recv(fd, back, sizeof back, 0), 4);
    assert_int_equal(recv(fd, back, sizeof back, 0), 0); /* an orderly end, although something was left unread */
    assert_int_equal(workers[0].released, 1);
    close(fd);
    fd = dial(0);
    assert_int_equal(send(fd, "\x03now", 4, 0), 4);
    turn(4);
    assert_true(recv(fd, back, sizeof back, 0) <= 0);
    assert_int_equal(workers[0].released, 2);
    close(fd);
    fd = dial(0);
    turn(2);
    struct linger hard = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd); /* a reset */
    turn(4);
    assert_int_equal(workers[0].lost_err, SMQTT_E_IO);
    assert_int_equal(workers[0].released, 3);
}

static void a_connection_moves_with_its_unread_bytes(void **state)
{
    (void)state;
    uint8_t back[16];
    int fd = dial(0);
    assert_int_equal(send(fd, "\x04move\x02hi\x09par", 12, 0), 12);
    turn(6);
    assert_int_equal(workers[0].released, 1);
    assert_int_equal(workers[1].opened, 1);
    assert_int_equal(recv(fd, back, sizeof back, 0), 8);
    assert_memory_equal(back, "\x04move\x02hi", 8);
    assert_int_equal(send(fd, "ts of", 5, 0), 5);
    assert_int_equal(send(fd, "i", 1, 0), 1);
    turn(6);
    assert_int_equal(recv(fd, back, sizeof back, 0), 10);
    assert_memory_equal(back, "\x09parts ofi", 10);
    close(fd);
}

static void the_end_lets_output_leave_and_is_bounded(void **state)
{
    (void)state;
    uint8_t back[16];
    int fd = dial(0);
    turn(3);
    assert_int_equal(smq_bytebuf_append(&workers[0].conns[0].out, smq_span_str("last")), SMQTT_OK);
    smq_loop_shutdown(loops[0], 1000);
    assert_true(smq_loop_turn(loops[0], 0));
    assert_int_equal(recv(fd, back, sizeof back, 0), 4);
    assert_int_equal(recv(fd, back, sizeof back, 0), 0);
    close(fd);
    assert_false(smq_loop_turn(loops[0], 0));
}

static void batches_come_whole_and_in_order(void **state)
{
    (void)state;
    workers[0].to_say = 5000;
    turn(500);
    assert_int_equal(workers[1].heard, workers[0].said);
    assert_int_equal(workers[1].unsettled, 0);
    /* One who does not take them: what finds no place stays with the worker, and it is told so. */
    for (unsigned i = 0; i < 3000; i++) {
        smq_loop_turn(loops[0], 0);
    }
    assert_true(workers[0].peer_full);
    unsigned left = workers[0].to_say;
    assert_true(left != 0);
    smq_loop_turn(loops[0], 0);
    assert_int_equal(workers[0].to_say, left);
    turn(6000);
    assert_false(workers[0].peer_full);
    assert_int_equal(workers[0].to_say, 0);
    assert_int_equal(workers[1].heard, 5000);
}

static void say_more(void)
{
    workers[0].to_say++;
    smq_exchange_give(loops[0]);
}

/* Questions are answered in each turn, whether there was mail or not, and when its rounds find more and more. */
static void a_turn_settles_once(void **state)
{
    (void)state;
    unsigned before = workers[1].settled;
    workers[1].rounds_wanted = 5; /* what was asked in this turn is answered in it */
    smq_loop_turn(loops[1], 0);
    assert_int_equal(workers[1].rounds_wanted, 0);
    assert_int_equal(workers[1].settled, before + 1);
    on_batch = say_more;
    say_more();
    for (unsigned i = 1; i <= 10; i++) {
        unsigned heard = workers[1].heard;
        smq_loop_turn(loops[1], -1); /* does not wait: more is there */
        assert_int_equal(workers[1].settled, before + 1 + i);
        assert_true(workers[1].heard > heard);
    }
    on_batch = NULL;
}

static void many_bytes_on_their_way_count_as_full(void **state)
{
    (void)state;
    batch_size = 1 << 20;
    workers[0].to_say = 20;
    for (unsigned i = 0; i < 10; i++) {
        smq_loop_turn(loops[0], 0);
    }
    assert_true(workers[0].peer_full);
    assert_int_equal(workers[0].to_say, 0); /* two a turn, and all were given: full is only said */
    smq_loop_turn(loops[1], 0);
    smq_loop_turn(loops[0], 0);
    assert_false(workers[0].peer_full);
}

/* While a peer has no place for what this worker says, nobody gets an acknowledgement for it. */
static void no_byte_leaves_before_the_mail(void **state)
{
    (void)state;
    uint8_t back[8];
    int fd = dial(0);
    turn(3);
    workers[0].to_say = 3000;
    for (unsigned i = 0; i < 3000; i++) {
        smq_loop_turn(loops[0], 0);
    }
    assert_int_equal(send(fd, "\x02hi", 3, 0), 3);
    for (unsigned i = 0; i < 10; i++) {
        smq_loop_turn(loops[0], 0);
    }
    assert_int_equal(workers[0].conns[0].in.len, 3);
    assert_true(recv(fd, back, sizeof back, 0) < 0);
    turn(2000);
    assert_int_equal(recv(fd, back, sizeof back, 0), 3);
    close(fd);
}

static void a_listener_has_its_own_limit(void **state)
{
    (void)state;
    uint8_t back[4];
    listener.max_connections = 2;
    int fds[3];
    for (unsigned i = 0; i < 3; i++) {
        fds[i] = dial(0);
        turn(3);
    }
    assert_int_equal(workers[0].opened, 2);
    assert_int_equal(recv(fds[2], back, sizeof back, 0), 0);
    /* One that moves is counted on. */
    assert_int_equal(send(fds[0], "\x04move", 5, 0), 5);
    turn(6);
    assert_int_equal(settings->sites[0].place->connections, 2);
    close(fds[0]);
    turn(6);
    int fd = dial(0);
    turn(3);
    assert_int_equal(workers[0].opened, 3);
    for (unsigned i = 1; i < 3; i++) {
        close(fds[i]);
    }
    close(fd);
}

static unsigned releases;

static void released(void *ctx)
{
    (void)ctx;
    releases++;
}

static void other_settings_reach_connections_and_free_the_old(void **state)
{
    (void)state;
    struct smq_listener_config other = {.local_only = true, .allow_anonymous = true, .max_connections = 1};
    struct smq_listener_config mounted = {.local_only = true, .mount_point = (char[]){"m/"}};
    struct smq_broker_config configs[] = {{.listeners = &other}, {.listeners = &mounted}, {.listeners = NULL}};
    struct smq_settings *next[3];
    const struct smq_settings *before = settings;
    int fd = dial(0);
    uint8_t back[8];
    turn(3);
    releases = 0;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(smq_settings_new(NULL, &configs[i], before, released, NULL, &next[i]), SMQTT_OK);
        before = next[i];
    }
    smq_loop_configure(loops[0], next[0]);
    assert_ptr_equal(workers[0].conns[0].listener, &other);
    /* The listener is the same socket, and its limit counts who was there before. */
    int second = dial(0);
    turn(3);
    assert_int_equal(recv(second, back, sizeof back, 0), 0);
    close(second);
    /* A connection cannot follow to another mount_point. It keeps its settings alive, and dies with them. */
    smq_loop_configure(loops[0], next[1]);
    assert_ptr_equal(workers[0].conns[0].listener, &other);
    smq_settings_unref(next[0]);
    assert_int_equal(releases, 0);
    smq_loop_configure(loops[0], next[2]);
    smq_settings_unref(next[1]);
    assert_int_equal(releases, 1);
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    second = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(second, (struct sockaddr *)&addr, sizeof addr), -1);
    close(second);
    assert_int_equal(send(fd, "\x02hi", 3, 0), 3);
    turn(3);
    assert_int_equal(recv(fd, back, sizeof back, 0), 3);
    close(fd);
    turn(3);
    assert_int_equal(releases, 2);
    smq_loop_configure(loops[0], settings);
    smq_settings_unref(next[2]);
    assert_int_equal(releases, 3);
}

static void a_port_in_use_is_one_sentence(void **state)
{
    (void)state;
    struct smq_listener_config same = {.local_only = true, .port = port};
    struct smq_sockets_how how = {.loops = 1};
    struct smq_sockets set;
    struct smq_why why = {""};
    assert_int_equal(smq_sockets_open(&same, &how, &set, &why), SMQTT_E_IO);
    assert_non_null(strstr(why.text, "another program uses it"));
    same = (struct smq_listener_config){.address = (char[]){"no.such.host.invalid"}, .port = port};
    assert_int_equal(smq_sockets_open(&same, &how, &set, &why), SMQTT_E_IO);
    assert_non_null(strstr(why.text, "no.such.host.invalid"));
    same = (struct smq_listener_config){.bind_device = (char[]){"nodevice7"}, .port = port};
    assert_int_equal(smq_sockets_open(&same, &how, &set, &why), SMQTT_E_IO);
    assert_non_null(strstr(why.text, "nodevice7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_the_cuts_nothing_is_lost, begin, end),
        cmocka_unit_test_setup_teardown(single_bytes_and_small_spans, begin, end),
        cmocka_unit_test_setup_teardown(output_waits_for_a_slow_reader, begin, end),
        cmocka_unit_test_setup_teardown(a_pause_stops_reading_and_loses_nothing, begin, end),
        cmocka_unit_test_setup_teardown(what_was_kept_in_a_pause_is_taken_after_it, begin, end),
        cmocka_unit_test_setup_teardown(fates_are_obeyed, begin, end),
        cmocka_unit_test_setup_teardown(a_connection_moves_with_its_unread_bytes, begin, end),
        cmocka_unit_test_setup_teardown(the_end_lets_output_leave_and_is_bounded, begin, end),
        cmocka_unit_test_setup_teardown(batches_come_whole_and_in_order, begin, end),
        cmocka_unit_test_setup_teardown(a_turn_settles_once, begin, end),
        cmocka_unit_test_setup_teardown(many_bytes_on_their_way_count_as_full, begin, end),
        cmocka_unit_test_setup_teardown(no_byte_leaves_before_the_mail, begin, end),
        cmocka_unit_test_setup_teardown(a_listener_has_its_own_limit, begin, end),
        cmocka_unit_test_setup_teardown(other_settings_reach_connections_and_free_the_old, begin, end),
        cmocka_unit_test_setup_teardown(a_port_in_use_is_one_sentence, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
