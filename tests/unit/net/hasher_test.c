/* SPDX-License-Identifier: Apache-2.0 */
#include "net/hasher.h"
#include "../test.h"

#include <pthread.h>
#include <unistd.h>

/* Checks wait here until the test lets them go on; what they did is written down. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool open_gate;
static unsigned n_begun, n_woken;
static char order[64];

static smqtt_err run(const struct smq_login_work *work, smq_span password)
{
    pthread_mutex_lock(&lock);
    order[n_begun % sizeof order] = (char)work->room[0];
    n_begun++;
    pthread_cond_broadcast(&changed);
    while (!open_gate) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    return smq_span_equal(password, smq_span_str("right")) ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED;
}

static void wake(void *ctx)
{
    pthread_mutex_lock(&lock);
    *(unsigned *)ctx += 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void set_gate(bool open)
{
    pthread_mutex_lock(&lock);
    open_gate = open;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void await(const unsigned *count, unsigned n)
{
    pthread_mutex_lock(&lock);
    while (*count < n) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static int setup(void **state)
{
    (void)state;
    open_gate = false;
    n_begun = n_woken = 0;
    memset(order, 0, sizeof order);
    return 0;
}

static smqtt_err submit(struct smq_hasher *h, unsigned customer, uint64_t ticket, const char *peer, char name,
                        const char *password)
{
    struct smq_login_work work = {.run = run, .room = {(uint64_t)name}};
    return smq_hasher_submit(h, customer, ticket, peer, &work, smq_span_str(password));
}

static void answers_come_to_who_asked(void **state)
{
    (void)state;
    struct smq_hasher *h;
    unsigned woken[2] = {0, 0};
    assert_int_equal(smq_hasher_new(NULL, 2, 100, 2, &h), SMQTT_OK);
    smq_hasher_attach(h, 0, wake, &woken[0]);
    smq_hasher_attach(h, 1, wake, &woken[1]);
    set_gate(true);
    assert_int_equal(submit(h, 0, 10, "1.1.1.1:1", 'a', "right"), SMQTT_OK);
    assert_int_equal(submit(h, 1, 20, "1.1.1.1:1", 'b', "wrong"), SMQTT_OK);
    assert_int_equal(submit(h, 1, 30, "1.1.1.2:1", 'c', ""), SMQTT_OK);
    await(&woken[0], 1);
    await(&woken[1], 2);
    uint64_t ticket;
    smqtt_err answer;
    assert_true(smq_hasher_take(h, 0, &ticket, &answer));
    assert_int_equal(ticket, 10);
    assert_int_equal(answer, SMQTT_OK);
    assert_false(smq_hasher_take(h, 0, &ticket, &answer));
    uint64_t sum = 0;
    for (unsigned i = 0; i < 2; i++) {
        assert_true(smq_hasher_take(h, 1, &ticket, &answer));
        assert_int_equal(answer, SMQTT_E_NOT_AUTHORIZED);
        sum += ticket;
    }
    assert_int_equal(sum, 50);
    smq_hasher_attach(h, 0, NULL, NULL);
    smq_hasher_free(h);
}

/* A flood of one address delays another by one check, not by all of the flood. */
static void sources_take_turns(void **state)
{
    (void)state;
    struct smq_hasher *h;
    assert_int_equal(smq_hasher_new(NULL, 1, 100, 1, &h), SMQTT_OK);
    smq_hasher_attach(h, 0, wake, &n_woken);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(submit(h, 0, i, "10.0.0.1:99", 'f', "x"), SMQTT_OK);
    }
    await(&n_begun, 1);
    assert_int_equal(submit(h, 0, 100, "10.0.0.2:1", 'o', "right"), SMQTT_OK);
    assert_int_equal(submit(h, 0, 101, "[::1]:1", 's', "right"), SMQTT_OK);
    set_gate(true);
    await(&n_woken, 22);
    assert_int_equal(order[0], 'f');
    const char *other = strchr(order, 'o');
    const char *six = strchr(order, 's');
    assert_true(other != NULL && other - order <= 3);
    assert_true(six != NULL && six - order <= 3);
    smq_hasher_free(h);
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    struct smq_hasher *h;
    assert_int_equal(smq_hasher_new(NULL, 1, 10, 1, &h), SMQTT_OK);
    smq_hasher_attach(h, 0, wake, &n_woken);
    assert_int_equal(submit(h, 0, 0, "10.0.0.1:1", 'f', "x"), SMQTT_OK);
    await(&n_begun, 1); /* it no longer waits */
    for (unsigned i = 1; i <= 10; i++) {
        assert_int_equal(submit(h, 0, i, "10.0.0.1:2", 'f', "x"), SMQTT_OK);
    }
    assert_int_equal(submit(h, 0, 11, "10.0.0.1:3", 'f', "x"), SMQTT_E_BUSY);
    /* Another source finds its place: the newest of the flood gives its own up. */
    assert_int_equal(submit(h, 0, 50, "10.0.0.2:1", 'o', "right"), SMQTT_OK);
    uint64_t ticket = 0;
    smqtt_err answer = SMQTT_OK;
    assert_true(smq_hasher_take(h, 0, &ticket, &answer));
    assert_int_equal(ticket, 10);
    assert_int_equal(answer, SMQTT_E_BUSY);
    /* And so on until both have the same. */
    unsigned n = 1;
    while (submit(h, 0, 50 + n, "10.0.0.2:1", 'o', "right") == SMQTT_OK) {
        n++;
        assert_true(n <= 10);
    }
    assert_int_equal(n, 5);
    set_gate(true);
    await(&n_woken, 16); /* 11 answers, 5 lost places */
    smq_hasher_free(h);
}

static void what_waits_is_dropped_at_the_end(void **state)
{
    (void)state;
    struct smq_hasher *h;
    assert_int_equal(smq_hasher_new(NULL, 1, 10, 1, &h), SMQTT_OK);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(submit(h, 0, i, "no colon", 'f', "x"), SMQTT_OK);
    }
    await(&n_begun, 1);
    set_gate(true);
    smq_hasher_free(h);
    assert_int_equal(smq_hasher_new(NULL, 1, 10, 1, &h), SMQTT_OK);
    smq_hasher_free(h); /* one that was never asked */
    smq_hasher_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(answers_come_to_who_asked, setup),
        cmocka_unit_test_setup(sources_take_turns, setup),
        cmocka_unit_test_setup(what_waits_is_bounded, setup),
        cmocka_unit_test_setup(what_waits_is_dropped_at_the_end, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
