/* SPDX-License-Identifier: Apache-2.0 */
/* Renewal and succession: who may take whose place, and who not (protocol.md 3.1). */
#include <stdlib.h>

#include "../failing_mem.h"
#include "detect/identity.h"
#include "kit.h"

static const char *const SUITES[] = {"x25519", "p256"};

enum { WALL = 5000, UNTIL = 9000 };

static bool counter_fill(void *ctx, uint8_t *out, size_t len)
{
    kit_fill(ctx, out, len);
    return true;
}

static struct smqtt_identity *new_ok(const char *suite, uint64_t seed)
{
    const struct smqtt_rng rng = {counter_fill, &seed};
    struct smqtt_identity *id = NULL;
    assert_int_equal(smqtt_identity_new(NULL, &rng, suite, "server", 1, 1000, 0, &id), SMQTT_OK);
    return id;
}

static struct smqtt_identity *renew_ok(const struct smqtt_identity *id, smqtt_ms not_before, smqtt_ms not_after)
{
    struct smqtt_identity *out = NULL;
    assert_int_equal(smqtt_identity_renew(NULL, id, 0, not_before, not_after, &out), SMQTT_OK);
    return out;
}

static struct smqtt_identity *succeed_ok(const struct smqtt_identity *old, const char *suite, uint64_t seed)
{
    const struct smqtt_rng rng = {counter_fill, &seed};
    struct smqtt_identity *out = NULL;
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, suite, UNTIL, 2000, 0, &out), SMQTT_OK);
    return out;
}

/** Reads it again as others get it, so that nothing comes from memory only. */
static struct smqtt_identity *published(struct smqtt_identity *id)
{
    struct smqtt_identity *out = NULL;
    assert_int_equal(smqtt_identity_read_descriptor(NULL, smqtt_identity_descriptor(id), &out), SMQTT_OK);
    smqtt_identity_free(id);
    return out;
}

static void test_renewal(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(SUITES); i++) {
        struct smqtt_identity *first = new_ok(SUITES[i], 1);
        struct smqtt_identity *second = renew_ok(first, 3000, 7000);
        struct smqtt_identity *third = published(renew_ok(second, 3000, 7000));
        assert_int_equal(smqtt_identity_version(first), 1);
        assert_int_equal(smqtt_identity_version(third), 3);
        assert_int_equal(smqtt_identity_not_before(second), 3000);
        assert_int_equal(smqtt_identity_not_after(second), 7000);
        assert_int_equal(smqtt_identity_flags(first), 1);
        assert_int_equal(smqtt_identity_flags(second), 0);
        assert_string_equal(smqtt_identity_name(third), "server");
        assert_memory_equal(smqtt_identity_skid(third), smqtt_identity_skid(first), SMQTT_SKID_LEN);
        assert_true(smqtt_identity_has_private(second));
        assert_int_equal(smqtt_identity_supersedes(first, second, WALL), SMQTT_OK);
        assert_int_equal(smqtt_identity_supersedes(first, third, WALL), SMQTT_OK);
        assert_int_equal(smqtt_identity_supersedes(second, first, WALL), SMQTT_E_OLD_IDENTITY);
        assert_int_equal(smqtt_identity_supersedes(third, second, WALL), SMQTT_E_OLD_IDENTITY);
        assert_int_equal(smqtt_identity_supersedes(third, third, WALL), SMQTT_OK);
        assert_int_equal(smqtt_identity_supersedes(first, second, 2999), SMQTT_E_EXPIRED);
        assert_int_equal(smqtt_identity_supersedes(first, second, 3000), SMQTT_OK);
        assert_int_equal(smqtt_identity_supersedes(first, second, 7000), SMQTT_OK);
        assert_int_equal(smqtt_identity_supersedes(first, second, 7001), SMQTT_E_EXPIRED);
        struct smqtt_identity *other = renew_ok(first, 3000, 0); /* two of the same version */
        assert_int_equal(smqtt_identity_supersedes(second, other, WALL), SMQTT_E_OLD_IDENTITY);
        struct smqtt_identity *out = NULL;
        assert_int_equal(smqtt_identity_renew(NULL, third, 0, 0, 0, &out), SMQTT_E_USAGE);
        assert_int_equal(smqtt_identity_renew(NULL, first, 0, 9, 9, &out), SMQTT_E_BAD_IDENTITY);
        assert_int_equal(smqtt_identity_renew(NULL, first, 2, 0, 0, &out), SMQTT_E_BAD_IDENTITY);
        first->version = UINT32_MAX;
        assert_int_equal(smqtt_identity_renew(NULL, first, 0, 0, 0, &out), SMQTT_E_FULL);
        smqtt_identity_free(other);
        smqtt_identity_free(first);
        smqtt_identity_free(second);
        smqtt_identity_free(third);
    }
}

static void check_succession(const char *from, const char *to)
{
    struct smqtt_identity *old = new_ok(from, 2);
    struct smqtt_identity *next = succeed_ok(old, to, 3);
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    assert_string_equal(smqtt_identity_suite(next), to);
    assert_true(smqtt_identity_has_private(next));
    assert_int_equal(smqtt_identity_version(next), 2);
    assert_int_equal(smqtt_identity_flags(next), 1);
    next = published(next);
    assert_false(smqtt_identity_predecessor(old, skid, &until));
    assert_true(smqtt_identity_predecessor(next, skid, &until));
    assert_memory_equal(skid, smqtt_identity_skid(old), SMQTT_SKID_LEN);
    assert_int_equal(until, UNTIL);
    assert_int_equal(smqtt_identity_supersedes(old, next, 1999), SMQTT_E_EXPIRED); /* not in force yet */
    assert_int_equal(smqtt_identity_supersedes(old, next, 2000), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(old, next, UNTIL), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(old, next, UNTIL + 1), SMQTT_E_EXPIRED);
    assert_int_equal(smqtt_identity_supersedes(next, old, WALL), SMQTT_E_OLD_IDENTITY);
    assert_int_equal(smqtt_identity_supersedes(next, next, UNTIL + 1), SMQTT_OK);
    /* who renewed meanwhile is not overtaken by a successor of the same version */
    struct smqtt_identity *renewed = renew_ok(old, 0, 0);
    assert_int_equal(smqtt_identity_supersedes(renewed, next, WALL), SMQTT_E_OLD_IDENTITY);
    struct smqtt_identity *later = published(succeed_ok(renewed, to, 4));
    assert_int_equal(smqtt_identity_supersedes(old, later, WALL), SMQTT_OK);
    /* a renewal of the predecessor does not come back either */
    struct smqtt_identity *fourth = renewed;
    for (int i = 0; i < 3; i++) {
        fourth = renew_ok(renewed, 0, 0);
        smqtt_identity_free(renewed);
        renewed = fourth;
    }
    assert_true(smqtt_identity_version(fourth) > smqtt_identity_version(later));
    assert_int_equal(smqtt_identity_supersedes(later, fourth, WALL), SMQTT_E_OLD_IDENTITY);
    assert_int_equal(smqtt_identity_supersedes(later, next, WALL), SMQTT_E_UNKNOWN_PEER);
    smqtt_identity_free(old);
    smqtt_identity_free(next);
    smqtt_identity_free(renewed);
    smqtt_identity_free(later);
}

static void test_succession(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        check_succession(SUITES[i / 2], SUITES[i % 2]);
    }
}

/** Three generations: nobody is vouched for by his grandfather. */
static void test_generations(void **state)
{
    (void)state;
    struct smqtt_identity *a = new_ok("x25519", 5);
    struct smqtt_identity *b = succeed_ok(a, "p256", 6);
    struct smqtt_identity *c = succeed_ok(b, NULL, 7);
    assert_string_equal(smqtt_identity_suite(c), "p256");
    assert_int_equal(smqtt_identity_version(c), 3);
    assert_int_equal(smqtt_identity_supersedes(a, b, WALL), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(b, c, WALL), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(a, c, WALL), SMQTT_E_UNKNOWN_PEER);
    assert_int_equal(smqtt_identity_supersedes(c, a, WALL), SMQTT_E_UNKNOWN_PEER);
    struct smqtt_identity *renewed = renew_ok(c, 0, 0); /* it names no predecessor any more */
    uint8_t skid[SMQTT_SKID_LEN];
    smqtt_ms until = 0;
    assert_false(smqtt_identity_predecessor(renewed, skid, &until));
    assert_int_equal(smqtt_identity_supersedes(c, renewed, WALL), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(b, renewed, WALL), SMQTT_E_UNKNOWN_PEER);
    smqtt_identity_free(a);
    smqtt_identity_free(b);
    smqtt_identity_free(c);
    smqtt_identity_free(renewed);
}

/** Signs a core, whatever stands in it, with the keys of `id`. */
static struct smqtt_identity *sign_again(const struct smqtt_identity *id, const uint8_t *core, size_t len)
{
    uint8_t bytes[1024];
    uint8_t did[32];
    uint8_t text[KIT_TEXT_MAX];
    struct smqtt_identity *out = NULL;
    const smq_span part = smq_span_of(core, len);
    kit_hash(&part, 1, did);
    const smq_span whole = smq_span_of(text, kit_signed("descriptor", smq_span_of(did, 32), text));
    memcpy(bytes, core, len);
    assert_int_equal(smq_crypto_openssl.sign(id->suite->sign, id->sk_sig, NULL, &whole, 1, bytes + len), SMQTT_OK);
    smqtt_err err = smqtt_identity_read_descriptor(NULL, smq_span_of(bytes, len + 64), &out);
    assert_true(err == SMQTT_OK || out == NULL);
    return out;
}

/** The new keys may be an attacker's: he changes every bit of the core and signs it as his own. Only the old keys'
 * signature stands against it. */
static void test_every_bit_that_the_new_keys_sign(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct smqtt_identity *old = new_ok(SUITES[i / 2], 8);
        struct smqtt_identity *next = succeed_ok(old, SUITES[i % 2], 9);
        uint8_t core[1024];
        size_t taken = 0;
        memcpy(core, next->descriptor, next->core_len);
        struct smqtt_identity *same = sign_again(next, core, next->core_len);
        assert_int_equal(smqtt_identity_supersedes(old, same, WALL), SMQTT_OK);
        smqtt_identity_free(same);
        for (size_t bit = 0; bit < 8 * next->core_len; bit++) {
            core[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            struct smqtt_identity *changed = sign_again(next, core, next->core_len);
            core[bit / 8] ^= (uint8_t)(1U << (bit % 8));
            if (changed != NULL) {
                taken++;
                assert_int_not_equal(smqtt_identity_supersedes(old, changed, WALL), SMQTT_OK);
                smqtt_identity_free(changed);
            }
        }
        assert_true(taken > 8 * 80); /* the times, the name, the whole of the predecessor: well-formed, and refused */
        smqtt_identity_free(old);
        smqtt_identity_free(next);
    }
}

static void test_foreign_successor(void **state)
{
    (void)state;
    for (size_t i = 0; i < SMQ_ARRAY_LEN(SUITES); i++) {
        struct smqtt_identity *old = new_ok(SUITES[i], 10);
        struct smqtt_identity *stranger = new_ok(SUITES[i], 11);
        /* his own keys signed, but the old one's skid stands there */
        memcpy(stranger->skid, old->skid, SMQTT_SKID_LEN);
        struct smqtt_identity *next = published(succeed_ok(stranger, NULL, 12));
        assert_int_equal(smqtt_identity_supersedes(old, next, WALL), SMQTT_E_BAD_SIGNATURE);
        assert_int_equal(smqtt_identity_supersedes(old, next, UNTIL + 1), SMQTT_E_BAD_SIGNATURE);
        /* a stranger whose skid is the same by chance is not the same */
        stranger->version = 7;
        assert_int_equal(smqtt_identity_supersedes(old, stranger, WALL), SMQTT_E_UNKNOWN_PEER);
        struct smqtt_identity *other = new_ok(SUITES[1 - i], 13);
        assert_int_equal(smqtt_identity_supersedes(old, other, WALL), SMQTT_E_UNKNOWN_PEER);
        smqtt_identity_free(old);
        smqtt_identity_free(stranger);
        smqtt_identity_free(next);
        smqtt_identity_free(other);
    }
}

/** TLV 1 has 80 bytes, ends at some time, stands once, and names another. */
static void test_form(void **state)
{
    (void)state;
    struct smqtt_identity *old = new_ok("x25519", 14);
    struct smqtt_identity *next = succeed_ok(old, "x25519", 15);
    uint8_t core[1024];
    size_t before = (size_t)(next->predecessor - next->descriptor) - 5; /* where the list begins */
    struct smqtt_identity *out = NULL;
    memcpy(core, next->descriptor, next->core_len);
    memset(core + before + 5 + SMQTT_SKID_LEN, 0, 8); /* until 0 */
    assert_null(sign_again(next, core, next->core_len));
    memcpy(core, next->descriptor, next->core_len);
    memcpy(core + before + 5, next->skid, SMQTT_SKID_LEN);
    assert_null(sign_again(next, core, next->core_len));
    memcpy(core, next->descriptor, next->core_len);
    core[before + 1]++; /* 81 bytes */
    core[before + 4]++;
    core[next->core_len] = 0;
    assert_null(sign_again(next, core, next->core_len + 1));
    core[before + 1] -= 2; /* 79 */
    core[before + 4] -= 2;
    assert_null(sign_again(next, core, next->core_len - 1));
    memcpy(core, next->descriptor, next->core_len);
    core[before + 1] = 166; /* twice */
    memcpy(core + next->core_len, core + before + 2, 83);
    assert_null(sign_again(next, core, next->core_len + 83));
    memcpy(core, next->descriptor, next->core_len);
    core[before + 1] = 87; /* an unknown one behind it */
    memcpy(core + next->core_len, "\x02\x00\x01z", 4);
    out = sign_again(next, core, next->core_len + 4);
    assert_non_null(out);
    assert_non_null(out->predecessor);
    smqtt_identity_free(out);
    smqtt_identity_free(old);
    smqtt_identity_free(next);
}

static void test_succeed_refused(void **state)
{
    (void)state;
    uint64_t seed = 16;
    const struct smqtt_rng rng = {counter_fill, &seed};
    struct smqtt_identity *old = new_ok("x25519", 17);
    struct smqtt_identity *out = NULL;
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, "rsa", 9, 0, 0, &out), SMQTT_E_SUITE);
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, NULL, 0, 0, 0, &out), SMQTT_E_BAD_IDENTITY);
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, NULL, 9, 10, 0, &out), SMQTT_E_BAD_IDENTITY);
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, NULL, 9, 9, 9, &out), SMQTT_E_BAD_IDENTITY);
    old->version = UINT32_MAX;
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, NULL, 9, 0, 0, &out), SMQTT_E_FULL);
    old->version = 1;
    old = published(old);
    assert_int_equal(smqtt_identity_succeed(NULL, &rng, old, NULL, 9, 0, 0, &out), SMQTT_E_USAGE);
    assert_null(out);
    smqtt_identity_free(old);
}

/** A whole private file of a successor is read as any other. */
static void test_text(void **state)
{
    (void)state;
    char text[SMQTT_IDENTITY_TEXT_MAX];
    struct smqtt_identity *old = new_ok("p256", 18);
    struct smqtt_identity *next = succeed_ok(old, "p256", 19);
    struct smqtt_identity *back = NULL;
    assert_int_equal(smqtt_identity_private_text(next, text, sizeof(text)), SMQTT_OK);
    assert_int_equal(smqtt_identity_read(NULL, smq_span_str(text), &back), SMQTT_OK);
    assert_int_equal(smqtt_identity_supersedes(old, back, WALL), SMQTT_OK);
    assert_true(smqtt_identity_has_private(back));
    smqtt_identity_free(back);
    smqtt_identity_free(old);
    smqtt_identity_free(next);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct failing_mem fm;
    uint64_t seed = 20;
    const struct smqtt_rng rng = {counter_fill, &seed};
    struct smqtt_identity *old = new_ok("x25519", 21);
    failing_mem_init(&fm);
    for (size_t nth = 1;; nth++) {
        struct smqtt_identity *out = NULL;
        failing_mem_arm(&fm, nth);
        smqtt_err err = smqtt_identity_succeed(&fm.mem, &rng, old, NULL, 9, 0, 0, &out);
        assert_int_equal(err, failing_mem_has_failed(&fm) ? SMQTT_E_NOMEM : SMQTT_OK);
        smqtt_identity_free(out);
        assert_int_equal(fm.live, 0);
        if (!failing_mem_has_failed(&fm)) {
            break;
        }
    }
    smqtt_identity_free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_renewal),           cmocka_unit_test(test_succession),
        cmocka_unit_test(test_generations),       cmocka_unit_test(test_every_bit_that_the_new_keys_sign),
        cmocka_unit_test(test_foreign_successor), cmocka_unit_test(test_form),
        cmocka_unit_test(test_succeed_refused),   cmocka_unit_test(test_text),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
