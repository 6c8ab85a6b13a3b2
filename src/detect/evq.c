/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/evq.h"

#include "base/mem.h"

enum {
    ENTRIES_FIRST = 16,
    BYTES_FIRST = 1024,
    BYTES_KEPT = 1 << 20,
    EXTRA = SMQ_EVQ_TOPIC_END + 1 /* a header byte */
};

void smq_evq_init(struct smq_evq *q, const struct smqtt_mem *mem, size_t max_entries, size_t max_bytes)
{
    *q = (struct smq_evq){.mem = smq_mem_or_default(mem), .max_entries = max_entries, .max_bytes = max_bytes};
}

static void bytes_free(struct smq_evq *q)
{
    if (q->bytes != NULL) {
        smq_wipe(q->bytes, q->bytes_cap);
        smq_mem_free(q->mem, q->bytes);
    }
    q->bytes = NULL;
    q->bytes_cap = 0;
}

void smq_evq_deinit(struct smq_evq *q)
{
    bytes_free(q);
    smq_mem_free(q->mem, q->entries);
    q->entries = NULL;
    q->head = q->tail = q->cap = q->len = 0;
}

/** Nobody looks at what was pulled any more. */
static void start_over(struct smq_evq *q)
{
    q->head = q->tail = q->len = 0;
    if (q->bytes_cap > BYTES_KEPT) {
        bytes_free(q);
    }
}

static smqtt_err entries_grow(struct smq_evq *q, size_t n)
{
    if (n > q->max_entries) {
        return SMQTT_E_FULL;
    }
    size_t cap = q->cap != 0 ? q->cap : ENTRIES_FIRST;
    while (cap < n) {
        cap *= 2;
    }
    struct smq_evq_entry *entries = smq_mem_resize(q->mem, q->entries, cap * sizeof(*entries));
    if (entries == NULL) {
        return SMQTT_E_NOMEM;
    }
    q->entries = entries;
    q->cap = cap;
    return SMQTT_OK;
}

static smqtt_err bytes_grow(struct smq_evq *q, size_t len)
{
    if (len > q->max_bytes) {
        return SMQTT_E_FULL;
    }
    size_t cap = q->bytes_cap != 0 ? q->bytes_cap : BYTES_FIRST;
    while (cap < len) {
        cap += cap / 2;
    }
    uint8_t *bytes = smq_mem_alloc(q->mem, cap);
    if (bytes == NULL) {
        return SMQTT_E_NOMEM;
    }
    if (q->len != 0) {
        memcpy(bytes, q->bytes, q->len);
    }
    size_t kept = q->len;
    bytes_free(q);
    q->bytes = bytes;
    q->bytes_cap = cap;
    q->len = kept;
    return SMQTT_OK;
}

smqtt_err smq_evq_reserve(struct smq_evq *q, size_t n, size_t bytes)
{
    if (q->head == q->tail && q->tail != 0) {
        start_over(q);
    }
    if (bytes > q->max_bytes) {
        return SMQTT_E_FULL;
    }
    bytes += n * EXTRA;
    if (q->tail + n > q->cap) {
        SMQ_TRY(entries_grow(q, q->tail + n));
    }
    return q->len + bytes > q->bytes_cap ? bytes_grow(q, q->len + bytes) : SMQTT_OK;
}

struct smq_evq_entry *smq_evq_push(struct smq_evq *q, enum smqtt_secure_event_type type)
{
    struct smq_evq_entry *entry = &q->entries[q->tail++];
    memset(entry, 0, sizeof(*entry));
    entry->ev.type = type;
    entry->topic_at = SMQ_EVQ_BORROWED;
    entry->bytes_at = SMQ_EVQ_BORROWED;
    return entry;
}

static size_t put(struct smq_evq *q, smq_span s)
{
    size_t at = q->len;
    if (s.len != 0) {
        memcpy(q->bytes + at, s.data, s.len);
    }
    q->len += s.len;
    return at;
}

void smq_evq_set_topic(struct smq_evq *q, struct smq_evq_entry *entry, smq_span topic)
{
    entry->topic_at = put(q, topic);
    entry->ev.topic.len = topic.len;
    q->bytes[q->len++] = 0;
}

void smq_evq_set_packet(struct smq_evq *q, struct smq_evq_entry *entry, uint8_t header, smq_span body)
{
    entry->ev.header = header;
    q->bytes[q->len++] = header;
    smq_evq_set_bytes(q, entry, body);
}

void smq_evq_set_bytes(struct smq_evq *q, struct smq_evq_entry *entry, smq_span bytes)
{
    entry->bytes_at = put(q, bytes);
    entry->ev.bytes.len = bytes.len;
}

uint8_t *smq_evq_tail(const struct smq_evq *q)
{
    return q->bytes + q->len;
}

void smq_evq_own_bytes(struct smq_evq *q, struct smq_evq_entry *entry, size_t skip, size_t len, size_t used)
{
    entry->bytes_at = q->len + skip;
    entry->ev.bytes.len = len;
    q->len += used;
}

struct smq_evq_entry *smq_evq_pop(struct smq_evq *q)
{
    if (q->head == q->tail) {
        return NULL;
    }
    struct smq_evq_entry *entry = &q->entries[q->head++];
    if (entry->topic_at != SMQ_EVQ_BORROWED) {
        entry->ev.topic.data = q->bytes + entry->topic_at;
    }
    if (entry->bytes_at != SMQ_EVQ_BORROWED) {
        entry->ev.bytes.data = q->bytes + entry->bytes_at;
    }
    return entry;
}
