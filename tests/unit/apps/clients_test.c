/* SPDX-License-Identifier: Apache-2.0 */
#include "../../../apps/smqtt/clients.h"

#include "../keyring/kit.h"
#include "base/mem.h"
#include "detect/identity.h"
#include "net/statefile.h"

static char text[8 * SMQTT_IDENTITY_TEXT_MAX];
static struct clients *clients;
static struct smq_statefile *state;

static void list_begin(void)
{
    text[0] = 0;
}

static void list(const struct smqtt_identity *id, const char *filters)
{
    char line[SMQTT_IDENTITY_TEXT_MAX];
    size_t len = strlen(text);
    assert_int_equal(smqtt_identity_public_text(id, line, sizeof line), SMQTT_OK);
    snprintf(text + len, sizeof text - len, "%s\n%s", line, filters);
}

static bool parse(void)
{
    clients = NULL;
    return clients_read("FILE", smq_span_str(text), &clients);
}

static void open_state(void)
{
    assert_int_equal(smq_statefile_open(kit_dir.path, "clients", NULL, &state, NULL), SMQTT_OK);
    assert_true(clients_remember(clients, smq_statefile_store(state)));
}

static void close_state(void)
{
    smq_statefile_close(state);
    clients_free(clients);
}

static bool may(const struct smqtt_identity *id, const char *topic)
{
    return clients_allow(clients, id, smq_span_str(topic), KIT_NOW);
}

/* The same keys in a descriptor with another name, as a copied device gets one. */
static struct smqtt_identity *copy_of(const struct smqtt_identity *id, const char *name)
{
    const struct smq_identity_plan plan = {.suite = id->suite,
                                           .name = name,
                                           .version = 1,
                                           .not_before = KIT_NOW,
                                           .sk_kem = id->sk_kem,
                                           .sk_sig = id->sk_sig};
    struct smqtt_identity *copy = NULL;
    assert_int_equal(smq_identity_make(NULL, &plan, &copy), SMQTT_OK);
    return copy;
}

static void only_those_listed(void **unused)
{
    (void)unused;
    struct smqtt_identity *one = kit_identity("one");
    struct smqtt_identity *two = kit_identity("two");
    struct smqtt_identity *three = kit_identity("three");
    list_begin();
    list(one, "  s/+\n");
    list(two, "");
    assert_true(parse());
    assert_true(may(one, "s/1"));
    assert_false(may(one, "t/1"));
    assert_true(may(two, "t/1"));
    assert_false(may(three, "s/1"));
    assert_false(may(NULL, "s/1"));
    assert_ptr_equal(clients_lookup(clients, smqtt_identity_did(three)), NULL);
    assert_non_null(clients_lookup(clients, smqtt_identity_did(one)));
    clients_free(clients);
    smqtt_identity_free(one);
    smqtt_identity_free(two);
    smqtt_identity_free(three);
}

static void copied_keys_are_refused(void **unused)
{
    (void)unused;
    struct smqtt_identity *one = kit_identity("one");
    struct smqtt_identity *copy = copy_of(one, "two");
    struct smqtt_identity *next = kit_renewed(one);
    const struct smqtt_identity *const second[] = {one, copy, next};
    for (size_t i = 0; i < SMQ_ARRAY_LEN(second); i++) {
        list_begin();
        list(one, "");
        list(second[i], "");
        assert_false(parse());
    }
    smqtt_identity_free(one);
    smqtt_identity_free(copy);
    smqtt_identity_free(next);
}

static void newer_ones_are_taken_and_older_ones_refused(void **unused)
{
    (void)unused;
    struct smqtt_identity *one = kit_identity("one");
    struct smqtt_identity *two = kit_renewed(one);
    struct smqtt_identity *three = kit_successor(two, KIT_NOW + 5);
    list_begin();
    list(one, "  s/+\n");
    assert_true(parse());
    open_state();
    assert_true(may(two, "s/1"));
    assert_false(may(two, "t/1"));
    assert_true(may(one, "s/1")); /* claimed is not proven */
    clients_proven(clients, two, KIT_NOW);
    assert_false(may(one, "s/1"));
    assert_null(clients_lookup(clients, smqtt_identity_did(one)));
    assert_non_null(clients_lookup(clients, smqtt_identity_did(two)));
    assert_false(clients_allow(clients, three, smq_span_str("s/1"), KIT_NOW + 6)); /* after the grace time */
    close_state();
    /* A restart remembers. */
    assert_true(parse());
    open_state();
    assert_false(may(one, "s/1"));
    assert_true(may(two, "s/1"));
    assert_true(may(three, "s/1"));
    clients_proven(clients, three, KIT_NOW);
    assert_false(may(two, "s/1"));
    close_state();
    /* Once it has followed, the end of the grace time is nothing to it. */
    assert_true(parse());
    open_state();
    assert_true(clients_allow(clients, three, smq_span_str("s/1"), KIT_NOW + 6));
    assert_false(may(one, "s/1"));
    close_state();
    smqtt_identity_free(one);
    smqtt_identity_free(two);
    smqtt_identity_free(three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_those_listed),
        cmocka_unit_test(copied_keys_are_refused),
        cmocka_unit_test_setup_teardown(newer_ones_are_taken_and_older_ones_refused, kit_begin, kit_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
