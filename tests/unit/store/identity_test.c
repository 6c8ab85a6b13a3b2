/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's own S-MQTT identity in the store: what it must not lose survives, under every policy. */
#include "../detect/pair.h"

#include <stdio.h>

#include "store/identity.h"
#include "store/memory.h"

static const struct smqtt_seal_options WITH_RECEIPT = {.receipt = true};

static struct smq_store *disk; /* it stays while brokers come and go */
static struct smq_store_kind kind;
static struct smq_committer *committer;
static struct smq_identity_store *identity;
static bool writes_fail;

static void leave_open(struct smq_store *store)
{
    (void)store;
}

static smqtt_err fails(void *ctx, enum smq_memory_step step)
{
    (void)ctx;
    return writes_fail && step == SMQ_MEMORY_WRITE ? SMQTT_E_IO : SMQTT_OK;
}

static bool fill(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    memset(out, 7, len);
    return true;
}

static int setup(void **state)
{
    (void)state;
    struct smq_store_why why = {""};
    struct smq_memory_faults faults = {fails, NULL};
    assert_int_equal(smq_store_memory.open(NULL, SMQ_STORE_READ_WRITE, NULL, &disk, &why), SMQTT_OK);
    kind = smq_store_memory;
    kind.close = leave_open;
    disk->kind = &kind;
    smq_memory_track(disk);
    smq_memory_set_faults(disk, &faults);
    writes_fail = false;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    smq_store_memory.close(disk);
    return 0;
}

static const struct smqtt_store *begin(enum smq_committer_policy policy, bool run)
{
    struct smq_committer_config config = {.policy = policy, .n_workers = 1, .retry_ms = 1};
    struct smqtt_rng rng = {fill, NULL};
    struct smq_store_why why = {""};
    assert_int_equal(smq_committer_new(&config, disk, &committer), SMQTT_OK);
    assert_int_equal(smq_identity_store_new(NULL, &rng, committer, &identity, &why), SMQTT_OK);
    if (run) {
        assert_int_equal(smq_committer_start(committer), SMQTT_OK);
    }
    return smq_identity_store_table(identity);
}

/* The power fails: nothing that was synced is only written. */
static void cut(void)
{
    assert_int_equal(smq_memory_count_unsynced(disk), 0);
    smq_committer_free(committer);
    smq_identity_store_free(identity);
    smq_memory_crash(disk, 0);
}

static void add_text(void *arg, struct smqtt_span key, struct smqtt_span value)
{
    char *text = arg;
    size_t len = strlen(text);
    snprintf(text + len, 200 - len, "%.*s=%.*s;", (int)key.len, (const char *)key.data, (int)value.len,
             (const char *)value.data);
}

static const char *all(const struct smqtt_store *s, const char *prefix)
{
    static char text[200];
    text[0] = 0;
    assert_int_equal(s->each(s->ctx, smq_span_str(prefix), add_text, text), SMQTT_OK);
    return text;
}

static void put(const struct smqtt_store *s, const char *key, const char *value)
{
    assert_int_equal(s->put(s->ctx, smq_span_str(key), smq_span_str(value)), SMQTT_OK);
}

static void values_survive_when_they_were_synced(void **state)
{
    (void)state;
    static const enum smq_committer_policy policies[] = {SMQ_COMMIT_FSYNC, SMQ_COMMIT_INTERVAL, SMQ_COMMIT_OFF};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(policies); i++) {
        const struct smqtt_store *s = begin(policies[i], true);
        put(s, "a1", "x");
        put(s, "a1", "y");
        put(s, "b1", "gone");
        assert_string_equal(all(s, "a"), "a1=y;"); /* at once */
        assert_int_equal(s->sync(s->ctx), SMQTT_OK);
        assert_int_equal(s->del(s->ctx, smq_span_str("b1")), SMQTT_OK);
        assert_int_equal(s->del(s->ctx, smq_span_str("none")), SMQTT_OK);
        assert_int_equal(s->sync(s->ctx), SMQTT_OK);
        assert_int_equal(s->sync(s->ctx), SMQTT_OK); /* nothing to do */
        put(s, "c1", "not synced");
        cut();
        s = begin(policies[i], false);
        assert_string_equal(all(s, ""), "a1=y;");
        assert_int_equal(s->del(s->ctx, smq_span_str("a1")), SMQTT_OK);
        assert_int_equal(s->sync(s->ctx), SMQTT_OK); /* also before the thread runs */
        cut();
    }
}

static void a_sync_that_fails_is_made_good(void **state)
{
    (void)state;
    const struct smqtt_store *s = begin(SMQ_COMMIT_FSYNC, true);
    writes_fail = true;
    put(s, "a", "1");
    assert_int_equal(s->sync(s->ctx), SMQTT_E_IO);
    assert_int_equal(s->sync(s->ctx), SMQTT_E_IO); /* nothing new, but it is not there yet */
    writes_fail = false;
    while (s->sync(s->ctx) != SMQTT_OK) {
    }
    cut();
    s = begin(SMQ_COMMIT_FSYNC, false);
    assert_string_equal(all(s, ""), "a=1;");
    cut();
}

static void wrong_sizes_are_refused(void **state)
{
    (void)state;
    static uint8_t large[65001];
    const struct smqtt_store *s = begin(SMQ_COMMIT_FSYNC, false);
    assert_int_equal(s->put(s->ctx, smq_span_of(large, 0), smq_span_str("v")), SMQTT_E_USAGE);
    assert_int_equal(s->put(s->ctx, smq_span_of(large, sizeof large), smq_span_str("v")), SMQTT_E_USAGE);
    assert_int_equal(s->put(s->ctx, smq_span_of(large, sizeof large - 1), smq_span_of(large, 0)), SMQTT_OK);
    cut();
}

/* A message that was delivered is not delivered again, and numbers go on: the sealer takes no receipt with a number
 * that was used before. */
static void an_opener_finds_itself_again(void **state)
{
    (void)state;
    static struct cut_store link;
    struct pair *p = pair_new(1);
    link.store = *begin(SMQ_COMMIT_OFF, true);
    p->mutual = true;
    p->server_store = &link;
    pair_open(p);
    pair_handshake(p);
    assert_int_equal(pair_seal(p, "a", smq_span_str("before"), &WITH_RECEIPT), SMQTT_OK);
    struct packet replay = packet_copy(&p->to_server.list[0]);
    pair_run(p);
    assert_int_equal(told_count(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT), 1);
    pair_close_opener(p);
    cut();
    link.store = *begin(SMQ_COMMIT_OFF, true);
    assert_int_equal(pair_open_opener(p), SMQTT_OK);
    assert_int_equal(pair_seal(p, "a", smq_span_str("after"), &WITH_RECEIPT), SMQTT_OK);
    p->to_server.list[p->to_server.n++] = replay;
    pair_forget(p);
    pair_run(p);
    assert_int_equal(told_count(p->of_opener, p->n_opener, SMQTT_EV_MESSAGE), 1);
    assert_int_equal(told_last(p->of_opener, p->n_opener, SMQTT_EV_REFUSED)->ev.err, SMQTT_E_REPLAY);
    assert_int_equal(told_last(p->of_sealer, p->n_sealer, SMQTT_EV_RECEIPT)->ev.seq, 1);
    pair_close_opener(p);
    cut();
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_survive_when_they_were_synced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sync_that_fails_is_made_good, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_sizes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(an_opener_finds_itself_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
