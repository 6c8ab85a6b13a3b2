/* SPDX-License-Identifier: Apache-2.0 */
/* The store thread over a store that is slow, fails and writes down what it is asked to do. */
#include "../test.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

#include "played_store.h"
#include "store/committer.h"

static struct {
    pthread_mutex_t lock;
    unsigned n;
    char last[512];
} lines;
static sem_t woken[WORKERS];
static struct smq_committer *committer;

static void hold(bool held)
{
    pthread_mutex_lock(&played.lock);
    played.held = held;
    pthread_cond_broadcast(&played.changed);
    pthread_mutex_unlock(&played.lock);
}

/* Until the thread stands in a write. */
static void wait_in_write(void)
{
    pthread_mutex_lock(&played.lock);
    while (played.in_write == 0) {
        pthread_cond_wait(&played.changed, &played.lock);
    }
    pthread_mutex_unlock(&played.lock);
}

static void wait_count(const unsigned *of, unsigned n)
{
    pthread_mutex_lock(&played.lock);
    while (*of < n) {
        pthread_cond_wait(&played.changed, &played.lock);
    }
    pthread_mutex_unlock(&played.lock);
}

static unsigned peek(const unsigned *of)
{
    pthread_mutex_lock(&played.lock);
    unsigned n = *of;
    pthread_mutex_unlock(&played.lock);
    return n;
}

static void set(unsigned *of, unsigned n)
{
    pthread_mutex_lock(&played.lock);
    *of = n;
    pthread_mutex_unlock(&played.lock);
}

static void set_size(uint64_t size, bool shrinks)
{
    pthread_mutex_lock(&played.lock);
    played.size = size;
    played.shrinks = shrinks;
    pthread_mutex_unlock(&played.lock);
}

static uint64_t written(unsigned worker)
{
    pthread_mutex_lock(&played.lock);
    uint64_t n = played.written[worker];
    pthread_mutex_unlock(&played.lock);
    return n;
}

/* ------------------------------------------------------------ a committer over it */

static void on_line(void *ctx, enum smq_log_level level, const struct smq_log_about *about, const char *line,
                    size_t len)
{
    (void)ctx;
    (void)level;
    (void)about;
    (void)len;
    pthread_mutex_lock(&lines.lock);
    lines.n++;
    snprintf(lines.last, sizeof lines.last, "%s", line);
    pthread_mutex_unlock(&lines.lock);
}

static bool was_said(unsigned n, const char *part)
{
    pthread_mutex_lock(&lines.lock);
    bool right = lines.n == n && strstr(lines.last, part) != NULL;
    pthread_mutex_unlock(&lines.lock);
    return right;
}

static void wake(void *ctx, unsigned worker)
{
    (void)ctx;
    sem_post(&woken[worker]);
}

static struct smq_log test_log = {.wanted = SMQ_LOG_ALL, .sink = on_line};

static void make(struct smq_committer_config config)
{
    memset(&played, 0, sizeof played);
    memset(&lines, 0, sizeof lines);
    pthread_mutex_init(&played.lock, NULL);
    pthread_cond_init(&played.changed, NULL);
    pthread_mutex_init(&lines.lock, NULL);
    played.store.kind = &play;
    for (unsigned i = 0; i < WORKERS; i++) {
        sem_init(&woken[i], 0, 0);
    }
    config.log = &test_log;
    config.n_workers = WORKERS;
    config.wake = wake;
    config.retry_ms = 1;
    assert_int_equal(smq_committer_new(&config, &played.store, &committer), SMQTT_OK);
}

static void begin(struct smq_committer_config config)
{
    make(config);
    assert_int_equal(smq_committer_start(committer), SMQTT_OK);
}

static void end(void)
{
    smq_committer_free(committer);
    assert_false(played.disorder);
    assert_int_equal(played.closes, 1);
}

static struct smq_writes *writes_of(unsigned worker, uint64_t number)
{
    struct smq_writes *w = smq_writes_new(NULL, worker, number);
    assert_non_null(w);
    return w;
}

static void add(struct smq_writes *w, enum smq_write_op op, const char *key, const char *value)
{
    assert_int_equal(smq_writes_add(w, op, smq_span_str(key), smq_span_str(value)), SMQTT_OK);
}

static void give(unsigned worker, uint64_t number)
{
    struct smq_writes *w = writes_of(worker, number);
    add(w, SMQ_WRITE_PUT, "k", "v");
    smq_committer_give(committer, w);
}

/* Until it is told that n is committed. */
static void wait_told(unsigned worker, uint64_t n)
{
    struct smq_committer_news news = {0};
    for (smq_committer_take(committer, worker, &news); news.committed < n;
         smq_committer_take(committer, worker, &news)) {
        assert_null(news.fetched);
        sem_wait(&woken[worker]);
    }
}

/* The same, of writes that have something to write. */
static void wait_committed(unsigned worker, uint64_t n)
{
    wait_told(worker, n);
    assert_true(written(worker) >= n);
}

static void wait_state(unsigned worker, enum smq_store_state state)
{
    struct smq_committer_news news = {0};
    for (smq_committer_take(committer, worker, &news); news.state != state;
         smq_committer_take(committer, worker, &news)) {
        sem_wait(&woken[worker]);
    }
}

static uint64_t committed(unsigned worker)
{
    struct smq_committer_news news;
    smq_committer_take(committer, worker, &news);
    return news.committed;
}

/* ------------------------------------------------------------ tests */

static void test_told_after_the_write(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    assert_false(smq_committer_has_news(committer, 0));
    hold(true);
    give(0, 1);
    wait_in_write();
    assert_false(smq_committer_has_news(committer, 0));
    assert_int_equal(committed(0), 0);
    hold(false);
    wait_committed(0, 1);
    assert_false(smq_committer_has_news(committer, 0));
    assert_false(smq_committer_has_news(committer, 1)); /* nobody else is told */
    assert_int_equal(sem_trywait(&woken[1]), -1);
    assert_int_equal(played.synced_writes, 1);
    end();
}

static void test_group(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    hold(true);
    give(0, 1);
    wait_in_write();
    for (uint64_t i = 1; i <= 10; i++) {
        give(0, i + 1);
        give(1, i);
    }
    hold(false);
    wait_committed(0, 11);
    wait_committed(1, 10);
    assert_int_equal(played.writes, 2);
    assert_int_equal(played.synced_writes, 2);
    const struct smq_store_figures *f = smq_committer_figures(committer);
    assert_int_equal(f->commits, 2);
    assert_int_equal(f->syncs, 2);
    assert_int_equal(f->operations, 21);
    assert_int_equal(f->waiting, 0);
    assert_true(f->longest_us >= f->last_us);
    assert_string_equal(f->durability, "fsync");
    end();
}

static pthread_mutex_t ticket_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t next_ticket;

static void *give_many(void *arg)
{
    unsigned worker = (unsigned)(uintptr_t)arg;
    for (uint64_t i = 1; i <= 1000; i++) {
        struct smq_writes *w = writes_of(worker, i);
        pthread_mutex_lock(&ticket_lock);
        assert_int_equal(
            smq_writes_add(w, SMQ_WRITE_PUT, smq_span_str("seen"), smq_span_of(&next_ticket, sizeof next_ticket)),
            SMQTT_OK);
        next_ticket++;
        smq_committer_give(committer, w);
        pthread_mutex_unlock(&ticket_lock);
        uint64_t told = committed(worker);
        assert_true(written(worker) >= told);
    }
    wait_committed(worker, 1000);
    return NULL;
}

static void test_order_of_giving(void **state)
{
    (void)state;
    pthread_t threads[WORKERS];
    next_ticket = 0;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    for (uintptr_t i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, give_many, (void *)i), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(played.n_seen, 1000 * WORKERS);
    for (uint32_t i = 0; i < played.n_seen; i++) {
        assert_int_equal(played.seen[i], i);
    }
    end();
}

static struct smq_fetched *wait_fetched(unsigned worker)
{
    struct smq_committer_news news = {0};
    for (smq_committer_take(committer, worker, &news); news.fetched == NULL;
         smq_committer_take(committer, worker, &news)) {
        sem_wait(&woken[worker]);
    }
    return news.fetched;
}

static void expect_row(const struct smq_fetched *f, size_t *at, const char *key, const char *value)
{
    struct smq_fetched_row row;
    assert_true(smq_fetched_next(f, at, &row));
    assert_int_equal(row.key.len, strlen(key));
    assert_memory_equal(row.key.data, key, row.key.len);
    assert_int_equal(row.found, value != NULL);
    if (value != NULL) {
        assert_int_equal(row.value.len, strlen(value));
        assert_memory_equal(row.value.data, value, row.value.len);
    }
}

static void test_rows_are_fetched(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    hold(true);
    struct smq_writes *w = writes_of(1, 1);
    add(w, SMQ_WRITE_PUT, "a", "1");
    add(w, SMQ_WRITE_GET, "a", "");
    add(w, SMQ_WRITE_GET, "b", "");
    smq_committer_give(committer, w);
    wait_in_write();
    w = writes_of(1, 2);
    add(w, SMQ_WRITE_GET, "a", "");
    smq_committer_give(committer, w);
    assert_false(smq_committer_has_news(committer, 1));
    hold(false);
    struct smq_fetched *first = wait_fetched(1);
    struct smq_fetched *second = first->next != NULL ? first->next : wait_fetched(1);
    size_t at = 0;
    assert_int_equal(first->number, 1);
    expect_row(first, &at, "a", "1");
    expect_row(first, &at, "b", NULL);
    at = 0;
    assert_int_equal(second->number, 2);
    expect_row(second, &at, "a", "1");
    assert_false(first->failed || second->failed);
    smq_fetched_free(first);
    smq_fetched_free(second);
    wait_told(1, 2);
    assert_int_equal(played.writes, 1); /* a question alone is no write */
    end();
}

static void test_rows_that_cannot_be_read(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    set(&played.fail_gets, 1);
    struct smq_writes *w = writes_of(0, 1);
    add(w, SMQ_WRITE_GET, "a", "");
    add(w, SMQ_WRITE_GET, "b", "");
    smq_committer_give(committer, w);
    struct smq_fetched *f = wait_fetched(0);
    size_t at = 0;
    assert_true(f->failed);
    expect_row(f, &at, "b", NULL);
    smq_fetched_free(f);
    assert_true(was_said(1, "cannot be read"));
    end();
}

static void test_behind(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC, .behind_bytes = 64 * 1024});
    hold(true);
    uint64_t n = 0;
    while (!smq_committer_has_news(committer, 2)) {
        assert_true(n < 200);
        give(0, ++n);
    }
    wait_state(2, SMQ_STORE_BEHIND);
    wait_state(0, SMQ_STORE_BEHIND);
    assert_true(n > 10);
    hold(false);
    wait_state(2, SMQ_STORE_WELL);
    wait_committed(0, n);
    wait_state(0, SMQ_STORE_WELL);
    end();
}

static void test_full(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_OFF, .limit_bytes = 1000});
    set_size(1001, false);
    give(0, 1);
    wait_state(1, SMQ_STORE_FULL);
    assert_true(was_said(1, "smqtt_store_limit"));
    set_size(960, false); /* not far enough below */
    give(0, 2);
    wait_committed(0, 2);
    assert_int_equal(smq_committer_has_news(committer, 1), false);
    set_size(940, false);
    wait_state(1, SMQ_STORE_WELL); /* although nothing more is written */
    assert_true(was_said(2, "takes more again"));
    end();
}

/* Whoever waits for room removes nothing and writes nothing: the store is asked all the same. */
static void test_full_gives_back(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_OFF, .limit_bytes = 1000});
    set_size(1001, true);
    give(0, 1);
    wait_state(1, SMQ_STORE_FULL);
    wait_state(1, SMQ_STORE_WELL);
    set_size(0, false);
    end();
}

static void test_a_write_that_fails(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    hold(true);
    set(&played.fail_writes, 3);
    set(&played.fail_opens, 2);
    give(0, 1);
    wait_in_write();
    give(1, 1);
    hold(false);
    wait_committed(0, 1);
    wait_committed(1, 1);
    wait_state(2, SMQ_STORE_WELL);
    assert_int_equal(played.writes, 2);
    assert_true(played.opens >= 4);
    assert_true(was_said(2, "can be written again"));
    end();
}

static void test_told_while_it_fails(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    set(&played.fail_writes, UINT32_MAX);
    give(0, 1);
    wait_state(2, SMQ_STORE_BEHIND);
    wait_count(&played.opens, 3);
    assert_int_equal(committed(0), 0);
    assert_true(was_said(1, "The disk is full."));
    struct smq_writes *own = smq_writes_new(NULL, 0, 0);
    add(own, SMQ_WRITE_PUT, "o", "1");
    assert_int_equal(smq_committer_commit(committer, own), SMQTT_E_IO);
    set(&played.fail_writes, 0);
    wait_state(2, SMQ_STORE_WELL);
    wait_committed(0, 1);
    end();
    assert_int_equal(played.written[WORKERS], 1); /* it kept its place */
}

static void test_end_with_a_broken_disk(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    set(&played.fail_writes, UINT32_MAX);
    give(0, 1);
    wait_state(0, SMQ_STORE_BEHIND);
    give(0, 2);
    assert_int_equal(committed(0), 0);
    end();
    assert_int_equal(played.written[0], 0);
    assert_true(was_said(3, "1 more turns"));
}

static void test_end_drains(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_OFF});
    hold(true);
    give(0, 1);
    wait_in_write();
    for (uint64_t i = 2; i <= 3000; i++) {
        give(0, i);
    }
    hold(false);
    end();
    assert_int_equal(played.written[0], 3000);
    assert_int_equal(played.syncs, 1);
    assert_int_equal(played.synced_writes, 0);
}

static void test_interval(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_INTERVAL, .interval_ms = 3600 * 1000});
    assert_string_equal(smq_committer_figures(committer)->durability, "interval 3600000");
    give(0, 1);
    wait_committed(0, 1);
    give(0, 2);
    wait_committed(0, 2);
    assert_int_equal(peek(&played.syncs), 0);
    end();
    assert_int_equal(played.syncs, 1);
    assert_int_equal(played.synced_writes, 0);

    begin((struct smq_committer_config){.policy = SMQ_COMMIT_INTERVAL, .interval_ms = 1});
    set(&played.fail_syncs, 1);
    give(0, 1);
    wait_count(&played.syncs, 1); /* nothing else is given; the first one failed, and the store was opened anew */
    wait_committed(0, 1);
    wait_state(0, SMQ_STORE_WELL);
    end();
    assert_int_equal(played.syncs, 1);
    assert_int_equal(played.opens, 1);
}

static void test_commit_of_nobody(void **state)
{
    (void)state;
    make((struct smq_committer_config){.policy = SMQ_COMMIT_OFF});
    struct smq_writes *own = smq_writes_new(NULL, 0, 0);
    add(own, SMQ_WRITE_PUT, "o", "1");
    played.written[0] = UINT64_MAX; /* before the thread runs it is written as it comes */
    assert_int_equal(smq_committer_commit(committer, own), SMQTT_OK);
    assert_int_equal(played.synced_writes, 1);
    played.written[0] = 0;
    assert_int_equal(smq_committer_start(committer), SMQTT_OK);
    give(0, 1);
    own = smq_writes_new(NULL, 0, 0);
    add(own, SMQ_WRITE_PUT, "o", "2");
    assert_int_equal(smq_committer_commit(committer, own), SMQTT_OK);
    assert_int_equal(peek(&played.synced_writes), 2);
    assert_int_equal(written(0), 1); /* what was given before went before */
    end();
}

/* However large it is. */
static void test_the_first_are_one(void **state)
{
    (void)state;
    static char large[9 << 20];
    make((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC});
    struct smq_writes *first[WORKERS + 1];
    for (unsigned i = 0; i <= WORKERS; i++) {
        first[i] = smq_writes_new(NULL, i, 1);
        assert_int_equal(
            smq_writes_add(first[i], SMQ_WRITE_PUT, smq_span_str("large"), smq_span_of(large, sizeof large)), SMQTT_OK);
    }
    ignore_rows = true;
    smq_committer_give_first(committer, first, WORKERS + 1);
    give(0, 2);
    assert_int_equal(smq_committer_start(committer), SMQTT_OK);
    wait_committed(0, 2);
    wait_committed(1, 1);
    assert_int_equal(played.writes, 2);
    ignore_rows = false;
    end();
}

static void test_refuses(void **state)
{
    (void)state;
    begin((struct smq_committer_config){.policy = SMQ_COMMIT_FSYNC, .refuses = true});
    wait_state(0, SMQ_STORE_REFUSES);
    struct smq_writes *w = writes_of(0, 1);
    add(w, SMQ_WRITE_PUT, "a", "1");
    add(w, SMQ_WRITE_GET, "a", "");
    smq_committer_give(committer, w);
    struct smq_fetched *f = wait_fetched(0);
    size_t at = 0;
    expect_row(f, &at, "a", NULL);
    smq_fetched_free(f);
    wait_told(0, 1); /* nobody waits for what will never be */
    w = smq_writes_new(NULL, 0, 0);
    assert_int_equal(smq_committer_commit(committer, w), SMQTT_E_IO);
    end();
    assert_int_equal(played.writes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_after_the_write),
        cmocka_unit_test(test_group),
        cmocka_unit_test(test_order_of_giving),
        cmocka_unit_test(test_rows_are_fetched),
        cmocka_unit_test(test_rows_that_cannot_be_read),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_gives_back),
        cmocka_unit_test(test_a_write_that_fails),
        cmocka_unit_test(test_told_while_it_fails),
        cmocka_unit_test(test_end_with_a_broken_disk),
        cmocka_unit_test(test_end_drains),
        cmocka_unit_test(test_interval),
        cmocka_unit_test(test_commit_of_nobody),
        cmocka_unit_test(test_the_first_are_one),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
