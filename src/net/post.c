/* SPDX-License-Identifier: Apache-2.0 */
#include "net/post.h"

#include <unistd.h>

#include "base/mem.h"
#include "broker/worker.h"
#include "net/wake.h"

#define RING_MAILS  1024
#define FULL_BYTES  (8u << 20) /* on their way to one loop: more is not asked for */
#define EMPTY_BYTES (FULL_BYTES / 2)

struct smq_lane {
    struct smq_ring ring;
    /* the sender's */
    struct smq_letter *first, *last; /* found no place */
    uint64_t sent;                   /* bytes */
    bool full, told_full, used;      /* used: since the last flush */
    char apart[SMQ_CACHE_LINE];
    /* both */
    atomic_bool awaited; /* the sender wants to be woken when there is place */
    atomic_uint_least64_t taken;
};

struct office {
    atomic_bool sleeping;
    int wake;
    char apart[SMQ_CACHE_LINE];
};

struct smq_post {
    const struct smqtt_mem *mem;
    unsigned n;
    struct office *offices;
    struct smq_lane *lanes; /* from * n + to */
};

static struct smq_lane *lane_of(const struct smq_post *post, unsigned from, unsigned to)
{
    return &post->lanes[(size_t)from * post->n + to];
}

static smqtt_err open_all(struct smq_post *post)
{
    for (unsigned i = 0; i < post->n; i++) {
        SMQ_TRY(smq_wake_open(&post->offices[i].wake));
    }
    for (unsigned i = 0; i < post->n * post->n; i++) {
        if (i / post->n != i % post->n) {
            SMQ_TRY(smq_ring_init(&post->lanes[i].ring, post->mem, RING_MAILS));
        }
    }
    return SMQTT_OK;
}

smqtt_err smq_post_new(const struct smqtt_mem *mem, unsigned n, struct smq_post **out)
{
    struct smq_post *post = smq_mem_zalloc(mem, 1, sizeof *post);
    if (post == NULL) {
        return SMQTT_E_NOMEM;
    }
    post->mem = mem;
    post->n = n;
    post->offices = smq_mem_zalloc(mem, n, sizeof *post->offices);
    post->lanes = smq_mem_zalloc(mem, (size_t)n * n, sizeof *post->lanes);
    for (unsigned i = 0; post->offices != NULL && i < n; i++) {
        post->offices[i].wake = -1;
    }
    smqtt_err err = post->offices != NULL && post->lanes != NULL ? open_all(post) : SMQTT_E_NOMEM;
    if (err != SMQTT_OK) {
        smq_post_free(post, NULL, NULL);
        return err;
    }
    *out = post;
    return SMQTT_OK;
}

static void drop_lane(struct smq_lane *lane, void (*drop)(void *ctx, const struct smq_mail *mail), void *ctx)
{
    struct smq_mail mail;
    while (smq_ring_take(&lane->ring, &mail)) {
        drop(ctx, &mail);
    }
    while (lane->first != NULL) {
        mail = (struct smq_mail){lane->first, 0, lane->first->kind};
        lane->first = lane->first->next;
        drop(ctx, &mail);
    }
}

void smq_post_free(struct smq_post *post, void (*drop)(void *ctx, const struct smq_mail *mail), void *ctx)
{
    if (post == NULL) {
        return;
    }
    for (unsigned i = 0; post->lanes != NULL && i < post->n * post->n; i++) {
        if (post->lanes[i].ring.mails != NULL) {
            drop_lane(&post->lanes[i], drop, ctx);
            smq_ring_deinit(&post->lanes[i].ring);
        }
    }
    for (unsigned i = 0; post->offices != NULL && i < post->n; i++) {
        if (post->offices[i].wake >= 0) {
            close(post->offices[i].wake);
        }
    }
    smq_mem_free(post->mem, post->lanes);
    smq_mem_free(post->mem, post->offices);
    smq_mem_free(post->mem, post);
}

unsigned smq_post_count(const struct smq_post *post)
{
    return post->n;
}

int smq_post_wake_fd(const struct smq_post *post, unsigned of)
{
    return post->offices[of].wake;
}

/* ---------------------------------------------------------------- sending */

static bool give(struct smq_lane *lane, void *what, size_t size, unsigned kind)
{
    struct smq_mail mail = {what, size, kind};
    if (!smq_ring_give(&lane->ring, &mail)) {
        return false;
    }
    lane->sent += size;
    lane->used = true;
    return true;
}

/* What waited goes first. */
static void push_waiting(struct smq_lane *lane)
{
    while (lane->first != NULL) {
        struct smq_letter *letter = lane->first;
        struct smq_letter *next = letter->next; /* who takes it may free it at once */
        if (!give(lane, letter, 0, letter->kind)) {
            return;
        }
        lane->first = next;
    }
    lane->last = NULL;
}

void smq_post_send(struct smq_post *post, unsigned from, unsigned to, struct smq_letter *letter)
{
    struct smq_lane *lane = lane_of(post, from, to);
    letter->next = NULL;
    if (lane->last != NULL) {
        lane->last->next = letter;
    } else {
        lane->first = letter;
    }
    lane->last = letter;
    push_waiting(lane);
}

bool smq_post_has_place(struct smq_post *post, unsigned from, unsigned to)
{
    struct smq_lane *lane = lane_of(post, from, to);
    push_waiting(lane);
    return lane->first == NULL && smq_ring_has_place(&lane->ring);
}

void smq_post_send_batch(struct smq_post *post, unsigned from, unsigned to, struct smq_batch *batch, size_t size)
{
    struct smq_lane *lane = lane_of(post, from, to);
    bool used = lane->used;
    (void)give(lane, batch, size, SMQ_MAIL_BATCH);
    lane->used = used || size != 0; /* nobody is woken for blocks that only go back */
}

bool smq_post_is_full(struct smq_post *post, unsigned from, unsigned to, bool *changed)
{
    struct smq_lane *lane = lane_of(post, from, to);
    uint64_t waiting = lane->sent - atomic_load(&lane->taken);
    bool blocked = lane->first != NULL || !smq_ring_has_place(&lane->ring);
    lane->full = blocked || waiting > (lane->full ? EMPTY_BYTES : FULL_BYTES);
    *changed = lane->full != lane->told_full;
    lane->told_full = lane->full;
    if (lane->full) {
        atomic_store(&lane->awaited, true);
    }
    return lane->full;
}

/* Wakes who sleeps; of several senders one does. */
void smq_post_rouse(struct smq_post *post, unsigned whom)
{
    struct office *office = &post->offices[whom];
    if (atomic_load(&office->sleeping) && atomic_exchange(&office->sleeping, false)) {
        smq_wake_raise(office->wake);
    }
}

void smq_post_flush(struct smq_post *post, unsigned from)
{
    for (unsigned to = 0; to < post->n; to++) {
        struct smq_lane *lane = lane_of(post, from, to);
        if (lane->used) {
            lane->used = false;
            smq_post_rouse(post, to);
        }
    }
}

bool smq_post_is_stuck(const struct smq_post *post, unsigned from)
{
    for (unsigned to = 0; to < post->n; to++) {
        if (lane_of(post, from, to)->first != NULL) {
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------- taking */

bool smq_post_has_mail(struct smq_post *post, unsigned to, unsigned from)
{
    return from != to && smq_ring_has_mail(&lane_of(post, from, to)->ring);
}

bool smq_post_take(struct smq_post *post, unsigned to, unsigned from, struct smq_mail *out)
{
    struct smq_lane *lane = lane_of(post, from, to);
    if (from == to || !smq_ring_take(&lane->ring, out)) {
        return false;
    }
    if (out->size != 0) {
        atomic_fetch_add(&lane->taken, out->size);
    }
    return true;
}

void smq_post_thank(struct smq_post *post, unsigned to)
{
    for (unsigned from = 0; from < post->n; from++) {
        struct smq_lane *lane = lane_of(post, from, to);
        if (from != to && atomic_load(&lane->awaited) && atomic_exchange(&lane->awaited, false)) {
            smq_post_rouse(post, from);
        }
    }
}

/* ---------------------------------------------------------------- sleeping */

/* Could a lane that was full go on? Asked after `sleeping` was set: either this sees the place, or its taker sees both
 * flags. */
static bool can_go_on(struct smq_post *post, unsigned of)
{
    for (unsigned to = 0; to < post->n; to++) {
        struct smq_lane *lane = lane_of(post, of, to);
        if (to == of || !lane->full) {
            continue;
        }
        atomic_store(&lane->awaited, true);
        if (lane->sent - atomic_load(&lane->taken) <= EMPTY_BYTES && smq_ring_has_place(&lane->ring)) {
            return true;
        }
    }
    return false;
}

bool smq_post_sleep(struct smq_post *post, unsigned of)
{
    atomic_store(&post->offices[of].sleeping, true);
    bool busy = can_go_on(post, of);
    for (unsigned from = 0; from < post->n && !busy; from++) {
        busy = smq_post_has_mail(post, of, from);
    }
    if (busy) {
        atomic_store(&post->offices[of].sleeping, false);
    }
    return !busy;
}

void smq_post_rise(struct smq_post *post, unsigned of)
{
    atomic_store(&post->offices[of].sleeping, false);
}

void smq_post_wake(const struct smq_post *post, unsigned of)
{
    smq_wake_raise(post->offices[of].wake);
}
