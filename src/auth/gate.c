/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/gate.h"

#include "base/mem.h"

_Static_assert(sizeof(struct smq_pwhash) <= sizeof((struct smq_login_work *)0)->room, "a hash is all there is to do");

/* Mosquitto takes an empty user name for none. */
static smq_span user_of(const struct smq_principal *who)
{
    return who->has_user ? who->user : (smq_span){NULL, 0};
}

/* Which of both was wrong is nobody's business, and it is the answer that Mosquitto gives. */
static smqtt_err answer_of(smqtt_err err)
{
    return err == SMQTT_E_BAD_LOGIN ? SMQTT_E_NOT_AUTHORIZED : err;
}

static smqtt_err run(const struct smq_login_work *work, smq_span password)
{
    struct smq_pwhash hash;
    memcpy(&hash, work->room, sizeof hash);
    smqtt_err err = smq_pwhash_verify(&hash, password);
    smq_wipe(&hash, sizeof hash);
    return answer_of(err);
}

static smqtt_err login(void *ctx, const struct smq_principal *who, const smq_span *password,
                       struct smq_login_work *work)
{
    const struct smq_gate *gate = ctx;
    smq_span user = user_of(who);
    if (gate->passwords == NULL || user.len == 0) {
        return who->listener->allow_anonymous ? SMQTT_OK : SMQTT_E_NOT_AUTHORIZED;
    }
    struct smq_pwhash hash;
    if (password == NULL || !smq_passwords_find(gate->passwords, user, &hash)) {
        return SMQTT_E_NOT_AUTHORIZED;
    }
    smqtt_err err = SMQTT_E_AGAIN;
    if (smq_pwhash_is_quick(&hash)) {
        err = answer_of(smq_pwhash_verify(&hash, *password));
    } else {
        work->run = run;
        memcpy(work->room, &hash, sizeof hash);
    }
    smq_wipe(&hash, sizeof hash);
    return err;
}

static uint64_t stamp(void *ctx, const struct smq_principal *who)
{
    const struct smq_gate *gate = ctx;
    smq_span user = user_of(who);
    if (gate->passwords == NULL || user.len == 0) {
        return who->listener->allow_anonymous ? 1 : 0;
    }
    return smq_passwords_stamp(gate->passwords, user);
}

static const void *role(void *ctx, const struct smq_principal *who)
{
    const struct smq_gate *gate = ctx;
    return smq_acl_role(gate->acl, user_of(who));
}

static bool access(void *ctx, const struct smq_principal *who, smq_span topic, enum smq_access kind)
{
    const struct smq_gate *gate = ctx;
    if (kind == SMQ_ACCESS_SUBSCRIBE) {
        return true;
    }
    unsigned want = kind == SMQ_ACCESS_WRITE ? SMQ_ACL_WRITE : SMQ_ACL_READ;
    return smq_acl_allows(gate->acl, who->role, who->client_id, user_of(who), topic, want);
}

void smq_gate_init(struct smq_gate *gate, const struct smq_passwords *passwords, const struct smq_acl *acl)
{
    *gate = (struct smq_gate){.passwords = passwords, .acl = acl};
    gate->auth = (struct smq_auth){.login = login, .stamp = stamp, .ctx = gate};
    if (acl != NULL) {
        gate->auth.role = role;
        gate->auth.access = access;
    }
}
