/* SPDX-License-Identifier: Apache-2.0 */
#include "store/committer.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

enum {
    GROUP_MAX = 1024,        /* writes that are committed together */
    GROUP_BYTES = 16u << 20, /* and their bytes, as the store needs them a second time meanwhile */
    SIZE_US = 200 * 1000,    /* the store is asked for its size no more often */
    FULL_US = 1000 * 1000,   /* and so often when it is full and nothing is written */
    SHRINK_US = 5000 * 1000, /* after a commit, and from one time to the next, … */
    SHRINK_TIMES = 3,        /* … until this often after the last one */
    BEHIND = 64u << 20,
    RETRY_MS = 1000,
    RETRY_TIMES = 10, /* the longest wait in first ones */
    NOMEM_MS = 10
};

/* What goes to one worker. */
struct channel {
    atomic_uint_least64_t committed;
    _Atomic(struct smq_fetched *) fetched; /* the newest first */
    char apart[64];
    uint64_t taken; /* the worker's: what it was told last */
    enum smq_store_state told;
    char apart_too[64];
};

struct smq_committer {
    struct smq_committer_config config;
    struct smq_store_figures figures;
    char durability[32];
    pthread_t thread;
    bool runs;
    pthread_mutex_t lock;
    pthread_cond_t work, own_done;

    /* with the lock held */
    struct smq_writes *first, **last; /* given, in their order */
    bool asleep, ending;
    bool failed, full, behind;
    uint64_t waiting;
    uint64_t own_given, own_committed; /* smq_committer_commit */
    uint64_t limit;
    size_t n_first; /* so many at the front belong together */

    atomic_uint state; /* enum smq_store_state */

    /* the thread's */
    struct smq_store *store; /* NULL: there is none, with `refuses` */
    struct smq_writes *group[GROUP_MAX];
    size_t n_group;
    uint64_t group_cost;
    bool unsynced;             /* written, and the sync is still to come */
    bool unread;               /* the store could not be read; said */
    uint64_t sync_at, size_at; /* microseconds */
    unsigned to_shrink;        /* how often the store is still asked to give back what was removed */
    uint64_t shrink_at;

    struct channel channels[];
};

/* ------------------------------------------------------------ time */

static uint64_t now_us(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* With the lock held. False: the time has come. */
static bool wait_until(struct smq_committer *c, uint64_t at_us)
{
    int cause = 0;
    c->asleep = true;
    if (at_us == UINT64_MAX) {
        cause = pthread_cond_wait(&c->work, &c->lock);
    } else {
        struct timespec at = {.tv_sec = (time_t)(at_us / 1000000), .tv_nsec = (long)(at_us % 1000000) * 1000};
        cause = pthread_cond_timedwait(&c->work, &c->lock, &at);
    }
    c->asleep = false;
    return cause != ETIMEDOUT;
}

/* ------------------------------------------------------------ begin and end */

static void name_durability(struct smq_committer *c)
{
    static const char *const names[] = {"fsync", "interval", "off"};
    const char *name = names[c->config.policy];
    if (c->config.policy == SMQ_COMMIT_INTERVAL) {
        snprintf(c->durability, sizeof c->durability, "%s %" PRIu32, name, c->config.interval_ms);
    } else {
        snprintf(c->durability, sizeof c->durability, "%s", name);
    }
    c->figures.durability = c->durability;
}

static void init_locks(struct smq_committer *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->work, &attr);
    pthread_cond_init(&c->own_done, &attr);
    pthread_condattr_destroy(&attr);
}

smqtt_err smq_committer_new(const struct smq_committer_config *config, struct smq_store *store,
                            struct smq_committer **out)
{
    struct smq_committer *c = smq_mem_zalloc(config->mem, 1, sizeof *c + config->n_workers * sizeof c->channels[0]);
    if (c == NULL) {
        return SMQTT_E_NOMEM;
    }
    c->config = *config;
    c->config.behind_bytes = config->behind_bytes != 0 ? config->behind_bytes : BEHIND;
    c->config.retry_ms = config->retry_ms != 0 ? config->retry_ms : RETRY_MS;
    c->store = store;
    c->limit = config->limit_bytes;
    c->last = &c->first;
    enum smq_store_state state = config->refuses ? SMQ_STORE_REFUSES : SMQ_STORE_WELL;
    atomic_init(&c->state, (unsigned)state);
    name_durability(c);
    init_locks(c);
    if (store != NULL) {
        atomic_store(&c->figures.size, store->kind->size(store));
    }
    *out = c;
    return SMQTT_OK;
}

void smq_committer_on_news(struct smq_committer *c, void (*wake)(void *ctx, unsigned worker), void *ctx)
{
    c->config.wake = wake;
    c->config.ctx = ctx;
}

static void free_fetched(struct smq_fetched *fetched)
{
    while (fetched != NULL) {
        struct smq_fetched *next = fetched->next;
        smq_fetched_free(fetched);
        fetched = next;
    }
}

/* ------------------------------------------------------------ how it is with the store */

static void wake(const struct smq_committer *c, unsigned worker)
{
    if (c->config.wake != NULL) {
        c->config.wake(c->config.ctx, worker);
    }
}

/* With the lock held. True: workers are to be woken, as it is not as before. */
static bool judge(struct smq_committer *c)
{
    c->behind = c->waiting > (c->behind ? c->config.behind_bytes / 2 : c->config.behind_bytes);
    enum smq_store_state state = c->config.refuses        ? SMQ_STORE_REFUSES
                                 : c->failed || c->behind ? SMQ_STORE_BEHIND
                                 : c->full                ? SMQ_STORE_FULL
                                                          : SMQ_STORE_WELL;
    atomic_store_explicit(&c->figures.waiting, c->waiting, memory_order_relaxed);
    return atomic_exchange(&c->state, (unsigned)state) != (unsigned)state;
}

static void wake_all(const struct smq_committer *c)
{
    for (unsigned i = 0; i < c->config.n_workers; i++) {
        wake(c, i);
    }
}

static uint64_t cost_of(const struct smq_writes *writes)
{
    return sizeof *writes + writes->cap;
}

/* ------------------------------------------------------------ giving and taking */

/* With the lock held. True: wake the workers. */
static bool push(struct smq_committer *c, struct smq_writes *writes)
{
    writes->next = NULL;
    *c->last = writes;
    c->last = &writes->next;
    c->waiting += cost_of(writes);
    if (c->asleep) {
        pthread_cond_signal(&c->work);
    }
    return judge(c);
}

void smq_committer_give(struct smq_committer *c, struct smq_writes *writes)
{
    if (writes == NULL) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    bool changed = push(c, writes);
    pthread_mutex_unlock(&c->lock);
    if (changed) {
        wake_all(c);
    }
}

void smq_committer_give_first(struct smq_committer *c, struct smq_writes *const *writes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (writes[i]->worker >= c->config.n_workers) {
            writes[i]->number = ++c->own_given;
        }
        smq_committer_give(c, writes[i]);
    }
    c->n_first = n;
}

/* Before the thread runs, or behind its end. */
static smqtt_err commit_at_once(struct smq_committer *c, struct smq_writes *writes)
{
    struct smq_store_why why = {""};
    smqtt_err err =
        c->config.refuses || c->store == NULL ? SMQTT_E_IO : c->store->kind->write(c->store, &writes, 1, true, &why);
    if (err != SMQTT_OK) {
        smq_log(c->config.log, SMQ_LOG_ERR, "%s", why.text[0] != 0 ? why.text : "The store cannot be written.");
    }
    smq_wipe(writes->bytes, writes->len);
    smq_writes_free(writes);
    return err;
}

smqtt_err smq_committer_commit(struct smq_committer *c, struct smq_writes *writes)
{
    if (!c->runs) {
        return commit_at_once(c, writes);
    }
    pthread_mutex_lock(&c->lock);
    uint64_t number = ++c->own_given;
    writes->worker = c->config.n_workers;
    writes->number = number;
    bool changed = push(c, writes);
    while (c->own_committed < number && !c->failed && !c->config.refuses) {
        pthread_cond_wait(&c->own_done, &c->lock);
    }
    smqtt_err err = c->own_committed >= number ? SMQTT_OK : SMQTT_E_IO;
    pthread_mutex_unlock(&c->lock);
    if (changed) {
        wake_all(c);
    }
    return err;
}

bool smq_committer_has_news(const struct smq_committer *c, unsigned worker)
{
    const struct channel *ch = &c->channels[worker];
    return atomic_load(&ch->committed) != ch->taken || atomic_load(&c->state) != (unsigned)ch->told ||
           atomic_load(&ch->fetched) != NULL;
}

void smq_committer_take(struct smq_committer *c, unsigned worker, struct smq_committer_news *out)
{
    struct channel *ch = &c->channels[worker];
    ch->taken = atomic_load(&ch->committed); /* before the rows: those that belong to it are there already */
    ch->told = (enum smq_store_state)atomic_load(&c->state);
    *out = (struct smq_committer_news){.committed = ch->taken, .state = ch->told};
    for (struct smq_fetched *next, *at = atomic_exchange(&ch->fetched, NULL); at != NULL; at = next) {
        next = at->next;
        at->next = out->fetched;
        out->fetched = at;
    }
}

/* ------------------------------------------------------------ one group */

/* With the lock held: the oldest of what waits becomes the group. */
static void take_group(struct smq_committer *c)
{
    c->n_group = 0;
    c->group_cost = 0;
    while (c->first != NULL && c->n_group < GROUP_MAX && (c->n_group < c->n_first || c->group_cost < GROUP_BYTES)) {
        struct smq_writes *writes = c->first;
        c->first = writes->next;
        c->group[c->n_group++] = writes;
        c->group_cost += cost_of(writes);
    }
    c->n_first = 0;
    if (c->first == NULL) {
        c->last = &c->first;
    }
}

struct row {
    struct smq_fetched *to;
    smq_span key;
    bool found;
    smqtt_err err;
};

static void add_row(void *ctx, smq_span value)
{
    struct row *row = ctx;
    row->found = true;
    row->err = smq_fetched_add(row->to, row->key, true, value);
}

static void fetch(struct smq_committer *c, const struct smq_writes *writes, struct smq_fetched *to)
{
    struct smq_write op;
    struct smq_store_why why = {""};
    for (size_t at = 0; smq_writes_next(writes, &at, &op);) {
        struct row row = {.to = to, .key = op.key};
        if (op.op != SMQ_WRITE_GET) {
            continue;
        }
        smqtt_err err = c->store != NULL ? c->store->kind->get(c->store, op.key, add_row, &row, &why) : SMQTT_E_IO;
        if (err == SMQTT_OK && !row.found) {
            row.err = smq_fetched_add(to, op.key, false, (smq_span){NULL, 0});
        }
        to->failed = to->failed || err != SMQTT_OK || row.err != SMQTT_OK;
        if (err != SMQTT_OK && !c->unread) {
            c->unread = true;
            smq_log(c->config.log, SMQ_LOG_ERR, "What is stored cannot be read: %s", why.text);
        }
    }
}

static void pause_ms(uint32_t ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&wait, NULL);
}

/* Somebody waits for the answer, so that it must be given: a moment without memory passes. */
static void answer(struct smq_committer *c, const struct smq_writes *writes)
{
    if (writes->n_gets == 0 || writes->worker >= c->config.n_workers) {
        return;
    }
    struct smq_fetched *fetched;
    while ((fetched = smq_fetched_new(writes->mem, writes->worker, writes->number)) == NULL) {
        pause_ms(NOMEM_MS);
    }
    fetch(c, writes, fetched);
    struct channel *ch = &c->channels[writes->worker];
    fetched->next = atomic_load(&ch->fetched);
    while (!atomic_compare_exchange_weak(&ch->fetched, &fetched->next, fetched)) {
    }
}

/* Tells the workers, and lets the group go. With `committed` false only questions are answered. */
static void end_group(struct smq_committer *c, bool committed)
{
    uint64_t whom = 0;
    uint64_t own = 0;
    for (size_t i = 0; i < c->n_group; i++) {
        struct smq_writes *writes = c->group[i];
        answer(c, writes);
        if (writes->worker < c->config.n_workers) {
            whom |= UINT64_C(1) << writes->worker;
            if (committed) {
                atomic_store(&c->channels[writes->worker].committed, writes->number);
            }
        } else {
            own = writes->number;
            smq_wipe(writes->bytes, writes->len); /* secrets of the broker's identity */
        }
        smq_writes_free(writes);
    }
    c->n_group = 0;
    pthread_mutex_lock(&c->lock);
    c->waiting -= c->group_cost;
    bool changed = judge(c);
    if (own != 0 && committed && !c->config.refuses) {
        c->own_committed = own;
        pthread_cond_broadcast(&c->own_done);
    }
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->config.n_workers; i++) {
        if (changed || (whom >> i & 1) != 0) {
            wake(c, i);
        }
    }
}

/* ------------------------------------------------------------ the disk */

static void count(atomic_uint_least64_t *figure, uint64_t n)
{
    atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

static void set_failed(struct smq_committer *c, bool failed)
{
    pthread_mutex_lock(&c->lock);
    c->failed = failed;
    bool changed = judge(c);
    pthread_cond_broadcast(&c->own_done);
    pthread_mutex_unlock(&c->lock);
    if (changed) {
        wake_all(c);
    }
}

static bool wants_sync(const struct smq_committer *c)
{
    bool own = false; /* those of nobody's worker survive whatever is written how */
    for (size_t i = 0; i < c->n_group && !own; i++) {
        own = c->group[i]->worker >= c->config.n_workers;
    }
    return own || c->config.policy == SMQ_COMMIT_FSYNC;
}

static void count_group(struct smq_committer *c, uint64_t began)
{
    struct smq_store_figures *f = &c->figures;
    uint64_t took = now_us() - began;
    for (size_t i = 0; i < c->n_group; i++) {
        count(&f->operations, c->group[i]->n_writes);
        count(&f->bytes, c->group[i]->len);
    }
    count(&f->commits, 1);
    atomic_store_explicit(&f->last_us, took, memory_order_relaxed);
    if (took > atomic_load_explicit(&f->longest_us, memory_order_relaxed)) {
        atomic_store_explicit(&f->longest_us, took, memory_order_relaxed);
    }
}

static smqtt_err write_group(struct smq_committer *c, struct smq_store_why *why)
{
    bool sync = wants_sync(c);
    uint64_t began = now_us();
    SMQ_TRY(c->store->kind->write(c->store, c->group, c->n_group, sync, why));
    count_group(c, began);
    if (c->to_shrink == 0) {
        c->shrink_at = began + (c->full ? FULL_US : SHRINK_US);
    }
    c->to_shrink = SHRINK_TIMES;
    if (sync) {
        count(&c->figures.syncs, 1);
        c->unsynced = false; /* the log of a store is one: what was written before is on the disk, too */
    } else if (!c->unsynced) {
        c->unsynced = true;
        c->sync_at = began + (uint64_t)c->config.interval_ms * 1000;
    }
    return SMQTT_OK;
}

static smqtt_err sync_store(struct smq_committer *c, struct smq_store_why *why)
{
    SMQ_TRY(c->store->kind->sync(c->store, why));
    count(&c->figures.syncs, 1);
    c->unsynced = false;
    return SMQTT_OK;
}

/* Waits; true when the end has come meanwhile. */
static bool wait_retry(struct smq_committer *c, uint32_t ms)
{
    uint64_t at = now_us() + (uint64_t)ms * 1000;
    pthread_mutex_lock(&c->lock);
    while (!c->ending && wait_until(c, at)) {
    }
    bool ending = c->ending;
    pthread_mutex_unlock(&c->lock);
    return ending;
}

/* Does what can fail until it works. False: it did not, and the end has come. */
static bool insist(struct smq_committer *c, smqtt_err (*act)(struct smq_committer *c, struct smq_store_why *why))
{
    struct smq_store_why why = {""};
    uint32_t wait = c->config.retry_ms;
    uint64_t began = now_us();
    smqtt_err err = act(c, &why);
    if (err == SMQTT_OK) {
        return true;
    }
    smq_log(c->config.log, SMQ_LOG_ERR, "The store cannot be written, and acknowledgements wait until it can: %s",
            why.text);
    set_failed(c, true);
    for (bool ending = false; !ending;) {
        ending = wait_retry(c, wait);
        wait = wait < c->config.retry_ms * (RETRY_TIMES / 2) ? wait * 2 : c->config.retry_ms * RETRY_TIMES;
        if (err != SMQTT_E_NOMEM) {
            err = c->store->kind->reopen(c->store, &why);
        }
        err = err == SMQTT_OK || err == SMQTT_E_NOMEM ? act(c, &why) : err;
        if (err == SMQTT_OK) {
            smq_log(c->config.log, SMQ_LOG_NOTICE, "The store can be written again, after %" PRIu64 " s.",
                    (now_us() - began) / 1000000);
            set_failed(c, false);
            return true;
        }
    }
    smq_log(c->config.log, SMQ_LOG_ERR, "The store could not be written to the end: %s", why.text);
    return false;
}

/* Also when nothing more is written: what a drained queue took is given back, and a full store gets room. */
static void shrink(struct smq_committer *c)
{
    uint64_t now = now_us();
    if (c->store == NULL || c->to_shrink == 0 || now < c->shrink_at) {
        return;
    }
    c->store->kind->shrink(c->store);
    c->to_shrink--;
    c->shrink_at = now + (c->full ? FULL_US : SHRINK_US);
}

static void look_at_size(struct smq_committer *c)
{
    uint64_t now = now_us();
    if (c->store == NULL || now < c->size_at) {
        return;
    }
    uint64_t size = c->store->kind->size(c->store);
    atomic_store_explicit(&c->figures.size, size, memory_order_relaxed);
    c->size_at = now + SIZE_US;
    pthread_mutex_lock(&c->lock);
    bool full = c->limit != 0 && size > (c->full ? c->limit / 20 * 19 : c->limit);
    bool turned = full != c->full;
    uint64_t limit = c->limit;
    c->full = full;
    bool changed = judge(c);
    pthread_mutex_unlock(&c->lock);
    if (turned && full) {
        c->shrink_at = now;
        smq_log(c->config.log, SMQ_LOG_WARN,
                "The store has %" PRIu64 " bytes and may have %" PRIu64
                " (smqtt_store_limit): what had to be stored is refused until there are fewer.",
                size, limit);
    } else if (turned) {
        smq_log(c->config.log, SMQ_LOG_NOTICE, "The store has %" PRIu64 " bytes: it takes more again.", size);
    }
    if (changed) {
        wake_all(c);
    }
}

/* ------------------------------------------------------------ the thread */

static bool has_operations(const struct smq_committer *c)
{
    for (size_t i = 0; i < c->n_group; i++) {
        if (c->group[i]->n_writes != 0) {
            return true;
        }
    }
    return false;
}

/* False: the group could not be committed, and the end has come. */
static bool commit_group(struct smq_committer *c)
{
    bool committed = c->config.refuses || !has_operations(c) || insist(c, write_group);
    end_group(c, committed);
    return committed;
}

/* When the thread has to look after something although nothing is given. */
static uint64_t next_look(const struct smq_committer *c)
{
    uint64_t at = c->unsynced && c->config.policy == SMQ_COMMIT_INTERVAL ? c->sync_at : UINT64_MAX;
    if (c->full) {
        uint64_t size_at = c->size_at + (FULL_US - SIZE_US);
        at = size_at < at ? size_at : at;
    }
    return c->to_shrink != 0 && c->shrink_at < at ? c->shrink_at : at;
}

/* Waits for something to do. False: the end has come, and nothing waits. */
static bool next_group(struct smq_committer *c)
{
    pthread_mutex_lock(&c->lock);
    bool due = false;
    while (c->first == NULL && !c->ending && !due) {
        due = !wait_until(c, next_look(c));
    }
    bool goes_on = c->first != NULL || !c->ending;
    take_group(c);
    pthread_mutex_unlock(&c->lock);
    return goes_on;
}

static void drop_rest(struct smq_committer *c)
{
    uint64_t n = 0;
    while (c->first != NULL) {
        struct smq_writes *writes = c->first;
        c->first = writes->next;
        smq_writes_free(writes);
        n++;
    }
    c->last = &c->first;
    if (n != 0) {
        smq_log(c->config.log, SMQ_LOG_ERR, "%" PRIu64 " more turns of workers could not be stored.", n);
    }
}

static void *run(void *arg)
{
    struct smq_committer *c = arg;
    bool works = true;
    while (works && next_group(c)) {
        works = c->n_group == 0 || commit_group(c);
        if (works && c->unsynced && c->config.policy == SMQ_COMMIT_INTERVAL && now_us() >= c->sync_at) {
            works = insist(c, sync_store);
        }
        look_at_size(c);
        shrink(c);
    }
    if (works && c->unsynced) {
        (void)insist(c, sync_store);
    }
    return NULL;
}

smqtt_err smq_committer_start(struct smq_committer *c)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    c->runs = true;
    int cause = pthread_create(&c->thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    c->runs = cause == 0;
    return cause == 0 ? SMQTT_OK : SMQTT_E_IO;
}

void smq_committer_end(struct smq_committer *c)
{
    if (c->runs) {
        pthread_mutex_lock(&c->lock);
        c->ending = true;
        pthread_cond_signal(&c->work);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
        c->runs = false;
    }
    drop_rest(c);
    if (c->store != NULL) {
        c->store->kind->close(c->store);
        c->store = NULL;
    }
}

void smq_committer_free(struct smq_committer *c)
{
    if (c == NULL) {
        return;
    }
    smq_committer_end(c);
    for (unsigned i = 0; i < c->config.n_workers; i++) {
        free_fetched(atomic_load(&c->channels[i].fetched));
    }
    pthread_cond_destroy(&c->own_done);
    pthread_cond_destroy(&c->work);
    pthread_mutex_destroy(&c->lock);
    smq_mem_free(c->config.mem, c);
}

/* ------------------------------------------------------------ the rest */

void smq_committer_set_limit(struct smq_committer *c, uint64_t bytes)
{
    pthread_mutex_lock(&c->lock);
    c->limit = bytes;
    pthread_mutex_unlock(&c->lock);
}

const struct smq_store_figures *smq_committer_figures(const struct smq_committer *c)
{
    return &c->figures;
}

struct smq_store *smq_committer_store(struct smq_committer *c)
{
    return c->store;
}
