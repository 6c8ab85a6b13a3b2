/* SPDX-License-Identifier: Apache-2.0 */
#include "rows_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/queue.h"
#include "broker/share.h"
#include "broker/will.h"

static char why[256];

/* What one look has counted. */
struct look {
    const struct disk *disk;
    struct smq_worker *w;
    struct smqtt_now now;
    uint64_t *named;
    size_t n_named;
    size_t n_queue, n_out, n_sub, n_in, n_head, n_will; /* rows that there must be */
};

static bool bad(const char *what, const struct smq_session *s, uint64_t n)
{
    snprintf(why, sizeof why, "%s: client %.64s, number %" PRIu64, what, s != NULL ? s->client_id : "(none)", n);
    return false;
}

static bool same_content(const struct smq_content *a, const struct smq_content *b)
{
    return smq_span_equal(a->topic, b->topic) && smq_span_equal(a->payload, b->payload) &&
           smq_span_equal(a->props, b->props);
}

static bool check_mid(const struct look *l, const struct smq_session *s, const struct smq_row_queue *row,
                      const struct smq_body *body, uint64_t n)
{
    if (row->mid != (body != NULL ? body->mid : 0)) {
        return bad("a QUEUE row names another body", s, n);
    }
    if (body == NULL) {
        return true;
    }
    struct smq_key key = smq_key_body(body->mid);
    return disk_get(l->disk, smq_key_span(&key)).data != NULL || bad("the body of a QUEUE row is missing", s, n);
}

/* The QUEUE row n as it must be; `delivery` NULL: only the row is known. */
static bool check_queue_row(struct look *l, const struct smq_session *s, uint64_t n, const struct smq_body *body,
                            void *delivery, unsigned qos, uint16_t packet)
{
    struct smq_key key = smq_key_queue(s->stored->sid, n);
    smq_span value = disk_get(l->disk, smq_key_span(&key));
    struct smq_row_queue row;
    l->n_queue++;
    if (value.data == NULL) {
        return bad("a QUEUE row is missing", s, n);
    }
    if (!smq_row_read_queue(value, l->now, &row)) {
        return bad("a QUEUE row cannot be read", s, n);
    }
    if (row.qos != qos || row.packet != packet) {
        return bad("a QUEUE row has another QoS or packet identifier", s, n);
    }
    if (n > s->stored->n_rows) {
        return bad("a QUEUE row has a number that was not given out", s, n);
    }
    if (!check_mid(l, s, &row, body, n)) {
        return false;
    }
    if (delivery == NULL) {
        return true;
    }
    struct smq_content content = smq_msg_content(smq_delivery_msg(delivery));
    if (row.retain != smq_delivery_retain(delivery) || row.size != smq_delivery_msg(delivery)->len) {
        return bad("a QUEUE row has another size or RETAIN", s, n);
    }
    if (body == NULL && !same_content(&content, &row.content)) {
        return bad("a QUEUE row has another message", s, n);
    }
    return true;
}

static bool check_loaded(const struct smq_session *s, const struct smq_delivery_row *row)
{
    return row->body == NULL || (row->body->msg != NULL && row->body->loaded != 0) ||
           bad("a delivery is in memory, and its body is not", s, row->n);
}

/* What is not stored for anybody: $SYS. */
static bool is_of_broker(void *delivery)
{
    struct smq_content content = smq_msg_content(smq_delivery_msg(delivery));
    return !smq_content_is_stored(&content);
}

static bool check_queue(struct look *l, struct smq_session *s)
{
    const struct smq_queue *q = &s->queue;
    uint64_t before = 0, bytes = 0;
    uint32_t n_paged = 0;
    for (uint32_t i = 0; i < q->n; i++) {
        const struct smq_queued *item = smq_queue_at(q, i);
        bytes += item->bytes;
        n_paged += item->is_paged;
        if (!item->is_paged && item->qos == 0) {
            continue;
        }
        if (!item->is_paged && !smq_delivery_has_row(item->delivery)) {
            if (is_of_broker(item->delivery)) {
                continue;
            }
            return bad("a message of a stored session waits without a row", s, i);
        }
        struct smq_delivery_row row = {item->row, item->body};
        if (!item->is_paged) {
            row = *smq_delivery_row(item->delivery);
        }
        if (row.n <= before) {
            return bad("the order of the rows is not that of the queue", s, row.n);
        }
        before = row.n;
        void *delivery = item->is_paged ? NULL : item->delivery;
        if (!check_queue_row(l, s, row.n, row.body, delivery, item->qos, 0) ||
            (delivery != NULL && !check_loaded(s, &row))) {
            return false;
        }
    }
    if (bytes != q->bytes || n_paged != q->n_paged) {
        return bad("a queue counts wrong", s, q->n);
    }
    return n_paged == 0 || smq_list_is_linked(&s->stored->paging) || bad("nobody looks at a paged queue", s, n_paged);
}

static bool check_out_row(struct look *l, const struct smq_session *s, const struct smq_out_slot *slot)
{
    struct smq_key key = smq_key_packet(s->stored->sid, SMQ_ROW_OUT, slot->id);
    smq_span value = disk_get(l->disk, smq_key_span(&key));
    struct smq_row_out row;
    l->n_out++;
    if (value.data == NULL || !smq_row_read_out(value, &row)) {
        return bad("an OUT row is missing", s, slot->id);
    }
    if (row.state != slot->state) {
        return bad("an OUT row has another state", s, slot->id);
    }
    return slot->msg == NULL || row.n == smq_delivery_row(slot->msg)->n || bad("an OUT row has another n", s, slot->id);
}

static bool check_inflight(struct look *l, struct smq_session *s)
{
    struct smq_out_slot *slot = NULL;
    while ((slot = smq_inflight_next(&s->out, slot)) != NULL) {
        bool has_out = (slot->sent & SMQ_HAS_OUT) != 0;
        if (has_out && !check_out_row(l, s, slot)) {
            return false;
        }
        if (slot->msg == NULL) { /* without a row it was one of $SYS */
            continue;
        }
        if (!smq_delivery_has_row(slot->msg)) {
            if (is_of_broker(slot->msg)) {
                continue;
            }
            return bad("a message of a stored session is in flight without a row", s, slot->id);
        }
        const struct smq_delivery_row *row = smq_delivery_row(slot->msg);
        unsigned qos = slot->state == SMQ_OUT_WAIT_PUBREC ? 2 : 1;
        if (!check_queue_row(l, s, row->n, row->body, slot->msg, qos, has_out ? 0 : slot->id) ||
            !check_loaded(s, row)) {
            return false;
        }
    }
    return true;
}

static bool check_rest(struct look *l, const struct smq_session *s)
{
    struct smq_key head = smq_key_session_row(s->stored->sid, SMQ_ROW_HEAD);
    struct smq_key will = smq_key_session_row(s->stored->sid, SMQ_ROW_WILL);
    if (disk_get(l->disk, smq_key_span(&head)).data == NULL) {
        return bad("a HEAD row is missing", s, s->stored->sid);
    }
    if ((disk_get(l->disk, smq_key_span(&will)).data != NULL) != (s->will != NULL)) {
        return bad("a WILL row is missing, or left over", s, s->stored->sid);
    }
    for (uint32_t i = 0; i < s->in.n; i++) {
        struct smq_key key = smq_key_packet(s->stored->sid, SMQ_ROW_IN, s->in.ids[i]);
        if (disk_get(l->disk, smq_key_span(&key)).data == NULL) {
            return bad("an IN row is missing", s, s->in.ids[i]);
        }
    }
    l->n_head++;
    l->n_will += s->will != NULL;
    l->n_in += s->in.n;
    l->n_sub += s->sub.n + (s->shares != NULL ? s->shares->n : 0);
    return true;
}

/* Nothing more may be there than what was looked up. */
static bool check_counts(const struct look *l)
{
    size_t n[SMQ_ROW_QUEUE + 1] = {0};
    for (size_t i = 0; i < l->disk->n; i++) {
        smq_span key, value;
        struct smq_key_parts parts;
        disk_row(l->disk, i, &key, &value);
        if (!smq_key_read(key, &parts)) {
            return bad("a key cannot be read", NULL, i);
        }
        if (parts.table == SMQ_TABLE_SESSION) {
            n[parts.kind]++;
        }
    }
    const size_t want[SMQ_ROW_QUEUE + 1] = {
        [SMQ_ROW_HEAD] = l->n_head,   [SMQ_ROW_WILL] = l->n_will, [SMQ_ROW_SUB] = l->n_sub,
        [SMQ_ROW_QUEUE] = l->n_queue, [SMQ_ROW_OUT] = l->n_out,   [SMQ_ROW_IN] = l->n_in};
    static const char *const names[SMQ_ROW_QUEUE + 1] = {
        [SMQ_ROW_HEAD] = "HEAD rows",   [SMQ_ROW_WILL] = "WILL rows", [SMQ_ROW_SUB] = "SUB rows",
        [SMQ_ROW_QUEUE] = "QUEUE rows", [SMQ_ROW_OUT] = "OUT rows",   [SMQ_ROW_IN] = "IN rows"};
    for (size_t kind = SMQ_ROW_HEAD; kind <= SMQ_ROW_QUEUE; kind++) {
        if (n[kind] != want[kind]) {
            snprintf(why, sizeof why, "%zu %s, and %zu are known", n[kind], names[kind], want[kind]);
            return false;
        }
    }
    return true;
}

static bool check_sessions(struct look *l)
{
    struct smq_map_iter it = smq_map_iterate(&l->w->sessions);
    struct smq_session *s;
    uint64_t queued = 0;
    while ((s = smq_map_next(&l->w->sessions, &it)) != NULL) {
        queued += s->queue.n;
        if (s->stored != NULL && (smq_durable_find(l->w, s->stored->sid) != s || !check_queue(l, s) ||
                                  !check_inflight(l, s) || !check_rest(l, s))) {
            return false;
        }
    }
    return queued == l->w->stats.queued_messages || bad("the number of queued messages is wrong", NULL, queued);
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The bodies that QUEUE rows name, each as often as it is named, in order. */
static void find_named(struct look *l)
{
    for (size_t i = 0; i < l->disk->n; i++) {
        smq_span key, value;
        struct smq_key_parts parts;
        struct smq_row_queue row;
        disk_row(l->disk, i, &key, &value);
        if (smq_key_read(key, &parts) && parts.table == SMQ_TABLE_SESSION && parts.kind == SMQ_ROW_QUEUE &&
            smq_row_read_queue(value, l->now, &row) && row.mid != 0) {
            l->named[l->n_named++] = row.mid;
        }
    }
    qsort(l->named, l->n_named, sizeof *l->named, by_number);
}

static size_t rows_that_name(const struct look *l, uint64_t mid)
{
    size_t from = 0, to = l->n_named, n = 0;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (l->named[middle] < mid) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    while (from + n < l->n_named && l->named[from + n] == mid) {
        n++;
    }
    return n;
}

static bool check_bodies(const struct look *l, size_t *n_written)
{
    const struct smq_list *list = &l->w->bodies;
    for (const struct smq_list *at = list->next; at != list; at = at->next) {
        const struct smq_body *body = SMQ_CONTAINER_OF(at, struct smq_body, of_worker);
        struct smq_key key = smq_key_body(body->mid);
        bool there = disk_get(l->disk, smq_key_span(&key)).data != NULL;
        if (!there || (body->rows == 0 && body->peers == 0)) {
            return bad("a body has no row, or nobody needs it", NULL, body->mid);
        }
        if (rows_that_name(l, body->mid) != body->rows) {
            return bad("a body counts its rows wrong", NULL, body->mid);
        }
        if ((body->loaded != 0) != (body->msg != NULL) || body->loaded > body->rows) {
            return bad("a body is in memory for nobody", NULL, body->mid);
        }
        ++*n_written;
    }
    return true;
}

static bool check_all(struct look *l, struct smq_worker *const *workers, unsigned count)
{
    size_t n_bodies = 0;
    find_named(l);
    for (unsigned i = 0; i < count; i++) {
        l->w = workers[i];
        if (!check_sessions(l) || !check_bodies(l, &n_bodies)) {
            return false;
        }
    }
    size_t n = disk_count(l->disk, SMQ_TABLE_BODY, 0, 0);
    if (n != n_bodies) {
        snprintf(why, sizeof why, "%zu BODY rows, and %zu bodies are known", n, n_bodies);
        return false;
    }
    return check_counts(l);
}

const char *rows_check(const struct disk *disk, struct smq_worker *const *workers, unsigned count, struct smqtt_now now)
{
    struct look l = {.disk = disk, .now = now, .named = malloc((disk->n + 1) * sizeof(uint64_t))};
    bool ok = check_all(&l, workers, count);
    free(l.named);
    return ok ? NULL : why;
}
