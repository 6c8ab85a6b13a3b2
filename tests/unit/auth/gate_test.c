/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/gate.h"
#include "../test.h"

static const uint8_t key[16] = "0123456789abcde";

/* Its password is "c": quick to verify. */
#define CARL                                                                                                    \
    "carl:$6$mFrMY//aQYN1F9fG$75n8rTil8o7TqzM2/1QcdPRGoA+QdFxzmprEkk7B0qr2IMVFlHmCzCgDIiCt9RJg0rGcy3418Yboi7tW" \
    "ZqFWXA==\n"
/* Its password is "a". */
#define ALICE                                                                                                  \
    "alice:$7$101$AeKSRYLVW0aBleWK$rSUPsWR4+z8qaKsqjY0cqe/0ZcD7j8HJdJoJH2LvgW3OnBWVVNlyXEZbyiKeY7NXZDsEhcbSCW" \
    "gGJlR46YfJvA==\n"

static struct smq_passwords *passwords_of(const char *text)
{
    struct smq_lines lines = smq_lines_of("pw", smq_span_str(text));
    struct smq_passwords *p = NULL;
    assert_int_equal(smq_passwords_read(NULL, key, &lines, &p), SMQTT_OK);
    return p;
}

static struct smq_listener_config listener;

static struct smq_principal who_is(const char *user)
{
    return (struct smq_principal){
        .client_id = smq_span_str("c"), .user = smq_span_str(user), .has_user = user != NULL, .listener = &listener};
}

static smqtt_err login(const struct smq_gate *gate, const char *user, const char *password, bool *deferred)
{
    struct smq_principal who = who_is(user);
    smq_span text = smq_span_str(password);
    struct smq_login_work work;
    smqtt_err err = gate->auth.login(gate->auth.ctx, &who, password != NULL ? &text : NULL, &work);
    *deferred = err == SMQTT_E_AGAIN;
    return *deferred ? work.run(&work, text) : err;
}

static uint64_t stamp(const struct smq_gate *gate, const char *user)
{
    struct smq_principal who = who_is(user);
    return gate->auth.stamp(gate->auth.ctx, &who);
}

static void logins(void **state)
{
    (void)state;
    static const struct {
        const char *user, *password;
        bool anonymous, deferred;
        smqtt_err want;
    } rows[] = {
        {"carl", "c", false, false, SMQTT_OK},
        {"carl", "x", false, false, SMQTT_E_NOT_AUTHORIZED},
        {"carl", NULL, true, false, SMQTT_E_NOT_AUTHORIZED},
        {"alice", "a", false, true, SMQTT_OK},
        {"alice", "x", true, true, SMQTT_E_NOT_AUTHORIZED},
        {NULL, NULL, false, false, SMQTT_E_NOT_AUTHORIZED},
        {NULL, NULL, true, false, SMQTT_OK},
        {"", NULL, true, false, SMQTT_OK},
        {"", "x", false, false, SMQTT_E_NOT_AUTHORIZED},
    };
    struct smq_passwords *p = passwords_of(CARL ALICE);
    struct smq_gate gate;
    smq_gate_init(&gate, p, NULL);
    assert_null(gate.auth.access);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool deferred;
        listener.allow_anonymous = rows[i].anonymous;
        assert_int_equal(login(&gate, rows[i].user, rows[i].password, &deferred), rows[i].want);
        assert_int_equal(deferred, rows[i].deferred);
    }
    bool deferred;
    assert_int_equal(login(&gate, "nobody", "c", &deferred), SMQTT_E_NOT_AUTHORIZED);
    listener.allow_anonymous = false;
    assert_int_equal(stamp(&gate, NULL), 0);
    assert_int_equal(stamp(&gate, "nobody"), 0);
    assert_true(stamp(&gate, "carl") > 1);
    listener.allow_anonymous = true;
    assert_int_equal(stamp(&gate, NULL), 1);
    assert_int_equal(stamp(&gate, "nobody"), 0);
    smq_passwords_free(p);
}

static void without_passwords_the_listener_decides(void **state)
{
    (void)state;
    struct smq_gate gate;
    bool deferred;
    smq_gate_init(&gate, NULL, NULL);
    listener.allow_anonymous = true;
    assert_int_equal(login(&gate, "carl", "x", &deferred), SMQTT_OK);
    assert_int_equal(stamp(&gate, "carl"), 1);
    listener.allow_anonymous = false;
    assert_int_equal(login(&gate, "carl", "x", &deferred), SMQTT_E_NOT_AUTHORIZED);
    assert_int_equal(stamp(&gate, "carl"), 0);
    struct smq_passwords *p = passwords_of("");
    smq_gate_init(&gate, p, NULL);
    assert_int_equal(login(&gate, "carl", "x", &deferred), SMQTT_E_NOT_AUTHORIZED);
    smq_passwords_free(p);
}

static void rights(void **state)
{
    (void)state;
    struct smq_lines lines = smq_lines_of("acl", smq_span_str("topic read a\nuser carl\ntopic write b\n"));
    struct smq_acl *acl = NULL;
    assert_int_equal(smq_acl_read(NULL, key, &lines, &acl), SMQTT_OK);
    struct smq_gate gate;
    smq_gate_init(&gate, NULL, acl);
    const struct smq_auth *auth = &gate.auth;
    struct smq_principal carl = who_is("carl");
    struct smq_principal empty = who_is("");
    struct smq_principal other = who_is("other");
    carl.role = auth->role(auth->ctx, &carl);
    empty.role = auth->role(auth->ctx, &empty);
    other.role = auth->role(auth->ctx, &other);
    assert_null(other.role);
    assert_true(auth->access(auth->ctx, &carl, smq_span_str("b"), SMQ_ACCESS_WRITE));
    assert_false(auth->access(auth->ctx, &carl, smq_span_str("b"), SMQ_ACCESS_READ));
    assert_false(auth->access(auth->ctx, &carl, smq_span_str("a"), SMQ_ACCESS_READ));
    assert_true(auth->access(auth->ctx, &empty, smq_span_str("a"), SMQ_ACCESS_READ));
    assert_false(auth->access(auth->ctx, &other, smq_span_str("a"), SMQ_ACCESS_READ));
    /* As Mosquitto: what may not be read may be subscribed to, and is not delivered. */
    assert_true(auth->access(auth->ctx, &other, smq_span_str("#"), SMQ_ACCESS_SUBSCRIBE));
    smq_acl_free(acl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins),
        cmocka_unit_test(without_passwords_the_listener_decides),
        cmocka_unit_test(rights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
