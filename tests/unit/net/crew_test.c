/* SPDX-License-Identifier: Apache-2.0 */
/* Several loops with real workers in real threads, and clients of real sockets. */
#include "../test.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <smqtt/system.h>

#include "broker/rows.h"
#include "broker/writes.h"
#include "net/crew.h"
#include "store/committer.h"

#define CLIENTS 40

static struct smq_listener_config listeners[2];
static struct smq_broker_config configs[2];
static struct smq_settings *settings[2];
static atomic_uint opened_ports[2], configured, calls, releases;
static atomic_bool configure_wanted, end_wanted;
static struct smq_crew *crew;
static pthread_t main_thread;

static void count_call(void *ctx, struct smq_loop *loop)
{
    (void)ctx;
    (void)loop;
    atomic_fetch_add(&calls, 1);
}

static void on_woken(void *ctx, struct smq_crew *c)
{
    (void)ctx;
    if (atomic_exchange(&configure_wanted, false)) {
        unsigned n = 0;
        assert_int_equal(smq_crew_configure(c, settings[1], NULL), SMQTT_OK);
        assert_int_equal(smq_crew_call(c, count_call, NULL, &n), SMQTT_OK);
        atomic_store(&configured, n);
    }
    if (atomic_exchange(&end_wanted, false)) {
        smq_crew_shutdown(c, 1000);
    }
}

static void on_opened(void *ctx, const struct smq_listener_config *listener, uint16_t port)
{
    (void)ctx;
    atomic_store(&opened_ports[listener == &listeners[1]], port);
}

static void on_release(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&releases, 1);
}

static void *run(void *arg)
{
    (void)arg;
    struct smq_why why = {""};
    assert_int_equal(smq_crew_run(crew, &why), SMQTT_OK);
    return NULL;
}

static void start(unsigned n)
{
    for (unsigned i = 0; i < 2; i++) {
        listeners[i] = (struct smq_listener_config){.local_only = true, .allow_anonymous = true};
        smq_broker_config_default(&configs[i]);
        configs[i].listeners = &listeners[i];
    }
    listeners[1].family = SMQ_IP_V4; /* another place */
    listeners[1].max_connections = 1;
    atomic_store(&releases, 0);
    atomic_store(&calls, 0);
    atomic_store(&configured, 0);
    struct smq_why why = {""};
    assert_int_equal(smq_settings_new(NULL, &configs[0], NULL, on_release, NULL, &settings[0]), SMQTT_OK);
    assert_int_equal(smq_settings_new(NULL, &configs[1], settings[0], on_release, NULL, &settings[1]), SMQTT_OK);
    struct smq_crew_env env = {.rng = smqtt_system_rng(), .n = n, .woken = on_woken, .opened = on_opened};
    assert_int_equal(smq_crew_new(&env, settings[0], &crew, &why), SMQTT_OK);
    assert_int_equal(pthread_create(&main_thread, NULL, run, NULL), 0);
}

static void stop(void)
{
    atomic_store(&end_wanted, true);
    smq_crew_wake(crew);
    pthread_join(main_thread, NULL);
    smq_crew_free(crew);
    smq_settings_unref(settings[0]);
    smq_settings_unref(settings[1]);
    assert_int_equal(releases, 2);
}

/* ------------------------------------------------------------ the key of a store */

static void put_workers(struct smq_store *store, const char *hash_key)
{
    struct smq_row_workers row = {.format = SMQ_STORE_FORMAT, .count = 3};
    struct smq_store_why why;
    uint8_t key[32], value[64];
    struct smq_wr k = smq_wr_of(key, sizeof key), v = smq_wr_of(value, sizeof value);
    memcpy(row.hash_key, hash_key, sizeof row.hash_key);
    smq_key_write_named(&k, SMQ_TABLE_META, smq_span_str(SMQ_META_WORKERS));
    smq_row_write_workers(&v, &row);
    struct smq_writes *writes = smq_writes_new(NULL, 0, 1);
    assert_int_equal(smq_writes_add(writes, SMQ_WRITE_PUT, smq_wr_span(&k), smq_wr_span(&v)), SMQTT_OK);
    assert_int_equal(store->kind->write(store, &writes, 1, true, &why), SMQTT_OK);
    smq_writes_free(writes);
}

static smqtt_err give_committer(void *ctx, struct smq_committer **committer, struct smq_why *why)
{
    (void)why;
    *committer = ctx;
    return SMQTT_OK;
}

/* Who starts again with the same store finds everything with the same workers. */
static void test_key_is_that_of_the_store(void **state)
{
    (void)state;
    const char *keys[] = {"0123456789abcdef", NULL};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(keys); i++) {
        struct smq_store *store;
        struct smq_store_why cause;
        struct smq_why why = {""};
        struct smq_committer *committer;
        assert_int_equal(smq_store_memory.open(NULL, SMQ_STORE_READ_WRITE, NULL, &store, &cause), SMQTT_OK);
        if (keys[i] != NULL) {
            put_workers(store, keys[i]);
        }
        struct smq_committer_config config = {.n_workers = 2};
        assert_int_equal(smq_committer_new(&config, store, &committer), SMQTT_OK);
        smq_broker_config_default(&configs[0]);
        configs[0].listeners = NULL;
        assert_int_equal(smq_settings_new(NULL, &configs[0], NULL, NULL, NULL, &settings[0]), SMQTT_OK);
        struct smq_crew_env env = {.rng = smqtt_system_rng(), .n = 2, .bound = give_committer, .ctx = committer};
        assert_int_equal(smq_crew_new(&env, settings[0], &crew, &why), SMQTT_OK);
        assert_int_equal(memcmp(smq_crew_hash_key(crew), "0123456789abcdef", 16) == 0, keys[i] != NULL);
        smq_crew_free(crew);
        smq_settings_unref(settings[0]);
        smq_committer_free(committer);
    }
}

static int dial(unsigned which)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)opened_ports[which]),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

static void login(int fd, unsigned number)
{
    char packet[] = "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04"
                    "c000\xc0\x00"; /* a PINGREQ behind it, to be handed over unread */
    uint8_t back[6];
    packet[15] = (char)('0' + number / 100 % 10);
    packet[16] = (char)('0' + number / 10 % 10);
    packet[17] = (char)('0' + number % 10);
    assert_int_equal(send(fd, packet, sizeof packet - 1, MSG_NOSIGNAL), sizeof packet - 1);
    assert_int_equal(recv(fd, back, sizeof back, MSG_WAITALL), 6);
    assert_memory_equal(back, "\x20\x02\x00\x00\xd0\x00", 6);
}

static void ping(int fd)
{
    uint8_t back[2];
    assert_int_equal(send(fd, "\xc0\x00", 2, MSG_NOSIGNAL), 2);
    assert_int_equal(recv(fd, back, sizeof back, MSG_WAITALL), 2);
}

/* Each client ends at the worker of its identifier, whichever loop accepted it; a reload opens and closes listeners and
 * drops nobody; the end reaches all. */
static void clients_find_their_worker(unsigned n)
{
    int fds[CLIENTS];
    uint8_t back[4];
    start(n);
    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = dial(0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        login(fds[i], i);
    }
    /* Every second comes again and takes its session over. */
    for (unsigned i = 0; i < CLIENTS; i += 2) {
        int again = dial(0);
        login(again, i);
        assert_int_equal(recv(fds[i], back, sizeof back, 0), 0);
        close(fds[i]);
        fds[i] = again;
    }
    atomic_store(&configure_wanted, true);
    smq_crew_wake(crew);
    while (atomic_load(&calls) < n) {
        usleep(1000);
    }
    assert_int_equal(configured, n);
    for (unsigned i = 0; i < CLIENTS; i++) {
        ping(fds[i]);
    }
    int one = dial(1);
    login(one, 500);
    int two = dial(1);
    assert_int_equal(recv(two, back, sizeof back, 0), 0); /* max_connections 1, wherever it was accepted */
    close(two);
    stop();
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_int_equal(recv(fds[i], back, sizeof back, 0), 0);
        close(fds[i]);
    }
    close(one);
}

static void with_one_loop(void **state)
{
    (void)state;
    clients_find_their_worker(1);
}

static void with_two_loops(void **state)
{
    (void)state;
    clients_find_their_worker(2);
}

static void with_four_loops(void **state)
{
    (void)state;
    clients_find_their_worker(4);
}

static void a_port_of_another_program_is_refused(void **state)
{
    (void)state;
    struct smq_why why = {""};
    start(2);
    struct smq_listener_config taken = {.local_only = true, .port = (uint16_t)opened_ports[0]};
    struct smq_broker_config config = configs[0];
    struct smq_settings *s = NULL;
    struct smq_crew *other = NULL;
    config.listeners = &taken;
    assert_int_equal(smq_settings_new(NULL, &config, NULL, NULL, NULL, &s), SMQTT_OK);
    struct smq_crew_env env = {.rng = smqtt_system_rng(), .n = 2};
    assert_int_equal(smq_crew_new(&env, s, &other, &why), SMQTT_E_IO);
    assert_non_null(strstr(why.text, "another program uses it"));
    smq_settings_unref(s);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_is_that_of_the_store),
        cmocka_unit_test(with_one_loop),
        cmocka_unit_test(with_two_loops),
        cmocka_unit_test(with_four_loops),
        cmocka_unit_test(a_port_of_another_program_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
