/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies. A body belongs to the worker of the sessions whose rows name it. When the number of workers has changed,
 * those sessions may be with several workers now: then each but the first gets a body of its own, under a new name.
 *
 * A content is known by 55 bits: the worker that wrote it first, and the number that this worker gave it. The first
 * name of a content is its first mid; another name has COPY set, the content below it, and above it any number. So a
 * new name needs no counter, which could not be known before all rows were seen. */
#include "base/mutate.h"
#include "broker/recovery.h"

enum { CONTENT_BITS = 55, NUMBER_BITS = 47, NAMES = 256, FIRST_KNOWN = 256 };
static const uint64_t copy_bit = UINT64_C(1) << CONTENT_BITS;
static const uint64_t content_mask = (UINT64_C(1) << CONTENT_BITS) - 1;
static const uint64_t number_mask = (UINT64_C(1) << NUMBER_BITS) - 1;
/* In struct smq_known, besides the content: the worker of `body`, and whether there was a row. */
enum { WORKER_SHIFT = CONTENT_BITS, WORKER_MASK = 63 };
static const uint64_t seen_bit = UINT64_C(1) << 63;

/* 0: no body is named so. */
static uint64_t content_of(uint64_t mid)
{
    uint64_t low = mid & content_mask;
    if ((mid & copy_bit) != 0) {
        return (low & number_mask) != 0 && low >> NUMBER_BITS < SMQ_WORKERS_MAX ? low : 0;
    }
    uint64_t from = mid >> SMQ_MID_SHIFT;
    return low != 0 && low <= number_mask && from < SMQ_WORKERS_MAX ? from << NUMBER_BITS | low : 0;
}

static uint64_t name_of_copy(uint64_t content, unsigned i)
{
    return (uint64_t)i << SMQ_MID_SHIFT | copy_bit | content;
}

/* Numbers of a worker go on above all that were seen, those of contents that only copies have included. */
static void note_number(struct smq_recovery *r, uint64_t content)
{
    uint64_t *highest = &r->n_bodies[content >> NUMBER_BITS];
    *highest = (content & number_mask) > *highest ? content & number_mask : *highest;
}

/* ------------------------------------------------------------ the table */

static size_t place_of(const struct smq_known *known, size_t mask, uint64_t content)
{
    uint64_t z = content * UINT64_C(0x9E3779B97F4A7C15);
    size_t at = (size_t)(z ^ z >> 29) & mask;
    while (known[at].content != 0 && (known[at].content & content_mask) != content) {
        at = (at + 1) & mask;
    }
    return at;
}

static struct smq_known *find(const struct smq_recovery *r, uint64_t content)
{
    size_t at = r->known != NULL ? place_of(r->known, r->known_mask, content) : 0;
    return r->known != NULL && r->known[at].content != 0 ? &r->known[at] : NULL;
}

static smqtt_err enlarge(struct smq_recovery *r)
{
    size_t n = r->known != NULL ? (r->known_mask + 1) * 2 : FIRST_KNOWN;
    struct smq_known *known = smq_mem_zalloc(r->mem, n, sizeof *known);
    if (known == NULL) {
        return SMQTT_E_NOMEM;
    }
    for (size_t i = 0; r->known != NULL && i <= r->known_mask; i++) {
        if (r->known[i].content != 0) {
            known[place_of(known, n - 1, r->known[i].content & content_mask)] = r->known[i];
        }
    }
    smq_mem_free(r->mem, r->known);
    r->known = known;
    r->known_mask = n - 1;
    return SMQTT_OK;
}

static smqtt_err need(struct smq_recovery *r, uint64_t content, struct smq_known **out)
{
    struct smq_known *known = find(r, content);
    if (known == NULL) {
        if (r->known == NULL || r->n_known >= r->known_mask - r->known_mask / 4) {
            SMQ_TRY(enlarge(r));
        }
        known = &r->known[place_of(r->known, r->known_mask, content)];
        known->content = content;
        r->n_known++;
    }
    *out = known;
    return SMQTT_OK;
}

/* ------------------------------------------------------------ names */

/* Behind the names, so that those are found at once. */
static void add_wait(struct smq_known *known, struct smq_wait *wait)
{
    struct smq_wait **at = &known->waits;
    while (*at != NULL && (*at)->kind == SMQ_WAIT_NAME) {
        at = &(*at)->next;
    }
    wait->next = *at;
    *at = wait;
}

static bool is_taken(const struct smq_known *known, uint64_t mid)
{
    if (known->body != NULL && known->body->mid == mid) {
        return true;
    }
    const struct smq_wait *name = known->waits;
    while (name != NULL && name->kind == SMQ_WAIT_NAME && name->body->mid != mid) {
        name = name->next;
    }
    return name != NULL && name->kind == SMQ_WAIT_NAME;
}

static smqtt_err body_found(struct smq_worker *w, uint64_t mid, uint32_t size, struct smq_body **body)
{
    *body = smq_body_found(w, mid, size, 0);
    return *body != NULL ? SMQTT_OK : SMQTT_E_NOMEM;
}

/* A body for one more worker: under the name that the row has, if no other worker goes by that. */
static smqtt_err another(struct smq_recovery *r, struct smq_known *known, struct smq_worker *w, uint64_t mid,
                         uint32_t size, struct smq_body **body)
{
    struct smq_wait *name = smq_mem_zalloc(r->mem, 1, sizeof *name);
    if (name == NULL) {
        return SMQTT_E_NOMEM;
    }
    *name = (struct smq_wait){.kind = SMQ_WAIT_NAME, .w = w, .invented = is_taken(known, mid)};
    for (unsigned i = 0; i < NAMES && is_taken(known, mid); i++) {
        mid = name_of_copy(known->content & content_mask, i);
    }
    smqtt_err err = body_found(w, mid, size, &name->body);
    if (err != SMQTT_OK) {
        smq_mem_free(r->mem, name);
        return err;
    }
    add_wait(known, name);
    *body = name->body;
    return SMQTT_OK;
}

smqtt_err smq_recovery_body(struct smq_recovery *r, struct smq_worker *w, uint64_t mid, uint32_t size,
                            struct smq_body **body)
{
    uint64_t content = content_of(mid);
    struct smq_known *known;
    if (content == 0) {
        return SMQTT_OK;
    }
    SMQ_TRY(need(r, content, &known));
    if (known->body == NULL) {
        SMQ_TRY(body_found(w, mid, size, &known->body));
        known->content |= (uint64_t)w->index << WORKER_SHIFT;
    }
    if ((known->content >> WORKER_SHIFT & WORKER_MASK) == w->index) {
        *body = known->body;
    } else {
        const struct smq_wait *name = known->waits;
        while (name != NULL && name->kind == SMQ_WAIT_NAME && name->w != w) {
            name = name->next;
        }
        if (name != NULL && name->kind == SMQ_WAIT_NAME) {
            *body = name->body;
        } else {
            SMQ_TRY(another(r, known, w, mid, size, body));
        }
    }
    (*body)->rows++;
    return SMQTT_OK;
}

smqtt_err smq_recovery_wait(struct smq_recovery *r, uint64_t mid, smq_span value, struct smq_wait **wait)
{
    struct smq_known *known;
    SMQ_TRY(need(r, content_of(mid), &known));
    struct smq_wait *made = smq_mem_zalloc(r->mem, 1, sizeof *made + value.len);
    if (made == NULL) {
        return SMQTT_E_NOMEM;
    }
    made->len = (uint32_t)value.len;
    memcpy(made->value, value.data, value.len);
    add_wait(known, made);
    *wait = made;
    return SMQTT_OK;
}

/* ------------------------------------------------------------ rows */

static void write_copy(struct smq_recovery *r, struct smq_wait *name, const struct smq_row_body *found)
{
    struct smq_row_body row = {.content = found->content};
    struct smq_key key = smq_key_body(name->body->mid);
    struct smq_wr wr = smq_wr_measure();
    smq_row_write_body(&wr, &row, r->now);
    uint8_t *at = smq_store_put_room(name->w, smq_key_span(&key), wr.len);
    if (at != NULL) {
        wr = smq_wr_of(at, wr.len);
        smq_row_write_body(&wr, &row, r->now);
    }
    name->invented = false;
}

/* All that waited gets it; names stay. */
static smqtt_err content_came(struct smq_recovery *r, struct smq_known *known, const struct smq_row_body *row)
{
    struct smq_wait **at = &known->waits;
    smqtt_err err = SMQTT_OK;
    while (*at != NULL && err == SMQTT_OK) {
        struct smq_wait *wait = *at;
        if (wait->kind == SMQ_WAIT_NAME) {
            if (wait->invented) {
                write_copy(r, wait, row);
            }
            at = &wait->next;
            continue;
        }
        err = smq_recovery_content_came(r, wait, &row->content);
        *at = wait->next;
        smq_mem_free(r->mem, wait);
    }
    known->content |= seen_bit;
    return err;
}

/* Which workers of before have not had it. */
static uint64_t owed_to(const struct smq_recovery *r, uint64_t mid, uint64_t peers)
{
    uint64_t to = 0, from = mid >> SMQ_MID_SHIFT;
    for (; peers != 0; peers &= peers - 1) {
        unsigned i = (unsigned)__builtin_ctzll(peers);
        bool owed = i != from && i < r->former.count && (mid > r->passed[i][from] || SMQ_MUTATE(routed_again));
        to |= owed ? UINT64_C(1) << i : 0;
    }
    return to;
}

/* Its row stays as it is. Nobody is owed it any more, which the rows of PASSED say. */
static void raise_passed(struct smq_recovery *r, uint64_t mid, uint64_t to)
{
    for (; to != 0; to &= to - 1) {
        uint64_t *raised = &r->raised[__builtin_ctzll(to)][mid >> SMQ_MID_SHIFT];
        *raised = mid > *raised ? mid : *raised;
    }
}

smqtt_err smq_recovery_body_row(struct smq_recovery *r, uint64_t mid, smq_span key, smq_span value)
{
    uint64_t content = content_of(mid);
    struct smq_row_body row;
    struct smq_worker *w = r->workers[(mid >> SMQ_MID_SHIFT) % r->n];
    if (content == 0 || !smq_row_read_body(value, r->now, &row)) {
        smq_recovery_drop(r, w, key);
        return SMQTT_OK;
    }
    note_number(r, content);
    r->version = row.content.version > r->version ? row.content.version : r->version;
    uint64_t to = (mid & copy_bit) == 0 ? owed_to(r, mid, row.peers) : 0;
    struct smq_known *known = find(r, content);
    bool is_named = known != NULL && is_taken(known, mid);
    if (known != NULL) {
        for (struct smq_wait *name = known->waits; is_named && name != NULL; name = name->next) {
            name->invented = name->invented && name->body->mid != mid;
        }
        SMQ_TRY(content_came(r, known, &row));
    }
    if (to != 0) {
        SMQ_TRY(smq_recovery_owe(r, to, row.group, &row.content));
        raise_passed(r, mid, is_named ? to : 0);
    }
    if (!is_named) {
        smq_store_del(w, key); /* nothing refers to it, and nobody misses it any more */
    }
    return SMQTT_OK;
}

void smq_recovery_bodies_over(struct smq_recovery *r)
{
    for (size_t i = 0; r->known != NULL && i <= r->known_mask; i++) {
        struct smq_wait *wait = r->known[i].content != 0 ? r->known[i].waits : NULL;
        for (; wait != NULL; wait = wait->next) {
            if (wait->kind != SMQ_WAIT_NAME) {
                smq_recovery_content_missing(r, wait);
            }
        }
    }
    for (unsigned i = 0; i < SMQ_WORKERS_MAX; i++) {
        for (unsigned to = 0; to < SMQ_WORKERS_MAX; to++) {
            uint64_t n = r->passed[to][i] & content_mask;
            r->n_bodies[i] = n > r->n_bodies[i] ? n : r->n_bodies[i];
        }
    }
    for (unsigned i = 0; i < r->n; i++) {
        r->workers[i]->n_bodies = r->n_bodies[i];
    }
}

/* By the worker that owns the row, which may write it again. */
void smq_recovery_write_passed(struct smq_recovery *r)
{
    for (unsigned to = 0; to < SMQ_WORKERS_MAX; to++) {
        for (unsigned from = 0; from < SMQ_WORKERS_MAX; from++) {
            if (r->raised[to][from] > r->passed[to][from]) {
                uint8_t value[sizeof(uint64_t)];
                struct smq_wr wr = smq_wr_of(value, sizeof value);
                smq_row_write_number(&wr, r->raised[to][from]);
                smq_store_put_key(r->workers[to % r->n], smq_key_passed(to, from), smq_wr_span(&wr));
            }
        }
    }
}

void smq_recovery_bodies_free(struct smq_recovery *r)
{
    for (size_t i = 0; r->known != NULL && i <= r->known_mask; i++) {
        while (r->known[i].waits != NULL) {
            struct smq_wait *next = r->known[i].waits->next;
            smq_mem_free(r->mem, r->known[i].waits);
            r->known[i].waits = next;
        }
    }
    smq_mem_free(r->mem, r->known);
    r->known = NULL;
}
