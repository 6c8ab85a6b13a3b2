/* SPDX-License-Identifier: Apache-2.0 */
#include "net/hasher.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/siphash.h"

enum { SOURCES = 256, NICE = 10 };

struct job {
    struct job *next;
    unsigned customer;
    uint64_t ticket;
    struct smq_login_work work;
    smqtt_err answer;
    size_t len;
    uint8_t password[];
};

struct queue {
    struct job *first, **last;
    size_t n;
};

struct customer {
    void (*wake)(void *ctx);
    void *ctx;
    struct queue done;
};

struct smq_hasher {
    const struct smqtt_mem *mem;
    pthread_mutex_t lock;
    pthread_cond_t work; /* something waits, or the end has come */
    struct queue sources[SOURCES];
    unsigned turn; /* the source that was served last */
    size_t n, max; /* waiting */
    bool ending;
    unsigned n_threads, max_threads, n_customers;
    pthread_t *threads;
    struct customer customers[];
};

/* ------------------------------------------------------------ queues */

static void push(struct queue *q, struct job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
    q->n++;
}

static struct job *pop(struct queue *q)
{
    struct job *job = q->first;
    if (job != NULL) {
        q->first = job->next;
        q->last = q->first != NULL ? q->last : &q->first;
        q->n--;
    }
    return job;
}

static struct job *pop_newest(struct queue *q)
{
    struct job **at = &q->first;
    while ((*at)->next != NULL) {
        at = &(*at)->next;
    }
    struct job *job = *at;
    *at = NULL;
    q->last = at;
    q->n--;
    return job;
}

static void free_job(const struct smq_hasher *h, struct job *job)
{
    smq_wipe(job, sizeof *job + job->len);
    smq_mem_free(h->mem, job);
}

static void drop_all(const struct smq_hasher *h, struct queue *q)
{
    struct job *job;
    while ((job = pop(q)) != NULL) {
        free_job(h, job);
    }
}

/* With the lock held. */
static void answer(struct smq_hasher *h, struct job *job, smqtt_err err)
{
    struct customer *c = &h->customers[job->customer];
    job->answer = err;
    push(&c->done, job);
    if (c->wake != NULL) {
        c->wake(c->ctx);
    }
}

/* ------------------------------------------------------------ threads */

/* Sources take turns. NULL: nothing waits. */
static struct job *next_job(struct smq_hasher *h)
{
    for (unsigned i = 1; h->n != 0 && i <= SOURCES; i++) {
        unsigned source = (h->turn + i) % SOURCES;
        struct job *job = pop(&h->sources[source]);
        if (job != NULL) {
            h->turn = source;
            h->n--;
            return job;
        }
    }
    return NULL;
}

static void *run(void *arg)
{
    struct smq_hasher *h = arg;
    /* Who is connected goes before who wants to be. Linux keeps this per thread. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    pthread_mutex_lock(&h->lock);
    while (!h->ending) {
        struct job *job = next_job(h);
        if (job == NULL) {
            pthread_cond_wait(&h->work, &h->lock);
            continue;
        }
        pthread_mutex_unlock(&h->lock);
        smqtt_err err = job->work.run(&job->work, smq_span_of(job->password, job->len));
        smq_wipe(job->password, job->len);
        pthread_mutex_lock(&h->lock);
        answer(h, job, err);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* One thread more while there are fewer than may be; with the lock held. Signals are for others. */
static smqtt_err start_thread(struct smq_hasher *h)
{
    if (h->n_threads == h->max_threads) {
        return SMQTT_OK;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&h->threads[h->n_threads], NULL, run, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    h->n_threads += failed == 0;
    return h->n_threads != 0 ? SMQTT_OK : SMQTT_E_IO;
}

/* ------------------------------------------------------------ begin and end */

smqtt_err smq_hasher_new(const struct smqtt_mem *mem, unsigned threads, size_t max, unsigned customers,
                         struct smq_hasher **out)
{
    struct smq_hasher *h = smq_mem_zalloc(mem, 1, sizeof *h + customers * sizeof h->customers[0]);
    if (h == NULL) {
        return SMQTT_E_NOMEM;
    }
    h->threads = smq_mem_zalloc(mem, threads, sizeof *h->threads);
    if (h->threads == NULL) {
        smq_mem_free(mem, h);
        return SMQTT_E_NOMEM;
    }
    h->mem = mem;
    h->max = max;
    h->max_threads = threads;
    h->n_customers = customers;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    for (size_t i = 0; i < SOURCES; i++) {
        h->sources[i].last = &h->sources[i].first;
    }
    for (unsigned i = 0; i < customers; i++) {
        h->customers[i].done.last = &h->customers[i].done.first;
    }
    *out = h;
    return SMQTT_OK;
}

void smq_hasher_free(struct smq_hasher *h)
{
    if (h == NULL) {
        return;
    }
    pthread_mutex_lock(&h->lock);
    h->ending = true;
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->n_threads; i++) {
        pthread_join(h->threads[i], NULL);
    }
    for (size_t i = 0; i < SOURCES; i++) {
        drop_all(h, &h->sources[i]);
    }
    for (unsigned i = 0; i < h->n_customers; i++) {
        drop_all(h, &h->customers[i].done);
    }
    pthread_cond_destroy(&h->work);
    pthread_mutex_destroy(&h->lock);
    smq_mem_free(h->mem, h->threads);
    smq_mem_free(h->mem, h);
}

void smq_hasher_attach(struct smq_hasher *h, unsigned customer, void (*wake)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&h->lock);
    h->customers[customer].wake = wake;
    h->customers[customer].ctx = ctx;
    pthread_mutex_unlock(&h->lock);
}

/* ------------------------------------------------------------ logins */

/* An address is the same source whatever its port. */
static unsigned source_of(const char *peer)
{
    static const uint8_t key[16] = {0}; /* who wants to share a place with another has that other's turn, no more */
    const char *colon = strrchr(peer, ':');
    return (unsigned)(smq_siphash13(key, smq_span_of(peer, colon != NULL ? (size_t)(colon - peer) : strlen(peer))) %
                      SOURCES);
}

/* Room for one more of `source`: the one with the most waiting gives its newest up. */
static bool make_room(struct smq_hasher *h, unsigned source)
{
    unsigned most = source;
    if (h->n < h->max) {
        return true;
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        most = h->sources[i].n > h->sources[most].n ? i : most;
    }
    if (h->sources[most].n <= h->sources[source].n + 1) {
        return false;
    }
    h->n--;
    answer(h, pop_newest(&h->sources[most]), SMQTT_E_BUSY);
    return true;
}

smqtt_err smq_hasher_submit(struct smq_hasher *h, unsigned customer, uint64_t ticket, const char *peer,
                            const struct smq_login_work *work, smq_span password)
{
    unsigned source = source_of(peer);
    struct job *job = smq_mem_alloc(h->mem, sizeof *job + password.len);
    if (job == NULL) {
        return SMQTT_E_NOMEM;
    }
    *job = (struct job){.customer = customer, .ticket = ticket, .work = *work, .len = password.len};
    if (password.len != 0) {
        memcpy(job->password, password.data, password.len);
    }
    pthread_mutex_lock(&h->lock);
    smqtt_err err = start_thread(h);
    if (err == SMQTT_OK && !make_room(h, source)) {
        err = SMQTT_E_BUSY;
    }
    if (err == SMQTT_OK) {
        push(&h->sources[source], job);
        h->n++;
        pthread_cond_signal(&h->work);
    }
    pthread_mutex_unlock(&h->lock);
    if (err != SMQTT_OK) {
        free_job(h, job);
    }
    return err;
}

bool smq_hasher_take(struct smq_hasher *h, unsigned customer, uint64_t *ticket, smqtt_err *result)
{
    pthread_mutex_lock(&h->lock);
    struct job *job = pop(&h->customers[customer].done);
    pthread_mutex_unlock(&h->lock);
    if (job == NULL) {
        return false;
    }
    *ticket = job->ticket;
    *result = job->answer;
    free_job(h, job);
    return true;
}
