/* SPDX-License-Identifier: Apache-2.0 */
#include "temp_dir.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <smqtt/system.h>

#include "base/span.h"
#include "net/journal.h"

static struct temp_dir dir;

struct seen {
    unsigned n;
    smqtt_ms last;
    struct smq_journal_line line;
    char name[64], client[2048], topic[2048];
    uint8_t ct[20000];
};

static void on_line(void *arg, const struct smq_journal_line *line)
{
    struct seen *seen = arg;
    seen->n++;
    assert_true(line->at >= seen->last);
    seen->last = line->at;
    seen->line = *line;
    assert_true(line->client_id.len < sizeof seen->client && line->topic.len < sizeof seen->topic);
    snprintf(seen->name, sizeof seen->name, "%.*s", (int)line->name.len, (const char *)line->name.data);
    memcpy(seen->client, line->client_id.data, line->client_id.len);
    memcpy(seen->topic, line->topic.data, line->topic.len);
    if (line->ciphertext.len != 0) {
        memcpy(seen->ct, line->ciphertext.data, line->ciphertext.len);
    }
}

static struct seen *read_all(unsigned *bad)
{
    static struct seen seen;
    memset(&seen, 0, sizeof seen);
    struct smq_why why = {""};
    assert_int_equal(smq_journal_read(dir.path, on_line, &seen, bad, &why), SMQTT_OK);
    return &seen;
}

static struct smq_journal *open_ok(size_t max)
{
    struct smq_journal *j = NULL;
    assert_int_equal(smq_journal_open(dir.path, max, &j, NULL), SMQTT_OK);
    return j;
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct smqtt_identity *id = NULL;
    struct smqtt_rng rng = smqtt_system_rng();
    assert_int_equal(smqtt_identity_new(NULL, &rng, "x25519", "a name\xC3\xA9", 0, 1, 0, &id), SMQTT_OK);
    static const char client[] = "c % \n=\x01\xFF \xE3\x81\x82";
    struct smqtt_journal_entry entry = {.cid = {1, 2, 3, 4, 5, 6, 7, 255},
                                        .ts1 = 1700000000000,
                                        .ts2 = 1700000000123,
                                        .client_id = smq_span_of(client, sizeof client),
                                        .topic = smq_span_str("a/b c"),
                                        .peer = id,
                                        .ciphertext = smq_span_str("sealed bytes"),
                                        .flag = 1,
                                        .status = 0x81,
                                        .verdict = 0xFF};
    struct smq_journal *j = open_ok(0);
    assert_int_equal(smq_journal_append(j, 42, &entry), SMQTT_OK);
    smq_journal_close(j);
    unsigned bad = 9;
    struct seen *seen = read_all(&bad);
    assert_int_equal(bad, 0);
    assert_int_equal(seen->n, 1);
    const struct smq_journal_line *line = &seen->line;
    assert_int_equal(line->at, 42);
    assert_memory_equal(line->cid, entry.cid, 8);
    assert_int_equal(line->ts1, entry.ts1);
    assert_int_equal(line->ts2, entry.ts2);
    assert_int_equal(line->flag, 1);
    assert_int_equal(line->status, 0x81);
    assert_int_equal(line->verdict, 0xFF);
    assert_true(line->has_peer);
    assert_memory_equal(line->skid, smqtt_identity_skid(id), 8);
    assert_string_equal(seen->name, "a name\xC3\xA9");
    assert_int_equal(line->client_id.len, sizeof client);
    assert_memory_equal(seen->client, client, sizeof client);
    assert_string_equal(seen->topic, "a/b c");
    assert_int_equal(line->ciphertext.len, 12);
    assert_memory_equal(seen->ct, "sealed bytes", 12);
    smqtt_identity_free(id);
}

static void an_anonymous_client_has_no_peer(void **state)
{
    (void)state;
    struct smqtt_journal_entry entry = {.verdict = 0xFE};
    struct smq_journal *j = open_ok(0);
    assert_int_equal(smq_journal_append(j, 1, &entry), SMQTT_OK);
    smq_journal_close(j);
    struct seen *seen = read_all(NULL);
    assert_int_equal(seen->n, 1);
    assert_false(seen->line.has_peer);
    assert_int_equal(seen->line.ciphertext.len, 0);
}

static off_t size_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(temp_dir_file(&dir, name), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    return st.st_size;
}

static void it_is_bounded_and_keeps_the_newest(void **state)
{
    (void)state;
    static uint8_t ct[30000];
    memset(ct, 7, sizeof ct);
    struct smqtt_journal_entry entry = {.ciphertext = smq_span_of(ct, sizeof ct)};
    struct smq_journal *j = open_ok(1);
    for (unsigned i = 1; i <= 40; i++) {
        assert_int_equal(smq_journal_append(j, i, &entry), SMQTT_OK);
        assert_true(size_of("journal") <= 64 * 1024);
    }
    smq_journal_close(j);
    assert_true(size_of("journal.old") <= 64 * 1024);
    struct seen *seen = read_all(NULL);
    assert_int_equal(seen->last, 40);
    assert_true(seen->n >= 3 && seen->n < 8);
    assert_int_equal(seen->line.ciphertext.len, 16 * 1024);
}

static void a_torn_line_is_left_out(void **state)
{
    (void)state;
    struct smqtt_journal_entry entry = {.flag = 1};
    struct smq_journal *j = open_ok(0);
    assert_int_equal(smq_journal_append(j, 1, &entry), SMQTT_OK);
    assert_int_equal(smq_journal_append(j, 2, &entry), SMQTT_OK);
    smq_journal_close(j);
    off_t whole = size_of("journal");
    for (off_t cut = whole / 2 + 1; cut < whole; cut++) {
        unsigned bad = 0;
        assert_int_equal(truncate(temp_dir_file(&dir, "journal"), cut), 0);
        j = open_ok(0);
        assert_int_equal(smq_journal_append(j, 3, &entry), SMQTT_OK);
        smq_journal_close(j);
        struct seen *seen = read_all(&bad);
        /* Without its line end only, the line is whole again. */
        assert_int_equal(bad, cut + 1 < whole);
        assert_int_equal(seen->n, cut + 1 < whole ? 2 : 3);
        assert_int_equal(seen->last, 3);
        assert_int_equal(truncate(temp_dir_file(&dir, "journal"), whole / 2), 0);
        j = open_ok(0);
        assert_int_equal(smq_journal_append(j, 2, &entry), SMQTT_OK);
        smq_journal_close(j);
    }
}

static void others_must_not_read_it(void **state)
{
    (void)state;
    struct smq_journal *j = open_ok(0);
    smq_journal_close(j);
    assert_int_equal(chmod(temp_dir_file(&dir, "journal"), 0644), 0);
    assert_int_equal(smq_journal_open(dir.path, 0, &j, NULL), SMQTT_E_USAGE);
    assert_int_equal(smq_journal_read(dir.path, on_line, NULL, NULL, NULL), SMQTT_E_USAGE);
}

static void no_journal_is_said(void **state)
{
    (void)state;
    struct smq_why why = {""};
    assert_int_equal(smq_journal_read(dir.path, on_line, NULL, NULL, &why), SMQTT_E_IO);
    assert_non_null(strstr(why.text, "no journal"));
}

static int make(void **state)
{
    (void)state;
    temp_dir_make(&dir);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read, make, clean),
        cmocka_unit_test_setup_teardown(an_anonymous_client_has_no_peer, make, clean),
        cmocka_unit_test_setup_teardown(it_is_bounded_and_keeps_the_newest, make, clean),
        cmocka_unit_test_setup_teardown(a_torn_line_is_left_out, make, clean),
        cmocka_unit_test_setup_teardown(others_must_not_read_it, make, clean),
        cmocka_unit_test_setup_teardown(no_journal_is_said, make, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
