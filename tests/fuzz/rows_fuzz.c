/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a store that may be damaged or hostile. By the first byte: 0 a key, else the value of a row of that kind.
 * What was read is written again: it must be the same bytes, but for flags that nobody knows and for time. */
#include <stdlib.h>

#include "broker/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct smqtt_now now = {.wall = 1000000, .mono = 1000};

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool is_within(smq_span part, smq_span whole)
{
    return part.len == 0 || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void content(const struct smq_content *c, smq_span whole)
{
    must(c->topic.len != 0 && c->qos <= 2 && c->expires >= now.mono);
    must(is_within(c->topic, whole) && is_within(c->props, whole) && is_within(c->source, whole) &&
         is_within(c->payload, whole));
}

static void key(smq_span bytes)
{
    struct smq_key_parts p;
    if (!smq_key_read(bytes, &p)) {
        return;
    }
    must(is_within(p.name, bytes));
    if (p.table == SMQ_TABLE_SESSION) {
        struct smq_key prefix = smq_key_session(p.sid);
        must(smq_span_starts(bytes, smq_key_span(&prefix)));
    } else if (p.table == SMQ_TABLE_BODY) {
        struct smq_key body = smq_key_body(p.n);
        must(smq_span_equal(smq_key_span(&body), bytes));
    }
}

static void queue(smq_span value)
{
    struct smq_row_queue row;
    if (!smq_row_read_queue(value, now, &row)) {
        return;
    }
    must(is_within(row.share, value) && is_within(row.raw_ids, value) && row.raw_ids.len == 4u * (size_t)row.n_ids);
    for (uint32_t i = 0; i < row.n_ids; i++) {
        (void)smq_row_id(&row, i);
    }
    if (row.mid == 0) {
        content(&row.content, value);
    }
}

static void head(smq_span value)
{
    struct smq_row_head row;
    if (smq_row_read_head(value, &row)) {
        must(is_within(row.client_id, value) && is_within(row.user, value) && row.client_id.len != 0);
    }
}

static void will(smq_span value)
{
    struct smq_row_will row;
    if (smq_row_read_will(value, now, &row)) {
        content(&row.content, value);
    }
}

static void body(smq_span value)
{
    struct smq_row_body row;
    if (smq_row_read_body(value, now, &row)) {
        must(is_within(row.group, value));
        content(&row.content, value);
    }
}

/* Rows of a few numbers: written again they are the same. */
static void small(smq_span value)
{
    uint8_t again[64];
    struct smq_wr wr = smq_wr_of(again, sizeof again);
    struct smq_row_sub sub;
    struct smq_row_out out;
    struct smq_row_workers workers;
    uint64_t n;
    if (smq_row_read_sub(value, &sub)) {
        smq_row_write_sub(&wr, &sub);
    } else if (smq_row_read_out(value, &out)) {
        smq_row_write_out(&wr, &out);
    } else if (smq_row_read_number(value, &n)) {
        smq_row_write_number(&wr, n);
    } else if (smq_row_read_workers(value, &workers)) {
        smq_row_write_workers(&wr, &workers);
        value.len = wr.len; /* a later format may have more */
    } else {
        return;
    }
    must(smq_span_equal(smq_wr_span(&wr), value));
}

static void retained(smq_span value)
{
    struct smq_rd rd = smq_rd_of(value);
    struct smq_content c;
    if (smq_row_read_content(&rd, now, &c)) {
        content(&c, value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const readers[])(smq_span bytes) = {key, head, will, queue, body, small, retained};
    if (len != 0 && data[0] < sizeof readers / sizeof readers[0]) {
        readers[data[0]](smq_span_of(data + 1, len - 1));
    }
    return 0;
}
