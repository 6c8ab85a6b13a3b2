/* SPDX-License-Identifier: Apache-2.0 */
/* A file that Mosquitto 2.0.11 wrote (tests/vectors/store), as rows; and files that are none.
 *
 * In it: "old" (QoS 1, 1 and 2 subscriptions, two messages in flight, four that wait), "new" (MQTT 5.0, expiry 1,000 s,
 * a subscription identifier), "rel" (QoS 2: one message after PUBREC, one before, one that waits; Mosquitto wrote bytes
 * of its memory as its user), "raw-in" (has sent a message of QoS 2 and not released it), two retained messages. */
#include "store/import.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/rows.h"
#include "place.h"

static const struct smqtt_now now = {.mono = 1000000, .wall = UINT64_C(1795456000000)};
static uint8_t file_bytes[1 << 16];
static smq_span file;

static bool count_up(void *ctx, uint8_t *out, size_t len)
{
    uint8_t *next = ctx;
    memset(out, ++*next, len);
    return true;
}

static smqtt_err import_bytes(smq_span bytes, struct smq_writes **writes, struct smq_import_counts *counts,
                              struct smq_store_why *why)
{
    uint8_t next = 0;
    const struct smqtt_rng rng = {count_up, &next};
    why->text[0] = 0;
    *writes = NULL;
    return smq_import_mosquitto(bytes, &rng, now, writes, counts, why);
}

static int setup(void **state)
{
    (void)state;
    FILE *f = fopen(SMQ_TEST_DATA "/store/mosquitto-2.0.11.db", "rb");
    assert_non_null(f);
    file = smq_span_of(file_bytes, fread(file_bytes, 1, sizeof file_bytes, f));
    (void)fclose(f);
    assert_true(file.len > 1000);
    return 0;
}

/* The rows as text, one a line, sessions by the names of their clients. */
struct dump {
    char names[8][32];
    uint64_t sids[8];
    size_t n;
    char text[8192];
};

static void add_text(struct dump *d, const char *fmt, ...) SMQ_PRINTF(2, 3);
static void add_text(struct dump *d, const char *fmt, ...)
{
    size_t len = strlen(d->text);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(d->text + len, sizeof d->text - len, fmt, args);
    va_end(args);
}

static const char *name_of(const struct dump *d, uint64_t sid)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->sids[i] == sid) {
            return d->names[i];
        }
    }
    return "?";
}

static void show_content(struct dump *d, const struct smq_content *c)
{
    add_text(d, " %.*s=%.*s", (int)c->topic.len, (const char *)c->topic.data, (int)c->payload.len,
             (const char *)c->payload.data);
    if (c->props.len != 0) {
        add_text(d, " props %zu%s", c->props.len, c->has_text ? " text" : "");
    }
    if (c->expires != SMQTT_NEVER) {
        add_text(d, " expires %d days", (int)((c->expires - now.mono) / 86400000));
    }
}

static void show_queue(struct dump *d, const struct smq_key_parts *key, smq_span value)
{
    struct smq_row_queue row;
    assert_true(smq_row_read_queue(value, now, &row));
    add_text(d, "%s queue %u: packet %u qos %u%s", name_of(d, key->sid), (unsigned)key->n, row.packet, row.qos,
             row.retain ? " retain" : "");
    for (uint32_t i = 0; i < row.n_ids; i++) {
        add_text(d, " id %u", (unsigned)smq_row_id(&row, i));
    }
    if (row.mid != 0) {
        add_text(d, " body %u", (unsigned)row.mid);
    } else {
        assert_int_equal(row.size, smq_msg_size(&row.content));
        show_content(d, &row.content);
    }
    add_text(d, "\n");
}

static void show_head(struct dump *d, const struct smq_key_parts *key, smq_span value)
{
    struct smq_row_head row;
    assert_true(smq_row_read_head(value, &row));
    d->sids[d->n] = key->sid;
    (void)snprintf(d->names[d->n], sizeof d->names[0], "%.*s", (int)row.client_id.len,
                   (const char *)row.client_id.data);
    add_text(d, "%s: expiry %u away %d s%s%.*s\n", d->names[d->n], (unsigned)row.expiry_s,
             (int)((int64_t)(now.wall - row.away_since) / 1000), row.has_user ? " user " : "", (int)row.user.len,
             (const char *)row.user.data);
    d->n++;
}

static void show_session(struct dump *d, const struct smq_key_parts *key, smq_span value)
{
    struct smq_row_sub sub;
    struct smq_row_out out;
    switch (key->kind) {
    case SMQ_ROW_HEAD:
        show_head(d, key, value);
        break;
    case SMQ_ROW_SUB:
        assert_true(smq_row_read_sub(value, &sub));
        add_text(d, "%s sub %.*s options %u id %u\n", name_of(d, key->sid), (int)key->name.len,
                 (const char *)key->name.data, sub.options, (unsigned)sub.id);
        break;
    case SMQ_ROW_QUEUE:
        show_queue(d, key, value);
        break;
    case SMQ_ROW_OUT:
        assert_true(smq_row_read_out(value, &out));
        add_text(d, "%s out %u: n %u state %u\n", name_of(d, key->sid), key->id, (unsigned)out.n, out.state);
        break;
    case SMQ_ROW_IN:
        assert_int_equal(value.len, 0);
        add_text(d, "%s in %u\n", name_of(d, key->sid), key->id);
        break;
    case SMQ_ROW_WILL:
        fail();
    }
}

static void show(struct dump *d, const struct smq_write *w)
{
    struct smq_key_parts key;
    struct smq_row_body body;
    struct smq_content content;
    struct smq_rd rd = smq_rd_of(w->value);
    assert_int_equal(w->op, SMQ_WRITE_PUT);
    assert_true(smq_key_read(w->key, &key));
    switch ((int)key.table) {
    case SMQ_TABLE_SESSION:
        show_session(d, &key, w->value);
        break;
    case SMQ_TABLE_BODY:
        assert_true(smq_row_read_body(w->value, now, &body));
        assert_true(body.peers == 0 && body.group.len == 0);
        add_text(d, "body %u:", (unsigned)key.n);
        show_content(d, &body.content);
        add_text(d, "\n");
        break;
    case SMQ_TABLE_RETAINED:
        assert_true(smq_row_read_content(&rd, now, &content));
        assert_true(content.retain && content.version != 0);
        add_text(d, "retained:");
        show_content(d, &content);
        add_text(d, "\n");
        break;
    default:
        fail();
    }
}

static const char wanted[] = "new: expiry 1000 away 614 s\n"
                             "raw-in: expiry 4294967295 away 0 s\n"
                             "old: expiry 4294967295 away 0 s user alice\n"
                             "rel: expiry 4294967295 away 0 s\n"
                             "old sub a/+ options 1 id 0\n"
                             "new sub a/x options 14 id 7\n"
                             "old sub b/# options 2 id 0\n"
                             "old sub /lead options 1 id 0\n"
                             "new sub r/# options 1 id 7\n"
                             "rel sub q/# options 2 id 0\n"
                             "new sub $SYS/broker/uptime options 0 id 0\n"
                             "body 1: a/x=both props 22 text expires 11574 days\n"
                             "new queue 1: packet 0 qos 1 id 7 body 1\n"
                             "new queue 2: packet 0 qos 1 s/1=shared\n"
                             "new queue 3: packet 0 qos 1 id 7 r/1=kept props 22 text\n"
                             "new queue 4: packet 0 qos 1 id 7 r/3=gone\n"
                             "new queue 5: packet 0 qos 1 id 7 r/3=\n"
                             "old queue 1: packet 1 qos 1 body 1\n"
                             "old queue 2: packet 2 qos 1 a/0=m0\n"
                             "old queue 3: packet 0 qos 1 a/1=m1\n"
                             "old queue 4: packet 0 qos 1 a/2=m2\n"
                             "old queue 5: packet 0 qos 1 a/3=m3\n"
                             "old queue 6: packet 0 qos 2 b/2=two\n"
                             "rel out 1: n 1 state 3\n"
                             "rel queue 2: packet 2 qos 2 q/2=two\n"
                             "rel queue 3: packet 0 qos 2 q/3=three\n"
                             "retained: r/1=kept props 22 text\n"
                             "retained: r/2=kept0\n"
                             "raw-in in 77\n"
                             "old queue 7: packet 0 qos 1 a/9=unreleased\n";

static void a_file_of_mosquitto_becomes_rows(void **state)
{
    static struct dump dump;
    struct smq_writes *writes = NULL;
    struct smq_import_counts counts;
    struct smq_store_why why;
    struct smq_write w;
    (void)state;
    assert_int_equal(import_bytes(file, &writes, &counts, &why), SMQTT_OK);
    for (size_t at = 0; smq_writes_next(writes, &at, &w);) {
        show(&dump, &w);
    }
    assert_string_equal(dump.text, wanted);
    assert_int_equal(counts.sessions, 4);
    assert_int_equal(counts.subscriptions, 7);
    assert_int_equal(counts.queued, 14);
    assert_int_equal(counts.in_flight, 2);
    assert_int_equal(counts.retained, 2);
    assert_int_equal(counts.skipped, 0);
    smq_writes_free(writes);
}

/* Version 5 has neither port nor user of a client. */
static smq_span as_version_5(uint8_t *out)
{
    struct smq_rd rd = smq_rd_of(file);
    size_t len = 23;
    memcpy(out, smq_rd_bytes(&rd, len).data, len);
    out[22] = 5;
    while (smq_rd_left(&rd) != 0) {
        uint32_t type = smq_rd_u32(&rd);
        smq_span chunk = smq_rd_bytes(&rd, smq_rd_u32(&rd));
        size_t id_len = type == 6 ? chunk.data[15] : 0;
        struct smq_wr wr = smq_wr_of(out + len, sizeof file_bytes);
        smq_wr_u32(&wr, type);
        smq_wr_u32(&wr, type == 6 ? (uint32_t)(16 + id_len) : (uint32_t)chunk.len);
        smq_wr_put(&wr, smq_span_of(chunk.data, type == 6 ? 16 : chunk.len));
        smq_wr_put(&wr, smq_span_of(chunk.data + 24, id_len));
        len += wr.len;
    }
    return smq_span_of(out, len);
}

static void version_5_is_read_too(void **state)
{
    static struct dump dump;
    static uint8_t bytes[2 * sizeof file_bytes];
    struct smq_writes *writes = NULL;
    struct smq_import_counts counts;
    struct smq_store_why why;
    struct smq_write w;
    (void)state;
    assert_int_equal(import_bytes(as_version_5(bytes), &writes, &counts, &why), SMQTT_OK);
    for (size_t at = 0; smq_writes_next(writes, &at, &w);) {
        show(&dump, &w);
    }
    const char *without_user = strstr(wanted, " user alice");
    size_t before = (size_t)(without_user - wanted);
    assert_memory_equal(dump.text, wanted, before);
    assert_string_equal(dump.text + before, without_user + sizeof " user alice" - 1);
    smq_writes_free(writes);
}

static void what_is_no_such_file_is_said_to_be_none(void **state)
{
    struct smq_writes *writes = NULL;
    struct smq_import_counts counts;
    struct smq_store_why why;
    (void)state;
    assert_int_equal(import_bytes(smq_span_str("something else"), &writes, &counts, &why), SMQTT_E_CORRUPT);
    assert_non_null(strstr(why.text, "no file of Mosquitto"));
    file_bytes[22] = 4;
    assert_int_equal(import_bytes(file, &writes, &counts, &why), SMQTT_E_BAD_VERSION);
    assert_non_null(strstr(why.text, "version 4"));
    file_bytes[22] = 6;
    file_bytes[40] = 4; /* numbers of messages of 32 bits */
    assert_int_equal(import_bytes(file, &writes, &counts, &why), SMQTT_E_CORRUPT);
    file_bytes[40] = 8;
    assert_null(writes);
}

/* Ends of chunks, as the file has them, are the only places where it may end. */
static void a_cut_file_is_damaged(void **state)
{
    struct smq_writes *writes = NULL;
    struct smq_import_counts counts;
    struct smq_store_why why;
    size_t whole = 23;
    (void)state;
    for (size_t len = 0; len < file.len; len++) {
        if (len > 23 && len == whole + 8) {
            struct smq_rd rd = smq_rd_of(smq_span_of(file.data + whole + 4, 4));
            whole += 8 + smq_rd_u32(&rd);
        }
        /* In memory of its own, so that a byte too far is found. */
        uint8_t *bytes = malloc(len + 1);
        assert_non_null(bytes);
        memcpy(bytes + 1, file.data, len);
        smqtt_err err = import_bytes(smq_span_of(bytes + 1, len), &writes, &counts, &why);
        assert_int_equal(err, len == whole ? SMQTT_OK : SMQTT_E_CORRUPT);
        assert_true(err == SMQTT_OK || why.text[0] != 0);
        smq_writes_free(writes);
        free(bytes);
    }
}

static void any_damage_is_survived(void **state)
{
    uint64_t seed = 9;
    static uint8_t bytes[sizeof file_bytes];
    (void)state;
    for (size_t round = 0; round < 20000; round++) {
        struct smq_writes *writes = NULL;
        struct smq_import_counts counts;
        struct smq_store_why why;
        memcpy(bytes, file.data, file.len);
        for (size_t i = test_random_below(&seed, 4) + 1; i > 0; i--) {
            bytes[23 + test_random_below(&seed, file.len - 23)] = (uint8_t)test_random(&seed);
        }
        smqtt_err err = import_bytes(smq_span_of(bytes, file.len), &writes, &counts, &why);
        assert_true(err == SMQTT_OK || err == SMQTT_E_CORRUPT);
        struct smq_write w;
        struct smq_key_parts key;
        for (size_t at = 0; writes != NULL && smq_writes_next(writes, &at, &w);) {
            assert_true(smq_key_read(w.key, &key));
        }
        smq_writes_free(writes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_mosquitto_becomes_rows),
        cmocka_unit_test(version_5_is_read_too),
        cmocka_unit_test(what_is_no_such_file_is_said_to_be_none),
        cmocka_unit_test(a_cut_file_is_damaged),
        cmocka_unit_test(any_damage_is_survived),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
